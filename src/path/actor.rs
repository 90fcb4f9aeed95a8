//! One actor per path: it owns the source, holds the requests that wait, and
//! does what the state machine decides. Nothing outside waits on its locks: it is
//! asked over a channel, and its status is published.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};

use crate::config::{PathConf, Source as Conf};
use crate::error::{Error, Kind, Result};
use crate::media::gop::Cap;
use crate::media::hub::{CloseReason, Hub, Subscription};
use crate::media::source::{self, FailureKind, Hints, Origin, Source, Spec};
use crate::path::state::{Command, Event, Policy, State};
use crate::path::status::StateName;

/// Requests that wait for the actor itself; it answers in microseconds.
const REQUESTS: usize = 256;
/// Requests that wait for a path that is not ready: each is a client's open POST.
const HOLDS: usize = 1_000;
/// How often a running source is looked after.
const TICK: Duration = Duration::from_millis(500);

enum Request {
    Join(oneshot::Sender<Result<Subscription>>),
    Configure(Arc<PathConf>, Duration),
    Close(CloseReason, oneshot::Sender<()>),
}

/// What a path tells about itself, as it changes.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// One word.
    pub state: StateName,
    /// Why, for people.
    pub reason: Option<String>,
    /// When this state began.
    pub since: SystemTime,
    /// The configuration it runs with.
    pub conf: Arc<PathConf>,
}

/// How the rest of the program speaks to a path.
#[derive(Debug, Clone)]
pub struct Handle {
    tx: mpsc::Sender<Request>,
    /// The present state.
    pub snapshot: watch::Receiver<Snapshot>,
    /// Where its frames are.
    pub hub: Arc<Hub>,
}

impl Handle {
    /// Joins as a reader; waits until the path is ready or turns away.
    pub async fn join(&self) -> Result<Subscription> {
        let (tx, rx) = oneshot::channel();
        let gone = || Error::new(Kind::Unavailable, "the path is going away").retry_after(1);
        self.tx.send(Request::Join(tx)).await.map_err(|_| gone())?;
        rx.await.map_err(|_| gone())?
    }

    /// A changed configuration; only what changed is touched.
    pub async fn configure(&self, conf: Arc<PathConf>, read_timeout: Duration) {
        let _ = self.tx.send(Request::Configure(conf, read_timeout)).await;
    }

    /// Ends the path; returns when its source is gone.
    pub async fn close(&self, reason: CloseReason) {
        let (tx, rx) = oneshot::channel();
        if self.tx.send(Request::Close(reason, tx)).await.is_ok() {
            let _ = rx.await;
        }
    }

    /// Whether the actor still runs.
    pub fn alive(&self) -> bool {
        !self.tx.is_closed()
    }
}

struct Actor {
    name: String,
    conf: Arc<PathConf>,
    read_timeout: Duration,
    /// Made for a pattern: it ends when it comes to rest.
    dynamic: bool,
    state: State,
    began: Instant,
    hub: Arc<Hub>,
    source: Option<Source>,
    source_events: Option<mpsc::Receiver<source::Event>>,
    source_since: Instant,
    holds: Vec<(Instant, oneshot::Sender<Result<Subscription>>)>,
    snapshot: watch::Sender<Snapshot>,
}

/// Starts the actor of a path. `dynamic`: it was made for a name that matched a
/// pattern, and ends by itself when nobody wants it any more.
pub fn spawn(name: &str, conf: Arc<PathConf>, read_timeout: Duration, dynamic: bool) -> Handle {
    let hub = Hub::new(Cap::default());
    let (tx, rx) = mpsc::channel(REQUESTS);
    let now = Instant::now();
    let state = State::new(policy(&conf, read_timeout, dynamic));
    let snapshot = watch::Sender::new(Snapshot {
        state: state.name(),
        reason: None,
        since: SystemTime::now(),
        conf: conf.clone(),
    });
    let handle = Handle { tx, snapshot: snapshot.subscribe(), hub: hub.clone() };
    let actor = Actor {
        name: name.into(),
        conf,
        read_timeout,
        dynamic,
        state,
        began: now,
        hub,
        source: None,
        source_events: None,
        source_since: now,
        holds: Vec::new(),
        snapshot,
    };
    tokio::spawn(actor.run(rx));
    handle
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn policy(conf: &PathConf, read_timeout: Duration, dynamic: bool) -> Policy {
    Policy {
        has_source: !matches!(conf.source, Conf::Publisher),
        // Names that match a pattern come from strangers: none of them keeps a
        // source running by itself.
        on_demand: conf.source_on_demand || dynamic,
        close_after: millis(conf.source_on_demand_close_after),
        read_timeout: millis(read_timeout),
    }
}

/// What to start for this configuration; none where a publisher feeds the path.
pub fn spec(name: &str, conf: &PathConf, read_timeout: Duration) -> Option<Spec> {
    let origin = match &conf.source {
        Conf::Publisher => return None,
        Conf::Test => Origin::Test,
        Conf::Launch(line) => Origin::Launch(line.clone()),
        Conf::Rtsp(url) => Origin::Rtsp {
            url: url.clone(),
            transport: conf.rtsp_transport,
            fingerprint: conf.source_fingerprint.clone(),
        },
    };
    Some(Spec { path: name.into(), origin, template: conf.pipeline.clone(), read_timeout, hints: Hints::default() })
}

impl Actor {
    async fn run(mut self, mut rx: mpsc::Receiver<Request>) {
        let mut readers = self.hub.readers();
        self.demand().await;
        loop {
            let wake = self.next_wake();
            let closing = tokio::select! {
                biased;
                request = rx.recv() => match request {
                    Some(request) => self.request(request).await,
                    None => true,
                },
                event = next_event(&mut self.source_events) => { self.source_event(event).await; false }
                _ = readers.changed() => { self.demand().await; false }
                _ = tokio::time::sleep_until(wake.into()) => { self.tick().await; false }
            };
            if closing || (self.dynamic && self.at_rest(&rx)) {
                break;
            }
        }
        if self.state.name() != StateName::Closed {
            self.close(CloseReason::PathRemoved).await;
        }
        // Handles may outlive the path, and so would the picture.
        self.hub.forget_still();
        tracing::debug!(path = %self.name, "path ended");
    }

    /// A path made for a pattern ends when nothing runs, waits or reads.
    fn at_rest(&self, rx: &mpsc::Receiver<Request>) -> bool {
        let quiet = matches!(self.state.name(), StateName::Idle | StateName::NoSource);
        quiet && self.holds.is_empty() && rx.is_empty() && *self.hub.readers().borrow() == 0
    }

    fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// When to look again without being asked.
    fn next_wake(&self) -> Instant {
        let far = Duration::from_secs(3_600);
        let due = self.state.due().map(|ms| self.began + Duration::from_millis(ms));
        let hold = self.holds.iter().map(|(deadline, _)| *deadline).min();
        let tick = (self.state.running() || !self.holds.is_empty()).then(|| Instant::now() + TICK);
        [due, hold, tick].into_iter().flatten().min().unwrap_or_else(|| Instant::now() + far)
    }

    async fn request(&mut self, request: Request) -> bool {
        match request {
            Request::Join(reply) => {
                if self.holds.len() >= HOLDS {
                    let full = Error::new(Kind::Unavailable, "too many requests wait for this path").retry_after(5);
                    let _ = reply.send(Err(full));
                } else {
                    self.holds.push((Instant::now() + self.conf.source_on_demand_start_timeout, reply));
                    self.demand().await;
                }
                false
            }
            Request::Configure(conf, read_timeout) => {
                let restart = spec(&self.name, &conf, read_timeout) != spec(&self.name, &self.conf, self.read_timeout);
                if conf.source != self.conf.source {
                    // Perhaps another camera: this one's picture must not be shown as its
                    // own. The old source, which still runs, is cut off before.
                    self.hub.end();
                    self.hub.forget_still();
                }
                (self.conf, self.read_timeout) = (conf, read_timeout);
                let policy = policy(&self.conf, self.read_timeout, self.dynamic);
                self.step(Event::Policy { policy, restart }).await;
                false
            }
            Request::Close(reason, done) => {
                self.close(reason).await;
                let _ = done.send(());
                true
            }
        }
    }

    async fn close(&mut self, reason: CloseReason) {
        self.hub.close_readers(reason);
        self.step(Event::Close).await;
    }

    async fn demand(&mut self) {
        let readers = *self.hub.readers().borrow();
        self.step(Event::Demand { holds: self.holds.len(), readers }).await;
    }

    async fn source_event(&mut self, event: Option<source::Event>) {
        match event {
            Some(source::Event::Tracks(tracks)) => {
                let names: Vec<&str> = tracks.iter().map(|t| t.codec.label()).collect();
                tracing::info!(path = %self.name, tracks = names.join(", "), "source describes itself");
            }
            Some(source::Event::Ready) => self.step(Event::Ready).await,
            Some(source::Event::Failed(failure)) => self.step(Event::Failed(failure)).await,
            None => self.source_events = None,
        }
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        let before = self.holds.len();
        self.holds.retain(|(_, reply)| !reply.is_closed());
        let (late, waiting) = self.holds.drain(..).partition(|(deadline, _)| *deadline <= now);
        self.holds = waiting;
        for (_, reply) in late {
            let _ = reply.send(Err(self.too_late()));
        }
        if self.holds.len() != before {
            self.demand().await;
        }
        let heard = self.hub.last_arrival().map_or(self.source_since, |at| at.max(self.source_since));
        self.step(Event::Tick { silent: millis(now.saturating_duration_since(heard)) }).await;
    }

    async fn step(&mut self, event: Event) {
        // A step may call for another: letting requests in changes the demand.
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for command in self.state.step(self.now(), rand::random(), event) {
                match command {
                    Command::Stop => self.stop().await,
                    Command::Start(hints) => next = self.start(hints).await,
                    Command::Admit => {
                        self.admit();
                        next = Some(Event::Demand { holds: 0, readers: *self.hub.readers().borrow() });
                    }
                    Command::TurnAway(kind) => {
                        self.turn_away(kind);
                        // Nobody waits any more: the path must not believe that it is wanted.
                        next = Some(Event::Demand { holds: 0, readers: *self.hub.readers().borrow() });
                    }
                }
            }
            self.publish();
        }
    }

    async fn start(&mut self, hints: Hints) -> Option<Event> {
        let spec = Spec { hints, ..spec(&self.name, &self.conf, self.read_timeout)? };
        let (tx, rx) = mpsc::channel(source::EVENTS);
        self.source_since = Instant::now();
        self.source_events = Some(rx);
        match Source::start(&spec, &self.hub, tx).await {
            Ok(source) => {
                self.source = Some(source);
                None
            }
            Err(failure) => Some(Event::Failed(failure)),
        }
    }

    async fn stop(&mut self) {
        self.source_events = None;
        self.hub.end();
        if let Some(source) = self.source.take() {
            source.stop().await;
        }
    }

    fn admit(&mut self) {
        for (_, reply) in std::mem::take(&mut self.holds) {
            if reply.is_closed() {
                continue;
            }
            let max = self.conf.max_readers;
            let answer = if max > 0 && *self.hub.readers().borrow() >= max {
                Err(Error::new(Kind::Unavailable, format!("path \"{}\" has its {max} readers (maxReaders)", self.name))
                    .retry_after(5))
            } else {
                Ok(self.hub.subscribe())
            };
            let _ = reply.send(answer);
        }
    }

    fn turn_away(&mut self, kind: FailureKind) {
        let reason = self.state.reason().unwrap_or("it is going away").to_owned();
        let message = format!("nothing to read on path \"{}\" now: {reason}", self.name);
        let error = match kind {
            FailureKind::NotFound => Error::new(Kind::NotFound, message).retry_after(2),
            FailureKind::Silent => Error::new(Kind::GatewayTimeout, message).retry_after(2),
            FailureKind::Lost | FailureKind::Internal => Error::new(Kind::Unavailable, message).retry_after(2),
            _ => Error::new(Kind::BadGateway, message).retry_after(10),
        };
        for (_, reply) in self.holds.drain(..) {
            let _ = reply.send(Err(error.clone()));
        }
    }

    fn too_late(&self) -> Error {
        let s = self.conf.source_on_demand_start_timeout.as_secs_f32();
        let why = self.state.reason().map(|r| format!(": {r}")).unwrap_or_default();
        Error::new(Kind::GatewayTimeout, format!("path \"{}\" was not ready within {s} s{why}", self.name))
            .retry_after(2)
    }

    fn publish(&self) {
        let (state, reason) = (self.state.name(), self.state.reason().map(str::to_owned));
        self.snapshot.send_if_modified(|s| {
            let changed = s.state != state || s.reason != reason || !Arc::ptr_eq(&s.conf, &self.conf);
            if s.state != state || s.reason != reason {
                match &reason {
                    Some(reason) => tracing::warn!(path = %self.name, state = ?state, "{reason}"),
                    None => tracing::info!(path = %self.name, state = ?state, "path"),
                }
            }
            if s.state != state {
                s.since = SystemTime::now();
            }
            (s.state, s.reason, s.conf) = (state, reason.clone(), self.conf.clone());
            changed
        });
    }
}

async fn next_event(rx: &mut Option<mpsc::Receiver<source::Event>>) -> Option<source::Event> {
    match rx {
        Some(rx) => rx.recv().await,
        None => std::future::pending().await,
    }
}
