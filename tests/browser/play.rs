//! The page plays: the embedded path, a camera, two of them, in two browsers, in a frame.

use super::kit::{LONG, clean, decodes, goes_on, number, plays, press, says, session, watch};
use super::support::browser::Browser;
use super::support::camera::{Audio, Camera};
use super::support::gateway::{Engine, Gateway, paths};
use super::support::static_server::StaticServer;
use super::support::until_true;
use std::process::Command;

crate::on_both_engines!(a_camera_plays_picture_by_picture);

/// The binary as it runs with nothing at hand, but for loopback and any port.
fn unconfigured() -> Gateway {
    let mut command = Command::new(Gateway::binary());
    command
        .arg("run")
        .env_remove("CAMGATE_CONFIG")
        .env("CAMGATE_WEBRTCADDRESS", "127.0.0.1:0")
        .env("CAMGATE_WEBRTCIPSFROMINTERFACESLIST", "lo");
    Gateway::run(command, tempfile::tempdir().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_path_plays_and_the_controls_work() {
    let gateway = unconfigured();
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/", gateway.url())).await;
    assert_eq!(plays(&page, ".tile[data-path=test] video").await, (1280, 720));
    says(&page, ".tile[data-path=test] .chip-text", "Live").await;
    clean(&page, &[]);

    page.goto(&format!("{}/test", gateway.url())).await;
    assert_eq!(plays(&page, "#video").await, (1280, 720));
    decodes(&page, "test").await;
    assert_eq!(number(&page, "test", "joins").await, 1);
    page.wait_for("document.querySelector('#player').dataset.state === 'playing'", LONG).await;
    page.wait_for("session('test').stats.audio && session('test').stats.audio.bytes > 0", LONG).await;

    // i: the figures.
    press(&page, "i").await;
    page.wait_for("!document.querySelector('#overlay').hidden", LONG).await;
    says(&page, "dd[data-row=Resolution]", "1280 × 720").await;
    says(&page, "dd[data-row=Video]", "H.264").await;
    says(&page, "dd[data-row=Audio]", "Opus").await;
    page.wait_for(
        r"/host UDP (127\.0\.0\.1|\[::1\]):/.test(document.querySelector('dd[data-row=From]').textContent)",
        LONG,
    )
    .await;
    page.wait_for("/ms from camgate/.test(document.querySelector('dd[data-row=Delay]').textContent)", LONG).await;
    press(&page, "i").await;
    page.wait_for("document.querySelector('#overlay').hidden", LONG).await;

    // ?: the keys, in a dialog that Escape closes.
    press(&page, "?").await;
    page.wait_for("document.querySelector('dialog.sheet').open", LONG).await;
    says(&page, "dialog.sheet", "Picture in picture").await;
    press(&page, "m").await;
    assert_eq!(page.eval("video.muted").await, true, "keys belong to the dialog while it is open");
    page.eval("document.querySelector('dialog.sheet').close()").await;
    page.wait_for("document.activeElement === document.body", LONG).await;

    // m: sound, kept for the next time.
    press(&page, "m").await;
    page.wait_for("!video.muted && document.querySelector('#mute').getAttribute('aria-label') === 'Sound off'", LONG)
        .await;
    assert_eq!(page.eval("localStorage.getItem('camgate.muted')").await, "false");
    press(&page, "m").await;
    page.wait_for("video.muted", LONG).await;

    // Space: pausing lets go of the session, going on joins at the live edge.
    press(&page, " ").await;
    page.wait_for("document.querySelector('#player').dataset.state === 'paused' && video.paused", LONG).await;
    gateway.wait_for_line(LONG, |l| l.contains("session") && l.contains("closed"));
    press(&page, " ").await;
    plays(&page, "#video").await;
    assert_eq!(number(&page, "test", "joins").await, 2);

    // f: full screen, the bar over the picture.
    press(&page, "f").await;
    page.wait_for("document.fullscreenElement && document.querySelector('#player').classList.contains('over')", LONG)
        .await;
    press(&page, "f").await;
    page.wait_for("!document.fullscreenElement", LONG).await;

    // p: picture in picture. A browser without a screen may refuse the window, so
    // what counts is that key and button ask for it, and that it shows.
    page.eval(
        "window.asked = 0; const real = video.requestPictureInPicture; \
         video.requestPictureInPicture = function () { window.asked += 1; return real.call(this); }; \
         const back = document.exitPictureInPicture; \
         document.exitPictureInPicture = function () { window.asked += 1; return back.call(this); }; true",
    )
    .await;
    press(&page, "p").await;
    page.wait_for("window.asked === 1", LONG).await;
    page.eval("document.querySelector('#pip').click()").await;
    page.wait_for("window.asked === 2", LONG).await; // for the window, or for its end
    page.eval("video.dispatchEvent(new Event('enterpictureinpicture')); true").await;
    assert_eq!(page.eval("document.querySelector('#pip').getAttribute('aria-pressed')").await, "true");
    goes_on(&page, "#video").await;
    clean(&page, &[]);
}

async fn a_camera_plays_picture_by_picture(engine: Engine) {
    let camera = Camera::builder().audio(Audio::Pcmu).start();
    let gateway = Gateway::on(engine, &paths(&[("yard/gate", &camera.url())]));
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/yard/gate", gateway.url())).await;
    assert_eq!(plays(&page, "#video").await, (640, 360));
    decodes(&page, "yard/gate").await;

    // What is on screen are the camera's own pictures, in their order.
    page.eval(
        "window.codes = []; const next = () => video.requestVideoFrameCallback(() => { \
           const code = readBarcode(video); if (code !== null) codes.push(code); next(); }); next(); true",
    )
    .await;
    page.wait_for("codes.length > 50", LONG).await;
    let codes: Vec<u16> = serde_json::from_value(page.eval("codes").await).unwrap();
    assert!(codes.windows(2).all(|w| w[1].wrapping_sub(w[0]) < 1_000), "out of order: {codes:?}");
    assert!(codes.last().unwrap().wrapping_sub(codes[0]) >= 25, "the picture stands: {codes:?}");
    assert!(camera.frames().by_code(codes[codes.len() - 1]).is_some());

    let heard = "session('yard/gate').stats.audio.bytes > 0";
    page.wait_for(heard, LONG).await;
    press(&page, "i").await;
    says(&page, "dd[data-row=Audio]", "G.711").await;
    says(&page, "#name", "yard/gate").await;
    assert_eq!(page.eval("document.querySelector('#mute').disabled").await, false);
    clean(&page, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_paths_in_two_browsers() {
    let (one, two) = (Camera::builder().start(), Camera::builder().size(320, 240).start());
    let gateway = Gateway::start(&paths(&[("one", &one.url()), ("two", &two.url())]));
    let url = format!("{}/", gateway.url());
    let browsers = (Browser::launch().await, Browser::launch().await);
    let (a, b) = (browsers.0.page(&url).await, browsers.1.page(&url).await);
    for page in [&a, &b] {
        assert_eq!(plays(page, ".tile[data-path=one] video").await, (640, 360));
        assert_eq!(plays(page, ".tile[data-path=two] video").await, (320, 240));
        decodes(page, "one").await;
        decodes(page, "two").await;
    }
    // Each camera is pulled once, whoever watches.
    says(&a, ".tile[data-path=one] .viewers .count", "2").await;
    says(&b, ".tile[data-path=two] .viewers .count", "2").await;
    says(&a, "#summary", "2 live").await;
    assert_eq!((one.plays(), two.plays()), (1, 1));

    // A view with a name filter lets go of what it hides.
    a.eval("const s = document.querySelector('#search'); s.value = 'tw'; s.dispatchEvent(new Event('input')); true")
        .await;
    a.wait_for("document.querySelectorAll('.tile').length === 1", LONG).await;
    says(&b, ".tile[data-path=one] .viewers .count", "1").await;
    // Enter opens the player.
    assert_eq!(a.eval("document.querySelector('.tile[data-path=two] a').pathname").await, "/two");
    clean(&a, &[]);
    clean(&b, &[]);
    drop(browsers.0);
    says(&b, ".tile[data-path=two] .viewers .count", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_another_site_plays() {
    let camera = Camera::builder().start();
    let gateway = Gateway::start(&paths(&[("cam", &camera.url())]));
    let server = StaticServer::start();
    let frame =
        format!("<iframe src='{}/cam?controls=false' width=640 height=360 allow='autoplay'></iframe>", gateway.url());
    server.page("/", format!("<!doctype html><title>site</title>{frame}"));
    let browser = Browser::launch().await;
    // Another name is another site: the frame is out of this page's reach, as in life.
    let page = browser.page(&server.url().replace("127.0.0.1", "localhost")).await;
    until_true(LONG, "a viewer", || gateway.log().iter().any(|l| l.contains("connected"))).await;
    clean(&page, &["favicon"]);

    // From the same site, where a test can look inside.
    let page = browser.page(&format!("{}/healthz", gateway.url())).await;
    watch(&page).await;
    page.eval(
        "const f = document.createElement('iframe'); f.src = '/cam'; f.width = 640; f.height = 360; \
         document.body.replaceChildren(f); true",
    )
    .await;
    page.wait_for("document.querySelector('iframe').contentDocument?.querySelector('#player.compact')", LONG).await;
    page.wait_for(
        "(window.inner = document.querySelector('iframe').contentDocument.querySelector('#video')).videoWidth === 640",
        LONG,
    )
    .await;
    page.eval("window.marked = mark(inner)").await;
    page.wait_for("onward(inner, marked)", LONG).await;
    clean(&page, &["favicon"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_track_that_cannot_be_played_is_said() {
    let camera = Camera::builder().audio(Audio::Aac).start();
    let gateway = Gateway::start(&paths(&[("cam", &camera.url())]));
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/cam", gateway.url())).await;
    assert_eq!(plays(&page, "#video").await, (640, 360));
    page.wait_for("document.querySelector('#mute').disabled", LONG).await;
    let label = page.eval("document.querySelector('#mute').getAttribute('aria-label')").await;
    assert!(label.as_str().unwrap().contains("AAC is not playable over WebRTC yet"), "{label}");
    press(&page, "i").await;
    says(&page, "dd[data-row=Audio]", "AAC, not playable over WebRTC yet").await;
    assert_eq!(session(&page, "cam").await["failure"], serde_json::Value::Null);
    clean(&page, &[]);
}
