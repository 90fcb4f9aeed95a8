//! A frame's RTP payloads as a byte stream (Annex B of H.264 and H.265). Pure.
//!
//! Not GStreamer's depayloaders: `rtph264pay config-interval=-1` repeats the parameter
//! sets before every slice of a key frame, and `rtph264depay` takes those for the
//! beginning of another picture, so that half a picture came out of cameras that send
//! several slices. Here parameter sets behind the first slice are left out.

use crate::media::codec::Codec;

const START: [u8; 4] = [0, 0, 0, 1];

/// Puts the NAL units of one access unit together. None for a codec that has none.
/// What is cut off or unknown is left out.
pub(super) fn annexb<'a>(codec: &Codec, payloads: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let h265 = match codec {
        Codec::H264 { .. } => false,
        Codec::H265 { .. } => true,
        _ => return None,
    };
    let mut out = Stream { h265, data: Vec::new(), slices: false };
    for payload in payloads {
        match (h265, payload) {
            // RFC 6184 §5.7: STAP-A, FU-A.
            (false, [head, rest @ ..]) => match head & 0x1f {
                1..=23 => out.unit(&[], payload),
                24 => out.aggregated(rest),
                28 => out.fragment(rest, |fu| vec![head & 0xe0 | fu & 0x1f]),
                _ => {}
            },
            // RFC 7798 §4.4: AP, FU.
            (true, [head, layer, rest @ ..]) => match head >> 1 & 0x3f {
                0..=47 => out.unit(&[], payload),
                48 => out.aggregated(rest),
                49 => out.fragment(rest, |fu| vec![head & 0x81 | (fu & 0x3f) << 1, *layer]),
                _ => {}
            },
            _ => {}
        }
    }
    Some(out.data)
}

struct Stream {
    h265: bool,
    data: Vec<u8>,
    /// A slice was written.
    slices: bool,
}

impl Stream {
    /// Writes a NAL unit, or the beginning of one: its header where that is not in
    /// `body`, and what there is of its body.
    fn unit(&mut self, header: &[u8], body: &[u8]) {
        let Some(first) = header.first().or(body.first()) else { return };
        let (slice, parameters) = match self.h265 {
            false => (matches!(first & 0x1f, 1..=5), matches!(first & 0x1f, 7 | 8)),
            true => (first >> 1 & 0x3f < 32, matches!(first >> 1 & 0x3f, 32..=34)),
        };
        if parameters && self.slices {
            return;
        }
        self.slices |= slice;
        for part in [&START, header, body] {
            self.data.extend_from_slice(part);
        }
    }

    fn aggregated(&mut self, mut rest: &[u8]) {
        while let [high, low, behind @ ..] = rest {
            let size = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((unit, next)) = behind.split_at_checked(size) else { return };
            self.unit(&[], unit);
            rest = next;
        }
    }

    /// A part of a unit (always a slice: nothing else is that large). `header` makes
    /// the unit's from the byte in front of the first part.
    fn fragment(&mut self, rest: &[u8], header: impl FnOnce(u8) -> Vec<u8>) {
        match rest {
            [fu, body @ ..] if fu & 0x80 != 0 => self.unit(&header(*fu), body),
            [_, body @ ..] => self.data.extend_from_slice(body),
            [] => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const H264: Codec = Codec::H264 { profile_level_id: [0x64, 0, 0x28] };
    const H265: Codec = Codec::H265 { profile_id: 1, tier_flag: 0, level_id: 93 };

    fn of(codec: &Codec, payloads: &[&[u8]]) -> Vec<u8> {
        annexb(codec, payloads.iter().copied()).unwrap()
    }

    #[test]
    fn h264() {
        let stap: &[u8] = &[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 2];
        let fu: [&[u8]; 3] = [&[0x7c, 0x85, 3, 4], &[0x7c, 0x05, 5], &[0x7c, 0x45, 6]];
        let again: [&[u8]; 3] = [&[0x67, 1], &[0x68, 2], &[0x65, 7]];
        let got = of(&H264, &[stap, fu[0], fu[1], fu[2], again[0], again[1], again[2]]);
        let want = [&START[..], &[0x67, 1], &START, &[0x68, 2], &START, &[0x65, 3, 4, 5, 6], &START, &[0x65, 7]];
        assert_eq!(got, want.concat());
    }

    #[test]
    fn h265() {
        let ap: &[u8] = &[48 << 1, 1, 0, 3, 32 << 1, 1, 9, 0, 3, 33 << 1, 1, 8];
        let fu: [&[u8]; 2] = [&[49 << 1, 1, 0x80 | 19, 3], &[49 << 1, 1, 0x40 | 19, 4]];
        let got = of(&H265, &[ap, fu[0], fu[1], &[34 << 1, 1, 7], &[19 << 1, 1, 5]]);
        let want = [
            &START[..],
            &[32 << 1, 1, 9],
            &START,
            &[33 << 1, 1, 8],
            &START,
            &[19 << 1, 1, 3, 4],
            &START,
            &[19 << 1, 1, 5],
        ];
        assert_eq!(got, want.concat());
    }

    #[test]
    fn nothing_of_other_codecs() {
        assert_eq!(annexb(&Codec::Pcma, std::iter::once(&[1u8][..])), None);
    }

    proptest! {
        #[test]
        fn never_panics(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..8)) {
            for codec in [H264, H265] {
                let _ = annexb(&codec, payloads.iter().map(Vec::as_slice));
            }
        }
    }
}
