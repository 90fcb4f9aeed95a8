//! How long a path rests whose muxer failed, before another one begins. Pure.

use std::time::Duration;

/// The first rest.
const FIRST: Duration = Duration::from_secs(1);
/// The longest one. A muxer that lived longer did not fail at once.
pub const MOST: Duration = Duration::from_secs(60);

/// Failures in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rest {
    failures: u32,
}

impl Rest {
    /// One more, of a muxer that lived so long: what is remembered of it, and how long to
    /// rest now.
    pub fn failed(self, lived: Duration) -> (Self, Duration) {
        let before = if lived > MOST { 0 } else { self.failures };
        let pause = FIRST.saturating_mul(1 << before.min(10)).min(MOST);
        (Rest { failures: before.saturating_add(1) }, pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_rest_is_twice_as_long_up_to_a_minute() {
        let (mut rest, mut pauses) = (Rest::default(), Vec::new());
        for _ in 0..9 {
            let (next, pause) = rest.failed(Duration::from_millis(10));
            pauses.push(pause.as_secs());
            rest = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        // One that worked for a while is no failure in a row.
        assert_eq!(rest.failed(MOST + FIRST).1, FIRST);
    }

    proptest! {
        #[test]
        fn no_rest_is_none_or_longer_than_a_minute(lives in proptest::collection::vec(any::<u32>(), 1..100)) {
            let mut rest = Rest::default();
            for lived in lives {
                let (next, pause) = rest.failed(Duration::from_millis(lived.into()));
                prop_assert!((FIRST..=MOST).contains(&pause));
                rest = next;
            }
        }
    }
}
