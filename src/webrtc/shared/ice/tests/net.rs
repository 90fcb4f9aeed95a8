//! A network between two agents, with a clock of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::super::stun::Message;
use super::super::*;

pub const A: usize = 0;
pub const B: usize = 1;

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn creds(who: usize) -> Credentials {
    let name = ["aaaa", "bbbb"][who];
    Credentials { ufrag: name.into(), password: format!("{name}passwordofatleast22") }
}

/// A translation of addresses: inside, outside, and who may come in.
struct Nat {
    inside: SocketAddr,
    outside: SocketAddr,
    opened: Vec<SocketAddr>,
}

struct Packet {
    at: Instant,
    to: usize,
    route: Route,
    data: Vec<u8>,
}

pub struct Net {
    pub now: Instant,
    pub agents: [Agent; 2],
    pub events: [Vec<Event>; 2],
    pub sent: [u64; 2],
    /// Packets that reached each.
    pub received: [u64; 2],
    pub cut: bool,
    pub loss: f64,
    pub doubled: f64,
    /// Most milliseconds that a packet takes longer.
    pub jitter: u64,
    nats: HashMap<usize, Nat>,
    addresses: [Vec<SocketAddr>; 2],
    wire: Vec<Packet>,
    rng: StdRng,
}

impl Net {
    pub fn new(role_a: Role, role_b: Role, a: &[&str], b: &[&str]) -> Net {
        let own = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        Net::seeded(role_a, role_b, &own(a), &own(b), [7; 32])
    }

    pub fn seeded(role_a: Role, role_b: Role, a: &[String], b: &[String], seed: [u8; 32]) -> Net {
        let now = Instant::now();
        let mut rng = StdRng::from_seed(seed);
        let addresses = [a, b].map(|l| l.iter().map(|s| addr(s)).collect::<Vec<_>>());
        let agents = [
            Agent::new(role_a, creds(A), Some(creds(B)), &addresses[A], rng.random(), now),
            Agent::new(role_b, creds(B), Some(creds(A)), &addresses[B], rng.random(), now),
        ];
        Net {
            now,
            agents,
            events: Default::default(),
            sent: [0; 2],
            received: [0; 2],
            cut: false,
            loss: 0.0,
            doubled: 0.0,
            jitter: 0,
            nats: HashMap::new(),
            addresses,
            wire: Vec::new(),
            rng,
        }
    }

    pub fn tell(&mut self, who: usize, address: impl AsRef<str>, priority: u32) {
        self.agents[who].add_remote(Candidate { address: addr(address.as_ref()), priority });
    }

    /// Puts one side behind a NAT; again: its outer address changes.
    pub fn nat(&mut self, who: usize, inside: &str, outside: &str) {
        self.nats.insert(who, Nat { inside: addr(inside), outside: addr(outside), opened: Vec::new() });
    }

    /// Both send, by the two ends of one route.
    pub fn connected(&self) -> bool {
        let (Some(a), Some(b)) = (self.agents[A].selected(), self.agents[B].selected()) else { return false };
        let out = |who: usize, local| match self.nats.get(&who) {
            Some(n) if n.inside == local => n.outside,
            _ => local,
        };
        out(A, a.local) == b.remote && out(B, b.local) == a.remote
    }

    fn send(&mut self, from: usize, t: Transmit) {
        self.sent[from] += 1;
        let to = 1 - from;
        let (mut source, mut target) = (t.route.local, t.route.remote);
        if let Some(nat) = self.nats.get_mut(&from).filter(|n| n.inside == source) {
            source = nat.outside;
            nat.opened.push(target);
        }
        if let Some(nat) = self.nats.get(&to) {
            if nat.outside != target || !nat.opened.contains(&source) {
                return;
            }
            target = nat.inside;
        }
        if self.cut || !self.addresses[to].contains(&target) {
            return;
        }
        let copies = 1 + usize::from(self.rng.random_bool(self.doubled));
        for _ in 0..copies {
            if self.rng.random_bool(self.loss) {
                continue;
            }
            let at = self.now + Duration::from_millis(5 + self.rng.random_range(0..=self.jitter));
            let route = Route { via: t.route.via, local: target, remote: source };
            self.wire.push(Packet { at, to, route, data: t.data.clone() });
        }
    }

    fn flush(&mut self) {
        for who in [A, B] {
            while let Some(t) = self.agents[who].poll_transmit() {
                self.send(who, t);
            }
            while let Some(e) = self.agents[who].poll_event() {
                self.events[who].push(e);
            }
        }
    }

    /// Runs until `done`, at most so long.
    pub fn until(&mut self, limit: Duration, done: impl Fn(&Net) -> bool) -> bool {
        let end = self.now + limit;
        // An agent that does not let time pass is a defect, and not a reason to hang.
        for _ in 0..200_000 {
            self.flush();
            if done(self) {
                return true;
            }
            let timers = self.agents.iter().filter_map(Agent::poll_timeout);
            let Some(next) = timers.chain(self.wire.iter().map(|p| p.at)).min() else {
                self.now = end;
                return done(self);
            };
            if next > end {
                self.now = end;
                return done(self);
            }
            self.now = self.now.max(next);
            let due = self.wire.iter().enumerate().filter(|(_, p)| p.at <= self.now).min_by_key(|(_, p)| p.at);
            if let Some(i) = due.map(|(i, _)| i) {
                let p = self.wire.remove(i);
                let message = Message::parse(&p.data).expect("agents write sound STUN");
                self.received[p.to] += 1;
                self.agents[p.to].handle_packet(p.route, &message, self.now);
            }
            for agent in &mut self.agents {
                if agent.poll_timeout().is_some_and(|at| at <= self.now) {
                    agent.handle_timeout(self.now);
                }
            }
        }
        panic!("no time passes");
    }

    pub fn run(&mut self, time: Duration) {
        self.until(time, |_| false);
    }
}
