//! One task per camera: carries out what [`super::state`] decides.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};

use super::account::{Account, Class, HANGS, Turn};
use super::auto;
use super::state::{Answer, Command, Done, Event, Stage, State, Task, Ticket};
use super::{Ask, Boxed, Camera, Capabilities, Driver, Fault, Outcome, Reply};
use crate::config::PtzTarget;
use crate::error::{Error, Kind, Result};
use crate::redact::Secret;

/// Requests that may wait for the task.
const MAILBOX: usize = 64;
/// An exchange with all it takes, such as the first one with an ONVIF camera. Each request
/// in it has its own, shorter time.
const EXCHANGE: Duration = Duration::from_secs(10);
/// The ticket of what no client asked for; theirs begin with 1.
const NOBODY: Ticket = 0;
/// When nothing is due.
const FAR: Duration = Duration::from_secs(3_600);

enum Request {
    Ask(Ask, oneshot::Sender<Answer>),
    Look,
    Close(oneshot::Sender<bool>),
}

/// A camera's steerer; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    tx: mpsc::Sender<Request>,
    seen: watch::Receiver<Camera>,
    turned_away: Arc<AtomicU64>,
    began: Instant,
}

impl Handle {
    /// Asks something of the camera. The future may be dropped; the camera gets what was
    /// asked all the same.
    pub async fn ask(&self, ask: Ask) -> Result<Reply> {
        let (tx, rx) = oneshot::channel();
        // A stop waits for its place; everything else is turned away where there is none.
        let sent = match ask {
            _ if ask.stops() => self.tx.send(Request::Ask(ask, tx)).await.map_err(|_| ()),
            _ => self.tx.try_send(Request::Ask(ask, tx)).map_err(|_| ()),
        };
        if sent.is_err() {
            return Err(self.busy());
        }
        match rx.await {
            Ok(answer) => self.reply(answer),
            Err(_) => Err(closing()),
        }
    }

    fn reply(&self, answer: Answer) -> Result<Reply> {
        match answer {
            Answer::Done => Ok(Reply::Done),
            Answer::Moving(until) => {
                // From now on: the clock of the wall may have been set since the beginning.
                let left = Duration::from_millis(until).saturating_sub(self.began.elapsed());
                Ok(Reply::Moving(SystemTime::now() + left))
            }
            Answer::Status(status) => Ok(Reply::Status(status)),
            Answer::Presets(presets) => Ok(Reply::Presets(presets)),
            Answer::Saved(id) => Ok(id.map_or(Reply::Done, Reply::Saved)),
            Answer::Failed(fault) => Err(fault.into()),
            Answer::Busy => Err(self.busy()),
            Answer::Closing => Err(closing()),
        }
    }

    fn busy(&self) -> Error {
        if self.tx.is_closed() {
            return closing();
        }
        let turned_away = self.turned_away.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(camera = %self.seen.borrow().name, turned_away, "too much waits for this camera");
        Error::new(Kind::Unavailable, "too much waits for this camera: try again in a moment").retry_after(1)
    }

    /// What is known of the camera now; the task may look after one that was not heard of
    /// for long. Waits for nothing.
    pub fn look(&self) -> Camera {
        let _ = self.tx.try_send(Request::Look);
        self.seen.borrow().clone()
    }

    /// Requests that found no place, since the beginning.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Whether its task has ended: nobody hears what is asked.
    pub fn ended(&self) -> bool {
        self.tx.is_closed()
    }

    /// How long it has run.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Stops the camera if it moves, and ends. Returns when that is done: whether it may
    /// still move, since it did not take the stop, or its password was refused.
    pub async fn close(&self) -> bool {
        let (tx, rx) = oneshot::channel();
        self.tx.send(Request::Close(tx)).await.is_ok() && rx.await.unwrap_or(true)
    }
}

fn closing() -> Error {
    Error::new(Kind::Unavailable, "this camera's configuration changes, or camgate ends: try again").retry_after(1)
}

/// What was there before a steerer.
pub enum Before {
    /// None for this camera.
    Nothing,
    /// One that has to end first.
    Ends(Handle),
    /// One that broke off: nobody knows whether the camera moves.
    BrokeOff,
}

/// Starts the steerer of a path's camera on the present runtime. `account` is what it has in
/// common with other paths.
pub fn spawn(name: &str, target: &PtzTarget, account: Arc<Account>, before: Before) -> Handle {
    let (tx, rx) = mpsc::channel(MAILBOX);
    let driver = target.driver.word();
    let seen = watch::Sender::new(Camera {
        name: name.into(),
        driver,
        model: None,
        online: false,
        error: None,
        capabilities: Capabilities::default(),
    });
    let handle = Handle { tx, seen: seen.subscribe(), turned_away: Arc::default(), began: Instant::now() };
    let steerer = Steerer {
        state: State::new(target.move_timeout),
        driver: Some(auto::driver(target)),
        break_off: watch::Sender::new(None),
        account,
        password: target.password.clone(),
        began: handle.began,
        seen,
        waiting: HashMap::new(),
        next: 0,
        closing: Vec::new(),
    };
    tokio::spawn(async move {
        // The camera is looked at once without being asked, so that the list knows it.
        let first = match before {
            Before::Nothing => Event::Look,
            Before::Ends(before) => match before.close().await {
                true => Event::Ask(NOBODY, Ask::Stop),
                false => Event::Look,
            },
            Before::BrokeOff => Event::Ask(NOBODY, Ask::Stop),
        };
        steerer.run(rx, first).await;
    });
    handle
}

/// The camera, lent to an exchange and given back by it.
type Lent = (Outcome<Box<dyn Driver>>, std::result::Result<Done, Fault>);

struct Steerer {
    state: State,
    /// None while an exchange has it.
    driver: Option<Outcome<Box<dyn Driver>>>,
    /// Breaks off the exchange that has it.
    break_off: watch::Sender<Option<Stage>>,
    account: Arc<Account>,
    password: Secret,
    began: Instant,
    seen: watch::Sender<Camera>,
    waiting: HashMap<Ticket, oneshot::Sender<Answer>>,
    next: Ticket,
    closing: Vec<oneshot::Sender<bool>>,
}

impl Steerer {
    async fn run(mut self, mut rx: mpsc::Receiver<Request>, first: Event) {
        let mut exchange: Option<Boxed<'static, Lent>> = None;
        let mut event = Some(first);
        // Nobody is left who could ask; the last stops are sent all the same.
        let mut abandoned = false;
        loop {
            if let Some(event) = event.take() {
                let commands = self.state.step(self.now(), event);
                // Before the answers: whoever got one finds the same in the list.
                self.publish();
                let mut ended = false;
                for command in commands {
                    match command {
                        Command::Run(task) => exchange = self.begin(task),
                        Command::BreakOff(stage) => {
                            self.break_off.send_replace(Some(stage));
                        }
                        Command::Reply(ticket, answer) => {
                            if let Some(client) = self.waiting.remove(&ticket) {
                                let _ = client.send(answer);
                            }
                        }
                        Command::End => ended = true,
                    }
                }
                if ended {
                    break;
                }
            }
            let due =
                self.state.due().map_or_else(|| Instant::now() + FAR, |ms| self.began + Duration::from_millis(ms));
            event = tokio::select! {
                biased;
                (driver, result) = ended(&mut exchange) => {
                    exchange = None;
                    self.driver = Some(driver);
                    Some(Event::Done(result))
                }
                request = rx.recv(), if !abandoned => {
                    abandoned = request.is_none();
                    Some(self.request(request))
                }
                () = tokio::time::sleep_until(due.into()) => Some(Event::Tick),
            };
        }
        let owes = self.state.owes_a_stop();
        for client in self.closing {
            let _ = client.send(owes);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn request(&mut self, request: Option<Request>) -> Event {
        match request {
            Some(Request::Ask(ask, client)) => {
                self.next += 1;
                self.waiting.insert(self.next, client);
                Event::Ask(self.next, ask)
            }
            Some(Request::Look) => Event::Look,
            Some(Request::Close(client)) => {
                self.closing.push(client);
                Event::Close
            }
            None => Event::Close,
        }
    }

    fn begin(&mut self, task: Task) -> Option<Boxed<'static, Lent>> {
        // invariant: the state begins an exchange only when the last one gave the driver back.
        let driver = self.driver.take()?;
        self.break_off.send_replace(None);
        let broken_off = self.break_off.subscribe();
        let (account, password) = (self.account.clone(), self.password.clone());
        Some(Box::pin(async move {
            let mut driver = match driver {
                Ok(driver) => driver,
                Err(fault) => return (Err(fault.clone()), Err(fault.without(&password))),
            };
            let result = attempt(&account, driver.as_mut(), task, broken_off).await;
            (Ok(driver), result.map_err(|fault| fault.without(&password)))
        }))
    }

    fn publish(&self) {
        let (online, error) = self.state.health();
        let about = self.state.about();
        self.seen.send_if_modified(|camera| {
            let changed = camera.online != online || camera.error.as_deref() != error;
            if changed {
                match error {
                    Some(error) => tracing::warn!(camera = %camera.name, "{error}"),
                    None if online => tracing::info!(camera = %camera.name, "PTZ ready"),
                    None => {}
                }
            }
            (camera.online, camera.error) = (online, error.map(str::to_owned));
            if let Some(about) = about {
                (camera.driver, camera.model) = (about.driver, about.model.clone());
                camera.capabilities = about.capabilities;
            }
            changed || about.is_some()
        });
    }
}

async fn ended(exchange: &mut Option<Boxed<'static, Lent>>) -> Lent {
    match exchange {
        Some(exchange) => exchange.await,
        None => std::future::pending().await,
    }
}

/// Resolves when an exchange that is as far as that is to be broken off.
async fn broken_off(asked: &mut watch::Receiver<Option<Stage>>, stage: Stage) {
    if asked.wait_for(|asked| asked.is_some_and(|asked| asked >= stage)).await.is_err() {
        std::future::pending().await
    }
}

/// An exchange, in its turn; a second time, alone, where a password that was good is denied.
async fn attempt(
    account: &Account,
    driver: &mut dyn Driver,
    task: Task,
    mut asked: watch::Receiver<Option<Stage>>,
) -> Outcome<Done> {
    let began = Instant::now();
    let class = Class::of(&task);
    let ends = match &task {
        Task::Drive(_, lasts) if class != Class::Stop => Some(began + Duration::from_millis(*lasts)),
        _ => None,
    };
    // Whoever asked has let go long since.
    let late = || Fault::Silent("the camera was not ready for as long as this move was to last".into());
    let in_time = || ends.is_none_or(|ends| Instant::now() < ends);
    let mut kept: Option<Turn<'_>> = None;
    let mut again = false;
    loop {
        let mut turn = match kept.take() {
            Some(turn) => turn,
            None => tokio::select! {
                biased;
                turn = account.enter(class, again) => turn?,
                () = broken_off(&mut asked, Stage::Waiting) => return Err(Fault::PutOff),
                () = tokio::time::sleep_until(ends.unwrap_or(began + 2 * EXCHANGE).into()) => return Err(late()),
            },
        };
        driver.alone(turn.after_denial());
        let stage = if turn.tries() { Stage::Trying } else { Stage::UnderWay };
        let exchange = async {
            if ends.is_some() {
                driver.ready().await?;
                if !in_time() {
                    return Ok(None);
                }
            }
            carry_out(driver, &task).await.map(Some)
        };
        let result = {
            let mut exchange = std::pin::pin!(tokio::time::timeout(EXCHANGE, exchange));
            let hangs = Instant::now() + HANGS;
            loop {
                tokio::select! {
                    biased;
                    result = &mut exchange => break result,
                    () = broken_off(&mut asked, stage) => return Err(Fault::PutOff),
                    () = tokio::time::sleep_until(hangs.into()), if turn.has_place() => turn.leave_place(),
                }
            }
        };
        let result = match result.unwrap_or_else(|_| Err(Fault::Silent("the camera takes too long".into()))) {
            Ok(Some(done)) => Ok(done),
            // Says nothing of the camera.
            Ok(None) => return Err(late()),
            Err(Fault::Doubted(reason)) if again => Err(Fault::Refused { reason, locked: None }),
            Err(fault) => Err(fault),
        };
        kept = turn.ended(&result, driver.proven());
        if !matches!(result, Err(Fault::Doubted(_))) {
            return result;
        }
        again = true;
    }
}

async fn carry_out(driver: &mut dyn Driver, task: &Task) -> Outcome<Done> {
    Ok(match task {
        Task::About => Done::About(driver.about().await?),
        Task::Drive(drive, lasts) => {
            driver.drive(*drive, Duration::from_millis(*lasts)).await?;
            Done::Nothing
        }
        Task::Go(go) => {
            driver.go(go).await?;
            Done::Nothing
        }
        Task::Read => Done::Reading(driver.read().await?),
        Task::Presets => Done::Presets(driver.presets().await?),
        Task::Edit(edit) => match (edit, driver.edit(edit).await?) {
            (super::Edit::Save { .. }, id) => Done::Saved(id),
            _ => Done::Nothing,
        },
    })
}
