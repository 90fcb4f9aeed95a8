//! The HTTP half of WHEP (draft-ietf-wish-whep, RFC 9725).
//!
//! | resource | methods |
//! |---|---|
//! | endpoint `/whep/{path}`, `/{path}/whep` | OPTIONS, GET, HEAD, POST |
//! | session: endpoint + `/{secret}` | OPTIONS, PATCH, DELETE |
//!
//! A session asks for nothing but its secret: several clients send no
//! credentials there.

use std::net::IpAddr;
use std::time::Instant;

use actix_web::http::Method;
use actix_web::http::header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ETAG, HeaderName, LINK, LOCATION, ORIGIN};
use actix_web::web::Payload;
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::gateway::{Patch, Watch};
use super::limits::{Rate, read_body};
use super::route::{Form, Target, Whep};
use super::server::Asked;
use super::{accept, cors, reply};
use crate::config::Action;
use crate::error::{Error, Kind, Result};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const ENDPOINT_METHODS: &str = "OPTIONS, GET, HEAD, POST";
const SESSION_METHODS: &str = "OPTIONS, PATCH, DELETE";
/// A session's trickling is many small requests for one POST.
const REQUESTS_PER_POST: f64 = 10.0;

/// Answers a request to a WHEP URL, errors and cross-origin headers included.
pub async fn answer(asked: &Asked<'_>, payload: Payload, whep: Whep) -> HttpResponse {
    let method = asked.request.method();
    let headers = asked.request.headers();
    let preflight = *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let session_method = matches!(*method, Method::PATCH | Method::DELETE);
    let result = match whep.target(session_method) {
        Err(reason) => Err(Error::new(Kind::BadRequest, reason)),
        Ok(Target::Endpoint { .. }) if preflight => Ok(endpoint_options().finish()),
        Ok(Target::Endpoint { path }) => endpoint(asked, payload, whep.form, path).await,
        Ok(Target::Session { path, secret }) => session(asked, payload, &path, &secret).await,
    };
    let mut answer = result.unwrap_or_else(|error| reply::error(&error));
    let allowed = &asked.config.webrtc_allow_origins;
    cors::apply(answer.headers_mut(), headers.get(ORIGIN), allowed, preflight);
    answer
}

/// Where sessions are made.
async fn endpoint(asked: &Asked<'_>, payload: Payload, form: Form, path: String) -> Result<HttpResponse> {
    match *asked.request.method() {
        Method::POST => post(asked, payload, form, path).await,
        Method::OPTIONS => {
            let identity = asked.require(Action::Read, &path).await?;
            let mut answer = endpoint_options();
            links(asked, &mut answer, &identity.user);
            Ok(answer.finish())
        }
        Method::GET | Method::HEAD => {
            asked.require(Action::Read, &path).await?;
            Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, SDP)).finish())
        }
        _ => Ok(reply::method_not_allowed(ENDPOINT_METHODS)),
    }
}

/// 204 and what the endpoint takes. Without ICE servers: those are for readers.
fn endpoint_options() -> HttpResponseBuilder {
    let mut answer = HttpResponse::NoContent();
    answer.insert_header((ACCEPT_POST, SDP));
    answer
}

async fn post(asked: &Asked<'_>, payload: Payload, form: Form, path: String) -> Result<HttpResponse> {
    let rate = asked.bounds.posts;
    limit(asked.state.posts.take(asked.client.addr.ip(), rate, Instant::now()))?;
    let identity = asked.require(Action::Read, &path).await?;
    content_type(asked, SDP)?;
    let offer = body(asked, payload).await?;
    let opened = asked
        .state
        .gateway
        .watch(Watch {
            path: path.clone(),
            user: Some(identity.user.clone()).filter(|u| !u.is_empty()),
            remote: asked.client.addr,
            offer,
        })
        .await?;
    let mut answer = HttpResponse::Created();
    answer
        .insert_header((CONTENT_TYPE, SDP))
        .insert_header((LOCATION, form.location(&path, &opened.secret)))
        .insert_header((ETAG, format!("\"{}\"", opened.etag)))
        .insert_header((ACCEPT_PATCH, FRAGMENT));
    links(asked, &mut answer, &identity.user);
    Ok(answer.body(opened.answer))
}

/// One viewer: further candidates and ICE restarts come by PATCH, the end by DELETE.
async fn session(asked: &Asked<'_>, payload: Payload, path: &str, secret: &str) -> Result<HttpResponse> {
    let gateway = &asked.state.gateway;
    match *asked.request.method() {
        Method::OPTIONS => Ok(HttpResponse::NoContent().insert_header((ACCEPT_PATCH, FRAGMENT)).finish()),
        Method::PATCH => {
            session_limit(asked, asked.client.addr.ip())?;
            content_type(asked, FRAGMENT)?;
            let body = body(asked, payload).await?;
            let if_match = accept::if_match(asked.request.headers());
            let if_match = if_match.as_deref();
            let restarted = gateway.patch(Patch { path, secret, if_match, body: &body }).await?;
            let Some(restarted) = restarted else { return Ok(HttpResponse::NoContent().finish()) };
            let mut answer = HttpResponse::Ok();
            answer.insert_header((CONTENT_TYPE, FRAGMENT)).insert_header((ETAG, format!("\"{}\"", restarted.etag)));
            Ok(answer.body(restarted.fragment))
        }
        Method::DELETE => {
            session_limit(asked, asked.client.addr.ip())?;
            gateway.delete(path, secret).await?;
            Ok(HttpResponse::Ok().finish())
        }
        _ => Ok(reply::method_not_allowed(SESSION_METHODS)),
    }
}

/// One `Link` field per ICE server, and none for anything else: MediaMTX's reader.js breaks
/// on others.
fn links(asked: &Asked<'_>, answer: &mut HttpResponseBuilder, user: &str) {
    for link in asked.state.gateway.ice_links(user) {
        answer.append_header((LINK, link));
    }
}

fn session_limit(asked: &Asked<'_>, ip: IpAddr) -> Result<()> {
    let posts = asked.bounds.posts;
    let rate = Rate { per_second: posts.per_second * REQUESTS_PER_POST, burst: posts.burst * REQUESTS_PER_POST };
    limit(asked.state.sessions.take(ip, rate, Instant::now()))
}

/// A flood from one address must not keep others from watching.
fn limit(taken: std::result::Result<(), u32>) -> Result<()> {
    taken.map_err(|seconds| {
        Error::new(Kind::TooManyRequests, "too many requests from this address: slow down").retry_after(seconds)
    })
}

/// Asked before the body is read. Parameters and case do not matter.
fn content_type(asked: &Asked<'_>, wanted: &str) -> Result<()> {
    if accept::media_type(asked.request.headers()).as_deref() == Some(wanted) {
        return Ok(());
    }
    let text = format!("the Content-Type has to be {wanted}");
    Err(Error::new(Kind::UnsupportedMediaType, text))
}

async fn body(asked: &Asked<'_>, payload: Payload) -> Result<String> {
    let bounds = &asked.bounds;
    let body = read_body(asked.request.headers(), payload, bounds.sdp, bounds.body_timeout).await?;
    String::from_utf8(body.to_vec()).map_err(|_| Error::new(Kind::BadRequest, "the body is not UTF-8"))
}
