//! A case with viewers: join, settle, measure, count.

use crate::camera::Camera;
use crate::client::{self, Crowd, Viewer};
use crate::common::nth;
use crate::options::{Options, Plan};
use crate::report::Figures;
use crate::server::{Contender, Server};
use crate::support::{mono, proc};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a server may take until a path plays, and a crowd until all of it does.
const SOON: Duration = Duration::from_secs(60);
/// From the last first key frame to the window, and for what is settled after the probe.
const SETTLE: Duration = Duration::from_secs(3);
/// After the window: a gap counts as lost after a second.
const LATE: Duration = Duration::from_millis(1_300);

/// Measures one case of one server.
pub async fn viewers(
    contender: Contender,
    plan: Plan,
    camera: Arc<Camera>,
    options: Arc<Options>,
) -> Result<Figures, String> {
    enough_files(plan.viewers)?;
    let server = start(contender.clone(), plan.paths.clone(), camera.clone()).await?;
    let crowd = Arc::new(Crowd::start(options.client_threads as usize, options.loses / 100.0, options.whole));
    for path in &plan.paths {
        ready(&server, path, &crowd).await?;
    }
    tokio::time::sleep(SETTLE).await; // poll: the probes' sessions go
    let empty = server.pid.and_then(proc::usage);

    let (viewers, refused, mut error) = join(&server, &plan, &crowd).await;
    let all_ms = everybody(&viewers).await;
    tokio::time::sleep(SETTLE).await; // poll: bursts of the joins are over

    client::watch(&viewers);
    let (start, before, sent) = (Instant::now(), now(&server, &camera), client::sum(&viewers));
    tokio::time::sleep(Duration::from_secs(options.seconds)).await; // poll: the time that is measured
    let (took, after, got) = (start.elapsed().as_secs_f64(), now(&server, &camera), client::sum(&viewers));
    let mut late = client::latencies(&viewers);
    tokio::time::sleep(LATE).await; // poll: what is missing now counts as lost then
    let end = client::sum(&viewers);

    error = error.or_else(|| client::first_error(&viewers));
    let mut answers: Vec<f64> = viewers.iter().map(Viewer::answer_ms).collect();
    let mut keys: Vec<f64> = viewers.iter().filter_map(Viewer::first_key_ms).collect();
    let mut connected: Vec<f64> = viewers.iter().filter_map(Viewer::connected_ms).collect();
    let packets = got.packets - sent.packets;
    let cpu_ms = after.server.zip(before.server).map(|(a, b)| a.cpu_ms.saturating_sub(b.cpu_ms) as f64);
    let client_ms = after.client.saturating_sub(before.client) as f64;
    let camera_ms = after.camera.saturating_sub(before.camera) as f64;
    let others_ms = (after.machine - before.machine) as f64 - cpu_ms.unwrap_or(0.0) - client_ms - camera_ms;
    let in_ms = |us: Option<u32>| Some(f64::from(us?) / 1_000.0);
    Ok(Figures {
        server: contender.name(),
        case: plan.title,
        viewers: plan.viewers,
        playing: got.playing,
        refused,
        error,
        seconds: took,
        packets,
        cpu_us_per_packet: cpu_ms.filter(|_| packets > 0).map(|ms| ms * 1_000.0 / packets as f64),
        core: cpu_ms.map(|ms| ms / 1_000.0 / took),
        threads: after.server.map(|u| u.threads),
        rss_mb: after.server.map(|u| u.rss_kb as f64 / 1_024.0),
        kb_per_viewer: after.server.zip(empty).map(|(a, e)| (a.rss_kb as f64 - e.rss_kb as f64) / plan.viewers as f64),
        answer_ms: nth(&mut answers, 0.5).zip(nth(&mut answers, 0.95)).map(|(a, b)| [a, b]),
        connected_ms: nth(&mut connected, 0.5).zip(nth(&mut connected, 0.95)).map(|(a, b)| [a, b]),
        key_ms: (|| Some([nth(&mut keys, 0.5)?, nth(&mut keys, 0.95)?, nth(&mut keys, 1.0)?]))(),
        all_ms: all_ms.filter(|_| plan.gap < options.gap),
        latency_ms: (|| Some([in_ms(nth(&mut late, 0.5))?, in_ms(nth(&mut late, 0.99))?]))(),
        lost_joining: sent.lost,
        lost: end.lost - sent.lost,
        skipped: got.skipped - sent.skipped,
        nacks: end.nacks,
        client_core: client_ms / 1_000.0 / took,
        others_core: others_ms.max(0.0) / 1_000.0 / took,
    })
}

/// The server with its paths; it may block, and panic.
pub async fn start(contender: Contender, paths: Vec<String>, camera: Arc<Camera>) -> Result<Server, String> {
    let started = tokio::task::spawn_blocking(move || Server::start(&contender, &paths, &camera));
    started.await.map_err(|_| "it does not start (see above)".to_owned())?
}

/// Waits until a path plays, with one viewer that leaves again.
async fn ready(server: &Server, path: &str, crowd: &Crowd) -> Result<(), String> {
    let end = Instant::now() + SOON;
    let mut why = String::new();
    while Instant::now() < end {
        match crowd.join(&server.whep(path)).await {
            Ok(viewer) => {
                let patience = (Instant::now() + Duration::from_secs(15)).min(end);
                while Instant::now() < patience && viewer.first_key_ms().is_none() {
                    tokio::time::sleep(Duration::from_millis(20)).await; // poll
                }
                crowd.leave(&viewer).await;
                if viewer.first_key_ms().is_some() {
                    return Ok(());
                }
                why = "no key frame".into();
            }
            Err(error) => why = error,
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // poll
    }
    Err(format!("{path} does not play: {why}"))
}

/// All joins by their time table, whatever the answers take. Gives the viewers, how many
/// were refused, and why the first of those was.
async fn join(server: &Server, plan: &Plan, crowd: &Arc<Crowd>) -> (Vec<Viewer>, usize, Option<String>) {
    let start = Instant::now();
    let mut joins = Vec::new();
    for n in 0..plan.viewers {
        let due = start + Duration::from_millis(plan.gap) * n as u32;
        tokio::time::sleep_until(due.into()).await; // poll: the time table
        let (crowd, url) = (crowd.clone(), server.whep(&plan.paths[n % plan.paths.len()]));
        joins.push(tokio::spawn(async move { crowd.join(&url).await }));
    }
    let (mut viewers, mut refused, mut why) = (Vec::new(), 0, None);
    for join in joins {
        match join.await {
            Ok(Ok(viewer)) => viewers.push(viewer),
            Ok(Err(error)) => {
                refused += 1;
                why.get_or_insert(error);
            }
            Err(_) => refused += 1,
        }
    }
    (viewers, refused, why)
}

/// Waits until all have their key frame, or it takes too long; gives the time since the
/// first POST if they do, ms.
async fn everybody(viewers: &[Viewer]) -> Option<f64> {
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        if client::sum(viewers).playing == viewers.len() {
            let first = viewers.iter().map(|v| v.posted).min()?;
            let last = viewers.iter().filter_map(|v| Some(v.posted as f64 / 1e6 + v.first_key_ms()?));
            return Some(last.fold(0.0, f64::max) - first as f64 / 1e6);
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // poll
    }
    None
}

/// What is used up to now.
struct Now {
    server: Option<proc::Usage>,
    /// The load client's CPU, ms.
    client: u64,
    /// The camera's, ms.
    camera: u64,
    /// That of all the machine, ms.
    machine: u64,
}

fn now(server: &Server, camera: &Camera) -> Now {
    Now {
        server: server.pid.and_then(proc::usage),
        client: proc::cpu_ms(std::process::id()).unwrap_or_default(),
        camera: proc::cpu_ms(camera.pid()).unwrap_or_default(),
        machine: machine_ms(),
    }
}

/// What all cores have worked, from /proc/stat, ms.
fn machine_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq, in hundredths of a second
    let ticks = line.split_whitespace().skip(1).take(7).filter_map(|n| n.parse::<u64>().ok());
    ticks.enumerate().filter(|(n, _)| *n != 3 && *n != 4).map(|(_, ticks)| ticks * 10).sum()
}

/// One descriptor for each viewer, and some for HTTP.
fn enough_files(viewers: usize) -> Result<(), String> {
    let wanted = viewers as u64 + 1_024;
    let have = rlimit::increase_nofile_limit(wanted).map_err(|e| e.to_string())?;
    match have >= wanted {
        true => Ok(()),
        false => Err(format!("{viewers} viewers need {wanted} open files, and the hard limit is {have}: ulimit -Hn")),
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn clock() -> u64 {
    mono::now_ns()
}
