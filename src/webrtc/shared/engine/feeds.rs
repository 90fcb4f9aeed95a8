//! One reader of a path for all of its viewers: the Hub calls it once per frame, and it
//! puts the frame into the media thread's queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::super::control::{Feed, Handle, Refused, RingId};
use super::super::ring::Cap;
use crate::media::codec::Kind;
use crate::media::hub::{AccessUnit, Fed, Hub, ReaderStats, Tap};

/// What a path's viewers are fed from. Gone with the last of them.
#[derive(Debug)]
pub struct PathFeed {
    tap: Tap,
    video: RingId,
    audio: RingId,
}

impl PathFeed {
    /// Reads a path from now on.
    fn new(hub: &Arc<Hub>, handle: &Handle<AccessUnit>) -> Result<Self, Refused> {
        let (video, audio) = (handle.ring(Cap::default())?, handle.ring(Cap::default())?);
        let ids = (video.ring(), audio.ring());
        let tap = hub.tap(move |fed| take(fed, &video, &audio));
        Ok(PathFeed { tap, video: ids.0, audio: ids.1 })
    }

    /// Where the frames of a kind are.
    pub fn ring(&self, kind: Kind) -> RingId {
        match kind {
            Kind::Video => self.video,
            Kind::Audio => self.audio,
        }
    }

    /// What did not get as far as the rings.
    pub fn stats(&self) -> &ReaderStats {
        self.tap.stats()
    }
}

/// Under the Hub's lock: a short lock of the queue and at most one system call each.
fn take(fed: Fed, video: &Feed<AccessUnit>, audio: &Feed<AccessUnit>) -> bool {
    match fed {
        Fed::Start(start) => start.units.into_iter().all(|unit| video.push(unit)),
        Fed::Unit(unit) if unit.kind == Kind::Video => video.push(unit),
        Fed::Unit(unit) => audio.push(unit),
        Fed::Interrupted => {
            video.interrupt();
            true
        }
    }
}

/// The paths that have viewers, by where their Hub is: one that is in use stays there.
#[derive(Debug, Default)]
pub struct Feeds {
    known: Mutex<HashMap<usize, Weak<PathFeed>>>,
}

impl Feeds {
    /// The feed of a path, made for the first one who wants it. Errors: the thread has no
    /// room, or has ended.
    pub fn of(&self, hub: &Arc<Hub>, handle: &Handle<AccessUnit>) -> Result<Arc<PathFeed>, Refused> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Arc::as_ptr(hub) as usize;
        // One that the Hub has sent away serves who is still there, and nobody new.
        if let Some(feed) = known.get(&at).and_then(Weak::upgrade).filter(|f| !f.tap.over()) {
            return Ok(feed);
        }
        let feed = Arc::new(PathFeed::new(hub, handle)?);
        known.retain(|_, f| f.strong_count() > 0);
        known.insert(at, Arc::downgrade(&feed));
        Ok(feed)
    }
}
