//! A recorded frame as interleaved RTP packets (RFC 6184, RFC 2326 §10.12), ready but for
//! sequence number and timestamp. Pure.

use crate::support::nal::{self, Codec, Stamp};

/// Largest payload of an RTP packet: of 1.7 Mbit/s at 25 frames a second this makes about
/// 218 packets a second.
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
    pub key: bool,
}

impl Packed {
    /// Of an access unit in Annex B.
    pub fn new(au: &[u8], key: bool) -> Packed {
        let (mut sets, mut slices) = (Vec::new(), Vec::new());
        for (_, unit) in nal::units(au) {
            let kind = nal::kind(unit, Codec::H264).unwrap_or_default();
            if nal::is_slice(unit, Codec::H264) {
                packets(unit, &mut slices);
            } else if nal::is_parameter_set(kind, Codec::H264) {
                packets(unit, &mut sets);
            }
        }
        Packed { sets, slices, key }
    }

    /// The frame with its stamp, as it goes over the connection, appended to `out`.
    pub fn write(&self, out: &mut Vec<u8>, stamp: Stamp, time: u32, next: &mut u16, ssrc: u32) {
        let sei = stamp.to_nal(Codec::H264);
        let sei = packet(&[], sei.get(4..).unwrap_or_default());
        let all = self.sets.iter().chain([&sei]).chain(&self.slices);
        let last = self.sets.len() + self.slices.len();
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
    }

    /// Packets with the SEI's, for saying what a stream consists of.
    pub fn len(&self) -> usize {
        self.sets.len() + 1 + self.slices.len()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a receiver makes of the interleaved packets: sequence numbers, markers, units.
    fn read(mut wire: &[u8]) -> (Vec<u16>, Vec<bool>, Vec<Vec<u8>>) {
        let (mut seqs, mut markers, mut units) = (Vec::new(), Vec::new(), Vec::<Vec<u8>>::new());
        while !wire.is_empty() {
            assert_eq!(wire[..2], [b'$', 0]);
            let length = usize::from(u16::from_be_bytes([wire[2], wire[3]]));
            let (packet, rest) = wire[4..].split_at(length);
            wire = rest;
            assert_eq!((packet[0], packet[1] & 0x7f), (0x80, PAYLOAD_TYPE));
            assert_eq!((&packet[4..8], &packet[8..12]), (&7u32.to_be_bytes()[..], &9u32.to_be_bytes()[..]));
            seqs.push(u16::from_be_bytes([packet[2], packet[3]]));
            markers.push(packet[1] & 0x80 != 0);
            let payload = &packet[12..];
            match payload[0] & 0x1f {
                28 if payload[1] & 0x80 != 0 => {
                    units.push([&[payload[0] & 0xe0 | payload[1] & 0x1f], &payload[2..]].concat());
                }
                28 => units.last_mut().unwrap().extend_from_slice(&payload[2..]),
                _ => units.push(payload.to_vec()),
            }
        }
        (seqs, markers, units)
    }

    #[test]
    fn a_frame_comes_out_as_it_went_in() {
        let slice: Vec<u8> = std::iter::once(0x65).chain((0..5_000u32).map(|n| (n % 251) as u8 | 4)).collect();
        let (sps, pps) = (vec![0x67, 1, 2, 3], vec![0x68, 9, 9]);
        let mut au = Vec::new();
        for unit in [&sps, &pps, &slice] {
            au.extend_from_slice(&[0, 0, 0, 1]);
            au.extend_from_slice(unit);
        }
        let packed = Packed::new(&au, true);
        let stamp = Stamp { index: 77, captured_ns: 1, handed_ns: 2 };
        let (mut wire, mut next) = (Vec::new(), 65_534);
        packed.write(&mut wire, stamp, 7, &mut next, 9);
        let (seqs, markers, units) = read(&wire);
        assert_eq!(seqs, [65_534, 65_535, 0, 1, 2, 3, 4, 5]);
        assert_eq!((next, packed.len()), (6, 8));
        assert_eq!(markers, [false, false, false, false, false, false, false, true]);
        assert_eq!((&units[0], &units[1], &units[3]), (&sps, &pps, &slice));
        assert_eq!(Stamp::from_nal(&units[2], Codec::H264), Some(stamp));
    }

    #[test]
    fn a_sender_report_has_its_length() {
        let report = report(1, 2, 3, 4, 5);
        assert_eq!(report.len(), 4 + 28);
        assert_eq!(report[28..], 5u32.to_be_bytes());
    }
}
