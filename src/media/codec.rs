//! What a track is: its codec, and what is needed to offer it to a client.

use serde::Serialize;

/// Video or audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// The codec of a track as it came from the source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264 (RFC 6184). `profile_level_id` is profile_idc, constraint flags and
    /// level_idc of the active SPS.
    H264 {
        /// The three bytes of `profile-level-id` (RFC 6184 §8.1).
        profile_level_id: [u8; 3],
    },
    /// H.265 (RFC 7798).
    H265 {
        /// general_profile_idc: 1 Main, 2 Main 10 …
        profile_id: u8,
        /// general_tier_flag: 0 main, 1 high.
        tier_flag: u8,
        /// general_level_idc: level × 30 (93 = 3.1).
        level_id: u8,
    },
    /// Opus (RFC 7587); always 48 kHz in RTP.
    Opus {
        /// 1 or 2: what the source really sends.
        channels: u8,
    },
    /// G.711 µ-law, 8 kHz mono (RFC 3551).
    Pcmu,
    /// G.711 A-law, 8 kHz mono (RFC 3551).
    Pcma,
    /// AAC: carried as frames, and not in RTP, for no WebRTC client takes it.
    Aac {
        /// How it comes from the source: `MPEG4-GENERIC` (RFC 3640) or `MP4A-LATM`
        /// (RFC 6416), the encoding name.
        format: &'static str,
        /// AudioSpecificConfig ([`crate::media::aac`]); empty before the first frame
        /// where the SDP does not give it.
        config: Vec<u8>,
    },
    /// Something that camgate recognises or not, and cannot hand on; the name is as
    /// the source's SDP gives it, `AAC` for AAC that lacks its configuration.
    Other {
        /// Video or audio.
        kind: Kind,
        /// The name to show.
        name: String,
    },
}

impl Codec {
    /// Video or audio.
    pub fn kind(&self) -> Kind {
        match self {
            Codec::H264 { .. } | Codec::H265 { .. } => Kind::Video,
            Codec::Opus { .. } | Codec::Pcmu | Codec::Pcma | Codec::Aac { .. } => Kind::Audio,
            Codec::Other { kind, .. } => *kind,
        }
    }

    /// The encoding name in an SDP's `rtpmap`.
    pub fn encoding_name(&self) -> &str {
        match self {
            Codec::H264 { .. } => "H264",
            Codec::H265 { .. } => "H265",
            Codec::Opus { .. } => "opus",
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::Aac { format, .. } => format,
            Codec::Other { name, .. } => name,
        }
    }

    /// The name shown to people and in JSON, MediaMTX's spelling.
    pub fn label(&self) -> &str {
        match self {
            Codec::H264 { .. } => "H264",
            Codec::H265 { .. } => "H265",
            Codec::Opus { .. } => "Opus",
            Codec::Pcmu | Codec::Pcma => "G711",
            Codec::Aac { .. } => "AAC",
            Codec::Other { name, .. } => name,
        }
    }

    /// RTP clock rate in Hz. AAC has none here: 90 kHz, which does for every sample rate.
    pub fn clock_rate(&self) -> u32 {
        match self {
            Codec::H264 { .. } | Codec::H265 { .. } | Codec::Aac { .. } => 90_000,
            Codec::Opus { .. } => 48_000,
            Codec::Pcmu | Codec::Pcma => 8_000,
            Codec::Other { kind: Kind::Video, .. } => 90_000,
            Codec::Other { kind: Kind::Audio, .. } => 48_000,
        }
    }

    /// Whether camgate can hand this track to a WebRTC viewer at all.
    pub fn playable(&self) -> bool {
        self.carried() && !matches!(self, Codec::Aac { .. })
    }

    /// Whether camgate takes it from the source, for whichever readers.
    pub fn carried(&self) -> bool {
        !matches!(self, Codec::Other { .. })
    }

    /// Whether a session that negotiated `self` can go on with `other`: the same
    /// codec. Another profile, level or resolution is announced in band and
    /// decoders follow it.
    pub fn compatible(&self, other: &Codec) -> bool {
        match (self, other) {
            (Codec::Other { name: a, .. }, Codec::Other { name: b, .. }) => a == b,
            // It is not in band.
            (Codec::Aac { config: a, .. }, Codec::Aac { config: b, .. }) => a == b || a.is_empty() || b.is_empty(),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// One track of a path, as sessions negotiate it and people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// The codec with what is needed to negotiate it.
    pub codec: Codec,
    /// Width in pixels, for video whose SPS was seen.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Frames per second, where the stream tells.
    pub fps: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aac_goes_on_with_the_same_configuration_only() {
        let aac = |config: &[u8]| Codec::Aac { format: "MPEG4-GENERIC", config: config.into() };
        assert!(aac(&[0x11, 0x90]).compatible(&aac(&[0x11, 0x90])));
        assert!(aac(&[0x11, 0x90]).compatible(&aac(&[])) && aac(&[]).compatible(&aac(&[0x11, 0x90])));
        assert!(!aac(&[0x11, 0x90]).compatible(&aac(&[0x14, 0x08])));
        assert!(!aac(&[]).compatible(&Codec::Pcma));
        assert!(aac(&[]).carried() && !aac(&[]).playable());
    }
}
