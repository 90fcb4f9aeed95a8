//! What a camera's SDP says, as camgate reads it.
//!
//! Only what decides which template, which streams and which tracks: the packets
//! themselves have the last word (a camera's SDP may carry a wrong SPS).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use gstreamer_sdp::{SDPMediaRef, SDPMessageRef};

use crate::media::aac::AudioSpecificConfig;
use crate::media::codec::{Codec, Kind, Track};
use crate::media::nal::MAX_SETS;
use crate::media::rtp;

/// Attributes of one name in a media section that are looked at; each is sought from the beginning.
const ATTRIBUTES: u32 = 64;

/// One stream of a camera, in the order of its SDP.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// `m=video` or `m=audio`; others (ONVIF metadata) are `None`.
    pub kind: Option<Kind>,
    /// The codec; `Codec::Other` when we cannot hand it on.
    pub codec: Codec,
}

/// Reads every media section of the message.
pub fn streams(sdp: &SDPMessageRef) -> Vec<Stream> {
    sdp.medias().map(stream).collect()
}

/// The tracks of the path: the video and the audio that were chosen, and what nobody
/// can take where there is nothing better.
pub fn tracks(streams: &[Stream], chosen: [Option<usize>; 2]) -> Vec<Track> {
    let other = |kind| streams.iter().find(move |s| s.kind == Some(kind)).filter(|s| !s.codec.carried());
    [Kind::Video, Kind::Audio]
        .into_iter()
        .zip(chosen)
        .filter_map(|(kind, chosen)| chosen.and_then(|i| streams.get(i)).or_else(|| other(kind)))
        .map(|s| Track { codec: s.codec.clone(), width: None, height: None, fps: None })
        .collect()
}

/// Which stream of a kind to take, of those that `usable` agrees to: what WebRTC plays
/// before what only HLS carries.
pub fn best(streams: &[Stream], kind: Kind, usable: impl Fn(&Stream) -> bool) -> Option<usize> {
    let find =
        |fit: fn(&Codec) -> bool| streams.iter().position(|s| s.kind == Some(kind) && fit(&s.codec) && usable(s));
    find(Codec::playable).or_else(|| find(Codec::carried))
}

fn stream(media: &SDPMediaRef) -> Stream {
    let kind = match media.media() {
        Some("video") => Some(Kind::Video),
        Some("audio") => Some(Kind::Audio),
        _ => None,
    };
    let format = media.format(0).unwrap_or_default();
    // Asked for by name: an attribute whose name is no UTF-8 must not be looked at, and the library
    // cuts long names in the midst of a character.
    let of_format = |key: &str| {
        (0..ATTRIBUTES).filter_map(|n| media.attribute_val_n(key, n)).find_map(|value| {
            let (pt, rest) = value.trim().split_once(char::is_whitespace)?;
            (pt == format).then(|| rest.trim().to_owned())
        })
    };
    let rtpmap = of_format("rtpmap").unwrap_or_else(|| static_rtpmap(format).to_owned());
    let fmtp = of_format("fmtp").unwrap_or_default();
    Stream { kind, codec: codec(kind.unwrap_or(Kind::Video), &rtpmap, &fmtp) }
}

/// RFC 3551 §6: the payload types that need no rtpmap.
fn static_rtpmap(pt: &str) -> &'static str {
    match pt {
        "0" => "PCMU/8000",
        "8" => "PCMA/8000",
        "14" => "MPA/90000",
        "26" => "JPEG/90000",
        _ => "unknown/90000",
    }
}

fn codec(kind: Kind, rtpmap: &str, fmtp: &str) -> Codec {
    let mut parts = rtpmap.split('/');
    let name = parts.next().unwrap_or_default().trim();
    let rate: u32 = parts.next().and_then(|r| r.trim().parse().ok()).unwrap_or(0);
    let channels: u8 = parts.next().and_then(|c| c.trim().parse().ok()).unwrap_or(1);
    let param = |key: &str| {
        fmtp.split(';').find_map(|p| {
            let (k, v) = p.split_once('=')?;
            k.trim().eq_ignore_ascii_case(key).then(|| v.trim())
        })
    };
    let number = |key: &str, default: u8| param(key).and_then(|v| v.parse().ok()).unwrap_or(default);
    match (kind, name.to_ascii_uppercase().as_str()) {
        (Kind::Video, "H264") => {
            Codec::H264 { profile_level_id: param("profile-level-id").and_then(hex3).unwrap_or([0x42, 0xe0, 0x1f]) }
        }
        (Kind::Video, "H265") => Codec::H265 {
            profile_id: number("profile-id", 1),
            tier_flag: number("tier-flag", 0),
            level_id: number("level-id", 93),
        },
        (Kind::Audio, "OPUS") => {
            Codec::Opus { channels: if param("sprop-stereo") == Some("0") { 1 } else { channels.clamp(1, 2) } }
        }
        // Wideband or stereo G.711 exists; browsers know only 8 kHz mono.
        (Kind::Audio, "PCMU") if rate == 8_000 && channels == 1 => Codec::Pcmu,
        (Kind::Audio, "PCMA") if rate == 8_000 && channels == 1 => Codec::Pcma,
        (Kind::Audio, "MPEG4-GENERIC" | "MP4A-LATM") => {
            aac(name, &param).unwrap_or(Codec::Other { kind, name: "AAC".into() })
        }
        (_, upper) => Codec::Other { kind, name: upper.chars().filter(char::is_ascii_graphic).take(32).collect() },
    }
}

/// AAC as GStreamer's depayloaders take it; None for what they do not.
fn aac<'a>(name: &str, param: &impl Fn(&str) -> Option<&'a str>) -> Option<Codec> {
    let config = param("config").and_then(hex)?;
    if name.eq_ignore_ascii_case("MP4A-LATM") {
        // RFC 6416 §7.3: a StreamMuxConfig, and the packets have none of their own.
        // What is in it the first frame's caps will tell.
        let outside = param("cpresent") != Some("1") && !config.is_empty();
        return outside.then_some(Codec::Aac { format: "MP4A-LATM", config: Vec::new() });
    }
    // RFC 3640 §3.3.5, §3.3.6: how many bits the lengths have.
    let headed = param("sizelength").is_some_and(|n| n.parse::<u8>().is_ok_and(|n| (1..=16).contains(&n)));
    let known = AudioSpecificConfig::parse(&config).is_some();
    (headed && known).then_some(Codec::Aac { format: "MPEG4-GENERIC", config })
}

/// Bytes from hexadecimal digits, 64 at most.
fn hex(text: &str) -> Option<Vec<u8>> {
    if text.len() > 128 || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

/// The parameter sets in a `sprop-…` parameter (RFC 6184 §8.1, RFC 7798 §7.1): Base64, with
/// commas between them. What is none, or too large, is left out.
pub fn parameter_sets(text: &str) -> Vec<Vec<u8>> {
    let decode = |set: &str| STANDARD_NO_PAD.decode(set.trim().trim_end_matches('=')).ok();
    let sets = text.split(',').take(MAX_SETS).filter(|t| t.len() < 8_192).filter_map(decode);
    // Cameras of GW Security leave a start code at the end.
    let sets = sets.filter_map(|set| rtp::units::split(&set).next().map(<[u8]>::to_vec));
    sets.filter(|s| s.len() > 2).collect()
}

/// The three bytes of `profile-level-id`.
pub fn hex3(hex: &str) -> Option<[u8; 3]> {
    if hex.len() != 6 || !hex.is_ascii() {
        return None;
    }
    let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).ok();
    Some([byte(0)?, byte(2)?, byte(4)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use gstreamer_sdp::SDPMessage;
    use proptest::prelude::*;

    fn all(streams: &[Stream]) -> Vec<Track> {
        tracks(streams, [Kind::Video, Kind::Audio].map(|kind| best(streams, kind, |_| true)))
    }

    fn of(sections: &str) -> Vec<Stream> {
        gstreamer::init().unwrap();
        let text = format!("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{}", sections.replace('\n', "\r\n"));
        streams(&SDPMessage::parse_buffer(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_usual_camera() {
        let s = of(
            "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1; profile-level-id=640028; sprop-parameter-sets=Z2QAKA==,aO4=\nm=audio 0 RTP/AVP 8\nm=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\n",
        );
        assert_eq!(s[0].codec, Codec::H264 { profile_level_id: [0x64, 0, 0x28] });
        assert_eq!((s[1].kind, &s[1].codec), (Some(Kind::Audio), &Codec::Pcma));
        assert_eq!(s[2].kind, None);
        assert_eq!(all(&s).len(), 2);
    }

    #[test]
    fn aac_is_recognised_in_both_of_its_formats_and_carried_where_it_can_be_read() {
        for (name, fmtp, carried) in [
            ("mpeg4-generic/16000/1", "mode=AAC-hbr;config=1408;SizeLength=13;IndexLength=3", true),
            ("MPEG4-GENERIC/16000/1", "mode=AAC-hbr;config=1408", false),
            ("mpeg4-generic/16000/1", "mode=AAC-hbr;config=;sizelength=13", false),
            ("mpeg4-generic/16000/1", "mode=AAC-hbr;config=140;sizelength=13", false),
            ("mpeg4-generic/16000/1", "mode=AAC-hbr;config=1é08;sizelength=13", false),
            ("mpeg4-generic/16000/1", "mode=CELP-cbr;sizelength=0;config=440E00", false),
            ("mpeg4-generic/16000/1", "", false),
            ("MP4A-LATM/48000/2", "profile-level-id=1;cpresent=0;config=400023203fc0", true),
            ("MP4A-LATM/48000/2", "cpresent=1;config=400023203fc0", false),
            ("MP4A-LATM/48000/2", "cpresent=0", false),
        ] {
            let s = of(&format!("m=audio 0 RTP/AVP 97\na=rtpmap:97 {name}\na=fmtp:97 {fmtp}\n"));
            let codec = &s[0].codec;
            assert_eq!((codec.label(), codec.playable(), codec.carried()), ("AAC", false, carried), "{name} {fmtp}");
        }
    }

    #[test]
    fn what_webrtc_plays_goes_before_aac() {
        let s = of(
            "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/16000/1\na=fmtp:97 config=1408;sizelength=13\nm=audio 0 RTP/AVP 8\n",
        );
        assert_eq!(all(&s)[0].codec, Codec::Pcma);
        let aac = Codec::Aac { format: "MPEG4-GENERIC", config: vec![0x14, 0x08] };
        assert_eq!(all(&s[..1])[0].codec, aac);
        assert!(tracks(&s, [None, None]).is_empty(), "not taken, not promised");
        assert_eq!(best(&s, Kind::Audio, |s| s.codec != Codec::Pcma), Some(0));
    }

    #[test]
    fn the_first_playable_stream_of_a_kind_wins() {
        let s = of(
            "m=video 0 RTP/AVP 26\nm=video 0 RTP/AVP 97\na=rtpmap:97 h265/90000\nm=audio 0 RTP/AVP 98\na=rtpmap:98 G726-32/8000\nm=audio 0 RTP/AVP 0\n",
        );
        let t = all(&s);
        assert_eq!(t[0].codec, Codec::H265 { profile_id: 1, tier_flag: 0, level_id: 93 });
        assert_eq!(t[1].codec, Codec::Pcmu);
    }

    #[test]
    fn what_no_browser_plays_is_named() {
        let s = of("m=video 0 RTP/AVP 26\nm=audio 0 RTP/AVP 0\na=rtpmap:0 PCMU/16000\n");
        assert_eq!(
            s.iter().map(|s| (s.codec.label(), s.codec.playable())).collect::<Vec<_>>(),
            [("JPEG", false), ("PCMU", false)]
        );
        assert_eq!(all(&s).len(), 2);
    }

    #[test]
    fn parameter_sets_in_base64() {
        assert_eq!(parameter_sets("Z2QAKA==, aO4B"), [vec![0x67, 0x64, 0, 0x28], vec![0x68, 0xee, 1]]);
        assert_eq!(parameter_sets("Z2QAKA"), [[0x67, 0x64, 0, 0x28]]);
        // With a start code behind it.
        assert_eq!(parameter_sets("Z2QAKAAAAAE="), [[0x67, 0x64, 0, 0x28]]);
        for bad in ["", ",", "é", "aO4=", "####", &"A".repeat(9_000)] {
            assert!(parameter_sets(bad).is_empty(), "{bad}");
        }
    }

    #[test]
    fn profile_level_ids() {
        assert_eq!(hex3("42e01f"), Some([0x42, 0xe0, 0x1f]));
        for bad in ["", "42e01", "42e01fa", "zz0011", "42e0é"] {
            assert_eq!(hex3(bad), None);
        }
    }

    /// 8,191 bytes are left of a longer one.
    #[test]
    fn a_name_that_the_library_cuts_in_a_character_is_read_over() {
        for length in 8_188..8_193 {
            let long = "x".repeat(length);
            let s = of(&format!("m=audio 0 RTP/AVP 97\na={long}é:1\na=rtpmap:97 PCMA/8000\n"));
            assert_eq!(s[0].codec, Codec::Pcma, "{length}");
        }
    }

    /// As cameras describe themselves, both codecs and both formats of AAC.
    const CAMERAS: [&str; 2] = [
        "v=0\r\no=- 1109162014219182 1109162014219192 IN IP4 0.0.0.0\r\ns=Media Presentation\r\ne=NONE\r\n\
         c=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\na=range:npt=0-\r\nm=video 0 RTP/AVP 96\r\nb=AS:5050\r\n\
         a=control:trackID=1\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=420029; packetization-mode=1; \
         sprop-parameter-sets=Z2QAKA==,aO4B\r\nm=audio 0 RTP/AVP 104\r\na=control:trackID=2\r\n\
         a=rtpmap:104 mpeg4-generic/16000/1\r\na=fmtp:104 profile-level-id=15; streamtype=5; mode=AAC-hbr; config=1408; \
         SizeLength=13; IndexLength=3; IndexDeltaLength=3; Profile=1;\r\nm=application 0 RTP/AVP 107\r\n\
         a=control:trackID=4\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=Media_header:MEDIAINFO=494D4B48010100;\r\n",
        "v=0\r\no=- 2251938191 2251938191 IN IP4 0.0.0.0\r\ns=RTSP Session/2.0\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         a=control:*\r\na=packetization-supported:DH\r\nm=video 0 RTP/AVP 98\r\na=control:trackID=0\r\n\
         a=framerate:25.000000\r\na=rtpmap:98 H265/90000\r\na=fmtp:98 profile-id=1;sprop-sps=QgEBAWAAAAMA;\
         sprop-pps=RAHA8vA8kA==;sprop-vps=QAEMAf//AWAA\r\na=recvonly\r\nm=audio 0 RTP/AVP 97\r\na=control:trackID=1\r\n\
         a=rtpmap:97 MP4A-LATM/48000/2\r\na=fmtp:97 profile-level-id=1;cpresent=0;config=400023203fc0\r\n\
         m=audio 0 RTP/AVP 8\r\na=control:trackID=2\r\n",
    ];

    proptest! {
        #![proptest_config(crate::fuzz::cases(2_000))]

        /// All that is read of it, by the way that the source has.
        #[test]
        fn fuzz_descriptions(data in crate::fuzz::mutated(CAMERAS.map(|t| t.as_bytes().to_vec()).into())) {
            gstreamer::init().unwrap();
            let text = String::from_utf8_lossy(&data).replace('\0', "");
            if text.is_empty() {
                return Ok(());
            }
            let Ok(sdp) = SDPMessage::parse_buffer(text.as_bytes()) else { return Ok(()) };
            let all = streams(&sdp);
            for kind in [Kind::Video, Kind::Audio] {
                let Some(i) = best(&all, kind, |_| true) else { continue };
                prop_assert!(all[i].kind == Some(kind) && all[i].codec.carried());
                let tracks = tracks(&all, [Some(i), None]);
                prop_assert_eq!(&tracks[0].codec, &all[i].codec);
                if let Codec::Aac { format: "MPEG4-GENERIC", config } = &all[i].codec {
                    prop_assert!(AudioSpecificConfig::parse(config).is_some_and(|c| c.sample_rate > 0));
                }
            }
            for media in sdp.medias() {
                let payload = media.format(0).and_then(|f| f.trim().parse::<u8>().ok()).filter(|p| *p < 128);
                let Some(caps) = payload.and_then(|p| media.caps_from_media(p.into())) else { continue };
                let _ = (media.attribute_val("control"), media.proto());
                for key in ["sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps"] {
                    let told = caps.structure(0).and_then(|s| s.get::<&str>(key).ok());
                    let sets = told.map(parameter_sets).unwrap_or_default();
                    prop_assert!(sets.len() <= MAX_SETS && sets.iter().all(|s| s.len() > 2));
                }
            }
        }
    }
}
