//! The engine `webrtcbin`: each viewer is a small pipeline of its own, appsrc →
//! webrtcbin, so that a stuck viewer can stall nobody. GStreamer through and
//! through: its graph and properties can be looked at.
//!
//! [`build`] makes and negotiates the pipeline (blocking, off the async threads),
//! [`watch`] turns its signals into a state, [`pump`] brings the frames,
//! [`farewell`] tells the peer that it is over.

mod build;
mod farewell;
mod gathered;
mod pump;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gst::prelude::*;
use gstreamer as gst;
use sha2::Digest;
use tokio::sync::{OnceCell, watch as channel};

use crate::config::WebrtcEngine;
use crate::error::{Error, Kind, Result};
use crate::media::blocking;
use crate::webrtc::answer::StreamIds;
use crate::webrtc::candidate::Candidate;
use crate::webrtc::engine::{Engine, Job, Opened, Opening, Peer, PeerState, PeerStats};
use crate::webrtc::negotiate::{Plan, PlanSection};

pub use pump::Budget;

/// Building and negotiating takes some ten ms; longer than this is a fault.
const DEADLINE: Duration = Duration::from_secs(15);

/// See [`WebrtcBin::warm_up`]; sessions go on without it then.
const WARM_UP: Duration = Duration::from_secs(30);

/// Who we are to every peer. ECDSA P-256: some peers want it, and webrtcbin's own
/// RSA key (before 1.28) costs 50 ms a session.
struct Identity {
    /// Certificate and key, PEM.
    pem: String,
    /// SHA-256 of the certificate, `AA:BB:…`. webrtcbin 1.22 writes that of its own,
    /// replaced certificate into its answer.
    fingerprint: String,
}

/// The engine.
pub struct WebrtcBin {
    identity: Arc<Identity>,
    /// Bounds the bursts of all joins together.
    budget: Arc<Budget>,
    /// See [`WebrtcBin::warm_up`].
    warm: OnceCell<()>,
}

impl WebrtcBin {
    /// Makes the certificate. Errors when a GStreamer element is missing.
    pub fn new() -> anyhow::Result<Self> {
        for name in
            ["webrtcbin", "nicesrc", "nicesink", "dtlsenc", "dtlsdec", "srtpenc", "srtpdec", "rtpbin", "rtprtxsend"]
        {
            // Not by plugin version: nice's is 0.1.x, which gst-inspect --exists refuses.
            // Loaded now: the first viewer would wait most of a second for the plugins.
            let found = gst::ElementFactory::find(name).and_then(|f| f.load().ok());
            anyhow::ensure!(
                found.is_some(),
                "GStreamer has no element \"{name}\": install gstreamer1.0-plugins-bad and gstreamer1.0-nice (docker/setup.sh does)"
            );
        }
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(rcgen::DnType::CommonName, "camgate");
        let certificate = params.self_signed(&key)?;
        Ok(WebrtcBin {
            identity: Arc::new(Identity {
                pem: format!("{}{}", certificate.pem(), key.serialize_pem()),
                fingerprint: fingerprint(certificate.der()),
            }),
            budget: Arc::new(Budget::default()),
            warm: OnceCell::new(),
        })
    }

    /// The first decryptor of a process makes an RSA key, which we do not use, and which
    /// takes from a tenth of a second to many on a busy machine: once, before the first
    /// session, whose deadlines are not for that. The process must not end meanwhile
    /// (OpenSSL's clean-up would pull the rug away).
    pub async fn warm_up(&self) {
        let make = || drop(gst::ElementFactory::make("dtlsdec").build());
        let once = || async move {
            if let Err(fault) = blocking::run(WARM_UP, make).await {
                tracing::warn!("the first DTLS element is not there yet: {fault}");
            }
        };
        self.warm.get_or_init(once).await;
    }
}

/// RFC 8122 §5.
fn fingerprint(der: &[u8]) -> String {
    sha2::Sha256::digest(der).iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":")
}

impl Engine for WebrtcBin {
    fn name(&self) -> WebrtcEngine {
        WebrtcEngine::Webrtcbin
    }

    fn trim(&self, plan: &mut Plan) {
        for section in &mut plan.sections {
            if let PlanSection::Send(s) = section {
                // No header extensions: the SSRCs are in the answer.
                (s.mid_ext, s.playout_delay_ext, s.capture_time_ext, s.remb) = (None, None, None, false);
            }
        }
    }

    fn open(&self, opening: Opening) -> Job<'_, Result<Opened>> {
        Box::pin(async move {
            let Opening { id, offer, plan, subscription, gathering } = opening;
            let (identity, wait) = (self.identity.clone(), gathering.wait);
            self.warm_up().await;
            let build = move || build::build(&id, &offer, &plan, &gathering, &identity);
            let built = blocking::begin(DEADLINE + wait, build)
                .await
                .map_err(|fault| Error::new(Kind::Internal, format!("webrtcbin: {fault}")))??;
            let stats = Arc::new(pump::Sent::default());
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
    stats: Arc<pump::Sent>,
    session: Mutex<Option<build::Session>>,
    watch: Arc<watch::Watch>,
    webrtc: gst::glib::WeakRef<gst::Element>,
}

impl Peer for BinPeer {
    fn add_candidates(&self, candidates: Vec<Candidate>) -> Job<'_, ()> {
        let webrtc = self.webrtc.clone();
        Box::pin(async move {
            let add = move || {
                let Some(webrtc) = webrtc.upgrade() else { return };
                for c in &candidates {
                    webrtc.emit_by_name::<()>("add-ice-candidate", &[&0u32, &format!("candidate:{c}")]);
                }
            };
            if let Err(fault) = blocking::run(DEADLINE, add).await {
                tracing::error!("a viewer's candidates were not taken: {fault}");
            }
        })
    }

    fn state(&self) -> channel::Receiver<PeerState> {
        self.state.clone()
    }

    fn stats(&self) -> PeerStats {
        self.stats.get()
    }

    fn close(&self) -> Job<'_, ()> {
        self.watch.close("session closed");
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            let Some(session) = session else { return };
            if let Err(fault) = blocking::run(DEADLINE, move || drop(session)).await {
                tracing::error!("a viewer's pipeline is frozen, left behind: NULL: {fault}");
            }
        })
    }
}

impl Drop for BinPeer {
    fn drop(&mut self) {
        if let Some(session) = self.session.lock().unwrap_or_else(PoisonError::into_inner).take() {
            blocking::detached(move || drop(session));
        }
    }
}
