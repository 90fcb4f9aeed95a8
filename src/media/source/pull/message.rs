//! RTSP messages (RFC 2326 §4 to §6), as cameras write them: lines may end in LF alone,
//! names in any case, bytes that are no UTF-8. Pure.
//!
//! Written here because a library's types carry parsed URLs, and a camera wants its own
//! spelling back, character for character.

/// The longest line of a head, bytes.
const LINE: usize = 8 * 1024;
/// The most headers of a message.
const HEADERS: usize = 100;
/// The longest head, and the longest body, bytes: no SDP comes near it.
pub const PART: usize = 64 * 1024;

/// What a message begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// An answer, with its status.
    Response(u16),
    /// The camera wants something, by this method.
    Request(String),
}

/// One message, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub start: Start,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What can be no message, or is too large for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonsense;

impl Message {
    /// Reads the message at the beginning of `data`, and its length; none: it is not
    /// all there yet.
    pub fn parse(data: &[u8]) -> Result<Option<(Self, usize)>, Nonsense> {
        let mut at = 0;
        let Some(first) = line(data, &mut at)? else { return Ok(None) };
        let start = start(&first).ok_or(Nonsense)?;
        let mut headers: Vec<(String, String)> = Vec::new();
        loop {
            let Some(text) = line(data, &mut at)? else { return Ok(None) };
            if text.is_empty() {
                break;
            }
            if headers.len() >= HEADERS || at > PART {
                return Err(Nonsense);
            }
            if text.starts_with([' ', '\t']) {
                // Goes on from the line before (RFC 2616 §4.2).
                let last = headers.last_mut().ok_or(Nonsense)?;
                last.1.push(' ');
                last.1.push_str(text.trim());
            } else {
                let (name, value) = text.split_once(':').ok_or(Nonsense)?;
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        let mut message = Message { start, headers, body: Vec::new() };
        let length = match message.header("content-length") {
            Some(text) => text.parse::<usize>().ok().filter(|n| *n <= PART).ok_or(Nonsense)?,
            None => 0,
        };
        let Some(body) = data.get(at..at + length) else { return Ok(None) };
        message.body = body.to_vec();
        Ok(Some((message, at + length)))
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All headers of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The number that ties an answer to its request.
    pub fn cseq(&self) -> Option<u32> {
        self.header("cseq")?.parse().ok()
    }
}

/// The next line, without its end; none: it is not all there yet.
fn line(data: &[u8], at: &mut usize) -> Result<Option<String>, Nonsense> {
    let rest = data.get(*at..).unwrap_or_default();
    let Some(end) = rest.iter().take(LINE).position(|b| *b == b'\n') else {
        return if rest.len() >= LINE { Err(Nonsense) } else { Ok(None) };
    };
    *at += end + 1;
    let text = rest.get(..end).unwrap_or_default();
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.contains(&0) {
        return Err(Nonsense);
    }
    Ok(Some(String::from_utf8_lossy(text).into_owned()))
}

fn start(line: &str) -> Option<Start> {
    let mut words = line.split_ascii_whitespace();
    let first = words.next()?;
    if let Some(version) = first.strip_prefix("RTSP/") {
        let status = words.next()?.parse().ok().filter(|s| (100..1_000).contains(s))?;
        return version.starts_with(['1', '2']).then_some(Start::Response(status));
    }
    let method = first.bytes().all(|b| b.is_ascii_uppercase() || b == b'_').then(|| first.to_owned())?;
    words.next()?;
    words.next()?.starts_with("RTSP/").then_some(Start::Request(method))
}

/// A request as it is sent. Nothing in it may hold an end of line.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = format!("{method} {url} RTSP/1.0\r\n");
    for (name, value) in headers {
        out.push_str(name);
        out.push_str(": ");
        // What a camera told is told back: it cannot begin a line.
        out.extend(value.chars().filter(|c| !c.is_control()));
        out.push_str("\r\n");
    }
    out.push_str("\r\n");
    out.into_bytes()
}

/// The answer to a request of the camera's.
pub fn answer(to: &Message) -> Vec<u8> {
    let known =
        matches!(&to.start, Start::Request(m) if matches!(m.as_str(), "OPTIONS" | "GET_PARAMETER" | "SET_PARAMETER"));
    let first = if known { "200 OK" } else { "501 Not Implemented" };
    format!("RTSP/1.0 {first}\r\nCSeq: {}\r\n\r\n", to.cseq().unwrap_or_default()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANSWER: &[u8] = b"RTSP/1.0 200 OK\r\ncseq: 7\r\nPublic: A,\r\n B\r\nContent-Length: 3\r\n\r\nv=0rest";

    #[test]
    fn a_message_is_read_when_it_is_whole() {
        let whole = ANSWER.len() - 4;
        for n in 0..whole {
            assert_eq!(Message::parse(&ANSWER[..n]), Ok(None), "{n}");
        }
        let (m, length) = Message::parse(ANSWER).unwrap().unwrap();
        assert_eq!(
            (length, m.cseq(), m.header("PUBLIC"), m.body.as_slice()),
            (whole, Some(7), Some("A, B"), &b"v=0"[..])
        );
        assert_eq!(m.start, Start::Response(200));
    }

    #[test]
    fn a_cameras_own_spelling_is_read() {
        let (m, _) = Message::parse(b"RTSP/1.0 401\nWWW-Authenticate:x\nwww-authenticate: \xffy\n\n").unwrap().unwrap();
        assert_eq!(m.start, Start::Response(401));
        assert_eq!(m.all("WWW-Authenticate").collect::<Vec<_>>(), ["x", "\u{fffd}y"]);
        let (m, _) = Message::parse(b"OPTIONS * RTSP/1.0\r\nCSeq: 4\r\n\r\n").unwrap().unwrap();
        assert_eq!(answer(&m), b"RTSP/1.0 200 OK\r\nCSeq: 4\r\n\r\n");
        let (m, _) = Message::parse(b"REDIRECT * RTSP/1.0\r\nCSeq: 5\r\n\r\n").unwrap().unwrap();
        assert!(answer(&m).starts_with(b"RTSP/1.0 501"));
    }

    #[test]
    fn what_is_no_message_or_too_large_is_refused() {
        let long = |n: usize| [b"RTSP/1.0 200 OK\r\nX: ".as_slice(), &vec![b'x'; n]].concat();
        assert_eq!(Message::parse(&long(8_000)), Ok(None));
        let many = "a: b\r\n".repeat(101);
        for bad in [
            b"HTTP/1.1 200 OK\r\n\r\n".as_slice(),
            b"RTSP/1.0 2e0 ?\r\n",
            b"RTSP/9.z 200 OK\r\n",
            b"RTSP/1.0 99999 OK\r\n",
            b"hello\r\n",
            b"\0\r\n",
            b"RTSP/1.0 200 OK\r\nno colon\r\n",
            b"RTSP/1.0 200 OK\r\n folded\r\n",
            b"RTSP/1.0 200 OK\r\nContent-Length: 65537\r\n\r\n",
            b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
            &long(9_000),
            format!("RTSP/1.0 200 OK\r\n{many}\r\n").as_bytes(),
        ] {
            assert_eq!(Message::parse(bad), Err(Nonsense), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn no_value_begins_a_line() {
        let text = request("SETUP", "rtsp://c/1", &[("Session", "1\r\nX: y")]);
        assert_eq!(text, b"SETUP rtsp://c/1 RTSP/1.0\r\nSession: 1X: y\r\n\r\n");
    }

    proptest! {
        #![proptest_config(crate::fuzz::cases(2_000))]

        #[test]
        fn fuzz_messages(data in crate::fuzz::mutated(vec![ANSWER.to_vec(), request("OPTIONS", "*", &[("CSeq", "1")])])) {
            if let Ok(Some((m, length))) = Message::parse(&data) {
                prop_assert!(length <= data.len() && m.body.len() <= PART);
                prop_assert!(m.headers.len() <= HEADERS);
                // Less of it is never another message.
                prop_assert_eq!(Message::parse(&data[..length - 1]), Ok(None));
            }
        }
    }
}
