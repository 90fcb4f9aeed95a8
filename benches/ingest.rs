//! `cargo bench --bench ingest`: what many cameras cost, and how late their frames are.
//!
//! Light camera doubles in this process, RTSP over TCP, 1.7 Mbit/s at 25 frames a second
//! each; the real binary in its own; and once more the library alone, which looks at each
//! frame in the Hub. `MEDIAMTX=…` names a MediaMTX to measure beside them.
//! `CAMERAS=50 SECONDS=20 PAYLOAD=1388 NAGLE=1` are what can be set. Asserts nothing.

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use camgate::config::{Source as Conf, Transport};
use camgate::media::gop::Cap;
use camgate::media::hub::{Hub, Subscription};
use camgate::media::source::{EVENTS, Hints, Origin, Source, Spec};
use support::feed::{self, recording};
use support::gateway::{Gateway, paths};
use support::light_camera::{LightCamera, Manners};
use support::nal::{self, Codec, Stamp};
use support::{mono, proc, wait_true};

/// Names the cameras' URL to a process that is to run the library.
const ROLE: &str = "INGEST_LIBRARY";
const SOON: Duration = Duration::from_secs(60);
/// After the last camera plays, until things are as they stay.
const SETTLE: Duration = Duration::from_secs(3);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn main() {
    support::init();
    let (cameras, seconds) = (number("CAMERAS", 50), Duration::from_secs(number("SECONDS", 20)));
    if let Ok(url) = std::env::var(ROLE) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("no runtime");
        return runtime.block_on(library(&url, cameras, seconds));
    }
    // `cargo bench` passes --bench; cargo test --benches must not run for minutes.
    if !std::env::args().any(|a| a == "--bench") {
        println!("cargo bench --bench ingest measures");
        return;
    }
    let conf = feed::Conf {
        width: 1280,
        height: 720,
        bitrate_kbps: 1_700,
        noise: true,
        prerecorded: true,
        ..feed::Conf::default()
    };
    let manners = Manners {
        payload: number("PAYLOAD", 1_388) as usize,
        packet_by_packet: number("WHOLE", 0) == 0,
        nagle: number("NAGLE", 0) != 0,
        ..Manners::default()
    };
    let start = || LightCamera::start(&recording(&conf), manners);
    println!("{cameras} cameras, {manners:?}\n| server | CPU of a core | threads | memory |\n|---|---|---|---|");
    let only = std::env::var("BENCH").ok();
    let wanted = |name: &str| only.as_deref().is_none_or(|o| o == name);
    if wanted("camgate") {
        let camera = start();
        let sources: Vec<(String, String)> =
            (0..cameras).map(|n| (format!("c{n}"), camera.url(&format!("c{n}")))).collect();
        let list: Vec<(&str, &str)> = sources.iter().map(|(n, u)| (n.as_str(), u.as_str())).collect();
        let gateway = Gateway::start(&format!("logLevel: info\n{}", paths(&list)));
        measure("camgate", gateway.pid(), &camera, cameras, seconds);
        let mut names = std::collections::BTreeMap::new();
        for name in proc::thread_names(gateway.pid()) {
            *names.entry(name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()).or_insert(0) += 1;
        }
        println!("threads: {names:?}");
    }
    if let Some(binary) = std::env::var_os("MEDIAMTX").filter(|_| wanted("mediamtx")) {
        let camera = start();
        let directory = tempfile::tempdir().expect("no directory");
        let mut yaml =
            "logLevel: error\nrtsp: no\nrtmp: no\nsrt: no\nhls: no\nwebrtc: no\nmoq: no\npaths:\n".to_owned();
        for n in 0..cameras {
            let url = camera.url(&format!("c{n}"));
            yaml += &format!("  c{n}:\n    source: {url}\n    rtspTransport: tcp\n");
        }
        let file = directory.path().join("mediamtx.yml");
        std::fs::write(&file, yaml).expect("no file");
        let mut child = Command::new(binary).arg(&file).stdout(Stdio::null()).spawn().expect("MediaMTX does not start");
        measure("MediaMTX", child.id(), &camera, cameras, seconds);
        let _ = child.kill();
        let _ = child.wait();
    }
    if wanted("library") {
        let camera = start();
        let itself = std::env::current_exe().expect("no path of this binary");
        let mut child = Command::new(itself).env(ROLE, camera.url("c")).spawn().expect("no process");
        measure("camgate's library", child.id(), &camera, cameras, seconds);
        let _ = child.wait();
    }
}

/// A row of the table.
fn measure(name: &str, pid: u32, camera: &LightCamera, cameras: u64, time: Duration) {
    wait_true(SOON, "all cameras", || camera.playing() as u64 == cameras);
    std::thread::sleep(SETTLE); // poll: for things to settle
    let (before, began) = (proc::usage(pid).expect("it is gone"), Instant::now());
    std::thread::sleep(time); // poll: for the time of the measurement
    let (after, took) = (proc::usage(pid).expect("it is gone"), began.elapsed());
    let share = (after.cpu_ms - before.cpu_ms) as f64 / took.as_secs_f64() / 10.0;
    println!("| {name} | {share:.1} % | {} | {} MB |", after.threads, after.rss_kb / 1024);
}

/// How late frames came to the Hub, and how far two of them were apart, in ms.
#[derive(Default)]
struct Seen {
    late: Vec<f64>,
    apart: Vec<f64>,
}

/// The library alone: sources and Hubs, and a reader of each.
async fn library(url: &str, cameras: u64, time: Duration) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut running = Vec::new();
    for n in 0..cameras {
        let Ok(Conf::Rtsp(url)) = Conf::parse(&format!("{url}{n}")) else { panic!("no URL of a camera") };
        let hub = Hub::new(Cap::default());
        let spec = Spec {
            path: format!("c{n}"),
            origin: Origin::Rtsp { url, transport: Transport::Tcp, fingerprint: None },
            template: None,
            read_timeout: Duration::from_secs(10),
            hints: Hints::default(),
        };
        let (tx, events) = tokio::sync::mpsc::channel(EVENTS);
        let source = Source::start(&spec, &hub, tx).await.expect("no source");
        support::until_true(SOON, "tracks", || !hub.tracks().is_empty()).await;
        let mut reader = hub.subscribe();
        let _ = reader.play();
        tokio::spawn(read(reader, seen.clone()));
        running.push((source, events));
    }
    tokio::time::sleep(SETTLE).await; // poll: for things to settle
    *seen.lock().unwrap() = Seen::default();
    tokio::time::sleep(time + SETTLE).await; // poll: for the time of the measurement
    let mut seen = seen.lock().unwrap();
    let Seen { late, apart } = &mut *seen;
    println!("frames in the Hub: late by {}; off their interval by {}", spread(late), spread(apart));
    std::process::exit(0);
}

async fn read(mut reader: Subscription, seen: Arc<Mutex<Seen>>) {
    let mut last: Option<(u32, u64)> = None;
    while let Ok(unit) = reader.next().await {
        let mut stamp = None;
        for (payload, _) in unit.payloads().take(4) {
            nal::in_rtp(payload, Codec::H264, |_, nal| {
                stamp = stamp.or(nal.and_then(|n| Stamp::from_nal(n, Codec::H264)))
            });
        }
        let (Some(stamp), at) = (stamp, mono::to_ns(unit.arrived)) else { continue };
        let mut seen = seen.lock().unwrap();
        seen.late.push(at.saturating_sub(stamp.captured_ns) as f64 / 1e6);
        if let Some((index, before)) = last.replace((stamp.index, at))
            && stamp.index == index + 1
        {
            seen.apart.push((at - before) as f64 / 1e6 - 40.0);
        }
    }
}

fn spread(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let at = |p: f64| values.get(((values.len().max(1) - 1) as f64 * p) as usize).copied().unwrap_or(f64::NAN);
    let interval = values.iter().filter(|v| **v > 38.0).count();
    format!(
        "{:.1} / {:.1} / {:.1} ms (median, p99, worst; {interval} of {} by an interval)",
        at(0.5),
        at(0.99),
        at(1.0),
        values.len()
    )
}
