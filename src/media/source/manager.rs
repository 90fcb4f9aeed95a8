//! rtspsrc's session manager (rtpbin), as far as a source has to do with it.

use gst::prelude::*;
use gstreamer as gst;

use crate::media::source::passage::Passage;

/// Calls `watch` with the pad that takes a track's packets as they come from the
/// network, once per track. What a probe there does, rtspsrc's own thread does.
pub fn on_track(src: &gst::Element, watch: impl Fn(&gst::Element, &gst::Pad) + Clone + Send + Sync + 'static) {
    src.connect("new-manager", false, move |args| {
        let src = args.first().and_then(|v| v.get::<gst::Element>().ok())?.downgrade();
        let manager = args.get(1).and_then(|v| v.get::<gst::Element>().ok())?;
        let watch = watch.clone();
        manager.connect_pad_added(move |_, pad| {
            if let (Some(src), true) = (src.upgrade(), pad.name().starts_with("recv_rtp_sink_")) {
                watch(&src, pad);
            }
        });
        None
    });
}

/// Takes the jitter buffers out: TCP loses nothing and keeps the order, and each costs
/// two threads, two changes of thread per packet, and a third of what a camera costs.
pub fn without_jitter_buffers(src: &gst::Element) {
    src.connect("new-manager", false, |args| {
        let manager = args.get(1).and_then(|v| v.get::<gst::Element>().ok())?;
        // A server may bring another manager (RDT), which has no such signal.
        if manager.factory().is_some_and(|f| f.name() == "rtpbin") {
            manager
                .connect("request-jitterbuffer", false, |_| Some(Passage::new().upcast::<gst::Element>().to_value()));
        }
        None
    });
}
