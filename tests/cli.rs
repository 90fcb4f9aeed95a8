//! The command line, with the real binary.

mod support;

#[path = "cli/check.rs"]
mod check;
#[path = "cli/pipeline.rs"]
mod pipeline;
#[path = "cli/probe.rs"]
mod probe;
#[path = "cli/run.rs"]
mod run;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::camera::{Builder, Camera};
use support::gateway::Gateway;

const SOON: Duration = Duration::from_secs(60);

fn small() -> Builder {
    Camera::builder().size(320, 240).gop_frames(25).prerecorded()
}

/// What a command said, and how it ended.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// The value behind a word at a line's beginning.
    #[track_caller]
    fn value(&self, word: &str) -> &str {
        let line = self.out.lines().find(|l| l.trim_start().starts_with(word));
        line.unwrap_or_else(|| panic!("no {word} in\n{}{}", self.out, self.err)).trim_start()[word.len()..].trim()
    }

    fn all(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }
}

/// Runs the binary to its end in an empty directory.
fn camgate(args: &[&str]) -> Said {
    let directory = tempfile::tempdir().unwrap();
    camgate_in(directory.path(), args, &[])
}

fn camgate_in(directory: &Path, args: &[&str], env: &[(&str, &str)]) -> Said {
    let mut command = Command::new(Gateway::binary());
    command.env_remove("CAMGATE_TEST_ENGINE").args(args).envs(env.iter().copied()).current_dir(directory);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || tx.send(child.wait_with_output()));
    let Ok(output) = rx.recv_timeout(SOON) else {
        support::proc::signal(pid, libc::SIGKILL);
        panic!("camgate {args:?} does not end");
    };
    let output = output.unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A file in a directory of its own, which is deleted with the first value.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("camgate.yml");
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap().to_string();
    (directory, name)
}
