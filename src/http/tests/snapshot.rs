//! `/{path}/snapshot.jpg`.

use super::{BOB, Fake, ask, bob};

const GATE: &str = "/gate/snapshot.jpg";
const ORIGIN: (&str, &str) = ("origin", "https://page.example");

#[actix_web::test]
async fn a_picture_comes_with_its_age_and_may_be_revalidated() {
    let fake = Fake::new(|_| {});
    let a = ask(&fake, "GET", "/gate/snapshot.jpg?width=320&t=9", &[], "").await;
    assert_eq!((a.status.as_u16(), a.body.as_str()), (200, "JPEG 320"));
    for (name, value) in [
        ("content-type", "image/jpeg"),
        ("etag", "\"t-320\""),
        ("age", "7"),
        ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("cache-control", "no-cache"),
        ("access-control-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(a.header(name), value, "{name}");
    }
    assert!(!a.headers.contains_key("set-cookie") && !a.headers.contains_key("access-control-allow-credentials"));
    assert_eq!(ask(&fake, "GET", GATE, &[], "").await.body, "JPEG 0");
    for tags in ["\"t-0\"", "W/\"t-0\"", "\"x\", \"t-0\"", "*"] {
        let a = ask(&fake, "GET", GATE, &[("if-none-match", tags)], "").await;
        assert_eq!((a.status.as_u16(), a.body.as_str(), a.header("etag")), (304, "", "\"t-0\""), "{tags}");
        assert_eq!((a.header("age"), a.header("access-control-allow-origin")), ("7", "*"));
    }
    let a = ask(&fake, "GET", "/gate/snapshot.jpg?width=640", &[("if-none-match", "\"t-0\"")], "").await;
    assert_eq!(a.body, "JPEG 640", "another width is another picture");
    let a = ask(&fake, "HEAD", GATE, &[], "").await;
    assert_eq!((a.status.as_u16(), a.header("content-type"), a.header("age")), (200, "image/jpeg", "7"));
}

#[actix_web::test]
async fn what_cannot_be_is_said_in_json_and_not_kept() {
    let fake = Fake::new(|_| {});
    for (uri, status) in [
        ("/nobody/snapshot.jpg", 404),
        ("/broken/snapshot.jpg", 503),
        ("/gate/snapshot.jpg?width=100", 400),
        ("/gate/snapshot.jpg?width=", 400),
    ] {
        let a = ask(&fake, "GET", uri, &[("accept", "image/avif,text/html,*/*"), ORIGIN], "").await;
        assert_eq!(a.status.as_u16(), status, "{uri}");
        a.error();
        assert_eq!((a.header("cache-control"), a.header("access-control-allow-origin")), ("no-store", "*"));
    }
    let a = ask(&fake, "GET", "/gate/snapshot.jpg?width=100", &[], "").await;
    assert!(a.error().contains("160, 320, 640, 1280"), "{}", a.body);
    let a = ask(&fake, "POST", GATE, &[], "").await;
    assert_eq!((a.status.as_u16(), a.header("allow")), (405, "OPTIONS, GET, HEAD"));
}

#[actix_web::test]
async fn it_needs_the_right_to_read_and_a_preflight_needs_none() {
    let fake = Fake::new(|c| c.auth_internal_users = vec![bob()]);
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(ask(&fake, method, GATE, &[], "").await.status.as_u16(), 401, "{method}");
    }
    let bad = ask(&fake, "GET", "/gate/snapshot.jpg?width=1", &[], "").await;
    assert_eq!(bad.status.as_u16(), 401, "before anything is said");
    assert_eq!(ask(&fake, "GET", GATE, &[BOB], "").await.status.as_u16(), 200);
    assert_eq!(ask(&fake, "OPTIONS", GATE, &[BOB], "").await.status.as_u16(), 204);
    let asks = [ORIGIN, ("access-control-request-method", "GET")];
    let a = ask(&fake, "OPTIONS", GATE, &asks, "").await;
    assert_eq!((a.status.as_u16(), a.header("access-control-allow-origin")), (204, "*"));
    assert!(a.header("access-control-allow-headers").contains("If-None-Match"));
}

#[actix_web::test]
async fn other_sites_see_it_where_webrtc_allow_origins_lets_them() {
    let fake = Fake::new(|c| c.webrtc_allow_origins = vec!["https://page.example".into()]);
    let a = ask(&fake, "GET", GATE, &[ORIGIN], "").await;
    assert_eq!((a.header("access-control-allow-origin"), a.header("vary")), (ORIGIN.1, "Origin"));
    let a = ask(&fake, "GET", GATE, &[("origin", "https://other.example")], "").await;
    assert!(!a.headers.contains_key("access-control-allow-origin"));
}
