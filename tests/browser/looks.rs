//! Pictures of the page, for people to look at: `CAMGATE_SHOTS=DIR cargo test --test browser looks`.

use super::kit::{LONG, Shots, plays, press, says};
use super::support::browser::Browser;
use super::support::camera::{Audio, Camera};
use super::support::gateway::Gateway;
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;

#[tokio::test(flavor = "multi_thread")]
async fn screenshots_of_everything() {
    let shots = Shots::new();
    let cameras: Vec<Camera> = (0..2)
        .map(|n| Camera::builder().size(1280, 720).fps(10 + n).audio(Audio::Pcmu).bitrate_kbps(2_000).start())
        .collect();
    let locked = Camera::builder().digest("op", "right").start();
    let yaml = format!(
        "paths:\n  gate:\n    source: test\n  yard/north:\n    source: {}\n  hall:\n    source: {}\n  dock:\n    source: {}\n",
        cameras[0].url(),
        cameras[1].url(),
        locked.url_with("op", "wrong"),
    );
    let gateway = Gateway::start(&yaml);
    let empty = Gateway::start("paths: {}\n");
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/", empty.url())).await;
    for (width, name) in [(1280, "wide"), (390, "phone")] {
        let height = if width == 390 { 844 } else { 800 };
        let size = SetDeviceMetricsOverrideParams::new(width, height, 1.0, width == 390);
        page.inner().execute(size).await.unwrap();
        for theme in ["dark", "light"] {
            for gateway in [&gateway, &empty] {
                page.goto(&format!("{}/", gateway.url())).await;
                page.eval(&format!("localStorage.setItem('camgate.theme', '{theme}')")).await;
            }
            let shot = async |what: &str| {
                // Nothing is wider than the window.
                let wide = page.eval("document.documentElement.scrollWidth <= window.innerWidth").await;
                assert_eq!(wide, true, "{what} is wider than {width} px");
                shots.take(&page, &format!("{name}-{theme}-{what}")).await;
            };
            page.goto(&format!("{}/", gateway.url())).await;
            for path in ["gate", "yard/north", "hall"] {
                plays(&page, &format!(".tile[data-path='{path}'] video")).await;
            }
            says(&page, ".tile[data-path=dock] .chip-text", "Refused").await;
            shot("wall").await;
            press(&page, "?").await;
            page.wait_for("document.querySelector('dialog').open", LONG).await;
            shot("keys").await;
            page.goto(&format!("{}/gate", gateway.url())).await;
            plays(&page, "#video").await;
            page.wait_for("document.querySelector('#quality').dataset.grade !== '0'", LONG).await;
            shot("player").await;
            press(&page, "i").await;
            page.wait_for("/ms from/.test(document.querySelector('dd[data-row=Delay]').textContent)", LONG).await;
            shot("overlay").await;
            page.goto(&format!("{}/dock", gateway.url())).await;
            says(&page, "#notice h2", "Refused").await;
            shot("failure").await;
            page.goto(&format!("{}/nowhere", gateway.url())).await;
            says(&page, "h1", "404").await;
            shot("unknown").await;
            page.goto(&format!("{}/", empty.url())).await;
            says(&page, "#empty h2", "No camera yet").await;
            shot("empty").await;
        }
    }
}

/// The two pictures of the README: `CAMGATE_SHOTS=docs cargo test --test browser readme`.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_for_the_readme() {
    let shots = Shots::new();
    let directory = tempfile::tempdir().unwrap();
    let mut all = super::scenes::sources(directory.path());
    let locked = Camera::builder().digest("op", "right").start();
    all.push(("test", "test".into()));
    all.push(("dock", locked.url_with("op", "wrong")));
    let all: Vec<(&str, &str)> = all.iter().map(|(name, source)| (*name, source.as_str())).collect();
    let gateway = Gateway::start(&super::support::gateway::paths(&all));
    let browser = Browser::launch_with(1280, 860, &[]).await;
    let page = browser.page(&format!("{}/healthz", gateway.url())).await;
    page.eval("localStorage.setItem('camgate.theme', 'dark')").await;
    page.goto(&format!("{}/?paths=gate,yard/north,hall,roof,test,dock", gateway.url())).await;
    page.inner().execute(SetDeviceMetricsOverrideParams::new(1280, 532, 1.0, false)).await.unwrap();
    for path in ["gate", "yard/north", "hall", "roof", "test"] {
        plays(&page, &format!(".tile[data-path='{path}'] video")).await;
    }
    says(&page, ".tile[data-path=dock] .chip-text", "Refused").await;
    shots.take(&page, "wall").await;
    page.inner().execute(SetDeviceMetricsOverrideParams::new(1280, 768, 1.0, false)).await.unwrap();
    page.goto(&format!("{}/gate", gateway.url())).await;
    plays(&page, "#video").await;
    press(&page, "i").await;
    page.wait_for("/ms from/.test(document.querySelector('dd[data-row=Delay]').textContent)", LONG).await;
    page.wait_for("session('gate').stats.video.bitrate > 0 && session('gate').stats.video.packetsReceived > 100", LONG)
        .await;
    says(&page, "#viewer-count", "1").await;
    shots.take(&page, "player").await;
}
