//! Logins that several paths have in common, such as the channels of a recorder: a password
//! is tried once for all of them, since cameras lock accounts.
//!
//! Until it was good once, one exchange at a time may try it; the others wait for what comes
//! of that, and are refused with the same reason where it was refused. The same holds from the
//! moment that a good one is denied ([`Fault::Doubted`]): it may have been changed. Since that
//! shows only when exchanges come back, no more than [`AT_ONCE`] are under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::exchange::Done;
use super::fault::SLACK;
use super::{Fault, Outcome};
use crate::config::PtzTarget;

/// Exchanges under way with a password that was good. Hikvision's lock after five wrong ones:
/// these, and the one that makes sure.
const AT_ONCE: usize = 3;
/// How long a stop waits for its place among them.
const HURRY: Duration = Duration::from_millis(300);
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
    /// Who uses it.
    places: Semaphore,
}

impl Default for Account {
    fn default() -> Self {
        Account { verdict: Mutex::default(), turn: tokio::sync::Mutex::default(), places: Semaphore::new(AT_ONCE) }
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
    _alone: Option<tokio::sync::MutexGuard<'a, ()>>,
    _place: Option<SemaphorePermit<'a>>,
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
    /// waited for. A stop waits less for its place.
    ///
    /// Errors: refused, where another path's login was; silent, where nothing came back of
    /// the one that was waited for.
    pub async fn enter(&self, stops: bool) -> Outcome<Turn<'_>> {
        let before = self.verdict().silent.0;
        if let Some(turn) = self.proven(stops).await? {
            return Ok(turn);
        }
        let late = || Fault::Silent("another login to the same camera takes too long".into());
        let alone = tokio::time::timeout(PATIENCE, self.turn.lock()).await.map_err(|_| late())?;
        if let Some(turn) = self.proven(stops).await? {
            return Ok(turn);
        }
        let verdict = self.verdict();
        match verdict.silent.0 == before {
            true => Ok(Turn { account: self, denials: verdict.denials, _alone: Some(alone), _place: None }),
            // Nobody waits for one time-out after the other.
            false => Err(Fault::Silent(verdict.silent.1.clone())),
        }
    }

    /// Leave by a password that is known to be good; none where it is not.
    async fn proven(&self, stops: bool) -> Outcome<Option<Turn<'_>>> {
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
        let wait = if stops { HURRY } else { PATIENCE };
        let place = match tokio::time::timeout(wait, self.places.acquire()).await {
            Ok(place) => place.ok(),
            Err(_) if stops => None,
            Err(_) => return Err(Fault::Silent("the other channels of this camera take too long".into())),
        };
        Ok(known()?.map(|denials| Turn { account: self, denials, _alone: None, _place: place }))
    }
}

impl Turn<'_> {
    /// What came of it; texts without the password. A turn that is dropped says nothing.
    pub fn ended(self, result: &Outcome<Done>) {
        let mut verdict = self.account.verdict();
        // What was sent before somebody was denied says nothing of the password since.
        let late = verdict.denials != self.denials;
        match result {
            Err(Fault::Silent(reason)) => verdict.silent = (verdict.silent.0 + 1, reason.clone()),
            _ if late => {}
            Ok(_) | Err(Fault::Denied(_)) => (verdict.proven, verdict.refused) = (true, None),
            Err(fault @ Fault::Refused { reason, .. }) => {
                let until = Instant::now() + fault.hold();
                (verdict.proven, verdict.refused) = (false, Some((reason.clone(), until)));
                verdict.denials += 1;
            }
            Err(Fault::Doubted(_)) => {
                verdict.proven = false;
                verdict.denials += 1;
            }
            // Whether it looked at the password is not known.
            Err(_) => {}
        }
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
    async fn at_once(account: &Account) -> Option<Outcome<Turn<'_>>> {
        let mut enter = std::pin::pin!(account.enter(false));
        std::future::poll_fn(|cx| {
            Poll::Ready(match enter.as_mut().poll(cx) {
                Poll::Ready(turn) => Some(turn),
                Poll::Pending => None,
            })
        })
        .await
    }

    async fn entered(account: &Account) -> Turn<'_> {
        at_once(account).await.expect("to be let in at once").unwrap_or_else(|fault| panic!("{fault}"))
    }

    #[tokio::test]
    async fn a_refused_login_is_everybodys() {
        let account = Account::default();
        let first = entered(&account).await;
        let others = [account.enter(false), account.enter(false), account.enter(false)];
        let first = async {
            assert!(at_once(&account).await.is_none(), "two at once");
            first.ended(&refused(Some(Duration::from_secs(1_000))));
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
        let account = Account::default();
        entered(&account).await.ended(&Ok(Done::Nothing));
        let (a, b) = (entered(&account).await, entered(&account).await);
        // Its right to something else says nothing of the password.
        a.ended(&Err(Fault::Rejected("busy".into())));
        let c = entered(&account).await;
        b.ended(&refused(None));
        assert!(matches!(at_once(&account).await, Some(Err(Fault::Refused { .. }))));
        // It was sent before.
        c.ended(&Ok(Done::Nothing));
        assert!(matches!(at_once(&account).await, Some(Err(Fault::Refused { .. }))));
    }

    #[tokio::test]
    async fn a_good_password_that_is_denied_is_tried_by_one_alone() {
        let doubted = || Err(Fault::Doubted("no".into()));
        let account = Account::default();
        entered(&account).await.ended(&Ok(Done::Nothing));
        let (a, b, c) = (entered(&account).await, entered(&account).await, entered(&account).await);
        assert!(at_once(&account).await.is_none(), "more than three at once");
        a.ended(&doubted());
        let again = entered(&account).await;
        // These were under way.
        b.ended(&doubted());
        c.ended(&Ok(Done::Nothing));
        assert!(at_once(&account).await.is_none(), "two at once");
        again.ended(&Ok(Done::Nothing));
        let _free = entered(&account).await;
        let (d, e) = (entered(&account).await, entered(&account).await);
        d.ended(&doubted());
        entered(&account).await.ended(&refused(None));
        e.ended(&doubted());
        assert!(matches!(at_once(&account).await, Some(Err(Fault::Refused { .. }))));
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_what_hangs() {
        let account = Account::default();
        entered(&account).await.ended(&Ok(Done::Nothing));
        let _hang = [entered(&account).await, entered(&account).await, entered(&account).await];
        assert!(account.enter(true).await.is_ok());
    }

    #[tokio::test]
    async fn silence_is_everybodys_who_waited_and_nobodys_else() {
        let account = Account::default();
        let first = entered(&account).await;
        let waits = account.enter(false);
        let first = async { first.ended(&Err(Fault::Silent("nothing".into()))) };
        let (waits, ()) = tokio::join!(waits, first);
        assert!(matches!(waits.map(drop), Err(Fault::Silent(reason)) if reason == "nothing"));
        // Broken off, or refused for another reason: the next one tries.
        drop(entered(&account).await);
        entered(&account).await.ended(&Err(Fault::Rejected("no PTZ".into())));
        let _next = entered(&account).await;
        assert!(at_once(&account).await.is_none());
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
        Turn { account: &accounts.of(&target), denials: 0, _alone: None, _place: None }.ended(&refused(None));
        accounts.of(&PtzTarget { port: 82, ..target.clone() });
        assert_eq!(accounts.all.lock().unwrap().len(), 2, "the refusal, and the new one");
        assert!(accounts.of(&target).held(Instant::now()).is_some());
    }
}
