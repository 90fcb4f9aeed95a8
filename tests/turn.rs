//! Through a real coturn: who can only be reached through a relay watches, too.

mod support;

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stun_types::attribute::XorMappedAddress;
use stun_types::message::{Message, MessageWriteVec, TransactionId};
use stun_types::prelude::*;
use support::browser::Browser;
use support::camera::Camera;
use support::gateway::{Engine, Gateway};
use support::static_server::StaticServer;
use support::turn::{self, Turn};
use support::until;
use support::whep::{Options, Viewer};

const SOON: Duration = Duration::from_secs(60);

/// A page of another site that knows nothing but the endpoint: servers from the
/// Link headers of OPTIONS, relayed candidates only.
const PAGE: &str = r#"<!doctype html><title>relay</title><video muted autoplay playsinline></video><script>
const links = text => [...(text ?? '').matchAll(/<([^>]+)>; rel="ice-server"(; username="([^"]*)"; credential="([^"]*)")?/g)]
  .map(m => m[2] ? { urls: m[1], username: m[3], credential: m[4] } : { urls: m[1] })
async function watch(endpoint) {
  const options = await fetch(endpoint, { method: 'OPTIONS' })
  const iceServers = links(options.headers.get('Link'))
  const pc = window.pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' })
  pc.addTransceiver('video', { direction: 'recvonly' })
  pc.ontrack = e => { document.querySelector('video').srcObject = new MediaStream([e.track]) }
  await pc.setLocalDescription()
  while (pc.iceGatheringState !== 'complete') await new Promise(r => setTimeout(r, 10))
  const answer = await fetch(endpoint, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp })
  if (answer.status !== 201) throw new Error(answer.status + ' ' + await answer.text())
  await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() })
  return { servers: iceServers.length, offer: pc.localDescription.sdp, location: answer.headers.get('Location') }
}
async function pair() {
  const stats = await pc.getStats()
  let found = null
  stats.forEach(s => { if (s.type === 'transport' && s.selectedCandidatePairId) found = stats.get(s.selectedCandidatePairId) })
  return found && { local: stats.get(found.localCandidateId).candidateType, state: found.state }
}
async function decoded() {
  let frames = 0;
  (await pc.getStats()).forEach(s => { if (s.type === 'inbound-rtp' && s.kind === 'video') frames = s.framesDecoded })
  return frames
}
</script>"#;

type Asked = Arc<Mutex<HashSet<(u16, TransactionId)>>>;

fn gateway(engine: Engine, camera: &Camera, servers: &str) -> Gateway {
    Gateway::on(engine, &format!("{servers}paths:\n  gate:\n    source: {}\n", camera.url()))
}

/// Chromium, behind a relay only, sees pictures move.
async fn watches_through_a_relay(turn: &Turn, gateway: &Gateway) {
    let site = StaticServer::start();
    site.page("/", PAGE);
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/", site.url())).await;
    let joined = page.eval(&format!("watch('{}/gate/whep')", gateway.url())).await;
    assert_eq!(joined["servers"], 1, "{joined}");
    let offer = joined["offer"].as_str().unwrap();
    let candidates: Vec<_> = offer.lines().filter(|l| l.starts_with("a=candidate")).collect();
    assert!(!candidates.is_empty() && candidates.iter().all(|c| c.contains(" typ relay ")), "{candidates:?}");
    page.wait_for("decoded().then(n => n > 30)", SOON).await;
    page.wait_for("document.querySelector('video').currentTime > 0.5", SOON).await;
    let pair = page.eval("pair()").await;
    assert_eq!(pair["local"], "relay", "{pair}");
    assert!(turn.allocations() > 0, "{}", turn.log());
}

async fn row17_a_relay_only_browser_watches_with_time_limited_credentials(engine: Engine) {
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    let turn = Turn::start_with_secret();
    let servers = turn::yaml(&turn, "AUTH_SECRET", turn::SECRET) + "    clientOnly: yes\n";
    let gateway = gateway(engine, &camera, &servers);
    watches_through_a_relay(&turn, &gateway).await;
    let log = turn.log();
    assert!(log.contains(":viewer>"), "no user with an expiry and our name:\n{log}");
}

async fn a_relay_only_browser_watches_when_the_server_uses_the_relay_too(engine: Engine) {
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    let turn = Turn::start();
    let gateway = gateway(engine, &camera, &turn::yaml(&turn, turn::USER.0, turn::USER.1));
    watches_through_a_relay(&turn, &gateway).await;
}

async fn the_server_offers_a_relayed_address_of_its_own(engine: Engine) {
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    for (timed, transport) in [(false, ""), (true, ""), (false, "?transport=tcp")] {
        let (turn, user, password) = match timed {
            false => (Turn::start(), turn::USER.0, turn::USER.1),
            true => (Turn::start_with_secret(), "AUTH_SECRET", turn::SECRET),
        };
        let gateway = gateway(engine, &camera, &turn::yaml_of(&format!("{}{transport}", turn.url()), user, password));
        // The first viewers may come before the server is known to live.
        let viewer = until(SOON, "a relayed candidate", || async {
            let viewer = Viewer::join(gateway.url(), "gate", Options::default()).await.unwrap();
            if viewer.answer().contains(" typ relay ") {
                return Some(viewer);
            }
            viewer.leave().await.unwrap();
            None
        })
        .await;
        assert!(turn.allocations() > 0, "{}", turn.log());
        until(SOON, "pictures", || async { viewer.with(|log| log.video.complete_frames() > 5).then_some(()) }).await;
        let log = gateway.log().join("\n");
        assert!(!log.contains(turn::USER.1) && !log.contains(turn::SECRET), "a secret is in the log");
    }
}

/// A STUN server that sees everybody at 203.0.113.7:4242. Returns its port, and the questions:
/// each once, however often it is repeated, with the port of who asked.
fn stun_server() -> (u16, Asked) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let asked = Asked::default();
    let (seen, mapped) = (asked.clone(), "203.0.113.7:4242".parse().unwrap());
    // Ends with the test's process.
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((n, from)) = socket.recv_from(&mut buffer) {
            let Ok(request) = Message::from_bytes(&buffer[..n]) else { continue };
            let mut answer = Message::builder_success(&request, MessageWriteVec::new());
            answer.add_attribute(&XorMappedAddress::new(mapped, request.transaction_id())).unwrap();
            seen.lock().unwrap().insert((from.port(), request.transaction_id()));
            let _ = socket.send_to(&answer.finish(), from);
        }
    });
    (port, asked)
}

#[tokio::test]
async fn the_shared_port_is_offered_where_a_stun_server_sees_it() {
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    let (port, asked) = stun_server();
    let servers = format!("webrtcICEServers2:\n  - url: stun:127.0.0.1:{port}\n");
    let gateway = gateway(Engine::Shared, &camera, &servers);
    let reflexive = |v: &Viewer| v.answer().contains(" 203.0.113.7 4242 typ srflx raddr 127.0.0.1 rport ");
    // The first viewers may come before the server is known to live.
    let viewer = until(SOON, "a reflexive candidate", || async {
        let viewer = Viewer::join(gateway.url(), "gate", Options::default()).await.unwrap();
        if reflexive(&viewer) {
            return Some(viewer);
        }
        viewer.leave().await.unwrap();
        None
    })
    .await;
    until(SOON, "pictures", || async { viewer.with(|log| log.video.complete_frames() > 5).then_some(()) }).await;
    let host = viewer.answer().lines().find(|l| l.contains(" typ host")).unwrap().to_owned();
    let ours: u16 = host.split(' ').nth(5).unwrap().parse().unwrap();
    let questions = || asked.lock().unwrap().iter().filter(|(port, _)| *port == ours).count();
    let before = questions();
    assert!(before > 0, "it was asked from another port");
    // It is remembered: no viewer waits for it, and the server is not asked for each.
    for _ in 0..3 {
        let viewer = Viewer::join(gateway.url(), "gate", Options::default()).await.unwrap();
        assert!(reflexive(&viewer), "{}", viewer.answer());
    }
    assert!(questions() <= before + 1, "asked {} times", questions());
}

#[tokio::test]
async fn with_a_relay_of_the_servers_own_viewers_of_the_shared_engine_are_webrtcbins() {
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    let turn = Turn::start();
    let yaml = turn::yaml(&turn, turn::USER.0, turn::USER.1);
    let gateway = gateway(Engine::Shared, &camera, &yaml);
    for _ in 0..2 {
        until(SOON, "a relayed candidate", || async {
            let viewer = Viewer::join(gateway.url(), "gate", Options::default()).await.unwrap();
            let relayed = viewer.answer().contains(" typ relay ");
            viewer.leave().await.unwrap();
            relayed.then_some(())
        })
        .await;
    }
    let log = gateway.log();
    let told: Vec<_> = log.iter().filter(|l| l.contains("are served by webrtcbin")).collect();
    assert!(told.len() == 1 && told[0].contains("webrtcICEServers2"), "{told:?}");
    assert!(log.iter().any(|l| l.contains("viewer joins") && l.contains("\"webrtcbin\"")));
}

async fn a_relay_that_is_dead_or_hangs_holds_nobody_up(engine: Engine) {
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    // One port is closed, behind the other one nobody ever answers.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let hung = hangs.local_addr().unwrap().port();
    for port in [dead, hung] {
        let url = format!("turn:127.0.0.1:{port}?transport=tcp");
        let gateway = gateway(engine, &camera, &turn::yaml_of(&url, turn::USER.0, turn::USER.1));
        for _ in 0..3 {
            let viewer = Viewer::join(gateway.url(), "gate", Options::default()).await.unwrap();
            assert!(!viewer.answer().contains(" typ relay "), "{}", viewer.answer());
            until(SOON, "pictures", || async { viewer.with(|log| log.video.complete_frames() > 5).then_some(()) })
                .await;
            viewer.leave().await.unwrap();
        }
        gateway.wait_for_line(SOON, |l| l.contains("does not answer"));
    }
}

on_both_engines!(
    row17_a_relay_only_browser_watches_with_time_limited_credentials,
    a_relay_only_browser_watches_when_the_server_uses_the_relay_too,
    the_server_offers_a_relayed_address_of_its_own,
    a_relay_that_is_dead_or_hangs_holds_nobody_up,
);
