//! What is sent to a viewer, from what was negotiated with it.

use super::super::control::RingId;
use super::super::outgoing::Identity;
use super::super::session::Stream;
use crate::media::codec::Kind;
use crate::webrtc::answer::StreamIds;
use crate::webrtc::negotiate::{Plan, SendSection};

/// A stream for each section that is sent, in the plan's order, with what the answer has
/// to say of it. `ring` tells where the frames of a kind are.
pub fn streams(plan: &Plan, ring: impl Fn(Kind) -> RingId) -> (Vec<Stream>, Vec<StreamIds>) {
    let mut taken = Vec::new();
    let sends = plan.sends().map(|(_, send)| {
        let ids = StreamIds { ssrc: ssrc(&mut taken), rtx_ssrc: send.rtx_pt.map(|_| ssrc(&mut taken)) };
        let rtx = ids.rtx_ssrc.zip(send.rtx_pt).map(|(ssrc, payload_type)| Identity { ssrc, payload_type });
        let stream = Stream {
            ring: ring(send.kind),
            media: Identity { ssrc: ids.ssrc, payload_type: send.pt },
            rtx,
            extension: extension(send),
            rate: send.rtpmap.split('/').nth(1).and_then(|r| r.parse().ok()).unwrap_or(90_000),
            replay: send.kind == Kind::Video,
            // In the lower half, so that no roll-over can be missed by a receiver that
            // loses the first packets (RFC 3711 §3.3.1).
            start: (rand::random::<u16>() >> 1, rand::random::<u16>() >> 1, rand::random()),
        };
        (stream, ids)
    });
    sends.unzip()
}

/// One that this session does not have yet.
fn ssrc(taken: &mut Vec<u32>) -> u32 {
    loop {
        let ssrc = rand::random();
        if ssrc != 0 && !taken.contains(&ssrc) {
            taken.push(ssrc);
            return ssrc;
        }
    }
}

/// The header extension of every packet (RFC 8285 §4.2): the mid, and that pictures are
/// to be shown at once. Nothing where neither was negotiated.
fn extension(send: &SendSection) -> Vec<u8> {
    let mut elements: Vec<u8> = Vec::new();
    let mut put = |id: u8, data: &[u8]| {
        elements.push((id << 4) | (data.len() as u8 - 1));
        elements.extend_from_slice(data);
    };
    if let Some(id) = send.mid_ext.filter(|_| !send.mid.is_empty()) {
        put(id, send.mid.as_bytes());
    }
    if let Some(id) = send.playout_delay_ext {
        // Least and most, 12 bits each, in units of 10 ms.
        put(id, &[0, 0, 0]);
    }
    if elements.is_empty() {
        return elements;
    }
    elements.resize(elements.len().next_multiple_of(4), 0);
    let words = (elements.len() / 4) as u16;
    [&[0xbe, 0xde], &words.to_be_bytes()[..], &elements].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::{Codec, Track};
    use crate::webrtc::negotiate::negotiate;
    use crate::webrtc::offer::{self, fixtures::captured};

    fn track(codec: Codec) -> Track {
        Track { codec, width: None, height: None, fps: None }
    }

    #[test]
    fn every_section_has_a_stream_of_its_own_numbers() {
        let offer = offer::parse(captured("chromium-whep")).unwrap();
        let tracks = [track(Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f] }), track(Codec::Opus { channels: 2 })];
        let plan = negotiate(&offer, &tracks).unwrap();
        let ring = |kind| if kind == Kind::Video { 7 } else { 8 };
        let (got, ids) = streams(&plan, ring);
        let kinds: Vec<_> = plan.sends().map(|(_, s)| s.kind).collect();
        assert_eq!((got.len(), ids.len()), (2, 2));
        for ((kind, s), ids) in kinds.iter().zip(&got).zip(&ids) {
            let video = *kind == Kind::Video;
            assert_eq!((s.ring, s.rate, s.replay), if video { (7, 90_000, true) } else { (8, 48_000, false) });
            assert_eq!((s.media.ssrc, s.rtx.map(|r| r.ssrc)), (ids.ssrc, ids.rtx_ssrc));
            assert_eq!(s.rtx.is_some(), video);
            assert!(s.extension.starts_with(&[0xbe, 0xde]) && s.extension.len() <= 32 && s.extension.len() % 4 == 0);
        }
        let all: std::collections::HashSet<u32> =
            ids.iter().flat_map(|i| [Some(i.ssrc), i.rtx_ssrc]).flatten().collect();
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn extensions_are_one_byte_elements_filled_up_to_words() {
        let offer = offer::parse(captured("chromium-whep")).unwrap();
        let plan = negotiate(&offer, &[track(Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f] })]).unwrap();
        let send = plan.sends().next().unwrap().1.clone();
        let with = |mid: &str, mid_ext, playout_delay_ext| {
            extension(&SendSection { mid: mid.into(), mid_ext, playout_delay_ext, ..send.clone() })
        };
        assert!(with("0", None, None).is_empty() && with("", Some(1), None).is_empty());
        assert_eq!(with("0", Some(9), None), [0xbe, 0xde, 0, 1, 0x90, b'0', 0, 0]);
        assert_eq!(with("0", Some(9), Some(5)), [0xbe, 0xde, 0, 2, 0x90, b'0', 0x52, 0, 0, 0, 0, 0]);
        assert_eq!(with("video", None, Some(14)), [0xbe, 0xde, 0, 1, 0xe2, 0, 0, 0]);
        let long = with(&"m".repeat(16), Some(1), Some(2));
        assert_eq!((long.len(), long[4]), (4 + 24, 0x1f));
    }
}
