//! Many at once: joins cost little, and viewers cost no threads.

use super::kit::{SOON, start};
use super::support::camera::Camera;
use super::support::gateway::Gateway;
use super::support::proc::thread_names;
use super::support::until_true;
use super::support::whep::{Options, Viewer, ViewerPool};
use futures_util::future::join_all;

/// A gateway that lets as many in as come, with one path `gate`.
fn open(camera: &Camera) -> Gateway {
    start(&format!(
        "logLevel: info\nwebrtcHandshakeTimeout: 60s\n\
         limits:\n  postsPerSecond: 100000\n  postsBurst: 100000\n  handshakes: 10000\n  handshakesPerAddress: 10000\n\
         paths:\n  gate:\n    source: {}\n",
        camera.url()
    ))
}

async fn join(pool: &ViewerPool, gateway: &Gateway, count: usize) -> Vec<Viewer> {
    let options = || Options { audio: false, timeout: SOON, ..Options::default() };
    let joins = (0..count).map(|_| Viewer::join_in(pool, gateway.url(), "gate", options()));
    join_all(joins).await.into_iter().map(|v| v.unwrap()).collect()
}

async fn all_play(viewers: &[Viewer]) {
    until_true(SOON, "pictures for all", || {
        viewers.iter().all(|v| v.with(|log| log.video.complete_frames() > 5 && log.video.frames[0].key))
    })
    .await;
}

#[tokio::test]
async fn two_hundred_join_at_once_and_all_play() {
    let camera = Camera::builder().size(320, 180).gop_frames(250).prerecorded().start();
    let gateway = open(&camera);
    let pool = ViewerPool::new(2);
    let first = join(&pool, &gateway, 1).await;
    all_play(&first).await;
    let viewers = join(&pool, &gateway, 200).await;
    all_play(&viewers).await;
    assert_eq!(camera.describes(), 1);
    assert!(!gateway.log().iter().any(|l| l.contains("viewer left")));
    // One port for all of them.
    let ports: std::collections::HashSet<_> = viewers
        .iter()
        .map(|v| super::kit::line(v.answer(), "a=candidate:").split(' ').nth(5).map(String::from))
        .collect();
    assert_eq!(ports.len(), 1, "{ports:?}");
}

#[tokio::test]
async fn fifty_viewers_have_as_many_threads_and_descriptors_as_one() {
    let camera = Camera::builder().size(320, 180).prerecorded().start();
    let gateway = open(&camera);
    let pool = ViewerPool::new(2);
    let first = join(&pool, &gateway, 1).await;
    all_play(&first).await;
    let one = gateway.usage();
    let rest = join(&pool, &gateway, 49).await;
    all_play(&rest).await;
    // The threads that answer HTTP go by themselves when they were idle for a while.
    until_true(SOON, "the threads and descriptors of one viewer", || {
        let now = gateway.usage();
        now.threads <= one.threads && now.fds <= one.fds
    })
    .await;
    let names = thread_names(gateway.pid());
    for viewer in first.iter().chain(&rest) {
        viewer.with(|log| assert_eq!((log.video.lost, log.error.as_ref()), (0, None), "{names:?}"));
    }
}
