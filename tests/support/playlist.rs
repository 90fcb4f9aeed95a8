//! Reads media playlists as a strict player would, and says which rule one
//! breaks. It knows nothing of the code that writes them, so that it can follow
//! live playlists over HTTP as well. Written after RFC 8216bis.

use std::collections::HashSet;

/// A part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Nanoseconds.
    pub duration: u64,
    /// As written.
    pub uri: String,
    /// INDEPENDENT=YES.
    pub independent: bool,
}

/// A segment; the last one may be without URI and duration: it grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segment {
    /// Nanoseconds.
    pub duration: u64,
    /// As written.
    pub uri: String,
    /// A discontinuity lies before it.
    pub discontinuity: bool,
    /// The map in force. In a delta update `None` before the first MAP tag.
    pub map: Option<String>,
    /// EXT-X-PROGRAM-DATE-TIME.
    pub time: Option<String>,
    /// Its parts, as far as they are listed.
    pub parts: Vec<Part>,
}

/// A media playlist. Durations in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediaPlaylist {
    /// EXT-X-VERSION.
    pub version: u64,
    /// Seconds.
    pub target: u64,
    /// Of the first segment, skipped ones counted.
    pub media_sequence: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_sequence: u64,
    /// EXT-X-INDEPENDENT-SEGMENTS.
    pub independent: bool,
    /// CAN-BLOCK-RELOAD=YES.
    pub can_block: bool,
    /// PART-HOLD-BACK.
    pub part_hold_back: Option<u64>,
    /// CAN-SKIP-UNTIL.
    pub can_skip_until: Option<u64>,
    /// PART-TARGET.
    pub part_target: Option<u64>,
    /// Of a delta update: segments left out.
    pub skipped: u64,
    /// The whole ones.
    pub segments: Vec<Segment>,
    /// The next segment is to begin behind a discontinuity.
    pub breaks: bool,
    /// The one that grows.
    pub growing: Option<Segment>,
    /// The hinted part.
    pub hint: Option<String>,
}

impl MediaPlaylist {
    /// The number of the segment that grows, or of the next one.
    pub fn next(&self) -> u64 {
        self.media_sequence + self.skipped + self.segments.len() as u64
    }

    /// All segments that show, with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &Segment)> {
        (self.media_sequence + self.skipped..).zip(self.segments.iter().chain(&self.growing))
    }
}

fn check(holds: bool, or: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(or.into()) }
}

fn whole(text: &str) -> Result<u64, String> {
    check(text.bytes().all(|b| b.is_ascii_digit()), format!("no number: {text}"))?;
    text.parse().map_err(|_| format!("no number: {text}"))
}

/// Decimal seconds, exactly.
fn nanos(text: &str) -> Result<u64, String> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    check(!fraction.is_empty() && fraction.len() <= 9, format!("no duration: {text}"))?;
    Ok(whole(seconds)? * 1_000_000_000 + whole(&format!("{fraction:0<9}"))?)
}

/// An attribute list; quotes taken off.
fn attributes(mut text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut list: Vec<(&str, &str)> = Vec::new();
    loop {
        let (name, rest) = text.split_once('=').ok_or(format!("no attribute: {text}"))?;
        check(!name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'), format!("name: {name}"))?;
        check(list.iter().all(|(n, _)| *n != name), format!("{name} twice"))?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quote does not end")?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        list.push((name, value));
        match rest.strip_prefix(',') {
            Some(more) => text = more,
            None if rest.is_empty() => return Ok(list),
            None => return Err(format!("after an attribute: {rest}")),
        }
    }
}

fn attribute<'a>(list: &[(&str, &'a str)], name: &str) -> Result<&'a str, String> {
    list.iter().find(|(n, _)| *n == name).map(|(_, v)| *v).ok_or(format!("{name} is missing"))
}

/// Reads a playlist. Unknown tags, header tags that come twice or late, and
/// tags that belong to no segment are errors.
pub fn parse(text: &str) -> Result<MediaPlaylist, String> {
    let mut list = MediaPlaylist { version: 1, ..Default::default() };
    let mut lines = text.lines();
    check(lines.next() == Some("#EXTM3U"), "the first line is not #EXTM3U")?;
    let mut seen = HashSet::new();
    let mut map = None;
    let mut segment = Segment::default();
    let mut extinf = false;
    let mut media = false;
    for line in lines.filter(|l| !l.is_empty()) {
        check(line == line.trim(), format!("blanks around {line}"))?;
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        if !line.starts_with('#') {
            check(extinf, format!("no EXTINF before {line}"))?;
            segment.uri = line.into();
            segment.map = map.clone();
            list.segments.push(std::mem::take(&mut segment));
            extinf = false;
            continue;
        }
        check(list.hint.is_none(), format!("{tag} after the hint"))?;
        const HEADER: [&str; 8] = [
            "#EXT-X-VERSION",
            "#EXT-X-TARGETDURATION",
            "#EXT-X-MEDIA-SEQUENCE",
            "#EXT-X-DISCONTINUITY-SEQUENCE",
            "#EXT-X-INDEPENDENT-SEGMENTS",
            "#EXT-X-SERVER-CONTROL",
            "#EXT-X-PART-INF",
            "#EXT-X-SKIP",
        ];
        if HEADER.contains(&tag) {
            check(!media, format!("{tag} after the first segment"))?;
            check(seen.insert(tag), format!("{tag} twice"))?;
        } else {
            media = true;
            // EXTINF comes last; only the URI follows.
            check(!extinf, format!("{tag} after EXTINF"))?;
        }
        match tag {
            "#EXT-X-VERSION" => list.version = whole(value)?,
            "#EXT-X-TARGETDURATION" => list.target = whole(value)?,
            "#EXT-X-MEDIA-SEQUENCE" => list.media_sequence = whole(value)?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => list.discontinuity_sequence = whole(value)?,
            "#EXT-X-INDEPENDENT-SEGMENTS" => list.independent = true,
            "#EXT-X-SERVER-CONTROL" => {
                for (name, value) in attributes(value)? {
                    match name {
                        "CAN-BLOCK-RELOAD" => list.can_block = value == "YES",
                        "PART-HOLD-BACK" => list.part_hold_back = Some(nanos(value)?),
                        "CAN-SKIP-UNTIL" => list.can_skip_until = Some(nanos(value)?),
                        _ => return Err(format!("unknown: {name}")),
                    }
                }
            }
            "#EXT-X-PART-INF" => list.part_target = Some(nanos(attribute(&attributes(value)?, "PART-TARGET")?)?),
            "#EXT-X-SKIP" => {
                list.skipped = whole(attribute(&attributes(value)?, "SKIPPED-SEGMENTS")?)?;
                check(list.skipped > 0, "nothing skipped")?;
            }
            "#EXT-X-DISCONTINUITY" => {
                check(!std::mem::replace(&mut segment.discontinuity, true), "DISCONTINUITY twice")?;
                check(segment.parts.is_empty(), "DISCONTINUITY after a part")?;
            }
            "#EXT-X-MAP" => {
                check(segment.parts.is_empty(), "MAP after a part")?;
                map = Some(attribute(&attributes(value)?, "URI")?.to_string());
            }
            "#EXT-X-PROGRAM-DATE-TIME" => {
                check(segment.parts.is_empty(), "PROGRAM-DATE-TIME after a part")?;
                check(segment.time.replace(value.into()).is_none(), "PROGRAM-DATE-TIME twice")?;
                check(value.len() == 24 && value.ends_with('Z') && value.contains('T'), format!("time: {value}"))?;
            }
            "#EXT-X-PART" => {
                let list = attributes(value)?;
                let duration = nanos(attribute(&list, "DURATION")?)?;
                let independent = attribute(&list, "INDEPENDENT").is_ok_and(|v| v == "YES");
                segment.parts.push(Part { duration, uri: attribute(&list, "URI")?.into(), independent });
            }
            "#EXTINF" => {
                segment.duration = nanos(value.strip_suffix(',').ok_or("EXTINF without its comma")?)?;
                extinf = true;
            }
            "#EXT-X-PRELOAD-HINT" => {
                let list_ = attributes(value)?;
                check(attribute(&list_, "TYPE")? == "PART", "a hint for something else")?;
                list.hint = Some(attribute(&list_, "URI")?.into());
            }
            _ => return Err(format!("unknown: {line}")),
        }
    }
    check(!extinf, "EXTINF without a URI")?;
    if segment.parts.is_empty() {
        // What comes next will not continue this.
        list.breaks = std::mem::take(&mut segment.discontinuity);
    }
    check(seen.contains("#EXT-X-TARGETDURATION"), "TARGETDURATION is missing")?;
    if !segment.parts.is_empty() {
        segment.map = map;
        list.growing = Some(segment);
    } else {
        check(segment == Segment::default(), "tags that belong to no segment")?;
    }
    Ok(list)
}

/// What a player has after a delta update `new` to its `old` playlist. A full
/// playlist stays what it is.
pub fn apply_delta(old: &MediaPlaylist, new: &MediaPlaylist) -> Result<MediaPlaylist, String> {
    let mut full = new.clone();
    if new.skipped == 0 {
        return Ok(full);
    }
    check(old.skipped == 0, "the old playlist is no full one")?;
    let mut kept = Vec::new();
    for msn in new.media_sequence..new.media_sequence + new.skipped {
        let at = msn.checked_sub(old.media_sequence).and_then(|i| old.segments.get(i as usize));
        // Their parts are long gone.
        kept.push(Segment { parts: Vec::new(), ..at.ok_or(format!("the old playlist has no {msn}"))?.clone() });
    }
    let map = kept.last().and_then(|s| s.map.clone());
    for segment in full.segments.iter_mut().chain(&mut full.growing).take_while(|s| s.map.is_none()) {
        segment.map = map.clone();
    }
    kept.append(&mut full.segments);
    full.segments = kept;
    full.skipped = 0;
    Ok(full)
}

/// The rules for one playlist, full or delta.
pub fn rules(list: &MediaPlaylist) -> Result<(), String> {
    rules_of(list, 0)
}

/// [`rules`] for a playlist that took the place of one with another PART-TARGET: before
/// its first part, which stands behind a discontinuity, no segment needs any.
pub fn rules_after_a_change(list: &MediaPlaylist) -> Result<(), String> {
    let since = match list.numbered().find(|(_, s)| !s.parts.is_empty()) {
        Some((msn, segment)) if segment.discontinuity => msn,
        Some(_) => 0,
        None => u64::MAX,
    };
    rules_of(list, since)
}

/// `parts_from`: earlier segments need no parts.
fn rules_of(list: &MediaPlaylist, parts_from: u64) -> Result<(), String> {
    const SECOND: u64 = 1_000_000_000;
    let target = list.target * SECOND;
    let low = list.part_target.is_some();
    let mapped = list.segments.iter().chain(&list.growing).any(|s| s.map.is_some());
    check(list.target > 0, "a target duration of 0")?;
    check(list.version >= 3, "decimals need version 3")?;
    check(!mapped || list.version >= 6, "MAP needs version 6")?;
    check(list.skipped == 0 || list.version >= 9, "SKIP needs version 9")?;
    check(low == list.part_hold_back.is_some() && low == list.can_block, "half of low latency")?;
    check(low || (list.can_skip_until.is_none() && list.hint.is_none() && list.growing.is_none()), "half of it")?;
    check(list.skipped == 0 || list.can_skip_until.is_some(), "SKIP was not offered")?;
    check(list.can_skip_until.is_none_or(|s| s >= 6 * target), "CAN-SKIP-UNTIL below 6 target durations")?;
    if let (Some(part), Some(hold)) = (list.part_target, list.part_hold_back) {
        check(part > 0 && hold >= 3 * part, "PART-HOLD-BACK below 3 part targets")?;
    }
    let mut names = HashSet::new();
    let end: u64 = list.segments.iter().map(|s| s.duration).sum::<u64>()
        + list.growing.iter().flat_map(|s| &s.parts).map(|p| p.duration).sum::<u64>();
    let mut at = 0;
    for (msn, segment) in list.numbered() {
        let growing = segment.uri.is_empty();
        let sum: u64 = segment.parts.iter().map(|p| p.duration).sum();
        check(growing || names.insert(&segment.uri), format!("{} twice", segment.uri))?;
        check(segment.time.is_some(), format!("{msn} has no PROGRAM-DATE-TIME"))?;
        check(growing || segment.duration > 0, format!("{msn} lasts 0 s"))?;
        check(
            (segment.duration.max(sum) + SECOND / 2) / SECOND <= list.target,
            format!("{msn} is longer than the target"),
        )?;
        let mp4 = segment.uri.split('?').next().is_some_and(|u| u.ends_with(".mp4"));
        check(!mp4 || list.skipped > 0 || segment.map.is_some(), format!("{msn} has no MAP"))?;
        check(low || segment.parts.is_empty(), format!("{msn} has parts"))?;
        if !segment.parts.is_empty() && !growing {
            check(sum == segment.duration, format!("the parts of {msn} last {sum}, not {}", segment.duration))?;
        }
        at += if growing { sum } else { segment.duration };
        if low && end - at < 3 * target && msn >= parts_from {
            check(!segment.parts.is_empty(), format!("the parts of {msn} went too early"))?;
        }
        check(end - at <= 3 * target || segment.parts.is_empty(), format!("{msn} still has parts"))?;
        let part_target = list.part_target.unwrap_or(0);
        for (index, part) in segment.parts.iter().enumerate() {
            check(names.insert(&part.uri), format!("{} twice", part.uri))?;
            check(part.duration > 0 && part.duration <= part_target, format!("part {index} of {msn} is too long"))?;
            let last = index + 1 == segment.parts.len();
            let short = part.duration * 100 < part_target * 85;
            check(!short || part.independent || last, format!("part {index} of {msn} is too short"))?;
        }
        if list.independent
            && let Some(first) = segment.parts.first()
        {
            check(first.independent, format!("{msn} is not independent"))?;
        }
    }
    check(list.hint.as_ref().is_none_or(|h| !names.contains(h)), "the hinted part is there already")?;
    // A delta leaves out only what lies before the skip boundary.
    check(list.skipped == 0 || end >= list.can_skip_until.unwrap_or(0), "it skips too much")
}

/// The rules between a playlist and the one of another name that goes on with it: what
/// may never change in a playlist may be another, and the old parts are gone.
pub fn follows_elsewhere(old: &MediaPlaylist, new: &MediaPlaylist) -> Result<(), String> {
    let (mut old, target) = (old.clone(), old.target);
    (old.target, old.part_target) = (new.target, new.part_target);
    (old.part_hold_back, old.can_skip_until, old.hint) = (new.part_hold_back, new.can_skip_until, None);
    follows_with(&old, new, target)
}

/// The rules between a playlist and the one loaded after it, both full.
pub fn follows(old: &MediaPlaylist, new: &MediaPlaylist) -> Result<(), String> {
    follows_with(old, new, new.target)
}

/// `target`: what was in force when segments were removed.
fn follows_with(old: &MediaPlaylist, new: &MediaPlaylist, target: u64) -> Result<(), String> {
    check(old.skipped == 0 && new.skipped == 0, "apply the delta first")?;
    check(old.target == new.target, "TARGETDURATION changed")?;
    check(old.part_target == new.part_target, "PART-TARGET changed")?;
    check(old.part_hold_back == new.part_hold_back, "PART-HOLD-BACK changed")?;
    check(old.can_skip_until == new.can_skip_until, "CAN-SKIP-UNTIL changed")?;
    check((old.version, old.independent) == (new.version, new.independent), "VERSION or INDEPENDENT-SEGMENTS changed")?;
    check(old.media_sequence <= new.media_sequence, "MEDIA-SEQUENCE went back")?;
    check(old.next() <= new.next(), "segments went away at the end")?;

    // All of the old ones that went must have been whole: else we were asleep.
    let gone = (new.media_sequence - old.media_sequence) as usize;
    if let Some(gone) = old.segments.get(..gone) {
        let tags = gone.iter().filter(|s| s.discontinuity).count() as u64;
        check(old.discontinuity_sequence + tags == new.discontinuity_sequence, "DISCONTINUITY-SEQUENCE is wrong")?;
    } else {
        check(old.discontinuity_sequence <= new.discontinuity_sequence, "DISCONTINUITY-SEQUENCE went back")?;
    }
    // §6.2.2: nothing is removed that makes it shorter than three targets.
    let left: u64 = new.segments.iter().map(|s| s.duration).sum();
    check(gone == 0 || left >= 3 * target * 1_000_000_000, "too much was removed")?;

    let mut known = HashSet::new();
    for (msn, was) in old.numbered() {
        known.insert(was.uri.as_str());
        known.extend(was.parts.iter().map(|p| p.uri.as_str()));
        let Some((_, is)) = new.numbered().find(|(n, _)| *n == msn) else {
            check(msn < new.media_sequence, format!("{msn} went away"))?;
            continue;
        };
        let same = (was.discontinuity, &was.map, &was.time) == (is.discontinuity, &is.map, &is.time);
        check(same, format!("the tags of {msn} changed"))?;
        if was.uri.is_empty() {
            check(is.parts.is_empty() || is.parts.starts_with(&was.parts), format!("the parts of {msn} changed"))?;
        } else {
            check((&was.uri, was.duration) == (&is.uri, is.duration), format!("{msn} changed"))?;
            check(is.parts.is_empty() || is.parts == was.parts, format!("the parts of {msn} changed"))?;
        }
    }
    let next = new.numbered().find(|(msn, _)| *msn == old.next());
    check(!old.breaks || next.is_none_or(|(_, s)| s.discontinuity), "the discontinuity that was told is none")?;
    // A playlist that ends with a URI stops hls.js 1.7.
    check(new.part_target.is_none() || new.growing.is_some() || new.hint.is_some() || new.breaks, "nothing follows")?;
    // The hint is kept, unless the segment ended before it.
    let at = old.growing.as_ref().map_or(0, |s| s.parts.len());
    for (msn, segment) in new.numbered().filter(|(n, _)| *n >= old.next()) {
        let same = msn == old.next() && at > 0;
        check(segment.uri.is_empty() || !known.contains(segment.uri.as_str()), format!("{msn}: an old name"))?;
        let fresh = &segment.parts[if same { at.min(segment.parts.len()) } else { 0 }..];
        check(fresh.iter().all(|p| !known.contains(p.uri.as_str())), format!("{msn}: an old name"))?;
        if let (true, Some(hint), Some(part)) = (msn == old.next(), &old.hint, segment.parts.get(at)) {
            check(part.uri == *hint, format!("{msn}: not the hinted part"))?;
        }
    }
    Ok(())
}
