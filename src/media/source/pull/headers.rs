//! What headers and control attributes of RTSP say (RFC 2326 §12, §C.1.1). Pure.

use std::time::Duration;

use crate::config::RtspUrl;

/// What RFC 2326 §12.37 has where a camera does not say how long a session lasts.
const TIMEOUT: Duration = Duration::from_secs(60);

/// `Session`: the name, and how long it lasts without a sign of life.
pub fn session(value: &str) -> Option<(String, Duration)> {
    let mut parts = value.split(';');
    let name = parts.next().map(str::trim).filter(|n| !n.is_empty() && n.len() <= 1_024)?;
    let seconds = parts.find_map(|p| {
        let (key, value) = p.split_once('=')?;
        key.trim().eq_ignore_ascii_case("timeout").then(|| value.trim().parse::<u32>().ok())?
    });
    let timeout = seconds.filter(|s| *s > 0).map_or(TIMEOUT, |s| Duration::from_secs(s.into()));
    Some((name.to_owned(), timeout))
}

/// `Transport` of an answer: the channels of RTP and RTCP, where it names any.
pub fn interleaved(value: &str) -> Option<(u8, u8)> {
    let channels = value.split(';').find_map(|p| p.trim().strip_prefix("interleaved="))?;
    let (rtp, rtcp) = channels.split_once('-').unwrap_or((channels, ""));
    let rtp: u8 = rtp.trim().parse().ok()?;
    Some((rtp, rtcp.trim().parse().unwrap_or(rtp.wrapping_add(1))))
}

/// Whether `Public` names a method.
pub fn offers(public: &str, method: &str) -> bool {
    public.split(',').any(|m| m.trim().eq_ignore_ascii_case(method))
}

/// A URL that a camera wrote and that may be asked for: absolute, and nothing in it that
/// ends a request line. Credentials in it are dropped.
pub fn absolute(text: &str) -> Option<String> {
    let text = text.trim();
    let (scheme, behind) = text.split_once("://")?;
    let fit = matches!(scheme.to_ascii_lowercase().as_str(), "rtsp" | "rtspu" | "rtsps");
    let whole = !behind.is_empty() && text.len() <= 4_096;
    if !fit || !whole || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let end = behind.find(['/', '?']).unwrap_or(behind.len());
    let (place, rest) = behind.split_at(end);
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    Some(format!("{scheme}://{place}{rest}"))
}

/// Where a stream is controlled: `control` (of the SDP) seen from `base`. Put together as
/// text: cameras have queries in the base, and want the control behind them.
pub fn control(base: &str, control: Option<&str>) -> String {
    let control = control.map_or("", str::trim);
    if control.is_empty() || control == "*" {
        return base.to_owned();
    }
    if let Some(absolute) = absolute(control) {
        return absolute;
    }
    let control: String = control.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    match control.strip_prefix('/') {
        Some(rest) if base.ends_with('/') => format!("{base}{rest}"),
        None if !base.ends_with('/') => format!("{base}/{control}"),
        _ => format!("{base}{control}"),
    }
}

/// Where a redirection leads (RFC 2326 §11.3), without credentials.
pub fn redirected(location: &str) -> Option<RtspUrl> {
    RtspUrl::parse(&absolute(location)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sessions_and_their_timeouts() {
        for (text, name, seconds) in [
            ("12345678", "12345678", 60),
            ("ab;timeout=30", "ab", 30),
            (" ab ; Timeout = 5 ", "ab", 5),
            ("ab;timeout=0", "ab", 60),
            ("ab;timeout=x;x=1", "ab", 60),
        ] {
            assert_eq!(session(text), Some((name.to_owned(), Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!(session(";timeout=3"), None);
        assert_eq!(session(&"a".repeat(2_000)), None);
    }

    #[test]
    fn channels() {
        for (text, channels) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=1", Some((0, 1))),
            ("RTP/AVP/TCP; interleaved=4", Some((4, 5))),
            ("RTP/AVP/TCP;interleaved=255", Some((255, 0))),
            ("RTP/AVP/TCP;interleaved=300-301", None),
            ("RTP/AVP;unicast;client_port=1-2", None),
        ] {
            assert_eq!(interleaved(text), channels, "{text}");
        }
        assert!(offers("OPTIONS, get_parameter", "GET_PARAMETER") && !offers("OPTIONS", "PLAY"));
    }

    #[test]
    fn controls_of_all_kinds() {
        for (base, with, whole) in [
            ("rtsp://c/s/", Some("trackID=1"), "rtsp://c/s/trackID=1"),
            ("rtsp://c/s", Some("trackID=1"), "rtsp://c/s/trackID=1"),
            ("rtsp://c/s/", Some("/trackID=1"), "rtsp://c/s/trackID=1"),
            ("rtsp://c/s?a=1&b=2/", Some("trackID=1"), "rtsp://c/s?a=1&b=2/trackID=1"),
            ("rtsp://c/s?a=1", Some("stream=0?x=2"), "rtsp://c/s?a=1/stream=0?x=2"),
            ("rtsp://c/s", Some("*"), "rtsp://c/s"),
            ("rtsp://c/s", None, "rtsp://c/s"),
            ("rtsp://c/s", Some("rtsp://10.0.0.1:554/s/1"), "rtsp://10.0.0.1:554/s/1"),
            ("rtsp://c/s", Some("RTSP://u:p@10.0.0.1/s"), "RTSP://10.0.0.1/s"),
            ("rtsp://c/s", Some("a\r\nX: b"), "rtsp://c/s/aX:b"),
        ] {
            assert_eq!(control(base, with), whole);
        }
    }

    #[test]
    fn where_a_redirection_leads() {
        let url = redirected("rtsp://u:p@10.0.0.2:8554/x?y").unwrap();
        assert_eq!((url.location().as_str(), url.user), ("rtsp://10.0.0.2:8554/x?y", None));
        assert!(redirected("rtsps://c/").is_some_and(|url| url.tls));
        for bad in ["", "/x", "http://c/", "rtsp://", "rtsp://c/a b"] {
            assert!(redirected(bad).is_none(), "{bad}");
        }
    }

    /// What cameras write in headers and attributes.
    fn corpus() -> Vec<Vec<u8>> {
        [
            "ab;timeout=30",
            "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=1",
            "rtsp://u:p@10.0.0.1:554/s/1?x=2",
            "trackID=1",
            "/stream=0?x=2",
        ]
        .map(|t| t.as_bytes().to_vec())
        .into()
    }

    proptest! {
        #![proptest_config(crate::fuzz::cases(2_000))]

        /// And nothing ends a line.
        #[test]
        fn fuzz_headers(data in crate::fuzz::mutated(corpus()), text in "\\PC{0,40}", more in any::<String>()) {
            let data = String::from_utf8_lossy(&data).into_owned();
            for text in [data.as_str(), text.as_str(), more.as_str()] {
                let _ = (session(text), interleaved(text), redirected(text));
                prop_assert!(!control("rtsp://c/", Some(text)).contains(['\r', '\n', ' ']));
            }
        }
    }
}
