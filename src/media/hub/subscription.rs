//! A reader's side of the Hub.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::reader::Way;
use super::{AccessUnit, CloseReason, Hub, QUEUE, ReaderStats};
use crate::media::codec::{Codec, Kind, Track};
use crate::media::gop::Start;

/// A reader's place at the Hub. Dropping it leaves.
#[derive(Debug)]
pub struct Subscription {
    pub(super) hub: Arc<Hub>,
    pub(super) id: u64,
    pub(super) rx: mpsc::Receiver<Arc<AccessUnit>>,
    pub(super) closed: watch::Receiver<Option<CloseReason>>,
    pub(super) tracks: Vec<Track>,
    pub(super) stats: Arc<ReaderStats>,
}

impl Subscription {
    /// Where it reads.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// What the path sent when this reader joined, playable or not.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Says which codecs this reader takes: those that WebRTC plays, unless it says so.
    /// Others are no track to it: it gets none of theirs, and stays when they change.
    pub fn takes(&mut self, codecs: fn(&Codec) -> bool) {
        let mut inner = self.hub.lock();
        let tracks = std::mem::take(&mut inner.tracks);
        if let Some(r) = inner.readers.iter_mut().find(|r| r.id == self.id) {
            r.takes(codecs, &tracks);
        }
        inner.tracks = tracks;
    }

    /// The path's track of a kind as it is now: codecs are told more of by the stream.
    pub fn now(&self, kind: Kind) -> Option<Track> {
        self.hub.lock().tracks.iter().find(|t| t.codec.kind() == kind).cloned()
    }

    /// [`Hub::rhythm`] of its path.
    pub fn rhythm(&self) -> Option<(u32, u32)> {
        self.hub.rhythm()
    }

    /// [`Hub::clock`] of its path.
    pub fn clock(&self) -> Option<i64> {
        self.hub.clock()
    }

    /// What this reader has got and lost.
    pub fn stats(&self) -> &Arc<ReaderStats> {
        &self.stats
    }

    /// Starts, or starts anew, from the last key frame: returns what to send
    /// first; [`Subscription::next`] continues it without gap or duplicate.
    pub fn play(&mut self) -> Start<AccessUnit> {
        let (tx, rx) = mpsc::channel(QUEUE);
        let mut inner = self.hub.lock();
        let start = inner.start();
        if let Some(r) = inner.readers.iter_mut().find(|r| r.id == self.id) {
            r.waiting_for_key = !start.continuous;
            let open = r.closed.borrow().is_none();
            r.way = open.then_some(Way::Queue(tx));
        }
        drop(inner);
        self.rx = rx;
        start
    }

    /// The next unit; the error says why there are no more. Cancel safe.
    pub async fn next(&mut self) -> Result<Arc<AccessUnit>, CloseReason> {
        match self.rx.recv().await {
            Some(unit) => Ok(unit),
            None => Err(self.closed().await),
        }
    }

    /// Resolves when the Hub sends this reader away.
    pub async fn closed(&mut self) -> CloseReason {
        match self.closed.wait_for(Option::is_some).await {
            Ok(reason) => reason.unwrap_or(CloseReason::Shutdown),
            Err(_) => CloseReason::Shutdown,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.leave(self.id);
    }
}
