//! Real sockets on loopback, and viewers that decrypt and authenticate everything.

mod attack;
mod client;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::super::control::{Egress, Event, Refused};
use super::super::ring::tests::frame;
use super::super::stun::{Class, Message, Writer};
use client::{Client, PATIENCE, Seen, Server, VIDEO, number, wait};

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

#[test]
fn a_viewer_over_ipv6_and_both_over_one_wildcard_socket() {
    let mut server = Server::new(&["[::1]:0"], &[], |_| ());
    let client = Client::udp(&server, server.udp());
    let (mut client, mut seen) = watch(&mut server, client);
    goes_on(&mut server, &mut client, &mut seen);
    for to in ["127.0.0.1", "127.0.0.2", "::1"] {
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
    for (listen, to) in [("127.0.0.1:0", "127.0.0.1"), ("[::]:0", "127.0.0.1"), ("[::]:0", "::1")] {
        let mut server = Server::new(&[], &[listen], |_| ());
        let client = Client::tcp(&server, (to.parse::<std::net::IpAddr>().unwrap(), server.tcp().port()).into());
        let (mut client, mut seen) = watch(&mut server, client);
        goes_on(&mut server, &mut client, &mut seen);
        wait("the connection is there still", || server.handle.counters().connections.load(Ordering::Relaxed) == 0);
    }
}

#[test]
fn a_way_without_gso_is_found_while_it_runs() {
    // Of a device that does not checksum, of a link with a smaller MTU.
    for errno in [libc::EIO, libc::EINVAL] {
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
    let trouble = Arc::<super::super::net::Trouble>::default();
    let theirs = trouble.clone();
    let mut server = Server::new(&["127.0.0.1:0"], &[], |c| c.trouble = theirs);
    let client = Client::udp(&server, server.udp());
    let (mut client, seen) = watch(&mut server, client);
    trouble.all.store(libc::ENOBUFS, Ordering::Relaxed);
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
        wait("it is not sent", || server.handle.counters().unsent.load(Ordering::Relaxed) > 0 || {
            let s = seen.status.get();
            s.packets + 50 * s.dropped >= 23 + 50 * n
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
fn fifty_viewers() {
    let mut server = Server::new(&["127.0.0.1:0"], &[], |_| ());
    server.frame(true, 5);
    let mut all: Vec<(Client, Seen)> = (0..50)
        .map(|_| {
            let client = Client::udp(&server, server.udp());
            let seen = server.open(&client);
            (client, seen)
        })
        .collect();
    for (client, _) in &mut all {
        client.join();
    }
    for (client, _) in &mut all {
        client.frames(0);
    }
    for n in 1..=20 {
        server.frame(n == 10, 4);
        for (client, _) in &mut all {
            client.frames(n);
        }
    }
    for (_, seen) in &all {
        assert_eq!(seen.status.get().packets, 5 + 20 * 4);
    }
    let counters = server.handle.counters();
    assert_eq!(counters.sessions.load(Ordering::Relaxed), 50);
    assert_eq!(counters.unsent.load(Ordering::Relaxed), 0);
    let (tx, ended) = mpsc::channel();
    server.handle.shutdown("the end", Some(Box::new(move || _ = tx.send(()))));
    ended.recv_timeout(PATIENCE).unwrap();
    for (client, seen) in &mut all {
        client.until("no good-bye", |c| c.closed && c.bye);
        assert_eq!(seen.closed(), "the end");
    }
    assert_eq!(server.handle.ring(Default::default()).err(), Some(Refused::Gone));
    // The port is free again.
    std::net::UdpSocket::bind(server.udp()).unwrap();
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
fn another_certificate_is_refused() {
    let mut server = Server::new(&["127.0.0.1:0"], &[], |_| ());
    server.frame(true, 5);
    let mut client = Client::udp(&server, server.udp());
    client.wrong_fingerprint();
    let mut seen = server.open(&client);
    client.until("not told", |c| c.closed || c.failed.is_some());
    assert!(seen.closed().contains("fingerprint"));
    assert!(client.got.is_empty());
}

#[test]
fn a_viewer_that_leaves_is_gone_at_once() {
    let mut server = Server::new(&["127.0.0.1:0"], &[], |_| ());
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
        assert_eq!(seen.closed(), "the viewer has left");
    }
    wait("sessions are left", || server.handle.counters().sessions.load(Ordering::Relaxed) == 0);
}

#[test]
fn a_viewer_whose_address_changes_goes_on() {
    let mut server = Server::new(&["127.0.0.1:0"], &[], |_| ());
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
    let mut server = Server::new(&["127.0.0.1:0"], &[], |_| ());
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
fn nothing_to_do_is_nothing_done() {
    let mut server = Server::new(&["127.0.0.1:0"], &["127.0.0.1:0"], |_| ());
    let client = Client::udp(&server, server.udp());
    let (_client, _seen) = watch(&mut server, client);
    let wakes = || server.handle.counters().wakes.load(Ordering::Relaxed);
    let before = wakes();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(50)); // poll
    }
    // A report every two seconds, a check of consent every five.
    let allowed = 20 + 10 * began.elapsed().as_secs();
    assert!(wakes() - before < allowed, "{} in {:?}", wakes() - before, began.elapsed());
}

#[test]
fn a_thousand_come_and_go_and_leave_nothing() {
    let mut server = Server::new(&["127.0.0.1:0"], &[], |c| c.sessions = 1_000);
    server.frame(true, 5);
    let client = Client::udp(&server, server.udp());
    let name = |open: &mut super::super::control::Open| {
        open.local.ufrag = format!("{:016x}", rand::random::<u64>());
        open.candidates = (1..20u16)
            .map(|p| super::super::ice::Candidate { address: ([127, 0, 0, 1], p).into(), priority: u32::from(p) })
            .collect();
    };
    for _ in 0..3 {
        let mut all: Vec<Seen> = Vec::new();
        for _ in 0..1_000 {
            loop {
                // The queue of commands is as long.
                if server.handle.counters().sessions.load(Ordering::Relaxed) as usize + 500 > all.len() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1)); // poll
            }
            all.push(server.open_with(&client, name));
        }
        wait("not all are there", || server.handle.counters().sessions.load(Ordering::Relaxed) == 1_000);
        // One too many.
        assert_eq!(server.open_with(&client, name).closed(), "too many sessions");
        let (tx, done) = mpsc::channel();
        for seen in &all {
            let tx = tx.clone();
            server.handle.close(seen.id, "enough", Some(Box::new(move || _ = tx.send(()))));
        }
        for seen in &mut all {
            done.recv_timeout(PATIENCE).unwrap();
            assert_eq!(seen.closed(), "enough");
        }
        wait("some are left", || server.handle.counters().sessions.load(Ordering::Relaxed) == 0);
    }
    // And a viewer still joins.
    let client = Client::udp(&server, server.udp());
    let (mut client, mut seen) = {
        let mut seen = server.open(&client);
        let mut client = client;
        client.join();
        seen.until(|e| *e == Event::Connected);
        (client, seen)
    };
    client.frames(0);
    server.handle.close(seen.id, "enough", None);
    assert_eq!(seen.closed(), "enough");
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
fn a_feed_that_is_full_goes_on_with_a_key_frame() {
    let bell = super::super::net::Bell::new().unwrap();
    let queue = Arc::new(super::super::queue::Queue::new(bell));
    let local = super::super::control::Local { udp: vec![], tcp: vec![] };
    let handle = super::super::control::Handle::new(queue.clone(), local);
    let feed = handle.ring(Default::default()).unwrap();
    for n in 0..super::super::control::FRAMES as u32 {
        assert!(feed.push(frame(n, n == 0, 1, 10)));
    }
    assert!(!feed.push(frame(1, false, 1, 10)));
    let (mut frames, mut commands) = Default::default();
    queue.take(&mut frames, &mut commands);
    assert_eq!(frames.len(), super::super::control::FRAMES);
    commands.clear();
    assert!(!feed.push(frame(2, false, 1, 10)));
    assert!(feed.push(frame(3, true, 1, 10)));
    assert!(feed.push(frame(4, false, 1, 10)));
    assert_eq!(handle.counters().frames_dropped.load(Ordering::Relaxed), 2);
    // Said twice, told once.
    feed.interrupt();
    feed.interrupt();
    frames.clear();
    queue.take(&mut frames, &mut commands);
    assert_eq!(frames.len(), 3);
    // Commands are bounded, what gives something back is not.
    commands.clear();
    for _ in 0..super::super::control::COMMANDS {
        handle.candidates(1, vec![]).unwrap();
    }
    assert_eq!(handle.candidates(1, vec![]), Err(Refused::Full));
    handle.close(1, "", None);
    drop(feed);
    queue.end();
    let (tx, done) = mpsc::channel();
    handle.close(1, "", Some(Box::new(move || _ = tx.send(()))));
    done.try_recv().unwrap();
}
