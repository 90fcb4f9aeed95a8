//! How the frames of a track make up parts: so many of them, and what PART-TARGET says.
//! Pure.

use std::time::Duration;

use crate::hls::pace::SLEW;
use crate::hls::playlist::{Variant, part_target};

/// See the module.
#[derive(Debug)]
pub struct Parts {
    /// What the frames last. Without low latency, about that.
    target: Duration,
    /// Frames in a part.
    pub slots: i64,
}

impl Parts {
    /// Of at least `wanted`, from frames of `period`; `second` in the same unit.
    pub fn new(variant: Variant, wanted: Duration, period: i64, second: i64) -> Self {
        let rate = (u32::try_from(second).unwrap_or(u32::MAX), u32::try_from(period).unwrap_or(u32::MAX));
        // Only low latency has parts; the others' segments are of one piece.
        let wanted = if variant == Variant::LowLatency { wanted } else { Duration::from_secs(600) };
        let target = part_target(rate, wanted).unwrap_or(wanted);
        let slots = (i128::try_from(target.as_nanos()).unwrap_or(0) * i128::from(second) / 1_000_000_000
            + i128::from(period / 2))
            / i128::from(period.max(1));
        Parts { target, slots: i64::try_from(slots).unwrap_or(1).max(1) }
    }

    /// What the playlist says of it: frames may be longer by their slew.
    pub fn printed(&self) -> Duration {
        self.target + self.target * u32::try_from(SLEW).unwrap_or(1) / 1_000
    }

    /// Frames of another `period` whose parts are no longer than these say, and not
    /// shorter than 85 % of that (RFC 8216bis §4.4.4.9), the slew counted both times.
    pub fn slots_of(&self, period: i64, second: i64) -> Option<i64> {
        let most = i128::try_from(self.printed().as_nanos()).ok()? * i128::from(second);
        let one = i128::from(period.max(1)) * 1_000_000_000;
        let slots = most * 1_000 / (one * i128::from(1_000 + SLEW));
        let least = slots * one * i128::from(1_000 - SLEW) / 1_000;
        (slots >= 1 && least * 100 >= most * 85).then(|| i64::try_from(slots).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 90_000_000;

    fn of(fps: i64) -> Parts {
        Parts::new(Variant::LowLatency, Duration::from_millis(200), SECOND / fps, SECOND)
    }

    #[test]
    fn as_many_frames_as_it_takes() {
        for (fps, slots, ms) in [(5, 1, 200.0), (12, 3, 250.0), (25, 5, 200.0), (60, 12, 200.0), (1, 1, 1_000.0)] {
            let parts = of(fps);
            assert_eq!(parts.slots, slots, "{fps}");
            assert!((parts.printed().as_secs_f64() * 1e3 - ms * 1.005).abs() < 0.01, "{fps}: {:?}", parts.printed());
        }
        let ntsc = Parts::new(Variant::LowLatency, Duration::from_millis(200), 3_003_000, SECOND);
        assert_eq!((ntsc.slots, ntsc.target.as_micros()), (6, 200_200));
    }

    #[test]
    fn other_frames_fit_or_they_do_not() {
        for (from, to, slots) in [
            (25, 50, Some(10)),
            (25, 30, Some(6)),
            (25, 20, Some(4)),
            (25, 15, Some(3)),
            (25, 10, Some(2)),
            (25, 5, Some(1)),
            // 167 ms are 83 % of 201; 125 and 333 are no part of it at all.
            (25, 12, None),
            (25, 24, None),
            (25, 8, None),
            (25, 3, None),
            (12, 25, Some(6)),
            (12, 12, Some(3)),
        ] {
            assert_eq!(of(from).slots_of(SECOND / to, SECOND), slots, "{from} to {to}");
        }
        assert_eq!(of(25).slots_of(0, SECOND).map(|n| n > 0), Some(true));
    }
}
