//! HLS playlists: what is in a muxer's window, and how it is written down. Pure.
//!
//! The norm is RFC 8216bis (draft-pantos-hls-rfc8216bis); section numbers in
//! this module are its. `window` holds the segments (`find` looks them up by name, `bit_rates`
//! weighs them), `media` and `multivariant` write them, `reload` reads what a player asks
//! for.

use std::time::Duration;

mod bit_rates;
mod find;
mod media;
mod multivariant;
mod reload;
mod window;

pub use find::Found;
pub use media::Options;
pub use multivariant::{Stream, multivariant};
pub use reload::{Position, Reload, State};
pub use window::{Config, Refused, Variant, Window};

/// What a playlist counts durations in: its fifth decimal, 10 µs. Everything is
/// rounded to it once, on the time line of the muxer and not part by part: so
/// the parts of a segment add up to it exactly, and nothing drifts.
type Units = u64;

/// Units in a second.
const SECOND: Units = 100_000;

/// The nearest unit.
fn units(time: Duration) -> Units {
    u64::try_from((time.as_nanos() + 5_000) / 10_000).unwrap_or(u64::MAX)
}

/// The unit above: for limits, which no rounded duration may exceed.
fn units_up(time: Duration) -> Units {
    u64::try_from(time.as_nanos().div_ceil(10_000)).unwrap_or(u64::MAX)
}

/// Seconds with five decimals.
fn seconds(units: Units) -> String {
    format!("{}.{:05}", units / SECOND, units % SECOND)
}

/// What goes behind a name: the query that counts the reader.
fn suffix(query: &str) -> String {
    if query.is_empty() { String::new() } else { format!("?{query}") }
}

/// The smallest whole number of frames that lasts at least `wanted`.
///
/// `rate` is frames over seconds (30000, 1001), `None` where either is 0 or the
/// result is no duration. The result is rounded up to a nanosecond: 29.97 fps
/// and 200 ms are 6 frames, 18,018 ticks of 90 kHz, 200.2 ms. At least one frame.
pub fn part_target(rate: (u32, u32), wanted: Duration) -> Option<Duration> {
    let (frames, per) = (u128::from(rate.0), u128::from(rate.1));
    if frames == 0 || per == 0 {
        return None;
    }
    const NANOS: u128 = 1_000_000_000;
    let count = (wanted.as_nanos().checked_mul(frames)?).div_ceil(per * NANOS).max(1);
    let nanos = (count.checked_mul(per * NANOS)?).div_ceil(frames);
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk_tests;
/// A player's side of the rules; the tests over HTTP have it, too.
#[cfg(test)]
#[path = "../../../tests/support/playlist.rs"]
pub(crate) mod walker;
