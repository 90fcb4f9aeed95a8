//! Whatever was dropped and replayed for a viewer: what is sent again is what was sent.

use std::collections::HashMap;
use std::time::Instant;

use proptest::prelude::*;

use super::super::ring::tests::frame;
use super::super::ring::{Cap, Ring};
use super::*;

const MEDIA: Identity = Identity { ssrc: 0x1234_5678, payload_type: 102 };
const AGAIN: Identity = Identity { ssrc: 0x9abc_def0, payload_type: 103 };

#[test]
fn a_header_is_as_the_rfc_has_it() {
    let mut s = Outgoing::new(MEDIA, None, (65_535, 0, 10), &[0xbe, 0xde, 0, 1, 0x10, b'0', 0, 0]);
    let h = s.next((0, 0), 90, Clock::Live, true, 2);
    let mut out = [0; 64];
    let n = s.write(h, &[1, 2], &mut out).unwrap();
    let wanted =
        [0x90, 102 | 0x80, 0xff, 0xff, 0, 0, 0, 100, 0x12, 0x34, 0x56, 0x78, 0xbe, 0xde, 0, 1, 0x10, b'0', 0, 0, 1, 2];
    assert_eq!(out[..n], wanted);
    // The number rolls over, the index does not.
    let h = s.next((1, 1), 90, Clock::Live, false, 0);
    assert_eq!(h.index, 65_536);
    let n = s.write(h, &[], &mut out).unwrap();
    assert_eq!((n, &out[1..4]), (20, &[102, 0, 0][..]));
    assert_eq!(s.write(h, &[0; 60], &mut out), None);
    assert_eq!(s.account(), (2, 2, 10));
}

#[test]
fn an_extension_that_does_not_fit_is_left_out() {
    for bad in [&[1; 44][..], &[1; 3]] {
        let s = Outgoing::new(MEDIA, None, (0, 0, 0), bad);
        let n = s.write(Header { index: 0, timestamp: 0, marker: false, captured: None }, &[], &mut [0; 64]);
        assert_eq!(n, Some(12));
    }
}

#[test]
fn rtx_has_numbers_of_its_own() {
    let mut s = Outgoing::new(MEDIA, Some(AGAIN), (7, 65_535, 0), &[]);
    let h = s.next((0, 0), 1, Clock::Live, true, 1);
    let mut out = [0; 64];
    assert_eq!(s.write_rtx(h, &[9], &mut out), Some((15, 65_535)));
    assert_eq!(out[..15], [0x80, 103 | 0x80, 0xff, 0xff, 0, 0, 0, 1, 0x9a, 0xbc, 0xde, 0xf0, 0, 7, 9]);
    assert_eq!(s.write_rtx(h, &[9], &mut out), Some((15, 65_536)));
    // What did not fit was not sent, and has no number.
    assert_eq!(s.write_rtx(h, &[9; 60], &mut out), None);
    assert_eq!(s.write_rtx(h, &[9], &mut out), Some((15, 65_537)));
    assert!(Outgoing::new(MEDIA, None, (0, 0, 0), &[]).write_rtx(h, &[], &mut out).is_none());
}

/// Room for a time under the id 3.
const EXTENSION: [u8; 16] = [0xbe, 0xde, 0, 3, 0x37, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn some_frames_tell_when_they_were_captured() {
    let stamp = |extension: &[u8], at| Some(Stamp { extension: extension.into(), at, epoch: 2_000_000_000 });
    let s = Outgoing::new(MEDIA, None, (0, 0, 0), &[]).stamping(stamp(&EXTENSION, 5));
    let mut out = [0; 64];
    let header = Header { index: 0, timestamp: 0, marker: true, captured: Some(500_000_000) };
    let n = s.write(header, &[7], &mut out).unwrap();
    // 2.5 s after 1970: 2,208,988,802.5 s after 1900.
    let time = [0x83, 0xaa, 0x7e, 0x82, 0x80, 0, 0, 0];
    assert_eq!(
        out[..n],
        [&[0x90, 0x80 | MEDIA.payload_type], &out[2..12], &EXTENSION[..5], &time, &[0, 0, 0, 7]].concat()
    );
    assert_eq!(s.write(Header { captured: None, ..header }, &[7], &mut out), Some(13));
    // What does not fit is left out.
    for (extension, at) in [(&EXTENSION[..15], 5), (&EXTENSION[..], 9), (&[0; 60][..], 5)] {
        let s = Outgoing::new(MEDIA, None, (0, 0, 0), &[]).stamping(stamp(extension, at));
        assert_eq!(s.write(header, &[7], &mut out), Some(13));
    }
    // The last packet of key frames, and of one frame in 25.
    let told = |key, serial, last| captured(&*frame(3, key, 2, 10), serial, last).is_some();
    assert!(told(true, 1, true) && told(false, 50, true));
    assert!(!told(true, 1, false) && !told(false, 51, true) && !told(false, 50, false));
}

proptest! {
    /// A viewer joins with a replay, loses frames, is replayed to again. Every packet that
    /// it was sent and that is found again is found as it was, bit for bit.
    #[test]
    fn what_was_sent_is_found(start: u16, offset: u32, list in proptest::collection::vec((0u8..10, 1usize..6), 1..120)) {
        let now = Instant::now();
        let mut ring = Ring::new(Cap { bytes: 4_000, units: 60, ..Cap::default() });
        let stamp = Stamp { extension: EXTENSION.into(), at: 5, epoch: 1_000_000_000 };
        let mut s = Outgoing::new(MEDIA, None, (start, 0, offset), &[]).stamping(Some(stamp));
        let mut sent: HashMap<u16, Vec<u8>> = HashMap::new();
        let mut order = Vec::new();
        let mut waiting = true;
        for (n, (what, packets)) in list.into_iter().enumerate() {
            let entry = ring.push(frame(n as u32, what == 0, packets, 20), now);
            let mut put = |s: &mut Outgoing, e: &super::super::ring::Entry<super::super::ring::tests::Frame>, clock| {
                for (i, payload) in e.unit.payloads.iter().enumerate() {
                    let marker = i + 1 == e.unit.payloads.len();
                    let h = s.next((e.first + i as u64, e.serial), e.unit.timestamp, clock, marker, payload.len());
                    let h = Header { captured: captured(&*e.unit, e.serial, marker), ..h };
                    let mut out = vec![0; 100];
                    let n = s.write(h, payload, &mut out).unwrap();
                    out.truncate(n);
                    order.push(h.index as u16);
                    sent.insert(h.index as u16, out);
                }
            };
            match what {
                // The viewer is replayed to.
                1 => {
                    let entries: Vec<_> = ring.start().entries.cloned().collect();
                    if let Some(first) = entries.first() {
                        let clock = Clock::Replay { serial: first.serial, first: n as u32 * 3_600, step: 90 };
                        entries.iter().for_each(|e| put(&mut s, e, clock));
                        waiting = !ring.start().continuous;
                    }
                }
                // A frame is dropped for it.
                2 => waiting = true,
                _ => {
                    waiting &= !entry.unit.key;
                    if !waiting { put(&mut s, &entry, Clock::Live); }
                }
            }
        }
        let mut found = 0;
        for sequence in 0..=u16::MAX {
            let Some((h, payload)) = s.find(&ring, sequence) else { continue };
            found += 1;
            let mut out = vec![0; 100];
            let n = s.write(h, payload, &mut out).unwrap();
            prop_assert_eq!(Some(&out[..n]), sent.get(&sequence).map(Vec::as_slice));
        }
        prop_assert!(found <= sent.len() && s.segments.len() <= SEGMENTS);
        // The last packet is always there.
        if let Some(last) = order.last() { prop_assert!(s.find(&ring, *last).is_some()); }
    }
}
