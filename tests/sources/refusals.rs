//! Cameras that say no, or nothing, or nonsense: each path has a reason that a
//! person can act on, and tries again in its time.

use super::small;
use super::support::api::{SOON, assert_smooth, frames, reason, track, until_state, view};
use super::support::camera::{Audio, Auth};
use super::support::faults::Fault;
use super::support::gateway::{Gateway, paths};
use super::support::until_true;
use super::support::whep::{Options, Viewer};
use std::time::Instant;

#[tokio::test]
async fn each_refusal_has_its_reason() {
    let none = small().misbehave(Fault::Describe(404)).start();
    let busy = small().misbehave(Fault::Describe(503)).start();
    let forbidden = small().misbehave(Fault::Describe(403)).start();
    let silent = small().misbehave(Fault::Silent).start();
    let garbage = small().misbehave(Fault::Garbage).start();
    let mut off = small().start();
    let off_url = off.url();
    off.stop();
    let no_tcp = small().misbehave(Fault::NoTcp).start();
    let no_udp = small().misbehave(Fault::NoUdp).start();
    let mut yaml = String::from("readTimeout: 2s\n");
    yaml += &paths(&[
        ("none", &none.url()),
        ("busy", &busy.url()),
        ("forbidden", &forbidden.url()),
        ("silent", &silent.url()),
        ("garbage", &garbage.url()),
        ("off", &off_url),
        ("noname", "rtsp://camera.invalid/stream"),
    ]);
    yaml += &format!("  notcp:\n    source: {}\n    rtspTransport: tcp\n", no_tcp.url());
    yaml += &format!("  noudp:\n    source: {}\n    rtspTransport: udp\n", no_udp.url());
    let gateway = Gateway::start(&yaml);
    for (path, state, words) in [
        ("none", "reconnecting", "no such stream (404)"),
        ("busy", "reconnecting", "(503)"),
        ("forbidden", "refused", "(403)"),
        ("silent", "reconnecting", "does not answer"),
        ("garbage", "reconnecting", "does not speak RTSP"),
        ("off", "reconnecting", "no connection to 127.0.0.1:"),
        ("noname", "reconnecting", "no connection to camera.invalid:554"),
        ("notcp", "reconnecting", "(461)"),
        ("noudp", "reconnecting", "(461)"),
    ] {
        let status = until_state(&gateway, path, state).await;
        assert!(reason(&status).contains(words), "{path}: {status:#}");
        gateway.wait_for_line(SOON, |l| l.contains("WARN") && l.contains(words));
    }
    // Each of them is tried again by itself.
    for camera in [&none, &busy, &no_tcp, &no_udp] {
        until_true(SOON, "3 tries", || camera.describes() >= 3).await;
    }
    for camera in [&silent, &garbage] {
        until_true(SOON, "3 tries", || camera.connections() >= 3).await;
    }
    assert_eq!(forbidden.connections(), 1);
    // Viewers are told what is wrong.
    let gone = Viewer::join(gateway.url(), "none", Options::default()).await.err().expect("joined");
    assert_eq!(gone.status, 404, "{gone}");
    assert!(gone.body.contains("404") && gone.header("retry-after").is_some(), "{gone}");
    off.start_again();
    until_state(&gateway, "off", "live").await;
}

#[tokio::test]
async fn a_camera_that_refuses_tcp_is_asked_for_udp() {
    let no_tcp = small().audio(Audio::Opus).misbehave(Fault::NoTcp).start();
    let no_udp = small().misbehave(Fault::NoUdp).start();
    let gateway = Gateway::start(&paths(&[("notcp", &no_tcp.url()), ("noudp", &no_udp.url())]));
    let viewer = view(&gateway, "notcp").await;
    frames(&viewer, 20).await;
    let transports = no_tcp.counters().transports.lock().unwrap().clone();
    assert!(transports[0].contains("TCP") && transports.last().unwrap().contains("client_port"), "{transports:?}");
    assert_eq!(no_tcp.plays(), 1);
    frames(&view(&gateway, "noudp").await, 5).await;
    assert_eq!((no_udp.describes(), no_udp.plays()), (1, 1));
}

#[tokio::test]
async fn a_camera_that_encrypts_its_packets_plays_by_rtspsrc() {
    let camera = small().auth(Auth::Digest("oper".into(), "word".into())).misbehave(Fault::Srtp).start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url_with_credentials())]));
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 20).await;
    assert_smooth(&viewer);
    let transports = camera.counters().transports.lock().unwrap().clone();
    assert!(transports.iter().all(|t| t.contains("RTP/SAVP/TCP")), "{transports:?}");
    assert_eq!(camera.plays(), 1);
}

#[tokio::test]
async fn a_refused_audio_track_does_not_hold_the_video_back() {
    for code in [461, 404, 403, 500] {
        let camera = small().audio(Audio::Pcma).misbehave(Fault::AudioSetup(code)).start();
        let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
        let viewer = view(&gateway, "gate").await;
        frames(&viewer, 10).await;
        assert_smooth(&viewer);
        let status = until_state(&gateway, "gate", "live").await;
        assert!(track(&status, "audio").is_null(), "{code}: a track that never comes: {status:#}");
    }
}

#[tokio::test]
async fn the_pauses_grow() {
    let camera = small().misbehave(Fault::Describe(503)).start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
    let mut at = vec![Instant::now()];
    for n in 1..=4 {
        until_true(SOON, "a try", || camera.describes() >= n).await;
        at.push(Instant::now());
    }
    // The pauses are 0.5, 1 and 2 s with a quarter to either side: however late this
    // test looks, four tries cannot be done before their sum.
    assert!(at[4] - at[0] >= std::time::Duration::from_millis(2_600), "{at:?}");
    drop(gateway);
}
