//! What all sessions share: the certificate and OpenSSL's settings.

use std::fmt::Write as _;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::{X509, X509NameBuilder};

use super::super::srtp::Profile;

/// What every browser has. AES-128-GCM first: [`super::Farewell`] reads only that.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:\
                       ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384";

/// A certificate of our own and OpenSSL's settings; cheap to clone, for any thread.
#[derive(Clone)]
pub struct Context {
    ssl: SslContext,
    fingerprint: String,
}

/// Without keys.
impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Context {
    /// Makes a key on P-256 (as browsers do) and a certificate for it. Takes about a
    /// millisecond; once per process.
    pub fn new() -> Result<Context, ErrorStack> {
        Context::with(&[Profile::AeadAes128Gcm, Profile::Aes128CmSha1_80])
    }

    /// With these profiles, the one to be preferred first.
    pub fn with(profiles: &[Profile]) -> Result<Context, ErrorStack> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let certificate = certificate(&key)?;
        let mut b = SslContextBuilder::new(SslMethod::dtls())?;
        b.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        b.set_cipher_list(CIPHERS)?;
        b.set_groups_list("X25519:P-256:P-384")?;
        b.set_private_key(&key)?;
        b.set_certificate(&certificate)?;
        // OpenSSL takes the first one of ours that the client has.
        let names: Vec<&str> = profiles.iter().map(|p| p.name()).collect();
        b.set_tlsext_use_srtp(&names.join(":"))?;
        // Certificates are self-signed: who they belong to, the fingerprint says.
        b.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
        b.set_session_cache_mode(SslSessionCacheMode::OFF);
        b.set_options(
            SslOptions::NO_QUERY_MTU
                | SslOptions::NO_TICKET
                | SslOptions::CIPHER_SERVER_PREFERENCE
                | SslOptions::NO_RENEGOTIATION,
        );
        let digest = certificate.digest(MessageDigest::sha256())?;
        let mut fingerprint = String::with_capacity(95);
        for (i, byte) in digest.iter().enumerate() {
            let _ = write!(fingerprint, "{}{byte:02X}", if i == 0 { "" } else { ":" });
        }
        Ok(Context { ssl: b.build(), fingerprint })
    }

    /// The SHA-256 of the certificate as SDP has it: `AA:BB:…`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(super) fn ssl(&self) -> &SslContext {
        &self.ssl
    }
}

/// Self-signed, under a name that says nothing. Nobody looks at its dates.
fn certificate(key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "WebRTC")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(63, MsbOption::MAYBE_ZERO, false)?;
    let serial = Asn1Integer::from_bn(&serial)?;
    let mut b = X509::builder()?;
    b.set_version(2)?;
    b.set_serial_number(&serial)?;
    b.set_subject_name(&name)?;
    b.set_issuer_name(&name)?;
    // A clock that is behind, here or there, is no reason not to play.
    let (begin, end) = (Asn1Time::from_str("20200101000000Z")?, Asn1Time::from_str("20491231235959Z")?);
    b.set_not_before(&begin)?;
    b.set_not_after(&end)?;
    b.set_pubkey(key)?;
    b.sign(key, MessageDigest::sha256())?;
    Ok(b.build())
}
