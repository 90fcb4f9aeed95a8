//! What is written is read again; packets as libwebrtc's tests have them; rubbish.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn written(f: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    f(&mut Writer::new(&mut out));
    assert_eq!(out.len() % 4, 0);
    out
}

fn only(data: &[u8]) -> Packet<'_> {
    let mut all = read(data).unwrap();
    let first = all.next().unwrap();
    assert!(all.next().is_none());
    first
}

#[test]
fn a_compound_is_taken_apart() {
    let info = SenderInfo { ntp: 1 << 40, rtp: 2, packets: 3, bytes: 4 };
    let data = written(|w| {
        w.sender_report(7, info, &[]).cname(7, "camgate").pli(7, 8).bye(&[7, 9]);
    });
    let all: Vec<Packet<'_>> = read(&data).unwrap().collect();
    assert_eq!(all.len(), 4);
    assert!(
        matches!(&all[0], Packet::SenderReport { ssrc: 7, info: i, reports } if *i == info && reports.clone().count() == 0)
    );
    assert!(matches!(all[1], Packet::Description));
    assert!(matches!(all[2], Packet::Pli { media: 8 }));
    assert!(matches!(&all[3], Packet::Bye(s) if s.clone().eq([7, 9])));
}

#[test]
fn lengths_have_to_fit() {
    let data = written(|w| _ = w.pli(1, 2));
    for n in 0..data.len() {
        assert!(read(&data[..n]).is_none(), "{n}");
    }
    let mut longer = data.clone();
    longer[3] += 1;
    assert!(read(&longer).is_none());
    let mut version = data.clone();
    version[0] = 0x41;
    assert!(read(&version).is_none());
    assert!(read(&[]).is_none());
}

#[test]
fn padding_is_cut_off_and_only_allowed_at_the_end() {
    let mut data = written(|w| _ = w.nack(1, 2, &[5]));
    data.extend_from_slice(&[0, 0, 0, 4]);
    data[0] |= 0x20;
    data[3] += 1;
    assert!(matches!(only(&data), Packet::Nack { lost, .. } if lost.clone().eq([5])));
    let mut two = data.clone();
    two.extend_from_slice(&written(|w| _ = w.pli(1, 2)));
    assert!(read(&two).is_none());
    for bad in [0, 24, 255] {
        *data.last_mut().unwrap() = bad;
        assert!(read(&data).is_none(), "{bad}");
    }
}

/// rtcp_packet/remb_unittest.cc and nack_unittest.cc of libwebrtc, as Chromium sends them.
#[test]
fn as_libwebrtc_writes_them() {
    let remb = [
        0x8f, 206, 0, 7, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 3, 0x07, 0xfb, 0x93, 0x23, 0x45,
        0x67, 0x89, 0x23, 0x45, 0x67, 0x8a, 0x23, 0x45, 0x67, 0x8b,
    ];
    let streams = [0x2345_6789, 0x2345_678a, 0x2345_678b];
    assert!(matches!(only(&remb), Packet::Remb { bitrate: 522_022, streams: s } if s.clone().eq(streams)));
    assert_eq!(written(|w| _ = w.remb(0x1234_5678, 522_022, &streams)), remb);
    let nack = [0x81, 205, 0, 3, 0x12, 0x34, 0x56, 0x78, 0x23, 0x45, 0x67, 0x89, 0, 0, 0x84, 0x03];
    assert_eq!(written(|w| _ = w.nack(0x1234_5678, 0x2345_6789, &[0, 1, 2, 11, 16])), nack);
    let fir = [0x84, 206, 0, 4, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0x23, 0x45, 0x67, 0x89, 13, 0, 0, 0];
    assert_eq!(written(|w| _ = w.fir(0x1234_5678, &[(0x2345_6789, 13)])), fir);
    assert!(matches!(only(&fir), Packet::Fir(f) if f.clone().eq([(0x2345_6789, 13)])));
}

#[test]
fn a_round_trip_is_what_is_left() {
    let r = Report { last_sr: 0x1000, since_sr: 0x500, ..Report::default() };
    assert_eq!(r.round_trip(0x1600), Some(0x100));
    assert_eq!(r.round_trip(0x14ff), None);
    assert_eq!(Report::default().round_trip(5), None);
    let r = Report { last_sr: u32::MAX, since_sr: 1, ..r };
    assert_eq!(r.round_trip(9), Some(9));
}

#[test]
fn ntp_counts_from_1900() {
    let at = ntp(Duration::new(0, 500_000_000));
    assert_eq!(at, (2_208_988_800 << 32) | 1 << 31);
    assert_eq!(middle(at), (2_208_988_800u64 << 16) as u32 | 0x8000);
    // 2036-02-07: the era ends, and nothing else.
    assert_eq!(ntp(Duration::from_secs((1 << 32) - 2_208_988_800)) >> 32, 0);
}

#[test]
fn a_run_of_no_packets_ends() {
    let mut data = vec![0x8f, 205, 0, 0];
    data.extend_from_slice(&[0; 8]);
    data.extend_from_slice(&[0, 1, 0, 9, 0, 0, 0, 0]);
    data.extend_from_slice(&[0x20, 0, 0x20, 0]);
    data[3] = (data.len() / 4 - 1) as u8;
    assert!(matches!(only(&data), Packet::Other { kind: 205 }));
}

prop_compose! {
    fn any_report()(ssrc: u32, fraction: u8, lost in -(1i32 << 23)..1 << 23, rest: [u32; 4]) -> Report {
        Report { ssrc, fraction, lost, highest: rest[0], jitter: rest[1], last_sr: rest[2], since_sr: rest[3] }
    }
}

proptest! {
    #[test]
    fn rubbish_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(all) = read(&data) { all.for_each(drain); }
    }

    /// Each type with a sound header, so that its inside is reached.
    #[test]
    fn rubbish_inside_never_panics(count in 0u8..32, kind in 198u8..210, words in proptest::collection::vec(any::<[u8; 4]>(), 0..40), remb: bool) {
        let mut data = vec![0x80 | count, kind];
        data.extend_from_slice(&(words.len() as u16).to_be_bytes());
        data.extend_from_slice(&words.concat());
        if remb && data.len() >= 16 { data[12..16].copy_from_slice(b"REMB"); }
        read(&data).unwrap().for_each(drain);
    }

    #[test]
    fn reports_come_over(ssrc: u32, ntp: u64, rest: [u32; 3], reports in proptest::collection::vec(any_report(), 0..40)) {
        let info = SenderInfo { ntp, rtp: rest[0], packets: rest[1], bytes: rest[2] };
        let data = written(|w| { w.sender_report(ssrc, info, &reports).receiver_report(ssrc, &reports); });
        let all: Vec<_> = read(&data).unwrap().collect();
        let told = &reports[..reports.len().min(MOST)];
        assert!(matches!(&all[0], Packet::SenderReport { ssrc: s, info: i, reports: r } if *s == ssrc && *i == info && r.clone().eq(told.iter().copied())));
        assert!(matches!(&all[1], Packet::ReceiverReport { ssrc: s, reports: r } if *s == ssrc && r.clone().eq(told.iter().copied())));
    }

    #[test]
    fn names_come_over(name in ".{0,300}") {
        assert!(matches!(only(&written(|w| _ = w.cname(1, &name))), Packet::Description));
    }

    #[test]
    fn nacks_come_over(start: u16, gaps in proptest::collection::vec(1u16..40, 0..60)) {
        let lost: Vec<u16> = gaps.iter().scan(start, |n, g| { *n = n.wrapping_add(*g); Some(*n) }).collect();
        let data = written(|w| _ = w.nack(1, 2, &lost));
        assert!(matches!(only(&data), Packet::Nack { media: 2, lost: l } if l.clone().eq(lost.iter().copied())));
    }

    #[test]
    fn remb_keeps_eighteen_bits(bitrate: u64, streams in proptest::collection::vec(any::<u32>(), 0..4)) {
        let data = written(|w| _ = w.remb(1, bitrate, &streams));
        let Packet::Remb { bitrate: got, streams: s } = only(&data) else { panic!() };
        prop_assert!(got <= bitrate && bitrate - got <= bitrate >> 17);
        prop_assert!(s.eq(streams.iter().copied()));
    }

    #[test]
    fn arrivals_come_over(base: u16, number: u8, reference in -(1i32 << 23)..1 << 23,
                          list in proptest::collection::vec((0u8..4, any::<i16>(), 1usize..30), 0..30)) {
        let mut arrivals = Vec::new();
        for (what, delta, n) in list {
            let a = match what { 0 => None, 1 | 2 => Some(delta & 0xff), _ => Some(delta) };
            arrivals.extend(std::iter::repeat_n(a, n));
        }
        let mut data = Vec::new();
        transport_feedback(&mut data, (1, 2), (reference, number), base, &arrivals);
        let Packet::Transport(t) = only(&data) else { panic!() };
        prop_assert_eq!((t.base, t.reference, t.number, usize::from(t.count)), (base, reference, number, arrivals.len()));
        let wanted: Vec<_> = arrivals.iter().enumerate().map(|(i, a)| (base.wrapping_add(i as u16), *a)).collect();
        prop_assert_eq!(t.arrivals().collect::<Vec<_>>(), wanted);
    }
}

/// Walks through all that a packet has.
fn drain(p: Packet<'_>) {
    let n = match p {
        Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => reports.count(),
        Packet::Bye(w) | Packet::Remb { streams: w, .. } => w.count(),
        Packet::Nack { lost, .. } => lost.count(),
        Packet::Fir(f) => f.count(),
        Packet::Transport(t) => {
            let n = t.arrivals().count();
            assert_eq!(n, usize::from(t.count));
            n
        }
        Packet::Description | Packet::Pli { .. } | Packet::Other { .. } => 0,
    };
    assert!(n <= 65_535);
}
