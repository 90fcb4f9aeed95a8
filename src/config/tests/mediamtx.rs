//! Old names of MediaMTX's keys.

use super::*;

fn warnings(yaml: &str, env: &[(&str, &str)]) -> Vec<String> {
    parse(yaml, Some("c.yml"), &vars(env)).unwrap_or_else(|problems| panic!("{problems:#?}")).warnings
}

#[test]
fn an_old_name_that_closes_something_is_a_problem() {
    let origin = |key: &str, new: &str| {
        format!(
            "c.yml:1: {key}: has another name now, and ignoring it would let the pages of all sites in; write a list, \
             as in {new}: ['https://example.org']"
        )
    };
    let webrtc = |key: &str| {
        format!(
            "c.yml:1: {key}: cannot be: camgate always serves WebRTC, and ignoring this would hide that; remove it, \
             and say with authInternalUsers who may read"
        )
    };
    for (yaml, expected) in [
        ("hlsAllowOrigin: https://a.example", origin("hlsAllowOrigin", "hlsAllowOrigins")),
        ("hlsAllowOrigin: ''", origin("hlsAllowOrigin", "hlsAllowOrigins")),
        ("webrtcAllowOrigin: https://a.example", origin("webrtcAllowOrigin", "webrtcAllowOrigins")),
        ("webrtcAllowOrigin: [https://a.example]", origin("webrtcAllowOrigin", "webrtcAllowOrigins")),
        (
            "hlsDisable: yes",
            "c.yml:1: hlsDisable: has another name now, and ignoring it would leave HLS on; write hls: no".into(),
        ),
        ("webrtcDisable: true", webrtc("webrtcDisable")),
        ("webrtc: no", webrtc("webrtc")),
        ("webrtc: perhaps", "c.yml:1: webrtc: \"perhaps\" is neither yes nor no".into()),
        ("paths: {a: {webrtcDisable: yes}}", "c.yml:1: paths.a.webrtcDisable: unknown key".into()),
    ] {
        assert_eq!(problems(yaml), [expected], "{yaml}");
    }
    let from_env = problems_with("", &[("MTX_WEBRTC", "no")]);
    assert!(from_env.len() == 1 && from_env[0].starts_with("MTX_WEBRTC: webrtc: cannot be"), "{from_env:?}");
}

#[test]
fn an_old_name_that_says_nothing_of_weight_is_ignored() {
    let yaml = "
hlsAllowOrigin: '*'
webrtcAllowOrigin: ['*']
hlsDisable: no
webrtcDisable: no
webrtc: yes
webrtcICEServers: []
webrtcICEUDPMuxAddress:
webrtcICETCPMuxAddress: ''
webrtcICEHostNAT1To1IPs: []
pathDefaults: {sourceProtocol: }
";
    assert!(warnings(yaml, &[]).is_empty(), "{:?}", warnings(yaml, &[]));
    assert_eq!(config(yaml), Config::default());
    assert!(warnings("{hlsAllowOrigin: , webrtc: , hlsDisable: }", &[]).is_empty());
}

#[test]
fn other_old_names_are_one_warning_that_tells_the_new_ones() {
    let yaml = "
webrtcICEServers: [stun:stun.example.org:3478]
webrtcICEUDPMuxAddress: :8189
webrtcICETCPMuxAddress: :8189
rtmp: yes
pathDefaults: {sourceProtocol: automatic}
paths: {a: {sourceProtocol: tcp}, b: {sourceProtocol: tcp}}
";
    assert_eq!(
        warnings(yaml, &[("MTX_WEBRTCICEHOSTNAT1TO1IPS", "192.0.2.1")]),
        [
            "a key of MediaMTX's that camgate does not have yet, it is ignored: rtmp",
            "old names of MediaMTX's keys are ignored: pathDefaults.sourceProtocol is called rtspTransport now, \
             paths.*.sourceProtocol is called rtspTransport now, webrtcICEHostNAT1To1IPs is called \
             webrtcAdditionalHosts now, webrtcICEServers is called webrtcICEServers2 now, webrtcICETCPMuxAddress is \
             called webrtcLocalTCPAddress now, webrtcICEUDPMuxAddress is called webrtcLocalUDPAddress now",
        ]
    );
}
