//! The session resource: rows 22–28, 31.

use super::ENGINE;
use super::kit::{FRAGMENT, PATIENT, SOON, ask, bare, offer, patch, place, post, start};
use super::support::gateway::Engine;
use super::support::until_true;
use super::support::whep::{Options, Viewer};
use std::net::UdpSocket;
use std::sync::Arc;

/// Whether a connectivity check of this session arrives at the socket.
fn is_checked(socket: &UdpSocket, ufrag: &str) -> bool {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 1500];
    while let Ok(size) = socket.recv(&mut buffer) {
        let data = &buffer[..size];
        // A STUN binding request (RFC 8489 §5) that names us in its USERNAME.
        let request = data.starts_with(&[0, 1]) && data[4..8] == [0x21, 0x12, 0xa4, 0x42];
        if request && data.windows(ufrag.len()).any(|w| w == ufrag.as_bytes()) {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn row22_a_trickled_candidate_is_used() {
    let place = place();
    let session = bare(place.gateway.url(), "cam-row22").await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let body = session.fragment(&format!(
        "m=video 9 UDP/TLS/RTP/SAVPF 0\na=mid:0\n\
         a=candidate:1 1 udp 2122194687 127.0.0.1 {port} typ host generation 0 ufrag {} network-id 1\n\
         a=end-of-candidates\n",
        session.ufrag
    ));
    let reply = patch(&session.url, Some(&session.etag), &body).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{reply:?}");
    until_true(SOON, "a connectivity check", || is_checked(&socket, &session.ufrag)).await;
    assert_eq!(session.delete().await, 200);
}

#[tokio::test]
async fn row22_a_viewer_that_trickles_all_its_candidates_connects() {
    let place = place();
    let edit = |sdp: String| {
        let kept = sdp.lines().filter(|l| !l.starts_with("a=candidate") && !l.starts_with("a=end-of"));
        kept.map(|l| format!("{l}\r\n")).collect()
    };
    let options = Options { edit_offer: Some(Arc::new(edit)), ..Options::default() };
    let viewer = Viewer::join(place.gateway.url(), "cam-trickle", options).await.unwrap();
    until_true(SOON, "pictures", || viewer.with(|log| log.video.complete_frames() > 5)).await;
    assert_eq!(viewer.leave().await.unwrap(), 200);
}

#[tokio::test]
async fn row23_without_a_tag_with_a_star_and_with_several_it_is_204() {
    let place = place();
    let session = bare(place.gateway.url(), "cam-row23").await;
    let body = session.fragment("a=end-of-candidates\n");
    let list = format!("\"other\", {}", session.etag);
    for tag in [None, Some("*"), Some(session.etag.as_str()), Some(list.as_str())] {
        assert_eq!(patch(&session.url, tag, &body).await.status, 204, "{tag:?}");
    }
    // @eyevinn/whip-web-client: the tag in ETag.
    let reply = ask("PATCH", &session.url, &[("content-type", FRAGMENT), ("etag", &session.etag)], &body).await;
    assert_eq!(reply.status, 204);
    // Without credentials: the present ones are meant.
    assert_eq!(patch(&session.url, None, "a=end-of-candidates\r\n").await.status, 204);
    assert_eq!(session.delete().await, 200);
}

#[tokio::test]
async fn row24_a_stale_tag_is_412() {
    let place = place();
    let session = bare(place.gateway.url(), "cam-row24").await;
    let body = session.fragment("a=end-of-candidates\n");
    let weak = format!("W/{}", session.etag);
    for tag in ["\"other\"", weak.as_str(), "\"\""] {
        let reply = patch(&session.url, Some(tag), &body).await;
        assert_eq!(reply.status, 412, "{tag}: {reply:?}");
        reply.error();
    }
    assert_eq!(session.delete().await, 200);
}

#[tokio::test]
async fn row25_another_type_is_415_and_a_malformed_fragment_400() {
    let place = place();
    let session = bare(place.gateway.url(), "cam-row25").await;
    let good = session.fragment("a=end-of-candidates\n");
    for headers in [vec![], vec![("content-type", "application/sdp")]] {
        assert_eq!(ask("PATCH", &session.url, &headers, &good).await.status, 415, "{headers:?}");
    }
    for bad in ["", "hello", "a=candidate:1 1 udp", "a=ice-ufrag:x\r\n", "m=video\r\n"] {
        let reply = patch(&session.url, Some(&session.etag), bad).await;
        assert_eq!(reply.status, 400, "{bad}: {reply:?}");
        reply.error();
    }
    assert_eq!(session.delete().await, 200);
}

#[tokio::test]
async fn row26_candidates_that_cannot_be_used_are_204() {
    let place = place();
    let session = bare(place.gateway.url(), "cam-row26").await;
    for candidate in [
        "1 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active",
        "1 1 udp 2122194687 6b6ca0d4-0001-4c4f-9d0c-6c0c6c0c6c0c.local 34727 typ host",
        "1 2 udp 2122194686 192.0.2.2 34728 typ host",
        "1 1 udp 2122194687 224.0.0.1 34727 typ host",
        "1 1 udp 2122194687 0.0.0.0 9 typ host",
    ] {
        let reply = patch(&session.url, None, &session.fragment(&format!("a=candidate:{candidate}\n"))).await;
        assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{candidate}");
    }
    assert_eq!(session.delete().await, 200);
}

#[tokio::test]
async fn row27_an_ice_restart_is_422_and_the_session_goes_on() {
    if ENGINE == Engine::Shared {
        return; // It can: tests/shared/restart.rs.
    }
    let place = place();
    let viewer = Viewer::join(place.gateway.url(), "cam-row27", Options::default()).await.unwrap();
    until_true(SOON, "pictures", || viewer.with(|log| log.video.complete_frames() > 5)).await;
    let url = viewer.location().unwrap().to_string();
    // whip-whep sends credentials alone; the tag does not matter.
    let body = "a=ice-ufrag:another1\r\na=ice-pwd:anotherpasswordof24chars\r\n";
    for tag in [None, Some("*"), viewer.header("etag")] {
        let reply = patch(&url, tag, body).await;
        assert_eq!(reply.status, 422, "{tag:?}: {reply:?}");
        reply.error();
    }
    let before = viewer.with(|log| log.video.complete_frames());
    until_true(SOON, "more pictures", || viewer.with(|log| log.video.complete_frames() > before + 10)).await;
    assert_eq!(viewer.leave().await.unwrap(), 200);
}

#[tokio::test]
async fn row28_delete_is_200_then_404_for_this_path_only() {
    let place = place();
    let base = place.gateway.url();
    let session = bare(base, "cam-row28").await;
    let secret = session.url.rsplit('/').next().unwrap();
    let elsewhere = format!("{base}/whep/cam-other/{secret}");
    assert_eq!(ask("DELETE", &elsewhere, &[], "").await.status, 404);
    // The other spelling of the same URL, and a stale tag: neither matters.
    let other_form = format!("{base}/cam-row28/whep/{secret}");
    assert_eq!(ask("DELETE", &other_form, &[("if-match", "\"stale\"")], "").await.status, 200);
    for url in [&session.url, &other_form] {
        let reply = ask("DELETE", url, &[], "").await;
        assert_eq!(reply.status, 404);
        reply.error();
        assert_eq!(patch(url, None, &session.fragment("a=end-of-candidates\n")).await.status, 404);
    }
}

#[tokio::test]
async fn row28_a_race_of_deletes_ends_the_session_once() {
    let place = place();
    for _ in 0..5 {
        let session = bare(place.gateway.url(), "cam-race").await;
        let (a, b, c) = tokio::join!(session.delete(), session.delete(), session.delete());
        let mut all = [a, b, c];
        all.sort_unstable();
        assert_eq!(all, [200, 404, 404]);
    }
}

#[tokio::test]
async fn row31_floods_are_429_with_retry_after_and_watchers_do_not_notice() {
    let place = place();
    let gateway = start(&format!(
        "{PATIENT}limits:\n  postsPerSecond: 1\n  postsBurst: 3\npaths:\n  gate:\n    source: {}\n",
        place.camera.url()
    ));
    let viewer = Viewer::join(gateway.url(), "gate", Options::default()).await.unwrap();
    let session = viewer.location().unwrap().to_string();
    // More than bucket and rate allow, however slow the machine is: each flood
    // goes on until it is refused.
    let offer = offer(&Options::default());
    for what in ["POST", "PATCH", "DELETE"] {
        let flood = super::support::until(SOON, what, || async {
            let reply = match what {
                "POST" => post(gateway.url(), "unknown", &offer).await,
                "PATCH" => patch(&session, None, "a=end-of-candidates\r\n").await,
                _ => ask("DELETE", &format!("{}/gate/whep/guess", gateway.url()), &[], "").await,
            };
            assert!([204, 404, 429].contains(&reply.status), "{reply:?}");
            (reply.status == 429).then_some(reply)
        });
        let reply = flood.await;
        assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|s| s > 0), "{reply:?}");
        reply.error();
    }
    let before = viewer.with(|log| log.video.complete_frames());
    until_true(SOON, "more pictures", || viewer.with(|log| log.video.complete_frames() > before + 25)).await;
    assert_eq!(viewer.with(|log| log.video.lost), 0);
}
