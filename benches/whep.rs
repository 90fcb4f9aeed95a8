//! `cargo bench --bench whep`: what a WHEP viewer gets, measured from outside.
//!
//! The real binary, a camera double that replays encoded frames (so that the
//! machine's time goes to camgate), and viewers that authenticate and decrypt
//! every packet (str0m). Prints a table; asserts nothing about time.
//! `JOINS=2000 cargo bench --bench whep` for the long run of joins and leaves,
//! `BENCH=hold MINUTES=10` for a crowd that stays while others come and go.

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use common::{ms, number, quantile, row};
use support::camera::Camera;
use support::gateway::{Gateway, paths};
use support::until_true;
use support::whep::{Options, Viewer};

const SOON: Duration = Duration::from_secs(60);

fn main() {
    support::init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("no runtime");
    if !common::measuring("whep") {
        return;
    }
    runtime.block_on(async {
        common::head();
        // BENCH=joins|latency|crowd|growth|hold measures one of them.
        let only = std::env::var("BENCH").ok();
        let wanted = |name: &str| only.as_deref().is_none_or(|o| o == name);
        for gop_s in [1, 10].into_iter().filter(|_| wanted("joins")) {
            joins(gop_s).await;
        }
        if wanted("latency") {
            latency().await;
        }
        for viewers in [1, 10, 40].into_iter().filter(|_| wanted("crowd")) {
            crowd(viewers).await;
        }
        if wanted("growth") {
            growth(number("JOINS").unwrap_or(200)).await;
        }
        if let (Some(minutes), true) = (number("MINUTES"), only.as_deref() == Some("hold")) {
            hold(minutes).await;
        }
    });
}

fn camera(gop_s: u32) -> Camera {
    Camera::builder().size(1280, 720).bitrate_kbps(2_000).noise(true).gop_frames(25 * gop_s).prerecorded().start()
}

async fn running(camera: &Camera) -> Gateway {
    // One client joins here more often than any address may.
    let limits = "limits:\n  postsPerSecond: 100000\n  postsBurst: 100000\n";
    let gateway = Gateway::start(&format!("{limits}{}", paths(&[("cam", &camera.url())])));
    // The first viewer finds a path that has run for a while, in the middle of a GOP.
    gateway.wait_for_line(SOON, |l| l.contains("Live"));
    let first = join(&gateway).await;
    until_true(SOON, "frames", || first.with(|l| l.video.complete_frames() >= 40)).await;
    gateway
}

async fn join(gateway: &Gateway) -> Viewer {
    match Viewer::join(gateway.url(), "cam", Options::default()).await {
        Ok(viewer) => viewer,
        Err(error) => panic!("join failed: {error}"),
    }
}

async fn joins(gop_s: u32) {
    let camera = camera(gop_s);
    let gateway = running(&camera).await;
    let (mut answers, mut connects, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..40u64 {
        let viewer = join(&gateway).await;
        until_true(SOON, "a key frame", || viewer.with(|l| l.first_key_time().is_some())).await;
        viewer.with(|l| {
            answers.push(l.answer_time());
            connects.extend(l.connect_time());
            keys.extend(l.first_key_time());
        });
        let _ = viewer.leave().await;
        // All phases of the GOP.
        tokio::time::sleep(Duration::from_millis(37 + i % 7 * 11)).await; // poll: spreads the joins
    }
    row(
        format!("POST → 201, GOP {gop_s} s, median / p95"),
        format!("{} / {}", ms(quantile(&mut answers, 0.5)), ms(quantile(&mut answers, 0.95))),
    );
    row(
        format!("POST → connected (ICE and DTLS), GOP {gop_s} s, median / p95"),
        format!("{} / {}", ms(quantile(&mut connects, 0.5)), ms(quantile(&mut connects, 0.95))),
    );
    row(
        format!("POST → first key frame, GOP {gop_s} s, median / p95"),
        format!("{} / {}", ms(quantile(&mut keys, 0.5)), ms(quantile(&mut keys, 0.95))),
    );
}

async fn latency() {
    let camera = camera(2);
    let gateway = running(&camera).await;
    let viewer = join(&gateway).await;
    until_true(SOON, "a settled viewer", || viewer.with(|l| l.video.complete_frames() >= 80)).await;
    let skip = viewer.with(|l| l.video.latencies().len());
    until_true(SOON, "500 frames", || viewer.with(|l| l.video.latencies().len() >= skip + 500)).await;
    let mut all = viewer.with(|l| l.video.latencies().split_off(skip));
    row(
        "camera's frame handed over → its last packet at the viewer, 1 viewer, median / p99",
        format!("{} / {}", ms(quantile(&mut all, 0.5)), ms(quantile(&mut all, 0.99))),
    );
}

async fn crowd(count: usize) {
    let camera = camera(2);
    let gateway = running(&camera).await;
    tokio::time::sleep(Duration::from_secs(1)).await; // poll: lets the first viewer's session go
    let before = gateway.usage();
    let mut viewers = Vec::new();
    for _ in 0..count {
        viewers.push(join(&gateway).await);
    }
    until_true(SOON, "everybody sees", || viewers.iter().all(|v| v.with(|l| l.video.complete_frames() >= 60))).await;
    let packets = |viewers: &[Viewer]| -> (u64, u64) {
        viewers
            .iter()
            .map(|v| v.with(|l| (l.video.packets, l.video.lost + l.video.missing())))
            .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    };
    let skip: Vec<usize> = viewers.iter().map(|v| v.with(|l| l.video.latencies().len())).collect();
    let (start, usage, sent) = (Instant::now(), gateway.usage(), packets(&viewers));
    tokio::time::sleep(Duration::from_secs(20)).await; // poll: the time that is measured
    let (took, after, got) = (start.elapsed(), gateway.usage(), packets(&viewers));
    let delivered = (got.0 - sent.0).max(1);
    let cpu_us = (after.cpu_ms - usage.cpu_ms) as f64 * 1_000.0;
    let mut late: Vec<Duration> = viewers
        .iter()
        .zip(skip)
        .flat_map(|(v, n)| v.with(|l| l.video.latencies().split_off(n.min(l.video.latencies().len()))))
        .collect();
    let nacked: u64 = viewers.iter().map(|v| v.with(|l| l.video.nacks_sent)).sum();
    row(
        format!("{count} viewers of 2 Mbit/s, {} s", took.as_secs()),
        format!(
            "{delivered} packets, {} lost ({nacked} NACKs), {:.1} µs CPU per packet ({:.0} % of a core), {:.1} threads and {:.0} KB per viewer, latency p50 {} p99 {}",
            got.1,
            cpu_us / delivered as f64,
            cpu_us / took.as_micros() as f64 * 100.0,
            (after.threads as f64 - before.threads as f64) / count as f64,
            (after.rss_kb as f64 - before.rss_kb as f64) / count as f64,
            ms(quantile(&mut late, 0.5)),
            ms(quantile(&mut late, 0.99)),
        ),
    );
}

async fn growth(count: usize) {
    let camera = camera(2);
    let gateway = running(&camera).await;
    let mut marks = Vec::new();
    for i in 0..=count {
        if i % (count / 4).max(1) == 0 {
            settle(&gateway).await;
            let u = gateway.usage();
            marks.push(format!("{i}: {} threads, {} fds, {:.1} MB", u.threads, u.fds, u.rss_kb as f64 / 1_024.0));
        }
        let viewer = join(&gateway).await;
        until_true(SOON, "a key frame", || viewer.with(|l| l.first_key_time().is_some())).await;
        let _ = viewer.leave().await;
    }
    row(format!("{count} joins and leaves"), marks.join("; "));
}

/// Twenty viewers stay, one more comes and goes: threads, descriptors and memory by the minute.
async fn hold(minutes: usize) {
    let camera = camera(2);
    let gateway = running(&camera).await;
    let mut viewers = Vec::new();
    for _ in 0..20 {
        viewers.push(join(&gateway).await);
    }
    let mut marks = Vec::new();
    for minute in 0..=minutes {
        settle(&gateway).await;
        let u = gateway.usage();
        marks.push(format!("{minute}: {} threads, {} fds, {:.1} MB", u.threads, u.fds, u.rss_kb as f64 / 1_024.0));
        let start = Instant::now();
        while minute < minutes && start.elapsed() < Duration::from_secs(55) {
            let viewer = join(&gateway).await;
            until_true(SOON, "a key frame", || viewer.with(|l| l.first_key_time().is_some())).await;
            let _ = viewer.leave().await;
        }
    }
    let (packets, lost) = viewers
        .iter()
        .map(|v| v.with(|l| (l.video.packets, l.video.lost + l.video.missing())))
        .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    row(format!("20 viewers for {minutes} min beside joins and leaves"), marks.join("; "));
    row("their packets", format!("{packets}, {lost} lost"));
}

/// Waits until teardown has released its threads.
async fn settle(gateway: &Gateway) {
    let mut last = usize::MAX;
    let mut still = 0;
    while still < 10 {
        tokio::time::sleep(Duration::from_millis(200)).await; // poll: until the threads stay the same
        let now = gateway.threads();
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
}
