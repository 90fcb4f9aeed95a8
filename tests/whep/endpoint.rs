//! The endpoint: rows 1–8, 10–21.

use super::kit::{PATIENT, Reply, SOON, ask, bare, line, offer, place, post, start, status};
use super::support::until_true;
use super::support::whep::{Options, State, Viewer};

const SDP: (&str, &str) = ("content-type", "application/sdp");

/// The sections of an SDP, each from its `m=` line on.
fn sections(sdp: &str) -> Vec<&str> {
    let starts: Vec<usize> = sdp.match_indices("\nm=").map(|(at, _)| at + 1).chain([sdp.len()]).collect();
    starts.windows(2).map(|w| &sdp[w[0]..w[1]]).collect()
}

async fn delete(base: &str, reply: &Reply) {
    assert_eq!(ask("DELETE", &format!("{base}{}", reply.header("location")), &[], "").await.status, 200);
}

#[tokio::test]
async fn row01_an_offer_gets_201_an_answer_and_then_pictures() {
    let place = place();
    for path_first in [false, true] {
        let options = Options { path_first, ..Options::default() };
        let viewer = Viewer::join(place.gateway.url(), "cam-row01", options).await.unwrap();
        assert_eq!(viewer.header("content-type"), Some("application/sdp"));
        assert_eq!(viewer.header("accept-patch"), Some("application/trickle-ice-sdpfrag"));
        assert!(viewer.answer().starts_with("v=0\r\n"));
        assert!(viewer.answer().lines().count() == viewer.answer().matches("\r\n").count());
        let want = if path_first { "/cam-row01/whep/" } else { "/whep/cam-row01/" };
        assert!(viewer.header("location").unwrap().starts_with(want), "{:?}", viewer.headers());
        until_true(SOON, "pictures and sound", || {
            viewer.with(|log| log.video.complete_frames() >= 10 && log.audio.packets >= 10)
        })
        .await;
        viewer.with(|log| {
            assert_eq!((log.state, log.error.as_ref()), (State::Connected, None));
            assert!(log.video.frames[0].key && log.video.frames[0].sps);
            assert_eq!(log.video.lost, 0);
        });
        assert_eq!(viewer.leave().await.unwrap(), 200);
    }
}

#[tokio::test]
async fn row02_another_content_type_is_415() {
    let place = place();
    let url = format!("{}/whep/cam-row02", place.gateway.url());
    for headers in [vec![], vec![("content-type", "text/plain")], vec![("content-type", "application/json")]] {
        let reply = ask("POST", &url, &headers, &offer(&Options::default())).await;
        assert_eq!(reply.status, 415, "{headers:?}");
        reply.error();
    }
}

#[tokio::test]
async fn row03_a_malformed_offer_is_400_and_starts_no_camera() {
    let place = place();
    let base = place.gateway.url();
    let good = offer(&Options::default());
    let without = |start: &str| -> String { good.split_inclusive('\n').filter(|l| !l.starts_with(start)).collect() };
    for bad in [
        String::new(),
        "hello".into(),
        "v=0\r\n".into(),
        "\0\0\0\0".into(),
        without("a=ice-ufrag"),
        without("a=ice-pwd"),
        without("a=fingerprint"),
        good.replace("m=video", "m=video 9"),
        format!("{good}{}", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(100)),
        good.replace("a=mid:", "a=mid:\u{7f}"),
    ] {
        let reply = post(base, "cam-row03", &bad).await;
        assert_eq!(reply.status, 400, "{bad}\n→ {reply:?}");
        assert_eq!(reply.header("content-type"), "application/json");
        reply.error();
    }
    assert_eq!(status(base, "cam-row03").await["state"], "idle");
}

#[tokio::test]
async fn row04_the_answer_has_all_candidates_in_its_first_accepted_section() {
    let place = place();
    let base = place.gateway.url();
    let whole = offer(&Options::default());
    let rejected = whole.replace("opus/48000", "nopus/48000").replace("OPUS/48000", "nopus/48000");
    for offer in [whole, rejected] {
        let reply = post(base, "cam-row04", &offer).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let all = sections(&reply.body);
        assert_eq!(all.len(), 2);
        let first = all.iter().find(|s| !s.contains(" 0 UDP/TLS/RTP/SAVPF")).unwrap();
        let candidates: Vec<_> = first.lines().filter(|l| l.starts_with("a=candidate:")).collect();
        assert!(!candidates.is_empty(), "{}", reply.body);
        for candidate in candidates {
            let words: Vec<_> = candidate.split(' ').collect();
            assert!(["127.0.0.1", "::1"].contains(&words[4]), "{candidate}");
            assert_eq!((words[2].to_lowercase().as_str(), words[7]), ("udp", "host"), "{candidate}");
        }
        assert!(first.contains("a=end-of-candidates\r\n"));
        delete(base, &reply).await;
    }
}

#[tokio::test]
async fn row05_whep_answers_sendonly_also_to_sendrecv() {
    let place = place();
    let base = place.gateway.url();
    let whole = offer(&Options::default());
    for offer in [whole.clone(), whole.replace("a=recvonly", "a=sendrecv"), whole.replace("a=recvonly\r\n", "")] {
        let reply = post(base, "cam-row05", &offer).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        for section in sections(&reply.body) {
            assert!(section.contains("a=sendonly\r\n"), "{}", reply.body);
            assert!(
                !section.contains("a=sendrecv") && !section.contains("a=recvonly") && !section.contains("inactive")
            );
        }
        delete(base, &reply).await;
    }
}

#[tokio::test]
async fn row06_a_direction_that_can_never_work_is_400() {
    let place = place();
    let whole = offer(&Options::default());
    for direction in ["a=sendonly", "a=inactive"] {
        let reply = post(place.gateway.url(), "cam-row06", &whole.replace("a=recvonly", direction)).await;
        assert_eq!(reply.status, 400, "{direction}: {reply:?}");
        reply.error();
    }
}

#[tokio::test]
async fn row07_and_row08_one_bundle_with_rtcp_mux_only_and_one_msid() {
    let place = place();
    let bare = bare(place.gateway.url(), "cam-row07").await;
    let sdp = &bare.reply.body;
    let all = sections(sdp);
    let mids: Vec<_> = all.iter().map(|s| line(s, "a=mid:")).collect();
    assert_eq!(line(sdp, "a=group:BUNDLE "), mids.join(" "));
    let mut streams = Vec::new();
    for section in &all {
        for wanted in ["a=rtcp-mux\r\n", "a=rtcp-mux-only\r\n"] {
            assert!(section.contains(wanted), "{wanted}{sdp}");
        }
        let msids: Vec<_> = section.lines().filter_map(|l| l.strip_prefix("a=msid:")).collect();
        assert_eq!(msids.len(), 1, "{sdp}");
        streams.push(msids[0].split(' ').next().unwrap());
        let ufrag = line(section, "a=ice-ufrag:");
        assert_eq!((ufrag, ufrag.is_empty()), (line(sdp, "a=ice-ufrag:"), false));
    }
    assert_eq!((streams.len(), streams[0]), (2, streams[1]));
    assert_eq!(bare.delete().await, 200);
}

#[tokio::test]
async fn row10_the_tag_is_strong_quoted_and_of_its_session() {
    let place = place();
    let (a, b) = (bare(place.gateway.url(), "cam-row10").await, bare(place.gateway.url(), "cam-row10").await);
    for session in [&a, &b] {
        let inside = session.etag.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap();
        assert!(!inside.is_empty() && inside.bytes().all(|c| c.is_ascii_graphic() && c != b'"'), "{inside}");
    }
    assert_ne!(a.etag, b.etag);
    assert_eq!((a.delete().await, b.delete().await), (200, 200));
}

#[tokio::test]
async fn row11_nothing_published_and_nothing_configured_are_404_with_retry_after() {
    let place = place();
    for path in ["nobody", "unknown", "site/unknown"] {
        let reply = post(place.gateway.url(), path, &offer(&Options::default())).await;
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
        assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|s| s > 0), "{reply:?}");
        assert!(reply.error().contains(path));
    }
}

#[tokio::test]
async fn row12_the_reader_over_max_readers_is_503_and_may_come_when_one_has_left() {
    let place = place();
    let gateway = start(&format!("{PATIENT}paths:\n  two:\n    source: {}\n    maxReaders: 2\n", place.camera.url()));
    let first = Viewer::join(gateway.url(), "two", Options::default()).await.unwrap();
    let _second = Viewer::join(gateway.url(), "two", Options::default()).await.unwrap();
    let refused = post(gateway.url(), "two", &offer(&Options::default())).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").parse::<u32>().is_ok_and(|s| s > 0), "{refused:?}");
    assert!(refused.error().contains("maxReaders"));
    assert_eq!(status(gateway.url(), "two").await["readers"], 2);
    assert_eq!(first.leave().await.unwrap(), 200);
    let third = super::support::until(SOON, "a free place", || async {
        Viewer::join(gateway.url(), "two", Options::default()).await.ok()
    });
    let third = third.await;
    until_true(SOON, "pictures", || third.with(|log| log.video.complete_frames() > 5)).await;
}

#[tokio::test]
async fn row13_nothing_is_redirected_but_by_307() {
    let place = place();
    for (method, path) in [
        ("POST", "/whep/cam-row13/"),
        ("POST", "/cam-row13/whep/"),
        ("POST", "//whep/cam-row13"),
        ("POST", "/whep"),
        ("GET", "/whep/nobody/"),
        ("GET", "/nobody/whep"),
        ("PATCH", "/whep/nobody/x"),
        ("OPTIONS", "/nobody/whep/"),
    ] {
        let reply = ask(method, &format!("{}{path}", place.gateway.url()), &[SDP], "").await;
        assert!(reply.status == 307 || !(300..400).contains(&reply.status), "{method} {path}: {reply:?}");
    }
}

#[tokio::test]
async fn row14_row15_and_row16_get_put_and_options_over_the_wire() {
    let place = place();
    let url = format!("{}/nobody/whep", place.gateway.url());
    for method in ["GET", "HEAD"] {
        let reply = ask(method, &url, &[], "").await;
        assert_eq!((reply.status, reply.header("content-type"), reply.body.as_str()), (200, "application/sdp", ""));
    }
    assert_eq!(ask("PUT", &url, &[SDP], "v=0\r\n").await.status, 405);
    let preflight = [("origin", "https://page.example"), ("access-control-request-method", "POST")];
    for headers in [&preflight[..], &[]] {
        let reply = ask("OPTIONS", &url, headers, "").await;
        assert!([200, 204].contains(&reply.status), "{reply:?}");
        assert_eq!(reply.header("accept-post"), "application/sdp");
    }
}

#[tokio::test]
async fn row19_locations_are_unguessable_relative_and_clean() {
    let place = place();
    let base = place.gateway.url();
    let mut seen = Vec::new();
    for query in ["", "?token=a&x=%0d%0aSet-Cookie:%20a"] {
        for path in ["cam-row19", "cam-row19/a.b~c_d"] {
            let url = format!("{base}/whep/{path}{query}");
            let reply = ask("POST", &url, &[SDP], &offer(&Options::default())).await;
            assert_eq!(reply.status, 201, "{reply:?}");
            let location = reply.header("location").to_string();
            assert!(location.starts_with(&format!("/whep/{path}/")), "{location}");
            assert!(!location.contains('?') && location.bytes().all(|c| c.is_ascii_graphic()), "{location}");
            let secret = location.rsplit('/').next().unwrap().to_string();
            assert!(secret.len() >= 32, "{secret}");
            delete(base, &reply).await;
            assert!(!place.gateway.log().iter().any(|l| l.contains(&secret)), "the secret is in the log");
            assert!(!seen.contains(&secret));
            seen.push(secret);
        }
    }
}

#[tokio::test]
async fn row20_pages_of_other_sites_may_read_what_they_need() {
    let place = place();
    let base = place.gateway.url();
    let headers = [SDP, ("origin", "https://page.example")];
    let reply = ask("POST", &format!("{base}/whep/cam-row20"), &headers, &offer(&Options::default())).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (201, "*"));
    for name in ["Location", "ETag", "Link", "Accept-Patch", "Retry-After"] {
        assert!(reply.header("access-control-expose-headers").contains(name), "{reply:?}");
    }
    let url = format!("{base}{}", reply.header("location"));
    let gone = ask("DELETE", &url, &headers[1..], "").await;
    assert_eq!((gone.status, gone.header("access-control-allow-origin")), (200, "*"));
}

#[tokio::test]
async fn row21_a_dead_stun_server_and_a_dead_name_do_not_delay_the_answer() {
    let place = place();
    // Nobody answers there: the socket is bound, and never read.
    let dead = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let gateway = start(&format!(
        "{PATIENT}webrtcSTUNGatherTimeout: 300s\n\
         webrtcICEServers2:\n  - url: stun:{0}\n  - url: turn:{0}\n    username: a\n    password: b\n  \
         - url: stun:does-not-exist.invalid:3478\n\
         paths:\n  gate:\n    source: {1}\n",
        dead.local_addr().unwrap(),
        place.camera.url()
    ));
    until_true(SOON, "a live path", || gateway.log().iter().any(|l| l.contains("path=gate state=Live"))).await;
    // The first viewers come before anybody could know that it is dead.
    for _ in 0..3 {
        // An answer that waited for that server would come later than that.
        let options = Options { timeout: SOON, ..Options::default() };
        let viewer = Viewer::join(gateway.url(), "gate", options).await.unwrap();
        until_true(SOON, "pictures", || viewer.with(|log| log.video.complete_frames() > 5)).await;
        assert_eq!(viewer.leave().await.unwrap(), 200);
    }
}
