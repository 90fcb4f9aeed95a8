//! When a source is asked for a key frame, and how. Viewers are answered from the cache at
//! once; this is what makes the picture whole again where the next key frame is far away.

use std::time::{Duration, Instant};

use gstreamer as gst;

/// Between two requests at least: ten viewers who ask at once are one.
const PAUSE: Duration = Duration::from_secs(1);
/// A key frame that came so recently, or is due so soon, is what they ask for.
const NEAR: Duration = Duration::from_millis(500);

/// Which requests reach the source of one track. Pure; its streaming thread owns it.
#[derive(Debug, Default)]
pub struct KeyRequest {
    /// The last key frame.
    key: Option<Instant>,
    /// Between the last two: the source's own rhythm, as long as nobody asked between them.
    period: Option<Duration>,
    /// The source was last asked.
    asked: Option<Instant>,
}

impl KeyRequest {
    /// A key frame came.
    pub fn key(&mut self, now: Instant) {
        let last = self.key.replace(now);
        let own = last.filter(|last| self.asked.is_none_or(|asked| asked < *last));
        if let Some(last) = own {
            self.period = Some(now.saturating_duration_since(last));
        }
    }

    /// Somebody wants one: whether the source is to be asked now. A request that comes too
    /// early is none: who still wants a key frame asks again.
    pub fn wanted(&mut self, now: Instant) -> bool {
        let early = |at: Option<Instant>, pause| at.is_some_and(|at| now.saturating_duration_since(at) < pause);
        // Only what is still to come: a source that has stopped sending them is asked.
        let due = self.key.zip(self.period).is_some_and(|(key, period)| {
            let next = key + period;
            now < next + NEAR && next.saturating_duration_since(now) < NEAR
        });
        let ask = !early(self.asked, PAUSE) && !early(self.key, NEAR) && !due;
        if ask {
            self.asked = Some(now);
        }
        ask
    }
}

/// GstForceKeyUnit, upstream (gst-plugins-base, video/video-event.c): encoders make a key
/// frame of the next picture. An RTP session whose caps say `rtcp-fb-nack-pli` sends the
/// camera a PLI; what does not know it drops it.
pub fn event() -> gst::Event {
    let fields = gst::Structure::builder("GstForceKeyUnit")
        .field("running-time", gst::ClockTime::NONE)
        .field("all-headers", true)
        .field("count", 0u32);
    gst::event::CustomUpstream::new(fields.build())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::media::codec::Kind;
    use crate::media::gop::Cap;
    use crate::media::hub::{AccessUnit, Hub};
    use crate::media::source::{EVENTS, Hints, Origin, Source, Spec};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_crowd_that_asks_is_one_request() {
        let now = Instant::now();
        let mut r = KeyRequest::default();
        r.key(now);
        let asked: Vec<u32> = (5..15).map(|n| n * 100).filter(|n| r.wanted(now + MS * *n)).collect();
        assert_eq!(asked, [500]);
        // It was heard, and then wanted again.
        r.key(now + MS * 1_520);
        assert!(!r.wanted(now + MS * 2_000));
        assert!(r.wanted(now + MS * 2_020));
    }

    #[test]
    fn a_key_frame_that_is_due_is_waited_for_and_one_that_fails_to_come_is_not() {
        let now = Instant::now();
        let mut r = KeyRequest::default();
        r.key(now);
        r.key(now + MS * 2_000);
        assert!(r.wanted(now + MS * 3_000));
        // What was asked for says nothing of the rhythm.
        r.key(now + MS * 3_040);
        assert_eq!(r.period, Some(MS * 2_000));
        assert!(!r.wanted(now + MS * 4_600));
        assert!(!r.wanted(now + MS * 5_500));
        assert!(r.wanted(now + MS * 5_540));
    }

    proptest! {
        /// Whatever comes: never two requests within a second, never one just behind a key frame.
        #[test]
        fn requests_keep_their_distance(list in proptest::collection::vec((any::<bool>(), 0u32..900), 0..80)) {
            let (mut r, mut now) = (KeyRequest::default(), Instant::now());
            let (mut asked, mut key): (Option<Instant>, Option<Instant>) = (None, None);
            for (is_key, ms) in list {
                now += MS * ms;
                if is_key {
                    r.key(now);
                    key = Some(now);
                } else if r.wanted(now) {
                    prop_assert!(asked.is_none_or(|at| now - at >= PAUSE) && key.is_none_or(|at| now - at >= NEAR));
                    asked = Some(now);
                }
            }
        }
    }

    /// The next key frame, with how many others came before it.
    async fn key(s: &mut crate::media::hub::Subscription) -> (Arc<AccessUnit>, u32) {
        let mut others = 0;
        loop {
            let next = tokio::time::timeout(Duration::from_secs(60), s.next());
            let unit = next.await.expect("no frame").expect("closed");
            if unit.kind == Kind::Video && unit.key {
                return (unit, others);
            }
            others += 1;
        }
    }

    #[tokio::test]
    async fn an_encoder_that_sends_no_key_frame_by_itself_is_asked_for_one_and_once() {
        gst::init().unwrap();
        let line = "videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=25/1 \
            ! x264enc tune=zerolatency key-int-max=100000 ! h264parse name=parse \
            ! rtph264pay config-interval=-1 ! appsink name=packets sync=false";
        let hub = Hub::new(Cap::default());
        let mut viewer = hub.subscribe();
        viewer.play();
        let spec = Spec {
            path: "asked".into(),
            origin: Origin::Launch(line.into()),
            template: None,
            read_timeout: Duration::from_secs(60),
            hints: Hints::default(),
        };
        let (events, _told) = tokio::sync::mpsc::channel(EVENTS);
        let source = Source::start(&spec, &hub, events).await.unwrap();
        let (first, _) = key(&mut viewer).await;
        // Behind the time in which nobody is asked, judged by when frames arrive.
        let mut last = first.arrived;
        while last < first.arrived + NEAR {
            let unit = tokio::time::timeout(Duration::from_secs(60), viewer.next()).await.unwrap().unwrap();
            assert!(!unit.key, "it sends them by itself");
            last = unit.arrived;
        }
        hub.want_key();
        let (second, _) = key(&mut viewer).await;
        // Asked again with each frame for as long as the source is not to be asked twice.
        let mut last = second.arrived;
        while last < second.arrived + NEAR - MS * 50 {
            hub.want_key();
            let unit = tokio::time::timeout(Duration::from_secs(60), viewer.next()).await.unwrap().unwrap();
            assert!(!unit.key, "asked twice");
            last = unit.arrived;
        }
        source.stop().await;
    }
}
