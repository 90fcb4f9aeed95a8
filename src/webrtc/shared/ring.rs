//! The packets of one rendition, once for all viewers of a media thread: what a new
//! viewer starts with, and what a NACK is answered from. Pure.
//!
//! Frames are held as the Hub made them (an `Arc` each, no copy); every packet has a
//! number that only counts up, and each viewer knows which of its sequence numbers stand
//! for which ones. A thread has a ring of its own, so that nothing here is locked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the ring must know of a frame.
pub trait Unit {
    /// How many packets it has; not 0.
    fn packets(&self) -> usize;
    /// The payload of packet `i`.
    fn payload(&self, i: usize) -> Option<&[u8]>;
    /// Whether decoding can start here.
    fn key(&self) -> bool;
    /// The path's RTP timestamp.
    fn timestamp(&self) -> u32;
    /// Payload bytes in all.
    fn bytes(&self) -> usize;
    /// When it was captured, on the path's clock (CLOCK_MONOTONIC), ns.
    fn captured(&self) -> u64;
}

/// The bounds of a [`Ring`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// Most bytes held.
    pub bytes: usize,
    /// Most frames held.
    pub units: usize,
    /// Frames before the last key frame are held so long: as long as a receiver asks
    /// again for what it misses.
    pub age: Duration,
}

impl Default for Cap {
    fn default() -> Self {
        // As much as the Hub keeps; libwebrtc's receivers give up a packet after a second.
        Cap { bytes: 4 * 1024 * 1024, units: 1_000, age: Duration::from_secs(2) }
    }
}

/// One frame, and where it stands.
#[derive(Debug)]
pub struct Entry<U> {
    /// The frame.
    pub unit: Arc<U>,
    /// The number of its first packet.
    pub first: u64,
    /// Counts frames.
    pub serial: u64,
    at: Instant,
}

impl<U> Clone for Entry<U> {
    fn clone(&self) -> Self {
        Entry { unit: self.unit.clone(), ..*self }
    }
}

/// What a viewer starts with.
#[derive(Debug)]
pub struct Start<'a, U> {
    /// Frames, the first one a key frame; none where there is no key frame yet.
    pub entries: std::collections::vec_deque::Iter<'a, Entry<U>>,
    /// Whether the next frame continues them. If not, the viewer shows the key frame as a
    /// still and goes on with the next one.
    pub continuous: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Ring<U> {
    cap: Cap,
    entries: VecDeque<Entry<U>>,
    bytes: usize,
    /// Of the next packet, and of the next frame.
    next: (u64, u64),
    /// The last key frame, in a list of its own: it may outlive what follows it.
    key: VecDeque<Entry<U>>,
    /// Frames came that this ring did not get: what it has is of no use to begin with.
    broken: bool,
}

impl<U: Unit> Ring<U> {
    /// An empty ring.
    pub fn new(cap: Cap) -> Self {
        Ring { cap, entries: VecDeque::new(), bytes: 0, next: (0, 0), key: VecDeque::new(), broken: false }
    }

    /// Takes the next frame, and drops what is too old or too much. Returns where the
    /// frame stands.
    pub fn push(&mut self, unit: Arc<U>, now: Instant) -> Entry<U> {
        let (first, serial) = self.next;
        self.next = (first + unit.packets() as u64, serial + 1);
        self.bytes += unit.bytes();
        let entry = Entry { unit, first, serial, at: now };
        if entry.unit.key() {
            self.key.clear();
            self.key.push_back(entry.clone());
            self.broken = false;
        }
        self.entries.push_back(entry.clone());
        self.trim(now);
        entry
    }

    fn trim(&mut self, now: Instant) {
        let start = self.key.front().map_or(u64::MAX, |k| k.serial);
        while let Some(front) = self.entries.front() {
            let old = now.saturating_duration_since(front.at) > self.cap.age && (front.serial < start || self.broken);
            if !old && self.bytes <= self.cap.bytes && self.entries.len() <= self.cap.units {
                return;
            }
            self.bytes -= front.unit.bytes();
            self.entries.pop_front();
        }
    }

    /// The stream was interrupted (the source changed, frames were dropped): nobody can
    /// begin before the next key frame. What was sent stays, for NACKs.
    pub fn interrupt(&mut self) {
        self.broken = true;
        self.key.clear();
    }

    /// What a viewer that joins now starts with.
    pub fn start(&self) -> Start<'_, U> {
        let Some(key) = self.key.front() else {
            return Start { entries: self.key.iter(), continuous: false };
        };
        // Serial numbers are consecutive.
        let front = self.entries.front().map_or(u64::MAX, |e| e.serial);
        match key.serial.checked_sub(front) {
            Some(skip) => Start { entries: self.entries.range(skip as usize..), continuous: true },
            None => Start { entries: self.key.iter(), continuous: false },
        }
    }

    /// The frame that a packet belongs to, and which one of it the packet is.
    pub fn find(&self, number: u64) -> Option<(&Entry<U>, usize)> {
        let after = self.entries.partition_point(|e| e.first <= number);
        let held = after.checked_sub(1).and_then(|i| self.entries.get(i));
        let within = |e: &&Entry<U>| number.checked_sub(e.first).is_some_and(|n| n < e.unit.packets() as u64);
        let entry = held.filter(within).or_else(|| self.key.front().filter(within))?;
        Some((entry, (number - entry.first) as usize))
    }

    /// A frame by its serial number.
    pub fn get(&self, serial: u64) -> Option<&Entry<U>> {
        let front = self.entries.front().map_or(u64::MAX, |e| e.serial);
        let at = serial.checked_sub(front).and_then(|n| usize::try_from(n).ok());
        at.and_then(|n| self.entries.get(n)).or_else(|| self.key.front().filter(|k| k.serial == serial))
    }

    /// The serial number of the key frame that came last.
    pub fn key(&self) -> Option<u64> {
        self.key.front().map(|k| k.serial)
    }

    /// The serial number that the next frame will have.
    pub fn end(&self) -> u64 {
        self.next.1
    }

    /// The frame that came last.
    pub fn last(&self) -> Option<&Entry<U>> {
        self.entries.back()
    }

    /// Bytes held, without a key frame that outlived what follows it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frames held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
pub(super) mod tests;
