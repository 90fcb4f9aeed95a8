//! The viewer without a library: SRTP, what it counts, what it says.

use crate::client::keys::Master;
use crate::client::light::{Light, Stream};
use crate::client::rtcp::{Block, compound, sender_report};
use crate::client::srtp::{Srtp, derive};
use crate::client::tally::Tally;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const MEDIA: u32 = 0x1122_3344;
const REPAIR: u32 = 0x5566_7788;

/// Bytes of a string of hex digits.
fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect()
}

/// RFC 3711, appendix B.3; its salt is of 14 bytes.
#[test]
fn key_derivation_vectors() {
    let (key, salt) = (hex("e1f97a0d3e018be0d64fa32c06de4139"), hex("0ec675ad498afeebb6960b3aabe6"));
    assert_eq!(derive(&key, &salt, 0, 16), hex("c61e7a93744f39ee10734afe3ff7a087"));
    assert_eq!(derive(&key, &salt, 2, 14), hex("30cbbc08863d8c85d49db34a9ae1"));
    assert_eq!(derive(&key, &salt, 1, 20), hex("cebe321f6ff7716b6fd4ab49af256a156d38baa4"));
}

fn master() -> Master {
    Master { material: (0..56).collect(), client: true }
}

/// An RTP packet as the server seals it (RFC 7714 §8), with its own nonce arithmetic.
fn sealed(ssrc: u32, payload_type: u8, seq: u64, time: u32, payload: &[u8]) -> Vec<u8> {
    let (key, salt) = (&master().material[16..32], &master().material[44..56]);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &derive(key, salt, 0, 16)).unwrap());
    let mut iv: [u8; 12] = [&[0, 0], &ssrc.to_be_bytes()[..], &seq.to_be_bytes()[2..]].concat().try_into().unwrap();
    iv.iter_mut().zip(derive(salt_key(), salt, 2, 12)).for_each(|(a, b)| *a ^= b);
    // An extension of one word, which stays in the clear.
    let mut packet = vec![0x90, payload_type | 0x80];
    packet.extend_from_slice(&(seq as u16).to_be_bytes());
    packet.extend_from_slice(&time.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 7, 0, 0]);
    let mut body = payload.to_vec();
    let aad = Aad::from(packet.clone());
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), aad, &mut body).unwrap();
    packet.extend_from_slice(&body);
    packet.extend_from_slice(tag.as_ref());
    packet
}

fn salt_key() -> &'static [u8] {
    const MATERIAL: [u8; 56] = {
        let mut all = [0; 56];
        let mut n = 0;
        while n < 56 {
            all[n] = n as u8;
            n += 1;
        }
        all
    };
    &MATERIAL[16..32]
}

/// A viewer that has seen 65,533 and 65,534.
fn viewer(tally: &mut Tally) -> Light {
    let media = Stream { ssrc: MEDIA, payload_type: 96, highest: 65_534 };
    tally.packet(crate::client::tally::Packet { seq: 65_533, marker: true, ..Default::default() });
    tally.packet(crate::client::tally::Packet { seq: 65_534, marker: true, ..Default::default() });
    Light::new(&master(), media, (9, 41), tally, 0).unwrap()
}

/// What the viewer sent, in the clear, and its SRTCP index.
fn said(packet: Vec<u8>) -> (Vec<u8>, u32) {
    let mut packet = packet;
    let index = u32::from_be_bytes(*packet.last_chunk().unwrap()) & 0x7fff_ffff;
    let length = Srtp::new(&master().material, true).unwrap().open_rtcp(&mut packet).unwrap();
    packet.truncate(length);
    (packet, index)
}

#[test]
fn packets_count_across_the_turn_of_their_numbers() {
    let mut tally = Tally::default();
    let mut light = viewer(&mut tally);
    for seq in 65_535..65_545 {
        assert!(light.datagram(&mut sealed(MEDIA, 96, seq, 1, &[0x41, 1, 2]), 1, &mut tally));
    }
    assert_eq!((tally.packets, tally.missing_numbers()), (12, vec![]));
    // What is not RTP is somebody else's.
    assert!(!light.datagram(&mut [0, 1, 0, 0], 1, &mut tally));
    assert!(!light.datagram(&mut [22, 254, 253], 1, &mut tally));
}

#[test]
fn what_is_forged_or_came_before_does_not_count() {
    let mut tally = Tally::default();
    let mut light = viewer(&mut tally);
    let good = sealed(MEDIA, 96, 65_535, 1, &[0x41, 1, 2]);
    for at in [1, 4, 15, 21, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        light.datagram(&mut bad, 1, &mut tally);
    }
    for short in 0..good.len() {
        light.datagram(&mut good[..short].to_vec(), 1, &mut tally);
    }
    assert_eq!(tally.packets, 2);
    light.datagram(&mut good.clone(), 1, &mut tally);
    light.datagram(&mut good.clone(), 1, &mut tally);
    assert_eq!(tally.packets, 3);
}

#[test]
fn a_gap_is_asked_for_and_a_retransmission_fills_it() {
    let mut tally = Tally::default();
    let mut light = viewer(&mut tally);
    for seq in [65_535, 65_536, 65_538, 65_541] {
        light.datagram(&mut sealed(MEDIA, 96, seq, 1, &[0x41, 1, 2]), 1, &mut tally);
    }
    let (packet, index) = said(light.say(10, &tally).unwrap());
    assert_eq!((index, light.take_nacks(), light.take_nacks()), (42, 1, 0));
    // Numbers 1, 3 and 4: the first, and a mask of what follows it.
    assert_eq!(
        packet[32..],
        [hex("81cd0003"), 9u32.to_be_bytes().to_vec(), MEDIA.to_be_bytes().to_vec(), hex("00010006")].concat()
    );
    // Not again at once, and then with the next index.
    assert!(light.say(20, &tally).is_none());
    assert_eq!(said(light.say(50_000_000, &tally).unwrap()).1, 43);
    // RFC 4588: another SSRC, its own numbers, the lost number before the payload.
    let original = |seq: u16| [&seq.to_be_bytes()[..], &[0x41, 1, 2]].concat();
    for (n, seq) in [1, 3, 4].into_iter().enumerate() {
        light.datagram(&mut sealed(REPAIR, 97, 7_000 + n as u64, 1, &original(seq)), 2, &mut tally);
    }
    assert_eq!((tally.packets, tally.lost, tally.missing_numbers()), (9, 0, vec![]));
    assert!(light.say(95_000_000, &tally).is_none());
}

#[test]
fn a_report_says_what_was_lost_and_when_the_server_reported() {
    let mut tally = Tally::default();
    let mut light = viewer(&mut tally);
    // A sender report, sealed by the server's direction.
    let mut report = hex("80c80006");
    report.extend_from_slice(&MEDIA.to_be_bytes());
    report.extend_from_slice(&hex("0102030405060708"));
    report.extend_from_slice(&[0; 12]);
    let mut packet = report.clone();
    Srtp::new(&master().material, false).unwrap().seal_rtcp(&mut packet, 5).unwrap();
    assert!(light.datagram(&mut packet, 1_000_000_000, &mut tally));
    assert_eq!(sender_report(&report), Some(0x0304_0506));
    for seq in [65_535, 65_537, 65_538] {
        light.datagram(&mut sealed(MEDIA, 96, seq, 1, &[0x41, 1, 2]), 1_000_000_000, &mut tally);
    }
    // 3 of 4 came; the report was 1.5 s ago.
    let (packet, _) = said(light.say(2_500_000_000, &tally).unwrap());
    let block = Block { fraction: 64, lost: 0, highest: 65_538, report: 0x0304_0506, ago: 98_304 };
    assert_eq!(packet, compound(9, MEDIA, Some(block), &[0], false));
}

#[test]
fn a_gap_that_was_given_up_asks_for_a_key_frame() {
    let mut tally = Tally::default();
    let mut light = viewer(&mut tally);
    light.datagram(&mut sealed(MEDIA, 96, 65_536, 1, &[0x41, 1, 2]), 0, &mut tally);
    light.datagram(&mut sealed(MEDIA, 96, 65_537, 2, &[0x41, 1, 2]), 1_500_000_000, &mut tally);
    assert_eq!(tally.lost, 1);
    let (packet, _) = said(light.say(1_600_000_000, &tally).unwrap());
    assert_eq!(packet[32..], [hex("81ce0002"), 9u32.to_be_bytes().to_vec(), MEDIA.to_be_bytes().to_vec()].concat());
}

#[test]
fn nacks_are_packed() {
    let words = |missing: &[u16]| {
        let packet = compound(1, 2, None, missing, false);
        packet[20..].chunks(4).map(|w| u32::from_be_bytes(w.try_into().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(words(&[5]), [0x0005_0000]);
    assert_eq!(words(&[65_535, 0, 15, 16]), [0xffff_8001, 0x0010_0000]);
    assert_eq!(words(&[1, 17, 18]), [0x0001_8000, 0x0012_0000]);
    assert_eq!(compound(1, 2, None, &[], false), hex("80c9000100000001"));
}
