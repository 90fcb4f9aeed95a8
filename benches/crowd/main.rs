//! `cargo bench --bench crowd`: what viewers by the hundred cost, and what they get.
//!
//! One command starts a camera double (recorded packets over RTSP, in a process of its
//! own), camgate's release binary with either engine, and a load client: WebRTC sessions
//! (str0m) that authenticate and decrypt every packet, send receiver reports and NACKs.
//! Prints a table and writes target/bench/crowd.json; asserts nothing.
//!
//! ```sh
//! CASES=1,10,100 ENGINES=shared SECONDS=10 cargo bench --bench crowd
//! MEDIAMTX=/path/to/mediamtx cargo bench --bench crowd          # beside it, in the same run
//! cargo bench --bench crowd -- --against-cmd 'server -c {config}' \
//!     --against 'http://127.0.0.1:{port}/{path}/whep'           # any other with WHEP
//! cargo bench --bench crowd -- --help
//! ```
//! Client, camera and server share the machine: the table says what the client took.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/support/mod.rs"]
mod support;

mod camera;
mod chromium;
mod client;
mod ingest;
mod measure;
mod options;
mod report;
mod server;

use std::future::Future;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use camera::Camera;
use options::{Case, Engine, Options};
use report::{Figures, HEAD, Line, Report};
use server::Contender;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|a| a == camera::ARGUMENT) {
        let port = args.get(2).and_then(|p| p.parse().ok()).unwrap_or(0);
        return camera::serve::serve(port, args.get(3..).unwrap_or_default());
    }
    if !args.iter().any(|a| a == "--help") && !common::measuring("crowd") {
        return;
    }
    let options = match Options::read(args.into_iter(), |name| std::env::var(name).ok()) {
        Ok(options) => Arc::new(options),
        Err(help) => help.exit(),
    };
    support::init();
    // One thread of its own beside the client's: joins and waiting.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let report = runtime.expect("no runtime").block_on(run(options.clone()));
    let json = serde_json::to_string_pretty(&report).expect("no JSON");
    let file = options.json.as_path();
    let written = file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(file, json));
    match written {
        Ok(()) => println!("\n{}", file.display()),
        Err(error) => eprintln!("{}: {error}", file.display()),
    }
}

/// All cases, each with all contenders one after the other.
async fn run(options: Arc<Options>) -> Report {
    let wanted = |case| options.cases.contains(&case);
    let mut streams = vec!["normal"];
    streams.extend(wanted(Case::Small).then_some("small"));
    streams.extend(wanted(Case::Chromium).then_some("long"));
    let camera = Arc::new(Camera::start(options.camera_port, &streams).expect("no camera"));
    let mut report = Report {
        date: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        machine: machine(),
        camera: format!("1.7 Mbit/s 720p25 H.264, {:.0} packets/s, GOP 2 s", camera.rate("normal")),
        ..Report::default()
    };
    println!("{}; {}\n\n{HEAD}", report.machine, report.camera);
    let contenders = Contender::all(&options);
    for case in &options.cases {
        for contender in &contenders {
            let Some(plan) = case.plan(options.gap) else { continue };
            let webrtcbin = matches!(contender, Contender::Camgate(Engine::WebrtcBin));
            if webrtcbin && plan.viewers > options.webrtcbin_up_to {
                continue;
            }
            let (server, title, viewers) = (contender.name(), plan.title.clone(), plan.viewers);
            let done = guarded(measure::viewers(contender.clone(), plan, camera.clone(), options.clone())).await;
            let figures = done.unwrap_or_else(|error| Figures {
                server,
                case: title,
                viewers,
                error: Some(error),
                ..Figures::default()
            });
            println!("{}", figures.row());
            report.viewers.push(figures);
        }
    }
    if wanted(Case::Ingest) || wanted(Case::Chromium) {
        println!("\n| server | what | figure |\n|---|---|---|");
    }
    // Cameras do not care for the engine.
    let mut ours = 0;
    for contender in contenders.iter().filter(|_| wanted(Case::Ingest)) {
        ours += usize::from(matches!(contender, Contender::Camgate(_)));
        if ours > 1 && matches!(contender, Contender::Camgate(_)) {
            continue;
        }
        let done = guarded(ingest::run(contender.clone(), camera.clone(), options.seconds)).await;
        add(&mut report, contender, "50 cameras", done.map(|line| vec![line]));
    }
    for contender in contenders.iter().filter(|_| wanted(Case::Chromium)) {
        let done = guarded(chromium::run(contender.clone(), camera.clone())).await;
        add(&mut report, contender, "Chromium", done);
    }
    report
}

/// A case that panics is a row that says so.
async fn guarded<T: Send + 'static>(
    case: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    tokio::spawn(case).await.unwrap_or_else(|error| Err(format!("it panicked: {error}")))
}

fn add(report: &mut Report, contender: &Contender, what: &str, done: Result<Vec<Line>, String>) {
    let failed = |error| {
        let figure = format!("failed: {error}");
        vec![Line { server: contender.name(), what: what.into(), figure }]
    };
    for line in done.unwrap_or_else(failed) {
        println!("{}", line.row());
        report.others.push(line);
    }
}

/// Processor, its cores, and the kernel.
fn machine() -> String {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let name = cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':')).map_or("?", |(_, n)| n.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{name}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}
