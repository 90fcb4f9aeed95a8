//! The page's own part of PTZ, where a script plays the server: what is sent and when,
//! what is shown when it goes wrong. Its tools: `ptz_tools`; with a camera: `ptz`.

use super::hands::*;
use super::kit::{LONG, plays, says};
use super::support::browser::{Browser, Page};
use super::support::gateway::Gateway;
use serde_json::{Value, json};

/// Answers /ptz and adds to what the path says of itself; `mock` is the server's state.
const MOCK: &str = r#"
(() => {
  const real = window.fetch;
  const all = { pan: true, tilt: true, zoom: true, absolute: true, relative: true, presets: true, home: true, patrols: false, boxZoom: true, focus: false, iris: false };
  const mock = window.mock = {
    calls: [], status: { ptz: true }, delay: 0, fail: null, can: all, error: null, lasts: 0, ahead: 0,
    position: { pan: 135, tilt: -5, zoom: 4 },
    presets: [{ id: '1', name: 'Front gate', enabled: true }, { id: '2', name: 'Yard', enabled: true }, { id: '3', name: 'Off', enabled: false }],
  };
  mock.of = (what) => mock.calls.filter((call) => call.path.endsWith(what));
  // The server's clock is not the page's.
  const clock = (in_ms = 0) => new Date(Date.now() + mock.ahead + in_ms).toISOString();
  const answer = (status, body) => new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });
  const act = (method, path, body) => {
    if (mock.fail && method !== 'GET') return answer(mock.fail[0], { status: 'error', error: mock.fail[1] });
    if (path === '/ptz/cameras') return answer(200, { itemCount: 1, items: [{ name: 'cam', driver: 'hikvision', model: null, online: !mock.error, error: mock.error, capabilities: mock.can }] });
    if (path.endsWith('/status')) return answer(200, { name: 'cam', online: !mock.error, moving: false, position: mock.position, normalized: null, capabilities: mock.can, error: mock.error, time: clock() });
    if (path.endsWith('/move') && mock.lasts) return answer(200, { status: 'ok', until: clock(mock.lasts) });
    if (path.endsWith('/presets') && method === 'GET') return answer(200, { itemCount: mock.presets.length, items: mock.presets });
    return answer(200, { status: 'ok' });
  };
  window.fetch = async (input, init = {}) => {
    const path = new URL(input, location.href).pathname;
    const method = init.method || 'GET';
    if (!path.startsWith('/ptz/')) {
      const res = await real(input, init);
      if (path !== '/cam' || !res.ok) return res;
      const body = await res.json();
      delete body.ptz;
      return answer(200, { ...body, ...mock.status });
    }
    const body = init.body ? JSON.parse(init.body) : null;
    mock.calls.push({ at: performance.now(), method, path, body, keepalive: Boolean(init.keepalive) });
    if (mock.fail === 'network' && method !== 'GET') throw new TypeError('Failed to fetch');
    if (mock.delay) await new Promise((go) => setTimeout(go, mock.delay));
    return act(method, path, body);
  };
})();
"#;

pub struct Scene {
    pub page: Page,
    _gateway: Gateway,
    _browser: Browser,
}

/// The player of a test picture, 1280×720 in a window of 1280×800, with the mock set up by `script`.
async fn scene(script: &str) -> Scene {
    let gateway = Gateway::start("paths:\n  cam:\n    source: test\n");
    let browser = Browser::launch().await;
    let page = browser.page("about:blank").await;
    page.inner().evaluate_on_new_document(format!("{MOCK}{script}")).await.unwrap();
    page.goto(&format!("{}/cam", gateway.url())).await;
    let scene = Scene { page, _gateway: gateway, _browser: browser };
    plays(&scene.page, "#video").await;
    scene
}

const PAD: &str = "document.querySelector('.ptz:not([hidden]) .disc:not([hidden])')";

pub async fn with_pad(script: &str) -> Scene {
    let scene = scene(script).await;
    scene.page.wait_for(PAD, LONG).await;
    scene
}

/// The bodies of the moves so far, the last time each.
pub async fn moves(page: &Page) -> Vec<Value> {
    serde_json::from_value(page.eval("mock.of('/move').map((c) => c.body)").await).unwrap()
}

/// Waits for so many moves since `mock.calls` was emptied.
pub async fn moved(page: &Page, times: usize) {
    page.wait_for(&format!("mock.of('/move').length >= {times}"), LONG).await;
}

/// Waits for the stop, and that nothing follows it.
pub async fn stopped(page: &Page) {
    page.wait_for("mock.of('/stop').length > 0", LONG).await;
    let quiet = "performance.now() - mock.calls.filter((c) => c.method === 'POST').at(-1).at > 1200";
    page.wait_for(quiet, LONG).await;
    assert_eq!(page.eval("mock.calls.filter((c) => c.method === 'POST').at(-1).path").await, "/ptz/cam/stop");
}

pub async fn forget(page: &Page) {
    page.eval("mock.calls.length = 0, true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn press_hold_and_release() {
    let s = with_pad("").await;
    let page = &s.page;
    let (middle, right) = (place(page, ".disc", 0.5, 0.5).await, place(page, ".disc", 1.2, 0.5).await);

    // In the middle a hand does nothing.
    press_at(page, middle).await;
    assert_eq!(page.eval("mock.of('/move').length").await, 0);
    drag_to(page, right).await;
    moved(page, 4).await;
    let half = json!({"pan": 0.5, "tilt": 0, "zoom": 0});
    let all = moves(page).await;
    assert!(all.len() >= 4 && all.iter().all(|m| *m == half), "half of the speed, renewed: {all:?}");
    let at: Vec<f64> = serde_json::from_value(page.eval("mock.of('/move').map((c) => c.at)").await).unwrap();
    assert!(at.windows(2).all(|w| w[1] - w[0] >= 400.0), "a flood: {at:?}");
    // Beyond the rim it is no faster; up and to the left is up and to the left.
    drag_to(page, place(page, ".disc", -2.0, -2.0).await).await;
    page.wait_for("((v) => v.pan < -0.3 && v.tilt > 0.3)(mock.of('/move').at(-1).body)", LONG).await;
    assert_eq!(page.eval("mock.of('/stop').length").await, 0);
    release_at(page, (5.0, 5.0)).await;
    stopped(page).await;
    assert_eq!(page.eval("mock.of('/stop')[0].keepalive").await, true, "it gets through although the page goes");

    // The speed, and that it is kept.
    forget(page).await;
    page.eval("((s) => { s.value = '100'; s.dispatchEvent(new Event('input')); })(document.querySelector('#ptz-speed')), true").await;
    press_at(page, place(page, ".rocker", 0.5, 0.02).await).await;
    moved(page, 1).await;
    assert!(moves(page).await[0]["zoom"].as_f64().unwrap() > 0.9);
    release_at(page, right).await;
    stopped(page).await;
    page.inner().reload().await.unwrap();
    page.wait_for(PAD, LONG).await;
    assert_eq!(page.eval("document.querySelector('#ptz-speed').value").await, "100");
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_move_is_renewed_by_the_time_that_the_server_gives_it() {
    // Its clock is an hour ahead.
    let s = with_pad("mock.lasts = 5000; mock.ahead = 3600000;").await;
    let page = &s.page;
    // The status tells what its clock says.
    page.wait_for("document.querySelector('.where').textContent.includes('135.0')", LONG).await;
    let right = place(page, ".disc", 0.95, 0.5).await;
    press_at(page, right).await;
    moved(page, 3).await;
    let gaps = "mock.of('/move').slice(1).map((c, i) => c.at - mock.of('/move')[i].at)";
    let long: Vec<f64> = serde_json::from_value(page.eval(gaps).await).unwrap();
    assert!(long.iter().all(|gap| *gap > 1900.0), "two fifths of 5 s: {long:?}");
    release_at(page, right).await;
    stopped(page).await;
    // Too short for the renewal of one who does not know.
    forget(page).await;
    page.eval("mock.lasts = 400, true").await;
    press_at(page, right).await;
    page.wait_for(&format!("{gaps}.some((gap) => gap < 400)"), LONG).await;
    let short: Vec<f64> = serde_json::from_value(page.eval(gaps).await).unwrap();
    assert!(short.iter().all(|gap| *gap > 120.0), "a flood: {short:?}");
    release_at(page, right).await;
    stopped(page).await;
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_steer_while_held() {
    let s = with_pad("").await;
    let page = &s.page;
    key_down(page, "ArrowLeft").await;
    for _ in 0..200 {
        key_repeats(page, "ArrowLeft").await;
    }
    moved(page, 2).await;
    let at: Vec<f64> = serde_json::from_value(page.eval("mock.of('/move').map((c) => c.at)").await).unwrap();
    assert!(at.windows(2).all(|w| w[1] - w[0] >= 400.0), "the repetition floods: {at:?}");
    // Two at once, and each let go of by itself.
    key_down(page, "+").await;
    page.wait_for("((v) => v.pan === -0.5 && v.zoom === 0.5)(mock.of('/move').at(-1).body)", LONG).await;
    key_up(page, "ArrowLeft").await;
    page.wait_for("((v) => v.pan === 0 && v.zoom === 0.5)(mock.of('/move').at(-1).body)", LONG).await;
    key_up(page, "+").await;
    stopped(page).await;
    for (key, field, sign) in
        [("ArrowUp", "tilt", 1.0), ("ArrowDown", "tilt", -1.0), ("ArrowRight", "pan", 1.0), ("-", "zoom", -1.0)]
    {
        forget(page).await;
        key_down(page, key).await;
        moved(page, 1).await;
        assert_eq!(moves(page).await[0][field].as_f64().unwrap(), 0.5 * sign, "{key}");
        key_up(page, key).await;
        stopped(page).await;
    }

    // A slider with the focus has its arrows; one that the mouse has set gives them back.
    forget(page).await;
    page.eval("document.querySelector('#ptz-speed').focus()").await;
    tap_key(page, "ArrowRight").await;
    page.wait_for("document.querySelector('#ptz-speed').value === '55'", LONG).await;
    assert_eq!(page.eval("mock.of('/move').length").await, 0);
    click(page, "#ptz-speed").await;
    page.wait_for("document.activeElement === document.body", LONG).await;
    key_down(page, "ArrowRight").await;
    moved(page, 1).await;
    key_up(page, "ArrowRight").await;
    stopped(page).await;

    // Words are words.
    forget(page).await;
    click(page, "[aria-controls=ptz-presets]").await;
    page.eval("document.querySelector('.save input').focus()").await;
    tap_key(page, "ArrowLeft").await;
    tap_key(page, "-").await;
    assert_eq!(page.eval("mock.of('/move').length").await, 0);

    // By Tab alone: a direction is a button that is held by space; a screen reader's click nudges.
    page.eval("document.querySelector('.disc .up').focus()").await;
    key_down(page, " ").await;
    moved(page, 1).await;
    assert_eq!(
        moves(page).await[0],
        json!({"pan": 0, "tilt": page.eval("mock.of('/move')[0].body.tilt").await, "zoom": 0})
    );
    key_up(page, " ").await;
    stopped(page).await;
    forget(page).await;
    page.eval("document.querySelector('.rocker .in').click()").await;
    moved(page, 1).await;
    stopped(page).await;
    // All of it is in the list of keys.
    page.eval("document.querySelector('#keys').click()").await;
    says(page, "dialog.sheet", "a slider with the focus keeps its arrows").await;
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_takes_the_hand_away_stops_the_camera() {
    let s = with_pad("").await;
    let page = &s.page;
    let right = place(page, ".disc", 0.95, 0.5).await;
    for (what, script) in [
        ("blur", "dispatchEvent(new Event('blur'))"),
        ("offline", "dispatchEvent(new Event('offline'))"),
        ("freeze", "document.dispatchEvent(new Event('freeze'))"),
        (
            "hidden",
            "Object.defineProperty(document, 'hidden', { get: () => true, configurable: true }); \
             document.dispatchEvent(new Event('visibilitychange')); delete document.hidden",
        ),
        ("lost capture", "document.querySelector('.disc').releasePointerCapture(window.pointer)"),
        ("hidden pad", "document.querySelector('#ptz').click(); document.querySelector('#ptz').click()"),
    ] {
        forget(page).await;
        page.eval("document.querySelector('.disc').addEventListener('pointerdown', (e) => { window.pointer = e.pointerId; }, { once: true }), true").await;
        press_at(page, right).await;
        drag_to(page, place(page, ".disc", 0.94, 0.5).await).await;
        moved(page, 1).await;
        page.eval(&format!("{{ {script}; }} true")).await;
        if what == "lost capture" {
            // Told with the next move.
            drag_to(page, place(page, ".disc", 0.9, 0.5).await).await;
        }
        page.wait_for(&format!("mock.of('/stop').length > 0 && {what:?}"), LONG).await;
        // Still pressed, it does not go on by itself.
        drag_to(page, place(page, ".disc", 0.95, 0.6).await).await;
        stopped(page).await;
        assert_eq!(page.eval("document.querySelector('.disc').classList.contains('on')").await, false, "{what}");
        release_at(page, right).await;
    }
    // Keys as well.
    forget(page).await;
    key_down(page, "ArrowUp").await;
    moved(page, 1).await;
    page.eval("dispatchEvent(new Event('blur'))").await;
    key_repeats(page, "ArrowUp").await;
    stopped(page).await;
    // Fingers: one that the system takes away, and one that lets go.
    with_touch(page).await;
    for taken in [true, false] {
        forget(page).await;
        finger_down(page, right).await;
        finger_to(page, place(page, ".disc", 0.9, 0.5).await).await;
        moved(page, 2).await;
        if taken {
            finger_taken(page).await
        } else {
            finger_up(page).await
        }
        stopped(page).await;
    }
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_said_quietly() {
    let s = with_pad("").await;
    let page = &s.page;
    let right = place(page, ".disc", 0.95, 0.5).await;
    // The network goes while it is held, and comes back.
    press_at(page, right).await;
    moved(page, 1).await;
    page.eval("mock.fail = 'network', true").await;
    says(page, ".note", "No connection to camgate. The camera stops by itself.").await;
    page.eval("mock.fail = null, true").await;
    page.wait_for("document.querySelector('.note').textContent === ''", LONG).await;
    release_at(page, right).await;
    stopped(page).await;

    // The camera's own words; it is asked again, but not faster.
    forget(page).await;
    page.eval("mock.fail = [502, 'the camera says: deviceBusy'], true").await;
    press_at(page, right).await;
    says(page, ".note", "The camera says: deviceBusy.").await;
    moved(page, 3).await;
    let at: Vec<f64> = serde_json::from_value(page.eval("mock.of('/move').map((c) => c.at)").await).unwrap();
    assert!(at.windows(2).all(|w| w[1] - w[0] >= 400.0), "a flood: {at:?}");
    page.eval("mock.fail = null, true").await;
    release_at(page, right).await;
    stopped(page).await;

    // What is not allowed is asked once.
    forget(page).await;
    page.eval("mock.fail = [403, 'the action \"ptz\" is not permitted'], true").await;
    press_at(page, right).await;
    says(page, ".note", "is not permitted.").await;
    page.wait_for("performance.now() - mock.of('/move')[0].at > 1500", LONG).await;
    assert_eq!(page.eval("mock.of('/move').length").await, 1);
    release_at(page, right).await;

    // No answer for a while; the stop does not wait for it.
    forget(page).await;
    page.eval("mock.fail = null, mock.delay = 3000, true").await;
    press_at(page, right).await;
    says(page, ".note", "No answer yet. The camera stops by itself.").await;
    release_at(page, right).await;
    page.wait_for("mock.of('/stop').length > 0", LONG).await;
    page.eval("mock.delay = 0, true").await;
    // It came beside the move, so there is another after it.
    page.wait_for("mock.of('/stop').length >= 2", LONG).await;
    stopped(page).await;
    page.wait_for("document.querySelector('.note').textContent === ''", LONG).await;
    assert_eq!(page.eval("mock.of('/move').length").await, 1);
    // A camera that is away says so by itself.
    page.eval("mock.error = 'the camera does not answer', true").await;
    press_at(page, right).await;
    release_at(page, right).await;
    says(page, ".note", "The camera does not answer.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_steer_is_told_what_to_change() {
    let s = scene("mock.status = { ptz: false, ptzRefused: 'the action \"ptz\" is not permitted to this client: add \"- action: ptz\" to the permissions' };").await;
    let page = &s.page;
    page.wait_for("!document.querySelector('#ptz').hidden", LONG).await;
    page.wait_for("document.querySelector('.ptz') && document.querySelector('.why h3')", LONG).await;
    assert_eq!(page.eval("document.querySelector('.ptz').hidden").await, true, "who only watches is left alone");
    key_down(page, "ArrowLeft").await;
    key_up(page, "ArrowLeft").await;
    click(page, "#ptz").await;
    says(page, ".ptz:not([hidden]) .why", "add \"- action: ptz\" to the permissions.").await;
    assert_eq!(page.eval("document.querySelector('.why code').textContent").await, "- action: ptz");
    assert_eq!(
        page.eval("document.querySelector('.disc').hidden && document.querySelector('.ptz-tools').hidden").await,
        true
    );
    assert_eq!(page.eval("mock.calls.length").await, 0, "nothing is asked for in vain");
    // Now he may.
    page.eval("mock.status = { ptz: true }, true").await;
    page.wait_for(PAD, LONG).await;
    // And a path without PTZ has none of it.
    page.eval("mock.status = {}, true").await;
    page.wait_for("document.querySelector('#ptz').hidden && !document.querySelector('.ptz')", LONG).await;
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_camera_can_do_is_shown() {
    let s = scene("mock.can = { zoom: true, presets: true };").await;
    let page = &s.page;
    page.wait_for("document.querySelector('.ptz:not([hidden]) .rocker:not([hidden])')", LONG).await;
    let shown = "['.disc', '.rocker', '.speed', '.ptz-tools :nth-child(1)', '.ptz-tools :nth-child(2)', '.ptz-tools :nth-child(3)'].map((s) => !document.querySelector(s).hidden)";
    assert_eq!(page.eval(shown).await, json!([false, true, true, false, false, true]));
    key_down(page, "ArrowLeft").await;
    key_down(page, "+").await;
    moved(page, 1).await;
    assert_eq!(moves(page).await[0], json!({"pan": 0, "tilt": 0, "zoom": 0.5}));
    key_up(page, "+").await;
    key_up(page, "ArrowLeft").await;
    stopped(page).await;
    // Hidden is hidden the next time, too; the keys steer all the same.
    tap_key(page, "c").await;
    page.eval("dispatchEvent(new KeyboardEvent('keydown', { key: 'c', code: 'KeyC', bubbles: true })), true").await;
    page.eval("if (!document.querySelector('.ptz').hidden) document.querySelector('#ptz').click(); true").await;
    page.wait_for("document.querySelector('.ptz').hidden", LONG).await;
    page.inner().reload().await.unwrap();
    page.wait_for("document.querySelector('.ptz') && mock.of('/cameras').length > 0", LONG).await;
    page.wait_for("document.querySelector('.ptz').hidden && !document.querySelector('.rocker').hidden", LONG).await;
    key_down(page, "-").await;
    moved(page, 1).await;
    key_up(page, "-").await;
    stopped(page).await;
    assert!(page.errors().is_empty(), "{:?}", page.errors());
}
