//! `cargo bench --bench ptz`: how long a steering command takes, measured from outside.
//!
//! The real binary and camera doubles on loopback. The time runs from before the
//! POST's first byte to the request's last byte at the camera, with a warm session
//! (no 401), and to the answer at the client. Prints a table; asserts nothing about
//! time. `MOVES=10000 cargo bench --bench ptz` for a longer run.

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use common::{ms, quantile, row};
use support::gateway::Gateway;
use support::ptz_hikvision::{Hikvision, PASSWORD, USER};
use support::ptz_http::Server;
use support::ptz_onvif::Onvif;

const SOON: Duration = Duration::from_secs(60);

fn main() {
    support::init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("no runtime");
    if !common::measuring("ptz") {
        return;
    }
    let moves = common::number("MOVES").map_or(1_000, |n| n as u32);
    runtime.block_on(async {
        common::head();
        let hikvision = Hikvision::start();
        measure("ISAPI, digest", "hikvision", hikvision.server(), "continuous", moves).await;
        let onvif = Onvif::start();
        measure("ONVIF, WS-UsernameToken", "onvif", onvif.server(), "ContinuousMove", moves).await;
    });
}

async fn measure(what: &str, driver: &str, camera: &Server, call: &str, moves: u32) {
    let gateway = Gateway::start(&format!(
        "logLevel: info\npaths:\n  gate:\n    source: publisher\n    ptz:\n      driver: {driver}\n      url: '{}'\n      \
         username: {USER}\n      password: '{PASSWORD}'\n",
        camera.url()
    ));
    let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().expect("no client");
    let url = format!("{}/ptz/gate/move", gateway.url());
    let post = async |n: u32| {
        let body = format!("{{\"pan\":{}}}", f64::from(n % 200) / 100.0 - 0.995);
        let sent = Instant::now();
        let answer = client.post(&url).body(body).send().await.expect("no answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        (sent, Instant::now())
    };
    for n in 0..50 {
        post(n).await; // warm
    }
    let (before, mark, connections) = (gateway.usage(), camera.mark(), camera.connections());
    let (mut arrived, mut answered) = (Vec::new(), Vec::new());
    for n in 0..moves {
        let mark = camera.mark();
        let (sent, back) = post(n).await;
        let came = camera.requests_after(mark).into_iter().find(|r| r.path.contains(call) || r.action == call);
        arrived.extend(came.map(|r| r.at - sent));
        answered.push(back - sent);
    }
    let missed = moves as usize - arrived.len();
    let refused = camera.requests_after(mark).iter().filter(|r| r.status != 200).count();
    let after = gateway.usage();
    row(
        format!("{what}: POST /move → request at the camera, {moves} moves, median / p99"),
        format!("{} / {}", ms(quantile(&mut arrived, 0.5)), ms(quantile(&mut arrived, 0.99))),
    );
    row(
        format!("{what}: POST /move → 200, median / p99"),
        format!("{} / {}", ms(quantile(&mut answered, 0.5)), ms(quantile(&mut answered, 0.99))),
    );
    row(
        format!("{what}: what {moves} moves leave behind"),
        format!(
            "{} more connections, {refused} challenges, {missed} merged moves, threads {} → {}, descriptors {} → {}, memory {:.1} → {:.1} MB, {:.2} ms CPU a move",
            camera.connections() - connections,
            before.threads,
            after.threads,
            before.fds,
            after.fds,
            before.rss_kb as f64 / 1_024.0,
            after.rss_kb as f64 / 1_024.0,
            (after.cpu_ms - before.cpu_ms) as f64 / f64::from(moves),
        ),
    );
}
