//! Dates (EXT-X-PROGRAM-DATE-TIME): the camera's clock, where it tells one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::api::SOON;
use crate::support::camera::Camera;
use crate::support::gateway::Gateway;
use crate::support::hls::Follower;
use crate::support::rtsp_proxy::{RtspProxy, Rules};

/// Parts and transport streams have their dates by the same rules.
const VARIANTS: [&str; 2] = ["lowLatency", "mpegts"];

/// A camera whose clock is so many seconds off.
fn camera_off(seconds: i64) -> (Camera, RtspProxy, String) {
    let camera = super::small().even().start();
    let server = std::net::SocketAddr::from(([127, 0, 0, 1], camera.port()));
    let rules = Rules { clock_off: seconds, ..Rules::default() };
    let proxy = RtspProxy::start(std::net::SocketAddr::from(([127, 0, 0, 1], 0)), server, rules).unwrap();
    let url = format!("rtsp://{}/stream", proxy.address());
    (camera, proxy, url)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Dates and durations of the whole segments, seconds, and whether they go on.
fn dates(player: &Follower) -> Vec<(f64, f64, bool)> {
    let of = |text: &str| {
        let time = humantime::parse_rfc3339(text).unwrap();
        time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
    };
    let segments = player.now.segments.iter();
    segments.map(|s| (of(s.time.as_deref().unwrap()), s.duration as f64 / 1e9, !s.discontinuity)).collect()
}

/// Follows until the newest segment's date is off by about so much.
async fn until_off(player: &mut Follower, seconds: f64) {
    let wait = async {
        loop {
            let all = dates(player);
            // Within a stretch dates go on as the media does.
            for w in all.windows(2).filter(|w| w[1].2) {
                let error = w[1].0 - w[0].0 - w[0].1;
                // A busy machine bends when things come, and so what is ours of the dates.
                assert!(error.abs() < 1.0, "{error} s off: {all:?}");
            }
            if all.last().is_some_and(|(date, ..)| (date - now() - seconds).abs() < 30.0) {
                break;
            }
            player.step().await;
        }
    };
    if tokio::time::timeout(SOON * 2, wait).await.is_err() {
        panic!("no date is {seconds} s off: {:?}", dates(player));
    }
}

/// [`until_off`] of all players, side by side.
async fn until_all_off(players: &mut [Follower], seconds: f64) {
    futures_util::future::join_all(players.iter_mut().map(|p| until_off(p, seconds))).await;
}

async fn follow(players: &mut [Follower], seconds: u64) {
    futures_util::future::join_all(players.iter_mut().map(|p| p.follow(Duration::from_secs(seconds)))).await;
}

/// Gateways, one of each variant, with these paths.
fn gateways(paths: &str) -> Vec<Gateway> {
    VARIANTS.iter().map(|v| Gateway::start(&format!("hlsVariant: {v}\n{paths}"))).collect()
}

async fn players(gateways: &[Gateway], path: &str) -> Vec<Follower> {
    futures_util::future::join_all(gateways.iter().map(|g| Follower::start(g.url(), path))).await
}

#[tokio::test]
async fn dates_are_those_of_the_cameras_clock() {
    let (_camera, proxy, url) = camera_off(-600);
    let gateways = gateways(&format!(
        "paths:\n  theirs:\n    source: {url}\n  ours:\n    source: {url}\n    sourceOnDemand: yes\n    useAbsoluteTimestamp: no\n"
    ));
    let mut theirs = players(&gateways, "theirs").await;
    until_all_off(&mut theirs, -600.0).await;
    follow(&mut theirs, 8).await;
    until_all_off(&mut theirs, -600.0).await;
    let known: Vec<usize> = theirs.iter().map(|p| p.discontinuities).collect();
    // Somebody sets the camera's clock: an hour ahead.
    proxy.set_rules(Rules { clock_off: 3_600, ..Rules::default() });
    until_all_off(&mut theirs, 3_600.0).await;
    for (player, known) in theirs.iter().zip(known) {
        assert!(player.discontinuities > known, "{known}: {:#?}", player.now);
    }
    // And it starts again, without a clock: it counts the seconds that it is on.
    proxy.set_rules(Rules { clock_off: 3_600 - now() as i64, ..Rules::default() });
    until_all_off(&mut theirs, 0.0).await;
    // Whoever wants the time of arrival has it.
    let mut ours = players(&gateways, "ours").await;
    proxy.set_rules(Rules { clock_off: -600, ..Rules::default() });
    until_all_off(&mut theirs, -600.0).await;
    follow(&mut ours, 8).await;
    until_all_off(&mut ours, 0.0).await;
}

#[tokio::test]
async fn a_clock_outlives_the_connection() {
    let (_camera, proxy, url) = camera_off(-600);
    let gateways = gateways(&format!("paths:\n  gate:\n    source: {url}\n"));
    let mut players = players(&gateways, "gate").await;
    until_all_off(&mut players, -600.0).await;
    // It comes back, and has not told its time yet.
    proxy.set_rules(Rules { no_reports: true, ..Rules::default() });
    proxy.cut();
    let again = players.iter_mut().map(|player| async move {
        let known = player.discontinuities;
        while player.discontinuities == known {
            player.step().await;
        }
    });
    tokio::time::timeout(SOON, futures_util::future::join_all(again)).await.expect("no discontinuity");
    follow(&mut players, 3).await;
    until_all_off(&mut players, -600.0).await;
}
