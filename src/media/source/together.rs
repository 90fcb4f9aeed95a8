//! How sound and picture of a camera belong together, by its own sender reports.
//!
//! [`super::clock`] knows of a track only when its packets arrive, and a packet of sound
//! arrives when it is full and encoded, a picture at once: tens of milliseconds late against
//! it. A sender report names a moment of each track on the same clock of the camera
//! (RFC 3550 §6.4.1), so that both together tell how much.

use std::sync::{Mutex, PoisonError};

use super::clock::Shared;
use crate::media::codec::Kind;

/// Less nobody hears, and reports differ by as much, ns.
const LITTLE: i64 = 2_000_000;
/// More is no delay but a camera whose reports are of two clocks, ns.
const MUCH: i64 = 1_000_000_000;

/// The two tracks of one source.
#[derive(Debug, Default)]
pub struct Together {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Of video and of sound: the camera's clock where the track's timestamps count from, ns.
    /// Unlike what is to be added to our clock, that stays what it is when ours moves.
    zeros: [Option<i64>; 2],
    clocks: [Option<Shared>; 2],
}

impl Together {
    /// The clock of a track. The sound's will follow the picture's.
    pub fn clock(&self, kind: Kind, clock: Shared) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clocks[usize::from(kind == Kind::Audio)] = Some(clock);
    }

    /// A report about a track has come: what is to be added to our clock for the camera's, ns;
    /// none: the camera has no clock.
    pub fn told(&self, kind: Kind, offset: Option<i64>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        let aim = |clock: &Option<Shared>| clock.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).aim();
        let at = usize::from(kind == Kind::Audio);
        inner.zeros[at] = offset.zip(aim(&inner.clocks[at])).map(|(offset, aim)| offset + aim);
        let [Some(video), Some(sound)] = inner.zeros else { return };
        let ([Some(theirs), Some(ours)], [Some(picture), Some(clock)]) =
            (inner.clocks.each_ref().map(aim), &inner.clocks)
        else {
            return;
        };
        let late = (sound - video) - (ours - theirs);
        if late.abs() < MUCH {
            let by = if late.abs() < LITTLE { 0 } else { late };
            clock.lock().unwrap_or_else(PoisonError::into_inner).tie(picture, by);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::clock::Clock;
    use super::*;

    const MS: i64 = 1_000_000;

    fn shared(rate: u32) -> Shared {
        Arc::new(Mutex::new(Clock::new(rate)))
    }

    #[test]
    fn sound_that_arrives_late_is_moved_to_where_the_camera_says() {
        let (picture, clock): (Shared, Shared) = (shared(90_000), shared(48_000));
        let together = Together::default();
        together.clock(Kind::Audio, clock.clone());
        together.clock(Kind::Video, picture.clone());
        picture.lock().unwrap().time(0, 1_000 * MS as u64);
        // Captured at n × 20 ms by the camera's clock, 32 ms late here, and more later.
        let late = |n: i64| n * 20 * MS + (32 + n / 20) * MS;
        let mut off = 0;
        let mut last = None;
        for n in 0..500i64 {
            let time = clock.lock().unwrap().time((n * 960) as u32, (1_000 * MS + late(n)) as u64) as i64 - 1_000 * MS;
            assert!(last.is_none_or(|last| time > last));
            last = Some(time);
            off = time - n * 20 * MS;
            if n % 100 == 50 {
                let at = clock.lock().unwrap().at((n * 960) as u32).unwrap() - 1_000 * MS;
                // Whichever comes first.
                together.told(Kind::Video, Some(7));
                together.told(Kind::Audio, Some(7 + n * 20 * MS - at));
                together.told(Kind::Video, Some(7));
            }
        }
        assert!(off.abs() < 2 * MS, "{off}");
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let (picture, clock) = (shared(90_000), shared(48_000));
        let together = Together::default();
        together.clock(Kind::Video, picture.clone());
        together.clock(Kind::Audio, clock.clone());
        picture.lock().unwrap().time(0, 0);
        clock.lock().unwrap().time(0, 0);
        for (video, sound) in [(Some(0), None), (None, Some(50 * MS)), (Some(0), Some(2_000 * MS))] {
            together.told(Kind::Audio, None);
            together.told(Kind::Video, video);
            together.told(Kind::Audio, sound);
            assert_eq!(clock.lock().unwrap().at(0), Some(0));
        }
    }
}
