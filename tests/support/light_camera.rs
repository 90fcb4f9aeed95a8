//! A camera that costs next to nothing: plain sockets, RTSP over TCP only, frames that
//! were encoded before. It sends at its rate, or each frame when it is told to; in one
//! piece or packet by packet, with Nagle's algorithm or without. For benches with many
//! cameras, and for tests of what happens between two frames.

use super::feed::Recorded;
use super::mono;
use super::nal::{self, Codec, Stamp};
use base64::Engine as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How it sends.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// Largest payload of a packet.
    pub payload: usize,
    /// A write per packet, as cameras do; otherwise one per frame.
    pub packet_by_packet: bool,
    /// What is small waits for the acknowledgement of what was sent before.
    pub nagle: bool,
    /// Parameter sets before key frames; otherwise in the SDP only.
    pub sets_in_band: bool,
    /// Time between two frames; none: see [`LightCamera::send`].
    pub every: Option<Duration>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            payload: 1_388,
            packet_by_packet: true,
            nagle: false,
            sets_in_band: true,
            every: Some(Duration::from_millis(40)),
        }
    }
}

/// Any path of its URL is a camera of its own. Its threads end with it.
pub struct LightCamera {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    frames: Vec<Frame>,
    manners: Manners,
    clients: Mutex<Vec<Client>>,
    count: AtomicU32,
    ended: AtomicBool,
}

/// H.264 without start codes.
struct Frame {
    units: Vec<Vec<u8>>,
}

/// A connection that plays.
struct Client {
    socket: TcpStream,
    sequence: u16,
    index: u32,
    due: Instant,
    out: Vec<u8>,
}

impl LightCamera {
    /// Starts it with an H.264 recording.
    pub fn start(recording: &[Recorded], manners: Manners) -> Self {
        let units = |data: &[u8]| nal::units(data).map(|(_, u)| u.to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").expect("no port");
        let shared = Arc::new(Shared {
            frames: recording.iter().map(|r| Frame { units: units(&r.data) }).collect(),
            manners,
            clients: Mutex::default(),
            count: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        });
        let address = listener.local_addr().unwrap();
        let theirs = shared.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if theirs.ended.load(SeqCst) {
                    return;
                }
                let shared = theirs.clone();
                std::thread::spawn(move || shared.converse(socket));
            }
        });
        if let Some(every) = manners.every {
            let theirs = shared.clone();
            std::thread::spawn(move || theirs.pace(every));
        }
        Self { address, shared }
    }

    /// The URL of one of its cameras.
    pub fn url(&self, path: &str) -> String {
        format!("rtsp://{}/{path}", self.address)
    }

    /// Connections that play.
    pub fn playing(&self) -> usize {
        self.shared.clients().len()
    }

    /// Sends the next frame to everybody who plays; its index.
    pub fn send(&self) -> u32 {
        let mut clients = self.shared.clients();
        let index = clients.first().map_or(0, |c| c.index);
        clients.retain_mut(|c| c.send(&self.shared, mono::now_ns()));
        index
    }
}

impl Drop for LightCamera {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        for client in self.shared.clients().drain(..) {
            let _ = client.socket.shutdown(std::net::Shutdown::Both);
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn clients(&self) -> MutexGuard<'_, Vec<Client>> {
        self.clients.lock().unwrap()
    }

    /// Each client in a phase of its own.
    fn pace(&self, every: Duration) {
        while !self.ended.load(SeqCst) {
            let now = Instant::now();
            let mut next = now + Duration::from_millis(5);
            self.clients().retain_mut(|c| {
                let mut alive = true;
                while alive && c.due <= now {
                    alive = c.send(self, mono::to_ns(c.due));
                    c.due += every;
                }
                next = next.min(c.due);
                alive
            });
            std::thread::sleep(next.saturating_duration_since(Instant::now())); // poll: the camera's clock
        }
    }

    /// RTSP until PLAY and beyond. Anything else than requests is skipped.
    fn converse(&self, socket: TcpStream) -> Option<()> {
        socket.set_nodelay(!self.manners.nagle).ok()?;
        let mut write = socket.try_clone().ok()?;
        let mut read = BufReader::new(socket.try_clone().ok()?);
        loop {
            let mut first = [0];
            read.read_exact(&mut first).ok()?;
            if first == *b"$" {
                let mut head = [0; 3];
                read.read_exact(&mut head).ok()?;
                let mut report = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
                read.read_exact(&mut report).ok()?;
                continue;
            }
            let (mut line, mut cseq) = (String::new(), String::new());
            read.read_line(&mut line).ok()?;
            let line = format!("{}{line}", char::from(first[0]));
            let (method, rest) = line.split_once(' ')?;
            let url = rest.split(' ').next()?.trim_end_matches('/');
            loop {
                let mut header = String::new();
                read.read_line(&mut header).ok()?;
                match header.split_once(':') {
                    Some((name, value)) if name.eq_ignore_ascii_case("cseq") => cseq = value.trim().into(),
                    Some(_) => {}
                    None => break,
                }
            }
            let more = match method {
                "DESCRIBE" => {
                    let sdp = self.sdp();
                    let length = sdp.len();
                    format!(
                        "Content-Base: {url}/\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{sdp}"
                    )
                }
                "SETUP" => "Session: 1;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n".into(),
                "OPTIONS" => "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n\r\n".into(),
                _ => "Session: 1\r\n\r\n".to_owned(),
            };
            // An answer must not stand in the middle of a frame.
            let mut clients = self.clients();
            write.write_all(format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{more}").as_bytes()).ok()?;
            if method == "PLAY" {
                let phase = Duration::from_micros(u64::from(self.count.fetch_add(1, SeqCst)) * 7_919 % 40_000);
                let due = Instant::now() + Duration::from_millis(50) + phase;
                clients.push(Client { socket: socket.try_clone().ok()?, sequence: 1, index: 0, due, out: Vec::new() });
            }
            if method == "TEARDOWN" {
                let _ = socket.shutdown(std::net::Shutdown::Both);
                return None;
            }
        }
    }

    fn sdp(&self) -> String {
        let sets: Vec<&Vec<u8>> = self.frames[0].units.iter().filter(|u| matches!(u[0] & 0x1f, 7 | 8)).collect();
        let text: Vec<String> =
            sets.iter().map(|s| base64::engine::general_purpose::STANDARD.encode(s.as_slice())).collect();
        let profile: String = sets[0][1..4].iter().map(|b| format!("{b:02x}")).collect();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=light\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n\
             c=IN IP4 0.0.0.0\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id={profile};\
             sprop-parameter-sets={}\r\na=control:track1\r\n",
            text.join(",")
        )
    }
}

impl Client {
    /// Sends the next frame, stamped; false when the connection is gone.
    fn send(&mut self, shared: &Shared, captured_ns: u64) -> bool {
        let frame = &shared.frames[self.index as usize % shared.frames.len()];
        let stamp = Stamp { index: self.index, captured_ns, handed_ns: mono::now_ns() }.to_nal(Codec::H264);
        let wanted = |u: &&Vec<u8>| match u[0] & 0x1f {
            7 | 8 => shared.manners.sets_in_band,
            kind => kind != 9,
        };
        let units: Vec<&Vec<u8>> = frame.units.iter().filter(wanted).collect();
        // The stamp's start code is no part of it. Parameter sets come before it.
        let sets = units.iter().take_while(|u| matches!(u[0] & 0x1f, 7 | 8)).count();
        let (front, back) = units.split_at(sets);
        let all = front.iter().map(|u| u.as_slice()).chain([&stamp[4..]]).chain(back.iter().map(|u| u.as_slice()));
        self.out.clear();
        let mut cuts = Vec::new();
        let time = self.index.wrapping_mul(3_600);
        let count = units.len();
        for (n, unit) in all.enumerate() {
            self.unit(unit, n == count, time, shared.manners.payload, &mut cuts);
        }
        self.index += 1;
        if !shared.manners.packet_by_packet {
            return self.socket.write_all(&self.out).is_ok();
        }
        let starts = std::iter::once(&0).chain(&cuts);
        starts.zip(&cuts).all(|(from, to)| (&self.socket).write_all(&self.out[*from..*to]).is_ok())
    }

    /// A NAL unit, in one packet or in fragments (FU-A).
    fn unit(&mut self, unit: &[u8], last: bool, time: u32, most: usize, cuts: &mut Vec<usize>) {
        if unit.len() <= most {
            self.packet(last, time, &[], unit);
            return cuts.push(self.out.len());
        }
        let pieces: Vec<&[u8]> = unit[1..].chunks(most - 2).collect();
        for (n, piece) in pieces.iter().enumerate() {
            let (first, end) = (n == 0, n + 1 == pieces.len());
            let fu = unit[0] & 0x1f | if first { 0x80 } else { 0 } | if end { 0x40 } else { 0 };
            self.packet(last && end, time, &[unit[0] & 0xe0 | 28, fu], piece);
            cuts.push(self.out.len());
        }
    }

    fn packet(&mut self, marker: bool, time: u32, head: &[u8], body: &[u8]) {
        let length = (12 + head.len() + body.len()) as u16;
        self.out.extend([b'$', 0]);
        self.out.extend(length.to_be_bytes());
        self.out.extend([0x80, 96 | if marker { 0x80 } else { 0 }]);
        self.out.extend(self.sequence.to_be_bytes());
        self.out.extend(time.to_be_bytes());
        self.out.extend(1u32.to_be_bytes());
        self.out.extend(head);
        self.out.extend(body);
        self.sequence = self.sequence.wrapping_add(1);
    }
}
