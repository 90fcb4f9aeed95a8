//! Other people's WHEP clients, in the browser, on pages of another origin,
//! against the real binary.

mod support;

#[path = "browser/kit.rs"]
#[allow(dead_code)] // the page's own tests use the rest
mod kit;

use kit::{LONG, clean, npm, plays};
use support::browser::Browser;
use support::camera::{Audio, Camera};
use support::gateway::{Engine, Gateway, paths};
use support::static_server::StaticServer;

const SHELL: &str =
    "<!doctype html><title>client</title><link rel=icon href='data:,'><video id=v muted autoplay playsinline></video>";

crate::on_both_engines!(whip_whep_views, eyevinn_webrtc_player_plays);

/// Waits until the gateway has seen a viewer of `path` leave by its own DELETE.
fn leaves(gateway: &Gateway, path: &str) {
    let path = format!("path={path} ");
    let line = gateway.wait_for_line(LONG, |l| l.contains("viewer left") && l.contains(&path));
    assert!(!line.contains("vanished"), "{line}");
}

async fn whip_whep_views(engine: Engine) {
    let camera = Camera::builder().audio(Audio::Opus).start();
    let gateway = Gateway::on(engine, &paths(&[("cam", &camera.url()), ("test", "test")]));
    let server = StaticServer::start();
    server.page("/whep.js", std::fs::read(npm("whip-whep/whep.js")).unwrap());
    server.page("/", SHELL);
    let browser = Browser::launch().await;
    for path in ["cam", "test"] {
        let page = browser.page(&server.url()).await;
        let url = format!("{}/{path}/whep", gateway.url());
        // As its README shows it.
        page.eval(&format!(
            "(async () => {{ const {{ WHEPClient }} = await import('/whep.js'); \
             const pc = window.pc = new RTCPeerConnection({{ bundlePolicy: 'max-bundle' }}); \
             pc.addTransceiver('audio', {{ direction: 'recvonly' }}); pc.addTransceiver('video', {{ direction: 'recvonly' }}); \
             const stream = new MediaStream(); document.querySelector('#v').srcObject = stream; \
             pc.ontrack = ({{ track }}) => stream.addTrack(track); \
             window.whep = new WHEPClient(); await whep.view(pc, '{url}', 'any token'); return true; }})()"
        ))
        .await;
        let size = if path == "cam" { (640, 360) } else { (1280, 720) };
        assert_eq!(plays(&page, "#v").await, size);
        page.wait_for("pc.getReceivers().every((r) => !r.track.muted)", LONG).await;
        page.eval("whep.stop()").await;
        leaves(&gateway, path);
        // Its DELETE may come after its DTLS goodbye, which has ended the session: row 28.
        clean(&page, &["status of 404"]);
        page.close().await;
    }
}

/// A CommonJS module as the npm packages here are, without a bundler. The ad
/// manager is left out: it is made only for players with a VMAP address.
const LOADER: &str = r#"
const source = new Map();
const load = async (name, url) => source.set(name, await (await fetch(url)).text());
const made = new Map([['@eyevinn/csai-manager', { CSAIManager: class {} }]]);
const require = (name) => {
  if (!made.has(name)) {
    const module = { exports: {} };
    made.set(name, module.exports);
    new Function('module', 'exports', 'require', source.get(name))(module, module.exports, require);
    made.set(name, module.exports);
  }
  return made.get(name);
};
"#;

async fn eyevinn_webrtc_player_plays(engine: Engine) {
    let camera = Camera::builder().audio(Audio::Pcmu).start();
    let gateway = Gateway::on(engine, &paths(&[("cam", &camera.url())]));
    let server = StaticServer::start();
    for (name, file) in [
        ("player", "@eyevinn/webrtc-player/dist/main.js"),
        ("events", "events/events.js"),
        ("whpp", "@eyevinn/whpp-client/dist/whpp-client.js"),
    ] {
        server.page(&format!("/{name}.js"), std::fs::read(npm(file)).unwrap());
    }
    server.page("/", SHELL);
    let browser = Browser::launch().await;
    let page = browser.page(&server.url()).await;
    for (times, form) in [(1, "cam/whep"), (2, "whep/cam")] {
        let url = format!("{}/{form}", gateway.url());
        page.eval(&format!(
            "(async () => {{ {LOADER} await load('events', '/events.js'); await load('@eyevinn/whpp-client', '/whpp.js'); \
             await load('player', '/player.js'); const {{ WebRTCPlayer }} = require('player'); \
             window.problems = []; \
             window.player = new WebRTCPlayer({{ video: document.querySelector('#v'), type: 'whep', iceServers: [] }}); \
             for (const e of ['no-media', 'peer-connection-failed', 'initial-connection-failed', 'connect-error']) \
             player.on(e, () => problems.push(e)); \
             await player.load(new URL('{url}')); return true; }})()"
        ))
        .await;
        assert_eq!(plays(&page, "#v").await, (640, 360));
        assert_eq!(page.eval("problems.length").await, 0);
        page.eval("player.unload()").await;
        support::until_true(LONG, "its DELETE", || {
            gateway.log().iter().filter(|l| l.contains("viewer left")).count() == times
        })
        .await;
        page.eval("document.querySelector('#v').srcObject = null").await;
    }
    // Its DELETE may come after its DTLS goodbye, which has ended the session: row 28.
    clean(&page, &["status of 404"]);
}
