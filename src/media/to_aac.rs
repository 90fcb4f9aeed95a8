//! Sound as it came (G.711, Opus) into AAC, for what carries nothing else: fMP4 and
//! MPEG-TS over HLS. One encoder per output, in a pipeline of its own
//! (`appsrc ! decode ! resample ! encode ! appsink`), that can fail or hang without
//! anybody else noticing.
//!
//! Time: [`splice`] makes the packets follow each other without holes, so the
//! encoder sees one even stream that begins at 0. What comes out is put back on the
//! capture clock by its place in that stream, less the encoder's delay; a hole of
//! more than a second is not encoded, the frames behind it carry their own time.

mod debt;
mod splice;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use tokio::sync::mpsc;

use crate::media::blocking;
use crate::media::codec::Codec;
use crate::media::opus;
use crate::media::pipeline::Pipeline;
use debt::{Debt, PATIENCE};
use splice::Splice;

/// What comes out, Hz: what browsers play at anyway, and the shortest frames (21 ms;
/// at 8 kHz one would last 128 ms, most of a part). 0.8 % of a core for G.711.
pub const RATE: u32 = 48_000;
/// Samples in a frame of AAC (ISO/IEC 14496-3 §4.5.2.1.1).
pub const FRAME: u32 = 1_024;
/// Frames that wait to be taken: five seconds.
const QUEUE: usize = 256;
/// More sound than this does not wait in appsrc, ns: what comes is thrown away.
const WAITS: i64 = 30_000_000_000;
/// Making the pipeline takes milliseconds, the first time some more for its plugins.
const BUILD: Duration = Duration::from_secs(15);

/// An encoder that may be there, and by how many samples its sound is late: GStreamer
/// stamps a frame with the time of the samples that went in, not of those that come out.
struct Encoder {
    name: &'static str,
    delay: u32,
}

impl Encoder {
    fn there(&self) -> bool {
        gst::ElementFactory::find(self.name).is_some()
    }
}

/// The best first. voaacenc comes with gstreamer1.0-plugins-bad, which camgate needs
/// anyway, and takes half the CPU; libav's is there for systems whose plugins-bad was
/// built without it. Their delays were measured (tests below).
const ENCODERS: [Encoder; 2] =
    [Encoder { name: "voaacenc", delay: 1_600 }, Encoder { name: "avenc_aac", delay: 1_024 }];

/// A frame of AAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// A raw frame (raw_data_block), without ADTS header.
    pub data: Bytes,
    /// When its first sample was captured, CLOCK_MONOTONIC, ns.
    pub pts_ns: u64,
    /// Samples at [`RATE`].
    pub samples: u32,
}

/// What the pipeline's threads hand over.
enum Out {
    /// Data, and its place in the encoder's stream, ns.
    Frame(Bytes, u64),
    Failed(String),
}

/// A converter at work; dropped, its pipeline ends in the background.
#[derive(Debug)]
pub struct ToAac {
    input: Input,
    channels: u8,
    delay_ns: i64,
    pipeline: Pipeline,
    appsrc: gst_app::AppSrc,
    rx: mpsc::Receiver<Out>,
    splice: Splice,
    /// Samples that went in, at the input's rate.
    position: u64,
    /// From places in the encoder's stream (ns, ascending) to capture times: what is to
    /// be added from there on.
    stretches: VecDeque<(i64, i64)>,
    /// How far the frames have come that came out, ns.
    done: i64,
    debt: Debt,
    failed: Option<String>,
    dropped: Arc<AtomicU64>,
}

/// What goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Pcmu,
    Pcma,
    Opus { channels: u8 },
}

impl Input {
    fn of(codec: &Codec) -> Option<Self> {
        match codec {
            Codec::Pcmu => Some(Input::Pcmu),
            Codec::Pcma => Some(Input::Pcma),
            Codec::Opus { channels } => Some(Input::Opus { channels: (*channels).clamp(1, 2) }),
            _ => None,
        }
    }

    fn rate(self) -> u32 {
        if let Input::Opus { .. } = self { 48_000 } else { 8_000 }
    }

    fn channels(self) -> u8 {
        if let Input::Opus { channels } = self { channels } else { 1 }
    }

    fn caps(self) -> String {
        match self {
            Input::Pcmu => "audio/x-mulaw,rate=8000,channels=1".into(),
            Input::Pcma => "audio/x-alaw,rate=8000,channels=1".into(),
            Input::Opus { channels } => format!("audio/x-opus,rate=48000,channels={channels},channel-mapping-family=0"),
        }
    }

    fn decoder(self) -> &'static str {
        match self {
            Input::Pcmu => "mulawdec",
            Input::Pcma => "alawdec",
            Input::Opus { .. } => "opusdec",
        }
    }

    /// Samples in a packet.
    fn samples(self, payload: &[u8]) -> Option<u32> {
        match self {
            Input::Opus { .. } => opus::samples(payload),
            _ => u32::try_from(payload.len()).ok().filter(|n| (1..=8_000).contains(n)),
        }
    }
}

/// Whether AAC can be made of this codec, where there is an encoder.
pub fn takes(codec: &Codec) -> bool {
    Input::of(codec).is_some()
}

/// Whether there is an encoder. Looks once.
pub fn available() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| gst::init().is_ok() && ENCODERS.iter().any(Encoder::there))
}

/// The AudioSpecificConfig of AAC-LC at [`RATE`] (ISO/IEC 14496-3 §1.6.2.1): object
/// type 2, frequency index 3, channels.
fn config(channels: u8) -> [u8; 2] {
    [0x11, 0x80 | channels << 3]
}

impl ToAac {
    /// Starts a converter for a track of this codec; `path` names it in logs. The error
    /// is a sentence: no encoder here, or the pipeline does not run.
    pub async fn start(path: &str, codec: &Codec) -> Result<ToAac, String> {
        let input = Input::of(codec).ok_or_else(|| format!("no AAC can be made of {}", codec.label()))?;
        let name = format!("{path} to AAC");
        let built = blocking::begin(BUILD, move || build(&name, input, &ENCODERS)).await;
        let converter = built.map_err(|fault| format!("the AAC encoder cannot be made: {fault}"))??;
        match converter.pipeline.play().await {
            Ok(()) => Ok(converter),
            Err(reason) => {
                converter.stop().await;
                Err(format!("the AAC encoder: {reason}"))
            }
        }
    }

    /// AudioSpecificConfig of what comes out: AAC-LC at [`RATE`].
    pub fn config(&self) -> [u8; 2] {
        config(self.channels)
    }

    /// Frames that nobody took in time, and packets that the encoder did not.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes the payload of a packet, captured at `pts_ns` (CLOCK_MONOTONIC). Never
    /// blocks. An encoder that takes sound and gives none back is given up, and
    /// [`ToAac::next`] says so.
    pub fn push(&mut self, pts_ns: u64, payload: &[u8]) {
        self.push_at(pts_ns, payload, Instant::now());
    }

    fn push_at(&mut self, pts_ns: u64, payload: &[u8], now: Instant) {
        if self.failed.is_some() {
            return;
        }
        let owes = self.time(self.position) - self.done;
        // What it gave back may wait to be taken.
        if self.debt.hangs(owes, now) && self.rx.is_empty() {
            self.failed = Some(format!("the AAC encoder gives nothing back for {} s", PATIENCE.as_secs()));
            return;
        }
        if owes > WAITS {
            // What comes after it begins a new stretch.
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Some(samples) = self.input.samples(payload) else { return };
        let place = self.splice.place(pts_ns, samples);
        if let Some(anchor) = place.begins {
            let at = self.time(self.position);
            self.stretches.push_back((at, i64::try_from(anchor).unwrap_or(i64::MAX / 2) - at));
        }
        for silence in silence(self.input, place.silence) {
            let n = self.input.samples(&silence).unwrap_or(0);
            self.send(silence, n);
        }
        if !place.late {
            let mut data = payload.to_vec();
            let samples = samples.saturating_add_signed(place.slip);
            if place.slip < 0 {
                data.pop();
            } else if let Some(last) = data.last().copied().filter(|_| place.slip > 0) {
                data.push(last);
            }
            self.send(data, samples);
        }
    }

    fn send(&mut self, data: Vec<u8>, samples: u32) {
        let at = self.time(self.position);
        self.position += u64::from(samples);
        let mut buffer = gst::Buffer::from_mut_slice(data);
        if let Some(fresh) = buffer.get_mut() {
            fresh.set_pts(gst::ClockTime::from_nseconds(at.unsigned_abs()));
            fresh.set_duration(gst::ClockTime::from_nseconds((self.time(self.position) - at).unsigned_abs()));
        }
        // Flushing or EOS: the pipeline has failed, and its message tells why.
        let _ = self.appsrc.push_buffer(buffer);
    }

    /// A place in the encoder's stream, ns.
    fn time(&self, samples: u64) -> i64 {
        i64::try_from(u128::from(samples) * 1_000_000_000 / u128::from(self.input.rate())).unwrap_or(i64::MAX)
    }

    /// The next frame; the error says why there are no more. Cancel safe.
    pub async fn next(&mut self) -> Result<Frame, String> {
        if let Some(why) = &self.failed {
            return Err(why.clone());
        }
        match self.rx.recv().await {
            Some(Out::Frame(data, at)) => {
                let at = i64::try_from(at).unwrap_or(i64::MAX / 2);
                self.debt.paid();
                self.done = at + i64::from(FRAME) * 1_000_000_000 / i64::from(RATE);
                let pts = self.captured(at - self.delay_ns);
                Ok(Frame { data, pts_ns: u64::try_from(pts).unwrap_or(0), samples: FRAME })
            }
            Some(Out::Failed(why)) => {
                self.failed = Some(why.clone());
                Err(why)
            }
            None => Err("the AAC encoder ended".into()),
        }
    }

    /// When the sound at this place of the encoder's stream was captured, ns.
    fn captured(&mut self, at: i64) -> i64 {
        while self.stretches.get(1).is_some_and(|(from, _)| *from <= at) {
            self.stretches.pop_front();
        }
        at + self.stretches.front().map_or(0, |(_, offset)| *offset)
    }

    /// Breaks it.
    #[cfg(test)]
    pub(crate) fn spoil(&self, why: &str) {
        if let Some(pipeline) = self.pipeline.gst() {
            gst::element_error!(pipeline, gst::StreamError::Encode, ("{}", why));
        }
    }

    /// Ends it; returns when its pipeline is gone or a deadline has passed.
    pub async fn stop(self) {
        self.pipeline.stop().await;
    }
}

/// Packets of silence, `samples` long in all (Opus: less what is no whole 2.5 ms).
fn silence(input: Input, samples: u32) -> Vec<Vec<u8>> {
    let byte = match input {
        Input::Pcmu => 0xff,
        Input::Pcma => 0xd5,
        Input::Opus { channels } => return opus_silence(channels, samples),
    };
    if samples == 0 { Vec::new() } else { vec![vec![byte; samples as usize]] }
}

/// CELT packets (RFC 6716 §3.1: configurations 31 to 28 are 20, 10, 5, 2.5 ms) whose
/// range coder reads nothing but ones: the silence flag of §4.3.
fn opus_silence(channels: u8, mut samples: u32) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for (config, length) in [(31u8, 960), (30, 480), (29, 240), (28, 120)] {
        while samples >= length {
            out.push(vec![config << 3 | u8::from(channels > 1) << 2, 0xff, 0xfe]);
            samples -= length;
        }
    }
    out
}

fn build(name: &str, input: Input, encoders: &[Encoder]) -> Result<ToAac, String> {
    let encoder = encoders.iter().find(|e| e.there()).ok_or_else(|| {
        let names: Vec<&str> = encoders.iter().map(|e| e.name).collect();
        format!("there is no AAC encoder here ({}): install gstreamer1.0-plugins-bad", names.join(", "))
    })?;
    let channels = input.channels();
    let line = format!(
        "appsrc name=in format=time is-live=true max-bytes=0 caps={} ! {} ! audioconvert ! audioresample ! \
         audio/x-raw,rate={RATE},channels={channels} ! {} bitrate={} ! aacparse ! \
         audio/mpeg,mpegversion=4,stream-format=raw,framed=true ! appsink name=out sync=false async=false",
        input.caps(),
        input.decoder(),
        encoder.name,
        // Telephone sound has nothing above 4 kHz to be spent on.
        if input.rate() == 8_000 { 48_000 } else { 64_000 * i32::from(channels) },
    );
    let pipeline = gst::parse::launch(&line).map_err(|e| format!("the AAC encoder cannot be made: {e}"))?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| "the AAC encoder is no pipeline")?;
    let appsrc = pipeline.by_name("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or("no appsrc")?;
    let sink = pipeline.by_name("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or("no appsink")?;
    let (tx, rx) = mpsc::channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let (frames, count) = (tx.clone(), dropped.clone());
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let Some((buffer, pts)) = sample.buffer().and_then(|b| Some((b, b.pts()?))) else {
                    return Ok(gst::FlowSuccess::Ok);
                };
                let data = buffer.map_readable().map(|map| Bytes::copy_from_slice(&map));
                if let Ok(data) = data
                    && frames.try_send(Out::Frame(data, pts.nseconds())).is_err()
                {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    let pipeline = Pipeline::new(pipeline, name, move |message| {
        let why = match message.view() {
            gst::MessageView::Error(e) => format!("the AAC encoder failed: {}", e.error().message()),
            gst::MessageView::Eos(_) => "the AAC encoder ended".to_owned(),
            _ => return,
        };
        // Where it is full, nobody takes frames; that it gives nothing back will tell later.
        let _ = tx.try_send(Out::Failed(why));
    });
    Ok(ToAac {
        input,
        channels,
        delay_ns: i64::from(encoder.delay) * 1_000_000_000 / i64::from(RATE),
        pipeline,
        appsrc,
        rx,
        splice: Splice::new(input.rate(), input.rate() == 8_000),
        position: 0,
        stretches: VecDeque::new(),
        done: 0,
        debt: Debt::default(),
        failed: None,
        dropped,
    })
}

#[cfg(test)]
#[path = "to_aac/tests.rs"]
mod tests;
