//! Every codec that a camera may send: what the viewer gets, and what the status says.

use super::small;
use super::support::api::{assert_smooth, audio, frames, track, until_state, until_status, view, view_with};
use super::support::camera::{Audio, Camera, Codec};
use super::support::feed::Profile;
use super::support::gateway::{Engine, Gateway, paths};
use super::support::whep::Options;

crate::on_both_engines!(h264_with_each_audio_codec, h265_plays_where_the_viewer_knows_it);

async fn h264_with_each_audio_codec(engine: Engine) {
    let cameras = [Audio::Pcmu, Audio::Pcma, Audio::Opus].map(|a| (a, small().audio(a).start()));
    let urls: Vec<String> = cameras.iter().map(|(_, c)| c.url()).collect();
    let gateway = Gateway::on(engine, &paths(&[("pcmu", &urls[0]), ("pcma", &urls[1]), ("opus", &urls[2])]));
    for (path, label, payload) in [("pcmu", "G711", Some(0)), ("pcma", "G711", Some(8)), ("opus", "Opus", None)] {
        let status = until_state(&gateway, path, "live").await;
        assert_eq!(track(&status, "audio")["codec"], label);
        assert_eq!(track(&status, "audio")["playable"], true);
        let viewer = view(&gateway, path).await;
        frames(&viewer, 10).await;
        audio(&viewer, 50).await;
        assert_smooth(&viewer);
        viewer.with(|log| {
            if let Some(payload) = payload {
                assert_eq!(log.audio.payload_types, [payload]);
            }
        });
        assert_eq!(viewer.leave().await.unwrap(), 200);
    }
    for (_, camera) in &cameras {
        assert_eq!(camera.describes(), 1, "one connection is enough to find out what a camera sends");
    }
}

#[tokio::test]
async fn aac_is_reported_and_the_video_plays() {
    let camera = small().audio(Audio::Aac).start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 10).await;
    let status = until_state(&gateway, "gate", "live").await;
    let aac = track(&status, "audio");
    assert_eq!((&aac["codec"], &aac["playable"], &aac["hls"]), (&"AAC".into(), &false.into(), &true.into()));
    assert_eq!(aac["note"], "not playable over WebRTC yet");
    assert_eq!(viewer.with(|log| log.audio.packets), 0);
}

async fn h265_plays_where_the_viewer_knows_it(engine: Engine) {
    let camera = small().codec(Codec::H265).audio(Audio::Opus).start();
    let gateway = Gateway::on(engine, &paths(&[("gate", &camera.url())]));
    let options = Options { h265: true, packets: true, ..Options::default() };
    let viewer = view_with(&gateway, "gate", options).await;
    frames(&viewer, 10).await;
    audio(&viewer, 20).await;
    assert_smooth(&viewer);
    assert!(viewer.with(|log| log.video.frames[0].key && log.video.frames[0].sps));
    let status = until_status(&gateway, "gate", "the picture's size", |s| track(s, "video")["width"] == 320).await;
    let video = track(&status, "video");
    assert_eq!((&video["codec"], &video["height"]), (&"H265".into(), &240.into()));
    assert!(video["profile"].as_str().unwrap().starts_with("Main "), "{video}");
}

#[tokio::test]
async fn the_status_tells_profile_size_and_rate() {
    let camera = Camera::builder().size(640, 360).profile(Profile::High).start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
    let status = until_status(&gateway, "gate", "the picture's size", |s| track(s, "video")["width"] == 640).await;
    let video = track(&status, "video");
    assert_eq!((&video["codec"], &video["height"], &video["playable"]), (&"H264".into(), &360.into(), &true.into()));
    assert!(video["profile"].as_str().unwrap().starts_with("High "), "{video}");
    assert_eq!(status["reason"], serde_json::Value::Null);
    // On TCP the frames come one connection, one description, one after the other.
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 20).await;
    assert_smooth(&viewer);
    let indices = viewer.with(|log| log.video.indices());
    assert!(indices.windows(2).all(|w| w[1] == w[0] + 1), "{indices:?}");
    assert_eq!((camera.describes(), camera.connections()), (1, 1));
}

#[tokio::test]
async fn timestamps_are_the_cameras_and_not_those_of_arrival() {
    let camera = small().start();
    let udp = small().misbehave(super::support::faults::Fault::NoTcp).start();
    let gateway = Gateway::start(&paths(&[("tcp", &camera.url()), ("udp", &udp.url())]));
    for path in ["tcp", "udp"] {
        let viewer = view(&gateway, path).await;
        frames(&viewer, 200).await;
        // When the viewer is told to show a frame, against when it was taken; the first
        // ones are squeezed.
        let off: Vec<i64> = viewer.with(|log| {
            let frames = log.video.frames.iter().skip(50);
            frames.filter_map(|f| Some((f.time * 1_000_000 / 90) as i64 - f.stamp?.captured_ns as i64)).collect()
        });
        let steps: Vec<i64> = off.windows(2).map(|w| (w[1] - w[0]) / 1_000).collect();
        println!("{path}: off by {} us in all", (off[off.len() - 1] - off[0]) / 1_000);
        println!("{steps:?}");
        assert!(steps.iter().all(|s| s.abs() < 2_000), "microseconds: {steps:?}");
    }
}
