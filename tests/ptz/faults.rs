//! Cameras that refuse, keep silent, break off, and say strange things.

use super::kit::{Desk, SOON, Steered, entry, paths, wait};
use super::support;
use super::support::ptz_hikvision::Hikvision;
use super::support::ptz_http::{Fault, Options};
use super::support::ptz_onvif::{Onvif, SOAP, fault};
use super::support::ptz_xml;
use crate::on_both;
use std::time::Duration;

on_both!(
    a_silent_camera_is_a_504,
    a_dropped_connection_is_made_anew,
    answers_are_read_however_they_are_framed,
    documents_that_want_to_harm_do_not,
    a_camera_that_is_off_is_a_504_and_comes_back,
);

fn move_call<C: Steered>() -> &'static str {
    if C::DRIVER == "onvif" { "ContinuousMove" } else { "/continuous" }
}

async fn a_silent_camera_is_a_504<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("GET", "/ptz/gate/status", "").await;
    camera.server().misbehave(Fault::Never);
    let answer = desk.post("/ptz/gate/move", r#"{"pan":0.5}"#).await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(answer.error().contains(' '), "{answer:?}");
    let status = desk.get("/ptz/gate/status").await;
    assert!(status.status == 504 || status.json["online"] == false, "{status:?}");
    camera.server().behave();
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.25}"#).await;
    assert_eq!(camera.driven().iter().filter(|v| v[0] == 0.25).count(), 1);
    desk.ok("POST", "/ptz/gate/stop", "").await;
    wait("the connections that hung to be given up", || camera.server().open_connections() <= 1).await;
    desk.no_secrets();
}

async fn a_dropped_connection_is_made_anew<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("GET", "/ptz/gate/status", "").await;
    // The camera closes idle connections, between two requests and in the middle of one.
    for round in 0..5 {
        camera.server().cut();
        wait("the cut", || camera.server().open_connections() == 0).await;
        let body = format!(r#"{{"pan":{}}}"#, 0.1 + f64::from(round) / 10.0);
        desk.ok("POST", "/ptz/gate/move", &body).await;
    }
    let answer = {
        camera.server().misbehave(Fault::Close).on(move_call::<C>());
        desk.post("/ptz/gate/move", r#"{"pan":0.9}"#).await
    };
    assert!([502, 504].contains(&answer.status), "{answer:?}");
    camera.server().behave();
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.2}"#).await;
    desk.ok("POST", "/ptz/gate/stop", "").await;
    wait("the stop", || !camera.moving()).await;
    assert!(camera.server().open_connections() <= 1);
}

async fn answers_are_read_however_they_are_framed<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    for fault in [Fault::Chunked, Fault::UntilClose, Fault::Slow(Duration::from_millis(300))] {
        camera.server().misbehave(fault.clone());
        desk.ok("GET", "/ptz/gate/presets", "").await;
        desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5}"#).await;
        desk.ok("POST", "/ptz/gate/stop", "").await;
        camera.server().behave();
    }
    for fault in [Fault::Half, Fault::Garbage] {
        camera.server().misbehave(fault).on(move_call::<C>());
        let answer = desk.post("/ptz/gate/move", r#"{"pan":0.5}"#).await;
        assert!([502, 504].contains(&answer.status), "{answer:?}");
        camera.server().behave();
    }
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5}"#).await;
    desk.ok("POST", "/ptz/gate/stop", "").await;
    wait("the stop", || !camera.moving()).await;
}

async fn documents_that_want_to_harm_do_not<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("GET", "/ptz/gate/status", "").await;
    let before = desk.gateway.rss_kb();
    let call = if C::DRIVER == "onvif" { "GetPresets" } else { "/presets" };
    for (name, bytes) in ptz_xml::bombs() {
        camera.server().misbehave(Fault::InsteadAfter(200, "application/xml", bytes)).on(call);
        let answer = desk.get("/ptz/gate/presets").await;
        assert!([502, 504].contains(&answer.status), "{name}: {answer:?}");
        assert!(!answer.text.contains("root:"), "{name}: {answer:?}");
        assert!(answer.text.len() < 2000, "{name}: {}", answer.text.len());
        camera.server().behave();
    }
    let grown = desk.gateway.rss_kb().saturating_sub(before);
    assert!(grown < 100_000, "{grown} KB more");
    desk.ok("GET", "/ptz/gate/presets", "").await;
}

async fn a_camera_that_is_off_is_a_504_and_comes_back<C: Steered>(camera: C) {
    let url = camera.server().url();
    drop(camera);
    let desk = Desk::open(&paths(&[entry("gate", C::DRIVER, &url, "")]));
    for _ in 0..2 {
        let answer = desk.post("/ptz/gate/move", r#"{"pan":0.5}"#).await;
        assert_eq!(answer.status, 504, "{answer:?}");
    }
    let list = desk.ok("GET", "/ptz/cameras", "").await;
    assert_eq!(list["items"][0]["online"], false);
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    let http = Options { port, ..Options::default() };
    if C::DRIVER == "onvif" {
        let camera = Onvif::builder().http(http).start();
        desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5}"#).await;
        assert_eq!(camera.driven()[0], [0.5, 0.0, 0.0]);
    } else {
        let camera = Hikvision::builder().http(http).start();
        desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.5}"#).await;
        assert_eq!(camera.driven()[0], [0.5, 0.0, 0.0]);
    }
}

#[tokio::test]
async fn a_refusal_is_passed_on_in_the_cameras_own_words() {
    let (gate, yard) = (Hikvision::start(), Onvif::start());
    let desk = Desk::open(&paths(&[gate.entry("gate"), yard.entry("yard")]));
    for path in ["gate", "yard"] {
        desk.ok("GET", &format!("/ptz/{path}/status"), "").await;
    }
    let isapi = |code: u8, words: &str, sub: &str| {
        format!(
            "<?xml version=\"1.0\"?><ResponseStatus xmlns=\"http://www.isapi.org/ver20/XMLSchema\"><requestURL>/x</requestURL>\
             <statusCode>{code}</statusCode><statusString>{words}</statusString><subStatusCode>{sub}</subStatusCode>\
             </ResponseStatus>"
        )
        .into_bytes()
    };
    for (status, code, words, sub) in [
        (503, 2, "Device Busy", "deviceBusy"),
        (500, 3, "Device Error", "deviceError"),
        (403, 4, "Invalid Operation", "lowPrivilege"),
        // A 200 that is none.
        (200, 3, "Device Error", "deviceError"),
        (200, 7, "Reboot Required", "rebootRequired"),
    ] {
        gate.server().misbehave(Fault::Instead(status, "application/xml", isapi(code, words, sub))).on("/continuous");
        let answer = desk.post("/ptz/gate/move", r#"{"pan":0.5}"#).await;
        assert_eq!(answer.status, 502, "{words}: {answer:?}");
        assert!(answer.error().contains(words) || answer.error().contains(sub), "{words}: {answer:?}");
        gate.server().behave();
    }
    for (codes, words) in [
        (&["Receiver", "Action", "MovingPTZ"][..], "The unit is busy moving"),
        (&["Sender", "InvalidArgVal", "SpaceNotSupported"], "Space not supported"),
        (&["Receiver", "Action", "HardwareFailure"], "Motor blocked"),
    ] {
        yard.server().misbehave(Fault::Instead(400, SOAP, fault(codes, words))).on("ContinuousMove");
        let answer = desk.post("/ptz/yard/move", r#"{"pan":0.5}"#).await;
        assert!([409, 502].contains(&answer.status), "{words}: {answer:?}");
        assert!(answer.error().contains(words), "{words}: {answer:?}");
        yard.server().behave();
    }
    desk.no_secrets();
}

#[tokio::test]
async fn certificates_are_pinned() {
    let http = Options { tls: true, ..Options::default() };
    let camera = Hikvision::builder().http(http.clone()).start();
    let onvif = Onvif::builder().http(http).start();
    let own = camera.server().fingerprint();
    let pin = |print: &str| format!("      fingerprint: {print}\n");
    let desk = Desk::open(&paths(&[
        entry("right", "hikvision", &camera.url(), &pin(own)),
        entry("wrong", "hikvision", &camera.url(), &pin(&"ab".repeat(32))),
        entry("none", "hikvision", &camera.url(), ""),
        entry("onvif", "onvif", &onvif.url(), &pin(onvif.server().fingerprint())),
    ]));
    for path in ["right", "onvif"] {
        desk.ok("POST", &format!("/ptz/{path}/move"), r#"{"pan":0.5}"#).await;
        desk.ok("POST", &format!("/ptz/{path}/stop"), "").await;
    }
    assert!(camera.driven().contains(&[0.5, 0.0, 0.0]) && onvif.driven().contains(&[0.5, 0.0, 0.0]));
    let mark = camera.server().mark();
    for path in ["wrong", "none"] {
        let answer = desk.post(&format!("/ptz/{path}/move"), r#"{"pan":0.7}"#).await;
        assert!([502, 504].contains(&answer.status), "{answer:?}");
        assert!(answer.error().contains("certificate") && answer.error().contains("fingerprint"), "{answer:?}");
    }
    let came = camera.server().requests_after(mark);
    assert!(came.iter().all(|r| !r.text().contains(">70<")), "a camera that is not trusted got an order");
    desk.no_secrets();
}

#[tokio::test]
async fn a_camera_that_goes_off_is_not_taken_for_a_wrong_certificate() {
    let camera = Hikvision::builder().http(Options { tls: true, ..Options::default() }).start();
    let pin = format!("      fingerprint: {}\n", "ab".repeat(32));
    let desk = Desk::open(&paths(&[entry("gate", "hikvision", &camera.url(), &pin)]));
    let answer = desk.post("/ptz/gate/move", r#"{"pan":0.5}"#).await;
    assert!(answer.status == 502 && answer.error().contains(camera.server().fingerprint()), "{answer:?}");
    drop(camera);
    let answer = desk.post("/ptz/gate/move", r#"{"pan":0.5}"#).await;
    assert!(answer.status == 504 && !answer.error().contains("certificate"), "{answer:?}");
}

#[tokio::test]
async fn a_camera_that_takes_one_request_a_connection_is_steered_too() {
    let http = Options { requests_per_connection: Some(1), ..Options::default() };
    let camera = Hikvision::builder().http(http).start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    for n in 1..=10 {
        desk.ok("POST", "/ptz/gate/move", &format!(r#"{{"pan":{}}}"#, f64::from(n) / 10.0)).await;
    }
    assert_eq!(camera.driven().len(), 10);
    desk.ok("POST", "/ptz/gate/stop", "").await;
    support::until_true(SOON, "no open connection", || camera.server().open_connections() == 0).await;
}
