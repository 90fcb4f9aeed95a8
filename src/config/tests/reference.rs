//! `config/camgate.yml` says what the tables of keys say.

use std::collections::BTreeSet;

use super::*;

const REFERENCE: &str = include_str!("../../../config/camgate.yml");

#[test]
fn the_reference_file_says_the_defaults() {
    let loaded = parse(REFERENCE, Some("camgate.yml"), &[]).unwrap_or_else(|e| panic!("{e:#?}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.config, embedded());
}

#[test]
fn the_reference_file_has_every_key_and_no_other() {
    fn keys(fields: &[schema::Field], into: &mut BTreeSet<String>, at: &str) {
        for field in fields {
            into.insert(format!("{at}{}", field.name));
            if let schema::Shape::Fields(inner) = field.shape {
                keys(inner, into, &format!("{at}{}.", field.name));
            }
        }
    }
    let mut wanted = BTreeSet::new();
    keys(load::CONFIG_KEYS, &mut wanted, "");
    let root = yaml::parse(REFERENCE).root;
    let mut written = BTreeSet::new();
    let yaml::Value::Map(map) = &root.value else { panic!() };
    fn names(map: &yaml::Map, into: &mut BTreeSet<String>, at: &str) {
        for (key, entry) in map.iter() {
            let name = format!("{at}{key}");
            if let (yaml::Value::Map(inner), true) = (&entry.node.value, name != "paths") {
                names(inner, into, &format!("{name}."));
            }
            into.insert(name);
        }
    }
    names(map, &mut written, "");
    assert_eq!(written, wanted);
    // The keys of lists are at least spoken of, each key with a comment above it.
    for field in IceServer::KEYS.iter().chain(User::KEYS).chain(Permission::KEYS) {
        assert!(REFERENCE.contains(&format!("{}:", field.name)), "{}", field.name);
    }
    let lines: Vec<&str> = REFERENCE.lines().collect();
    let paths = lines.iter().position(|line| *line == "paths:").unwrap();
    for (i, line) in lines.iter().enumerate() {
        let key = line.trim_start().split_once(':').map_or("", |(key, _)| key);
        let indent = line.len() - line.trim_start().len();
        let known = wanted.iter().any(|w| w.rsplit('.').next() == Some(key)) && indent <= 2;
        if known || indent == 4 && i < paths && Ptz::KEYS.iter().any(|f| f.name == key) {
            assert!(i > 0 && lines[i - 1].trim_start().starts_with('#'), "line {} lacks a comment", i + 1);
        }
    }
}

#[test]
fn the_examples_in_the_reference_file_are_fine() {
    // Those are the commented-out lines that begin with "#  " below `paths:`.
    let at = REFERENCE.find("\npaths:").unwrap();
    let examples: String =
        REFERENCE[at..].lines().filter_map(|l| l.strip_prefix("#  ")).map(|l| format!("  {l}\n")).collect();
    let c = config(&format!("paths:\n{examples}"));
    assert!(["hikvision", "dahua", "onvif"].iter().all(|name| c.paths.contains_key(*name)), "{:?}", c.paths.keys());
    assert!(c.paths.keys().any(|name| name.starts_with('~')) && c.paths.contains_key("all_others"));
}
