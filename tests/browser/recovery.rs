//! A page that plays goes on: through the camera's restarts, the server's, and
//! a path that goes away and comes back.

use super::kit::{LONG, clean, decodes, number, plays, press, says, session, watch};
use super::support::browser::Browser;
use super::support::camera::{Audio, Camera, Codec};
use super::support::gateway::{Engine, Gateway, paths};

crate::on_both_engines!(a_camera_restarts_and_the_session_goes_on);

/// What the browser itself says about requests that a stopped server cannot answer.
const AWAY: &[&str] = &["net::ERR_", "Failed to load resource"];

async fn a_camera_restarts_and_the_session_goes_on(engine: Engine) {
    let mut camera = Camera::builder().start();
    let gateway = Gateway::on(engine, &paths(&[("cam", &camera.url())]));
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/cam", gateway.url())).await;
    plays(&page, "#video").await;

    for _ in 0..2 {
        camera.stop();
        // The page says what is going on, over the last picture.
        page.wait_for("document.querySelector('#player').dataset.state === 'reconnecting'", LONG).await;
        says(&page, "#notice", "Reconnecting").await;
        let restarted_at = camera.frames().last().unwrap().index as u16;
        camera.start_again();
        let fresh = format!("((c) => c !== null && ((c - {restarted_at}) & 0xffff) < 30000)(readBarcode(video))");
        page.wait_for(&fresh, LONG).await;
        plays(&page, "#video").await;
        page.wait_for("document.querySelector('#player').dataset.state === 'playing'", LONG).await;
        assert_eq!(page.eval("document.querySelector('#notice').textContent").await, "");
    }
    let account = session(&page, "cam").await;
    assert_eq!((account["joins"].as_u64(), account["reconnects"].as_u64()), (Some(1), Some(0)), "{account}");
    assert_eq!(account["failure"], serde_json::Value::Null);
    assert_eq!(gateway.log().iter().filter(|l| l.contains("viewer joins")).count(), 1);
    clean(&page, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_comes_back_with_other_tracks() {
    let mut camera = Camera::builder().start();
    let gateway = Gateway::start(&paths(&[("cam", &camera.url())]));
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/cam", gateway.url())).await;
    plays(&page, "#video").await;

    // A track more: whoever negotiated without it joins again, at once.
    camera.set_audio(Some(Audio::Pcma));
    camera.restart();
    page.wait_for("session('cam').joins === 2", LONG).await;
    plays(&page, "#video").await;
    page.wait_for("session('cam').stats?.audio?.bytes > 0", LONG).await;
    assert_eq!(number(&page, "cam", "reconnects").await, 1);

    // A codec that this browser may not have. What it cannot play, it says.
    let plays_h265 =
        page.eval("RTCRtpReceiver.getCapabilities('video').codecs.some((c) => c.mimeType === 'video/H265')").await;
    camera.set_codec(Codec::H265);
    camera.restart();
    if plays_h265 == true {
        page.wait_for("session('cam').joins >= 3 && session('cam').state === 'playing'", LONG).await;
    } else {
        says(&page, "#notice h2", "This browser cannot play it").await;
        says(&page, "#notice", "H265").await;
    }
    // And back: the page notices by itself.
    camera.set_codec(Codec::H264);
    camera.restart();
    plays(&page, "#video").await;
    decodes(&page, "cam").await;
    clean(&page, &["status of 422", "status of 503"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_restarts_and_the_page_comes_back() {
    let camera = Camera::builder().start();
    let yaml = paths(&[("cam", &camera.url())]);
    let gateway = Gateway::start(&yaml);
    let again = format!("webrtcAddress: {}\n{yaml}", gateway.host());
    let browser = Browser::launch().await;
    let player = browser.page(&format!("{}/cam", gateway.url())).await;
    let wall = browser.page(&format!("{}/", gateway.url())).await;
    // A tab in the background is slowed down by the browser; each in its own time.
    player.inner().activate().await.unwrap();
    plays(&player, "#video").await;
    wall.inner().activate().await.unwrap();
    plays(&wall, ".tile video").await;

    drop(gateway); // SIGKILL: no goodbye
    says(&wall, "#banner-text", "camgate does not answer").await;
    player.inner().activate().await.unwrap();
    says(&player, "#chip", "Reconnecting").await;
    let gateway = Gateway::start(&again);
    plays(&player, "#video").await;
    says(&player, "#chip", "Live").await;
    wall.inner().activate().await.unwrap();
    plays(&wall, ".tile video").await;
    wall.wait_for("document.querySelector('#banner').hidden", LONG).await;
    assert!(number(&player, "cam", "joins").await >= 2);
    clean(&player, AWAY);
    clean(&wall, AWAY);

    // An orderly end: sessions are told.
    gateway.sigterm();
    says(&wall, ".tile .chip-text", "Reconnecting").await;
    drop(gateway);
    let gateway = Gateway::start(&again);
    plays(&wall, ".tile video").await;
    assert!(gateway.log().iter().any(|l| l.contains("viewer joins")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_goes_away_and_comes_back() {
    let camera = Camera::builder().start();
    let one = paths(&[("cam", &camera.url())]);
    let gateway = Gateway::start(&one);
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/cam", gateway.url())).await;
    plays(&page, "#video").await;

    gateway.write_config("paths: {}\n");
    says(&page, "#notice h2", "Nothing here yet").await;
    says(&page, "#notice .later", "Next try in").await;
    gateway.write_config(&one);
    plays(&page, "#video").await;

    // By hand is sooner than by the clock.
    gateway.write_config("paths: {}\n");
    says(&page, "#notice h2", "Nothing here yet").await;
    gateway.write_config(&one);
    gateway.wait_for_line(LONG, |l| l.contains("Live"));
    page.eval("document.querySelector('#try')?.click(); true").await;
    plays(&page, "#video").await;
    clean(&page, &["status of 404"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_on_demand_path_starts_for_the_page_and_rests_without_it() {
    let camera = Camera::builder().start();
    let yaml = format!(
        "paths:\n  cam:\n    source: {}\n    sourceOnDemand: yes\n    sourceOnDemandCloseAfter: 1s\n",
        camera.url()
    );
    let gateway = Gateway::start(&yaml);
    assert_eq!(camera.connections(), 0);
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/cam", gateway.url())).await;
    plays(&page, "#video").await;
    assert_eq!(number(&page, "cam", "joins").await, 1);
    press(&page, " ").await; // pause lets go
    gateway.wait_for_line(LONG, |l| l.contains("state=Idle"));
    super::support::until_true(LONG, "the camera to be left alone", || camera.open_connections() == 0).await;
    press(&page, " ").await;
    watch(&page).await;
    plays(&page, "#video").await;
    clean(&page, &[]);
}
