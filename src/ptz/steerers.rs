//! All cameras that are steered, by the names of their paths.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::account::Accounts;
use super::steerer::{self, Before, Handle};
use super::{Ask, Camera, Reply};
use crate::config::{Config, PtzTarget};
use crate::error::{Error, Kind, Result};

/// Cameras of `~regex` paths that may be steered at once.
const DYNAMIC: usize = 1_000;
/// How long cameras may take to be stopped when camgate ends: one that is just being told to
/// move may take [`super::client::TIMEOUT`] to say so, and is told to stop after that.
const SHUTDOWN: Duration = Duration::from_millis(3_300);

/// The steerers; cheap to clone.
#[derive(Clone)]
pub struct Steerers {
    shared: Arc<Shared>,
}

struct Shared {
    /// Where their tasks live: not on the HTTP worker whose request made one.
    runtime: tokio::runtime::Handle,
    closing: AtomicBool,
    accounts: Accounts,
    /// Held for map operations only.
    all: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    target: PtzTarget,
    dynamic: bool,
    handle: Handle,
}

impl Steerers {
    /// Starts those of every path with a name. Called on the runtime that they are to live on.
    pub fn start(config: &Config) -> Steerers {
        let steerers = Steerers {
            shared: Arc::new(Shared {
                runtime: tokio::runtime::Handle::current(),
                closing: AtomicBool::new(false),
                accounts: Accounts::default(),
                all: Mutex::default(),
            }),
        };
        steerers.apply(config);
        steerers
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.shared.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, name: &str, target: &PtzTarget, before: Before) -> Handle {
        steerer::spawn(name, target, self.shared.accounts.of(target), before)
    }

    /// Takes a new configuration: only what is about a camera's steering touches it. One
    /// that moves is stopped before another configuration of it begins (that of a `~regex`
    /// path begins with its next request, which may come before the last stop).
    pub fn apply(&self, config: &Config) {
        let mut all = self.lock();
        if self.shared.closing.load(Ordering::Relaxed) {
            return;
        }
        let _runtime = self.shared.runtime.enter();
        let gone: Vec<String> = all
            .iter()
            .filter(|(name, entry)| target(config, name).ok().as_ref() != Some(&entry.target))
            .map(|(name, _)| name.clone())
            .collect();
        let mut before: HashMap<String, Handle> =
            gone.into_iter().filter_map(|name| all.remove(&name).map(|entry| (name, entry.handle))).collect();
        for name in config.paths.keys().filter(|name| exact(config, name)) {
            let Ok(target) = target(config, name) else { continue };
            all.entry(name.clone()).or_insert_with(|| Entry {
                handle: self.spawn(name, &target, before.remove(name).map_or(Before::Nothing, Before::Ends)),
                target,
                dynamic: false,
            });
        }
        for handle in before.into_values() {
            tokio::spawn(async move { handle.close().await });
        }
    }

    /// Every camera that is steered, by name. Waits for none.
    pub fn cameras(&self) -> Vec<Camera> {
        let mut cameras: Vec<Camera> = self.lock().values().map(|entry| entry.handle.look()).collect();
        cameras.sort_by(|a, b| a.name.cmp(&b.name));
        cameras
    }

    /// Asks something of a path's camera.
    ///
    /// Errors: 404 unknown path; 409 it has no PTZ; and those of [`Handle::ask`].
    pub async fn ask(&self, config: &Config, name: &str, ask: Ask) -> Result<Reply> {
        let handle = self.get(config, name)?;
        handle.ask(ask).await
    }

    fn get(&self, config: &Config, name: &str) -> Result<Handle> {
        let target = target(config, name)?;
        let mut all = self.lock();
        if self.shared.closing.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Unavailable, "camgate is shutting down").retry_after(2));
        }
        let _runtime = self.shared.runtime.enter();
        if let Some(entry) = all.get_mut(name) {
            if entry.handle.ended() {
                tracing::error!(camera = %name, "the steerer had ended by itself, and begins anew");
                entry.handle = self.spawn(name, &entry.target, Before::BrokeOff);
            }
            return Ok(entry.handle.clone());
        }
        if all.values().filter(|entry| entry.dynamic).count() >= DYNAMIC {
            let oldest =
                all.iter().filter(|(_, e)| e.dynamic).max_by_key(|(_, e)| e.handle.age()).map(|(n, _)| n.clone());
            // Dropped, its task stops the camera and ends by itself.
            oldest.and_then(|name| all.remove(&name));
        }
        let handle = self.spawn(name, &target, Before::Nothing);
        all.insert(name.to_owned(), Entry { target, dynamic: true, handle: handle.clone() });
        Ok(handle)
    }

    /// Stops every camera that moves, and ends; in 3.3 seconds at most.
    pub async fn shutdown(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        let handles: Vec<Handle> = self.lock().drain().map(|(_, entry)| entry.handle).collect();
        let closing = futures_util::future::join_all(handles.iter().map(Handle::close));
        if tokio::time::timeout(SHUTDOWN, closing).await.is_err() {
            tracing::warn!("not every camera has confirmed that it stopped");
        }
    }
}

/// Whether an entry of the configuration names one path.
fn exact(config: &Config, name: &str) -> bool {
    config.find(name).is_some_and(|found| found.conf_name == name) && !matches!(name, "all" | "all_others")
}

fn target(config: &Config, name: &str) -> Result<PtzTarget> {
    let unknown = || Error::new(Kind::NotFound, format!("path \"{name}\" is not configured"));
    let conf = config.find(name).ok_or_else(unknown)?.conf;
    conf.ptz
        .target(&conf.source)
        .map_err(|why| Error::new(Kind::Conflict, format!("path \"{name}\" has no PTZ: {why}")))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_steerer_that_broke_off_begins_anew_with_a_stop() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let text = format!(
            "paths:\n  gate:\n    source: publisher\n    ptz: {{driver: hikvision, url: '{url}', username: u, password: p}}\n"
        );
        let config = crate::config::parse(&text, None, &[]).unwrap().config;
        let steerers = Steerers::start(&config);
        // Nobody sees what it says before.
        let broken = steerers.get(&config, "gate").unwrap();
        let close = tokio::spawn(async move { broken.close().await });
        let answer = async {
            loop {
                let (mut peer, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4_096];
                let n = peer.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..n]).into_owned();
                let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _ = peer.write_all(answer).await;
                // Asked nothing, it says nothing else that changes the camera.
                if head.starts_with("PUT ") {
                    return head;
                }
            }
        };
        let again = async {
            while !steerers.lock()["gate"].handle.ended() {
                tokio::task::yield_now().await; // poll
            }
            while !close.is_finished() {
                tokio::task::yield_now().await; // poll
            }
            steerers.get(&config, "gate").unwrap()
        };
        let first = async { tokio::join!(answer, again) };
        let (head, handle) = tokio::time::timeout(Duration::from_secs(60), first).await.unwrap();
        assert!(head.contains("continuous"), "{head}");
        assert!(!handle.ended());
    }
}
