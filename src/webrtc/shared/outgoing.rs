//! One RTP stream to one viewer: its numbers and timestamps, and what they stood for, so
//! that a NACK finds its packet in the ring that all viewers share. Pure.
//!
//! Packets of the ring have consecutive numbers, and so do those of a viewer; the two run
//! side by side but where frames were dropped for this viewer, or replayed. Each such
//! run is a [`Segment`] of 40 bytes, so that a viewer remembers its last [`SEGMENTS`] runs
//! and not thousands of packets.

use std::collections::VecDeque;
use std::time::Duration;

use super::ring::{Ring, Unit};
use super::rtcp;

/// Runs that are remembered. A viewer that loses a frame now and then is asked about the
/// last second only.
pub const SEGMENTS: usize = 32;
/// The longest header that is written: RTP's, and an extension of 9 words (a mid of 16
/// bytes, a playout delay and a time of capture).
pub const HEADER: usize = 12 + 4 + 36;
/// Each frame of so many tells when it was captured, and each key frame: receivers reckon
/// between them.
const STAMPED: u64 = 25;
/// What RTX adds: the original sequence number (RFC 4588 §4).
pub const RTX: usize = 2;

/// How the path's timestamps become those that a viewer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// As they are, moved by the stream's offset.
    Live,
    /// A replay: frame `serial` has `first`, each later one `step` more, moved likewise.
    Replay {
        /// The first frame of the replay.
        serial: u64,
        /// Its timestamp on the path's timeline.
        first: u32,
        /// Between two frames.
        step: u32,
    },
}

impl Clock {
    fn at(self, serial: u64, timestamp: u32) -> u32 {
        match self {
            Clock::Live => timestamp,
            Clock::Replay { serial: from, first, step } => {
                first.wrapping_add(step.wrapping_mul(serial.wrapping_sub(from) as u32))
            }
        }
    }
}

/// A run of packets.
#[derive(Debug, Clone, Copy)]
struct Segment {
    /// The stream's index of its first packet.
    index: u64,
    /// The ring's number of it.
    number: u64,
    packets: u64,
    clock: Clock,
}

/// What a stream is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The SSRC.
    pub ssrc: u32,
    /// The payload type.
    pub payload_type: u8,
}

/// A packet to be sent: where its payload is, and its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Sequence number with roll-overs: what SRTP protects by.
    pub index: u64,
    /// As it is sent.
    pub timestamp: u32,
    /// The last one of its frame.
    pub marker: bool,
    /// When its frame was captured, where the packet tells ([`captured`]).
    pub captured: Option<u64>,
}

/// A header extension with a time of capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Whole words with their header, as that of the other packets, and eight bytes more
    /// for the time.
    pub extension: Box<[u8]>,
    /// Where these are.
    pub at: usize,
    /// The zero of the path's clock, ns since 1970. It stays: a packet that is sent again
    /// has to be the same in every bit (see [`super::srtp::Outbound::protect`]).
    pub epoch: u64,
}

/// When a frame was captured (the path's clock, ns), where a packet is to tell it: the
/// last one of some frames, which is shorter than the others and does not break their run.
/// A frame of sound is a key frame, and one packet: it tells by its number only.
pub fn captured<U: Unit>(unit: &U, serial: u64, last: bool) -> Option<u64> {
    let picture = unit.key() && unit.packets() > 1;
    (last && (picture || serial.is_multiple_of(STAMPED))).then(|| unit.captured())
}

/// See the module.
#[derive(Debug)]
pub struct Outgoing {
    media: Identity,
    rtx: Option<Identity>,
    /// The extension that each packet carries, whole words with their header, or nothing.
    extension: Box<[u8]>,
    /// The one of packets that tell when their frame was captured.
    stamp: Option<Stamp>,
    /// Added to the path's timestamps.
    offset: u32,
    next: u64,
    next_rtx: u64,
    segments: VecDeque<Segment>,
    /// The last timestamp on the path's timeline that was sent.
    last: Option<u32>,
    /// Packets and payload bytes, for sender reports (RFC 3550 §6.4.1).
    sent: (u32, u32),
}

impl Outgoing {
    /// A stream. `start`, `start_rtx` and `offset` are random (RFC 3550 §5.1); an
    /// extension of more than 40 bytes, or not of whole words, is left out.
    pub fn new(
        media: Identity,
        rtx: Option<Identity>,
        (start, start_rtx, offset): (u16, u16, u32),
        extension: &[u8],
    ) -> Self {
        let fits = extension.len() <= HEADER - 12 && extension.len().is_multiple_of(4);
        Outgoing {
            media,
            rtx,
            extension: if fits { extension.into() } else { Box::default() },
            stamp: None,
            offset,
            next: start.into(),
            next_rtx: start_rtx.into(),
            segments: VecDeque::new(),
            last: None,
            sent: (0, 0),
        }
    }

    /// Lets frames tell when they were captured. A stamp that does not fit is left out.
    pub fn stamping(self, stamp: Option<Stamp>) -> Self {
        let fits = |s: &Stamp| {
            let length = s.extension.len();
            length <= HEADER - 12 && length.is_multiple_of(4) && s.at + 8 <= length
        };
        Outgoing { stamp: stamp.filter(fits), ..self }
    }

    /// The SSRC of the media.
    pub fn ssrc(&self) -> u32 {
        self.media.ssrc
    }

    /// The last timestamp of the path that was sent: a replay has to go on behind it.
    pub fn last(&self) -> Option<u32> {
        self.last
    }

    /// Packets and payload bytes sent so far, and the offset of the timestamps: what a
    /// sender report is made of.
    pub fn account(&self) -> (u32, u32, u32) {
        (self.sent.0, self.sent.1, self.offset)
    }

    /// Gives the next packet its numbers: packet `number` of the ring, of frame `serial`
    /// with the path's timestamp `timestamp`, and so many bytes of payload.
    pub fn next(
        &mut self,
        (number, serial): (u64, u64),
        timestamp: u32,
        clock: Clock,
        marker: bool,
        bytes: usize,
    ) -> Header {
        let index = self.next;
        self.next += 1;
        match self.segments.back_mut() {
            Some(s) if s.number + s.packets == number && s.index + s.packets == index && s.clock == clock => {
                s.packets += 1;
            }
            _ => {
                if self.segments.len() == SEGMENTS {
                    self.segments.pop_front();
                }
                self.segments.push_back(Segment { index, number, packets: 1, clock });
            }
        }
        let timestamp = clock.at(serial, timestamp);
        self.last = Some(timestamp);
        self.sent = (self.sent.0.wrapping_add(1), self.sent.1.wrapping_add(bytes as u32));
        Header { index, timestamp: timestamp.wrapping_add(self.offset), marker, captured: None }
    }

    /// The packet that a sequence number of this stream stands for, as it was sent, and
    /// its payload; none where it was never sent, or is not held any more.
    pub fn find<'r, U: Unit>(&self, ring: &'r Ring<U>, sequence: u16) -> Option<(Header, &'r [u8])> {
        // The latest index with this number.
        let last = self.next.checked_sub(1)?;
        let index = last.checked_sub(u64::from((last as u16).wrapping_sub(sequence)))?;
        let segment = self.segments.iter().rev().find(|s| s.index <= index)?;
        let within = index - segment.index;
        if within >= segment.packets {
            return None;
        }
        let (entry, i) = ring.find(segment.number + within)?;
        let timestamp = segment.clock.at(entry.serial, entry.unit.timestamp()).wrapping_add(self.offset);
        let marker = i + 1 == entry.unit.packets();
        let captured = captured(&*entry.unit, entry.serial, marker);
        Some((Header { index, timestamp, marker, captured }, entry.unit.payload(i)?))
    }

    /// Writes a packet of the media as it is sent, the first time or again. Returns its
    /// length; none where `out` is too short.
    pub fn write(&self, header: Header, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        self.put(self.media, header, &[], payload, out)
    }

    /// Writes a retransmission (RFC 4588 §4) and counts it. Returns its length and its
    /// index, which is the RTX stream's own. None where RTX was not negotiated, or where
    /// `out` is too short.
    pub fn write_rtx(&mut self, header: Header, payload: &[u8], out: &mut [u8]) -> Option<(usize, u64)> {
        let rtx = self.rtx?;
        let index = self.next_rtx;
        let original = (header.index as u16).to_be_bytes();
        let length = self.put(rtx, Header { index, ..header }, &original, payload, out)?;
        self.next_rtx += 1;
        Some((length, index))
    }

    /// Whether retransmissions go out as RTX.
    pub fn has_rtx(&self) -> bool {
        self.rtx.is_some()
    }

    fn put(&self, who: Identity, header: Header, original: &[u8], payload: &[u8], out: &mut [u8]) -> Option<usize> {
        let stamp = header.captured.zip(self.stamp.as_ref());
        let extension = stamp.map_or(&self.extension, |(_, s)| &s.extension);
        let start = 12 + extension.len();
        let length = start + original.len() + payload.len();
        let out = out.get_mut(..length)?;
        let (head, body) = out.split_at_mut(start);
        head[0] = 0x80 | if extension.is_empty() { 0 } else { 0x10 };
        head[1] = who.payload_type & 0x7f | if header.marker { 0x80 } else { 0 };
        head[2..4].copy_from_slice(&(header.index as u16).to_be_bytes());
        head[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
        head[8..12].copy_from_slice(&who.ssrc.to_be_bytes());
        head[12..].copy_from_slice(extension);
        if let Some((at, stamp)) = stamp {
            let since_1970 = Duration::from_nanos(stamp.epoch.saturating_add(at));
            let time = head.get_mut(12 + stamp.at..)?.first_chunk_mut()?;
            *time = rtcp::ntp(since_1970).to_be_bytes();
        }
        let (osn, rest) = body.split_at_mut(original.len());
        osn.copy_from_slice(original);
        rest.copy_from_slice(payload);
        Some(length)
    }
}

#[cfg(test)]
mod tests;
