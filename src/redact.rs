//! The one redactor: what leaves the process (logs, errors, API, graphs) passes
//! through here first.
//!
//! It works on spans: every rule marks the bytes it finds secret in the original
//! text, the marks are joined, and only then is the text rewritten. So no rule can
//! hide a secret's beginning from another one. In doubt it masks too much: a
//! password with a raw `/` or `?` in it makes where a URL's user part ends
//! ambiguous, and then everything up to the last `@` goes.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

/// What stands in place of a URL's user part.
const USER_MASK: &str = "***";
/// What stands in place of any other secret.
const MASK: &str = "<redacted>";

/// A name that ends in one of these has a secret as its value, wherever it is
/// followed by `=`.
const SECRET_NAMES: &[&str] = &[
    "token",
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "pw",
    "secret",
    "key",
    "jwt",
    "credential",
    "credentials",
    "signature",
    "auth",
    "authorization",
    "cookie",
    "user-id",
    "turn-server",
];

/// The names that stand for a secret also before a bare `:` (as in YAML). Fewer:
/// `key:` and `pass:` occur in sentences.
const SECRET_NAMES_COLON: &[&str] = &["password", "passwd", "passphrase", "pwd", "user-pw", "secret", "jwt"];

/// Header names whose whole line is secret.
const SECRET_HEADERS: &[&str] = &["authorization", "cookie", "api-key"];

/// The longest name looked at before a `=` or `:`, in bytes.
const MAX_NAME: usize = 64;

/// Masks every secret that is recognised in `s`: user parts of URLs, values of
/// secret names in queries, properties, JSON and headers, bearer tokens, JWTs and
/// PEM blocks. Borrowed when there was nothing to mask.
pub fn text(s: &str) -> Cow<'_, str> {
    mask(s, false)
}

/// Masks one URL. Stricter than [`text`]: the whole string counts as the URL, so
/// that a password with a space or a quote in it is masked, too.
pub fn url(s: &str) -> String {
    mask(s, true).into_owned()
}

/// A text that must not be shown: Debug and Display print `<redacted>`.
#[derive(Clone, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps `value` from sight.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with this secret masked wherever it stands in it, as it is or
    /// percent-encoded: for what another machine says, that may repeat it. One of fewer
    /// than four bytes stays, since it occurs in words, and where words have holes it shows.
    pub fn hide(&self, text: &str) -> String {
        if self.0.len() < 4 {
            return text.to_owned();
        }
        let encoded = percent_encoding::utf8_percent_encode(&self.0, percent_encoding::NON_ALPHANUMERIC).to_string();
        text.replace(&self.0, MASK).replace(&encoded, MASK)
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Secret(value)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Secret(value.to_owned())
    }
}

/// Bytes `start..end` of the text are secret and become `label`.
struct Span {
    start: usize,
    end: usize,
    label: &'static str,
}

fn mask(s: &str, whole: bool) -> Cow<'_, str> {
    let mut spans = Vec::new();
    urls(s, whole, &mut spans);
    named(s, whole, &mut spans);
    schemes(s, &mut spans);
    pems(s, &mut spans);
    if spans.is_empty() {
        return Cow::Borrowed(s);
    }
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let mut out = String::with_capacity(s.len());
    let mut done = 0;
    for span in spans {
        if span.start >= done {
            out.push_str(&s[done..span.start]);
            out.push_str(span.label);
        }
        done = done.max(span.end);
    }
    out.push_str(&s[done..]);
    Cow::Owned(out)
}

/// `scheme://user:password@host`: from behind the slashes up to the last `@`. Also
/// percent-encoded, as a URL inside another one's query is, and without slashes
/// where people write credentials into a TURN URL.
fn urls(s: &str, whole: bool, spans: &mut Vec<Span>) {
    const MARKS: &[(&str, &str)] = &[("://", "@"), ("%3a%2f%2f", "%40"), ("turn:", "@"), ("turns:", "@")];
    // ASCII only, so that the byte positions stay those of `s`.
    let lower = s.to_ascii_lowercase();
    for (mark, at) in MARKS {
        let mut from = 0;
        while let Some(found) = lower[from..].find(mark) {
            let mut start = from + found + mark.len();
            if s[start..].starts_with("//") {
                start += 2;
            }
            let end = if whole { s.len() } else { token_end(s, start) };
            if let Some(at_pos) = lower[start..end].rfind(at) {
                spans.push(Span { start, end: start + at_pos, label: USER_MASK });
            }
            from = end;
        }
    }
}

/// Where a word ends: at white space, or at a quote that no backslash escapes. A
/// single quote does not end it, as passwords in URLs may hold one (RFC 3986,
/// sub-delims).
fn token_end(s: &str, start: usize) -> usize {
    let mut escaped = false;
    for (i, c) in s[start..].char_indices() {
        if c.is_whitespace() || (c == '"' && !escaped) {
            return start + i;
        }
        escaped = c == '\\' && !escaped;
    }
    s.len()
}

/// `name=value`, `"name": "value"`, `name: "value"`, `Header: value`.
fn named(s: &str, whole: bool, spans: &mut Vec<Span>) {
    let bytes = s.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let sep = bytes[i];
        if sep != b'=' && sep != b':' {
            i += 1;
            continue;
        }
        let (name, quoted) = name_before(s, i);
        let value = match secret_value(s, i, &name, quoted, whole) {
            Some(value) if value.0 < value.1 => value,
            _ => {
                i += 1;
                continue;
            }
        };
        spans.push(Span { start: value.0, end: value.1, label: MASK });
        // What lies inside is masked already; going on behind it keeps this linear.
        i = value.1;
    }
}

/// The name that ends before byte `sep`, lower case, and whether it is quoted.
fn name_before(s: &str, sep: usize) -> (String, bool) {
    let bytes = s.as_bytes();
    let mut end = sep;
    let floor = sep.saturating_sub(2 * MAX_NAME);
    while end > floor && bytes[end - 1] == b' ' {
        end -= 1;
    }
    let mut quoted = false;
    if end > floor && matches!(bytes[end - 1], b'"' | b'\'') {
        quoted = true;
        end -= 1;
        if end > floor && bytes[end - 1] == b'\\' {
            end -= 1;
        }
    }
    let mut start = end;
    while start > 0
        && end - start < MAX_NAME
        && (bytes[start - 1].is_ascii_alphanumeric() || matches!(bytes[start - 1], b'-' | b'_'))
    {
        start -= 1;
    }
    (s[start..end].to_ascii_lowercase(), quoted)
}

fn ends_in(name: &str, list: &[&str]) -> bool {
    list.iter().any(|n| name.ends_with(n))
}

/// The span of the secret behind the separator at `sep`, if `name` has one.
fn secret_value(s: &str, sep: usize, name: &str, quoted: bool, whole: bool) -> Option<(usize, usize)> {
    if name.is_empty() {
        return None;
    }
    let bytes = s.as_bytes();
    let mut start = sep + 1;
    while start < bytes.len() && bytes[start] == b' ' {
        start += 1;
    }
    let quote = quote_at(bytes, start);
    if bytes[sep] == b':' {
        if ends_in(name, SECRET_HEADERS) && !quoted && quote.is_none() {
            return Some((start, line_end(s, start)));
        }
        // Behind a bare colon only a quoted value, or a name that is unmistakable.
        let in_structure = (quoted || quote.is_some()) && ends_in(name, SECRET_NAMES);
        if !in_structure && !ends_in(name, SECRET_NAMES_COLON) {
            return None;
        }
    } else if !ends_in(name, SECRET_NAMES) {
        return None;
    }
    // GStreamer writes the type first: `user-pw=(string)…`.
    if bytes.get(start) == Some(&b'(')
        && let Some(close) = bytes[start..].iter().take(32).position(|b| *b == b')')
        && bytes[start + 1..start + close].iter().all(u8::is_ascii_alphanumeric)
    {
        start += close + 1;
    }
    match quote_at(bytes, start) {
        Some(open) => Some((start + open.len(), quoted_end(s, start + open.len(), open))),
        None => Some((start, value_end(s, start, whole))),
    }
}

/// The opening quote at `i`, perhaps itself escaped (JSON inside JSON).
fn quote_at(bytes: &[u8], i: usize) -> Option<&'static str> {
    match (bytes.get(i), bytes.get(i + 1)) {
        (Some(b'"'), _) => Some("\""),
        (Some(b'\''), _) => Some("'"),
        (Some(b'\\'), Some(b'"')) => Some("\\\""),
        _ => None,
    }
}

fn quoted_end(s: &str, start: usize, quote: &str) -> usize {
    if quote.len() > 1 {
        return s[start..].find(quote).map_or(s.len(), |n| start + n);
    }
    let mut escaped = false;
    for (i, c) in s[start..].char_indices() {
        if !escaped && s[start + i..].starts_with(quote) {
            return start + i;
        }
        escaped = c == '\\' && !escaped;
    }
    s.len()
}

/// An unquoted value ends at `&`, at an unescaped quote and (in a text) at white space.
fn value_end(s: &str, start: usize, whole: bool) -> usize {
    let mut escaped = false;
    for (i, c) in s[start..].char_indices() {
        if c == '&' || (!whole && !escaped && (c.is_whitespace() || c == '"')) {
            return start + i;
        }
        escaped = c == '\\' && !escaped;
    }
    s.len()
}

fn line_end(s: &str, start: usize) -> usize {
    s[start..].find(['\r', '\n']).map_or(s.len(), |n| start + n)
}

/// `Bearer …` and `Basic …` outside a header line, and anything shaped like a JWT
/// (RFC 7519: three parts of base64url, the first one beginning `{"`).
fn schemes(s: &str, spans: &mut Vec<Span>) {
    let lower = s.to_ascii_lowercase();
    for word in ["bearer ", "basic "] {
        for (found, _) in lower.match_indices(word) {
            let start = found + word.len();
            let end = token_end(s, start);
            // A challenge (`Basic realm="…"`) is not a credential.
            if end - start >= 6 && !lower[start..end].starts_with("realm=") {
                spans.push(Span { start, end, label: MASK });
            }
        }
    }
    let mut from = 0;
    while let Some(found) = s[from..].find("eyJ") {
        let start = from + found;
        let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'=');
        let len = s[start..].bytes().take_while(|b| is_part(*b)).count();
        let end = start + len;
        if s[start..end].matches('.').count() >= 2 {
            spans.push(Span { start, end, label: MASK });
        }
        from = end;
    }
}

/// PEM blocks (RFC 7468), up to their end or the end of the text.
fn pems(s: &str, spans: &mut Vec<Span>) {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END ";
    let mut from = 0;
    while let Some(found) = s[from..].find(BEGIN) {
        let start = from + found;
        let body = start + BEGIN.len();
        let end = match s[body..].find(END) {
            Some(n) => {
                let tail = body + n + END.len();
                s[tail..].find("-----").map_or(s.len(), |m| tail + m + 5)
            }
            None => s.len(),
        };
        spans.push(Span { start, end, label: MASK });
        from = end;
    }
}

#[cfg(test)]
mod tests;
