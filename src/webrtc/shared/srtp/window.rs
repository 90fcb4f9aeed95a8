//! Which packets came before (RFC 3711 §3.3.2).

use super::Reject;

/// The last 128 indices of a stream, as one bit each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// One more than the highest index that was taken; 0 for none.
    next: u64,
    /// Bit n: `next - 1 - n` was taken.
    seen: u128,
}

impl Window {
    /// Whether a packet with this index may be new. Says nothing about who made it.
    pub fn check(&self, index: u64) -> Result<(), Reject> {
        if index >= self.next {
            return Ok(());
        }
        match self.next - 1 - index {
            back @ 0..128 if self.seen >> back & 1 == 0 => Ok(()),
            0..128 => Err(Reject::Replayed),
            _ => Err(Reject::Old),
        }
    }

    /// Takes an index that was checked and whose packet has verified.
    pub fn take(&mut self, index: u64) {
        if index >= self.next {
            let ahead = index - self.next + 1;
            self.seen = if ahead < 128 { self.seen << ahead } else { 0 };
            self.next = index + 1;
        }
        let back = self.next - 1 - index;
        if back < 128 {
            self.seen |= 1 << back;
        }
    }

    /// The highest index that was taken.
    pub fn highest(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }
}
