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
#[derive(Debug, Clone, Default)]
pub struct Dates {
    /// The offset in use (ns, to CLOCK_MONOTONIC), and up to which moment.
    now: Option<(i64, u64)>,
}

impl Dates {
    /// Whether `offset`, what is to be added to a capture time for nanoseconds since
    /// 1970, takes a discontinuity.
    pub fn leaps(&self, offset: i64) -> bool {
        self.now.is_some_and(|(used, _)| offset.saturating_sub(used).saturating_abs() > LEAP)
    }

    /// A discontinuity: what comes next takes any offset.
    pub fn breaks(&mut self) {
        self.now = None;
    }

    /// The date of a frame captured at `pts_ns`, milliseconds since 1970.
    pub fn of(&mut self, pts_ns: u64, offset: i64) -> u64 {
        let (used, last) = self.now.unwrap_or((offset, pts_ns));
        let most = i64::try_from(pts_ns.saturating_sub(last)).unwrap_or(0) / FOLLOW;
        let error = if self.leaps(offset) { 0 } else { offset - used };
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

    #[test]
    fn a_small_error_is_followed_and_a_leap_waits() {
        let mut d = Dates::default();
        assert_eq!(d.of(1_000 * MS as u64, NOW), (NOW / MS) as u64 + 1_000);
        // 100 ms to go: 20 of them within a second, all within ten.
        assert_eq!(d.of(2_000 * MS as u64, NOW + 100 * MS), (NOW / MS) as u64 + 2_020);
        assert_eq!(d.of(12_000 * MS as u64, NOW + 100 * MS), (NOW / MS) as u64 + 12_100);
        let hour = 3_600_000 * MS;
        assert!(d.leaps(NOW - hour) && !d.leaps(NOW));
        assert_eq!(d.of(13_000 * MS as u64, NOW - hour), (NOW / MS) as u64 + 13_100);
        d.breaks();
        assert!(!d.leaps(NOW - hour));
        assert_eq!(d.of(14_000 * MS as u64, NOW - hour), ((NOW - hour) / MS) as u64 + 14_000);
    }

    proptest! {
        #[test]
        fn no_date_goes_back_without_a_discontinuity(
            steps in proptest::collection::vec((1u64..5_000, -4_000i64..4_000), 1..100),
        ) {
            let mut d = Dates::default();
            let (mut pts, mut last) = (0, 0);
            for (step, off) in steps {
                pts += step * MS as u64;
                let date = d.of(pts, NOW + off * MS);
                prop_assert!(date >= last);
                last = date;
            }
        }

        #[test]
        fn any_offset_is_taken(pts in any::<u64>(), offsets in proptest::collection::vec(any::<i64>(), 1..10)) {
            let mut d = Dates::default();
            for offset in offsets {
                d.leaps(offset);
                d.of(pts, offset);
            }
        }
    }
}
