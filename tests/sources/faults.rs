//! Cameras that begin well and then misbehave. Viewers stay.

use super::small;
use super::support::api::{
    SOON, assert_smooth, frames, more_frames, reason, track, until_state, until_status, view, view_with,
};
use super::support::camera::{Camera, Codec};
use super::support::faults::Fault;
use super::support::gateway::{Gateway, paths};
use super::support::until_true;
use super::support::whep::{Options, State};

#[tokio::test]
async fn a_camera_that_stalls_is_connected_anew() {
    let tcp = small().start();
    let udp = small().misbehave(Fault::NoTcp).start();
    let yaml = String::from("readTimeout: 2s\n") + &paths(&[("tcp", &tcp.url()), ("udp", &udp.url())]);
    let gateway = Gateway::start(&yaml);
    for (path, camera) in [("tcp", &tcp), ("udp", &udp)] {
        let viewer = view(&gateway, path).await;
        frames(&viewer, 5).await;
        camera.stall();
        let status = until_state(&gateway, path, "reconnecting").await;
        assert!(reason(&status).contains("nothing any more"), "{status}");
        camera.resume();
        more_frames(&viewer, 20).await;
        until_state(&gateway, path, "live").await;
        assert_smooth(&viewer);
        assert_eq!(viewer.state(), State::Connected);
        assert!(camera.plays() >= 2);
    }
}

#[tokio::test]
async fn a_cut_connection_is_noticed_at_once() {
    let camera = small().start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 5).await;
    let mark = gateway.mark();
    camera.cut();
    gateway.wait_for_line_after(mark, SOON, |l| l.contains("camera cut the connection"));
    more_frames(&viewer, 20).await;
    assert_smooth(&viewer);
    // A camera that resets every connection soon: each try is shown, the viewer stays.
    let brief = small().misbehave(Fault::ResetAfter(30)).start();
    let gateway = Gateway::start(&paths(&[("gate", &brief.url())]));
    let viewer = view(&gateway, "gate").await;
    until_true(SOON, "3 connections", || brief.plays() >= 3).await;
    more_frames(&viewer, 5).await;
    assert_smooth(&viewer);
}

#[tokio::test]
async fn another_resolution_in_the_running_stream() {
    for codec in [Codec::H264, Codec::H265] {
        let mut camera = Camera::builder().codec(codec).size(320, 240).gop_frames(25).start();
        let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
        let options = Options { h265: codec == Codec::H265, packets: true, ..Options::default() };
        let viewer = view_with(&gateway, "gate", options).await;
        frames(&viewer, 10).await;
        until_status(&gateway, "gate", "320 pixels", |s| track(s, "video")["width"] == 320).await;
        camera.set_resolution(640, 480);
        let status = until_status(&gateway, "gate", "640 pixels", |s| track(s, "video")["width"] == 640).await;
        assert_eq!((&status["state"], &track(&status, "video")["height"]), (&"live".into(), &480.into()));
        more_frames(&viewer, 30).await;
        assert_smooth(&viewer);
        // Every frame that the camera sent (its encoder loses one at the change).
        let got = viewer.with(|log| log.video.indices());
        let sent = camera.frames().all().into_iter().filter(|f| f.handed.is_some()).map(|f| f.index);
        let span = got[0]..=got[got.len() - 1];
        assert_eq!(got, sent.filter(|i| span.contains(i)).collect::<Vec<_>>());
        // The viewer can decode the new size: its parameter sets came with a key frame.
        assert!(viewer.with(|log| log.video.frames.iter().filter(|f| f.key).all(|f| f.sps)));
        assert_eq!(camera.plays(), 1, "the source was restarted");
    }
}

#[tokio::test]
async fn a_wrong_sps_in_the_sdp_is_overruled_by_the_stream() {
    for codec in [Codec::H264, Codec::H265] {
        let camera = Camera::builder().codec(codec).gop_frames(25).misbehave(Fault::WrongSps).start();
        let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
        let options = Options { h265: codec == Codec::H265, payloads: true, ..Options::default() };
        let viewer = view_with(&gateway, "gate", options).await;
        frames(&viewer, 60).await;
        assert_smooth(&viewer);
        let status = until_status(&gateway, "gate", "640 pixels", |s| track(s, "video")["width"] == 640).await;
        assert_eq!((&status["state"], &track(&status, "video")["height"]), (&"live".into(), &360.into()));
        assert!(viewer.with(|log| log.video.frames.iter().filter(|f| f.key).all(|f| f.sps)));
        sizes_are(&viewer, codec);
    }
}

/// Decodes what the viewer got: every picture has the camera's true size.
fn sizes_are(viewer: &super::support::whep::Viewer, codec: Codec) {
    use gstreamer::prelude::*;
    let (name, depay) = match codec {
        Codec::H264 => ("H264", "rtph264depay"),
        Codec::H265 => ("H265", "rtph265depay"),
    };
    let line = format!(
        "appsrc name=in format=time caps=application/x-rtp,media=video,clock-rate=90000,encoding-name={name} \
         ! {depay} ! decodebin ! videoconvert ! appsink name=out sync=false max-buffers=1000"
    );
    let pipeline = gstreamer::parse::launch(&line).unwrap().downcast::<gstreamer::Pipeline>().unwrap();
    let src = pipeline.by_name("in").unwrap().downcast::<gstreamer_app::AppSrc>().unwrap();
    let out = pipeline.by_name("out").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let packets = viewer.with(|log| log.video.records.clone());
    for p in &packets {
        let mut data = vec![0x80, if p.marker { 0x80 | 96 } else { 96 }];
        data.extend_from_slice(&(p.seq as u16).to_be_bytes());
        data.extend_from_slice(&(p.time as u32).to_be_bytes());
        data.extend_from_slice(&[0, 0, 0, 1]);
        data.extend_from_slice(p.payload.as_ref().unwrap());
        src.push_buffer(gstreamer::Buffer::from_slice(data)).unwrap();
    }
    src.end_of_stream().unwrap();
    let mut sizes = Vec::new();
    while let Ok(sample) = out.pull_sample() {
        let s = sample.caps().unwrap().structure(0).unwrap().to_owned();
        sizes.push((s.get::<i32>("width").unwrap(), s.get::<i32>("height").unwrap()));
    }
    pipeline.set_state(gstreamer::State::Null).unwrap();
    assert!(sizes.len() >= 25 && sizes.iter().all(|s| *s == (640, 360)), "{sizes:?}");
}
