//! Session keys from master keys (RFC 3711 §4.3), without a key derivation rate.

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;

use super::{KEY, Master, Reject, SALT};

/// What a session key is for: §4.3.2's label for RTP; RTCP's is 3 more.
#[derive(Clone, Copy)]
pub(super) enum Use {
    Encryption = 0,
    Authentication = 1,
    Salting = 2,
}

/// Whose packets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Rtp = 0,
    Rtcp = 3,
}

/// Derives `N` bytes.
pub(super) fn derive<const N: usize>(master: &Master, of: Of, what: Use) -> Result<[u8; N], Reject> {
    // The label is xored behind the 48 bits of the index, which is 0: byte 7 of 14; the
    // last two bytes count blocks.
    let mut iv = [0; 16];
    iv[..SALT].copy_from_slice(&master.salt);
    iv[7] ^= of as u8 + what as u8;
    let mut out = [0; N];
    let mut ctx = CipherCtx::new().map_err(|_| Reject::Failed)?;
    ctx.encrypt_init(Some(Cipher::aes_128_ctr()), Some(&master.key), Some(&iv)).map_err(|_| Reject::Failed)?;
    ctx.cipher_update_inplace(&mut out, N).map_err(|_| Reject::Failed)?;
    Ok(out)
}

/// The session key and salt of an encryption.
pub(super) fn encryption(master: &Master, of: Of) -> Result<([u8; KEY], [u8; SALT]), Reject> {
    Ok((derive(master, of, Use::Encryption)?, derive(master, of, Use::Salting)?))
}
