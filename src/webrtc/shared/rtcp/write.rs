//! Writing. Everything is appended to the caller's buffer, so that a compound is one
//! piece and its memory can be used again.

use super::transport::Symbol;
use super::{MOST, Report, SenderInfo, format, kind};

/// Appends packets to a buffer.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Writer<'b> {
    /// Goes on behind what the buffer has.
    pub fn new(out: &'b mut Vec<u8>) -> Self {
        Writer { out }
    }

    /// One packet: header, then what `inside` writes, which is padded to words.
    fn packet(&mut self, count: u8, kind: u8, inside: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let at = self.out.len();
        self.out.extend_from_slice(&[0x80 | count, kind, 0, 0]);
        inside(self.out);
        let length = (self.out.len() - at).next_multiple_of(4);
        self.out.resize(at + length, 0);
        let words = (length / 4 - 1) as u16;
        if let Some(place) = self.out.get_mut(at + 2..at + 4) {
            place.copy_from_slice(&words.to_be_bytes());
        }
        self
    }

    /// SR. Of more than [`MOST`] reports the rest is left out.
    pub fn sender_report(&mut self, ssrc: u32, info: SenderInfo, reports: &[Report]) -> &mut Self {
        let reports = reports.get(..MOST).unwrap_or(reports);
        self.packet(reports.len() as u8, kind::SENDER_REPORT, |out| {
            out.extend_from_slice(&ssrc.to_be_bytes());
            out.extend_from_slice(&info.ntp.to_be_bytes());
            words(out, &[info.rtp, info.packets, info.bytes]);
            reports.iter().for_each(|r| report(out, r));
        })
    }

    /// RR. Of more than [`MOST`] reports the rest is left out.
    pub fn receiver_report(&mut self, ssrc: u32, reports: &[Report]) -> &mut Self {
        let reports = reports.get(..MOST).unwrap_or(reports);
        self.packet(reports.len() as u8, kind::RECEIVER_REPORT, |out| {
            out.extend_from_slice(&ssrc.to_be_bytes());
            reports.iter().for_each(|r| report(out, r));
        })
    }

    /// SDES with the one item that every compound has to have (RFC 3550 §6.1). Of a name
    /// of more than 255 bytes the rest is left out.
    pub fn cname(&mut self, ssrc: u32, cname: &str) -> &mut Self {
        let name = cname.as_bytes();
        let name = name.get(..255).unwrap_or(name);
        self.packet(1, kind::DESCRIPTION, |out| {
            out.extend_from_slice(&ssrc.to_be_bytes());
            out.extend_from_slice(&[1, name.len() as u8]);
            out.extend_from_slice(name);
            // The end of the list; the rest is padding.
            out.push(0);
        })
    }

    /// BYE, without a reason. Of more than [`MOST`] sources the rest is left out.
    pub fn bye(&mut self, sources: &[u32]) -> &mut Self {
        let sources = sources.get(..MOST).unwrap_or(sources);
        self.packet(sources.len() as u8, kind::BYE, |out| words(out, sources))
    }

    /// NACK of these packets, which must be in order; as many as two of them lie less
    /// than 17 apart, so many share an entry.
    pub fn nack(&mut self, sender: u32, media: u32, lost: &[u16]) -> &mut Self {
        self.packet(format::NACK, kind::TRANSPORT_FEEDBACK, |out| {
            words(out, &[sender, media]);
            let mut lost = lost.iter().copied().peekable();
            while let Some(first) = lost.next() {
                let mut mask = 0u16;
                while let Some(n) = lost.next_if(|n| (1..=16).contains(&n.wrapping_sub(first))) {
                    mask |= 1 << (n.wrapping_sub(first) - 1);
                }
                out.extend_from_slice(&first.to_be_bytes());
                out.extend_from_slice(&mask.to_be_bytes());
            }
        })
    }

    /// PLI.
    pub fn pli(&mut self, sender: u32, media: u32) -> &mut Self {
        self.packet(format::PLI, kind::PAYLOAD_FEEDBACK, |out| words(out, &[sender, media]))
    }

    /// FIR: streams, with a number that is one higher for each new request.
    pub fn fir(&mut self, sender: u32, requests: &[(u32, u8)]) -> &mut Self {
        self.packet(format::FIR, kind::PAYLOAD_FEEDBACK, |out| {
            words(out, &[sender, 0]);
            for (ssrc, number) in requests {
                words(out, &[*ssrc, u32::from(*number) << 24]);
            }
        })
    }

    /// REMB, rounded down to 18 significant bits. Of more than 255 streams the rest is
    /// left out.
    pub fn remb(&mut self, sender: u32, bitrate: u64, streams: &[u32]) -> &mut Self {
        let streams = streams.get(..255).unwrap_or(streams);
        self.packet(format::APPLICATION, kind::PAYLOAD_FEEDBACK, |out| {
            let exponent = (64 - 18u32).saturating_sub(bitrate.leading_zeros());
            let mantissa = (bitrate >> exponent) as u32;
            words(out, &[sender, 0]);
            out.extend_from_slice(b"REMB");
            words(out, &[(streams.len() as u32) << 24 | exponent << 18 | mantissa]);
            words(out, streams);
        })
    }
}

/// Appends transport-wide feedback: for each packet from `base` on, how many 250 µs after
/// the one before it arrived, or that it did not. `reference` is in 64 ms, 24 bits.
pub fn transport_feedback(
    out: &mut Vec<u8>,
    (sender, media): (u32, u32),
    (reference, number): (i32, u8),
    base: u16,
    arrivals: &[Option<i16>],
) {
    let arrivals = arrivals.get(..usize::from(u16::MAX)).unwrap_or(arrivals);
    let symbol = |a: &Option<i16>| match a {
        None => Symbol::Missing,
        Some(0..=255) => Symbol::Small,
        Some(_) => Symbol::Large,
    };
    Writer::new(out).packet(format::TRANSPORT, kind::TRANSPORT_FEEDBACK, |out| {
        words(out, &[sender, media, u32::from(base) << 16 | arrivals.len() as u32]);
        words(out, &[(reference as u32) << 8 | u32::from(number)]);
        let mut rest = arrivals;
        while let Some(first) = rest.first().map(symbol) {
            let run = rest.iter().take(0x1fff).take_while(|a| symbol(a) == first).count();
            // A run says more than a vector from seven packets on.
            let (chunk, told) = if run >= 7 || run == rest.len() {
                ((first as u16) << 13 | run as u16, run)
            } else {
                let part = rest.get(..7).unwrap_or(rest);
                let bits = |n: u16, (i, a): (usize, &Option<i16>)| n | (symbol(a) as u16) << (12 - 2 * i);
                (part.iter().enumerate().fold(0xc000, bits), part.len())
            };
            out.extend_from_slice(&chunk.to_be_bytes());
            rest = rest.get(told..).unwrap_or_default();
        }
        for delta in arrivals.iter().flatten() {
            match u8::try_from(*delta) {
                Ok(small) => out.push(small),
                Err(_) => out.extend_from_slice(&delta.to_be_bytes()),
            }
        }
    });
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|w| out.extend_from_slice(&w.to_be_bytes()));
}

fn report(out: &mut Vec<u8>, r: &Report) {
    // More than 24 bits can say is said as the most that they can.
    let lost = r.lost.clamp(-(1 << 23), (1 << 23) - 1) as u32 & 0x00ff_ffff;
    words(out, &[r.ssrc, u32::from(r.fraction) << 24 | lost, r.highest, r.jitter, r.last_sr, r.since_sr]);
}
