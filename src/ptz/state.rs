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
use super::{About, Ask, Axis, Capabilities, Drive, Edit, Fault, Go, Preset, Reading, Status};

/// How long a refused password is not tried again.
pub const HOLD: u64 = 30 * 60_000;
/// A camera's own lock is outwaited by so much.
const SLACK: u64 = 60_000;
/// Clients that may wait for one camera.
const WAITING: usize = 256;
/// Different things that may wait for one camera.
const QUEUE: usize = 32;
/// How often a camera is looked for that does not answer.
const LOOK: u64 = 10_000;
/// How old the last word of a camera may be.
const FRESH: u64 = 60_000;
/// After so long a movement without a speed has begun to show in the position.
const BEGINS: u64 = 600;
/// Two positions that are compared are at most so far apart.
const COMPARED: u64 = 3_000;

/// Who waits for an answer.
pub type Ticket = u64;

/// What happens to a steerer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A client asks.
    Ask(Ticket, Ask),
    /// The exchange under way has ended.
    Done(Result<Done, Fault>),
    /// Somebody looks at the list of cameras.
    Look,
    /// Time has passed.
    Tick,
    /// The steerer is to end.
    Close,
}

/// What an exchange brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// It is done.
    Nothing,
    /// What the camera is.
    About(About),
    /// Where it looks.
    Reading(Reading),
    /// Its presets.
    Presets(Vec<Preset>),
    /// The id of a new preset, where one was made.
    Saved(Option<String>),
}

/// An exchange with the camera.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// What it is.
    About,
    /// A speed on an axis, for at most so many milliseconds.
    Drive(Drive, u64),
    /// A movement that ends by itself.
    Go(Go),
    /// Where it looks.
    Read,
    /// Its presets.
    Presets,
    /// A change.
    Edit(Edit),
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Done.
    Done,
    /// It moves until then, in milliseconds.
    Moving(u64),
    /// Where it looks.
    Status(Status),
    /// Its presets.
    Presets(Vec<Preset>),
    /// A preset was saved, under a new id where the client named none.
    Saved(Option<String>),
    /// It did not work.
    Failed(Fault),
    /// Too much waits for this camera.
    Busy,
    /// The steerer ends.
    Closing,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begin an exchange. Never while one is under way.
    Run(Task),
    /// Answer a client.
    Reply(Ticket, Answer),
    /// Nothing is left to do after [`Event::Close`].
    End,
}

#[derive(Debug)]
struct Running {
    task: Task,
    axis: Option<usize>,
    until: u64,
    tickets: Vec<Ticket>,
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
    held: Option<(String, u64)>,
    about: Option<About>,
    online: bool,
    error: Option<String>,
    /// When the camera was last spoken to.
    spoke: Option<u64>,
    reading: Option<(u64, Reading)>,
    changed: bool,
    went: Option<u64>,
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
            held: None,
            about: None,
            online: false,
            error: None,
            spoke: None,
            reading: None,
            changed: false,
            went: None,
            closing: false,
            ended: false,
        }
    }

    /// What the camera is, as far as known.
    pub fn about(&self) -> Option<&About> {
        self.about.as_ref()
    }

    /// Whether the camera answered last, and what is wrong with it.
    pub fn health(&self) -> (bool, Option<&str>) {
        (self.online, self.error.as_deref())
    }

    /// When something is to be done without an event.
    pub fn due(&self) -> Option<u64> {
        let stop = |a: &AxisState| (a.stops > 0 && self.running.is_none()).then_some(a.stop_at);
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
        self.next(now, &mut out);
        out
    }

    /// Movements whose time is over: those that wait are not begun, those of the camera's
    /// are stopped. What moves has a deadline, or a stop on its way, or a newer movement.
    fn expire(&mut self, now: u64, out: &mut Vec<Command>) {
        let busy = self.running.as_ref().and_then(|running| running.axis);
        for (index, axis) in self.axes.iter_mut().enumerate() {
            if axis.wish.as_ref().is_some_and(|wish| wish.until.is_some_and(|until| until <= now)) {
                axis.wish = None;
                let late = Fault::Silent("the camera was busy for as long as this move was to last".into());
                out.extend(axis.tickets.drain(..).map(|t| Command::Reply(t, Answer::Failed(late.clone()))));
            }
            axis.deadline.take_if(|at| *at <= now);
            let untended = axis.deadline.is_none() && axis.wish.is_none() && axis.stops == 0;
            if axis.moving && untended && (busy != Some(index) || !self.running.as_ref().is_some_and(Running::stops)) {
                axis.stop(now);
            }
        }
    }

    fn ask(&mut self, now: u64, ticket: Ticket, ask: Ask, out: &mut Vec<Command>) {
        if self.closing {
            return out.push(Command::Reply(ticket, Answer::Closing));
        }
        if let Some(fault) = self.hold(now) {
            let answer = match ask {
                Ask::Status => Answer::Status(self.status(now)),
                _ => Answer::Failed(fault),
            };
            return out.push(Command::Reply(ticket, answer));
        }
        if self.waiting() >= WAITING && ask != Ask::Stop {
            return out.push(Command::Reply(ticket, Answer::Busy));
        }
        match ask {
            Ask::Drive(drive, _) if drive.is_stop() => self.stop(now, drive.axis(), Some(ticket)),
            Ask::Drive(drive, lasts) => {
                let lasts = lasts.map_or(self.lasts, millis);
                let axis = drive.axis();
                let wish = Wish { task: Task::Drive(drive, lasts), until: Some(now.saturating_add(lasts)) };
                self.axes[index(axis)].wish(wish, ticket);
            }
            Ask::Go(go) => self.axes[index(Axis::Move)].wish(Wish { task: Task::Go(go), until: None }, ticket),
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
                if self.about.is_none() && !asks {
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
        let quiet = |ms: u64| self.spoke.is_none_or(|at| now >= at.saturating_add(ms));
        if self.closing || self.hold(now).is_some() || self.running.is_some() {
            return;
        }
        if (self.about.is_none() || !self.online) && quiet(LOOK) {
            self.enqueue(Task::About, None);
        } else if quiet(FRESH) {
            self.enqueue(Task::Read, None);
        }
    }

    fn close(&mut self, now: u64, out: &mut Vec<Command>) {
        self.closing = true;
        self.turn_away(&Answer::Closing, out);
        for axis in &mut self.axes {
            if axis.moving {
                axis.stop(now);
            } else {
                axis.stops = 0;
            }
        }
    }

    fn done(&mut self, now: u64, result: Result<Done, Fault>, out: &mut Vec<Command>) {
        let Some(Running { task, axis, until, tickets }) = self.running.take() else { return };
        self.spoke = Some(now);
        match &result {
            Err(Fault::Silent(reason)) => (self.online, self.error) = (false, Some(reason.clone())),
            Err(Fault::Refused { reason, locked }) => {
                let hold = locked.map_or(HOLD, |locked| millis(locked).saturating_add(SLACK));
                self.held = Some((reason.clone(), now.saturating_add(hold)));
                (self.online, self.error) = (false, Some(reason.clone()));
            }
            Err(fault) => {
                self.online = true;
                self.error = (task == Task::About).then(|| fault.reason().to_owned());
            }
            Ok(_) => (self.online, self.error) = (true, None),
        }
        if let Some(axis) = axis {
            self.axes[axis].moved(now, &task, &result, self.closing);
        }
        if matches!((&task, &result), (Task::Go(_), Ok(_))) {
            self.went = Some(now);
        }
        let answer = match result {
            Ok(Done::About(about)) => {
                self.about = Some(about);
                Answer::Done
            }
            Ok(Done::Reading(reading)) => {
                self.read(now, reading);
                Answer::Status(self.status(now))
            }
            Err(_) if task == Task::Read => Answer::Status(self.status(now)),
            Ok(Done::Presets(presets)) => Answer::Presets(presets),
            Ok(Done::Saved(id)) => Answer::Saved(id),
            Ok(Done::Nothing) => match &task {
                Task::Drive(drive, _) if !drive.is_stop() => Answer::Moving(until),
                _ => Answer::Done,
            },
            Err(ref fault) => {
                let fault = fault.clone();
                // Nobody waits for one time-out after the other.
                if matches!(fault, Fault::Silent(_) | Fault::Refused { .. }) {
                    self.turn_away(&Answer::Failed(fault.clone()), out);
                }
                if matches!(fault, Fault::Refused { .. }) {
                    self.axes.iter_mut().for_each(AxisState::forget);
                }
                Answer::Failed(fault)
            }
        };
        out.extend(tickets.into_iter().map(|ticket| Command::Reply(ticket, answer.clone())));
    }

    /// Answers all who wait; stops are sent all the same.
    fn turn_away(&mut self, answer: &Answer, out: &mut Vec<Command>) {
        let mut tell = |ticket: Ticket, answer: Answer| out.push(Command::Reply(ticket, answer));
        for axis in &mut self.axes {
            axis.wish = None;
            axis.tickets.drain(..).for_each(|ticket| tell(ticket, answer.clone()));
        }
        for (task, tickets) in std::mem::take(&mut self.queue) {
            let answer = match (&task, answer) {
                // The status says itself what is wrong.
                (Task::Read, Answer::Failed(_)) => Answer::Status(self.status_without_reading()),
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
            if let Task::Drive(..) = task {
                let state = &mut self.axes[axis];
                (state.moving, state.deadline) = (true, until);
            }
            self.others_turn = true;
            return self.run(task, Some(axis), until.unwrap_or(0), out);
        }
        self.others_turn = false;
        if let Some((task, tickets)) = self.queue.pop_front() {
            out.push(Command::Run(task.clone()));
            self.running = Some(Running { task, axis: None, until: 0, tickets });
        } else if self.closing && self.axes.iter().all(|a| a.stops == 0 && a.wish.is_none()) {
            self.ended = true;
            out.push(Command::End);
        }
    }

    fn run(&mut self, task: Task, axis: Option<usize>, until: u64, out: &mut Vec<Command>) {
        let tickets = axis.map(|axis| std::mem::take(&mut self.axes[axis].tickets)).unwrap_or_default();
        out.push(Command::Run(task.clone()));
        self.running = Some(Running { task, axis, until, tickets });
    }

    fn read(&mut self, now: u64, reading: Reading) {
        let place = |r: &Reading| (r.position, r.normalized);
        self.changed =
            self.reading.as_ref().is_some_and(|(at, old)| now - at <= COMPARED && place(old) != place(&reading));
        self.reading = Some((now, reading));
    }

    /// The refusal, as long as the camera is to be left in peace.
    fn hold(&self, now: u64) -> Option<Fault> {
        let (reason, until) = self.held.as_ref().filter(|(_, until)| now < *until)?;
        let minutes = (until - now).div_ceil(60_000);
        let reason = format!(
            "{reason}; not tried again for {minutes} min, so that the camera does not lock the account, unless the \
             configuration changes"
        );
        Some(Fault::Refused { reason, locked: None })
    }

    fn status(&self, now: u64) -> Status {
        let reading = self.reading.as_ref().filter(|_| self.online).map(|(_, r)| *r).unwrap_or_default();
        let begins = self.went.is_some_and(|at| now < at.saturating_add(BEGINS));
        let told = reading.moving.unwrap_or(self.changed);
        Status {
            position: reading.position,
            normalized: reading.normalized,
            moving: self.axes[index(Axis::Move)].moving || begins || (self.online && told),
            error: self.hold(now).map(|fault| fault.reason().to_owned()).or_else(|| self.error.clone()),
            ..self.status_without_reading()
        }
    }

    fn status_without_reading(&self) -> Status {
        Status {
            online: self.online,
            moving: self.axes[index(Axis::Move)].moving,
            position: None,
            normalized: None,
            capabilities: self.about.as_ref().map_or(Capabilities::default(), |about| about.capabilities),
            error: self.error.clone(),
        }
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

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
