//! GStreamer's rtspsrc as the client of a camera double.

use super::SOON;
use super::support::{self, barcode, wait_until};
use gstreamer as gst;
use gstreamer::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// When a picture came, its bar code, its width.
pub(super) type Codes = Arc<Mutex<Vec<(Instant, Option<u16>, usize)>>>;

/// GStreamer's rtspsrc, decoding: the bar codes of the pictures it saw.
pub(super) struct Player {
    pipeline: gst::Pipeline,
    pub(super) codes: Codes,
}

impl Player {
    pub(super) fn start(url: &str, protocols: &str) -> Self {
        support::init();
        let pipeline = gst::parse::launch(&format!(
            "rtspsrc name=src latency=0 protocols={protocols} tls-validation-flags=0 timeout=2000000 tcp-timeout=3000000 \
             ! application/x-rtp,media=video ! decodebin ! videoconvert ! \
             video/x-raw,format=I420 ! appsink name=out sync=false async=false"
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        pipeline.by_name("src").unwrap().set_property("location", url);
        let codes = Codes::default();
        let seen = codes.clone();
        let out = pipeline.by_name("out").unwrap();
        out.downcast::<gstreamer_app::AppSink>().unwrap().set_callbacks(
            gstreamer_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let info = gstreamer_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
                    let frame =
                        gstreamer_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().unwrap(), &info)
                            .unwrap();
                    let (w, h) = (info.width() as usize, info.height() as usize);
                    let stride = info.stride()[0] as usize;
                    let code = barcode::read(frame.plane_data(0).unwrap(), stride, w, h);
                    seen.lock().unwrap().push((Instant::now(), code, w));
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, codes }
    }

    pub(super) fn codes(&self) -> Vec<Option<u16>> {
        self.codes.lock().unwrap().iter().map(|c| c.1).collect()
    }

    pub(super) fn wait_frames(&self, n: usize) -> Vec<Option<u16>> {
        self.frames_of(n, String::new)
    }

    /// [`Player::wait_frames`]; where they do not come, `camera` tells the other half.
    pub(super) fn frames_of(&self, n: usize, camera: impl Fn() -> String) -> Vec<Option<u16>> {
        let end = Instant::now() + SOON;
        loop {
            let codes = self.codes();
            if codes.len() >= n {
                return codes;
            }
            if let Some(error) = self.error() {
                panic!("{error}; {} of {n} pictures {}", codes.len(), camera());
            }
            if Instant::now() > end {
                panic!(
                    "{} of {n} pictures after {SOON:?}\ncamera: {}\nplayer:\n{}",
                    codes.len(),
                    camera(),
                    self.state()
                );
            }
            std::thread::sleep(Duration::from_millis(5)); // poll
        }
    }

    /// Where the pictures stopped: every element's state, every source pad's caps, last flow and task.
    fn state(&self) -> String {
        let mut text = String::new();
        for element in self.pipeline.iterate_recurse().into_iter().flatten() {
            let (_, state, pending) = element.state(gst::ClockTime::ZERO);
            text += &format!("  {} {state:?} {pending:?}", element.name());
            for pad in element.src_pads() {
                let caps = pad.current_caps().map_or("no caps".into(), |caps| {
                    caps.structure(0).map_or_else(String::new, |s| s.name().to_string())
                });
                text += &format!(" [{} {caps} {:?} {:?}]", pad.name(), pad.last_flow_result(), pad.task_state());
            }
            text.push('\n');
        }
        text
    }

    /// The error or end that the pipeline reported.
    pub(super) fn error(&self) -> Option<String> {
        let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
        let message = self.pipeline.bus()?.pop_filtered(&kinds)?;
        Some(match message.view() {
            gst::MessageView::Error(e) => format!("{} {:?}", e.error(), e.debug()),
            _ => "end of stream".into(),
        })
    }

    pub(super) fn wait_error(&self) -> String {
        wait_until(SOON, "an error", || self.error())
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
