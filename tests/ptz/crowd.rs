//! Many cameras, many moves.

use super::kit::{Desk, Steered, entry, paths, wait};
use super::support::ptz_hikvision::Hikvision;
use super::support::ptz_http::Fault;
use super::support::ptz_onvif::Onvif;
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
    assert_eq!(order.last(), Some(&50), "somebody waited for the camera that hangs");
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
        async move { desk.post(&format!("/ptz/c{n}/move"), r#"{"pan":0.5}"#).await.status }
    }));
    let steer = async {
        for n in [7, 8] {
            desk.ok("POST", &format!("/ptz/c{n}/move"), r#"{"pan":0.5,"timeout":60000}"#).await;
            desk.ok("POST", &format!("/ptz/c{n}/stop"), "").await;
        }
    };
    // Those that hang are given up after three seconds, or when their move would be over.
    let mut hang = std::pin::pin!(hang);
    tokio::select! {
        biased;
        () = steer => {}
        gone = &mut hang => panic!("steered only after {gone:?}"),
    }
    assert!(hang.await.iter().all(|status| *status == 504));
}
