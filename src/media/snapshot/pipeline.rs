//! The two short pipelines behind a snapshot: key frame → raw picture, raw picture →
//! JPEG. They run on a thread of [`crate::media::blocking`], bounded in time, and
//! touch neither the source nor a reader.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;

use super::{Jpeg, Width};
use crate::media::codec::Codec;
use crate::media::hub::AccessUnit;
use crate::media::nal::{self, Format};

/// How long one of the pipelines may take.
const TIME: Duration = Duration::from_secs(4);
/// How often is looked for an error meanwhile.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// Decodes a key frame and encodes it: the original, and the smaller one that was
/// asked for. The error is a part of a sentence.
pub(super) fn first(codec: &Codec, unit: &AccessUnit, width: Option<Width>) -> Result<(Jpeg, Option<Jpeg>), String> {
    let raw = decode(codec, unit)?;
    let original = encode(&raw, None)?;
    let small = wanted(&original, width).map(|w| encode(&raw, Some(w))).transpose()?;
    Ok((original, small))
}

/// Scales a picture that was made before.
pub(super) fn smaller(original: Jpeg, width: Option<Width>) -> Result<(Jpeg, Option<Jpeg>), String> {
    let Some(width) = wanted(&original, width) else { return Ok((original, None)) };
    let caps = gst::Caps::builder("image/jpeg").build();
    let buffer = gst::Buffer::from_slice(original.data.clone());
    let raw = run("jpegdec", &caps, vec![buffer]).map_err(|e| format!("its picture cannot be scaled: {e}"))?;
    let small = encode(&raw, Some(width))?;
    Ok((original, Some(small)))
}

/// Pixels, where less than the original is asked for.
fn wanted(original: &Jpeg, width: Option<Width>) -> Option<u32> {
    width.map(Width::pixels).filter(|w| *w < original.width)
}

/// The decoders that may be there, the best first: libav's knows every profile;
/// openh264 and de265 come with gstreamer1.0-plugins-bad.
fn decoders(codec: &Codec) -> &'static [&'static str] {
    match codec {
        Codec::H264 { .. } => &["avdec_h264", "openh264dec"],
        Codec::H265 { .. } => &["avdec_h265", "libde265dec"],
        _ => &[],
    }
}

fn decode(codec: &Codec, unit: &AccessUnit) -> Result<gst::Sample, String> {
    let label = codec.label();
    let there = |name: &&&str| gst::ElementFactory::find(name).is_some();
    let decoder = decoders(codec).iter().find(there).ok_or_else(|| {
        format!("there is no decoder for {label} here: install gstreamer1.0-plugins-bad or gstreamer1.0-libav")
    })?;
    decode_with(codec, decoder, unit).map_err(|e| format!("its last key frame ({label}) cannot be decoded: {e}"))
}

/// Decodes with one of the decoders.
pub(super) fn decode_with(codec: &Codec, decoder: &str, unit: &AccessUnit) -> Result<gst::Sample, String> {
    let format = Format::of(codec).ok_or("it is no video")?;
    let data = nal::depacketise(format, unit.payloads().map(|(payload, _)| payload)).byte_stream(format);
    let (media, parser) = match codec {
        Codec::H265 { .. } => ("video/x-h265", "h265parse"),
        _ => ("video/x-h264", "h264parse"),
    };
    let caps = gst::Caps::builder(media).field("stream-format", "byte-stream").field("alignment", "au").build();
    // libav's would start a thread per core, for one frame.
    let bounds = if decoder.starts_with("avdec") { " max-threads=1" } else { "" };
    // openh264 keeps a picture of a profile that may have B-frames until the next one
    // comes, also at the end of the stream: it gets the same once more.
    let times: u64 = if decoder == "openh264dec" { 2 } else { 1 };
    let frame = |time: u64| {
        let mut buffer = gst::Buffer::from_slice(data.clone());
        if let Some(fresh) = buffer.get_mut() {
            fresh.set_pts(gst::ClockTime::from_mseconds(time * 40));
        }
        buffer
    };
    run(&format!("{parser} ! {decoder}{bounds}"), &caps, (0..times).map(frame).collect())
}

/// Encodes a raw picture with square pixels, at most `width` wide.
pub(super) fn encode(raw: &gst::Sample, width: Option<u32>) -> Result<Jpeg, String> {
    let fail = |e: &str| format!("its picture cannot be encoded: {e}");
    let caps = raw.caps_owned().ok_or_else(|| fail("of unknown format"))?;
    let picture = raw.buffer_owned().ok_or_else(|| fail("it is empty"))?;
    let (width, height) = {
        let s = caps.structure(0).ok_or_else(|| fail("of unknown format"))?;
        let side = |key: &str| s.get::<i32>(key).ok().and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0);
        let (Some(w), Some(h)) = (side("width"), side("height")) else { return Err(fail("of unknown size")) };
        let par = s.get::<gst::Fraction>("pixel-aspect-ratio").ok();
        size(w, h, par.map_or((1, 1), |f| (f.numer(), f.denom())), width)
    };
    // JPEG knows one colour space, BT.601 in full range, and jpegenc does not look at
    // what it gets: without this black is grey and the colours are off.
    let line = format!(
        "videoscale add-borders=false ! videoconvert ! \
         video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1,colorimetry=1:4:0:0 ! \
         jpegenc quality=85"
    );
    let sample = run(&line, &caps, vec![picture]).map_err(|e| fail(&e))?;
    let map = sample.buffer().and_then(|b| b.map_readable().ok()).ok_or_else(|| fail("no memory"))?;
    Ok(Jpeg { data: Bytes::copy_from_slice(&map), width, height })
}

/// The size with square pixels, at most `most` wide. Only ever smaller: of pixels
/// that are wider than high the height shrinks.
pub(super) fn size(width: u32, height: u32, par: (i32, i32), most: Option<u32>) -> (u32, u32) {
    let part = |of: u32, n: u64, d: u64| {
        let exact = (u64::from(of) * n + d / 2) / d.max(1);
        // Even, as the colour planes are half as large.
        u32::try_from(exact).unwrap_or(of).next_multiple_of(2).max(2)
    };
    let (n, d) = match par {
        (n, d) if n > 0 && d > 0 => (n.unsigned_abs().into(), d.unsigned_abs().into()),
        _ => (1, 1),
    };
    let (w, h): (u32, u32) = match n {
        _ if n == d => (width, height),
        _ if n > d => (width, part(height, d, n)),
        _ => (part(width, n, d), height),
    };
    match most {
        Some(most) if most < w => (most, part(h, most.into(), w.into())),
        _ => (w, h),
    }
}

/// Ends a pipeline, whichever way its function is left.
struct Ending(gst::Pipeline);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Runs `appsrc ! line ! appsink` on some buffers; returns the first that comes out.
fn run(line: &str, caps: &gst::Caps, input: Vec<gst::Buffer>) -> Result<gst::Sample, String> {
    let line = format!("appsrc name=in format=time ! {line} ! appsink name=out sync=false max-buffers=1");
    let text = |e: gst::glib::Error| e.to_string();
    let pipeline = gst::parse::launch(&line).map_err(text)?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    let pipeline = Ending(pipeline);
    let source = pipeline.0.by_name("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or("no appsrc")?;
    let sink = pipeline.0.by_name("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or("no appsink")?;
    let bus = pipeline.0.bus().ok_or("no bus")?;
    source.set_caps(Some(caps));
    // One access unit, which is bounded where it was put together.
    source.set_max_bytes(0);
    let deadline = Instant::now() + TIME;
    pipeline.0.set_state(gst::State::Playing).map_err(|_| "its pipeline does not start")?;
    for buffer in input {
        source.push_buffer(buffer).map_err(|e| e.to_string())?;
    }
    let _ = source.end_of_stream();
    loop {
        if let Some(sample) = sink.try_pull_sample(LOOK) {
            return Ok(sample);
        }
        if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
            && let gst::MessageView::Error(error) = message.view()
        {
            return Err(error.error().to_string());
        }
        if sink.is_eos() {
            return Err("no picture came out of it".into());
        }
        if Instant::now() >= deadline {
            return Err(format!("no answer in {} s", TIME.as_secs()));
        }
    }
}
