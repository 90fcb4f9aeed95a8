//! Checks of ours, and everything that happens by the clock.

use std::time::{Duration, Instant};

use super::super::stun::{Class, Role, TransactionId, Writer};
use super::pairs::{Pair, State};
use super::{
    Agent, CHECKS, CONSENT, CONSENT_LIFE, Event, Generation, HEARD, Kind, LAST, PATIENCE, RTO, Route, TA, TRIES,
    Transmit, Via,
};

/// A check that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    pub id: TransactionId,
    pub route: Route,
    pub generation: u32,
    /// What we were when we sent it.
    pub role: Role,
    /// It carries USE-CANDIDATE.
    pub nominates: bool,
    /// From then on an answer does not count any more.
    pub ends: Instant,
}

/// The longest that a check of RFC 8445 is under way: 500 ms × (2⁶ − 1) + 8 s.
const WHOLE: Duration = Duration::from_millis(39_500);

impl Agent {
    /// When [`Agent::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = self.current.remote.as_ref().and(self.pairs.next(self.role)).map(|_| self.next_check);
        let again = self.pairs.iter().filter_map(|p| match p.state {
            State::Running { again, .. } => Some(again),
            _ => None,
        });
        let consent = self.selected.map(|s| s.check_at.min(s.expires));
        again.chain(next).chain(consent).chain(self.nominate_at).chain(self.orphaned).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.repeat(now);
        self.consent(now);
        self.nominate(now);
        self.begin(now);
        while self.checks.front().is_some_and(|c| c.ends <= now) {
            self.checks.pop_front();
        }
    }

    /// Sends the next check, if one may be sent.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.next_check > now || self.current.remote.is_none() {
            return;
        }
        let Some(route) = self.pairs.next(self.role) else { return };
        let nominates = matches!(self.pairs.get(route).map(|p| p.state), Some(State::Running { nominates: true, .. }));
        self.check(route, nominates, now);
    }

    /// Sends a new check on a pair.
    fn check(&mut self, route: Route, nominates: bool, now: Instant) {
        self.next_check = now + TA;
        let id = self.transaction();
        let again = now + if route.via == Via::Udp { self.rto() } else { WHOLE };
        let tries = if route.via == Via::Udp { 1 } else { TRIES };
        let Some(pair) = self.pairs.get_mut(route) else { return };
        pair.triggered = false;
        pair.state = State::Running { tries, id, sent: now, again, nominates };
        let data = self.request(&self.current, route, &id, nominates);
        self.await_answer(Check {
            id,
            route,
            generation: self.current.number,
            role: self.role,
            nominates,
            ends: now + WHOLE,
        });
        self.out.push_back(Transmit { route, data });
    }

    /// RFC 8445 §14.3: longer, the more is under way.
    fn rto(&self) -> Duration {
        RTO.max(TA * self.pairs.active() as u32)
    }

    fn await_answer(&mut self, check: Check) {
        if self.checks.len() >= CHECKS {
            self.checks.pop_front();
        }
        self.checks.push_back(check);
    }

    fn request(&self, with: &Generation, route: Route, id: &TransactionId, nominates: bool) -> Vec<u8> {
        let Some((ufrag, key)) = &with.remote else { return Vec::new() };
        let writer = Writer::new(Class::Request, id)
            .username(ufrag, &with.local.ufrag)
            .priority(self.local_priority(route, Kind::PeerReflexive))
            .role(self.role, self.tie_breaker);
        let writer = if nominates { writer.use_candidate() } else { writer };
        writer.finish(Some(key))
    }

    /// Repeats the checks that were not answered, or gives them up.
    fn repeat(&mut self, now: Instant) {
        let due = |p: &&Pair| matches!(p.state, State::Running { again, .. } if again <= now);
        let due: Vec<Route> = self.pairs.iter().filter(due).map(|p| p.route).collect();
        let rto = self.rto();
        let number = self.current.number;
        let open = self.selected.is_none_or(|s| s.provisional || s.generation != number);
        for route in due {
            let Some(pair) = self.pairs.get_mut(route) else { continue };
            let State::Running { tries, id, sent, nominates, .. } = pair.state else { continue };
            // An address that the peer was heard from is not given up while there is none
            // better: a link that loses half of all packets loses seven in a row soon
            // enough, and the peer, who has its answer, may not ask again.
            let heard = open && pair.heard.is_some() && route.via == Via::Udp;
            if tries >= TRIES && heard {
                pair.triggered = true;
                pair.state = State::Running { tries, id, sent, again: now + rto.max(HEARD), nominates };
                continue;
            }
            if tries >= TRIES {
                pair.state = State::Failed;
                (pair.wanted, pair.nominated) = (false, false);
                if nominates && self.selected.is_none() {
                    self.nominate_at = Some(now);
                }
                continue;
            }
            let pause = match tries {
                _ if heard => rto.max(HEARD),
                n if n + 1 >= TRIES => LAST,
                n => rto * (1 << n),
            };
            pair.state = State::Running { tries: tries + 1, id, sent, again: now + pause, nominates };
            // The same bytes but for a role that changed meanwhile; the answer's
            // integrity does not depend on them.
            let data = self.request(&self.current, route, &id, nominates);
            self.out.push_back(Transmit { route, data });
        }
    }

    /// Asks for the peer's consent, or finds that it has ended.
    fn consent(&mut self, now: Instant) {
        if self.orphaned.is_some_and(|at| at <= now) {
            self.orphaned = None;
            self.events.push_back(Event::Expired);
        }
        let Some(s) = self.selected else { return };
        if s.expires <= now {
            self.selected = None;
            self.previous = None;
            self.events.push_back(Event::Expired);
            return;
        }
        if s.check_at > now {
            return;
        }
        // Each check is a new transaction, and none is repeated (RFC 7675 §5.1).
        let id = self.transaction();
        let with = std::iter::once(&self.current).chain(&self.previous).find(|g| g.number == s.generation);
        let Some(with) = with else { return };
        // USE-CANDIDATE stays with the pair that we chose, as browsers do it: a peer that
        // lost its state by a restart of its own learns it again.
        let nominates = self.role == Role::Controlling;
        let data = self.request(with, s.route, &id, nominates);
        let generation = with.number;
        let check = Check { id, route: s.route, generation, role: self.role, nominates, ends: now + CONSENT_LIFE };
        self.await_answer(check);
        self.out.push_back(Transmit { route: s.route, data });
        // One answer in time is enough, but at 20 % loss six checks in a row go unanswered
        // every few hours: after the first one that did, they come every second, as those
        // of browsers do.
        let late = s.expires.saturating_duration_since(now) + CONSENT.mul_f64(1.2) < CONSENT_LIFE;
        let pause = if late { HEARD } else { self.consent_pause() };
        if let Some(s) = &mut self.selected {
            s.check_at = now + pause;
        }
    }

    /// A controlling agent chooses among the pairs that work (regular nomination,
    /// RFC 8445 §8.1.1).
    fn nominate(&mut self, now: Instant) {
        if self.nominate_at.is_none_or(|at| at > now) {
            return;
        }
        self.nominate_at = None;
        if self.role != Role::Controlling
            || self.selected.is_some_and(|s| !s.provisional && s.generation == self.current.number)
        {
            return;
        }
        let role = self.role;
        let works = self.pairs.iter().filter(|p| p.state == State::Succeeded);
        if let Some(best) = works.max_by_key(|p| p.priority(role)).map(|p| p.route) {
            self.check(best, true, now);
        }
    }

    /// A pair works: a controlling agent waits a little for a better one.
    pub(super) fn works(&mut self, now: Instant) {
        let open = self.selected.is_none_or(|s| s.provisional || s.generation != self.current.number);
        let nominating = |p: &Pair| matches!(p.state, State::Running { nominates: true, .. });
        if self.role == Role::Controlling && open && !self.pairs.iter().any(nominating) {
            self.nominate_at.get_or_insert(now + PATIENCE);
        }
    }
}
