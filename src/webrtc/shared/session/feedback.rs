//! What a viewer tells of what it got, and what is done about it.

use std::time::{Duration, Instant};

use super::super::batch::Batch;
use super::super::outgoing::HEADER;
use super::super::ring::Unit;
use super::super::rtcp::{self, Packet, Packets, Report};
use super::lane::THIN;
use super::{Clock, Event, Lane, PACKET, Rings, Session};

/// Between two retransmissions of one packet at least; a round trip, where that is longer.
const AGAIN: Duration = Duration::from_millis(20);
/// Retransmissions of one viewer, for each packet that is sent for the first time: a link
/// that loses a fifth of all at random needs a quarter, for of those it loses some as well.
/// Who needs more has a link that is too narrow, and what is sent again pushes out as much.
const SHARE: f64 = 0.3;
/// Per second at least: key frames alone, where no more is sent, have to come whole.
const RATE: f64 = 100.0;
/// And as many at once: a burst that was lost.
const MOST: f64 = 200.0;
/// So many packets are remembered as sent again. Not all of a burst: where a queue loses most
/// of that, too, a round trip is long, and the viewer gives a packet up after a second.
const REMEMBERED: usize = 64;

/// What was sent again, and how much more may be.
pub(super) struct Resend {
    tokens: f64,
    /// Since then, by what was sent.
    earned: f64,
    filled: Instant,
    /// Stream, number, when. Made when the first NACK comes.
    recent: Vec<(usize, u16, Instant)>,
    /// Where the next one goes.
    next: usize,
    round_trip: Duration,
    /// One was asked for that there was nothing left for.
    starved: bool,
}

impl Resend {
    pub fn new(now: Instant) -> Self {
        let round_trip = Duration::ZERO;
        Resend { tokens: MOST, earned: 0.0, filled: now, recent: Vec::new(), next: 0, round_trip, starved: false }
    }

    /// So many packets were sent for the first time.
    pub fn sent(&mut self, packets: u64) {
        self.earned += packets as f64 * SHARE;
    }

    /// Whether a packet may be sent again now; if so, it is counted.
    fn may(&mut self, stream: usize, number: u16, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled);
        let more = std::mem::take(&mut self.earned).max(since.as_secs_f64() * RATE);
        self.tokens = (self.tokens + more).min(MOST);
        self.filled = now;
        let pause = AGAIN.max(self.round_trip);
        let young = |r: &(usize, u16, Instant)| now.saturating_duration_since(r.2) < pause;
        if self.recent.iter().any(|r| r.0 == stream && r.1 == number && young(r)) {
            return false;
        }
        if self.tokens < 1.0 {
            self.starved = true;
            return false;
        }
        self.tokens -= 1.0;
        match self.recent.get_mut(self.next) {
            Some(place) => *place = (stream, number, now),
            None => self.recent.push((stream, number, now)),
        }
        self.next = (self.next + 1) % REMEMBERED;
        true
    }
}

impl Session {
    /// Takes a compound that has verified.
    pub(super) fn feedback<'r, U: Unit>(
        &mut self,
        packets: Packets<'_>,
        (now, clock): (Instant, Clock),
        rings: Rings<'r, U>,
        batch: &mut Batch,
    ) {
        for packet in packets {
            match packet {
                Packet::ReceiverReport { reports, .. } | Packet::SenderReport { reports, .. } => {
                    let first = self.lanes.first().map(|l| l.ssrc());
                    for report in reports {
                        if self.lanes.iter().any(|l| l.ssrc() == report.ssrc && l.is_picture()) {
                            self.congestion.report(report.fraction, now);
                        }
                        if Some(report.ssrc) == first {
                            self.heard_of(report, clock);
                        }
                    }
                    self.judge();
                }
                Packet::Nack { media, lost } => {
                    let Some(i) = self.lanes.iter().position(|l| l.ssrc() == media) else { continue };
                    for number in lost {
                        self.stats.nacked += 1;
                        let sent = self.again((i, number), now, rings, batch);
                        self.stats.resent += u64::from(sent);
                        self.stats.refused += u64::from(!sent);
                    }
                    if std::mem::take(&mut self.resend.starved) {
                        self.congestion.starved(now);
                        self.judge();
                    }
                }
                Packet::Pli { media } => self.key_wanted(media, now, rings),
                Packet::Fir(requests) => requests.for_each(|(media, _)| self.key_wanted(media, now, rings)),
                Packet::Remb { bitrate, .. } => {
                    self.stats.bitrate = Some(bitrate);
                    self.congestion.remb(bitrate, now);
                    self.judge();
                }
                // A BYE of a viewer ends what it sends, and it sends nothing.
                Packet::Bye(_) | Packet::Description | Packet::Transport(_) | Packet::Other { .. } => {}
            }
        }
    }

    /// Does what [`super::congestion`] says.
    fn judge(&mut self) {
        let packets = self.congestion.room() as f64 * THIN.as_secs_f64() / PACKET as f64;
        let thin = self.congestion.thin().then_some((packets.ceil() as usize).max(1));
        let mut changed = false;
        for lane in self.lanes.iter_mut().filter(|l| l.is_picture()) {
            changed |= lane.set_thin(thin);
        }
        if changed && thin.is_some() {
            self.stats.paused += 1;
            if self.stats.paused == 1 {
                self.events.push(Event::Narrow);
            }
        }
    }

    fn heard_of(&mut self, report: Report, clock: Clock) {
        (self.stats.loss, self.stats.jitter) = (report.fraction, report.jitter);
        if let Some(trip) = report.round_trip(rtcp::middle(rtcp::ntp(clock.unix))) {
            let micros = (u64::from(trip) * 1_000_000) >> 16;
            self.stats.round_trip = u32::try_from(micros).ok();
            self.congestion.round_trip(Duration::from_micros(micros));
            // A round trip of more than a second is no reason to wait so long.
            self.resend.round_trip = Duration::from_micros(micros).min(Duration::from_secs(1));
        }
    }

    /// Sends a packet of a stream again, as RTX or bit for bit as it was, where it is held and
    /// may be sent.
    fn again<'r, U: Unit>(
        &mut self,
        (i, number): (usize, u16),
        now: Instant,
        rings: Rings<'r, U>,
        batch: &mut Batch,
    ) -> bool {
        let Some(route) = self.agent.selected() else { return false };
        let Some(lane) = self.lanes.get_mut(i) else { return false };
        let Some(ring) = rings(lane.ring()) else { return false };
        let out = lane.out();
        let Some((header, payload)) = out.find(ring, number) else { return false };
        if !self.resend.may(i, number, now) {
            return false;
        }
        let Some(srtp) = self.secure.outbound() else { return false };
        let room = HEADER + 2 + payload.len() + srtp.profile().overhead();
        batch.put(route, room, |buffer| {
            let (length, index) = match out.has_rtx() {
                true => out.write_rtx(header, payload, buffer)?,
                false => (out.write(header, payload, buffer)?, header.index),
            };
            srtp.protect(buffer, length, index).ok()
        })
    }

    fn key_wanted<'r, U: Unit>(&mut self, media: u32, now: Instant, rings: Rings<'r, U>) {
        let Some(i) = self.lanes.iter().position(|l| l.ssrc() == media) else { return };
        self.stats.key_requests += 1;
        // What it asks for is on its way; to begin anew would only make it later.
        if self.lanes.get(i).is_some_and(Lane::replays) || !self.replays.asked(now) {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(i)
            && let Some(ring) = rings(lane.ring())
        {
            lane.start(ring);
        }
        // One is enough, however often nobody listens.
        if !self.events.contains(&Event::KeyWanted(i)) {
            self.events.push(Event::KeyWanted(i));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of so many packets of which a part is lost, at random as it were; also of
    /// those that are sent again. Whether there was too little.
    fn second(resend: &mut Resend, now: &mut Instant, packets: u32, lost: f64) -> bool {
        let (mut number, mut missing) = (0u16, 0.0);
        for _ in 0..25 {
            resend.sent(u64::from(packets / 25));
            missing += f64::from(packets / 25) * lost;
            *now += Duration::from_millis(40);
            let mut left = 0.0;
            while missing >= 1.0 {
                number = number.wrapping_add(1);
                missing -= 1.0;
                left += if resend.may(0, number, *now) { lost } else { 1.0 };
            }
            missing += left;
        }
        std::mem::take(&mut resend.starved)
    }

    #[test]
    fn a_fifth_that_is_lost_is_brought_back_at_any_rate() {
        let starved = |packets: u32, lost: f64| {
            let mut now = Instant::now();
            let mut resend = Resend::new(now);
            (0..10).filter(|_| second(&mut resend, &mut now, packets, lost)).count()
        };
        for packets in [50, 200, 500, 1_000, 4_000] {
            for lost in [0.02, 0.1, 0.2] {
                assert_eq!(starved(packets, lost), 0, "{packets} {lost}");
            }
        }
        // And no more than that: the first seconds live on what there is at once.
        assert!(starved(500, 0.6) >= 7);
    }
}
