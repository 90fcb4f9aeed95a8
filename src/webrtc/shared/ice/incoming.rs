//! STUN packets of the peer, and of those who pretend to be.

use std::time::Instant;

use super::super::stun::{Class, Message, Role, Writer};
use super::checks::Check;
use super::pairs::State;
use super::{Agent, CONSENT_LIFE, Kind, Route, TA, Transmit, Verdict, priority};

impl Agent {
    /// Takes a STUN packet that came by a route.
    pub fn handle_packet(&mut self, route: Route, message: &Message<'_>, now: Instant) -> Verdict {
        if !message.binding() {
            return Verdict::Foreign;
        }
        match message.class {
            Class::Request => self.on_request(route, message, now),
            Class::Success | Class::Error => self.on_response(route, message, now),
            // A keep-alive (RFC 8445 §11): carries nothing, proves nothing.
            Class::Indication => Verdict::Foreign,
        }
    }

    /// RFC 8445 §7.3.
    fn on_request(&mut self, route: Route, message: &Message<'_>, now: Instant) -> Verdict {
        let Some((to, _)) = message.ufrags() else { return Verdict::Foreign };
        let generations = std::iter::once(&self.current).chain(&self.previous);
        let Some(generation) = generations.into_iter().find(|g| g.local.ufrag == to) else {
            return Verdict::Foreign;
        };
        if !message.authentic(&generation.local_key) {
            return Verdict::Forged;
        }
        let (key, present) = (generation.local_key.clone(), generation.number == self.current.number);
        let refuse = |code, phrase| Writer::new(Class::Error, &message.id).error(code, phrase);
        if !message.unknown().is_empty() {
            let data = refuse(420, "Unknown Attribute").unknown(message.unknown()).finish(Some(&key));
            self.out.push_back(Transmit { route, data });
            return Verdict::Authentic;
        }
        if let Some((role, tie)) = message.role
            && role == self.role
        {
            // §7.3.1.1: the larger tie-breaker controls.
            let ours = self.tie_breaker >= tie;
            if ours == (self.role == Role::Controlling) {
                let data = refuse(487, "Role Conflict").finish(Some(&key));
                self.out.push_back(Transmit { route, data });
                return Verdict::Authentic;
            }
            self.switch_role(self.role.other(), now);
        }
        let data = Writer::new(Class::Success, &message.id).mapped(route.remote).finish(Some(&key));
        self.out.push_back(Transmit { route, data });

        let nominates = message.use_candidate && self.role == Role::Controlled;
        if let Some(s) = self.selected.as_mut().filter(|s| s.route == route) {
            s.heard = now;
            if nominates {
                s.nominated = now;
            }
        }
        // Those of the generation before are answered, and decide nothing any more.
        if present {
            self.triggered(route, message.priority, nominates, now);
        }
        Verdict::Authentic
    }

    /// §7.3.1.3 to 7.3.1.5: the pair of a request is checked by us as well, at once.
    fn triggered(&mut self, route: Route, told: Option<u32>, nominates: bool, now: Instant) {
        if self.pairs.get(route).is_none() {
            let told = told.unwrap_or(priority(Kind::PeerReflexive, 0));
            if !self.open(route, told) {
                return;
            }
        }
        let open = self.selected.is_none_or(|s| s.provisional);
        let Some(pair) = self.pairs.get_mut(route) else { return };
        // A check that we sent before the peer knew of us was not answered, and the pace of
        // our checks is no reason to let a viewer wait that has just arrived.
        let eager = open && pair.heard.is_none() && self.eager > 0;
        pair.heard = Some(now);
        if eager && pair.state != State::Succeeded {
            self.eager -= 1;
            self.next_check = self.next_check.min(now);
        }
        match pair.state {
            State::Succeeded => {
                pair.nominated |= nominates;
                self.consider(route, now);
            }
            // What is on its way is on its way; requests in a row do not make us send
            // more than our pace.
            State::Running { sent, .. } => {
                pair.wanted |= nominates;
                pair.triggered |= eager || now.saturating_duration_since(sent) >= TA;
            }
            State::Waiting | State::Failed => {
                pair.wanted |= nominates;
                pair.triggered = true;
            }
        }
        self.begin(now);
    }

    /// §7.2.5.
    fn on_response(&mut self, route: Route, message: &Message<'_>, now: Instant) -> Verdict {
        let Some(at) = self.checks.iter().position(|c| c.id == message.id && c.ends > now) else {
            return Verdict::Foreign;
        };
        let Some(check) = self.checks.get(at).copied() else { return Verdict::Foreign };
        let with = std::iter::once(&self.current).chain(&self.previous).find(|g| g.number == check.generation);
        // Errors too: who does not know the password cannot make a check fail.
        if !with.and_then(|g| g.remote.as_ref()).is_some_and(|(_, key)| message.authentic(key)) {
            return Verdict::Forged;
        }
        let _ = self.checks.remove(at);
        let present = check.generation == self.current.number;
        if message.class == Class::Error {
            if present {
                self.refused(&check, message.error, now);
            }
            return Verdict::Authentic;
        }
        // §7.2.5.2.1: it has to come back the way that it went.
        if check.route != route {
            if present {
                self.fail(&check);
            }
            return Verdict::Authentic;
        }
        if let Some(s) = self.selected.as_mut().filter(|s| s.route == route && s.generation == check.generation) {
            s.expires = now + CONSENT_LIFE;
            s.heard = now;
        }
        if !present {
            return Verdict::Authentic;
        }
        let role = self.role;
        let Some(pair) = self.pairs.get_mut(route) else { return Verdict::Authentic };
        pair.state = State::Succeeded;
        pair.triggered = false;
        (pair.answered, pair.heard) = (Some(now), Some(now));
        pair.nominated |= match role {
            Role::Controlled => pair.wanted,
            Role::Controlling => check.nominates && check.role == role,
        };
        pair.wanted = false;
        self.consider(route, now);
        self.works(now);
        Verdict::Authentic
    }

    /// An error answered a check.
    fn refused(&mut self, check: &Check, error: Option<u16>, now: Instant) {
        if error != Some(487) {
            return self.fail(check);
        }
        // §7.2.5.1: unless it changed since, our role does, and the check is repeated.
        if check.role == self.role {
            self.switch_role(self.role.other(), now);
        }
        if let Some(pair) = self.pairs.get_mut(check.route) {
            pair.triggered = true;
            if pair.state != State::Succeeded {
                pair.state = State::Waiting;
            }
        }
        self.begin(now);
    }

    /// A check will not be answered. A consent check that goes wrong is one that was not
    /// answered, and no more.
    fn fail(&mut self, check: &Check) {
        if let Some(pair) = self.pairs.get_mut(check.route)
            && matches!(pair.state, State::Running { id, .. } if id == check.id)
        {
            pair.state = State::Failed;
            (pair.wanted, pair.triggered) = (false, false);
        }
    }

    fn switch_role(&mut self, role: Role, now: Instant) {
        self.role = role;
        self.nominate_at = None;
        if self.pairs.iter().any(|p| p.state == State::Succeeded) {
            self.works(now);
        }
    }
}
