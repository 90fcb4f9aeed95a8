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
mod tests {
    use std::task::Poll;

    use super::*;

    fn refused(locked: Option<Duration>) -> Outcome<Done> {
        Err(Fault::Refused { reason: "no".into(), locked })
    }

    /// Whether somebody is let in at once.
    async fn at_once(account: &Account, class: Class) -> Option<Outcome<Turn<'_>>> {
        let mut enter = std::pin::pin!(account.enter(class, false));
        std::future::poll_fn(|cx| {
            Poll::Ready(match enter.as_mut().poll(cx) {
                Poll::Ready(turn) => Some(turn),
                Poll::Pending => None,
            })
        })
        .await
    }

    async fn entered(account: &Account, class: Class) -> Turn<'_> {
        at_once(account, class).await.expect("to be let in at once").unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// With a password that was good.
    async fn proven() -> Account {
        let account = Account::default();
        assert!(entered(&account, Class::Read).await.ended(&Ok(Done::Nothing), true).is_none());
        account
    }

    async fn is_refused(account: &Account) -> bool {
        matches!(at_once(account, Class::Move).await, Some(Err(Fault::Refused { .. })))
    }

    #[tokio::test]
    async fn a_refused_login_is_everybodys() {
        let account = Account::default();
        let first = entered(&account, Class::Move).await;
        let others =
            [account.enter(Class::Move, false), account.enter(Class::Move, false), account.enter(Class::Move, false)];
        let first = async {
            assert!(at_once(&account, Class::Move).await.is_none(), "two at once");
            first.ended(&refused(Some(Duration::from_secs(1_000))), true);
        };
        let (others, ()) = tokio::join!(futures_util::future::join_all(others), first);
        for other in others {
            let Err(Fault::Refused { reason, locked: Some(locked) }) = other.map(drop) else { panic!() };
            assert!(reason == "no" && locked <= Duration::from_secs(1_000), "{locked:?}");
            assert!(locked > Duration::from_secs(900), "{locked:?}");
        }
        let now = Instant::now();
        assert!(account.held(now + Duration::from_secs(1_000)).is_some());
        assert!(account.held(now + Duration::from_secs(1_000) + SLACK).is_none());
    }

    #[tokio::test]
    async fn a_good_password_lets_all_in_until_it_is_refused() {
        let account = proven().await;
        let (a, b) = (entered(&account, Class::Read).await, entered(&account, Class::Move).await);
        // Its right to something else says nothing of the password.
        a.ended(&Err(Fault::Rejected("busy".into())), true);
        let c = entered(&account, Class::Stop).await;
        b.ended(&refused(None), true);
        assert!(is_refused(&account).await);
        // It was sent before.
        c.ended(&Ok(Done::Nothing), true);
        assert!(is_refused(&account).await);
    }

    #[tokio::test]
    async fn what_needs_no_password_proves_none() {
        let account = Account::default();
        entered(&account, Class::Read).await.ended(&Ok(Done::Nothing), false);
        let _tries = entered(&account, Class::Read).await;
        assert!(at_once(&account, Class::Move).await.is_none(), "two at once");
    }

    #[tokio::test]
    async fn one_of_each_class_is_under_way_and_a_stop_has_any_place() {
        let account = proven().await;
        let (read, mut drive) = (entered(&account, Class::Read).await, entered(&account, Class::Move).await);
        assert!(at_once(&account, Class::Read).await.is_none() && at_once(&account, Class::Move).await.is_none());
        let stop = entered(&account, Class::Stop).await;
        assert!(at_once(&account, Class::Stop).await.is_none(), "more than three at once");
        // One that hangs.
        drive.leave_place();
        let other = entered(&account, Class::Stop).await;
        assert!(at_once(&account, Class::Move).await.is_none());
        drop((read, stop, other));
        let _all = [entered(&account, Class::Read).await, entered(&account, Class::Move).await];
    }

    #[tokio::test]
    async fn a_good_password_that_is_denied_is_tried_by_one_alone() {
        let doubted = || Err(Fault::Doubted("no".into()));
        let account = proven().await;
        let under_way = || async { [Class::Read, Class::Move, Class::Stop].map(|class| entered(&account, class)) };
        let [a, b, c] = under_way().await;
        let (a, b, c) = (a.await, b.await, c.await);
        // Who waits now has an attempt of its own, and must not come first.
        let mut waits = std::pin::pin!(account.enter(Class::Move, false));
        assert!(futures_util::poll!(&mut waits).is_pending());
        let again = a.ended(&doubted(), true).expect("the first one makes sure");
        assert!(again.tries() && again.after_denial());
        // These were under way.
        assert!(b.ended(&doubted(), true).is_none());
        c.ended(&Ok(Done::Nothing), true);
        assert!(futures_util::poll!(&mut waits).is_pending(), "two at once");
        let again = again.ended(&doubted(), true).expect("its turn is kept");
        again.ended(&Ok(Done::Nothing), true);
        let used = waits.await.unwrap();
        assert!(!used.tries());
        // What is tried by one alone may be refused; who comes late hears that.
        let e = entered(&account, Class::Read).await;
        let again = used.ended(&doubted(), true).unwrap();
        again.ended(&refused(None), true);
        assert!(e.ended(&doubted(), true).is_some_and(|turn| turn.tries()));
        assert!(is_refused(&account).await);
        assert!(matches!(account.enter(Class::Stop, true).await, Err(Fault::Refused { .. })));
    }

    #[tokio::test]
    async fn silence_is_everybodys_who_waited_and_nobodys_else() {
        let account = Account::default();
        let first = entered(&account, Class::Move).await;
        let waits = account.enter(Class::Move, false);
        let first = async { drop(first.ended(&Err(Fault::Silent("nothing".into())), true)) };
        let (waits, ()) = tokio::join!(waits, first);
        assert!(matches!(waits.map(drop), Err(Fault::Silent(reason)) if reason == "nothing"));
        // Broken off, or refused for another reason: the next one tries.
        drop(entered(&account, Class::Move).await);
        entered(&account, Class::Move).await.ended(&Err(Fault::Rejected("no PTZ".into())), true);
        let _next = entered(&account, Class::Move).await;
        assert!(at_once(&account, Class::Move).await.is_none());
    }

    #[test]
    fn an_account_is_a_host_a_port_a_user_and_a_password() {
        let text = "paths:\n  gate:\n    source: publisher\n    ptz: {driver: hikvision, url: 'http://h', username: u, password: p}\n";
        let config = crate::config::parse(text, None, &[]).unwrap().config;
        let conf = &config.paths["gate"];
        let target = conf.ptz.target(&conf.source).unwrap();
        let accounts = Accounts::default();
        let one = accounts.of(&target);
        assert!(Arc::ptr_eq(&one, &accounts.of(&PtzTarget { channel: 7, ..target.clone() })));
        for other in [
            PtzTarget { host: "i".into(), ..target.clone() },
            PtzTarget { port: 81, ..target.clone() },
            PtzTarget { tls: true, ..target.clone() },
            PtzTarget { user: "v".into(), ..target.clone() },
            PtzTarget { password: "q".into(), ..target.clone() },
        ] {
            assert!(!Arc::ptr_eq(&one, &accounts.of(&other)));
        }
        // What nobody uses is forgotten, but no refusal.
        drop(one);
        Turn { account: &accounts.of(&target), denials: 0, alone: None, place: None }.ended(&refused(None), true);
        accounts.of(&PtzTarget { port: 82, ..target.clone() });
        assert_eq!(accounts.all.lock().unwrap().len(), 2, "the refusal, and the new one");
        assert!(accounts.of(&target).held(Instant::now()).is_some());
    }
}
