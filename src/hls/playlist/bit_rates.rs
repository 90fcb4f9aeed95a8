//! BANDWIDTH and AVERAGE-BANDWIDTH (§4.4.6.2). Pure.
//!
//! The peak is the highest rate of any segments in a row that last between half and one and
//! a half target durations together: a first segment of a key frame and a few milliseconds,
//! as a path has that is joined in the middle of a GOP, says nothing by itself.

use super::window::{Segment, Window};
use super::{SECOND, Units};

/// Bits per second, rounded up.
fn rate(bytes: u64, units: Units) -> u64 {
    let rate = (u128::from(bytes) * 8 * u128::from(SECOND)).div_ceil(u128::from(units.max(1)));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

fn bytes<B: AsRef<[u8]>>(segment: &Segment<B>) -> u64 {
    segment.parts.iter().map(|p| p.payload.as_ref().len() as u64).sum()
}

impl<B: AsRef<[u8]>> Window<B> {
    /// The peak of all so far, and the average of the listed segments, in bits per second.
    /// As long as all of it is shorter than half a target duration, it counts as that long.
    pub fn bit_rates(&self) -> Option<(u64, u64)> {
        self.listed.front()?;
        let half = self.target.unwrap_or(0) * SECOND / 2;
        let average = rate(self.listed.iter().map(bytes).sum(), self.duration().max(half));
        Some((self.peak.max(average), average))
    }

    /// Weighs the segments in a row that end with the last one listed.
    pub(super) fn weigh(&mut self) {
        self.peak = self.peak.max(self.heaviest(self.listed.len()));
    }

    /// Weighs all, once it is known how long a target duration is.
    pub(super) fn weigh_all(&mut self) {
        let all = (1..=self.listed.len()).map(|end| self.heaviest(end)).max();
        self.peak = self.peak.max(all.unwrap_or(0));
    }

    /// The highest rate of segments in a row that end before the listed one of this index.
    fn heaviest(&self, end: usize) -> u64 {
        let Some(target) = self.target.map(|t| t * SECOND) else { return 0 };
        let (mut sum, mut length, mut most) = (0, 0, 0);
        for segment in self.listed.range(..end).rev() {
            sum += bytes(segment);
            length += segment.units;
            if length * 2 > target * 3 {
                break;
            }
            if length * 2 >= target {
                most = most.max(rate(sum, length));
            }
        }
        most
    }
}

#[cfg(test)]
#[path = "bit_rates_tests.rs"]
mod tests;
