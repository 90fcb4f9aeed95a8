//! Endpoints: rows 1–3, 10–20, 31.

use super::*;

const SDP: (&str, &str) = ("content-type", "application/sdp");
const ORIGIN: (&str, &str) = ("origin", "https://page.example");

fn open() -> Arc<Fake> {
    Fake::new(|_| {})
}

/// Only bob may read.
fn closed() -> Arc<Fake> {
    Fake::new(|c| c.auth_internal_users = vec![bob()])
}

#[actix_web::test]
async fn row01_post_makes_a_session_in_either_form() {
    for (uri, location) in [
        ("/whep/gate", "/whep/gate/s3cret-_0"),
        ("/gate/whep", "/gate/whep/s3cret-_0"),
        ("/whep/site/yard", "/whep/site/yard/s3cret-_0"),
        ("/site%2Fyard/whep", "/site/yard/whep/s3cret-_0"),
        ("/gate/whep?token=x", "/gate/whep/s3cret-_0"),
    ] {
        let fake = open();
        let a = ask(&fake, "POST", uri, &[SDP], OFFER).await;
        assert_eq!(a.status, 201, "{uri}");
        assert_eq!(a.header("content-type"), "application/sdp");
        assert_eq!(a.header("location"), location);
        assert_eq!(a.header("accept-patch"), "application/trickle-ice-sdpfrag");
        assert_eq!(a.body, "v=0\r\n");
        let watched = fake.watched.lock().unwrap();
        assert_eq!(watched[0].offer, OFFER);
        assert_eq!(watched[0].remote, "192.0.2.1:4000".parse().unwrap());
        assert_eq!(watched[0].user, None);
    }
}

#[actix_web::test]
async fn row02_another_or_no_content_type_is_415() {
    for headers in [
        vec![],
        vec![("content-type", "text/plain")],
        vec![("content-type", "application/json")],
        vec![("content-type", "application/sdpx")],
        vec![("content-type", "application/trickle-ice-sdpfrag")],
    ] {
        let a = ask(&open(), "POST", "/whep/gate", &headers, OFFER).await;
        assert_eq!(a.status, 415, "{headers:?}");
        assert!(a.error().contains("application/sdp"));
    }
    for value in ["Application/SDP", "application/sdp; charset=utf-8", "application/sdp ;x=y"] {
        let a = ask(&open(), "POST", "/whep/gate", &[("content-type", value)], OFFER).await;
        assert_eq!(a.status, 201, "{value}");
    }
}

#[actix_web::test]
async fn row03_a_malformed_or_empty_offer_is_400_in_json() {
    for body in ["", "hello", "{}"] {
        let a = ask(&open(), "POST", "/whep/gate", &[SDP], body).await;
        assert_eq!(a.status, 400, "{body}");
        assert!(a.error().contains("offer"));
    }
    let a = ask(&open(), "POST", "/whep/a//b", &[SDP, ORIGIN], OFFER).await;
    assert_eq!(a.status, 400);
    a.error();
    assert_eq!(a.header("access-control-allow-origin"), "*");
}

#[actix_web::test]
async fn row03_an_offer_over_the_limit_is_413() {
    let long = format!("{OFFER}{}", "a=x\r\n".repeat(20_000));
    let a = ask(&open(), "POST", "/whep/gate", &[SDP], &long).await;
    assert_eq!(a.status, 413);
    assert!(a.error().contains("65536"));
    let fits = format!("{OFFER}{}", "a".repeat(65_536 - OFFER.len()));
    assert_eq!(ask(&open(), "POST", "/whep/gate", &[SDP], &fits).await.status, 201);
}

#[actix_web::test]
async fn row10_the_tag_is_strong_and_quoted() {
    let a = ask(&open(), "POST", "/whep/gate", &[SDP], OFFER).await;
    assert_eq!(a.header("etag"), "\"tag-1\"");
}

#[actix_web::test]
async fn row11_nothing_published_is_404_with_retry_after() {
    let a = ask(&open(), "POST", "/whep/empty", &[SDP, ORIGIN], OFFER).await;
    assert_eq!((a.status.as_u16(), a.header("retry-after")), (404, "2"));
    assert!(a.error().contains("empty"));
    assert!(a.header("access-control-expose-headers").contains("Retry-After"));
}

#[actix_web::test]
async fn row12_a_full_path_is_503_with_retry_after() {
    let a = ask(&open(), "POST", "/full/whep", &[SDP], OFFER).await;
    assert_eq!((a.status.as_u16(), a.header("retry-after")), (503, "5"));
    a.error();
    let a = ask(&open(), "POST", "/silent/whep", &[SDP], OFFER).await;
    assert_eq!(a.status, 504);
}

#[actix_web::test]
async fn row14_get_and_head_are_2xx_and_empty() {
    for method in ["GET", "HEAD"] {
        for uri in ["/whep/gate", "/gate/whep"] {
            let a = ask(&open(), method, uri, &[], "").await;
            assert_eq!((a.status.as_u16(), a.body.as_str()), (200, ""), "{method} {uri}");
            assert_eq!(a.header("content-type"), "application/sdp");
        }
        assert_eq!(ask(&closed(), method, "/whep/gate", &[], "").await.status, 401);
    }
}

#[actix_web::test]
async fn row15_put_is_405() {
    for (method, uri) in
        [("PUT", "/whep/gate"), ("PUT", "/gate/whep"), ("PATCH", "/whep/gate"), ("DELETE", "/gate/whep")]
    {
        let a = ask(&closed(), method, uri, &[SDP], OFFER).await;
        assert_eq!(a.status, 405, "{method} {uri}");
        assert_eq!(a.header("allow"), "OPTIONS, GET, HEAD, POST");
        a.error();
    }
}

#[actix_web::test]
async fn row16_a_preflight_needs_no_rights_and_tells_no_servers() {
    for uri in ["/whep/gate", "/gate/whep", "/whep/gate/s3cret", "/gate/whep/s3cret"] {
        let fake = closed();
        let asks = [ORIGIN, ("access-control-request-method", "POST")];
        let a = ask(&fake, "OPTIONS", uri, &asks, "").await;
        assert_eq!(a.status, 204, "{uri}");
        if !uri.ends_with("s3cret") {
            assert_eq!(a.header("accept-post"), "application/sdp");
        }
        assert!(!a.headers.contains_key("link"));
        assert!(a.header("access-control-allow-methods").contains("PATCH"));
        assert!(fake.announced.lock().unwrap().is_empty());
    }
}

#[actix_web::test]
async fn row16_options_with_rights_announce_the_servers() {
    let a = ask(&open(), "OPTIONS", "/gate/whep", &[], "").await;
    assert_eq!(a.status, 204);
    assert_eq!(a.header("accept-post"), "application/sdp");
    assert_eq!(a.headers.get_all("link").count(), 2);
    let fake = closed();
    let a = ask(&fake, "OPTIONS", "/gate/whep", &[ORIGIN], "").await;
    assert_eq!(a.status, 401);
    assert!(!a.headers.contains_key("link"));
    let a = ask(&fake, "OPTIONS", "/gate/whep", &[ORIGIN, BOB], "").await;
    assert_eq!(a.status, 204);
    assert_eq!(*fake.announced.lock().unwrap(), ["bob"]);
}

#[actix_web::test]
async fn row17_one_link_field_per_server() {
    let fake = closed();
    let a = ask(&fake, "POST", "/gate/whep", &[SDP, BOB], OFFER).await;
    assert_eq!(a.status, 201);
    let links: Vec<_> = a.headers.get_all("link").map(|v| v.to_str().unwrap()).collect();
    assert_eq!(links.len(), 2);
    assert_eq!(links[0], LINK);
    assert!(links[1].starts_with("<turn:"));
    assert_eq!(fake.watched.lock().unwrap()[0].user.as_deref(), Some("bob"));
}

#[actix_web::test]
async fn row18_without_the_right_credentials_it_is_401_with_a_challenge() {
    for headers in [vec![], vec![("authorization", "Basic Ym9iOng=")], vec![("authorization", "Bearer x")]] {
        let fake = closed();
        let all = [headers.clone(), vec![SDP, ORIGIN]].concat();
        let a = ask(&fake, "POST", "/whep/gate", &all, OFFER).await;
        assert_eq!(a.status, 401, "{headers:?}");
        let challenges: Vec<_> = a.headers.get_all("www-authenticate").collect();
        assert_eq!(challenges[0], "Basic realm=\"camgate\"");
        assert_eq!(challenges[1], "Bearer realm=\"camgate\"");
        assert_eq!(a.header("access-control-allow-origin"), "*");
        assert!(!a.error().contains("s3cret"));
        assert!(fake.watched.lock().unwrap().is_empty());
    }
}

#[actix_web::test]
async fn row18_basic_bearer_and_query_are_all_good() {
    for (uri, header) in [
        ("/whep/gate", Some(BOB)),
        ("/whep/gate", Some(("authorization", "Bearer bob:s3cret"))),
        ("/whep/gate", Some(("authorization", "Bearer s3cret"))),
        ("/whep/gate?token=s3cret", None),
        ("/whep/gate?jwt=bob:s3cret", None),
        ("/gate/whep?user=bob&pass=s3cret", None),
        ("/gate/whep?token=s3cret", Some(("authorization", "Basic b3RoZXI6eA=="))),
    ] {
        let headers: Vec<_> = header.into_iter().chain([SDP]).collect();
        let a = ask(&closed(), "POST", uri, &headers, OFFER).await;
        assert_eq!(a.status, 201, "{uri} {header:?}");
        assert!(!a.header("location").contains('?'));
    }
}

#[actix_web::test]
async fn row18_known_but_not_permitted_is_403_that_names_the_action() {
    let fake = Fake::new(|c| {
        let mut bob = bob();
        bob.permissions[0].path = "other".into();
        c.auth_internal_users = vec![bob];
    });
    let a = ask(&fake, "POST", "/whep/gate", &[SDP, BOB], OFFER).await;
    assert_eq!(a.status, 403);
    assert!(a.error().contains("\"read\""));
}

#[actix_web::test]
async fn row20_cross_origin_headers_are_on_every_answer_and_never_allow_cookies() {
    for (method, body, status) in [("POST", OFFER, 201), ("POST", "x", 400), ("PUT", "", 405), ("OPTIONS", "", 204)] {
        let a = ask(&open(), method, "/whep/gate", &[SDP, ORIGIN], body).await;
        assert_eq!(a.status.as_u16(), status);
        assert_eq!(a.header("access-control-allow-origin"), "*");
        for name in ["Location", "ETag", "Link", "Accept-Patch", "Retry-After"] {
            assert!(a.header("access-control-expose-headers").contains(name), "{name}");
        }
        for name in ["OPTIONS", "GET", "HEAD", "POST", "PATCH", "DELETE"] {
            assert!(a.header("access-control-allow-methods").contains(name), "{name}");
        }
        for name in ["Authorization", "Content-Type", "If-Match", "ETag"] {
            assert!(a.header("access-control-allow-headers").contains(name), "{name}");
        }
        assert!(!a.headers.contains_key("access-control-allow-credentials"));
        assert!(!a.headers.contains_key("set-cookie"));
    }
}

#[actix_web::test]
async fn row20_only_the_named_origins_and_only_on_whep() {
    let fake = Fake::new(|c| c.webrtc_allow_origins = vec!["https://*.example".into()]);
    let a = ask(&fake, "POST", "/whep/gate", &[SDP, ORIGIN], OFFER).await;
    assert_eq!(a.header("access-control-allow-origin"), "https://page.example");
    assert_eq!(a.header("vary"), "Origin");
    let other = ("origin", "https://evil.test");
    let a = ask(&fake, "POST", "/whep/gate", &[SDP, other], OFFER).await;
    assert!(!a.headers.contains_key("access-control-allow-origin"));
    for uri in ["/", "/gate", "/healthz", "/assets/x", "/v3/paths/list"] {
        let a = ask(&open(), "GET", uri, &[ORIGIN], "").await;
        assert!(!a.headers.contains_key("access-control-allow-origin"), "{uri}");
    }
}

#[actix_web::test]
async fn row31_floods_of_posts_are_429_with_retry_after() {
    let fake = Fake::new(|c| (c.limits.posts_per_second, c.limits.posts_burst) = (1, 20));
    let answers = ask_many(&fake, 60, "POST", "/whep/gate", &[SDP, ORIGIN], OFFER).await;
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 201);
    assert!(good.len() >= 20 && !bad.is_empty());
    for a in bad {
        assert_eq!(a.status, 429);
        assert!(!a.header("retry-after").is_empty());
        assert_eq!(a.header("access-control-allow-origin"), "*");
        a.error();
    }
}

#[actix_web::test]
async fn row31_behind_a_trusted_proxy_each_client_has_its_own_limit() {
    let fake = Fake::new(|c| {
        (c.limits.posts_per_second, c.limits.posts_burst) = (1, 1);
        c.webrtc_trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    });
    let headers = [SDP, ("x-forwarded-for", "10.1.1.1")];
    assert_eq!(ask(&fake, "POST", "/whep/gate", &headers, OFFER).await.status, 201);
    assert_eq!(fake.watched.lock().unwrap()[0].remote, "10.1.1.1:0".parse().unwrap());
}
