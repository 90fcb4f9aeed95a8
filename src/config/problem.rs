//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

use crate::redact;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum At {
    /// Nowhere in particular: the file as a whole, or a default.
    #[default]
    Nowhere,
    /// A line of the file, from 1.
    Line(u32),
    /// An environment variable.
    Var(Arc<str>),
}

/// One thing that is wrong with the configuration. Holds no secrets: whatever
/// comes from the file has passed the redactor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// The environment variable, if the value came from one.
    pub variable: Option<String>,
    /// The key: `paths.cam1.source`, or empty.
    pub key: String,
    /// What is wrong, and what to change.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(at: &At, key: &str, message: impl Into<String>) -> Self {
        let (line, variable) = match at {
            At::Nowhere => (None, None),
            At::Line(line) => (Some(*line), None),
            At::Var(name) => (None, Some(name.to_string())),
        };
        Problem { file: None, line, variable, key: redact::text(key).into_owned(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(variable) = &self.variable {
            write!(f, "{variable}: ")?;
        } else {
            match (&self.file, self.line) {
                (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
                (Some(file), None) => write!(f, "{file}: ")?,
                (None, Some(line)) => write!(f, "line {line}: ")?,
                (None, None) => {}
            }
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// The candidate that `word` most likely was meant to be, if any is near: compared
/// without regard to case, at most a third of it different.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no typing errors of ours, and comparing them is quadratic.
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&lower, &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= (c.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// A value as it may be shown in a message: redacted, quoted, not too long. One with
/// an `@` is likely to hold credentials in a form that nobody foresaw.
pub(crate) fn shown(value: &str) -> String {
    const MAX: usize = 60;
    if value.contains('@') {
        return "the value".to_owned();
    }
    let short: String = value.chars().take(MAX).collect();
    let dots = if short.len() < value.len() { "…" } else { "" };
    // Redacted before it is cut, so that the cut cannot hide the `@` from the redactor.
    let clean = redact::text(value);
    if clean == value {
        format!("{:?}", format!("{short}{dots}"))
    } else {
        let short: String = clean.chars().take(MAX).collect();
        format!("{short:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_place() {
        let mut p = Problem::new(&At::Line(12), "paths.cam1.sorce", "unknown key, did you mean \"source\"?");
        p.file = Some("camgate.yml".into());
        assert_eq!(p.to_string(), "camgate.yml:12: paths.cam1.sorce: unknown key, did you mean \"source\"?");
        let p = Problem::new(&At::Var("CAMGATE_X".into()), "", "unknown");
        assert_eq!(p.to_string(), "CAMGATE_X: unknown");
    }

    #[test]
    fn near_words() {
        let keys = ["source", "sourceOnDemand", "maxReaders"];
        assert_eq!(nearest("sorce", keys), Some("source"));
        assert_eq!(nearest("SOURCEONDEMAND", keys), Some("sourceOnDemand"));
        assert_eq!(nearest("maxReader", keys), Some("maxReaders"));
        assert_eq!(nearest("zebra", keys), None);
        assert_eq!(nearest(&"s".repeat(10_000), keys), None);
    }

    #[test]
    fn shown_values_hold_no_secrets_and_are_short() {
        assert_eq!(shown("abc"), "\"abc\"");
        assert_eq!(shown("turn:u:geheim@h/x"), "the value");
        assert_eq!(shown("rtsp://h/x?token=geheim"), "\"rtsp://h/x?token=<redacted>\"");
        let long = format!("rtsp://u:{}@h/x", "p".repeat(200));
        assert!(!shown(&long).contains("pp"));
        assert!(shown(&"x".repeat(1000)).len() < 80);
    }
}
