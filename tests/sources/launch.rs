//! `test` and `gst:` sources.

use super::support::api::{SOON, assert_smooth, audio, frames, reason, track, until_state, until_status, view};
use super::support::gateway::{Gateway, paths};
use super::support::whep::{Options, Viewer};

const PICTURE: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1 ! \
                       x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25";

#[tokio::test]
async fn launch_lines_of_every_kind_play() {
    let whole = format!(
        "gst: {PICTURE} ! rtph264pay config-interval=-1 mtu=1200 ! appsink name=packets sync=false max-buffers=500 drop=true \
         audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay ! \
         appsink name=audio sync=false max-buffers=500 drop=true"
    );
    let gateway = Gateway::start(&paths(&[
        ("short", &format!("gst: {PICTURE}")),
        ("whole", &whole),
        ("sound", "gst: audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc"),
        ("test", "test"),
    ]));
    for path in ["short", "whole", "test"] {
        let viewer = view(&gateway, path).await;
        frames(&viewer, 10).await;
        if path != "short" {
            audio(&viewer, 20).await;
        }
        assert_smooth(&viewer);
        assert!(viewer.with(|log| log.video.frames[0].key));
    }
    let viewer = view(&gateway, "sound").await;
    audio(&viewer, 20).await;
    assert_smooth(&viewer);
    let status = until_status(&gateway, "short", "the size", |s| track(s, "video")["width"] == 320).await;
    assert_eq!(track(&status, "video")["codec"], "H264");
}

#[tokio::test]
async fn lines_that_do_not_work_say_why() {
    let gateway = Gateway::start(&paths(&[
        ("unknown", "gst: nosuchelement ! x264enc"),
        ("raw", "gst: videotestsrc is-live=true"),
        ("dies", &format!("gst: {PICTURE} ! identity error-after=30")),
        ("ends", &format!("gst: {} ! h264parse", PICTURE.replace("is-live=true", "is-live=true num-buffers=30"))),
    ]));
    let status = until_state(&gateway, "unknown", "reconnecting").await;
    assert!(reason(&status).contains("nosuchelement"), "{status}");
    let status = until_state(&gateway, "raw", "reconnecting").await;
    assert!(reason(&status).contains("x264enc"), "what to write: {status}");
    let refused = Viewer::join(gateway.url(), "raw", Options::default()).await.err().expect("joined");
    assert_eq!(refused.status, 502, "{refused}");
    // These begin again and again; who watches stays.
    for (path, words) in [("dies", "pipeline failed"), ("ends", "the pipeline ended")] {
        let viewer = view(&gateway, path).await;
        gateway.wait_for_line(SOON, |l| l.contains(path) && l.contains(words));
        frames(&viewer, 50).await;
        assert_smooth(&viewer);
    }
}
