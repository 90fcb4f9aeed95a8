//! What HTTP needs from the rest of camgate, in one trait: so that this room is
//! tested without a camera, and the others without HTTP.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::config::Config;
use crate::error::Result;
use crate::media::snapshot::Width;
use crate::path::status::PathStatus;
use crate::ptz::{Ask, Camera, Reply};

/// A future on the heap, as a trait object's methods return it.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The inside of camgate, as HTTP sees it. Futures may be dropped at any await:
/// that is what happens when a client goes away while it waits.
pub trait Gateway: Send + Sync + 'static {
    /// The configuration of this moment. Asked once per request.
    fn config(&self) -> Arc<Config>;

    /// Whether requests can be met: false while starting and while shutting down.
    fn ready(&self) -> bool;

    /// All paths that there are, sorted by name.
    fn statuses(&self) -> Boxed<'_, Vec<PathStatus>>;

    /// One path; `NotFound` for a name that no configuration entry matches.
    fn status<'a>(&'a self, path: &'a str) -> Boxed<'a, Result<PathStatus>>;

    /// The last picture of a path. Starts no camera and makes no path.
    ///
    /// Errors: 404 for an unknown path, and for one without a picture (yet); 503 when
    /// the picture cannot be made.
    fn snapshot<'a>(&'a self, look: Look<'a>) -> Boxed<'a, Result<Seen>>;

    /// Parses the offer (first: a malformed one starts no camera), joins the
    /// path, opens a session.
    fn watch(&self, request: Watch) -> Boxed<'_, Result<Opened>>;

    /// Hands a trickle-ice-sdpfrag to a session. With something to tell where it was an
    /// ICE restart.
    fn patch<'a>(&'a self, patch: Patch<'a>) -> Boxed<'a, Result<Option<Restarted>>>;

    /// Ends a session; `NotFound` when it is unknown or gone.
    fn delete<'a>(&'a self, path: &'a str, secret: &'a str) -> Boxed<'a, Result<()>>;

    /// Answers a request for a playlist or for media; the first one of a path starts
    /// its muxer. Holds what asks for what is still to come.
    fn hls<'a>(&'a self, request: Hls<'a>) -> Boxed<'a, Result<HlsAnswer>>;

    /// The cameras that can be steered, by name. Waits for none of them.
    fn cameras(&self) -> Vec<Camera>;

    /// Asks something of the camera of a path.
    ///
    /// Errors: 404 unknown path or preset; 409 no PTZ there, or not of this kind; 502 the
    /// camera refuses; 503 too much waits for it; 504 it is silent.
    fn steer<'a>(&'a self, path: &'a str, ask: Ask) -> Boxed<'a, Result<Reply>>;

    /// The values of the `Link` headers that announce ICE servers, with
    /// time-limited credentials made out to `user` where configured.
    fn ice_links(&self, user: &str) -> Vec<String>;
}

/// A request of HLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hls<'a> {
    /// The path's name, valid.
    pub path: &'a str,
    /// What is asked for below it; none for `index.m3u8`.
    pub name: Option<&'a str>,
    /// What of it is wanted, and whether that is waited for.
    pub reload: Reload,
    /// What goes behind every URI, percent-encoded.
    pub suffix: &'a str,
    /// Tells readers apart.
    pub reader: &'a str,
}

pub use crate::hls::muxer::Answer as HlsAnswer;
pub use crate::hls::playlist::Reload;
pub use crate::webrtc::session::Restarted;

/// A request for a picture.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The path's name, valid.
    pub path: &'a str,
    /// `None`: as large as it came.
    pub width: Option<Width>,
    /// Whether the client has the picture of this tag already (no quotes): then none
    /// is made.
    pub known: &'a (dyn Fn(&str) -> bool + Sync),
}

/// A path's last picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The entity tag, without quotes.
    pub tag: String,
    /// When its frame came from the camera.
    pub taken: SystemTime,
    /// How long ago that was.
    pub age: Duration,
    /// The JPEG; `None` when the client has it.
    pub jpeg: Option<Bytes>,
}

/// A request for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The path's name, valid.
    pub path: String,
    /// Who asks, where a user name was presented and right.
    pub user: Option<String>,
    /// From where; port 0 where a trusted proxy told the address.
    pub remote: SocketAddr,
    /// The SDP offer, as it came.
    pub offer: String,
}

/// A session that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What the Location ends in. Unguessable, not the session's id.
    pub secret: String,
    /// The entity tag, without quotes.
    pub etag: String,
    /// The SDP answer, lines ended by CRLF.
    pub answer: String,
}

/// A change to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch<'a> {
    /// The path's name, valid.
    pub path: &'a str,
    /// What the Location ended in.
    pub secret: &'a str,
    /// The entity tag that the client named, without quotes; `*` as it is;
    /// `None` without one. Where it named several, they are joined by commas.
    pub if_match: Option<&'a str>,
    /// The fragment.
    pub body: &'a str,
}
