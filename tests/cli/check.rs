//! `camgate check FILE`, and the environment.

use super::support::api::{reason, status, until_state};
use super::support::gateway::Gateway;
use super::{camgate, camgate_in, file};

#[test]
fn a_good_file_is_fine_and_one_that_mediamtx_has_gets_one_warning() {
    let (_dir, name) = file("logLevel: info\npaths:\n  gate:\n    source: rtsp://op:hush-hush@10.0.0.5/a\n");
    let said = camgate(&["check", &name]);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(said.out.contains("fine") && said.err.is_empty(), "{}", said.all());
    let (_dir, name) = file("rtspAddress: :8554\nsrt: no\npaths:\n  gate:\n    source: test\n    record: no\n");
    let said = camgate(&["check", &name]);
    assert_eq!(said.code, 0, "{}", said.all());
    let warnings: Vec<_> = said.out.lines().filter(|l| l.contains("warning")).collect();
    assert_eq!(warnings.len(), 1, "{}", said.out);
    assert!(["rtspAddress", "srt", "record"].iter().all(|k| warnings[0].contains(k)), "{}", said.out);
}

#[test]
fn a_bad_file_is_told_by_file_line_key_and_nearest_key() {
    let text = "logLevel: info\npaths:\n  cam1:\n    sorce: test\n    sourceOnDemand: perhaps\n  cam2:\n    \
                source: rtsp://op:hush-hush@host:notaport/a\n";
    let (_dir, name) = file(text);
    let said = camgate(&["check", &name]);
    assert_eq!(said.code, 1, "{}", said.all());
    assert!(said.out.is_empty());
    // All of them at once.
    for (line, key, words) in [
        (4, "paths.cam1.sorce", "did you mean \"source\""),
        (5, "paths.cam1.sourceOnDemand", "perhaps"),
        (7, "paths.cam2.source", "port"),
    ] {
        let start = format!("{name}:{line}: {key}: ");
        let found = said.err.lines().find(|l| l.starts_with(&start));
        assert!(found.is_some_and(|l| l.contains(words)), "{start}…{words} in\n{}", said.err);
    }
    assert!(!said.all().contains("hush-hush"), "{}", said.all());
    for text in ["paths: [\n", "- a\n- b\n"] {
        let (_dir, name) = file(text);
        let said = camgate(&["check", &name]);
        assert!(said.code == 1 && said.err.contains(&name), "{text:?}: {}", said.all());
    }
    let said = camgate(&["check", "/nonexistent/camgate.yml"]);
    assert!(said.code == 1 && said.err.contains("/nonexistent/camgate.yml"), "{}", said.all());
}

#[test]
fn a_bad_file_starts_nothing() {
    let (_dir, name) = file("paths:\n  cam1:\n    sorce: test\n");
    let said = camgate(&["run", &name]);
    assert_eq!(said.code, 1, "{}", said.all());
    assert!(said.err.contains(&format!("{name}:3:")), "{}", said.all());
    assert!(!said.err.contains("listening"));
    // The same without the word "run", and the usage is the parser's.
    assert_eq!(camgate(&[&name]).code, 1);
    assert_eq!(camgate(&["--no-such-option"]).code, 2);
    assert_eq!(camgate(&["--version"]).code, 0);
    assert_eq!(camgate(&["--help"]).code, 0);
}

#[test]
fn a_bad_variable_is_told_by_its_name() {
    let (dir, name) = file("paths:\n  gate:\n    source: test\n");
    for (variable, value) in [("CAMGATE_LOGLEVLE", "info"), ("CAMGATE_PATHS_GATE_MAXREADERS", "many")] {
        let said = camgate_in(dir.path(), &["check", &name], &[(variable, value)]);
        assert!(said.code == 1 && said.err.contains(variable), "{}", said.all());
    }
}

#[tokio::test]
async fn the_environment_overrides_the_file_and_makes_paths() {
    let gateway = Gateway::start_with(
        "paths:\n  gate:\n    source: publisher\n",
        &[
            ("CAMGATE_PATHS_GATE_SOURCE", "test"),
            ("MTX_PATHS_GATE_SOURCE", "publisher"),
            ("MTX_PATHS_GATE_SOURCEONDEMAND", "yes"),
            ("CAMGATE_PATHS_CAM1_SOURCE", "rtsp://op:hush-hush@127.0.0.1:1/a"),
        ],
    );
    assert_eq!(until_state(&gateway, "gate", "idle").await["onDemand"], true);
    let cam1 = until_state(&gateway, "cam1", "reconnecting").await;
    assert!(reason(&cam1).contains("127.0.0.1:1"), "{cam1}");
    assert!(!gateway.log().iter().any(|l| l.contains("hush-hush")));
    assert_eq!(status(&gateway, "cam2").await, serde_json::Value::Null);
}
