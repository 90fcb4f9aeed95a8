//! What the camera's process can send: recordings by name, made once when it starts.

use super::rtp::Packed;
use crate::support::feed::{self, Conf};
use crate::support::nal::{self, Codec};
use base64::Engine as _;

/// One recording; a path of the server is its name and a number (`normal7`), which
/// also moves its frames in time against those of the others.
pub struct Stream {
    pub name: String,
    pub frames: Vec<Packed>,
    pub fps: u32,
    /// For the SDP.
    pub sets: String,
    pub profile: String,
}

/// The names, with what is behind them: kbit/s, size, frames in a GOP.
const STREAMS: [(&str, u32, (usize, usize), u32); 3] = [
    // fan-out's camera: 720p25, 1.7 Mbit/s, a key frame every 2 s.
    ("normal", 1_700, (1_280, 720), 50),
    ("long", 1_700, (1_280, 720), 250),
    ("small", 200, (320, 180), 50),
];

impl Stream {
    /// Makes a recording; None if there is none of this name.
    pub fn record(name: &str) -> Option<Stream> {
        let (name, bitrate_kbps, (width, height), gop_frames) = *STREAMS.iter().find(|s| s.0 == name)?;
        let conf = Conf { width, height, gop_frames, bitrate_kbps, noise: true, prerecorded: true, ..Conf::default() };
        let recorded = feed::recording(&conf);
        let key = &recorded.first()?.data;
        let sets: Vec<&[u8]> = nal::units(key)
            .map(|(_, unit)| unit)
            .filter(|unit| nal::kind(unit, Codec::H264).is_some_and(|k| nal::is_parameter_set(k, Codec::H264)))
            .collect();
        let text = |unit: &&[u8]| base64::engine::general_purpose::STANDARD.encode(unit);
        let profile = sets.first()?.get(1..4)?.iter().map(|b| format!("{b:02x}")).collect();
        Some(Stream {
            name: name.to_owned(),
            frames: recorded.iter().map(|f| Packed::new(&f.data)).collect(),
            fps: conf.fps,
            sets: sets.iter().map(text).collect::<Vec<_>>().join(","),
            profile,
        })
    }

    /// Packets a second.
    pub fn rate(&self) -> f64 {
        let packets: usize = self.frames.iter().map(Packed::len).sum();
        (packets as f64 / self.frames.len() as f64 + 1.0 / f64::from(super::serve::STAMP)) * f64::from(self.fps)
    }

    pub fn sdp(&self) -> String {
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera double\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n\
             m=video 0 RTP/AVP {pt}\r\na=rtpmap:{pt} H264/90000\r\n\
             a=fmtp:{pt} packetization-mode=1;profile-level-id={};sprop-parameter-sets={}\r\n\
             a=framerate:{}\r\na=control:track0\r\n",
            self.profile,
            self.sets,
            self.fps,
            pt = super::rtp::PAYLOAD_TYPE,
        )
    }
}
