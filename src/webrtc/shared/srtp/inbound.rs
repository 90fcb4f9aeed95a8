//! What the peer sends.

use super::cipher::{Cipher, Position, Trailer};
use super::kdf::Of;
use super::{Master, Profile, RTCP_HEADER, Reject, Window, rtp_header, u32_at};

/// Most RTP streams of one peer: a publisher with three layers of video, sound, and their
/// retransmissions has eight. A stream is only remembered once a packet of it verified.
pub const STREAMS: usize = 16;
/// Most senders of SRTCP of one peer.
pub const SENDERS: usize = 16;
const ENCRYPTED: u32 = 1 << 31;

/// One direction of a session, the peer's.
///
/// A packet changes something only after it verified: forged ones leave no trace.
pub struct Inbound {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    streams: Vec<(u32, Window)>,
    senders: Vec<(u32, Window)>,
}

impl Inbound {
    /// Derives the keys. Fails only when the library does.
    pub fn new(profile: Profile, master: &Master) -> Result<Inbound, Reject> {
        let rtp = Cipher::new(profile, master, Of::Rtp)?;
        let rtcp = Cipher::new(profile, master, Of::Rtcp)?;
        Ok(Inbound { profile, rtp, rtcp, streams: Vec::new(), senders: Vec::new() })
    }

    #[cfg(test)]
    pub(super) fn with(profile: Profile, rtp: Cipher, rtcp: Cipher) -> Inbound {
        Inbound { profile, rtp, rtcp, streams: Vec::new(), senders: Vec::new() }
    }

    /// Verifies and decrypts an RTP packet in place. Returns its new length and its index.
    pub fn unprotect(&mut self, packet: &mut [u8]) -> Result<(usize, u64), Reject> {
        let length = packet.len().checked_sub(self.profile.overhead()).ok_or(Reject::Malformed)?;
        let (packet, tag) = packet.split_at_mut(length);
        let header = rtp_header(packet).ok_or(Reject::Malformed)?;
        let sequence = packet.get(2..4).and_then(|b| b.try_into().ok()).map(u16::from_be_bytes);
        let (Some(sequence), Some(ssrc)) = (sequence, u32_at(packet, 8)) else { return Err(Reject::Malformed) };
        let known = self.streams.iter().position(|(s, _)| *s == ssrc);
        if known.is_none() && self.streams.len() >= STREAMS {
            return Err(Reject::Streams);
        }
        let window = known.and_then(|i| self.streams.get(i)).map(|(_, w)| w);
        let index = guess(window.and_then(Window::highest), sequence);
        if let Some(window) = window {
            window.check(index)?;
        }
        let (header, body) = packet.split_at_mut(header);
        let roc = Trailer::Roc(((index >> 16) as u32).to_be_bytes());
        self.rtp.open(Position { ssrc, index }, header, body, tag, &roc)?;
        remember(&mut self.streams, ssrc, index);
        Ok((length, index))
    }

    /// Verifies and decrypts a compound RTCP packet in place. Returns its new length.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Reject> {
        let length = packet.len().checked_sub(self.profile.rtcp_overhead()).ok_or(Reject::Malformed)?;
        if length < RTCP_HEADER || packet.first().is_none_or(|b| b >> 6 != 2) {
            return Err(Reject::Malformed);
        }
        let (packet, behind) = packet.split_at_mut(length);
        let (tag, word) = match self.profile {
            Profile::AeadAes128Gcm => behind.split_at(self.profile.overhead()),
            Profile::Aes128CmSha1_80 => {
                let (word, tag) = behind.split_at(4);
                (tag, word)
            }
        };
        let (Some(ssrc), Some(word)) = (u32_at(packet, 4), u32_at(word, 0)) else { return Err(Reject::Malformed) };
        let index = u64::from(word & !ENCRYPTED);
        let known = self.senders.iter().position(|(s, _)| *s == ssrc);
        if known.is_none() && self.senders.len() >= SENDERS {
            return Err(Reject::Streams);
        }
        if let Some((_, window)) = known.and_then(|i| self.senders.get(i)) {
            window.check(index)?;
        }
        // DTLS-SRTP always encrypts (RFC 5764 §4.1.2), so that E has to be set.
        if word & ENCRYPTED == 0 {
            return Err(Reject::Malformed);
        }
        let (header, body) = packet.split_at_mut(RTCP_HEADER);
        let word = Trailer::Index(word.to_be_bytes());
        self.rtcp.open(Position { ssrc, index }, header, body, tag, &word)?;
        remember(&mut self.senders, ssrc, index);
        Ok(length)
    }
}

fn remember(list: &mut Vec<(u32, Window)>, ssrc: u32, index: u64) {
    match list.iter_mut().find(|(s, _)| *s == ssrc) {
        Some((_, window)) => window.take(index),
        None => {
            let mut window = Window::default();
            window.take(index);
            list.push((ssrc, window));
        }
    }
}

/// The index that a sequence number most likely stands for (RFC 3711 §3.3.1): the one
/// nearest to the highest that was taken. Below none.
fn guess(highest: Option<u64>, sequence: u16) -> u64 {
    let Some(highest) = highest else { return u64::from(sequence) };
    let distance = sequence.wrapping_sub(highest as u16) as i16;
    match highest.checked_add_signed(i64::from(distance)) {
        Some(index) => index,
        // Before the beginning: it is of the first round, and far ahead.
        None => u64::from(sequence),
    }
}

#[cfg(test)]
pub(super) fn guess_for_test(highest: Option<u64>, sequence: u16) -> u64 {
    guess(highest, sequence)
}
