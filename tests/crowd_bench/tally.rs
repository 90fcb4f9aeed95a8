//! What a viewer counts.

use crate::client::tally::{Packet, Tally};

/// Packets of frames of four, 40 ms apart; the first frame is a key frame.
fn packets(count: u64) -> Vec<Packet> {
    (0..count)
        .map(|n| Packet {
            seq: 65_530 + n,
            time: (n / 4) as u32 * 3_600,
            marker: n % 4 == 3,
            key: n < 4,
            stamp: (n % 4 == 0).then_some(((n / 4) as u32, n / 4 * 40_000_000)),
            at: n / 4 * 40_000_000 + 5_000_000 + n % 4 * 1_000,
        })
        .collect()
}

fn missing(tally: &Tally) -> usize {
    tally.missing_numbers().len()
}

#[test]
fn a_repetition_counts_once() {
    let mut tally = Tally::default();
    let all = packets(40);
    all[..30].iter().chain(&all[10..]).for_each(|p| tally.packet(*p));
    let ahead = Packet { seq: 65_530 + 41, ..all[39] };
    [ahead, ahead].iter().for_each(|p| tally.packet(*p));
    assert_eq!((tally.packets, tally.missing_numbers(), tally.frames), (41, vec![(65_530u32 + 40) as u16], 10));
}

#[test]
fn nothing_lost() {
    let mut tally = Tally::default();
    tally.watch();
    packets(400).into_iter().for_each(|p| tally.packet(p));
    assert_eq!((tally.packets, tally.frames, tally.lost, tally.skipped, missing(&tally)), (400, 100, 0, 0, 0));
    assert_eq!(tally.first_key, Some(5_003_000));
    assert_eq!(tally.latencies.unwrap(), vec![5_003; 100]);
}

#[test]
fn a_repair_is_no_loss() {
    let mut tally = Tally::default();
    let mut all = packets(400);
    let mut late = all.remove(201);
    late.at = all[260].at;
    all.insert(260, late);
    all[..260].iter().for_each(|p| tally.packet(*p));
    assert_eq!((missing(&tally), tally.lost), (1, 0));
    all[260..].iter().for_each(|p| tally.packet(*p));
    assert_eq!((missing(&tally), tally.lost, tally.frames), (0, 0, 100));
}

#[test]
fn what_never_comes_is_lost_and_damages_its_frame() {
    let mut tally = Tally::default();
    packets(400).into_iter().filter(|p| ![40, 83, 84].contains(&(p.seq - 65_530))).for_each(|p| tally.packet(p));
    assert_eq!((tally.lost, missing(&tally), tally.frames), (3, 0, 97));
}

#[test]
fn the_last_gap_is_missing_until_it_is_old() {
    let mut tally = Tally::default();
    let all = packets(60);
    all.iter().filter(|p| p.seq != 65_530 + 50).for_each(|p| tally.packet(*p));
    assert_eq!((tally.lost, missing(&tally), tally.frames), (0, 1, 12));
    let next = Packet { seq: 65_530 + 60, time: 60 * 900, at: all[59].at + 2_000_000_000, ..all[59] };
    tally.packet(next);
    assert_eq!((tally.lost, missing(&tally), tally.frames), (1, 0, 15));
}

#[test]
fn a_server_that_leaves_frames_out_is_seen_where_some_have_a_stamp() {
    let mut tally = Tally::default();
    tally.watch();
    let left = packets(800).into_iter().filter(|p| !(40..60).contains(&(p.time / 3_600)));
    for (seq, packet) in (1..).zip(left) {
        let stamp = packet.stamp.filter(|(index, _)| index % 7 == 0);
        tally.packet(Packet { seq, stamp, ..packet });
    }
    assert_eq!((tally.lost, tally.skipped, tally.frames), (0, 20, 180));
    assert_eq!(tally.latencies.map(|l| l.len()), Some(200usize.div_ceil(7) - 3));
}

#[test]
fn a_server_that_leaves_frames_out_is_seen() {
    let mut tally = Tally::default();
    let left = packets(400).into_iter().filter(|p| !(40..60).contains(&(p.time / 3_600)));
    for (seq, packet) in (1..).zip(left) {
        tally.packet(Packet { seq, ..packet });
    }
    assert_eq!((tally.lost, tally.skipped, tally.frames), (0, 20, 80));
}

#[test]
fn a_jump_larger_than_the_window() {
    let mut tally = Tally::default();
    let all = packets(4);
    all.iter().for_each(|p| tally.packet(*p));
    tally.packet(Packet { seq: 65_534 + 10_000, time: 1, ..all[3] });
    tally.packet(Packet { seq: 65_534 + 10_001, time: 1, at: all[3].at + 2_000_000_000, ..all[3] });
    assert_eq!((tally.lost, missing(&tally)), (10_000, 0));
}

#[test]
fn any_order_within_the_window_is_the_same() {
    use proptest::prelude::*;
    proptest!(|(moves in prop::collection::vec((0usize..400, 0usize..40), 0..60))| {
        let mut all = packets(400);
        for (from, by) in moves {
            let to = (from + by).min(399);
            // The first packet is where the count begins.
            if from > 0 {
                all.swap(from, to);
            }
        }
        let mut tally = Tally::default();
        // All at once: no gap is old.
        all.iter().for_each(|p| tally.packet(Packet { at: 5, ..*p }));
        prop_assert_eq!((tally.frames, tally.lost, missing(&tally), tally.skipped), (100, 0, 0, 0));
    });
}
