//! Tests of the playlists, with a player that knows the rules.

use std::time::Duration;

use super::walker;
use crate::hls::playlist::{
    Config, Found, Options, Position, Refused, Reload, State, Stream, Variant, Window, multivariant, part_target,
};

const PART: Duration = Duration::from_millis(250);

pub(crate) fn config(variant: Variant) -> Config {
    Config { variant, segment_count: 7, part_target: PART, prefix: "ab12".into(), independent_segments: false }
}

pub(crate) fn window(variant: Variant) -> Window<Vec<u8>> {
    Window::new(config(variant), (variant != Variant::Mpegts).then(|| b"map".to_vec()))
}

/// Adds `count` segments of four parts, 1 s each.
pub(crate) fn fill(window: &mut Window<Vec<u8>>, count: u64) {
    for _ in 0..count {
        window.begin_segment(1_800_000_000_000, true).unwrap();
        for part in 0..4 {
            window.add_part(PART, part == 0, vec![part; 1000]).unwrap();
        }
        window.end_segment().unwrap();
    }
}

fn full(window: &Window<Vec<u8>>) -> String {
    window.media(&Options::default()).unwrap()
}

pub(crate) fn at(msn: u64, part: Option<u64>) -> Reload {
    Reload { at: Some(Position { msn, part }), skip: false }
}

#[test]
fn a_low_latency_playlist_as_it_is_written() {
    let mut w = window(Variant::LowLatency);
    w.begin_segment(1_764_028_800_000, true).unwrap();
    w.add_part(PART, true, vec![1]).unwrap();
    assert_eq!(w.media(&Options::default()), None);
    assert_eq!(w.open(Duration::from_millis(500)), 1);
    w.add_part(PART, false, vec![2]).unwrap();
    w.discontinuity(Some(b"other".to_vec()));
    w.begin_segment(1_764_028_805_250, true).unwrap();
    assert!(!full(&w).contains("PRELOAD-HINT"), "it would begin behind the discontinuity");
    w.add_part(PART, true, vec![3]).unwrap();
    let expected = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:1
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.75000,CAN-SKIP-UNTIL=6.00000
#EXT-X-PART-INF:PART-TARGET=0.25000
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI=\"ab12_init0.mp4?id=7\"
#EXT-X-PROGRAM-DATE-TIME:2025-11-25T00:00:00.000Z
#EXT-X-PART:DURATION=0.25000,URI=\"ab12_part0_0.mp4?id=7\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.25000,URI=\"ab12_part0_1.mp4?id=7\"
#EXTINF:0.50000,
ab12_seg0.mp4?id=7
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"ab12_init1.mp4?id=7\"
#EXT-X-PROGRAM-DATE-TIME:2025-11-25T00:00:05.250Z
#EXT-X-PART:DURATION=0.25000,URI=\"ab12_part1_0.mp4?id=7\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"ab12_part1_1.mp4?id=7\"
";
    assert_eq!(w.media(&Options { query: "id=7", skip: true }).unwrap(), expected);
}

#[test]
fn the_other_variants_know_nothing_of_parts() {
    for variant in [Variant::Mpegts, Variant::Fmp4] {
        let mut w = window(variant);
        fill(&mut w, 40);
        w.open(Duration::from_secs(1));
        w.begin_segment(0, true).unwrap();
        w.add_part(PART, true, vec![]).unwrap();
        let text = w.media(&Options { query: "", skip: true }).unwrap();
        for tag in ["PART", "SKIP", "CONTROL", "HINT"] {
            assert!(!text.contains(tag), "{text}");
        }
        assert_eq!(text.contains("EXT-X-MAP"), variant == Variant::Fmp4);
        let list = walker::parse(&text).unwrap();
        walker::rules(&list).unwrap();
        assert_eq!((list.media_sequence, list.segments.len()), (33, 7));
        assert_eq!(w.has(&at(4711, None)), State::Ready);
        assert_eq!(w.find("ab12_part39_0.mp4"), Found::Nothing);
    }
}

#[test]
fn a_delta_leaves_out_what_lies_before_the_skip_boundary() {
    let mut w = Window::new(Config { segment_count: 20, ..config(Variant::LowLatency) }, Some(b"map".to_vec()));
    fill(&mut w, 30);
    w.open(Duration::from_secs(1));
    let text = w.media(&Options { query: "", skip: true }).unwrap();
    let delta = walker::parse(&text).unwrap();
    // Six whole seconds lie behind the 14th of the 20; it is on the boundary.
    assert_eq!((delta.media_sequence, delta.skipped, delta.segments.len()), (10, 13, 7));
    assert!(!text.contains("EXT-X-MAP"));
    assert_eq!(full(&w).matches("EXT-X-MAP").count(), 1);
    let all = walker::parse(&full(&w)).unwrap();
    assert_eq!(walker::apply_delta(&all, &delta).unwrap(), all);
    // Parts in the last three seconds only.
    let with: Vec<bool> = all.segments.iter().map(|s| !s.parts.is_empty()).collect();
    assert_eq!(with, [vec![false; 17], vec![true; 3]].concat());
}

#[test]
fn the_discontinuity_sequence_counts_what_slid_out() {
    let mut w = window(Variant::Fmp4);
    w.open(Duration::from_secs(1));
    w.discontinuity(None);
    fill(&mut w, 2);
    w.discontinuity(None);
    w.discontinuity(Some(b"second".to_vec()));
    fill(&mut w, 7);
    let list = walker::parse(&full(&w)).unwrap();
    assert_eq!((list.media_sequence, list.discontinuity_sequence), (2, 0));
    assert!(list.segments[0].discontinuity && full(&w).matches("DISCONTINUITY\n").count() == 1);
    fill(&mut w, 1);
    let list = walker::parse(&full(&w)).unwrap();
    assert_eq!((list.media_sequence, list.discontinuity_sequence), (3, 1));
    assert_eq!(list.segments[0].map.as_deref(), Some("ab12_init1.mp4"));
}

#[test]
fn what_slid_out_stays_for_slow_readers_and_goes_then() {
    let mut w = window(Variant::LowLatency);
    w.open(Duration::from_secs(1));
    fill(&mut w, 7);
    w.discontinuity(Some(b"second".to_vec()));
    fill(&mut w, 1);
    // Number 0 has just left; the playlist was 8 s long with it in: 9 s to go.
    assert!(!full(&w).contains("seg0."));
    fill(&mut w, 8);
    let expected: Vec<Vec<u8>> = (0..4).map(|p| vec![p; 1000]).collect();
    assert_eq!(w.find("ab12_seg0.mp4"), Found::Segment(expected.iter().collect()));
    assert_eq!(w.find("ab12_part0_3.mp4"), Found::Part(&expected[3]));
    assert_eq!(w.find("ab12_init0.mp4"), Found::Map(&b"map".to_vec()));
    fill(&mut w, 1);
    assert_eq!((w.find("ab12_seg0.mp4"), w.find("ab12_part0_3.mp4")), (Found::Nothing, Found::Nothing));
    assert!(matches!(w.find("ab12_seg1.mp4"), Found::Segment(_)));
    fill(&mut w, 7);
    assert_eq!(w.find("ab12_init0.mp4"), Found::Nothing);
    assert_eq!(w.find("ab12_init1.mp4"), Found::Map(&b"second".to_vec()));
}

#[test]
fn what_slid_out_is_bounded() {
    let mut w = window(Variant::LowLatency);
    fill(&mut w, 1);
    w.begin_segment(0, true).unwrap();
    for _ in 0..400 {
        w.add_part(PART, true, vec![]).unwrap();
    }
    w.end_segment().unwrap();
    fill(&mut w, 60);
    // The 100 s segment made a playlist of 106 s: by time all would still be kept.
    let kept = (0..62).filter(|n| w.find(&format!("ab12_seg{n}.mp4")) != Found::Nothing).count();
    assert_eq!(kept, 7 + 28);
}

#[test]
fn one_thing_has_one_name() {
    let mut w = window(Variant::LowLatency);
    fill(&mut w, 2);
    w.begin_segment(0, true).unwrap();
    w.add_part(PART, true, vec![9]).unwrap();
    assert_eq!(w.find("ab12_part2_0.mp4"), Found::Part(&vec![9]));
    assert_eq!(w.find("ab12_part2_1.mp4"), Found::Hinted);
    for name in ["", "ab12_seg2.mp4", "ab12_seg01.mp4", "ab12_seg1.ts", "ab12_part1_00.mp4", "ab12_part+1_0.mp4"] {
        assert_eq!(w.find(name), Found::Nothing, "{name}");
    }
    for name in ["zz_seg1.mp4", "ab12_part1_4.mp4", "ab12_part2_2.mp4", "ab12_init1.mp4", "ab12_seg1.mp4?a=b"] {
        assert_eq!(w.find(name), Found::Nothing, "{name}");
    }
}

#[test]
fn what_breaks_a_rule_is_refused_and_changes_nothing() {
    let mut w = window(Variant::LowLatency);
    assert_eq!(w.add_part(PART, true, vec![]), Err(Refused::NoSegment));
    assert_eq!(w.end_segment(), Err(Refused::NoSegment));
    w.begin_segment(0, true).unwrap();
    assert_eq!(w.begin_segment(0, true), Err(Refused::SegmentOpen));
    assert_eq!(w.end_segment(), Err(Refused::Empty));
    assert_eq!(w.add_part(Duration::ZERO, true, vec![]), Err(Refused::Empty));
    assert_eq!(w.add_part(PART + Duration::from_millis(1), true, vec![]), Err(Refused::PartTooLong));
    w.open(Duration::from_millis(900));
    assert_eq!(w.open(Duration::from_secs(5)), 1);
    // A tenth of a second more rounds to the target.
    assert_eq!(w.room(), Duration::from_millis(1_100));
    // Short and independent may be followed; short alone may not.
    w.add_part(PART / 2, true, vec![]).unwrap();
    w.add_part(PART / 2, false, vec![]).unwrap();
    assert_eq!(w.add_part(PART, false, vec![]), Err(Refused::PartTooShort));
    assert_eq!(w.room(), Duration::from_millis(850));
    w.end_segment().unwrap();
    w.begin_segment(0, false).unwrap();
    for _ in 0..4 {
        w.add_part(PART, false, vec![]).unwrap();
    }
    assert_eq!(w.add_part(PART, false, vec![]), Err(Refused::SegmentTooLong));
    walker::rules(&walker::parse(&full(&w)).unwrap()).unwrap();

    let mut w = Window::<Vec<u8>>::new(Config { independent_segments: true, ..config(Variant::Mpegts) }, None);
    assert_eq!(w.begin_segment(0, false), Err(Refused::NotIndependent));
    fill(&mut w, 1);
    w.open(Duration::ZERO);
    assert!(full(&w).contains("#EXT-X-INDEPENDENT-SEGMENTS\n"));
}

#[test]
fn a_reload_waits_for_what_it_asks() {
    let mut w = window(Variant::LowLatency);
    assert_eq!(w.has(&Reload::default()), State::Ready);
    assert_eq!(w.has(&at(0, Some(0))), State::Wait);
    fill(&mut w, 3);
    w.begin_segment(0, true).unwrap();
    for (msn, part, state) in [
        (0, None, State::Ready),
        (1, Some(99), State::Ready),
        (2, Some(3), State::Ready),
        // Behind the last part of 2: the first of 3.
        (2, Some(4), State::Wait),
        (3, None, State::Wait),
        (3, Some(0), State::Wait),
        (3, Some(11), State::Wait),
        // Three seconds of parts are 12.
        (3, Some(12), State::TooFar),
        (4, None, State::Wait),
        (4, Some(0), State::Wait),
        (4, Some(12), State::TooFar),
        (5, None, State::TooFar),
        (u64::MAX, Some(u64::MAX), State::TooFar),
    ] {
        assert_eq!(w.has(&at(msn, part)), state, "{msn} {part:?}");
    }
    w.add_part(PART, true, vec![]).unwrap();
    for (msn, part, state) in [
        (2, Some(4), State::Ready),
        (2, Some(9), State::Ready),
        (3, None, State::Wait),
        (3, Some(0), State::Ready),
        (3, Some(1), State::Wait),
        (3, Some(12), State::Wait),
        (3, Some(13), State::TooFar),
    ] {
        assert_eq!(w.has(&at(msn, part)), state, "{msn} {part:?}");
    }
    w.end_segment().unwrap();
    assert_eq!((w.has(&at(3, None)), w.has(&at(3, Some(1)))), (State::Ready, State::Wait));
}

#[test]
fn directives_are_read_or_refused() {
    assert_eq!(Reload::parse(""), Ok(Reload::default()));
    assert_eq!(Reload::parse("token=x&_HLS_foo=1&_HLS_msn=7"), Ok(at(7, None)));
    assert_eq!(Reload::parse("_HLS_part=2&_HLS_msn=7"), Ok(at(7, Some(2))));
    for query in
        ["", "&_HLS_msn=7", "&_HLS_msn=7&_HLS_part=2", "&_HLS_msn=7&_HLS_part=0&_HLS_skip=YES", "&_HLS_skip=YES"]
    {
        assert_eq!(Reload::parse(query).unwrap().directives(), query);
    }
    for skip in ["_HLS_skip=YES", "_HLS_skip=v2"] {
        assert_eq!(Reload::parse(skip), Ok(Reload { at: None, skip: true }));
    }
    for (query, word) in [
        ("_HLS_part=1", "needs _HLS_msn"),
        ("_HLS_msn=", "whole number"),
        ("_HLS_msn", "whole number"),
        ("_HLS_msn=-1", "whole number"),
        ("_HLS_msn=+1", "whole number"),
        ("_HLS_msn=1.5", "whole number"),
        ("_HLS_msn=18446744073709551616", "whole number"),
        ("_HLS_msn=1&_HLS_part=x", "_HLS_part has"),
        ("_HLS_msn=1&_HLS_msn=1", "_HLS_msn is given twice"),
        ("_HLS_msn=1&_HLS_part=1&_HLS_part=2", "_HLS_part is given twice"),
        ("_HLS_skip=YES&_HLS_skip=v2", "_HLS_skip is given twice"),
        ("_HLS_skip=NO", "YES or v2"),
    ] {
        assert!(Reload::parse(query).unwrap_err().contains(word), "{query}");
    }
}

#[test]
fn full_parts_that_are_no_whole_units_fit() {
    let part_target = part_target((24_000, 1001), Duration::from_millis(200)).unwrap();
    let mut w = Window::new(Config { part_target, ..config(Variant::LowLatency) }, Some(b"map".to_vec()));
    w.open(Duration::from_secs(2));
    for _ in 0..1000 {
        w.begin_segment(0, true).unwrap();
        for _ in 0..9 {
            w.add_part(part_target, true, vec![]).unwrap();
        }
        w.end_segment().unwrap();
    }
    let text = full(&w);
    assert!(text.contains("PART-TARGET=0.20855\n") && text.contains("DURATION=0.20854,"));
    walker::rules(&walker::parse(&text).unwrap()).unwrap();
}

#[test]
fn mad_durations_are_refused() {
    for variant in [Variant::Fmp4, Variant::LowLatency] {
        let mut w = Window::new(Config { part_target: Duration::MAX, ..config(variant) }, Some(b"map".to_vec()));
        w.begin_segment(u64::MAX, true).unwrap();
        let low = variant == Variant::LowLatency;
        let why = if low { Refused::PartTooLong } else { Refused::SegmentTooLong };
        assert_eq!(w.add_part(Duration::MAX, true, vec![]), Err(why));
        w.add_part(PART, true, vec![]).unwrap();
        assert_eq!(w.open(Duration::MAX), 3600);
        w.end_segment().unwrap();
        assert!(full(&w).contains("9999-12-31"));
        assert_eq!(w.has(&at(1, Some(0))) == State::Wait, low);
    }
}

#[test]
fn part_targets_are_whole_frames() {
    let micros = |rate, wanted| part_target(rate, Duration::from_millis(wanted)).map(|d| d.as_nanos());
    assert_eq!(micros((12, 1), 200), Some(250_000_000));
    assert_eq!(micros((30_000, 1001), 200), Some(200_200_000));
    assert_eq!(micros((24_000, 1001), 200), Some(208_541_667));
    assert_eq!(micros((25, 1), 200), Some(200_000_000));
    assert_eq!(micros((25, 1), 201), Some(240_000_000));
    assert_eq!(micros((1, 2), 200), Some(2_000_000_000));
    assert_eq!(micros((25, 1), 0), Some(40_000_000));
    assert_eq!((micros((0, 1), 200), micros((1, 0), 200)), (None, None));
}

#[test]
fn the_multivariant_playlist_as_it_is_written() {
    let h265 = Stream {
        uri: "h265/index.m3u8".into(),
        bandwidth: 5_000_000,
        average_bandwidth: Some(4_000_000),
        codecs: vec!["hvc1.1.6.L120.90".into(), "mp4a.40.2".into()],
        resolution: Some((2560, 1440)),
        frame_rate: Some((30_000, 1001)),
    };
    let h264 = Stream {
        uri: "h264/index.m3u8".into(),
        bandwidth: 0,
        average_bandwidth: Some(7),
        codecs: vec![],
        resolution: None,
        frame_rate: Some((25, 0)),
    };
    let expected = "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-STREAM-INF:BANDWIDTH=5000000,AVERAGE-BANDWIDTH=4000000,CODECS=\"hvc1.1.6.L120.90,mp4a.40.2\",\
RESOLUTION=2560x1440,FRAME-RATE=29.970
h265/index.m3u8?id=7
#EXT-X-STREAM-INF:BANDWIDTH=7,AVERAGE-BANDWIDTH=7
h264/index.m3u8?id=7
";
    assert_eq!(multivariant(&[h265, h264], "id=7"), expected);
}
