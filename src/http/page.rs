//! The wall, the player, their JSON forms and the embedded files.

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, VARY};
use serde_json::json;

use super::accept::{self, Wanted};
use super::auth::Identity;
use super::server::{Asked, Serves};
use super::{assets, reply};
use crate::config::Action;
use crate::error::{Error, Kind, Result};
use crate::path::status::PathStatus;

const METHODS: &str = "GET, HEAD";
/// Scripts and styles only from our own files, so that a path's name or a
/// camera's words can never run.
const POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
    object-src 'none'; base-uri 'none'; form-action 'self'";

/// `GET /`.
pub async fn wall(asked: &Asked<'_>) -> HttpResponse {
    page(asked, wall_inner(asked).await)
}

async fn wall_inner(asked: &Asked<'_>) -> Result<HttpResponse> {
    get_only(asked)?;
    let identity = asked.identify().await;
    let mut all = asked.state.gateway.statuses().await;
    let there_are_any = !all.is_empty();
    all.retain(|path| identity.may(Action::Read, &path.name));
    all.iter_mut().for_each(|path| for_whom(path, &identity));
    // Nothing to see, and a password may help: ask for it. Without any path yet
    // the wall tells how to add one.
    let hidden = all.is_empty() && there_are_any;
    if !identity.may_somewhere(Action::Read) || (hidden && !identity.presented) {
        let refusal = identity.refusal(Action::Read, "");
        // Whoever may read, but none of the paths that there are, and cannot do
        // better with a password, gets an empty wall.
        if refusal.kind != Kind::Forbidden || !identity.may_somewhere(Action::Read) {
            return Err(refusal);
        }
    }
    if accept::wanted(asked.request.headers()) == Wanted::Json {
        return Ok(json_answer(&json!({"itemCount": all.len(), "items": all})));
    }
    html(asked, "index.html", "'self'")
}

/// `GET /{path}`.
pub async fn player(asked: &Asked<'_>, path: &str) -> HttpResponse {
    page(asked, player_inner(asked, path).await)
}

async fn player_inner(asked: &Asked<'_>, path: &str) -> Result<HttpResponse> {
    get_only(asked)?;
    let identity = asked.require(Action::Read, path).await?;
    let mut status = asked.state.gateway.status(path).await?;
    for_whom(&mut status, &identity);
    if asked.state.serves == Serves::Hls {
        // Cameras are not steered on that port: a pad there could only fail.
        (status.ptz, status.ptz_refused) = (false, None);
    }
    if accept::wanted(asked.request.headers()) == Wanted::Json {
        return Ok(json_answer(&status));
    }
    // The player is made for iframes of other sites.
    html(asked, "player.html", "*")
}

/// Who may not read the small picture plays the large one; who may not steer is told
/// what to change.
fn for_whom(status: &mut PathStatus, identity: &Identity) {
    status.substream.take_if(|sub| !identity.may(Action::Read, sub));
    if status.ptz && !identity.may(Action::Ptz, &status.name) {
        status.ptz = false;
        status.ptz_refused = Some(identity.refusal(Action::Ptz, &status.name).message);
    }
}

/// `GET /assets/{name}`, `GET /assets/{version}/{name}`.
pub fn asset(asked: &Asked<'_>, name: &str) -> HttpResponse {
    if get_only(asked).is_err() {
        return reply::method_not_allowed(METHODS);
    }
    let (kept, name) = assets::unversioned(name);
    match assets::find(name).filter(|file| !file.is_page()) {
        Some(file) => file.answer(asked.request.headers(), kept, |_| {}),
        None => failure(asked, &Error::new(Kind::NotFound, "there is no such file")),
    }
}

/// An error as a page for browsers, as JSON for everyone else.
pub fn failure(asked: &Asked<'_>, error: &Error) -> HttpResponse {
    let mut answer = if accept::wanted(asked.request.headers()) == Wanted::Html {
        let mut answer = reply::builder(error);
        answer.insert_header((CONTENT_TYPE, "text/html; charset=utf-8"));
        answer.insert_header((CONTENT_SECURITY_POLICY, policy("*")));
        answer.body(failure_page(error))
    } else {
        reply::error(error)
    };
    answer.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn page(asked: &Asked<'_>, result: Result<HttpResponse>) -> HttpResponse {
    match result {
        Ok(answer) => answer,
        Err(error) if error.kind == Kind::MethodNotAllowed => reply::method_not_allowed(METHODS),
        Err(error) => failure(asked, &error),
    }
}

fn get_only(asked: &Asked<'_>) -> Result<()> {
    match *asked.request.method() {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(Error::new(Kind::MethodNotAllowed, "a page can only be fetched")),
    }
}

fn json_answer(value: &impl serde::Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).insert_header((VARY, "Accept")).json(value)
}

/// An embedded page; `ancestors` says who may show it in a frame.
fn html(asked: &Asked<'_>, name: &str, ancestors: &str) -> Result<HttpResponse> {
    let file = assets::find(name).ok_or_else(|| Error::new(Kind::Internal, format!("{name} is not in this binary")))?;
    Ok(file.answer(asked.request.headers(), false, |answer| {
        answer.append_header((VARY, "Accept"));
        answer.insert_header((CONTENT_SECURITY_POLICY, policy(ancestors)));
    }))
}

fn policy(ancestors: &str) -> String {
    format!("{POLICY}; frame-ancestors {ancestors}")
}

/// The page's colours, and no module: an error needs none.
fn failure_page(error: &Error) -> String {
    let (status, text) = (error.kind.status(), escape(&sentence(&error.message)));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"dark light\">\n\
         <title>{status} · camgate</title>\n\
         <link rel=\"icon\" href=\"/assets/icon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"/assets/style.css\">\n\
         <script src=\"/assets/theme.js\"></script>\n</head>\n<body>\n\
         <main class=\"failure-page\">\n<h1>{status}</h1>\n<p>{text}</p>\n\
         <p><a href=\"/\">All cameras</a></p>\n</main>\n</body>\n</html>\n"
    )
}

/// A capital in front and a stop behind: messages come without.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let Some(first) = letters.next() else { return String::new() };
    let stop = if message.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
