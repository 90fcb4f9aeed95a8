//! What a session is made of, and what it tells.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::dtls::{Fingerprint, Side};
use super::super::ice::{Credentials, Role};
use super::super::outgoing::{Identity, Stamp};

/// How a session begins.
#[derive(Debug)]
pub struct Opening<'a> {
    /// Controlled, unless the peer is an ICE-lite agent.
    pub role: Role,
    /// Our ICE credentials, and the peer's.
    pub local: Credentials,
    /// See `local`.
    pub remote: Credentials,
    /// The addresses that checks are sent from.
    pub bases: &'a [SocketAddr],
    /// What we are in the DTLS handshake.
    pub side: Side,
    /// The peer's certificate.
    pub fingerprint: Fingerprint,
    /// What is sent.
    pub streams: Vec<Stream>,
    /// The name in sender reports.
    pub cname: String,
    /// From a secure source.
    pub seed: [u8; 32],
    /// How the transactions of our checks begin: what an answer is found by that comes by
    /// a way that nothing was heard from before. Of no other session.
    pub tag: u32,
}

/// One stream of a session.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Which ring its packets come from: the thread's number for it.
    pub ring: u32,
    /// SSRC and payload type.
    pub media: Identity,
    /// Of retransmissions, where they were negotiated.
    pub rtx: Option<Identity>,
    /// The RTP header extension of each packet, or nothing.
    pub extension: Vec<u8>,
    /// The one of packets that tell when their frame was captured, where that was
    /// negotiated.
    pub stamp: Option<Stamp>,
    /// Ticks per second of its timestamps.
    pub rate: u32,
    /// Starts with what is cached (video), not with what comes next (audio).
    pub replay: bool,
    /// Sequence numbers of media and retransmissions and the offset of the timestamps to
    /// begin with, random.
    pub start: (u16, u16, u32),
}

/// What a session tells its thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Frames can flow.
    Connected,
    /// The peer wants a key frame of a stream, and was answered from the cache: the source
    /// may be asked, too.
    KeyWanted(usize),
    /// Its link does not carry the stream: paused for the first time.
    Narrow,
    /// It is over, and why. Nothing is sent after what is in the batch now.
    Closed(String),
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The peer's: the thread may take its route for this session's.
    Authentic,
    /// Noise.
    Ignored,
    /// It pretended to be the peer's.
    Forged,
}

/// What a session has sent and heard; plain numbers, for the thread to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// RTP packets, without retransmissions, and their bytes with headers.
    pub packets: u64,
    /// See `packets`.
    pub bytes: u64,
    /// Frames that this viewer did not get: its link or its core did not keep up.
    pub dropped: u64,
    /// Times that it was paused up to the next key frame: its link does not carry the
    /// stream.
    pub paused: u64,
    /// Packets sent again.
    pub resent: u64,
    /// Packets asked for again, and those of them that were not sent: too old, too many.
    pub nacked: u64,
    /// See `nacked`.
    pub refused: u64,
    /// Requests for key frames.
    pub key_requests: u64,
    /// The last receiver report of the first stream: loss in 1/256, jitter in ticks.
    pub loss: u8,
    /// See `loss`.
    pub jitter: u32,
    /// The round trip by the last report, µs.
    pub round_trip: Option<u32>,
    /// What the peer takes its link to carry (REMB), bit/s.
    pub bitrate: Option<u64>,
    /// Packets that pretended to be the peer's.
    pub forged: u64,
}

/// The wall clock beside the path's, so that sender reports are true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// CLOCK_MONOTONIC, ns.
    pub monotonic: u64,
    /// Since 1970, at the same moment.
    pub unix: Duration,
}
