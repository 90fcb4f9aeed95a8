//! Acknowledges at once what a camera sends over TCP.
//!
//! A camera with Nagle's algorithm on (RFC 896) holds the rest of a frame until what it
//! sent before is acknowledged. Linux delays an acknowledgement by 40 ms when it takes a
//! connection for a dialogue, as after our keep-alives: frames came one interval late,
//! one in thirty. Quick acknowledgements (tcp(7), `TCP_QUICKACK`) do not stay switched
//! on: they are asked for after each packet, which also sends the one that is due.
//!
//! rtspsrc keeps its socket to itself. But GLib tells about each connection that it
//! makes, on the thread that makes it, and rtspsrc reads on the same thread.

use std::cell::RefCell;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use gio::prelude::*;
use gst::glib;
use gst::prelude::*;
use gstreamer as gst;

use crate::media::source::manager;

/// `IPPROTO_TCP` and `TCP_QUICKACK` of Linux.
const TCP_QUICKACK: (i32, i32) = (6, 12);

thread_local! {
    /// The last connection that this thread made.
    static CONNECTED: RefCell<Option<gio::Socket>> = const { RefCell::new(None) };
}

/// Keeps the camera of `src` (an rtspsrc) from waiting for us.
pub fn attach(src: &gst::Element) {
    if !cfg!(target_os = "linux") {
        return;
    }
    listen();
    manager::on_track(src, |_, pad| {
        let said = AtomicBool::new(false);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let done = acknowledge();
            if !said.swap(true, Ordering::Relaxed) {
                let how = if done { "at once" } else { "when the kernel pleases" };
                tracing::debug!("the camera's packets are acknowledged {how}");
            }
            gst::PadProbeReturn::Ok
        });
    });
}

/// Sends the acknowledgement that is due on this thread's connection. Whether there is one.
fn acknowledge() -> bool {
    let (level, option) = TCP_QUICKACK;
    CONNECTED.with_borrow(|socket| socket.as_ref().is_some_and(|s| s.set_option(level, option, 1).is_ok()))
}

/// Notes the connections of every thread from now on.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The first one of its class makes the signal known.
        drop(gio::SocketClient::new());
        if let Some(signal) = glib::subclass::SignalId::lookup("event", gio::SocketClient::static_type()) {
            use glib::translate::IntoGlib;
            // SAFETY: the signal is GSocketClient::event, which has no details and allows
            // hooks; `connected` has the type of a hook and takes no data.
            unsafe {
                glib::gobject_ffi::g_signal_add_emission_hook(
                    signal.into_glib(),
                    0,
                    Some(connected),
                    std::ptr::null_mut(),
                    None,
                );
            }
        }
    });
}

/// The hook: client, event, where to, connection.
unsafe extern "C" fn connected(
    _: *mut glib::gobject_ffi::GSignalInvocationHint,
    count: u32,
    values: *const glib::gobject_ffi::GValue,
    _: glib::ffi::gpointer,
) -> glib::ffi::gboolean {
    // SAFETY: GLib hands over so many values, alive during the call; glib::Value has the
    // layout of a GValue.
    let values = unsafe { std::slice::from_raw_parts(values.cast::<glib::Value>(), count as usize) };
    let of = |n: usize| values.get(n);
    if of(1).and_then(|v| v.get::<gio::SocketClientEvent>().ok()) == Some(gio::SocketClientEvent::Connected)
        && let Some(connection) = of(3).and_then(|v| v.get::<gio::SocketConnection>().ok())
    {
        // A thread that is ending has no use for it.
        let _ = CONNECTED.try_with(|c| *c.borrow_mut() = Some(connection.socket()));
    }
    glib::ffi::GTRUE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_connection_is_found_and_acknowledged() {
        listen();
        assert!(!acknowledge(), "none yet");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connection =
            gio::SocketClient::new().connect_to_host("127.0.0.1", port, None::<&gio::Cancellable>).unwrap();
        assert!(acknowledge());
        let ours = CONNECTED.with_borrow(|s| s.as_ref().unwrap().local_address().unwrap());
        assert_eq!(
            ours.downcast::<gio::InetSocketAddress>().unwrap().port(),
            connection.local_address().unwrap().downcast::<gio::InetSocketAddress>().unwrap().port()
        );
        assert!(!std::thread::spawn(acknowledge).join().unwrap(), "another thread has none of it");
        // A connection that is gone harms nobody.
        connection.socket().close().unwrap();
        assert!(!acknowledge());
    }
}
