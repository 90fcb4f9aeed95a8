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
use super::thread;
use crate::config::{Config, WebrtcEngine};
use crate::error::{Error, Kind, Result};
use crate::media::hub::AccessUnit;
use crate::webrtc::answer::{self, Transport};
use crate::webrtc::engine::{Engine, Job, Opened, Opening, PeerStats};
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

/// A media thread, and what belongs to it.
struct Running {
    handle: Handle<AccessUnit>,
    feeds: Feeds,
    mapped: Mapped,
    /// What it was started with, for the next one.
    config: control::Config,
}

impl Running {
    fn start(config: control::Config) -> io::Result<Arc<Self>> {
        let handle = thread::start(config.clone())?;
        Ok(Arc::new(Running { handle, feeds: Feeds::default(), mapped: Mapped::default(), config }))
    }
}

impl Shared {
    /// Makes the certificate; opens nothing.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Shared { context: Context::new()?, running: Mutex::default(), ids: AtomicU64::new(1) })
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the sockets and starts the thread, where any path of the configuration is
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
        let started = Running::start(wanted).map_err(|error| {
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
        let local = started.handle.local().clone();
        *running = Some(started);
        Ok(Some(local))
    }

    /// Whether the sockets are open.
    pub fn is_open(&self) -> bool {
        self.running().is_some()
    }

    /// Ends all sessions and the thread; returns when its sockets are closed.
    pub async fn shutdown(&self) {
        let Some(running) = self.running().take() else { return };
        let (tx, done) = oneshot::channel();
        running.handle.shutdown("camgate is shutting down", Some(Box::new(move || _ = tx.send(()))));
        if tokio::time::timeout(END, done).await.is_err() {
            tracing::error!("the media thread does not end");
        }
    }

    /// The thread has died, and with it all its sessions: the next viewer gets a new one.
    fn died(&self, dead: &Arc<Running>) -> Error {
        let mut running = self.running();
        if running.as_ref().is_some_and(|r| Arc::ptr_eq(r, dead)) {
            tracing::error!("the media thread has died: starting another one");
            match Running::start(dead.config.clone()) {
                Ok(next) => *running = Some(next),
                Err(error) => tracing::error!("the media thread cannot be started again: {error}"),
            }
        }
        Error::new(Kind::Unavailable, "the media thread has ended").retry_after(1)
    }

    async fn open(&self, opening: Opening) -> Result<Opened> {
        let running = self.running().clone();
        let not_there = || Error::new(Kind::Unavailable, "the engine shared is not running").retry_after(2);
        let running = running.ok_or_else(not_there)?;
        let handle = &running.handle;
        let Opening { id: session, offer, plan, subscription, gathering } = opening;
        let (section, offered) = anchor(&offer, &plan)?;
        let mapped = running.mapped.get(handle, &gathering).await;
        let ours = candidates::ours(handle.local(), &gathering, mapped);
        if ours.lines.is_empty() {
            let what = "the engine shared has no address to offer: check webrtcLocalUDPAddress, webrtcIPsFromInterfaces with its list, and webrtcAdditionalHosts";
            return Err(Error::new(Kind::Internal, what));
        }
        let gone = |refused| match refused {
            control::Refused::Gone => self.died(&running),
            full => peer::refused(full),
        };
        let feed = running.feeds.of(subscription.hub(), handle).map_err(gone)?;
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
            listener: peer::listener(&state, &session),
        };
        handle.open(open).map_err(gone)?;
        let lost_before = feed.stats().dropped.load(Ordering::Relaxed);
        tokio::spawn(peer::look_after(subscription, id, handle.clone(), state.clone()));
        let (handle, transport_of) = (handle.clone(), transport.clone());
        let stats = PeerStats::default();
        let peer = SharedPeer { id, handle, state, status, stats, lost_before, feed, transport: transport_of };
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
