//! The dates of a playlist (EXT-X-PROGRAM-DATE-TIME): on a clock that may be the
//! camera's, that comes to be known late, and that is put right now and then. Pure.
//!
//! Players map dates to media: within one stretch of the playlist they go on as the
//! media does. A clock that is a little off is followed slowly; one that leaps takes
//! effect behind a discontinuity, with the next key frame.

/// A clock that is off by more has leapt, ns.
const LEAP: i64 = 500_000_000;
/// By how many times less than the time that passes a date moves besides: no date goes back.
const FOLLOW: i64 = 50;

/// See the module.
#[derive(Debug, Clone)]
pub struct Dates {
    /// What is to be added to a capture time (CLOCK_MONOTONIC, ns) for nanoseconds since
    /// 1970, as it is known by now.
    clock: i64,
    /// The offset in use (ns, to CLOCK_MONOTONIC), and up to which moment.
    now: Option<(i64, u64)>,
}

impl Dates {
    /// On a clock: what is to be added to a capture time (CLOCK_MONOTONIC, ns) for
    /// nanoseconds since 1970.
    pub fn new(clock: i64) -> Self {
        Dates { clock, now: None }
    }

    /// The clock as it is known by now.
    pub fn set_clock(&mut self, clock: i64) {
        self.clock = clock;
    }

    /// Whether the clock takes a discontinuity.
    pub fn leap(&self) -> bool {
        self.now.is_some_and(|(used, _)| self.clock.saturating_sub(used).saturating_abs() > LEAP)
    }

    /// A discontinuity: what comes next takes any clock.
    pub fn breaks(&mut self) {
        self.now = None;
    }

    /// The date of a frame captured at `pts_ns`, milliseconds since 1970.
    pub fn of(&mut self, pts_ns: u64) -> u64 {
        let (used, last) = self.now.unwrap_or((self.clock, pts_ns));
        let most = i64::try_from(pts_ns.saturating_sub(last)).unwrap_or(0) / FOLLOW;
        let error = if self.leap() { 0 } else { self.clock - used };
        let used = used + error.clamp(-most, most);
        self.now = Some((used, last.max(pts_ns)));
        u64::try_from((i128::from(pts_ns) + i128::from(used)) / 1_000_000).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;
    const NOW: i64 = 1_795_000_000_000 * MS;

    fn of(d: &mut Dates, pts: i64, clock: i64) -> u64 {
        d.set_clock(clock);
        d.of(pts as u64)
    }

    #[test]
    fn a_small_error_is_followed_and_a_leap_waits() {
        let mut d = Dates::new(NOW);
        assert_eq!(d.of(1_000 * MS as u64), (NOW / MS) as u64 + 1_000);
        // 100 ms to go: 20 of them within a second, all within ten.
        assert_eq!(of(&mut d, 2_000 * MS, NOW + 100 * MS), (NOW / MS) as u64 + 2_020);
        assert_eq!(of(&mut d, 12_000 * MS, NOW + 100 * MS), (NOW / MS) as u64 + 12_100);
        let hour = 3_600_000 * MS;
        d.set_clock(NOW);
        assert!(!d.leap());
        d.set_clock(NOW - hour);
        assert!(d.leap());
        assert_eq!(d.of(13_000 * MS as u64), (NOW / MS) as u64 + 13_100);
        d.breaks();
        assert!(!d.leap());
        assert_eq!(d.of(14_000 * MS as u64), ((NOW - hour) / MS) as u64 + 14_000);
    }

    proptest! {
        #[test]
        fn no_date_goes_back_without_a_discontinuity(
            steps in proptest::collection::vec((1u64..5_000, -4_000i64..4_000), 1..100),
        ) {
            let mut d = Dates::new(NOW);
            let (mut pts, mut last) = (0, 0);
            for (step, off) in steps {
                pts += step as i64 * MS;
                let date = of(&mut d, pts, NOW + off * MS);
                prop_assert!(date >= last);
                last = date;
            }
        }

        #[test]
        fn any_offset_is_taken(pts in any::<u64>(), offsets in proptest::collection::vec(any::<i64>(), 1..10)) {
            let mut d = Dates::new(0);
            for offset in offsets {
                d.set_clock(offset);
                d.leap();
                d.of(pts);
            }
        }
    }
}
