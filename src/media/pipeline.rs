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
    /// Stopped before the rest.
    first: Option<gst::Element>,
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
        Pipeline { inner: Some(pipeline), first: None, name: name.into() }
    }

    /// The same, and `first`, an element of it, is stopped before the rest: a source that
    /// pushes from a thread which many share is never held up by a pipeline that freezes
    /// half-way through its end (sinks end first, and hold what comes from then on).
    pub fn ending_first(mut self, first: gst::Element) -> Self {
        self.first = Some(first);
        self
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
        let (Some(p), first) = (self.inner.take(), self.first.take()) else { return };
        if let Err(fault) = blocking::run(DEADLINE, move || shut(p, first)).await {
            tracing::error!(pipeline = %self.name, "pipeline frozen, left behind: NULL: {fault}");
        }
    }
}

fn shut(pipeline: gst::Pipeline, first: Option<gst::Element>) {
    if let Some(first) = first {
        // The pipeline leaves it where it is.
        first.set_locked_state(true);
        let _ = first.set_state(gst::State::Null);
    }
    let _ = pipeline.set_state(gst::State::Null);
    if let Some(bus) = pipeline.bus() {
        bus.unset_sync_handler();
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Some(p) = self.inner.take() {
            let first = self.first.take();
            blocking::detached(move || shut(p, first));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn what_ends_first_has_ended_before_anything_else_begins_to() {
        gst::init().unwrap();
        for first in [true, false] {
            let inner = gst::parse::launch("fakesrc name=src is-live=true ! fakesink name=sink async=false").unwrap();
            let inner = inner.downcast::<gst::Pipeline>().unwrap();
            let src = inner.by_name("src").unwrap();
            let told: Arc<Mutex<Vec<(String, gst::State)>>> = Arc::default();
            let all = told.clone();
            let pipeline = Pipeline::new(inner.clone(), "p", move |message| {
                if let (gst::MessageView::StateChanged(change), Some(of)) = (message.view(), message.src())
                    && change.current() < change.old()
                {
                    all.lock().unwrap().push((of.name().into(), change.current()));
                }
            });
            let pipeline = if first { pipeline.ending_first(src) } else { pipeline };
            pipeline.play().await.unwrap();
            pipeline.stop().await;
            assert_eq!(inner.current_state(), gst::State::Null);
            let told = told.lock().unwrap();
            let at = |name: &str, state| told.iter().position(|t| *t == (name.to_owned(), state));
            let (gone, holds) = (at("src", gst::State::Ready), at("sink", gst::State::Paused));
            assert_eq!(gone.unwrap() < holds.unwrap(), first, "{told:?}");
        }
    }
}
