//! RTSPS: whether a camera's certificate is accepted.

use std::sync::{Arc, Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;
use gstreamer as gst;
use sha2::{Digest, Sha256};

/// The fingerprint of a certificate that was turned down.
#[derive(Debug, Clone, Default)]
pub struct TurnedDown(Arc<Mutex<Option<String>>>);

impl TurnedDown {
    /// SHA-256 in lower-case hex, if one was.
    pub fn fingerprint(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Checks the certificate of `src` (an rtspsrc): one that the system trusts for
/// this host is accepted; any other one only when `fingerprint` is its SHA-256,
/// and nothing else is asked of it then (cameras sign their own).
///
/// A certificate that the system trusts is accepted whatever `fingerprint` says:
/// GLib asks nobody about those.
pub fn check(src: &gst::Element, fingerprint: Option<&str>) -> TurnedDown {
    let turned_down = TurnedDown::default();
    let (wanted, seen) = (fingerprint.map(str::to_owned), turned_down.clone());
    // The connection, the certificate, and what is wrong with it.
    src.connect("accept-certificate", false, move |args| {
        let der = args
            .get(2)
            .and_then(|v| v.get::<glib::Object>().ok())
            .and_then(|c| c.property::<Option<glib::ByteArray>>("certificate"));
        let hex = der.map(|der| Sha256::digest(&*der).iter().map(|b| format!("{b:02x}")).collect::<String>());
        let accepted = hex.is_some() && hex == wanted;
        if !accepted {
            *seen.0.lock().unwrap_or_else(PoisonError::into_inner) = hex;
        }
        Some(accepted.to_value())
    });
    turned_down
}
