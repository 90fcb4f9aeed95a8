//! Packets into frames. Pure.
//!
//! A source may send packets of its own making or a camera's: a frame is ended by its
//! marker, or by the next timestamp where the marker is lost or stands on every slice (some
//! cameras with several slices a picture: theirs leave one picture late); what is no picture
//! (parameter sets that come under a timestamp or a marker of their own) waits for the
//! picture. Each key frame leaves with its parameter sets in front.

use super::units::{self, Shape};
use super::writer::Writer;
use super::{Frame, MAX_FRAME, Packet};
use crate::media::codec::Codec;
use crate::media::nal::{Format, MAX_SETS, ParameterSets};

/// A packet that is behind by less than this is late, or came twice; by more, the sender has
/// begun to count anew.
const LATE: i16 = 100;

/// Puts packets together into frames.
#[derive(Debug, Default)]
pub struct Assembler {
    writer: Writer,
    /// The timestamp of the packets in it, and the capture time.
    timestamp: u32,
    pts_ns: u64,
    /// A slice has begun; one is whole; one of a key frame.
    begun: bool,
    picture: bool,
    key: bool,
    /// Packets were lost since the last picture that began as it should.
    gap: bool,
    /// So were packets of this picture.
    torn: bool,
    /// The timestamp of the last frame that its marker ended.
    ended: Option<u32>,
    /// The camera marks every slice, not every picture: the next timestamp ends a picture.
    marks_slices: bool,
    /// These are the other slices of the picture by which that was found: it is out already,
    /// and where it was a key frame nobody may begin with these.
    rest: bool,
    /// A fragmented unit that is no slice: it may be several ([`units::split`]).
    side: Option<Vec<u8>>,
    /// The parameter sets in it, and those of the last key frame.
    seen: ParameterSets,
    sets: ParameterSets,
    /// The SPS that was told last.
    told: Option<Vec<u8>>,
    /// The next sequence number.
    expected: Option<u16>,
    /// Bytes of the last frame: the next one is of about that size.
    hint: usize,
    /// Frames thrown away because they were too large.
    pub oversize: u64,
}

impl Assembler {
    /// Parameter sets from elsewhere (the SDP), for a source that does not send them
    /// in its stream.
    pub fn learn(&mut self, sets: ParameterSets) {
        self.sets = sets;
    }

    /// Takes one packet. `done` gets the frame that it ends, and the sequence parameter
    /// set that it begins with, where that is another one than before. Audio (`codec`
    /// not a video codec) is a frame per packet.
    pub fn push(&mut self, codec: &Codec, packet: Packet<'_>, pts_ns: u64, mut done: impl FnMut(Frame, Option<&[u8]>)) {
        let Some(format) = Format::of(codec) else {
            self.writer.raw(packet.payload);
            (self.timestamp, self.pts_ns) = (packet.timestamp, pts_ns);
            (self.picture, self.key) = (!packet.payload.is_empty(), true);
            return self.finish(None, &mut done);
        };
        let ahead = self.expected.map_or(0, |e| packet.sequence.wrapping_sub(e) as i16);
        if (-LATE..0).contains(&ahead) {
            // Come twice, or too late: what it belonged to is gone.
            return;
        }
        self.expected = Some(packet.sequence.wrapping_add(1));
        if ahead != 0 {
            self.lost(format);
        }
        // Without markers, parameter sets say where a picture begins, too: they may come under
        // the timestamp of the one before.
        let begins = self.marks_slices && units::leads_with_sets(format, packet.payload);
        if self.begun && (begins || self.timestamp != packet.timestamp) {
            self.finish(Some(format), &mut done);
        }
        if self.writer.is_empty() {
            self.writer.reserve(self.hint.max(packet.payload.len()));
        }
        if !self.begun {
            (self.timestamp, self.pts_ns) = (packet.timestamp, pts_ns);
        }
        match units::shape(format, packet.payload) {
            Shape::Whole => self.unit(format, packet.payload),
            Shape::Aggregate(rest) => units::aggregated(rest).for_each(|unit| self.unit(format, unit)),
            Shape::Fragment { kind, first, last, body } if !units::is_slice(format, kind) => {
                let head = units::whole_header(format, packet.payload, kind);
                let head = head.get(..units::header(format)).unwrap_or_default();
                self.aside(format, (head, body), first, last);
            }
            Shape::Fragment { kind, first, last, body } => {
                if first {
                    self.begins(body);
                }
                let whole = last && (first || self.writer.is_open());
                self.writer.fragment(format, packet.payload);
                self.begun |= first && units::is_slice(format, kind);
                if whole {
                    self.slice(format, kind);
                }
            }
            Shape::Unknown => {}
        }
        if packet.marker && self.begun && !self.marks_slices {
            self.ended = Some(self.timestamp);
            self.finish(Some(format), &mut done);
        }
    }

    /// Packets are missing: a unit with a hole is worse than none, and parameter sets whose
    /// picture is lost do not belong to the next one.
    fn lost(&mut self, format: Format) {
        self.writer.abandon();
        (self.gap, self.side) = (true, None);
        self.torn |= self.begun;
        if !self.begun {
            let _ = self.writer.take();
            self.keep(format);
        }
    }

    /// A slice begins.
    fn begins(&mut self, body: &[u8]) {
        if self.begun || units::is_first(body) {
            self.gap &= self.begun;
            return;
        }
        self.torn |= self.gap;
        // More of a picture whose last packet is said to have come, and nothing was lost.
        if !self.gap && self.ended == Some(self.timestamp) {
            (self.marks_slices, self.rest) = (true, true);
        }
    }

    /// A piece of a unit that is no slice.
    fn aside(&mut self, format: Format, (head, body): (&[u8], &[u8]), first: bool, last: bool) {
        if first {
            self.writer.abandon();
            self.side = Some(head.to_vec());
        }
        let Some(mut side) = self.side.take().filter(|s| s.len() + body.len() <= MAX_FRAME) else { return };
        side.extend_from_slice(body);
        match last {
            true => self.unit(format, &side),
            false => self.side = Some(side),
        }
    }

    /// A whole NAL unit, or several in the place of one that is no slice.
    fn unit(&mut self, format: Format, unit: &[u8]) {
        let kind = units::kind(format, unit.first().copied().unwrap_or_default());
        match units::is_slice(format, kind) {
            true => self.one(format, unit),
            false => units::split(unit).for_each(|unit| self.one(format, unit)),
        }
    }

    fn one(&mut self, format: Format, unit: &[u8]) {
        let kind = units::kind(format, unit.first().copied().unwrap_or_default());
        let Some(body) = unit.get(units::header(format)..).filter(|body| !body.is_empty()) else { return };
        let sets = match (format, kind) {
            (Format::H264, 7) | (Format::H265, 33) => Some(&mut self.seen.sps),
            (Format::H264, 8) | (Format::H265, 34) => Some(&mut self.seen.pps),
            (Format::H265, 32) => Some(&mut self.seen.vps),
            _ => None,
        };
        if let Some(sets) = sets {
            // Once is enough, and what is too many is no camera's.
            if sets.iter().any(|s| s == unit) || sets.len() >= MAX_SETS {
                return;
            }
            sets.push(unit.to_vec());
        }
        if units::is_slice(format, kind) {
            self.begins(body);
        }
        if !units::is_ballast(format, kind) {
            self.writer.whole(format, unit);
            self.slice(format, kind);
        }
    }

    fn slice(&mut self, format: Format, kind: u8) {
        self.picture |= units::is_slice(format, kind);
        self.begun |= self.picture;
        self.key |= units::is_key(format, kind);
    }

    fn finish(&mut self, format: Option<Format>, done: &mut impl FnMut(Frame, Option<&[u8]>)) {
        let rest = std::mem::take(&mut self.rest);
        let (key, picture) = (std::mem::take(&mut self.key) && !rest, std::mem::take(&mut self.picture));
        let torn = std::mem::take(&mut self.torn);
        self.begun = false;
        let frame = self.writer.take();
        self.oversize += u64::from(frame.is_none());
        let (sps, all) = format.map_or((false, false), |format| self.keep(format));
        // All slices may have been torn. And nobody may begin with a picture that is not
        // whole.
        let whole = |f: &Frame| picture && !f.packets.is_empty() && !(torn && key && format.is_some());
        let Some(mut frame) = frame.filter(whole) else { return };
        self.hint = frame.data.len();
        frame.key = key;
        let mut renewed = None;
        if let Some(format) = format {
            if key && !all {
                frame = self.with_sets(format, &frame);
            }
            // Also a picture that is no key frame may be one to start at, if it brings what
            // a key frame would bring (periodic intra refresh).
            frame.key = (key || (sps && !torn)) && self.sets.complete(format);
            if frame.key
                && let Some(first) = self.sets.sps.first().filter(|first| self.told.as_ref() != Some(first))
            {
                self.told = Some(first.clone());
                renewed = self.told.as_deref();
            }
        }
        (frame.timestamp, frame.pts_ns) = (self.timestamp, self.pts_ns);
        done(frame, renewed);
    }

    /// The parameter sets of this frame are those of the next ones. Whether it has an SPS, and
    /// whether it has all that a decoder needs.
    fn keep(&mut self, format: Format) -> (bool, bool) {
        let sps = !self.seen.sps.is_empty();
        let all = self.seen.complete(format);
        let seen = &mut self.seen;
        for (seen, kept) in [
            (&mut seen.vps, &mut self.sets.vps),
            (&mut seen.sps, &mut self.sets.sps),
            (&mut seen.pps, &mut self.sets.pps),
        ] {
            if !seen.is_empty() {
                std::mem::swap(kept, seen);
                seen.clear();
            }
        }
        (sps, all)
    }

    /// The frame with the parameter sets in front of it.
    fn with_sets(&mut self, format: Format, frame: &Frame) -> Frame {
        let mut writer = Writer::default();
        let sets = self.sets.vps.iter().chain(&self.sets.sps).chain(&self.sets.pps);
        sets.for_each(|set| writer.whole(format, set));
        writer.append(frame);
        writer.take().unwrap_or_default()
    }
}
