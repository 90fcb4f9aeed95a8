//! Steering from the page to the camera and back: a hand on the pad in Chromium, the
//! camera double that turns, and its picture in the page's video.

use super::access::violations;
use super::hands::*;
use super::hls::{BLOCKED, over, page_with};
use super::kit::{LONG, npm, plays, says};
use super::support::browser::{Browser, Page};
use super::support::camera::Camera;
use super::support::gateway::Gateway;
use super::support::ptz_hikvision::{Hikvision, PASSWORD, USER};
use super::support::ptz_motion::Position;
use super::support::{ptz_picture, until_true};

struct Scene {
    ptz: Hikvision,
    _camera: Camera,
    gateway: Gateway,
}

/// A camera that turns, its picture, and the gateway that knows both.
fn scene() -> Scene {
    let ptz = Hikvision::start();
    ptz.place(Position::new(10.0, 0.0, 1.0));
    let camera = Camera::builder().gop_frames(25).scene(ptz.scene()).start();
    let yaml = format!(
        "paths:\n  cam:\n    source: {}\n    ptz:\n      driver: hikvision\n      url: {}\n      username: {USER}\n      password: '{PASSWORD}'\n",
        camera.url(),
        ptz.url(),
    );
    let gateway = Gateway::start(&yaml);
    Scene { ptz, _camera: camera, gateway }
}

const PAD: &str = "document.querySelector('.ptz:not([hidden]) .disc:not([hidden])')";

/// The player with its pad and a picture.
async fn player(s: &Scene, browser: &Browser) -> Page {
    let page = browser.page(&format!("{}/cam", s.gateway.url())).await;
    ready(&page).await;
    page
}

async fn ready(page: &Page) {
    plays(page, "#video").await;
    page.wait_for(PAD, LONG).await;
    page.eval(&format!("{}; true", ptz_picture::JS)).await;
}

/// The camera stands, and was told so.
async fn stands(s: &Scene) {
    until_true(LONG, "the camera's stop", || {
        !s.ptz.moving() && s.ptz.velocities().last().is_some_and(|v| *v == [0, 0, 0])
    })
    .await;
}

async fn turns(s: &Scene) {
    until_true(LONG, "the camera's move", || s.ptz.velocity() != [0.0; 3]).await;
}

/// The picture shows where the camera is, and the landmark has gone to the other side.
async fn shows_the_shift(s: &Scene, page: &Page, before: f64) {
    let at = s.ptz.position();
    let there = format!(
        "((p) => p && Math.abs(p.pan - {}) < 0.2 && Math.abs(p.tilt - {}) < 0.2)(readPosition(video))",
        at.pan, at.tilt
    );
    page.wait_for(&there, LONG).await;
    let now = page.wait_for("findLandmark(video)?.x ?? -1", LONG).await.as_f64().unwrap();
    assert!(now < before - 0.01, "the wall did not move to the left: {before} → {now}");
}

async fn drag_moves_the_picture(s: &Scene, page: &Page) {
    let before = page.wait_for("findLandmark(video)?.x", LONG).await.as_f64().unwrap();
    let from = s.ptz.position();
    press_at(page, place(page, ".disc", 0.5, 0.5).await).await;
    drag_to(page, place(page, ".disc", 0.8, 0.5).await).await;
    turns(s).await;
    until_true(LONG, "a way of some degrees", || (s.ptz.position().pan - from.pan).abs() > 2.0).await;
    release_at(page, place(page, ".disc", 0.8, 0.5).await).await;
    stands(s).await;
    let moves = s.ptz.velocities();
    assert!(moves.iter().any(|v| v[0] > 0 && v[1] == 0 && v[2] == 0), "{moves:?}");
    assert!(s.ptz.position().pan > from.pan + 2.0);
    shows_the_shift(s, page, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drag_on_the_pad_moves_the_picture() {
    let s = scene();
    let browser = Browser::launch().await;
    let page = player(&s, &browser).await;
    drag_moves_the_picture(&s, &page).await;
    assert!(page.errors().is_empty(), "{:?}", page.errors());
    assert!(!s.gateway.log().iter().any(|l| l.contains(PASSWORD)), "the password is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_over_hls() {
    let s = scene();
    let browser = Browser::launch().await;
    let page = page_with(&browser, &s.gateway, BLOCKED).await;
    page.goto(&format!("{}/cam", s.gateway.url())).await;
    over(&page, "cam", "hls").await;
    ready(&page).await;
    drag_moves_the_picture(&s, &page).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_that_goes_stops_the_camera() {
    let s = scene();
    let browser = Browser::launch().await;
    // The page goes: a stop gets through.
    for way in ["blur", "another page", "closed tab"] {
        let page = player(&s, &browser).await;
        press_at(&page, place(&page, ".disc", 0.5, 0.5).await).await;
        drag_to(&page, place(&page, ".disc", 0.8, 0.5).await).await;
        turns(&s).await;
        match way {
            "blur" => drop(page.eval("dispatchEvent(new Event('blur')), true").await),
            "another page" => page.goto("about:blank").await,
            _ => page.close().await,
        }
        eprintln!("{way}");
        stands(&s).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_killed_stops_the_camera() {
    let s = scene();
    let browser = Browser::launch().await;
    let page = player(&s, &browser).await;
    press_at(&page, place(&page, ".disc", 0.5, 0.5).await).await;
    drag_to(&page, place(&page, ".disc", 0.8, 0.5).await).await;
    turns(&s).await;
    drop(browser); // SIGKILL
    stands(&s).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_fingers() {
    let s = scene();
    let browser = Browser::launch().await;
    let page = player(&s, &browser).await;
    for (key, axis, sign) in [("ArrowLeft", 0, -1), ("ArrowUp", 1, 1), ("+", 2, 1), ("-", 2, -1)] {
        let before = s.ptz.velocities().len();
        key_down(&page, key).await;
        turns(&s).await;
        key_up(&page, key).await;
        stands(&s).await;
        // The stop before is said twice.
        let all = s.ptz.velocities();
        let first = all[before..].iter().find(|v| **v != [0, 0, 0]).unwrap();
        assert_eq!(first[axis].signum(), sign, "{key}: {first:?}");
    }
    with_touch(&page).await;
    finger_down(&page, place(&page, ".disc", 0.5, 0.5).await).await;
    finger_to(&page, place(&page, ".disc", 0.5, 0.2).await).await;
    until_true(LONG, "up", || s.ptz.velocity()[1] > 0.0).await;
    finger_up(&page).await;
    stands(&s).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presets_by_name_and_the_picture_itself() {
    let s = scene();
    let browser = Browser::launch().await;
    let page = player(&s, &browser).await;
    click(&page, "[aria-controls=ptz-presets]").await;
    says(&page, ".preset-list", "Front gate").await;
    page.eval("[...document.querySelectorAll('.go')].find((b) => b.textContent.includes('Front gate')).click(), true")
        .await;
    until_true(LONG, "the front gate", || s.ptz.position().near(&Position::new(135.0, 15.0, 4.0), 0.01)).await;

    // One of our own, with its picture; renamed; deleted after a second thought.
    page.eval("document.querySelector('.save input').value = 'Back door', document.querySelector('.save').requestSubmit(), true").await;
    says(&page, ".preset-list", "Back door").await;
    let named = |name: &str| s.ptz.memory().presets.into_iter().find(|p| p.name == name);
    assert!(named("Back door").unwrap().at.near(&Position::new(135.0, 15.0, 4.0), 0.01));
    page.wait_for("document.querySelector('.preset-list img.thumb')?.naturalWidth > 0", LONG).await;
    click(&page, "[aria-label='Edit presets']").await;
    page.wait_for("document.querySelector('[aria-label=\"Rename Back door\"]')", LONG).await;
    page.eval("document.querySelector('[aria-label=\"Rename Back door\"]').click(), true").await;
    page.eval("document.querySelector('.rename input').value = 'Cellar', document.querySelector('.rename').requestSubmit(), true").await;
    says(&page, ".preset-list", "Cellar").await;
    assert!(named("Cellar").is_some() && named("Back door").is_none());
    page.eval("document.querySelector('[aria-label=\"Delete Cellar\"]').click(), true").await;
    says(&page, ".note", "press again").await;
    assert!(named("Cellar").is_some(), "asked first");
    page.eval("document.querySelector('[aria-label^=\"Delete Cellar\"]').click(), true").await;
    until_true(LONG, "the end of the preset", || named("Cellar").is_none()).await;

    click(&page, ".ptz-tools [title^='To the home']").await;
    until_true(LONG, "home", || s.ptz.position().near(&Position::new(10.0, 5.0, 1.0), 0.01)).await;
    // A quarter of the picture, its upper left one.
    click(&page, "[aria-controls=ptz-presets]").await;
    tap_key(&page, "a").await;
    page.wait_for("!document.querySelector('.aim').hidden", LONG).await;
    press_at(&page, place(&page, "#video", 0.1, 0.1).await).await;
    drag_to(&page, place(&page, "#video", 0.3, 0.3).await).await;
    release_at(&page, place(&page, "#video", 0.35, 0.35).await).await;
    until_true(LONG, "the box", || s.ptz.position().zoom > 2.0 && !s.ptz.moving()).await;
    let at = s.ptz.position();
    assert!(at.pan > 180.0 || at.pan < 10.0, "to the left: {at:?}");
    assert!(at.tilt > 5.0, "up: {at:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_with_the_pad_open() {
    let axe = std::fs::read_to_string(npm("axe-core/axe.min.js")).unwrap();
    let s = scene();
    let browser = Browser::launch().await;
    let page = player(&s, &browser).await;
    let mut bad = Vec::new();
    for theme in ["dark", "light"] {
        page.eval(&format!("localStorage.setItem('camgate.theme', '{theme}')")).await;
        page.goto(&format!("{}/cam", s.gateway.url())).await;
        ready(&page).await;
        bad.extend(violations(&page, &axe).await);
        click(&page, "[aria-controls=ptz-more]").await;
        page.wait_for("!document.querySelector('.more').hidden", LONG).await;
        bad.extend(violations(&page, &axe).await);
        click(&page, "[aria-controls=ptz-presets]").await;
        says(&page, ".preset-list", "Front gate").await;
        click(&page, "[aria-label='Edit presets']").await;
        bad.extend(violations(&page, &axe).await);
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
