//! A viewer that has settled, without a session library in the way of each packet: opens
//! SRTP in place, counts, reports, asks for what is missing. STUN and DTLS stay str0m's.

use super::keys::Master;
use super::rtcp::{self, Block};
use super::srtp::Srtp;
use super::tally::{Packet, Tally};
use crate::support::nal::{self, Codec, Stamp};

/// Between two receiver reports, ns.
const REPORT: u64 = 1_000_000_000;
/// Between two NACKs, ns; twice as long each time while the oldest gap stays the same, so
/// that a server which cannot keep up is not asked for more and more.
const NACK: u64 = 40_000_000;
/// Between two requests for a key frame, ns.
const PLI: u64 = 1_000_000_000;

/// An RTP stream: the media, or its retransmissions (RFC 4588).
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    pub ssrc: u32,
    pub payload_type: u8,
    /// Extended sequence number.
    pub highest: u64,
}

/// See the module. Times are ns of `CLOCK_MONOTONIC`.
pub struct Light {
    rx: Srtp,
    tx: Srtp,
    media: Stream,
    repair: Option<Stream>,
    /// Our SSRC and the next SRTCP index: what str0m would go on with.
    own: u32,
    index: u32,
    report_due: u64,
    nack_due: u64,
    /// How long the next NACK waits for the one before, and the oldest gap of that.
    patience: u64,
    nacks_of: Option<u16>,
    pli_due: u64,
    /// Of the last sender report, and when it came.
    report: Option<(u32, u64)>,
    /// Highest number, packets and losses when we reported last.
    last: (u64, u64, u64),
    nacks: u64,
}

impl Light {
    /// None where the session has no GCM. `own` is the SSRC and the SRTCP index that
    /// were used last.
    pub fn new(master: &Master, media: Stream, own: (u32, u32), tally: &Tally, now: u64) -> Option<Light> {
        Some(Light {
            rx: Srtp::new(&master.material, !master.client)?,
            tx: Srtp::new(&master.material, master.client)?,
            media,
            repair: None,
            own: own.0,
            index: own.1 + 1,
            // All viewers of a crowd must not report at once.
            report_due: now + REPORT * u64::from(media.ssrc % 97) / 97,
            nack_due: 0,
            patience: NACK,
            nacks_of: None,
            pli_due: 0,
            report: None,
            last: (media.highest, tally.packets, tally.lost),
            nacks: 0,
        })
    }

    /// Takes a datagram, if it is RTP or RTCP (RFC 7983); says whether it was.
    pub fn datagram(&mut self, data: &mut [u8], at: u64, tally: &mut Tally) -> bool {
        match data {
            [128..=191, 192..=223, ..] => {
                let length = self.rx.open_rtcp(data).unwrap_or(0);
                if let Some(report) = rtcp::sender_report(&data[..length]) {
                    self.report = Some((report, at));
                }
                true
            }
            [128..=191, ..] => {
                if let Some(packet) = self.packet(data, at) {
                    tally.packet(packet);
                }
                true
            }
            _ => false,
        }
    }

    fn packet(&mut self, data: &mut [u8], at: u64) -> Option<Packet> {
        let (head, fixed) = (header(data)?, data.first_chunk::<12>()?);
        let (marker, payload_type) = (fixed[1] & 0x80 != 0, fixed[1] & 0x7f);
        let number = u16::from_be_bytes([fixed[2], fixed[3]]);
        let time = u32::from_be_bytes(fixed[4..8].try_into().ok()?);
        let ssrc = u32::from_be_bytes(fixed[8..].try_into().ok()?);
        let repair = payload_type != self.media.payload_type;
        let stream = match repair {
            false => &mut self.media,
            true => self.repair.get_or_insert(Stream { ssrc, payload_type, highest: u64::from(number) }),
        };
        let seq = extend(stream.highest, number);
        let length = self.rx.open(data, head, ssrc, seq)?;
        stream.highest = stream.highest.max(seq);
        let padding = if data[0] & 0x20 != 0 { usize::from(*data.get(head + length.checked_sub(1)?)?) } else { 0 };
        let mut payload = data.get(head..(head + length).checked_sub(padding)?)?;
        let mut packet = Packet { seq, time, marker, at, ..Packet::default() };
        if repair {
            let (original, rest) = payload.split_first_chunk::<2>()?;
            packet.seq = extend(self.media.highest, u16::from_be_bytes(*original));
            payload = rest;
        }
        look(payload, &mut packet);
        Some(packet)
    }

    /// NACK messages since the last call.
    pub fn take_nacks(&mut self) -> u64 {
        std::mem::take(&mut self.nacks)
    }

    /// What is to be sent now, if anything: once a second a report, NACKs as they are
    /// needed, and a PLI where a gap was given up.
    pub fn say(&mut self, now: u64, tally: &Tally) -> Option<Vec<u8>> {
        let missing = if now >= self.nack_due { tally.missing_numbers() } else { Vec::new() };
        let pli = tally.lost > self.last.2 && now >= self.pli_due;
        if now < self.report_due && missing.is_empty() && !pli {
            return None;
        }
        if let Some(oldest) = missing.first() {
            let again = self.nacks_of == Some(*oldest);
            self.patience = if again { 2 * self.patience } else { NACK };
            self.nacks_of = Some(*oldest);
            self.nack_due = now + self.patience;
            self.nacks += 1;
        }
        if pli {
            self.pli_due = now + PLI;
        }
        let expected = self.media.highest.saturating_sub(self.last.0);
        let lost = expected.saturating_sub(tally.packets - self.last.1);
        let (report, ago) = self.report.map_or((0, 0), |(report, at)| {
            (report, (u128::from(now.saturating_sub(at)) * 65_536 / 1_000_000_000) as u32)
        });
        let block = Block {
            fraction: (lost * 256 / expected.max(1)).min(255) as u8,
            lost: tally.lost as u32,
            highest: self.media.highest as u32,
            report,
            ago,
        };
        self.last = (self.media.highest, tally.packets, tally.lost);
        self.report_due = now + REPORT;
        let mut packet = rtcp::compound(self.own, self.media.ssrc, Some(block), &missing, pli);
        self.tx.seal_rtcp(&mut packet, self.index)?;
        self.index += 1;
        Some(packet)
    }
}

/// Notes what a payload shows: key frame, the camera's stamp.
pub fn look(payload: &[u8], packet: &mut Packet) {
    nal::in_rtp(payload, Codec::H264, |kind, nal| {
        packet.key |= nal::is_key_slice(kind, Codec::H264);
        if let Some(stamp) = nal.and_then(|nal| Stamp::from_nal(nal, Codec::H264)) {
            packet.stamp = Some((stamp.index, stamp.handed_ns));
        }
    });
}

/// Where an RTP packet's payload begins.
fn header(data: &[u8]) -> Option<usize> {
    let fixed = 12 + 4 * usize::from(data.first()? & 0x0f);
    if data[0] & 0x10 == 0 {
        return Some(fixed);
    }
    let words = data.get(fixed + 2..fixed + 4)?;
    Some(fixed + 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]])))
}

/// The extended number nearest to the highest.
fn extend(highest: u64, number: u16) -> u64 {
    let ahead = i64::from(number.wrapping_sub(highest as u16) as i16);
    highest.saturating_add_signed(ahead)
}
