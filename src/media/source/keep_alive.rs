//! Keeps an RTSP session on interleaved TCP alive.
//!
//! Before 1.26.7 rtspsrc sends no keep-alive while frames arrive over TCP, and
//! cameras end the session after its timeout. It can be asked for one by its
//! action signal "get-parameters", with a catch: the request takes the place of
//! whatever waits to be done next, and while a slow camera is being opened that may
//! be PLAY. So it is asked from rtspsrc's own thread, while that hands a packet to the
//! session manager: then nothing waits, and packets that come before the answer are
//! handed on as usual (gstrtspsrc.c, gst_rtspsrc_loop_send_cmd and
//! gst_rtsp_src_receive_response).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gstreamer as gst;

use crate::media::source::manager;

/// Between two keep-alives. Cameras end sessions after 10 s at the shortest; 60 s
/// is usual.
const EVERY: Duration = Duration::from_secs(5);

/// Makes `src` (an rtspsrc) send keep-alives as long as packets arrive over TCP.
/// Without packets rtspsrc sends them itself.
pub fn attach(src: &gst::Element) {
    let due = Arc::new(Mutex::new(Instant::now() + EVERY));
    manager::on_track(src, move |src, pad| watch(pad, src.downgrade(), due.clone()));
}

/// Looks at the clock with each packet of one track.
fn watch(pad: &gst::Pad, src: glib::WeakRef<gst::Element>, due: Arc<Mutex<Instant>>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let now = Instant::now();
        let mut due = due.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= *due
            && let Some(src) = src.upgrade()
        {
            *due = now + EVERY;
            drop(due);
            ask(&src);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Asks for no parameter at all, which is what RFC 2326 §10.8 has for this. The
/// answer is of no interest: a camera that says "not understood" has heard us.
fn ask(src: &gst::Element) {
    let none = glib::StrV::new();
    src.emit_by_name::<bool>("get-parameters", &[&none, &None::<&str>, &gst::Promise::new()]);
}
