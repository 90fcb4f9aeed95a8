//! RTP packets into access units, and where decoding can start. Pure.

use crate::media::codec::Codec;

/// The parts of an RTP packet (RFC 3550 §5.1) that camgate uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The marker bit: for video, the last packet of a frame.
    pub marker: bool,
    /// RTP clock.
    pub timestamp: u32,
    /// What follows header, CSRCs and extension, without padding.
    pub payload: &'a [u8],
}

/// Reads one packet; `None` when it is no RTP packet.
pub fn parse(data: &[u8]) -> Option<Packet<'_>> {
    let [b0, b1, ..] = *data else { return None };
    if b0 >> 6 != 2 || data.len() < 12 {
        return None;
    }
    let timestamp = u32::from_be_bytes(data.get(4..8)?.try_into().ok()?);
    let mut at = 12 + usize::from(b0 & 0x0f) * 4;
    if b0 & 0x10 != 0 {
        let words = u16::from_be_bytes(data.get(at + 2..at + 4)?.try_into().ok()?);
        at += 4 + usize::from(words) * 4;
    }
    let mut end = data.len();
    if b0 & 0x20 != 0 {
        let padding = usize::from(*data.last()?);
        if padding == 0 {
            return None;
        }
        end = end.checked_sub(padding)?;
    }
    Some(Packet { marker: b1 & 0x80 != 0, timestamp, payload: data.get(at..end)? })
}

/// Whether this payload belongs to a frame at which decoding can start: an
/// instantaneous refresh, or parameter sets, which our packetiser (and cameras)
/// send in front of one (`config-interval=-1`).
pub fn starts_decoding(codec: &Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::H264 { .. } => h264_key(payload),
        Codec::H265 { .. } => h265_key(payload),
        _ => true,
    }
}

/// RFC 6184 §5.2: single NAL units, STAP-A (24), FU-A (28).
fn h264_key(payload: &[u8]) -> bool {
    let key = |b: u8| matches!(b & 0x1f, 5 | 7);
    match payload {
        [h, rest @ ..] if h & 0x1f == 24 => aggregated(rest, 0).any(key),
        [h, fu, ..] if h & 0x1f == 28 => fu & 0x80 != 0 && key(*fu),
        [h, ..] => key(*h),
        [] => false,
    }
}

/// RFC 7798 §4.4: single NAL units, AP (48), FU (49). IRAP pictures are 16–23.
fn h265_key(payload: &[u8]) -> bool {
    let key = |t: u8| matches!(t, 16..=23 | 32 | 33);
    match payload {
        [h, _, rest @ ..] if (h >> 1) & 0x3f == 48 => aggregated(rest, 0).any(|b| key((b >> 1) & 0x3f)),
        [h, _, fu, ..] if (h >> 1) & 0x3f == 49 => fu & 0x80 != 0 && key(fu & 0x3f),
        [h, ..] => key((h >> 1) & 0x3f),
        [] => false,
    }
}

/// The first bytes of the NAL units of an aggregation packet.
fn aggregated(data: &[u8], mut at: usize) -> impl Iterator<Item = u8> + '_ {
    std::iter::from_fn(move || {
        let size = u16::from_be_bytes(data.get(at..at + 2)?.try_into().ok()?);
        let first = *data.get(at + 2)?;
        at += 2 + usize::from(size);
        Some(first)
    })
}

/// Where one packet's payload lies in an access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

/// All packets of one frame, in one piece of memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// The payloads, one after the other.
    pub data: Vec<u8>,
    /// One per packet. The last one carries the marker.
    pub packets: Vec<Span>,
    /// The source's RTP timestamp.
    pub timestamp: u32,
    /// Capture time on the path's clock, ns.
    pub pts_ns: u64,
    /// Whether decoding can start here.
    pub key: bool,
}

impl Frame {
    /// A frame that came whole and not in RTP: one span.
    pub fn whole(data: &[u8], timestamp: u32, pts_ns: u64) -> Option<Self> {
        let len = u32::try_from(data.len()).ok().filter(|n| *n > 0 && data.len() <= MAX_FRAME)?;
        Some(Frame { data: data.to_vec(), packets: vec![Span { start: 0, len }], timestamp, pts_ns, key: true })
    }
}

/// The most that one frame may hold: a 4K key frame is far below it, and a source
/// that never sets a marker cannot grow it further.
const MAX_FRAME: usize = 8 * 1024 * 1024;

/// Puts packets together into frames.
#[derive(Debug, Default)]
pub struct Assembler {
    frame: Frame,
    /// Bytes of the last frame: the next one is of about that size.
    hint: usize,
    /// Frames thrown away because they were too large.
    pub oversize: u64,
}

impl Assembler {
    /// Takes one packet. Returns the frame that it ends: by its marker, or the
    /// one before, when a new timestamp shows that its marker was lost. Audio
    /// (`codec` not a video codec) is a frame per packet.
    pub fn push(&mut self, codec: &Codec, packet: Packet<'_>, pts_ns: u64, mut done: impl FnMut(Frame)) {
        if !self.frame.packets.is_empty() && self.frame.timestamp != packet.timestamp {
            self.finish(&mut done);
        }
        if self.frame.packets.is_empty() {
            self.frame.timestamp = packet.timestamp;
            self.frame.pts_ns = pts_ns;
            self.frame.data.reserve(self.hint.max(packet.payload.len()));
        }
        if packet.payload.is_empty() {
            return;
        }
        if self.frame.data.len() + packet.payload.len() > MAX_FRAME {
            self.frame = Frame::default();
            self.oversize += 1;
            return;
        }
        self.frame.key |= starts_decoding(codec, packet.payload);
        self.frame.packets.push(Span { start: self.frame.data.len() as u32, len: packet.payload.len() as u32 });
        self.frame.data.extend_from_slice(packet.payload);
        if packet.marker || codec.kind() == crate::media::codec::Kind::Audio {
            self.finish(&mut done);
        }
    }

    fn finish(&mut self, done: &mut impl FnMut(Frame)) {
        let frame = std::mem::take(&mut self.frame);
        self.hint = frame.data.len();
        if !frame.packets.is_empty() {
            done(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const H264: Codec = Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f] };
    const H265: Codec = Codec::H265 { profile_id: 1, tier_flag: 0, level_id: 93 };

    fn packet(marker: bool, ts: u32, payload: &[u8]) -> Vec<u8> {
        let mut p = vec![0x80, 96 | if marker { 0x80 } else { 0 }, 0, 1];
        p.extend_from_slice(&ts.to_be_bytes());
        p.extend_from_slice(&[0; 4]);
        p.extend_from_slice(payload);
        p
    }

    #[test]
    fn header_extension_csrc_and_padding_are_skipped() {
        let mut p = packet(true, 7, &[]);
        p[0] = 0x80 | 0x20 | 0x10 | 1;
        p.extend_from_slice(&[1, 2, 3, 4]); // CSRC
        p.extend_from_slice(&[0xbe, 0xde, 0, 1, 9, 9, 9, 9]); // extension
        p.extend_from_slice(&[0x65, 0x11, 0, 2]); // payload and two bytes of padding
        let got = parse(&p).unwrap();
        assert_eq!(got, Packet { marker: true, timestamp: 7, payload: &[0x65, 0x11] });
    }

    #[test]
    fn what_is_no_rtp_is_refused() {
        for bad in [&[][..], &[0x80; 11], &[0x40; 20], &[0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert!(parse(bad).is_none(), "{bad:x?}");
        }
        let mut padded = packet(false, 0, &[1]);
        padded[0] |= 0x20;
        *padded.last_mut().unwrap() = 200;
        assert!(parse(&padded).is_none());
    }

    #[test]
    fn h264_key_frames() {
        assert!(starts_decoding(&H264, &[0x65]));
        assert!(starts_decoding(&H264, &[0x67, 1, 2]));
        assert!(!starts_decoding(&H264, &[0x41]));
        assert!(!starts_decoding(&H264, &[0x06]));
        assert!(starts_decoding(&H264, &[0x7c, 0x85]), "FU-A start of an IDR");
        assert!(!starts_decoding(&H264, &[0x7c, 0x05]), "FU-A middle");
        assert!(!starts_decoding(&H264, &[0x7c, 0x81]), "FU-A start of a delta");
        assert!(starts_decoding(&H264, &[0x78, 0, 1, 0x06, 0, 2, 0x67, 1]), "STAP-A with an SPS");
        assert!(!starts_decoding(&H264, &[0x78, 0, 9, 0x06]));
    }

    #[test]
    fn h265_key_frames() {
        assert!(starts_decoding(&H265, &[19 << 1, 1]));
        assert!(starts_decoding(&H265, &[32 << 1, 1]));
        assert!(!starts_decoding(&H265, &[1 << 1, 1]));
        assert!(starts_decoding(&H265, &[49 << 1, 1, 0x80 | 20]));
        assert!(!starts_decoding(&H265, &[49 << 1, 1, 20]));
        assert!(starts_decoding(&H265, &[48 << 1, 1, 0, 1, 33 << 1]));
    }

    fn assemble(codec: &Codec, packets: &[(bool, u32, &[u8])]) -> Vec<Frame> {
        let (mut a, mut out) = (Assembler::default(), Vec::new());
        for (m, ts, p) in packets {
            a.push(codec, Packet { marker: *m, timestamp: *ts, payload: p }, u64::from(*ts), |f| out.push(f));
        }
        out
    }

    #[test]
    fn a_frame_ends_with_its_marker() {
        let f = assemble(&H264, &[(false, 1, &[0x67, 0]), (true, 1, &[0x65]), (true, 2, &[0x41])]);
        assert_eq!(f.len(), 2);
        assert_eq!((f[0].key, f[0].packets.len(), f[0].data.as_slice()), (true, 2, &[0x67, 0, 0x65][..]));
        assert_eq!((f[1].key, f[1].timestamp), (false, 2));
    }

    #[test]
    fn a_lost_marker_ends_the_frame_with_the_next_timestamp() {
        let f = assemble(&H264, &[(false, 1, &[0x65]), (true, 2, &[0x41])]);
        assert_eq!(f.iter().map(|f| f.timestamp).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn audio_is_a_frame_per_packet() {
        assert_eq!(assemble(&Codec::Pcmu, &[(false, 1, &[1, 2]), (false, 161, &[3])]).len(), 2);
    }

    /// Packets of all forms: header extension, CSRCs, padding; single, aggregated, fragmented.
    fn corpus() -> Vec<Vec<u8>> {
        let mut whole = packet(true, 7, &[]);
        whole[0] = 0x80 | 0x20 | 0x10 | 1;
        whole.extend_from_slice(&[1, 2, 3, 4, 0xbe, 0xde, 0, 1, 0x10, 9, 9, 9, 0x65, 0x11, 0, 2]);
        let payloads: [&[u8]; 6] = [
            &[0x65, 1, 2, 3],
            &[0x7c, 0x85, 1, 2],
            &[0x78, 0, 1, 0x06, 0, 2, 0x67, 1],
            &[49 << 1, 1, 0x80 | 20, 5],
            &[48 << 1, 1, 0, 1, 33 << 1, 0, 2, 19 << 1, 1],
            &[0; 160],
        ];
        payloads.iter().map(|p| packet(false, 9, p)).chain([whole]).collect()
    }

    proptest! {
        #![proptest_config(crate::fuzz::cases(2_000))]

        #[test]
        fn fuzz_packets(data in crate::fuzz::mutated(corpus()), codec in prop::sample::select(vec![H264, H265, Codec::Pcmu])) {
            let (mut assembler, mut frames) = (Assembler::default(), Vec::new());
            if let Some(p) = parse(&data) {
                prop_assert!(p.payload.len() + 12 <= data.len());
                let _ = starts_decoding(&codec, p.payload);
                assembler.push(&codec, p, 1, |f| frames.push(f));
                assembler.push(&codec, Packet { marker: true, timestamp: p.timestamp.wrapping_add(1), payload: &[1] }, 2, |f| frames.push(f));
            }
            for f in frames {
                prop_assert_eq!(f.packets.iter().map(|s| s.len as usize).sum::<usize>(), f.data.len());
            }
        }
    }

    proptest! {

        #[test]
        fn frames_keep_every_byte(packets in proptest::collection::vec((any::<bool>(), 0u32..4, proptest::collection::vec(any::<u8>(), 1..20)), 1..40)) {
            let mut packets = packets;
            packets.last_mut().unwrap().0 = true;
            let borrowed: Vec<_> = packets.iter().map(|(m, t, p)| (*m, *t, p.as_slice())).collect();
            let frames = assemble(&H264, &borrowed);
            let sent: Vec<u8> = packets.iter().flat_map(|p| p.2.clone()).collect();
            let got: Vec<u8> = frames.iter().flat_map(|f| f.data.clone()).collect();
            prop_assert_eq!(sent, got);
            for f in frames {
                prop_assert_eq!(f.packets.iter().map(|s| s.len as usize).sum::<usize>(), f.data.len());
            }
        }
    }
}
