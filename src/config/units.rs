//! Durations and sizes as MediaMTX writes them.

use std::time::Duration;

/// The longest duration accepted: what fits MediaMTX's 64-bit nanoseconds (292 years).
const MAX_NANOS: u128 = i64::MAX as u128;

/// Nanoseconds of each unit of Go's `time.ParseDuration`, plus MediaMTX's days.
/// Longer names first where one begins with another (`ms` before `m`).
const UNITS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// A duration in Go's syntax: `10s`, `1m30s`, `200ms`, `1.5h`, `0`; also days, as
/// MediaMTX has them (`7d`). Never negative.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const HOW: &str = "write a duration like 10s, 1m30s or 200ms";
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(format!("is empty; {HOW}"));
    }
    if rest.starts_with('-') {
        return Err("must not be negative".into());
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at(letters);
        if unit.is_empty() {
            return Err(format!("lacks a unit; {HOW}"));
        }
        let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
        let part = scale.and_then(|scale| scaled(number, scale));
        let Some(part) = part else {
            return Err(format!("is not a duration; {HOW}"));
        };
        // Neither side can exceed 2^64 here, so that the sum fits.
        nanos += part;
        if nanos > MAX_NANOS {
            return Err("is too long".into());
        }
        rest = next;
    }
    Ok(Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32))
}

/// `number` (decimal digits, perhaps one point) times `scale`, capped a little
/// over [`MAX_NANOS`]. None if it is no number.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mut value: u128 = 0;
    for digit in whole.bytes() {
        value = (value * 10 + u128::from(digit - b'0')).min(MAX_NANOS + 1);
    }
    value = value.saturating_mul(scale).min(MAX_NANOS + 1);
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        value += place * u128::from(digit - b'0');
    }
    Some(value)
}

/// A number of bytes: `65536`, `64K`, `64KiB`, `1M`. Binary multiples, as MediaMTX.
pub fn parse_size(text: &str) -> Result<usize, String> {
    const HOW: &str = "write a size like 65536, 64K or 1M";
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err(format!("is not a size; {HOW}")),
    };
    let number: u64 = number.parse().map_err(|_| format!("is not a size; {HOW}"))?;
    number
        .checked_mul(1 << shift)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes <= isize::MAX as usize)
        .ok_or_else(|| "is too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("200ms", 200),
            ("1.5s", 1_500),
            (".5s", 500),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("1d12h", 129_600_000),
            ("0", 0),
            ("0s", 0),
            (" 5s ", 5_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(parse_duration("15us"), Ok(Duration::from_micros(15)));
        assert_eq!(parse_duration("15µs"), Ok(Duration::from_micros(15)));
        assert_eq!(parse_duration("3ns"), Ok(Duration::from_nanos(3)));
        for text in ["", "10", "s", "-1s", "10 s", "1x", "1.2.3s", ".s", "1s5", "10S", "99999999999d", "1e3s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_duration("10").unwrap_err().contains("10s"));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("64K", 65_536),
            ("64KiB", 65_536),
            ("64 kb", 65_536),
            ("1M", 1 << 20),
            ("2G", 2 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "1.5M", "-1", "1T", "99999999999999999999", "18446744073709551615G"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panic(s in "[0-9.dhmsnuµ-]{0,60}", t in "\\PC*") {
            for text in [&s, &t] {
                let _ = parse_duration(text);
                let _ = parse_size(text);
            }
        }

        #[test]
        fn what_debug_prints_for_whole_seconds_is_read(s in 0u64..1_000_000_000) {
            prop_assert_eq!(parse_duration(&format!("{s}s")), Ok(Duration::from_secs(s)));
        }
    }
}
