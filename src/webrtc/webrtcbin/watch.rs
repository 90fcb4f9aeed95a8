//! Turns what webrtcbin's inner elements signal into one state that only moves
//! forward, and counts signs of life.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine as _;
use gst::glib;
use gst::prelude::*;
use gstreamer as gst;
use sha2::Digest;
use tokio::sync::{Notify, watch};

use crate::webrtc::engine::PeerState;
use crate::webrtc::offer::Fingerprint;

/// The handshake is over for us, and the peer is who the offer says.
const VERIFIED: u8 = 1;
/// Our last flight of the handshake was handed to the network.
const FLIGHT_SENT: u8 = 2;

/// Watches one session. Its callbacks run on GStreamer's threads and only set.
#[derive(Debug)]
pub struct Watch {
    state: watch::Sender<PeerState>,
    expected: Vec<Fingerprint>,
    /// [`VERIFIED`] and [`FLIGHT_SENT`].
    handshake: AtomicU8,
    began: Instant,
    /// ms since `began` of the last RTCP packet from the peer.
    heard: AtomicU64,
    /// The peer asked for a key frame.
    pub key_wanted: Notify,
}

impl Watch {
    pub fn new(expected: Vec<Fingerprint>) -> Arc<Self> {
        Arc::new(Watch {
            state: watch::Sender::new(PeerState::Connecting),
            expected,
            handshake: AtomicU8::new(0),
            began: Instant::now(),
            heard: AtomicU64::new(0),
            key_wanted: Notify::new(),
        })
    }

    pub fn state(&self) -> watch::Receiver<PeerState> {
        self.state.subscribe()
    }

    /// Ends it, with the first reason.
    pub fn close(&self, reason: &str) {
        self.state.send_if_modified(|s| {
            let open = !matches!(s, PeerState::Closed(_));
            if open {
                *s = PeerState::Closed(reason.to_owned());
            }
            open
        });
    }

    /// A step of the handshake is done. Connected with the last of them: dtlsenc sends
    /// from a queue of its own, which media would overtake, and a peer that has not got
    /// our Finished yet has no keys for it: the burst of instant start was lost unseen.
    fn done(&self, step: u8) {
        if self.handshake.fetch_or(step, Ordering::AcqRel) | step == VERIFIED | FLIGHT_SENT {
            self.connected();
        }
    }

    fn connected(&self) {
        self.hear();
        self.state.send_if_modified(|s| {
            *s == PeerState::Connecting && {
                *s = PeerState::Connected;
                true
            }
        });
    }

    /// A sign of life.
    pub fn hear(&self) {
        self.heard.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// How long the peer has been silent, ms.
    pub fn silent_ms(&self) -> u64 {
        (self.began.elapsed().as_millis() as u64).saturating_sub(self.heard.load(Ordering::Relaxed))
    }

    /// Follows an element that webrtcbin made inside itself.
    pub fn follow(self: &Arc<Self>, element: &gst::Element, certificate: &str) {
        let factory = element.factory().map(|f| f.name().to_string()).unwrap_or_default();
        match factory.as_str() {
            "dtlsdec" => {
                element.set_property("pem", certificate);
                let watch = self.clone();
                element.connect_notify(Some("connection-state"), move |dec, _| watch.dtls(dec));
            }
            "dtlsenc" => {
                if let Some(pad) = element.static_pad("src") {
                    let watch = self.clone();
                    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                        let data = info.buffer().and_then(|b| b.map_readable().ok());
                        if !data.is_some_and(|data| has_finished(&data)) {
                            return gst::PadProbeReturn::Ok;
                        }
                        watch.done(FLIGHT_SENT);
                        gst::PadProbeReturn::Remove
                    });
                }
            }
            "dtlssrtpdec" => {
                if let Some(pad) = element.static_pad("rtcp_src") {
                    let watch = self.clone();
                    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                        watch.hear();
                        gst::PadProbeReturn::Ok
                    });
                }
            }
            _ => {}
        }
    }

    /// The DTLS connection changed. webrtcbin itself tells neither that the peer
    /// has closed nor (before 1.28.5) that its certificate is not the one offered.
    fn dtls(&self, dec: &gst::Element) {
        let state = dec.property_value("connection-state");
        let nick = glib::EnumValue::from_value(&state).map(|(_, v)| v.nick().to_owned()).unwrap_or_default();
        match nick.as_str() {
            "connected" => {
                let pem = dec.property::<Option<String>>("peer-pem").unwrap_or_default();
                if self.expected.iter().all(|f| matches(f, &pem)) {
                    self.done(VERIFIED);
                } else {
                    self.close("the peer's DTLS certificate is not the one of its offer");
                }
            }
            "closed" => self.close("closed by the peer"),
            "failed" => self.close("DTLS failed"),
            _ => {}
        }
    }
}

/// Whether a datagram has a handshake record that is encrypted: the Finished, or what
/// goes with it (RFC 6347 §4.1: type, version, epoch, sequence number, length; DTLS 1.3
/// writes all its encrypted records with the first bits 001, RFC 9147 §4).
fn has_finished(mut datagram: &[u8]) -> bool {
    while let [kind, _, _, e0, e1, _, _, _, _, _, _, l0, l1, rest @ ..] = datagram {
        if *kind == 22 && (*e0, *e1) != (0, 0) {
            return true;
        }
        if kind >> 5 == 1 {
            return true;
        }
        datagram = rest.get(usize::from(u16::from_be_bytes([*l0, *l1]))..).unwrap_or_default();
    }
    false
}

/// Whether the certificate in `pem` has this fingerprint (RFC 8122 §5).
fn matches(fingerprint: &Fingerprint, pem: &str) -> bool {
    let body: String = pem
        .lines()
        .skip_while(|l| !l.starts_with("-----BEGIN"))
        .skip(1)
        .take_while(|l| !l.starts_with("-----END"))
        .map(str::trim)
        .collect();
    let Ok(der) = base64::engine::general_purpose::STANDARD.decode(body) else { return false };
    if der.is_empty() {
        return false;
    }
    let got = match fingerprint.algorithm.to_ascii_lowercase().as_str() {
        "sha-256" => sha2::Sha256::digest(&der).to_vec(),
        "sha-384" => sha2::Sha384::digest(&der).to_vec(),
        "sha-512" => sha2::Sha512::digest(&der).to_vec(),
        "sha-1" => sha1::Sha1::digest(&der).to_vec(),
        _ => return false,
    };
    got == fingerprint.bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_compared() {
        let der = b"not really a certificate";
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            base64::engine::general_purpose::STANDARD.encode(der)
        );
        let right = Fingerprint { algorithm: "sha-256".into(), bytes: sha2::Sha256::digest(der).to_vec() };
        let wrong = Fingerprint { bytes: vec![0; 32], ..right.clone() };
        assert!(matches(&right, &pem));
        assert!(!matches(&wrong, &pem));
        assert!(!matches(&right, ""));
        assert!(!matches(&Fingerprint { algorithm: "md5".into(), ..right }, &pem));
    }

    fn record(kind: u8, epoch: u8, length: u8) -> Vec<u8> {
        let mut r = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 1, 0, length];
        r.resize(13 + usize::from(length), 7);
        r
    }

    #[test]
    fn the_flight_with_the_finished_is_known() {
        let hello = record(22, 0, 60);
        let last = [record(20, 0, 1), record(22, 1, 48)].concat();
        assert!(!has_finished(&hello) && !has_finished(&record(20, 0, 1)) && !has_finished(&[]));
        assert!(has_finished(&last) && has_finished(&record(22, 1, 48)) && has_finished(&record(0x2e, 0, 20)));
        // Cut short, or a length that lies: nothing is read beyond the end.
        for end in 0..last.len() {
            assert_eq!(has_finished(&last[..end]), end >= 14 + 13, "{end}");
        }
        assert!(!has_finished(&[20, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 22]));
    }

    #[test]
    fn connected_is_who_has_our_finished_and_the_right_certificate() {
        for steps in [[VERIFIED, FLIGHT_SENT], [FLIGHT_SENT, VERIFIED]] {
            let w = Watch::new(Vec::new());
            w.done(steps[0]);
            assert_eq!(*w.state().borrow(), PeerState::Connecting);
            w.done(steps[1]);
            assert_eq!(*w.state().borrow(), PeerState::Connected);
        }
    }

    #[test]
    fn the_state_only_moves_forward_and_keeps_its_first_reason() {
        let w = Watch::new(Vec::new());
        w.close("first");
        w.connected();
        w.close("second");
        assert_eq!(*w.state().borrow(), PeerState::Closed("first".into()));
    }
}
