//! GStreamer's rtspsrc: what it is told of a camera.

use std::time::Duration;

use gst::prelude::*;
use gstreamer as gst;

use crate::config::{RtspUrl, Transport};
use crate::media::source::{Failure, Hints, Spec};
use crate::media::template::{self, Template};

/// The properties of `src` for this camera, as the launch line shows them. The
/// password is left out unless asked for.
pub fn properties(
    url: &RtspUrl,
    transport: Transport,
    hints: Hints,
    read_timeout: Duration,
    credentials: bool,
) -> Vec<(String, String)> {
    let us = read_timeout.as_micros().to_string();
    let (protocols, udp) = protocols(transport, hints);
    let mut out = vec![
        ("location".to_owned(), url.location()),
        ("protocols".to_owned(), protocols.to_owned()),
        ("timeout".to_owned(), us.clone()),
        ("tcp-timeout".to_owned(), us),
    ];
    if udp {
        // Reordering needs time, and receiver reports keep UDP cameras and NATs open;
        // over TCP reports make frames late (GStreamer reference, rtspsrc).
        out.push(("latency".to_owned(), "100".to_owned()));
        out.push(("do-rtcp".to_owned(), "true".to_owned()));
    }
    if let Some(user) = &url.user {
        out.push(("user-id".to_owned(), if credentials { user.clone() } else { "***".to_owned() }));
    }
    if let Some(password) = &url.password {
        out.push(("user-pw".to_owned(), if credentials { password.expose().to_owned() } else { "***".to_owned() }));
    }
    out
}

/// What rtspsrc may try, and whether that is UDP. `automatic` begins with TCP,
/// which passes firewalls and containers and loses nothing, and turns to UDP when
/// the camera refuses TCP.
pub fn protocols(transport: Transport, hints: Hints) -> (&'static str, bool) {
    match transport {
        Transport::Tcp => ("tcp", false),
        Transport::Udp => ("udp", true),
        Transport::Multicast => ("udp-mcast", true),
        Transport::Automatic if hints.udp => ("udp+udp-mcast", true),
        Transport::Automatic => ("tcp", false),
    }
}

/// The element, as the template has it: for what [`super::pull`] does not do.
pub fn element(
    spec: &Spec,
    url: &RtspUrl,
    transport: Transport,
    own: Option<&Template>,
) -> Result<gst::Element, Failure> {
    let head = match own {
        Some(t) => t.head.clone(),
        None => Template::load_builtin(template::for_camera(None))?.head,
    };
    let src = template::instantiate(own.map_or(spec.path.as_str(), |t| &t.name), &head)?;
    for (key, value) in properties(url, transport, spec.hints, spec.read_timeout, false) {
        if !key.starts_with("user-") {
            src.set_property_from_str(&key, &value);
        }
    }
    // Credentials as a part of the URL: those of user-id and user-pw rtspsrc tries nine
    // times when they are wrong, and cameras lock the account after five.
    src.set_property("location", url.location_with_credentials().expose());
    src.set_property("user-agent", concat!("camgate/", env!("CARGO_PKG_VERSION")));
    Ok(src)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_begins_with_tcp_and_turns_to_udp() {
        let plain = Hints::default();
        assert_eq!(protocols(Transport::Automatic, plain), ("tcp", false));
        assert_eq!(protocols(Transport::Automatic, Hints { udp: true, ..plain }), ("udp+udp-mcast", true));
        assert_eq!(protocols(Transport::Tcp, Hints { udp: true, ..plain }), ("tcp", false));
    }
}
