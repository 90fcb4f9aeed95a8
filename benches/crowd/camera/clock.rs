//! When a frame was taken that a screen shows. Pure.

/// From one frame to the next, ns.
const INTERVAL: u64 = 40_000_000;

/// How long ago the newest frame with this code was taken, ms; `now` in ns since the
/// camera's frame 0. The code is the frame's number within a recording that repeats.
pub fn behind_ms(now: u64, code: u64, frames: u64) -> Option<f64> {
    if code >= frames {
        return None;
    }
    let newest = now / INTERVAL;
    let back = (newest + frames - code % frames) % frames;
    let taken = newest.checked_sub(back)? * INTERVAL;
    Some((now - taken) as f64 / 1e6)
}
