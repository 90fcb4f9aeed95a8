//! Ranges of a camera, and what its picture shows at a zoom. Pure.

use super::{Fault, Frame, Outcome, Position};

/// Degrees that a camera's picture is wide and high at a zoom of 1: what 1/2.8" domes with
/// a lens from 6 mm have, near enough. Used only where a camera cannot move by parts of its
/// picture itself.
const WIDE: f64 = 60.0;
const HIGH: f64 = WIDE * 9.0 / 16.0;
/// Near the zenith a turn moves the picture little; the turn is bounded there.
const STEEP: f64 = 0.2;

/// Why a preset is not renamed.
pub const RENAME: &str =
    "the camera stores its position together with a preset's name: go to the preset first, and then rename it";

/// What a camera can reach: degrees, degrees upwards, the zoom's factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lens {
    /// To the right.
    pub pan: (f64, f64),
    /// Upwards.
    pub tilt: (f64, f64),
    /// 1 is wide.
    pub zoom: (f64, f64),
    /// Told by the camera.
    pub known: bool,
}

impl Lens {
    /// The same direction within the range of pan, where that is a whole turn.
    pub fn turned(&self, pan: f64) -> f64 {
        let (low, high) = self.pan;
        if high - low < 359.0 || (low..=high).contains(&pan) {
            return pan;
        }
        low + (pan - low).rem_euclid(360.0)
    }

    /// Errors when a part of `to` is out of the camera's range.
    pub fn fits(&self, to: Position) -> Outcome<()> {
        let parts = [
            ("pan", to.pan.map(|pan| self.turned(pan)), self.pan),
            ("tilt", to.tilt, self.tilt),
            ("zoom", to.zoom, self.zoom),
        ];
        for (name, value, (low, high)) in parts {
            if value.is_some_and(|value| value < low - 0.05 || value > high + 0.05) {
                return Err(Fault::OutOfRange(format!("{name} must be from {low} to {high} on this camera")));
            }
        }
        Ok(())
    }

    /// Parts of the ranges: −1 to 1, zoom 0 to 1.
    pub fn normalized(&self, at: Position) -> Position {
        let part = |value: f64, (low, high): (f64, f64)| ((value - low) / (high - low)).clamp(0.0, 1.0);
        Position {
            pan: at.pan.map(|pan| part(self.turned(pan), self.pan) * 2.0 - 1.0),
            tilt: at.tilt.map(|tilt| part(tilt, self.tilt) * 2.0 - 1.0),
            zoom: at.zoom.map(|zoom| part(zoom, self.zoom)),
        }
    }

    /// The way back.
    pub fn degrees(&self, at: Position) -> Position {
        let whole = |part: f64, (low, high): (f64, f64)| low + part * (high - low);
        Position {
            pan: at.pan.map(|pan| whole((pan + 1.0) / 2.0, self.pan)),
            tilt: at.tilt.map(|tilt| whole((tilt + 1.0) / 2.0, self.tilt)),
            zoom: at.zoom.map(|zoom| whole(zoom, self.zoom)),
        }
    }

    /// From `at` by parts of the picture, zoomed by a factor; kept within the ranges.
    pub fn shifted(&self, at: Position, right: f64, up: f64, factor: f64) -> Position {
        let zoom = at.zoom.unwrap_or(1.0).max(1.0);
        let tilt = at.tilt.unwrap_or(0.0);
        // Where it looks up or down a turn moves the picture less.
        let turn = right * WIDE / zoom / tilt.to_radians().cos().max(STEEP);
        let (low, high) = self.pan;
        let pan = self.turned(at.pan.unwrap_or(0.0) + turn);
        Position {
            pan: Some(pan.clamp(low, high)),
            tilt: Some((tilt + up * HIGH / zoom).clamp(self.tilt.0, self.tilt.1)),
            zoom: Some((zoom * factor).clamp(self.zoom.0, self.zoom.1)),
        }
    }

    /// The piece of the picture fills it, or the other way round.
    pub fn framed(&self, at: Position, frame: Frame) -> Position {
        let side = frame.width.max(frame.height);
        let factor = if frame.out { side } else { 1.0 / side };
        self.shifted(at, frame.x + frame.width / 2.0 - 0.5, 0.5 - frame.y - frame.height / 2.0, factor)
    }
}

/// The other way round where an axis is inverted, without a minus zero.
pub fn flip(value: f64, inverted: bool) -> f64 {
    if inverted { -value + 0.0 } else { value }
}

/// Whether two positions are the same, as cameras stop near where they were sent.
pub fn near(a: Position, b: Position) -> bool {
    let close = |a: Option<f64>, b: Option<f64>, by: f64| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= by,
        (a, b) => a.is_none() && b.is_none(),
    };
    let around = |a: f64, b: f64| (a - b + 180.0).rem_euclid(360.0) - 180.0;
    let pan = match (a.pan, b.pan) {
        (Some(a), Some(b)) => around(a, b).abs() <= 0.5,
        (a, b) => a.is_none() && b.is_none(),
    };
    pan && close(a.tilt, b.tilt, 0.5) && close(a.zoom, b.zoom, 0.2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENS: Lens = Lens { pan: (0.0, 360.0), tilt: (-20.0, 90.0), zoom: (1.0, 25.0), known: true };

    fn at(pan: f64, tilt: f64, zoom: f64) -> Position {
        Position { pan: Some(pan), tilt: Some(tilt), zoom: Some(zoom) }
    }

    #[test]
    fn parts_of_ranges() {
        let n = LENS.normalized(at(135.0, 35.0, 13.0));
        assert_eq!(n, at(-0.25, 0.0, 0.5));
        assert_eq!(LENS.normalized(at(-45.0, 90.0, 25.0)), at(0.75, 1.0, 1.0), "around");
        assert!(LENS.fits(at(-45.0, 90.0, 25.0)).is_ok());
        for (to, name) in [(at(0.0, 91.0, 1.0), "tilt"), (at(0.0, -21.0, 1.0), "tilt"), (at(0.0, 0.0, 26.0), "zoom")] {
            let Err(Fault::OutOfRange(text)) = LENS.fits(to) else { panic!("{to:?}") };
            assert!(text.starts_with(name), "{text}");
        }
        let narrow = Lens { pan: (-170.0, 170.0), ..LENS };
        assert!(narrow.fits(at(175.0, 0.0, 1.0)).is_err() && narrow.fits(at(-170.0, 0.0, 1.0)).is_ok());
    }

    #[test]
    fn parts_of_the_picture() {
        assert_eq!(LENS.shifted(at(350.0, 0.0, 2.0), 0.5, -0.5, 2.0), at(5.0, -8.4375, 4.0));
        assert_eq!(LENS.shifted(at(0.0, -15.0, 1.0), 0.0, -1.0, 0.1), at(0.0, -20.0, 1.0), "bounded");
        let frame = Frame { x: 0.25, y: 0.25, width: 0.5, height: 0.5, out: false };
        assert_eq!(LENS.framed(at(90.0, 0.0, 2.0), frame), at(90.0, 0.0, 4.0));
        assert_eq!(LENS.framed(at(90.0, 0.0, 4.0), Frame { out: true, ..frame }), at(90.0, 0.0, 2.0));
    }

    proptest! {
        #[test]
        fn there_and_back(pan in 0.0..360.0, tilt in -20.0..90.0, zoom in 1.0..25.0) {
            let there = LENS.degrees(LENS.normalized(at(pan, tilt, zoom)));
            prop_assert!(near(there, at(pan, tilt, zoom)));
        }

        #[test]
        fn whatever_is_asked_stays_in_range(
            pan in -400.0..400.0, tilt in -90.0..90.0, zoom in 0.0..100.0, x in -1.0..1.0, y in -1.0..1.0, f in 0.0..3.0
        ) {
            prop_assert!(LENS.fits(LENS.shifted(at(pan, tilt, zoom), x, y, f)).is_ok());
        }
    }
}
