//! Two agents and a network between them; what no network does; rubbish.

mod attack;
mod interop;
mod moves;
mod net;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use net::{A, B, Net, addr, creds};

fn both(role_a: Role, role_b: Role) -> Net {
    Net::new(role_a, role_b, &["10.0.0.1:8189"], &["10.0.0.2:5000"])
}

#[test]
fn a_browser_without_candidates_is_found_by_its_checks() {
    let mut net = both(Role::Controlled, Role::Controlling);
    net.tell(B, "10.0.0.1:8189", priority(Kind::Host, 65_535));
    assert!(net.until(Duration::from_secs(2), Net::connected));
    let route = net.agents[A].selected().unwrap();
    assert_eq!((route.local, route.remote), (addr("10.0.0.1:8189"), addr("10.0.0.2:5000")));
    assert_eq!(net.events[A], [Event::Selected(route)]);
}

#[test]
fn who_arrives_does_not_wait_for_our_pace() {
    // Our first checks are lost: the browser has not got its answer yet.
    let mut net = both(Role::Controlled, Role::Controlling);
    net.cut = true;
    net.tell(A, "10.0.0.2:5000", priority(Kind::Host, 65_535));
    net.tell(A, "10.0.0.3:5000", priority(Kind::Host, 65_534));
    net.run(Duration::from_millis(3));
    net.cut = false;
    net.tell(B, "10.0.0.1:8189", priority(Kind::Host, 65_535));
    // Its check, ours and its answer: three times 5 ms, and a nomination.
    assert!(
        net.until(Duration::from_millis(30), |n| n.agents[A].knows(n.agents[A].pairs.iter().next().unwrap().route))
    );
}

#[test]
fn our_checks_open_our_own_nat() {
    // The server's NAT lets in only who was sent to; the browser knows the outer address.
    let mut net = both(Role::Controlled, Role::Controlling);
    net.nat(A, "10.0.0.1:8189", "198.51.100.1:40000");
    net.tell(B, "198.51.100.1:40000", priority(Kind::ServerReflexive, 65_535));
    net.run(Duration::from_secs(5));
    assert!(!net.connected());
    net.tell(A, "10.0.0.2:5000", priority(Kind::Host, 65_535));
    assert!(net.until(Duration::from_secs(40), Net::connected));
}

#[test]
fn the_better_of_two_addresses_is_taken() {
    for controlling in [A, B] {
        let role = |who| if who == controlling { Role::Controlling } else { Role::Controlled };
        let mut net = Net::new(role(A), role(B), &["10.0.0.1:1", "[fd00::1]:1"], &["10.0.0.2:1", "[fd00::2]:1"]);
        for (to, list) in [(A, ["10.0.0.2:1", "[fd00::2]:1"]), (B, ["10.0.0.1:1", "[fd00::1]:1"])] {
            net.tell(to, list[0], priority(Kind::Host, 10));
            net.tell(to, list[1], priority(Kind::Host, 20));
        }
        net.run(Duration::from_secs(3));
        // Both sides agree. (Which one: local preferences say IPv4, remote ones IPv6.)
        let (a, b) = (net.agents[A].selected().unwrap(), net.agents[B].selected().unwrap());
        assert_eq!((a.local, a.remote), (b.remote, b.local));
    }
}

#[test]
fn one_role_too_many_is_settled() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut net = both(role, role);
        net.tell(A, "10.0.0.2:5000", 1);
        net.tell(B, "10.0.0.1:8189", 1);
        assert!(net.until(Duration::from_secs(10), Net::connected), "{role:?}");
        assert_ne!(net.agents[A].role(), net.agents[B].role());
    }
}

#[test]
fn consent_is_asked_for_and_its_end_noticed() {
    let mut net = both(Role::Controlled, Role::Controlling);
    net.tell(B, "10.0.0.1:8189", 1);
    assert!(net.until(Duration::from_secs(2), Net::connected));
    net.run(Duration::from_secs(120));
    assert!(net.connected());
    // Ten seconds without a network are no end.
    net.cut = true;
    net.run(Duration::from_secs(10));
    net.cut = false;
    net.run(Duration::from_secs(30));
    assert!(net.connected());
    net.cut = true;
    let cut = net.now;
    assert!(net.until(Duration::from_secs(31), |n| n.events[A].contains(&Event::Expired)));
    assert!(net.now - cut > CONSENT_LIFE - CONSENT - Duration::from_secs(2));
    assert_eq!(net.agents[A].selected(), None);
}

#[test]
fn an_idle_agent_sleeps() {
    let mut net = both(Role::Controlled, Role::Controlling);
    assert_eq!(net.agents[A].poll_timeout(), None);
    net.tell(B, "10.0.0.1:8189", 1);
    net.run(Duration::from_secs(5));
    let before = net.sent[A];
    net.run(Duration::from_secs(60));
    // A consent check of ours, and an answer to one of theirs, every 4 to 6 s.
    assert!((20..=32).contains(&(net.sent[A] - before)), "{}", net.sent[A] - before);
}

#[test]
fn an_address_that_never_answers_costs_seven_packets() {
    let mut net = both(Role::Controlled, Role::Controlling);
    net.tell(A, "10.0.0.77:1", 1);
    net.run(Duration::from_secs(60));
    assert_eq!(net.sent[A], u64::from(TRIES));
    assert_eq!(net.agents[A].poll_timeout(), None);
}

#[test]
fn an_offerer_waits_for_the_answer() {
    let mut net = both(Role::Controlling, Role::Controlled);
    net.agents[A] = Agent::new(Role::Controlling, creds(A), None, &[addr("10.0.0.1:8189")], [9; 32], net.now);
    net.tell(A, "10.0.0.2:5000", 1);
    net.tell(B, "10.0.0.1:8189", 1);
    net.run(Duration::from_secs(2));
    assert!(!net.connected());
    net.agents[A].set_remote(&creds(B));
    assert!(net.until(Duration::from_secs(10), Net::connected));
}

#[test]
fn only_addresses_that_can_meet_are_paired() {
    use super::pairs::pairable;
    let p = |a: &str, b: &str| pairable(a.parse().unwrap(), b.parse().unwrap());
    assert!(p("10.0.0.1", "8.8.8.8") && p("0.0.0.0", "127.0.0.1") && p("fe80::1", "fe80::2") && p("::", "fd00::1"));
    for (a, b) in [
        ("10.0.0.1", "fd00::1"),
        ("10.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.1"),
        ("10.0.0.1", "0.0.0.0"),
        ("0.0.0.0", "224.0.0.1"),
        ("fd00::1", "fe80::1"),
        ("fd00::1", "ff02::1"),
    ] {
        assert!(!p(a, b), "{a} {b}");
    }
}

#[test]
fn priorities_are_those_of_the_rfc() {
    assert_eq!(priority(Kind::Host, 65_535), 2_130_706_431);
    assert_eq!(priority(Kind::Relayed, 0), 255);
    assert!(tcp_preference(u16::MAX) < u16::MAX - BASES as u16);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is lost, doubled, and in whatever order it comes: both end on one pair.
    #[test]
    fn a_bad_network_is_got_over(seed in any::<[u8; 32]>(), loss in 0.0f64..0.5, jitter in 0u64..400, roles in 0u8..4,
                                 addresses in 1usize..4, told in 0u8..3) {
        let role = |bit: u8| if roles & bit != 0 { Role::Controlling } else { Role::Controlled };
        let list_a: Vec<String> = (0..addresses).map(|i| format!("10.0.{i}.1:8189")).collect();
        let list_b: Vec<String> = (0..addresses).map(|i| format!("10.0.{i}.2:5000")).collect();
        let refs = |l: &[String]| l.iter().map(|s| s.as_str().to_owned()).collect::<Vec<_>>();
        let (a, b) = (refs(&list_a), refs(&list_b));
        let mut net = Net::seeded(role(1), role(2), &a, &b, seed);
        (net.loss, net.jitter, net.doubled) = (loss, jitter, 0.1);
        if told != 1 { for (i, x) in b.iter().enumerate() { net.tell(A, x, priority(Kind::Host, 65_535 - i as u16)); } }
        if told != 0 { for (i, x) in a.iter().enumerate() { net.tell(B, x, priority(Kind::Host, 65_535 - i as u16)); } }
        let connected = net.until(Duration::from_secs(60), Net::connected);
        // Who is told of nobody, and whom not one of the other's seven checks reached, has
        // nothing to go by.
        prop_assume!(connected || net.received.iter().all(|n| *n > 0));
        prop_assert!(connected, "{:#?}", net.agents);
        // And they stay, while the network is no worse than that.
        (net.loss, net.jitter) = (0.2, 50);
        net.run(Duration::from_secs(40));
        let told = format!("{:?} {:?}", net.events, net.agents.each_ref().map(|a| (a.role(), a.selected())));
        prop_assert!(net.connected(), "{}", told);
        prop_assert_ne!(net.agents[A].role(), net.agents[B].role());
        prop_assert!(net.agents.iter().all(|a| a.pair_count() <= PAIRS));
    }
}
