//! The muxer of one path: a task that feeds the segmenter from the Hub (for MPEG-TS the
//! pipeline, see `muxer/ts.rs`), and the answers to its readers. Requests wait for what
//! is to come without holding a worker: their futures are dropped when a client goes away.

mod output;
mod ts;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gst::prelude::*;
use gstreamer as gst;
use tokio::sync::watch;

use crate::error::{Error, Kind, Result};
use crate::hls::cutter::Cut;
use crate::hls::playlist::{Found, Options, Reload, State as Place, Variant, multivariant};
use crate::hls::segmenter::{Ended, Known, Segmenter};
use crate::hls::sound::{self, Aac, Choice, Sound};
use crate::media::codec::{Codec, Kind as Media};
use crate::media::hub::{AccessUnit, Subscription};
use crate::media::to_aac;
use output::Output;

/// How long a request may wait for the first playlist: a GOP of ten seconds, and some.
const FIRST: Duration = Duration::from_secs(20);
/// A reader that has not asked for anything for so long has gone.
const GONE: Duration = Duration::from_secs(15);
/// Readers that are told apart; more are served all the same, and not counted.
const COUNTED: usize = 10_000;
/// How often the muxer looks whether anybody is still there.
const LOOK: Duration = Duration::from_secs(1);
/// How long a beginning waits for AAC to tell its configuration.
const SOUND: Duration = Duration::from_secs(1);
/// Units that may come before it is known how to begin: ten seconds of two tracks.
const BEGINNING: usize = 1_000;

/// What the configuration says of HLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `hlsVariant`.
    pub variant: Variant,
    /// `hlsSegmentCount`.
    pub segments: usize,
    /// `hlsSegmentDuration`.
    pub segment: Duration,
    /// `hlsPartDuration`.
    pub part: Duration,
    /// `hlsSegmentMaxSize`, bytes.
    pub max_bytes: usize,
    /// `hlsMuxerCloseAfter`; none: it stays (`hlsAlwaysRemux`).
    pub close_after: Option<Duration>,
    /// `useAbsoluteTimestamp`: dates are the camera's, where it tells them.
    pub camera_clock: bool,
}

/// What a request names, below its path.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// None: `index.m3u8`.
    pub name: Option<&'a str>,
    /// The query as it came.
    pub query: &'a str,
    /// What goes behind every URI: `reader=…`, and the token where one came so.
    pub suffix: &'a str,
    /// Counts the reader.
    pub reader: &'a str,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A playlist; never to be cached.
    Playlist(String),
    /// The playlist goes on under this name (with its query); never to be cached.
    Moved(String),
    /// Media that stays what it is under this name.
    Media {
        /// Its content type.
        mime: &'static str,
        /// One after the other.
        pieces: Vec<Bytes>,
        /// How long it is worth keeping.
        max_age: Duration,
    },
}

enum State {
    /// No playlist yet.
    Beginning,
    Muxing(Output, String),
    /// For good: why.
    Ended(Error),
}

/// Why a segmenter ends, and another one begins.
const FRAME_RATE: &str = "the frame rate changed";

/// What a segmenter gets.
enum News {
    Unit(Arc<AccessUnit>),
    Aac(Aac),
}

/// See the module.
pub struct Muxer {
    path: String,
    settings: Settings,
    state: Mutex<State>,
    /// Counts what was added.
    news: watch::Sender<u64>,
    readers: Mutex<HashMap<String, Instant>>,
    asked: Mutex<Instant>,
    /// Told to end.
    over: tokio::sync::Notify,
}

impl Muxer {
    /// Starts the muxer of a path on the present runtime. It ends with its
    /// subscription, or when nobody has asked for `close_after`.
    pub fn start(path: &str, settings: Settings, subscription: Subscription) -> Arc<Self> {
        let muxer = Self::new(path, settings);
        tokio::spawn(muxer.clone().run(subscription));
        muxer
    }

    /// One that nothing feeds yet.
    fn new(path: &str, settings: Settings) -> Arc<Self> {
        Arc::new(Muxer {
            path: path.into(),
            settings,
            state: Mutex::new(State::Beginning),
            news: watch::Sender::new(0),
            readers: Mutex::default(),
            asked: Mutex::new(Instant::now()),
            over: tokio::sync::Notify::new(),
        })
    }

    /// Whether it can still answer.
    pub fn alive(&self) -> bool {
        !matches!(*self.lock(), State::Ended(_))
    }

    /// Ends it: its configuration is another one.
    pub fn end(&self) {
        self.over.notify_one();
    }

    /// How it was configured.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Readers that asked for something a moment ago.
    pub fn readers(&self) -> usize {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.values().filter(|at| at.elapsed() < GONE).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self, reader: &str) {
        let now = Instant::now();
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = readers.get_mut(reader) {
            *at = now;
            return;
        }
        if readers.len() >= COUNTED {
            readers.retain(|_, at| at.elapsed() < GONE);
        }
        if readers.len() < COUNTED {
            readers.insert(reader.to_owned(), now);
        }
    }

    /// Answers a request; holds it until what it asks for is there.
    ///
    /// Errors: 400 a bad reload, 404 an unknown or forgotten name, 422 nothing that
    /// HLS carries, 503 with Retry-After when it does not come in time.
    pub async fn answer(&self, asked: Asked<'_>) -> Result<Answer> {
        let reload = Reload::parse(asked.query).map_err(|e| Error::new(Kind::BadRequest, e))?;
        let mut news = self.news.subscribe();
        let deadline = Instant::now() + FIRST;
        loop {
            self.touch(asked.reader);
            news.mark_unchanged();
            if let Some(answer) = self.look(&asked, &reload)? {
                return Ok(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // The muxer's end is news, too.
            if !matches!(tokio::time::timeout(left, news.changed()).await, Ok(Ok(()))) {
                let text = format!("path \"{}\" has nothing new for HLS: does its camera send?", self.path);
                return Err(Error::new(Kind::Unavailable, text).retry_after(2));
            }
        }
    }

    /// None: not yet.
    fn look(&self, asked: &Asked<'_>, reload: &Reload) -> Result<Option<Answer>> {
        let state = self.lock();
        let (output, prefix) = match &*state {
            State::Beginning => return Ok(None),
            State::Ended(error) => return Err(error.clone()),
            State::Muxing(output, prefix) => (output, prefix),
        };
        let window = output.window();
        let options = Options { query: asked.suffix, skip: reload.skip };
        let generation = output.generation();
        let media = playlist_name(prefix, generation);
        // A player that finds less than a whole segment finds nothing.
        let ready = || window.media(&options).filter(|_| window.segments() > 0);
        match asked.name {
            None => Ok(ready().map(|_| Answer::Playlist(multivariant(&[output.stream(media)], asked.suffix)))),
            Some(name) if name == media => match window.has(reload) {
                Place::TooFar => Err(Error::new(Kind::BadRequest, "_HLS_msn or _HLS_part is too far ahead")),
                Place::Wait => Ok(None),
                Place::Ready => Ok(ready().map(Answer::Playlist)),
            },
            // PART-TARGET had to change. hls.js gives up on a 404 and stops at an ENDLIST,
            // but follows a redirection, and finds there what it had: each time, as it
            // goes on asking by the old name.
            Some(name) if (0..generation).any(|g| playlist_name(prefix, g) == name) => {
                let known = if window.has(reload) == Place::TooFar { Reload::default() } else { *reload };
                Ok(Some(Answer::Moved(format!("{media}?{}{}", asked.suffix, known.directives()))))
            }
            Some(name) => {
                let mime = if name.ends_with(".ts") { "video/mp2t" } else { "video/mp4" };
                let pieces = match window.find(name) {
                    Found::Map(b) | Found::Part(b) => vec![b.clone()],
                    Found::Segment(pieces) => pieces.into_iter().cloned().collect(),
                    Found::Hinted => return Ok(None),
                    Found::Nothing => {
                        return Err(Error::new(Kind::NotFound, "there is no such segment (any more)"));
                    }
                };
                Ok(Some(Answer::Media { mime, pieces, max_age: Duration::from_secs(3_600) }))
            }
        }
    }

    fn ended(&self, why: Error) {
        *self.lock() = State::Ended(why);
        self.news.send_modify(|n| *n += 1);
    }

    async fn run(self: Arc<Self>, mut subscription: Subscription) {
        // Whatever ends this task, a panic included: the next request begins anew.
        let _end = End(self.clone());
        tracing::info!(path = %self.path, "HLS muxer starts");
        let (carries, made): (Choice, Choice) = match self.settings.variant {
            Variant::Mpegts => (sound::carries_in_ts, to_aac::takes),
            Variant::Fmp4 | Variant::LowLatency => (sound::carries, sound::made),
        };
        subscription.takes(carries);
        let codecs: Vec<Codec> = subscription.tracks().iter().map(|t| t.codec.clone()).collect();
        let mut sound = Sound::start(&self.path, &codecs, made).await;
        let why = match self.settings.variant {
            Variant::Mpegts => self.transport_stream(&mut subscription, &mut sound).await,
            Variant::Fmp4 | Variant::LowLatency => self.parts(&mut subscription, &mut sound).await,
        };
        tracing::info!(path = %self.path, "HLS muxer ends: {}", why.message);
        self.ended(why);
    }

    /// Muxes until there is a reason to end.
    async fn parts(&self, subscription: &mut Subscription, sound: &mut Sound) -> Error {
        let mut anew = false;
        loop {
            match self.instance(subscription, sound, std::mem::replace(&mut anew, true)).await {
                Ok(why) => tracing::info!(path = %self.path, "{why}: the HLS muxer begins anew"),
                Err(why) => return why,
            }
        }
    }

    /// What is known of the path; nothing but its tracks where a muxer begins `anew`.
    fn known(&self, subscription: &Subscription, anew: bool) -> Known {
        let rhythm = subscription.rhythm().filter(|_| !anew);
        Known {
            gop: rhythm.map(|r| r.0),
            period: rhythm.map(|r| r.1),
            fps: subscription.tracks().iter().find_map(|t| t.fps),
            aac: None,
        }
    }

    /// The clock for dates by now, as [`Segmenter::set_clock`] wants it: the camera's where
    /// it told one and is to be believed, or our own.
    fn clock(&self, subscription: &Subscription) -> i64 {
        subscription.clock().filter(|_| self.settings.camera_clock).unwrap_or_else(ours)
    }

    /// How to cut, with names of its own.
    fn cut(&self) -> Cut {
        Cut {
            variant: self.settings.variant,
            segments: self.settings.segments,
            segment: self.settings.segment,
            part: self.settings.part,
            max_bytes: self.settings.max_bytes,
            prefix: format!("hls-{:08x}", rand::random::<u32>()),
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
    ) -> std::result::Result<&'static str, Error> {
        let codecs: Vec<Codec> = subscription.tracks().iter().map(|t| t.codec.clone()).collect();
        let (mut known, cut) = (self.known(subscription, anew), self.cut());
        let start = subscription.play();
        // A still that nothing follows is no beginning.
        let mut units = if anew || !start.continuous { Vec::new() } else { start.units };
        let mut look = tokio::time::interval(LOOK);
        let patience = Instant::now() + SOUND;
        let pictures = codecs.iter().any(|c| c.kind() == Media::Video);
        let mut made = VecDeque::new();
        loop {
            known.aac = sound.config(subscription);
            let untold = known.aac.as_ref().is_some_and(Vec::is_empty);
            if untold && Instant::now() >= patience {
                known.aac = None;
            }
            let clock = self.clock(subscription);
            let wait = known.aac.as_ref().is_some_and(Vec::is_empty);
            let began =
                if wait { Ok(None) } else { Segmenter::begin(cut.clone(), known.clone(), &codecs, &units, clock) };
            match began {
                Ok(Some(segmenter)) => {
                    *self.lock() = State::Muxing(Output::Parts(Box::new(segmenter)), cut.prefix);
                    break;
                }
                Ok(None) if units.len() < BEGINNING => {}
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
    fn push(&self, news: &News, clock: i64) -> std::result::Result<bool, Error> {
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

    /// The next unit, or why there is none.
    async fn next(
        &self,
        subscription: &mut Subscription,
        sound: &mut Sound,
        look: &mut tokio::time::Interval,
    ) -> std::result::Result<News, Error> {
        loop {
            tokio::select! {
                unit = subscription.next() => {
                    let unit = unit.map_err(|reason| Error::new(Kind::Unavailable, reason.to_string()).retry_after(1))?;
                    if unit.kind == Media::Audio {
                        sound.push(&unit);
                    }
                    return Ok(News::Unit(unit));
                }
                frame = sound.next(&self.path) => return Ok(News::Aac(frame)),
                () = self.over.notified() => {
                    return Err(Error::new(Kind::Unavailable, "the configuration changed").retry_after(1));
                }
                _ = look.tick() => {
                    let idle = self.asked.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
                    if self.settings.close_after.is_some_and(|most| idle >= most) {
                        return Err(Error::new(Kind::Unavailable, "nobody asks any more").retry_after(1));
                    }
                }
            }
        }
    }
}

/// Ends a muxer whose task is over and did not say so.
struct End(Arc<Muxer>);

impl Drop for End {
    fn drop(&mut self) {
        if self.0.alive() {
            self.0.ended(Error::new(Kind::Unavailable, "the HLS muxer stopped").retry_after(1));
        }
    }
}

fn unfit(why: &str) -> Error {
    Error::new(Kind::Unprocessable, format!("not playable over HLS: {why}"))
}

/// The name of a media playlist: another one for each PART-TARGET.
fn playlist_name(prefix: &str, generation: u32) -> String {
    if generation == 0 { format!("{prefix}.m3u8") } else { format!("{prefix}-{generation}.m3u8") }
}

/// From CLOCK_MONOTONIC to our own wall clock, ns.
fn ours() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let monotonic = gst::SystemClock::obtain().time().nseconds();
    i64::try_from(now).unwrap_or(0).saturating_sub_unsigned(monotonic)
}
