//! Many muxers, and readers that stand still.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::small;
use crate::support::api::SOON;
use crate::support::camera::Camera;
use crate::support::gateway::{Gateway, paths};
use crate::support::hls::{Follower, client, get_with};
use crate::support::playlist;
use crate::support::{until, until_true};

/// Waits until each path has cut so many segments.
async fn cut(client: &reqwest::Client, gateway: &Gateway, names: &[String], segments: u64) {
    for name in names {
        let base = format!("{}/{name}/", gateway.url());
        let index = get_with(client, &format!("{base}index.m3u8")).await;
        assert_eq!(index.status, 200, "{name}: {}", index.text());
        let url = format!("{base}{}", index.text().lines().last().unwrap());
        until(SOON * 3, "enough segments", || async {
            let list = playlist::parse(&get_with(client, &url).await.text()).unwrap();
            // No busier than it has to be: the machine has enough to do.
            tokio::time::sleep(Duration::from_millis(200)).await; // poll
            (list.next() >= segments).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn twenty_paths_hold_no_more_than_their_windows() {
    let camera =
        Camera::builder().size(320, 240).fps(12).gop_frames(12).bitrate_kbps(500).noise(true).prerecorded().start();
    let names: Vec<String> = (0..20).map(|n| format!("gate{n}")).collect();
    let url = camera.url();
    let sources: Vec<_> = names.iter().map(|n| (n.as_str(), url.as_str())).collect();
    let gateway = Gateway::start(&format!("hlsAlwaysRemux: yes\n{}", paths(&sources)));
    let client = client();
    // Seven segments are listed, and as long again they are still served.
    cut(&client, &gateway, &names, 18).await;
    let full = gateway.usage();
    cut(&client, &gateway, &names, 43).await;
    let later = gateway.usage();
    // Another 25 s of 20 × 500 kbit/s are 31 MB, and a tenth of that is more than noise.
    let grown = later.rss_kb.saturating_sub(full.rss_kb);
    eprintln!("20 muxers: {} kB with full windows, {} kB after 25 s more", full.rss_kb, later.rss_kb);
    assert!(grown < 6_000, "{} kB more: {} after {}", grown, later.rss_kb, full.rss_kb);
    // Some are there for a while only, in either count.
    until_true(SOON, "no more threads than before", || gateway.usage().threads <= full.threads).await;
}

#[tokio::test]
async fn a_reader_that_stops_in_a_segment_harms_nobody_and_is_let_go() {
    let camera = small().bitrate_kbps(20_000).noise(true).size(640, 360).start();
    let gateway = Gateway::start(&format!("limits:\n  stallTimeout: 3s\n{}", paths(&[("gate", &camera.url())])));
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(3.0).await;
    let before = gateway.usage();
    let uri = player.now.segments.last().unwrap().uri.clone();
    let mut stuck: Vec<(TcpStream, usize)> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.host()).unwrap();
            write!(stream, "GET /gate/{uri} HTTP/1.1\r\nHost: gate\r\n\r\n").unwrap();
            let mut head = [0; 512];
            stream.read_exact(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 200"), "{head}");
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap();
            (stream, length.parse().unwrap())
        })
        .collect();
    until_true(SOON, "them to be connected", || gateway.fds() >= before.fds + 20).await;
    // The player's parts come as ever; and all who stand still are let go.
    let others = async {
        while gateway.fds() >= before.fds + 20 {
            player.step().await;
        }
    };
    tokio::time::timeout(SOON, others).await.expect("connections that nobody reads stay for ever");
    until_true(SOON, "the last of them", || gateway.fds() <= before.fds + 4).await;
    player.until(player.seconds() + 2.0).await;
    // They had begun in the middle of something.
    for (stream, length) in &mut stuck {
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest).map_err(|e| e.kind());
        assert_ne!(ended, Err(ErrorKind::WouldBlock), "it is open still, after {} bytes", rest.len());
        // The head, with what of the body came along, is at hand already.
        assert!(ended.is_err() || rest.len() + 512 < *length, "{ended:?}, {} of {length} bytes", rest.len());
    }
}
