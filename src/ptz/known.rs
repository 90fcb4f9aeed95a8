//! What is known of a camera: what it is, whether it answers, where it looks, and for how
//! long it is left in peace. Pure; part of [`super::state`].

use super::exchange::{Done, Task};
use super::state::millis;
use super::{About, Axis, Capabilities, Fault, Go, Reading, Status};

/// After so long a movement without a speed has begun to show in the position.
const BEGINS: u64 = 600;
/// Two positions that are compared are at most so far apart.
const COMPARED: u64 = 3_000;

#[derive(Debug, Default)]
pub(super) struct Known {
    /// What it is.
    pub about: Option<About>,
    /// Whether it answered last.
    pub online: bool,
    /// It did something for us, with the present password.
    pub proven: bool,
    /// What is wrong with it.
    pub error: Option<String>,
    /// When it was last spoken to.
    spoke: Option<u64>,
    /// Why and until when it is left in peace.
    held: Option<(String, u64)>,
    reading: Option<(u64, Reading)>,
    /// The last two readings show different places.
    changed: bool,
    /// When a movement began that ends by itself.
    went: Option<u64>,
}

impl Known {
    /// An exchange has ended.
    pub fn heard(&mut self, now: u64, task: &Task, result: &Result<Done, Fault>) {
        self.spoke = Some(now);
        match result {
            Err(Fault::Silent(reason)) => (self.online, self.error) = (false, Some(reason.clone())),
            Err(fault @ Fault::Refused { reason, .. }) => {
                self.held = Some((reason.clone(), now.saturating_add(millis(fault.hold()))));
                (self.online, self.error) = (false, Some(reason.clone()));
                self.proven = false;
            }
            Err(fault) => {
                self.online = true;
                self.error = (*task == Task::About).then(|| fault.reason().to_owned());
            }
            Ok(_) => (self.online, self.proven, self.error) = (true, true, None),
        }
        match (task, result) {
            (_, Ok(Done::About(about))) => self.about = Some(about.clone()),
            (_, Ok(Done::Reading(reading))) => self.read(now, *reading),
            (Task::Go(_), Ok(_)) => self.went = Some(now),
            (_, Err(Fault::Unsupported(_))) => self.lacks(task),
            // What was read while it moved says nothing of what it does from now on.
            (Task::Drive(drive, _), Ok(_)) if drive.is_stop() && drive.axis() == Axis::Move => {
                (self.reading, self.changed, self.went) = (None, false, None);
            }
            _ => {}
        }
    }

    /// The camera cannot do that, whatever it said.
    fn lacks(&mut self, task: &Task) {
        let Some(about) = &mut self.about else { return };
        let can = &mut about.capabilities;
        match task {
            Task::Drive(drive, _) if drive.axis() == Axis::Focus => can.focus = false,
            Task::Drive(drive, _) if drive.axis() == Axis::Iris => can.iris = false,
            Task::Go(Go::Box(_)) => can.box_zoom = false,
            _ => {}
        }
    }

    /// Whether nothing was said to it for so long.
    pub fn quiet(&self, now: u64, ms: u64) -> bool {
        self.spoke.is_none_or(|at| now >= at.saturating_add(ms))
    }

    fn read(&mut self, now: u64, reading: Reading) {
        let place = |r: &Reading| (r.position, r.normalized);
        self.changed =
            self.reading.as_ref().is_some_and(|(at, old)| now - at <= COMPARED && place(old) != place(&reading));
        self.reading = Some((now, reading));
    }

    /// The refusal, as long as the camera is to be left in peace.
    pub fn hold(&self, now: u64) -> Option<Fault> {
        let (reason, until) = self.held.as_ref().filter(|(_, until)| now < *until)?;
        let minutes = (until - now).div_ceil(60_000);
        let reason = format!(
            "{reason}; not tried again for {minutes} min, so that the camera does not lock the account, unless user or \
             password change in the configuration"
        );
        Some(Fault::Refused { reason, locked: None })
    }

    /// Until when it is left in peace, or was last.
    pub fn held_until(&self) -> Option<u64> {
        self.held.as_ref().map(|(_, until)| *until)
    }

    /// What people are told; `driven`: a speed of ours is on it.
    pub fn status(&self, now: u64, driven: bool) -> Status {
        let reading = self.reading.as_ref().filter(|_| self.online).map(|(_, r)| *r).unwrap_or_default();
        let begins = self.went.is_some_and(|at| now < at.saturating_add(BEGINS));
        let told = reading.moving.unwrap_or(self.changed);
        Status {
            position: reading.position,
            normalized: reading.normalized,
            moving: driven || begins || (self.online && told),
            error: self.hold(now).map(|fault| fault.reason().to_owned()).or_else(|| self.error.clone()),
            ..self.status_without_reading(driven)
        }
    }

    /// The same where it was not looked at.
    pub fn status_without_reading(&self, driven: bool) -> Status {
        Status {
            online: self.online,
            moving: driven,
            position: None,
            normalized: None,
            capabilities: self.about.as_ref().map_or(Capabilities::default(), |about| about.capabilities),
            error: self.error.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Drive, Position};
    use super::*;

    fn at(pan: f64) -> Result<Done, Fault> {
        let position = Some(Position { pan: Some(pan), ..Position::default() });
        Ok(Done::Reading(Reading { position, ..Reading::default() }))
    }

    #[test]
    fn positions_of_before_a_stop_do_not_show_that_it_moves() {
        let mut known = Known::default();
        known.heard(0, &Task::Read, &at(1.0));
        assert!(!known.status(0, false).moving);
        known.heard(300, &Task::Read, &at(2.0));
        assert!(known.status(300, false).moving);
        known.heard(400, &Task::Drive(Drive::stop(Axis::Move), 0), &Ok(Done::Nothing));
        assert!(!known.status(400, false).moving);
        known.heard(410, &Task::Read, &at(3.0));
        assert!(!known.status(410, false).moving);
        // It does not stop: that shows all the same.
        known.heard(500, &Task::Read, &at(4.0));
        assert!(known.status(500, false).moving);
    }
}
