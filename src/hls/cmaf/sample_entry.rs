//! Sample entries: what a decoder must know before the first sample
//! (ISO/IEC 14496-15 §5.4, §8.4; 14496-14 §5.6; "Encapsulation of Opus in ISO Base
//! Media File Format" §4.3). Pure.

use mp4_atom as mp4;

use crate::hls::cmaf::Error;
use crate::media::aac::AudioSpecificConfig;
use crate::media::nal::sps::{Profile, Sps};
use crate::media::nal::{Format, ParameterSets};
use crate::media::nal::{sps, sps_h265};

/// A track of the init segment.
#[derive(Debug, Clone, PartialEq)]
pub enum Track {
    /// H.264 or H.265: `avc1` or `hvc1`, parameter sets out of band. 90 kHz.
    Video {
        /// Which of them.
        format: Format,
        /// All sets that samples refer to.
        sets: ParameterSets,
    },
    /// AAC: `mp4a`. Its sample rate.
    Aac {
        /// The AudioSpecificConfig as the source gave it.
        config: Vec<u8>,
    },
    /// Opus: `Opus`. 48 kHz.
    Opus {
        /// 1 or 2.
        channels: u8,
    },
}

impl Track {
    /// Units per second of its decode times, durations and offsets.
    pub fn timescale(&self) -> Result<u32, Error> {
        match self {
            Track::Video { .. } => Ok(90_000),
            Track::Aac { config } => Ok(aac(config)?.sample_rate),
            Track::Opus { .. } => Ok(48_000),
        }
    }

    /// Its entry in the playlist's `CODECS`.
    pub fn codec_string(&self) -> Result<String, Error> {
        match self {
            Track::Video { format, sets } => Ok(parse(*format, sets)?.codec_string()),
            Track::Aac { config } => Ok(aac(config)?.codec_string()),
            // The sample entry's registered name, as Apple and MSE spell it.
            Track::Opus { .. } => Ok("opus".into()),
        }
    }

    /// What the first SPS tells: size, frame rate, reorder depth.
    pub fn sps(&self) -> Option<Sps> {
        match self {
            Track::Video { format, sets } => parse(*format, sets).ok(),
            _ => None,
        }
    }

    /// A sample of silence and how long it lasts, units; none for video, and for sound
    /// of which we know none.
    pub fn silence(&self) -> Option<(&'static [u8], u32)> {
        match self {
            Track::Video { .. } => None,
            Track::Aac { config } => AudioSpecificConfig::parse(config).and_then(|c| Some((c.silence()?, c.frame))),
            // RFC 6716 §3.1: CELT, 20 ms, and the silence flag.
            Track::Opus { channels: 2 } => Some((&[0xfc, 0xff, 0xfe], 960)),
            Track::Opus { .. } => Some((&[0xf8, 0xff, 0xfe], 960)),
        }
    }

    pub(crate) fn entry(&self) -> Result<mp4::Codec, Error> {
        match self {
            Track::Video { format, sets } => video(*format, sets),
            Track::Aac { config } => {
                let a = aac(config)?;
                let dec_config = mp4::esds::DecoderConfig {
                    object_type_indication: 0x40, // MPEG-4 audio
                    stream_type: 5,               // audio
                    dec_specific: Some(mp4::esds::DecoderSpecific { raw: config.clone(), ..Default::default() }),
                    ..Default::default()
                };
                let es_desc = mp4::esds::EsDescriptor { dec_config, ..Default::default() };
                let audio = audio(u16::from(a.channels), a.sample_rate);
                Ok(mp4::Mp4a { audio, esds: mp4::Esds { es_desc }, btrt: None, taic: None }.into())
            }
            Track::Opus { channels } => {
                let channels = (*channels).clamp(1, 2);
                // A live stream begins in its middle: there is no encoder's lead-in to
                // cut off, and cutting would move the sound against the picture.
                let dops = mp4::Dops {
                    output_channel_count: channels,
                    pre_skip: 0,
                    input_sample_rate: 48_000,
                    output_gain: 0,
                    channel_mapping: None,
                };
                Ok(mp4::Opus { audio: audio(u16::from(channels), 48_000), dops, btrt: None }.into())
            }
        }
    }
}

fn aac(config: &[u8]) -> Result<AudioSpecificConfig, Error> {
    AudioSpecificConfig::parse(config).ok_or(Error::AudioConfig)
}

/// What the first SPS tells.
pub(crate) fn parse(format: Format, sets: &ParameterSets) -> Result<Sps, Error> {
    let nal = sets.sps.first().ok_or(Error::ParameterSets)?;
    match format {
        Format::H264 => sps::parse_h264(nal),
        Format::H265 => sps_h265::parse_h265(nal),
    }
    .ok_or(Error::Sps)
}

fn audio(channels: u16, rate: u32) -> mp4::Audio {
    // 16.16 holds no more than 65535 Hz; the decoder's configuration has the truth.
    let rate = u16::try_from(rate).unwrap_or(0);
    mp4::Audio { data_reference_index: 1, channel_count: channels, sample_size: 16, sample_rate: rate.into() }
}

fn video(format: Format, sets: &ParameterSets) -> Result<mp4::Codec, Error> {
    if !sets.complete(format) || sets.sps.len() > 31 || sets.pps.len() > 255 {
        return Err(Error::ParameterSets);
    }
    if [&sets.vps, &sets.sps, &sets.pps].into_iter().flatten().any(|s| s.len() > usize::from(u16::MAX)) {
        return Err(Error::ParameterSets);
    }
    let s = parse(format, sets)?;
    let side = |v: u32| u16::try_from(v).map_err(|_| Error::Sps);
    let visual =
        mp4::Visual { data_reference_index: 1, width: side(s.width)?, height: side(s.height)?, ..Default::default() };
    let pasp = s.sar.map(|(w, h)| mp4::Pasp { h_spacing: w.into(), v_spacing: h.into() });
    Ok(match s.profile {
        Profile::H264 { profile_level_id: [profile, compatibility, level] } => {
            // §5.3.3.1.2: these profiles, and only these, have the fields at the end.
            let ext = matches!(profile, 100 | 110 | 122 | 144 | 244).then(|| mp4::AvccExt {
                chroma_format: s.chroma,
                bit_depth_luma: s.depth_luma,
                bit_depth_chroma: s.depth_chroma,
                sequence_parameter_sets_ext: Vec::new(),
            });
            let avcc = mp4::Avcc {
                configuration_version: 1,
                avc_profile_indication: profile,
                profile_compatibility: compatibility,
                avc_level_indication: level,
                length_size: 4,
                sequence_parameter_sets: sets.sps.clone(),
                picture_parameter_sets: sets.pps.clone(),
                ext,
            };
            mp4::Avc1 { visual, avcc, pasp, ..Default::default() }.into()
        }
        Profile::H265 { space, high, idc, compatibility, constraints, level, layers, nested } => {
            let array = |nal_unit_type, nalus: &Vec<Vec<u8>>| mp4::HvcCArray {
                completeness: true, // hvc1: all sets are here
                nal_unit_type,
                nalus: nalus.clone(),
            };
            let hvcc = mp4::Hvcc {
                configuration_version: 1,
                general_profile_space: space,
                general_tier_flag: high,
                general_profile_idc: idc,
                general_profile_compatibility_flags: compatibility.to_be_bytes(),
                general_constraint_indicator_flags: constraints,
                general_level_idc: level,
                chroma_format_idc: s.chroma,
                bit_depth_luma_minus8: s.depth_luma.saturating_sub(8),
                bit_depth_chroma_minus8: s.depth_chroma.saturating_sub(8),
                num_temporal_layers: layers,
                temporal_id_nested: nested,
                length_size_minus_one: 3,
                arrays: vec![array(32, &sets.vps), array(33, &sets.sps), array(34, &sets.pps)],
                // 0: unknown (min_spatial_segmentation_idc, parallelismType, frame rate).
                ..Default::default()
            };
            mp4::Hvc1 { visual, hvcc, pasp, ..Default::default() }.into()
        }
    })
}
