//! Arguments and environment.

use crate::options::{Case, Engine, Options, thousands};

fn read(args: &[&str], env: &[(&str, &str)]) -> Result<Options, clap::Error> {
    let args = ["crowd", "--bench"].iter().chain(args).map(|a| a.to_string());
    Options::read(args, |name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()))
}

#[test]
fn everything_by_default() {
    let all = read(&[], &[]).unwrap();
    assert_eq!(all.cases.len(), 11);
    assert_eq!(all.engines, [Engine::Shared, Engine::WebrtcBin]);
    assert_eq!((all.seconds, all.gap, all.pid, all.mediamtx), (20, 30, None, None));
}

#[test]
fn the_environment_counts_where_no_argument_does() {
    let env =
        [("CASES", "1,small"), ("SECONDS", "5"), ("MEDIAMTX", "/opt/mtx"), ("ENGINES", "webrtcbin"), ("JSON", "")];
    let o = read(&["--seconds", "7"], &env).unwrap();
    assert_eq!((o.cases, o.engines, o.seconds), (vec![Case::One(1), Case::Small], vec![Engine::WebrtcBin], 7));
    assert_eq!((o.mediamtx, o.json), (Some("/opt/mtx".into()), "target/bench/crowd.json".into()));
    let o = read(&["--cases=rush"], &env).unwrap();
    assert_eq!(o.cases, [Case::Rush]);
}

#[test]
fn nonsense_is_refused() {
    for bad in [["--cases", "many"], ["--cases", "0"], ["--engines", "fast"], ["--seconds", "0"], ["--pid", "7"]] {
        assert!(read(&bad, &[]).is_err(), "{bad:?}");
    }
    assert!(read(&[], &[("AGAINST_CMD", "true")]).is_err(), "a command without its URL");
}

#[test]
fn plans() {
    let plan = Case::One(1_000).plan(30).unwrap();
    assert_eq!((plan.title.as_str(), plan.paths, plan.viewers, plan.gap), ("1,000", vec!["normal0".into()], 1_000, 30));
    let plan = Case::Wide.plan(30).unwrap();
    assert_eq!((plan.paths.len(), plan.paths[19].as_str(), plan.viewers), (20, "normal19", 200));
    assert_eq!(Case::Rush.plan(30).unwrap().gap, 5);
    assert_eq!(Case::Ingest.plan(30), None);
    assert_eq!(
        (thousands(999), thousands(1_000), thousands(1_234_567)),
        ("999".into(), "1,000".into(), "1,234,567".into())
    );
}
