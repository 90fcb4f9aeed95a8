//! What a new reader needs to start at once: everything since the last key
//! frame, within bounds. Pure.

use std::sync::Arc;

/// What the cache must know of a cached unit.
pub trait Unit {
    /// Whether decoding can start here.
    fn key(&self) -> bool;
    /// Its size in bytes.
    fn bytes(&self) -> usize;
}

/// The bounds of a [`Gop`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// Most bytes kept.
    pub bytes: usize,
    /// Most units kept: a receiver has to decode them all before it is live.
    pub units: usize,
}

impl Default for Cap {
    fn default() -> Self {
        Cap { bytes: 4 * 1024 * 1024, units: 1_000 }
    }
}

/// What a reader that joins now starts with.
#[derive(Debug, Clone)]
pub struct Start<U> {
    /// The units to send first, the first one a key frame; empty when there is
    /// no key frame yet.
    pub units: Vec<Arc<U>>,
    /// Whether the live units continue `units`. If not, the reader shows the key
    /// frame as a still and goes on with the next one.
    pub continuous: bool,
}

/// The units since the last key frame.
#[derive(Debug)]
pub struct Gop<U> {
    cap: Cap,
    units: Vec<Arc<U>>,
    bytes: usize,
    full: bool,
}

impl<U: Unit> Gop<U> {
    /// An empty cache.
    pub fn new(cap: Cap) -> Self {
        Gop { cap, units: Vec::new(), bytes: 0, full: false }
    }

    /// Takes the next unit of the track.
    pub fn push(&mut self, unit: Arc<U>) {
        if unit.key() {
            self.units.clear();
            self.bytes = 0;
            self.full = unit.bytes() > self.cap.bytes;
        } else if self.units.is_empty() {
            // Deltas without their key frame are of no use to anybody.
            return;
        }
        if self.full {
            return;
        }
        if self.bytes + unit.bytes() > self.cap.bytes || self.units.len() >= self.cap.units {
            // Past the cap the key frame stays, as a still; what followed it goes.
            self.full = true;
            self.units.truncate(1);
            self.bytes = self.units.first().map_or(0, |u| u.bytes());
            return;
        }
        self.bytes += unit.bytes();
        self.units.push(unit);
    }

    /// Forgets everything: the next unit does not continue the last one.
    pub fn clear(&mut self) {
        self.units.clear();
        self.bytes = 0;
        self.full = false;
    }

    /// What a reader that joins now starts with.
    pub fn start(&self) -> Start<U> {
        Start { units: self.units.clone(), continuous: !self.full && !self.units.is_empty() }
    }

    /// Whether a reader could start now.
    pub fn ready(&self) -> bool {
        !self.units.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq)]
    struct U(bool, usize, usize);
    impl Unit for U {
        fn key(&self) -> bool {
            self.0
        }
        fn bytes(&self) -> usize {
            self.1
        }
    }

    fn gop(units: &[(bool, usize)], cap: Cap) -> Gop<U> {
        let mut g = Gop::new(cap);
        for (i, (k, b)) in units.iter().enumerate() {
            g.push(Arc::new(U(*k, *b, i)));
        }
        g
    }
    const CAP: Cap = Cap { bytes: 100, units: 5 };
    fn ids(s: &Start<U>) -> Vec<usize> {
        s.units.iter().map(|u| u.2).collect()
    }

    #[test]
    fn deltas_before_the_first_key_are_not_kept() {
        let s = gop(&[(false, 1), (false, 1)], CAP).start();
        assert!(s.units.is_empty() && !s.continuous);
    }

    #[test]
    fn a_key_begins_anew() {
        let s = gop(&[(true, 10), (false, 1), (true, 10), (false, 2)], CAP).start();
        assert_eq!((ids(&s), s.continuous), (vec![2, 3], true));
    }

    #[test]
    fn over_the_bytes_the_key_stays_as_a_still() {
        let s = gop(&[(true, 60), (false, 30), (false, 30), (false, 1)], CAP).start();
        assert_eq!((ids(&s), s.continuous), (vec![0], false));
    }

    #[test]
    fn over_the_count_too() {
        let s = gop(&[(true, 1), (false, 1), (false, 1), (false, 1), (false, 1), (false, 1)], CAP).start();
        assert_eq!((ids(&s), s.continuous), (vec![0], false));
    }

    #[test]
    fn the_next_key_ends_the_still() {
        let s = gop(&[(true, 60), (false, 60), (true, 10)], CAP).start();
        assert_eq!((ids(&s), s.continuous), (vec![2], true));
    }

    #[test]
    fn a_key_frame_larger_than_the_cap_is_not_kept() {
        let s = gop(&[(true, 101), (false, 1)], CAP).start();
        assert!(s.units.is_empty() && !s.continuous);
    }

    proptest! {
        #[test]
        fn bounded_and_decodable(units in proptest::collection::vec((any::<bool>(), 0usize..120), 0..60)) {
            let g = gop(&units, CAP);
            let s = g.start();
            prop_assert!(s.units.iter().map(|u| u.1).sum::<usize>() <= CAP.bytes);
            prop_assert!(s.units.len() <= CAP.units);
            if let Some(first) = s.units.first() {
                prop_assert!(first.key());
                prop_assert!(s.units[1..].iter().all(|u| !u.key()));
            }
            if s.continuous {
                prop_assert_eq!(s.units.last().map(|u| u.2), Some(units.len() - 1));
                prop_assert!(s.units.windows(2).all(|w| w[0].2 + 1 == w[1].2));
            }
        }
    }
}
