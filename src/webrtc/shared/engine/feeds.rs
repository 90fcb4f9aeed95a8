//! One reader of a path for all of its viewers: the Hub calls it once per frame, and it
//! puts the frame into the media thread's queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::super::control::{Feed, Handle, Refused, RingId};
use super::super::ring::Cap;
use crate::media::codec::Kind;
use crate::media::hub::{AccessUnit, Fed, Hub, ReaderStats, Tap};

/// What a path's viewers are fed from. Gone with the last of them.
#[derive(Debug)]
pub struct PathFeed {
    tap: Tap,
    video: Feed<AccessUnit>,
    audio: Feed<AccessUnit>,
}

impl PathFeed {
    /// Reads a path from now on.
    fn new(hub: &Arc<Hub>, handle: &Handle<AccessUnit>) -> Result<Self, Refused> {
        let (video, audio) = (handle.ring(Cap::default())?, handle.ring(Cap::default())?);
        let (to_video, to_audio) = (video.clone(), audio.clone());
        let tap = hub.tap(move |fed| take(fed, &to_video, &to_audio));
        Ok(PathFeed { tap, video, audio })
    }

    /// Where the frames of a kind are.
    pub fn ring(&self, kind: Kind) -> RingId {
        match kind {
            Kind::Video => self.video.ring(),
            Kind::Audio => self.audio.ring(),
        }
    }

    /// What did not get as far as the rings.
    pub fn stats(&self) -> &ReaderStats {
        self.tap.stats()
    }
}

/// Under the Hub's lock: a short lock of the queue and at most one system call each.
fn take(fed: Fed, video: &Feed<AccessUnit>, audio: &Feed<AccessUnit>) -> bool {
    match fed {
        Fed::Start(start) => video.start(start.units),
        Fed::Unit(unit) if unit.kind == Kind::Video => video.push(unit),
        Fed::Unit(unit) => audio.push(unit),
        Fed::Interrupted => {
            video.interrupt();
            true
        }
    }
}

/// The paths that have viewers, by where their Hub is: one that is in use stays there.
#[derive(Debug, Default)]
pub struct Feeds {
    known: Mutex<HashMap<usize, Weak<PathFeed>>>,
}

impl Feeds {
    /// The feed of a path, made for the first one who wants it. Errors: the thread has no
    /// room, or has ended.
    pub fn of(&self, hub: &Arc<Hub>, handle: &Handle<AccessUnit>) -> Result<Arc<PathFeed>, Refused> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Arc::as_ptr(hub) as usize;
        // One that the Hub has sent away serves who is still there, and nobody new.
        if let Some(feed) = known.get(&at).and_then(Weak::upgrade).filter(|f| !f.tap.over()) {
            return Ok(feed);
        }
        let feed = Arc::new(PathFeed::new(hub, handle)?);
        known.retain(|_, f| f.strong_count() > 0);
        known.insert(at, Arc::downgrade(&feed));
        Ok(feed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::control::{Command, Local};
    use super::super::super::net::Bell;
    use super::super::super::queue::{Item, Queue, Taken};
    use super::*;
    use crate::media::codec::{Codec, Track};
    use crate::media::gop;
    use crate::media::rtp::{Frame, Span};

    /// A thread that only notes what comes.
    struct Thread {
        queue: Arc<Queue<AccessUnit>>,
        handle: Handle<AccessUnit>,
    }

    impl Thread {
        fn new() -> Self {
            let queue = Arc::new(Queue::new(Bell::new().unwrap()));
            let handle = Handle::new(queue.clone(), Local { udp: vec![], tcp: vec![] });
            Thread { queue, handle }
        }

        fn take(&self) -> Vec<String> {
            let mut taken = Taken::default();
            self.queue.take(&mut taken);
            let said = taken.commands.into_iter().map(|c| match c {
                Command::Register(ring, _) => format!("register {ring}"),
                Command::Unregister(ring) => format!("unregister {ring}"),
                _ => "other".into(),
            });
            let name = |ring, unit: &AccessUnit| format!("{ring}: {}", unit.payload(0).unwrap()[0]);
            let sent = taken.frames.into_iter().flat_map(|f| match f {
                Item::Frame(ring, unit) => vec![name(ring, &unit)],
                Item::Start(ring, units) => units.iter().map(|unit| name(ring, unit)).collect(),
                Item::Interrupt(ring) => vec![format!("{ring}: interrupt")],
            });
            said.chain(sent).collect()
        }
    }

    fn tracks() -> Vec<Track> {
        let codecs = [Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f] }, Codec::Pcma];
        codecs.map(|codec| Track { codec, width: None, height: None, fps: None }).to_vec()
    }

    fn frame(key: bool, n: u8) -> Frame {
        let packets = vec![Span { start: 0, len: 10 }];
        Frame { data: vec![n; 10], packets, timestamp: u32::from(n) * 3_600, pts_ns: u64::from(n) * 40_000_000, key }
    }

    #[test]
    fn all_viewers_of_a_path_are_fed_by_one_reader_that_ends_with_the_last() {
        let (thread, feeds) = (Thread::new(), Feeds::default());
        let hub = Hub::new(gop::Cap::default());
        let source = hub.begin(hub.epoch(), tracks()).unwrap();
        source.publish(Kind::Video, frame(true, 1));
        source.publish(Kind::Video, frame(false, 2));
        let first = feeds.of(&hub, &thread.handle).unwrap();
        assert_eq!(thread.take(), ["register 1", "register 2", "1: 1", "1: 2"]);
        let second = feeds.of(&hub, &thread.handle).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((first.ring(Kind::Video), first.ring(Kind::Audio)), (1, 2));
        source.publish(Kind::Audio, frame(true, 3));
        source.publish(Kind::Video, frame(false, 4));
        assert_eq!(thread.take(), ["2: 3", "1: 4"]);
        assert_eq!(*hub.readers().borrow(), 0, "whom viewers' subscriptions count");
        drop(first);
        source.publish(Kind::Video, frame(false, 5));
        assert_eq!(thread.take(), ["1: 5"]);
        drop(second);
        source.publish(Kind::Video, frame(false, 6));
        assert_eq!(thread.take(), ["unregister 1", "unregister 2"]);
        // Who comes now begins anew, with everything since the key frame.
        let third = feeds.of(&hub, &thread.handle).unwrap();
        let all = ["register 3", "register 4", "3: 1", "3: 2", "3: 4", "3: 5", "3: 6"];
        assert_eq!((thread.take(), third.ring(Kind::Video)), (all.map(String::from).to_vec(), 3));
    }

    #[test]
    fn another_codec_has_other_rings_and_those_of_the_old_one_stay_while_somebody_has_them() {
        let (thread, feeds) = (Thread::new(), Feeds::default());
        let hub = Hub::new(gop::Cap::default());
        hub.begin(hub.epoch(), tracks()).unwrap().publish(Kind::Video, frame(true, 1));
        let old = feeds.of(&hub, &thread.handle).unwrap();
        // The same source once more: the same rings.
        hub.end();
        let source = hub.begin(hub.epoch(), tracks()).unwrap();
        source.publish(Kind::Video, frame(false, 2));
        source.publish(Kind::Video, frame(true, 3));
        assert_eq!(thread.take(), ["register 1", "register 2", "1: 1", "1: interrupt", "1: 3"]);
        let h265 = Codec::H265 { profile_id: 1, tier_flag: 0, level_id: 93 };
        let other = vec![Track { codec: h265, width: None, height: None, fps: None }];
        let source = hub.begin(hub.epoch(), other).unwrap();
        source.publish(Kind::Video, frame(true, 4));
        // To sessions that are about to be closed nothing is sent that they could not play.
        assert_eq!(thread.take(), [""; 0]);
        let new = feeds.of(&hub, &thread.handle).unwrap();
        assert!(!Arc::ptr_eq(&old, &new));
        assert_eq!(thread.take(), ["register 3", "register 4", "3: 4"]);
        drop(old);
        assert_eq!(thread.take(), ["unregister 1", "unregister 2"]);
        assert!(Arc::ptr_eq(&new, &feeds.of(&hub, &thread.handle).unwrap()));
    }

    #[test]
    fn a_thread_that_has_ended_is_named() {
        let (thread, feeds) = (Thread::new(), Feeds::default());
        thread.queue.end();
        assert_eq!(feeds.of(&Hub::new(gop::Cap::default()), &thread.handle).unwrap_err(), Refused::Gone);
    }
}
