//! RTP packets into access units, and where decoding can start. Pure.

mod assembler;
pub(super) mod units;
mod writer;

pub use assembler::Assembler;

/// The most that one frame may hold: a 4K key frame is far below it, and a source
/// that never sets a marker cannot grow it further.
const MAX_FRAME: usize = 8 * 1024 * 1024;
/// The largest payload that is handed on: with header, encryption and all that networks
/// put around it (VPNs, TURN) it stays below every MTU there is. 1,200 bytes is what
/// browsers send, too.
pub const MAX_PAYLOAD: usize = 1_200 - 12;

/// The parts of an RTP packet (RFC 3550 §5.1) that camgate uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The marker bit: for video, the last packet of a frame.
    pub marker: bool,
    /// Counts packets.
    pub sequence: u16,
    /// RTP clock.
    pub timestamp: u32,
    /// What follows header, CSRCs and extension, without padding.
    pub payload: &'a [u8],
}

/// Reads one packet; `None` when it is no RTP packet.
pub fn parse(data: &[u8]) -> Option<Packet<'_>> {
    let [b0, b1, ..] = *data else { return None };
    if b0 >> 6 != 2 || data.len() < 12 {
        return None;
    }
    let sequence = u16::from_be_bytes(data.get(2..4)?.try_into().ok()?);
    let timestamp = u32::from_be_bytes(data.get(4..8)?.try_into().ok()?);
    let mut at = 12 + usize::from(b0 & 0x0f) * 4;
    if b0 & 0x10 != 0 {
        let words = u16::from_be_bytes(data.get(at + 2..at + 4)?.try_into().ok()?);
        at += 4 + usize::from(words) * 4;
    }
    let mut end = data.len();
    if b0 & 0x20 != 0 {
        let padding = usize::from(*data.last()?);
        if padding == 0 {
            return None;
        }
        end = end.checked_sub(padding)?;
    }
    Some(Packet { marker: b1 & 0x80 != 0, sequence, timestamp, payload: data.get(at..end)? })
}

/// Where one packet's payload lies in an access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

/// All packets of one frame, in one piece of memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// The payloads, one after the other.
    pub data: Vec<u8>,
    /// One per packet. The last one carries the marker.
    pub packets: Vec<Span>,
    /// The source's RTP timestamp.
    pub timestamp: u32,
    /// Capture time on the path's clock, ns.
    pub pts_ns: u64,
    /// Whether decoding can start here.
    pub key: bool,
}

impl Frame {
    /// A frame that came whole and not in RTP: one span.
    pub fn whole(data: &[u8], timestamp: u32, pts_ns: u64) -> Option<Self> {
        let len = u32::try_from(data.len()).ok().filter(|n| *n > 0 && data.len() <= MAX_FRAME)?;
        Some(Frame { data: data.to_vec(), packets: vec![Span { start: 0, len }], timestamp, pts_ns, key: true })
    }
}

#[cfg(test)]
mod tests;
