//! The access units of a path into a window of parts and segments. Pure: no clock
//! and no task of its own; the muxer feeds it, and readers ask its window.
//!
//! Time: the leading track (video where there is any) keeps the path's RTP time,
//! moved so that it begins at [`ORIGIN_S`]. Sound is put beside it by the capture
//! time, which the Hub gives for both.

mod changes;
mod lead;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::hls::audio_lane::AudioLane;
use crate::hls::cmaf::decode_time::Unwrap;
use crate::hls::cmaf::{self, Track};
use crate::hls::cutter::{Cut, Cutter, Frame, LONGEST_GOP};
use crate::hls::dates::Dates;
use crate::hls::playlist::{Stream, Window};
use crate::media::aac::AudioSpecificConfig;
use crate::media::codec::{Codec, Kind};
use crate::media::hub::AccessUnit;
use crate::media::nal::{self, Format};
use crate::media::opus;
pub(super) use lead::{Lead, Video, decode_times, lead_video};
use lead::{lead_aac, lead_opus};

/// Units a second of video in RTP and MP4.
pub(super) const VIDEO: u32 = 90_000;
/// Units a second of Opus in RTP and MP4.
const OPUS: u32 = 48_000;
/// Where the time line begins, seconds: decode times of B-frames lie before the first
/// presentation, sound may, and none is negative.
pub(super) const ORIGIN_S: i64 = 10;
/// A longer hole is no lost frame, milliseconds; frames of less than so many a second
/// may be as many frames apart.
pub(super) const HOLE_MS: i64 = 1_000;
const HOLE_FRAMES: i64 = 8;

/// What is known of the path beforehand.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The most frames from one key frame to the next that it has seen.
    pub gop: Option<u32>,
    /// What a frame lasted on average of late, ticks.
    pub period: Option<u32>,
    /// Frames per second, as the source says.
    pub fps: Option<f64>,
    /// AudioSpecificConfig of the sound, where it is AAC: as it comes, or by
    /// [`Segmenter::push_aac`].
    pub aac: Option<Vec<u8>>,
}

/// Why a segmenter ended: a new one, with names of its own, goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The frame rate is another one, and cannot be told.
    FrameRate,
    /// The stream cannot be carried: a sentence.
    Unfit(String),
}

/// See the module.
#[derive(Debug)]
pub struct Segmenter {
    known: Known,
    tracks: Vec<Track>,
    cutter: Cutter,
    video: Option<Video>,
    audio: Option<AudioLane>,
    unwrap: Unwrap,
    /// AAC comes with the path's units.
    aac_comes: bool,
    /// Units of the leading track in a second, and ticks of the timestamps that it is
    /// placed by.
    scale: u32,
    ticks: u32,
    /// From the path's RTP time to the time line, units.
    shift: Option<i64>,
    /// One moment on both clocks: capture (ns) and time line (units).
    anchor: Option<(u64, i64)>,
    epoch: u64,
    keys: u32,
    /// Frames since the last key frame.
    since_key: u32,
    /// When the frames since the rate went astray are decoded, units.
    recent: VecDeque<i64>,
    dates: Dates,
}

pub(super) fn payloads(unit: &AccessUnit) -> impl Iterator<Item = &[u8]> + Clone {
    unit.payloads().map(|(p, _)| p)
}

pub(super) fn unfit(what: impl std::fmt::Display) -> Ended {
    Ended::Unfit(what.to_string())
}

/// A moment of the leading track.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// In ticks of its clock, may wrap around.
    timestamp: u32,
    /// Capture time, ns.
    pts_ns: u64,
    epoch: u64,
}

impl Moment {
    fn of(unit: &AccessUnit) -> Self {
        Moment { timestamp: unit.timestamp, pts_ns: unit.pts_ns, epoch: unit.epoch }
    }
}

/// `H264 and AAC`, as people know codecs.
fn names(codecs: &[Codec]) -> String {
    let names: Vec<&str> = codecs.iter().map(Codec::label).collect();
    if names.is_empty() { "no track".into() } else { names.join(" and ") }
}

impl Segmenter {
    /// Begins with the units since the last key frame, which are to be pushed
    /// afterwards. `Ok(None)`: it takes some more units to know how to begin. `clock`: see
    /// [`Segmenter::set_clock`].
    pub fn begin(
        cut: Cut,
        known: Known,
        codecs: &[Codec],
        units: &[Arc<AccessUnit>],
        clock: i64,
    ) -> Result<Option<Self>, Ended> {
        let video = codecs.iter().find_map(Format::of);
        let opus = codecs.iter().find_map(|c| if let Codec::Opus { channels } = c { Some(*channels) } else { None });
        let lead = match (video, &known.aac, opus) {
            (Some(format), _, _) => lead_video(format, &known, units)?,
            (None, Some(config), _) => Some(lead_aac(config)?),
            (None, None, Some(channels)) => lead_opus(channels, units),
            (None, None, None) => return Err(unfit(format_args!("it has {}", names(codecs)))),
        };
        let Some(Lead { video, track, period, scale }) = lead else { return Ok(None) };
        let (mut tracks, has_video) = (vec![track], video.is_some());
        if has_video {
            tracks.extend(match (&known.aac, opus) {
                (Some(config), _) => Some(Track::Aac { config: config.clone() }),
                (None, Some(channels)) => Some(Track::Opus { channels }),
                (None, None) => None,
            });
        }
        let audio = match tracks.get(1) {
            Some(track) => Some(AudioLane::new(track.timescale().map_err(unfit)?, track.silence())),
            None => None,
        };
        let map = cmaf::init(&tracks).map_err(unfit)?;
        let cutter = Cutter::new(cut, period, scale, map);
        Ok(Some(Segmenter {
            known,
            tracks,
            cutter,
            video,
            audio,
            unwrap: Unwrap::default(),
            aac_comes: codecs.iter().any(|c| matches!(c, Codec::Aac { .. })),
            scale,
            ticks: if opus.is_some() && !has_video { OPUS } else { VIDEO },
            shift: None,
            anchor: None,
            epoch: 0,
            keys: 0,
            since_key: 0,
            recent: VecDeque::new(),
            dates: Dates::new(clock),
        }))
    }

    /// What readers ask.
    pub fn window(&self) -> &Window<Bytes> {
        self.cutter.window()
    }

    /// All that was cached is pushed: a path that has run for a while can be played at
    /// once, as players begin with nothing less than a whole segment (hls.js 1.7 takes
    /// parts alone for an empty playlist).
    pub fn caught_up(&mut self) {
        if self.known.gop.is_some() && self.window().segments() == 0 {
            self.cutter.cut_here(self.audio.as_mut());
        }
    }

    /// The stream for the multivariant playlist; `uri` is its media playlist.
    pub fn stream(&self, uri: String) -> Stream {
        let sps = self.tracks.iter().find_map(Track::sps);
        let rates = self.window().bit_rates();
        Stream {
            uri,
            bandwidth: rates.map_or(0, |r| r.0),
            average_bandwidth: rates.map(|r| r.1),
            codecs: self.tracks.iter().filter_map(|t| t.codec_string().ok()).collect(),
            resolution: sps.as_ref().map(|s| (s.width, s.height)),
            frame_rate: sps.map(|_| self.cutter.rate()),
        }
    }

    /// The clock that dates are told by from the next frame on: what is to be added to
    /// [`AccessUnit::pts_ns`] for nanoseconds since 1970. One that leaps takes effect behind a
    /// discontinuity, with the next key frame.
    pub fn set_clock(&mut self, clock: i64) {
        self.dates.set_clock(clock);
    }

    /// Counts the media playlists: with each another name ([`Cutter::generation`]).
    pub fn generation(&self) -> u32 {
        self.cutter.generation()
    }

    /// Takes the next unit of the path.
    pub fn push(&mut self, unit: &AccessUnit) -> Result<(), Ended> {
        match (unit.kind, self.video.is_some()) {
            (Kind::Video, true) => self.push_video(unit),
            (Kind::Audio, _) if self.known.aac.is_some() => {
                let Some(data) = payloads(unit).next().filter(|_| self.aac_comes) else { return Ok(()) };
                self.push_aac(unit.pts_ns, unit.epoch, Bytes::copy_from_slice(data))
            }
            (Kind::Audio, false) => {
                let Some(data) = payloads(unit).next() else { return Ok(()) };
                let moment = Moment::of(unit);
                let time = self.place(moment, true, false);
                self.note(time);
                let time = self.retime(moment.pts_ns, time)?;
                self.cut(moment.pts_ns, Bytes::copy_from_slice(data), time, 0, true, false)
            }
            (Kind::Audio, true) => {
                let Some(data) = payloads(unit).next() else { return Ok(()) };
                let samples = opus::samples(data).unwrap_or(960);
                self.sound(unit.pts_ns, Bytes::copy_from_slice(data), samples);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes a frame of AAC, captured at `pts_ns` (CLOCK_MONOTONIC), made of what came
    /// in this `epoch`.
    pub fn push_aac(&mut self, pts_ns: u64, epoch: u64, data: Bytes) -> Result<(), Ended> {
        let config = self.known.aac.as_deref().and_then(AudioSpecificConfig::parse);
        if self.video.is_some() {
            self.sound(pts_ns, data, config.map_or(1_024, |c| c.frame));
            return Ok(());
        }
        // It has no RTP time: its capture time tells where it belongs.
        let timestamp = (u128::from(pts_ns) * u128::from(self.ticks) / 1_000_000_000) as u32;
        let time = self.place(Moment { timestamp, pts_ns, epoch }, true, false);
        self.note(time);
        let time = self.retime(pts_ns, time)?;
        self.cut(pts_ns, data, time, 0, true, false)
    }

    fn sound(&mut self, pts_ns: u64, data: Bytes, samples: u32) {
        // Before the first picture there is no place for it.
        let (Some((ns, time)), Some(lane)) = (self.anchor, &mut self.audio) else { return };
        let scale = i128::from(lane.scale());
        let lead = i128::from(time) * scale / i128::from(self.scale);
        let after = (i128::from(pts_ns) - i128::from(ns)) * scale / 1_000_000_000;
        lane.push(data, i64::try_from(lead + after).unwrap_or(0), samples);
    }

    fn push_video(&mut self, unit: &AccessUnit) -> Result<(), Ended> {
        let Some(video) = &mut self.video else { return Ok(()) };
        let s = nal::depacketise(video.format, payloads(unit));
        if s.data.is_empty() || (s.rasl && video.opening) {
            return Ok(());
        }
        // A GOP may open with a picture that is no IDR, behind parameter sets.
        let key = s.sync || unit.key;
        if key {
            video.opening = self.keys == 0;
        }
        let mut map = None;
        if key && video.sets.take(&s.sets) {
            let track = Track::Video { format: video.format, sets: video.sets.all().clone() };
            video.depth = track.sps().and_then(|s| s.reorder).unwrap_or(video.depth);
            if let Some(first) = self.tracks.first_mut() {
                *first = track;
            }
            map = Some(cmaf::init(&self.tracks).map_err(unfit)?);
        }
        let mut data = video.sets.in_band(&s.sets);
        let data = if data.is_empty() {
            s.data
        } else {
            data.extend_from_slice(&s.data);
            data
        };
        let fresh = map.is_some();
        let mut time = self.place(Moment::of(unit), key, fresh);
        if let Some(map) = map {
            time = self.breaks(unit.pts_ns, time, Some(map));
        }
        if key {
            time = self.retime(unit.pts_ns, time)?;
        }
        let Some(video) = &mut self.video else { return Ok(()) };
        let d = video.times.push(time);
        self.note(d.dts);
        if key {
            self.keys += 1;
            if self.since_key > 0 {
                // The first playlist can go out with the second one.
                self.known.gop = self.known.gop.max(Some(self.since_key));
            }
            self.since_key = 1;
        } else if self.since_key > 0 {
            self.since_key += 1;
        }
        self.cut(unit.pts_ns, data.into(), d.dts, d.offset, key, s.disposable)
    }

    /// Where a unit of the leading track belongs, units. What does not continue the
    /// last one breaks the stream (`ours`: the caller is about to do that).
    fn place(&mut self, unit: Moment, key: bool, ours: bool) -> i64 {
        let count = self.unwrap.push(unit.timestamp) * i64::from(self.scale) / i64::from(self.ticks);
        let mut time = match self.shift {
            Some(shift) => count + shift,
            None => {
                self.epoch = unit.epoch;
                let origin = ORIGIN_S * i64::from(self.scale);
                self.shift = Some(origin - count);
                origin
            }
        };
        let mut breaks = false;
        if let Some(expected) = self.cutter.expected() {
            let hole = HOLE_MS * i64::from(self.scale) / 1_000;
            let hole = hole.max(HOLE_FRAMES * i64::from(self.cutter.rate().1) / 1_000);
            // At another rate the line falls behind until that is noticed: no hole is there.
            let apart = self.anchor.is_none_or(|(_, last)| time > last + hole);
            // A reordered frame is some frames behind what is expected, at most.
            let back = time < expected - hole;
            if back {
                // Time never goes back for a player.
                self.shift = self.shift.map(|s| s + expected - time);
                time = expected;
            }
            let leaps = key && self.dates.leap();
            breaks = back || (apart && time > expected + hole) || unit.epoch != self.epoch || leaps;
        }
        self.epoch = unit.epoch;
        self.anchor = Some((unit.pts_ns, time));
        if breaks && !ours { self.breaks(unit.pts_ns, time, None) } else { time }
    }

    /// A discontinuity before a unit that belongs at `time`; gives where it belongs now.
    fn breaks(&mut self, pts_ns: u64, time: i64, map: Option<Vec<u8>>) -> i64 {
        let (time, first) = self.begins_anew(pts_ns, time, i64::from(self.cutter.rate().1));
        self.since_key = 0;
        self.cutter.breaks(first, map, self.audio.as_mut());
        if let Some(audio) = &mut self.audio {
            audio.breaks();
        }
        time
    }

    fn cut(
        &mut self,
        pts_ns: u64,
        data: Bytes,
        dts: i64,
        offset: i64,
        key: bool,
        disposable: bool,
    ) -> Result<(), Ended> {
        let wall_ms = self.dates.of(pts_ns);
        let frame = Frame { data, dts, offset, key, disposable, wall_ms };
        self.cutter.push(frame, self.audio.as_mut());
        let frames = if self.video.is_none() { Some(1) } else { self.known.gop };
        if let Some(frames) = frames {
            self.cutter.open_for(frames);
        } else if self.cutter.length() >= LONGEST_GOP {
            // Without a second key frame the first playlist goes out all the same.
            self.cutter.open(LONGEST_GOP);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "segmenter_tests.rs"]
mod tests;
