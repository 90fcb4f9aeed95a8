//! AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1): what a decoder of AAC must know, and
//! a frame of silence for it. Pure.

/// What an AudioSpecificConfig tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// audioObjectType: 2 AAC-LC, 5 HE-AAC (SBR), 29 HE-AAC v2 (PS).
    pub object_type: u8,
    /// Sample rate of the core in Hz: the clock of the MP4 track.
    pub sample_rate: u32,
    /// Channels of the core; 0 when a program config element says it in band.
    pub channels: u8,
    /// Samples of the core in a frame: 1024, or 960 for radio.
    pub frame: u32,
}

/// ISO/IEC 14496-3 Table 1.18.
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Longer ones are no audio's.
const MOST: usize = 64;

impl AudioSpecificConfig {
    /// Reads the `config` of an SDP's fmtp, or of caps (codec_data), as bytes.
    pub fn parse(config: &[u8]) -> Option<Self> {
        if config.len() > MOST {
            return None;
        }
        let mut b = Bits(config, 0);
        let object_type = b.object_type()?;
        let sample_rate = b.rate()?;
        let channels = match b.take(4)? {
            n @ 0..=6 => n,
            7 | 12 | 14 => 8,
            11 => 7,
            _ => return None,
        };
        if object_type == 0 || sample_rate == 0 {
            return None;
        }
        let mut core = object_type;
        if matches!(object_type, 5 | 29) {
            let _extended = b.rate()?;
            core = b.object_type()?;
        }
        // GASpecificConfig §4.4.1 begins with frameLengthFlag.
        let short = matches!(core, 1..=4) && b.take(1).unwrap_or(0) == 1;
        Some(AudioSpecificConfig {
            object_type: object_type as u8,
            sample_rate,
            channels: channels as u8,
            frame: if short { 960 } else { 1_024 },
        })
    }

    /// Whether players of HLS decode it: AAC-LC, HE-AAC and HE-AAC v2.
    pub fn common(&self) -> bool {
        matches!(self.object_type, 2 | 5 | 29)
    }

    /// The codec for `CODECS` (RFC 6381 §3.3): `mp4a.40.2` for AAC-LC.
    pub fn codec_string(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }

    /// A frame of silence (ISO/IEC 14496-3 §4.4.2.1 raw_data_block): one element with
    /// max_sfb 0, and the end. None for more than two channels.
    pub fn silence(&self) -> Option<&'static [u8]> {
        match self.channels {
            // id_syn_ele 0 (SCE), tag; global_gain; ics_info, no pulse, TNS, gain; 7 (END).
            1 if self.common() => Some(&[0x00, 0x00, 0x00, 0x07]),
            // id_syn_ele 1 (CPE), tag, no common window; the same twice; 7 (END), padding.
            2 if self.common() => Some(&[0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0e]),
            _ => None,
        }
    }
}

/// Reads bits, the first one of a byte first; None behind the end.
struct Bits<'a>(&'a [u8], usize);

impl Bits<'_> {
    /// n ≤ 32.
    fn take(&mut self, n: u32) -> Option<u32> {
        (0..n).try_fold(0, |value, _| {
            let byte = self.0.get(self.1 / 8)?;
            let bit = byte >> (7 - self.1 % 8) & 1;
            self.1 += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    fn object_type(&mut self) -> Option<u32> {
        match self.take(5)? {
            31 => Some(32 + self.take(6)?),
            n => Some(n),
        }
    }

    fn rate(&mut self) -> Option<u32> {
        match self.take(4)? {
            15 => self.take(24),
            n => RATES.get(n as usize).copied(),
        }
    }
}

/// The first frame of an LATM stream without its length in front (PayloadLengthInfo,
/// ISO/IEC 14496-3 §1.7.3: bytes of 255, and one that is less): rtpmp4adepay of GStreamer
/// 1.22 leaves it there, on the first frame alone, and decoders complain of the rest.
pub fn without_length(frame: &[u8]) -> &[u8] {
    let full = frame.iter().take_while(|b| **b == 255).count();
    let Some((front, rest)) = frame.split_at_checked(full + 1) else { return frame };
    let length = full * 255 + front.last().map_or(0, |b| usize::from(*b));
    if length == rest.len() && length > 0 { rest } else { frame }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_ones() {
        let of = |c: &[u8]| {
            AudioSpecificConfig::parse(c).map(|a| (a.codec_string(), a.sample_rate, a.channels, a.frame, a.common()))
        };
        assert_eq!(of(&[0x11, 0x90]), Some(("mp4a.40.2".into(), 48_000, 2, 1_024, true)));
        assert_eq!(of(&[0x14, 0x08]), Some(("mp4a.40.2".into(), 16_000, 1, 1_024, true)));
        assert_eq!(of(&[0x14, 0x0c]), Some(("mp4a.40.2".into(), 16_000, 1, 960, true)));
        assert_eq!(of(&[0x2b, 0x11, 0x88, 0]), Some(("mp4a.40.5".into(), 24_000, 2, 1_024, true)));
        // Explicit "no SBR" behind it, as libav writes it.
        assert_eq!(of(&[0x11, 0x88, 0x56, 0xe5, 0]), Some(("mp4a.40.2".into(), 48_000, 1, 1_024, true)));
        // AAC Main is nothing that browsers play.
        assert_eq!(of(&[0x09, 0x90]), Some(("mp4a.40.1".into(), 48_000, 2, 1_024, false)));
        for bad in [&[][..], &[0x11], &[0x17, 0], &[0, 0], &[0x11; 65]] {
            assert_eq!(of(bad), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..12)) {
            if let Some(config) = AudioSpecificConfig::parse(&data) {
                prop_assert!(config.sample_rate > 0 && config.silence().is_none_or(|s| s.len() > 3));
            }
        }
    }

    #[test]
    fn a_length_in_front_of_a_frame_goes() {
        let of = |length: usize, front: &[u8]| [front, &vec![7; length]].concat();
        assert_eq!(without_length(&of(487, &[255, 232])).len(), 487);
        assert_eq!(without_length(&of(100, &[100])).len(), 100);
        // What does not tell its own length is a frame, and so is nothing.
        for frame in [of(100, &[99]), of(487, &[255, 231]), of(0, &[0]), vec![], vec![255], vec![255, 255]] {
            assert_eq!(without_length(&frame), frame);
        }
    }
}
