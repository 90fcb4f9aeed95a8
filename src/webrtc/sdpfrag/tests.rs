use super::*;
use crate::webrtc::sdp::OfferErrorKind;
use proptest::prelude::*;

const READER: &str = include_str!("../../../tests/fixtures/offers/mediamtx-reader-js.patch.sdp");
const PWD: &str = "0123456789abcdefghijkl";

fn ok(text: &str) -> Fragment {
    parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

#[test]
fn reader_js_trickles_one_candidate() {
    let fragment = ok(READER);
    assert_eq!(fragment, ok(&READER.replace("\r\n", "\n")));
    assert_eq!(
        (fragment.ice_ufrag.as_deref(), fragment.ice_pwd.as_deref()),
        (Some("sXlP"), Some("jwRtH3HxWrlIUgLs3OW7U9HY"))
    );
    assert_eq!(fragment.sections.len(), 1);
    assert_eq!(fragment.sections[0].mid.as_deref(), Some("0"));
    assert!(!fragment.is_restart("sXlP") && !fragment.end_of_candidates());
    assert_eq!(fragment.usable("sXlP").map(|c| c.port).collect::<Vec<_>>(), [34727]);
    assert!(!format!("{fragment:?}").contains("jwRtH3"));
}

/// Row 26: dropped, without an error.
#[test]
fn candidates_we_cannot_use_are_dropped() {
    let fragment = ok(&format!(
        "a=ice-ufrag:abcd\na=ice-pwd:{PWD}\nm=audio 9 RTP/AVP 0\na=mid:0\n\
         a=candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active\n\
         a=candidate:2 1 udp 1 12-34.local 5000 typ host\n\
         a=candidate:3 1 udp 1 192.0.2.1 5001 typ host ufrag abcd\n\
         a=candidate:4 1 udp 1 192.0.2.1 5002 typ host ufrag gone\n\
         a=candidate:5 1 udp 1 2001:db8::1 5003 typ srflx raddr 0.0.0.0 rport 0\n\
         m=video 9 RTP/AVP 0\na=mid:1\na=candidate:6 1 udp 1 192.0.2.1 5004 typ host\na=end-of-candidates\n"
    ));
    assert_eq!(fragment.usable("abcd").map(|c| c.port).collect::<Vec<_>>(), [5001, 5003, 5004]);
    assert!(fragment.end_of_candidates() && !fragment.sections[0].end_of_candidates);
}

/// Row 27: a restart may have nothing but new credentials.
#[test]
fn a_new_ufrag_is_a_restart() {
    let fragment = ok(&format!("a=ice-ufrag:efgh\r\na=ice-pwd:{PWD}\r\n"));
    assert!(fragment.is_restart("abcd") && !fragment.is_restart("efgh"));
    let with = ok(&format!(
        "a=ice-ufrag:efgh\r\na=ice-pwd:{PWD}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n"
    ));
    assert_eq!((with.usable("abcd").count(), with.usable("efgh").count()), (0, 1));
    // In the section, as some clients have it.
    assert!(
        ok(&format!("m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=ice-ufrag:efgh\r\na=ice-pwd:{PWD}\r\n")).is_restart("abcd")
    );
    // Without credentials the present generation is meant.
    assert!(!ok("m=audio 9 RTP/AVP 0\na=mid:0\na=end-of-candidates\n").is_restart("abcd"));
}

#[test]
fn looser_forms_of_clients_are_understood() {
    // A whole SDP head, a group, no mid, no media line at all.
    let full = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=ice-options:trickle\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=candidate:\r\n";
    let fragment = ok(full);
    assert_eq!(
        (fragment.sections.len(), fragment.sections[0].mid.clone(), fragment.end_of_candidates()),
        (1, None, true)
    );
    let bare = ok("a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\n");
    assert_eq!(bare.usable("abcd").count(), 1);
}

/// Row 25.
#[test]
fn malformed_fragments_are_a_400() {
    let second = format!("a=ice-ufrag:abcd\na=ice-pwd:{PWD}\nm=audio 9 RTP/AVP 0\na=mid:0\n");
    for (text, says) in [
        (String::new(), "empty"),
        ("\r\n".into(), "empty"),
        ("m=audio 9 RTP/AVP 0\n".into(), "neither candidates"),
        ("a=group:BUNDLE 0\n".into(), "neither candidates"),
        ("{\"candidate\":\"\"}".into(), "line 1: is not of the form"),
        ("a=ice-ufrag:ab\n".into(), "line 1: an ice-ufrag"),
        ("a=ice-ufrag:abcd\na=ice-pwd:short\n".into(), "line 2: an ice-pwd"),
        (format!("a=ice-pwd:{PWD}\n"), "without an ice-ufrag"),
        ("a=mid:0\n".into(), "after an \"m=\""),
        (format!("{second}a=mid:a b\n"), "a mid is a token"),
        (format!("{second}a=ice-ufrag:efgh\n"), "line 5: another ice-ufrag"),
        (format!("{second}a=ice-pwd:{PWD}x\n"), "another ice-pwd"),
        (format!("{second}a=candidate:x\n"), "the candidate has no component"),
        (
            format!("{second}{}", "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\n".repeat(65)),
            "more than 64 candidates",
        ),
        (format!("{second}{}", "m=audio 9 RTP/AVP 0\n".repeat(32)), "more than 32"),
        (format!("{second}a=x:\u{1}\n"), "printable ASCII"),
        ("a=x\n".repeat(20_000), "longer than 65536"),
    ] {
        let e = parse(&text).expect_err(&text);
        assert_eq!(e.kind, OfferErrorKind::BadRequest);
        assert!(e.message.contains(says), "{e}");
        assert!(!e.message.contains(PWD));
    }
}

/// Fragments of all forms that clients have.
fn corpus() -> Vec<Vec<u8>> {
    let whole = format!(
        "a=ice-ufrag:abcd\r\na=ice-pwd:{PWD}\r\na=group:BUNDLE 0 1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
         a=candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active\r\na=candidate:2 1 udp 1 12-34.local 5000 typ host\r\n\
         a=candidate:5 1 udp 1 2001:db8::1 5003 typ srflx raddr 0.0.0.0 rport 0 ufrag abcd\r\n\
         m=video 9 RTP/AVP 0\r\na=mid:1\r\na=candidate:6 1 udp 1 192.0.2.1 5004 typ host\r\na=end-of-candidates\r\n"
    );
    let restart = format!("a=ice-ufrag:efgh\r\na=ice-pwd:{PWD}\r\n");
    [READER, &whole, &restart].map(|t| t.as_bytes().to_vec()).into()
}

proptest! {
    #![proptest_config(crate::fuzz::cases(2_000))]

    #[test]
    fn fuzz_random_text(text in "\\PC{0,200}") {
        let _ = parse(&text);
        let _ = parse(&format!("m=audio 9 RTP/AVP 0\na={text}"));
    }

    #[test]
    fn fuzz_bytes(data in crate::fuzz::mutated(corpus())) {
        let text = String::from_utf8_lossy(&data);
        if let Ok(fragment) = parse(&text) {
            prop_assert!(fragment.sections.len() <= 32);
            for ufrag in ["sXlP", "abcd", "efgh"] {
                prop_assert!(fragment.usable(ufrag).all(Candidate::usable));
                // A fragment that restarts the session has nothing for its present generation.
                prop_assert!(!fragment.is_restart(ufrag) || fragment.usable(ufrag).next().is_none());
            }
        }
    }
}
