//! What a media thread is about to send: all packets of a wake-up in one piece of memory
//! that is used again and again. Pure.

use std::ops::Range;

use super::ice::Route;

/// Most packets of one message of UDP_SEGMENT, and most bytes (the kernel's
/// UDP_MAX_SEGMENTS before 6.9, and the 16 bits of an IP length without headers).
pub const SEGMENTS: usize = 64;
/// See [`SEGMENTS`].
pub const BYTES: usize = 65_000;
/// Most bytes of a batch: then it has to be sent before more is put in.
pub const FULL: usize = 512 * 1024;

/// One message for the kernel: packets of one size to one peer, the last one perhaps
/// shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Where to.
    pub route: Route,
    /// Which bytes of the arena.
    pub bytes: Range<usize>,
    /// The size of each packet.
    pub segment: usize,
    /// How many there are.
    pub packets: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Batch {
    arena: Vec<u8>,
    runs: Vec<Run>,
    /// Bytes of the arena that are in use.
    used: usize,
    packets: usize,
}

impl Batch {
    /// An empty batch; it grows to what is needed, and keeps it.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Puts a packet in: `fill` gets `room` bytes and says how many it has used; none: no
    /// packet. True where there was one.
    ///
    /// Packets of one peer that follow each other, and are of one size, become one
    /// message; so does a last one that is shorter.
    pub fn put(&mut self, route: Route, room: usize, fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        let start = self.used;
        if self.arena.len() < start + room {
            self.arena.resize((start + room).next_power_of_two(), 0);
        }
        let Some(length) = self.arena.get_mut(start..start + room).and_then(fill).filter(|n| (1..=room).contains(n))
        else {
            return false;
        };
        self.used = start + length;
        self.packets += 1;
        match self.runs.last_mut() {
            Some(run)
                if run.route == route
                    && run.bytes.end == start
                    && run.bytes.len() == run.segment * run.packets
                    && length <= run.segment
                    && run.packets < SEGMENTS
                    && run.bytes.len() + length <= BYTES =>
            {
                run.bytes.end += length;
                run.packets += 1;
            }
            _ => self.runs.push(Run { route, bytes: start..start + length, segment: length, packets: 1 }),
        }
        true
    }

    /// The messages, in order, each with its bytes.
    pub fn runs(&self) -> impl Iterator<Item = (&Run, &[u8])> {
        self.runs.iter().filter_map(|r| Some((r, self.arena.get(r.bytes.clone())?)))
    }

    /// Each packet by itself, for a kernel without UDP_SEGMENT, and for TCP.
    pub fn packets(&self) -> impl Iterator<Item = (Route, &[u8])> {
        self.runs().flat_map(|(run, bytes)| bytes.chunks(run.segment.max(1)).map(|p| (run.route, p)))
    }

    /// Forgets what was sent; the memory stays.
    pub fn clear(&mut self) {
        self.runs.clear();
        (self.used, self.packets) = (0, 0);
    }

    /// Whether it has to be sent now.
    pub fn full(&self) -> bool {
        self.used >= FULL
    }

    /// Bytes in it.
    pub fn bytes(&self) -> usize {
        self.used
    }

    /// Packets in it.
    pub fn len(&self) -> usize {
        self.packets
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }
}

#[cfg(test)]
mod tests;
