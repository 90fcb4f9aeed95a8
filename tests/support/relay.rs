//! A bad network: a UDP relay between a viewer and the gateway that loses, delays,
//! reorders, narrows and cuts, and lets a viewer's address change. By a seed: the same
//! datagrams in the same order have the same fate.
//!
//! ```ignore
//! let relay = Relay::start(7);
//! let viewer = Viewer::join(base, "gate", relay.options(Options::default())).await?;
//! relay.set(Weather { loss: 0.05, ..Weather::default() });
//! relay.move_address();
//! ```
//!
//! The viewer's own candidates are taken out of its offer and the answer's are replaced
//! by the relay's, so that there is no way but this one. Each address of the viewer has a
//! socket of its own towards the gateway, as behind a NAT.

use super::relay_queue::Queue;
use super::whep::{self, Options};
use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Addresses of viewers at a time; datagrams of more are dropped and counted.
const PEERS: usize = 64;
/// Datagrams kept while the relay records.
const KEPT: usize = 20_000;
/// What the relay's own sockets hold, so that nothing is lost but by its will.
const BUFFER: usize = 8 << 20;
/// Longest wait, so that the end is noticed.
const TICK: Duration = Duration::from_millis(20);

/// Where a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the gateway.
    Up,
    /// To the viewer.
    Down,
}

/// What happens to datagrams, either way unless it is said otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Share that is lost, 0 to 1.
    pub loss: f64,
    /// Share that is held back for up to [`Weather::hold`], so that later ones overtake.
    pub reorder: f64,
    pub hold: Duration,
    /// Each one's way.
    pub delay: Duration,
    /// Bits per second towards the viewer; what would wait for longer than 200 ms is lost.
    pub rate: Option<u64>,
    /// Nothing passes, and nobody is told.
    pub cut: bool,
}

impl Weather {
    /// This share lost, and one in ten overtaken.
    pub fn lossy(loss: f64) -> Self {
        Self { loss, reorder: 0.1, hold: Duration::from_millis(30), ..Self::default() }
    }
}

/// What happened to the datagrams of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub bytes: u64,
    /// By [`Weather::loss`] or [`Weather::cut`].
    pub lost: u64,
    /// Held back.
    pub late: u64,
    /// Too much for [`Weather::rate`], or for the relay itself.
    pub overflowed: u64,
}

/// An address of the viewer, and the socket that stands for it towards the gateway.
struct Peer {
    viewer: SocketAddr,
    outward: Arc<UdpSocket>,
    /// When the gateway last sent something to it.
    heard: Option<Instant>,
}

struct Shared {
    front: UdpSocket,
    server: Mutex<Option<SocketAddr>>,
    weather: Mutex<Weather>,
    peers: Mutex<Vec<Peer>>,
    counts: Mutex<[Counts; 2]>,
    record: AtomicBool,
    taken: Mutex<VecDeque<(Direction, Vec<u8>)>>,
    quit: AtomicBool,
}

/// A running relay, for one viewer; ends when dropped.
#[derive(Clone)]
pub struct Relay(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// A lock whose holder may have failed its test.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket of ours.
fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("no UDP socket");
    whep::receive_buffer(&socket, BUFFER);
    socket.set_nonblocking(true).unwrap();
    socket
}

impl Relay {
    /// In fine weather. It knows the gateway from the first answer that it rewrites.
    pub fn start(seed: u64) -> Self {
        let shared = Arc::new(Shared {
            front: socket(),
            server: Mutex::default(),
            weather: Mutex::default(),
            peers: Mutex::default(),
            counts: Mutex::default(),
            record: AtomicBool::new(false),
            taken: Mutex::default(),
            quit: AtomicBool::new(false),
        });
        let its = shared.clone();
        let thread = std::thread::Builder::new().name("relay".into()).spawn(move || run(&its, seed)).unwrap();
        Self(Arc::new(Running { shared, thread: Mutex::new(Some(thread)) }))
    }

    /// Joins by this way.
    pub fn options(&self, options: Options) -> Options {
        let relay = self.clone();
        let edit = options.edit_offer;
        let edit_offer = move |sdp: String| without_candidates(&edit.as_ref().map_or(sdp.clone(), |e| e(sdp.clone())));
        Options {
            edit_offer: Some(Arc::new(edit_offer)),
            edit_answer: Some(Arc::new(move |sdp| relay.answer(&sdp))),
            ..options
        }
    }

    /// The answer (or a fragment) with the relay as its only candidate. The gateway is
    /// where the first UDP candidate of IPv4 says.
    pub fn answer(&self, sdp: &str) -> String {
        let front = self.0.shared.front.local_addr().unwrap();
        let mut server = None;
        let mut out = String::new();
        for line in sdp.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            if !line.starts_with("a=candidate:") {
                out += &format!("{line}\r\n");
            } else if server.is_none()
                && words[2].eq_ignore_ascii_case("udp")
                && let Ok(address) = format!("{}:{}", words[4], words[5]).parse::<SocketAddr>()
            {
                server = Some(address);
                let (ip, port) = (front.ip().to_string(), front.port().to_string());
                let ours = [words[0], words[1], words[2], words[3], &ip, &port, "typ", "host"];
                out += &format!("{}\r\n", ours.join(" "));
            }
        }
        let server = server.unwrap_or_else(|| panic!("no UDP candidate to relay to:\n{sdp}"));
        *lock(&self.0.shared.server) = Some(server);
        out
    }

    pub fn set(&self, weather: Weather) {
        *lock(&self.0.shared.weather) = weather;
    }

    pub fn counts(&self, direction: Direction) -> Counts {
        lock(&self.0.shared.counts)[direction as usize]
    }

    /// The gateway's address.
    pub fn server(&self) -> SocketAddr {
        lock(&self.0.shared.server).expect("no answer has passed yet")
    }

    /// The viewer comes from other addresses from now on, as after a change from one
    /// network to another; what is sent to the old ones arrives nowhere.
    pub fn move_address(&self) {
        let server = self.server();
        for peer in lock(&self.0.shared.peers).iter_mut() {
            peer.outward = outward(server);
        }
    }

    /// Keeps copies of what comes, before anything happens to it.
    pub fn record(&self, yes: bool) {
        self.0.shared.record.store(yes, Relaxed);
    }

    /// The copies so far.
    pub fn taken(&self, direction: Direction) -> Vec<Vec<u8>> {
        lock(&self.0.shared.taken).iter().filter(|(d, _)| *d == direction).map(|(_, data)| data.clone()).collect()
    }

    /// Sends a datagram to the gateway from the address that it sends the media to.
    pub fn inject(&self, data: &[u8]) {
        let peers = lock(&self.0.shared.peers);
        let peer = peers.iter().max_by_key(|p| p.heard).expect("nobody has come by yet");
        let _ = peer.outward.send(data);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.quit.store(true, Relaxed);
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

/// An SDP without candidates: the gateway learns of the viewer by what comes.
pub fn without_candidates(sdp: &str) -> String {
    let kept = sdp.lines().filter(|l| !l.starts_with("a=candidate") && !l.starts_with("a=end-of"));
    kept.map(|l| format!("{l}\r\n")).collect()
}

fn outward(server: SocketAddr) -> Arc<UdpSocket> {
    let socket = socket();
    socket.connect(server).unwrap();
    Arc::new(socket)
}

fn run(shared: &Shared, seed: u64) {
    let mut queue = Queue::new(seed);
    let mut buffer = vec![0u8; 65_536];
    while !shared.quit.load(Relaxed) {
        // The sockets as they are now: they change when the viewer moves.
        let outward: Vec<_> = lock(&shared.peers).iter().map(|p| p.outward.clone()).collect();
        let wait = queue.due().map_or(TICK, |due| due.saturating_duration_since(Instant::now()).min(TICK));
        wait_readable(&shared.front, &outward, wait);
        let weather = *lock(&shared.weather);
        while let Ok((size, from)) = shared.front.recv_from(&mut buffer) {
            match peer(shared, from) {
                Some(peer) => submit(shared, &mut queue, &weather, (Direction::Up, peer), &buffer[..size]),
                None => lock(&shared.counts)[Direction::Up as usize].overflowed += 1,
            }
        }
        for (peer, socket) in outward.iter().enumerate() {
            // An error is an ICMP message about something sent; the next call has the data.
            let mut errors = 0;
            while errors < 8 {
                match socket.recv(&mut buffer) {
                    Ok(size) => submit(shared, &mut queue, &weather, (Direction::Down, peer), &buffer[..size]),
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(_) => errors += 1,
                }
            }
        }
        let now = Instant::now();
        while let Some((direction, peer, data)) = queue.take(now) {
            forward(shared, direction, peer, &data);
        }
    }
}

/// The number of the peer with this address, a new one if need be.
fn peer(shared: &Shared, viewer: SocketAddr) -> Option<usize> {
    let server = (*lock(&shared.server))?;
    let mut peers = lock(&shared.peers);
    if let Some(at) = peers.iter().position(|p| p.viewer == viewer) {
        return Some(at);
    }
    if peers.len() >= PEERS {
        return None;
    }
    peers.push(Peer { viewer, outward: outward(server), heard: None });
    Some(peers.len() - 1)
}

fn submit(shared: &Shared, queue: &mut Queue, weather: &Weather, way: (Direction, usize), data: &[u8]) {
    if shared.record.load(Relaxed) {
        let mut taken = lock(&shared.taken);
        if taken.len() < KEPT {
            taken.push_back((way.0, data.to_vec()));
        }
    }
    if way.0 == Direction::Down
        && let Some(peer) = lock(&shared.peers).get_mut(way.1)
    {
        peer.heard = Some(Instant::now());
    }
    let mut counts = lock(&shared.counts);
    queue.put(Instant::now(), weather, way, data, &mut counts[way.0 as usize]);
}

fn forward(shared: &Shared, direction: Direction, peer: usize, data: &[u8]) {
    let (viewer, outward) = {
        let peers = lock(&shared.peers);
        let Some(peer) = peers.get(peer) else { return };
        (peer.viewer, peer.outward.clone())
    };
    // A receiver that is gone loses it, as on a network.
    let _ = match direction {
        Direction::Up => outward.send(data),
        Direction::Down => shared.front.send_to(data, viewer),
    };
}

/// Waits until one of the sockets has something, or for so long.
fn wait_readable(front: &UdpSocket, outward: &[Arc<UdpSocket>], wait: Duration) {
    let sockets = std::iter::once(front.as_raw_fd()).chain(outward.iter().map(|s| s.as_raw_fd()));
    let mut wanted: Vec<libc::pollfd> =
        sockets.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    let ms = wait.as_micros().div_ceil(1_000) as libc::c_int;
    // SAFETY: pointer and length are those of a live vector.
    unsafe { libc::poll(wanted.as_mut_ptr(), wanted.len() as libc::nfds_t, ms) };
}
