//! Gateway, browser, coturn and the file server as processes.

use super::SOON;
use super::support::{self, barcode, wait_true};

#[test]
fn a_gateway_is_started_watched_and_ended() {
    use super::support::gateway::{Gateway, paths, with_loopback};
    let yaml = with_loopback(&(String::from("logLevel: info\n") + &paths(&[("a", "it's")])));
    assert!(yaml.starts_with("webrtcAddress: 127.0.0.1:0\n"));
    assert_eq!(yaml.matches("logLevel").count(), 1);
    assert!(yaml.contains("source: 'it''s'"));
    let fake = |script: &str| {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", script]);
        Gateway::run(command, tempfile::tempdir().unwrap())
    };
    let mut gateway = fake(
        "trap 'echo bye >&2; exit 7' TERM; \
         echo 'INFO listening on http://127.0.0.1:4711' >&2; while :; do sleep 0.05; done",
    );
    assert_eq!(gateway.url(), "http://127.0.0.1:4711");
    assert_eq!(gateway.threads(), 1);
    assert!(gateway.fds() >= 3 && gateway.rss_kb() > 0);
    let mark = gateway.mark();
    gateway.sigterm();
    gateway.wait_for_line_after(mark, SOON, |line| line == "bye");
    assert_eq!(gateway.wait_exit(SOON).code(), Some(7));
    let pid = fake("echo listening on http://127.0.0.1:1/ >&2; exec sleep 100").pid();
    assert!(!support::proc::alive(pid));
}

#[tokio::test]
async fn a_browser_evaluates_captures_and_ends() {
    use super::support::browser::Browser;
    use super::support::static_server::StaticServer;
    let server = StaticServer::start();
    server.page(
        "/",
        "<!doctype html><title>hello</title><script>console.log('one', 2); \
         setTimeout(() => { window.later = 5; null.x }, 100)</script>",
    );
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/", server.url())).await;
    assert_eq!(page.eval("document.title").await, "hello");
    assert_eq!(page.eval("Promise.resolve({a: [1]})").await["a"][0], 1);
    assert_eq!(page.wait_for("window.later", SOON).await, 5);
    assert!(page.try_eval("Promise.reject(new Error('no'))").await.unwrap_err().contains("no"));
    support::until_true(SOON, "messages", || page.errors().len() == 1).await;
    let messages = page.messages();
    assert!(messages.iter().any(|m| m == "log: one 2"), "{messages:?}");
    assert!(page.errors()[0].contains("TypeError"), "{messages:?}");
    let second = browser.page("about:blank").await;
    let file = tempfile::NamedTempFile::with_suffix(".png").unwrap();
    second.screenshot(file.path()).await;
    assert!(std::fs::read(file.path()).unwrap().starts_with(b"\x89PNG"));
    // 127.0.0.1 is a secure context and a candidate.
    let candidates = second.eval(
        "(async () => { const pc = new RTCPeerConnection(); pc.createDataChannel('x'); \
         await pc.setLocalDescription(); \
         while (pc.iceGatheringState !== 'complete') await new Promise(r => setTimeout(r, 10)); \
         return pc.localDescription.sdp })()",
    );
    let candidates = candidates.await;
    assert!(candidates.as_str().unwrap().contains(" 127.0.0.1 "), "{candidates}");
    let pid = browser.pid();
    let family = support::proc::family(pid);
    assert!(family.len() > 3);
    drop(browser);
    wait_true(SOON, "the end of all processes", || !family.iter().any(|pid| support::proc::alive(*pid)));
}

#[tokio::test]
async fn the_browser_reads_the_bar_code() {
    use super::support::browser::Browser;
    let browser = Browser::launch().await;
    let page = browser.page("about:blank").await;
    page.eval(barcode::JS).await;
    // A video whose picture is drawn by hand: the code of 4711.
    let code = barcode::bits(4711);
    let js = format!(
        "(async () => {{ const c = document.createElement('canvas'); c.width = 640; c.height = 360; \
         const g = c.getContext('2d'); window.paint = code => {{ for (let b = 0; b < 20; b++) {{ \
         g.fillStyle = code >> (19 - b) & 1 ? '#fff' : '#000'; g.fillRect(b * 32, 0, 32, 30); }} }}; \
         paint({code}); const v = document.createElement('video'); v.muted = true; \
         v.srcObject = c.captureStream(25); setInterval(() => paint({code}), 40); \
         window.video = v; await v.play(); return true }})()"
    );
    page.eval(&js).await;
    let read = page.wait_for("readBarcode(video)", SOON).await;
    assert_eq!(read, 4711);
}

#[tokio::test]
async fn coturn_relays_with_fixed_and_with_timed_credentials() {
    use super::support::browser::Browser;
    use super::support::turn::{self, Turn};
    let browser = Browser::launch().await;
    let page = browser.page("about:blank").await;
    for timed in [false, true] {
        let (server, user, password) = match timed {
            false => (Turn::start(), turn::USER.0.to_string(), turn::USER.1.to_string()),
            true => {
                let (user, password) = turn::credentials("browser");
                (Turn::start_with_secret(), user, password)
            }
        };
        let js = format!(
            "(async () => {{ const pc = new RTCPeerConnection({{ iceTransportPolicy: 'relay', \
             iceServers: [{{ urls: '{}', username: '{user}', credential: '{password}' }}] }}); \
             pc.createDataChannel('x'); await pc.setLocalDescription(); \
             while (pc.iceGatheringState !== 'complete') await new Promise(r => setTimeout(r, 10)); \
             return pc.localDescription.sdp }})()",
            server.url()
        );
        let sdp = page.eval(&js).await;
        assert!(sdp.as_str().unwrap().contains(" typ relay "), "{}", server.log());
        wait_true(SOON, "an allocation", || server.allocations() > 0);
    }
}
