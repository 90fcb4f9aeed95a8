//! `camgate probe URL`: what a camera sends, and whether a browser can play it.

use super::support::camera::{Audio, Camera, Codec};
use super::support::faults::Fault;
use super::support::feed::Profile;
use super::{Said, camgate, small};

/// Connecting is a part of it, on a busy machine a long one.
const SECONDS: &str = "9";

fn probe(camera: &Camera, more: &[&str]) -> Said {
    camgate(&[&["probe", &camera.url_with_credentials(), "--seconds", SECONDS], more].concat())
}

#[test]
fn a_good_camera() {
    let camera =
        Camera::builder().size(640, 360).fps(25).gop_frames(25).audio(Audio::Pcma).digest("oper", "hush@%:").start();
    let said = probe(&camera, &[]);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(said.value("video").contains("H264, profile Constrained Baseline"), "{}", said.out);
    assert_eq!(said.value("size"), "640x360");
    assert!(said.value("frames").starts_with("2"), "{}", said.out);
    assert!(said.value("GOP").starts_with("25 frames"), "{}", said.out);
    assert_eq!(said.value("B-frames"), "no");
    let rate: f64 = said.value("bit rate").split(' ').next().unwrap().parse().unwrap();
    assert!((20.0..4_000.0).contains(&rate), "{}", said.out);
    assert!(said.value("audio").contains("G711"), "{}", said.out);
    assert!(said.value("transport").contains("TCP"), "{}", said.out);
    assert!(said.value("browser").starts_with("yes"), "{}", said.out);
    assert!(!said.all().contains("hush") && !said.out.contains("oper"), "{}", said.all());
    assert_eq!(camera.plays(), 1);
}

#[test]
fn b_frames_a_long_gop_and_aac_are_told() {
    let camera = Camera::builder().profile(Profile::Main).b_frames(2).gop_frames(750).audio(Audio::Aac).start();
    let said = probe(&camera, &[]);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(said.value("video").contains("profile Main"), "{}", said.out);
    assert_eq!(said.value("B-frames"), "yes");
    assert!(said.value("GOP").starts_with("longer than"), "{}", said.out);
    assert!(said.value("browser").contains("B-frames"), "{}", said.out);
    assert!(said.value("audio").contains("AAC"), "{}", said.out);
    assert!(said.out.contains("not playable over WebRTC yet"), "{}", said.out);
}

#[test]
fn h265_and_a_wrong_sps() {
    let camera = small().codec(Codec::H265).audio(Audio::Opus).start();
    let said = probe(&camera, &[]);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(said.value("video").contains("H265, profile Main"), "{}", said.out);
    assert_eq!(said.value("size"), "320x240");
    assert!(said.value("browser").contains("H.265"), "{}", said.out);
    let camera = Camera::builder().misbehave(Fault::WrongSps).gop_frames(25).start();
    assert_eq!(probe(&camera, &[]).value("size"), "640x360");
}

#[test]
fn udp_tls_and_a_refused_audio_track() {
    let camera = small().misbehave(Fault::NoTcp).start();
    assert!(probe(&camera, &[]).value("transport").contains("UDP"));
    let said = probe(&camera, &["--transport", "tcp"]);
    assert!(said.code == 1 && said.value("result").contains("461"), "{}", said.all());
    let camera = small().tls().start();
    let said = probe(&camera, &[]);
    assert_eq!(said.code, 1);
    assert!(said.value("result").contains(camera.fingerprint()), "{}", said.all());
    let said = probe(&camera, &["--fingerprint", camera.fingerprint()]);
    assert_eq!(said.code, 0, "{}", said.all());
    let camera = small().audio(Audio::Pcmu).misbehave(Fault::AudioSetup(404)).start();
    let said = probe(&camera, &[]);
    assert!(said.code == 0 && said.value("transport").contains("refuses its audio"), "{}", said.all());
}

#[test]
fn what_cannot_be_probed_has_a_sentence() {
    let locked = small().digest("oper", "right").start();
    let none = small().misbehave(Fault::Describe(404)).start();
    let garbage = small().misbehave(Fault::Garbage).start();
    for (url, words) in [
        (locked.url_with("oper", "hush-hush"), "refused the password (401)"),
        (locked.url(), "wants a user name and a password (401)"),
        (none.url(), "no such stream (404)"),
        (garbage.url(), "does not speak RTSP"),
        ("rtsp://oper:hush-hush@127.0.0.1:1/a".into(), "no connection to 127.0.0.1:1"),
    ] {
        let said = camgate(&["probe", &url, "--seconds", SECONDS]);
        assert_eq!(said.code, 1, "{}", said.all());
        assert!(said.value("result").contains(words), "{}", said.all());
        assert!(!said.all().contains("hush-hush"), "{}", said.all());
    }
    let silent = small().misbehave(Fault::Silent).start();
    let said = camgate(&["probe", &silent.url(), "--seconds", "2"]);
    assert!(said.code == 1 && said.value("result").contains("in time"), "{}", said.all());
    for url in ["http://127.0.0.1/a", "nonsense", "rtsp://op:hush-hush@/a"] {
        let said = camgate(&["probe", url]);
        assert!(said.code == 1 && said.err.contains("URL"), "{}", said.all());
        assert!(!said.all().contains("hush-hush"), "{}", said.all());
    }
}
