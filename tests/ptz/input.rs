//! Bad requests, and requests of people who may not.

use super::kit::{Desk, Steered, entry, paths, wait};
use super::support::ptz_hikvision::Hikvision;
use super::support::ptz_motion::Position;
use super::support::ptz_onvif::Onvif;
use crate::on_both;

on_both!(what_cannot_be_done_is_refused_with_the_field_or_the_reason);

async fn what_cannot_be_done_is_refused_with_the_field_or_the_reason<C: Steered>(camera: C) {
    let fixed = "  fixed:\n    source: publisher\n".to_string();
    let desk = Desk::open(&paths(&[camera.entry("gate"), fixed]));
    desk.ok("GET", "/ptz/gate/status", "").await;
    let mark = camera.server().mark();
    for (method, path, body, status, says) in [
        ("POST", "/ptz/nobody/move", r#"{"pan":1}"#, 404, "nobody"),
        ("POST", "/ptz/nobody/stop", "", 404, "nobody"),
        ("GET", "/ptz/nobody/status", "", 404, "nobody"),
        ("POST", "/ptz/fixed/move", r#"{"pan":1}"#, 409, "ptz"),
        ("GET", "/ptz/fixed/presets", "", 409, "ptz"),
        ("POST", "/ptz/gate/move", r#"{"pan":1.5}"#, 400, "pan"),
        ("POST", "/ptz/gate/move", r#"{"pan":0,"tilt":-7}"#, 400, "tilt"),
        ("POST", "/ptz/gate/move", r#"{"zoom":NaN}"#, 400, "zoom"),
        ("POST", "/ptz/gate/move", r#"{"zoom":1e400}"#, 400, "zoom"),
        ("POST", "/ptz/gate/move", r#"{"pan":"1"}"#, 400, "pan"),
        ("POST", "/ptz/gate/move", r#"{"pan":true}"#, 400, "pan"),
        ("POST", "/ptz/gate/move", r#"{"pan":1,"timeout":-1}"#, 400, "timeout"),
        ("POST", "/ptz/gate/move", r#"{"pan":1,"timeout":86400000}"#, 400, "timeout"),
        ("POST", "/ptz/gate/move", r#"{"mode":"sideways"}"#, 400, "mode"),
        ("POST", "/ptz/gate/move", r#"{"pam":1}"#, 400, "pam"),
        ("POST", "/ptz/gate/move", "pan=1", 400, "JSON"),
        ("POST", "/ptz/gate/move", "", 400, "empty"),
        ("POST", "/ptz/gate/boxzoom", r#"{"x":0,"y":0,"width":2,"height":0.1}"#, 400, "width"),
        ("POST", "/ptz/gate/center", r#"{"x":0.5}"#, 400, "y"),
        ("GET", "/ptz/gate/move", "", 405, ""),
        ("POST", "/ptz/gate/status", "", 405, ""),
    ] {
        let answer = desk.ask(method, path, &[], body).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        assert!(answer.error().contains(says), "{method} {path} {body}: {answer:?}");
    }
    assert_eq!(camera.server().mark(), mark, "a bad request reached the camera");
    for id in ["29", "no-such", "%3Cx%3E"] {
        let answer = desk.post(&format!("/ptz/gate/preset/{id}"), "").await;
        assert_eq!(answer.status, 404, "{id}: {answer:?}");
        assert!(answer.error().contains("preset"), "{answer:?}");
    }
    assert!(camera.driven().is_empty() && !camera.moving());
    desk.no_secrets();
}

#[tokio::test]
async fn ids_have_slashes_and_whatever_else_a_camera_writes() {
    let ids = ["site/1", "a/preset/b", "x/stop", "/", "50%", "a b?c#d", "Tür"];
    let onvif = ids.iter().fold(Onvif::builder(), |builder, id| builder.preset(id)).start();
    let hikvision = Hikvision::start();
    let desk = Desk::open(&paths(&[onvif.entry("north/yard"), hikvision.entry("gate")]));
    let list = desk.ok("GET", "/ptz/north/yard/presets", "").await;
    for id in ids {
        assert!(list["items"].as_array().unwrap().iter().any(|p| p["id"] == id), "{id}: {list}");
        onvif.place(Position::new(10.0, 0.0, 1.0));
        let url = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string();
        desk.ok("POST", &format!("/ptz/north/yard/preset/{url}"), "").await;
        wait(id, || onvif.position().near(&Position::new(200.0, 0.0, 1.0), 0.2) && !onvif.moving()).await;
        let answer = desk.post(&format!("/ptz/gate/preset/{url}"), "").await;
        assert!(answer.status == 404 && answer.error().contains("preset"), "{id}: {answer:?}");
        let answer = desk.post(&format!("/ptz/gate/patrol/{url}/start"), "").await;
        assert!(answer.status == 404 && answer.error().contains("patrol"), "{id}: {answer:?}");
    }
    for bad in ["a%0Ab", "a%5Cb", "%ff"] {
        assert_eq!(desk.post(&format!("/ptz/gate/preset/{bad}"), "").await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn reserved_presets_need_a_word_in_the_file() {
    let (guarded, free) = (Hikvision::start(), Hikvision::start());
    let special = entry("free", "hikvision", &free.url(), "      allowSpecialPresets: yes\n");
    let desk = Desk::open(&paths(&[guarded.entry("guarded"), special]));
    for id in ["33", "94", "105", "094", "+94"] {
        let answer = desk.post(&format!("/ptz/guarded/preset/{id}"), "").await;
        assert!(answer.status >= 400, "{id}: {answer:?}");
    }
    let answer = desk.post("/ptz/guarded/preset/94", "").await;
    assert!(answer.error().contains("allowSpecialPresets"), "{answer:?}");
    let answer = desk.ask("PUT", "/ptz/guarded/preset/94", &[], "").await;
    assert!(answer.status >= 400, "{answer:?}");
    assert!(guarded.memory().special.is_empty());
    assert!(!guarded.server().requests().iter().any(|r| r.path.contains("94") || r.path.contains("33")));
    desk.ok("POST", "/ptz/free/preset/39", "").await;
    assert_eq!(free.memory().special, [39]);
}

#[tokio::test]
async fn only_this_machine_steers_until_the_file_says_otherwise() {
    let camera = Hikvision::start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("GET", "/ptz/gate/status", "").await;
    let mark = camera.server().mark();
    // Another name (DNS rebinding), a proxy, another site.
    for headers in [
        [("Host", "cams.example:8889")],
        [("X-Forwarded-For", "203.0.113.9")],
        [("Forwarded", "for=203.0.113.9")],
        [("Origin", "https://evil.example")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Origin", "null")],
    ] {
        for (path, body) in [("/ptz/gate/move", r#"{"pan":1}"#), ("/ptz/gate/stop", ""), ("/ptz/gate/preset/1", "")] {
            let answer = desk.ask("POST", path, &headers, body).await;
            assert_eq!(answer.status, 403, "{headers:?}: {answer:?}");
            assert!(!answer.headers.to_lowercase().contains("access-control-allow-origin"), "{answer:?}");
        }
        if headers[0].0 == "Host" || headers[0].0.contains("or") && headers[0].0 != "Origin" {
            let answer = desk.ask("GET", "/ptz/cameras", &headers, "").await;
            assert_eq!(answer.status, 403, "{headers:?}: {answer:?}");
            // What to write into the file.
            assert!(answer.error().contains("action: ptz"), "{answer:?}");
        }
    }
    assert_eq!(camera.server().mark(), mark);
    // Our own page.
    let own = desk.gateway.url().to_string();
    let answer = desk.ask("POST", "/ptz/gate/stop", &[("Origin", &own), ("Sec-Fetch-Site", "same-origin")], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn who_may_steer_is_in_the_file() {
    let (gate, yard) = (Hikvision::start(), Onvif::start());
    let users = "authInternalUsers:\n- user: any\n  permissions:\n  - action: read\n\
                 - user: guard\n  pass: tower\n  permissions:\n  - action: ptz\n    path: gate\n";
    let desk = Desk::open(&format!("{users}{}", paths(&[gate.entry("gate"), yard.entry("yard")])));
    let guard = ("Authorization", "Basic Z3VhcmQ6dG93ZXI="); // guard:tower
    assert_eq!(desk.post("/ptz/gate/stop", "").await.status, 401);
    assert_eq!(desk.get("/ptz/cameras").await.status, 401);
    assert_eq!(desk.ask("POST", "/ptz/gate/stop", &[guard], "").await.status, 200);
    let other = desk.ask("POST", "/ptz/yard/move", &[guard], r#"{"pan":1}"#).await;
    assert_eq!(other.status, 403, "{other:?}");
    assert!(other.error().contains("ptz"), "{other:?}");
    let list = desk.ask("GET", "/ptz/cameras", &[guard], "").await;
    assert_eq!((list.status, &list.json["itemCount"]), (200, &serde_json::json!(1)), "{list:?}");
    wait("the camera at rest", || !yard.moving()).await;
    assert!(yard.driven().is_empty());
}
