//! The real binary in a process of its own, with a configuration in a directory
//! of its own and every port free.

use super::proc::{self, Usage};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Log lines kept.
const KEPT: usize = 20_000;
/// How long the binary may take to say where it listens.
const START: Duration = Duration::from_secs(60);

/// What every test wants: loopback only, any port, and patience with viewers on a busy
/// machine. A key that the test's own YAML sets at the top level is left out here.
const FIRST: [(&str, &str); 6] = [
    ("webrtcAddress", "127.0.0.1:0"),
    ("webrtcLocalUDPAddress", "127.0.0.1:0"),
    ("webrtcIPsFromInterfaces", "yes"),
    ("webrtcIPsFromInterfacesList", "[lo]"),
    ("webrtcHandshakeTimeout", "30s"),
    ("logLevel", "debug"),
];

/// Who serves the viewers. What proves media, or how sessions begin and end, is proven on
/// both: see [`crate::on_both_engines`], and tests/whep.rs, which has its tests twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Shared,
    Webrtcbin,
}

impl Engine {
    /// Its line in a configuration.
    pub fn yaml(self) -> &'static str {
        match self {
            Engine::Shared => "webrtcEngine: shared\n",
            Engine::Webrtcbin => "webrtcEngine: webrtcbin\n",
        }
    }
}

/// Makes two tests of each function `async fn name(engine: Engine)`: `name::shared` and
/// `name::webrtcbin`.
#[macro_export]
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use $crate::support::gateway::Engine;
            #[tokio::test(flavor = "multi_thread")]
            async fn shared() {
                super::$name(Engine::Shared).await;
            }
            #[tokio::test(flavor = "multi_thread")]
            async fn webrtcbin() {
                super::$name(Engine::Webrtcbin).await;
            }
        }
    )+};
}

#[derive(Default)]
struct Lines {
    kept: VecDeque<String>,
    /// Lines thrown away at the front.
    gone: usize,
    ended: bool,
}

#[derive(Default)]
struct LogBuffer {
    lines: Mutex<Lines>,
    more: Condvar,
}

/// A running gateway; killed when dropped.
pub struct Gateway {
    child: Child,
    directory: tempfile::TempDir,
    log: Arc<LogBuffer>,
    url: String,
}

impl Gateway {
    /// Starts the binary with `yaml` (see [`with_loopback`]) and waits until it listens.
    pub fn start(yaml: &str) -> Self {
        Self::start_with(yaml, &[])
    }

    /// [`Gateway::start`] on this engine.
    pub fn on(engine: Engine, yaml: &str) -> Self {
        Self::start(&format!("{}{yaml}", engine.yaml()))
    }

    /// [`Gateway::start`] with environment variables.
    pub fn start_with(yaml: &str, env: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("no temporary directory");
        let file = directory.path().join("camgate.yml");
        std::fs::write(&file, with_loopback(yaml)).unwrap();
        let mut command = Command::new(Self::binary());
        command.arg("run").arg(&file).envs(env.iter().copied());
        Self::run(command, directory)
    }

    /// Runs `command` as if it were the gateway, in `directory`.
    pub fn run(mut command: Command, directory: tempfile::TempDir) -> Self {
        // What the tests themselves are told by (CAMGATE_SHOTS) is no key of the gateway's.
        let set: Vec<_> = command.get_envs().map(|(key, _)| key.to_owned()).collect();
        for (key, _) in std::env::vars_os().filter(|(key, _)| !set.contains(key)) {
            if key.to_str().is_some_and(|key| key.starts_with("CAMGATE_") || key.starts_with("MTX_")) {
                command.env_remove(key);
            }
        }
        let mut child = command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let log = Arc::new(LogBuffer::default());
        let stdout = child.stdout.take().unwrap();
        capture(log.clone(), child.stderr.take().unwrap(), true);
        capture(log.clone(), stdout, false);
        let mut gateway = Self { child, directory, log, url: String::new() };
        let line = gateway.wait_for_line(START, |line| line.contains("listening on http://"));
        let at = line.find("http://").unwrap();
        let url = line[at..].split(|c: char| c.is_whitespace() || c == '"' || c == ',').next();
        gateway.url = url.unwrap_or_default().trim_end_matches('/').to_string();
        gateway
    }

    /// The binary under test.
    pub fn binary() -> PathBuf {
        env!("CARGO_BIN_EXE_camgate").into()
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The directory of the configuration; files put there are found beside it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Threads, file descriptors, memory and CPU time.
    pub fn usage(&self) -> Usage {
        proc::usage(self.pid()).expect("the gateway is gone")
    }

    pub fn threads(&self) -> usize {
        self.usage().threads
    }

    pub fn fds(&self) -> usize {
        self.usage().fds
    }

    pub fn rss_kb(&self) -> u64 {
        self.usage().rss_kb
    }

    /// Replaces the configuration file atomically, as an editor or a ConfigMap does.
    pub fn write_config(&self, yaml: &str) {
        let file = self.directory.path().join("camgate.yml");
        let next = self.directory.path().join(".camgate.yml.next");
        std::fs::write(&next, with_loopback(yaml)).unwrap();
        std::fs::rename(next, file).unwrap();
    }

    /// The log so far, the oldest lines first.
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().kept.iter().cloned().collect()
    }

    /// A mark for [`Gateway::wait_for_line_after`]: lines from now on.
    pub fn mark(&self) -> usize {
        let lines = self.log.lines.lock().unwrap();
        lines.gone + lines.kept.len()
    }

    /// The lines since a mark, as far as they are kept.
    pub fn log_after(&self, mark: usize) -> Vec<String> {
        let lines = self.log.lines.lock().unwrap();
        lines.kept.iter().skip(mark.saturating_sub(lines.gone)).cloned().collect()
    }

    /// Waits for a line, old ones included; panics with the log's end after `deadline`.
    #[track_caller]
    pub fn wait_for_line(&self, deadline: Duration, want: impl Fn(&str) -> bool) -> String {
        self.wait_for_line_after(0, deadline, want)
    }

    /// Waits for a line after a [`Gateway::mark`].
    #[track_caller]
    pub fn wait_for_line_after(&self, mark: usize, deadline: Duration, want: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + deadline;
        let mut next = mark;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            let skip = next.saturating_sub(lines.gone);
            if let Some(line) = lines.kept.iter().skip(skip).find(|line| want(line)) {
                return line.clone();
            }
            next = lines.gone + lines.kept.len();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.ended {
                let from = lines.kept.len().saturating_sub(40);
                let tail: Vec<_> = lines.kept.iter().skip(from).cloned().collect();
                let why = if lines.ended { "the process ended" } else { "waited in vain" };
                drop(lines);
                panic!("no such log line ({why}); the last ones:\n{}", tail.join("\n"));
            }
            lines = self.log.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// What GStreamer and GLib complained about.
    pub fn complaints(&self) -> Vec<String> {
        // appsrc of GStreamer 1.22 that is stopped with a buffer list in its hand
        // unrefs the buffer that it does not have.
        let known = "gst_mini_object_unref: assertion 'mini_object != NULL' failed";
        let bad = |l: &String| l.contains("-CRITICAL **") || l.contains("-WARNING **");
        self.log().into_iter().filter(|l| bad(l) && !l.contains(known)).collect()
    }

    /// Sends SIGTERM; see [`Gateway::wait_exit`].
    pub fn sigterm(&self) {
        proc::signal(self.pid(), libc::SIGTERM);
    }

    /// Waits for the end of the process; panics after `deadline`.
    #[track_caller]
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let child = &mut self.child;
        super::wait_until(deadline, "the end of the gateway", || child.try_wait().expect("wait failed"))
    }

    /// Is it still there?
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What a failed test needs to be understood.
            let log = self.log();
            let from = log.len().saturating_sub(60);
            // What it panicked about comes long before what followed from it.
            for lines in log[..from].windows(2).filter(|w| w[0].contains("panicked at")) {
                eprintln!("--- the gateway panicked ---\n{}", lines.join("\n"));
            }
            eprintln!("--- the gateway's log ---\n{}", log[from..].join("\n"));
        }
        if self.is_running() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Reads lines until the pipe ends.
fn capture(log: Arc<LogBuffer>, pipe: impl std::io::Read + Send + 'static, last: bool) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            let mut lines = log.lines.lock().unwrap();
            if lines.kept.len() == KEPT {
                lines.kept.pop_front();
                lines.gone += 1;
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_string();
            lines.kept.push_back(text);
            log.more.notify_all();
        }
        if last {
            log.lines.lock().unwrap().ended = true;
            log.more.notify_all();
        }
    });
}

/// The YAML with the settings in front that every test wants (see [`FIRST`]), except those that it sets itself.
pub fn with_loopback(yaml: &str) -> String {
    let mut out = String::new();
    for (key, value) in FIRST {
        let set = yaml.lines().any(|l| l.strip_prefix(key).is_some_and(|l| l.trim_start().starts_with(':')));
        if !set {
            out += &format!("{key}: {value}\n");
        }
    }
    // CAMGATE_TEST_ENGINE=shared runs what does not choose an engine itself on that one.
    let engine = std::env::var("CAMGATE_TEST_ENGINE").unwrap_or_default();
    if !engine.is_empty() && !yaml.lines().any(|l| l.starts_with("webrtcEngine:")) {
        out += &format!("webrtcEngine: {engine}\n");
    }
    out + yaml
}

/// A `paths:` section from names and sources, for short tests.
pub fn paths(sources: &[(&str, &str)]) -> String {
    let mut out = String::from("paths:\n");
    for (name, source) in sources {
        out += &format!("  {name}:\n    source: '{}'\n", source.replace('\'', "''"));
    }
    out
}
