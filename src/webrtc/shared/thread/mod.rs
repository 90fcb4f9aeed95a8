//! A media thread: owns sockets, sessions and rings, and is the only one that touches
//! them. It sleeps until there is something to receive, a frame, a command, or until a
//! session wants to be called.
//!
//! Whoever is no peer of a session gets no answer and leaves nothing behind: a datagram
//! costs a look for its session and is gone; a connection is closed after a while.

mod core;
mod reflexive;
mod table;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use self::core::{Core, Received};
use super::batch::Batch;
use super::control::{Command, Config, Handle, Local};
use super::ice::{Route, Via};
use super::net::{Bell, CONNECTIONS, LISTENERS, Outcome, Poll, Receiver, Sender, Tcp, Udp, listen};
use super::queue::{Item, Queue};
use super::ring::Unit;

/// The token of the bell; sockets follow.
const BELL: u64 = 0;
/// A batch goes out when it has so many bytes: it should still be in the cache.
const ENOUGH: usize = 128 * 1024;
/// Calls of recvmmsg per socket and wake-up: then frames and timers have their turn.
const ROUNDS: usize = 4;
/// Frames without meaning that a connection may send before it is closed.
const RUBBISH: u32 = 16;

/// Binds the sockets and starts a thread; it runs until it is told to end. The error is
/// that of an address that cannot be bound.
pub fn start<U>(config: Config) -> io::Result<Handle<U>>
where
    U: Unit + Send + Sync + 'static,
{
    let sockets: Vec<Udp> = config.udp.iter().map(|a| Udp::bind(*a, config.buffers)).collect::<io::Result<_>>()?;
    let listeners = config.tcp.iter().map(|a| listen(*a)).collect::<io::Result<Vec<_>>>()?;
    let local = Local {
        udp: sockets.iter().map(Udp::address).collect(),
        tcp: listeners.iter().map(|l| l.local_addr()).collect::<io::Result<_>>()?,
    };
    let poll = Poll::new()?;
    let queue = Arc::new(Queue::new(Bell::new()?));
    poll.add(queue.bell(), BELL)?;
    for (i, socket) in sockets.iter().enumerate() {
        poll.add(socket, BELL + 1 + i as u64)?;
    }
    let tcp = Tcp::new(listeners, config.connections, config.strangers);
    tcp.begin(&poll)?;
    let theirs = queue.clone();
    let name = config.name.clone();
    // What points into itself is made where it stays.
    let run = move || Thread::new(config, sockets, tcp, poll, theirs).run();
    std::thread::Builder::new().name(name).spawn(run)?;
    Ok(Handle::new(queue, local))
}

struct Thread<U> {
    core: Core<U>,
    out: Out,
    receiver: Receiver,
    poll: Poll,
    /// The kernel said that there is more.
    frames: VecDeque<Item<U>>,
    commands: VecDeque<Command>,
    /// Frames of a connection: their bytes one behind the other, and where each ends.
    inbox: (Vec<u8>, Vec<usize>),
    /// Rubbish by connection.
    strikes: std::collections::HashMap<u32, u32>,
    routes: std::collections::HashMap<u32, Route>,
    queue: End<U>,
}

/// The queue is closed when the thread ends, however it does.
struct End<U>(Arc<Queue<U>>);

impl<U> Drop for End<U> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What leaves.
struct Out {
    sockets: Vec<Udp>,
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
}

impl<U: Unit> Thread<U> {
    fn new(config: Config, sockets: Vec<Udp>, tcp: Tcp, poll: Poll, queue: Arc<Queue<U>>) -> Self {
        let sender = Sender::new(config.egress, &sockets);
        #[cfg(test)]
        let sender = sender.with_trouble(config.trouble.clone());
        Thread {
            core: Core::new(config.context, config.sessions, config.budget),
            out: Out { sockets, tcp, sender, outcome: Outcome::default() },
            receiver: Receiver::new(),
            poll,
            frames: VecDeque::new(),
            commands: VecDeque::new(),
            inbox: (Vec::new(), Vec::new()),
            strikes: Default::default(),
            routes: Default::default(),
            queue: End(queue),
        }
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
            if batch.bytes() >= ENOUGH {
                out.flush(batch, poll);
            }
        };
        core.media(&mut full);
        core.timers(&mut full);
        core.settle(&mut full);
        self.questions(now);
        self.out.flush(&mut self.core.batch, &self.poll);
        self.after();
    }

    /// Commands and frames.
    fn control(&mut self) {
        self.queue.0.take(&mut self.frames, &mut self.commands);
        for command in self.commands.drain(..) {
            self.core.command(command, &self.out.sockets);
            if self.core.batch.bytes() >= ENOUGH {
                self.out.flush(&mut self.core.batch, &self.poll);
            }
        }
        for item in self.frames.drain(..) {
            match item {
                Item::Frame(ring, unit) => self.core.frame(ring, unit),
                Item::Interrupt(ring) => self.core.interrupt(ring),
            }
        }
    }

    /// Reads a socket.
    fn datagrams(&mut self, i: usize) {
        let (mut received, mut foreign) = (0, 0);
        for _ in 0..ROUNDS {
            let Some(socket) = self.out.sockets.get(i) else { break };
            // An error is that of a packet that we sent.
            let more = self.receiver.receive(socket).unwrap_or(true);
            for k in 0..self.receiver.count() {
                received += 1;
                let Some((remote, local, data)) = self.receiver.get(k, socket) else {
                    foreign += 1;
                    continue;
                };
                let route = Route { via: Via::Udp, local: plain(local), remote: plain_remote(remote) };
                foreign += u64::from(self.core.receive(route, data) == Received::Foreign);
            }
            if self.core.batch.bytes() >= ENOUGH {
                self.out.flush(&mut self.core.batch, &self.poll);
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
        let Some(route) = by else { return };
        self.routes.insert(n, route);
        let (mut from, mut foreign, mut received) = (0, 0, 0);
        let (mut bytes, ends) = (std::mem::take(&mut self.inbox.0), std::mem::take(&mut self.inbox.1));
        for end in &ends {
            let Some(data) = bytes.get_mut(from..*end) else { break };
            from = *end;
            received += 1;
            match self.core.receive(route, data) {
                Received::Authentic => self.out.tcp.known(n),
                Received::Ours => {}
                Received::Foreign => foreign += 1,
            }
        }
        self.inbox = (bytes, ends);
        self.count(received, foreign);
        if foreign > 0 && !self.out.tcp.is_known(n) {
            let strikes = self.strikes.entry(n).or_default();
            *strikes += foreign as u32;
            if *strikes > RUBBISH {
                self.out.tcp.refused += 1;
                self.out.tcp.close(n);
            }
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

/// Our end without scope and flow, as it is told in candidates.
fn plain(a: SocketAddr) -> SocketAddr {
    SocketAddr::new(a.ip(), a.port())
}

/// The peer's end without its flow label; the scope of a link-local one stays.
fn plain_remote(a: SocketAddr) -> SocketAddr {
    match a {
        SocketAddr::V6(mut v6) => {
            v6.set_flowinfo(0);
            v6.into()
        }
        v4 => v4,
    }
}

/// A socket's address, as one of the family that a server has.
fn any(socket: &Udp, server: SocketAddr) -> SocketAddr {
    let address = socket.address();
    match (address.ip().is_unspecified(), server) {
        (true, SocketAddr::V4(_)) => SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), address.port()),
        _ => address,
    }
}

#[cfg(test)]
mod tests;
