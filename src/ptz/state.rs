//! What is said to a camera, and when. Pure: an event in, commands out; times are
//! milliseconds since the steerer's beginning.
//!
//! - One exchange at a time. Of what waits, a stop goes first, then the newest movement of
//!   each axis; whoever asked for an older one gets the newest one's answer.
//! - A move that is not renewed ends by itself: the dead-man's timer runs from when the
//!   client asked, and also where nobody knows whether the camera got the move.
//! - A stop is sent twice, and again while it fails.
//! - A refused password is not tried again until much later: cameras lock accounts.

use std::collections::VecDeque;
use std::time::Duration;

use super::axis::{AxisState, Wish, index};
pub use super::exchange::{Answer, Command, Done, Event, Stage, Task, Ticket};
use super::known::Known;
use super::{About, Ask, Axis, Drive, Fault};

/// Clients that may wait for one camera.
const WAITING: usize = 256;
/// Different things that may wait for one camera.
const QUEUE: usize = 32;
/// How often a camera is looked for that does not answer.
const LOOK: u64 = 10_000;
/// How old the last word of a camera may be.
const FRESH: u64 = 60_000;

#[derive(Debug)]
struct Running {
    task: Task,
    axis: Option<usize>,
    until: u64,
    tickets: Vec<Ticket>,
    /// It is being broken off, and begins anew when it failed by that.
    broken_off: Option<Stage>,
}

/// A camera's steerer, without its clock and its camera.
#[derive(Debug)]
pub struct State {
    lasts: u64,
    axes: [AxisState; 3],
    queue: VecDeque<(Task, Vec<Ticket>)>,
    running: Option<Running>,
    /// A movement had its turn: what else waits has the next.
    others_turn: bool,
    known: Known,
    closing: bool,
    ended: bool,
}

impl State {
    /// `lasts`: how long a move lasts where the client does not say.
    pub fn new(lasts: Duration) -> State {
        State {
            lasts: millis(lasts),
            axes: Default::default(),
            queue: VecDeque::new(),
            running: None,
            others_turn: false,
            known: Known::default(),
            closing: false,
            ended: false,
        }
    }

    /// What the camera is, as far as known.
    pub fn about(&self) -> Option<&About> {
        self.known.about.as_ref()
    }

    /// Whether the camera answered last, and what is wrong with it.
    pub fn health(&self) -> (bool, Option<&str>) {
        (self.known.online, self.known.error.as_deref())
    }

    /// Whether the camera may still move although all is said: whoever steers it next is to
    /// stop it first.
    pub fn owes_a_stop(&self) -> bool {
        self.axes.iter().any(|axis| axis.owed)
    }

    /// When something is to be done without an event.
    pub fn due(&self) -> Option<u64> {
        let free = self.running.as_ref().is_none_or(|running| !running.stops() && running.broken_off.is_none());
        let stop = |a: &AxisState| (a.stops > 0 && free).then_some(a.stop_at);
        self.axes.iter().flat_map(|a| [a.deadline, stop(a)]).flatten().min()
    }

    /// One step.
    pub fn step(&mut self, now: u64, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        match event {
            Event::Ask(ticket, ask) => self.ask(now, ticket, ask, &mut out),
            Event::Done(result) => self.done(now, result, &mut out),
            Event::Look => self.look(now),
            Event::Tick => {}
            Event::Close => self.close(now, &mut out),
        }
        self.expire(now, &mut out);
        self.break_off(now, &mut out);
        self.next(now, &mut out);
        out
    }

    /// A stop waits for nothing that only reads and for nothing that itself waits, and the end
    /// neither.
    fn break_off(&mut self, now: u64, out: &mut Vec<Command>) {
        let due = self.closing || self.axes.iter().any(|a| a.stops > 0 && a.stop_at <= now);
        let closing = self.closing;
        let Some(running) = self.running.as_mut().filter(|running| due && !running.stops()) else { return };
        let reads = matches!(running.task, Task::About | Task::Read | Task::Presets);
        let stage = match (reads, closing) {
            (false, _) => Stage::Waiting,
            // What came of an attempt at a password is waited for.
            (true, false) => Stage::UnderWay,
            (true, true) => Stage::Trying,
        };
        if running.broken_off < Some(stage) {
            running.broken_off = Some(stage);
            out.push(Command::BreakOff(stage));
        }
    }

    /// Movements whose time is over: those that wait are not begun, those of the camera's
    /// are stopped. What moves has a deadline, or a stop on its way, or a newer movement.
    fn expire(&mut self, now: u64, out: &mut Vec<Command>) {
        let held = self.known.hold(now).is_some();
        let busy = self.running.as_ref().and_then(|running| running.axis);
        for (index, axis) in self.axes.iter_mut().enumerate() {
            if axis.wish.as_ref().is_some_and(|wish| wish.until.is_some_and(|until| until <= now)) {
                axis.wish = None;
                let late = Fault::Silent("the camera was busy for as long as this move was to last".into());
                out.extend(axis.tickets.drain(..).map(|t| Command::Reply(t, Answer::Failed(late.clone()))));
            }
            axis.deadline.take_if(|at| *at <= now);
            let untended = axis.deadline.is_none() && axis.wish.is_none() && axis.stops == 0;
            if axis.moving
                && untended
                && !held
                && (busy != Some(index) || !self.running.as_ref().is_some_and(Running::stops))
            {
                axis.stop(now);
            }
        }
    }

    fn ask(&mut self, now: u64, ticket: Ticket, ask: Ask, out: &mut Vec<Command>) {
        if self.closing {
            return out.push(Command::Reply(ticket, Answer::Closing));
        }
        if let Some(fault) = self.known.hold(now) {
            let answer = match ask {
                Ask::Status => Answer::Status(self.known.status(now, self.driven())),
                _ => Answer::Failed(fault),
            };
            return out.push(Command::Reply(ticket, answer));
        }
        if self.waiting() >= WAITING && !ask.stops() {
            return out.push(Command::Reply(ticket, Answer::Busy));
        }
        match ask {
            Ask::Drive(drive, _) if drive.is_stop() => self.stop(now, drive.axis(), Some(ticket)),
            Ask::Drive(drive, lasts) => {
                let lasts = lasts.map_or(self.lasts, millis);
                let axis = drive.axis();
                let wish = Wish { task: Task::Drive(drive, lasts), until: Some(now.saturating_add(lasts)) };
                self.axes[index(axis)].wish(now, wish, ticket);
            }
            Ask::Go(go) => self.axes[index(Axis::Move)].wish(now, Wish { task: Task::Go(go), until: None }, ticket),
            Ask::Stop => {
                for axis in [Axis::Focus, Axis::Iris] {
                    let state = &self.axes[index(axis)];
                    if state.moving || state.wish.is_some() || state.stops > 0 {
                        self.stop(now, axis, None);
                    }
                }
                self.stop(now, Axis::Move, Some(ticket));
            }
            Ask::Status => {
                let asks = self.running.as_ref().is_some_and(|running| running.task == Task::About);
                if self.known.about.is_none() && !asks {
                    self.enqueue(Task::About, None);
                }
                self.ask_else(Task::Read, ticket, out);
            }
            Ask::Presets => self.ask_else(Task::Presets, ticket, out),
            Ask::Edit(edit) => self.ask_else(Task::Edit(edit), ticket, out),
        }
    }

    fn stop(&mut self, now: u64, axis: Axis, ticket: Option<Ticket>) {
        let state = &mut self.axes[index(axis)];
        // Also where we know of no movement: another program may have begun one.
        state.stop(now);
        state.tickets.extend(ticket);
    }

    fn ask_else(&mut self, task: Task, ticket: Ticket, out: &mut Vec<Command>) {
        if !self.enqueue(task, Some(ticket)) {
            out.push(Command::Reply(ticket, Answer::Busy));
        }
    }

    /// False when the queue is full. What only reads is asked once for all who wait.
    fn enqueue(&mut self, task: Task, ticket: Option<Ticket>) -> bool {
        let same = |(queued, _): &&mut (Task, Vec<Ticket>)| *queued == task && !matches!(task, Task::Edit(_));
        if let Some((_, tickets)) = self.queue.iter_mut().find(same) {
            tickets.extend(ticket);
            return true;
        }
        if self.queue.len() >= QUEUE {
            return false;
        }
        self.queue.push_back((task, ticket.into_iter().collect()));
        true
    }

    fn look(&mut self, now: u64) {
        let quiet = |ms: u64| self.known.quiet(now, ms);
        if self.closing || self.known.hold(now).is_some() || self.running.is_some() {
            return;
        }
        if (self.known.about.is_none() || !self.known.online) && quiet(LOOK) {
            self.enqueue(Task::About, None);
        } else if quiet(FRESH) {
            self.enqueue(Task::Read, None);
        }
    }

    fn close(&mut self, now: u64, out: &mut Vec<Command>) {
        if std::mem::replace(&mut self.closing, true) {
            return;
        }
        self.turn_away(&Answer::Closing, out);
        let held = self.known.hold(now).is_some();
        for axis in &mut self.axes {
            // Where the password is refused a stop would be, too.
            match axis.moving && !held {
                true => axis.stop(now),
                false => axis.leave(),
            }
        }
    }

    fn done(&mut self, now: u64, result: Result<Done, Fault>, out: &mut Vec<Command>) {
        let Some(Running { task, axis, until, tickets, .. }) = self.running.take() else { return };
        if matches!(result, Err(Fault::PutOff)) {
            if self.closing {
                out.extend(tickets.into_iter().map(|ticket| Command::Reply(ticket, Answer::Closing)));
            } else if let Some(axis) = axis {
                self.axes[axis].put_off(Wish { task, until: (until > 0).then_some(until) }, tickets);
            } else {
                self.queue.push_front((task, tickets));
            }
            return;
        }
        self.known.heard(now, &task, &result);
        if let Some(axis) = axis {
            self.axes[axis].moved(now, &task, &result, self.closing);
        }
        if result.is_ok() {
            self.axes.iter_mut().for_each(|axis| axis.answers(now));
        }
        // Before anything else, whatever was asked: what waits must not follow with the same
        // password, and nobody waits for one time-out after the other.
        if let Err(fault @ (Fault::Silent(_) | Fault::Refused { .. })) = &result {
            self.turn_away(&Answer::Failed(fault.clone()), out);
            if matches!(fault, Fault::Refused { .. }) {
                match self.known.held_until().filter(|_| !self.closing) {
                    Some(until) => self.axes.iter_mut().for_each(|axis| axis.hold(until)),
                    None => self.axes.iter_mut().for_each(AxisState::leave),
                }
            }
        }
        let answer = match result {
            Ok(Done::About(_)) => Answer::Done,
            Ok(Done::Reading(_)) => Answer::Status(self.known.status(now, self.driven())),
            Err(_) if task == Task::Read => Answer::Status(self.known.status(now, self.driven())),
            Ok(Done::Presets(presets)) => Answer::Presets(presets),
            Ok(Done::Saved(id)) => Answer::Saved(id),
            Ok(Done::Nothing) => match &task {
                Task::Drive(drive, _) if !drive.is_stop() => Answer::Moving(until),
                _ => Answer::Done,
            },
            Err(fault) => Answer::Failed(fault),
        };
        out.extend(tickets.into_iter().map(|ticket| Command::Reply(ticket, answer.clone())));
    }

    /// Answers all who wait; stops are sent all the same.
    fn turn_away(&mut self, answer: &Answer, out: &mut Vec<Command>) {
        let driven = self.driven();
        let mut tell = |ticket: Ticket, answer: Answer| out.push(Command::Reply(ticket, answer));
        for axis in &mut self.axes {
            axis.wish = None;
            axis.tickets.drain(..).for_each(|ticket| tell(ticket, answer.clone()));
        }
        for (task, tickets) in std::mem::take(&mut self.queue) {
            let answer = match (&task, answer) {
                // The status says itself what is wrong.
                (Task::Read, Answer::Failed(_)) => Answer::Status(self.known.status_without_reading(driven)),
                _ => answer.clone(),
            };
            tickets.into_iter().for_each(|ticket| tell(ticket, answer.clone()));
        }
    }

    /// Begins the next exchange, if one waits and none is under way.
    fn next(&mut self, now: u64, out: &mut Vec<Command>) {
        if self.running.is_some() || self.ended {
            return;
        }
        const AXES: [Axis; 3] = [Axis::Move, Axis::Focus, Axis::Iris];
        let stop = AXES.into_iter().find(|a| {
            let state = &self.axes[index(*a)];
            state.stops > 0 && state.stop_at <= now
        });
        if let Some(axis) = stop {
            return self.run(Task::Drive(Drive::stop(axis), 0), Some(index(axis)), 0, out);
        }
        let others = self.others_turn && !self.queue.is_empty();
        for axis in AXES.map(index).into_iter().filter(|_| !others) {
            let Some(Wish { task, until }) = self.axes[axis].wish.take() else { continue };
            let task = match (task, until) {
                // Of its time some has passed.
                (Task::Drive(drive, _), Some(at)) => Task::Drive(drive, at.saturating_sub(now)),
                (task, _) => task,
            };
            if let Task::Drive(..) = task {
                self.axes[axis].drives(until);
            }
            self.others_turn = true;
            return self.run(task, Some(axis), until.unwrap_or(0), out);
        }
        self.others_turn = false;
        if let Some((task, tickets)) = self.queue.pop_front() {
            out.push(Command::Run(task.clone()));
            self.running = Some(Running { task, axis: None, until: 0, tickets, broken_off: None });
        } else if self.closing && self.axes.iter().all(|a| a.stops == 0 && a.wish.is_none()) {
            self.ended = true;
            out.push(Command::End);
        }
    }

    fn run(&mut self, task: Task, axis: Option<usize>, until: u64, out: &mut Vec<Command>) {
        let tickets = axis.map(|axis| self.axes[axis].answered()).unwrap_or_default();
        out.push(Command::Run(task.clone()));
        self.running = Some(Running { task, axis, until, tickets, broken_off: None });
    }

    /// Whether a speed of ours is on the camera.
    fn driven(&self) -> bool {
        self.axes[index(Axis::Move)].moving
    }

    fn waiting(&self) -> usize {
        let queued = self.queue.iter().map(|(_, tickets)| tickets.len()).sum::<usize>();
        let running = self.running.as_ref().map_or(0, |r| r.tickets.len());
        self.axes.iter().map(|a| a.tickets.len()).sum::<usize>() + queued + running
    }
}

impl Running {
    fn stops(&self) -> bool {
        matches!(&self.task, Task::Drive(drive, _) if drive.is_stop())
    }
}

pub(super) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
