//! Says good-bye to a peer: webrtcbin just stops, and the other side would show
//! its last picture until ICE gives up, half a minute later.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gstreamer as gst;

/// Longest wait for each of the two steps; they take less than a millisecond.
const STEP: Duration = Duration::from_millis(200);

/// Sends DTLS close_notify where the handshake was finished, and waits until it
/// is with the socket. Blocking.
pub fn say(webrtc: &gst::Element) {
    let Some(bin) = webrtc.downcast_ref::<gst::Bin>() else { return };
    for encoder in bin.iterate_all_by_element_factory_name("dtlsenc").into_iter().flatten() {
        let state = encoder.property_value("connection-state");
        if glib::EnumValue::from_value(&state).is_some_and(|(_, v)| v.nick() == "connected") {
            close(&encoder);
        }
    }
}

/// The encoder closes its side when its stream ends: that of the data channels,
/// which webrtcbin lays on whether there are any or not.
fn close(encoder: &gst::Element) {
    let (Some(source), Some(sink)) = (encoder.static_pad("src"), encoder.static_pad("sink")) else { return };
    let sent = signalled(&source, gst::PadProbeType::BUFFER);
    sink.send_event(gst::event::StreamStart::new("farewell"));
    sink.send_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    sink.send_event(gst::event::Eos::new());
    if sent.recv_timeout(STEP).is_ok() {
        // It was on its way then; the pad is idle when it has arrived.
        let _ = signalled(&source, gst::PadProbeType::IDLE).recv_timeout(STEP);
    }
}

/// Tells when a probe of this kind is called for the first time.
fn signalled(pad: &gst::Pad, kind: gst::PadProbeType) -> Receiver<()> {
    let (tx, rx) = sync_channel(1);
    pad.add_probe(kind, move |_, _| {
        let _ = tx.try_send(());
        gst::PadProbeReturn::Remove
    });
    rx
}
