//! Sender reports: by RTP and NTP times sound and picture are as far apart at the
//! receiver as they were at the camera.

use super::kit::{SOON, gate};
use super::support::camera::{Audio, Camera};
use super::support::until_true;
use super::support::whep::{Options, Track, Viewer};
use std::time::UNIX_EPOCH;

/// The sender's wall clock at an RTP time, in ms, by the track's last sender report.
fn sent_at(track: &Track, time: u64, rate: f64) -> Option<f64> {
    let (wall, reported) = track.sender_report?;
    // 32 bits, either way round (RFC 3550 §6.4.1).
    let since = (time as u32).wrapping_sub(reported as u32) as i32;
    let wall = wall.duration_since(UNIX_EPOCH).ok()?.as_secs_f64() * 1_000.0;
    Some(wall + f64::from(since) * 1_000.0 / rate)
}

/// What lies between the gateway's clock and the camera's, in ms, by the last second of
/// pictures, and of sound.
fn offsets(viewer: &Viewer, camera: &Camera) -> (Vec<f64>, Vec<f64>) {
    viewer.with(|log| {
        let frames = log.video.frames.iter().rev().take(25).filter_map(|f| {
            let taken = camera.frame_at(f.index()?)?;
            Some(sent_at(&log.video, f.time, 90_000.0)? - taken as f64 / 1e6)
        });
        let sounds = log.audio.records.iter().rev().take(50).filter_map(|p| {
            let taken = camera.sound_at(p.payload.as_deref()?)?;
            Some(sent_at(&log.audio, p.time, 48_000.0)? - taken as f64 / 1e6)
        });
        (frames.collect(), sounds.collect())
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::test]
async fn sound_and_picture_are_within_20_ms_by_the_senders_clock() {
    let camera = Camera::builder().size(320, 180).even().audio(Audio::Opus).noisy_sound().start();
    let gateway = gate(&camera);
    let options = Options { payloads: true, receive_buffer: Some(8 << 20), ..Options::default() };
    let viewer = Viewer::join(gateway.url(), "gate", options).await.unwrap();
    let reports = || viewer.with(|log| (log.video.sender_report, log.audio.sender_report));
    let apart = || {
        let (frames, sounds) = offsets(&viewer, &camera);
        let enough = frames.len() >= 20 && sounds.len() >= 40 && reports().0.is_some() && reports().1.is_some();
        enough.then(|| (median(frames.clone()) - median(sounds.clone()), frames, sounds))
    };
    // The camera says with its own reports how its tracks belong together: the first ones
    // come after a few seconds, and its clock is followed slowly.
    let first = super::support::until(SOON, "sound and picture within 20 ms", || async {
        apart().map(|(apart, ..)| apart).filter(|apart| apart.abs() <= 20.0)
    })
    .await;
    eprintln!("sound and picture are {first:.1} ms apart");
    // And they stay so, by ten more reports of each.
    let mut seen = vec![reports()];
    until_true(SOON, "ten sender reports of each", || {
        let (now, last) = (reports(), *seen.last().unwrap());
        if now.0 != last.0 && now.1 != last.1 {
            seen.push(now);
        }
        let (apart, frames, sounds) = apart().unwrap();
        assert!(apart.abs() <= 20.0, "{apart} ms apart\n{frames:?}\n{sounds:?}");
        seen.len() > 10
    })
    .await;
    // Not by chance: each one lies where the others do.
    let (_, frames, sounds) = apart().unwrap();
    for (what, all) in [("pictures", &frames), ("sound", &sounds)] {
        let middle = median(all.clone());
        assert!(all.iter().all(|o| (o - middle).abs() <= 20.0), "{what} around {middle}: {all:?}");
    }
}
