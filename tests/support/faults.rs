//! What can be wrong with a camera. See also the controls of
//! [`super::camera::Camera`] that act at run time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// One fault; a camera may have several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// DESCRIBE is answered with this status: 404 for an unknown stream, 503 …
    Describe(u16),
    /// No credentials are ever right: 401 always (needs `auth`, else Digest is used).
    WrongPassword,
    /// SETUP over TCP is answered with 461.
    NoTcp,
    /// SETUP over UDP is answered with 461.
    NoUdp,
    /// Its packets are encrypted (RTP/SAVP), with a key for each client.
    Srtp,
    /// SETUP of the audio track is answered with this status (461, 404 …).
    AudioSetup(u16),
    /// Accepts connections, reads, and never says a word.
    Silent,
    /// Answers everything with bytes that are not RTSP.
    Garbage,
    /// After so many frames of a media nothing more is sent; TCP stays open.
    StallAfter(u32),
    /// After so many frames of a media the TCP connections are reset (RST).
    ResetAfter(u32),
    /// Announces `Session: …;timeout=N` and closes the connection of a client
    /// from which no RTSP request came for N seconds. RTCP does not count.
    SessionTimeout(u32),
    /// The SDP carries the parameter sets of another resolution; those in band are right.
    WrongSps,
    /// The SDP's configuration of LATM is of a kind that no depayloader here reads.
    StrangeLatm,
    /// The SDP calls the video's codec so.
    Called(&'static str),
}

/// Resets a TCP connection now (RST, no FIN), whoever else holds the socket:
/// connecting to "no address" is Linux's way to abort one.
pub fn abort(fd: i32) {
    // SAFETY: all zero is a valid sockaddr of family AF_UNSPEC.
    unsafe {
        let none: libc::sockaddr = std::mem::zeroed();
        libc::connect(fd, &raw const none, size_of::<libc::sockaddr>() as libc::socklen_t);
    }
}

/// A plain TCP listener that is no RTSP server: silent, or talking garbage.
pub struct Deaf {
    address: SocketAddr,
    quit: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Deaf {
    /// Listens on `address` (port 0: any). `garbage`: what it says to each
    /// request; None: nothing.
    pub fn start(address: SocketAddr, garbage: Option<&'static [u8]>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let quit = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let thread = std::thread::spawn({
            let (quit, connections, open) = (quit.clone(), connections.clone(), open.clone());
            move || {
                for stream in listener.incoming() {
                    if quit.load(SeqCst) {
                        return;
                    }
                    let Ok(mut stream) = stream else { continue };
                    connections.fetch_add(1, SeqCst);
                    open.lock().unwrap().extend(stream.try_clone());
                    // Ends when the client goes or the listener is dropped.
                    std::thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        while stream.read(&mut buffer).is_ok_and(|n| n > 0) {
                            if let Some(garbage) = garbage {
                                let _ = stream.write_all(garbage);
                            }
                        }
                    });
                }
            }
        });
        Ok(Self { address, quit, connections, open, thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections came so far.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// Resets all connections.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            abort(stream.as_raw_fd());
        }
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        self.quit.store(true, SeqCst);
        let _ = TcpStream::connect(self.address); // wakes accept()
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Bytes that look like no protocol at all.
pub const GARBAGE: &[u8] = b"\x00\xff\x13$\x7f\x00\x08garbage!\r\n\r\nRTSP/9.z 2e0 ?\r\n\r\n";
