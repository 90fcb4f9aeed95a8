//! The engine `webrtcbin`: each viewer is a small pipeline of its own, appsrc →
//! webrtcbin, so that a stuck viewer can stall nobody. GStreamer through and
//! through: its graph and properties can be looked at.
//!
//! [`build`] makes and negotiates the pipeline (blocking, off the async threads),
//! [`watch`] turns its signals into a state, [`pump`] brings the frames.

mod build;
mod pump;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gst::prelude::*;
use tokio::sync::watch as channel;

use crate::error::{Error, Kind, Result};
use crate::webrtc::answer::StreamIds;
use crate::webrtc::candidate::Candidate;
use crate::webrtc::engine::{Engine, Job, Opened, Opening, Peer, PeerState, PeerStats};

pub use pump::Budget;

/// Building and negotiating takes some ten ms; longer than this is a fault.
const DEADLINE: Duration = Duration::from_secs(7);

/// The engine.
pub struct WebrtcBin {
    /// Certificate and key of every session, PEM. ECDSA P-256: some peers want it,
    /// and webrtcbin's own RSA key (before 1.28) costs 50 ms a session.
    certificate: Arc<String>,
    /// Bounds the bursts of all joins together.
    budget: Arc<Budget>,
}

impl WebrtcBin {
    /// Makes the certificate. Errors when a GStreamer element is missing.
    pub fn new() -> anyhow::Result<Self> {
        for name in ["webrtcbin", "nicesink", "dtlsdec", "srtpenc"] {
            // Not by plugin version: nice's is 0.1.x, which gst-inspect --exists refuses.
            anyhow::ensure!(
                gst::ElementFactory::find(name).is_some(),
                "GStreamer has no element \"{name}\": install gstreamer1.0-plugins-bad and gstreamer1.0-nice (docker/setup.sh does)"
            );
        }
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(rcgen::DnType::CommonName, "camgate");
        let certificate = params.self_signed(&key)?;
        Ok(WebrtcBin {
            certificate: Arc::new(format!("{}{}", certificate.pem(), key.serialize_pem())),
            budget: Arc::new(Budget::default()),
        })
    }
}

impl Engine for WebrtcBin {
    fn open(&self, opening: Opening) -> Job<'_, Result<Opened>> {
        Box::pin(async move {
            let Opening { id, offer, plan, subscription, gathering } = opening;
            let (certificate, wait) = (self.certificate.clone(), gathering.wait);
            let build = tokio::task::spawn_blocking(move || build::build(&id, &offer, &plan, &gathering, &certificate));
            let built = match tokio::time::timeout(DEADLINE + wait, build).await {
                Ok(Ok(built)) => built?,
                Ok(Err(e)) => return Err(Error::new(Kind::Internal, format!("session thread died: {e}"))),
                Err(_) => return Err(Error::new(Kind::Internal, "webrtcbin did not answer in time")),
            };
            let stats = Arc::new(PeerStats::default());
            let peer = BinPeer {
                state: built.watch.state(),
                stats: stats.clone(),
                session: Mutex::new(Some(built.session)),
                watch: built.watch.clone(),
                webrtc: built.webrtc,
            };
            tokio::spawn(pump::run(subscription, built.lanes, built.watch, stats, self.budget.clone()));
            let streams = built.streams.iter().map(|s| StreamIds { ssrc: s.ssrc, rtx_ssrc: s.rtx_ssrc }).collect();
            Ok(Opened { transport: built.transport, streams, peer: Arc::new(peer) })
        })
    }
}

struct BinPeer {
    state: channel::Receiver<PeerState>,
    stats: Arc<PeerStats>,
    session: Mutex<Option<build::Session>>,
    watch: Arc<watch::Watch>,
    webrtc: gst::glib::WeakRef<gst::Element>,
}

impl Peer for BinPeer {
    fn add_candidates(&self, candidates: Vec<Candidate>) -> Job<'_, ()> {
        let webrtc = self.webrtc.clone();
        Box::pin(async move {
            let job = tokio::task::spawn_blocking(move || {
                let Some(webrtc) = webrtc.upgrade() else { return };
                for c in &candidates {
                    webrtc.emit_by_name::<()>("add-ice-candidate", &[&0u32, &format!("candidate:{c}")]);
                }
            });
            let _ = tokio::time::timeout(DEADLINE, job).await;
        })
    }

    fn state(&self) -> channel::Receiver<PeerState> {
        self.state.clone()
    }

    fn stats(&self) -> &PeerStats {
        &self.stats
    }

    fn close(&self) -> Job<'_, ()> {
        self.watch.close("session closed");
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            let Some(session) = session else { return };
            let job = tokio::task::spawn_blocking(move || session.shut());
            if tokio::time::timeout(DEADLINE, job).await.is_err() {
                tracing::error!("a viewer's pipeline is frozen: no answer to NULL, left behind");
            }
        })
    }
}

impl Drop for BinPeer {
    fn drop(&mut self) {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(session), Ok(rt)) = (session, tokio::runtime::Handle::try_current()) {
            rt.spawn_blocking(move || session.shut());
        }
    }
}
