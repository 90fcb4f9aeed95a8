//! One RTP stream to one viewer: its own sequence numbers and timestamps. Pure.

/// Numbers the packets of a stream without gaps, whatever was dropped before it.
#[derive(Debug, Clone)]
pub struct Stream {
    ssrc: u32,
    pt: u8,
    seq: u16,
    offset: u32,
    last: Option<u32>,
}

/// Length of the header that [`Stream::header`] writes.
pub const HEADER: usize = 12;

impl Stream {
    /// A stream; `seq` and `offset` are chosen at random by the caller (RFC 3550 §5.1).
    pub fn new(ssrc: u32, pt: u8, seq: u16, offset: u32) -> Self {
        Stream { ssrc, pt, seq, offset, last: None }
    }

    /// The header of the next packet (RFC 3550 §5.1) of a frame with the path's
    /// timestamp `timestamp`.
    pub fn header(&mut self, timestamp: u32, marker: bool) -> [u8; HEADER] {
        self.last = Some(timestamp);
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        let mut h = [0u8; HEADER];
        h[0] = 0x80;
        h[1] = self.pt | if marker { 0x80 } else { 0 };
        h[2..4].copy_from_slice(&seq.to_be_bytes());
        h[4..8].copy_from_slice(&timestamp.wrapping_add(self.offset).to_be_bytes());
        h[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        h
    }

    /// The last timestamp of the path that was sent.
    pub fn last(&self) -> Option<u32> {
        self.last
    }
}

/// The timestamps for `count` replayed frames, the last of which was captured at
/// `end` (90 kHz): a millisecond apart, so that the receiver plays them at once
/// and is live with the last one; closer where there is less room after `last`,
/// the last timestamp sent before. Strictly increasing, and later than `last`.
pub fn squeeze(last: Option<u32>, end: u32, count: usize) -> impl Iterator<Item = u32> {
    const MS: u32 = 90;
    let n = u32::try_from(count).unwrap_or(u32::MAX);
    let room = last.map_or(i32::MAX, |l| end.wrapping_sub(l) as i32);
    let (first, step) = if room > 0 && i64::from(room) > i64::from(n) {
        let step = (room as u32 / (n + 1)).clamp(1, MS);
        (end.wrapping_sub(step * n.saturating_sub(1)), step)
    } else {
        // What is replayed was sent before: go on just behind it.
        (last.unwrap_or(end).wrapping_add(1), 1)
    };
    (0..n).map(move |i| first.wrapping_add(i * step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_count_on() {
        let mut s = Stream::new(0xdead_beef, 102, 65_535, 10);
        assert_eq!(s.header(90, false), [0x80, 102, 0xff, 0xff, 0, 0, 0, 100, 0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(s.header(90, true)[..4], [0x80, 102 | 0x80, 0, 0]);
        assert_eq!(s.last(), Some(90));
    }

    #[test]
    fn a_first_burst_ends_at_its_true_time() {
        assert_eq!(squeeze(None, 1_000, 3).collect::<Vec<_>>(), [820, 910, 1_000]);
        assert_eq!(squeeze(None, 5, 1).collect::<Vec<_>>(), [5]);
        assert_eq!(squeeze(None, 5, 0).count(), 0);
    }

    #[test]
    fn a_replay_goes_on_behind_what_was_sent() {
        assert_eq!(squeeze(Some(1_000), 1_000, 3).collect::<Vec<_>>(), [1_001, 1_002, 1_003]);
        assert_eq!(squeeze(Some(1_000), 1_040, 3).collect::<Vec<_>>(), [1_020, 1_030, 1_040]);
    }

    proptest! {
        #[test]
        fn always_later_and_increasing(last in proptest::option::of(any::<u32>()), gap in -90_000i32..900_000, n in 1usize..1_000) {
            let end = last.unwrap_or(77).wrapping_add(gap as u32);
            let got: Vec<u32> = squeeze(last, end, n).collect();
            prop_assert_eq!(got.len(), n);
            for w in got.windows(2) { prop_assert!((w[1].wrapping_sub(w[0]) as i32) > 0); }
            if let Some(l) = last { prop_assert!((got[0].wrapping_sub(l) as i32) > 0); }
        }
    }
}
