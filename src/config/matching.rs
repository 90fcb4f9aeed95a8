//! Path names, and which entry of the configuration a name belongs to.

use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use super::{Config, PathConf};

/// First segments that mean something else on the HTTP port.
const RESERVED_FIRST: &[&str] =
    &["v3", "ptz", "whep", "whip", "assets", "metrics", "healthz", "readyz", "openapi.json"];
/// Whole names that do.
const RESERVED_WHOLE: &[&str] = &["favicon.ico"];
/// Last segments but one that do: what follows is a session's secret.
const RESERVED_LAST_BUT_ONE: &[&str] = &["whep", "whip"];
/// Last segments that do.
const RESERVED_LAST: &[&str] = &["whep", "whip", "inside", "publish", "snapshot.jpg", "index.m3u8"];
/// The names of the entry for all other paths, as MediaMTX has them.
pub(crate) const CATCH_ALL: &[&str] = &["all_others", "all"];
/// The longest name. Longer ones only fill logs.
const MAX_NAME: usize = 255;

/// A compiled `~regex`. Equal if written the same.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// What a path's name belongs to.
#[derive(Debug, Clone)]
pub struct Match {
    /// The entry's name: the path's own, `~regex` or `all_others`.
    pub conf_name: String,
    /// What the path has; groups (`$G1`) are filled in.
    pub conf: Arc<PathConf>,
}

/// Checks a path's name: letters, digits and `_ . ~ / -`; no empty, `.` or `..`
/// segment; none of the names and segments that have a meaning of their own.
/// The error is a sentence.
pub fn valid_path_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("A path name must not be empty.".into());
    }
    if name.len() > MAX_NAME {
        return Err(format!("A path name must not be longer than {MAX_NAME} characters."));
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.~/-".contains(&b)) {
        return Err("A path name consists of letters, digits and the characters _ . ~ / - only.".into());
    }
    if RESERVED_WHOLE.contains(&name) {
        return Err(format!("A path must not be called {name:?}, which has a meaning of its own."));
    }
    let (mut last_but_one, mut last) = ("", "");
    for (i, segment) in name.split('/').enumerate() {
        match segment {
            "" => {
                return Err("A path name must not begin or end with a slash, nor have two in a row.".into());
            }
            "." | ".." => return Err("A path name must not have a segment \".\" or \"..\".".into()),
            _ if i == 0 && RESERVED_FIRST.contains(&segment) => {
                return Err(format!("A path name must not begin with {segment:?}, which has a meaning of its own."));
            }
            _ => (last_but_one, last) = (last, segment),
        }
    }
    if is_hls_name(last) {
        return Err("A path name must not end like a segment of HLS (hls-….mp4).".into());
    }
    if RESERVED_LAST.contains(&last) {
        return Err(format!("A path name must not end with {last:?}, which has a meaning of its own."));
    }
    if RESERVED_LAST_BUT_ONE.contains(&last_but_one) {
        return Err(format!(
            "A path name must not have {last_but_one:?} before its last segment, where it has a meaning of its own."
        ));
    }
    Ok(())
}

/// Whether the last segment of a URL is what an HLS playlist of ours names.
pub fn is_hls_name(segment: &str) -> bool {
    segment.starts_with("hls-") && [".m3u8", ".mp4", ".ts"].iter().any(|end| segment.ends_with(end))
}

/// Compiles a regular expression of the operator's. Names are ASCII and so are
/// `\d`, `\w` and `.` (as in Go), which compiles several times faster; what needs
/// Unicode gets it. The bound keeps a few characters from becoming megabytes.
pub(crate) fn compile(regex: &str) -> Result<Regex, String> {
    let build = |unicode: bool| RegexBuilder::new(regex).unicode(unicode).size_limit(1 << 20).build();
    build(false).or_else(|_| build(true)).map_err(|e| {
        // The last line says what is wrong; those before it draw where.
        let text = e.to_string();
        let line = text.lines().last().unwrap_or_default();
        format!("is no regular expression: {}", line.trim_start_matches("error: "))
    })
}

impl Pattern {
    /// Compiles the regular expression behind a `~`.
    pub(crate) fn new(regex: &str) -> Result<Self, String> {
        compile(regex).map(Pattern)
    }

    /// How many groups it has (`$G1`…).
    pub(crate) fn groups(&self) -> usize {
        self.0.captures_len().saturating_sub(1)
    }
}

/// Whether an entry's name stands for many paths.
pub(crate) fn is_pattern(conf_name: &str) -> bool {
    conf_name.starts_with('~') || CATCH_ALL.contains(&conf_name)
}

impl Config {
    /// The entry for a path's name, in MediaMTX's order: the exact name, then the
    /// regular expressions sorted by their text (anchored only where they say so),
    /// then `all_others`. None for a name that is invalid or that nothing matches.
    pub fn find(&self, name: &str) -> Option<Match> {
        valid_path_name(name).ok()?;
        // A path may be called `~x`, too; such a key is a regular expression nevertheless.
        if !is_pattern(name)
            && let Some(conf) = self.paths.get(name)
        {
            return Some(Match { conf_name: name.to_owned(), conf: conf.clone() });
        }
        // `~` sorts behind everything else that a name may begin with.
        for (conf_name, conf) in self.paths.range("~".to_owned()..) {
            let Some(captures) = conf.pattern.as_ref().and_then(|p| p.0.captures(name.as_bytes())) else {
                continue;
            };
            let groups: Vec<&str> = captures
                .iter()
                .skip(1)
                // The name is ASCII, so that every part of it is a text.
                .map(|g| g.and_then(|g| std::str::from_utf8(g.as_bytes()).ok()).unwrap_or(""))
                .collect();
            return matched(conf_name, conf, &groups);
        }
        CATCH_ALL
            .iter()
            .find_map(|name| self.paths.get_key_value(*name))
            .and_then(|(conf_name, conf)| matched(conf_name, conf, &[]))
    }
}

fn matched(conf_name: &str, conf: &Arc<PathConf>, groups: &[&str]) -> Option<Match> {
    let grouped = |s: &super::Substream| s.names_group(groups.len());
    let named = conf.source.names_group(groups.len())
        || conf.substream.as_ref().is_some_and(grouped)
        || conf.ptz.names_group(groups.len());
    let conf = match named {
        false => conf.clone(),
        true => Arc::new(PathConf {
            source: conf.source.expand(groups)?,
            // Without one the path is still a path.
            substream: conf.substream.as_ref().and_then(|s| s.expand(groups)),
            ptz: conf.ptz.expand(groups),
            ..(**conf).clone()
        }),
    };
    Some(Match { conf_name: conf_name.to_owned(), conf })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::config::{RtspUrl, Source};
    use proptest::prelude::*;

    #[test]
    fn names() {
        for name in [
            "cam1",
            "a/b/c",
            "A-b_c.d~e",
            "~x",
            "v3x/cam",
            "cam/v3",
            "whepx",
            "all_others",
            "...",
            "publish/cam",
            "cam/favicon.ico",
            "favicon.ico/cam",
            "a/whep/b/c",
            "a/whip/b/c",
            "a/whepx/b",
            "a/inside/b",
        ] {
            assert_eq!(valid_path_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "../a",
            "a b",
            "ä",
            "a%20b",
            "a?b",
            "a\n",
            "v3",
            "v3/x",
            "ptz/a",
            "whep/cam",
            "cam/whep",
            "whip",
            "cam/inside",
            "publish",
            "a/index.m3u8",
            "assets/x",
            "metrics",
            "healthz",
            "readyz",
            "openapi.json",
            "favicon.ico",
            "a/whep/b",
            "a/b/whip/c",
        ] {
            assert!(valid_path_name(name).is_err(), "{name}");
        }
        assert!(valid_path_name(&"a".repeat(255)).is_ok());
        assert!(valid_path_name(&"a".repeat(256)).is_err());
    }

    #[test]
    fn expressions() {
        for regex in ["", "^cam(\\d+)$", "(?i)CAM", "^\\p{L}$", "ä", ".*"] {
            assert!(compile(regex).is_ok(), "{regex}");
        }
        for (regex, part) in
            [("(", "unclosed"), ("a{1000}{1000}", "size limit"), ("\\1", "backreferences"), ("*", "missing expression")]
        {
            let message = compile(regex).unwrap_err();
            assert!(message.contains(part) && !message.contains('\n'), "{regex}: {message}");
        }
        assert!(compile(&"(".repeat(100_000)).is_err());
    }

    fn found(config: &Config, name: &str) -> Option<(String, String)> {
        config.find(name).map(|m| (m.conf_name, m.conf.source.to_string()))
    }

    #[test]
    fn exact_then_regex_then_all_others() {
        let c = config(
            "paths:
               cam1: {source: rtsp://one}
               '~^cam([0-9]+)$': {source: 'rtsp://h-$G1/s/$G1?x=$G1', sourceOnDemand: yes}
               '~^b': {source: rtsp://b, sourceOnDemand: yes}
               '~^bb': {source: rtsp://bb, sourceOnDemand: yes}
               all_others: {source: test, sourceOnDemand: yes}",
        );
        let is = |name: &str, conf: &str, source: &str| {
            assert_eq!(found(&c, name), Some((conf.into(), source.into())), "{name}")
        };
        is("cam1", "cam1", "rtsp://one");
        is("cam2", "~^cam([0-9]+)$", "rtsp://h-2/s/2?x=2");
        is("cam10", "~^cam([0-9]+)$", "rtsp://h-10/s/10?x=10");
        is("bbb", "~^b", "rtsp://b");
        is("cam2x", "all_others", "test");
        is("all_others", "all_others", "test");
        is("~c", "all_others", "test");
        assert_eq!(found(&c, "a/../b"), None);
        assert_eq!(found(&c, "cam1/whep"), None);
    }

    #[test]
    fn nothing_matches_without_an_entry() {
        let c = config("paths: {cam1: , '~^x$': }");
        assert_eq!(found(&c, "cam2"), None);
        assert_eq!(found(&c, "x").unwrap().1, "publisher");
    }

    #[test]
    fn a_name_cannot_move_the_host_or_climb() {
        let c = config("paths: {'~^(.+)$': {source: 'rtsp://$G1.cams.lan/x', sourceOnDemand: yes}}");
        assert_eq!(found(&c, "gate").unwrap().1, "rtsp://gate.cams.lan/x");
        assert_eq!(found(&c, "evil.example/x"), None);
        let c = config("paths: {'~^v(.+)$': {source: 'rtsp://h/live/$G1', sourceOnDemand: yes}}");
        assert_eq!(found(&c, "va/b").unwrap().1, "rtsp://h/live/a/b");
        assert_eq!(found(&c, "v../x"), None);
        assert_eq!(found(&c, "v.."), None);
    }

    #[test]
    fn credentials_take_groups_too() {
        let c = config("paths: {'~^(a)?(.)$': {source: 'rtsp://u$G2:p$G1$G2@h/$G', sourceOnDemand: yes}}");
        let Some(Source::Rtsp(RtspUrl { user, password, rest, .. })) = c.find("x").map(|m| m.conf.source.clone())
        else {
            panic!()
        };
        assert_eq!(user.as_deref(), Some("ux"));
        assert_eq!(password.unwrap().expose(), "px");
        assert_eq!(rest, "/$G");
    }

    proptest! {
        #[test]
        fn find_never_panics(name in "\\PC*", like in "[a-c0-9/.~_-]{0,12}") {
            let c = config("paths: {a: {source: test}, '~^(.*)b(.*)$': {source: 'rtsp://$G1/$G2', sourceOnDemand: yes}, all: }");
            let _ = c.find(&name);
            let matched = c.find(&like);
            prop_assert_eq!(matched.is_some() || like.contains('b'), valid_path_name(&like).is_ok() || like.contains('b'));
        }
    }
}
