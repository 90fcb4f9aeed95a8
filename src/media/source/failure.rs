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

    /// From an error message on the bus. `anonymous`: no credentials are set.
    pub fn from_bus(error: &gst::message::Error, anonymous: bool) -> Self {
        let e = error.error();
        let detail = detail(error.debug().as_deref().unwrap_or_default(), &e.to_string());
        let kind = if e.matches(gst::ResourceError::NotAuthorized) {
            FailureKind::Unauthorized
        } else if e.matches(gst::ResourceError::NotFound) {
            // rtspsrc says NotFound also for a name that does not resolve or a refused connection.
            if detail.contains("404") || e.to_string().contains("Not Found") {
                FailureKind::NotFound
            } else {
                FailureKind::Silent
            }
        } else if detail.contains("403") || detail.contains("401") {
            FailureKind::Unauthorized
        } else if detail.contains("404") {
            FailureKind::NotFound
        } else if e.matches(gst::ResourceError::OpenRead) || e.matches(gst::ResourceError::OpenReadWrite) {
            FailureKind::Silent
        } else {
            FailureKind::Refused
        };
        let reason = match kind {
            FailureKind::Unauthorized if anonymous => "camera wants a user name and a password (401)".into(),
            FailureKind::Unauthorized => "camera refused the password (401)".into(),
            FailureKind::NotFound => "camera knows no such stream (404): check the path in the URL".into(),
            FailureKind::Silent => format!("camera cannot be reached: {detail}"),
            _ => format!("camera failed: {detail}"),
        };
        Failure::new(kind, crate::redact::text(&reason).into_owned())
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
    let message = message.trim().trim_end_matches('.');
    match (cause.trim_matches(|c| c == '(' || c == ')').trim_end_matches('.'), message) {
        ("", m) => m.into(),
        (c, m) if m.contains(c) => m.into(),
        (c, "") => c.into(),
        (c, m) => format!("{m} ({c})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_found() {
        assert_eq!(
            detail(
                "../gst/rtsp/gstrtspsrc.c(1): f (): /GstPipeline:p:\nFailed to connect. (Generic error)",
                "Could not open resource for reading and writing."
            ),
            "Could not open resource for reading and writing (Failed to connect. (Generic error)".to_owned() + ")"
        );
        assert_eq!(detail("x.c(1): f ():", "Unauthorized"), "Unauthorized");
        assert_eq!(detail("", "gone."), "gone");
    }
}
