//! Every path by name, and the configuration they stem from.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::hls::sound;
use crate::media::codec::{self, Codec, Track};
use crate::media::hub::{CloseReason, Subscription};
use crate::media::snapshot::Still;
use crate::path::actor::{self, Handle};
use crate::path::status::{PathStatus, StateName, TrackStatus};

/// Paths made for patterns that may exist at once: names come from strangers.
const DYNAMIC: usize = 10_000;

/// The registry; cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Where paths live: not on the HTTP worker whose request made one, which ends
    /// when camgate moves to another address.
    runtime: tokio::runtime::Handle,
    config: watch::Sender<Arc<Config>>,
    /// No path is made any more.
    closing: AtomicBool,
    /// Held for map operations only, never across an await.
    paths: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    conf_name: String,
    dynamic: bool,
    handle: Handle,
}

impl Registry {
    /// Starts the actors of every path with a name. Called on the runtime that paths
    /// are to live on.
    pub fn start(config: Arc<Config>) -> Self {
        let registry = Registry {
            shared: Arc::new(Shared {
                runtime: tokio::runtime::Handle::current(),
                config: watch::Sender::new(config.clone()),
                closing: AtomicBool::new(false),
                paths: Mutex::default(),
            }),
        };
        for name in config.paths.keys().filter(|n| exact(n)) {
            registry.spawn(name, false);
        }
        registry
    }

    /// The present configuration.
    pub fn config(&self) -> Arc<Config> {
        self.shared.config.borrow().clone()
    }

    /// The configuration as it changes.
    pub fn config_changes(&self) -> watch::Receiver<Arc<Config>> {
        self.shared.config.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.shared.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path of this name, made now where it matches a pattern.
    fn spawn(&self, name: &str, dynamic: bool) -> Option<Handle> {
        let mut paths = self.lock();
        if self.shared.closing.load(Ordering::Relaxed) {
            return None;
        }
        // Under the lock: a reload must not pass between look-up and making.
        let config = self.config();
        let found = config.find(name)?;
        // A name that has an entry of its own is no stranger's, whoever asked first.
        let dynamic = dynamic && !exact(&found.conf_name);
        if let Some(entry) = paths.get(name).filter(|e| e.handle.alive()) {
            return Some(entry.handle.clone());
        }
        if dynamic {
            paths.retain(|_, e| !e.dynamic || e.handle.alive());
            if paths.values().filter(|e| e.dynamic).count() >= DYNAMIC {
                return None;
            }
        }
        let _runtime = self.shared.runtime.enter();
        let handle = actor::spawn(name, found.conf, config.read_timeout, dynamic);
        paths.insert(name.into(), Entry { conf_name: found.conf_name, dynamic, handle: handle.clone() });
        Some(handle)
    }

    /// Joins a path as a reader; starts an on-demand source and waits until it is
    /// ready, at most `sourceOnDemandStartTimeout`.
    ///
    /// Errors: 404 unknown, or nothing published; 502 the camera refuses; 503 full
    /// or shutting down; 504 the camera is silent.
    pub async fn join(&self, name: &str) -> Result<Subscription> {
        // A path made for a pattern may come to rest between look-up and request.
        for _ in 0..3 {
            let handle = self.spawn(name, true).ok_or_else(|| unknown(name))?;
            let answer = handle.join().await;
            if answer.is_ok() || handle.alive() {
                return answer;
            }
        }
        Err(Error::new(Kind::Unavailable, format!("path \"{name}\" is going away")).retry_after(1))
    }

    /// What the path of this name is doing. 404 for a name that no entry matches.
    pub async fn status(&self, name: &str) -> Result<PathStatus> {
        let entry = self.lock().get(name).filter(|e| e.handle.alive()).cloned();
        if let Some(entry) = entry {
            return Ok(describe(&self.config(), name, &entry));
        }
        let config = self.config();
        let found = config.find(name).ok_or_else(|| unknown(name))?;
        let publisher = matches!(found.conf.source, config::Source::Publisher);
        Ok(PathStatus {
            name: name.into(),
            conf_name: found.conf_name,
            state: if publisher { StateName::NoSource } else { StateName::Idle },
            reason: publisher.then(|| "waits for a publisher".into()),
            since: rfc3339(SystemTime::now()),
            on_demand: found.conf.source_on_demand,
            hls: config.hls,
            readers: 0,
            substream: substream(&config, name, &found.conf),
            ptz: found.conf.ptz.target(&found.conf.source).is_ok(),
            ptz_refused: None,
            tracks: Vec::new(),
        })
    }

    /// The last key frame of a path, also of one that does not run now. Starts no
    /// source and makes no path.
    ///
    /// Errors: 404 for a name that no entry matches, and where there is no picture.
    pub fn still(&self, name: &str) -> Result<Arc<Still>> {
        let entry = self.lock().get(name).filter(|e| e.handle.alive()).cloned();
        let Some(entry) = entry else {
            self.config().find(name).ok_or_else(|| unknown(name))?;
            return Err(no_picture(name, &[]));
        };
        entry.handle.hub.still().ok_or_else(|| no_picture(name, &entry.handle.hub.tracks()))
    }

    /// Every path that is configured by name or running, by name.
    pub async fn statuses(&self) -> Vec<PathStatus> {
        let entries: BTreeMap<String, Entry> =
            self.lock().iter().filter(|(_, e)| e.handle.alive()).map(|(n, e)| (n.clone(), e.clone())).collect();
        let config = self.config();
        entries.iter().map(|(name, entry)| describe(&config, name, entry)).collect()
    }

    /// Takes a new configuration: touches only what changed. Returns what changed.
    pub async fn apply(&self, new: Arc<Config>) -> config::Diff {
        let old = self.config();
        let diff = config::diff(&old, &new);
        let entries: Vec<(String, Entry)> = {
            let paths = self.lock();
            self.shared.config.send_replace(new.clone());
            paths.iter().map(|(n, e)| (n.clone(), e.clone())).collect()
        };
        let mut gone = Vec::new();
        for (name, entry) in entries {
            match new.find(&name) {
                // A name that now falls to a pattern, or to nothing, is another path.
                Some(found) if found.conf_name == entry.conf_name => {
                    entry.handle.configure(found.conf, new.read_timeout).await;
                }
                _ => {
                    self.lock().remove(&name);
                    gone.push(entry);
                }
            }
        }
        // All at once: one source that does not let go holds up no other.
        futures_util::future::join_all(gone.iter().map(|e| e.handle.close(CloseReason::PathRemoved))).await;
        for name in new.paths.keys().filter(|n| exact(n)) {
            self.spawn(name, false);
        }
        diff
    }

    /// Ends every path; returns when their sources are gone.
    pub async fn shutdown(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        let entries: Vec<Entry> = self.lock().drain().map(|(_, e)| e).collect();
        let closing = entries.iter().map(|e| e.handle.close(CloseReason::Shutdown));
        futures_util::future::join_all(closing).await;
    }
}

/// Whether a configuration entry names one path, and is no pattern.
fn exact(conf_name: &str) -> bool {
    !conf_name.starts_with('~') && !matches!(conf_name, "all" | "all_others")
}

fn unknown(name: &str) -> Error {
    Error::new(Kind::NotFound, format!("path \"{name}\" is not configured")).retry_after(2)
}

/// Why there is no picture of a path.
fn no_picture(name: &str, tracks: &[Track]) -> Error {
    let video: Vec<&Codec> = tracks.iter().map(|t| &t.codec).filter(|c| c.kind() == codec::Kind::Video).collect();
    let why = match video.as_slice() {
        [] if !tracks.is_empty() => "it sends no video, only audio".to_owned(),
        [codec, ..] if !video.iter().any(|c| c.carried()) => {
            format!("its video is {}, of which camgate makes none", codec.label())
        }
        _ => "no key frame has come from its source yet".to_owned(),
    };
    Error::new(Kind::NotFound, format!("there is no picture of path \"{name}\": {why}"))
}

fn describe(config: &Config, name: &str, entry: &Entry) -> PathStatus {
    let snapshot = entry.handle.snapshot.borrow().clone();
    let tracks = entry.handle.hub.tracks();
    let readers = *entry.handle.hub.readers().borrow();
    PathStatus {
        name: name.into(),
        conf_name: entry.conf_name.clone(),
        state: snapshot.state,
        reason: snapshot.reason,
        since: rfc3339(snapshot.since),
        on_demand: snapshot.conf.source_on_demand,
        hls: config.hls,
        readers,
        substream: substream(config, name, &snapshot.conf),
        ptz: snapshot.conf.ptz.target(&snapshot.conf.source).is_ok(),
        ptz_refused: None,
        tracks: tracks
            .iter()
            .map(|t| {
                let all = tracks.iter().map(|t| &t.codec);
                track_status(t, sound::carried(config.hls_variant.into(), &t.codec, all))
            })
            .collect(),
    }
}

/// The path that is the substream of this one. A pattern's may name one that is not
/// there: then there is none.
fn substream(config: &Config, name: &str, conf: &config::PathConf) -> Option<String> {
    let sub = conf.substream.as_ref()?.path_name(name);
    (sub != name && config.find(&sub).is_some()).then_some(sub)
}

/// A track in the words of page and API; `hls`: whether HLS carries it, as it is configured.
pub fn track_status(track: &Track, hls: bool) -> TrackStatus {
    let playable = track.codec.playable();
    let not_so = !hls && sound::carries(&track.codec);
    let notes = [
        (!playable).then_some("not playable over WebRTC yet"),
        not_so.then_some("not over HLS, as mpegts does not carry it like this: fmp4 and lowLatency do"),
    ];
    let notes: Vec<&str> = notes.into_iter().flatten().collect();
    TrackStatus {
        kind: track.codec.kind(),
        codec: track.codec.label().into(),
        profile: profile(&track.codec),
        width: track.width,
        height: track.height,
        fps: track.fps,
        playable,
        hls,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    }
}

/// `High 4.0` and the like (H.264 Annex A, H.265 Annex A).
fn profile(codec: &Codec) -> Option<String> {
    match codec {
        Codec::H264 { profile_level_id: [profile, constraints, level] } => {
            let name = match (profile, constraints & 0x40 != 0) {
                (66, true) => "Constrained Baseline",
                (66, false) => "Baseline",
                (77, _) => "Main",
                (88, _) => "Extended",
                (100, _) => "High",
                (110, _) => "High 10",
                (122, _) => "High 4:2:2",
                (244, _) => "High 4:4:4",
                _ => "Profile",
            };
            Some(format!("{name} {}.{}", level / 10, level % 10))
        }
        Codec::H265 { profile_id, level_id, .. } => {
            let name = match profile_id {
                1 => "Main",
                2 => "Main 10",
                3 => "Main Still Picture",
                _ => "Profile",
            };
            Some(format!("{name} {}.{}", level_id / 30, level_id % 30 / 3))
        }
        _ => None,
    }
}

/// RFC 3339 in UTC with seconds.
fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> Arc<Config> {
        Arc::new(config::tests::config(yaml))
    }

    #[tokio::test]
    async fn a_name_that_gets_an_entry_of_its_own_is_no_stranger_any_more() {
        let registry = Registry::start(config("{paths: {'~^c': {source: publisher}}}"));
        let handle = registry.spawn("cam", true).unwrap();
        assert!(registry.lock()["cam"].dynamic);
        registry.apply(config("{paths: {'~^c': {source: publisher}, cam: {source: publisher}}}")).await;
        assert!(!handle.alive(), "the pattern's path goes on");
        // Whoever asks first.
        let again = registry.spawn("cam", true).unwrap();
        assert!(again.alive() && !registry.lock()["cam"].dynamic);
    }

    #[tokio::test]
    async fn after_the_shutdown_no_path_is_made() {
        let registry = Registry::start(config("{paths: {a: {source: publisher}, '~^c': {source: publisher}}}"));
        registry.shutdown().await;
        for name in ["a", "cam"] {
            assert!(registry.spawn(name, true).is_none(), "{name}");
            assert!(registry.join(name).await.is_err(), "{name}");
        }
    }

    #[test]
    fn profiles_have_names() {
        let p = |a, b, c| profile(&Codec::H264 { profile_level_id: [a, b, c] }).unwrap();
        assert_eq!(p(0x64, 0, 0x28), "High 4.0");
        assert_eq!(p(0x42, 0xe0, 0x1f), "Constrained Baseline 3.1");
        assert_eq!(profile(&Codec::H265 { profile_id: 1, tier_flag: 0, level_id: 93 }).unwrap(), "Main 3.1");
        assert_eq!(profile(&Codec::Pcma), None);
    }
}
