//! `camgate run`: everything together, until a signal ends it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use camgate::config::{self, Config, Limits, LogLevel, WebrtcEngine};
use camgate::hls::muxers::Muxers;
use camgate::path::registry::Registry;
use camgate::ptz::steerers::Steerers;
use camgate::webrtc::engines::Engines;
use camgate::webrtc::ice::Ice;
use camgate::webrtc::session::Sessions;
use camgate::webrtc::shared::engine::Shared;
use camgate::webrtc::webrtcbin::WebrtcBin;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, reload};

use crate::cli::config as files;
use crate::cli::inside::{Inside, always_remux};
use crate::cli::listeners::{self, Listeners};

/// A shutdown that takes longer is cut off: SIGTERM ends within 5 s.
const SHUTDOWN: Duration = Duration::from_millis(4_500);

type Levels = reload::Handle<EnvFilter, tracing_subscriber::Registry>;

/// Runs until SIGTERM or SIGINT.
pub fn run(named: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let file = files::find(named);
    let loaded = files::load(file.as_deref())?;
    let levels = init_log(&loaded.config);
    match &file {
        Some(file) => tracing::info!(file = %file.display(), "configuration read"),
        // With paths from the environment, otherwise with the embedded one.
        None => {
            let paths: Vec<&str> = loaded.config.paths.keys().map(String::as_str).collect();
            tracing::info!("no configuration file at hand: serving {}", paths.join(", "));
        }
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // A viewer of webrtcbin holds some twenty descriptors; the usual soft limit is 1,024.
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < 4_096 => {
            tracing::warn!(limit, "few file descriptors allowed: raise ulimit -n for more than a few dozen viewers")
        }
        Ok(_) => {}
        Err(error) => tracing::warn!("the limit of file descriptors stays as it is: {error}"),
    }
    gstreamer::init().context("GStreamer does not start")?;
    tracing::info!(camgate = env!("CARGO_PKG_VERSION"), gstreamer = %gstreamer::version_string(), "starting");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Files and passwords; pipelines have threads of their own.
        .max_blocking_threads(16)
        .thread_name("camgate")
        .build()?;
    let ended = runtime.block_on(serve(Arc::new(loaded.config), file, levels));
    // What is left on threads must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended.map(|()| ExitCode::SUCCESS)
}

fn filter(level: LogLevel) -> EnvFilter {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    let usual = format!("warn,camgate={level}");
    let text = std::env::var("CAMGATE_LOG").map_or_else(|_| usual.clone(), without_echo);
    EnvFilter::try_new(&text).unwrap_or_else(|_| EnvFilter::new(usual))
}

/// The watcher of the configuration traces each change in its directory: a log that is
/// written there would be one, and never end. Who names the watcher wants it.
fn without_echo(directives: String) -> String {
    let echoes = directives.contains("trace") && !directives.contains("notify");
    if echoes { format!("{directives},notify=info") } else { directives }
}

/// Readable lines, or JSON with `logStructured`, on standard error.
fn init_log(config: &Config) -> Levels {
    let (levels, handle) = reload::Layer::new(filter(config.log_level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(levels);
    if config.log_structured {
        registry.with(lines.json().flatten_event(true)).init();
    } else {
        registry.with(lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))).init();
    }
    handle
}

async fn serve(config: Arc<Config>, file: Option<PathBuf>, levels: Levels) -> anyhow::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (shared, webrtcbin) = (Arc::new(Shared::new()?), Arc::new(WebrtcBin::new()?));
    let bound = listeners::bind(&config)?;
    listeners::start_shared(&shared, &config)?;
    let warm = tokio::spawn({
        let webrtcbin = webrtcbin.clone();
        let wanted = config.uses_engine(WebrtcEngine::Webrtcbin);
        async move {
            if wanted {
                webrtcbin.warm_up().await;
            }
        }
    });
    let ice = Ice::new();
    ice.warm(&config);
    let registry = Registry::start(config.clone());
    let engines = Engines::new(shared.clone(), webrtcbin);
    let sessions = Sessions::new(engines, ice.clone(), registry.config_changes());
    let steerers = Steerers::start(&config);
    let inside = Arc::new(Inside { registry, sessions, muxers: Muxers::new(), steerers, ready: AtomicBool::new(true) });
    // Before anybody can know that we run: what changes then is seen.
    let mut watch = file.as_deref().map(config::watch);
    let mut listeners = bound.serve(&inside)?;
    tokio::spawn(always_remux(inside.clone()));
    let (listeners, ended) = loop {
        tokio::select! {
            _ = term.recv() => break (Some(listeners), Ok(())),
            _ = int.recv() => break (Some(listeners), Ok(())),
            _ = changed(&mut watch) => {
                // A signal waits for no reload: what that has begun, the shutdown ends.
                let loaded = tokio::select! {
                    biased;
                    _ = term.recv() => break (Some(listeners), Ok(())),
                    _ = int.recv() => break (Some(listeners), Ok(())),
                    loaded = reload(file.as_deref(), &inside, &levels, (&listeners, &shared)) => loaded,
                };
                if let Some((old, config)) = loaded {
                    ice.warm(&config);
                    match listeners.follow(&old, &config, &inside).await {
                        Ok(followed) => listeners = followed,
                        // Also then what moves is to stand still.
                        Err(error) => break (None, Err(error)),
                    }
                }
            }
        }
    };
    tracing::info!("shutting down");
    inside.ready.store(false, Ordering::Relaxed);
    let ending = async {
        // First of all: what moves is to stand still.
        let still = inside.steerers.shutdown();
        // A viewer's pipeline that is frozen must not keep the cameras from their TEARDOWN.
        let gone = tokio::time::timeout(Duration::from_secs(2), inside.sessions.shutdown());
        let _ = tokio::join!(still, gone);
        shared.shutdown().await;
        inside.registry.shutdown().await;
        if let Some(listeners) = listeners {
            listeners.stop().await;
        }
        let _ = warm.await;
    };
    if tokio::time::timeout(SHUTDOWN, ending).await.is_err() {
        tracing::warn!("not everything ended in time");
    }
    tracing::info!("ended");
    ended
}

async fn changed(watch: &mut Option<config::Watch>) {
    let gone = match watch {
        Some(w) => w.changed().await.is_none(),
        None => true,
    };
    if gone {
        *watch = None;
        std::future::pending::<()>().await;
    }
}

/// Reads the file again: takes it whole, or keeps what is there. Returns the old
/// configuration and the new one.
async fn reload(
    file: Option<&Path>,
    inside: &Inside,
    levels: &Levels,
    (listeners, shared): (&Listeners, &Shared),
) -> Option<(Arc<Config>, Arc<Config>)> {
    let read = file.map(Path::to_owned);
    let loaded = tokio::task::spawn_blocking(move || files::load(read.as_deref())).await.ok()?;
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::error!("configuration not reloaded, the present one stays: {error:#}");
            return None;
        }
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let config = Arc::new(loaded.config);
    // The one thing that can still fail is looked at before anything is touched.
    let old = inside.registry.config();
    let was_open = shared.is_open();
    let opened = listeners
        .check(&old, &config)
        .and_then(|()| listeners::start_shared(shared, &config).map_err(|error| format!("{error:#}")));
    if let Err(error) = opened {
        tracing::error!("configuration not reloaded, the present one stays: {error}");
        return None;
    }
    let diff = inside.registry.apply(config.clone()).await;
    inside.steerers.apply(&config);
    if diff.globals.contains(&"logLevel") {
        let _ = levels.reload(filter(config.log_level));
    }
    if diff.globals.contains(&"logStructured") {
        tracing::warn!("logStructured changes with the next start");
    }
    let sockets = ["webrtcLocalUDPAddress", "webrtcLocalTCPAddress"];
    if was_open && diff.globals.iter().any(|key| sockets.contains(key)) {
        tracing::warn!("webrtcLocalUDPAddress and webrtcLocalTCPAddress change with the next start");
    }
    let (was, is) = (&old.limits, &config.limits);
    let of_the_server = |l: &Limits| (l.connections, l.head_timeout, l.idle_timeout, l.stall_timeout);
    if of_the_server(was) != of_the_server(is) {
        tracing::warn!("limits: connections, headTimeout, idleTimeout and stallTimeout change with the next start");
    }
    tracing::info!(added = ?diff.added, removed = ?diff.removed, changed = ?diff.changed, globals = ?diff.globals, "configuration reloaded");
    Some((old, config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_does_not_trace_its_own_lines() {
        for (set, read) in [
            ("trace", "trace,notify=info"),
            ("warn,camgate=trace", "warn,camgate=trace,notify=info"),
            ("trace,notify=trace", "trace,notify=trace"),
            ("off", "off"),
            ("", ""),
        ] {
            assert_eq!(without_echo(set.into()), read);
        }
    }
}
