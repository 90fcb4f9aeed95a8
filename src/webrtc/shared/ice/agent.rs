//! The agent: what its owner calls.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::checks::Check;
use super::pairs::{Pair, Pairs, State, pairable};
use super::{
    BASES, CONSENT, CONSENT_LIFE, Candidate, Credentials, EAGER, Event, FRESH, Generation, Kind, RENOMINATED, Role,
    Route, SILENT, Transmit, Via, priority, tcp_preference,
};

/// The route that media takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selected {
    pub route: Route,
    /// Whose credentials its consent checks carry.
    pub generation: u32,
    pub priority: u64,
    /// It works, and the peer has nominated none so far: the first that it nominates
    /// takes over.
    pub provisional: bool,
    /// When something that verified last came by it.
    pub heard: Instant,
    /// When the peer last nominated it.
    pub nominated: Instant,
    /// The next consent check.
    pub check_at: Instant,
    /// The end of the peer's consent.
    pub expires: Instant,
}

/// See the module.
#[derive(Debug)]
pub struct Agent {
    pub(super) role: Role,
    pub(super) tie_breaker: u64,
    pub(super) current: Generation,
    /// While a restart is under way, that of the selected pair.
    pub(super) previous: Option<Generation>,
    pub(super) bases: Vec<SocketAddr>,
    pub(super) pairs: Pairs,
    pub(super) checks: VecDeque<Check>,
    pub(super) selected: Option<Selected>,
    /// When a session whose connection is closed has lost its consent.
    pub(super) orphaned: Option<Instant>,
    /// No new check before.
    pub(super) next_check: Instant,
    /// So many checks may still be sent before their time.
    pub(super) eager: u8,
    /// When a controlling agent makes up its mind.
    pub(super) nominate_at: Option<Instant>,
    pub(super) out: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event>,
    pub(super) rng: StdRng,
    tag: Option<u32>,
}

impl Agent {
    /// An agent with our credentials, and the peer's where they are known. `bases` are
    /// the UDP addresses that checks are sent from, best first; of more than [`BASES`]
    /// the last are left out. `seed` is from a secure source.
    pub fn new(
        role: Role,
        local: Credentials,
        remote: Option<Credentials>,
        bases: &[SocketAddr],
        seed: [u8; 32],
        now: Instant,
    ) -> Agent {
        let mut rng = StdRng::from_seed(seed);
        Agent {
            role,
            tie_breaker: rng.random(),
            current: Generation::new(0, local, remote),
            previous: None,
            bases: bases.iter().copied().take(BASES).collect(),
            pairs: Pairs::default(),
            checks: VecDeque::new(),
            selected: None,
            orphaned: None,
            next_check: now,
            eager: EAGER,
            nominate_at: None,
            out: VecDeque::new(),
            events: VecDeque::new(),
            rng,
            tag: None,
        }
    }

    /// Lets its transactions begin with a number, so that whoever has one socket for many
    /// agents finds the one that an answer is for. 64 random bits are left, and what an
    /// answer is believed by is its integrity.
    pub fn with_tag(self, tag: u32) -> Agent {
        Agent { tag: Some(tag), ..self }
    }

    /// Sets the peer's credentials, where they were not known. Told again, they change
    /// nothing: that is what [`Agent::restart`] is for.
    pub fn set_remote(&mut self, remote: &Credentials) {
        if self.current.remote.is_none() {
            self.current = Generation::new(self.current.number, self.current.local.clone(), Some(remote.clone()));
        }
    }

    /// Takes a candidate of the peer. One that is known already (also by its packets) and
    /// those over the bound change nothing.
    pub fn add_remote(&mut self, candidate: Candidate) {
        for i in 0..self.bases.len() {
            let local = self.bases[i]; // invariant: i < len
            if pairable(local.ip(), candidate.address.ip()) && candidate.address.port() != 0 {
                let route = Route { via: Via::Udp, local, remote: candidate.address };
                match self.pairs.get_mut(route) {
                    // It was seen before it was told.
                    Some(pair) => pair.remote_priority = candidate.priority,
                    None => _ = self.open(route, candidate.priority),
                }
            }
        }
    }

    /// Adds a pair; false when there are too many.
    pub(super) fn open(&mut self, route: Route, remote_priority: u32) -> bool {
        let pair = Pair::new(route, self.local_priority(route, Kind::Host), remote_priority);
        self.pairs.insert(pair, self.role, self.selected.map(|s| s.route))
    }

    /// What our end of a route is worth.
    pub(super) fn local_priority(&self, route: Route, kind: Kind) -> u32 {
        let order = self.bases.iter().position(|b| *b == route.local).unwrap_or(BASES) as u16;
        priority(kind, if route.via == Via::Udp { u16::MAX - order } else { tcp_preference(0x1fff - order) })
    }

    /// Begins an ICE restart (RFC 8445 §9): new credentials on both sides, all addresses
    /// are checked anew. Until one of them is selected, media goes where it went, and the
    /// old credentials are answered to. `role` stays (§7.3.1.1 decides conflicts).
    pub fn restart(&mut self, local: Credentials, remote: Option<Credentials>) {
        let next = Generation::new(self.current.number.wrapping_add(1), local, remote);
        let old = std::mem::replace(&mut self.current, next);
        // A restart upon a restart: the one in between never came to anything.
        if self.selected.is_some_and(|s| s.generation == old.number) {
            self.previous = Some(old);
        } else if self.selected.is_none() {
            self.previous = None;
        }
        let keep = self.selected.map(|s| s.generation);
        self.checks.retain(|c| Some(c.generation) == keep);
        self.pairs.clear();
        self.nominate_at = None;
        self.eager = EAGER;
    }

    /// The ufrags of ours that packets may name: the present one, and during a restart
    /// the one before.
    pub fn ufrags(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.current).chain(&self.previous).map(|g| g.local.ufrag.as_str())
    }

    /// Where to send.
    pub fn selected(&self) -> Option<Route> {
        self.selected.map(|s| s.route)
    }

    /// Whether the peer has shown by STUN that it is behind a route: it answered there, or
    /// is being sent to.
    pub fn knows(&self, route: Route) -> bool {
        self.selected.is_some_and(|s| s.route == route) || self.pairs.get(route).is_some_and(|p| p.answered.is_some())
    }

    /// Controlling or controlled; a conflict may have changed it.
    pub fn role(&self) -> Role {
        self.role
    }

    /// How many pairs there are.
    pub fn pair_count(&self) -> usize {
        self.pairs.iter().count()
    }

    /// Something other than STUN that verified (SRTCP, SRTP, DTLS after its end) came by
    /// this route.
    pub fn heard(&mut self, route: Route, now: Instant) {
        if let Some(s) = self.selected.as_mut().filter(|s| s.route == route) {
            s.heard = now;
        } else if let Some(pair) = self.pairs.get_mut(route) {
            pair.heard = Some(now);
            self.consider(route, now);
        }
    }

    /// A connection was closed.
    pub fn closed(&mut self, via: Via, now: Instant) {
        self.pairs.retain(|p| p.route.via != via);
        self.checks.retain(|c| c.route.via != via);
        let Some(s) = self.selected.filter(|s| s.route.via == via) else { return };
        self.selected = None;
        self.previous = None;
        self.orphaned = Some(s.expires);
        self.events.push_back(Event::Paused);
        let role = self.role;
        let works = |p: &&Pair| p.state == State::Succeeded && (p.nominated || role == Role::Controlled);
        if let Some(next) =
            self.pairs.iter().filter(works).max_by_key(|p| (p.nominated, p.priority(role))).map(|p| p.route)
        {
            self.consider(next, now);
        }
        if role == Role::Controlling && self.selected.is_none() {
            self.nominate_at = Some(now);
        }
    }

    /// Whether a pair is to be selected now, in place of another.
    ///
    /// Before the peer nominates one, what works is good enough (RFC 8445 §12.1 lets us
    /// send on every valid pair): peers that nominate by a check of their own send it a
    /// pace later, and the first picture would wait for that.
    pub(super) fn consider(&mut self, route: Route, now: Instant) {
        let role = self.role;
        let Some(pair) = self.pairs.get_mut(route) else { return };
        if pair.state != State::Succeeded {
            return;
        }
        let (priority, nominated) = (pair.priority(role), pair.nominated);
        let go = match &mut self.selected {
            _ if !nominated && role == Role::Controlling => false,
            None => true,
            Some(s) if !nominated => s.provisional && priority > s.priority,
            Some(s) if s.generation != self.current.number => true,
            Some(s) if s.route == route => {
                s.priority = priority;
                if std::mem::take(&mut s.provisional) {
                    s.nominated = now;
                    self.others_anew(route);
                }
                return;
            }
            Some(_) if role == Role::Controlling => true,
            Some(s) => {
                let since = |at| now.saturating_duration_since(at);
                s.provisional || priority > s.priority || since(s.heard) > SILENT || since(s.nominated) > RENOMINATED
            }
        };
        if !go {
            return;
        }
        // Whoever replays a packet of the peer from another address gets a check, and
        // no media: it cannot answer.
        let fresh = pair.answered.is_some_and(|at| now.saturating_duration_since(at) <= FRESH);
        if !fresh {
            if nominated {
                (pair.nominated, pair.wanted, pair.triggered) = (false, true, true);
            } else if self.selected.is_none() {
                pair.triggered = true;
            }
            return;
        }
        let answered = pair.answered.unwrap_or(now);
        if nominated {
            self.others_anew(route);
        }
        self.selected = Some(Selected {
            route,
            generation: self.current.number,
            priority,
            provisional: !nominated,
            heard: now,
            nominated: now,
            check_at: now + self.consent_pause(),
            expires: answered + CONSENT_LIFE,
        });
        self.orphaned = None;
        self.nominate_at = None;
        if self.previous.take().is_some() {
            let number = self.current.number;
            self.checks.retain(|c| c.generation == number);
        }
        // Only the last one counts, and a list cannot grow by moves that nobody reads.
        self.events.retain(|e| !matches!(e, Event::Selected(_) | Event::Paused));
        self.events.push_back(Event::Selected(route));
    }

    /// The other pairs have to be nominated anew, or one that was left would take over again.
    fn others_anew(&mut self, route: Route) {
        self.pairs.iter_mut().filter(|p| p.route != route).for_each(|p| p.nominated = false);
    }

    /// 4 to 6 s.
    pub(super) fn consent_pause(&mut self) -> std::time::Duration {
        CONSENT.mul_f64(0.8 + 0.4 * self.rng.random::<f64>())
    }

    /// Random bytes for a transaction.
    pub(super) fn transaction(&mut self) -> [u8; 12] {
        let mut id = [0; 12];
        self.rng.fill_bytes(&mut id);
        if let Some(tag) = self.tag {
            id[..4].copy_from_slice(&tag.to_be_bytes());
        }
        id
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
