//! The page's tools for steering, where a script plays the server (as in `ptz_page`): gamepad,
//! aiming at the picture, lens and patrols; and the page where there is nothing to steer with.

use super::hands::*;
use super::kit::{LONG, Shots, clean, plays, says};
use super::ptz_page::{forget, moved, stopped, with_pad};
use super::support::browser::{Browser, Page};
use super::support::gateway::Gateway;
use super::support::ptz_hikvision::Hikvision;
use super::support::until_true;
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_gamepad_steers() {
    let pads = "window.asked = 0; window.stick = { connected: true, mapping: 'standard', index: 0, axes: [0, 0, 0, 0], \
        buttons: Array.from({ length: 17 }, () => ({ value: 0, pressed: false })) }; window.plugged = false; \
        navigator.getGamepads = () => { asked += 1; return plugged ? [null, stick] : []; };";
    let s = with_pad(pads).await;
    let page = &s.page;
    // Asked once whether there is one, then left alone.
    let before = page.eval("asked").await;
    page.eval("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(go)))).then(() => true)").await;
    assert_eq!(page.eval("asked").await, before);
    // What is pressed when it is plugged in is not meant for us.
    page.eval("plugged = true, stick.axes[0] = 1, dispatchEvent(new Event('gamepadconnected')), true").await;
    page.wait_for("asked > 10", LONG).await;
    assert_eq!(page.eval("mock.of('/move').length").await, 0);
    page.eval("stick.axes[0] = 0, window.then = asked, true").await;
    page.wait_for("asked > then + 3", LONG).await;
    page.eval("stick.axes[1] = 1, stick.buttons[7].value = 1, true").await;
    page.wait_for(
        "mock.of('/move').length > 0 && ((v) => v.tilt === -0.5 && v.zoom === 0.5)(mock.of('/move').at(-1).body)",
        LONG,
    )
    .await;
    // The page draws nothing any more, as behind another window: nobody knows where the stick is.
    page.eval("window.draw = requestAnimationFrame, window.waiting = [], window.requestAnimationFrame = (f) => waiting.push(f), true").await;
    stopped(page).await;
    // It draws again, and the stick is still there.
    forget(page).await;
    page.eval("window.requestAnimationFrame = draw, waiting.forEach((f) => draw(f)), true").await;
    moved(page, 1).await;
    // Unplugged in the middle.
    page.eval("plugged = false, true").await;
    stopped(page).await;
    page.eval("window.then = asked, true").await;
    page.eval("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(go)))).then(() => true)").await;
    assert_eq!(page.eval("asked - then <= 1").await, true, "nobody is asked any more");
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

/// Makes the window so large.
async fn window(page: &Page, width: i64, height: i64, phone: bool) {
    page.inner().execute(SetDeviceMetricsOverrideParams::new(width, height, 1.0, phone)).await.unwrap();
    page.wait_for(&format!("innerWidth === {width} && innerHeight === {height}"), LONG).await;
}

/// Turns aiming on.
async fn aims(page: &Page) {
    page.eval(
        "if (document.querySelector('.aim').hidden) document.querySelector('.ptz-tools [aria-pressed]').click(); true",
    )
    .await;
    page.wait_for("!document.querySelector('.aim').hidden", LONG).await;
}

/// Where the picture is: left, top, width, height. It is 16:9; by the same rule as the
/// browser's, but worked out here.
async fn picture(page: &Page) -> (f64, f64, f64, f64) {
    let rect = page.eval(
        "((b, top) => { const w = Math.min(b.width, b.height * 16 / 9), h = w * 9 / 16; \
         return [b.left + (b.width - w) / 2, top ? b.top : b.top + (b.height - h) / 2, w, h]; }) \
         (video.getBoundingClientRect(), innerWidth <= 760)",
    );
    serde_json::from_value(rect.await).unwrap()
}

fn near(value: &Value, want: &[f64]) -> bool {
    let got: Vec<f64> = ["x", "y", "width", "height"].iter().filter_map(|k| value[*k].as_f64()).collect();
    got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (a - b).abs() < 0.01)
}

fn last(what: &str) -> String {
    format!("mock.of({what:?}).at(-1)?.body")
}

#[tokio::test(flavor = "multi_thread")]
async fn aiming_knows_where_the_picture_is() {
    let s = with_pad("window.ups = []; addEventListener('pointerup', (e) => ups.push(e.timeStamp), true);").await;
    let page = &s.page;
    for (width, height) in [(1280, 800), (390, 844), (900, 420)] {
        window(page, width, height, false).await;
        aims(page).await;
        let (left, top, wide, high) = picture(page).await;
        let at = |x: f64, y: f64| (left + x * wide, top + y * high);
        forget(page).await;
        press_at(page, at(0.1, 0.2)).await;
        drag_to(page, at(0.2, 0.3)).await;
        drag_to(page, at(0.35, 0.6)).await;
        page.wait_for(&format!("{width} && !document.querySelector('.aim-box').hidden"), LONG).await;
        release_at(page, at(0.35, 0.6)).await;
        let sent = page.wait_for(&last("/boxzoom"), LONG).await;
        assert!(near(&sent, &[0.1, 0.2, 0.25, 0.4]), "{width}: {sent}");
        // A click centres; the second half of a double click is not another place.
        for _ in 0..2 {
            press_at(page, at(0.25, 0.25)).await;
            release_at(page, at(0.25, 0.25)).await;
        }
        let sent = page.wait_for(&last("/center"), LONG).await;
        assert!(near(&sent, &[0.25, 0.25]), "{width}: {sent}");
        // Two clicks, where this machine was too slow for one double click.
        let clicks = page.eval("ups.at(-1) - ups.at(-2) < 400 ? 1 : 2").await.as_u64().unwrap();
        page.wait_for(&format!("mock.of('/center').length === {clicks}"), LONG).await;
        // A click elsewhere is another place, however soon.
        press_at(page, at(0.5, 0.1)).await;
        release_at(page, at(0.5, 0.1)).await;
        page.wait_for(&format!("mock.of('/center').length === {}", clicks + 1), LONG).await;
        assert_eq!(page.eval("document.fullscreenElement").await, Value::Null);
        // Escape lets go of a box.
        press_at(page, at(0.1, 0.1)).await;
        drag_to(page, at(0.3, 0.3)).await;
        page.eval(
            "dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', code: 'Escape', bubbles: true })), true",
        )
        .await;
        release_at(page, at(0.3, 0.3)).await;
        let all = page.eval("mock.of('/boxzoom').length + mock.of('/center').length").await;
        assert_eq!(all, clicks + 2, "{width}");
        let wide = page.eval("document.documentElement.scrollWidth <= innerWidth").await;
        assert_eq!(wide, true, "wider than {width} px");
    }
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finger_draws_the_box_on_a_phone() {
    let s = with_pad("").await;
    let page = &s.page;
    with_touch(page).await;
    for (width, height) in [(390, 844), (844, 390)] {
        window(page, width, height, true).await;
        aims(page).await;
        let (left, top, wide, high) = picture(page).await;
        let at = |x: f64, y: f64| (left + x * wide, top + y * high);
        forget(page).await;
        finger_down(page, at(0.1, 0.2)).await;
        for step in 1..=5 {
            finger_to(page, at(0.1 + 0.05 * f64::from(step), 0.2 + 0.08 * f64::from(step))).await;
        }
        page.wait_for(&format!("{width} && !document.querySelector('.aim-box').hidden"), LONG).await;
        finger_up(page).await;
        let sent = page.wait_for(&last("/boxzoom"), LONG).await;
        assert!(near(&sent, &[0.1, 0.2, 0.25, 0.4]), "{width}: {sent}");
        finger_down(page, at(0.25, 0.5)).await;
        finger_up(page).await;
        let sent = page.wait_for(&last("/center"), LONG).await;
        assert!(near(&sent, &[0.25, 0.5]), "{width}: {sent}");
        // The page did not scroll or zoom under it.
        assert_eq!(page.eval("[scrollX, scrollY, visualViewport.scale]").await, json!([0, 0, 1]));
    }
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn lens_and_patrols_where_the_camera_has_them() {
    let s = with_pad("mock.can = { ...mock.can, focus: true, iris: true, patrols: true };").await;
    let page = &s.page;
    click(page, "[aria-controls=ptz-more]").await;
    page.wait_for("!document.querySelector('.more').hidden", LONG).await;
    let more = "[...document.querySelectorAll('.more .row')].map((row) => !row.hidden)";
    assert_eq!(page.eval(more).await, json!([true, true, true]));
    let shots = Shots::new();
    for (width, height) in [(390, 844), (900, 420), (1280, 800)] {
        window(page, width, height, false).await;
        let inside = "((p, w) => p.left >= 0 && p.top >= 0 && p.right <= innerWidth && p.bottom <= innerHeight && w <= innerWidth) \
                      (document.querySelector('.ptz').getBoundingClientRect(), document.documentElement.scrollWidth)";
        assert_eq!(page.eval(inside).await, true, "the panel is cut off at {width}");
        shots.take(page, &format!("ptz-lens-{width}")).await;
    }
    for (button, call, sign) in
        [("Focus farther", "/focus", 1.0), ("Focus nearer", "/focus", -1.0), ("Close the iris", "/iris", -1.0)]
    {
        let selector = format!("[aria-label='{button}']");
        let stops = format!("mock.of({call:?}).filter((c) => c.body.speed === 0)");
        // By mouse: held, renewed, let go.
        forget(page).await;
        press_at(page, place(page, &selector, 0.5, 0.5).await).await;
        page.wait_for(&format!("mock.of({call:?}).length >= 2"), LONG).await;
        let bodies = page.eval(&format!("mock.of({call:?}).map((c) => c.body)")).await;
        let speeds: Vec<f64> = bodies.as_array().unwrap().iter().map(|b| b["speed"].as_f64().unwrap()).collect();
        assert!(speeds.iter().all(|speed| *speed == 0.5 * sign), "{button}: {bodies}");
        release_at(page, (5.0, 5.0)).await;
        page.wait_for(&format!("{stops}.length > 0"), LONG).await;
        assert_eq!(page.eval(&format!("{stops}[0].keepalive")).await, true);
        // By keyboard, and whatever takes the hand away.
        forget(page).await;
        page.eval(&format!("document.querySelector({selector:?}).focus()")).await;
        key_down(page, " ").await;
        page.wait_for(&format!("mock.of({call:?}).length >= 1"), LONG).await;
        page.eval("dispatchEvent(new Event('blur'))").await;
        page.wait_for(&format!("{stops}.length > 0"), LONG).await;
        key_up(page, " ").await;
    }
    assert_eq!(page.eval("mock.of('/move').length").await, 0, "the camera itself stands still");
    page.eval("mock.fail = [409, 'the camera\\u2019s focus cannot be moved'], true").await;
    press_at(page, place(page, "[aria-label='Focus nearer']", 0.5, 0.5).await).await;
    says(page, ".note", "focus cannot be moved.").await;
    release_at(page, (5.0, 5.0)).await;
    page.eval("mock.fail = null, document.querySelector('#ptz-patrol').value = 'tour/1', true").await;
    click(page, "[aria-label='Start the patrol']").await;
    says(page, ".note", "Started patrol tour/1").await;
    click(page, "[aria-label='Stop the patrol']").await;
    says(page, ".note", "Stopped patrol tour/1").await;
    let paths = page.eval("mock.calls.filter((c) => c.path.includes('/patrol/')).map((c) => c.path)").await;
    assert_eq!(paths, json!(["/ptz/cam/patrol/tour%2F1/start", "/ptz/cam/patrol/tour%2F1/stop"]));
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn presets_that_are_not_set_are_not_listed() {
    let s = with_pad("").await;
    let page = &s.page;
    assert_eq!(
        page.eval("document.querySelector('[aria-controls=ptz-more]').hidden").await,
        true,
        "no lens, no patrols"
    );
    click(page, "[aria-controls=ptz-presets]").await;
    says(page, ".preset-list", "Yard").await;
    let names = page.eval("[...document.querySelectorAll('.preset-list .name')].map((n) => n.textContent)").await;
    assert_eq!(names, json!(["Front gate", "Yard"]));
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_on_the_port_of_hls_says_nothing_of_ptz() {
    let camera = Hikvision::start();
    let gateway = Gateway::start(&format!(
        "hlsAddress: 127.0.0.1:0\npaths:\n  cam:\n    source: test\n    ptz: {{driver: hikvision, url: '{}'}}\n",
        camera.url()
    ));
    let line = gateway.wait_for_line(LONG, |l| l.contains("HLS alone is served on http://"));
    let url = line[line.find("http://").unwrap()..].split_whitespace().next().unwrap().to_owned();
    let browser = Browser::launch().await;
    // There it would be.
    let page = browser.page(&format!("{}/cam", gateway.url())).await;
    page.wait_for("!document.querySelector('#ptz').hidden", LONG).await;
    until_true(LONG, "the camera to be asked", || camera.server().mark() > 0).await;
    page.goto(&format!("{url}/cam")).await;
    plays(&page, "#video").await;
    let status = "fetch('/cam', { headers: { Accept: 'application/json' } }).then((r) => r.json())";
    let status = page.eval(status).await;
    assert!(status["ptz"] != true && status["ptzRefused"].is_null(), "{status}");
    assert_eq!(page.eval("document.querySelector('#ptz').hidden && !document.querySelector('.ptz')").await, true);
    clean(&page, &["favicon", "/whep"]);
}
