//! The candidates that a viewer's webrtcbin finds, and the names that the outside
//! has for them. Blocking, as [`super::build`].

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_webrtc as gst_webrtc;

use crate::webrtc::candidate::{Address, Candidate};
use crate::webrtc::engine::Gathering;
use crate::webrtc::webrtcbin::build::STEP;

/// Candidates that one session may gather.
const CANDIDATES: usize = 256;

/// Candidates as webrtcbin finds them.
pub struct Gathered {
    found: Arc<Mutex<Vec<Candidate>>>,
    complete: Receiver<()>,
}

impl Gathered {
    /// Listens from now on.
    pub fn listen(webrtc: &gst::Element) -> Self {
        let found = Arc::new(Mutex::new(Vec::new()));
        let (tx, complete): (SyncSender<()>, _) = sync_channel(1);
        let list = found.clone();
        webrtc.connect("on-ice-candidate", false, move |args| {
            let line = args.get(2).and_then(|v| v.get::<&str>().ok())?;
            let candidate = Candidate::parse(line.trim_start_matches("candidate:")).ok()?;
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            if list.len() < CANDIDATES && !list.contains(&candidate) {
                list.push(candidate);
            }
            None
        });
        webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
            if webrtc.property::<gst_webrtc::WebRTCICEGatheringState>("ice-gathering-state")
                == gst_webrtc::WebRTCICEGatheringState::Complete
            {
                let _ = tx.try_send(());
            }
        });
        Gathered { found, complete }
    }

    /// Waits until gathering is complete. Host candidates are there at once; what
    /// STUN and TURN bring is waited for as long as `gathering.wait` says.
    pub fn wait(self, webrtc: &gst::Element, gathering: &Gathering) -> Vec<Candidate> {
        let remote = gathering.stun.is_some() || !gathering.turn.is_empty();
        let deadline = Instant::now() + if remote { gathering.wait } else { STEP };
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(20));
            let state = webrtc.property::<gst_webrtc::WebRTCICEGatheringState>("ice-gathering-state");
            let done = state == gst_webrtc::WebRTCICEGatheringState::Complete;
            let over = Instant::now() >= deadline;
            match self.complete.recv_timeout(if done { Duration::ZERO } else { left }) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if done || over => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        // libnice announces the candidates from its own thread, a moment before it
        // says that it is complete; with a dead STUN server only the hosts are there.
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.clone()
    }
}

/// Adds the outside names of the host candidates.
pub fn outside(candidates: Vec<Candidate>, gathering: &Gathering) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = candidates.into_iter().filter(Candidate::usable).collect();
    let hosts: Vec<Candidate> = all.iter().filter(|c| c.typ == "host").cloned().collect();
    if !gathering.offer_local {
        all.retain(|c| c.typ != "host");
    }
    for ip in &gathering.additional {
        let mut ports = Vec::new();
        // Nobody listens there for another family.
        let same = |host: &&Candidate| matches!(host.address, Address::Ip(own) if own.is_ipv4() == ip.is_ipv4());
        for host in hosts.iter().filter(same) {
            // One for each local port, not one for each local address.
            if !ports.contains(&host.port) {
                ports.push(host.port);
                all.push(host.with_address(*ip));
            }
        }
    }
    all
}
