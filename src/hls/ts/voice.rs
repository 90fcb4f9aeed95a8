//! The sound of a path on its way into a transport stream: G.711 and Opus through the
//! converter to AAC, and onto the time line of the pictures.

use bytes::Bytes;

use crate::hls::ts::pipeline::Aac;
use crate::hls::ts::sound::{Frame, Sound};
use crate::media::aac::AudioSpecificConfig;
use crate::media::codec::Codec;
use crate::media::hub::AccessUnit;
use crate::media::to_aac::{self, ToAac};

/// A track of sound, or none.
#[derive(Debug, Default)]
pub struct Voice {
    path: String,
    converter: Option<ToAac>,
    track: Option<(Aac, AudioSpecificConfig, Sound)>,
}

impl Voice {
    /// Starts the converter where the path has sound that it takes. Without an encoder the
    /// pictures go on alone, and the log says why.
    pub async fn start(path: &str, codecs: &[Codec]) -> Voice {
        let Some(codec) = codecs.iter().find(|c| to_aac::takes(c)) else { return Voice::default() };
        let converter = match ToAac::start(path, codec).await {
            Ok(converter) => converter,
            Err(why) => {
                tracing::warn!(%path, "no sound in MPEG-TS: {why}");
                return Voice::default();
            }
        };
        let track = AudioSpecificConfig::parse(&converter.config()).and_then(|parsed| {
            let sound = Sound::new(parsed.frame, parsed.sample_rate, parsed.silence()?);
            let (config, rate, channels) = (converter.config().to_vec(), parsed.sample_rate, parsed.channels);
            Some((Aac { config, rate, channels }, parsed, sound))
        });
        Voice { path: path.into(), converter: Some(converter), track }
    }

    /// What comes out, for the pipeline; none without sound.
    pub fn aac(&self) -> Option<Aac> {
        self.track.as_ref().map(|(aac, _, _)| aac.clone())
    }

    /// Its entry in `CODECS`.
    pub fn codec_string(&self) -> Option<String> {
        self.track.as_ref().map(|(_, config, _)| config.codec_string())
    }

    /// Takes a unit of sound.
    pub fn push(&mut self, unit: &AccessUnit) {
        let Some(converter) = &mut self.converter else { return };
        for (payload, _) in unit.payloads().take(1) {
            converter.push(unit.pts_ns, payload);
        }
    }

    /// The next frame of AAC; never comes where there is no sound (any more). Cancel safe.
    pub async fn next(&mut self) -> to_aac::Frame {
        if let Some(converter) = &mut self.converter {
            match converter.next().await {
                Ok(frame) => return frame,
                // The pictures go on, with silence.
                Err(why) => tracing::warn!(path = %self.path, "the sound of MPEG-TS ends: {why}"),
            }
            // Its pipeline ends in the background.
            self.converter = None;
        }
        std::future::pending().await
    }

    /// What is to be written for a frame whose place is at `time` (ns).
    pub fn place(&mut self, data: Bytes, time: i64) -> Vec<Frame> {
        let mut out = Vec::new();
        if let Some((_, _, sound)) = &mut self.track {
            sound.push(data, time, &mut out);
        }
        out
    }

    /// What is to be written as the pictures have come as far as `pts` (ns).
    pub fn follow(&mut self, pts: u64) -> Vec<Frame> {
        let mut out = Vec::new();
        if let (Some((_, _, sound)), Ok(time)) = (&mut self.track, i64::try_from(pts)) {
            sound.follow(time, &mut out);
        }
        out
    }

    /// Ends the converter.
    pub async fn stop(self) {
        if let Some(converter) = self.converter {
            converter.stop().await;
        }
    }
}
