//! `camgate discover`: cameras that answer WS-Discovery, by unicast on loopback.

use super::kit::{Desk, Steered, wait};
use super::support::gateway::Gateway;
use super::support::ptz_discovery::Discoverable;
use super::support::ptz_hikvision::{PASSWORD, USER};
use super::support::ptz_http::Options;
use super::support::ptz_onvif::Onvif;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

/// Runs it with the password in the environment. Waits on the camera's thread only.
fn discover(to: SocketAddr, more: &[&str]) -> (Output, String, String) {
    discover_for("5", to, more)
}

fn discover_for(seconds: &str, to: SocketAddr, more: &[&str]) -> (Output, String, String) {
    let mut command = Command::new(Gateway::binary());
    command.args(["discover", "--to", &to.to_string(), "--timeout", seconds]).args(more);
    command.env("CAMGATE_ONVIF_PASSWORD", PASSWORD);
    let output = command.output().expect("camgate does not run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

const STREAM: &str = "rtsp://127.0.0.1:9/live?a=1&b=2";

#[test]
fn a_camera_is_found_with_its_streams() {
    let camera = Onvif::builder().stream(STREAM).start();
    let found = camera.discoverable();
    // What else is on a network.
    found.noise(vec![
        b"no XML".to_vec(),
        Vec::new(),
        vec![0xff; 2000],
        b"<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>".to_vec(),
        b"<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body/></e:Envelope>".to_vec(),
    ]);
    let (output, out, err) = discover(found.address(), &["--user", USER]);
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("Gate dome") && out.contains("SD-6C"), "{out}");
    assert!(out.contains(&camera.device_service()), "{out}");
    assert!(out.contains("main") && out.contains(STREAM), "{out}");
    // It answers twice, and is one camera.
    assert_eq!(out.matches("Gate dome").count(), 1, "{out}");
    assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD));
    assert_eq!(camera.refused(), 0);
    assert!(found.probes()[0].contains("NetworkVideoTransmitter"), "{}", found.probes()[0]);
}

#[test]
fn nobody_answers_and_nobody_may() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (output, out, err) = discover_for("2", silent.local_addr().unwrap(), &[]);
    assert!(!output.status.success() && out.is_empty() && err.contains("no camera answered"), "{out}{err}");
    // Without the user its streams are not told, and the camera is found all the same.
    let camera = Onvif::start();
    let found = camera.discoverable();
    let (output, out, err) = discover(found.address(), &[]);
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("Gate dome") && out.contains("--user"), "{out}");
}

#[test]
fn a_service_over_https_keeps_the_name_that_its_certificate_has() {
    let camera = Onvif::builder().http(Options { tls: true, ..Options::default() }).start();
    let port = camera.server().address().port();
    for (host, want) in [("localhost", "localhost"), ("camera.invalid", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")] {
        let found = Discoverable::start(&format!("https://{host}:{port}/onvif/device_service"), "SD-6C");
        let (output, out, err) = discover(found.address(), &["--user", USER]);
        assert!(output.status.success(), "{out}{err}");
        assert!(out.contains(&format!("https://{want}:{port}/onvif/device_service")), "{host}: {out}");
        // Nobody vouches for it: what to write is told.
        assert!(out.contains(camera.server().fingerprint()), "{host}: {out}");
    }
    assert_eq!(camera.refused(), 0);
}

#[tokio::test]
async fn what_it_writes_steers_the_camera() {
    let camera = Onvif::builder().stream(STREAM).start();
    let found = camera.discoverable();
    let (output, yaml, err) = discover(found.address(), &["--user", USER, "--yaml"]);
    assert!(output.status.success(), "{yaml}{err}");
    assert!(yaml.starts_with("paths:\n  gate-dome:\n") && yaml.contains("driver: onvif"), "{yaml}");
    assert!(yaml.contains(":PASSWORD@") && !yaml.contains(PASSWORD) && !yaml.contains("p%40ss"), "{yaml}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("camgate.yml");
    std::fs::write(&file, &yaml).unwrap();
    let check = Command::new(Gateway::binary()).arg("check").arg(&file).output().unwrap();
    assert!(check.status.success(), "{check:?}");
    // With the password into a file of its own.
    let written = directory.path().join("found.yml");
    let name = written.to_str().unwrap();
    let (output, out, err) = discover(found.address(), &["--user", USER, "--write", name]);
    assert!(output.status.success(), "{out}{err}");
    assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD));
    let mode = std::fs::metadata(&written).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others can read the password");
    let (again, ..) = discover(found.address(), &["--user", USER, "--write", name]);
    assert!(!again.status.success(), "an existing file was written over");
    let desk = Desk::open(&std::fs::read_to_string(&written).unwrap());
    desk.ok("POST", "/ptz/gate-dome/move", r#"{"pan":0.5}"#).await;
    assert_eq!(camera.driven().last(), Some(&[0.5, 0.0, 0.0]));
    desk.ok("POST", "/ptz/gate-dome/stop", "").await;
    wait("the stop", || !camera.moving()).await;
    desk.no_secrets();
}
