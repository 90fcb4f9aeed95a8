//! The parts of `cargo bench --bench crowd` that need no server: a bench without the test
//! harness cannot test itself.
#![allow(dead_code)] // the bench uses the rest

mod support;

#[path = "../benches/crowd/camera/mod.rs"]
mod camera;
#[path = "../benches/crowd/client/mod.rs"]
mod client;
#[path = "../benches/common/mod.rs"]
mod common;
#[path = "../benches/crowd/options.rs"]
mod options;
#[path = "../benches/crowd/report.rs"]
mod report;

#[path = "crowd_bench/clock.rs"]
mod clock_test;
#[path = "crowd_bench/light.rs"]
mod light_test;
#[path = "crowd_bench/options.rs"]
mod options_test;
#[path = "crowd_bench/report.rs"]
mod report_test;
#[path = "crowd_bench/rtp.rs"]
mod rtp_test;
#[path = "crowd_bench/tally.rs"]
mod tally_test;

#[test]
fn quantiles() {
    use common::{ms, nth, quantile, spread};
    use std::time::Duration;
    let mut hundred: Vec<u32> = (1..=100).rev().collect();
    assert_eq!(
        (nth(&mut hundred, 0.0), nth(&mut hundred, 0.99), nth(&mut hundred, 1.0)),
        (Some(1), Some(99), Some(100))
    );
    assert_eq!((nth(&mut [7], 0.5), nth::<u32>(&mut [], 0.5)), (Some(7), None));
    assert_eq!(quantile(&mut [], 0.5), Duration::ZERO);
    assert_eq!(spread(vec![3.0, 1.0, 2.0]), "2 / 3 / 3 ms");
    assert_eq!(
        (ms(Duration::from_micros(1_234)), ms(Duration::from_micros(12_345))),
        ("1.23 ms".into(), "12.3 ms".into())
    );
}
