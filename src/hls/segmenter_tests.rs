use std::time::Duration;

use super::*;
use crate::hls::playlist::{Options, Variant, walker};
use crate::media::gop::Cap;
use crate::media::hub::{Feed, Hub, Subscription};
use crate::media::rtp;

/// 1280×720, constrained baseline, 25 fps, from x264.
const SPS: [u8; 23] = [
    0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xec, 0x04, 0x40, 0, 0, 3, 0, 0x40, 0, 0, 0x0c, 0xa3, 0xc6, 0x0c,
    0xa8,
];
const PPS: [[u8; 3]; 3] = [[0x68, 0xce, 0x38], [0x68, 0xce, 0x3c], [0x68, 0xce, 0x0f]];
const S: u64 = 1_000_000_000;

/// A path with a camera, and a segmenter that is followed by a player.
struct Bench {
    feed: Feed,
    subscription: Subscription,
    runtime: tokio::runtime::Runtime,
    cut: Cut,
    segmenter: Option<Segmenter>,
    cached: Vec<Arc<AccessUnit>>,
    /// When the next frame is captured, ns.
    now: u64,
    /// The last playlist, and how often the name of it changed.
    last: Option<walker::MediaPlaylist>,
    generation: u32,
    discontinuities: usize,
}

impl Bench {
    fn new(variant: Variant) -> Self {
        let hub = Hub::new(Cap::default());
        let codec = Codec::H264 { profile_level_id: [0x42, 0xc0, 0x1f] };
        let track = crate::media::codec::Track { codec, width: None, height: None, fps: None };
        let feed = hub.begin(hub.epoch(), vec![track]).unwrap();
        let mut subscription = hub.subscribe();
        subscription.play();
        let cut = Cut {
            variant,
            segments: 7,
            segment: Duration::from_secs(1),
            part: Duration::from_millis(200),
            max_bytes: 1 << 20,
            prefix: "hls-1".into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Bench {
            feed,
            subscription,
            runtime,
            cut,
            segmenter: None,
            cached: Vec::new(),
            now: 100 * S,
            last: None,
            generation: 0,
            discontinuities: 0,
        }
    }

    /// A frame every `period` ns, `frames` of them, a key frame each `gop`, with this PPS.
    fn run(&mut self, period: u64, frames: u64, gop: u64, pps: impl Fn(u64) -> [u8; 3]) {
        for i in 0..frames {
            let key = i % gop == 0;
            let nals: Vec<Vec<u8>> = if key {
                vec![SPS.to_vec(), pps(i / gop).to_vec(), vec![0x65, 1, 2, 3]]
            } else {
                vec![vec![0x41, 1, 2, 3]]
            };
            self.frame(key, &nals);
            self.now += period;
        }
    }

    fn frame(&mut self, key: bool, nals: &[Vec<u8>]) {
        let mut packets = Vec::new();
        let mut data = Vec::new();
        for nal in nals {
            packets.push(rtp::Span { start: data.len() as u32, len: nal.len() as u32 });
            data.extend_from_slice(nal);
        }
        let timestamp = (u128::from(self.now) * 90_000 / u128::from(S)) as u32;
        self.feed.publish(Kind::Video, rtp::Frame { data, packets, timestamp, pts_ns: self.now, key });
        let unit = self.runtime.block_on(self.subscription.next()).unwrap();
        if let Some(segmenter) = &mut self.segmenter {
            segmenter.set_clock(self.subscription.clock().unwrap_or(0));
            segmenter.push(&unit).unwrap();
        } else {
            self.cached.push(unit);
            let codecs = [Codec::H264 { profile_level_id: [0x42, 0xc0, 0x1f] }];
            let begun = Segmenter::begin(self.cut.clone(), Known::default(), &codecs, &self.cached, 0);
            if let Some(mut segmenter) = begun.unwrap() {
                for unit in self.cached.drain(..) {
                    segmenter.push(&unit).unwrap();
                }
                self.segmenter = Some(segmenter);
            }
        }
        self.look();
    }

    fn look(&mut self) {
        let Some(segmenter) = &self.segmenter else { return };
        let Some(text) = segmenter.window().media(&Options::default()) else { return };
        let list = walker::parse(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let moved = segmenter.generation() != self.generation;
        self.generation = segmenter.generation();
        let fine = if self.generation == 0 { walker::rules(&list) } else { walker::rules_after_a_change(&list) };
        fine.unwrap_or_else(|e| panic!("{e}: {text}"));
        let last = self.last.replace(list.clone());
        let Some(last) = last else { return };
        let fine = if moved { walker::follows_elsewhere(&last, &list) } else { walker::follows(&last, &list) };
        fine.unwrap_or_else(|e| panic!("{e}: {text}"));
        let known = last.next() + u64::from(last.growing.is_some());
        self.discontinuities += list.numbered().filter(|(n, s)| *n >= known && s.discontinuity).count();
    }

    fn rate(&self) -> f64 {
        let (frames, per) = self.segmenter.as_ref().unwrap().stream(String::new()).frame_rate.unwrap();
        f64::from(frames) / f64::from(per)
    }

    fn part_target(&self) -> f64 {
        self.last.as_ref().unwrap().part_target.unwrap() as f64 / 1e9
    }
}

fn same(_: u64) -> [u8; 3] {
    PPS[0]
}

/// Where segments that are not the first behind a discontinuity begin: key frames only.
fn ragged(list: &walker::MediaPlaylist) -> usize {
    list.numbered().filter(|(_, s)| s.parts.first().is_some_and(|p| !p.independent)).count()
}

#[test]
fn a_rate_whose_parts_fit_goes_on_in_the_same_playlist() {
    for (fps, ticks) in [(50, 20_000_000), (12, 83_333_333), (10, 100_000_000), (5, 200_000_000)] {
        let mut bench = Bench::new(Variant::LowLatency);
        bench.run(40_000_000, 100, 25, same);
        bench.run(ticks, 30 * fps, fps, same);
        assert!((bench.rate() - fps as f64).abs() < 0.01, "{fps}: {}", bench.rate());
        // 12 frames a second make parts of 250 ms, the others 200 ms.
        let (generation, target) = if fps == 12 { (1, 0.251_25) } else { (0, 0.201) };
        assert_eq!((bench.generation, bench.discontinuities), (generation, 1), "{fps}");
        assert!((bench.part_target() - target).abs() < 0.000_1, "{fps}: {}", bench.part_target());
        assert_eq!(ragged(bench.last.as_ref().unwrap()), 0, "{fps}: {:#?}", bench.last);
    }
}

#[test]
fn whole_segments_go_on_at_any_rate() {
    let mut bench = Bench::new(Variant::Fmp4);
    bench.run(40_000_000, 100, 25, same);
    bench.run(125_000_000, 300, 8, same);
    assert_eq!((bench.generation, bench.discontinuities, bench.rate()), (0, 1, 8.0));
}

#[test]
fn a_lost_second_or_a_bunch_is_no_other_rate() {
    let mut bench = Bench::new(Variant::LowLatency);
    bench.run(40_000_000, 100, 25, same);
    bench.now += 2 * S;
    bench.run(40_000_000, 200, 25, same);
    assert_eq!((bench.generation, bench.discontinuities, bench.rate()), (0, 1, 25.0));
}

#[test]
fn pps_that_take_turns_make_no_discontinuity_each() {
    for turn in [[[0x68, 0xce, 0x38], [0x68, 0x4c, 0x38]], [PPS[0], PPS[1]]] {
        let mut bench = Bench::new(Variant::LowLatency);
        bench.run(40_000_000, 100, 25, same);
        bench.run(40_000_000, 500, 25, |gop| turn[(gop % 2) as usize]);
        assert_eq!(bench.discontinuities, 1, "{turn:x?}");
    }
}

#[test]
fn the_cameras_clock_counts_from_when_it_is_known() {
    let mut bench = Bench::new(Variant::LowLatency);
    bench.run(40_000_000, 100, 25, same);
    let hour = 3_600 * S as i64;
    bench.feed.clock(Kind::Video, Some(hour));
    bench.run(40_000_000, 100, 25, same);
    // A little off: followed, and not with a discontinuity.
    bench.feed.clock(Kind::Video, Some(hour + 100_000_000));
    bench.run(40_000_000, 200, 25, same);
    assert_eq!(bench.discontinuities, 1);
    let list = bench.last.as_ref().unwrap();
    let date = list.numbered().last().and_then(|(_, s)| s.time.clone()).unwrap();
    // The last segment but the growing one's 100 s + 16 s after the epoch began, and an hour.
    assert!(date.starts_with("1970-01-01T01:01:5"), "{date}");
    // Back to our own.
    bench.feed.clock(Kind::Video, None);
    bench.run(40_000_000, 100, 25, same);
    assert_eq!(bench.discontinuities, 2);
}
