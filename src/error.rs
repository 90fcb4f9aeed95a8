//! One error type for all that can go wrong in answering a request, and the
//! table that turns it into a code, an HTTP status and MediaMTX's error shape.
//!
//! Every message is a sentence that says what to change, and has passed the
//! redactor before it gets here if it carries anything that came from a URL.

use std::fmt;

/// Why a request cannot be met. The text is shown to the client as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What kind of failure it is; decides the HTTP status.
    pub kind: Kind,
    /// A sentence that says what to change.
    pub message: String,
    /// Seconds after which trying again makes sense (`Retry-After`).
    pub retry_after_s: Option<u32>,
}

/// The kinds of failure, one per HTTP status that camgate answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 400: a value is wrong; the message names the field.
    BadRequest,
    /// 401: no credentials, or wrong ones.
    Unauthorized,
    /// 403: known, but not allowed; the message names the missing action.
    Forbidden,
    /// 404: no such path, session or file, or nothing is published there.
    NotFound,
    /// 405: the resource exists and knows no such method.
    MethodNotAllowed,
    /// 408: the request did not arrive in time.
    RequestTimeout,
    /// 409: in conflict with the present state.
    Conflict,
    /// 412: the entity tag is not the present one.
    PreconditionFailed,
    /// 413: the body is too large.
    TooLarge,
    /// 415: the content type is missing or wrong.
    UnsupportedMediaType,
    /// 422: well-formed, and cannot be met.
    Unprocessable,
    /// 429: too many requests from this address.
    TooManyRequests,
    /// 500: our fault.
    Internal,
    /// 502: the camera refuses; its own words.
    BadGateway,
    /// 503: full, or shutting down.
    Unavailable,
    /// 504: the camera is silent.
    GatewayTimeout,
}

impl Kind {
    /// The HTTP status of this kind.
    pub fn status(self) -> u16 {
        match self {
            Kind::BadRequest => 400,
            Kind::Unauthorized => 401,
            Kind::Forbidden => 403,
            Kind::NotFound => 404,
            Kind::MethodNotAllowed => 405,
            Kind::RequestTimeout => 408,
            Kind::Conflict => 409,
            Kind::PreconditionFailed => 412,
            Kind::TooLarge => 413,
            Kind::UnsupportedMediaType => 415,
            Kind::Unprocessable => 422,
            Kind::TooManyRequests => 429,
            Kind::Internal => 500,
            Kind::BadGateway => 502,
            Kind::Unavailable => 503,
            Kind::GatewayTimeout => 504,
        }
    }
}

impl Error {
    /// An error of `kind` with a sentence for the client.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), retry_after_s: None }
    }

    /// The same error, with a `Retry-After` of `seconds`.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// A result whose error can be answered over HTTP.
pub type Result<T> = std::result::Result<T, Error>;
