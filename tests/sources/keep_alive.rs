//! Sessions are kept alive, whatever the camera says to it, and without a scratch
//! on the stream.

use super::small;
use super::support::api::{SOON, assert_smooth, frames, more_frames, view};
use super::support::camera::Camera;
use super::support::faults::Fault;
use super::support::gateway::{Gateway, paths};
use super::support::rtsp_proxy::{RtspProxy, Rules};
use super::support::until_true;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

fn keep_alives(camera: &Camera) -> usize {
    camera.counters().keep_alives.load(SeqCst)
}

#[tokio::test]
async fn a_session_with_a_timeout_goes_on() {
    // Over TCP every 5 s by camgate; over UDP by rtspsrc, five seconds before the time (of
    // less than 20 s, only a fifth of it before).
    let tcp = small().misbehave(Fault::SessionTimeout(21)).start();
    let udp = small().misbehave(Fault::SessionTimeout(21)).misbehave(Fault::NoTcp).start();
    let gateway = Gateway::start(&paths(&[("tcp", &tcp.url()), ("udp", &udp.url())]));
    let (a, b) = (view(&gateway, "tcp").await, view(&gateway, "udp").await);
    // The first OPTIONS of a connection is none.
    let before = [&tcp, &udp].map(keep_alives);
    // 28 s: longer than the camera lets a session be that is not kept alive.
    frames(&a, 700).await;
    frames(&b, 700).await;
    for ((camera, viewer), before) in [(&tcp, &a), (&udp, &b)].into_iter().zip(before) {
        assert_eq!(camera.plays(), 1, "the session was lost");
        assert!(keep_alives(camera) > before, "{before}, then {}", keep_alives(camera));
        assert_smooth(viewer);
    }
    let indices = a.with(|log| log.video.indices());
    assert!(indices.windows(2).all(|w| w[1] == w[0] + 1), "{indices:?}");
    // Nor about the reports that came meanwhile. No appsrc is here, whose one is known.
    let critical: Vec<String> = gateway.log().into_iter().filter(|l| l.contains("-CRITICAL **")).collect();
    assert_eq!(critical, Vec::<String>::new());
}

#[tokio::test]
async fn a_slow_camera_is_not_asked_before_it_plays() {
    // Opening takes longer than the time between two keep-alives.
    let camera = small().start();
    let slow = Rules { delay_answers: Duration::from_secs(2), ..Rules::default() };
    let server = ([127, 0, 0, 1], camera.port()).into();
    let proxy = RtspProxy::start("127.0.0.1:0".parse().unwrap(), server, slow).unwrap();
    let gateway = Gateway::start(&paths(&[("gate", &format!("rtsp://{}/stream", proxy.address()))]));
    let viewer = view_when_live(&gateway).await;
    until_true(SOON, "2 keep-alives", || requests(&proxy, "GET_PARAMETER") >= 2).await;
    more_frames(&viewer, 20).await;
    let asked = proxy.requests();
    let at = |method: &str| asked.iter().position(|l| l.starts_with(method));
    assert!(at("PLAY") < at("GET_PARAMETER"), "{asked:?}");
    assert_eq!((camera.plays(), proxy.connections()), (1, 1), "{asked:?}");
}

/// A join waits 10 s at most; so does this camera.
async fn view_when_live(gateway: &Gateway) -> super::support::whep::Viewer {
    super::support::api::until_state(gateway, "gate", "live").await;
    view(gateway, "gate").await
}

#[tokio::test]
async fn a_keep_alive_in_the_middle_of_a_packet_spoils_nothing() {
    // Whoever stops reading at a random moment here stops within a packet.
    let camera = small().fps(15).start();
    let halves = Rules { halves: Duration::from_millis(15), ..Rules::default() };
    let server = ([127, 0, 0, 1], camera.port()).into();
    let proxy = RtspProxy::start("127.0.0.1:0".parse().unwrap(), server, halves).unwrap();
    let url = format!("rtsp://{}/stream", proxy.address());
    let gateway = Gateway::start(&paths(&[("gate", &url)]));
    let viewer = view(&gateway, "gate").await;
    until_true(SOON, "5 keep-alives", || requests(&proxy, "GET_PARAMETER") >= 5).await;
    more_frames(&viewer, 20).await;
    assert_eq!((camera.plays(), proxy.connections()), (1, 1), "{:?}", proxy.requests());
    assert_smooth(&viewer);
    let indices = viewer.with(|log| log.video.indices());
    assert!(indices.windows(2).all(|w| w[1] == w[0] + 1), "{indices:?}");
}

fn requests(proxy: &RtspProxy, method: &str) -> usize {
    proxy.requests().iter().filter(|line| line.starts_with(method)).count()
}

#[tokio::test]
async fn what_the_camera_answers_does_not_matter() {
    let cameras: Vec<_> = [400, 405, 451, 454, 501, 551].map(|code| (code, small().start())).into();
    let mut running = Vec::new();
    let mut sources = Vec::new();
    for (code, camera) in &cameras {
        let code = *code;
        let refuse = Rules {
            refuse: Some(Arc::new(move |method, _| (method == "GET_PARAMETER").then_some(code))),
            ..Rules::default()
        };
        let server = ([127, 0, 0, 1], camera.port()).into();
        let proxy = RtspProxy::start("127.0.0.1:0".parse().unwrap(), server, refuse).unwrap();
        sources.push((format!("p{code}"), format!("rtsp://{}/stream", proxy.address())));
        running.push(proxy);
    }
    let list: Vec<_> = sources.iter().map(|(n, u)| (n.as_str(), u.as_str())).collect();
    let gateway = Gateway::start(&paths(&list));
    let mut viewers = Vec::new();
    for (name, _) in &sources {
        viewers.push(view(&gateway, name).await);
    }
    for ((proxy, viewer), (code, camera)) in running.iter().zip(&viewers).zip(&cameras) {
        until_true(SOON, "2 keep-alives", || requests(proxy, "GET_PARAMETER") >= 2).await;
        more_frames(viewer, 20).await;
        assert_eq!((camera.plays(), proxy.connections()), (1, 1), "{code}");
        assert_smooth(viewer);
    }
}
