//! A reader that is a function: one for a whole crowd, which the Hub feeds once.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::reader::{Reader, Way};
use super::{AccessUnit, CloseReason, Hub, ReaderStats};
use crate::media::gop::Start;

/// What the function of a [`Tap`] gets.
#[derive(Debug)]
pub enum Fed {
    /// First of all, and once: what somebody starts with. What follows continues it
    /// without gap or duplicate.
    Start(Start<AccessUnit>),
    /// The next unit.
    Unit(Arc<AccessUnit>),
    /// The source is gone, or another one: the next picture does not continue the last
    /// one, and is a key frame. What is answered does not matter.
    Interrupted,
}

/// A place at the Hub whose units go to a function. It counts as no reader: whoever it
/// serves has a [`super::Subscription`] of his own that does. Dropping it leaves.
pub struct Tap {
    hub: Arc<Hub>,
    id: u64,
    closed: watch::Receiver<Option<CloseReason>>,
    stats: Arc<ReaderStats>,
}

/// The function.
pub(super) struct Function(Box<dyn FnMut(Fed) -> bool + Send>);

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}

impl Function {
    /// Calls it; whether it had room.
    pub(super) fn call(&mut self, fed: Fed) -> bool {
        (self.0)(fed)
    }
}

impl Hub {
    /// Reads by a function, which gets a [`Fed::Start`] at once, and is told only of
    /// tracks that WebRTC plays.
    ///
    /// It is called under the Hub's lock, by whoever feeds the Hub, once per unit: it may
    /// neither block nor call the Hub. `false` says that it has no room: the unit is
    /// dropped and counted, pictures up to the next key frame. It is called no more once
    /// [`Tap::over`].
    pub fn tap(self: &Arc<Self>, function: impl FnMut(Fed) -> bool + Send + 'static) -> Tap {
        let mut function = Function(Box::new(function));
        let mut inner = self.lock();
        inner.next_id += 1;
        let id = inner.next_id;
        let stats = Arc::new(ReaderStats::default());
        let closed = watch::Sender::new(None);
        let closed_rx = closed.subscribe();
        let start = inner.start();
        let mut reader = Reader::new(id, &inner.tracks, stats.clone(), closed);
        // With no room even for the beginning it begins with the next key frame.
        reader.waiting_for_key = !start.continuous;
        reader.waiting_for_key |= !function.call(Fed::Start(start));
        reader.way = Some(Way::Function(function));
        inner.taps.push(reader);
        Tap { hub: self.clone(), id, closed: closed_rx, stats }
    }
}

impl Tap {
    /// Whether the Hub has sent it away: the path sends something else now, or is gone.
    pub fn over(&self) -> bool {
        self.closed.borrow().is_some()
    }

    /// What it took and did not take.
    pub fn stats(&self) -> &Arc<ReaderStats> {
        &self.stats
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("id", &self.id).field("over", &self.over()).finish_non_exhaustive()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        let at = inner.taps.iter().position(|t| t.id == self.id);
        // Freed after the lock is: the function may hold more than memory.
        let _gone = at.map(|at| inner.taps.swap_remove(at));
        drop(inner);
    }
}
