//! What a camera reports of a stream (RFC 3550 §6). Pure.

const SENDER_REPORT: u8 = 200;
const BYE: u8 = 203;

/// What is of interest in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// One moment on the camera's clock and as a timestamp of the stream.
    Sender { ssrc: u32, ntp: u64, rtp: u32 },
    /// The sender ends the stream.
    Bye { ssrc: u32 },
}

/// The reports of a compound packet; what is cut off or of another version ends it.
pub fn reports(mut data: &[u8]) -> impl Iterator<Item = Report> {
    std::iter::from_fn(move || {
        loop {
            let [first, kind, high, low, ..] = *data else { return None };
            let length = 4 * (1 + usize::from(u16::from_be_bytes([high, low])));
            if first >> 6 != 2 || data.len() < length {
                return None;
            }
            let (packet, rest) = data.split_at(length);
            data = rest;
            let word = |at: usize| packet.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
            let report = match kind {
                SENDER_REPORT => (|| {
                    let ntp = u64::from(word(8)?) << 32 | u64::from(word(12)?);
                    Some(Report::Sender { ssrc: word(4)?, ntp, rtp: word(16)? })
                })(),
                BYE if first & 0x1f > 0 => word(4).map(|ssrc| Report::Bye { ssrc }),
                _ => None,
            };
            if report.is_some() {
                return report;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compound() -> Vec<u8> {
        let mut p = vec![0x80, 200, 0, 6];
        for word in [7u32, 1, 2, 3, 4, 5] {
            p.extend(word.to_be_bytes());
        }
        p.extend([0x81, 202, 0, 2, 0, 0, 0, 7, 1, 1, b'x', 0]);
        p.extend([0x81, 203, 0, 1, 0, 0, 0, 7]);
        p
    }

    #[test]
    fn a_compound_is_read() {
        let all: Vec<Report> = reports(&compound()).collect();
        assert_eq!(all, [Report::Sender { ssrc: 7, ntp: 1 << 32 | 2, rtp: 3 }, Report::Bye { ssrc: 7 }]);
        assert_eq!(reports(&compound()[..20]).count(), 0);
        assert_eq!(reports(&[0x80, 200, 0, 0, 1, 2, 3, 4]).count(), 0);
    }

    proptest! {
        #![proptest_config(crate::fuzz::cases(1_000))]

        #[test]
        fn fuzz_reports(data in crate::fuzz::mutated(vec![compound()])) {
            prop_assert!(reports(&data).count() <= data.len() / 4);
        }
    }
}
