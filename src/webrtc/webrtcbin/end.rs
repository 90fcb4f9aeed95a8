//! The end of a viewer's pipeline: goodbye to the peer, then everything is released.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gstreamer as gst;

/// How long the last packet may take to leave; it takes less than a millisecond.
const FAREWELL: Duration = Duration::from_millis(100);

/// Owns a viewer's pipeline.
pub struct Session {
    pub pipeline: gst::Pipeline,
    pub webrtc: gst::Element,
}

impl Session {
    /// Stops and releases everything. Blocking.
    pub fn shut(self) {
        farewell(&self.webrtc);
        let _ = self.pipeline.set_state(gst::State::Null);
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
        // Left in its bin, one thread of webrtcbin would stay behind per session.
        let _ = self.pipeline.remove(&self.webrtc);
    }
}

/// Tells the peer that this is the end (DTLS close_notify), or it would wait until
/// its timeouts before it joins again. webrtcbin does not do so by itself; its
/// encryptor does when a data channel ends, which an EOS on a pad for one looks like.
fn farewell(webrtc: &gst::Element) {
    let Some(bin) = webrtc.downcast_ref::<gst::Bin>() else { return };
    for encryptor in bin.iterate_all_by_element_factory_name("dtlsenc").into_iter().flatten() {
        let state = encryptor.property_value("connection-state");
        let connected = glib::EnumValue::from_value(&state).is_some_and(|(_, v)| v.nick() == "connected");
        let (Some(out), true) = (encryptor.static_pad("src"), connected) else { continue };
        let pad = encryptor.static_pad("sink").or_else(|| encryptor.request_pad_simple("sink"));
        let Some(pad) = pad else { continue };
        let (tx, sent) = sync_channel(1);
        let probe = out.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = tx.try_send(());
            gst::PadProbeReturn::Ok
        });
        pad.send_event(gst::event::StreamStart::new("farewell"));
        pad.send_event(gst::event::Eos::new());
        // Its own thread sends it; what follows waits for that thread to finish.
        let _ = sent.recv_timeout(FAREWELL);
        if let Some(probe) = probe {
            out.remove_probe(probe);
        }
    }
}
