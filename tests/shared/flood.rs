//! Strangers on the port: nothing that is not authentic is answered, costs memory, or
//! harms who watches.

use super::kit::{SOON, gate, place};
use super::support::camera::Camera;
use super::support::gateway::Gateway;
use super::support::ice_gate::{Credentials, check};
use super::support::relay::{Direction, Relay};
use super::support::until_true;
use super::support::whep::{Options, Viewer};
use std::net::UdpSocket;

/// Datagrams of each kind, without a pause between them: more than a socket's buffer holds.
const EACH: usize = 3_000;
/// Addresses that they come from.
const STRANGERS: usize = 8;

struct Strangers(Vec<UdpSocket>);

impl Strangers {
    fn new(relay: &Relay) -> Self {
        let socket = |_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(relay.server()).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        Self((0..STRANGERS).map(socket).collect())
    }

    fn send(&self, count: usize, packet: impl Fn(usize) -> Vec<u8>) {
        for n in 0..count {
            let _ = self.0[n % STRANGERS].send(&packet(n));
        }
    }

    /// What came back to them: datagrams, and bytes.
    fn heard(&self) -> (usize, usize) {
        let mut buffer = [0; 65_536];
        let mut heard = (0, 0);
        for socket in &self.0 {
            while let Ok(size) = socket.recv(&mut buffer) {
                heard = (heard.0 + 1, heard.1 + size);
            }
        }
        heard
    }
}

fn frames(viewer: &Viewer) -> usize {
    viewer.with(|log| log.video.complete_frames())
}

async fn goes_on(viewer: &Viewer, more: usize) {
    let before = frames(viewer);
    until_true(SOON, "pictures", || frames(viewer) > before + more).await;
}

/// Bytes that look like chance.
fn noise(n: usize, length: usize) -> Vec<u8> {
    let mut random = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// `head` and noise behind it.
fn headed(head: &[u8], n: usize, length: usize) -> Vec<u8> {
    [head, &noise(n, length)].concat()
}

/// A viewer through a relay that records, so that strangers know what passes on its way.
async fn overheard(gateway: &Gateway) -> (Relay, Viewer, Credentials, Credentials) {
    let relay = Relay::start(3);
    relay.record(true);
    let offered = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let keep = offered.clone();
    let edit = move |sdp: String| {
        *keep.lock().unwrap() = sdp.clone();
        sdp
    };
    let options = Options {
        audio: false,
        receive_buffer: Some(8 << 20),
        edit_offer: Some(std::sync::Arc::new(edit)),
        ..Options::default()
    };
    let viewer = Viewer::join(gateway.url(), "gate", relay.options(options)).await.unwrap();
    until_true(SOON, "pictures", || frames(&viewer) > 25).await;
    relay.record(false);
    let (viewers, gateways) = (Credentials::of(&offered.lock().unwrap()), Credentials::of(viewer.answer()));
    (relay, viewer, viewers, gateways)
}

#[tokio::test]
async fn floods_of_strangers_are_not_answered_and_harm_nobody() {
    let camera = Camera::builder().size(320, 180).gop_frames(50).prerecorded().start();
    let gateway = gate(&camera);
    let (relay, viewer, viewers, gateways) = overheard(&gateway).await;
    let (ours, theirs) = (viewers.ufrag.as_str(), gateways.ufrag.as_str());
    let hello = relay.taken(Direction::Up).into_iter().find(|p| p[0] == 22).expect("no ClientHello");
    let strangers = Strangers::new(&relay);
    goes_on(&viewer, 25).await;
    let before = gateway.usage();

    type Kind<'a> = (&'a str, Box<dyn Fn(usize) -> Vec<u8> + 'a>);
    let kinds: Vec<Kind<'_>> = vec![
        ("STUN for nobody", Box::new(|n| check(&format!("nobody{n}"), ours, Some("a password of twenty-two")))),
        (
            "STUN with a wrong password",
            Box::new(|n| check(theirs, ours, Some(&format!("a wrong password of twenty-two {n}")))),
        ),
        ("STUN without a password", Box::new(|_| check(theirs, ours, None))),
        ("STUN with a password and no end", Box::new(|n| check(theirs, &format!("{n}").repeat(60), Some("x")))),
        ("STUN responses", Box::new(|n| headed(&[1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], n, 12))),
        ("STUN headers", Box::new(|n| headed(&[0, 1, 0, 96, 0x21, 0x12, 0xa4, 0x42], n, 108))),
        ("DTLS hellos", Box::new(|_| hello.clone())),
        ("DTLS noise", Box::new(|n| headed(&[22, 0xfe, 0xfd], n, n % 400))),
        ("RTP", Box::new(|n| headed(&[0x80, 96], n, 1_000))),
        ("RTCP", Box::new(|n| headed(&[0x81, 201], n, 60))),
        ("all first bytes", Box::new(|n| headed(&[n as u8], n, 30))),
        ("nothing", Box::new(|_| Vec::new())),
        ("large ones", Box::new(|n| noise(n, 9_000))),
    ];
    let mut answered = Vec::new();
    for (kind, packet) in &kinds {
        strangers.send(EACH, packet);
        goes_on(&viewer, 10).await;
        if let heard @ (1.., _) = strangers.heard() {
            answered.push((*kind, heard));
        }
    }
    // The port has had time for all of it: an authentic check is answered still.
    goes_on(&viewer, 25).await;
    answered.extend(Some(("late", strangers.heard())).filter(|(_, heard)| heard.0 > 0));
    assert_eq!(answered, [], "strangers were answered: datagrams, bytes");
    viewer.with(|log| {
        assert_eq!((log.video.lost, log.video.missing(), log.wire.duplicates()), (0, 0, 0));
        assert!(log.video.indices().windows(2).all(|w| w[1] == w[0] + 1), "{:?}", log.video.indices());
    });
    let after = gateway.usage();
    assert!((after.threads, after.fds) <= (before.threads + 2, before.fds + 2), "{before:?} {after:?}");
    assert!(after.rss_kb <= before.rss_kb + 8 * 1024, "{before:?} {after:?}");
    // The door is open for others meanwhile.
    let second = Viewer::join(gateway.url(), "gate", Options::default()).await.unwrap();
    until_true(SOON, "pictures for the next one", || frames(&second) > 5).await;
    assert!(!gateway.log().iter().any(|l| l.contains("viewer left")));
}

/// STUN has no replay window: an overheard check verifies from everywhere. It must move
/// nothing, for its sender cannot answer ours.
#[tokio::test]
async fn an_overheard_check_from_elsewhere_moves_nothing() {
    let camera = Camera::builder().size(320, 180).gop_frames(50).prerecorded().start();
    let gateway = gate(&camera);
    let (relay, viewer, ..) = overheard(&gateway).await;
    let taken = relay.taken(Direction::Up);
    let checks: Vec<_> = taken.iter().filter(|p| p[0] == 0 && p[1] == 1).collect();
    let others: Vec<_> = taken.iter().filter(|p| p[0] >= 20).collect();
    assert!(!checks.is_empty() && !others.is_empty());
    let strangers = Strangers::new(&relay);
    let (mut media, mut sent, mut heard) = (0, 0, 0);
    for _ in 0..20 {
        for (n, packet) in checks.iter().chain(&others).take(100).enumerate() {
            let _ = strangers.0[n % STRANGERS].send(packet);
            sent += packet.len();
        }
        goes_on(&viewer, 5).await;
        let mut buffer = [0; 65_536];
        for socket in &strangers.0 {
            while let Ok(size) = socket.recv(&mut buffer) {
                heard += size;
                media += usize::from(buffer[0] >= 4);
            }
        }
    }
    assert_eq!(media, 0, "DTLS or media went to a stranger");
    // Answers and checks of our own, about as long as what asked for them.
    assert!(heard <= 3 * sent, "{heard} bytes for {sent}");
    viewer.with(|log| assert_eq!((log.video.lost, log.video.missing(), log.wire.duplicates()), (0, 0, 0)));
    assert!(!gateway.log().iter().any(|l| l.contains("viewer left")));
}

#[tokio::test]
async fn the_place_of_the_tests_serves_from_one_port() {
    let place = place();
    let mut ports = std::collections::HashSet::new();
    for path in ["cam-port-a", "cam-port-b"] {
        let session = super::kit::bare(place.gateway.url(), path).await;
        for line in session.reply.body.lines().filter(|l| l.starts_with("a=candidate:")) {
            ports.insert(line.split(' ').nth(5).map(String::from));
        }
        assert_eq!(session.delete().await, 200);
    }
    assert_eq!(ports.len(), 1, "{ports:?}");
}
