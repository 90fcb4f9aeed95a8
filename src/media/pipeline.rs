//! A GStreamer pipeline that camgate runs: started and stopped off the async
//! threads, each with a deadline, its bus handed on as events.

use std::time::Duration;

use gst::prelude::*;
use gstreamer as gst;

use crate::media::blocking::{self, Fault};

/// A state change that takes longer is an error with a name, not a hang.
const DEADLINE: Duration = Duration::from_secs(5);

/// Owns a pipeline; [`Pipeline::stop`] brings it to NULL and lets it go. Dropped
/// without, it is stopped in the background.
#[derive(Debug)]
pub struct Pipeline {
    inner: Option<gst::Pipeline>,
    name: String,
}

impl Pipeline {
    /// Takes a pipeline in NULL. `on_message` is called on GStreamer's threads for
    /// each bus message and must only hand over.
    pub fn new(
        pipeline: gst::Pipeline,
        name: &str,
        on_message: impl Fn(&gst::Message) + Send + Sync + 'static,
    ) -> Self {
        if let Some(bus) = pipeline.bus() {
            // The handler drops each message: no queue grows, no main loop is needed.
            bus.set_sync_handler(move |_, message| {
                on_message(message);
                gst::BusSyncReply::Drop
            });
        }
        Pipeline { inner: Some(pipeline), name: name.into() }
    }

    /// The pipeline itself, until it is stopped.
    pub fn gst(&self) -> Option<&gst::Pipeline> {
        self.inner.as_ref()
    }

    /// Asks for PLAYING. The change may go on in the background; an error here is
    /// one that GStreamer knows at once.
    pub async fn play(&self) -> Result<(), String> {
        let Some(p) = self.inner.clone() else { return Err("pipeline already stopped".into()) };
        match blocking::run(DEADLINE, move || p.set_state(gst::State::Playing).map(|_| ())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("pipeline refused to play".into()),
            Err(Fault::Frozen) => Err(format!("pipeline frozen: no answer to PLAYING in {} s", DEADLINE.as_secs())),
            Err(fault) => Err(format!("pipeline does not play: {fault}")),
        }
    }

    /// Brings the pipeline to NULL and releases it.
    pub async fn stop(mut self) {
        let Some(p) = self.inner.take() else { return };
        if let Err(fault) = blocking::run(DEADLINE, move || shut(p)).await {
            tracing::error!(pipeline = %self.name, "pipeline frozen, left behind: NULL: {fault}");
        }
    }
}

fn shut(pipeline: gst::Pipeline) {
    let _ = pipeline.set_state(gst::State::Null);
    if let Some(bus) = pipeline.bus() {
        bus.unset_sync_handler();
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Some(p) = self.inner.take() {
            blocking::detached(move || shut(p));
        }
    }
}
