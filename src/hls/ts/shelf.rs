//! The finished segments of a transport stream, as readers ask for them. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::hls::cutter::{Cut, LONGEST_GOP};
use crate::hls::playlist::{Config, Stream, Window};

/// Segments that are on their way through the pipeline: more, and it is stuck.
const UNDER_WAY: usize = 64;

/// Where a segment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// When its first frame was captured, ms since 1970.
    pub wall_ms: u64,
    /// It begins with a key frame.
    pub independent: bool,
    /// It does not continue the one before.
    pub discontinuity: bool,
}

/// A segment that the sink has finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Counts them, from 0.
    pub number: u64,
    /// From its first frame to the next one's.
    pub duration: Duration,
    /// The transport stream.
    pub data: Bytes,
}

/// See the module.
#[derive(Debug)]
pub struct Shelf {
    window: Window<Bytes>,
    segment: Duration,
    /// Those that the pipeline has not finished.
    under_way: VecDeque<Begin>,
    /// The number of the next fragment.
    next: u64,
    stream: Stream,
}

impl Shelf {
    /// An empty one; `stream` says what is in it, without URI and bit rates.
    pub fn new(cut: &Cut, stream: Stream) -> Self {
        let config = Config {
            variant: cut.variant,
            segment_count: cut.segments,
            part_target: LONGEST_GOP,
            prefix: cut.prefix.clone(),
            independent_segments: false,
        };
        Shelf { window: Window::new(config, None), segment: cut.segment, under_way: VecDeque::new(), next: 0, stream }
    }

    /// What readers ask.
    pub fn window(&self) -> &Window<Bytes> {
        &self.window
    }

    /// The stream for the multivariant playlist; `uri` is its media playlist.
    pub fn stream(&self, uri: String) -> Stream {
        let rates = self.window.bit_rates();
        Stream {
            uri,
            bandwidth: rates.map_or(0, |r| r.0),
            average_bandwidth: rates.map(|r| r.1),
            ..self.stream.clone()
        }
    }

    /// Lets playlists out: no segment will be longer than what whole GOPs of this length
    /// make of the configured one. Returns the most that a segment may last from now on.
    pub fn open(&mut self, gop: Duration) -> Duration {
        let gop = gop.clamp(Duration::from_millis(1), LONGEST_GOP);
        let count = self.segment.as_nanos().div_ceil(gop.as_nanos()).clamp(1, 10_000);
        self.window.open(gop * u32::try_from(count).unwrap_or(1));
        self.window.limit()
    }

    /// A segment has begun, of a stream that is like this now.
    ///
    /// Error: the pipeline does not finish any.
    pub fn begin(&mut self, begin: Begin, stream: Stream) -> Result<(), String> {
        if self.under_way.len() >= UNDER_WAY {
            return Err(format!("it has finished none of the last {UNDER_WAY} segments"));
        }
        self.under_way.push_back(begin);
        self.stream = stream;
        Ok(())
    }

    /// Segments that the pipeline has not finished, the one that grows among them.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Takes the next finished segment.
    ///
    /// Error: it is not the one that was to come.
    pub fn take(&mut self, fragment: Fragment) -> Result<(), String> {
        let begin = self.under_way.pop_front().filter(|_| fragment.number == self.next);
        let begin = begin.ok_or_else(|| format!("segment {} came in place of {}", fragment.number, self.next))?;
        self.next += 1;
        if begin.discontinuity {
            self.window.discontinuity(None);
        }
        let listed = self.window.begin_segment(begin.wall_ms, begin.independent).and_then(|()| {
            self.window.add_part(fragment.duration, begin.independent, fragment.data)?;
            self.window.end_segment()
        });
        if let Err(refused) = listed {
            tracing::warn!(duration = ?fragment.duration, "a segment was lost: {refused}");
            self.window.discontinuity(None);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hls::playlist::{Options, Variant};

    fn shelf() -> Shelf {
        let cut = Cut {
            variant: Variant::Mpegts,
            segments: 3,
            segment: Duration::from_secs(1),
            part: Duration::from_millis(200),
            max_bytes: 1 << 20,
            prefix: "hls-1".into(),
        };
        Shelf::new(&cut, stream())
    }

    fn stream() -> Stream {
        Stream {
            uri: String::new(),
            bandwidth: 0,
            average_bandwidth: None,
            codecs: vec!["avc1.64001f".into()],
            resolution: Some((640, 360)),
            frame_rate: Some((25, 1)),
        }
    }

    fn begin(n: u64, discontinuity: bool) -> Begin {
        Begin { wall_ms: 1_700_000_000_000 + n * 1_000, independent: true, discontinuity }
    }

    fn fragment(number: u64, ms: u64) -> Fragment {
        Fragment { number, duration: Duration::from_millis(ms), data: Bytes::from(vec![0x47; 188]) }
    }

    #[test]
    fn segments_are_listed_as_they_are_finished() {
        let mut s = shelf();
        assert_eq!(s.open(Duration::from_millis(500)), Duration::from_millis(1_100));
        s.begin(begin(0, false), stream()).unwrap();
        assert_eq!(s.window().media(&Options::default()), None);
        for n in 0..5 {
            s.begin(begin(n + 1, n == 2), stream()).unwrap();
            s.take(fragment(n, 1_000)).unwrap();
        }
        assert_eq!(s.under_way(), 1);
        let text = s.window().media(&Options::default()).unwrap();
        let want = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:2\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
             #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:22.000Z\n#EXTINF:1.00000,\nhls-1_seg2.ts\n\
             #EXT-X-DISCONTINUITY\n\
             #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:23.000Z\n#EXTINF:1.00000,\nhls-1_seg3.ts\n\
             #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:24.000Z\n#EXTINF:1.00000,\nhls-1_seg4.ts\n";
        assert_eq!(text, want);
        let s = s.stream("hls-1.m3u8".into());
        assert_eq!((s.uri.as_str(), s.bandwidth, s.average_bandwidth), ("hls-1.m3u8", 1_504, Some(1_504)));
    }

    #[test]
    fn one_that_is_too_long_is_left_out_and_the_next_does_not_continue() {
        let mut s = shelf();
        s.open(Duration::from_secs(1));
        for n in 0..3 {
            s.begin(begin(n, false), stream()).unwrap();
            s.take(fragment(n, if n == 1 { 5_000 } else { 1_000 })).unwrap();
        }
        let text = s.window().media(&Options::default()).unwrap();
        assert_eq!(text.matches("#EXTINF").count(), 2);
        assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1);
    }

    #[test]
    fn what_is_out_of_order_and_what_never_ends_are_errors() {
        let mut s = shelf();
        assert!(s.take(fragment(0, 1_000)).unwrap_err().contains("segment 0"));
        s.begin(begin(0, false), stream()).unwrap();
        assert!(s.take(fragment(7, 1_000)).is_err());
        let mut s = shelf();
        for n in 0..UNDER_WAY as u64 {
            s.begin(begin(n, false), stream()).unwrap();
        }
        assert!(s.begin(begin(99, false), stream()).unwrap_err().contains("finished none"));
    }
}
