//! What feeds a path: the value of `source`.

use std::fmt;
use std::net::Ipv6Addr;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::groups::{Part, expand, parts};
use super::problem::shown;
use super::schema::{Cx, FromNode};
use super::yaml::Node;
use crate::redact::{self, Secret};

/// What feeds a path. Debug and Display show no credentials.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// Clients push into it.
    Publisher,
    /// The built-in test picture and tone.
    Test,
    /// A launch line of the operator's (`gst: …`), without the prefix.
    Launch(String),
    /// A camera.
    Rtsp(RtspUrl),
}

/// The URL of an RTSP camera, taken apart so that its credentials never travel in a
/// string. In a `~regex` path host, rest and credentials may hold `$G1`….
#[derive(Clone, PartialEq, Eq)]
pub struct RtspUrl {
    /// `rtsps`: RTSP over TLS.
    pub tls: bool,
    /// Name or address; IPv6 without brackets, perhaps with a zone (`fe80::1%eth0`).
    pub host: String,
    /// The port, if it is given; otherwise 554, or 322 with TLS.
    pub port: Option<u16>,
    /// Path and query, as written: empty, or beginning with `/` or `?`.
    pub rest: String,
    /// The user name, decoded.
    pub user: Option<String>,
    /// The password, decoded.
    pub password: Option<Secret>,
}

/// Sources that MediaMTX has and camgate does not yet, by what they begin with.
const NOT_YET: &[&str] = &[
    "rtmp://",
    "rtmps://",
    "srt://",
    "http://",
    "https://",
    "whep://",
    "wheps://",
    "udp://",
    "udp+mpegts://",
    "unix+mpegts://",
    "udp+rtp://",
    "unix+rtp://",
    "rtp://",
    "moq://",
    "moqs://",
    "rtsp+http://",
    "rtsps+http://",
    "rtsp+ws://",
    "rtsps+ws://",
    "rpiCamera",
    "redirect",
];

impl Source {
    /// Reads the value of `source`. The error continues "VALUE …" and holds no credentials.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "publisher" {
            return Ok(Source::Publisher);
        }
        if text == "test" {
            return Ok(Source::Test);
        }
        if let Some(line) = text.strip_prefix("gst:") {
            let line = line.trim();
            if line.is_empty() || line.contains('\0') {
                return Err("needs a launch line behind \"gst:\"".into());
            }
            return Ok(Source::Launch(line.to_owned()));
        }
        if let Some(name) = ["$MTX_QUERY", "$MTX_PATH"].iter().find(|name| text.contains(**name)) {
            return Err(format!("contains {name}, which camgate does not have yet"));
        }
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("rtsp://") || lower.starts_with("rtsps://") {
            return RtspUrl::parse(text).map(Source::Rtsp);
        }
        if let Some(name) = NOT_YET.iter().find(|name| lower.starts_with(&name.to_ascii_lowercase())) {
            let name = name.trim_end_matches("://");
            return Err(format!(
                "is a source of MediaMTX's ({name}) that camgate does not have yet; what there is: rtsp://, rtsps://, test, gst:, publisher"
            ));
        }
        if lower.starts_with("rtspt://") || lower.starts_with("rtspu://") {
            return Err("must begin with rtsp://; set rtspTransport to tcp or udp instead".into());
        }
        Err("is no source; write rtsp://…, rtsps://…, test, gst: and a launch line, or publisher".into())
    }

    /// Whether the source runs by itself, without a publisher.
    pub fn is_static(&self) -> bool {
        !matches!(self, Source::Publisher)
    }

    /// The texts that may name groups (`$G1`…).
    fn texts(&self) -> Vec<&str> {
        match self {
            Source::Publisher | Source::Test => Vec::new(),
            Source::Launch(line) => vec![line],
            Source::Rtsp(url) => {
                let mut texts = vec![url.host.as_str(), &url.rest];
                texts.extend(url.user.as_deref());
                texts.extend(url.password.as_ref().map(Secret::expose));
                texts
            }
        }
    }

    /// Whether any of `groups` groups is named.
    pub(crate) fn names_group(&self, groups: usize) -> bool {
        self.texts().iter().flat_map(|text| parts(text, groups)).any(|part| matches!(part, Part::Group(_)))
    }

    /// A group that is named and is not among `groups`.
    pub(crate) fn unknown_group(&self, groups: usize) -> Option<String> {
        self.texts().iter().flat_map(|text| parts(text, groups)).find_map(|part| match part {
            Part::Unknown(name) => Some(name.to_owned()),
            _ => None,
        })
    }

    /// The same source with `$G1`… replaced by what they stand for. Part by part,
    /// so that a path's name cannot move the host. None if a group does not fit
    /// where it is used.
    pub(crate) fn expand(&self, groups: &[&str]) -> Option<Self> {
        // A name such as `x../../y` has no `..` segment, and a group of it may.
        let climbs = |g: &&str| g.split('/').any(|segment| segment == "..");
        if groups.iter().any(climbs) {
            return None;
        }
        Some(match self {
            Source::Publisher | Source::Test => self.clone(),
            Source::Launch(line) => Source::Launch(expand(line, groups)),
            Source::Rtsp(url) => {
                let host = expand(&url.host, groups);
                if !is_host(&host) || host.contains('$') {
                    return None;
                }
                Source::Rtsp(RtspUrl {
                    tls: url.tls,
                    host,
                    port: url.port,
                    rest: expand(&url.rest, groups),
                    user: url.user.as_deref().map(|user| expand(user, groups)),
                    password: url.password.as_ref().map(|p| Secret::new(expand(p.expose(), groups))),
                })
            }
        })
    }
}

impl FromNode for Source {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        // Not `parsed`: a URL that cannot be taken apart may hide its password from
        // the redactor, too, so it is not repeated.
        let text = cx.text(node, "a source such as rtsp://…")?;
        match Source::parse(text) {
            Ok(source) => Some(source),
            Err(message) => {
                let what = if text.contains(['@', ':']) { "this".to_owned() } else { shown(text) };
                cx.problem(&node.at, format!("{what} {message}"));
                None
            }
        }
    }
}

impl RtspUrl {
    /// Takes a URL apart. The user part reaches to the last `@` before the first `/`
    /// or `?`, so that a password may hold `@`, `:` and `#` as they are; `%` counts as
    /// an escape only before two hexadecimal digits. The error holds nothing of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, behind) = text.split_once("://").ok_or("is no URL")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "rtsp" => false,
            "rtsps" => true,
            _ => return Err("must begin with rtsp:// or rtsps://".into()),
        };
        if behind.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("contains a space or control character; write %20 for a space".into());
        }
        let (authority, rest) = behind.split_at(behind.find(['/', '?']).unwrap_or(behind.len()));
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, authority),
        };
        let (host, port) = split_host(place).map_err(|message| {
            // The usual reason for a strange host: a password with a raw slash.
            let hint = if credentials.is_none() && rest.contains('@') {
                "; in a password write / as %2F and ? as %3F"
            } else {
                ""
            };
            format!("{message}{hint}")
        })?;
        let (user, password) = match credentials.map(|c| c.split_once(':').map_or((c, None), |(u, p)| (u, Some(p)))) {
            Some((user, password)) => (Some(decode(user)?), password.map(decode).transpose()?.map(Secret::new)),
            None => (None, None),
        };
        Ok(RtspUrl { tls, host, port, rest: rest.to_owned(), user, password })
    }

    /// The URL without credentials, for GStreamer's `location`.
    pub fn location(&self) -> String {
        let scheme = if self.tls { "rtsps" } else { "rtsp" };
        // A zone stays as it is: GLib takes `[fe80::1%eth0]` and no escape in it.
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            Some(port) => format!("{scheme}://{host}:{port}{}", self.rest),
            None => format!("{scheme}://{host}{}", self.rest),
        }
    }

    /// The URL with its credentials, every unusual character of them escaped.
    pub fn location_with_credentials(&self) -> Secret {
        let bare = self.location();
        let (Some(user), Some((scheme, behind))) = (&self.user, bare.split_once("://")) else {
            return Secret::new(bare);
        };
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let password = self.password.as_ref().map(|p| encode(p.expose())).unwrap_or_default();
        Secret::new(format!("{scheme}://{}:{password}@{behind}", encode(user)))
    }
}

/// Host (without brackets) and port.
pub(super) fn split_host(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(behind) = place.strip_prefix('[') {
        let (host, behind) = behind.split_once(']').ok_or("has a \"[\" without \"]\"")?;
        // RFC 6874 escapes the zone's percent sign; people do not.
        let (address, zone) = match host.split_once('%') {
            Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
            None => (host, None),
        };
        let zone_fits =
            zone.is_none_or(|z| !z.is_empty() && z.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)));
        if address.parse::<Ipv6Addr>().is_err() || !zone_fits {
            return Err("has no IPv6 address between its brackets".into());
        }
        let host = zone.map_or_else(|| address.to_owned(), |zone| format!("{address}%{zone}"));
        match behind {
            "" => (host, None),
            _ => (host, Some(behind.strip_prefix(':').ok_or("has something between \"]\" and its path")?)),
        }
    } else {
        match place.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("has more than one \":\" in its host; write an IPv6 address in brackets".into());
            }
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (place.to_owned(), None),
        }
    };
    if host.is_empty() {
        return Err("has no host".into());
    }
    if !host.contains(':') && !is_host(&host) {
        return Err("has characters in its host that no host has".into());
    }
    let port = match port {
        // `rtsp://host:/path` occurs in cameras' manuals.
        None | Some("") => None,
        Some(port) => Some(port.parse::<u16>().ok().filter(|p| *p > 0).ok_or("has no valid port (1 to 65535)")?),
    };
    Ok((host, port))
}

/// Whether it can be a host: letters and digits of any language, `-`, `.`, `_`, or
/// an IPv6 address; `$` for groups.
pub(super) fn is_host(host: &str) -> bool {
    if host.contains(':') {
        return host.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-._$".contains(c))
}

pub(super) fn decode(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "has credentials that are not UTF-8")?;
    // They end up in a header of the RTSP request.
    if decoded.chars().any(char::is_control) {
        return Err("has control characters in its credentials".into());
    }
    Ok(decoded.into_owned())
}

impl fmt::Display for RtspUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = redact::url(&self.location());
        match (&self.user, clean.split_once("://")) {
            (Some(_), Some((scheme, behind))) if !behind.starts_with("***@") => {
                write!(f, "{scheme}://***@{behind}")
            }
            _ => f.write_str(&clean),
        }
    }
}

impl fmt::Debug for RtspUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Publisher => f.write_str("publisher"),
            Source::Test => f.write_str("test"),
            Source::Launch(line) => write!(f, "gst:{}", redact::text(line)),
            Source::Rtsp(url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
