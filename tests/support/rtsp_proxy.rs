//! A man in the middle for RTSP over TCP: passes on bytes, knows where messages
//! and interleaved packets begin, and can rewrite an SDP, answer in the server's
//! place, hold packets back, delay, or cut. UDP media do not pass through it.

use super::faults::abort;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Turns one SDP into another.
pub type RewriteSdp = Arc<dyn Fn(&str) -> String + Send + Sync>;
/// Method and request URI in, status out: the proxy answers with it itself.
pub type Refuse = Arc<dyn Fn(&str, &str) -> Option<u16> + Send + Sync>;

/// What the proxy does to what passes.
#[derive(Clone, Default)]
pub struct Rules {
    /// Applied to the body of each DESCRIBE answer.
    pub rewrite_sdp: Option<RewriteSdp>,
    /// Requests that never reach the server.
    pub refuse: Option<Refuse>,
    /// Each answer is held back this long; interleaved packets are not.
    pub delay_answers: Duration,
    /// Seconds by which the clock of the sender reports is another one (RTCP, interleaved).
    pub clock_off: i64,
    /// Sender reports are left out.
    pub no_reports: bool,
    /// Everything from the server is passed on in two halves, this long apart: a
    /// client is in the middle of a message most of the time.
    pub halves: Duration,
}

struct Shared {
    rules: Mutex<Rules>,
    hold: AtomicBool,
    /// Bytes after which the connection is reset; 0: never.
    cut_after: AtomicU64,
    quit: AtomicBool,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

/// A running proxy; ends when dropped.
pub struct RtspProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl RtspProxy {
    /// Listens on `listen` (port 0: any) and connects each client to `server`.
    pub fn start(listen: SocketAddr, server: SocketAddr, rules: Rules) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            rules: Mutex::new(rules),
            hold: AtomicBool::new(false),
            cut_after: AtomicU64::new(0),
            quit: AtomicBool::new(false),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: Mutex::default(),
        });
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || {
                for client in listener.incoming() {
                    if shared.quit.load(SeqCst) {
                        return;
                    }
                    if let Ok(client) = client {
                        shared.connections.fetch_add(1, SeqCst);
                        // A server that is off: the client is dropped, as by a port forwarder.
                        let _ = join(client, server, &shared);
                    }
                }
            }
        });
        Ok(Self { address, shared, thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Other rules from the next message on.
    pub fn set_rules(&self, rules: Rules) {
        *self.shared.rules.lock().unwrap() = rules;
    }

    /// While true, nothing passes from the server to the client; TCP stays open.
    pub fn hold(&self, hold: bool) {
        self.shared.hold.store(hold, SeqCst);
    }

    /// Resets a connection after so many bytes from the server.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.cut_after.store(bytes, SeqCst);
    }

    /// Resets all connections (RST), on both sides.
    pub fn cut(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            abort(stream.as_raw_fd());
        }
    }

    /// The request lines seen, in order.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }
}

impl Drop for RtspProxy {
    fn drop(&mut self) {
        self.shared.quit.store(true, SeqCst);
        let _ = TcpStream::connect(self.address); // wakes accept()
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn join(client: TcpStream, server: SocketAddr, shared: &Arc<Shared>) -> std::io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    {
        let mut open = shared.open.lock().unwrap();
        open.push(client.try_clone()?);
        open.push(server.try_clone()?);
    }
    let up = (client.try_clone()?, server.try_clone()?, shared.clone());
    std::thread::spawn(move || {
        let _ = upstream(&up.0, &up.1, &up.2);
        let _ = up.1.shutdown(Shutdown::Both);
    });
    let shared = shared.clone();
    std::thread::spawn(move || {
        let _ = downstream(&server, &client, &shared);
        let _ = client.shutdown(Shutdown::Both);
    });
    Ok(())
}

/// Client to server: notes requests, answers those that the rules refuse.
fn upstream(mut client: &TcpStream, mut server: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = Reader::default();
    while let Some(message) = reader.next(&mut client)? {
        if let Some(text) = message.text() {
            let line = text.lines().next().unwrap_or_default().to_string();
            let refuse = shared.rules.lock().unwrap().refuse.clone();
            let mut words = line.split(' ');
            let (method, uri) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let refused = refuse.and_then(|refuse| refuse(method, uri));
            shared.requests.lock().unwrap().push(line);
            if let Some(code) = refused {
                let cseq = header(&text, "cseq").unwrap_or_default().to_string();
                let answer = format!("RTSP/1.0 {code} Refused\r\nCSeq: {cseq}\r\n\r\n");
                client.write_all(answer.as_bytes())?;
                continue;
            }
        }
        server.write_all(&message.bytes)?;
    }
    Ok(())
}

/// Server to client: rewrites, delays, holds, cuts.
fn downstream(mut server: &TcpStream, mut client: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = Reader::default();
    let mut passed = 0u64;
    while let Some(message) = reader.next(&mut server)? {
        while shared.hold.load(SeqCst) && !shared.quit.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(5)); // poll
        }
        let rules = shared.rules.lock().unwrap().clone();
        let bytes = match message.text() {
            Some(text) => {
                if !rules.delay_answers.is_zero() {
                    std::thread::sleep(rules.delay_answers); // the delay asked for
                }
                match (&rules.rewrite_sdp, header(&text, "content-type")) {
                    (Some(rewrite), Some("application/sdp")) => rewritten(&text, rewrite),
                    _ => message.bytes,
                }
            }
            None => match reported(message.bytes, &rules) {
                Some(bytes) => bytes,
                None => continue,
            },
        };
        let half = if rules.halves.is_zero() { bytes.len() } else { bytes.len() / 2 };
        client.write_all(&bytes[..half])?;
        if half < bytes.len() {
            std::thread::sleep(rules.halves); // the pause asked for
            client.write_all(&bytes[half..])?;
        }
        passed += bytes.len() as u64;
        let limit = shared.cut_after.load(SeqCst);
        if limit > 0 && passed > limit {
            abort(client.as_raw_fd());
            abort(server.as_raw_fd());
            return Ok(());
        }
    }
    Ok(())
}

/// An interleaved packet as the rules want it; none to leave it out.
fn reported(mut bytes: Vec<u8>, rules: &Rules) -> Option<Vec<u8>> {
    // RFC 3550 §6.4.1: version 2, type 200; behind the sender's SSRC 64 bits of NTP.
    let report = bytes.len() >= 4 + 20 && bytes[4] & 0xc0 == 0x80 && bytes[5] == 200;
    if report && rules.no_reports {
        return None;
    }
    if report && let Some(seconds) = bytes.get_mut(12..16) {
        let old = u32::from_be_bytes([seconds[0], seconds[1], seconds[2], seconds[3]]);
        seconds.copy_from_slice(&old.wrapping_add(rules.clock_off as u32).to_be_bytes());
    }
    Some(bytes)
}

fn rewritten(text: &str, rewrite: &RewriteSdp) -> Vec<u8> {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let body = rewrite(body);
    let mut out = String::new();
    for line in head.split("\r\n") {
        if line.to_ascii_lowercase().starts_with("content-length:") {
            out += &format!("Content-Length: {}\r\n", body.len());
        } else {
            out += line;
            out += "\r\n";
        }
    }
    (out + "\r\n" + &body).into_bytes()
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split("\r\n\r\n").next()?.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// One RTSP message or one interleaved packet.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// The message's text; None for an interleaved packet.
    fn text(&self) -> Option<String> {
        (self.bytes.first() != Some(&b'$')).then(|| String::from_utf8_lossy(&self.bytes).into_owned())
    }
}

#[derive(Default)]
struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// The next message; None at the end of the stream.
    fn next(&mut self, from: &mut impl Read) -> std::io::Result<Option<Message>> {
        let mut chunk = [0; 65536];
        loop {
            if let Some(size) = self.complete() {
                let rest = self.buffer.split_off(size);
                let bytes = std::mem::replace(&mut self.buffer, rest);
                return Ok(Some(Message { bytes }));
            }
            let n = from.read(&mut chunk)?;
            if n == 0 {
                return Ok(None);
            }
            self.buffer.extend_from_slice(&chunk[..n]);
        }
    }

    /// The size of the first message, if all of it is here.
    fn complete(&self) -> Option<usize> {
        let buffer = &self.buffer;
        let size = if *buffer.first()? == b'$' {
            4 + usize::from(u16::from_be_bytes([*buffer.get(2)?, *buffer.get(3)?]))
        } else {
            let head = buffer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
            let text = String::from_utf8_lossy(&buffer[..head]);
            let body = header(&text, "content-length").and_then(|n| n.parse::<usize>().ok());
            head + body.unwrap_or(0)
        };
        (buffer.len() >= size).then_some(size)
    }
}
