//! From the first DTLS packet to the last SRTCP one: what of it a session holds when.

use std::time::Instant;

use super::super::dtls::{self, Context, Dtls, Farewell, Fingerprint, Side};
use super::super::ice::Route;
use super::super::srtp::{Inbound, Outbound, Reject};
use super::Event;

/// Datagrams of a handshake that are kept until ICE knows the way they came: a ClientHello
/// with the key of a post-quantum exchange takes two.
const EARLY: usize = 4;
/// The longest that is kept.
const DATAGRAM: usize = 2_048;

/// The association, as large as it has to be.
enum Stage {
    /// Nothing came yet.
    Waiting(Fingerprint),
    /// Handshake, or done and not known to be done for the peer: 78 KB.
    Whole(Box<Dtls>),
    /// Done for both: what is needed for good-byes.
    Shed(Box<Farewell>),
    /// Ended.
    Over,
}

/// See the module.
pub(super) struct Secure {
    context: Context,
    side: Side,
    stage: Stage,
    keys: Option<Box<(Outbound, Inbound)>>,
    /// A good-bye that waits to be sent.
    last: Option<Vec<u8>>,
    /// See [`EARLY`].
    early: Vec<(Route, Vec<u8>)>,
}

impl Secure {
    pub fn new(context: Context, side: Side, fingerprint: Fingerprint) -> Self {
        Secure { context, side, stage: Stage::Waiting(fingerprint), keys: None, last: None, early: Vec::new() }
    }

    /// Whether there are keys.
    pub fn ready(&self) -> bool {
        self.keys.is_some() && !matches!(self.stage, Stage::Over)
    }

    /// What we send with.
    pub fn outbound(&mut self) -> Option<&mut Outbound> {
        self.keys.as_mut().map(|k| &mut k.0)
    }

    /// ICE has a way: a client opens the handshake.
    pub fn begin(&mut self, events: &mut Vec<Event>) {
        if self.side == Side::Client {
            self.open(events);
        }
    }

    fn open(&mut self, events: &mut Vec<Event>) {
        let Stage::Waiting(fingerprint) = &self.stage else { return };
        match Dtls::new(&self.context, self.side, fingerprint.clone()) {
            Ok(dtls) => self.stage = Stage::Whole(Box::new(dtls)),
            Err(failure) => self.take(dtls::Event::Failed(failure), events),
        }
    }

    /// A DTLS datagram by a way that ICE does not know yet: the peer opens the handshake as
    /// soon as its check is answered, and our own may be under way. To drop it would cost
    /// the peer's first timeout, 50 ms or a second.
    pub fn hold(&mut self, route: Route, datagram: &[u8]) {
        if self.keys.is_none() && self.early.len() < EARLY && datagram.len() <= DATAGRAM {
            self.early.push((route, datagram.to_vec()));
        }
    }

    /// Takes what was held and came by ways that are known now.
    pub fn release(&mut self, known: impl Fn(Route) -> bool, events: &mut Vec<Event>) {
        if !self.early.iter().any(|(route, _)| known(*route)) {
            return;
        }
        // The others have lost: the peer opens one handshake.
        for (_, datagram) in std::mem::take(&mut self.early).into_iter().filter(|(route, _)| known(*route)) {
            self.handle_packet(&datagram, events);
        }
    }

    /// A DTLS datagram, from where ICE has found the peer.
    pub fn handle_packet(&mut self, datagram: &[u8], events: &mut Vec<Event>) {
        self.open(events);
        match &mut self.stage {
            Stage::Whole(dtls) => {
                let event = dtls.handle_packet(datagram);
                self.take(event, events);
            }
            Stage::Shed(farewell) if farewell.is_close(datagram) => self.take(dtls::Event::Closed, events),
            _ => {}
        }
    }

    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        match &self.stage {
            Stage::Whole(dtls) => dtls.poll_timeout(now),
            _ => None,
        }
    }

    pub fn handle_timeout(&mut self, events: &mut Vec<Event>) {
        if let Stage::Whole(dtls) = &mut self.stage {
            let event = dtls.handle_timeout();
            self.take(event, events);
        }
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        match &mut self.stage {
            Stage::Whole(dtls) => dtls.poll_transmit(),
            _ => self.last.take(),
        }
    }

    fn take(&mut self, event: dtls::Event, events: &mut Vec<Event>) {
        match event {
            dtls::Event::None => {}
            dtls::Event::Connected(keys) => {
                let made = Outbound::new(keys.profile, &keys.ours)
                    .and_then(|out| Ok((out, Inbound::new(keys.profile, &keys.theirs)?)));
                match made {
                    Ok(pair) => {
                        self.keys = Some(Box::new(pair));
                        events.push(Event::Connected);
                    }
                    Err(e) => events.push(Event::Closed(format!("SRTP: {e}"))),
                }
            }
            dtls::Event::Closed => events.push(Event::Closed("closed by the peer".into())),
            dtls::Event::Failed(failure) => events.push(Event::Closed(failure.to_string())),
        }
    }

    /// Unprotects a compound of the peer: its length, or none where it is nothing new. The
    /// first one shows that the handshake is over for the peer as well, and gives its
    /// memory back. An error: forged.
    pub fn unprotect_rtcp(&mut self, data: &mut [u8]) -> Result<Option<usize>, ()> {
        let Some(keys) = &mut self.keys else { return Ok(None) };
        match keys.1.unprotect_rtcp(data) {
            Ok(length) => {
                if matches!(self.stage, Stage::Whole(_))
                    && let Stage::Whole(dtls) = std::mem::replace(&mut self.stage, Stage::Over)
                {
                    self.stage = match dtls.shed() {
                        Ok(farewell) => Stage::Shed(Box::new(farewell)),
                        Err(dtls) => Stage::Whole(dtls),
                    };
                }
                Ok(Some(length))
            }
            Err(Reject::Forged) => Err(()),
            Err(_) => Ok(None),
        }
    }

    /// Whether the handshake's memory was given back.
    #[cfg(test)]
    pub fn is_shed(&self) -> bool {
        matches!(self.stage, Stage::Shed(_))
    }

    /// A close_notify waits to be sent, where there are keys for one.
    pub fn close(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Whole(mut dtls) => {
                dtls.close();
                self.last = dtls.poll_transmit();
            }
            Stage::Shed(farewell) => self.last = Some(farewell.close().to_vec()),
            Stage::Waiting(_) | Stage::Over => {}
        }
    }
}
