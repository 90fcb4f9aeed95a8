//! hls.js as it comes, without our page's help, while a camera changes.

use super::kit::{LONG, goes_on, plays};
use super::support::browser::{Browser, Page};
use super::support::camera::Camera;
use super::support::gateway::{Gateway, paths};

const PLAIN: &str = "(async () => { \
    const { default: Hls } = await import('/assets/hls.js'); \
    const video = document.createElement('video'); \
    [video.id, video.muted] = ['video', true]; \
    document.body.append(video); \
    window.hls = new Hls(); \
    window.fatal = []; \
    window.errors = []; \
    hls.on(Hls.Events.ERROR, (_, d) => { \
      errors.push(`${d.details}: ${d.reason || d.error}`); \
      if (d.fatal) fatal.push(d.details); \
    }); \
    hls.loadSource('/cam/index.m3u8'); \
    hls.attachMedia(video); \
    video.play(); \
    return true; })()";

async fn plain(gateway: &Gateway, browser: &Browser) -> Page {
    let page = browser.page("about:blank").await;
    page.goto(&format!("{}/assets/theme.js", gateway.url())).await;
    page.eval(PLAIN).await;
    assert_eq!(plays(&page, "#video").await, (640, 360));
    page
}

async fn changes(from: u32, to: u32, part_target: f64) {
    let camera = Camera::builder().fps(from).gop_frames(from).prerecorded().even().start();
    let gateway = Gateway::start(&paths(&[("cam", &camera.url())]));
    let browser = Browser::launch().await;
    let page = plain(&gateway, &browser).await;
    let details = page.eval("hls.levels[0].details.partTarget").await.as_f64().unwrap();
    assert!((details - 0.201).abs() < 0.001, "{details}");
    camera.set_rate(to);
    // The playlist tells, and then the video comes to what lies behind it.
    let details = "hls.levels[0].details";
    let told =
        format!("Math.abs({details}.partTarget - {part_target}) < 0.001 && {details}.fragments.some((f) => f.cc > 0)");
    page.wait_for(&format!("fatal.length > 0 || {told}"), LONG).await;
    page.eval(&format!("window.there = {details}.edge")).await;
    page.wait_for("fatal.length > 0 || video.currentTime > there + 1", LONG).await;
    assert_eq!(page.eval("fatal").await, serde_json::json!([]), "{from} to {to}: {}", page.eval("errors").await);
    goes_on(&page, "#video").await;
    page.wait_for("hls.latency < 4", LONG).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_js_goes_on_when_the_rate_changes() {
    changes(25, 10, 0.201).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_js_follows_a_playlist_that_moves() {
    changes(25, 12, 0.251_25).await;
}
