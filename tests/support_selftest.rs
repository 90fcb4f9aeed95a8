//! The test kit itself: its doubles do what they say. Other people's clients
//! (GStreamer's rtspsrc, ffmpeg) look at the camera, str0m at the viewer.

mod support;

#[path = "support_selftest/camera.rs"]
mod camera;
#[path = "support_selftest/player.rs"]
mod player;
#[path = "support_selftest/processes.rs"]
mod processes;
#[path = "support_selftest/ptz.rs"]
mod ptz;
#[path = "support_selftest/ptz_client.rs"]
mod ptz_client;
#[path = "support_selftest/viewer.rs"]
mod viewer;

use std::time::Duration;
use support::camera::Codec;
use support::nal::{self, Stamp};
use support::{barcode, mono};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn the_bar_code_is_read_as_it_was_drawn() {
    let (w, h) = (322, 180);
    for index in [0, 1, 2, 255, 256, 4711, 65_535, 65_536 + 7] {
        let mut luma = vec![90; w * h];
        barcode::draw(&mut luma, w, w, h, index);
        assert_eq!(barcode::read(&luma, w, w, h), Some(index as u16));
    }
    for grey in [0, 255] {
        assert_eq!(barcode::read(&vec![grey; w * h], w, w, h), None);
    }
}

#[test]
fn the_stamp_survives_emulation_prevention_and_aggregation() {
    for codec in [Codec::H264, Codec::H265] {
        for index in [0, 1, 0x0000_0300, u32::MAX] {
            let stamp = Stamp { index, captured_ns: 0x0000_0001_0000_0002, handed_ns: mono::now_ns() };
            let slice: &[u8] = match codec {
                Codec::H264 => &[0x65, 1, 2, 3],
                Codec::H265 => &[19 << 1, 1, 2, 3],
            };
            let au = stamp.insert(codec, &[&[0, 0, 0, 1], slice].concat());
            let units: Vec<_> = nal::units(&au).map(|(_, nal)| nal.to_vec()).collect();
            assert_eq!(units.len(), 2);
            assert_eq!(units[1], slice);
            assert_eq!(Stamp::from_nal(&units[0], codec), Some(stamp));
            let mut aggregate = match codec {
                Codec::H264 => vec![24],
                Codec::H265 => vec![48 << 1, 1],
            };
            for unit in &units {
                aggregate.extend((unit.len() as u16).to_be_bytes());
                aggregate.extend(unit);
            }
            let mut found = Vec::new();
            nal::in_rtp(&aggregate, codec, |kind, nal| {
                found.push((kind, nal.and_then(|nal| Stamp::from_nal(nal, codec))));
            });
            assert_eq!(found[0].1, Some(stamp));
            assert!(nal::is_key_slice(found[1].0, codec));
        }
    }
}
