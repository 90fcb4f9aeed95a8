//! Which of the offered forms of a codec is taken.

use super::*;
use crate::webrtc::negotiate::fit::Profile;

#[test]
fn h264_chooses_by_profile_then_by_what_decodes_more() {
    let all = [(96, "42001f"), (97, "42e01f"), (98, "4d001f"), (99, "640c1f"), (100, "64001f"), (101, "f4001f")];
    let offer_of = |drop: &[u8]| {
        let fmtp: Vec<(u8, String)> = all
            .iter()
            .filter(|(pt, _)| !drop.contains(pt))
            .map(|(pt, p)| (*pt, format!("packetization-mode=1;profile-level-id={p}")))
            .collect();
        video(&fmtp.iter().map(|(pt, f)| (*pt, "H264/90000", f.as_str())).collect::<Vec<_>>())
    };
    for (ours, drop, pt, loose) in [
        (0x42001e, &[][..], 96, false),
        (0x42c01e, &[], 97, false),
        (0x4de01e, &[], 97, false),
        (0x4d001e, &[], 98, false),
        (0x640c1e, &[], 99, false),
        (0x64001e, &[], 100, false),
        (0x42c01e, &[97], 96, false),
        (0x42c01e, &[96, 97], 98, false),
        (0x42001e, &[96, 97], 98, false),
        (0x4d001e, &[98], 99, false),
        (0x64001e, &[100], 99, true),
        (0x64001e, &[99, 100], 101, false),
        (0x64001e, &[99, 100, 101], 98, true),
        (0x64001e, &[98, 99, 100, 101], 96, true),
        (0x64001e, &[96, 98, 99, 100, 101], 97, true),
        // A profile that nobody knows: whatever comes first.
        (0x99001e, &[], 96, true),
    ] {
        let plan = plan(&offer_of(drop), &[h264(ours)]);
        let s = sent(&plan, Kind::Video).unwrap();
        assert_eq!((s.pt, s.loose), (pt, loose), "{ours:06x} without {drop:?}");
    }
}

#[test]
fn profiles_are_told_by_their_constraint_flags() {
    use Profile::*;
    for (idc, iop, profile) in [
        (0x42, 0x00, Some(Baseline)),
        (0x42, 0x80, Some(Baseline)),
        (0x42, 0xe0, Some(ConstrainedBaseline)),
        (0x42, 0xc0, Some(ConstrainedBaseline)),
        (0x4d, 0x00, Some(Main)),
        (0x4d, 0x40, Some(Main)),
        (0x4d, 0x80, Some(ConstrainedBaseline)),
        (0x58, 0xc0, Some(ConstrainedBaseline)),
        (0x58, 0x00, Some(Baseline)),
        (0x64, 0x00, Some(High)),
        (0x64, 0x08, Some(High)),
        (0x64, 0x0c, Some(ConstrainedHigh)),
        (0x6e, 0x10, Some(High10)),
        (0x7a, 0x00, Some(High422)),
        (0xf4, 0x00, Some(High444)),
        (0x00, 0x00, None),
    ] {
        assert_eq!(Profile::of(idc, iop), profile, "{idc:02x}{iop:02x}");
    }
}

#[test]
fn h264_needs_packetization_mode_1() {
    let chosen = |codecs: &[(u8, &str, &str)]| {
        plan(&video(codecs), &[h264(0x42e01f)]).sends().next().map(|(_, s)| (s.pt, s.fmtp.clone())).unwrap()
    };
    // Mode 1 with another profile before one without a mode.
    assert_eq!(
        chosen(&[
            (96, "H264/90000", "profile-level-id=42e01f"),
            (97, "H264/90000", "packetization-mode=1;profile-level-id=64001f")
        ])
        .0,
        97
    );
    assert_eq!(chosen(&[(96, "H264/90000", "")]), (96, String::new()));
    assert_eq!(chosen(&[(96, "h264/90000", "profile-level-id=42e00a")]), (96, "profile-level-id=42e00a".into()));
    assert_eq!(chosen(&[(96, "H264/90000", "packetization-mode=1")]), (96, "packetization-mode=1".into()));
    // The level: ours with asymmetry, theirs without; 11 (perhaps 1b) stays.
    assert_eq!(
        chosen(&[(96, "H264/90000", "packetization-mode=1;profile-level-id=42E00A")]).1,
        "packetization-mode=1;profile-level-id=42e00a"
    );
    assert_eq!(
        chosen(&[(
            96,
            "H264/90000",
            "profile-level-id=42e00a;level-asymmetry-allowed=1;packetization-mode=1;max-fs=3600"
        )])
        .1,
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
    );
    let low = plan(
        &video(&[(96, "H264/90000", "profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1")]),
        &[h264(0x42f00b)],
    );
    assert!(low.sends().next().unwrap().1.fmtp.ends_with("42e01f"));

    for fmtp in [
        "packetization-mode=0;profile-level-id=42e01f",
        "packetization-mode=2",
        "packetization-mode=1;profile-level-id=42e01",
        "packetization-mode=1;profile-level-id=+2e01f",
    ] {
        let e = refused(&video(&[(96, "H264/90000", fmtp)]), &[h264(0x42e01f)]);
        assert_eq!(e.kind.status(), 422);
        assert!(e.message.contains("packetization-mode=1"), "{e}");
    }
    assert_eq!(refused(&video(&[(96, "H264/8000", "packetization-mode=1")]), &[h264(0x42e01f)]).kind.status(), 422);
}

#[test]
fn h265_compares_profile_and_tx_mode_and_forgives_levels() {
    let fits = |ours: Track, fmtp: &str| {
        negotiate(&parse(&video(&[(96, "H265/90000", fmtp)])), &[ours]).ok().map(|p| p.sends().next().unwrap().1.loose)
    };
    assert_eq!(fits(h265(1, 0, 93), ""), Some(false));
    assert_eq!(fits(h265(1, 0, 93), "profile-id=1"), Some(false));
    assert_eq!(fits(h265(1, 0, 93), "profile-id=2"), Some(false));
    assert_eq!(fits(h265(2, 0, 93), "profile-id=1"), None);
    assert_eq!(fits(h265(2, 0, 93), ""), Some(true));
    assert_eq!(fits(h265(1, 1, 93), "profile-id=1;tier-flag=0"), Some(true));
    assert_eq!(fits(h265(1, 0, 94), "profile-id=1"), Some(true));
    assert_eq!(fits(h265(1, 0, 186), "profile-id=1;level-id=186"), Some(false));
    for fmtp in ["tx-mode=MRST", "profile-id=x", "profile-space=1", "level-id=999", "profile-id=3"] {
        assert_eq!(fits(h265(1, 0, 93), fmtp), None, "{fmtp}");
    }
    let e = refused(&video(&[(96, "H265/90000", "profile-id=1")]), &[h265(2, 0, 93)]);
    assert!(e.message.contains("H.265 (Main 10)") && e.message.contains("Main (8 bit)"), "{e}");
}

#[test]
fn opus_prefers_the_offered_stereo_for_stereo() {
    let offer = audio(&[
        (96, "opus/48000/2", "minptime=10;useinbandfec=1"),
        (97, "opus/48000/2", "stereo=1;minptime=5;usedtx=1"),
    ]);
    let chosen =
        |channels| plan(&offer, &[opus(channels)]).sends().next().map(|(_, s)| (s.pt, s.fmtp.clone())).unwrap();
    assert_eq!(chosen(1), (96, "minptime=10;useinbandfec=1".into()));
    assert_eq!(chosen(2), (97, "minptime=5;stereo=1;sprop-stereo=1".into()));
    // A value that is not plain is not echoed.
    let odd = audio(&[(96, "opus/48000/2", "minptime=1 0,x;useinbandfec=1")]);
    assert_eq!(plan(&odd, &[opus(1)]).sends().next().unwrap().1.fmtp, "useinbandfec=1");
    assert!(negotiate(&parse(&audio(&[(96, "multiopus/48000/6", ""), (97, "opus/48000/6", "")])), &[opus(2)]).is_err());
}

#[test]
fn g711_is_mono_only() {
    assert!(
        negotiate(&parse(&audio(&[(96, "PCMU/8000/2", ""), (97, "PCMU/16000", "")])), &[track(Codec::Pcmu)]).is_err()
    );
    assert_eq!(
        plan(&audio(&[(96, "PCMU/8000/2", ""), (97, "pcmu/8000/1", "")]), &[track(Codec::Pcmu)])
            .sends()
            .next()
            .unwrap()
            .1
            .pt,
        97
    );
}

#[test]
fn payload_types_that_look_like_rtcp_are_not_used() {
    let fmtp = "packetization-mode=1;profile-level-id=42e01f";
    assert_eq!(
        plan(&video(&[(72, "H264/90000", fmtp), (96, "H264/90000", "")]), &[h264(0x42e01f)])
            .sends()
            .next()
            .unwrap()
            .1
            .pt,
        96
    );
    assert!(negotiate(&parse(&video(&[(72, "H264/90000", fmtp)])), &[h264(0x42e01f)]).is_err());
}
