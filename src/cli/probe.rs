//! `camgate probe URL`: connects as a path would, watches for a while, and tells.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use camgate::config::{RtspUrl, Source as Conf, Transport};
use camgate::hls::sound;
use camgate::media::analysis::Analysis;
use camgate::media::codec::{Codec, Kind, Track};
use camgate::media::gop::Cap;
use camgate::media::hub::Hub;
use camgate::media::source::{self, Event, Failure, Hints, Origin, Source, Spec};
use camgate::path::registry::track_status;
use tokio::sync::mpsc;

/// How often is looked whether something flows.
const LOOK: Duration = Duration::from_millis(50);

/// What a camera turned out to send.
pub struct Seen {
    /// Its tracks, playable or not.
    pub tracks: Vec<Track>,
    /// What its frames told.
    pub video: Analysis,
    /// Which way the connection took.
    pub hints: Hints,
    /// Why it ended before its time.
    pub failure: Option<Failure>,
}

/// Reads the transport's name.
pub fn transport(name: &str) -> anyhow::Result<Transport> {
    Ok(match name {
        "automatic" => Transport::Automatic,
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "multicast" => Transport::Multicast,
        other => anyhow::bail!("transport \"{other}\": automatic, tcp, udp or multicast"),
    })
}

/// Connects and watches for `seconds` at most; with `enough`, until the tracks are
/// known and something flows: only then is the way known that the camera agrees to.
pub async fn watch(spec: &Spec, seconds: u64, enough: bool) -> Seen {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut hints = spec.hints;
    loop {
        let hub = Hub::new(Cap::default());
        let seen = attempt(&Spec { hints, ..spec.clone() }, &hub, deadline, enough).await;
        match seen.failure.as_ref().and_then(|f| f.instead) {
            Some(other) if other != hints && Instant::now() < deadline => hints = other,
            _ => return seen,
        }
    }
}

async fn attempt(spec: &Spec, hub: &Arc<Hub>, deadline: Instant, enough: bool) -> Seen {
    let (tx, mut events) = mpsc::channel(source::EVENTS);
    let mut seen = Seen { tracks: Vec::new(), video: Analysis::default(), hints: spec.hints, failure: None };
    let mut reader = hub.subscribe();
    reader.play();
    let mut look = tokio::time::interval(LOOK);
    let source = match Source::start(spec, hub, tx).await {
        Ok(source) => source,
        Err(failure) => return Seen { failure: Some(failure), ..seen },
    };
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Tracks(tracks)) => seen.tracks = tracks,
                Some(Event::Ready) => {}
                Some(Event::Failed(failure)) => {
                    seen.failure = Some(failure);
                    break;
                }
                None => break,
            },
            unit = reader.next() => match unit {
                Ok(unit) if unit.kind == Kind::Video => {
                    let bytes = unit.payloads().map(|(p, _)| p.len()).sum();
                    seen.video.frame(unit.timestamp, unit.key, bytes);
                }
                Ok(_) => {}
                Err(_) => reader = { let mut r = hub.subscribe(); r.play(); r },
            },
            _ = look.tick(), if enough => if hub.last_arrival().is_some() {
                break;
            },
            () = tokio::time::sleep_until(deadline.into()) => break,
        }
    }
    let known = hub.tracks();
    if !known.is_empty() {
        seen.tracks = known;
    }
    source.stop().await;
    seen
}

/// `camgate probe URL`
pub fn probe(url: &str, seconds: u64, transport_name: &str, fingerprint: Option<&str>) -> anyhow::Result<ExitCode> {
    let conf = Conf::parse(url).map_err(|e| anyhow::anyhow!("the URL {e}"))?;
    let Conf::Rtsp(rtsp) = conf else { anyhow::bail!("probe takes the rtsp:// or rtsps:// URL of a camera") };
    gstreamer::init().context("GStreamer does not start")?;
    let spec = Spec {
        path: "probe".into(),
        origin: Origin::Rtsp {
            url: rtsp.clone(),
            transport: transport(transport_name)?,
            fingerprint: fingerprint.map(|f| f.replace(':', "").to_ascii_lowercase()),
        },
        template: None,
        read_timeout: Duration::from_secs(10),
        hints: Hints::default(),
    };
    let seconds = seconds.clamp(1, 120);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let seen = runtime.block_on(watch(&spec, seconds, false));
    runtime.shutdown_timeout(Duration::from_millis(200));
    report(&rtsp, &seen)
}

fn report(url: &RtspUrl, seen: &Seen) -> anyhow::Result<ExitCode> {
    println!("camera     {}", url.location());
    if seen.tracks.is_empty() {
        let why = seen.failure.as_ref().map_or("it did not describe itself in time", |f| f.reason.as_str());
        println!("result     {why}");
        return Ok(ExitCode::FAILURE);
    }
    let (way, audio) = (if seen.hints.udp { "UDP" } else { "TCP" }, seen.hints.no_audio);
    println!("transport  RTP over {way}{}", if audio { ", the camera refuses its audio track" } else { "" });
    for track in &seen.tracks {
        let status = track_status(track, sound::carries(&track.codec));
        match track.codec.kind() {
            Kind::Video => video(track, &status.profile, &seen.video),
            Kind::Audio => println!("audio      {}", status.codec),
        }
    }
    if let Some(failure) = seen.failure.as_ref().filter(|_| seen.video.frames() == 0) {
        println!("result     {}", failure.reason);
        return Ok(ExitCode::FAILURE);
    }
    let mut playable = false;
    for track in &seen.tracks {
        let (ok, verdict) = verdict(&track.codec, &seen.video);
        playable |= ok && (track.codec.kind() == Kind::Video);
        println!("{:<10} {verdict}", if track.codec.kind() == Kind::Video { "browser" } else { "  audio" });
    }
    if let Some(failure) = &seen.failure {
        println!("ended      {}", failure.reason);
    }
    Ok(if playable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn video(track: &Track, profile: &Option<String>, a: &Analysis) {
    let profile = profile.as_deref().unwrap_or("unknown");
    println!("video      {}, profile {profile}", track.codec.label());
    if let (Some(w), Some(h)) = (track.width, track.height) {
        println!("size       {w}x{h}");
    }
    if let Some(fps) = a.fps().or(track.fps) {
        println!("frames     {fps:.2} per second");
        match (a.gop(), a.since_key()) {
            (Some(gop), _) => println!("GOP        {gop} frames ({:.1} s)", gop as f64 / fps),
            (None, Some(n)) => println!("GOP        longer than {n} frames ({:.1} s)", n as f64 / fps),
            (None, None) => println!("GOP        no key frame seen"),
        }
    }
    println!("B-frames   {}", if a.b_frames() { "yes" } else { "no" });
    if let Some(rate) = a.bit_rate() {
        println!("bit rate   {:.0} kbit/s", rate / 1_000.0);
    }
}

/// Whether and how a browser can play it.
fn verdict(codec: &Codec, a: &Analysis) -> (bool, String) {
    match codec {
        Codec::H264 { profile_level_id: [profile, ..] } if *profile >= 110 => {
            (false, "no: browsers decode 8-bit 4:2:0 only; set the camera to Main or High".into())
        }
        Codec::H264 { .. } if a.b_frames() => (
            true,
            "WebRTC, but its B-frames will stutter: switch them off in the camera (also called \"reordering\")".into(),
        ),
        Codec::H264 { .. } => (true, "yes, WebRTC, as it comes".into()),
        Codec::H265 { .. } => (
            true,
            "WebRTC only where the browser offers H.265 (Safari, newer Chrome with hardware); H.264 plays everywhere"
                .into(),
        ),
        Codec::Opus { .. } | Codec::Pcmu | Codec::Pcma => (true, "yes, WebRTC, as it comes".into()),
        Codec::Aac { .. } => {
            (false, "over HLS; AAC is not playable over WebRTC yet: set the camera to G.711 or Opus for that".into())
        }
        Codec::Other { name, kind: Kind::Audio } => {
            (false, format!("{name}: not playable over WebRTC yet; set the camera to G.711 or Opus"))
        }
        Codec::Other { name, .. } => (false, format!("no: {name}; set the camera to H.264")),
    }
}
