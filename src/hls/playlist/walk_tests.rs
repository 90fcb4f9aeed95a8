//! Random muxers, and a player that follows them.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::tests::{at, config, fill, window};
use super::walker::{self, MediaPlaylist};
use crate::hls::playlist::{Config, Found, Options, Refused, Reload, State, Variant, Window, part_target};

#[derive(Debug, Clone)]
enum Op {
    /// How many nanoseconds below the part target it is, and whether independent.
    Part(u64, bool),
    End,
    Discontinuity(bool),
    /// The player loads again, perhaps as a delta.
    Load(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => any::<bool>().prop_map(|i| Op::Part(0, i)),
        4 => (0u64..30_000_000, any::<bool>()).prop_map(|(n, i)| Op::Part(n, i)),
        1 => (30_000_000u64..200_000_000, any::<bool>()).prop_map(|(n, i)| Op::Part(n, i)),
        2 => Just(Op::End),
        1 => any::<bool>().prop_map(Op::Discontinuity),
        4 => any::<bool>().prop_map(Op::Load),
    ]
}

/// A muxer that cuts where the window asks it to, and the player behind it.
struct Walk {
    window: Window<Vec<u8>>,
    low: bool,
    begun: bool,
    pieces: u32,
    /// The time line as it really was: the end of each segment.
    ends: Vec<Duration>,
    end: Duration,
    had: Option<MediaPlaylist>,
    names: HashMap<String, Vec<u8>>,
}

impl Walk {
    fn cut(&mut self) {
        if self.window.end_segment().is_ok() {
            self.ends.push(self.end);
            self.begun = false;
        }
    }

    fn apply(&mut self, op: &Op) -> Result<(), String> {
        match *op {
            Op::Part(below, independent) => {
                let duration = Duration::from_nanos(208_541_667 - below);
                for _ in 0..2 {
                    if !self.begun {
                        self.window
                            .begin_segment(u64::from(self.pieces) * 200, independent)
                            .map_err(|e| e.to_string())?;
                        self.begun = true;
                    }
                    match self.window.add_part(duration, independent, self.pieces.to_be_bytes().to_vec()) {
                        Ok(()) => {
                            self.pieces += 1;
                            self.end += duration;
                            return Ok(());
                        }
                        Err(Refused::SegmentTooLong | Refused::PartTooShort) => self.cut(),
                        Err(e) => return Err(e.to_string()),
                    }
                }
                return Err("refused twice".into());
            }
            Op::End => self.cut(),
            Op::Discontinuity(map) => {
                let was = self.window.segments() as u64 + self.pieces as u64;
                self.cut();
                self.window.discontinuity((map && was > 0).then(|| self.pieces.to_be_bytes().to_vec()));
                self.begun = false;
            }
            Op::Load(skip) => self.load(skip)?,
        }
        Ok(())
    }

    fn load(&mut self, skip: bool) -> Result<(), String> {
        let Some(text) = self.window.media(&Options::default()) else { return Ok(()) };
        let delta = self.window.media(&Options { skip: true, ..Default::default() }).ok_or("no delta")?;
        let list = walker::parse(&text).map_err(|e| format!("{e}\n{text}"))?;
        let delta = walker::parse(&delta).map_err(|e| format!("{e}\n{delta}"))?;
        for list in [&list, &delta] {
            walker::rules(list).map_err(|e| format!("{e}\n{text}"))?;
        }
        assert!(self.low || delta.skipped == 0);
        // A player that has the present playlist, and one that has an older one.
        assert_eq!(walker::apply_delta(&list, &delta)?, list);
        if let Some(had) = self.had.take() {
            walker::follows(&had, &list).map_err(|e| format!("{e}\n{text}"))?;
            if skip && let Ok(applied) = walker::apply_delta(&had, &delta) {
                assert_eq!(applied, list);
            }
        }
        self.reach(&list)?;
        self.had = Some(list);
        Ok(())
    }

    /// All that is listed can be fetched, is what it was, and lasts as long.
    fn reach(&mut self, list: &MediaPlaylist) -> Result<(), String> {
        for (msn, segment) in list.numbered() {
            let mut wanted: Vec<&str> = segment.parts.iter().map(|p| p.uri.as_str()).collect();
            wanted.extend(segment.map.as_deref());
            wanted.extend(Some(segment.uri.as_str()).filter(|u| !u.is_empty()));
            let mut pieces: Vec<u8> = Vec::new();
            for name in wanted {
                let bytes = match self.window.find(name) {
                    Found::Map(b) => b.clone(),
                    Found::Part(b) => {
                        pieces.extend(b);
                        b.clone()
                    }
                    Found::Segment(all) => {
                        let all: Vec<u8> = all.into_iter().flatten().copied().collect();
                        assert!(pieces.is_empty() || pieces == all);
                        all
                    }
                    other => return Err(format!("{name}: {other:?}")),
                };
                let first = self.names.entry(name.into()).or_insert_with(|| bytes.clone());
                assert_eq!(&bytes, first, "{name} is something else now");
            }
            assert!(matches!(self.window.has(&at(msn, Some(0))), State::Ready) || !self.low);
            if !segment.uri.is_empty() {
                let from = msn.checked_sub(1).map_or(Duration::ZERO, |m| self.ends[m as usize]);
                let real = (self.ends[msn as usize] - from).as_nanos() as i128;
                assert!((real - i128::from(segment.duration)).abs() <= 10_000, "{real} {}", segment.duration);
            }
        }
        // From the first to the last, no drift: one rounding at either end.
        if let Some(last) = list.segments.len().checked_sub(1) {
            let first = list.media_sequence as usize;
            let from = first.checked_sub(1).map_or(Duration::ZERO, |m| self.ends[m]);
            let sum: u64 = list.segments.iter().map(|s| s.duration).sum();
            let real = (self.ends[first + last] - from).as_nanos() as i128;
            assert!((real - i128::from(sum)).abs() <= 10_000, "{real} {sum}");
        }
        match (&list.hint, self.low) {
            (Some(hint), true) => assert_eq!(self.window.find(hint), Found::Hinted),
            (hint, _) => assert!(hint.is_none()),
        }
        if self.low {
            let parts = list.growing.as_ref().map_or(0, |s| s.parts.len() as u64);
            assert_eq!(self.window.has(&at(list.next(), Some(parts))), State::Wait);
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_playlist_keeps_the_rules(
        low in any::<bool>(), count in 0usize..24, gop in 1u64..3000, begin in 0usize..60,
        ops in proptest::collection::vec(op(), 1..400),
    ) {
        let variant = if low { Variant::LowLatency } else { Variant::Fmp4 };
        // 23.976 fps: 208.541666… ms are no whole number of units.
        let part_target = part_target((24_000, 1001), Duration::from_millis(200)).unwrap();
        let config = Config { segment_count: count, part_target, ..config(variant) };
        let window = Window::new(config, Some(b"map".to_vec()));
        let mut walk = Walk {
            window, low, begun: false, pieces: 0, ends: Vec::new(), end: Duration::ZERO, had: None,
            names: HashMap::new(),
        };
        for (index, op) in ops.iter().enumerate() {
            if index == begin {
                walk.window.open(Duration::from_millis(gop));
            }
            if let Err(error) = walk.apply(op) {
                return Err(TestCaseError::fail(error));
            }
        }
        walk.load(false).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn no_query_panics(query in "(_HLS_(msn|part|skip)=[0-9YESv+-]{0,22}&?|.){0,6}") {
        if let Ok(reload) = Reload::parse(&query) {
            let mut w = window(Variant::LowLatency);
            fill(&mut w, 3);
            w.has(&reload);
        }
    }
}
