//! Writing.

use std::net::{IpAddr, SocketAddr};

use hmac::Mac;

use super::read::mask;
use super::{BINDING, COOKIE, Class, FINGERPRINT_XOR, HEADER, Key, MAC, Role, TransactionId, attr};

/// Writes one Binding message. What is called first comes first; end with
/// [`Writer::finish`].
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Begins a message.
    pub fn new(class: Class, id: &TransactionId) -> Writer {
        let class = match class {
            Class::Request => 0x0000,
            Class::Indication => 0x0010,
            Class::Success => 0x0100,
            Class::Error => 0x0110,
        };
        // A check of ours has about 110 bytes.
        let mut out = Vec::with_capacity(160);
        out.extend_from_slice(&(BINDING | class).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&COOKIE.to_be_bytes());
        out.extend_from_slice(id);
        Writer { out }
    }

    /// Any attribute, of at most 65,535 bytes; padded.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Writer {
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.out.extend_from_slice(value);
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        self
    }

    /// USERNAME of a check: the ufrag of its receiver, and of its sender. Both have at
    /// most 256 characters (RFC 8839 §5.4).
    pub fn username(self, to: &str, from: &str) -> Writer {
        self.attribute(attr::USERNAME, format!("{to}:{from}").as_bytes())
    }

    /// PRIORITY.
    pub fn priority(self, priority: u32) -> Writer {
        self.attribute(attr::PRIORITY, &priority.to_be_bytes())
    }

    /// USE-CANDIDATE.
    pub fn use_candidate(self) -> Writer {
        self.attribute(attr::USE_CANDIDATE, &[])
    }

    /// ICE-CONTROLLING or ICE-CONTROLLED.
    pub fn role(self, role: Role, tie_breaker: u64) -> Writer {
        let kind = match role {
            Role::Controlling => attr::CONTROLLING,
            Role::Controlled => attr::CONTROLLED,
        };
        self.attribute(kind, &tie_breaker.to_be_bytes())
    }

    /// XOR-MAPPED-ADDRESS.
    pub fn mapped(self, address: SocketAddr) -> Writer {
        let id: TransactionId = self.out.get(8..HEADER).and_then(|id| id.try_into().ok()).unwrap_or_default();
        let port = address.port() ^ (COOKIE >> 16) as u16;
        let mut value = vec![0, 1];
        value.extend_from_slice(&port.to_be_bytes());
        match address.ip().to_canonical() {
            IpAddr::V4(v4) => value.extend_from_slice(&(v4.to_bits() ^ COOKIE).to_be_bytes()),
            IpAddr::V6(v6) => {
                value[1] = 2;
                value.extend_from_slice(&(v6.to_bits() ^ mask(&id)).to_be_bytes());
            }
        }
        self.attribute(attr::XOR_MAPPED, &value)
    }

    /// ERROR-CODE, 300 to 699, with its phrase of at most 127 characters.
    pub fn error(self, code: u16, phrase: &str) -> Writer {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend_from_slice(phrase.as_bytes());
        self.attribute(attr::ERROR_CODE, &value)
    }

    /// UNKNOWN-ATTRIBUTES of a 420.
    pub fn unknown(self, kinds: &[u16]) -> Writer {
        let value: Vec<u8> = kinds.iter().flat_map(|k| k.to_be_bytes()).collect();
        self.attribute(attr::UNKNOWN, &value)
    }

    /// MESSAGE-INTEGRITY with a key, then FINGERPRINT, and the message is done.
    pub fn finish(mut self, key: Option<&Key>) -> Vec<u8> {
        if let Some(key) = key {
            let mac = key.mac(&self.out).finalize().into_bytes();
            self = self.attribute(attr::INTEGRITY, &mac);
            debug_assert_eq!(mac.len(), MAC);
        }
        let at = self.out.len();
        let length = (at + 8 - HEADER) as u16;
        self.out[2..4].copy_from_slice(&length.to_be_bytes());
        let crc = crc32fast::hash(&self.out) ^ FINGERPRINT_XOR;
        self.attribute(attr::FINGERPRINT, &crc.to_be_bytes()).out
    }
}
