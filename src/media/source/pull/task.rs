//! One attempt at one camera, from the connection to its end: DESCRIBE, SETUP of what was
//! selected, PLAY, and then packets (RFC 2326 §10).

use std::time::Duration;

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_sdp as gst_sdp;
use tokio::time::{Instant, sleep};

use super::auth::Auth;
use super::connection::{Connection, Fault};
use super::element::RtspSrc;
use super::headers;
use super::inbox::Item;
use super::message::{Message, Start};
use super::track::{Track, Tracks};
use crate::config::RtspUrl;
use crate::media::blocking;

/// Between two signs of life, where a third of the session's time is not shorter (one may
/// be answered with a new nonce). Cameras end sessions after 10 s at the shortest; some say
/// nothing of it.
const EVERY: Duration = Duration::from_secs(5);
/// So many cameras may send us on to the next one.
const REDIRECTIONS: usize = 5;
/// For the end of a session. A camera answers in a millisecond, or never.
const FAREWELL: Duration = Duration::from_millis(500);
/// Making a stream's branch takes milliseconds, the first time some more for its plugins.
const BUILD: Duration = Duration::from_secs(15);

/// What an attempt is about.
#[derive(Debug, Clone)]
pub struct Conf {
    /// The camera.
    pub url: RtspUrl,
    /// No connection and no answer for this long is a failure.
    pub patience: Duration,
}

/// A stream that the SDP has and somebody selected.
struct Stream {
    number: u32,
    control: Option<String>,
    caps: gst::Caps,
    payload: u8,
    video: bool,
}

/// What is known of the camera; outlives an attempt that is stopped.
struct Talk {
    connection: Option<Connection>,
    auth: Auth,
    /// The URL of the whole session.
    aggregate: String,
}

/// Runs until the camera ends it or `stop` does.
pub async fn run(element: RtspSrc, conf: Conf, stop: std::sync::Arc<tokio::sync::Notify>) {
    let auth = Auth::new(conf.url.user.as_deref(), conf.url.password.as_ref());
    let mut talk = Talk { connection: None, auth, aggregate: conf.url.location() };
    let ended = tokio::select! {
        biased;
        () = stop.notified() => None,
        fault = talk.play(&element, &conf) => Some(fault),
    };
    match ended {
        // Whoever builds the branches has the element's lock, perhaps for good: this thread
        // reads other cameras too.
        Some(Err(Fault::Stuck)) => {
            let element = element.clone();
            blocking::detached(move || element.failed(Fault::Stuck));
        }
        Some(Err(fault)) => element.failed(fault),
        _ => {}
    }
    // The pipeline may go before the camera has heard of it.
    drop(element);
    let gone = matches!(ended, Some(Err(Fault::Closed | Fault::Broken)));
    if let Some(connection) = talk.connection.filter(|_| !gone) {
        connection.tear_down(talk.auth, &talk.aggregate, FAREWELL).await;
    }
}

impl Talk {
    async fn play(&mut self, element: &RtspSrc, conf: &Conf) -> Result<(), Fault> {
        let (description, base, method) = self.describe(conf).await?;
        let (streams, control) = streams(element, &description)?;
        self.aggregate = headers::control(&base, control.as_deref());
        let (tracks, timeout) = self.set_up(element, streams, &base).await?;
        let mut tracks = Tracks::new(element.clone().upcast(), tracks);
        let Some(connection) = &mut self.connection else { return Err(Fault::Closed) };
        connection.play(tracks.channels());
        let range = [("Range", "npt=0.000-")];
        tracks.arrived();
        let early = |channel, data: &[u8]| {
            tracks.arrived();
            tracks.packet(channel, data)
        };
        success(connection.ask(&mut self.auth, ("PLAY", &self.aggregate), &range, early).await?)?;
        let every = EVERY.min(timeout / 3);
        let mut due = std::pin::pin!(sleep(every));
        let ended = loop {
            // What came with the answer first.
            if let Err(fault) = hand_on(connection, &mut self.auth, &mut tracks) {
                break fault;
            }
            tokio::select! {
                biased;
                () = &mut due => {
                    connection.post(&mut self.auth, method, &self.aggregate);
                    due.as_mut().reset(Instant::now() + every);
                }
                came = connection.fill() => {
                    if let Err(fault) = came {
                        break fault;
                    }
                    connection.acknowledge();
                    tracks.arrived();
                }
            }
        };
        if ended == Fault::Closed {
            // As from any source whose stream is over.
            tracks.end();
            return Ok(());
        }
        Err(ended)
    }

    /// Connects, asks what there is and what can be asked, and follows where the camera
    /// sends us. The SDP, what its URLs are relative to, and the method that keeps a
    /// session alive.
    async fn describe(&mut self, conf: &Conf) -> Result<(gst_sdp::SDPMessage, String, &'static str), Fault> {
        let mut url = conf.url.clone();
        for _ in 0..=REDIRECTIONS {
            let location = url.location();
            let connection = self.connection.insert(Connection::open(&url, conf.patience).await?);
            let none = |_, _: &[u8]| Ok(());
            let options = connection.ask(&mut self.auth, ("OPTIONS", &location), &[], none).await?;
            // A camera may not know OPTIONS; DESCRIBE has the last word.
            let public = options.header("public").unwrap_or_default();
            let parameter = public.is_empty() || headers::offers(public, "GET_PARAMETER");
            let method = if parameter { "GET_PARAMETER" } else { "OPTIONS" };
            refused(&options)?;
            let accept = [("Accept", "application/sdp")];
            let answer = connection.ask(&mut self.auth, ("DESCRIBE", &location), &accept, none).await?;
            if let (Start::Response(300..400), Some(to)) = (&answer.start, answer.header("location")) {
                let next = match headers::redirected(to) {
                    Some(next) if next.tls => return Err(Fault::Rtsps),
                    Some(next) => next,
                    None => break,
                };
                self.auth.sent_elsewhere(next.host.eq_ignore_ascii_case(&url.host));
                url = next;
                continue;
            }
            let answer = success(answer)?;
            let base = answer.header("content-base").and_then(headers::absolute);
            let base =
                base.or_else(|| answer.header("content-location").and_then(headers::absolute)).unwrap_or(location);
            let kind = answer.header("content-type").unwrap_or("application/sdp");
            // The library cannot stand what is no UTF-8, nor an empty text.
            let text = String::from_utf8_lossy(&answer.body).replace('\0', "");
            if !kind.to_ascii_lowercase().contains("sdp") || text.is_empty() {
                return Err(Fault::NoSdp);
            }
            let sdp = gst_sdp::SDPMessage::parse_buffer(text.as_bytes()).map_err(|_| Fault::NoSdp)?;
            return Ok((sdp, base, method));
        }
        Err(Fault::Status(302))
    }

    /// Sets up what the camera lets us have, with a pad for each.
    async fn set_up(
        &mut self,
        element: &RtspSrc,
        streams: Vec<Stream>,
        base: &str,
    ) -> Result<(Vec<Track>, Duration), Fault> {
        let Some(connection) = &mut self.connection else { return Err(Fault::Closed) };
        let (mut ready, mut timeout) = (Vec::new(), Duration::MAX);
        for (n, stream) in (0u8..).step_by(2).zip(streams) {
            let url = headers::control(base, stream.control.as_deref());
            let transport = format!("RTP/AVP/TCP;unicast;interleaved={n}-{}", n + 1);
            let wanted = [("Transport", transport.as_str())];
            let answer = connection.ask(&mut self.auth, ("SETUP", &url), &wanted, |_, _| Ok(())).await?;
            if answer.start == Start::Response(461) {
                // Perhaps of this stream alone.
                continue;
            }
            let answer = success(answer)?;
            if let Some((name, lasts)) = answer.header("session").and_then(headers::session) {
                timeout = timeout.min(lasts);
                connection.session = Some(name);
            }
            let channels = answer.header("transport").and_then(headers::interleaved).unwrap_or((n, n + 1));
            ready.push((stream, channels));
        }
        if ready.is_empty() {
            return Err(Fault::Status(461));
        }
        let (element, wanted) = (element.clone(), ready);
        let begin = move || {
            let tracks = wanted.into_iter().map(|(stream, channels)| {
                let pad = element.expose(stream.number, &stream.caps)?;
                Some(Track::new(pad, channels, stream.payload, stream.video))
            });
            let tracks: Option<Vec<Track>> = tracks.collect();
            element.complete();
            tracks
        };
        let tracks = blocking::run(BUILD, begin).await.ok().flatten().ok_or(Fault::Stuck)?;
        Ok((tracks, timeout))
    }
}

/// What is waiting in the buffer.
fn hand_on(connection: &mut Connection, auth: &mut Auth, tracks: &mut Tracks) -> Result<(), Fault> {
    while let Some(item) = connection.next()? {
        match item {
            Item::Packet { channel, data } => tracks.packet(channel, data)?,
            Item::Message(message) => connection.heard(&message, auth),
        }
    }
    tracks.pause()
}

fn success(answer: Message) -> Result<Message, Fault> {
    match answer.start {
        Start::Response(200..300) => Ok(answer),
        Start::Response(status) => Err(Fault::Status(status)),
        Start::Request(_) => Err(Fault::Nonsense),
    }
}

/// Whether asking on is of no use: it would only show a wrong password twice.
fn refused(answer: &Message) -> Result<(), Fault> {
    match answer.start {
        Start::Response(status @ (401 | 403 | 407)) => Err(Fault::Status(status)),
        _ => Ok(()),
    }
}

/// The streams that somebody selects, and where the whole session is controlled.
fn streams(element: &RtspSrc, sdp: &gst_sdp::SDPMessageRef) -> Result<(Vec<Stream>, Option<String>), Fault> {
    element.described(sdp);
    let mut all = Vec::new();
    for (number, media) in (0u32..).zip(sdp.medias()) {
        if !element.selects(number) {
            continue;
        }
        let Some(payload) = media.format(0).and_then(|f| f.trim().parse::<u8>().ok()).filter(|p| *p < 128) else {
            continue;
        };
        let Some(mut caps) = media.caps_from_media(payload.into()) else { continue };
        {
            let caps = caps.make_mut();
            if let Some(s) = caps.structure_mut(0) {
                s.set_name("application/x-rtp");
                // RFC 3551 §6: these need no rtpmap.
                let name = match payload {
                    0 => Some("PCMU"),
                    8 => Some("PCMA"),
                    _ => None,
                };
                if let Some(name) = name.filter(|_| !s.has_field("encoding-name")) {
                    s.set("encoding-name", name);
                }
            }
        }
        let control = media.attribute_val("control").map(str::to_owned);
        all.push(Stream { number, control, caps, payload, video: media.media() == Some("video") });
    }
    // A channel is a byte, and no camera has so many streams.
    all.truncate(16);
    if all.is_empty() { Err(Fault::Nothing) } else { Ok((all, sdp.attribute_val("control").map(str::to_owned))) }
}
