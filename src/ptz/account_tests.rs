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
