//! What the gateway says of its paths, and short ways to watch them.

use super::gateway::Gateway;
use super::whep::{HttpError, Options, Viewer};
use serde_json::Value;
use std::time::Duration;

/// Longer than anything takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);
/// Between two requests for a path that is not ready: fewer than are too many.
pub(super) const AGAIN: Duration = Duration::from_millis(200);

/// The path as JSON; `Value::Null` when there is no such path.
pub async fn status(gateway: &Gateway, path: &str) -> Value {
    super::init();
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let request = client.get(format!("{}/{path}", gateway.url())).header("Accept", "application/json");
    let Ok(response) = request.timeout(Duration::from_secs(20)).send().await else { return Value::Null };
    let ok = response.status().is_success();
    let body = response.text().await.unwrap_or_default();
    if ok { serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}")) } else { Value::Null }
}

/// Waits until the path's status is as wanted; gives it.
pub async fn until_status(gateway: &Gateway, path: &str, what: &str, want: impl Fn(&Value) -> bool) -> Value {
    let last = std::sync::Mutex::new(Value::Null);
    let watch = super::until(SOON, what, || async {
        let now = status(gateway, path).await;
        *last.lock().unwrap() = now.clone();
        want(&now).then_some(now)
    });
    // The status says more than "still waiting".
    match tokio::time::timeout(SOON - Duration::from_secs(2), watch).await {
        Ok(status) => status,
        Err(_) => panic!("waited for {what} in vain; path {path} is {:#}", last.lock().unwrap()),
    }
}

/// Waits until the path is in this state; gives its status.
pub async fn until_state(gateway: &Gateway, path: &str, state: &str) -> Value {
    until_status(gateway, path, &format!("state {state}"), |s| s["state"] == state).await
}

/// The reason of a status, which has to be a sentence.
#[track_caller]
pub fn reason(status: &Value) -> &str {
    let reason = status["reason"].as_str().unwrap_or_else(|| panic!("no reason: {status:#}"));
    assert!(reason.len() > 10 && reason.contains(' '), "no sentence: {reason}");
    reason
}

/// The first track of a kind in a status.
pub fn track<'a>(status: &'a Value, kind: &str) -> &'a Value {
    static NONE: Value = Value::Null;
    status["tracks"].as_array().and_then(|t| t.iter().find(|t| t["kind"] == kind)).unwrap_or(&NONE)
}

/// Joins and keeps the packets' records.
pub async fn view(gateway: &Gateway, path: &str) -> Viewer {
    view_with(gateway, path, Options { packets: true, ..Options::default() }).await
}

/// Joins in your own way; panics with the answer when it is a refusal. Where the camera is
/// not ready for as long as a request waits (504), it is asked again.
pub async fn view_with(gateway: &Gateway, path: &str, options: Options) -> Viewer {
    super::until(SOON, &format!("path {path} to be ready"), || async {
        let joined: Result<Viewer, HttpError> = Viewer::join(gateway.url(), path, options.clone()).await;
        match joined {
            Err(e) if e.status == 504 => {
                tokio::time::sleep(AGAIN).await; // poll
                None
            }
            joined => Some(joined.unwrap_or_else(|e| panic!("joining {path}: {e}"))),
        }
    })
    .await
}

/// Waits for so many more whole frames than there are now.
pub async fn more_frames(viewer: &Viewer, n: usize) {
    let before = viewer.with(|log| log.video.complete_frames());
    frames(viewer, before + n).await;
}

/// Waits for so many whole frames.
pub async fn frames(viewer: &Viewer, n: usize) {
    super::until_true(SOON, &format!("{n} video frames"), || viewer.with(|log| log.video.complete_frames() >= n)).await;
}

/// Waits for so many audio packets.
pub async fn audio(viewer: &Viewer, n: u64) {
    super::until_true(SOON, &format!("{n} audio packets"), || viewer.with(|log| log.audio.packets >= n)).await;
}

/// What a receiver must never see: packets lost, doubled or out of order, and
/// timestamps that step back.
#[track_caller]
pub fn assert_smooth(viewer: &Viewer) {
    viewer.with(|log| {
        for (name, track) in [("video", &log.video), ("audio", &log.audio)] {
            assert_eq!((track.lost, track.missing()), (0, 0), "{name} has gaps");
            // A camera double that is kept from its work takes two pictures at once.
            assert!(track.steps().iter().all(|s| *s >= 0), "{name} steps back: {:?}", track.steps());
        }
        assert_eq!(log.wire.duplicates(), 0);
        assert!(log.error.is_none(), "{:?}", log.error);
    });
}
