//! A session, a viewer of our own making, and frames.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::super::dtls::{self, Dtls, Fingerprint, Side};
use super::super::super::ice::{self, Candidate, Credentials, Kind, Role, Via};
use super::super::super::outgoing::Identity;
use super::super::super::ring::tests::{Frame, frame};
use super::super::super::ring::{Cap, Ring};
use super::super::super::rtcp;
use super::super::super::srtp::{Inbound, Outbound};
use super::super::super::stun::Message;
use super::super::*;

pub const VIDEO: Identity = Identity { ssrc: 0x1111_1111, payload_type: 102 };
pub const RTX: Identity = Identity { ssrc: 0x2222_2222, payload_type: 103 };
pub const AUDIO: Identity = Identity { ssrc: 0x3333_3333, payload_type: 111 };

/// What a viewer got of a stream: header and payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub at: Duration,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Vec<u8>,
}

pub struct World {
    pub now: Instant,
    pub began: Instant,
    pub session: Session,
    pub agent: Agent,
    pub dtls: Dtls,
    pub keys: Option<(Outbound, Inbound)>,
    pub rings: Vec<Ring<Frame>>,
    pub budget: Budget,
    pub batch: Batch,
    pub got: Vec<Got>,
    pub reports: Vec<(u32, rtcp::SenderInfo)>,
    pub bye: bool,
    pub events: Vec<Event>,
    pub viewer_closed: bool,
    /// Nothing comes through.
    pub cut: bool,
    frames: u32,
}

fn creds(who: &str) -> Credentials {
    Credentials { ufrag: who.repeat(4), password: who.repeat(22) }
}

fn fingerprint(c: &Context) -> Fingerprint {
    let bytes = c.fingerprint().split(':').map(|x| u8::from_str_radix(x, 16).unwrap()).collect();
    Fingerprint { algorithm: "sha-256".into(), bytes }
}

pub fn video(rtx: Option<Identity>) -> Stream {
    Stream {
        ring: 0,
        media: VIDEO,
        rtx,
        extension: vec![],
        stamp: None,
        rate: 90_000,
        replay: true,
        start: (65_530, 7, 12_345),
    }
}

pub fn audio() -> Stream {
    let start = (9, 9, 777);
    Stream { ring: 1, media: AUDIO, rtx: None, extension: vec![], stamp: None, rate: 48_000, replay: false, start }
}

impl World {
    pub fn new(streams: Vec<Stream>) -> World {
        World::with(streams, |f| f)
    }

    /// `wrong` changes the fingerprint that the viewer told.
    pub fn with(streams: Vec<Stream>, wrong: impl FnOnce(Fingerprint) -> Fingerprint) -> World {
        let now = Instant::now();
        let (ours, theirs) = (Context::new().unwrap(), Context::new().unwrap());
        let server: SocketAddr = "10.0.0.1:8189".parse().unwrap();
        let opening = Opening {
            role: Role::Controlled,
            local: creds("s"),
            remote: creds("v"),
            bases: &[server],
            side: Side::Server,
            fingerprint: wrong(fingerprint(&theirs)),
            streams,
            cname: "camgate".into(),
            seed: [1; 32],
            tag: 7,
        };
        let session = Session::new(opening, &ours, now);
        let bases = ["10.0.0.2:5000".parse().unwrap()];
        let mut agent = Agent::new(Role::Controlling, creds("v"), Some(creds("s")), &bases, [2; 32], now);
        agent.add_remote(Candidate { address: server, priority: ice::priority(Kind::Host, 1) });
        let dtls = Dtls::new(&theirs, Side::Client, fingerprint(&ours)).unwrap();
        World {
            now,
            began: now,
            session,
            agent,
            dtls,
            keys: None,
            rings: vec![Ring::new(Cap::default()), Ring::new(Cap::default())],
            budget: Budget::new(96, now),
            batch: Batch::new(),
            got: Vec::new(),
            reports: Vec::new(),
            bye: false,
            events: Vec::new(),
            viewer_closed: false,
            cut: false,
            frames: 0,
        }
    }

    pub fn clock(&self) -> Clock {
        let since = self.now - self.began;
        Clock { monotonic: since.as_nanos() as u64, unix: Duration::from_secs(1_700_000_000) + since }
    }

    /// Calls the session with everything that it wants.
    pub fn with_session<T>(
        &mut self,
        f: impl FnOnce(&mut Session, (Instant, Clock), Rings<'_, Frame>, &mut Budget, &mut Batch) -> T,
    ) -> T {
        let at = (self.now, self.clock());
        let rings = &self.rings;
        let find = |i: u32| rings.get(i as usize);
        f(&mut self.session, at, &find, &mut self.budget, &mut self.batch)
    }

    /// A frame of video comes, captured now.
    pub fn frame(&mut self, key: bool, packets: usize) {
        let mut f = Arc::unwrap_or_clone(frame(self.frames, key, packets, 1_000));
        self.frames += 1;
        f.timestamp = ((self.now - self.began).as_nanos() * 90_000 / 1_000_000_000) as u32;
        self.rings[0].push(Arc::new(f), self.now);
        self.with_session(|s, times, rings, budget, batch| s.send_media(times, rings, budget, batch));
        self.deliver();
    }

    /// Brings what is in the batch to the viewer, and its answers back, until both rest.
    pub fn deliver(&mut self) {
        loop {
            let packets: Vec<(Route, Vec<u8>)> = self.batch.packets().map(|(r, p)| (r, p.to_vec())).collect();
            self.batch.clear();
            let mut back: Vec<(Route, Vec<u8>)> = Vec::new();
            for (route, data) in packets {
                let route = Route { local: route.remote, remote: route.local, ..route };
                if !self.cut {
                    self.viewer_gets(route, data);
                }
            }
            while let Some(t) = self.agent.poll_transmit() {
                back.push((t.route, t.data));
            }
            if let Some(route) = self.agent.selected() {
                while let Some(d) = self.dtls.poll_transmit() {
                    back.push((route, d));
                }
            }
            while let Some(e) = self.session.poll_event() {
                self.events.push(e);
            }
            if back.is_empty() {
                return;
            }
            for (route, data) in back {
                self.send(route, data);
            }
        }
    }

    /// The viewer sends.
    pub fn send(&mut self, route: Route, mut data: Vec<u8>) -> Option<Taken> {
        if self.cut {
            return None;
        }
        let route = Route { local: route.remote, remote: route.local, ..route };
        Some(self.with_session(|s, at, rings, _, batch| s.handle_packet((route, &mut data), at, rings, batch)))
    }

    fn viewer_gets(&mut self, route: Route, mut data: Vec<u8>) {
        match classify(&data) {
            Protocol::Stun => _ = self.agent.handle_packet(route, &Message::parse(&data).unwrap(), self.now),
            Protocol::Dtls => match self.dtls.handle_packet(&data) {
                dtls::Event::Connected(k) => {
                    let out = Outbound::new(k.profile, &k.ours).unwrap();
                    self.keys = Some((out, Inbound::new(k.profile, &k.theirs).unwrap()));
                }
                dtls::Event::Closed => self.viewer_closed = true,
                dtls::Event::None => {}
                dtls::Event::Failed(e) => panic!("{e}"),
            },
            Protocol::Rtp => {
                let (n, index) = self.keys.as_mut().unwrap().1.unprotect(&mut data).unwrap();
                let word = |i: usize| u32::from_be_bytes(data[i..i + 4].try_into().unwrap());
                self.got.push(Got {
                    at: self.now - self.began,
                    ssrc: word(8),
                    sequence: index as u16,
                    timestamp: word(4),
                    marker: data[1] & 0x80 != 0,
                    payload: data[12..n].to_vec(),
                });
            }
            Protocol::Rtcp => {
                let n = self.keys.as_mut().unwrap().1.unprotect_rtcp(&mut data).unwrap();
                for p in rtcp::read(&data[..n]).unwrap() {
                    match p {
                        rtcp::Packet::SenderReport { ssrc, info, .. } => self.reports.push((ssrc, info)),
                        rtcp::Packet::Bye(_) => self.bye = true,
                        _ => {}
                    }
                }
            }
            Protocol::Other => panic!("nothing that we speak"),
        }
    }

    /// The viewer sends a compound.
    pub fn tell(&mut self, write: impl FnOnce(&mut rtcp::Writer<'_>)) -> Option<Taken> {
        let mut data = Vec::new();
        write(rtcp::Writer::new(&mut data).receiver_report(9, &[]));
        let n = data.len();
        let out = &mut self.keys.as_mut().unwrap().0;
        data.resize(n + out.profile().rtcp_overhead(), 0);
        out.protect_rtcp(&mut data, n).unwrap();
        let route = self.agent.selected().unwrap();
        let taken = self.send(route, data);
        self.deliver();
        taken
    }

    /// Time passes; whatever is due is done when it is.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..100_000 {
            self.deliver();
            let timers = [self.session.poll_timeout(self.now), self.agent.poll_timeout()];
            let next = timers.into_iter().flatten().min().filter(|at| *at <= end).unwrap_or(end);
            self.now = self.now.max(next);
            if self.agent.poll_timeout().is_some_and(|at| at <= self.now) {
                self.agent.handle_timeout(self.now);
            }
            if self.session.poll_timeout(self.now).is_some_and(|at| at <= self.now) {
                self.with_session(|s, at, rings, budget, batch| s.handle_timeout(at, rings, budget, batch));
            }
            if next == end {
                return self.deliver();
            }
        }
        panic!("no time passes");
    }

    /// Until frames flow.
    pub fn join(&mut self) {
        for _ in 0..500 {
            if self.session.connected() && self.keys.is_some() {
                return;
            }
            self.run(Duration::from_millis(10));
        }
        panic!("never connected: {:?}", self.events);
    }

    pub fn route(&self) -> Route {
        Route { via: Via::Udp, local: "10.0.0.2:5000".parse().unwrap(), remote: "10.0.0.1:8189".parse().unwrap() }
    }
}
