//! XML from cameras: decoded, bounded, and then read by serde. Pure.
//!
//! Elements are known by their local names alone: cameras write any namespace and prefix.
//! No document type, so that there are no entities to expand.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// The most bytes of an answer.
pub const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting.
const MAX_DEPTH: usize = 32;
/// Where an encoding is looked for.
const PROLOG: usize = 256;

/// The text of a body: by its byte order mark, by its media type (`charset=…`), by its
/// prolog, or UTF-8. What cannot be decoded becomes U+FFFD.
pub fn decode(bytes: &[u8], content_type: Option<&str>) -> String {
    let charset = content_type.and_then(|value| {
        let lower = value.to_ascii_lowercase();
        let at = lower.find("charset=")? + "charset=".len();
        Some(value[at..].split(';').next()?.trim().trim_matches(['"', '\'']).to_owned())
    });
    let declared = charset.as_deref().and_then(label).or_else(|| {
        // In an encoding of single bytes the prolog is ASCII; UTF-16 shows its zeros.
        match bytes {
            [0, b'<', ..] => return Some(UTF_16BE),
            [b'<', 0, ..] => return Some(UTF_16LE),
            _ => {}
        }
        let prolog = String::from_utf8_lossy(&bytes[..bytes.len().min(PROLOG)]);
        let rest = prolog.split_once("encoding=")?.1;
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        label(rest[1..].split(quote).next()?)
    });
    // Declared as UTF-16 and readable byte by byte: it is not.
    let plain = bytes.starts_with(b"<?") || bytes.starts_with(b"<") && bytes.get(1).is_some_and(|b| *b != 0);
    let encoding = declared.filter(|e| !(plain && (*e == UTF_16LE || *e == UTF_16BE))).unwrap_or(UTF_8);
    encoding.decode(bytes).0.into_owned()
}

fn label(name: &str) -> Option<&'static Encoding> {
    Encoding::for_label(name.trim().as_bytes())
}

/// The root element of a document that keeps the bounds: its local name. The error says
/// what is wrong with it.
pub fn check(text: &str) -> Result<String, String> {
    if text.len() > 2 * MAX_BYTES {
        return Err("it is too long".into());
    }
    let mut reader = Reader::from_str(text);
    let (mut depth, mut root) = (0usize, None);
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                if depth == 0 && root.is_some() {
                    return Err("it has two roots".into());
                }
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("it is nested more than {MAX_DEPTH} deep"));
                }
                root.get_or_insert_with(|| local(&start));
            }
            Ok(Event::Empty(start)) => {
                root.get_or_insert_with(|| local(&start));
            }
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::DocType(_)) => return Err("it has a document type, which is not read".into()),
            Ok(Event::Eof) if depth > 0 => return Err("it ends too early".into()),
            Ok(Event::Eof) => return root.ok_or_else(|| "it is empty".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(format!("it is no XML: {error}")),
        }
    }
}

fn local(start: &quick_xml::events::BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

/// Reads a document whose root is one of `roots`. The error is a half-sentence about it.
pub fn read<T: DeserializeOwned>(text: &str, roots: &[&str]) -> Result<T, String> {
    let root = check(text)?;
    if !roots.contains(&root.as_str()) {
        return Err(format!("it is a <{}>, not a <{}>", short(&root), roots.first().unwrap_or(&"")));
    }
    quick_xml::de::from_str(text).map_err(|error| format!("it is not as expected: {}", short(&error.to_string())))
}

/// A text of a camera's, short enough for an error and without control characters.
pub fn short(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    crate::redact::text(clean.trim()).into_owned()
}

/// Escapes a text for an element or an attribute.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}

/// A number as cameras write one; what is none is left out.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.trim().parse::<f64>().ok()).filter(|n| n.is_finite()))
}

/// Yes, where it says so.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| matches!(text.trim(), "true" | "1")))
}

/// `<Min>` and `<Max>`, of either language.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub struct Range {
    #[serde(rename = "Min", deserialize_with = "number")]
    min: Option<f64>,
    #[serde(rename = "Max", deserialize_with = "number")]
    max: Option<f64>,
}

impl Range {
    /// Both ends, where they are two.
    pub fn ends(self) -> Option<(f64, f64)> {
        Some((self.min?, self.max?)).filter(|(min, max)| min < max)
    }

    /// The ends of a range that is told in tenths, in whole units.
    pub fn tenths(self) -> Option<(f64, f64)> {
        self.ends().map(|(min, max)| (min / 10.0, max / 10.0))
    }
}

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
