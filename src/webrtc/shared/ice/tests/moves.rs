//! Addresses that move, restarts, connections.

use super::super::super::stun::{Class, Key, Message, Writer};
use std::net::SocketAddr;
use std::time::Instant;

use super::*;

fn connected() -> Net {
    let mut net = both(Role::Controlled, Role::Controlling);
    net.nat(B, "10.0.0.2:5000", "203.0.113.5:1000");
    net.tell(B, "10.0.0.1:8189", 1);
    assert!(net.until(Duration::from_secs(2), Net::connected));
    net
}

#[test]
fn a_new_outer_address_is_followed() {
    let mut net = connected();
    net.run(Duration::from_secs(20));
    net.nat(B, "10.0.0.2:5000", "203.0.113.5:2000");
    assert!(net.until(Duration::from_secs(8), Net::connected));
    let a = net.agents[A].selected().unwrap();
    assert_eq!(a.remote, addr("203.0.113.5:2000"));
    assert_eq!(net.events[A].last(), Some(&Event::Selected(a)));
    net.run(Duration::from_secs(60));
    assert!(net.connected());
}

#[test]
fn it_may_move_again_and_again() {
    let mut net = connected();
    for port in 2_000..2_100 {
        net.nat(B, "10.0.0.2:5000", &format!("203.0.113.5:{port}"));
        assert!(net.until(Duration::from_secs(16), Net::connected), "{port}");
        net.run(Duration::from_secs(3));
    }
    assert!(net.agents[A].pair_count() <= PAIRS);
}

#[test]
fn a_restart_brings_new_credentials_without_a_gap() {
    let mut net = connected();
    let old = net.agents[A].selected();
    let new = |who: usize| Credentials { ufrag: format!("new{who}"), password: "anotherpasswordofatleast22".into() };
    net.agents[A].restart(new(A), Some(new(B)));
    assert_eq!(net.agents[A].ufrags().collect::<Vec<_>>(), ["new0", "aaaa"]);
    // Media flows on, and the old consent is answered, until there is something new.
    assert_eq!(net.agents[A].selected(), old);
    net.run(Duration::from_secs(20));
    assert_eq!(net.agents[A].selected(), old);
    net.nat(B, "10.0.0.2:5000", "203.0.113.9:7");
    net.agents[B].restart(new(B), Some(new(A)));
    net.tell(B, "10.0.0.1:8189", 1);
    assert!(net.until(Duration::from_secs(3), Net::connected));
    assert_eq!(net.agents[A].selected().unwrap().remote, addr("203.0.113.9:7"));
    assert_eq!(net.agents[A].ufrags().collect::<Vec<_>>(), ["new0"]);
    net.run(Duration::from_secs(60));
    assert!(net.connected());
}

#[test]
fn a_restart_that_comes_to_nothing_ends_with_the_old_consent() {
    let mut net = connected();
    let new = |n: &str| Credentials { ufrag: n.into(), password: "anotherpasswordofatleast22".into() };
    for n in ["one1", "two2", "thr3"] {
        net.agents[A].restart(new(n), Some(new(n)));
        assert_eq!(net.agents[A].ufrags().collect::<Vec<_>>(), [n, "aaaa"]);
    }
    net.cut = true;
    net.run(Duration::from_secs(31));
    assert!(net.events[A].contains(&Event::Expired));
    assert_eq!(net.agents[A].ufrags().count(), 1);
}

/// The peer as a script: it checks from one of its ports, and answers our checks.
struct Script {
    id: u8,
    now: Instant,
}

impl Script {
    /// With two ports, and the agent that it talks to.
    fn with_agent() -> (Script, Net) {
        let net = Net::new(Role::Controlled, Role::Controlling, &["10.0.0.1:1"], &["10.0.0.2:1", "10.0.0.2:2"]);
        (Script { id: 0, now: net.now }, net)
    }

    fn route(port: u16) -> Route {
        let remote = SocketAddr::new("10.0.0.2".parse().unwrap(), port);
        Route { via: Via::Udp, local: addr("10.0.0.1:1"), remote }
    }

    fn say(&mut self, agent: &mut Agent, port: u16, prio: u32, nominates: bool, at_ms: u64) {
        self.id += 1;
        let at = self.now + Duration::from_millis(at_ms);
        let w = Writer::new(Class::Request, &[self.id; 12])
            .username("aaaa", "bbbb")
            .priority(prio)
            .role(Role::Controlling, 5);
        let w = if nominates { w.use_candidate() } else { w };
        let data = w.finish(Some(&Key::new(&creds(A).password)));
        let message = Message::parse(&data).unwrap();
        assert_eq!(agent.handle_packet(Script::route(port), &message, at), Verdict::Authentic);
        agent.handle_timeout(at);
        for _ in 0..8 {
            let Some(t) = agent.poll_transmit() else { break };
            let m = Message::parse(&t.data).unwrap();
            if m.class == Class::Request {
                let answer = Writer::new(Class::Success, &m.id)
                    .mapped(t.route.local)
                    .finish(Some(&Key::new(&creds(B).password)));
                agent.handle_packet(t.route, &Message::parse(&answer).unwrap(), at);
            }
        }
    }
}

#[test]
fn who_nominates_decides_even_for_the_worse_pair() {
    // It nominates its first address, then its second one, and still checks the first.
    let (mut script, mut net) = Script::with_agent();
    let agent = &mut net.agents[A];
    script.say(agent, 1, 2_000_000_000, true, 0);
    assert_eq!(agent.selected(), Some(Script::route(1)));
    let mut at = 0;
    while agent.selected() == Some(Script::route(1)) {
        at += 500;
        assert!(at < 6_000, "never moved");
        script.say(agent, 1, 2_000_000_000, false, at);
        script.say(agent, 2, 1_000, true, at + 100);
    }
    assert!(at >= 3_000, "too soon: {at}");
    // And does not go back by itself.
    for i in 0..20 {
        script.say(agent, 1, 2_000_000_000, false, at + 200 + i * 500);
        script.say(agent, 2, 1_000, true, at + 300 + i * 500);
        assert_eq!(agent.selected(), Some(Script::route(2)));
    }
}

#[test]
fn what_works_is_used_until_the_peer_nominates() {
    let (mut script, mut net) = Script::with_agent();
    let agent = &mut net.agents[A];
    let [first, second] = [1, 2].map(Script::route);
    script.say(agent, 1, 1_000, false, 0);
    assert_eq!(agent.selected(), Some(first));
    // A better one, and back to the first, which is worse.
    script.say(agent, 2, 2_000_000_000, false, 60);
    assert_eq!(agent.selected(), Some(second));
    script.say(agent, 1, 1_000, false, 120);
    assert_eq!(agent.selected(), Some(second));
    // Its choice, at once, and for good.
    script.say(agent, 1, 1_000, true, 180);
    assert_eq!(agent.selected(), Some(first));
    for i in 0..20 {
        script.say(agent, 2, 2_000_000_000, false, 240 + i * 100);
        script.say(agent, 1, 1_000, true, 300 + i * 100);
        assert_eq!(agent.selected(), Some(first));
    }
}

#[test]
fn the_way_that_was_used_before_may_be_the_one_that_is_nominated() {
    let (mut script, mut net) = Script::with_agent();
    let agent = &mut net.agents[A];
    script.say(agent, 1, 1_000, false, 0);
    script.say(agent, 1, 1_000, true, 60);
    assert_eq!(agent.events.iter().filter(|e| matches!(e, Event::Selected(_))).count(), 1);
    // Now it is one like any other: not left for what is better and not nominated.
    script.say(agent, 2, 2_000_000_000, false, 120);
    assert_eq!(agent.selected(), Some(Script::route(1)));
}

#[test]
fn a_connection_that_closes_pauses_and_another_one_goes_on() {
    let now = Instant::now();
    let mut agent = Agent::new(Role::Controlled, creds(A), Some(creds(B)), &[], [1; 32], now);
    let route = |n| Route { via: Via::Tcp(n), local: addr("10.0.0.1:8189"), remote: addr("10.0.0.2:9") };
    let mut id = 0;
    let mut join = |agent: &mut Agent, n, at: Instant| {
        id += 1;
        let check = Writer::new(Class::Request, &[id; 12])
            .username("aaaa", "bbbb")
            .priority(1)
            .role(Role::Controlling, 5)
            .use_candidate()
            .finish(Some(&Key::new(&creds(A).password)));
        agent.handle_packet(route(n), &Message::parse(&check).unwrap(), at);
        agent.handle_timeout(at);
        let mut sent = Vec::new();
        while let Some(t) = agent.poll_transmit() {
            sent.push(t);
        }
        assert_eq!(sent.len(), 2, "an answer and a check");
        let m = Message::parse(&sent[1].data).unwrap();
        let answer = Writer::new(Class::Success, &m.id).finish(Some(&Key::new(&creds(B).password)));
        agent.handle_packet(route(n), &Message::parse(&answer).unwrap(), at);
    };
    join(&mut agent, 1, now);
    assert_eq!(agent.poll_event(), Some(Event::Selected(route(1))));
    agent.closed(Via::Tcp(1), now);
    assert_eq!((agent.poll_event(), agent.selected()), (Some(Event::Paused), None));
    join(&mut agent, 2, now + Duration::from_secs(3));
    assert_eq!(agent.poll_event(), Some(Event::Selected(route(2))));
    agent.closed(Via::Tcp(2), now + Duration::from_secs(4));
    assert_eq!(agent.poll_event(), Some(Event::Paused));
    let end = agent.poll_timeout().unwrap();
    assert!(end <= now + Duration::from_secs(33));
    agent.handle_timeout(end);
    assert_eq!(agent.poll_event(), Some(Event::Expired));
    assert_eq!(agent.poll_timeout(), None);
}
