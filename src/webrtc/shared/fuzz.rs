//! Fuzz targets of all that reads from the port: see [`crate::fuzz`]. Captured packets of
//! Chromium and packets of our own, changed.

use proptest::prelude::*;

use super::rtcp::{self, Packet, Report, SenderInfo, Writer, transport_feedback};
use super::srtp::{Inbound, Master, Outbound, Profile};
use super::stun::{Class, Key, Message, Role, Writer as Stun};
use super::{demux, framing};
use crate::fuzz::{cases, mutated};

macro_rules! captured {
    ($($name:literal),*) => { vec![$(hex(include_str!(concat!("../../../tests/fixtures/packets/", $name, ".hex")))),*] };
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

/// A browser's checks, its response and its handshake.
fn chromium() -> Vec<Vec<u8>> {
    captured!["chromium-check", "chromium-check-2", "chromium-response", "chromium-hello", "chromium-flight"]
}

/// Messages with every attribute that we know.
fn messages() -> Vec<Vec<u8>> {
    let key = Key::new("a password of twenty-two");
    let whole = |class| {
        Stun::new(class, &[7; 12])
            .username("here", "there")
            .priority(1)
            .role(Role::Controlling, 2)
            .use_candidate()
            .mapped("[2001:db8::1]:5000".parse().unwrap())
            .error(487, "Role Conflict")
            .unknown(&[1, 2])
            .finish(Some(&key))
    };
    chromium().into_iter().chain([whole(Class::Request), whole(Class::Error)]).collect()
}

/// Compounds with every packet that we know.
fn compounds() -> Vec<Vec<u8>> {
    let written = |f: &dyn Fn(&mut Writer<'_>)| {
        let mut out = Vec::new();
        f(&mut Writer::new(&mut out));
        out
    };
    let (info, report) = (SenderInfo { ntp: 1 << 40, rtp: 2, packets: 3, bytes: 4 }, Report::default());
    let mut feedback = Vec::new();
    transport_feedback(&mut feedback, (1, 2), (3, 4), 65_530, &[Some(0), None, Some(-5), Some(300), None, Some(1)]);
    vec![
        written(&|w| _ = w.sender_report(7, info, &[report; 3]).cname(7, "camgate").bye(&[7, 9])),
        written(&|w| _ = w.receiver_report(7, &[report; 2]).pli(7, 8).fir(7, &[(8, 1), (9, 2)])),
        written(&|w| _ = w.nack(1, 2, &[0, 1, 2, 11, 16, 400, 65_535]).remb(1, 522_022, &[2, 3])),
        feedback,
    ]
}

/// Walks through all that a packet has, and says how much that was.
fn walked(packet: Packet<'_>) -> usize {
    match packet {
        Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => reports.count(),
        Packet::Bye(words) | Packet::Remb { streams: words, .. } => words.count(),
        Packet::Nack { lost, .. } => lost.count(),
        Packet::Fir(streams) => streams.count(),
        Packet::Transport(feedback) => feedback.arrivals().count(),
        Packet::Description | Packet::Pli { .. } | Packet::Other { .. } => 0,
    }
}

const PROFILES: [Profile; 2] = [Profile::AeadAes128Gcm, Profile::Aes128CmSha1_80];

fn master(profile: Profile) -> Master {
    let exported = vec![7; profile.exported()];
    Master::split(profile, &exported).unwrap().0
}

/// Packets as a viewer sends them, sealed: SRTCP of every compound, and SRTP.
fn sealed(profile: Profile) -> Vec<Vec<u8>> {
    let mut out = Outbound::new(profile, &master(profile)).unwrap();
    let mut all = Vec::new();
    for compound in compounds() {
        let (mut packet, length) = (compound.clone(), compound.len());
        packet.resize(length + profile.rtcp_overhead(), 0);
        let length = out.protect_rtcp(&mut packet, length).unwrap();
        packet.truncate(length);
        all.push(packet);
    }
    for sequence in [1u16, 2, 300] {
        let mut packet = [
            &[0x90, 96][..],
            &sequence.to_be_bytes(),
            &[0; 4],
            &[0, 0, 0, 7],
            &[0xbe, 0xde, 0, 1, 0x10, 1, 0, 0],
            &[5; 60],
        ]
        .concat();
        let length = packet.len();
        packet.resize(length + profile.overhead(), 0);
        let length = out.protect(&mut packet, length, sequence.into()).unwrap();
        packet.truncate(length);
        all.push(packet);
    }
    all
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn fuzz_stun(data in mutated(messages())) {
        let _ = demux::classify(&data);
        if let Some(message) = Message::parse(&data) {
            prop_assert!(!message.authentic(&Key::new("another password of twenty-two")));
            prop_assert!(message.unknown().len() <= 8);
            prop_assert!(message.error.is_none_or(|e| (300..700).contains(&e)));
            let _ = (message.ufrags(), message.binding());
            // Authentic is only what was written with the key, as far as the key reaches.
            if message.authentic(&Key::new("a password of twenty-two")) {
                prop_assert_eq!(message.ufrags(), Some(("here", "there")));
            }
        }
    }

    #[test]
    fn fuzz_rtcp(data in mutated(compounds())) {
        if let Some(all) = rtcp::read(&data) {
            // Nothing is told of more than there are bytes for: a NACK names 17 in four,
            // a run of transport feedback 8,191 in two.
            let packets: Vec<_> = all.collect();
            prop_assert!(packets.len() <= data.len() / 4);
            for packet in packets {
                prop_assert!(walked(packet) <= data.len() * 4_096);
            }
        }
    }

    /// What verifies is what was sent, and nothing else, whoever changed it.
    #[test]
    fn fuzz_srtp((profile, data) in prop::sample::select(&PROFILES[..]).prop_flat_map(|p| (Just(p), mutated(sealed(p))))) {
        let (original, mut rtp, mut rtcp) = (sealed(profile).contains(&data), data.clone(), data.clone());
        let mut peer = Inbound::new(profile, &master(profile)).unwrap();
        let is_rtcp = data.get(1).is_some_and(|kind| (192..224).contains(kind));
        let taken = if is_rtcp { peer.unprotect_rtcp(&mut rtcp).is_ok() } else { peer.unprotect(&mut rtp).is_ok() };
        prop_assert_eq!(taken, original);
        // And it is taken once.
        let mut again = data;
        let again = if is_rtcp { peer.unprotect_rtcp(&mut again).is_ok() } else { peer.unprotect(&mut again).is_ok() };
        prop_assert!(!again);
    }

    /// A stream over TCP, cut anywhere.
    #[test]
    fn fuzz_frames(data in mutated(vec![stream()]), cuts in prop::collection::vec(1usize..400, 1..20)) {
        let (mut deframer, mut rest, mut cuts) = (framing::Deframer::default(), data.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            let mut frames = Vec::new();
            if deframer.push(part, |f| frames.push(f.len())).is_err() {
                break;
            }
            prop_assert!(frames.iter().all(|f| (1..=framing::LONGEST).contains(f)));
            prop_assert!(deframer.held() < framing::LONGEST + 2);
            rest = behind;
        }
    }
}

/// Chromium's packets as they would come over TCP.
fn stream() -> Vec<u8> {
    let mut out = Vec::new();
    for packet in chromium() {
        assert!(framing::frame(&packet, &mut out));
    }
    out
}
