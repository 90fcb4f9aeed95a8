//! When a viewer that asks for key frames gets what is cached once more. Pure.

use std::time::{Duration, Instant};

/// Between two replays.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that repeated requests lead to.
const MOST: Duration = Duration::from_secs(8);

/// Of one session. Twice as long a pause each time: a link that loses what it is sent
/// needs less, not more. Requests that keep quiet for the longest pause begin anew.
#[derive(Debug, Clone)]
pub(super) struct Replays {
    last: Option<Instant>,
    pause: Duration,
}

impl Replays {
    pub fn new() -> Self {
        Replays { last: None, pause: PAUSE }
    }

    /// A request came: whether it is to be met.
    pub fn asked(&mut self, now: Instant) -> bool {
        let since = self.last.map(|at| now.saturating_duration_since(at));
        match since {
            Some(since) if since < self.pause => return false,
            Some(since) if since < MOST => self.pause = (self.pause * 2).min(MOST),
            _ => self.pause = PAUSE,
        }
        self.last = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_twice_as_late() {
        let begin = Instant::now();
        let mut r = Replays::new();
        let at: Vec<u64> = (0..40_000).step_by(10).filter(|ms| r.asked(begin + Duration::from_millis(*ms))).collect();
        assert_eq!(
            at,
            [
                0, 500, 1_500, 3_500, 7_500, 15_500, 16_000, 17_000, 19_000, 23_000, 31_000, 31_500, 32_500, 34_500,
                38_500
            ]
        );
    }
}
