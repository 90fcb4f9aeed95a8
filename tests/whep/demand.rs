//! Paths on demand: the request waits for the camera, as long as it makes sense.

use super::kit::{SOON, offer, post, start, status};
use super::support::camera::Camera;
use super::support::faults::Fault;
use super::support::gateway::Gateway;
use super::support::until_true;
use super::support::whep::{Options, Viewer};

/// A gateway with one path `gate` on demand.
fn on_demand(camera: &Camera, patience: &str) -> Gateway {
    start(&format!(
        "paths:\n  gate:\n    source: {}\n    sourceOnDemand: yes\n    \
         sourceOnDemandStartTimeout: {patience}\n    sourceOnDemandCloseAfter: 1s\n",
        camera.url()
    ))
}

#[tokio::test]
async fn a_request_starts_the_camera_and_the_last_reader_stops_it() {
    let camera = Camera::builder().size(320, 180).prerecorded().start();
    let gateway = on_demand(&camera, "60s");
    assert_eq!(status(gateway.url(), "gate").await["state"], "idle");
    assert_eq!(camera.connections(), 0);
    let (a, b) = tokio::join!(
        Viewer::join(gateway.url(), "gate", Options::default()),
        Viewer::join(gateway.url(), "gate", Options::default())
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(camera.plays(), 1);
    until_true(SOON, "pictures", || [&a, &b].iter().all(|v| v.with(|log| log.video.complete_frames() > 5))).await;
    assert_eq!((a.leave().await.unwrap(), b.leave().await.unwrap()), (200, 200));
    until_true(SOON, "the end of the connection", || camera.open_connections() == 0).await;
    super::support::until(SOON, "rest", || async {
        (status(gateway.url(), "gate").await["state"] == "idle").then_some(())
    })
    .await;
    let again = Viewer::join(gateway.url(), "gate", Options::default()).await.unwrap();
    until_true(SOON, "pictures", || again.with(|log| log.video.complete_frames() > 5)).await;
}

#[tokio::test]
async fn a_request_is_held_until_a_camera_that_boots_is_ready() {
    let mut camera = Camera::builder().size(320, 180).prerecorded().start();
    camera.stop();
    let gateway = on_demand(&camera, "60s");
    let options = Options { timeout: SOON, ..Options::default() };
    let base = gateway.url().to_string();
    let waiting = tokio::spawn(async move { Viewer::join(&base, "gate", options).await });
    until_true(SOON, "a first attempt in vain", || {
        gateway.log().iter().any(|l| l.contains("path=gate") && l.contains("Reconnecting"))
    })
    .await;
    assert!(!waiting.is_finished());
    camera.start_again();
    let viewer = waiting.await.unwrap().unwrap();
    until_true(SOON, "pictures", || viewer.with(|log| log.video.complete_frames() > 5)).await;
}

#[tokio::test]
async fn a_silent_camera_is_504_after_the_start_timeout() {
    let camera = Camera::builder().misbehave(Fault::Silent).start();
    let gateway = on_demand(&camera, "1s");
    let reply = post(gateway.url(), "gate", &offer(&Options::default())).await;
    assert_eq!(reply.status, 504, "{reply:?}");
    assert!(reply.error().contains("gate"));
    assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|s| s > 0), "{reply:?}");
    assert_eq!(status(gateway.url(), "gate").await["readers"], 0);
}

#[tokio::test]
async fn what_waiting_cannot_mend_is_told_at_once() {
    // A refused password is remembered while nobody asks, so that nobody tries it again.
    for (fault, want, rest) in [(Fault::Describe(404), 404, "idle"), (Fault::WrongPassword, 502, "refused")] {
        let camera = Camera::builder().misbehave(fault.clone()).start();
        let gateway = on_demand(&camera, "300s");
        let reply = post(gateway.url(), "gate", &offer(&Options::default())).await;
        assert_eq!(reply.status, want, "{fault:?}: {reply:?}");
        reply.error();
        // Who was turned away wants nothing any more: the camera has its peace.
        super::support::until(SOON, "rest", || async {
            (status(gateway.url(), "gate").await["state"] == rest).then_some(())
        })
        .await;
        until_true(SOON, "the end of the connection", || camera.open_connections() == 0).await;
    }
}
