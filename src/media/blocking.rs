//! Calls into GStreamer that may block (making elements, state changes, teardown)
//! on threads of their own, each with a deadline.
//!
//! Not tokio's blocking threads: an element that never answers keeps its thread
//! for good, and the last one of a pool would take camgate with it. Here a call
//! that is overdue gives its place back, is counted, and is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

/// Calls at a time: a crowd that joins queues up here.
const PLACES: usize = 64;
/// Calls left behind beyond which nothing new is begun: something is badly wrong,
/// and each holds a thread and a pipeline.
const LEFT_BEHIND: usize = 512;

static SHOP: Shop = Shop::new(PLACES);

/// Why a call brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Overdue, and left behind.
    Frozen,
    /// It panicked, or the machine has no thread left.
    Died,
    /// Too many calls were left behind before.
    Exhausted,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fault::Frozen => "no answer in time",
            Fault::Died => "its thread died",
            Fault::Exhausted => "too many pipelines of this process are frozen: restart camgate",
        })
    }
}

/// As [`run`], for what begins something new: refused where too much is frozen.
pub async fn begin<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    if SHOP.exhausted() { Err(Fault::Exhausted) } else { SHOP.run(deadline, work).await }
}

/// Runs `work` on a thread of its own and waits for it, at most `deadline` from
/// when it began. Dropped meanwhile, the work goes on and its result is dropped
/// there.
pub async fn run<T: Send + 'static>(deadline: Duration, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    SHOP.run(deadline, work).await
}

/// Runs `work` for somebody who cannot wait: from a `Drop`.
pub fn detached(work: impl FnOnce() + Send + 'static) {
    // Without a thread it is done here: late is better than never.
    let work = Arc::new(std::sync::Mutex::new(Some(work)));
    let theirs = work.clone();
    let take = |w: &std::sync::Mutex<Option<_>>| w.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let spawned = std::thread::Builder::new().name("camgate-gst".into()).spawn(move || {
        if let Some(work) = take(&theirs) {
            work();
        }
    });
    if spawned.is_err()
        && let Some(work) = take(&work)
    {
        work();
    }
}

struct Shop {
    places: Semaphore,
    left_behind: AtomicUsize,
}

const WORKING: u8 = 0;
const DONE: u8 = 1;
const LEFT: u8 = 2;

/// One side of a call; the later of the two to go settles the account.
struct Side {
    shop: &'static Shop,
    state: Arc<AtomicU8>,
    /// What going away means for this side.
    to: u8,
}

impl Drop for Side {
    fn drop(&mut self) {
        match (self.state.swap(self.to, Ordering::AcqRel), self.to) {
            // First to go: the place is free.
            (WORKING, LEFT) => {
                self.shop.left_behind.fetch_add(1, Ordering::Relaxed);
                self.shop.places.add_permits(1);
            }
            (WORKING, _) => self.shop.places.add_permits(1),
            // It came back after all.
            (LEFT, _) => drop(self.shop.left_behind.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }
}

impl Shop {
    const fn new(places: usize) -> Self {
        Shop { places: Semaphore::const_new(places), left_behind: AtomicUsize::new(0) }
    }

    fn exhausted(&self) -> bool {
        self.left_behind.load(Ordering::Relaxed) >= LEFT_BEHIND
    }

    async fn run<T: Send + 'static>(
        &'static self,
        deadline: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        // The semaphore is never closed.
        let Ok(place) = self.places.acquire().await else { return Err(Fault::Died) };
        place.forget();
        let state = Arc::new(AtomicU8::new(WORKING));
        let theirs = Side { shop: self, state: state.clone(), to: DONE };
        let _ours = Side { shop: self, state, to: LEFT };
        let (tx, rx) = oneshot::channel();
        let runtime = Handle::try_current().ok();
        let spawned = std::thread::Builder::new().name("camgate-gst".into()).spawn(move || {
            let theirs = theirs;
            let _runtime = runtime.as_ref().map(Handle::enter);
            let result = work();
            // Before the answer: who has it may count on the place.
            drop(theirs);
            let _ = tx.send(result);
        });
        if let Err(error) = spawned {
            tracing::error!("no thread for a pipeline: {error}");
            return Err(Fault::Died);
        }
        match tokio::time::timeout(deadline, rx).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(Fault::Died),
            Err(_) => Err(Fault::Frozen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn shop(places: usize) -> &'static Shop {
        Box::leak(Box::new(Shop::new(places)))
    }

    const SOON: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn calls_that_never_return_take_no_place_with_them() {
        let shop = shop(2);
        let (hold, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        for _ in 0..5 {
            let held = held.clone();
            let got = shop.run(Duration::from_millis(20), move || held.lock().unwrap().recv().is_ok()).await;
            assert_eq!(got, Err(Fault::Frozen));
        }
        assert_eq!(shop.left_behind.load(Ordering::Relaxed), 5);
        assert_eq!(shop.run(SOON, || 7).await, Ok(7));
        drop(hold);
        while shop.left_behind.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await; // poll: the threads come back
        }
        assert_eq!(shop.places.available_permits(), 2);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_gives_its_place_back() {
        let shop = shop(1);
        assert_eq!(
            shop.run(SOON, || if true {
                panic!("on purpose")
            })
            .await,
            Err(Fault::Died)
        );
        assert_eq!(shop.run(SOON, || 1).await, Ok(1));
        assert_eq!(shop.left_behind.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn one_that_nobody_waits_for_any_more_still_ends() {
        let shop = shop(1);
        let (go, wait) = mpsc::channel::<()>();
        let call = tokio::spawn(shop.run(SOON, move || wait.recv().is_ok()));
        while shop.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        call.abort();
        let _ = call.await;
        assert_eq!(shop.run(SOON, || 1).await, Ok(1));
        drop(go);
        while shop.left_behind.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await; // poll: the thread comes back
        }
        assert_eq!(shop.places.available_permits(), 1);
    }

    #[tokio::test]
    async fn with_too_many_left_behind_what_is_there_can_still_end() {
        let shop = shop(1);
        shop.left_behind.store(LEFT_BEHIND, Ordering::Relaxed);
        assert!(shop.exhausted());
        assert_eq!(shop.run(SOON, || 1).await, Ok(1));
    }
}
