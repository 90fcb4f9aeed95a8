//! A reader as the Hub sees it: what it negotiated, and what it gets. Pure.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, watch};

use super::tap::{Fed, Function};
use super::{AccessUnit, CloseReason, ReaderStats};
use crate::media::codec::{Codec, Kind, Track};

/// How units come to a reader.
#[derive(Debug)]
pub(super) enum Way {
    /// It takes them when it likes.
    Queue(mpsc::Sender<Arc<AccessUnit>>),
    /// It is called.
    Function(Function),
}

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) id: u64,
    /// None before it plays, and after it was sent away.
    pub(super) way: Option<Way>,
    /// Which codecs it can take at all.
    takes: fn(&Codec) -> bool,
    /// The path's codecs when it joined: what it negotiated, if it takes them.
    joined: Vec<Codec>,
    /// Whether the present source's video and audio is something that it negotiated.
    gets: [bool; 2],
    pub(super) waiting_for_key: bool,
    pub(super) stats: Arc<ReaderStats>,
    pub(super) closed: watch::Sender<Option<CloseReason>>,
}

impl Reader {
    /// A reader that joins now; it takes what WebRTC plays.
    pub(super) fn new(
        id: u64,
        tracks: &[Track],
        stats: Arc<ReaderStats>,
        closed: watch::Sender<Option<CloseReason>>,
    ) -> Self {
        let joined = tracks.iter().map(|t| t.codec.clone()).collect();
        let takes = Codec::playable;
        let mut reader =
            Reader { id, way: None, takes, joined, gets: [false; 2], waiting_for_key: false, stats, closed };
        reader.look(tracks);
        reader
    }

    /// Says which codecs it takes, of a path with these tracks.
    pub(super) fn takes(&mut self, codecs: fn(&Codec) -> bool, tracks: &[Track]) {
        self.takes = codecs;
        self.look(tracks);
    }

    /// Sends it away.
    pub(super) fn close(&mut self, reason: CloseReason) {
        self.way = None;
        self.closed.send_if_modified(|c| {
            c.is_none() && {
                *c = Some(reason);
                true
            }
        });
    }

    /// The next picture does not continue the last one: it waits for a key frame.
    pub(super) fn interrupt(&mut self) {
        self.waiting_for_key = true;
        if let Some(Way::Function(function)) = &mut self.way {
            function.call(Fed::Interrupted);
        }
    }

    /// What it negotiated of a kind.
    fn has(&self, kind: Kind) -> Option<&Codec> {
        self.joined.iter().find(|c| c.kind() == kind && (self.takes)(c))
    }

    /// Looks which of a source's tracks are what it negotiated.
    fn look(&mut self, tracks: &[Track]) {
        self.gets = [Kind::Video, Kind::Audio].map(|kind| {
            let now = tracks.iter().map(|t| &t.codec).find(|c| c.kind() == kind);
            // Who joined before the path had described itself takes what comes.
            let any = self.joined.is_empty() && now.is_some_and(self.takes);
            any || self.has(kind).zip(now).is_some_and(|(had, now)| had.compatible(now))
        });
    }

    /// Another source begins, with these tracks: whether this reader has to join again.
    pub(super) fn changed(&mut self, tracks: &[Track]) -> bool {
        self.look(tracks);
        [Kind::Video, Kind::Audio].into_iter().any(|kind| {
            let now = tracks.iter().map(|t| &t.codec).find(|c| c.kind() == kind && (self.takes)(c));
            match (self.has(kind), now) {
                (Some(old), Some(new)) => !old.compatible(new),
                // A track appears beside another.
                (None, Some(_)) => !self.joined.is_empty(),
                // One that is missing this time may come back: it keeps the other.
                (_, None) => false,
            }
        })
    }

    /// Hands over a unit, or drops it; returns how many were dropped.
    pub(super) fn offer(&mut self, unit: &Arc<AccessUnit>) -> u64 {
        let video = unit.kind == Kind::Video;
        let Some(way) = self.way.as_mut().filter(|_| self.gets[usize::from(!video)]) else { return 0 };
        let fits = !(video && self.waiting_for_key && !unit.key)
            && match way {
                Way::Queue(tx) => tx.try_send(unit.clone()).is_ok(),
                Way::Function(function) => function.call(Fed::Unit(unit.clone())),
            };
        if video {
            self.waiting_for_key = !fits;
        }
        let count = if fits { &self.stats.queued } else { &self.stats.dropped };
        count.fetch_add(1, Ordering::Relaxed);
        u64::from(!fits)
    }
}
