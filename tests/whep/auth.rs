//! Rows 17 and 18: who may watch, and what they are told.

use super::kit::{PATIENT, SOON, ask, offer, place, start};
use super::support::gateway::Gateway;
use super::support::turn::SECRET;
use super::support::until_true;
use super::support::whep::{Options, Viewer};
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};

const SDP: (&str, &str) = ("content-type", "application/sdp");
const BASIC: &str = "Basic Ym9iOnAlQHM6cw=="; // bob:p%@s:s

fn closed(source: &str) -> Gateway {
    start(&format!(
        "{PATIENT}authInternalUsers:\n  - user: bob\n    pass: 'p%@s:s'\n    permissions:\n      - action: read\n        path: gate\n\
         webrtcICEServers2:\n  - url: stun:192.0.2.1:3478\n    clientOnly: yes\n  \
         - url: turn:192.0.2.1:3478\n    username: 'u\"\\x'\n    password: p,w;\n    clientOnly: yes\n  \
         - url: turn:192.0.2.1:3478?transport=tcp\n    username: AUTH_SECRET\n    password: {SECRET}\n    clientOnly: yes\n\
         paths:\n  gate:\n    source: {source}\n  other:\n    source: {source}\n    sourceOnDemand: yes\n"
    ))
}

#[tokio::test]
async fn row18_wrong_or_no_credentials_are_401_and_those_of_another_path_403() {
    let place = place();
    let gateway = closed(&place.camera.url());
    let url = format!("{}/whep/gate", gateway.url());
    for method in ["POST", "OPTIONS", "GET"] {
        for (query, header) in [
            ("", None),
            ("", Some("Basic Ym9iOng=")),
            ("", Some("Bearer undefined")),
            ("?token=wrong", None),
            ("?user=bob&pass=x", None),
        ] {
            let headers: Vec<_> = [SDP].into_iter().chain(header.map(|h| ("authorization", h))).collect();
            let body = if method == "POST" { offer(&Options::default()) } else { String::new() };
            let reply = ask(method, &format!("{url}{query}"), &headers, &body).await;
            assert_eq!(reply.status, 401, "{method} {query} {header:?}: {reply:?}");
            let challenges = reply.all("www-authenticate");
            assert!(challenges.iter().any(|c| c.starts_with("Basic ")), "{challenges:?}");
            assert!(challenges.iter().any(|c| c.starts_with("Bearer ")), "{challenges:?}");
            assert!(reply.all("link").is_empty(), "{reply:?}");
        }
    }
    let other = format!("{}/whep/other", gateway.url());
    let reply = ask("POST", &other, &[SDP, ("authorization", BASIC)], &offer(&Options::default())).await;
    assert_eq!(reply.status, 403, "{reply:?}");
    assert!(reply.error().contains("\"read\""));
    let log = gateway.log().join("\n");
    assert!(!log.contains("p%@s:s") && !log.contains(SECRET), "a secret is in the log");
}

#[tokio::test]
async fn row18_basic_bearer_and_query_token_watch_and_leave_without() {
    let place = place();
    let gateway = closed(&place.camera.url());
    for (query, header) in [
        ("", Some(BASIC)),
        ("", Some("Bearer bob:p%@s:s")),
        ("?token=bob%3Ap%25%40s%3As", None),
        ("?jwt=bob:p%25@s:s", None),
        ("?user=bob&pass=p%25%40s%3As", None),
    ] {
        let headers = header.map(|h| ("Authorization".to_string(), h.to_string())).into_iter().collect();
        let options = Options { query: query.into(), headers, ..Options::default() };
        let viewer = Viewer::join(gateway.url(), "gate", options).await;
        let viewer = viewer.unwrap_or_else(|e| panic!("{query} {header:?}: {e}"));
        until_true(SOON, "pictures", || viewer.with(|log| log.video.complete_frames() > 5)).await;
        // The session's URL is enough (row 28).
        assert_eq!(ask("DELETE", viewer.location().unwrap(), &[], "").await.status, 200);
    }
}

/// The parameters of a Link field, unquoted.
fn parameter(link: &str, name: &str) -> String {
    let start = link.find(&format!("; {name}=\"")).unwrap_or_else(|| panic!("no {name} in {link}"));
    let mut value = String::new();
    let mut chars = link[start + name.len() + 4..].chars();
    loop {
        match chars.next() {
            Some('\\') => value.extend(chars.next()),
            Some('"') | None => return value,
            Some(c) => value.push(c),
        }
    }
}

#[tokio::test]
async fn row17_ice_servers_are_announced_to_those_who_may_watch() {
    let place = place();
    let gateway = closed(&place.camera.url());
    let url = format!("{}/gate/whep", gateway.url());
    let posted = ask("POST", &url, &[SDP, ("authorization", BASIC)], &offer(&Options::default())).await;
    let options = ask("OPTIONS", &url, &[("authorization", BASIC)], "").await;
    assert_eq!((posted.status, options.status), (201, 204));
    for reply in [&posted, &options] {
        let links = reply.all("link");
        assert_eq!(links.len(), 3, "{reply:?}");
        assert!(links.iter().all(|l| l.contains("; rel=\"ice-server\"")), "{links:?}");
        assert_eq!(links[0], "<stun:192.0.2.1:3478>; rel=\"ice-server\"");
        assert!(links[1].starts_with("<turn:192.0.2.1:3478>;"), "{links:?}");
        assert_eq!(
            (parameter(links[1], "username"), parameter(links[1], "credential")),
            ("u\"\\x".into(), "p,w;".into())
        );
        assert_eq!(parameter(links[1], "credential-type"), "password");
        assert!(links[2].starts_with("<turn:192.0.2.1:3478?transport=tcp>;"), "{links:?}");
        // Time-limited: an expiry in the future, the user's name, and its HMAC.
        let (user, password) = (parameter(links[2], "username"), parameter(links[2], "credential"));
        let (expiry, name) = user.split_once(':').unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(expiry.parse::<u64>().unwrap() > now, "{user}");
        assert_eq!(name, "bob");
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(user.as_bytes());
        assert_eq!(password, base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes()));
    }
    let preflight = [("origin", "https://page.example"), ("access-control-request-method", "POST")];
    let reply = ask("OPTIONS", &url, &preflight, "").await;
    assert_eq!((reply.status, reply.all("link").len()), (204, 0), "{reply:?}");
}
