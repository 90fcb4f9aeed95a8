//! What the Hub knows of a reader: its queue, and whether it waits for a key frame.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, watch};

use super::{AccessUnit, CloseReason, ReaderStats};
use crate::media::codec::Kind;

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) id: u64,
    pub(super) tx: Option<mpsc::Sender<Arc<AccessUnit>>>,
    pub(super) waiting_for_key: bool,
    pub(super) stats: Arc<ReaderStats>,
    pub(super) closed: watch::Sender<Option<CloseReason>>,
}

impl Reader {
    /// Hands over a unit, or drops it; returns how many were dropped.
    pub(super) fn offer(&mut self, unit: &Arc<AccessUnit>) -> u64 {
        let Some(tx) = &self.tx else { return 0 };
        if unit.kind == Kind::Video && self.waiting_for_key {
            if !unit.key {
                self.stats.dropped.fetch_add(1, Ordering::Relaxed);
                return 1;
            }
            self.waiting_for_key = false;
        }
        match tx.try_send(unit.clone()) {
            Ok(()) => {
                self.stats.queued.fetch_add(1, Ordering::Relaxed);
                0
            }
            Err(_) => {
                self.waiting_for_key |= unit.kind == Kind::Video;
                self.stats.dropped.fetch_add(1, Ordering::Relaxed);
                1
            }
        }
    }
}
