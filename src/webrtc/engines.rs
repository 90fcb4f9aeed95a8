//! The engines that there are, and which one serves a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::{Config, WebrtcEngine};
use crate::webrtc::engine::{Engine, Gathering};

/// See the module.
pub struct Engines {
    shared: Arc<dyn Engine>,
    webrtcbin: Arc<dyn Engine>,
    /// The log knows why some sessions have another engine than the one configured.
    told: AtomicBool,
}

impl Engines {
    /// These two.
    pub fn new(shared: Arc<dyn Engine>, webrtcbin: Arc<dyn Engine>) -> Self {
        Engines { shared, webrtcbin, told: AtomicBool::new(false) }
    }

    /// The engine for a new session of a path.
    pub fn choose(&self, config: &Config, path: &str, gathering: &Gathering) -> &Arc<dyn Engine> {
        match config.engine_of(path) {
            WebrtcEngine::Webrtcbin => &self.webrtcbin,
            WebrtcEngine::Shared if gathering.turn.is_empty() => &self.shared,
            WebrtcEngine::Shared => {
                if !self.told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "webrtcEngine: shared uses no TURN server itself: as webrtcICEServers2 names one for this server \
                         (without clientOnly), viewers are served by webrtcbin"
                    );
                }
                &self.webrtcbin
            }
        }
    }
}
