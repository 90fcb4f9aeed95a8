//! What a camera can be built with.

use super::camera::Camera;
use super::faults::Fault;
use super::feed::{Conf, Profile};
use super::nal::Codec;
use super::ptz_picture::Scene;
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;

/// The audio track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audio {
    Pcmu,
    Pcma,
    Opus,
    /// In RTP as RFC 3640 has it (mpeg4-generic); 48 kHz.
    Aac,
    /// In RTP as RFC 6416 has it (MP4A-LATM); 16 kHz.
    Latm,
}

/// Credentials that the camera wants: user, password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    Basic(String, String),
    Digest(String, String),
}

/// See [`Camera::builder`].
#[derive(Clone)]
pub struct Builder {
    pub(super) conf: Conf,
    pub(super) audio: Option<Audio>,
    pub(super) noisy_sound: bool,
    pub(super) auth: Option<Auth>,
    pub(super) faults: Vec<Fault>,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) path: String,
    pub(super) tls: bool,
    pub(super) key_on_connect: bool,
    pub(super) scene: Option<Scene>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            conf: Conf::default(),
            audio: None,
            noisy_sound: false,
            auth: None,
            faults: Vec::new(),
            address: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            path: "/stream".into(),
            tls: false,
            key_on_connect: true,
            scene: None,
        }
    }
}

impl Builder {
    pub fn codec(mut self, codec: Codec) -> Self {
        self.conf.codec = codec;
        self
    }
    pub fn audio(mut self, audio: impl Into<Option<Audio>>) -> Self {
        self.audio = audio.into();
        self
    }
    /// Noise instead of a tone, so that no two packets are alike: see
    /// [`Camera::sound_at`].
    pub fn noisy_sound(mut self) -> Self {
        self.noisy_sound = true;
        self
    }
    /// Even numbers.
    pub fn size(mut self, width: usize, height: usize) -> Self {
        (self.conf.width, self.conf.height) = (width, height);
        self
    }
    pub fn fps(mut self, fps: u32) -> Self {
        self.conf.fps = fps;
        self
    }
    /// 30000/1001 frames a second.
    pub fn ntsc(mut self) -> Self {
        (self.conf.fps, self.conf.ntsc) = (30, true);
        self
    }
    pub fn gop_frames(mut self, frames: u32) -> Self {
        self.conf.gop_frames = frames;
        self
    }
    /// GOPs of these lengths in turn. Prerecorded only.
    pub fn gop_turns(mut self, frames: &[u32]) -> Self {
        self.conf.gop_frames = frames.iter().copied().max().unwrap_or(self.conf.gop_frames);
        self.conf.gop_turns = frames.to_vec();
        self
    }
    /// The encoder's target; see [`Builder::noise`] for really reaching it.
    pub fn bitrate_kbps(mut self, kbps: u32) -> Self {
        self.conf.bitrate_kbps = kbps;
        self
    }
    /// Noise in the picture, so that the encoder needs its whole bit rate.
    pub fn noise(mut self, noise: bool) -> Self {
        self.conf.noise = noise;
        self
    }
    /// H.264 only; makes the profile Main at least.
    pub fn b_frames(mut self, n: u32) -> Self {
        self.conf.b_frames = n;
        self
    }
    /// H.264 only.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.conf.profile = profile;
        self
    }
    pub fn auth(mut self, auth: impl Into<Option<Auth>>) -> Self {
        self.auth = auth.into();
        self
    }
    pub fn basic(self, user: &str, password: &str) -> Self {
        self.auth(Auth::Basic(user.into(), password.into()))
    }
    pub fn digest(self, user: &str, password: &str) -> Self {
        self.auth(Auth::Digest(user.into(), password.into()))
    }
    /// Adds a fault.
    pub fn misbehave(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
    /// `127.0.0.1` or `::1`.
    pub fn address(mut self, address: &str) -> Self {
        self.address = address.parse().expect("not an IP address");
        self
    }
    /// 0: any.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }
    /// Default: `/stream`.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }
    /// RTSPS with a self-signed certificate; see [`Camera::fingerprint`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }
    /// False: a reader that connects waits for the next key frame of the GOP,
    /// instead of making the encoder write one. DESCRIBE then waits, too.
    pub fn key_on_connect(mut self, yes: bool) -> Self {
        self.key_on_connect = yes;
        self
    }
    /// Timestamps are even, however busy the machine is. Not for latencies.
    pub fn even(mut self) -> Self {
        self.conf.even = true;
        self
    }
    /// The picture follows a PTZ double: see [`super::ptz_picture`].
    pub fn scene(mut self, scene: Scene) -> Self {
        self.scene = Some(scene);
        self
    }
    /// Loop over frames encoded once: next to no CPU, for benches.
    pub fn prerecorded(mut self) -> Self {
        self.conf.prerecorded = true;
        self
    }

    /// Starts it. Panics if the address is taken.
    pub fn start(self) -> Camera {
        assert!(self.scene.is_none() || !self.conf.prerecorded, "a recording follows nobody");
        super::init();
        super::feed::prepare(&self.conf);
        let tls = self.tls.then(|| {
            let key = rcgen::generate_simple_self_signed(vec!["camera.test".into()]).unwrap();
            let fingerprint = Sha256::digest(key.cert.der()).iter().map(|b| format!("{b:02x}")).collect();
            let pem = key.cert.pem() + &key.signing_key.serialize_pem();
            (pem, fingerprint)
        });
        Camera::assemble(self, tls)
    }
}
