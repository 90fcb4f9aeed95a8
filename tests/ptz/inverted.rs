//! Cameras that hang upside down, and what a way leaves at its speed.

use super::kit::{Desk, Steered, entry, paths, wait};
use super::support::ptz_hikvision::Hikvision;
use super::support::ptz_motion::Position;
use super::support::ptz_onvif::Onvif;

const INVERTED: &str = "      invertPan: yes\n      invertTilt: yes\n";

/// Where the camera comes to rest.
async fn rests(camera: &impl Steered, at: Position) {
    wait(&format!("{at:?}"), || camera.position().near(&at, 0.3) && !camera.moving()).await;
}

#[tokio::test]
async fn parts_of_the_picture_are_inverted_once_however_they_are_done() {
    let native = Hikvision::start();
    let emulated = Hikvision::builder().relative(false).box_zoom(false).start();
    let onvif = Onvif::builder().degrees().start();
    let desk = Desk::open(&paths(&[
        entry("native", "hikvision", &native.url(), INVERTED),
        entry("emulated", "hikvision", &emulated.url(), INVERTED),
        entry("onvif", "onvif", &onvif.url(), INVERTED),
    ]));
    let cameras: [(&str, &dyn Fn(Position)); 3] =
        [("native", &|at| native.place(at)), ("emulated", &|at| emulated.place(at)), ("onvif", &|at| onvif.place(at))];
    // A quarter of the picture to the right and up: for the motors to the left and down.
    for (what, body) in
        [("move", r#"{"mode":"relative","pan":0.25,"tilt":0.25}"#), ("center", r#"{"x":0.75,"y":0.25}"#)]
    {
        for (name, place) in cameras {
            place(Position::new(100.0, 30.0, 2.0));
            desk.ok("POST", &format!("/ptz/{name}/{what}"), body).await;
        }
        let (pan, tilt) = (100.0 - 7.5, 30.0 - 0.25 * 33.75 / 2.0);
        rests(&native, Position::new(pan, tilt, 2.0)).await;
        rests(&onvif, Position::new(pan, tilt, 2.0)).await;
        // High up a turn moves the picture less, which the emulation knows.
        wait("the emulated way", || {
            let p = emulated.position();
            !emulated.moving() && (88.0..94.0).contains(&p.pan) && (p.tilt - tilt).abs() < 0.3
        })
        .await;
    }
    // What is told is inverted, too: there and back is the same place.
    let status = desk.ok("GET", "/ptz/emulated/status", "").await;
    let at = &status["position"];
    let (pan, tilt) = (at["pan"].as_f64().unwrap(), at["tilt"].as_f64().unwrap());
    assert!((266.0..272.0).contains(&pan) && tilt < -20.0, "{status}");
    let before = emulated.position();
    let body = format!(r#"{{"mode":"absolute","pan":{pan},"tilt":{tilt}}}"#);
    desk.ok("POST", "/ptz/emulated/move", &body).await;
    rests(&emulated, before).await;
    assert!(native.orders("/relative").len() == 2 && native.orders("/absolute").is_empty());
    assert!(emulated.orders("/absolute").len() == 3);
}

#[tokio::test]
async fn a_way_of_the_zoom_alone_does_not_leave_a_camera_turning() {
    let onvif = Onvif::builder().degrees().start();
    let desk = Desk::open(&paths(&[entry("gate", "onvif", &onvif.url(), "")]));
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5,"timeout":60000}"#).await;
    desk.ok("POST", "/ptz/gate/move", r#"{"mode":"absolute","unit":"normalized","zoom":0.5}"#).await;
    wait("the zoom", || onvif.position().zoom > 12.9 && !onvif.moving()).await;
    assert_eq!(onvif.stops(), 1, "{:?}", onvif.driven());
}

#[tokio::test]
async fn a_zoom_that_is_let_go_ends_while_the_camera_turns_on() {
    let onvif = Onvif::builder().untold().start();
    let desk = Desk::open(&paths(&[entry("gate", "onvif", &onvif.url(), "")]));
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5,"zoom":0.5,"timeout":60000}"#).await;
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.25,"timeout":60000}"#).await;
    assert_eq!(onvif.velocity(), [0.25, 0.0, 0.0]);
    desk.ok("POST", "/ptz/gate/stop", "").await;
    // And it is not named to a camera that never zoomed.
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.25}"#).await;
    let moves = onvif.orders("ContinuousMove");
    assert!(!moves.last().unwrap().text().contains("Zoom"), "{}", moves.last().unwrap().text());
    desk.ok("POST", "/ptz/gate/stop", "").await;
    wait("the stop", || !onvif.moving()).await;
}
