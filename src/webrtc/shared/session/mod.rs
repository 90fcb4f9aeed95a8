//! One viewer, without sockets and clocks: ICE, DTLS, SRTP, its streams and what it says
//! of them. Pure but for OpenSSL. A media thread owns it and calls it; what is to be sent
//! goes into the thread's [`Batch`].

mod congestion;
mod feedback;
mod keys;
mod lane;
mod secure;
mod types;

use std::time::{Duration, Instant};

use super::batch::Batch;
use super::demux::{Protocol, classify};
use super::dtls::Context;
use super::ice::{self, Agent, Route, Verdict};
use super::prefetch;
use super::ring::{Ring, Unit};
use super::rtcp;
use super::stun::Message;

use congestion::Congestion;
use feedback::Resend;
use keys::Replays;
use lane::Lane;
use secure::Secure;

pub use lane::Budget;
pub use types::{Clock, Event, Opening, Stats, Stream, Taken};

/// The longest packet of media that is sent, with everything: what an Ethernet frame
/// holds behind IPv6 and UDP.
pub const PACKET: usize = 1_452;
/// Between two sender reports of a stream that flows.
const REPORT: Duration = Duration::from_secs(2);
/// During a replay timestamps are not true, and nothing is reported of that stream: it is
/// looked at again after this.
const REPLAYING: Duration = Duration::from_millis(200);
/// A report goes with the next frame, in the same system call; without one it goes so late.
const RIDE: Duration = Duration::from_millis(100);

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
        let report = self.report_at.map(|at| at + RIDE);
        self.connected().then(|| lanes.chain(report).min()).flatten()
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
        self.send_media((now, clock), rings, budget, batch);
        if self.connected() && self.report_at.is_some_and(|at| at <= now) {
            self.report((now, clock), rings, batch);
        }
    }

    /// New frames are in the rings: sends what may be sent now. True when sender reports went
    /// with it: [`Session::poll_timeout`] is later than it was.
    pub fn send_media<'r, U: Unit>(
        &mut self,
        (now, clock): (Instant, Clock),
        rings: Rings<'r, U>,
        budget: &mut Budget,
        batch: &mut Batch,
    ) -> bool {
        if !self.connected() {
            return false;
        }
        let (Some(route), Some(srtp)) = (self.agent.selected(), self.secure.outbound()) else { return false };
        let before = self.stats.bytes;
        for lane in &mut self.lanes {
            let Some(ring) = rings(lane.ring()) else {
                lane.idle();
                continue;
            };
            let (packets, bytes) = lane.pump((now, route), ring, srtp, budget, batch);
            self.stats.packets += packets;
            self.stats.bytes += bytes;
            self.resend.sent(packets);
        }
        let due = *self.report_at.get_or_insert(now);
        if self.stats.bytes == before {
            return false;
        }
        self.congestion.sent(self.stats.bytes - before, now);
        if due <= now {
            self.report((now, clock), rings, batch);
        }
        due <= now
    }

    /// [`Session::send_media`] is near: what it looks at comes into the cache, of the
    /// session itself, or (`deep`, once that is there) of what it points to.
    pub fn prefetch(&self, deep: bool) {
        if !deep {
            return prefetch::value(self);
        }
        prefetch::value(self.lanes.as_slice());
        self.secure.prefetch();
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
        let replaying = self.lanes.iter().any(Lane::replays);
        self.report_at = Some(now + if replaying { REPLAYING } else { REPORT });
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
