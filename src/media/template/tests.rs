use super::*;

const VIDEO: Codec = Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f] };

#[test]
fn every_builtin_template_reads_and_runs() {
    gst::init().unwrap();
    for name in BUILTIN {
        let t = Template::load_builtin(name).unwrap();
        assert!(!t.head.contains('#'), "{name}");
        if t.branches.is_empty() {
            instantiate(name, &t.head).unwrap();
        }
        for b in &t.branches {
            b.instantiate(name).unwrap();
        }
    }
}

#[test]
fn camera_templates_differ_in_their_branches_only() {
    let heads: Vec<_> =
        ["rtsp-h264.gst", "rtsp-h265.gst", "rtsp-audio.gst"].map(|n| Template::load_builtin(n).unwrap().head).to_vec();
    assert!(heads.windows(2).all(|w| w[0] == w[1]));
}

#[test]
fn branches_are_chosen_by_caps_and_codec() {
    gst::init().unwrap();
    let t = Template::load_builtin("rtsp-h264.gst").unwrap();
    assert_eq!(t.branch_for_codec(&VIDEO).unwrap().sink(), Some(Kind::Video));
    assert!(t.branch_for_codec(&Codec::Opus { channels: 2 }).unwrap().body.contains("rtpopusdepay"));
    assert!(t.branch_for_codec(&Codec::Pcma).unwrap().body.contains("rtppcmadepay"));
    for (format, depay) in [("MPEG4-GENERIC", "rtpmp4gdepay"), ("MP4A-LATM", "rtpmp4adepay")] {
        assert!(t.branch_for_codec(&Codec::Aac { format, config: Vec::new() }).unwrap().body.contains(depay));
    }
    assert!(t.branch_for_codec(&Codec::Other { kind: Kind::Audio, name: "AAC".into() }).is_none());
}

#[test]
fn lines_for_gst_launch_have_only_what_the_camera_sends() {
    gst::init().unwrap();
    let t = Template::load_builtin("rtsp-h264.gst").unwrap();
    let line = t.launch_line(&[("location".into(), "rtsp://h/s?a=1&b=it's".into())], &[VIDEO]);
    assert!(line.contains(r#" location='"rtsp://h/s?a=1&b=it'\''s"' src. ! "#), "{line}");
    assert!(!line.contains("pcmu"));
}

#[test]
fn bad_templates_are_refused_with_the_line() {
    for (text, line, says) in [
        ("# only a comment\n", None, "no launch line"),
        ("fakesrc name=src\nsrc. ! application/x-rtp ! appsink name=packets", Some(1), "begins with"),
        ("rtspsrc name=src\n\nsrc. ! appsink name=packets", Some(3), "a branch reads"),
        ("rtspsrc name=src\nsrc. ! video/x-raw ! appsink name=packets", Some(2), "must be a caps filter"),
        ("rtspsrc name=src\nsrc. ! application/x-rtp ! fakesink", Some(2), "no branch ends"),
    ] {
        let e = Template::parse("x.gst", text).unwrap_err();
        assert!(e.reason.contains(says), "{e}");
        if line.is_some() {
            assert_eq!(e.line, line, "{e}");
        }
    }
}

#[test]
fn an_unknown_element_is_named() {
    gst::init().unwrap();
    let e = instantiate("x.gst", "nosuchelement ! fakesink").unwrap_err();
    assert!(e.to_string().contains("nosuchelement"), "{e}");
}

#[test]
fn an_error_of_gstreamers_names_the_line_and_shows_no_other_word() {
    gst::init().unwrap();
    let file = tempfile::Builder::new().suffix(ENDING).tempfile().unwrap();
    std::fs::write(file.path(), "# nosuchelement is not here\nfakesrc name=secret-word\n  ! nosuchelement\n").unwrap();
    let template = Template::load_file(file.path()).unwrap();
    let e = instantiate(&template.name, &template.head).unwrap_err();
    assert_eq!(e.line, Some(3), "{e}");
    assert!(!e.to_string().contains("secret-word"), "{e}");
    let branch =
        Branch { caps: "application/x-rtp".into(), body: "rtph264depay ! nosuch ! appsink name=packets".into() };
    let e = branch.instantiate("rtsp-h264.gst").unwrap_err();
    assert_eq!((e.line, e.to_string().contains("appsink")), (None, false), "{e}");
    // A path's name is no file's.
    assert_eq!(instantiate("/etc/hostname", "nosuchelement").unwrap_err().line, None);
}

#[test]
fn lines_are_fit_for_a_shell() {
    assert_eq!(for_shell("a ! b x=1 ! c"), "a ! b x=1 ! c");
    assert_eq!(
        for_shell(r#"f caps="video/x-raw, format=(string)I420" ! g"#),
        r#"f 'caps="video/x-raw, format=(string)I420"' ! g"#
    );
    assert_eq!(for_shell("x=it's"), r"'x=it'\''s'");
}

#[test]
fn quoting_survives_shell_and_gst() {
    assert_eq!(shell_quote("rtsp://h:554/a"), "rtsp://h:554/a");
    assert_eq!(shell_quote("a b"), r#"'"a b"'"#);
    assert_eq!(shell_quote(""), r#"'""'"#);
}
