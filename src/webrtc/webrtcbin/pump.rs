//! Brings a viewer's frames from the Hub into its pipeline: waits until the peer
//! is connected and is who it said it is, sends the burst of instant start paced,
//! then each frame as it comes. One tokio task per viewer; nothing here blocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_app as gst_app;
use tokio::sync::watch;

use crate::media::codec::Kind;
use crate::media::hub::{AccessUnit, Subscription};
use crate::webrtc::engine::{PeerState, PeerStats};
use crate::webrtc::stream::{HEADER, Stream, squeeze};
use crate::webrtc::webrtcbin::watch::Watch as Watcher;

/// The burst of a join: so many packets, then a pause. More loses packets in the
/// receiver's socket buffer.
const BURST: usize = 12;
/// The pause.
const PAUSE: Duration = Duration::from_millis(2);
/// A frame of more packets than this is sent in several goes, for the same reason.
const FRAME: usize = 64;
/// What may wait in a viewer's pipeline before frames are dropped, bytes.
const WAITING: u64 = 1024 * 1024;
/// Ticks per second of the timestamps of video (RFC 6184 §8.2.1, RFC 7798 §7.1).
const VIDEO_RATE: i64 = 90_000;
/// Between two replays for a peer that asks for key frames.
const KEY_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that repeated requests lead to.
const KEY_PAUSE_MOST: Duration = Duration::from_secs(8);
/// A connected peer that sent no RTCP for so long has vanished. Browsers report
/// every second, others at least every five (RFC 3550 §6.2).
const SILENCE_MS: u64 = 20_000;
/// How often the silence is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Bounds the bursts of all joins together, so that a hundred viewers who join at
/// once do not overflow the network card's queue: packets per pause.
#[derive(Debug)]
pub struct Budget {
    window: Mutex<(Instant, usize)>,
    packets: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { window: Mutex::new((Instant::now(), 0)), packets: 8 * BURST }
    }
}

impl Budget {
    /// Takes `n` packets from the present window, or says how long to wait.
    fn take(&self, n: usize, now: Instant) -> Result<(), Duration> {
        let mut w = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(w.0) >= PAUSE {
            *w = (now, 0);
        }
        if w.1 > 0 && w.1 + n > self.packets {
            return Err((w.0 + PAUSE).saturating_duration_since(now));
        }
        w.1 += n;
        Ok(())
    }
}

/// What a viewer was sent, as its pump counts it.
#[derive(Debug, Default)]
pub struct Sent {
    packets: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
}

impl Sent {
    /// What the viewer reports stays inside webrtcbin, and so does what it sends again.
    pub fn get(&self) -> PeerStats {
        let get = |a: &AtomicU64| a.load(Ordering::Relaxed);
        let (packets, bytes, dropped) = (get(&self.packets), get(&self.bytes), get(&self.dropped));
        PeerStats { packets, bytes, dropped, ..PeerStats::default() }
    }
}

/// One stream into the viewer's pipeline.
pub struct Lane {
    kind: Kind,
    appsrc: gst_app::AppSrc,
    stream: Stream,
    /// Frames were dropped: the next one to send is a key frame.
    waiting_for_key: bool,
}

impl Lane {
    pub fn new(kind: Kind, appsrc: gst_app::AppSrc, stream: Stream) -> Self {
        Lane { kind, appsrc, stream, waiting_for_key: false }
    }
}

/// Runs until the peer is gone or the Hub sends it away.
pub async fn run(
    mut sub: Subscription,
    mut lanes: Vec<Lane>,
    watch: Arc<Watcher>,
    stats: Arc<Sent>,
    budget: Arc<Budget>,
) {
    let mut state = watch.state();
    let connected = tokio::select! {
        s = reached(&mut state, |s| *s != PeerState::Connecting) => s == Some(PeerState::Connected),
        reason = sub.closed() => { watch.close(&reason.to_string()); false }
    };
    if !connected {
        return;
    }
    let mut pump = Pump { lanes: &mut lanes, stats: &stats, budget: &budget };
    let mut look = tokio::time::interval(LOOK);
    let mut replays = Replays::new(Instant::now());
    'replay: loop {
        let start = sub.play();
        tokio::select! {
            () = pump.burst(&start.units) => {}
            _ = reached(&mut state, closed) => return,
        }
        replays.played(Instant::now());
        loop {
            tokio::select! {
                biased;
                _ = reached(&mut state, closed) => return,
                unit = sub.next() => match unit {
                    Ok(unit) => {
                        if unit.key && unit.kind == Kind::Video {
                            replays.key_came();
                        }
                        pump.live(&unit).await;
                    }
                    Err(reason) => return watch.close(&reason.to_string()),
                },
                // Answered from the cache, and the source may be asked, too. Too soon after
                // the last time it waits, for the peer may not ask again.
                () = watch.key_wanted.notified(), if !replays.asked => {
                    replays.asked = true;
                    sub.hub().want_key();
                }
                () = tokio::time::sleep_until(replays.due().into()), if replays.asked => continue 'replay,
                _ = look.tick() => if watch.silent_ms() > SILENCE_MS {
                    return watch.close("the peer has vanished (no RTCP)");
                },
            }
        }
    }
}

/// When a peer that asks for key frames gets what is cached once more. Pure.
struct Replays {
    /// The last replay began.
    last: Instant,
    /// Until the next one, at least.
    pause: Duration,
    /// The peer waits for one.
    asked: bool,
}

impl Replays {
    fn new(now: Instant) -> Self {
        Replays { last: now, pause: KEY_PAUSE, asked: false }
    }

    /// What is cached was sent. Twice as long a pause each time until the camera
    /// sends a key frame by itself: a link that loses what it is sent needs less,
    /// not more.
    fn played(&mut self, now: Instant) {
        if self.asked {
            self.pause = (self.pause * 2).min(KEY_PAUSE_MOST);
        }
        (self.last, self.asked) = (now, false);
    }

    /// The camera sent a key frame, and so did we: nothing is wanted any more.
    fn key_came(&mut self) {
        (self.pause, self.asked) = (KEY_PAUSE, false);
    }

    fn due(&self) -> Instant {
        self.last + self.pause
    }
}

fn closed(state: &PeerState) -> bool {
    matches!(state, PeerState::Closed(_))
}

/// Waits for a state; none when nobody tells any more. (The guard that `wait_for`
/// returns must not live across an await.)
async fn reached(state: &mut watch::Receiver<PeerState>, wanted: impl FnMut(&PeerState) -> bool) -> Option<PeerState> {
    state.wait_for(wanted).await.ok().map(|s| s.clone())
}

struct Pump<'a> {
    lanes: &'a mut [Lane],
    stats: &'a Sent,
    budget: &'a Budget,
}

impl Pump<'_> {
    /// Sends what the cache holds, paced, with timestamps that end at the last
    /// frame's true time.
    async fn burst(&mut self, units: &[Arc<AccessUnit>]) {
        let Some(end) = units.last() else { return };
        let Some(lane) = self.lanes.iter_mut().find(|l| l.kind == end.kind) else { return };
        let times: Vec<u32> = squeeze(lane.stream.last(), end.timestamp, units.len()).collect();
        lane.waiting_for_key = false;
        let mut group = 0;
        for (unit, timestamp) in units.iter().zip(times) {
            let packets: Vec<_> = unit.payloads().collect();
            for chunk in packets.chunks(BURST) {
                if group > 0 && group + chunk.len() > BURST {
                    tokio::time::sleep(PAUSE).await;
                    group = 0;
                }
                while let Err(wait) = self.budget.take(chunk.len(), Instant::now()) {
                    tokio::time::sleep(wait.max(Duration::from_micros(100))).await;
                }
                group += chunk.len();
                // Sender reports pair the two: the PTS moves with the timestamp.
                let after = i64::from(timestamp.wrapping_sub(end.timestamp) as i32) * 1_000_000_000 / VIDEO_RATE;
                push(lane, self.stats, chunk, timestamp, end.pts_ns.saturating_add_signed(after));
            }
        }
    }

    /// Sends one frame as it comes, or drops it for a viewer that does not keep up.
    async fn live(&mut self, unit: &AccessUnit) {
        let Some(lane) = self.lanes.iter_mut().find(|l| l.kind == unit.kind) else { return };
        if lane.appsrc.current_level_bytes() > WAITING || (lane.waiting_for_key && !unit.key) {
            lane.waiting_for_key = unit.kind == Kind::Video;
            self.stats.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        lane.waiting_for_key = false;
        if unit.packet_count() <= FRAME {
            push(lane, self.stats, unit.payloads(), unit.timestamp, unit.pts_ns);
            return;
        }
        let packets: Vec<_> = unit.payloads().collect();
        for (i, chunk) in packets.chunks(FRAME).enumerate() {
            if i > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            push(lane, self.stats, chunk.iter().copied(), unit.timestamp, unit.pts_ns);
        }
    }
}

/// Hands packets to the pipeline as one list. Does not block: appsrc only queues.
fn push<'a>(
    lane: &mut Lane,
    stats: &Sent,
    payloads: impl IntoIterator<Item = impl std::borrow::Borrow<(&'a [u8], bool)>>,
    timestamp: u32,
    pts_ns: u64,
) {
    let mut list = gst::BufferList::new();
    let (mut packets, mut bytes) = (0, 0);
    {
        let list = list.get_mut().unwrap(); // invariant: a list that was just made has one owner
        for payload in payloads {
            let (payload, marker) = *payload.borrow();
            let header = lane.stream.header(timestamp, marker);
            let mut data = Vec::with_capacity(HEADER + payload.len());
            data.extend_from_slice(&header);
            data.extend_from_slice(payload);
            packets += 1;
            bytes += data.len() as u64;
            let mut buffer = gst::Buffer::from_mut_slice(data);
            let fresh = buffer.get_mut().unwrap(); // invariant: a buffer that was just made has one owner
            fresh.set_pts(gst::ClockTime::from_nseconds(pts_ns));
            list.add(buffer);
        }
    }
    stats.packets.fetch_add(packets, Ordering::Relaxed);
    stats.bytes.fetch_add(bytes, Ordering::Relaxed);
    // Flushing or EOS: the session is ending, and its watch tells why.
    let _ = lane.appsrc.push_buffer_list(list);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_shared_and_renews_itself() {
        let b = Budget { window: Mutex::new((Instant::now(), 0)), packets: 24 };
        let t = Instant::now() + PAUSE;
        assert!(b.take(12, t).is_ok());
        assert!(b.take(12, t).is_ok());
        assert!(b.take(1, t).is_err_and(|wait| wait <= PAUSE));
        assert!(b.take(12, t + PAUSE).is_ok());
    }

    #[test]
    fn replays_come_twice_as_late_each_time_until_the_camera_sends_a_key_frame() {
        let t = Instant::now();
        let mut r = Replays::new(t);
        r.played(t);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            r.asked = true;
            pauses.push((r.due() - r.last).as_millis());
            let at = r.due();
            r.played(at);
            assert!(!r.asked);
        }
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 8_000]);
        r.asked = true;
        r.key_came();
        assert!(!r.asked && r.due() - r.last == KEY_PAUSE);
    }

    #[test]
    fn more_than_the_whole_budget_passes_in_a_window_of_its_own() {
        let b = Budget { window: Mutex::new((Instant::now(), 0)), packets: 4 };
        assert!(b.take(12, Instant::now() + PAUSE).is_ok());
    }
}
