//! The two transforms, for RTP or for RTCP packets of one direction.

use hmac::{Hmac, KeyInit, Mac};
use openssl::cipher::Cipher as Algorithm;
use openssl::cipher_ctx::CipherCtx;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;

use super::super::prefetch;
use super::kdf::{self, Of, Use};
use super::{KEY, Master, Profile, Reject, SALT};

/// Bytes of a truncated HMAC-SHA1-80.
const CM_TAG: usize = 10;

/// What can be told from a packet and its index: all that an IV is made of.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub ssrc: u32,
    /// 48 bits for RTP: roll-over counter and sequence number; 31 bits for RTCP.
    pub index: u64,
}

/// One transform with its session keys.
pub(super) enum Cipher {
    Gcm { key: Box<LessSafeKey>, salt: [u8; 12] },
    Cm { aes: CipherCtx, mac: Box<Hmac<Sha1>>, salt: [u8; SALT] },
}

impl Cipher {
    pub fn new(profile: Profile, master: &Master, of: Of) -> Result<Cipher, Reject> {
        let (key, salt) = kdf::encryption(master, of)?;
        match profile {
            Profile::AeadAes128Gcm => Cipher::gcm(&key, salt.first_chunk().copied().unwrap_or_default()),
            Profile::Aes128CmSha1_80 => Cipher::cm(&key, salt, &kdf::derive(master, of, Use::Authentication)?),
        }
    }

    /// From session keys, as the vectors of RFC 7714 give them.
    pub fn gcm(key: &[u8; KEY], salt: [u8; 12]) -> Result<Cipher, Reject> {
        let key = UnboundKey::new(&AES_128_GCM, key).map_err(|_| Reject::Failed)?;
        Ok(Cipher::Gcm { key: Box::new(LessSafeKey::new(key)), salt })
    }

    /// Likewise, as those of RFC 3711 do; `mac`: the key of the tag.
    pub fn cm(key: &[u8; KEY], salt: [u8; SALT], mac: &[u8; 20]) -> Result<Cipher, Reject> {
        let mut aes = CipherCtx::new().map_err(|_| Reject::Failed)?;
        aes.encrypt_init(Some(Algorithm::aes_128_ctr()), Some(key), None).map_err(|_| Reject::Failed)?;
        let mac = Box::new(Hmac::new_from_slice(mac).map_err(|_| Reject::Failed)?);
        Ok(Cipher::Cm { aes, mac, salt })
    }

    /// Fetches the key.
    pub fn prefetch(&self) {
        if let Cipher::Gcm { key, .. } = self {
            prefetch::value(&**key);
        }
    }

    /// Encrypts `body`, which follows `header`, and writes the tag. `trailer` is
    /// authenticated and not sent (RTP's roll-over counter) or sent behind (RTCP's
    /// index); GCM has RTP's in its nonce (RFC 7714 §8.1).
    pub fn seal(
        &mut self,
        at: Position,
        header: &[u8],
        body: &mut [u8],
        tag: &mut [u8],
        trailer: &Trailer,
    ) -> Result<(), Reject> {
        match self {
            Cipher::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, at, trailer);
                let aad = Joined::new(header, trailer.gcm_aad());
                let made = aad.with(|aad| key.seal_in_place_separate_tag(nonce, Aad::from(aad), body));
                tag.copy_from_slice(made?.map_err(|_| Reject::Failed)?.as_ref());
            }
            Cipher::Cm { aes, mac, salt } => {
                counter_mode(aes, salt, at, body)?;
                let mut mac = (**mac).clone();
                for part in [header, body, trailer.bytes()] {
                    mac.update(part);
                }
                tag.copy_from_slice(mac.finalize().into_bytes().get(..CM_TAG).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Verifies, and decrypts `body`. Where it does not verify, `body` is of no use.
    pub fn open(
        &mut self,
        at: Position,
        header: &[u8],
        body: &mut [u8],
        tag: &[u8],
        trailer: &Trailer,
    ) -> Result<(), Reject> {
        match self {
            Cipher::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, at, trailer);
                let aad = Joined::new(header, trailer.gcm_aad());
                let tag = tag.try_into().map_err(|_| Reject::Malformed)?;
                let opened =
                    aad.with(|aad| key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, body, 0..).map(|_| ()));
                opened?.map_err(|_| Reject::Forged)
            }
            Cipher::Cm { aes, mac, salt } => {
                let mut mac = (**mac).clone();
                for part in [header, body, trailer.bytes()] {
                    mac.update(part);
                }
                mac.verify_truncated_left(tag).map_err(|_| Reject::Forged)?;
                counter_mode(aes, salt, at, body)
            }
        }
    }
}

/// What is authenticated behind the body.
pub(super) enum Trailer {
    /// RTP: the roll-over counter.
    Roc([u8; 4]),
    /// RTCP: the index with the E flag.
    Index([u8; 4]),
}

impl Trailer {
    fn bytes(&self) -> &[u8] {
        let (Trailer::Roc(b) | Trailer::Index(b)) = self;
        b
    }

    fn gcm_aad(&self) -> &[u8] {
        match self {
            Trailer::Roc(_) => &[],
            Trailer::Index(b) => b,
        }
    }
}

/// GCM wants its additional data in one piece.
struct Joined<'a> {
    head: &'a [u8],
    tail: &'a [u8],
}

/// Header and index of the packets that we take: an RTCP packet that is authenticated and
/// not encrypted is additional data as a whole.
const AAD: usize = 1_504;

impl<'a> Joined<'a> {
    fn new(head: &'a [u8], tail: &'a [u8]) -> Self {
        Joined { head, tail }
    }

    /// Copies only where there are two pieces: RTCP, and never RTP.
    fn with<T>(&self, then: impl FnOnce(&[u8]) -> T) -> Result<T, Reject> {
        if self.tail.is_empty() {
            return Ok(then(self.head));
        }
        let length = self.head.len() + self.tail.len();
        let mut short = [0; 16];
        let mut long = [0; AAD];
        let all = if length <= short.len() { &mut short[..] } else { &mut long[..] };
        let all = all.get_mut(..length).ok_or(Reject::Malformed)?;
        let (head, tail) = all.split_at_mut(self.head.len());
        head.copy_from_slice(self.head);
        tail.copy_from_slice(self.tail);
        Ok(then(all))
    }
}

/// RFC 7714 §8.1 for RTP, §9.1 for RTCP.
fn gcm_nonce(salt: &[u8; 12], at: Position, trailer: &Trailer) -> Nonce {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&at.ssrc.to_be_bytes());
    match trailer {
        Trailer::Roc(_) => nonce[6..].copy_from_slice(&at.index.to_be_bytes()[2..]),
        Trailer::Index(_) => nonce[8..].copy_from_slice(&(at.index as u32).to_be_bytes()),
    }
    nonce.iter_mut().zip(salt).for_each(|(n, s)| *n ^= s);
    Nonce::assume_unique_for_key(nonce)
}

/// RFC 3711 §4.1.1.
fn counter_mode(aes: &mut CipherCtx, salt: &[u8; SALT], at: Position, body: &mut [u8]) -> Result<(), Reject> {
    let mut iv = [0; 16];
    iv[4..8].copy_from_slice(&at.ssrc.to_be_bytes());
    iv[8..14].copy_from_slice(&at.index.to_be_bytes()[2..]);
    iv.iter_mut().zip(salt).for_each(|(n, s)| *n ^= s);
    aes.encrypt_init(None, None, Some(&iv)).map_err(|_| Reject::Failed)?;
    let length = body.len();
    aes.cipher_update_inplace(body, length).map_err(|_| Reject::Failed)?;
    Ok(())
}
