//! The PTZ doubles: vectors of the specifications, and a plain client that looks
//! at what the cameras say and do.

use super::SOON;
use super::ptz_client::Client;
use super::support::camera::Camera;
use super::support::ptz_auth::{Answered, ws_digest, ws_token};
use super::support::ptz_hikvision::{Hikvision, PASSWORD, USER};
use super::support::ptz_http::{Fault, Login, Options};
use super::support::ptz_motion::{Limits, Motion, Position};
use super::support::ptz_onvif::{Onvif, SOAP, Wants, fault};
use super::support::ptz_xml::{Encoding, find, parse, text};
use super::support::{self, ptz_picture, wait_true};
use std::time::{Duration, Instant};

#[test]
fn digests_are_those_of_the_specifications() {
    // RFC 7616 §3.9.1, MD5.
    let right = Answered {
        user: "Mufasa",
        password: "Circle of Life",
        realm: "http-auth@example.org",
        method: "GET",
        uri: "/dir/index.html",
        nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        nc: "00000001",
        cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    };
    assert_eq!(right.response(), "8ca523f5e9506fed4657c9700eebdbec");
    use base64::Engine as _;
    let nonce = base64::engine::general_purpose::STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
    assert_eq!(ws_digest(&nonce, "2010-09-16T07:50:45Z", "userpassword"), "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
}

#[test]
fn motors_run_with_time() {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut motion = Motion::new(Limits::default(), start);
    motion.drive([1.0, -0.5, 0.0], None, start);
    assert!(motion.at(at(1000)).near(&Position::new(60.0, -20.0, 1.0), 1e-9));
    assert_eq!(motion.moving(at(1000)), (true, false));
    // Pan goes round, tilt stops at its end.
    assert!(motion.at(at(6500)).near(&Position::new(30.0, -20.0, 1.0), 1e-6));
    motion.drive([-1.0, 0.0, 1.0], Some(Duration::from_secs(1)), at(6500));
    assert!(motion.at(at(7500)).near(&Position::new(330.0, -20.0, 6.0), 1e-6));
    assert_eq!(motion.at(at(7500)), motion.at(at(60_000)), "it stops by itself");
    assert_eq!(motion.moving(at(7501)), (false, false));
    // The short way round to a position, and exactly there.
    let to = Position::new(10.0, 5.5, 3.3);
    motion.go(to, at(8000));
    assert!(motion.at(at(8050)).pan > 330.0);
    assert_eq!(motion.at(at(20_000)), to);
    assert_eq!(motion.moving(at(20_000)), (false, false));
    let fixed = Limits { pan: (-170.0, 170.0), wraps: false, ..Limits::default() };
    let mut motion = Motion::new(fixed, start);
    motion.drive([-1.0, 1.0, -1.0], None, start);
    assert_eq!(motion.at(at(60_000)), Position::new(-170.0, 90.0, 1.0));
}

#[test]
fn hikvision_moves_while_it_is_driven() {
    let camera = Hikvision::start();
    let mut client = Client::new(camera.server().address());
    let base = "/ISAPI/PTZCtrl/channels/1";
    let order = |pan: i32| format!("<PTZData><pan>{pan}</pan><tilt>0</tilt><zoom>0</zoom></PTZData>");
    let (status, answer) = client.digest("PUT", &format!("{base}/continuous"), &order(60));
    assert_eq!(status, 200);
    assert!(answer.contains("<subStatusCode>ok</subStatusCode>"), "{answer}");
    wait_true(SOON, "a move of 3°", || camera.position().pan > 3.0);
    assert_eq!(client.digest("PUT", &format!("{base}/continuous"), &order(0)).0, 200);
    let still = camera.position();
    let (_, answer) = client.digest("GET", &format!("{base}/status"), "");
    let document = parse(answer.as_bytes()).unwrap();
    let azimuth: f64 = text(document.root(), "azimuth").unwrap().parse().unwrap();
    assert!((azimuth / 10.0 - still.pan).abs() <= 0.06, "{azimuth} {still:?}");
    assert_eq!(camera.position(), still);
    // One challenge, then none; all on one connection.
    let logins: Vec<_> = camera.server().requests().iter().map(|r| (r.login, r.status)).collect();
    assert_eq!(logins[0], (Login::None, 401));
    assert!(logins[1..].iter().all(|l| *l == (Login::Granted, 200)), "{logins:?}");
    assert_eq!(camera.server().connections(), 1);
    assert_eq!(camera.velocities(), [[60, 0, 0], [0, 0, 0]]);
    // Refusals with their sub-status.
    let mut refused = |method: &str, path: &str, body: &str| {
        let (status, answer) = client.digest(method, path, body);
        let document = parse(answer.as_bytes()).unwrap();
        (status, text(document.root(), "subStatusCode").unwrap().to_string())
    };
    let said = |status, sub: &str| (status, sub.to_string());
    assert_eq!(refused("PUT", &format!("{base}/continuous"), "<PTZData><pan>1"), said(400, "badXmlFormat"));
    assert_eq!(refused("PUT", &format!("{base}/continuous"), &order(101)), said(400, "badParameters"));
    let wrong = "<PTZData><pan>0.5</pan></PTZData>";
    assert_eq!(refused("PUT", &format!("{base}/continuous"), wrong), said(400, "badXmlContent"));
    assert_eq!(refused("POST", &format!("{base}/continuous"), &order(1)), said(403, "methodNotAllowed"));
    assert_eq!(refused("PUT", &format!("{base}/nothing"), ""), said(404, "invalidOperation"));
    assert_eq!(refused("PUT", &format!("{base}/presets/200/goto"), ""), said(403, "presetNotExist"));
}

#[test]
fn hikvision_goes_where_it_is_sent() {
    let camera = Hikvision::start();
    let mut client = Client::new(camera.server().address());
    let mut put = |what: &str, body: &str| {
        let (status, answer) = client.digest("PUT", &format!("/ISAPI/PTZCtrl/channels/1/{what}"), body);
        assert_eq!(status, 200, "{answer}");
    };
    let there =
        |to: Position| wait_true(SOON, "the position", || camera.position().near(&to, 0.05) && !camera.moving());
    put("presets/1/goto", "");
    there(Position::new(135.0, 15.0, 4.0));
    put(
        "absolute",
        "<PTZData><AbsoluteHigh><elevation>-50</elevation><azimuth>3500</azimuth>\
         <absoluteZoom>20</absoluteZoom></AbsoluteHigh></PTZData>",
    );
    there(Position::new(350.0, -5.0, 2.0));
    put("presets/7", "<PTZPreset><enabled>true</enabled><id>7</id><presetName>Tür &amp; Tor</presetName></PTZPreset>");
    assert!(camera.memory().presets.iter().any(|p| p.name == "Tür & Tor" && p.at.near(&camera.position(), 0.01)));
    put(
        "relative",
        "<PTZData><Relative><positionX>255</positionX><positionY>0</positionY><relativeZoom>0</relativeZoom></Relative></PTZData>",
    );
    there(Position::new(5.0, -5.0, 2.0));
    put("homeposition/goto", "");
    there(Position::new(10.0, 5.0, 1.0));
    // The right upper quarter fills the picture.
    put(
        "position3D",
        "<PTZData><Position3D><StartPoint><positionX>128</positionX><positionY>255</positionY></StartPoint>\
         <EndPoint><positionX>255</positionX><positionY>128</positionY></EndPoint></Position3D></PTZData>",
    );
    wait_true(SOON, "the box", || camera.position().near(&Position::new(25.0, 13.4, 2.0), 0.2));
    put(
        "momentary",
        "<PTZData><pan>-100</pan><tilt>0</tilt><zoom>0</zoom><Momentary><duration>100</duration></Momentary></PTZData>",
    );
    wait_true(SOON, "the momentary move", || camera.position().near(&Position::new(19.0, 13.4, 2.0), 0.2));
    put("presets/94/goto", "");
    assert_eq!(camera.memory().special, [94]);
    put("patrols/2/start", "");
    assert_eq!(camera.memory().patrol, Some(2));
}

#[test]
fn the_account_is_guarded() {
    let path = "/ISAPI/PTZCtrl/channels/1/status";
    // Replayed and outworn nonces are stale; the password stays good.
    let camera = Hikvision::builder().nonce_uses(2).start();
    let mut client = Client::new(camera.server().address());
    for _ in 0..5 {
        assert_eq!(client.digest("GET", path, "").0, 200);
    }
    let stale = camera.server().requests().iter().filter(|r| r.login == Login::Stale).count();
    assert_eq!(stale, 2);
    let again = camera.server().requests().last().unwrap().header("authorization").unwrap().to_string();
    let (status, head, _) = client.send("GET", path, &format!("Authorization: {again}\r\n"), b"");
    assert!(status == 401 && head.contains("stale=\"TRUE\""), "{head}");
    assert_eq!(camera.digest().replays(), 1);
    // Five wrong passwords lock it, for the right one, too.
    let locked = |lock| {
        let camera = Hikvision::builder().lock(lock).basic_too().start();
        let mut wrong = Client::new(camera.server().address());
        wrong.credentials.1 = "wrong".into();
        let answers: Vec<_> = (0..5).map(|_| wrong.digest("GET", path, "")).collect();
        assert!(answers.iter().all(|(status, _)| *status == 401), "{answers:?}");
        assert!(answers[3].1.contains("<lockStatus>unlock</lockStatus>"), "{}", answers[3].1);
        assert!(answers[4].1.contains("<lockStatus>locked</lockStatus><unlockTime>"), "{}", answers[4].1);
        camera
    };
    let camera = locked(Duration::from_secs(600));
    assert!(camera.digest().is_locked());
    let mut right = Client::new(camera.server().address());
    let (status, answer) = right.digest("GET", path, "");
    assert!(status == 401 && answer.contains("locked"), "{answer}");
    // The lock opens by itself.
    let camera = locked(Duration::from_secs(2));
    wait_true(SOON, "the end of the lock", || !camera.digest().is_locked());
    let mut right = Client::new(camera.server().address());
    assert_eq!(right.digest("GET", path, "").0, 200);
}

#[test]
fn faults_are_what_they_say() {
    let camera = Hikvision::builder().open().start();
    let path = "/ISAPI/PTZCtrl/channels/1/status";
    let get = || Client::new(camera.server().address()).send("GET", path, "", b"");
    let server = camera.server();
    server.misbehave(Fault::Instead(503, "text/plain", b"busy".to_vec())).on("status").times(1);
    assert_eq!(get().2, b"busy");
    assert_eq!(get().0, 200);
    for fault in [Fault::Close, Fault::CloseAfter, Fault::Reset] {
        server.misbehave(fault).times(1);
        assert_eq!(get().0, 0);
    }
    server.misbehave(Fault::Half).times(1);
    let (status, text, _) = get();
    assert!(status == 0 && text.contains("<PTZStatus"), "{text}");
    server.misbehave(Fault::Garbage).times(1);
    assert!(!get().1.starts_with("HTTP"));
    server.misbehave(Fault::Slow(Duration::from_millis(200))).times(1);
    let start = Instant::now();
    assert_eq!(get().0, 200);
    assert!(start.elapsed() >= Duration::from_millis(200));
    server.misbehave(Fault::Never).times(1);
    let mark = server.mark();
    let mut hanging = Client::new(server.address());
    let hangs = std::thread::spawn(move || hanging.send("GET", path, "", b"").0);
    assert!(server.wait_for(mark, SOON, |r| r.status == 0).is_some());
    assert_eq!(get().0, 200, "others are not held up");
    server.cut();
    assert_eq!(hangs.join().unwrap(), 0);
    wait_true(SOON, "the end of the connections", || server.open_connections() == 0);
}

#[test]
fn answers_come_in_other_encodings_and_namespaces() {
    for encoding in [Encoding::Utf16Le, Encoding::Utf16Be, Encoding::Gb2312, Encoding::Latin1, Encoding::Utf8Bom] {
        let camera = Hikvision::builder().open().encoding(encoding).namespace("http://www.std-cgi.org/ver20/XMLSchema");
        let camera = camera.start();
        let mut client = Client::new(camera.server().address());
        let (status, head, body) = client.send("GET", "/ISAPI/PTZCtrl/channels/1/presets", "", b"");
        assert_eq!(status, 200);
        assert!(head.contains(encoding.name()), "{head}");
        let text = match encoding {
            Encoding::Utf16Le | Encoding::Utf16Be => {
                let pair = |p: &[u8]| match encoding {
                    Encoding::Utf16Le => u16::from_le_bytes([p[0], p[1]]),
                    _ => u16::from_be_bytes([p[0], p[1]]),
                };
                String::from_utf16(&body.chunks(2).map(pair).collect::<Vec<_>>()).unwrap()
            }
            _ => String::from_utf8_lossy(&body).into_owned(),
        };
        assert!(text.contains("<presetName>Front gate</presetName>") && text.contains("std-cgi.org"), "{text}");
    }
    assert_eq!(Encoding::Gb2312.encode("前门").last_chunk(), Some(&[0xc7, 0xb0, 0xc3, 0xc5]));
    assert_eq!(Encoding::Latin1.encode("<a>Tür</a>").last_chunk(), Some(b"T\xfcr</a>"));
}

#[test]
fn onvif_knows_who_calls() {
    let camera = Onvif::builder().clock(-7200).nat("192.0.2.7:80").start();
    let mut client = Client::new(camera.server().address());
    let call = |name: &str| format!("<x:{name} xmlns:x=\"http://www.onvif.org/ver10/device/wsdl\"/>");
    let (status, clock) = client.soap("device", "", &call("GetSystemDateAndTime"));
    assert_eq!(status, 200, "{clock}");
    let document = parse(clock.as_bytes()).unwrap();
    let utc = find(document.root(), "UTCDateTime").unwrap();
    let get = |name| text(utc, name).unwrap().parse::<u32>().unwrap();
    let created = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        get("Year"),
        get("Month"),
        get("Day"),
        get("Hour"),
        get("Minute"),
        get("Second")
    );
    assert!(client.soap("device", "", &call("GetServices")).1.contains("ter:NotAuthorized"));
    // Our clock is two hours off, the camera's own is right.
    let ours = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let (status, answer) = client.soap("device", &ws_token(USER, PASSWORD, &ours), &call("GetServices"));
    assert!(status == 400 && answer.contains("ter:NotAuthorized"), "{answer}");
    assert_eq!(camera.refused(), 0);
    let token = ws_token(USER, PASSWORD, &created);
    let (status, answer) = client.soap("device", &token, &call("GetServices"));
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("http://192.0.2.7:80/onvif/ptz_service"), "{answer}");
    assert_eq!(client.soap("device", &token, &call("GetServices")).0, 400, "a token is good once");
    assert_eq!(client.soap("device", &ws_token(USER, "wrong", &created), &call("GetServices")).0, 400);
    assert_eq!(camera.refused(), 1);
    // HTTP Digest.
    let camera = Onvif::builder().wants(Wants::HttpDigest).start();
    let mut client = Client::new(camera.server().address());
    let body = format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body>{}</s:Body></s:Envelope>",
        call("GetDeviceInformation")
    );
    let (status, answer) = client.digest("POST", "/onvif/device_service", &body);
    assert!(status == 200 && answer.contains("SD-6C"), "{answer}");
}

#[test]
fn onvif_moves_and_refuses() {
    let camera = Onvif::builder().wants(Wants::Nothing).stream("rtsp://127.0.0.1:1/x?a=1&b=2").start();
    let mut client = Client::new(camera.server().address());
    let mut ptz = |name: &str, profile: &str, inner: &str| {
        let ns = "http://www.onvif.org/ver20/ptz/wsdl";
        let body = format!("<p:{name} xmlns:p=\"{ns}\"><p:ProfileToken>{profile}</p:ProfileToken>{inner}</p:{name}>");
        client.soap("ptz", "", &body)
    };
    let velocity = "<p:Velocity><tt:PanTilt x=\"-0.5\" y=\"0.25\"/></p:Velocity>";
    let (status, answer) = ptz("ContinuousMove", "main", velocity);
    assert_eq!(status, 200, "{answer}");
    wait_true(SOON, "a move", || camera.position().tilt > 1.0 && camera.position().pan < 359.0);
    assert!(ptz("GetStatus", "main", "").1.contains("<tt:PanTilt>MOVING</tt:PanTilt><tt:Zoom>IDLE</tt:Zoom>"));
    assert_eq!(ptz("Stop", "main", "<p:PanTilt>true</p:PanTilt><p:Zoom>true</p:Zoom>").0, 200);
    assert!(!camera.moving());
    let timed = format!("{velocity}<p:Timeout>PT0.1S</p:Timeout>");
    assert_eq!(ptz("ContinuousMove", "main", &timed).0, 200);
    wait_true(SOON, "the camera's own stop", || !camera.moving());
    for (profile, inner, code) in [
        ("nobody", velocity, "ter:NoProfile"),
        ("video", velocity, "ter:NoPTZProfile"),
        ("main", "<p:Velocity><tt:PanTilt x=\"7\" y=\"0\"/></p:Velocity>", "ter:InvalidPosition"),
    ] {
        let (status, answer) = ptz("ContinuousMove", profile, inner);
        assert!(status == 400 && answer.contains(code) && answer.contains("s:Fault"), "{answer}");
    }
    assert!(ptz("GetPresets", "main", "").1.matches("<tt:Name>Yard</tt:Name>").count() == 2);
    assert_eq!(ptz("GotoPreset", "main", "<p:PresetToken>P001</p:PresetToken>").0, 200);
    wait_true(SOON, "the preset", || camera.position() == Position::new(135.0, 15.0, 4.0));
    let (_, answer) = ptz("GetStatus", "main", "");
    assert!(answer.contains("x=\"0.750000\""), "{answer}");
    assert!(ptz("GotoPreset", "main", "<p:PresetToken>no</p:PresetToken>").1.contains("ter:NoToken"));
    let media = "http://www.onvif.org/ver10/media/wsdl";
    let (_, answer) = client.soap("media", "", &format!("<GetProfiles xmlns=\"{media}\"/>"));
    let document = parse(answer.as_bytes()).unwrap();
    let first = document.descendants().find(|n| {
        n.tag_name().name() == "Profiles"
            && find(*n, "VideoEncoderConfiguration").is_some()
            && find(*n, "PTZConfiguration").is_some()
    });
    assert_eq!(first.unwrap().attribute("token"), Some("main"));
    let uri = format!("<GetStreamUri xmlns=\"{media}\"><ProfileToken>main</ProfileToken></GetStreamUri>");
    assert!(client.soap("media", "", &uri).1.contains("rtsp://127.0.0.1:1/x?a=1&amp;b=2"));
    camera.server().misbehave(Fault::Instead(400, SOAP, fault(&["Receiver", "Action", "MovingPTZ"], "busy"))).times(1);
    assert!(client.soap("media", "", &uri).1.contains("ter:MovingPTZ"));
    assert_eq!(camera.orders("GotoPreset").len(), 2);
}

#[test]
fn onvif_answers_a_probe() {
    let camera = Onvif::start();
    let found = camera.discoverable();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let probe = |types: &str| {
        format!(
            "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
             xmlns:w=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
             xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
             xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\" xmlns:wrong=\"urn:x\">\
             <e:Header><w:MessageID>uuid:7</w:MessageID></e:Header>\
             <e:Body><d:Probe><d:Types>{types}</d:Types></d:Probe></e:Body></e:Envelope>"
        )
    };
    // A probe for others is not answered.
    socket.send_to(probe("wrong:NetworkVideoTransmitter").as_bytes(), found.address()).unwrap();
    socket.send_to(probe("dn:NetworkVideoTransmitter").as_bytes(), found.address()).unwrap();
    let mut buffer = [0; 8192];
    let (n, _) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(found.probes().len(), 2);
    let answer = parse(&buffer[..n]).unwrap();
    assert_eq!(text(answer.root(), "RelatesTo"), Some("uuid:7"));
    assert!(text(answer.root(), "XAddrs").unwrap().starts_with(&camera.device_service()));
}

#[tokio::test]
async fn tls_shows_its_certificate() {
    support::init();
    let camera = Hikvision::builder().open().http(Options { tls: true, ..Options::default() }).start();
    assert!(camera.url().starts_with("https://") && camera.server().fingerprint().len() == 64);
    let client = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).build().unwrap();
    let answer = client.get(camera.url() + "/ISAPI/System/deviceInfo").send().await.unwrap();
    assert!(answer.text().await.unwrap().contains("DS-2DF8425IX-AELW"));
    let strict = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(strict.get(camera.url()).send().await.is_err());
}

#[test]
fn the_picture_shows_the_position() {
    let (w, h) = (640, 360);
    for at in [Position::new(0.0, 0.0, 1.0), Position::new(351.7, -12.3, 2.5), Position::new(135.0, 90.0, 25.0)] {
        let mut luma = vec![0; w * h];
        ptz_picture::draw(&mut luma, w, h, at);
        assert!(ptz_picture::read(&luma, w, h).unwrap().near(&at, 1e-6));
    }
}

#[tokio::test]
async fn a_browser_sees_the_camera_turn() {
    use super::support::barcode;
    use super::support::browser::Browser;
    use super::support::gateway::{Gateway, paths};
    let ptz = Hikvision::start();
    let camera = Camera::builder().scene(ptz.scene()).gop_frames(25).start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/gate", gateway.url())).await;
    page.eval(barcode::JS).await;
    page.eval(ptz_picture::JS).await;
    let video = "document.querySelector('video')";
    let first = page.wait_for(&format!("findLandmark({video})"), SOON).await;
    let near = |value: &serde_json::Value, want: f64, by: f64| (value.as_f64().unwrap() - want).abs() < by;
    assert!(
        near(&first["x"], 0.5, 0.02) && near(&first["y"], 0.5, 0.02) && near(&first["width"], 0.1, 0.02),
        "{first}"
    );
    ptz.place(Position::new(12.0, 3.0, 2.0));
    page.wait_for(&format!("(p => p && p.zoom === 2 ? p : null)(readPosition({video}))"), SOON).await;
    let now = page.eval(&format!("readPosition({video})")).await;
    assert!(near(&now["pan"], 12.0, 0.1) && near(&now["tilt"], 3.0, 0.1), "{now}");
    // 12° of 30° to the right of it, 3° of 16.9° above it, twice as wide.
    let seen = page.wait_for(&format!("(l => l && l.width > 0.15 ? l : null)(findLandmark({video}))"), SOON).await;
    assert!(near(&seen["x"], 0.1, 0.02) && near(&seen["y"], 0.678, 0.03) && near(&seen["width"], 0.2, 0.02), "{seen}");
}
