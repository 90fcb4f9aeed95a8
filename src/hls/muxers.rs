//! The muxers of all paths, by name: at most one each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::hls::muxer::{Muxer, Settings};
use crate::media::hub::Subscription;

/// See the module; cheap to clone.
#[derive(Clone)]
pub struct Muxers {
    /// Where muxers live: not on the HTTP worker that the first request came in by.
    runtime: tokio::runtime::Handle,
    /// Held for map operations, and while a muxer begins, which asks the others whether they
    /// still count; every request comes by here, so nothing else asks a muxer under it.
    running: Arc<Mutex<HashMap<String, Arc<Muxer>>>>,
}

impl Muxers {
    /// None yet. Called on the runtime that muxers are to live on.
    pub fn new() -> Self {
        Muxers { runtime: tokio::runtime::Handle::current(), running: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Muxer>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The muxer of a path, where it runs and is configured so.
    pub fn get(&self, path: &str, settings: &Settings) -> Option<Arc<Muxer>> {
        let muxer = self.lock().get(path).filter(|m| m.settings() == settings).cloned();
        muxer.filter(|m| m.alive())
    }

    /// Why no muxer of a path begins now: the last one failed, and another one would.
    pub fn rests(&self, path: &str, settings: &Settings) -> Option<Error> {
        let muxer = self.lock().get(path).filter(|m| m.settings() == settings).cloned();
        muxer?.rests()
    }

    /// The muxer of a path: the one that runs, or one made now, unless it rests. Requests
    /// that come together each bring a subscription; the first one counts.
    pub fn start(&self, path: &str, settings: Settings, subscription: Subscription) -> Arc<Muxer> {
        let mut running = self.lock();
        let last = running.get(path).filter(|m| *m.settings() == settings).cloned();
        if let Some(muxer) = last.as_ref().filter(|m| m.alive() || m.rests().is_some()) {
            return muxer.clone();
        }
        running.retain(|_, m| m.counts());
        let _runtime = self.runtime.enter();
        let muxer = Muxer::start(path, settings, subscription, last.map(|m| m.rest()).unwrap_or_default());
        if let Some(old) = running.insert(path.to_owned(), muxer.clone()) {
            old.end();
        }
        muxer
    }

    /// Ends every muxer that is not wanted as it is any more.
    pub fn keep(&self, wanted: impl Fn(&str, &Settings) -> bool) {
        let all: Vec<_> = self.lock().iter().map(|(path, m)| (path.clone(), m.clone())).collect();
        all.iter().filter(|(path, m)| m.alive() && !wanted(path, m.settings())).for_each(|(_, m)| m.end());
    }

    /// Readers of a path over HLS, and whether a muxer is among the Hub's readers.
    pub fn readers(&self, path: &str) -> (usize, bool) {
        let muxer = self.lock().get(path).cloned();
        muxer.filter(|m| m.alive()).map_or((0, false), |m| (m.readers(), true))
    }
}

impl Default for Muxers {
    fn default() -> Self {
        Self::new()
    }
}
