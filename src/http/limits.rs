//! Bounds on what one client can ask for: requests per address, size and time of
//! a body, size of a head.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::error::{Error, Kind, Result};

/// Addresses share this many buckets, chosen by a hash that nobody outside
/// knows: the table is bounded by construction, and nobody can aim at a
/// neighbour's bucket.
const BUCKETS: u64 = 16_384;
/// Drained buckets are thrown away each time as many requests have come.
const PRUNE_EVERY: u32 = 1_024;

/// A rate and a burst: how fast a bucket drains and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Requests per second. 0 switches the limit off.
    pub per_second: f64,
    /// Requests at once.
    pub burst: f64,
}

/// Leaky buckets, one per client address (IPv6: per /64, which is what one
/// customer has).
#[derive(Default)]
pub struct Buckets {
    hasher: RandomState,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    levels: HashMap<u64, (f64, Instant)>,
    since_prune: u32,
}

impl Buckets {
    /// Takes one request at `now`; the error is the number of seconds after
    /// which there is room again.
    pub fn take(&self, ip: IpAddr, rate: Rate, now: Instant) -> std::result::Result<(), u32> {
        if rate.per_second <= 0.0 {
            return Ok(());
        }
        let mut guard = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let table = &mut *guard;
        table.since_prune += 1;
        if table.since_prune >= PRUNE_EVERY {
            table.since_prune = 0;
            table.levels.retain(|_, slot| drained(*slot, rate, now) > 0.0);
        }
        match table.levels.entry(self.bucket(ip)) {
            Entry::Vacant(slot) => {
                slot.insert((1.0, now));
                Ok(())
            }
            Entry::Occupied(mut slot) => {
                let level = drained(*slot.get(), rate, now);
                if let Some(wait) = wait(level, rate) {
                    return Err(wait);
                }
                slot.insert((level + 1.0, now));
                Ok(())
            }
        }
    }

    /// Whether there is no room for another request, without taking it: the
    /// number of seconds to wait.
    pub fn full(&self, ip: IpAddr, rate: Rate, now: Instant) -> Option<u32> {
        if rate.per_second <= 0.0 {
            return None;
        }
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = *table.levels.get(&self.bucket(ip))?;
        wait(drained(slot, rate, now), rate)
    }

    fn bucket(&self, ip: IpAddr) -> u64 {
        let network = match ip.to_canonical() {
            IpAddr::V4(ip) => u64::from(ip.to_bits()) | 1 << 63,
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        self.hasher.hash_one(network) % BUCKETS
    }
}

fn drained((level, at): (f64, Instant), rate: Rate, now: Instant) -> f64 {
    (level - now.saturating_duration_since(at).as_secs_f64() * rate.per_second).max(0.0)
}

fn wait(level: f64, rate: Rate) -> Option<u32> {
    let over = level + 1.0 - rate.burst.max(1.0);
    // A hair of tolerance, for what rounding leaves after the very time that was
    // told to the client.
    (over > 1e-6).then(|| (over / rate.per_second).ceil().clamp(1.0, 3600.0) as u32)
}

/// Reads a body of at most `limit` bytes that comes within `time`.
pub async fn read_body(headers: &HeaderMap, mut payload: Payload, limit: usize, time: Duration) -> Result<Bytes> {
    let too_large = || Error::new(Kind::TooLarge, format!("the body has more than {limit} bytes: shorten it"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|n| n > limit as u64) {
        return Err(too_large());
    }
    let read = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Error::new(Kind::BadRequest, "the body ended early or is badly encoded"))?;
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(time, read).await.unwrap_or_else(|_| {
        Err(Error::new(Kind::RequestTimeout, format!("the body did not arrive within {} s", time.as_secs_f64())))
    })
}

/// The size of a request's head as it was on the wire, near enough.
pub fn head_size(uri_len: usize, headers: &HeaderMap) -> usize {
    uri_len + headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 20.0, burst: 200.0 };

    #[test]
    fn row31_a_burst_passes_then_the_rate() {
        let b = Buckets::default();
        let (ip, start) = ("192.0.2.1".parse().unwrap(), Instant::now());
        for i in 0..200 {
            assert_eq!(b.take(ip, RATE, start), Ok(()), "{i}");
        }
        assert_eq!(b.take(ip, RATE, start), Err(1));
        assert_eq!(b.full(ip, RATE, start), Some(1));
        let later = start + Duration::from_secs(1);
        assert_eq!(b.full(ip, RATE, later), None);
        let passed = (0..100).filter(|_| b.take(ip, RATE, later).is_ok()).count();
        assert_eq!(passed, 20);
        assert!(b.take("192.0.2.2".parse().unwrap(), RATE, later).is_ok(), "a neighbour");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let b = Buckets::default();
        let (rate, now) = (Rate { per_second: 1.0, burst: 1.0 }, Instant::now());
        assert!(b.take("2001:db8::1".parse().unwrap(), rate, now).is_ok());
        assert!(b.take("2001:db8::ffff".parse().unwrap(), rate, now).is_err());
        assert!(b.take("::ffff:192.0.2.1".parse().unwrap(), rate, now).is_ok());
        assert!(b.take("192.0.2.1".parse().unwrap(), rate, now).is_err(), "the same, mapped");
    }

    #[test]
    fn the_table_is_bounded_and_pruned() {
        let b = Buckets::default();
        let start = Instant::now();
        for i in 0..200_000u32 {
            let _ = b.take(IpAddr::from(i.to_be_bytes()), RATE, start);
        }
        assert!(b.table.lock().unwrap().levels.len() <= BUCKETS as usize);
        let later = start + Duration::from_secs(60);
        for _ in 0..PRUNE_EVERY {
            let _ = b.take("192.0.2.1".parse().unwrap(), RATE, later);
        }
        assert!(b.table.lock().unwrap().levels.len() < 10);
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let b = Buckets::default();
        let rate = Rate { per_second: 0.0, burst: 0.0 };
        for _ in 0..1000 {
            assert!(b.take("192.0.2.1".parse().unwrap(), rate, Instant::now()).is_ok());
        }
        assert_eq!(b.full("192.0.2.1".parse().unwrap(), rate, Instant::now()), None);
    }
}
