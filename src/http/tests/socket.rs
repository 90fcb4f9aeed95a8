//! What only a real socket shows: HEAD, slow and broken clients, stopping.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::http::{Handle, Serves, bind, serve};

fn start(fake: &Arc<Fake>) -> Handle {
    serve(bind(&["127.0.0.1:0".parse().unwrap()]).unwrap(), fake.clone(), Serves::Everything).unwrap()
}

/// Sends bytes and reads until the server closes.
async fn talk(handle: &Handle, bytes: &str) -> String {
    let mut socket = TcpStream::connect(handle.addrs()[0]).await.unwrap();
    socket.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("closes").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn row14_head_has_no_body() {
    let handle = start(&Fake::new(|_| {}));
    for uri in ["/whep/gate", "/healthz", "/v3"] {
        let head = format!("HEAD {uri} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = talk(&handle, &head).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{uri}: {answer}");
    }
    handle.stop().await;
}

#[tokio::test]
async fn a_post_with_a_body_in_chunks_works() {
    let handle = start(&Fake::new(|_| {}));
    let post = format!(
        "POST /whep/gate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/sdp\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &OFFER[..3],
        OFFER.len() - 3,
        &OFFER[3..]
    );
    let answer = talk(&handle, &post).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(answer.contains("location: /whep/gate/s3cret-_0\r\n"), "{answer}");
    handle.stop().await;
}

#[tokio::test]
async fn a_slow_head_and_a_slow_body_are_408() {
    let fake = Fake::new(|c| {
        c.limits.head_timeout = Duration::from_secs(1);
        c.limits.body_timeout = Duration::from_millis(200);
    });
    let handle = start(&fake);
    let answer = talk(&handle, "GET / HTTP/1.1\r\nHost: x\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let post = "POST /whep/gate HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\n\
                Content-Length: 100\r\n\r\nv=0\r\n";
    let answer = talk(&handle, post).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"status\":\"error\""), "{answer}");
    handle.stop().await;
}

#[tokio::test]
async fn what_is_not_http_and_what_is_too_long_is_refused_and_closed() {
    let handle = start(&Fake::new(|_| {}));
    let answer = talk(&handle, "hello\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // Announced too long: refused before it is sent.
    let post = "POST /whep/gate HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\n\
                Content-Length: 100000000\r\n\r\n";
    let answer = talk(&handle, post).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Not permitted: the body is not waited for.
    let post = post.replace("/whep/gate", "/whep/..");
    assert!(talk(&handle, &post).await.starts_with("HTTP/1.1 400"));
    handle.stop().await;
}

/// A client that waits for a path that never comes.
async fn waiting(handle: &Handle) -> TcpStream {
    let mut socket = TcpStream::connect(handle.addrs()[0]).await.unwrap();
    let post = format!(
        "POST /whep/stuck HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{OFFER}",
        OFFER.len()
    );
    socket.write_all(post.as_bytes()).await.unwrap();
    socket
}

#[tokio::test]
async fn row29_a_client_that_goes_away_while_it_waits_is_let_go() {
    let fake = Fake::new(|_| {});
    let handle = start(&fake);
    drop(waiting(&handle).await);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while fake.given_up.load(Ordering::SeqCst) == 0 {
        assert!(tokio::time::Instant::now() < deadline, "still held");
        tokio::time::sleep(Duration::from_millis(10)).await; // poll
    }
    handle.stop().await;
}

#[tokio::test]
async fn stopping_ends_while_a_request_waits() {
    let handle = start(&Fake::new(|_| {}));
    let addr = handle.addrs()[0];
    let _socket = waiting(&handle).await;
    tokio::time::timeout(Duration::from_secs(20), handle.stop()).await.expect("stops");
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn all_interfaces_are_one_port_for_both_families() {
    let addrs = ["[::]:0".parse().unwrap(), "0.0.0.0:0".parse().unwrap()];
    let handle = serve(bind(&addrs).unwrap(), Fake::new(|_| {}), Serves::Everything).unwrap();
    let port = handle.addrs()[0].port();
    assert!(handle.addrs().iter().all(|a| a.port() == port), "{:?}", handle.addrs());
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    handle.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(bind(&[taken.local_addr().unwrap()]).is_err());
}
