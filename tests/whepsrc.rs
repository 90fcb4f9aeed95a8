//! GStreamer's whepsrc as a viewer: another WebRTC stack in front of ours, with
//! habits of its own (exactly 201; H.264 caps; the first candidate only).

mod support;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::camera::{Camera, Codec};
use support::gateway::{Engine, Gateway, paths};
use support::nal::{self, Stamp};
use support::wait_true;

const SOON: Duration = Duration::from_secs(60);

/// What the player got: the index of each frame, and whether it is a key frame.
type Seen = Arc<Mutex<Vec<(u32, bool)>>>;

struct Player {
    pipeline: gst::Pipeline,
    seen: Seen,
}

impl Player {
    /// Plays `endpoint`, video only.
    fn start(endpoint: &str) -> Self {
        support::init(); // a rustls provider has to be there before the plugin
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| gstwebrtchttp::plugin_register_static().unwrap());
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", "video")
            .field("encoding-name", "H264")
            .field("payload", 102)
            .field("clock-rate", 90_000)
            .field("packetization-mode", "1")
            .field("profile-level-id", "42e01f")
            .build();
        let source = gst::ElementFactory::make("whepsrc")
            .property("whep-endpoint", endpoint)
            .property("video-caps", caps)
            .property("audio-caps", gst::Caps::new_empty())
            .build()
            .unwrap();
        let inner = source.downcast_ref::<gst::Bin>().unwrap();
        let webrtc = inner.iterate_elements().into_iter().flatten();
        let is_webrtc = |e: &gst::Element| e.factory().is_some_and(|f| f.name() == "webrtcbin");
        let webrtc = webrtc.into_iter().find(is_webrtc).expect("whepsrc without webrtcbin");
        let ice = webrtc.property::<gst::glib::Object>("ice-agent");
        ice.set_property("ice-tcp", false);
        assert!(ice.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]));

        let pipeline = gst::Pipeline::new();
        let rest = gst::parse::bin_from_description_with_name(
            "rtph264depay name=depay ! video/x-h264,stream-format=byte-stream,alignment=au ! \
             appsink name=sink sync=false max-buffers=2000",
            false,
            "rest",
        )
        .unwrap();
        let depay = rest.by_name("depay").unwrap().static_pad("sink").unwrap();
        rest.add_pad(&gst::GhostPad::with_target(&depay).unwrap()).unwrap();
        let sink = rest.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
        let seen = Seen::default();
        let to = seen.clone();
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let map = sample.buffer().unwrap().map_readable().unwrap();
                    let stamp = nal::units(&map).find_map(|(_, nal)| Stamp::from_nal(nal, Codec::H264));
                    let key = nal::units(&map)
                        .filter_map(|(_, unit)| nal::kind(unit, Codec::H264))
                        .any(|kind| nal::is_key_slice(kind, Codec::H264));
                    if let Some(stamp) = stamp {
                        to.lock().unwrap().push((stamp.index, key));
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.add_many([&source, rest.upcast_ref()]).unwrap();
        source.connect_pad_added(move |_, pad| {
            pad.link(&rest.static_pad("sink").unwrap()).expect("whepsrc's pad does not fit");
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, seen }
    }

    /// What went wrong, with the debug text: there is the cause.
    fn error(&self) -> Option<String> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(e) => Some(format!("{} {}", e.error(), e.debug().unwrap_or_default())),
            _ => None,
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

on_both_engines!(whepsrc_plays_a_path);

async fn whepsrc_plays_a_path(engine: Engine) {
    let camera = Camera::builder().size(320, 180).gop_frames(50).start();
    let gateway = Gateway::on(engine, &paths(&[("gate", &camera.url())]));
    let player = Player::start(&format!("{}/gate/whep", gateway.url()));
    wait_true(SOON, "a hundred frames", || {
        assert_eq!(player.error(), None);
        player.seen.lock().unwrap().len() > 100
    });
    let seen = player.seen.lock().unwrap().clone();
    assert!(seen[0].1, "the first frame is no key frame: {seen:?}");
    assert!(seen.windows(2).all(|w| w[1].0 == w[0].0 + 1), "{seen:?}");
    let mark = gateway.mark();
    drop(player);
    gateway.wait_for_line_after(mark, SOON, |line| line.contains("viewer left"));
}

#[test]
fn whepsrc_is_told_why_not() {
    let gateway = Gateway::start(&paths(&[("empty", "publisher")]));
    let player = Player::start(&format!("{}/empty/whep", gateway.url()));
    let mut cause = None;
    wait_true(SOON, "an error", || {
        cause = player.error();
        cause.is_some()
    });
    assert!(cause.as_ref().unwrap().contains("404"), "{cause:?}");
}
