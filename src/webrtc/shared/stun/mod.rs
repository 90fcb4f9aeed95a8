//! STUN (RFC 8489), as much of it as ICE needs: read and write Binding messages with
//! short-term credentials. Pure; reading copies and allocates nothing.
//!
//! Ours and not a crate's, because it stands in the way of every datagram that a
//! stranger sends to the port: one pass over borrowed bytes, no state, and a demultiplexer
//! can take the user name out of it before anything is believed. Tested against
//! `stun-types` in both directions and against RFC 5769's vectors.

mod read;
mod write;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

pub use read::Message;
pub use write::Writer;

/// Bytes 4 to 8 of every message (RFC 8489 §5).
pub const COOKIE: u32 = 0x2112_A442;
/// Length of the header.
pub const HEADER: usize = 20;
/// The one method of ICE (RFC 8489 §3).
pub const BINDING: u16 = 1;
/// What the CRC of FINGERPRINT is xored with (RFC 8489 §14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;
/// Bytes of a MESSAGE-INTEGRITY value.
const MAC: usize = 20;

/// Attribute types (RFC 8489 §18.3, RFC 8445 §20.2).
mod attr {
    pub const USERNAME: u16 = 0x0006;
    pub const INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const UNKNOWN: u16 = 0x000a;
    pub const REALM: u16 = 0x0014;
    pub const NONCE: u16 = 0x0015;
    pub const INTEGRITY_SHA256: u16 = 0x001c;
    pub const PASSWORD_ALGORITHM: u16 = 0x001d;
    pub const USERHASH: u16 = 0x001e;
    pub const MAPPED: u16 = 0x0001;
    pub const XOR_MAPPED: u16 = 0x0020;
    pub const PRIORITY: u16 = 0x0024;
    pub const USE_CANDIDATE: u16 = 0x0025;
    pub const FINGERPRINT: u16 = 0x8028;
    pub const CONTROLLED: u16 = 0x8029;
    pub const CONTROLLING: u16 = 0x802a;
}

/// The class of a message (RFC 8489 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Wants a response.
    Request,
    /// Wants none.
    Indication,
    /// It went well.
    Success,
    /// It did not.
    Error,
}

/// Who decides which pair is used (RFC 8445 §6.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Decides.
    Controlling,
    /// Follows.
    Controlled,
}

impl Role {
    /// The other one.
    pub fn other(self) -> Role {
        match self {
            Role::Controlling => Role::Controlled,
            Role::Controlled => Role::Controlling,
        }
    }
}

/// Names a transaction.
pub type TransactionId = [u8; 12];

/// A password, hashed as far as a key can be: a check costs two blocks of SHA-1 less.
#[derive(Clone)]
pub struct Key(Hmac<Sha1>);

impl Key {
    /// The key of a short-term credential (RFC 8489 §9.1.1). ICE passwords are ASCII,
    /// which OpaqueString leaves as it is.
    pub fn new(password: &str) -> Key {
        let mac = Hmac::<Sha1>::new_from_slice(password.as_bytes());
        Key(mac.expect("any length")) // invariant: HMAC takes keys of every length
    }

    /// HMAC-SHA1 over a message up to its MESSAGE-INTEGRITY, with the length field as if
    /// it ended there.
    fn mac(&self, upto: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.0.clone();
        let length = (upto.len() + 4 + MAC - HEADER) as u16;
        mac.update(upto.get(..2).unwrap_or_default());
        mac.update(&length.to_be_bytes());
        mac.update(upto.get(4..).unwrap_or_default());
        mac
    }
}

/// Says nothing.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests;
