//! The HTTP half of HLS: `/{path}/index.m3u8` and what it names.
//!
//! No cookies: readers are told apart by `reader=…`, which stands in every URI of
//! every playlist, beside the credentials that came in the query.

use std::convert::Infallible;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, ORIGIN,
};
use bytes::Bytes;

use super::gateway::{Hls, HlsAnswer, Reload};
use super::route::Route;
use super::server::Asked;
use super::{cors, page, reply};
use crate::config::{Action, valid_path_name};
use crate::error::{Error, Kind, Result};

const METHODS: &str = "OPTIONS, GET, HEAD";
const PLAYLIST: &str = "application/vnd.apple.mpegurl";
/// Keys of a query that are credentials, and go along into every URI.
const CREDENTIALS: [&str; 4] = ["token", "jwt", "user", "pass"];

/// Whether a route is there on a port that serves HLS alone: what MediaMTX has on its own,
/// and what the player page needs.
pub fn is_for(route: &Route) -> bool {
    match route {
        Route::Hls { .. } | Route::Player(_) | Route::Asset(_) | Route::Snapshot(_) => true,
        Route::Health | Route::Ready | Route::Bad(_) => true,
        Route::Wall | Route::Whep(_) | Route::Ptz(_) | Route::Reserved(_) => false,
    }
}

/// What the other routes get on such a port.
pub fn elsewhere(asked: &Asked<'_>, route: &Route) -> HttpResponse {
    let text = "this port serves HLS alone (hlsAddress); the rest is on webrtcAddress";
    match route {
        // No 404: the path is there, and the player page is to show it over HLS.
        Route::Whep(_) => {
            let mut answer = reply::error(&Error::new(Kind::MethodNotAllowed, text));
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(""));
            answer
        }
        _ => page::failure(asked, &Error::new(Kind::NotFound, text)),
    }
}

/// Answers a request, errors and cross-origin headers included. `name`: below the
/// path; none for the multivariant playlist.
pub async fn answer(asked: &Asked<'_>, path: &str, name: Option<&str>) -> HttpResponse {
    let headers = asked.request.headers();
    let preflight = *asked.request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let result = match *asked.request.method() {
        Method::OPTIONS => Ok(HttpResponse::NoContent().finish()),
        Method::GET | Method::HEAD => get(asked, path, name).await,
        _ => Ok(reply::method_not_allowed(METHODS)),
    };
    let mut answer = result.unwrap_or_else(|error| {
        let mut answer = reply::error(&error);
        // A name that is not there yet may be in a moment.
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    });
    cors::apply(answer.headers_mut(), headers.get(ORIGIN), &asked.config.hls_allow_origins, preflight);
    answer
}

async fn get(asked: &Asked<'_>, path: &str, name: Option<&str>) -> Result<HttpResponse> {
    valid_path_name(path).map_err(|reason| Error::new(Kind::BadRequest, reason))?;
    if !asked.config.hls {
        return Err(Error::new(Kind::NotFound, "HLS is switched off (hls: no)"));
    }
    let identity = asked.require(Action::Read, path).await?;
    let query = asked.request.query_string();
    // Before the camera is woken for nothing.
    let reload = Reload::parse(query).map_err(|why| Error::new(Kind::BadRequest, why))?;
    let reader = reader(query);
    let suffix = suffix(query, &reader);
    let got = asked.state.gateway.hls(Hls { path, name, reload, suffix: &suffix, reader: &reader }).await?;
    let mut answer = HttpResponse::Ok();
    match got {
        HlsAnswer::Playlist(text) => {
            answer.insert_header((CACHE_CONTROL, "no-cache")).insert_header((CONTENT_TYPE, PLAYLIST));
            Ok(answer.body(text))
        }
        // Where it stands beside this one: below the same path.
        HlsAnswer::Moved(uri) => {
            Ok(HttpResponse::Found().insert_header((CACHE_CONTROL, "no-cache")).insert_header((LOCATION, uri)).finish())
        }
        HlsAnswer::Media { mime, pieces, max_age } => {
            // For whoever asked, and nobody else, where it took a password.
            let scope = if identity.presented { "private" } else { "public" };
            answer
                .insert_header((CACHE_CONTROL, format!("{scope}, max-age={}", max_age.as_secs())))
                .insert_header((CONTENT_TYPE, mime));
            let length: usize = pieces.iter().map(Bytes::len).sum();
            if *asked.request.method() == Method::HEAD {
                return Ok(answer.insert_header((CONTENT_LENGTH, length)).finish());
            }
            // Piece by piece: a segment lies in memory once, however many read it.
            let stream = futures_util::stream::iter(pieces.into_iter().map(Ok::<Bytes, Infallible>));
            Ok(answer.body(SizedStream::new(length as u64, stream)))
        }
    }
}

/// The reader's id: what the query says, where that is one of ours.
fn reader(query: &str) -> String {
    let given = query.split('&').find_map(|pair| pair.strip_prefix("reader="));
    let ours = |id: &&str| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
    given.filter(ours).map_or_else(|| format!("{:016x}", rand::random::<u64>()), str::to_owned)
}

/// What goes behind every URI of a playlist.
fn suffix(query: &str, reader: &str) -> String {
    let mut suffix = format!("reader={reader}");
    for pair in query.split('&') {
        let key = pair.split_once('=').map_or(pair, |(key, _)| key);
        // As it came: percent-encoded, or nothing that ends a line or a quoted string.
        let plain = pair.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        if CREDENTIALS.contains(&key) && plain {
            suffix.push('&');
            suffix.push_str(pair);
        }
    }
    suffix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_behind_every_uri() {
        let id = "0123456789abcdef";
        assert_eq!(reader(&format!("a=b&reader={id}")), id);
        for other in ["", "reader=", "reader=../../x", "reader=0123456789abcdeg", "reader=0123456789abcdef0"] {
            let made = reader(other);
            assert!(made.len() == 16 && !other.contains(&made), "{made}");
        }
        assert_eq!(suffix("", id), format!("reader={id}"));
        assert_eq!(
            suffix("token=a%22b&x=1&user=u&_HLS_msn=3&pass=%20", id),
            format!("reader={id}&token=a%22b&user=u&pass=%20")
        );
        assert_eq!(suffix("token=a\"\n#EXT", id), format!("reader={id}"));
    }
}
