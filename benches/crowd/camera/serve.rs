//! The camera's process: an RTSP server of one thread that paces recorded packets out,
//! interleaved over TCP. Each reader's connection sends by the camera's clock.

use super::rtp::report;
use super::stream::Stream;
use crate::support::mono;
use crate::support::nal::Stamp;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Every so manyth frame has a stamp, and is in the latencies: a stamp is a packet of its own,
/// and one that is smaller than those behind it, so that each frame of each viewer would cost
/// a message (and a wake of the viewer) more than a camera's do. Shares no factor with the
/// GOPs: every kind of frame has its turn.
pub const STAMP: u32 = 7;
/// Between sender reports, in frames.
const REPORT: u32 = 125;
/// A request longer than this is none.
const REQUEST: usize = 16_384;
/// Seconds from 1900 to 1970.
const NTP: u64 = 2_208_988_800;

/// What the connections share.
struct Shared {
    streams: Vec<Stream>,
    /// The camera's power-on, of all frame counts.
    zero: Instant,
    playing: std::cell::Cell<usize>,
}

/// Serves until its standard input ends. Says the port, the packets per second of each
/// stream and the clock's zero first, then how many readers play, whenever that changes.
pub fn serve(port: u16, names: &[String]) {
    crate::support::init();
    let streams: Vec<Stream> = names.iter().filter_map(|n| Stream::record(n)).collect();
    // The reader of this line may be gone; then there is nobody to serve either.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("no runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the camera's port is taken");
        let zero = Instant::now();
        let rates: Vec<_> = streams.iter().map(|s| format!("{}={:.0}", s.name, s.rate())).collect();
        let port = listener.local_addr().expect("no address").port();
        println!("port {port} zero {} {}", mono::to_ns(zero), rates.join(" "));
        let shared = Rc::new(Shared { streams, zero, playing: Default::default() });
        loop {
            let Ok((socket, _)) = listener.accept().await else { continue };
            let shared = shared.clone();
            tokio::task::spawn_local(async move {
                let mut reader = Reader { shared, socket, stream: None, input: Vec::new() };
                let _ = reader.run().await;
                if reader.stream.is_some_and(|s| s.playing) {
                    reader.shared.playing.set(reader.shared.playing.get() - 1);
                    println!("playing {}", reader.shared.playing.get());
                }
            });
        }
    });
}

/// One connection.
struct Reader {
    shared: Rc<Shared>,
    socket: TcpStream,
    stream: Option<Play>,
    input: Vec<u8>,
}

/// The stream that a reader chose.
#[derive(Clone, Copy)]
struct Play {
    at: usize,
    /// When its frame 0 was taken.
    zero: Instant,
    playing: bool,
    next: u16,
    ssrc: u32,
    /// Frames taken so far.
    frame: u32,
    packets: u32,
}

impl Reader {
    async fn run(&mut self) -> std::io::Result<()> {
        self.socket.set_nodelay(true)?;
        let mut out = Vec::with_capacity(128 * 1024);
        let mut buffer = [0u8; 4_096];
        loop {
            let due = self.due();
            tokio::select! {
                got = self.socket.read(&mut buffer) => {
                    let got = got?;
                    if got == 0 || self.input.len() > REQUEST {
                        return Ok(());
                    }
                    self.input.extend_from_slice(&buffer[..got]);
                    while let Some(request) = self.request() {
                        let Some(answer) = self.answer(&request) else { return Ok(()) };
                        self.socket.write_all(answer.as_bytes()).await?;
                    }
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(far).into()), if due.is_some() => {
                    out.clear();
                    self.frame(&mut out);
                    self.socket.write_all(&out).await?;
                }
            }
        }
    }

    /// When the next frame is to be sent.
    fn due(&self) -> Option<Instant> {
        let play = self.stream.filter(|s| s.playing)?;
        Some(play.zero + self.shared.interval(play.at) * play.frame)
    }

    /// Takes a frame and writes it to `out`, with a sender report now and then.
    fn frame(&mut self, out: &mut Vec<u8>) {
        let Some(play) = &mut self.stream else { return };
        let stream = &self.shared.streams[play.at];
        let interval = self.shared.interval(play.at);
        let now = Instant::now();
        // Who took nothing for a second gets the newest.
        let newest = (now.saturating_duration_since(play.zero).as_nanos() / interval.as_nanos()) as u32;
        if newest > play.frame + stream.fps {
            play.frame = newest;
        }
        let captured = play.zero + interval * play.frame;
        let time = play.frame.wrapping_mul(90_000 / stream.fps);
        let packed = &stream.frames[play.frame as usize % stream.frames.len()];
        if play.frame.is_multiple_of(REPORT) {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let ntp = ((wall.as_secs() + NTP) << 32) | ((u64::from(wall.subsec_nanos()) << 32) / 1_000_000_000);
            out.extend_from_slice(&report(play.ssrc, ntp, time, play.packets, 0));
        }
        let stamp = Stamp { index: play.frame, captured_ns: mono::to_ns(captured), handed_ns: mono::to_ns(now) };
        let stamp = play.frame.is_multiple_of(STAMP).then_some(stamp);
        play.packets += packed.write(out, stamp, time, &mut play.next, play.ssrc) as u32;
        play.frame += 1;
    }

    /// A whole request out of what has come, without its body; RTCP is passed over.
    fn request(&mut self) -> Option<String> {
        loop {
            if self.input.first() == Some(&b'$') {
                let length = u16::from_be_bytes([*self.input.get(2)?, *self.input.get(3)?]);
                let whole = 4 + usize::from(length);
                if self.input.len() < whole {
                    return None;
                }
                self.input.drain(..whole);
                continue;
            }
            let end = self.input.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
            let head = String::from_utf8_lossy(&self.input[..end]).into_owned();
            let body = header(&head, "content-length").and_then(|v| v.parse().ok()).unwrap_or(0usize);
            if self.input.len() < end + body {
                return None;
            }
            self.input.drain(..end + body);
            return Some(head);
        }
    }

    /// The answer; None ends the connection.
    fn answer(&mut self, request: &str) -> Option<String> {
        let mut words = request.split_whitespace();
        let (method, url) = (words.next()?, words.next()?);
        let number = header(request, "cseq").unwrap_or_default();
        let with = |status: &str, rest: &str| {
            Some(format!("RTSP/1.0 {status}\r\nCSeq: {number}\r\nServer: double\r\n{rest}\r\n"))
        };
        let session = "Session: 1;timeout=60\r\n";
        match method {
            "OPTIONS" => with("200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN\r\n"),
            "DESCRIBE" => {
                let Some((at, _)) = self.shared.find(url) else { return with("404 Not Found", "") };
                let sdp = self.shared.streams[at].sdp();
                let rest = format!(
                    "Content-Base: {url}/\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n",
                    sdp.len()
                );
                with("200 OK", &rest).map(|head| head + &sdp)
            }
            "SETUP" if !header(request, "transport").is_some_and(|t| t.contains("TCP")) => {
                with("461 Unsupported Transport", "")
            }
            "SETUP" => {
                let Some((at, phase)) = self.shared.find(url) else { return with("404 Not Found", "") };
                let zero = self.shared.zero + phase;
                let ssrc = 0x1000 + phase.as_micros() as u32;
                self.stream = Some(Play { at, zero, playing: false, next: 1, ssrc, frame: 0, packets: 0 });
                with("200 OK", &format!("Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc={ssrc:08X}\r\n{session}"))
            }
            "PLAY" => {
                let Some(play) = &mut self.stream else {
                    return with("455 Method Not Valid in This State", "");
                };
                if !play.playing {
                    play.playing = true;
                    let passed = Instant::now().saturating_duration_since(play.zero);
                    play.frame = (passed.as_nanos() / self.shared.interval(play.at).as_nanos()) as u32 + 1;
                    self.shared.playing.set(self.shared.playing.get() + 1);
                    println!("playing {}", self.shared.playing.get());
                }
                with("200 OK", session)
            }
            "TEARDOWN" => None,
            _ => with("200 OK", session),
        }
    }
}

impl Shared {
    /// The stream of a URL, and by how much its frames are later than those of number 0.
    fn find(&self, url: &str) -> Option<(usize, Duration)> {
        let path = url.split('/').nth(3)?;
        let at = self.streams.iter().position(|s| path.starts_with(s.name.as_str()))?;
        let number: u32 = path.get(self.streams[at].name.len()..)?.parse().unwrap_or(0);
        // Prime to the interval of 40 ms, so that many cameras are spread evenly.
        Some((at, Duration::from_micros(u64::from(number) * 7_300 % 40_000)))
    }

    fn interval(&self, at: usize) -> Duration {
        Duration::from_secs(1) / self.streams[at].fps
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut found = head.lines().filter_map(|l| l.split_once(':')).filter(|(n, _)| n.trim().eq_ignore_ascii_case(name));
    found.next().map(|(_, v)| v.trim())
}
