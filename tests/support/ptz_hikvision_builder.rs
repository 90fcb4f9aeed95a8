//! What a Hikvision double can be built with.

use super::ptz_hikvision::{Hikvision, PASSWORD, USER};
use super::ptz_http::Options;
use super::ptz_motion::Limits;
use super::ptz_xml::Encoding;
use std::time::Duration;

/// See [`Hikvision::builder`].
#[derive(Clone)]
pub struct Builder {
    pub(super) account: Option<(String, String)>,
    pub(super) http: Options,
    pub(super) limits: Limits,
    pub(super) channels: u32,
    pub(super) namespace: String,
    pub(super) encoding: Encoding,
    pub(super) relative: bool,
    pub(super) absolute: bool,
    pub(super) box_zoom: bool,
    pub(super) ptz: bool,
    pub(super) info: bool,
    pub(super) elevation_down: bool,
    pub(super) model: String,
    pub(super) nonce_life: Duration,
    pub(super) nonce_uses: usize,
    pub(super) lock: Duration,
    pub(super) basic_too: bool,
    pub(super) says_stale: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            account: Some((USER.into(), PASSWORD.into())),
            http: Options::default(),
            limits: Limits::default(),
            channels: 1,
            namespace: "http://www.hikvision.com/ver20/XMLSchema".into(),
            encoding: Encoding::Utf8,
            relative: true,
            absolute: true,
            box_zoom: true,
            ptz: true,
            info: true,
            elevation_down: false,
            model: "DS-2DF8425IX-AELW".into(),
            nonce_life: Duration::from_secs(3600),
            nonce_uses: usize::MAX,
            lock: Duration::from_secs(1800),
            basic_too: false,
            says_stale: true,
        }
    }
}

impl Builder {
    pub fn account(mut self, user: &str, password: &str) -> Self {
        self.account = Some((user.into(), password.into()));
        self
    }
    /// Lets everybody in.
    pub fn open(mut self) -> Self {
        self.account = None;
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
    /// Video inputs, all with the same motors. Default: 1.
    pub fn channels(mut self, n: u32) -> Self {
        self.channels = n;
        self
    }
    /// `http://www.isapi.org/ver20/XMLSchema`, `http://www.std-cgi.org/…`,
    /// `urn:psialliance-org`; empty: none at all.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = namespace.into();
        self
    }
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }
    /// False: `relative` is 404, as on many models.
    pub fn relative(mut self, yes: bool) -> Self {
        self.relative = yes;
        self
    }
    /// False: `absolute` is refused with notSupport, and there is no position.
    pub fn absolute(mut self, yes: bool) -> Self {
        self.absolute = yes;
        self
    }
    /// False: `position3D` is 404.
    pub fn box_zoom(mut self, yes: bool) -> Self {
        self.box_zoom = yes;
        self
    }
    /// False: a fixed camera, all of PTZCtrl is refused with notSupport (403).
    pub fn ptz(mut self, yes: bool) -> Self {
        self.ptz = yes;
        self
    }
    /// False: no `deviceInfo` and no `capabilities` (404).
    pub fn info(mut self, yes: bool) -> Self {
        self.info = yes;
        self
    }
    /// `elevation` counts downwards.
    pub fn elevation_down(mut self) -> Self {
        self.elevation_down = true;
        self
    }
    pub fn model(mut self, model: &str) -> Self {
        self.model = model.into();
        self
    }
    pub fn nonce_life(mut self, life: Duration) -> Self {
        self.nonce_life = life;
        self
    }
    pub fn nonce_uses(mut self, uses: usize) -> Self {
        self.nonce_uses = uses;
        self
    }
    /// How long the account is locked after five wrong passwords.
    pub fn lock(mut self, time: Duration) -> Self {
        self.lock = time;
        self
    }
    /// It does not say that a nonce is stale: a 401 like any other.
    pub fn says_no_stale(mut self) -> Self {
        self.says_stale = false;
        self
    }
    /// A Basic challenge in front of the Digest one.
    pub fn basic_too(mut self) -> Self {
        self.basic_too = true;
        self
    }

    /// Starts it. Panics if the address is taken.
    pub fn start(self) -> Hikvision {
        Hikvision::assemble(self)
    }
}
