//! The sound of a muxer on its way into the parts: on the time line of the
//! leading track, without holes. Pure.

use bytes::Bytes;

/// Sound that is further off its place than this is put there, milliseconds.
const OUT_OF_STEP_MS: i64 = 20;
/// Frames that wait for their part: some seconds. More come when the video stands
/// still, and the oldest go.
const MOST: usize = 512;

/// See the module. Times are in units of the track.
#[derive(Debug)]
pub struct AudioLane {
    /// Units in a second.
    scale: u32,
    /// Where the next frame begins.
    end: Option<i64>,
    /// Where the first that waits begins.
    base: i64,
    waiting: Vec<(Bytes, u32)>,
    /// Frames thrown away.
    pub dropped: u64,
}

impl AudioLane {
    /// `scale` units in a second.
    pub fn new(scale: u32) -> Self {
        AudioLane { scale: scale.max(1), end: None, base: 0, waiting: Vec::new(), dropped: 0 }
    }

    /// Units in a second.
    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// What comes next does not continue what was.
    pub fn breaks(&mut self) {
        self.end = None;
        self.waiting.clear();
    }

    /// Takes a frame of `duration` that begins at `time`.
    pub fn push(&mut self, data: Bytes, time: i64, duration: u32) {
        let most = OUT_OF_STEP_MS * i64::from(self.scale) / 1_000;
        let mut begin = time;
        if let Some(end) = self.end {
            let error = time - end;
            if error.abs() <= most {
                begin = end;
            } else if error < 0 {
                // Twice the same, or out of order.
                self.dropped += 1;
                return;
            } else if let Some((_, last)) = self.waiting.last_mut() {
                // A hole: the frame before lasts as long.
                *last = last.saturating_add(u32::try_from(error).unwrap_or(0));
            }
        }
        if begin < 0 {
            self.dropped += 1;
            return;
        }
        if self.waiting.len() >= MOST {
            let (_, first) = self.waiting.remove(0);
            self.base += i64::from(first);
            self.dropped += 1;
        }
        if self.waiting.is_empty() {
            self.base = begin;
        }
        self.waiting.push((data, duration));
        self.end = Some(begin + i64::from(duration));
    }

    /// What has come since, and where it begins.
    pub fn take(&mut self) -> (u64, Vec<(Bytes, u32)>) {
        (u64::try_from(self.base).unwrap_or(0), std::mem::take(&mut self.waiting))
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
        let mut lane = AudioLane::new(48_000);
        for (i, jitter) in [0, 100, -100, 500].into_iter().enumerate() {
            lane.push(data(), 1_000 + i as i64 * 960 + jitter, 960);
        }
        let (base, frames) = lane.take();
        assert_eq!((base, frames.iter().map(|f| f.1).collect::<Vec<_>>()), (1_000, vec![960; 4]));
        lane.push(data(), 1_000 + 4 * 960, 960);
        assert_eq!(lane.take().0, 1_000 + 4 * 960);
    }

    #[test]
    fn a_hole_is_filled_and_what_comes_twice_goes() {
        let mut lane = AudioLane::new(48_000);
        lane.push(data(), 0, 960);
        lane.push(data(), 4_800, 960);
        lane.push(data(), 960, 960);
        let (base, frames) = lane.take();
        assert_eq!((base, frames.iter().map(|f| f.1).collect::<Vec<_>>(), lane.dropped), (0, vec![4_800, 960], 1));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut lane = AudioLane::new(48_000);
        for i in 0..MOST as i64 + 10 {
            lane.push(data(), i * 960, 960);
        }
        let (base, frames) = lane.take();
        assert_eq!((base, frames.len(), lane.dropped), (9_600, MOST, 10));
    }

    #[test]
    fn nothing_begins_before_the_time_line() {
        let mut lane = AudioLane::new(48_000);
        lane.push(data(), -5, 960);
        assert!(lane.take().1.is_empty());
    }
}
