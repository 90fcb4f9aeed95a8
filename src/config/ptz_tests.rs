use super::*;
use crate::config::Config;
use crate::config::tests::{config, config_with, problems_with};

#[track_caller]
fn target(config: &Config, name: &str) -> PtzTarget {
    let conf = config.find(name).unwrap().conf;
    conf.ptz.target(&conf.source).unwrap()
}

#[test]
fn all_but_the_driver_follows_from_the_source() {
    let c = config(
        "{paths: {gate: {source: 'rtsp://u:hush@10.0.0.5:8554/Streaming/Channels/202?x=1', ptz: {driver: hikvision}}}}",
    );
    let t = target(&c, "gate");
    assert_eq!((t.origin().as_str(), t.user.as_str(), t.password.expose()), ("http://10.0.0.5:80", "u", "hush"));
    assert_eq!((t.channel, t.move_timeout, t.allow_special_presets), (2, Duration::from_secs(2), false));
    assert!(!format!("{c:?}{t:?}").contains("hush"));
    for (rest, want) in [("/Streaming/channels/101", 1), ("/cam", 1), ("/Streaming/Channels/1", 1), ("", 1)] {
        let c = config(&format!("{{paths: {{a: {{source: 'rtsp://h{rest}', ptz: {{driver: auto}}}}}}}}"));
        assert_eq!(target(&c, "a").channel, want, "{rest}");
    }
}

#[test]
fn what_is_said_counts_more_than_the_source() {
    let c = config(
        "paths:
           a: {source: 'rtsp://u:p@h', ptz: {driver: onvif, url: 'https://v:q@[::1]:8443/onvif/', profile: main}}
           b: {source: 'rtsp://u:p@h', ptz: {driver: onvif, url: 'https://k', username: w, password: r, channel: 3}}
           c: {source: test, ptz: {driver: auto, url: 'http://h'}}",
    );
    let t = target(&c, "a");
    assert_eq!((t.origin().as_str(), t.path.as_str()), ("https://[::1]:8443", "/onvif"));
    assert_eq!((t.user.as_str(), t.password.expose(), t.profile.as_str()), ("v", "q", "main"));
    let t = target(&c, "b");
    assert_eq!((t.origin().as_str(), t.user.as_str(), t.password.expose()), ("https://k:443", "w", "r"));
    assert_eq!(t.channel, 3);
    assert_eq!(target(&c, "c").user, "");
}

#[test]
fn a_path_that_cannot_be_steered_says_why() {
    let c = config("{pathDefaults: {ptz: {driver: auto}}, paths: {a: {source: test}, b: {ptz: {driver: none}}}}");
    let why = |name: &str| c.paths[name].ptz.target(&c.paths[name].source).unwrap_err();
    assert!(why("a").contains("ptz.url"), "{}", why("a"));
    assert!(why("b").contains("ptz.driver"), "{}", why("b"));
    // Said at the path itself it is a mistake.
    let p = problems_with("paths:\n  a:\n    source: test\n    ptz:\n      driver: onvif\n", &[]);
    assert_eq!(p.len(), 1, "{p:?}");
    assert!(p[0].starts_with("c.yml:4: paths.a.ptz: ") && p[0].contains("ptz.url"), "{}", p[0]);
}

#[test]
fn path_defaults_are_merged_key_by_key() {
    let c = config(
        "{pathDefaults: {ptz: {moveTimeout: 1s, invertPan: yes}},
          paths: {a: {source: rtsp://h, ptz: {driver: onvif}}, b: {source: rtsp://h, ptz: {driver: auto, invertPan: no}}}}",
    );
    assert_eq!((target(&c, "a").move_timeout, target(&c, "a").invert_pan), (Duration::from_secs(1), true));
    assert!(!target(&c, "b").invert_pan);
}

#[test]
fn a_substream_of_a_url_is_not_steered_beside_its_parent() {
    let c = config("{paths: {a: {source: rtsp://h/1, substream: rtsp://h/2, ptz: {driver: auto}}}}");
    assert_eq!((c.paths["a"].ptz.driver, c.paths["a/sub"].ptz.driver), (PtzDriver::Auto, PtzDriver::None));
}

#[test]
fn groups_are_filled_in_part_by_part() {
    let c = config(
        "paths:
           '~^cam([0-9a-z.-]+)$': {source: 'rtsp://10.0.0.$G1/x', sourceOnDemand: yes, ptz: {driver: hikvision}}
           '~^via/(.+)$': {ptz: {driver: onvif, url: 'http://$G1/x', password: 'p$G1'}}",
    );
    assert_eq!(target(&c, "cam7").host, "10.0.0.7");
    let t = target(&c, "via/host-9");
    assert_eq!((t.host.as_str(), t.password.expose(), t.path.as_str()), ("host-9", "phost-9", "/x"));
    // A name cannot move what is behind the host.
    for name in ["via/a/b", "via/a..b/../c"] {
        let found = c.find(name);
        assert!(found.is_none_or(|f| f.conf.ptz.target(&f.conf.source).is_err()), "{name}");
    }
    let p = problems_with("paths:\n  '~^a(.)$':\n    ptz: {driver: auto, url: 'http://h$G2'}\n", &[]);
    assert!(p.len() == 1 && p[0].contains("$G2"), "{p:?}");
    let p = problems_with("paths:\n  a:\n    ptz: {driver: auto, url: 'http://h$G1'}\n", &[]);
    assert!(p.len() == 1 && p[0].contains("group"), "{p:?}");
}

#[test]
fn bad_values_are_told_at_their_key_and_not_repeated() {
    for (key, value, says) in [
        ("driver", "hik", "none, hikvision, onvif, auto"),
        ("url", "rtsp://u:hush@h", "http://"),
        ("url", "http://u:hush@h/x?y=1", "query"),
        ("url", "http://u:hush@h:x", "port"),
        ("moveTimeout", "0s", "50ms to 60s"),
        ("moveTimeout", "61s", "50ms to 60s"),
        ("fingerprint", "ab", "64"),
        ("chanel", "1", "did you mean \"channel\""),
    ] {
        let yaml = format!("paths:\n  a:\n    source: rtsp://h\n    ptz:\n      {key}: '{value}'\n");
        let p = problems_with(&yaml, &[]);
        assert_eq!(p.len(), 1, "{p:?}");
        assert!(p[0].starts_with(&format!("c.yml:5: paths.a.ptz.{key}: ")), "{}", p[0]);
        assert!(p[0].contains(says) && !p[0].contains("hush"), "{}", p[0]);
    }
}

#[test]
fn the_environment_reaches_every_key() {
    let c = config_with(
        "{paths: {gate/one: {source: rtsp://h}}}",
        &[
            ("CAMGATE_PATHS_GATE_ONE_PTZ_DRIVER", "onvif"),
            ("CAMGATE_PATHS_GATE_ONE_PTZ_PASSWORD", "hush"),
            ("CAMGATE_PATHDEFAULTS_PTZ_MOVETIMEOUT", "3s"),
            ("CAMGATE_PATHS_CAM_PTZ_SOURCE", "test"),
        ],
    );
    let t = target(&c, "gate/one");
    assert_eq!((t.driver, t.password.expose(), t.move_timeout), (PtzDriver::Onvif, "hush", Duration::from_secs(3)));
    assert_eq!(c.paths["cam_ptz"].source, Source::Test);
    let p = problems_with("paths: {a: {source: test}}", &[("CAMGATE_PATHS_A_PTZ_DRIVR", "onvif")]);
    assert!(p.len() == 1 && p[0].contains("PATHS_A_PTZ_DRIVER"), "{p:?}");
}
