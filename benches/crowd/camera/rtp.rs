//! A recorded frame as interleaved RTP packets (RFC 6184, RFC 2326 §10.12), ready but for
//! sequence number and timestamp. Pure.

use crate::support::nal::{self, Codec, Stamp};

/// Largest payload of an RTP packet: of 1.7 Mbit/s at 25 frames a second this makes about
/// 200 packets a second.
const PAYLOAD: usize = 1_240;
/// `$`, channel, length (RFC 2326), and the RTP header.
const HEAD: usize = 4 + 12;
/// Of the SDP.
pub const PAYLOAD_TYPE: u8 = 96;

/// One frame, packetised.
pub struct Packed {
    /// Parameter sets, where the frame has them, before our SEI.
    sets: Vec<Vec<u8>>,
    slices: Vec<Vec<u8>>,
}

impl Packed {
    /// Of an access unit in Annex B.
    pub fn new(au: &[u8]) -> Packed {
        let (mut sets, mut slices) = (Vec::new(), Vec::new());
        for (_, unit) in nal::units(au) {
            let kind = nal::kind(unit, Codec::H264).unwrap_or_default();
            if nal::is_slice(unit, Codec::H264) {
                packets(unit, &mut slices);
            } else if nal::is_parameter_set(kind, Codec::H264) {
                packets(unit, &mut sets);
            }
        }
        Packed { sets, slices }
    }

    /// The frame, with its stamp where it gets one, as it goes over the connection, appended
    /// to `out`; says how many packets that were.
    pub fn write(&self, out: &mut Vec<u8>, stamp: Option<Stamp>, time: u32, next: &mut u16, ssrc: u32) -> usize {
        let sei = stamp.map(|stamp| stamp.to_nal(Codec::H264));
        let sei = sei.map(|sei| packet(&[], sei.get(4..).unwrap_or_default()));
        let all = self.sets.iter().chain(&sei).chain(&self.slices);
        let last = self.len() + usize::from(sei.is_some()) - 1;
        for (n, packet) in all.enumerate() {
            let at = out.len();
            out.extend_from_slice(packet);
            if n == last {
                out[at + 5] |= 0x80; // marker
            }
            out[at + 6..at + 8].copy_from_slice(&next.to_be_bytes());
            out[at + 8..at + 12].copy_from_slice(&time.to_be_bytes());
            out[at + 12..at + 16].copy_from_slice(&ssrc.to_be_bytes());
            *next = next.wrapping_add(1);
        }
        last + 1
    }

    /// Packets without the stamp's.
    pub fn len(&self) -> usize {
        self.sets.len() + self.slices.len()
    }
}

/// A NAL unit as one packet, or as fragments (FU-A).
fn packets(unit: &[u8], out: &mut Vec<Vec<u8>>) {
    if unit.len() <= PAYLOAD {
        out.push(packet(&[], unit));
        return;
    }
    let (header, body) = (unit[0], &unit[1..]);
    let parts = body.len().div_ceil(PAYLOAD - 2);
    for (n, part) in body.chunks(PAYLOAD - 2).enumerate() {
        let start = if n == 0 { 0x80 } else { 0 };
        let end = if n + 1 == parts { 0x40 } else { 0 };
        out.push(packet(&[header & 0xe0 | 28, start | end | header & 0x1f], part));
    }
}

fn packet(prefix: &[u8], body: &[u8]) -> Vec<u8> {
    let length = 12 + prefix.len() + body.len();
    let mut packet = Vec::with_capacity(4 + length);
    packet.extend_from_slice(&[b'$', 0]);
    packet.extend_from_slice(&(length as u16).to_be_bytes());
    packet.extend_from_slice(&[0x80, PAYLOAD_TYPE]);
    packet.resize(HEAD, 0);
    packet.extend_from_slice(prefix);
    packet.extend_from_slice(body);
    packet
}

/// A sender report (RFC 3550 §6.4.1) on channel 1; `ntp` in seconds and 1/2^32 of them.
pub fn report(ssrc: u32, ntp: u64, time: u32, packets: u32, octets: u32) -> Vec<u8> {
    let mut out = vec![b'$', 1, 0, 28, 0x80, 200, 0, 6];
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&ntp.to_be_bytes());
    for word in [time, packets, octets] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out
}
