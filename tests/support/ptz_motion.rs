//! What the motors of a PTZ camera do: a position that moves with time.
//!
//! Nothing ticks. What drives the motors is noted with its time, and the
//! position is worked out when somebody asks, so that a hundred cameras cost
//! nothing and a test can ask for any moment ([`Motion::at`]).
//!
//! Degrees and zoom factor, + is right, up, in. Pan wraps where the camera
//! turns all round; tilt and zoom, and the pan of others, stop at their ends.

use std::time::{Duration, Instant};

/// Where the camera looks: degrees to the right, degrees up, zoom factor.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Position {
    pub pan: f64,
    pub tilt: f64,
    pub zoom: f64,
}

impl Position {
    pub const fn new(pan: f64, tilt: f64, zoom: f64) -> Self {
        Self { pan, tilt, zoom }
    }

    /// Equal within `by` degrees and factors; pan the short way round.
    pub fn near(&self, other: &Self, by: f64) -> bool {
        let pan = (self.pan - other.pan).rem_euclid(360.0);
        pan.min(360.0 - pan) <= by && (self.tilt - other.tilt).abs() <= by && (self.zoom - other.zoom).abs() <= by
    }
}

/// How far and how fast the camera goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Lowest and highest; 0 and 360 with [`Limits::wraps`].
    pub pan: (f64, f64),
    /// Turns all round.
    pub wraps: bool,
    pub tilt: (f64, f64),
    pub zoom: (f64, f64),
    /// Per second at full velocity: degrees, degrees, factors. A camera on its
    /// way to a position goes four times as fast.
    pub speed: (f64, f64, f64),
}

impl Default for Limits {
    /// A speed dome: all round, 20° below the horizon to straight up, 25×.
    fn default() -> Self {
        Self { pan: (0.0, 360.0), wraps: true, tilt: (-20.0, 90.0), zoom: (1.0, 25.0), speed: (60.0, 40.0, 5.0) }
    }
}

/// What moves the camera.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Drive {
    Still,
    /// −1…1 each, until told otherwise or until the time.
    Velocity([f64; 3], Option<Instant>),
    To(Position),
}

/// The motors.
#[derive(Debug, Clone)]
pub struct Motion {
    limits: Limits,
    drive: Drive,
    /// The position at `since`, when the drive began.
    from: Position,
    since: Instant,
}

impl Motion {
    /// At rest, looking north along the horizon, zoomed out.
    pub fn new(limits: Limits, now: Instant) -> Self {
        let from = Position::new(0.0_f64.clamp(limits.pan.0, limits.pan.1), 0.0, limits.zoom.0);
        Self { limits, drive: Drive::Still, from, since: now }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Drives at −1…1 of full speed; all 0 stops. `time`: the camera stops by
    /// itself after it.
    pub fn drive(&mut self, velocity: [f64; 3], time: Option<Duration>, now: Instant) {
        self.rest(now);
        if velocity.iter().any(|v| *v != 0.0) {
            self.drive = Drive::Velocity(velocity.map(|v| v.clamp(-1.0, 1.0)), time.map(|t| now + t));
        }
    }

    /// [`Motion::drive`] for pan and tilt (None: they go on as they do) and zoom.
    pub fn drive_some(&mut self, pan_tilt: Option<[f64; 2]>, zoom: Option<f64>, time: Option<Duration>, now: Instant) {
        let [p, t, z] = self.velocity(now);
        let [p, t] = pan_tilt.unwrap_or([p, t]);
        self.drive([p, t, zoom.unwrap_or(z)], time, now);
    }

    /// Goes to a position, as far as the limits let it.
    pub fn go(&mut self, to: Position, now: Instant) {
        self.rest(now);
        self.drive = Drive::To(self.limited(to));
    }

    /// Is there already, as if moved by hand.
    pub fn place(&mut self, at: Position, now: Instant) {
        (self.from, self.since, self.drive) = (self.limited(at), now, Drive::Still);
    }

    /// Stops.
    pub fn rest(&mut self, now: Instant) {
        (self.from, self.since, self.drive) = (self.at(now), now, Drive::Still);
    }

    /// The velocity that it is driven at now; all 0 at rest and on the way to a position.
    pub fn velocity(&self, now: Instant) -> [f64; 3] {
        match self.drive {
            Drive::Velocity(v, end) if end.is_none_or(|end| now < end) => v,
            _ => [0.0; 3],
        }
    }

    /// Do pan and tilt move, does zoom?
    pub fn moving(&self, now: Instant) -> (bool, bool) {
        match self.drive {
            Drive::Still => (false, false),
            Drive::Velocity(..) => {
                let [p, t, z] = self.velocity(now);
                (p != 0.0 || t != 0.0, z != 0.0)
            }
            Drive::To(to) => {
                let at = self.at(now);
                (at.pan != to.pan || at.tilt != to.tilt, at.zoom != to.zoom)
            }
        }
    }

    /// Where it is at this moment (not before the last order).
    pub fn at(&self, now: Instant) -> Position {
        let limits = &self.limits;
        let (pan, tilt, zoom) = limits.speed;
        let run = |until: Instant| until.saturating_duration_since(self.since).as_secs_f64();
        match self.drive {
            Drive::Still => self.from,
            Drive::Velocity([p, t, z], end) => {
                let s = run(end.map_or(now, |end| end.min(now)));
                let to = |from: f64, v: f64, speed: f64| from + v * speed * s;
                let far = Position {
                    pan: to(self.from.pan, p, pan),
                    tilt: to(self.from.tilt, t, tilt),
                    zoom: to(self.from.zoom, z, zoom),
                };
                self.limited(far)
            }
            Drive::To(target) => {
                let s = 4.0 * run(now);
                let step = |from: f64, way: f64, speed: f64| from + way.clamp(-speed * s, speed * s);
                let mut way = target.pan - self.from.pan;
                if limits.wraps {
                    way = (way + 180.0).rem_euclid(360.0) - 180.0; // the short way round
                }
                // There exactly, whatever the sums say.
                let pan = if way.abs() <= pan * s { target.pan } else { step(self.from.pan, way, pan) };
                let tilt = step(self.from.tilt, target.tilt - self.from.tilt, tilt);
                let zoom = step(self.from.zoom, target.zoom - self.from.zoom, zoom);
                self.limited(Position {
                    pan,
                    tilt: if (tilt - target.tilt).abs() < 1e-9 { target.tilt } else { tilt },
                    zoom: if (zoom - target.zoom).abs() < 1e-9 { target.zoom } else { zoom },
                })
            }
        }
    }

    fn limited(&self, p: Position) -> Position {
        let l = &self.limits;
        let pan = if l.wraps { p.pan.rem_euclid(360.0) } else { p.pan.clamp(l.pan.0, l.pan.1) };
        Position { pan, tilt: p.tilt.clamp(l.tilt.0, l.tilt.1), zoom: p.zoom.clamp(l.zoom.0, l.zoom.1) }
    }
}

/// Degrees that the picture is wide at this zoom.
pub fn width(zoom: f64) -> f64 {
    60.0 / zoom
}

/// Degrees that the picture is high.
pub fn height(zoom: f64) -> f64 {
    width(zoom) * 9.0 / 16.0
}
