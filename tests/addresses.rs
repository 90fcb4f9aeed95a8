//! Where viewers of the shared engine reach the machine: both families, and an address
//! that only the outside knows.

mod support;

use std::net::{IpAddr, Ipv6Addr, TcpListener};
use std::time::Duration;
use support::camera::Camera;
use support::gateway::Gateway;
use support::until;
use support::whep::{Options, Viewer};

const SOON: Duration = Duration::from_secs(60);

fn gateway(camera: &Camera, settings: &str) -> Gateway {
    Gateway::start(&format!("webrtcEngine: shared\n{settings}paths:\n  gate:\n    source: {}\n", camera.url()))
}

/// Address and port of each candidate of an answer.
fn candidates(viewer: &Viewer) -> Vec<(String, String)> {
    let lines = viewer.answer().lines().filter(|l| l.starts_with("a=candidate:"));
    let words = lines.map(|l| l.split(' ').map(str::to_owned).collect::<Vec<_>>());
    words.map(|w| (w[4].clone(), w[5].clone())).collect()
}

async fn plays(gateway: &Gateway, options: Options) -> Viewer {
    let viewer = Viewer::join(gateway.url(), "gate", options).await.unwrap();
    until(SOON, "pictures", || async { viewer.with(|log| log.video.complete_frames() > 5).then_some(()) }).await;
    viewer
}

#[tokio::test]
async fn both_families_are_served_each_by_a_socket_of_its_own() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    let gateway = gateway(&camera, "webrtcLocalUDPAddress: localhost:0\n");
    let four = plays(&gateway, Options::default()).await;
    let six = plays(&gateway, Options { bind: IpAddr::from(Ipv6Addr::LOCALHOST), ..Options::default() }).await;
    for viewer in [&four, &six] {
        let found = candidates(viewer);
        let addresses: Vec<_> = found.iter().map(|c| c.0.as_str()).collect();
        assert_eq!(addresses, ["127.0.0.1", "::1"], "{found:?}");
        assert!(found.iter().all(|c| c.1 != "0"), "{found:?}");
    }
    assert_eq!(candidates(&four), candidates(&six), "one port for all");
    let routes: Vec<String> = gateway.log().into_iter().filter(|l| l.contains("route=")).collect();
    assert!(routes.iter().any(|r| r.contains("local: [::1]:")), "{routes:?}");
}

/// By its name: names are resolved.
#[tokio::test]
async fn an_address_of_the_outside_alone_is_enough() {
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    let gateway = gateway(
        &camera,
        "webrtcIPsFromInterfaces: no\nwebrtcIPsFromInterfacesList: []\nwebrtcAdditionalHosts: [localhost]\n",
    );
    let viewer = plays(&gateway, Options::default()).await;
    let found = candidates(&viewer);
    assert!(!found.is_empty() && found.iter().all(|c| c.1 == found[0].1), "{found:?}");
    assert!(found.iter().any(|c| c.0 == "127.0.0.1"), "{found:?}");
}

#[tokio::test]
async fn without_any_address_the_reason_is_told() {
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    let gateway = gateway(&camera, "webrtcIPsFromInterfaces: no\n");
    let error = Viewer::join(gateway.url(), "gate", Options::default()).await.err().expect("joined");
    assert!(error.status == 500 && error.to_string().contains("webrtcAdditionalHosts"), "{error}");
}
