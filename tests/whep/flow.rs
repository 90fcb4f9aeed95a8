//! What flows: instant start, key frames on request, and that viewers do not
//! touch each other. By the stamps in the frames nothing is missing, nothing
//! comes twice, and each frame is known.

use super::kit::{PATIENT, SOON, gate, place, start};
use super::support::camera::Camera;
use super::support::gateway::Gateway;
use super::support::until;
use super::support::until_true;
use super::support::whep::{Log, Options, Viewer, ViewerPool};

/// The index of the last key frame that the camera has handed out, and how
/// many frames and bytes it has handed out since.
fn last_key(camera: &Camera) -> Option<(u32, u32, usize)> {
    let all: Vec<_> = camera.frames().all().into_iter().filter(|f| f.handed.is_some()).collect();
    let at = all.iter().rposition(|f| f.key)?;
    Some((all[at].index, all.last()?.index - all[at].index, all[at..].iter().map(|f| f.bytes).sum()))
}

/// Waits until the path of a camera is live, so that its GOP is cached from the
/// key frame on that it sent to the gateway.
async fn live(gateway: &Gateway, path: &str) {
    let path = format!("path={path} ");
    until_true(SOON, "a live path", || gateway.log().iter().any(|l| l.contains(&path) && l.contains("state=Live")))
        .await;
}

/// Sequence numbers without a gap, every packet once, timestamps that only grow.
fn seamless(log: &Log) {
    let video = &log.video;
    assert_eq!((video.lost, video.early, video.reordered, log.wire.duplicates()), (0, 0, 0, 0));
    let steps: Vec<_> = video.records.windows(2).map(|w| w[1].seq as i64 - w[0].seq as i64).collect();
    assert!(steps.iter().all(|s| *s == 1), "{steps:?}");
    let times = video.steps();
    assert!(times.iter().all(|s| *s > 0), "{times:?}");
    let back: Vec<_> = video.records.windows(2).filter(|w| w[1].time < w[0].time).collect();
    assert!(back.is_empty(), "{back:?}");
    assert!(video.frames.iter().all(|f| f.complete));
}

fn follow_on(indices: &[u32]) -> bool {
    indices.windows(2).all(|w| w[1] == w[0] + 1)
}

fn watched() -> Options {
    // Room for what comes while this process waits for its turn: a datagram lost
    // here is none that the gateway lost.
    Options { audio: false, packets: true, receive_buffer: Some(8 << 20), ..Options::default() }
}

#[tokio::test]
async fn a_viewer_in_the_middle_of_a_long_gop_starts_at_once_and_goes_live_without_a_seam() {
    // 20 s are left for the join: it has to connect before the next key frame.
    let camera = Camera::builder().size(320, 180).fps(25).gop_frames(700).start();
    let gateway = gate(&camera);
    live(&gateway, "gate").await;
    let key = until(SOON, "the middle of a GOP", || async {
        last_key(&camera).filter(|(_, since, _)| (75..200).contains(since)).map(|(key, ..)| key)
    })
    .await;
    let viewer = Viewer::join(gateway.url(), "gate", watched()).await.unwrap();
    let joined = camera.frames().last().unwrap().index;
    until_true(SOON, "frames of after the join", || {
        viewer.with(|log| log.video.indices().last().is_some_and(|last| *last > joined + 50))
    })
    .await;
    viewer.with(|log| {
        seamless(log);
        let indices = log.video.indices();
        // The cached key frame, of long before the join, and all that followed it.
        assert_eq!(indices[0], key);
        assert!(log.video.frames[0].key && log.video.frames[0].sps);
        assert!(follow_on(&indices), "{indices:?}");
        // Squeezed before the join, the camera's own pace after it.
        let live = log.video.frames.iter().zip(log.video.steps()).filter(|(f, _)| f.index() > Some(joined));
        let paces: Vec<_> = live.map(|(_, step)| step).collect();
        assert!(paces.iter().all(|step| (1..=90_000).contains(step)), "{paces:?}");
    });
    assert_eq!(camera.describes(), 1);
}

#[tokio::test]
async fn a_pli_is_answered_from_the_cache_and_the_camera_is_not_asked() {
    let camera = Camera::builder().size(320, 180).fps(25).gop_frames(250).start();
    let gateway = gate(&camera);
    let viewer = Viewer::join(gateway.url(), "gate", watched()).await.unwrap();
    // Long after the first burst (just after it, a request is an old one), and in
    // the first half of a GOP.
    let joined = camera.frames().last().unwrap().index;
    let ready = || {
        let last = viewer.with(|log| log.video.frames.back().and_then(|f| f.index()));
        last > Some(joined + 40) && last_key(&camera).is_some_and(|(_, since, _)| (25..150).contains(&since))
    };
    until_true(SOON, "the middle of a GOP", ready).await;
    let (key, ..) = last_key(&camera).unwrap();
    let before = viewer.with(|log| log.video.indices().len());
    viewer.request_key_frame();
    until_true(SOON, "the key frame again, and what came after it", || {
        viewer.with(|log| {
            let indices = log.video.indices();
            let again = indices.iter().skip(before).position(|i| *i == key);
            again.is_some_and(|at| indices.len() > before + at + 150)
        })
    })
    .await;
    viewer.with(|log| {
        seamless(log);
        let indices = log.video.indices();
        let again = before + indices.iter().skip(before).position(|i| *i == key).unwrap();
        assert!(log.video.frames[again].key && log.video.frames[again].sps);
        assert!(follow_on(&indices[..again]), "{indices:?}");
        assert!(follow_on(&indices[again..]), "{indices:?}");
    });
    // One key frame for each GOP that began, and the one for the connection.
    let keys = camera.frames().all().iter().filter(|f| f.key).count();
    assert!(keys as u32 <= 2 + camera.frames().last().unwrap().index / 250, "{keys}");
}

#[tokio::test]
async fn a_pli_reaches_an_encoder_that_sends_no_key_frame_by_itself() {
    let line = "gst: videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=25/1 ! \
        x264enc tune=zerolatency key-int-max=100000 ! h264parse";
    let gateway = start(&format!("{PATIENT}paths:\n  gate:\n    source: '{line}'\n"));
    let viewer = Viewer::join(gateway.url(), "gate", watched()).await.unwrap();
    let keys = || viewer.with(|log| log.video.frames.iter().filter(|f| f.key).count());
    // Long after the burst, and after the time in which a source is not asked.
    until_true(SOON, "two seconds", || viewer.with(|log| log.video.frames.len() > 60)).await;
    let before = keys();
    assert!(before <= 1, "it sends them by itself: {before}");
    viewer.request_key_frame();
    // That of the cache once more, and one that was made for it.
    until_true(SOON, "two key frames", || keys() >= before + 2).await;
    viewer.with(seamless);
}

#[tokio::test]
async fn over_the_cap_a_viewer_gets_the_key_frame_as_a_still_and_goes_on_with_the_next() {
    // 18 s at 3 Mbit/s are nearly 7 MB; the cache keeps 4.
    let camera = Camera::builder().size(640, 360).fps(20).gop_frames(360).bitrate_kbps(3_000).noise(true);
    let camera = camera.prerecorded().start();
    let gateway = gate(&camera);
    live(&gateway, "gate").await;
    let key = until(SOON, "a GOP over the cap", || async {
        let (key, since, bytes) = last_key(&camera)?;
        (bytes > 4_700_000 && since < 340).then_some(key)
    })
    .await;
    let viewer = Viewer::join(gateway.url(), "gate", watched()).await.unwrap();
    until_true(SOON, "the still", || viewer.with(|log| log.video.complete_frames() > 0)).await;
    viewer.with(|log| {
        let first = &log.video.frames[0];
        assert_eq!((first.index(), first.key, first.sps), (Some(key), true, true));
    });
    until_true(SOON, "the next key frame and more", || viewer.with(|log| log.video.complete_frames() > 20)).await;
    viewer.with(|log| {
        seamless(log);
        let indices = log.video.indices();
        assert!(log.video.frames[1].key, "{indices:?}");
        assert!(indices[1] > key + 1 && follow_on(&indices[1..]), "{indices:?}");
    });
}

#[tokio::test]
async fn a_stuck_viewer_and_a_gone_one_change_nothing_for_another() {
    let place = place();
    let base = place.gateway.url();
    let own_thread = ViewerPool::new(1);
    let stuck = Viewer::join_in(&own_thread, base, "cam-stuck", Options::default()).await.unwrap();
    let gone = Viewer::join(base, "cam-stuck", Options::default()).await.unwrap();
    let well = Viewer::join(base, "cam-stuck", watched()).await.unwrap();
    until_true(SOON, "pictures for all", || {
        [&stuck, &gone, &well].iter().all(|v| v.with(|log| log.video.complete_frames() > 5))
    })
    .await;
    gone.vanish();
    // Its thread waits for the log: nothing is read from its socket any more.
    stuck.with(|_| {
        let before = well.with(|log| log.video.complete_frames());
        super::support::wait_true(SOON, "pictures beside a stuck viewer", || {
            well.with(|log| log.video.complete_frames() > before + 100)
        });
    });
    well.with(|log| {
        seamless(log);
        let indices = log.video.indices();
        assert!(follow_on(&indices), "{indices:?}");
    });
    // The stuck one wakes up, and sees pictures again.
    let last = || stuck.with(|log| log.video.frames.iter().rposition(|f| f.key && f.complete));
    let before = last();
    until_true(SOON, "a new key frame", || last() > before).await;
}

#[tokio::test]
async fn lost_packets_are_sent_again() {
    let place = place();
    let options = Options { loss: 0.03, ..watched() };
    let viewer = Viewer::join(place.gateway.url(), "cam-lossy", options).await.unwrap();
    until_true(SOON, "pictures, losses and repairs", || {
        viewer.with(|log| log.video.complete_frames() > 150 && log.wire.dropped > 5 && log.video.nacks_sent > 0)
    })
    .await;
    viewer.with(|log| {
        let (lost, dropped) = (log.video.lost, log.wire.dropped);
        assert!(lost * 4 < dropped, "{lost} of {dropped} dropped packets never came");
        assert!(log.wire.streams.len() >= 2, "no retransmission stream: {:?}", log.wire.streams.keys());
    });
}
