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
use crate::media::nal::{self, ParameterSets, sps::Profile};
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
/// the stream's own parameters refine it.
pub fn attach(sink: &gst_app::AppSink, codec: Codec, link: Arc<Link>) {
    if matches!(codec, Codec::Aac { .. }) {
        // Also where an operator's line does not say so.
        let raw = gst::Caps::builder("audio/mpeg").field("mpegversion", 4).field("stream-format", "raw");
        sink.set_caps(Some(&raw.field("framed", true).build()));
    }
    let (assembler, key_request) = (Assembler::default(), KeyRequest::default());
    let mut state = State { link, codec, caps: None, assembler, begun: false, key_request };
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
            self.learn(feed);
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
            let mut publish = |mut frame: rtp::Frame, sps: Option<&[u8]>| {
                key |= frame.key;
                if let Some(picture) = sps.and_then(|sps| picture(codec, sps)) {
                    feed.refine(kind, |track| track.clone_from(&picture));
                }
                if kind == Kind::Video {
                    // A camera's own timestamps may jump: the clock has seen to that.
                    frame.timestamp = ticks(frame.pts_ns, codec);
                }
                if feed.publish(kind, frame) && !link.ready.swap(true, Ordering::Relaxed) {
                    link.tell(Event::Ready);
                }
            };
            if let Codec::Aac { format, .. } = codec {
                let first = !std::mem::replace(begun, true);
                let frame = if first && *format == "MP4A-LATM" { aac::without_length(&map) } else { &map };
                rtp::Frame::whole(frame, ticks(pts, codec), pts).into_iter().for_each(|frame| publish(frame, None));
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

    /// New caps: parameter sets that the SDP or a payloader tells; of AAC the configuration.
    fn learn(&mut self, feed: &Feed) {
        let Some(caps) = self.caps.as_ref().and_then(|c| c.structure(0)) else { return };
        let sets = |key: &str| caps.get::<&str>(key).map(sdp::parameter_sets).unwrap_or_default();
        match &mut self.codec {
            Codec::H264 { .. } => {
                let both = sets("sprop-parameter-sets");
                let (sps, pps): (Vec<_>, Vec<_>) =
                    both.into_iter().partition(|s| s.first().is_some_and(|b| b & 0x1f == 7));
                // What the stream itself has told is not forgotten for less.
                if !sps.is_empty() && !pps.is_empty() {
                    self.assembler.learn(ParameterSets { sps, pps, ..Default::default() });
                }
            }
            Codec::H265 { .. } => {
                let (vps, sps, pps) = (sets("sprop-vps"), sets("sprop-sps"), sets("sprop-pps"));
                if !sps.is_empty() && !pps.is_empty() {
                    self.assembler.learn(ParameterSets { vps, sps, pps });
                }
            }
            Codec::Aac { config, .. } => {
                let data =
                    caps.get::<gst::Buffer>("codec_data").ok().and_then(|b| b.into_mapped_buffer_readable().ok());
                if let Some(map) = data {
                    *config = map.to_vec();
                }
                let codec = self.codec.clone();
                feed.refine(codec.kind(), |track| track.codec = codec);
            }
            _ => {}
        }
    }
}

/// What a sequence parameter set tells of the pictures.
fn picture(codec: &Codec, sps: &[u8]) -> Option<Track> {
    let sps = match codec {
        Codec::H264 { .. } => nal::sps::parse_h264(sps),
        Codec::H265 { .. } => nal::sps_h265::parse_h265(sps),
        _ => None,
    }?;
    let codec = match sps.profile {
        Profile::H264 { profile_level_id } => Codec::H264 { profile_level_id },
        Profile::H265 { idc, high, level, .. } => {
            Codec::H265 { profile_id: idc, tier_flag: u8::from(high), level_id: level }
        }
    };
    let fps = sps.fps.map(|(n, d)| f64::from(n) / f64::from(d));
    Some(Track { codec, width: Some(sps.width), height: Some(sps.height), fps })
}

/// A time of the path's clock as a timestamp of the codec.
fn ticks(ns: u64, codec: &Codec) -> u32 {
    (u128::from(ns) * u128::from(codec.clock_rate()) / 1_000_000_000) as u32
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
