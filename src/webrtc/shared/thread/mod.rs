//! A media thread: owns sessions and rings, and is the only one that touches them; the
//! sockets it has in common with the others. It sleeps until there is something to receive, a frame, a command, or until a
//! session wants to be called.
//!
//! Whoever is no peer of a session gets no answer and leaves nothing behind: a datagram
//! costs a look for its session and is gone; a connection is closed after a while.

mod core;
mod door;
mod reflexive;
mod routes;
mod start;
mod table;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use self::core::{Core, Received};
use self::door::Door;
use self::routes::{any, plain, plain_remote};
use super::batch::Batch;
use super::control::{Command, Config};
use super::directory::Share;
use super::ice::{Route, Via};
use super::net::{CONNECTIONS, LISTENERS, Outcome, Poll, Receiver, Sender, Tcp, Udp};
use super::queue::{Item, Queue, Taken};
use super::ring::Unit;

pub use self::door::Adopted;
pub use self::start::{Sockets, start};

/// The token of the bell; sockets follow.
const BELL: u64 = 0;
/// A batch goes out when it has so many bytes: it should still be in the cache.
const ENOUGH: usize = 128 * 1024;
/// Calls of recvmmsg per socket and wake-up: then frames and timers have their turn.
const ROUNDS: usize = 4;
/// Frames without meaning that a connection may send before it is closed.
const RUBBISH: u32 = 16;

struct Thread<U> {
    core: Core<U>,
    out: Out,
    /// Of the thread that receives.
    receiver: Option<Receiver>,
    door: Option<Door<U>>,
    poll: Poll,
    taken: Taken<U>,
    /// Frames of a connection: their bytes one behind the other, and where each ends.
    inbox: (Vec<u8>, Vec<usize>),
    /// Rubbish by connection.
    strikes: std::collections::HashMap<u32, u32>,
    routes: std::collections::HashMap<u32, Route>,
    queue: End<U>,
}

/// The queue is closed when the thread ends, however it does.
struct End<U>(Arc<Queue<U>>, Option<Share>);

impl<U> Drop for End<U> {
    fn drop(&mut self) {
        self.0.end();
        self.0.counters.sessions.store(0, Ordering::Relaxed);
        self.1.iter().for_each(Share::end);
    }
}

/// What leaves.
struct Out {
    sockets: Arc<[Udp]>,
    tcp: Tcp,
    sender: Sender,
    outcome: Outcome,
}

impl Out {
    fn flush(&mut self, batch: &mut Batch, poll: &Poll) {
        if batch.is_empty() {
            return;
        }
        let tcp = &mut self.tcp;
        let by_tcp = |run: &super::batch::Run, bytes: &[u8]| match run.route.via {
            Via::Tcp(n) => tcp.write(n, run, bytes, poll),
            Via::Udp => false,
        };
        self.sender.flush(batch, &self.sockets, by_tcp, &mut self.outcome);
        batch.clear();
    }

    /// Sends, where enough waits.
    fn relieve(&mut self, batch: &mut Batch, poll: &Poll) {
        if batch.bytes() >= ENOUGH {
            self.flush(batch, poll);
        }
    }
}

impl<U: Unit> Thread<U> {
    /// `receives`: it reads the sockets and takes connections, for the others too where it
    /// has a door to them.
    fn new(
        config: Config,
        sockets: Sockets,
        (receives, share, door): (bool, Option<Share>, Option<Door<U>>),
        poll: Poll,
        queue: Arc<Queue<U>>,
    ) -> io::Result<Self> {
        // From here on: whatever goes wrong closes the queue.
        let queue = End(queue, share.clone());
        let listeners = if receives { sockets.tcp } else { Arc::default() };
        let tcp = Tcp::new(listeners, config.connections, config.strangers);
        if receives {
            for (i, socket) in sockets.udp.iter().enumerate() {
                poll.add(socket, BELL + 1 + i as u64)?;
            }
            tcp.begin(&poll)?;
        }
        let sender = Sender::new(config.egress, &sockets.udp);
        #[cfg(test)]
        let sender = sender.with_trouble(config.trouble.clone());
        Ok(Thread {
            core: Core::new(config.context, config.sessions, config.budget, share),
            out: Out { sockets: sockets.udp, tcp, sender, outcome: Outcome::default() },
            receiver: receives.then(Receiver::new),
            door,
            poll,
            taken: Taken::default(),
            inbox: (Vec::new(), Vec::new()),
            strikes: Default::default(),
            routes: Default::default(),
            queue,
        })
    }

    fn run(mut self) {
        while !self.core.over {
            self.sleep();
            self.turn();
        }
        // What is registered, sent and asked is over; then the sockets go, and then those
        // who wait for that are told.
        let Thread { core, out, queue, poll, .. } = self;
        drop((out, poll));
        let Core { dones, .. } = core;
        drop(queue);
        dones.into_iter().for_each(|done| done());
    }

    fn sleep(&mut self) {
        let due = self.core.next().into_iter().chain(self.out.tcp.due()).min();
        let time = due.map(|at| at.saturating_duration_since(Instant::now()));
        if self.poll.wait(time).is_err() {
            // Of a descriptor of ours: there is nothing to be waited for any more.
            self.core.over = true;
        }
    }

    /// One wake-up.
    fn turn(&mut self) {
        let now = self.core.wake();
        // Answers to what came share one patience, however many: then frames have their turn.
        self.out.sender.rested();
        self.queue.0.counters.wakes.fetch_add(1, Ordering::Relaxed);
        for i in 0..self.poll.count() {
            let Some(ready) = self.poll.get(i) else { break };
            match ready.token {
                BELL => self.control(),
                CONNECTIONS.. => {
                    let n = (ready.token - CONNECTIONS) as u32;
                    if ready.write {
                        self.out.tcp.drain(n, &self.poll);
                    }
                    if ready.read {
                        self.connection(n);
                    }
                }
                LISTENERS.. => self.out.tcp.accept((ready.token - LISTENERS) as usize, now, &self.poll),
                token => self.datagrams((token - 1) as usize),
            }
        }
        self.out.tcp.expire(now, &self.poll);
        self.lost();
        let Thread { core, out, poll, .. } = self;
        let mut full = |batch: &mut Batch| {
            out.sender.rested();
            out.relieve(batch, poll);
        };
        core.media(&mut full);
        core.timers(&mut full);
        core.settle(&mut full);
        self.questions(now);
        self.out.sender.rested();
        self.out.flush(&mut self.core.batch, &self.poll);
        self.after();
    }

    /// Commands, what the thread that receives has passed on, and frames.
    fn control(&mut self) {
        let mut taken = std::mem::take(&mut self.taken);
        self.queue.0.take(&mut taken);
        for command in taken.commands.drain(..) {
            match command {
                Command::Adopt(adopted) => self.adopt(*adopted),
                other => self.core.command(other, &self.out.sockets),
            }
            self.out.relieve(&mut self.core.batch, &self.poll);
        }
        let (received, mut foreign) = (taken.datagrams.len() as u64, 0);
        for (route, mut data) in taken.datagrams.drain(..) {
            foreign += u64::from(self.core.receive(route, &mut data) == Received::Foreign);
            self.out.relieve(&mut self.core.batch, &self.poll);
        }
        self.count(received, foreign);
        for item in taken.frames.drain(..) {
            match item {
                Item::Frame(ring, unit) => self.core.frame(ring, unit),
                Item::Start(ring, units) => units.into_iter().for_each(|unit| self.core.frame(ring, unit)),
                Item::Interrupt(ring) => self.core.interrupt(ring),
            }
        }
        self.taken = taken;
    }

    /// Reads a socket.
    fn datagrams(&mut self, i: usize) {
        let (mut received, mut foreign) = (0, 0);
        let sockets = self.out.sockets.clone();
        for _ in 0..ROUNDS {
            let (Some(socket), Some(receiver)) = (sockets.get(i), &mut self.receiver) else { break };
            // An error is that of a packet that we sent.
            let more = receiver.receive(socket).unwrap_or(true);
            for k in 0..receiver.count() {
                let Some((remote, local, data)) = receiver.get(k, socket) else {
                    (received, foreign) = (received + 1, foreign + 1);
                    continue;
                };
                let route = Route { via: Via::Udp, local: plain(local), remote: plain_remote(remote) };
                if let Some(door) = &mut self.door
                    && let Some(to) = door.whose(&route, data)
                {
                    door.pass(to, route, data);
                    continue;
                }
                received += 1;
                foreign += u64::from(self.core.receive(route, data) == Received::Foreign);
                // All of them may miss as much.
                self.out.relieve(&mut self.core.batch, &self.poll);
            }
            if !more {
                break;
            }
        }
        self.count(received, foreign);
    }

    fn count(&self, received: u64, foreign: u64) {
        let counters = &self.queue.0.counters;
        counters.received.fetch_add(received, Ordering::Relaxed);
        counters.foreign.fetch_add(foreign, Ordering::Relaxed);
    }

    /// Reads a connection.
    fn connection(&mut self, n: u32) {
        let (bytes, ends) = &mut self.inbox;
        bytes.clear();
        ends.clear();
        let mut by = None;
        self.out.tcp.read(n, |route, frame| {
            by = Some(route);
            bytes.extend_from_slice(frame);
            ends.push(bytes.len());
        });
        let (bytes, ends) = (std::mem::take(&mut self.inbox.0), std::mem::take(&mut self.inbox.1));
        self.inbox = match by {
            Some(route) => self.connected(n, route, bytes, ends),
            None => (bytes, ends),
        };
    }

    /// Takes frames of a connection, one behind the other; gives their memory back.
    fn connected(&mut self, n: u32, route: Route, mut bytes: Vec<u8>, ends: Vec<usize>) -> (Vec<u8>, Vec<usize>) {
        self.routes.insert(n, route);
        let (mut from, mut foreign, mut received) = (0, 0, 0);
        for (i, end) in ends.iter().copied().enumerate() {
            let Some(data) = bytes.get_mut(from..end) else { break };
            if let Some(door) = &mut self.door
                && !self.out.tcp.is_known(n)
                && let Some(to) = door.whose(&route, data)
            {
                // It is that session's, with all that has not been looked at yet.
                if let Some(connection) = self.out.tcp.give(n, &self.poll) {
                    let ends = ends.iter().skip(i).map(|e| e - from).collect();
                    self.out.tcp.refused +=
                        u64::from(!door.give(to, Adopted { connection, bytes: bytes.split_off(from), ends }));
                }
                self.strikes.remove(&n);
                self.routes.remove(&n);
                break;
            }
            from = end;
            received += 1;
            match self.core.receive(route, data) {
                Received::Authentic => self.out.tcp.known(n),
                Received::Ours => {}
                Received::Foreign => foreign += 1,
            }
        }
        self.count(received, foreign);
        if foreign > 0 && !self.out.tcp.is_known(n) {
            let strikes = self.strikes.entry(n).or_default();
            *strikes += foreign as u32;
            if *strikes > RUBBISH {
                self.out.tcp.refused += 1;
                self.out.tcp.close(n);
            }
        }
        (bytes, ends)
    }

    /// Takes over a connection that the thread that receives has taken.
    fn adopt(&mut self, adopted: Adopted) {
        let Adopted { connection, bytes, ends } = adopted;
        if let Some((n, route)) = self.out.tcp.adopt(connection, Instant::now(), &self.poll) {
            self.connected(n, route, bytes, ends);
        }
    }

    /// Connections that have been closed.
    fn lost(&mut self) {
        while let Some(n) = self.out.tcp.poll_closed() {
            self.strikes.remove(&n);
            if let Some(route) = self.routes.remove(&n) {
                self.core.closed(route);
            }
        }
    }

    /// What STUN servers are asked.
    fn questions(&mut self, now: Instant) {
        if self.core.questions.due().is_none_or(|at| at > now) {
            return;
        }
        let Core { questions, batch, .. } = &mut self.core;
        let sockets = &self.out.sockets;
        questions.send(now, |server, data| {
            // The kernel chooses the address on a socket that has all.
            let fits = |s: &&Udp| s.address().is_ipv4() == server.is_ipv4() || s.owns(any(s, server));
            let Some(socket) = sockets.iter().find(fits) else { return };
            let local = any(socket, server);
            batch.put(Route { via: Via::Udp, local, remote: server }, data.len(), |out| {
                out.copy_from_slice(data);
                Some(data.len())
            });
        });
    }

    /// Everything is sent: what did not go out, and what waited for it.
    fn after(&mut self) {
        let Outcome { sent, unsent, .. } = self.out.outcome;
        let counters = &self.queue.0.counters;
        counters.sent.fetch_add(sent, Ordering::Relaxed);
        counters.unsent.fetch_add(unsent, Ordering::Relaxed);
        if unsent > 0 {
            let behind = std::mem::take(&mut self.out.outcome.behind);
            behind.iter().for_each(|route| self.core.behind(*route));
            self.out.outcome.behind = behind;
            self.core.settle(|_| ());
        }
        self.out.outcome.clear();
        while let Some(n) = self.core.hang_up.pop() {
            self.out.tcp.close(n);
        }
        self.lost();
        self.core.settle(|_| ());
        self.out.flush(&mut self.core.batch, &self.poll);
        let counters = &self.queue.0.counters;
        counters.sessions.store(self.core.table.len() as u64, Ordering::Relaxed);
        counters.connections.store(self.out.tcp.count() as u64, Ordering::Relaxed);
        counters.connections_refused.store(self.out.tcp.refused, Ordering::Relaxed);
        counters.egress.store(self.out.sender.egress() as u8, Ordering::Relaxed);
        if !self.core.over {
            self.core.dones.drain(..).for_each(|done| done());
        }
    }
}

#[cfg(test)]
mod tests;
