//! What a bad network does to each datagram. Pure: time comes from outside, chance from
//! a seed.

use super::relay::{Counts, Direction, Weather};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Datagrams under way at a time.
const MOST: usize = 50_000;
/// What a narrow link lets wait before it.
const WAITING: Duration = Duration::from_millis(200);

/// A direction, and the number of the viewer's address.
type Way = (Direction, usize);

/// When, the how many-th, where, what.
type Entry = Reverse<(Instant, u64, usize, usize, Vec<u8>)>;

/// See the module.
pub(super) struct Queue {
    random: u64,
    under_way: BinaryHeap<Entry>,
    number: u64,
    /// When the narrow link towards the viewer is free again.
    free: Option<Instant>,
}

impl Queue {
    pub(super) fn new(seed: u64) -> Self {
        // Zero would stay zero.
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { random, under_way: BinaryHeap::new(), number: 0, free: None }
    }

    /// 0 to 1.
    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A datagram has come.
    pub(super) fn put(&mut self, now: Instant, weather: &Weather, way: Way, data: &[u8], counts: &mut Counts) {
        // Always as many draws: one datagram's fate does not depend on the weather of another's.
        let (lost, overtaken, for_how_long) = (self.chance(), self.chance(), self.chance());
        if weather.cut || lost < weather.loss {
            counts.lost += 1;
            return;
        }
        let mut due = now + weather.delay;
        if overtaken < weather.reorder {
            due += weather.hold.mul_f64(for_how_long);
            counts.late += 1;
        }
        if let (Some(rate), Direction::Down) = (weather.rate, way.0) {
            let free = self.free.map_or(now, |free| free.max(now));
            if free - now > WAITING {
                counts.overflowed += 1;
                return;
            }
            let free = free + Duration::from_secs_f64(data.len() as f64 * 8.0 / rate as f64);
            self.free = Some(free);
            due = due.max(free);
        }
        if self.under_way.len() >= MOST {
            counts.overflowed += 1;
            return;
        }
        counts.passed += 1;
        counts.bytes += data.len() as u64;
        self.under_way.push(Reverse((due, self.number, way.0 as usize, way.1, data.to_vec())));
        self.number += 1;
    }

    /// When the next one is to be forwarded.
    pub(super) fn due(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse((due, ..))| *due)
    }

    /// The next one that is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Direction, usize, Vec<u8>)> {
        if self.due()? > now {
            return None;
        }
        let Reverse((_, _, direction, peer, data)) = self.under_way.pop()?;
        let direction = if direction == Direction::Up as usize { Direction::Up } else { Direction::Down };
        Some((direction, peer, data))
    }
}
