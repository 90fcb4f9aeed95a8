//! Vectors of RFC 7714, of RFC 3711 and of libsrtp; what replays and forgers do.

use proptest::prelude::*;

use super::cipher::{Cipher, Position, Trailer};
use super::inbound::guess_for_test as guess;
use super::kdf::{self, Of, Use};
use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

const BOTH: [Profile; 2] = [Profile::AeadAes128Gcm, Profile::Aes128CmSha1_80];

fn master(profile: Profile) -> Master {
    Master::new(profile, &[7; 16], &[9; 14][..profile.salt()]).unwrap()
}

/// RFC 7714 §16 and §17 give session keys.
fn rfc_7714() -> (Cipher, Cipher) {
    let key: [u8; 16] = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
    let cipher = || Cipher::gcm(&key, *b"Quid pro quo").unwrap();
    (cipher(), cipher())
}

#[test]
fn rfc_7714_rtp() {
    let plain = hex(
        "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573",
    );
    let sealed = hex(
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833 899d7f27 beb16a91 52cf765e e4390cce",
    );
    let (rtp, rtcp) = rfc_7714();
    let mut out = Outbound::with(Profile::AeadAes128Gcm, rtp, rtcp, 0);
    let mut buffer = plain.clone();
    buffer.resize(plain.len() + 16, 0);
    assert_eq!(out.protect(&mut buffer, plain.len(), 0xf17b), Ok(sealed.len()));
    assert_eq!(buffer, sealed);
    let (rtp, rtcp) = rfc_7714();
    let mut peer = Inbound::with(Profile::AeadAes128Gcm, rtp, rtcp);
    assert_eq!(peer.unprotect(&mut buffer), Ok((plain.len(), 0xf17b)));
    assert_eq!(buffer[..plain.len()], plain);
}

#[test]
fn rfc_7714_rtcp() {
    let plain =
        hex("81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef");
    let sealed =
        hex("81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b\
         c84aa45896cf4d2fc5abf87245d9eade800005d4");
    let (rtp, rtcp) = rfc_7714();
    let mut out = Outbound::with(Profile::AeadAes128Gcm, rtp, rtcp, 0x5d4);
    let mut buffer = plain.clone();
    buffer.resize(plain.len() + 20, 0);
    assert_eq!(out.protect_rtcp(&mut buffer, plain.len()), Ok(sealed.len()));
    assert_eq!(buffer, sealed);
    let (rtp, rtcp) = rfc_7714();
    let mut peer = Inbound::with(Profile::AeadAes128Gcm, rtp, rtcp);
    assert_eq!(peer.unprotect_rtcp(&mut buffer), Ok(plain.len()));
    assert_eq!(buffer[..plain.len()], plain);
    // §17.3: authenticated only. Sound, and not what DTLS-SRTP allows.
    let mut bare = hex(
        "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef841dd9683dd78ec92ae58790125f62b3000005d4",
    );
    let (rtp, rtcp) = rfc_7714();
    assert_eq!(Inbound::with(Profile::AeadAes128Gcm, rtp, rtcp).unprotect_rtcp(&mut bare), Err(Reject::Malformed));
}

/// RFC 3711 §B.2: what is xored to a body of zeros.
#[test]
fn rfc_3711_keystream() {
    let key: [u8; 16] = hex("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
    let salt: [u8; 14] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
    let mut cipher = Cipher::cm(&key, salt, &[0; 20]).unwrap();
    let (mut body, mut tag) = ([0; 48], [0; 10]);
    cipher.seal(Position { ssrc: 0, index: 0 }, &[], &mut body, &mut tag, &Trailer::Roc([0; 4])).unwrap();
    let stream =
        hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0");
    assert_eq!(body[..], stream);
}

/// RFC 3711 §B.3.
#[test]
fn rfc_3711_key_derivation() {
    let m = Master::new(
        Profile::Aes128CmSha1_80,
        &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        &hex("0EC675AD498AFEEBB6960B3AABE6"),
    )
    .unwrap();
    let (key, salt) = kdf::encryption(&m, Of::Rtp).unwrap();
    assert_eq!(key[..], hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(salt[..], hex("30CBBC08863D8C85D49DB34A9AE1"));
    let auth: [u8; 94] = kdf::derive(&m, Of::Rtp, Use::Authentication).unwrap();
    assert_eq!(auth[..32], hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE"));
}

/// The reference packets of libsrtp's self-test: key derivation and transform together.
#[test]
fn packets_of_libsrtp() {
    let rtp = hex("800f1234decafbadcafebabe abababababababababababababababab");
    let rtcp = hex("81c8000bcafebabe abababababababababababababababab");
    let cases = [
        (
            Profile::Aes128CmSha1_80,
            "e1f97a0d3e018be0d64fa32c06de4139",
            "0ec675ad498afeebb6960b3aabe6",
            "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
            "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798",
        ),
        (
            Profile::AeadAes128Gcm,
            "000102030405060708090a0b0c0d0e0f",
            "a0a1a2a3a4a5a6a7a8a9aaab",
            "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
            "81c8000bcafebabec98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001",
        ),
    ];
    for (profile, key, salt, srtp, srtcp) in cases {
        let m = Master::new(profile, &hex(key), &hex(salt)).unwrap();
        let mut out = Outbound::new(profile, &m).unwrap();
        let mut buffer = rtp.clone();
        buffer.resize(rtp.len() + profile.overhead(), 0);
        out.protect(&mut buffer, rtp.len(), 0x1234).unwrap();
        assert_eq!(buffer, hex(srtp), "{profile:?}");
        // libsrtp begins to count SRTCP with 1.
        let mut first = [0x80, 201, 0, 1, 0, 0, 0, 1].to_vec();
        first.resize(8 + profile.rtcp_overhead(), 0);
        out.protect_rtcp(&mut first, 8).unwrap();
        let mut buffer = rtcp.clone();
        buffer.resize(rtcp.len() + profile.rtcp_overhead(), 0);
        out.protect_rtcp(&mut buffer, rtcp.len()).unwrap();
        assert_eq!(buffer, hex(srtcp), "{profile:?}");
        let mut peer = Inbound::new(profile, &m).unwrap();
        assert_eq!(peer.unprotect_rtcp(&mut buffer), Ok(rtcp.len()));
        assert_eq!(buffer[..rtcp.len()], rtcp);
    }
}

#[test]
fn keying_material_is_taken_apart() {
    for profile in BOTH {
        let all: Vec<u8> = (0..profile.exported() as u8).collect();
        let (client, server) = Master::split(profile, &all).unwrap();
        assert_eq!((client.key[0], server.key[0], client.salt[0]), (0, 16, 32));
        assert_eq!(server.salt[0] as usize, 32 + profile.salt());
        assert!(Master::split(profile, &all[1..]).is_none());
        assert_eq!(format!("{client:?}"), "Master");
    }
}

fn rtp(sequence: u16, body: &[u8], profile: Profile) -> (Vec<u8>, usize) {
    let mut p = vec![0x80, 96];
    p.extend_from_slice(&sequence.to_be_bytes());
    p.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
    p.extend_from_slice(body);
    let length = p.len();
    p.resize(length + profile.overhead(), 0);
    (p, length)
}

#[test]
fn forged_and_replayed_packets_change_nothing() {
    for profile in BOTH {
        let mut out = Outbound::new(profile, &master(profile)).unwrap();
        let mut peer = Inbound::new(profile, &master(profile)).unwrap();
        let (mut p, n) = rtp(1, b"hello", profile);
        out.protect(&mut p, n, 1).unwrap();
        for bit in 0..p.len() * 8 {
            let mut bad = p.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(peer.unprotect(&mut bad), Err(Reject::Forged | Reject::Malformed)), "bit {bit}");
        }
        assert!(peer.unprotect(&mut p.clone()).is_ok());
        assert_eq!(peer.unprotect(&mut p.clone()), Err(Reject::Replayed));
        let mut rtcp = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
        rtcp.resize(8 + profile.rtcp_overhead(), 0);
        out.protect_rtcp(&mut rtcp, 8).unwrap();
        for bit in 0..rtcp.len() * 8 {
            let mut bad = rtcp.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(peer.unprotect_rtcp(&mut bad), Err(Reject::Forged | Reject::Malformed)), "bit {bit}");
        }
        assert_eq!(peer.unprotect_rtcp(&mut rtcp.clone()), Ok(8));
        assert_eq!(peer.unprotect_rtcp(&mut rtcp.clone()), Err(Reject::Replayed));
    }
}

#[test]
fn streams_are_bounded_and_known_ones_go_on() {
    for profile in BOTH {
        let mut out = Outbound::new(profile, &master(profile)).unwrap();
        let mut peer = Inbound::new(profile, &master(profile)).unwrap();
        let mut send = |peer: &mut Inbound, ssrc: u8, sequence: u16| {
            let (mut p, n) = rtp(sequence, &[1], profile);
            p[11] = ssrc;
            out.protect(&mut p, n, u64::from(sequence)).unwrap();
            peer.unprotect(&mut p).map(|_| ())
        };
        for ssrc in 0..16 {
            assert_eq!(send(&mut peer, ssrc, 1), Ok(()));
        }
        assert_eq!(send(&mut peer, 16, 1), Err(Reject::Streams));
        assert_eq!(send(&mut peer, 3, 2), Ok(()));
    }
}

#[test]
fn an_index_has_to_fit_its_packet_and_ends() {
    for profile in BOTH {
        let mut out = Outbound::new(profile, &master(profile)).unwrap();
        let (mut p, n) = rtp(5, &[], profile);
        assert_eq!(out.protect(&mut p, n, 6), Err(Reject::Malformed));
        assert_eq!(out.protect(&mut p, n + 1, 5), Err(Reject::Malformed));
        assert_eq!(out.protect(&mut p, n, (1 << 48) + 5), Err(Reject::Exhausted));
        assert_eq!(out.protect(&mut p, n, (1 << 48) - 65_536 + 5), Ok(n + profile.overhead()));
        let (a, b) =
            (Cipher::new(profile, &master(profile), Of::Rtp), Cipher::new(profile, &master(profile), Of::Rtcp));
        let mut out = Outbound::with(profile, a.unwrap(), b.unwrap(), (1 << 31) - 1);
        let mut rtcp = [0; 40];
        assert!(out.protect_rtcp(&mut rtcp, 8).is_ok());
        assert_eq!(out.protect_rtcp(&mut rtcp, 8), Err(Reject::Exhausted));
    }
}

#[test]
fn the_nearest_index_is_guessed() {
    assert_eq!(guess(None, 65_000), 65_000);
    assert_eq!(guess(Some(65_535), 0), 65_536);
    assert_eq!(guess(Some(65_536), 65_535), 65_535);
    assert_eq!(guess(Some(3), 65_535), 65_535);
    assert_eq!(guess(Some(0x2_0000), 0x8001), 0x1_8001);
}

proptest! {
    /// Any packets in any order within the window: each comes out once, as it went in.
    #[test]
    fn each_packet_once(start in 0u64..0x3_0000, steps in proptest::collection::vec((0u64..60, proptest::collection::vec(any::<u8>(), 0..40)), 1..30),
                        csrcs in 0u8..4, extension in proptest::option::of(0u8..4), gcm in any::<bool>(), shuffle in any::<u64>()) {
        let profile = BOTH[usize::from(!gcm)];
        let mut out = Outbound::new(profile, &master(profile)).unwrap();
        let mut peer = Inbound::new(profile, &master(profile)).unwrap();
        let mut index = start;
        let mut sent = Vec::new();
        // The peer must have seen the beginning: it cannot know how often the number rolled over.
        let first = start & 0xffff;
        for (i, (gap, body)) in steps.iter().enumerate() {
            let at = if i == 0 { first } else { index - start + first };
            let mut p = vec![0x80 | csrcs | if extension.is_some() { 0x10 } else { 0 }, 96];
            p.extend_from_slice(&(at as u16).to_be_bytes());
            p.extend_from_slice(&[1; 8]);
            p.resize(p.len() + 4 * usize::from(csrcs), 3);
            if let Some(words) = extension {
                p.extend_from_slice(&[0xbe, 0xde, 0, words]);
                p.resize(p.len() + 4 * usize::from(words), 4);
            }
            p.extend_from_slice(body);
            let plain = p.clone();
            p.resize(p.len() + profile.overhead(), 0);
            let n = out.protect(&mut p, plain.len(), at).unwrap();
            prop_assert_eq!(n, p.len());
            sent.push((plain, p, at));
            index += 1 + gap % 4;
        }
        let (head, tail) = sent.split_at_mut(1);
        // At most 120 indices lie between any two of them.
        let n = tail.len();
        for i in (1..n).rev() { tail.swap(i, (shuffle.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(i as u64) % (i as u64 + 1)) as usize); }
        for (plain, sealed, at) in head.iter().chain(tail.iter()) {
            let mut p = sealed.clone();
            prop_assert_eq!(peer.unprotect(&mut p), Ok((plain.len(), *at)));
            prop_assert_eq!(&p[..plain.len()], &plain[..]);
            prop_assert_eq!(peer.unprotect(&mut sealed.clone()), Err(Reject::Replayed));
        }
    }

    #[test]
    fn rubbish_never_panics(mut data in proptest::collection::vec(any::<u8>(), 0..100), gcm in any::<bool>(), length in 0usize..120, index in any::<u64>()) {
        let profile = BOTH[usize::from(!gcm)];
        let mut peer = Inbound::new(profile, &master(profile)).unwrap();
        let mut out = Outbound::new(profile, &master(profile)).unwrap();
        if let Some(b) = data.first_mut() { *b = 0x80 | (*b & 0x3f); }
        prop_assert!(peer.unprotect(&mut data.clone()).is_err());
        prop_assert!(peer.unprotect_rtcp(&mut data.clone()).is_err());
        let _ = out.protect(&mut data.clone(), length, index);
        let _ = out.protect_rtcp(&mut data, length);
    }

    /// Against a plain list of what was taken.
    #[test]
    fn the_window_is_a_set(list in proptest::collection::vec(0u64..400, 1..200)) {
        let (mut w, mut seen, mut highest) = (Window::default(), std::collections::HashSet::new(), None::<u64>);
        for i in list {
            let wanted = match highest {
                Some(h) if i + 128 <= h => Err(Reject::Old),
                _ if seen.contains(&i) => Err(Reject::Replayed),
                _ => Ok(()),
            };
            prop_assert_eq!(w.check(i), wanted);
            if wanted.is_ok() {
                w.take(i);
                seen.insert(i);
                highest = Some(highest.map_or(i, |h| h.max(i)));
                prop_assert_eq!(w.highest(), highest);
            }
        }
    }
}
