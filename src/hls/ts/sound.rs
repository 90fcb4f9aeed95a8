//! The sound of a transport stream: frames of AAC one behind the other, on the time
//! line of the pictures. Pure.
//!
//! The sink writes no picture before the sound has come as far: a camera whose sound
//! pauses gets silence in its place.

use bytes::Bytes;

/// Sound that is further off its place than this is put there, ns.
const OUT_OF_STEP: i64 = 20_000_000;
/// So far behind the pictures it is missing, ns: an encoder keeps some back, a network
/// some more.
const MISSING: i64 = 1_500_000_000;
/// Silence as far as this behind the pictures, ns: what comes after all has its place.
const KEPT_FREE: i64 = 500_000_000;

/// A frame of AAC on its way to the sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// A raw frame, without ADTS header.
    pub data: Bytes,
    /// When it is heard, ns on the time line.
    pub pts: u64,
    /// How long, ns.
    pub duration: u64,
}

/// See the module. Times are in ns.
#[derive(Debug)]
pub struct Sound {
    /// Of a frame.
    duration: i64,
    silence: Bytes,
    /// Where the next frame begins.
    end: Option<i64>,
    /// Frames thrown away: they came too late.
    pub dropped: u64,
}

impl Sound {
    /// Of frames with so many samples at so many Hz; `silence` is one without a sound.
    pub fn new(samples: u32, rate: u32, silence: &'static [u8]) -> Self {
        let duration = i64::from(samples) * 1_000_000_000 / i64::from(rate.max(1));
        Sound { duration: duration.max(1), silence: Bytes::from_static(silence), end: None, dropped: 0 }
    }

    /// The pictures have come as far as `time`; the first one of them begins the sound.
    pub fn follow(&mut self, time: i64, out: &mut Vec<Frame>) {
        let end = *self.end.get_or_insert(time);
        if time - end > MISSING {
            self.fill(time - KEPT_FREE, out);
        }
    }

    /// Takes a frame whose place is at `time`.
    pub fn push(&mut self, data: Bytes, time: i64, out: &mut Vec<Frame>) {
        // Before the first picture there is no place for it.
        let Some(end) = self.end else { return };
        if time < end - OUT_OF_STEP {
            self.dropped += 1;
            return;
        }
        if time > end + OUT_OF_STEP {
            self.fill(time - self.duration / 2, out);
        }
        self.add(data, out);
    }

    fn fill(&mut self, until: i64, out: &mut Vec<Frame>) {
        while self.end.is_some_and(|end| end < until) {
            self.add(self.silence.clone(), out);
        }
    }

    fn add(&mut self, data: Bytes, out: &mut Vec<Frame>) {
        let begin = self.end.unwrap_or(0);
        self.end = Some(begin + self.duration);
        out.push(Frame { data, pts: begin.unsigned_abs(), duration: self.duration.unsigned_abs() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    fn sound() -> Sound {
        // 20 ms a frame.
        Sound::new(960, 48_000, b"-")
    }

    fn times(frames: &[Frame]) -> Vec<u64> {
        frames.iter().map(|f| f.pts / 1_000_000).collect()
    }

    #[test]
    fn frames_follow_one_another_whatever_the_jitter() {
        let (mut s, mut out) = (sound(), Vec::new());
        s.push(Bytes::from_static(b"early"), 0, &mut out);
        s.follow(1_000 * MS, &mut out);
        for (i, jitter) in [0, 15, -15, 3].into_iter().enumerate() {
            s.push(Bytes::from_static(b"x"), (1_000 + 20 * i as i64 + jitter) * MS, &mut out);
        }
        assert_eq!((times(&out), s.dropped), (vec![1_000, 1_020, 1_040, 1_060], 0));
    }

    #[test]
    fn holes_are_silent_and_what_comes_twice_goes() {
        let (mut s, mut out) = (sound(), Vec::new());
        s.follow(0, &mut out);
        s.push(Bytes::from_static(b"x"), 0, &mut out);
        s.push(Bytes::from_static(b"x"), 100 * MS, &mut out);
        s.push(Bytes::from_static(b"x"), 20 * MS, &mut out);
        let silent = out.iter().filter(|f| &f.data[..] == b"-").count();
        assert_eq!((out.len(), silent, s.dropped, times(&out)[5]), (6, 4, 1, 100));
    }

    #[test]
    fn pictures_do_not_wait_for_sound_that_does_not_come() {
        let (mut s, mut out) = (sound(), Vec::new());
        for ms in (0..10_000).step_by(40) {
            s.follow(ms * MS, &mut out);
        }
        let last = *times(&out).last().unwrap();
        assert!((8_000..9_600).contains(&last), "{last}");
        // And it comes after all.
        s.push(Bytes::from_static(b"x"), 9_960 * MS, &mut out);
        assert_eq!((&out.last().unwrap().data[..], *times(&out).last().unwrap()), (&b"x"[..], 9_960));
    }

    proptest! {
        #[test]
        fn no_hole_and_no_overlap(steps in proptest::collection::vec((0i64..3_000, any::<bool>()), 1..60)) {
            let (mut s, mut out) = (sound(), Vec::new());
            let mut at = 0;
            for (step, picture) in steps {
                at += step * MS / 10;
                if picture { s.follow(at, &mut out) } else { s.push(Bytes::from_static(b"x"), at, &mut out) }
            }
            prop_assert!(out.windows(2).all(|w| w[0].pts + w[0].duration == w[1].pts));
        }
    }
}
