//! The sound of a transport stream: frames of AAC on the time line of the pictures. Pure.
//!
//! The sink writes no picture before the sound has come as far: a camera whose sound
//! pauses gets silence in its place.

use bytes::Bytes;

use crate::hls::audio_lane::AudioLane;
use crate::media::aac::AudioSpecificConfig;

/// A frame on its way to the sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// A raw frame, without ADTS header.
    pub data: Bytes,
    /// When it is heard, ns on the time line.
    pub pts: u64,
    /// How long, ns.
    pub duration: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Voice {
    raw: Vec<u8>,
    config: AudioSpecificConfig,
    lane: AudioLane,
}

impl Voice {
    /// Of AAC with this AudioSpecificConfig; none where we know no silence of it (more
    /// than two channels).
    pub fn new(raw: Vec<u8>) -> Option<Self> {
        let config = AudioSpecificConfig::parse(&raw)?;
        let lane = AudioLane::new(config.sample_rate, Some((config.silence()?, config.frame)));
        Some(Voice { raw, config, lane })
    }

    /// The AudioSpecificConfig as it came, and what it tells.
    pub fn config(&self) -> (&[u8], AudioSpecificConfig) {
        (&self.raw, self.config)
    }

    /// Takes a frame whose place is at `time`, ns.
    pub fn push(&mut self, data: Bytes, time: i64) {
        let samples = i128::from(time) * i128::from(self.lane.scale()) / 1_000_000_000;
        self.lane.push(data, i64::try_from(samples).unwrap_or(-1), self.config.frame);
    }

    /// What is to be written, where the pictures have come as far as `pts` (ns); the first
    /// one of them begins the sound.
    pub fn follow(&mut self, pts: u64) -> Vec<Heard> {
        let scale = u128::from(self.lane.scale());
        let until = i64::try_from(u128::from(pts) * scale / 1_000_000_000).unwrap_or(i64::MAX);
        let nanos = |samples: u64| u64::try_from(u128::from(samples) * 1_000_000_000 / scale).unwrap_or(0);
        let (mut at, frames) = self.lane.take(until);
        let place = |(data, samples): (Bytes, u32)| {
            let begin = at;
            at += u64::from(samples);
            Heard { data, pts: nanos(begin), duration: nanos(at) - nanos(begin) }
        };
        frames.into_iter().map(place).collect()
    }

    /// Frames thrown away: they came too late.
    pub fn dropped(&self) -> u64 {
        self.lane.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const FRAME: u64 = 1_024 * S / 48_000;

    fn voice() -> Voice {
        Voice::new(vec![0x11, 0x88]).unwrap()
    }

    #[test]
    fn sound_has_no_holes_and_begins_with_the_pictures() {
        let (mut v, mut out) = (voice(), Vec::new());
        out.extend(v.follow(10 * S));
        for i in 0..200u64 {
            // Jitter, and two seconds without.
            let at = 10 * S + i * FRAME + i % 3 * 5_000_000;
            if !(60..150).contains(&i) {
                v.push(Bytes::from_static(b"x"), at as i64);
            }
            out.extend(v.follow(at));
        }
        assert!(out[0].pts.abs_diff(10 * S) < 2 * FRAME, "{:?}", out[0]);
        assert!(out.windows(2).all(|w| w[0].pts + w[0].duration == w[1].pts));
        let last = out.last().unwrap();
        assert!(last.pts + 2 * FRAME >= 10 * S + 199 * FRAME, "{last:?}");
        assert!(out.iter().filter(|f| &f.data[..] != b"x").count() > 80);
    }

    #[test]
    fn pictures_do_not_wait_for_sound_that_does_not_come() {
        let mut v = voice();
        let out: Vec<Heard> = (0..250).flat_map(|i| v.follow(10 * S + i * S / 25)).collect();
        let end = out.last().unwrap().pts;
        assert!((18 * S..20 * S).contains(&end), "{end}");
    }

    #[test]
    fn many_channels_are_left_out() {
        assert!(Voice::new(vec![0x11, 0xb0]).is_none() && Voice::new(Vec::new()).is_none());
    }
}
