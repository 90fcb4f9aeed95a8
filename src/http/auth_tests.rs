use std::net::SocketAddr;

use super::*;
use crate::config::Config;
use crate::http::password::tests::argon2_of;
use crate::redact::Secret;

fn user(name: &str, pass: &str, ips: &[&str], permissions: &[(Action, &str)]) -> User {
    let permission = |(action, path): &(Action, &str)| {
        let mut permission = Permission::everywhere(*action);
        permission.path = path.to_string();
        permission
    };
    User {
        user: name.into(),
        pass: Secret::from(pass),
        ips: ips.iter().map(|net| net.parse().unwrap()).collect(),
        permissions: permissions.iter().map(permission).collect(),
    }
}

fn from(addr: &str) -> Client {
    Client { addr: SocketAddr::new(addr.parse().unwrap(), 1), local: false }
}

fn basic(user: &str, pass: &str) -> Vec<Credentials> {
    vec![Credentials { user: Some(user.into()), pass: Secret::from(pass) }]
}

fn token(pass: &str) -> Vec<Credentials> {
    vec![Credentials { user: None, pass: Secret::from(pass) }]
}

async fn verdict(
    users: &[User],
    client: Client,
    presented: &[Credentials],
    action: Action,
    path: &str,
) -> std::result::Result<(), Kind> {
    let auth = Auth::default();
    let identity = auth.identify(users, client, presented).await;
    identity.verdict(action, path).map_err(|e| e.kind)
}

#[tokio::test]
async fn row18_by_default_anyone_may_read_and_publish() {
    let users = Config::default().auth_internal_users;
    for presented in [vec![], basic("x", "y"), token("undefined")] {
        for action in [Action::Read, Action::Publish] {
            let got = verdict(&users, from("192.0.2.1"), &presented, action, "gate").await;
            assert_eq!(got, Ok(()), "{presented:?}");
        }
    }
}

#[tokio::test]
async fn by_default_only_this_machine_may_do_the_rest() {
    let users = Config::default().auth_internal_users;
    let here = |addr: &str, local| Client { local, ..from(addr) };
    for action in [Action::Api, Action::Metrics, Action::Ptz, Action::Pipelines] {
        for (client, want) in [
            (here("127.0.0.1", true), Ok(())),
            (here("::1", true), Ok(())),
            // Through a proxy, or for a name that was bound to 127.0.0.1.
            (here("127.0.0.1", false), Err(Kind::Forbidden)),
            (here("192.0.2.1", false), Err(Kind::Forbidden)),
        ] {
            assert_eq!(verdict(&users, client, &[], action, "").await, want, "{client:?}");
        }
    }
}

#[tokio::test]
async fn media_from_loopback_addresses_may_come_through_a_local_proxy() {
    let users = [user("any", "", &["127.0.0.1/32"], &[(Action::Read, "")])];
    assert_eq!(verdict(&users, from("127.0.0.1"), &[], Action::Read, "a").await, Ok(()));
    assert_eq!(verdict(&users, from("192.0.2.1"), &[], Action::Read, "a").await, Err(Kind::Forbidden));
}

#[tokio::test]
async fn a_network_wider_than_loopback_is_not_this_machine() {
    for net in ["0.0.0.0/0", "127.0.0.0/7", "::/0"] {
        let users = [user("any", "", &[net], &[(Action::Api, "")])];
        let addr = if net == "::/0" { "::1" } else { "127.0.0.1" };
        assert_eq!(verdict(&users, from(addr), &[], Action::Api, "").await, Ok(()), "{net}");
    }
}

#[tokio::test]
async fn row18_names_and_passwords() {
    let users = [
        user("bob", "p1", &[], &[(Action::Read, "")]),
        user("eve", &argon2_of("p2"), &[], &[(Action::Read, "")]),
        user("idle", "", &[], &[(Action::Read, "")]),
    ];
    let unknown = Err(Kind::Unauthorized);
    for (presented, want) in [
        (vec![], unknown),
        (basic("bob", "p1"), Ok(())),
        (basic("eve", "p2"), Ok(())),
        (token("p1"), Ok(())),
        (token("p2"), Ok(())),
        (basic("bob", "p2"), unknown),
        (basic("eve", "p1"), unknown),
        (basic("", "p1"), unknown),
        (basic("bob", ""), unknown),
        (basic("idle", ""), unknown),
        (basic("any", ""), unknown),
        (token("nope"), unknown),
        ([token("nope"), basic("bob", "p1")].concat(), Ok(())),
    ] {
        let got = verdict(&users, from("192.0.2.1"), &presented, Action::Read, "a").await;
        assert_eq!(got, want, "{presented:?}");
    }
}

#[tokio::test]
async fn permissions_are_paths_patterns_or_everything() {
    let read = |path| [user("any", "", &[], &[(Action::Read, path)])];
    for (permission, path, want) in [
        ("", "a/b", true),
        ("a", "a", true),
        ("a", "a/b", false),
        ("~^a", "a/b", true),
        ("~^a$", "a/b", false),
        ("~b", "a/b", true),
        ("~[", "[", false),
    ] {
        let got = verdict(&read(permission), from("192.0.2.1"), &[], Action::Read, path).await;
        assert_eq!(got.is_ok(), want, "{permission} {path}");
    }
    let got = verdict(&read(""), from("192.0.2.1"), &[], Action::Publish, "a").await;
    assert_eq!(got, Err(Kind::Forbidden));
}

#[tokio::test]
async fn addresses_bound_users() {
    let users = [user("bob", "p", &["10.0.0.0/8", "2001:db8::/32"], &[(Action::Read, "")])];
    for (addr, want) in [("10.1.2.3", true), ("2001:db8::7", true), ("11.0.0.1", false), ("::1", false)] {
        let got = verdict(&users, from(addr), &basic("bob", "p"), Action::Read, "a").await;
        assert_eq!(got.is_ok(), want, "{addr}");
    }
}

#[tokio::test]
async fn a_403_names_the_action_and_permissions_add_up() {
    let users = [
        user("any", "", &[], &[(Action::Read, "open")]),
        user("bob", "p", &[], &[(Action::Read, "a")]),
        user("bob", "p", &[], &[(Action::Read, "b"), (Action::Ptz, "")]),
    ];
    let auth = Auth::default();
    let bob = auth.identify(&users, from("192.0.2.1"), &basic("bob", "p")).await;
    assert_eq!(bob.user, "bob");
    for path in ["open", "a", "b"] {
        assert!(bob.may(Action::Read, path), "{path}");
    }
    assert!(bob.may(Action::Ptz, ""));
    let refusal = bob.verdict(Action::Publish, "a").unwrap_err();
    assert_eq!(refusal.kind, Kind::Forbidden);
    assert!(refusal.message.contains("\"publish\"") && refusal.message.contains("\"a\""));
    // Without credentials: 401 where somebody with a password may, 403 where nobody may.
    let nobody = auth.identify(&users, from("192.0.2.1"), &[]).await;
    assert!(nobody.may_somewhere(Action::Read) && !nobody.may_somewhere(Action::Ptz));
    assert_eq!(nobody.verdict(Action::Read, "a").unwrap_err().kind, Kind::Unauthorized);
    assert_eq!(nobody.verdict(Action::Publish, "a").unwrap_err().kind, Kind::Forbidden);
}

/// Asks from one address; how many times until the credentials are not looked at.
async fn until_locked(auth: &Auth, users: &[User], presented: &[Credentials]) -> u32 {
    for n in 0..200 {
        let identity = auth.identify(users, from("192.0.2.1"), presented).await;
        if identity.locked.is_some() {
            return n;
        }
    }
    u32::MAX
}

#[tokio::test]
async fn row31_guessing_passwords_is_slow() {
    let users = [user("any", "", &[], &[(Action::Read, "open")]), user("bob", "p", &[], &[(Action::Read, "")])];
    let burst = FAILURES.burst as u32;
    let stale = |right: Vec<Credentials>| [basic("proxy", "x"), right].concat();
    for (presented, locks) in [
        (vec![], false),
        (basic("bob", "p"), false),
        (token("p"), false),
        // A proxy's own password is beside the point.
        (stale(basic("bob", "p")), false),
        (basic("bob", "x"), true),
        (basic("nobody", "x"), true),
        (token("x"), true),
        // A right password does not cover up for guesses.
        ([basic("bob", "p"), token("x")].concat(), true),
    ] {
        let n = until_locked(&Auth::default(), &users, &presented).await;
        assert_eq!(n != u32::MAX, locks, "{presented:?}");
        assert!(n >= burst, "{presented:?}: {n}");
    }
    // Where nobody has a password there is nothing to guess.
    assert_eq!(until_locked(&Auth::default(), &users[..1], &token("undefined")).await, u32::MAX);
}

#[tokio::test]
async fn row31_a_locked_address_may_do_what_anyone_may() {
    let users = [user("any", "", &[], &[(Action::Read, "open")]), user("bob", "p", &[], &[(Action::Read, "")])];
    let auth = Auth::default();
    until_locked(&auth, &users, &basic("bob", "x")).await;
    let right = auth.identify(&users, from("192.0.2.1"), &basic("bob", "p")).await;
    assert!(right.may(Action::Read, "open"));
    let refusal = right.verdict(Action::Read, "a").unwrap_err();
    assert_eq!((refusal.kind, refusal.retry_after_s), (Kind::TooManyRequests, Some(1)));
    let without = auth.identify(&users, from("192.0.2.1"), &[]).await;
    assert_eq!(without.verdict(Action::Read, "a").unwrap_err().kind, Kind::Unauthorized);
    let neighbour = auth.identify(&users, from("192.0.2.2"), &basic("bob", "p")).await;
    assert_eq!(neighbour.verdict(Action::Read, "a"), Ok(()));
}

#[tokio::test]
async fn a_hashed_name_does_not_leave_as_a_name() {
    let users = [user(&argon2_of("bob"), "p", &[], &[(Action::Read, "")])];
    let auth = Auth::default();
    assert_eq!(auth.identify(&users, from("192.0.2.1"), &token("p")).await.user, "");
    assert_eq!(auth.identify(&users, from("192.0.2.1"), &basic("bob", "p")).await.user, "bob");
}
