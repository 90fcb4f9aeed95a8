use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::*;
use crate::hls::playlist::Variant;
use crate::hls::ts::shelf::Shelf;
use crate::media::codec::Track as Source;
use crate::media::gop::Cap;
use crate::media::hub::{Feed, Hub, Subscription};
use crate::media::rtp::{self, Span};

/// x264's, 720p25 without B-frames, and 1080p29.97 with two.
pub(crate) const PLAIN: &[u8] = b"6742c01fda014016ec0440000003004000000ca3c60ca8";
const WITH_B: &[u8] = b"67640028acd940780227e5c04400000fa40003a9803c60c658";
pub(crate) const CODEC: Codec = Codec::H264 { profile_level_id: [0x42, 0xc0, 0x1f] };

fn hex(text: &[u8]) -> Vec<u8> {
    text.chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
}

/// A camera whose frames come by a Hub, as they do.
pub(crate) struct Camera {
    hub: Arc<Hub>,
    feed: Feed,
    reader: Subscription,
    sps: &'static [u8],
}

impl Camera {
    pub(crate) fn new(sps: &'static [u8]) -> Self {
        let hub = Hub::new(Cap::default());
        let feed = Self::begin(&hub);
        let mut reader = hub.subscribe();
        reader.play();
        Camera { hub, feed, reader, sps }
    }

    fn begin(hub: &Arc<Hub>) -> Feed {
        hub.begin(hub.epoch(), vec![Source { codec: CODEC, width: None, height: None, fps: None }]).unwrap()
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn restart(&mut self) {
        self.hub.end();
        self.feed = Self::begin(&self.hub);
    }

    /// The frame of a time in ticks, with a slice of so many bytes.
    pub(crate) fn unit(&mut self, ticks: i64, key: bool, size: usize) -> Arc<AccessUnit> {
        self.publish(ticks, key, size);
        tokio::task::unconstrained(self.reader.next()).now_or_never().expect("no unit").unwrap()
    }

    pub(crate) fn publish(&mut self, ticks: i64, key: bool, size: usize) {
        let mut frame = rtp::Frame { key, ..Default::default() };
        frame.timestamp = ticks as u32;
        frame.pts_ns = 1_000_000_000_000 + nanos(ticks);
        let mut slice = vec![7; size];
        slice[0] = if key { 0x65 } else { 0x41 };
        let sets = [hex(self.sps), vec![0x68, 0xce, 0x38, 0x80]];
        for payload in sets.iter().filter(|_| key).chain([&slice]) {
            frame.packets.push(Span { start: frame.data.len() as u32, len: payload.len() as u32 });
            frame.data.extend_from_slice(payload);
        }
        self.feed.publish(Kind::Video, frame);
    }
}

fn cut() -> Cut {
    Cut {
        variant: Variant::Mpegts,
        segments: 7,
        segment: Duration::from_secs(1),
        part: Duration::from_millis(200),
        max_bytes: 1 << 20,
        prefix: "hls-1".into(),
    }
}

fn plan(first: &Arc<AccessUnit>, cut: &Cut, gop: u32, period: u32) -> Plan {
    let known = Known { gop: Some(gop), period: Some(period), ..Known::default() };
    Plan::begin(cut, &known, &[CODEC], std::slice::from_ref(first), 0).unwrap().unwrap()
}

/// Pushes frames of (ticks, key), each of 100 bytes.
fn run(camera: &mut Camera, gop: u32, frames: impl IntoIterator<Item = (i64, bool)>) -> (Plan, Vec<Frame>) {
    let mut frames = frames.into_iter();
    let (at, key) = frames.next().unwrap();
    let first = camera.unit(at, key, 100);
    let mut plan = plan(&first, &cut(), gop, 3_600);
    plan.limit(Shelf::new(&cut(), plan.stream()).open(plan.gop().unwrap()));
    let mut out: Vec<Frame> = plan.push(&first).into_iter().collect();
    out.extend(frames.filter_map(|(at, key)| plan.push(&camera.unit(at, key, 100))));
    (plan, out)
}

/// Where segments begin, in frames, and whether with a key frame.
fn begins(frames: &[Frame]) -> Vec<(usize, bool)> {
    frames.iter().enumerate().filter_map(|(i, f)| f.begin.map(|b| (i, b.independent))).collect()
}

fn breaks(frames: &[Frame]) -> Vec<usize> {
    frames.iter().enumerate().filter_map(|(i, f)| f.begin.filter(|b| b.discontinuity).map(|_| i)).collect()
}

#[test]
fn segments_begin_with_key_frames_and_the_next_frame_settles_them() {
    let (plan, out) = run(&mut Camera::new(PLAIN), 12, (0..100).map(|i| (i * 3_600, i % 12 == 0)));
    assert_eq!(begins(&out), [(0, true), (36, true), (72, true)]);
    assert_eq!((0..100).filter(|i| out[*i].settles).collect::<Vec<_>>(), [1, 37, 73]);
    assert!(breaks(&out).is_empty());
    assert_eq!((out[36].pts, out[36].dts), (11_440_000_000, 11_440_000_000));
    assert_eq!(out[36].begin.unwrap().wall_ms, 1_000_000 + 1_440);
    // Delimiter, both sets, the slice; other frames have no sets.
    let starts = |f: &Frame| f.data.windows(4).filter(|w| *w == [0, 0, 0, 1]).count();
    assert_eq!((starts(&out[36]), starts(&out[37]), &out[37].data[..6]), (4, 2, &[0, 0, 0, 1, 9, 0xf0][..]));
    let stream = plan.stream();
    assert_eq!((stream.codecs[0].as_str(), stream.resolution), ("avc1.42C01F", Some((1280, 720))));
    assert_eq!(stream.frame_rate, Some((90_000_000, 3_600_000)));
}

#[test]
fn what_was_cached_is_a_segment_at_once_and_the_next_key_frame_ends_the_odd_one() {
    let mut camera = Camera::new(PLAIN);
    let first = camera.unit(0, true, 100);
    let mut plan = plan(&first, &cut(), 25, 3_600);
    let mut out: Vec<Frame> = plan.push(&first).into_iter().collect();
    for i in 1..80 {
        if i == 10 {
            plan.caught_up();
        }
        out.extend(plan.push(&camera.unit(i * 3_600, i % 25 == 0, 100)));
    }
    assert_eq!(begins(&out), [(0, true), (10, false), (25, true), (50, true), (75, true)]);
    // One is whole already, and near a key frame it is waited for.
    for (at, wanted) in [(27, vec![0, 25, 50]), (22, vec![0, 25, 50])] {
        let mut camera = Camera::new(PLAIN);
        let first = camera.unit(0, true, 100);
        let mut plan = self::plan(&first, &cut(), 25, 3_600);
        let mut out: Vec<Frame> = plan.push(&first).into_iter().collect();
        for i in 1..60 {
            if i == at {
                plan.caught_up();
            }
            out.extend(plan.push(&camera.unit(i * 3_600, i % 25 == 0, 100)));
        }
        assert_eq!(begins(&out).into_iter().map(|b| b.0).collect::<Vec<_>>(), wanted, "{at}");
    }
}

#[test]
fn a_restart_is_a_discontinuity_without_a_hole() {
    let mut camera = Camera::new(PLAIN);
    let (mut plan, out) = run(&mut camera, 25, (0..30).map(|i| (i * 3_600, i % 25 == 0)));
    camera.restart();
    // Eight seconds later, and its clock begins anew.
    let next = plan.push(&camera.unit(720_000 + 30 * 3_600, true, 100)).unwrap();
    let begin = next.begin.unwrap();
    assert!(begin.discontinuity && begin.independent);
    assert_eq!(next.pts - out[29].pts, 40_000_000);
    assert_eq!(begin.wall_ms, 1_000_000 + 8_000 + 1_200);
    let after = plan.push(&camera.unit(720_000 + 31 * 3_600, false, 100)).unwrap();
    assert!(after.settles && after.pts - next.pts == 40_000_000);
}

#[test]
fn the_cameras_clock_counts_with_the_next_key_frame_and_small_errors_are_followed() {
    const S: i64 = 1_000_000_000;
    let hour = 3_600 * S;
    let mut camera = Camera::new(PLAIN);
    let (mut plan, mut out) = run(&mut camera, 25, (0..30).map(|i| (i * 3_600, i % 25 == 0)));
    for i in 30..200 {
        // It tells in the middle of a GOP, and is put right by 100 ms later.
        plan.set_clock(hour + if i >= 60 { S / 10 } else { 0 });
        out.extend(plan.push(&camera.unit(i * 3_600, i % 25 == 0, 100)));
    }
    assert_eq!(breaks(&out), [50]);
    let dates: Vec<u64> = out.iter().filter_map(|f| f.begin.map(|b| b.wall_ms)).collect();
    let there = 1_000_000 + 3_600_000;
    // 20 ms of them each second, then all.
    let want = [1_000_000, 1_001_000, there + 2_000, there + 3_020, there + 4_040, there + 5_060, there + 6_080];
    assert_eq!(dates[..7], want);
    assert!(out.windows(2).all(|w| w[1].pts - w[0].pts == 40_000_000), "time has a hole");
    // A discontinuity for another reason takes it at once, key frame or not.
    plan.set_clock(0);
    let begin = plan.push(&camera.unit(300 * 3_600, false, 100)).unwrap().begin.unwrap();
    assert_eq!((begin.discontinuity, begin.independent, begin.wall_ms), (true, false, 1_000_000 + 12_000));
}

#[test]
fn a_pause_of_the_camera_is_one_too_and_a_short_one_is_not() {
    let times = |hole: i64| (0..60).map(move |i| (i * 3_600 + if i >= 40 { hole } else { 0 }, i % 25 == 0));
    let (_, out) = run(&mut Camera::new(PLAIN), 25, times(180_000));
    assert_eq!(breaks(&out), [40]);
    assert_eq!(begins(&out), [(0, true), (25, true), (40, false), (50, true)]);
    let (_, out) = run(&mut Camera::new(PLAIN), 25, times(18_000));
    assert_eq!((breaks(&out), out[40].pts - out[39].pts), (vec![], 240_000_000));
}

#[test]
fn long_gops_are_cut_where_the_target_ends() {
    // One of two seconds, where all before lasted one.
    let keys = [0, 25, 75];
    let (_, out) = run(&mut Camera::new(PLAIN), 25, (0..80).map(|i| (i * 3_600, keys.contains(&i))));
    assert_eq!(begins(&out), [(0, true), (25, true), (52, false), (75, true)]);
}

#[test]
fn heavy_segments_are_cut() {
    let mut camera = Camera::new(PLAIN);
    let first = camera.unit(0, true, 5_000);
    let cut = Cut { max_bytes: 20_000, ..cut() };
    let mut plan = plan(&first, &cut, 25, 3_600);
    let out: Vec<Frame> = (0..25).filter_map(|i| plan.push(&camera.unit(i * 3_600, i == 0, 5_000))).collect();
    assert_eq!(begins(&out).len(), 9);
    for segment in out.chunk_by(|_, b| b.begin.is_none()) {
        assert!(segment.iter().map(|f| f.data.len()).sum::<usize>() <= 20_000);
    }
    // Sound counts: of each picture's time as much as the picture.
    let mut camera = Camera::new(PLAIN);
    let first = camera.unit(0, true, 5_000);
    let mut plan = self::plan(&first, &cut, 25, 3_600);
    let mut begins = 0;
    for i in 0..25 {
        let frame = plan.push(&camera.unit(i * 3_600, i == 0, 5_000)).unwrap();
        begins += usize::from(frame.begin.is_some());
        plan.hear(5_000);
    }
    assert_eq!(begins, 13, "two pictures and their sound");
}

#[test]
fn with_b_frames_decode_times_go_forward_and_no_b_frame_begins_a_segment() {
    let mut camera = Camera::new(WITH_B);
    // I P B B P B B …, 31 of them: in decode order, when each is shown.
    let shown = |i: i64| match (i % 31, i % 31 % 3) {
        (0, _) => i,
        (_, 1) => i + 2,
        _ => i - 1,
    };
    let first = camera.unit(0, true, 100);
    let mut plan = plan(&first, &cut(), 31, 3_003);
    plan.limit(Shelf::new(&cut(), plan.stream()).open(plan.gop().unwrap()));
    let order = (1..124).map(|i| (shown(i) * 3_003, i % 31 == 0));
    let mut out: Vec<Frame> = plan.push(&first).into_iter().collect();
    out.extend(order.filter_map(|(at, key)| plan.push(&camera.unit(at, key, 100))));
    assert!(out.windows(2).all(|w| w[0].dts < w[1].dts));
    assert!(out.iter().all(|f| f.pts >= f.dts));
    assert!(begins(&out).iter().all(|(i, key)| *key && i % 31 == 0), "{:?}", begins(&out));
    assert_eq!(breaks(&out), [0usize; 0]);
}

#[test]
fn other_parameter_sets_are_a_discontinuity() {
    let mut camera = Camera::new(PLAIN);
    let (mut plan, _) = run(&mut camera, 25, (0..25).map(|i| (i * 3_600, i % 25 == 0)));
    camera.sps = WITH_B;
    let begin = plan.push(&camera.unit(25 * 3_600, true, 100)).unwrap().begin.unwrap();
    assert!(begin.discontinuity && plan.stream().resolution == Some((1920, 1080)));
}

#[test]
fn what_was_lost_is_made_good_by_a_key_frame() {
    let mut camera = Camera::new(PLAIN);
    let (mut plan, _) = run(&mut camera, 25, (0..30).map(|i| (i * 3_600, i % 25 == 0)));
    plan.lost();
    for i in 31..50 {
        assert_eq!(plan.push(&camera.unit(i * 3_600, false, 100)), None);
    }
    let begin = plan.push(&camera.unit(50 * 3_600, true, 100)).unwrap().begin.unwrap();
    assert!(begin.discontinuity && begin.independent);
}

#[test]
fn other_codecs_are_told() {
    let plan = Plan::begin(&cut(), &Known::default(), &[Codec::Pcma], &[], 0);
    assert!(matches!(plan, Err(Ended::Unfit(_))));
}

proptest! {
    #[test]
    fn a_tick_stays_a_tick(ticks in 0i64..1 << 40) {
        prop_assert_eq!(u128::from(nanos(ticks)) * 90_000 / 1_000_000_000, ticks as u128);
    }

    #[test]
    fn no_segment_is_longer_than_it_may_whatever_comes(
        steps in proptest::collection::vec((1i64..200_000, 0u8..10, any::<bool>()), 2..200),
    ) {
        let mut at = 0;
        let frames: Vec<(i64, bool)> = steps.iter().map(|(step, key, short)| {
            at += if *short { step % 4_000 + 1 } else { *step };
            (at, *key == 0)
        }).collect();
        let frames = std::iter::once((0, true)).chain(frames);
        let (_, out) = run(&mut Camera::new(PLAIN), 25, frames);
        prop_assert!(out.windows(2).all(|w| w[0].dts < w[1].dts));
        prop_assert!(out.iter().all(|f| f.pts >= f.dts));
        let begins: Vec<u64> = out.iter().filter(|f| f.begin.is_some()).map(|f| f.pts).collect();
        prop_assert!(begins.windows(2).all(|w| w[1] - w[0] <= 1_100_000_012), "{begins:?}");
        for segment in out.chunk_by(|_, b| b.begin.is_none()) {
            prop_assert_eq!(segment.iter().position(|f| f.settles), (segment.len() > 1).then_some(1));
        }
    }
}
