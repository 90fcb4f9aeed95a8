//! `ptz`: how a path's camera is steered. All but the driver follows from the path's
//! `source` where it is an RTSP camera.

use std::fmt;
use std::time::Duration;

use super::groups::{Part, expand, parts};
use super::problem::shown;
use super::schema::{Cx, Field, FromNode, Mapping, mapping, readable, words};
use super::source::{RtspUrl, Source, decode, is_host, split_host};
use super::yaml::Node;
use crate::redact::Secret;

/// The longest that a camera may move without being told again.
pub const LONGEST_MOVE: Duration = Duration::from_secs(60);
/// The shortest; below that the stop overtakes the move.
pub const SHORTEST_MOVE: Duration = Duration::from_millis(50);

words! {
    /// Which language a camera is steered in.
    pub enum PtzDriver {
        /// It is not steered.
        None = "none",
        /// Hikvision's ISAPI.
        Hikvision = "hikvision",
        /// ONVIF.
        Onvif = "onvif",
        /// Whichever of them it speaks.
        Auto = "auto",
    }
}

mapping! {
    /// How a path's camera is steered.
    pub struct Ptz {
        /// The language.
        "driver" => driver: PtzDriver = PtzDriver::None;
        /// Where, where it is not the host of the source.
        "url" => url: Option<HttpUrl> = None;
        /// The user's name; empty: that of the URL, or of the source.
        "username" => username: String = String::new(), plain;
        /// The password; empty: that of the URL, or of the source.
        "password" => password: Secret = Secret::default(), plain_secret;
        /// The video input, from 1; 0: the one that the source names, or 1. Hikvision.
        "channel" => channel: usize = 0;
        /// The media profile; empty: the first with PTZ. ONVIF.
        "profile" => profile: String = String::new(), plain;
        /// Whether right and left change places.
        "invertPan" => invert_pan: bool = false;
        /// Whether up and down change places.
        "invertTilt" => invert_tilt: bool = false;
        /// Whether only the position's tilt counts downwards, as some Hikvision models do
        /// while their moves do not.
        "invertElevation" => invert_elevation: bool = false;
        /// How long the camera moves after a command unless it is renewed.
        "moveTimeout" => move_timeout: Duration = Duration::from_secs(2), move_timeout;
        /// Whether presets may be called that stand for functions (Hikvision: 33 to 105,
        /// among which 94 restarts the camera).
        "allowSpecialPresets" => allow_special_presets: bool = false;
        /// SHA-256 of the only certificate that is accepted over https (64 hexadecimal digits,
        /// lower case).
        "fingerprint" => fingerprint: Option<String> = None;
    }
}

readable!(Ptz);

impl Mapping for Ptz {
    const FIELDS: &'static [Field] = Ptz::KEYS;

    fn set(&mut self, key: &str, node: &Node, cx: &mut Cx) -> bool {
        self.set_key(key, node, cx)
    }
}

/// The address of a camera's HTTP service, taken apart so that its credentials never
/// travel in a string. In a `~regex` path its parts may hold `$G1`….
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// `https`.
    pub tls: bool,
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// The port, if it is given.
    pub port: Option<u16>,
    /// The path, as written: empty, or beginning with `/`.
    pub path: String,
    /// The user name, decoded.
    pub user: Option<String>,
    /// The password, decoded.
    pub password: Option<Secret>,
}

impl HttpUrl {
    /// Takes a URL apart by the rules of [`RtspUrl::parse`]. The error holds nothing of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, behind) = text.trim().split_once("://").ok_or("is no URL; write http://HOST or https://HOST")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("must begin with http:// or https://".into()),
        };
        if behind.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("contains a space or control character".into());
        }
        let (authority, path) = behind.split_at(behind.find(['/', '?']).unwrap_or(behind.len()));
        if path.contains(['?', '#']) {
            return Err("must not have a query; the driver writes its own".into());
        }
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, authority),
        };
        let (host, port) = split_host(place)?;
        let (user, password) = match credentials.map(|c| c.split_once(':').map_or((c, None), |(u, p)| (u, Some(p)))) {
            Some((user, password)) => (Some(decode(user)?), password.map(decode).transpose()?.map(Secret::new)),
            None => (None, None),
        };
        Ok(HttpUrl { tls, host, port, path: path.to_owned(), user, password })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mask = if self.user.is_some() { "***@" } else { "" };
        let host = bracketed(&self.host);
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{mask}{host}")?;
        match self.port {
            Some(port) => write!(f, ":{port}{}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Empty unsets it.
impl FromNode for Option<HttpUrl> {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        // Not `parsed`: a broken URL is not repeated, it may hold a password.
        let text = cx.text(node, "a URL such as http://…")?;
        if text.is_empty() {
            return Some(None);
        }
        match HttpUrl::parse(text) {
            Ok(url) => Some(Some(url)),
            Err(message) => {
                let what = if text.contains(['@', ':']) { "this".to_owned() } else { shown(text) };
                cx.problem(&node.at, format!("{what} {message}"));
                None
            }
        }
    }
}

/// Where and how a camera is steered, all defaults filled in. Equal targets need no new
/// steerer.
#[derive(Debug, Clone, PartialEq)]
pub struct PtzTarget {
    /// Never [`PtzDriver::None`].
    pub driver: PtzDriver,
    /// https.
    pub tls: bool,
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// A path before the driver's own; mostly empty, otherwise it begins with `/`.
    pub path: String,
    /// The user's name; empty without one.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// The video input, from 1.
    pub channel: usize,
    /// The media profile; empty: the first that fits.
    pub profile: String,
    /// Right and left change places.
    pub invert_pan: bool,
    /// Up and down change places.
    pub invert_tilt: bool,
    /// The camera's positions count tilt downwards.
    pub invert_elevation: bool,
    /// How long a move lasts unless it is renewed.
    pub move_timeout: Duration,
    /// Presets with functions may be called.
    pub allow_special_presets: bool,
    /// The only certificate that is accepted.
    pub fingerprint: Option<String>,
}

impl PtzTarget {
    /// `http://host:port`, without credentials.
    pub fn origin(&self) -> String {
        format!("{}://{}:{}", if self.tls { "https" } else { "http" }, bracketed(&self.host), self.port)
    }
}

impl Ptz {
    /// What this says of a path with `source`. The error is why the path cannot be
    /// steered, a half-sentence.
    pub fn target(&self, source: &Source) -> Result<PtzTarget, String> {
        if self.driver == PtzDriver::None {
            return Err("its ptz.driver is none; set it to hikvision, onvif or auto".into());
        }
        let rtsp = match source {
            Source::Rtsp(url) => Some(url),
            _ => None,
        };
        let (tls, host, port, path) = match (&self.url, rtsp) {
            (Some(url), _) => (url.tls, &url.host, url.port, url.path.as_str()),
            (None, Some(url)) => (false, &url.host, None, ""),
            (None, None) => return Err("its source has no host; set ptz.url".into()),
        };
        let url = self.url.as_ref();
        let user = Some(&self.username)
            .filter(|name| !name.is_empty())
            .or(url.and_then(|u| u.user.as_ref()))
            .or(rtsp.and_then(|u| u.user.as_ref()));
        let password = Some(&self.password)
            .filter(|password| !password.is_empty())
            .or(url.and_then(|u| u.password.as_ref()))
            .or(rtsp.and_then(|u| u.password.as_ref()));
        Ok(PtzTarget {
            driver: self.driver,
            tls,
            host: host.clone(),
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            path: path.trim_end_matches('/').to_owned(),
            user: user.cloned().unwrap_or_default(),
            password: password.cloned().unwrap_or_default(),
            channel: match self.channel {
                0 => rtsp.and_then(channel_of).unwrap_or(1),
                channel => channel,
            },
            profile: self.profile.clone(),
            invert_pan: self.invert_pan,
            invert_tilt: self.invert_tilt,
            invert_elevation: self.invert_elevation,
            move_timeout: self.move_timeout,
            allow_special_presets: self.allow_special_presets,
            fingerprint: self.fingerprint.clone(),
        })
    }

    /// The texts that may name groups (`$G1`…).
    fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.username.as_str(), self.password.expose(), &self.profile];
        if let Some(url) = &self.url {
            texts.extend([url.host.as_str(), &url.path]);
            texts.extend(url.user.as_deref());
            texts.extend(url.password.as_ref().map(Secret::expose));
        }
        texts
    }

    /// Whether any of `groups` groups is named.
    pub(crate) fn names_group(&self, groups: usize) -> bool {
        self.texts().iter().flat_map(|text| parts(text, groups)).any(|part| matches!(part, Part::Group(_)))
    }

    /// A group that is named and is not among `groups`. Passwords apart: there `$G9`
    /// may be meant.
    pub(crate) fn unknown_group(&self, groups: usize) -> Option<String> {
        let url = self.url.iter().flat_map(|url| [url.host.as_str(), &url.path]);
        url.flat_map(|text| parts(text, groups)).find_map(|part| match part {
            Part::Unknown(name) => Some(name.to_owned()),
            _ => None,
        })
    }

    /// The same with `$G1`… replaced, part by part. One whose URL would not be one any
    /// more is not steered.
    pub(crate) fn expand(&self, groups: &[&str]) -> Self {
        let secret = |s: &Secret| Secret::new(expand(s.expose(), groups));
        let url = self.url.as_ref().map(|url| HttpUrl {
            host: expand(&url.host, groups),
            path: expand(&url.path, groups),
            user: url.user.as_deref().map(|user| expand(user, groups)),
            password: url.password.as_ref().map(secret),
            ..url.clone()
        });
        let climbs = groups.iter().any(|g| g.split('/').any(|segment| segment == ".."));
        let fits = url.as_ref().is_none_or(|url| is_host(&url.host) && !url.host.contains('$')) && !climbs;
        Ptz {
            driver: if fits { self.driver } else { PtzDriver::None },
            url,
            username: expand(&self.username, groups),
            password: secret(&self.password),
            profile: expand(&self.profile, groups),
            ..self.clone()
        }
    }
}

/// The video input that a Hikvision stream's URL names: 2 for `/Streaming/Channels/201`.
fn channel_of(url: &RtspUrl) -> Option<usize> {
    let path = url.rest.split('?').next()?.to_ascii_lowercase();
    let stream: usize = path.strip_prefix("/streaming/channels/")?.trim_end_matches('/').parse().ok()?;
    Some(stream / 100).filter(|channel| *channel > 0)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn move_timeout(value: &Duration) -> Result<(), String> {
    if (SHORTEST_MOVE..=LONGEST_MOVE).contains(value) { Ok(()) } else { Err("must be from 50ms to 60s".into()) }
}

/// They end up in headers and XML.
fn plain(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) { Err("must not have control characters".into()) } else { Ok(()) }
}

fn plain_secret(secret: &Secret) -> Result<(), String> {
    plain(secret.expose())
}

#[cfg(test)]
#[path = "ptz_tests.rs"]
mod tests;
