use std::sync::atomic::Ordering;

use super::*;

fn track(codec: Codec) -> Track {
    Track { codec, width: None, height: None, fps: None }
}
fn begin(hub: &Arc<Hub>, tracks: Vec<Track>) -> Feed {
    hub.begin(hub.epoch(), tracks).unwrap()
}
fn h264() -> Track {
    track(Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f] })
}
fn frame(key: bool, n: u32) -> Frame {
    Frame {
        data: vec![n as u8; 10],
        packets: vec![Span { start: 0, len: 4 }, Span { start: 4, len: 6 }],
        timestamp: n * 3_600,
        pts_ns: 1_000_000_000 + u64::from(n) * 40_000_000,
        key,
    }
}
fn numbers(units: &[Arc<AccessUnit>]) -> Vec<u8> {
    units.iter().map(|u| u.data[0]).collect()
}
fn drain(s: &mut Subscription) -> Vec<u8> {
    std::iter::from_fn(|| s.rx.try_recv().ok()).map(|u| u.data[0]).collect()
}

#[test]
fn a_late_reader_starts_at_the_key_frame_and_goes_on_without_a_gap() {
    let hub = Hub::new(Cap::default());
    let feed = begin(&hub, vec![h264()]);
    assert!(!feed.publish(Kind::Video, frame(false, 1)));
    assert!(feed.publish(Kind::Video, frame(true, 2)));
    feed.publish(Kind::Video, frame(false, 3));
    let mut s = hub.subscribe();
    let start = s.play();
    feed.publish(Kind::Video, frame(false, 4));
    assert_eq!((numbers(&start.units), drain(&mut s)), (vec![2, 3], vec![4]));
    assert!(start.continuous);
}

#[test]
fn a_slow_reader_loses_whole_frames_up_to_the_next_key_and_nobody_else_does() {
    let hub = Hub::new(Cap::default());
    let feed = begin(&hub, vec![h264()]);
    feed.publish(Kind::Video, frame(true, 0));
    let (mut slow, mut fast) = (hub.subscribe(), hub.subscribe());
    slow.play();
    fast.play();
    let mut got = Vec::new();
    for n in 0..QUEUE as u32 + 10 {
        feed.publish(Kind::Video, frame(false, n % 200));
        got.extend(drain(&mut fast));
    }
    assert_eq!(got.len(), QUEUE + 10);
    assert_eq!(drain(&mut slow).len(), QUEUE);
    feed.publish(Kind::Video, frame(false, 201));
    feed.publish(Kind::Video, frame(true, 202));
    feed.publish(Kind::Video, frame(false, 203));
    assert_eq!(drain(&mut slow), [202, 203]);
    assert_eq!(slow.stats.dropped.load(Ordering::Relaxed), 11);
    assert_eq!(fast.stats.dropped.load(Ordering::Relaxed), 0);
    assert_eq!(hub.dropped.load(Ordering::Relaxed), 11);
}

#[test]
fn readers_outlive_the_source_and_timestamps_go_on() {
    let hub = Hub::new(Cap::default());
    let feed = begin(&hub, vec![h264()]);
    feed.publish(Kind::Video, frame(true, 1));
    let mut s = hub.subscribe();
    s.play();
    hub.end();
    assert!(!feed.publish(Kind::Video, frame(true, 9)), "the old source is deaf");
    let feed = begin(&hub, vec![h264()]);
    feed.publish(Kind::Video, frame(false, 10));
    let mut again = frame(true, 50);
    again.timestamp = 12345;
    feed.publish(Kind::Video, again);
    let unit = s.rx.try_recv().unwrap();
    assert!(unit.key, "a delta of the new source is of no use to the old decoder");
    assert_eq!(unit.timestamp, ((1_000u64 + 50 * 40) * 90) as u32);
    assert!(s.rx.try_recv().is_err());
}

#[tokio::test]
async fn another_codec_closes_the_readers_with_the_reason() {
    let hub = Hub::new(Cap::default());
    begin(&hub, vec![h264()]);
    let mut s = hub.subscribe();
    s.play();
    begin(&hub, vec![track(Codec::H265 { profile_id: 1, tier_flag: 0, level_id: 93 })]);
    assert_eq!(s.next().await.unwrap_err(), CloseReason::CodecChanged);
}

#[tokio::test]
async fn audio_that_appears_closes_them_audio_that_goes_does_not() {
    let hub = Hub::new(Cap::default());
    begin(&hub, vec![h264(), track(Codec::Pcma)]);
    let mut s = hub.subscribe();
    s.play();
    let feed = begin(&hub, vec![h264()]);
    feed.publish(Kind::Video, frame(true, 1));
    assert!(s.next().await.unwrap().key);
    begin(&hub, vec![h264(), track(Codec::Opus { channels: 2 })]);
    assert_eq!(s.next().await.unwrap_err(), CloseReason::CodecChanged);
}

fn aac(config: &[u8]) -> Track {
    track(Codec::Aac { format: "MPEG4-GENERIC", config: config.into() })
}

#[tokio::test]
async fn what_a_reader_does_not_take_is_no_track_to_it() {
    let hub = Hub::new(Cap::default());
    begin(&hub, vec![h264()]);
    let (mut viewer, mut muxer) = (hub.subscribe(), hub.subscribe());
    muxer.takes(Codec::carried);
    viewer.play();
    muxer.play();
    // Sound that only the muxer can take: it has to begin anew, and nobody else.
    let feed = begin(&hub, vec![h264(), aac(&[0x11, 0x90])]);
    assert_eq!(muxer.next().await.unwrap_err(), CloseReason::CodecChanged);
    feed.publish(Kind::Audio, frame(true, 1));
    feed.publish(Kind::Video, frame(true, 2));
    assert_eq!(drain(&mut viewer), [2]);
    let mut muxer = hub.subscribe();
    muxer.takes(Codec::carried);
    muxer.play();
    feed.publish(Kind::Audio, frame(true, 3));
    assert_eq!(drain(&mut muxer), [3]);
    // The same once more, before its configuration is known; then another one.
    begin(&hub, vec![h264(), aac(&[])]).publish(Kind::Video, frame(true, 4));
    assert_eq!((drain(&mut muxer), drain(&mut viewer)), (vec![4], vec![4]));
    begin(&hub, vec![h264(), aac(&[0x14, 0x08])]);
    assert_eq!(muxer.next().await.unwrap_err(), CloseReason::CodecChanged);
    assert!(drain(&mut viewer).is_empty() && viewer.closed.borrow().is_none());
}

#[tokio::test]
async fn who_negotiated_g711_gets_no_aac_and_keeps_the_picture() {
    let hub = Hub::new(Cap::default());
    begin(&hub, vec![h264(), track(Codec::Pcma)]);
    let mut viewer = hub.subscribe();
    viewer.play();
    let feed = begin(&hub, vec![h264(), aac(&[0x11, 0x90])]);
    feed.publish(Kind::Video, frame(true, 1));
    feed.publish(Kind::Audio, frame(true, 2));
    assert_eq!(drain(&mut viewer), [1]);
    // And back: nobody has to join again.
    let feed = begin(&hub, vec![h264(), track(Codec::Pcma)]);
    feed.publish(Kind::Audio, frame(true, 3));
    assert_eq!(drain(&mut viewer), [3]);
    // Who joined while it was AAC negotiated no sound.
    begin(&hub, vec![h264(), aac(&[0x11, 0x90])]);
    let mut late = hub.subscribe();
    late.play();
    begin(&hub, vec![h264(), track(Codec::Pcma)]);
    assert_eq!(late.next().await.unwrap_err(), CloseReason::CodecChanged);
}

#[test]
fn readers_are_counted_and_leave_by_dropping() {
    let hub = Hub::new(Cap::default());
    let count = hub.readers();
    let s = hub.subscribe();
    let t = hub.subscribe();
    assert_eq!(*count.borrow(), 2);
    drop(s);
    drop(t);
    assert_eq!(*count.borrow(), 0);
}

#[tokio::test]
async fn a_closed_reader_cannot_play_again() {
    let hub = Hub::new(Cap::default());
    let feed = begin(&hub, vec![h264()]);
    feed.publish(Kind::Video, frame(true, 1));
    let mut s = hub.subscribe();
    hub.close_readers(CloseReason::PathRemoved);
    s.play();
    assert_eq!(s.next().await.unwrap_err(), CloseReason::PathRemoved);
}

#[test]
fn audio_without_video_is_ready_at_once() {
    let hub = Hub::new(Cap::default());
    let feed = begin(&hub, vec![track(Codec::Pcmu)]);
    assert!(feed.publish(Kind::Audio, frame(true, 1)));
}

#[test]
fn a_source_that_was_stopped_cannot_begin_late() {
    let hub = Hub::new(Cap::default());
    let since = hub.epoch();
    hub.end();
    assert!(hub.begin(since, vec![h264()]).is_none());
}

#[test]
fn sound_alone_is_ready_also_where_there_was_video_before() {
    let hub = Hub::new(Cap::default());
    begin(&hub, vec![h264(), track(Codec::Pcma)]).publish(Kind::Video, frame(true, 1));
    hub.end();
    let feed = begin(&hub, vec![track(Codec::Pcma)]);
    assert!(feed.publish(Kind::Audio, frame(true, 2)));
}

#[test]
fn the_last_key_frame_outlives_its_source_and_not_its_path() {
    let hub = Hub::new(Cap::default());
    let feed = begin(&hub, vec![h264(), track(Codec::Pcma)]);
    feed.publish(Kind::Audio, frame(true, 1));
    feed.publish(Kind::Video, frame(false, 2));
    assert!(hub.still().is_none());
    feed.publish(Kind::Video, frame(true, 3));
    let first = hub.still().unwrap();
    feed.publish(Kind::Video, frame(false, 4));
    hub.end();
    assert!(!feed.publish(Kind::Video, frame(true, 5)), "a source that is over");
    assert!(Arc::ptr_eq(&hub.still().unwrap(), &first));
    begin(&hub, vec![h264()]).publish(Kind::Video, frame(true, 6));
    assert!(!Arc::ptr_eq(&hub.still().unwrap(), &first));
    hub.forget_still();
    assert!(hub.still().is_none());
}

#[test]
fn a_cameras_clock_outlives_its_source_until_it_says_otherwise() {
    let hub = Hub::new(Cap::default());
    let feed = begin(&hub, vec![h264(), track(Codec::Pcma)]);
    assert_eq!(hub.clock(), None);
    feed.clock(Kind::Audio, Some(5));
    assert_eq!(hub.clock(), Some(5), "better than none");
    feed.clock(Kind::Video, Some(7));
    hub.end();
    feed.clock(Kind::Video, Some(9));
    assert_eq!(hub.clock(), Some(7), "a source that is over says nothing");
    let feed = begin(&hub, vec![h264()]);
    assert_eq!(hub.clock(), Some(7));
    feed.clock(Kind::Video, None);
    feed.clock(Kind::Audio, None);
    assert_eq!(hub.clock(), None);
    feed.clock(Kind::Video, Some(7));
    hub.forget_still();
    assert_eq!(hub.clock(), None);
}

/// A tap that notes what it gets, as long as it has room.
#[derive(Clone, Default)]
struct Notes {
    got: Arc<Mutex<Vec<String>>>,
    full: Arc<std::sync::atomic::AtomicBool>,
}

impl Notes {
    fn tap(&self, hub: &Arc<Hub>) -> Tap {
        let notes = self.clone();
        hub.tap(move |fed| {
            let room = !notes.full.load(Ordering::Relaxed);
            if room {
                notes.got.lock().unwrap().push(match fed {
                    Fed::Start(s) => format!("start {:?} {}", numbers(&s.units), s.continuous),
                    Fed::Unit(u) => format!("{:?} {}", u.kind, u.data[0]),
                    Fed::Interrupted => "interrupted".into(),
                });
            }
            room
        })
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.got.lock().unwrap())
    }
}

#[test]
fn a_tap_starts_with_what_is_cached_goes_on_without_a_gap_and_counts_as_nobody() {
    let hub = Hub::new(Cap::default());
    let feed = begin(&hub, vec![h264(), track(Codec::Pcma)]);
    for n in 1..4 {
        feed.publish(Kind::Video, frame(n == 2, n));
    }
    let notes = Notes::default();
    let tap = notes.tap(&hub);
    feed.publish(Kind::Audio, frame(true, 4));
    feed.publish(Kind::Video, frame(false, 5));
    assert_eq!(notes.take(), ["start [2, 3] true", "Audio 4", "Video 5"]);
    assert_eq!(*hub.readers().borrow(), 0);
    assert_eq!(tap.stats().queued.load(Ordering::Relaxed), 2);
    drop(tap);
    feed.publish(Kind::Video, frame(true, 6));
    assert!(notes.take().is_empty());
    assert_eq!(Arc::strong_count(&notes.got), 1, "the function is gone as well");
}

#[test]
fn a_tap_without_room_goes_on_with_a_key_frame_and_nobody_else_notices() {
    let hub = Hub::new(Cap::default());
    let feed = begin(&hub, vec![h264(), track(Codec::Pcma)]);
    let (notes, other) = (Notes::default(), Notes::default());
    let (tap, _other) = (notes.tap(&hub), other.tap(&hub));
    feed.publish(Kind::Video, frame(true, 1));
    notes.full.store(true, Ordering::Relaxed);
    feed.publish(Kind::Video, frame(false, 2));
    feed.publish(Kind::Audio, frame(true, 3));
    notes.full.store(false, Ordering::Relaxed);
    feed.publish(Kind::Audio, frame(true, 4));
    feed.publish(Kind::Video, frame(false, 5));
    feed.publish(Kind::Video, frame(true, 6));
    assert_eq!(notes.take(), ["start [] false", "Video 1", "Audio 4", "Video 6"]);
    assert_eq!(other.take().len(), 1 + 6);
    let dropped = tap.stats().dropped.load(Ordering::Relaxed);
    assert_eq!((dropped, hub.dropped.load(Ordering::Relaxed)), (3, 3));
}

#[test]
fn a_tap_outlives_the_source_and_not_its_codec() {
    let hub = Hub::new(Cap::default());
    begin(&hub, vec![h264()]).publish(Kind::Video, frame(true, 1));
    let notes = Notes::default();
    let tap = notes.tap(&hub);
    hub.end();
    let feed = begin(&hub, vec![h264(), aac(&[0x11, 0x90])]);
    feed.publish(Kind::Video, frame(false, 2));
    feed.publish(Kind::Audio, frame(true, 3));
    feed.publish(Kind::Video, frame(true, 4));
    assert_eq!(notes.take(), ["start [1] true", "interrupted", "interrupted", "Video 4"]);
    assert!(!tap.over());
    let feed = begin(&hub, vec![track(Codec::H265 { profile_id: 1, tier_flag: 0, level_id: 93 })]);
    assert!(tap.over());
    feed.publish(Kind::Video, frame(true, 5));
    assert!(notes.take().is_empty());
    let next = notes.tap(&hub);
    assert_eq!(notes.take(), ["start [5] true"]);
    hub.close_readers(CloseReason::PathRemoved);
    assert!(next.over());
}

#[test]
fn a_tap_over_the_cap_gets_the_still_and_then_the_next_key_frame() {
    let hub = Hub::new(Cap { bytes: 25, units: 9 });
    let feed = begin(&hub, vec![h264()]);
    for n in 1..5 {
        feed.publish(Kind::Video, frame(n == 1, n));
    }
    let notes = Notes::default();
    let _tap = notes.tap(&hub);
    feed.publish(Kind::Video, frame(false, 5));
    feed.publish(Kind::Video, frame(true, 6));
    assert_eq!(notes.take(), ["start [1] false", "Video 6"]);
}
