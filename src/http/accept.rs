//! What a client wants to read: media types and encodings (RFC 9110 §12.5), and
//! entity tags (§13.1). Pure.

use actix_web::http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, IF_NONE_MATCH};

/// HTML or JSON, for the routes that have both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `application/json` is named, and not after HTML.
    Json,
    /// `text/html` is named: a browser.
    Html,
    /// Neither is named. Pages come as HTML, errors as JSON.
    Whatever,
}

/// Reads `Accept`.
pub fn wanted(headers: &HeaderMap) -> Wanted {
    let list = weighted(headers, ACCEPT);
    // Position breaks ties between equal weights, as curl users expect.
    let find = |names: &[&str]| {
        list.iter()
            .enumerate()
            .filter(|(_, (name, q))| names.contains(&name.as_str()) && *q > 0.0)
            .map(|(i, (_, q))| (*q, -(i as i64)))
            .max_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
    };
    match (find(&["application/json"]), find(&["text/html", "application/xhtml+xml"])) {
        (Some(json), Some(html)) if json < html => Wanted::Html,
        (Some(_), _) => Wanted::Json,
        (None, Some(_)) => Wanted::Html,
        (None, None) => Wanted::Whatever,
    }
}

/// Whether gzip may be sent.
pub fn gzip(headers: &HeaderMap) -> bool {
    let list = weighted(headers, ACCEPT_ENCODING);
    let weight = |name: &str| list.iter().find(|(n, _)| n == name).map(|(_, q)| *q);
    weight("gzip").or(weight("*")).is_some_and(|q| q > 0.0)
}

/// Whether the client already has what `etag` (with quotes) names.
pub fn has(headers: &HeaderMap, etag: &str) -> bool {
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_string();
    headers
        .get_all(IF_NONE_MATCH)
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|tag| tag.trim() == "*" || weak(tag) == etag)
}

/// The tags of a precondition, without quotes and joined by commas; `*` as it
/// is. `ETag` as a request header is what @eyevinn/whip-web-client sends in place
/// of `If-Match`. A weak tag keeps its `W/`: it never matches (RFC 9110 §13.1.1).
pub fn if_match(headers: &HeaderMap) -> Option<String> {
    let read = |name: &str| {
        let tags: Vec<&str> = headers
            .get_all(name)
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .map(str::trim)
            // Not after the quotes are off: an empty tag is a tag, and matches none.
            .filter(|tag| !tag.is_empty())
            .map(|tag| tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(tag))
            .collect();
        (!tags.is_empty()).then(|| tags.join(","))
    };
    read("if-match").or_else(|| read("etag"))
}

/// The media type of a `Content-Type`, in lower case, without parameters.
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("content-type")?.to_str().ok()?;
    Some(value.split(';').next()?.trim().to_ascii_lowercase())
}

/// A comma-separated list with weights.
fn weighted(headers: &HeaderMap, name: HeaderName) -> Vec<(String, f32)> {
    headers
        .get_all(name)
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().filter(|n| !n.is_empty())?.to_ascii_lowercase();
            let q = parts
                .find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")))
                .map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
            Some((name, q))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        map
    }

    #[test]
    fn html_or_json() {
        for (value, want) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Wanted::Html),
            ("application/json", Wanted::Json),
            ("Application/JSON", Wanted::Json),
            ("application/json, text/plain, */*", Wanted::Json),
            ("application/json;q=0.5, text/html", Wanted::Html),
            ("text/html;q=0.5, application/json", Wanted::Json),
            ("text/html, application/json", Wanted::Html),
            ("application/json, text/html", Wanted::Json),
            ("application/json;q=0", Wanted::Whatever),
            ("*/*", Wanted::Whatever),
            ("", Wanted::Whatever),
        ] {
            assert_eq!(wanted(&with("accept", value)), want, "{value}");
        }
        assert_eq!(wanted(&HeaderMap::new()), Wanted::Whatever);
    }

    #[test]
    fn encodings() {
        for (value, want) in [
            ("gzip, deflate, br", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("br", false),
            ("identity", false),
        ] {
            assert_eq!(gzip(&with("accept-encoding", value)), want, "{value}");
        }
        assert!(!gzip(&HeaderMap::new()));
    }

    #[test]
    fn entity_tags() {
        for (value, want) in
            [(r#""a""#, true), (r#"W/"a""#, true), (r#""b", "a""#, true), ("*", true), (r#""b""#, false), ("a", false)]
        {
            assert_eq!(has(&with("if-none-match", value), r#""a""#), want, "{value}");
        }
    }

    #[test]
    fn row23_preconditions() {
        let read = |name, value| if_match(&with(name, value));
        assert_eq!(read("if-match", r#""a-1""#).as_deref(), Some("a-1"));
        assert_eq!(read("if-match", r#""a", "b""#).as_deref(), Some("a,b"));
        assert_eq!(read("if-match", "*").as_deref(), Some("*"));
        assert_eq!(read("if-match", "a").as_deref(), Some("a"));
        assert_eq!(read("if-match", r#"W/"a""#).as_deref(), Some(r#"W/"a""#));
        assert_eq!(read("etag", r#""a""#).as_deref(), Some("a"));
        assert_eq!(read("if-match", ""), None);
        assert_eq!(if_match(&HeaderMap::new()), None);
        let mut both = with("etag", r#""x""#);
        both.insert(HeaderName::from_static("if-match"), HeaderValue::from_static(r#""y""#));
        assert_eq!(if_match(&both).as_deref(), Some("y"));
    }

    #[test]
    fn media_types() {
        let read = |value| media_type(&with("content-type", value));
        assert_eq!(read("Application/SDP; charset=utf-8").as_deref(), Some("application/sdp"));
        assert_eq!(read("application/sdp").as_deref(), Some("application/sdp"));
        assert_eq!(media_type(&HeaderMap::new()), None);
    }
}
