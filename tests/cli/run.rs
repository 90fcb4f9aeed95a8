//! `camgate run`: beginning, ending, and what is never said.

use super::support::api::{frames, until_state, view};
use super::support::camera::Audio;
use super::support::faults::Fault;
use super::support::gateway::{Gateway, paths};
use super::support::until_true;
use super::support::whep::State;
use super::{SOON, small};
use std::process::Command;
use std::time::Instant;

#[tokio::test]
async fn sigterm_ends_it_with_viewers_and_cameras_of_every_kind() {
    let well = small().audio(Audio::Opus).start();
    let silent = small().misbehave(Fault::Silent).start();
    let gone = small().misbehave(Fault::Describe(404)).start();
    let stalled = small().misbehave(Fault::StallAfter(30)).start();
    let mut gateway = Gateway::start(&paths(&[
        ("well", &well.url()),
        ("silent", &silent.url()),
        ("gone", &gone.url()),
        ("stalled", &stalled.url()),
        ("test", "test"),
    ]));
    let viewers = [view(&gateway, "well").await, view(&gateway, "stalled").await, view(&gateway, "test").await];
    for viewer in &viewers {
        frames(viewer, 10).await;
    }
    until_true(SOON, "a silent camera", || silent.connections() >= 1).await;
    gateway.sigterm();
    let began = Instant::now();
    let status = gateway.wait_exit(SOON);
    eprintln!("ended after {:?}", began.elapsed());
    assert!(status.success(), "{status}");
    let log = gateway.log();
    assert!(log.iter().any(|l| l.contains("shutting down")), "{log:?}");
    assert!(!log.iter().any(|l| l.contains("panicked")), "{log:?}");
    // It ends within 5 s in any case; whether that was enough is the machine's.
    log.iter().filter(|l| l.contains("not everything ended")).for_each(|l| eprintln!("{l}"));
    // Nobody is left behind.
    for camera in [&well, &stalled] {
        until_true(SOON, "closed connections", || camera.open_connections() == 0).await;
    }
    for viewer in &viewers {
        until_true(SOON, "the viewers' end", || viewer.state() != State::Connected).await;
    }
}

#[test]
fn sigint_ends_it_too_and_sigterm_while_it_starts() {
    let mut gateway = Gateway::start("paths:\n  test:\n    source: test\n");
    super::support::proc::signal(gateway.pid(), libc::SIGINT);
    assert!(gateway.wait_exit(SOON).success());
    // At any moment of its beginning: it ends, by the signal or in order.
    for _ in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("camgate.yml");
        std::fs::write(&file, "webrtcAddress: 127.0.0.1:0\npaths:\n  test:\n    source: test\n").unwrap();
        let mut child = Command::new(Gateway::binary()).arg(&file).stderr(std::process::Stdio::null()).spawn().unwrap();
        super::support::proc::signal(child.id(), libc::SIGTERM);
        super::support::proc::wait_or_kill(&mut child, SOON);
    }
}

#[test]
fn a_taken_address_is_an_error_and_not_a_hang() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (_dir, file) = super::file(&format!("webrtcAddress: {address}\n"));
    let said = super::camgate(&["run", &file]);
    assert_eq!(said.code, 1, "{}", said.all());
    assert!(said.err.contains(&address.to_string()) && said.err.contains("webrtcAddress"), "{}", said.err);
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let shared = "webrtcAddress: 127.0.0.1:0\npaths: {a: {webrtcEngine: shared}}\n";
    let (_dir, file) = super::file(&format!("{shared}webrtcLocalUDPAddress: {address}\n"));
    let said = super::camgate(&["run", &file]);
    assert_eq!(said.code, 1, "{}", said.all());
    for part in ["webrtcLocalUDPAddress", &address.to_string(), "in use", "another camgate"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    assert!(!said.err.contains("listening on"), "{}", said.err);
}

#[tokio::test]
async fn without_a_configuration_there_is_a_path_test() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(Gateway::binary());
    for (name, _) in std::env::vars().filter(|(n, _)| n.starts_with("CAMGATE_") || n.starts_with("MTX_")) {
        command.env_remove(name);
    }
    command.env("CAMGATE_WEBRTCADDRESS", "127.0.0.1:0").env("CAMGATE_WEBRTCIPSFROMINTERFACESLIST", "lo");
    let gateway = Gateway::run(command, directory);
    until_state(&gateway, "test", "idle").await;
    frames(&view(&gateway, "test").await, 10).await;
}

#[tokio::test]
async fn no_secret_in_any_line_of_the_log() {
    super::support::init();
    const SECRET: &str = "hush@%:hush";
    let seen = ["hush@%:hush", "hush%40%25%3Ahush", "hush%40", "@%:hush"];
    let well = small().digest("oper", SECRET).start();
    let wrong = small().digest("oper", "other").start();
    let mut off = small().basic("oper", SECRET).start();
    let off_url = off.url_with_credentials();
    off.stop();
    let tls = small().tls().digest("oper", SECRET).start();
    let yaml = paths(&[
        ("well", &well.url_with_credentials()),
        ("wrong", &wrong.url_with("oper", SECRET)),
        ("off", &off_url),
        ("tls", &tls.url_with_credentials()),
        ("line", "gst: rtspsrc location=rtsp://oper:hush%40%25%3Ahush@127.0.0.1:1/a user-pw=hush@%:hush ! fakesink"),
    ]);
    // Everything that there is to say, GStreamer's own warnings included.
    let gateway =
        Gateway::start_with(&yaml, &[("CAMGATE_LOG", "trace"), ("GST_DEBUG", "2"), ("GST_DEBUG_NO_COLOR", "1")]);
    frames(&view(&gateway, "well").await, 10).await;
    until_state(&gateway, "wrong", "refused").await;
    for path in ["off", "tls", "line"] {
        until_state(&gateway, path, "reconnecting").await;
    }
    let mark = gateway.mark();
    gateway.write_config(&yaml.replace("well:", "better:").replace("source: 'gst:", "sorce: 'gst:"));
    gateway.wait_for_line_after(mark, SOON, |l| l.contains("not reloaded"));
    let status = reqwest::Client::builder().no_proxy().build().unwrap();
    let all =
        status.get(gateway.url()).header("Accept", "application/json").send().await.unwrap().text().await.unwrap();
    let said = gateway.mark();
    let log = gateway.log();
    assert!(log.len() >= said, "only the last {} of {said} lines are kept", log.len());
    for line in log.iter().chain([&all]) {
        assert!(!seen.iter().any(|s| line.contains(s)), "{line}");
    }
}
