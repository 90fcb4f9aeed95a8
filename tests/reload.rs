//! The configuration file changes under a running gateway: whole or not at all,
//! touching only what changed.

mod support;

use support::api::{SOON, assert_smooth, frames, more_frames, reason, status, until_state, view};
use support::camera::{Builder, Camera};
use support::gateway::{Gateway, paths};
use support::whep::{Options, State, Viewer};
use support::{until, until_true};

fn small() -> Builder {
    Camera::builder().size(320, 240).gop_frames(25).prerecorded()
}

fn reloaded(gateway: &Gateway, mark: usize) -> String {
    gateway.wait_for_line_after(mark, SOON, |l| l.contains("configuration reloaded"))
}

#[tokio::test]
async fn only_what_changed_is_touched() {
    let [a, b, c, d, e] = std::array::from_fn(|_| small().start());
    let before = [("stays", a.url()), ("moves", b.url()), ("goes", c.url())];
    let list = before.each_ref().map(|(n, u)| (*n, u.as_str()));
    let gateway = Gateway::start(&paths(&list));
    let stays = view(&gateway, "stays").await;
    let moves = view(&gateway, "moves").await;
    let goes = view(&gateway, "goes").await;
    for viewer in [&stays, &moves, &goes] {
        frames(viewer, 10).await;
    }
    let mark = gateway.mark();
    gateway.write_config(&paths(&[("stays", &a.url()), ("moves", &d.url()), ("comes", &e.url())]));
    let line = reloaded(&gateway, mark);
    for (what, name) in [("added", "comes"), ("removed", "goes"), ("changed", "moves")] {
        assert!(line.contains(what) && line.contains(name) && !line.contains("stays"), "{line}");
    }
    // Removed: its viewers end, with the reason, and nobody can join.
    until_true(SOON, "the end", || goes.state() != State::Connected).await;
    gateway.wait_for_line(SOON, |l| l.contains("path removed"));
    let gone = Viewer::join(gateway.url(), "goes", Options::default()).await.err().expect("joined");
    assert_eq!(gone.status, 404, "{gone}");
    until_true(SOON, "the camera's rest", || c.open_connections() == 0).await;
    // Changed: its viewers stay and see the other camera.
    until_true(SOON, "the other camera's PLAY", || d.plays() == 1).await;
    more_frames(&moves, 30).await;
    assert_eq!(moves.state(), State::Connected);
    assert_smooth(&moves);
    until_true(SOON, "the first camera's rest", || b.open_connections() == 0).await;
    // Added.
    frames(&view(&gateway, "comes").await, 5).await;
    // Untouched.
    more_frames(&stays, 10).await;
    assert_smooth(&stays);
    let indices = stays.with(|log| log.video.indices());
    assert!(indices.windows(2).all(|w| w[1] == w[0] + 1), "{indices:?}");
    assert_eq!((a.plays(), a.connections()), (1, 1));
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_where() {
    let camera = small().start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 5).await;
    let bad =
        format!("paths:\n  other:\n    source: test\n    sourceOnDemnad: yes\n  gate:\n    source: {}\n", camera.url());
    for (text, words) in [
        (bad.as_str(), "sourceOnDemand"),
        ("paths: {gate: [\n", "camgate.yml:"),
        ("paths:\n  gate:\n    source: test\n    maxReaders: many\n", "maxReaders"),
    ] {
        let mark = gateway.mark();
        gateway.write_config(text);
        gateway.wait_for_line_after(mark, SOON, |l| l.contains("not reloaded"));
        let said = gateway.wait_for_line_after(mark, SOON, |l| l.contains(words));
        assert!(gateway.log().iter().skip(mark).any(|l| has_place(l)), "no file and line: {said}");
        more_frames(&viewer, 5).await;
        assert_eq!(status(&gateway, "other").await, serde_json::Value::Null);
    }
    // The file goes, as between two steps of an editor, and comes back right.
    std::fs::remove_file(gateway.directory().join("camgate.yml")).unwrap();
    more_frames(&viewer, 5).await;
    let mark = gateway.mark();
    gateway.write_config(&paths(&[("gate", &camera.url()), ("other", "test")]));
    reloaded(&gateway, mark);
    until_state(&gateway, "other", "live").await;
    more_frames(&viewer, 5).await;
    assert_smooth(&viewer);
    assert_eq!((camera.plays(), viewer.state()), (1, State::Connected));
}

/// `camgate.yml:12:` somewhere in the line.
fn has_place(line: &str) -> bool {
    let Some((_, rest)) = line.split_once("camgate.yml:") else { return false };
    rest.split_once(':').is_some_and(|(n, _)| n.parse::<u32>().is_ok())
}

#[tokio::test]
async fn settings_of_a_path_that_do_not_concern_its_source_restart_nothing() {
    let camera = small().start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 5).await;
    let mark = gateway.mark();
    gateway.write_config(&(paths(&[("gate", &camera.url())]) + "    maxReaders: 1\n"));
    reloaded(&gateway, mark);
    let full =
        until(SOON, "a full path", || async { Viewer::join(gateway.url(), "gate", Options::default()).await.err() });
    let full = full.await;
    assert_eq!(full.status, 503, "{full}");
    assert!(full.header("retry-after").is_some());
    more_frames(&viewer, 5).await;
    assert_smooth(&viewer);
    assert_eq!((camera.plays(), camera.connections()), (1, 1));
    // In place, as `cat >` does it; and to a source that waits for a publisher.
    let file = gateway.directory().join("camgate.yml");
    let mark = gateway.mark();
    std::fs::write(&file, support::gateway::with_loopback("paths:\n  gate:\n    source: publisher\n")).unwrap();
    reloaded(&gateway, mark);
    let now = until_state(&gateway, "gate", "noSource").await;
    assert!(reason(&now).contains("publisher"));
    until_true(SOON, "the camera's rest", || camera.open_connections() == 0).await;
}

#[tokio::test]
async fn another_engine_is_for_those_who_join_from_then_on() {
    let camera = small().start();
    let path = paths(&[("gate", &camera.url())]);
    let on = |engine: &str| format!("webrtcEngine: webrtcbin\n{path}    webrtcEngine: {engine}\n");
    let gateway = Gateway::start(&on("''"));
    let connected = |mark, engine: &str| {
        gateway.wait_for_line_after(mark, SOON, |l| l.contains("viewer connected") && l.contains(engine))
    };
    let mark = gateway.mark();
    let first = view(&gateway, "gate").await;
    connected(mark, "webrtcbin");
    assert!(!gateway.log().join("\n").contains("WebRTC viewers on"), "a port that nobody needs is open");
    let mark = gateway.mark();
    gateway.write_config(&on("shared"));
    reloaded(&gateway, mark);
    gateway.wait_for_line_after(mark, SOON, |l| l.contains("WebRTC viewers on UDP 127.0.0.1:"));
    let second = view(&gateway, "gate").await;
    connected(mark, "shared");
    frames(&second, 10).await;
    let mark = gateway.mark();
    gateway.write_config(&on("webrtcbin"));
    reloaded(&gateway, mark);
    let third = view(&gateway, "gate").await;
    connected(mark, "webrtcbin");
    for viewer in [&first, &second, &third] {
        more_frames(viewer, 10).await;
        assert_eq!(viewer.state(), State::Connected);
        assert_smooth(viewer);
    }
    assert_eq!((camera.plays(), camera.connections()), (1, 1));
    // An open port stays where it is.
    let mark = gateway.mark();
    gateway.write_config(&format!("webrtcLocalUDPAddress: 127.0.0.2:0\n{}", on("shared")));
    gateway.wait_for_line_after(mark, SOON, |l| l.contains("webrtcLocalUDPAddress") && l.contains("next start"));
    more_frames(&second, 5).await;
}

#[tokio::test]
async fn an_engine_whose_port_is_taken_changes_nothing() {
    let camera = small().start();
    let gateway = Gateway::start(&format!("webrtcEngine: webrtcbin\n{}", paths(&[("gate", &camera.url())])));
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mark = gateway.mark();
    let address = taken.local_addr().unwrap();
    let shared = format!(
        "webrtcEngine: shared\nwebrtcLocalUDPAddress: {address}\n{}",
        paths(&[("gate", &camera.url()), ("other", "test")])
    );
    gateway.write_config(&shared);
    let line = gateway.wait_for_line_after(mark, SOON, |l| l.contains("not reloaded"));
    assert!(line.contains("webrtcLocalUDPAddress") && line.contains(&address.to_string()), "{line}");
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 5).await;
    assert!(gateway.log_after(mark).iter().all(|l| !l.contains("\"shared\"")));
    let error = Viewer::join(gateway.url(), "other", Options::default()).await.err().expect("joined");
    assert_eq!(error.status, 404, "{error}");
    // Free again, it is taken with the next change.
    drop(taken);
    gateway.write_config(&(shared + "    maxReaders: 9\n"));
    reloaded(&gateway, mark);
    frames(&view(&gateway, "gate").await, 5).await;
}

#[tokio::test]
async fn the_address_moves_and_viewers_stay() {
    let camera = small().start();
    let yaml = paths(&[("gate", &camera.url())]);
    let gateway = Gateway::start(&yaml);
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 5).await;
    let free = |ip: &str| std::net::TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap();
    let next = free("127.0.0.1");
    let mark = gateway.mark();
    gateway.write_config(&format!("webrtcAddress: {next}\n{yaml}"));
    gateway.wait_for_line_after(mark, SOON, |l| l.contains(&format!("listening on http://{next}")));
    let other = Viewer::join(&format!("http://{next}"), "gate", Options::default()).await.expect("on the new address");
    frames(&other, 5).await;
    let old = gateway.host().to_string();
    until_true(SOON, "the old address to refuse", || std::net::TcpStream::connect(&old).is_err()).await;
    more_frames(&viewer, 10).await;
    assert_smooth(&viewer);
    // One that our own listener has taken, too: nobody else is in the way.
    if support::ipv6() {
        let mark = gateway.mark();
        gateway.write_config(&format!("webrtcAddress: localhost:{}\n{yaml}", next.port()));
        gateway.wait_for_line_after(mark, SOON, |l| l.contains(&format!("listening on http://[::1]:{}", next.port())));
        for host in ["127.0.0.1", "[::1]"] {
            let base = format!("http://{host}:{}", next.port());
            frames(&Viewer::join(&base, "gate", Options::default()).await.expect(host), 5).await;
        }
    }
    // One that is taken changes nothing.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mark = gateway.mark();
    gateway
        .write_config(&format!("webrtcAddress: {}\npaths:\n  other:\n    source: test\n", taken.local_addr().unwrap()));
    gateway.wait_for_line_after(mark, SOON, |l| l.contains("not reloaded") && l.contains("webrtcAddress"));
    more_frames(&viewer, 5).await;
    let again = Viewer::join(&format!("http://{next}"), "gate", Options::default()).await.expect("still there");
    frames(&again, 5).await;
    assert_eq!(camera.plays(), 1);
}
