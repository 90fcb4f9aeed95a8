//! What a viewer needs of a WebRTC engine: the one interface.
//!
//! An engine gets a negotiated offer and a place at the Hub, and from then on
//! brings that path's frames to that peer by itself. What it answers is
//! transport only; the SDP is written by [`crate::webrtc::answer`].

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::WebrtcEngine;
use crate::error::{Error, Kind, Result};
use crate::media::hub::Subscription;
use crate::webrtc::answer::{StreamIds, Transport};
use crate::webrtc::candidate::Candidate;
use crate::webrtc::negotiate::Plan;
use crate::webrtc::offer::Offer;

/// A boxed future, so that engines can stand behind `dyn`.
pub type Job<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What an engine needs to open a session.
#[derive(Debug)]
pub struct Opening {
    /// For logs: the session's public id.
    pub id: String,
    /// What the client offered, validated.
    pub offer: Offer,
    /// What was chosen from it.
    pub plan: Plan,
    /// The place at the Hub. The engine drops it when the session ends.
    pub subscription: Subscription,
    /// Where and how to gather candidates.
    pub gathering: Gathering,
}

/// How candidates are gathered, resolved: nothing here needs a name server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gathering {
    /// The local addresses to use.
    pub local: Vec<IpAddr>,
    /// Whether the local addresses are offered as they are
    /// (`webrtcIPsFromInterfaces`), besides the additional ones.
    pub offer_local: bool,
    /// Further addresses under which the local ones are known outside.
    pub additional: Vec<IpAddr>,
    /// UDP ports to use, both included.
    pub ports: Option<(u16, u16)>,
    /// `stun://host:port` of a server that is known to answer.
    pub stun: Option<String>,
    /// `turn://user:password@host:port…`, percent-encoded. Never logged.
    pub turn: Vec<String>,
    /// Longest wait for what `stun` and `turn` bring; host candidates need none.
    pub wait: Duration,
}

/// An opened session: what the answer tells, and the peer.
pub struct Opened {
    /// For the answer.
    pub transport: Transport,
    /// One per section that is sent, in the plan's order.
    pub streams: Vec<StreamIds>,
    /// The peer, to steer and to close.
    pub peer: Arc<dyn Peer>,
}

/// Where a peer's connection stands. Only moves forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerState {
    /// ICE or DTLS are under way.
    Connecting,
    /// Frames can flow.
    Connected,
    /// It is over, and why.
    Closed(String),
}

/// What a peer was sent, and how its link is. None: the engine does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerStats {
    /// RTP packets handed to the transport, without those sent again.
    pub packets: u64,
    /// Bytes of RTP.
    pub bytes: u64,
    /// Access units dropped because the transport did not keep up.
    pub dropped: u64,
    /// Packets sent again.
    pub resent: Option<u64>,
    /// Times that it got key frames only for a while: its link does not carry the stream.
    pub paused: Option<u64>,
    /// Loss by its last report (RFC 3550 §6.4.1), in 1/256.
    pub loss: Option<u8>,
    /// Round trip by its last report.
    pub round_trip: Option<Duration>,
    /// What it takes its link to carry, bit/s.
    pub bitrate: Option<u64>,
}

/// A client's ICE credentials.
#[derive(Clone)]
pub struct Credentials {
    /// User name fragment.
    pub ufrag: String,
    /// A secret.
    pub password: String,
}

/// Without the password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// One viewer's connection.
pub trait Peer: Send + Sync {
    /// Takes candidates that the client found later; everything is bundled, so that
    /// they belong to the one transport.
    fn add_candidates(&self, candidates: Vec<Candidate>) -> Job<'_, ()>;
    /// How it stands, as it changes.
    fn state(&self) -> watch::Receiver<PeerState>;
    /// What it was sent, so far.
    fn stats(&self) -> PeerStats;
    /// Begins an ICE restart (RFC 9725 §4.3.3): the client has new credentials. Returns our
    /// new ones, and where we are; media goes on meanwhile.
    ///
    /// Errors: 422 where the engine cannot.
    fn restart(&self, remote: Credentials) -> Job<'_, Result<Transport>> {
        drop(remote);
        let error = "ICE restart is not supported by this engine: end the session and POST a new offer";
        Box::pin(std::future::ready(Err(Error::new(Kind::Unprocessable, error))))
    }
    /// Ends it; returns when everything that it held is released. Idempotent.
    fn close(&self) -> Job<'_, ()>;
}

/// A way to serve WebRTC peers.
pub trait Engine: Send + Sync {
    /// Its name, as the configuration has it.
    fn name(&self) -> WebrtcEngine;
    /// Takes out of a plan what it would not keep, before it is answered and opened.
    fn trim(&self, plan: &mut Plan);
    /// Opens a session for an offer.
    fn open(&self, opening: Opening) -> Job<'_, Result<Opened>>;
}
