//! Chromium as a WHEP viewer whose HTTP the test does, so that offer and answer can be
//! changed on their way: see [`super::relay`].

use super::barcode;
use super::browser::{Browser, Page};
use super::static_server::StaticServer;
use serde_json::Value;
use std::time::Duration;

/// Long enough for a busy machine; nothing waits that long when all is well.
const LONG: Duration = Duration::from_secs(90);

const PAGE: &str = r#"<!doctype html><title>watcher</title><link rel=icon href='data:,'>
<video muted autoplay playsinline width=320></video><script>
const video = document.querySelector('video')
async function offer() {
  const pc = window.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' })
  for (const kind of ['video', 'audio']) pc.addTransceiver(kind, { direction: 'recvonly' })
  const stream = video.srcObject = new MediaStream()
  pc.ontrack = (e) => stream.addTrack(e.track)
  return described()
}
async function restart() {
  pc.restartIce()
  return described()
}
async function described() {
  await pc.setLocalDescription()
  const whole = () => pc.iceGatheringState === 'complete' && pc.localDescription.sdp.includes('a=candidate')
  while (!whole()) await new Promise((r) => setTimeout(r, 10))
  return pc.localDescription.sdp
}
async function stats() {
  const all = [...(await pc.getStats()).values()]
  const of = (id) => all.find((s) => s.id === id)
  const inbound = (kind) => all.find((s) => s.type === 'inbound-rtp' && s.kind === kind)
  const transport = all.find((s) => s.type === 'transport')
  const pair = of(transport?.selectedCandidatePairId)
  return {
    video: inbound('video'), audio: inbound('audio'), pair, transport, state: pc.connectionState,
    local: of(pair?.localCandidateId), remote: of(pair?.remoteCandidateId),
    at: video.currentTime, picture: pictureHash(video),
  }
}
// Longest time between two pictures on the screen, in ms, since the last call.
let longest = 0, last = null
const seen = (now) => {
  if (last !== null) longest = Math.max(longest, now - last)
  last = now
  video.requestVideoFrameCallback(seen)
}
video.requestVideoFrameCallback(seen)
function freeze() {
  const ms = longest
  longest = 0
  return ms
}
</script>"#;

/// A page that watches.
pub struct Watcher {
    page: Page,
    /// The session's URL, absolute.
    pub location: String,
    /// With its quotes.
    pub etag: String,
    /// The answer as the browser took it.
    pub answer: String,
    _site: StaticServer,
}

impl Watcher {
    /// Joins `path`; `offered` and `answered` edit what is told.
    pub async fn join(
        browser: &Browser,
        base: &str,
        path: &str,
        offered: impl FnOnce(&str) -> String,
        answered: impl FnOnce(&str) -> String,
    ) -> Self {
        super::init();
        let site = StaticServer::start();
        site.page("/", PAGE);
        let page = browser.page(&format!("{}/", site.url())).await;
        page.eval(&format!("{}true", barcode::JS)).await;
        let offer = offered(page.eval("offer()").await.as_str().unwrap());
        let client = reqwest::Client::builder().no_proxy().timeout(LONG).build().unwrap();
        let url = format!("{base}/whep/{path}");
        let request = client.post(&url).header("Content-Type", "application/sdp").body(offer.clone());
        let reply = request.send().await.unwrap();
        let header = |name: &str| {
            let value = reply.headers().get(name).and_then(|v| v.to_str().ok());
            value.unwrap_or_default().to_string()
        };
        let (status, location, etag) = (reply.status(), header("location"), header("etag"));
        let body = reply.text().await.unwrap();
        assert_eq!(status, 201, "{body}\n{offer}");
        let answer = answered(&body);
        let watcher = Self { page, location: format!("{base}{location}"), etag, answer, _site: site };
        watcher.take(&watcher.answer).await;
        watcher
    }

    /// Gives the browser an answer.
    pub async fn take(&self, answer: &str) {
        let answer = serde_json::to_string(answer).unwrap();
        self.page.eval(&format!("pc.setRemoteDescription({{ type: 'answer', sdp: {answer} }}).then(() => true)")).await;
    }

    /// A new offer with new ICE credentials.
    pub async fn restart(&self) -> String {
        self.page.eval("restart()").await.as_str().unwrap().to_string()
    }

    /// What getStats says: `video`, `audio` (inbound-rtp), `pair`, `local`, `remote`,
    /// `transport`; with the video's time and picture.
    pub async fn stats(&self) -> Value {
        self.page.eval("stats()").await
    }

    /// Waits until so many more frames are decoded, and the clock and the picture have
    /// gone on; gives the statistics of then.
    pub async fn goes_on(&self, frames: u64) -> Value {
        let before = self.stats().await;
        let from = (before["video"]["framesDecoded"].as_u64().unwrap_or(0) + frames, before["at"].as_f64().unwrap());
        let wanted = format!(
            "stats().then((s) => s.video && s.video.framesDecoded >= {} && s.at > {} && s.picture !== {} && s)",
            from.0, from.1, before["picture"]
        );
        self.page.wait_for(&wanted, LONG).await
    }

    /// Milliseconds of the longest time without a new picture since this was last asked.
    pub async fn freeze(&self) -> f64 {
        self.page.eval("freeze()").await.as_f64().unwrap()
    }

    pub fn page(&self) -> &Page {
        &self.page
    }
}

/// A number in statistics, 0 where it is missing.
pub fn number(stats: &Value, track: &str, name: &str) -> u64 {
    stats[track][name].as_u64().unwrap_or(0)
}
