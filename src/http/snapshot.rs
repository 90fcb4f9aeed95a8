//! `/{path}/snapshot.jpg`: the last key frame of a path as a JPEG. Posters for the
//! wall, pictures for home automation; nobody's camera is woken for it.
//!
//! Errors are JSON for everyone: an `<img>` shows neither.

use std::time::SystemTime;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, HttpDate, LAST_MODIFIED,
    ORIGIN,
};

use super::gateway::Look;
use super::server::Asked;
use super::{accept, cors, reply};
use crate::config::Action;
use crate::error::{Error, Kind, Result};
use crate::media::snapshot::{WIDTHS, Width};

const METHODS: &str = "OPTIONS, GET, HEAD";

/// Answers a request for a snapshot, errors and cross-origin headers included.
pub async fn answer(asked: &Asked<'_>, path: &str) -> HttpResponse {
    let headers = asked.request.headers();
    let method = asked.request.method();
    let preflight = *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let result = match *method {
        // What a browser asks for another site's page comes without credentials.
        _ if preflight => Ok(options()),
        Method::OPTIONS => asked.require(Action::Read, path).await.map(|_| options()),
        Method::GET | Method::HEAD => picture(asked, path).await,
        _ => Ok(reply::method_not_allowed(METHODS)),
    };
    let mut answer = result.unwrap_or_else(|error| {
        let mut answer = reply::error(&error);
        // The camera may send its first picture in a moment.
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    });
    cors::apply(answer.headers_mut(), headers.get(ORIGIN), &asked.config.webrtc_allow_origins, preflight);
    answer
}

fn options() -> HttpResponse {
    HttpResponse::NoContent().insert_header((ALLOW, METHODS)).finish()
}

async fn picture(asked: &Asked<'_>, path: &str) -> Result<HttpResponse> {
    asked.require(Action::Read, path).await?;
    let width = width(asked.request.query_string())?;
    let headers = asked.request.headers();
    let known = |tag: &str| accept::has(headers, &quoted(tag));
    let seen = asked.state.gateway.snapshot(Look { path, width, known: &known }).await?;
    let mut answer = match seen.jpeg {
        Some(_) => HttpResponse::Ok(),
        None => HttpResponse::NotModified(),
    };
    answer
        .insert_header((ETAG, quoted(&seen.tag)))
        .insert_header((LAST_MODIFIED, date(seen.taken)))
        .insert_header((AGE, seen.age.as_secs()))
        // May be kept, if we are asked each time whether there is a newer one.
        .insert_header((CACHE_CONTROL, "no-cache"));
    Ok(match seen.jpeg {
        Some(jpeg) => answer.insert_header((CONTENT_TYPE, "image/jpeg")).body(jpeg),
        None => answer.finish(),
    })
}

fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

fn date(time: SystemTime) -> String {
    HttpDate::from(time).to_string()
}

/// The width that a query asks for; None for the original. Other keys are not ours:
/// tokens, and what pages add against caches.
fn width(query: &str) -> Result<Option<Width>> {
    let Some((_, text)) = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "width") else {
        return Ok(None);
    };
    Width::parse(&text).map(Some).ok_or_else(|| {
        let all = WIDTHS.map(|w| w.to_string()).join(", ");
        Error::new(Kind::BadRequest, format!("width must be one of {all}; leave it out for the original"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_widths_that_are_offered() {
        assert_eq!(width("").unwrap(), None);
        assert_eq!(width("token=x&t=1").unwrap(), None);
        for w in WIDTHS {
            assert_eq!(width(&format!("t=1&width={w}")).unwrap().unwrap().pixels(), w);
        }
        for bad in
            ["width=", "width=0", "width=161", "width=+160", "width=0160", "width=4294967456", "width=a&width=160"]
        {
            let error = width(bad).unwrap_err();
            assert_eq!(error.kind, Kind::BadRequest, "{bad}");
            assert!(error.message.contains("160, 320, 640, 1280"), "{}", error.message);
        }
    }
}
