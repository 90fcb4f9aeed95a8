//! The sliding window of a muxer: what is listed, what was, what comes next.
//! Pure.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::{SECOND, Units, units, units_up};
use crate::config::HlsVariant;

/// Seconds: no segment is longer, whatever a camera's clock says.
const LONGEST: u64 = 3600;
/// What a segment may be longer than the target duration: EXTINF is compared when it
/// is rounded to whole seconds (§4.4.3.1), and a GOP of 1.001 s needs no target of 2.
const TOLERANCE: Units = SECOND / 10;

/// How the media is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// MPEG-TS segments.
    Mpegts,
    /// Fragmented MP4 segments.
    Fmp4,
    /// Fragmented MP4 segments that are listed part by part while they grow.
    LowLatency,
}

impl From<HlsVariant> for Variant {
    fn from(configured: HlsVariant) -> Self {
        match configured {
            HlsVariant::Mpegts => Variant::Mpegts,
            HlsVariant::Fmp4 => Variant::Fmp4,
            HlsVariant::LowLatency => Variant::LowLatency,
        }
    }
}

impl Variant {
    /// Fewer segments than these no player manages with: MediaMTX refuses them too.
    fn least(self) -> usize {
        if self == Variant::LowLatency { 7 } else { 3 }
    }

    fn extension(self) -> &'static str {
        if self == Variant::Mpegts { "ts" } else { "mp4" }
    }
}

/// What stays the same as long as a window lives.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the media is carried.
    pub variant: Variant,
    /// Segments to list; at least 7 for low latency and 3 otherwise.
    pub segment_count: usize,
    /// The longest part ([`super::part_target`]). Low latency only.
    pub part_target: Duration,
    /// What every name begins with: another one for each start of the muxer, so
    /// that names never repeat and caches never serve an old one. Only
    /// characters that a URI takes as they are.
    pub prefix: String,
    /// A promise that each segment will begin with a key frame. Whoever cuts
    /// long GOPs cannot make it, as a playlist may not take it back.
    pub independent_segments: bool,
}

/// Why the window did not take something. What was refused changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The last segment has not ended.
    SegmentOpen,
    /// There is no segment to add to or to end.
    NoSegment,
    /// A segment, or a part, of no duration.
    Empty,
    /// Not a key frame, where all segments were promised to begin with one.
    NotIndependent,
    /// The part is longer than the part target.
    PartTooLong,
    /// The part before is shorter than 85 % of the part target, so it has to
    /// be the last of its segment.
    PartTooShort,
    /// The segment would be longer than the target duration, or an hour: end it first.
    SegmentTooLong,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::SegmentOpen => "the last segment has not ended",
            Refused::NoSegment => "no segment has begun",
            Refused::Empty => "it has no duration",
            Refused::NotIndependent => "it does not begin with a key frame, and every segment was promised to",
            Refused::PartTooLong => "the part is longer than the part target",
            Refused::PartTooShort => "the part before is too short to be followed by another in its segment",
            Refused::SegmentTooLong => "the segment would be longer than the target duration",
        })
    }
}

impl std::error::Error for Refused {}

#[derive(Debug)]
pub(super) struct Part<B> {
    pub(super) units: Units,
    pub(super) independent: bool,
    pub(super) payload: B,
}

#[derive(Debug)]
pub(super) struct Segment<B> {
    pub(super) msn: u64,
    /// Milliseconds since 1970.
    pub(super) time: u64,
    pub(super) discontinuity: bool,
    /// The number of its map.
    pub(super) map: Option<u64>,
    pub(super) parts: Vec<Part<B>>,
    /// The sum of the parts.
    pub(super) units: Units,
}

/// The window. `B` is a piece of media: `Bytes`, `Arc<[u8]>`.
#[derive(Debug)]
pub struct Window<B> {
    pub(super) config: Config,
    /// Seconds; fixed by [`Window::open`].
    pub(super) target: Option<u64>,
    pub(super) listed: VecDeque<Segment<B>>,
    /// The segment that grows.
    pub(super) current: Option<Segment<B>>,
    /// No longer listed but still served, and until when on our time line.
    pub(super) removed: VecDeque<(Segment<B>, Units)>,
    /// By number.
    pub(super) maps: VecDeque<(u64, B)>,
    map: Option<u64>,
    pub(super) discontinuity_sequence: u64,
    /// The next segment does not continue the last one.
    pub(super) broken: bool,
    /// The number of the next segment, or of the one that grows.
    pub(super) next: u64,
    /// Parts of earlier segments are not listed: they kept another part target.
    pub(super) parts_from: u64,
    /// All media so far: the time line that is rounded.
    end: Duration,
    /// The longest that the playlist ever was.
    longest: Units,
    /// The highest bit rate so far, bits per second.
    pub(super) peak: u64,
}

impl<B: AsRef<[u8]>> Window<B> {
    /// An empty window. `map` is the initialisation section; MPEG-TS has none.
    pub fn new(config: Config, map: Option<B>) -> Self {
        let mut window = Window {
            config: Config { segment_count: config.segment_count.max(config.variant.least()), ..config },
            target: None,
            listed: VecDeque::new(),
            current: None,
            removed: VecDeque::new(),
            maps: VecDeque::new(),
            map: None,
            discontinuity_sequence: 0,
            broken: false,
            next: 0,
            parts_from: 0,
            end: Duration::ZERO,
            longest: 0,
            peak: 0,
        };
        window.take_map(map);
        window
    }

    /// Fixes the target duration, so that playlists can go out: the longest of
    /// `gop` and the segments so far, in whole seconds. It may never change
    /// (§4.4.3.1), so that a second call changes nothing. Returns the seconds.
    pub fn open(&mut self, gop: Duration) -> u64 {
        let seen = self.listed.iter().chain(&self.current).map(|s| s.units).max().unwrap_or(0);
        let longest = seen.max(units_up(gop)).saturating_sub(TOLERANCE);
        if self.target.is_none() {
            self.target = Some(longest.div_ceil(SECOND).clamp(1, LONGEST));
            self.weigh_all();
        }
        self.target.unwrap_or(1)
    }

    /// From now on parts last at most `part_target`, and whole GOPs `gop`. Neither may
    /// change in a playlist (§4.4.3.7), so that this one needs another name from here on.
    /// What it lists stays, but for the parts. The segment has to have ended.
    pub fn retarget(&mut self, part_target: Duration, gop: Duration) -> Result<(), Refused> {
        if self.current.is_some() {
            return Err(Refused::SegmentOpen);
        }
        self.config.part_target = part_target;
        self.parts_from = self.next;
        if let Some(target) = self.target.take() {
            self.target = Some(self.open(gop).max(target));
        }
        Ok(())
    }

    /// Begins a segment. `time` is the wall clock of its first frame, in
    /// milliseconds since 1970.
    pub fn begin_segment(&mut self, time: u64, independent: bool) -> Result<(), Refused> {
        if self.current.is_some() {
            return Err(Refused::SegmentOpen);
        }
        if self.config.independent_segments && !independent {
            return Err(Refused::NotIndependent);
        }
        let discontinuity = std::mem::take(&mut self.broken);
        let (msn, map) = (self.next, self.map);
        self.current = Some(Segment { msn, time, discontinuity, map, parts: Vec::new(), units: 0 });
        Ok(())
    }

    /// Adds a piece to the segment: for low latency a part, for the others any
    /// piece, or all of it. `independent`: it begins with a key frame.
    pub fn add_part(&mut self, duration: Duration, independent: bool, payload: B) -> Result<(), Refused> {
        let room = units(self.room());
        let end = self.end.saturating_add(duration);
        let length = units(end) - units(self.end);
        let target = (self.config.variant == Variant::LowLatency).then(|| self.part_target());
        let segment = self.current.as_mut().ok_or(Refused::NoSegment)?;
        if length == 0 {
            return Err(Refused::Empty);
        }
        if let Some(target) = target {
            if length > target {
                return Err(Refused::PartTooLong);
            }
            if segment.parts.last().is_some_and(|p| !p.independent && p.units * 100 < target * 85) {
                return Err(Refused::PartTooShort);
            }
        }
        if length > room {
            return Err(Refused::SegmentTooLong);
        }
        segment.parts.push(Part { units: length, independent, payload });
        segment.units += length;
        self.end = end;
        Ok(())
    }

    /// How much longer the segment may become.
    pub fn room(&self) -> Duration {
        self.limit().saturating_sub(Duration::from_micros(self.current.as_ref().map_or(0, |s| s.units) * 10))
    }

    /// The longest that a segment may be.
    pub fn limit(&self) -> Duration {
        Duration::from_micros((self.target.unwrap_or(LONGEST) * SECOND + TOLERANCE) * 10)
    }

    /// Ends the segment: it lasts as long as its parts.
    pub fn end_segment(&mut self) -> Result<(), Refused> {
        let segment = self.current.take_if(|s| !s.parts.is_empty());
        let segment = segment.ok_or(if self.current.is_some() { Refused::Empty } else { Refused::NoSegment })?;
        self.listed.push_back(segment);
        self.next += 1;
        self.weigh();
        self.slide();
        Ok(())
    }

    /// What comes next does not continue what was: the camera came back, or
    /// another codec did, with a `map` of its own. Ends the segment.
    pub fn discontinuity(&mut self, map: Option<B>) {
        if self.end_segment() == Err(Refused::Empty) {
            // It showed nowhere yet: its number is given to the next one.
            self.current = None;
        }
        // Before the first segment there is nothing to be different from.
        self.broken = self.next > 0;
        self.take_map(map);
        self.drop_maps();
    }

    /// Changes with everything that a playlist shows: where the next part will stand, and
    /// whether one can go out at all.
    pub fn progress(&self) -> (u64, usize, bool) {
        (self.next, self.current.as_ref().map_or(0, |s| s.parts.len()), self.target.is_some())
    }

    /// The number of listed whole segments.
    pub fn segments(&self) -> usize {
        self.listed.len()
    }

    /// The part that comes next, unless it begins behind a discontinuity: a
    /// player would take it for a continuation of what it has.
    pub(super) fn hint(&self) -> Option<(u64, usize)> {
        let part = self.current.as_ref().map_or(0, |s| s.parts.len());
        let hidden = part == 0 && (self.broken || self.current.as_ref().is_some_and(|s| s.discontinuity));
        (self.config.variant == Variant::LowLatency && !hidden).then_some((self.next, part))
    }

    /// The printed part target.
    pub(super) fn part_target(&self) -> Units {
        units_up(self.config.part_target).min(LONGEST * SECOND)
    }

    /// Of all listed segments.
    pub(super) fn duration(&self) -> Units {
        self.listed.iter().map(|s| s.units).sum()
    }

    pub(super) fn map_name(&self, number: u64) -> String {
        format!("{}_init{number}.mp4", self.config.prefix)
    }

    pub(super) fn segment_name(&self, msn: u64) -> String {
        format!("{}_seg{msn}.{}", self.config.prefix, self.config.variant.extension())
    }

    pub(super) fn part_name(&self, msn: u64, part: usize) -> String {
        format!("{}_part{msn}_{part}.mp4", self.config.prefix)
    }

    fn take_map(&mut self, map: Option<B>) {
        if let Some(map) = map {
            let number = self.map.map_or(0, |n| n + 1);
            self.maps.push_back((number, map));
            self.map = Some(number);
        }
    }

    /// Takes segments from the front of the playlist, and forgets those that
    /// nobody may ask for any more.
    fn slide(&mut self) {
        self.longest = self.longest.max(self.duration());
        let now = units(self.end);
        // §6.2.2: a live playlist never gets shorter than three target durations.
        let least = 3 * self.target.unwrap_or(0) * SECOND;
        while self.listed.len() > self.config.segment_count
            && self.listed.front().is_some_and(|s| self.duration() - s.units >= least)
        {
            let Some(segment) = self.listed.pop_front() else { break };
            self.discontinuity_sequence += u64::from(segment.discontinuity);
            // §6.2.2: it stays for its own duration and that of the longest
            // playlist. The clock is the media itself: where it stands still,
            // nothing is removed either.
            let until = now + segment.units + self.longest;
            self.removed.push_back((segment, until));
        }
        // Time bounds the bytes; the count bounds what a camera with mad
        // timestamps can pile up.
        let most = 4 * self.config.segment_count;
        while self.removed.front().is_some_and(|(_, until)| *until <= now || self.removed.len() > most) {
            self.removed.pop_front();
        }
        self.drop_maps();
    }

    fn drop_maps(&mut self) {
        let oldest = self.removed.iter().map(|(s, _)| s).chain(&self.listed).chain(&self.current).find_map(|s| s.map);
        let oldest = oldest.or(self.map);
        self.maps.retain(|(number, _)| oldest.is_some_and(|o| *number >= o));
    }
}
