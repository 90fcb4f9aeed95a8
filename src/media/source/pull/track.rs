//! From packets to a pad: of a picture all at once, of sound what one read brought.

use gst::prelude::*;
use gstreamer as gst;

use super::connection::Fault;
use super::rtcp::{self, Report};
use crate::media::rtp;

/// The name of the event that tells a sender report: `ssrc`, `rtp` (u32), `ntp` (u64).
pub const REPORT: &str = "camgate-sender-report";
/// A picture is in fewer packets; what never sets a marker goes on in pieces.
const MOST: usize = 1_024;

/// A stream that is set up, and where its packets go.
pub struct Track {
    /// The channels of RTP and RTCP.
    pub channels: (u8, u8),
    pub pad: gst::Pad,
    /// The payload type that the SDP tells; others are of other formats, or repairs.
    pub payload: u8,
    /// Packets belong together up to the marker.
    pub video: bool,
    waiting: Vec<gst::Buffer>,
    timestamp: u32,
    ssrc: Option<u32>,
    ended: bool,
}

impl Track {
    /// None of its packets has come.
    pub fn new(pad: gst::Pad, channels: (u8, u8), payload: u8, video: bool) -> Self {
        Track { channels, pad, payload, video, waiting: Vec::new(), timestamp: 0, ssrc: None, ended: false }
    }

    fn packet(&mut self, data: &[u8], now: Option<gst::ClockTime>) -> Result<(), Fault> {
        let Some(packet) = rtp::parse(data) else { return Ok(()) };
        let [_, second, _, _, _, _, _, _, a, b, c, d, ..] = *data else { return Ok(()) };
        if second & 0x7f != self.payload {
            return Ok(());
        }
        if self.timestamp != packet.timestamp {
            self.flush()?;
        }
        self.timestamp = packet.timestamp;
        self.ssrc = Some(u32::from_be_bytes([a, b, c, d]));
        let Ok(mut buffer) = gst::Buffer::with_size(data.len()) else { return Ok(()) };
        if let Some(buffer) = buffer.get_mut() {
            let _ = buffer.copy_from_slice(0, data);
            buffer.set_pts(now);
        }
        self.waiting.push(buffer);
        let whole = self.video && packet.marker;
        if whole || self.waiting.len() >= MOST { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let pushed = match self.waiting.len() {
            0 => return Ok(()),
            1 => self.waiting.pop().map(|buffer| self.pad.push(buffer)),
            _ => Some(self.pad.push_list(self.waiting.drain(..).collect())),
        };
        match pushed {
            // Nobody wants the stream; or the pipeline is being stopped, which ends us soon.
            None | Some(Ok(_) | Err(gst::FlowError::NotLinked | gst::FlowError::Flushing | gst::FlowError::Eos)) => {
                Ok(())
            }
            Some(Err(error)) => Err(Fault::Flow(error)),
        }
    }

    fn report(&mut self, data: &[u8]) {
        for report in rtcp::reports(data) {
            match report {
                Report::Sender { ssrc, ntp, rtp } if self.ssrc == Some(ssrc) => {
                    let told = gst::Structure::builder(REPORT).field("ssrc", ssrc).field("ntp", ntp).field("rtp", rtp);
                    self.pad.push_event(gst::event::CustomDownstream::new(told.build()));
                }
                Report::Bye { ssrc } if self.ssrc == Some(ssrc) => self.ended = true,
                _ => {}
            }
        }
    }
}

/// All streams of a connection.
pub struct Tracks {
    tracks: Vec<Track>,
    element: gst::Element,
    /// When what is being handed on came.
    now: Option<gst::ClockTime>,
}

impl Tracks {
    /// Of the pads of `element`.
    pub fn new(element: gst::Element, tracks: Vec<Track>) -> Self {
        Tracks { tracks, element, now: None }
    }

    /// Those of all.
    pub fn channels(&self) -> impl Iterator<Item = u8> {
        self.tracks.iter().flat_map(|t| [t.channels.0, t.channels.1])
    }

    /// Something was read: packets from now on came now.
    pub fn arrived(&mut self) {
        self.now = self.element.current_running_time();
    }

    /// A packet of a channel.
    pub fn packet(&mut self, channel: u8, data: &[u8]) -> Result<(), Fault> {
        for track in &mut self.tracks {
            if track.channels.0 == channel {
                return track.packet(data, self.now);
            }
            if track.channels.1 == channel {
                track.report(data);
                break;
            }
        }
        // All have said that they end.
        if self.tracks.iter().all(|t| t.ended) && !self.tracks.is_empty() { Err(Fault::Closed) } else { Ok(()) }
    }

    /// All that was read is handed on: sound waits for no more.
    pub fn pause(&mut self) -> Result<(), Fault> {
        self.tracks.iter_mut().filter(|t| !t.video).try_for_each(Track::flush)
    }

    /// Nothing more comes.
    pub fn end(&mut self) {
        for track in &mut self.tracks {
            let _ = track.flush();
            track.pad.push_event(gst::event::Eos::new());
        }
    }
}
