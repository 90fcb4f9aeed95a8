//! `substream`: the small picture of a camera, which the wall plays in place of the
//! path's own. Either another path by its name, or the camera's other URL, which then
//! makes a path of its own: `NAME/sub`, ordinary in every other way.

use std::fmt;
use std::sync::Arc;

use super::groups::{Part, expand, parts};
use super::matching::{is_pattern, valid_path_name};
use super::problem::{nearest, shown};
use super::schema::{Cx, FromNode};
use super::source::{RtspUrl, Source};
use super::yaml::{Node, Value};
use super::{Config, PathConf, Ptz};

/// What a path of a URL is called behind its parent's name.
const SUFFIX: &str = "/sub";

/// What is played in place of a path where small pictures do. Debug shows no
/// credentials.
#[derive(Clone, PartialEq, Eq)]
pub enum Substream {
    /// Another path. In a `~regex` path its name may hold `$G1`….
    Path(String),
    /// Another stream of the camera.
    Url(RtspUrl),
}

impl Substream {
    /// Reads the value of `substream`. The error continues "VALUE …" and holds no
    /// credentials.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains("://") {
            return RtspUrl::parse(text).map(Substream::Url);
        }
        // How many groups there are is known only at the path.
        let plain: String = parts(text, usize::MAX)
            .map(|part| match part {
                Part::Literal(text) => text,
                Part::Group(_) | Part::Unknown(_) => "x",
            })
            .collect();
        match valid_path_name(&plain) {
            Ok(()) => Ok(Substream::Path(text.to_owned())),
            Err(reason) => Err(format!("is neither the name of a path nor rtsp://… or rtsps://…: {reason}")),
        }
    }

    /// The name of the path that it stands for, at the path `own`.
    pub fn path_name(&self, own: &str) -> String {
        match self {
            Substream::Path(name) => name.clone(),
            Substream::Url(_) => format!("{own}{SUFFIX}"),
        }
    }

    /// Whether any of `groups` groups is named.
    pub(crate) fn names_group(&self, groups: usize) -> bool {
        matches!(self, Substream::Path(name) if parts(name, groups).any(|part| matches!(part, Part::Group(_))))
    }

    /// The same with `$G1`… replaced. None where that is no name of a path.
    pub(crate) fn expand(&self, groups: &[&str]) -> Option<Self> {
        match self {
            Substream::Url(_) => Some(self.clone()),
            Substream::Path(name) => {
                let name = expand(name, groups);
                valid_path_name(&name).ok().map(|()| Substream::Path(name))
            }
        }
    }
}

/// Empty unsets it.
impl FromNode for Option<Substream> {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        // Not `parsed`, for the reason that `Source` has: a broken URL is not repeated.
        let text = cx.text(node, "the name of a path or a URL such as rtsp://…")?;
        if text.is_empty() {
            return Some(None);
        }
        match Substream::parse(text) {
            Ok(substream) => Some(Some(substream)),
            Err(message) => {
                let what = if text.contains(['@', ':']) { "this".to_owned() } else { shown(text) };
                cx.problem(&node.at, format!("{what} {message}"));
                None
            }
        }
    }
}

impl fmt::Debug for Substream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Substream::Path(name) => f.write_str(name),
            Substream::Url(url) => url.fmt(f),
        }
    }
}

/// What can be said once all paths are known: makes the paths of URLs, and checks that
/// names lead somewhere. `root` is the whole tree.
pub(crate) fn resolve(config: &mut Config, root: &Node, cx: &mut Cx) {
    let defaults = root.entry("pathDefaults").map(|entry| &entry.node);
    let Some(Value::Map(map)) = root.entry("paths").map(|entry| &entry.node.value) else { return };
    let known = config.paths.clone();
    let with: Vec<_> = map
        .iter()
        .filter_map(|(name, entry)| {
            let conf = known.get(name)?;
            Some((name, entry, conf, conf.substream.as_ref()?))
        })
        .collect();
    let mut tell = |name: &str, at: &super::problem::At, message: String| {
        cx.within("paths", |cx| cx.within(name, |cx| cx.within("substream", |cx| cx.problem(at, message))));
    };
    let place = |entry: &super::yaml::Entry| entry.node.entry("substream").map_or(&entry.at, |e| &e.at).clone();
    for (name, entry, conf, substream) in &with {
        let Substream::Url(url) = substream else { continue };
        let sub = substream.path_name(name);
        if is_pattern(name) {
            let message = "is a URL, and the path stands for many; name a path here, as in small/$G1".to_owned();
            tell(name, &place(entry), message);
        } else if url.host.contains('$') {
            tell(name, &place(entry), "has a group in its host; only a path \"~regex\" has groups".into());
        } else if known.contains_key(&sub) {
            let message = format!(
                "makes the path {sub:?} beside {name:?}, and there is one of this name; write substream: {sub} to \
                 mean that one, or call it otherwise"
            );
            tell(name, &place(entry), message);
        } else if let Err(message) = valid_path_name(&sub) {
            tell(name, &place(entry), format!("makes the path {sub:?}: {message}"));
        } else {
            let said = |node: &Node| node.given("sourceOnDemand");
            let said = said(&entry.node) || defaults.is_some_and(said);
            let small = PathConf {
                source: Source::Rtsp(url.clone()),
                substream: None,
                // One camera, steered by one path.
                ptz: Ptz::default(),
                // Nobody wants the small picture but who looks at the wall.
                source_on_demand: !said || conf.source_on_demand,
                ..PathConf::clone(conf)
            };
            config.paths.insert(sub, Arc::new(small));
        }
    }
    for (name, entry, conf, substream) in &with {
        let Substream::Path(sub) = substream else { continue };
        let groups = conf.pattern.as_ref().map_or(0, super::Pattern::groups);
        let unknown = parts(sub, groups).find_map(|part| match part {
            Part::Unknown(group) => Some(group.to_owned()),
            _ => None,
        });
        if sub == *name {
            tell(name, &place(entry), "names the path itself; name one with a smaller picture".into());
        } else if let Some(group) = unknown {
            tell(name, &place(entry), format!("names the group {group}, and the path has {groups}"));
        } else if !substream.names_group(groups) && config.find(sub).is_none() {
            let mut message = format!("names the path {sub:?}, which is not configured");
            if let Some(near) = nearest(sub, config.paths.keys().map(String::as_str).filter(|key| key != name)) {
                message.push_str(&format!(", did you mean {near:?}?"));
            }
            tell(name, &place(entry), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{config, config_with, problems_with};
    use crate::config::{Transport, diff};

    #[track_caller]
    fn problem(yaml: &str) -> String {
        let problems = problems_with(yaml, &[]);
        assert_eq!(problems.len(), 1, "{problems:#?}");
        problems[0].clone()
    }

    #[test]
    fn a_url_makes_a_path_like_its_parent_and_on_demand() {
        let c = config(
            "{pathDefaults: {rtspTransport: tcp}, paths: {
               gate: {source: 'rtsp://u:hush@h/1', maxReaders: 3, substream: 'rtsp://u:hush@h/2'}}}",
        );
        let sub = &c.paths["gate/sub"];
        assert_eq!(sub.source.to_string(), "rtsp://***@h/2");
        assert_eq!((sub.rtsp_transport, sub.max_readers, sub.source_on_demand), (Transport::Tcp, 3, true));
        assert!(sub.substream.is_none() && !c.paths["gate"].source_on_demand);
        let name = c.paths["gate"].substream.as_ref().map(|s| s.path_name("gate"));
        assert_eq!(name.as_deref(), Some("gate/sub"));
        assert!(!format!("{c:?}").contains("hush"));
    }

    #[test]
    fn source_on_demand_is_inherited_where_it_is_said() {
        for (yaml, want) in [
            ("{paths: {a: {source: rtsp://h, sourceOnDemand: no, substream: rtsp://s}}}", false),
            ("{paths: {a: {source: rtsp://h, sourceOnDemand: yes, substream: rtsp://s}}}", true),
            ("{pathDefaults: {sourceOnDemand: no}, paths: {a: {source: rtsp://h, substream: rtsp://s}}}", false),
        ] {
            assert_eq!(config(yaml).paths["a/sub"].source_on_demand, want, "{yaml}");
        }
    }

    #[test]
    fn a_name_must_lead_to_another_path() {
        let c = config("{paths: {a: {source: test, substream: b}, b: {source: test}, c: {substream: }}}");
        assert_eq!(c.paths["a"].substream, Some(Substream::Path("b".into())));
        assert_eq!(c.paths["c"].substream, None);
        // A pattern's, and one that another's URL makes.
        config("{paths: {a: {source: test, substream: small/1}, '~^small/': {source: test, sourceOnDemand: yes}}}");
        config("{paths: {a: {source: test, substream: b/sub}, b: {source: rtsp://h, substream: rtsp://s}}}");
        let p = problem("paths:\n  a:\n    source: test\n    substream: a\n");
        assert!(p.starts_with("c.yml:4: paths.a.substream: ") && p.contains("itself"), "{p}");
        let p = problem("paths:\n  gate:\n    substream: yord\n  yard:\n    source: test\n");
        assert!(p.starts_with("c.yml:3: paths.gate.substream: ") && p.contains("did you mean \"yard\"?"), "{p}");
    }

    #[test]
    fn a_path_of_this_name_is_named_with_it() {
        let p = problem("paths:\n  a:\n    source: rtsp://h\n    substream: rtsp://u:hush@s\n  a/sub:\n");
        assert!(p.starts_with("c.yml:4: paths.a.substream: ") && p.contains("\"a/sub\"") && p.contains("\"a\""), "{p}");
        assert!(!p.contains("hush"));
    }

    #[test]
    fn patterns_name_paths_by_their_groups() {
        let c = config(
            "paths:
               '~^rec/(.+)$': {source: 'rtsp://h/$G1', sourceOnDemand: yes, substream: small/$G1}
               '~^small/(.+)$': {source: 'rtsp://s/$G1', sourceOnDemand: yes}",
        );
        assert_eq!(c.find("rec/7").unwrap().conf.substream, Some(Substream::Path("small/7".into())));
        assert_eq!(c.find("rec/7").unwrap().conf.source.to_string(), "rtsp://h/7");
        let p = problem("{paths: {'~^rec/(.+)$': {source: rtsp://h, sourceOnDemand: yes, substream: small/$G2}}}");
        assert!(p.contains("$G2"), "{p}");
        let p = problem("{paths: {a: {source: rtsp://h, substream: small/$G1}}}");
        assert!(p.contains("$G1"), "{p}");
        let p = problem("{paths: {'~^rec/(.+)$': {source: rtsp://h, sourceOnDemand: yes, substream: 'rtsp://s/$G1'}}}");
        assert!(p.contains("small/$G1"), "{p}");
    }

    #[test]
    fn what_is_neither_is_refused_without_its_credentials() {
        for text in ["http://u:hush@h/x", "rtsp://u:hush@h:no/x", "u:hush@h", "a//b", "a b", "whep"] {
            let p = problem(&format!("{{paths: {{a: {{source: test, substream: '{text}'}}}}}}"));
            assert!(p.contains("paths.a.substream") && !p.contains("hush"), "{p}");
        }
        let p = problem("pathDefaults:\n  substream: small\npaths:\n  small:\n    source: test\n");
        assert!(p.starts_with("c.yml:2: pathDefaults.substream: "), "{p}");
    }

    #[test]
    fn the_environment_and_a_reload_know_it() {
        let c = config_with(
            "",
            &[("CAMGATE_PATHS_GATE_SOURCE", "rtsp://h/1"), ("CAMGATE_PATHS_GATE_SUBSTREAM", "rtsp://h/2")],
        );
        assert!(c.paths.contains_key("gate/sub"));
        let d = diff(&config("{paths: {gate: {source: 'rtsp://h/1'}}}"), &c);
        assert_eq!((d.added, d.changed), (vec!["gate/sub".to_owned()], vec!["gate".to_owned()]));
    }
}
