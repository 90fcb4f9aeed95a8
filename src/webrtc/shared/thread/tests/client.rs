//! A thread with a path, and viewers of our own making on real sockets.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::super::super::control::{Config, Event, Feed, Handle, Open, Status};
use super::super::super::demux::{Protocol, classify};
use super::super::super::dtls::{self, Context, Dtls, Fingerprint, Side};
use super::super::super::framing::{Deframer, frame as framed};
use super::super::super::ice::{self, Agent, Candidate, Credentials, Kind, Role, Route, Via};
use super::super::super::outgoing::Identity;
use super::super::super::ring::Cap;
use super::super::super::ring::tests::{Frame, frame};
use super::super::super::rtcp;
use super::super::super::session::Stream;
use super::super::super::srtp::{Inbound, Outbound};
use super::super::super::stun::{Class, Key, Message, Writer};

pub const VIDEO: Identity = Identity { ssrc: 0x1111_1111, payload_type: 102 };
pub const RTX: Identity = Identity { ssrc: 0x2222_2222, payload_type: 103 };
/// No test waits longer.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub fn fingerprint(c: &Context) -> Fingerprint {
    let bytes = c.fingerprint().split(':').map(|x| u8::from_str_radix(x, 16).unwrap()).collect();
    Fingerprint { algorithm: "sha-256".into(), bytes }
}

/// Waits for something that another thread does.
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2)); // poll
    }
}

/// A thread with one path of video.
pub struct Server {
    pub handle: Handle<Frame>,
    pub feed: Feed<Frame>,
    pub context: Context,
    sent: u32,
    ids: u64,
}

/// A session as the server's owner sees it.
pub struct Seen {
    pub id: u64,
    pub status: Arc<Status>,
    pub events: mpsc::Receiver<Event>,
    pub all: Vec<Event>,
}

impl Seen {
    pub fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.events.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{e}: {:?}", self.all));
            self.all.push(event.clone());
            if wanted(&event) {
                return event;
            }
        }
    }

    pub fn closed(&mut self) -> String {
        match self.until(|e| matches!(e, Event::Closed(_))) {
            Event::Closed(why) => why,
            _ => unreachable!(),
        }
    }
}

impl Server {
    pub fn new(udp: &[&str], tcp: &[&str], change: impl FnOnce(&mut Config)) -> Server {
        let context = Context::new().unwrap();
        let mut config = Config::new(context.clone());
        config.udp = udp.iter().map(|a| a.parse().unwrap()).collect();
        config.tcp = tcp.iter().map(|a| a.parse().unwrap()).collect();
        change(&mut config);
        let handle = super::super::start(config).unwrap();
        let feed = handle.ring(Cap::default()).unwrap();
        Server { handle, feed, context, sent: 0, ids: 0 }
    }

    pub fn udp(&self) -> SocketAddr {
        self.handle.local().udp[0]
    }

    pub fn tcp(&self) -> SocketAddr {
        self.handle.local().tcp[0]
    }

    /// The next frame of the path.
    pub fn frame(&mut self, key: bool, packets: usize) {
        assert!(self.feed.push(frame(self.sent, key, packets, 1_000)));
        self.sent += 1;
    }

    /// Opens a session for a viewer.
    pub fn open(&mut self, client: &Client) -> Seen {
        self.open_with(client, |_| ())
    }

    pub fn open_with(&mut self, client: &Client, change: impl FnOnce(&mut Open)) -> Seen {
        self.ids += 1;
        let (tx, events) = mpsc::channel();
        let status = Arc::new(Status::default());
        let start = (65_530, 7, 12_345);
        let stream = Stream {
            ring: self.feed.ring(),
            media: VIDEO,
            rtx: Some(RTX),
            extension: vec![],
            rate: 90_000,
            replay: true,
            start,
        };
        let mut open = Open {
            id: self.ids,
            role: Role::Controlled,
            local: client.theirs.clone(),
            remote: client.ours.clone(),
            bases: client.server.into_iter().collect(),
            side: Side::Server,
            fingerprint: client.fingerprint.clone(),
            streams: vec![stream],
            cname: "camgate".into(),
            seed: rand::random(),
            candidates: Vec::new(),
            status: status.clone(),
            listener: Box::new(move |e| _ = tx.send(e)),
        };
        change(&mut open);
        self.handle.open(open).unwrap();
        Seen { id: self.ids, status, events, all: Vec::new() }
    }
}

enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream, Deframer, VecDeque<Vec<u8>>),
}

/// A packet of media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub ssrc: u32,
    pub sequence: u16,
    pub marker: bool,
    pub payload: Vec<u8>,
}

pub struct Client {
    link: Link,
    pub route: Route,
    server: Option<SocketAddr>,
    ours: Credentials,
    theirs: Credentials,
    fingerprint: Fingerprint,
    agent: Agent,
    dtls: Dtls,
    pub keys: Option<(Outbound, Inbound)>,
    pub got: Vec<Got>,
    pub bye: bool,
    pub closed: bool,
    pub failed: Option<String>,
    pub reports: usize,
}

impl Client {
    /// A viewer of a server's UDP address.
    pub fn udp(server: &Server, to: SocketAddr) -> Client {
        let own = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(own).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let route = Route { via: Via::Udp, local: socket.local_addr().unwrap(), remote: to };
        Client::new(server, Link::Udp(socket), route)
    }

    /// A viewer that connects by TCP.
    pub fn tcp(server: &Server, to: SocketAddr) -> Client {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let route = Route { via: Via::Tcp(0), local: stream.local_addr().unwrap(), remote: to };
        let mut client = Client::new(server, Link::Tcp(stream, Deframer::default(), VecDeque::new()), route);
        client.server = None;
        client
    }

    fn new(server: &Server, link: Link, route: Route) -> Client {
        let context = Context::new().unwrap();
        let name = |n: u64| -> Credentials {
            Credentials { ufrag: format!("{n:016x}"), password: format!("{:032x}", rand::random::<u128>()) }
        };
        let (ours, theirs) = (name(rand::random()), name(rand::random()));
        let mut agent = Agent::new(
            Role::Controlling,
            ours.clone(),
            Some(theirs.clone()),
            &[route.local],
            rand::random(),
            Instant::now(),
        );
        if route.via == Via::Udp {
            agent.add_remote(Candidate { address: route.remote, priority: ice::priority(Kind::Host, 1) });
        }
        let dtls = Dtls::new(&context, Side::Client, fingerprint(&server.context)).unwrap();
        Client {
            link,
            route,
            server: (route.via == Via::Udp).then_some(route.remote),
            ours,
            theirs,
            fingerprint: fingerprint(&context),
            agent,
            dtls,
            keys: None,
            got: Vec::new(),
            bye: false,
            closed: false,
            failed: None,
            reports: 0,
        }
    }

    pub fn wrong_fingerprint(&mut self) {
        self.fingerprint.bytes[0] ^= 1;
    }

    /// Goes on from another address.
    pub fn move_away(&mut self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        self.link = Link::Udp(socket);
    }

    /// New credentials on both sides, as an ICE restart has them.
    pub fn restart(&mut self) -> (Credentials, Credentials) {
        for c in [&mut self.ours, &mut self.theirs] {
            c.ufrag = format!("{:016x}", rand::random::<u64>());
            c.password = format!("{:032x}", rand::random::<u128>());
        }
        self.agent.restart(self.ours.clone(), Some(self.theirs.clone()));
        self.agent.add_remote(Candidate { address: self.route.remote, priority: ice::priority(Kind::Host, 1) });
        (self.theirs.clone(), self.ours.clone())
    }

    /// Opens a way over TCP: the server answers with a check of its own, and from then on
    /// the agent knows the way.
    fn knock(&mut self) {
        let id: [u8; 12] = rand::random();
        let message = Writer::new(Class::Request, &id)
            .username(&self.theirs.ufrag, &self.ours.ufrag)
            .priority(ice::priority(Kind::PeerReflexive, 1))
            .role(Role::Controlling, rand::random())
            .finish(Some(&Key::new(&self.theirs.password)));
        self.send(&message);
    }

    pub fn send(&mut self, data: &[u8]) {
        match &mut self.link {
            Link::Udp(socket) => _ = socket.send_to(data, self.route.remote),
            Link::Tcp(stream, ..) => {
                let mut out = Vec::new();
                assert!(framed(data, &mut out));
                let _ = stream.write_all(&out);
            }
        }
    }

    /// The next packet, if one is there soon. None for TCP's end, too.
    fn receive(&mut self) -> Option<Vec<u8>> {
        match &mut self.link {
            Link::Udp(socket) => {
                let mut buffer = vec![0; 2_048];
                match socket.recv_from(&mut buffer) {
                    Ok((n, from)) if from == self.route.remote => {
                        buffer.truncate(n);
                        Some(buffer)
                    }
                    _ => None,
                }
            }
            Link::Tcp(stream, deframer, waiting) => {
                if waiting.is_empty() {
                    let mut buffer = vec![0; 16 * 1_024];
                    match stream.read(&mut buffer) {
                        Ok(0) => self.closed = true,
                        Ok(n) => deframer.push(&buffer[..n], |f| waiting.push_back(f.to_vec())).unwrap(),
                        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                        Err(_) => self.closed = true,
                    }
                }
                waiting.pop_front()
            }
        }
    }

    /// Receives what is there, and does what is due.
    pub fn step(&mut self) {
        if let Some(data) = self.receive() {
            self.handle(data);
        }
        let now = Instant::now();
        if self.agent.poll_timeout().is_some_and(|at| at <= now) {
            self.agent.handle_timeout(now);
        }
        while let Some(t) = self.agent.poll_transmit() {
            self.send(&t.data);
        }
        while self.agent.poll_event().is_some() {}
        if self.agent.selected().is_some() {
            if self.dtls.poll_timeout(now).is_some_and(|at| at <= now) {
                self.dtls.handle_timeout();
            }
            while let Some(d) = self.dtls.poll_transmit() {
                self.send(&d);
            }
        }
    }

    fn handle(&mut self, mut data: Vec<u8>) {
        match classify(&data) {
            Protocol::Stun => {
                _ = self.agent.handle_packet(self.route, &Message::parse(&data).unwrap(), Instant::now());
            }
            Protocol::Dtls => match self.dtls.handle_packet(&data) {
                dtls::Event::Connected(k) => {
                    let out = Outbound::new(k.profile, &k.ours).unwrap();
                    self.keys = Some((out, Inbound::new(k.profile, &k.theirs).unwrap()));
                }
                dtls::Event::Closed => self.closed = true,
                dtls::Event::None => {}
                dtls::Event::Failed(e) => self.failed = Some(e.to_string()),
            },
            Protocol::Rtp => {
                let Some(keys) = &mut self.keys else { return };
                // Bit for bit the same is what a NACK may bring.
                let Ok((n, index)) = keys.1.unprotect(&mut data) else { return };
                let ssrc = u32::from_be_bytes(data[8..12].try_into().unwrap());
                let marker = data[1] & 0x80 != 0;
                self.got.push(Got { ssrc, sequence: index as u16, marker, payload: data[12..n].to_vec() });
            }
            Protocol::Rtcp => {
                let Some(keys) = &mut self.keys else { return };
                let n = keys.1.unprotect_rtcp(&mut data).unwrap();
                for p in rtcp::read(&data[..n]).unwrap() {
                    self.bye |= matches!(p, rtcp::Packet::Bye(_));
                    self.reports += usize::from(matches!(p, rtcp::Packet::SenderReport { .. }));
                }
            }
            Protocol::Other => panic!("nothing that we speak"),
        }
    }

    /// Goes on until something is so.
    pub fn until(&mut self, what: &str, done: impl Fn(&Client) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "{what}: {} packets, {:?}", self.got.len(), self.failed);
            self.step();
        }
    }

    /// Until media can come.
    pub fn join(&mut self) {
        if self.server.is_none() {
            self.knock();
        }
        self.until("no keys", |c| c.keys.is_some());
    }

    /// Until a frame of the path has come whole; then everything up to it, in order and
    /// without a gap.
    pub fn frames(&mut self, n: u32) {
        self.until("no frame", |c| c.got.last().is_some_and(|g| g.marker && number(g) == n));
        let media: Vec<&Got> = self.got.iter().filter(|g| g.ssrc == VIDEO.ssrc).collect();
        for w in media.windows(2) {
            assert_eq!(w[1].sequence, w[0].sequence.wrapping_add(1));
            let (a, b) = ((number(w[0]), w[0].payload[4]), (number(w[1]), w[1].payload[4]));
            assert_eq!(b, if w[0].marker { (a.0 + 1, 0) } else { (a.0, a.1 + 1) });
        }
    }

    /// The name by which the server knows its session.
    pub fn their_ufrag(&self) -> &str {
        &self.theirs.ufrag
    }

    /// A check of ours.
    pub fn check(&self) -> Vec<u8> {
        Writer::new(Class::Request, &rand::random())
            .username(&self.theirs.ufrag, &self.ours.ufrag)
            .priority(ice::priority(Kind::PeerReflexive, 1))
            .role(Role::Controlling, rand::random())
            .use_candidate()
            .finish(Some(&Key::new(&self.theirs.password)))
    }

    /// Sends a compound.
    pub fn tell(&mut self, write: impl FnOnce(&mut rtcp::Writer<'_>)) {
        let data = self.protected(write);
        self.send(&data);
    }

    /// A compound, protected.
    pub fn protected(&mut self, write: impl FnOnce(&mut rtcp::Writer<'_>)) -> Vec<u8> {
        let mut data = Vec::new();
        write(rtcp::Writer::new(&mut data).receiver_report(9, &[]));
        let n = data.len();
        let out = &mut self.keys.as_mut().unwrap().0;
        data.resize(n + out.profile().rtcp_overhead(), 0);
        out.protect_rtcp(&mut data, n).unwrap();
        data
    }

    /// Leaves.
    pub fn leave(&mut self) {
        self.dtls.close();
        self.step();
    }
}

/// The number of the frame that a packet is of.
pub fn number(g: &Got) -> u32 {
    u32::from_be_bytes(g.payload[..4].try_into().unwrap())
}
