//! Viewers that have no UDP: ICE-TCP, passive, on the port of `webrtcLocalTCPAddress`.

use super::kit::{PATIENT, SOON, start};
use super::support::browser::Browser;
use super::support::camera::{Audio, Camera};
use super::support::gateway::Gateway;
use super::support::relay::without_candidates;
use super::support::tcp_bridge::{TcpBridge, tcp_candidate};
use super::support::until_true;
use super::support::watcher::Watcher;
use super::support::whep::{Options, Viewer};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn with_tcp(camera: &Camera) -> Gateway {
    start(&format!("{PATIENT}webrtcLocalTCPAddress: 127.0.0.1:0\npaths:\n  gate:\n    source: {}\n", camera.url()))
}

fn frames(viewer: &Viewer) -> usize {
    viewer.with(|log| log.video.complete_frames())
}

/// An SDP without its UDP candidates.
fn without_udp(sdp: &str) -> String {
    let udp = |l: &str| l.starts_with("a=candidate:") && l.to_lowercase().contains(" udp ");
    sdp.lines().filter(|l| !udp(l)).map(|l| format!("{l}\r\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_over_tcp_alone() {
    let camera = Camera::builder().audio(Audio::Opus).prerecorded().start();
    let gateway = with_tcp(&camera);
    let browser = Browser::launch().await;
    let watcher = Watcher::join(&browser, gateway.url(), "gate", without_candidates, without_udp).await;
    // What is cached comes at once, and has no sound.
    watcher.goes_on(50).await;
    watcher.goes_on(50).await;
    let stats = watcher.stats().await;
    for side in ["local", "remote"] {
        assert_eq!(stats[side]["protocol"], "tcp", "{side}: {stats:#}");
    }
    assert!(stats["audio"]["packetsReceived"].as_u64() > Some(20), "{stats:#}");
    assert_eq!(stats["video"]["packetsLost"], 0, "{stats:#}");
}

#[tokio::test]
async fn udp_and_tcp_are_told_only_where_they_are_configured() {
    let camera = Camera::builder().size(320, 180).prerecorded().start();
    for (gateway, tcp) in [(with_tcp(&camera), true), (super::kit::gate(&camera), false)] {
        let session = super::kit::bare(gateway.url(), "gate").await;
        assert_eq!(tcp_candidate(&session.reply.body).is_some(), tcp, "{}", session.reply.body);
        assert!(session.reply.body.to_lowercase().contains(" udp "), "{}", session.reply.body);
        assert_eq!(session.delete().await, 200);
    }
}

#[tokio::test]
async fn a_tcp_viewer_that_stops_reading_waits_alone() {
    // A megabyte a second fills whatever buffers there are.
    let camera = Camera::builder().size(640, 360).bitrate_kbps(8_000).noise(true).gop_frames(25).prerecorded().start();
    let gateway = with_tcp(&camera);
    let bridge = TcpBridge::start();
    let options = || Options { audio: false, receive_buffer: Some(16 << 20), ..Options::default() };
    let slow = Viewer::join(gateway.url(), "gate", bridge.options(options())).await.unwrap();
    let well = Viewer::join(gateway.url(), "gate", options()).await.unwrap();
    until_true(SOON, "pictures for both", || frames(&slow) > 25 && frames(&well) > 25).await;
    let before = frames(&well);
    let memory = gateway.rss_kb();
    bridge.stall(true);
    until_true(SOON, "pictures beside one that does not read", || frames(&well) > before + 250).await;
    // What it does not read is dropped, and not kept.
    let grown = gateway.rss_kb().saturating_sub(memory);
    assert!(grown < 8 * 1024, "{grown} kB more");
    let last = slow.with(|log| log.video.indices().last().copied());
    bridge.stall(false);
    let caught_up =
        || slow.with(|log| log.video.frames.iter().filter(|f| f.key && f.complete && f.index() > last).count());
    until_true(SOON, "key frames for the one that reads again", || caught_up() >= 2).await;
    for (viewer, may_jump) in [(&well, false), (&slow, true)] {
        viewer.with(|log| {
            assert_eq!((log.video.lost, log.video.missing(), log.wire.duplicates()), (0, 0, 0));
            assert!(log.video.frames.iter().all(|f| f.complete));
            let indices = log.video.indices();
            let jumps: Vec<_> = indices.windows(2).filter(|w| w[1] != w[0] + 1).collect();
            assert!(may_jump || jumps.is_empty(), "{jumps:?}");
            // Where it goes on, it goes on with a key frame.
            let after_jump = log.video.frames.iter().skip(1).zip(indices.windows(2)).filter(|(_, w)| w[1] != w[0] + 1);
            assert!(after_jump.clone().all(|(f, _)| f.key), "{jumps:?}");
        });
    }
    assert!(bridge.bytes() > 0);
    let session = slow.location().unwrap().to_string();
    drop((slow, session));
    drop(bridge);
    let line = gateway.wait_for_line(SOON, |l| l.contains("viewer left"));
    let dropped = line.split("dropped=").nth(1).and_then(|n| n.split_whitespace().next()).and_then(|n| n.parse().ok());
    assert!(dropped > Some(0), "nothing was dropped: {line}");
}

#[tokio::test]
async fn strangers_on_the_tcp_port_are_bounded_and_thrown_out() {
    let camera = Camera::builder().size(320, 180).prerecorded().start();
    let gateway = with_tcp(&camera);
    let options = Options { audio: false, receive_buffer: Some(8 << 20), ..Options::default() };
    let bridge = TcpBridge::start();
    let viewer = Viewer::join(gateway.url(), "gate", bridge.options(options)).await.unwrap();
    until_true(SOON, "pictures", || frames(&viewer) > 10).await;
    let session = super::kit::bare(gateway.url(), "gate").await;
    let server = tcp_candidate(&session.reply.body).unwrap();
    assert_eq!(session.delete().await, 200);
    let before = gateway.usage();
    // Silent ones, such that speak HTTP, and such that announce more than they may send.
    let say = [&b""[..], b"GET / HTTP/1.1\r\nHost: camgate\r\n\r\n", &[0xff, 0xff, 1, 2, 3], &[0, 4, 0, 1, 2, 3]];
    let strangers: Vec<_> = (0..200)
        .map(|n| {
            let mut stranger = TcpStream::connect(server).unwrap();
            stranger.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            let _ = stranger.write_all(say[n % say.len()]);
            stranger
        })
        .collect();
    let pictures = frames(&viewer);
    until_true(SOON, "pictures beside strangers", || frames(&viewer) > pictures + 50).await;
    // Nobody hears anything, and each is shown the door.
    let mut open: Vec<_> = strangers.iter().collect();
    until_true(SOON, "the end of all strangers", || {
        open.retain(|stranger| match (&mut &**stranger).read(&mut [0; 100]) {
            Ok(0) => false,
            Ok(n) => panic!("{n} bytes for a stranger"),
            Err(e) => matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        });
        open.is_empty()
    })
    .await;
    until_true(SOON, "the descriptors of before", || gateway.fds() <= before.fds + 2).await;
    assert!(gateway.rss_kb() <= before.rss_kb + 8 * 1024, "{before:?} {:?}", gateway.usage());
    viewer.with(|log| assert_eq!((log.video.lost, log.video.missing()), (0, 0)));
}
