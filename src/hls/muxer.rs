//! The muxer of one path: a task that feeds the segmenter from the Hub (for MPEG-TS the
//! pipeline, see `muxer/ts.rs`), and the answers to its readers. Requests wait for what
//! is to come without holding a worker: their futures are dropped when a client goes away.

mod answer;
mod ending;
mod output;
mod parts;
mod ts;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gst::prelude::*;
use gstreamer as gst;
use tokio::sync::watch;

use crate::error::{Error, Kind};
use crate::hls::cutter::Cut;
use crate::hls::playlist::Variant;
use crate::hls::rest::Rest;
use crate::hls::segmenter::Known;
use crate::hls::sound::{self, Aac, Choice, Sound};
use crate::media::codec::{Codec, Kind as Media};
use crate::media::hub::{AccessUnit, Hub, Subscription};
use crate::media::nal::Format;
use crate::media::to_aac;
pub use answer::{Answer, Asked};
use ending::{Ending, Why};
use output::Output;

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

enum State {
    /// No playlist yet.
    Beginning,
    Muxing(Output, String),
    /// For good.
    Ended(Ending),
}

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
    /// Of the path that it reads.
    hub: Weak<Hub>,
    started: Instant,
    /// What the ones before it left behind.
    before: Rest,
}

impl Muxer {
    /// Starts the muxer of a path on the present runtime. It ends with its
    /// subscription, or when nobody has asked for `close_after`. `before`: how often those
    /// before it failed.
    pub fn start(path: &str, settings: Settings, subscription: Subscription, before: Rest) -> Arc<Self> {
        let muxer = Self::new(path, settings, &subscription, before);
        tokio::spawn(muxer.clone().run(subscription));
        muxer
    }

    /// One that nothing feeds yet.
    fn new(path: &str, settings: Settings, subscription: &Subscription, before: Rest) -> Arc<Self> {
        Arc::new(Muxer {
            path: path.into(),
            settings,
            state: Mutex::new(State::Beginning),
            news: watch::Sender::new(0),
            readers: Mutex::default(),
            asked: Mutex::new(Instant::now()),
            over: tokio::sync::Notify::new(),
            hub: Arc::downgrade(subscription.hub()),
            started: Instant::now(),
            before,
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

    /// Why no other one begins yet: this one failed a moment ago, and its path sends what it
    /// sent then.
    pub fn rests(&self) -> Option<Error> {
        let (error, tracks) = match &*self.lock() {
            State::Ended(ending) => ending.rests()?,
            _ => return None,
        };
        (tracks == self.tracks()).then_some(error)
    }

    /// How often this one and those before it failed, for the next one.
    pub fn rest(&self) -> Rest {
        let (rest, tracks) = match &*self.lock() {
            State::Ended(ending) => ending.rest(),
            _ => return Rest::default(),
        };
        if tracks == self.tracks() { rest } else { Rest::default() }
    }

    /// Whether anybody has to know of it: it is alive, or failed not long ago.
    pub fn counts(&self) -> bool {
        !matches!(&*self.lock(), State::Ended(ending) if ending.forgotten())
    }

    /// What its path sends now; none where that is gone.
    fn tracks(&self) -> Option<Vec<Codec>> {
        Some(self.hub.upgrade()?.tracks().into_iter().map(|t| t.codec).collect())
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

    /// Ends it, unless it has ended.
    fn ended(&self, why: Why) {
        let ending = Ending::new(why, self.before, self.started.elapsed(), self.tracks());
        let mut state = self.lock();
        if matches!(*state, State::Ended(_)) {
            return;
        }
        // What readers were answered from is freed after the lock is.
        let _old = std::mem::replace(&mut *state, State::Ended(ending));
        drop(state);
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
        let codecs = codecs(&subscription);
        let why = match Sound::start(&self.path, &codecs, made).await {
            Ok(sound) => self.mux(&mut subscription, sound).await,
            Err(why) if pictures(&codecs) => {
                tracing::warn!(path = %self.path, "HLS goes without sound: {why}");
                self.mux(&mut subscription, Sound::Plain).await
            }
            Err(why) => mute(&why),
        };
        tracing::info!(path = %self.path, "HLS muxer ends: {}", why.message());
        self.ended(why);
    }

    async fn mux(&self, subscription: &mut Subscription, mut sound: Sound) -> Why {
        let why = match self.settings.variant {
            Variant::Mpegts => self.transport_stream(subscription, &mut sound).await,
            Variant::Fmp4 | Variant::LowLatency => self.parts(subscription, &mut sound).await,
        };
        let dropped = sound.dropped();
        if dropped > 0 {
            tracing::warn!(path = %self.path, dropped, "the AAC encoder did not keep up");
        }
        why
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

    /// The next unit, or why there is none.
    async fn next(
        &self,
        subscription: &mut Subscription,
        sound: &mut Sound,
        look: &mut tokio::time::Interval,
    ) -> Result<News, Why> {
        loop {
            tokio::select! {
                unit = subscription.next() => {
                    let unit = unit.map_err(Why::over)?;
                    if unit.kind == Media::Audio {
                        sound.push(&unit);
                    }
                    return Ok(News::Unit(unit));
                }
                frame = sound.next() => match frame {
                    Ok(frame) => return Ok(News::Aac(frame)),
                    Err(why) if pictures(&codecs(subscription)) => {
                        tracing::warn!(path = %self.path, "HLS goes on without sound: {why}");
                    }
                    Err(why) => return Err(mute(&why)),
                },
                () = self.over.notified() => return Err(Why::over("the configuration changed")),
                _ = look.tick() => {
                    let idle = self.asked.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
                    if self.settings.close_after.is_some_and(|most| idle >= most) {
                        return Err(Why::over("nobody asks any more"));
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
        self.0.ended(Why::Failed(Error::new(Kind::Unavailable, "the HLS muxer stopped").retry_after(1)));
    }
}

fn unfit(why: &str) -> Why {
    Why::Failed(Error::new(Kind::Unprocessable, format!("not playable over HLS: {why}")))
}

/// Of a path that has nothing but sound, and no encoder for it.
fn mute(why: &str) -> Why {
    Why::Failed(
        Error::new(Kind::Unavailable, format!("HLS has no sound, and the path nothing else: {why}")).retry_after(1),
    )
}

fn codecs(subscription: &Subscription) -> Vec<Codec> {
    subscription.tracks().iter().map(|t| t.codec.clone()).collect()
}

/// Whether HLS has pictures of it.
fn pictures(codecs: &[Codec]) -> bool {
    codecs.iter().any(|c| Format::of(c).is_some())
}

/// From CLOCK_MONOTONIC to our own wall clock, ns.
fn ours() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let monotonic = gst::SystemClock::obtain().time().nseconds();
    i64::try_from(now).unwrap_or(0).saturating_sub_unsigned(monotonic)
}

#[cfg(test)]
#[path = "muxer/tests.rs"]
mod tests;
