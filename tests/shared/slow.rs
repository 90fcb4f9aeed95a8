//! Links that are too narrow: their viewer gets fewer pictures, alone.

use super::kit::{SOON, gate};
use super::support::camera::Camera;
use super::support::relay::{Direction, Relay, Weather};
use super::support::until_true;
use super::support::whep::{Options, Viewer};
use std::time::{Duration, Instant};

/// A viewer that pauses comes back slowly.
const LONG: Duration = Duration::from_secs(150);

fn frames(viewer: &Viewer) -> usize {
    viewer.with(|log| log.video.complete_frames())
}

#[tokio::test]
async fn a_link_that_is_too_narrow_shows_key_frames_and_harms_nobody() {
    narrow(40).await;
}

/// There what is sent again pushes out as much.
#[tokio::test]
async fn so_does_one_that_is_a_little_too_narrow() {
    narrow(80).await;
}

/// A link that carries so many percent.
async fn narrow(percent: u64) {
    let camera = Camera::builder().size(640, 360).bitrate_kbps(3_000).noise(true).gop_frames(50).prerecorded().start();
    let (gateway, relay) = (gate(&camera), Relay::start(9));
    let options = || Options { audio: false, receive_buffer: Some(8 << 20), ..Options::default() };
    let narrow = Viewer::join(gateway.url(), "gate", relay.options(options())).await.unwrap();
    let well = Viewer::join(gateway.url(), "gate", options()).await.unwrap();
    until_true(SOON, "pictures for both", || frames(&narrow) > 25 && frames(&well) > 25).await;
    // What the stream is, and not what it was to be: two groups of pictures.
    let (from, begun) = (relay.counts(Direction::Down).bytes, frames(&well));
    until_true(SOON, "two groups of pictures", || frames(&well) >= begun + 100).await;
    let rate = (relay.counts(Direction::Down).bytes - from) * 8 * 25 / (frames(&well) - begun) as u64;
    let keys = || narrow.with(|log| log.video.frames.iter().filter(|f| f.key && f.complete).count());
    let (before, seen) = (keys(), frames(&well));
    relay.set(Weather { rate: Some(rate * percent / 100), ..Weather::default() });
    // Fewer pictures, but pictures; and nothing is sent that cannot arrive for long.
    until_true(LONG, "key frames over a narrow link", || keys() >= before + 3).await;
    until_true(SOON, "pictures beside it", || frames(&well) > seen + 250).await;
    // What is sent is what the link can carry, as far as that can be known, not what there is:
    // each trial whether it carries more costs a group of pictures.
    let sent = || {
        let counts = relay.counts(Direction::Down);
        (counts.passed + counts.overflowed, counts.overflowed)
    };
    let all = || well.with(|log| log.video.packets);
    let mut told = String::new();
    let began = Instant::now();
    loop {
        // The shortest pause is longer than this.
        let (first, whole, at) = (sent(), all(), frames(&well));
        until_true(SOON, "more pictures beside it", || frames(&well) > at + 50).await;
        let (now, whole) = (sent(), all() - whole);
        let (sent, lost) = (now.0 - first.0, now.1 - first.1);
        told = format!("{told}{sent} of {whole} packets sent, {lost} of them were too much\n");
        if sent < whole / 2 {
            break;
        }
        assert!(began.elapsed() < LONG, "it is drowned:\n{told}");
    }
    eprintln!("over a link of {percent} % for {:?}:\n{told}", began.elapsed());
    // Wide again: all pictures again.
    relay.set(Weather::default());
    let flowing = || {
        narrow.with(|log| {
            let indices = log.video.indices();
            indices.len() > 75 && indices[indices.len() - 75..].windows(2).all(|w| w[1] == w[0] + 1)
        })
    };
    until_true(LONG, "each picture again", flowing).await;
    eprintln!("and after {:?} whole again", began.elapsed());
    well.with(|log| {
        assert_eq!((log.video.lost, log.video.missing(), log.wire.duplicates()), (0, 0, 0));
        assert!(log.video.indices().windows(2).all(|w| w[1] == w[0] + 1), "{:?}", log.video.indices());
    });
    assert_eq!(narrow.leave().await.unwrap(), 200);
    let line = gateway.wait_for_line(SOON, |l| l.contains("viewer left"));
    // What the operator reads who wonders why that viewer's picture stood still.
    let number =
        |name: &str| -> Option<u64> { line.split(&format!("{name}=")).nth(1)?.split_whitespace().next()?.parse().ok() };
    assert!(number("dropped") > Some(0) && number("paused") > Some(0), "{line}");
    assert!(gateway.log().iter().any(|l| l.contains("link does not carry the stream")));
}
