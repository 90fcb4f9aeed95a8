//! Frame rates and GOPs that are not even, and that change.

use std::time::Duration;

use super::{assert_even, gateway, live, pictures, side_by_side, small};
use crate::support::api::SOON;
use crate::support::camera::Camera;
use crate::support::gateway::{Gateway, paths};
use crate::support::hls::{Follower, decode, get, get_with, probe};

/// The frame rate that the multivariant playlist tells now.
async fn told(gateway: &Gateway) -> f64 {
    let index = get(&format!("{}/gate/index.m3u8", gateway.url())).await.text();
    let rate = index.split("FRAME-RATE=").nth(1).unwrap_or_else(|| panic!("no FRAME-RATE: {index}"));
    rate.split(['\n', ',']).next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn ntsc() {
    let camera = Camera::builder().size(160, 120).ntsc().gop_frames(30).prerecorded().even().start();
    let gateway = gateway(&camera, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    assert!(player.index.contains("FRAME-RATE=29.970"), "{}", player.index);
    // Six frames are 200.2 ms, and what their slew may add.
    assert_eq!(player.now.part_target, Some(201_210_000));
    assert_eq!(player.now.target, 1, "a GOP of 1.001 s rounds to a second");
    player.until(12.0).await;
    let (packets, complaints) = probe(&player.bytes);
    assert_eq!(complaints, "");
    assert_even(&pictures(&packets), 1.001 / 30.0);
    assert_eq!(player.discontinuities, 0);
}

#[tokio::test]
async fn gops_of_all_lengths_in_turn() {
    // 0.4 to 6 s.
    let camera =
        Camera::builder().size(160, 120).fps(25).gop_turns(&[10, 150, 25, 75, 12]).prerecorded().even().start();
    let gateway = gateway(&camera, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(25.0).await;
    assert_eq!(player.discontinuities, 0);
    let (packets, complaints) = probe(&player.bytes);
    assert_eq!(complaints, "");
    let times = pictures(&packets);
    assert_even(&times, 0.04);
    let (frames, complaints) = decode(&player.bytes);
    assert_eq!((frames, complaints.as_str()), (times.len(), ""));
    // Segments find back to the key frames, whatever had to be cut.
    let keys = player.fetched.iter().filter(|f| f.2).count();
    assert!(keys >= 8, "{keys} parts begin with a key frame: {:?}", player.fetched);
}

/// Changes the rate under a player, which goes on; gives back the player.
async fn changed(variant: &str, from: u32, to: u32, moves: usize) {
    let camera = Camera::builder().size(160, 120).fps(from).gop_frames(from).prerecorded().even().start();
    let gateway = gateway(&camera, &format!("hlsVariant: {variant}"));
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(4.0).await;
    let old = player.media_url("");
    camera.set_rate(to);
    let change = async {
        while player.discontinuities == 0 {
            player.step().await;
        }
    };
    tokio::time::timeout(SOON * 2, change).await.expect("the new rate was not noticed");
    player.follow(Duration::from_secs(6)).await;
    let what = format!("{variant}, {from} to {to}");
    assert_eq!((player.moves, player.discontinuities), (moves, 1), "{what}");
    assert!((told(&gateway).await - f64::from(to)).abs() < 0.02, "{what}: {}", told(&gateway).await);
    let (packets, complaints) = probe(&player.bytes);
    assert_eq!(complaints, "", "{what}");
    let times = pictures(&packets);
    assert_even(&times[times.len() - 2 * to as usize..], 1.0 / f64::from(to));
    if moves > 0 {
        // Who asks by the old name, as hls.js goes on to do, is told the new one.
        let next = player.now.next();
        let stays = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        for (more, kept) in
            [("", ""), (&*format!("&_HLS_msn={next}&_HLS_part=0"), "&_HLS_part=0"), ("&_HLS_msn=99999", "")]
        {
            let reply = get_with(&stays, &format!("{old}{more}")).await;
            let to = reply.header("location");
            assert_eq!((reply.status, reply.header("cache-control")), (302, "no-cache"), "{reply:?}");
            assert_eq!(reply.header("access-control-allow-origin"), "*");
            assert!(to.contains("-1.m3u8?reader=") && to.ends_with(kept) && !to.contains("99999"), "{more}: {to}");
            assert_eq!(get(&player.url(to)).await.status, 200, "{to}");
        }
    }
}

/// In the same playlist, in another one where the parts do not fit, and in whole segments.
#[test]
fn another_rate_goes_on() {
    let cases = [("lowLatency", 25, 10, 0), ("lowLatency", 15, 30, 0), ("lowLatency", 25, 12, 1), ("fmp4", 25, 12, 0)];
    side_by_side(cases, |(variant, from, to, moves)| changed(variant, from, to, moves));
}

#[tokio::test]
async fn another_picture_has_another_map() {
    let mut camera = small().even().start();
    let gateway = gateway(&camera, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(3.0).await;
    camera.set_resolution(160, 120);
    let change = async {
        while player.discontinuities == 0 {
            player.step().await;
        }
    };
    tokio::time::timeout(SOON, change).await.expect("no discontinuity");
    player.follow(Duration::from_secs(3)).await;
    assert_eq!((player.moves, player.discontinuities), (0, 1));
    let mut maps: Vec<_> = player.now.numbered().filter_map(|(_, s)| s.map.clone()).collect();
    maps.dedup();
    assert_eq!(maps.len(), 2, "{:#?}", player.now);
    let index = get(&format!("{}/gate/index.m3u8", gateway.url())).await.text();
    assert!(index.contains("RESOLUTION=160x120"), "{index}");
}

#[tokio::test]
async fn b_frames_at_four_frames_a_second() {
    let camera = live().even().fps(4).gop_frames(8).b_frames(2).start();
    // The encoder is most of a second late, which the camera's clock would tell.
    let gateway =
        Gateway::start(&format!("pathDefaults:\n  useAbsoluteTimestamp: no\n{}", paths(&[("gate", &camera.url())])));
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(12.0).await;
    assert_eq!(player.discontinuities, 0);
    let (packets, complaints) = probe(&player.bytes);
    assert_eq!(complaints, "");
    let times = pictures(&packets);
    assert!(times.windows(2).all(|w| w[1] - w[0] > 0.05), "{times:?}");
    let (frames, complaints) = decode(&player.bytes);
    assert_eq!((frames, complaints.as_str()), (times.len(), ""));
}
