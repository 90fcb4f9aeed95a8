//! Reading a compound.

use super::transport::Transport;
use super::{Packet, Report, SenderInfo, format, kind, u16_at, u32_at};

/// The packets of a datagram: a compound, or one of reduced size (RFC 5506). None when
/// their lengths do not fit together.
pub fn read(data: &[u8]) -> Option<Packets<'_>> {
    let mut rest = data;
    while !rest.is_empty() {
        rest = split(rest)?.1;
    }
    (!data.is_empty()).then_some(Packets { rest: data })
}

/// One packet without its padding, and what follows it.
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *data.first()?;
    let length = 4 + 4 * usize::from(u16_at(data, 2)?);
    let (mut packet, rest) = data.split_at_checked(length)?;
    if first >> 6 != 2 {
        return None;
    }
    if first & 0x20 != 0 {
        let padding = usize::from(*packet.last()?);
        // Only the last one may have it (RFC 3550 §6.4.1).
        if padding == 0 || !rest.is_empty() {
            return None;
        }
        packet = packet.get(..length.checked_sub(padding).filter(|n| *n >= 4)?)?;
    }
    Some((packet, rest))
}

/// See [`read`].
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let (packet, rest) = split(self.rest)?;
        self.rest = rest;
        let (first, kind) = (*packet.first()?, *packet.get(1)?);
        let body = packet.get(4..)?;
        Some(inside(first & 0x1f, kind, body).unwrap_or(Packet::Other { kind }))
    }
}

/// `count` is the report count, or the feedback format.
fn inside(count: u8, kind: u8, body: &[u8]) -> Option<Packet<'_>> {
    let ssrc = u32_at(body, 0);
    match (kind, count) {
        (kind::SENDER_REPORT, _) => {
            let info = SenderInfo {
                ntp: u64::from(u32_at(body, 4)?) << 32 | u64::from(u32_at(body, 8)?),
                rtp: u32_at(body, 12)?,
                packets: u32_at(body, 16)?,
                bytes: u32_at(body, 20)?,
            };
            Some(Packet::SenderReport { ssrc: ssrc?, info, reports: Reports::new(body.get(24..)?, count)? })
        }
        (kind::RECEIVER_REPORT, _) => {
            Some(Packet::ReceiverReport { ssrc: ssrc?, reports: Reports::new(body.get(4..)?, count)? })
        }
        (kind::DESCRIPTION, _) => Some(Packet::Description),
        (kind::BYE, _) => Some(Packet::Bye(Words { rest: body.get(..4 * usize::from(count))? })),
        (kind::TRANSPORT_FEEDBACK, format::NACK) => {
            Some(Packet::Nack { media: u32_at(body, 4)?, lost: Nack { rest: body.get(8..)?, at: 0 } })
        }
        (kind::TRANSPORT_FEEDBACK, format::TRANSPORT) => Transport::read(body).map(Packet::Transport),
        (kind::PAYLOAD_FEEDBACK, format::PLI) => Some(Packet::Pli { media: u32_at(body, 4)? }),
        (kind::PAYLOAD_FEEDBACK, format::FIR) => Some(Packet::Fir(Fir { rest: body.get(8..)? })),
        (kind::PAYLOAD_FEEDBACK, format::APPLICATION) if body.get(8..12)? == b"REMB" => {
            let (count, exponent) = (usize::from(*body.get(12)?), body.get(13)? >> 2);
            let mantissa = u64::from(u32_at(body, 12)? & 0x3_ffff);
            // More than 2⁶⁴ bit/s is nonsense, and would be taken for very little.
            let bitrate = mantissa.checked_mul(1u64.checked_shl(exponent.into())?)?;
            Some(Packet::Remb { bitrate, streams: Words { rest: body.get(16..16 + 4 * count)? } })
        }
        _ => None,
    }
}

/// Report blocks.
#[derive(Debug, Clone)]
pub struct Reports<'a> {
    rest: &'a [u8],
}

impl<'a> Reports<'a> {
    fn new(body: &'a [u8], count: u8) -> Option<Self> {
        Some(Reports { rest: body.get(..24 * usize::from(count))? })
    }
}

impl Iterator for Reports<'_> {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        let (b, rest) = self.rest.split_at_checked(24)?;
        self.rest = rest;
        let loss = u32_at(b, 4)?;
        Some(Report {
            ssrc: u32_at(b, 0)?,
            fraction: (loss >> 24) as u8,
            // 24 bits with a sign.
            lost: (loss << 8) as i32 >> 8,
            highest: u32_at(b, 8)?,
            jitter: u32_at(b, 12)?,
            last_sr: u32_at(b, 16)?,
            since_sr: u32_at(b, 20)?,
        })
    }
}

/// Numbers of 32 bits: SSRCs.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    rest: &'a [u8],
}

impl Iterator for Words<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let word = u32_at(self.rest, 0)?;
        self.rest = self.rest.get(4..)?;
        Some(word)
    }
}

/// Sequence numbers of missing packets, in the order in which they were told: per four
/// bytes one, and up to 16 that follow it. A datagram of 1,500 bytes names 6,000 at most;
/// what is answered is bounded by who answers.
#[derive(Debug, Clone)]
pub struct Nack<'a> {
    rest: &'a [u8],
    /// 0: the number itself; n: bit n - 1 of its mask.
    at: u8,
}

impl Iterator for Nack<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        loop {
            let (number, mask) = (u16_at(self.rest, 0)?, u16_at(self.rest, 2)?);
            match self.at {
                0 => {
                    self.at = 1;
                    return Some(number);
                }
                n @ 1..=16 => {
                    self.at += 1;
                    if mask >> (n - 1) & 1 == 1 {
                        return Some(number.wrapping_add(n.into()));
                    }
                }
                _ => (self.rest, self.at) = (self.rest.get(4..)?, 0),
            }
        }
    }
}

/// Streams of which a key frame is wanted, with the number of the request.
#[derive(Debug, Clone)]
pub struct Fir<'a> {
    rest: &'a [u8],
}

impl Iterator for Fir<'_> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<(u32, u8)> {
        let entry = (u32_at(self.rest, 0)?, *self.rest.get(4)?);
        self.rest = self.rest.get(8..)?;
        Some(entry)
    }
}
