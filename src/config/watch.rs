//! Tells when the configuration file's content has changed.
//!
//! Watched are the directory (editors and ConfigMaps replace the file), the file
//! itself (a bind mount of one file shows no events in its directory) and, if the
//! file is a link, where it leads. And because network file systems and some mounts
//! tell nothing at all, the file is also looked at every few seconds. Whatever the
//! hint, only a different content counts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// How long it must be quiet before the file is read: writing takes several steps.
const QUIET: Duration = Duration::from_millis(200);
/// The longest wait for quiet, for a directory that never is.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the file is looked at without a hint.
const LOOK: Duration = Duration::from_secs(3);

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watch {
    changes: mpsc::Receiver<()>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Waits until the content has changed. Several changes in a row may count as
    /// one. Cancel-safe. None when nothing is watched any more.
    pub async fn changed(&mut self) -> Option<()> {
        self.changes.recv().await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Watches `file`, from its content now on. Call it before the file is loaded, so
/// that no change falls in between. Must be called within a tokio runtime.
pub fn watch(file: &Path) -> Watch {
    // One place each: more than "look again" cannot be said, so that a full queue
    // loses nothing.
    let (hint, hints) = mpsc::channel(1);
    let (change, changes) = mpsc::channel(1);
    let hinter = Hinter::new(file, hint);
    let known = content(file);
    let task = tokio::spawn(run(file.to_owned(), hinter, hints, known, change));
    Watch { changes, task }
}

/// What the content is, in short. None while there is none to be read.
fn content(file: &Path) -> Option<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut reader = std::io::BufReader::new(std::fs::File::open(file).ok()?);
    std::io::copy(&mut reader, &mut HashWriter(&mut hash)).ok()?;
    Some(hash.finalize().into())
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The system's notifications. Without them (the system's limit of watches is
/// reached) looking every few seconds remains.
struct Hinter {
    file: PathBuf,
    watcher: Option<RecommendedWatcher>,
    /// What is watched.
    watched: Vec<PathBuf>,
}

impl Hinter {
    fn new(file: &Path, hint: mpsc::Sender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the file is an event, too; reacting to that would never end.
            if event.is_ok_and(|e| e.kind.is_access()) {
                return;
            }
            let _ = hint.try_send(());
        });
        let watcher = watcher
            .inspect_err(|e| {
                tracing::warn!("no notifications of file changes ({e}); the configuration is looked at every {LOOK:?}")
            })
            .ok();
        let mut hinter = Hinter { file: file.to_owned(), watcher, watched: Vec::new() };
        hinter.aim();
        hinter
    }

    /// Watches what the file's name leads to now.
    fn aim(&mut self) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let directory = |file: &Path| match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut targets = vec![directory(&self.file)];
        if let Ok(real) = self.file.canonicalize() {
            targets.extend([directory(&real), real]);
        }
        for gone in self.watched.iter().filter(|old| !targets.contains(old)) {
            let _ = watcher.unwatch(gone);
        }
        // Watched anew each time: behind the same name there may be another file.
        targets.retain(|target| watcher.watch(target, RecursiveMode::NonRecursive).is_ok());
        self.watched = targets;
    }
}

async fn run(
    file: PathBuf,
    mut hinter: Hinter,
    mut hints: mpsc::Receiver<()>,
    mut known: Option<[u8; 32]>,
    change: mpsc::Sender<()>,
) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Without a watcher the hints have ended, and only the looks remain.
    let mut hinted = true;
    let mut last = known;
    loop {
        tokio::select! {
            hint = hints.recv(), if hinted => match hint {
                Some(()) => quiet(&mut hints).await,
                None => hinted = false,
            },
            _ = looks.tick() => {}
            () = change.closed() => return,
        }
        let path = file.clone();
        // Reading may hang (a network file system), and must not hold the runtime.
        let read = tokio::task::spawn_blocking(move || {
            let now = content(&path);
            (hinter, now)
        });
        let now;
        (hinter, now) = match read.await {
            Ok(read) => read,
            Err(_) => return,
        };
        // A file that is missing for a moment is being replaced, and one that is
        // different each time is being written.
        let steady = now == last;
        last = now;
        if now.is_none() || now == known {
            continue;
        }
        if steady {
            known = now;
            hinter.aim();
            let _ = change.try_send(());
        } else {
            looks.reset_after(QUIET);
        }
    }
}

/// Waits until there was no hint for [`QUIET`].
async fn quiet(hints: &mut mpsc::Receiver<()>) {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match tokio::time::timeout(QUIET, hints.recv()).await {
            Ok(Some(())) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests;
