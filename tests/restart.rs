//! A camera restarts under playing viewers: they stay, and go on from the next key
//! frame without a gap in sequence numbers and with timestamps that only grow.

mod support;

use support::api::{
    SOON, assert_smooth, audio, frames, more_frames, reason, track, until_state, until_status, view, view_with,
};
use support::camera::{Audio, Builder, Camera, Codec};
use support::gateway::{Engine, Gateway, paths};
use support::until_true;
use support::whep::{Options, State, Viewer};

crate::on_both_engines!(
    viewers_stay_and_go_on_from_the_next_key_frame,
    another_size_after_the_restart_changes_nothing_for_viewers,
    another_codec_ends_the_sessions_with_the_reason_and_they_can_join_again,
    audio_that_appears_is_joined_anew_and_audio_that_goes_is_not,
);

fn small() -> Builder {
    Camera::builder().size(320, 240).gop_frames(25).prerecorded()
}

/// Wherever frames are missing, the next one is a key frame.
#[track_caller]
fn assert_key_after_each_gap(viewer: &Viewer) {
    viewer.with(|log| {
        let frames: Vec<_> = log.video.frames.iter().filter_map(|f| Some((f.index()?, f.key))).collect();
        let gaps: Vec<_> = frames.windows(2).filter(|w| w[1].0 != w[0].0 + 1).collect();
        assert!(gaps.iter().all(|w| w[1].1 && w[1].0 > w[0].0), "{gaps:?}");
    });
}

/// Waits until the server has ended the session.
async fn ended(viewer: &Viewer) {
    until_true(SOON, "the session's end", || viewer.state() != State::Connected).await;
}

async fn viewers_stay_and_go_on_from_the_next_key_frame(engine: Engine) {
    let mut camera = small().audio(Audio::Opus).start();
    let gateway = Gateway::on(engine, &paths(&[("gate", &camera.url())]));
    let viewers = [view(&gateway, "gate").await, view(&gateway, "gate").await];
    for viewer in &viewers {
        frames(viewer, 30).await;
        audio(viewer, 50).await;
    }
    // Off for a moment, and off until everybody has noticed.
    camera.restart();
    until_true(SOON, "the next PLAY", || camera.plays() >= 2).await;
    for viewer in &viewers {
        more_frames(viewer, 30).await;
    }
    camera.stop();
    let status = until_state(&gateway, "gate", "reconnecting").await;
    reason(&status);
    assert_eq!(status["readers"], 2);
    let base = gateway.url().to_string();
    let late = tokio::spawn(async move { Viewer::join(&base, "gate", Options::default()).await });
    camera.start_again();
    for viewer in &viewers {
        more_frames(viewer, 30).await;
        let sound = viewer.with(|log| log.audio.packets);
        audio(viewer, sound + 50).await;
        assert_eq!(viewer.state(), State::Connected);
        assert_smooth(viewer);
        assert_key_after_each_gap(viewer);
        let gaps = viewer.with(|log| log.video.indices().windows(2).filter(|w| w[1] != w[0] + 1).count());
        assert!(gaps >= 2, "no restart was seen");
    }
    // Who came while it was off was held, and let in.
    let late = late.await.unwrap().expect("the join during the outage");
    frames(&late, 10).await;
    late.with(|log| {
        let v = &log.video;
        let first: Vec<_> = v.frames.iter().take(3).map(|f| (f.key, f.packets, f.complete, f.index())).collect();
        let lost = (v.early, v.lost, v.nacks_sent, v.plis_sent, v.first_packet.zip(log.connected).map(|(f, c)| f - c));
        assert!(v.frames[0].key, "{first:?}, early, lost, NACKs, PLIs, after connected: {lost:?}");
    });
    let status = until_state(&gateway, "gate", "live").await;
    assert_eq!((&status["readers"], status["reason"].is_null()), (&3.into(), true));
    let log = gateway.log();
    assert!(!log.iter().any(|l| l.contains("viewer leaves")), "somebody had to join again");
}

async fn another_size_after_the_restart_changes_nothing_for_viewers(engine: Engine) {
    let mut camera = Camera::builder().size(320, 240).gop_frames(25).start();
    let gateway = Gateway::on(engine, &paths(&[("gate", &camera.url())]));
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 20).await;
    camera.stop();
    camera.set_resolution(640, 480);
    camera.start_again();
    until_status(&gateway, "gate", "640 pixels", |s| track(s, "video")["width"] == 640).await;
    more_frames(&viewer, 20).await;
    assert_smooth(&viewer);
    assert_key_after_each_gap(&viewer);
    assert!(viewer.with(|log| log.video.frames.iter().filter(|f| f.key).all(|f| f.sps)));
}

async fn another_codec_ends_the_sessions_with_the_reason_and_they_can_join_again(engine: Engine) {
    let mut camera = small().start();
    let gateway = Gateway::on(engine, &paths(&[("gate", &camera.url())]));
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 10).await;
    camera.stop();
    camera.set_codec(Codec::H265);
    camera.start_again();
    ended(&viewer).await;
    gateway.wait_for_line(SOON, |l| l.contains("codec changed"));
    until_status(&gateway, "gate", "H.265", |s| s["state"] == "live" && track(s, "video")["codec"] == "H265").await;
    let again = view_with(&gateway, "gate", Options { h265: true, packets: true, ..Options::default() }).await;
    frames(&again, 20).await;
    assert_smooth(&again);
    // Who knows no H.265 is told so.
    let refused = Viewer::join(gateway.url(), "gate", Options::default()).await.err().expect("joined");
    assert!((400..500).contains(&refused.status) && refused.body.contains("H.265"), "{refused}");
}

async fn audio_that_appears_is_joined_anew_and_audio_that_goes_is_not(engine: Engine) {
    let mut camera = small().start();
    let gateway = Gateway::on(engine, &paths(&[("gate", &camera.url())]));
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 10).await;
    camera.stop();
    camera.set_audio(Some(Audio::Pcma));
    camera.start_again();
    ended(&viewer).await;
    gateway.wait_for_line(SOON, |l| l.contains("codec changed"));
    until_status(&gateway, "gate", "audio", |s| s["state"] == "live" && track(s, "audio")["codec"] == "G711").await;
    let viewer = view(&gateway, "gate").await;
    audio(&viewer, 50).await;
    frames(&viewer, 10).await;
    camera.stop();
    camera.set_audio(None);
    camera.start_again();
    more_frames(&viewer, 30).await;
    assert_eq!(viewer.state(), State::Connected);
    assert_smooth(&viewer);
    let heard = viewer.with(|log| log.audio.packets);
    // And it may come back: nobody has to join again.
    camera.stop();
    camera.set_audio(Some(Audio::Pcma));
    camera.start_again();
    audio(&viewer, heard + 50).await;
    more_frames(&viewer, 10).await;
    assert_eq!(viewer.state(), State::Connected);
    assert_smooth(&viewer);
}

#[tokio::test]
async fn the_pipeline_of_a_launch_line_restarts_in_the_same_way() {
    let line = "gst: videotestsrc is-live=true num-buffers=60 ! video/x-raw,width=320,height=240,framerate=25/1 ! \
                x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25";
    let gateway = Gateway::start(&paths(&[("gate", line)]));
    let viewer = view(&gateway, "gate").await;
    // Three lives of the pipeline.
    frames(&viewer, 150).await;
    assert_smooth(&viewer);
    assert_eq!(viewer.state(), State::Connected);
}
