//! OpenSSL's client in memory, with other settings than ours; loss; wrong certificates.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslVerifyMode};
use openssl::x509::{X509, X509NameBuilder};
use proptest::prelude::{prop_assert, proptest};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// Nothing here takes a second but by losing packets; the machine may.
const LIMIT: Duration = Duration::from_secs(60);

/// A client that is none of ours: an RSA certificate, and settings of its own.
struct Client {
    stream: SslStream<Pipe>,
    fingerprint: Fingerprint,
    done: bool,
    error: Option<String>,
}

impl Client {
    fn new(profiles: Option<&str>, with_certificate: bool) -> Client {
        let key = PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_nid(Nid::COMMONNAME, "client").unwrap();
        let name = name.build();
        let mut b = X509::builder().unwrap();
        b.set_subject_name(&name).unwrap();
        b.set_issuer_name(&name).unwrap();
        b.set_not_before(&openssl::asn1::Asn1Time::days_from_now(0).unwrap()).unwrap();
        b.set_not_after(&openssl::asn1::Asn1Time::days_from_now(9).unwrap()).unwrap();
        b.set_pubkey(&key).unwrap();
        b.sign(&key, MessageDigest::sha256()).unwrap();
        let certificate = b.build();
        let bytes = certificate.digest(MessageDigest::sha256()).unwrap().to_vec();
        let mut b = SslContextBuilder::new(SslMethod::dtls_client()).unwrap();
        if with_certificate {
            b.set_private_key(&key).unwrap();
            b.set_certificate(&certificate).unwrap();
        }
        b.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
        if let Some(profiles) = profiles {
            b.set_tlsext_use_srtp(profiles).unwrap();
        }
        let context: SslContext = b.build();
        let mut ssl = Ssl::new(&context).unwrap();
        // A small one, so that its flights come in pieces.
        ssl.set_mtu(256).unwrap();
        ssl.set_connect_state();
        timer::configure(&mut ssl);
        let stream = SslStream::new(ssl, Pipe::default()).unwrap();
        let fingerprint = Fingerprint { algorithm: "sha-256".into(), bytes };
        let mut client = Client { stream, fingerprint, done: false, error: None };
        client.advance();
        client
    }

    fn advance(&mut self) {
        if self.done {
            let _ = self.stream.ssl_read(&mut [0; 100]);
        } else {
            match self.stream.do_handshake() {
                Ok(()) => self.done = true,
                Err(e) if e.code() == ErrorCode::WANT_READ => {}
                Err(e) => self.error = Some(e.to_string()),
            }
        }
    }

    fn left(&self) -> Option<Duration> {
        (!self.done).then(|| timer::left(self.stream.ssl())).flatten()
    }

    fn keys(&self) -> Vec<u8> {
        let mut out = vec![0; 60];
        self.stream.ssl().export_keying_material(&mut out, "EXTRACTOR-dtls_srtp", None).unwrap();
        out
    }
}

/// Runs a handshake over a network that loses so much. What came of it, and the most
/// bytes that one of our datagrams had.
fn shake(server: &mut Dtls, client: &mut Client, loss: f64, seed: u64) -> (Event, usize) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut outcome, mut longest) = (Event::None, 0);
    let end = Instant::now() + LIMIT;
    loop {
        let mut moved = false;
        while let Some(d) = client.stream.get_mut().next() {
            moved = true;
            if !rng.random_bool(loss) {
                match server.handle_packet(&d) {
                    Event::None => {}
                    event => outcome = event,
                }
            }
        }
        while let Some(d) = server.poll_transmit() {
            moved = true;
            longest = longest.max(d.len());
            if !rng.random_bool(loss) {
                client.stream.get_mut().receive(&d);
                client.advance();
            }
        }
        if matches!(outcome, Event::Failed(_)) || client.error.is_some() || (client.done && outcome != Event::None) {
            return (outcome, longest);
        }
        assert!(Instant::now() < end, "no end");
        if moved {
            continue;
        }
        let now = Instant::now();
        let wait = client.left().into_iter().chain(server.poll_timeout(now).map(|at| at - now)).min();
        let wait = wait.expect("somebody waits for something");
        std::thread::sleep(wait + Duration::from_millis(1)); // poll: OpenSSL has a clock of its own
        if client.left() == Some(Duration::ZERO) {
            assert!(timer::expired(client.stream.ssl()));
            client.advance();
        }
        if server.poll_timeout(now).is_some_and(|at| at <= now) {
            match server.handle_timeout() {
                Event::None => {}
                event => outcome = event,
            }
        }
    }
}

fn server(client: &Client) -> Dtls {
    Dtls::new(&Context::new().unwrap(), Side::Server, client.fingerprint.clone()).unwrap()
}

#[test]
fn gcm_is_preferred_and_both_have_the_same_keys() {
    let cases = [
        ("SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM", Profile::AeadAes128Gcm),
        ("SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM", Profile::Aes128CmSha1_80),
    ];
    for (profiles, wanted) in cases {
        let mut client = Client::new(Some(profiles), true);
        let mut dtls = server(&client);
        let (event, longest) = shake(&mut dtls, &mut client, 0.0, 0);
        let Event::Connected(keys) = event else { panic!("{event:?}") };
        assert_eq!(keys.profile, wanted);
        assert!((100..=MTU as usize).contains(&longest), "{longest}");
        let material = &client.keys()[..wanted.exported()];
        assert_eq!(Master::split(wanted, material), Some((keys.theirs, keys.ours)));
        // Nothing is left to do.
        assert_eq!((dtls.poll_timeout(Instant::now()), dtls.poll_transmit()), (None, None));
    }
}

#[test]
fn lost_flights_are_repeated() {
    let runs: Vec<_> = (0..8u64)
        .map(|seed| {
            std::thread::spawn(move || {
                let mut client = Client::new(Some("SRTP_AEAD_AES_128_GCM"), true);
                let mut dtls = server(&client);
                let (event, _) = shake(&mut dtls, &mut client, 0.25, seed);
                assert!(matches!(event, Event::Connected(_)), "{seed}: {event:?}");
            })
        })
        .collect();
    runs.into_iter().for_each(|r| r.join().unwrap());
}

#[test]
fn another_certificate_is_refused_and_told() {
    let mut client = Client::new(Some("SRTP_AEAD_AES_128_GCM"), true);
    for (algorithm, bit) in [("sha-256", 1u8), ("sha-1", 0), ("", 0)] {
        let mut bytes = client.fingerprint.bytes.clone();
        bytes[31] ^= bit;
        let wrong = Fingerprint { algorithm: algorithm.into(), bytes };
        let mut dtls = Dtls::new(&Context::new().unwrap(), Side::Server, wrong).unwrap();
        assert_eq!(shake(&mut dtls, &mut client, 0.0, 0).0, Event::Failed(Failure::Fingerprint));
        assert!(dtls.poll_transmit().is_none() && dtls.handle_packet(&[22; 50]) == Event::None);
        client = Client::new(Some("SRTP_AEAD_AES_128_GCM"), true);
    }
}

#[test]
fn without_a_certificate_or_a_profile_there_is_nothing() {
    let mut client = Client::new(Some("SRTP_AEAD_AES_128_GCM"), false);
    let mut dtls = server(&client);
    assert!(matches!(shake(&mut dtls, &mut client, 0.0, 0).0, Event::Failed(Failure::Protocol(_))));
    for profiles in [None, Some("SRTP_AEAD_AES_256_GCM")] {
        let mut client = Client::new(profiles, true);
        let mut dtls = server(&client);
        assert_eq!(shake(&mut dtls, &mut client, 0.0, 0).0, Event::Failed(Failure::Profile));
    }
}

/// Two of ours, one of them a client.
fn pair() -> (Dtls, Dtls) {
    let (a, b) = (Context::new().unwrap(), Context::new().unwrap());
    let print = |c: &Context| Fingerprint {
        algorithm: "sha-256".into(),
        bytes: c.fingerprint().split(':').map(|x| u8::from_str_radix(x, 16).unwrap()).collect(),
    };
    let mut server = Dtls::new(&a, Side::Server, print(&b)).unwrap();
    let mut client = Dtls::new(&b, Side::Client, print(&a)).unwrap();
    let mut keys = Vec::new();
    while keys.len() < 2 {
        let before = keys.len();
        for turn in 0..2 {
            let (from, to) = if turn == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
            while let Some(d) = from.poll_transmit() {
                match to.handle_packet(&d) {
                    Event::Connected(k) => keys.push(k),
                    event => assert_eq!(event, Event::None),
                }
            }
        }
        assert!(before != keys.len() || client.stage == Stage::Handshake);
    }
    assert_eq!((&keys[0].ours, &keys[0].theirs), (&keys[1].theirs, &keys[1].ours));
    (server, client)
}

#[test]
fn good_bye_is_said_and_heard() {
    let (mut server, mut client) = pair();
    client.close();
    let close = client.poll_transmit().unwrap();
    assert_eq!(server.handle_packet(&close), Event::Closed);
    // It answers in kind, once.
    assert!(server.poll_transmit().is_some());
    server.close();
    assert_eq!((server.poll_transmit(), server.handle_packet(&close)), (None, Event::None));
}

#[test]
fn after_its_memory_is_given_back_too() {
    let (server, mut client) = pair();
    let bye = server.shed().unwrap();
    assert!(bye.close().len() < 60);
    // What is not the peer's good-bye is none.
    client.stream.ssl_write(b"data").unwrap();
    let data = client.poll_transmit().unwrap();
    client.close();
    let close = client.poll_transmit().unwrap();
    assert!(!bye.is_close(&data) && !bye.is_close(&[]) && !bye.is_close(bye.close()));
    for bit in 0..close.len() * 8 {
        let mut forged = close.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(!bye.is_close(&forged), "bit {bit}");
    }
    // Alone, and behind another record.
    assert!(bye.is_close(&close) && bye.is_close(&[data, close].concat()));
    // And the peer understands ours.
    let (server, mut client) = pair();
    let bye = server.shed().unwrap();
    assert_eq!(client.handle_packet(bye.close()), Event::Closed);
}

/// What is left of an association, and what its peer sends then: data, and its good-bye.
static LEFT: LazyLock<(Farewell, Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let (server, mut client) = pair();
    client.stream.ssl_write(b"data").unwrap();
    let data = client.poll_transmit().unwrap();
    client.close();
    (server.shed().unwrap(), data, client.poll_transmit().unwrap())
});

/// Datagrams of one record and of two, of the peer and of ours.
fn corpus() -> Vec<Vec<u8>> {
    let (bye, data, close) = &*LEFT;
    vec![close.clone(), data.clone(), [&data[..], close].concat(), [bye.close(), close].concat()]
}

proptest! {
    #![proptest_config(crate::fuzz::cases(4_000))]

    /// A good-bye is what the peer wrote, whole, and nothing else.
    #[test]
    fn fuzz_alerts(data in crate::fuzz::mutated(corpus())) {
        let (bye, _, close) = &*LEFT;
        let whole = data.windows(close.len()).any(|w| w == close.as_slice());
        prop_assert!(whole || !bye.is_close(&data));
        prop_assert!(bye.is_close(&[&close[..], &data].concat()));
    }
}

#[test]
fn nothing_is_given_back_during_the_handshake() {
    let client = Client::new(None, true);
    assert!(server(&client).shed().is_err());
}

#[test]
fn a_last_flight_that_was_lost_is_repeated_while_it_can_be() {
    let mut client = Client::new(Some("SRTP_AEAD_AES_128_GCM"), true);
    let mut dtls = server(&client);
    // All goes well until the server is done; its last flight is lost.
    let mut last = Vec::new();
    while dtls.stage == Stage::Handshake {
        while let Some(d) = client.stream.get_mut().next() {
            dtls.handle_packet(&d);
        }
        last.clear();
        while let Some(d) = dtls.poll_transmit() {
            last.push(d);
        }
        if dtls.stage == Stage::Handshake {
            last.iter().for_each(|d| client.stream.get_mut().receive(d));
            client.advance();
        }
    }
    assert!(!client.done && !last.is_empty());
    let (_, _) = (client.left(), &last);
    let (event, _) = {
        // Only the client's timer can help now.
        let wait = client.left().unwrap() + Duration::from_millis(1);
        std::thread::sleep(wait); // poll: until the flight is repeated
        assert!(timer::expired(client.stream.ssl()));
        while let Some(d) = client.stream.get_mut().next() {
            assert_eq!(dtls.handle_packet(&d), Event::None);
        }
        while let Some(d) = dtls.poll_transmit() {
            client.stream.get_mut().receive(&d);
            client.advance();
        }
        (client.done, 0)
    };
    assert!(event);
}

#[test]
fn rubbish_does_no_harm() {
    let mut client = Client::new(Some("SRTP_AEAD_AES_128_GCM"), true);
    let mut dtls = server(&client);
    let mut rng = StdRng::seed_from_u64(1);
    for i in 0..500usize {
        let mut rubbish: Vec<u8> = (0..i % 90).map(|_| rng.random()).collect();
        if let Some(b) = rubbish.first_mut() {
            *b = 20 + *b % 4;
        }
        // Nothing that is in no valid record ends a handshake (RFC 6347 §4.1.2.7).
        assert_eq!(dtls.handle_packet(&rubbish), Event::None);
    }
    while dtls.poll_transmit().is_some() {}
    assert!(matches!(shake(&mut dtls, &mut client, 0.0, 0).0, Event::Connected(_)));
    for _ in 0..500 {
        let rubbish: Vec<u8> = (0..60).map(|_| rng.random()).collect();
        assert_eq!(dtls.handle_packet(&rubbish), Event::None);
    }
}
