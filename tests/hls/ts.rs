//! `hlsVariant: mpegts`.

use std::time::Duration;

use super::support::api::{SOON, status, track, until_status};
use super::support::camera::{Audio, Camera, Codec};
use super::support::gateway::{Gateway, paths};
use super::support::hls::{Follower, decode, get, probe};
use super::support::{playlist, until, until_true};
use super::{live, pictures, side_by_side, small};

fn gateway(camera: &Camera, more: &str) -> Gateway {
    Gateway::start(&format!("hlsVariant: mpegts\n{more}\n{}", paths(&[("gate", &camera.url())])))
}

/// What is listed, without the query.
fn names(player: &Follower) -> Vec<String> {
    let uris = player.now.segments.iter().map(|s| s.uri.as_str());
    uris.map(|u| u.split('?').next().unwrap_or(u).to_owned()).collect()
}

/// Every picture once, in its own time: as the camera stamped them, jitter and all.
#[track_caller]
fn assert_whole(times: &[f64], period: f64) {
    let span = times[times.len() - 1] - times[0] + period;
    assert!((times.len() as f64 * period - span).abs() < 0.5, "{} pictures in {span} s: {times:?}", times.len());
    assert!(times.windows(2).all(|w| w[1] > w[0] && w[1] - w[0] < 1.0), "{times:?}");
}

#[tokio::test]
async fn segments_keep_the_rules_and_ffmpeg_reads_them() {
    let camera = small().start();
    let gateway = gateway(&camera, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    assert!(player.index.contains("CODECS=\"avc1.42C0"), "{}", player.index);
    assert!(player.index.contains("RESOLUTION=320x240,FRAME-RATE=25.000"), "{}", player.index);
    player.until(12.0).await;
    assert_eq!((player.now.version, player.now.target, player.discontinuities), (3, 1, 0));
    assert!(player.now.part_target.is_none() && !player.now.can_block);
    assert!(names(&player).iter().all(|n| n.starts_with("hls-") && n.ends_with(".ts")), "{:?}", names(&player));
    // The first one is what was there at once, the second the rest of its GOP.
    // A double that is kept from its work stamps a key frame late now and then.
    let later = || player.fetched.iter().skip(2).map(|s| s.1);
    assert!((later().sum::<f64>() / later().count() as f64 - 1.0).abs() < 0.05, "{:?}", player.fetched);
    assert!(later().all(|s| (s - 1.0).abs() < 0.4), "{:?}", player.fetched);
    let (packets, complaints) = probe(&player.bytes);
    assert_eq!(complaints, "");
    let times = pictures(&packets);
    assert_whole(&times, 0.04);
    assert!((times.len() as f64 * 0.04 - player.seconds()).abs() < 0.1, "{} pictures", times.len());
    // RFC 8216 §3.2: each segment has all that it takes.
    let (frames, complaints) = decode(&player.bytes);
    assert_eq!((frames, complaints.as_str()), (times.len(), ""));
    assert_eq!(status(&gateway, "gate").await["readers"], 1);
    assert_eq!(gateway.complaints(), Vec::<String>::new());
}

#[test]
fn sound_becomes_aac_and_stays_with_the_pictures() {
    side_by_side([Audio::Opus, Audio::Pcma, Audio::Aac], |audio| async move {
        let camera = small().audio(audio).start();
        let gateway = gateway(&camera, "");
        let mut player = Follower::start(gateway.url(), "gate").await;
        assert!(player.index.contains(",mp4a.40.2\""), "{audio:?}: {}", player.index);
        player.until(7.0).await;
        let (packets, complaints) = probe(&player.bytes);
        assert_eq!(complaints, "", "{audio:?}");
        let heard = packets.iter().filter(|p| p[0] == "audio");
        let heard: Vec<f64> = heard.filter_map(|p| p[1].parse().ok()).collect();
        let step = 1_024.0 / 48_000.0;
        // Silence, until the first sound comes, and that begins in its own time.
        let odd = heard.windows(2).filter(|w| (w[1] - w[0] - step).abs() > 0.002).count();
        assert!(odd <= 2 && heard.windows(2).all(|w| w[1] - w[0] < 2.1 * step), "{audio:?}: {heard:?}");
        let seen = pictures(&packets);
        assert!((heard[0] - seen[0]).abs() < 0.2, "{audio:?}: sound from {}, pictures from {}", heard[0], seen[0]);
        let ends = (heard[heard.len() - 1], seen[seen.len() - 1]);
        assert!((ends.0 - ends.1).abs() < 1.7, "{audio:?}: {ends:?}");
        let (_, complaints) = decode(&player.bytes);
        assert_eq!(complaints, "", "{audio:?}");
    });
}

#[test]
fn codecs_and_b_frames_in_transport_streams() {
    let cases = [
        (small().codec(Codec::H265), "hvc1.1.6.L"),
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
        assert_whole(&times, 0.04);
        let decoded: Vec<f64> = packets.iter().filter(|p| p[0] == "video").filter_map(|p| p[2].parse().ok()).collect();
        assert!(decoded.windows(2).all(|w| w[1] > w[0]), "{codecs}: decode times {decoded:?}");
        let (frames, complaints) = decode(&player.bytes);
        assert_eq!((frames, complaints.as_str()), (times.len(), ""), "{codecs}: {packets:?}");
        assert_eq!(player.discontinuities, 0);
    });
}

#[test]
fn frame_rates_and_gops_in_transport_streams() {
    side_by_side([(5, 5), (12, 24), (25, 12), (25, 250)], |(fps, gop): (u32, u32)| async move {
        let camera = Camera::builder().size(160, 120).fps(fps).gop_frames(gop).prerecorded().start();
        let gateway = gateway(&camera, "");
        let mut player = Follower::start(gateway.url(), "gate").await;
        player.until(f64::from(gop) / f64::from(fps) * 1.2 + 3.0).await;
        let (packets, complaints) = probe(&player.bytes);
        assert_eq!(complaints, "", "{fps} fps, GOP {gop}");
        assert_whole(&pictures(&packets), 1.0 / f64::from(fps));
        let longest = f64::from(gop.max(fps).next_multiple_of(gop)) / f64::from(fps);
        assert!(player.now.target as f64 <= longest.ceil(), "{fps} fps, GOP {gop}: target {}", player.now.target);
        assert_eq!(player.discontinuities, 0, "{fps} fps, GOP {gop}");
    });
}

#[tokio::test]
async fn heavy_segments_are_cut_off_key_frames() {
    let camera = live().noise(true).bitrate_kbps(2_000).start();
    let gateway = gateway(&camera, "hlsSegmentMaxSize: 100K");
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(5.0).await;
    let mean = player.bytes.len() / player.fetched.len();
    assert!(player.fetched.len() > 8 && mean < 110 << 10, "{} bytes each: {:?}", mean, player.fetched);
    let (_, complaints) = decode(&player.bytes);
    assert_eq!(complaints, "");
}

#[tokio::test]
async fn a_restart_and_another_picture_size_are_discontinuities_with_new_names() {
    let mut camera = small().start();
    let gateway = gateway(&camera, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(3.0).await;
    let before = names(&player);
    camera.restart();
    beyond(&mut player, 1).await;
    // Where it is not listed any more, all that is listed lies behind it.
    let (now, after) = (names(&player), player.now.segments.iter().position(|s| s.discontinuity).unwrap_or(0));
    assert!(now[after..].iter().all(|n| !before.contains(n)), "{before:?}, then {now:?} from {after} on");
    camera.set_resolution(160, 120);
    camera.restart();
    beyond(&mut player, 2).await;
    // Walked over by the rules already: no name twice, TARGETDURATION as it was.
    let index = get(&format!("{}/gate/index.m3u8", gateway.url())).await.text();
    assert!(index.contains("RESOLUTION=160x120"), "{index}");
    let (packets, complaints) = probe(&player.bytes);
    assert!(complaints.lines().all(|l| l.contains("change")), "{complaints}");
    let times = pictures(&packets);
    // Time goes on without a hole, whatever the camera did.
    assert!(times.windows(2).all(|w| w[1] > w[0] && w[1] - w[0] < 1.0), "{times:?}");
    assert_eq!(gateway.log().iter().filter(|l| l.contains("HLS muxer starts")).count(), 1);
}

/// Follows until there were so many discontinuities, and three segments more.
async fn beyond(player: &mut Follower, discontinuities: usize) {
    let follow = async {
        while player.discontinuities < discontinuities {
            player.step().await;
        }
        let enough = player.fetched.len() + 3;
        while player.fetched.len() < enough {
            player.step().await;
        }
    };
    tokio::time::timeout(SOON, follow).await.expect("no discontinuity, or nothing behind it");
    assert_eq!(player.discontinuities, discontinuities);
}

#[tokio::test]
async fn nothing_is_written_to_disk() {
    let camera = small().start();
    let scratch = tempfile::tempdir().unwrap();
    let yaml = format!("hlsVariant: mpegts\n{}", paths(&[("gate", &camera.url())]));
    let home = scratch.path().to_str().unwrap();
    let gateway = Gateway::start_with(&yaml, &[("TMPDIR", home), ("HOME", home), ("XDG_CACHE_HOME", home)]);
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(5.0).await;
    let files = |directory: &std::path::Path| -> Vec<String> {
        let mut all = Vec::new();
        let mut left = vec![directory.to_owned()];
        while let Some(next) = left.pop() {
            for entry in std::fs::read_dir(next).unwrap().flatten() {
                match entry.path() {
                    // GLib's settings, which are asked for a proxy.
                    path if path.ends_with("dconf") => {}
                    path if path.is_dir() => left.push(path),
                    path => all.push(path.file_name().unwrap().to_string_lossy().into_owned()),
                }
            }
        }
        all
    };
    assert_eq!(files(gateway.directory()), ["camgate.yml"]);
    // GStreamer keeps a list of its plugins; nothing that is ours.
    let odd: Vec<String> = files(scratch.path()).into_iter().filter(|f| !f.starts_with("registry.")).collect();
    assert_eq!(odd, Vec::<String>::new());
    let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().flatten();
    let targets: Vec<_> = open.filter_map(|fd| std::fs::read_link(fd.path()).ok()).collect();
    let media = |p: &&std::path::PathBuf| p.to_string_lossy().contains(".ts") || p.to_string_lossy().contains("m3u8");
    assert_eq!(targets.iter().find(media), None);
}

#[tokio::test]
async fn a_muxer_that_ends_leaves_no_thread_and_no_descriptor() {
    let camera = small().start();
    let gateway = gateway(&camera, "hlsMuxerCloseAfter: 1s");
    until_status(&gateway, "gate", "live", |s| s["state"] == "live").await;
    let mut usage = Vec::new();
    for _ in 0..3 {
        let mark = gateway.mark();
        let mut player = Follower::start(gateway.url(), "gate").await;
        player.until(2.0).await;
        let busy = gateway.usage();
        drop(player);
        gateway.wait_for_line_after(mark, SOON, |l| l.contains("HLS muxer ends"));
        until_true(SOON, "fewer threads", || gateway.usage().threads < busy.threads).await;
        // What it comes to when all is quiet; the first time there is more behind than before,
        // for what GStreamer starts once.
        let before = usage.first().copied().unwrap_or((usize::MAX, usize::MAX));
        let quiet = until(SOON, "as few threads and descriptors as before", || async {
            let now = gateway.usage();
            (now.threads <= before.0 && now.fds <= before.1).then_some((now.threads, now.fds))
        });
        usage.push(quiet.await);
    }
    eprintln!("threads and descriptors after each muxer: {usage:?}");
    assert_eq!(gateway.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn another_codec_ends_the_muxer_and_the_next_request_begins_anew() {
    let a = small().start();
    let b = small().codec(Codec::H265).start();
    let gateway = gateway(&a, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(2.0).await;
    let old = player.media_url("");
    gateway.write_config(&format!("hlsVariant: mpegts\n{}", paths(&[("gate", &b.url())])));
    gateway.wait_for_line(SOON, |l| l.contains("HLS muxer ends"));
    let index = until(SOON, "the other codec", || async {
        let reply = get(&format!("{}/gate/index.m3u8", gateway.url())).await;
        (reply.status == 200).then(|| reply.text())
    });
    assert!(index.await.contains("hvc1."));
    assert_eq!(get(&old).await.status, 404);
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(3.0).await;
    assert_eq!(probe(&player.bytes).1, "");
}

#[tokio::test]
async fn a_camera_that_pauses_holds_nothing_up() {
    let camera = small().start();
    let gateway = gateway(&camera, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(3.0).await;
    camera.stall();
    // What is lasts as long as it does: the newest segment is left behind.
    let url = player.media_url("");
    let left = until(SOON, "three seconds without a picture", || async {
        let list = playlist::parse(&get(&url).await.text()).unwrap();
        let last = list.segments.last().unwrap();
        let began = humantime::parse_rfc3339(last.time.as_deref().unwrap()).unwrap();
        let lasts = Duration::from_nanos(last.duration);
        (began.elapsed().unwrap_or_default() > lasts + Duration::from_secs(4)).then_some(())
    });
    left.await;
    camera.resume();
    let seconds = player.seconds();
    player.until(seconds + 4.0).await;
    assert!(player.now.target <= 2);
}

#[tokio::test]
async fn sound_alone_is_told_what_carries_it_and_no_muxer_is_tried_over_and_over() {
    let gateway = Gateway::start(
        "hlsVariant: mpegts\nhlsAlwaysRemux: yes\npaths:\n  radio:\n    source: 'gst:audiotestsrc is-live=true ! opusenc'\n",
    );
    let status = until_status(&gateway, "radio", "live", |s| s["state"] == "live").await;
    let sound = track(&status, "audio");
    assert!(sound["hls"] == false && sound["note"].as_str().unwrap().contains("fmp4"), "{sound}");
    for _ in 0..3 {
        let reply = get(&format!("{}/radio/index.m3u8", gateway.url())).await;
        assert_eq!(reply.status, 422, "{}", reply.text());
        assert!(reply.error().contains("fmp4 and lowLatency"), "{}", reply.error());
    }
    // One for who asked, or two on a machine that took a second for that; none before.
    let starts = gateway.log().iter().filter(|l| l.contains("HLS muxer starts")).count();
    assert!((1..3).contains(&starts), "{starts}");
}
