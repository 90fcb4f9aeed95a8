//! Bad networks, on each engine: Chromium behind a relay that loses, reorders and cuts,
//! and whose own address changes (see tests/support/relay.rs).

mod support;

use std::time::{Duration, Instant};
use support::browser::Browser;
use support::camera::{Audio, Camera};
use support::gateway::{Engine, Gateway};
use support::relay::{Direction, Relay, Weather, without_candidates};
use support::until_true;
use support::watcher::{Watcher, number};

const LONG: Duration = Duration::from_secs(60);

/// A camera, a gateway, and Chromium behind a relay, playing.
struct Scene {
    camera: Camera,
    gateway: Gateway,
    relay: Relay,
    _browser: Browser,
    watcher: Watcher,
}

async fn playing(engine: Engine, weather: Weather) -> Scene {
    let camera = Camera::builder().audio(Audio::Opus).prerecorded().start();
    let yaml = format!("webrtcHandshakeTimeout: 60s\npaths:\n  gate:\n    source: {}\n", camera.url());
    let gateway = Gateway::on(engine, &yaml);
    let relay = Relay::start(4711);
    relay.set(weather);
    let browser = Browser::launch().await;
    let watcher = {
        let answered = |answer: &str| relay.answer(answer);
        Watcher::join(&browser, gateway.url(), "gate", without_candidates, answered).await
    };
    watcher.goes_on(25).await;
    let remote = watcher.stats().await["remote"].clone();
    assert_ne!(remote["port"], relay.server().port(), "not by the relay: {remote}");
    Scene { camera, gateway, relay, _browser: browser, watcher }
}

impl Scene {
    /// It is the one session of the beginning.
    fn unbroken(&self) {
        let log = self.gateway.log();
        let said = |what: &str| log.iter().filter(|l| l.contains(what)).count();
        assert_eq!((said("viewer joins"), said("viewer left")), (1, 0), "{}", log.join("\n"));
    }
}

/// Pictures go on in this weather, by repair; the longest that one stood is printed.
async fn plays_in(engine: Engine, weather: Weather) {
    let scene = playing(engine, weather).await;
    let (relay, watcher) = (&scene.relay, &scene.watcher);
    watcher.freeze().await;
    let taken = || scene.camera.frames().last().map_or(0, |f| u64::from(f.index));
    let (first, before) = (taken(), number(&watcher.stats().await, "video", "framesDecoded"));
    // Ten times a second's pictures.
    for _ in 0..10 {
        watcher.goes_on(25).await;
    }
    let shown = (taken() - first, number(&watcher.stats().await, "video", "framesDecoded") - before);
    let (stats, freeze) = (watcher.stats().await, watcher.freeze().await);
    let (up, down) = (relay.counts(Direction::Up), relay.counts(Direction::Down));
    eprintln!(
        "{engine:?}, {:.0} % lost: {down:?}, {up:?}; longest freeze {freeze:.0} ms, {} NACKs, {} repairs, {} PLIs, {} frames decoded, {} dropped",
        weather.loss * 100.0,
        number(&stats, "video", "nackCount"),
        number(&stats, "video", "retransmittedPacketsReceived"),
        number(&stats, "video", "pliCount"),
        number(&stats, "video", "framesDecoded"),
        number(&stats, "video", "framesDropped"),
    );
    // No freeze lasts. (What is lost again and again stands until the next key frame.)
    assert!(shown.1 * 5 > shown.0, "of {} frames {} were shown", shown.0, shown.1);
    // The relay did what was asked of it.
    assert!(down.lost as f64 > weather.loss * 0.5 * (down.lost + down.passed) as f64, "{down:?}");
    assert!(down.late > 0 && up.lost > 0 && down.overflowed == 0, "{down:?} {up:?}");
    assert!(number(&stats, "video", "nackCount") > 0, "no NACK: {stats:#}");
    assert!(number(&stats, "video", "retransmittedPacketsReceived") > 0, "no NACK was answered: {stats:#}");
    assert!(number(&stats, "audio", "packetsReceived") > 0, "no sound: {stats:#}");
    // None lasts: in fine weather it plays on.
    relay.set(Weather::default());
    watcher.goes_on(50).await;
    scene.unbroken();
}

async fn five_percent_lost_and_reordered(engine: Engine) {
    plays_in(engine, Weather::lossy(0.05)).await;
}

async fn twenty_percent_lost_and_reordered(engine: Engine) {
    plays_in(engine, Weather::lossy(0.2)).await;
}

async fn a_network_cut_for_ten_seconds_and_back(engine: Engine) {
    let scene = playing(engine, Weather::default()).await;
    let (cut, lost) = (Instant::now(), || scene.relay.counts(Direction::Down).lost);
    scene.relay.set(Weather { cut: true, ..Weather::default() });
    // The ten seconds are what is tried.
    until_true(LONG, "ten seconds without network", || cut.elapsed() > Duration::from_secs(10) && lost() > 0).await;
    scene.relay.set(Weather::default());
    scene.watcher.goes_on(50).await;
    scene.unbroken();
}

/// webrtcbin's libnice does not follow (seen with 0.1.21): its session ends after half a
/// minute, and the page joins again.
#[tokio::test(flavor = "multi_thread")]
async fn the_address_changes_while_it_plays() {
    let scene = playing(Engine::Shared, Weather::default()).await;
    for _ in 0..2 {
        scene.relay.move_address();
        scene.watcher.goes_on(50).await;
    }
    assert_eq!(scene.watcher.stats().await["state"], "connected");
    scene.unbroken();
}

on_both_engines!(
    five_percent_lost_and_reordered,
    twenty_percent_lost_and_reordered,
    a_network_cut_for_ten_seconds_and_back,
);
