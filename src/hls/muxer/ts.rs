//! The muxer's way with MPEG-TS: units through the plan into the pipeline, finished
//! segments from there onto the shelf.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{BEGINNING, LOOK, Muxer, Output, State, unfit, wall};
use crate::error::{Error, Kind};
use crate::hls::segmenter::Ended;
use crate::hls::ts::pipeline::{Event, Sink};
use crate::hls::ts::plan::Plan;
use crate::hls::ts::shelf::Shelf;
use crate::hls::ts::voice::Voice;
use crate::media::blocking;
use crate::media::codec::{Codec, Kind as Media};
use crate::media::hub::{AccessUnit, Subscription};

/// Making the pipeline loads plugins the first time.
const MAKE: Duration = Duration::from_secs(15);
/// The pipeline hangs that has not finished a segment so long, and so many frames, after
/// it could.
const STUCK: Duration = Duration::from_secs(10);
/// See [`STUCK`].
const STUCK_FRAMES: u32 = 50;

/// The way into the pipeline.
struct Feed {
    plan: Plan,
    sink: Sink,
    /// Playlists may go out.
    open: bool,
    /// Since when a segment could be finished, and the frames since then.
    due: Option<(Instant, u32)>,
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Unavailable, format!("the MPEG-TS pipeline failed: {why}")).retry_after(2)
}

impl Muxer {
    /// Muxes until there is a reason to end.
    pub(super) async fn transport_stream(&self, subscription: &mut Subscription) -> Error {
        let mut look = tokio::time::interval(LOOK);
        let codecs: Vec<Codec> = subscription.tracks().iter().map(|t| t.codec.clone()).collect();
        let (plan, units) = match self.plan(subscription, &codecs, &mut look).await {
            Ok(planned) => planned,
            Err(why) => return why,
        };
        let mut voice = Voice::start(&self.path, &codecs).await;
        let why = self.transport(plan, units, &mut voice, subscription, &mut look).await;
        voice.stop().await;
        why
    }

    async fn transport(
        &self,
        plan: Plan,
        units: Vec<Arc<AccessUnit>>,
        voice: &mut Voice,
        subscription: &mut Subscription,
        look: &mut tokio::time::Interval,
    ) -> Error {
        let (name, format, aac, most) = (self.path.clone(), plan.format(), voice.aac(), self.settings.max_bytes);
        let made = blocking::begin(MAKE, move || Sink::new(&name, format, aac, most)).await;
        let (sink, mut events) = match made {
            Ok(Ok(made)) => made,
            Ok(Err(why)) => return failed(why),
            Err(fault) => return failed(fault),
        };
        let mut feed = Feed { plan, sink, open: false, due: None };
        let Err(why) = self.feed(&mut feed, &mut events, units, voice, subscription, look).await;
        // Before the pipeline is stopped, which may take its time: who asks now begins anew.
        self.ended(why.clone());
        feed.sink.stop().await;
        why
    }

    /// Waits until it is known how to begin; gives the units so far, too.
    async fn plan(
        &self,
        subscription: &mut Subscription,
        codecs: &[Codec],
        look: &mut tokio::time::Interval,
    ) -> Result<(Plan, Vec<Arc<AccessUnit>>), Error> {
        let known = self.known(subscription, false);
        let cut = self.cut();
        let start = subscription.play();
        // A still that nothing follows is no beginning.
        let mut units = if start.continuous { start.units } else { Vec::new() };
        loop {
            match Plan::begin(&cut, &known, codecs, &units, wall) {
                Ok(Some(plan)) => {
                    let shelf = Shelf::new(&cut, plan.stream());
                    *self.lock() = State::Muxing(Output::TransportStream(Box::new(shelf)), cut.prefix);
                    return Ok((plan, units));
                }
                Ok(None) if units.len() < BEGINNING => {}
                Ok(None) | Err(Ended::FrameRate) => return Err(unfit("it does not tell its frame rate")),
                Err(Ended::Unfit(why)) => return Err(unfit(&why)),
            }
            let unit = self.next(subscription, look).await?;
            // Pictures before the first key frame are of no use, nor is sound.
            if unit.key && unit.kind == Media::Video || !units.is_empty() {
                units.push(unit);
            }
        }
    }

    async fn feed(
        &self,
        feed: &mut Feed,
        events: &mut mpsc::Receiver<Event>,
        units: Vec<Arc<AccessUnit>>,
        voice: &mut Voice,
        subscription: &mut Subscription,
        look: &mut tokio::time::Interval,
    ) -> Result<Infallible, Error> {
        feed.sink.play().await.map_err(failed)?;
        for unit in units {
            self.hand_over(feed, &unit, voice, subscription)?;
        }
        feed.plan.caught_up();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(Event::Fragment(fragment)) => {
                        let mut under_way = 0;
                        self.on_shelf(|shelf| {
                            shelf.take(fragment)?;
                            under_way = shelf.under_way();
                            Ok(())
                        })?;
                        feed.due = (under_way > 1).then(|| (Instant::now(), 0));
                    }
                    Some(Event::Failed(why)) => return Err(failed(why)),
                    None => return Err(failed("it is gone")),
                },
                heard = voice.next() => {
                    let Some(time) = feed.plan.place_of(heard.pts_ns) else { continue };
                    for frame in voice.place(heard.data, time) {
                        feed.sink.push_sound(frame).map_err(failed)?;
                    }
                }
                unit = self.next(subscription, look) => self.hand_over(feed, &*unit?, voice, subscription)?,
            }
        }
    }

    fn hand_over(
        &self,
        feed: &mut Feed,
        unit: &AccessUnit,
        voice: &mut Voice,
        subscription: &Subscription,
    ) -> Result<(), Error> {
        if let Some((since, frames)) = &mut feed.due {
            *frames += 1;
            if *frames > STUCK_FRAMES && since.elapsed() > STUCK {
                return Err(failed(format_args!("it hangs: no segment in {} s", STUCK.as_secs())));
            }
        }
        if feed.sink.full() {
            feed.plan.lost();
            subscription.stats().dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if unit.kind == Media::Audio {
            voice.push(unit);
            return Ok(());
        }
        let Some(frame) = feed.plan.push(unit) else { return Ok(()) };
        let (begin, settles, pts) = (frame.begin, frame.settles, frame.pts);
        feed.sink.push(frame).map_err(failed)?;
        for frame in voice.follow(pts) {
            feed.sink.push_sound(frame).map_err(failed)?;
        }
        if begin.is_none() && !settles && feed.open {
            return Ok(());
        }
        self.on_shelf(|shelf| {
            if let Some(begin) = begin {
                let mut stream = feed.plan.stream();
                stream.codecs.extend(voice.codec_string());
                shelf.begin(begin, stream)?;
            }
            if let Some(gop) = feed.plan.gop().filter(|_| !feed.open) {
                feed.plan.limit(shelf.open(gop));
                feed.open = true;
            }
            if settles && shelf.under_way() > 1 {
                feed.due.get_or_insert((Instant::now(), 0));
            }
            Ok(())
        })
    }

    /// Changes what readers see, and wakes them where they see anything new.
    fn on_shelf(&self, change: impl FnOnce(&mut Shelf) -> Result<(), String>) -> Result<(), Error> {
        let news = match &mut *self.lock() {
            State::Muxing(Output::TransportStream(shelf), _) => {
                let before = shelf.window().progress();
                change(shelf).map_err(failed)?;
                shelf.window().progress() != before
            }
            _ => false,
        };
        if news {
            self.news.send_modify(|n| *n += 1);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "ts_tests.rs"]
mod tests;
