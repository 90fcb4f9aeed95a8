//! Wall, player, their JSON forms, files, health.

use super::*;

const JSON: (&str, &str) = ("accept", "application/json");
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

fn items(a: &Answer) -> Vec<String> {
    assert_eq!(a.status, 200, "{}", a.body);
    let json: serde_json::Value = serde_json::from_str(&a.body).unwrap();
    let items = json["items"].as_array().unwrap();
    assert_eq!(json["itemCount"], items.len());
    items.iter().map(|i| i["name"].as_str().unwrap().to_string()).collect()
}

/// Anyone may read `gate`, bob everything.
fn partly() -> Arc<Fake> {
    Fake::new(|c| {
        let mut any = bob();
        any.user = "any".into();
        any.pass = Secret::from("");
        any.permissions[0].path = "gate".into();
        c.auth_internal_users = vec![any, bob()];
    })
}

#[actix_web::test]
async fn the_wall_as_json_shows_what_the_requester_may_read() {
    let a = ask(&Fake::new(|_| {}), "GET", "/", &[JSON], "").await;
    assert_eq!(items(&a), ["gate", "site/yard"]);
    assert_eq!(a.header("vary"), "Accept");
    assert_eq!(a.header("cache-control"), "no-store");
    assert_eq!(items(&ask(&partly(), "GET", "/", &[JSON], "").await), ["gate"]);
    let all = ask(&partly(), "GET", "/", &[JSON, BOB], "").await;
    assert_eq!(items(&all), ["gate", "site/yard"]);
    let all = ask(&partly(), "GET", "/?token=s3cret", &[JSON], "").await;
    assert_eq!(items(&all), ["gate", "site/yard"]);
}

#[actix_web::test]
async fn the_wall_asks_for_a_password_where_there_is_nothing_to_see_without() {
    let closed = Fake::new(|c| c.auth_internal_users = vec![bob()]);
    for headers in [vec![JSON], vec![BROWSER], vec![JSON, ("authorization", "Bearer x")]] {
        let a = ask(&closed, "GET", "/", &headers, "").await;
        assert_eq!(a.status, 401, "{headers:?}");
        assert_eq!(a.header("www-authenticate"), "Basic realm=\"camgate\"");
    }
    let elsewhere = Fake::new(|c| {
        let mut any = bob();
        any.user = "any".into();
        any.pass = Secret::from("");
        any.permissions[0].path = "nowhere".into();
        c.auth_internal_users = vec![any];
    });
    assert!(items(&ask(&elsewhere, "GET", "/", &[JSON], "").await).is_empty());
    let mut config = (**elsewhere.config.lock().unwrap()).clone();
    config.auth_internal_users.push(bob());
    *elsewhere.config.lock().unwrap() = Arc::new(config);
    assert_eq!(ask(&elsewhere, "GET", "/", &[JSON], "").await.status, 401);
    let nobody = Fake::new(|c| c.auth_internal_users = vec![]);
    assert_eq!(ask(&nobody, "GET", "/", &[JSON], "").await.status, 403);
}

#[actix_web::test]
async fn an_empty_gateway_shows_its_wall() {
    let mut fake = Fake::new(|_| {});
    Arc::get_mut(&mut fake).unwrap().names.clear();
    assert!(items(&ask(&fake, "GET", "/", &[JSON], "").await).is_empty());
}

#[actix_web::test]
async fn a_path_as_json() {
    let a = ask(&Fake::new(|_| {}), "GET", "/site/yard", &[JSON], "").await;
    assert_eq!(a.status, 200);
    let json: serde_json::Value = serde_json::from_str(&a.body).unwrap();
    assert_eq!(json["name"], "site/yard");
    assert_eq!(json["state"], "live");
    assert_eq!(json["confName"], "site/yard");
    assert_eq!((a.header("vary"), a.header("cache-control")), ("Accept", "no-store"));
}

#[actix_web::test]
async fn pages_are_html_with_a_policy() {
    for (uri, ancestors) in [("/", "'self'"), ("/gate", "*"), ("/site/yard/", "*")] {
        let a = ask(&Fake::new(|_| {}), "GET", uri, &[BROWSER], "").await;
        assert_eq!(a.status, 200, "{uri}: {}", a.body);
        assert_eq!(a.header("content-type"), "text/html; charset=utf-8");
        let policy = a.header("content-security-policy");
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.ends_with(&format!("frame-ancestors {ancestors}")), "{policy}");
        assert_eq!(a.header("x-content-type-options"), "nosniff");
        assert_eq!(a.header("referrer-policy"), "same-origin");
        assert_eq!(a.header("cache-control"), "no-cache");
        let vary: Vec<_> = a.headers.get_all("vary").collect();
        assert!(vary.iter().any(|v| *v == "Accept"), "{vary:?}");
        let tag = a.header("etag").to_string();
        let again = [BROWSER, ("if-none-match", tag.as_str())];
        let a = ask(&Fake::new(|_| {}), "GET", uri, &again, "").await;
        assert_eq!((a.status.as_u16(), a.body.as_str()), (304, ""), "{uri}");
        // The tag gives nothing away to those who may not read.
        let closed = Fake::new(|c| c.auth_internal_users = vec![bob()]);
        assert_eq!(ask(&closed, "GET", uri, &again, "").await.status, 401);
    }
}

#[actix_web::test]
async fn a_page_needs_read() {
    let a = ask(&partly(), "GET", "/site/yard", &[BROWSER], "").await;
    assert_eq!(a.status, 401);
    assert_eq!(a.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(a.header("www-authenticate"), "Basic realm=\"camgate\"");
    for (uri, headers) in
        [("/site/yard", vec![BROWSER, BOB]), ("/site/yard?token=s3cret", vec![BROWSER]), ("/gate", vec![BROWSER])]
    {
        assert_eq!(ask(&partly(), "GET", uri, &headers, "").await.status, 200, "{uri}");
    }
    // Whether a path exists is told only to those who may read it.
    assert_eq!(ask(&partly(), "GET", "/unknown", &[JSON], "").await.status, 401);
}

#[actix_web::test]
async fn a_substream_is_shown_to_whoever_may_read_it() {
    for (headers, want) in [(vec![JSON], serde_json::Value::Null), (vec![JSON, BOB], "site/yard".into())] {
        let one = ask(&partly(), "GET", "/gate", &headers, "").await;
        let json: serde_json::Value = serde_json::from_str(&one.body).unwrap();
        assert_eq!(json["substream"], want);
        let all = ask(&partly(), "GET", "/", &headers, "").await;
        let json: serde_json::Value = serde_json::from_str(&all.body).unwrap();
        assert_eq!(json["items"][0]["substream"], want);
    }
}

#[actix_web::test]
async fn an_unknown_path_is_404_as_a_page_for_browsers_and_json_for_others() {
    let fake = Fake::new(|_| {});
    let a = ask(&fake, "GET", "/unknown", &[BROWSER], "").await;
    assert_eq!(a.status, 404);
    assert_eq!(a.header("content-type"), "text/html; charset=utf-8");
    assert!(a.body.contains("&quot;unknown&quot; &lt;here&gt;"), "{}", a.body);
    assert!(a.header("content-security-policy").contains("default-src 'self'"));
    for headers in [vec![], vec![JSON], vec![("accept", "*/*")]] {
        let a = ask(&fake, "GET", "/unknown", &headers, "").await;
        assert_eq!(a.status, 404);
        a.error();
    }
}

#[actix_web::test]
async fn odd_urls_get_the_same_shape() {
    let fake = Fake::new(|_| {});
    for (uri, want) in [
        ("/v3/paths/list", 404),
        ("/whip/gate", 404),
        ("/gate/whip", 404),
        ("/gate/inside", 404),
        ("/assets/none.js", 404),
        ("/assets/../mod.rs", 404),
        ("/assets/index.html", 404),
        ("/favicon.ico", 404),
        ("//", 400),
        ("/a/../b", 400),
        ("/a%00", 400),
        ("/%ff", 400),
    ] {
        let a = ask(&fake, "GET", uri, &[], "").await;
        assert_eq!(a.status.as_u16(), want, "{uri}");
        a.error();
        assert_eq!(a.header("x-content-type-options"), "nosniff");
    }
}

#[actix_web::test]
async fn a_page_can_only_be_fetched() {
    for uri in ["/", "/gate", "/assets/x.js"] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let a = ask(&Fake::new(|_| {}), method, uri, &[], "").await;
            assert_eq!((a.status.as_u16(), a.header("allow")), (405, "GET, HEAD"), "{uri}");
            a.error();
        }
    }
}

#[actix_web::test]
async fn files_need_no_rights_and_are_revalidated() {
    let closed = Fake::new(|c| c.auth_internal_users = vec![bob()]);
    let uri = "/assets/style.css";
    let a = ask(&closed, "GET", uri, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(a.status, 200);
    assert_eq!(a.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(a.header("content-encoding"), "gzip");
    assert_eq!(a.header("vary"), "Accept-Encoding");
    let a = ask(&closed, "GET", uri, &[], "").await;
    assert_eq!(a.header("content-encoding"), "");
    let a = ask(&closed, "GET", uri, &[("if-none-match", a.header("etag"))], "").await;
    assert_eq!((a.status.as_u16(), a.header("cache-control")), (304, "no-cache"));
    // Below another binary's version there is what this one has.
    let a = ask(&closed, "GET", "/assets/0123456789ab/style.css", &[], "").await;
    assert_eq!((a.status.as_u16(), a.header("cache-control")), (200, "no-cache"));
}

#[actix_web::test]
async fn what_a_page_names_is_kept_for_ever() {
    let fake = Fake::new(|_| {});
    let page = ask(&fake, "GET", "/", &[("accept", "text/html")], "").await.body;
    let (_, rest) = page.split_once("href=\"/assets/").unwrap();
    let uri = format!("/assets/{}", rest.split('"').next().unwrap());
    let a = ask(&fake, "GET", &uri, &[], "").await;
    assert_eq!((a.status.as_u16(), a.header("cache-control")), (200, "public, max-age=31536000, immutable"), "{uri}");
}

#[actix_web::test]
async fn health_and_readiness() {
    let fake = Fake::new(|c| c.auth_internal_users = vec![]);
    for uri in ["/healthz", "/readyz"] {
        let a = ask(&fake, "GET", uri, &[], "").await;
        assert_eq!((a.status.as_u16(), a.body.as_str()), (200, r#"{"status":"ok"}"#), "{uri}");
    }
    *fake.ready.lock().unwrap() = false;
    assert_eq!(ask(&fake, "GET", "/healthz", &[], "").await.status, 200);
    let a = ask(&fake, "GET", "/readyz", &[], "").await;
    assert_eq!((a.status.as_u16(), a.header("retry-after")), (503, "1"));
    a.error();
}

#[actix_web::test]
async fn a_head_over_the_limit_is_431() {
    let long = "x".repeat(17 << 10);
    let a = ask(&Fake::new(|_| {}), "GET", "/healthz", &[("cookie", &long)], "").await;
    assert_eq!(a.status, 431);
    a.error();
}
