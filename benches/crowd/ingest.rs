//! What cameras cost that nobody watches.

use crate::camera::Camera;
use crate::measure;
use crate::report::Line;
use crate::server::Contender;
use crate::support::proc;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CAMERAS: usize = 50;
const SOON: Duration = Duration::from_secs(60);

/// CPU, threads and memory of one server with 50 cameras.
pub async fn run(contender: Contender, camera: Arc<Camera>, seconds: u64) -> Result<Line, String> {
    let paths: Vec<String> = (0..CAMERAS).map(|n| format!("normal{n}")).collect();
    let server = measure::start(contender.clone(), paths, camera.clone()).await?;
    let end = Instant::now() + SOON;
    while camera.playing() < CAMERAS {
        if Instant::now() > end {
            return Err(format!("only {} of {CAMERAS} cameras were called", camera.playing()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // poll
    }
    tokio::time::sleep(Duration::from_secs(5)).await; // poll: the starts are over
    let usage = || server.pid.and_then(proc::usage).ok_or_else(|| "its process is not known".to_owned());
    let (start, before) = (Instant::now(), usage()?);
    tokio::time::sleep(Duration::from_secs(seconds)).await; // poll: the time that is measured
    let (took, after) = (start.elapsed().as_secs_f64(), usage()?);
    let core = (after.cpu_ms - before.cpu_ms) as f64 / 10.0 / took;
    Ok(Line {
        server: contender.name(),
        what: format!("{CAMERAS} cameras, {:.0} packets/s each, no viewer", camera.rate("normal")),
        figure: format!("{core:.1} % of a core, {} threads, {:.0} MB", after.threads, after.rss_kb as f64 / 1_024.0),
    })
}
