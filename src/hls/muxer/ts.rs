//! The muxer's way with MPEG-TS: units through the plan into the pipeline, finished
//! segments from there onto the shelf.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{BEGINNING, LOOK, Muxer, News, Output, SOUND, State, Why, codecs, unfit};
use crate::error::{Error, Kind};
use crate::hls::segmenter::Ended;
use crate::hls::sound::Sound;
use crate::hls::ts::pipeline::{Event, Sink};
use crate::hls::ts::plan::Plan;
use crate::hls::ts::shelf::Shelf;
use crate::hls::ts::voice::Voice;
use crate::media::blocking;
use crate::media::codec::{Codec, Kind as Media};
use crate::media::hub::Subscription;

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
    voice: Option<Voice>,
    sink: Sink,
    /// The path's sound is AAC already.
    plain: bool,
    /// Playlists may go out.
    open: bool,
    /// Since when a segment could be finished, and the frames since then.
    due: Option<(Instant, u32)>,
}

fn failed(why: impl std::fmt::Display) -> Why {
    Why::Failed(Error::new(Kind::Unavailable, format!("the MPEG-TS pipeline failed: {why}")).retry_after(1))
}

/// Whether AAC of this configuration is another one than is carried.
fn other(config: Option<Vec<u8>>, voice: &Option<Voice>) -> bool {
    let told = config.and_then(Voice::new);
    told.as_ref().map(Voice::config) != voice.as_ref().map(Voice::config)
}

impl Feed {
    /// Takes a frame of AAC; it goes along with the next picture.
    fn hear(&mut self, frame: Bytes, pts_ns: u64) {
        // Before the first picture there is no place for it.
        if let (Some(voice), Some(time)) = (&mut self.voice, self.plan.place_of(pts_ns)) {
            voice.push(frame, time);
        }
    }
}

impl Muxer {
    /// Muxes until there is a reason to end.
    pub(super) async fn transport_stream(&self, subscription: &mut Subscription, sound: &mut Sound) -> Why {
        let mut look = tokio::time::interval(LOOK);
        let codecs = codecs(subscription);
        let (plan, voice, news) = match self.plan(subscription, sound, &codecs, &mut look).await {
            Ok(planned) => planned,
            Err(why) => return why,
        };
        let (name, format, most) = (self.path.clone(), plan.format(), self.settings.max_bytes);
        let make = move || Sink::new(&name, format, voice.as_ref(), most).map(|made| (made, voice));
        let ((sink, mut events), voice) = match blocking::begin(MAKE, make).await {
            Ok(Ok(made)) => made,
            Ok(Err(why)) => return failed(why),
            Err(fault) => return failed(fault),
        };
        let plain = codecs.iter().any(|c| matches!(c, Codec::Aac { .. }));
        let mut feed = Feed { plan, voice, sink, plain, open: false, due: None };
        let Err(why) = self.feed(&mut feed, &mut events, news, subscription, sound, &mut look).await;
        // Before the pipeline is stopped, which may take its time: who asks now begins anew.
        self.ended(why.clone());
        feed.sink.stop().await;
        if let Some(dropped) = feed.voice.map(|v| v.dropped()).filter(|n| *n > 0) {
            tracing::debug!(path = %self.path, dropped, "frames of sound came too late");
        }
        why
    }

    /// Waits until it is known how to begin; gives what came meanwhile, too.
    async fn plan(
        &self,
        subscription: &mut Subscription,
        sound: &mut Sound,
        codecs: &[Codec],
        look: &mut tokio::time::Interval,
    ) -> Result<(Plan, Option<Voice>, Vec<News>), Why> {
        let known = self.known(subscription, false);
        let cut = self.cut();
        let start = subscription.play();
        // A still that nothing follows is no beginning.
        let mut units = if start.continuous { start.units } else { Vec::new() };
        let mut news: Vec<News> = units.iter().cloned().map(News::Unit).collect();
        let patience = Instant::now() + SOUND;
        loop {
            // AAC may tell its configuration with its first frame only.
            let aac = sound.config(subscription);
            let told = aac.as_ref().is_none_or(|c| !c.is_empty()) || Instant::now() >= patience;
            match Plan::begin(&cut, &known, codecs, &units, self.clock(subscription)) {
                Ok(Some(plan)) if told => {
                    let shelf = Shelf::new(&cut, plan.stream());
                    *self.lock() = State::Muxing(Output::TransportStream(Box::new(shelf)), cut.prefix);
                    return Ok((plan, aac.and_then(Voice::new), news));
                }
                Ok(_) if news.len() < BEGINNING => {}
                Ok(_) | Err(Ended::FrameRate) => return Err(unfit("it does not tell its frame rate")),
                Err(Ended::Unfit(why)) => return Err(unfit(&why)),
            }
            let next = self.next(subscription, sound, look).await?;
            match &next {
                News::Unit(unit) if unit.kind == Media::Video && (unit.key || !units.is_empty()) => {
                    units.push(unit.clone());
                    news.push(next);
                }
                // Before the first key frame nothing is of use.
                _ if units.is_empty() => {}
                News::Unit(unit) if unit.kind == Media::Video => {}
                _ => news.push(next),
            }
        }
    }

    async fn feed(
        &self,
        feed: &mut Feed,
        events: &mut mpsc::Receiver<Event>,
        news: Vec<News>,
        subscription: &mut Subscription,
        sound: &mut Sound,
        look: &mut tokio::time::Interval,
    ) -> Result<Infallible, Why> {
        feed.sink.play().await.map_err(failed)?;
        for news in news {
            self.hand_over(feed, news, subscription)?;
        }
        feed.plan.caught_up();
        let mut epoch = None;
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
                news = self.next(subscription, sound, look) => {
                    let news = news?;
                    if let News::Unit(unit) = &news
                        && feed.plain
                        && unit.kind == Media::Audio
                        && (feed.voice.is_none() || epoch.replace(unit.epoch) != Some(unit.epoch))
                        && other(sound.config(subscription), &feed.voice)
                    {
                        return Err(Why::over("its AAC tells another configuration"));
                    }
                    self.hand_over(feed, news, subscription)?;
                }
            }
        }
    }

    fn hand_over(&self, feed: &mut Feed, news: News, subscription: &Subscription) -> Result<(), Why> {
        let unit = match news {
            News::Unit(unit) if unit.kind == Media::Video => unit,
            News::Unit(unit) => {
                if feed.plain {
                    let frames = unit.payloads().map(|(frame, _)| Bytes::copy_from_slice(frame));
                    frames.for_each(|frame| feed.hear(frame, unit.pts_ns));
                }
                return Ok(());
            }
            News::Aac(frame) => {
                feed.hear(frame.data, frame.pts_ns);
                return Ok(());
            }
        };
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
        feed.plan.set_clock(self.clock(subscription));
        let Some(frame) = feed.plan.push(&unit) else { return Ok(()) };
        let (begin, settles, pts) = (frame.begin, frame.settles, frame.pts);
        feed.sink.push(frame).map_err(failed)?;
        for frame in feed.voice.iter_mut().flat_map(|v| v.follow(pts)) {
            feed.plan.hear(frame.data.len());
            feed.sink.push_sound(frame).map_err(failed)?;
        }
        if begin.is_none() && !settles && feed.open {
            return Ok(());
        }
        self.on_shelf(|shelf| {
            if let Some(begin) = begin {
                let mut stream = feed.plan.stream();
                stream.codecs.extend(feed.voice.as_ref().map(|v| v.config().1.codec_string()));
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
    fn on_shelf(&self, change: impl FnOnce(&mut Shelf) -> Result<(), String>) -> Result<(), Why> {
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
