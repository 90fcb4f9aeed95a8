//! The lines of an SDP, and the small alphabets of its grammar (RFC 8866 §9).
//!
//! SDP is simple enough that a parser of our own is shorter than the care that
//! somebody else's would need: what passes here is printable ASCII, bounded in
//! every direction, and later rooms may copy tokens from it into an answer
//! without a line break or a quote slipping in.

use std::fmt;

/// What an SDP body may contain at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole body.
    pub bytes: usize,
    /// `m=` sections.
    pub sections: usize,
    /// `a=candidate` lines in one section.
    pub candidates: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 64 * 1024, sections: 32, candidates: 64 }
    }
}

/// The longest line in bytes. Chromium's longest are about 200.
const MAX_LINE: usize = 4096;
/// The most lines of a body, against many tiny ones.
const MAX_LINES: usize = 4096;
/// The most lines of one section. Chromium's longest has about 150.
pub(super) const MAX_SECTION_LINES: usize = 1024;

/// Which HTTP status a bad SDP deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferErrorKind {
    /// 400: it is malformed.
    BadRequest,
    /// 422: it is well-formed, and cannot be met.
    Unprocessable,
}

/// Why an SDP cannot be used: a sentence that names the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferError {
    /// Malformed, or well-formed and impossible.
    pub kind: OfferErrorKind,
    /// The sentence for the client. It never carries an ICE password.
    pub message: String,
}

impl OfferError {
    /// A malformed SDP; no single line is to blame.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        OfferError { kind: OfferErrorKind::BadRequest, message: message.into() }
    }

    /// A malformed line of the SDP, lines counted from 1.
    pub(super) fn at(line: usize, message: impl fmt::Display) -> Self {
        Self::bad(format!("SDP line {line}: {message}"))
    }

    /// A well-formed SDP that cannot be met.
    pub(super) fn impossible(message: impl Into<String>) -> Self {
        OfferError { kind: OfferErrorKind::Unprocessable, message: message.into() }
    }
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for OfferError {}

impl From<OfferError> for crate::error::Error {
    fn from(e: OfferError) -> Self {
        let kind = match e.kind {
            OfferErrorKind::BadRequest => crate::error::Kind::BadRequest,
            OfferErrorKind::Unprocessable => crate::error::Kind::Unprocessable,
        };
        crate::error::Error::new(kind, e.message)
    }
}

/// One `x=value` line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// Its number in the body, from 1.
    pub number: usize,
    /// The letter before the `=`.
    pub letter: u8,
    /// What follows the `=`.
    pub value: &'a str,
}

impl<'a> Line<'a> {
    /// Name and value of an `a=name:value` or `a=name` line; the value of a
    /// flag is empty.
    pub fn attribute(&self) -> Option<(&'a str, &'a str)> {
        (self.letter == b'a').then(|| self.value.split_once(':').unwrap_or((self.value, "")))
    }
}

/// Splits a body into lines, with CRLF or LF. Blank lines are accepted at the
/// end only, where clients that join lines by hand leave them.
pub(super) fn lines<'a>(text: &'a str, limits: &Limits) -> Result<Vec<Line<'a>>, OfferError> {
    if text.len() > limits.bytes {
        return Err(OfferError::bad(format!("The SDP is longer than {} bytes.", limits.bytes)));
    }
    let mut found = Vec::new();
    let mut blank = None;
    for (index, raw) in text.split('\n').enumerate() {
        let number = index + 1;
        let line = raw.strip_suffix('\r').unwrap_or(raw);
        if line.is_empty() {
            blank.get_or_insert(number);
            continue;
        }
        if let Some(number) = blank {
            return Err(OfferError::at(number, "a blank line in the middle; leave it out."));
        }
        if line.len() > MAX_LINE {
            return Err(OfferError::at(number, format!("longer than {MAX_LINE} bytes.")));
        }
        if !line.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(OfferError::at(number, "only printable ASCII is accepted."));
        }
        if found.len() == MAX_LINES {
            return Err(OfferError::at(number, format!("more than {MAX_LINES} lines.")));
        }
        let bytes = line.as_bytes();
        if bytes.len() < 2 || bytes[1] != b'=' || !bytes[0].is_ascii_lowercase() {
            return Err(OfferError::at(number, "is not of the form \"x=value\"."));
        }
        found.push(Line { number, letter: bytes[0], value: &line[2..] });
    }
    Ok(found)
}

/// Whether `s` is a `token` of RFC 8866 §9: no blank, quote, colon, slash,
/// comma, semicolon, bracket or equals sign.
pub(super) fn is_token(s: &str) -> bool {
    !s.is_empty()
        && s.bytes().all(
            |b| matches!(b, 0x21 | 0x23..=0x27 | 0x2a | 0x2b | 0x2d | 0x2e | b'0'..=b'9' | b'A'..=b'Z' | 0x5e..=0x7e),
        )
}

/// Whether `s` has `min` to 256 ICE characters (RFC 8839 §5.4). Besides
/// letters, digits, `+` and `/` it lets through `-`, `_` and `=`, which
/// base64url makes and libwebrtc accepts too.
pub(super) fn is_ice(s: &str, min: usize) -> bool {
    (min..=256).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b))
}

/// Whether `s` can be a `mid`: a token that stays short in a header extension.
pub(super) fn is_mid(s: &str) -> bool {
    s.len() <= 64 && is_token(s)
}
