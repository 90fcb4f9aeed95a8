//! The sound of a muxer: as it came where HLS carries it, else by one encoder that
//! lives as long as the muxer. Whatever goes wrong here, the video goes on: the lane
//! fills up with silence.

use bytes::Bytes;

use crate::media::aac::AudioSpecificConfig;
use crate::media::codec::{Codec, Kind};
use crate::media::hub::{AccessUnit, Subscription};
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

/// Whether HLS in MPEG-TS carries this codec, itself or as AAC.
pub fn carries_in_ts(codec: &Codec) -> bool {
    match codec {
        Codec::Opus { .. } => to_aac::available(),
        other => carries(other),
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
    /// Starts an encoder where the path's audio is one of those that it is `made` of.
    pub async fn start(path: &str, codecs: &[Codec], made: Choice) -> Sound {
        let Some(codec) = codecs.iter().find(|c| made(c)) else { return Sound::Plain };
        match ToAac::start(path, codec).await {
            Ok(encoder) => Sound::Made(Box::new(encoder), 0),
            Err(why) => {
                tracing::warn!(%path, "HLS goes without sound: {why}");
                Sound::Plain
            }
        }
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

    /// Takes a unit of audio; gives back what is AAC as it comes.
    pub fn push(&mut self, unit: &AccessUnit) {
        if let Sound::Made(encoder, epoch) = self {
            *epoch = unit.epoch;
            unit.payloads().for_each(|(payload, _)| encoder.push(unit.pts_ns, payload));
        }
    }

    /// The encoder's next frame; never, where there is none. Cancel safe.
    pub async fn next(&mut self, path: &str) -> Aac {
        loop {
            let Sound::Made(encoder, epoch) = self else { return std::future::pending().await };
            match encoder.next().await {
                Ok(f) => return Aac { data: f.data, pts_ns: f.pts_ns, epoch: *epoch },
                Err(why) => {
                    tracing::warn!(%path, "HLS goes on without sound: {why}");
                    *self = Sound::Silent(encoder.config());
                }
            }
        }
    }
}
