//! A WHEP viewer that is somebody else's WebRTC: str0m in RTP mode.
//!
//! ```ignore
//! let viewer = Viewer::join(&gateway.url(), "gate", Options::default()).await?;
//! until_true(SECONDS_5, "ten frames", || viewer.with(|log| log.video.complete_frames() >= 10)).await;
//! assert_eq!(viewer.leave().await?, 200);
//! ```

use super::nal::Codec;
pub use super::whep_log::{Frame, Log, Packet, State, Track, Wire};
pub use super::whep_loop::ViewerPool;
use super::whep_loop::{Command, Job};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::{Candidate, Rtc};
use tokio::sync::mpsc;

/// How to join.
#[derive(Clone)]
pub struct Options {
    pub video: bool,
    pub audio: bool,
    /// Offer H.265, too (first H.264).
    pub h265: bool,
    /// Sent with every request: `Authorization`, `If-Match` …
    pub headers: Vec<(String, String)>,
    /// Appended to the POST's URL, with its `?`.
    pub query: String,
    /// POST to `/{path}/whep` instead of `/whep/{path}`.
    pub path_first: bool,
    /// Keep a record of every packet.
    pub packets: bool,
    /// Keep the payloads in those records.
    pub payloads: bool,
    /// Share of the RTP packets to throw away on arrival, 0 to 1.
    pub loss: f64,
    /// Receive buffer in bytes; None: the system's default, as real clients have it.
    pub receive_buffer: Option<usize>,
    /// The local address of the socket.
    pub bind: IpAddr,
    /// Edits the offer before it is posted.
    pub edit_offer: Option<Arc<dyn Fn(String) -> String + Send + Sync>>,
    /// Edits the answer before it is taken.
    pub edit_answer: Option<Arc<dyn Fn(String) -> String + Send + Sync>>,
    /// How long the POST may take.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            video: true,
            audio: true,
            h265: false,
            headers: Vec::new(),
            query: String::new(),
            path_first: false,
            packets: false,
            payloads: false,
            loss: 0.0,
            receive_buffer: None,
            bind: Ipv4Addr::LOCALHOST.into(),
            edit_offer: None,
            edit_answer: None,
            timeout: Duration::from_secs(30),
        }
    }
}

/// An answer that is not 201, or none at all (`status` 0, the cause in `body`).
#[derive(Debug, Clone)]
pub struct HttpError {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl HttpError {
    fn local(cause: impl std::fmt::Display) -> Self {
        Self { status: 0, headers: Vec::new(), body: cause.to_string() }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

impl std::fmt::Display for HttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

impl std::error::Error for HttpError {}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = headers.iter().filter(|(k, _)| k.eq_ignore_ascii_case(name));
    found.next().map(|(_, v)| v.as_str())
}

/// An offer that waits for its answer, for tests that do the HTTP themselves.
pub struct Offer {
    rtc: Rtc,
    pending: str0m::change::SdpPendingOffer,
    socket: UdpSocket,
    options: Options,
    kinds: HashMap<Mid, MediaKind>,
    /// The SDP to post.
    pub sdp: String,
}

impl Offer {
    /// Binds a socket and writes an offer.
    pub fn new(options: &Options) -> Result<Self, HttpError> {
        super::init();
        let socket = UdpSocket::bind((options.bind, 0)).map_err(HttpError::local)?;
        if let Some(size) = options.receive_buffer {
            receive_buffer(&socket, size);
        }
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .enable_h265(options.h265)
            // Off by default in str0m, on in every browser.
            .enable_pcmu(true, false)
            .enable_pcma(true, false)
            .set_stats_interval(Some(Duration::from_millis(250)))
            .build(Instant::now());
        let address = socket.local_addr().map_err(HttpError::local)?;
        rtc.add_local_candidate(Candidate::host(address, "udp").map_err(HttpError::local)?);
        let mut change = rtc.sdp_api();
        let mut kinds = HashMap::new();
        for (wanted, kind) in [(options.video, MediaKind::Video), (options.audio, MediaKind::Audio)] {
            if wanted {
                kinds.insert(change.add_media(kind, Direction::RecvOnly, None, None, None), kind);
            }
        }
        let (offer, pending) = change.apply().ok_or_else(|| HttpError::local("neither video nor audio is wanted"))?;
        let mut sdp = offer.to_sdp_string();
        if let Some(edit) = &options.edit_offer {
            sdp = edit(sdp);
        }
        Ok(Self { rtc, pending, socket, options: options.clone(), kinds, sdp })
    }

    /// Takes the answer and starts to receive in `pool`.
    pub fn answered(
        self,
        pool: &ViewerPool,
        answer: &str,
        posted: Instant,
        answered: Instant,
    ) -> Result<Viewer, HttpError> {
        let Self { mut rtc, pending, socket, options, kinds, .. } = self;
        let parsed = SdpAnswer::from_sdp_string(answer).map_err(HttpError::local)?;
        rtc.sdp_api().accept_answer(pending, parsed).map_err(HttpError::local)?;
        let log = Arc::new(Mutex::new(Log {
            posted,
            answered,
            connected: None,
            state: State::default(),
            video: Track::default(),
            audio: Track::default(),
            wire: Wire::default(),
            error: None,
        }));
        let (commands, receiver) = mpsc::unbounded_channel();
        pool.run(Job {
            rtc,
            socket,
            log: log.clone(),
            commands: receiver,
            video: video_payloads(answer),
            kinds,
            keep_packets: options.packets || options.payloads,
            keep_payloads: options.payloads,
            loss: options.loss,
        });
        Ok(Viewer {
            log,
            commands,
            request_headers: options.headers,
            answer: answer.to_string(),
            location: None,
            headers: Vec::new(),
        })
    }
}

/// A viewer; vanishes when dropped.
pub struct Viewer {
    log: Arc<Mutex<Log>>,
    commands: mpsc::UnboundedSender<Command>,
    request_headers: Vec<(String, String)>,
    answer: String,
    location: Option<String>,
    headers: Vec<(String, String)>,
}

impl Viewer {
    /// POSTs an offer to `{base}/whep/{path}` and connects.
    pub async fn join(base: &str, path: &str, options: Options) -> Result<Self, HttpError> {
        Self::join_in(&ViewerPool::shared(), base, path, options).await
    }

    /// [`Viewer::join`] on the threads of `pool`.
    pub async fn join_in(pool: &ViewerPool, base: &str, path: &str, options: Options) -> Result<Self, HttpError> {
        let base = base.trim_end_matches('/');
        let url = match options.path_first {
            false => format!("{base}/whep/{path}{}", options.query),
            true => format!("{base}/{path}/whep{}", options.query),
        };
        let offer = Offer::new(&options)?;
        let mut request =
            client(options.timeout).post(&url).header("Content-Type", "application/sdp").body(offer.sdp.clone());
        for (name, value) in &options.headers {
            request = request.header(name, value);
        }
        let posted = Instant::now();
        let response = request.send().await.map_err(HttpError::local)?;
        let answered = Instant::now();
        let status = response.status().as_u16();
        let response_url = response.url().clone();
        let headers: Vec<_> = response
            .headers()
            .iter()
            .map(|(k, v)| (k.to_string(), String::from_utf8_lossy(v.as_bytes()).into()))
            .collect();
        let body = response.text().await.map_err(HttpError::local)?;
        if status != 201 {
            return Err(HttpError { status, headers, body });
        }
        let body = options.edit_answer.as_ref().map_or(body.clone(), |edit| edit(body));
        let mut viewer = offer.answered(pool, &body, posted, answered)?;
        viewer.location = find(&headers, "location").and_then(|l| response_url.join(l).ok()).map(|url| url.to_string());
        viewer.headers = headers;
        Ok(viewer)
    }

    /// Looks at the log.
    pub fn with<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&super::whep_loop::held(&self.log))
    }

    pub fn state(&self) -> State {
        self.with(|log| log.state)
    }

    /// The server's SDP.
    pub fn answer(&self) -> &str {
        &self.answer
    }

    /// The session's URL, absolute.
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// A header of the 201.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// All headers of the 201.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// DELETEs the session and stops; gives the status.
    pub async fn leave(self) -> Result<u16, HttpError> {
        let location = self.location.clone();
        let location = location.ok_or_else(|| HttpError::local("the 201 had no Location"))?;
        let mut request = client(Duration::from_secs(30)).delete(&location);
        for (name, value) in &self.request_headers {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(HttpError::local)?;
        Ok(response.status().as_u16())
    }

    /// Stops without a word, as a laptop does that is shut.
    pub fn vanish(&self) {
        let _ = self.commands.send(Command::Vanish);
    }

    /// Sends RTCP BYE and DTLS close_notify, and stops; no DELETE.
    pub fn close_dtls(&self) {
        let _ = self.commands.send(Command::Close);
    }

    /// Does something with str0m's session, on its thread, and gives what it gives.
    pub async fn with_rtc<T: Send + 'static>(&self, job: impl FnOnce(&mut Rtc) -> T + Send + 'static) -> T {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let job = Box::new(move |rtc: &mut Rtc| _ = answer.send(job(rtc)));
        let _ = self.commands.send(Command::Do(job));
        answered.await.expect("the viewer is gone")
    }

    /// Sends a PLI for the video.
    pub fn request_key_frame(&self) {
        let _ = self.commands.send(Command::RequestKey);
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.vanish();
    }
}

/// A fresh client each time: pooled connections belong to the runtime of the
/// test that opened them.
fn client(timeout: Duration) -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .build()
        .expect("no HTTP client")
}

/// The payload types of an SDP's video sections, with their codec where the kit
/// knows how to look into it.
pub fn video_payloads(sdp: &str) -> HashMap<u8, Option<Codec>> {
    let mut video = false;
    let mut found = HashMap::new();
    for line in sdp.lines().map(str::trim) {
        if let Some(media) = line.strip_prefix("m=") {
            video = media.starts_with("video");
        }
        if let Some((pt, name)) = line.strip_prefix("a=rtpmap:").and_then(|map| map.split_once(' '))
            && let Ok(pt) = pt.parse()
            && video
        {
            let codec = match name.split('/').next() {
                Some("H264") => Some(Codec::H264),
                Some("H265") => Some(Codec::H265),
                _ => None,
            };
            found.insert(pt, codec);
        }
    }
    found
}

pub(super) fn receive_buffer(socket: &UdpSocket, size: usize) {
    let size = size as libc::c_int;
    // The first one passes the system's limit, and is for root only.
    for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
        // SAFETY: pointer and size are those of a live int.
        let done = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const size).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if done == 0 {
            return;
        }
    }
}
