//! What a person sees: POST → first picture presented, and camera → page told of the frame 5 s
//! later (of each frame, without the screen's next refresh), in the real Chromium with a WHEP
//! client of a few lines, the same for every server.

use crate::camera::Camera;
use crate::camera::clock::behind_ms;
use crate::common::nth;
use crate::measure;
use crate::report::{Line, slashes};
use crate::server::Contender;
use crate::support::barcode;
use crate::support::browser::{Browser, Page};
use crate::support::static_server::StaticServer;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
/// Streams, the seconds of their GOP, their frames until the bar code repeats, and joins.
const STREAMS: [(&str, u32, u64, u32); 2] = [("normal0", 2, 100, 20), ("long0", 10, 250, 10)];

/// `play(url)` joins, and leaves what was before; `window.first` is then the time from
/// the POST to the first picture, ms.
const PAGE: &str = r#"<!doctype html><video autoplay muted playsinline></video><script>
let pc, session;
window.stop = async () => {
  pc?.close();
  if (session) await fetch(session, { method: 'DELETE' }).catch(() => {});
  pc = session = null;
};
window.play = async (url) => {
  await stop();
  window.first = null;
  const video = document.querySelector('video');
  video.srcObject = null;
  pc = new RTCPeerConnection();
  pc.addTransceiver('video', { direction: 'recvonly' });
  pc.ontrack = (e) => { video.srcObject = new MediaStream([e.track]); };
  await pc.setLocalDescription(await pc.createOffer());
  if (pc.iceGatheringState !== 'complete') {
    await new Promise((done) => {
      pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && done();
    });
  }
  const posted = performance.now();
  video.requestVideoFrameCallback((now) => { window.first = now - posted; });
  const answer = await fetch(url, {
    method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp,
  });
  if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
  const location = answer.headers.get('Location');
  session = location && new URL(location, answer.url).href;
  await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
};
</script>"#;

/// First picture and delay of one server, for both lengths of GOP.
pub async fn run(contender: Contender, camera: Arc<Camera>) -> Result<Vec<Line>, String> {
    let paths = STREAMS.iter().map(|s| s.0.to_owned()).collect();
    let server = measure::start(contender.clone(), paths, camera.clone()).await?;
    let files = StaticServer::start();
    files.page("/play.html", PAGE);
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/play.html", files.url())).await;
    page.eval(&format!("{}true", barcode::JS)).await;
    let mut lines = Vec::new();
    for (path, gop_s, frames, joins) in STREAMS {
        let play = format!("play({:?}).then(() => true)", server.whep(path));
        let end = Instant::now() + SOON;
        while let Err(error) = page.try_eval(&play).await {
            if Instant::now() > end {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(300)).await; // poll: the path may not run yet
        }
        page.wait_for("window.first || false", SOON).await;
        let mut first = Vec::new();
        for n in 0..joins {
            page.eval(&play).await;
            first.extend(page.wait_for("window.first || false", SOON).await.as_f64());
            // A picture may come with a key frame: all phases after that, evenly.
            let phase = f64::from(n) * 0.618_034 % 1.0;
            tokio::time::sleep(Duration::from_secs_f64(phase * f64::from(gop_s))).await; // poll: all phases
        }
        let line = |what: String, figure| Line { server: contender.name(), what, figure };
        lines.push(line(
            format!("Chromium, GOP {gop_s} s: POST → first picture, p50 / p95 / worst of {joins}"),
            spread(&mut first),
        ));
        // A burst must leave no delay: beside each other, who got most of a GOP at once, and
        // who got a key frame and at most a few more.
        for (joined, phase) in [("late in the GOP", 0.9), ("on a key frame", 0.002)] {
            let gop = u64::from(gop_s) * 1_000_000_000;
            let wanted = (gop as f64 * phase) as u64;
            let now = (measure::clock() - camera.zero_ns) % gop;
            tokio::time::sleep(Duration::from_nanos((wanted + gop - now) % gop)).await; // poll: until there
            page.eval(&play).await;
            tokio::time::sleep(Duration::from_secs(5)).await; // poll: the time that is left to it
            let mut late = delays(&page, camera.zero_ns, frames).await;
            lines.push(line(
                format!(
                    "Chromium, GOP {gop_s} s, joined {joined}: camera → page told of the frame, 5 s later, \
                     p50 / p95 / worst"
                ),
                spread(&mut late),
            ));
        }
        page.eval("stop().then(() => true)").await;
    }
    Ok(lines)
}

/// From the moment a frame was taken until the page is told of it, ms, of the frames of
/// five seconds. (expectedDisplayTime can be earlier than the frame was taken:
/// seen with Chromium, without a screen and with a playout delay of 0.)
async fn delays(page: &Page, zero_ns: u64, frames: u64) -> Vec<f64> {
    // performance.now() is CLOCK_MONOTONIC with another zero; the shortest of some round
    // trips tells it best.
    let mut best = (u64::MAX, 0.0);
    for _ in 0..20 {
        let before = measure::clock();
        let there = page.eval("performance.now()").await.as_f64().unwrap_or_default();
        let took = measure::clock() - before;
        if took < best.0 {
            best = (took, (before + took / 2) as f64 / 1e6 - there);
        }
    }
    page.eval(
        "{ const video = document.querySelector('video'), mine = window.seen = []; \
         const next = () => video.requestVideoFrameCallback(() => { \
           const at = performance.now(), code = readBarcode(video); if (code !== null) mine.push([code, at]); \
           if (mine.length < 125) next(); \
         }); next(); } true",
    )
    .await;
    page.wait_for("seen.length >= 125", SOON).await;
    let seen: Vec<(u64, f64)> = serde_json::from_value(page.eval("seen").await).unwrap_or_default();
    seen.iter()
        .filter_map(|(code, at)| {
            let shown = ((at + best.1) * 1e6) as u64;
            behind_ms(shown.checked_sub(zero_ns)?, *code, frames)
        })
        .collect()
}

fn spread(ms: &mut [f64]) -> String {
    let all = (|| Some([nth(ms, 0.5)?, nth(ms, 0.95)?, nth(ms, 1.0)?]))();
    all.map_or_else(|| "nothing seen".into(), |all| slashes(&all))
}
