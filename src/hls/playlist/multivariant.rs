//! Writes the multivariant playlist. Pure.

use std::fmt::Write as _;

use super::suffix;

/// One variant stream, its audio muxed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its media playlist, without a query.
    pub uri: String,
    /// The peak bit rate, in bits per second.
    pub bandwidth: u64,
    /// The average bit rate.
    pub average_bandwidth: Option<u64>,
    /// The RFC 6381 strings of all that is in it: `avc1.64001f`, `mp4a.40.2`.
    pub codecs: Vec<String>,
    /// Width and height.
    pub resolution: Option<(u32, u32)>,
    /// Frames over seconds: (30000, 1001).
    pub frame_rate: Option<(u32, u32)>,
}

/// Writes the multivariant playlist: the streams in the order given, as players
/// start with the first one. `query` goes behind each URI.
pub fn multivariant(streams: &[Stream], query: &str) -> String {
    // No INDEPENDENT-SEGMENTS here: it would promise for all streams at once.
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:6\n");
    let query = suffix(query);
    for stream in streams {
        // An estimate below the average would be none; 0 is no bit rate.
        let peak = stream.bandwidth.max(stream.average_bandwidth.unwrap_or(0)).max(1);
        let _ = write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={peak}");
        if let Some(average) = stream.average_bandwidth {
            let _ = write!(out, ",AVERAGE-BANDWIDTH={average}");
        }
        if !stream.codecs.is_empty() {
            let _ = write!(out, ",CODECS=\"{}\"", stream.codecs.join(","));
        }
        if let Some((width, height)) = stream.resolution {
            let _ = write!(out, ",RESOLUTION={width}x{height}");
        }
        if let Some((frames, per)) = stream.frame_rate.filter(|(_, per)| *per > 0) {
            let thousandths = (u64::from(frames) * 1000 + u64::from(per) / 2) / u64::from(per);
            let _ = write!(out, ",FRAME-RATE={}.{:03}", thousandths / 1000, thousandths % 1000);
        }
        let _ = writeln!(out, "\n{}{query}", stream.uri);
    }
    out
}
