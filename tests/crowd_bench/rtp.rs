//! Recorded frames as interleaved RTP.

use crate::camera::rtp::{PAYLOAD_TYPE, Packed, report};
use crate::support::nal::{Codec, Stamp};

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
    let packed = Packed::new(&au);
    let stamp = Stamp { index: 77, captured_ns: 1, handed_ns: 2 };
    let (mut wire, mut next) = (Vec::new(), 65_534);
    assert_eq!(packed.write(&mut wire, Some(stamp), 7, &mut next, 9), 8);
    let (seqs, markers, units) = read(&wire);
    assert_eq!(seqs, [65_534, 65_535, 0, 1, 2, 3, 4, 5]);
    assert_eq!((next, packed.len()), (6, 7));
    assert_eq!(markers, [false, false, false, false, false, false, false, true]);
    assert_eq!((&units[0], &units[1], &units[3]), (&sps, &pps, &slice));
    assert_eq!(Stamp::from_nal(&units[2], Codec::H264), Some(stamp));
    // Most have none.
    wire.clear();
    assert_eq!(packed.write(&mut wire, None, 7, &mut next, 9), 7);
    let (seqs, markers, units) = read(&wire);
    assert_eq!((seqs.len(), markers.iter().position(|m| *m)), (7, Some(6)));
    assert_eq!((&units[0], &units[1], &units[2]), (&sps, &pps, &slice));
}

#[test]
fn a_sender_report_has_its_length() {
    let report = report(1, 2, 3, 4, 5);
    assert_eq!(report.len(), 4 + 28);
    assert_eq!(report[28..], 5u32.to_be_bytes());
}
