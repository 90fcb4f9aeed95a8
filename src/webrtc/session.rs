//! WebRTC sessions: the HTTP resources of the peers, whatever engine serves them.
//!
//! A session is known by two names: its *secret* stands in the Location that only
//! its client has, its *id* in logs, metrics and the API.

mod generation;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::config::{Config, Limits};
use crate::error::{Error, Kind, Result};
use crate::media::codec::Track;
use crate::media::hub::{ReaderStats, Subscription};
use crate::webrtc::answer;
use crate::webrtc::engine::{Opening, Peer, PeerState};
use crate::webrtc::engines::Engines;
use crate::webrtc::ice::Ice;
use crate::webrtc::negotiate;
use crate::webrtc::offer::Offer;

use generation::Generation;
pub use generation::Restarted;

/// Who opens a session, and on what.
#[derive(Debug, Clone)]
pub struct SessionMeta {
    /// The path.
    pub path: String,
    /// The user, where one was named.
    pub user: Option<String>,
    /// The client's address, behind trusted proxies.
    pub remote: SocketAddr,
}

/// What a client gets for its offer.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Names the session in its URL; 256 bits of chance.
    pub secret: String,
    /// The entity tag of the ICE session, unquoted.
    pub etag: String,
    /// The answer, SDP with CRLF.
    pub answer: String,
}

/// All sessions; cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
}

struct Shared {
    /// Where sessions live: not on the HTTP worker that their request came in by,
    /// which ends when camgate moves to another address.
    runtime: tokio::runtime::Handle,
    engines: Engines,
    ice: Ice,
    config: watch::Receiver<Arc<Config>>,
    /// No session is opened any more.
    closing: AtomicBool,
    /// By secret. Held for map operations only.
    open: Mutex<HashMap<String, Arc<Session>>>,
    /// Handshakes under way, by address (http.md, limits). Held likewise.
    half_open: Mutex<HashMap<IpAddr, usize>>,
}

/// A handshake under way; dropping it frees its place.
struct HalfOpen {
    shared: Arc<Shared>,
    ip: IpAddr,
}

impl HalfOpen {
    /// Takes a place, or 503: handshakes are what costs, and what a flood begins.
    fn take(shared: &Arc<Shared>, ip: IpAddr, limits: &Limits) -> Result<Self> {
        let ip = network(ip);
        let mut places = shared.half_open.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |who: &str| {
            Err(Error::new(Kind::Unavailable, format!("too many viewers are connecting at once {who}")).retry_after(2))
        };
        if places.values().sum::<usize>() >= limits.handshakes {
            return full("(limits: handshakes)");
        }
        let mine = places.entry(ip).or_default();
        if *mine >= limits.handshakes_per_address {
            return full("from this address (limits: handshakesPerAddress)");
        }
        *mine += 1;
        Ok(HalfOpen { shared: shared.clone(), ip })
    }
}

/// What one customer has: an IPv4 address, or an IPv6 /64.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        let mut places = self.shared.half_open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = places.get_mut(&self.ip) {
            *n -= 1;
            if *n == 0 {
                places.remove(&self.ip);
            }
        }
    }
}

struct Session {
    id: String,
    path: String,
    /// Who serves it.
    engine: &'static str,
    peer: Arc<dyn Peer>,
    /// Held while the engine restarts: one PATCH after the other.
    ice: tokio::sync::Mutex<Generation>,
    /// What it lost in the Hub's queue.
    reader: Arc<ReaderStats>,
}

impl Sessions {
    /// Sessions on these engines, with the configuration as it changes. Called on the
    /// runtime that sessions are to live on.
    pub fn new(engines: Engines, ice: Ice, config: watch::Receiver<Arc<Config>>) -> Self {
        Sessions {
            shared: Arc::new(Shared {
                runtime: tokio::runtime::Handle::current(),
                engines,
                ice,
                config,
                closing: AtomicBool::new(false),
                open: Mutex::default(),
                half_open: Mutex::default(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Answers an offer. Errors: 400 and 422 from the negotiation, 500 from the engine.
    ///
    /// A client that goes away meanwhile drops this future; what was begun is
    /// finished all the same, and the session ends by its handshake timeout.
    pub async fn open(&self, offer: Offer, subscription: Subscription, meta: SessionMeta) -> Result<Opened> {
        let job = self.shared.runtime.spawn(self.clone().open_whole(offer, subscription, meta));
        job.await.unwrap_or_else(|e| Err(Error::new(Kind::Internal, format!("the session's task died: {e}"))))
    }

    async fn open_whole(self, offer: Offer, subscription: Subscription, meta: SessionMeta) -> Result<Opened> {
        let config = self.shared.config.borrow().clone();
        let place = HalfOpen::take(&self.shared, meta.remote.ip(), &config.limits)?;
        let tracks: Vec<Track> = subscription.tracks().to_vec();
        let mut plan = negotiate::negotiate(&offer, &tracks)?;
        let gathering = self.shared.ice.gathering(&config).await;
        let engine = self.shared.engines.choose(&config, &meta.path, &gathering);
        engine.trim(&mut plan);
        let id = token(8);
        let ice = Generation::new(&offer, &plan);
        let reader = subscription.stats().clone();
        let opening = Opening { id: id.clone(), offer: offer.clone(), plan: plan.clone(), subscription, gathering };
        let (engine, job) = (engine.name().word(), engine.open(opening));
        let opened = job.await.inspect_err(|e| {
            tracing::warn!(session = %id, path = %meta.path, client = %meta.remote.ip(), engine, "viewer cannot join: {e}");
        })?;
        let session_id: u64 = rand::random::<u64>() >> 2;
        let cname = format!("camgate-{id}");
        let answer = answer::write(&offer, &plan, &opened.transport, &opened.streams, session_id, &cname);
        let secret = token(32);
        let etag = ice.etag.clone();
        let (path, peer) = (meta.path.clone(), opened.peer);
        let session = Arc::new(Session { id, path, engine, ice: tokio::sync::Mutex::new(ice), reader, peer });
        tracing::info!(session = %session.id, path = %meta.path, client = %meta.remote.ip(), engine, "viewer joins");
        let late = {
            let mut open = self.lock();
            let late = self.shared.closing.load(Ordering::Relaxed);
            if !late {
                open.insert(secret.clone(), session.clone());
            }
            late
        };
        if late {
            session.peer.close().await;
            return Err(Error::new(Kind::Unavailable, "camgate is shutting down").retry_after(2));
        }
        tokio::spawn(self.clone().guard(secret.clone(), session, place, config.webrtc_handshake_timeout));
        Ok(Opened { secret, etag, answer })
    }

    /// Looks after a session until it ends, and then takes it away.
    async fn guard(self, secret: String, session: Arc<Session>, place: HalfOpen, handshake: Duration) {
        let began = Instant::now();
        let mut state = session.peer.state();
        let first = tokio::time::timeout(handshake, state.wait_for(|s| *s != PeerState::Connecting)).await;
        drop(place);
        let reason = match first.map(|r| r.map(|s| s.clone())) {
            Ok(Ok(PeerState::Closed(reason))) => reason,
            Ok(Ok(_)) => {
                tracing::info!(session = %session.id, path = %session.path, engine = session.engine, ms = began.elapsed().as_millis() as u64, "viewer connected");
                match state.wait_for(|s| matches!(s, PeerState::Closed(_))).await.map(|s| s.clone()) {
                    Ok(PeerState::Closed(reason)) => reason,
                    _ => "engine gone".into(),
                }
            }
            Ok(Err(_)) => "engine gone".into(),
            Err(_) => format!(
                "no connection within {} s (webrtcHandshakeTimeout): is UDP open between client and server, is webrtcAdditionalHosts set?",
                handshake.as_secs_f32()
            ),
        };
        self.lock().remove(&secret);
        session.peer.close().await;
        let stats = session.peer.stats();
        tracing::info!(
            session = %session.id, path = %session.path, engine = session.engine, reason,
            seconds = began.elapsed().as_secs(),
            packets = stats.packets,
            dropped = stats.dropped + session.reader.dropped.load(Ordering::Relaxed),
            resent = stats.resent,
            paused = stats.paused,
            loss_percent = stats.loss.map(|l| u64::from(l) * 100 / 256),
            rtt_ms = stats.round_trip.map(|t| t.as_millis() as u64),
            link_kbps = stats.bitrate.map(|b| b / 1_000),
            "viewer left"
        );
    }

    fn find(&self, secret: &str, path: &str) -> Result<Arc<Session>> {
        let found = self.lock().get(secret).filter(|s| s.path == path).cloned();
        found.ok_or_else(|| Error::new(Kind::NotFound, "no such session: it has ended, or never was"))
    }

    /// Takes a trickle fragment (RFC 8840). `if_match`: unquoted tags, with commas
    /// between them; without one, or with `*`, every fragment is taken. One with new
    /// credentials restarts ICE; returned is what the client has to know then.
    ///
    /// Errors: 404 unknown session, 412 another tag, 400 malformed, 422 ICE restart of an
    /// engine that cannot.
    pub async fn patch(
        &self,
        secret: &str,
        path: &str,
        if_match: Option<&str>,
        body: &str,
    ) -> Result<Option<Restarted>> {
        let session = self.find(secret, path)?;
        let mut ice = session.ice.lock().await;
        let restarted = ice.patch(&*session.peer, if_match, body).await?;
        if restarted.is_some() {
            tracing::info!(session = %session.id, path = %session.path, "ICE restart");
        }
        Ok(restarted)
    }

    /// Ends a session. 404 when it is not there (any more).
    pub async fn delete(&self, secret: &str, path: &str) -> Result<()> {
        let session = self.find(secret, path)?;
        if self.lock().remove(secret).is_none() {
            return Err(Error::new(Kind::NotFound, "no such session: it has ended, or never was"));
        }
        session.peer.close().await;
        Ok(())
    }

    /// Ends every session; returns when all are released.
    pub async fn shutdown(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        let all: Vec<Arc<Session>> = self.lock().drain().map(|(_, s)| s).collect();
        futures_util::future::join_all(all.iter().map(|s| s.peer.close())).await;
    }
}

/// `bytes` of chance as hexadecimal digits.
fn token(bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", rand::random::<u8>())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_however_many_addresses_it_has() {
        let n = |s: &str| network(s.parse().unwrap());
        assert_eq!(n("2001:db8:0:1::1"), n("2001:db8:0:1:ffff::2"));
        assert_ne!(n("2001:db8:0:1::1"), n("2001:db8:0:2::1"));
        assert_eq!(n("::ffff:192.0.2.1"), n("192.0.2.1"));
        assert_ne!(n("192.0.2.1"), n("192.0.2.2"));
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let (a, b) = (token(32), token(32));
        assert_eq!(a.len(), 64);
        assert_ne!(a, b);
    }
}
