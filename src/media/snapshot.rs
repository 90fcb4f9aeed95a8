//! Snapshots: a path's last key frame as a JPEG, without asking the camera.
//!
//! The Hub keeps a [`Still`] per path: the last key frame, whatever became of its
//! source. Who asks first has it decoded, who asks meanwhile or later gets the same
//! picture: one decode per key frame, also of one that cannot be decoded. What was
//! made lives in the `Still` and goes with it, when the next key frame comes or the
//! path is removed; once there is a JPEG the access unit is let go.

mod pipeline;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{Mutex, Semaphore};

use crate::error::{Error, Kind, Result};
use crate::media::blocking::{self, Fault};
use crate::media::codec::Codec;
use crate::media::hub::AccessUnit;

/// The widths that may be asked for, in pixels, beside the original.
pub const WIDTHS: [u32; 4] = [160, 320, 640, 1280];

/// Pictures made at a time, over all paths: they are for posters, and the cores are
/// for the video.
static PLACES: Semaphore = Semaphore::const_new(2);
/// How long one may wait for a place.
const QUEUE: Duration = Duration::from_secs(5);
/// Decode and encode: tens of milliseconds, the first time some more for the plugins.
const DEADLINE: Duration = Duration::from_secs(15);
/// How long a request waits altogether.
const PATIENCE: Duration = Duration::from_secs(25);
/// Seconds after which there is another key frame, which may be a better one.
const NEXT: u32 = 2;

/// One of [`WIDTHS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Width(usize);

impl Width {
    /// Reads a width; None for one that is not offered.
    pub fn parse(text: &str) -> Option<Self> {
        WIDTHS.iter().position(|w| w.to_string() == text).map(Width)
    }

    /// In pixels.
    pub fn pixels(self) -> u32 {
        WIDTHS[self.0]
    }
}

/// An encoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jpeg {
    data: Bytes,
    width: u32,
    height: u32,
}

/// A path's last key frame, and the pictures that were made of it. The codec's
/// profile and the like are of no interest: they are in the frame.
#[derive(Debug)]
pub struct Still {
    codec: Codec,
    taken: SystemTime,
    arrived: Instant,
    /// Held while a picture is made: that is what makes all others wait for it.
    work: Mutex<Work>,
}

#[derive(Debug)]
enum Work {
    /// Nobody has asked yet.
    Frame(Arc<AccessUnit>),
    /// The original, and what was scaled from it.
    Made { original: Jpeg, scaled: [Option<Bytes>; WIDTHS.len()] },
    /// It cannot be decoded, and asking again does not help.
    Failed(String),
}

impl Work {
    /// The picture, where it is there already, or the reason why it never will be.
    fn answer(&self, width: Option<Width>) -> Option<std::result::Result<Bytes, String>> {
        match self {
            Work::Frame(_) => None,
            Work::Failed(reason) => Some(Err(reason.clone())),
            Work::Made { original, scaled } => match width {
                // Never larger than it is.
                Some(w) if w.pixels() < original.width => scaled[w.0].clone().map(Ok),
                _ => Some(Ok(original.data.clone())),
            },
        }
    }
}

impl Still {
    /// A key frame of a video track with this codec, which arrived now.
    pub(crate) fn new(codec: Codec, unit: Arc<AccessUnit>) -> Arc<Self> {
        Arc::new(Still { codec, taken: SystemTime::now(), arrived: unit.arrived, work: Mutex::new(Work::Frame(unit)) })
    }

    /// When the key frame arrived.
    pub fn taken(&self) -> SystemTime {
        self.taken
    }

    /// How long ago that was.
    pub fn age(&self) -> Duration {
        self.arrived.elapsed()
    }

    /// Names this picture among all pictures of its path, in this width; not the same
    /// after a restart. For an entity tag: letters, digits, `-`.
    pub fn tag(&self, width: Option<Width>) -> String {
        let taken = self.taken.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let width = width.map_or_else(|| "full".to_owned(), |w| w.pixels().to_string());
        format!("{taken:x}-{width}")
    }

    /// The picture as a JPEG with square pixels, at most `width` wide and never wider
    /// than the original. `path` is for messages. Any number of callers at a time; on
    /// a tokio runtime.
    ///
    /// Errors: 503, when it cannot be made, with the reason.
    pub async fn picture(self: &Arc<Self>, path: &str, width: Option<Width>) -> Result<Bytes> {
        let failed = |reason: String| unavailable(path, &reason, NEXT);
        if let Some(answer) = self.work.try_lock().ok().and_then(|work| work.answer(width)) {
            return answer.map_err(failed);
        }
        // In a task of its own: a client that goes away must not undo what others wait for.
        let (still, name) = (self.clone(), path.to_owned());
        let making = tokio::spawn(async move { still.make(&name, width).await });
        match tokio::time::timeout(PATIENCE, making).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(unavailable(path, "camgate is shutting down", 1)),
            Err(_) => Err(busy(path)),
        }
    }

    async fn make(&self, path: &str, width: Option<Width>) -> Result<Bytes> {
        let mut work = self.work.lock().await;
        if let Some(answer) = work.answer(width) {
            return answer.map_err(|reason| unavailable(path, &reason, NEXT));
        }
        let Ok(Ok(_place)) = tokio::time::timeout(QUEUE, PLACES.acquire()).await else {
            return Err(busy(path));
        };
        let since = Instant::now();
        let result = match &*work {
            Work::Frame(unit) => {
                let (codec, unit) = (self.codec.clone(), unit.clone());
                blocking::begin(DEADLINE, move || pipeline::first(&codec, &unit, width)).await
            }
            Work::Made { original, .. } => {
                let original = original.clone();
                blocking::begin(DEADLINE, move || pipeline::smaller(original, width)).await
            }
            Work::Failed(reason) => return Err(unavailable(path, reason, NEXT)),
        };
        let ms = since.elapsed().as_millis() as u64;
        let reason = match result {
            Ok(Ok((original, small))) => {
                if matches!(*work, Work::Frame(_)) {
                    let (width, height) = (original.width, original.height);
                    tracing::debug!(%path, width, height, ms, "snapshot decoded");
                }
                return Ok(work.keep(original, width, small));
            }
            Ok(Err(reason)) => reason,
            // Says nothing about this frame.
            Err(Fault::Exhausted) => return Err(unavailable(path, &Fault::Exhausted.to_string(), 60)),
            Err(fault) => fault.to_string(),
        };
        // No warning: who asks is told, and a wall asks again with every key frame.
        tracing::debug!(%path, ms, "no snapshot: {reason}");
        // A scaled picture that fails leaves the original where it is.
        if matches!(*work, Work::Frame(_)) {
            *work = Work::Failed(reason.clone());
        }
        Err(unavailable(path, &reason, NEXT))
    }
}

impl Work {
    /// Takes in what was made; returns what was asked for.
    fn keep(&mut self, original: Jpeg, width: Option<Width>, small: Option<Jpeg>) -> Bytes {
        let mut scaled = match std::mem::replace(self, Work::Failed(String::new())) {
            Work::Made { scaled, .. } => scaled,
            _ => Default::default(),
        };
        let wanted = small.map_or_else(|| original.data.clone(), |small| small.data);
        if let Some(w) = width.filter(|w| w.pixels() < original.width) {
            scaled[w.0] = Some(wanted.clone());
        }
        *self = Work::Made { original, scaled };
        wanted
    }
}

fn unavailable(path: &str, reason: &str, retry_after_s: u32) -> Error {
    Error::new(Kind::Unavailable, format!("no picture of path \"{path}\" can be made: {reason}"))
        .retry_after(retry_after_s)
}

fn busy(path: &str) -> Error {
    unavailable(path, "too many are being made, try again", 5)
}

#[cfg(test)]
mod tests;
