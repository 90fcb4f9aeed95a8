//! Where the frames of a ring go in, from the world that has them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::control::{Command, RingId};
use super::queue::Queue;
use super::ring::Unit;

struct FeedInner<U> {
    queue: Arc<Queue<U>>,
    ring: RingId,
    /// Frames were dropped: the next one to be taken is a key frame.
    waiting: AtomicBool,
}

impl<U> Drop for FeedInner<U> {
    fn drop(&mut self) {
        self.queue.release(Command::Unregister(self.ring));
    }
}

/// Where the frames of a ring go in. Cheap to clone; the last one unregisters the ring.
pub struct Feed<U> {
    inner: Arc<FeedInner<U>>,
}

impl<U> Clone for Feed<U> {
    fn clone(&self) -> Self {
        Feed { inner: self.inner.clone() }
    }
}

impl<U> fmt::Debug for Feed<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("ring", &self.inner.ring).finish_non_exhaustive()
    }
}

impl<U: Unit> Feed<U> {
    /// That of a ring that has been registered.
    pub(super) fn new(queue: Arc<Queue<U>>, ring: RingId) -> Self {
        Feed { inner: Arc::new(FeedInner { queue, ring, waiting: AtomicBool::new(false) }) }
    }

    /// The ring's number, for [`Stream::ring`].
    pub fn ring(&self) -> RingId {
        self.inner.ring
    }

    /// The next frame, in the stream's order; from one thread at a time. One short lock
    /// and at most one system call. False when it was dropped, and counted: the queue is
    /// full, and this ring goes on with its next key frame.
    pub fn push(&self, unit: Arc<U>) -> bool {
        let inner = &*self.inner;
        if inner.waiting.load(Ordering::Relaxed) && !unit.key() {
            inner.queue.counters.frames_dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let taken = inner.queue.frame(inner.ring, unit);
        inner.waiting.store(!taken, Ordering::Relaxed);
        taken
    }

    /// What the ring begins with, once, before anything else: what is cached of the stream,
    /// which the next frame continues. There is always room for it. False: the thread has
    /// ended.
    pub fn start(&self, units: Vec<Arc<U>>) -> bool {
        units.is_empty() || self.inner.queue.start(self.inner.ring, units)
    }

    /// The stream is interrupted (the source is gone, or another one): nobody can begin
    /// before its next key frame, and nobody goes on before it either: what comes first
    /// may refer to frames that no viewer has.
    pub fn interrupt(&self) {
        self.inner.waiting.store(true, Ordering::Relaxed);
        self.inner.queue.interrupt(self.inner.ring);
    }
}
