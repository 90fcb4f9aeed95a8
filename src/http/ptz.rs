//! `/ptz/…`: who may steers, in JSON.
//!
//! | route | method | what |
//! |---|---|---|
//! | `/ptz/cameras` | GET | the cameras that the caller may steer |
//! | `/ptz/{path}/move` `/stop` `/home` | POST | moves it |
//! | `/ptz/{path}/boxzoom` `/center` | POST | by a piece or a point of the picture |
//! | `/ptz/{path}/focus` `/iris` | POST | `{"speed": -1..1}`, 0 stops |
//! | `/ptz/{path}/status` | GET | where it looks |
//! | `/ptz/{path}/presets` | GET, POST | its presets; a new one |
//! | `/ptz/{path}/preset/{id}` | POST, PUT, PATCH, DELETE | goes there; saves; renames; deletes |
//! | `/ptz/{path}/patrol/{id}/start` `/stop` | POST | patrols |
//!
//! Not for pages of other sites: what changes something is refused them, and no
//! cross-origin header is ever sent.

use std::time::SystemTime;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Payload;
use serde_json::{Value, json};

use super::limits::read_body;
use super::route_ptz::{Ptz, Steer};
use super::server::Asked;
use super::{origin, ptz_body, reply};
use crate::config::Action;
use crate::error::{Error, Kind, Result};
use crate::ptz::{Ask, Drive, Edit, Go, Reply, Status};

/// The longest body, where `bodySize` is not less: a dozen numbers and a name.
const BODY: usize = 16 << 10;
const GET: &str = "GET, HEAD";
const POST: &str = "POST";
const PRESETS: &str = "GET, HEAD, POST";
const PRESET: &str = "POST, PUT, PATCH, DELETE";

/// Answers a request for PTZ, errors included.
pub async fn answer(asked: &Asked<'_>, payload: Payload, ptz: Ptz) -> HttpResponse {
    let methods = methods(&ptz);
    let method = asked.request.method();
    let mut answer = if !methods.split(", ").any(|m| m == method.as_str()) {
        reply::method_not_allowed(methods)
    } else {
        let result = match ptz {
            Ptz::Cameras => cameras(asked).await,
            Ptz::Camera { path, steer } => camera(asked, payload, &path, steer).await,
        };
        result.unwrap_or_else(|error| reply::error(&error))
    };
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn methods(ptz: &Ptz) -> &'static str {
    match ptz {
        Ptz::Cameras | Ptz::Camera { steer: Steer::Status, .. } => GET,
        Ptz::Camera { steer: Steer::Presets, .. } => PRESETS,
        Ptz::Camera { steer: Steer::Preset(_), .. } => PRESET,
        Ptz::Camera { .. } => POST,
    }
}

async fn cameras(asked: &Asked<'_>) -> Result<HttpResponse> {
    let identity = asked.identify().await;
    if !identity.may_somewhere(Action::Ptz) {
        return Err(identity.refusal(Action::Ptz, ""));
    }
    let mut all = asked.state.gateway.cameras();
    all.retain(|camera| identity.may(Action::Ptz, &camera.name));
    Ok(HttpResponse::Ok().json(json!({"itemCount": all.len(), "items": all})))
}

async fn camera(asked: &Asked<'_>, payload: Payload, path: &str, steer: Steer) -> Result<HttpResponse> {
    let headers = asked.request.headers();
    let reads = matches!(*asked.request.method(), Method::GET | Method::HEAD);
    if !reads {
        origin::check(headers)?;
    }
    asked.require(Action::Ptz, path).await?;
    let body = match reads {
        true => Default::default(),
        false => read_body(headers, payload, BODY.min(asked.bounds.body), asked.bounds.body_timeout).await?,
    };
    let ask = ask(asked.request.method(), steer, &body)?;
    let reply = asked.state.gateway.steer(path, ask).await?;
    Ok(HttpResponse::Ok().json(shown(path, reply)))
}

/// What a request asks for. The method is one of the route's.
fn ask(method: &Method, steer: Steer, body: &[u8]) -> Result<Ask> {
    Ok(match (steer, method) {
        (Steer::Move, _) => ptz_body::movement(body)?,
        (Steer::Stop, _) => Ask::Stop,
        (Steer::Home, _) => Ask::Go(Go::Home),
        (Steer::Box, _) => ptz_body::frame(body)?,
        (Steer::Center, _) => ptz_body::center(body)?,
        (Steer::Focus, _) => ptz_body::speed(body, Drive::Focus)?,
        (Steer::Iris, _) => ptz_body::speed(body, Drive::Iris)?,
        (Steer::Status, _) => Ask::Status,
        (Steer::Presets, &Method::POST) => Ask::Edit(Edit::Save { id: None, name: ptz_body::name(body)? }),
        (Steer::Presets, _) => Ask::Presets,
        (Steer::Preset(id), &Method::PUT) => {
            Ask::Edit(Edit::Save { id: Some(ptz_body::id(id)?), name: ptz_body::name(body)? })
        }
        (Steer::Preset(id), &Method::PATCH) => {
            let missing = || Error::new(Kind::BadRequest, "name is missing: the new name of the preset");
            Ask::Edit(Edit::Rename { id: ptz_body::id(id)?, name: ptz_body::name(body)?.ok_or_else(missing)? })
        }
        (Steer::Preset(id), &Method::DELETE) => Ask::Edit(Edit::Delete(ptz_body::id(id)?)),
        (Steer::Preset(id), _) => Ask::Go(Go::Preset(ptz_body::id(id)?)),
        (Steer::Patrol { id, start: true }, _) => Ask::Go(Go::Patrol(ptz_body::id(id)?)),
        (Steer::Patrol { id, start: false }, _) => Ask::Edit(Edit::StopPatrol(ptz_body::id(id)?)),
    })
}

/// The JSON of an answer.
fn shown(path: &str, reply: Reply) -> Value {
    match reply {
        Reply::Done => json!({"status": "ok"}),
        Reply::Saved(id) => json!({"status": "ok", "id": id}),
        Reply::Moving(until) => json!({"status": "ok", "until": time(until)}),
        Reply::Presets(all) => json!({"itemCount": all.len(), "items": all}),
        Reply::Status(Status { online, moving, position, normalized, capabilities, error }) => json!({
            "name": path,
            "online": online,
            "moving": moving,
            "position": position,
            "normalized": normalized,
            "capabilities": capabilities,
            "error": error,
            "time": time(SystemTime::now()),
        }),
    }
}

/// RFC 3339 in UTC with milliseconds.
fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
