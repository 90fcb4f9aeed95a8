//! Looking at processes, and ending them with all that they started.

use std::collections::HashMap;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub threads: usize,
    pub fds: usize,
    pub rss_kb: u64,
    /// User and system time so far, in clock ticks turned into milliseconds.
    pub cpu_ms: u64,
}

/// The usage of a process of ours; None if it is gone.
pub fn usage(pid: u32) -> Option<Usage> {
    Some(Usage { threads: threads(pid)?, fds: fds(pid)?, rss_kb: rss_kb(pid)?, cpu_ms: cpu_ms(pid)? })
}

pub fn threads(pid: u32) -> Option<usize> {
    status(pid, "Threads:")?.parse().ok()
}

pub fn rss_kb(pid: u32) -> Option<u64> {
    let line = status(pid, "VmRSS:")?;
    line.split_whitespace().next()?.parse().ok()
}

pub fn fds(pid: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Names of the threads, for saying which of them leak.
pub fn thread_names(pid: u32) -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut names: Vec<_> = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .map(|name| name.trim().to_string())
        .collect();
    names.sort();
    names
}

pub fn cpu_ms(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // SAFETY: no arguments that could be wrong.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
    Some(ticks * 1000 / per_second)
}

fn status(pid: u32, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.trim().to_string())
}

/// The fields of /proc/PID/stat after the command's name: state, parent, group …
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(String::from).collect())
}

/// Is there such a process, and is it more than a zombie?
pub fn alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z" && fields[0] != "X")
}

/// The process and all its descendants, parents first.
pub fn family(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(child) = entry.file_name().to_str().and_then(|n| n.parse().ok())
            && let Some(parent) = stat(child).and_then(|f| f.get(1)?.parse().ok())
        {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut family = vec![pid];
    let mut at = 0;
    while at < family.len() {
        family.extend(children.get(&family[at]).into_iter().flatten());
        at += 1;
    }
    family
}

/// Sends a signal to a process of ours.
pub fn signal(pid: u32, signal: i32) {
    // SAFETY: kill has no memory to get wrong.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}

/// Waits for the end of a child; kills it and panics after `deadline`.
#[track_caller]
pub fn wait_or_kill(child: &mut Child, deadline: Duration) -> ExitStatus {
    let end = Instant::now() + deadline;
    loop {
        if let Some(status) = child.try_wait().expect("wait failed") {
            return status;
        }
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("a process does not end within {deadline:?}");
        }
        std::thread::sleep(super::POLL); // poll
    }
}

/// Kills a process and its descendants, by their ids.
pub fn kill_family(pid: u32) {
    for pid in family(pid) {
        signal(pid, libc::SIGKILL);
    }
}
