//! What is known of one axis of a camera, and of its stops. Pure; part of [`super::state`].

use super::exchange::{Done, Task, Ticket};
use super::{Axis, Fault};

/// Between the two stops.
pub const REPEAT: u64 = 250;
/// Before a stop that failed is sent again; twice as long each time.
const AGAIN: u64 = 1_000;
/// The longest of these.
const SELDOM: u64 = 30_000;
/// How often a stop is sent that keeps failing, where nothing of ours moves. What moves is
/// never given up.
const TRIES: u32 = 20;

/// A movement that waits for its turn.
#[derive(Debug)]
pub(super) struct Wish {
    pub task: Task,
    /// A speed is of no use after that.
    pub until: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct AxisState {
    pub wish: Option<Wish>,
    /// Who waits for the wish, or for the stop.
    pub tickets: Vec<Ticket>,
    /// The camera may be moving at a speed of ours.
    pub moving: bool,
    /// The same before the speed that is on its way.
    was_moving: bool,
    /// When it is stopped if nobody says anything.
    pub deadline: Option<u64>,
    /// Stops to send, when the next, and how many have failed in a row.
    pub stops: u32,
    pub stop_at: u64,
    pub failed: u32,
    /// At the end: it may move on, as no stop was taken.
    pub owed: bool,
}

impl AxisState {
    /// A new movement.
    pub fn wish(&mut self, now: u64, wish: Wish, ticket: Ticket) {
        // The newest movement takes the place of what a stop would end.
        self.stops = 0;
        // But a way of some axes leaves the speed of the others, which nothing would end then.
        if self.moving && matches!(&wish.task, Task::Go(go) if !go.whole()) {
            (self.stops, self.stop_at, self.failed) = (1, now, 0);
        }
        self.wish = Some(wish);
        self.tickets.push(ticket);
    }

    /// Those who are answered by the exchange that begins now: a stop before a movement is
    /// nobody's.
    pub fn answered(&mut self) -> Vec<Ticket> {
        if self.wish.is_some() { Vec::new() } else { std::mem::take(&mut self.tickets) }
    }

    /// To be stopped, twice.
    pub fn stop(&mut self, now: u64) {
        self.wish = None;
        (self.stops, self.stop_at, self.failed) = (2, now, 0);
    }

    /// This speed is sent now.
    pub fn drives(&mut self, until: Option<u64>) {
        self.was_moving = self.moving;
        (self.moving, self.deadline) = (true, until);
    }

    /// A movement was not sent, since a stop goes first: it ends with a stop of its own axis,
    /// and waits for one of another.
    pub fn put_off(&mut self, wish: Wish, mut tickets: Vec<Ticket>) {
        if let Task::Drive(..) = wish.task {
            (self.moving, self.deadline) = (self.was_moving, None);
        }
        if self.stops == 0 && self.wish.is_none() {
            self.wish = Some(wish);
        }
        tickets.append(&mut self.tickets);
        self.tickets = tickets;
    }

    /// Nothing is said to the camera until then. What it does it goes on doing: that is
    /// stopped as soon as may be.
    pub fn hold(&mut self, until: u64) {
        (self.wish, self.deadline, self.failed) = (None, None, 0);
        (self.stops, self.stop_at) = (if self.moving { 2 } else { 0 }, until);
    }

    /// Nothing is said to the camera any more: the stop of what moves is left to the next one.
    pub fn leave(&mut self) {
        self.owed |= self.moving;
        self.forget();
    }

    /// Nothing more is said on this axis.
    pub fn forget(&mut self) {
        (self.wish, self.moving, self.deadline, self.stops) = (None, false, None, 0);
    }

    /// The camera answers again: a stop that failed need not wait any longer.
    pub fn answers(&mut self, now: u64) {
        if self.failed > 0 {
            self.stop_at = self.stop_at.min(now);
        }
    }

    /// What an exchange on this axis means for it.
    pub fn moved(&mut self, now: u64, task: &Task, result: &Result<Done, Fault>, closing: bool) {
        match (task, result) {
            (Task::Drive(drive, _), Ok(_)) if drive.is_stop() => {
                (self.moving, self.deadline, self.failed, self.owed) = (false, None, 0, false);
                self.stops = self.stops.saturating_sub(1);
                // Nothing else is said any more: the second one can go at once.
                self.stop_at = if closing { now } else { now.saturating_add(REPEAT) };
            }
            // The camera has no such axis.
            (Task::Drive(drive, _), Err(Fault::Unsupported(_))) if drive.is_stop() => self.forget(),
            (Task::Drive(drive, _), Err(_)) if drive.is_stop() && self.stops > 0 => {
                self.failed = self.failed.saturating_add(1);
                if closing {
                    self.stops -= 1;
                    self.owed |= self.moving;
                    self.moving = self.stops > 0;
                } else if self.failed >= TRIES && !self.moving {
                    self.stops = 0;
                }
                let wait = (AGAIN << (self.failed - 1).min(8)).min(SELDOM);
                self.stop_at = if closing { now } else { now.saturating_add(wait) };
            }
            // It goes by itself now, and stops by itself.
            (Task::Go(_), Ok(_)) => (self.moving, self.deadline) = (false, None),
            // It never began.
            (
                Task::Drive(drive, _),
                Err(Fault::Unsupported(_) | Fault::OutOfRange(_) | Fault::Refused { .. } | Fault::Denied(_)),
            ) if !drive.is_stop() => {
                // An earlier one goes on, and is stopped.
                (self.moving, self.deadline) = (self.was_moving, None);
            }
            _ => {}
        }
    }
}

/// Its place among the axes.
pub(super) fn index(axis: Axis) -> usize {
    match axis {
        Axis::Move => 0,
        Axis::Focus => 1,
        Axis::Iris => 2,
    }
}
