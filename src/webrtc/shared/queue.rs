//! What waits for a media thread: frames and commands, both bounded, and the bell that
//! wakes it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::control::{COMMANDS, Command, Counters, FRAMES, Refused, RingId};
use super::net::Bell;

/// Something for a ring, in order.
pub(super) enum Item<U> {
    /// A frame.
    Frame(RingId, Arc<U>),
    /// What comes next does not continue what was there.
    Interrupt(RingId),
}

struct Waiting<U> {
    frames: VecDeque<Item<U>>,
    commands: VecDeque<Command>,
    /// The thread has ended.
    gone: bool,
}

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
        let waiting = Waiting { frames: VecDeque::with_capacity(FRAMES), commands: VecDeque::new(), gone: false };
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
            if w.gone || w.frames.len() >= FRAMES {
                drop(w);
                self.counters.frames_dropped.fetch_add(1, Ordering::Relaxed);
                return false;
            }
            w.frames.push_back(Item::Frame(ring, unit));
        }
        self.ring();
        true
    }

    /// See [`super::control::Feed::interrupt`]. Twice in a row is once, so that the queue
    /// stays bounded: there is at most one behind each frame and ring.
    pub fn interrupt(&self, ring: RingId) {
        {
            let mut w = self.lock();
            let said = w.frames.iter().rev().map_while(|i| match i {
                Item::Interrupt(r) => Some(*r == ring),
                Item::Frame(..) => None,
            });
            if w.gone || said.into_iter().any(|same| same) {
                return;
            }
            w.frames.push_back(Item::Interrupt(ring));
        }
        self.ring();
    }

    /// A command that asks for something.
    pub fn command(&self, command: Command) -> Result<(), Refused> {
        {
            let mut w = self.lock();
            match (w.gone, w.commands.len()) {
                (true, _) => return Err(Refused::Gone),
                (_, COMMANDS..) => return Err(Refused::Full),
                _ => w.commands.push_back(command),
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
            w.commands.push_back(command);
        }
        self.ring();
    }

    /// The thread's side: takes everything that waits. The lists are swapped, so that both
    /// sides keep their memory.
    pub fn take(&self, frames: &mut VecDeque<Item<U>>, commands: &mut VecDeque<Command>) {
        // In this order: a ring that were heard after `rung` is false again would be one
        // that nobody repeats. And before the lists are looked at: what comes after that
        // rings anew.
        self.bell.hear();
        self.rung.store(false, Ordering::Release);
        let mut w = self.lock();
        std::mem::swap(&mut w.frames, frames);
        std::mem::swap(&mut w.commands, commands);
    }

    /// The thread ends: nothing is taken any more. What still waited is let go.
    pub fn end(&self) {
        let (frames, commands) = {
            let mut w = self.lock();
            w.gone = true;
            (std::mem::take(&mut w.frames), std::mem::take(&mut w.commands))
        };
        drop(frames);
        commands.into_iter().for_each(finished);
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
        let (mut frames, mut commands, mut got) = (VecDeque::new(), VecDeque::new(), 0);
        while got < 20_000 {
            poll.wait(Some(Duration::from_secs(60))).unwrap();
            assert!(poll.count() > 0, "asleep with {got}");
            queue.take(&mut frames, &mut commands);
            got += frames.drain(..).count();
        }
        senders.into_iter().for_each(|s| s.join().unwrap());
    }
}
