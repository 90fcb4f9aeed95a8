//! One RTP timeline per track of a path, whatever happens to the source. Pure.
//!
//! A camera that reboots starts its timestamps anywhere. Readers stay, so what
//! they see has to go on: the timestamps of a new source are moved by an offset
//! so that they agree with the path's clock (CLOCK_MONOTONIC, which never jumps).

/// Maps the RTP timestamps of successive sources onto one continuous timeline.
#[derive(Debug, Clone)]
pub struct Timeline {
    rate: u32,
    offset: Option<u32>,
    last: Option<u32>,
    seam: Seam,
}

/// How well packets of sound follow each other; see [`Timeline::follow`].
#[derive(Debug, Clone)]
struct Seam {
    /// Where the sound of the last packet ends.
    end: Option<u32>,
    /// How far packets were off at least, of the last so many.
    least: i32,
    count: u32,
}

/// So many packets of sound (a second of the usual ones) tell what stays off.
const SEAMS: u32 = 50;
/// Off by more, there is a pause in the sound. No packet of Opus is longer.
const SEAM_MS: i64 = 120;

/// A source whose timestamps drift from the path's clock by more than this many
/// milliseconds has jumped (its clock was set, it restarted its encoder): the
/// offset is chosen anew. Above what B-frames and bursts do, below what a person
/// would accept as lost sync.
const JUMP_MS: i64 = 1_000;

impl Timeline {
    /// A timeline in units of `rate` Hz.
    pub fn new(rate: u32) -> Self {
        Timeline { rate, offset: None, last: None, seam: Seam { end: None, least: i32::MAX, count: 0 } }
    }

    /// A new source begins: the next timestamp decides the offset.
    pub fn begin(&mut self) {
        self.offset = None;
    }

    /// The timestamp of the path for a source's timestamp `ts` of a frame whose
    /// capture time on the path's clock is `pts_ns`.
    pub fn map(&mut self, ts: u32, pts_ns: u64) -> u32 {
        let wanted = self.at(pts_ns);
        if let Some(offset) = self.offset {
            let out = ts.wrapping_add(offset);
            if self.ms(out.wrapping_sub(wanted) as i32).abs() <= JUMP_MS {
                let out = self.apart(out);
                self.last = Some(out);
                return out;
            }
        }
        // A new source, or a jump. Never step back behind what was sent: decoders
        // and jitter buffers take that for 13 hours of the future.
        let floor = self.last.map(|l| l.wrapping_add(self.rate / 100));
        let out = match floor {
            Some(f) if (wanted.wrapping_sub(f) as i32) < 0 => f,
            _ => wanted,
        };
        self.offset = Some(out.wrapping_sub(ts));
        self.last = Some(out);
        out
    }

    /// For sound: the timestamp of a packet of so many `samples`, for which
    /// [`Timeline::map`] gave `out`: the end of the packet before it, if that fits.
    ///
    /// What comes from an RTSP session carries a camera's time, or the time of its
    /// arrival where that is later. Receivers take every sample between two packets
    /// for lost, and fill it. So packets follow each other exactly, while they come
    /// late now and then; what stays off has a cause (a packet was lost, the clocks
    /// drift apart), and is put right in one step.
    pub fn follow(&mut self, out: u32, samples: u32) -> u32 {
        let end = self.seam.end.unwrap_or(out);
        let off = out.wrapping_sub(end) as i32;
        self.seam.least = self.seam.least.min(off);
        self.seam.count += 1;
        let whole = self.seam.count == SEAMS;
        let shift = if self.ms(off).abs() > SEAM_MS {
            off
        } else if whole && self.seam.least.unsigned_abs() >= samples / 2 {
            self.seam.least
        } else {
            0
        };
        if whole || shift != 0 {
            (self.seam.least, self.seam.count) = (i32::MAX, 0);
        }
        // Never back behind the packet before: what is too much is left for later.
        let back = -(samples as i32 * 3 / 4);
        let out = end.wrapping_add_signed(shift.max(back));
        self.seam.end = Some(out.wrapping_add(samples));
        self.last = Some(out);
        out
    }

    /// Moves a timestamp behind the last one where both are the same: frames that
    /// come in a bunch after a pause of the network get one capture time from
    /// rtspsrc, and receivers take two frames of one timestamp for one. Less than a
    /// millisecond counts as the same; B-frames step back by more.
    fn apart(&self, out: u32) -> u32 {
        let near = 0..(self.rate / 1_000) as i32;
        match self.last {
            Some(last) if near.contains(&(last.wrapping_sub(out) as i32)) => last.wrapping_add(1),
            _ => out,
        }
    }

    /// The path's clock in units of this timeline.
    fn at(&self, pts_ns: u64) -> u32 {
        (u128::from(pts_ns) * u128::from(self.rate) / 1_000_000_000) as u32
    }

    fn ms(&self, ticks: i32) -> i64 {
        i64::from(ticks) * 1_000 / i64::from(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_bunch_of_frames_with_one_capture_time_is_spread() {
        let mut t = Timeline::new(90_000);
        let first = t.map(5_000, 10 * S);
        let next: Vec<u32> = [5_000, 5_000, 5_000, 8_600].map(|ts| t.map(ts, 10 * S).wrapping_sub(first)).into();
        assert_eq!(next, [1, 2, 3, 3_600]);
        // B-frames step back, and stay there.
        assert_eq!(t.map(6_800, 10 * S).wrapping_sub(first), 1_800);
    }

    #[test]
    fn differences_of_one_source_are_kept() {
        let mut t = Timeline::new(90_000);
        let a = t.map(5_000, 10 * S);
        let b = t.map(8_600, 10 * S + 40_000_000);
        assert_eq!(b.wrapping_sub(a), 3_600);
    }

    #[test]
    fn a_new_source_goes_on_where_the_clock_is() {
        let mut t = Timeline::new(90_000);
        let a = t.map(5_000, 10 * S);
        t.begin();
        let b = t.map(4_000_000_000, 13 * S);
        assert_eq!(b.wrapping_sub(a), 270_000);
    }

    #[test]
    fn b_frames_may_step_back_a_little() {
        let mut t = Timeline::new(90_000);
        let a = t.map(90_000, S);
        let b = t.map(82_800, S - 80_000_000);
        assert_eq!(a.wrapping_sub(b), 7_200);
    }

    #[test]
    fn a_jump_of_the_source_is_smoothed() {
        let mut t = Timeline::new(8_000);
        let a = t.map(1_000, S);
        let b = t.map(900_000_000, S + 20_000_000);
        assert_eq!(b.wrapping_sub(a), 160);
    }

    #[test]
    fn never_back_after_a_restart() {
        let mut t = Timeline::new(90_000);
        let a = t.map(0, 10 * S);
        t.begin();
        let b = t.map(77, 10 * S - 500_000_000);
        assert_eq!(b.wrapping_sub(a), 900);
    }

    #[test]
    fn sound_has_no_seams() {
        let mut t = Timeline::new(48_000);
        // One packet in seven comes up to 60 ms late, and is stamped with its arrival.
        for i in 0..1_000u32 {
            let late = if i % 7 == 3 { (i * 37) % 2_880 } else { 0 };
            assert_eq!(t.follow(i * 960 + late, 960), i * 960, "{i}");
        }
    }

    #[test]
    fn a_lost_packet_of_sound_leaves_its_gap_within_two_seconds() {
        let mut t = Timeline::new(48_000);
        let out: Vec<u32> = (0..200u32).map(|i| t.follow((i + u32::from(i >= 20)) * 960, 960)).collect();
        let gaps = out.windows(2).filter(|w| w[1] - w[0] != 960).count();
        assert_eq!((gaps, out[199]), (1, 200 * 960));
    }

    #[test]
    fn a_pause_in_the_sound_is_kept() {
        let mut t = Timeline::new(48_000);
        t.follow(0, 960);
        assert_eq!(t.follow(19_200, 960), 19_200);
        assert_eq!(t.follow(20_160, 960), 20_160);
    }

    #[test]
    fn a_late_start_is_caught_up_with_in_small_steps() {
        let mut t = Timeline::new(48_000);
        let mut last = t.follow(50_000, 960);
        for i in 1..200u32 {
            let out = t.follow(i * 960, 960);
            assert!((240..=960).contains(&out.wrapping_sub(last)), "{i}");
            last = out;
        }
        assert!(last.abs_diff(199 * 960) < 5_760);
    }

    #[test]
    fn drift_is_given_in_to() {
        for wanted in [955u32, 965] {
            let mut t = Timeline::new(48_000);
            for i in 0..5_000 {
                let out = t.follow(i * wanted, 960);
                assert!((out.wrapping_sub(i * wanted) as i32).abs() <= 960, "{i}: {out}");
            }
        }
    }

    proptest! {
        #[test]
        fn restarts_never_step_back(starts in proptest::collection::vec((any::<u32>(), 0u64..5_000), 1..20)) {
            let mut t = Timeline::new(90_000);
            let mut now = S;
            let mut last: Option<u32> = None;
            for (ts, gap_ms) in starts {
                now += gap_ms * 1_000_000;
                t.begin();
                let out = t.map(ts, now);
                if let Some(l) = last { prop_assert!((out.wrapping_sub(l) as i32) > 0); }
                last = Some(out);
            }
        }
    }
}
