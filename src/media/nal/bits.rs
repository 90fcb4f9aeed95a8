//! Bits of a NAL unit: Exp-Golomb codes, emulation prevention. Pure.

use super::{Format, Set};

/// Most bytes that are read of a parameter set: real ones have a few hundred.
const MAX: usize = 4096;

/// Reads the raw byte sequence payload of a NAL unit; after its end every read is
/// `None`.
#[derive(Debug, Clone)]
pub struct Bits {
    data: Vec<u8>,
    at: usize,
}

impl Bits {
    /// The unit's payload behind `header` bytes, without the emulation prevention
    /// bytes (ITU-T H.264 §7.4.1, H.265 §7.4.2).
    pub fn of_nal(nal: &[u8], header: usize) -> Self {
        let mut data = Vec::with_capacity(nal.len().min(MAX));
        let mut zeros = 0;
        for b in nal.iter().skip(header).take(MAX) {
            if zeros >= 2 && *b == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *b == 0 { zeros + 1 } else { 0 };
            data.push(*b);
        }
        Bits { data, at: 0 }
    }

    /// `u(1)` as a flag.
    pub fn flag(&mut self) -> Option<bool> {
        let byte = self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `u(n)`, n ≤ 32.
    pub fn u(&mut self, n: u32) -> Option<u32> {
        (0..n).try_fold(0u32, |v, _| Some(v << 1 | u32::from(self.flag()?)))
    }

    /// `u(8)`.
    pub fn byte(&mut self) -> Option<u8> {
        self.u(8).map(|v| v as u8)
    }

    /// Skips n bits.
    pub fn skip(&mut self, n: usize) -> Option<()> {
        self.at = self.at.checked_add(n).filter(|at| *at <= self.data.len() * 8)?;
        Some(())
    }

    /// `ue(v)`: at most 32 bits.
    pub fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.u(zeros)?)
    }

    /// `ue(v)` that may not be above `max`.
    pub fn ue_max(&mut self, max: u32) -> Option<u32> {
        self.ue().filter(|v| *v <= max)
    }

    /// `se(v)`.
    pub fn se(&mut self) -> Option<i32> {
        let v = i64::from(self.ue()?);
        i32::try_from(if v % 2 == 0 { -(v / 2) } else { v / 2 + 1 }).ok()
    }
}

/// The id of a parameter set: sets of the same id replace each other. Unreadable
/// ones share one.
pub(crate) fn set_id(format: Format, kind: Set, nal: &[u8]) -> Option<u32> {
    let mut b = Bits::of_nal(nal, if format == Format::H264 { 1 } else { 2 });
    match (format, kind) {
        (Format::H264, Set::Sps) => {
            b.skip(24)?;
            b.ue()
        }
        (Format::H265, Set::Sps) => {
            b.skip(4)?;
            let layers = b.u(3)?;
            b.skip(1)?;
            super::sps_h265::skip_profile_tier_level(&mut b, layers)?;
            b.ue()
        }
        (_, Set::Vps) => b.u(4),
        (_, Set::Pps) => b.ue(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(data: &[u8]) -> Bits {
        Bits { data: data.to_vec(), at: 0 }
    }

    #[test]
    fn golomb() {
        // 1 010 011 00100 00101 …
        let mut b = raw(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([b.ue(), b.ue(), b.ue(), b.ue(), b.ue()], [0, 1, 2, 3, 4].map(Some));
        let mut b = raw(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([b.se(), b.se(), b.se(), b.se(), b.se()], [0, 1, -1, 2, -2].map(Some));
        assert_eq!(raw(&[0; 9]).ue(), None);
    }

    #[test]
    fn emulation_prevention() {
        let mut b = Bits::of_nal(&[0x67, 0, 0, 3, 1, 0, 0, 3], 1);
        assert_eq!(b.u(32), Some(0x0000_0100));
        assert_eq!((b.byte(), b.flag()), (Some(0), None));
    }

    proptest! {
        #[test]
        fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..60), n in 0u32..=32) {
            let mut b = Bits::of_nal(&data, 1);
            let _ = (b.ue(), b.se(), b.u(n), b.skip(usize::MAX), b.ue());
            for kind in [Set::Vps, Set::Sps, Set::Pps] {
                let _ = (set_id(Format::H264, kind, &data), set_id(Format::H265, kind, &data));
            }
        }
    }
}
