//! The element that stands in a pipeline for a camera, and behaves there as rtspsrc does:
//! it tells the camera's SDP, asks which streams are wanted, has a pad for each, and says
//! why it failed in rtspsrc's words, which [`crate::media::source::failure`] reads.

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gstreamer as gst;
use gstreamer_sdp as gst_sdp;

use super::connection::Fault;
use super::task::Conf;

glib::wrapper! {
    /// `camgatertspsrc`. Signals as rtspsrc has them: `on-sdp` (the SDP), `select-stream`
    /// (its number; whether to take it), `no-more-pads`.
    pub struct RtspSrc(ObjectSubclass<imp::RtspSrc>) @extends gst::Element, gst::Object;
}

impl RtspSrc {
    /// For one attempt at a camera; begins with PLAYING, ends with READY.
    pub fn new(conf: Conf) -> Self {
        static ONCE: std::sync::Once = std::sync::Once::new();
        // By name it can be found in lists and drawings of a pipeline.
        ONCE.call_once(|| {
            let _ = gst::Element::register(None, "camgatertspsrc", gst::Rank::NONE, Self::static_type());
        });
        let src: Self = glib::Object::builder().property("name", "src").build();
        src.imp().set(conf);
        src
    }

    /// The camera described itself.
    pub(super) fn described(&self, sdp: &gst_sdp::SDPMessageRef) {
        self.imp().unless_stopped(|| self.emit_by_name::<()>("on-sdp", &[&sdp.to_owned()]));
    }

    /// Whether the stream of this number is wanted; without anybody to ask it is not.
    pub(super) fn selects(&self, number: u32) -> bool {
        let asked = || self.emit_by_name::<bool>("select-stream", &[&number]);
        self.imp().unless_stopped(asked).unwrap_or(false)
    }

    /// A pad for a stream. Whoever waits for it may load plugins: off the async threads.
    pub(super) fn expose(&self, number: u32, caps: &gst::CapsRef) -> Option<gst::Pad> {
        self.imp().unless_stopped(|| {
            let pad = gst::Pad::builder_from_template(&self.pad_template("stream_%u")?)
                .name(format!("stream_{number}"))
                .query_function(|pad, parent, query| match query.view_mut() {
                    gst::QueryViewMut::Latency(q) => {
                        q.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                        true
                    }
                    _ => gst::Pad::query_default(pad, parent, query),
                })
                .build();
            pad.set_active(true).ok()?;
            let stream = gst::event::StreamStart::builder(&format!("camera/{number}")).build();
            let segment = gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new());
            for event in [stream, gst::event::Caps::new(&caps.to_owned()), segment] {
                pad.store_sticky_event(&event).ok()?;
            }
            self.add_pad(&pad).ok()?;
            Some(pad)
        })?
    }

    /// Every stream that the camera let us set up has its pad.
    pub(super) fn complete(&self) {
        self.imp().unless_stopped(|| self.no_more_pads());
    }

    /// The attempt has failed.
    pub(super) fn failed(&self, fault: Fault) {
        self.imp().unless_stopped(|| {
            let _ = self.post_message(message(self, fault));
        });
    }
}

/// A fault in rtspsrc's words.
fn message(src: &RtspSrc, fault: Fault) -> gst::Message {
    let status = match fault {
        Fault::Status(status) => Some(u32::from(status)),
        _ => None,
    };
    let (text, debug) = match fault {
        Fault::Unreachable => {
            ("Could not open resource for reading and writing.", "Failed to connect. (Generic error)")
        }
        Fault::Silent => ("Could not read from resource.", "Timeout while waiting for server response"),
        Fault::Closed => ("Could not read from resource.", "Received end-of-file"),
        Fault::Broken => ("Could not read from resource.", "System error"),
        Fault::Nonsense => ("Could not read from resource.", "Parse error"),
        Fault::Status(_) => ("Could not read from resource.", "the camera's answer is no success"),
        Fault::Rtsps => ("Could not read from resource.", "redirected to RTSPS"),
        Fault::NoSdp => ("Could not read from resource.", "Server can not provide an SDP."),
        Fault::Nothing => ("Could not read from resource.", "no stream was selected"),
        Fault::Flow(gst::FlowError::NotNegotiated) => {
            ("Internal data stream error.", "streaming stopped, reason not-negotiated (-4)")
        }
        Fault::Flow(_) => ("Internal data stream error.", "streaming stopped, reason error (-5)"),
        Fault::Stuck => ("Could not start.", "the pipeline does not answer"),
    };
    let error = gst::message::Error::builder(gst::ResourceError::Read, text).debug(debug).src(src);
    match status {
        Some(status) => {
            error.details(gst::Structure::builder("details").field("rtsp-status-code", status).build()).build()
        }
        None => error.build(),
    }
}

mod imp {
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use gst::glib;
    use gst::prelude::*;
    use gst::subclass::prelude::*;
    use gstreamer as gst;
    use gstreamer_sdp as gst_sdp;
    use tokio::sync::Notify;

    use super::super::task::{self, Conf};
    use super::super::threads;

    /// For the farewell to the camera, so that it is not cut off where the process ends.
    const FAREWELL: Duration = Duration::from_secs(1);

    #[derive(Default)]
    pub struct RtspSrc {
        conf: Mutex<Option<Conf>>,
        running: Mutex<Option<Running>>,
        /// Held while somebody outside is told something: none of it happens in a pipeline
        /// that is being stopped.
        stopped: Mutex<bool>,
    }

    struct Running {
        stop: Arc<Notify>,
        /// Ends with the task.
        done: Receiver<()>,
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl RtspSrc {
        pub fn set(&self, conf: Conf) {
            *lock(&self.conf) = Some(conf);
        }

        pub fn unless_stopped<T>(&self, tell: impl FnOnce() -> T) -> Option<T> {
            let stopped = lock(&self.stopped);
            (!*stopped).then(tell)
        }

        fn start(&self) -> Result<(), gst::StateChangeError> {
            let mut running = lock(&self.running);
            if running.is_some() {
                return Ok(());
            }
            let (Some(conf), Some(thread)) = (lock(&self.conf).clone(), threads::next()) else {
                return Err(gst::StateChangeError);
            };
            *lock(&self.stopped) = false;
            let (stop, (gone, done)) = (Arc::new(Notify::new()), sync_channel::<()>(0));
            let attempt = task::run(self.obj().clone(), conf, stop.clone());
            thread.spawn(async move {
                attempt.await;
                drop(gone);
            });
            *running = Some(Running { stop, done });
            Ok(())
        }

        fn stop(&self) -> Option<Receiver<()>> {
            let Running { stop, done } = lock(&self.running).take()?;
            *lock(&self.stopped) = true;
            stop.notify_one();
            Some(done)
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for RtspSrc {
        const NAME: &'static str = "CamgateRtspSrc";
        type Type = super::RtspSrc;
        type ParentType = gst::Element;
    }

    impl ObjectImpl for RtspSrc {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().set_element_flags(gst::ElementFlags::SOURCE);
        }

        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<[glib::ParamSpec; 2]> = LazyLock::new(|| {
                [
                    glib::ParamSpecString::builder("location")
                        .nick("Location")
                        .blurb("The camera's URL, without credentials")
                        .read_only()
                        .build(),
                    glib::ParamSpecUInt64::builder("timeout")
                        .nick("Timeout")
                        .blurb("For a connection or an answer, in microseconds")
                        .read_only()
                        .build(),
                ]
            });
            &*PROPERTIES
        }

        fn property(&self, _: usize, spec: &glib::ParamSpec) -> glib::Value {
            let conf = lock(&self.conf);
            if spec.name() == "location" {
                conf.as_ref().map(|c| c.url.location()).to_value()
            } else {
                conf.as_ref().map_or(0, |c| u64::try_from(c.patience.as_micros()).unwrap_or(u64::MAX)).to_value()
            }
        }

        fn signals() -> &'static [glib::subclass::Signal] {
            static SIGNALS: LazyLock<[glib::subclass::Signal; 2]> = LazyLock::new(|| {
                [
                    glib::subclass::Signal::builder("on-sdp").param_types([gst_sdp::SDPMessage::static_type()]).build(),
                    glib::subclass::Signal::builder("select-stream")
                        .param_types([u32::static_type()])
                        .return_type::<bool>()
                        .build(),
                ]
            });
            &*SIGNALS
        }
    }

    impl GstObjectImpl for RtspSrc {}

    impl ElementImpl for RtspSrc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Camera",
                    "Source/Network",
                    "Takes a camera's packets over RTSP and TCP, on threads that all cameras share",
                    "camgate",
                )
            });
            Some(&*METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let caps = gst::Caps::new_empty_simple("application/x-rtp");
                let stream =
                    gst::PadTemplate::new("stream_%u", gst::PadDirection::Src, gst::PadPresence::Sometimes, &caps);
                stream.into_iter().collect()
            });
            &TEMPLATES
        }

        fn change_state(&self, change: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            let done = if change == gst::StateChange::PausedToReady { self.stop() } else { None };
            let success = self.parent_change_state(change)?;
            match change {
                gst::StateChange::PausedToPlaying => self.start()?,
                // A live source has nothing to show before it plays.
                gst::StateChange::ReadyToPaused | gst::StateChange::PlayingToPaused => {
                    return Ok(gst::StateChangeSuccess::NoPreroll);
                }
                gst::StateChange::PausedToReady => {
                    if let Some(done) = done {
                        let _ = done.recv_timeout(FAREWELL);
                    }
                    for pad in self.obj().src_pads() {
                        let _ = self.obj().remove_pad(&pad);
                    }
                }
                _ => {}
            }
            Ok(success)
        }
    }
}
