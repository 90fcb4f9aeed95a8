//! File and environment become a [`Config`], or the list of all that is wrong.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::matching::{Pattern, is_pattern, valid_path_name};
use super::problem::{At, Problem};
use super::schema::{Cx, Field, Shape, read_into};
use super::source::Source;
use super::yaml::{self, Entry, Node, Value};
use super::{Config, PathConf, PtzDriver, WebrtcEngine, env, substream};

pub use super::env::RESERVED_VARIABLES;

/// The largest file read, in bytes. 5,000 paths with every key set are a quarter.
const MAX_FILE: u64 = 8 << 20;

/// A configuration that is fine, and what the operator should know about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Sentences for the log.
    pub warnings: Vec<String>,
}

/// The top level's keys: the table's, and the two that hold paths.
pub(crate) const CONFIG_KEYS: &[Field] = &with_paths(Config::KEYS);

const fn with_paths(table: &[Field]) -> [Field; Config::KEYS.len() + 2] {
    let mut all = [Field { name: "pathDefaults", shape: Shape::Fields(PathConf::KEYS) }; Config::KEYS.len() + 2];
    let mut i = 0;
    while i < table.len() {
        all[i] = table[i];
        i += 1;
    }
    all[table.len() + 1] = Field { name: "paths", shape: Shape::Paths(PathConf::KEYS) };
    all
}

/// What runs when nobody configured anything: one path `test`, so that the page
/// shows video at once.
const EMBEDDED: &str = "paths: {test: {source: test, sourceOnDemand: yes}}";

/// The configuration for when none is at hand.
pub fn embedded() -> Config {
    // A test reads EMBEDDED, so that the default is never what is returned.
    parse(EMBEDDED, None, &[]).map(|loaded| loaded.config).unwrap_or_default()
}

/// Reads the configuration: `file`, then the variables of `env` (name, value) over
/// it. Without a file, and if the environment names no path either, there is the
/// path `test` of [`embedded`]. Whole or not at all; the error holds every problem
/// that was found, in the file's order.
pub fn load(file: Option<&Path>, env: &[(String, String)]) -> Result<Loaded, Vec<Problem>> {
    let Some(file) = file else {
        let loaded = parse("", None, env)?;
        if loaded.config.paths.is_empty() {
            return parse(EMBEDDED, None, env);
        }
        return Ok(loaded);
    };
    let name = file.display().to_string();
    let text = read(file).map_err(|message| {
        let mut problem = Problem::new(&At::Nowhere, "", message);
        problem.file = Some(name.clone());
        vec![problem]
    })?;
    parse(&text, Some(&name), env)
}

fn read(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|f| f.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|e| format!("cannot be read: {e}"))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("is larger than {} MiB", MAX_FILE >> 20));
    }
    String::from_utf8(bytes).map_err(|e| {
        let line = 1 + e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        format!("is not UTF-8 (line {line})")
    })
}

/// The same for a text; `name` is what problems call it.
pub fn parse(text: &str, name: Option<&str>, env: &[(String, String)]) -> Result<Loaded, Vec<Problem>> {
    let mut cx = Cx::default();
    let mut warnings = Vec::new();
    let mut config = Config::default();

    let yaml::Parsed { root, problems, broken } = yaml::parse(text);
    cx.problems = problems;
    let mut root = root;
    // Lines and names of a broken file's tree would mislead; its variables are
    // looked at, for their own problems.
    if broken {
        root = Node::default();
    }
    env::apply(&mut root, env, &mut cx, &mut warnings);
    read_into(&mut config, &root, &mut cx);
    if let Some(entry) = root.entry("pathDefaults") {
        cx.within("pathDefaults", |cx| read_into(&mut config.path_defaults, &entry.node, cx));
        if let (Some(_), Some(key)) = (config.path_defaults.substream.take(), entry.node.entry("substream")) {
            let message = "belongs to a path; here it would be that of all of them";
            cx.within("pathDefaults", |cx| cx.within("substream", |cx| cx.problem(&key.at, message)));
        }
    }
    if let Some(entry) = root.entry("paths") {
        cx.within("paths", |cx| read_paths(&mut config, &entry.node, cx));
        substream::resolve(&mut config, &root, &mut cx);
    }
    check_engine(&config, &root, &mut cx);

    if !cx.not_yet.is_empty() {
        let keys: Vec<&str> = cx.not_yet.iter().map(String::as_str).collect();
        let (are, them) = if keys.len() == 1 { ("a key", "it is") } else { ("keys", "they are") };
        warnings
            .push(format!("{are} of MediaMTX's that camgate does not have yet, {them} ignored: {}", keys.join(", ")));
    }
    if !cx.old_names.is_empty() {
        let names: Vec<String> = cx.old_names.iter().map(|(old, new)| format!("{old} is called {new} now")).collect();
        warnings.push(format!("old names of MediaMTX's keys are ignored: {}", names.join(", ")));
    }
    if cx.problems.is_empty() {
        return Ok(Loaded { config, warnings });
    }
    let mut problems = cx.problems;
    // Stable, so that problems of one line keep the order in which they were found.
    problems.sort_by_key(|p| (p.variable.is_some(), p.line));
    for problem in &mut problems {
        if problem.variable.is_none() {
            problem.file = name.map(str::to_owned);
        }
    }
    Err(problems)
}

/// The shared engine has to listen somewhere.
fn check_engine(config: &Config, root: &Node, cx: &mut Cx) {
    const KEY: &str = "webrtcLocalUDPAddress";
    let listens = !(config.webrtc_local_udp_address.is_empty() && config.webrtc_local_tcp_address.is_empty());
    if !listens && config.uses_engine(WebrtcEngine::Shared) {
        let at = root.entry(KEY).map_or(At::Nowhere, |e| e.at.clone());
        let message = "must not be empty when webrtcLocalTCPAddress is, and a path has webrtcEngine: shared";
        cx.within(KEY, |cx| cx.problem(&at, message));
    }
}

fn read_paths(config: &mut Config, node: &Node, cx: &mut Cx) {
    let map = match &node.value {
        Value::Map(map) => map,
        Value::Null => return,
        _ => {
            return cx.problem(&node.at, format!("must be a mapping of path names, not {}", node.kind()));
        }
    };
    for (name, entry) in map.iter() {
        let conf = cx.within(name, |cx| read_path(&config.path_defaults, name, entry, cx));
        config.paths.insert(name.clone(), Arc::new(conf));
    }
}

fn read_path(defaults: &PathConf, name: &str, entry: &Entry, cx: &mut Cx) -> PathConf {
    let mut conf = defaults.clone();
    match name.strip_prefix('~') {
        Some(regex) => match Pattern::new(regex) {
            Ok(pattern) => conf.pattern = Some(pattern),
            Err(message) => cx.problem(&entry.at, format!("the part behind \"~\" {message}")),
        },
        None if is_pattern(name) => {}
        None => {
            if let Err(message) = valid_path_name(name) {
                cx.problem(&entry.at, message);
            }
        }
    }
    let before = cx.problems.len();
    read_into(&mut conf, &entry.node, cx);
    if cx.problems.len() == before {
        check_path(&conf, name, entry, cx);
    }
    conf
}

/// What no single key can tell.
fn check_path(conf: &PathConf, name: &str, entry: &Entry, cx: &mut Cx) {
    // Where the key is written; what comes from pathDefaults is shown at the path.
    let at = |key: &str| entry.node.entry(key).map_or(&entry.at, |e| &e.at).clone();
    // Elsewhere than in a pattern `$G1` may be part of a password, and stays.
    if is_pattern(name) {
        let groups = conf.pattern.as_ref().map_or(0, Pattern::groups);
        if let Some(group) = conf.source.unknown_group(groups) {
            let message = format!("names the group {group}, and the pattern has {groups}");
            cx.within("source", |cx| cx.problem(&at("source"), message));
        }
    } else if matches!(&conf.source, Source::Rtsp(url) if url.host.contains('$')) {
        cx.within("source", |cx| {
            cx.problem(&at("source"), "has a group in its host; only a path \"~regex\" has groups")
        });
    }
    check_ptz(conf, name, entry, cx);
    if is_pattern(name) && conf.source.is_static() && !conf.source_on_demand {
        let message = "a path that stands for many, with a source of its own, needs sourceOnDemand: yes";
        cx.within("sourceOnDemand", |cx| cx.problem(&at("source"), message));
    }
    if !conf.source.is_static() && conf.source_on_demand && entry.node.given("sourceOnDemand") {
        cx.within("sourceOnDemand", |cx| {
            cx.problem(&at("sourceOnDemand"), "is of no use when the source is a publisher")
        });
    }
}

/// What only path and `ptz` together can tell.
fn check_ptz(conf: &PathConf, name: &str, entry: &Entry, cx: &mut Cx) {
    // What pathDefaults says of all paths need not fit each one.
    let Some(key) = entry.node.entry("ptz").filter(|key| key.node.given("driver")) else { return };
    let groups = conf.pattern.as_ref().map_or(0, Pattern::groups);
    let problem = match (conf.ptz.unknown_group(groups), &conf.ptz.url) {
        (Some(group), _) if is_pattern(name) => format!("names the group {group}, and the pattern has {groups}"),
        (_, Some(url)) if !is_pattern(name) && url.host.contains('$') => {
            "has a group in its host; only a path \"~regex\" has groups".into()
        }
        _ => match conf.ptz.target(&conf.source) {
            Err(reason) if conf.ptz.driver != PtzDriver::None => format!("cannot be: {reason}"),
            _ => return,
        },
    };
    cx.within("ptz", |cx| cx.problem(&key.at, problem));
}
