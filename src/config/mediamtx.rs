//! MediaMTX's keys that camgate does not have yet: named in one warning, so that a
//! `mediamtx.yml` loads. When a key gets its feature, it moves from here to its table.
//!
//! A few of them restrict who may watch. To ignore those would open what the
//! operator closed, so they are problems, not warnings.

use super::problem::shown;
use super::schema::Cx;
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

/// Handles the keys that cannot just be warned about. True if `key` is dealt with.
pub(crate) fn read_special(key: &str, node: &Node, cx: &mut Cx) -> bool {
    if key == "authMethod" {
        if let Some(method) = (node.value != Value::Null).then(|| cx.text(node, "internal")).flatten()
            && method != "internal"
        {
            let method = shown(method);
            cx.problem(
                &node.at,
                format!("{method} is not there yet, only internal; ignoring it would let the wrong people in"),
            );
        }
        return true;
    }
    if !LOCKS.contains(&key) {
        return false;
    }
    let empty = match &node.value {
        Value::Null => true,
        Value::Scalar(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
    };
    if !empty {
        cx.problem(&node.at, "is not there yet, and ignoring it would let everybody in; say it with authInternalUsers");
    }
    true
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
}
