//! Samples into parts, parts into segments. Pure.
//!
//! One track leads, video where there is any: its frames are counted into parts, and
//! whatever sound has come by the end of a part goes along. A part ends with the
//! frame that fills it, without waiting for the next one: that is what
//! [`super::pace`] is for.

use std::time::Duration;

use bytes::Bytes;

use crate::hls::audio_lane::AudioLane;
use crate::hls::cmaf::{self, Run};
use crate::hls::pace::{Pace, SLEW};
use crate::hls::parts::Parts;
use crate::hls::places::Places;
use crate::hls::playlist::{Config, Refused, Variant, Window};

/// How to cut.
#[derive(Debug, Clone)]
pub struct Cut {
    /// How the media is carried. [`Cutter`] is for `Fmp4` and `LowLatency`; how `Mpegts` is
    /// cut, [`crate::hls::ts::plan`] knows.
    pub variant: Variant,
    /// Segments in the playlist.
    pub segments: usize,
    /// A segment ends at the first key frame after so long.
    pub segment: Duration,
    /// Parts last about so long.
    pub part: Duration,
    /// The most bytes of a segment, pictures and sound: it is cut there.
    pub max_bytes: usize,
    /// What names begin with; another one each time.
    pub prefix: String,
}

/// Longer GOPs are cut into several segments.
pub const LONGEST_GOP: Duration = Duration::from_secs(10);

/// A sample of the leading track.
#[derive(Debug)]
pub struct Frame {
    /// Its bytes, as MP4 has them.
    pub data: Bytes,
    /// Decode time, units of the track.
    pub dts: i64,
    /// Presentation minus decode time, units.
    pub offset: i64,
    /// Decoding can start here.
    pub key: bool,
    /// No other frame needs it.
    pub disposable: bool,
    /// When it was captured, ms since 1970.
    pub wall_ms: u64,
}

#[derive(Debug)]
struct Waiting {
    frame: Frame,
    /// Thousandths of a unit.
    duration: i64,
    /// Likewise.
    offset: i64,
}

/// See the module. Lengths are in thousandths of a unit of the leading track.
#[derive(Debug)]
pub struct Cutter {
    cut: Cut,
    window: Window<Bytes>,
    pace: Pace,
    /// Thousandths of a unit in a second.
    second: i64,
    parts: Parts,
    /// How often PART-TARGET had to become another one.
    generation: u32,
    places: Places,
    /// Begin of the part.
    base: i64,
    part: Vec<Waiting>,
    part_length: i64,
    /// A segment has begun.
    open: bool,
    /// With a key frame.
    open_key: bool,
    segment_length: i64,
    segment_bytes: usize,
    sequence: u32,
    /// All so far.
    length: i64,
}

impl Cutter {
    /// `period` of a frame in thousandths of a unit, `scale` units in a second.
    pub fn new(cut: Cut, period: i64, scale: u32, map: Vec<u8>) -> Self {
        let second = i64::from(scale) * 1_000;
        let parts = Parts::new(cut.variant, cut.part, period, second);
        let config = Config {
            variant: cut.variant,
            segment_count: cut.segments,
            part_target: parts.printed(),
            prefix: cut.prefix.clone(),
            independent_segments: false,
        };
        Cutter {
            window: Window::new(config, Some(map.into())),
            cut,
            pace: Pace::new(period),
            second,
            parts,
            generation: 0,
            places: Places::default(),
            base: 0,
            part: Vec::new(),
            part_length: 0,
            open: false,
            open_key: false,
            segment_length: 0,
            segment_bytes: 0,
            sequence: 0,
            length: 0,
        }
    }

    /// What readers ask.
    pub fn window(&self) -> &Window<Bytes> {
        &self.window
    }

    /// Lets the first playlist out: no segment will be longer than what whole GOPs
    /// of this length make of the configured one.
    pub fn open(&mut self, gop: Duration) {
        let gop = gop.max(Duration::from_millis(1));
        let count = self.cut.segment.as_nanos().div_ceil(gop.as_nanos()).clamp(1, 10_000);
        self.window.open(gop * u32::try_from(count).unwrap_or(1));
    }

    /// [`Cutter::open`] for GOPs of so many frames.
    pub fn open_for(&mut self, frames: u32) {
        // A camera with a key frame a minute would have us keep minutes of it.
        self.open(self.duration(self.pace.period().saturating_mul(i64::from(frames))).min(LONGEST_GOP));
    }

    /// Ends the segment now, so that there is a whole one.
    pub fn cut_here(&mut self, audio: Option<&mut AudioLane>) {
        if self.segment_length > 0 {
            self.end_part(audio);
            self.end_segment();
        }
    }

    /// Frames over seconds.
    pub fn rate(&self) -> (u32, u32) {
        (u32::try_from(self.second).unwrap_or(u32::MAX), u32::try_from(self.pace.period()).unwrap_or(1))
    }

    /// How much media there is in all.
    pub fn length(&self) -> Duration {
        self.duration(self.length)
    }

    /// Where the next frame is expected, units; none before the first one.
    pub fn expected(&self) -> Option<i64> {
        self.pace.end().map(|e| e / 1_000)
    }

    fn duration(&self, length: i64) -> Duration {
        let nanos = i128::from(length.max(0)) * 1_000_000_000 / i128::from(self.second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// What comes next does not continue what was, and begins at `time` (units).
    pub fn breaks(&mut self, time: i64, map: Option<Vec<u8>>, audio: Option<&mut AudioLane>) {
        self.end_part(audio);
        self.window.discontinuity(map.map(Bytes::from));
        self.forget_segment();
        self.places.clear();
        self.pace.anchor(time);
    }

    /// Whether the frame rate is another one by now: see [`Cutter::retime`].
    pub fn astray(&self) -> bool {
        self.pace.astray()
    }

    /// It is the same after all: a network that lost half of it.
    pub fn calm(&mut self) {
        self.pace.calm();
    }

    /// Counts the playlists: another one is another name, as its PART-TARGET is another.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// A frame lasts `period` from now on, and a GOP `gop` of them: [`Cutter::breaks`],
    /// and a new playlist where parts of such frames do not keep to PART-TARGET.
    pub fn retime(&mut self, period: i64, gop: u32, time: i64, audio: Option<&mut AudioLane>) {
        self.breaks(time, None, audio);
        let period = period.max(1);
        self.pace = Pace::new(period);
        self.pace.anchor(time);
        if self.cut.variant != Variant::LowLatency {
            self.parts = Parts::new(self.cut.variant, self.cut.part, period, self.second);
        } else if let Some(slots) = self.parts.slots_of(period, self.second) {
            self.parts.slots = slots;
        } else {
            self.parts = Parts::new(self.cut.variant, self.cut.part, period, self.second);
            let gop = self.duration(period.saturating_mul(i64::from(gop))).min(LONGEST_GOP);
            // What was open, breaks() has ended.
            let _ = self.window.retarget(self.parts.printed(), gop);
            self.generation = self.generation.wrapping_add(1);
        }
    }

    /// Takes the next frame. Sound comes from `audio` when a part ends.
    pub fn push(&mut self, frame: Frame, mut audio: Option<&mut AudioLane>) {
        let step = self.pace.step(frame.dts);
        let period = self.pace.period();
        let full = self.parts.slots * period;
        let mut missing = step.missing;
        if missing > 0 && !self.part.is_empty() {
            // The frame before stays on the screen, as far as its part lasts ...
            let room = ((full - self.part_length + period / 2) / period).clamp(0, missing);
            self.stretch(room * period);
            missing -= room;
            if self.is_full(full) {
                self.end_part(audio.as_deref_mut());
            }
        }
        // ... and this one comes early, and stays for the rest, as far as its own does.
        let most = missing.min(self.parts.slots - 1);
        self.pace.shift((most - missing) * period);
        let duration = step.duration + most * period;
        let now = self.pace.end().unwrap_or(0) - duration;

        let segment =
            i64::try_from(self.cut.segment.as_millis()).unwrap_or(i64::MAX / self.second) * self.second / 1_000;
        let long = self.segment_length * 2 + period >= segment * 2;
        // A segment that was cut elsewhere ends with the next key frame, however short:
        // otherwise all that follow might begin in the middle of a GOP.
        let realign = frame.key && !self.open_key;
        let over = self.duration(self.segment_length + duration) > self.window.limit();
        let waiting = audio.as_deref().map_or(0, AudioLane::bytes);
        let heavy = self.segment_bytes + waiting + frame.data.len() > self.cut.max_bytes;
        if self.open && self.segment_length > 0 && ((frame.key && long) || realign || over || heavy) {
            self.end_part(audio.as_deref_mut());
            self.end_segment();
        } else if !self.part.is_empty() && self.part_length + duration > full + full * SLEW / 1_000 {
            self.end_part(audio.as_deref_mut());
        }
        if !self.open {
            let _ = self.window.begin_segment(frame.wall_ms, frame.key);
            (self.open, self.open_key) = (true, frame.key);
        }
        if self.part.is_empty() {
            self.base = now;
        }
        self.part_length += duration;
        self.segment_length += duration;
        self.length += duration;
        self.segment_bytes += frame.data.len();
        let offset = self.places.take(frame.dts + frame.offset, frame.offset, now, period) - now;
        self.part.push(Waiting { frame, duration, offset });
        if self.is_full(full) {
            self.end_part(audio);
        }
    }

    fn stretch(&mut self, by: i64) {
        if let Some(last) = self.part.last_mut() {
            last.duration += by;
            self.part_length += by;
            self.segment_length += by;
            self.length += by;
        }
    }

    /// Whether less than half a frame fits in.
    fn is_full(&self, full: i64) -> bool {
        !self.part.is_empty() && self.part_length * 2 > full * 2 - self.pace.period()
    }

    fn end_part(&mut self, audio: Option<&mut AudioLane>) {
        if self.part.is_empty() {
            return;
        }
        let frames = std::mem::take(&mut self.part);
        let length = std::mem::take(&mut self.part_length);
        let (independent, wall_ms) = frames.first().map_or((false, 0), |w| (w.frame.key, w.frame.wall_ms));
        // Units are whole: each frame begins at its own place, rounded, and nothing drifts.
        let mut at = self.base;
        let samples = frames
            .iter()
            .map(|w| {
                let begin = at.div_euclid(1_000);
                at += w.duration;
                cmaf::Sample {
                    data: &w.frame.data,
                    duration: u32::try_from(at.div_euclid(1_000) - begin).unwrap_or(0),
                    offset: i32::try_from(w.offset / 1_000).unwrap_or(0),
                    sync: w.frame.key,
                    disposable: w.frame.disposable,
                }
            })
            .collect();
        let base = u64::try_from(self.base.div_euclid(1_000)).unwrap_or(0);
        let mut runs = vec![Run { track: 0, base, samples }];
        let end = i128::from(self.base) + i128::from(length);
        let sound = audio.map(|a| {
            let until = end * i128::from(a.scale()) / i128::from(self.second);
            a.take(i64::try_from(until).unwrap_or(i64::MAX))
        });
        if let Some((base, sound)) = &sound {
            self.segment_bytes += sound.iter().map(|(data, _)| data.len()).sum::<usize>();
            let samples = sound.iter().map(|(data, duration)| cmaf::Sample::audio(data, *duration)).collect();
            runs.push(Run { track: 1, base: *base, samples });
        }
        self.sequence = self.sequence.wrapping_add(1).max(1);
        match cmaf::fragment(self.sequence, &runs) {
            Ok(bytes) => self.list(self.duration(length), independent, wall_ms, bytes.into()),
            Err(error) => tracing::warn!("a part was lost: {error}"),
        }
    }

    fn list(&mut self, length: Duration, independent: bool, wall_ms: u64, bytes: Bytes) {
        match self.window.add_part(length, independent, bytes.clone()) {
            Ok(()) => {}
            // The part before was a short one, so that it has to be its segment's last.
            Err(Refused::PartTooShort | Refused::SegmentTooLong) => {
                let length_so_far = self.segment_length;
                self.end_segment();
                let _ = self.window.begin_segment(wall_ms, independent);
                (self.open, self.open_key) = (true, independent);
                if let Err(refused) = self.window.add_part(length, independent, bytes) {
                    tracing::warn!(?length, ?length_so_far, "a part was lost: {refused}");
                }
            }
            Err(refused) => tracing::warn!(?length, "a part was lost: {refused}"),
        }
    }

    fn end_segment(&mut self) {
        let _ = self.window.end_segment();
        self.forget_segment();
    }

    fn forget_segment(&mut self) {
        (self.open, self.segment_length, self.segment_bytes) = (false, 0, 0);
    }
}

#[cfg(test)]
#[path = "cutter_tests.rs"]
mod tests;
