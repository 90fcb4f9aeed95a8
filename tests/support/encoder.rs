//! The camera's picture and its encoder, and recordings made with them.

use super::barcode;
use super::feed::{Conf, Profile};
use super::nal::Codec;
use super::ptz_picture::{self, Scene};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The picture: grey-blue ground with stripes, the bar code, a moving block,
/// and noise where asked for; or what a camera that turns sees.
pub(super) struct Picture {
    scene: Option<Scene>,
    ground: Vec<u8>,
    width: usize,
    height: usize,
    noise: bool,
    random: u64,
}

impl Picture {
    pub(super) fn new(conf: &Conf, scene: Option<Scene>) -> Self {
        let (width, height) = (conf.width, conf.height);
        let mut ground = vec![0u8; width * height * 3 / 2];
        for (y, row) in ground[..width * height].chunks_mut(width).enumerate() {
            for (x, p) in row.iter_mut().enumerate() {
                *p = 60 + ((x * 80) / width + (y * 40) / height) as u8;
            }
        }
        let (u, v) = ground[width * height..].split_at_mut(width * height / 4);
        u.fill(140);
        v.fill(120);
        Self { scene, ground, width, height, noise: conf.noise, random: 0x9e37_79b9_7f4a_7c15 }
    }

    /// The picture of this frame: I420.
    pub(super) fn take(&mut self, index: u32) -> Vec<u8> {
        let (width, height) = (self.width, self.height);
        let mut frame = self.ground.clone();
        let luma = &mut frame[..width * height];
        if let Some(scene) = &self.scene {
            let at = scene.lock().unwrap().at(Instant::now());
            ptz_picture::draw(luma, width, height, at);
            barcode::draw(luma, width, width, height, index);
            return frame;
        }
        if self.noise {
            for p in luma[width * height / 2..].chunks_mut(8) {
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                for (p, r) in p.iter_mut().zip(self.random.to_le_bytes()) {
                    *p = p.wrapping_add(r & 0x3f);
                }
            }
        }
        let side = height / 6;
        let x = (index as usize * 8) % (width - side);
        for row in luma[height / 4 * width..].chunks_mut(width).take(side) {
            row[x..x + side].fill(210);
        }
        barcode::draw(luma, width, width, height, index);
        frame
    }
}

/// An encoder pipeline; access units come out on its own thread.
pub(super) struct Encoder {
    pipeline: gst::Pipeline,
    src: gst_app::AppSrc,
    sink: gst_app::AppSink,
    frame: gst::ClockTime,
}

impl Encoder {
    /// `out` gets the frame's index, whether it is a key frame, and the access unit.
    pub(super) fn start(conf: &Conf, mut out: impl FnMut(u32, bool, &[u8]) + Send + 'static) -> Self {
        let Conf { width, height, fps, gop_frames, bitrate_kbps, b_frames, .. } = conf;
        let encoder = match conf.codec {
            Codec::H264 => {
                let (caps, tools) = match conf.profile {
                    Profile::Baseline if *b_frames == 0 => ("constrained-baseline", ""),
                    Profile::Baseline | Profile::Main => ("main", "cabac=true"),
                    Profile::High => ("high", "cabac=true dct8x8=true"),
                };
                let tune = match b_frames {
                    0 => "tune=zerolatency",
                    _ => "b-adapt=false rc-lookahead=0 sync-lookahead=0",
                };
                format!(
                    "x264enc speed-preset=ultrafast threads=1 aud=false bitrate={bitrate_kbps} \
                     key-int-max={gop_frames} bframes={b_frames} {tune} {tools} \
                     option-string=\"scenecut=0:min-keyint={gop_frames}\" ! \
                     video/x-h264,profile={caps},stream-format=byte-stream,alignment=au"
                )
            }
            Codec::H265 => format!(
                "x265enc speed-preset=ultrafast tune=zerolatency bitrate={bitrate_kbps} \
                 key-int-max={gop_frames} log-level=none \
                 option-string=\"bframes=0:scenecut=0:open-gop=0:repeat-headers=1:pools=1:frame-threads=1:min-keyint={gop_frames}\" ! \
                 video/x-h265,stream-format=byte-stream,alignment=au"
            ),
        };
        let pipeline = gst::parse::launch(&format!(
            "appsrc name=in format=time block=true max-bytes={} \
             caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 ! \
             {encoder} ! appsink name=out sync=false async=false",
            width * height * 6
        ))
        .expect("the encoder of the camera double is missing")
        .downcast::<gst::Pipeline>()
        .unwrap();
        let src = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
        let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
        let frame = gst::ClockTime::SECOND / u64::from(*fps);
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let buffer = sample.buffer().ok_or(gst::FlowError::Error)?;
                    // x264enc shifts its timestamps by 1000 hours, and the segment with them.
                    let time = sample
                        .segment()
                        .and_then(|s| s.downcast_ref::<gst::ClockTime>())
                        .and_then(|s| s.to_running_time(buffer.pts()))
                        .ok_or(gst::FlowError::Error)?;
                    let index = (time + frame / 2).nseconds() / frame.nseconds();
                    let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
                    let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
                    out(index as u32, key, map.as_slice());
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, src, sink, frame }
    }

    pub(super) fn push(&self, index: u32, picture: Vec<u8>) {
        let mut buffer = gst::Buffer::from_mut_slice(picture);
        let b = buffer.get_mut().unwrap();
        b.set_pts(self.frame * u64::from(index));
        b.set_duration(self.frame);
        let _ = self.src.push_buffer(buffer);
    }

    pub(super) fn force_key(&self) {
        let event = gstreamer_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        self.sink.send_event(event);
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// One access unit of a recording.
pub struct Recorded {
    pub key: bool,
    pub data: Vec<u8>,
}

/// Whole GOPs of at least four seconds, encoded once per process and settings.
pub fn recording(conf: &Conf) -> Arc<Vec<Recorded>> {
    static MADE: OnceLock<Mutex<HashMap<Conf, Arc<Vec<Recorded>>>>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
    if let Some(done) = made.get(conf) {
        return done.clone();
    }
    assert_eq!(conf.b_frames, 0, "a recording has no B-frames");
    let frames = (4 * conf.fps).div_ceil(conf.gop_frames) * conf.gop_frames;
    let done = Arc::new(encode(conf, frames));
    made.insert(conf.clone(), done.clone());
    done
}

fn encode(conf: &Conf, frames: u32) -> Vec<Recorded> {
    super::init();
    let (sender, receiver) = std::sync::mpsc::channel();
    let encoder = Encoder::start(conf, move |_, key, data| {
        let _ = sender.send(Recorded { key, data: data.to_vec() });
    });
    let mut picture = Picture::new(conf, None);
    for index in 0..frames {
        encoder.push(index, picture.take(index));
    }
    encoder.src.end_of_stream().unwrap();
    (0..frames).map(|_| receiver.recv_timeout(Duration::from_secs(60)).expect("the encoder lost a frame")).collect()
}

/// The parameter sets (without start codes) that an encoder writes for these settings.
pub fn parameter_sets(conf: &Conf) -> Vec<Vec<u8>> {
    let first = encode(conf, 1);
    super::nal::units(&first[0].data)
        .filter(|(_, nal)| {
            super::nal::kind(nal, conf.codec).is_some_and(|k| super::nal::is_parameter_set(k, conf.codec))
        })
        .map(|(_, nal)| nal.to_vec())
        .collect()
}
