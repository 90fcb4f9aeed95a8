//! Every endpoint, with the JSON of the design.

use super::kit::{Desk, SOON, Steered, entry, paths, wait};
use super::support::ptz_hikvision::Hikvision;
use super::support::ptz_motion::Position;
use super::support::ptz_onvif::Onvif;
use crate::on_both;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

on_both!(
    velocities_come_as_they_were_sent,
    it_goes_to_presets_home_and_positions,
    presets_are_saved_renamed_and_deleted,
    a_box_fills_the_picture_and_a_point_comes_to_the_middle,
    patrols_start_and_stop,
    names_have_slashes,
);

async fn velocities_come_as_they_were_sent<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    for (body, want) in [
        (r#"{"pan":1}"#, [1.0, 0.0, 0.0]),
        (r#"{"pan":0.35,"tilt":-0.4,"zoom":0}"#, [0.35, -0.4, 0.0]),
        (r#"{"zoom":-1,"timeout":900}"#, [0.0, 0.0, -1.0]),
        (r#"{"mode":"continuous","pan":-1,"tilt":1,"zoom":1}"#, [-1.0, 1.0, 1.0]),
    ] {
        let before = camera.driven().len();
        let answer = desk.ok("POST", "/ptz/gate/move", body).await;
        assert_eq!(answer["status"], "ok");
        let until = humantime::parse_rfc3339(answer["until"].as_str().expect("until")).unwrap();
        let left = until.duration_since(SystemTime::now()).unwrap_or_default();
        assert!(left <= Duration::from_secs(2), "{answer}");
        assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
        let driven = camera.driven();
        assert_eq!(driven[before], want, "{body}");
        assert_eq!(desk.ok("POST", "/ptz/gate/stop", "").await, json!({"status": "ok"}));
        wait("the stop", || !camera.moving()).await;
    }
    // Nothing but zeros is a stop.
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.1}"#).await;
    desk.ok("POST", "/ptz/gate/move", "{}").await;
    wait("the stop", || !camera.moving()).await;
    desk.no_secrets();
}

#[tokio::test]
async fn a_move_tells_until_when_it_lasts() {
    let (camera, slow) = (Hikvision::start(), Hikvision::start());
    let slowly = entry("slow", "hikvision", &slow.url(), "      moveTimeout: 40s\n");
    let desk = Desk::open(&paths(&[camera.entry("gate"), slowly]));
    // Earliest and latest; how much of it this machine loses on the way is not judged.
    for (name, body, most) in [
        ("gate", r#"{"pan":0.5}"#, 2_000),
        ("gate", r#"{"pan":0.5,"timeout":60000}"#, 60_000),
        ("gate", r#"{"pan":0.5,"timeout":50}"#, 50),
        ("slow", r#"{"pan":0.5}"#, 40_000),
        ("slow", r#"{"pan":0.5,"timeout":30000}"#, 30_000),
    ] {
        let before = SystemTime::now();
        let answer = desk.ok("POST", &format!("/ptz/{name}/move"), body).await;
        let after = SystemTime::now();
        let until = humantime::parse_rfc3339(answer["until"].as_str().unwrap()).unwrap();
        let most = Duration::from_millis(most);
        // To the millisecond, which is cut off here and in the clock of the steerer.
        assert!(until <= after + most && until + Duration::from_millis(2) >= before + most, "{name} {body}: {answer}");
    }
    for name in ["gate", "slow"] {
        let answer = desk.ok("POST", &format!("/ptz/{name}/stop"), "").await;
        assert_eq!(answer, json!({"status": "ok"}), "a stop lasts");
    }
    wait("the stop", || !camera.moving() && !slow.moving()).await;
}

async fn it_goes_to_presets_home_and_positions<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    let there = async |to: Position| {
        wait(&format!("{to:?}"), || camera.position().near(&to, 0.2) && !camera.moving()).await;
    };
    let presets = desk.ok("GET", "/ptz/gate/presets", "").await;
    assert_eq!(presets["itemCount"], 4, "{presets}");
    let first = presets["items"][0]["id"].as_str().unwrap().to_string();
    assert_eq!(desk.ok("POST", &format!("/ptz/gate/preset/{first}"), "").await, json!({"status": "ok"}));
    there(Position::new(135.0, 15.0, 4.0)).await;
    let status = desk.ok("GET", "/ptz/gate/status", "").await;
    assert_eq!((&status["name"], &status["online"], &status["error"]), (&json!("gate"), &json!(true), &Value::Null));
    let near = |value: &Value, want: f64| (value.as_f64().unwrap_or(f64::NAN) - want).abs() < 0.11;
    let at = &status["position"];
    assert!(near(&at["pan"], 135.0) && near(&at["tilt"], 15.0), "{status}");
    assert!(at["zoom"].is_null() || near(&at["zoom"], 4.0), "{status}");
    let parts = &status["normalized"];
    assert!(near(&parts["zoom"], 0.125), "{status}");
    assert!(humantime::parse_rfc3339(status["time"].as_str().unwrap()).is_ok());
    assert_eq!(desk.ok("POST", "/ptz/gate/home", "").await, json!({"status": "ok"}));
    there(Position::new(10.0, 5.0, 1.0)).await;
    let body = r#"{"mode":"absolute","pan":200.5,"tilt":-12.5}"#;
    assert_eq!(desk.ok("POST", "/ptz/gate/move", body).await["status"], "ok");
    there(Position::new(200.5, -12.5, 1.0)).await;
    let body = r#"{"mode":"absolute","unit":"normalized","zoom":0.5}"#;
    desk.ok("POST", "/ptz/gate/move", body).await;
    there(Position::new(200.5, -12.5, 13.0)).await;
    desk.no_secrets();
}

async fn presets_are_saved_renamed_and_deleted<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    let all = async || {
        let list = desk.ok("GET", "/ptz/gate/presets", "").await;
        let mut items = list["items"].as_array().unwrap().clone();
        assert_eq!(list["itemCount"], items.len());
        // A preset that cannot be called is a free place: a new one may take it.
        items.retain(|p| p["enabled"] == true);
        items
    };
    let before = all().await;
    camera.place(Position::new(42.0, 7.0, 2.0));
    let name = "Tür <\"&'> 门";
    let saved = desk.ok("POST", "/ptz/gate/presets", &json!({"name": name}).to_string()).await;
    let id = saved["id"].as_str().expect("an id").to_string();
    let now = all().await;
    assert_eq!(now.len(), before.len() + 1);
    let one = now.iter().find(|p| p["id"] == id.as_str()).unwrap();
    assert_eq!(one, &json!({"id": id, "name": name, "enabled": true}));
    let uri = format!("/ptz/gate/preset/{id}");
    desk.ok("PATCH", &uri, r#"{"name":"Back door"}"#).await;
    let renamed = all().await;
    assert!(renamed.iter().any(|p| p["id"] == id.as_str() && p["name"] == "Back door"), "{renamed:?}");
    // Renaming left its position, saving again moves it.
    camera.place(Position::new(0.0, 0.0, 1.0));
    desk.ok("POST", &uri, "").await;
    wait("the preset", || camera.position().near(&Position::new(42.0, 7.0, 2.0), 0.2) && !camera.moving()).await;
    camera.place(Position::new(90.0, 1.0, 3.0));
    desk.ok("PUT", &uri, r#"{"name":"Front gate"}"#).await;
    camera.place(Position::new(0.0, 0.0, 1.0));
    desk.ok("POST", &uri, "").await;
    wait("the preset", || camera.position().near(&Position::new(90.0, 1.0, 3.0), 0.2)).await;
    assert_eq!(desk.ok("DELETE", &uri, "").await, json!({"status": "ok"}));
    assert_eq!(all().await, before);
    let gone = desk.post(&uri, "").await;
    assert_eq!(gone.status, 404, "{gone:?}");
    desk.no_secrets();
}

async fn a_box_fills_the_picture_and_a_point_comes_to_the_middle<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    camera.place(Position::new(100.0, 10.0, 2.0));
    // The point at three quarters of the width and a quarter of the height: 7.5° to the
    // right of the middle and 4.2° above it.
    desk.ok("POST", "/ptz/gate/center", r#"{"x":0.75,"y":0.25}"#).await;
    wait("the point in the middle", || {
        let p = camera.position();
        !camera.moving() && p.pan > 103.0 && p.tilt > 11.0 && (p.zoom - 2.0).abs() < 0.3
    })
    .await;
    camera.place(Position::new(100.0, 10.0, 2.0));
    let frame = r#"{"x":0.5,"y":0.5,"width":0.5,"height":0.5}"#;
    if C::DRIVER == "onvif" {
        // ONVIF knows no such call.
        let answer = desk.post("/ptz/gate/boxzoom", frame).await;
        assert_eq!(answer.status, 409, "{answer:?}");
        assert!(answer.error().contains("box"), "{answer:?}");
        return;
    }
    desk.ok("POST", "/ptz/gate/boxzoom", frame).await;
    wait("the box", || {
        let p = camera.position();
        !camera.moving() && p.pan > 103.0 && p.tilt < 9.0 && p.zoom > 3.0
    })
    .await;
    desk.no_secrets();
}

async fn patrols_start_and_stop<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    let id = if C::DRIVER == "onvif" { "tour1" } else { "2" };
    assert_eq!(desk.ok("POST", &format!("/ptz/gate/patrol/{id}/start"), "").await, json!({"status": "ok"}));
    assert_eq!(desk.ok("POST", &format!("/ptz/gate/patrol/{id}/stop"), "").await, json!({"status": "ok"}));
    let said =
        |order: &str| camera.server().requests().iter().any(|r| r.path.ends_with(order) || r.text().contains(order));
    let (start, stop) =
        if C::DRIVER == "onvif" { (">Start<", ">Stop<") } else { ("/patrols/2/start", "/patrols/2/stop") };
    assert!(said(start) && said(stop));
}

async fn names_have_slashes<C: Steered>(camera: C) {
    let desk = Desk::open(&paths(&[camera.entry("site/north/gate")]));
    desk.ok("POST", "/ptz/site/north/gate/move", r#"{"tilt":0.5}"#).await;
    assert_eq!(camera.driven(), [[0.0, 0.5, 0.0]]);
    desk.ok("POST", "/ptz/site%2Fnorth%2Fgate/stop", "").await;
    assert_eq!(desk.ok("GET", "/ptz/site/north/gate/status", "").await["name"], "site/north/gate");
    let list = desk.ok("GET", "/ptz/cameras", "").await;
    assert_eq!(list["items"][0]["name"], "site/north/gate");
}

#[tokio::test]
async fn the_list_tells_what_each_camera_can_do() {
    let (hikvision, onvif) = (Hikvision::start(), Onvif::start());
    let fixed = "  fixed:\n    source: publisher\n".to_string();
    let desk = Desk::open(&paths(&[fixed, hikvision.entry("gate"), onvif.entry("yard")]));
    // Found out without being asked.
    let known = |list: &Value| list["items"].as_array().unwrap().iter().all(|c| c["online"] == true);
    let list = super::support::until(SOON, "both cameras online", || async {
        Some(desk.ok("GET", "/ptz/cameras", "").await).filter(known)
    });
    let list = list.await;
    let can = json!({"pan": true, "tilt": true, "zoom": true, "absolute": true, "relative": true, "presets": true,
        "home": true, "patrols": true, "boxZoom": true, "focus": true, "iris": true});
    assert_eq!(list["itemCount"], 2);
    let gate = json!({"name": "gate", "driver": "hikvision", "model": "DS-2DF8425IX-AELW", "online": true,
        "error": null, "capabilities": can});
    assert_eq!(list["items"][0], gate);
    let yard = &list["items"][1];
    assert_eq!((&yard["name"], &yard["driver"]), (&json!("yard"), &json!("onvif")));
    assert!(yard["model"].as_str().unwrap().contains("SD-6C"), "{yard}");
    for what in ["pan", "tilt", "zoom", "absolute", "relative", "presets", "home", "patrols"] {
        assert_eq!(yard["capabilities"][what], true, "{what}: {yard}");
    }
    assert_eq!(yard["capabilities"]["iris"], false, "{yard}");
    desk.no_secrets();
}

#[tokio::test]
async fn the_status_is_exactly_that_of_the_design() {
    let camera = Hikvision::start();
    camera.place(Position::new(135.0, 15.0, 4.0));
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    let status = desk.ok("GET", "/ptz/gate/status", "").await;
    let keys: Vec<_> = status.as_object().unwrap().keys().map(String::as_str).collect();
    for key in ["name", "online", "moving", "position", "normalized", "error", "time"] {
        assert!(keys.contains(&key), "{key} is missing: {status}");
    }
    assert_eq!(status["position"], json!({"pan": 135.0, "tilt": 15.0, "zoom": 4.0}));
    assert_eq!(status["normalized"]["pan"], -0.25);
    assert_eq!(status["moving"], false);
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":0.2,"timeout":30000}"#).await;
    assert_eq!(desk.ok("GET", "/ptz/gate/status", "").await["moving"], true);
    desk.ok("POST", "/ptz/gate/stop", "").await;
    assert_eq!(desk.ok("GET", "/ptz/gate/status", "").await["moving"], false);
}

#[tokio::test]
async fn focus_and_iris_are_driven_and_stopped() {
    let camera = Hikvision::start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("POST", "/ptz/gate/focus", r#"{"speed":-0.6,"timeout":60000}"#).await;
    assert_eq!(camera.memory().focus, -60);
    desk.ok("POST", "/ptz/gate/iris", r#"{"speed":0.5,"timeout":100}"#).await;
    wait("the iris to stop by itself", || camera.memory().iris == 0).await;
    assert_eq!(camera.memory().focus, -60);
    desk.ok("POST", "/ptz/gate/stop", "").await;
    wait("the focus to stop", || camera.memory().focus == 0).await;
}

#[tokio::test]
async fn the_focus_is_driven_over_onvif_too_and_the_iris_is_not() {
    let camera = Onvif::start();
    let desk = Desk::open(&paths(&[camera.entry("gate")]));
    desk.ok("POST", "/ptz/gate/focus", r#"{"speed":-0.6,"timeout":60000}"#).await;
    assert_eq!(camera.memory().focus, -0.6);
    desk.ok("POST", "/ptz/gate/focus", r#"{"speed":0.5,"timeout":100}"#).await;
    wait("the focus to stop by itself", || camera.memory().focus == 0.0).await;
    let answer = desk.post("/ptz/gate/iris", r#"{"speed":0.5}"#).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.error().contains("iris"), "{answer:?}");
}

#[tokio::test]
async fn a_preset_is_not_renamed_where_that_would_move_it() {
    // The first tells where it looks and not where its presets are, the second looks elsewhere.
    let (vague, away) = (Onvif::start(), Hikvision::start());
    let desk = Desk::open(&paths(&[vague.entry("vague"), away.entry("away")]));
    for (path, id) in [("vague", "P001"), ("away", "1")] {
        let before = desk.ok("GET", &format!("/ptz/{path}/presets"), "").await;
        assert!(before["items"].as_array().unwrap().iter().any(|p| p["id"] == id), "{before}");
        let answer = desk.ask("PATCH", &format!("/ptz/{path}/preset/{id}"), &[], r#"{"name":"x"}"#).await;
        assert_eq!(answer.status, 409, "{answer:?}");
        assert!(answer.error().contains("go to the preset first"), "{answer:?}");
        assert_eq!(desk.ok("GET", &format!("/ptz/{path}/presets"), "").await, before);
    }
}
