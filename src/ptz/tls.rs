//! https to cameras, which sign their certificates themselves: the pinned one is accepted
//! and no other; without a pin those are that the system trusts.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

/// The fingerprint of a certificate that was turned down.
#[derive(Debug, Clone, Default)]
pub struct TurnedDown(Arc<Mutex<Option<String>>>);

impl TurnedDown {
    /// SHA-256 in lower-case hex, if one was since this was last asked: what fails later
    /// may have another cause.
    pub fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The TLS of a camera; `fingerprint` as [`crate::config::PtzTarget::fingerprint`]. The
/// error is a half-sentence.
pub fn config(fingerprint: Option<&str>) -> Result<(ClientConfig, TurnedDown), String> {
    let provider = Arc::new(ring::default_provider());
    let turned_down = TurnedDown::default();
    let system = match fingerprint {
        Some(_) => None,
        None => WebPkiServerVerifier::builder_with_provider(roots(), provider.clone()).build().ok(),
    };
    let verifier =
        Verifier { pin: fingerprint.map(str::to_owned), system, provider: provider.clone(), seen: turned_down.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok((config, turned_down))
}

/// The certificates that the system trusts; read once.
fn roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(store)
    };
    ROOTS.get_or_init(read).clone()
}

#[derive(Debug)]
struct Verifier {
    pin: Option<String>,
    /// None with a pin, and where the system trusts nobody.
    system: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    seen: TurnedDown,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let hex: String = Sha256::digest(cert.as_ref()).iter().map(|b| format!("{b:02x}")).collect();
        let verdict = match (&self.pin, &self.system) {
            (Some(pin), _) if *pin == hex => Ok(ServerCertVerified::assertion()),
            (None, Some(system)) => system.verify_server_cert(cert, chain, name, ocsp, now),
            _ => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        };
        if verdict.is_err() {
            *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(hex);
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_turned_down_is_told_once() {
        let cert = CertificateDer::from(b"whatever it is".to_vec());
        let hex: String = Sha256::digest(cert.as_ref()).iter().map(|b| format!("{b:02x}")).collect();
        let verdict = |pin: &str, seen: &TurnedDown| {
            let provider = Arc::new(ring::default_provider());
            let verifier = Verifier { pin: Some(pin.into()), system: None, provider, seen: seen.clone() };
            let name = ServerName::try_from("camera.test").unwrap();
            verifier.verify_server_cert(&cert, &[], &name, &[], UnixTime::now())
        };
        let seen = TurnedDown::default();
        assert!(verdict(&hex, &seen).is_ok());
        assert_eq!(seen.take(), None);
        assert!(verdict(&"ab".repeat(32), &seen).is_err());
        assert_eq!(seen.take(), Some(hex.clone()));
        assert_eq!(seen.take(), None, "what fails later has another cause");
        // The newest counts, and a good one is no reason to forget.
        assert!(verdict("", &seen).is_err() && verdict(&hex, &seen).is_ok());
        assert_eq!(seen.take(), Some(hex));
    }
}
