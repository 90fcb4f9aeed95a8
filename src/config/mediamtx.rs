//! MediaMTX's keys that camgate does not have yet: named in one warning, so that a
//! `mediamtx.yml` loads. When a key gets its feature, it moves from here to its table.
//!
//! A few of them restrict who may watch. To ignore those would open what the
//! operator closed, so they are problems, not warnings.
//!
//! Some are old names of keys that camgate has by the new name only. Those that close
//! something are problems too, the others a warning that tells the new name.

use super::problem::shown;
use super::schema::{Cx, FromNode as _};
use super::yaml::{Node, Value};

/// The global keys, sorted.
#[rustfmt::skip]
pub(crate) const GLOBAL: &[&str] = &[
    "api", "apiAddress", "apiAllowOrigin", "apiAllowOrigins", "apiEncryption", "apiServerCert",
    "apiServerKey", "apiTrustedProxies", "authHTTPAddress", "authHTTPExclude",
    "authHTTPFingerprint", "authJWTAudience", "authJWTClaimKey", "authJWTExclude",
    "authJWTInHTTPQuery", "authJWTIssuer", "authJWTJWKS", "authJWTJWKSFingerprint", "authMethod",
    "authMethods", "dumpPackets", "encryption", "externalAuthenticationURL",
    "hlsAllowOrigin", "hlsCDNSecret", "hlsDirectory", "hlsDisable", "hlsEncryption", "hlsServerCert",
    "hlsServerKey", "hlsTrustedProxies", "logDestinations", "logFile", "metrics", "metricsAddress",
    "metricsAllowOrigin", "metricsAllowOrigins", "metricsEncryption", "metricsServerCert",
    "metricsServerKey", "metricsTrustedProxies", "moq", "moqAllowOrigins", "moqHTTP2Address",
    "moqHTTP3Address", "moqHTTPS2Address", "moqHTTPS3Address", "moqQUICAddress", "moqServerCert",
    "moqServerKey", "moqTrustedProxies", "multicastIPRange", "multicastRTCPPort",
    "multicastRTPPort", "multicastSRTCPPort", "multicastSRTPPort", "playback", "playbackAddress",
    "playbackAllowOrigin", "playbackAllowOrigins", "playbackEncryption", "playbackServerCert",
    "playbackServerKey", "playbackTrustedProxies", "pprof", "pprofAddress", "pprofAllowOrigin",
    "pprofAllowOrigins", "pprofEncryption", "pprofServerCert", "pprofServerKey",
    "pprofTrustedProxies", "protocols", "readBufferCount", "record", "recordDeleteAfter",
    "recordFormat", "recordPartDuration", "recordPath", "recordSegmentDuration", "rtcpAddress",
    "rtmp", "rtmpAddress", "rtmpDisable", "rtmpEncryption", "rtmpServerCert", "rtmpServerKey",
    "rtmpTrustedProxies", "rtmpsAddress", "rtpAddress", "rtsp", "rtspAddress", "rtspAuthMethods",
    "rtspDisable", "rtspEncryption", "rtspServerCert", "rtspServerKey", "rtspTransports",
    "rtspTrustedProxies", "rtspUDPReadBufferSize", "rtspsAddress", "runOnConnect",
    "runOnConnectRestart", "runOnDisconnect", "serverCert", "serverKey", "srt", "srtAddress",
    "srtcpAddress", "srtla", "srtlaAddress", "srtpAddress", "sysLogPrefix", "udpMaxPayloadSize",
    "udpReadBufferSize", "webrtc", "webrtcAllowOrigin", "webrtcDisable", "webrtcEncryption",
    "webrtcICEHostNAT1To1IPs", "webrtcICEServers", "webrtcICETCPMuxAddress",
    "webrtcICEUDPMuxAddress", "webrtcServerCert", "webrtcServerKey", "webrtcTrackGatherTimeout",
    "writeQueueSize", "writeTimeout",
];

/// The keys of a path, sorted.
#[rustfmt::skip]
pub(crate) const PATH: &[&str] = &[
    "alwaysAvailable", "alwaysAvailableFile", "alwaysAvailableTracks", "disablePublisherOverride",
    "fallback", "forward", "moqTransport", "mpegtsUDPReadBufferSize", "overridePublisher",
    "playback", "publishIPs", "publishPass", "publishUser", "readIPs", "readPass", "readUser",
    "record", "recordDeleteAfter", "recordFormat", "recordMaxPartSize", "recordPartDuration",
    "recordPath", "recordSegmentDuration", "rpiCameraAWB", "rpiCameraAWBGains", "rpiCameraAfMode",
    "rpiCameraAfRange", "rpiCameraAfSpeed", "rpiCameraAfWindow", "rpiCameraBitrate",
    "rpiCameraBrightness", "rpiCameraCamID", "rpiCameraCodec", "rpiCameraContrast",
    "rpiCameraDenoise", "rpiCameraEV", "rpiCameraExposure", "rpiCameraFPS",
    "rpiCameraFlickerPeriod", "rpiCameraGain", "rpiCameraH264Level", "rpiCameraH264Profile",
    "rpiCameraHDR", "rpiCameraHFlip", "rpiCameraHardwareH264Level",
    "rpiCameraHardwareH264Profile", "rpiCameraHeight", "rpiCameraIDRPeriod",
    "rpiCameraJPEGQuality", "rpiCameraLensPosition", "rpiCameraLevel", "rpiCameraMJPEGQuality",
    "rpiCameraMetering", "rpiCameraMode", "rpiCameraProfile", "rpiCameraROI",
    "rpiCameraSaturation", "rpiCameraSecondary", "rpiCameraSharpness", "rpiCameraShutter",
    "rpiCameraSoftwareH264Level", "rpiCameraSoftwareH264Profile", "rpiCameraTextOverlay",
    "rpiCameraTextOverlayEnable", "rpiCameraTuningFile", "rpiCameraVFlip", "rpiCameraWidth",
    "rtpSDP", "rtpUDPReadBufferSize", "rtspAnyPort", "rtspDemuxMpegts", "rtspRangeStart",
    "rtspRangeType", "rtspScale", "rtspUDPReadBufferSize", "rtspUDPSourcePortRange",
    "runOnAvailable", "runOnAvailableRestart", "runOnDemand", "runOnDemandCloseAfter",
    "runOnDemandRestart", "runOnDemandStartTimeout", "runOnInit", "runOnInitRestart",
    "runOnNotReady", "runOnOffline", "runOnOnline", "runOnOnlineRestart", "runOnRead",
    "runOnReadRestart", "runOnReady", "runOnReadyRestart", "runOnRecordSegmentComplete",
    "runOnRecordSegmentCreate", "runOnUnDemand", "runOnUnavailable", "runOnUnread",
    "sourceAnyPortEnable", "sourceProtocol", "sourceRedirect", "srtPublishPassphrase",
    "srtReadPassphrase", "whepBearerToken", "whepHandshakeTimeout",
    "whepSTUNGatherTimeout", "whepTrackGatherTimeout",
];

/// Keys that lock something; without a value they lock nothing.
const LOCKS: &[&str] =
    &["externalAuthenticationURL", "publishIPs", "publishPass", "publishUser", "readIPs", "readPass", "readUser"];

/// Old names, and the new ones. They are not read as those: some took other values.
const OLD_NAMES: &[(&str, &str)] = &[
    ("sourceProtocol", "rtspTransport"),
    ("webrtcICEHostNAT1To1IPs", "webrtcAdditionalHosts"),
    ("webrtcICEServers", "webrtcICEServers2"),
    ("webrtcICETCPMuxAddress", "webrtcLocalTCPAddress"),
    ("webrtcICEUDPMuxAddress", "webrtcLocalUDPAddress"),
];

/// What to do about HLS that is switched off by the old name.
const HLS_OFF: &str = "has another name now, and ignoring it would leave HLS on; write hls: no";
/// What to do about WebRTC that is switched off.
const WEBRTC_OFF: &str = "cannot be: camgate always serves WebRTC, and ignoring this would hide that; \
     remove it, and say with authInternalUsers who may read";

/// Handles the keys that cannot just be warned about as not there yet. True if `key` is
/// dealt with.
pub(crate) fn read_special(key: &str, node: &Node, cx: &mut Cx) -> bool {
    if let Some(&(_, new)) = OLD_NAMES.iter().find(|(old, _)| *old == key) {
        if !is_empty(node) {
            cx.old_name(new);
        }
        return true;
    }
    match key {
        "authMethod" => read_method(node, cx),
        "hlsAllowOrigin" => read_origin(node, "hlsAllowOrigins", cx),
        "webrtcAllowOrigin" => read_origin(node, "webrtcAllowOrigins", cx),
        "hlsDisable" => read_switch(node, true, HLS_OFF, cx),
        "webrtcDisable" => read_switch(node, true, WEBRTC_OFF, cx),
        "webrtc" => read_switch(node, false, WEBRTC_OFF, cx),
        _ if LOCKS.contains(&key) => {
            if !is_empty(node) {
                cx.problem(
                    &node.at,
                    "is not there yet, and ignoring it would let everybody in; say it with authInternalUsers",
                );
            }
        }
        _ => return false,
    }
    true
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Scalar(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
    }
}

fn read_method(node: &Node, cx: &mut Cx) {
    if let Some(method) = (node.value != Value::Null).then(|| cx.text(node, "internal")).flatten()
        && method != "internal"
    {
        let method = shown(method);
        cx.problem(
            &node.at,
            format!("{method} is not there yet, only internal; ignoring it would let the wrong people in"),
        );
    }
}

/// The one origin that there could be. Without the key all may (`*`); an empty one let none.
fn read_origin(node: &Node, new: &str, cx: &mut Cx) {
    let any = |node: &Node| matches!(&node.value, Value::Scalar(text) if text.trim() == "*");
    let open = match &node.value {
        Value::Null => true,
        Value::List(items) => items.iter().any(any),
        _ => any(node),
    };
    if !open {
        cx.problem(
            &node.at,
            format!(
                "has another name now, and ignoring it would let the pages of all sites in; \
                 write a list, as in {new}: ['https://example.org']"
            ),
        );
    }
}

/// A switch that turns something off when it says `off`.
fn read_switch(node: &Node, off: bool, message: &str, cx: &mut Cx) {
    if node.value != Value::Null && bool::read(node, cx) == Some(off) {
        cx.problem(&node.at, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, PathConf};

    #[test]
    fn no_key_is_both_there_and_not_yet() {
        assert!(GLOBAL.is_sorted() && PATH.is_sorted());
        assert!(Config::KEYS.iter().all(|f| !GLOBAL.contains(&f.name)));
        assert!(PathConf::KEYS.iter().all(|f| !PATH.contains(&f.name)));
        assert!(LOCKS.iter().all(|key| GLOBAL.contains(key) || PATH.contains(key)));
    }

    #[test]
    fn an_old_name_is_no_key_and_the_new_one_is() {
        for (old, new) in OLD_NAMES {
            let (names, keys) = if GLOBAL.contains(old) { (GLOBAL, Config::KEYS) } else { (PATH, PathConf::KEYS) };
            assert!(names.contains(old) && keys.iter().any(|f| f.name == *new), "{old}");
        }
    }
}
