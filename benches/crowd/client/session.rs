//! One viewer: a WebRTC session of str0m (ICE, DTLS, SRTP, receiver reports, NACK, PLI),
//! driven by the datagrams of its socket.

use super::keys::{self, Master};
use super::light::{Light, Stream, look};
use super::socket::{BATCH, Batch, prepare};
use super::tally::{Packet, Tally};
use crate::support::mono;
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A connected session is looked after this often without a packet; str0m would like to
/// be asked for NACKs every 33 ms, and is, with each batch that comes.
const IDLE: Duration = Duration::from_millis(100);
/// Between two requests for a key frame.
const PLI: Duration = Duration::from_secs(1);
/// A viewer has settled when it has played for so long, ns.
const SETTLED: u64 = 1_000_000_000;

/// What is known of a viewer, and shared with who counts.
#[derive(Default)]
pub struct Seen {
    pub tally: Tally,
    /// ICE and DTLS were up, ns of `CLOCK_MONOTONIC`.
    pub connected: Option<u64>,
    /// NACK messages sent.
    pub nacks: u64,
    /// Why it ended, if it did.
    pub error: Option<String>,
}

/// A session that has offered.
pub struct Offer {
    rtc: Rtc,
    pending: SdpPendingOffer,
    socket: UdpSocket,
    local: SocketAddr,
    mid: Mid,
    pub sdp: String,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Offer {
    /// Binds a socket, with the receive buffer that clients have, and writes an offer of
    /// one video to receive. `whole`: see [`prepare`].
    pub fn new(whole: bool) -> Result<Offer, String> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(text)?;
        prepare(&socket, whole).map_err(text)?;
        let local = socket.local_addr().map_err(text)?;
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .set_stats_interval(Some(Duration::from_secs(1)))
            .set_crypto_provider(keys::provider())
            .build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").map_err(text)?);
        let mut change = rtc.sdp_api();
        let mid = change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = change.apply().ok_or("no offer")?;
        // Light has no transport-wide feedback; then nobody shall wait for it.
        let sdp = offer.to_sdp_string();
        let sdp = sdp.lines().filter(|l| !l.contains("transport-cc") && !l.contains("transport-wide-cc"));
        let sdp = sdp.map(|l| format!("{}\r\n", l.trim_end())).collect();
        Ok(Offer { rtc, pending, socket, local, mid, sdp })
    }

    /// Takes the answer.
    pub fn answered(self, answer: &str, network: Network, seen: Arc<Mutex<Seen>>) -> Result<Session, String> {
        let Offer { mut rtc, pending, socket, local, mid, .. } = self;
        let parsed = SdpAnswer::from_sdp_string(answer).map_err(text)?;
        rtc.sdp_api().accept_answer(pending, parsed).map_err(text)?;
        // A browser asks for what is missing wherever the answer has NACK; str0m only
        // where it has RTX, too.
        let nacks = answer.lines().any(|l| {
            l.strip_prefix("a=rtcp-fb:")
                .is_some_and(|l| l.split_once(' ').is_some_and(|(_, what)| what.trim() == "nack"))
        });
        Ok(Session {
            rtc,
            socket,
            local,
            mid,
            seen,
            nacks,
            asked: None,
            due: Instant::now(),
            master: None,
            media: None,
            said: (1, 0),
            light: None,
            peer: None,
            network,
        })
    }
}

/// A session at work.
pub struct Session {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    mid: Mid,
    seen: Arc<Mutex<Seen>>,
    /// NACK is to be switched on with the first packet.
    nacks: bool,
    /// The last request for a key frame.
    asked: Option<Instant>,
    /// When str0m wants to be called at the latest.
    due: Instant,
    /// Of the handshake, for [`Light`].
    master: Option<Master>,
    media: Option<Stream>,
    /// SSRC and SRTCP index of what str0m reported last.
    said: (u32, u32),
    light: Option<Light>,
    peer: Option<SocketAddr>,
    network: Network,
}

/// A network that loses RTP packets on their way in.
pub struct Network {
    /// Share of them, 0 to 1.
    pub loses: f64,
    pub random: u64,
}

impl Network {
    /// Is this datagram lost?
    fn loses(&mut self, data: &[u8]) -> bool {
        if self.loses <= 0.0 || !matches!(data, [128..=191, 0..=191 | 224.., ..]) {
            return false;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 11) as f64) < self.loses * (1u64 << 53) as f64
    }
}

impl Session {
    /// Connects, and receives as things come; returns when the viewer has settled, or
    /// is over with (see [`Session::over`]).
    pub async fn settle(mut self, batch: &RefCell<Batch>) -> Session {
        if let Err(error) = self.connect(batch).await {
            self.end(error);
        }
        if let (Some(master), Some(media)) = (&self.master, self.media) {
            self.light = Light::new(master, media, self.said, &held(&self.seen).tally, mono::now_ns());
        }
        self
    }

    async fn connect(&mut self, batch: &RefCell<Batch>) -> Result<(), String> {
        let socket = self.socket.try_clone().map_err(text)?;
        // SAFETY: the socket keeps its descriptor as long as the AsyncFd has it.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(text)?;
        self.due = self.drain()?;
        while self.rtc.is_alive() && !self.settled() {
            tokio::select! {
                ready = socket.readable() => {
                    if self.datagrams(&mut batch.borrow_mut())? < BATCH {
                        ready.map_err(text)?.clear_ready();
                    }
                }
                () = tokio::time::sleep_until(self.due.into()) => self.timers()?,
            }
        }
        Ok(())
    }

    /// Has it played for a while, or should it have?
    fn settled(&self) -> bool {
        let seen = held(&self.seen);
        let since = |at: Option<u64>, ns| at.is_some_and(|at| mono::now_ns().saturating_sub(at) > ns);
        since(seen.tally.first_key, SETTLED) || self.media.is_some() && since(seen.connected, 3 * SETTLED)
    }

    /// Takes what came since the last time; to be called every few ms from then on.
    pub fn sweep(&mut self, batch: &mut Batch) {
        let mut work = || -> Result<(), String> {
            while self.datagrams(batch)? == BATCH {}
            self.say();
            if self.due <= Instant::now() { self.timers() } else { Ok(()) }
        };
        if let Err(error) = work() {
            self.end(error);
        }
    }

    /// Has it ended, by whomever?
    pub fn over(&mut self) -> bool {
        if !self.rtc.is_alive() {
            self.end("closed by the server".into());
        }
        held(&self.seen).error.is_some()
    }

    fn end(&mut self, error: String) {
        held(&self.seen).error.get_or_insert(error);
    }

    fn timers(&mut self) -> Result<(), String> {
        self.rtc.handle_input(Input::Timeout(Instant::now())).map_err(text)?;
        self.due = self.drain()?;
        Ok(())
    }

    /// Takes a batch of what the socket has, and gives its size.
    fn datagrams(&mut self, batch: &mut Batch) -> Result<usize, String> {
        let count = match batch.receive(&self.socket) {
            Ok(count) => count,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(0),
            // ICMP's "port unreachable" for something sent.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(BATCH),
            Err(e) => return Err(text(e)),
        };
        let seen = self.seen.clone();
        let mut seen = held(&seen);
        let (now, now_ns) = (Instant::now(), mono::now_ns());
        let mut asked = self.light.is_none();
        if asked {
            // All timers once for the batch: its packets came before now, and str0m's
            // clock does not go back for them.
            self.rtc.handle_input(Input::Timeout(now)).map_err(text)?;
        }
        for n in 0..count {
            let (source, at, packets) = batch.get(n);
            for data in packets {
                if self.network.loses(data) {
                    continue;
                }
                if let Some(light) = &mut self.light
                    && light.datagram(data, at, &mut seen.tally)
                {
                    self.peer = Some(source);
                    continue;
                }
                asked = true;
                let Ok(contents) = (&*data).try_into() else { continue };
                let arrived = now - Duration::from_nanos(now_ns.saturating_sub(at));
                let receive = Receive { proto: Protocol::Udp, source, destination: self.local, contents };
                self.rtc.handle_input(Input::Receive(arrived, receive)).map_err(text)?;
                // str0m keeps one packet until it is asked.
                self.poll(&mut seen, at)?;
            }
        }
        drop(seen);
        if asked {
            self.due = self.drain()?;
        }
        Ok(count)
    }

    /// Reports, where that is not str0m's business any more.
    fn say(&mut self) {
        let (Some(light), Some(peer)) = (&mut self.light, self.peer) else { return };
        let mut seen = held(&self.seen);
        if let Some(packet) = light.say(mono::now_ns(), &seen.tally) {
            seen.nacks += light.take_nacks();
            // A full socket buffer loses the datagram, as a network would.
            let _ = self.socket.send_to(&packet, peer);
        }
    }

    /// Sends what str0m has to say, and remembers where its reports are.
    fn send(&mut self, data: &[u8], to: SocketAddr) {
        if let [128..=191, 192..=223, _, _, ssrc @ ..] = data {
            if self.light.is_some() {
                return;
            }
            if let (Some(ssrc), Some(index)) = (ssrc.first_chunk(), ssrc.last_chunk()) {
                self.said = (u32::from_be_bytes(*ssrc), u32::from_be_bytes(*index) & 0x7fff_ffff);
            }
        }
        let _ = self.socket.send_to(data, to);
    }

    /// What comes of one datagram: mostly its packet, which is all then. Only when it is
    /// something else, str0m is polled to the end.
    fn poll(&mut self, seen: &mut Seen, at: u64) -> Result<(), String> {
        loop {
            match self.rtc.poll_output().map_err(text)? {
                Output::Timeout(_) => return Ok(()),
                Output::Transmit(t) => self.send(&t.contents, t.destination),
                Output::Event(event) => {
                    let packet = matches!(event, Event::RtpPacket(_));
                    self.note(event, seen, at);
                    if packet {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Polls until str0m wants to wait; gives the time until which.
    fn drain(&mut self) -> Result<Instant, String> {
        let now = Instant::now();
        let seen = self.seen.clone();
        let mut seen = held(&seen);
        loop {
            match self.rtc.poll_output().map_err(text)? {
                Output::Timeout(at) if self.light.is_some() => return Ok(at.max(now + 5 * IDLE).min(now + 10 * IDLE)),
                Output::Timeout(at) if seen.connected.is_some() => return Ok(at.max(now + IDLE).min(now + 10 * IDLE)),
                Output::Timeout(at) => return Ok(at.min(now + IDLE)),
                Output::Transmit(t) => self.send(&t.contents, t.destination),
                Output::Event(event) => self.note(event, &mut seen, mono::now_ns()),
            }
        }
    }

    fn note(&mut self, event: Event, seen: &mut Seen, at: u64) {
        match event {
            Event::RtpPacket(p) => {
                if std::mem::take(&mut self.nacks)
                    && let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(self.mid, None)
                {
                    stream.suppress_nack(false);
                }
                let mut packet = Packet {
                    seq: *p.seq_no,
                    time: p.header.timestamp,
                    marker: p.header.marker,
                    at,
                    ..Packet::default()
                };
                look(&p.payload, &mut packet);
                self.media =
                    Some(Stream { ssrc: *p.header.ssrc, payload_type: *p.header.payload_type, highest: packet.seq });
                let lost = seen.tally.lost;
                seen.tally.packet(packet);
                if seen.tally.lost > lost {
                    self.ask();
                }
            }
            Event::Connected => {
                seen.connected = Some(mono::now_ns());
                self.master = keys::take();
            }
            Event::MediaIngressStats(stats) if self.light.is_none() => seen.nacks = stats.nacks,
            _ => {}
        }
    }

    /// Asks for a key frame, as a browser does whose picture is broken.
    fn ask(&mut self) {
        if self.asked.is_none_or(|at| at.elapsed() > PLI)
            && let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(self.mid, None)
        {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            self.asked = Some(Instant::now());
        }
    }
}

/// The lock, also after a panic elsewhere.
pub fn held(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
