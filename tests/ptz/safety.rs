//! What keeps a camera from running away.

use super::kit::{Desk, SOON, Steered, entry, pass, paths, wait};
use super::support::ptz_hikvision::Hikvision;
use super::support::ptz_http::Fault;
use super::support::ptz_onvif::Onvif;
use crate::on_both;
use std::time::Duration;

on_both!(
    a_move_that_nobody_renews_ends_by_itself,
    a_move_that_is_renewed_goes_on,
    the_newest_move_wins_and_each_stop_stops,
    of_many_moves_a_slow_camera_gets_the_newest,
    a_lost_stop_is_repeated,
    sigterm_stops_what_moves,
);

async fn a_move_that_nobody_renews_ends_by_itself<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    // What it takes to learn the camera is not of the move's time.
    desk.ok("GET", "/ptz/gate/status", "").await;
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5,"timeout":400}"#).await;
    wait("two stops", || camera.stops() >= 2).await;
    assert_eq!(camera.driven()[0], [0.5, 0.0, 0.0]);
    assert!(!camera.moving());
    let still = camera.position();
    assert!(still.pan > 0.0, "it did not move before: {still:?}");
    let status = desk.ok("GET", "/ptz/gate/status", "").await;
    assert_eq!(status["moving"], false);
    assert_eq!(camera.position(), still);
    // Without a timeout of its own it is moveTimeout's.
    desk.ok("POST", "/ptz/gate/move", r#"{"tilt":0.1}"#).await;
    wait("two more stops", || camera.stops() >= 4).await;
    assert!(!camera.moving());
}

async fn a_move_that_is_renewed_goes_on<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    let mut from = camera.position().pan;
    for _ in 0..6 {
        desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5,"timeout":20000}"#).await;
        wait("the move to go on", || camera.position().pan > from + 1.0).await;
        from = camera.position().pan;
    }
    assert_eq!(camera.stops(), 0);
    // A renewal may also shorten it.
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5,"timeout":50}"#).await;
    wait("the stops", || camera.stops() >= 2).await;
    assert!(!camera.moving());
}

async fn the_newest_move_wins_and_each_stop_stops<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5,"timeout":60000}"#).await;
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":-0.5,"timeout":60000}"#).await;
    assert_eq!(camera.driven().last(), Some(&[-0.5, 0.0, 0.0]));
    // The first one lets go: that stops the other's move, too.
    desk.ok("POST", "/ptz/gate/stop", "").await;
    wait("two stops", || camera.stops() >= 2).await;
    assert!(!camera.moving());
    let still = camera.position();
    desk.ok("POST", "/ptz/gate/stop", "").await;
    assert_eq!(camera.position(), still);
}

async fn of_many_moves_a_slow_camera_gets_the_newest<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("GET", "/ptz/gate/status", "").await; // it is known from now on
    let what = if C::DRIVER == "onvif" { "ContinuousMove" } else { "continuous" };
    camera.server().misbehave(Fault::Slow(Duration::from_secs(1))).on(what).times(1);
    let mark = camera.server().mark();
    let first = desk.post("/ptz/gate/move", r#"{"pan":0.01,"timeout":60000}"#);
    let others = async {
        wait("the first move at the camera", || camera.server().requests_after(mark).iter().any(|r| r.status != 0))
            .await;
        let bodies: Vec<_> =
            (2..=30).map(|n| format!(r#"{{"pan":{},"timeout":60000}}"#, f64::from(n) / 100.0)).collect();
        let all = bodies.iter().map(|body| desk.post("/ptz/gate/move", body));
        futures_util::future::join_all(all).await
    };
    let (first, others) = tokio::join!(first, others);
    for answer in others.iter().chain([&first]) {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let driven = camera.driven();
    // How many come while the camera takes its time is the machine's; which of those that come
    // at once is the newest, nobody knows, but it is none of before.
    assert!((2..30).contains(&driven.len()), "30 moves became {driven:?}");
    assert!(driven[0][0] == 0.01 && driven[1..].iter().all(|v| v[0] > 0.01), "{driven:?}");
    desk.ok("POST", "/ptz/gate/stop", "").await;
    wait("the stop", || !camera.moving()).await;
}

async fn a_lost_stop_is_repeated<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5,"timeout":60000}"#).await;
    let stop = if C::DRIVER == "onvif" { "Stop" } else { "<pan>0</pan>" };
    camera.server().misbehave(Fault::Reset).on(stop).times(1);
    desk.post("/ptz/gate/stop", "").await;
    wait("the stop that arrives", || !camera.moving() && camera.stops() >= 1).await;
}

async fn sigterm_stops_what_moves<C: Steered>(camera: C) {
    let mut desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.3,"timeout":60000}"#).await;
    assert!(camera.moving());
    desk.gateway.sigterm();
    wait("the stop", || !camera.moving()).await;
    desk.gateway.wait_exit(SOON);
    desk.no_secrets();
}

#[tokio::test]
async fn a_move_that_is_under_way_at_the_end_is_stopped_too() {
    let camera = Hikvision::start();
    let mut desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("GET", "/ptz/gate/status", "").await;
    // Longer than a move that nobody stops may take to be told, shorter than its time-out.
    camera.server().misbehave(Fault::Slow(Duration::from_millis(2_500))).on("continuous").times(1);
    let url = desk.gateway.url().to_owned();
    let ask = tokio::spawn(async move {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let body = r#"{"pan":0.3,"timeout":60000}"#;
        let _ = client.post(format!("{url}/ptz/gate/move")).body(body).send().await;
    });
    wait("the move at the camera", || camera.server().requests().iter().any(|r| r.path.contains("continuous"))).await;
    desk.gateway.sigterm();
    desk.gateway.wait_exit(SOON);
    wait("the stop", || camera.stops() >= 1 && !camera.moving()).await;
    ask.abort();
}

#[tokio::test]
async fn a_camera_that_hangs_does_not_keep_the_gateway_from_ending() {
    let (hangs, moves) = (Hikvision::start(), Hikvision::start());
    let mut desk = Desk::open(&paths(&[hangs.entry("hangs"), moves.entry("moves")]));
    for name in ["hangs", "moves"] {
        desk.ok("POST", &format!("/ptz/{name}/move"), r#"{"pan":0.3,"timeout":60000}"#).await;
    }
    hangs.server().misbehave(Fault::Never);
    desk.gateway.sigterm();
    desk.gateway.wait_exit(SOON);
    assert!(!moves.moving() && moves.stops() >= 1, "the other one was not stopped");
}

#[tokio::test]
async fn a_reload_touches_only_the_camera_that_changed() {
    let (a, b, c) = (Hikvision::start(), Hikvision::start(), Hikvision::start());
    let desk = Desk::open(&paths(&[a.entry("stays"), b.entry("changes"), c.entry("goes")]));
    for name in ["stays", "changes", "goes"] {
        desk.ok("POST", &format!("/ptz/{name}/move"), r#"{"pan":0.2,"timeout":60000}"#).await;
    }
    let changed = entry("changes", "hikvision", &b.url(), "      invertPan: yes\n");
    let mark = desk.gateway.mark();
    desk.gateway.write_config(&paths(&[a.entry("stays"), changed]));
    desk.gateway.wait_for_line_after(mark, SOON, |l| l.contains("configuration reloaded"));
    wait("those that were touched to stop", || !b.moving() && !c.moving()).await;
    assert!(a.moving() && a.stops() == 0, "{:?}", a.driven());
    assert_eq!(desk.post("/ptz/goes/stop", "").await.status, 404);
    desk.ok("POST", "/ptz/changes/move", r#"{"pan":0.5,"tilt":0.5}"#).await;
    assert_eq!(b.driven().last(), Some(&[-0.5, 0.5, 0.0]));
    // The one that stayed kept its session: no second challenge.
    let challenges = a.server().requests().iter().filter(|r| r.status == 401).count();
    assert_eq!(challenges, 1);
    desk.ok("POST", "/ptz/stays/stop", "").await;
    wait("the stop", || !a.moving()).await;
}

#[tokio::test]
async fn a_ptz_section_comes_changes_and_goes_while_it_runs() {
    let (first, second) = (Hikvision::start(), Onvif::start());
    let bare = "  'gate':\n    source: publisher\n".to_owned();
    let desk = Desk::open(&paths(std::slice::from_ref(&bare)));
    let reload = |entry: String| {
        let mark = desk.gateway.mark();
        desk.gateway.write_config(&paths(&[entry]));
        desk.gateway.wait_for_line_after(mark, SOON, |l| l.contains("configuration reloaded"));
    };
    let listed = async || desk.ok("GET", "/ptz/cameras", "").await["itemCount"].clone();
    assert_eq!(desk.post("/ptz/gate/stop", "").await.status, 409);
    assert_eq!(listed().await, 0);
    // Added.
    reload(first.entry("gate"));
    assert_eq!(listed().await, 1);
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.2,"timeout":60000}"#).await;
    assert!(first.moving());
    // Changed: another camera, and the one before is not left moving.
    reload(second.entry("gate"));
    wait("the first camera to stop", || !first.moving()).await;
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.3,"timeout":60000}"#).await;
    assert_eq!((second.driven().as_slice(), first.driven()[0][0]), (&[[0.3, 0.0, 0.0]][..], 0.2));
    // Removed, and the path stays.
    let orders = first.driven().len();
    reload(bare);
    wait("the second camera to stop", || !second.moving() && second.stops() >= 1).await;
    assert_eq!(desk.post("/ptz/gate/stop", "").await.status, 409);
    assert_eq!(listed().await, 0);
    assert_eq!(first.driven().len(), orders, "the first one was spoken to");
    desk.no_secrets();
}

#[tokio::test]
async fn a_camera_that_no_order_reaches_is_not_ordered_later() {
    let camera = Hikvision::start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("GET", "/ptz/gate/status", "").await;
    camera.server().misbehave(Fault::Never).on("<pan>70</pan>");
    let answer = desk.post("/ptz/gate/move", r#"{"pan":0.7,"timeout":500}"#).await;
    assert_eq!(answer.status, 504, "{answer:?}");
    camera.server().behave();
    wait("a stop all the same: the order may have arrived", || camera.stops() >= 1).await;
    pass(Duration::from_millis(500)).await;
    assert!(camera.driven().iter().filter(|v| v[0] == 0.7).count() <= 1 && !camera.moving());
}

#[tokio::test]
async fn a_move_to_a_camera_that_takes_its_time_to_introduce_itself_is_not_sent_late() {
    for driver in ["onvif", "auto"] {
        let camera = Onvif::start();
        // It was not there when it was looked at first.
        camera.server().misbehave(Fault::Close);
        let desk = Desk::open(&paths(&[entry("gate", driver, &camera.url(), "")]));
        assert_eq!(desk.post("/ptz/gate/stop", "").await.status, 504);
        camera.server().behave();
        camera.server().misbehave(Fault::Slow(Duration::from_millis(900))).on("GetProfiles");
        let late = desk.post("/ptz/gate/move", r#"{"pan":0.5,"timeout":300}"#).await;
        // Busy with introducing itself already, or not ready yet: whichever was first.
        assert!(late.status == 504 && late.error().contains("as long as this move was to"), "{driver}: {late:?}");
        camera.server().behave();
        desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.25}"#).await;
        let moves: Vec<_> = camera.driven().into_iter().filter(|speed| *speed != [0.0; 3]).collect();
        assert_eq!(moves, [[0.25, 0.0, 0.0]], "{driver}");
        desk.ok("POST", "/ptz/gate/stop", "").await;
    }
}
