//! Where a STUN server sees our port. It is the same for all sessions, so that it is asked
//! for once, and then now and again in the background.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::super::control::Handle;
use super::super::ring::Unit;
use crate::webrtc::engine::Gathering;

/// How often it is asked again: a router forgets a mapping after half a minute or more
/// without traffic (RFC 4787 §4.3 wants two).
const AGAIN: Duration = Duration::from_secs(25);
/// How long an answer may take in the background.
const WAIT: Duration = Duration::from_secs(2);

/// What one server said.
#[derive(Debug, Clone, Copy)]
struct Said {
    asked: Instant,
    address: Option<SocketAddr>,
}

/// See the module.
#[derive(Debug, Default, Clone)]
pub struct Mapped {
    known: Arc<Mutex<HashMap<SocketAddr, Said>>>,
}

impl Mapped {
    /// The address by what is configured, if there is one. Only who comes first waits for
    /// it, for [`Gathering::wait`] at most.
    pub async fn get<U: Unit>(&self, handle: &Handle<U>, gathering: &Gathering) -> Option<SocketAddr> {
        let server: SocketAddr = gathering.stun.as_deref()?.strip_prefix("stun://")?.parse().ok()?;
        let (said, due) = self.look(server);
        if !due {
            return said.and_then(|s| s.address);
        }
        let wait = if said.is_some() { WAIT } else { gathering.wait };
        let (tx, answered) = oneshot::channel();
        let known = self.known.clone();
        let answer = move |address: Option<SocketAddr>| {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(said) = known.get_mut(&server) {
                said.address = address;
            }
            drop(known);
            let _ = tx.send(address);
        };
        handle.reflexive(server, wait, Box::new(answer)).ok()?;
        match said {
            Some(said) => said.address,
            None => tokio::time::timeout(wait, answered).await.ok()?.ok()?,
        }
    }

    /// What a server said last, and whether it is to be asked, which is noted then.
    fn look(&self, server: SocketAddr) -> (Option<Said>, bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let said = known.get(&server).copied();
        let due = said.is_none_or(|s| s.asked.elapsed() >= AGAIN);
        if due {
            let address = said.and_then(|s| s.address);
            known.insert(server, Said { asked: Instant::now(), address });
        }
        (said, due)
    }
}
