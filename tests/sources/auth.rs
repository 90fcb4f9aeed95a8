//! Credentials, IPv6 hosts, certificates.

use super::small;
use super::support::api::{SOON, frames, reason, status, until_state, view};
use super::support::camera::Camera;
use super::support::faults::Fault;
use super::support::gateway::{Gateway, paths};
use super::support::until_true;
use super::support::whep::{Options, Viewer};

/// Everything that makes URLs hard to read.
const PASSWORD: &str = "p@ss%:/w?#x";

#[tokio::test]
async fn basic_and_digest_with_every_character_in_the_password() {
    let basic = small().basic("oper", PASSWORD).start();
    let digest = small().digest("oper@site%", PASSWORD).start();
    // As people write it into a file: not encoded at all.
    let raw = small().digest("oper", "p@ss:word%").start();
    let raw_url = raw.url().replace("rtsp://", "rtsp://oper:p@ss:word%@");
    let gateway = Gateway::start(&paths(&[
        ("basic", &basic.url_with_credentials()),
        ("digest", &digest.url_with_credentials()),
        ("raw", &raw_url),
    ]));
    for path in ["basic", "digest", "raw"] {
        let viewer = view(&gateway, path).await;
        frames(&viewer, 5).await;
    }
    no_secrets(&gateway, &[PASSWORD, "p%40ss", "p@ss:word"]);
}

fn no_secrets(gateway: &Gateway, secrets: &[&str]) {
    let log = gateway.log();
    for secret in secrets {
        let line = log.iter().find(|l| l.contains(secret));
        assert!(line.is_none(), "{secret} in the log: {line:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_with_its_reason_and_not_hammered() {
    let wrong = small().digest("oper", "right").start();
    let missing = small().basic("oper", "right").start();
    let locked = small().digest("u", "hidden-secret").misbehave(Fault::WrongPassword).start();
    let other = small().misbehave(Fault::Describe(503)).start();
    let gateway = Gateway::start(&paths(&[
        ("wrong", &wrong.url_with("oper", "wrong-secret")),
        ("missing", &missing.url()),
        ("locked", &locked.url_with_credentials()),
        ("other", &other.url()),
    ]));
    let refused = until_state(&gateway, "wrong", "refused").await;
    assert!(reason(&refused).contains("401"), "{refused}");
    assert!(reason(&refused).contains("password"), "{refused}");
    let refused = until_state(&gateway, "missing", "refused").await;
    assert!(reason(&refused).contains("wants a user name"), "{refused}");
    until_state(&gateway, "locked", "refused").await;
    let asked = |c: &Camera| (c.describes(), c.connections());
    let before = [asked(&wrong), asked(&missing), asked(&locked)];
    // A password is shown once, and without credentials nothing is asked twice.
    assert!(before[0].0 <= 2 && before[1].0 <= 2 && before[2].0 <= 2, "{before:?}");
    for path in ["wrong", "missing", "locked"] {
        let refused = Viewer::join(gateway.url(), path, Options::default()).await.err().expect("joined");
        assert_eq!(refused.status, 502, "{refused}");
        assert!(refused.body.contains("401"), "{refused}");
        assert!(refused.header("retry-after").is_some());
    }
    // Another camera, that fails in another way, is tried again and again meanwhile.
    let tries = other.describes();
    until_true(SOON, "3 more tries", || other.describes() >= tries + 3).await;
    assert_eq!([asked(&wrong), asked(&missing), asked(&locked)], before);
    no_secrets(&gateway, &["wrong-secret", "hidden-secret"]);
}

#[tokio::test]
async fn a_password_that_is_put_right_in_the_file_is_tried_at_once() {
    let camera = small().digest("oper", "right").start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url_with("oper", "wrong"))]));
    until_state(&gateway, "gate", "refused").await;
    gateway.write_config(&paths(&[("gate", &camera.url_with("oper", "right"))]));
    until_state(&gateway, "gate", "live").await;
}

#[tokio::test]
async fn a_camera_on_ipv6() {
    if !super::support::ipv6() {
        return;
    }
    let camera = small().address("::1").digest("oper", PASSWORD).start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url_with_credentials())]));
    assert!(camera.url().contains("[::1]"));
    frames(&view(&gateway, "gate").await, 5).await;
}

#[tokio::test]
async fn certificates_are_pinned() {
    let camera = small().tls().digest("oper", PASSWORD).start();
    let url = camera.url_with_credentials();
    let own = camera.fingerprint();
    // As openssl writes it.
    let pairs: Vec<_> = own.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).to_uppercase()).collect();
    let yaml = format!(
        "paths:\n  right:\n    source: '{url}'\n    sourceFingerprint: {}\n  \
         wrong:\n    source: '{url}'\n    sourceFingerprint: {}\n  none:\n    source: '{url}'\n",
        pairs.join(":"),
        "ab".repeat(32),
    );
    let gateway = Gateway::start(&yaml);
    frames(&view(&gateway, "right").await, 5).await;
    assert_eq!(camera.plays(), 1);
    for path in ["wrong", "none"] {
        let status = until_state(&gateway, path, "reconnecting").await;
        assert!(reason(&status).contains("certificate"), "{status}");
        assert!(reason(&status).contains("sourceFingerprint"), "{status}");
        assert!(reason(&status).contains(own), "the camera's own one is not told: {status}");
    }
    assert_eq!(camera.plays(), 1, "a camera that is not trusted got a request");
    assert_eq!(status(&gateway, "right").await["state"], "live");
}
