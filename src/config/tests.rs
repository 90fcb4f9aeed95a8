use super::*;
use proptest::prelude::*;

mod mediamtx;
mod reference;

/// Reads a configuration that must be fine.
#[track_caller]
pub(crate) fn config(yaml: &str) -> Config {
    config_with(yaml, &[])
}

#[track_caller]
pub(crate) fn config_with(yaml: &str, env: &[(&str, &str)]) -> Config {
    match parse(yaml, Some("c.yml"), &vars(env)) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems:#?}"),
    }
}

pub(crate) fn vars(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What is said about a configuration that must not be fine.
#[track_caller]
pub(crate) fn problems_with(yaml: &str, env: &[(&str, &str)]) -> Vec<String> {
    let problems = parse(yaml, Some("c.yml"), &vars(env)).expect_err("accepted");
    problems.iter().map(Problem::to_string).collect()
}

fn problems(yaml: &str) -> Vec<String> {
    problems_with(yaml, &[])
}

#[test]
fn nothing_means_the_defaults() {
    assert_eq!(config(""), Config::default());
    assert_eq!(config("paths:"), Config::default());
    assert_eq!(yaml::parse(auth::DEFAULT_USERS).problems, []);
    assert_eq!(config(&format!("authInternalUsers: {}", auth::DEFAULT_USERS.replace('\n', "\n  "))), Config::default());
}

#[test]
fn the_embedded_one_has_a_test_path() {
    let c = embedded();
    assert_eq!(c.paths.len(), 1);
    assert_eq!(c.paths["test"].source, Source::Test);
    assert!(c.paths["test"].source_on_demand);
    assert_eq!(load(None, &[]).unwrap().config, c);
    let c = load(None, &vars(&[("CAMGATE_LOGLEVEL", "debug")])).unwrap().config;
    assert!(c.paths.contains_key("test") && c.log_level == LogLevel::Debug);
    let c = load(None, &vars(&[("CAMGATE_PATHS_CAM1_SOURCE", "rtsp://h")])).unwrap().config;
    assert_eq!(c.paths.keys().collect::<Vec<_>>(), ["cam1"]);
}

#[test]
fn everything_is_read() {
    let c = config(
        "
logLevel: debug
logStructured: yes
readTimeout: 1m30s
webrtcAddress: 127.0.0.1:0
webrtcEngine: shared
webrtcLocalUDPAddress: 127.0.0.1:8190
webrtcLocalTCPAddress: :8189
webrtcPortRange: 30000-30100
webrtcIPsFromInterfaces: no
webrtcIPsFromInterfacesList: [lo, eth0]
webrtcAdditionalHosts: [192.0.2.1, gate.example.org]
webrtcICEServers2:
  - url: stun:192.0.2.1:3478
  - {url: 'turn:h:3478?transport=tcp', username: AUTH_SECRET, password: 0123, clientOnly: true}
webrtcSTUNGatherTimeout: 200ms
webrtcHandshakeTimeout: 2s
webrtcAllowOrigins: ['https://*.example.org']
webrtcTrustedProxies: [10.1.2.3/8, '::1']
authInternalUsers:
  - user: sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
    pass: argon2:$argon2id$v=19$m=4096,t=3,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA
    permissions: [{action: read, path: ~^cam}, {action: api}]
limits: {sdpSize: 128K, postsBurst: 5, headTimeout: 1s}
pathDefaults: {rtspTransport: tcp, maxReaders: 3}
paths:
  cam1:
    source: rtsps://u:p@h/x
    sourceFingerprint: AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99
    sourceOnDemand: yes
    sourceOnDemandStartTimeout: 20s
    sourceOnDemandCloseAfter: 0s
    maxReaders: 7
    pipeline: pipelines/mine.gst
  cam2:
",
    );
    assert_eq!((c.log_level, c.log_structured, c.read_timeout), (LogLevel::Debug, true, Duration::from_secs(90)));
    assert_eq!(c.webrtc_listen(), ["127.0.0.1:0".parse().unwrap()]);
    assert_eq!(c.webrtc_engine, WebrtcEngine::Shared);
    assert_eq!(c.webrtc_udp_listen(), ["127.0.0.1:8190".parse().unwrap()]);
    assert_eq!(c.webrtc_tcp_listen(), ["[::]:8189".parse().unwrap(), "0.0.0.0:8189".parse().unwrap()]);
    assert_eq!(c.webrtc_port_range, Some((30000, 30100)));
    assert!(!c.webrtc_ips_from_interfaces);
    assert_eq!(c.webrtc_ips_from_interfaces_list, ["lo", "eth0"]);
    assert_eq!(c.webrtc_additional_hosts.len(), 2);
    assert_eq!(c.webrtc_ice_servers2[1].password.expose(), "0123");
    assert!(c.webrtc_ice_servers2[1].client_only && !c.webrtc_ice_servers2[0].client_only);
    assert_eq!(c.webrtc_stun_gather_timeout, Duration::from_millis(200));
    assert_eq!(c.webrtc_trusted_proxies[0].to_string(), "10.0.0.0/8");
    assert_eq!(c.webrtc_trusted_proxies[1].to_string(), "::1/128");
    assert_eq!(c.auth_internal_users[0].permissions[0].path, "~^cam");
    assert_eq!((c.limits.sdp_size.0, c.limits.posts_burst, c.limits.sdp_sections), (128 << 10, 5, 32));
    let cam1 = &c.paths["cam1"];
    assert_eq!(cam1.source_fingerprint.as_ref().unwrap().len(), 64);
    assert_eq!((cam1.max_readers, cam1.rtsp_transport), (7, Transport::Tcp));
    assert_eq!(cam1.source_on_demand_close_after, Duration::ZERO);
    assert_eq!(cam1.pipeline, Some("pipelines/mine.gst".into()));
    assert_eq!(c.paths["cam2"].max_readers, 3);
}

#[test]
fn the_port_of_hls_is_none_unless_it_is_said() {
    assert!(config("").hls_listen().is_empty() && config("hlsAddress:").hls_listen().is_empty());
    assert_eq!(config("hlsAddress: 127.0.0.1:8888").hls_listen(), ["127.0.0.1:8888".parse().unwrap()]);
    assert_eq!(config("hlsAddress: :8888").hls_listen().len(), 2);
}

#[test]
fn all_problems_at_once_with_line_key_and_a_hint() {
    assert_eq!(
        problems(
            "logLevel: loud
readTimeout: 10
webrtcAdress: :1
paths:
  cam1:
    sorce: rtsp://h
    maxReaders: -1
    maxReaders: 2
  whep:
  ~^(:
authInternalUsers:
  - user: any
    permissions:
      - action: raed
      - path: x
"
        ),
        [
            "c.yml:1: logLevel: \"loud\" is not one of error, warn, info, debug",
            "c.yml:2: readTimeout: \"10\" lacks a unit; write a duration like 10s, 1m30s or 200ms",
            "c.yml:3: webrtcAdress: unknown key, did you mean \"webrtcAddress\"?",
            "c.yml:6: paths.cam1.sorce: unknown key, did you mean \"source\"?",
            "c.yml:7: paths.cam1.maxReaders: \"-1\" is not a whole number from 0 on",
            "c.yml:8: the key \"maxReaders\" occurs twice, first on line 7",
            "c.yml:9: paths.whep: A path name must not begin with \"whep\", which has a meaning of its own.",
            "c.yml:10: paths.~^(: the part behind \"~\" is no regular expression: unclosed group",
            "c.yml:14: authInternalUsers[0].permissions[0].action: \"raed\" is not one of publish, read, playback, api, metrics, pprof, ptz, pipelines",
            "c.yml:15: authInternalUsers[0].permissions[1].action: is missing; one of publish, read, playback, api, metrics, pprof, ptz, pipelines",
        ]
    );
}

#[test]
fn a_path_has_the_engine_of_all_unless_it_says_so() {
    let c = config(
        "{webrtcEngine: shared, pathDefaults: {webrtcEngine: webrtcbin}, paths: {a: , b: {webrtcEngine: }, '~^c': \
         {webrtcEngine: shared}}}",
    );
    let of = |name| c.engine_of(name);
    assert_eq!((of("a"), of("c1"), of("x")), (WebrtcEngine::Webrtcbin, WebrtcEngine::Shared, WebrtcEngine::Shared));
    // Without a value a key has its default, here as everywhere; with an empty one it is unset.
    assert_eq!(of("b"), WebrtcEngine::Webrtcbin);
    let c = config("{webrtcEngine: shared, pathDefaults: {webrtcEngine: webrtcbin}, paths: {b: {webrtcEngine: ''}}}");
    assert!(c.uses_engine(WebrtcEngine::Shared) && !c.uses_engine(WebrtcEngine::Webrtcbin));
    let c = config("{webrtcEngine: shared, webrtcLocalUDPAddress: '', webrtcLocalTCPAddress: ':0', paths: {a: }}");
    assert!(c.webrtc_udp_listen().is_empty() && c.webrtc_tcp_listen().len() == 2);
}

#[test]
fn values_of_the_wrong_kind() {
    for (yaml, expected) in [
        ("[]", "must be a mapping, not a list"),
        ("word", "must be a mapping, not a single value"),
        ("logLevel: [info]", "logLevel: must be one of error, warn, info, debug, not a list"),
        ("logStructured: 2", "logStructured: \"2\" is neither yes nor no"),
        ("readTimeout: 0s", "readTimeout: must be greater than zero"),
        (
            "webrtcAddress: '8889'",
            "webrtcAddress: \"8889\" lacks a port; write an address like :8889, 127.0.0.1:8889 or [::1]:8889",
        ),
        ("webrtcAddress: ':99999'", "has no port"),
        ("hlsAddress: nowhere", "hlsAddress: \"nowhere\" lacks a port"),
        ("webrtcAddress: ::1:80", "has no IP address"),
        ("webrtcEngine: pion", "webrtcEngine: \"pion\" is not one of shared, webrtcbin"),
        ("paths: {a: {webrtcEngine: [x]}}", "paths.a.webrtcEngine: must be one of shared, webrtcbin, not a list"),
        ("webrtcLocalTCPAddress: 8189", "webrtcLocalTCPAddress: \"8189\" lacks a port"),
        (
            "{webrtcLocalUDPAddress: '', paths: {a: {webrtcEngine: shared}}}",
            "webrtcLocalUDPAddress: must not be empty when webrtcLocalTCPAddress is",
        ),
        ("webrtcPortRange: 200-100", "webrtcPortRange: \"200-100\" ends before it begins"),
        ("webrtcPortRange: 0-100", "is not a range of ports"),
        ("webrtcPortRange: [1, 2, 3]", "a list of two ports"),
        ("webrtcPortRange: {}", "a range of ports like 30000-30100"),
        ("webrtcAllowOrigins: '*'", "webrtcAllowOrigins: must be a list, not a single value"),
        ("webrtcAllowOrigins: [a, ]\nlogLevel: x", "logLevel"),
        ("webrtcAdditionalHosts: [a, '']", "webrtcAdditionalHosts: has an empty entry"),
        ("webrtcAdditionalHosts: [~]", "webrtcAdditionalHosts[0]: an entry without a value"),
        ("webrtcTrustedProxies: [10.0.0.0/33]", "webrtcTrustedProxies[0]: \"10.0.0.0/33\" is neither"),
        ("webrtcICEServers2: [{url: http://h}]", "webrtcICEServers2[0].url: must be like stun:host:3478"),
        ("webrtcICEServers2: [{url: 'turn:h'}]", "needs username and password"),
        ("webrtcICEServers2: [{url: 'stun:a@b'}]", "credentials go into username"),
        ("webrtcICEServers2: [{}]", "webrtcICEServers2[0].url: must be"),
        ("authInternalUsers: [{pass: x}]", "authInternalUsers[0].user: is missing"),
        ("authInternalUsers: [{user: any, pass: x}]", "authInternalUsers[0].pass: the user \"any\" cannot"),
        ("authInternalUsers: [{user: a}]", "authInternalUsers[0].pass: must not be empty: nobody could sign in"),
        ("authInternalUsers: [{user: a, pass: ''}]", "c.yml:1: authInternalUsers[0].pass: must not be empty"),
        ("authInternalUsers: [{user: a, pass: 'sha256:x'}]", "authInternalUsers[0].pass: \"sha256:\" must be followed"),
        ("authInternalUsers: [{user: a, pass: 'argon2:x'}]", "authInternalUsers[0].pass: \"argon2:\" must be followed"),
        (
            "authInternalUsers: [{user: a, permissions: [{action: read, path: '~('}]}]",
            "permissions[0].path: is no regular expression",
        ),
        ("limits: 3", "limits: must be a mapping, not a single value"),
        ("limits: {sdpSize: 3}", "limits.sdpSize: must be at least 1K"),
        ("limits: {connections: 0}", "limits.connections: must be at least 1"),
        ("limits: {sdpSizes: 3}", "limits.sdpSizes: unknown key, did you mean \"sdpSize\"?"),
        ("paths: []", "paths: must be a mapping of path names, not a list"),
        ("paths: {a: 3}", "paths.a: must be a mapping, not a single value"),
        ("paths: {a b: }", "letters, digits"),
        ("paths: {a: {source: 5}}", "paths.a.source: \"5\" is no source"),
        ("paths: {a: {source: {}}}", "paths.a.source: must be a source such as rtsp://…, not a mapping"),
        ("paths: {a: {source: rtmp://u:geheim@h}}", "(rtmp) that camgate does not have yet"),
        ("paths: {a: {sourceFingerprint: abc}}", "paths.a.sourceFingerprint: \"abc\" is no SHA-256"),
        ("paths: {a: {sourceOnDemand: yes}}", "paths.a.sourceOnDemand: is of no use"),
        ("paths: {~^a$: {source: test}}", "paths.~^a$.sourceOnDemand: a path that stands for many"),
        ("paths: {all_others: {source: test}}", "paths.all_others.sourceOnDemand: a path that stands for many"),
        ("paths: {~^a$: {source: rtsp://h/$G1, sourceOnDemand: yes}}", "names the group $G1, and the pattern has 0"),
        ("paths: {~^(a)$: {source: rtsp://h/$G0, sourceOnDemand: yes}}", "names the group $G0, and the pattern has 1"),
        ("paths: {a: {source: rtsp://$G1/x}}", "only a path \"~regex\" has groups"),
        ("pathDefaults: {sorce: x}", "pathDefaults.sorce: unknown key, did you mean \"source\"?"),
        ("authMethod: jwt", "authMethod: \"jwt\" is not there yet"),
        ("paths: {a: {readUser: x}}", "would let everybody in"),
        ("a: [", "not valid YAML"),
    ] {
        let found = problems(yaml);
        assert!(found.iter().any(|p| p.contains(expected)), "{yaml}: {found:#?}");
        assert!(found.iter().all(|p| p.starts_with("c.yml:") && !p.contains("geheim")), "{yaml}: {found:#?}");
    }
}

#[test]
fn an_emptied_list_lets_nobody_in() {
    assert!(config("authInternalUsers:").auth_internal_users.is_empty());
    assert!(config("webrtcAllowOrigins:").webrtc_allow_origins.is_empty());
}

#[test]
fn a_path_can_unset_a_default() {
    let c = config("{pathDefaults: {pipeline: a.gst}, paths: {a: {pipeline: ''}, b: {pipeline: }}}");
    assert_eq!(c.paths["a"].pipeline, None);
    assert_eq!(c.paths["b"].pipeline, Some("a.gst".into()));
}

#[test]
fn merges_serve_for_groups_of_paths() {
    let c = config("paths:\n  a: &base {source: test, maxReaders: 4}\n  b:\n    <<: *base\n    source: publisher\n");
    assert_eq!((c.paths["b"].max_readers, &c.paths["b"].source), (4, &Source::Publisher));
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yml");
    let first = |file: &std::path::Path| load(Some(file), &[]).unwrap_err()[0].to_string();
    assert!(first(&file).ends_with("c.yml: cannot be read: No such file or directory (os error 2)"));
    assert!(first(dir.path()).contains("cannot be read"));
    std::fs::write(&file, b"a: b\nc: \xff").unwrap();
    assert!(first(&file).ends_with("c.yml: is not UTF-8 (line 2)"));
    std::fs::write(&file, "# x\n".repeat(3 << 20)).unwrap();
    assert!(first(&file).ends_with("c.yml: is larger than 8 MiB"));
    std::fs::write(&file, "x: 1").unwrap();
    assert!(first(&file).ends_with("c.yml:1: x: unknown key"));
    // A directory of their own is no path; environment problems have no file.
    let problems = load(Some(&file), &vars(&[("CAMGATE_X", "")])).unwrap_err();
    assert_eq!(problems[1].to_string(), "CAMGATE_X: unknown variable");
    std::fs::write(&file, "paths: {a: }").unwrap();
    assert!(load(Some(&file), &[]).unwrap().warnings.is_empty());
}

#[test]
fn a_file_of_mediamtxs_loads_with_one_warning() {
    let loaded = parse(
        "authMethod: internal\nrtmp: yes\nhlsDirectory: /tmp\nauthHTTPExclude: [{action: api}]\npathDefaults: {record: no, sourceOnDemand: no, readUser: }\npaths: {a: {record: yes}, b: {record: yes}, all_others: }\n",
        None,
        &[],
    )
    .unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "keys of MediaMTX's that camgate does not have yet, they are ignored: authHTTPExclude, hlsDirectory, pathDefaults.record, paths.*.record, rtmp"
        ]
    );
}

#[test]
fn five_thousand_paths() {
    let mut yaml = String::from("paths:\n");
    for i in 0..5000 {
        yaml.push_str(&format!(
            "  cam{i}:\n    source: rtsp://u:p{i}@10.0.0.1/{i}\n    sourceOnDemand: yes\n    rtspTransport: tcp\n"
        ));
    }
    let c = config(&yaml);
    assert_eq!(c.paths.len(), 5000);
    assert_eq!(c.find("cam4999").unwrap().conf_name, "cam4999");
    assert!(c.find("other").is_none());
}

proptest! {
    #![proptest_config(crate::fuzz::cases(2000))]

    #[test]
    fn random_yaml(text in "\\PC*", like in "((logLevel|paths|cam1|source|authInternalUsers|user|limits|pathDefaults|permissions|webrtcICEServers2|url|<<|x)(: |:\\n  |:\\n    )|- |\\[|\\]|\\{|\\}|, |any|test|yes|~|&a |\\*a|rtsp://u:p@h/x|\\n|  ){0,30}") {
        let _ = parse(&text, None, &[]);
        let _ = parse(&like, None, &[]);
    }

    #[test]
    fn problems_hold_no_passwords(
        password in "[a-zA-Z0-9@:/?#%!&]{4,16}",
        key in "(source|pass|sorce|maxReaders|url|password|user|x)",
        place in "(paths:\n  a:\n    |authInternalUsers:\n  - user: bob\n    |webrtcICEServers2:\n  - username: u\n    |)",
        before in "(rtsp://u:|rtmp://u:|turn:u:|https://x:)",
    ) {
        let secret = format!("S3{password}3S");
        let yaml = format!("{place}{key}: \"{before}{secret}@host/x\"\n");
        if let Err(problems) = parse(&yaml, Some("c.yml"), &[]) {
            for problem in problems {
                prop_assert!(!problem.to_string().contains(&secret), "{}", problem);
            }
        }
    }
}
