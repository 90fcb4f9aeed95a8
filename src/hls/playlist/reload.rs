//! What a player asks for when it loads a playlist again: the delivery
//! directives (§6.2.5). Pure.

use super::SECOND;
use super::window::{Variant, Window};

/// A place in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The media sequence number of the segment.
    pub msn: u64,
    /// The part of it; the whole segment if none.
    pub part: Option<u64>,
}

/// The directives of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reload {
    /// Answer when this is in the playlist; at once if none.
    pub at: Option<Position>,
    /// A delta update will do.
    pub skip: bool,
}

/// Whether a playlist has what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Answer now.
    Ready,
    /// Hold the request until something is added.
    Wait,
    /// Refuse it (400): nobody who follows this playlist asks for that.
    TooFar,
}

impl Reload {
    /// Reads a query; other keys than the directives are passed over. The error
    /// is a sentence for a 400.
    pub fn parse(query: &str) -> Result<Self, String> {
        let (mut msn, mut part, mut skip) = (None, None, None);
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let twice = match key {
                "_HLS_msn" => msn.replace(number(key, value)?).is_some(),
                "_HLS_part" => part.replace(number(key, value)?).is_some(),
                // v2 leaves out date ranges as well; we have none.
                "_HLS_skip" if matches!(value, "YES" | "v2") => skip.replace(()).is_some(),
                "_HLS_skip" => return Err("_HLS_skip has to be YES or v2".into()),
                _ => false,
            };
            if twice {
                return Err(format!("{key} is given twice"));
            }
        }
        if msn.is_none() && part.is_some() {
            return Err("_HLS_part needs _HLS_msn".into());
        }
        Ok(Reload { at: msn.map(|msn| Position { msn, part }), skip: skip.is_some() })
    }

    /// What of a query it was read from, each with a `&` in front.
    pub fn directives(&self) -> String {
        let mut out = String::new();
        if let Some(Position { msn, part }) = self.at {
            out.push_str(&format!("&_HLS_msn={msn}"));
            out.extend(part.map(|part| format!("&_HLS_part={part}")));
        }
        out.push_str(if self.skip { "&_HLS_skip=YES" } else { "" });
        out
    }
}

/// Digits only: `parse` alone would take a sign. The value is not repeated in
/// the sentence, as it is a stranger's.
fn number(key: &str, value: &str) -> Result<u64, String> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or_else(|| format!("{key} has to be a whole number"))
}

impl<B: AsRef<[u8]>> Window<B> {
    /// Whether the playlist has what `reload` asks for.
    pub fn has(&self, reload: &Reload) -> State {
        // The others offer no blocking reload; the norm has them pass it over.
        let Some(Position { msn, part }) = reload.at.filter(|_| self.config.variant == Variant::LowLatency) else {
            return State::Ready;
        };
        // §6.2.5.2: a part behind the last one of a segment that has ended is
        // the first part of the next segment. Only the last ended one can be
        // asked so with reason; before it, all is there anyway.
        let last = self.listed.back().map(|s| (s.msn, s.parts.len() as u64));
        let (msn, part) = match (part, last) {
            (Some(part), Some((last, parts))) if msn == last && part >= parts => (msn + 1, Some(0)),
            _ => (msn, part),
        };
        if msn < self.next {
            return State::Ready;
        }
        let there = self.current.as_ref().map_or(0, |s| s.parts.len() as u64);
        // `next` is one behind the last whole segment, and two behind is the most.
        if msn > self.next + 1 || part.is_some_and(|p| p >= self.advance() + if msn == self.next { there } else { 0 }) {
            return State::TooFar;
        }
        if msn == self.next && part.is_some_and(|p| p < there) { State::Ready } else { State::Wait }
    }

    /// §6.2.5.2, the Advance Part Limit: three seconds of parts, or three parts
    /// where they last a second or more.
    fn advance(&self) -> u64 {
        let part = self.part_target().clamp(1, SECOND);
        (3 * SECOND).div_ceil(part)
    }
}
