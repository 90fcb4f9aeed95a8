//! TCP connections that peers open to passive candidates (RFC 6544), framed by RFC 4571.
//! Bounded in number and in what waits for a slow one.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::batch::Run;
use super::super::demux::{Protocol, classify};
use super::super::framing::{Deframer, frame};
use super::super::ice::{Route, Via};
use super::address::Name;
use super::poll::Poll;
use super::udp::{any6, no_ipv6, set};

/// What may wait for a slow connection before a frame: two seconds of 1 Mbit/s. One more
/// is not taken.
const WAITING: usize = 256 * 1024;
/// And within a frame, which is of no use without its end: a key frame of a large picture.
/// Also for what is no media.
const MOST: usize = 1024 * 1024;
/// Connections that are taken from a listener per wake-up.
const ACCEPT: usize = 32;
/// A listener that fails (no descriptors left) is left alone so long.
const REST: Duration = Duration::from_secs(1);
/// Tokens of connections begin here, those of listeners at [`LISTENERS`].
pub const CONNECTIONS: u64 = 1 << 32;
/// See [`CONNECTIONS`].
pub const LISTENERS: u64 = 1 << 16;

/// A connection.
pub struct Connection {
    stream: TcpStream,
    route: Route,
    deframer: Deframer,
    out: Vec<u8>,
    /// A peer that we know sends by it.
    known: bool,
    /// Waits to be writable.
    blocked: bool,
    /// The last packet of media was not the last one of its frame.
    within: bool,
}

/// All listeners and connections of a thread.
pub struct Tcp {
    listeners: Arc<[TcpListener]>,
    /// Listeners rest until then.
    rests: Option<Instant>,
    open: HashMap<u32, Connection>,
    /// Strangers by address: many viewers may share one.
    strangers_of: HashMap<IpAddr, usize>,
    /// Strangers, in the order in which they came.
    strangers: VecDeque<(Instant, u32)>,
    next: u32,
    most: (usize, usize),
    patience: Duration,
    /// Connections that were closed by us as one of too many, or as a stranger's.
    pub refused: u64,
    buffer: Vec<u8>,
    /// Closed since they were last asked for.
    closed: Vec<u32>,
}

/// Binds a listener; `[::]` takes IPv4 as well.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match open(address) {
        Err(e) if any6(address) && no_ipv6(&e) => open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port())),
        other => other,
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let v6 = address.is_ipv6();
    let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: takes numbers, returns a descriptor or -1.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given it to us, and to nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if v6 {
        set(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, libc::c_int::from(!any6(address)))?;
    }
    // Connections of a process before this one may still be closing.
    set(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    let (mut name, length) = Name::of(address, v6);
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
    // SAFETY: the name lives over the call and is as long as is said; listen takes numbers.
    let done = unsafe {
        match libc::bind(raw, name.as_ptr().cast(), length) {
            0 => libc::listen(raw, 128),
            e => e,
        }
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(TcpListener::from(fd)) }
}

/// IPv4-mapped addresses are IPv4's; flow and scope are no part of a route.
fn plain(a: SocketAddr) -> SocketAddr {
    SocketAddr::new(a.ip().to_canonical(), a.port())
}

impl Tcp {
    /// With listeners. `most`: connections in all, and strangers of one address; `patience`: how long
    /// a stranger may stay.
    pub fn new(listeners: Arc<[TcpListener]>, most: (usize, usize), patience: Duration) -> Tcp {
        Tcp {
            listeners,
            rests: None,
            open: HashMap::new(),
            strangers_of: HashMap::new(),
            strangers: VecDeque::new(),
            next: 0,
            most,
            patience,
            refused: 0,
            buffer: vec![0; 16 * 1024],
            closed: Vec::new(),
        }
    }

    /// Watches the listeners.
    pub fn begin(&self, poll: &Poll) -> io::Result<()> {
        self.listeners.iter().enumerate().try_for_each(|(i, l)| poll.add(l, LISTENERS + i as u64))
    }

    /// Connections now.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// When [`Tcp::expire`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.strangers.front().map(|s| s.0).into_iter().chain(self.rests).min()
    }

    /// Closes strangers whose time is up; wakes listeners.
    pub fn expire(&mut self, now: Instant, poll: &Poll) {
        if self.rests.is_some_and(|at| at <= now) {
            self.rests = None;
            self.watch(poll, true);
        }
        while let Some((_, n)) = self.strangers.front().copied().filter(|s| s.0 <= now) {
            self.strangers.pop_front();
            if self.open.get(&n).is_some_and(|c| !c.known) {
                self.refused += 1;
                self.close(n);
            }
        }
    }

    fn watch(&self, poll: &Poll, read: bool) {
        for (i, l) in self.listeners.iter().enumerate() {
            // invariant: it was added, and an epoll entry that is there can be changed
            let _ = poll.change(l, LISTENERS + i as u64, read, false);
        }
    }

    /// Takes new connections.
    pub fn accept(&mut self, listener: usize, now: Instant, poll: &Poll) {
        for _ in 0..ACCEPT {
            let Some(accepted) = self.listeners.get(listener).map(TcpListener::accept) else { return };
            match accepted {
                Ok((stream, remote)) => self.take(stream, plain(remote), now, poll),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
                Err(_) => {
                    // It would be reported again and again at once.
                    self.rests = Some(now + REST);
                    return self.watch(poll, false);
                }
            }
        }
    }

    fn take(&mut self, stream: TcpStream, remote: SocketAddr, now: Instant, poll: &Poll) {
        let of_ip = self.strangers_of.get(&remote.ip()).copied().unwrap_or(0);
        let ready = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
        let local = stream.local_addr();
        let (true, Ok(()), Ok(local)) = (self.open.len() < self.most.0 && of_ip < self.most.1, ready, local) else {
            self.refused += 1;
            return;
        };
        let connection = Connection {
            stream,
            route: Route { via: Via::Tcp(0), local: plain(local), remote },
            deframer: Deframer::default(),
            out: Vec::new(),
            known: false,
            blocked: false,
            within: false,
        };
        self.enter(connection, now, poll);
    }

    /// Watches a connection under a number of its own.
    fn enter(&mut self, mut connection: Connection, now: Instant, poll: &Poll) -> Option<u32> {
        while self.open.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let n = self.next;
        self.next = n.wrapping_add(1);
        if poll.add(&connection.stream, CONNECTIONS + u64::from(n)).is_err() {
            self.refused += 1;
            return None;
        }
        connection.route.via = Via::Tcp(n);
        *self.strangers_of.entry(connection.route.remote.ip()).or_default() += 1;
        self.strangers.push_back((now + self.patience, n));
        self.open.insert(n, connection);
        Some(n)
    }

    /// Gives a stranger's connection away: it has named a session of another thread.
    pub fn give(&mut self, n: u32, poll: &Poll) -> Option<Connection> {
        let connection = self.open.remove(&n)?;
        if !connection.known {
            self.no_stranger(connection.route.remote.ip());
        }
        poll.remove(&connection.stream).ok().map(|()| connection)
    }

    /// Takes a connection that another thread gave away: its number, and where it leads.
    pub fn adopt(&mut self, connection: Connection, now: Instant, poll: &Poll) -> Option<(u32, Route)> {
        let of_ip = self.strangers_of.get(&connection.route.remote.ip()).copied().unwrap_or(0);
        if self.open.len() >= self.most.0 || of_ip >= self.most.1 {
            self.refused += 1;
            return None;
        }
        let n = self.enter(connection, now, poll)?;
        Some((n, self.open.get(&n)?.route))
    }

    /// Reads what a connection has, once, and hands over each whole frame. Returns false
    /// where it has ended, and is closed.
    pub fn read(&mut self, n: u32, mut frame: impl FnMut(Route, &[u8])) -> bool {
        let Some(c) = self.open.get_mut(&n) else { return true };
        let got = match c.stream.read(&mut self.buffer) {
            Ok(0) => None,
            Ok(got) => Some(got),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return true,
            Err(_) => None,
        };
        let route = c.route;
        let data = got.and_then(|got| self.buffer.get(..got));
        let fine = data.is_some_and(|data| c.deframer.push(data, |f| frame(route, f)).is_ok());
        if !fine {
            self.close(n);
        }
        fine
    }

    /// A peer that we know sends by it.
    pub fn known(&mut self, n: u32) {
        if let Some(c) = self.open.get_mut(&n).filter(|c| !c.known) {
            c.known = true;
            let ip = c.route.remote.ip();
            self.no_stranger(ip);
        }
    }

    fn no_stranger(&mut self, ip: IpAddr) {
        if let Some(count) = self.strangers_of.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.strangers_of.remove(&ip);
            }
        }
    }

    /// Whether a peer that we know sends by it.
    pub fn is_known(&self, n: u32) -> bool {
        self.open.get(&n).is_some_and(|c| c.known)
    }

    /// Writes a run; false where it did not take it.
    pub fn write(&mut self, n: u32, run: &Run, bytes: &[u8], poll: &Poll) -> bool {
        let Some(c) = self.open.get_mut(&n) else { return false };
        let media = classify(bytes) == Protocol::Rtp;
        let most = if media && !c.within { WAITING } else { MOST };
        if c.out.len() + bytes.len() + 2 * run.packets > most {
            // The rest of the frame is of no use either; what comes next begins one.
            c.within &= !media;
            return false;
        }
        for packet in bytes.chunks(run.segment.max(1)) {
            frame(packet, &mut c.out);
            // A sender report may be the last one of a run of media.
            if classify(packet) == Protocol::Rtp {
                c.within = packet.get(1).is_some_and(|b| b & 0x80 == 0);
            }
        }
        if c.blocked {
            return true;
        }
        self.drain(n, poll);
        true
    }

    /// Writes what waits for a connection.
    pub fn drain(&mut self, n: u32, poll: &Poll) {
        let Some(c) = self.open.get_mut(&n) else { return };
        let mut done = 0;
        let alive = loop {
            match c.out.get(done..) {
                None | Some([]) => break true,
                Some(rest) => match c.stream.write(rest) {
                    Ok(0) => break false,
                    Ok(k) => done += k,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break true,
                    Err(_) => break false,
                },
            }
        };
        if !alive {
            return self.close(n);
        }
        c.out.drain(..done);
        let blocked = !c.out.is_empty();
        if !blocked && c.out.capacity() > 16 * 1024 {
            c.out = Vec::new();
        }
        if blocked != c.blocked {
            c.blocked = blocked;
            if poll.change(&c.stream, CONNECTIONS + u64::from(n), true, blocked).is_err() {
                self.close(n);
            }
        }
    }

    /// Closes a connection.
    pub fn close(&mut self, n: u32) {
        let Some(c) = self.open.remove(&n) else { return };
        if !c.known {
            self.no_stranger(c.route.remote.ip());
        }
        self.closed.push(n);
    }

    /// A connection that was closed since the last time.
    pub fn poll_closed(&mut self) -> Option<u32> {
        self.closed.pop()
    }
}
