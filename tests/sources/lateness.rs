//! No frame waits for the next one: the camera sends each only when the one before has
//! come out at the other end.

use super::support::api::{SOON, assert_smooth, view};
use super::support::feed::{Conf, recording};
use super::support::gateway::{Gateway, paths};
use super::support::light_camera::{LightCamera, Manners};
use super::support::{proc, until_true};

#[tokio::test]
async fn each_frame_is_handed_out_before_the_camera_sends_the_next() {
    let conf = Conf { width: 640, height: 360, gop_frames: 25, prerecorded: true, noise: true, ..Conf::default() };
    let recording = recording(&conf);
    let by_hand = Manners { every: None, ..Manners::default() };
    for manners in [
        by_hand,
        // Fits as it is; waits for acknowledgements; has its parameter sets in the SDP only.
        Manners { payload: 1_100, nagle: true, ..by_hand },
        Manners { packet_by_packet: false, sets_in_band: false, ..by_hand },
    ] {
        let camera = LightCamera::start(&recording, manners);
        let gateway = Gateway::start(&paths(&[("gate", &camera.url("stream"))]));
        until_true(SOON, "PLAY", || camera.playing() == 1).await;
        let mark = gateway.mark();
        // A key frame alone lets readers in.
        assert_eq!(camera.send(), 0);
        let viewer = view(&gateway, "gate").await;
        // A camera that waits for acknowledgements waits 40 ms for slow ones.
        gateway.wait_for_line_after(mark, SOON, |l| l.contains("packets are acknowledged at once"));
        // No jitter buffer, which would take turns with others on threads of its own.
        let threads = proc::thread_names(gateway.pid());
        assert!(!threads.iter().any(|name| name.starts_with("rtpjitter")), "{threads:?}");
        for index in 0..60 {
            until_true(SOON, &format!("frame {index}"), || {
                viewer.with(|log| log.video.indices().last() == Some(&index))
            })
            .await;
            assert_eq!(camera.send(), index + 1, "{manners:?}");
        }
        assert_smooth(&viewer);
        assert!(viewer.with(|log| log.video.frames.iter().all(|f| f.complete && f.key == f.sps)), "{manners:?}");
        assert!(viewer.with(|log| log.video.indices().into_iter().take(60).eq(0..60)));
    }
}
