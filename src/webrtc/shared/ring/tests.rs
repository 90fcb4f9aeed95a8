//! Against a plain list of all frames.

use proptest::prelude::*;

use super::*;

/// A frame whose payloads tell what they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub key: bool,
    pub timestamp: u32,
    pub payloads: Vec<Vec<u8>>,
}

impl Unit for Frame {
    fn packets(&self) -> usize {
        self.payloads.len()
    }
    fn payload(&self, i: usize) -> Option<&[u8]> {
        self.payloads.get(i).map(Vec::as_slice)
    }
    fn key(&self) -> bool {
        self.key
    }
    fn timestamp(&self) -> u32 {
        self.timestamp
    }
    fn bytes(&self) -> usize {
        self.payloads.iter().map(Vec::len).sum()
    }
    fn captured(&self) -> u64 {
        u64::from(self.timestamp) * 1_000_000_000 / 90_000
    }
}

/// Frame number `n`, of so many packets of so many bytes.
pub fn frame(n: u32, key: bool, packets: usize, bytes: usize) -> Arc<Frame> {
    let payload = |i: usize| {
        n.to_be_bytes().into_iter().chain([i as u8]).chain(std::iter::repeat(7)).take(bytes.max(5)).collect()
    };
    Arc::new(Frame { key, timestamp: n * 3_600, payloads: (0..packets).map(payload).collect() })
}

const CAP: Cap = Cap { bytes: 200, units: 8, age: Duration::from_millis(100) };

#[test]
fn a_group_that_is_too_large_leaves_its_key_frame() {
    let now = Instant::now();
    let mut r = Ring::new(CAP);
    r.push(frame(0, true, 4, 20), now);
    for n in 1..20 {
        r.push(frame(n, false, 1, 20), now);
    }
    let s = r.start();
    assert!(!s.continuous);
    assert_eq!(s.entries.map(|e| e.serial).collect::<Vec<_>>(), [0]);
    // The still can be asked for again.
    assert_eq!(r.find(3).map(|(e, i)| (e.serial, i)), Some((0, 3)));
    assert!(r.find(4).is_none());
    r.push(frame(20, true, 1, 20), now);
    assert!(r.start().continuous);
}

#[test]
fn an_interruption_ends_what_can_be_begun_with_and_not_what_was_sent() {
    let now = Instant::now();
    let mut r = Ring::new(CAP);
    r.push(frame(0, true, 1, 10), now);
    r.interrupt();
    assert_eq!(r.start().entries.count(), 0);
    assert!(r.find(0).is_some());
    r.push(frame(1, false, 1, 10), now);
    assert_eq!(r.start().entries.count(), 0);
    // And ages as if there had been no key frame.
    r.push(frame(2, false, 1, 10), now + Duration::from_secs(1));
    assert_eq!(r.len(), 1);
}

proptest! {
    #[test]
    fn bounded_decodable_and_findable(list in proptest::collection::vec((any::<bool>(), 1usize..5, 5usize..60, 0u64..80, 0u8..20), 1..60)) {
        let mut now = Instant::now();
        let mut r = Ring::new(CAP);
        // Every packet ever, by its number; and the beginning of what can be decoded.
        let (mut all, mut begin) = (Vec::new(), None);
        for (n, (key, packets, bytes, ms, what)) in list.into_iter().enumerate() {
            now += Duration::from_millis(ms);
            if what == 0 {
                r.interrupt();
                begin = None;
            }
            let f = frame(n as u32, key, packets, bytes);
            let e = r.push(f.clone(), now);
            prop_assert_eq!((e.first, e.serial), (all.len() as u64, n as u64));
            all.extend(f.payloads.iter().cloned());
            if key { begin = Some(n as u64) }
            prop_assert!(r.bytes() <= CAP.bytes && r.len() <= CAP.units);
            prop_assert_eq!(r.bytes(), r.entries.iter().map(|e| e.unit.bytes()).sum::<usize>());
            let s = r.start();
            let serials: Vec<u64> = s.entries.map(|e| e.serial).collect();
            prop_assert_eq!(serials.first().copied(), begin);
            if s.continuous {
                prop_assert_eq!(serials, (begin.unwrap()..=n as u64).collect::<Vec<_>>());
            } else {
                prop_assert!(serials.len() <= 1);
            }
            for number in 0..all.len() as u64 + 3 {
                if let Some((e, i)) = r.find(number) {
                    prop_assert_eq!(e.unit.payload(i), Some(all[number as usize].as_slice()));
                }
            }
            prop_assert_eq!(r.end(), n as u64 + 1);
            for serial in 0..=r.end() {
                if let Some(e) = r.get(serial) { prop_assert_eq!(e.serial, serial); }
            }
            // The last one is there, unless it is too much by itself.
            if f.bytes() <= CAP.bytes {
                prop_assert!(r.find(all.len() as u64 - 1).is_some());
            }
        }
    }
}
