use super::fixtures::*;
use super::*;
use proptest::prelude::*;

fn ok(text: &str) -> Offer {
    parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn fails(text: &str) -> OfferError {
    parse(text).expect_err(text)
}

#[test]
fn every_captured_offer_parses_with_either_line_end() {
    for (name, text) in WHEP.iter().chain(WHIP) {
        let offer = parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(ok(&text.replace("\r\n", "\n")), offer, "{name}");
        assert_eq!(ok(&format!("{text}\r\n\r\n")), offer, "{name}");
        assert!(offer.sections.iter().all(|s| s.peer.is_some()), "{name}");
        assert!(offer.sections.iter().all(|s| offer.bundle.contains(&s.mid)), "{name}");
    }
}

#[test]
fn chromium_in_detail() {
    let offer = ok(captured("chromium-whep"));
    assert_eq!(offer.bundle, ["0", "1"]);
    assert!(offer.trickle);
    let [video, audio] = &offer.sections[..] else { panic!() };
    assert_eq!((video.kind, video.port, video.direction), (SectionKind::Video, 55343, Direction::RecvOnly));
    assert!(video.rtcp_mux && video.rtcp_rsize && !video.end_of_candidates);
    assert_eq!(video.candidates.len(), 4);
    assert_eq!(video.candidates.iter().filter(|c| c.usable()).count(), 2);
    assert_eq!(video.extmaps.len(), 11);
    assert_eq!(video.codecs.len(), 18, "without the RTX");
    let main = video.codec(116).unwrap();
    assert_eq!((main.name.as_str(), main.rtx, main.param("profile-level-id")), ("H264", Some(117), Some("4d001f")));
    assert!(main.wants("nack") && main.wants("nack pli") && main.wants("ccm fir") && !main.wants("pli"));
    let peer = video.peer.as_ref().unwrap();
    assert_eq!(
        (peer.ice_ufrag.as_str(), peer.ice_pwd.as_str(), peer.setup),
        ("Aop1", "F2M88Whe/6NVc/V9kGKK/tZs", Setup::ActPass)
    );
    assert_eq!(peer.fingerprint.bytes.len(), 32);
    assert!(peer.fingerprint.to_string().starts_with("sha-256 B5:79:1E:3A:6A"));
    let opus = audio.codec(111).unwrap();
    assert_eq!((opus.rtpmap().as_str(), opus.channels), ("opus/48000/2", 2));
    assert_eq!(audio.codec(63).unwrap().fmtp, [("111/111".to_owned(), String::new())]);
}

#[test]
fn reader_js_has_a_data_channel_and_strange_codecs() {
    let offer = ok(captured("mediamtx-reader-js"));
    let data = &offer.sections[2];
    assert_eq!(
        (data.kind, data.formats[0].as_str(), data.protocol.as_str()),
        (SectionKind::Application, "webrtc-datachannel", "UDP/DTLS/SCTP")
    );
    assert!(data.codecs.is_empty() && !data.secure_rtp());
    assert_eq!(offer.sections[1].codec(30).unwrap().rtpmap(), "PCMU/8000/2");
    assert_eq!(offer.sections[1].codec(0).unwrap().channels, 1);
}

#[test]
fn gstreamer_offers_a_bundle_only_section_with_port_0() {
    let offer = ok(captured("gstreamer-whepsrc"));
    let video = &offer.sections[1];
    assert!(video.bundle_only && video.port == 0 && video.enabled());
    assert_eq!(offer.sections[0].codec(96).unwrap().rtpmap(), "OPUS/48000");
    assert!(video.codec(103).unwrap().fmtp.is_empty());
}

#[test]
fn mediamtx_keeps_its_fingerprint_at_session_level() {
    let offer = ok(captured("mediamtx-whep-source"));
    assert_eq!(
        offer.sections[0].peer.as_ref().unwrap().fingerprint,
        offer.sections[1].peer.as_ref().unwrap().fingerprint
    );
    assert!(offer.sections[0].end_of_candidates && !offer.sections[1].end_of_candidates);
}

#[test]
fn old_obs_keeps_everything_at_session_level() {
    let text = format!(
        "{SESSION}a=group:BUNDLE 0 1\r\na=setup:active\r\na=recvonly\r\na=end-of-candidates\r\n{ICE}{FINGERPRINT}\
         m=audio 9 UDP/TLS/RTP/SAVPF 8\r\na=mid:0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=sendonly\r\na=ice-ufrag:efgh\r\n"
    );
    let offer = ok(&text);
    let peer = |i: usize| offer.sections[i].peer.as_ref().unwrap();
    assert_eq!((peer(0).setup, peer(0).ice_ufrag.as_str()), (Setup::Active, "abcd"));
    assert_eq!((peer(1).setup, peer(1).ice_ufrag.as_str()), (Setup::Active, "efgh"));
    assert_eq!(offer.sections[0].direction, Direction::RecvOnly);
    assert_eq!(offer.sections[1].direction, Direction::SendOnly);
    assert!(offer.sections.iter().all(|s| s.end_of_candidates));
}

#[test]
fn a_bundle_only_section_inherits_from_the_first_of_its_bundle() {
    let second = "m=audio 0 UDP/TLS/RTP/SAVPF 8\r\na=mid:a\r\na=bundle-only\r\n";
    let first = lone("video 9 UDP/TLS/RTP/SAVPF 96", "");
    let group = |g: &str| first.replacen("m=video", &format!("a=group:BUNDLE {g}\r\nm=video"), 1) + second;
    let offer = ok(&group("0 a"));
    assert_eq!(offer.sections[0].peer, offer.sections[1].peer);
    let e = fails(&group("0"));
    assert!(e.message.contains("mid \"a\"") && e.message.contains("ice-ufrag"), "{e}");
    // Switched off without bundle-only: nobody needs its transport.
    let offer = ok(&(first.clone() + "m=audio 0 UDP/TLS/RTP/SAVPF 8\r\na=mid:a\r\n"));
    assert!(offer.sections[1].peer.is_none() && !offer.sections[1].enabled());
}

#[test]
fn a_lone_section_may_go_without_a_mid() {
    let text = lone("video 9 UDP/TLS/RTP/SAVPF 96", "").replace("a=mid:0\r\n", "");
    let offer = ok(&text);
    assert_eq!((offer.sections[0].mid.as_str(), offer.sections[0].mid_offered), ("0", false));
    assert!(offer.bundle.is_empty());
    let two = format!("{text}m=audio 9 UDP/TLS/RTP/SAVPF 8\r\n{ICE}{FINGERPRINT}a=mid:1\r\n");
    assert!(fails(&two).message.contains("no \"a=mid\""));
}

#[test]
fn payload_types_are_taken_sanely() {
    let offer = ok(&lone(
        "audio 9 UDP/TLS/RTP/SAVPF 0 8 9 13 96 96 97 98 99",
        "a=rtpmap:96 opus/48000/2\na=rtpmap:96 L16/8000\na=fmtp:96 minptime=10; useinbandfec=1\na=fmtp:96 minptime=20\n\
         a=rtpmap:97 rtx/48000\na=fmtp:97 apt=96\na=rtpmap:98 rtx/48000\na=fmtp:98 apt=96\na=rtpmap:99 rtx/48000\na=fmtp:99 apt=55\n\
         a=rtcp-fb:* nack\na=rtcp-fb:96 nack\na=rtcp-fb:96  nack  pli\na=rtpmap:100 PCMU/8000\n",
    ));
    let section = &offer.sections[0];
    let names: Vec<_> = section.codecs.iter().map(|c| (c.pt, c.rtpmap())).collect();
    let expected = [(0, "PCMU/8000"), (8, "PCMA/8000"), (9, "G722/8000"), (96, "opus/48000/2")];
    assert_eq!(names, expected.map(|(pt, map)| (pt, map.to_owned())));
    let opus = section.codec(96).unwrap();
    assert_eq!((opus.param("minptime"), opus.param("UseInbandFEC"), opus.rtx), (Some("10"), Some("1"), Some(97)));
    assert_eq!(opus.feedback, ["nack", "nack pli"]);
    assert_eq!(section.codec(8).unwrap().feedback, ["nack"]);
    assert_eq!(section.formats.len(), 8);
}

#[test]
fn the_strongest_common_fingerprint_counts() {
    let sha512 = format!("a=fingerprint:SHA-512 {}\r\n", vec!["ab"; 64].join(":"));
    let sha1 = format!("a=fingerprint:sha-1 {}\r\n", vec!["ab"; 20].join(":"));
    let base = lone("video 9 UDP/TLS/RTP/SAVPF 96", "");
    let algorithm = |text: &str| ok(text).sections[0].peer.clone().unwrap().fingerprint.algorithm;
    assert_eq!(algorithm(&base.replace(FINGERPRINT, &format!("{sha512}{FINGERPRINT}{sha1}"))), "sha-256");
    assert_eq!(algorithm(&base.replace(FINGERPRINT, &sha512)), "sha-512");
    let e = fails(&base.replace(FINGERPRINT, &sha1));
    assert_eq!(e.kind, OfferErrorKind::Unprocessable);
    assert!(e.message.contains("sha-256"), "{e}");
}

#[test]
fn extmaps_that_are_of_no_use_are_left_out() {
    let offer = ok(&lone(
        "video 9 UDP/TLS/RTP/SAVPF 96",
        "a=extmap:1 urn:a\na=extmap:2/recvonly urn:b x y\na=extmap:3/sendonly urn:c\na=extmap:4/inactive urn:d\na=extmap:4096 urn:e\na=extmap:0 urn:f\n",
    ));
    assert_eq!(offer.sections[0].extmaps, [(1, "urn:a".to_owned()), (2, "urn:b".to_owned())]);
}

/// Row 3: each of these is a 400, and says where and why.
#[test]
fn malformed_offers_name_the_line() {
    let base = lone("video 9 UDP/TLS/RTP/SAVPF 96", "a=rtpmap:96 H264/90000\n");
    let cases: &[(&str, &str, &str)] = &[
        ("v=0\r\n", "", "line 1: an SDP begins"),
        ("v=0", "v=1", "line 1: an SDP begins"),
        ("v=0", "\u{feff}v=0", "line 1: only printable ASCII"),
        ("s=-", "s=caf\u{e9}", "line 3: only printable ASCII"),
        ("s=-", "s=a\tb", "line 3: only printable ASCII"),
        ("s=-", "s=a\rb", "line 3: only printable ASCII"),
        ("s=-", "s=a\0b", "line 3: only printable ASCII"),
        ("s=-", "s", "line 3: is not of the form"),
        ("s=-", "S=-", "line 3: is not of the form"),
        ("s=-", "", "line 3: a blank line"),
        ("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", "", "no \"m=\" section"),
        ("m=video 9 ", "m=video 65536 ", "line 5: \"m=\" has a port"),
        ("m=video 9 ", "m=video -9 ", "port"),
        ("m=video 9 ", "m=video +9 ", "port"),
        ("m=video 9 ", "m=vid/eo 9 ", "media type"),
        ("m=video 9 UDP/TLS/RTP/SAVPF 96", "m=video", "no port"),
        ("m=video 9 UDP/TLS/RTP/SAVPF 96", "m=", "media type"),
        ("UDP/TLS/RTP/SAVPF 96", "", "no protocol"),
        ("UDP/TLS/RTP/SAVPF", "UDP//SAVPF", "protocol"),
        ("SAVPF 96", "SAVPF", "no format"),
        ("SAVPF 96", "SAVPF 128", "line 5: a payload type"),
        ("SAVPF 96", "SAVPF +9", "payload type"),
        ("SAVPF 96", "SAVPF a\"b", "format"),
        ("a=rtpmap:96 ", "a=rtpmap:300 ", "payload type"),
        ("H264/90000", "H264", "rtpmap"),
        ("H264/90000", "H264/0", "rtpmap"),
        ("H264/90000", "H264/90000/x", "rtpmap"),
        ("a=rtpmap:96 H264/90000", "a=rtpmap:96", "rtpmap"),
        ("a=rtpmap:96 H264/90000", "a=rtcp-fb:96", "rtcp-fb"),
        ("a=rtpmap:96 H264/90000", "a=extmap:1", "extmap"),
        ("a=rtpmap:96 H264/90000", "a=extmap:x urn:a", "extmap"),
        ("a=rtpmap:96 H264/90000", "a=candidate:1 1 udp 1 192.0.2.1 99999 typ host", "the candidate has a port"),
        ("a=mid:0", "a=mid:", "a mid is a token"),
        ("a=mid:0", "a=mid:a b", "a mid is a token"),
        ("a=mid:0", "a=mid:a:b", "a mid is a token"),
        ("a=mid:0", "a=mid:<script>", "a mid is a token"),
        ("a=mid:0", "a=mid:0\r\na=mid:1", "a second mid"),
        ("t=0 0", "t=0 0\r\na=group:BUNDLE 0 7", "mid \"7\""),
        ("t=0 0", "t=0 0\r\na=group:BUNDLE 0 a/b", "BUNDLE group is not a token"),
        ("a=ice-ufrag:abcd\r\n", "", "ice-ufrag"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:abc", "an ice-ufrag has"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:ab cd", "an ice-ufrag has"),
        ("a=ice-pwd:0123456789abcdefghijkl\r\n", "", "ice-pwd"),
        ("a=ice-pwd:0123456789abcdefghijkl", "a=ice-pwd:0123456789abcdefghijk", "an ice-pwd has"),
        (FINGERPRINT, "", "fingerprint"),
        ("sha-256 00:", "sha-256 ", "has 32 bytes, this one has 31"),
        ("sha-256 00:", "sha-256 0g:", "a fingerprint is"),
        ("sha-256 00:", "sha-256 +1:", "a fingerprint is"),
        ("sha-256 ", "sha-256", "a fingerprint is"),
        ("setup:actpass", "setup:holdconn", "setup"),
    ];
    for (from, to, says) in cases {
        let text = base.replacen(from, to, 1);
        assert_ne!(text, base, "{from}");
        let e = fails(&text);
        assert_eq!(e.kind, OfferErrorKind::BadRequest, "{from} → {to}: {e}");
        assert!(e.message.contains(says), "{from} → {to}: {e}");
        assert!(!e.message.contains("0123456789abc"), "the password is in: {e}");
    }
    for text in ["", "\r\n", "{\"sdp\":\"\"}", "v=0", "hello"] {
        assert_eq!(fails(text).kind, OfferErrorKind::BadRequest);
    }
}

#[test]
fn everything_is_bounded() {
    let base = lone("video 9 UDP/TLS/RTP/SAVPF 96", "");
    let candidate = "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n";
    assert_eq!(ok(&(base.clone() + &candidate.repeat(64))).sections[0].candidates.len(), 64);
    assert!(fails(&(base.clone() + &candidate.repeat(65))).message.contains("more than 64 candidates"));
    assert!(fails(&(base.clone() + &"a=x\r\n".repeat(1025))).message.contains("more than 1024 lines"));
    assert!(fails(&(base.clone() + "a=x:" + &"y".repeat(4096))).message.contains("longer than 4096 bytes"));
    assert!(
        fails(&(base.clone() + &"a=x:yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(1400)))
            .message
            .contains("longer than 65536 bytes")
    );
    assert!(fails(&(SESSION.to_owned() + &"b=x\r\n".repeat(4100))).message.contains("more than 4096 lines"));
    let formats: String = (0..300).map(|i| format!(" x{i}")).collect();
    assert!(
        fails(&base.replace("UDP/TLS/RTP/SAVPF 96", &format!("UDP/DTLS/SCTP{formats}")))
            .message
            .contains("more than 256 formats")
    );
    let many = |n: usize| -> String {
        (1..n).map(|i| format!("m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:m{i}\r\n")).fold(base.clone(), |a, b| a + &b)
    };
    assert_eq!(ok(&many(32)).sections.len(), 32);
    assert!(fails(&many(33)).message.contains("more than 32 \"m=\" sections"));
    let params: String = (0..40).map(|i| format!("p{i}=1;")).collect();
    assert!(fails(&(base.clone() + "a=fmtp:96 " + &params)).message.contains("more than 32 format parameters"));
    let feedback: String = (0..40).map(|i| format!("a=rtcp-fb:* x{i}\r\n")).collect();
    assert!(fails(&(base.clone() + &feedback)).message.contains("kinds of feedback"));
    let limits = Limits { sections: 1, ..Limits::default() };
    assert!(parse_within(&many(2), &limits).is_err());
}

#[test]
fn two_sections_with_one_mid_are_refused() {
    let text = lone("video 9 UDP/TLS/RTP/SAVPF 96", "") + "m=audio 0 UDP/TLS/RTP/SAVPF 8\r\na=mid:0\r\n";
    assert!(fails(&text).message.contains("used twice"));
}

#[test]
fn errors_become_answers_and_secrets_stay_inside() {
    let bad: crate::error::Error = fails("v=0").into();
    assert_eq!(bad.kind.status(), 400);
    let weak: crate::error::Error = OfferError::impossible("x").into();
    assert_eq!(weak.kind.status(), 422);
    let shown = format!("{:?}", ok(captured("chromium-whep")));
    assert!(shown.contains("Aop1") && !shown.contains("F2M88Whe"));
}

proptest! {
    #![proptest_config(crate::fuzz::cases(2_000))]

    #[test]
    fn fuzz_random_text(text in "\\PC{0,300}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&text);
        let _ = parse(&String::from_utf8_lossy(&bytes));
        let _ = parse(&format!("{SESSION}m={text}"));
        let _ = parse(&format!("{SESSION}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na={text}"));
    }

    /// Captured offers whose bytes are changed, as a network or a forger would.
    #[test]
    fn fuzz_bytes(data in crate::fuzz::mutated(WHEP.iter().chain(WHIP).map(|(_, text)| text.as_bytes().to_vec()).collect())) {
        keeps_its_promises(&String::from_utf8_lossy(&data))?;
    }

    /// Captured offers whose lines are changed, as another client would write them.
    #[test]
    fn fuzz_lines(text in mutated()) {
        keeps_its_promises(&text)?;
    }
}

/// What holds of everything that is taken for an offer.
fn keeps_its_promises(text: &str) -> Result<(), TestCaseError> {
    let Ok(offer) = parse(text) else { return Ok(()) };
    prop_assert!(!offer.sections.is_empty() && offer.sections.len() <= 32);
    let mut mids = std::collections::HashSet::new();
    for s in &offer.sections {
        prop_assert!(mids.insert(&s.mid) && sdp::is_mid(&s.mid));
        prop_assert!(!(s.enabled() && s.secure_rtp()) || s.peer.is_some());
        prop_assert!(s.candidates.len() <= 64);
        let mut pts = std::collections::HashSet::new();
        for c in &s.codecs {
            prop_assert!(c.pt <= 127 && pts.insert(c.pt) && c.rtx.is_none_or(|r| r <= 127 && r != c.pt));
        }
    }
    prop_assert!(offer.bundle.iter().all(|m| mids.contains(m)));
    Ok(())
}
