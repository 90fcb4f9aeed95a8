//! The WHEP viewer against a str0m answerer.

use super::SOON;
use super::support::{self, wait_true};
use std::time::Instant;

/// The smallest WHEP server: str0m answers, and forwards one recorded GOP in
/// real time, packetised here. It can duplicate packets, and answers NACKs.
mod answerer {
    use super::super::support::{self, feed, nal};
    use std::net::UdpSocket;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::time::{Duration, Instant};
    use str0m::change::SdpOffer;
    use str0m::media::MediaKind;
    use str0m::net::{Protocol, Receive};
    use str0m::rtp::{RtpWrite, SeqNo, Ssrc};
    use str0m::{Candidate, Event, Input, Output, Rtc};

    pub struct Answerer {
        pub answer: String,
        pub stop: Arc<AtomicBool>,
        pub close: Arc<AtomicBool>,
        pub closed: Arc<AtomicBool>,
        thread: Option<std::thread::JoinHandle<()>>,
    }

    impl Drop for Answerer {
        fn drop(&mut self) {
            self.stop.store(true, SeqCst);
            let _ = self.thread.take().unwrap().join();
        }
    }

    /// RTP payloads of an access unit: single units, and FU-A (RFC 6184).
    fn packetise(au: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for (_, unit) in nal::units(au) {
            if unit.len() <= 1100 {
                out.push(unit.to_vec());
                continue;
            }
            let chunks: Vec<_> = unit[1..].chunks(1100).collect();
            for (n, chunk) in chunks.iter().enumerate() {
                let start = u8::from(n == 0) << 7;
                let end = u8::from(n + 1 == chunks.len()) << 6;
                let head = [unit[0] & 0xe0 | 28, start | end | unit[0] & 0x1f];
                out.push([&head[..], chunk].concat());
            }
        }
        out
    }

    pub fn start(offer: &str) -> Answerer {
        let conf = feed::Conf { noise: true, bitrate_kbps: 2000, ..feed::Conf::default() };
        let recorded = feed::recording(&conf);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = socket.local_addr().unwrap();
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
        let offer = SdpOffer::from_sdp_string(offer).unwrap();
        let answer = rtc.sdp_api().accept_offer(offer).unwrap().to_sdp_string();
        let payloads = support::whep::video_payloads(&answer);
        let pt = *payloads.iter().find(|(_, c)| **c == Some(nal::Codec::H264)).unwrap().0;
        let (stop, close) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let closed = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (stop, close, closed) = (stop.clone(), close.clone(), closed.clone());
            move || {
                let mut mid = None;
                let mut next = None::<Instant>;
                let (mut index, mut seq) = (0u32, 65_000u64);
                let mut buffer = [0; 2000];
                while !stop.load(SeqCst) && rtc.is_alive() {
                    if close.swap(false, SeqCst) {
                        rtc.close().unwrap();
                    }
                    let timeout = loop {
                        match rtc.poll_output().unwrap() {
                            Output::Timeout(t) => break t,
                            Output::Transmit(t) => {
                                let _ = socket.send_to(&t.contents, t.destination);
                            }
                            Output::Event(Event::MediaAdded(m)) if m.kind == MediaKind::Video => {
                                mid = Some(m.mid);
                            }
                            Output::Event(Event::Connected) => next = Some(Instant::now()),
                            Output::Event(Event::Closed) => closed.store(true, SeqCst),
                            Output::Event(_) => {}
                        }
                    };
                    if let (Some(at), Some(mid)) = (next, mid)
                        && at <= Instant::now()
                    {
                        next = Some(at + Duration::from_millis(40));
                        let unit = &recorded[index as usize % recorded.len()];
                        let now = support::mono::now_ns();
                        let stamp = nal::Stamp { index, captured_ns: now, handed_ns: now };
                        let payloads = packetise(&stamp.insert(nal::Codec::H264, &unit.data));
                        let mut direct = rtc.direct_api();
                        let stream = match direct.stream_tx_by_mid(mid, None) {
                            Some(stream) => stream,
                            None => direct.declare_stream_tx(Ssrc::from(42), Some(Ssrc::from(43)), mid, None),
                        };
                        let last = payloads.len() - 1;
                        for (n, payload) in payloads.into_iter().enumerate() {
                            let write =
                                RtpWrite::new(pt.into(), SeqNo::from(seq), index * 3600, Instant::now(), payload);
                            stream.write_rtp(write.marker(n == last).nackable(true));
                            seq += 1;
                        }
                        index += 1;
                        rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
                        continue;
                    }
                    let wait = timeout.saturating_duration_since(Instant::now());
                    let wait = wait.clamp(Duration::from_millis(1), Duration::from_millis(5));
                    socket.set_read_timeout(Some(wait)).unwrap();
                    let input = match socket.recv_from(&mut buffer) {
                        Ok((n, source)) => Input::Receive(
                            Instant::now(),
                            Receive {
                                proto: Protocol::Udp,
                                source,
                                destination: local,
                                contents: buffer[..n].try_into().unwrap(),
                            },
                        ),
                        Err(_) => Input::Timeout(Instant::now()),
                    };
                    rtc.handle_input(input).unwrap();
                }
            }
        });
        Answerer { answer, stop, close, closed, thread: Some(thread) }
    }
}

/// Connects a viewer to a str0m answerer without HTTP.
fn view(options: &support::whep::Options) -> (support::whep::Viewer, answerer::Answerer) {
    use super::support::whep::{Offer, ViewerPool};
    let offer = Offer::new(options).unwrap();
    let posted = Instant::now();
    let answerer = answerer::start(&offer.sdp);
    let viewer = offer.answered(&ViewerPool::shared(), &answerer.answer, posted, Instant::now()).unwrap();
    (viewer, answerer)
}

#[test]
fn a_viewer_sees_every_frame_and_its_latency() {
    use super::support::whep::{Options, State};
    let (viewer, _answerer) = view(&Options { packets: true, ..Options::default() });
    wait_true(SOON, "50 frames", || viewer.with(|log| log.video.complete_frames() >= 50));
    assert_eq!(viewer.state(), State::Connected);
    viewer.with(|log| {
        let video = &log.video;
        assert!(log.first_key_time().unwrap() >= log.first_packet_time().unwrap());
        assert!(log.connect_time().is_some());
        assert_eq!((video.lost, video.missing(), video.reordered, video.early), (0, 0, 0, 0));
        assert_eq!(log.wire.duplicates(), 0);
        let indices = video.indices();
        assert!(indices.windows(2).all(|w| w[1] == w[0] + 1), "{indices:?}");
        assert!(video.steps().iter().all(|step| *step == 3600));
        assert!(video.frames[0].key && video.frames[0].sps);
        assert_eq!(video.latencies().len(), video.complete_frames());
        assert_eq!(video.records.len() as u64, video.packets);
        // The numbers went over the 16-bit edge.
        assert!(video.records.windows(2).all(|w| w[1].seq == w[0].seq + 1));
    });
}

#[test]
fn a_viewer_with_losses_sends_nacks_and_gets_all_frames() {
    use super::support::whep::Options;
    let (viewer, _answerer) = view(&Options { loss: 0.03, ..Options::default() });
    wait_true(SOON, "60 frames and a repair", || {
        viewer.with(|log| log.video.complete_frames() >= 60 && log.wire.dropped > 0 && log.video.nacks_sent > 0)
    });
    viewer.with(|log| {
        assert_eq!(log.video.lost, 0, "{:?}", log.wire);
        assert!(log.wire.streams.len() >= 2, "no RTX stream: {:?}", log.wire);
    });
}

#[test]
fn a_viewer_notices_close_notify_and_sends_it() {
    use super::support::whep::{Options, State};
    let (viewer, answerer) = view(&Options::default());
    wait_true(SOON, "the connection", || viewer.state() == State::Connected);
    answerer.close.store(true, std::sync::atomic::Ordering::SeqCst);
    wait_true(SOON, "the end", || viewer.state() == State::Closed);
    let (viewer, answerer) = view(&Options::default());
    wait_true(SOON, "the connection", || viewer.state() == State::Connected);
    viewer.close_dtls();
    wait_true(SOON, "close_notify", || answerer.closed.load(std::sync::atomic::Ordering::SeqCst));
    let (viewer, _answerer) = view(&Options::default());
    wait_true(SOON, "the connection", || viewer.state() == State::Connected);
    viewer.vanish();
    wait_true(SOON, "the end", || viewer.state() == State::Gone);
}

#[tokio::test]
async fn a_refused_join_gives_status_headers_and_body() {
    use super::support::static_server::StaticServer;
    use super::support::whep::{Options, Viewer};
    let server = StaticServer::start();
    let refused = Viewer::join(&server.url(), "gate", Options::default()).await;
    let error = refused.err().expect("no error");
    assert_eq!(error.status, 404);
    assert_eq!(error.body, "not here\n");
    assert_eq!(error.header("Cache-Control"), Some("no-store"));
    let nobody = Viewer::join("http://127.0.0.1:1", "gate", Options::default()).await;
    assert_eq!(nobody.err().unwrap().status, 0);
}
