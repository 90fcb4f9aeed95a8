//! Cross-origin rules of the WHEP routes and snapshots: `webrtcAllowOrigins`.
//!
//! Never with cookies: `Access-Control-Allow-Credentials` is not sent, so what a
//! page of another site can do here is what it could do with a client of its own.

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderValue, VARY,
};

/// What a page of another origin may read of an answer.
const EXPOSE: &str = "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After, Age";
/// The methods that the WHEP routes know.
const METHODS: &str = "OPTIONS, GET, HEAD, POST, PATCH, DELETE";
/// What a page of another origin may send.
const HEADERS: &str = "Authorization, Content-Type, If-Match, If-None-Match, ETag";

/// Adds the cross-origin headers to an answer, an error included.
pub fn apply(answer: &mut HeaderMap, origin: Option<&HeaderValue>, allowed: &[String], preflight: bool) {
    let any = allowed.iter().any(|o| o.trim() == "*");
    if !any {
        // The answer depends on who asks, also when the asker is refused.
        answer.append(VARY, HeaderValue::from_static("Origin"));
    }
    let value = match origin {
        _ if any => HeaderValue::from_static("*"),
        Some(origin) => match origin.to_str() {
            Ok(text) if allowed.iter().any(|pattern| matches(pattern, text)) => origin.clone(),
            _ => return,
        },
        None => return,
    };
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSE));
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
    if preflight {
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    }
}

/// Whether an origin matches an entry of the list. As in MediaMTX, `*` stands
/// for any part of host or port, `*.` at the host's start for any subdomain and
/// for none, and a default port may be written or not.
fn matches(pattern: &str, origin: &str) -> bool {
    let (pattern, origin) = (normal(pattern), normal(origin));
    if glob(pattern.as_bytes(), origin.as_bytes()) {
        return true;
    }
    match pattern.split_once("://*.") {
        Some((scheme, rest)) => glob(format!("{scheme}://{rest}").as_bytes(), origin.as_bytes()),
        None => false,
    }
}

/// Lower case, without a slash at the end and without a default port.
fn normal(origin: &str) -> String {
    let text = origin.trim().trim_end_matches('/').to_ascii_lowercase();
    for (scheme, port) in [("http://", ":80"), ("https://", ":443")] {
        if text.starts_with(scheme)
            && let Some(bare) = text.strip_suffix(port)
        {
            return bare.to_string();
        }
    }
    text
}

/// `*` stands for any number of characters but `:` and `/`, so that it cannot
/// leave the host or the port that it was written in. Linear but for
/// backtracking to the last star.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if pattern.get(p) == text.get(t) {
            p += 1;
            t += 1;
        } else if let Some((after, from)) = star
            && !matches!(text[from], b':' | b'/')
        {
            star = Some((after, from + 1));
            p = after;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_and_patterns() {
        for (pattern, origin, want) in [
            ("https://a.example", "https://a.example", true),
            ("https://A.example/", "https://a.example", true),
            ("https://a.example:443", "https://a.example", true),
            ("http://a.example", "http://a.example:80", true),
            ("http://a.example", "https://a.example", false),
            ("http://a.example", "http://a.example:8080", false),
            ("https://*.example", "https://b.example", true),
            ("https://*.example", "https://c.b.example", true),
            ("https://*.b.example", "https://b.example", true),
            ("https://*.example", "https://example.evil", false),
            ("https://*.b.example", "https://evilb.example", false),
            ("https://*.example", "https://evil:1.example", false),
            ("http://localhost:*", "http://localhost:3000", true),
            ("http://localhost:*", "http://localhost.evil:3000", false),
            ("https://a*.example", "https://ab.example", true),
            ("https://*", "https://x.example", true),
            ("https://a.example", "null", false),
            ("", "https://a.example", false),
        ] {
            assert_eq!(matches(pattern, origin), want, "{pattern} {origin}");
        }
    }

    fn applied(origin: Option<&str>, allowed: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        let allowed: Vec<String> = allowed.iter().map(|s| s.to_string()).collect();
        let origin = origin.map(|o| HeaderValue::from_str(o).unwrap());
        apply(&mut map, origin.as_ref(), &allowed, true);
        map
    }

    #[test]
    fn row20_a_star_is_a_star_and_others_are_echoed() {
        let map = applied(Some("https://a.example"), &["*"]);
        assert_eq!(map.get(ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(), "*");
        assert!(!map.contains_key(VARY));
        let map = applied(Some("https://a.example"), &["https://*.example"]);
        assert_eq!(map.get(ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(), "https://a.example");
        assert_eq!(map.get(VARY).unwrap(), "Origin");
        for map in [applied(Some("https://b"), &["https://a"]), applied(None, &["https://a"])] {
            assert!(!map.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
            assert_eq!(map.get(VARY).unwrap(), "Origin");
        }
        for map in [applied(Some("https://a.example"), &["*"]), applied(None, &["*"])] {
            assert!(!map.contains_key("access-control-allow-credentials"));
        }
    }
}
