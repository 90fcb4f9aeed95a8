//! Logins that several paths have in common, such as the channels of a recorder: a password
//! is tried once for all of them, since cameras lock accounts.
//!
//! Until it was good once, one exchange at a time may try it; the others wait for what comes
//! of that, and are refused with the same reason where it was refused. The same holds from the
//! moment that a good one is denied ([`Fault::Doubted`]): it may have been changed. That shows
//! only when an exchange comes back, so few are under way at once: one that reads, one that
//! moves and one that stops, where none of them hangs. With the one that makes sure these are
//! four attempts at a password that was changed; Hikvision's cameras lock the account after five.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::exchange::{Done, Task};
use super::fault::SLACK;
use super::{Fault, Outcome};
use crate::config::PtzTarget;

/// An exchange that takes longer keeps nobody from the same camera any more: a wrong password
/// is refused sooner.
pub const HANGS: Duration = Duration::from_millis(500);
/// Accounts that are remembered beyond those that are in use.
const REMEMBERED: usize = 1_024;
/// How long another path's login is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whose password it is. The password only as a hash with a salt of this process.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    origin: String,
    user: String,
    password: [u8; 32],
}

/// All accounts of all cameras.
pub struct Accounts {
    salt: [u8; 16],
    /// Held for map operations only.
    all: Mutex<HashMap<Key, Arc<Account>>>,
}

impl Default for Accounts {
    fn default() -> Self {
        Accounts { salt: rand::random(), all: Mutex::default() }
    }
}

impl Accounts {
    /// The account that a camera is steered with; the same for the same host, port, user and
    /// password.
    pub fn of(&self, target: &PtzTarget) -> Arc<Account> {
        let password = Sha256::new().chain_update(self.salt).chain_update(target.password.expose()).finalize();
        let key = Key { origin: target.origin(), user: target.user.clone(), password: password.into() };
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = all.get(&key) {
            return account.clone();
        }
        // A refusal outlives its path: else a reload would try the password again.
        all.retain(|_, account| Arc::strong_count(account) > 1 || account.held(Instant::now()).is_some());
        if all.len() >= REMEMBERED {
            all.retain(|_, account| Arc::strong_count(account) > 1);
        }
        all.entry(key).or_default().clone()
    }
}

/// One user at one camera.
#[derive(Debug)]
pub struct Account {
    /// Never held over an await.
    verdict: Mutex<Verdict>,
    /// Who tries the password.
    turn: tokio::sync::Mutex<()>,
    /// Who uses it: a place for each [`Class`].
    places: [Semaphore; 3],
}

impl Default for Account {
    fn default() -> Self {
        Account {
            verdict: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            places: [const { Semaphore::const_new(1) }; 3],
        }
    }
}

/// What an exchange is for: none waits for one of another class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// To look.
    Read,
    /// To move, or to change something.
    Move,
    /// To stop, which any place is good for.
    Stop,
}

impl Class {
    /// Of a task.
    pub fn of(task: &Task) -> Class {
        match task {
            Task::Drive(drive, _) if drive.is_stop() => Class::Stop,
            Task::Drive(..) | Task::Go(_) | Task::Edit(_) => Class::Move,
            Task::About | Task::Read | Task::Presets => Class::Read,
        }
    }
}

#[derive(Debug, Default)]
struct Verdict {
    /// The password was good, and not denied since.
    proven: bool,
    /// Counts the denials of it: what was sent before the last one says nothing any more.
    denials: u64,
    /// Why it is not tried, and until when.
    refused: Option<(String, Instant)>,
    /// Tries that nothing came back of, and why the last one.
    silent: (u64, String),
}

/// Leave to speak to the camera.
pub struct Turn<'a> {
    account: &'a Account,
    /// As of when it was given.
    denials: u64,
    alone: Option<tokio::sync::MutexGuard<'a, ()>>,
    place: Option<SemaphorePermit<'a>>,
}

impl Account {
    fn verdict(&self) -> MutexGuard<'_, Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The refusal, as long as the camera is to be left in peace.
    fn held(&self, now: Instant) -> Option<Fault> {
        let verdict = self.verdict();
        let (reason, until) = verdict.refused.as_ref().filter(|(_, until)| now < *until)?;
        // So that each steerer holds it back for as long as it is held back here.
        let locked = until.duration_since(now).saturating_sub(SLACK);
        Some(Fault::Refused { reason: reason.clone(), locked: Some(locked) })
    }

    /// Waits for leave to speak to the camera; ten seconds at most for each thing that is
    /// waited for (to look, among many channels, thirty). `alone`: leave to try the password, also where it is good.
    ///
    /// Errors: refused, where another path's login was; silent, where nothing came back of
    /// the one that was waited for.
    pub async fn enter(&self, class: Class, alone: bool) -> Outcome<Turn<'_>> {
        let late = || Fault::Silent("another login to the same camera takes too long".into());
        for _ in 0..3 {
            if !alone && let Some(turn) = self.proven(class).await? {
                return Ok(turn);
            }
            let before = self.verdict().silent.0;
            let guard = tokio::time::timeout(PATIENCE, self.turn.lock()).await.map_err(|_| late())?;
            if let Some(fault) = self.held(Instant::now()) {
                return Err(fault);
            }
            let verdict = self.verdict();
            if !verdict.proven && verdict.silent.0 != before {
                // Nobody waits for one time-out after the other.
                return Err(Fault::Silent(verdict.silent.1.clone()));
            }
            if alone || !verdict.proven {
                return Ok(Turn { account: self, denials: verdict.denials, alone: Some(guard), place: None });
            }
            // It is good by now: who uses it holds up nobody who tries it.
        }
        Err(late())
    }

    /// Leave by a password that is known to be good; none where it is not.
    async fn proven(&self, class: Class) -> Outcome<Option<Turn<'_>>> {
        let known = || match self.held(Instant::now()) {
            Some(fault) => Err(fault),
            None => {
                let verdict = self.verdict();
                Ok(verdict.proven.then_some(verdict.denials))
            }
        };
        if known()?.is_none() {
            return Ok(None);
        }
        let [reads, moves, stops] = &self.places;
        let place = async {
            match class {
                Class::Read => reads.acquire().await,
                Class::Move => moves.acquire().await,
                Class::Stop => tokio::select! {
                    biased;
                    place = stops.acquire() => place,
                    place = moves.acquire() => place,
                    place = reads.acquire() => place,
                },
            }
        };
        let late = |_| Fault::Silent("the other channels of this camera take too long".into());
        // invariant: none is ever closed, so that there is a place.
        let patience = if class == Class::Read { 3 * PATIENCE } else { PATIENCE };
        let place = tokio::time::timeout(patience, place).await.map_err(late)?.ok();
        Ok(known()?.map(|denials| Turn { account: self, denials, alone: None, place }))
    }
}

impl<'a> Turn<'a> {
    /// Whether it tries the password, which nobody else does meanwhile.
    pub fn tries(&self) -> bool {
        self.alone.is_some()
    }

    /// Whether it does so since the password was denied.
    pub fn after_denial(&self) -> bool {
        self.tries() && self.denials > 0
    }

    /// Whether others wait for its place.
    pub fn has_place(&self) -> bool {
        self.place.is_some()
    }

    /// Lets others have it.
    pub fn leave_place(&mut self) {
        self.place = None;
    }

    /// What came of it; `proven`: whether the password was needed, and good. A turn that is
    /// dropped says nothing. Of a doubt comes another turn, alone, where nobody else has it.
    pub fn ended(self, result: &Outcome<Done>, proven: bool) -> Option<Turn<'a>> {
        let mut verdict = self.account.verdict();
        // What was sent before somebody was denied says nothing of the password since.
        let late = verdict.denials != self.denials;
        match result {
            Err(Fault::Silent(reason)) => verdict.silent = (verdict.silent.0 + 1, reason.clone()),
            // A lock is one whoever hears of it.
            Err(fault @ Fault::Refused { reason, locked }) if !late || locked.is_some() => {
                let until = Instant::now() + fault.hold();
                (verdict.proven, verdict.refused) = (false, Some((reason.clone(), until)));
                verdict.denials += 1;
            }
            Err(Fault::Doubted(_)) => {
                if !late {
                    verdict.proven = false;
                    verdict.denials += 1;
                }
                // Before anybody else can: they have an attempt each.
                let alone = self.alone.or_else(|| self.account.turn.try_lock().ok())?;
                let denials = verdict.denials;
                return Some(Turn { account: self.account, denials, alone: Some(alone), place: None });
            }
            Ok(_) if !late && proven => (verdict.proven, verdict.refused) = (true, None),
            Err(Fault::Denied(_)) if !late => (verdict.proven, verdict.refused) = (true, None),
            // Whether it looked at the password is not known.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
