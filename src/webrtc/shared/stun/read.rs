//! Reading.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::Mac;

use super::{BINDING, COOKIE, Class, FINGERPRINT_XOR, HEADER, Key, MAC, Role, TransactionId, attr};

/// So many unknown attributes are told back in a 420; more do not help anybody.
const UNKNOWN: usize = 8;

/// A well-formed message. Nothing of it is to be believed before
/// [`Message::authentic`] said so.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    raw: &'a [u8],
    /// Request, response or indication.
    pub class: Class,
    /// [`BINDING`], or something that ICE does not know.
    pub method: u16,
    /// Which transaction it belongs to.
    pub id: TransactionId,
    username: Option<&'a [u8]>,
    /// PRIORITY: what the sender would give a peer-reflexive candidate.
    pub priority: Option<u32>,
    /// USE-CANDIDATE: the controlling agent nominates the pair.
    pub use_candidate: bool,
    /// ICE-CONTROLLING or ICE-CONTROLLED, with the tie-breaker.
    pub role: Option<(Role, u64)>,
    /// XOR-MAPPED-ADDRESS: where the request came from.
    pub mapped: Option<SocketAddr>,
    /// The number of ERROR-CODE, 300 to 699.
    pub error: Option<u16>,
    unknown: ([u16; UNKNOWN], usize),
    /// Where MESSAGE-INTEGRITY begins.
    integrity: Option<usize>,
}

impl<'a> Message<'a> {
    /// Reads a datagram. None when it is no STUN message, or a damaged one: wrong
    /// lengths, wrong FINGERPRINT, an attribute whose value makes no sense.
    ///
    /// A FINGERPRINT may be absent (old agents), and nothing but it counts after
    /// MESSAGE-INTEGRITY (RFC 8489 §14.5). Of an attribute that comes twice the first
    /// one counts (§14).
    pub fn parse(raw: &'a [u8]) -> Option<Message<'a>> {
        let (header, mut rest) = raw.split_at_checked(HEADER)?;
        let kind = u16_at(header, 0)?;
        if kind & 0xc000 != 0 || u32_at(header, 4)? != COOKIE {
            return None;
        }
        if usize::from(u16_at(header, 2)?) != rest.len() || rest.len() % 4 != 0 {
            return None;
        }
        let class = match (kind >> 7 & 2) | (kind >> 4 & 1) {
            0 => Class::Request,
            1 => Class::Indication,
            2 => Class::Success,
            _ => Class::Error,
        };
        let mut message = Message {
            raw,
            class,
            method: (kind & 0x0f) | (kind >> 1 & 0x70) | (kind >> 2 & 0xf80),
            id: header.get(8..20)?.try_into().ok()?,
            username: None,
            priority: None,
            use_candidate: false,
            role: None,
            mapped: None,
            error: None,
            unknown: ([0; UNKNOWN], 0),
            integrity: None,
        };
        while !rest.is_empty() {
            let at = raw.len() - rest.len();
            let (kind, length) = (u16_at(rest, 0)?, usize::from(u16_at(rest, 2)?));
            let value = rest.get(4..4 + length)?;
            // The length is a multiple of four in all, so that the padding is there.
            rest = rest.get(4 + length.next_multiple_of(4)..)?;
            if kind == attr::FINGERPRINT {
                let crc = crc32fast::hash(raw.get(..at)?) ^ FINGERPRINT_XOR;
                // It has to be the last one (RFC 8489 §14.7).
                if !rest.is_empty() || value != crc.to_be_bytes() {
                    return None;
                }
            } else if message.integrity.is_none() {
                message.take(kind, value, at)?;
            }
        }
        Some(message)
    }

    /// Takes one attribute; none when its value makes no sense.
    fn take(&mut self, kind: u16, value: &'a [u8], at: usize) -> Option<()> {
        match kind {
            attr::USERNAME => _ = self.username.get_or_insert(value),
            attr::INTEGRITY => {
                self.integrity = Some(at);
                return (value.len() == MAC).then_some(());
            }
            attr::PRIORITY => _ = self.priority.get_or_insert(u32::from_be_bytes(value.try_into().ok()?)),
            attr::USE_CANDIDATE => self.use_candidate = true,
            attr::CONTROLLING | attr::CONTROLLED => {
                let role = if kind == attr::CONTROLLING { Role::Controlling } else { Role::Controlled };
                self.role.get_or_insert((role, u64::from_be_bytes(value.try_into().ok()?)));
            }
            attr::XOR_MAPPED => {
                let mapped = address(value, &self.id)?;
                self.mapped.get_or_insert(mapped);
            }
            attr::ERROR_CODE => {
                let (class, number) = (value.get(2)? & 7, *value.get(3)?);
                if !(3..=6).contains(&class) || number > 99 {
                    return None;
                }
                self.error.get_or_insert(u16::from(class) * 100 + u16::from(number));
            }
            // Understood as far as that they may be ignored where nobody asked for them.
            attr::MAPPED
            | attr::UNKNOWN
            | attr::REALM
            | attr::NONCE
            | attr::INTEGRITY_SHA256
            | attr::PASSWORD_ALGORITHM
            | attr::USERHASH => {}
            0..=0x7fff => {
                let (list, n) = &mut self.unknown;
                if let Some(place) = list.get_mut(*n) {
                    (*place, *n) = (kind, *n + 1);
                }
            }
            // Optional to understand (RFC 8489 §14).
            _ => {}
        }
        Some(())
    }

    /// Whether it is a Binding message.
    pub fn binding(&self) -> bool {
        self.method == BINDING
    }

    /// The two halves of USERNAME (RFC 8445 §7.2.2): the receiver's ufrag, the sender's.
    pub fn ufrags(&self) -> Option<(&'a str, &'a str)> {
        std::str::from_utf8(self.username?).ok()?.split_once(':')
    }

    /// Whether MESSAGE-INTEGRITY is there and was made with this key. In constant time.
    pub fn authentic(&self, key: &Key) -> bool {
        let Some(at) = self.integrity else { return false };
        let (Some(upto), Some(value)) = (self.raw.get(..at), self.raw.get(at + 4..at + 4 + MAC)) else {
            return false;
        };
        key.mac(upto).verify_slice(value).is_ok()
    }

    /// The attributes that have to be understood, and are not.
    pub fn unknown(&self) -> &[u16] {
        self.unknown.0.get(..self.unknown.1).unwrap_or_default()
    }
}

/// XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
fn address(value: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    let port = u16_at(value, 2)? ^ (COOKIE >> 16) as u16;
    let ip = match (*value.get(1)?, value.get(4..)?) {
        (1, v4) => IpAddr::V4(Ipv4Addr::from_bits(u32::from_be_bytes(v4.try_into().ok()?) ^ COOKIE)),
        (2, v6) => {
            let v6 = u128::from_be_bytes(v6.try_into().ok()?);
            IpAddr::V6(Ipv6Addr::from_bits(v6 ^ mask(id)))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// What an IPv6 address is xored with: cookie and transaction id.
pub(super) fn mask(id: &TransactionId) -> u128 {
    let id = id.iter().fold(0u128, |n, b| n << 8 | u128::from(*b));
    u128::from(COOKIE) << 96 | id
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(data.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?))
}
