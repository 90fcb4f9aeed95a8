//! How well an offered codec fits a track, and what the answer says about it.

use super::super::offer::OfferedCodec;
use crate::media::codec::Codec;

/// A codec that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fit {
    /// 0 for the same profile; the smaller the better.
    pub distance: u32,
    /// The client did not promise to decode what we send.
    pub loose: bool,
    /// The format parameters for the answer.
    pub fmtp: String,
}

/// How well `offered` fits, or `None` where it is another codec, or a form of
/// it that we cannot send.
pub(super) fn fit(ours: &Codec, offered: &OfferedCodec) -> Option<Fit> {
    let same = offered.name.eq_ignore_ascii_case(ours.encoding_name()) && offered.clock_rate == ours.clock_rate();
    if !same {
        return None;
    }
    match ours {
        Codec::H264 { profile_level_id } => h264(*profile_level_id, offered),
        Codec::H265 { profile_id, tier_flag, level_id } => h265(*profile_id, *tier_flag, *level_id, offered),
        Codec::Opus { channels } => opus(*channels, offered),
        // Stereo G.711 (PCMU/8000/2) is another stream than ours.
        Codec::Pcmu | Codec::Pcma => {
            (offered.channels == 1).then(|| Fit { distance: 0, loose: false, fmtp: String::new() })
        }
        // No client takes it: it is in no RTP here, and not offered.
        Codec::Aac { .. } | Codec::Other { .. } => None,
    }
}

/// H.264 profiles by what a decoder of them can decode: each decodes those
/// before it. Full Baseline is no subset of Main on paper (FMO, ASO), but no
/// camera and no browser makes use of the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    ConstrainedHigh,
    High,
    High10,
    High422,
    High444,
}

impl Profile {
    /// From profile_idc and the constraint flags (RFC 6184 §8.1, table 5).
    pub(super) fn of(idc: u8, iop: u8) -> Option<Profile> {
        Some(match idc {
            0x42 if iop & 0x40 != 0 => Profile::ConstrainedBaseline,
            0x42 => Profile::Baseline,
            0x4d if iop & 0x80 != 0 => Profile::ConstrainedBaseline,
            0x4d => Profile::Main,
            0x58 if iop & 0xc0 == 0xc0 => Profile::ConstrainedBaseline,
            0x58 => Profile::Baseline,
            0x64 if iop & 0x0c == 0x0c => Profile::ConstrainedHigh,
            0x64 => Profile::High,
            0x6e => Profile::High10,
            0x7a => Profile::High422,
            0xf4 | 0x2c => Profile::High444,
            _ => return None,
        })
    }

    /// High without B-frames in slices and interlacing is what cameras send as
    /// High; Constrained Baseline is what they send as Baseline.
    fn sibling(self, other: Profile) -> bool {
        use Profile::{Baseline, ConstrainedBaseline, ConstrainedHigh, High};
        matches!(
            (self, other),
            (ConstrainedHigh, High)
                | (High, ConstrainedHigh)
                | (Baseline, ConstrainedBaseline)
                | (ConstrainedBaseline, Baseline)
        )
    }
}

/// Distances: 0 the same, 1 a sibling, from 10 a superset, 50 unknown, from 100
/// a subset; and 1000 more where the packetization mode is not stated.
fn h264(ours: [u8; 3], offered: &OfferedCodec) -> Option<Fit> {
    // Our packets are STAP-A and FU-A, which are mode 1. Where the mode is not
    // stated it is 0 on paper (RFC 6184 §8.1), but GStreamer states none and
    // takes both. Who says 0 gets no mode 1.
    let stated = match offered.param("packetization-mode") {
        Some("1") => true,
        None => false,
        Some(_) => return None,
    };
    let plid = offered.param("profile-level-id").map(profile_level_id);
    let (mut distance, loose) = match plid {
        // 42 00 10 on paper; in truth a client that takes whatever comes.
        None => (50, Profile::of(ours[0], ours[1]).is_none_or(|p| p > Profile::Baseline)),
        Some(None) => return None,
        Some(Some(theirs)) => match (Profile::of(ours[0], ours[1]), Profile::of(theirs[0], theirs[1])) {
            (Some(a), Some(b)) if a == b => (0, false),
            (Some(a), Some(b)) if a.sibling(b) => (1, b < a),
            (Some(a), Some(b)) if b > a => (10 + (b as u32 - a as u32), false),
            (Some(a), Some(b)) => (100 + (a as u32 - b as u32), true),
            _ if ours[..2] == theirs[..2] => (0, false),
            _ => (200, true),
        },
    };
    if !stated {
        distance += 1000;
    }
    Some(Fit { distance, loose, fmtp: h264_answer(ours, plid.flatten(), offered) })
}

/// The three parameters that an answer shares with its offer, in the order that
/// libwebrtc writes them. Others tell what the client can receive and are its
/// own (RFC 6184 §8.2.2).
///
/// Profile and constraint flags stay as offered: Chromium, Firefox and Safari
/// compare them, and GStreamer intersects them. The level is ours where the
/// offer allows each side its own, and as offered elsewhere.
fn h264_answer(ours: [u8; 3], theirs: Option<[u8; 3]>, offered: &OfferedCodec) -> String {
    let mut params = Vec::new();
    let asymmetry = offered.param("level-asymmetry-allowed") == Some("1");
    if asymmetry {
        params.push("level-asymmetry-allowed=1".to_owned());
    }
    if offered.param("packetization-mode").is_some() {
        params.push("packetization-mode=1".to_owned());
    }
    if let Some([idc, iop, level]) = theirs {
        // Level 11 together with the constraint flags may mean 1b: not touched.
        let level = if asymmetry && ours[2] > 11 { ours[2] } else { level };
        params.push(format!("profile-level-id={idc:02x}{iop:02x}{level:02x}"));
    }
    params.join(";")
}

fn profile_level_id(text: &str) -> Option<[u8; 3]> {
    let hex = text.len() == 6 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let [_, a, b, c] = hex.then(|| u32::from_str_radix(text, 16).ok()).flatten()?.to_be_bytes();
    Some([a, b, c])
}

/// RFC 7798 §7.1. The tier and the level never exclude: clients offer fixed
/// ones (93) and decode more. The profile does: a Main decoder shows nothing of
/// a 10-bit picture.
fn h265(profile: u8, tier: u8, level: u8, offered: &OfferedCodec) -> Option<Fit> {
    // Several RTP streams for one picture (MRST, MRMT) are not what we send.
    if offered.param("tx-mode").is_some_and(|m| !m.eq_ignore_ascii_case("SRST")) {
        return None;
    }
    if number(offered, "profile-space")?.unwrap_or(0) != 0 {
        return None;
    }
    let (mut distance, mut loose) = match number(offered, "profile-id")? {
        Some(theirs) if theirs == profile => (0, false),
        // A Main 10 decoder decodes Main (H.265 A.3.3).
        Some(2) if profile == 1 => (10, false),
        Some(_) => return None,
        None => (50, profile != 1),
    };
    if number(offered, "tier-flag")?.unwrap_or(0) < tier {
        distance += 2;
        loose = true;
    }
    if number(offered, "level-id")?.unwrap_or(93) < level {
        distance += 1;
        loose = true;
    }
    // Symmetric parameters, and a level that must not exceed the offered one
    // (RFC 7798 §7.2.2): all as offered.
    Some(Fit { distance, loose, fmtp: echo(offered, &["level-id", "profile-id", "tier-flag", "tx-mode"]) })
}

/// A small number among the parameters; the outer `None` for one that is none.
fn number(offered: &OfferedCodec, name: &str) -> Option<Option<u8>> {
    offered.param(name).map(|v| v.parse::<u8>()).transpose().ok()
}

/// RFC 7587. In RTP it is always 48000/2; GStreamer leaves the 2 out.
fn opus(channels: u8, offered: &OfferedCodec) -> Option<Fit> {
    if offered.channels > 2 {
        return None;
    }
    let stereo = offered.param("stereo") == Some("1");
    let mut fmtp = echo(offered, &["minptime", "useinbandfec"]);
    if channels == 2 {
        // `sprop-stereo` is the one that tells about a sender (RFC 7587 §7.1);
        // with `stereo` it makes what Chromium, Pion and others look for.
        fmtp.push_str(if fmtp.is_empty() { "" } else { ";" });
        fmtp.push_str("stereo=1;sprop-stereo=1");
    }
    Some(Fit { distance: u32::from(stereo != (channels == 2)), loose: false, fmtp })
}

/// Those of the offered parameters, if their values are plain, in the offer's order.
fn echo(offered: &OfferedCodec, names: &[&str]) -> String {
    let plain = |v: &str| !v.is_empty() && v.len() <= 16 && v.bytes().all(|b| b.is_ascii_alphanumeric());
    offered
        .fmtp
        .iter()
        .filter(|(n, v)| plain(v) && names.iter().any(|name| n.eq_ignore_ascii_case(name)))
        .map(|(n, v)| format!("{n}={v}"))
        .collect::<Vec<_>>()
        .join(";")
}
