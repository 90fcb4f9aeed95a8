//! What a camera's sensor and encoder do: takes a picture at every tick, encodes
//! it, and hands the access unit to whoever listens, with the frame's index and
//! times as an SEI, and the same times in a table that the test can look up.
//!
//! It runs on its own, like a real camera: readers come and go. `live` encodes
//! each picture as it is taken, `prerecorded` loops over frames encoded once
//! (next to no CPU; the bar code in the picture then repeats with the loop, the
//! index in the SEI does not).

use super::encoder::{Encoder, Picture};
pub use super::encoder::{Recorded, parameter_sets, recording};
use super::mono;
use super::nal::{Codec, Stamp};
use super::ptz_picture::Scene;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// H.264 profile, by the tools that the encoder really uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Constrained baseline (no CABAC, no B-frames).
    Baseline,
    /// Main (CABAC).
    Main,
    /// High (CABAC, 8×8 transform).
    High,
}

/// What the sensor and encoder are set to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Conf {
    pub codec: Codec,
    pub width: usize,
    pub height: usize,
    pub fps: u32,
    /// Frames from one key frame to the next.
    pub gop_frames: u32,
    pub bitrate_kbps: u32,
    /// B-frames between two others; H.264 only.
    pub b_frames: u32,
    pub profile: Profile,
    /// Loop over frames encoded once instead of encoding each.
    pub prerecorded: bool,
    /// Noise in the lower half of the picture, so that the bit rate is reached.
    pub noise: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Self {
            codec: Codec::H264,
            width: 640,
            height: 360,
            fps: 25,
            gop_frames: 50,
            bitrate_kbps: 800,
            b_frames: 0,
            profile: Profile::Baseline,
            prerecorded: false,
            noise: false,
        }
    }
}

/// What is known of one frame.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub index: u32,
    /// The picture was taken.
    pub captured: Instant,
    /// The access unit was handed to the RTSP server.
    pub handed: Option<Instant>,
    /// The last RTP packet of it left the payloader (the latest, if several media run).
    pub sent: Option<Instant>,
    pub key: bool,
    /// Size of the access unit with our SEI.
    pub bytes: usize,
    pub width: usize,
    pub height: usize,
}

/// The table of frames; keeps the last [`Frames::KEPT`]. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Frames(Arc<Mutex<VecDeque<Frame>>>);

impl Frames {
    /// How many frames are kept.
    pub const KEPT: usize = 50_000;

    /// The frame with this index, if it is still in the table.
    pub fn get(&self, index: u32) -> Option<Frame> {
        self.with(index, |f| *f)
    }

    /// The frame whose low 16 bits of the index are these (a bar code), newest first.
    pub fn by_code(&self, code: u16) -> Option<Frame> {
        let frames = self.0.lock().unwrap();
        frames.iter().rev().find(|f| f.index as u16 == code).copied()
    }

    /// The frame taken last.
    pub fn last(&self) -> Option<Frame> {
        self.0.lock().unwrap().back().copied()
    }

    /// All frames kept, oldest first.
    pub fn all(&self) -> Vec<Frame> {
        self.0.lock().unwrap().iter().copied().collect()
    }

    fn with<T>(&self, index: u32, f: impl FnOnce(&mut Frame) -> T) -> Option<T> {
        let mut frames = self.0.lock().unwrap();
        let first = frames.front()?.index;
        let at = index.checked_sub(first)? as usize;
        frames.get_mut(at).map(f)
    }

    fn taken(&self, frame: Frame) {
        let mut frames = self.0.lock().unwrap();
        if frames.len() == Self::KEPT {
            frames.pop_front();
        }
        frames.push_back(frame);
    }

    /// Notes that a packet of the frame left the payloader now.
    pub(super) fn sent(&self, index: u32) {
        self.with(index, |f| f.sent = Some(Instant::now()));
    }
}

/// An access unit on its way to the readers.
pub struct AccessUnit {
    pub index: u32,
    pub key: bool,
    pub captured: Instant,
    /// Annex B, with our SEI.
    pub data: Vec<u8>,
}

/// Somebody who takes access units.
pub trait Sink: Send + Sync {
    /// Takes one; false ends the subscription.
    fn take(&self, au: &AccessUnit, feed: &Shared) -> bool;
}

/// What the feed's thread, the encoder's callback and the readers share.
pub struct Shared {
    conf: Mutex<Conf>,
    /// What the sensor sees, where it turns.
    scene: Option<Scene>,
    changed: AtomicBool,
    force_key: AtomicBool,
    quit: AtomicBool,
    pub frames: Frames,
    sinks: Mutex<Vec<Arc<dyn Sink>>>,
}

impl Shared {
    /// The next frame becomes a key frame.
    pub fn request_key(&self) {
        self.force_key.store(true, SeqCst);
    }

    /// Adds a listener.
    pub fn subscribe(&self, sink: Arc<dyn Sink>) {
        self.sinks.lock().unwrap().push(sink);
    }

    fn deliver(&self, codec: Codec, index: u32, key: bool, data: &[u8]) {
        let Some(captured) = self.frames.with(index, |f| f.captured) else {
            return;
        };
        let handed = Instant::now();
        let stamp = Stamp { index, captured_ns: mono::to_ns(captured), handed_ns: mono::to_ns(handed) };
        let data = stamp.insert(codec, data);
        self.frames.with(index, |f| {
            f.handed = Some(handed);
            f.key = key;
            f.bytes = data.len();
        });
        let au = AccessUnit { index, key, captured, data };
        self.sinks.lock().unwrap().retain(|sink| sink.take(&au, self));
    }
}

/// A running sensor and encoder; ends when dropped.
pub struct Feed {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Feed {
    /// Starts taking pictures, of `scene` if there is one.
    pub fn start(conf: Conf, scene: Option<Scene>) -> Self {
        let shared = Arc::new(Shared {
            conf: Mutex::new(conf),
            scene,
            changed: AtomicBool::new(true),
            force_key: AtomicBool::new(false),
            quit: AtomicBool::new(false),
            frames: Frames::default(),
            sinks: Mutex::default(),
        });
        let thread = std::thread::Builder::new()
            .name("camera-feed".into())
            .spawn({
                let shared = shared.clone();
                move || run(&shared)
            })
            .unwrap();
        Self { shared, thread: Some(thread) }
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The present settings.
    pub fn conf(&self) -> Conf {
        self.shared.conf.lock().unwrap().clone()
    }

    /// New settings from the next frame on. A change of the codec makes sense
    /// only when nobody listens.
    pub fn set_conf(&self, conf: Conf) {
        *self.shared.conf.lock().unwrap() = conf;
        self.shared.changed.store(true, SeqCst);
    }

    /// Throws all listeners out.
    pub fn clear(&self) {
        self.shared.sinks.lock().unwrap().clear();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.quit.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where the access units of a tick come from.
enum Origin {
    Live(Encoder),
    Loop(Arc<Vec<Recorded>>, usize),
}

fn run(shared: &Arc<Shared>) {
    let mut index = 0u32;
    let mut origin = None;
    let mut conf = shared.conf.lock().unwrap().clone();
    let mut picture = Picture::new(&conf, shared.scene.clone());
    let mut next = Instant::now();
    while !shared.quit.load(SeqCst) {
        if shared.changed.swap(false, SeqCst) || origin.is_none() {
            conf = shared.conf.lock().unwrap().clone();
            drop(origin.take());
            picture = Picture::new(&conf, shared.scene.clone());
            origin = Some(if conf.prerecorded {
                Origin::Loop(recording(&conf), 0)
            } else {
                let shared = shared.clone();
                let codec = conf.codec;
                Origin::Live(Encoder::start(&conf, move |index, key, data| {
                    shared.deliver(codec, index, key, data);
                }))
            });
            next = Instant::now();
        }
        let now = Instant::now();
        if next > now {
            // The camera's own tick; short enough to notice the end soon.
            std::thread::sleep((next - now).min(Duration::from_millis(50))); // poll
            if next > Instant::now() {
                continue;
            }
        } else if now - next > Duration::from_secs(1) {
            next = now; // The machine was too slow: do not run after it.
        }
        shared.frames.taken(Frame {
            index,
            captured: Instant::now(),
            handed: None,
            sent: None,
            key: false,
            bytes: 0,
            width: conf.width,
            height: conf.height,
        });
        let force = shared.force_key.swap(false, SeqCst);
        match origin.as_mut() {
            Some(Origin::Live(encoder)) => {
                if force {
                    encoder.force_key();
                }
                encoder.push(index, picture.take(index));
            }
            Some(Origin::Loop(recorded, at)) => {
                if force {
                    *at = 0;
                }
                let unit = &recorded[*at];
                // Order of decoding: a recording with B-frames has none here.
                shared.deliver(conf.codec, index, unit.key, &unit.data);
                *at = (*at + 1) % recorded.len();
            }
            None => unreachable!(),
        }
        index += 1;
        next += Duration::from_secs(1) / conf.fps;
    }
}

/// Makes the recording for these settings now, if they want one: it takes its time.
pub(super) fn prepare(conf: &Conf) {
    if conf.prerecorded {
        recording(conf);
    }
}
