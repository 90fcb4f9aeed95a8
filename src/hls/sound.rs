//! The sound of a muxer: as it came where HLS carries it, else by one encoder that
//! lives as long as the muxer. Whatever goes wrong here, the video goes on: the lane
//! fills up with silence. Where there is no video, the muxer ends.

use bytes::Bytes;

use crate::hls::playlist::Variant;
use crate::hls::ts::voice::Voice;
use crate::media::aac::AudioSpecificConfig;
use crate::media::codec::{Codec, Kind};
use crate::media::hub::{AccessUnit, Subscription};
use crate::media::nal::Format;
use crate::media::to_aac::{self, ToAac};

/// A choice among codecs.
pub type Choice = fn(&Codec) -> bool;

/// Whether HLS carries this codec, itself or as AAC.
pub fn carries(codec: &Codec) -> bool {
    match codec {
        Codec::H264 { .. } | Codec::H265 { .. } | Codec::Opus { .. } => true,
        // Not known before the first frame: then it will be seen.
        Codec::Aac { config, .. } => config.is_empty() || fit(config),
        other => to_aac::takes(other) && to_aac::available(),
    }
}

/// Whether HLS in MPEG-TS carries this codec beside pictures, itself or as AAC.
pub fn carries_in_ts(codec: &Codec) -> bool {
    match codec {
        Codec::Opus { .. } => to_aac::available(),
        Codec::Aac { config, .. } => config.is_empty() || Voice::new(config.clone()).is_some(),
        other => carries(other),
    }
}

/// Whether HLS in this variant carries a codec of a path that has `all` of these.
pub fn carried<'a>(variant: Variant, codec: &Codec, all: impl IntoIterator<Item = &'a Codec>) -> bool {
    match variant {
        // Its segments begin with pictures.
        Variant::Mpegts => carries_in_ts(codec) && all.into_iter().any(|c| Format::of(c).is_some()),
        Variant::Fmp4 | Variant::LowLatency => carries(codec),
    }
}

/// Whether fMP4 carries this codec as AAC only.
pub fn made(codec: &Codec) -> bool {
    to_aac::takes(codec) && !matches!(codec, Codec::Opus { .. })
}

/// Whether players decode AAC with this AudioSpecificConfig.
fn fit(config: &[u8]) -> bool {
    AudioSpecificConfig::parse(config).is_some_and(|c| c.common())
}

/// A frame of AAC for the segmenter.
#[derive(Debug)]
pub struct Aac {
    /// Raw.
    pub data: Bytes,
    /// When it was captured, CLOCK_MONOTONIC, ns.
    pub pts_ns: u64,
    /// [`AccessUnit::epoch`] of what it was made of.
    pub epoch: u64,
}

/// See the module.
#[derive(Debug)]
pub enum Sound {
    /// None, Opus, or AAC as it comes: nothing to do here.
    Plain,
    /// Made by an encoder.
    Made(Box<ToAac>, u64),
    /// Its encoder failed.
    Silent([u8; 2]),
}

impl Sound {
    /// Starts an encoder where the path's audio is one of those that it is `made` of. The
    /// error is a sentence.
    pub async fn start(path: &str, codecs: &[Codec], made: Choice) -> Result<Sound, String> {
        let Some(codec) = codecs.iter().find(|c| made(c)) else { return Ok(Sound::Plain) };
        Ok(Sound::Made(Box::new(ToAac::start(path, codec).await?), 0))
    }

    /// What the encoder lost because it was not kept up with: packets and frames.
    pub fn dropped(&self) -> u64 {
        if let Sound::Made(encoder, _) = self { encoder.dropped() } else { 0 }
    }

    /// The AudioSpecificConfig of the muxer's AAC, if it has any: `Some` of nothing for
    /// AAC that has not told it yet.
    pub fn config(&self, subscription: &Subscription) -> Option<Vec<u8>> {
        match self {
            Sound::Made(encoder, _) => Some(encoder.config().into()),
            Sound::Silent(config) => Some((*config).into()),
            Sound::Plain => match subscription.now(Kind::Audio)?.codec {
                Codec::Aac { config, .. } if config.is_empty() || fit(&config) => Some(config),
                _ => None,
            },
        }
    }

    /// Takes a unit of audio; what is made of it comes by [`Sound::next`].
    pub fn push(&mut self, unit: &AccessUnit) {
        if let Sound::Made(encoder, epoch) = self {
            *epoch = unit.epoch;
            unit.payloads().for_each(|(payload, _)| encoder.push(unit.pts_ns, payload));
        }
    }

    /// The encoder's next frame; never, where there is none. The error says why there will be
    /// none any more, once. Cancel safe.
    pub async fn next(&mut self) -> Result<Aac, String> {
        let Sound::Made(encoder, epoch) = self else { return std::future::pending().await };
        match encoder.next().await {
            Ok(f) => Ok(Aac { data: f.data, pts_ns: f.pts_ns, epoch: *epoch }),
            Err(why) => {
                *self = Sound::Silent(encoder.config());
                Err(why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_depends_on_the_variant() {
        gstreamer::init().unwrap();
        let video = Codec::H264 { profile_level_id: [0x42, 0xc0, 0x1f] };
        let stereo = Codec::Aac { format: "", config: vec![0x11, 0x90] };
        let many = Codec::Aac { format: "", config: vec![0x11, 0xb0] };
        let sounds = [(&stereo, true), (&Codec::Pcmu, true), (&Codec::Opus { channels: 2 }, true), (&many, false)];
        for (sound, in_ts) in sounds {
            for variant in [Variant::Fmp4, Variant::LowLatency] {
                assert!(carried(variant, sound, [sound]) && carried(variant, sound, [&video, sound]), "{sound:?}");
            }
            assert_eq!(carried(Variant::Mpegts, sound, [&video, sound]), in_ts, "{sound:?}");
            assert!(!carried(Variant::Mpegts, sound, [sound]), "{sound:?} alone");
        }
        assert!(carried(Variant::Mpegts, &video, [&video]));
    }
}
