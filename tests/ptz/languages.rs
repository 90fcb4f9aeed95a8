//! What cameras of one language differ in: namespaces, encodings, what they lack,
//! clocks, addresses, profiles; and finding out which language it is.

use super::kit::{Desk, Steered, entry, paths, wait};
use super::support::ptz_hikvision::Hikvision;
use super::support::ptz_http::Options;
use super::support::ptz_motion::{Limits, Position};
use super::support::ptz_onvif::{Onvif, Wants};
use super::support::ptz_xml::Encoding;
use serde_json::Value;

async fn steers(desk: &Desk, name: &str, camera: &impl Steered) {
    desk.ok("POST", &format!("/ptz/{name}/move"), r#"{"pan":0.5,"tilt":-0.25}"#).await;
    assert_eq!(camera.driven().last(), Some(&[0.5, -0.25, 0.0]), "{name}");
    desk.ok("POST", &format!("/ptz/{name}/stop"), "").await;
    wait("the stop", || !camera.moving()).await;
}

#[tokio::test]
async fn isapi_comes_in_all_namespaces_and_encodings() {
    let spaces =
        ["http://www.isapi.org/ver20/XMLSchema", "http://www.std-cgi.org/ver10/XMLSchema", "urn:psialliance-org", ""];
    let encodings = [Encoding::Utf8Bom, Encoding::Utf16Le, Encoding::Utf16Be, Encoding::Gb2312, Encoding::Latin1];
    let cameras: Vec<Hikvision> = (spaces.iter().map(|space| Hikvision::builder().namespace(space)))
        .chain(encodings.iter().map(|encoding| Hikvision::builder().encoding(*encoding)))
        .map(|builder| builder.start())
        .collect();
    let entries: Vec<String> = cameras.iter().enumerate().map(|(n, c)| c.entry(&format!("c{n}"))).collect();
    let desk = Desk::open(&paths(&entries));
    for (n, camera) in cameras.iter().enumerate() {
        let name = format!("c{n}");
        steers(&desk, &name, camera).await;
        camera.place(Position::new(135.0, 15.0, 4.0));
        let status = desk.ok("GET", &format!("/ptz/{name}/status"), "").await;
        assert_eq!(status["position"]["pan"], 135.0, "{name}: {status}");
        let presets = desk.ok("GET", &format!("/ptz/{name}/presets"), "").await;
        assert_eq!(presets["items"][0]["name"], "Front gate", "{name}");
    }
    // A name in the camera's own letters.
    let last = cameras.len() - 2;
    let uri = format!("/ptz/c{last}/preset/9");
    desk.ok("PUT", &uri, r#"{"name":"前门"}"#).await;
    let presets = desk.ok("GET", &format!("/ptz/c{last}/presets"), "").await;
    assert!(presets["items"].as_array().unwrap().iter().any(|p| p["name"] == "前门"), "{presets}");
}

#[tokio::test]
async fn what_a_hikvision_camera_lacks_is_made_up_for_or_said() {
    let emulated = Hikvision::builder().relative(false).box_zoom(false).start();
    let blind = Hikvision::builder().relative(false).absolute(false).start();
    let bare = Hikvision::builder().info(false).start();
    let fixed = Hikvision::builder().ptz(false).start();
    let desk = Desk::open(&paths(&[
        emulated.entry("emulated"),
        blind.entry("blind"),
        bare.entry("bare"),
        fixed.entry("fixed"),
    ]));
    // Relative by status and absolute: half a picture to the right at zoom 2.
    emulated.place(Position::new(355.0, 10.0, 2.0));
    desk.ok("POST", "/ptz/emulated/move", r#"{"mode":"relative","pan":0.5}"#).await;
    wait("the move", || {
        let p = emulated.position();
        !emulated.moving() && p.pan > 0.5 && p.pan < 40.0 && (p.tilt - 10.0).abs() < 0.2 && (p.zoom - 2.0).abs() < 0.2
    })
    .await;
    assert!(emulated.orders("/absolute").len() == 1 && !emulated.orders("/status").is_empty());
    // Not possible at all.
    let answer = desk.post("/ptz/blind/move", r#"{"mode":"relative","pan":0.5}"#).await;
    assert!([409, 502].contains(&answer.status), "{answer:?}");
    let answer = desk.post("/ptz/blind/move", r#"{"mode":"absolute","pan":10}"#).await;
    assert!([409, 502].contains(&answer.status), "{answer:?}");
    let status = desk.get("/ptz/blind/status").await;
    assert!(status.status == 200 && status.json["position"].is_null(), "{status:?}");
    steers(&desk, "blind", &blind).await;
    steers(&desk, "bare", &bare).await;
    let answer = desk.post("/ptz/fixed/move", r#"{"pan":0.5}"#).await;
    assert!([409, 502].contains(&answer.status), "{answer:?}");
    assert!(answer.error().contains("notSupport") || answer.error().contains("support"), "{answer:?}");
}

#[tokio::test]
async fn channels_and_inverted_axes() {
    let camera = Hikvision::builder().channels(4).start();
    let down = Hikvision::builder().elevation_down().start();
    let more = "      channel: 3\n      invertPan: yes\n      invertTilt: yes\n";
    let desk = Desk::open(&paths(&[
        entry("gate", "hikvision", &camera.url(), more),
        entry("down", "hikvision", &down.url(), "      invertElevation: yes\n"),
    ]));
    desk.ok("POST", "/ptz/gate/move", r#"{"pan":1,"tilt":0.5,"zoom":0.25}"#).await;
    assert_eq!(camera.driven()[0], [-1.0, -0.5, 0.25]);
    assert!(
        camera.orders("PTZCtrl").iter().all(|r| r.path.contains("/channels/3/")),
        "{:?}",
        camera.server().requests()
    );
    desk.ok("POST", "/ptz/gate/stop", "").await;
    down.place(Position::new(10.0, 15.0, 1.0));
    let status = desk.ok("GET", "/ptz/down/status", "").await;
    assert_eq!(status["position"]["tilt"], 15.0, "{status}");
    desk.ok("POST", "/ptz/down/move", r#"{"mode":"absolute","pan":20,"tilt":-5,"zoom":1}"#).await;
    wait("the position", || down.position().near(&Position::new(20.0, -5.0, 1.0), 0.1)).await;
}

#[tokio::test]
async fn onvif_cameras_of_all_kinds() {
    let limits = Limits { pan: (-170.0, 170.0), wraps: false, ..Limits::default() };
    let tls = Options { requests_per_connection: Some(2), ..Options::default() };
    let cameras = [
        ("nat", Onvif::builder().nat("192.0.2.7:8080").start()),
        ("late", Onvif::builder().clock(-7200).start()),
        ("early", Onvif::builder().clock(86_400 * 400).start()),
        ("digest", Onvif::builder().wants(Wants::HttpDigest).start()),
        ("open", Onvif::builder().wants(Wants::Nothing).start()),
        ("old", Onvif::builder().services(false).media2(false).start()),
        ("new", Onvif::builder().media(false).start()),
        ("five", Onvif::builder().fault_status(500).start()),
        ("narrow", Onvif::builder().limits(limits).position(false).move_status(false).start()),
        ("short", Onvif::builder().http(tls).start()),
    ];
    let entries: Vec<String> = cameras.iter().map(|(name, camera)| camera.entry(name)).collect();
    let desk = Desk::open(&paths(&entries));
    for (name, camera) in &cameras {
        steers(&desk, name, camera).await;
        let presets = desk.ok("GET", &format!("/ptz/{name}/presets"), "").await;
        let names: Vec<_> = presets["items"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Gate", "Yard", "Yard", "4"], "{name}");
        let moves = camera.orders("ContinuousMove");
        assert!(moves.iter().all(|r| r.text().contains(">main<")), "{name} took another profile: {}", moves[0].text());
        // The camera stops by itself, should we die.
        assert!(moves.iter().all(|r| r.text().contains("Timeout>PT")), "{}", moves[0].text());
        assert_eq!(camera.refused(), 0, "{name}");
    }
    let status = desk.ok("GET", "/ptz/narrow/status", "").await;
    assert_eq!((&status["position"], &status["normalized"]), (&Value::Null, &Value::Null), "{status}");
    desk.no_secrets();
}

#[tokio::test]
async fn an_onvif_profile_by_its_name_and_cameras_without_any() {
    let camera = Onvif::start();
    let fixed = Onvif::builder().ptz(false).start();
    let desk = Desk::open(&paths(&[
        entry("sub", "onvif", &camera.url(), "      profile: sub\n"),
        entry("wrong", "onvif", &camera.url(), "      profile: nobody\n"),
        entry("fixed", "onvif", &fixed.url(), ""),
    ]));
    steers(&desk, "sub", &camera).await;
    assert!(camera.orders("ContinuousMove")[0].text().contains(">sub<"));
    for (name, says) in [("wrong", "nobody"), ("fixed", "PTZ")] {
        let answer = desk.post(&format!("/ptz/{name}/move"), r#"{"pan":0.5}"#).await;
        assert!([409, 502].contains(&answer.status), "{answer:?}");
        assert!(answer.error().contains(says), "{answer:?}");
    }
}

#[tokio::test]
async fn auto_finds_out() {
    let (gate, yard) = (Hikvision::start(), Onvif::start());
    let desk = Desk::open(&paths(&[entry("gate", "auto", &gate.url(), ""), entry("yard", "auto", &yard.url(), "")]));
    steers(&desk, "gate", &gate).await;
    steers(&desk, "yard", &yard).await;
    let list = desk.ok("GET", "/ptz/cameras", "").await;
    assert_eq!((&list["items"][0]["driver"], &list["items"][1]["driver"]), (&"hikvision".into(), &"onvif".into()));
    assert_eq!(gate.digest().wrong(), 0);
    assert_eq!(yard.refused(), 0);
    desk.no_secrets();
}
