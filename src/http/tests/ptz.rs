//! `/ptz/…`: routes, rights and the JSON of every answer. `ask` comes from outside of this
//! machine.

use serde_json::{Value, json};

use super::{Answer, BOB, Fake, ask, bob};
use crate::config::{Action, Permission, Size, User};
use crate::ptz::{Ask, Drive, Edit, Go, Velocity};

/// Bob may steer, everywhere or on one path.
fn steered_by_bob(path: &'static str) -> std::sync::Arc<Fake> {
    Fake::new(move |c| {
        let mut bob = bob();
        bob.permissions.push(Permission { action: Action::Ptz, path: path.into() });
        c.auth_internal_users = vec![bob];
    })
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"), "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

#[actix_web::test]
async fn the_list_has_what_the_caller_may_steer() {
    let list = json_of(&ask(&steered_by_bob(""), "GET", "/ptz/cameras", &[BOB], "").await);
    assert_eq!(list["itemCount"], 2);
    let capabilities = json!({"pan": true, "tilt": false, "zoom": false, "absolute": false, "relative": false,
        "presets": false, "home": false, "patrols": false, "boxZoom": true, "focus": false, "iris": false});
    assert_eq!(
        list["items"][0],
        json!({"name": "gate", "driver": "hikvision", "model": "DS-2DF8425IX-AELW", "online": true, "error": null,
            "capabilities": capabilities})
    );
    for (path, want) in [("site/yard", vec!["site/yard"]), ("~^g", vec!["gate"]), ("none", vec![])] {
        let list = json_of(&ask(&steered_by_bob(path), "GET", "/ptz/cameras", &[BOB], "").await);
        let names: Vec<&str> = list["items"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(names, want);
    }
}

#[actix_web::test]
async fn every_route_asks_and_answers_what_the_design_says() {
    let fake = steered_by_bob("");
    let velocity = Velocity { pan: 0.5, tilt: 0.0, zoom: 0.0 };
    let (ok, moving) = (json!({"status": "ok"}), json!({"status": "ok", "until": "2023-11-14T22:13:20.250Z"}));
    let named = |name: &str| Some(name.to_string());
    for (method, uri, body, want, asked) in [
        ("POST", "/ptz/gate/move", r#"{"pan":0.5}"#, &moving, Ask::Drive(Drive::Move(velocity), None)),
        ("POST", "/ptz/site/yard/stop", "", &ok, Ask::Stop),
        ("POST", "/ptz/gate/home", "", &ok, Ask::Go(Go::Home)),
        ("POST", "/ptz/gate/center", r#"{"x":0.5,"y":1}"#, &ok, Ask::Go(Go::Center(0.5, 1.0))),
        ("POST", "/ptz/gate/focus", r#"{"speed":-1}"#, &moving, Ask::Drive(Drive::Focus(-1.0), None)),
        ("POST", "/ptz/gate/iris", r#"{"speed":0}"#, &moving, Ask::Drive(Drive::Iris(0.0), None)),
        ("POST", "/ptz/gate/preset/1", "", &ok, Ask::Go(Go::Preset("1".into()))),
        ("DELETE", "/ptz/gate/preset/1", "", &ok, Ask::Edit(Edit::Delete("1".into()))),
        (
            "PATCH",
            "/ptz/gate/preset/1",
            r#"{"name":"Yard"}"#,
            &ok,
            Ask::Edit(Edit::Rename { id: "1".into(), name: "Yard".into() }),
        ),
        (
            "PUT",
            "/ptz/gate/preset/7",
            r#"{"name":"Yard"}"#,
            &json!({"status": "ok", "id": "7"}),
            Ask::Edit(Edit::Save { id: named("7"), name: named("Yard") }),
        ),
        (
            "POST",
            "/ptz/gate/presets",
            "",
            &json!({"status": "ok", "id": "7"}),
            Ask::Edit(Edit::Save { id: None, name: None }),
        ),
        (
            "GET",
            "/ptz/gate/presets",
            "",
            &json!({"itemCount": 1, "items": [{"id": "1", "name": "Front gate", "enabled": true}]}),
            Ask::Presets,
        ),
        ("POST", "/ptz/gate/patrol/2/start", "", &ok, Ask::Go(Go::Patrol("2".into()))),
        ("POST", "/ptz/gate/patrol/2/stop", "", &ok, Ask::Edit(Edit::StopPatrol("2".into()))),
    ] {
        let answer = ask(&fake, method, uri, &[BOB], body).await;
        assert_eq!(&json_of(&answer), want, "{method} {uri}");
        let (path, last) = fake.steered.lock().unwrap().pop().unwrap();
        assert_eq!(last, asked, "{method} {uri}");
        assert!(uri.contains(&path));
    }
    let status = json_of(&ask(&fake, "GET", "/ptz/site%2Fyard/status", &[BOB], "").await);
    assert_eq!(status["name"], "site/yard");
    assert_eq!(status["position"], json!({"pan": 135.0, "tilt": 15.0, "zoom": 4.0}));
    for key in ["online", "moving", "normalized", "capabilities", "error", "time"] {
        assert!(status.get(key).is_some(), "{key}");
    }
}

#[actix_web::test]
async fn what_cannot_be_is_an_error_of_its_kind() {
    let fake = steered_by_bob("");
    for (method, uri, body, status, says) in [
        ("POST", "/ptz/nobody/stop", "", 404, "no such path"),
        ("POST", "/ptz/fixed/stop", "", 409, "no PTZ"),
        ("POST", "/ptz/silent/stop", "", 504, "silent"),
        ("POST", "/ptz/gate/move", r#"{"pan":2}"#, 400, "pan"),
        ("POST", "/ptz/gate/move", "", 400, "empty"),
        ("PATCH", "/ptz/gate/preset/1", "{}", 400, "name"),
        ("POST", "/ptz/gate/preset/%20", "", 400, "id"),
        ("GET", "/ptz/gate/move", "", 405, "POST"),
        ("PUT", "/ptz/gate/status", "", 405, "GET, HEAD"),
        ("POST", "/ptz/cameras", "", 405, "GET, HEAD"),
        ("GET", "/ptz/gate/jump", "", 404, "nothing"),
    ] {
        let answer = ask(&fake, method, uri, &[BOB], body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {uri}: {}", answer.body);
        assert!(answer.error().contains(says), "{}", answer.body);
    }
    let long = format!("{{\"pan\":0,\"x\":\"{}\"}}", "x".repeat(20_000));
    assert_eq!(ask(&fake, "POST", "/ptz/gate/move", &[BOB], &long).await.status.as_u16(), 413);
}

#[actix_web::test]
async fn the_configuration_can_bound_bodies_closer() {
    let long = format!("{{\"pan\":0,\"x\":\"{}\"}}", "x".repeat(2_000));
    for (size, too_large) in [(1 << 20, false), (1_024, true)] {
        let fake = Fake::new(move |c| {
            let permissions = vec![Permission::everywhere(Action::Ptz)];
            c.auth_internal_users = vec![User { permissions, ..bob() }];
            c.limits.body_size = Size(size);
        });
        let status = ask(&fake, "POST", "/ptz/gate/move", &[BOB], &long).await.status.as_u16();
        assert_eq!(status == 413, too_large, "{size}: {status}");
    }
}

#[actix_web::test]
async fn only_who_may() {
    // By default only this machine, and the one who asks here is none of it.
    let fake = Fake::new(|_| {});
    for (method, uri) in [("GET", "/ptz/cameras"), ("GET", "/ptz/gate/status"), ("POST", "/ptz/gate/stop")] {
        let answer = ask(&fake, method, uri, &[], "").await;
        assert_eq!(answer.status.as_u16(), 403, "{uri}");
        let text = answer.error();
        assert!(text.contains("\"ptz\"") && text.contains("- action: ptz"), "{text}");
    }
    assert_eq!(ask(&fake, "POST", "/ptz/nobody/stop", &[], "").await.status.as_u16(), 403, "names are not told");
    let fake = steered_by_bob("gate");
    assert_eq!(ask(&fake, "POST", "/ptz/gate/stop", &[], "").await.status.as_u16(), 401);
    assert_eq!(ask(&fake, "POST", "/ptz/gate/stop", &[BOB], "").await.status.as_u16(), 200);
    let answer = ask(&fake, "POST", "/ptz/site/yard/stop", &[BOB], "").await;
    assert_eq!(answer.status.as_u16(), 403);
    assert!(answer.error().contains("\"site/yard\""));
}

#[actix_web::test]
async fn other_sites_change_nothing_and_read_nothing() {
    let fake = steered_by_bob("");
    let host = ("host", "cams:8889");
    for evil in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        for (method, uri) in
            [("POST", "/ptz/gate/stop"), ("POST", "/ptz/gate/preset/1"), ("DELETE", "/ptz/gate/preset/1")]
        {
            let answer = ask(&fake, method, uri, &[BOB, host, evil], "").await;
            assert_eq!(answer.status.as_u16(), 403, "{evil:?}");
            assert!(answer.error().contains("site"), "{}", answer.body);
        }
        let answer = ask(&fake, "GET", "/ptz/gate/status", &[BOB, host, evil], "").await;
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
    }
    assert!(fake.steered.lock().unwrap().iter().all(|(_, ask)| *ask == Ask::Status));
    let own = ("origin", "http://cams:8889");
    assert_eq!(ask(&fake, "POST", "/ptz/gate/stop", &[BOB, host, own], "").await.status.as_u16(), 200);
    let answer = ask(&fake, "OPTIONS", "/ptz/gate/stop", &[own, ("access-control-request-method", "POST")], "").await;
    assert_eq!(answer.status.as_u16(), 405, "no preflight");
}

#[actix_web::test]
async fn the_paths_tell_who_may_steer_and_who_what_to_change() {
    let json = ("accept", "application/json");
    let gate = |answer: &Answer| serde_json::from_str::<Value>(&answer.body).unwrap()["items"][0].clone();
    let may = gate(&ask(&steered_by_bob(""), "GET", "/", &[BOB, json], "").await);
    assert_eq!((&may["name"], &may["ptz"], &may["ptzRefused"]), (&json!("gate"), &json!(true), &Value::Null));
    let other = gate(&ask(&Fake::new(|_| {}), "GET", "/", &[json], "").await);
    assert_eq!(other["ptz"], false);
    assert!(other["ptzRefused"].as_str().unwrap().contains("- action: ptz"), "{other}");
    let answer = ask(&steered_by_bob("gate"), "GET", "/gate", &[BOB, json], "").await;
    assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap()["ptz"], true);
}
