//! Says good-bye to a peer: webrtcbin just stops, and the other side would show
//! its last picture until ICE gives up, half a minute later.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gstreamer as gst;

/// Longest wait for the alert to be sent; it takes less than a millisecond.
const SENT: Duration = Duration::from_millis(200);

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
    let (tx, sent) = sync_channel(1);
    source.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(peer) = pad.peer() else { return gst::PadProbeReturn::Ok };
        // Brought to the socket from here, so that it is known when it is there.
        if let Some(gst::PadProbeData::Buffer(alert)) = info.data.take() {
            let _ = peer.chain(alert);
        }
        let _ = tx.try_send(());
        gst::PadProbeReturn::Handled
    });
    sink.send_event(gst::event::StreamStart::new("farewell"));
    sink.send_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    sink.send_event(gst::event::Eos::new());
    let _ = sent.recv_timeout(SENT);
}
