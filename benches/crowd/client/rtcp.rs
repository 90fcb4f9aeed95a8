//! What a receiver says: receiver report, NACK, PLI (RFC 3550 §6.4.2, RFC 4585 §6.2.1 and
//! §6.3.1), one compound packet. Pure.

/// A report block's figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Block {
    /// Since the last report, of 256.
    pub fraction: u8,
    pub lost: u32,
    /// Extended.
    pub highest: u32,
    /// Middle of the last sender report's NTP time, and how long ago that was, 1/65536 s.
    pub report: u32,
    pub ago: u32,
}

/// A compound packet from `own` about `media`.
pub fn compound(own: u32, media: u32, block: Option<Block>, missing: &[u16], pli: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let mut words = |head: [u8; 2], words: &[u32]| {
        out.extend_from_slice(&head);
        out.extend_from_slice(&(words.len() as u16).to_be_bytes());
        words.iter().for_each(|w| out.extend_from_slice(&w.to_be_bytes()));
    };
    match block {
        // No jitter: the loopback has none that anybody acts upon.
        Some(b) => words(
            [0x81, 201],
            &[own, media, u32::from(b.fraction) << 24 | b.lost & 0xff_ffff, b.highest, 0, b.report, b.ago],
        ),
        None => words([0x80, 201], &[own]),
    }
    if !missing.is_empty() {
        let mut all = vec![own, media];
        let mut rest = missing;
        while let Some((first, more)) = rest.split_first() {
            let near = more.iter().take_while(|n| (1..=16).contains(&n.wrapping_sub(*first))).count();
            let mask = more[..near].iter().fold(0u32, |mask, n| mask | 1 << (n.wrapping_sub(*first) - 1));
            all.push(u32::from(*first) << 16 | mask);
            rest = &more[near..];
        }
        words([0x81, 205], &all);
    }
    if pli {
        words([0x81, 206], &[own, media]);
    }
    out
}

/// The middle of the NTP time of a sender report, if the compound packet begins with one.
pub fn sender_report(packet: &[u8]) -> Option<u32> {
    let ntp = packet.get(8..16).filter(|_| packet.get(1) == Some(&200))?;
    Some(u32::from_be_bytes(ntp[2..6].try_into().ok()?))
}
