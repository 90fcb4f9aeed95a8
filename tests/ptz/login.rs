//! Passwords: right, wrong, locked out, outworn, and never told.

use super::kit::{Desk, SOON, Steered, entry, entry_as, paths, wait};
use super::support::ptz_hikvision::Hikvision;
use super::support::ptz_http::{Fault, Login};
use super::support::ptz_onvif::{Onvif, SOAP, Wants, fault};
use super::support::{self};
use std::time::Duration;

const WRONG: &str = "wrong:p@ss%word/";

fn count(camera: &impl Steered, login: Login) -> usize {
    camera.server().requests().iter().filter(|r| r.login == login).count()
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let hikvision = Hikvision::start();
    let onvif = Onvif::start();
    let digest = Onvif::builder().wants(Wants::HttpDigest).start();
    let one = |name: &str, driver: &str, url: &str| entry_as(name, driver, url, WRONG, "");
    let desk = Desk::open(&paths(&[
        one("h", "hikvision", &hikvision.url()),
        one("o", "onvif", &onvif.url()),
        one("d", "onvif", &digest.url()),
    ]));
    for name in ["h", "o", "d"] {
        for _ in 0..4 {
            for (method, what, body) in [
                ("POST", "move", r#"{"pan":0.5}"#),
                ("POST", "stop", ""),
                ("GET", "status", ""),
                ("GET", "presets", ""),
            ] {
                let answer = desk.ask(method, &format!("/ptz/{name}/{what}"), &[], body).await;
                // The status tells of everything that is wrong, and is none itself.
                assert_eq!(answer.status, if what == "status" { 200 } else { 502 }, "{name} {what}: {answer:?}");
                assert!(answer.json["error"].as_str().unwrap().contains("password"), "{answer:?}");
            }
        }
        let list = desk.ok("GET", "/ptz/cameras", "").await;
        let one = list["items"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap();
        assert!(one["error"].as_str().unwrap().contains("password") && one["online"] == false, "{one}");
    }
    assert_eq!(count(&hikvision, Login::Refused), 1);
    assert_eq!(hikvision.digest().wrong(), 1);
    assert_eq!(onvif.refused(), 1);
    assert_eq!(digest.refused(), 1);
    desk.no_secret(WRONG);
}

#[tokio::test]
async fn the_channels_of_a_recorder_try_a_wrong_password_once_together() {
    const CHANNELS: u32 = 32;
    let (wrong, right) =
        (Hikvision::builder().channels(CHANNELS).start(), Hikvision::builder().channels(CHANNELS).start());
    let channel = |n: u32| format!("      channel: {n}\n");
    let mut entries: Vec<String> =
        (1..=CHANNELS).map(|n| entry_as(&format!("w{n}"), "hikvision", &wrong.url(), WRONG, &channel(n))).collect();
    entries.extend((1..=CHANNELS).map(|n| entry(&format!("r{n}"), "hikvision", &right.url(), &channel(n))));
    let desk = Desk::open(&paths(&entries));
    // All at once, and while each looks after its camera by itself, too.
    let moved = futures_util::future::join_all((1..=CHANNELS).flat_map(|n| {
        let desk = &desk;
        ["w", "r"].map(|name| async move { (name, desk.post(&format!("/ptz/{name}{n}/move"), r#"{"pan":0.5}"#).await) })
    }));
    for (name, answer) in moved.await {
        if name == "r" {
            assert_eq!(answer.status, 200, "{answer:?}");
        } else {
            assert_eq!(answer.status, 502, "{answer:?}");
            assert!(answer.error().contains("refused the user name or the password"), "{answer:?}");
        }
    }
    let held = desk.post("/ptz/w32/stop", "").await;
    assert!(held.error().contains("not tried again for 30 min"), "{held:?}");
    assert_eq!((wrong.digest().wrong(), count(&wrong, Login::Refused)), (1, 1));
    assert!(!wrong.digest().is_locked());
    // A path that comes later knows it, too; another password is another matter.
    let mark = desk.gateway.mark();
    entries.push(entry_as("later", "hikvision", &wrong.url(), WRONG, &channel(1)));
    entries.push(entry("good", "hikvision", &wrong.url(), &channel(2)));
    desk.gateway.write_config(&paths(&entries));
    desk.gateway.wait_for_line_after(mark, SOON, |l| l.contains("configuration reloaded"));
    let later = desk.post("/ptz/later/stop", "").await;
    assert!(later.status == 502 && later.error().contains("refused the user name"), "{later:?}");
    assert_eq!(count(&wrong, Login::Refused), 1);
    desk.ok("POST", "/ptz/good/stop", "").await;
    assert_eq!((count(&wrong, Login::Refused), count(&right, Login::Refused)), (1, 0));
    desk.no_secret(WRONG);
    desk.no_secrets();
}

#[tokio::test]
async fn a_password_that_is_put_right_in_the_file_is_tried_at_once() {
    let camera = Hikvision::start();
    let desk = Desk::open(&paths(&[entry_as("gate", "hikvision", &camera.url(), WRONG, "")]));
    assert_eq!(desk.post("/ptz/gate/stop", "").await.status, 502);
    let mark = desk.gateway.mark();
    desk.gateway.write_config(&paths(&[camera.entry("gate")]));
    desk.gateway.wait_for_line_after(mark, SOON, |l| l.contains("configuration reloaded"));
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5}"#).await;
    assert_eq!(count(&camera, Login::Refused), 1);
    desk.no_secret(WRONG);
    desk.no_secrets();
}

#[tokio::test]
async fn an_onvif_camera_judges_a_password_once_however_it_asks_for_it() {
    let cameras = [
        // A token that is wrong is answered with a challenge: that must not be taken up as well.
        ("either", Onvif::builder().wants(Wants::Either)),
        ("failed", Onvif::builder().denies(&["Sender", "FailedAuthentication"])),
        ("forbidden", Onvif::builder().fault_status(403)),
        ("five", Onvif::builder().fault_status(500).denies(&["Sender", "FailedAuthentication"])),
        ("receiver", Onvif::builder().fault_status(500).denies(&["Receiver", "NotAuthorized"])),
        ("bare", Onvif::builder().wants(Wants::BareToken).fault_status(401)),
        ("bare403", Onvif::builder().wants(Wants::BareToken).fault_status(403)),
    ];
    let cameras = cameras.map(|(name, builder)| (name, builder.clone().start(), builder.start()));
    let mut entries = Vec::new();
    for (name, wrong, right) in &cameras {
        entries.push(entry_as(&format!("wrong-{name}"), "onvif", &wrong.url(), WRONG, ""));
        entries.push(right.entry(&format!("right-{name}")));
    }
    let desk = Desk::open(&paths(&entries));
    for (name, wrong, right) in &cameras {
        for _ in 0..3 {
            for (what, body) in [("move", r#"{"pan":0.5}"#), ("stop", "")] {
                let answer = desk.post(&format!("/ptz/wrong-{name}/{what}"), body).await;
                assert_eq!(answer.status, 502, "{name}: {answer:?}");
                assert!(answer.error().contains("password"), "{name}: {answer:?}");
            }
        }
        let held = desk.post(&format!("/ptz/wrong-{name}/stop"), "").await;
        assert!(held.error().contains("not tried again"), "{name}: {held:?}");
        assert_eq!(wrong.refused(), 1, "{name}");
        desk.ok("POST", &format!("/ptz/right-{name}/move"), r#"{"pan":0.5}"#).await;
        // What worked is remembered: nothing is asked without a login any more.
        let mark = right.server().mark();
        for what in ["move", "stop"] {
            desk.ok("POST", &format!("/ptz/right-{name}/{what}"), if what == "move" { r#"{"tilt":0.5}"# } else { "" })
                .await;
        }
        let logins: Vec<Login> = right.server().requests_after(mark).iter().map(|r| r.login).collect();
        assert!(logins.iter().all(|login| *login == Login::Granted), "{name}: {logins:?}");
        assert_eq!(right.refused(), 0, "{name}");
    }
    desk.no_secret(WRONG);
    desk.no_secrets();
}

/// What a camera says to a user who may not do that, and to one whom it does not know.
fn denied() -> Fault {
    Fault::Instead(400, SOAP, fault(&["Sender", "NotAuthorized"], "Sender not Authorized"))
}

#[tokio::test]
async fn what_a_user_may_not_do_is_not_taken_for_a_wrong_password() {
    let camera = Onvif::start();
    let desk = Desk::open(&paths(&[camera.entry("gate"), camera.entry("yard")]));
    desk.ok("POST", "/ptz/gate/stop", "").await;
    camera.server().misbehave(denied()).on("SetPreset");
    for _ in 0..3 {
        for _ in 0..2 {
            let answer = desk.ask("PUT", "/ptz/gate/preset/P001", &[], r#"{"name":"x"}"#).await;
            assert!(answer.status == 502 && answer.error().contains("does not let this user"), "{answer:?}");
        }
        // It is steered on, and so are the others that have this user.
        desk.ok("POST", "/ptz/gate/stop", "").await;
        desk.ok("POST", "/ptz/yard/stop", "").await;
    }
    // Where everything is denied it is the password, and left alone.
    camera.server().behave();
    camera.server().misbehave(denied()).on("Envelope");
    let answer = desk.get("/ptz/gate/presets").await;
    assert!(answer.error().contains("refused the user name or the password"), "{answer:?}");
    // What is under way has its end, and then there is nothing more.
    let mut mark = 0;
    for _ in 0..2 {
        mark = camera.server().mark();
        for what in ["gate", "yard"] {
            let held = desk.post(&format!("/ptz/{what}/stop"), "").await;
            assert!(held.status == 502, "{held:?}");
        }
    }
    assert_eq!(camera.server().requests_after(mark).len(), 0);
    desk.no_secrets();
}

#[tokio::test]
async fn what_a_user_may_not_do_is_told_by_a_bare_401_too() {
    let camera = Onvif::builder().wants(Wants::HttpDigest).start();
    let desk = Desk::open(&paths(&[camera.entry("gate"), camera.entry("yard")]));
    desk.ok("POST", "/ptz/gate/stop", "").await;
    camera.server().misbehave(Fault::Instead(401, "text/html", Vec::new())).on("SetPreset");
    for _ in 0..4 {
        let answer = desk.ask("PUT", "/ptz/gate/preset/P001", &[], r#"{"name":"x"}"#).await;
        assert!(answer.status == 502 && answer.error().contains("does not let this user"), "{answer:?}");
        desk.ok("POST", "/ptz/gate/stop", "").await;
        desk.ok("POST", "/ptz/yard/stop", "").await;
    }
    assert_eq!(camera.refused(), 0);
}

#[tokio::test]
async fn a_user_who_may_look_and_not_steer_locks_nobody_out() {
    let camera = Onvif::start();
    let desk = Desk::open(&paths(&[camera.entry("gate"), camera.entry("yard")]));
    desk.ok("GET", "/ptz/gate/status", "").await;
    for what in ["ContinuousMove", "Stop"] {
        camera.server().misbehave(denied()).on(what);
    }
    for _ in 0..3 {
        for (what, body) in [("move", r#"{"pan":0.5,"timeout":100}"#), ("stop", "")] {
            let answer = desk.post(&format!("/ptz/gate/{what}"), body).await;
            assert!(answer.status == 502 && answer.error().contains("does not let this user"), "{answer:?}");
        }
        let status = desk.ok("GET", "/ptz/gate/status", "").await;
        assert_eq!((&status["online"], &status["moving"]), (&true.into(), &false.into()), "{status}");
    }
    desk.ok("GET", "/ptz/yard/presets", "").await;
}

#[tokio::test]
async fn a_token_or_digest_and_never_both() {
    let camera = Onvif::start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5}"#).await;
    assert!(camera.orders("ContinuousMove").iter().all(|r| r.text().contains("UsernameToken")));
    desk.ok("POST", "/ptz/gate/stop", "").await;
    let digest = Onvif::builder().wants(Wants::HttpDigest).start();
    let desk = Desk::open(&paths(&[digest.entry("gate")]));
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5}"#).await;
    assert!(digest.server().requests().iter().all(|r| !r.text().contains("UsernameToken")), "a token as well");
    desk.ok("POST", "/ptz/gate/stop", "").await;
    desk.no_secrets();
}

#[tokio::test]
async fn a_locked_account_is_told_in_words_and_left_alone() {
    let camera = Hikvision::builder().account("operator", "another").start();
    // Somebody else has locked it.
    for _ in 0..5 {
        support::init();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = camera.url() + "/ISAPI/System/deviceInfo";
        let header = "Digest username=\"operator\", realm=\"x\", nonce=\"x\", uri=\"/\", response=\"x\"";
        client.get(url).header("Authorization", header).send().await.unwrap();
    }
    assert!(camera.digest().is_locked());
    let before = camera.server().mark();
    let desk = Desk::open(&paths(&[entry_as("gate", "hikvision", &camera.url(), "another", "")]));
    for _ in 0..5 {
        let answer = desk.post("/ptz/gate/move", r#"{"pan":0.5}"#).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(answer.error().contains("locked") && answer.error().contains("30 min"), "{}", answer.error());
    }
    let tries = camera.server().requests_after(before).len();
    assert!(tries <= 2, "a locked account was asked {tries} times");
    desk.no_secret("another");
}

#[tokio::test]
async fn a_warm_session_is_never_challenged_again() {
    let camera = Hikvision::start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    for what in ["status", "presets", "status"] {
        desk.ok("GET", &format!("/ptz/gate/{what}"), "").await;
    }
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5}"#).await;
    desk.ok("POST", "/ptz/gate/preset/1", "").await;
    desk.ok("POST", "/ptz/gate/stop", "").await;
    let requests = camera.server().requests();
    assert!(requests.len() > 5);
    let logins: Vec<_> = requests.iter().map(|r| r.login).collect();
    assert!(logins.iter().skip(1).all(|l| *l == Login::Granted), "{logins:?}");
    assert_eq!(camera.server().connections(), 1);
    assert_eq!(camera.digest().replays(), 0);
}

#[tokio::test]
async fn a_nonce_that_is_stale_costs_one_more_round_and_no_error() {
    let camera = Hikvision::builder().nonce_uses(3).start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    for n in 1..=20 {
        desk.ok("POST", "/ptz/gate/move", &format!(r#"{{"pan":{}}}"#, f64::from(n) / 100.0)).await;
    }
    assert!(count(&camera, Login::Stale) >= 5);
    assert_eq!(count(&camera, Login::Refused), 0);
    // A camera that restarts forgets its nonces, too.
    camera.digest().forget();
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.99}"#).await;
    assert_eq!(camera.driven().last(), Some(&[0.99, 0.0, 0.0]));
    desk.no_secrets();
}

#[tokio::test]
async fn a_camera_that_restarts_and_does_not_say_that_a_nonce_is_stale_is_steered_on() {
    let camera = Hikvision::builder().says_no_stale().start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    for n in 1..=4 {
        desk.ok("POST", "/ptz/gate/move", &format!(r#"{{"pan":{}}}"#, f64::from(n) / 10.0)).await;
        camera.digest().forget();
    }
    desk.ok("POST", "/ptz/gate/stop", "").await;
    assert_eq!((count(&camera, Login::Stale), count(&camera, Login::Refused)), (4, 0));
}

#[tokio::test]
async fn a_camera_that_is_always_stale_is_not_asked_for_ever() {
    let camera = Hikvision::builder().nonce_life(Duration::ZERO).start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    let answer = desk.post("/ptz/gate/move", r#"{"pan":0.5}"#).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    let asked = camera.server().requests().len();
    assert!(asked <= 12, "{asked} requests for one move");
}

#[tokio::test]
async fn digest_is_taken_where_basic_is_offered_too() {
    let camera = Hikvision::builder().basic_too().start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5}"#).await;
    let basic =
        camera.server().requests().iter().any(|r| r.header("authorization").is_some_and(|a| a.starts_with("Basic")));
    assert!(!basic, "the password went over the wire");
}

#[tokio::test]
async fn what_the_camera_repeats_of_the_password_is_not_passed_on() {
    let camera = Hikvision::start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("GET", "/ptz/gate/status", "").await;
    let said = format!(
        "<ResponseStatus><statusCode>4</statusCode><statusString>bad password {}</statusString>\
         <subStatusCode>odd</subStatusCode></ResponseStatus>",
        support::ptz_hikvision::PASSWORD
    );
    camera.server().misbehave(Fault::Instead(403, "application/xml", said.into_bytes())).on("continuous");
    let answer = desk.post("/ptz/gate/move", r#"{"pan":0.5}"#).await;
    assert_eq!(answer.status, 502);
    desk.no_secrets();
    wait("the camera at rest", || !camera.moving()).await;
}
