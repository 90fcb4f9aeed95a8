//! The whole room in process, with a gateway that is no camera. `rowNN` in the names of
//! tests numbers the rules of WHEP: one number, one rule.

mod page;
mod ptz;
mod session;
mod snapshot;
mod socket;
mod whep;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use actix_web::App;
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use actix_web::test::{TestRequest, call_service, init_service};

use super::gateway::{Boxed, Gateway, Hls, HlsAnswer, Look, Opened, Patch, Restarted, Seen, Watch};
use super::server;
use crate::config::{Action, Config, Permission, User};
use crate::error::{Error, Kind, Result};
use crate::path::status::{PathStatus, StateName};
use crate::ptz::{Ask, Camera, Capabilities, Position, Preset, Reply, Status};
use crate::redact::Secret;

pub(super) const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
pub(super) const LINK: &str = "<stun:stun.example:3478>; rel=\"ice-server\"";

/// A gateway whose paths behave by their names.
pub(super) struct Fake {
    pub config: Mutex<Arc<Config>>,
    pub names: Vec<&'static str>,
    pub ready: Mutex<bool>,
    /// Requests for sessions that came through.
    pub watched: Mutex<Vec<Watch>>,
    /// Open sessions: secret to path.
    pub sessions: Mutex<HashMap<String, String>>,
    /// Preconditions of PATCHes that came through.
    pub preconditions: Mutex<Vec<Option<String>>>,
    /// How many requests for the path `stuck` were given up.
    pub given_up: Arc<AtomicUsize>,
    /// What was asked of cameras.
    pub steered: Mutex<Vec<(String, Ask)>>,
    /// The names for which ICE servers were announced.
    pub announced: Mutex<Vec<String>>,
}

/// Counts when a future is dropped.
struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Fake {
    pub fn new(change: impl FnOnce(&mut Config)) -> Arc<Fake> {
        let mut config = Config::default();
        change(&mut config);
        Arc::new(Fake {
            config: Mutex::new(Arc::new(config)),
            names: vec!["gate", "site/yard"],
            ready: Mutex::new(true),
            watched: Mutex::default(),
            sessions: Mutex::default(),
            preconditions: Mutex::default(),
            given_up: Arc::default(),
            steered: Mutex::default(),
            announced: Mutex::default(),
        })
    }

    fn known(&self, secret: &str, path: &str) -> Result<()> {
        match self.sessions.lock().unwrap().get(secret) {
            Some(of) if of == path => Ok(()),
            _ => Err(Error::new(Kind::NotFound, "there is no such session")),
        }
    }
}

fn status(name: &str) -> PathStatus {
    PathStatus {
        name: name.into(),
        conf_name: name.into(),
        state: StateName::Live,
        reason: None,
        since: "2026-11-23T10:00:00Z".into(),
        on_demand: false,
        hls: true,
        readers: 0,
        substream: (name == "gate").then(|| "site/yard".into()),
        ptz: name == "gate",
        ptz_refused: None,
        tracks: vec![],
    }
}

impl Gateway for Fake {
    fn config(&self) -> Arc<Config> {
        self.config.lock().unwrap().clone()
    }

    fn ready(&self) -> bool {
        *self.ready.lock().unwrap()
    }

    fn statuses(&self) -> Boxed<'_, Vec<PathStatus>> {
        Box::pin(async { self.names.iter().map(|n| status(n)).collect() })
    }

    fn status<'a>(&'a self, path: &'a str) -> Boxed<'a, Result<PathStatus>> {
        Box::pin(async move {
            if self.names.contains(&path) {
                return Ok(status(path));
            }
            Err(Error::new(Kind::NotFound, format!("there is no path \"{path}\" <here>")))
        })
    }

    fn snapshot<'a>(&'a self, look: Look<'a>) -> Boxed<'a, Result<Seen>> {
        Box::pin(async move {
            let width = look.width.map_or(0, |w| w.pixels());
            match look.path {
                "gate" => {}
                "broken" => return Err(Error::new(Kind::Unavailable, "no picture can be made").retry_after(2)),
                _ => return Err(Error::new(Kind::NotFound, "there is no picture of this path")),
            }
            let tag = format!("t-{width}");
            let jpeg = (!(look.known)(&tag)).then(|| format!("JPEG {width}").into());
            let taken = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            Ok(Seen { tag, taken, age: Duration::from_millis(7_900), jpeg })
        })
    }

    fn watch(&self, request: Watch) -> Boxed<'_, Result<Opened>> {
        Box::pin(async move {
            if !request.offer.starts_with("v=0") {
                return Err(Error::new(Kind::BadRequest, "the offer does not start with v=0"));
            }
            match request.path.as_str() {
                "empty" => {
                    let error = Error::new(Kind::NotFound, "nothing is published on \"empty\"");
                    return Err(error.retry_after(2));
                }
                "full" => {
                    return Err(Error::new(Kind::Unavailable, "the path is full").retry_after(5));
                }
                "silent" => return Err(Error::new(Kind::GatewayTimeout, "the camera is silent")),
                "stuck" => {
                    let _guard = Guard(self.given_up.clone());
                    std::future::pending().await
                }
                _ => {}
            }
            let mut sessions = self.sessions.lock().unwrap();
            let secret = format!("s3cret-_{}", sessions.len());
            sessions.insert(secret.clone(), request.path.clone());
            self.watched.lock().unwrap().push(request);
            Ok(Opened { secret, etag: "tag-1".into(), answer: "v=0\r\n".into() })
        })
    }

    fn patch<'a>(&'a self, patch: Patch<'a>) -> Boxed<'a, Result<Option<Restarted>>> {
        Box::pin(async move {
            self.known(patch.secret, patch.path)?;
            self.preconditions.lock().unwrap().push(patch.if_match.map(str::to_string));
            if patch.if_match.is_some_and(|t| t != "*" && t.split(',').all(|t| t != "tag-1")) {
                return Err(Error::new(Kind::PreconditionFailed, "the entity tag is stale"));
            }
            match patch.body {
                "" => Err(Error::new(Kind::BadRequest, "the fragment is empty")),
                "restart" => Err(Error::new(Kind::Unprocessable, "no ICE restart: join again")),
                "renew" => Ok(Some(Restarted { etag: "tag-2".into(), fragment: "a=ice-ufrag:ours\r\n".into() })),
                _ => Ok(None),
            }
        })
    }

    fn delete<'a>(&'a self, path: &'a str, secret: &'a str) -> Boxed<'a, Result<()>> {
        Box::pin(async move {
            self.known(secret, path)?;
            self.sessions.lock().unwrap().remove(secret);
            Ok(())
        })
    }

    fn hls<'a>(&'a self, request: Hls<'a>) -> Boxed<'a, Result<HlsAnswer>> {
        Box::pin(async move {
            if !self.names.contains(&request.path) {
                return Err(Error::new(Kind::NotFound, "there is no such path"));
            }
            Ok(match request.name {
                None => HlsAnswer::Playlist(format!("#EXTM3U\nhls-1.m3u8?{}\n", request.suffix)),
                Some(_) => HlsAnswer::Media {
                    mime: "video/mp4",
                    pieces: vec!["one".into(), "two".into()],
                    max_age: std::time::Duration::from_secs(60),
                },
            })
        })
    }

    fn cameras(&self) -> Vec<Camera> {
        let camera = |name: &&str| Camera {
            name: (*name).into(),
            driver: "hikvision",
            model: Some("DS-2DF8425IX-AELW".into()),
            online: true,
            error: None,
            capabilities: Capabilities { pan: true, box_zoom: true, ..Capabilities::default() },
        };
        self.names.iter().map(camera).collect()
    }

    fn steer<'a>(&'a self, path: &'a str, ask: Ask) -> Boxed<'a, Result<Reply>> {
        Box::pin(async move {
            match path {
                "gate" | "site/yard" => {}
                "fixed" => return Err(Error::new(Kind::Conflict, "path \"fixed\" has no PTZ")),
                "silent" => return Err(Error::new(Kind::GatewayTimeout, "the camera is silent")),
                _ => return Err(Error::new(Kind::NotFound, "there is no such path")),
            }
            let reply = match &ask {
                Ask::Drive(..) => Reply::Moving(UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)),
                Ask::Status => Reply::Status(Status {
                    online: true,
                    moving: false,
                    position: Some(Position { pan: Some(135.0), tilt: Some(15.0), zoom: Some(4.0) }),
                    normalized: None,
                    capabilities: Capabilities::default(),
                    error: None,
                }),
                Ask::Presets => {
                    Reply::Presets(vec![Preset { id: "1".into(), name: "Front gate".into(), enabled: true }])
                }
                Ask::Edit(crate::ptz::Edit::Save { .. }) => Reply::Saved("7".into()),
                _ => Reply::Done,
            };
            self.steered.lock().unwrap().push((path.into(), ask));
            Ok(reply)
        })
    }

    fn ice_links(&self, user: &str) -> Vec<String> {
        self.announced.lock().unwrap().push(user.into());
        vec![LINK.into(), "<turn:turn.example>; rel=\"ice-server\"; username=\"u\"".into()]
    }
}

/// A user with a password who may read all paths.
pub(super) fn bob() -> User {
    User {
        user: "bob".into(),
        pass: Secret::from("s3cret"),
        ips: vec![],
        permissions: vec![Permission::everywhere(Action::Read)],
    }
}

/// `Authorization` of [`bob`].
pub(super) const BOB: (&str, &str) = ("authorization", "Basic Ym9iOnMzY3JldA==");

/// An answer, read whole.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// Asserts the shape of an error and returns its sentence.
    pub fn error(&self) -> String {
        assert_eq!(self.header("content-type"), "application/json", "{}", self.body);
        let json: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(json["status"], "error");
        let text = json["error"].as_str().unwrap().to_string();
        assert!(text.len() > 5, "{text}");
        text
    }
}

/// One request to a server of `fake` (a new one: limits start at nothing).
pub(super) async fn ask(fake: &Arc<Fake>, method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut answers = ask_many(fake, 1, method, uri, headers, body).await;
    answers.pop().unwrap()
}

/// The same request several times to one server.
pub(super) async fn ask_many(
    fake: &Arc<Fake>,
    times: usize,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Vec<Answer> {
    let state = server::state(fake.clone(), server::Serves::Everything);
    let app = init_service(App::new().configure(server::configure(state))).await;
    let mut answers = Vec::new();
    for _ in 0..times {
        let mut request = TestRequest::with_uri(uri)
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .peer_addr(SocketAddr::from(([192, 0, 2, 1], 4000)));
        for header in headers {
            request = request.append_header(*header);
        }
        if !body.is_empty() {
            request = request.set_payload(body.to_string());
        }
        let response = call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = actix_web::test::read_body(response).await;
        answers.push(Answer { status, headers, body: String::from_utf8_lossy(&body).into() });
    }
    answers
}
