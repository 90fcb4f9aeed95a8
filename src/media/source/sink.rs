//! The end of a source pipeline: an appsink whose packets (of AAC: frames) become
//! access units in the Hub. Runs on the source's streaming threads; allocates once per frame.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use tokio::sync::mpsc;

use crate::media::aac;
use crate::media::codec::{Codec, Kind, Track};
use crate::media::hub::{Feed, Hub};
use crate::media::rtp::{self, Assembler};
use crate::media::sdp;
use crate::media::source::Event;
use crate::media::source::key_request::{self, KeyRequest};

/// What the callbacks of one attempt share.
#[derive(Debug)]
pub struct Link {
    pub hub: Arc<Hub>,
    /// The Hub's epoch when this attempt was made.
    since: u64,
    pub feed: OnceLock<Feed>,
    pub events: mpsc::Sender<Event>,
    ready: AtomicBool,
}

impl Link {
    pub fn new(hub: &Arc<Hub>, events: mpsc::Sender<Event>) -> Arc<Self> {
        Arc::new(Link {
            hub: hub.clone(),
            since: hub.epoch(),
            feed: OnceLock::new(),
            events,
            ready: AtomicBool::new(false),
        })
    }

    /// Tells the path; a full channel loses what nobody would read.
    pub fn tell(&self, event: Event) {
        let _ = self.events.try_send(event);
    }

    /// Whether readers could start from this attempt.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The camera described itself: a new epoch of the Hub begins.
    pub fn describe(&self, tracks: Vec<Track>) {
        let Some(feed) = self.hub.begin(self.since, tracks.clone()) else { return };
        let _ = self.feed.set(feed);
        self.tell(Event::Tracks(tracks));
    }
}

/// Connects the appsink to the Hub. `codec` is what the SDP or the caps said;
/// the stream's own parameters refine it. `parse` is the element whose source
/// caps tell the picture's size, where there is one.
pub fn attach(sink: &gst_app::AppSink, codec: Codec, parse: Option<gst::Element>, link: Arc<Link>) {
    if matches!(codec, Codec::Aac { .. }) {
        // Also where an operator's line does not say so.
        let raw = gst::Caps::builder("audio/mpeg").field("mpegversion", 4).field("stream-format", "raw");
        sink.set_caps(Some(&raw.field("framed", true).build()));
    }
    let (assembler, key_request) = (Assembler::default(), KeyRequest::default());
    let mut state = State { link, codec, parse, caps: None, assembler, begun: false, key_request };
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                state.take(sink, &sample);
                // Always Ok: nothing behind the sink can fail the source.
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
}

struct State {
    link: Arc<Link>,
    codec: Codec,
    parse: Option<gst::Element>,
    caps: Option<gst::Caps>,
    assembler: Assembler,
    /// A frame of AAC has come.
    begun: bool,
    key_request: KeyRequest,
}

impl State {
    fn take(&mut self, sink: &gst_app::AppSink, sample: &gst::Sample) {
        let link = self.link.clone();
        let Some(feed) = link.feed.get() else { return };
        if self.caps.as_deref() != sample.caps() {
            self.caps = sample.caps_owned();
            self.refine(feed);
        }
        let base = sink.base_time().map_or(0, gst::ClockTime::nseconds);
        let segment = sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>());
        let kind = self.codec.kind();
        let (codec, assembler, begun) = (&self.codec, &mut self.assembler, &mut self.begun);
        let mut key = false;
        let mut one = |buffer: &gst::BufferRef| {
            let Ok(map) = buffer.map_readable() else { return };
            let time = buffer.pts().and_then(|pts| segment.map_or(Some(pts), |s| s.to_running_time(pts)));
            // Without a timestamp the moment of arrival is the best guess.
            let pts = time.map_or_else(now_ns, |t| base + t.nseconds());
            let publish = |frame: rtp::Frame| {
                key |= frame.key;
                if feed.publish(kind, frame) && !link.ready.swap(true, Ordering::Relaxed) {
                    link.tell(Event::Ready);
                }
            };
            if let Codec::Aac { format, .. } = codec {
                let ticks = u128::from(pts) * u128::from(codec.clock_rate()) / 1_000_000_000;
                let first = !std::mem::replace(begun, true);
                let frame = if first && *format == "MP4A-LATM" { aac::without_length(&map) } else { &map };
                rtp::Frame::whole(frame, ticks as u32, pts).into_iter().for_each(publish);
            } else if let Some(packet) = rtp::parse(&map) {
                assembler.push(codec, packet, pts, publish);
            }
        };
        if let Some(list) = sample.buffer_list() {
            list.iter().for_each(&mut one);
        } else if let Some(buffer) = sample.buffer() {
            one(buffer);
        }
        if kind == Kind::Video {
            self.ask(sink, feed, key);
        }
    }

    /// Passes on to the source that a key frame is wanted. Here and not where it is wanted:
    /// an event goes through the source's elements and their locks, and no media thread waits
    /// for those.
    fn ask(&mut self, sink: &gst_app::AppSink, feed: &Feed, key: bool) {
        let wanted = feed.key_wanted();
        if !key && !wanted {
            return;
        }
        let now = Instant::now();
        if key {
            self.key_request.key(now);
        }
        if wanted && self.key_request.wanted(now) {
            let taken = sink.static_pad("sink").is_some_and(|pad| pad.push_event(key_request::event()));
            tracing::debug!(taken, "the source is asked for a key frame");
        }
    }

    /// New caps: the profile (of AAC: the configuration) from the packets' caps, the size
    /// from the parser's.
    fn refine(&mut self, feed: &Feed) {
        let rtp_caps = self.caps.as_ref().and_then(|c| c.structure(0).map(ToOwned::to_owned));
        let raw = self
            .parse
            .as_ref()
            .and_then(|p| p.static_pad("src"))
            .and_then(|p| p.current_caps())
            .and_then(|c| c.structure(0).map(ToOwned::to_owned));
        if let (Codec::H264 { profile_level_id }, Some(s)) = (&mut self.codec, &rtp_caps)
            && let Some(id) = s.get::<&str>("profile-level-id").ok().and_then(sdp::hex3)
        {
            *profile_level_id = id;
        }
        if let (Codec::H265 { profile_id, tier_flag, level_id }, Some(s)) = (&mut self.codec, &rtp_caps) {
            let number = |key: &str| s.get::<&str>(key).ok().and_then(|v| v.parse::<u8>().ok());
            *profile_id = number("profile-id").unwrap_or(*profile_id);
            *tier_flag = number("tier-flag").unwrap_or(*tier_flag);
            *level_id = number("level-id").unwrap_or(*level_id);
        }
        if let (Codec::Aac { config, .. }, Some(s)) = (&mut self.codec, &rtp_caps)
            && let Some(map) =
                s.get::<gst::Buffer>("codec_data").ok().and_then(|b| b.into_mapped_buffer_readable().ok())
        {
            *config = map.to_vec();
        }
        let codec = self.codec.clone();
        feed.refine(codec.kind(), |track| {
            track.codec = codec;
            if let Some(s) = raw {
                track.width = s.get::<i32>("width").ok().and_then(|w| u32::try_from(w).ok());
                track.height = s.get::<i32>("height").ok().and_then(|h| u32::try_from(h).ok());
                track.fps = s
                    .get::<gst::Fraction>("framerate")
                    .ok()
                    .filter(|f| f.numer() > 0 && f.denom() > 0)
                    .map(|f| f64::from(f.numer()) / f64::from(f.denom()));
            }
        });
    }
}

/// CLOCK_MONOTONIC in ns, the clock of every pipeline here.
fn now_ns() -> u64 {
    gst::SystemClock::obtain().time().nseconds()
}

/// The kind of packets an appsink's name stands for.
pub fn kind_of(name: &str) -> Option<Kind> {
    match name {
        crate::media::template::VIDEO_SINK => Some(Kind::Video),
        crate::media::template::AUDIO_SINK => Some(Kind::Audio),
        _ => None,
    }
}
