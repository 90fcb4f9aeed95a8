//! What we send.

use super::cipher::{Cipher, Position, Trailer};
use super::kdf::Of;
use super::{Master, Profile, RTCP_HEADER, Reject, rtp_header, u32_at};

/// The highest index of an RTP packet: 2³² roll-overs of 16 bits (RFC 3711 §9.2).
const LAST: u64 = (1 << 48) - 1;
/// Set in the index of a packet that is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// One direction of a session, ours: any number of streams, and their RTCP.
pub struct Outbound {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    /// Of the next SRTCP packet, 31 bits.
    index: u32,
}

impl Outbound {
    /// Derives the keys. Fails only when the library does.
    pub fn new(profile: Profile, master: &Master) -> Result<Outbound, Reject> {
        let rtp = Cipher::new(profile, master, Of::Rtp)?;
        let rtcp = Cipher::new(profile, master, Of::Rtcp)?;
        Ok(Outbound { profile, rtp, rtcp, index: 0 })
    }

    #[cfg(test)]
    pub(super) fn with(profile: Profile, rtp: Cipher, rtcp: Cipher, index: u32) -> Outbound {
        Outbound { profile, rtp, rtcp, index }
    }

    /// What it was negotiated to.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Protects the RTP packet in the first `length` bytes of `buffer`, in place, and
    /// returns its new length; [`Profile::overhead`] bytes must be free behind it.
    ///
    /// `index` is the packet's sequence number counted on over 65,535, from the caller's
    /// stream, which counts each up once. A packet may be protected again only if it is
    /// the same in every bit: another one under an index that was used gives GCM's
    /// authentication key away. Retransmissions that differ go out as RTX, with an SSRC
    /// of their own.
    pub fn protect(&mut self, buffer: &mut [u8], length: usize, index: u64) -> Result<usize, Reject> {
        let overhead = self.profile.overhead();
        let whole = buffer.get_mut(..length + overhead).ok_or(Reject::Malformed)?;
        let (packet, tag) = whole.split_at_mut(length);
        let header = rtp_header(packet).ok_or(Reject::Malformed)?;
        let ssrc = u32_at(packet, 8).ok_or(Reject::Malformed)?;
        if packet.get(2..4) != Some(&(index as u16).to_be_bytes()) {
            return Err(Reject::Malformed);
        }
        if index > LAST {
            return Err(Reject::Exhausted);
        }
        let (header, body) = packet.split_at_mut(header);
        let roc = Trailer::Roc(((index >> 16) as u32).to_be_bytes());
        self.rtp.seal(Position { ssrc, index }, header, body, tag, &roc)?;
        Ok(length + overhead)
    }

    /// Protects the compound RTCP packet in the first `length` bytes of `buffer`, in
    /// place, and returns its new length; [`Profile::rtcp_overhead`] bytes must be free
    /// behind it.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Reject> {
        if self.index >= ENCRYPTED {
            return Err(Reject::Exhausted);
        }
        let whole = buffer.get_mut(..length + self.profile.rtcp_overhead()).ok_or(Reject::Malformed)?;
        let (packet, behind) = whole.split_at_mut(length);
        let ssrc = u32_at(packet, 4).ok_or(Reject::Malformed)?;
        // invariant: u32_at(4) found eight bytes
        let (header, body) = packet.split_at_mut(RTCP_HEADER);
        let word = (self.index | ENCRYPTED).to_be_bytes();
        // GCM's tag stands before the index (RFC 7714 §9.2), HMAC's behind it
        // (RFC 3711 §3.4).
        let (tag, index) = match self.profile {
            Profile::AeadAes128Gcm => behind.split_at_mut(self.profile.overhead()),
            Profile::Aes128CmSha1_80 => {
                let (index, tag) = behind.split_at_mut(4);
                (tag, index)
            }
        };
        let at = Position { ssrc, index: u64::from(self.index) };
        self.rtcp.seal(at, header, body, tag, &Trailer::Index(word))?;
        index.copy_from_slice(&word);
        self.index += 1;
        Ok(length + self.profile.rtcp_overhead())
    }
}
