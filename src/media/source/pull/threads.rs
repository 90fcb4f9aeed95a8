//! The threads that read all cameras. Few, and not the control runtime's: a request over
//! HTTP never waits behind a picture, and their number does not grow with the cameras.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};

/// More read no faster: a thread carries hundreds of cameras.
const MOST: usize = 4;
/// Names that are looked up at a time; a slow answer delays other names, and no packets.
const LOOK_UPS: usize = 4;

static THREADS: OnceLock<Vec<Handle>> = OnceLock::new();
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A thread for the next camera, each in turn; none where the machine gives none.
/// A runtime each, so that no packet wakes another thread.
pub fn next() -> Option<&'static Handle> {
    let threads = THREADS.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (0..cores.clamp(1, MOST)).filter_map(start).collect()
    });
    threads.get(NEXT.fetch_add(1, Ordering::Relaxed) % threads.len().max(1))
}

fn start(number: usize) -> Option<Handle> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(LOOK_UPS)
        .thread_name("camgate-names")
        .build();
    let runtime = runtime.inspect_err(|error| tracing::error!("cameras cannot be read: {error}")).ok()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name(format!("camgate-pull-{number}"))
        // To the end of the process.
        .spawn(move || runtime.block_on(std::future::pending::<()>()))
        .inspect_err(|error| tracing::error!("cameras cannot be read: {error}"))
        .ok()?;
    Some(handle)
}
