//! Answers in the one shape that all of camgate's JSON errors have, MediaMTX's:
//! `{"status":"error","error":"a sentence that says what to change"}`.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::json;

use crate::error::{Error, Kind};

/// An error as JSON, with the headers that its kind asks for.
pub fn error(error: &Error) -> HttpResponse {
    let mut builder = builder(error);
    builder.json(json!({"status": "error", "error": error.message}))
}

/// Status and headers of an error, without a body yet.
pub fn builder(error: &Error) -> HttpResponseBuilder {
    let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    if error.kind == Kind::Unauthorized {
        // Basic first: browsers take the first scheme that they know.
        builder.append_header((WWW_AUTHENTICATE, r#"Basic realm="camgate""#));
        builder.append_header((WWW_AUTHENTICATE, r#"Bearer realm="camgate""#));
    }
    if let Some(seconds) = error.retry_after_s {
        builder.insert_header((RETRY_AFTER, seconds));
    }
    builder
}

/// 405 with the methods that there are.
pub fn method_not_allowed(allow: &'static str) -> HttpResponse {
    let text = format!("this resource knows only {allow}");
    let mut answer = error(&Error::new(Kind::MethodNotAllowed, text));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// 431, which is about HTTP only and therefore no [`Kind`].
pub fn head_too_large(limit: usize) -> HttpResponse {
    HttpResponse::build(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).json(json!({
        "status": "error",
        "error": format!("the request's head has more than {limit} bytes: send fewer or shorter headers"),
    }))
}
