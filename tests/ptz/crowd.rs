//! Many cameras, many moves.

use super::kit::{Desk, SOON, Steered, entry, entry_as, paths, wait};
use super::support::ptz_hikvision::Hikvision;
use super::support::ptz_http::Fault;
use super::support::ptz_onvif::{Onvif, Wants};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

#[tokio::test]
async fn a_hundred_cameras_do_not_wait_for_the_one_that_hangs() {
    let cameras: Vec<Hikvision> = (0..100).map(|_| Hikvision::start()).collect();
    let names: Vec<String> = (0..100).map(|n| format!("hall/{n}")).collect();
    let entries: Vec<String> = names.iter().zip(&cameras).map(|(name, camera)| camera.entry(name)).collect();
    let desk = Desk::open(&paths(&entries));
    for name in &names {
        desk.ok("GET", &format!("/ptz/{name}/status"), "").await;
    }
    cameras[50].server().misbehave(Fault::Never);
    let mut all: FuturesUnordered<_> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let desk = &desk;
            async move { (n, desk.post(&format!("/ptz/{name}/move"), r#"{"pan":0.2,"timeout":60000}"#).await) }
        })
        .collect();
    let mut order = Vec::new();
    while let Some((n, answer)) = all.next().await {
        let want = if n == 50 { 504 } else { 200 };
        assert_eq!(answer.status, want, "camera {n}: {answer:?}");
        order.push(n);
    }
    // A few may be late by themselves; half of them would be behind it if they had waited.
    let at = order.iter().position(|n| *n == 50).unwrap();
    assert!(at > 60, "somebody waited for the camera that hangs: {order:?}");
    assert!(cameras.iter().enumerate().all(|(n, camera)| camera.moving() == (n != 50)));
    // One that hangs is still one of the list, and says what is wrong.
    let list = desk.ok("GET", "/ptz/cameras", "").await;
    assert_eq!(list["itemCount"], 100);
    let hangs = list["items"].as_array().unwrap().iter().find(|c| c["name"] == "hall/50").unwrap();
    assert!(hangs["error"].as_str().is_some_and(|e| e.contains(' ')), "{hangs}");
    cameras[50].server().behave();
    for name in &names {
        desk.post(&format!("/ptz/{name}/stop"), "").await;
    }
    wait("all to stop", || cameras.iter().all(|c| !c.moving())).await;
}

async fn a_thousand_moves<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    let speed = |n: u32| f64::from(n % 200) / 100.0 - 1.0;
    for n in 0..50 {
        desk.ok("POST", "/ptz/gate/move", &format!(r#"{{"pan":{}}}"#, speed(n))).await;
    }
    desk.ok("POST", "/ptz/gate/stop", "").await;
    let before = desk.gateway.usage();
    let (mark, connections) = (camera.server().mark(), camera.server().connections());
    for n in 0..1000 {
        desk.ok("POST", "/ptz/gate/move", &format!(r#"{{"pan":{}}}"#, speed(n))).await;
    }
    desk.ok("POST", "/ptz/gate/stop", "").await;
    wait("the stop", || !camera.moving()).await;
    let log = || format!("{before:?} {:?}", desk.gateway.usage());
    wait(&format!("descriptors and threads of before: {}", log()), || {
        let now = desk.gateway.usage();
        now.fds <= before.fds + 1 && now.threads <= before.threads + 1
    })
    .await;
    // One warm session: no second challenge, no second connection.
    assert_eq!(camera.server().connections(), connections);
    assert!(camera.server().open_connections() <= 1);
    let refused = camera.server().requests_after(mark).iter().filter(|r| r.status != 200).count();
    assert_eq!(refused, 0, "a warm session was challenged");
    desk.no_secrets();
}

#[tokio::test]
async fn a_thousand_moves_leave_nothing_behind_isapi() {
    a_thousand_moves(Hikvision::start()).await;
}

#[tokio::test]
async fn a_thousand_moves_leave_nothing_behind_onvif() {
    a_thousand_moves(Onvif::start()).await;
}

#[tokio::test]
async fn the_channels_of_a_recorder_do_not_wait_for_those_that_hang() {
    let recorder = Hikvision::builder().channels(8).start();
    let channel = |n: u32| entry(&format!("c{n}"), "hikvision", &recorder.url(), &format!("      channel: {n}\n"));
    let desk = Desk::open(&paths(&(1..=8).map(channel).collect::<Vec<_>>()));
    for n in 1..=8 {
        desk.ok("POST", &format!("/ptz/c{n}/stop"), "").await;
    }
    for n in 1..=6 {
        recorder.server().misbehave(Fault::Never).on(&format!("channels/{n}/"));
    }
    let hang = futures_util::future::join_all((1..=6).map(|n| {
        let desk = &desk;
        async move { desk.post(&format!("/ptz/c{n}/move"), r#"{"pan":0.5,"timeout":60000}"#).await.status }
    }));
    let steer = async {
        for n in [7, 8] {
            desk.ok("POST", &format!("/ptz/c{n}/move"), r#"{"pan":0.5,"timeout":60000}"#).await;
            desk.ok("POST", &format!("/ptz/c{n}/stop"), "").await;
        }
    };
    // Those that hang are given up after three seconds.
    let mut hang = std::pin::pin!(hang);
    tokio::select! {
        biased;
        () = steer => {}
        gone = &mut hang => panic!("steered only after {gone:?}"),
    }
    assert!(hang.await.iter().all(|status| *status == 504));
}

#[tokio::test]
async fn a_password_that_is_changed_at_a_recorder_is_tried_by_few_channels() {
    // An exchange that takes half a second lets the next one go: not every time, even on a
    // busy machine.
    let mut all = Vec::new();
    while let Err(tried) = few_channels_try_a_password().await {
        all.push(tried);
        assert!(all.len() < 5, "tried by {all:?} channels");
    }
}

/// Err: how many tried it at each recorder, where these were too many.
async fn few_channels_try_a_password() -> Result<(), [u32; 3]> {
    const CHANNELS: u32 = 16;
    let hikvision = Hikvision::builder().channels(CHANNELS).start();
    let token = Onvif::start();
    let digest = Onvif::builder().wants(Wants::HttpDigest).start();
    let cameras = [("h", "hikvision", hikvision.url()), ("t", "onvif", token.url()), ("d", "onvif", digest.url())];
    let config = |password: Option<&str>| {
        let mut entries = Vec::new();
        for (name, driver, url) in &cameras {
            entries.extend((1..=CHANNELS).map(|n| {
                let (name, more) = (format!("{name}{n}"), format!("      channel: {n}\n"));
                match password {
                    Some(password) => entry_as(&name, driver, url, password, &more),
                    None => entry(&name, driver, url, &more),
                }
            }));
        }
        paths(&entries)
    };
    let desk = Desk::open(&config(None));
    let everywhere = async |what: &str, body: &str| {
        let ask = |name| (1..=CHANNELS).map(move |n| format!("/ptz/{name}{n}/{what}"));
        let all = ["h", "t", "d"].into_iter().flat_map(ask);
        futures_util::future::join_all(all.map(async |path| (path.clone(), desk.post(&path, body).await))).await
    };
    for (path, answer) in everywhere("stop", "").await {
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    hikvision.digest().change_password("another");
    token.change_password("another");
    digest.change_password("another");
    let moved = everywhere("move", r#"{"pan":0.5,"timeout":60000}"#).await;
    // Those that were under way, and one that made sure: cameras lock after five.
    let tried = [hikvision.digest().wrong(), token.refused(), digest.refused()];
    assert!(tried.iter().all(|n| *n >= 2), "{tried:?}");
    if tried.iter().any(|n| *n > 4) {
        return Err(tried);
    }
    for (path, answer) in moved {
        assert_eq!(answer.status, 502, "{path}: {answer:?}");
        assert!(answer.error().contains("refused the user name or the password"), "{path}: {answer:?}");
    }
    assert!(!hikvision.digest().is_locked());
    let before = [hikvision.server().mark(), token.server().mark(), digest.server().mark()];
    for (path, answer) in everywhere("stop", "").await {
        assert!(answer.status == 502 && answer.error().contains("not tried again"), "{path}: {answer:?}");
    }
    assert_eq!([hikvision.server().mark(), token.server().mark(), digest.server().mark()], before);
    let mark = desk.gateway.mark();
    desk.gateway.write_config(&config(Some("another")));
    desk.gateway.wait_for_line_after(mark, SOON, |l| l.contains("configuration reloaded"));
    for (path, answer) in everywhere("stop", "").await {
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    desk.no_secret("another");
    desk.no_secrets();
    Ok(())
}
