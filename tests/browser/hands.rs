//! Hands on the page: mouse, fingers and keys as the browser gets them from the
//! system, not as events that a script makes.

use super::support::browser::Page;
use chromiumoxide::cdp::browser_protocol::emulation::SetTouchEmulationEnabledParams;
use chromiumoxide::cdp::browser_protocol::input::{
    DispatchKeyEventParams, DispatchKeyEventType, DispatchMouseEventParams, DispatchMouseEventType,
    DispatchTouchEventParams, DispatchTouchEventReturns, DispatchTouchEventType, MouseButton, TouchPoint,
};

/// A place in the window, in pixels.
pub type Place = (f64, f64);

/// A place in an element: parts of its width and height from its upper left corner.
pub async fn place(page: &Page, selector: &str, x: f64, y: f64) -> Place {
    let js = format!(
        "((b) => [b.left + b.width * {x}, b.top + b.height * {y}])(document.querySelector({selector:?}).getBoundingClientRect())"
    );
    serde_json::from_value(page.eval(&js).await).unwrap()
}

async fn mouse(page: &Page, kind: DispatchMouseEventType, (x, y): Place, clicks: i64, held: bool) {
    let event = DispatchMouseEventParams::builder().r#type(kind).x(x).y(y).click_count(clicks);
    let event =
        event.buttons(i64::from(held)).button(if held || clicks > 0 { MouseButton::Left } else { MouseButton::None });
    page.inner().execute(event.build().unwrap()).await.unwrap();
}

/// Moves there and presses the left button.
pub async fn press_at(page: &Page, at: Place) {
    mouse(page, DispatchMouseEventType::MouseMoved, at, 0, false).await;
    mouse(page, DispatchMouseEventType::MousePressed, at, 1, true).await;
}

/// Moves with the button held.
pub async fn drag_to(page: &Page, at: Place) {
    mouse(page, DispatchMouseEventType::MouseMoved, at, 0, true).await;
}

/// Lets go of the button.
pub async fn release_at(page: &Page, at: Place) {
    mouse(page, DispatchMouseEventType::MouseReleased, at, 1, false).await;
}

/// A click in the middle of an element.
pub async fn click(page: &Page, selector: &str) {
    let at = place(page, selector, 0.5, 0.5).await;
    press_at(page, at).await;
    release_at(page, at).await;
}

async fn key(page: &Page, kind: DispatchKeyEventType, key: &str, repeat: bool) {
    let code = match key {
        "+" => "NumpadAdd",
        "-" => "Minus",
        " " => "Space",
        key if key.len() == 1 => "KeyA",
        key => key,
    };
    let event = DispatchKeyEventParams::builder().r#type(kind).key(key).code(code).auto_repeat(repeat);
    page.inner().execute(event.build().unwrap()).await.unwrap();
}

/// Presses a key and keeps it down.
pub async fn key_down(page: &Page, name: &str) {
    key(page, DispatchKeyEventType::RawKeyDown, name, false).await;
}

/// What the system sends while a key stays down.
pub async fn key_repeats(page: &Page, name: &str) {
    key(page, DispatchKeyEventType::RawKeyDown, name, true).await;
}

/// Lets go of a key.
pub async fn key_up(page: &Page, name: &str) {
    key(page, DispatchKeyEventType::KeyUp, name, false).await;
}

/// Presses a key and lets go of it.
pub async fn tap_key(page: &Page, name: &str) {
    key_down(page, name).await;
    key_up(page, name).await;
}

/// Turns the machine into one with fingers.
pub async fn with_touch(page: &Page) {
    page.inner().execute(SetTouchEmulationEnabledParams::new(true)).await.unwrap();
}

/// The library leaves an empty list of fingers out, which Chromium refuses.
#[derive(Debug, Clone, serde::Serialize)]
struct NoFinger {
    r#type: &'static str,
    #[serde(rename = "touchPoints")]
    touch_points: [TouchPoint; 0],
}

impl chromiumoxide::types::Method for NoFinger {
    fn identifier(&self) -> chromiumoxide::types::MethodId {
        "Input.dispatchTouchEvent".into()
    }
}

impl chromiumoxide::types::Command for NoFinger {
    type Response = DispatchTouchEventReturns;
}

async fn no_finger(page: &Page, kind: &'static str) {
    page.inner().execute(NoFinger { r#type: kind, touch_points: [] }).await.unwrap();
}

async fn touch(page: &Page, kind: DispatchTouchEventType, at: &[Place]) {
    let points: Vec<TouchPoint> = at.iter().map(|(x, y)| TouchPoint::new(*x, *y)).collect();
    page.inner().execute(DispatchTouchEventParams::new(kind, points)).await.unwrap();
}

/// Puts a finger down.
pub async fn finger_down(page: &Page, at: Place) {
    touch(page, DispatchTouchEventType::TouchStart, &[at]).await;
}

/// Moves it.
pub async fn finger_to(page: &Page, at: Place) {
    touch(page, DispatchTouchEventType::TouchMove, &[at]).await;
}

/// Takes it away.
pub async fn finger_up(page: &Page) {
    no_finger(page, "touchEnd").await;
}

/// The system takes the finger for something else, such as going back.
pub async fn finger_taken(page: &Page) {
    no_finger(page, "touchCancel").await;
}
