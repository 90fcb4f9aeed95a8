//! Our ICE agent (RFC 8445): one component, full, controlled or controlling, with
//! consent (RFC 7675), ICE restart and passive TCP (RFC 6544). Pure: packets and the
//! time go in, packets and events come out.
//!
//! Ours and not a crate's, because the server has one socket for all sessions: the
//! agent must not hold sockets, buffers or candidates of its own beyond some hundred
//! bytes, and an address that moves must cost one round trip. Tested against `is`, the
//! agent of str0m, in both roles.
//!
//! What is left out, on purpose:
//! - Frozen pairs (§6.1.2.6): there is one stream and one component, nothing waits for
//!   another's foundation.
//! - 401 and other answers to what does not verify: a stranger gets silence, so that the
//!   port reflects nothing. (libwebrtc's 401 tells nobody anything that it could use.)
//! - Reflexive candidates of ours do not appear here: they are told in the answer, and
//!   what is sent to them arrives at their base.

mod agent;
mod checks;
mod incoming;
mod pairs;

use std::net::SocketAddr;
use std::time::Duration;

use super::stun::Key;
pub use super::stun::Role;
pub use agent::Agent;

/// Between two new checks (RFC 8445 §14.2).
pub const TA: Duration = Duration::from_millis(50);
/// Until a check is first repeated; twice as long each time (§14.3).
pub const RTO: Duration = Duration::from_millis(500);
/// How often a check is sent in all (RFC 8489 §6.2.1, Rc).
pub const TRIES: u8 = 7;
/// How long the last try may take (Rm × RTO).
pub const LAST: Duration = Duration::from_secs(8);
/// As long as nothing is selected, addresses that the peer was heard from are checked
/// again after so long, for as long as the session's owner has patience.
pub const HEARD: Duration = Duration::from_secs(1);
/// Between two consent checks on average; each varies by a fifth (RFC 7675 §5.1).
pub const CONSENT: Duration = Duration::from_secs(5);
/// Without an answer for so long, nothing may be sent any more (RFC 7675 §5.1).
pub const CONSENT_LIFE: Duration = Duration::from_secs(30);
/// A selected pair on which nothing verified for so long gives way to another one that
/// the peer nominated: its address has moved. Browsers report every second or so.
pub const SILENT: Duration = Duration::from_secs(1);
/// A selected pair that was not nominated again for so long, while another was: the peer
/// has changed its mind. Browsers repeat it every 2.5 s at least.
pub const RENOMINATED: Duration = Duration::from_secs(3);
/// Before a move the new pair has to have answered within this.
pub const FRESH: Duration = Duration::from_secs(1);
/// A controlling agent takes the best pair that answered so long after the first one did.
pub const PATIENCE: Duration = Duration::from_millis(100);
/// Addresses that the peer is first heard from, and nothing is selected yet: so many of
/// them are checked at once and not at the pace of [`TA`].
pub const EAGER: u8 = 8;
/// Most pairs of a session, those included that strangers with the password open.
pub const PAIRS: usize = 64;
/// Most checks of a session that wait for their answers.
pub const CHECKS: usize = 96;
/// Most local addresses that checks are sent from.
pub const BASES: usize = 16;

/// What carries a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// The UDP socket.
    Udp,
    /// A TCP connection that the peer opened, by its number.
    Tcp(u32),
}

/// A way between us and a peer: what the packets of a session are known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// UDP, or a connection.
    pub via: Via,
    /// Our end. On a socket that is bound to every address, the one that the packet was
    /// sent to (`IP_PKTINFO`), and that the answer has to come from.
    pub local: SocketAddr,
    /// The peer's end, as we see it.
    pub remote: SocketAddr,
}

/// One side's ICE credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Public: what the packets of a session are found by.
    pub ufrag: String,
    /// Secret.
    pub password: String,
}

/// Without the password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// A candidate of the peer: an address over UDP. (Its active TCP candidates say nothing:
/// it connects by itself.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub address: SocketAddr,
    /// As it was told.
    pub priority: u32,
}

/// The kind of a candidate (RFC 8445 §5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An address of the machine.
    Host,
    /// Learned from a check.
    PeerReflexive,
    /// Learned from a STUN server, or configured.
    ServerReflexive,
    /// At a TURN server.
    Relayed,
}

/// The priority of a candidate of component 1 (RFC 8445 §5.1.2.1) with its recommended
/// type preferences; `preference` orders those of one kind.
pub const fn priority(kind: Kind, preference: u16) -> u32 {
    let kind: u32 = match kind {
        Kind::Host => 126,
        Kind::PeerReflexive => 110,
        Kind::ServerReflexive => 100,
        Kind::Relayed => 0,
    };
    (kind << 24) | ((preference as u32) << 8) | 255
}

/// The local preference of a passive TCP candidate (RFC 6544 §4.2): below every UDP
/// candidate whose preference has its first bit set.
pub const fn tcp_preference(order: u16) -> u16 {
    (4 << 13) | (order & 0x1fff)
}

/// What an agent says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Send by this route from now on. It may change at any time.
    Selected(Route),
    /// The connection that was sent by is closed, and there is no other way yet: send
    /// nothing.
    Paused,
    /// The peer has not consented for [`CONSENT_LIFE`]: it is gone.
    Expired,
}

/// A packet to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// How.
    pub route: Route,
    /// STUN.
    pub data: Vec<u8>,
}

/// What a STUN packet turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The peer's: made with the password that only it has, and, where it is a response,
    /// an answer to us.
    Authentic,
    /// Not for this session, or without meaning: ignored.
    Foreign,
    /// It pretends to be the peer's, and is not: ignored.
    Forged,
}

/// The credentials of both sides between two restarts.
#[derive(Debug, Clone)]
struct Generation {
    number: u32,
    local: Credentials,
    local_key: Key,
    /// The peer's; an offerer does not know them before the answer.
    remote: Option<(String, Key)>,
}

impl Generation {
    fn new(number: u32, local: Credentials, remote: Option<Credentials>) -> Self {
        let local_key = Key::new(&local.password);
        let remote = remote.map(|r| (r.ufrag, Key::new(&r.password)));
        Generation { number, local, local_key, remote }
    }
}

#[cfg(test)]
mod tests;
