//! What a viewer is told when nothing of its offer can be met.

use super::super::offer::{Offer, Section, SectionKind};
use crate::error::{Error, Kind as Status};
use crate::media::codec::{Codec, Kind, Track};

/// The most codec names that are listed of an offer.
const MAX_NAMES: usize = 12;

/// The error for an offer of which no section was accepted.
pub(super) fn nothing(offer: &Offer, tracks: &[Track]) -> Error {
    let media: Vec<&Section> = offer
        .sections
        .iter()
        .filter(|s| matches!(s.kind, SectionKind::Video | SectionKind::Audio) && s.enabled())
        .collect();
    if media.is_empty() {
        return unprocessable(
            "The offer has no video or audio section that is switched on; offer at least one with a=recvonly.",
        );
    }
    let receiving: Vec<&Section> = media.iter().copied().filter(|s| s.direction.receives()).collect();
    if receiving.is_empty() {
        return Error::new(
            Status::BadRequest,
            "No section of the offer receives anything: a viewer offers a=recvonly or a=sendrecv. To publish, post to the WHIP address of the path.",
        );
    }
    if let Some(section) = receiving.iter().find(|s| !s.secure_rtp()) {
        return unprocessable(format!(
            "The protocol {} of the offer is not encrypted; offer UDP/TLS/RTP/SAVPF.",
            section.protocol
        ));
    }
    if receiving.iter().all(|s| !s.rtcp_mux) {
        return unprocessable("The offer lacks a=rtcp-mux, and camgate uses one port for RTP and RTCP.");
    }
    if tracks.is_empty() {
        return unprocessable("The path has no track yet.");
    }
    let has = list(tracks.iter().map(|t| label(&t.codec)));
    if tracks.iter().all(|t| !t.codec.playable()) {
        return unprocessable(format!("The path has {has}, which is not playable over WebRTC yet."));
    }
    let offered =
        list(receiving.iter().flat_map(|s| s.codecs.iter().map(|c| &c.name)).filter(|n| !auxiliary(n)).cloned());
    let advice = advice(tracks, &receiving);
    unprocessable(format!("The path has {has}, and the client offers to receive {offered}. {advice}"))
}

fn unprocessable(message: impl Into<String>) -> Error {
    Error::new(Status::Unprocessable, message)
}

/// What to change, for the cases that people meet.
fn advice(tracks: &[Track], receiving: &[&Section]) -> &'static str {
    let offers = |name: &str| receiving.iter().any(|s| s.codecs.iter().any(|c| c.name.eq_ignore_ascii_case(name)));
    let wants = |kind| receiving.iter().any(|s| s.kind == kind);
    let video = tracks.iter().find(|t| t.codec.kind() == Kind::Video && t.codec.playable());
    match video.map(|t| &t.codec) {
        _ if !wants(SectionKind::Video) => "Offer to receive video too, or audio in the codec of the path.",
        Some(Codec::H265 { .. }) if !offers("H265") => {
            "This viewer has no H.265 over WebRTC: use one that has, or set the camera to H.264."
        }
        Some(Codec::H265 { .. }) => {
            "This viewer does not decode this profile of H.265: set the camera to Main (8 bit), or to H.264."
        }
        Some(Codec::H264 { .. }) if offers("H264") => "Offer H264 with packetization-mode=1.",
        Some(Codec::H264 { .. }) => "This viewer has no H.264: use one that has.",
        _ => "Offer one of the codecs of the path.",
    }
}

/// A codec's name as people know it; the two laws of G.711 apart.
fn label(codec: &Codec) -> String {
    match codec {
        Codec::H264 { .. } => "H.264".into(),
        Codec::H265 { profile_id: 2, .. } => "H.265 (Main 10)".into(),
        Codec::H265 { .. } => "H.265".into(),
        Codec::Opus { .. } => "Opus".into(),
        Codec::Aac { .. } => "AAC".into(),
        Codec::Pcmu | Codec::Pcma => codec.encoding_name().into(),
        Codec::Other { name, .. } => name.chars().filter(char::is_ascii_graphic).take(32).collect(),
    }
}

/// Formats that carry no picture and no sound of their own.
fn auxiliary(name: &str) -> bool {
    ["red", "ulpfec", "flexfec-03", "CN", "telephone-event"].iter().any(|a| name.eq_ignore_ascii_case(a))
}

/// `a, b and c`, each once, "nothing" for none.
fn list(names: impl Iterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for name in names.map(|n| n.chars().take(32).collect::<String>()) {
        if seen.len() < MAX_NAMES && !seen.iter().any(|s| s.eq_ignore_ascii_case(&name)) {
            seen.push(name);
        }
    }
    match seen.split_last() {
        None => "nothing".into(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
