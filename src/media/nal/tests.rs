use super::*;
use proptest::prelude::*;

fn run(format: Format, payloads: &[&[u8]]) -> Sample {
    depacketise(format, payloads.iter().copied())
}

#[test]
fn single_units_sets_apart_delimiters_gone() {
    let s = run(Format::H264, &[&[9, 0x10], &[0x67, 1, 2], &[0x68, 3], &[6, 5], &[0x65, 7, 8]]);
    assert_eq!(s.data, [0, 0, 0, 2, 6, 5, 0, 0, 0, 3, 0x65, 7, 8]);
    assert_eq!((s.sets.sps, s.sets.pps), (vec![vec![0x67, 1, 2]], vec![vec![0x68, 3]]));
    assert_eq!((s.sync, s.disposable, s.damaged), (true, false, 0));
}

#[test]
fn byte_streams_have_each_set_once_and_in_front() {
    const START: &[u8] = &[0, 0, 0, 1];
    let of = |format, payloads: &[&[u8]]| run(format, payloads).byte_stream(format);
    // Encoders repeat the sets before every slice of a key frame.
    let fu: [&[u8]; 3] = [&[0x7c, 0x85, 3, 4], &[0x7c, 0x05, 5], &[0x7c, 0x45, 6]];
    let payloads = [&[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 2], fu[0], fu[1], fu[2], &[0x67, 1], &[0x68, 2], &[0x65, 7]];
    let units: [&[u8]; 5] = [&[9, 0xf0], &[0x67, 1], &[0x68, 2], &[0x65, 3, 4, 5, 6], &[0x65, 7]];
    assert_eq!(of(Format::H264, &payloads), units.map(|u| [START, u].concat()).concat());
    let ap: &[u8] = &[48 << 1, 1, 0, 3, 32 << 1, 1, 9, 0, 3, 33 << 1, 1, 8];
    let payloads = [ap, &[34 << 1, 1, 7], &[49 << 1, 1, 0x80 | 19, 3], &[49 << 1, 1, 0x40 | 19, 4]];
    let units: [&[u8]; 5] = [&[0x46, 1, 0x50], &[64, 1, 9], &[66, 1, 8], &[68, 1, 7], &[38, 1, 3, 4]];
    assert_eq!(of(Format::H265, &payloads), units.map(|u| [START, u].concat()).concat());
}

#[test]
fn aggregates_and_fragments() {
    let s = run(Format::H264, &[&[0x78, 0, 2, 6, 5, 0, 2, 0x41, 9], &[0x7c, 0x81, 1], &[0x7c, 1, 2], &[0x7c, 0x41, 3]]);
    assert_eq!(s.data, [0, 0, 0, 2, 6, 5, 0, 0, 0, 2, 0x41, 9, 0, 0, 0, 4, 0x61, 1, 2, 3]);
    let s = run(Format::H265, &[&[48 << 1, 1, 0, 3, 64, 1, 9, 0, 2, 66, 1], &[98, 1, 0x93, 1], &[98, 1, 0x53, 2]]);
    assert_eq!(s.data, [0, 0, 0, 4, 38, 1, 1, 2]);
    assert_eq!((s.sets.vps, s.sets.sps, s.sync), (vec![vec![64, 1, 9]], vec![vec![66, 1]], true));
}

#[test]
fn fragments_without_a_beginning_or_an_end_are_dropped_and_reported() {
    let whole = [0, 0, 0, 2, 0x41, 9];
    // No start; start without end before another unit; start without end at the end.
    let s = run(Format::H264, &[&[0x7c, 0x41, 3], &[0x7c, 0x81, 1], &[0x41, 9], &[0x7c, 0x85, 1]]);
    assert_eq!((s.data.as_slice(), s.damaged, s.sync), (&whole[..], 3, false));
    // A start after a start: only the second one ends.
    let s = run(Format::H264, &[&[0x5c, 0x81, 7], &[0x5c, 0x81], &[0x5c, 0x41, 9]]);
    assert_eq!((s.data.as_slice(), s.damaged), (&whole[..], 1));
    let s = run(Format::H264, &[&[0x78, 0, 9, 1], &[0xe1, 1], &[0x7d, 1], &[0x41, 9]]);
    assert_eq!((s.data.as_slice(), s.damaged), (&whole[..], 3));
}

#[test]
fn h265_pictures() {
    let of = |t: u8| run(Format::H265, &[&[t << 1, 1, 7]]);
    assert!([16, 19, 20, 21].iter().all(|t| of(*t).sync));
    assert!(!of(1).sync && !of(1).disposable && of(0).disposable && of(8).rasl && of(9).rasl && !of(6).rasl);
}

proptest! {
    #[test]
    fn any_bytes(h265 in any::<bool>(), p in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..12)) {
        let format = if h265 { Format::H265 } else { Format::H264 };
        let s = depacketise(format, p.iter().map(Vec::as_slice));
        // The sample can be walked by its lengths, to the byte.
        let mut rest = s.data.as_slice();
        while let Some((len, tail)) = rest.split_first_chunk::<4>() {
            let n = u32::from_be_bytes(*len) as usize;
            prop_assert!(n > 0 && n <= tail.len());
            rest = &tail[n..];
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn fragmenting_changes_nothing(body in proptest::collection::vec(any::<u8>(), 2..300), size in 1usize..50) {
        let nal: Vec<u8> = [&[0x65], &body[..]].concat();
        let n = body.len().div_ceil(size);
        let fus: Vec<Vec<u8>> = body.chunks(size).enumerate().map(|(i, c)| {
            let fu = 5 | if i == 0 { 0x80 } else { 0 } | if i + 1 == n { 0x40 } else { 0 };
            [&[0x7c, fu], c].concat()
        }).collect();
        prop_assert_eq!(depacketise(Format::H264, fus.iter().map(Vec::as_slice)), run(Format::H264, &[&nal]));
    }
}
