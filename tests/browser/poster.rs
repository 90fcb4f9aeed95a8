//! Pictures before video, and the small picture for the wall.

use super::hls::{BLOCKED, over, page_with};
use super::kit::{LONG, Shots, clean, plays, says, watch};
use super::support::browser::Browser;
use super::support::camera::Camera;
use super::support::gateway::{Gateway, paths};

#[tokio::test(flavor = "multi_thread")]
async fn a_tile_shows_the_last_picture_until_the_video_plays() {
    let camera = Camera::builder().gop_frames(25).start();
    let mut off = Camera::builder().start();
    off.stop();
    let gateway = Gateway::start(&paths(&[("cam", &camera.url()), ("off", &off.url())]));
    gateway.wait_for_line(LONG, |l| l.contains("state=Live"));
    let shots = Shots::new();
    let browser = Browser::launch().await;
    let page = page_with(&browser, &gateway, BLOCKED).await;
    page.goto(&format!("{}/", gateway.url())).await;
    page.wait_for(
        "(p => p && !p.hidden && p.naturalWidth === 640 && p.checkVisibility())(document.querySelector('.tile[data-path=cam] .poster'))",
        LONG,
    )
    .await;
    watch(&page).await;
    assert_ne!(page.eval("session('cam').state").await, "playing", "the poster came after the video");
    shots.take(&page, "poster-wall").await;
    over(&page, "cam", "hls").await;
    plays(&page, ".tile[data-path=cam] video").await;
    assert_eq!(page.eval("document.querySelector('.tile[data-path=cam] .poster').hidden").await, true);

    // There never was one of this: not a word about it, and it is asked for once in each state.
    says(&page, ".tile[data-path=off] .chip-text", "no connection to").await;
    assert_eq!(page.eval("document.querySelector('.tile[data-path=off] .poster').hidden").await, true);
    let asked = "performance.getEntriesByType('resource').filter((r) => r.name.includes('/off/snapshot.jpg')).length";
    assert!(page.eval(asked).await.as_u64().unwrap() <= 2);
    clean(&page, &["favicon", "status of 404", "status of 502", "status of 503", "status of 504"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wall_plays_the_small_picture_and_the_player_the_big_one() {
    let (big, small) = (Camera::builder().start(), Camera::builder().size(320, 180).start());
    let gateway = Gateway::start(&format!(
        "paths:\n  gate:\n    source: {}\n    substream: gate-small\n  gate-small:\n    source: {}\n",
        big.url(),
        small.url()
    ));
    let browser = Browser::launch().await;
    let page = browser.page(&format!("{}/", gateway.url())).await;
    assert_eq!(plays(&page, ".tile[data-path=gate] video").await, (320, 180));
    assert_eq!(page.eval("document.querySelectorAll('.tile').length").await, 1, "one camera, one tile");
    says(&page, ".tile[data-path=gate] .viewers .count", "1").await;
    let link = page.eval("document.querySelector('.tile a').href").await;
    page.goto(link.as_str().unwrap()).await;
    assert_eq!(plays(&page, "#video").await, (640, 360));
    clean(&page, &[]);
}
