//! The access units of a path into frames of a transport stream, and where its
//! segments begin. Pure.
//!
//! Time: the path's RTP time, moved so that it begins at [`ORIGIN_S`], and without
//! holes: what does not continue (the camera restarted, a second is missing) follows
//! the last frame at once, behind a discontinuity. `hlssink2` would take a hole for a
//! long segment. When a segment was captured, its date tells ([`crate::hls::dates`]).

use std::sync::Arc;
use std::time::Duration;

use crate::hls::cmaf::Track;
use crate::hls::cmaf::decode_time::Unwrap;
use crate::hls::cutter::{Cut, LONGEST_GOP};
use crate::hls::dates::Dates;
use crate::hls::pace;
use crate::hls::playlist::Stream;
use crate::hls::segmenter::{Ended, HOLE_MS, Known, ORIGIN_S, VIDEO, Video, decode_times, lead_video, payloads, unfit};
use crate::hls::ts::shelf::Begin;
use crate::media::codec::{Codec, Kind};
use crate::media::hub::AccessUnit;
use crate::media::nal::{self, Format};

/// Of a segment's bytes, in hundredths, what the transport stream adds at most.
const OVERHEAD: usize = 10;
/// What goes in front of a frame of AAC: ADTS and PES header.
const SOUND_HEADERS: usize = 7 + 14;

/// A frame on its way to the sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The access unit as a byte stream.
    pub data: Vec<u8>,
    /// When it is shown, ns on the time line.
    pub pts: u64,
    /// When it is decoded, ns on the time line; later than that of the frame before.
    pub dts: u64,
    /// Decoding can start here.
    pub key: bool,
    /// A segment begins with it.
    pub begin: Option<Begin>,
    /// The first one of a segment behind its first: with it, the sink can finish the
    /// segment before.
    pub settles: bool,
}

/// The segment that grows.
#[derive(Debug)]
struct Open {
    /// Presentation of its first frame, ticks.
    start: i64,
    bytes: usize,
    key: bool,
    settled: bool,
}

/// See the module. Times are in ticks of 90 kHz.
#[derive(Debug)]
pub struct Plan {
    video: Video,
    track: Track,
    /// Thousandths of a tick.
    period: i64,
    unwrap: Unwrap,
    shift: Option<i64>,
    epoch: u64,
    /// One moment on both clocks: capture (ns) and time line.
    anchor: Option<(u64, i64)>,
    /// The latest presentation so far, and when the last frame was decoded.
    latest: Option<i64>,
    decoded: Option<i64>,
    open: Option<Open>,
    /// `hlsSegmentDuration`.
    segment: i64,
    /// The most that a segment may last.
    limit: i64,
    max_bytes: usize,
    /// The longest GOP that is known of, and where the present one began.
    gop: Option<i64>,
    key_at: Option<i64>,
    frames: i64,
    keys: u32,
    /// Something was lost: goes on with a key frame, behind a discontinuity.
    lost: bool,
    /// Segments that have begun.
    begun: u64,
    /// The next frame that can is to begin a segment.
    cut_next: bool,
    /// All so far.
    length: i64,
    dates: Dates,
}

fn ticks(time: Duration) -> i64 {
    i64::try_from(time.as_nanos() * u128::from(VIDEO) / 1_000_000_000).unwrap_or(i64::MAX / 4)
}

/// Rounded up, so that it is the same tick again in the multiplexer, which rounds down.
fn nanos(ticks: i64) -> u64 {
    let nanos = u128::from(ticks.max(0).unsigned_abs()) * 1_000_000_000;
    u64::try_from(nanos.div_ceil(u128::from(VIDEO))).unwrap_or(u64::MAX)
}

impl Plan {
    /// Begins with the units since the last key frame, which are to be pushed
    /// afterwards. `Ok(None)`: it takes some more units to know how to begin. `clock`: see
    /// [`Plan::set_clock`].
    pub fn begin(
        cut: &Cut,
        known: &Known,
        codecs: &[Codec],
        units: &[Arc<AccessUnit>],
        clock: i64,
    ) -> Result<Option<Self>, Ended> {
        let format = codecs
            .iter()
            .find_map(Format::of)
            .ok_or_else(|| unfit("MPEG-TS is for H.264 and H.265; sound alone goes with fmp4 and lowLatency"))?;
        let Some(lead) = lead_video(format, known, units)? else { return Ok(None) };
        let Some(video) = lead.video else { return Ok(None) };
        let gop = known.gop.map(|frames| i64::from(frames) * lead.period / 1_000);
        Ok(Some(Plan {
            video,
            track: lead.track,
            period: lead.period,
            unwrap: Unwrap::default(),
            shift: None,
            epoch: 0,
            anchor: None,
            latest: None,
            decoded: None,
            open: None,
            segment: ticks(cut.segment),
            limit: ticks(LONGEST_GOP),
            max_bytes: cut.max_bytes - cut.max_bytes / 100 * OVERHEAD,
            gop,
            key_at: None,
            frames: 0,
            keys: 0,
            lost: false,
            begun: 0,
            cut_next: false,
            length: 0,
            dates: Dates::new(clock),
        }))
    }

    /// The codec.
    pub fn format(&self) -> Format {
        self.video.format
    }

    /// What is in the stream, without URI and bit rates.
    pub fn stream(&self) -> Stream {
        let sps = self.track.sps();
        let rate = (VIDEO * 1_000, u32::try_from(self.period).unwrap_or(u32::MAX));
        Stream {
            uri: String::new(),
            bandwidth: 0,
            average_bandwidth: None,
            codecs: self.track.codec_string().into_iter().collect(),
            resolution: sps.as_ref().map(|s| (s.width, s.height)),
            frame_rate: sps.map(|_| rate),
        }
    }

    /// The longest GOP, once it is known; that of the longest segment where there is none
    /// for so long.
    pub fn gop(&self) -> Option<Duration> {
        let gop = self.gop.or_else(|| (self.length >= ticks(LONGEST_GOP)).then_some(self.length))?;
        Some(Duration::from_nanos(nanos(gop)).min(LONGEST_GOP))
    }

    /// The most that a segment may last from now on.
    pub fn limit(&mut self, limit: Duration) {
        self.limit = ticks(limit);
    }

    /// All that was cached is pushed: what there is becomes a segment, so that players
    /// have a whole one at once, unless they have.
    pub fn caught_up(&mut self) {
        self.cut_next = self.gop.is_some() && self.begun < 2;
    }

    /// As [`crate::hls::segmenter::Segmenter::set_clock`].
    pub fn set_clock(&mut self, clock: i64) {
        self.dates.set_clock(clock);
    }

    /// A frame of sound of so many bytes goes into the segment that grows.
    pub fn hear(&mut self, size: usize) {
        if let Some(open) = &mut self.open {
            // Each in packets of its own, the last one filled up.
            open.bytes += (size + SOUND_HEADERS).div_ceil(184) * 188;
        }
    }

    /// Units were thrown away.
    pub fn lost(&mut self) {
        self.lost = true;
    }

    /// Where on the time line (ns) is what was captured at `pts_ns`; none before the first
    /// picture.
    pub fn place_of(&self, pts_ns: u64) -> Option<i64> {
        let (captured, time) = self.anchor?;
        let after = i128::from(pts_ns) - i128::from(captured);
        i64::try_from(i128::from(nanos(time)) + after).ok()
    }

    /// Takes the next unit of the path; none where it is of no use.
    pub fn push(&mut self, unit: &AccessUnit) -> Option<Frame> {
        if unit.kind != Kind::Video {
            return None;
        }
        let mut s = nal::depacketise(self.video.format, payloads(unit));
        // A GOP may open with a picture that is no IDR, behind parameter sets.
        let key = s.sync || unit.key;
        if s.data.is_empty() || (s.rasl && self.video.opening) || (!key && (self.lost || self.open.is_none())) {
            return None;
        }
        let mut breaks = std::mem::take(&mut self.lost) || (key && self.dates.leap());
        if key {
            self.video.opening = self.keys == 0 || breaks;
            self.keys += 1;
            breaks |= self.adopt(&s.sets);
            // A decoder that starts here needs all of them; what came with the picture is
            // the last of its id.
            let own = std::mem::replace(&mut s.sets, self.video.sets.all().clone());
            s.sets.pps.retain(|set| !own.pps.contains(set));
            s.sets.pps.extend(own.pps);
        }
        let time = self.place(unit, &mut breaks);
        self.anchor = Some((unit.pts_ns, time));
        let d = self.video.times.push(time);
        // What follows a break is decoded after what was before it; what is late is so only
        // while it is learnt how many B-frames there are.
        let dts = self.decoded.map_or(d.dts, |last| d.dts.max(last + 1));
        self.decoded = Some(dts);
        let pts = time.max(dts);
        self.count(key, pts, breaks);
        let size = s.data.len();
        if breaks {
            self.dates.breaks();
        }
        let begin = self.cut(key, pts, size, breaks).then(|| Begin {
            wall_ms: self.dates.of(unit.pts_ns),
            independent: key,
            discontinuity: breaks,
        });
        let ahead = self.latest.is_none_or(|l| pts > l);
        if begin.is_some() {
            self.open = Some(Open { start: pts, bytes: 0, key, settled: false });
            self.cut_next = false;
            self.begun += 1;
        }
        let mut settles = false;
        if let Some(open) = &mut self.open {
            open.bytes += size;
            settles = begin.is_none() && !open.settled && ahead;
            open.settled |= settles;
        }
        self.latest = self.latest.max(Some(pts));
        let data = s.byte_stream(self.video.format);
        Some(Frame { data, pts: nanos(pts), dts: nanos(dts), key, begin, settles })
    }

    /// Takes over the parameter sets of a key frame; whether they are other ones.
    fn adopt(&mut self, sets: &nal::ParameterSets) -> bool {
        if !self.video.sets.take(sets) {
            return false;
        }
        self.track = Track::Video { format: self.video.format, sets: self.video.sets.all().clone() };
        let depth = self.track.sps().and_then(|s| s.reorder).unwrap_or(self.video.depth);
        self.video.depth = depth;
        self.video.times = decode_times(depth, self.period);
        self.latest.is_some()
    }

    /// Where a unit belongs. Sets `breaks` where it does not continue the last one.
    fn place(&mut self, unit: &AccessUnit, breaks: &mut bool) -> i64 {
        let count = self.unwrap.push(unit.timestamp);
        let epoch = std::mem::replace(&mut self.epoch, unit.epoch);
        let (Some(shift), Some(latest)) = (self.shift, self.latest) else {
            let origin = ORIGIN_S * i64::from(VIDEO);
            self.shift = Some(origin - count);
            return origin;
        };
        let time = count + shift;
        let end = latest + self.tick();
        let hole = HOLE_MS * i64::from(VIDEO) / 1_000;
        *breaks |= epoch != unit.epoch || time > end + hole || time < end - hole;
        // A segment lasts until the next frame: where that is too late, it comes early.
        let late = self.open.as_ref().is_some_and(|o| time - o.start > self.limit);
        if *breaks {
            self.video.times = decode_times(self.video.times.depth(), self.period);
        } else if !late {
            return time;
        }
        self.shift = Some(end - count);
        end
    }

    /// A frame's usual duration.
    fn tick(&self) -> i64 {
        (self.period / 1_000).max(1)
    }

    /// Learns the GOP and the frame rate.
    fn count(&mut self, key: bool, pts: i64, breaks: bool) {
        if let Some(latest) = self.latest {
            self.length += (pts - latest).max(0);
        }
        if breaks {
            (self.key_at, self.frames) = (None, 0);
        }
        if !key {
            self.frames += 1;
            return;
        }
        if let Some(at) = self.key_at.filter(|at| pts > *at) {
            // By its frames: a camera's clock jitters, and TARGETDURATION has to hold.
            self.gop = self.gop.max(Some(self.frames * self.period / 1_000));
            let measured = (pts - at) / self.frames.max(1);
            if (measured * 1_000 - self.period).abs() * 10 > self.period {
                self.period = pace::period(Some(measured), None, VIDEO).unwrap_or(self.period);
            }
        }
        (self.key_at, self.frames) = (Some(pts), 1);
    }

    /// Whether a segment begins here.
    fn cut(&self, key: bool, pts: i64, size: usize, breaks: bool) -> bool {
        let Some(open) = &self.open else { return true };
        // A frame that is shown before others that are written already stays with them.
        if self.latest.is_some_and(|l| pts <= l) {
            return false;
        }
        let length = pts - open.start;
        let long = length + self.tick() / 2 >= self.segment;
        // The next one that can begin a segment is behind a row of B-frames, or a key frame.
        let awaited = self.key_at.zip(self.gop).map(|(at, gop)| at + gop);
        let key_comes = awaited.is_some_and(|at| at > pts && at - open.start <= self.limit);
        let step = if key_comes { 1 } else { 1 + i64::from(self.video.times.depth()) };
        let over = length + step * self.tick() > self.limit;
        // Not for a segment of a frame or two.
        let key_is_near = awaited.is_some_and(|at| (at - pts).abs() < self.segment / 5);
        // One that was cut elsewhere ends with the next key frame, however short:
        // otherwise all that follow might begin in the middle of a GOP.
        breaks
            || (key && (long || !open.key))
            || over
            || open.bytes + size > self.max_bytes
            || (self.cut_next && (key || !key_is_near))
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
pub(crate) mod tests;
