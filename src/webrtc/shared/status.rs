//! Numbers of sessions and threads, for anybody to read at any time.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::control::Egress;
use super::session::Stats;

/// What a session has sent and heard, for anybody to read. The meaning of each number is
/// that of the one in [`Stats`]. What each frame changes lies in one cache line.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Status {
    packets: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
    paused: AtomicU64,
    resent: AtomicU64,
    nacked: AtomicU64,
    refused: AtomicU64,
    key_requests: AtomicU64,
    forged: AtomicU64,
    loss: AtomicU8,
    jitter: AtomicU32,
    /// 0: not known yet. One more than it is.
    round_trip: AtomicU64,
    bitrate: AtomicU64,
}

impl Status {
    /// The numbers as they are. They are not of one moment: each by itself is right.
    pub fn get(&self) -> Stats {
        let get = |a: &AtomicU64| a.load(Ordering::Relaxed);
        let maybe = |a: &AtomicU64| get(a).checked_sub(1);
        Stats {
            packets: get(&self.packets),
            bytes: get(&self.bytes),
            dropped: get(&self.dropped),
            paused: get(&self.paused),
            resent: get(&self.resent),
            nacked: get(&self.nacked),
            refused: get(&self.refused),
            key_requests: get(&self.key_requests),
            forged: get(&self.forged),
            loss: self.loss.load(Ordering::Relaxed),
            jitter: self.jitter.load(Ordering::Relaxed),
            round_trip: maybe(&self.round_trip).and_then(|t| u32::try_from(t).ok()),
            bitrate: maybe(&self.bitrate),
        }
    }

    /// The thread's side, after each frame: what was sent.
    pub(super) fn sent(&self, s: Stats) {
        self.packets.store(s.packets, Ordering::Relaxed);
        self.bytes.store(s.bytes, Ordering::Relaxed);
        self.dropped.store(s.dropped, Ordering::Relaxed);
    }

    /// The thread's side, when something was heard: everything.
    pub(super) fn set(&self, s: Stats) {
        self.sent(s);
        let set = |a: &AtomicU64, n: u64| a.store(n, Ordering::Relaxed);
        set(&self.paused, s.paused);
        set(&self.resent, s.resent);
        set(&self.nacked, s.nacked);
        set(&self.refused, s.refused);
        set(&self.key_requests, s.key_requests);
        set(&self.forged, s.forged);
        self.loss.store(s.loss, Ordering::Relaxed);
        self.jitter.store(s.jitter, Ordering::Relaxed);
        set(&self.round_trip, s.round_trip.map_or(0, |t| u64::from(t) + 1));
        set(&self.bitrate, s.bitrate.map_or(0, |b| b.saturating_add(1)));
    }
}

/// What a thread has done in all.
#[derive(Debug, Default)]
pub struct Counters {
    /// Times that it woke up.
    pub wakes: AtomicU64,
    /// Datagrams and frames of TCP that came.
    pub received: AtomicU64,
    /// Those of them that belonged to no session: ignored without an answer.
    pub foreign: AtomicU64,
    /// Packets handed to the kernel.
    pub sent: AtomicU64,
    /// Packets that the kernel, or a slow TCP peer, did not take.
    pub unsent: AtomicU64,
    /// Frames that did not fit into the thread's queue: a core that does not keep up.
    pub frames_dropped: AtomicU64,
    /// Datagrams from the thread that receives for all, that did not fit into the queue.
    pub passed_dropped: AtomicU64,
    /// Sessions now.
    pub sessions: AtomicU64,
    /// TCP connections now.
    pub connections: AtomicU64,
    /// TCP connections that were not taken, or closed as strangers'.
    pub connections_refused: AtomicU64,
    /// Whether GSO works: what [`Egress`] came to (0 segmented, 1 many, 2 single).
    pub egress: AtomicU8,
}

impl Counters {
    /// How packets leave now.
    pub fn egress(&self) -> Egress {
        match self.egress.load(Ordering::Relaxed) {
            0 => Egress::Segmented,
            1 => Egress::Many,
            _ => Egress::Single,
        }
    }
}
