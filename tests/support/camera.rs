//! A camera: gst-rtsp-server on loopback with a sensor and encoder behind it
//! ([`super::feed`]) and faults in front ([`super::faults`]).
//!
//! ```ignore
//! let camera = Camera::builder().gop_frames(250).auth(Auth::Digest("op", "p@ss%:")).start();
//! // source: camera.url_with_credentials()
//! camera.restart();
//! ```

use super::camera_media::{self, Controls};
use super::faults::{self, Deaf, Fault};
use super::feed::{Conf, Feed, Frames, Profile};
pub use super::nal::Codec;
use super::rtsp_proxy::{RtspProxy, Rules};
use base64::Engine as _;
use gstreamer as gst;
use gstreamer_rtsp_server as rtsp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rtsp::gio;
use rtsp::glib;
use rtsp::gst_rtsp;
use rtsp::prelude::*;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The audio track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audio {
    Pcmu,
    Pcma,
    Opus,
    Aac,
}

/// Credentials that the camera wants: user, password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    Basic(String, String),
    Digest(String, String),
}

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

/// See [`Camera::builder`].
#[derive(Clone)]
pub struct Builder {
    conf: Conf,
    audio: Option<Audio>,
    auth: Option<Auth>,
    faults: Vec<Fault>,
    address: IpAddr,
    port: u16,
    path: String,
    tls: bool,
    key_on_connect: bool,
}

impl Builder {
    pub fn codec(mut self, codec: Codec) -> Self {
        self.conf.codec = codec;
        self
    }
    pub fn audio(mut self, audio: impl Into<Option<Audio>>) -> Self {
        self.audio = audio.into();
        self
    }
    /// Even numbers.
    pub fn size(mut self, width: usize, height: usize) -> Self {
        (self.conf.width, self.conf.height) = (width, height);
        self
    }
    pub fn fps(mut self, fps: u32) -> Self {
        self.conf.fps = fps;
        self
    }
    pub fn gop_frames(mut self, frames: u32) -> Self {
        self.conf.gop_frames = frames;
        self
    }
    /// The encoder's target; see [`Builder::noise`] for really reaching it.
    pub fn bitrate_kbps(mut self, kbps: u32) -> Self {
        self.conf.bitrate_kbps = kbps;
        self
    }
    /// Noise in the picture, so that the encoder needs its whole bit rate.
    pub fn noise(mut self, noise: bool) -> Self {
        self.conf.noise = noise;
        self
    }
    /// H.264 only; makes the profile Main at least.
    pub fn b_frames(mut self, n: u32) -> Self {
        self.conf.b_frames = n;
        self
    }
    /// H.264 only.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.conf.profile = profile;
        self
    }
    pub fn auth(mut self, auth: impl Into<Option<Auth>>) -> Self {
        self.auth = auth.into();
        self
    }
    pub fn basic(self, user: &str, password: &str) -> Self {
        self.auth(Auth::Basic(user.into(), password.into()))
    }
    pub fn digest(self, user: &str, password: &str) -> Self {
        self.auth(Auth::Digest(user.into(), password.into()))
    }
    /// Adds a fault.
    pub fn misbehave(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
    /// `127.0.0.1` or `::1`.
    pub fn address(mut self, address: &str) -> Self {
        self.address = address.parse().expect("not an IP address");
        self
    }
    /// 0: any.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }
    /// Default: `/stream`.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }
    /// RTSPS with a self-signed certificate; see [`Camera::fingerprint`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }
    /// False: a reader that connects waits for the next key frame of the GOP,
    /// instead of making the encoder write one. DESCRIBE then waits, too.
    pub fn key_on_connect(mut self, yes: bool) -> Self {
        self.key_on_connect = yes;
        self
    }
    /// Loop over frames encoded once: next to no CPU, for benches.
    pub fn prerecorded(mut self) -> Self {
        self.conf.prerecorded = true;
        self
    }

    /// Starts it. Panics if the address is taken.
    pub fn start(self) -> Camera {
        super::init();
        if self.conf.prerecorded {
            super::feed::recording(&self.conf); // takes its time, and is kept
        }
        let tls = self.tls.then(|| {
            let key = rcgen::generate_simple_self_signed(vec!["camera.test".into()]).unwrap();
            let fingerprint = Sha256::digest(key.cert.der())
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            let pem = key.cert.pem() + &key.signing_key.serialize_pem();
            (pem, fingerprint)
        });
        let mut camera = Camera {
            feed: Feed::start(self.conf.clone()),
            counters: Arc::default(),
            port: self.port,
            tls,
            running: None,
            pending: None,
            controls: None,
            set: self,
        };
        camera.start_again();
        camera
    }
}

/// A camera; ends when dropped.
pub struct Camera {
    set: Builder,
    feed: Feed,
    counters: Arc<Counters>,
    port: u16,
    /// PEM of certificate and key; SHA-256 of the certificate in hex.
    tls: Option<(String, String)>,
    running: Option<Running>,
    pending: Option<Conf>,
    controls: Option<Arc<Controls>>,
}

enum Running {
    Server(Server, Option<RtspProxy>),
    Deaf(Deaf),
}

impl Camera {
    /// A camera of 640×360 at 25 fps, a key frame every 50 frames, no audio,
    /// no credentials, no faults, on 127.0.0.1 and any port.
    pub fn builder() -> Builder {
        Builder {
            conf: Conf::default(),
            audio: None,
            auth: None,
            faults: Vec::new(),
            address: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            path: "/stream".into(),
            tls: false,
            key_on_connect: true,
        }
    }

    /// `rtsp://127.0.0.1:PORT/stream`, without credentials.
    pub fn url(&self) -> String {
        self.url_as("")
    }

    /// The URL with the right credentials (percent-encoded), if it wants any.
    pub fn url_with_credentials(&self) -> String {
        match &self.set.auth {
            Some(Auth::Basic(user, password) | Auth::Digest(user, password)) => {
                self.url_with(user, password)
            }
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

    /// The proxy in front of it (only with [`Fault::WrongSps`]).
    pub fn proxy(&self) -> Option<&RtspProxy> {
        match &self.running {
            Some(Running::Server(_, proxy)) => proxy.as_ref(),
            _ => None,
        }
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
        let wrong_sps = faults.contains(&Fault::WrongSps);
        let server = Server::start(self, if wrong_sps { 0 } else { self.port });
        let behind = SocketAddr::new(self.set.address, server.port);
        let proxy = wrong_sps.then(|| {
            let rules = Rules {
                rewrite_sdp: Some(wrong_parameter_sets(&self.feed.conf())),
                ..Rules::default()
            };
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
        self.feed.set_conf(conf);
    }

    /// Another codec, from the next start on.
    pub fn set_codec(&mut self, codec: Codec) {
        self.set.conf.codec = codec;
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
    let other = Conf {
        width: 320,
        height: 240,
        prerecorded: false,
        ..conf.clone()
    };
    let sets: Vec<String> = super::feed::parameter_sets(&other)
        .iter()
        .map(|nal| base64::engine::general_purpose::STANDARD.encode(nal))
        .collect();
    let wrong = match conf.codec {
        Codec::H264 => vec![("sprop-parameter-sets=", sets.join(","))],
        Codec::H265 => ["sprop-vps=", "sprop-sps=", "sprop-pps="]
            .into_iter()
            .zip(sets)
            .collect(),
    };
    Arc::new(move |sdp| {
        let mut sdp = sdp.to_string();
        for (key, value) in &wrong {
            if let Some(at) = sdp.find(key).map(|at| at + key.len()) {
                let end = sdp[at..]
                    .find([';', '\r', '\n'])
                    .map_or(sdp.len(), |n| at + n);
                sdp.replace_range(at..end, value);
            }
        }
        sdp
    })
}

/// The RTSP server with its own main context and thread.
struct Server {
    server: rtsp::RTSPServer,
    context: glib::MainContext,
    source: Option<glib::SourceId>,
    main: glib::MainLoop,
    thread: Option<std::thread::JoinHandle<()>>,
    quit: Arc<AtomicBool>,
    controls: Arc<Controls>,
    port: u16,
}

/// When a client last sent a request, and whether it plays.
type Clients = Arc<Mutex<HashMap<usize, (glib::WeakRef<rtsp::RTSPClient>, Instant, bool)>>>;

impl Server {
    fn start(camera: &Camera, port: u16) -> Self {
        let set = &camera.set;
        let context = glib::MainContext::new();
        let main = glib::MainLoop::new(Some(&context), false);
        let server = rtsp::RTSPServer::new();
        server.set_address(&set.address.to_string());
        server.set_service(&port.to_string());
        // One thread (the default) would let one slow DESCRIBE block all others.
        server.thread_pool().unwrap().set_max_threads(8);

        let factory = rtsp::RTSPMediaFactory::new();
        factory.set_launch(&camera_media::launch_line(&camera.feed.conf(), set.audio));
        // A media of its own for each client, all from one feed: a shared one answers
        // 503 to who comes while it is being torn down after the client before.
        factory.set_shared(false);
        let tcp = gst_rtsp::RTSPLowerTrans::TCP;
        let udp = gst_rtsp::RTSPLowerTrans::UDP;
        factory.set_protocols(if set.faults.contains(&Fault::NoTcp) {
            udp
        } else if set.faults.contains(&Fault::NoUdp) {
            tcp
        } else {
            tcp | udp
        });
        if let Some(auth) = authentication(camera, &factory) {
            server.set_auth(Some(&auth));
        }
        let clients = Clients::default();
        let weak = server.downgrade();
        let controls = Arc::new(Controls {
            stalled: AtomicBool::new(false),
            key_on_connect: AtomicBool::new(set.key_on_connect),
            faults: Mutex::new(set.faults.clone()),
            reset: Box::new(move || {
                if let Some(server) = weak.upgrade() {
                    cut(&server);
                }
            }),
        });
        let feed = camera.feed.shared().clone();
        // The feed knows its sinks; the factory must not keep them alive.
        factory.connect_media_configure({
            let (feed, controls) = (feed.clone(), controls.clone());
            move |_, media| {
                let sink = camera_media::configure(media, &feed, &controls);
                feed.subscribe(sink);
            }
        });
        let mounts = rtsp::RTSPMountPoints::new();
        mounts.add_factory(&set.path, factory);
        server.set_mount_points(Some(&mounts));
        server.connect_client_connected({
            let counters = camera.counters.clone();
            let (controls, clients) = (controls.clone(), clients.clone());
            move |_, client| watch(client, &counters, &controls, &clients)
        });

        let (quit, ready) = (Arc::new(AtomicBool::new(false)), std::sync::mpsc::channel());
        let thread = std::thread::Builder::new()
            .name("camera-rtsp".into())
            .spawn({
                let (context, main, quit) = (context.clone(), main.clone(), quit.clone());
                let (server, controls) = (server.clone(), controls.clone());
                move || {
                    context
                        .with_thread_default(|| {
                            let _ = ready.0.send(server.attach(Some(&context)));
                            let tick = glib::timeout_source_new(
                                Duration::from_millis(100),
                                Some("sessions"),
                                glib::Priority::DEFAULT,
                                move || {
                                    expire(&server, &controls, &clients);
                                    glib::ControlFlow::Continue
                                },
                            );
                            tick.attach(Some(&context));
                            while !quit.load(SeqCst) {
                                main.run();
                            }
                            tick.destroy();
                        })
                        .unwrap();
                }
            })
            .unwrap();
        let source = ready
            .1
            .recv()
            .unwrap()
            .expect("cannot bind the camera's port");
        let port = server.bound_port() as u16;
        Self {
            server,
            context,
            source: Some(source),
            main,
            thread: Some(thread),
            quit,
            controls,
            port,
        }
    }

    fn cut(&self) {
        cut(&self.server);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(source) = self
            .source
            .take()
            .and_then(|id| self.context.find_source_by_id(&id))
        {
            source.destroy(); // closes the listening socket
        }
        // "Remove" closes the client.
        self.server
            .client_filter(Some(&mut |_, _| rtsp::RTSPFilterResult::Remove));
        if let Some(pool) = self.server.session_pool() {
            pool.filter(Some(&mut |_, _| rtsp::RTSPFilterResult::Remove));
        }
        self.quit.store(true, SeqCst);
        self.main.quit();
        self.context.wakeup();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The credentials and the certificate, and the factory's permissions for them.
fn authentication(camera: &Camera, factory: &rtsp::RTSPMediaFactory) -> Option<rtsp::RTSPAuth> {
    let set = &camera.set;
    let wrong = set.faults.contains(&Fault::WrongPassword);
    if set.auth.is_none() && !wrong && camera.tls.is_none() {
        return None;
    }
    let auth = rtsp::RTSPAuth::new();
    auth.set_realm(Some("camera double"));
    let role = "viewer";
    let mut token = rtsp::RTSPToken::builder()
        .field(rtsp::RTSP_TOKEN_MEDIA_FACTORY_ROLE, role)
        .build();
    factory.add_role_from_structure(
        &gst::Structure::builder(role)
            .field(rtsp::RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
            .field(rtsp::RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true)
            .build(),
    );
    match (&set.auth, wrong) {
        (Some(Auth::Basic(..)), true) => {
            auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Basic);
            auth.add_basic("bm9ib2R5Om5vdGhpbmc=", &token);
        }
        (_, true) => {
            auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Digest);
            auth.add_digest("nobody", "a password that no test uses", &token);
        }
        (Some(Auth::Basic(user, password)), _) => {
            auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Basic);
            auth.add_basic(&rtsp::RTSPAuth::make_basic(user, password), &token);
        }
        (Some(Auth::Digest(user, password)), _) => {
            auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Digest);
            auth.add_digest(user, password, &token);
        }
        (None, _) => auth.set_default_token(Some(&mut token)),
    }
    if let Some((pem, _)) = &camera.tls {
        auth.set_tls_certificate(Some(&gio::TlsCertificate::from_pem(pem).unwrap()));
    }
    Some(auth)
}

/// Counts a client's requests and answers those that a fault concerns.
fn watch(
    client: &rtsp::RTSPClient,
    counters: &Arc<Counters>,
    controls: &Arc<Controls>,
    clients: &Clients,
) {
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
    clients
        .lock()
        .unwrap()
        .insert(id, (client.downgrade(), Instant::now(), false));
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
    client.connect_pre_options_request({
        let (touch, counters) = (touch.clone(), counters.clone());
        move |_, _| {
            touch(false);
            counters.keep_alives.fetch_add(1, SeqCst);
            gst_rtsp::RTSPStatusCode::Ok
        }
    });
    client.connect_pre_get_parameter_request({
        let (touch, counters) = (touch.clone(), counters.clone());
        move |_, _| {
            touch(false);
            counters.keep_alives.fetch_add(1, SeqCst);
            gst_rtsp::RTSPStatusCode::Ok
        }
    });
    client.connect_pre_set_parameter_request({
        let (touch, counters) = (touch.clone(), counters.clone());
        move |_, _| {
            touch(false);
            counters.keep_alives.fetch_add(1, SeqCst);
            gst_rtsp::RTSPStatusCode::Ok
        }
    });
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
            let audio = ctx
                .uri()
                .is_some_and(|uri| uri.request_uri().ends_with("stream=1"));
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
fn expire(server: &rtsp::RTSPServer, controls: &Controls, clients: &Clients) {
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

fn cut(server: &rtsp::RTSPServer) {
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
        (!value.is_null()).then(|| {
            std::ffi::CStr::from_ptr(value)
                .to_string_lossy()
                .into_owned()
        })
    }
}

fn status(code: u16) -> gst_rtsp::RTSPStatusCode {
    // SAFETY: the C enum is an int; unknown values become `__Unknown`.
    unsafe { glib::translate::from_glib(gst_rtsp::ffi::GstRTSPStatusCode::from(code)) }
}
