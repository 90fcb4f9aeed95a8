//! What a stream is like, from its frames: for `camgate probe`. Pure.

/// Collects what frames tell.
#[derive(Debug, Default)]
pub struct Analysis {
    stamps: Vec<i64>,
    last: Option<u32>,
    unwrapped: i64,
    since_key: Option<usize>,
    gops: Vec<usize>,
    bytes: u64,
    reordered: bool,
}

/// Frames that are kept: a minute at 100 a second.
const MOST: usize = 6_000;

impl Analysis {
    /// Takes a frame in the order of arrival: its RTP timestamp (90 kHz), whether
    /// it is a key frame, its size in bytes.
    pub fn frame(&mut self, timestamp: u32, key: bool, bytes: usize) {
        let step = self.last.map_or(0, |l| i64::from(timestamp.wrapping_sub(l) as i32));
        // RTP timestamps tell when to show: a step back is a frame that was sent
        // after one that is shown later, which is what B-frames are.
        self.reordered |= step < 0;
        self.unwrapped += step;
        self.last = Some(timestamp);
        self.bytes += bytes as u64;
        if self.stamps.len() < MOST {
            self.stamps.push(self.unwrapped);
        }
        if key {
            if let Some(n) = self.since_key {
                self.gops.push(n);
            }
            self.since_key = Some(1);
        } else if let Some(n) = &mut self.since_key {
            *n += 1;
        }
    }

    /// Frames that were seen.
    pub fn frames(&self) -> usize {
        self.stamps.len()
    }

    /// Frames per second: of the median distance, so that a gap changes nothing.
    pub fn fps(&self) -> Option<f64> {
        let mut sorted = self.stamps.clone();
        sorted.sort_unstable();
        let mut gaps: Vec<i64> = sorted.windows(2).map(|w| w[1] - w[0]).filter(|d| *d > 0).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).map(|d| 90_000.0 / *d as f64)
    }

    /// The longest distance between key frames, in frames; none before the second.
    pub fn gop(&self) -> Option<usize> {
        self.gops.iter().copied().max()
    }

    /// Frames since the last key frame; none before the first.
    pub fn since_key(&self) -> Option<usize> {
        self.since_key
    }

    /// Whether frames came in another order than they are shown.
    pub fn b_frames(&self) -> bool {
        self.reordered
    }

    /// Bits per second over all that was seen.
    pub fn bit_rate(&self) -> Option<f64> {
        let (first, last) = (self.stamps.iter().min()?, self.stamps.iter().max()?);
        let seconds = (last - first) as f64 / 90_000.0;
        (seconds > 0.0).then(|| self.bytes as f64 * 8.0 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(frames: &[(u32, bool)]) -> Analysis {
        let mut a = Analysis::default();
        for (ts, key) in frames {
            a.frame(*ts, *key, 1_000);
        }
        a
    }

    #[test]
    fn a_plain_stream() {
        let frames: Vec<_> = (0..101u32).map(|i| ((u32::MAX - 90_000).wrapping_add(i * 3_600), i % 50 == 0)).collect();
        let a = run(&frames);
        assert_eq!(a.fps(), Some(25.0));
        assert_eq!((a.gop(), a.since_key(), a.b_frames()), (Some(50), Some(1), false));
        assert_eq!(a.bit_rate().map(|b| b as u64), Some(202_000));
    }

    #[test]
    fn b_frames_step_back() {
        let a = run(&[
            (0, true),
            (10_800, false),
            (3_600, false),
            (7_200, false),
            (21_600, false),
            (14_400, false),
            (18_000, false),
        ]);
        assert!(a.b_frames());
        assert_eq!(a.fps(), Some(25.0));
    }

    #[test]
    fn too_little_says_nothing() {
        let a = run(&[(5, false)]);
        assert_eq!((a.fps(), a.gop(), a.since_key(), a.bit_rate()), (None, None, None, None));
    }
}
