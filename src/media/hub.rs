//! The Hub: where a path's frames meet its readers.
//!
//! The source's streaming thread publishes access units; each reader takes them
//! from a bounded queue of its own. A reader that does not keep up loses whole
//! frames up to the next key frame, alone, counted. Readers belong to the Hub and
//! not to the source: sources come and go (an *epoch* each), timestamps go on.
//!
//! Locking: one `std::sync::Mutex`, held for a few pointer moves, never across a
//! GStreamer call and never across an await.

mod feed;
mod reader;
mod subscription;
mod tap;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use crate::media::codec::{Codec, Kind, Track};
use crate::media::gop::{Cap, Gop, Start, Unit};
use crate::media::opus;
use crate::media::rhythm::Rhythm;
use crate::media::rtp::{Frame, Span};
use crate::media::snapshot::Still;
use crate::media::timeline::Timeline;

use reader::Reader;
pub use subscription::Subscription;
pub use tap::{Fed, Tap};

/// Most access units that wait for one reader: five seconds of 25 pictures and
/// 50 audio packets a second, more than any pause that is not an outage.
pub const QUEUE: usize = 384;

/// No offset between two clocks.
const NO_CLOCK: i64 = i64::MIN;

/// All packets of one frame of one track, shared by every reader.
#[derive(Debug)]
pub struct AccessUnit {
    /// Video or audio.
    pub kind: Kind,
    /// Whether decoding can start here.
    pub key: bool,
    /// The path's RTP timestamp, continuous across sources.
    pub timestamp: u32,
    /// Capture time, CLOCK_MONOTONIC, ns.
    pub pts_ns: u64,
    /// When the Hub got it.
    pub arrived: Instant,
    /// Which source it came from: another number is another source, or the same one
    /// once more.
    pub epoch: u64,
    data: Vec<u8>,
    packets: Vec<Span>,
}

impl AccessUnit {
    /// How many packets it has.
    pub fn packet_count(&self) -> usize {
        self.packets.len()
    }

    /// The payload of packet `i`.
    pub fn payload(&self, i: usize) -> Option<&[u8]> {
        let s = self.packets.get(i)?;
        let start = s.start as usize;
        self.data.get(start..start + s.len as usize)
    }

    /// Bytes of payload.
    pub fn size(&self) -> usize {
        self.data.len()
    }

    /// The payloads in order, each with whether it is the last one of the frame.
    pub fn payloads(&self) -> impl Iterator<Item = (&[u8], bool)> + Clone {
        let last = self.packets.len().saturating_sub(1);
        self.packets.iter().enumerate().map(move |(i, s)| {
            let start = s.start as usize;
            (&self.data[start..start + s.len as usize], i == last)
        })
    }
}

impl Unit for AccessUnit {
    fn key(&self) -> bool {
        self.key
    }
    fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// Why a reader was sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The source came back with another codec, or with a track more.
    CodecChanged,
    /// The path was removed from the configuration, or renamed.
    PathRemoved,
    /// camgate is shutting down.
    Shutdown,
}

impl std::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            CloseReason::CodecChanged => "codec changed",
            CloseReason::PathRemoved => "path removed",
            CloseReason::Shutdown => "shutting down",
        })
    }
}

/// What a reader has got and lost, in access units.
#[derive(Debug, Default)]
pub struct ReaderStats {
    /// Handed to the reader's queue.
    pub queued: AtomicU64,
    /// Thrown away because the queue was full, or while waiting for a key frame
    /// after that.
    pub dropped: AtomicU64,
}

/// See the module.
#[derive(Debug)]
pub struct Hub {
    inner: Mutex<Inner>,
    readers: watch::Sender<usize>,
    cap: Cap,
    /// See [`Hub::clock`]: of video and of audio; [`NO_CLOCK`] where there is none.
    clocks: [AtomicI64; 2],
    /// Access units that any reader lost.
    pub dropped: AtomicU64,
    /// Bytes of payload that came from the sources.
    pub inbound_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    epoch: u64,
    tracks: Vec<Track>,
    video: Option<Lane>,
    audio: Option<Lane>,
    /// The last key frame, which outlives its source.
    still: Option<Arc<Still>>,
    readers: Vec<Reader>,
    /// Readers that are functions: they are fed as the others, and not counted.
    taps: Vec<Reader>,
    next_id: u64,
}

/// One track's state across sources.
#[derive(Debug)]
struct Lane {
    codec: Codec,
    timeline: Timeline,
    gop: Option<Gop<AccessUnit>>,
    /// The present source has this track; its negotiated codec is kept meanwhile.
    present: bool,
    /// The last unit that went out.
    last: Option<Instant>,
    /// Of the present source.
    rhythm: Rhythm,
}

/// The right of one source to publish; ends when the next one begins.
#[derive(Debug, Clone)]
pub struct Feed {
    hub: Arc<Hub>,
    epoch: u64,
}

impl Hub {
    /// A Hub without source and readers.
    pub fn new(cap: Cap) -> Arc<Self> {
        Arc::new(Hub {
            inner: Mutex::new(Inner::default()),
            readers: watch::Sender::new(0),
            cap,
            clocks: [const { AtomicI64::new(NO_CLOCK) }; 2],
            dropped: AtomicU64::new(0),
            inbound_bytes: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic under the lock leaves counters behind at worst: go on.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new source begins, with these tracks (also those that cannot be played).
    /// Readers whose negotiated codecs it cannot serve are closed, and those that it
    /// has a track more for; a track that a reader does not take is none to it.
    ///
    /// `since` is the [`Hub::epoch`] when the source was started. None when that is
    /// over: a source that was stopped, and describes itself late, gets nothing.
    pub fn begin(self: &Arc<Self>, since: u64, tracks: Vec<Track>) -> Option<Feed> {
        let mut inner = self.lock();
        if inner.epoch != since {
            return None;
        }
        let find = |kind| tracks.iter().map(|t| &t.codec).find(|c| c.kind() == kind && c.carried());
        for kind in [Kind::Video, Kind::Audio] {
            let codec = find(kind).cloned();
            let cap = self.cap;
            let lane = inner.lane_mut(kind);
            match (codec, lane.as_mut()) {
                (Some(codec), Some(l)) if l.codec.compatible(&codec) => {
                    l.codec = codec;
                    l.present = true;
                    l.timeline.begin();
                    l.rhythm = Rhythm::default();
                    if let Some(g) = &mut l.gop {
                        g.clear();
                    }
                }
                (Some(codec), _) => *lane = Some(Lane::new(codec, cap)),
                (None, Some(l)) => {
                    l.present = false;
                    if let Some(g) = &mut l.gop {
                        g.clear();
                    }
                }
                (None, None) => {}
            }
        }
        for r in inner.all() {
            if r.changed(&tracks) {
                r.close(CloseReason::CodecChanged);
            }
            r.interrupt();
        }
        inner.tracks = tracks;
        inner.epoch += 1;
        Some(Feed { hub: self.clone(), epoch: inner.epoch })
    }

    /// Counts the sources' beginnings and ends.
    pub fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// The source is gone: nobody can start from what is cached, whoever watches
    /// waits for the next key frame.
    pub fn end(&self) {
        let mut inner = self.lock();
        inner.epoch += 1;
        for kind in [Kind::Video, Kind::Audio] {
            if let Some(Some(g)) = inner.lane_mut(kind).as_mut().map(|l| l.gop.as_mut()) {
                g.clear();
            }
        }
        inner.all().for_each(Reader::interrupt);
    }

    /// What the source sends, playable or not.
    pub fn tracks(&self) -> Vec<Track> {
        self.lock().tracks.clone()
    }

    /// [`Rhythm::get`] of the video since its source began, in ticks of 90 kHz.
    pub fn rhythm(&self) -> Option<(u32, u32)> {
        // Found out without the lock.
        let rhythm = self.lock().video.as_ref().map(|l| l.rhythm.clone());
        rhythm.and_then(|r| r.get())
    }

    /// The last key frame of the video, also of a source that is gone.
    pub fn still(&self) -> Option<Arc<Still>> {
        self.lock().still.clone()
    }

    /// The camera's wall clock: what is to be added to [`AccessUnit::pts_ns`] for
    /// nanoseconds since 1970. None as long as no camera told. It outlives its source: a
    /// camera that comes back has the same clock until it says otherwise.
    pub fn clock(&self) -> Option<i64> {
        self.clocks.iter().map(|c| c.load(Ordering::Relaxed)).find(|offset| *offset != NO_CLOCK)
    }

    /// Forgets the last key frame, and the camera's clock: they are another camera's, or
    /// nobody will ask any more.
    pub fn forget_still(&self) {
        self.clocks.iter().for_each(|c| c.store(NO_CLOCK, Ordering::Relaxed));
        // Freed after the lock is.
        let _still = self.lock().still.take();
    }

    /// When the last unit of the track that has to flow (video where there is
    /// one) arrived.
    pub fn last_arrival(&self) -> Option<Instant> {
        let inner = self.lock();
        inner.video.as_ref().filter(|l| l.present).or(inner.audio.as_ref()).and_then(|l| l.last)
    }

    /// How many readers there are, as it changes.
    pub fn readers(&self) -> watch::Receiver<usize> {
        self.readers.subscribe()
    }

    /// Joins as a reader. Nothing flows before [`Subscription::play`].
    pub fn subscribe(self: &Arc<Self>) -> Subscription {
        let mut inner = self.lock();
        inner.next_id += 1;
        let id = inner.next_id;
        let stats = Arc::new(ReaderStats::default());
        let closed = watch::Sender::new(None);
        let closed_rx = closed.subscribe();
        let tracks = inner.tracks.clone();
        let reader = Reader::new(id, &tracks, stats.clone(), closed);
        inner.readers.push(reader);
        let n = inner.readers.len();
        drop(inner);
        self.readers.send_replace(n);
        let (_, rx) = mpsc::channel(1);
        Subscription { hub: self.clone(), id, rx, closed: closed_rx, tracks, stats }
    }

    /// Sends every reader away.
    pub fn close_readers(&self, reason: CloseReason) {
        self.lock().close_all(reason);
    }

    fn leave(&self, id: u64) {
        let mut inner = self.lock();
        inner.readers.retain(|r| r.id != id);
        let n = inner.readers.len();
        drop(inner);
        self.readers.send_replace(n);
    }
}

impl Lane {
    fn new(codec: Codec, cap: Cap) -> Self {
        Lane {
            timeline: Timeline::new(codec.clock_rate()),
            gop: (codec.kind() == Kind::Video).then(|| Gop::new(cap)),
            codec,
            present: true,
            last: None,
            rhythm: Rhythm::default(),
        }
    }

    /// The frame's timestamp on the path's timeline.
    fn timestamp(&mut self, frame: &Frame) -> u32 {
        let out = self.timeline.map(frame.timestamp, frame.pts_ns);
        // G.711 is counted sample by sample when it is packetised; Opus is not.
        let samples = if matches!(self.codec, Codec::Opus { .. }) { opus::samples(&frame.data) } else { None };
        samples.map_or(out, |n| self.timeline.follow(out, n))
    }
}

impl Inner {
    fn lane_mut(&mut self, kind: Kind) -> &mut Option<Lane> {
        match kind {
            Kind::Video => &mut self.video,
            Kind::Audio => &mut self.audio,
        }
    }

    /// What a reader that joins now starts with.
    fn start(&self) -> Start<AccessUnit> {
        match self.video.as_ref().and_then(|l| l.gop.as_ref()) {
            Some(gop) => gop.start(),
            None => Start { units: Vec::new(), continuous: true },
        }
    }

    /// Readers and taps.
    fn all(&mut self) -> impl Iterator<Item = &mut Reader> {
        self.readers.iter_mut().chain(&mut self.taps)
    }

    fn close_all(&mut self, reason: CloseReason) {
        self.all().for_each(|r| r.close(reason));
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
