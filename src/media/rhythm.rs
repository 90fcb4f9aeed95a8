//! The rhythm of a track of video: how long a frame lasts, and how many of them lie
//! between two key frames. Pure.

use std::collections::VecDeque;

/// So many GOPs are remembered.
const GOPS: usize = 5;
/// So many frames of a GOP tell how long one lasts.
const MEASURED: usize = 32;
/// Two GOPs whose frames last equally long, in thousandths: the rate is that by now.
const ALIKE: u32 = 20;

/// What the GOPs since a source began tell.
#[derive(Debug, Clone, Default)]
pub struct Rhythm {
    /// Frames since the last key frame; none before the first one.
    since_key: Option<u32>,
    longest: Option<u32>,
    /// The last key frame's timestamp, and those of the frames behind it, counted from it.
    key_at: u32,
    times: Vec<i64>,
    /// Those of the last GOPs. What they tell is found out by who asks, and not on the way of
    /// a frame: that takes all pairs of them.
    gops: VecDeque<Vec<i64>>,
}

impl Rhythm {
    /// Takes the next frame in the order of arrival, with its RTP timestamp.
    pub fn push(&mut self, key: bool, timestamp: u32) {
        let frames = self.since_key;
        self.since_key = if key { Some(1) } else { frames.map(|n| n.saturating_add(1)) };
        if self.times.len() < MEASURED {
            // A B-frame behind the key frame may be shown before it.
            self.times.push(i64::from(timestamp.wrapping_sub(self.key_at) as i32));
        }
        if !key {
            return;
        }
        if let Some(frames) = frames {
            self.longest = self.longest.max(Some(frames));
            let oldest = if self.gops.len() >= GOPS { self.gops.pop_front() } else { None };
            let gop = std::mem::replace(&mut self.times, oldest.unwrap_or_default());
            self.gops.push_back(gop);
        }
        self.key_at = timestamp;
        self.times.clear();
        self.times.push(0);
    }

    /// The most frames from one key frame to the next, and how many ticks a frame lasts.
    /// None before there were two key frames.
    ///
    /// A network that lost frames makes a GOP look slow: what two GOPs in a row agree on
    /// counts, and before that the faster half.
    pub fn get(&self) -> Option<(u32, u32)> {
        let periods: Vec<u32> = self.gops.iter().filter_map(|gop| period(gop)).collect();
        let last = *periods.last()?;
        let before = periods.iter().rev().nth(1);
        let alike = before.is_some_and(|b| u64::from(last.abs_diff(*b)) * 1_000 <= u64::from(last) * u64::from(ALIKE));
        let period = if alike {
            last
        } else {
            let mut sorted = periods;
            sorted.sort_unstable();
            sorted.get((sorted.len() - 1) / 2).copied().unwrap_or(last)
        };
        self.longest.map(|longest| (longest, period))
    }
}

/// How long a frame of a GOP lasts, ticks.
fn period(times: &[i64]) -> Option<u32> {
    let mut times = times.to_vec();
    times.sort_unstable();
    slope(&times).and_then(|p| u32::try_from(p).ok())
}

/// What lies between two of these times, ascending: the median over all pairs (Theil and
/// Sen), so that neither jitter nor a few of them that are astray bend it.
pub fn slope(times: &[i64]) -> Option<i64> {
    let mut slopes: Vec<i64> = Vec::with_capacity(times.len() * times.len() / 2);
    for (n, later) in (0i64..).zip(times) {
        slopes.extend((0..n).zip(times).map(|(m, earlier)| (later - earlier) / (n - m)));
    }
    let middle = slopes.len() / 2;
    (!slopes.is_empty()).then(|| *slopes.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GOPs of so many frames, each frame after so many ticks; all but the lost ones.
    fn rhythm(gops: &[(u32, u32)], lost: impl Fn(u32) -> bool) -> Rhythm {
        let (mut rhythm, mut time, mut number) = (Rhythm::default(), u32::MAX - 20_000, 0);
        for (frames, ticks) in gops {
            for i in 0..*frames {
                if !lost(number) {
                    rhythm.push(i == 0, time);
                }
                time = time.wrapping_add(*ticks);
                number += 1;
            }
        }
        rhythm.push(true, time);
        rhythm
    }

    #[test]
    fn a_whole_gop_tells() {
        assert_eq!(rhythm(&[], |_| false).get(), None);
        assert_eq!(rhythm(&[(25, 3_600)], |_| false).get(), Some((25, 3_600)));
        assert_eq!(rhythm(&[(12, 3_003), (60, 3_003)], |_| false).get(), Some((60, 3_003)));
    }

    #[test]
    fn lost_frames_do_not_bend_it() {
        let gops = [(25, 3_600); 4];
        // Ten frames of the last GOP; a key frame and all that hung on it.
        assert_eq!(rhythm(&gops, |n| (80..90).contains(&n)).get(), Some((25, 3_600)));
        assert_eq!(rhythm(&gops, |n| (50..75).contains(&n)).get(), Some((25, 3_600)));
        assert_eq!(rhythm(&gops[..2], |n| (30..40).contains(&n)).get(), Some((25, 3_600)));
    }

    #[test]
    fn another_rate_counts_from_its_second_gop_on() {
        assert_eq!(rhythm(&[(25, 3_600), (25, 3_600), (25, 7_200)], |_| false).get(), Some((25, 3_600)));
        assert_eq!(rhythm(&[(25, 3_600), (25, 3_600), (25, 7_200), (25, 7_200)], |_| false).get(), Some((25, 7_200)));
    }

    #[test]
    fn gops_of_every_length_have_one_rate() {
        assert_eq!(rhythm(&[(10, 3_600), (150, 3_600), (25, 3_600)], |_| false).get(), Some((150, 3_600)));
    }

    #[test]
    fn jitter_and_strays_do_not_bend_a_slope() {
        // Up to 20 ms late in 100, a fifth of them of a rate before, one far too late.
        let times: Vec<i64> =
            (0..24i64)
                .map(|n| {
                    if n < 5 {
                        36_000 + n * 3_600
                    } else {
                        9_000 * n + (n * 7_919) % 1_800 + i64::from(n == 23) * 30_000
                    }
                })
                .collect();
        let slope = slope(&times).unwrap();
        assert!((8_700..9_300).contains(&slope), "{slope}");
        assert_eq!(super::slope(&[5]), None);
    }
}
