//! The sound of a muxer on its way into the parts: on the time line of the
//! leading track, without holes. Pure.
//!
//! A player waits for sound that was promised and does not come. So where there is
//! none, there is silence: in holes at once, and behind the last frame when the video
//! is so far ahead that no sound is expected any more.

use bytes::Bytes;

/// Sound that is further off its place than this is put there, milliseconds.
const OUT_OF_STEP_MS: i64 = 20;
/// Sound that is later than this does not come, milliseconds.
const LATE_MS: i64 = 1_000;
/// Frames that wait for their part: some seconds. More come when the video stands
/// still, and the oldest go.
const MOST: usize = 512;

/// See the module. Times are in units of the track.
#[derive(Debug)]
pub struct AudioLane {
    /// Units in a second.
    scale: u32,
    /// A frame of silence, and how long it lasts.
    silence: Option<(&'static [u8], u32)>,
    /// Where the next frame begins; before the first one, where the first part ended.
    end: Option<i64>,
    /// Where the first that waits begins.
    base: i64,
    waiting: Vec<(Bytes, u32)>,
    /// Of what waits.
    bytes: usize,
    /// The last frame is silence of ours, or there was none: sound begins at its own time.
    silent: bool,
    /// By how much the last frame that waits lasts longer than it sounds.
    stretch: u32,
    /// Frames thrown away.
    pub dropped: u64,
}

impl AudioLane {
    /// `scale` units in a second; `silence`: a frame of it and how long it lasts, where
    /// there is one.
    pub fn new(scale: u32, silence: Option<(&'static [u8], u32)>) -> Self {
        let silence = silence.filter(|(_, duration)| *duration > 0);
        AudioLane {
            scale: scale.max(1),
            silence,
            end: None,
            base: 0,
            waiting: Vec::new(),
            bytes: 0,
            silent: false,
            stretch: 0,
            dropped: 0,
        }
    }

    /// Units in a second.
    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// Bytes that wait for their part.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What comes next does not continue what was.
    pub fn breaks(&mut self) {
        self.end = None;
        self.waiting.clear();
        (self.bytes, self.stretch) = (0, 0);
    }

    /// Takes a frame of `duration` that begins at `time`.
    pub fn push(&mut self, data: Bytes, time: i64, mut duration: u32) {
        let mut begin = time;
        let mut stretch = 0;
        if let Some(end) = self.end {
            let error = time - end;
            if error.abs() <= self.ms(OUT_OF_STEP_MS) && !self.silent {
                begin = end;
            } else if error < 0 {
                // Twice the same, out of order, or later than was waited for.
                self.dropped += 1;
                return;
            } else {
                // Two holes of less than a frame at one place may make one of more.
                if let Some((_, last)) = self.waiting.last_mut() {
                    *last = last.saturating_sub(self.stretch);
                    self.end = Some(end - i64::from(self.stretch));
                }
                self.fill(time);
                // What is less than a frame: the one before lasts as long; where that one
                // has gone, this one begins so much earlier.
                let rest = u32::try_from(time - self.end.unwrap_or(time)).unwrap_or(0);
                if let Some((_, last)) = self.waiting.last_mut() {
                    *last = last.saturating_add(rest);
                } else if self.silence.is_some_and(|(_, frame)| rest < frame) {
                    begin = self.end.unwrap_or(time);
                    duration = duration.saturating_add(rest);
                    stretch = rest;
                }
            }
        }
        if begin < 0 {
            self.dropped += 1;
            return;
        }
        self.add(data, begin, duration);
        self.silent = false;
        self.stretch = stretch;
    }

    fn add(&mut self, data: Bytes, begin: i64, duration: u32) {
        if self.waiting.len() >= MOST {
            let (old, first) = self.waiting.remove(0);
            self.bytes -= old.len();
            self.base += i64::from(first);
            self.dropped += 1;
        }
        if self.waiting.is_empty() {
            self.base = begin;
        }
        self.bytes += data.len();
        self.waiting.push((data, duration));
        self.end = Some(begin + i64::from(duration));
    }

    /// Whole frames of silence up to there; at most as many as may wait.
    fn fill(&mut self, until: i64) {
        let (Some((data, duration)), Some(end)) = (self.silence, self.end) else { return };
        let frames = (until - end) / i64::from(duration);
        if frames > MOST as i64 {
            return;
        }
        for i in 0..frames {
            self.add(Bytes::from_static(data), end + i * i64::from(duration), duration);
            self.silent = true;
        }
    }

    /// What has come since, and where it begins, for a part that ends at `until`.
    pub fn take(&mut self, until: i64) -> (u64, Vec<(Bytes, u32)>) {
        match self.end {
            Some(_) => self.fill(until - self.ms(LATE_MS)),
            // From here on sound is waited for.
            None => (self.end, self.silent) = (self.silence.map(|_| until), true),
        }
        (self.bytes, self.stretch) = (0, 0);
        (u64::try_from(self.base).unwrap_or(0), std::mem::take(&mut self.waiting))
    }

    fn ms(&self, ms: i64) -> i64 {
        ms * i64::from(self.scale) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Bytes {
        Bytes::from_static(b"x")
    }

    #[test]
    fn frames_follow_one_another_whatever_the_jitter() {
        let mut lane = AudioLane::new(48_000, None);
        for (i, jitter) in [0, 100, -100, 500].into_iter().enumerate() {
            lane.push(data(), 1_000 + i as i64 * 960 + jitter, 960);
        }
        let (base, frames) = lane.take(0);
        assert_eq!((base, frames.iter().map(|f| f.1).collect::<Vec<_>>()), (1_000, vec![960; 4]));
        lane.push(data(), 1_000 + 4 * 960, 960);
        assert_eq!(lane.take(0).0, 1_000 + 4 * 960);
    }

    #[test]
    fn a_hole_is_filled_and_what_comes_twice_goes() {
        let mut lane = AudioLane::new(48_000, None);
        lane.push(data(), 0, 960);
        lane.push(data(), 4_800, 960);
        lane.push(data(), 960, 960);
        let (base, frames) = lane.take(0);
        assert_eq!((base, frames.iter().map(|f| f.1).collect::<Vec<_>>(), lane.dropped), (0, vec![4_800, 960], 1));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut lane = AudioLane::new(48_000, None);
        for i in 0..MOST as i64 + 10 {
            lane.push(data(), i * 960, 960);
        }
        assert_eq!(lane.bytes(), MOST);
        let (base, frames) = lane.take(0);
        assert_eq!((base, frames.len(), lane.dropped), (9_600, MOST, 10));
        assert_eq!(lane.bytes(), 0);
    }

    #[test]
    fn nothing_begins_before_the_time_line() {
        let mut lane = AudioLane::new(48_000, None);
        lane.push(data(), -5, 960);
        assert!(lane.take(0).1.is_empty());
    }

    const SILENCE: (&[u8], u32) = (b"s", 960);

    /// What a part that ends at `until` gets: where it begins, and each frame.
    fn part(lane: &mut AudioLane, until: i64) -> (u64, String) {
        let (base, frames) = lane.take(until);
        (base, frames.iter().map(|(d, _)| String::from_utf8_lossy(d).into_owned()).collect())
    }

    #[test]
    fn holes_are_silent_and_leave_none() {
        let mut lane = AudioLane::new(48_000, Some(SILENCE));
        lane.push(data(), 0, 960);
        lane.push(data(), 4_900, 960);
        let (base, frames) = lane.take(9_600);
        assert_eq!((base, frames.iter().map(|f| f.1).collect::<Vec<_>>()), (0, vec![960, 960, 960, 960, 1_060, 960]));
        // In the next part likewise, where nothing waits that could last longer.
        lane.push(data(), 5_860 + 1_920, 960);
        assert_eq!(part(&mut lane, 9_600), (5_860, "ssx".into()));
        // Less than a frame, and the one before has gone.
        let mut lane = AudioLane::new(16_000, Some((b"s", 1_024)));
        lane.push(data(), 0, 1_024);
        lane.take(0);
        lane.push(data(), 1_664, 1_024);
        let (base, frames) = lane.take(0);
        assert_eq!((base, frames[0].1, lane.end), (1_024, 1_664, Some(2_688)));
    }

    #[test]
    fn two_small_holes_at_one_place_are_one_large_one() {
        let mut lane = AudioLane::new(48_000, Some((b"s", 1_024)));
        lane.push(data(), 0, 1_024);
        lane.take(0);
        lane.push(data(), 2_024, 1_024);
        lane.push(data(), 4_048, 1_024);
        let (base, frames) = lane.take(0);
        let is: Vec<(&[u8], u32)> = frames.iter().map(|(d, duration)| (&d[..], *duration)).collect();
        assert_eq!((base, is), (1_024, vec![(&b"x"[..], 1_024), (b"s", 2_000), (b"x", 1_024)]));
    }

    #[test]
    fn sound_that_does_not_come_is_silence_a_second_later() {
        let mut lane = AudioLane::new(48_000, Some(SILENCE));
        assert_eq!(part(&mut lane, 9_600).1, "");
        assert_eq!(part(&mut lane, 9_600 + 48_000).1, "");
        assert_eq!(part(&mut lane, 9_600 + 48_000 + 9_600), (9_600, "s".repeat(10)));
        // What is later than that is dropped, the next goes on.
        lane.push(data(), 17_280, 960);
        lane.push(data(), 19_200, 960);
        assert_eq!((part(&mut lane, 76_800), lane.dropped), ((19_200, "x".to_owned() + &"s".repeat(9)), 1));
        let mut none = AudioLane::new(48_000, None);
        assert_eq!((part(&mut none, 0).1, part(&mut none, 480_000).1), (String::new(), String::new()));
    }

    #[test]
    fn after_a_break_it_waits_anew() {
        let mut lane = AudioLane::new(48_000, Some(SILENCE));
        lane.push(data(), 0, 960);
        lane.breaks();
        assert_eq!(part(&mut lane, 480_000).1, "");
        lane.push(data(), 481_920, 960);
        assert_eq!(part(&mut lane, 489_600), (480_000, "ssx".into()));
    }
}
