use super::*;
use proptest::prelude::*;

fn run(depth: u32, pts: &[i64]) -> Vec<Decode> {
    let mut d = DecodeTimes::new(depth, 100);
    pts.iter().map(|p| d.push(*p)).collect()
}
fn dts(depth: u32, pts: &[i64]) -> Vec<i64> {
    run(depth, pts).iter().map(|d| d.dts).collect()
}

#[test]
fn without_b_frames_nothing_is_delayed() {
    assert_eq!(dts(0, &[0, 90, 210, 300]), [0, 90, 210, 300]);
}

#[test]
fn b_frames_and_pyramids() {
    assert_eq!(dts(1, &[0, 300, 100, 200, 600, 400, 500]), [-100, 0, 100, 200, 300, 400, 500]);
    assert_eq!(dts(2, &[0, 400, 200, 100, 300, 800, 600, 500, 700]), [-200, -100, 0, 100, 200, 300, 400, 500, 600]);
}

#[test]
fn an_unknown_depth_is_learnt() {
    let pts: Vec<i64> = (0..12).flat_map(|g| [300, 100, 200].map(|t| g * 300 + t)).collect();
    let out = run(0, &pts);
    let late = out.iter().rposition(|d| d.late).unwrap();
    assert!(late < 4, "{late}");
    assert!(out.windows(2).all(|w| w[0].dts < w[1].dts));
    assert_eq!(out[11].dts, pts[11] - 100, "as with the depth known from the start");
}

#[test]
fn equal_times_and_wrapping() {
    assert_eq!(dts(0, &[5, 5, 5, 9]), [5, 6, 7, 9]);
    let mut u = Unwrap::default();
    let out = [u32::MAX - 10, 20, u32::MAX - 3, 40].map(|t| u.push(t) - i64::from(u32::MAX));
    assert_eq!(out, [-10, 21, -3, 41]);
}

/// A mini GOP in decode order: the anchor, then the halves around the middle.
fn pyramid(from: usize, to: usize, out: &mut Vec<usize>) {
    if to > from {
        let mid = from + (to - from) / 2;
        out.push(mid);
        pyramid(from, mid, out);
        pyramid(mid + 1, to, out);
    }
}

/// Frames in decode order, as indices of their place on the screen.
fn stream(groups: &[(usize, bool)]) -> Vec<usize> {
    let mut order = vec![0];
    for (b, nested) in groups {
        let from = order.len();
        order.push(from + b);
        if *nested {
            pyramid(from, from + b, &mut order);
        } else {
            order.extend(from..from + b);
        }
    }
    order
}

proptest! {
    #[test]
    fn strictly_increasing_never_after_the_presentation_minimal(
        groups in proptest::collection::vec((0usize..8, any::<bool>()), 1..30),
        steps in proptest::collection::vec(2i64..30_000, 300), start in 0i64..1 << 40,
    ) {
        let order = stream(&groups);
        // Jitter, variable rate: any distances between frames.
        let mut at = start;
        let times: Vec<i64> = (0..order.len()).map(|i| { at += steps[i % steps.len()]; at }).collect();
        let pts: Vec<i64> = order.iter().map(|i| times[*i]).collect();
        let depth = reorder_depth(&pts);
        let mut d = DecodeTimes::new(depth, 3_600);
        let out: Vec<Decode> = pts.iter().map(|p| d.push(*p)).collect();
        prop_assert_eq!(d.depth(), depth);
        for (k, (o, p)) in out.iter().zip(&pts).enumerate() {
            prop_assert!(o.dts <= *p && !o.late && o.dts + o.offset == *p);
            // The times of the screen, late by the depth: nothing better is possible.
            match k.checked_sub(depth as usize) {
                Some(i) => prop_assert_eq!(o.dts, times[i]),
                None => prop_assert!(o.dts < times[0]),
            }
        }
        prop_assert!(out.windows(2).all(|w| w[0].dts < w[1].dts));
        if depth == 0 { prop_assert!(out.iter().all(|o| o.offset == 0)); }
        // The least depth: with one less a frame would be late.
        if depth > 0 {
            let mut less = DecodeTimes::new(depth - 1, 3_600);
            let late = pts.iter().filter(|p| less.push(**p).late).count();
            prop_assert!(late > 0 || less.depth() == depth);
        }
    }

    #[test]
    fn whatever_comes_decode_times_increase(depth in 0u32..20, pts in proptest::collection::vec(any::<i32>(), 0..60)) {
        let mut d = DecodeTimes::new(depth, 1);
        let mut last = i64::MIN;
        for p in pts {
            let o = d.push(i64::from(p));
            prop_assert!(o.dts > last && o.dts + o.offset == i64::from(p) && o.late == (o.offset < 0));
            last = o.dts;
        }
    }

    #[test]
    fn a_learnt_depth_settles(groups in proptest::collection::vec((0usize..4, any::<bool>()), 60)) {
        let pts: Vec<i64> = stream(&groups).iter().map(|i| *i as i64 * 3_000).collect();
        let out = run(0, &pts);
        prop_assert!(out.windows(2).all(|w| w[0].dts < w[1].dts));
        // Each raise of the depth (3 at most here) makes a few frames late, no more.
        prop_assert!(out.iter().filter(|o| o.late).count() <= 12);
    }
}
