//! DTLS 1.2 (RFC 6347) with SRTP keys (RFC 5764), by OpenSSL over memory: datagrams go in
//! and out, no socket, no thread, no clock but OpenSSL's own.
//!
//! One [`Context`] with one certificate serves all sessions: a context of one's own would
//! cost 18 KB per viewer. A [`Dtls`] itself holds about 78 KB, which is given back by
//! [`Dtls::shed`] as soon as the peer is known to be done.
//!
//! Whoever feeds this must first have verified by ICE that the datagrams come from the
//! peer's address: there is no cookie exchange (RFC 6347 §4.2.1), which would cost a round
//! trip, so that a ClientHello of a stranger would be answered with a flight ten times as
//! long.

mod alert;
mod context;
mod pipe;
mod timer;

use std::time::{Duration, Instant};

use openssl::hash::{MessageDigest, hash};
use openssl::ssl::{ErrorCode, ShutdownState, Ssl, SslStream};

use super::srtp::{Master, Profile};
use pipe::Pipe;

pub use alert::Farewell;
pub use context::Context;

/// The longest datagram that is sent: what crosses every IPv6 link (1,280) with IP and
/// UDP headers before it, and TURN's, is not too much.
pub const MTU: u32 = 1_200;

/// Which side opens the handshake (`a=setup`, RFC 5763 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `active`.
    Client,
    /// `passive`: what we answer to browsers.
    Server,
}

/// What the peer's certificate has to be, from its SDP (RFC 8122 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// `sha-256`, `sha-384` or `sha-512`.
    pub algorithm: String,
    /// The hash of the certificate (DER).
    pub bytes: Vec<u8>,
}

impl Fingerprint {
    /// Whether a certificate (DER) is the one. Hashes that are broken, or unknown, fit
    /// none.
    fn fits(&self, der: &[u8]) -> bool {
        let digest = match self.algorithm.as_str() {
            "sha-256" => MessageDigest::sha256(),
            "sha-384" => MessageDigest::sha384(),
            "sha-512" => MessageDigest::sha512(),
            _ => return false,
        };
        hash(digest, der).is_ok_and(|h| *h == *self.bytes)
    }
}

/// What a finished handshake has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The transform that was agreed on.
    pub profile: Profile,
    /// What we send with.
    pub ours: Master,
    /// What the peer sends with.
    pub theirs: Master,
}

/// Why a handshake came to nothing, or an association ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The certificate is not the one of the SDP: somebody stands between.
    #[error("the peer's DTLS certificate is not the one of its offer")]
    Fingerprint,
    /// The peer has neither of our SRTP profiles.
    #[error("the peer has no SRTP profile that camgate has")]
    Profile,
    /// What OpenSSL says.
    #[error("DTLS: {0}")]
    Protocol(String),
}

/// What came of a datagram, or of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing to tell.
    None,
    /// The handshake is over on our side.
    Connected(Box<Keys>),
    /// The peer said good-bye (close_notify).
    Closed,
    /// It is over. Whatever is still to be sent (an alert) should be.
    Failed(Failure),
}

/// Where an association stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    Connected,
    Over,
}

/// One association.
#[derive(Debug)]
pub struct Dtls {
    stream: SslStream<Pipe>,
    side: Side,
    peer: Fingerprint,
    stage: Stage,
}

impl Dtls {
    /// Begins an association with a peer whose certificate has a fingerprint. A client's
    /// first flight is there at once.
    pub fn new(context: &Context, side: Side, peer: Fingerprint) -> Result<Dtls, Failure> {
        let failed = |e: openssl::error::ErrorStack| Failure::Protocol(e.to_string());
        let mut ssl = Ssl::new(context.ssl()).map_err(failed)?;
        ssl.set_mtu(MTU).map_err(failed)?;
        match side {
            Side::Client => ssl.set_connect_state(),
            Side::Server => ssl.set_accept_state(),
        }
        timer::configure(&mut ssl);
        let stream = SslStream::new(ssl, Pipe::default()).map_err(failed)?;
        let mut dtls = Dtls { stream, side, peer, stage: Stage::Handshake };
        if side == Side::Client {
            match dtls.advance() {
                Event::Failed(failure) => return Err(failure),
                _ => return Ok(dtls),
            }
        }
        Ok(dtls)
    }

    /// Takes a datagram of the peer.
    pub fn handle_packet(&mut self, datagram: &[u8]) -> Event {
        self.stream.get_mut().receive(datagram);
        self.advance()
    }

    /// When [`Dtls::handle_timeout`] is due: as long as a flight of ours waits for its
    /// answer.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        (self.stage == Stage::Handshake).then(|| timer::left(self.stream.ssl())).flatten().map(|left| now + left)
    }

    /// Repeats a flight that was not answered in time.
    pub fn handle_timeout(&mut self) -> Event {
        if self.stage != Stage::Handshake {
            return Event::None;
        }
        match timer::expired(self.stream.ssl()) {
            true => self.advance(),
            false => self.fail(Failure::Protocol("the handshake took too long".into())),
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.stream.get_mut().next()
    }

    /// Ends an association: a close_notify waits to be sent. Idempotent.
    pub fn close(&mut self) {
        if self.stage == Stage::Connected {
            let _ = self.stream.shutdown();
        }
        self.stage = Stage::Over;
    }

    /// Gives the memory of a finished handshake back, and keeps what is needed to say and
    /// to hear good-bye. To be called once the peer has sent something under its new keys
    /// (SRTCP): before that our last flight may be lost, and the peer would repeat its
    /// own in vain. STUN proves nothing here: it goes on during the handshake.
    ///
    /// Gives the association itself back where it cannot be done (a cipher that is none
    /// of ours, a handshake under way).
    pub fn shed(mut self) -> Result<Farewell, Box<Dtls>> {
        if self.stage != Stage::Connected {
            return Err(Box::new(self));
        }
        let Some(reader) = alert::Reader::new(self.stream.ssl(), self.side) else { return Err(Box::new(self)) };
        while self.stream.get_mut().next().is_some() {}
        let _ = self.stream.shutdown();
        match self.stream.get_mut().next() {
            Some(close) => Ok(Farewell::new(close, reader)),
            None => {
                self.stage = Stage::Over;
                Err(Box::new(self))
            }
        }
    }

    /// Lets OpenSSL work through what has come.
    fn advance(&mut self) -> Event {
        match self.stage {
            Stage::Handshake => match self.stream.do_handshake() {
                Ok(()) => self.connected(),
                Err(e) if e.code() == ErrorCode::WANT_READ => Event::None,
                Err(e) => self.fail(Failure::Protocol(e.to_string())),
            },
            // Alerts, and repeated flights of a peer that missed our last one, which
            // OpenSSL answers by itself. There are no data channels: what comes as
            // application data goes nowhere.
            Stage::Connected => {
                let mut nowhere = [0; 2_048];
                while self.stream.ssl_read(&mut nowhere).is_ok_and(|n| n > 0) {}
                if self.stream.get_shutdown().contains(ShutdownState::RECEIVED) {
                    self.close();
                    return Event::Closed;
                }
                Event::None
            }
            Stage::Over => Event::None,
        }
    }

    fn connected(&mut self) -> Event {
        let ssl = self.stream.ssl();
        let der = ssl.peer_certificate().and_then(|c| c.to_der().ok());
        if !der.is_some_and(|der| self.peer.fits(&der)) {
            return self.fail(Failure::Fingerprint);
        }
        let name = ssl.selected_srtp_profile().map(|p| p.name().to_owned());
        let profiles = [Profile::AeadAes128Gcm, Profile::Aes128CmSha1_80];
        let Some(profile) = profiles.into_iter().find(|p| name.as_deref() == Some(p.name())) else {
            return self.fail(Failure::Profile);
        };
        let mut material = vec![0; profile.exported()];
        let exported = ssl.export_keying_material(&mut material, "EXTRACTOR-dtls_srtp", None);
        let Some((client, server)) = exported.ok().and_then(|()| Master::split(profile, &material)) else {
            return self.fail(Failure::Protocol("no keying material".into()));
        };
        let (ours, theirs) = match self.side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        self.stage = Stage::Connected;
        Event::Connected(Box::new(Keys { profile, ours, theirs }))
    }

    fn fail(&mut self, failure: Failure) -> Event {
        // The peer is told, where it can be: it has keys, and we do not like it.
        if matches!(failure, Failure::Fingerprint | Failure::Profile) {
            let _ = self.stream.shutdown();
        }
        self.stage = Stage::Over;
        Event::Failed(failure)
    }
}

/// How long a first flight waits for its answer, and the longest wait after repeats.
/// RFC 6347 §4.2.4.1 says 1 s for networks that nothing is known of; here ICE has just
/// passed, and browsers begin with 50 ms.
const FIRST: Duration = Duration::from_millis(150);
const MOST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
