//! Since when an encoder owes more sound than it may. Pure.

use std::time::{Duration, Instant};

/// An encoder is at work that owes no more sound than this, ns: what is in its elements, and
/// what came in a bunch.
const SLACK: i64 = 1_000_000_000;
/// One that owes more for so long, and gives nothing back meanwhile, hangs. By the clock: a
/// stall of the network, or of us, ends with more sound at once than any encoder owes.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Debt(Option<Instant>);

impl Debt {
    /// Whether one that owes so much sound (ns) now has given nothing back for too long.
    pub(super) fn hangs(&mut self, owes: i64, now: Instant) -> bool {
        if owes <= SLACK {
            self.0 = None;
            return false;
        }
        now.saturating_duration_since(*self.0.get_or_insert(now)) > PATIENCE
    }

    /// It gave something back.
    pub(super) fn paid(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_hangs_that_owes_for_long_and_gives_nothing() {
        let (mut debt, now) = (Debt::default(), Instant::now());
        let at = |ms: u64| now + Duration::from_millis(ms);
        assert!(!debt.hangs(SLACK, at(0)) && !debt.hangs(100 * SLACK, at(10_000)));
        assert!(!debt.hangs(2 * SLACK, at(14_900)) && debt.hangs(2 * SLACK, at(15_100)));
        // It paid, or does not owe as much any more.
        debt.paid();
        assert!(!debt.hangs(2 * SLACK, at(16_000)) && !debt.hangs(SLACK / 2, at(22_000)));
        assert!(!debt.hangs(2 * SLACK, at(30_000)));
    }
}
