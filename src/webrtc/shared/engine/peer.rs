//! One viewer, as the control world sees it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};

use super::super::control::{Event, Handle, Id, Listener, Refused, Status};
use super::super::ice::{self, Credentials};
use super::feeds::PathFeed;
use crate::error::{Error, Kind, Result};
use crate::media::hub::{AccessUnit, Hub, Subscription};
use crate::webrtc::answer::Transport;
use crate::webrtc::candidate::{Address, Candidate};
use crate::webrtc::engine::{self, Job, Peer, PeerState, PeerStats};

/// The thread answers at once; later than this it is dead, or as good as.
const DEADLINE: Duration = Duration::from_secs(5);

/// Where a viewer stands: only moves forward, and keeps its first reason.
#[derive(Debug)]
pub struct State {
    stands: watch::Sender<PeerState>,
    /// Its link does not carry the stream.
    narrow: Notify,
}

impl State {
    pub fn new() -> Arc<Self> {
        Arc::new(State { stands: watch::Sender::new(PeerState::Connecting), narrow: Notify::new() })
    }

    fn connected(&self) {
        self.stands.send_if_modified(|s| {
            *s == PeerState::Connecting && {
                *s = PeerState::Connected;
                true
            }
        });
    }

    fn close(&self, reason: &str) {
        self.stands.send_if_modified(|s| {
            let open = !matches!(s, PeerState::Closed(_));
            if open {
                *s = PeerState::Closed(reason.to_owned());
            }
            open
        });
    }
}

/// What the media thread calls. Let go without a word, it means that the thread is gone.
pub fn listener(state: &Arc<State>, session: &str, hub: &Arc<Hub>) -> Listener {
    struct Told(Arc<State>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.close("the media thread has ended");
        }
    }
    let (told, session, hub) = (Told(state.clone()), session.to_owned(), hub.clone());
    Box::new(move |event| match event {
        Event::Connected => told.0.connected(),
        Event::Route(route) => tracing::debug!(session, ?route, "route"),
        // To be written elsewhere: who reads the log may keep its writers waiting.
        Event::Narrow => told.0.narrow.notify_one(),
        // Answered from the cache already.
        Event::KeyWanted(_) => hub.want_key(),
        Event::Closed(reason) => told.0.close(&reason),
    })
}

/// See the module. Dropped, it ends the session.
pub struct SharedPeer {
    pub id: Id,
    pub handle: Handle<AccessUnit>,
    pub state: Arc<State>,
    pub status: Arc<Status>,
    /// What the Hub could not hand over to the thread before this viewer came.
    pub lost_before: u64,
    pub feed: Arc<PathFeed>,
    /// Of the answer: a restart has the same candidates.
    pub transport: Transport,
}

impl Peer for SharedPeer {
    fn add_candidates(&self, candidates: Vec<Candidate>) -> Job<'_, ()> {
        Box::pin(async move {
            if let Err(refused) = self.handle.candidates(self.id, candidates.iter().filter_map(remote).collect()) {
                tracing::warn!("a viewer's candidates were not taken: {refused}");
            }
        })
    }

    fn state(&self) -> watch::Receiver<PeerState> {
        self.state.stands.subscribe()
    }

    fn stats(&self) -> PeerStats {
        let now = self.status.get();
        let lost = self.feed.stats().dropped.load(Ordering::Relaxed).saturating_sub(self.lost_before);
        // Browsers report within a second or two, and then with the time of ours.
        let reported = now.round_trip.is_some();
        PeerStats {
            packets: now.packets,
            bytes: now.bytes,
            dropped: now.dropped + lost,
            resent: Some(now.resent),
            paused: Some(now.paused),
            loss: reported.then_some(now.loss),
            round_trip: now.round_trip.map(|us| Duration::from_micros(us.into())),
            bitrate: now.bitrate,
        }
    }

    fn restart(&self, theirs: engine::Credentials) -> Job<'_, Result<Transport>> {
        Box::pin(async move {
            let ours = credentials();
            let remote = Credentials { ufrag: theirs.ufrag, password: theirs.password };
            self.handle.restart(self.id, ours.clone(), remote).map_err(refused)?;
            Ok(Transport { ice_ufrag: ours.ufrag, ice_pwd: ours.password, ..self.transport.clone() })
        })
    }

    fn close(&self) -> Job<'_, ()> {
        self.state.close("session closed");
        let (tx, done) = oneshot::channel();
        self.handle.close(self.id, "session closed", Some(Box::new(move || _ = tx.send(()))));
        Box::pin(async move {
            // It lets go of what it was to call when it dies: that is an answer as well.
            if tokio::time::timeout(DEADLINE, done).await.is_err() {
                tracing::error!("a viewer was not released: the media thread does not answer");
            }
        })
    }
}

impl Drop for SharedPeer {
    fn drop(&mut self) {
        if !matches!(*self.state.stands.borrow(), PeerState::Closed(_)) {
            self.state.close("session closed");
            self.handle.close(self.id, "session closed", None);
        }
    }
}

/// Keeps a viewer's place at the Hub until it ends, on either side. `session`: for the log.
pub async fn look_after(
    mut subscription: Subscription,
    (id, session): (Id, String),
    handle: Handle<AccessUnit>,
    state: Arc<State>,
) {
    let mut seen = state.stands.subscribe();
    loop {
        tokio::select! {
            _ = seen.wait_for(|s| matches!(s, PeerState::Closed(_))) => return,
            () = state.narrow.notified() => tracing::info!(
                session,
                "the viewer's link does not carry the stream: it gets key frames only for some seconds, and again whenever that shows"
            ),
            reason = subscription.closed() => {
                let reason = reason.to_string();
                state.close(&reason);
                return handle.close(id, &reason, None);
            }
        }
    }
}

/// New ones for our side of a session (RFC 8445 §5.3 wants 24 and 128 bits at least): the
/// ufrag is what its packets are found by, and stands for some more.
pub fn credentials() -> Credentials {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = |n: usize| -> String {
        let pick = |_| CHARACTERS[usize::from(rand::random::<u8>() & 63)] as char; // invariant: 63 < 64
        (0..n).map(pick).collect()
    };
    Credentials { ufrag: text(16), password: text(32) }
}

/// A candidate as the agent takes it; none for a name.
pub fn remote(candidate: &Candidate) -> Option<ice::Candidate> {
    match candidate.address {
        Address::Ip(ip) => {
            let address = std::net::SocketAddr::new(ip, candidate.port);
            Some(ice::Candidate { address, priority: candidate.priority })
        }
        Address::Name(_) => None,
    }
}

/// A command that the thread did not take, for the client.
pub fn refused(why: Refused) -> Error {
    match why {
        Refused::Full => Error::new(Kind::Unavailable, why.to_string()).retry_after(1),
        Refused::Gone => Error::new(Kind::Internal, why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_dies_ends_its_sessions_with_a_name() {
        let state = State::new();
        let listener = listener(&state, "s", &Hub::new(crate::media::gop::Cap::default()));
        listener(Event::Connected);
        assert_eq!(*state.stands.borrow(), PeerState::Connected);
        drop(listener);
        assert_eq!(*state.stands.borrow(), PeerState::Closed("the media thread has ended".into()));
    }

    #[test]
    fn the_first_reason_counts() {
        let state = State::new();
        let listener = listener(&state, "s", &Hub::new(crate::media::gop::Cap::default()));
        listener(Event::Closed("closed by the peer".into()));
        listener(Event::Connected);
        drop(listener);
        assert_eq!(*state.stands.borrow(), PeerState::Closed("closed by the peer".into()));
    }

    #[test]
    fn credentials_are_long_and_differ() {
        let (a, b) = (credentials(), credentials());
        assert!(a.ufrag.len() == 16 && a.password.len() == 32 && a.ufrag != b.ufrag && a.password != b.password);
        assert!(a.ufrag.bytes().chain(a.password.bytes()).all(|c| c.is_ascii_alphanumeric() || b"+/".contains(&c)));
    }
}
