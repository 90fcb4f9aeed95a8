//! What is known of the leading track before anything is cut. Pure.

use std::sync::Arc;

use super::{Ended, Known, OPUS, VIDEO, payloads, unfit};
use crate::hls::cmaf::Track;
use crate::hls::cmaf::decode_time::{DecodeTimes, Unwrap, reorder_depth};
use crate::hls::cmaf::sets::Sets;
use crate::hls::pace;
use crate::media::aac::AudioSpecificConfig;
use crate::media::codec::Kind;
use crate::media::hub::AccessUnit;
use crate::media::nal::{self, Format};
use crate::media::opus;
use crate::media::rhythm::slope;

/// More frames than so many do not make a rate more certain.
const MEASURED: usize = 128;

/// The video of a segmenter.
#[derive(Debug)]
pub(in crate::hls) struct Video {
    pub(in crate::hls) format: Format,
    pub(in crate::hls) sets: Sets,
    pub(in crate::hls) times: DecodeTimes,
    pub(in crate::hls) depth: u32,
    /// Still at the open GOP that the reader began with: pictures that refer to what
    /// came before are left out.
    pub(in crate::hls) opening: bool,
}

/// What the leading track needs: period in thousandths of a unit, units a second.
pub(in crate::hls) struct Lead {
    pub(in crate::hls) video: Option<Video>,
    pub(in crate::hls) track: Track,
    pub(in crate::hls) period: i64,
    pub(super) scale: u32,
}

pub(in crate::hls) fn lead_video(
    format: Format,
    known: &Known,
    units: &[Arc<AccessUnit>],
) -> Result<Option<Lead>, Ended> {
    let frames: Vec<_> = units.iter().filter(|u| u.kind == Kind::Video).collect();
    let Some(first) = frames.first() else { return Ok(None) };
    let sets = nal::depacketise(format, payloads(first)).sets;
    if !sets.complete(format) {
        return Err(unfit("the camera's key frame lacks its parameter sets"));
    }
    let sets = Sets::new(format, &sets);
    let track = Track::Video { format, sets: sets.all().clone() };
    let sps = track.sps().ok_or_else(|| unfit("the camera's SPS cannot be read"))?;
    let mut unwrap = Unwrap::default();
    let pts: Vec<i64> = frames.iter().map(|u| unwrap.push(u.timestamp)).collect();
    let said = known.fps.filter(|f| (0.5..=500.0).contains(f)).map(|f| (f64::from(VIDEO) / f).round() as u32);
    let declared = sps.frame_ticks().or(said);
    // A whole GOP tells the rate, or two seconds of a longer one. Nothing is lost by
    // waiting: without the second key frame no playlist goes out.
    let whole = frames.iter().rposition(|u| u.key).filter(|at| *at > 0);
    let gop = pts.get(..=whole.unwrap_or(pts.len() - 1)).unwrap_or(&pts);
    let mut shown = gop.to_vec();
    shown.sort_unstable();
    let last = shown.last().zip(shown.first()).map_or(0, |(last, first)| last - first);
    let measured = match (known.period, whole) {
        (Some(period), _) => Some(i64::from(period)),
        (None, None) if last < 2 * i64::from(VIDEO) => return Ok(None),
        _ => slope(shown.get(..shown.len().min(MEASURED)).unwrap_or_default()),
    };
    let Some(period) = pace::period(measured, declared, VIDEO) else { return Ok(None) };
    let depth = sps.reorder.unwrap_or_else(|| reorder_depth(&pts));
    let times = decode_times(depth, period);
    let video = Video { format, sets, times, depth, opening: true };
    Ok(Some(Lead { video: Some(video), track, period, scale: VIDEO }))
}

pub(in crate::hls) fn decode_times(depth: u32, period: i64) -> DecodeTimes {
    DecodeTimes::new(depth, u32::try_from(period / 1_000).unwrap_or(1))
}

pub(super) fn lead_opus(channels: u8, units: &[Arc<AccessUnit>]) -> Option<Lead> {
    let first = units.iter().find(|u| u.kind == Kind::Audio)?;
    let samples = payloads(first).next().and_then(opus::samples)?;
    Some(Lead { video: None, track: Track::Opus { channels }, period: i64::from(samples) * 1_000, scale: OPUS })
}

pub(super) fn lead_aac(config: &[u8]) -> Result<Lead, Ended> {
    let aac = AudioSpecificConfig::parse(config).ok_or_else(|| unfit("its AAC lacks its configuration"))?;
    let track = Track::Aac { config: config.into() };
    Ok(Lead { video: None, track, period: i64::from(aac.frame) * 1_000, scale: aac.sample_rate })
}
