use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;

use super::pipeline::{decode_with, encode, size};
use super::*;
use crate::media::codec::{Kind as Media, Track};
use crate::media::gop::Cap;
use crate::media::hub::Hub;
use crate::media::rtp::{self, Assembler};

const H264: Codec = Codec::H264 { profile_level_id: [0x64, 0, 0x28] };
const H265: Codec = Codec::H265 { profile_id: 1, tier_flag: 0, level_id: 93 };

/// A key frame of white, as a Hub keeps it, of an encoder's packets; H.264 in two slices.
fn still(codec: &Codec, format: &str) -> Arc<Still> {
    gst::init().unwrap();
    let encode = match codec {
        Codec::H264 { .. } => {
            "x264enc tune=zerolatency sliced-threads=true threads=2 ! h264parse ! rtph264pay config-interval=-1"
        }
        _ => "x265enc log-level=none ! h265parse ! rtph265pay config-interval=-1",
    };
    let line = format!(
        "videotestsrc pattern=white num-buffers=1 ! video/x-raw,format=I420,framerate=25/1,{format} ! {encode} mtu=1200 ! \
         appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let hub = Hub::new(Cap::default());
    let track = Track { codec: codec.clone(), width: None, height: None, fps: None };
    let feed = hub.begin(hub.epoch(), vec![track]).unwrap();
    let mut assembler = Assembler::default();
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(20)) {
        let list = sample.buffer_list_owned();
        let buffers = list.iter().flat_map(|l| l.iter_owned()).chain(sample.buffer_owned());
        for buffer in buffers {
            let map = buffer.map_readable().unwrap();
            assembler.push(codec, rtp::parse(&map).unwrap(), 0, |f, _| {
                feed.publish(Media::Video, f);
            });
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    hub.end();
    hub.still().expect("no key frame")
}

fn unit(still: &Still) -> Arc<AccessUnit> {
    match &*still.work.try_lock().unwrap() {
        Work::Frame(unit) => unit.clone(),
        other => panic!("{other:?}"),
    }
}

/// Mean of the bytes of an encoded picture's planes Y, U, V as they lie in the JPEG.
fn means(jpeg: &[u8], width: u32, height: u32) -> [u32; 3] {
    let line = format!(
        "appsrc name=in caps=image/jpeg ! jpegdec ! video/x-raw,format=I420,width={width},height={height} ! \
         appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    source.push_buffer(gst::Buffer::from_slice(jpeg.to_vec())).unwrap();
    source.end_of_stream().unwrap();
    let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(20)).expect("no JPEG of this size");
    pipeline.set_state(gst::State::Null).unwrap();
    let map = sample.buffer().unwrap().map_readable().unwrap();
    let luma = (width * height) as usize;
    let (y, rest) = map.split_at(luma);
    let (u, v) = rest.split_at(rest.len() / 2);
    [y, u, v].map(|p| p.iter().map(|b| u32::from(*b)).sum::<u32>() / p.len() as u32)
}

#[tokio::test]
async fn every_decoder_that_is_here_makes_the_same_picture() {
    gst::init().unwrap();
    for (codec, decoders) in [(H264, ["avdec_h264", "openh264dec"]), (H265, ["avdec_h265", "libde265dec"])] {
        let unit = unit(&still(&codec, "width=320,height=180,colorimetry=bt709"));
        let mut found = 0;
        for name in decoders.into_iter().filter(|d| gst::ElementFactory::find(d).is_some()) {
            found += 1;
            let jpeg =
                encode(&decode_with(&codec, name, &unit).unwrap_or_else(|e| panic!("{name}: {e}")), None).unwrap();
            assert_eq!((jpeg.width, jpeg.height), (320, 180), "{name}");
            // White is 255 in a JPEG, not the 235 of video.
            let [y, u, v] = means(&jpeg.data, 320, 180);
            assert!(y > 250 && u.abs_diff(128) < 4 && v.abs_diff(128) < 4, "{name}: {y} {u} {v}");
        }
        assert!(found > 0, "no decoder for {}", codec.label());
    }
}

#[tokio::test]
async fn one_decode_for_all_and_never_wider_than_it_came() {
    let still = still(&H264, "width=480,height=272");
    let width = |w: &str| Some(Width::parse(w).unwrap());
    let asks = [None, width("160"), None, width("320"), width("160"), width("640")];
    let got = futures_util::future::join_all(asks.iter().map(|w| still.picture("gate", *w))).await;
    let got: Vec<Bytes> = got.into_iter().map(Result::unwrap).collect();
    assert!(got[0] == got[2] && got[0] == got[5] && got[1] == got[4]);
    means(&got[0], 480, 272);
    means(&got[1], 160, 92);
    means(&got[3], 320, 182);
    // The access unit is gone: whatever comes now comes from the JPEG.
    assert!(matches!(&*still.work.lock().await, Work::Made { scaled: [Some(_), Some(_), None, None], .. }));
    assert_eq!(still.picture("gate", width("160")).await.unwrap(), got[1]);
    assert_ne!(still.tag(None), still.tag(width("160")));
}

#[tokio::test]
async fn pixels_become_square() {
    let still = still(&H264, "width=704,height=576,pixel-aspect-ratio=16/11");
    let jpeg = still.picture("gate", None).await.unwrap();
    means(&jpeg, 704, 396);
}

#[tokio::test]
async fn what_cannot_be_decoded_is_tried_once() {
    gst::init().unwrap();
    let hub = Hub::new(Cap::default());
    let feed = hub.begin(hub.epoch(), vec![Track { codec: H264, width: None, height: None, fps: None }]).unwrap();
    let data = vec![0x65; 50];
    let packets = vec![rtp::Span { start: 0, len: 50 }];
    feed.publish(Media::Video, rtp::Frame { data, packets, key: true, ..Default::default() });
    let still = hub.still().unwrap();
    let error = still.picture("gate", None).await.unwrap_err();
    assert_eq!((error.kind, error.retry_after_s), (Kind::Unavailable, Some(NEXT)));
    assert!(error.message.contains("\"gate\"") && error.message.contains("H264"), "{}", error.message);
    assert!(matches!(&*still.work.lock().await, Work::Failed(_)));
    assert_eq!(still.picture("gate", None).await.unwrap_err(), error);
}

#[test]
fn sizes() {
    for ((w, h, par, most), want) in [
        ((1920, 1080, (1, 1), None), (1920, 1080)),
        ((1920, 1080, (1, 1), Some(1280)), (1280, 720)),
        ((1920, 1080, (1, 1), Some(160)), (160, 90)),
        ((640, 360, (1, 1), Some(1280)), (640, 360)),
        ((720, 576, (16, 15), None), (720, 540)),
        ((720, 480, (10, 11), None), (656, 480)),
        ((704, 576, (16, 11), Some(320)), (320, 180)),
        ((101, 51, (0, 1), None), (101, 51)),
        ((1, 1, (1, 1_000_000), None), (2, 1)),
        ((4000, 10, (1, 1), Some(160)), (160, 2)),
    ] {
        assert_eq!(size(w, h, par, most), want, "{w}x{h} {par:?} {most:?}");
    }
}
