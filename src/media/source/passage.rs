//! What stands in a session manager's way where a jitter buffer would, and does
//! nothing: packets pass on the thread that brings them, dated by their arrival
//! ([`super::clock`] makes more of that).

use gst::glib;
use gstreamer as gst;

glib::wrapper! {
    /// See the module.
    pub struct Passage(ObjectSubclass<imp::Passage>) @extends gst::Element, gst::Object;
}

impl Passage {
    /// One for one track.
    pub fn new() -> Self {
        glib::Object::new()
    }
}

mod imp {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use gst::glib;
    use gst::prelude::*;
    use gst::subclass::prelude::*;
    use gstreamer as gst;

    pub struct Passage {
        sink: gst::Pad,
        src: gst::Pad,
        /// rtpbin sets it. Nothing waits here, whatever it says.
        latency: AtomicU32,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Passage {
        const NAME: &'static str = "CamgatePassage";
        type Type = super::Passage;
        type ParentType = gst::Element;

        fn with_class(_: &Self::Class) -> Self {
            let sink = gst::Pad::builder(gst::PadDirection::Sink)
                .name("sink")
                .chain_function(|_, parent, buffer| {
                    Passage::catch_panic_pad_function(
                        parent,
                        || Err(gst::FlowError::Error),
                        |passage| passage.pass(buffer),
                    )
                })
                .flags(gst::PadFlags::PROXY_CAPS)
                .build();
            let src = gst::Pad::builder(gst::PadDirection::Src).name("src").flags(gst::PadFlags::PROXY_CAPS).build();
            Passage { sink, src, latency: AtomicU32::new(0) }
        }
    }

    impl Passage {
        fn pass(&self, mut buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            if buffer.pts().is_none() {
                let arrival = buffer.dts().or_else(|| self.obj().current_running_time());
                buffer.make_mut().set_pts(arrival);
            }
            self.src.push(buffer)
        }
    }

    impl ObjectImpl for Passage {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<[glib::ParamSpec; 1]> =
                LazyLock::new(|| [glib::ParamSpecUInt::builder("latency").build()]);
            &*PROPERTIES
        }

        fn set_property(&self, _: usize, value: &glib::Value, _: &glib::ParamSpec) {
            self.latency.store(value.get().unwrap_or_default(), Ordering::Relaxed);
        }

        fn property(&self, _: usize, _: &glib::ParamSpec) -> glib::Value {
            self.latency.load(Ordering::Relaxed).to_value()
        }

        fn constructed(&self) {
            self.parent_constructed();
            for pad in [&self.sink, &self.src] {
                // A fresh element has no pad of this name: it cannot fail.
                let _ = self.obj().add_pad(pad);
            }
        }
    }

    impl GstObjectImpl for Passage {}

    impl ElementImpl for Passage {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Passage",
                    "Filter/Network/RTP",
                    "Stands where a jitter buffer would, and passes packets on",
                    "camgate",
                )
            });
            Some(&*METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let any = gst::Caps::new_any();
                let reports =
                    gst::PadTemplate::new("sink_rtcp", gst::PadDirection::Sink, gst::PadPresence::Request, &any);
                reports.into_iter().collect()
            });
            &TEMPLATES
        }

        /// A jitter buffer follows the sender's reports; rtpsession has read them before.
        fn request_new_pad(
            &self,
            template: &gst::PadTemplate,
            _: Option<&str>,
            _: Option<&gst::Caps>,
        ) -> Option<gst::Pad> {
            let pad = gst::Pad::builder_from_template(template)
                .name("sink_rtcp")
                .chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok))
                .event_function(|_, _, _| true)
                .build();
            pad.set_active(true).ok()?;
            self.obj().add_pad(&pad).ok()?;
            Some(pad)
        }

        fn release_pad(&self, pad: &gst::Pad) {
            let _ = pad.set_active(false);
            let _ = self.obj().remove_pad(pad);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst::prelude::*;

    #[test]
    fn packets_pass_in_order_and_get_the_time_of_their_arrival() {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let passage = Passage::new();
        passage.set_property("latency", 7u32);
        assert_eq!(passage.property::<u32>("latency"), 7);
        let src = gst::ElementFactory::make("appsrc").property("is-live", true).build().unwrap();
        src.set_property_from_str("format", "time");
        src.set_property("caps", gst::Caps::new_empty_simple("application/x-rtp"));
        let sink = gst::ElementFactory::make("appsink").property("sync", false).build().unwrap();
        pipeline.add_many([&src, passage.upcast_ref(), &sink]).unwrap();
        gst::Element::link_many([&src, passage.upcast_ref(), &sink]).unwrap();
        let reports = passage.request_pad_simple("sink_rtcp").unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        for n in 0u8..3 {
            let flow = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&gst::Buffer::from_slice([n])]);
            assert_eq!(flow, gst::FlowReturn::Ok);
        }
        let mut last = gst::ClockTime::ZERO;
        for n in 0u8..3 {
            let sample = sink.emit_by_name::<gst::Sample>("pull-sample", &[]);
            let buffer = sample.buffer().unwrap();
            assert_eq!(buffer.map_readable().unwrap().as_slice(), [n]);
            assert!(buffer.pts().unwrap() >= last);
            last = buffer.pts().unwrap();
            assert_eq!(sample.caps().unwrap().structure(0).unwrap().name(), "application/x-rtp");
        }
        // Reports end here, and do not end the stream.
        assert_eq!(reports.chain(gst::Buffer::new()), Ok(gst::FlowSuccess::Ok));
        assert!(reports.send_event(gst::event::Eos::new()));
        assert!(!sink.property::<bool>("eos"));
        passage.release_request_pad(&reports);
        assert!(passage.static_pad("sink_rtcp").is_none());
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
