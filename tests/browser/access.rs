//! Passwords and tokens; and that everybody can use the page (axe-core).

use super::kit::{LONG, clean, npm, plays, press, says};
use super::support::browser::{Browser, Page};
use super::support::camera::Camera;
use super::support::gateway::{Gateway, paths};
use chromiumoxide::auth::Credentials;

fn locked(camera: &Camera) -> String {
    "authInternalUsers:\n  - user: eve\n    pass: s3cret-word\n    permissions:\n      - action: read\n        path: cam\n".to_owned()
        + &paths(&[("cam", &camera.url()), ("hidden", &camera.url())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_lets_in_to_what_it_may_see() {
    let camera = Camera::builder().start();
    let gateway = Gateway::start(&locked(&camera));
    let browser = Browser::launch().await;
    let page = browser.page("about:blank").await;
    // What a person types into the browser's dialog.
    page.inner().authenticate(Credentials { username: "eve".into(), password: "s3cret-word".into() }).await.unwrap();
    page.goto(&format!("{}/", gateway.url())).await;
    plays(&page, ".tile[data-path=cam] video").await;
    assert_eq!(page.eval("document.querySelectorAll('.tile').length").await, 1, "what eve may not read is not shown");
    page.goto(&format!("{}/cam", gateway.url())).await;
    plays(&page, "#video").await;
    page.goto(&format!("{}/hidden", gateway.url())).await;
    says(&page, "h1", "403").await;
    assert!(!gateway.log().iter().any(|l| l.contains("s3cret-word")), "the password is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_address_lets_in() {
    let camera = Camera::builder().start();
    let gateway = Gateway::start(&locked(&camera));
    let browser = Browser::launch().await;
    for token in ["token=eve%3As3cret-word", "jwt=s3cret-word"] {
        let page = browser.page(&format!("{}/?{token}", gateway.url())).await;
        plays(&page, ".tile[data-path=cam] video").await;
        let link = page.eval("document.querySelector('.tile a').href").await;
        page.goto(link.as_str().unwrap()).await;
        plays(&page, "#video").await;
        let back = page.eval("document.querySelector('#back').search").await;
        assert!(back.as_str().unwrap().contains("s3cret-word"), "the way back keeps the token");
        // The text for support does not.
        press(&page, "i").await;
        let text = page.eval("document.querySelector('#overlay').innerText").await;
        assert!(!text.as_str().unwrap().contains("s3cret"), "{text}");
        clean(&page, &[]);
        page.close().await;
    }
    assert!(!gateway.log().iter().any(|l| l.contains("s3cret-word")), "the token is in the log");
}

/// axe-core's violations, one line each; none on a good page.
pub async fn violations(page: &Page, axe: &str) -> Vec<String> {
    page.eval(&format!("{axe};true")).await;
    let found = page
        .eval(
            "axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations.map((v) => \
             `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(' | ')}`))",
        )
        .await;
    serde_json::from_value(found).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing() {
    let axe = std::fs::read_to_string(npm("axe-core/axe.min.js")).unwrap();
    let camera = Camera::builder().start();
    let locked = Camera::builder().digest("op", "right").start();
    let gateway = Gateway::start(&paths(&[("cam", &camera.url()), ("locked", &locked.url()), ("pushed", "publisher")]));
    let empty = Gateway::start("paths: {}\n");
    let browser = Browser::launch().await;
    let page = browser.page("about:blank").await;
    let mut bad = Vec::new();
    for theme in ["dark", "light"] {
        let at = |path: &str| format!("{}/{path}", gateway.url());
        let mut check = async |what: &str| {
            let found = violations(&page, &axe).await;
            bad.extend(found.into_iter().map(|v| format!("{what}, {theme}: {v}")));
        };
        for url in [at(""), format!("{}/", empty.url())] {
            page.goto(&url).await;
            page.eval(&format!("localStorage.setItem('camgate.theme', '{theme}')")).await;
        }
        page.goto(&at("")).await;
        plays(&page, ".tile[data-path=cam] video").await;
        says(&page, ".tile[data-path=locked] .chip-text", "Refused").await;
        check("wall").await;
        press(&page, "?").await;
        page.wait_for("document.querySelector('dialog').open", LONG).await;
        check("keys").await;
        page.goto(&at("cam")).await;
        plays(&page, "#video").await;
        press(&page, "i").await;
        says(&page, "dd[data-row=Resolution]", "640").await;
        check("player with figures").await;
        page.eval(
            "const s = document.querySelector('#protocol'); s.value = 'hls'; s.dispatchEvent(new Event('change')); true",
        )
        .await;
        says(&page, "dd[data-row=Protocol]", "HLS by hls.js").await;
        page.wait_for("!document.querySelector('#timeline').hidden", LONG).await;
        check("player over HLS").await;
        page.eval("localStorage.removeItem('camgate.protocol')").await;
        page.goto(&at("cam?muted=false&controls=false")).await;
        plays(&page, "#video").await;
        check("bare player").await;
        page.goto(&at("locked")).await;
        says(&page, "#notice h2", "Refused").await;
        check("failure").await;
        page.goto(&at("nowhere")).await;
        says(&page, "h1", "404").await;
        check("no such path").await;
        page.goto(&format!("{}/", empty.url())).await;
        says(&page, "#empty h2", "No camera yet").await;
        check("empty wall").await;
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
