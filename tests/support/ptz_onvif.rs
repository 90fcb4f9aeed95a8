//! A PTZ camera that speaks ONVIF: SOAP 1.2 with device, media, media2, PTZ and
//! imaging services, WS-UsernameToken against a clock of its own (or HTTP
//! Digest), faults with subcodes, and a position that moves while it is driven.
//!
//! ```ignore
//! let camera = Onvif::start();                      // operator / "p@ss%:/w?#x"
//! // ptz: {driver: onvif, url: camera.url_with_credentials()}
//! camera.orders("ContinuousMove");                  // what came
//! let nat = Onvif::builder().nat("192.0.2.7:80").clock(-7200).start();
//! let found = camera.discoverable();                // answers WS-Discovery on found.address()
//! camera.server().misbehave(Fault::Instead(400, SOAP, fault(&["Receiver", "MovingPTZ"], "busy"))).on("GotoPreset");
//! ```
//!
//! The picture that follows the position: `Camera::builder().scene(camera.scene())`.

use super::ptz_auth::{Digest, Policy};
use super::ptz_discovery::Discoverable;
use super::ptz_hikvision::{PASSWORD, USER};
use super::ptz_http::{Login, Options, Request, Server};
use super::ptz_motion::{Limits, Motion, Position};
use super::ptz_onvif_calls::Calls;
pub use super::ptz_onvif_calls::{SOAP, fault};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// How the camera wants its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A WS-UsernameToken with a digest.
    Token,
    /// The same, and no SOAP where it is missing or wrong: the status is the fault's.
    BareToken,
    /// Either; what is wrong with either is a challenge of HTTP Digest, and counted.
    Either,
    /// HTTP Digest; a token does not help.
    HttpDigest,
    /// Nothing.
    Nothing,
}

/// See [`Onvif::builder`].
#[derive(Clone)]
pub struct Builder {
    pub(super) account: (String, String),
    pub(super) wants: Wants,
    pub(super) http: Options,
    pub(super) limits: Limits,
    pub(super) clock: i64,
    pub(super) nat: Option<String>,
    pub(super) media: bool,
    pub(super) media2: bool,
    pub(super) services: bool,
    pub(super) ptz: bool,
    pub(super) position: bool,
    pub(super) move_status: bool,
    pub(super) degrees: bool,
    pub(super) relative: bool,
    pub(super) absolute: bool,
    pub(super) untold: bool,
    pub(super) stream: Option<String>,
    pub(super) presets: Vec<String>,
    pub(super) fault_status: u16,
    pub(super) denial: &'static [&'static str],
    pub(super) model: String,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            account: (USER.into(), PASSWORD.into()),
            wants: Wants::Token,
            http: Options::default(),
            limits: Limits::default(),
            clock: 0,
            nat: None,
            media: true,
            media2: true,
            services: true,
            ptz: true,
            position: true,
            move_status: true,
            degrees: false,
            relative: true,
            absolute: true,
            untold: false,
            stream: None,
            presets: Vec::new(),
            fault_status: 400,
            denial: &["Sender", "NotAuthorized"],
            model: "SD-6C".into(),
        }
    }
}

impl Builder {
    pub fn account(mut self, user: &str, password: &str) -> Self {
        self.account = (user.into(), password.into());
        self
    }
    pub fn wants(mut self, wants: Wants) -> Self {
        self.wants = wants;
        self
    }
    /// Port, TLS, IPv6, requests per connection.
    pub fn http(mut self, options: Options) -> Self {
        self.http = options;
        self
    }
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
    /// The camera's clock is so many seconds ahead of ours. Tokens are good for
    /// five minutes of the camera's time.
    pub fn clock(mut self, ahead: i64) -> Self {
        self.clock = ahead;
        self
    }
    /// The services' addresses name this `host:port`, which nobody reaches.
    pub fn nat(mut self, host: &str) -> Self {
        self.nat = Some(host.into());
        self
    }
    /// Has the old media service.
    pub fn media(mut self, yes: bool) -> Self {
        self.media = yes;
        self
    }
    /// Has the new media service.
    pub fn media2(mut self, yes: bool) -> Self {
        self.media2 = yes;
        self
    }
    /// Knows GetServices (newer than GetCapabilities, which it always knows).
    pub fn services(mut self, yes: bool) -> Self {
        self.services = yes;
        self
    }
    /// False: a fixed camera.
    pub fn ptz(mut self, yes: bool) -> Self {
        self.ptz = yes;
        self
    }
    /// False: GetStatus tells no position.
    pub fn position(mut self, yes: bool) -> Self {
        self.position = yes;
        self
    }
    /// False: GetStatus says UNKNOWN.
    pub fn move_status(mut self, yes: bool) -> Self {
        self.move_status = yes;
        self
    }
    /// Also knows positions in degrees (SphericalPositionSpaceDegrees).
    pub fn degrees(mut self) -> Self {
        self.degrees = true;
        self
    }
    pub fn relative(mut self, yes: bool) -> Self {
        self.relative = yes;
        self
    }
    pub fn absolute(mut self, yes: bool) -> Self {
        self.absolute = yes;
        self
    }
    /// Its node tells no spaces at all.
    pub fn untold(mut self) -> Self {
        self.untold = true;
        self
    }
    /// One more preset with this token, at 200°, 0°, 1×.
    pub fn preset(mut self, token: &str) -> Self {
        self.presets.push(token.into());
        self
    }
    /// What GetStreamUri says.
    pub fn stream(mut self, url: &str) -> Self {
        self.stream = Some(url.into());
        self
    }
    /// HTTP status of faults. Default: 400.
    pub fn fault_status(mut self, status: u16) -> Self {
        self.fault_status = status;
        self
    }
    /// The codes of the fault that a login is refused with. Default: Sender, NotAuthorized.
    pub fn denies(mut self, codes: &'static [&'static str]) -> Self {
        self.denial = codes;
        self
    }
    pub fn model(mut self, model: &str) -> Self {
        self.model = model.into();
        self
    }

    /// Starts it. Panics if the address is taken.
    pub fn start(self) -> Onvif {
        Onvif::assemble(self)
    }
}

/// A saved position.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    pub token: String,
    /// Optional.
    pub name: Option<String>,
    pub at: Position,
}

/// What a camera remembers, beside its position.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub presets: Vec<Preset>,
    pub home: Position,
    /// The tour that runs.
    pub tour: Option<String>,
    pub focus: f64,
}

/// What the camera and its server share.
pub struct State {
    pub(super) set: Builder,
    pub(super) motion: Arc<Mutex<Motion>>,
    pub(super) memory: Mutex<Memory>,
    pub(super) digest: Digest,
    /// Nonces of tokens that came: each is good once.
    pub(super) tokens: Mutex<HashSet<String>>,
    /// Wrong tokens.
    pub(super) refused: Mutex<u32>,
}

impl State {
    /// The camera's clock.
    pub(super) fn now(&self) -> SystemTime {
        let skew = Duration::from_secs(self.set.clock.unsigned_abs());
        if self.set.clock < 0 { SystemTime::now() - skew } else { SystemTime::now() + skew }
    }
}

/// A running camera; ends when dropped.
pub struct Onvif {
    state: Arc<State>,
    server: Server,
}

impl Onvif {
    /// With the defaults of [`Builder`].
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    fn assemble(set: Builder) -> Self {
        let preset =
            |token: &str, name: Option<&str>, at| Preset { token: token.into(), name: name.map(String::from), at };
        let mut memory = Memory {
            presets: vec![
                preset("P001", Some("Gate"), Position::new(135.0, 15.0, 4.0)),
                preset("P002", Some("Yard"), Position::new(270.0, -5.0, 1.0)),
                // Names may repeat, and be missing.
                preset("P003", Some("Yard"), Position::new(300.0, 0.0, 2.0)),
                preset("4", None, Position::new(10.0, 0.0, 1.0)),
            ],
            home: Position::new(10.0, 5.0, 1.0),
            ..Memory::default()
        };
        memory.presets.extend(set.presets.iter().map(|token| preset(token, None, Position::new(200.0, 0.0, 1.0))));
        let options = set.http.clone();
        let state = Arc::new(State {
            motion: Arc::new(Mutex::new(Motion::new(set.limits, Instant::now()))),
            memory: Mutex::new(memory),
            digest: Digest::new(Policy::new(&set.account.0, &set.account.1)),
            tokens: Mutex::default(),
            refused: Mutex::new(0),
            set,
        });
        let server = Server::start(options, Arc::new(Calls(state.clone())));
        Self { state, server }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// `http://127.0.0.1:PORT/onvif/device_service`.
    pub fn device_service(&self) -> String {
        self.url() + "/onvif/device_service"
    }

    /// [`Onvif::url`] with user and password, percent-encoded.
    pub fn url_with_credentials(&self) -> String {
        let (user, password) = &self.state.set.account;
        self.url_with(user, password)
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

    /// Tokens and digests that were wrong.
    pub fn refused(&self) -> u32 {
        *self.state.refused.lock().unwrap() + self.state.digest.wrong()
    }

    /// From now on it is another one.
    pub fn change_password(&self, password: &str) {
        self.state.digest.change_password(password);
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

    /// Presets and home.
    pub fn memory(&self) -> Memory {
        self.state.memory.lock().unwrap().clone()
    }

    /// What the picture is drawn from.
    pub fn scene(&self) -> Arc<Mutex<Motion>> {
        self.state.motion.clone()
    }

    /// The requests for this operation that were let in.
    pub fn orders(&self, action: &str) -> Vec<Request> {
        let mut requests = self.server.requests();
        requests.retain(|r| r.action == action && r.login == Login::Granted);
        requests
    }

    /// Answers WS-Discovery on a UDP port of loopback.
    pub fn discoverable(&self) -> Discoverable {
        let host = self.state.set.nat.clone().unwrap_or_else(|| self.server.address().to_string());
        let service = format!("{}://{host}/onvif/device_service", self.url().split(':').next().unwrap_or("http"));
        Discoverable::start(&service, &self.state.set.model)
    }
}
