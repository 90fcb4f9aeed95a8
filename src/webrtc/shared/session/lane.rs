//! One stream of one viewer: where it stands in its ring, and how fast it may go on.
//!
//! A join, a replay and a large frame are one thing here: the stream stands somewhere
//! behind the end of the ring, and sends on in groups with a pause between. What comes
//! meanwhile waits in the ring, where it is anyhow; there is no queue per viewer.

use std::time::{Duration, Instant};

use super::super::batch::Batch;
use super::super::ice::Route;
use super::super::outgoing::{self, Clock as Timing, HEADER, Header, Outgoing};
use super::super::ring::{Ring, Unit};
use super::super::rtcp::{self, SenderInfo};
use super::super::srtp::Outbound;
use super::{Clock, PACKET, Stream};
use crate::webrtc::stream::squeeze;

/// A burst: so many packets, then a pause. More loses packets in the receiver's socket
/// buffer (fan-out.md).
const BURST: usize = 12;
/// Live: what one GSO message holds.
const GROUP: usize = 64;
/// The pause.
pub(super) const PAUSE: Duration = Duration::from_millis(2);
/// The pause of a stream whose link does not carry it, between fewer packets: the end of a key
/// frame that is sent at once is lost in the queue before such a link, and nothing that comes
/// soon after it shows the viewer that something is missing.
pub(super) const THIN: Duration = Duration::from_millis(20);

/// Bounds the bursts of all sessions of a thread together: packets per pause.
#[derive(Debug)]
pub struct Budget {
    began: Instant,
    left: usize,
    packets: usize,
}

impl Budget {
    /// So many packets per 2 ms.
    pub fn new(packets: usize, now: Instant) -> Self {
        Budget { began: now, left: packets, packets }
    }

    /// As many of `wanted` packets as there may be now.
    fn take(&mut self, wanted: usize, now: Instant) -> usize {
        if now.saturating_duration_since(self.began) >= PAUSE {
            (self.began, self.left) = (now, self.packets);
        }
        let got = wanted.min(self.left);
        self.left -= got;
        got
    }

    fn give_back(&mut self, unused: usize) {
        self.left += unused;
    }
}

/// A replay under way: up to this frame timestamps are squeezed.
#[derive(Debug, Clone, Copy)]
struct Replay {
    last: u64,
    timing: Timing,
}

/// See the module.
pub(super) struct Lane {
    stream: Stream,
    out: Outgoing,
    /// The next frame to send, and which packet of it; none before the first one.
    at: Option<(u64, usize)>,
    replay: Option<Replay>,
    /// Frames were lost to this viewer: the next one to send is a key frame.
    waiting: bool,
    /// Its link does not carry the stream: key frames only, so many packets per [`THIN`].
    thin: Option<usize>,
    dropped: u64,
    /// Of the present group: when it began, and packets sent.
    group: (Instant, usize),
    behind: bool,
}

impl Lane {
    pub fn new(mut stream: Stream, now: Instant) -> Self {
        let out =
            Outgoing::new(stream.media, stream.rtx, stream.start, &stream.extension).stamping(stream.stamp.take());
        Lane {
            stream,
            out,
            at: None,
            replay: None,
            waiting: false,
            thin: None,
            dropped: 0,
            group: (now, 0),
            behind: true,
        }
    }

    pub fn ring(&self) -> u32 {
        self.stream.ring
    }

    pub fn ssrc(&self) -> u32 {
        self.stream.media.ssrc
    }

    /// Whether frames depend on others, so that there are key frames.
    pub fn is_picture(&self) -> bool {
        self.stream.replay
    }

    /// Whether what is cached is being sent.
    pub fn replays(&self) -> bool {
        self.replay.is_some()
    }

    /// Sends key frames only from now on, so many packets per [`THIN`], or everything from the
    /// next key frame on. Whether that is another thing than before.
    pub fn set_thin(&mut self, thin: Option<usize>) -> bool {
        let changed = self.thin.is_some() != thin.is_some();
        self.waiting |= changed && self.at.is_some_and(|(_, packet)| packet == 0);
        self.thin = thin;
        changed
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    pub fn out(&mut self) -> &mut Outgoing {
        &mut self.out
    }

    /// Its ring is gone: there is nothing to send before a frame comes.
    pub fn idle(&mut self) {
        self.behind = false;
    }

    /// When it may go on, where it has something to send.
    pub fn due(&self) -> Option<Instant> {
        self.behind.then(|| self.group.0 + self.pause())
    }

    fn pause(&self) -> Duration {
        if self.thin.is_some() { THIN } else { PAUSE }
    }

    /// Starts, or starts anew, from what the ring has cached; false where it has nothing.
    pub fn start<U: Unit>(&mut self, ring: &Ring<U>) -> bool {
        let start = ring.start();
        let count = start.entries.len();
        let mut entries = start.entries;
        let Some(first) = entries.next() else { return false };
        let last = entries.next_back().unwrap_or(first);
        let mut times = squeeze(self.out.last(), last.unit.timestamp(), count);
        let Some(begin) = times.next() else { return false };
        let step = times.next().map_or(0, |t| t.wrapping_sub(begin));
        self.replay =
            Some(Replay { last: last.serial, timing: Timing::Replay { serial: first.serial, first: begin, step } });
        self.at = Some((first.serial, 0));
        // What follows a still does not continue it: the ring does not have it, and the
        // stream waits for a key frame then.
        self.waiting = false;
        self.behind = true;
        true
    }

    /// Frames are lost to this viewer: it goes on with the next key frame.
    pub fn skip<U: Unit>(&mut self, ring: &Ring<U>) {
        if let Some((at, _)) = self.at {
            self.dropped += ring.end().saturating_sub(at);
            self.at = Some((ring.end(), 0));
            self.waiting = self.stream.replay;
            self.replay = None;
            self.behind = false;
        }
    }

    /// Sends what may be sent now. Returns packets and bytes.
    pub fn pump<U: Unit>(
        &mut self,
        (now, route): (Instant, Route),
        ring: &Ring<U>,
        srtp: &mut Outbound,
        budget: &mut Budget,
        batch: &mut Batch,
    ) -> (u64, u64) {
        if self.at.is_none() && !(self.stream.replay && self.start(ring)) {
            // Sound begins with what comes next; pictures with a key frame.
            self.at = Some((ring.end(), 0));
            self.waiting = self.stream.replay;
        }
        if now.saturating_duration_since(self.group.0) >= self.pause() {
            self.group = (now, 0);
        }
        let burst = self.replay.is_some();
        let group = self.thin.unwrap_or(if burst { BURST } else { GROUP });
        let mut allowed = group.saturating_sub(self.group.1);
        if burst {
            allowed = budget.take(allowed, now);
        }
        let mut sent = (0, 0);
        self.behind = false;
        while let Some((serial, packet)) = self.at.filter(|(s, _)| *s < ring.end()) {
            // What is before the newest key frame is of no use to a replay, and the ring may
            // drop it at any time.
            if let (Some(replay), Some(key)) = (self.replay, ring.key().filter(|key| packet == 0 && *key > serial))
                && self.start(ring)
            {
                // Those that came since it began.
                self.dropped += key.saturating_sub(serial.max(replay.last + 1));
                self.behind = false;
                continue;
            }
            let Some(entry) = ring.get(serial) else {
                // It was too slow, or what it started with was a still.
                match ring.key().filter(|key| self.stream.replay && *key > serial) {
                    Some(key) if self.start(ring) => self.dropped += key - serial,
                    _ => self.skip(ring),
                }
                break;
            };
            if (self.waiting || (self.thin.is_some() && packet == 0)) && !entry.unit.key() {
                self.dropped += 1;
                self.at = Some((serial + 1, 0));
                continue;
            }
            self.waiting = false;
            if allowed == 0 || batch.full() {
                self.behind = true;
                break;
            }
            let timing = self.replay.filter(|r| serial <= r.last).map_or(Timing::Live, |r| r.timing);
            if timing == Timing::Live {
                self.replay = None;
            }
            let Some(payload) = entry.unit.payload(packet) else {
                self.at = Some((serial + 1, 0));
                continue;
            };
            let last = packet + 1 >= entry.unit.packets();
            self.at = Some(if last { (serial + 1, 0) } else { (serial, packet + 1) });
            if payload.len() + HEADER + srtp.profile().overhead() > PACKET + HEADER {
                // No path packetises so; it would not cross the link.
                continue;
            }
            let number = (entry.first + packet as u64, serial);
            let header = Header {
                captured: outgoing::captured(&*entry.unit, serial, last),
                ..self.out.next(number, entry.unit.timestamp(), timing, last, payload.len())
            };
            let out = &self.out;
            let room = HEADER + payload.len() + srtp.profile().overhead();
            let done = batch.put(route, room, |buffer| {
                let length = out.write(header, payload, buffer)?;
                srtp.protect(buffer, length, header.index).ok()
            });
            allowed -= 1;
            self.group.1 += 1;
            sent.0 += u64::from(done);
            sent.1 += payload.len() as u64 + 12;
        }
        if burst {
            budget.give_back(allowed);
        }
        if self.replay.is_some_and(|r| self.at.is_none_or(|(s, _)| s > r.last)) {
            self.replay = None;
        }
        sent
    }

    /// What a sender report says now; none before something was sent, or during a replay,
    /// whose timestamps are not true.
    pub fn report<U: Unit>(&self, ring: &Ring<U>, clock: Clock) -> Option<SenderInfo> {
        let last = ring.last()?;
        self.out.last().filter(|_| self.replay.is_none())?;
        let (packets, bytes, offset) = self.out.account();
        // The timestamp that a frame captured now would have.
        let since = i128::from(clock.monotonic) - i128::from(last.unit.captured());
        let ticks = since * i128::from(self.stream.rate) / 1_000_000_000;
        let rtp = last.unit.timestamp().wrapping_add(ticks as u32).wrapping_add(offset);
        Some(SenderInfo { ntp: rtcp::ntp(clock.unix), rtp, packets, bytes })
    }
}
