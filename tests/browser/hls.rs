//! HLS in the page: as the person chose, or by itself where WebRTC finds no way.

use super::kit::{LONG, Shots, clean, decodes, goes_on, plays, press, says, session, watch};
use super::support::browser::{Browser, Page};
use super::support::camera::{Audio, Camera};
use super::support::gateway::{Gateway, paths};
use super::support::until;
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;

/// While `localStorage.blocked` is set the browser finds no way: its own candidates
/// would all be relayed, and there is no relay.
const BLOCK: &str = "const Real = RTCPeerConnection; \
    const policy = (c) => (localStorage.blocked ? { ...c, iceTransportPolicy: 'relay' } : c); \
    window.RTCPeerConnection = class extends Real { constructor(c) { super(policy(c)); } \
    setConfiguration(c) { super.setConfiguration(policy(c)); } };";

/// Opening a file by itself makes the browser ask for an icon.
const OURS: &[&str] = &["favicon"];
/// The server may forget a session that found no way before the page says goodbye to it.
const GONE: &[&str] = &["favicon", "whep/"];

/// A page of the gateway with what the storage is to hold.
pub async fn page_with(browser: &Browser, gateway: &Gateway, storage: &[(&str, &str)]) -> Page {
    let page = browser.page("about:blank").await;
    page.inner().evaluate_on_new_document(BLOCK).await.unwrap();
    page.goto(&format!("{}/assets/theme.js", gateway.url())).await;
    for (key, value) in storage {
        page.eval(&format!("localStorage.setItem({key:?}, {value:?})")).await;
    }
    page
}

const CHOSEN: &[(&str, &str)] = &[("camgate.protocol", "\"hls\"")];
pub const BLOCKED: &[(&str, &str)] = &[("blocked", "1")];

pub async fn over(page: &Page, path: &str, protocol: &str) {
    watch(page).await;
    let there = format!("session({path:?})?.protocol === {protocol:?} && session({path:?}).state === 'playing'");
    page.wait_for(&there, LONG).await;
}

async fn choose(page: &Page, protocol: &str) {
    page.eval(&format!(
        "{{ const s = document.querySelector('#protocol'); s.value = {protocol:?}; s.dispatchEvent(new Event('change')); }} true"
    ))
    .await;
}

async fn plays_variant(variant: &str, kind: &str) {
    let camera = Camera::builder().gop_frames(25).audio(Audio::Opus).start();
    let gateway = Gateway::start(&format!("hlsVariant: {variant}\n{}", paths(&[("cam", &camera.url())])));
    let browser = Browser::launch().await;
    let page = page_with(&browser, &gateway, CHOSEN).await;
    page.goto(&format!("{}/cam", gateway.url())).await;
    over(&page, "cam", "hls").await;
    assert_eq!(plays(&page, "#video").await, (640, 360));
    decodes(&page, "cam").await;
    page.wait_for("session('cam').stats.video.framesDecoded > 125", LONG).await;
    assert_eq!(session(&page, "cam").await["protocolName"], kind);
    press(&page, "i").await;
    says(&page, "dd[data-row=Protocol]", &format!("{kind} by hls.js 1.")).await;
    says(&page, "dd[data-row=Why]", "Chosen by hand: HLS.").await;
    says(&page, "dd[data-row=Video]", "H.264").await;
    says(&page, "dd[data-row='Behind live']", " s, aims at ").await;
    let near = if kind == "LL-HLS" { 2_500 } else { 8_000 };
    let behind = page.wait_for(&format!("session('cam').behindMs < {near} && session('cam').behindMs"), LONG).await;
    let first = page.eval("session('cam').firstPictureMs").await;
    // What shows is the camera's own picture of a moment ago.
    let recent = || async {
        let shown = page.eval("readBarcode(video)").await.as_u64()? as u16;
        let late = (camera.frames().last()?.index as u16).wrapping_sub(shown);
        (late < 250).then_some(late)
    };
    let late = until(LONG, "a picture of the last ten seconds", recent).await;
    eprintln!("{variant}: first picture after {first} ms, {behind} ms behind live, {late} frames behind the camera");
    assert_eq!(session(&page, "cam").await["failure"], serde_json::Value::Null);
    assert!(!gateway.log().iter().any(|l| l.contains("viewer joins")), "WebRTC was not asked for");
    clean(&page, OURS);
}

#[tokio::test(flavor = "multi_thread")]
async fn low_latency_plays() {
    plays_variant("lowLatency", "LL-HLS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fragmented_mp4_plays() {
    plays_variant("fmp4", "HLS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mpeg_ts_plays() {
    plays_variant("mpegts", "HLS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_on_the_port_of_hls_shows_hls_by_itself() {
    let camera = Camera::builder().gop_frames(25).start();
    let gateway = Gateway::start(&format!("hlsAddress: 127.0.0.1:0\n{}", paths(&[("cam", &camera.url())])));
    let line = gateway.wait_for_line(LONG, |l| l.contains("HLS alone is served on http://"));
    let url = line[line.find("http://").unwrap()..].split_whitespace().next().unwrap().to_owned();
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{url}/cam/")).await;
    over(&page, "cam", "hls").await;
    plays(&page, "#video").await;
    says(&page, "#fallback", "hlsAddress").await;
    // WebRTC was asked for, in vain.
    clean(&page, &["favicon", "/whep"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn g711_is_heard_as_aac() {
    let camera = Camera::builder().gop_frames(25).audio(Audio::Pcma).start();
    let gateway = Gateway::start(&paths(&[("cam", &camera.url())]));
    let browser = Browser::launch().await;
    let page = page_with(&browser, &gateway, CHOSEN).await;
    page.goto(&format!("{}/cam", gateway.url())).await;
    over(&page, "cam", "hls").await;
    assert_eq!(plays(&page, "#video").await, (640, 360));
    // Three seconds of 48 kbit/s.
    page.wait_for("video.webkitAudioDecodedByteCount > 18000 && session('cam').state === 'playing'", LONG).await;
    page.wait_for("!document.querySelector('#mute').disabled", LONG).await;
    assert_eq!(session(&page, "cam").await["failure"], serde_json::Value::Null);
    clean(&page, OURS);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_for_webrtc_the_page_shows_hls_by_itself_and_goes_back() {
    let camera = Camera::builder().gop_frames(25).start();
    let gateway = Gateway::start(&format!("webrtcHandshakeTimeout: 10s\n{}", paths(&[("cam", &camera.url())])));
    gateway.wait_for_line(LONG, |l| l.contains("state=Live"));
    let browser = Browser::launch().await;
    let page = page_with(&browser, &gateway, BLOCKED).await;
    page.goto(&format!("{}/cam", gateway.url())).await;
    over(&page, "cam", "hls").await;
    let took = page.eval("performance.now()").await.as_f64().unwrap();
    // How soon is a figure of benches/hls.
    eprintln!("a picture {took:.0} ms after the page was opened");
    plays(&page, "#video").await;

    // What is shown, and why.
    says(&page, "#fallback", "No UDP to 127.0.0.1:").await;
    says(&page, "#fallback", "webrtcAdditionalHosts").await;
    says(&page, "#fallback", "Showing HLS instead.").await;
    says(&page, "#protocol option", "Auto · LL-HLS").await;
    assert_eq!(page.eval("document.querySelector('#fallback').hidden").await, false);
    press(&page, "i").await;
    says(&page, "dd[data-row=Protocol]", "LL-HLS by hls.js").await;
    says(&page, "dd[data-row=Why]", "No UDP to 127.0.0.1:").await;
    press(&page, "i").await;
    page.eval("document.querySelector('#fallback button').click()").await;
    assert_eq!(page.eval("document.querySelector('#fallback').hidden").await, true);

    // WebRTC gives up in its own time, and the picture does not mind.
    gateway.wait_for_line(LONG, |l| l.contains("viewer left"));
    goes_on(&page, "#video").await;
    let account = session(&page, "cam").await;
    assert_eq!(account["joins"], 1, "{account:#}");

    // The firewall is opened, another network is there: back, without a gap.
    page.eval(
        "localStorage.removeItem('blocked'); window.empty = 0; video.addEventListener('resize', () => { \
         if (!video.videoWidth && document.querySelector('canvas.still').hidden) empty += 1; }); true",
    )
    .await;
    page.wait_for("(dispatchEvent(new Event('online')), session('cam').protocol === 'webrtc')", LONG).await;
    over(&page, "cam", "webrtc").await;
    plays(&page, "#video").await;
    assert_eq!(page.eval("empty").await, 0, "the stage was empty in between");
    says(&page, "#protocol option", "Auto · WebRTC").await;
    page.wait_for("document.querySelector('#timeline').hidden && document.querySelector('canvas.still').hidden", LONG)
        .await;
    clean(&page, GONE);
}

/// How far behind live is still live: with parts, and in whole segments.
fn near(variant: &str) -> u32 {
    if variant == "lowLatency" { 4_000 } else { 8_000 }
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_goes_on_after_the_camera_restarts() {
    goes_on_after_restarts("lowLatency").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mpeg_ts_goes_on_after_the_camera_restarts() {
    goes_on_after_restarts("mpegts").await;
}

async fn goes_on_after_restarts(variant: &str) {
    let mut camera = Camera::builder().gop_frames(25).start();
    let gateway = Gateway::start(&format!("hlsVariant: {variant}\n{}", paths(&[("cam", &camera.url())])));
    let browser = Browser::launch().await;
    let page = page_with(&browser, &gateway, CHOSEN).await;
    page.goto(&format!("{}/cam", gateway.url())).await;
    over(&page, "cam", "hls").await;
    plays(&page, "#video").await;
    for _ in 0..2 {
        camera.stop();
        page.wait_for("document.querySelector('#player').dataset.state === 'reconnecting'", LONG).await;
        says(&page, "#notice", "Reconnecting").await;
        let restarted_at = camera.frames().last().unwrap().index as u16;
        camera.start_again();
        let fresh = format!("((c) => c !== null && ((c - {restarted_at}) & 0xffff) < 30000)(readBarcode(video))");
        page.wait_for(&fresh, LONG).await;
        plays(&page, "#video").await;
        page.wait_for("document.querySelector('#player').dataset.state === 'playing'", LONG).await;
        page.wait_for(&format!("session('cam').behindMs < {}", near(variant)), LONG).await;
    }
    // Another picture size is another initialisation.
    camera.set_resolution(320, 240);
    camera.restart();
    page.wait_for("video.videoWidth === 320", LONG).await;
    plays(&page, "#video").await;
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_line_goes_back_and_to_live_again() {
    goes_back_and_to_live("lowLatency").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_line_of_mpeg_ts_does_so_too() {
    goes_back_and_to_live("mpegts").await;
}

async fn goes_back_and_to_live(variant: &str) {
    let camera = Camera::builder().gop_frames(25).start();
    let yaml = format!("hlsVariant: {variant}\nhlsSegmentCount: 20\n{}", paths(&[("cam", &camera.url())]));
    let gateway = Gateway::start(&yaml);
    let browser = Browser::launch().await;
    let page = page_with(&browser, &gateway, CHOSEN).await;
    page.goto(&format!("{}/cam", gateway.url())).await;
    over(&page, "cam", "hls").await;
    page.wait_for("Number(document.querySelector('#time').min) < -9", LONG).await;
    assert_eq!(page.eval("document.querySelector('#live').getAttribute('aria-pressed')").await, "true");
    let before = page.wait_for("readBarcode(video) || false", LONG).await.as_u64().unwrap();
    page.eval(
        "const r = document.querySelector('#time'); r.value = '-8'; r.dispatchEvent(new Event('input')); \
         r.dispatchEvent(new Event('change')); true",
    )
    .await;
    // An earlier picture, which goes on from there, and does not pass for a live one.
    page.wait_for(&format!("readBarcode(video) && readBarcode(video) < {before} - 100"), LONG).await;
    goes_on(&page, "#video").await;
    says(&page, "#behind", "−").await;
    says(&page, "#chip", "Behind live").await;
    assert_eq!(page.eval("document.querySelector('#live').getAttribute('aria-pressed')").await, "false");
    page.wait_for("session('cam').behindMs > 7000", LONG).await;

    page.eval("document.querySelector('#live').click()").await;
    page.wait_for(&format!("session('cam').behindMs < {}", near(variant) - 1_000), LONG).await;
    says(&page, "#behind", "Live").await;
    says(&page, "#chip", "Live").await;
    goes_on(&page, "#video").await;
    clean(&page, OURS);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_person_chooses_and_it_is_kept() {
    let camera = Camera::builder().gop_frames(25).start();
    let gateway = Gateway::start(&paths(&[("cam", &camera.url())]));
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/cam", gateway.url())).await;
    over(&page, "cam", "webrtc").await;
    assert_eq!(page.eval("document.querySelector('#timeline').hidden").await, true);
    assert_eq!(
        page.eval("performance.getEntriesByType('resource').some((r) => r.name.includes('/hls.js'))").await,
        false
    );

    choose(&page, "hls").await;
    over(&page, "cam", "hls").await;
    plays(&page, "#video").await;
    gateway.wait_for_line(LONG, |l| l.contains("viewer left"));
    page.inner().reload().await.unwrap();
    over(&page, "cam", "hls").await;
    assert_eq!(page.eval("document.querySelector('#protocol').value").await, "hls");

    choose(&page, "auto").await;
    over(&page, "cam", "webrtc").await;
    plays(&page, "#video").await;

    // Pausing lets go, over HLS, too.
    choose(&page, "hls").await;
    over(&page, "cam", "hls").await;
    press(&page, " ").await;
    page.wait_for("document.querySelector('#player').dataset.state === 'paused'", LONG).await;
    press(&page, " ").await;
    over(&page, "cam", "hls").await;
    plays(&page, "#video").await;

    // The picture of this moment, as a file.
    page.eval("window.saved = []; const real = URL.createObjectURL; \
         URL.createObjectURL = (blob) => { window.blob = blob; return real(blob); }; HTMLAnchorElement.prototype.click = function () { saved.push(this); }; true").await;
    page.eval("document.querySelector('#shot').click()").await;
    page.wait_for("saved.length === 1 && /^cam .*[.]jpg$/.test(saved[0].download)", LONG).await;
    let size = page.eval("createImageBitmap(window.blob).then((b) => [b.width, b.height])").await;
    assert_eq!(size, serde_json::json!([640, 360]));
    clean(&page, OURS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_along() {
    let camera = Camera::builder().gop_frames(25).start();
    let gateway = Gateway::start(&format!(
        "authInternalUsers:\n  - user: eve\n    pass: s3cret-word\n    permissions:\n      - action: read\n        path: cam\n{}",
        paths(&[("cam", &camera.url())])
    ));
    let browser = Browser::launch().await;
    let page = page_with(&browser, &gateway, CHOSEN).await;
    page.goto(&format!("{}/cam?token=eve%3As3cret-word", gateway.url())).await;
    over(&page, "cam", "hls").await;
    plays(&page, "#video").await;
    assert!(!gateway.log().iter().any(|l| l.contains("s3cret-word")), "the token is in the log");
    clean(&page, OURS);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wall_falls_back_too() {
    let cameras: Vec<Camera> =
        (0..7).map(|n| Camera::builder().fps(10 + n).gop_frames(10).size(320, 180).start()).collect();
    let sources: Vec<(String, String)> = (0..7).map(|n| (format!("cam{n}"), cameras[n].url())).collect();
    let sources: Vec<(&str, &str)> = sources.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    let gateway = Gateway::start(&paths(&sources));
    let shots = Shots::new();
    let browser = Browser::launch().await;
    let page = page_with(&browser, &gateway, BLOCKED).await;
    page.goto(&format!("{}/", gateway.url())).await;
    // More than a browser has connections to a host: a held playlist must not starve the rest.
    for (name, _) in &sources {
        over(&page, name, "hls").await;
        plays(&page, &format!(".tile[data-path={name}] video")).await;
    }
    for (name, _) in &sources {
        goes_on(&page, &format!(".tile[data-path={name}] video")).await;
    }
    // None had to begin anew, and each is one viewer.
    let joins = page.eval("camgate.sessions.map((s) => [s.path, s.joins, s.failure])").await;
    eprintln!("{joins}");
    assert!(joins.as_array().unwrap().iter().all(|j| j[1] == 1), "{joins}");
    shots.take(&page, "hls-wall").await;
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_to_look_at() {
    let shots = Shots::new();
    let camera = Camera::builder().gop_frames(25).size(1280, 720).bitrate_kbps(2_000).start();
    let gateway = Gateway::start(&paths(&[("yard/north", &camera.url())]));
    let browser = Browser::launch().await;
    let page = page_with(&browser, &gateway, BLOCKED).await;
    for (width, height, name) in [(1280, 800, "wide"), (390, 844, "phone")] {
        let size = SetDeviceMetricsOverrideParams::new(width, height, 1.0, width == 390);
        page.inner().execute(size).await.unwrap();
        for theme in ["dark", "light"] {
            page.eval(&format!("localStorage.setItem('camgate.theme', '{theme}')")).await;
            page.goto(&format!("{}/yard/north", gateway.url())).await;
            over(&page, "yard/north", "hls").await;
            plays(&page, "#video").await;
            says(&page, "#fallback", "Showing HLS instead.").await;
            page.wait_for("document.querySelector('#quality').dataset.grade !== '0'", LONG).await;
            page.eval("document.querySelector('#live').focus()").await;
            let wide = page.eval("document.documentElement.scrollWidth <= window.innerWidth").await;
            assert_eq!(wide, true, "wider than {width} px");
            shots.take(&page, &format!("{name}-{theme}-hls")).await;
            press(&page, "i").await;
            says(&page, "dd[data-row='Behind live']", " s, aims at ").await;
            shots.take(&page, &format!("{name}-{theme}-hls-overlay")).await;
        }
    }
}
