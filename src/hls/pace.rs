//! The beat of a track: frames on an even time line, whatever the jitter of the
//! camera's clock. Pure.
//!
//! Low-Latency HLS counts parts in tenths of a percent: none may be longer than
//! PART-TARGET, none shorter than 85 % of it, and the target may never change. A
//! camera's timestamps jitter, come late, and lack a frame now and then. So a
//! frame lasts one *period*, corrected by at most [`SLEW`] towards the camera's
//! clock; what lies further apart is a whole number of periods.
//!
//! Times are in thousandths of the track's units: 59.94 frames a second are 1501.5
//! ticks of 90 kHz each.

use std::collections::VecDeque;

/// By how much a frame may be longer or shorter than a period, in thousandths:
/// more than any crystal errs, and within what PART-TARGET leaves.
pub const SLEW: i64 = 5;
/// Thousandths of a unit.
const MILLI: i64 = 1_000;
/// Rates that cameras have, in thousandths of a frame per second: what is measured
/// over a second is not exact. Where frames came late the source's clock runs up to 2 %
/// faster or slower for a while (`media/source/clock.rs`), so the nearest one counts.
const RATES: [i64; 21] = [
    1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 12_000, 12_500, 14_985, 15_000, 18_000, 20_000, 23_976,
    24_000, 25_000, 29_970, 30_000, 50_000, 60_000,
];
/// So many frames in a row have to agree on where they are.
const SURE: usize = 12;
/// Of so many frames, half missing mean that the period is another one.
const WATCHED: u32 = 48;

/// The period of a track in thousandths of a unit, from what a frame lasts on average
/// and what the parameter sets say (both in units), where they agree; `units` per second.
/// None without either.
pub fn period(measured: Option<i64>, declared: Option<u32>, units: u32) -> Option<i64> {
    let declared = declared.map(|t| i64::from(t) * MILLI).filter(|p| *p > 0);
    let measured = measured.filter(|m| *m > 0).map(|m| m * MILLI);
    let near = |a: i64, b: i64, thousandths: i64| (a - b).abs() * 1_000 <= b * thousandths;
    match (measured, declared) {
        (Some(m), Some(d)) if near(m, d, 60) => Some(d),
        (Some(m), _) if m > 0 => {
            let usual = RATES.iter().map(|r| i64::from(units) * MILLI * MILLI / r).filter(|p| near(m, *p, 25));
            let usual = usual.min_by_key(|p| (p - m).abs());
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
    /// By how much the last frames were behind their places.
    errors: VecDeque<i64>,
    /// Frames and the periods that were missing among them.
    watched: (u32, i64),
    astray: bool,
}

impl Pace {
    /// `period` in thousandths of a unit, at least 1.
    pub fn new(period: i64) -> Self {
        Pace { period: period.max(1), end: None, errors: VecDeque::new(), watched: (0, 0), astray: false }
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

    /// Starts anew at a time in units: what follows does not continue what was.
    pub fn anchor(&mut self, time: i64) {
        self.end = Some(time * MILLI);
        self.errors.clear();
        self.watched = (0, 0);
        self.astray = false;
    }

    /// What looked like another rate was none.
    pub fn calm(&mut self) {
        self.astray = false;
    }

    /// Takes the next frame in decode order, with its decode time in units. The
    /// caller adds `missing` periods to the frame before, or to this one.
    ///
    /// Lateness is no loss: a busy network brings frames late and then in a bunch.
    /// Only what all of the last [`SURE`] frames are behind is missing; only what all
    /// of them are ahead is time that our line has too much.
    pub fn step(&mut self, time: i64) -> Step {
        let at = time.saturating_mul(MILLI);
        let end = *self.end.get_or_insert(at);
        if self.errors.len() >= SURE {
            self.errors.pop_front();
        }
        self.errors.push_back(at - end);
        let sure = self.errors.len() >= SURE;
        let least = self.errors.iter().copied().min().unwrap_or(0);
        let most = self.errors.iter().copied().max().unwrap_or(0);
        let step = self.period * 6 / 10;
        let (mut missing, mut by) = (0, 0);
        if sure && least > step {
            missing = (least + self.period / 2) / self.period;
        } else if sure && most < -step {
            // The camera has become faster: catch up, a frame at a time.
            by = most.max(-self.period * 3 / 4);
        } else if sure {
            // The punctual ones tell where we are; the others are late.
            by = least.clamp(-self.period * SLEW / 1_000, self.period * SLEW / 1_000);
        }
        self.moved(missing * self.period + by);
        self.watch(missing + i64::from(by < -step));
        let duration = self.period + by;
        self.end = Some(end + missing * self.period + duration);
        Step { missing, duration }
    }

    /// Moves the end: not all that `step` called missing had a place.
    pub fn shift(&mut self, by: i64) {
        if let Some(end) = &mut self.end {
            *end += by;
        }
        self.moved(by);
    }

    /// Our line moved against the camera's.
    fn moved(&mut self, by: i64) {
        self.errors.iter_mut().for_each(|e| *e -= by);
    }

    fn watch(&mut self, odd: i64) {
        self.watched.0 += 1;
        self.watched.1 += odd;
        if self.watched.0 >= WATCHED {
            self.astray |= self.watched.1 * 2 > i64::from(WATCHED);
            self.watched = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_period_is_measured_and_put_right() {
        for (measured, declared, want) in [
            (Some(3_600), None, Some(3_600_000)),
            (Some(7_500), None, Some(7_500_000)),
            (Some(3_003), None, Some(3_003_000)),
            (Some(3_580), None, Some(3_600_000)),
            // What the parameter sets say counts where it is about that, and alone.
            (Some(3_750), Some(3_600), Some(3_600_000)),
            (Some(6_000), Some(3_600), Some(6_000_000)),
            (None, Some(3_600), Some(3_600_000)),
            (None, None, None),
            (Some(0), None, None),
            // An odd rate is what it is.
            (Some(6_700), None, Some(6_700_000)),
        ] {
            assert_eq!(period(measured, declared, 90_000), want, "{measured:?} {declared:?}");
        }
    }

    #[test]
    fn a_missing_frame_is_a_period_once_it_is_sure() {
        let mut p = Pace::new(3_600_000);
        let mut missing = 0;
        for i in (0..40).filter(|i| *i != 20) {
            let s = p.step(i * 3_600);
            assert!(s.missing == 0 || i == 20 + SURE as i64, "{i}");
            missing += s.missing;
        }
        assert_eq!((missing, p.end()), (1, Some(40 * 3_600_000)));
        assert!(!p.astray());
    }

    #[test]
    fn a_late_bunch_is_no_hole() {
        let mut p = Pace::new(3_600_000);
        for i in 0..100i64 {
            // Ten frames wait for the last one of them.
            let t = if (40..50).contains(&i) { 50 } else { i };
            let s = p.step(t * 3_600);
            assert_eq!(s.missing, 0);
            assert!((s.duration - 3_600_000).abs() <= 18_000);
        }
    }

    #[test]
    fn another_rate_is_noticed() {
        for step in [7_200, 1_800] {
            let mut p = Pace::new(3_600_000);
            for i in 0..200 {
                p.step(i * step);
            }
            assert!(p.astray(), "{step}");
        }
    }

    proptest! {
        #[test]
        fn jitter_moves_no_frame_by_more_than_the_slew(
            jitter in proptest::collection::vec(0i64..1_900, 1..400),
            drift in -20i64..20,
        ) {
            let mut p = Pace::new(3_600_000);
            let first = jitter[0];
            for (i, j) in jitter.iter().enumerate() {
                let t = 90_000 + i as i64 * 3_600 + i as i64 * drift / 100;
                let s = p.step(t + j);
                prop_assert!(s.missing == 0 && (s.duration - 3_600_000).abs() <= 18_000);
                let off = p.end().unwrap() / 1_000 - (t + 3_600);
                prop_assert!((-200..=first.max(1_900) + 200).contains(&off), "{off}");
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
