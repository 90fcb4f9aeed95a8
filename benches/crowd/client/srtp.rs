//! SRTP and SRTCP with AES-GCM (RFC 7714), in place. Pure.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use str0m::crypto::from_feature_flags;

/// Length of the authentication tag.
const TAG: usize = 16;
const SALT: usize = 12;

/// One direction's keys.
pub struct Srtp {
    rtp: (LessSafeKey, [u8; SALT]),
    rtcp: (LessSafeKey, [u8; SALT]),
}

impl Srtp {
    /// From a DTLS handshake's material; `first` is the client's direction. None unless
    /// the lengths are those of a GCM profile.
    pub fn new(material: &[u8], first: bool) -> Option<Srtp> {
        let length = match material.len() {
            56 => 16,
            88 => 32,
            _ => return None,
        };
        let at = usize::from(!first);
        let key = material.get(at * length..(at + 1) * length)?;
        let salt = material.get(2 * length + at * SALT..2 * length + (at + 1) * SALT)?;
        let keys = |label: u8| {
            let algorithm = if length == 16 { &AES_128_GCM } else { &AES_256_GCM };
            let session = LessSafeKey::new(UnboundKey::new(algorithm, &derive(key, salt, label, length)).ok()?);
            Some((session, derive(key, salt, label + 2, SALT).try_into().ok()?))
        };
        Some(Srtp { rtp: keys(0)?, rtcp: keys(3)? })
    }

    /// The length of the payload of an RTP packet whose header ends at `head`; it is
    /// decrypted behind it. None: not authentic. `index` is the extended sequence number.
    pub fn open(&self, packet: &mut [u8], head: usize, ssrc: u32, index: u64) -> Option<usize> {
        let (header, payload) = packet.split_at_mut_checked(head)?;
        let nonce = nonce(&self.rtp.1, ssrc, index);
        Some(self.rtp.0.open_in_place(nonce, Aad::from(header), payload).ok()?.len())
    }

    /// A compound RTCP packet in the clear becomes one that is sent.
    pub fn seal_rtcp(&self, packet: &mut Vec<u8>, index: u32) -> Option<()> {
        let word = (0x8000_0000 | index).to_be_bytes();
        let head: [u8; 8] = packet.get(..8)?.try_into().ok()?;
        let nonce = nonce(&self.rtcp.1, u32::from_be_bytes(head[4..].try_into().ok()?), u64::from(index));
        let aad = [&head[..], &word].concat();
        let tag = self.rtcp.0.seal_in_place_separate_tag(nonce, Aad::from(aad), packet.get_mut(8..)?).ok()?;
        packet.extend_from_slice(tag.as_ref());
        packet.extend_from_slice(&word);
        Some(())
    }

    /// The other way round; gives the packet's length.
    pub fn open_rtcp(&self, packet: &mut [u8]) -> Option<usize> {
        let (rest, word) = packet.split_last_chunk_mut::<4>()?;
        let (head, body) = rest.split_first_chunk_mut::<8>()?;
        let index = u32::from_be_bytes(*word);
        if index & 0x8000_0000 == 0 || body.len() < TAG {
            return None; // not encrypted, which nobody asked for
        }
        let nonce = nonce(&self.rtcp.1, u32::from_be_bytes(head[4..].try_into().ok()?), u64::from(index & 0x7fff_ffff));
        let aad = [&head[..], &word[..]].concat();
        Some(8 + self.rtcp.0.open_in_place(nonce, Aad::from(aad), body).ok()?.len())
    }
}

/// RFC 7714 §8.1 and §9.1: SSRC and index, exclusive-or the salt.
fn nonce(salt: &[u8; SALT], ssrc: u32, index: u64) -> Nonce {
    let mut iv = *salt;
    let number = u128::from(ssrc) << 48 | u128::from(index & 0xffff_ffff_ffff);
    iv.iter_mut().zip(&number.to_be_bytes()[4..]).for_each(|(byte, n)| *byte ^= n);
    Nonce::assume_unique_for_key(iv)
}

/// The key derivation of RFC 3711 §4.3, with a salt of 12 bytes as RFC 7714 §11 has it.
pub fn derive(key: &[u8], salt: &[u8], label: u8, length: usize) -> Vec<u8> {
    let aes = from_feature_flags().srtp_provider;
    let mut block = [0u8; 16];
    block[..salt.len()].copy_from_slice(salt);
    block[7] ^= label;
    let mut out = Vec::new();
    for n in 0..length.div_ceil(16) {
        block[14..].copy_from_slice(&(n as u16).to_be_bytes());
        // OpenSSL wants room for a block of padding.
        let mut round = [0u8; 32];
        match key.len() {
            32 => aes.srtp_aes_256_ecb_round(key, &block, &mut round),
            _ => aes.srtp_aes_128_ecb_round(key, &block, &mut round),
        }
        out.extend_from_slice(&round[..16]);
    }
    out.truncate(length);
    out
}
