//! One call of ISAPI: what a camera's answer means, and the numbers that it wants.

use reqwest::Method;

use super::client::Client;
use super::hikvision_xml::ResponseStatus;
use super::xml;
use super::{Fault, Frame};

const XML: &str = "application/xml; charset=\"UTF-8\"";

/// A refusal, before it is known what it means for a call.
#[derive(Debug)]
pub(super) enum No {
    /// Not of the camera's.
    Fault(Fault),
    /// The camera's: HTTP status, sub-status, and its words as a sentence.
    Camera { status: u16, sub: String, words: String },
}

impl No {
    /// Whether the camera has no such call at all.
    pub fn absent(&self) -> bool {
        let No::Camera { status, sub, .. } = self else { return false };
        *status == 404 || matches!(sub.as_str(), "notSupport" | "methodNotAllowed" | "invalidOperation")
    }
}

impl From<Fault> for No {
    fn from(fault: Fault) -> No {
        No::Fault(fault)
    }
}

impl From<No> for Fault {
    fn from(no: No) -> Fault {
        match no {
            No::Fault(fault) => fault,
            No::Camera { words, .. } => Fault::Rejected(words),
        }
    }
}

/// The text of a good answer.
pub(super) async fn call(client: &mut Client, method: Method, path: &str, body: String) -> Result<String, No> {
    let answer = client.send(method, path, XML, body).await?;
    let status: Option<ResponseStatus> = xml::read(&answer.text, &["ResponseStatus"]).ok();
    let fine = |s: &ResponseStatus| s.sub.trim() == "ok" || matches!(s.code, Some(0.0 | 1.0));
    match (answer.status, status) {
        (200..300, None) => Ok(answer.text),
        (200..300, Some(status)) if fine(&status) => Ok(answer.text),
        (code, status) => Err(refusal(code, status)),
    }
}

pub(super) fn refusal(code: u16, status: Option<ResponseStatus>) -> No {
    let status = status.unwrap_or_default();
    let (sub, words) = (xml::short(&status.sub), xml::short(&status.words));
    let said = match (sub.as_str(), words.as_str()) {
        ("", "") if code == 404 => "it has no such function".to_owned(),
        ("", "") => "it does not say why".to_owned(),
        ("", words) => words.to_owned(),
        (sub, "") => sub.to_owned(),
        (sub, words) => format!("{sub} ({words})"),
    };
    let busy = if status.code == Some(2.0) { ", it is busy" } else { "" };
    No::Camera { status: code, sub, words: format!("the camera refuses{busy}: {said}, HTTP {code}") }
}

/// −100 to 100; no speed is so small that it is none.
pub(super) fn percent(speed: f64) -> i64 {
    match (speed * 100.0).round() as i64 {
        0 if speed > 0.0 => 1,
        0 if speed < 0.0 => -1,
        whole => whole,
    }
}

/// A point of the picture on the grid of `position3D`: 0 to 255, from the lower left.
pub(super) fn grid(x: f64, y: f64) -> (i64, i64) {
    let whole = |fraction: f64| (fraction.clamp(0.0, 1.0) * 255.0).round() as i64;
    (whole(x), whole(1.0 - y))
}

/// Drawn from left to right it zooms in, from right to left out.
pub(super) fn corners(frame: Frame) -> [(i64, i64); 2] {
    let (left, right) = (frame.x, frame.x + frame.width);
    let (from, to) = if frame.out { (right, left) } else { (left, right) };
    [grid(from, frame.y), grid(to, frame.y + frame.height)]
}
