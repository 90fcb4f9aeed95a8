//! What names stand for: maps, segments and parts. Pure.

use super::window::{Variant, Window};

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a, B> {
    /// An initialisation section.
    Map(&'a B),
    /// A whole segment: its pieces in order.
    Segment(Vec<&'a B>),
    /// A part.
    Part(&'a B),
    /// The part that the playlist hints at: hold the request until it is there.
    /// Should its segment end without it, it becomes [`Found::Nothing`].
    Hinted,
    /// Never heard of, or too old.
    Nothing,
}

impl<B: AsRef<[u8]>> Window<B> {
    /// What `name`, without a query, stands for.
    pub fn find(&self, name: &str) -> Found<'_, B> {
        self.find_map(name)
            .or_else(|| self.find_segment(name))
            .or_else(|| self.find_part(name))
            .unwrap_or(Found::Nothing)
    }

    fn find_map(&self, name: &str) -> Option<Found<'_, B>> {
        self.maps.iter().find(|(number, _)| self.map_name(*number) == name).map(|(_, map)| Found::Map(map))
    }

    fn find_segment(&self, name: &str) -> Option<Found<'_, B>> {
        let whole = self.removed.iter().map(|(s, _)| s).chain(&self.listed);
        let segment = { whole }.find(|s| self.segment_name(s.msn) == name)?;
        Some(Found::Segment(segment.parts.iter().map(|p| &p.payload).collect()))
    }

    fn find_part(&self, name: &str) -> Option<Found<'_, B>> {
        if self.config.variant != Variant::LowLatency {
            return None;
        }
        if self.hint().is_some_and(|(msn, part)| self.part_name(msn, part) == name) {
            return Some(Found::Hinted);
        }
        let rest = name.strip_prefix(&self.config.prefix)?.strip_prefix("_part")?.strip_suffix(".mp4")?;
        let (msn, part) = rest.split_once('_')?;
        let (msn, part) = (msn.parse().ok()?, part.parse().ok()?);
        // Not `+1`, not `007`: one thing has one name.
        if self.part_name(msn, part) != name {
            return None;
        }
        let mut all = self.removed.iter().map(|(s, _)| s).chain(&self.listed).chain(&self.current);
        all.find(|s| s.msn == msn)?.parts.get(part).map(|p| Found::Part(&p.payload))
    }
}
