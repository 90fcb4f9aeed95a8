//! AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) and the audio codec strings. Pure.

use crate::media::nal::bits::Bits;

/// `CODECS` for Opus (RFC 6381 with the sample entry's registered name, as Apple
/// and MSE spell it).
pub const OPUS: &str = "opus";

/// What an AudioSpecificConfig tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// audioObjectType: 2 AAC-LC, 5 HE-AAC (SBR), 29 HE-AAC v2 (PS).
    pub object_type: u8,
    /// Sample rate of the core in Hz: the clock of RTP and of the MP4 track.
    pub sample_rate: u32,
    /// Channels of the core; 0 when a program config element says it in band.
    pub channels: u8,
}

/// ISO/IEC 14496-3 Table 1.18.
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

impl AudioSpecificConfig {
    /// Reads the `config` of an SDP's fmtp, as bytes.
    pub fn parse(config: &[u8]) -> Option<Self> {
        let mut b = Bits::raw(config);
        let object_type = match b.u(5)? {
            31 => 32 + b.u(6)?,
            n => n,
        };
        let sample_rate = match b.u(4)? {
            15 => b.u(24)?,
            n => *RATES.get(n as usize)?,
        };
        let channels = match b.u(4)? {
            n @ 0..=6 => n,
            7 | 12 | 14 => 8,
            11 => 7,
            _ => return None,
        };
        if object_type == 0 || sample_rate == 0 {
            return None;
        }
        Some(AudioSpecificConfig { object_type: object_type as u8, sample_rate, channels: channels as u8 })
    }

    /// The codec for `CODECS` (RFC 6381 §3.3): `mp4a.40.2` for AAC-LC.
    pub fn codec_string(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_ones() {
        let of = |c: &[u8]| AudioSpecificConfig::parse(c).map(|a| (a.codec_string(), a.sample_rate, a.channels));
        assert_eq!(of(&[0x11, 0x90]), Some(("mp4a.40.2".into(), 48_000, 2)));
        assert_eq!(of(&[0x14, 0x08]), Some(("mp4a.40.2".into(), 16_000, 1)));
        assert_eq!(of(&[0x2b, 0x11, 0x88, 0]), Some(("mp4a.40.5".into(), 24_000, 2)));
        for bad in [&[][..], &[0x11], &[0x17, 0], &[0, 0]] {
            assert_eq!(of(bad), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = AudioSpecificConfig::parse(&data);
        }
    }
}
