use crate::config::tests::{config_with, problems_with, vars};
use crate::config::{Action, LogLevel, Source, parse};
use proptest::prelude::*;
use std::time::Duration;

#[track_caller]
fn problem(yaml: &str, env: &[(&str, &str)]) -> String {
    let problems = problems_with(yaml, env);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

#[test]
fn scalars_and_precedence() {
    let c = config_with(
        "{logLevel: error, readTimeout: 1s}",
        &[
            ("MTX_LOGLEVEL", "debug"),
            ("CAMGATE_LOGLEVEL", "warn"),
            ("MTX_READTIMEOUT", "20s"),
            ("CAMGATE_LIMITS_SDPSIZE", "1M"),
            ("HOME", "/"),
            ("CAMGATE_CONFIG", "x"),
            ("CAMGATE_LOG", "y"),
        ],
    );
    assert_eq!(c.log_level, LogLevel::Warn);
    assert_eq!(c.read_timeout, Duration::from_secs(20));
    assert_eq!(c.limits.sdp_size.0, 1 << 20);
}

#[test]
fn paths() {
    let c = config_with(
        "paths: {Front-Gate: {maxReaders: 1}, cam1: , '~^x$': }",
        &[
            ("CAMGATE_PATHS_CAM1_SOURCE", "rtsp://u:p@h"),
            ("CAMGATE_PATHS_FRONT_GATE_SOURCE", "test"),
            ("CAMGATE_PATHS_BACK_DOOR_SOURCE", "rtsp://b"),
            ("CAMGATE_PATHS_BACK_DOOR_SOURCEONDEMAND", "yes"),
            ("CAMGATE_PATHS_ALL_OTHERS_MAXREADERS", "7"),
            ("CAMGATE_PATHDEFAULTS_MAXREADERS", "5"),
        ],
    );
    assert_eq!(c.paths.len(), 5);
    assert!(matches!(&c.paths["cam1"].source, Source::Rtsp(url) if url.host == "h"));
    assert_eq!(c.paths["Front-Gate"].source, Source::Test);
    assert_eq!(c.paths["Front-Gate"].max_readers, 1);
    assert!(c.paths["back_door"].source_on_demand);
    assert_eq!(c.paths["back_door"].max_readers, 5);
    assert_eq!(c.paths["all_others"].max_readers, 7);
}

#[test]
fn an_exact_name_wins_over_a_similar_one() {
    let yaml = "paths: {a_b: , a-b: , c-d: , c.d: }";
    let c = config_with(yaml, &[("CAMGATE_PATHS_A_B_SOURCE", "test")]);
    assert_eq!(c.paths["a_b"].source, Source::Test);
    assert_eq!(c.paths["a-b"].source, Source::Publisher);
    assert_eq!(
        problem(yaml, &[("CAMGATE_PATHS_C_D_SOURCE", "test")]),
        "CAMGATE_PATHS_C_D_SOURCE: may mean several paths: c-d, c.d"
    );
}

#[test]
fn lists() {
    let c = config_with(
        "webrtcAdditionalHosts: [x, y]",
        &[
            ("CAMGATE_WEBRTCALLOWORIGINS", "https://a, https://b"),
            ("CAMGATE_WEBRTCTRUSTEDPROXIES", "10.0.0.0/8,::1"),
            ("CAMGATE_WEBRTCADDITIONALHOSTS_1", "z"),
            ("CAMGATE_WEBRTCADDITIONALHOSTS_2", "w"),
            ("CAMGATE_WEBRTCIPSFROMINTERFACESLIST", ""),
            ("CAMGATE_WEBRTCICESERVERS2_0_URL", "turn:h:3478"),
            ("CAMGATE_WEBRTCICESERVERS2_0_USERNAME", "u"),
            ("CAMGATE_WEBRTCICESERVERS2_0_PASSWORD", "p"),
        ],
    );
    assert_eq!(c.webrtc_allow_origins, ["https://a", "https://b"]);
    assert_eq!(c.webrtc_trusted_proxies.len(), 2);
    assert_eq!(c.webrtc_additional_hosts, ["x", "z", "w"]);
    assert_eq!(c.webrtc_ice_servers2[0].password.expose(), "p");
}

#[test]
fn more_than_ten_entries_keep_their_order() {
    let env: Vec<(String, String)> =
        (0..12).map(|i| (format!("CAMGATE_WEBRTCADDITIONALHOSTS_{i}"), format!("h{i}"))).collect();
    let loaded = parse("", None, &env).unwrap();
    assert_eq!(loaded.config.webrtc_additional_hosts[10], "h10");
}

#[test]
fn users() {
    // As MediaMTX: without a list in the file the default one is changed.
    let c = config_with("", &[("MTX_AUTHINTERNALUSERS_0_USER", "admin"), ("MTX_AUTHINTERNALUSERS_0_PASS", "geheim")]);
    assert_eq!(c.auth_internal_users.len(), 2);
    assert_eq!(c.auth_internal_users[0].user, "admin");
    assert_eq!(c.auth_internal_users[0].permissions.len(), 3);
    let c = config_with(
        "authInternalUsers: []",
        &[
            ("CAMGATE_AUTHINTERNALUSERS_0_USER", "a"),
            ("CAMGATE_AUTHINTERNALUSERS_0_PASS", "geheim"),
            ("CAMGATE_AUTHINTERNALUSERS_0_IPS", "127.0.0.1"),
            ("CAMGATE_AUTHINTERNALUSERS_0_PERMISSIONS_0_ACTION", "ptz"),
            ("CAMGATE_AUTHINTERNALUSERS_0_PERMISSIONS_0_PATH", "cam1"),
        ],
    );
    assert_eq!(c.auth_internal_users.len(), 1);
    assert_eq!(c.auth_internal_users[0].permissions[0].action, Action::Ptz);
    let c = config_with("", &[("CAMGATE_AUTHINTERNALUSERS", "")]);
    assert!(c.auth_internal_users.is_empty());
}

#[test]
fn what_is_wrong_names_the_variable() {
    for (name, value, expected) in [
        ("CAMGATE_LOGLEVLE", "x", "CAMGATE_LOGLEVLE: unknown variable, did you mean CAMGATE_LOGLEVEL?"),
        ("CAMGATE_ZEBRA", "x", "CAMGATE_ZEBRA: unknown variable"),
        ("CAMGATE_", "x", "CAMGATE_: unknown variable"),
        ("CAMGATE_LOGLEVEL", "loud", "CAMGATE_LOGLEVEL: logLevel: \"loud\" is not one of error, warn, info, debug"),
        ("CAMGATE_LOGLEVEL_X", "info", "CAMGATE_LOGLEVEL_X: unknown variable, did you mean CAMGATE_LOGLEVEL?"),
        (
            "CAMGATE_PATHS_CAM1_SORCE",
            "test",
            "CAMGATE_PATHS_CAM1_SORCE: unknown variable, did you mean CAMGATE_PATHS_CAM1_SOURCE?",
        ),
        ("CAMGATE_PATHS_CAM1_ZEBRA", "test", "CAMGATE_PATHS_CAM1_ZEBRA: unknown variable"),
        ("CAMGATE_PATHS_CAM1", "test", "CAMGATE_PATHS_CAM1: names no key of the path, such as …_SOURCE"),
        ("CAMGATE_PATHS", "test", "CAMGATE_PATHS: is a mapping; name a key of it, as in …PATHS_KEY"),
        (
            "CAMGATE_PATHDEFAULTS_MAXREADRES",
            "1",
            "CAMGATE_PATHDEFAULTS_MAXREADRES: unknown variable, did you mean CAMGATE_PATHDEFAULTS_MAXREADERS?",
        ),
        (
            "CAMGATE_AUTHINTERNALUSERS",
            "bob",
            "CAMGATE_AUTHINTERNALUSERS: is a list; name an entry and its key, as in …_0_KEY",
        ),
        (
            "CAMGATE_AUTHINTERNALUSERS_0",
            "bob",
            "CAMGATE_AUTHINTERNALUSERS_0: is a mapping; name a key of it, as in …_0_KEY",
        ),
        (
            "CAMGATE_AUTHINTERNALUSERS_9_USER",
            "bob",
            "CAMGATE_AUTHINTERNALUSERS_9_USER: leaves a gap: the list has 2 entries so far",
        ),
        (
            "CAMGATE_AUTHINTERNALUSERS_0_USRE",
            "bob",
            "CAMGATE_AUTHINTERNALUSERS_0_USRE: unknown variable, did you mean CAMGATE_AUTHINTERNALUSERS_0_USER?",
        ),
        (
            "CAMGATE_WEBRTCALLOWORIGINS_99999999999999999999",
            "x",
            "CAMGATE_WEBRTCALLOWORIGINS_99999999999999999999: unknown variable",
        ),
        ("CAMGATE_PATHS_A.B_SOURCE_X", "x", "CAMGATE_PATHS_A.B_SOURCE_X: unknown variable"),
        (
            "CAMGATE_PATHS_CAM1_SOURCE",
            "",
            "CAMGATE_PATHS_CAM1_SOURCE: paths.cam1.source: \"\" is no source; write rtsp://…, rtsps://…, test, gst: and a launch line, or publisher",
        ),
    ] {
        assert_eq!(problem("", &[(name, value)]), expected);
    }
    let leak = problem("", &[("CAMGATE_PATHS_CAM1_SOURCE", "rtmp://u:geheim@h")]);
    assert!(!leak.contains("geheim"), "{leak}");
    // A created path's name is checked like one of the file's.
    assert!(problem("", &[("CAMGATE_PATHS_WHEP_SOURCE", "test")]).contains("must not begin"));
}

#[test]
fn mediamtx_variables_that_we_do_not_know() {
    let env = vars(&[
        ("MTX_QUERY", "x"),
        ("MTX_HLSENCRYPTION", "no"),
        ("MTX_PATHS_CAM1_RECORD", "yes"),
        ("MTX_PATHS_CAM1_FORWARD_0_DEST", "x"),
        ("MTX_AUTHHTTPEXCLUDE_0_ACTION", "api"),
    ]);
    let loaded = parse("", None, &env).unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "variables that name no key, they are ignored: MTX_QUERY",
            "keys of MediaMTX's that camgate does not have yet, they are ignored: authHTTPExclude, hlsEncryption, paths.*.forward, paths.*.record",
        ]
    );
    assert!(problem("", &[("MTX_AUTHMETHOD", "jwt")]).contains("not there yet"));
    assert!(problem("", &[("MTX_PATHS_CAM1_READPASS", "x")]).contains("authInternalUsers"));
}

#[test]
fn a_wrong_file_is_reported_and_not_covered_up() {
    assert_eq!(
        problems_with("paths: 3", &[("CAMGATE_PATHS_CAM1_SOURCE", "test")]),
        ["c.yml:1: paths: must be a mapping of path names, not a single value"]
    );
    assert_eq!(
        problems_with("webrtcAdditionalHosts: {}", &[("CAMGATE_WEBRTCADDITIONALHOSTS_0", "x")]),
        ["c.yml:1: webrtcAdditionalHosts: must be a list, not a mapping"]
    );
    assert_eq!(problems_with("authInternalUsers: [3]", &[("CAMGATE_AUTHINTERNALUSERS_0_USER", "x")]).len(), 1);
}

proptest! {
    #![proptest_config(crate::fuzz::cases(2000))]

    #[test]
    fn random_environments(
        vars in proptest::collection::vec((
            "(CAMGATE|MTX)(_(PATHS|PATHDEFAULTS|CAM1|SOURCE|SOURCEONDEMAND|AUTHINTERNALUSERS|USER|PERMISSIONS|ACTION|WEBRTCICESERVERS2|URL|0|1|10|LIMITS|FORWARD|WEBRTCALLOWORIGINS|X|é)){0,6}_?",
            "(\\PC{0,8}|test|yes|rtsp://a|read|any)",
        ), 0..12),
        yaml in "(|paths: 1|authInternalUsers: x|\\{paths: \\{cam1: \\}\\}|paths: \\{cam1: 3\\})",
    ) {
        let _ = parse(&yaml, Some("c.yml"), &vars);
    }
}
