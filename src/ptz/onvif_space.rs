//! Numbers in the spaces of an ONVIF camera. Pure.

use super::onvif_xml::Space;
use super::{Fault, Outcome, Position, Velocity};

const SPACES: &str = "http://www.onvif.org/ver10/tptz/PanTiltSpaces";
const GENERIC: (f64, f64) = (-1.0, 1.0);

/// What may have a speed of ours.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct On {
    pub turns: bool,
    pub zooms: bool,
}

impl On {
    /// The parts of a `Velocity`. What is left out goes on as it does: so only what the camera
    /// does not name, and what never moved.
    pub fn speeds(self, v: Velocity, turn: Option<&Space>, lens: Option<&Space>) -> String {
        let untold = turn.is_none() && lens.is_none();
        let mut parts = String::new();
        if turn.is_some() || untold || v.pan != 0.0 || v.tilt != 0.0 || self.turns {
            let (x, y) = (scaled(v.pan, turn.and_then(|s| s.x.ends())), scaled(v.tilt, turn.and_then(|s| s.y.ends())));
            parts += &format!("<tt:PanTilt x=\"{x}\" y=\"{y}\"/>");
        }
        if lens.is_some() || v.zoom != 0.0 || self.zooms {
            parts += &format!("<tt:Zoom x=\"{}\"/>", scaled(v.zoom, lens.and_then(|s| s.x.ends())));
        }
        parts
    }
}

pub(super) fn is_degrees(space: &Space) -> bool {
    space.uri.contains("Spherical") || space.x.ends().is_some_and(|(low, high)| high - low > 4.0)
}

pub(super) fn is_fov(space: &Space) -> bool {
    space.uri.trim() == format!("{SPACES}/TranslationSpaceFov")
}

/// 0 to 1 of a range.
pub(super) fn part(value: f64, (low, high): (f64, f64)) -> f64 {
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}

/// −1 to 1 onto the camera's range, the middle staying the middle.
pub(super) fn scaled(value: f64, range: Option<(f64, f64)>) -> f64 {
    let (low, high) = range.unwrap_or(GENERIC);
    match (low, high) {
        GENERIC => value,
        _ => low + (value + 1.0) / 2.0 * (high - low),
    }
}

/// Degrees within the camera's range, a whole turn further on where that helps.
pub(super) fn in_range(name: &str, value: f64, range: Option<(f64, f64)>, turns: bool) -> Outcome<f64> {
    let Some((low, high)) = range else { return Ok(value) };
    let turned = [value, value - 360.0, value + 360.0];
    let fits = turned.iter().take(if turns { 3 } else { 1 }).find(|v| (low..=high).contains(*v));
    fits.copied().ok_or_else(|| Fault::OutOfRange(format!("{name} must be from {low} to {high} on this camera")))
}

pub(super) fn same_part(a: Position, b: Position) -> bool {
    let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 0.005,
        _ => true,
    };
    close(a.pan, b.pan) && close(a.tilt, b.tilt) && close(a.zoom, b.zoom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_zoomed_is_told_that_it_does_not_any_more() {
        let v = |pan: f64, zoom: f64| Velocity { pan, tilt: 0.0, zoom };
        let on = |turns, zooms| On { turns, zooms };
        let space = Space::default();
        for (on, speed, turn, lens, want) in [
            (on(false, false), v(0.5, 0.0), None, None, "<tt:PanTilt x=\"0.5\" y=\"0\"/>"),
            (on(false, true), v(0.5, 0.0), None, None, "<tt:PanTilt x=\"0.5\" y=\"0\"/><tt:Zoom x=\"0\"/>"),
            (on(false, true), v(0.5, 0.0), Some(&space), None, "<tt:PanTilt x=\"0.5\" y=\"0\"/><tt:Zoom x=\"0\"/>"),
            (on(false, false), v(0.0, 1.0), None, Some(&space), "<tt:Zoom x=\"1\"/>"),
            (on(true, false), v(0.0, 1.0), None, Some(&space), "<tt:PanTilt x=\"0\" y=\"0\"/><tt:Zoom x=\"1\"/>"),
        ] {
            assert_eq!(on.speeds(speed, turn, lens), want, "{on:?} {speed:?}");
        }
    }
}
