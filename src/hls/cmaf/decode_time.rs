//! Decode times for frames that carry presentation times only. Pure.
//!
//! RTP tells when a frame is shown; MP4 wants to know when it is decoded as well
//! (`tfdt`, `trun`; ISO/IEC 14496-12 §8.8.12, §8.8.8). With a reorder depth of n
//! the decode times are the presentation times in order, n frames late: of all
//! frames so far, the (n + 1)-th latest time. No frame yet to come can be shown
//! before that one, else n + 1 frames would precede it in the stream and follow it
//! on the screen. So a frame's decode time is known the moment it comes, and
//! without B-frames it is the presentation time.

use crate::media::nal::sps::MAX_REORDER;

/// A 32-bit RTP timestamp as a count that does not wrap.
#[derive(Debug, Clone, Default)]
pub struct Unwrap {
    last: Option<(u32, i64)>,
}

impl Unwrap {
    /// Takes the next timestamp in the order of arrival, at most half the range
    /// from the last one. The first one is what it is, in 0..2³².
    pub fn push(&mut self, timestamp: u32) -> i64 {
        let out = match self.last {
            Some((ts, count)) => count + i64::from(timestamp.wrapping_sub(ts) as i32),
            None => i64::from(timestamp),
        };
        self.last = Some((timestamp, out));
        out
    }
}

/// When a frame is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decode {
    /// Decode time in the units of the presentation times; always later than that of the
    /// frame before.
    pub dts: i64,
    /// Presentation minus decode time. Negative only for a `late` frame.
    pub offset: i64,
    /// The frame is shown before its decode time: there are more B-frames than was
    /// known. The depth was raised; the next frames will be late no more.
    pub late: bool,
}

/// Gives the frames of one track their decode times. A new source, after a
/// discontinuity, needs a new one.
#[derive(Debug, Clone)]
pub struct DecodeTimes {
    depth: usize,
    frame: i64,
    /// The latest presentation times, ascending; at most `MAX_REORDER + 1`.
    latest: Vec<i64>,
    last: Option<i64>,
}

const KEPT: usize = MAX_REORDER as usize + 1;

impl DecodeTimes {
    /// `depth`: how many frames at most precede a frame in the stream and are shown
    /// after it: [`crate::media::nal::sps::Sps::reorder`], else [`reorder_depth`] of a GOP, else
    /// 0: it is learnt then, at the price of a late frame or two. `frame`: about the
    /// duration of a frame in ticks, for the time before the first one.
    pub fn new(depth: u32, frame: u32) -> Self {
        let depth = depth.min(MAX_REORDER) as usize;
        DecodeTimes { depth, frame: i64::from(frame.max(1)), latest: Vec::with_capacity(KEPT + 1), last: None }
    }

    /// The reorder depth in use, in frames: what was given, or more.
    pub fn depth(&self) -> u32 {
        self.depth as u32
    }

    /// Takes the next frame in decode order.
    pub fn push(&mut self, pts: i64) -> Decode {
        if self.latest.is_empty() {
            // Frames that never were, in front of the first one.
            self.latest.extend((1..KEPT as i64).rev().map(|i| pts.saturating_sub(i * self.frame)));
        }
        let at = self.latest.partition_point(|t| *t <= pts);
        // Those behind it came before it: as many must be waited for.
        let needed = (self.latest.len() - at).min(MAX_REORDER as usize);
        self.depth = self.depth.max(needed);
        self.latest.insert(at, pts);
        if self.latest.len() > KEPT {
            self.latest.remove(0);
        }
        let nth = self.latest.len().saturating_sub(self.depth + 1);
        let sorted = self.latest.get(nth).copied().unwrap_or(pts);
        // Behind the last one in any case: equal times, a depth that was raised.
        let dts = self.last.map_or(sorted, |l| sorted.max(l.saturating_add(1)));
        self.last = Some(dts);
        let offset = pts.saturating_sub(dts);
        Decode { dts, offset, late: offset < 0 }
    }
}

/// The reorder depth of the frames of a GOP (or more), presentation times in decode
/// order.
pub fn reorder_depth(pts: &[i64]) -> u32 {
    let of = |(i, t): (usize, &i64)| {
        let before = pts.get(i.saturating_sub(4 * KEPT)..i).unwrap_or_default();
        before.iter().filter(|b| *b > t).count() as u32
    };
    pts.iter().enumerate().map(of).max().unwrap_or(0).min(MAX_REORDER)
}

#[cfg(test)]
#[path = "decode_time_tests.rs"]
mod tests;
