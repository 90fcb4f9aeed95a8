//! Sources: what feeds a path. Each runs one GStreamer pipeline made from a
//! template and hands its packets to the Hub as access units.
//!
//! A source lives for one attempt: it starts, becomes ready, fails or is stopped.
//! Who tries again, and when, is the path's business.

mod certificate;
mod clock;
mod failure;
mod keep_alive;
mod key_request;
mod launch;
mod manager;
mod passage;
mod pull;
mod quick_ack;
mod reports;
mod rtsp;
mod rtspsrc;
mod sink;
mod together;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub use failure::{Failure, FailureKind};
pub use rtspsrc::properties as rtsp_properties;

use crate::config::{RtspUrl, Transport};
use crate::media::blocking;
use crate::media::codec::Track;
use crate::media::hub::Hub;
use crate::media::pipeline::Pipeline;
use crate::media::template::Template;

/// What to start, fully decided: no configuration is looked at later.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The path's name, for logs and pipeline names.
    pub path: String,
    /// Where the frames come from.
    pub origin: Origin,
    /// An own template instead of the built-in one.
    pub template: Option<PathBuf>,
    /// No connection, answer or packet for this long is a failure.
    pub read_timeout: Duration,
    /// What earlier attempts taught.
    pub hints: Hints,
}

/// Where the frames of a path come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// The moving test picture.
    Test,
    /// A launch line of the operator.
    Launch(String),
    /// A camera.
    Rtsp {
        /// Where, and with which credentials.
        url: RtspUrl,
        /// Which transports may be tried.
        transport: Transport,
        /// SHA-256 of the camera's TLS certificate, lower-case hex.
        fingerprint: Option<String>,
    },
}

/// What an attempt taught for the next one to the same camera.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hints {
    /// The camera refused TCP: ask for UDP.
    pub udp: bool,
    /// The camera refused the audio track: go without.
    pub no_audio: bool,
    /// The camera wants what our own source does not speak (SRTP): take GStreamer's.
    pub rtspsrc: bool,
}

/// What a source tells its path.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The camera described what it sends.
    Tracks(Vec<Track>),
    /// Readers can start: a key frame is cached.
    Ready,
    /// It is over; nothing follows.
    Failed(Failure),
}

/// A source at work.
#[derive(Debug)]
pub struct Source {
    pipeline: Pipeline,
}

/// Events that wait for the path's actor; a source has three to tell, and more
/// errors than this after the first one say nothing new.
pub const EVENTS: usize = 16;

/// Making a pipeline takes milliseconds, the first time some more for its plugins.
const BUILD: Duration = Duration::from_secs(15);

impl Source {
    /// Starts an attempt. Events go to `events` (dropped when it is full: the
    /// first failure is the one that counts).
    pub async fn start(spec: &Spec, hub: &Arc<Hub>, events: mpsc::Sender<Event>) -> Result<Source, Failure> {
        let (spec, hub) = (spec.clone(), hub.clone());
        // Making elements may load plugins from disk: off the async threads.
        let built = blocking::begin(BUILD, move || match &spec.origin {
            Origin::Test | Origin::Launch(_) => launch::build(&spec, &hub, events),
            Origin::Rtsp { url, transport, fingerprint } => {
                rtsp::build(&spec, url, *transport, fingerprint.as_deref(), &hub, events)
            }
        });
        let pipeline = built
            .await
            .map_err(|fault| Failure::new(FailureKind::Internal, format!("the pipeline cannot be made: {fault}")))??;
        if let Err(reason) = pipeline.play().await {
            pipeline.stop().await;
            return Err(Failure::new(FailureKind::Internal, reason));
        }
        Ok(Source { pipeline })
    }

    /// Stops it; returns when its pipeline is gone or the deadline has passed.
    pub async fn stop(self) {
        self.pipeline.stop().await;
    }
}

/// The whole line that a `test` or `gst:` source runs.
pub fn whole_line(origin: &Origin, template: Option<&PathBuf>) -> Result<String, Failure> {
    match (origin, template) {
        (_, Some(path)) => Ok(Template::load_file(path).map_err(Failure::from)?.head),
        (Origin::Test, None) => Ok(Template::load_builtin("test.gst").map_err(Failure::from)?.head),
        (Origin::Launch(line), None) => launch::complete(line),
        (Origin::Rtsp { .. }, None) => Err(Failure::new(FailureKind::Internal, "a camera has no whole line")),
    }
}
