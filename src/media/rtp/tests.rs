use super::*;
use crate::media::codec::Codec;
use crate::media::nal::{self, Format, ParameterSets};
use proptest::prelude::*;

const H264: Codec = Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f] };
const H265: Codec = Codec::H265 { profile_id: 1, tier_flag: 0, level_id: 93 };
const SPS: &[u8] = &[0x67, 0x42, 0xe0, 0x1f];
const PPS: &[u8] = &[0x68, 0xce];

fn packet(marker: bool, ts: u32, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x80, 96 | if marker { 0x80 } else { 0 }, 0x12, 0x34];
    p.extend_from_slice(&ts.to_be_bytes());
    p.extend_from_slice(&[0; 4]);
    p.extend_from_slice(payload);
    p
}

#[test]
fn header_extension_csrc_and_padding_are_skipped() {
    let mut p = packet(true, 7, &[]);
    p[0] = 0x80 | 0x20 | 0x10 | 1;
    p.extend_from_slice(&[1, 2, 3, 4]); // CSRC
    p.extend_from_slice(&[0xbe, 0xde, 0, 1, 9, 9, 9, 9]); // extension
    p.extend_from_slice(&[0x65, 0x11, 0, 2]); // payload and two bytes of padding
    let got = parse(&p).unwrap();
    assert_eq!(got, Packet { marker: true, sequence: 0x1234, timestamp: 7, payload: &[0x65, 0x11] });
}

#[test]
fn what_is_no_rtp_is_refused() {
    for bad in [&[][..], &[0x80; 11], &[0x40; 20], &[0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        assert!(parse(bad).is_none(), "{bad:x?}");
    }
    let mut padded = packet(false, 0, &[1]);
    padded[0] |= 0x20;
    *padded.last_mut().unwrap() = 200;
    assert!(parse(&padded).is_none());
}

/// Marker, sequence number, timestamp, payload.
type Sent<'a> = (bool, u16, u32, &'a [u8]);

#[derive(Default)]
struct Got {
    frames: Vec<Frame>,
    renewed: Vec<Vec<u8>>,
}

fn feed(a: &mut Assembler, codec: &Codec, packets: &[Sent<'_>]) -> Got {
    let mut got = Got::default();
    for &(marker, sequence, timestamp, payload) in packets {
        a.push(codec, Packet { marker, sequence, timestamp, payload }, u64::from(timestamp), |frame, sps| {
            got.frames.push(frame);
            got.renewed.extend(sps.map(<[u8]>::to_vec));
        });
    }
    got
}

/// Numbers the packets.
fn assemble(codec: &Codec, packets: &[(bool, u32, &[u8])]) -> Vec<Frame> {
    let numbered: Vec<Sent<'_>> =
        packets.iter().zip(0u16..).map(|((m, t, p), n)| (*m, n.wrapping_add(65_530), *t, *p)).collect();
    feed(&mut Assembler::default(), codec, &numbered).frames
}

fn payloads(frame: &Frame) -> Vec<&[u8]> {
    frame.packets.iter().map(|s| &frame.data[s.start as usize..(s.start + s.len) as usize]).collect()
}

/// A STAP-A.
fn stap(header: u8, units: &[&[u8]]) -> Vec<u8> {
    let sized = |u: &&[u8]| [&(u.len() as u16).to_be_bytes()[..], u].concat();
    [vec![header], units.iter().flat_map(sized).collect()].concat()
}

/// A unit of so many bytes in fragments of so many.
fn fragments(unit: &[u8], most: usize) -> Vec<Vec<u8>> {
    let pieces: Vec<&[u8]> = unit[1..].chunks(most - 2).collect();
    let count = pieces.len();
    let fu = |n: usize| unit[0] & 0x1f | if n == 0 { 0x80 } else { 0 } | if n + 1 == count { 0x40 } else { 0 };
    pieces.iter().enumerate().map(|(n, p)| [&[unit[0] & 0xe0 | 28, fu(n)][..], p].concat()).collect()
}

/// Without zeros: with them a unit might look like several.
fn unit(header: u8, len: usize) -> Vec<u8> {
    std::iter::once(header).chain((1..len).map(|n| ((n * 7) as u8).max(1))).collect()
}

#[test]
fn a_frame_ends_with_its_marker() {
    let f = assemble(&H264, &[(false, 1, SPS), (false, 1, PPS), (true, 1, &[0x65, 9]), (true, 2, &[0x41, 9])]);
    assert_eq!(f.len(), 2);
    assert!(f[0].key && !f[1].key);
    assert_eq!(payloads(&f[0]), [stap(0x78, &[SPS, PPS, &[0x65, 9]])], "small ones travel together");
    assert_eq!((f[1].timestamp, payloads(&f[1])), (2, vec![&[0x41, 9][..]]));
}

#[test]
fn a_lost_marker_ends_the_frame_with_the_next_timestamp() {
    let f = assemble(&H264, &[(false, 1, &[0x61, 1]), (true, 2, &[0x41, 1])]);
    assert_eq!(f.iter().map(|f| f.timestamp).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_marker_on_every_slice_tears_one_picture_at_most() {
    // first_mb_in_slice: 0, and more (its first bit).
    let (first, more): (&[u8], &[u8]) = (&[0x41, 0x9a, 1], &[0x41, 0x2a, 1]);
    let picture = |ts| [(true, ts, first), (true, ts, more), (true, ts, more)];
    let (key, rest): (&[u8], &[u8]) = (&[0x65, 0x88, 1], &[0x65, 0x28, 1]);
    let mut sent: Vec<_> = vec![(false, 0, SPS), (false, 0, PPS), (true, 0, key), (true, 0, rest), (true, 0, rest)];
    sent.extend((1..=3).flat_map(picture));
    let f = assemble(&H264, &sent);
    let got: Vec<_> = f.iter().map(|f| (f.timestamp, f.key)).collect();
    assert_eq!(got, [(0, true), (0, false), (1, false), (2, false)], "nobody begins with the rest; the last one waits");
    let slices = |f: &Frame| f.data.windows(3).filter(|w| [key, rest, first, more].contains(w)).count();
    assert_eq!(f.iter().map(slices).collect::<Vec<_>>(), [1, 2, 3, 3]);
    // Parameter sets under the timestamp before: the picture before is no key frame for them.
    sent.extend([(true, 3, SPS), (true, 3, PPS), (true, 4, key), (true, 4, rest), (true, 5, first)]);
    let got: Vec<_> = assemble(&H264, &sent).iter().skip(4).map(|f| (f.timestamp, f.key)).collect();
    assert_eq!(got, [(3, false), (4, true)]);
    // Two fields with a marker each under one timestamp are two pictures, as before.
    let fields = [(true, 1, first), (true, 1, first), (true, 2, first), (true, 2, first)];
    assert_eq!(assemble(&H264, &fields).len(), 4);
    // Also where one loses its first slice.
    let mut a = Assembler::default();
    let lossy: [Sent<'_>; 5] =
        [(false, 1, 1, first), (true, 2, 1, more), (true, 4, 1, more), (true, 5, 2, first), (true, 6, 3, first)];
    assert_eq!(feed(&mut a, &H264, &lossy).frames.len(), 4);
}

#[test]
fn parameter_sets_with_a_marker_or_a_time_of_their_own_wait_for_their_picture() {
    for (marker, at) in [(true, 5), (false, 4), (true, 4)] {
        let sent = [(marker, at, SPS), (marker, at, PPS), (true, 5, &[0x65, 9][..]), (true, 6, &[0x41, 9])];
        let f = assemble(&H264, &sent);
        assert_eq!((f.len(), f[0].key, f[0].timestamp, f[0].pts_ns), (2, true, 5, 5), "{marker} {at}");
        assert_eq!(payloads(&f[0]), [stap(0x78, &[SPS, PPS, &[0x65, 9]])]);
    }
}

#[test]
fn audio_is_a_frame_per_packet() {
    let f = assemble(&Codec::Pcmu, &[(false, 1, &[1, 2]), (false, 161, &[3]), (true, 300, &[])]);
    assert_eq!(f.iter().map(|f| f.data.as_slice()).collect::<Vec<_>>(), [&[1, 2][..], &[3]]);
    assert!(f.iter().all(|f| f.key));
}

#[test]
fn what_fits_is_handed_on_as_it_came() {
    let slice = unit(0x61, 4_000);
    let pieces = fragments(&slice, MAX_PAYLOAD);
    let sent: Vec<_> = pieces.iter().enumerate().map(|(n, p)| (n + 1 == pieces.len(), 1, p.as_slice())).collect();
    let f = assemble(&H264, &sent);
    assert_eq!(payloads(&f[0]), pieces);
}

#[test]
fn what_is_too_large_is_cut_anew_and_full() {
    let slice = unit(0x61, 5_000);
    let whole: Vec<Vec<u8>> = vec![slice.clone()];
    for pieces in [fragments(&slice, 1_400), fragments(&slice, 3_000), whole] {
        let sent: Vec<_> = pieces.iter().enumerate().map(|(n, p)| (n + 1 == pieces.len(), 1, p.as_slice())).collect();
        let f = assemble(&H264, &sent);
        assert_eq!(payloads(&f[0]), fragments(&slice, MAX_PAYLOAD), "{}", pieces.len());
    }
    let big = stap(0x78, &[&unit(0x06, 700), &unit(0x61, 800)]);
    let f = assemble(&H264, &[(true, 1, &big)]);
    assert_eq!(payloads(&f[0]), [unit(0x06, 700), unit(0x61, 800)]);
}

#[test]
fn a_torn_unit_is_left_out_and_the_rest_of_the_frame_stays() {
    let torn = unit(0x61, 5_000);
    let pieces = fragments(&torn, 1_000);
    let other = [0x61, 1, 2];
    // The third fragment is lost; then the first one.
    for lost in [2, 0, 5] {
        let mut sent: Vec<Sent<'_>> = vec![(false, 0, 1, &[0x06, 1])];
        sent.extend(pieces.iter().zip(1..).map(|(p, n)| (false, n, 1, p.as_slice())));
        sent.push((true, sent.len() as u16, 1, &other));
        sent.remove(lost + 1);
        let f = feed(&mut Assembler::default(), &H264, &sent).frames;
        assert_eq!(f.len(), 1);
        assert_eq!(nal::depacketise(Format::H264, payloads(&f[0]).into_iter()).damaged, 0);
        assert!(f[0].data.ends_with(&other) && f[0].data.len() < 20, "{lost}: {}", f[0].data.len());
    }
}

#[test]
fn a_byte_stream_in_the_place_of_a_unit_is_taken_apart() {
    // V380: SPS, PPS and picture as one unit of the SPS's type, in fragments; and whole.
    let picture = unit(0x65, 3_000);
    let stream = [SPS, &[0, 0, 0, 1], PPS, &[0, 0, 1], &picture, &[0, 0]].concat();
    // The start codes wherever the pieces are cut.
    for size in [5, 6, 7, 8, 9, 10, 11, 12, 13, 900] {
        let pieces = fragments(&stream, size);
        let end = pieces.len() - 1;
        let sent: Vec<Sent<'_>> =
            pieces.iter().enumerate().map(|(n, p)| (n == end, n as u16, 1, p.as_slice())).collect();
        let got = feed(&mut Assembler::default(), &H264, &sent);
        assert_eq!(got.frames.len(), 1, "{size}");
        assert!(got.frames[0].key);
        let units = nal::depacketise(Format::H264, payloads(&got.frames[0]).into_iter());
        assert_eq!(units.damaged, 0);
        assert_eq!(got.renewed, [SPS], "{size}");
        assert!(got.frames[0].data.len() > 3_000 && !got.frames[0].data.windows(3).any(|w| w == [0, 0, 1]));
    }
    let small = [SPS, &[0, 0, 1], PPS, &[0, 0, 0, 1, 0x65, 0x88, 7]].concat();
    let got = feed(&mut Assembler::default(), &H264, &[(true, 1, 1, &small)]);
    assert_eq!(payloads(&got.frames[0]), [stap(0x78, &[SPS, PPS, &[0x65, 0x88, 7]])]);
    // A piece is missing: none of it is of use.
    let pieces = fragments(&stream, 900);
    let sent = [(false, 0, 1, pieces[0].as_slice()), (true, 2, 1, pieces[2].as_slice())];
    assert!(feed(&mut Assembler::default(), &H264, &sent).frames.is_empty());
}

#[test]
fn nobody_begins_with_a_picture_that_is_not_whole() {
    let learnt = || {
        let mut a = Assembler::default();
        a.learn(ParameterSets { sps: vec![SPS.into()], pps: vec![PPS.into()], ..Default::default() });
        a
    };
    let (first, second, p) = ([0x65, 0x88, 1], [0x65, 0x40, 2], [0x41, 0x9a, 3]);
    let keys = |sent: &[Sent<'_>]| feed(&mut learnt(), &H264, sent).frames.iter().map(|f| f.key).collect::<Vec<_>>();
    assert_eq!(keys(&[(false, 1, 1, &first), (true, 2, 1, &second), (true, 3, 2, &p)]), [true, false]);
    // Its second slice is lost, its first one, one in the middle, its end with the marker.
    assert_eq!(keys(&[(false, 1, 1, &first), (true, 3, 2, &p)]), [false]);
    assert_eq!(keys(&[(true, 1, 0, &p), (true, 3, 1, &second), (true, 4, 2, &p)]), [false, false]);
    assert_eq!(keys(&[(false, 1, 1, &first), (true, 3, 1, &second), (true, 4, 2, &p)]), [false]);
    // What was lost before a slice that begins a picture did not belong to it.
    assert_eq!(keys(&[(true, 1, 0, &p), (true, 9, 1, &first)]), [false, true]);
    // Parameter sets whose picture was lost make no key frame of the next one.
    assert_eq!(keys(&[(false, 1, 1, SPS), (false, 2, 1, PPS), (true, 4, 2, &p), (true, 5, 3, &first)]), [false, true]);
}

#[test]
fn what_comes_twice_or_late_changes_nothing() {
    let picture = unit(0x61, 3_000);
    let pieces = fragments(&picture, 1_000);
    let mut sent: Vec<Sent<'_>> =
        pieces.iter().zip(65_534u32..).map(|(p, n)| (false, n as u16, 1, p.as_slice())).collect();
    sent.insert(2, sent[1]);
    sent.insert(3, sent[0]);
    sent.push((true, sent.last().unwrap().1.wrapping_add(1), 1, &[0x61, 1, 2]));
    let f = feed(&mut Assembler::default(), &H264, &sent).frames;
    assert_eq!(f.len(), 1);
    assert!(f[0].data.len() > 3_000);
}

#[test]
fn a_key_frame_leaves_with_its_parameter_sets() {
    let mut a = Assembler::default();
    // Nobody has told them.
    assert!(!feed(&mut a, &H264, &[(true, 1, 1, &[0x65, 9])]).frames[0].key);
    a.learn(ParameterSets { sps: vec![SPS.into()], pps: vec![PPS.into()], ..Default::default() });
    let got = feed(&mut a, &H264, &[(true, 2, 2, &[0x65, 9]), (true, 3, 3, &[0x41, 9]), (true, 4, 4, &[0x65, 9])]);
    assert_eq!(payloads(&got.frames[0]), [&stap(0x78, &[SPS, PPS])[..], &[0x65, 9]]);
    assert_eq!(got.frames.iter().map(|f| f.key).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(got.renewed, [SPS]);
    // The stream has the last word, and says it once.
    let other: &[u8] = &[0x67, 0x64, 0, 0x28];
    let got = feed(&mut a, &H264, &[(false, 5, 5, other), (true, 6, 5, &[0x65, 9]), (true, 7, 6, &[0x65, 9])]);
    assert_eq!(got.renewed, [other]);
    assert_eq!(payloads(&got.frames[1])[0], stap(0x78, &[other, PPS]));
}

#[test]
fn parameter_sets_without_a_key_frame_are_a_place_to_start() {
    let f = assemble(&H264, &[(false, 1, SPS), (false, 1, PPS), (true, 1, &[0x41, 9]), (true, 2, &[0x41, 9])]);
    assert_eq!(f.iter().map(|f| f.key).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn h265_key_frames_and_aggregates() {
    let (vps, sps, pps): (&[u8], &[u8], &[u8]) = (&[64, 1, 5], &[66, 1, 6], &[68, 1, 7]);
    let idr = unit(19 << 1, 3_000);
    let f =
        assemble(&H265, &[(false, 1, vps), (false, 1, sps), (false, 1, pps), (true, 1, &idr), (true, 2, &[2, 1, 9])]);
    assert!(f[0].key && !f[1].key);
    let sample = nal::depacketise(Format::H265, payloads(&f[0]).into_iter());
    assert!(sample.sync && sample.damaged == 0 && sample.sets.complete(Format::H265));
    assert_eq!(sample.data[4..], idr);
    assert_eq!((f[0].packets.len(), payloads(&f[0])[0][..2].to_vec()), (4, vec![96, 1]));
}

#[test]
fn delimiters_and_filler_stay_behind() {
    let f = assemble(&H264, &[(false, 1, &[9, 0xf0]), (false, 1, &[0x41, 9]), (true, 1, &[0x0c, 0xff, 0x80])]);
    assert_eq!(payloads(&f[0]), [&[0x41, 9]]);
    let f = assemble(&H265, &[(false, 1, &[70, 1, 0x50]), (true, 1, &[2, 1, 9])]);
    assert_eq!(payloads(&f[0]), [&[2, 1, 9]]);
}

#[test]
fn a_frame_without_an_end_is_thrown_away() {
    let mut a = Assembler::default();
    let piece = unit(0x61, 60_000);
    let sent: Vec<Sent<'_>> = (0..200).map(|n| (n == 199, n, 1, piece.as_slice())).collect();
    assert!(feed(&mut a, &H264, &sent).frames.is_empty());
    assert_eq!(a.oversize, 1);
    assert_eq!(feed(&mut a, &H264, &[(true, 200, 2, &[0x41, 9])]).frames.len(), 1);
}

/// A NAL unit of a type that a camera sends, and as large as it may be.
fn any_unit() -> impl Strategy<Value = Vec<u8>> {
    (prop_oneof![Just(0x61u8), Just(0x65), Just(0x06), Just(0x67), Just(0x68)], 2usize..4_000)
        .prop_map(|(header, len)| unit(header, len))
}

proptest! {
    #[test]
    fn nothing_panics(packets in proptest::collection::vec(
        (any::<bool>(), 0u16..4, 0u32..3, proptest::collection::vec(any::<u8>(), 0..80)), 0..40
    )) {
        let sent: Vec<Sent<'_>> = packets.iter().map(|(m, s, t, p)| (*m, *s, *t, p.as_slice())).collect();
        for codec in [H264, H265, Codec::Pcmu] {
            for f in feed(&mut Assembler::default(), &codec, &sent).frames {
                prop_assert_eq!(f.packets.iter().map(|s| s.len as usize).sum::<usize>(), f.data.len());
            }
        }
        for (_, _, _, p) in &packets {
            let _ = parse(p);
        }
    }

    /// Whatever a camera cuts its frames into, the same units come out, in packets that fit.
    #[test]
    fn units_survive(frames in proptest::collection::vec(proptest::collection::vec(any_unit(), 1..6), 1..5), most in 20usize..3_000) {
        let mut a = Assembler::default();
        let (mut n, mut got) = (0u16, Vec::new());
        for (units, time) in frames.iter().zip(1..) {
            let mut pieces: Vec<Vec<u8>> =
                units.iter().flat_map(|u| if u.len() <= most { vec![u.clone()] } else { fragments(u, most) }).collect();
            // A picture at the end.
            pieces.push(vec![0x41, 7]);
            for (i, piece) in pieces.iter().enumerate() {
                got.extend(feed(&mut a, &H264, &[(i + 1 == pieces.len(), n, time, piece)]).frames);
                n = n.wrapping_add(1);
            }
        }
        prop_assert_eq!(got.len(), frames.len());
        for (frame, units) in got.iter().zip(&frames) {
            prop_assert!(frame.packets.iter().all(|s| s.len as usize <= MAX_PAYLOAD));
            let sample = nal::depacketise(Format::H264, payloads(frame).into_iter());
            prop_assert_eq!(sample.damaged, 0);
            let mut rest = sample.data.as_slice();
            let mut out = Vec::new();
            while let Some((size, tail)) = rest.split_first_chunk::<4>() {
                let (unit, tail) = tail.split_at(u32::from_be_bytes(*size) as usize);
                out.push(unit.to_vec());
                rest = tail;
            }
            let slices = units.iter().filter(|u| !matches!(u[0], 0x67 | 0x68)).cloned();
            prop_assert_eq!(out, slices.chain([vec![0x41, 7]]).collect::<Vec<_>>());
        }
    }
}

/// Packets of all forms: header extension, CSRCs, padding; single, aggregated, fragmented.
fn corpus() -> Vec<Vec<u8>> {
    let mut whole = packet(true, 7, &[]);
    whole[0] = 0x80 | 0x20 | 0x10 | 1;
    whole.extend_from_slice(&[1, 2, 3, 4, 0xbe, 0xde, 0, 1, 0x10, 9, 9, 9, 0x65, 0x11, 0, 2]);
    let payloads: [&[u8]; 6] = [
        &[0x65, 1, 2, 3],
        &[0x7c, 0x85, 1, 2],
        &[0x78, 0, 1, 0x06, 0, 2, 0x67, 1],
        &[49 << 1, 1, 0x80 | 20, 5],
        &[48 << 1, 1, 0, 1, 33 << 1, 0, 2, 19 << 1, 1],
        &[0; 160],
    ];
    payloads.iter().map(|p| packet(false, 9, p)).chain([whole]).collect()
}

proptest! {
    #![proptest_config(crate::fuzz::cases(2_000))]

    #[test]
    fn fuzz_packets(
        data in proptest::collection::vec(crate::fuzz::mutated(corpus()), 1..4),
        codec in prop::sample::select(vec![H264, H265, Codec::Pcmu])
    ) {
        let mut got = Got::default();
        let mut a = Assembler::default();
        for data in &data {
            if let Some(p) = parse(data) {
                prop_assert!(p.payload.len() + 12 <= data.len());
                let next = (true, p.sequence.wrapping_add(1), p.timestamp.wrapping_add(1), &[1u8][..]);
                got.frames.extend(feed(&mut a, &codec, &[(p.marker, p.sequence, p.timestamp, p.payload), next]).frames);
            }
        }
        for f in got.frames {
            prop_assert_eq!(f.packets.iter().map(|s| s.len as usize).sum::<usize>(), f.data.len());
        }
    }
}
