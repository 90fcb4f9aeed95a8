//! Real sockets on loopback, and viewers that decrypt and authenticate everything.

mod attack;
mod client;
mod crowd;
mod server;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::super::control::{Egress, Event};
use super::super::stun::{Class, Message, Writer};
use client::{Client, PATIENCE, VIDEO, number};
use server::{Seen, Server, wait};

/// A path that runs, and a viewer that has joined and seen what was cached.
fn watch(server: &mut Server, mut client: Client) -> (Client, Seen) {
    server.frame(true, 20);
    server.frame(false, 3);
    let mut seen = server.open(&client);
    client.join();
    seen.until(|e| *e == Event::Connected);
    client.frames(1);
    (client, seen)
}

fn goes_on(server: &mut Server, client: &mut Client, seen: &mut Seen) {
    // Long runs, a short last packet, single packets; one frame of more than a message.
    for (n, packets) in [3, 1, 10, 1, 70].into_iter().enumerate() {
        server.frame(n == 4, packets);
        client.frames(2 + n as u32);
    }
    let stats = seen.status.get();
    assert_eq!((stats.packets, stats.dropped), (23 + 85, 0));
    server.handle.close(seen.id, "enough", None);
    client.until("no good-bye", |c| c.closed && c.bye);
    assert_eq!(seen.closed(), "enough");
}

#[test]
fn a_viewer_over_ipv4_however_packets_leave() {
    for egress in [Egress::Segmented, Egress::Many, Egress::Single] {
        let mut server = Server::new(&["127.0.0.1:0"], &[], |c| c.egress = egress);
        let client = Client::udp(&server, server.udp());
        let (mut client, mut seen) = watch(&mut server, client);
        goes_on(&mut server, &mut client, &mut seen);
        wait("no count", || server.handle.counters().egress() >= egress);
    }
}

/// Whether this machine has an address; says so where it has not.
fn has(ip: &str) -> bool {
    let there = std::net::UdpSocket::bind((ip, 0)).is_ok();
    if !there {
        eprintln!("skipped: this machine has no {ip}");
    }
    there
}

#[test]
fn a_viewer_over_ipv6_and_both_over_one_wildcard_socket() {
    if has("::1") {
        let mut server = Server::new(&["[::1]:0"], &[], |_| ());
        let client = Client::udp(&server, server.udp());
        let (mut client, mut seen) = watch(&mut server, client);
        goes_on(&mut server, &mut client, &mut seen);
    }
    for to in ["127.0.0.1", "127.0.0.2", "::1"].into_iter().filter(|to| has(to)) {
        for egress in [Egress::Segmented, Egress::Single] {
            let mut server = Server::new(&["[::]:0"], &[], |c| c.egress = egress);
            let client = Client::udp(&server, (to.parse::<std::net::IpAddr>().unwrap(), server.udp().port()).into());
            let (mut client, mut seen) = watch(&mut server, client);
            // It is known by the address that it was really sent to.
            let route = seen.all.iter().find_map(|e| match e {
                Event::Route(r) => Some(*r),
                _ => None,
            });
            assert_eq!(route.unwrap().local, client.route.remote);
            goes_on(&mut server, &mut client, &mut seen);
        }
    }
    let mut server = Server::new(&["0.0.0.0:0"], &[], |_| ());
    let client = Client::udp(&server, ([127, 0, 0, 3], server.udp().port()).into());
    let (mut client, mut seen) = watch(&mut server, client);
    goes_on(&mut server, &mut client, &mut seen);
}

#[test]
fn a_viewer_over_tcp() {
    let ways = [("127.0.0.1:0", "127.0.0.1"), ("[::]:0", "127.0.0.1"), ("[::]:0", "::1")];
    for (listen, to) in ways.into_iter().filter(|(_, to)| has(to)) {
        let mut server = Server::new(&[], &[listen], |_| ());
        let client = Client::tcp(&server, (to.parse::<std::net::IpAddr>().unwrap(), server.tcp().port()).into());
        let (mut client, mut seen) = watch(&mut server, client);
        goes_on(&mut server, &mut client, &mut seen);
        wait("the connection is there still", || server.handle.counters().connections.load(Ordering::Relaxed) == 0);
    }
}

#[test]
fn a_way_without_gso_is_found_while_it_runs() {
    // Of a device that does not checksum, of a link with a smaller MTU, of a firewall that
    // lets nothing long pass.
    for errno in [libc::EIO, libc::EINVAL, libc::EPERM] {
        let trouble = Arc::<super::super::net::Trouble>::default();
        let theirs = trouble.clone();
        let mut server = Server::new(&["127.0.0.1:0"], &[], |c| c.trouble = theirs);
        let client = Client::udp(&server, server.udp());
        let (mut client, mut seen) = watch(&mut server, client);
        trouble.segmented.store(errno, Ordering::Relaxed);
        goes_on(&mut server, &mut client, &mut seen);
        assert_eq!(server.handle.counters().unsent.load(Ordering::Relaxed), 0);
    }
    // A kernel without sendmmsg.
    let trouble = Arc::<super::super::net::Trouble>::default();
    trouble.many.store(libc::ENOSYS, Ordering::Relaxed);
    let mut server = Server::new(&["127.0.0.1:0"], &[], |c| c.trouble = trouble);
    let client = Client::udp(&server, server.udp());
    let (mut client, mut seen) = watch(&mut server, client);
    goes_on(&mut server, &mut client, &mut seen);
    wait("no count", || server.handle.counters().egress() == Egress::Single);
}

#[test]
fn a_socket_that_is_full_costs_whole_frames_up_to_the_next_key_frame() {
    // Full at once, and full for longer than there is patience.
    for errno in [libc::ENOBUFS, libc::EAGAIN] {
        full(errno);
    }
}

fn full(errno: i32) {
    let trouble = Arc::<super::super::net::Trouble>::default();
    let theirs = trouble.clone();
    let mut server = Server::new(&["127.0.0.1:0"], &[], |c| c.trouble = theirs);
    let client = Client::udp(&server, server.udp());
    let (mut client, seen) = watch(&mut server, client);
    trouble.all.store(errno, Ordering::Relaxed);
    server.frame(false, 4);
    wait("nothing refused", || server.handle.counters().unsent.load(Ordering::Relaxed) >= 4);
    trouble.all.store(0, Ordering::Relaxed);
    let before = client.got.len();
    server.frame(false, 3);
    server.frame(false, 3);
    server.frame(true, 5);
    client.until("no key frame", |c| c.got.last().is_some_and(|g| g.marker && number(g) == 5));
    // Only the key frame came; two frames were dropped whole.
    assert!(client.got[before..].iter().all(|g| number(g) == 5 && g.ssrc == VIDEO.ssrc));
    assert_eq!(client.got.len() - before, 5);
    wait("not counted", || seen.status.get().dropped == 2);
}

#[test]
fn a_tcp_viewer_that_does_not_read_loses_frames_and_no_memory_grows() {
    let mut server = Server::new(&[], &["127.0.0.1:0"], |_| ());
    let client = Client::tcp(&server, server.tcp());
    let (mut client, seen) = watch(&mut server, client);
    // More than the kernel's buffers and ours hold.
    for n in 0..400 {
        server.frame(n % 50 == 0, 50);
        wait("it is not sent", || {
            server.handle.counters().unsent.load(Ordering::Relaxed) > 0 || {
                let s = seen.status.get();
                s.packets + 50 * s.dropped >= 23 + 50 * n
            }
        });
    }
    wait("nothing dropped", || seen.status.get().dropped > 0);
    // It reads again, and goes on with a key frame.
    server.frame(true, 5);
    let last = 402;
    let end = Instant::now() + PATIENCE;
    let mut n = last;
    while !client.got.last().is_some_and(|g| g.marker && number(g) >= last) {
        assert!(Instant::now() < end, "it does not come back");
        let before = client.got.len();
        client.step();
        if client.got.len() == before && server.handle.counters().sent.load(Ordering::Relaxed) > 0 {
            n += 1;
            if n % 20 == 0 {
                server.frame(true, 5);
            }
        }
    }
}

#[test]
fn what_is_missed_is_sent_again_and_a_key_frame_may_be_asked_for() {
    let mut server = Server::new(&["127.0.0.1:0"], &[], |_| ());
    let client = Client::udp(&server, server.udp());
    let (mut client, mut seen) = watch(&mut server, client);
    let (first, payload) = (client.got[0].sequence, client.got[0].payload.clone());
    client.tell(|t| _ = t.nack(9, VIDEO.ssrc, &[first]));
    client.until("no retransmission", |c| c.got.last().is_some_and(|g| g.ssrc == client::RTX.ssrc));
    let again = client.got.last().unwrap();
    assert_eq!((&again.payload[..2], &again.payload[2..]), (&first.to_be_bytes()[..], &payload[..]));
    wait("not counted", || seen.status.get().resent == 1);
    let before = client.got.len();
    client.tell(|t| _ = t.pli(9, VIDEO.ssrc));
    seen.until(|e| *e == Event::KeyWanted(0));
    client.until("no replay", |c| c.got.len() == before + 23);
    client.until("no sender report", |c| c.reports > 0);
}

#[test]
fn after_an_interruption_a_viewer_goes_on_with_a_key_frame() {
    let mut server = Server::new(&["127.0.0.1:0"], &[], |_| ());
    let client = Client::udp(&server, server.udp());
    let (mut client, _seen) = watch(&mut server, client);
    server.feed.interrupt();
    // Of the new source, in the middle of a group: it refers to what nobody has.
    assert!(!server.feed.push(super::super::ring::tests::frame(90, false, 2, 1_000)));
    assert!(!server.feed.push(super::super::ring::tests::frame(91, false, 2, 1_000)));
    server.frame(true, 4);
    server.frame(false, 2);
    // In order and without holes, neither in the frames nor in the numbers.
    client.frames(3);
    assert_eq!(server.handle.counters().frames_dropped.load(Ordering::Relaxed), 2);
}

#[test]
fn another_certificate_is_refused() {
    let mut server = Server::new(&["127.0.0.1:0"], &[], |_| ());
    server.frame(true, 5);
    let mut client = Client::udp(&server, server.udp());
    client.wrong_fingerprint();
    let mut seen = server.open(&client);
    client.until("not told", |c| c.closed || c.failed.is_some());
    assert!(seen.closed().contains("certificate"));
    assert!(client.got.is_empty());
}

#[test]
fn a_viewer_that_leaves_is_gone_at_once() {
    [1, 3].into_iter().for_each(leaves);
}

fn leaves(threads: usize) {
    let mut server = Server::of(threads, &["127.0.0.1:0"], &[], |_| ());
    for report in [false, true] {
        let client = Client::udp(&server, server.udp());
        server.frame(true, 5);
        let mut seen = server.open(&client);
        let mut client = client;
        client.join();
        seen.until(|e| *e == Event::Connected);
        if report {
            client.tell(|_| ());
        }
        client.leave();
        assert_eq!(seen.closed(), "closed by the peer");
    }
    wait("sessions are left", || server.handle.counters().sessions.load(Ordering::Relaxed) == 0);
}

#[test]
fn a_viewer_whose_address_changes_goes_on() {
    [1, 3].into_iter().for_each(moves);
}

fn moves(threads: usize) {
    let mut server = Server::of(threads, &["127.0.0.1:0"], &[], |_| ());
    let client = Client::udp(&server, server.udp());
    let (mut client, mut seen) = watch(&mut server, client);
    client.move_away();
    let old = client.got.len();
    // Its checks find it; what was sent to the old address meanwhile is lost.
    let end = Instant::now() + PATIENCE;
    let mut next = 2;
    while client.got.len() == old {
        assert!(Instant::now() < end, "not followed");
        client.tell(|_| ());
        server.frame(true, 2);
        next += 1;
        for _ in 0..20 {
            client.step();
        }
    }
    let _ = next;
    let moved = |e: &Event| matches!(e, Event::Route(_));
    seen.until(moved);
    server.handle.close(seen.id, "enough", None);
    client.until("no good-bye", |c| c.closed);
}

#[test]
fn an_ice_restart_keeps_the_stream() {
    [1, 3].into_iter().for_each(restarts);
}

fn restarts(threads: usize) {
    let mut server = Server::of(threads, &["127.0.0.1:0"], &[], |_| ());
    let client = Client::udp(&server, server.udp());
    let (mut client, mut seen) = watch(&mut server, client);
    for n in 2..5 {
        let (local, remote) = client.restart();
        server.handle.restart(seen.id, local, remote).unwrap();
        client.move_away();
        let before = client.got.len();
        let end = Instant::now() + PATIENCE;
        // By the new way: the old socket is closed.
        while client.got.len() == before {
            assert!(Instant::now() < end, "restart {n}");
            server.frame(true, 2);
            for _ in 0..20 {
                client.step();
            }
        }
        seen.until(|e| matches!(e, Event::Route(_)));
    }
    server.handle.close(seen.id, "enough", None);
    client.until("no good-bye", |c| c.closed);
}

#[test]
fn a_stun_server_is_asked_by_the_socket_of_all_sessions() {
    let server = Server::new(&["[::]:0"], &[], |_| ());
    let stun = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    stun.set_read_timeout(Some(PATIENCE)).unwrap();
    let (tx, answers) = mpsc::channel();
    let ask = |wait: Duration, to: std::net::SocketAddr| {
        let tx = tx.clone();
        server.handle.reflexive(to, wait, Box::new(move |a| _ = tx.send(a))).unwrap();
    };
    ask(PATIENCE, stun.local_addr().unwrap());
    let mut buffer = [0; 1_500];
    // The first question is lost; another one comes.
    stun.recv_from(&mut buffer).unwrap();
    let (n, from) = stun.recv_from(&mut buffer).unwrap();
    assert_eq!(from.port(), server.udp().port());
    let question = Message::parse(&buffer[..n]).unwrap();
    let seen = "203.0.113.7:4711".parse().unwrap();
    // A stranger's answer is none.
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let wrong = Writer::new(Class::Success, &question.id).mapped("203.0.113.8:1".parse().unwrap()).finish(None);
    stranger.send_to(&wrong, from).unwrap();
    stun.send_to(&Writer::new(Class::Success, &question.id).mapped(seen).finish(None), from).unwrap();
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), Some(seen));
    // And one that says nothing.
    ask(Duration::from_millis(50), stranger.local_addr().unwrap());
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), None);
}

#[test]
fn viewers_of_another_thread_than_the_one_that_receives() {
    let ways = [("127.0.0.1:0", "127.0.0.1"), ("[::]:0", "127.0.0.2"), ("[::]:0", "::1")];
    for (listen, to) in ways.into_iter().filter(|(_, to)| has(to)) {
        let mut server = Server::of(3, &[listen], &[], |_| ());
        let client = Client::udp(&server, (to.parse::<std::net::IpAddr>().unwrap(), server.udp().port()).into());
        let (mut client, mut seen) = watch(&mut server, client);
        goes_on(&mut server, &mut client, &mut seen);
        let mut server = Server::of(3, &[], &[listen], |_| ());
        let client = Client::tcp(&server, (to.parse::<std::net::IpAddr>().unwrap(), server.tcp().port()).into());
        let (mut client, mut seen) = watch(&mut server, client);
        goes_on(&mut server, &mut client, &mut seen);
        let counters = server.handle.counters();
        wait("the connection is there still", || counters.connections.load(Ordering::Relaxed) == 0);
        assert_eq!(counters.passed_dropped.load(Ordering::Relaxed), 0);
    }
}
