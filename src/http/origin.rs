//! Whether a request that changes something comes from a page of our own, or from no
//! page at all. Pure.
//!
//! A browser says which site made a request: in `Sec-Fetch-Site` (W3C Fetch Metadata; only
//! to https and this machine) or in `Origin` (RFC 6454). Other clients send neither.

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use url::Url;

use crate::error::{Error, Kind, Result};

/// Refuses what a page of another site asks for.
pub fn check(headers: &HeaderMap) -> Result<()> {
    if ours(headers) {
        return Ok(());
    }
    let text = "another site's page made this request: what changes something is taken only from camgate's own pages \
                and from programs";
    Err(Error::new(Kind::Forbidden, text))
}

fn ours(headers: &HeaderMap) -> bool {
    // Present and unreadable is not absent.
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match text("sec-fetch-site") {
        // The person typed it.
        Some("same-origin" | "none") => true,
        Some(_) => false,
        None => match (text(ORIGIN.as_str()), text(HOST.as_str())) {
            (None, _) => true,
            (Some(origin), Some(host)) => names(origin, host),
            (Some(_), None) => false,
        },
    }
}

/// Whether `origin` names the host and port that `host` does. `null`, and what is no
/// URL, names nobody.
fn names(origin: &str, host: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    if !matches!(origin.scheme(), "http" | "https") {
        return false;
    }
    // The same scheme, for the same port where none is written: a proxy that ends TLS
    // hands `Host` on as it was.
    let Ok(host) = Url::parse(&format!("{}://{host}", origin.scheme())) else { return false };
    (origin.host(), origin.port_or_known_default()) == (host.host(), host.port_or_known_default())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn asked(list: &[(&str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        check(&map).is_ok()
    }

    #[test]
    fn programs_and_our_own_pages_pass() {
        assert!(asked(&[]));
        assert!(asked(&[("host", "cams:8889")]));
        for (origin, host) in [
            ("http://cams:8889", "cams:8889"),
            ("http://CAMS:8889", "cams:8889"),
            ("http://cams", "cams"),
            ("http://cams", "cams:80"),
            ("https://cams", "cams:443"),
            ("https://cams", "cams"),
            ("http://[::1]:8889", "[::1]:8889"),
        ] {
            assert!(asked(&[("origin", origin), ("host", host)]), "{origin} {host}");
        }
        for site in ["same-origin", "none"] {
            assert!(asked(&[("sec-fetch-site", site), ("origin", "https://cams"), ("host", "inner:8889")]));
        }
    }

    #[test]
    fn pages_of_other_sites_do_not() {
        for (origin, host) in [
            ("http://evil.example", "cams:8889"),
            ("http://cams:8890", "cams:8889"),
            ("http://cams.evil.example:8889", "cams:8889"),
            ("https://cams", "cams:80"),
            ("null", "cams"),
            ("", "cams"),
            ("file://", "cams"),
            ("http://cams", ""),
        ] {
            assert!(!asked(&[("origin", origin), ("host", host)]), "{origin} {host}");
        }
        assert!(!asked(&[("origin", "http://cams")]), "no Host");
        for site in ["cross-site", "same-site", "", "what"] {
            assert!(!asked(&[("sec-fetch-site", site), ("origin", "http://cams"), ("host", "cams")]), "{site}");
        }
    }
}
