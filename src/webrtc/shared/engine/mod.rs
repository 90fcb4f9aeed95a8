//! The engine behind [`crate::webrtc::engine::Engine`]: offers become sessions of the media
//! thread, frames of a path's Hub become frames of its rings.
//!
//! | room | what |
//! |---|---|
//! | `candidates` | where we are (pure) |
//! | `streams` | what is sent, from what was negotiated (pure) |
//! | `feeds` | one reader of a path for all its viewers |
//! | `mapped` | where a STUN server sees us |
//! | `peer` | a viewer, as the control world sees it |

mod candidates;
mod feeds;
mod mapped;
mod peer;
mod streams;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::control::{self, Handle, Local, Open, Status};
use super::dtls::{Context, Fingerprint, Side};
use super::ice::{Credentials, Role};
use super::thread::{self, Sockets};
use crate::config::{Config, WebrtcEngine};
use crate::error::{Error, Kind, Result};
use crate::media::hub::AccessUnit;
use crate::webrtc::answer::{self, Transport};
use crate::webrtc::engine::{Engine, Job, Opened, Opening};
use crate::webrtc::negotiate::Plan;
use crate::webrtc::offer::{Offer, Peer as Offered, Section};

use feeds::Feeds;
use mapped::Mapped;
use peer::{SharedPeer, State};

/// Longest wait for the media thread's end.
const END: Duration = Duration::from_secs(2);

/// See the module. Its sockets are open from [`Shared::start`] on.
pub struct Shared {
    context: Context,
    running: Mutex<Option<Arc<Running>>>,
    ids: AtomicU64,
}

/// Most media threads, one per core: each sends some 400,000 packets a second.
const THREADS: usize = 16;
/// So many viewers a thread has before the next one gets any: each thread wakes up for
/// each frame of its paths, and its memory is warm.
const COMPANY: u64 = 100;

/// A media thread, and the paths that it reads.
struct Media {
    handle: Handle<AccessUnit>,
    feeds: Feeds,
}

/// The media threads, and what belongs to them.
struct Running {
    /// One per core; the first one receives for all.
    threads: Vec<Media>,
    mapped: Mapped,
    /// What they were started with, for the next ones.
    config: control::Config,
    sockets: Sockets,
}

impl Running {
    fn start(config: control::Config, sockets: Sockets) -> io::Result<Arc<Self>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let handles = thread::start(&config, &sockets, cores.min(THREADS))?;
        let threads = handles.into_iter().map(|handle| Media { handle, feeds: Feeds::default() }).collect();
        Ok(Arc::new(Running { threads, mapped: Mapped::default(), config, sockets }))
    }

    /// The thread for the next viewer.
    fn next(&self) -> Option<&Media> {
        let sessions: Vec<u64> =
            self.threads.iter().map(|t| t.handle.counters().sessions.load(Ordering::Relaxed)).collect();
        self.threads.get(place(&sessions)?)
    }
}

/// Where the next viewer goes, by how many there are on each thread: the first one that
/// has little company, else the one that has least.
fn place(sessions: &[u64]) -> Option<usize> {
    let few = sessions.iter().position(|n| *n < COMPANY);
    few.or_else(|| sessions.iter().enumerate().min_by_key(|(_, n)| **n).map(|(i, _)| i))
}

impl Shared {
    /// Makes the certificate; opens nothing.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Shared { context: Context::new()?, running: Mutex::default(), ids: AtomicU64::new(1) })
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the sockets and starts the threads, where any path of the configuration is
    /// served by this engine; once. Returns where it listens, when it begins to.
    ///
    /// Errors: an address cannot be had; the sentence names the key.
    pub fn start(&self, config: &Config) -> anyhow::Result<Option<Local>> {
        let mut running = self.running();
        if running.is_some() || !config.uses_engine(WebrtcEngine::Shared) {
            return Ok(None);
        }
        let mut wanted = control::Config::new(self.context.clone());
        wanted.udp = sockets(config.webrtc_udp_listen());
        wanted.tcp = sockets(config.webrtc_tcp_listen());
        let opened = Sockets::open(&wanted).and_then(|sockets| Running::start(wanted, sockets));
        let started = opened.map_err(|error| {
            let udp = &config.webrtc_local_udp_address;
            let tcp = match config.webrtc_local_tcp_address.as_str() {
                "" => String::new(),
                tcp => format!(" and webrtcLocalTCPAddress {tcp}"),
            };
            let who = match error.kind() {
                io::ErrorKind::AddrInUse => ": another camgate, or MediaMTX, may have it",
                _ => "",
            };
            anyhow::anyhow!("cannot listen on webrtcLocalUDPAddress {udp}{tcp}: {error}{who}")
        })?;
        let local = started.sockets.local().clone();
        *running = Some(started);
        Ok(Some(local))
    }

    /// Whether the sockets are open.
    pub fn is_open(&self) -> bool {
        self.running().is_some()
    }

    /// Ends all sessions and the threads; returns when nobody sends any more.
    pub async fn shutdown(&self) {
        let Some(running) = self.running().take() else { return };
        let ends = running.threads.iter().map(|t| {
            let (tx, done) = oneshot::channel();
            t.handle.shutdown("camgate is shutting down", Some(Box::new(move || _ = tx.send(()))));
            done
        });
        let ends: Vec<_> = ends.collect();
        let all = async {
            for end in ends {
                let _ = end.await;
            }
        };
        if tokio::time::timeout(END, all).await.is_err() {
            tracing::error!("a media thread does not end");
        }
    }

    /// A thread has died, and with it all its sessions: the next viewer gets new ones. The
    /// others end as well, and their viewers join again: they live and end together.
    fn died(&self, dead: &Arc<Running>) -> Error {
        let mut running = self.running();
        if running.as_ref().is_some_and(|r| Arc::ptr_eq(r, dead)) {
            tracing::error!("a media thread has died: starting others");
            // The first one receives for all, and one at a time may.
            for thread in &dead.threads {
                thread.handle.shutdown("another media thread has died", None);
            }
            match Running::start(dead.config.clone(), dead.sockets.clone()) {
                Ok(next) => *running = Some(next),
                Err(error) => tracing::error!("the media threads cannot be started again: {error}"),
            }
        }
        Error::new(Kind::Unavailable, "the media thread has ended").retry_after(1)
    }

    async fn open(&self, opening: Opening) -> Result<Opened> {
        let running = self.running().clone();
        if let Some(running) = running.as_ref().filter(|r| r.threads.iter().any(|t| t.handle.has_ended())) {
            return Err(self.died(running));
        }
        let not_there = || Error::new(Kind::Unavailable, "the engine shared is not running").retry_after(2);
        let running = running.ok_or_else(not_there)?;
        let Opening { id: session, offer, plan, subscription, gathering } = opening;
        let (section, offered) = anchor(&offer, &plan)?;
        // Asked by the thread that receives the answer.
        let mapped = match running.threads.first() {
            Some(first) => running.mapped.get(&first.handle, &gathering).await,
            None => None,
        };
        let ours = candidates::ours(running.sockets.local(), &gathering, mapped);
        if ours.lines.is_empty() {
            let what = "the engine shared has no address to offer: check webrtcLocalUDPAddress, webrtcIPsFromInterfaces with its list, and webrtcAdditionalHosts";
            return Err(Error::new(Kind::Internal, what));
        }
        let gone = |refused| match refused {
            control::Refused::Gone => self.died(&running),
            full => peer::refused(full),
        };
        let media = running.next().ok_or_else(not_there)?;
        let handle = &media.handle;
        let feed = media.feeds.of(subscription.hub(), handle).map_err(gone)?;
        let (streams, ids) = streams::streams(&plan, |kind| feed.ring(kind));
        let (local, state, status) = (peer::credentials(), State::new(), Arc::new(Status::default()));
        let transport = Transport {
            ice_ufrag: local.ufrag.clone(),
            ice_pwd: local.password.clone(),
            fingerprint_sha256: self.context.fingerprint().to_owned(),
            candidates: ours.lines,
            end_of_candidates: true,
        };
        let fingerprint = &offered.fingerprint;
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let open = Open {
            id,
            role: if offer.lite { Role::Controlling } else { Role::Controlled },
            local,
            remote: Credentials { ufrag: offered.ice_ufrag.clone(), password: offered.ice_pwd.clone() },
            bases: ours.bases,
            side: if answer::client_waits(section) { Side::Client } else { Side::Server },
            fingerprint: Fingerprint { algorithm: fingerprint.algorithm.clone(), bytes: fingerprint.bytes.clone() },
            streams,
            cname: format!("camgate-{session}"),
            seed: rand::random(),
            candidates: answer::engine_candidates(&offer, section).into_iter().filter_map(peer::remote).collect(),
            status: status.clone(),
            listener: peer::listener(&state, &session, subscription.hub()),
        };
        handle.open(open).map_err(gone)?;
        let lost_before = feed.stats().dropped.load(Ordering::Relaxed);
        tokio::spawn(peer::look_after(subscription, (id, session), handle.clone(), state.clone()));
        let (handle, transport_of) = (handle.clone(), transport.clone());
        let peer = SharedPeer { id, handle, state, status, lost_before, feed, transport: transport_of };
        Ok(Opened { transport, streams: ids, peer: Arc::new(peer) })
    }
}

impl Engine for Shared {
    fn name(&self) -> WebrtcEngine {
        WebrtcEngine::Shared
    }

    fn trim(&self, _: &mut Plan) {}

    fn open(&self, opening: Opening) -> Job<'_, Result<Opened>> {
        Box::pin(Shared::open(self, opening))
    }
}

/// The section whose transport all use: the first one that is sent.
fn anchor<'a>(offer: &'a Offer, plan: &Plan) -> Result<(&'a Section, &'a Offered)> {
    let section = plan.sends().next().and_then(|(i, _)| offer.sections.get(i));
    let found = section.and_then(|s| Some((s, s.peer.as_ref()?)));
    found.ok_or_else(|| Error::new(Kind::Internal, "the plan sends nothing"))
}

/// The sockets for addresses: where both families are meant, one socket takes both.
fn sockets(mut wanted: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if wanted.iter().any(|a| a.is_ipv6() && a.ip().is_unspecified()) {
        wanted.retain(|a| a.is_ipv6() || !a.ip().is_unspecified());
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second half of a thread's death; the first one is the peer's test.
    #[tokio::test]
    async fn after_a_threads_death_the_next_viewer_finds_others_at_the_same_port() {
        let engine = Shared::new().unwrap();
        let yaml = "webrtcLocalUDPAddress: 127.0.0.1:0\npaths:\n  gate:\n    source: test\n";
        let config = crate::config::parse(yaml, None, &[]).unwrap().config;
        let local = engine.start(&config).unwrap().unwrap();
        let dead = engine.running().clone().unwrap();
        dead.threads[0].handle.shutdown("died", None);
        let ended = async {
            while !dead.threads[0].handle.has_ended() {
                tokio::time::sleep(Duration::from_millis(5)).await; // poll
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
        // However many notice.
        for _ in 0..3 {
            assert_eq!(engine.died(&dead).kind, Kind::Unavailable);
        }
        let next = engine.running().clone().unwrap();
        assert!(!Arc::ptr_eq(&next, &dead));
        assert_eq!(next.sockets.local().udp, local.udp);
        // They take what is asked of them, and end like any.
        assert!(next.threads.iter().all(|t| !t.handle.has_ended()));
        assert!(next.threads.iter().all(|t| t.handle.ring(Default::default()).is_ok()));
        engine.shutdown().await;
        assert!(!engine.is_open());
    }

    #[test]
    fn viewers_have_company_and_then_spread() {
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[0, 0]), Some(0));
        assert_eq!(place(&[COMPANY - 1, 0]), Some(0));
        assert_eq!(place(&[COMPANY, 0]), Some(1));
        assert_eq!(place(&[COMPANY, COMPANY, 7]), Some(2));
        assert_eq!(place(&[180, 170, 190]), Some(1));
    }
}
