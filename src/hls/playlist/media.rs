//! Writes the media playlist. Pure.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use super::window::{Segment, Variant, Window};
use super::{SECOND, seconds, suffix};

/// How one reader wants it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options<'a> {
    /// Goes behind each URI, without the `?`, percent-encoded already.
    pub query: &'a str,
    /// Leave out what the reader has (`_HLS_skip`).
    pub skip: bool,
}

impl<B: AsRef<[u8]>> Window<B> {
    /// Whether a playlist can go out that players make something of: with less than a whole
    /// segment they find nothing.
    pub fn ready(&self) -> bool {
        self.target.is_some() && self.segments() > 0
    }

    /// The media playlist; `None` before [`Window::open`], and as long as there
    /// is nothing to list.
    pub fn media(&self, options: &Options<'_>) -> Option<String> {
        let target = self.target?;
        let low = self.config.variant == Variant::LowLatency;
        let growing = self.current.as_ref().filter(|s| low && !s.parts.is_empty());
        if self.listed.is_empty() && growing.is_none() {
            return None;
        }
        let query = suffix(options.query);
        let mut out = String::with_capacity(4096);
        self.header(&mut out, target);

        // What lies between the segment's end and the end of the playlist.
        let mut after = self.duration() + growing.map_or(0, |s| s.units);
        let (skip_from, parts_from) = (6 * target * SECOND, 3 * target * SECOND);
        let mut skipped = 0;
        let mut map = None;
        for segment in &self.listed {
            after -= segment.units;
            // §6.2.5.1: the reader has what lies before the skip boundary. It
            // keeps the map too, so that the rest goes on as if it stood here.
            if low && options.skip && after > skip_from {
                skipped += 1;
                map = segment.map;
                continue;
            }
            if skipped > 0 {
                let _ = writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
                skipped = 0;
            }
            self.before(&mut out, segment, &mut map, &query);
            // §6.2.2: parts more than three target durations from the end go.
            if low && after < parts_from && segment.msn >= self.parts_from {
                self.parts(&mut out, segment, &query);
            }
            let (duration, name) = (seconds(segment.units), self.segment_name(segment.msn));
            let _ = writeln!(out, "#EXTINF:{duration},\n{name}{query}");
        }
        if let Some(segment) = growing {
            self.before(&mut out, segment, &mut map, &query);
            self.parts(&mut out, segment, &query);
        }
        // What comes next does not continue this. hls.js 1.7 has to be told at once: it takes
        // the last segment of a playlist that ends with its URI for the one that grows, and
        // gives up when that shows behind a discontinuity.
        let next_breaks = self.current.as_ref().map_or(self.broken, |s| s.discontinuity);
        if low && growing.is_none() && next_breaks {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if let Some((msn, part)) = self.hint() {
            let _ = writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}{query}\"", self.part_name(msn, part));
        }
        Some(out)
    }

    fn header(&self, out: &mut String, target: u64) {
        // §8: decimals in EXTINF need 3, a MAP 6, a SKIP 9. One number for the
        // full playlist and its updates.
        let version = match self.config.variant {
            Variant::Mpegts => 3,
            Variant::Fmp4 => 6,
            Variant::LowLatency => 9,
        };
        let _ = writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target}");
        if self.config.independent_segments {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        if self.config.variant == Variant::LowLatency {
            let part = self.part_target();
            // Three part targets: two are the norm's least, three are what
            // Apple's authoring specification asks for.
            let (hold, skip) = (seconds(3 * part), seconds(6 * target * SECOND));
            let _ = writeln!(
                out,
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={hold},CAN-SKIP-UNTIL={skip}\n\
                 #EXT-X-PART-INF:PART-TARGET={}",
                seconds(part)
            );
        }
        let first = self.listed.front().map_or(self.next, |s| s.msn);
        let _ = writeln!(
            out,
            "#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}",
            self.discontinuity_sequence
        );
    }

    /// The tags before a segment's parts. `map` is the one in force.
    fn before(&self, out: &mut String, segment: &Segment<B>, map: &mut Option<u64>, query: &str) {
        if segment.discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if segment.map != *map {
            if let Some(number) = segment.map {
                let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}{query}\"", self.map_name(number));
            }
            *map = segment.map;
        }
        // humantime ends with the year 9999; a wilder clock shows its last day.
        let time = UNIX_EPOCH + Duration::from_millis(segment.time.min(253_402_300_799_999));
        let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", humantime::format_rfc3339_millis(time));
    }

    fn parts(&self, out: &mut String, segment: &Segment<B>, query: &str) {
        for (index, part) in segment.parts.iter().enumerate() {
            let (duration, name) = (seconds(part.units), self.part_name(segment.msn, index));
            let _ = write!(out, "#EXT-X-PART:DURATION={duration},URI=\"{name}{query}\"");
            out.push_str(if part.independent { ",INDEPENDENT=YES\n" } else { "\n" });
        }
    }
}
