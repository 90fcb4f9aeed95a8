//! What becomes another one while a path runs: the frame rate. Pure.

use super::{Ended, Segmenter, decode_times};
use crate::hls::cmaf::Track;
use crate::hls::pace;
use crate::media::rhythm::slope;

/// So many frames tell a new rate, at least …
pub(super) const RECENT: usize = 24;
/// … and no more than so many.
const MOST: usize = 4 * RECENT;
/// Rates that differ by less, in hundredths, are one.
const ALIKE: i64 = 4;

impl Segmenter {
    /// What comes next, to be shown at `time`, does not continue what was. Gives where it
    /// is shown now, and its decode time: what is there already lasts as long as it does,
    /// jitter or not, and time never goes back for a player.
    pub(super) fn begins_anew(&mut self, pts_ns: u64, time: i64, period: i64) -> (i64, i64) {
        self.dates.breaks();
        self.recent.clear();
        let mut first = time;
        if let Some(video) = &mut self.video {
            video.times = decode_times(video.depth, period);
            // Its decode time lies so many frames earlier.
            first -= i64::from(video.depth) * period / 1_000;
        }
        let late = self.cutter.expected().map_or(0, |expected| (expected - first).max(0));
        self.shift = self.shift.map(|s| s + late);
        self.anchor = Some((pts_ns, time + late));
        (time + late, first + late)
    }

    /// Once the rate looks like another one: when frames are decoded from then on.
    pub(super) fn note(&mut self, dts: i64) {
        if !self.cutter.astray() {
            return;
        }
        if self.recent.len() >= MOST {
            self.recent.pop_front();
        }
        self.recent.push_back(dts);
    }

    /// Where the frame rate has become another one: goes on with it behind a
    /// discontinuity, in the same playlist where its PART-TARGET allows that.
    /// Gives where the unit at `time` belongs now.
    pub(super) fn retime(&mut self, pts_ns: u64, time: i64) -> Result<i64, Ended> {
        if self.recent.len() < RECENT {
            return Ok(time);
        }
        let measured = slope(self.recent.make_contiguous());
        let declared = self.tracks.iter().find_map(Track::sps).and_then(|s| s.frame_ticks());
        let period = match pace::period(measured, declared, self.scale) {
            Some(period) if measured.is_some_and(|m| m > 0) => period,
            _ => return Err(Ended::FrameRate),
        };
        let present = i64::from(self.cutter.rate().1);
        if (period - present).abs() * 100 <= present * ALIKE {
            self.cutter.calm();
            self.recent.clear();
            return Ok(time);
        }
        tracing::info!(ticks = period / 1_000, measured, declared, "the frame rate changed");
        // The GOP that ends here is the new rate's, or as long.
        let gop = std::mem::take(&mut self.since_key).max(1);
        let (time, first) = self.begins_anew(pts_ns, time, period);
        self.cutter.retime(period, gop, first, self.audio.as_mut());
        if let Some(audio) = &mut self.audio {
            audio.breaks();
        }
        Ok(time)
    }
}
