//! A PTZ camera that speaks Hikvision's ISAPI, as a DS-2DF8425IX-AELW does:
//! HTTP Digest with an account that locks, XML answers with sub-status codes,
//! and a position that moves while it is driven ([`super::ptz_motion`]).
//!
//! ```ignore
//! let camera = Hikvision::start();                  // operator / "p@ss%:/w?#x"
//! // ptz: {driver: hikvision, url: camera.url_with_credentials()}
//! camera.position();                                // where it looks now
//! camera.place(Position::new(135.0, 15.0, 4.0));    // turned by hand
//! camera.orders("continuous");                      // the bodies that came
//! camera.server().misbehave(Fault::Never).on("status").times(1);
//! let other = Hikvision::builder().relative(false).encoding(Encoding::Gb2312).start();
//! ```
//!
//! The picture that follows the position is [`super::ptz_picture`]'s:
//! `Camera::builder().scene(camera.scene())`.

use super::ptz_auth::{Digest, Policy};
pub use super::ptz_hikvision_builder::Builder;
use super::ptz_hikvision_calls::Calls;
use super::ptz_http::{Login, Request, Server};
use super::ptz_motion::{Motion, Position};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The user of a camera that was not told another.
pub const USER: &str = "operator";
/// Everything that makes URLs, headers and YAML hard to write.
pub const PASSWORD: &str = "p@ss%:/w?#x";

/// A saved position.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    pub id: u32,
    pub name: String,
    pub enabled: bool,
    pub at: Position,
}

/// What a camera remembers, beside its position.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub presets: Vec<Preset>,
    pub home: Position,
    /// The patrols that it knows, and the one that runs.
    pub patrols: Vec<u32>,
    pub patrol: Option<u32>,
    /// The special functions (presets 33–105) that were called.
    pub special: Vec<u32>,
    /// −100…100, while it is turned.
    pub focus: i32,
    pub iris: i32,
}

/// What the camera and its server share.
pub struct State {
    pub(super) set: Builder,
    pub(super) motion: Arc<Mutex<Motion>>,
    pub(super) memory: Mutex<Memory>,
    pub(super) digest: Option<Digest>,
}

/// A running camera; ends when dropped.
pub struct Hikvision {
    state: Arc<State>,
    server: Server,
}

impl Hikvision {
    /// With the defaults of [`Builder`].
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn assemble(set: Builder) -> Self {
        let now = Instant::now();
        let at = |pan, tilt, zoom| Position::new(pan, tilt, zoom);
        let preset = |id, name: &str, at| Preset { id, name: name.into(), enabled: true, at };
        let memory = Memory {
            presets: vec![
                preset(1, "Front gate", at(135.0, 15.0, 4.0)),
                preset(2, "Yard", at(270.0, -5.0, 1.0)),
                // Names may repeat.
                preset(3, "Yard", at(300.0, 0.0, 2.0)),
                Preset { enabled: false, ..preset(4, "Preset 4", at(0.0, 0.0, 1.0)) },
            ],
            home: at(10.0, 5.0, 1.0),
            patrols: vec![1, 2],
            ..Memory::default()
        };
        let digest = set.account.as_ref().map(|(user, password)| {
            let policy = Policy::new(user, password);
            Digest::new(Policy {
                nonce_life: set.nonce_life,
                nonce_uses: set.nonce_uses,
                lock: set.lock,
                says_stale: set.says_stale,
                basic_too: set.basic_too,
                ..policy
            })
        });
        let options = set.http.clone();
        let motion = Arc::new(Mutex::new(Motion::new(set.limits, now)));
        let state = Arc::new(State { set, motion, memory: Mutex::new(memory), digest });
        let server = Server::start(options, Arc::new(Calls(state.clone())));
        Self { state, server }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// With user and password, percent-encoded.
    pub fn url_with_credentials(&self) -> String {
        match &self.state.set.account {
            Some((user, password)) => self.url_with(user, password),
            None => self.url(),
        }
    }

    /// With credentials of your own, percent-encoded.
    pub fn url_with(&self, user: &str, password: &str) -> String {
        let encode = |s| utf8_percent_encode(s, NON_ALPHANUMERIC);
        self.url().replace("://", &format!("://{}:{}@", encode(user), encode(password)))
    }

    /// Requests, faults, connections, TLS.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The account; panics for a camera that wants no password.
    pub fn digest(&self) -> &Digest {
        self.state.digest.as_ref().expect("a camera without a password")
    }

    /// Where it looks now.
    pub fn position(&self) -> Position {
        self.state.motion.lock().unwrap().at(Instant::now())
    }

    /// −1…1: how it is driven now, by velocity.
    pub fn velocity(&self) -> [f64; 3] {
        self.state.motion.lock().unwrap().velocity(Instant::now())
    }

    /// Does anything move?
    pub fn moving(&self) -> bool {
        let (turns, zooms) = self.state.motion.lock().unwrap().moving(Instant::now());
        turns || zooms
    }

    /// Turned by hand.
    pub fn place(&self, at: Position) {
        self.state.motion.lock().unwrap().place(at, Instant::now());
    }

    /// Presets, home, patrols.
    pub fn memory(&self) -> Memory {
        self.state.memory.lock().unwrap().clone()
    }

    /// What the picture is drawn from.
    pub fn scene(&self) -> Arc<Mutex<Motion>> {
        self.state.motion.clone()
    }

    /// The requests that were let in whose path has this in it.
    pub fn orders(&self, what: &str) -> Vec<Request> {
        let mut requests = self.server.requests();
        requests.retain(|r| r.path.contains(what) && r.login == Login::Granted);
        requests
    }

    /// `continuous` orders: pan, tilt, zoom as they came (−100…100).
    pub fn velocities(&self) -> Vec<[i32; 3]> {
        let read = |r: &Request| {
            let text = r.text();
            ["pan", "tilt", "zoom"].map(|name| {
                let from = text.find(&format!("<{name}>")).map(|at| at + name.len() + 2);
                from.and_then(|at| text[at..].split('<').next()?.trim().parse().ok()).unwrap_or(i32::MIN)
            })
        };
        self.orders("/continuous").iter().map(read).collect()
    }
}
