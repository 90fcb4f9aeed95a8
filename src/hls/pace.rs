//! The beat of a track: frames on an even time line, whatever the jitter of the
//! camera's clock. Pure.
//!
//! Low-Latency HLS counts parts in tenths of a percent: none may be longer than
//! PART-TARGET, none shorter than 85 % of it, and the target may never change. A
//! camera's timestamps jitter by milliseconds and lack a frame now and then. So a
//! frame lasts one *period*, corrected by at most [`SLEW`] towards the camera's
//! clock; what lies further apart is a whole number of periods.
//!
//! Times are in thousandths of the track's units: 59.94 frames a second are 1501.5
//! ticks of 90 kHz each.

/// By how much a frame may be longer or shorter than a period, in thousandths:
/// more than any crystal errs, and within what PART-TARGET leaves.
pub const SLEW: i64 = 1;
/// Thousandths of a unit.
const MILLI: i64 = 1_000;
/// Rates that cameras have, in thousandths of a frame per second: what is measured
/// over a second is not exact.
const RATES: [i64; 21] = [
    1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 12_000, 12_500, 14_985, 15_000, 18_000, 20_000, 23_976,
    24_000, 25_000, 29_970, 30_000, 50_000, 60_000,
];
/// Of so many frames, half out of step mean that the period is another one.
const WATCHED: u32 = 32;

/// The period of a track in thousandths of a unit, from its timestamps in order of
/// presentation, or from what its parameter sets say where they agree, or are all
/// there is. `units` per second. None without either.
pub fn period(times: &[i64], declared: Option<u32>, units: u32) -> Option<i64> {
    let declared = declared.map(|t| i64::from(t) * MILLI).filter(|p| *p > 0);
    let measured = match times {
        [first, .., last] if last > first => {
            // Without a hole that a lost frame leaves: the middle one of the distances.
            let mut steps: Vec<i64> = times.windows(2).map(|w| w[1] - w[0]).collect();
            steps.sort_unstable();
            let middle = steps.get(steps.len() / 2).copied().unwrap_or(0).max(1);
            let even: Vec<i64> = steps.iter().copied().filter(|s| (*s - middle).abs() * 4 < middle).collect();
            Some(even.iter().sum::<i64>() * MILLI / i64::try_from(even.len().max(1)).unwrap_or(1))
        }
        _ => None,
    };
    let near = |a: i64, b: i64, thousandths: i64| (a - b).abs() * 1_000 <= b * thousandths;
    match (measured, declared) {
        (Some(m), Some(d)) if near(m, d, 20) => Some(d),
        (Some(m), _) if m > 0 => {
            let usual = RATES.iter().map(|r| i64::from(units) * MILLI * MILLI / r).find(|p| near(m, *p, 10));
            // 29.97 and its kin are 1000/1001 of a whole number.
            Some(usual.map_or(m, |p| exact(p, units)))
        }
        (_, d) => d,
    }
}

/// The period of a rate that is 1000/1001 of a whole one, without its rounding.
fn exact(period: i64, units: u32) -> i64 {
    for whole in [15, 24, 30, 60] {
        let p = i64::from(units) * 1_001 / whole;
        if (period - p).abs() * 10_000 < p {
            return p;
        }
    }
    period
}

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Periods that the frame before lasts longer: frames are missing.
    pub missing: i64,
    /// How long this one lasts, thousandths of a unit.
    pub duration: i64,
}

/// Gives each frame its place.
#[derive(Debug, Clone)]
pub struct Pace {
    period: i64,
    /// Where the next frame begins.
    end: Option<i64>,
    /// Of the last frames, those out of step, and all.
    odd: (u32, u32),
    /// Too many were.
    astray: bool,
}

impl Pace {
    /// `period` in thousandths of a unit, at least 1.
    pub fn new(period: i64) -> Self {
        Pace { period: period.max(1), end: None, odd: (0, 0), astray: false }
    }

    /// A frame's usual duration, thousandths of a unit.
    pub fn period(&self) -> i64 {
        self.period
    }

    /// Where the next frame begins, thousandths of a unit; none before the first one.
    pub fn end(&self) -> Option<i64> {
        self.end
    }

    /// Whether the track's frame rate is another one by now.
    pub fn astray(&self) -> bool {
        self.astray
    }

    /// Starts anew at a time: what follows does not continue what was.
    pub fn anchor(&mut self, time: i64) {
        self.end = Some(time * MILLI);
        self.odd = (0, 0);
    }

    /// Takes the next frame in decode order, with its decode time in units. The
    /// caller adds `missing` periods to the frame before, or to this one.
    pub fn step(&mut self, time: i64) -> Step {
        let at = time.saturating_mul(MILLI);
        let end = *self.end.get_or_insert(at);
        let error = at - end;
        // Half a period and a bit: two neighbours that swap their jitter are in step.
        let missing = if error * 10 > self.period * 6 { (error + self.period / 2) / self.period } else { 0 };
        let rest = error - missing * self.period;
        let most = self.period * SLEW / 1_000;
        let duration = if rest * 10 < -self.period * 6 {
            // Ahead of the camera, which has become faster: catch up at once.
            (self.period + rest).max(self.period / 4)
        } else {
            self.period + rest.clamp(-most, most)
        };
        self.count(missing != 0 || rest * 10 < -self.period * 6);
        self.end = Some(end + missing * self.period + duration);
        Step { missing, duration }
    }

    /// Moves the end: what `step` called missing went elsewhere.
    pub fn shift(&mut self, by: i64) {
        if let Some(end) = &mut self.end {
            *end += by;
        }
    }

    fn count(&mut self, odd: bool) {
        self.odd.0 += u32::from(odd);
        self.odd.1 += 1;
        if self.odd.1 >= WATCHED {
            self.astray |= self.odd.0 * 3 > self.odd.1;
            self.odd = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_period_is_measured_and_put_right() {
        let times = |n: i64, step: f64| (0..n).map(|i| (i as f64 * step) as i64).collect::<Vec<_>>();
        assert_eq!(period(&times(25, 3600.0), None, 90_000), Some(3_600_000));
        assert_eq!(period(&times(12, 7500.0), None, 90_000), Some(7_500_000));
        assert_eq!(period(&times(25, 3003.0), None, 90_000), Some(3_003_000));
        // 3 ms of jitter on 25 frames.
        let jittered: Vec<i64> =
            times(25, 3600.0).iter().enumerate().map(|(i, t)| t + (i as i64 % 3 - 1) * 90).collect();
        assert_eq!(period(&jittered, None, 90_000), Some(3_600_000));
        // A lost frame is no slower camera.
        let mut lost = times(20, 3600.0);
        lost.remove(7);
        assert_eq!(period(&lost, None, 90_000), Some(3_600_000));
        // What the parameter sets say counts where it is about that, and alone.
        assert_eq!(period(&times(3, 3590.0), Some(3_600), 90_000), Some(3_600_000));
        assert_eq!(period(&times(20, 6000.0), Some(3_600), 90_000), Some(6_000_000));
        assert_eq!(period(&[5], Some(3_600), 90_000), Some(3_600_000));
        assert_eq!(period(&[], None, 90_000), None);
        assert_eq!(period(&[5, 5], None, 90_000), None);
        // An odd rate is what it is.
        assert_eq!(period(&times(40, 6_700.0), None, 90_000), Some(6_700_000));
    }

    #[test]
    fn a_missing_frame_is_a_period_and_a_new_rate_is_noticed() {
        let mut p = Pace::new(3_600_000);
        assert_eq!(p.step(0), Step { missing: 0, duration: 3_600_000 });
        assert_eq!(p.step(3_600).missing, 0);
        assert_eq!(p.step(3 * 3_600).missing, 1);
        assert_eq!(p.end(), Some(4 * 3_600_000));
        assert!(!p.astray());
        for i in 0..64 {
            p.step(4 * 3_600 + i * 7_200);
        }
        assert!(p.astray());
    }

    proptest! {
        #[test]
        fn jitter_stays_below_a_period_and_never_moves_a_frame_by_more_than_the_slew(
            jitter in proptest::collection::vec(-900i64..900, 1..400),
            drift in -20i64..20,
        ) {
            let mut p = Pace::new(3_600_000);
            for (i, j) in jitter.iter().enumerate() {
                let t = 90_000 + i as i64 * 3_600 + i as i64 * drift / 100;
                let s = p.step(t + j);
                prop_assert!(s.missing == 0 && (s.duration - 3_600_000).abs() <= 3_600);
                let off = p.end().unwrap() / 1_000 - (t + 3_600);
                prop_assert!(off.abs() <= 1_900, "{off}");
            }
        }

        #[test]
        fn time_goes_forward_whatever_comes(times in proptest::collection::vec(-1_000_000_000i64..1_000_000_000, 1..100)) {
            let mut p = Pace::new(3_600_000);
            for t in times {
                let before = p.end();
                let s = p.step(t);
                prop_assert!(s.duration > 0 && s.missing >= 0);
                prop_assert!(before.is_none_or(|b| p.end().unwrap() > b));
            }
        }
    }
}
