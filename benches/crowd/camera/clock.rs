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

#[cfg(test)]
mod tests {
    use super::behind_ms;

    #[test]
    fn the_newest_frame_of_a_code_counts() {
        assert_eq!(behind_ms(1_050 * 1_000_000, 26, 100), Some(10.0));
        assert_eq!(behind_ms(1_050 * 1_000_000, 25, 100), Some(50.0));
        // The recording's second turn; its end, seen at the third's beginning.
        assert_eq!(behind_ms(5_050 * 1_000_000, 26, 100), Some(10.0));
        assert_eq!(behind_ms(8_010 * 1_000_000, 99, 100), Some(50.0));
        assert_eq!(behind_ms(50_000_000, 50, 100), None);
        assert_eq!(behind_ms(50_000_000, 100, 100), None);
    }
}
