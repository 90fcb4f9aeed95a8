//! Logins that several paths have in common, such as the channels of a recorder: a password
//! is tried once for all of them, since cameras lock accounts.
//!
//! Until it was good once, one exchange at a time may try it; the others wait for what comes
//! of that, and are refused with the same reason where it was refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::exchange::Done;
use super::fault::SLACK;
use super::{Fault, Outcome};
use crate::config::PtzTarget;

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
#[derive(Debug, Default)]
pub struct Account {
    /// Never held over an await.
    verdict: Mutex<Verdict>,
    /// Who tries the password.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Verdict {
    /// The password was good, and not refused since.
    proven: bool,
    /// Why it is not tried, and until when.
    refused: Option<(String, Instant)>,
    /// Tries that nothing came back of, and why the last one.
    silent: (u64, String),
}

/// Leave to speak to the camera.
pub struct Turn<'a> {
    account: &'a Account,
    _alone: Option<tokio::sync::MutexGuard<'a, ()>>,
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

    /// Waits for leave to speak to the camera; ten seconds at most.
    ///
    /// Errors: refused, where another path's login was; silent, where nothing came back of
    /// the one that was waited for.
    pub async fn enter(&self) -> Outcome<Turn<'_>> {
        if let Some(fault) = self.held(Instant::now()) {
            return Err(fault);
        }
        let before = {
            let verdict = self.verdict();
            if verdict.proven {
                return Ok(Turn { account: self, _alone: None });
            }
            verdict.silent.0
        };
        let late = || Fault::Silent("another login to the same camera takes too long".into());
        let alone = tokio::time::timeout(PATIENCE, self.turn.lock()).await.map_err(|_| late())?;
        if let Some(fault) = self.held(Instant::now()) {
            return Err(fault);
        }
        let verdict = self.verdict();
        if verdict.proven {
            return Ok(Turn { account: self, _alone: None });
        }
        match verdict.silent.0 == before {
            true => Ok(Turn { account: self, _alone: Some(alone) }),
            // Nobody waits for one time-out after the other.
            false => Err(Fault::Silent(verdict.silent.1.clone())),
        }
    }
}

impl Turn<'_> {
    /// What came of it; texts without the password. A turn that is dropped says nothing.
    pub fn ended(self, result: &Outcome<Done>) {
        let mut verdict = self.account.verdict();
        match result {
            Ok(_) => (verdict.proven, verdict.refused) = (true, None),
            Err(fault @ Fault::Refused { reason, .. }) => {
                let until = Instant::now() + fault.hold();
                (verdict.proven, verdict.refused) = (false, Some((reason.clone(), until)));
            }
            Err(Fault::Silent(reason)) => verdict.silent = (verdict.silent.0 + 1, reason.clone()),
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
        let mut enter = std::pin::pin!(account.enter());
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
        let others = [account.enter(), account.enter(), account.enter()];
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
        c.ended(&Ok(Done::Nothing));
        assert!(matches!(at_once(&account).await, Some(Ok(_))), "it was right after all");
    }

    #[tokio::test]
    async fn silence_is_everybodys_who_waited_and_nobodys_else() {
        let account = Account::default();
        let first = entered(&account).await;
        let waits = account.enter();
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
        Turn { account: &accounts.of(&target), _alone: None }.ended(&refused(None));
        accounts.of(&PtzTarget { port: 82, ..target.clone() });
        assert_eq!(accounts.all.lock().unwrap().len(), 2, "the refusal, and the new one");
        assert!(accounts.of(&target).held(Instant::now()).is_some());
    }
}
