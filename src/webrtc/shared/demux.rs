//! What a datagram on the one port is, by its first bytes (RFC 7983, RFC 5761). Pure.

/// The protocol of a datagram. Says nothing about whether it is well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// STUN: connectivity checks and consent.
    Stun,
    /// DTLS records.
    Dtls,
    /// SRTP.
    Rtp,
    /// SRTCP, on the same port (rtcp-mux).
    Rtcp,
    /// Nothing that we speak (ZRTP, TURN channel data, noise): dropped and counted.
    Other,
}

/// Tells them apart. RTP and RTCP share their first byte; RTCP's packet types lie in
/// 192–223, where no payload type of RTP with marker bit may be (RFC 5761 §4).
pub fn classify(data: &[u8]) -> Protocol {
    match *data {
        [0..=3, ..] => Protocol::Stun,
        [20..=63, ..] => Protocol::Dtls,
        [128..=191, 192..=223, ..] => Protocol::Rtcp,
        [128..=191, ..] => Protocol::Rtp,
        _ => Protocol::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_one_protocol() {
        let of = |first: u8| classify(&[first, 96, 0]);
        for first in 0..=255u8 {
            let wanted = match first {
                0..=3 => Protocol::Stun,
                20..=63 => Protocol::Dtls,
                128..=191 => Protocol::Rtp,
                _ => Protocol::Other,
            };
            assert_eq!(of(first), wanted, "{first}");
        }
    }

    #[test]
    fn rtcp_is_known_by_its_packet_type() {
        for second in 0..=255u8 {
            let wanted = if (192..=223).contains(&second) { Protocol::Rtcp } else { Protocol::Rtp };
            assert_eq!(classify(&[0x80, second]), wanted, "{second}");
        }
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(classify(&[]), Protocol::Other);
        assert_eq!(classify(&[0x80]), Protocol::Rtp);
    }
}
