//! One clock for all parts of a test: `CLOCK_MONOTONIC` in nanoseconds, which
//! is what [`Instant`] is made of on Linux and what travels in the SEI.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Nanoseconds of `CLOCK_MONOTONIC` now; the same in every process of the machine.
pub fn now_ns() -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid clock id and a valid pointer to a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut ts) };
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

/// A moment at which both clocks were read.
fn anchor() -> (Instant, u64) {
    static ANCHOR: OnceLock<(Instant, u64)> = OnceLock::new();
    *ANCHOR.get_or_init(|| (Instant::now(), now_ns()))
}

/// `at` in nanoseconds of `CLOCK_MONOTONIC`.
pub fn to_ns(at: Instant) -> u64 {
    let (instant, ns) = anchor();
    match at.checked_duration_since(instant) {
        Some(after) => ns + after.as_nanos() as u64,
        None => ns.saturating_sub(instant.duration_since(at).as_nanos() as u64),
    }
}

/// The [`Instant`] of a `CLOCK_MONOTONIC` time; None before the machine's start.
pub fn from_ns(ns: u64) -> Option<Instant> {
    let (instant, at) = anchor();
    if ns >= at {
        instant.checked_add(Duration::from_nanos(ns - at))
    } else {
        instant.checked_sub(Duration::from_nanos(at - ns))
    }
}
