//! A camera: gst-rtsp-server on loopback with a sensor and encoder behind it
//! ([`super::feed`]) and faults in front ([`super::faults`]).
//!
//! ```ignore
//! let camera = Camera::builder().gop_frames(250).auth(Auth::Digest("op", "p@ss%:")).start();
//! // source: camera.url_with_credentials()
//! camera.restart();
//! ```

pub use super::camera_builder::{Audio, Auth, Builder};
pub use super::camera_server::Counters;
use super::camera_server::{Controls, Server};
use super::faults::{self, Deaf, Fault};
use super::feed::{Conf, Feed, Frames};
pub use super::nal::Codec;
use super::rtsp_proxy::{RtspProxy, Rules};
use base64::Engine as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// A camera; ends when dropped.
pub struct Camera {
    pub(super) set: Builder,
    pub(super) feed: Feed,
    pub(super) counters: Arc<Counters>,
    port: u16,
    /// PEM of certificate and key; SHA-256 of the certificate in hex.
    pub(super) tls: Option<(String, String)>,
    running: Option<Running>,
    pending: Option<Conf>,
    controls: Option<Arc<Controls>>,
}

enum Running {
    Server(Server, Option<RtspProxy>),
    Deaf(Deaf),
}

impl Camera {
    pub(super) fn assemble(set: Builder, tls: Option<(String, String)>) -> Self {
        let mut camera = Self {
            feed: Feed::start(set.conf.clone(), set.scene.clone()),
            counters: Arc::default(),
            port: set.port,
            tls,
            running: None,
            pending: None,
            controls: None,
            set,
        };
        camera.start_again();
        camera
    }

    /// A camera of 640×360 at 25 fps, a key frame every 50 frames, no audio,
    /// no credentials, no faults, on 127.0.0.1 and any port.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `rtsp://127.0.0.1:PORT/stream`, without credentials.
    pub fn url(&self) -> String {
        self.url_as("")
    }

    /// The URL with the right credentials (percent-encoded), if it wants any.
    pub fn url_with_credentials(&self) -> String {
        match &self.set.auth {
            Some(Auth::Basic(user, password) | Auth::Digest(user, password)) => self.url_with(user, password),
            None => self.url(),
        }
    }

    /// The URL with credentials of your own, percent-encoded.
    pub fn url_with(&self, user: &str, password: &str) -> String {
        let encode = |s| utf8_percent_encode(s, NON_ALPHANUMERIC);
        self.url_as(&format!("{}:{}@", encode(user), encode(password)))
    }

    fn url_as(&self, credentials: &str) -> String {
        let scheme = if self.set.tls { "rtsps" } else { "rtsp" };
        let address = SocketAddr::new(self.set.address, self.port);
        format!("{scheme}://{credentials}{address}{}", self.set.path)
    }

    /// The port, the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SHA-256 of the certificate, lower case hex without colons (RTSPS only).
    pub fn fingerprint(&self) -> &str {
        &self.tls.as_ref().expect("not an RTSPS camera").1
    }

    /// The frames taken so far, with their times.
    pub fn frames(&self) -> Frames {
        self.feed.shared().frames.clone()
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub fn connections(&self) -> usize {
        match &self.running {
            Some(Running::Deaf(deaf)) => deaf.connections(),
            _ => self.counters.connections.load(SeqCst),
        }
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.connections() - self.counters.closed.load(SeqCst)
    }

    pub fn describes(&self) -> usize {
        self.counters.describes.load(SeqCst)
    }

    pub fn plays(&self) -> usize {
        self.counters.plays.load(SeqCst)
    }

    /// The proxy in front of it (only with faults of the SDP).
    pub fn proxy(&self) -> Option<&RtspProxy> {
        match &self.running {
            Some(Running::Server(_, proxy)) => proxy.as_ref(),
            _ => None,
        }
    }

    /// When a frame was taken, by the clock of the media that its one reader gets: ns.
    pub fn frame_at(&self, index: u32) -> Option<u64> {
        self.controls.as_ref()?.times.lock().unwrap().frames.get(&index).copied()
    }

    /// [`Camera::frame_at`] for a packet of encoded sound, with [`Builder::noisy_sound`].
    pub fn sound_at(&self, payload: &[u8]) -> Option<u64> {
        self.controls.as_ref()?.times.lock().unwrap().sounds.get(&super::camera_media::digest(payload)).copied()
    }

    /// Power off: connections are closed, the port refuses. The sensor's count
    /// of frames goes on.
    pub fn stop(&mut self) {
        self.running = None;
        self.controls = None;
        self.feed.clear();
    }

    /// Power on, on the same port, with what [`Camera::set_codec`] and the like asked for.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "the camera runs already");
        if let Some(conf) = self.pending.take() {
            self.feed.set_conf(conf);
        }
        let faults = &self.set.faults;
        let address = SocketAddr::new(self.set.address, self.port);
        if faults.contains(&Fault::Silent) || faults.contains(&Fault::Garbage) {
            let garbage = faults.contains(&Fault::Garbage).then_some(faults::GARBAGE);
            let deaf = Deaf::start(address, garbage).expect("cannot bind the camera's port");
            self.port = deaf.address().port();
            self.running = Some(Running::Deaf(deaf));
            return;
        }
        let rewrite = if faults.contains(&Fault::WrongSps) {
            Some(wrong_parameter_sets(&self.feed.conf()))
        } else if faults.contains(&Fault::StrangeLatm) {
            // audioMuxVersion 1 (ISO/IEC 14496-3 §1.7.3.1).
            let strange = |sdp: &str| sdp.replace("config=40", "config=c0");
            Some(Arc::new(strange) as Arc<dyn Fn(&str) -> String + Send + Sync>)
        } else {
            faults.iter().find_map(|f| if let Fault::Called(name) = f { Some(*name) } else { None }).map(|name| {
                let called = move |sdp: &str| sdp.replace("H264/90000", &format!("{name}/90000"));
                Arc::new(called) as Arc<dyn Fn(&str) -> String + Send + Sync>
            })
        };
        let server = Server::start(self, if rewrite.is_some() { 0 } else { self.port });
        let behind = SocketAddr::new(self.set.address, server.port);
        let proxy = rewrite.map(|rewrite| {
            let rules = Rules { rewrite_sdp: Some(rewrite), ..Rules::default() };
            RtspProxy::start(address, behind, rules).expect("cannot bind the camera's port")
        });
        self.port = proxy.as_ref().map_or(behind, |p| p.address()).port();
        self.controls = Some(server.controls.clone());
        self.running = Some(Running::Server(server, proxy));
    }

    /// Off and on again.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Sends nothing more; connections stay open. See [`Camera::resume`].
    pub fn stall(&self) {
        if let Some(controls) = &self.controls {
            controls.stalled.store(true, SeqCst);
        }
    }

    pub fn resume(&self) {
        if let Some(controls) = &self.controls {
            controls.stalled.store(false, SeqCst);
        }
    }

    /// Resets all TCP connections (RST).
    pub fn cut(&self) {
        match &self.running {
            Some(Running::Server(_, Some(proxy))) => proxy.cut(),
            Some(Running::Server(server, None)) => server.cut(),
            Some(Running::Deaf(deaf)) => deaf.cut(),
            None => {}
        }
    }

    /// Other faults from now on; those of transports, credentials and the
    /// connection itself only after a restart.
    pub fn set_faults(&mut self, faults: Vec<Fault>) {
        if let Some(controls) = &self.controls {
            *controls.faults.lock().unwrap() = faults.clone();
        }
        self.set.faults = faults;
    }

    /// The next frame becomes a key frame.
    pub fn request_key_frame(&self) {
        self.feed.shared().request_key();
    }

    /// Another resolution from the next frame on, in the running stream.
    pub fn set_resolution(&mut self, width: usize, height: usize) {
        (self.set.conf.width, self.set.conf.height) = (width, height);
        let mut conf = self.feed.conf();
        (conf.width, conf.height) = (width, height);
        super::feed::prepare(&conf);
        self.feed.set_conf(conf);
    }

    /// Another frame rate from the next frame on, which its parameter sets do not tell.
    pub fn set_rate(&self, fps: u32) {
        self.feed.shared().set_rate(fps);
    }

    /// Another codec, from the next start on.
    pub fn set_codec(&mut self, codec: Codec) {
        self.set.conf.codec = codec;
        super::feed::prepare(&self.set.conf);
        self.pending = Some(self.set.conf.clone());
    }

    /// Other audio (or none), from the next start on.
    pub fn set_audio(&mut self, audio: Option<Audio>) {
        self.set.audio = audio;
    }

    /// Other credentials, from the next start on.
    pub fn set_auth(&mut self, auth: Option<Auth>) {
        self.set.auth = auth;
    }
}

/// Puts the parameter sets of a picture of 320×240 into an SDP.
fn wrong_parameter_sets(conf: &Conf) -> Arc<dyn Fn(&str) -> String + Send + Sync> {
    let other = Conf { width: 320, height: 240, prerecorded: false, ..conf.clone() };
    let sets: Vec<String> = super::feed::parameter_sets(&other)
        .iter()
        .map(|nal| base64::engine::general_purpose::STANDARD.encode(nal))
        .collect();
    let wrong = match conf.codec {
        Codec::H264 => vec![("sprop-parameter-sets=", sets.join(","))],
        Codec::H265 => ["sprop-vps=", "sprop-sps=", "sprop-pps="].into_iter().zip(sets).collect(),
    };
    Arc::new(move |sdp| {
        let mut sdp = sdp.to_string();
        for (key, value) in &wrong {
            if let Some(at) = sdp.find(key).map(|at| at + key.len()) {
                let end = sdp[at..].find([';', '\r', '\n']).map_or(sdp.len(), |n| at + n);
                sdp.replace_range(at..end, value);
            }
        }
        sdp
    })
}
