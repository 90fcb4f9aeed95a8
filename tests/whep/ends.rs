//! How sessions end: rows 29 and 30, and those that must not begin.

use super::kit::{FRAGMENT, PATIENT, SOON, ask, bare, gate, patch, place, post, start, status};
use super::support::camera::Camera;
use super::support::gateway::Gateway;
use super::support::until_true;
use super::support::whep::{Options, State, Viewer};
use std::sync::Arc;

/// Waits for the log line that tells the end of the session of this path.
async fn left(gateway: &Gateway, path: &str, why: &str) -> String {
    let path = format!("path={path} ");
    super::support::until(SOON, &format!("the end of a session of {path}"), || async {
        gateway.log().into_iter().find(|l| l.contains("viewer left") && l.contains(&path) && l.contains(why))
    })
    .await
}

async fn is_gone(url: &str) {
    assert_eq!(patch(url, None, "a=end-of-candidates\r\n").await.status, 404);
    assert_eq!(ask("DELETE", url, &[], "").await.status, 404);
}

/// A viewer that sees pictures.
async fn watching(base: &str, path: &str) -> (Viewer, String) {
    let viewer = Viewer::join(base, path, Options::default()).await.unwrap();
    until_true(SOON, "pictures", || viewer.with(|log| log.video.complete_frames() > 5)).await;
    let url = viewer.location().unwrap().to_string();
    (viewer, url)
}

#[tokio::test]
async fn row29_a_viewer_that_vanishes_is_noticed() {
    let place = place();
    let (viewer, url) = watching(place.gateway.url(), "cam-row29-gone").await;
    viewer.vanish();
    left(&place.gateway, "cam-row29-gone", "").await;
    is_gone(&url).await;
    until_true(SOON, "the camera's rest", || {
        place.gateway.log().iter().any(|l| l.contains("path=cam-row29-gone") && l.contains("state=Idle"))
    })
    .await;
}

#[tokio::test]
async fn row29_close_notify_ends_the_session() {
    let place = place();
    let (viewer, url) = watching(place.gateway.url(), "cam-row29-bye").await;
    viewer.close_dtls();
    left(&place.gateway, "cam-row29-bye", "closed by the peer").await;
    is_gone(&url).await;
}

#[tokio::test]
async fn row29_delete_closes_dtls_towards_the_viewer() {
    let place = place();
    let (viewer, url) = watching(place.gateway.url(), "cam-row29-delete").await;
    assert_eq!(ask("DELETE", &url, &[], "").await.status, 200);
    left(&place.gateway, "cam-row29-delete", "").await;
    until_true(SOON, "close_notify", || viewer.state() == State::Closed).await;
    is_gone(&url).await;
}

#[tokio::test]
async fn the_end_of_the_gateway_is_told_to_its_viewers() {
    let place = place();
    let mut gateway = gate(&place.camera);
    let (viewer, _) = watching(gateway.url(), "gate").await;
    gateway.sigterm();
    until_true(SOON, "close_notify", || viewer.state() == State::Closed).await;
    assert!(gateway.wait_exit(SOON).success());
}

#[tokio::test]
async fn row31_half_open_sessions_of_one_address_are_bounded() {
    let place = place();
    let gateway = start(&format!(
        "{PATIENT}limits:\n  handshakesPerAddress: 2\npaths:\n  gate:\n    source: {}\n",
        place.camera.url()
    ));
    let (first, _second) = (bare(gateway.url(), "gate").await, bare(gateway.url(), "gate").await);
    let refused = post(gateway.url(), "gate", &super::kit::offer(&Options::default())).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").parse::<u32>().is_ok_and(|s| s > 0), "{refused:?}");
    refused.error();
    // A place is free again when one is given up, and when one is connected.
    assert_eq!(first.delete().await, 200);
    super::support::until(SOON, "a free place", || async {
        Viewer::join(gateway.url(), "gate", Options::default()).await.ok()
    })
    .await;
}

#[tokio::test]
async fn row30_a_session_without_ice_is_reaped() {
    let place = place();
    // Long enough for the viewer to connect on a busy machine.
    let gateway = start(&format!(
        "webrtcHandshakeTimeout: 30s\npathDefaults:\n  sourceOnDemandStartTimeout: 60s\npaths:\n  gate:\n    source: {}\n",
        place.camera.url()
    ));
    // It was there before: when the other one's time is up, its own was up long ago.
    let (viewer, url) = watching(gateway.url(), "gate").await;
    let session = bare(gateway.url(), "gate").await;
    let reason = left(&gateway, "gate", "webrtcHandshakeTimeout").await;
    assert!(reason.contains("webrtcAdditionalHosts"), "{reason}");
    is_gone(&session.url).await;
    // One that speaks ICE in that time is not touched by it.
    let alone = async || status(gateway.url(), "gate").await["readers"] == 1;
    super::support::until(SOON, "one reader", || async { alone().await.then_some(()) }).await;
    let before = viewer.with(|log| log.video.complete_frames());
    until_true(SOON, "more pictures", || viewer.with(|log| log.video.complete_frames() > before + 50)).await;
    let reply = ask("PATCH", &url, &[("content-type", FRAGMENT)], "a=end-of-candidates\r\n").await;
    assert_eq!(reply.status, 204);
}

#[tokio::test]
async fn a_peer_with_another_certificate_than_offered_gets_no_media() {
    let place = place();
    let edit = |sdp: String| {
        let line = |l: &str| match l.strip_prefix("a=fingerprint:sha-256 ") {
            Some(digits) => {
                let other = if digits.starts_with('0') { '1' } else { '0' };
                format!("a=fingerprint:sha-256 {other}{}\r\n", &digits[1..])
            }
            None => format!("{l}\r\n"),
        };
        sdp.lines().map(line).collect()
    };
    let options = Options { edit_offer: Some(Arc::new(edit)), ..Options::default() };
    let viewer = Viewer::join(place.gateway.url(), "cam-certificate", options).await.unwrap();
    left(&place.gateway, "cam-certificate", "certificate is not the one of its offer").await;
    is_gone(viewer.location().unwrap()).await;
    until_true(SOON, "close_notify", || viewer.state() != State::Connecting).await;
    viewer.with(|log| {
        assert_eq!((log.video.packets, log.audio.packets), (0, 0));
        assert!(log.wire.streams.is_empty(), "{:?}", log.wire);
    });
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_no_session_behind() {
    // Abandoned before the camera is ready, and while the session is being made.
    let mut camera = Camera::builder().size(320, 180).prerecorded().start();
    camera.stop();
    let gateway = start(&format!(
        "webrtcHandshakeTimeout: 20s\n\
         pathDefaults:\n  sourceOnDemandStartTimeout: 60s\n\
         limits:\n  postsPerSecond: 100000\n  postsBurst: 100000\n\
         paths:\n  gate:\n    source: {}\n    sourceOnDemand: yes\n",
        camera.url()
    ));
    let offer = super::kit::offer(&Options::default());
    let abandoned: Vec<_> = (0..8)
        .map(|_| {
            let (base, offer) = (gateway.url().to_string(), offer.clone());
            tokio::spawn(async move { post(&base, "gate", &offer).await })
        })
        .collect();
    let starts = || gateway.log().iter().any(|l| l.contains("path=gate") && l.contains("Reconnecting"));
    until_true(SOON, "the first attempt", starts).await;
    for post in abandoned {
        post.abort();
        let _ = post.await;
    }
    camera.start_again();
    let (viewer, _) = watching(gateway.url(), "gate").await;
    assert_eq!(status(gateway.url(), "gate").await["readers"], 1);
    let threads = gateway.threads();
    for n in 0..10u64 {
        let (base, offer) = (gateway.url().to_string(), offer.clone());
        let given = tokio::spawn(async move { post(&base, "gate", &offer).await });
        for _ in 0..n * 200 {
            tokio::task::yield_now().await;
        }
        given.abort();
        let _ = given.await;
    }
    // Those that were quick enough became sessions; the handshake timeout takes them.
    let settled = async || status(gateway.url(), "gate").await["readers"] == 1;
    super::support::until(SOON, "one reader", || async { settled().await.then_some(()) }).await;
    until_true(SOON, "the threads of before", || gateway.threads() <= threads + 2).await;
    assert_eq!(gateway.complaints(), Vec::<String>::new());
    assert_eq!(viewer.leave().await.unwrap(), 200);
}
