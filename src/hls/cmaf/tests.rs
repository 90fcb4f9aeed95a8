use super::*;
use crate::media::nal::{Format, ParameterSets};
use mp4::{Decode as _, ReadFrom as _};
use proptest::prelude::*;

fn aac() -> Track {
    Track::Aac { config: vec![0x11, 0x90] }
}
fn sample(data: &[u8], sync: bool) -> Sample<'_> {
    Sample { data, duration: 3_000, offset: -5, sync, disposable: !sync }
}

#[test]
fn nothing_to_write_is_an_error() {
    assert_eq!(init(&[]), Err(Error::Empty));
    assert_eq!(fragment(1, &[]), Err(Error::Empty));
    assert_eq!(fragment(1, &[Run { track: 0, base: 0, samples: vec![] }]), Err(Error::Empty));
    let sets = ParameterSets::default();
    assert_eq!(init(&[Track::Video { format: Format::H264, sets }]), Err(Error::ParameterSets));
    assert_eq!(init(&[Track::Aac { config: vec![] }]), Err(Error::AudioConfig));
}

#[test]
fn sound_alone() {
    let out = init(&[aac()]).unwrap();
    let mut r = out.as_slice();
    let ftyp = mp4::Ftyp::read_from(&mut r).unwrap();
    assert!(ftyp.compatible_brands.contains(&FourCC::new(b"cmfc")));
    let moov = mp4::Moov::read_from(&mut r).unwrap();
    assert_eq!((moov.trak[0].mdia.mdhd.timescale, moov.mvex.unwrap().trex.len(), r.len()), (48_000, 1, 0));
    assert_eq!(aac().codec_string().unwrap(), "mp4a.40.2");
    assert_eq!(Track::Opus { channels: 2 }.codec_string().unwrap(), "opus");
}

#[test]
fn the_flags_of_a_sample() {
    let f = |sync, disposable| Sample { data: &[], duration: 1, offset: 0, sync, disposable }.flags();
    assert_eq!([f(true, false), f(false, false), f(false, true)], [0x0200_0000, 0x0101_0000, 0x0181_0000]);
}

proptest! {
    #[test]
    fn offsets_point_at_the_samples(
        video in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8),
        audio in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8), base in any::<u64>(),
    ) {
        let runs = [&video, &audio].into_iter().enumerate().map(|(track, s)| Run {
            track, base, samples: s.iter().enumerate().map(|(i, d)| sample(d, i == 0)).collect(),
        });
        let runs: Vec<Run> = runs.collect();
        let Ok(out) = fragment(7, &runs) else {
            prop_assert!(video.is_empty() && audio.is_empty());
            return Ok(());
        };
        prop_assert_eq!(out.capacity(), out.len());
        let mut r = out.as_slice();
        let moof = mp4::Moof::read_from(&mut r).unwrap();
        prop_assert_eq!((moof.mfhd.sequence_number, u32::decode(&mut &r[..4]).unwrap() as usize), (7, r.len()));
        for traf in &moof.traf {
            let want = if traf.tfhd.track_id == 1 { &video } else { &audio };
            prop_assert!(traf.tfhd.default_base_is_moof && !want.is_empty());
            prop_assert_eq!(traf.tfdt.as_ref().map(|t| t.base_media_decode_time), Some(base));
            let mut at = traf.trun[0].data_offset.unwrap() as usize;
            prop_assert_eq!(traf.trun[0].samples.len(), want.len());
            for (i, (e, w)) in traf.trun[0].samples.iter().zip(want).enumerate() {
                prop_assert_eq!(&out[at..at + w.len()], &w[..]);
                prop_assert_eq!((e.duration, e.cts, e.size), (Some(3_000), Some(-5), Some(w.len() as u32)));
                prop_assert_eq!(e.flags, Some(if i == 0 { 0x0200_0000 } else { 0x0181_0000 }));
                at += w.len();
            }
        }
    }

    #[test]
    fn init_of_any_bytes(sets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 3), h265 in any::<bool>(), config in proptest::collection::vec(any::<u8>(), 0..8)) {
        let format = if h265 { Format::H265 } else { Format::H264 };
        let mut s = sets.into_iter().map(|s| vec![s]);
        let sets = ParameterSets { vps: s.next().unwrap(), sps: s.next().unwrap(), pps: s.next().unwrap() };
        let _ = init(&[Track::Video { format, sets }, Track::Aac { config }]);
    }
}
