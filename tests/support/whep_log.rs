//! What a viewer saw: packets on the wire, packets in order, frames, times.

use super::mono;
use super::nal::{self, Codec, Stamp};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Frames kept per track.
const KEPT: usize = 100_000;
/// Packets that may wait behind a gap before it counts as lost.
const WAIT_PACKETS: usize = 512;
/// How long a gap may stay open (NACK and retransmission take a few of these).
const WAIT: Duration = Duration::from_secs(1);

/// One RTP packet after decryption, retransmissions unwrapped.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Extended sequence number: the low 16 bits are those of the header.
    pub seq: u64,
    /// Extended timestamp.
    pub time: u64,
    pub marker: bool,
    pub payload_type: u8,
    pub ssrc: u32,
    /// When the kernel received it.
    pub arrival: Instant,
    pub size: usize,
    /// Only with `Options::payloads`.
    pub payload: Option<std::sync::Arc<[u8]>>,
}

/// One video frame (all packets of one timestamp up to the marker), or one audio packet.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub time: u64,
    pub key: bool,
    /// Has an SPS in it (H.264, H.265).
    pub sps: bool,
    /// First and last packet's arrival.
    pub first: Instant,
    pub last: Instant,
    pub packets: usize,
    pub bytes: usize,
    /// From the SEI, if the source is a camera double.
    pub stamp: Option<Stamp>,
    /// No packet of it is missing.
    pub complete: bool,
}

impl Frame {
    /// From the hand-over to the camera's RTSP server to the last packet's arrival.
    pub fn latency(&self) -> Option<Duration> {
        let stamp = self.stamp?;
        Some(self.last.saturating_duration_since(mono::from_ns(stamp.handed_ns)?))
    }

    /// The frame's index, if the source is a camera double.
    pub fn index(&self) -> Option<u32> {
        self.stamp.map(|s| s.index)
    }
}

/// One track, as received.
#[derive(Debug, Default)]
pub struct Track {
    /// Packets that str0m passed on: authentic, each sequence number once.
    pub packets: u64,
    /// Payload bytes of them.
    pub bytes: u64,
    /// Packets that came after one with a higher number.
    pub reordered: u64,
    /// Numbers that never came.
    pub lost: u64,
    /// Retransmissions and late packets from before the first one.
    pub early: u64,
    pub first_packet: Option<Instant>,
    /// Last packet of the first complete key frame (video).
    pub first_key: Option<Instant>,
    pub payload_types: Vec<u8>,
    pub frames: VecDeque<Frame>,
    /// Only with `Options::packets`, in order of arrival.
    pub records: Vec<Packet>,
    /// Reports that str0m sent: NACKs and PLIs.
    pub nacks_sent: u64,
    pub plis_sent: u64,
    /// Of the last sender report: NTP seconds and fraction are not kept, only the RTP time.
    pub sender_report: Option<(std::time::SystemTime, u64)>,
    next: Option<u64>,
    waiting: BTreeMap<u64, Waiting>,
    open: Option<Frame>,
    /// A gap was given up just before the next packet.
    gap: bool,
    /// Something of the open frame is missing.
    damaged: bool,
}

#[derive(Debug)]
struct Waiting {
    packet: Packet,
    seen: Seen,
}

/// What a payload shows.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    key: bool,
    sps: bool,
    stamp: Option<Stamp>,
}

impl Track {
    /// Numbers missing now: a gap that is not filled yet, and packets behind it wait.
    pub fn missing(&self) -> u64 {
        match (self.next, self.waiting.last_key_value()) {
            (Some(next), Some((last, _))) => last + 1 - next - self.waiting.len() as u64,
            _ => 0,
        }
    }

    /// Indices of the frames, where known.
    pub fn indices(&self) -> Vec<u32> {
        self.frames.iter().filter_map(Frame::index).collect()
    }

    /// Steps of the RTP timestamp from frame to frame.
    pub fn steps(&self) -> Vec<i64> {
        let times: Vec<_> = self.frames.iter().map(|f| f.time as i64).collect();
        times.windows(2).map(|w| w[1] - w[0]).collect()
    }

    /// Latencies of the complete frames, where known.
    pub fn latencies(&self) -> Vec<Duration> {
        let whole = self.frames.iter().filter(|f| f.complete);
        whole.filter_map(Frame::latency).collect()
    }

    /// Complete frames so far.
    pub fn complete_frames(&self) -> usize {
        self.frames.iter().filter(|f| f.complete).count()
    }

    /// Notes a packet. `video`: None for audio, else the codec if it is known.
    pub(super) fn packet(&mut self, packet: Packet, payload: &[u8], video: Option<Option<Codec>>, keep: bool) {
        self.packets += 1;
        self.bytes += packet.size as u64;
        self.first_packet.get_or_insert(packet.arrival);
        if !self.payload_types.contains(&packet.payload_type) {
            self.payload_types.push(packet.payload_type);
        }
        let mut seen = Seen::default();
        if let Some(Some(codec)) = video {
            nal::in_rtp(payload, codec, |kind, nal| {
                seen.key |= nal::is_key_slice(kind, codec);
                seen.sps |= kind == if codec == Codec::H264 { 7 } else { 33 };
                if let Some(stamp) = nal.and_then(|nal| Stamp::from_nal(nal, codec)) {
                    seen.stamp = Some(stamp);
                }
            });
        }
        if keep {
            self.records.push(packet.clone());
        }
        let next = *self.next.get_or_insert(packet.seq);
        if packet.seq < next {
            self.early += 1;
            return;
        }
        if self.waiting.last_key_value().is_some_and(|(last, _)| *last > packet.seq) {
            self.reordered += 1;
        }
        let (arrival, video) = (packet.arrival, video.is_some());
        self.waiting.insert(packet.seq, Waiting { packet, seen });
        self.advance(arrival, video);
    }

    fn advance(&mut self, now: Instant, video: bool) {
        while let Some(entry) = self.waiting.first_entry() {
            let next = self.next.unwrap_or(*entry.key());
            if *entry.key() != next {
                let old = now.saturating_duration_since(entry.get().packet.arrival) > WAIT;
                if !old && self.waiting.len() < WAIT_PACKETS {
                    return;
                }
                let (first, _) = self.waiting.first_key_value().unwrap();
                self.lost += first - next;
                self.gap = true;
                self.next = Some(*first);
                continue;
            }
            let Waiting { packet, seen } = entry.remove();
            self.next = Some(packet.seq + 1);
            self.in_order(&packet, seen, video);
        }
    }

    fn in_order(&mut self, packet: &Packet, seen: Seen, video: bool) {
        let gap = std::mem::take(&mut self.gap);
        if self.open.is_some_and(|f| f.time != packet.time) {
            // A gap took the end of the open frame, and maybe the beginning of this one.
            self.damaged |= gap;
            self.close();
        }
        self.damaged |= gap;
        let frame = self.open.get_or_insert(Frame {
            time: packet.time,
            key: false,
            sps: false,
            first: packet.arrival,
            last: packet.arrival,
            packets: 0,
            bytes: 0,
            stamp: None,
            complete: true,
        });
        frame.first = frame.first.min(packet.arrival);
        frame.last = frame.last.max(packet.arrival);
        frame.packets += 1;
        frame.bytes += packet.size;
        frame.key |= seen.key;
        frame.sps |= seen.sps;
        frame.stamp = frame.stamp.or(seen.stamp);
        if packet.marker || !video {
            self.close();
        }
    }

    fn close(&mut self) {
        let damaged = std::mem::take(&mut self.damaged);
        if let Some(mut frame) = self.open.take() {
            frame.complete = !damaged;
            if frame.key && frame.complete {
                self.first_key.get_or_insert(frame.last);
            }
            if self.frames.len() == KEPT {
                self.frames.pop_front();
            }
            self.frames.push_back(frame);
        }
    }
}

/// RTP packets as they were on the wire, before decryption.
#[derive(Debug, Default)]
pub struct Wire {
    /// Datagrams of any kind.
    pub datagrams: u64,
    /// Per SSRC: packets and exact repetitions of a sequence number.
    pub streams: HashMap<u32, WireStream>,
    /// RTP packets thrown away by `Options::loss`.
    pub dropped: u64,
}

/// One SSRC on the wire.
#[derive(Debug)]
pub struct WireStream {
    pub packets: u64,
    pub duplicates: u64,
    seen: Box<[u64; 1024]>,
    highest: u16,
}

impl Wire {
    /// Duplicates of all SSRCs.
    pub fn duplicates(&self) -> u64 {
        self.streams.values().map(|s| s.duplicates).sum()
    }

    /// Notes a datagram; true if it is RTP (RFC 7983 and RFC 5761).
    pub(super) fn datagram(&mut self, data: &[u8]) -> bool {
        self.datagrams += 1;
        let rtp = data.len() >= 12 && (128..192).contains(&data[0]) && !(64..96).contains(&(data[1] & 0x7f));
        if rtp {
            let seq = u16::from_be_bytes([data[2], data[3]]);
            let ssrc = u32::from_be_bytes([data[8], data[9], data[10], data[11]]);
            self.streams
                .entry(ssrc)
                .or_insert_with(|| WireStream { packets: 0, duplicates: 0, seen: Box::new([0; 1024]), highest: seq })
                .note(seq);
        }
        rtp
    }
}

impl WireStream {
    fn note(&mut self, seq: u16) {
        self.packets += 1;
        let ahead = seq.wrapping_sub(self.highest);
        if ahead < 0x8000 {
            // Forget what was half the number space ago, so that numbers can come round.
            for n in 1..=ahead {
                let old = self.highest.wrapping_add(n).wrapping_add(0x8000);
                self.seen[usize::from(old >> 6)] &= !(1 << (old & 63));
            }
            self.highest = seq;
        }
        let (word, bit) = (usize::from(seq >> 6), 1u64 << (seq & 63));
        if self.seen[word] & bit != 0 {
            self.duplicates += 1;
        }
        self.seen[word] |= bit;
    }
}

/// How the peer connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    #[default]
    Connecting,
    /// ICE and DTLS are up.
    Connected,
    /// ICE gave up.
    Disconnected,
    /// The server closed DTLS (close_notify), or we did.
    Closed,
    /// Stopped by the test.
    Gone,
}

/// Everything a viewer saw.
#[derive(Debug)]
pub struct Log {
    /// The POST was sent.
    pub posted: Instant,
    /// Its answer was there.
    pub answered: Instant,
    pub connected: Option<Instant>,
    pub state: State,
    pub video: Track,
    pub audio: Track,
    pub wire: Wire,
    /// What str0m complained about, if it did.
    pub error: Option<String>,
}

impl Log {
    /// POST → answer.
    pub fn answer_time(&self) -> Duration {
        self.answered - self.posted
    }
    /// POST → ICE and DTLS up.
    pub fn connect_time(&self) -> Option<Duration> {
        self.connected.map(|t| t - self.posted)
    }
    /// POST → first video packet.
    pub fn first_packet_time(&self) -> Option<Duration> {
        self.video.first_packet.map(|t| t.saturating_duration_since(self.posted))
    }
    /// POST → first key frame complete.
    pub fn first_key_time(&self) -> Option<Duration> {
        self.video.first_key.map(|t| t.saturating_duration_since(self.posted))
    }
}
