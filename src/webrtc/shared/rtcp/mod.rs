//! RTCP (RFC 3550 §6, RFC 4585, RFC 5104, RFC 5506): read and write what WebRTC peers
//! tell each other. Pure; reading borrows and allocates nothing, so that a report costs
//! what it says and no more. What is read has been unprotected: it is the peer's, and may
//! still be nonsense.

mod read;
mod transport;
mod write;

pub use read::{Fir, Nack, Packets, Reports, Words, read};
pub use transport::{Arrivals, Transport};
pub use write::{Writer, transport_feedback};

/// Packet types (RFC 3550 §12.1, RFC 4585 §6.1).
mod kind {
    pub const SENDER_REPORT: u8 = 200;
    pub const RECEIVER_REPORT: u8 = 201;
    pub const DESCRIPTION: u8 = 202;
    pub const BYE: u8 = 203;
    pub const TRANSPORT_FEEDBACK: u8 = 205;
    pub const PAYLOAD_FEEDBACK: u8 = 206;
}

/// Feedback message types, in the place of the count.
mod format {
    pub const NACK: u8 = 1;
    pub const TRANSPORT: u8 = 15;
    pub const PLI: u8 = 1;
    pub const FIR: u8 = 4;
    pub const APPLICATION: u8 = 15;
}

/// Most report blocks of one report, and sources of one BYE: what five bits can say.
pub const MOST: usize = 31;

/// One packet of a compound.
#[derive(Debug, Clone)]
pub enum Packet<'a> {
    /// SR: what its sender sent, and what it received.
    SenderReport {
        /// Who sends.
        ssrc: u32,
        /// What.
        info: SenderInfo,
        /// What it receives.
        reports: Reports<'a>,
    },
    /// RR: what its sender received.
    ReceiverReport {
        /// Who says so.
        ssrc: u32,
        /// What it receives.
        reports: Reports<'a>,
    },
    /// SDES. Nothing of it is needed: who a peer is, DTLS has said.
    Description,
    /// BYE: these streams end.
    Bye(Words<'a>),
    /// Packets are missing (RFC 4585 §6.2.1).
    Nack {
        /// The stream that they are missing from.
        media: u32,
        /// Which.
        lost: Nack<'a>,
    },
    /// The picture cannot be decoded (RFC 4585 §6.3.1).
    Pli {
        /// The stream.
        media: u32,
    },
    /// A key frame is wanted (RFC 5104 §4.3.1): streams, with the number of the request.
    Fir(Fir<'a>),
    /// What the receiver takes its link to carry (draft-alvestrand-rmcat-remb-03).
    Remb {
        /// Bits per second.
        bitrate: u64,
        /// Of these streams together.
        streams: Words<'a>,
    },
    /// When packets arrived (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    Transport(Transport<'a>),
    /// Something else, or one of these whose inside makes no sense.
    Other {
        /// Its packet type.
        kind: u8,
    },
}

/// The sender's part of an SR (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderInfo {
    /// The wall clock, NTP format: seconds since 1900 in the upper half, 2⁻³² s below.
    pub ntp: u64,
    /// The RTP timestamp of the same moment.
    pub rtp: u32,
    /// Packets sent in all.
    pub packets: u32,
    /// Payload bytes sent in all.
    pub bytes: u32,
}

/// One report block (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// The stream that it is about.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction: u8,
    /// Lost in all, duplicates counted as negative ones; 24 bits.
    pub lost: i32,
    /// The highest sequence number, with the number of times that it rolled over.
    pub highest: u32,
    /// Interarrival jitter, in units of the timestamp.
    pub jitter: u32,
    /// The middle of [`SenderInfo::ntp`] of the last SR that came; 0 for none.
    pub last_sr: u32,
    /// How long ago that was, 2⁻¹⁶ s.
    pub since_sr: u32,
}

impl Report {
    /// The round trip in 2⁻¹⁶ s, from the middle of the NTP time at which the report came
    /// (RFC 3550 §6.4.1). None where there was no SR yet, or where the clocks cannot be.
    pub fn round_trip(&self, now: u32) -> Option<u32> {
        let trip = now.wrapping_sub(self.last_sr).wrapping_sub(self.since_sr);
        (self.last_sr != 0 && trip < 1 << 31).then_some(trip)
    }
}

/// NTP time of a time since 1970.
pub fn ntp(since_1970: std::time::Duration) -> u64 {
    /// Seconds from 1900 to 1970.
    const OFFSET: u64 = 2_208_988_800;
    let seconds = since_1970.as_secs().wrapping_add(OFFSET);
    (seconds << 32) | ((u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000)
}

/// The middle 32 bits: what a report says of an SR.
pub fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(data.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
