//! Those who are no viewers.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use super::super::super::framing::frame as framed;
use super::super::super::ice::Role;
use super::super::super::stun::{Class, Key, Writer};
use super::client::{Client, PATIENCE};
use super::server::{Server, wait};
use super::watch;

#[test]
fn floods_are_not_answered_and_leave_nothing() {
    for threads in [1, 3] {
        floods_at(threads);
    }
}

fn floods_at(threads: usize) {
    let mut server = Server::of(threads, &["127.0.0.1:0"], &[], |_| ());
    let client = Client::udp(&server, server.udp());
    let (mut client, seen) = watch(&mut server, client);
    let ufrag = client.their_ufrag().to_owned();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut sent = 0;
    for round in 0..3_000u32 {
        let id: [u8; 12] = rand::random();
        let stun = |to: &str, password: &str| {
            Writer::new(Class::Request, &id)
                .username(to, "abcd")
                .priority(round)
                .role(Role::Controlling, 1)
                .use_candidate()
                .finish(Some(&Key::new(password)))
        };
        let mut hello = vec![22, 0xfe, 0xfd];
        hello.extend_from_slice(&[round as u8; 100]);
        let mut report = vec![0x81, 201, 0, 7];
        report.extend_from_slice(&[round as u8; 60]);
        for data in [
            stun("nobody", "x"),
            // It knows a name, which is public, and not the password.
            stun(&ufrag, "not the password, is it"),
            Writer::new(Class::Success, &id).mapped("1.2.3.4:5".parse().unwrap()).finish(None),
            hello,
            report,
            vec![0x80; 500],
            vec![200; 30],
            vec![],
            vec![22; 3_000],
        ] {
            if stranger.send_to(&data, server.udp()).is_ok() {
                sent += 1;
            }
        }
        if round % 100 == 99 {
            // Some may be lost in the socket: those that came are counted.
            client.step();
        }
    }
    server.frame(true, 5);
    client.frames(2);
    let foreign = server.count(|c| &c.foreign);
    assert!(foreign > 100 && foreign <= sent, "{foreign} of {sent}");
    assert_eq!(server.count(|c| &c.sessions), 1);
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 100]).is_err(), "answered");
    assert_eq!(seen.status.get().dropped, 0);
}

#[test]
fn what_was_heard_on_the_way_is_of_no_use() {
    for threads in [1, 3] {
        what_at(threads);
    }
}

fn what_at(threads: usize) {
    let mut server = Server::of(threads, &["127.0.0.1:0"], &[], |_| ());
    let client = Client::udp(&server, server.udp());
    let (mut client, seen) = watch(&mut server, client);
    // A compound of the viewer, once more, by its own way and by another.
    let first = client.got[0].sequence;
    let data = client.protected(|t| _ = t.nack(9, super::VIDEO.ssrc, &[first]));
    client.send(&data);
    client.until("no retransmission", |c| c.got.last().is_some_and(|g| g.ssrc == super::client::RTX.ssrc));
    let before = client.got.len();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let received = server.count(|c| &c.received);
    for _ in 0..50 {
        client.send(&data);
        stranger.send_to(&data, server.udp()).unwrap();
        // One that has not come yet, and was changed on the way.
        let mut forged = client.protected(|_| ());
        forged[10] ^= 1;
        client.send(&forged);
    }
    wait("not received", || server.count(|c| &c.received) >= received + 150);
    server.frame(false, 2);
    client.until("it does not go on", |c| c.got.len() >= before + 2);
    assert_eq!(client.got.len(), before + 2);
    wait("not counted", || seen.status.get().forged == 50);
    let stats = seen.status.get();
    assert_eq!((stats.nacked, stats.resent), (1, 1));
}

#[test]
fn connections_of_strangers_are_few_and_short() {
    for threads in [1, 3] {
        connections_at(threads);
    }
}

fn connections_at(threads: usize) {
    let mut server = Server::of(threads, &[], &["127.0.0.1:0"], |c| {
        c.connections = (6, 4);
        // The viewer has to show in that time that it is none.
        c.strangers = Duration::from_secs(5);
    });
    let counters = |s: &Server| (s.count(|c| &c.connections), s.count(|c| &c.connections_refused));
    // A viewer is no stranger.
    let client = Client::tcp(&server, server.tcp());
    let (mut client, seen) = watch(&mut server, client);
    let mut all: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(server.tcp()).unwrap()).collect();
    wait("too many", || counters(&server).1 >= 4);
    // Rubbish ends one before its time, as do lengths that nobody sends.
    let mut out = Vec::new();
    for _ in 0..40 {
        assert!(framed(&[200; 20], &mut out));
    }
    let _ = all[0].write_all(&out);
    let _ = all[1].write_all(&[0xff; 100]);
    for c in &mut all {
        c.set_read_timeout(Some(PATIENCE)).unwrap();
        // Closed, or reset; and nothing was said.
        assert!(matches!(c.read(&mut [0; 10]), Ok(0) | Err(_)));
    }
    wait("they are there still", || counters(&server).0 == 1);
    server.frame(true, 5);
    client.frames(2);
    assert_eq!(seen.status.get().dropped, 0);
}

#[test]
fn who_watches_cannot_take_anothers_place() {
    for threads in [1, 3] {
        who_at(threads);
    }
}

fn who_at(threads: usize) {
    let mut server = Server::of(threads, &["127.0.0.1:0"], &[], |_| ());
    let client = Client::udp(&server, server.udp());
    let (mut client, seen) = watch(&mut server, client);
    // A check of the viewer, sent on by somebody else: it is answered there, once, and
    // media stays where it is, for nobody answers there.
    let check = client.check();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    stranger.send_to(&check, server.udp()).unwrap();
    let mut buffer = [0; 1_500];
    stranger.recv(&mut buffer).unwrap();
    for n in 2..6 {
        server.frame(true, 5);
        client.frames(n);
    }
    assert_eq!(seen.status.get().dropped, 0);
}
