//! What the page says when there is no picture: what was tried, and what to do.

use super::kit::{LONG, clean, plays, says, watch};
use super::support::browser::Browser;
use super::support::camera::Camera;
use super::support::faults::Fault;
use super::support::gateway::Gateway;

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_is_said_in_words() {
    let locked = Camera::builder().digest("op", "right").start();
    let gone = Camera::builder().misbehave(Fault::Describe(404)).start();
    let good = Camera::builder().start();
    let mut off = Camera::builder().start();
    off.stop();
    let yaml = format!(
        "paths:\n  locked:\n    source: {}\n  gone:\n    source: {}\n  off:\n    source: {}\n  pushed:\n    source: publisher\n  \
         full:\n    source: {}\n    maxReaders: 1\n",
        locked.url_with("op", "hush-hush"),
        gone.url(),
        off.url(),
        good.url(),
    );
    let gateway = Gateway::start(&yaml);
    let at = |path: &str| format!("{}/{path}", gateway.url());
    let browser = Browser::launch().await;

    // The wall tells it on the tiles.
    let wall = browser.page(&at("")).await;
    says(&wall, ".tile[data-path=locked] .chip-text", "Refused: camera refused the password (401)").await;
    says(&wall, ".tile[data-path=gone] .chip-text", "camera knows no such stream (404)").await;
    says(&wall, ".tile[data-path=off] .chip-text", "no connection to").await;
    says(&wall, ".tile[data-path=pushed] .chip-text", "No source: waits for a publisher").await;
    says(&wall, "#summary", "without source").await;
    plays(&wall, ".tile[data-path=full] video").await;
    assert!(!wall.eval("document.body.innerText").await.as_str().unwrap().contains("hush-hush"), "the password shows");

    // The player tells it in full.
    let page = browser.page(&at("locked")).await;
    says(&page, "#notice h2", "Refused").await;
    says(&page, "#notice", "Camera refused the password (401).").await;
    says(&page, "#notice", "cameras lock an account").await;
    page.goto(&at("gone")).await;
    says(&page, "#notice", "Camera knows no such stream (404): check the path in the URL.").await;
    page.goto(&at("off")).await;
    says(&page, "#notice", "No connection to").await;
    page.goto(&at("pushed")).await;
    says(&page, "#notice", "Waits for a publisher.").await;
    // A request that came while the camera was being asked was turned away.
    const ASKED: &[&str] = &["status of 502", "status of 503", "status of 504", "status of 404"];
    clean(&page, ASKED);
    clean(&wall, ASKED);
    // It is full because the wall watches it.
    page.goto(&at("full")).await;
    says(&page, "#notice h2", "Full").await;
    says(&page, "#notice", "maxReaders").await;
    wall.close().await;
    plays(&page, "#video").await;
    clean(&page, ASKED);

    // What is no path is said by the server.
    page.goto(&at("nowhere")).await;
    says(&page, "h1", "404").await;
    says(&page, "main", "nowhere").await;
    page.wait_for("document.querySelector('a[href=\"/\"]')", LONG).await;
    clean(&page, ASKED);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_through_the_network_is_said_with_the_address() {
    let camera = Camera::builder().start();
    let yaml = format!("webrtcHandshakeTimeout: 10s\nhls: no\npaths:\n  cam:\n    source: {}\n", camera.url());
    let gateway = Gateway::start(&yaml);
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/healthz", gateway.url())).await;
    watch(&page).await;
    // A browser that finds no way: its own candidates are all relayed, and there is no relay.
    page.inner()
        .evaluate_on_new_document(
            "const Real = RTCPeerConnection; window.RTCPeerConnection = class extends Real { \
             constructor(c) { super({ ...c, iceTransportPolicy: 'relay' }); } \
             setConfiguration(c) { super.setConfiguration({ ...c, iceTransportPolicy: 'relay' }); } };",
        )
        .await
        .unwrap();
    page.goto(&format!("{}/cam", gateway.url())).await;
    says(&page, "#notice h2", "No way to the picture").await;
    says(&page, "#notice", "No UDP to 127.0.0.1:").await;
    says(&page, "#notice", "webrtcAdditionalHosts").await;
    gateway.wait_for_line(LONG, |l| l.contains("viewer left"));
    clean(&page, &["status of 404"]);
}
