//! Muxers that fail, and when the next one begins.

use super::*;
use crate::hls::muxers::Muxers;
use crate::hls::playlist::Reload;
use crate::media::codec::Track;
use crate::media::gop::Cap;
use crate::media::to_aac::ToAac;

/// Longer than anything takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);
const VIDEO: Codec = Codec::H264 { profile_level_id: [0x42, 0xc0, 0x1f] };

fn settings(variant: Variant) -> Settings {
    Settings {
        variant,
        segments: 7,
        segment: Duration::from_secs(1),
        part: Duration::from_millis(200),
        max_bytes: 1 << 20,
        close_after: None,
        camera_clock: true,
    }
}

/// A new source of the path sends this.
fn sends(hub: &Arc<Hub>, codec: Codec) {
    hub.begin(hub.epoch(), vec![Track { codec, width: None, height: None, fps: None }]).unwrap();
}

fn path(codec: Codec) -> Arc<Hub> {
    let hub = Hub::new(Cap::default());
    sends(&hub, codec);
    hub
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await; // poll
        }
    };
    tokio::time::timeout(SOON, wait).await.unwrap_or_else(|_| panic!("not {what}"));
}

#[tokio::test]
async fn sound_alone_whose_encoder_dies_ends_with_its_reason() {
    gst::init().unwrap();
    if !to_aac::available() {
        return;
    }
    for variant in [Variant::LowLatency, Variant::Fmp4] {
        let hub = path(Codec::Pcmu);
        let mut subscription = hub.subscribe();
        subscription.takes(sound::carries);
        let muxer = Muxer::new("radio", settings(variant), &subscription, Rest::default());
        let encoder = ToAac::start("radio", &Codec::Pcmu).await.unwrap();
        encoder.spoil("on purpose");
        let sound = Sound::Made(Box::new(encoder), 0);
        let why = tokio::time::timeout(SOON, muxer.mux(&mut subscription, sound)).await.expect("it goes on for ever");
        muxer.ended(why);
        let asked = Asked { name: None, reload: Reload::default(), suffix: "", reader: "1" };
        let error = muxer.answer(asked).await.unwrap_err();
        assert_eq!((error.kind, error.retry_after_s), (Kind::Unavailable, Some(1)), "{error:?}");
        assert!(error.message.contains("on purpose"), "{}", error.message);
        // For a second.
        assert!(muxer.rests().is_none_or(|why| why.message == error.message));
        // Pictures go on without sound.
        hub.end();
        sends(&hub, VIDEO);
        assert_eq!((muxer.rests(), muxer.rest()), (None, Rest::default()));
    }
}

#[tokio::test]
async fn a_path_whose_muxer_failed_rests_and_longer_each_time() {
    gst::init().unwrap();
    let hub = path(Codec::Pcma);
    let (muxers, settings) = (Muxers::new(), settings(Variant::Mpegts));
    let start = || muxers.start("radio", settings.clone(), hub.subscribe());
    let mut failed = Rest::default();
    for n in 1..=2 {
        let muxer = start();
        until("ended", || !muxer.alive()).await;
        failed = failed.failed(Duration::ZERO).0;
        assert_eq!(muxer.rest(), failed, "{n}");
        if let Some(why) = muxers.rests("radio", &settings) {
            assert!(why.kind == Kind::Unprocessable && why.message.contains("MPEG-TS"), "{why:?}");
        }
        assert!(muxers.get("radio", &settings).is_none());
        until("rested", || muxers.rests("radio", &settings).is_none()).await;
    }
    // As a camera that gets a picture does not have to wait.
    let muxer = start();
    until("ended", || !muxer.alive()).await;
    assert!(muxer.rests().is_some() && Arc::ptr_eq(&muxer, &start()));
    hub.end();
    sends(&hub, VIDEO);
    assert!(muxer.rests().is_none() && !Arc::ptr_eq(&muxer, &start()));
    muxers.keep(|_, _| false);
}
