//! A door in ICE for those who speak DTLS and no ICE: a UDP port before which their
//! client stands, and behind which the gateway is told by STUN that it is the viewer.
//! What is no STUN passes as it is.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use stun_types::attribute::{AttributeType, RawAttribute, Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageClass, MessageIntegrityCredentials, MessageWriteVec,
    ShortTermCredentials,
};
use stun_types::prelude::*;

/// PRIORITY, USE-CANDIDATE, ICE-CONTROLLING (RFC 8445 §20.2).
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const CONTROLLING: u16 = 0x802a;

/// One side's name and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub ufrag: String,
    pub pwd: String,
}

impl Credentials {
    /// The first ones of an SDP.
    pub fn of(sdp: &str) -> Self {
        let of = |name: &str| sdp.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_string();
        Self { ufrag: of("a=ice-ufrag:"), pwd: of("a=ice-pwd:") }
    }
}

fn key(password: &str) -> MessageIntegrityCredentials {
    ShortTermCredentials::new(password.into()).into()
}

/// A connectivity check as a browser's: of `from` for `to`, nominating. `password` is
/// `to`'s, or a wrong one, or none.
pub fn check(to: &str, from: &str, password: Option<&str>) -> Vec<u8> {
    let mut b = Message::builder_request(BINDING, MessageWriteVec::new());
    b.add_attribute(&Username::new(&format!("{to}:{from}")).unwrap()).unwrap();
    for (kind, value) in
        [(PRIORITY, &0x6e00_01ff_u32.to_be_bytes()[..]), (USE_CANDIDATE, &[]), (CONTROLLING, &7u64.to_be_bytes())]
    {
        b.add_attribute(&RawAttribute::new(AttributeType::new(kind), value)).unwrap();
    }
    if let Some(password) = password {
        b.add_message_integrity(&key(password), IntegrityAlgorithm::Sha1).unwrap();
    }
    b.add_fingerprint().unwrap();
    b.finish()
}

/// The answer to a check, if it is one and was made for us.
fn accept(data: &[u8], from: SocketAddr, password: &str) -> Option<Vec<u8>> {
    let request = Message::from_bytes(data).ok().filter(|m| m.has_class(MessageClass::Request))?;
    request.validate_integrity(&key(password)).ok()?;
    let mut b = Message::builder_success(&request, MessageWriteVec::new());
    b.add_attribute(&XorMappedAddress::new(from, request.transaction_id())).unwrap();
    b.add_message_integrity(&key(password), IntegrityAlgorithm::Sha1).unwrap();
    b.add_fingerprint().unwrap();
    Some(b.finish())
}

#[derive(Default)]
struct Shared {
    open: AtomicBool,
    quit: AtomicBool,
    media: AtomicU64,
}

/// An open door; closed when dropped.
pub struct IceGate {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl IceGate {
    /// Begins to check; see [`IceGate::is_open`].
    pub fn start(gateway: SocketAddr, ours: Credentials, theirs: Credentials) -> Self {
        let inner = UdpSocket::bind("127.0.0.1:0").unwrap();
        let outer = UdpSocket::bind("127.0.0.1:0").unwrap();
        outer.connect(gateway).unwrap();
        for socket in [&inner, &outer] {
            socket.set_nonblocking(true).unwrap();
        }
        let port = inner.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let its = shared.clone();
        let thread = std::thread::spawn(move || run(&its, &inner, &outer, &ours, &theirs));
        Self { port, shared, thread: Some(thread) }
    }

    /// Where the client connects to, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A check was answered.
    pub fn is_open(&self) -> bool {
        self.shared.open.load(Relaxed)
    }

    /// Packets of RTP and RTCP that came.
    pub fn media(&self) -> u64 {
        self.shared.media.load(Relaxed)
    }
}

impl Drop for IceGate {
    fn drop(&mut self) {
        self.shared.quit.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, inner: &UdpSocket, outer: &UdpSocket, ours: &Credentials, theirs: &Credentials) {
    let mut buffer = vec![0u8; 65_536];
    let (mut client, mut next) = (None, Instant::now());
    let gateway = outer.peer_addr().unwrap();
    while !shared.quit.load(Relaxed) {
        if next <= Instant::now() {
            // Often until it is open, then for consent (RFC 7675).
            next = Instant::now() + Duration::from_millis(if shared.open.load(Relaxed) { 1_000 } else { 50 });
            let _ = outer.send(&check(&theirs.ufrag, &ours.ufrag, Some(&theirs.pwd)));
        }
        let mut idle = true;
        if let Ok((size, from)) = inner.recv_from(&mut buffer) {
            idle = false;
            client = Some(from);
            let _ = outer.send(&buffer[..size]);
        }
        if let Ok(size) = outer.recv(&mut buffer) {
            idle = false;
            let data = &buffer[..size];
            match (data.first(), client) {
                (Some(0..=3), _) => {
                    if let Some(answer) = accept(data, gateway, &ours.pwd) {
                        let _ = outer.send(&answer);
                    } else if Message::from_bytes(data).is_ok_and(|m| m.has_class(MessageClass::Success)) {
                        shared.open.store(true, Relaxed);
                    }
                }
                (Some(20..=63), Some(client)) => _ = inner.send_to(data, client),
                (Some(128..=191), _) => _ = shared.media.fetch_add(1, Relaxed),
                _ => {}
            }
        }
        if idle {
            std::thread::sleep(Duration::from_millis(1)); // poll
        }
    }
}
