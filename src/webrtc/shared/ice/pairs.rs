//! The check list: pairs of addresses, their order and states.

use std::net::IpAddr;
use std::time::Instant;

use super::super::stun::{Role, TransactionId};
use super::{PAIRS, Route};

/// Where a pair stands (RFC 8445 §6.1.2.6, without Frozen).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// To be checked.
    Waiting,
    /// A check is under way.
    Running {
        /// Times that it was sent.
        tries: u8,
        /// Its transaction.
        id: TransactionId,
        /// When it was first sent.
        sent: Instant,
        /// When it is sent again, or given up.
        again: Instant,
        /// It carries USE-CANDIDATE.
        nominates: bool,
    },
    /// It was answered.
    Succeeded,
    /// It was not, or with an error.
    Failed,
}

/// One pair.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub route: Route,
    /// What the two candidates are worth.
    pub local_priority: u32,
    pub remote_priority: u32,
    pub state: State,
    /// Works, and whoever controls wants it.
    pub nominated: bool,
    /// The peer wants it; whether it works is being checked.
    pub wanted: bool,
    /// A check is due before those that wait.
    pub triggered: bool,
    /// When the peer last answered a check of ours on it.
    pub answered: Option<Instant>,
    /// When something that verified last came by it.
    pub heard: Option<Instant>,
}

impl Pair {
    pub fn new(route: Route, local_priority: u32, remote_priority: u32) -> Pair {
        Pair {
            route,
            local_priority,
            remote_priority,
            state: State::Waiting,
            nominated: false,
            wanted: false,
            triggered: false,
            answered: None,
            heard: None,
        }
    }

    /// RFC 8445 §6.1.2.3; both sides come to the same number.
    pub fn priority(&self, role: Role) -> u64 {
        let (g, d) = match role {
            Role::Controlling => (self.local_priority, self.remote_priority),
            Role::Controlled => (self.remote_priority, self.local_priority),
        };
        (u64::from(g.min(d)) << 32) + 2 * u64::from(g.max(d)) + u64::from(g > d)
    }
}

/// All pairs of a session, at most [`PAIRS`].
#[derive(Debug, Default)]
pub(super) struct Pairs {
    list: Vec<Pair>,
}

impl Pairs {
    pub fn clear(&mut self) {
        self.list = Vec::new();
    }

    pub fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.list.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pair> {
        self.list.iter_mut()
    }

    pub fn get(&self, route: Route) -> Option<&Pair> {
        self.list.iter().find(|p| p.route == route)
    }

    pub fn get_mut(&mut self, route: Route) -> Option<&mut Pair> {
        self.list.iter_mut().find(|p| p.route == route)
    }

    pub fn retain(&mut self, keep: impl FnMut(&Pair) -> bool) {
        self.list.retain(keep);
    }

    /// Adds a pair that is not there yet. Over the bound the one that is worth least
    /// goes: failed, unheard, of the lowest priority; never one that is nominated,
    /// wanted, or `kept`. False when there is no such, and the pair was not added.
    pub fn insert(&mut self, pair: Pair, role: Role, kept: Option<Route>) -> bool {
        if self.list.len() >= PAIRS {
            let spare = |p: &&(usize, &Pair)| !p.1.nominated && !p.1.wanted && Some(p.1.route) != kept;
            let worth = |p: &(usize, &Pair)| (p.1.state != State::Failed, p.1.heard, p.1.priority(role));
            let all: Vec<(usize, &Pair)> = self.list.iter().enumerate().collect();
            let Some(at) = all.iter().filter(spare).min_by_key(|p| worth(p)).map(|p| p.0) else {
                return false;
            };
            self.list.swap_remove(at);
        }
        self.list.push(pair);
        true
    }

    /// The next pair to check: triggered ones first, then by priority.
    pub fn next(&self, role: Role) -> Option<Route> {
        let due = self.list.iter().filter(|p| p.triggered || p.state == State::Waiting);
        due.max_by_key(|p| (p.triggered, p.priority(role))).map(|p| p.route)
    }

    /// Pairs whose checks are due or under way.
    pub fn active(&self) -> usize {
        let active = |p: &&Pair| p.triggered || matches!(p.state, State::Waiting | State::Running { .. });
        self.list.iter().filter(active).count()
    }
}

/// Whether packets can pass between two addresses at all: of one family, and of one kind
/// where the kind says how far they reach.
pub(super) fn pairable(local: IpAddr, remote: IpAddr) -> bool {
    let link_local = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    local.is_ipv4() == remote.is_ipv4()
        && !remote.is_unspecified()
        && !remote.is_multicast()
        && (local.is_unspecified()
            || (local.is_loopback() == remote.is_loopback() && link_local(&local) == link_local(&remote)))
}
