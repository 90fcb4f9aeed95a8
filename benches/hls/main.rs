//! `cargo bench --bench hls`: what a reader of HLS gets, measured from outside.
//!
//! The real binary, camera doubles, the page in the real Chromium, and players
//! that follow the low-latency playlist as hls.js does. Prints a table; asserts
//! nothing about time. `BENCH=live|first|cold|blocked|crowd` measures one of them.
//! `MEDIAMTX=/path/to/mediamtx` measures it beside camgate in the same run.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/support/mod.rs"]
mod support;

mod player;
mod rival;

use std::time::{Duration, Instant};

use common::{row, spread};
use support::browser::{Browser, Page};
use support::camera::{Audio, Camera};
use support::gateway::{Gateway, paths};
use support::{barcode, proc, until_true};

use rival::Rival;

const SOON: Duration = Duration::from_secs(60);
/// While `localStorage.blocked` is set the browser finds no way for WebRTC.
const BLOCK: &str = "const Real = RTCPeerConnection; \
    const policy = (c) => (localStorage.blocked ? { ...c, iceTransportPolicy: 'relay' } : c); \
    window.RTCPeerConnection = class extends Real { constructor(c) { super(policy(c)); } \
    setConfiguration(c) { super.setConfiguration(policy(c)); } };";
/// When the first picture was presented, ms after the page was asked for.
const PICTURE: &str = "addEventListener('DOMContentLoaded', () => { const see = () => { \
    const video = document.querySelector('video'); if (!video) return requestAnimationFrame(see); \
    video.requestVideoFrameCallback((now) => { window.firstPicture ??= now; }); }; see(); });";

fn main() {
    support::init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("no runtime");
    if !common::measuring("hls") {
        return;
    }
    runtime.block_on(async {
        common::head();
        let only = std::env::var("BENCH").ok();
        let wanted = |name: &str| only.as_deref().is_none_or(|o| o == name);
        if wanted("live") {
            live().await;
        }
        if wanted("first") {
            first().await;
        }
        for gop_s in [1, 4].into_iter().filter(|_| wanted("cold")) {
            cold(gop_s).await;
        }
        if wanted("blocked") {
            blocked().await;
        }
        if wanted("crowd") {
            crowd(200).await;
        }
    });
}

fn camera() -> Camera {
    Camera::builder().gop_frames(25).audio(Audio::Opus).start()
}

/// The gateway with a path that has run for a while.
fn running(camera: &Camera) -> Gateway {
    let gateway = Gateway::start(&paths(&[("cam", &camera.url())]));
    gateway.wait_for_line(SOON, |l| l.contains("state=Live"));
    gateway
}

/// A page of ours that chooses HLS, or has WebRTC blocked; `storage` says which.
async fn page(browser: &Browser, gateway: &Gateway, storage: &[(&str, &str)]) -> Page {
    let page = browser.page("about:blank").await;
    for script in [BLOCK, PICTURE] {
        page.inner().evaluate_on_new_document(script).await.expect("no script");
    }
    page.goto(&format!("{}/assets/theme.js", gateway.url())).await;
    for (key, value) in storage {
        page.eval(&format!("localStorage.setItem({key:?}, {value:?})")).await;
    }
    page
}

const CHOSEN: &[(&str, &str)] = &[("camgate.protocol", "\"hls\"")];

/// How far what is on the screen is behind the camera, ms, for 20 s of it.
async fn behind(page: &Page, camera: &Camera) -> Vec<f64> {
    page.eval(&format!("{}true", barcode::JS)).await;
    page.wait_for("document.querySelector('video')?.currentTime > 0", SOON).await;
    // Where it has settled: hls.js starts further away than it stays.
    tokio::time::sleep(Duration::from_secs(10)).await; // poll: the time that is left to it
    let mut late = Vec::new();
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        let shown = page.eval("readBarcode(document.querySelector('video'))").await;
        let now = Instant::now();
        if let Some(frame) = shown.as_u64().and_then(|code| camera.frames().by_code(code as u16)) {
            late.push(now.saturating_duration_since(frame.captured).as_secs_f64() * 1_000.0);
        }
        tokio::time::sleep(Duration::from_millis(103)).await; // poll: samples in all phases
    }
    late
}

/// LL-HLS in Chromium: camera to screen.
async fn live() {
    let camera = camera();
    let gateway = running(&camera);
    let browser = Browser::launch().await;
    let ours = page(&browser, &gateway, CHOSEN).await;
    ours.goto(&format!("{}/cam", gateway.url())).await;
    let late = behind(&ours, &camera).await;
    let says = ours.eval("Math.round(camgate.sessions[0].behindMs)").await;
    row(
        "LL-HLS in Chromium, parts of 200 ms, GOP 1 s: camera → screen, median / p95 / worst of 20 s",
        format!("{} (hls.latency {says} ms)", spread(late)),
    );
    drop(ours);
    if let Some(rival) = Rival::start("cam", &camera.url()) {
        let theirs = browser.page("about:blank").await;
        rival.ready().await;
        theirs.goto(&format!("{}/cam/", rival.url())).await;
        row("the same, MediaMTX and its page", spread(behind(&theirs, &camera).await));
    }
}

/// The first picture of a path that runs, and has its muxer.
async fn first() {
    let camera = camera();
    let gateway = running(&camera);
    let browser = Browser::launch().await;
    let ours = page(&browser, &gateway, CHOSEN).await;
    // hls.js is in the browser's cache from then on, as it is with a person's second look.
    row("first picture over HLS, running path, page asked for → shown, median / p95 / worst of 30", {
        spread(pictures(&ours, &format!("{}/cam", gateway.url())).await)
    });
    drop(ours);
    if let Some(rival) = Rival::start("cam", &camera.url()) {
        rival.ready().await;
        let theirs = browser.page("about:blank").await;
        theirs.inner().evaluate_on_new_document(PICTURE).await.expect("no script");
        row("the same, MediaMTX and its page", spread(pictures(&theirs, &format!("{}/cam/", rival.url())).await));
    }
}

async fn pictures(page: &Page, url: &str) -> Vec<f64> {
    let mut all = Vec::new();
    for i in 0..31u64 {
        page.goto(url).await;
        let ms = page.wait_for("window.firstPicture || false", SOON).await.as_f64().unwrap_or(f64::NAN);
        // The first one fetches what the browser keeps.
        if i > 0 {
            all.push(ms);
        }
        tokio::time::sleep(Duration::from_millis(137 + i % 9 * 97)).await; // poll: all phases of the GOP
    }
    all
}

/// The first picture of an on-demand path that nobody watched.
async fn cold(gop_s: u32) {
    let camera = Camera::builder().gop_frames(25 * gop_s).start();
    let demand = "    sourceOnDemand: yes\n    sourceOnDemandCloseAfter: 1s\n";
    let gateway = Gateway::start(&format!("hlsMuxerCloseAfter: 1s\n{}{demand}", paths(&[("cam", &camera.url())])));
    let browser = Browser::launch().await;
    let ours = page(&browser, &gateway, CHOSEN).await;
    let mut all = Vec::new();
    for i in 0..9 {
        ours.goto(&format!("{}/cam", gateway.url())).await;
        let ms = ours.wait_for("window.firstPicture || false", SOON).await.as_f64().unwrap_or(f64::NAN);
        if i > 0 {
            all.push(ms);
        }
        ours.goto(&format!("{}/assets/theme.js", gateway.url())).await;
        until_true(SOON, "an idle camera", || camera.open_connections() == 0).await;
    }
    row(
        format!("first picture over HLS, on-demand path that was off, GOP {gop_s} s, median / p95 / worst of 8"),
        spread(all),
    );
}

/// The page by itself, where WebRTC finds no way.
async fn blocked() {
    let camera = camera();
    let gateway = running(&camera);
    let browser = Browser::launch().await;
    let ours = page(&browser, &gateway, &[("blocked", "1")]).await;
    let mut all = Vec::new();
    for _ in 0..8 {
        ours.goto(&format!("{}/cam", gateway.url())).await;
        all.push(ours.wait_for("window.firstPicture || false", SOON).await.as_f64().unwrap_or(f64::NAN));
    }
    row("WebRTC blocked: page asked for → picture over HLS, median / p95 / worst of 8", spread(all));
}

/// Players of one path that follow it part by part.
async fn crowd(count: usize) {
    let camera = Camera::builder().size(1280, 720).bitrate_kbps(2_000).noise(true).gop_frames(25).prerecorded().start();
    let gateway = running(&camera);
    row(format!("{count} players of a 2 Mbit/s path, LL-HLS, 20 s"), {
        crowd_of(count, &format!("{}/cam/index.m3u8", gateway.url()), gateway.pid()).await
    });
    drop(gateway);
    if let Some(rival) = Rival::start("cam", &camera.url()) {
        rival.ready().await;
        let url = format!("{}/cam/index.m3u8", rival.url());
        row("the same, MediaMTX", crowd_of(count, &url, rival.pid()).await);
    }
}

async fn crowd_of(count: usize, url: &str, pid: u32) -> String {
    let before = proc::usage(pid).expect("the server is gone");
    let crowd = player::Crowd::start(count, url).await;
    crowd.settled().await;
    let (start, usage, got) = (Instant::now(), proc::usage(pid).expect("the server is gone"), crowd.got());
    tokio::time::sleep(Duration::from_secs(20)).await; // poll: the time that is measured
    let (took, after, now) = (start.elapsed().as_secs_f64(), proc::usage(pid).expect("gone"), crowd.got());
    let late = crowd.late_ms();
    let cpu = (after.cpu_ms - usage.cpu_ms) as f64 / 10.0 / took;
    format!(
        "{cpu:.0} % of a core, {:.0} playlists and {:.0} parts a second, {:.0} Mbit/s, {:.0} KB per player, {} threads, {} failures, a part is fetched after {}",
        (now.playlists - got.playlists) as f64 / took,
        (now.parts - got.parts) as f64 / took,
        (now.bytes - got.bytes) as f64 * 8.0 / 1e6 / took,
        (after.rss_kb as f64 - before.rss_kb as f64) / count as f64,
        after.threads,
        now.failures,
        spread(late),
    )
}
