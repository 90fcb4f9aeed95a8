//! Offers for tests: captured ones, small ones, and broken ones by chance.

use proptest::prelude::*;

macro_rules! captured {
    ($($name:literal),*) => { &[$(($name, include_str!(concat!("../../../tests/fixtures/offers/", $name, ".post.sdp")))),*] };
}

/// What real WHEP clients posted. `gstreamer-whepsrc` is what webrtcbin 1.22
/// makes of whepsrc's default caps.
pub const WHEP: &[(&str, &str)] = captured![
    "chromium-whep-trickle",
    "chromium-whep",
    "mediamtx-whep-source",
    "mediamtx-reader-js",
    "whip-whep-client",
    "gstreamer-whepsrc"
];

/// What real WHIP clients posted: they send, but for MediaMTX's sendrecv.
pub const WHIP: &[(&str, &str)] =
    captured!["chromium-whip-simulcast", "chromium-whip", "mediamtx-whip-forward", "whip-whep-publisher"];

/// A captured offer by name.
pub fn captured(name: &str) -> &'static str {
    WHEP.iter().chain(WHIP).find(|(n, _)| *n == name).map(|(_, text)| *text).unwrap()
}

pub const SESSION: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
pub const ICE: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\n";
pub const FINGERPRINT: &str = "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n";

/// An offer with one section: the `m=` line and its attributes.
pub fn lone(media: &str, attributes: &str) -> String {
    let attributes = attributes.replace('\n', "\r\n");
    format!(
        "{SESSION}m={media}\r\n{ICE}{FINGERPRINT}a=setup:actpass\r\na=mid:0\r\na=rtcp-mux\r\na=recvonly\r\n{attributes}"
    )
}

/// A video section with these codecs: payload type, rtpmap, fmtp.
pub fn video(codecs: &[(u8, &str, &str)]) -> String {
    section("video", codecs)
}

/// An audio section with these codecs.
pub fn audio(codecs: &[(u8, &str, &str)]) -> String {
    section("audio", codecs)
}

fn section(kind: &str, codecs: &[(u8, &str, &str)]) -> String {
    let pts: Vec<String> = codecs.iter().map(|(pt, ..)| pt.to_string()).collect();
    let mut lines = String::new();
    for (pt, map, fmtp) in codecs {
        lines += &format!("a=rtpmap:{pt} {map}\n");
        if !fmtp.is_empty() {
            lines += &format!("a=fmtp:{pt} {fmtp}\n");
        }
    }
    lone(&format!("{kind} 9 UDP/TLS/RTP/SAVPF {}", pts.join(" ")), &lines)
}

/// A place in a line where it can be cut or added to.
fn boundary(line: &str, byte: u8) -> usize {
    let at = usize::from(byte) % (line.len() + 1);
    (0..=at).rev().find(|i| line.is_char_boundary(*i)).unwrap_or(0)
}

/// A captured offer with a few lines or bytes changed.
pub fn mutated() -> impl Strategy<Value = String> {
    let all: Vec<&'static str> = WHEP.iter().chain(WHIP).map(|(_, text)| *text).collect();
    let change = (0..8u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>());
    (prop::sample::select(all), prop::collection::vec(change, 0..5)).prop_map(|(text, changes)| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (what, a, b, byte) in changes {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            match what {
                0 if lines.len() > 1 => drop(lines.remove(a)),
                1 => lines.insert(b, lines[a].clone()),
                2 => lines.swap(a, b),
                // Another attribute's value, or its name with ours.
                3 => {
                    let value = lines[b].split_once(':').map_or("", |(_, v)| v).to_owned();
                    lines[a] = format!("{}:{value}", lines[a].split(':').next().unwrap());
                }
                4 => {
                    let at = boundary(&lines[a], byte);
                    lines[a].truncate(at);
                }
                5 => {
                    let at = boundary(&lines[a], byte);
                    lines[a].insert(at, char::from(byte));
                }
                6 => lines[a] = lines[a].replace(|c: char| c.is_ascii_digit(), &byte.to_string()),
                _ => {
                    lines[a] =
                        lines[a].replace("recvonly", "sendrecv").replace("m=video", "m=audio").replace("H264", "H265")
                }
            }
        }
        lines.join(if lines.len().is_multiple_of(2) { "\r\n" } else { "\n" })
    })
}
