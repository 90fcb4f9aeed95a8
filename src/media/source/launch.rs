//! `test` and `gst:` sources: a launch line run whole.

use std::sync::Arc;

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use tokio::sync::mpsc;

use crate::media::codec::{Codec, Track};
use crate::media::hub::Hub;
use crate::media::pipeline::Pipeline;
use crate::media::sdp;
use crate::media::source::sink::{self, Link};
use crate::media::source::{Event, Failure, FailureKind, Spec, whole_line};
use crate::media::template::{self, AUDIO_SINK, Template, VIDEO_SINK};

/// Builds the pipeline of a `test` or `gst:` source, in NULL.
pub fn build(spec: &Spec, hub: &Arc<Hub>, events: mpsc::Sender<Event>) -> Result<Pipeline, Failure> {
    run(spec, &whole_line(&spec.origin, spec.template.as_ref())?, hub, events)
}

/// Completes a `gst:` line: as it is where it names its appsinks, otherwise with
/// the template for what its free end produces.
pub fn complete(line: &str) -> Result<String, Failure> {
    let has = |name: &str| line.split_whitespace().any(|w| w == format!("name={name}"));
    if has(VIDEO_SINK) || has(AUDIO_SINK) {
        return Ok(line.to_owned());
    }
    let probe = gst::parse::bin_from_description(line, true)
        .map_err(|e| Failure::new(FailureKind::Template, format!("gst: {}", crate::redact::text(e.message()))))?;
    let caps = probe.static_pad("src").map(|p| p.query_caps(None));
    let first = caps.as_ref().and_then(|c| c.structure(0));
    let name = first.map(|s| s.name().to_string()).unwrap_or_default();
    let tail = match name.as_str() {
        "audio/mpeg" if first.is_some_and(is_aac) => "launch-aac.gst",
        "video/x-h264" => "launch-h264.gst",
        "video/x-h265" => "launch-h265.gst",
        "audio/x-opus" => "launch-opus.gst",
        "audio/x-mulaw" => "launch-pcmu.gst",
        "audio/x-alaw" => "launch-pcma.gst",
        other => {
            let got = if other.is_empty() { "nothing that camgate can take".into() } else { format!("\"{other}\"") };
            return Err(Failure::new(
                FailureKind::Template,
                format!(
                    "gst: the line ends in {got}: let it end in H.264, H.265, Opus, G.711 or AAC (… ! x264enc tune=zerolatency), or in rtp…pay ! appsink name={VIDEO_SINK} (or {AUDIO_SINK})"
                ),
            ));
        }
    };
    Ok(format!("{line} ! {}", Template::load_builtin(tail)?.head))
}

fn run(spec: &Spec, line: &str, hub: &Arc<Hub>, events: mpsc::Sender<Event>) -> Result<Pipeline, Failure> {
    let name = spec.template.as_ref().map_or_else(|| spec.path.clone(), |t| t.display().to_string());
    let element = template::instantiate(&name, line)?;
    let pipeline = match element.downcast::<gst::Pipeline>() {
        Ok(p) => p,
        Err(single) => {
            let p = gst::Pipeline::new();
            p.add(&single).map_err(|e| Failure::new(FailureKind::Template, e.to_string()))?;
            p
        }
    };
    let link = Link::new(hub, events);
    let mut tracks = Vec::new();
    let mut sinks = Vec::new();
    for name in [VIDEO_SINK, AUDIO_SINK] {
        let Some(sink) = pipeline.by_name(name).and_then(|e| e.downcast::<gst_app::AppSink>().ok()) else { continue };
        let Some(codec) = codec_of(&sink) else {
            return Err(Failure::new(
                FailureKind::Template,
                format!(
                    "the appsink \"{name}\" gets no RTP of H.264, H.265, Opus or G.711, and no AAC: put rtph264pay or its like in front of it"
                ),
            ));
        };
        if Some(codec.kind()) != sink::kind_of(name) {
            return Err(Failure::new(FailureKind::Template, format!("the appsink \"{name}\" gets {}", codec.label())));
        }
        tracks.push(Track { codec: codec.clone(), width: None, height: None, fps: None });
        sinks.push((sink, codec));
    }
    if sinks.is_empty() {
        return Err(Failure::new(
            FailureKind::Template,
            format!("the line has no appsink named \"{VIDEO_SINK}\" or \"{AUDIO_SINK}\""),
        ));
    }
    link.describe(tracks);
    for (sink, codec) in sinks {
        sink::attach(&sink, codec, link.clone());
    }
    Ok(Pipeline::new(pipeline, &spec.path, move |message| match message.view() {
        gst::MessageView::Error(e) => link.tell(Event::Failed(Failure::of_pipeline(e))),
        gst::MessageView::Eos(_) => link.tell(Event::Failed(Failure::new(FailureKind::Lost, "the pipeline ended"))),
        _ => {}
    }))
}

/// MPEG-4 audio, and not MP3 or its kin. Elements that know several versions are asked
/// for ours.
fn is_aac(caps: &gst::StructureRef) -> bool {
    let ours = gst::Caps::builder("audio/mpeg").field("mpegversion", 4).build();
    caps.name() == "audio/mpeg" && gst::Caps::builder_full().structure(caps.to_owned()).build().can_intersect(&ours)
}

/// What the element in front of an appsink will send, from the caps it allows.
fn codec_of(sink: &gst_app::AppSink) -> Option<Codec> {
    let mut caps = sink.static_pad("sink")?.peer()?.query_caps(None);
    if caps.is_any() || caps.is_empty() {
        return None;
    }
    if caps.iter().any(is_aac) {
        return Some(Codec::Aac { format: "MPEG4-GENERIC", config: Vec::new() });
    }
    // Payloaders that know several names for one thing put the right one first.
    caps.fixate();
    let s = caps.structure(0)?;
    let name: &str = s.get("encoding-name").ok()?;
    match name {
        "H264" => Some(Codec::H264 {
            profile_level_id: s.get::<&str>("profile-level-id").ok().and_then(sdp::hex3).unwrap_or([0x42, 0xe0, 0x1f]),
        }),
        "H265" => Some(Codec::H265 { profile_id: 1, tier_flag: 0, level_id: 93 }),
        "OPUS" => Some(Codec::Opus { channels: 2 }),
        "PCMU" => Some(Codec::Pcmu),
        "PCMA" => Some(Codec::Pcma),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_completed_by_what_it_ends_in() {
        gst::init().unwrap();
        for (line, has) in [
            ("videotestsrc ! x264enc", "rtph264pay"),
            ("audiotestsrc ! audio/x-raw,rate=8000 ! alawenc", "rtppcmapay"),
            ("audiotestsrc ! opusenc", "rtpopuspay"),
            ("audiotestsrc ! voaacenc", "aacparse"),
        ] {
            assert!(complete(line).unwrap().contains(has), "{line}");
        }
        let own = "videotestsrc ! x264enc ! rtph264pay ! appsink name=packets";
        assert_eq!(complete(own).unwrap(), own);
    }

    #[test]
    fn a_line_that_ends_in_something_else_says_what_to_write() {
        gst::init().unwrap();
        for line in ["videotestsrc", "videotestsrc ! fakesink", "nosuch ! x", "filesrc ! mpegaudioparse"] {
            let e = complete(line).unwrap_err();
            assert_eq!(e.kind, FailureKind::Template, "{}", e.reason);
        }
    }
}
