//! The test kit: doubles and clients made of other people's parts.
//!
//! A test includes it with `mod support;`, a bench with
//! `#[path = "../tests/support/mod.rs"] mod support;`.
//!
//! | part | what it is |
//! |---|---|
//! | [`camera`] | a camera on gst-rtsp-server, with all the faults that cameras have |
//! | [`light_camera`] | one on plain sockets, that costs next to nothing and sends when it is told to |
//! | [`rtsp_proxy`] | a man in the middle for RTSP: rewrites, refuses, holds, cuts |
//! | [`whep`] | a WebRTC viewer on str0m, with packet, frame and latency records |
//! | [`relay`] | a bad network between viewer and gateway: loss, reordering, cuts, moves |
//! | [`tcp_bridge`] | a viewer's datagrams over TCP, which may not be read |
//! | [`ice_gate`] | a door in ICE for DTLS clients that speak no ICE |
//! | [`gateway`] | the real binary in a process of its own |
//! | [`api`] | what the gateway says of its paths |
//! | [`hls`], [`playlist`] | a player that follows playlists and checks every rule |
//! | [`browser`] | the real headless Chromium |
//! | [`watcher`] | Chromium as a viewer whose HTTP the test does |
//! | [`turn`] | a real coturn |
//! | [`ptz_hikvision`], [`ptz_onvif`] | the PTZ half of a camera: HTTP, accounts, motors; [`ptz_picture`] shows where it looks |
//! | [`static_server`] | serves a few files to the browser |
//!
//! Everything binds port 0 on loopback, everything ends when it is dropped, and
//! nothing waits for a fixed time: see [`wait_until`].
#![allow(dead_code, unused_imports)] // each test uses its own part of the kit

pub mod api;
pub mod barcode;
pub mod browser;
pub mod camera;
mod camera_builder;
mod camera_client;
mod camera_media;
mod camera_server;
mod encoder;
pub mod faults;
pub mod feed;
pub mod gateway;
pub mod hls;
pub mod ice_gate;
pub mod light_camera;
pub mod mono;
pub mod nal;
pub mod playlist;
pub mod proc;
pub mod ptz_auth;
pub mod ptz_discovery;
mod ptz_fault;
pub mod ptz_hikvision;
mod ptz_hikvision_builder;
mod ptz_hikvision_calls;
pub mod ptz_http;
pub mod ptz_motion;
pub mod ptz_onvif;
mod ptz_onvif_calls;
mod ptz_onvif_texts;
pub mod ptz_picture;
mod ptz_wire;
pub mod ptz_xml;
pub mod relay;
mod relay_queue;
pub mod rtsp_proxy;
pub mod static_server;
pub mod tcp_bridge;
pub mod turn;
pub mod watcher;
pub mod whep;
mod whep_log;
mod whep_loop;

use std::future::Future;
use std::time::{Duration, Instant};

/// How often the polling helpers look at their condition.
const POLL: Duration = Duration::from_millis(5);

/// Initialises GStreamer and the TLS of reqwest once per process.
pub fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // A thousand sockets are more than the usual 1,024 descriptors leave.
        let _ = rlimit::increase_nofile_limit(8_192);
        gstreamer::init().expect("GStreamer does not start");
        // gst-plugin-webrtchttp switches reqwest's rustls on, but no provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Whether this machine has IPv6 on loopback; says so where it has not.
pub fn ipv6() -> bool {
    let there = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !there {
        eprintln!("skipped: this machine has no IPv6");
    }
    there
}

/// Waits until `cond` gives a value, or panics with `what` after `deadline`.
/// For synchronous tests; see [`until`] for async ones.
#[track_caller]
pub fn wait_until<T>(deadline: Duration, what: &str, mut cond: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = cond() {
            return value;
        }
        assert!(Instant::now() < end, "still waiting for {what} after {deadline:?}");
        std::thread::sleep(POLL); // poll
    }
}

/// [`wait_until`] for a plain condition.
#[track_caller]
pub fn wait_true(deadline: Duration, what: &str, mut cond: impl FnMut() -> bool) {
    wait_until(deadline, what, || cond().then_some(()));
}

/// Waits until the future that `cond` makes gives a value, or panics with
/// `what` after `deadline`. Does not block the runtime.
pub async fn until<T, F>(deadline: Duration, what: &str, mut cond: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = cond().await {
            return value;
        }
        assert!(Instant::now() < end, "still waiting for {what} after {deadline:?}");
        tokio::time::sleep(POLL).await; // poll
    }
}

/// [`until`] for a plain condition.
pub async fn until_true(deadline: Duration, what: &str, mut cond: impl FnMut() -> bool) {
    until(deadline, what, || std::future::ready(cond().then_some(()))).await;
}
