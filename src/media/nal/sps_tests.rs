use super::*;
use crate::media::nal::sps_h265::parse_h265;
use proptest::prelude::*;

fn hex(s: &str) -> Vec<u8> {
    (0..s.len()).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap()).collect()
}

// x264 and x265, as ffmpeg 5.1 wrote them; the values are ffprobe's.
const HD: &str = "6742c01fda014016ec0440000003004000000ca3c60ca8";
const FULL_HD_B: &str = "67640028acd940780227e5c04400000fa40003a9803c60c658";
const D1: &str = "6742c016da02c049b021000003000100000300180f162ea0";
const HEVC: &str = "420101016000000300900000030000030078a003c0801107cb965654a4c2f0168080000003008000000c84";
const HEVC10: &str = "42010102200000030090000003000003005da00280802d136595952930bc05a02000000300200000030281";

#[test]
fn h264_as_ffprobe_says() {
    let s = parse_h264(&hex(HD)).unwrap();
    assert_eq!((s.width, s.height, s.sar, s.reorder, s.chroma, s.depth_luma), (1280, 720, None, Some(0), 1, 8));
    assert_eq!((s.codec_string().as_str(), s.frame_ticks()), ("avc1.42C01F", Some(3_600)));
    let s = parse_h264(&hex(FULL_HD_B)).unwrap();
    assert_eq!((s.width, s.height, s.reorder, s.frame_ticks()), (1920, 1080, Some(2), Some(3_003)));
    assert_eq!((s.codec_string().as_str(), s.fps), ("avc1.640028", Some((60_000, 2_002))));
    let s = parse_h264(&hex(D1)).unwrap();
    assert_eq!((s.width, s.height, s.sar, s.frame_ticks()), (704, 576, Some((12, 11)), Some(7_500)));
    assert_eq!((s.codec_string().as_str(), s.reorder), ("avc1.42C016", Some(0)));
}

#[test]
fn h265_as_ffprobe_says() {
    let s = parse_h265(&hex(HEVC)).unwrap();
    assert_eq!((s.width, s.height, s.reorder, s.frame_ticks()), (1920, 1080, Some(2), Some(3_600)));
    assert_eq!((s.codec_string().as_str(), s.depth_luma, s.chroma), ("hvc1.1.6.L120.90", 8, 1));
    let s = parse_h265(&hex(HEVC10)).unwrap();
    assert_eq!((s.width, s.height, s.reorder, s.frame_ticks()), (1280, 720, Some(2), Some(4_500)));
    assert_eq!((s.codec_string().as_str(), s.depth_luma, s.depth_chroma), ("hvc1.2.4.L93.90", 10, 10));
}

#[test]
fn codec_strings() {
    let base = parse_h265(&hex(HEVC)).unwrap();
    let of = |space, high, compatibility, constraints, level| {
        let profile = Profile::H265 { space, high, idc: 1, compatibility, constraints, level, layers: 1, nested: true };
        Sps { profile, ..base }.codec_string()
    };
    assert_eq!(of(0, false, 0x6000_0000, [0xb0, 0, 0, 0, 0, 0], 93), "hvc1.1.6.L93.B0");
    assert_eq!(of(1, true, 0x2000_0000, [0; 6], 150), "hvc1.A1.4.H150");
    assert_eq!(of(0, false, 0x6000_0000, [0x90, 0, 8, 0, 0, 0], 93), "hvc1.1.6.L93.90.0.8");
    let profile = Profile::H264 { profile_level_id: [100, 0, 31] };
    assert_eq!(Sps { profile, ..base }.codec_string(), "avc1.64001F");
}

#[test]
fn what_is_cut_off_or_something_else_is_refused() {
    for s in [HD, FULL_HD_B, D1] {
        for n in 0..8 {
            assert!(parse_h264(&hex(s)[..n]).is_none());
        }
        assert!(parse_h265(&hex(s)).is_none());
    }
    // A VUI that ends too early leaves size and profile.
    let s = parse_h264(&hex(FULL_HD_B)[..13]).unwrap();
    assert_eq!((s.width, s.height, s.reorder, s.fps), (1920, 1080, None, None));
}

/// x265 writes no predicted reference sets (§7.3.7), cameras do: bit by bit.
#[test]
fn h265_predicted_reference_sets() {
    let ue = |v: u32| {
        let n = 32 - (v + 1).leading_zeros() as usize;
        format!("{:0>1$b}", v + 1, 2 * n - 1)
    };
    let mut bits = format!("{:016b}", 0x4201u32) + "0000" + "000" + "1";
    bits += &("0000_0001".replace('_', "") + &format!("{:032b}", 0x6000_0000u32) + &"1".repeat(48) + "01011101");
    bits += &[0, 1, 640, 360].map(ue).concat(); // id, chroma, size
    bits += &("0".to_owned() + &ue(0) + &ue(0) + &ue(4) + "1" + &ue(4) + &ue(2) + &ue(0));
    bits += &[0, 3, 0, 3, 0, 0].map(ue).concat(); // block sizes
    bits += "0000"; // scaling lists, amp, sao, pcm
    bits += &(ue(3) + &ue(2) + &ue(0) + &(ue(0) + "1").repeat(2)); // 3 sets, the first with two pictures
    bits += &("10".to_owned() + &ue(0) + "1" + "01" + "00"); // of three: used, kept, dropped: two
    bits += &("10".to_owned() + &ue(0) + "1" + "1" + "1");
    bits += "0001"; // long term, mvp, smoothing; VUI
    bits += "00000000"; // aspect, overscan, signal, chroma, three flags, window
    bits += &("1".to_owned() + &format!("{:032b}{:032b}", 1_001, 30_000) + "1");
    bits += &"0".repeat(8 - bits.len() % 8);
    let mut nal = Vec::new();
    for b in bits.as_bytes().chunks(8) {
        if nal.ends_with(&[0, 0]) {
            nal.push(3);
        }
        nal.push(u8::from_str_radix(std::str::from_utf8(b).unwrap(), 2).unwrap());
    }
    let s = parse_h265(&nal).unwrap();
    assert_eq!((s.width, s.height, s.reorder, s.fps), (640, 360, Some(2), Some((30_000, 1_001))));
}

proptest! {
    #[test]
    fn any_bytes(mut data in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = (parse_h264(&data), parse_h265(&data));
        for (header, known) in [(vec![0x67, 100, 0, 31], HD), (vec![66, 1, 1], HEVC)] {
            let mut d = header;
            d.append(&mut data.clone());
            let _ = (parse_h264(&d), parse_h265(&d));
            // Damage to real ones.
            let mut k = hex(known);
            for (i, b) in data.iter().enumerate().take(3) {
                let n = k.len();
                k[(*b as usize * 7 + i) % n] ^= b | 1;
            }
            for s in [parse_h264(&k), parse_h265(&k)].into_iter().flatten() {
                prop_assert!(s.width > 0 && s.width <= MAX_SIDE && s.height > 0 && s.height <= 2 * MAX_SIDE);
                prop_assert!(s.reorder.unwrap_or(0) <= MAX_REORDER);
            }
        }
        data.clear();
    }
}
