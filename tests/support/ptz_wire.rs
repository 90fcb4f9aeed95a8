//! HTTP/1.1 as bytes, for [`super::ptz_http`].

use super::ptz_http::{Answer, Login, Request};
use std::io::{BufRead, Read};
use std::net::SocketAddr;
use std::time::Instant;

/// A request's body is at most this.
const BODY: usize = 4 << 20;

/// One request, or None at the end of the connection.
pub(super) fn read(reader: &mut impl BufRead, connection: usize, peer: SocketAddr) -> Option<Request> {
    let mut line = String::new();
    reader.by_ref().take(16 << 10).read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_string(), words.next()?.to_string());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.by_ref().take(16 << 10).read_line(&mut line).ok().filter(|n| *n > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.trim().to_lowercase(), value.trim().to_string()));
    }
    let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let mut body = Vec::new();
    if find("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok().filter(|n| body.len() + n <= BODY)?;
            let from = body.len();
            body.resize(from + size, 0);
            reader.read_exact(&mut body[from..]).ok()?;
            reader.read_line(&mut String::new()).ok()?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = find("content-length").map_or(Some(0), |v| v.parse().ok()).filter(|n| *n <= BODY)?;
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
    }
    let (login, status, action) = (Login::None, 0, String::new());
    Some(Request { at: Instant::now(), method, path, headers, body, connection, peer, login, status, action })
}

/// How an answer's end is told.
#[derive(Clone, Copy)]
pub(super) enum Framing {
    Length,
    Chunked,
    Close,
}

/// An answer's bytes.
pub(super) fn encode(answer: &Answer, framing: Framing, close: bool) -> Vec<u8> {
    let reason = match answer.status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Answer",
    };
    let mut head = format!("HTTP/1.1 {} {reason}\r\nServer: App-webs/\r\n", answer.status);
    if !answer.kind.is_empty() {
        head += &format!("Content-Type: {}\r\n", answer.kind);
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if close || matches!(framing, Framing::Close) {
        head += "Connection: close\r\n";
    }
    let mut body = answer.body.clone();
    match framing {
        Framing::Length => head += &format!("Content-Length: {}\r\n", body.len()),
        Framing::Close => {}
        Framing::Chunked => {
            head += "Transfer-Encoding: chunked\r\n";
            body = answer.body.chunks(7).fold(Vec::new(), |mut out, chunk| {
                out.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                out.extend(chunk);
                out.extend(b"\r\n");
                out
            });
            body.extend(b"0\r\n\r\n");
        }
    }
    let mut out = (head + "\r\n").into_bytes();
    out.extend(body);
    out
}
