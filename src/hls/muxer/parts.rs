//! The muxer's way with fragmented MP4: units into a segmenter, and another one where it
//! cannot go on.

use std::collections::VecDeque;
use std::time::Instant;

use super::{BEGINNING, LOOK, Muxer, News, Output, SOUND, State, Why, codecs, pictures, unfit};
use crate::hls::segmenter::{Ended, Segmenter};
use crate::hls::sound::{Aac, Sound};
use crate::media::codec::{Codec, Kind as Media};
use crate::media::hub::Subscription;

/// Why a segmenter ends, and another one begins.
const FRAME_RATE: &str = "the frame rate changed";

impl Muxer {
    /// Muxes until there is a reason to end.
    pub(super) async fn parts(&self, subscription: &mut Subscription, sound: &mut Sound) -> Why {
        let mut anew = false;
        loop {
            match self.instance(subscription, sound, std::mem::replace(&mut anew, true)).await {
                Ok(why) => tracing::info!(path = %self.path, "{why}: the HLS muxer begins anew"),
                Err(why) => return why,
            }
        }
    }

    /// One segmenter from its first unit to its end; Ok (and why) when another one
    /// follows, which begins `anew`: with the next key frame, and without what the last
    /// one believed.
    async fn instance(
        &self,
        subscription: &mut Subscription,
        sound: &mut Sound,
        anew: bool,
    ) -> Result<&'static str, Why> {
        let codecs = codecs(subscription);
        let (mut known, cut) = (self.known(subscription, anew), self.cut());
        let start = subscription.play();
        // A still that nothing follows is no beginning.
        let mut units = if anew || !start.continuous { Vec::new() } else { start.units };
        let mut look = tokio::time::interval(LOOK);
        let patience = Instant::now() + SOUND;
        let pictures = pictures(&codecs);
        let mut made = VecDeque::new();
        loop {
            known.aac = sound.config(subscription);
            let untold = known.aac.as_ref().is_some_and(Vec::is_empty);
            // Pictures go on without; sound alone has nothing to go on with.
            if untold && pictures && Instant::now() >= patience {
                known.aac = None;
            }
            let clock = self.clock(subscription);
            let wait = known.aac.as_ref().is_some_and(Vec::is_empty);
            let began =
                if wait { Ok(None) } else { Segmenter::begin(cut.clone(), known.clone(), &codecs, &units, clock) };
            match began {
                Ok(Some(segmenter)) => {
                    let next = State::Muxing(Output::Parts(Box::new(segmenter)), cut.prefix);
                    let old = std::mem::replace(&mut *self.lock(), next);
                    // All that a window holds, freed after the lock is.
                    drop(old);
                    break;
                }
                Ok(None) if units.len() < BEGINNING => {}
                Ok(None) if wait => return Err(unfit("its AAC does not tell its configuration")),
                Ok(None) => return Err(unfit("it does not tell its frame rate")),
                Err(Ended::FrameRate) => return Ok(FRAME_RATE),
                Err(Ended::Unfit(why)) => return Err(unfit(&why)),
            }
            match self.next(subscription, sound, &mut look).await? {
                // What comes before the first key frame is of no use, sound neither.
                News::Unit(unit)
                    if !pictures
                        || (unit.key && unit.kind == Media::Video)
                        || units.iter().any(|u| u.kind == Media::Video) =>
                {
                    units.push(unit);
                }
                News::Unit(_) => {}
                News::Aac(frame) => {
                    made.push_back(frame);
                    if made.len() > BEGINNING {
                        made.pop_front();
                    }
                }
            }
        }
        for unit in units {
            while made.front().is_some_and(|f: &Aac| f.pts_ns <= unit.pts_ns) {
                if let Some(frame) = made.pop_front() {
                    self.push(&News::Aac(frame), self.clock(subscription))?;
                }
            }
            if self.push(&News::Unit(unit), self.clock(subscription))? {
                return Ok(FRAME_RATE);
            }
        }
        if let State::Muxing(Output::Parts(segmenter), _) = &mut *self.lock() {
            segmenter.caught_up();
        }
        self.news.send_modify(|n| *n += 1);
        let aac = codecs.iter().any(|c| matches!(c, Codec::Aac { .. }));
        let mut epoch = None;
        loop {
            let news = self.next(subscription, sound, &mut look).await?;
            if let News::Unit(unit) = &news
                && aac
                && unit.kind == Media::Audio
                && (known.aac.is_none() || epoch.replace(unit.epoch) != Some(unit.epoch))
                && sound.config(subscription).filter(|config| !config.is_empty()) != known.aac
            {
                return Ok("its AAC tells another configuration");
            }
            if self.push(&news, self.clock(subscription))? {
                return Ok(FRAME_RATE);
            }
        }
    }

    /// Whether another segmenter has to go on. `clock`: [`Muxer::clock`].
    fn push(&self, news: &News, clock: i64) -> Result<bool, Why> {
        let (result, progress) = match &mut *self.lock() {
            State::Muxing(Output::Parts(segmenter), _) => {
                let before = segmenter.window().progress();
                segmenter.set_clock(clock);
                let result = match news {
                    News::Unit(unit) => segmenter.push(unit),
                    News::Aac(frame) => segmenter.push_aac(frame.pts_ns, frame.epoch, frame.data.clone()),
                };
                (result, segmenter.window().progress() != before)
            }
            _ => (Ok(()), false),
        };
        // Not with each frame: it wakes every request that waits.
        if progress {
            self.news.send_modify(|n| *n += 1);
        }
        match result {
            Ok(()) => Ok(false),
            Err(Ended::FrameRate) => Ok(true),
            Err(Ended::Unfit(why)) => Err(unfit(&why)),
        }
    }
}
