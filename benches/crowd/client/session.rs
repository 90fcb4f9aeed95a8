//! One viewer: a WebRTC session of str0m (ICE, DTLS, SRTP, receiver reports, NACK, PLI),
//! driven by the datagrams of its socket.

use super::socket::{BATCH, Batch, prepare};
use super::tally::{Packet, Tally};
use crate::support::mono;
use crate::support::nal::{self, Codec, Stamp};
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::io::Interest;

/// A connected session is looked after this often without a packet; str0m would like to
/// be asked for NACKs every 33 ms, and is, with each batch that comes.
const IDLE: Duration = Duration::from_millis(100);
/// Between two requests for a key frame.
const PLI: Duration = Duration::from_secs(1);

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
    /// one video to receive.
    pub fn new() -> Result<Offer, String> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(text)?;
        prepare(&socket).map_err(text)?;
        let local = socket.local_addr().map_err(text)?;
        let mut rtc =
            Rtc::builder().set_rtp_mode(true).set_stats_interval(Some(Duration::from_secs(1))).build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").map_err(text)?);
        let mut change = rtc.sdp_api();
        let mid = change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = change.apply().ok_or("no offer")?;
        Ok(Offer { rtc, pending, socket, local, mid, sdp: offer.to_sdp_string() })
    }

    /// Takes the answer.
    pub fn answered(self, answer: &str, seen: Arc<Mutex<Seen>>) -> Result<Session, String> {
        let Offer { mut rtc, pending, socket, local, mid, .. } = self;
        let parsed = SdpAnswer::from_sdp_string(answer).map_err(text)?;
        rtc.sdp_api().accept_answer(pending, parsed).map_err(text)?;
        // A browser asks for what is missing wherever the answer has NACK; str0m only
        // where it has RTX, too.
        let nacks = answer.lines().any(|l| {
            l.strip_prefix("a=rtcp-fb:")
                .is_some_and(|l| l.split_once(' ').is_some_and(|(_, what)| what.trim() == "nack"))
        });
        Ok(Session { rtc, socket: Some(socket), local, mid, seen, nacks, asked: None })
    }
}

/// A session at work.
pub struct Session {
    rtc: Rtc,
    socket: Option<UdpSocket>,
    local: SocketAddr,
    mid: Mid,
    seen: Arc<Mutex<Seen>>,
    /// NACK is to be switched on with the first packet.
    nacks: bool,
    /// The last request for a key frame.
    asked: Option<Instant>,
}

thread_local! {
    static DATAGRAMS: RefCell<Batch> = RefCell::default();
}

impl Session {
    /// Runs until the peer ends it, or the runtime does.
    pub async fn run(mut self) {
        let result = self.drive().await;
        let mut seen = held(&self.seen);
        seen.error = Some(result.err().unwrap_or_else(|| "closed by the server".into()));
    }

    async fn drive(&mut self) -> Result<(), String> {
        let socket = self.socket.take().ok_or("it ran already")?;
        let socket = tokio::net::UdpSocket::from_std(socket).map_err(text)?;
        // Before that tokio says that a send would block, and the first check is lost.
        socket.writable().await.map_err(text)?;
        let mut due = self.drain(&socket, Instant::now())?;
        let sleep = tokio::time::sleep_until(due.into());
        tokio::pin!(sleep);
        while self.rtc.is_alive() {
            tokio::select! {
                ready = socket.readable() => {
                    ready.map_err(text)?;
                    due = DATAGRAMS.with_borrow_mut(|batch| self.datagrams(&socket, batch))?;
                }
                () = &mut sleep => {
                    let now = Instant::now();
                    self.rtc.handle_input(Input::Timeout(now)).map_err(text)?;
                    due = self.drain(&socket, now)?;
                    sleep.as_mut().reset(due.into());
                    continue;
                }
            }
            // A timer that is early is let run: setting it anew for each batch costs more.
            if due < sleep.deadline().into_std() {
                sleep.as_mut().reset(due.into());
            }
        }
        Ok(())
    }

    /// Takes what the socket has, and gives the time until which there is nothing to do.
    fn datagrams(&mut self, socket: &tokio::net::UdpSocket, batch: &mut Batch) -> Result<Instant, String> {
        let seen = self.seen.clone();
        let mut seen = held(&seen);
        // Twice: the other viewers of this thread want their turn.
        for _ in 0..2 {
            let count = match socket.try_io(Interest::READABLE, || batch.receive(socket)) {
                Ok(count) => count,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                // ICMP's "port unreachable" for something sent.
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => continue,
                Err(e) => return Err(text(e)),
            };
            let (now, now_ns) = (Instant::now(), mono::now_ns());
            // All timers once for the batch: its packets came before now, and str0m's
            // clock does not go back for them.
            self.rtc.handle_input(Input::Timeout(now)).map_err(text)?;
            for n in 0..count {
                let (source, at, data) = batch.get(n);
                let Ok(contents) = data.try_into() else { continue };
                let arrived = now - Duration::from_nanos(now_ns.saturating_sub(at));
                let receive = Receive { proto: Protocol::Udp, source, destination: self.local, contents };
                self.rtc.handle_input(Input::Receive(arrived, receive)).map_err(text)?;
                // str0m keeps one packet until it is asked.
                self.poll(socket, &mut seen, at)?;
            }
            if count < BATCH {
                break;
            }
        }
        drop(seen);
        self.drain(socket, Instant::now())
    }

    /// What comes of one datagram: mostly its packet, which is all then. Only when it is
    /// something else, str0m is polled to the end.
    fn poll(&mut self, socket: &tokio::net::UdpSocket, seen: &mut Seen, at: u64) -> Result<(), String> {
        loop {
            match self.rtc.poll_output().map_err(text)? {
                Output::Timeout(_) => return Ok(()),
                Output::Transmit(t) => drop(socket.try_send_to(&t.contents, t.destination)),
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
    fn drain(&mut self, socket: &tokio::net::UdpSocket, now: Instant) -> Result<Instant, String> {
        let seen = self.seen.clone();
        let mut seen = held(&seen);
        loop {
            match self.rtc.poll_output().map_err(text)? {
                Output::Timeout(at) if seen.connected.is_some() => return Ok(at.max(now + IDLE).min(now + 10 * IDLE)),
                Output::Timeout(at) => return Ok(at.min(now + IDLE)),
                // A full socket buffer loses the datagram, as a network would.
                Output::Transmit(t) => drop(socket.try_send_to(&t.contents, t.destination)),
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
                nal::in_rtp(&p.payload, Codec::H264, |kind, nal| {
                    packet.key |= nal::is_key_slice(kind, Codec::H264);
                    if let Some(stamp) = nal.and_then(|nal| Stamp::from_nal(nal, Codec::H264)) {
                        packet.stamp = Some((stamp.index, stamp.handed_ns));
                    }
                });
                let lost = seen.tally.lost;
                seen.tally.packet(packet);
                if seen.tally.lost > lost {
                    self.ask();
                }
            }
            Event::Connected => seen.connected = Some(mono::now_ns()),
            Event::MediaIngressStats(stats) => seen.nacks = stats.nacks,
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
