use super::*;
use proptest::prelude::*;

fn ok(text: &str) -> Candidate {
    Candidate::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn a_chromium_host_candidate() {
    let c = ok("929129244 1 udp 2122194687 192.0.2.2 55343 typ host generation 0 network-id 1");
    assert_eq!(c.foundation, "929129244");
    assert_eq!((c.component, c.protocol, c.priority, c.port), (1, Protocol::Udp, 2122194687, 55343));
    assert_eq!(c.address, Address::Ip("192.0.2.2".parse().unwrap()));
    assert!(c.usable());
    assert_eq!(c.to_string(), "929129244 1 udp 2122194687 192.0.2.2 55343 typ host");
}

#[test]
fn prefixes_case_and_blanks_do_not_matter() {
    for text in
        ["a=candidate:1 1 UDP 1 ::1 2 typ host", "candidate:1 1 udp 1 ::1 2 typ host", "1  1 udp 1 ::1 2 typ host "]
    {
        assert_eq!(ok(text).to_string(), "1 1 udp 1 ::1 2 typ host");
    }
}

#[test]
fn reflexive_and_relayed_ones_keep_what_they_stand_for() {
    let c = ok("1 1 udp 1685987071 203.0.113.9 6000 typ srflx raddr 10.0.0.2 rport 5000 generation 0 ufrag abcd");
    assert_eq!(c.related, Some((Address::Ip("10.0.0.2".parse().unwrap()), 5000)));
    assert_eq!(c.ufrag.as_deref(), Some("abcd"));
    assert_eq!(c.to_string(), "1 1 udp 1685987071 203.0.113.9 6000 typ srflx raddr 10.0.0.2 rport 5000 ufrag abcd");
}

#[test]
fn what_cannot_be_sent_to_parses_and_is_not_usable() {
    for text in [
        "1 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active",
        "1 1 udp 1 4b0b1d0e-2a3f-4c55.local 50000 typ host",
        "1 1 udp 1 fe80::1%eth0 50000 typ host",
        "1 1 udp 1 0.0.0.0 50000 typ host",
        "1 1 udp 1 :: 50000 typ host",
        "1 1 udp 1 224.0.0.1 50000 typ host",
        "1 1 udp 1 255.255.255.255 50000 typ host",
        "1 1 udp 1 192.0.2.1 0 typ host",
        "1 2 udp 1 192.0.2.1 5000 typ host",
        "1 1 sctp 1 192.0.2.1 5000 typ host",
    ] {
        assert!(!ok(text).usable(), "{text}");
    }
    for text in ["1 1 udp 1 127.0.0.1 5000 typ host", "1 1 udp 1 192.0.2.1 5000 typ tomorrow"] {
        assert!(ok(text).usable(), "{text}");
    }
}

#[test]
fn malformed_ones_say_what_is_wrong() {
    for (text, what) in [
        ("", "no foundation"),
        ("1", "no component"),
        ("1 1 udp 1 192.0.2.1", "no port"),
        ("1 1 udp 1 192.0.2.1 5000", "no \"typ\""),
        ("1 1 udp 1 192.0.2.1 5000 typ", "no type"),
        ("1 1 udp 1 192.0.2.1 5000 host x", "\"typ\""),
        ("1 0 udp 1 192.0.2.1 5000 typ host", "component"),
        ("1 257 udp 1 192.0.2.1 5000 typ host", "component"),
        ("1 1 udp -1 192.0.2.1 5000 typ host", "priority"),
        ("1 1 udp 4294967296 192.0.2.1 5000 typ host", "priority"),
        ("1 1 udp 1 192.0.2.1 65536 typ host", "port"),
        ("1 1 udp 1 192.0.2.1 +1 typ host", "port"),
        ("1 1 udp 1 a/b 5000 typ host", "address"),
        ("1 1 u/p 1 192.0.2.1 5000 typ host", "transport"),
        ("1 1 udp 1 192.0.2.1 5000 typ a:b", "type"),
        ("1;2 1 udp 1 192.0.2.1 5000 typ host", "foundation"),
        ("1 1 udp 1 192.0.2.1 5000 typ srflx raddr / rport 1", "raddr"),
        ("1 1 udp 1 192.0.2.1 5000 typ srflx raddr ::1 rport x", "rport"),
        ("1 1 udp 1 192.0.2.1 5000 typ host tcptype a:b", "tcptype"),
        ("1 1 udp 1 192.0.2.1 5000 typ host ufrag a:b", "ufrag"),
        ("1 1 udp 1 192.0.2.1 5000 typ host\r\na=x:y", "ASCII"),
    ] {
        let e = Candidate::parse(text).expect_err(text);
        assert!(e.contains(what), "{text}: {e}");
    }
    assert!(Candidate::parse(&format!("1 1 udp 1 192.0.2.1 5000 typ host x {}", "y".repeat(1024))).is_err());
}

#[test]
fn another_address_is_another_base_and_comes_after_the_real_one() {
    let real = ok("1 1 udp 2122194687 10.0.0.2 5000 typ host");
    let a = real.with_address("203.0.113.9".parse().unwrap());
    let b = real.with_address("2001:db8::9".parse().unwrap());
    assert_eq!((a.port, a.typ.as_str(), a.component), (5000, "host", 1));
    assert_eq!(a, real.with_address("203.0.113.9".parse().unwrap()), "stable");
    assert!(a.foundation != real.foundation && a.foundation != b.foundation);
    assert!(a.priority < real.priority);
    assert_eq!(ok(&a.to_string()), a);
    assert_eq!(ok("1 1 udp 0 10.0.0.2 5000 typ host").with_address("::1".parse().unwrap()).priority, 1);
}

/// Candidates of all forms: hosts, reflexive ones, TCP, names, with extensions.
fn corpus() -> Vec<Vec<u8>> {
    [
        "a=candidate:929129244 1 udp 2122194687 192.0.2.2 55343 typ host generation 0 network-id 1",
        "candidate:1 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active ufrag abcd",
        "1 1 udp 1685987071 203.0.113.9 6000 typ srflx raddr 10.0.0.2 rport 5000 generation 0 ufrag abcd",
        "1 2 UDP 1 2001:db8::1 5003 typ relay raddr :: rport 0",
        "1 1 udp 1 4b0b1d0e-2a3f-4c55.local 50000 typ host",
    ]
    .map(|t| t.as_bytes().to_vec())
    .into()
}

proptest! {
    #![proptest_config(crate::fuzz::cases(2_000))]

    #[test]
    fn fuzz_random_text(text in "\\PC{0,120}") {
        let _ = Candidate::parse(&text);
    }

    #[test]
    fn fuzz_bytes(data in crate::fuzz::mutated(corpus())) {
        if let Ok(c) = Candidate::parse(&String::from_utf8_lossy(&data)) {
            let _ = (c.usable(), c.with_address("203.0.113.9".parse().unwrap()));
            prop_assert_eq!(Candidate::parse(&format!("a=candidate:{c}")), Ok(c));
        }
    }

    #[test]
    fn what_parses_is_written_and_parsed_again(
        words in proptest::collection::vec("[a-z0-9.:+/-]{1,9}", 0..6),
        typ in "host|srflx|relay|[a-z]{1,5}",
        port in any::<u16>(),
    ) {
        let text = format!("1 1 udp 77 192.0.2.7 {port} typ {typ} {}", words.join(" "));
        if let Ok(c) = Candidate::parse(&text) {
            prop_assert_eq!(Candidate::parse(&c.to_string()), Ok(c));
        }
    }
}
