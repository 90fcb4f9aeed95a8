//! What a path does next. Pure: no GStreamer, no tokio, no clock of its own.
//!
//! Time is given to each step in milliseconds of any monotonic clock, chance as a
//! number in 0..1.

use crate::media::source::{Failure, FailureKind, Hints};
use crate::path::status::StateName;

/// First pause after a failure, ms.
const BACKOFF_FIRST: u64 = 500;
/// Longest pause after failures, ms.
const BACKOFF_CAP: u64 = 30_000;
/// Pause after a refused password: cameras lock accounts after a handful.
const REFUSED_PAUSE: u64 = 300_000;
/// A source that ran this long was well: the next failure starts from the first pause.
const WELL_AFTER: u64 = 10_000;
/// Packets without a key frame for so long: the camera's GOP is endless, or
/// something else is wrong that a new session may mend.
const KEY_FRAME_WITHIN: u64 = 60_000;

/// What the configuration asks of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether there is a source to run at all (`source: publisher` has none).
    pub has_source: bool,
    /// Run only while somebody wants it.
    pub on_demand: bool,
    /// How long it runs on without anybody, ms.
    pub close_after: u64,
    /// No packet for so long is a stall, ms.
    pub read_timeout: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// How many requests wait for the path, and how many readers it has.
    Demand { holds: usize, readers: usize },
    /// The running source can be read.
    Ready,
    /// The running source ended.
    Failed(Failure),
    /// Time has passed. `silent`: ms since the running source's last packet, or
    /// since its start.
    Tick { silent: u64 },
    /// The configuration changed; `restart` when the source itself did.
    Policy { policy: Policy, restart: bool },
    /// The path goes away.
    Close,
}

/// What to do about it, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Stop the running source.
    Stop,
    /// Start a source, in this way.
    Start(Hints),
    /// Let every waiting request in.
    Admit,
    /// Turn every waiting request away, with the present reason.
    TurnAway(FailureKind),
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Idle,
    Running { since: u64, ready: Option<u64> },
    Waiting { until: u64, refused: bool },
    Closed,
}

/// The state of one path.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    policy: Policy,
    phase: Phase,
    hints: Hints,
    attempts: u32,
    wanted: bool,
    unwanted_since: Option<u64>,
    reason: Option<String>,
    was_live: bool,
}

impl State {
    /// A path that does nothing yet: step it with [`Event::Demand`] to begin.
    pub fn new(policy: Policy) -> Self {
        State {
            policy,
            phase: Phase::Idle,
            hints: Hints::default(),
            attempts: 0,
            wanted: false,
            unwanted_since: None,
            reason: None,
            was_live: false,
        }
    }

    /// Its name for people.
    pub fn name(&self) -> StateName {
        match &self.phase {
            Phase::Closed => StateName::Closed,
            _ if !self.policy.has_source => StateName::NoSource,
            Phase::Idle => StateName::Idle,
            Phase::Running { ready: Some(_), .. } => StateName::Live,
            Phase::Waiting { refused: true, .. } => StateName::Refused,
            Phase::Waiting { .. } => StateName::Reconnecting,
            Phase::Running { .. } if self.was_live || self.attempts > 0 => StateName::Reconnecting,
            Phase::Running { .. } => StateName::Starting,
        }
    }

    /// Why it is so, for people; none while all is well.
    pub fn reason(&self) -> Option<&str> {
        if !self.policy.has_source {
            return Some("waits for a publisher");
        }
        self.reason.as_deref()
    }

    /// Whether readers can be let in now.
    pub fn live(&self) -> bool {
        matches!(self.phase, Phase::Running { ready: Some(_), .. })
    }

    /// Whether a source is running.
    pub fn running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// Whether a request that comes now has something to wait for.
    pub fn worth_waiting(&self) -> bool {
        self.policy.has_source && !matches!(self.phase, Phase::Closed | Phase::Waiting { refused: true, .. })
    }

    /// When the next [`Event::Tick`] is due for this state's own sake.
    pub fn due(&self) -> Option<u64> {
        if let Phase::Waiting { until, refused: true } = self.phase {
            // Not before: a refused password is remembered also while nobody asks.
            return Some(until);
        }
        let idle = self.unwanted_since.filter(|_| self.phase != Phase::Idle).map(|s| s + self.policy.close_after);
        let wait = match self.phase {
            Phase::Waiting { until, .. } => Some(until),
            _ => None,
        };
        [idle, wait].into_iter().flatten().min()
    }

    /// Takes an event at the time `now` (ms) with chance `dice` (0..1).
    pub fn step(&mut self, now: u64, dice: f64, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        if self.phase == Phase::Closed {
            return out;
        }
        match event {
            Event::Close => {
                self.stop(&mut out);
                self.phase = Phase::Closed;
                out.push(Command::TurnAway(FailureKind::Lost));
            }
            Event::Policy { policy, restart } => self.configured(now, policy, restart, &mut out),
            Event::Demand { holds, readers } => {
                self.wanted = holds > 0 || readers > 0;
                self.unwanted_since =
                    (!self.wanted && self.policy.on_demand).then(|| self.unwanted_since.unwrap_or(now));
                if holds > 0 && self.live() {
                    out.push(Command::Admit);
                } else if holds > 0 && !self.worth_waiting() {
                    out.push(Command::TurnAway(self.refusal()));
                }
                self.begin(now, &mut out);
            }
            Event::Ready => {
                if let Phase::Running { ready, .. } = &mut self.phase
                    && ready.is_none()
                {
                    *ready = Some(now);
                    self.was_live = true;
                    self.reason = None;
                    out.push(Command::Admit);
                }
            }
            Event::Failed(failure) => self.failed(now, dice, failure, &mut out),
            Event::Tick { silent } => self.tick(now, dice, silent, &mut out),
        }
        out
    }

    fn refusal(&self) -> FailureKind {
        if self.policy.has_source { FailureKind::Unauthorized } else { FailureKind::NotFound }
    }

    fn stop(&mut self, out: &mut Vec<Command>) {
        if self.running() {
            out.push(Command::Stop);
        }
    }

    /// Starts the source where it is wanted and nothing runs or waits.
    fn begin(&mut self, now: u64, out: &mut Vec<Command>) {
        let wanted = self.wanted || !self.policy.on_demand;
        if self.phase == Phase::Idle && wanted && self.policy.has_source {
            self.phase = Phase::Running { since: now, ready: None };
            out.push(Command::Start(self.hints));
        }
    }

    fn configured(&mut self, now: u64, policy: Policy, restart: bool, out: &mut Vec<Command>) {
        self.policy = policy;
        if restart || !policy.has_source {
            self.stop(out);
            self.phase = Phase::Idle;
            self.hints = Hints::default();
            self.attempts = 0;
            self.reason = None;
        }
        self.unwanted_since = (!self.wanted && policy.on_demand).then(|| self.unwanted_since.unwrap_or(now));
        self.begin(now, out);
    }

    fn failed(&mut self, now: u64, dice: f64, failure: Failure, out: &mut Vec<Command>) {
        let Phase::Running { ready, .. } = self.phase else { return };
        self.stop(out);
        if ready.is_some_and(|r| now.saturating_sub(r) >= WELL_AFTER) {
            self.attempts = 0;
            // What one attempt taught (a hiccup refused the sound) is asked anew.
            self.hints = Hints::default();
        }
        if let Some(hints) = failure.instead.filter(|h| *h != self.hints) {
            self.hints = hints;
            self.reason = Some(failure.reason);
            self.phase = Phase::Running { since: now, ready: None };
            out.push(Command::Start(hints));
            return;
        }
        let hopeless = matches!(
            failure.kind,
            FailureKind::Unauthorized | FailureKind::NotFound | FailureKind::Unplayable | FailureKind::Template
        );
        let refused = failure.kind == FailureKind::Unauthorized;
        let pause = if refused {
            REFUSED_PAUSE
        } else {
            let full = (BACKOFF_FIRST << self.attempts.min(16)).min(BACKOFF_CAP) as f64;
            // Between 75 % and 125 %: a hundred cameras behind one switch do not return in step.
            (full * (0.75 + 0.5 * dice.clamp(0.0, 1.0))) as u64
        };
        self.attempts = self.attempts.saturating_add(1);
        self.reason = Some(failure.reason);
        self.phase = Phase::Waiting { until: now + pause, refused };
        if hopeless {
            out.push(Command::TurnAway(failure.kind));
        }
        self.rest(now, out);
    }

    fn tick(&mut self, now: u64, dice: f64, silent: u64, out: &mut Vec<Command>) {
        if self.rest(now, out) {
            return;
        }
        match self.phase {
            Phase::Waiting { until, .. } if now >= until => {
                self.phase = Phase::Idle;
                self.begin(now, out);
            }
            Phase::Running { ready, since } if silent >= self.policy.read_timeout => {
                let s = self.policy.read_timeout.div_ceil(1000);
                let (kind, reason) = match ready {
                    Some(_) => (FailureKind::Lost, format!("camera sends nothing any more (for {s} s)")),
                    None if now.saturating_sub(since) < silent => return,
                    None => (FailureKind::Silent, format!("camera does not answer (for {s} s)")),
                };
                self.failed(now, dice, Failure::new(kind, reason), out);
            }
            Phase::Running { ready: None, since } if now.saturating_sub(since) >= KEY_FRAME_WITHIN => {
                let reason = format!("camera sent no key frame in {} s", KEY_FRAME_WITHIN / 1000);
                self.failed(now, dice, Failure::new(FailureKind::Lost, reason), out);
            }
            _ => {}
        }
    }

    /// Goes to rest when nobody has wanted the path for long enough.
    fn rest(&mut self, now: u64, out: &mut Vec<Command>) -> bool {
        let Some(since) = self.unwanted_since else { return false };
        if self.phase == Phase::Idle || now < since + self.policy.close_after {
            return false;
        }
        // A refused password is remembered: the next viewer must not try it again.
        if matches!(self.phase, Phase::Waiting { refused: true, until } if now < until) {
            return false;
        }
        self.stop(out);
        self.phase = Phase::Idle;
        self.hints = Hints::default();
        self.attempts = 0;
        self.reason = None;
        self.was_live = false;
        true
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
