//! The threads behind the viewers: one task per viewer on a few runtimes, so
//! that a hundred viewers cost a fraction of a core.

use super::nal::Codec;
use super::whep_log::{Log, Packet, State};
use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use str0m::media::{KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Event, IceConnectionState, Input, Output, Rtc};
use tokio::io::Interest;
use tokio::sync::mpsc;

/// What a viewer can be told.
pub enum Command {
    /// Stop at once, say nothing to the peer.
    Vanish,
    /// RTCP BYE and DTLS close_notify, then stop.
    Close,
    /// PLI for the video.
    RequestKey,
    /// Anything else.
    Do(Box<dyn FnOnce(&mut Rtc) + Send>),
}

/// All that a viewer's task owns.
pub struct Job {
    pub rtc: Rtc,
    pub socket: UdpSocket,
    pub log: Arc<Mutex<Log>>,
    pub commands: mpsc::UnboundedReceiver<Command>,
    /// Payload types that are video, with the codec where key frames are recognised.
    pub video: HashMap<u8, Option<Codec>>,
    /// What was offered. (str0m tells of a medium only to the side that did not add it.)
    pub kinds: HashMap<Mid, MediaKind>,
    pub keep_packets: bool,
    pub keep_payloads: bool,
    /// Share of the RTP packets to throw away on arrival, 0 to 1.
    pub loss: f64,
}

/// Threads that viewers run on; ends with the last handle.
#[derive(Clone)]
pub struct ViewerPool {
    threads: Arc<Vec<mpsc::UnboundedSender<Job>>>,
    next: Arc<std::sync::atomic::AtomicUsize>,
}

impl ViewerPool {
    /// So many threads; one is enough for some fifty viewers.
    pub fn new(threads: usize) -> Self {
        let threads = (0..threads)
            .map(|n| {
                let (sender, mut jobs) = mpsc::unbounded_channel();
                std::thread::Builder::new()
                    .name(format!("viewers-{n}"))
                    .spawn(move || {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                        runtime.block_on(async {
                            while let Some(job) = jobs.recv().await {
                                tokio::spawn(drive(job));
                            }
                        });
                    })
                    .unwrap();
                sender
            })
            .collect();
        Self { threads: Arc::new(threads), next: Arc::default() }
    }

    /// The pool of those who do not care; one thread, never ends.
    pub fn shared() -> Self {
        static POOL: std::sync::OnceLock<ViewerPool> = std::sync::OnceLock::new();
        POOL.get_or_init(|| ViewerPool::new(1)).clone()
    }

    pub(super) fn run(&self, job: Job) {
        let n = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let _ = self.threads[n % self.threads.len()].send(job);
    }
}

/// The log, also after a test failed while it looked at it: the other viewers of
/// this thread go on.
pub(super) fn held(log: &Mutex<Log>) -> std::sync::MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn drive(mut job: Job) {
    let result = drive_inner(&mut job).await;
    let mut log = held(&job.log);
    if let Err(error) = result {
        log.error = Some(error);
    }
    if log.state == State::Connecting || log.state == State::Connected {
        log.state = State::Gone;
    }
}

async fn drive_inner(job: &mut Job) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let local = job.socket.local_addr().map_err(|e| text(&e))?;
    timestamps_on(&job.socket);
    job.socket.set_nonblocking(true).map_err(|e| text(&e))?;
    let socket =
        tokio::net::UdpSocket::from_std(job.socket.try_clone().map_err(|e| text(&e))?).map_err(|e| text(&e))?;
    let mut random = 0x2545_f491_4f6c_dd1d_u64 ^ u64::from(local.port());
    let mut buffer = [0u8; 2048];
    // Until tokio has heard from the kernel that a socket is writable, try_send_to
    // says that it would block: the first check was lost, and a join took the quarter
    // of a second longer until str0m repeats it.
    socket.writable().await.map_err(|e| text(&e))?;
    let mut timeout = drain(job, &socket, Instant::now())?;
    while job.rtc.is_alive() {
        tokio::select! {
            command = job.commands.recv() => match command {
                None | Some(Command::Vanish) => return Ok(()),
                Some(Command::Close) => {
                    job.rtc.close().map_err(|e| text(&e))?;
                    held(&job.log).state = State::Closed;
                }
                Some(Command::Do(job_of_the_test)) => {
                    job_of_the_test(&mut job.rtc);
                    let input = Input::Timeout(Instant::now());
                    job.rtc.handle_input(input).map_err(|e| text(&e))?;
                }
                Some(Command::RequestKey) => {
                    let video = job.kinds.iter().find(|(_, kind)| **kind == MediaKind::Video);
                    if let Some((mid, _)) = video
                        && let Some(stream) = job.rtc.direct_api().stream_rx_by_mid(*mid, None)
                    {
                        stream.request_keyframe(KeyframeRequestKind::Pli);
                    }
                    let input = Input::Timeout(Instant::now());
                    job.rtc.handle_input(input).map_err(|e| text(&e))?;
                }
            },
            ready = socket.readable() => {
                ready.map_err(|e| text(&e))?;
                // A few at a time: the other viewers of this thread want their turn.
                for _ in 0..32 {
                    let received = socket.try_io(Interest::READABLE, || receive(&socket, &mut buffer));
                    let (size, source, arrival) = match received {
                        Ok(received) => received,
                        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                        // An ICMP "port unreachable" for something sent; the peer is gone.
                        Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => continue,
                        Err(e) => return Err(e.to_string()),
                    };
                    let rtp = held(&job.log).wire.datagram(&buffer[..size]);
                    if rtp && job.loss > 0.0 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        if (random >> 11) as f64 / (1u64 << 53) as f64 <= job.loss {
                            held(&job.log).wire.dropped += 1;
                            continue;
                        }
                    }
                    let Ok(contents) = buffer[..size].try_into() else {
                        continue; // not one of WebRTC's protocols
                    };
                    let receive = Receive {
                        proto: Protocol::Udp,
                        source,
                        destination: local,
                        contents,
                    };
                    let input = Input::Receive(Instant::now(), receive);
                    if job.rtc.accepts(&input) {
                        job.rtc.handle_input(input).map_err(|e| text(&e))?;
                        drain(job, &socket, arrival)?;
                    }
                }
            }
            () = tokio::time::sleep_until(timeout.into()) => {
                job.rtc.handle_input(Input::Timeout(Instant::now())).map_err(|e| text(&e))?;
            }
        }
        timeout = drain(job, &socket, Instant::now())?;
    }
    Ok(())
}

/// Polls until str0m wants to wait; gives the time until which.
fn drain(job: &mut Job, socket: &tokio::net::UdpSocket, arrival: Instant) -> Result<Instant, String> {
    loop {
        match job.rtc.poll_output().map_err(|e| e.to_string())? {
            Output::Timeout(at) => {
                // "Never" is far away; tokio's timers do not go that far.
                return Ok(at.min(Instant::now() + Duration::from_secs(3600)));
            }
            Output::Transmit(t) => {
                // A full socket buffer loses the datagram, as a network would.
                let _ = socket.try_send_to(&t.contents, t.destination);
            }
            Output::Event(event) => note(job, event, arrival),
        }
    }
}

fn note(job: &mut Job, event: Event, arrival: Instant) {
    let mut log = held(&job.log);
    match event {
        Event::Connected => {
            log.connected = Some(Instant::now());
            log.state = State::Connected;
        }
        Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
            log.state = State::Disconnected;
        }
        Event::Closed => log.state = State::Closed,
        Event::MediaIngressStats(stats) => {
            let audio = job.kinds.get(&stats.mid) == Some(&MediaKind::Audio);
            let track = if audio { &mut log.audio } else { &mut log.video };
            track.nacks_sent = stats.nacks;
            track.plis_sent = stats.plis;
        }
        Event::RtpPacket(p) => {
            let payload_type = *p.header.payload_type;
            let video = job.video.get(&payload_type).copied();
            let packet = Packet {
                seq: *p.seq_no,
                time: p.time.numer(),
                marker: p.header.marker,
                payload_type,
                ssrc: *p.header.ssrc,
                arrival,
                size: p.payload.len(),
                payload: job.keep_payloads.then(|| p.payload.clone()),
            };
            let track = if video.is_some() { &mut log.video } else { &mut log.audio };
            if let Some(info) = p.last_sender_info {
                track.sender_report = Some((info.ntp_time, info.rtp_time.numer()));
            }
            track.packet(packet, &p.payload, video, job.keep_packets);
        }
        _ => {}
    }
}

/// Makes the kernel note each datagram's time of arrival, so that a busy test
/// process does not blame its own lateness on the server.
fn timestamps_on(socket: &UdpSocket) {
    let on: libc::c_int = 1;
    // SAFETY: pointer and size are those of a live int.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

/// Room for one timestamp in a control message, aligned as the kernel wants it.
#[repr(align(8))]
struct Control([u8; 64]);

/// recvmsg with the kernel's time of arrival.
fn receive(socket: &tokio::net::UdpSocket, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr, Instant)> {
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; 64]);
    // SAFETY: all zero is a valid sockaddr_storage and msghdr; every pointer in the
    // msghdr outlives the call, with its true length; control messages are
    // walked with the macros made for that.
    unsafe {
        let mut from: libc::sockaddr_storage = std::mem::zeroed();
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_name = (&raw mut from).cast();
        message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        message.msg_iov = &mut iov;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len();
        let size = libc::recvmsg(socket.as_raw_fd(), &mut message, 0);
        if size < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let mut arrival = Instant::now();
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while let Some(h) = header.as_ref() {
            if h.cmsg_level == libc::SOL_SOCKET && h.cmsg_type == libc::SCM_TIMESTAMPNS {
                let ts: libc::timespec = std::ptr::read_unaligned(libc::CMSG_DATA(h).cast());
                let at = UNIX_EPOCH + Duration::new(ts.tv_sec as u64, ts.tv_nsec as u32);
                let ago = SystemTime::now().duration_since(at).unwrap_or_default();
                arrival = arrival.checked_sub(ago).unwrap_or(arrival);
            }
            header = libc::CMSG_NXTHDR(&message, h);
        }
        let source = match i32::from(from.ss_family) {
            libc::AF_INET => {
                let v4 = &*(&raw const from).cast::<libc::sockaddr_in>();
                let ip = std::net::Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                SocketAddr::new(ip.into(), u16::from_be(v4.sin_port))
            }
            _ => {
                let v6 = &*(&raw const from).cast::<libc::sockaddr_in6>();
                let ip = std::net::Ipv6Addr::from(v6.sin6_addr.s6_addr);
                SocketAddr::new(ip.into(), u16::from_be(v6.sin6_port))
            }
        };
        Ok((size as usize, source, arrival))
    }
}
