//! Takes a viewer's datagrams to the gateway over TCP (RFC 4571), as a viewer behind a
//! firewall without UDP would send them itself, and stops reading on request: what the
//! gateway sends then has nowhere to go.
//!
//! The viewer's own candidates are taken out of its offer, and the answer's TCP candidate
//! is told as a UDP candidate of the bridge.

use super::relay::without_candidates;
use super::whep::{self, Options};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the connection holds on this side before the gateway has to wait.
const WINDOW: usize = 32 * 1024;

struct Shared {
    front: UdpSocket,
    server: Mutex<Option<SocketAddr>>,
    stalled: AtomicBool,
    quit: AtomicBool,
    bytes: AtomicU64,
}

/// A running bridge, for one viewer; ends when dropped.
pub struct TcpBridge {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl TcpBridge {
    pub fn start() -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        whep::receive_buffer(&front, 8 << 20);
        front.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let shared = Arc::new(Shared {
            front,
            server: Mutex::default(),
            stalled: AtomicBool::new(false),
            quit: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
        });
        let its = shared.clone();
        let thread = std::thread::spawn(move || upwards(&its));
        Self { shared, thread: Some(thread) }
    }

    /// Joins by this way.
    pub fn options(&self, options: Options) -> Options {
        let shared = self.shared.clone();
        Options {
            edit_offer: Some(Arc::new(|sdp| without_candidates(&sdp))),
            edit_answer: Some(Arc::new(move |sdp| {
                let passive = tcp_candidate(&sdp).unwrap_or_else(|| panic!("no TCP candidate:\n{sdp}"));
                *shared.server.lock().unwrap() = Some(passive);
                let front = shared.front.local_addr().unwrap();
                let ours = format!("a=candidate:1 1 udp 2130706431 {} {} typ host", front.ip(), front.port());
                let mut sdp = without_candidates(&sdp);
                let at = sdp.find("a=mid:").expect("no media");
                sdp.insert_str(at, &format!("{ours}\r\n"));
                sdp
            })),
            ..options
        }
    }

    /// Reads nothing more, or goes on.
    pub fn stall(&self, yes: bool) {
        self.shared.stalled.store(yes, Relaxed);
    }

    /// Bytes that came over TCP.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Relaxed)
    }
}

impl Drop for TcpBridge {
    fn drop(&mut self) {
        self.shared.quit.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where the first passive TCP candidate of IPv4 is.
pub fn tcp_candidate(sdp: &str) -> Option<SocketAddr> {
    let tcp = sdp.lines().filter(|l| l.starts_with("a=candidate:") && l.contains("tcptype passive"));
    tcp.filter_map(|l| {
        let words: Vec<_> = l.split(' ').collect();
        format!("{}:{}", words.get(4)?, words.get(5)?).parse().ok()
    })
    .next()
}

fn connect(server: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(WINDOW).unwrap();
    socket.connect(&server.into()).expect("the TCP candidate refuses");
    socket.set_tcp_nodelay(true).unwrap();
    socket.into()
}

fn upwards(shared: &Arc<Shared>) {
    let mut connections: HashMap<SocketAddr, TcpStream> = HashMap::new();
    let mut buffer = [0; 2048];
    while !shared.quit.load(Relaxed) {
        let Ok((size, viewer)) = shared.front.recv_from(&mut buffer) else { continue };
        let Some(server) = *shared.server.lock().unwrap() else { continue };
        let connection = connections.entry(viewer).or_insert_with(|| {
            let connection = connect(server);
            let (reader, its) = (connection.try_clone().unwrap(), shared.clone());
            std::thread::spawn(move || downwards(&its, reader, viewer));
            connection
        });
        let frame = [&(size as u16).to_be_bytes()[..], &buffer[..size]].concat();
        let _ = connection.write_all(&frame);
    }
    for connection in connections.values() {
        let _ = connection.shutdown(std::net::Shutdown::Both);
    }
}

fn downwards(shared: &Shared, mut connection: TcpStream, viewer: SocketAddr) {
    let mut frame = vec![0; 65_536];
    while !shared.quit.load(Relaxed) {
        if shared.stalled.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(5)); // poll
            continue;
        }
        let mut length = [0; 2];
        if connection.read_exact(&mut length).is_err() {
            return;
        }
        let length = usize::from(u16::from_be_bytes(length));
        if connection.read_exact(&mut frame[..length]).is_err() {
            return;
        }
        shared.bytes.fetch_add(2 + length as u64, Relaxed);
        let _ = shared.front.send_to(&frame[..length], viewer);
    }
}
