//! The codecs of a section: what its attributes say about payload types.

use std::collections::BTreeMap;

use super::super::sdp::{self, OfferError};
use super::OfferedCodec;

/// The most feedback kinds and format parameters of one codec, so that
/// `rtcp-fb:*` cannot blow a small offer up.
const MAX_PER_CODEC: usize = 32;

/// What the attributes say about payload types, in whatever order they come.
#[derive(Default)]
pub(super) struct Codecs {
    rtpmap: BTreeMap<u8, (String, u32, u8)>,
    fmtp: BTreeMap<u8, Vec<(String, String)>>,
    feedback: BTreeMap<u8, Vec<String>>,
    feedback_all: Vec<String>,
}

fn payload_type(line: usize, text: &str) -> Result<u8, OfferError> {
    Some(text)
        .filter(|t| (1..=3).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|t| t.parse().ok())
        .filter(|pt| *pt <= 127)
        .ok_or_else(|| OfferError::at(line, "a payload type is a number from 0 to 127."))
}

/// The payload types of an `m=` line, without repetitions.
pub(super) fn payload_types(line: usize, formats: &[String]) -> Result<Vec<u8>, OfferError> {
    let mut pts = Vec::with_capacity(formats.len().min(128));
    for format in formats {
        let pt = payload_type(line, format)?;
        if !pts.contains(&pt) {
            pts.push(pt);
        }
    }
    Ok(pts)
}

impl Codecs {
    /// `<pt> <name>/<clock>[/<channels>]`; the first one of a payload type counts.
    pub(super) fn rtpmap(&mut self, line: usize, value: &str) -> Result<(), OfferError> {
        let bad = || {
            OfferError::at(
                line,
                "an rtpmap is a payload type, and a name, a clock rate and perhaps channels with slashes between.",
            )
        };
        let (pt, coding) = value.split_once(' ').ok_or_else(bad)?;
        let pt = payload_type(line, pt)?;
        let mut parts = coding.trim().split('/');
        let name = parts.next().filter(|n| n.len() <= 64 && sdp::is_token(n)).ok_or_else(bad)?;
        let clock = parts
            .next()
            .and_then(|c| c.parse::<u32>().ok())
            .filter(|c| (1..=10_000_000).contains(c))
            .ok_or_else(bad)?;
        let channels = parts.next().map_or(Ok(1), |c| c.parse::<u8>().map_err(|_| bad()))?.max(1);
        self.rtpmap.entry(pt).or_insert_with(|| (name.into(), clock, channels));
        Ok(())
    }

    /// `<pt> a=1;b=2`; of a parameter that comes twice the first counts.
    pub(super) fn fmtp(&mut self, line: usize, value: &str) -> Result<(), OfferError> {
        let (pt, params) = value.split_once(' ').unwrap_or((value, ""));
        let known = self.fmtp.entry(payload_type(line, pt)?).or_default();
        for param in params.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            let (name, value) = param.split_once('=').unwrap_or((param, ""));
            let (name, value) = (name.trim(), value.trim());
            if known.len() == MAX_PER_CODEC {
                return Err(OfferError::at(line, format!("more than {MAX_PER_CODEC} format parameters.")));
            }
            if !known.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
                known.push((name.into(), value.into()));
            }
        }
        Ok(())
    }

    /// `<pt or *> nack pli`.
    pub(super) fn feedback(&mut self, line: usize, value: &str) -> Result<(), OfferError> {
        let (pt, kind) = value
            .split_once(' ')
            .ok_or_else(|| OfferError::at(line, "an rtcp-fb has a payload type and a kind of feedback."))?;
        let kind = kind.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
        let list = match pt {
            "*" => &mut self.feedback_all,
            pt => self.feedback.entry(payload_type(line, pt)?).or_default(),
        };
        if list.len() == MAX_PER_CODEC || kind.len() > 128 {
            return Err(OfferError::at(
                line,
                format!("more than {MAX_PER_CODEC} kinds of feedback, or an overlong one."),
            ));
        }
        if !list.contains(&kind) {
            list.push(kind);
        }
        Ok(())
    }

    /// The codecs of the payload types in the `m=` line, in its order. Those
    /// without an rtpmap are dropped, but for the static ones of RFC 3551.
    pub(super) fn assemble(mut self, pts: &[u8]) -> Vec<OfferedCodec> {
        let mut codecs = Vec::new();
        let mut repairs = Vec::new();
        for &pt in pts {
            let (name, clock_rate, channels) = match (self.rtpmap.remove(&pt), pt) {
                (Some(map), _) => map,
                (None, 0) => ("PCMU".into(), 8_000, 1),
                (None, 8) => ("PCMA".into(), 8_000, 1),
                (None, 9) => ("G722".into(), 8_000, 1),
                (None, _) => continue,
            };
            let mut feedback = self.feedback.remove(&pt).unwrap_or_default();
            for kind in &self.feedback_all {
                if !feedback.contains(kind) {
                    feedback.push(kind.clone());
                }
            }
            let codec = OfferedCodec {
                pt,
                name,
                clock_rate,
                channels,
                fmtp: self.fmtp.remove(&pt).unwrap_or_default(),
                feedback,
                rtx: None,
            };
            if codec.name.eq_ignore_ascii_case("rtx") {
                repairs.push(codec);
            } else {
                codecs.push(codec);
            }
        }
        // An RTX whose apt is missing or names no codec repairs nothing.
        for rtx in repairs {
            let apt = rtx.param("apt").and_then(|apt| apt.parse::<u8>().ok());
            if let Some(codec) = codecs.iter_mut().find(|c| Some(c.pt) == apt && c.clock_rate == rtx.clock_rate) {
                codec.rtx.get_or_insert(rtx.pt);
            }
        }
        codecs
    }
}
