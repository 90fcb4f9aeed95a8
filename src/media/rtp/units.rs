//! What the payload of an RTP packet holds: NAL units, several in one packet or one over
//! several (RFC 6184 §5.2 for H.264, RFC 7798 §4.4 for H.265). Pure.

use crate::media::nal::Format;

/// How a payload is made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape<'a> {
    /// One NAL unit.
    Whole,
    /// Several, each behind its size in 16 bits (STAP-A, AP).
    Aggregate(&'a [u8]),
    /// A piece of one (FU-A, FU).
    Fragment {
        /// The unit's type.
        kind: u8,
        /// It begins here.
        first: bool,
        /// It ends here.
        last: bool,
        /// The bytes behind the FU header.
        body: &'a [u8],
    },
    /// Empty, cut off, or of interleaved mode, which no camera uses.
    Unknown,
}

/// Bytes of a NAL unit's header, which is also that of aggregates and fragments.
pub fn header(format: Format) -> usize {
    match format {
        Format::H264 => 1,
        Format::H265 => 2,
    }
}

/// The type in a NAL unit's first byte.
pub fn kind(format: Format, first: u8) -> u8 {
    match format {
        Format::H264 => first & 0x1f,
        Format::H265 => (first >> 1) & 0x3f,
    }
}

/// Looks at a payload.
pub fn shape(format: Format, payload: &[u8]) -> Shape<'_> {
    let Some((head, rest)) = payload.split_at_checked(header(format)) else { return Shape::Unknown };
    match (format, kind(format, head.first().copied().unwrap_or_default())) {
        (Format::H264, 24) | (Format::H265, 48) => Shape::Aggregate(rest),
        (Format::H264, 28) | (Format::H265, 49) => match rest {
            [fu, body @ ..] => Shape::Fragment {
                kind: fu & if format == Format::H264 { 0x1f } else { 0x3f },
                first: fu & 0x80 != 0,
                last: fu & 0x40 != 0,
                body,
            },
            [] => Shape::Unknown,
        },
        (Format::H264, 0 | 25..) | (Format::H265, 50..) => Shape::Unknown,
        _ => Shape::Whole,
    }
}

/// The NAL units of an aggregate; what is cut off at its end is left out.
pub fn aggregated(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let [a, b, rest @ ..] = data else { return None };
        let (unit, next) = rest.split_at_checked(usize::from(u16::from_be_bytes([*a, *b])))?;
        data = next;
        Some(unit)
    })
    .filter(|unit| !unit.is_empty())
}

/// The NAL units in what should be one: some cameras put a byte stream into it, start codes
/// and all (V380: SPS, PPS and the picture under the SPS's header). A NAL unit never has
/// 00 00 01 in it, and never ends with a zero (ITU-T H.264 §7.4.1).
pub fn split(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let data = rest?;
        let code = data.windows(3).position(|w| w == [0, 0, 1]);
        let (unit, next) = match code {
            Some(at) => (data.get(..at)?, data.get(at + 3..)),
            None => (data, None),
        };
        rest = next;
        let end = unit.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        unit.get(..end)
    })
    .filter(|unit| !unit.is_empty())
}

/// A unit's header, from that of a fragment of it.
pub fn whole_header(format: Format, fragment: &[u8], kind: u8) -> [u8; 2] {
    match (format, fragment) {
        (Format::H264, [h, ..]) => [(h & 0xe0) | kind, 0],
        (Format::H265, [h, layer, ..]) => [(h & 0x81) | (kind << 1), *layer],
        _ => [0, 0],
    }
}

/// Whether a slice is the first one of its picture: first_mb_in_slice is 0 (H.264 §7.3.3),
/// or first_slice_segment_in_pic_flag is set (H.265 §7.3.6.1). Either is the first bit
/// behind the header.
pub fn is_first(body: &[u8]) -> bool {
    body.first().is_some_and(|b| b & 0x80 != 0)
}

/// The header of the fragments of a unit with this header.
pub fn fragment_header(format: Format, unit: &[u8]) -> Vec<u8> {
    match (format, unit) {
        (Format::H264, [h, ..]) => vec![(h & 0xe0) | 28],
        (Format::H265, [h, layer, ..]) => vec![(h & 0x81) | (49 << 1), *layer],
        _ => Vec::new(),
    }
}

/// The header of an aggregate of units with these headers: the highest importance, the
/// lowest layer.
pub fn aggregate_header(format: Format, a: &[u8], b: &[u8]) -> Option<[u8; 2]> {
    match (format, a, b) {
        (Format::H264, [a, ..], [b, ..]) => Some([((a | b) & 0x80) | (a & 0x60).max(b & 0x60) | 24, 0]),
        (Format::H265, [a, c, ..], [b, d, ..]) => {
            let layer = |h: &u8, l: &u8| ((u16::from(*h) & 1) << 5) | (u16::from(*l) >> 3);
            let lowest = layer(a, c).min(layer(b, d));
            let temporal = (c & 7).min(d & 7);
            Some([((a | b) & 0x80) | (48 << 1) | (lowest >> 5) as u8, ((lowest & 0x1f) << 3) as u8 | temporal])
        }
        _ => None,
    }
}

/// A slice: part of a picture.
pub fn is_slice(format: Format, kind: u8) -> bool {
    match format {
        Format::H264 => (1..=5).contains(&kind),
        Format::H265 => kind < 32,
    }
}

/// A slice of a picture at which decoding can start: IDR, and of H.265 any IRAP.
pub fn is_key(format: Format, kind: u8) -> bool {
    match format {
        Format::H264 => kind == 5,
        Format::H265 => (16..=23).contains(&kind),
    }
}

/// SPS, PPS, VPS.
pub fn is_set(format: Format, kind: u8) -> bool {
    match format {
        Format::H264 => matches!(kind, 7 | 8),
        Format::H265 => (32..=34).contains(&kind),
    }
}

/// Whether a payload begins with a parameter set.
pub fn leads_with_sets(format: Format, payload: &[u8]) -> bool {
    let first = match shape(format, payload) {
        Shape::Whole => payload.first(),
        Shape::Aggregate(rest) => rest.get(2),
        Shape::Fragment { .. } | Shape::Unknown => None,
    };
    first.is_some_and(|first| is_set(format, kind(format, *first)))
}

/// What nobody needs: access unit delimiters and filler.
pub fn is_ballast(format: Format, kind: u8) -> bool {
    match format {
        Format::H264 => matches!(kind, 9 | 12),
        Format::H265 => matches!(kind, 35 | 38),
    }
}
