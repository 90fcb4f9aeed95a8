//! The real pipeline behind a Hub without a camera.

use super::super::{Answer, Asked, Settings};
use super::*;
use crate::hls::playlist::{Reload, Variant, walker};
use crate::hls::rest::Rest;
use crate::hls::segmenter::Known;
use crate::hls::ts::plan::tests::{CODEC, Camera, PLAIN};

/// Longer than anything takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn settings(max_bytes: usize) -> Settings {
    Settings {
        variant: Variant::Mpegts,
        segments: 7,
        segment: Duration::from_secs(1),
        part: Duration::from_millis(200),
        max_bytes,
        close_after: None,
        camera_clock: true,
    }
}

fn asked(name: Option<&str>) -> Asked<'_> {
    Asked { name, reload: Reload::default(), suffix: "reader=1", reader: "1" }
}

async fn playlist(muxer: &Muxer, name: Option<&str>) -> Result<String, Error> {
    match muxer.answer(asked(name)).await? {
        Answer::Playlist(text) => Ok(text),
        other => panic!("{other:?}"),
    }
}

/// Publishes frames (25 a second, a key frame each) until `done`.
async fn film<T>(camera: &mut Camera, size: usize, mut done: impl FnMut() -> Option<T>) -> T {
    let film = async {
        for i in 0.. {
            camera.publish(i * 3_600, i % 25 == 0, size);
            if let Some(done) = done() {
                return done;
            }
            tokio::time::sleep(Duration::from_millis(5)).await; // poll: a camera in a hurry
        }
        unreachable!()
    };
    tokio::time::timeout(SOON, film).await.expect("nothing came of it")
}

#[tokio::test]
async fn segments_come_out_in_order_and_are_transport_streams() {
    gstreamer::init().unwrap();
    let mut camera = Camera::new(PLAIN);
    let muxer = Muxer::start("gate", settings(1 << 20), camera.hub().subscribe(), Rest::default());
    let index = tokio::spawn({
        let muxer = muxer.clone();
        async move { playlist(&muxer, None).await.unwrap() }
    });
    film(&mut camera, 500, || index.is_finished().then_some(())).await;
    let index = index.await.unwrap();
    let media = index.lines().last().unwrap().split('?').next().unwrap().to_owned();
    let mut last = String::new();
    let mut list = walker::MediaPlaylist::default();
    let seen = muxer.clone();
    film(&mut camera, 500, || {
        let text = futures_util::FutureExt::now_or_never(playlist(&seen, Some(&media)))?.unwrap();
        if text != last {
            let next = walker::parse(&text).unwrap();
            walker::rules(&next).unwrap_or_else(|e| panic!("{e}: {text}"));
            if !last.is_empty() {
                walker::follows(&list, &next).unwrap_or_else(|e| panic!("{e}: {text}"));
            }
            (last, list) = (text, next);
        }
        (list.next() > 12).then_some(())
    })
    .await;
    let name = list.segments.last().unwrap().uri.split('?').next().unwrap().to_owned();
    let Ok(Answer::Media { mime, pieces, .. }) = muxer.answer(asked(Some(&name))).await else { panic!("no segment") };
    let bytes = pieces.concat();
    assert_eq!((mime, bytes.len() % 188), ("video/mp2t", 0));
    assert!(bytes.chunks(188).all(|packet| packet[0] == 0x47));
    muxer.end();
    tokio::time::timeout(SOON, async {
        while muxer.alive() {
            tokio::task::yield_now().await; // poll
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_pipeline_that_fails_ends_the_muxer_with_its_reason() {
    gstreamer::init().unwrap();
    let mut camera = Camera::new(PLAIN);
    // A frame is more than what may be kept of a segment.
    let muxer = Muxer::start("gate", settings(1_024), camera.hub().subscribe(), Rest::default());
    film(&mut camera, 2 << 20, || (!muxer.alive()).then_some(())).await;
    let error = playlist(&muxer, None).await.unwrap_err();
    assert_eq!((error.kind, error.retry_after_s), (Kind::Unavailable, Some(1)));
    assert!(error.message.starts_with("the MPEG-TS pipeline failed: "), "{}", error.message);
}

#[tokio::test]
async fn a_pipeline_that_hangs_ends_the_muxer_and_what_it_does_not_take_is_counted() {
    gstreamer::init().unwrap();
    let mut camera = Camera::new(PLAIN);
    let subscription = camera.hub().subscribe();
    let muxer = Muxer::new("gate", settings(50 << 20), &subscription, Rest::default());
    let first = camera.unit(0, true, 500);
    let cut = muxer.cut();
    let known = Known { gop: Some(25), period: Some(3_600), ..Known::default() };
    let plan = Plan::begin(&cut, &known, &[CODEC], std::slice::from_ref(&first), 0).unwrap().unwrap();
    let shelf = Shelf::new(&cut, plan.stream());
    *muxer.lock() = State::Muxing(Output::TransportStream(Box::new(shelf)), cut.prefix);
    let (sink, _events) = Sink::new("gate", plan.format(), None, 50 << 20).unwrap();
    sink.hold();
    let mut feed = Feed { plan, voice: None, sink, plain: false, open: false, due: None };
    let why = (1..).find_map(|i| {
        let unit = camera.unit(i * 3_600, i % 25 == 0, 100_000);
        let why = muxer.hand_over(&mut feed, News::Unit(unit), &subscription).err();
        // As if time went by.
        if let Some((since, frames)) = &mut feed.due {
            *since -= if *frames > 400 { STUCK * 2 } else { Duration::ZERO };
        }
        why
    });
    assert!(why.unwrap().message().contains("it hangs"));
    let dropped = subscription.stats().dropped.load(Ordering::Relaxed);
    assert!(dropped > 100, "{dropped}");
    feed.sink.stop().await;
}
