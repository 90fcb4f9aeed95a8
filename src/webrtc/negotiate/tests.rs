use super::*;
use crate::webrtc::offer::fixtures::*;
use crate::webrtc::offer::{self, Offer};
use proptest::prelude::*;

fn track(codec: Codec) -> Track {
    Track { codec, width: None, height: None, fps: None }
}
fn h264(plid: u32) -> Track {
    let [_, a, b, c] = plid.to_be_bytes();
    track(Codec::H264 { profile_level_id: [a, b, c] })
}
fn h265(profile_id: u8, tier_flag: u8, level_id: u8) -> Track {
    track(Codec::H265 { profile_id, tier_flag, level_id })
}
fn opus(channels: u8) -> Track {
    track(Codec::Opus { channels })
}
fn aac() -> Track {
    track(Codec::Aac { format: "MPEG4-GENERIC", config: vec![0x11, 0x90] })
}
fn parse(text: &str) -> Offer {
    offer::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}
fn plan(text: &str, tracks: &[Track]) -> Plan {
    negotiate(&parse(text), tracks).unwrap_or_else(|e| panic!("{e}"))
}
fn refused(text: &str, tracks: &[Track]) -> Error {
    negotiate(&parse(text), tracks).expect_err(text)
}
/// The section of a kind in a plan.
fn sent(plan: &Plan, kind: Kind) -> Option<&SendSection> {
    plan.sends().map(|(_, s)| s).find(|s| s.kind == kind)
}
fn why(plan: &Plan, index: usize) -> &str {
    match &plan.sections[index] {
        PlanSection::Rejected { why } => why,
        PlanSection::Send(s) => panic!("{s:?}"),
    }
}

/// Every captured viewer against every track: payload type of the video (or
/// none), whether it is loose, and the answer's format parameters.
#[test]
fn captured_viewers_and_h264() {
    let chromium = [
        (0x42c01f, 108, false, "42e01f"),
        (0x42e029, 108, false, "42e029"),
        (0x420028, 102, false, "420028"),
        (0x4d0029, 116, false, "4d0029"),
        (0x4d4028, 116, false, "4d0028"),
        (0x640028, 41, false, "f40028"),
        (0x640c33, 41, false, "f40033"),
        (0x6e0028, 41, false, "f40028"),
    ];
    for name in ["chromium-whep", "chromium-whep-trickle", "mediamtx-reader-js", "whip-whep-client"] {
        for (ours, pt, loose, plid) in chromium {
            let plan = plan(captured(name), &[h264(ours)]);
            let s = sent(&plan, Kind::Video).unwrap();
            assert_eq!((s.pt, s.loose, s.rtx_pt), (pt, loose, Some(pt + 1)), "{name} {ours:06x}");
            assert_eq!(
                s.fmtp,
                format!(
                    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={}",
                    plid.replace("42e01f", &format!("42e0{:02x}", ours & 0xff))
                ),
                "{name} {ours:06x}"
            );
            assert!(s.nack && s.pli && s.fir && s.mid_ext.is_some());
            assert_eq!(s.rtpmap, "H264/90000");
        }
    }
    for (ours, pt, loose) in
        [(0x42c01f, 106, false), (0x42001f, 105, false), (0x4d0028, 105, true), (0x640028, 105, true)]
    {
        let plan = plan(captured("mediamtx-whep-source"), &[h264(ours)]);
        let s = sent(&plan, Kind::Video).unwrap();
        assert_eq!((s.pt, s.loose, s.rtx_pt, s.fir), (pt, loose, None, false), "{ours:06x}");
    }
    for ours in [0x42c01f, 0x4d0028, 0x640028] {
        let plan = plan(captured("gstreamer-whepsrc"), &[h264(ours)]);
        let s = sent(&plan, Kind::Video).unwrap();
        assert_eq!((s.pt, s.fmtp.as_str(), s.nack, s.pli, s.rtx_pt), (103, "", false, true, None));
        assert_eq!(s.loose, ours != 0x42c01f);
    }
}

#[test]
fn captured_viewers_and_h265() {
    for name in ["chromium-whep", "chromium-whep-trickle", "mediamtx-reader-js", "whip-whep-client"] {
        let e = refused(captured(name), &[h265(1, 0, 120)]);
        assert_eq!(e.kind.status(), 422, "{name}");
        assert!(
            e.message.contains("The path has H.265, and the client offers") && e.message.contains("no H.265"),
            "{e}"
        );
    }
    let source = captured("mediamtx-whep-source");
    let main = plan(source, &[h265(1, 0, 93)]);
    let s = sent(&main, Kind::Video).unwrap();
    assert_eq!((s.pt, s.loose), (104, false));
    assert_eq!(s.fmtp, "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST");
    assert_eq!(sent(&plan(source, &[h265(1, 0, 153)]), Kind::Video).map(|s| (s.pt, s.loose)), Some((104, true)));
    assert_eq!(sent(&plan(source, &[h265(2, 0, 93)]), Kind::Video).map(|s| (s.pt, s.loose)), Some((103, false)));
    assert_eq!(refused(source, &[h265(4, 0, 93)]).kind.status(), 422);
    for profile in [1, 2] {
        let plan = plan(captured("gstreamer-whepsrc"), &[h265(profile, 0, 93)]);
        let s = sent(&plan, Kind::Video).unwrap();
        assert_eq!((s.pt, s.fmtp.as_str(), s.loose), (104, "", profile == 2));
    }
}

#[test]
fn captured_viewers_and_audio() {
    for (name, _) in WHEP {
        let video = h264(0x42c01f);
        let found = |audio: &Track| plan(captured(name), &[video.clone(), audio.clone()]);
        let gst = *name == "gstreamer-whepsrc";
        let with = found(&opus(1));
        let s = sent(&with, Kind::Audio).unwrap();
        assert_eq!((s.pt, s.track), (if gst { 96 } else { 111 }, 1), "{name}");
        assert_eq!(s.fmtp, if gst { "" } else { "minptime=10;useinbandfec=1" }, "{name}");
        let with = found(&opus(2));
        assert!(sent(&with, Kind::Audio).unwrap().fmtp.ends_with("stereo=1;sprop-stereo=1"), "{name}");
        for (codec, pt) in [(Codec::Pcma, 8), (Codec::Pcmu, 0)] {
            let with = found(&track(codec));
            assert_eq!(sent(&with, Kind::Audio).map(|s| s.pt), (!gst).then_some(pt), "{name}");
            assert!(sent(&with, Kind::Video).is_some(), "{name}");
        }
        // An audio track that cannot be played never holds the video back.
        let with = found(&aac());
        assert!(sent(&with, Kind::Audio).is_none() && sent(&with, Kind::Video).is_some(), "{name}");
    }
}

#[test]
fn sound_alone_is_enough() {
    let plan = plan(captured("chromium-whep"), &[h265(1, 0, 93), track(Codec::Pcma)]);
    assert!(why(&plan, 0).contains("no codec"));
    assert_eq!(sent(&plan, Kind::Audio).map(|s| (s.pt, s.track)), Some((8, 1)));
    let reader = super::tests::plan(captured("mediamtx-reader-js"), &[h264(0x42e01f), opus(2)]);
    assert_eq!(reader.sends().count(), 2);
    assert!(why(&reader, 2).contains("data channels"));
}

/// Row 6.
#[test]
fn directions_that_can_never_work_are_a_400() {
    for (name, text) in WHIP.iter().filter(|(n, _)| *n != "mediamtx-whip-forward") {
        let e = refused(text, &[h264(0x42e01f), opus(2)]);
        assert_eq!(e.kind.status(), 400, "{name}: {e}");
        assert!(e.message.contains("recvonly"), "{e}");
    }
    let inactive = captured("chromium-whep").replace("a=recvonly", "a=inactive");
    assert_eq!(refused(&inactive, &[h264(0x42e01f)]).kind.status(), 400);
    // sendrecv is fine (row 5), also where it is not said.
    for direction in ["a=sendrecv\r\n", ""] {
        let both = captured("chromium-whep").replace("a=recvonly\r\n", direction);
        assert_eq!(plan(&both, &[h264(0x42e01f), opus(2)]).sends().count(), 2);
    }
    assert_eq!(plan(captured("mediamtx-whip-forward"), &[h264(0x42e01f), track(Codec::Pcmu)]).sends().count(), 2);
    // One of two: the other is merely rejected.
    let half = captured("chromium-whep").replacen("a=recvonly", "a=sendonly", 1);
    let plan = plan(&half, &[h264(0x42e01f), opus(2)]);
    assert!(why(&plan, 0).contains("does not receive") && sent(&plan, Kind::Audio).is_some());
}

#[test]
fn rtx_needs_nack_and_the_mid_extension_a_small_id() {
    let text = captured("chromium-whep").replace("a=rtcp-fb:108 nack\r\n", "").replace("extmap:9 ", "extmap:15 ");
    let plan = plan(&text, &[h264(0x42e01f)]);
    let s = sent(&plan, Kind::Video).unwrap();
    assert_eq!((s.nack, s.pli, s.rtx_pt, s.mid_ext), (false, true, None, None));
}

#[test]
fn sections_are_rejected_one_by_one() {
    let tracks = [h264(0x42e01f), opus(1)];
    let base = captured("chromium-whep");
    // The audio section, second in this offer, in its many unusable forms.
    let (video, audio) = base.split_at(base.find("m=audio").unwrap());
    for (from, to, says) in [
        ("m=audio 42991", "m=audio 0", "port 0"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP", "not DTLS-SRTP"),
        ("a=rtcp-mux\r\n", "", "rtcp-mux"),
        ("a=recvonly", "a=inactive", "does not receive"),
        ("m=audio 42991 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126", "m=text 9 RTP/AVP 98", "\"text\""),
    ] {
        let plan = plan(&format!("{video}{}", audio.replacen(from, to, 1)), &tracks);
        assert!(why(&plan, 1).contains(says), "{}", why(&plan, 1));
        assert!(sent(&plan, Kind::Video).is_some());
    }
    for group in ["a=group:BUNDLE 0", "a=group:BUNDLE 0\r\na=group:BUNDLE 1", "a=group:LS 0 1"] {
        let plan = plan(&base.replace("a=group:BUNDLE 0 1", group), &tracks);
        assert!(why(&plan, 1).contains("BUNDLE"), "{group}");
    }
    let twice = base.replace("BUNDLE 0 1", "BUNDLE 0 1 2")
        + &video[video.find("m=video").unwrap()..].replace("a=mid:0", "a=mid:2");
    let plan = plan(&twice, &[h264(0x42e01f), opus(1), h264(0x640028)]);
    assert!(why(&plan, 2).contains("earlier section"));
    assert_eq!(plan.sends().count(), 2);
}

#[test]
fn a_path_with_two_renditions_gives_the_one_that_fits() {
    let plan = plan(captured("mediamtx-whep-source"), &[h264(0x640028), h265(1, 0, 93)]);
    assert_eq!(sent(&plan, Kind::Video).map(|s| (s.track, s.loose)), Some((1, false)));
    let plan = super::tests::plan(captured("chromium-whep"), &[h265(1, 0, 93), h264(0x640028)]);
    assert_eq!(sent(&plan, Kind::Video).map(|s| s.track), Some(1));
}

#[test]
fn sentences_for_offers_of_which_nothing_can_be_met() {
    let video_only = video(&[(96, "VP8/90000", "")]);
    for (text, tracks, says) in [
        (
            video_only.clone(),
            vec![h264(0x42e01f)],
            "The path has H.264, and the client offers to receive VP8. This viewer has no H.264",
        ),
        (video_only.clone(), vec![], "no track yet"),
        (video_only.clone(), vec![aac()], "The path has AAC, which is not playable over WebRTC yet."),
        (
            video_only.clone(),
            vec![track(Codec::Pcma), aac()],
            "The path has PCMA and AAC, and the client offers to receive VP8. Offer one",
        ),
        (video_only.replace("a=rtcp-mux\r\n", ""), vec![h264(0x42e01f)], "rtcp-mux"),
        (video_only.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), vec![h264(0x42e01f)], "not encrypted"),
        (video_only.replace("m=video 9", "m=video 0"), vec![h264(0x42e01f)], "no video or audio section"),
        (lone("application 9 UDP/DTLS/SCTP webrtc-datachannel", ""), vec![h264(0x42e01f)], "no video or audio section"),
        (
            audio(&[(0, "PCMU/8000", "")]),
            vec![h264(0x42e01f), opus(2)],
            "The path has H.264 and Opus, and the client offers to receive PCMU. Offer to receive video too",
        ),
        (lone("video 9 UDP/TLS/RTP/SAVPF 96", ""), vec![h264(0x42e01f)], "offers to receive nothing."),
    ] {
        let e = refused(&text, &tracks);
        assert_eq!(e.kind.status(), 422, "{e}");
        assert!(e.message.contains(says), "{e}");
    }
}

/// Tracks of all sorts.
pub fn tracks() -> impl Strategy<Value = Vec<Track>> {
    let one = prop_oneof![
        any::<[u8; 3]>().prop_map(|p| track(Codec::H264 { profile_level_id: p })),
        prop::sample::select(vec![0x42c01f_u32, 0x4d0028, 0x640028]).prop_map(h264),
        (0..5u8, 0..2u8, any::<u8>()).prop_map(|(p, t, l)| h265(p, t, l)),
        (1..3u8).prop_map(opus),
        Just(track(Codec::Pcmu)),
        Just(track(Codec::Pcma)),
        Just(aac()),
    ];
    prop::collection::vec(one, 0..4)
}

mod codecs;

proptest! {
    #![proptest_config(crate::fuzz::cases(1_000))]

    #[test]
    fn fuzz_plans_fit_their_offers(text in mutated(), tracks in tracks()) {
        let Ok(offer) = offer::parse(&text) else { return Ok(()) };
        match negotiate(&offer, &tracks) {
            Err(e) => prop_assert!([400, 422].contains(&e.kind.status()) && e.message.is_ascii() && e.message.len() < 1200),
            Ok(plan) => {
                prop_assert_eq!(plan.sections.len(), offer.sections.len());
                prop_assert!((1..=2).contains(&plan.sends().count()));
                for (i, s) in plan.sends() {
                    let section = &offer.sections[i];
                    let codec = section.codec(s.pt).unwrap();
                    prop_assert!(codec.name.eq_ignore_ascii_case(tracks[s.track].codec.encoding_name()));
                    prop_assert!(section.direction.receives() && section.peer.is_some() && section.rtcp_mux);
                    prop_assert!(s.fmtp.bytes().all(|b| b.is_ascii_alphanumeric() || b"=;-".contains(&b)), "{}", s.fmtp);
                }
            }
        }
    }
}
