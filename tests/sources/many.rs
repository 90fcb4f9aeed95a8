//! Many cameras at a time.

use std::time::Duration;

use super::support::api::{SOON, until_state};
use super::support::feed::{Conf, recording};
use super::support::gateway::{Gateway, paths};
use super::support::light_camera::{LightCamera, Manners};
use super::support::{proc, until_true};

#[tokio::test]
async fn threads_do_not_grow_with_the_cameras() {
    let conf = Conf { width: 320, height: 240, gop_frames: 10, prerecorded: true, ..Conf::default() };
    // Slow, so that fifty of them are no load.
    let manners = Manners { every: Some(Duration::from_millis(200)), ..Manners::default() };
    let camera = LightCamera::start(&recording(&conf), manners);
    let names: Vec<(String, String)> = (0..50).map(|n| (format!("c{n}"), camera.url(&format!("c{n}")))).collect();
    let list: Vec<(&str, &str)> = names.iter().map(|(n, u)| (n.as_str(), u.as_str())).collect();
    let few = Gateway::start(&paths(&list[..2]));
    for path in ["c0", "c1"] {
        until_state(&few, path, "live").await;
    }
    let many = Gateway::start(&paths(&list));
    for (path, _) in &list {
        until_state(&many, path, "live").await;
    }
    let threads = |gateway: &Gateway| proc::threads(gateway.pid()).unwrap();
    // Those that built the pipelines end by and by.
    until_true(SOON, "as many threads as with few cameras", || threads(&many) <= threads(&few) + 8).await;
}
