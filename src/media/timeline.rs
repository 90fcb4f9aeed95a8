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
    /// Where the sound of the last packet ends; see [`Timeline::follow`].
    end: Option<u32>,
}

/// A source whose timestamps drift from the path's clock by more than this many
/// milliseconds has jumped (its clock was set, it restarted its encoder): the
/// offset is chosen anew. Above what B-frames and bursts do, below what a person
/// would accept as lost sync.
const JUMP_MS: i64 = 1_000;

impl Timeline {
    /// A timeline in units of `rate` Hz.
    pub fn new(rate: u32) -> Self {
        Timeline { rate, offset: None, last: None, end: None }
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

    /// For sound: `out` as [`Timeline::map`] gave it for a packet of so many
    /// `samples`, or the end of the packet before where that is nearly the same.
    ///
    /// What comes from an RTSP session carries times of arrival, smoothed but not
    /// exact. Receivers take every sample between two packets for lost, and fill it.
    /// Off by half a packet or more, one is missing, or the clocks have drifted.
    pub fn follow(&mut self, out: u32, samples: u32) -> u32 {
        let out = match self.end {
            Some(end) if (out.wrapping_sub(end) as i32).unsigned_abs() < samples / 2 => end,
            _ => out,
        };
        self.end = Some(out.wrapping_add(samples));
        self.last = Some(out);
        out
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
        let steps = [0, 936, 1_945, 2_900, 3_840];
        let out: Vec<u32> = steps.iter().map(|ts| t.follow(*ts, 960)).collect();
        assert_eq!(out, [0, 960, 1_920, 2_880, 3_840]);
    }

    #[test]
    fn a_lost_packet_of_sound_stays_lost() {
        let mut t = Timeline::new(48_000);
        t.follow(0, 960);
        assert_eq!(t.follow(1_930, 960), 1_930);
        assert_eq!(t.follow(2_880, 960), 2_890);
    }

    #[test]
    fn drift_of_half_a_packet_is_given_in_to() {
        let mut t = Timeline::new(48_000);
        let mut out = 0;
        for i in 0..200 {
            let wanted = i * 950;
            out = t.follow(wanted, 960);
            assert!((out.wrapping_sub(wanted) as i32).abs() < 490, "{i}: {out}");
        }
        assert!(out > 0);
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
