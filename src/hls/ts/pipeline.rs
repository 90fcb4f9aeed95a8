//! `appsrc ! hlssink2` (one appsrc a track): frames in, finished segments out, all in memory.
//!
//! Where a segment begins is the plan's decision. The sink cuts at the time that it is
//! told, in front of a buffer that is no delta unit; it finishes a segment when the next
//! such buffer comes. So the frame behind a segment's first one passes for a key frame
//! until it is in the multiplexer: a segment is there a frame after its end, and not a
//! GOP after it.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gst::glib;
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use tokio::sync::mpsc;

use crate::hls::ts::plan::Frame;
use crate::hls::ts::shelf::Fragment;
use crate::hls::ts::voice::{Heard, Voice};
use crate::media::nal::Format;
use crate::media::pipeline::Pipeline;

/// Finished segments that wait for the muxer's task.
const EVENTS: usize = 64;
/// Most bytes that wait to be multiplexed: seconds of any camera.
const WAITING: u64 = 16 << 20;
/// What a buffer says of its frame, in its offset, which nothing behind us uses: decoding
/// can start here; a segment begins here.
const KEY: u64 = 1;
const BEGINS: u64 = 2;

/// What the pipeline has to say.
#[derive(Debug)]
pub enum Event {
    /// A segment is finished.
    Fragment(Fragment),
    /// It has failed: why.
    Failed(String),
}

/// The pipeline of one muxer.
#[derive(Debug)]
pub struct Sink {
    pipeline: Pipeline,
    video: gst_app::AppSrc,
    audio: Option<gst_app::AppSrc>,
    /// The first segment needs no cut.
    begun: bool,
}

impl Sink {
    /// Makes the pipeline, in NULL. May take a while, for plugins are loaded: not on an
    /// async thread. `max_bytes` of a segment are kept.
    ///
    /// Error: an element that is missing, by name.
    pub fn new(
        name: &str,
        format: Format,
        voice: Option<&Voice>,
        max_bytes: usize,
    ) -> Result<(Self, mpsc::Receiver<Event>), String> {
        let sink = make("hlssink2")?;
        sink.set_property("target-duration", 0u32);
        sink.set_property("send-keyframe-requests", false);
        // What it keeps in mind of segments that were; it writes none.
        sink.set_property("playlist-length", 1u32);
        sink.set_property("max-files", 1u32);
        let fragments = Arc::new(Fragments::default());
        let theirs = fragments.clone();
        sink.connect("get-fragment-stream", false, move |_| {
            Some(gio::WriteOutputStream::new(theirs.open(max_bytes)).to_value())
        });
        sink.connect("get-playlist-stream", false, |_| Some(gio::WriteOutputStream::new(std::io::sink()).to_value()));
        sink.connect("delete-fragment", false, |_| None);

        let media = if format == Format::H264 { "video/x-h264" } else { "video/x-h265" };
        let caps = gst::Caps::builder(media).field("stream-format", "byte-stream").field("alignment", "au").build();
        let video = source("video", &caps);
        let pipeline = gst::Pipeline::with_name(&format!("hls-{name}"));
        let text = |e: glib::BoolError| e.to_string();
        pipeline.add_many([video.upcast_ref(), &sink]).map_err(text)?;
        let input = sink.request_pad_simple("video").ok_or("hlssink2 takes no video")?;
        let output = video.static_pad("src").ok_or("appsrc without a pad")?;
        output.link(&input).map_err(|e| e.to_string())?;
        let bin = sink.downcast_ref::<gst::Bin>().ok_or("hlssink2 is no bin")?;
        let splitter = within(bin, "splitmuxsink").ok_or("hlssink2 without splitmuxsink")?;
        let multiplexer = within(bin, "mpegtsmux").ok_or("hlssink2 without mpegtsmux")?;
        cut_where_told(&output, &splitter);
        for pad in multiplexer.sink_pads() {
            pad.add_probe(gst::PadProbeType::BUFFER, true_colours);
        }
        let audio = match voice.map(Voice::config) {
            None => None,
            Some((raw, aac)) => {
                // The multiplexer writes the ADTS headers.
                let caps = gst::Caps::builder("audio/mpeg")
                    .field("mpegversion", 4i32)
                    .field("framed", true)
                    .field("stream-format", "raw")
                    .field("rate", i32::try_from(aac.sample_rate).unwrap_or(i32::MAX))
                    .field("channels", i32::from(aac.channels))
                    .field("codec_data", gst::Buffer::from_slice(raw.to_vec()))
                    .build();
                let audio = source("audio", &caps);
                pipeline.add(&audio).map_err(text)?;
                let input = sink.request_pad_simple("audio").ok_or("hlssink2 takes no audio")?;
                audio.static_pad("src").ok_or("appsrc without a pad")?.link(&input).map_err(|e| e.to_string())?;
                Some(audio)
            }
        };
        let (events, received) = mpsc::channel(EVENTS);
        let pipeline = Pipeline::new(pipeline, name, move |message| hear(message, &fragments, &events));
        Ok((Sink { pipeline, video, audio, begun: false }, received))
    }

    /// Starts it.
    pub async fn play(&self) -> Result<(), String> {
        self.pipeline.play().await
    }

    /// Lets it take frames, and do nothing with them.
    #[cfg(test)]
    pub(crate) fn hold(&self) {
        let _ = self.pipeline.gst().map(|p| p.set_state(gst::State::Paused));
    }

    /// Whether it takes no more for now: it does not keep up.
    pub fn full(&self) -> bool {
        std::iter::once(&self.video).chain(&self.audio).any(|source| source.current_level_bytes() > WAITING)
    }

    /// Hands over a frame. Never blocks.
    ///
    /// Error: the pipeline does not run any more.
    pub fn push(&mut self, frame: Frame) -> Result<(), String> {
        let begins = frame.begin.is_some() && std::mem::replace(&mut self.begun, true);
        let mut buffer = gst::Buffer::from_slice(frame.data);
        // invariant: nobody else has it yet.
        if let Some(fresh) = buffer.get_mut() {
            fresh.set_pts(gst::ClockTime::from_nseconds(frame.pts));
            fresh.set_dts(gst::ClockTime::from_nseconds(frame.dts));
            fresh.set_offset(if frame.key { KEY } else { 0 } | if begins { BEGINS } else { 0 });
            if !frame.key && frame.begin.is_none() && !frame.settles {
                fresh.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        self.video.push_buffer(buffer).map(|_| ()).map_err(|e| format!("it takes nothing more: {e}"))
    }

    /// Hands over a frame of sound. Never blocks.
    ///
    /// Error: the pipeline does not run any more.
    pub fn push_sound(&self, frame: Heard) -> Result<(), String> {
        let Some(audio) = &self.audio else { return Ok(()) };
        let mut buffer = gst::Buffer::from_slice(frame.data);
        // invariant: nobody else has it yet.
        if let Some(fresh) = buffer.get_mut() {
            fresh.set_pts(gst::ClockTime::from_nseconds(frame.pts));
            fresh.set_duration(gst::ClockTime::from_nseconds(frame.duration));
        }
        audio.push_buffer(buffer).map(|_| ()).map_err(|e| format!("it takes no more sound: {e}"))
    }

    /// Ends it; what was not finished is lost.
    pub async fn stop(self) {
        drop((self.video, self.audio));
        self.pipeline.stop().await;
    }
}

/// Bounded by us: it would block, or drop what the plan counts on.
fn source(name: &str, caps: &gst::Caps) -> gst_app::AppSrc {
    let source = gst_app::AppSrc::builder().name(name).caps(caps).format(gst::Format::Time).build();
    source.set_max_bytes(0);
    source
}

fn make(factory: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(factory).build().map_err(|_| {
        format!("there is no {factory} here: install gstreamer1.0-plugins-good and gstreamer1.0-plugins-bad")
    })
}

/// The element of a factory, somewhere inside.
fn within(bin: &gst::Bin, factory: &str) -> Option<gst::Element> {
    let is = |e: &gst::Element| e.factory().is_some_and(|f| f.name() == factory);
    bin.iterate_recurse().into_iter().flatten().find(is)
}

/// Tells the splitter of a segment before its first frame is in it.
fn cut_where_told(output: &gst::Pad, splitter: &gst::Element) {
    // Not a reference of its own: it would keep the element that keeps the pad.
    let splitter = splitter.downgrade();
    output.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer()
            && buffer.offset() & BEGINS != 0
            && let (Some(pts), Some(splitter)) = (buffer.pts(), splitter.upgrade())
        {
            // Our segment begins at 0, so that this is the running time.
            splitter.emit_by_name::<()>("split-at-running-time", &[&pts.nseconds()]);
        }
        gst::PadProbeReturn::Ok
    });
}

/// What the splitter had to take for a key frame is none for the multiplexer: the stream
/// says where players may start (random_access_indicator).
fn true_colours(_: &gst::Pad, info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
    if let Some(buffer) = info.buffer_mut()
        && buffer.offset() & KEY == 0
        && !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
    {
        buffer.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
    }
    gst::PadProbeReturn::Ok
}

/// Runs on GStreamer's threads: hands over.
fn hear(message: &gst::Message, fragments: &Fragments, events: &mpsc::Sender<Event>) {
    let event = match message.view() {
        gst::MessageView::Element(element) => element.structure().and_then(|s| fragments.hear(s)).map(Event::Fragment),
        gst::MessageView::Error(error) => Some(Event::Failed(error.error().to_string())),
        gst::MessageView::Eos(_) => Some(Event::Failed("it came to its end".into())),
        _ => None,
    };
    // Full only where the task is gone or stuck; the next fragment's number tells.
    if let Some(event) = event
        && events.try_send(event).is_err()
    {
        tracing::debug!("a finished segment found nobody");
    }
}

/// The segments that the sink is writing, and when the present one began.
#[derive(Debug, Default)]
struct Fragments(Mutex<Writing>);

#[derive(Debug, Default)]
struct Writing {
    /// One at a time; the sink may let go of its stream late, or never.
    streams: VecDeque<Arc<Mutex<Vec<u8>>>>,
    began: Option<u64>,
    number: u64,
}

impl Fragments {
    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, max_bytes: usize) -> Stream {
        let data = Arc::new(Mutex::new(Vec::new()));
        self.lock().streams.push_back(data.clone());
        // Frames are cut by what the camera sent, and the last one of a segment may be large.
        Stream { data, most: max_bytes.saturating_mul(2).saturating_add(1 << 20) }
    }

    /// What the splitter says of its fragments. A fragment is whole when it is closed: the
    /// stream was flushed before that.
    fn hear(&self, said: &gst::StructureRef) -> Option<Fragment> {
        let closed = match said.name().as_str() {
            "splitmuxsink-fragment-opened" => false,
            "splitmuxsink-fragment-closed" => true,
            _ => return None,
        };
        let time = said.get::<gst::ClockTime>("running-time").ok()?.nseconds();
        let mut writing = self.lock();
        if !closed {
            writing.began = Some(time);
            return None;
        }
        let began = writing.began.take()?;
        let stream = writing.streams.pop_front()?;
        let number = writing.number;
        writing.number += 1;
        drop(writing);
        let data = std::mem::take(&mut *stream.lock().unwrap_or_else(PoisonError::into_inner));
        Some(Fragment { number, duration: Duration::from_nanos(time.saturating_sub(began)), data: Bytes::from(data) })
    }
}

/// Where the sink writes a segment.
struct Stream {
    data: Arc<Mutex<Vec<u8>>>,
    /// More is refused, and ends the pipeline.
    most: usize,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        if data.len() + bytes.len() > self.most {
            return Err(std::io::Error::other("the segment is too large"));
        }
        data.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
