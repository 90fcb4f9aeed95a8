//! A camera over RTSP: one connection, from whose SDP the template is chosen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_sdp as gst_sdp;
use tokio::sync::mpsc;

use crate::config::{RtspUrl, Transport};
use crate::media::codec::Kind;
use crate::media::hub::Hub;
use crate::media::pipeline::Pipeline;
use crate::media::sdp::{self, Stream};
use crate::media::source::certificate::{self, TurnedDown};
use crate::media::source::clock;
use crate::media::source::failure::{self, About};
use crate::media::source::keep_alive;
use crate::media::source::manager;
use crate::media::source::pull;
use crate::media::source::quick_ack;
use crate::media::source::reports;
use crate::media::source::rtspsrc::{self, protocols};
use crate::media::source::sink::{self, Link};
use crate::media::source::together::Together;
use crate::media::source::{Event, Failure, FailureKind, Hints, Spec};
use crate::media::template::{self, Template};

/// The name of the bin that takes the sound: what fails in there is no reason to go
/// without pictures.
const AUDIO_BRANCH: &str = "camgate-audio-branch";

/// What the callbacks of one attempt decide and share.
struct Attempt {
    link: Arc<Link>,
    together: Arc<Together>,
    own: Option<Template>,
    hints: Hints,
    about: About,
    turned_down: TurnedDown,
    tcp_only: bool,
    automatic: bool,
    /// By our own source.
    direct: bool,
    playing: Mutex<Option<Choice>>,
    failed: AtomicBool,
}

/// What the SDP called for.
#[derive(Clone)]
struct Choice {
    template: Template,
    streams: Vec<Stream>,
    selected: Vec<usize>,
}

/// Builds the pipeline of an attempt, in NULL.
pub fn build(
    spec: &Spec,
    url: &RtspUrl,
    transport: Transport,
    fingerprint: Option<&str>,
    hub: &Arc<Hub>,
    events: mpsc::Sender<Event>,
) -> Result<Pipeline, Failure> {
    let own = spec.template.as_deref().map(Template::load_file).transpose()?;
    if let Some(t) = own.as_ref().filter(|t| t.branches.is_empty()) {
        return Err(Failure::new(
            FailureKind::Template,
            format!(
                "{}: a template for a camera begins with \"rtspsrc name=src\" and has branches on \"src.\"",
                t.name
            ),
        ));
    }
    let (_, udp) = protocols(transport, spec.hints);
    let direct = own.is_none() && !url.tls && !udp && !spec.hints.rtspsrc;
    let src = if direct {
        pull::RtspSrc::new(pull::Conf { url: url.clone(), patience: spec.read_timeout }).upcast()
    } else {
        rtspsrc::element(spec, url, transport, own.as_ref())?
    };
    let turned_down = if url.tls { certificate::check(&src, fingerprint) } else { TurnedDown::default() };
    let pipeline = gst::Pipeline::new();
    pipeline.add(&src).map_err(|e| Failure::new(FailureKind::Internal, e.to_string()))?;
    let attempt = Arc::new(Attempt {
        link: Link::new(hub, events),
        together: Arc::default(),
        own,
        hints: spec.hints,
        about: About {
            address: address(url),
            anonymous: url.user.is_none(),
            pinned: fingerprint.is_some(),
            ..About::default()
        },
        turned_down,
        tcp_only: !udp,
        automatic: transport == Transport::Automatic,
        direct,
        playing: Mutex::new(None),
        failed: AtomicBool::new(false),
    });
    connect(&src, &pipeline, &attempt);
    if !udp && !direct {
        manager::without_jitter_buffers(&src);
        quick_ack::attach(&src);
        if gst::version() < (1, 26, 7, 0) {
            keep_alive::attach(&src);
        }
    }
    let on_message = attempt.clone();
    let pipeline = Pipeline::new(pipeline, &spec.path, move |m| on_message.message(m));
    Ok(if direct { pipeline.ending_first(src) } else { pipeline })
}

fn connect(src: &gst::Element, pipeline: &gst::Pipeline, attempt: &Arc<Attempt>) {
    let on_sdp = attempt.clone();
    src.connect("on-sdp", false, move |args| {
        if let Some(message) = args.get(1).and_then(|v| v.get::<gst_sdp::SDPMessage>().ok()) {
            on_sdp.described(&message);
        }
        None
    });
    let on_select = attempt.clone();
    src.connect("select-stream", false, move |args| {
        let number = args.get(1).and_then(|v| v.get::<u32>().ok()).unwrap_or(u32::MAX);
        Some(on_select.selects(number as usize).to_value())
    });
    let on_last = attempt.clone();
    src.connect_no_more_pads(move |src| on_last.all_there(src));
    let (on_pad, weak) = (attempt.clone(), pipeline.downgrade());
    src.connect_pad_added(move |src, pad| {
        if let Some(pipeline) = weak.upgrade() {
            on_pad.stream(&pipeline, src, pad);
        }
    });
}

impl Attempt {
    fn fail(&self, failure: Failure) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            self.link.tell(Event::Failed(failure));
        }
    }

    fn choice(&self) -> Option<Choice> {
        self.playing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The camera's SDP is here: choose the template and the streams.
    fn described(&self, message: &gst_sdp::SDPMessage) {
        // Our own source has no SRTP.
        if self.direct && message.medias().any(|m| m.proto().is_some_and(|p| p.contains("/SAVP"))) {
            let failure = Failure::new(FailureKind::Unplayable, "camera encrypts its packets (SRTP)");
            return self.fail(failure.instead(Hints { rtspsrc: true, ..self.hints }));
        }
        let streams = sdp::streams(message);
        // What an own template has no branch for is not asked of the camera, and not
        // promised to readers.
        let taken = |s: &sdp::Stream| self.own.as_ref().is_none_or(|t| t.branch_for_codec(&s.codec).is_some());
        let video = sdp::best(&streams, Kind::Video, taken);
        let audio = sdp::best(&streams, Kind::Audio, taken).filter(|_| !self.hints.no_audio);
        let tracks = sdp::tracks(&streams, [video, audio]);
        let selected: Vec<usize> = video.into_iter().chain(audio).collect();
        if selected.is_empty() {
            let names: Vec<&str> = streams.iter().filter(|s| s.kind.is_some()).map(|s| s.codec.label()).collect();
            let what = if names.is_empty() { "no video and no audio".to_owned() } else { names.join(", ") };
            self.link.describe(tracks);
            return self.fail(match self.own.as_ref().filter(|_| streams.iter().any(|s| s.codec.carried())) {
                Some(t) => Failure::new(FailureKind::Template, format!("{}: no branch for {what}", t.name)),
                None => Failure::new(FailureKind::Unplayable, format!("camera sends {what}: set it to H.264 or H.265")),
            });
        }
        let template = match &self.own {
            Some(t) => Ok(t.clone()),
            None => Template::load_builtin(template::for_camera(video.and_then(|i| streams.get(i)).map(|s| &s.codec))),
        };
        match template {
            Ok(template) => {
                *self.playing.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Choice { template, streams, selected });
                self.link.describe(tracks);
            }
            Err(e) => self.fail(e.into()),
        }
    }

    fn selects(&self, number: usize) -> bool {
        self.choice().is_some_and(|c| c.selected.contains(&number))
    }

    /// A stream begins: give it its branch.
    fn stream(&self, pipeline: &gst::Pipeline, src: &gst::Element, pad: &gst::Pad) {
        let Some(choice) = self.choice() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let Some(branch) = choice.template.branch_for(&caps) else {
            tracing::debug!(%caps, "no branch for a stream of the camera");
            return;
        };
        if let Err(failure) = self.add_branch(pipeline, src, pad, branch, &choice) {
            self.fail(failure);
        }
    }

    /// Every stream that the camera let us set up has begun. The source passes over
    /// one that was refused with 461: then begin again without it, so that nobody
    /// is promised a track that never comes.
    fn all_there(&self, src: &gst::Element) {
        let selected = self.choice().map_or(0, |c| c.selected.len());
        // A pad for each stream that was set up: ours has them, of rtspsrc the session
        // manager.
        let set_up = match src.downcast_ref::<gst::Bin>() {
            Some(bin) => bin
                .by_name("manager")
                .map_or(selected, |m| m.sink_pads().iter().filter(|p| p.name().starts_with("recv_rtp_sink_")).count()),
            None => src.src_pads().len(),
        };
        if selected > 1 && set_up == 1 && !self.hints.no_audio {
            let failure = Failure::new(FailureKind::Refused, "camera refuses its audio track (461)");
            self.fail(failure.instead(Hints { no_audio: true, ..self.hints }));
        }
    }

    fn add_branch(
        &self,
        pipeline: &gst::Pipeline,
        src: &gst::Element,
        pad: &gst::Pad,
        branch: &template::Branch,
        choice: &Choice,
    ) -> Result<(), Failure> {
        let internal = |e: &dyn std::fmt::Display| Failure::new(FailureKind::Internal, e.to_string());
        let bin = branch.instantiate(&choice.template.name)?;
        let kind = branch.sink();
        if kind == Some(Kind::Audio) {
            bin.set_property("name", AUDIO_BRANCH);
        }
        let codec = choice
            .selected
            .iter()
            .filter_map(|i| choice.streams.get(*i))
            .map(|s| &s.codec)
            .find(|c| Some(c.kind()) == kind);
        if let (Some(kind), Some(codec)) = (kind, codec) {
            let name = match kind {
                Kind::Video => template::VIDEO_SINK,
                Kind::Audio => template::AUDIO_SINK,
            };
            let sink = bin.by_name(name).and_then(|e| e.downcast::<gst_app::AppSink>().ok());
            let sink = sink.ok_or_else(|| Failure::new(FailureKind::Template, format!("\"{name}\" is no appsink")))?;
            sink::attach(&sink, codec.clone(), self.link.clone());
        }
        pipeline.add(&bin).map_err(|e| internal(&e))?;
        bin.sync_state_with_parent().map_err(|e| internal(&e))?;
        let rate = pad.current_caps().and_then(|c| c.structure(0).and_then(|s| s.get::<i32>("clock-rate").ok()));
        let rate = rate.and_then(|r| u32::try_from(r).ok()).or(codec.map(|c| c.clock_rate())).unwrap_or(90_000);
        let target = bin.static_pad("sink").ok_or_else(|| internal(&"branch without sink pad"))?;
        let clock = clock::attach(&target, rate);
        if let Some(kind) = kind {
            let (link, together) = (self.link.clone(), self.together.clone());
            together.clock(kind, clock.clone());
            reports::attach(src, pad, &target, clock, move |offset| {
                together.told(kind, offset);
                if let Some(feed) = link.feed.get() {
                    feed.clock(kind, offset);
                }
            });
        }
        pad.link(&target).map_err(|e| internal(&e))?;
        Ok(())
    }

    /// A message on the bus. Runs on GStreamer's threads.
    fn message(&self, message: &gst::Message) {
        match message.view() {
            gst::MessageView::Error(e) => self.error(e),
            // A camera that goes away shows as the end of the stream, not as an error.
            gst::MessageView::Eos(_) => self.fail(Failure::new(FailureKind::Lost, "camera ended the stream")),
            _ => {}
        }
    }

    fn error(&self, e: &gst::message::Error) {
        let described = self.choice();
        let about =
            About { turned_down: self.turned_down.fingerprint(), described: described.is_some(), ..self.about.clone() };
        let mut failure = Failure::of_camera(e, &about);
        let text = e.debug().unwrap_or_default();
        let status = failure::status(e);
        // rtspsrc tells that a branch could not agree on a format, and not which one. Of
        // video they always have.
        let of_sound = e.src().is_some_and(of_audio_branch) || text.contains("not-negotiated");
        if let Some(choice) = described.filter(|_| of_sound || !self.link.is_ready()) {
            if status == Some(461) && self.automatic && self.tcp_only {
                failure.reason = "camera refuses RTSP over TCP (461)".into();
                failure = failure.instead(Hints { udp: true, ..self.hints });
            } else if choice.selected.len() > 1 && of_sound {
                failure.reason = "camera's audio cannot be read".into();
                failure = failure.instead(Hints { no_audio: true, ..self.hints });
            } else if choice.selected.len() > 1 && status.is_some_and(|s| !matches!(s, 401 | 407 | 453 | 503)) {
                // Refused in SETUP, for more than the moment, and there is an audio
                // track to do without.
                failure = failure.instead(Hints { no_audio: true, ..self.hints });
            }
        }
        tracing::debug!(reason = %failure.reason, debug = %crate::redact::text(&text), "camera error");
        self.fail(failure);
    }
}

fn of_audio_branch(object: &gst::Object) -> bool {
    std::iter::successors(Some(object.clone()), |o| o.parent()).any(|o| o.name() == AUDIO_BRANCH)
}

/// `host:port`, as a person would look for it.
fn address(url: &RtspUrl) -> String {
    let port = url.port.unwrap_or(if url.tls { 322 } else { 554 });
    if url.host.contains(':') { format!("[{}]:{port}", url.host) } else { format!("{}:{port}", url.host) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::Codec;

    #[test]
    fn a_codec_has_a_branch_in_the_template_chosen_for_it() {
        gst::init().unwrap();
        for codec in [
            Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f] },
            Codec::H265 { profile_id: 1, tier_flag: 0, level_id: 93 },
        ] {
            let t = Template::load_builtin(template::for_camera(Some(&codec))).unwrap();
            assert!(t.branch_for_codec(&codec).is_some());
        }
    }
}
