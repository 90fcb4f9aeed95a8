//! One running media of the camera double: the launch line, the appsrc that
//! takes the feed's access units, and the probes.

use super::camera_builder::Audio;
use super::faults::Fault;
use super::feed::{AccessUnit, Conf, Shared, Sink};
use super::nal::Codec;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_rtsp_server as rtsp;
use rtsp::prelude::*;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The line for gst-rtsp-server. Real cameras send one slice per packet or
/// fragment and the parameter sets before each key frame; so does this.
pub fn launch_line(conf: &Conf, audio: Option<Audio>, noise: bool) -> String {
    let (caps, pay) = match conf.codec {
        Codec::H264 => ("video/x-h264", "rtph264pay"),
        Codec::H265 => ("video/x-h265", "rtph265pay"),
    };
    let video = format!(
        "appsrc name=video is-live=true format=time max-bytes=16000000 leaky-type=upstream \
         caps={caps},stream-format=byte-stream,alignment=au ! {pay} name=pay0 pt=96 mtu=1400"
    );
    let wave = if noise { "white-noise" } else { "sine" };
    let sound = |rate, rest| {
        format!(
            "audiotestsrc is-live=true samplesperbuffer={} wave={wave} freq=440 volume=0.2 ! \
             audio/x-raw,rate={rate},channels=1 ! audioconvert ! {rest}",
            rate / 50 // 20 ms, as cameras send it
        )
    };
    let audio = match audio {
        None => String::new(),
        Some(Audio::Pcmu) => sound(8000, "mulawenc ! rtppcmupay name=pay1 pt=0"),
        Some(Audio::Pcma) => sound(8000, "alawenc ! rtppcmapay name=pay1 pt=8"),
        Some(Audio::Opus) => sound(48000, "opusenc ! rtpopuspay name=pay1 pt=97"),
        Some(Audio::Aac) => sound(48000, "avenc_aac ! aacparse ! rtpmp4gpay name=pay1 pt=97"),
        Some(Audio::Latm) => sound(16000, "avenc_aac ! aacparse ! rtpmp4apay name=pay1 pt=97"),
    };
    format!("( {video} {audio} )")
}

/// What the media shares with its camera.
pub struct Controls {
    /// Nothing is sent while this is true.
    pub stalled: AtomicBool,
    /// The next frame after a connect becomes a key frame.
    pub key_on_connect: AtomicBool,
    pub faults: Mutex<Vec<Fault>>,
    /// Resets all connections.
    pub reset: Box<dyn Fn() + Send + Sync>,
    pub times: Mutex<Times>,
}

/// What a reader was sent, on the one clock of its media: ns of running time. For cameras
/// with one reader.
#[derive(Default)]
pub struct Times {
    /// By the frame's index.
    pub frames: HashMap<u32, u64>,
    /// By the encoded sound; see [`digest`]. Its first sample's time.
    pub sounds: HashMap<u64, u64>,
}

impl Times {
    /// Entries of each kind; more are not kept.
    const KEPT: usize = 20_000;

    fn sound(&mut self, data: &[u8], pts: gst::ClockTime) {
        if self.sounds.len() < Self::KEPT {
            self.sounds.insert(digest(data), pts.nseconds());
        }
    }

    fn frame(&mut self, index: u32, pts: gst::ClockTime) {
        if self.frames.len() < Self::KEPT {
            self.frames.insert(index, pts.nseconds());
        }
    }
}

/// Names a packet's worth of encoded sound. Noise is never the same twice.
pub fn digest(data: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}

/// Frames that are still between appsrc and payloader: timestamp → index.
type InFlight = Arc<Mutex<VecDeque<(gst::ClockTime, u32)>>>;

struct MediaSink {
    src: gst_app::AppSrc,
    controls: Arc<Controls>,
    /// The media's running time zero; set by the first frame.
    zero: Mutex<Option<Instant>>,
    state: Mutex<State>,
    in_flight: InFlight,
}

#[derive(Default)]
struct State {
    started: bool,
    asked: bool,
    delivered: u32,
}

impl Sink for MediaSink {
    fn take(&self, au: &AccessUnit, feed: &Shared) -> bool {
        let mut state = self.state.lock().unwrap();
        if self.controls.stalled.load(SeqCst) {
            return true;
        }
        // Live media run from their first moment; before that nothing can be pushed.
        // A pipeline that starts hands out its clock before its base time: in between the
        // running time is the machine's uptime, and nothing that is stamped with it is sent.
        let begun = self.src.base_time().is_some_and(|base| base > gst::ClockTime::ZERO);
        let Some(running) = self.src.current_running_time().filter(|_| begun) else {
            return self.src.parent().is_some();
        };
        if !state.started && !au.key {
            if self.controls.key_on_connect.load(SeqCst) && !state.asked {
                state.asked = true;
                feed.request_key();
            }
            return true;
        }
        let zero = *self.zero.lock().unwrap().get_or_insert_with(|| {
            let now = Instant::now();
            now.checked_sub(Duration::from_nanos(running.nseconds())).unwrap_or(now)
        });
        // The time of capture, which is past: the server's sinks never wait for it.
        let pts = gst::ClockTime::from_nseconds(au.captured.saturating_duration_since(zero).as_nanos() as u64);
        self.controls.times.lock().unwrap().frame(au.index, pts);
        state.started = true;
        state.delivered += 1;
        for fault in self.controls.faults.lock().unwrap().iter() {
            match fault {
                Fault::StallAfter(frames) if state.delivered > *frames => return true,
                Fault::ResetAfter(frames) if state.delivered > *frames => {
                    (self.controls.reset)();
                    return false;
                }
                _ => {}
            }
        }
        {
            let mut in_flight = self.in_flight.lock().unwrap();
            if in_flight.len() > 1000 {
                in_flight.pop_front();
            }
            in_flight.push_back((pts, au.index));
        }
        let mut buffer = gst::Buffer::from_slice(au.data.clone());
        buffer.get_mut().unwrap().set_pts(pts);
        // Flushing is no end: a media that is being started flushes, too, and one that
        // let go of its frames then was a camera that plays and sends nothing.
        self.src.push_buffer(buffer).is_ok() || self.src.parent().is_some()
    }
}

/// Fills a fresh media: subscribes its appsrc to the feed, sets the probes.
pub fn configure(media: &rtsp::RTSPMedia, feed: &Arc<Shared>, controls: &Arc<Controls>) -> Arc<dyn Sink> {
    // A camera sends what it has. The server's sinks would wait for the clock, and were seen
    // to wait for minutes with a live source of sound (1.22): a camera without sound.
    media.set_rate_control(false);
    let bin = media.element().downcast::<gst::Bin>().unwrap();
    let src = bin.by_name("video").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let in_flight = InFlight::default();
    let pay = bin.by_name("pay0").unwrap();
    let frames = feed.frames.clone();
    let seen = in_flight.clone();
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pay.static_pad("src").unwrap().add_probe(kinds, move |_, info| {
        let pts = match &info.data {
            Some(gst::PadProbeData::Buffer(b)) => b.pts(),
            Some(gst::PadProbeData::BufferList(l)) => l.get(0).and_then(|b| b.pts()),
            _ => None,
        };
        // Each packet notes the time; that of the frame's last one stays.
        let found = seen.lock().unwrap().iter().rev().find(|(at, _)| Some(*at) == pts).copied();
        if let Some((_, index)) = found {
            frames.sent(index);
        }
        gst::PadProbeReturn::Ok
    });
    if let Some(pay) = bin.by_name("pay1") {
        // A live audio source beside an appsrc makes PLAY fail ("seek failed").
        pay.static_pad("sink").unwrap().add_probe(
            gst::PadProbeType::QUERY_UPSTREAM | gst::PadProbeType::QUERY_DOWNSTREAM,
            |_, info| {
                if let Some(query) = info.query_mut()
                    && let gst::QueryViewMut::Seeking(seeking) = query.view_mut()
                {
                    seeking.set(false, gst::ClockTime::NONE, gst::ClockTime::NONE);
                    return gst::PadProbeReturn::Handled;
                }
                gst::PadProbeReturn::Ok
            },
        );
        let times = controls.clone();
        pay.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(gst::PadProbeData::Buffer(b)) = &info.data
                && let (Some(pts), Ok(map)) = (b.pts(), b.map_readable())
            {
                times.times.lock().unwrap().sound(&map, pts);
            }
            gst::PadProbeReturn::Ok
        });
        let controls = controls.clone();
        pay.static_pad("src").unwrap().add_probe(kinds, move |_, _| {
            if controls.stalled.load(SeqCst) { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
        });
    }
    Arc::new(MediaSink { src, controls: controls.clone(), zero: Mutex::default(), state: Mutex::default(), in_flight })
}
