//! When a packet's content was captured, from the camera's own timestamps.
//!
//! rtspsrc guesses it from the time of arrival: smoothed, but over TCP a burst
//! after a pause still gives frames the same time, or times out of step with what
//! the camera wrote. Here the camera's RTP timestamps decide the distances, and the
//! guess only where zero is: the offset between both follows the guess slowly, so
//! that the camera's clock may drift and audio and video stay together.

use std::sync::{Arc, Mutex, PoisonError};

use gst::prelude::*;
use gstreamer as gst;

use crate::media::rtp;

/// Off by more than this, the camera's timestamps have jumped, or its connection
/// stood still: the offset is chosen anew, ns.
const JUMP: i64 = 1_000_000_000;
/// The same for a frame that is shown before one that came earlier: at a few frames a
/// second a B-frame comes that late.
const JUMP_BACK: i64 = 3 * JUMP;
/// B-frames step back by less, ns.
const REORDERED: i64 = 2 * JUMP;
/// How fast the offset follows: a fifth of the error per second …
const FOLLOW: i64 = 5_000_000_000;
/// … and at most a fiftieth of the time that passes.
const MOST: i64 = 50;
/// Off by less than this, ns, nobody hears or sees it …
const CALM: i64 = 15_000_000;
/// … and the offset follows by so many times less than the time that passes, which is
/// still more than clocks drift: an even stream of frames stays even (HLS counts them
/// into parts of equal length).
const CALMLY: i64 = 4_000;
/// The least distance of a frame from the one before after a jump, ns.
const STEP: i64 = 10_000_000;

/// One track's clock. Pure.
#[derive(Debug, Clone)]
pub struct Clock {
    rate: u32,
    last: Option<Last>,
    /// It follows another track's clock, and no guess.
    tied: Option<Tied>,
}

/// How a clock follows another one.
#[derive(Debug, Clone)]
struct Tied {
    leader: Shared,
    /// The leader's offset less ours, ns: from here on the same.
    apart: i64,
}

impl Tied {
    /// The offset that ours is to be.
    fn offset(&self) -> Option<i64> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner).offset().map(|leader| leader - self.apart)
    }
}

#[derive(Debug, Clone, Copy)]
struct Last {
    /// The highest timestamp so far, as written and without its wrap-around.
    rtp: u32,
    unwrapped: i64,
    offset: i64,
    /// The highest time given out.
    time: i64,
}

impl Clock {
    /// A clock for timestamps of `rate` Hz.
    pub fn new(rate: u32) -> Self {
        Clock { rate: rate.max(1), last: None, tied: None }
    }

    /// The time, in ns, of the content with the timestamp `rtp`, where the guess is
    /// `guess` ns. The same for all packets of a frame; grows with the timestamp.
    pub fn time(&mut self, rtp: u32, guess: u64) -> u64 {
        let guess = i64::try_from(guess).unwrap_or(i64::MAX / 4);
        let Some(last) = self.last else {
            self.last = Some(Last { rtp, unwrapped: 0, offset: guess, time: guess });
            return guess as u64;
        };
        let ahead = i64::from(rtp.wrapping_sub(last.rtp) as i32);
        let unwrapped = last.unwrapped + ahead;
        let (elapsed, since) = (self.ns(unwrapped), self.ns(ahead));
        let error = guess - elapsed - last.offset;
        let reordered = ahead < 0 && since > -REORDERED;
        let jumped = error.abs() > if reordered { JUMP_BACK } else { JUMP };
        if ahead <= 0 && !jumped {
            // Another packet of the frame, or a B-frame, which is shown earlier.
            return (elapsed + last.offset).max(0) as u64;
        }
        if jumped && ahead == 0 {
            return last.time.max(0) as u64;
        }
        let offset = if jumped {
            guess.max(last.time + STEP) - elapsed
        } else {
            let calm = error.clamp(-CALM, CALM);
            let part = |error: i64| (i128::from(error) * i128::from(since) / i128::from(FOLLOW)) as i64;
            let step = part(calm).clamp(-since / CALMLY, since / CALMLY) + part(error - calm);
            let step = self.tied.as_ref().and_then(Tied::offset).map_or(step, |to| to - last.offset);
            last.offset + step.clamp(-since / MOST, since / MOST)
        };
        if jumped {
            // What belonged together is to be told anew.
            self.tied = None;
        }
        let time = elapsed + offset;
        self.last = Some(Last { rtp, unwrapped, offset, time: time.max(last.time) });
        time.max(0) as u64
    }

    /// From now on this clock goes as `leader` goes, `by` ns later than [`Clock::at`] says so
    /// far; it moves there by a fiftieth of the time that passes.
    pub fn tie(&mut self, leader: &Shared, by: i64) {
        let theirs = leader.lock().unwrap_or_else(PoisonError::into_inner).offset();
        if let (Some(theirs), Some(ours)) = (theirs, self.aim()) {
            self.tied = Some(Tied { leader: leader.clone(), apart: theirs - (ours + by) });
        }
    }

    /// What is added to the timestamps, ns.
    fn offset(&self) -> Option<i64> {
        self.last.map(|last| last.offset)
    }

    /// The same, as it will be soon.
    pub fn aim(&self) -> Option<i64> {
        self.tied.as_ref().and_then(Tied::offset).or(self.offset())
    }

    /// Where the content with the timestamp `rtp` lies by what is known now, ns; none
    /// before the first packet.
    pub fn at(&self, rtp: u32) -> Option<i64> {
        let last = self.last?;
        let unwrapped = last.unwrapped + i64::from(rtp.wrapping_sub(last.rtp) as i32);
        Some(self.ns(unwrapped) + self.aim()?)
    }

    fn ns(&self, ticks: i64) -> i64 {
        (i128::from(ticks) * 1_000_000_000 / i128::from(self.rate)) as i64
    }
}

/// A clock that the packets' thread moves on, and others may look at.
pub type Shared = Arc<Mutex<Clock>>;

/// Stamps all packets that come into `pad`.
pub fn attach(pad: &gst::Pad, rate: u32) -> Shared {
    let shared = Shared::new(Mutex::new(Clock::new(rate)));
    let clock = shared.clone();
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
        let mut clock = clock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = info.buffer_mut() {
            stamp(&mut clock, buffer.make_mut());
        } else if let Some(list) = info.buffer_list_mut() {
            list.make_mut().foreach_mut(|mut buffer, _| {
                stamp(&mut clock, buffer.make_mut());
                std::ops::ControlFlow::Continue(Some(buffer))
            });
        }
        gst::PadProbeReturn::Ok
    });
    shared
}

fn stamp(clock: &mut Clock, buffer: &mut gst::BufferRef) {
    let Some(guess) = buffer.pts() else { return };
    let timestamp = buffer.map_readable().ok().and_then(|map| rtp::parse(&map).map(|p| p.timestamp));
    if let Some(timestamp) = timestamp {
        buffer.set_pts(gst::ClockTime::from_nseconds(clock.time(timestamp, guess.nseconds())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    fn steps(times: &[u64]) -> Vec<i64> {
        times.windows(2).map(|w| w[1] as i64 - w[0] as i64).collect()
    }

    #[test]
    fn a_burst_after_a_pause_keeps_its_distances() {
        let mut clock = Clock::new(90_000);
        // 0.5 s of silence before the tenth frame, and then all at the same moment.
        let guess = |n: i64| 1_000 * MS + if (10..22).contains(&n) { 880 * MS } else { n * 40 * MS };
        let times: Vec<u64> = (0..50).map(|n| clock.time(n as u32 * 3_600, guess(n) as u64)).collect();
        assert!(steps(&times).iter().all(|s| (39_200_000..=40_800_000).contains(s)), "{:?}", steps(&times));
    }

    #[test]
    fn packets_of_one_frame_have_one_time_and_b_frames_step_back() {
        let mut clock = Clock::new(90_000);
        let a = clock.time(0, 0);
        assert_eq!(clock.time(0, 5_000_000), a);
        let later = clock.time(10_800, 40_000_000);
        let b = clock.time(3_600, 80_000_000);
        assert!(b < later && b > a);
        assert!(clock.time(14_400, 120_000_000) > later);
    }

    #[test]
    fn a_drifting_camera_is_followed() {
        let mut clock = Clock::new(90_000);
        // A fast camera clock: 500 ppm, for an hour.
        let mut off = 0;
        for n in 0..90_000i64 {
            let guess = n * 40 * MS;
            let time = clock.time(((n * 3_600) as f64 * 1.0005) as u32, guess as u64);
            off = time as i64 - guess;
        }
        assert!(off.abs() < 20 * MS, "{off}");
    }

    #[test]
    fn the_wrap_around_is_no_jump() {
        let mut clock = Clock::new(90_000);
        let start = u32::MAX - 9_000;
        let times: Vec<u64> =
            (0..10u32).map(|n| clock.time(start.wrapping_add(n * 3_600), u64::from(n) * 40_000_000)).collect();
        assert!(steps(&times).iter().all(|s| *s == 40 * MS));
    }

    #[test]
    fn a_jump_to_either_side_goes_on_from_now() {
        for jump in [i32::MAX / 2, -i32::MAX / 2, 200_000, -200_000] {
            let mut clock = Clock::new(90_000);
            clock.time(0, 0);
            let before = clock.time(3_600, 40 * MS as u64);
            let after = clock.time(7_200u32.wrapping_add(jump as u32), 80 * MS as u64);
            assert!((1..=50 * MS).contains(&(after as i64 - before as i64)), "{jump}");
            let next = clock.time(10_800u32.wrapping_add(jump as u32), 120 * MS as u64);
            assert!((39 * MS..=41 * MS).contains(&(next as i64 - after as i64)), "{jump}");
        }
    }

    #[test]
    fn b_frames_at_two_frames_a_second_are_no_jump() {
        let mut clock = Clock::new(90_000);
        // I P B B B P B B B …: each P is shown three frames after the ones behind it.
        let shown = |n: i64| {
            if n == 0 {
                0
            } else if n % 4 == 1 {
                n + 3
            } else {
                n - 1
            }
        };
        let times: Vec<i64> = (0..80)
            .map(|n| clock.time((shown(n) * 45_000) as u32, (5_000 + n * 500) as u64 * MS as u64) as i64)
            .collect();
        let mut sorted = times;
        sorted.sort_unstable();
        for w in sorted[8..72].windows(2) {
            assert!((450 * MS..=550 * MS).contains(&(w[1] - w[0])), "{sorted:?}");
        }
    }

    #[test]
    fn where_a_timestamp_lies_is_known_from_the_first_packet_on() {
        let mut clock = Clock::new(90_000);
        assert_eq!(clock.at(7), None);
        clock.time(u32::MAX - 899, 1_000 * MS as u64);
        // 10 ms later, behind the wrap-around; and half a second earlier.
        assert_eq!(clock.at(0), Some(1_010 * MS));
        assert_eq!(clock.at(u32::MAX - 899 - 45_000), Some(500 * MS));
    }

    proptest! {
        #[test]
        fn time_grows_with_every_frame(
            frames in proptest::collection::vec((1u32..900_000, 0u64..20_000, -500i64..500), 1..60),
            tied in any::<bool>()
        ) {
            let mut clock = Clock::new(90_000);
            let mut rtp = 0u32;
            let mut last = clock.time(rtp, 0);
            let leader: Shared = Arc::new(Mutex::new(Clock::new(90_000)));
            leader.lock().unwrap().time(0, 0);
            for (step, guess_ms, by) in frames {
                if tied {
                    clock.tie(&leader, by * MS);
                }
                rtp = rtp.wrapping_add(step);
                let time = clock.time(rtp, guess_ms * 1_000_000);
                prop_assert!(time > last);
                last = time;
            }
        }
    }
}
