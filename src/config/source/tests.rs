use super::*;
use proptest::prelude::*;

fn url(text: &str) -> RtspUrl {
    match Source::parse(text) {
        Ok(Source::Rtsp(url)) => url,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn kinds() {
    assert_eq!(Source::parse("publisher"), Ok(Source::Publisher));
    assert_eq!(Source::parse(" test "), Ok(Source::Test));
    assert_eq!(Source::parse("gst: videotestsrc ! x"), Ok(Source::Launch("videotestsrc ! x".into())));
    for (text, part) in [
        ("", "no source"),
        ("gst:", "launch line"),
        ("tset", "no source"),
        ("rtmp://h/x", "(rtmp)"),
        ("srt://h:1", "(srt)"),
        ("https://h/a.m3u8", "(https)"),
        ("whep://h/x", "(whep)"),
        ("udp+mpegts://1.2.3.4:5", "(udp+mpegts)"),
        ("redirect", "(redirect)"),
        ("rpiCamera", "(rpiCamera)"),
        ("rtspt://h", "rtspTransport"),
        ("rtsp://h/$MTX_QUERY", "MTX_QUERY"),
    ] {
        let message = Source::parse(text).unwrap_err();
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn urls() {
    for (text, user, password, host, port, rest) in [
        ("rtsp://h", None, None, "h", None, ""),
        ("RTSP://h:8554/a/b?c=d#e", None, None, "h", Some(8554), "/a/b?c=d#e"),
        ("rtsp://h?x", None, None, "h", None, "?x"),
        ("rtsp://h:/x", None, None, "h", None, "/x"),
        ("rtsp://u:p@h/x", Some("u"), Some("p"), "h", None, "/x"),
        ("rtsp://u@h", Some("u"), None, "h", None, ""),
        ("rtsp://u:@h", Some("u"), Some(""), "h", None, ""),
        ("rtsp://:p@h", Some(""), Some("p"), "h", None, ""),
        ("rtsp://u:p@s:s#!%@h:1/x@y", Some("u"), Some("p@s:s#!%"), "h", Some(1), "/x@y"),
        ("rtsp://u:100%sure@h", Some("u"), Some("100%sure"), "h", None, ""),
        ("rtsp://u%3Av:a%2Fb%40%25@h", Some("u:v"), Some("a/b@%"), "h", None, ""),
        ("rtsp://me@mail.org:p@h", Some("me@mail.org"), Some("p"), "h", None, ""),
        ("rtsp://u:p@[2001:db8::1]:554/x", Some("u"), Some("p"), "2001:db8::1", Some(554), "/x"),
        ("rtsp://[fe80::1%25eth0]/x", None, None, "fe80::1%eth0", None, "/x"),
        ("rtsp://[fe80::1%eth0]/x", None, None, "fe80::1%eth0", None, "/x"),
        ("rtsp://käm_1.lan/x", None, None, "käm_1.lan", None, "/x"),
    ] {
        let u = url(text);
        assert!(!u.tls);
        assert_eq!((u.user.as_deref(), u.password.as_ref().map(Secret::expose)), (user, password), "{text}");
        assert_eq!((u.host.as_str(), u.port, u.rest.as_str()), (host, port, rest), "{text}");
    }
    assert!(url("rtsps://h").tls);
    assert_eq!(url("rtsps://u:p@[::1]:322/x").location(), "rtsps://[::1]:322/x");
    assert_eq!(url("rtsp://u:p@[fe80::1%25eth0]/x").location(), "rtsp://[fe80::1%eth0]/x");
    assert_eq!(url("rtsp://u:p@h/x?y").location(), "rtsp://h/x?y");
}

#[test]
fn what_is_refused() {
    for text in [
        "rtsp://",
        "rtsp:///x",
        "rtsp://u:p@",
        "rtsp://u:p@/x",
        "rtsp://h:0",
        "rtsp://h:65536",
        "rtsp://h:x",
        "rtsp://fe80::1/x",
        "rtsp://[::1/x",
        "rtsp://[::1]x/y",
        "rtsp://[x]/y",
        "rtsp://[fe80::1%]/x",
        "rtsp://a b/x",
        "rtsp://h/a b",
        "rtsp://h/a\r\nX: y",
        "rtsp://h#x/y",
        "rtsp://u:%0d%0a@h",
        "rtsp://u:%ff@h",
        "rtsp://h,i/x",
        "rtsp:/h",
    ] {
        assert!(Source::parse(text).is_err(), "{text}");
    }
    let message = Source::parse("rtsp://admin:12/geheim@h/x").unwrap();
    // It looks like host, port and path, and is taken for that; the host will not answer.
    assert!(!message.to_string().contains("geheim"));
    let message = Source::parse("rtsp://admin:ge/heim@h/x").unwrap_err();
    assert!(message.contains("%2F") && !message.contains("heim@"), "{message}");
}

#[test]
fn nothing_prints_credentials() {
    let source = Source::parse("rtsp://u:geheim@h/x?password=geheim").unwrap();
    for text in [format!("{source}"), format!("{source:?}"), format!("{:?}", url("rtsp://u:geheim@h/x"))] {
        assert!(!text.contains("geheim"), "{text}");
        assert!(text.starts_with("rtsp://***@h/x"), "{text}");
    }
    assert_eq!(url("rtsp://h/x").to_string(), "rtsp://h/x");
    let launch = Source::parse("gst: rtspsrc location=rtsp://u:geheim@h user-pw=geheim").unwrap();
    assert!(!format!("{launch:?} {launch}").contains("geheim"));
}

#[test]
fn groups() {
    let unknown = |text: &str, groups: usize| Source::parse(text).unwrap().unknown_group(groups);
    assert_eq!(unknown("rtsp://h/$G", 0), None);
    assert_eq!(unknown("rtsp://h/$Gx$G3$G12", 3), None);
    assert_eq!(unknown("rtsp://h/$Gx$G4$G12", 3).as_deref(), Some("$G4"));
    assert_eq!(unknown("rtsp://u:$G2@$G1/", 1).as_deref(), Some("$G2"));
    assert_eq!(unknown("rtsp://h/$G0", 3).as_deref(), Some("$G0"));
    assert_eq!(unknown("rtsp://h/$G99999999999999999999999", 3).as_deref(), Some("$G99999999999999999999999"));
    assert!(Source::parse("gst: a$G1").unwrap().names_group(1));
    assert!(!Source::parse("gst: a$G1").unwrap().names_group(0));
    let expanded = |text: &str, groups: &[&str]| Source::parse(text).unwrap().expand(groups).map(|s| s.to_string());
    assert_eq!(expanded("gst: a$G1", &["b"]), Some("gst:ab".into()));
    assert_eq!(expanded("rtsp://$G1/x", &[""]), None);
    assert_eq!(expanded("rtsp://$G1/x", &["a/b"]), None);
    assert_eq!(expanded("rtsp://h/$G1", &["a/../b"]), None);
    assert_eq!(expanded("rtsp://h/$G1", &["a..b"]), Some("rtsp://h/a..b".into()));
}

proptest! {
    #![proptest_config(crate::fuzz::cases(3000))]

    #[test]
    fn random_sources(text in "\\PC*", like in "(rtsps?://)([a-z0-9:@/?#%\\[\\]$G. -]{0,40})") {
        for text in [text, like] {
            if let Ok(source) = Source::parse(&text) {
                let _ = (source.unknown_group(1), source.expand(&["a", "b/c"]), source.to_string());
            }
        }
    }

    #[test]
    fn credentials_come_back(user in "[^:\\pC]{1,12}", password in "\\PC{0,16}") {
        let encode = |s: &str| percent_encoding::utf8_percent_encode(s, percent_encoding::NON_ALPHANUMERIC).to_string();
        let u = url(&format!("rtsp://{}:{}@10.0.0.5:554/x", encode(&user), encode(&password)));
        prop_assert_eq!(u.user.as_deref(), Some(user.as_str()));
        prop_assert_eq!(u.password.as_ref().map(Secret::expose), Some(password.as_str()));
        prop_assert_eq!(u.location(), "rtsp://10.0.0.5:554/x");
        prop_assert_eq!(u.to_string(), "rtsp://***@10.0.0.5:554/x");
    }

    #[test]
    fn errors_hold_nothing_of_the_url(password in "[0-9a-zA-Z/?:@#%]{8,20}") {
        if let Err(message) = Source::parse(&format!("rtsp://u:<{password}>@h/")) {
            let secret = format!("<{password}>");
            prop_assert!(!message.contains(&secret));
        }
    }
}

#[test]
fn credentials_come_back_escaped() {
    for (text, full) in [
        ("rtsp://op:p@ss%:w@[::1]:8554/a?b=c", "rtsp://op:p%40ss%25%3Aw@[::1]:8554/a?b=c"),
        ("rtsp://op@10.0.0.5/a", "rtsp://op:@10.0.0.5/a"),
        ("rtsps://10.0.0.5/a@b", "rtsps://10.0.0.5/a@b"),
    ] {
        assert_eq!(RtspUrl::parse(text).unwrap().location_with_credentials().expose(), full);
    }
}
