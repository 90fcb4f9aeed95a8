//! The clients of a camera's RTSP server: what they asked is counted, and what a
//! fault concerns is answered by it.

use super::camera_media::Controls;
use super::faults::{self, Fault};
use gstreamer_rtsp_server as rtsp;
use rtsp::gio;
use rtsp::glib;
use rtsp::gst_rtsp;
use rtsp::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Counters of what clients did, over all restarts.
#[derive(Debug, Default)]
pub struct Counters {
    /// TCP connections accepted.
    pub connections: AtomicUsize,
    /// TCP connections that are closed again.
    pub closed: AtomicUsize,
    /// DESCRIBE requests, those without credentials included.
    pub describes: AtomicUsize,
    pub setups: AtomicUsize,
    /// PLAY requests that succeeded.
    pub plays: AtomicUsize,
    pub teardowns: AtomicUsize,
    /// OPTIONS, GET_PARAMETER and SET_PARAMETER requests.
    pub keep_alives: AtomicUsize,
    /// `Transport` headers of the SETUP requests.
    pub transports: Mutex<Vec<String>>,
}

/// When a client last sent a request, and whether it plays.
pub(super) type Clients = Arc<Mutex<HashMap<usize, (glib::WeakRef<rtsp::RTSPClient>, Instant, bool)>>>;

/// Counts a client's requests and answers those that a fault concerns.
pub(super) fn watch(client: &rtsp::RTSPClient, counters: &Arc<Counters>, controls: &Arc<Controls>, clients: &Clients) {
    counters.connections.fetch_add(1, SeqCst);
    if let Some(fd) = socket(client) {
        let on: libc::c_int = 1;
        // Nagle is on by default and holds the rest of a frame back.
        // SAFETY: pointer and size are those of a live int.
        unsafe {
            libc::setsockopt(
                fd,
                libc::IPPROTO_TCP,
                libc::TCP_NODELAY,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
    let id = client.as_ptr() as usize;
    clients.lock().unwrap().insert(id, (client.downgrade(), Instant::now(), false));
    client.connect_closed({
        let (counters, clients) = (counters.clone(), clients.clone());
        move |_| {
            if clients.lock().unwrap().remove(&id).is_some() {
                counters.closed.fetch_add(1, SeqCst);
            }
        }
    });
    let touch = {
        let clients = clients.clone();
        move |plays: bool| {
            if let Some((_, at, playing)) = clients.lock().unwrap().get_mut(&id) {
                *at = Instant::now();
                *playing |= plays;
            }
        }
    };
    client.connect_new_session({
        let controls = controls.clone();
        move |_, session| {
            if let Some(seconds) = session_timeout(&controls) {
                session.set_timeout(seconds);
                session.set_timeout_always_visible(true);
            }
        }
    });
    let keep_alive = {
        let (touch, counters) = (touch.clone(), counters.clone());
        move || {
            touch(false);
            counters.keep_alives.fetch_add(1, SeqCst);
            gst_rtsp::RTSPStatusCode::Ok
        }
    };
    let also = keep_alive.clone();
    client.connect_pre_options_request(move |_, _| also());
    let also = keep_alive.clone();
    client.connect_pre_get_parameter_request(move |_, _| also());
    client.connect_pre_set_parameter_request(move |_, _| keep_alive());
    client.connect_pre_describe_request({
        let (touch, counters, controls) = (touch.clone(), counters.clone(), controls.clone());
        move |_, _| {
            touch(false);
            counters.describes.fetch_add(1, SeqCst);
            let faults = controls.faults.lock().unwrap();
            faults
                .iter()
                .find_map(|f| match f {
                    Fault::Describe(code) => Some(status(*code)),
                    _ => None,
                })
                .unwrap_or(gst_rtsp::RTSPStatusCode::Ok)
        }
    });
    client.connect_pre_setup_request({
        let (touch, counters, controls) = (touch.clone(), counters.clone(), controls.clone());
        move |_, ctx| {
            touch(false);
            counters.setups.fetch_add(1, SeqCst);
            counters.transports.lock().unwrap().extend(transport(ctx));
            let audio = ctx.uri().is_some_and(|uri| uri.request_uri().ends_with("stream=1"));
            let faults = controls.faults.lock().unwrap();
            faults
                .iter()
                .find_map(|f| match f {
                    Fault::AudioSetup(code) if audio => Some(status(*code)),
                    _ => None,
                })
                .unwrap_or(gst_rtsp::RTSPStatusCode::Ok)
        }
    });
    client.connect_play_request({
        let counters = counters.clone();
        move |_, _| {
            touch(true);
            counters.plays.fetch_add(1, SeqCst);
        }
    });
    client.connect_teardown_request({
        let counters = counters.clone();
        move |_, _| {
            counters.teardowns.fetch_add(1, SeqCst);
        }
    });
}

fn session_timeout(controls: &Controls) -> Option<u32> {
    let faults = controls.faults.lock().unwrap();
    faults.iter().find_map(|f| match f {
        Fault::SessionTimeout(seconds) => Some(*seconds),
        _ => None,
    })
}

/// Drops sessions that are over, and clients whose last request is too old.
pub(super) fn expire(server: &rtsp::RTSPServer, controls: &Controls, clients: &Clients) {
    if let Some(pool) = server.session_pool() {
        pool.cleanup();
    }
    let Some(seconds) = session_timeout(controls) else {
        return;
    };
    let late: Vec<_> = clients
        .lock()
        .unwrap()
        .values()
        .filter(|(_, at, playing)| *playing && at.elapsed() > Duration::from_secs(seconds.into()))
        .filter_map(|(client, ..)| client.upgrade())
        .collect();
    for client in late {
        client.close(); // outside the lock: it emits "closed"
    }
}

/// Resets the TCP connections of all clients.
pub(super) fn cut(server: &rtsp::RTSPServer) {
    for client in server.client_filter(None) {
        if let Some(fd) = socket(&client) {
            faults::abort(fd);
        }
    }
}

/// The client's TCP socket.
fn socket(client: &rtsp::RTSPClient) -> Option<i32> {
    // SAFETY: the connection and its socket belong to the client, which we hold.
    unsafe {
        let connection = rtsp::ffi::gst_rtsp_client_get_connection(client.as_ptr());
        if connection.is_null() {
            return None;
        }
        let socket = gst_rtsp::ffi::gst_rtsp_connection_get_read_socket(connection.cast());
        (!socket.is_null()).then(|| gio::ffi::g_socket_get_fd(socket.cast()))
    }
}

/// The `Transport` header of a request.
fn transport(ctx: &rtsp::RTSPContext) -> Option<String> {
    let request = ctx.request()?;
    let mut value = std::ptr::null_mut();
    // SAFETY: the request lives as long as the context; the header's text is
    // copied before the request can change.
    unsafe {
        gst_rtsp::ffi::gst_rtsp_message_get_header(
            glib::translate::ToGlibPtr::to_glib_none(request).0,
            gst_rtsp::ffi::GST_RTSP_HDR_TRANSPORT,
            &mut value,
            0,
        );
        (!value.is_null()).then(|| std::ffi::CStr::from_ptr(value).to_string_lossy().into_owned())
    }
}

fn status(code: u16) -> gst_rtsp::RTSPStatusCode {
    // SAFETY: the C enum is an int; unknown values become `__Unknown`.
    unsafe { glib::translate::from_glib(gst_rtsp::ffi::GstRTSPStatusCode::from(code)) }
}
