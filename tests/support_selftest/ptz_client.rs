//! An HTTP client for the self-tests of the PTZ doubles.

use super::SOON;
use super::support::ptz_auth::Challenge;
use super::support::ptz_hikvision::{PASSWORD, USER};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A client as simple as curl, on one connection.
pub struct Client {
    stream: TcpStream,
    challenge: Option<Challenge>,
    pub credentials: (String, String),
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self { stream, challenge: None, credentials: (USER.into(), PASSWORD.into()) }
    }

    /// One exchange: status, head, body. Status 0: no answer.
    pub fn send(&mut self, method: &str, path: &str, extra: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: camera\r\nContent-Length: {}\r\n{extra}\r\n", body.len());
        let request = [head.as_bytes(), body].concat();
        if self.stream.write_all(&request).is_err() {
            return (0, String::new(), Vec::new());
        }
        let mut got = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let n = self.stream.read(&mut buffer).unwrap_or(0);
            got.extend(&buffer[..n]);
            let text = String::from_utf8_lossy(&got).into_owned();
            if let Some(end) = text.find("\r\n\r\n").filter(|_| text.is_ascii() || n > 0) {
                if !text.starts_with("HTTP/1.1 ") {
                    return (0, text, got);
                }
                let (head, length) = (text[..end].to_string(), header(&text[..end], "Content-Length"));
                let length: usize = length.map_or(0, |l| l.parse().unwrap());
                let from = got.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
                if got.len() >= from + length {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return (status, head, got[from..from + length].to_vec());
                }
            }
            if n == 0 {
                return (0, String::from_utf8_lossy(&got).into_owned(), got);
            }
        }
    }

    /// With digest, following one 401.
    pub fn digest(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let (user, password) = self.credentials.clone();
        for _ in 0..2 {
            let extra = match &mut self.challenge {
                None => String::new(),
                Some(c) => format!("Authorization: {}\r\n", c.authorize(&user, &password, method, path)),
            };
            let first = self.challenge.is_none();
            let (status, head, answer) = self.send(method, path, &extra, body.as_bytes());
            if status == 401 {
                self.challenge = header(&head, "WWW-Authenticate").and_then(|h| Challenge::read(&h));
                if first || self.challenge.as_ref().is_some_and(|c| c.stale) {
                    continue;
                }
            }
            return (status, String::from_utf8_lossy(&answer).into_owned());
        }
        panic!("401 twice");
    }

    pub fn soap(&mut self, service: &str, header: &str, body: &str) -> (u16, String) {
        let xml = format!(
            "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:tt=\"http://www.onvif.org/ver10/schema\">\
             <s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
        );
        let (status, _, body) = self.send("POST", &format!("/onvif/{service}_service"), "", xml.as_bytes());
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().rev().filter_map(|l| l.split_once(": "));
    lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_string())
}
