//! As much of H.264 and H.265 as a test needs: where NAL units begin, which are
//! key frames, and an SEI of our own with the frame's index and times.

/// The two video codecs of the doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264 (AVC).
    H264,
    /// H.265 (HEVC).
    H265,
}

/// Marks our SEI among the user data that encoders write themselves
/// (user_data_unregistered, payload type 5 in both codecs).
const UUID: [u8; 16] = *b"camgate-test-sei";
/// UUID, index, captured, handed over, and a byte that is never zero.
const PAYLOAD: usize = 16 + 4 + 8 + 8 + 1;

/// What travels with each access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Frame index, counted by the camera since it was made.
    pub index: u32,
    /// When the picture was taken, `CLOCK_MONOTONIC` in ns.
    pub captured_ns: u64,
    /// When the access unit was handed to the RTSP server, in ns.
    pub handed_ns: u64,
}

impl Stamp {
    /// The SEI NAL unit, with start code and emulation prevention.
    pub fn to_nal(self, codec: Codec) -> Vec<u8> {
        let mut raw = Vec::with_capacity(PAYLOAD + 6);
        raw.extend_from_slice(match codec {
            Codec::H264 => &[0x06][..],
            Codec::H265 => &[0x4e, 0x01][..], // prefix SEI (39), layer 0, temporal id 1
        });
        raw.extend_from_slice(&[5, PAYLOAD as u8]);
        raw.extend_from_slice(&UUID);
        raw.extend_from_slice(&self.index.to_be_bytes());
        raw.extend_from_slice(&self.captured_ns.to_be_bytes());
        raw.extend_from_slice(&self.handed_ns.to_be_bytes());
        raw.push(0xff);
        raw.push(0x80);
        let mut nal = vec![0, 0, 0, 1];
        let mut zeros = 0;
        for byte in raw {
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        nal
    }

    /// Reads the stamp from an SEI NAL unit without start code, if it is ours.
    pub fn from_nal(nal: &[u8], codec: Codec) -> Option<Stamp> {
        let header = match codec {
            Codec::H264 if nal.first()? & 0x1f == 6 => 1,
            Codec::H265 if nal.first()? >> 1 & 0x3f == 39 => 2,
            _ => return None,
        };
        let mut raw = Vec::with_capacity(nal.len());
        let mut zeros = 0;
        for &byte in nal.get(header..)? {
            if zeros >= 2 && byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            raw.push(byte);
        }
        let body = raw.strip_prefix(&[5, PAYLOAD as u8])?.strip_prefix(&UUID)?;
        Some(Stamp {
            index: u32::from_be_bytes(body.get(..4)?.try_into().ok()?),
            captured_ns: u64::from_be_bytes(body.get(4..12)?.try_into().ok()?),
            handed_ns: u64::from_be_bytes(body.get(12..20)?.try_into().ok()?),
        })
    }

    /// The access unit (Annex B) with this stamp before its first slice.
    pub fn insert(self, codec: Codec, au: &[u8]) -> Vec<u8> {
        let at = first_slice(au, codec).unwrap_or(0);
        let sei = self.to_nal(codec);
        let mut out = Vec::with_capacity(au.len() + sei.len());
        out.extend_from_slice(&au[..at]);
        out.extend_from_slice(&sei);
        out.extend_from_slice(&au[at..]);
        out
    }
}

/// Where the start code of the first slice is. Looks no further: the slice may be large.
fn first_slice(au: &[u8], codec: Codec) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + au[from..].windows(3).position(|w| w == [0, 0, 1])?;
        if is_slice(&au[at + 3..], codec) {
            return Some(if at > 0 && au[at - 1] == 0 { at - 1 } else { at });
        }
        from = at + 3;
    }
}

/// The NAL units of an Annex B access unit: offset of the start code, and the
/// unit without it.
pub fn units(au: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut starts = Vec::new(); // (offset of the start code, offset of the unit)
    let mut i = 0;
    while i + 3 <= au.len() {
        if au[i..i + 3] == [0, 0, 1] {
            let code = if i > 0 && au[i - 1] == 0 { i - 1 } else { i };
            starts.push((code, i + 3));
            i += 3;
        } else {
            i += 1;
        }
    }
    (0..starts.len()).map(move |n| {
        let (code, from) = starts[n];
        let to = starts.get(n + 1).map_or(au.len(), |next| next.0);
        (code, &au[from..to.max(from)])
    })
}

/// The NAL unit's type.
pub fn kind(nal: &[u8], codec: Codec) -> Option<u8> {
    nal.first().map(|b| match codec {
        Codec::H264 => b & 0x1f,
        Codec::H265 => b >> 1 & 0x3f,
    })
}

/// A coded slice of any type.
pub fn is_slice(nal: &[u8], codec: Codec) -> bool {
    kind(nal, codec).is_some_and(|k| match codec {
        Codec::H264 => (1..=5).contains(&k),
        Codec::H265 => k < 32,
    })
}

/// A slice of a key frame (H.264: IDR; H.265: IDR or CRA).
pub fn is_key_slice(kind: u8, codec: Codec) -> bool {
    match codec {
        Codec::H264 => kind == 5,
        Codec::H265 => (19..=21).contains(&kind),
    }
}

/// Parameter sets: H.264 SPS and PPS; H.265 VPS, SPS and PPS.
pub fn is_parameter_set(kind: u8, codec: Codec) -> bool {
    match codec {
        Codec::H264 => kind == 7 || kind == 8,
        Codec::H265 => (32..=34).contains(&kind),
    }
}

/// Calls `found` for each NAL unit that begins in an RTP payload, with its type
/// and, unless it is a fragment, its bytes (RFC 6184 and RFC 7798: single unit,
/// aggregate, first fragment).
pub fn in_rtp(payload: &[u8], codec: Codec, mut found: impl FnMut(u8, Option<&[u8]>)) {
    let Some(kind) = kind(payload, codec) else {
        return;
    };
    let (aggregate, fragment, header) = match codec {
        Codec::H264 => (24, 28, 1),
        Codec::H265 => (48, 49, 2),
    };
    if kind == aggregate {
        let mut rest = &payload[header.min(payload.len())..];
        while let Some((size, tail)) = rest.split_at_checked(2) {
            let size = usize::from(u16::from_be_bytes([size[0], size[1]]));
            let Some((nal, tail)) = tail.split_at_checked(size) else {
                return;
            };
            if let Some(kind) = self::kind(nal, codec) {
                found(kind, Some(nal));
            }
            rest = tail;
        }
    } else if kind == fragment {
        let Some(fu) = payload.get(header) else {
            return;
        };
        if fu & 0x80 != 0 {
            let inner = match codec {
                Codec::H264 => fu & 0x1f,
                Codec::H265 => fu & 0x3f,
            };
            found(inner, None);
        }
    } else {
        found(kind, Some(payload));
    }
}
