//! The RTSP server of a camera.

use super::camera::Camera;
pub use super::camera_builder::Auth;
pub use super::camera_client::Counters;
use super::camera_client::{Clients, cut, expire, watch};
use super::camera_media;
pub use super::camera_media::Controls;
use super::faults::Fault;
use gstreamer as gst;
use gstreamer_rtsp_server as rtsp;
use rtsp::gio;
use rtsp::glib;
use rtsp::gst_rtsp;
use rtsp::prelude::*;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The RTSP server with its own main context and thread.
pub(super) struct Server {
    server: rtsp::RTSPServer,
    context: glib::MainContext,
    source: Option<glib::SourceId>,
    main: glib::MainLoop,
    thread: Option<std::thread::JoinHandle<()>>,
    quit: Arc<AtomicBool>,
    pub(super) controls: Arc<Controls>,
    pub(super) port: u16,
}

impl Server {
    /// Binds the port (0: any) and serves the camera's feed.
    pub(super) fn start(camera: &Camera, port: u16) -> Self {
        let set = &camera.set;
        let context = glib::MainContext::new();
        let main = glib::MainLoop::new(Some(&context), false);
        let server = rtsp::RTSPServer::new();
        server.set_address(&set.address.to_string());
        server.set_service(&port.to_string());
        // One thread (the default) would let one slow DESCRIBE block all others.
        server.thread_pool().unwrap().set_max_threads(8);

        let factory = rtsp::RTSPMediaFactory::new();
        factory.set_launch(&camera_media::launch_line(&camera.feed.conf(), set.audio, set.noisy_sound));
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
        if set.faults.contains(&Fault::Srtp) {
            factory.set_profiles(gst_rtsp::RTSPProfile::SAVP);
        }
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
            times: Mutex::default(),
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
        let source = ready.1.recv().unwrap().expect("cannot bind the camera's port");
        let port = server.bound_port() as u16;
        Self { server, context, source: Some(source), main, thread: Some(thread), quit, controls, port }
    }

    /// Resets all TCP connections.
    pub(super) fn cut(&self) {
        cut(&self.server);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(source) = self.source.take().and_then(|id| self.context.find_source_by_id(&id)) {
            source.destroy(); // closes the listening socket
        }
        // "Remove" closes the client.
        self.server.client_filter(Some(&mut |_, _| rtsp::RTSPFilterResult::Remove));
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
    let mut token = rtsp::RTSPToken::builder().field(rtsp::RTSP_TOKEN_MEDIA_FACTORY_ROLE, role).build();
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
