//! Instant start as the eye sees it: a picture at once in the middle of a long
//! GOP, and no delay left over from it.

use super::kit::{LONG, watch};
use super::support::browser::{Browser, Page};
use super::support::camera::{Audio, Camera};
use super::support::gateway::{Engine, Gateway, paths};
use super::support::{mono, until};
use std::time::{Duration, Instant};

crate::on_both_engines!(a_join_in_a_long_gop_shows_a_picture_and_no_delay_stays);

/// Milliseconds from camera to screen of the frames shown in the last second or
/// so, sorted: the frame's bar code against the camera's own table.
async fn delays(page: &Page, camera: &Camera, frames: usize) -> Vec<f64> {
    // performance.now() is CLOCK_MONOTONIC with another zero; the shortest of some
    // round trips tells it best.
    let mut best = (Duration::MAX, 0.0);
    for _ in 0..20 {
        let before = Instant::now();
        let there = page.eval("performance.now()").await.as_f64().unwrap();
        let took = before.elapsed();
        if took < best.0 {
            best = (took, mono::to_ns(before + took / 2) as f64 / 1e6 - there);
        }
    }
    page.eval(
        "window.seen = []; const next = () => video.requestVideoFrameCallback((now, frame) => { \
           const code = readBarcode(video); if (code !== null) seen.push([code, frame.expectedDisplayTime]); next(); }); \
         next(); true",
    )
    .await;
    page.wait_for(&format!("seen.length >= {frames}"), LONG).await;
    let seen: Vec<(u16, f64)> = serde_json::from_value(page.eval("seen.splice(0)").await).unwrap();
    let mut delays: Vec<f64> = seen
        .iter()
        .filter_map(|(code, at)| {
            let taken = mono::to_ns(camera.frames().by_code(*code)?.captured) as f64 / 1e6;
            Some(at + best.1 - taken)
        })
        .collect();
    delays.sort_by(f64::total_cmp);
    delays
}

/// Opens the player when `index` frames of the camera's GOP have gone by.
async fn join_at(page: &Page, camera: &Camera, url: &str, gop: u32, frames_in: u32) {
    let key = || camera.frames().all().iter().rev().find(|f| f.key).map(|f| f.index);
    super::support::until_true(LONG, "the place in the GOP", || {
        let last = camera.frames().last().map(|f| f.index);
        matches!((key(), last), (Some(key), Some(last)) if last - key >= frames_in && last - key < gop - 50)
    })
    .await;
    page.goto(url).await;
    watch(page).await;
}

async fn a_join_in_a_long_gop_shows_a_picture_and_no_delay_stays(engine: Engine) {
    const GOP: u32 = 250; // 10 s
    let camera = Camera::builder().gop_frames(GOP).key_on_connect(true).start();
    let gateway = Gateway::on(engine, &paths(&[("cam", &camera.url())]));
    gateway.wait_for_line(LONG, |l| l.contains("state=Live"));
    let url = format!("{}/cam", gateway.url());
    let browser = Browser::launch().await;
    let page = browser.page("about:blank").await;
    let mut medians = Vec::new();
    for (what, frames_in) in [("on a key frame", 0), ("4 s into the GOP", 100)] {
        if frames_in == 0 {
            camera.request_key_frame();
        }
        join_at(&page, &camera, &url, GOP, frames_in).await;
        page.wait_for("session('cam').firstPictureMs !== null", LONG).await;
        let first = page.eval("session('cam').firstPictureMs").await.as_f64().unwrap();
        // The first seconds settle the browser's jitter buffer.
        page.wait_for("video.getVideoPlaybackQuality().totalVideoFrames >= 125", LONG).await;
        let delays = delays(&page, &camera, 50).await;
        let median = delays[delays.len() / 2];
        let buffer = page.eval("session('cam').stats.video.jitterBufferMs").await;
        eprintln!(
            "joined {what}: first picture after {first:.0} ms; 5 s later {median:.0} ms from camera to screen \
             ({:.0} to {:.0}), jitter buffer {buffer} ms",
            delays[0],
            delays[delays.len() - 1],
        );
        medians.push(median);
        // What shows is what the camera takes now, not the GOP's beginning played after:
        // such a delay would never go.
        let now = || async {
            let shown = page.eval("readBarcode(video)").await.as_u64()? as u16;
            let behind = (camera.frames().last()?.index as u16).wrapping_sub(shown);
            (behind < 75).then_some(())
        };
        until(LONG, "a picture of the last three seconds", now).await;
    }
    eprintln!("difference: {:.0} ms", medians[1] - medians[0]);
}

/// What Chromium says of its delays, for a person to look at.
async fn look(camera: Option<Camera>) {
    let url = camera.as_ref().map_or("test".to_owned(), Camera::url);
    let gateway = Gateway::start(&paths(&[("path", &url)]));
    let browser = Browser::launch().await;
    let page = browser.page("about:blank").await;
    page.inner()
        .evaluate_on_new_document(
            "const Real = RTCPeerConnection; window.pcs = []; \
             window.RTCPeerConnection = class extends Real { constructor(c) { super(c); window.pcs.push(this); } };",
        )
        .await
        .unwrap();
    page.goto(&format!("{}/path?muted=false", gateway.url())).await;
    watch(&page).await;
    page.wait_for("video.getVideoPlaybackQuality().totalVideoFrames >= 250", LONG).await;
    let stats = page
            .eval(
                "(async () => { const ms = (r, k) => r[k] === undefined || !r.jitterBufferEmittedCount ? null : \
                 Math.round(1000 * r[k] / r.jitterBufferEmittedCount); const out = {}; \
                 for (const r of (await pcs.at(-1).getStats()).values()) if (r.type === 'inbound-rtp') \
                 out[r.kind] = { delay: ms(r, 'jitterBufferDelay'), target: ms(r, 'jitterBufferTargetDelay'), \
                 minimum: ms(r, 'jitterBufferMinimumDelay'), jitter: r.jitter, playout: r.estimatedPlayoutTimestamp, \
                 processing: r.totalProcessingDelay / r.framesDecoded * 1000, concealed: r.concealedSamples, received: r.totalSamplesReceived }; \
                 if (out.audio) out.apart = out.audio.playout - out.video.playout; return out; })()",
            )
            .await;
    if let Some(camera) = &camera {
        let delays = delays(&page, camera, 50).await;
        eprintln!("{:.0} ms from camera to screen", delays[delays.len() / 2]);
    }
    eprintln!("{stats:#}");
}

mod it_plays_with_its_sound_on {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn without_sound() {
        look(Some(Camera::builder().start())).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn opus() {
        look(Some(Camera::builder().audio(Audio::Opus).start())).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn g711() {
        look(Some(Camera::builder().audio(Audio::Pcmu).start())).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn test_source() {
        look(None).await;
    }
}
