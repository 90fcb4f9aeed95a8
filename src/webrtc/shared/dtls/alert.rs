//! What is left of an association when its memory has been given back: a close_notify of
//! ours that was made in advance, and the key to read the peer's.

use hmac::{Hmac, KeyInit, Mac};
use openssl::ssl::SslRef;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;

use super::Side;

/// Bytes of a record's header (RFC 6347 §4.1).
const HEADER: usize = 13;
/// The part of the nonce that is sent, and the tag (RFC 5288 §3).
const EXPLICIT: usize = 8;
const TAG: usize = 16;
/// Content type of alerts, and what a close_notify says: warning, 0 (RFC 5246 §7.2).
const ALERT: u8 = 21;
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// Says and hears good-bye for an association whose state is gone. About 700 bytes.
pub struct Farewell {
    close: Vec<u8>,
    reader: Reader,
}

/// Without keys.
impl std::fmt::Debug for Farewell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Farewell")
    }
}

impl Farewell {
    pub(super) fn new(close: Vec<u8>, reader: Reader) -> Self {
        Farewell { close, reader }
    }

    /// Our close_notify: send it when the session ends. It is the same datagram each time,
    /// and may be sent more than once.
    pub fn close(&self) -> &[u8] {
        &self.close
    }

    /// Whether a datagram has the peer's close_notify in it, and is the peer's.
    pub fn is_close(&self, datagram: &[u8]) -> bool {
        let mut rest = datagram;
        while let Some((record, after)) = split(rest) {
            if self.reader.is_close(record) {
                return true;
            }
            rest = after;
        }
        false
    }
}

/// One record, and what follows it.
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = data.get(11..HEADER)?;
    data.split_at_checked(HEADER + usize::from(u16::from_be_bytes(length.try_into().ok()?)))
}

/// Reads the peer's alerts, under ECDHE-*-AES128-GCM-SHA256.
pub(super) struct Reader {
    key: LessSafeKey,
    salt: [u8; 4],
}

impl Reader {
    /// Derives the peer's write key (RFC 5246 §6.3). None where another cipher was agreed
    /// on, or the handshake is not over.
    pub fn new(ssl: &SslRef, side: Side) -> Option<Reader> {
        if !ssl.current_cipher()?.name().ends_with("-AES128-GCM-SHA256") {
            return None;
        }
        let session = ssl.session()?;
        let mut master = [0; 48];
        if session.master_key_len() != master.len() || session.master_key(&mut master) != master.len() {
            return None;
        }
        let mut seed = [0; 13 + 64];
        seed[..13].copy_from_slice(b"key expansion");
        if ssl.server_random(&mut seed[13..45]) != 32 || ssl.client_random(&mut seed[45..]) != 32 {
            return None;
        }
        // Two keys of 16 bytes, two salts of 4: 40 bytes.
        let block = expand(&master, &seed)?;
        let (key, salt) = match side {
            Side::Server => (block.get(..16)?, block.get(32..36)?),
            Side::Client => (block.get(16..32)?, block.get(36..40)?),
        };
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).ok()?);
        Some(Reader { key, salt: salt.try_into().ok()? })
    }

    /// Whether a record is the peer's close_notify. A record is made once: a replayed one
    /// ends what has ended.
    fn is_close(&self, record: &[u8]) -> bool {
        let (Some(header), Some(explicit), Some(sealed)) =
            (record.first_chunk::<HEADER>(), record.get(HEADER..HEADER + EXPLICIT), record.get(HEADER + EXPLICIT..))
        else {
            return false;
        };
        if header[0] != ALERT || sealed.len() != CLOSE_NOTIFY.len() + TAG {
            return false;
        }
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(explicit);
        // Epoch and sequence number, type, version, length of the plain text.
        let mut aad = [0; 13];
        aad[..8].copy_from_slice(&header[3..11]);
        aad[8..11].copy_from_slice(&header[..3]);
        aad[12] = CLOSE_NOTIFY.len() as u8;
        let mut plain = [0; 2 + TAG];
        plain.copy_from_slice(sealed);
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut plain);
        opened.is_ok_and(|p| *p == CLOSE_NOTIFY)
    }
}

/// The PRF of TLS 1.2 with SHA-256 (RFC 5246 §5), as far as 64 bytes go.
fn expand(secret: &[u8], seed: &[u8]) -> Option<[u8; 64]> {
    let mac = |parts: &[&[u8]]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        parts.iter().for_each(|p| mac.update(p));
        Some(mac.finalize().into_bytes())
    };
    let first = mac(&[seed])?;
    let second = mac(&[&first])?;
    let mut out = [0; 64];
    out[..32].copy_from_slice(&mac(&[&first, seed])?);
    out[32..].copy_from_slice(&mac(&[&second, seed])?);
    Some(out)
}
