//! Packets of sound into one stream without holes. Pure.
//!
//! An encoder counts samples; it knows no time. So where packets are missing silence
//! is put in, what came twice is left out, and a sound card whose clock runs apart
//! from ours is followed by a sample now and then. Lateness is no loss: packets that
//! come late and then in a bunch follow each other as they were made.

use std::collections::VecDeque;

/// Off by more than this, the stream begins anew, ns.
const BREAK: i64 = 1_000_000_000;
/// Off by more, nobody waits for more packets to agree.
const HOLE: i64 = 120_000_000;
/// So many packets have to agree on being off …
const SURE: usize = 12;
/// … by more than this, ns, to be put right in one step …
const STEP: i64 = 10_000_000;
/// … and by more than this a sample at a time, where packets can be cut.
const CALM: i64 = 1_000_000;

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// A new stream begins with it, and its first sample was captured then, ns.
    pub begins: Option<u64>,
    /// So many samples of silence go in front of it.
    pub silence: u32,
    /// It comes twice or out of order: leave it out.
    pub late: bool,
    /// 1: its last sample is to be repeated; -1: left out.
    pub slip: i32,
}

/// See the module.
#[derive(Debug)]
pub struct Splice {
    rate: i64,
    /// Packets can be cut at any sample.
    fine: bool,
    /// Where the stream began, capture time in ns, and how many samples it has.
    stream: Option<(i64, i64)>,
    /// By how much the last packets were behind their places, ns.
    errors: VecDeque<i64>,
}

impl Splice {
    /// For sound of so many samples a second; `fine`: packets can be cut.
    pub fn new(rate: u32, fine: bool) -> Self {
        Splice { rate: i64::from(rate.max(1)), fine, stream: None, errors: VecDeque::new() }
    }

    /// Takes the next packet of so many samples, the first captured at `pts_ns`.
    pub fn place(&mut self, pts_ns: u64, samples: u32) -> Place {
        let pts = i64::try_from(pts_ns).unwrap_or(i64::MAX / 4);
        let (begin, count) = self.stream.unwrap_or((pts, 0));
        let error = pts - begin - self.ns(count);
        if self.stream.is_none() || error.abs() > BREAK {
            self.errors.clear();
            self.stream = Some((pts, i64::from(samples)));
            return Place { begins: Some(pts_ns), ..Place::default() };
        }
        if self.errors.len() >= SURE {
            self.errors.pop_front();
        }
        self.errors.push_back(error);
        let sure = self.errors.len() >= SURE;
        let least = self.errors.iter().copied().min().unwrap_or(0);
        let most = self.errors.iter().copied().max().unwrap_or(0);
        let length = self.ns(i64::from(samples));
        let mut place = Place::default();
        if error < -HOLE {
            // Says nothing about the others.
            self.errors.pop_back();
            return Place { late: true, ..place };
        }
        if sure && most < -STEP.max(length / 2) {
            place.late = true;
            // The stream stays where it is, and what follows is so much less behind.
            self.errors.iter_mut().for_each(|e| *e += length);
            return place;
        }
        let hole = if error > HOLE {
            error
        } else if sure && least > STEP {
            least
        } else {
            0
        };
        place.silence = u32::try_from(hole * self.rate / 1_000_000_000).unwrap_or(0);
        if hole == 0 && sure && self.fine && least.abs() > CALM && samples > 1 {
            place.slip = least.signum() as i32;
        }
        let more = i64::from(place.silence) + i64::from(place.slip);
        let by = self.ns(more);
        self.errors.iter_mut().for_each(|e| *e -= by);
        self.stream = Some((begin, count + i64::from(samples) + more));
        place
    }

    fn ns(&self, samples: i64) -> i64 {
        (i128::from(samples) * 1_000_000_000 / i128::from(self.rate)) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;
    const S: i64 = 1_000 * MS;

    /// Feeds packets of 20 ms, captured at these times; gives where each one came to lie.
    fn run(splice: &mut Splice, times: impl Iterator<Item = i64>) -> Vec<(i64, Place)> {
        let n = (splice.rate / 50) as u32;
        let (mut begin, mut count) = (0, 0);
        times
            .map(|t| {
                let p = splice.place(t as u64, n);
                if let Some(at) = p.begins {
                    (begin, count) = (at as i64, 0);
                }
                let at = begin + (count + i64::from(p.silence)) * S / splice.rate;
                if !p.late {
                    count += i64::from(p.silence) + i64::from(n) + i64::from(p.slip);
                }
                (at, p)
            })
            .collect()
    }

    #[test]
    fn even_packets_are_left_alone() {
        let places = run(&mut Splice::new(8_000, true), (0..500).map(|i| S + i * 20 * MS));
        assert_eq!(places[0].1.begins, Some(S as u64));
        assert!(places[1..].iter().all(|(_, p)| *p == Place::default()));
    }

    #[test]
    fn late_packets_are_no_hole() {
        // One in seven comes up to 60 ms late and is stamped with its arrival.
        let times = (0..1_000).map(|i| S + i * 20 * MS + if i % 7 == 3 { (i * 37 % 60) * MS } else { 0 });
        for fine in [true, false] {
            let places = run(&mut Splice::new(8_000, fine), times.clone());
            assert!(places[1..].iter().all(|(_, p)| *p == Place::default()));
        }
    }

    #[test]
    fn a_lost_packet_is_silence() {
        for rate in [8_000u32, 48_000] {
            let times = (0..200).filter(|i| *i != 50).map(|i| S + i * 20 * MS);
            let places = run(&mut Splice::new(rate, rate == 8_000), times);
            let silence: u32 = places.iter().map(|(_, p)| p.silence).sum();
            // Until it is sure of it, it may have begun to follow by samples.
            assert!(silence.abs_diff(rate / 50) <= rate / 1_000, "{silence}");
            let (at, _) = places[198];
            assert!((at - S - 199 * 20 * MS).abs() <= MS, "{at}");
        }
    }

    #[test]
    fn a_short_hole_is_filled_at_once_and_a_long_one_begins_anew() {
        let mut s = Splice::new(8_000, true);
        run(&mut s, (0..10).map(|i| i * 20 * MS));
        assert_eq!(s.place(700_000_000, 160), Place { silence: 4_000, ..Place::default() });
        assert_eq!(s.place(720_000_000, 160), Place::default());
        assert_eq!(s.place(2_720_000_000, 160).begins, Some(2_720_000_000));
        assert_eq!(s.place(0, 160).begins, Some(0));
    }

    #[test]
    fn what_comes_twice_is_left_out() {
        let mut s = Splice::new(8_000, true);
        run(&mut s, (0..50).map(|i| i * 20 * MS));
        assert!(s.place(800_000_000, 160).late);
        assert_eq!(s.place(1_000_000_000, 160), Place::default());
    }

    proptest! {
        /// Whatever the jitter and the drift: sound lies where it was captured.
        #[test]
        fn nothing_moves_away(
            jitter in proptest::collection::vec(0i64..40, 100..600),
            ppm in -300i64..300,
            lost in proptest::collection::btree_set(30usize..500, 0..4),
            fine in any::<bool>(),
        ) {
            let mut s = Splice::new(8_000, fine);
            let kept: Vec<usize> = (0..jitter.len()).filter(|i| !lost.contains(i)).collect();
            let truth = |i: usize| S + i as i64 * 20 * MS * (1_000_000 + ppm) / 1_000_000;
            let places = run(&mut s, kept.iter().map(|i| truth(*i) + jitter[*i] * MS));
            for ((at, _), i) in places.iter().zip(&kept) {
                let off = at - truth(*i);
                prop_assert!((-105 * MS..=60 * MS).contains(&off), "{i}: off by {} ms", off / MS);
            }
        }

        #[test]
        fn any_times(times in proptest::collection::vec((any::<u64>(), 1u32..5_760), 1..100)) {
            let mut s = Splice::new(48_000, false);
            for (t, n) in times {
                let p = s.place(t, n);
                prop_assert!(p.silence <= 48_000);
            }
        }
    }
}
