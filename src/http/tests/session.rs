//! Sessions: rows 19, 22–28, 31.

use super::*;

const FRAGMENT: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");
const TRICKLE: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\n";

/// A gateway with one session of `site/yard`; nobody may read without a password.
fn one_session() -> Arc<Fake> {
    let fake = Fake::new(|c| c.auth_internal_users = vec![bob()]);
    fake.sessions.lock().unwrap().insert("s".into(), "site/yard".into());
    fake
}

const URLS: [&str; 2] = ["/whep/site/yard/s", "/site/yard/whep/s"];

#[actix_web::test]
async fn row22_patch_with_the_right_tag_is_204_and_empty() {
    for url in URLS {
        let fake = one_session();
        let a = ask(&fake, "PATCH", url, &[FRAGMENT, ("if-match", "\"tag-1\"")], TRICKLE).await;
        assert_eq!((a.status.as_u16(), a.body.as_str()), (204, ""), "{url}");
        assert_eq!(*fake.preconditions.lock().unwrap(), [Some("tag-1".to_string())]);
    }
}

#[actix_web::test]
async fn row23_patch_without_a_tag_with_a_star_or_with_the_tag_in_etag_is_204() {
    for (headers, want) in [
        (vec![], None),
        (vec![("if-match", "*")], Some("*")),
        (vec![("etag", "\"tag-1\"")], Some("tag-1")),
        (vec![("if-match", "\"x\", \"tag-1\"")], Some("x,tag-1")),
    ] {
        let fake = one_session();
        let all = [headers.clone(), vec![FRAGMENT]].concat();
        let a = ask(&fake, "PATCH", URLS[1], &all, TRICKLE).await;
        assert_eq!(a.status, 204, "{headers:?}");
        assert_eq!(*fake.preconditions.lock().unwrap(), [want.map(String::from)]);
    }
}

#[actix_web::test]
async fn row24_patch_with_a_stale_tag_is_412() {
    for header in [("if-match", "\"old\""), ("etag", "\"old\""), ("if-match", "W/\"tag-1\"")] {
        let a = ask(&one_session(), "PATCH", URLS[0], &[FRAGMENT, header], TRICKLE).await;
        assert_eq!(a.status, 412, "{header:?}");
        a.error();
    }
}

#[actix_web::test]
async fn row25_patch_of_another_type_is_415_and_a_malformed_one_400() {
    for headers in [vec![], vec![("content-type", "application/sdp")]] {
        let a = ask(&one_session(), "PATCH", URLS[0], &headers, TRICKLE).await;
        assert_eq!(a.status, 415, "{headers:?}");
        a.error();
    }
    let a = ask(&one_session(), "PATCH", URLS[0], &[FRAGMENT], "").await;
    assert_eq!(a.status, 400);
    a.error();
    let long = "a".repeat(70_000);
    let a = ask(&one_session(), "PATCH", URLS[0], &[FRAGMENT], &long).await;
    assert_eq!(a.status, 413);
}

#[actix_web::test]
async fn row27_an_ice_restart_that_the_engine_refuses_is_422() {
    let a = ask(&one_session(), "PATCH", URLS[0], &[FRAGMENT], "restart").await;
    assert_eq!(a.status, 422);
    a.error();
}

#[actix_web::test]
async fn row27_an_ice_restart_is_200_with_a_new_tag_and_our_fragment() {
    for header in [("if-match", "*"), ("if-match", "\"tag-1\""), ("origin", "https://a.example")] {
        let a = ask(&one_session(), "PATCH", URLS[1], &[FRAGMENT, header], "renew").await;
        assert_eq!((a.status.as_u16(), a.body.as_str()), (200, "a=ice-ufrag:ours\r\n"), "{header:?}");
        assert_eq!(a.header("etag"), "\"tag-2\"");
        assert_eq!(a.header("content-type"), FRAGMENT.1);
    }
}

#[actix_web::test]
async fn row28_delete_is_200_then_404_and_needs_only_the_secret() {
    for url in URLS {
        let fake = one_session();
        let a = ask(&fake, "DELETE", url, &[("if-match", "\"old\"")], "").await;
        assert_eq!(a.status, 200, "{url}");
        let a = ask(&fake, "DELETE", url, &[("origin", "https://a.example")], "").await;
        assert_eq!(a.status, 404, "{url}");
        assert_eq!(a.header("access-control-allow-origin"), "*");
        a.error();
        let a = ask(&fake, "PATCH", url, &[FRAGMENT], TRICKLE).await;
        assert_eq!(a.status, 404, "{url}");
    }
}

#[actix_web::test]
async fn row28_a_secret_is_good_for_its_own_path_only() {
    let a = ask(&one_session(), "DELETE", "/whep/gate/s", &[], "").await;
    assert_eq!(a.status, 404);
    assert_eq!(ask(&one_session(), "DELETE", "/whep/a//b/s", &[], "").await.status, 400);
}

#[actix_web::test]
async fn other_methods_on_a_session_are_405() {
    for method in ["GET", "HEAD", "POST", "PUT"] {
        let a = ask(&one_session(), method, "/site/yard/whep/s", &[], "").await;
        assert_eq!(a.status, 405, "{method}");
        assert_eq!(a.header("allow"), "OPTIONS, PATCH, DELETE");
    }
    let a = ask(&one_session(), "OPTIONS", "/site/yard/whep/s", &[], "").await;
    assert_eq!(a.status, 204);
    assert_eq!(a.header("accept-patch"), "application/trickle-ice-sdpfrag");
    assert!(!a.headers.contains_key("link"));
}

#[actix_web::test]
async fn row31_floods_of_deletes_are_429() {
    let fake = Fake::new(|c| (c.limits.posts_per_second, c.limits.posts_burst) = (1, 2));
    let answers = ask_many(&fake, 200, "DELETE", "/gate/whep/guess", &[], "").await;
    assert_eq!(answers[0].status, 404);
    let last = answers.iter().find(|a| a.status == 429).unwrap();
    assert!(!last.header("retry-after").is_empty());
}
