//! Where pictures are shown on the even time line of a track. Pure.
//!
//! Decode times are whole periods apart ([`super::pace`]), so presentation times are,
//! too: a picture's own time, rounded to periods. With B-frames and a camera whose
//! timestamps jitter by about half a frame, rounding would bring two pictures to one
//! place, or out of order. So a picture always comes to stand between those that are
//! shown before and after it.

use std::collections::VecDeque;

/// Pictures that are remembered: more than any reorder depth.
const KEPT: usize = 32;

/// See the module. Places and periods are in thousandths of a unit.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Presentation time as the camera says (units), and the place that was given.
    taken: VecDeque<(i64, i64)>,
}

impl Places {
    /// What comes next does not continue what was.
    pub fn clear(&mut self) {
        self.taken.clear();
    }

    /// The place of a picture that is to be shown at `pts` (units), `offset` (units)
    /// behind its decode time, which has been given the place `decoded`.
    pub fn take(&mut self, pts: i64, offset: i64, decoded: i64, period: i64) -> i64 {
        let whole = (offset.saturating_mul(1_000).saturating_add(period / 2)).div_euclid(period) * period;
        let place = self.between(pts, decoded.saturating_add(whole), period);
        if self.taken.len() >= KEPT {
            self.taken.pop_front();
        }
        self.taken.push_back((pts, place));
        place
    }

    fn between(&self, pts: i64, wanted: i64, period: i64) -> i64 {
        // What came first is shown first where both say the same.
        let before = self.taken.iter().filter(|(p, _)| *p <= pts).map(|(_, place)| *place).max();
        let after = self.taken.iter().filter(|(p, _)| *p > pts).map(|(_, place)| *place).min();
        // Places of one picture differ by the slew.
        let near = period / 4;
        let low = before.map_or(i64::MIN, |b| b.saturating_add(near));
        let high = after.map_or(i64::MAX, |a| a.saturating_sub(near));
        match (before, after) {
            _ if (low..=high).contains(&wanted) => wanted,
            (Some(before), _) if wanted < low && before.saturating_add(period) <= high => before.saturating_add(period),
            (_, Some(after)) if wanted > high && after.saturating_sub(period) >= low => after.saturating_sub(period),
            // No room for a whole period: half of what there is.
            (Some(before), Some(after)) => before + (after - before) / 2,
            _ => wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TICKS: i64 = 3_600;
    const PERIOD: i64 = TICKS * 1_000;

    #[test]
    fn whole_periods_where_nothing_is_in_the_way() {
        let mut places = Places::default();
        assert_eq!(places.take(100, 0, 0, PERIOD), 0);
        assert_eq!(places.take(7_300, 3 * TICKS + 400, PERIOD, PERIOD), 4 * PERIOD);
        assert_eq!(places.take(3_700, 0, 2 * PERIOD, PERIOD), 2 * PERIOD);
    }

    #[test]
    fn two_pictures_never_share_a_place() {
        let mut places = Places::default();
        assert_eq!(places.take(0, 0, 0, PERIOD), 0);
        // Shown after the first one, and rounded to its place.
        assert_eq!(places.take(1_500, -2_100, PERIOD, PERIOD), PERIOD);
        // Between two neighbours.
        assert_eq!(places.take(700, 0, 2 * PERIOD, PERIOD), PERIOD / 2);
    }

    proptest! {
        /// Two B-frames between P-frames, reordered by a pyramid, with jitter of most of a frame.
        #[test]
        fn places_are_in_the_order_of_the_pictures(
            jitter in proptest::collection::vec(-1_750i64..1_750, 30..120),
            b in 0i64..4,
        ) {
            let mut places = Places::default();
            let mut shown: Vec<(i64, i64)> = Vec::new();
            for (n, jitter) in jitter.iter().enumerate() {
                let n = n as i64;
                // The P-frame of each mini-GOP comes first.
                let rank = if n == 0 { 0 } else if (n - 1) % (b + 1) == 0 { n + b } else { n - 1 };
                let pts = rank * TICKS + jitter;
                let place = places.take(pts, pts - (n - b.min(1)) * TICKS, n * PERIOD, PERIOD);
                shown.push((pts, place));
            }
            shown.sort_unstable();
            for w in shown.windows(2) {
                prop_assert!(w[0].0 == w[1].0 || w[0].1 < w[1].1, "{w:?}");
            }
        }

        #[test]
        fn whatever_comes_is_given_a_place(
            times in proptest::collection::vec((-1_000_000_000i64..1_000_000_000, -100_000i64..100_000), 1..100),
        ) {
            let mut places = Places::default();
            for (i, (pts, offset)) in times.into_iter().enumerate() {
                places.take(pts, offset, i as i64 * PERIOD, PERIOD);
            }
            prop_assert!(places.taken.len() <= KEPT);
        }
    }
}
