//! One viewer, without sockets and clocks: ICE, DTLS, SRTP, its streams and what it says
//! of them. Pure but for OpenSSL. A media thread owns it and calls it; what is to be sent
//! goes into the thread's [`Batch`].

mod congestion;
mod feedback;
mod keys;
mod lane;
mod secure;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::demux::{Protocol, classify};
use super::dtls::{Context, Fingerprint, Side};
use super::ice::{self, Agent, Credentials, Role, Route, Verdict};
use super::outgoing::Identity;
use super::ring::{Ring, Unit};
use super::rtcp;
use super::stun::Message;

use congestion::Congestion;
use feedback::Resend;
use keys::Replays;
use lane::Lane;
use secure::Secure;

pub use lane::Budget;

/// The longest packet of media that is sent, with everything: what an Ethernet frame
/// holds behind IPv6 and UDP.
pub const PACKET: usize = 1_452;
/// Between two sender reports of a stream that flows.
const REPORT: Duration = Duration::from_secs(2);

/// How a session begins.
#[derive(Debug)]
pub struct Opening<'a> {
    /// Controlled, unless the peer is an ICE-lite agent.
    pub role: Role,
    /// Our ICE credentials, and the peer's.
    pub local: Credentials,
    /// See `local`.
    pub remote: Credentials,
    /// The addresses that checks are sent from.
    pub bases: &'a [SocketAddr],
    /// What we are in the DTLS handshake.
    pub side: Side,
    /// The peer's certificate.
    pub fingerprint: Fingerprint,
    /// What is sent.
    pub streams: Vec<Stream>,
    /// The name in sender reports.
    pub cname: String,
    /// From a secure source.
    pub seed: [u8; 32],
    /// How the transactions of our checks begin: what an answer is found by that comes by
    /// a way that nothing was heard from before. Of no other session.
    pub tag: u32,
}

/// One stream of a session.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Which ring its packets come from: the thread's number for it.
    pub ring: u32,
    /// SSRC and payload type.
    pub media: Identity,
    /// Of retransmissions, where they were negotiated.
    pub rtx: Option<Identity>,
    /// The RTP header extension of each packet, or nothing.
    pub extension: Vec<u8>,
    /// Ticks per second of its timestamps.
    pub rate: u32,
    /// Starts with what is cached (video), not with what comes next (audio).
    pub replay: bool,
    /// Sequence numbers of media and retransmissions and the offset of the timestamps to
    /// begin with, random.
    pub start: (u16, u16, u32),
}

/// What a session tells its thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Frames can flow.
    Connected,
    /// The peer wants a key frame of a stream, and was answered from the cache: the source
    /// may be asked, too.
    KeyWanted(usize),
    /// It is over, and why. Nothing is sent after what is in the batch now.
    Closed(String),
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The peer's: the thread may take its route for this session's.
    Authentic,
    /// Noise.
    Ignored,
    /// It pretended to be the peer's.
    Forged,
}

/// What a session has sent and heard; plain numbers, for the thread to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// RTP packets, without retransmissions, and their bytes with headers.
    pub packets: u64,
    /// See `packets`.
    pub bytes: u64,
    /// Frames that this viewer did not get: its link or its core did not keep up.
    pub dropped: u64,
    /// Times that it was paused up to the next key frame: its link does not carry the
    /// stream.
    pub paused: u64,
    /// Packets sent again.
    pub resent: u64,
    /// Packets asked for again, and those of them that were not sent: too old, too many.
    pub nacked: u64,
    /// See `nacked`.
    pub refused: u64,
    /// Requests for key frames.
    pub key_requests: u64,
    /// The last receiver report of the first stream: loss in 1/256, jitter in ticks.
    pub loss: u8,
    /// See `loss`.
    pub jitter: u32,
    /// The round trip by the last report, µs.
    pub round_trip: Option<u32>,
    /// What the peer takes its link to carry (REMB), bit/s.
    pub bitrate: Option<u64>,
    /// Packets that pretended to be the peer's.
    pub forged: u64,
}

/// The wall clock beside the path's, so that sender reports are true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// CLOCK_MONOTONIC, ns.
    pub monotonic: u64,
    /// Since 1970, at the same moment.
    pub unix: Duration,
}

/// Where the rings of a thread are.
pub type Rings<'r, U> = &'r dyn Fn(u32) -> Option<&'r Ring<U>>;

/// See the module.
pub struct Session {
    agent: Agent,
    secure: Secure,
    lanes: Vec<Lane>,
    resend: Resend,
    congestion: Congestion,
    replays: Replays,
    cname: String,
    stats: Stats,
    events: Vec<Event>,
    over: bool,
    report_at: Option<Instant>,
    scratch: Vec<u8>,
}

impl Session {
    /// Begins: nothing is sent before the peer is heard from, or a candidate of it told.
    pub fn new(opening: Opening<'_>, context: &Context, now: Instant) -> Session {
        let Opening { role, local, remote, bases, side, fingerprint, streams, cname, seed, tag } = opening;
        Session {
            agent: Agent::new(role, local, Some(remote), bases, seed, now).with_tag(tag),
            secure: Secure::new(context.clone(), side, fingerprint),
            lanes: streams.into_iter().map(|s| Lane::new(s, now)).collect(),
            resend: Resend::new(now),
            congestion: Congestion::default(),
            replays: Replays::new(),
            cname,
            stats: Stats::default(),
            events: Vec::new(),
            over: false,
            report_at: None,
            scratch: Vec::new(),
        }
    }

    /// The ICE agent, for candidates, restarts and closed connections.
    pub fn agent(&mut self) -> &mut Agent {
        &mut self.agent
    }

    /// The ufrags that the session is to be found by.
    pub fn ufrags(&self) -> impl Iterator<Item = &str> {
        self.agent.ufrags()
    }

    /// Where media goes, or would.
    pub fn route(&self) -> Option<Route> {
        self.agent.selected()
    }

    /// A connection was closed.
    pub fn closed(&mut self, via: super::ice::Via, now: Instant, batch: &mut Batch) {
        if !self.over {
            self.agent.closed(via, now);
            self.settle(batch);
        }
    }

    /// When [`Session::handle_timeout`] is due for what [`Session::send_media`] has left.
    pub fn media_due(&self) -> Option<Instant> {
        let lanes = self.lanes.iter().filter_map(|l| l.due());
        self.connected().then(|| lanes.chain(self.report_at).min()).flatten()
    }

    /// What was sent and heard.
    pub fn stats(&self) -> Stats {
        let dropped = self.lanes.iter().map(Lane::dropped).sum();
        Stats { dropped, ..self.stats }
    }

    /// Whether frames can flow.
    pub fn connected(&self) -> bool {
        !self.over && self.secure.ready() && self.agent.selected().is_some()
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }

    /// Takes a packet that came by a route. Its bytes are decrypted where they lie.
    pub fn handle_packet<'r, U: Unit>(
        &mut self,
        (route, data): (Route, &mut [u8]),
        (now, clock): (Instant, Clock),
        rings: Rings<'r, U>,
        batch: &mut Batch,
    ) -> Taken {
        if self.over {
            return Taken::Ignored;
        }
        let taken = match classify(data) {
            Protocol::Stun => match Message::parse(data).map(|m| self.agent.handle_packet(route, &m, now)) {
                Some(Verdict::Authentic) => Taken::Authentic,
                Some(Verdict::Forged) => Taken::Forged,
                _ => Taken::Ignored,
            },
            // Only by ways that ICE knows: see dtls.
            Protocol::Dtls if self.agent.knows(route) => {
                self.secure.handle_packet(data, &mut self.events);
                Taken::Ignored
            }
            Protocol::Dtls => {
                self.secure.hold(route, data);
                Taken::Ignored
            }
            Protocol::Rtcp if self.agent.knows(route) => match self.secure.unprotect_rtcp(data) {
                Ok(Some(length)) => {
                    self.agent.heard(route, now);
                    if let Some(reports) = data.get(..length).and_then(rtcp::read) {
                        self.feedback(reports, (now, clock), rings, batch);
                    }
                    Taken::Authentic
                }
                Ok(None) => Taken::Ignored,
                Err(()) => Taken::Forged,
            },
            // Viewers send no media.
            _ => Taken::Ignored,
        };
        self.stats.forged += u64::from(taken == Taken::Forged);
        self.settle(batch);
        taken
    }

    /// When [`Session::handle_timeout`] is due.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.over {
            return None;
        }
        [self.agent.poll_timeout(), self.secure.poll_timeout(now), self.media_due()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout<'r, U: Unit>(
        &mut self,
        (now, clock): (Instant, Clock),
        rings: Rings<'r, U>,
        budget: &mut Budget,
        batch: &mut Batch,
    ) {
        if self.over {
            return;
        }
        if self.agent.poll_timeout().is_some_and(|at| at <= now) {
            self.agent.handle_timeout(now);
        }
        if self.secure.poll_timeout(now).is_some_and(|at| at <= now) {
            self.secure.handle_timeout(&mut self.events);
        }
        self.settle(batch);
        self.send_media(now, rings, budget, batch);
        if self.report_at.is_some_and(|at| at <= now) {
            self.report((now, clock), rings, batch);
        }
    }

    /// New frames are in the rings: sends what may be sent now.
    pub fn send_media<'r, U: Unit>(
        &mut self,
        now: Instant,
        rings: Rings<'r, U>,
        budget: &mut Budget,
        batch: &mut Batch,
    ) {
        if !self.connected() {
            return;
        }
        let (Some(route), Some(srtp)) = (self.agent.selected(), self.secure.outbound()) else { return };
        let before = self.stats.bytes;
        for lane in &mut self.lanes {
            let Some(ring) = rings(lane.ring()) else {
                lane.idle();
                continue;
            };
            let (packets, bytes) = lane.pump((now, route), ring, srtp, budget, batch);
            self.stats.packets += packets;
            self.stats.bytes += bytes;
        }
        if self.stats.bytes > before {
            self.congestion.sent(self.stats.bytes - before, now);
        }
        if self.report_at.is_none() {
            self.report_at = Some(now);
        }
    }

    /// The socket, or the core, did not keep up: every stream goes on with its next key
    /// frame.
    pub fn fell_behind<'r, U: Unit>(&mut self, rings: Rings<'r, U>) {
        for lane in &mut self.lanes {
            if let Some(ring) = rings(lane.ring()) {
                lane.skip(ring);
            }
        }
    }

    /// Ends it: BYE and close_notify are in the batch. Idempotent.
    pub fn close(&mut self, why: &str, batch: &mut Batch) {
        if self.over {
            return;
        }
        self.over = true;
        self.events.push(Event::Closed(why.into()));
        let Some(route) = self.agent.selected() else { return };
        let sources: Vec<u32> = self.lanes.iter().map(Lane::ssrc).collect();
        self.scratch.clear();
        let first = sources.first().copied().unwrap_or_default();
        rtcp::Writer::new(&mut self.scratch).receiver_report(first, &[]).cname(first, &self.cname).bye(&sources);
        put_rtcp(&self.scratch, route, &mut self.secure, batch);
        self.secure.close();
        while let Some(d) = self.secure.poll_transmit() {
            put(&d, route, batch);
        }
    }

    /// Puts what ICE and DTLS want to send into the batch, and hears what they say.
    fn settle(&mut self, batch: &mut Batch) {
        while let Some(t) = self.agent.poll_transmit() {
            put(&t.data, t.route, batch);
        }
        self.secure.release(|route| self.agent.knows(route), &mut self.events);
        while let Some(event) = self.agent.poll_event() {
            match event {
                ice::Event::Selected(_) => self.secure.begin(&mut self.events),
                ice::Event::Paused => {}
                ice::Event::Expired => return self.close("the viewer has vanished (no consent)", batch),
            }
        }
        if let Some(route) = self.agent.selected() {
            while let Some(d) = self.secure.poll_transmit() {
                put(&d, route, batch);
            }
        }
        if let Some(Event::Closed(why)) = self.events.iter().find(|e| matches!(e, Event::Closed(_))).cloned() {
            // DTLS said so; it is told once.
            self.events.retain(|e| !matches!(e, Event::Closed(_)));
            self.close(&why, batch);
        }
    }

    /// Sender reports of all streams that flow, in one compound.
    fn report<'r, U: Unit>(&mut self, (now, clock): (Instant, Clock), rings: Rings<'r, U>, batch: &mut Batch) {
        self.report_at = Some(now + REPORT);
        let Some(route) = self.agent.selected() else { return };
        self.scratch.clear();
        let mut writer = rtcp::Writer::new(&mut self.scratch);
        let mut any = false;
        for lane in &self.lanes {
            if let Some(info) = rings(lane.ring()).and_then(|ring| lane.report(ring, clock)) {
                writer.sender_report(lane.ssrc(), info, &[]).cname(lane.ssrc(), &self.cname);
                any = true;
            }
        }
        if any {
            put_rtcp(&self.scratch, route, &mut self.secure, batch);
        }
    }
}

/// Puts a datagram that is ready into the batch. TCP or UDP, the route says.
fn put(data: &[u8], route: Route, batch: &mut Batch) {
    batch.put(route, data.len(), |out| {
        out.copy_from_slice(data);
        Some(data.len())
    });
}

/// Protects a compound and puts it into the batch.
fn put_rtcp(compound: &[u8], route: Route, secure: &mut Secure, batch: &mut Batch) {
    let Some(srtp) = secure.outbound() else { return };
    batch.put(route, compound.len() + srtp.profile().rtcp_overhead(), |out| {
        out.get_mut(..compound.len())?.copy_from_slice(compound);
        srtp.protect_rtcp(out, compound.len()).ok()
    });
}

#[cfg(test)]
mod tests;
