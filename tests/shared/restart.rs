//! ICE restart by PATCH (row 27): 200, new credentials, a new tag, and pictures all the while.

use super::kit::{FRAGMENT, SOON, gate, line, patch};
use super::support::browser::Browser;
use super::support::camera::{Audio, Camera};
use super::support::ice_gate::Credentials;
use super::support::relay::{Relay, Weather, without_candidates};
use super::support::until_true;
use super::support::watcher::Watcher;
use super::support::whep::{Options, Viewer};
use str0m::change::SdpAnswer;

/// The fragment for a new offer: its credentials, and its candidates.
fn fragment(offer: &str) -> String {
    let Credentials { ufrag, pwd } = Credentials::of(offer);
    let candidates: String =
        offer.lines().filter(|l| l.starts_with("a=candidate:")).map(|l| format!("{l}\r\n")).collect();
    format!(
        "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{}\r\n{candidates}a=end-of-candidates\r\n",
        line(offer, "a=mid:")
    )
}

/// An answer with the credentials of a fragment.
fn renewed(answer: &str, fragment: &str) -> String {
    let (old, new) = (Credentials::of(answer), Credentials::of(fragment));
    answer.replace(&old.ufrag, &new.ufrag).replace(&old.pwd, &new.pwd)
}

fn frames(viewer: &Viewer) -> usize {
    viewer.with(|log| log.video.complete_frames())
}

async fn goes_on(viewer: &Viewer, more: usize) {
    let before = frames(viewer);
    until_true(SOON, "pictures", || frames(viewer) > before + more).await;
}

#[tokio::test]
async fn row27_a_restart_is_200_with_new_credentials_and_a_new_tag() {
    let camera = Camera::builder().size(320, 180).prerecorded().start();
    let gateway = gate(&camera);
    let options = Options { audio: false, receive_buffer: Some(8 << 20), ..Options::default() };
    let viewer = Viewer::join(gateway.url(), "gate", options).await.unwrap();
    goes_on(&viewer, 10).await;
    let url = viewer.location().unwrap().to_string();
    let mut tags = vec![viewer.header("etag").unwrap().to_string()];
    let mut answer = viewer.answer().to_string();
    // The tag of now, then what real clients send (rows 23 and 27).
    for tag in [Some("now"), Some("*"), None] {
        let (offer, pending) = viewer
            .with_rtc(|rtc| {
                let mut change = rtc.sdp_api();
                change.ice_restart(true);
                let (offer, pending) = change.apply().unwrap();
                (offer.to_sdp_string(), pending)
            })
            .await;
        assert_eq!(patch(&url, Some("\"other\""), &fragment(&offer)).await.status, 412);
        let tag = tag.map(|t| if t == "now" { tags.last().unwrap().clone() } else { t.into() });
        let reply = patch(&url, tag.as_deref(), &fragment(&offer)).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, FRAGMENT), "{reply:?}");
        let (old, new) = (Credentials::of(&answer), Credentials::of(&reply.body));
        assert!(new.ufrag.len() >= 4 && new.pwd.len() >= 22, "{reply:?}");
        assert!(old.ufrag != new.ufrag && old.pwd != new.pwd, "{reply:?}");
        assert!(reply.body.contains("a=candidate:"), "{reply:?}");
        // Strong, quoted, and never seen before.
        let tag = reply.header("etag").to_string();
        assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"') && !tags.contains(&tag), "{tag}");
        tags.push(tag);
        answer = renewed(&answer, &reply.body);
        let parsed = SdpAnswer::from_sdp_string(&answer).unwrap();
        viewer.with_rtc(move |rtc| rtc.sdp_api().accept_answer(pending, parsed).unwrap()).await;
        goes_on(&viewer, 25).await;
        // Trickling goes on under the new tag alone.
        let more = |credentials: &Credentials| {
            format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=end-of-candidates\r\n", credentials.ufrag, credentials.pwd)
        };
        let mine = more(&Credentials::of(&offer));
        for old in &tags[..tags.len() - 1] {
            assert_eq!(patch(&url, Some(old), &mine).await.status, 412, "{old}");
        }
        assert_eq!(patch(&url, tags.last().map(String::as_str), &mine).await.status, 204);
    }
    goes_on(&viewer, 100).await;
    viewer.with(|log| {
        assert_eq!((log.video.lost, log.video.missing()), (0, 0));
        assert!(log.video.indices().windows(2).all(|w| w[1] == w[0] + 1), "{:?}", log.video.indices());
        assert!(log.error.is_none(), "{:?}", log.error);
    });
    // The secret of the session has not changed.
    assert_eq!(viewer.leave().await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_restarts_ice_after_its_network_has_changed() {
    let camera = Camera::builder().audio(Audio::Opus).prerecorded().start();
    let gateway = gate(&camera);
    let relay = Relay::start(5);
    let browser = Browser::launch().await;
    let answered = |answer: &str| relay.answer(answer);
    let watcher = Watcher::join(&browser, gateway.url(), "gate", without_candidates, answered).await;
    watcher.goes_on(25).await;
    // The network is gone, the browser has noticed, and comes back under another address.
    relay.set(Weather { cut: true, ..Weather::default() });
    watcher.page().wait_for("pc.iceConnectionState === 'disconnected'", SOON).await;
    relay.move_address();
    let offer = without_candidates(&watcher.restart().await);
    let reply = patch(&watcher.location, Some(&watcher.etag), &fragment(&offer)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    relay.set(Weather::default());
    watcher.take(&renewed(&watcher.answer, &reply.body)).await;
    watcher.page().wait_for("pc.iceConnectionState === 'connected'", SOON).await;
    let stats = watcher.goes_on(50).await;
    assert_eq!(stats["state"], "connected");
    let log = gateway.log();
    assert!(!log.iter().any(|l| l.contains("viewer left")));
    assert_eq!(log.iter().filter(|l| l.contains("viewer joins")).count(), 1);
}
