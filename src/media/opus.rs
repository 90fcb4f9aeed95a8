//! How much sound an Opus packet holds (RFC 6716 §3). Pure.

/// The most that a packet may hold: 120 ms at 48 kHz (RFC 6716 §3.2.5, R5).
const MOST: u32 = 5_760;

/// Samples at 48 kHz in a packet; none for what is no Opus packet.
pub fn samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = u32::from(toc >> 3);
    let frame = match config {
        // SILK: 10, 20, 40, 60 ms.
        0..12 => [480, 960, 1_920, 2_880][config as usize % 4],
        // Hybrid: 10, 20 ms.
        12..16 => [480, 960][config as usize % 2],
        // CELT: 2.5, 5, 10, 20 ms.
        _ => [120, 240, 480, 960][config as usize % 4],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    Some(frame * frames).filter(|n| (1..=MOST).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_of_rfc_6716() {
        let toc = |config: u8, code: u8| config << 3 | code;
        assert_eq!(samples(&[toc(1, 0)]), Some(960)); // SILK, 20 ms
        assert_eq!(samples(&[toc(11, 0)]), Some(2_880)); // SILK, 60 ms
        assert_eq!(samples(&[toc(13, 1)]), Some(1_920)); // hybrid, two of 20 ms
        assert_eq!(samples(&[toc(16, 0)]), Some(120)); // CELT, 2.5 ms
        assert_eq!(samples(&[toc(31, 0)]), Some(960)); // CELT, 20 ms
        assert_eq!(samples(&[toc(31, 2)]), Some(1_920));
        assert_eq!(samples(&[toc(31, 3), 6]), Some(5_760));
        assert_eq!(samples(&[toc(31, 3), 7]), None, "more than 120 ms");
        assert_eq!(samples(&[toc(31, 3), 0]), None, "no frame");
        assert_eq!(samples(&[toc(31, 3)]), None);
        assert_eq!(samples(&[]), None);
    }

    proptest! {
        #[test]
        fn bounded(packet in proptest::collection::vec(any::<u8>(), 0..4)) {
            prop_assert!(samples(&packet).is_none_or(|n| (120..=MOST).contains(&n)));
        }
    }
}
