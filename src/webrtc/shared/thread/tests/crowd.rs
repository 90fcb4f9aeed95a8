//! Many viewers, many sessions, many frames; and none of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::super::super::control::{Event, Refused};
use super::super::super::ring::tests::frame;
use super::client::{Client, PATIENCE};
use super::server::{Seen, Server, wait};
use super::watch;

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
fn a_thousand_come_and_go_and_leave_nothing() {
    let mut server = Server::new(&["127.0.0.1:0"], &[], |c| c.sessions = 1_000);
    server.frame(true, 5);
    let client = Client::udp(&server, server.udp());
    let name = |open: &mut super::super::super::control::Open| {
        open.local.ufrag = format!("{:016x}", rand::random::<u64>());
        open.candidates = (1..20u16)
            .map(|p| super::super::super::ice::Candidate {
                address: ([127, 0, 0, 1], p).into(),
                priority: u32::from(p),
            })
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
fn a_feed_that_is_full_goes_on_with_a_key_frame() {
    let bell = super::super::super::net::Bell::new().unwrap();
    let queue = Arc::new(super::super::super::queue::Queue::new(bell));
    let local = super::super::super::control::Local { udp: vec![], tcp: vec![] };
    let handle = super::super::super::control::Handle::new(queue.clone(), local);
    let feed = handle.ring(Default::default()).unwrap();
    for n in 0..super::super::super::control::FRAMES as u32 {
        assert!(feed.push(frame(n, n == 0, 1, 10)));
    }
    assert!(!feed.push(frame(1, false, 1, 10)));
    let mut taken = super::super::super::queue::Taken::default();
    queue.take(&mut taken);
    assert_eq!(taken.frames.len(), super::super::super::control::FRAMES);
    taken.commands.clear();
    assert!(!feed.push(frame(2, false, 1, 10)));
    assert!(feed.push(frame(3, true, 1, 10)));
    assert!(feed.push(frame(4, false, 1, 10)));
    assert_eq!(handle.counters().frames_dropped.load(Ordering::Relaxed), 2);
    // Said twice, told once.
    feed.interrupt();
    feed.interrupt();
    taken.frames.clear();
    queue.take(&mut taken);
    assert_eq!(taken.frames.len(), 3);
    // Commands are bounded, what gives something back is not.
    taken.commands.clear();
    for _ in 0..super::super::super::control::COMMANDS {
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
fn a_thread_that_has_ended_says_so_and_has_no_sessions() {
    let mut server = Server::of(2, &["127.0.0.1:0"], &[], |_| ());
    let client = Client::udp(&server, server.udp());
    let (_client, mut seen) = watch(&mut server, client);
    assert!(!server.handle.has_ended());
    wait("not counted", || server.count(|c| &c.sessions) == 1);
    server.handle.shutdown("the end", None);
    wait("it goes on", || server.handle.has_ended());
    wait("its sessions are counted still", || server.count(|c| &c.sessions) == 0);
    assert_eq!(seen.closed(), "the end");
}
