//! What waits for a media thread: frames and commands, both bounded, and the bell that
//! wakes it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::control::{COMMANDS, Command, Counters, FRAMES, Refused, RingId};
use super::ice::Route;
use super::net::Bell;

/// Something for a ring, in order.
pub(super) enum Item<U> {
    /// A frame.
    Frame(RingId, Arc<U>),
    /// What a ring begins with.
    Start(RingId, Vec<Arc<U>>),
    /// What comes next does not continue what was there.
    Interrupt(RingId),
}

/// What was waiting for a thread.
pub(super) struct Taken<U> {
    pub commands: VecDeque<Command>,
    /// From the thread that receives for all.
    pub datagrams: VecDeque<(Route, Vec<u8>)>,
    pub frames: VecDeque<Item<U>>,
}

impl<U> Default for Taken<U> {
    fn default() -> Self {
        Taken { commands: VecDeque::new(), datagrams: VecDeque::new(), frames: VecDeque::new() }
    }
}

struct Waiting<U> {
    list: Taken<U>,
    /// The thread has ended.
    gone: bool,
}

/// Connections from the thread that takes them, that may wait.
const ADOPTED: usize = 64;

fn adopts(command: &Command) -> bool {
    matches!(command, Command::Adopt(_))
}

/// Datagrams that may wait: what comes for a crowd of thousands in a quarter of a second.
const DATAGRAMS: usize = 1_024;

/// See the module.
pub(super) struct Queue<U> {
    waiting: Mutex<Waiting<U>>,
    /// Rung already, and not heard yet: one system call per wake-up, not per frame.
    rung: AtomicBool,
    bell: Bell,
    rings: AtomicU32,
    pub counters: Counters,
}

impl<U> Queue<U> {
    pub fn new(bell: Bell) -> Self {
        let list = Taken { frames: VecDeque::with_capacity(FRAMES), ..Taken::default() };
        let waiting = Waiting { list, gone: false };
        Queue {
            waiting: Mutex::new(waiting),
            rung: AtomicBool::new(false),
            bell,
            rings: AtomicU32::new(1),
            counters: Counters::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting<U>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ring's number: 4 billion are enough for a process.
    pub fn next_ring(&self) -> RingId {
        self.rings.fetch_add(1, Ordering::Relaxed)
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.bell.ring();
        }
    }

    /// A frame; false where there is no room.
    pub fn frame(&self, ring: RingId, unit: Arc<U>) -> bool {
        {
            let mut w = self.lock();
            if w.gone || w.list.frames.len() >= FRAMES {
                drop(w);
                self.counters.frames_dropped.fetch_add(1, Ordering::Relaxed);
                return false;
            }
            w.list.frames.push_back(Item::Frame(ring, unit));
        }
        self.ring();
        true
    }

    /// What a ring begins with: one item, however long, for the frames of a wall of cameras
    /// that is opened must not push out those of who watches already. It is told once per
    /// ring, and rings are bounded as commands. False: the thread has ended.
    pub fn start(&self, ring: RingId, units: Vec<Arc<U>>) -> bool {
        {
            let mut w = self.lock();
            if w.gone {
                return false;
            }
            w.list.frames.push_back(Item::Start(ring, units));
        }
        self.ring();
        true
    }

    /// See [`super::control::Feed::interrupt`]. Twice in a row is once, so that the queue
    /// stays bounded: there is at most one behind each frame and ring.
    pub fn interrupt(&self, ring: RingId) {
        {
            let mut w = self.lock();
            let said = w.list.frames.iter().rev().map_while(|i| match i {
                Item::Interrupt(r) => Some(*r == ring),
                Item::Frame(..) | Item::Start(..) => None,
            });
            if w.gone || said.into_iter().any(|same| same) {
                return;
            }
            w.list.frames.push_back(Item::Interrupt(ring));
        }
        self.ring();
    }

    /// A command that asks for something.
    pub fn command(&self, command: Command) -> Result<(), Refused> {
        {
            let mut w = self.lock();
            match (w.gone, w.list.commands.len()) {
                (true, _) => return Err(Refused::Gone),
                (_, COMMANDS..) => return Err(Refused::Full),
                // Strangers must not keep viewers out.
                _ if adopts(&command) && w.list.commands.iter().filter(|c| adopts(c)).count() >= ADOPTED => {
                    return Err(Refused::Full);
                }
                _ => w.list.commands.push_back(command),
            }
        }
        self.ring();
        Ok(())
    }

    /// A command that gives something back: always taken, and bounded by what it gives
    /// back. A thread that has ended has given everything back.
    pub fn release(&self, command: Command) {
        {
            let mut w = self.lock();
            if w.gone {
                drop(w);
                return finished(command);
            }
            w.list.commands.push_back(command);
        }
        self.ring();
    }

    /// A datagram that another thread received; where there is no room it is lost, as it
    /// would be in a full socket, and counted.
    pub fn datagram(&self, route: Route, data: &[u8]) {
        {
            let mut w = self.lock();
            if w.gone || w.list.datagrams.len() >= DATAGRAMS {
                drop(w);
                self.counters.passed_dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            w.list.datagrams.push_back((route, data.to_vec()));
        }
        self.ring();
    }

    /// The thread's side: takes everything that waits. `taken` is empty, and the lists are
    /// swapped, so that both sides keep their memory.
    pub fn take(&self, taken: &mut Taken<U>) {
        // In this order: a ring that were heard after `rung` is false again would be one
        // that nobody repeats. And before the lists are looked at: what comes after that
        // rings anew.
        self.bell.hear();
        self.rung.store(false, Ordering::Release);
        let mut w = self.lock();
        std::mem::swap(&mut w.list, taken);
    }

    /// The thread ends: nothing is taken any more. What still waited is let go.
    pub fn end(&self) {
        let list = {
            let mut w = self.lock();
            w.gone = true;
            std::mem::take(&mut w.list)
        };
        list.commands.into_iter().for_each(finished);
    }

    /// Whether the thread has ended.
    pub fn has_ended(&self) -> bool {
        self.lock().gone
    }

    /// What the thread waits on.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }
}

/// A command that comes when everything has ended.
pub(super) fn finished(command: Command) {
    match command {
        Command::Close { done: Some(done), .. } | Command::Shutdown { done: Some(done), .. } => done(),
        Command::Reflexive { answer, .. } => answer(None),
        Command::Open(open) => (open.listener)(super::control::Event::Closed("the media thread has ended".into())),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::net::Poll;
    use super::*;

    #[test]
    fn a_wall_that_is_opened_pushes_out_no_frame_of_others() {
        let queue = Queue::<u32>::new(Bell::new().unwrap());
        for ring in 2..50 {
            assert!(queue.start(ring, (0..250).map(Arc::new).collect()));
        }
        assert!(queue.frame(1, Arc::new(7)));
        // And it has room where there is none for frames.
        while queue.frame(1, Arc::new(8)) {}
        assert!(queue.start(50, vec![Arc::new(9)]));
        let mut taken = Taken::default();
        queue.take(&mut taken);
        assert!(matches!(taken.frames.pop_back(), Some(Item::Start(50, _))));
        assert_eq!(taken.frames.len(), FRAMES);
        queue.end();
        assert!(!queue.start(51, vec![Arc::new(9)]));
    }

    #[test]
    fn nothing_that_comes_is_slept_over() {
        let queue = Arc::new(Queue::<u32>::new(Bell::new().unwrap()));
        let mut poll = Poll::new().unwrap();
        poll.add(queue.bell(), 0).unwrap();
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                std::thread::spawn(move || {
                    for n in 0..5_000 {
                        while !queue.frame(1, Arc::new(n)) {
                            std::thread::yield_now(); // poll
                        }
                    }
                })
            })
            .collect();
        let (mut taken, mut got) = (Taken::default(), 0);
        while got < 20_000 {
            poll.wait(Some(Duration::from_secs(60))).unwrap();
            assert!(poll.count() > 0, "asleep with {got}");
            queue.take(&mut taken);
            got += taken.frames.drain(..).count();
        }
        senders.into_iter().for_each(|s| s.join().unwrap());
    }
}
