//! Why a source failed, in words that a person can act on, and what that means
//! for the next attempt.

use gstreamer as gst;

use crate::media::source::Hints;
use crate::media::template::TemplateError;

/// Why an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What kind of failure; decides when to try again.
    pub kind: FailureKind,
    /// A sentence for log, page and API; redacted.
    pub reason: String,
    /// Try again at once in this other way, instead of after the back-off.
    pub instead: Option<Hints>,
}

/// The kinds of failure that call for different next steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// 401, 403: trying again soon locks accounts.
    Unauthorized,
    /// 404: no such stream.
    NotFound,
    /// No connection, no answer, or no packets.
    Silent,
    /// An answer that says no, or that makes no sense.
    Refused,
    /// The stream ended or stalled after it had begun.
    Lost,
    /// Nothing in it that can be played.
    Unplayable,
    /// The template or launch line is wrong; only a change of configuration helps.
    Template,
    /// Our fault.
    Internal,
}

impl Failure {
    /// A failure with its sentence.
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Failure { kind, reason: reason.into(), instead: None }
    }

    /// The same, with another way that is worth trying at once.
    pub fn instead(mut self, hints: Hints) -> Self {
        self.instead = Some(hints);
        self
    }

    /// From an error of a pipeline without a camera.
    pub fn of_pipeline(error: &gst::message::Error) -> Self {
        let detail = detail(error.debug().as_deref().unwrap_or_default(), &error.error().to_string());
        let reason = format!("pipeline failed: {detail}");
        Failure::new(FailureKind::Lost, crate::redact::text(&reason).into_owned())
    }

    /// From an error of a camera's pipeline.
    pub fn of_camera(error: &gst::message::Error, about: &About) -> Self {
        let debug = error.debug().unwrap_or_default();
        let (kind, reason) = explain(status(error), &debug, &error.error().to_string(), about);
        Failure::new(kind, crate::redact::text(&reason).into_owned())
    }
}

/// What is known of a camera when it fails.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    /// `host:port`.
    pub address: String,
    /// No credentials are set.
    pub anonymous: bool,
    /// The certificate has a fingerprint to match.
    pub pinned: bool,
    /// The fingerprint of a certificate that was turned down.
    pub turned_down: Option<String>,
    /// The camera had described itself.
    pub described: bool,
}

/// The RTSP status that an error of rtspsrc is about: most errors carry it, those
/// of SETUP have it in their text or only mean it.
pub fn status(error: &gst::message::Error) -> Option<u32> {
    let debug = error.debug().unwrap_or_default();
    if let Some(code) = error.details().and_then(|d| d.get::<u32>("rtsp-status-code").ok()) {
        return Some(code);
    }
    // "No supported stream was found", in the user's language: all were refused with 461.
    if error.error().matches(gst::StreamError::CodecNotFound) && debug.contains("gst_rtspsrc_setup_streams") {
        return Some(461);
    }
    status_in(&debug)
}

fn status_in(debug: &str) -> Option<u32> {
    let (_, rest) = debug.split_once("Error (")?;
    rest.split_once("):")?.0.parse().ok()
}

/// What happened, and the sentence for it. The texts are those of gstrtspsrc.c and
/// of gst_rtsp_strresult.
fn explain(status: Option<u32>, debug: &str, message: &str, about: &About) -> (FailureKind, String) {
    let address = &about.address;
    if let Some(code) = status {
        return refusal(code, about);
    }
    let has = |text: &str| debug.contains(text) || message.contains(text);
    if has("Failed to connect") {
        return match &about.turned_down {
            Some(seen) if about.pinned => (
                FailureKind::Refused,
                format!("the certificate of {address} is not the one of sourceFingerprint; its own is {seen}"),
            ),
            Some(seen) => (
                FailureKind::Refused,
                format!(
                    "the certificate of {address} is not trusted; if it is the camera's, set sourceFingerprint: {seen}"
                ),
            ),
            None => (
                FailureKind::Silent,
                format!("no connection to {address}: the camera is off, or address, port or network are wrong"),
            ),
        };
    }
    if has("Timeout while waiting") {
        return (FailureKind::Silent, format!("camera at {address} does not answer"));
    }
    if about.described && (has("end-of-file") || has("System error") || has("Parse error")) {
        return (FailureKind::Lost, "camera cut the connection".into());
    }
    if has("Parse error") {
        return (FailureKind::Refused, format!("what answers at {address} does not speak RTSP: is it the right port?"));
    }
    if has("end-of-file") || has("System error") {
        return (FailureKind::Refused, format!("camera at {address} closes the connection instead of answering"));
    }
    if has("redirected to RTSPS") {
        let reason = "camera sends us on to RTSPS: write rtsps:// and its port into source";
        return (FailureKind::Refused, reason.into());
    }
    if has("SDP") {
        return (FailureKind::Refused, "camera does not describe a stream: check the path in the URL".into());
    }
    let kind = if about.described { FailureKind::Lost } else { FailureKind::Refused };
    (kind, format!("camera failed: {}", detail(debug, message)))
}

/// What a status that is no success means (RFC 2326 §11).
fn refusal(code: u32, about: &About) -> (FailureKind, String) {
    match code {
        401 | 407 if about.anonymous => {
            (FailureKind::Unauthorized, format!("camera wants a user name and a password ({code})"))
        }
        401 | 407 => (FailureKind::Unauthorized, format!("camera refused the password ({code})")),
        403 => (FailureKind::Unauthorized, "camera forbids this user this stream (403)".into()),
        404 | 410 => {
            (FailureKind::NotFound, format!("camera knows no such stream ({code}): check the path in the URL"))
        }
        453 | 503 => (FailureKind::Refused, format!("camera has no room for another viewer ({code})")),
        461 => (FailureKind::Refused, "camera refuses this transport (461): set rtspTransport to another one".into()),
        code => (FailureKind::Refused, format!("camera answered with an error ({code})")),
    }
}

impl From<TemplateError> for Failure {
    fn from(e: TemplateError) -> Self {
        Failure::new(FailureKind::Template, crate::redact::text(&e.to_string()).into_owned())
    }
}

/// The words of the cause: GStreamer puts them into the last line of the debug
/// text, in parentheses or not.
fn detail(debug: &str, message: &str) -> String {
    let last = debug.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or("");
    // "gstrtspsrc.c(8123): gst_rtspsrc_retrieve_sdp (): /GstPipeline…:" is a place, not a cause.
    let cause = if last.contains(".c(") { "" } else { last };
    let cause = cause.strip_prefix('(').and_then(|c| c.strip_suffix(')')).unwrap_or(cause).trim_end_matches('.');
    match (cause, message.trim().trim_end_matches('.')) {
        ("", m) => m.into(),
        (c, m) if m.contains(c) => m.into(),
        (c, "") => c.into(),
        (c, m) => format!("{m}: {c}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About { address: "10.0.0.5:554".into(), ..About::default() }
    }

    #[test]
    fn causes_are_found() {
        let debug = "../gst/rtsp/gstrtspsrc.c(1): f (): /GstPipeline:p:\nFailed to connect. (Generic error)";
        assert_eq!(detail(debug, "Could not open it."), "Could not open it: Failed to connect. (Generic error)");
        assert_eq!(detail("x.c(1): f ():\n(what)", "Failed."), "Failed: what");
        assert_eq!(detail("x.c(1): f ():", "Unauthorized"), "Unauthorized");
        assert_eq!(detail("", "gone."), "gone");
    }

    #[test]
    fn the_status_is_found_in_the_text() {
        assert_eq!(status_in("gstrtspsrc.c(7832): f ():\nError (404): Not Found"), Some(404));
        assert_eq!(status_in("Could not receive message. (Parse error)"), None);
        assert_eq!(status_in("Error (x): y"), None);
    }

    #[test]
    fn each_cause_has_its_kind_and_its_sentence() {
        use FailureKind::*;
        let playing = About { described: true, ..about() };
        let seen = About { turned_down: Some("ab".into()), ..about() };
        for (status, debug, about, kind, words) in [
            (Some(401), "", about(), Unauthorized, "refused the password"),
            (Some(401), "", About { anonymous: true, ..about() }, Unauthorized, "wants a user name"),
            (Some(403), "", about(), Unauthorized, "forbids"),
            (Some(404), "", about(), NotFound, "no such stream"),
            (Some(453), "", about(), Refused, "no room"),
            (Some(461), "", about(), Refused, "rtspTransport"),
            (Some(500), "", about(), Refused, "(500)"),
            (None, "Failed to connect. (System error)", about(), Silent, "no connection to 10.0.0.5:554"),
            (None, "Failed to connect. (System error)", seen.clone(), Refused, "set sourceFingerprint: ab"),
            (None, "Failed to connect. (System error)", About { pinned: true, ..seen }, Refused, "its own is ab"),
            (None, "Could not receive message. (Timeout while waiting for server response)", about(), Silent, "answer"),
            (None, "Could not receive message. (Parse error)", about(), Refused, "does not speak RTSP"),
            (None, "Could not receive message. (Received end-of-file)", about(), Refused, "instead of answering"),
            (None, "Could not receive message. (System error)", playing.clone(), Lost, "cut the connection"),
            (None, "Server can not provide an SDP.", about(), Refused, "does not describe"),
            (None, "Internal data stream error.", playing, Lost, "camera failed: Internal data"),
        ] {
            let (got, reason) = explain(status, debug, "", &about);
            assert_eq!(got, kind, "{reason}");
            assert!(reason.contains(words), "{reason}");
        }
    }
}
