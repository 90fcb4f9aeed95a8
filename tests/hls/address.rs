//! `hlsAddress`: a port that serves HLS alone.

use super::small;
use super::support::api::SOON;
use super::support::gateway::{Gateway, paths};
use super::support::hls::{Follower, get};
use super::support::{proc, until_true};
use std::process::Stdio;

/// Where HLS is served alone, as the log says after a mark.
fn hls_url(gateway: &Gateway, mark: usize) -> String {
    let line = gateway.wait_for_line_after(mark, SOON, |l| l.contains("HLS alone is served on http://"));
    let at = line.find("http://").unwrap();
    line[at..].split_whitespace().next().unwrap().to_owned()
}

fn host(url: &str) -> &str {
    url.trim_start_matches("http://")
}

async fn text(url: &str, accept: &str) -> (u16, String) {
    super::support::init();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = client.get(url).header("Accept", accept).send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

#[tokio::test]
async fn it_serves_hls_and_the_player_and_nothing_else() {
    let camera = small().start();
    let yaml = paths(&[("site/gate", &camera.url())]);
    let gateway = Gateway::start(&format!("hlsAddress: 127.0.0.1:0\n{yaml}"));
    let url = hls_url(&gateway, 0);
    assert_ne!(url, gateway.url());
    let mut player = Follower::start(&url, "site/gate").await;
    player.until(2.0).await;
    // One muxer, whatever port its readers come by.
    let mut other = Follower::start(gateway.url(), "site/gate").await;
    other.step().await;
    assert_eq!(gateway.log().iter().filter(|l| l.contains("HLS muxer starts")).count(), 1);
    for page in ["site/gate", "site/gate/"] {
        let (status, body) = text(&format!("{url}/{page}"), "text/html").await;
        assert!(status == 200 && body.contains("id=\"video\""), "{page}: {status} {body}");
    }
    assert_eq!(text(&format!("{url}/site/gate"), "application/json").await.0, 200);
    assert_eq!(get(&format!("{url}/assets/player.js")).await.status, 200);
    for (route, status) in [
        ("", 404),
        ("v3/paths/list", 404),
        ("whep/site/gate", 405),
        ("site/gate/whep", 405),
        ("nowhere/index.m3u8", 404),
    ] {
        let reply = get(&format!("{url}/{route}")).await;
        assert_eq!(reply.status, status, "{route}: {}", reply.text());
        assert!(status != 405 || reply.error().contains("hlsAddress"), "{}", reply.error());
    }
}

#[tokio::test]
async fn rights_and_origins_are_those_of_the_main_port() {
    let camera = small().start();
    let gateway = Gateway::start(&format!(
        "hlsAddress: 127.0.0.1:0\nhlsAllowOrigins: ['https://a.example']\nauthInternalUsers:\n- user: ann\n  pass: s3cret\n  \
         permissions: [{{action: read, path: gate}}]\n{}",
        paths(&[("gate", &camera.url())])
    ));
    let index = format!("{}/gate/index.m3u8", hls_url(&gateway, 0));
    assert_eq!(get(&index).await.status, 401);
    let reply = get(&format!("{index}?token=s3cret")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_reload_moves_that_listener_only() {
    let camera = small().start();
    let yaml = paths(&[("gate", &camera.url())]);
    let gateway = Gateway::start(&yaml);
    let mut player = Follower::start(gateway.url(), "gate").await;
    let reload = |text: &str| {
        let mark = gateway.mark();
        gateway.write_config(&format!("{text}\n{yaml}"));
        mark
    };
    // Unset by default; opened, moved, closed.
    assert!(!gateway.log().iter().any(|l| l.contains("HLS alone")));
    let first = hls_url(&gateway, reload("hlsAddress: 127.0.0.1:0"));
    assert_eq!(get(&format!("{first}/gate/index.m3u8")).await.status, 200);
    let port = host(&first).rsplit_once(':').unwrap().1.to_owned();
    let mut second = first.clone();
    if super::support::ipv6() {
        // Our own listener is in the way there.
        second = hls_url(&gateway, reload(&format!("hlsAddress: '[::1]:{port}'")));
        assert_eq!(get(&format!("{second}/gate/index.m3u8")).await.status, 200);
        until_true(SOON, "the old address to refuse", || std::net::TcpStream::connect(host(&first)).is_err()).await;
    }
    player.step().await;
    // One that is taken changes nothing.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mark = reload(&format!("hlsAddress: {}\nhlsSegmentCount: 9", taken.local_addr().unwrap()));
    gateway.wait_for_line_after(mark, SOON, |l| l.contains("not reloaded") && l.contains("hlsAddress"));
    assert_eq!(get(&format!("{second}/gate/index.m3u8")).await.status, 200);
    let mark = reload("");
    gateway.wait_for_line_after(mark, SOON, |l| l.contains("configuration reloaded"));
    until_true(SOON, "the end of the port", || std::net::TcpStream::connect(host(&second)).is_err()).await;
    player.step().await;
    // The main port never moved, and its readers saw nothing of it.
    assert_eq!(gateway.log().iter().filter(|l| l.contains("listening on http://")).count(), 1);
    assert_eq!(gateway.log().iter().filter(|l| l.contains("HLS muxer starts")).count(), 1);
}

#[tokio::test]
async fn the_environment_sets_it_and_without_hls_there_is_none() {
    let yaml = "paths:\n  gate:\n    source: test\n    sourceOnDemand: yes\n";
    let gateway = Gateway::start_with(yaml, &[("MTX_HLSADDRESS", "127.0.0.1:0")]);
    hls_url(&gateway, 0);
    let mark = gateway.mark();
    gateway.write_config(&format!("hls: no\n{yaml}"));
    gateway.wait_for_line_after(mark, SOON, |l| l.contains("configuration reloaded"));
    let url = hls_url(&gateway, 0);
    until_true(SOON, "the end of the port", || std::net::TcpStream::connect(host(&url)).is_err()).await;
}

#[test]
fn a_port_that_is_taken_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("camgate.yml");
    let yaml = format!("hlsAddress: {}\n", taken.local_addr().unwrap());
    std::fs::write(&file, super::support::gateway::with_loopback(&yaml)).unwrap();
    let mut command = std::process::Command::new(Gateway::binary());
    command.arg("run").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    proc::wait_or_kill(&mut child, SOON);
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("hlsAddress"), "{said}");
}
