use super::*;

/// Longer than anything takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);
const MS: u64 = 1_000_000;
/// When the first packet was captured.
const BEGIN: u64 = 5_000 * MS;

/// A converter by one encoder of the list; None where it is not installed.
async fn with(encoder: usize, codec: &Codec) -> Option<ToAac> {
    gst::init().unwrap();
    let input = Input::of(codec).unwrap();
    let one = &ENCODERS[encoder..=encoder];
    if !one[0].there() {
        println!("{} is not here", one[0].name);
        return None;
    }
    let converter = build("test", input, one).unwrap();
    converter.pipeline.play().await.unwrap();
    Some(converter)
}

/// µ-law of noise that begins `after` so many samples of silence.
fn law(after: usize, n: usize) -> Vec<u8> {
    let mut random = 0x9e37_79b9u32;
    (0..n)
        .map(|i| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if i < after { 0xff } else { (random >> 24) as u8 & 0xbf }
        })
        .collect()
}

/// Takes frames until one was captured at `until` or later.
async fn frames(converter: &mut ToAac, until: u64) -> Vec<Frame> {
    let take = async {
        let mut frames = Vec::new();
        while frames.last().is_none_or(|f: &Frame| f.pts_ns < until) {
            frames.push(converter.next().await.unwrap());
        }
        frames
    };
    tokio::time::timeout(SOON, take).await.expect("no frames")
}

/// Decodes frames. faad gives nothing for the first one, which it has no other to
/// overlap with.
fn decode(config: &[u8], frames: &[Frame]) -> Vec<f32> {
    let line = "appsrc name=in format=time ! aacparse ! faad ! audioconvert ! audio/x-raw,format=F32LE,channels=1 ! \
                appsink name=out sync=false";
    let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let appsrc = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    let caps = gst::Caps::builder("audio/mpeg").field("mpegversion", 4).field("stream-format", "raw");
    let config = gst::Buffer::from_slice(config.to_vec());
    appsrc.set_caps(Some(&caps.field("framed", true).field("codec_data", config).build()));
    pipeline.set_state(gst::State::Playing).unwrap();
    for (i, frame) in frames.iter().enumerate() {
        let mut buffer = gst::Buffer::from_slice(frame.data.clone());
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_nseconds(i as u64 * 21_333_333));
        appsrc.push_buffer(buffer).unwrap();
    }
    appsrc.end_of_stream().unwrap();
    let mut samples = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        samples.extend(map.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    samples
}

/// When it becomes loud, ns.
fn onset(frames: &[Frame], samples: &[f32]) -> u64 {
    let left_out = frames.len() * FRAME as usize - samples.len();
    assert!(left_out <= FRAME as usize, "{left_out} samples are missing");
    let at = left_out + samples.iter().position(|s| s.abs() > 0.1).expect("nothing is heard");
    frames[0].pts_ns + at as u64 * 1_000_000_000 / u64::from(RATE)
}

#[tokio::test]
async fn sound_comes_out_with_the_time_that_it_went_in_with() {
    for (encoder, known) in ENCODERS.iter().enumerate() {
        let Some(mut converter) = with(encoder, &Codec::Pcmu).await else { continue };
        // One second of silence, then noise.
        for (i, packet) in law(8_000, 16_000).chunks(160).enumerate() {
            converter.push(BEGIN + i as u64 * 20 * MS, packet);
        }
        let got = frames(&mut converter, BEGIN + 1_800 * MS).await;
        assert!(got.iter().all(|f| f.samples == FRAME && !f.data.is_empty()));
        let even = got.windows(2).all(|w| (w[1].pts_ns - w[0].pts_ns).abs_diff(21_333_333) <= 2);
        assert!(even, "{got:?}");
        let heard = onset(&got, &decode(&converter.config(), &got));
        let off = heard.abs_diff(BEGIN + 1_000 * MS);
        println!("{}: off by {} us", known.name, off / 1_000);
        assert!(off < 3 * MS, "{}: heard {heard} ns", known.name);
        assert_eq!(converter.dropped(), 0);
        converter.stop().await;
    }
}

#[tokio::test]
async fn lost_packets_and_long_holes_shift_nothing() {
    let Some(mut converter) = with(0, &Codec::Pcma).await else { return };
    let quiet = [0xd5u8; 160];
    // Half a second is lost: silence. Then a hole of ten seconds, which is not encoded.
    let times = (0..50).chain(75..150).chain(650..700u64);
    for i in times {
        converter.push(BEGIN + i * 20 * MS, &quiet);
    }
    let got = frames(&mut converter, BEGIN + 13_800 * MS).await;
    let steps: Vec<u64> = got.windows(2).map(|w| w[1].pts_ns - w[0].pts_ns).collect();
    let holes: Vec<&u64> = steps.iter().filter(|s| s.abs_diff(21_333_333) > 2).collect();
    assert_eq!(holes.len(), 1, "{steps:?}");
    assert!(holes[0].abs_diff(10_000 * MS) < 50 * MS, "{holes:?}");
    assert!(got.last().unwrap().pts_ns < BEGIN + 13_900 * MS);
}

#[tokio::test]
async fn opus_comes_out_as_aac_of_as_many_channels() {
    gst::init().unwrap();
    for channels in [1u8, 2] {
        let Some(mut converter) = with(0, &Codec::Opus { channels }).await else { return };
        let line = format!(
            "audiotestsrc num-buffers=100 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels={channels} ! \
             opusenc ! appsink name=out sync=false"
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut at = BEGIN;
        while let Ok(sample) = sink.pull_sample() {
            let packet = sample.buffer().unwrap().map_readable().unwrap();
            converter.push(at, &packet);
            at += 20 * MS;
        }
        pipeline.set_state(gst::State::Null).unwrap();
        let got = frames(&mut converter, BEGIN + 1_500 * MS).await;
        assert_eq!((converter.channels, converter.config()), (channels, [0x11, 0x80 | channels << 3]));
        let samples = decode(&converter.config(), &got);
        assert!(samples.iter().any(|s| s.abs() > 0.3), "nothing is heard");
    }
}

#[tokio::test]
async fn what_is_no_packet_is_passed_over() {
    let Some(mut converter) = with(0, &Codec::Opus { channels: 2 }).await else { return };
    for packet in [&[][..], &[0xff], &[0xff, 0]] {
        converter.push(BEGIN, packet);
    }
    assert_eq!(converter.position, 0);
    assert!(!takes(&Codec::Aac { format: "", config: Vec::new() }));
}

#[tokio::test]
async fn an_encoder_that_gives_nothing_back_is_given_up() {
    gst::init().unwrap();
    // Not started: it takes everything.
    let mut converter = build("test", Input::Pcmu, &ENCODERS).unwrap();
    let begin = Instant::now();
    for i in 0..400u64 {
        converter.push_at(BEGIN + i * 20 * MS, &[0xff; 160], begin + Duration::from_millis(i * 20));
    }
    let why = tokio::time::timeout(SOON, converter.next()).await.unwrap().unwrap_err();
    assert!(why.contains("gives nothing back"), "{why}");
    assert!(converter.position < 7 * 8_000, "{}", converter.position);
}

#[tokio::test]
async fn a_bunch_of_sound_behind_a_stall_is_no_reason_to_give_up() {
    gst::init().unwrap();
    let mut converter = build("test", Input::Pcmu, &ENCODERS).unwrap();
    let now = Instant::now();
    // Twenty seconds at once, before the encoder gets to do anything; and far too much.
    (0..1_000u64).for_each(|i| converter.push_at(BEGIN + i * 20 * MS, &[0xff; 160], now));
    assert_eq!((converter.dropped(), converter.position), (0, 20 * 8_000));
    (1_000..3_000u64).for_each(|i| converter.push_at(BEGIN + i * 20 * MS, &[0xff; 160], now));
    assert!(converter.position < 31 * 8_000, "what waits is bounded: {}", converter.position);
    let dropped = converter.dropped();
    assert!(dropped > 1_400, "{dropped}");
    // Time goes by, and then it works.
    converter.pipeline.play().await.unwrap();
    let first = tokio::time::timeout(SOON, converter.next()).await.unwrap().unwrap();
    assert!(first.pts_ns < BEGIN + 100 * MS);
    // Far too late, but for what it gave back just now.
    converter.push_at(BEGIN + 100_000 * MS, &[0xff; 160], now + PATIENCE * 3);
    assert_eq!(converter.failed, None);
    // No more than so many wait; they are where they belong.
    let mut last = first.pts_ns;
    for _ in 0..QUEUE / 2 {
        let next = tokio::time::timeout(SOON, converter.next()).await.unwrap().unwrap();
        assert!(next.pts_ns > last);
        last = next.pts_ns;
    }
}

#[tokio::test]
async fn an_encoder_that_fails_says_so() {
    let Some(mut converter) = with(0, &Codec::Pcmu).await else { return };
    let pipeline = converter.pipeline.gst().unwrap().clone();
    gst::element_error!(pipeline, gst::StreamError::Encode, ("on purpose"));
    let why = tokio::time::timeout(SOON, converter.next()).await.unwrap().unwrap_err();
    assert!(why.contains("on purpose"), "{why}");
    converter.push(BEGIN, &[0xff; 160]);
    assert_eq!(converter.next().await.unwrap_err(), why);
}

#[test]
fn without_an_encoder_it_is_said_what_to_install() {
    gst::init().unwrap();
    let none = [Encoder { name: "nosuchenc", delay: 0 }];
    let why = build("test", Input::Pcmu, &none).unwrap_err();
    assert!(why.contains("nosuchenc") && why.contains("plugins-bad"), "{why}");
}

#[test]
fn silence_is_as_long_as_it_has_to_be() {
    for (samples, packets) in [(0, 0), (100, 0), (120, 1), (960, 1), (1_080, 2), (48_000, 50)] {
        let opus = Input::Opus { channels: 2 };
        let got = silence(opus, samples);
        assert_eq!(got.len(), packets, "{samples}");
        let all: u32 = got.iter().filter_map(|p| opus.samples(p)).sum();
        assert!(samples - all < 120);
    }
    assert_eq!(silence(Input::Pcmu, 3), [[0xff; 3]]);
    assert!(silence(Input::Pcma, 0).is_empty());
}
