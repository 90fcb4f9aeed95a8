//! Transport-wide feedback: when each packet of a session arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

use super::{u16_at, u32_at};

/// One feedback message, checked as a whole.
#[derive(Debug, Clone)]
pub struct Transport<'a> {
    /// The transport-wide number of the first packet.
    pub base: u16,
    /// How many packets it tells of.
    pub count: u16,
    /// The time that the first arrival counts from, 64 ms; 24 bits with a sign.
    pub reference: i32,
    /// Counts feedback messages.
    pub number: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

/// What two bits say of a packet (§3.1.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    Missing = 0,
    Small = 1,
    Large = 2,
    Reserved = 3,
}

impl Symbol {
    fn of(bits: u16) -> Symbol {
        match bits & 3 {
            0 => Symbol::Missing,
            1 => Symbol::Small,
            2 => Symbol::Large,
            _ => Symbol::Reserved,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Symbol::Small => 1,
            Symbol::Large => 2,
            // Reserved: "received, no delta" in some implementations; nothing follows.
            Symbol::Missing | Symbol::Reserved => 0,
        }
    }
}

impl<'a> Transport<'a> {
    /// Reads what follows the header of the RTCP packet. None where chunks or deltas are
    /// fewer than announced.
    pub(super) fn read(body: &'a [u8]) -> Option<Transport<'a>> {
        let (base, count) = (u16_at(body, 8)?, u16_at(body, 10)?);
        let word = u32_at(body, 12)?;
        let list = body.get(16..)?;
        // How many chunks it takes, and how many bytes of deltas they speak of.
        let (mut chunks, mut told, mut deltas) = (0, 0, 0);
        while told < usize::from(count) {
            let chunk = u16_at(list, chunks)?;
            let n = length(chunk).min(usize::from(count) - told);
            deltas += (0..n).map(|i| symbol(chunk, i).bytes()).sum::<usize>();
            (chunks, told) = (chunks + 2, told + n);
            // A run of no packets would never end.
            if n == 0 {
                return None;
            }
        }
        let (chunks, rest) = list.split_at_checked(chunks)?;
        let deltas = rest.get(..deltas)?;
        Some(Transport { base, count, reference: word as i32 >> 8, number: word as u8, chunks, deltas })
    }

    /// Every packet in order: its number, and when it arrived, if it did: 250 µs after
    /// the one that arrived before it, the first one after [`Transport::reference`].
    pub fn arrivals(&self) -> Arrivals<'a> {
        Arrivals { left: self.count, number: self.base, within: 0, chunks: self.chunks, deltas: self.deltas }
    }
}

/// So many packets a chunk tells of.
fn length(chunk: u16) -> usize {
    match chunk >> 14 {
        0 | 1 => usize::from(chunk & 0x1fff),
        2 => 14,
        _ => 7,
    }
}

/// What it tells of packet `i`.
fn symbol(chunk: u16, i: usize) -> Symbol {
    match chunk >> 14 {
        0 | 1 => Symbol::of(chunk >> 13),
        2 => Symbol::of(chunk >> (13 - i) & 1),
        _ => Symbol::of(chunk >> (12 - 2 * i)),
    }
}

/// See [`Transport::arrivals`].
#[derive(Debug, Clone)]
pub struct Arrivals<'a> {
    left: u16,
    number: u16,
    within: usize,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl Iterator for Arrivals<'_> {
    type Item = (u16, Option<i16>);

    fn next(&mut self) -> Option<(u16, Option<i16>)> {
        self.left = self.left.checked_sub(1)?;
        let chunk = u16_at(self.chunks, 0)?;
        let symbol = symbol(chunk, self.within);
        self.within += 1;
        if self.within == length(chunk) {
            (self.within, self.chunks) = (0, self.chunks.get(2..)?);
        }
        let (delta, rest) = self.deltas.split_at_checked(symbol.bytes())?;
        self.deltas = rest;
        let delta = match *delta {
            [d] => Some(i16::from(d)),
            [a, b] => Some(i16::from_be_bytes([a, b])),
            _ => None,
        };
        let number = self.number;
        self.number = number.wrapping_add(1);
        Some((number, delta))
    }
}
