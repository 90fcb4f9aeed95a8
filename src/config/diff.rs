//! What a reload changes. Pure.

use super::Config;

/// The difference between two configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// Entries of `paths` that are new, sorted.
    pub added: Vec<String>,
    /// Entries of `paths` that are gone, sorted.
    pub removed: Vec<String>,
    /// Entries of `paths` of which anything is different, sorted.
    pub changed: Vec<String>,
    /// Global keys whose values differ, in the schema's order. `pathDefaults` is
    /// not among them: what it changes shows in the paths.
    pub globals: Vec<&'static str>,
}

impl Diff {
    /// Whether the two are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty() && self.globals.is_empty()
    }
}

/// What it takes to get from `old` to `new`.
pub fn diff(old: &Config, new: &Config) -> Diff {
    let missing_in = |a: &Config, b: &Config| a.paths.keys().filter(|k| !b.paths.contains_key(*k)).cloned().collect();
    Diff {
        added: missing_in(new, old),
        removed: missing_in(old, new),
        changed: old
            .paths
            .iter()
            .filter(|(name, conf)| new.paths.get(*name).is_some_and(|other| other != *conf))
            .map(|(name, _)| name.clone())
            .collect(),
        globals: old.changed_keys(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    #[test]
    fn only_what_changed() {
        let old = config("{logLevel: info, paths: {a: {source: rtsp://a}, b: {source: rtsp://u:p@b}, '~^c': }}");
        assert!(diff(&old, &old.clone()).is_empty());
        let same = config(
            "{paths: {'~^c': {source: publisher}, b: {source: rtsp://u:p@b}, a: {source: rtsp://a, maxReaders: 0}}}",
        );
        assert!(diff(&old, &same).is_empty());
        let new = config(
            "{logLevel: warn, limits: {sdpSections: 8}, paths: {a: {source: rtsp://a}, b: {source: rtsp://u:q@b}, d: }}",
        );
        assert_eq!(
            diff(&old, &new),
            Diff {
                added: vec!["d".into()],
                removed: vec!["~^c".into()],
                changed: vec!["b".into()],
                globals: vec!["logLevel", "limits"]
            }
        );
    }

    #[test]
    fn defaults_show_in_the_paths_that_have_them() {
        let old = config("{paths: {a: , b: {maxReaders: 2}}}");
        let new = config("{pathDefaults: {maxReaders: 3}, paths: {a: , b: {maxReaders: 2}}}");
        assert_eq!(diff(&old, &new), Diff { changed: vec!["a".into()], ..Diff::default() });
    }
}
