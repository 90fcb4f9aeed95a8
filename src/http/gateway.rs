//! What HTTP needs from the rest of camgate, in one trait: so that this room is
//! tested without a camera, and the others without HTTP.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::Config;
use crate::error::Result;
use crate::path::status::PathStatus;

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

    /// Parses the offer (first: a malformed one starts no camera), joins the
    /// path, opens a session.
    fn watch(&self, request: Watch) -> Boxed<'_, Result<Opened>>;

    /// Hands a trickle-ice-sdpfrag to a session.
    fn patch<'a>(&'a self, patch: Patch<'a>) -> Boxed<'a, Result<()>>;

    /// Ends a session; `NotFound` when it is unknown or gone.
    fn delete<'a>(&'a self, path: &'a str, secret: &'a str) -> Boxed<'a, Result<()>>;

    /// Answers a request for a playlist or for media; the first one of a path starts
    /// its muxer. Holds what asks for what is still to come.
    fn hls<'a>(&'a self, request: Hls<'a>) -> Boxed<'a, Result<HlsAnswer>>;

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
    /// The query as it came.
    pub query: &'a str,
    /// What goes behind every URI, percent-encoded.
    pub suffix: &'a str,
    /// Tells readers apart.
    pub reader: &'a str,
}

pub use crate::hls::muxer::Answer as HlsAnswer;

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
