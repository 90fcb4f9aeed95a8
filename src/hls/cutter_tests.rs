use proptest::prelude::*;

use super::*;
use crate::hls::playlist::{Found, Options, walker};

const TICKS: i64 = 3_600;

fn cutter(variant: Variant) -> Cutter {
    cutter_of(variant, TICKS)
}

fn cutter_of(variant: Variant, ticks: i64) -> Cutter {
    let cut = Cut {
        variant,
        segments: 7,
        segment: Duration::from_secs(1),
        part: Duration::from_millis(200),
        max_bytes: 1 << 20,
        prefix: "hls-1".into(),
    };
    Cutter::new(cut, ticks * 1_000, 90_000, b"map".to_vec())
}

fn frame(time: i64, key: bool, size: usize) -> Frame {
    let wall_ms = u64::try_from(time / 90).unwrap();
    Frame { data: vec![7; size].into(), dts: 900_000 + time, offset: 0, key, disposable: false, wall_ms }
}

fn playlist(c: &Cutter) -> walker::MediaPlaylist {
    let list = walker::parse(&c.window().media(&Options::default()).unwrap()).unwrap();
    walker::rules(&list).unwrap_or_else(|e| panic!("{e}: {list:#?}"));
    list
}

fn milliseconds(list: &walker::MediaPlaylist) -> Vec<u64> {
    list.segments.iter().map(|s| s.duration / 1_000_000).collect()
}

#[test]
fn parts_are_full_and_segments_end_at_key_frames() {
    let mut c = cutter(Variant::LowLatency);
    c.open_for(25);
    for i in 0..60 {
        c.push(frame(i * TICKS, i % 25 == 0, 100), None);
    }
    let list = playlist(&c);
    assert_eq!((list.target, milliseconds(&list)), (1, vec![1_000, 1_000]));
    assert!(list.segments.iter().all(|s| s.parts.len() == 5 && s.parts[0].independent && !s.parts[1].independent));
    // The part that is full goes out with the frame that fills it.
    assert_eq!(list.growing.unwrap().parts.len(), 2);
}

#[test]
fn the_sound_counts_in_what_a_segment_holds() {
    for variant in [Variant::LowLatency, Variant::Fmp4] {
        let mut c = cutter(variant);
        c.cut.max_bytes = 20_000;
        c.open_for(25);
        let mut lane = AudioLane::new(48_000, None);
        for i in 0..100 {
            lane.push(vec![1; 1_000].into(), 480_000 + i * 1_920, 1_920);
            c.push(frame(i * TICKS, i % 25 == 0, 100), Some(&mut lane));
        }
        let list = playlist(&c);
        assert!(list.segments.len() > 4, "{list:#?}");
        for segment in &list.segments {
            let Found::Segment(pieces) = c.window().find(&segment.uri) else { panic!("{segment:?}") };
            let bytes: usize = pieces.iter().map(|p| p.len()).sum();
            // And the boxes around them, and the sound that came with the picture behind it.
            assert!(bytes < 23_000, "{variant:?}: {bytes}");
        }
    }
}

#[test]
fn short_gops_are_gathered_and_what_is_too_long_is_cut() {
    let mut c = cutter(Variant::LowLatency);
    c.open_for(12);
    for i in 0..100 {
        c.push(frame(i * TICKS, i % 12 == 0, 100), None);
    }
    // Three GOPs of 0.48 s are the first that last a second.
    assert_eq!(milliseconds(&playlist(&c)), [1_440, 1_440]);
    let mut c = cutter(Variant::LowLatency);
    c.open_for(25);
    for i in 0..100 {
        c.push(frame(i * TICKS, i == 0, 100), None);
    }
    let list = playlist(&c);
    assert!(list.target == 1 && list.segments.iter().all(|s| s.duration <= 1_100_000_000));
    assert!(list.segments.iter().skip(1).all(|s| !s.parts[0].independent));
    let mut c = cutter(Variant::LowLatency);
    c.open_for(250);
    for i in 0..100 {
        c.push(frame(i * TICKS, i == 0, 100_000), None);
    }
    assert!(playlist(&c).segments.iter().all(|s| s.duration <= 440_000_000), "more than hlsSegmentMaxSize");
}

#[test]
fn segments_find_back_to_the_key_frames() {
    // 5, 8 and 25 frames a second with a GOP of a second, joined at every phase of it.
    for (ticks, gop) in [(18_000, 5), (11_250, 8), (TICKS, 25)] {
        for phase in 1..gop {
            let mut c = cutter_of(Variant::LowLatency, ticks);
            c.open_for(u32::try_from(gop).unwrap());
            for i in 0..10 * gop {
                c.push(frame(i * ticks, i % gop == 0, 100), None);
                if i == phase {
                    c.cut_here(None);
                }
            }
            let list = playlist(&c);
            let odd = list.numbered().filter(|(_, s)| s.parts.first().is_some_and(|p| !p.independent)).count();
            assert!(odd <= 1, "GOP of {gop}, phase {phase}: {list:#?}");
        }
    }
}

#[test]
fn sound_goes_along_with_its_part() {
    let mut c = cutter(Variant::LowLatency);
    let mut sound = AudioLane::new(48_000, None);
    c.open_for(25);
    for i in 0..30 {
        for half in 0..2 {
            sound.push(vec![1, 2, 3].into(), 480_000 + (i * 2 + half) * 960, 960);
        }
        c.push(frame(i * TICKS, i % 25 == 0, 100), Some(&mut sound));
    }
    assert_eq!(playlist(&c).segments.len(), 1);
    assert_eq!(sound.take(0).1.len(), 0, "sound was left behind");
}

#[test]
fn whole_segments_have_no_parts() {
    let mut c = cutter(Variant::Fmp4);
    c.open_for(25);
    for i in 0..80 {
        c.push(frame(i * TICKS, i % 25 == 0, 100), None);
    }
    assert_eq!(milliseconds(&playlist(&c)), [1_000, 1_000, 1_000]);
}

proptest! {
    #[test]
    fn every_playlist_keeps_the_rules(
        frames in proptest::collection::vec((0i64..1_800, 0u8..40, any::<bool>()), 60..300),
        gop in 1u32..60,
        breaks in 0usize..300,
    ) {
        let mut c = cutter(Variant::LowLatency);
        c.open_for(gop);
        let mut time = 0;
        let mut last: Option<walker::MediaPlaylist> = None;
        for (i, (jitter, lost, odd_key)) in frames.into_iter().enumerate() {
            time += TICKS * if lost == 0 { 3 } else { 1 };
            let key = i == 0 || (i as u32).is_multiple_of(gop) || (odd_key && lost == 1);
            if i == breaks {
                time += 300_000;
                c.breaks(900_000 + time, None, None);
            }
            c.push(frame(time + jitter, key, 50), None);
            if let Some(text) = c.window().media(&Options::default()) {
                let list = walker::parse(&text).map_err(TestCaseError::fail)?;
                walker::rules(&list).map_err(TestCaseError::fail)?;
                if let Some(last) = last {
                    walker::follows(&last, &list).map_err(TestCaseError::fail)?;
                }
                last = Some(list);
            }
        }
    }
}
