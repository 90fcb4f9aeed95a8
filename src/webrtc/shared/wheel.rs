//! Timers of a media thread: which session wants to be called when. Pure.
//!
//! A wheel of quarters of a millisecond with a list per slot: setting, moving and stopping a timer and
//! finding the next one cost the same for ten sessions and ten thousand. What lies
//! further ahead than the wheel is long waits near its end, and is put in again.

use std::time::{Duration, Instant};

/// Slots, 64 × 64, so that two words find the next one.
const SLOTS: usize = 4_096;
/// One slot, µs. Bursts pause for 2 ms: a whole millisecond would make 3 of them.
const TICK: u64 = 250;
/// What lies further ahead waits in every so manieth slot only: most timers are seconds
/// ahead, and each slot that has some wakes the thread.
const FAR: u64 = 1_024;
/// No node.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Node {
    /// When it is due; none: it is in no list.
    at: Option<Instant>,
    slot: u32,
    before: u32,
    after: u32,
}

const IDLE: Node = Node { at: None, slot: NONE, before: NONE, after: NONE };

/// See the module. Keys are small numbers: places in a table.
#[derive(Debug)]
pub struct Wheel {
    began: Instant,
    /// The first tick that was not looked at yet.
    tick: u64,
    nodes: Vec<Node>,
    heads: Vec<u32>,
    /// Which slots have something, and which of these words have.
    bits: [u64; SLOTS / 64],
    words: u64,
}

impl Wheel {
    /// No timer runs.
    pub fn new(now: Instant) -> Wheel {
        let heads = vec![NONE; SLOTS];
        Wheel { began: now, tick: 0, nodes: Vec::new(), heads, bits: [0; SLOTS / 64], words: 0 }
    }

    /// The first tick that is not before a moment.
    fn tick_of(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.began).as_micros().div_ceil(u128::from(TICK)) as u64
    }

    /// When the timer of a key is due.
    pub fn get(&self, key: u32) -> Option<Instant> {
        self.nodes.get(key as usize)?.at
    }

    /// Sets, or moves, the timer of a key; none stops it.
    pub fn set(&mut self, key: u32, at: Option<Instant>) {
        if self.get(key) == at {
            return;
        }
        self.remove(key);
        let Some(at) = at else { return };
        if self.nodes.len() <= key as usize {
            self.nodes.resize(key as usize + 1, IDLE);
        }
        let last = self.tick + SLOTS as u64 - 1;
        let tick = self.tick_of(at);
        let tick = if tick > last { last - last % FAR } else { tick.max(self.tick) };
        let slot = (tick % SLOTS as u64) as u32;
        let head = std::mem::replace(&mut self.heads[slot as usize], key); // invariant: slot < SLOTS
        if let Some(next) = self.nodes.get_mut(head as usize) {
            next.before = key;
        }
        self.nodes[key as usize] = Node { at: Some(at), slot, before: NONE, after: head }; // invariant: resized above
        self.bits[slot as usize / 64] |= 1 << (slot % 64);
        self.words |= 1 << (slot / 64);
    }

    fn remove(&mut self, key: u32) {
        let Some(node) = self.nodes.get_mut(key as usize).filter(|n| n.at.is_some()) else { return };
        let Node { slot, before, after, .. } = std::mem::replace(node, IDLE);
        if let Some(next) = self.nodes.get_mut(after as usize) {
            next.before = before;
        }
        match self.nodes.get_mut(before as usize) {
            Some(previous) => previous.after = after,
            None => self.heads[slot as usize] = after, // invariant: slot < SLOTS
        }
        if self.heads[slot as usize] == NONE {
            let word = &mut self.bits[slot as usize / 64];
            *word &= !(1 << (slot % 64));
            if *word == 0 {
                self.words &= !(1 << (slot / 64));
            }
        }
    }

    /// The tick of the first slot that has something, not before `from`.
    fn first(&self, from: u64) -> Option<u64> {
        let start = from as usize % SLOTS;
        let slot = self.within(start, SLOTS).or_else(|| self.within(0, start))?;
        Some(from + ((slot + SLOTS - start) % SLOTS) as u64)
    }

    /// The first slot with something in `[from, to)`.
    fn within(&self, from: usize, to: usize) -> Option<usize> {
        let word = from / 64;
        let mut bits = self.bits.get(word)? & (u64::MAX << (from % 64));
        let mut at = word;
        if bits == 0 {
            let later = self.words & u64::MAX.checked_shl(word as u32 + 1).unwrap_or(0);
            if later == 0 {
                return None;
            }
            at = later.trailing_zeros() as usize;
            bits = *self.bits.get(at)?;
        }
        let slot = at * 64 + bits.trailing_zeros() as usize;
        (slot < to).then_some(slot)
    }

    /// When [`Wheel::expire`] has something to do: within 250 µs after the first
    /// timer is due, or earlier where it is far away.
    pub fn next(&self) -> Option<Instant> {
        self.first(self.tick).map(|tick| self.began + Duration::from_micros(tick * TICK))
    }

    /// Takes out the keys that are due, first come, first served (but for those that were far
    /// away): the bursts of many who join finish one after the other.
    pub fn expire(&mut self, now: Instant, due: &mut Vec<u32>) {
        let until = (now.saturating_duration_since(self.began).as_micros() / u128::from(TICK)) as u64;
        let from = self.tick;
        if until < from {
            return;
        }
        // Those that are far away go back into the wheel behind what is looked at.
        self.tick = until + 1;
        let mut tick = from;
        while let Some(at) = self.first(tick).filter(|at| *at <= until) {
            let first = due.len();
            let mut key = self.heads[at as usize % SLOTS];
            while let Some(node) = self.nodes.get(key as usize).copied() {
                match node.at {
                    Some(when) if when > now => {
                        self.remove(key);
                        self.set(key, Some(when));
                    }
                    _ => {
                        self.remove(key);
                        due.push(key);
                    }
                }
                key = node.after;
            }
            due.get_mut(first..).into_iter().for_each(|slot| slot.reverse());
            tick = at + 1;
            if tick >= from + SLOTS as u64 {
                // The whole wheel was looked at.
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const LATE: Duration = Duration::from_micros(TICK);

    #[test]
    fn a_far_one_comes_in_its_time() {
        let begin = Instant::now();
        let mut w = Wheel::new(begin);
        w.set(3, Some(begin + 30_000 * MS));
        let (mut now, mut due, mut calls) = (begin, Vec::new(), 0);
        while due.is_empty() {
            now = w.next().unwrap();
            w.expire(now, &mut due);
            calls += 1;
        }
        assert_eq!((due, now), (vec![3], begin + 30_000 * MS));
        assert!(calls < 40, "{calls}");
        assert_eq!(w.next(), None);
    }

    #[test]
    fn never_before_its_time_and_a_tick_late_at_most() {
        let begin = Instant::now();
        let us = |n| begin + Duration::from_micros(n);
        let mut w = Wheel::new(begin);
        w.set(0, Some(us(2_300)));
        assert_eq!(w.next(), Some(us(2_500)));
        let mut due = Vec::new();
        w.expire(us(2_499), &mut due);
        assert!(due.is_empty());
        w.expire(us(2_500), &mut due);
        assert_eq!(due, [0]);
        // One that is due already comes with the next tick.
        w.set(0, Some(begin));
        assert_eq!(w.next(), Some(us(2_750)));
        due.clear();
        w.expire(us(2_750), &mut due);
        assert_eq!(due, [0]);
    }

    #[test]
    fn far_ones_wake_together() {
        let begin = Instant::now();
        let mut w = Wheel::new(begin);
        for n in 0..1_000u32 {
            w.set(n, Some(begin + 10_000 * MS + n * MS));
        }
        let (mut due, mut calls) = (Vec::new(), 0);
        while due.is_empty() {
            w.expire(w.next().unwrap(), &mut due);
            calls += 1;
        }
        assert!(calls <= 4 * 10 + 4, "{calls}");
    }

    #[test]
    fn first_come_first_served() {
        let begin = Instant::now();
        let mut w = Wheel::new(begin);
        for n in [3, 1, 2, 0] {
            w.set(n, Some(begin + 2 * MS));
        }
        let mut due = vec![9];
        w.expire(begin + 3 * MS, &mut due);
        assert_eq!(due, [9, 3, 1, 2, 0]);
    }

    proptest! {
        /// Against a plain map, whatever is set, moved and stopped, and however time jumps.
        #[test]
        fn as_a_map_would(steps in proptest::collection::vec(
            (0u32..12, prop_oneof![Just(None), (0u64..12_000_000).prop_map(Some)],
             prop_oneof![4 => 0u64..5_000, 1 => 0u64..9_000_000]), 1..200)) {
            let begin = Instant::now();
            let mut w = Wheel::new(begin);
            let mut model: BTreeMap<u32, Instant> = BTreeMap::new();
            let mut now = begin;
            for (key, ahead, pass) in steps {
                let at = ahead.map(|us| now + Duration::from_micros(us));
                w.set(key, at);
                match at {
                    Some(at) => _ = model.insert(key, at),
                    None => _ = model.remove(&key),
                }
                prop_assert_eq!(w.get(key), at);
                // It asks to be called in time.
                match (w.next(), model.values().min()) {
                    (Some(next), Some(first)) => prop_assert!(next <= (*first).max(now) + 2 * LATE),
                    (next, first) => prop_assert_eq!((next, first), (None, None)),
                }
                let set_at = now;
                now += Duration::from_micros(pass);
                let mut due = Vec::new();
                w.expire(now, &mut due);
                for key in &due {
                    let at = model.remove(key);
                    prop_assert!(at.is_some_and(|at| at <= now), "{} at {:?}", key, at);
                }
                // Nothing is more than a tick late, or two where it was late when it was set.
                for at in model.values() { prop_assert!(*at + 2 * LATE > now || set_at == now); }
            }
        }
    }
}
