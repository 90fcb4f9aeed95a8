use std::time::Duration;

use proptest::prelude::*;

use crate::hls::playlist::tests::{config, window};
use crate::hls::playlist::{Config, Variant, Window};

/// A segment of so many milliseconds and bytes.
fn segment(w: &mut Window<Vec<u8>>, ms: u64, bytes: usize) {
    w.begin_segment(0, true).unwrap();
    w.add_part(Duration::from_millis(ms), true, vec![0; bytes]).unwrap();
    w.end_segment().unwrap();
}

#[test]
fn bit_rates_are_of_segments_as_long_as_they_have_to_be() {
    let mut w = window(Variant::Fmp4);
    assert_eq!(w.bit_rates(), None);
    // Joined in the middle of a GOP of two seconds: a key frame, and 40 ms.
    segment(&mut w, 40, 50_000);
    w.open(Duration::from_secs(2));
    assert_eq!(w.bit_rates(), Some((400_000, 400_000)), "it counts as a second");
    segment(&mut w, 1_960, 75_000);
    // 62,500 bytes/s together; the second alone is less.
    assert_eq!(w.bit_rates(), Some((500_000, 500_000)));
    // The peak of what has left stays.
    segment(&mut w, 1_000, 250_000);
    (0..20).for_each(|_| segment(&mut w, 2_000, 25_000));
    assert_eq!(w.bit_rates(), Some((2_000_000, 100_000)));
    // Three of 0.4 s with one heavy among them are 1.2 s, and 0.4 s are too short.
    let mut w = window(Variant::Fmp4);
    w.open(Duration::from_secs(1));
    [1_000, 90_000, 1_000, 1_000].into_iter().for_each(|bytes| segment(&mut w, 400, bytes));
    assert_eq!(w.bit_rates().unwrap().0, 91_000 * 8 * 10 / 8);
}

proptest! {
    /// Against all rows of segments, counted the plain way.
    #[test]
    fn the_peak_is_that_of_the_heaviest_row(
        segments in proptest::collection::vec((10u64..=2_000, 1usize..100_000), 1..12),
        at in 0usize..12,
    ) {
        let mut w = Window::new(Config { segment_count: 20, ..config(Variant::Fmp4) }, None);
        for (i, (ms, bytes)) in segments.iter().enumerate() {
            if i == at {
                w.open(Duration::from_secs(2));
            }
            segment(&mut w, *ms, *bytes);
        }
        w.open(Duration::from_secs(2));
        let sum = |row: &[(u64, usize)]| row.iter().fold((0, 0), |(ms, bytes), s| (ms + s.0, bytes + s.1 as u64));
        let rate = |(ms, bytes): (u64, u64)| (bytes * 8_000).div_ceil(ms);
        let rows = (0..segments.len()).flat_map(|a| (a + 1..=segments.len()).map(move |b| (a, b)));
        let fit = rows.map(|(a, b)| sum(&segments[a..b])).filter(|(ms, _)| (1_000..=3_000).contains(ms));
        let all = sum(&segments);
        let average = rate((all.0.max(1_000), all.1));
        prop_assert_eq!(w.bit_rates(), Some((fit.map(rate).max().unwrap_or(0).max(average), average)));
    }
}
