use super::*;
use crate::media::codec::{Codec, Track};
use crate::webrtc::negotiate::negotiate;
use crate::webrtc::offer::{self, Direction, SectionKind, fixtures::*};
use proptest::prelude::*;

const OURS: &str = "AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA";
const CANDIDATE: &str = "1 1 udp 2130706431 127.0.0.1 30000 typ host";

fn transport() -> Transport {
    Transport {
        ice_ufrag: "ours".into(),
        ice_pwd: "ourpasswordourpassword".into(),
        fingerprint_sha256: OURS.into(),
        candidates: vec![CANDIDATE.into(), "2 1 udp 1 192.0.2.9 30000 typ host".into()],
        end_of_candidates: true,
    }
}

fn tracks() -> Vec<Track> {
    [Codec::H264 { profile_level_id: [0x64, 0, 0x28] }, Codec::Opus { channels: 2 }]
        .map(|codec| Track { codec, width: None, height: None, fps: None })
        .to_vec()
}

fn streams() -> [StreamIds; 2] {
    [StreamIds { ssrc: 1111, rtx_ssrc: Some(2222) }, StreamIds { ssrc: 3333, rtx_ssrc: Some(4444) }]
}

fn answer_to(text: &str) -> String {
    let offer = offer::parse(text).unwrap();
    let plan = negotiate(&offer, &tracks()).unwrap();
    write(&offer, &plan, &transport(), &streams(), u64::MAX, "cn")
}

/// The `m=` sections of an SDP, each with its attributes.
fn split(sdp: &str) -> Vec<String> {
    sdp.split("m=").skip(1).map(|s| format!("m={s}")).collect()
}

/// The whole answer for Chromium: a change here is a change for every browser.
#[test]
fn the_answer_for_chromium() {
    let expected = "v=0
o=- 9223372036854775807 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic:WMS camgate
a=ice-options:trickle
m=video 9 UDP/TLS/RTP/SAVPF 41 42
c=IN IP4 0.0.0.0
a=candidate:1 1 udp 2130706431 127.0.0.1 30000 typ host
a=candidate:2 1 udp 1 192.0.2.9 30000 typ host
a=end-of-candidates
a=ice-ufrag:ours
a=ice-pwd:ourpasswordourpassword
a=fingerprint:sha-256 OURS
a=setup:passive
a=mid:0
a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=sendonly
a=rtcp-mux
a=rtcp-mux-only
a=rtcp-rsize
a=rtpmap:41 H264/90000
a=fmtp:41 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=f40028
a=rtcp-fb:41 ccm fir
a=rtcp-fb:41 nack
a=rtcp-fb:41 nack pli
a=rtcp-fb:41 goog-remb
a=rtpmap:42 rtx/90000
a=fmtp:42 apt=41
a=msid:camgate video
a=ssrc-group:FID 1111 2222
a=ssrc:1111 cname:cn
a=ssrc:1111 msid:camgate video
a=ssrc:2222 cname:cn
a=ssrc:2222 msid:camgate video
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:ours
a=ice-pwd:ourpasswordourpassword
a=fingerprint:sha-256 OURS
a=setup:passive
a=mid:1
a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=rtcp-mux
a=rtcp-mux-only
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1
a=msid:camgate audio
a=ssrc:3333 cname:cn
a=ssrc:3333 msid:camgate audio
";
    assert_eq!(answer_to(captured("chromium-whep")), expected.replace("OURS", OURS).replace('\n', "\r\n"));
}

/// Rows 4, 5, 7 and 8 for every captured viewer.
#[test]
fn rows_4_5_7_8_hold_for_every_viewer() {
    for (name, text) in WHEP {
        let answer = answer_to(text);
        let sections = split(&answer);
        let first = sections.iter().position(|s| !s.contains(" 0 ")).unwrap();
        for (i, section) in sections.iter().enumerate() {
            let accepted = section.contains("a=rtpmap");
            assert_eq!(section.contains(CANDIDATE), i == first, "{name}");
            for attribute in [
                "a=sendonly\r\n",
                "a=rtcp-mux\r\n",
                "a=rtcp-mux-only\r\n",
                "a=msid:camgate ",
                "a=setup:passive\r\n",
                "a=ice-pwd:",
            ] {
                assert_eq!(section.contains(attribute), accepted, "{name} {attribute}");
            }
        }
        let parsed = offer::parse(&answer).unwrap_or_else(|e| panic!("{name}: {e}\n{answer}"));
        let sent: Vec<_> =
            parsed.sections.iter().filter(|s| s.direction == Direction::SendOnly).map(|s| s.mid.clone()).collect();
        assert_eq!(parsed.bundle, sent, "{name}");
        assert_eq!(parsed.trickle, *name != "mediamtx-whep-source");
    }
}

#[test]
fn rejected_sections_have_port_0_and_stay_out_of_the_bundle() {
    let answer = answer_to(captured("mediamtx-reader-js"));
    assert!(answer.contains("a=group:BUNDLE 0 1\r\n"));
    assert!(answer.ends_with(
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=inactive\r\n"
    ));
    // The first section is rejected: the candidates move to the second one.
    let offer = offer::parse(captured("whip-whep-client")).unwrap();
    let plan = negotiate(&offer, &tracks()[..1]).unwrap();
    let answer = write(&offer, &plan, &transport(), &streams(), 1, "cn");
    assert!(answer.contains("a=group:BUNDLE 1\r\n"));
    let sections = split(&answer);
    assert!(sections[0].starts_with("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\n") && !sections[0].contains(CANDIDATE));
    assert!(sections[0].contains("a=rtpmap:111 opus/48000/2\r\n"), "str0m refuses a format without rtpmap");
    assert!(sections[1].contains(CANDIDATE) && sections[1].contains("a=ssrc:1111 "));
}

#[test]
fn gstreamer_gets_port_9_for_its_bundle_only_section() {
    let answer = answer_to(captured("gstreamer-whepsrc"));
    assert!(
        answer.contains("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\n") && answer.contains("m=video 9 UDP/TLS/RTP/SAVPF 103\r\n")
    );
    assert!(answer.contains("a=rtpmap:96 OPUS/48000\r\n") && !answer.contains("a=fmtp:103"));
    assert!(!answer.contains("FID") && !answer.contains("2222"), "RTX was not offered");
}

#[test]
fn the_dtls_role_is_what_the_client_leaves_us() {
    let base = captured("chromium-whep");
    for (offered, answered, engine) in
        [("actpass", "passive", "active"), ("active", "passive", "active"), ("passive", "active", "passive")]
    {
        let text = base.replace("a=setup:actpass", &format!("a=setup:{offered}"));
        assert!(answer_to(&text).contains(&format!("a=setup:{answered}\r\n")));
        let offer = offer::parse(&text).unwrap();
        let plan = negotiate(&offer, &tracks()).unwrap();
        assert!(engine_offer(&offer, &plan).contains(&format!("a=setup:{engine}\r\n")));
    }
}

#[test]
fn a_client_without_bundle_and_mid_gets_neither() {
    let text = video(&[(96, "H264/90000", "packetization-mode=1")]).replace("a=mid:0\r\n", "");
    let answer = answer_to(&text);
    for absent in ["BUNDLE", "a=mid", "rtcp-mux-only", "rtcp-rsize", "ice-options", "extmap", "rtcp-fb"] {
        assert!(!answer.contains(absent), "{absent}\n{answer}");
    }
    assert!(answer.contains("a=rtcp-mux\r\n") && answer.contains(CANDIDATE));
}

#[test]
fn a_bundle_that_another_section_tags_has_the_candidates_there_too() {
    let answer = answer_to(&captured("chromium-whep").replace("BUNDLE 0 1", "BUNDLE 1 0"));
    assert!(answer.contains("a=group:BUNDLE 1 0\r\n"));
    assert_eq!(answer.matches(CANDIDATE).count(), 2);
}

#[test]
fn missing_streams_and_pending_candidates_leave_valid_answers() {
    let offer = offer::parse(captured("chromium-whep")).unwrap();
    let plan = negotiate(&offer, &tracks()).unwrap();
    let none = Transport { candidates: vec![], end_of_candidates: false, ..transport() };
    let answer = write(&offer, &plan, &none, &[StreamIds { ssrc: 5, rtx_ssrc: None }], 1, "cn");
    assert!(!answer.contains("end-of-candidates") && !answer.contains("a=candidate") && !answer.contains("FID"));
    assert!(answer.contains("a=ssrc:5 cname:cn") && offer::parse(&answer).is_ok());
    assert!(!format!("{none:?}").contains("ourpassword"));
}

#[test]
fn the_engine_sees_only_what_was_chosen() {
    let offer = offer::parse(captured("mediamtx-reader-js")).unwrap();
    let plan = negotiate(&offer, &tracks()).unwrap();
    let expected = "v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0 1
m=video 9 UDP/TLS/RTP/SAVPF 41 42
c=IN IP4 0.0.0.0
a=ice-ufrag:sXlP
a=ice-pwd:jwRtH3HxWrlIUgLs3OW7U9HY
a=fingerprint:sha-256 FD:7D:4D:8A:27:71:94:7B:B9:FA:9C:16:46:47:4E:3D:F0:F6:88:6C:AC:FD:85:60:2E:94:B3:9C:7D:9D:24:E2
a=setup:active
a=mid:0
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:41 H264/90000
a=fmtp:41 packetization-mode=1
a=rtcp-fb:41 ccm fir
a=rtcp-fb:41 nack
a=rtcp-fb:41 nack pli
a=rtpmap:42 RTX/90000
a=fmtp:42 apt=41
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:sXlP
a=ice-pwd:jwRtH3HxWrlIUgLs3OW7U9HY
a=fingerprint:sha-256 FD:7D:4D:8A:27:71:94:7B:B9:FA:9C:16:46:47:4E:3D:F0:F6:88:6C:AC:FD:85:60:2E:94:B3:9C:7D:9D:24:E2
a=setup:active
a=mid:1
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 OPUS/48000/2
";
    let expected = expected.replace("RTX/", "rtx/").replace('\n', "\r\n");
    assert_eq!(engine_offer(&offer, &plan), expected);
}

#[test]
fn the_engine_gets_usable_candidates_once() {
    let engine = |text: &str, tracks: &[Track]| {
        let offer = offer::parse(text).unwrap();
        let plan = negotiate(&offer, tracks).unwrap();
        let again = offer::parse(&engine_offer(&offer, &plan)).unwrap();
        again.sections.iter().map(|s| s.candidates.iter().map(|c| c.port).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(engine(captured("chromium-whep"), &tracks()), [vec![55343, 36041], vec![]]);
    let mdns = captured("chromium-whep").replace("192.0.2.2 55343 typ", "1f2e-3d.local 55343 typ");
    assert_eq!(engine(&mdns, &tracks()), [vec![36041], vec![]]);
    // The audio section with the candidates is rejected; they serve the bundle.
    assert_eq!(engine(captured("gstreamer-whepsrc"), &tracks()[..1]), [vec![58569, 53532, 38438]]);
    // The second section's own candidates, not those of the rejected first one.
    assert_eq!(engine(captured("chromium-whep"), &tracks()[1..]), [vec![42991, 34940]]);
}

proptest! {
    #[test]
    fn what_is_written_parses_again(text in mutated(), tracks in crate::webrtc::negotiate::tests::tracks()) {
        let Ok(offer) = offer::parse(&text) else { return Ok(()) };
        let Ok(plan) = negotiate(&offer, &tracks) else { return Ok(()) };
        for sdp in [engine_offer(&offer, &plan), write(&offer, &plan, &transport(), &streams(), 7, "cn")] {
            prop_assert!(sdp.ends_with("\r\n") && sdp.matches('\n').count() == sdp.matches("\r\n").count());
            if let Err(e) = offer::parse(&sdp) {
                return Err(TestCaseError::fail(format!("{e}\n{sdp}")));
            }
        }
        let answer = offer::parse(&write(&offer, &plan, &transport(), &streams(), 7, "cn")).unwrap();
        prop_assert_eq!(answer.sections.len(), offer.sections.len());
        for (i, (a, o)) in answer.sections.iter().zip(&offer.sections).enumerate() {
            prop_assert_eq!((&a.media, &a.protocol, a.kind), (&o.media, &o.protocol, o.kind));
            prop_assert_eq!(a.enabled(), plan.sends().any(|(index, _)| index == i));
        }
        let engine = offer::parse(&engine_offer(&offer, &plan)).unwrap();
        prop_assert_eq!(engine.sections.len(), plan.sends().count());
        prop_assert!(engine.sections.iter().all(|s| s.codecs.len() == 1 && s.kind != SectionKind::Other && s.candidates.iter().all(|c| c.usable())));
        // The engine's offer negotiates to the same payload types.
        if let Ok(again) = negotiate(&engine, &tracks) {
            prop_assert!(again.sends().zip(plan.sends()).all(|((_, a), (_, b))| a.pt == b.pt));
        }
    }
}
