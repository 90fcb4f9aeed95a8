//! HLS, as players see it: every variant, codec, rate and GOP, followed by a player
//! that checks the rules, and read by ffmpeg.

mod support;

#[path = "hls/address.rs"]
mod address;
#[path = "hls/clock.rs"]
mod clock;
#[path = "hls/crowd.rs"]
mod crowd;
#[path = "hls/rates.rs"]
mod rates;
#[path = "hls/sound.rs"]
mod sound;
#[path = "hls/ts.rs"]
mod ts;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use support::api::{SOON, status, until_status};
use support::camera::{Audio, Builder, Camera, Codec};
use support::gateway::{Gateway, paths};
use support::hls::{Follower, client, decode, get, get_with, probe};
use support::{until, until_true};

fn small() -> Builder {
    Camera::builder().size(320, 240).gop_frames(25).prerecorded()
}

/// Encodes while it runs: recordings have no B-frames.
fn live() -> Builder {
    Camera::builder().size(320, 240).gop_frames(25)
}

/// Cases that run side by side: their cameras encode in time on two cores, and another
/// test's beside them.
const SIDE_BY_SIDE: usize = 2;

/// Runs the cases of a test side by side, each on a runtime of its own: most of their time
/// they wait for live media.
fn side_by_side<C: Send, F: Future<Output = ()>>(cases: impl IntoIterator<Item = C>, run: impl Fn(C) -> F + Sync) {
    let (run, cases) = (&run, &Mutex::new(cases.into_iter().collect::<VecDeque<C>>()));
    std::thread::scope(|scope| {
        let go = move || {
            loop {
                let Some(case) = cases.lock().unwrap().pop_front() else { return };
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(run(case));
            }
        };
        let all: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(go)).collect();
        let failed: Vec<_> = all.into_iter().filter_map(|thread| thread.join().err()).collect();
        if let Some(why) = failed.into_iter().next() {
            std::panic::resume_unwind(why);
        }
    });
}

fn gateway(camera: &Camera, more: &str) -> Gateway {
    Gateway::start(&format!("{more}\n{}", paths(&[("gate", &camera.url())])))
}

/// Presentation times of the pictures in ffprobe's lines, seconds, in order.
fn pictures(packets: &[Vec<String>]) -> Vec<f64> {
    let video = packets.iter().filter(|p| p[0] == "video");
    let mut times: Vec<f64> = video.filter_map(|p| p[1].parse().ok()).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Every picture is one period behind the last one.
#[track_caller]
fn assert_even(times: &[f64], period: f64) {
    for w in times.windows(2) {
        assert!((w[1] - w[0] - period).abs() < 0.002, "{} s between two pictures: {times:?}", w[1] - w[0]);
    }
}

#[tokio::test]
async fn low_latency_keeps_every_rule_for_a_minute() {
    let camera = small().audio(Audio::Opus).start();
    let gateway = gateway(&camera, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    assert!(player.index.contains("CODECS=\"avc1.42C0"), "{}", player.index);
    assert!(player.index.contains(",opus\"") && player.index.contains("RESOLUTION=320x240"), "{}", player.index);
    assert!(player.index.contains("FRAME-RATE=25.000"), "{}", player.index);
    let minutes = std::env::var("HLS_MINUTES").ok().and_then(|m| m.parse().ok()).unwrap_or(1);
    player.follow(Duration::from_secs(60 * minutes)).await;
    // Nothing but whole parts, and no time lost.
    let seconds = player.seconds();
    assert!(seconds > 60.0 * minutes as f64 - 2.0, "{seconds} s");
    let odd = player.fetched.iter().filter(|p| (p.1 - 0.2).abs() > 0.002).count();
    assert!(odd <= 2 * minutes as usize, "{odd} parts are not 200 ms: {:?}", player.fetched);
    assert_eq!(player.discontinuities, 0);
    let (packets, complaints) = probe(&player.bytes);
    assert_eq!(complaints, "");
    let times = pictures(&packets);
    assert_even(&times, 0.04);
    let (frames, complaints) = decode(&player.bytes);
    assert_eq!((frames, complaints.as_str()), (times.len(), ""));
    let sound = packets.iter().filter(|p| p[0] == "audio").count() as f64 * 0.02;
    assert!((sound - times.len() as f64 * 0.04).abs() < 0.5, "{sound} s of sound, {} pictures", times.len());
}

#[test]
fn frame_rates_and_gops() {
    let cases = [(5, 5, 0.2), (12, 24, 0.25), (15, 30, 0.2), (25, 12, 0.2), (25, 250, 0.2), (30, 60, 0.2)];
    side_by_side(cases, |(fps, gop, part): (u32, u32, f64)| async move {
        let camera = Camera::builder().size(160, 120).fps(fps).gop_frames(gop).prerecorded().start();
        let gateway = gateway(&camera, "");
        let mut player = Follower::start(gateway.url(), "gate").await;
        let target = player.now.part_target.unwrap() as f64 / 1e9;
        assert!((target - part).abs() < 0.002, "{fps} fps: PART-TARGET {target}");
        player.until(f64::from(gop) / f64::from(fps) * 1.2 + 3.0).await;
        let (packets, complaints) = probe(&player.bytes);
        assert_eq!(complaints, "", "{fps} fps, GOP {gop}");
        assert_even(&pictures(&packets), 1.0 / f64::from(fps));
        let longest = f64::from(gop.max(fps).next_multiple_of(gop)) / f64::from(fps);
        assert!(player.now.target as f64 <= longest.ceil(), "{fps} fps, GOP {gop}: target {}", player.now.target);
        // Segments begin with key frames; the first one was cut so that there is one at once.
        let firsts = player.now.numbered().filter(|(n, _)| *n > 1).filter_map(|(_, s)| s.parts.first());
        assert!({ firsts }.all(|p| p.independent), "{fps} fps, GOP {gop}: {:#?}", player.now);
    });
}

#[test]
fn codecs_and_b_frames() {
    let cases = [
        (small().codec(Codec::H265).audio(Audio::Opus), "hvc1.1.6.L"),
        (live().b_frames(2), "avc1."),
        (live().codec(Codec::H265).b_frames(3), "hvc1."),
    ];
    side_by_side(cases, |(camera, codecs)| async move {
        let camera = camera.start();
        let gateway = gateway(&camera, "");
        let mut player = Follower::start(gateway.url(), "gate").await;
        assert!(player.index.contains(codecs), "{}", player.index);
        player.until(7.0).await;
        let (packets, complaints) = probe(&player.bytes);
        assert_eq!(complaints, "", "{codecs}");
        let times = pictures(&packets);
        // A live encoder on a busy machine stumbles: that every frame is even is for the
        // recordings to show. No two pictures have one time, and none is lost on our way.
        assert!(times.windows(2).all(|w| w[1] - w[0] > 0.005), "{codecs}: {times:?}");
        let span = times[times.len() - 1] - times[0];
        assert!((times.len() as f64 * 0.04 - span).abs() < 1.0, "{} pictures in {span} s", times.len());
        let (frames, complaints) = decode(&player.bytes);
        assert_eq!((frames, complaints.as_str()), (times.len(), ""), "{codecs}");
    });
}

#[tokio::test]
async fn fmp4_in_whole_segments() {
    let camera = small().audio(Audio::Opus).start();
    let gateway = gateway(&camera, "hlsVariant: fmp4");
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(6.0).await;
    assert!(player.now.part_target.is_none() && !player.now.can_block);
    assert!(player.fetched.iter().all(|s| (s.1 - 1.0).abs() < 0.01), "{:?}", player.fetched);
    let (packets, complaints) = probe(&player.bytes);
    assert_eq!(complaints, "");
    assert_even(&pictures(&packets), 0.04);
}

#[tokio::test]
async fn a_camera_restart_is_a_discontinuity_and_playlists_go_on() {
    let mut camera = small().start();
    let gateway = gateway(&camera, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(3.0).await;
    camera.restart();
    let before = player.fetched.len();
    tokio::time::timeout(SOON, async {
        while player.discontinuities == 0 || player.fetched.len() < before + 15 {
            player.step().await;
        }
    })
    .await
    .expect("no discontinuity, or nothing behind it");
    assert_eq!(player.discontinuities, 1);
    let (packets, complaints) = probe(&player.bytes);
    assert_eq!(complaints, "");
    let times = pictures(&packets);
    let holes = times.windows(2).filter(|w| w[1] - w[0] > 0.05).count();
    assert!(holes <= 1 && times.windows(2).all(|w| w[1] > w[0]), "{times:?}");
}

#[tokio::test]
async fn sound_alone() {
    let gateway = Gateway::start("paths:\n  radio:\n    source: 'gst:audiotestsrc is-live=true ! opusenc'\n");
    let mut player = Follower::start(gateway.url(), "radio").await;
    assert!(player.index.contains("CODECS=\"opus\"") && !player.index.contains("RESOLUTION"), "{}", player.index);
    player.until(5.0).await;
    let (packets, complaints) = probe(&player.bytes);
    assert_eq!(complaints, "");
    assert!(packets.len() > 200, "{}", packets.len());
}

#[tokio::test]
async fn blocking_reloads_answer_when_the_part_is_there() {
    let camera = small().start();
    let gateway = gateway(&camera, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(2.0).await;
    let next = player.now.next();
    for (more, status) in [
        ("&_HLS_part=0".to_owned(), 400),
        (format!("&_HLS_msn={}", next + 3), 400),
        (format!("&_HLS_msn={next}&_HLS_part=500"), 400),
        ("&_HLS_msn=x".into(), 400),
        ("&_HLS_msn=-1".into(), 400),
        ("&_HLS_msn=1&_HLS_msn=2".into(), 400),
        ("&_HLS_skip=maybe".into(), 400),
        ("&_HLS_msn=0".into(), 200),
    ] {
        let reply = get(&player.media_url(&more)).await;
        assert_eq!(reply.status, status, "{more}: {}", reply.text());
        if status == 400 {
            assert!(reply.error().contains("_HLS"), "{}", reply.error());
        }
    }
    // A whole segment to come, and the hinted part: both are held until they are there.
    let whole = get(&player.media_url(&format!("&_HLS_msn={}", player.now.next()))).await;
    assert_eq!(whole.status, 200);
    player.step().await;
    let hint = player.now.hint.clone().expect("no hint");
    let part = get(&player.url(&hint)).await;
    assert_eq!((part.status, &part.body[4..8]), (200, &b"moof"[..]));
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    let camera = small().start();
    let gateway = Gateway::start(&format!(
        "paths:\n  gate:\n    source: {}\n  empty:\n  closed:\n    source: test\n    sourceOnDemand: yes\n",
        camera.url()
    ));
    for (url, status, word) in [
        ("nowhere/index.m3u8", 404, "nowhere"),
        ("empty/index.m3u8", 404, "publisher"),
        ("gate/hls-1234_seg0.mp4", 404, "segment"),
        ("gate/hls-1234.m3u8", 404, "segment"),
        ("gate/index.m3u8?_HLS_part=1", 400, "_HLS_msn"),
        ("closed/index.m3u8?_HLS_msn=x", 400, "_HLS_msn"),
        ("closed/hls-1234.m3u8?_HLS_skip=maybe", 400, "_HLS_skip"),
    ] {
        let reply = get(&format!("{}/{url}", gateway.url())).await;
        assert_eq!(reply.status, status, "{url}: {}", reply.text());
        assert!(reply.error().contains(word), "{url}: {}", reply.error());
        assert_eq!(reply.header("access-control-allow-origin"), "*");
    }
    // What cannot be answered wakes no camera.
    assert_eq!(status(&gateway, "closed").await["state"], "idle");
    assert!(!gateway.log().iter().any(|l| l.contains("closed") && l.contains("Starting")));
}

#[tokio::test]
async fn readers_are_counted_and_the_muxer_ends_after_the_last_one() {
    let camera = small().start();
    let gateway = Gateway::start(&format!(
        "hlsMuxerCloseAfter: 2s\npaths:\n  gate:\n    source: {}\n    sourceOnDemand: yes\n    sourceOnDemandCloseAfter: 1s\n",
        camera.url()
    ));
    assert_eq!(status(&gateway, "gate").await["state"], "idle");
    let mut a = Follower::start(gateway.url(), "gate").await;
    let mut b = Follower::start(gateway.url(), "gate").await;
    a.until(2.0).await;
    b.step().await;
    assert_eq!(status(&gateway, "gate").await["readers"], 2);
    assert_eq!(camera.plays(), 1);
    let old = a.media_url("");
    drop((a, b));
    until_status(&gateway, "gate", "rest", |s| s["state"] == "idle" && s["readers"] == 0).await;
    until_true(SOON, "the end of the connection", || camera.open_connections() == 0).await;
    assert_eq!(get(&old).await.status, 404);
    // Another start has other names.
    let c = Follower::start(gateway.url(), "gate").await;
    assert_ne!(c.media_url(""), old);
}

#[tokio::test]
async fn always_remux_starts_before_anybody_asks_but_wakes_nobody() {
    let camera = small().start();
    let gateway = Gateway::start(&format!(
        "hlsAlwaysRemux: yes\npaths:\n  gate:\n    source: {}\n  asleep:\n    source: test\n    sourceOnDemand: yes\n",
        camera.url()
    ));
    gateway.wait_for_line(SOON, |l| l.contains("HLS muxer starts") && l.contains("gate"));
    assert_eq!(status(&gateway, "gate").await["readers"], 0);
    assert_eq!(status(&gateway, "asleep").await["state"], "idle");
    Follower::start(gateway.url(), "gate").await;
}

#[tokio::test]
async fn a_thousand_blocked_requests_that_go_away() {
    let camera = small().start();
    let gateway = gateway(&camera, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(2.0).await;
    camera.stall();
    let url = player.media_url(&format!("&_HLS_msn={}", player.now.next() + 1));
    let client = client();
    let waiting: Vec<_> = (0..1_000)
        .map(|_| {
            let (client, url) = (client.clone(), url.clone());
            tokio::spawn(async move { get_with(&client, &url).await })
        })
        .collect();
    let before = gateway.usage();
    until(SOON, "all of them to wait", || async { (gateway.usage().fds >= 1_000).then_some(()) }).await;
    assert!(gateway.usage().threads <= before.threads + 4, "a worker per request");
    // The others are served meanwhile.
    assert_eq!(get(&format!("{}/gate/index.m3u8", gateway.url())).await.status, 200);
    waiting.iter().for_each(|w| w.abort());
    until_true(SOON, "the end of the connections", || gateway.usage().fds < 200).await;
    camera.resume();
    player.until(4.0).await;
}

#[tokio::test]
async fn rights_are_asked_for_and_tokens_go_along() {
    let camera = small().start();
    let gateway = gateway(
        &camera,
        "authInternalUsers:\n- user: ann\n  pass: s3cret\n  permissions: [{action: read, path: gate}]",
    );
    let index = format!("{}/gate/index.m3u8", gateway.url());
    assert_eq!(get(&index).await.status, 401);
    assert_eq!(get(&format!("{index}?token=wrong")).await.status, 401);
    let with = get(&format!("{index}?token=s3cret")).await;
    assert_eq!(with.status, 200);
    let text = with.text();
    let uri = text.lines().last().unwrap();
    assert!(uri.ends_with("&token=s3cret"), "{uri}");
    let media = get(&format!("{}/gate/{uri}", gateway.url())).await.text();
    let uris = media.lines().filter(|l| l.contains(".mp4"));
    assert!({ uris }.all(|l| l.contains("&token=s3cret")), "{media}");
    assert!(!gateway.log().iter().any(|l| l.contains("s3cret")));
}
