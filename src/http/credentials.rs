//! What a request brings to prove who sends it.
//!
//! | spelling | read as |
//! |---|---|
//! | `Authorization: Basic …` (RFC 7617) | user and password |
//! | `Authorization: Bearer a:b` (MediaMTX) | user `a`, password `b` |
//! | `Authorization: Bearer t` (RFC 6750) | a token: the password alone |
//! | `?token=…` or `?jwt=…` | as Bearer |
//! | `?user=…&pass=…` | user and password |
//!
//! A token without a colon is right when it is the password of any user:
//! publishing programs and players have a field for a token, and MediaMTX's
//! internal users cannot be used from there. Header and query may both be there (a browser
//! that remembers a password, on a page opened with `?token=`): each is tried.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::redact::Secret;

/// Clients pad their Basic credentials, or do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One user name and password, as presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name; none for a token.
    pub user: Option<String>,
    /// The password, or the token.
    pub pass: Secret,
}

/// All that a request presents, the header first. At most three.
pub fn from_request(headers: &HeaderMap, query: &str) -> Vec<Credentials> {
    let mut found = Vec::new();
    if let Some(value) = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()) {
        found.extend(from_header(value));
    }
    let (mut token, mut user, mut pass) = (None, None, None);
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match key.as_ref() {
            "token" | "jwt" => token = token.or(Some(value)),
            "user" => user = user.or(Some(value)),
            "pass" => pass = pass.or(Some(value)),
            _ => {}
        }
    }
    if let Some(token) = token {
        found.extend(from_token(&token));
    }
    if let (Some(user), Some(pass)) = (user, pass) {
        found.extend(pair(Some(&user), &pass));
    }
    found.dedup();
    found
}

/// The value of an `Authorization` header.
fn from_header(value: &str) -> Option<Credentials> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        let text = String::from_utf8(BASE64.decode(rest).ok()?).ok()?;
        let (user, pass) = text.split_once(':')?;
        pair(Some(user), pass)
    } else if scheme.eq_ignore_ascii_case("bearer") {
        from_token(rest)
    } else {
        None
    }
}

/// `user:pass`, or a token alone. No token of RFC 6750 has a colon.
fn from_token(token: &str) -> Option<Credentials> {
    match token.split_once(':') {
        Some((user, pass)) => pair(Some(user), pass),
        None => pair(None, token),
    }
}

/// Nothing at all is not wrong credentials, but none.
fn pair(user: Option<&str>, pass: &str) -> Option<Credentials> {
    if user.unwrap_or_default().is_empty() && pass.is_empty() {
        return None;
    }
    Some(Credentials { user: user.map(str::to_string), pass: Secret::from(pass.to_string()) })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn read(header: Option<&str>, query: &str) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        from_request(&headers, query)
            .into_iter()
            .map(|c| (c.user.unwrap_or("-".into()), c.pass.expose().to_string()))
            .collect()
    }

    fn one(user: &str, pass: &str) -> Vec<(String, String)> {
        vec![(user.into(), pass.into())]
    }

    #[test]
    fn row18_headers() {
        for (value, want) in [
            ("Basic dXNlcjpwYXNz", one("user", "pass")),
            ("basic dXNlcjpwYXNz", one("user", "pass")),
            ("Basic  dXNlcjpwYXNz ", one("user", "pass")),
            ("Basic dTpwOnE=", one("u", "p:q")),
            ("Basic dTpwOnE", one("u", "p:q")),
            ("Basic Og==", vec![]),
            ("Basic !!", vec![]),
            ("Basic dXNlcg==", vec![]),
            ("Basic /zo=", vec![]),
            ("Bearer user:pass", one("user", "pass")),
            ("Bearer user:pa:ss", one("user", "pa:ss")),
            ("bearer tok", one("-", "tok")),
            ("Bearer ", vec![]),
            ("Bearer", vec![]),
            ("Digest username=x", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(read(Some(value), ""), want, "{value}");
        }
    }

    #[test]
    fn row18_queries() {
        for (query, want) in [
            ("token=t", one("-", "t")),
            ("jwt=t", one("-", "t")),
            ("token=u%3Ap", one("u", "p")),
            ("a=b&user=u&pass=p%40q", one("u", "p@q")),
            ("pass=p", vec![]),
            ("user=&pass=p", one("", "p")),
            ("user=u", vec![]),
            ("token=", vec![]),
            ("tokens=t", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(read(None, query), want, "{query}");
        }
    }

    #[test]
    fn header_and_query_are_both_tried() {
        assert_eq!(read(Some("Bearer a"), "token=b").len(), 2);
        assert_eq!(read(Some("Bearer a"), "token=a").len(), 1);
    }
}
