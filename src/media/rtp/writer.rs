//! Puts NAL units into the packets of a frame: none larger than viewers can take, small
//! ones together. Pure.

use super::units::{self, Shape};
use super::{Frame, MAX_FRAME, MAX_PAYLOAD, Span};
use crate::media::nal::Format;

/// Writes one frame after the other.
#[derive(Debug, Default)]
pub struct Writer {
    frame: Frame,
    /// The fragmented unit that is being written.
    open: Option<Open>,
    /// What the last packet is, if something may join it.
    tail: Option<Tail>,
    /// The frame is larger than any picture.
    overflow: bool,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    /// Its first packet.
    packet: usize,
    /// Its fragments are too large: they are cut anew, each as large as may be.
    anew: bool,
    /// Bytes in front of each fragment, with the FU header.
    header: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    Whole,
    Aggregate,
}

impl Writer {
    /// Whether there is nothing yet.
    pub fn is_empty(&self) -> bool {
        self.frame.packets.is_empty()
    }

    /// Whether a unit is being written.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Room for as much as the last frame had.
    pub fn reserve(&mut self, bytes: usize) {
        self.frame.data.reserve(bytes);
    }

    /// The frame, or none if it was too large; a unit without an end is left out.
    pub fn take(&mut self) -> Option<Frame> {
        self.abandon();
        self.tail = None;
        let frame = std::mem::take(&mut self.frame);
        (!std::mem::take(&mut self.overflow)).then_some(frame)
    }

    /// Forgets what there is of the unit that is being written.
    pub fn abandon(&mut self) {
        if let Some(open) = self.open.take() {
            let start = self.frame.packets.get(open.packet).map_or(self.frame.data.len(), |p| p.start as usize);
            self.frame.packets.truncate(open.packet);
            self.frame.data.truncate(start);
            self.tail = None;
        }
    }

    /// Everything of a finished frame, behind what there is.
    pub fn append(&mut self, other: &Frame) {
        let shift = self.frame.data.len() as u32;
        self.frame.data.extend_from_slice(&other.data);
        self.frame.packets.extend(other.packets.iter().map(|s| Span { start: s.start + shift, len: s.len }));
        self.tail = None;
    }

    /// A payload as it came. Not for video.
    pub fn raw(&mut self, payload: &[u8]) {
        if !payload.is_empty() {
            self.packet(&[payload]);
        }
    }

    /// A whole NAL unit.
    pub fn whole(&mut self, format: Format, unit: &[u8]) {
        self.abandon();
        let header = units::header(format);
        if unit.len() <= header {
            return;
        }
        if unit.len() > MAX_PAYLOAD {
            let (head, body) = unit.split_at(header);
            let kind = units::kind(format, head.first().copied().unwrap_or_default());
            let head = units::fragment_header(format, head);
            self.begin(&head, true);
            self.pour(&head, kind, body, true);
            return self.end();
        }
        if !self.join(format, unit) {
            self.packet(&[unit]);
            self.tail = Some(Tail::Whole);
        }
    }

    /// A fragment: untouched where it fits.
    pub fn fragment(&mut self, format: Format, payload: &[u8]) {
        let Shape::Fragment { kind, first, last, body } = units::shape(format, payload) else { return };
        let Some(head) = payload.get(..units::header(format)) else { return };
        if first {
            self.abandon();
            self.begin(head, payload.len() > MAX_PAYLOAD);
        }
        // What came before is lost: decoders take a torn unit for a whole one.
        let Some(open) = self.open else { return };
        if open.anew || payload.len() > MAX_PAYLOAD {
            self.pour(head, kind, body, first);
            self.open = Some(Open { anew: true, ..open });
        } else {
            self.packet(&[payload]);
        }
        if last {
            self.end();
        }
    }

    fn begin(&mut self, head: &[u8], anew: bool) {
        self.tail = None;
        self.open = Some(Open { packet: self.frame.packets.len(), anew, header: head.len() + 1 });
    }

    /// More of the unit that is being written: fills the last packet, and makes more.
    fn pour(&mut self, head: &[u8], kind: u8, mut body: &[u8], first: bool) {
        let mut start = first;
        if !first && let Some(last) = self.frame.packets.last_mut() {
            let (now, rest) = body.split_at(body.len().min(MAX_PAYLOAD.saturating_sub(last.len as usize)));
            self.frame.data.extend_from_slice(now);
            last.len += now.len() as u32;
            body = rest;
        }
        for piece in body.chunks(MAX_PAYLOAD - head.len() - 1) {
            self.packet(&[head, &[kind | if start { 0x80 } else { 0 }], piece]);
            start = false;
        }
    }

    /// The unit that is being written is whole.
    fn end(&mut self) {
        let Some(open) = self.open.take() else { return };
        // The bit may be set already, where the fragment came as it is.
        if let Some(last) = self.frame.packets.last()
            && let Some(fu) = self.frame.data.get_mut(last.start as usize + open.header - 1)
        {
            *fu |= 0x40;
        }
    }

    /// Puts a small unit into the last packet, if it may and fits.
    fn join(&mut self, format: Format, unit: &[u8]) -> bool {
        let header = units::header(format);
        let (Some(tail), Some(last)) = (self.tail, self.frame.packets.last().copied()) else { return false };
        let start = last.start as usize;
        let front = if tail == Tail::Whole { header + 2 } else { 0 };
        if last.len as usize + front + 2 + unit.len() > MAX_PAYLOAD {
            return false;
        }
        let Some(both) = units::aggregate_header(format, self.frame.data.get(start..).unwrap_or_default(), unit) else {
            return false;
        };
        let both = both.get(..header).unwrap_or_default();
        if tail == Tail::Whole {
            let size = (last.len as u16).to_be_bytes();
            self.frame.data.splice(start..start, both.iter().copied().chain(size));
        } else if let Some(old) = self.frame.data.get_mut(start..start + header) {
            old.copy_from_slice(both);
        }
        self.frame.data.extend_from_slice(&(unit.len() as u16).to_be_bytes());
        self.frame.data.extend_from_slice(unit);
        if let Some(last) = self.frame.packets.last_mut() {
            last.len = (self.frame.data.len() - start) as u32;
        }
        self.tail = Some(Tail::Aggregate);
        true
    }

    fn packet(&mut self, parts: &[&[u8]]) {
        let len: usize = parts.iter().map(|p| p.len()).sum();
        if self.overflow || self.frame.data.len() + len > MAX_FRAME {
            self.overflow = true;
            (self.open, self.tail, self.frame) = (None, None, Frame::default());
            return;
        }
        self.frame.packets.push(Span { start: self.frame.data.len() as u32, len: len as u32 });
        parts.iter().for_each(|p| self.frame.data.extend_from_slice(p));
    }
}
