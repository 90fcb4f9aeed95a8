//! Sound over HLS: AAC as it comes, G.711 as AAC; really heard, and in step with the
//! picture.

use std::process::Command;

use super::support::api::{SOON, frames, more_frames, status, track, until_status, view};
use super::support::camera::Audio;
use super::support::faults::Fault;
use super::support::gateway::{Gateway, paths};
use super::support::hls::{Follower, get, probe};
use super::support::until;
use super::support::whep::{Options, State, Viewer};
use super::{pictures, side_by_side, small};

/// What ffprobe says of the first audio stream: codec, rate, channels.
fn stream(media: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), media).unwrap();
    let show =
        ["-v", "error", "-select_streams", "a:0", "-show_entries", "stream=codec_name,profile,sample_rate,channels"];
    let out = Command::new("ffprobe").args(show).args(["-of", "csv=p=0"]).arg(file.path()).output().unwrap();
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// Decoded sound from time 0 on, mono at 48 kHz.
struct Heard(Vec<f64>);

const RATE: f64 = 48_000.0;

fn hear(media: &[u8]) -> Heard {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), media).unwrap();
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-copyts", "-i"])
        .arg(file.path())
        // Holes stay holes, so that a sample's place tells its time.
        .args(["-vn", "-af", "aresample=48000:async=1:min_hard_comp=0.001:first_pts=0", "-ac", "1", "-f", "s16le", "-"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    Heard(out.stdout.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect())
}

impl Heard {
    /// Between two times, seconds.
    fn part(&self, from: f64, to: f64) -> &[f64] {
        let at = |t: f64| ((t * RATE) as usize).min(self.0.len());
        &self.0[at(from)..at(to)]
    }

    /// Which share of the power is at this frequency: in windows of 50 ms, as a sample that
    /// is put in or left out moves the phase.
    fn share(&self, hz: f64, from: f64, to: f64) -> f64 {
        let (mut at_hz, mut all) = (0.0, 1e-12);
        for window in self.part(from, to).chunks_exact(2_400) {
            let (mut re, mut im) = (0.0, 0.0);
            for (i, s) in window.iter().enumerate() {
                let phase = std::f64::consts::TAU * hz * i as f64 / RATE;
                re += s * phase.cos();
                im += s * phase.sin();
                all += s * s;
            }
            at_hz += 2.0 * (re * re + im * im) / window.len() as f64;
        }
        at_hz / all
    }

    /// When it becomes loud after being quiet, seconds.
    fn onsets(&self) -> Vec<f64> {
        let mut onsets = Vec::new();
        let mut quiet = 0;
        for (i, s) in self.0.iter().enumerate() {
            if s.abs() < 0.1 {
                quiet += 1;
                continue;
            }
            if quiet > 9_600 {
                onsets.push(i as f64 / RATE);
            }
            quiet = 0;
        }
        onsets
    }
}

fn seconds(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// The sound follows itself without a hole from its first packet to its last; gives
/// when the first and the last one begin.
#[track_caller]
fn whole(packets: &[Vec<String>]) -> (f64, f64) {
    let audio: Vec<(f64, f64)> =
        packets.iter().filter(|p| p[0] == "audio").map(|p| (seconds(&p[1]), seconds(&p[3]))).collect();
    // ffprobe does not tell how long the last ones last.
    for w in audio.windows(2).filter(|w| !w[0].1.is_nan()) {
        let hole = w[1].0 - w[0].0 - w[0].1;
        // Less than a frame cannot be filled; ffprobe reads its length from the frame.
        assert!((-0.002..w[0].1 + 0.002).contains(&hole), "{hole} s of hole at {}: {audio:?}", w[1].0);
    }
    (audio[0].0, audio[audio.len() - 1].0)
}

#[test]
fn a_cameras_sound_is_heard_whatever_its_codec() {
    let cases = [
        (Audio::Aac, "mp4a.40.2", "aac,LC,48000,1"),
        (Audio::Latm, "mp4a.40.2", "aac,LC,16000,1"),
        (Audio::Pcmu, "mp4a.40.2", "aac,LC,48000,1"),
        (Audio::Pcma, "mp4a.40.2", "aac,LC,48000,1"),
        (Audio::Opus, "opus", "opus,unknown,48000,1"),
    ];
    side_by_side(cases, |(audio, codec, stream_is)| async move {
        let camera = small().audio(audio).start();
        let gateway = super::gateway(&camera, "");
        let mut player = Follower::start(gateway.url(), "gate").await;
        assert!(player.index.contains(&format!(",{codec}\"")), "{}", player.index);
        player.until(6.0).await;
        let (packets, complaints) = probe(&player.bytes);
        assert_eq!(complaints, "", "{audio:?}");
        let said = stream(&player.bytes);
        assert!(said == stream_is || audio == Audio::Opus, "{audio:?}: {said}");
        let (begin, end) = whole(&packets);
        let times = pictures(&packets);
        assert!(end - begin > 3.5, "{audio:?}: {} s of sound", end - begin);
        assert!((end - times[times.len() - 1]).abs() < 1.5, "{audio:?}: sound to {end}, {times:?}");
        let heard = hear(&player.bytes);
        let (from, to) = (end - 2.0, end - 0.5);
        assert!(heard.share(440.0, from, to) > 0.9, "{audio:?}: {} at 440 Hz", heard.share(440.0, from, to));
        assert!(heard.share(550.0, from, to) < 0.05, "{audio:?}");
        let status = status(&gateway, "gate").await;
        let said = track(&status, "audio");
        let over_webrtc = !matches!(audio, Audio::Aac | Audio::Latm);
        assert_eq!((&said["hls"], &said["playable"]), (&true.into(), &over_webrtc.into()), "{said}");
        assert_eq!(camera.describes(), 1, "{audio:?}");
    });
}

#[test]
fn sound_alone_of_every_codec() {
    let tone =
        "gst: audiotestsrc freq=440 volume=0.2 samplesperbuffer=320 ! audio/x-raw,rate=16000,channels=1 ! clocksync";
    let law =
        "gst: audiotestsrc freq=440 volume=0.2 samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! clocksync";
    let gateway = Gateway::start(&paths(&[
        ("aac", &format!("{tone} ! avenc_aac")),
        ("pcmu", &format!("{law} ! mulawenc")),
        ("pcma", &format!("{law} ! alawenc")),
    ]));
    let url = gateway.url();
    side_by_side([("aac", "16000"), ("pcmu", "48000"), ("pcma", "48000")], |(path, rate)| async move {
        let mut player = Follower::start(url, path).await;
        assert!(
            player.index.contains("CODECS=\"mp4a.40.2\"") && !player.index.contains("RESOLUTION"),
            "{}",
            player.index
        );
        player.until(4.0).await;
        let (packets, complaints) = probe(&player.bytes);
        assert_eq!(complaints, "", "{path}");
        assert_eq!(stream(&player.bytes), format!("aac,LC,{rate},1"));
        let (begin, end) = whole(&packets);
        assert!(hear(&player.bytes).share(440.0, end - 2.0, end - 0.2) > 0.9, "{path}");
        assert!(end - begin > 3.5, "{path}");
        if path == "aac" {
            // What WebRTC cannot take is said to who asks by WebRTC.
            let refused = Viewer::join(url, "aac", Options::default()).await.err().expect("joined");
            assert!(refused.status == 422 && refused.body.contains("AAC"), "{refused}");
        }
    });
}

/// Video with a key frame, and sound with a tick, in every whole second of one clock.
fn ticking(audio: &str, rate: u32) -> String {
    // GStreamer 1.22 ticks one buffer too early.
    let samples = rate / 1_000;
    format!(
        "gst: videotestsrc ! video/x-raw,width=320,height=240,framerate=25/1 ! clocksync ! \
         x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 option-string=scenecut=0:min-keyint=25 ! \
         h264parse name=parse ! rtph264pay pt=96 mtu=1200 config-interval=-1 aggregate-mode=zero-latency ! \
         appsink name=packets sync=false async=false max-buffers=1000 drop=true buffer-list=true \
         audiotestsrc wave=ticks freq=1000 volume=0.8 sine-periods-per-tick=20 samplesperbuffer={samples} ! \
         audio/x-raw,rate={rate},channels=1 ! audiobuffersplit output-buffer-duration=1/50 ! clocksync ! {audio} ! \
         appsink name=audio sync=false async=false max-buffers=1000 drop=true"
    )
}

/// By how much each tick is later than the key frame beside it, ms.
fn offsets(media: &[u8]) -> Vec<f64> {
    let (packets, _) = probe(media);
    let keys: Vec<f64> =
        packets.iter().filter(|p| p[0] == "video" && p[4].starts_with('K')).map(|p| p[1].parse().unwrap()).collect();
    let nearest = |t: f64| keys.iter().map(|k| t - k).min_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
    hear(media).onsets().into_iter().map(|t| nearest(t) * 1_000.0).filter(|ms| ms.abs() < 500.0).collect()
}

#[test]
fn sound_and_picture_are_in_step() {
    // The delay of the line's own encoder, which GStreamer's timestamps do not know.
    let aac = 1_024.0 / 16.0;
    let lines = [
        ("pcmu", ticking("mulawenc ! rtppcmupay pt=0", 8_000), 0.0),
        ("pcma", ticking("alawenc ! rtppcmapay pt=8", 8_000), 0.0),
        ("aac", ticking("avenc_aac ! aacparse ! audio/mpeg,stream-format=raw", 16_000), aac),
        ("opus", ticking("opusenc ! rtpopuspay pt=97", 48_000), 6.5),
    ];
    let all: Vec<(&str, &str)> = lines.iter().map(|(name, line, _)| (*name, line.as_str())).collect();
    let gateway = Gateway::start(&paths(&all));
    let url = gateway.url();
    side_by_side(lines.iter().map(|(path, _, delay)| (*path, *delay)), |(path, delay)| async move {
        let mut player = Follower::start(url, path).await;
        player.until(8.0).await;
        let offsets = offsets(&player.bytes);
        println!("{path}: {offsets:?} ms");
        assert!(offsets.len() >= 4, "{path}: {offsets:?}");
        assert!(offsets.iter().all(|ms| (ms - delay).abs() < 12.0), "{path}: {offsets:?}");
    });
}

#[tokio::test]
async fn lost_packets_of_sound_do_not_shift_it() {
    let line = ticking("mulawenc ! rtppcmupay pt=0 ! identity drop-probability=0.01", 8_000);
    let gateway = Gateway::start(&paths(&[("gate", &line)]));
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(20.0).await;
    let (packets, complaints) = probe(&player.bytes);
    assert_eq!(complaints, "");
    whole(&packets);
    let offsets = offsets(&player.bytes);
    println!("{offsets:?} ms");
    assert!(offsets.len() >= 12, "{offsets:?}");
    // A packet lasts 20 ms, and it takes a quarter of a second to be sure that one is
    // missing: now and then two go in that time, and three or four at some tick. That this
    // many ticks are off happens by chance once in a million runs; ten packets are lost, which
    // are 200 ms for the last ticks where each shifts all that follow.
    let off = |most: f64| offsets.iter().filter(|ms| ms.abs() > most).count();
    assert!(off(70.0) <= 1 && off(45.0) <= 3 && off(5.0) * 4 < offsets.len() * 3, "{offsets:?}");
}

#[tokio::test]
async fn sound_that_ends_holds_no_picture_up() {
    let line = ticking("mulawenc ! rtppcmupay pt=0", 8_000).replace("audiotestsrc", "audiotestsrc num-buffers=6000");
    let gateway = Gateway::start(&paths(&[("gate", &line)]));
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(14.0).await;
    let (packets, complaints) = probe(&player.bytes);
    assert_eq!(complaints, "");
    let (_, end) = whole(&packets);
    let times = pictures(&packets);
    let behind = times[times.len() - 1] - end;
    assert!((0.0..1.5).contains(&behind), "silence {behind} s behind the picture");
    assert!(hear(&player.bytes).part(end - 2.0, end).iter().all(|s| s.abs() < 0.01), "no silence");
}

#[tokio::test]
async fn an_aac_track_that_cannot_be_read_leaves_the_picture_alone() {
    let camera = small().audio(Audio::Latm).misbehave(Fault::StrangeLatm).start();
    let gateway = super::gateway(&camera, "");
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 10).await;
    let mut player = Follower::start(gateway.url(), "gate").await;
    player.until(3.0).await;
    assert!(!player.index.contains("mp4a"), "{}", player.index);
}

#[tokio::test]
async fn aac_is_no_reason_to_send_a_viewer_away() {
    let mut camera = small().start();
    let gateway = super::gateway(&camera, "");
    let mut player = Follower::start(gateway.url(), "gate").await;
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 10).await;
    assert!(!player.index.contains("mp4a"), "{}", player.index);
    player.until(2.0).await;
    // The camera gets sound: nothing that WebRTC could play.
    camera.stop();
    camera.set_audio(Some(Audio::Aac));
    camera.start_again();
    until_status(&gateway, "gate", "AAC", |s| s["state"] == "live" && track(s, "audio")["codec"] == "AAC").await;
    more_frames(&viewer, 30).await;
    assert_eq!(viewer.state(), State::Connected);
    assert_eq!(viewer.with(|log| log.audio.packets), 0);
    // Over HLS it is heard: by another muxer, for its map is another one.
    let with = until(SOON, "sound over HLS", || async {
        let index = get(&format!("{}/gate/index.m3u8", gateway.url())).await;
        (index.status == 200 && index.text().contains("mp4a.40.2")).then_some(())
    });
    with.await;
}

#[tokio::test]
async fn a_path_that_nobody_can_play_names_its_codec() {
    let camera = small().misbehave(Fault::Called("MP4V-ES")).start();
    let gateway = super::gateway(&camera, "");
    let reply = get(&format!("{}/gate/index.m3u8", gateway.url())).await;
    assert_eq!(reply.status, 502, "{}", reply.text());
    assert!(reply.error().contains("MP4V-ES"), "{}", reply.error());
}
