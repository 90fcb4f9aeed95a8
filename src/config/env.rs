//! The environment over the file: `CAMGATE_PATHS_CAM1_SOURCE=rtsp://…`.
//!
//! MediaMTX's rules: the names of the keys in capitals, joined by `_`; lists by
//! comma or by index (`AUTHINTERNALUSERS_0_USER`); a path that the file does not
//! have is created. `MTX_…` is read, too, and `CAMGATE_…` wins. Where MediaMTX's
//! names are ambiguous ours are not: the last part is the key, and what is before
//! it the path, in which `_` also stands for any character that a variable's name
//! cannot have.

use std::collections::HashMap;
use std::sync::Arc;

use super::auth::DEFAULT_USERS;
use super::load::CONFIG_KEYS;
use super::mediamtx;
use super::problem::{At, Problem, nearest};
use super::schema::{Cx, Field, Shape};
use super::yaml::{self, Entry, Map, Node, Value};

/// Variables that are read elsewhere (the command line).
pub const RESERVED_VARIABLES: &[&str] = &["CAMGATE_CONFIG", "CAMGATE_LOG", "CAMGATE_ONVIF_PASSWORD"];

/// What became of one variable.
enum Outcome {
    /// It is in the tree.
    Done,
    /// There is no such key; perhaps this was meant (the rest of the variable's name).
    Unknown(Option<String>),
    /// The key is there, and this is wrong.
    Wrong(String),
}

/// Writes the variables into the tree. Unknown `CAMGATE_` variables are problems,
/// unknown `MTX_` ones (scripts started by a MediaMTX have some) a warning.
pub(crate) fn apply(root: &mut Node, env: &[(String, String)], cx: &mut Cx, warnings: &mut Vec<String>) {
    let mut ignored = Vec::new();
    let mut paths = PathNames::default();
    for prefix in ["MTX_", "CAMGATE_"] {
        let mut vars: Vec<(&str, &str, &str)> = env
            .iter()
            .filter(|(name, _)| !RESERVED_VARIABLES.contains(&name.as_str()))
            .filter_map(|(name, value)| Some((name.as_str(), name.strip_prefix(prefix)?, value.as_str())))
            .collect();
        vars.sort_by_key(|(_, rest, _)| sort_key(rest));
        for (name, rest, value) in vars {
            let at = At::Var(name.into());
            let outcome = set(root, Shape::Fields(CONFIG_KEYS), rest, &Var { at: at.clone(), value }, &mut paths);
            match outcome {
                Outcome::Done => {}
                Outcome::Wrong(message) => cx.problems.push(Problem::new(&at, "", message)),
                Outcome::Unknown(_) if prefix == "MTX_" => ignored.push(name),
                Outcome::Unknown(Some(near)) => {
                    cx.problems.push(Problem::new(&at, "", format!("unknown variable, did you mean {prefix}{near}?")));
                }
                Outcome::Unknown(None) => cx.problems.push(Problem::new(&at, "", "unknown variable")),
            }
        }
    }
    if !ignored.is_empty() {
        warnings.push(format!("variables that name no key, they are ignored: {}", ignored.join(", ")));
    }
}

/// What a variable says, and where.
struct Var<'a> {
    at: At,
    value: &'a str,
}

impl Var<'_> {
    fn scalar(&self, text: &str) -> Node {
        Node::scalar(self.at.clone(), text)
    }
}

/// Parents before children and `_2` before `_10`.
fn sort_key(rest: &str) -> Vec<(u64, String)> {
    // Behind the names, numbers sort by value; one too large for that is wrong anyway.
    rest.split('_').map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
}

/// Writes the value to where `rest` leads from `node`.
fn set(node: &mut Node, shape: Shape, rest: &str, var: &Var<'_>, paths: &mut PathNames) -> Outcome {
    match shape {
        // A scalar has no parts; its parent looked for that.
        Shape::Scalar => {
            *node = var.scalar(var.value);
            Outcome::Done
        }
        Shape::List(item) => set_list(node, *item, rest, var, paths),
        Shape::Fields(fields) => set_field(node, fields, rest, var, paths),
        Shape::Paths(fields) => set_path(node, fields, rest, var, paths),
    }
}

fn set_field(node: &mut Node, fields: &'static [Field], rest: &str, var: &Var<'_>, paths: &mut PathNames) -> Outcome {
    let (part, below) = rest.split_once('_').unwrap_or((rest, ""));
    let whole = rest.len() == part.len();
    let Some(field) = fields.iter().find(|f| capitals(f.name) == part) else {
        let not_yet = if std::ptr::eq(fields, CONFIG_KEYS) { mediamtx::GLOBAL } else { mediamtx::PATH };
        let Some(key) = not_yet.iter().find(|key| capitals(key) == part) else {
            let names: Vec<String> = fields.iter().map(|f| capitals(f.name)).collect();
            let near = nearest(part, names.iter().map(String::as_str));
            return Outcome::Unknown(near.map(|near| if whole { near.to_owned() } else { format!("{near}_{below}") }));
        };
        // Into the tree, so that the file's reader warns of it, or refuses it.
        return with_child(node, key, var, |child| {
            if child.value == Value::Null || whole {
                *child = var.scalar(var.value);
            }
            Outcome::Done
        });
    };
    if whole && matches!(field.shape, Shape::Fields(_) | Shape::Paths(_)) {
        return Outcome::Wrong(format!("is a mapping; name a key of it, as in …{part}_KEY"));
    }
    if !whole && matches!(field.shape, Shape::Scalar) {
        return Outcome::Unknown(Some(part.to_owned()));
    }
    let absent = node.entry(field.name).is_none();
    let outcome = with_child(node, field.name, var, |child| {
        if absent && !whole && field.name == "authInternalUsers" {
            // An index changes the list that counts, and without one that is the default.
            *child = yaml::parse(DEFAULT_USERS).root;
        }
        set(child, field.shape, below, var, paths)
    });
    match outcome {
        Outcome::Unknown(near) => Outcome::Unknown(near.map(|near| format!("{part}_{near}"))),
        other => other,
    }
}

fn set_list(node: &mut Node, item: Shape, rest: &str, var: &Var<'_>, paths: &mut PathNames) -> Outcome {
    let scalars = matches!(item, Shape::Scalar);
    if rest.is_empty() {
        let items = match var.value.trim() {
            "" => Vec::new(),
            value if scalars => value.split(',').map(|part| var.scalar(part.trim())).collect(),
            _ => {
                return Outcome::Wrong("is a list; name an entry and its key, as in …_0_KEY".into());
            }
        };
        *node = Node { at: var.at.clone(), value: Value::List(Arc::new(items)) };
        return Outcome::Done;
    }
    let (index, below) = rest.split_once('_').unwrap_or((rest, ""));
    let Ok(index) = index.parse::<usize>() else {
        return Outcome::Unknown(None);
    };
    if scalars != below.is_empty() {
        return match scalars {
            true => Outcome::Unknown(None),
            false => Outcome::Wrong(format!("is a mapping; name a key of it, as in …_{index}_KEY")),
        };
    }
    if node.value == Value::Null {
        *node = Node { at: var.at.clone(), value: Value::List(Arc::default()) };
    }
    let Value::List(items) = &mut node.value else {
        // The file has something else here, and is told so.
        return Outcome::Done;
    };
    if index > items.len() {
        return Outcome::Wrong(format!("leaves a gap: the list has {} entries so far", items.len()));
    }
    let items = Arc::make_mut(items);
    let added = index == items.len();
    if added {
        items.push(Node { at: var.at.clone(), value: Value::Null });
    }
    let outcome = set(&mut items[index], item, below, var, paths);
    if added && !matches!(outcome, Outcome::Done) {
        items.pop();
    }
    match outcome {
        Outcome::Unknown(near) => Outcome::Unknown(near.map(|near| format!("{index}_{near}"))),
        other => other,
    }
}

/// The names of the paths, by how a variable would write them.
#[derive(Default)]
struct PathNames {
    by_capitals: Option<HashMap<String, Vec<String>>>,
}

impl PathNames {
    /// The paths that `part` may mean.
    fn of(&mut self, map: Option<&Map>, part: &str) -> Vec<String> {
        let names = self.by_capitals.get_or_insert_with(|| {
            let mut names: HashMap<String, Vec<String>> = HashMap::new();
            for name in map.into_iter().flat_map(Map::keys) {
                names.entry(variable_name(name)).or_default().push(name.clone());
            }
            names
        });
        names.get(part).cloned().unwrap_or_default()
    }

    fn add(&mut self, part: &str, name: &str) {
        if let Some(names) = &mut self.by_capitals {
            names.entry(part.to_owned()).or_default().push(name.to_owned());
        }
    }
}

fn set_path(node: &mut Node, fields: &'static [Field], rest: &str, var: &Var<'_>, paths: &mut PathNames) -> Outcome {
    let known = |part: &str| fields.iter().any(|f| capitals(f.name) == part);
    let not_yet = |part: &str| mediamtx::PATH.iter().any(|key| capitals(key) == part);
    // A mapping's key has parts below it (`PTZ_DRIVER`), as those to come may have
    // (`FORWARD_0_DEST`); any other key is the last part.
    let mapping = |key: &str| {
        let below = key.split_once('_');
        below.is_some_and(|(part, _)| {
            fields.iter().any(|f| capitals(f.name) == part && matches!(f.shape, Shape::Fields(_)))
        })
    };
    let split = rest.rmatch_indices('_').map(|(i, _)| (&rest[..i], &rest[i + 1..])).find(|(name, key)| {
        !name.is_empty() && (known(key) || mapping(key) || not_yet(key.split('_').next().unwrap_or_default()))
    });
    let Some((part, key)) = split else {
        let (name, last) = rest.rsplit_once('_').unwrap_or((rest, ""));
        if last.is_empty() {
            return Outcome::Wrong("names no key of the path, such as …_SOURCE".into());
        }
        let names: Vec<String> = fields.iter().map(|f| capitals(f.name)).collect();
        let near = nearest(last, names.iter().map(String::as_str)).map(|near| format!("{name}_{near}"));
        return Outcome::Unknown(near);
    };
    let map = match &node.value {
        Value::Map(map) => Some(&**map),
        Value::Null => None,
        // The file has something else here, and is told so.
        _ => return Outcome::Done,
    };
    let fitting = paths.of(map, part);
    let same: Vec<&String> = fitting.iter().filter(|name| name.to_ascii_uppercase() == part).collect();
    let name = match (same.as_slice(), fitting.as_slice()) {
        ([one], _) => (*one).clone(),
        ([], [one]) => one.clone(),
        ([], []) => {
            let name = part.to_ascii_lowercase();
            paths.add(part, &name);
            name
        }
        _ => return Outcome::Wrong(format!("may mean several paths: {}", fitting.join(", "))),
    };
    let outcome = with_child(node, &name, var, |child| set_field(child, fields, key, var, paths));
    match outcome {
        Outcome::Unknown(near) => Outcome::Unknown(near.map(|near| format!("{part}_{near}"))),
        other => other,
    }
}

/// Runs `f` on the value under `key`, which is made if it is not there. If `node`
/// is no mapping the file is wrong and told so; then nothing happens.
fn with_child(node: &mut Node, key: &str, var: &Var<'_>, f: impl FnOnce(&mut Node) -> Outcome) -> Outcome {
    if node.value == Value::Null {
        *node = Node { at: var.at.clone(), value: Value::Map(Arc::default()) };
    }
    let Value::Map(map) = &mut node.value else {
        return Outcome::Done;
    };
    let map = Arc::make_mut(map);
    let absent = !map.contains_key(key);
    let entry = map
        .entry(key.to_owned())
        .or_insert_with(|| Entry { at: var.at.clone(), node: Node { at: var.at.clone(), value: Value::Null } });
    let outcome = f(&mut entry.node);
    if absent && !matches!(outcome, Outcome::Done) {
        map.remove(key);
    }
    outcome
}

fn capitals(key: &str) -> String {
    key.to_ascii_uppercase()
}

/// A path's name as a variable has it.
fn variable_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
