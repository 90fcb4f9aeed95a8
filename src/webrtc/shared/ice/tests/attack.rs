//! Those who do not know the password, and those who do and mean no good.

use std::net::SocketAddr;
use std::time::Instant;

use super::super::super::stun::{Class, Key, Message, Writer};
use super::*;

fn victim() -> (Net, Route) {
    let mut net = both(Role::Controlled, Role::Controlling);
    net.tell(B, "10.0.0.1:8189", 1);
    assert!(net.until(Duration::from_secs(2), Net::connected));
    let route = net.agents[A].selected().unwrap();
    (net, route)
}

fn request(ufrag: &str, password: &str, nominates: bool) -> Vec<u8> {
    let w =
        Writer::new(Class::Request, &[42; 12]).username(ufrag, "bbbb").priority(u32::MAX).role(Role::Controlling, 1);
    let w = if nominates { w.use_candidate() } else { w };
    w.finish(Some(&Key::new(password)))
}

fn from(text: &str) -> Route {
    Route { via: Via::Udp, local: addr("10.0.0.1:8189"), remote: addr(text) }
}

#[test]
fn without_the_password_nothing_happens_and_nothing_is_sent() {
    let (mut net, route) = victim();
    let agent = &mut net.agents[A];
    while agent.poll_transmit().is_some() {}
    let pairs = agent.pair_count();
    for (data, verdict) in [
        (request("aaaa", "wrong", true), Verdict::Forged),
        (request("zzzz", &creds(A).password, true), Verdict::Foreign),
        (Writer::new(Class::Request, &[1; 12]).username("aaaa", "bbbb").finish(None), Verdict::Forged),
        (Writer::new(Class::Request, &[1; 12]).finish(Some(&Key::new(&creds(A).password))), Verdict::Foreign),
        (Writer::new(Class::Success, &[1; 12]).finish(Some(&Key::new(&creds(B).password))), Verdict::Foreign),
        (Writer::new(Class::Indication, &[1; 12]).finish(None), Verdict::Foreign),
    ] {
        for r in [route, from("6.6.6.6:6")] {
            assert_eq!(agent.handle_packet(r, &Message::parse(&data).unwrap(), net.now), verdict);
        }
    }
    assert_eq!((agent.poll_transmit(), agent.pair_count(), agent.selected()), (None, pairs, Some(route)));
}

#[test]
fn a_replayed_nomination_from_elsewhere_draws_no_media() {
    let (mut net, route) = victim();
    let data = request("aaaa", &creds(A).password, true);
    for i in 0..600u64 {
        // The peer is silent all the while, which makes a move as easy as it gets.
        let now = net.now + Duration::from_millis(i * 40);
        net.agents[A].handle_packet(from("6.6.6.6:6"), &Message::parse(&data).unwrap(), now);
        if net.agents[A].poll_timeout().is_some_and(|at| at <= now) {
            net.agents[A].handle_timeout(now);
        }
        assert_eq!(net.agents[A].selected(), Some(route));
    }
    // Each of 600 packets was answered with one, and checks keep to their pace.
    let mut out = 0;
    while net.agents[A].poll_transmit().is_some() {
        out += 1;
    }
    assert!(out < 600 * 2 + 20, "{out}");
}

#[test]
fn errors_of_strangers_stop_no_check() {
    let mut net = both(Role::Controlled, Role::Controlling);
    net.tell(A, "10.0.0.2:5000", 1);
    let now = net.now;
    let agent = &mut net.agents[A];
    agent.handle_timeout(now);
    let check = agent.poll_transmit().unwrap();
    let id = Message::parse(&check.data).unwrap().id;
    for data in [
        Writer::new(Class::Error, &id).error(487, "").finish(None),
        Writer::new(Class::Error, &id).error(400, "").finish(Some(&Key::new("wrong"))),
        Writer::new(Class::Success, &id).finish(None),
    ] {
        assert_eq!(agent.handle_packet(check.route, &Message::parse(&data).unwrap(), now), Verdict::Forged);
    }
    // The true answer still counts.
    let answer = Writer::new(Class::Success, &id).finish(Some(&Key::new(&creds(B).password)));
    assert_eq!(agent.handle_packet(check.route, &Message::parse(&answer).unwrap(), now), Verdict::Authentic);
    assert_eq!(agent.role(), Role::Controlled);
}

#[test]
fn what_must_be_understood_and_is_not_is_refused() {
    let (mut net, route) = victim();
    while net.agents[A].poll_transmit().is_some() {}
    let data = Writer::new(Class::Request, &[5; 12])
        .username("aaaa", "bbbb")
        .attribute(0x7777, &[1])
        .finish(Some(&Key::new(&creds(A).password)));
    net.agents[A].handle_packet(route, &Message::parse(&data).unwrap(), net.now);
    let t = net.agents[A].poll_transmit().unwrap();
    assert_eq!(Message::parse(&t.data).unwrap().error, Some(420));
}

#[test]
fn a_viewer_with_a_thousand_addresses_is_bounded() {
    let (mut net, route) = victim();
    let data = request("aaaa", &creds(A).password, true);
    let m = Message::parse(&data).unwrap();
    let mut sent = 0u64;
    for i in 0..5_000u32 {
        let remote = SocketAddr::new("172.16.0.9".parse().unwrap(), 1_000 + (i % 50_000) as u16);
        let now = net.now + Duration::from_millis(u64::from(i));
        net.agents[A].handle_packet(Route { remote, ..route }, &m, now);
        if i % 3 == 0 {
            net.agents[A]
                .add_remote(Candidate { address: SocketAddr::new(remote.ip(), remote.port() ^ 0x4000), priority: i });
        }
        net.agents[A].handle_timeout(now);
        while let Some(t) = net.agents[A].poll_transmit() {
            sent += u64::from(Message::parse(&t.data).unwrap().class == Class::Request);
        }
        assert!(net.agents[A].pair_count() <= PAIRS && net.agents[A].checks.len() <= CHECKS);
    }
    // Five seconds at one new check every 50 ms, each repeated three times meanwhile.
    assert!(sent < 100 * 5, "{sent}");
    assert_eq!(net.agents[A].selected(), Some(route));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any sequence of authentic and other packets, candidates, restarts, ends of
    /// connections and leaps in time: bounded, no panic, and timers that move on.
    #[test]
    fn nothing_breaks_it(steps in proptest::collection::vec((0u8..9, any::<u16>(), any::<[u8; 12]>(), 0u64..9_000), 1..80)) {
        let start = Instant::now();
        let mut now = start;
        let mut agent = Agent::new(Role::Controlled, creds(A), Some(creds(B)), &[addr("10.0.0.1:8189"), addr("[fd00::1]:1")], [3; 32], now);
        let mut open: Vec<Transmit> = Vec::new();
        let mut names = vec![("aaaa".to_owned(), creds(A).password, creds(B).password)];
        for (what, n, id, ms) in steps {
            now += Duration::from_millis(ms);
            let via = if n & 1 == 0 { Via::Udp } else { Via::Tcp(u32::from(n >> 1 & 3)) };
            let route = Route { via, local: addr("10.0.0.1:8189"), remote: SocketAddr::new("10.9.9.9".parse().unwrap(), n % 7) };
            let (ufrag, ours, theirs) = names[usize::from(n) % names.len()].clone();
            match what {
                0 | 1 => {
                    let role = if n & 2 == 0 { Role::Controlling } else { Role::Controlled };
                    let w = Writer::new(Class::Request, &id).username(&ufrag, "bbbb").priority(u32::from(n)).role(role, u64::from(n) << 48);
                    let w = if what == 1 { w.use_candidate() } else { w };
                    agent.handle_packet(route, &Message::parse(&w.finish(Some(&Key::new(&ours)))).unwrap(), now);
                }
                2 | 3 => if let Some(t) = open.pop() {
                    let id = Message::parse(&t.data).unwrap().id;
                    let w = if what == 2 { Writer::new(Class::Success, &id) } else { Writer::new(Class::Error, &id).error(if n & 4 == 0 { 487 } else { 400 }, "") };
                    let back = if n & 8 == 0 { t.route } else { route };
                    agent.handle_packet(back, &Message::parse(&w.finish(Some(&Key::new(&theirs)))).unwrap(), now);
                },
                4 => agent.add_remote(Candidate { address: route.remote, priority: u32::from(n) }),
                5 => agent.closed(via, now),
                6 => agent.heard(route, now),
                7 => {
                    let c = |s: &str| Credentials { ufrag: format!("{s}{n}"), password: format!("{s}{n}password") };
                    agent.restart(c("x"), Some(c("y")));
                    names.push((c("x").ufrag, c("x").password, c("y").password));
                }
                _ => {}
            }
            // Timers: each call does something about what was due.
            for _ in 0..200 {
                let Some(at) = agent.poll_timeout().filter(|at| *at <= now) else { break };
                agent.handle_timeout(now);
                prop_assert!(agent.poll_timeout().is_none_or(|next| next > now || next >= at));
            }
            prop_assert!(agent.poll_timeout().is_none_or(|at| at > now), "a timer that is always due");
            while let Some(t) = agent.poll_transmit() {
                let class = Message::parse(&t.data).unwrap().class;
                if class == Class::Request { open.push(t); }
            }
            while agent.poll_event().is_some() {}
            prop_assert!(agent.pair_count() <= PAIRS && agent.checks.len() <= CHECKS);
            prop_assert!(agent.ufrags().count() <= 2);
        }
    }
}
