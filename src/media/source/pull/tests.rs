//! The whole source against cameras that are written down: what is asked, in which order,
//! and what comes of each answer.

mod passwords;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::config::{RtspUrl, Transport};
use crate::media::gop::Cap;
use crate::media::hub::Hub;
use crate::media::source::{EVENTS, Event, Failure, FailureKind, Hints, Origin, Source, Spec};

const SOON: Duration = Duration::from_secs(60);

/// One request, as it came.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    url: String,
    text: String,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().filter_map(|l| l.split_once(": ")).find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// An answer to it.
    fn answer(&self, status: &str, more: &str) -> Vec<u8> {
        let cseq = self.header("CSeq").unwrap();
        format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{more}\r\n").into_bytes()
    }

    fn ok(&self, more: &str) -> Vec<u8> {
        self.answer("200 OK", more)
    }
}

type Script = dyn Fn(&Asked, &str) -> Vec<u8> + Send + Sync;

/// A camera that says what its script has; nothing: it closes.
struct Stub {
    place: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    fn start(script: impl Fn(&Asked, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap().to_string();
        let (asked, script): (Arc<Mutex<Vec<Asked>>>, Arc<Script>) = (Arc::default(), Arc::new(script));
        let (all, at) = (asked.clone(), place.clone());
        // To the end of the test's process.
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let (all, at, script) = (all.clone(), at.clone(), script.clone());
                std::thread::spawn(move || {
                    let mut data = Vec::new();
                    let mut buffer = [0; 4_096];
                    loop {
                        while let Some(end) = data.windows(4).position(|w| w == b"\r\n\r\n") {
                            let text = String::from_utf8(data.drain(..end + 4).collect()).unwrap();
                            let mut words = text.split(' ');
                            let mut word = || words.next().unwrap_or_default().to_owned();
                            let asked = Asked { method: word(), url: word(), text };
                            all.lock().unwrap().push(asked.clone());
                            // What it is answered by us is none.
                            if asked.method.starts_with("RTSP/") {
                                continue;
                            }
                            let answer = script(&asked, &at);
                            if answer.is_empty() || socket.write_all(&answer).is_err() {
                                return;
                            }
                        }
                        match socket.read(&mut buffer) {
                            Ok(n) if n > 0 => data.extend_from_slice(&buffer[..n]),
                            _ => return,
                        }
                    }
                });
            }
        });
        Stub { place, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<String> {
        let strip = |a: &Asked| format!("{} {}", a.method, a.url.replace(&format!("rtsp://{}", self.place), ""));
        self.asked().iter().map(strip).collect()
    }

    async fn until(&self, what: &str, want: impl Fn(&[Asked]) -> bool) {
        let began = std::time::Instant::now();
        while !want(&self.asked()) {
            assert!(began.elapsed() < SOON, "waited for {what} in vain: {:#?}", self.asked());
            tokio::time::sleep(Duration::from_millis(5)).await; // poll
        }
    }
}

/// A source, and what it tells.
struct Run {
    source: Option<Source>,
    events: mpsc::Receiver<Event>,
    hub: Arc<Hub>,
}

impl Run {
    async fn start(url: &str) -> Self {
        Self::start_within(SOON, url).await
    }

    /// With a camera that has so long for each answer.
    async fn start_within(read_timeout: Duration, url: &str) -> Self {
        gstreamer::init().unwrap();
        let hub = Hub::new(Cap::default());
        let spec = Spec {
            path: "c".into(),
            origin: Origin::Rtsp {
                url: RtspUrl::parse(url).unwrap(),
                transport: Transport::Automatic,
                fingerprint: None,
            },
            template: None,
            read_timeout,
            hints: Hints::default(),
        };
        let (tx, events) = mpsc::channel(EVENTS);
        let source = Source::start(&spec, &hub, tx).await.unwrap();
        Run { source: Some(source), events, hub }
    }

    async fn next(&mut self) -> Event {
        tokio::time::timeout(SOON, self.events.recv()).await.expect("nothing is told").expect("it is gone")
    }

    async fn ready(&mut self) {
        loop {
            match self.next().await {
                Event::Ready => return,
                Event::Tracks(_) => {}
                Event::Failed(failure) => panic!("{failure:?}"),
            }
        }
    }

    async fn failure(&mut self) -> Failure {
        loop {
            if let Event::Failed(failure) = self.next().await {
                return failure;
            }
        }
    }

    async fn stop(&mut self) {
        self.source.take().unwrap().stop().await;
    }
}

async fn failure_of(url: &str) -> Failure {
    failure_within(SOON, url).await
}

async fn failure_within(read_timeout: Duration, url: &str) -> Failure {
    let mut run = Run::start_within(read_timeout, url).await;
    let failure = run.failure().await;
    run.stop().await;
    failure
}

const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=control:*\r\n\
    m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n\
    m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:trackID=2\r\n\
    m=audio 0 RTP/AVP 8\r\na=control:trackID=3\r\n";

fn described(asked: &Asked, base: &str) -> Vec<u8> {
    let length = SDP.len();
    let head = asked.ok(&format!("{base}Content-Type: application/sdp\r\nContent-Length: {length}\r\n"));
    [head, SDP.into()].concat()
}

fn interleaved(channel: u8, packet: &[u8]) -> Vec<u8> {
    let mut out = vec![b'$', channel];
    out.extend((packet.len() as u16).to_be_bytes());
    out.extend_from_slice(packet);
    out
}

/// A packet of video on channel 0: sequence number, timestamp.
fn video(sequence: u8, marker: bool, time: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x80, if marker { 0x80 | 96 } else { 96 }, 0, sequence, 0, 0, time, 0, 0, 0, 0, 7];
    p.extend_from_slice(payload);
    interleaved(0, &p)
}

/// A picture where readers can start.
fn key_frame(sequence: u8, time: u8) -> Vec<u8> {
    let sps: &[u8] = &[0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0x90];
    let all = [(sps, false), (&[0x68, 0xce, 0x3c, 0x80], false), (&[0x65, 0x88, 1, 2], true)];
    all.iter().zip(sequence..).flat_map(|((unit, marker), n)| video(n, *marker, time, unit)).collect()
}

/// Answers as a camera does; `then` follows the answer to PLAY.
fn usual(asked: &Asked, then: &[u8]) -> Vec<u8> {
    match asked.method.as_str() {
        "OPTIONS" => asked.ok("Public: OPTIONS, DESCRIBE, GET_PARAMETER\r\n"),
        "DESCRIBE" => described(asked, ""),
        "SETUP" => asked.ok(&format!("Session: 42;timeout=2\r\nTransport: {}\r\n", asked.header("Transport").unwrap())),
        "PLAY" => [asked.ok("Session: 42\r\n"), then.to_vec()].concat(),
        _ => asked.ok(""),
    }
}

#[tokio::test]
async fn a_session_from_the_first_request_to_the_last() {
    let camera = Stub::start(|asked, at| match asked.method.as_str() {
        "DESCRIBE" => described(asked, &format!("Content-Base: rtsp://u:secret@{at}/s?a=1/\r\n")),
        _ => usual(asked, &[b"\r\n".to_vec(), key_frame(1, 1)].concat()),
    });
    let mut run = Run::start(&format!("rtsp://oper:pass@{}/s?a=1", camera.place)).await;
    run.ready().await;
    let alive = |asked: &[Asked]| asked.iter().filter(|a| a.method == "GET_PARAMETER").count() >= 2;
    camera.until("2 signs of life", alive).await;
    run.stop().await;
    camera.until("TEARDOWN", |asked| asked.iter().any(|a| a.method == "TEARDOWN")).await;
    let lines = camera.lines();
    // What nobody selected is not set up.
    let begin = [
        "OPTIONS /s?a=1",
        "DESCRIBE /s?a=1",
        "SETUP /s?a=1/trackID=1",
        "SETUP /s?a=1/trackID=3",
        "PLAY /s?a=1/",
        "GET_PARAMETER /s?a=1/",
    ];
    assert_eq!(lines[..6], begin);
    assert_eq!(lines.last().unwrap(), "TEARDOWN /s?a=1/");
    let asked = camera.asked();
    assert!(asked[4..].iter().all(|a| a.header("Session") == Some("42")), "{asked:#?}");
    assert!(asked[3].header("Transport").unwrap().ends_with("interleaved=2-3"));
    assert!(asked.iter().all(|a| !a.text.contains("secret") && !a.text.contains("pass")), "{asked:#?}");
}

#[tokio::test]
async fn a_camera_without_parameters_is_kept_alive_by_options() {
    let camera = Stub::start(|asked, _| match asked.method.as_str() {
        "OPTIONS" => asked.ok("Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n"),
        _ => usual(asked, &key_frame(1, 1)),
    });
    let mut run = Run::start(&format!("rtsp://{}/s", camera.place)).await;
    run.ready().await;
    camera.until("2 signs of life", |asked| asked.iter().filter(|a| a.method == "OPTIONS").count() >= 3).await;
    run.stop().await;
    assert!(camera.asked().iter().all(|a| a.method != "GET_PARAMETER"));
}

#[tokio::test]
async fn what_comes_between_two_pictures() {
    let request = b"OPTIONS * RTSP/1.0\r\nCSeq: 900\r\n\r\n".to_vec();
    let report = interleaved(1, &[0x80, 201, 0, 1, 0, 0, 0, 7]);
    let strange = interleaved(9, &[0x80; 40]);
    let other = interleaved(0, &[0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 2, 3]);
    // Up to the key frame nothing can be shown: all of it has been passed over then.
    let all = [request, report, b"gar$bage\r\n".to_vec(), strange, other, b"$\0".to_vec(), key_frame(1, 1)].concat();
    let rest = [key_frame(4, 2), key_frame(7, 3)].concat();
    let camera = Stub::start(move |asked, _| usual(asked, &[all.clone(), rest.clone()].concat()));
    let mut run = Run::start(&format!("rtsp://{}/s", camera.place)).await;
    run.ready().await;
    let answered = |asked: &[Asked]| asked.iter().any(|a| a.text == "RTSP/1.0 200 OK\r\nCSeq: 900\r\n\r\n");
    camera.until("an answer to the camera", answered).await;
    run.stop().await;
    assert!(run.hub.tracks().len() == 2);
}

#[tokio::test]
async fn how_a_stream_ends() {
    let bye = |channel| interleaved(channel, &[0x81, 203, 0, 1, 0, 0, 0, if channel == 1 { 7 } else { 8 }]);
    let sound = interleaved(2, &[&[0x80, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8][..], &[0xd5; 160]].concat());
    let end = [key_frame(1, 1), sound, bye(1), bye(3)].concat();
    let nonsense = [key_frame(1, 1), vec![b'x'; 300 * 1024]].concat();
    for (then, words) in [(end, "camera ended the stream"), (nonsense, "camera cut the connection")] {
        let camera = Stub::start(move |asked, _| usual(asked, &then));
        let failure = failure_of(&format!("rtsp://{}/s", camera.place)).await;
        assert_eq!((failure.kind, failure.reason.as_str()), (FailureKind::Lost, words));
    }
    // In an orderly way, with the answer to a sign of life.
    let camera = Stub::start(|asked, _| match asked.method.as_str() {
        "GET_PARAMETER" => Vec::new(),
        _ => usual(asked, &key_frame(1, 1)),
    });
    let failure = failure_of(&format!("rtsp://{}/s", camera.place)).await;
    assert_eq!(failure, Failure::new(FailureKind::Lost, "camera ended the stream"));
}

#[tokio::test]
async fn a_camera_sends_us_to_another_one() {
    let target = Stub::start(|asked, _| usual(asked, &key_frame(1, 1)));
    let to = target.place.clone();
    let camera = Stub::start(move |asked, _| match asked.method.as_str() {
        "DESCRIBE" => asked.answer("302 Moved", &format!("Location: rtsp://x:secret@{to}/other\r\n")),
        _ => usual(asked, b""),
    });
    let mut run = Run::start(&format!("rtsp://{}/s", camera.place)).await;
    run.ready().await;
    run.stop().await;
    assert_eq!(target.lines()[..2], ["OPTIONS /other", "DESCRIBE /other"]);
    // In a circle, or to what we do not speak.
    let (refused, secure) = ("camera answered with an error (302)", "camera sends us on to RTSPS");
    for (to, words) in
        [("rtsp://SELF/s", refused), ("rtsps://SELF/s", secure), ("http://SELF/", refused), ("\x01", refused)]
    {
        let circle = Stub::start(move |asked, at| match asked.method.as_str() {
            "DESCRIBE" => asked.answer("301 Moved", &format!("Location: {}\r\n", to.replace("SELF", at))),
            _ => usual(asked, b""),
        });
        let failure = failure_of(&format!("rtsp://{}/s", circle.place)).await;
        assert_eq!((failure.kind, failure.instead), (FailureKind::Refused, None));
        assert!(failure.reason.starts_with(words), "{failure:?}");
        assert!(circle.asked().len() <= 12);
    }
}

#[tokio::test]
async fn what_we_cannot_decrypt_is_left_to_rtspsrc() {
    let camera = Stub::start(|asked, _| match asked.method.as_str() {
        "DESCRIBE" => {
            let sdp = SDP.replace("RTP/AVP", "RTP/SAVP");
            let length = sdp.len();
            let head = asked.ok(&format!("Content-Type: application/sdp\r\nContent-Length: {length}\r\n"));
            [head, sdp.into()].concat()
        }
        _ => usual(asked, b""),
    });
    let failure = failure_of(&format!("rtsp://{}/s", camera.place)).await;
    assert_eq!(failure.instead, Some(Hints { rtspsrc: true, ..Hints::default() }));
}

#[tokio::test]
async fn answers_that_are_none() {
    use FailureKind::{Refused, Silent};
    let long = |n: usize| format!("Content-Type: application/sdp\r\nContent-Length: {n}\r\n");
    let too_long = long(1 << 20);
    let many = "X: y\r\n".repeat(200);
    let speak = "does not speak RTSP";
    for (more, kind, words) in [
        (too_long.as_str(), Refused, speak),
        (many.as_str(), Refused, speak),
        ("Content-Type: text/html\r\n", Refused, "does not describe a stream"),
        ("", Refused, "does not describe a stream"),
        (&long(10), Silent, "does not answer"),
    ] {
        let answer = more.to_owned();
        let camera = Stub::start(move |asked, _| match asked.method.as_str() {
            "DESCRIBE" => asked.ok(&answer),
            _ => usual(asked, b""),
        });
        // What never comes is waited for.
        let patience = if kind == Silent { Duration::from_secs(3) } else { SOON };
        let failure = failure_within(patience, &format!("rtsp://{}/s", camera.place)).await;
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert!(failure.reason.contains(words), "{failure:?}");
        assert_eq!(camera.asked().iter().filter(|a| a.method == "DESCRIBE").count(), 1);
    }
    let closing = Stub::start(|asked, _| if asked.method == "DESCRIBE" { Vec::new() } else { usual(asked, b"") });
    let failure = failure_of(&format!("rtsp://{}/s", closing.place)).await;
    assert!(failure.reason.contains("closes the connection instead of answering"), "{failure:?}");
}
