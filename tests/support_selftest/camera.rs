//! The camera double, seen by rtspsrc and ffprobe, and the RTSP proxy.

use super::SOON;
use super::player::Player;
use super::support::camera::{Audio, Camera, Codec};
use super::support::faults::Fault;
use super::support::feed::{Conf, recording};
use super::support::light_camera::{LightCamera, Manners};
use super::support::rtsp_proxy::{RtspProxy, Rules};
use super::support::{self, wait_true, wait_until};
use std::sync::Arc;

#[test]
fn a_camera_plays_over_tcp_and_udp_and_counts() {
    for transport in ["tcp", "udp"] {
        let camera = Camera::builder().start();
        let player = Player::start(&camera.url(), transport);
        let codes = player.frames_of(30, || {
            let frames = camera.frames().all();
            let handed = frames.iter().filter(|f| f.handed.is_some()).count();
            let sent: Vec<u32> = frames.iter().filter(|f| f.sent.is_some()).map(|f| f.index).collect();
            format!(
                "over {transport}, {} taken, {handed} encoded, {} sent ({:?} to {:?}), {:?}",
                frames.len(),
                sent.len(),
                sent.first(),
                sent.last(),
                camera.counters()
            )
        });
        let codes: Vec<u16> = codes.into_iter().map(|c| c.expect("a bar code")).collect();
        assert!(codes.windows(2).all(|w| w[1] == w[0] + 1), "{transport} {codes:?}");
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
    let camera = Camera::builder().size(1280, 720).bitrate_kbps(2000).gop_frames(50).noise(true).prerecorded().start();
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
fn a_light_camera_plays_in_every_manner() {
    let recording = recording(&Conf { prerecorded: true, ..Conf::default() });
    let plain = Manners::default();
    for manners in [plain, Manners { packet_by_packet: false, nagle: true, sets_in_band: false, payload: 500, ..plain }]
    {
        let camera = LightCamera::start(&recording, manners);
        let player = Player::start(&camera.url("any"), "tcp");
        let codes = player.wait_frames(40);
        let numbers: Vec<u16> = codes.iter().map(|c| c.expect("no bar code")).collect();
        assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "{manners:?}: {numbers:?}");
        assert_eq!(camera.playing(), 1);
        drop(player);
        wait_true(SOON, "its end", || camera.playing() == 0);
    }
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
    let camera = Camera::builder().digest("u", "p").misbehave(Fault::WrongPassword).start();
    let refused = Player::start(&camera.url_with_credentials(), "tcp");
    assert!(refused.wait_error().contains("Unauthorized"));
}

#[test]
fn refusals() {
    let camera = Camera::builder().misbehave(Fault::Describe(404)).start();
    let error = Player::start(&camera.url(), "tcp").wait_error();
    assert!(error.contains("404") || error.contains("Not found"), "{error}");
    for (fault, refused, served) in [(Fault::NoTcp, "tcp", "udp"), (Fault::NoUdp, "udp", "tcp")] {
        let camera = Camera::builder().misbehave(fault).start();
        let error = Player::start(&camera.url(), refused).wait_error();
        assert!(error.contains("461") || error.contains("transport"), "{error}");
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
    wait_true(SOON, "20 more pictures taken", || camera.frames().last().unwrap().index > before + 20);
    let seen = player.codes().len();
    assert_eq!(camera.open_connections(), 1);
    camera.resume();
    player.wait_frames(seen + 20);

    let camera = Camera::builder().misbehave(Fault::StallAfter(10)).start();
    let player = Player::start(&camera.url(), "tcp");
    wait_true(SOON, "40 pictures taken", || camera.frames().last().is_some_and(|f| f.index > 40));
    assert!(player.codes().len() <= 10);
}

#[test]
fn a_camera_resets_its_connections() {
    let camera = Camera::builder().misbehave(Fault::ResetAfter(10)).start();
    let player = Player::start(&camera.url(), "tcp");
    player.wait_error();
    wait_true(SOON, "the connection's end", || camera.open_connections() == 0);
}

#[test]
fn a_camera_restarts_on_its_port_with_another_codec_and_size() {
    let mut camera = Camera::builder().start();
    let url = camera.url();
    let player = Player::start(&url, "tcp");
    player.wait_frames(5);
    camera.set_resolution(320, 240);
    wait_true(SOON, "the smaller picture", || {
        player.codes.lock().unwrap().last().is_some_and(|c| c.2 == 320 && c.1.is_some())
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
    let camera = Camera::builder().misbehave(Fault::SessionTimeout(5)).start();
    let player = Player::start(&camera.url(), "tcp");
    player.wait_frames(3);
    player.wait_error();
    // Over UDP rtspsrc sends keep-alives, five seconds before the time is up.
    let camera = Camera::builder().misbehave(Fault::SessionTimeout(21)).start();
    let player = Player::start(&camera.url(), "udp");
    player.wait_frames(650);
    assert_eq!(camera.open_connections(), 1);
}

#[test]
fn audio_of_every_kind_and_an_audio_track_that_is_refused() {
    for audio in [Audio::Pcmu, Audio::Pcma, Audio::Opus, Audio::Aac, Audio::Latm] {
        let camera = Camera::builder().audio(audio).start();
        let out = ffprobe(&camera.url());
        let name = match audio {
            Audio::Pcmu => "pcm_mulaw",
            Audio::Pcma => "pcm_alaw",
            Audio::Opus => "opus",
            Audio::Aac | Audio::Latm => "aac",
        };
        assert!(out.contains("h264") && out.contains(name), "{audio:?}: {out}");
    }
    let camera = Camera::builder().audio(Audio::Pcma).misbehave(Fault::AudioSetup(461)).start();
    // rtspsrc goes on with the video.
    Player::start(&camera.url(), "tcp").wait_frames(3);
    assert!(camera.counters().setups.load(std::sync::atomic::Ordering::SeqCst) >= 2);
}

/// What ffprobe says of the streams.
fn ffprobe(url: &str) -> String {
    let out = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-rtsp_transport", "tcp"])
        .args(["-show_entries", "stream=codec_name,profile,width,has_b_frames"])
        .args(["-of", "compact", url])
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

#[test]
fn profiles_and_b_frames() {
    use super::support::feed::Profile;
    for (profile, b_frames, name) in [
        (Profile::Baseline, 0, "Constrained Baseline"),
        (Profile::Main, 0, "Main"),
        (Profile::Main, 2, "Main"),
        (Profile::High, 0, "High"),
    ] {
        let camera = Camera::builder().profile(profile).b_frames(b_frames).start();
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
        let wrong = Camera::builder().codec(codec).misbehave(Fault::WrongSps).start();
        let sprop = |camera: &Camera| {
            let text = sdp(([127, 0, 0, 1], camera.port()).into(), &camera.url());
            let key = if codec == Codec::H264 { "sprop-parameter-sets=" } else { "sprop-sps=" };
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
    let rules = Rules { refuse: Some(Arc::new(|method, _| (method == "DESCRIBE").then_some(503))), ..Rules::default() };
    let proxy = RtspProxy::start(any, server, rules).unwrap();
    let url = format!("rtsp://{}/stream", proxy.address());
    Player::start(&url, "tcp").wait_error();
    assert!(proxy.requests().iter().any(|line| line.starts_with("DESCRIBE")));
    proxy.set_rules(Rules::default());
    let player = Player::start(&url, "tcp");
    player.wait_frames(5);
    proxy.hold(true);
    let taken = camera.frames().last().unwrap().index;
    wait_true(SOON, "20 more pictures taken", || camera.frames().last().unwrap().index > taken + 20);
    let seen = player.codes().len();
    proxy.hold(false);
    player.wait_frames(seen + 15);
    proxy.cut();
    player.wait_error();
}

#[test]
fn ipv6_and_tls() {
    if support::ipv6() {
        let camera = Camera::builder().address("::1").start();
        assert!(camera.url().starts_with("rtsp://[::1]:"));
        Player::start(&camera.url(), "tcp").wait_frames(3);
    }
    let camera = Camera::builder().tls().digest("u", "p@s").start();
    assert_eq!(camera.fingerprint().len(), 64);
    Player::start(&camera.url_with_credentials(), "tcp").wait_frames(3);
    let camera = Camera::builder().tls().start();
    Player::start(&camera.url(), "tcp").wait_frames(3);
}

#[test]
fn cameras_leave_nothing_behind() {
    let pid = std::process::id();
    let feeds = || {
        let names = support::proc::thread_names(pid);
        names.into_iter().filter(|n| n.starts_with("camera-r") || n.starts_with("x264")).count()
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
