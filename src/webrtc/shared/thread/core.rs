//! Sessions, rings and timers of a thread, without sockets: what comes in goes to the
//! session that it is for, what is to go out is put into the batch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::super::batch::Batch;
use super::super::control::{Command, Done, Event, Id, Open, RingId};
use super::super::demux::{Protocol, classify};
use super::super::directory::Share;
use super::super::dtls::Context;
use super::super::ice::{Route, Via};
use super::super::net::{Udp, monotonic};
use super::super::ring::{Cap, Ring, Unit};
use super::super::session::{self, Budget, Clock, Session, Taken};
use super::super::stun::Message;
use super::super::wheel::Wheel;
use super::reflexive::Questions;
use super::table::{New, Table};

/// A rendition's packets, and who reads them.
pub(super) struct Shelf<U> {
    ring: Ring<U>,
    readers: Vec<u32>,
    /// Frames came in this wake-up.
    fresh: bool,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// A session's, and the peer's.
    Authentic,
    /// For a session, and nothing is known by it (DTLS during the handshake).
    Ours,
    /// Nobody's.
    Foreign,
}

/// See the module.
pub(super) struct Core<U> {
    context: Context,
    most: usize,
    pub table: Table,
    shelves: HashMap<RingId, Shelf<U>>,
    /// Shelves with fresh frames.
    fresh: Vec<RingId>,
    wheel: Wheel,
    budget: Budget,
    pub batch: Batch,
    pub questions: Questions,
    /// Sessions that were called in this wake-up.
    touched: Vec<u32>,
    due: Vec<u32>,
    now: Instant,
    clock: Clock,
    wake: u64,
    /// Connections that nobody needs any more.
    pub hang_up: Vec<u32>,
    /// To be called when what is in the batch is sent.
    pub dones: Vec<Done>,
    /// The thread is to end.
    pub over: bool,
}

/// The wall clock beside the path's.
fn clock() -> Clock {
    Clock { monotonic: monotonic(), unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
}

impl<U: Unit> Core<U> {
    pub fn new(context: Context, most: usize, budget: usize, share: Option<Share>) -> Self {
        let now = Instant::now();
        Core {
            context,
            most,
            table: Table::new(share),
            shelves: HashMap::new(),
            fresh: Vec::new(),
            wheel: Wheel::new(now),
            budget: Budget::new(budget, now),
            batch: Batch::new(),
            questions: Questions::default(),
            touched: Vec::new(),
            due: Vec::new(),
            now,
            clock: clock(),
            wake: 0,
            hang_up: Vec::new(),
            dones: Vec::new(),
            over: false,
        }
    }

    /// A wake-up begins.
    pub fn wake(&mut self) -> Instant {
        self.now = Instant::now();
        self.clock = clock();
        self.wake += 1;
        self.now
    }

    /// When the next timer is due.
    pub fn next(&self) -> Option<Instant> {
        self.wheel.next().into_iter().chain(self.questions.due()).min()
    }

    /// Does what control asks for.
    pub fn command(&mut self, command: Command, sockets: &[Udp]) {
        match command {
            Command::Open(open) => self.open(*open, sockets),
            Command::Candidates(id, list) => self.with(id, |s, _| {
                list.into_iter().for_each(|c| s.agent().add_remote(c));
            }),
            Command::Restart { id, local, remote } => {
                let Some(key) = self.table.by_id(id).filter(|k| !self.table.is_anothers(*k, &local.ufrag)) else {
                    return self.table.disown(&local.ufrag);
                };
                self.with(id, |s, _| s.agent().restart(local, Some(remote)));
                self.table.renamed(key);
            }
            Command::Close { id, why, done } => {
                self.with(id, |s, batch| s.close(&why, batch));
                self.dones.extend(done);
            }
            Command::Register(id, cap) => self.register(id, cap),
            Command::Unregister(id) => _ = self.shelves.remove(&id),
            // The thread's: it has the connections.
            Command::Adopt(_) => {}
            Command::Reflexive { server, wait, answer } => self.questions.ask(server, wait, answer, self.now),
            Command::Shutdown { why, done } => {
                self.over = true;
                self.dones.extend(done);
                for key in self.table.keys() {
                    if let Some(entry) = self.table.get(key) {
                        entry.session.close(&why, &mut self.batch);
                    }
                    self.touch(key);
                }
            }
        }
    }

    fn register(&mut self, id: RingId, cap: Cap) {
        self.shelves.insert(id, Shelf { ring: Ring::new(cap), readers: Vec::new(), fresh: false });
    }

    fn with(&mut self, id: Id, call: impl FnOnce(&mut Session, &mut Batch)) {
        let Some(key) = self.table.by_id(id) else { return };
        if let Some(entry) = self.table.get(key) {
            call(&mut entry.session, &mut self.batch);
        }
        self.touch(key);
    }

    fn open(&mut self, open: Open, sockets: &[Udp]) {
        let Open { id, role, local, remote, bases, side, fingerprint, streams, cname, seed, candidates, .. } = open;
        let refused = match self.table.takes(id, &local.ufrag) {
            _ if self.table.len() >= self.most => Some("too many sessions"),
            false => Some("a session of this name is there already"),
            true => None,
        };
        if let Some(why) = refused {
            self.table.disown(&local.ufrag);
            return (open.listener)(Event::Closed(why.into()));
        }
        let bases: Vec<_> = bases.into_iter().filter(|b| sockets.iter().any(|s| s.owns(*b))).collect();
        let rings: Vec<RingId> = streams.iter().map(|s| s.ring).collect();
        let tag = self.table.tag();
        let opening =
            session::Opening { role, local, remote, bases: &bases, side, fingerprint, streams, cname, seed, tag };
        let mut session = Session::new(opening, &self.context, self.now);
        candidates.into_iter().for_each(|c| session.agent().add_remote(c));
        let new = New { id, session, status: open.status, listener: open.listener, rings: rings.clone(), tag };
        let key = self.table.insert(new);
        for ring in rings {
            if let Some(shelf) = self.shelves.get_mut(&ring)
                && !shelf.readers.contains(&key)
            {
                shelf.readers.push(key);
            }
        }
        self.touch(key);
    }

    /// A session was called: what comes of it is looked at before the wake-up ends.
    fn touch(&mut self, key: u32) {
        if let Some(entry) = self.table.get(key)
            && !entry.touched
        {
            entry.touched = true;
            self.touched.push(key);
        }
    }

    /// A packet came.
    pub fn receive(&mut self, route: Route, data: &mut [u8]) -> Received {
        let key = match classify(data) {
            Protocol::Stun => {
                let Some(message) = Message::parse(data) else { return Received::Foreign };
                if self.questions.take(&message, route.remote) {
                    return Received::Ours;
                }
                self.table.by_message(&message)
            }
            Protocol::Dtls | Protocol::Rtcp => self.table.by_route(&route),
            // Viewers send no media.
            Protocol::Rtp | Protocol::Other => None,
        };
        let Some(key) = key else { return Received::Foreign };
        let Some(entry) = self.table.get(key) else { return Received::Foreign };
        let shelves = &self.shelves;
        let rings = |id: RingId| shelves.get(&id).map(|s| &s.ring);
        let taken = entry.session.handle_packet((route, data), (self.now, self.clock), &rings, &mut self.batch);
        match taken {
            Taken::Authentic => {
                self.table.heard(key, route, self.now);
                self.touch(key);
                Received::Authentic
            }
            // DTLS may have gone on.
            Taken::Ignored => {
                self.touch(key);
                Received::Ours
            }
            Taken::Forged => {
                self.touch(key);
                Received::Foreign
            }
        }
    }

    /// A connection was closed.
    pub fn closed(&mut self, route: Route) {
        let Some(key) = self.table.forget(&route) else { return };
        if let Some(entry) = self.table.get(key) {
            entry.session.closed(route.via, self.now, &mut self.batch);
        }
        self.touch(key);
    }

    /// Calls who wants to be called now.
    pub fn timers(&mut self, mut full: impl FnMut(&mut Batch)) {
        self.wheel.expire(self.now, &mut self.due);
        let mut due = std::mem::take(&mut self.due);
        for key in due.drain(..) {
            if let Some(entry) = self.table.get(key) {
                let shelves = &self.shelves;
                let rings = |id: RingId| shelves.get(&id).map(|s| &s.ring);
                entry.session.handle_timeout((self.now, self.clock), &rings, &mut self.budget, &mut self.batch);
                full(&mut self.batch);
            }
            self.touch(key);
        }
        self.due = due;
    }

    /// A frame came for a ring.
    pub fn frame(&mut self, ring: RingId, unit: Arc<U>) {
        let Some(shelf) = self.shelves.get_mut(&ring) else { return };
        shelf.ring.push(unit, self.now);
        if !shelf.fresh {
            shelf.fresh = true;
            self.fresh.push(ring);
        }
    }

    /// A ring's stream is interrupted.
    pub fn interrupt(&mut self, ring: RingId) {
        if let Some(shelf) = self.shelves.get_mut(&ring) {
            shelf.ring.interrupt();
        }
    }

    /// Sends what came in to whoever reads it.
    pub fn media(&mut self, mut full: impl FnMut(&mut Batch)) {
        let mut fresh = std::mem::take(&mut self.fresh);
        for ring in fresh.drain(..) {
            if let Some(shelf) = self.shelves.get_mut(&ring) {
                shelf.fresh = false;
            }
            let shelves = &self.shelves;
            let Some(shelf) = shelves.get(&ring) else { continue };
            let rings = |id: RingId| shelves.get(&id).map(|s| &s.ring);
            for (i, key) in shelf.readers.iter().enumerate() {
                self.table.prefetch(shelf.readers.get(i + 2), false);
                self.table.prefetch(shelf.readers.get(i + 1), true);
                let Some(entry) = self.table.get(*key) else { continue };
                // Sound and picture at once: they were sent together.
                if entry.pumped == self.wake {
                    continue;
                }
                entry.pumped = self.wake;
                let times = (self.now, self.clock);
                let reported = entry.session.send_media(times, &rings, &mut self.budget, &mut self.batch);
                entry.status.sent(entry.session.stats());
                if reported {
                    self.wheel.set(*key, entry.session.poll_timeout(self.now));
                } else if let Some(at) = entry.session.media_due()
                    && self.wheel.get(*key).is_none_or(|set| set > at)
                {
                    self.wheel.set(*key, Some(at));
                }
                full(&mut self.batch);
            }
        }
        self.fresh = fresh;
    }

    /// Packets to a peer did not go out: its streams go on with their next key frames. On
    /// another way than theirs it was an answer to a check.
    pub fn behind(&mut self, route: Route) {
        let Some(key) = self.table.by_route(&route) else { return };
        let Some(entry) = self.table.get(key).filter(|e| e.session.route() == Some(route)) else { return };
        let shelves = &self.shelves;
        entry.session.fell_behind(&|id: RingId| shelves.get(&id).map(|s| &s.ring));
        self.touch(key);
    }

    /// Looks at what came of those that were called.
    pub fn settle(&mut self, mut full: impl FnMut(&mut Batch)) {
        let mut i = 0;
        while let Some(key) = self.touched.get(i).copied() {
            i += 1;
            self.look(key);
            full(&mut self.batch);
        }
        self.touched.clear();
    }

    fn look(&mut self, key: u32) {
        let Some(entry) = self.table.get(key) else { return };
        entry.touched = false;
        let mut over = false;
        while let Some(event) = entry.session.poll_event() {
            match event {
                session::Event::Connected => {
                    (entry.listener)(Event::Connected);
                    // The first picture at once, not with the next one.
                    let shelves = &self.shelves;
                    let rings = |id: RingId| shelves.get(&id).map(|s| &s.ring);
                    let times = (self.now, self.clock);
                    entry.session.send_media(times, &rings, &mut self.budget, &mut self.batch);
                }
                session::Event::KeyWanted(stream) => (entry.listener)(Event::KeyWanted(stream)),
                session::Event::Narrow => (entry.listener)(Event::Narrow),
                session::Event::Closed(why) => {
                    entry.told = true;
                    (entry.listener)(Event::Closed(why));
                    over = true;
                }
            }
        }
        entry.status.set(entry.session.stats());
        if over {
            return self.remove(key);
        }
        if let Some(route) = entry.session.route().filter(|r| entry.route != Some(*r)) {
            entry.route = Some(route);
            (entry.listener)(Event::Route(route));
        }
        let at = entry.session.poll_timeout(self.now);
        self.wheel.set(key, at);
    }

    fn remove(&mut self, key: u32) {
        self.wheel.set(key, None);
        let Some((entry, routes)) = self.table.remove(key) else { return };
        for ring in &entry.rings {
            if let Some(shelf) = self.shelves.get_mut(ring)
                && let Some(at) = shelf.readers.iter().position(|r| *r == key)
            {
                shelf.readers.swap_remove(at);
            }
        }
        self.hang_up.extend(routes.iter().filter_map(|r| match r.via {
            Via::Tcp(n) => Some(n),
            Via::Udp => None,
        }));
    }
}
