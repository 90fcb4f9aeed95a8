//! With `is`, the agent of str0m, as a browser, in both roles.

use std::time::Instant;

use is::stun::{StunMessage, StunPacket};
use is::{Candidate as TheirCandidate, IceAgent, IceAgentEvent, IceCreds, Protocol};

use super::super::super::stun::Message;
use super::*;

/// Runs both until both have chosen, and checks that they chose the same.
fn meet(our_role: Role, they_know_us: bool, we_know_them: bool) {
    let (ours, theirs) = (addr("10.0.0.1:8189"), addr("10.0.0.2:5000"));
    let mut now = Instant::now();
    let mut a = Agent::new(our_role, creds(A), Some(creds(B)), &[ours], [5; 32], now);
    let ice = |c: Credentials| IceCreds { ufrag: c.ufrag, pass: c.password };
    let mut b = IceAgent::new(ice(creds(B)));
    b.set_controlling(our_role == Role::Controlled);
    b.set_remote_credentials(ice(creds(A)));
    b.add_local_candidate(TheirCandidate::host(theirs, "udp").unwrap()).unwrap();
    if they_know_us {
        b.add_remote_candidate(TheirCandidate::host(ours, "udp").unwrap());
    }
    if we_know_them {
        a.add_remote(Candidate { address: theirs, priority: priority(Kind::Host, 65_535) });
    }
    let mut nominated = None;
    let end = now + Duration::from_secs(30);
    while (nominated.is_none() || a.selected().is_none()) && now < end {
        while let Some(t) = a.poll_transmit() {
            let message = StunMessage::parse(&t.data).unwrap();
            b.handle_packet(now, StunPacket { proto: Protocol::Udp, source: ours, destination: theirs, message });
        }
        while let Some(t) = b.poll_transmit() {
            let data: Vec<u8> = t.contents.into();
            let message = Message::parse(&data).unwrap();
            let route = Route { via: Via::Udp, local: t.destination, remote: t.source };
            assert_eq!(a.handle_packet(route, &message, now), Verdict::Authentic);
        }
        while let Some(e) = b.poll_event() {
            if let IceAgentEvent::NominatedSend { source, destination, .. } = e {
                nominated = Some((source, destination));
            }
        }
        now += Duration::from_millis(10);
        a.handle_timeout(now);
        b.handle_timeout(now);
    }
    let route = a.selected().unwrap();
    assert_eq!((route.local, route.remote), (ours, theirs));
    assert_eq!(nominated, Some((theirs, ours)));
}

#[test]
fn as_a_whep_server_that_knows_no_candidates() {
    meet(Role::Controlled, true, false);
}

#[test]
fn as_a_whep_server_with_candidates() {
    meet(Role::Controlled, true, true);
}

#[test]
fn as_a_whep_client() {
    meet(Role::Controlling, true, true);
    meet(Role::Controlling, false, true);
}
