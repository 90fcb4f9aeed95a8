//! RFC 5769's vectors, `stun-types` as the other side, and rubbish.

use std::net::SocketAddr;

use proptest::prelude::*;
use stun_types::attribute::{AttributeType, MessageIntegrity, RawAttribute, Username, XorMappedAddress};
use stun_types::message::{
    BINDING as METHOD, IntegrityAlgorithm, Message as Theirs, MessageIntegrityCredentials, MessageWriteVec,
    ShortTermCredentials,
};
use stun_types::prelude::*;

use super::*;

/// RFC 5769 §2.1: sample request. Password `VOkJxbRl1RmTxUk/WvJxBt`.
const REQUEST: &[u8] = &[
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf,
    0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c, 0x69, 0x65,
    0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51,
    0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20,
    0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2,
    0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
];

/// RFC 5769 §2.2: sample response over IPv4, same password.
const RESPONSE: &[u8] = &[
    0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf,
    0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20,
    0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43, 0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd,
    0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04,
    0xc0, 0x7d, 0x4c, 0x96,
];

/// RFC 5769 §2.3: sample response over IPv6, same password.
const RESPONSE_V6: &[u8] = &[
    0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf,
    0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20,
    0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe,
    0xd2, 0xb9, 0xd9, 0x00, 0x08, 0x00, 0x14, 0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6, 0x7b, 0xf1, 0x17, 0x84, 0xc9, 0x7c,
    0x82, 0x92, 0xc2, 0x75, 0xbf, 0xe3, 0xed, 0x41, 0x80, 0x28, 0x00, 0x04, 0xc8, 0xfb, 0x0b, 0x4c,
];

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

#[test]
fn rfc_5769_request() {
    let m = Message::parse(REQUEST).unwrap();
    assert_eq!((m.class, m.method), (Class::Request, BINDING));
    assert_eq!(m.ufrags(), Some(("evtj", "h6vY")));
    assert_eq!(m.priority, Some(0x6e00_01ff));
    assert_eq!(m.role, Some((Role::Controlled, 0x932f_f9b1_5126_3b36)));
    assert!(!m.use_candidate && m.unknown().is_empty());
    assert!(m.authentic(&Key::new(PASSWORD)));
    assert!(!m.authentic(&Key::new("VOkJxbRl1RmTxUk/WvJxBT")));
}

#[test]
fn rfc_5769_responses() {
    let key = Key::new(PASSWORD);
    for (raw, mapped) in [(RESPONSE, "192.0.2.1:32853"), (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let m = Message::parse(raw).unwrap();
        assert_eq!(m.class, Class::Success);
        assert_eq!(m.mapped, Some(mapped.parse::<SocketAddr>().unwrap()));
        assert!(m.authentic(&key));
    }
}

#[test]
fn a_flipped_bit_is_noticed() {
    let key = Key::new(PASSWORD);
    for raw in [REQUEST, RESPONSE, RESPONSE_V6] {
        for bit in 0..raw.len() * 8 {
            let mut bad = raw.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            // The fingerprint tells of all but its own type.
            assert!(Message::parse(&bad).is_none_or(|m| !m.authentic(&key) || bit / 8 >= raw.len() - 8), "bit {bit}");
        }
    }
}

#[test]
fn without_fingerprint_only_the_password_helps() {
    let key = Key::new(PASSWORD);
    let mut raw = REQUEST[..REQUEST.len() - 8].to_vec();
    raw[3] -= 8;
    assert!(Message::parse(&raw).unwrap().authentic(&key));
    for bit in 0..raw.len() * 8 {
        let mut bad = raw.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(Message::parse(&bad).is_none_or(|m| !m.authentic(&key)), "bit {bit}");
    }
}

#[test]
fn cut_short_it_is_nothing() {
    for n in 0..REQUEST.len() {
        assert!(Message::parse(&REQUEST[..n]).is_none(), "{n}");
    }
    let mut longer = REQUEST.to_vec();
    longer.extend_from_slice(&[0; 4]);
    assert!(Message::parse(&longer).is_none());
}

#[test]
fn nothing_counts_after_the_integrity() {
    let key = Key::new("pw");
    let raw = Writer::new(Class::Request, &[7; 12]).username("a", "b").finish(Some(&key));
    // Without its fingerprint, and with USE-CANDIDATE behind.
    let mut forged = raw[..raw.len() - 8].to_vec();
    forged.extend_from_slice(&[0, 0x25, 0, 0]);
    let length = (forged.len() - HEADER) as u16;
    forged[2..4].copy_from_slice(&length.to_be_bytes());
    let m = Message::parse(&forged).unwrap();
    assert!(m.authentic(&key) && !m.use_candidate);
}

#[test]
fn of_two_the_first_counts() {
    let raw = Writer::new(Class::Request, &[7; 12])
        .priority(1)
        .priority(2)
        .username("a", "b")
        .username("c", "d")
        .finish(None);
    let m = Message::parse(&raw).unwrap();
    assert_eq!((m.priority, m.ufrags()), (Some(1), Some(("a", "b"))));
    assert!(!m.authentic(&Key::new("")));
}

#[test]
fn what_has_to_be_understood_is_listed_and_bounded() {
    let kinds: Vec<u16> = (0x7000..0x7020).collect();
    let w = kinds.iter().fold(Writer::new(Class::Request, &[0; 12]), |w, k| w.attribute(*k, &[1]));
    let raw = w.attribute(0xc057, &[0; 4]).finish(None);
    assert_eq!(Message::parse(&raw).unwrap().unknown(), &kinds[..8]);
}

#[test]
fn errors_come_over() {
    let key = Key::new("pw");
    let raw = Writer::new(Class::Error, &[3; 12]).error(487, "Role Conflict").unknown(&[1, 2]).finish(Some(&key));
    let m = Message::parse(&raw).unwrap();
    assert_eq!((m.class, m.error), (Class::Error, Some(487)));
    assert!(m.authentic(&key));
    for code in [0, 299, 700] {
        assert!(Message::parse(&Writer::new(Class::Error, &[3; 12]).error(code, "").finish(None)).is_none());
    }
}

fn credentials(password: &str) -> MessageIntegrityCredentials {
    ShortTermCredentials::new(password.into()).into()
}

prop_compose! {
    fn any_address()(v6 in any::<bool>(), ip in any::<u128>(), port in any::<u16>()) -> SocketAddr {
        let ip = if v6 {
            let ip = std::net::Ipv6Addr::from_bits(ip);
            if ip.to_ipv4_mapped().is_some() { std::net::Ipv6Addr::LOCALHOST.into() } else { ip.into() }
        } else {
            std::net::Ipv4Addr::from_bits(ip as u32).into()
        };
        SocketAddr::new(ip, port)
    }
}

proptest! {
    #[test]
    fn rubbish_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::parse(&data);
    }

    /// A sound header in front, so that the attributes are reached.
    #[test]
    fn rubbish_attributes_never_panic(kind in 0u16..0x4000, words in proptest::collection::vec(any::<[u8; 4]>(), 0..40)) {
        let body: Vec<u8> = words.concat();
        let mut raw = kind.to_be_bytes().to_vec();
        raw.extend_from_slice(&(body.len() as u16).to_be_bytes());
        raw.extend_from_slice(&COOKIE.to_be_bytes());
        raw.extend_from_slice(&[9; 12]);
        raw.extend_from_slice(&body);
        if let Some(m) = Message::parse(&raw) {
            let _ = (m.ufrags(), m.unknown(), m.authentic(&Key::new("x")));
        }
    }

    /// Attributes of every known type with values of every length.
    #[test]
    fn odd_values_never_panic(list in proptest::collection::vec((0usize..16, proptest::collection::vec(any::<u8>(), 0..24)), 0..6)) {
        const KINDS: [u16; 16] = [attr::USERNAME, attr::INTEGRITY, attr::ERROR_CODE, attr::UNKNOWN, attr::REALM, attr::NONCE,
            attr::INTEGRITY_SHA256, attr::USERHASH, attr::MAPPED, attr::XOR_MAPPED, attr::PRIORITY, attr::USE_CANDIDATE,
            attr::FINGERPRINT, attr::CONTROLLED, attr::CONTROLLING, 0x7fff];
        let w = list.iter().fold(Writer::new(Class::Request, &[0; 12]), |w, (k, v)| w.attribute(KINDS[*k], v));
        let raw = w.finish(None);
        if let Some(m) = Message::parse(&raw) {
            let _ = (m.ufrags(), m.unknown(), m.authentic(&Key::new("x")));
        }
    }

    /// What we write, `stun-types` reads and verifies.
    #[test]
    fn they_read_ours(id in any::<[u8; 12]>(), priority in any::<u32>(), tie in any::<u64>(), mapped in any_address(),
                      to in "[a-zA-Z0-9+/]{4,32}", from in "[a-zA-Z0-9+/]{4,32}", password in "[a-zA-Z0-9+/]{22,40}") {
        let raw = Writer::new(Class::Request, &id)
            .username(&to, &from).priority(priority).role(Role::Controlling, tie).use_candidate().mapped(mapped)
            .finish(Some(&Key::new(&password)));
        let theirs = Theirs::from_bytes(&raw).unwrap();
        prop_assert_eq!(theirs.validate_integrity(&credentials(&password)).unwrap(), IntegrityAlgorithm::Sha1);
        prop_assert!(theirs.validate_integrity(&credentials("another password here")).is_err());
        let name = format!("{}:{}", to, from);
        let username = theirs.attribute::<Username>().unwrap();
        prop_assert_eq!(username.username(), name.as_str());
        prop_assert_eq!(&theirs.raw_attribute(AttributeType::new(0x24)).unwrap().value[..], &priority.to_be_bytes()[..]);
        prop_assert!(theirs.raw_attribute(AttributeType::new(0x25)).unwrap().value.is_empty());
        prop_assert!(theirs.attribute::<MessageIntegrity>().is_ok());
        prop_assert_eq!(theirs.attribute::<XorMappedAddress>().unwrap().addr(theirs.transaction_id()), mapped);
        // And so do we.
        let ours = Message::parse(&raw).unwrap();
        prop_assert!(ours.authentic(&Key::new(&password)) && ours.use_candidate && ours.binding());
        prop_assert_eq!((ours.id, ours.priority, ours.role, ours.mapped), (id, Some(priority), Some((Role::Controlling, tie)), Some(mapped)));
        prop_assert_eq!(ours.ufrags(), Some((to.as_str(), from.as_str())));
    }

    /// And the other way round.
    #[test]
    fn we_read_theirs(priority in any::<u32>(), name in "[a-z]{4}:[a-z]{4}", password in "[a-zA-Z0-9+/]{22,40}") {
        let mut b = Theirs::builder_request(METHOD, MessageWriteVec::new());
        b.add_attribute(&Username::new(&name).unwrap()).unwrap();
        let priority_bytes = priority.to_be_bytes();
        b.add_attribute(&RawAttribute::new(AttributeType::new(0x24), &priority_bytes)).unwrap();
        b.add_message_integrity(&credentials(&password), IntegrityAlgorithm::Sha1).unwrap();
        b.add_fingerprint().unwrap();
        let raw = b.finish();
        let m = Message::parse(&raw).unwrap();
        prop_assert!(m.authentic(&Key::new(&password)));
        prop_assert_eq!((m.priority, m.ufrags()), (Some(priority), name.split_once(':')));
    }
}
