//! The test kit itself: its doubles do what they say. Other people's clients
//! (GStreamer's rtspsrc, ffmpeg) look at the camera, str0m at the viewer.

mod support;

use gstreamer as gst;
use gstreamer::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::camera::{Audio, Camera, Codec};
use support::faults::Fault;
use support::nal::{self, Stamp};
use support::rtsp_proxy::{RtspProxy, Rules};
use support::{barcode, mono, wait_true, wait_until};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn the_bar_code_is_read_as_it_was_drawn() {
    let (w, h) = (322, 180);
    for index in [0, 1, 2, 255, 256, 4711, 65_535, 65_536 + 7] {
        let mut luma = vec![90; w * h];
        barcode::draw(&mut luma, w, w, h, index);
        assert_eq!(barcode::read(&luma, w, w, h), Some(index as u16));
    }
    for grey in [0, 255] {
        assert_eq!(barcode::read(&vec![grey; w * h], w, w, h), None);
    }
}

#[test]
fn the_stamp_survives_emulation_prevention_and_aggregation() {
    for codec in [Codec::H264, Codec::H265] {
        for index in [0, 1, 0x0000_0300, u32::MAX] {
            let stamp = Stamp {
                index,
                captured_ns: 0x0000_0001_0000_0002,
                handed_ns: mono::now_ns(),
            };
            let slice: &[u8] = match codec {
                Codec::H264 => &[0x65, 1, 2, 3],
                Codec::H265 => &[19 << 1, 1, 2, 3],
            };
            let au = stamp.insert(codec, &[&[0, 0, 0, 1], slice].concat());
            let units: Vec<_> = nal::units(&au).map(|(_, nal)| nal.to_vec()).collect();
            assert_eq!(units.len(), 2);
            assert_eq!(units[1], slice);
            assert_eq!(Stamp::from_nal(&units[0], codec), Some(stamp));
            let mut aggregate = match codec {
                Codec::H264 => vec![24],
                Codec::H265 => vec![48 << 1, 1],
            };
            for unit in &units {
                aggregate.extend((unit.len() as u16).to_be_bytes());
                aggregate.extend(unit);
            }
            let mut found = Vec::new();
            nal::in_rtp(&aggregate, codec, |kind, nal| {
                found.push((kind, nal.and_then(|nal| Stamp::from_nal(nal, codec))));
            });
            assert_eq!(found[0].1, Some(stamp));
            assert!(nal::is_key_slice(found[1].0, codec));
        }
    }
}

/// GStreamer's rtspsrc, decoding: the bar codes of the pictures it saw.
struct Player {
    pipeline: gst::Pipeline,
    codes: Arc<Mutex<Vec<(Instant, Option<u16>, usize)>>>,
}

impl Player {
    fn start(url: &str, protocols: &str) -> Self {
        support::init();
        let pipeline = gst::parse::launch(&format!(
            "rtspsrc name=src latency=0 protocols={protocols} tls-validation-flags=0 timeout=2000000 tcp-timeout=3000000 \
             ! application/x-rtp,media=video ! decodebin ! videoconvert ! \
             video/x-raw,format=I420 ! appsink name=out sync=false"
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        pipeline
            .by_name("src")
            .unwrap()
            .set_property("location", url);
        let codes = Arc::<Mutex<Vec<_>>>::default();
        let seen = codes.clone();
        let out = pipeline.by_name("out").unwrap();
        out.downcast::<gstreamer_app::AppSink>()
            .unwrap()
            .set_callbacks(
                gstreamer_app::AppSinkCallbacks::builder()
                    .new_sample(move |sink| {
                        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                        let info =
                            gstreamer_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
                        let frame = gstreamer_video::VideoFrameRef::from_buffer_ref_readable(
                            sample.buffer().unwrap(),
                            &info,
                        )
                        .unwrap();
                        let (w, h) = (info.width() as usize, info.height() as usize);
                        let stride = info.stride()[0] as usize;
                        let code = barcode::read(frame.plane_data(0).unwrap(), stride, w, h);
                        seen.lock().unwrap().push((Instant::now(), code, w));
                        Ok(gst::FlowSuccess::Ok)
                    })
                    .build(),
            );
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, codes }
    }

    fn codes(&self) -> Vec<Option<u16>> {
        self.codes.lock().unwrap().iter().map(|c| c.1).collect()
    }

    fn wait_frames(&self, n: usize) -> Vec<Option<u16>> {
        wait_until(SOON, "pictures", || {
            if let Some(error) = self.error() {
                panic!("{error}");
            }
            Some(self.codes()).filter(|codes| codes.len() >= n)
        })
    }

    /// The error or end that the pipeline reported.
    fn error(&self) -> Option<String> {
        let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
        let message = self.pipeline.bus()?.pop_filtered(&kinds)?;
        Some(match message.view() {
            gst::MessageView::Error(e) => format!("{} {:?}", e.error(), e.debug()),
            _ => "end of stream".into(),
        })
    }

    fn wait_error(&self) -> String {
        wait_until(SOON, "an error", || self.error())
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[test]
fn a_camera_plays_over_tcp_and_udp_and_counts() {
    for transport in ["tcp", "udp"] {
        let camera = Camera::builder().start();
        let player = Player::start(&camera.url(), transport);
        let codes = player.wait_frames(30);
        let codes: Vec<u16> = codes.into_iter().map(|c| c.expect("a bar code")).collect();
        assert!(
            codes.windows(2).all(|w| w[1] == w[0] + 1),
            "{transport} {codes:?}"
        );
        assert_eq!(camera.connections(), 1);
        assert_eq!(camera.describes(), 1);
        assert_eq!(camera.plays(), 1);
        let frame = camera.frames().by_code(codes[10]).unwrap();
        let (handed, sent) = (frame.handed.unwrap(), frame.sent.unwrap());
        assert!(frame.captured <= handed && handed <= sent);
        drop(player);
        wait_true(SOON, "the client's end", || camera.open_connections() == 0);
    }
}

#[test]
fn frame_and_key_frame_distances_are_as_asked_for() {
    for codec in [Codec::H264, Codec::H265] {
        let camera = Camera::builder().codec(codec).gop_frames(10).start();
        let frames = wait_until(SOON, "35 frames", || {
            let done = camera.frames().all();
            Some(done).filter(|f| f.iter().filter(|f| f.handed.is_some()).count() >= 35)
        });
        let keys: Vec<u32> = frames.iter().filter(|f| f.key).map(|f| f.index).collect();
        assert!(keys.len() >= 3);
        assert!(keys.windows(2).all(|w| w[1] - w[0] == 10), "{keys:?}");
    }
}

#[test]
fn a_prerecorded_camera_reaches_its_bit_rate() {
    let camera = Camera::builder()
        .size(1280, 720)
        .bitrate_kbps(2000)
        .gop_frames(50)
        .noise(true)
        .prerecorded()
        .start();
    let player = Player::start(&camera.url(), "tcp");
    player.wait_frames(5);
    let frames = wait_until(SOON, "four seconds", || {
        let frames = camera.frames().all();
        Some(frames).filter(|f| f.iter().filter(|f| f.handed.is_some()).count() >= 100)
    });
    let bytes: usize = frames.iter().rev().skip(1).take(50).map(|f| f.bytes).sum();
    let kbps = bytes * 8 / 2 / 1000;
    assert!((1400..2800).contains(&kbps), "{kbps} kbit/s");
}

#[test]
fn credentials_with_special_characters() {
    for basic in [true, false] {
        let (user, password) = ("op:er", "p@ss%:/w");
        let builder = Camera::builder();
        // A user with a colon cannot work with Basic (RFC 7617).
        let camera = match basic {
            true => builder.basic("oper", password).start(),
            false => builder.digest("oper", password).start(),
        };
        let user = user.replace(':', "");
        let player = Player::start(&camera.url_with(&user, password), "tcp");
        player.wait_frames(3);
        let refused = Player::start(&camera.url_with(&user, "wrong"), "tcp");
        assert!(refused.wait_error().contains("Unauthorized"));
    }
    let camera = Camera::builder()
        .digest("u", "p")
        .misbehave(Fault::WrongPassword)
        .start();
    let refused = Player::start(&camera.url_with_credentials(), "tcp");
    assert!(refused.wait_error().contains("Unauthorized"));
}

#[test]
fn refusals() {
    let camera = Camera::builder().misbehave(Fault::Describe(404)).start();
    let error = Player::start(&camera.url(), "tcp").wait_error();
    assert!(
        error.contains("404") || error.contains("Not found"),
        "{error}"
    );
    for (fault, refused, served) in [(Fault::NoTcp, "tcp", "udp"), (Fault::NoUdp, "udp", "tcp")] {
        let camera = Camera::builder().misbehave(fault).start();
        let error = Player::start(&camera.url(), refused).wait_error();
        assert!(
            error.contains("461") || error.contains("transport"),
            "{error}"
        );
        assert_eq!(camera.plays(), 0);
        Player::start(&camera.url(), served).wait_frames(3);
    }
}

#[test]
fn a_deaf_camera_says_nothing_or_garbage() {
    let camera = Camera::builder().misbehave(Fault::Silent).start();
    let player = Player::start(&camera.url(), "tcp");
    wait_true(SOON, "a connection", || camera.connections() == 1);
    player.wait_error();
    let camera = Camera::builder().misbehave(Fault::Garbage).start();
    Player::start(&camera.url(), "tcp").wait_error();
}

#[test]
fn a_camera_stalls_and_resumes() {
    let camera = Camera::builder().start();
    let player = Player::start(&camera.url(), "tcp");
    player.wait_frames(5);
    camera.stall();
    let before = camera.frames().last().unwrap().index;
    wait_true(SOON, "20 more pictures taken", || {
        camera.frames().last().unwrap().index > before + 20
    });
    let seen = player.codes().len();
    assert_eq!(camera.open_connections(), 1);
    camera.resume();
    player.wait_frames(seen + 20);

    let camera = Camera::builder().misbehave(Fault::StallAfter(10)).start();
    let player = Player::start(&camera.url(), "tcp");
    wait_true(SOON, "40 pictures taken", || {
        camera.frames().last().is_some_and(|f| f.index > 40)
    });
    assert!(player.codes().len() <= 10);
}

#[test]
fn a_camera_resets_its_connections() {
    let camera = Camera::builder().misbehave(Fault::ResetAfter(10)).start();
    let player = Player::start(&camera.url(), "tcp");
    player.wait_error();
    wait_true(SOON, "the connection's end", || {
        camera.open_connections() == 0
    });
}

#[test]
fn a_camera_restarts_on_its_port_with_another_codec_and_size() {
    let mut camera = Camera::builder().start();
    let url = camera.url();
    let player = Player::start(&url, "tcp");
    player.wait_frames(5);
    camera.set_resolution(320, 240);
    wait_true(SOON, "the smaller picture", || {
        player
            .codes
            .lock()
            .unwrap()
            .last()
            .is_some_and(|c| c.2 == 320 && c.1.is_some())
    });
    camera.stop();
    player.wait_error();
    assert!(std::net::TcpStream::connect(("127.0.0.1", camera.port())).is_err());
    camera.set_codec(Codec::H265);
    camera.start_again();
    assert_eq!(camera.url(), url);
    let player = Player::start(&url, "tcp");
    player.wait_frames(5);
    assert_eq!(camera.plays(), 2);
}

#[test]
fn a_session_without_keep_alive_ends() {
    let camera = Camera::builder()
        .misbehave(Fault::SessionTimeout(1))
        .start();
    let player = Player::start(&camera.url(), "tcp");
    player.wait_frames(3);
    player.wait_error();
}

#[test]
fn audio_of_every_kind_and_an_audio_track_that_is_refused() {
    for audio in [Audio::Pcmu, Audio::Pcma, Audio::Opus, Audio::Aac] {
        let camera = Camera::builder().audio(audio).start();
        let out = ffprobe(&camera.url());
        let name = match audio {
            Audio::Pcmu => "pcm_mulaw",
            Audio::Pcma => "pcm_alaw",
            Audio::Opus => "opus",
            Audio::Aac => "aac",
        };
        assert!(
            out.contains("h264") && out.contains(name),
            "{audio:?}: {out}"
        );
    }
    let camera = Camera::builder()
        .audio(Audio::Pcma)
        .misbehave(Fault::AudioSetup(461))
        .start();
    // rtspsrc goes on with the video.
    Player::start(&camera.url(), "tcp").wait_frames(3);
    assert!(
        camera
            .counters()
            .setups
            .load(std::sync::atomic::Ordering::SeqCst)
            >= 2
    );
}

/// What ffprobe says of the streams.
fn ffprobe(url: &str) -> String {
    let out = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-rtsp_transport", "tcp"])
        .args([
            "-show_entries",
            "stream=codec_name,profile,width,has_b_frames",
        ])
        .args(["-of", "compact", url])
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

#[test]
fn profiles_and_b_frames() {
    use support::feed::Profile;
    for (profile, b_frames, name) in [
        (Profile::Baseline, 0, "Constrained Baseline"),
        (Profile::Main, 0, "Main"),
        (Profile::Main, 2, "Main"),
        (Profile::High, 0, "High"),
    ] {
        let camera = Camera::builder()
            .profile(profile)
            .b_frames(b_frames)
            .start();
        let out = ffprobe(&camera.url());
        assert!(out.contains(&format!("profile={name}|")), "{out}");
        let player = Player::start(&camera.url(), "tcp");
        let codes = player.wait_frames(20);
        let codes: Vec<u16> = codes.into_iter().map(|c| c.expect("a bar code")).collect();
        assert!(codes.windows(2).all(|w| w[1] == w[0] + 1), "{codes:?}");
    }
}

/// The SDP that DESCRIBE gives, by a client of four lines.
fn sdp(address: std::net::SocketAddr, uri: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(stream, "DESCRIBE {uri} RTSP/1.0\r\nCSeq: 1\r\n\r\n").unwrap();
    let mut text = String::new();
    let mut byte = [0; 4096];
    loop {
        let n = stream.read(&mut byte).unwrap();
        text += &String::from_utf8_lossy(&byte[..n]);
        if n == 0 || text.contains("a=control:stream=") && text.ends_with('\n') {
            return text;
        }
    }
}

#[test]
fn a_wrong_sps_in_the_sdp_and_the_right_one_in_band() {
    for codec in [Codec::H264, Codec::H265] {
        let right = Camera::builder().codec(codec).start();
        let wrong = Camera::builder()
            .codec(codec)
            .misbehave(Fault::WrongSps)
            .start();
        let sprop = |camera: &Camera| {
            let text = sdp(([127, 0, 0, 1], camera.port()).into(), &camera.url());
            let key = if codec == Codec::H264 {
                "sprop-parameter-sets="
            } else {
                "sprop-sps="
            };
            let at = text.find(key).unwrap_or_else(|| panic!("{text}")) + key.len();
            text[at..].split([';', '\r']).next().unwrap().to_string()
        };
        assert_ne!(sprop(&right), sprop(&wrong));
        let player = Player::start(&wrong.url(), "tcp");
        let codes = player.wait_frames(20);
        assert!(codes[10..].iter().all(Option::is_some), "{codes:?}");
        assert_eq!(player.codes.lock().unwrap().last().unwrap().2, 640);
    }
}

#[test]
fn the_proxy_refuses_holds_and_cuts() {
    let camera = Camera::builder().start();
    let any = ([127, 0, 0, 1], 0).into();
    let server = ([127, 0, 0, 1], camera.port()).into();
    let rules = Rules {
        refuse: Some(Arc::new(|method, _| (method == "DESCRIBE").then_some(503))),
        ..Rules::default()
    };
    let proxy = RtspProxy::start(any, server, rules).unwrap();
    let url = format!("rtsp://{}/stream", proxy.address());
    Player::start(&url, "tcp").wait_error();
    assert!(
        proxy
            .requests()
            .iter()
            .any(|line| line.starts_with("DESCRIBE"))
    );
    proxy.set_rules(Rules::default());
    let player = Player::start(&url, "tcp");
    player.wait_frames(5);
    proxy.hold(true);
    let taken = camera.frames().last().unwrap().index;
    wait_true(SOON, "20 more pictures taken", || {
        camera.frames().last().unwrap().index > taken + 20
    });
    let seen = player.codes().len();
    proxy.hold(false);
    player.wait_frames(seen + 15);
    proxy.cut();
    player.wait_error();
}

#[test]
fn ipv6_and_tls() {
    let camera = Camera::builder().address("::1").start();
    assert!(camera.url().starts_with("rtsp://[::1]:"));
    Player::start(&camera.url(), "tcp").wait_frames(3);
    let camera = Camera::builder().tls().digest("u", "p@s").start();
    assert_eq!(camera.fingerprint().len(), 64);
    Player::start(&camera.url_with_credentials(), "tcp").wait_frames(3);
    let camera = Camera::builder().tls().start();
    Player::start(&camera.url(), "tcp").wait_frames(3);
}

/// The smallest WHEP server: str0m answers, and forwards one recorded GOP in
/// real time, packetised here. It can duplicate packets, and answers NACKs.
mod answerer {
    use super::support::{self, feed, nal};
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
        let conf = feed::Conf {
            noise: true,
            bitrate_kbps: 2000,
            ..feed::Conf::default()
        };
        let recorded = feed::recording(&conf);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = socket.local_addr().unwrap();
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
        let offer = SdpOffer::from_sdp_string(offer).unwrap();
        let answer = rtc.sdp_api().accept_offer(offer).unwrap().to_sdp_string();
        let payloads = support::whep::video_payloads(&answer);
        let pt = *payloads
            .iter()
            .find(|(_, c)| **c == Some(nal::Codec::H264))
            .unwrap()
            .0;
        let (stop, close) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
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
                        let stamp = nal::Stamp {
                            index,
                            captured_ns: now,
                            handed_ns: now,
                        };
                        let payloads = packetise(&stamp.insert(nal::Codec::H264, &unit.data));
                        let mut direct = rtc.direct_api();
                        let stream = match direct.stream_tx_by_mid(mid, None) {
                            Some(stream) => stream,
                            None => direct.declare_stream_tx(
                                Ssrc::from(42),
                                Some(Ssrc::from(43)),
                                mid,
                                None,
                            ),
                        };
                        let last = payloads.len() - 1;
                        for (n, payload) in payloads.into_iter().enumerate() {
                            let write = RtpWrite::new(
                                pt.into(),
                                SeqNo::from(seq),
                                index * 3600,
                                Instant::now(),
                                payload,
                            );
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
        Answerer {
            answer,
            stop,
            close,
            closed,
            thread: Some(thread),
        }
    }
}

/// Connects a viewer to a str0m answerer without HTTP.
fn view(options: &support::whep::Options) -> (support::whep::Viewer, answerer::Answerer) {
    use support::whep::{Offer, ViewerPool};
    let offer = Offer::new(options).unwrap();
    let posted = Instant::now();
    let answerer = answerer::start(&offer.sdp);
    let viewer = offer
        .answered(
            &ViewerPool::shared(),
            &answerer.answer,
            posted,
            Instant::now(),
        )
        .unwrap();
    (viewer, answerer)
}

#[test]
fn a_viewer_sees_every_frame_and_its_latency() {
    use support::whep::{Options, State};
    let (viewer, _answerer) = view(&Options {
        packets: true,
        ..Options::default()
    });
    wait_true(SOON, "50 frames", || {
        viewer.with(|log| log.video.complete_frames() >= 50)
    });
    assert_eq!(viewer.state(), State::Connected);
    viewer.with(|log| {
        let video = &log.video;
        assert!(log.first_key_time().unwrap() >= log.first_packet_time().unwrap());
        assert!(log.connect_time().is_some());
        assert_eq!(
            (video.lost, video.missing(), video.reordered, video.early),
            (0, 0, 0, 0)
        );
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
    use support::whep::Options;
    let (viewer, _answerer) = view(&Options {
        loss: 0.03,
        ..Options::default()
    });
    wait_true(SOON, "60 frames and a repair", || {
        viewer.with(|log| {
            log.video.complete_frames() >= 60 && log.wire.dropped > 0 && log.video.nacks_sent > 0
        })
    });
    viewer.with(|log| {
        assert_eq!(log.video.lost, 0, "{:?}", log.wire);
        assert!(log.wire.streams.len() >= 2, "no RTX stream: {:?}", log.wire);
    });
}

#[test]
fn a_viewer_notices_close_notify_and_sends_it() {
    use support::whep::{Options, State};
    let (viewer, answerer) = view(&Options::default());
    wait_true(SOON, "the connection", || {
        viewer.state() == State::Connected
    });
    answerer
        .close
        .store(true, std::sync::atomic::Ordering::SeqCst);
    wait_true(SOON, "the end", || viewer.state() == State::Closed);
    let (viewer, answerer) = view(&Options::default());
    wait_true(SOON, "the connection", || {
        viewer.state() == State::Connected
    });
    viewer.close_dtls();
    wait_true(SOON, "close_notify", || {
        answerer.closed.load(std::sync::atomic::Ordering::SeqCst)
    });
    let (viewer, _answerer) = view(&Options::default());
    wait_true(SOON, "the connection", || {
        viewer.state() == State::Connected
    });
    viewer.vanish();
    wait_true(SOON, "the end", || viewer.state() == State::Gone);
}

#[tokio::test]
async fn a_refused_join_gives_status_headers_and_body() {
    use support::static_server::StaticServer;
    use support::whep::{Options, Viewer};
    let server = StaticServer::start();
    let refused = Viewer::join(&server.url(), "gate", Options::default()).await;
    let error = refused.err().expect("no error");
    assert_eq!(error.status, 404);
    assert_eq!(error.body, "not here\n");
    assert_eq!(error.header("Cache-Control"), Some("no-store"));
    let nobody = Viewer::join("http://127.0.0.1:1", "gate", Options::default()).await;
    assert_eq!(nobody.err().unwrap().status, 0);
}

#[test]
fn a_gateway_is_started_watched_and_ended() {
    use support::gateway::{Gateway, paths, with_loopback};
    let yaml = with_loopback(&(String::from("logLevel: info\n") + &paths(&[("a", "it's")])));
    assert!(yaml.starts_with("webrtcAddress: 127.0.0.1:0\n"));
    assert_eq!(yaml.matches("logLevel").count(), 1);
    assert!(yaml.contains("source: 'it''s'"));
    let fake = |script: &str| {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", script]);
        Gateway::run(command, tempfile::tempdir().unwrap())
    };
    let mut gateway = fake(
        "trap 'echo bye >&2; exit 7' TERM; \
         echo 'INFO listening on http://127.0.0.1:4711' >&2; while :; do sleep 0.05; done",
    );
    assert_eq!(gateway.url(), "http://127.0.0.1:4711");
    assert_eq!(gateway.threads(), 1);
    assert!(gateway.fds() >= 3 && gateway.rss_kb() > 0);
    let mark = gateway.mark();
    gateway.sigterm();
    gateway.wait_for_line_after(mark, SOON, |line| line == "bye");
    assert_eq!(gateway.wait_exit(SOON).code(), Some(7));
    let pid = fake("echo listening on http://127.0.0.1:1/ >&2; exec sleep 100").pid();
    assert!(!support::proc::alive(pid));
}

#[tokio::test]
async fn a_browser_evaluates_captures_and_ends() {
    use support::browser::Browser;
    use support::static_server::StaticServer;
    let server = StaticServer::start();
    server.page(
        "/",
        "<!doctype html><title>hello</title><script>console.log('one', 2); \
         setTimeout(() => { window.later = 5; null.x }, 100)</script>",
    );
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/", server.url())).await;
    assert_eq!(page.eval("document.title").await, "hello");
    assert_eq!(page.eval("Promise.resolve({a: [1]})").await["a"][0], 1);
    assert_eq!(page.wait_for("window.later", SOON).await, 5);
    assert!(
        page.try_eval("Promise.reject(new Error('no'))")
            .await
            .unwrap_err()
            .contains("no")
    );
    support::until_true(SOON, "messages", || page.errors().len() == 1).await;
    let messages = page.messages();
    assert!(messages.iter().any(|m| m == "log: one 2"), "{messages:?}");
    assert!(page.errors()[0].contains("TypeError"), "{messages:?}");
    let second = browser.page("about:blank").await;
    let file = tempfile::NamedTempFile::with_suffix(".png").unwrap();
    second.screenshot(file.path()).await;
    assert!(std::fs::read(file.path()).unwrap().starts_with(b"\x89PNG"));
    // 127.0.0.1 is a secure context and a candidate.
    let candidates = second.eval(
        "(async () => { const pc = new RTCPeerConnection(); pc.createDataChannel('x'); \
         await pc.setLocalDescription(); \
         while (pc.iceGatheringState !== 'complete') await new Promise(r => setTimeout(r, 10)); \
         return pc.localDescription.sdp })()",
    );
    let candidates = candidates.await;
    assert!(
        candidates.as_str().unwrap().contains(" 127.0.0.1 "),
        "{candidates}"
    );
    let pid = browser.pid();
    let family = support::proc::family(pid);
    assert!(family.len() > 3);
    drop(browser);
    wait_true(SOON, "the end of all processes", || {
        !family.iter().any(|pid| support::proc::alive(*pid))
    });
}

#[tokio::test]
async fn the_browser_reads_the_bar_code() {
    use support::browser::Browser;
    let browser = Browser::launch().await;
    let page = browser.page("about:blank").await;
    page.eval(barcode::JS).await;
    // A video whose picture is drawn by hand: the code of 4711.
    let code = barcode::bits(4711);
    let js = format!(
        "(async () => {{ const c = document.createElement('canvas'); c.width = 640; c.height = 360; \
         const g = c.getContext('2d'); window.paint = code => {{ for (let b = 0; b < 20; b++) {{ \
         g.fillStyle = code >> (19 - b) & 1 ? '#fff' : '#000'; g.fillRect(b * 32, 0, 32, 30); }} }}; \
         paint({code}); const v = document.createElement('video'); v.muted = true; \
         v.srcObject = c.captureStream(25); setInterval(() => paint({code}), 40); \
         window.video = v; await v.play(); return true }})()"
    );
    page.eval(&js).await;
    let read = page.wait_for("readBarcode(video)", SOON).await;
    assert_eq!(read, 4711);
}

#[tokio::test]
async fn coturn_relays_with_fixed_and_with_timed_credentials() {
    use support::browser::Browser;
    use support::turn::{self, Turn};
    let browser = Browser::launch().await;
    let page = browser.page("about:blank").await;
    for timed in [false, true] {
        let (server, user, password) = match timed {
            false => (
                Turn::start(),
                turn::USER.0.to_string(),
                turn::USER.1.to_string(),
            ),
            true => {
                let (user, password) = turn::credentials("browser");
                (Turn::start_with_secret(), user, password)
            }
        };
        let js = format!(
            "(async () => {{ const pc = new RTCPeerConnection({{ iceTransportPolicy: 'relay', \
             iceServers: [{{ urls: '{}', username: '{user}', credential: '{password}' }}] }}); \
             pc.createDataChannel('x'); await pc.setLocalDescription(); \
             while (pc.iceGatheringState !== 'complete') await new Promise(r => setTimeout(r, 10)); \
             return pc.localDescription.sdp }})()",
            server.url()
        );
        let sdp = page.eval(&js).await;
        assert!(
            sdp.as_str().unwrap().contains(" typ relay "),
            "{}",
            server.log()
        );
        wait_true(SOON, "an allocation", || server.allocations() > 0);
    }
}

#[test]
fn cameras_leave_nothing_behind() {
    let pid = std::process::id();
    let feeds = || {
        let names = support::proc::thread_names(pid);
        names
            .into_iter()
            .filter(|n| n.starts_with("camera-r") || n.starts_with("x264"))
            .count()
    };
    let mut ports = Vec::new();
    for _ in 0..5 {
        let mut camera = Camera::builder().size(320, 240).start();
        Player::start(&camera.url(), "tcp").wait_frames(2);
        camera.restart();
        let player = Player::start(&camera.url(), "udp");
        player.wait_frames(2);
        ports.push(camera.port());
        drop(camera);
        // The port is free at once, whatever the player still holds.
        assert!(std::net::TcpListener::bind(("127.0.0.1", ports[ports.len() - 1])).is_ok());
        drop(player);
    }
    // Other tests run beside this one: look for growth, not for zero.
    wait_true(SOON, "the end of the threads", || feeds() < 20);
}
