//! YAML as a tree that knows its lines.
//!
//! One parser for values and lines, so that the two cannot disagree. A scalar keeps
//! its text as it was written: a password `0123` or `1e5` stays what the operator
//! typed, and the kind is decided by the key that reads it.
//!
//! Bounded on purpose: nesting, and the number of nodes after aliases are expanded
//! (aliases share their target, so a "billion laughs" file costs nothing but is
//! refused all the same).

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::btree_map::Entry as Slot;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::problem::{At, Problem, shown};

/// The deepest nesting read; the schema needs six levels.
const MAX_DEPTH: usize = 32;
/// The most nodes read, aliases expanded. 5,000 paths with every key set are a tenth.
const MAX_NODES: usize = 1_000_000;

/// A mapping; the keys are unique.
pub(crate) type Map = BTreeMap<String, Entry>;

/// A value in the tree, and where it came from. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Node {
    pub at: At,
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    #[default]
    Null,
    /// Any scalar, as written.
    Scalar(Arc<str>),
    List(Arc<Vec<Node>>),
    Map(Arc<Map>),
}

/// A value under a key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Where the key is written.
    pub at: At,
    pub node: Node,
}

impl Node {
    pub(crate) fn scalar(at: At, text: &str) -> Self {
        Node { at, value: Value::Scalar(text.into()) }
    }

    /// The entry of a mapping.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// Whether a mapping has `key` with a value.
    pub(crate) fn given(&self, key: &str) -> bool {
        self.entry(key).is_some_and(|entry| entry.node.value != Value::Null)
    }

    /// What kind of thing it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// What a text holds.
pub(crate) struct Parsed {
    /// The document; [`Value::Null`] if it is empty.
    pub root: Node,
    /// Duplicate keys (all of them; the first one counts) and errors of syntax (one).
    pub problems: Vec<Problem>,
    /// Whether the syntax is broken, so that `root` is not worth looking at.
    pub broken: bool,
}

/// Parses one YAML document. Stops at the first error of syntax: what follows one
/// is guesswork.
pub(crate) fn parse(text: &str) -> Parsed {
    let mut broken = false;
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((event, span)) => builder.event(event, span.start.line() as u32),
            Err(e) => {
                Err(Problem::new(&At::Line(e.marker().line() as u32), "", format!("not valid YAML: {}", e.info())))
            }
        };
        if let Err(problem) = step {
            builder.problems.push(problem);
            broken = true;
            break;
        }
    }
    Parsed { root: builder.root.unwrap_or_default(), problems: builder.problems, broken }
}

/// A collection that is not complete yet.
struct Frame {
    at: At,
    anchor: usize,
    /// Nodes in it so far, aliases expanded.
    weight: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map { map: Map, key: Option<(String, At)>, merges: Vec<Node> },
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    /// Complete nodes with an anchor, and their weight.
    anchors: HashMap<usize, (Node, usize)>,
    total: usize,
    documents: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: u32) -> Result<(), Problem> {
        let at = At::Line(line);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::new(&at, "", "a second YAML document begins here; the configuration is one"));
                }
                Ok(())
            }
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some((node, weight)) => self.add(node, weight, at, false),
                None => Err(Problem::new(&at, "", "an alias inside of what it stands for")),
            },
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let tag = core_tag(&tag, &at)?;
                let null = plain && tag != Some("str") && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null { Value::Null } else { Value::Scalar(text.as_ref().into()) };
                let node = Node { at: at.clone(), value };
                self.remember(anchor, &node, 1);
                // `<<` merges only where it is written plainly, as YAML 1.1 has it.
                let merge = plain && &*text == "<<";
                self.add(node, 1, at, merge)
            }
            Event::SequenceStart(anchor, tag) => {
                core_tag(&tag, &at)?;
                self.open(at, anchor, Kind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                core_tag(&tag, &at)?;
                self.open(at, anchor, Kind::Map { map: Map::new(), key: None, merges: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn open(&mut self, at: At, anchor: usize, kind: Kind) -> Result<(), Problem> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Problem::new(&at, "", format!("nested more than {MAX_DEPTH} levels deep")));
        }
        if let Some(Frame { kind: Kind::Map { key: None, .. }, .. }) = self.stack.last() {
            return Err(Problem::new(&at, "", "a key must be a plain word"));
        }
        self.stack.push(Frame { at, anchor, weight: 1, kind });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let value = match frame.kind {
            Kind::List(items) => Value::List(Arc::new(items)),
            Kind::Map { mut map, merges, .. } => {
                for node in merges {
                    merge(&mut map, &node)?;
                }
                Value::Map(Arc::new(map))
            }
        };
        let node = Node { at: frame.at.clone(), value };
        self.remember(frame.anchor, &node, frame.weight);
        // Its parts are counted already; only the parent's weight grows.
        self.total = self.total.saturating_sub(frame.weight - 1);
        self.add(node, frame.weight, frame.at, false)
    }

    fn remember(&mut self, anchor: usize, node: &Node, weight: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), weight));
        }
    }

    /// Puts a complete node where it belongs; `at` is where it (or its alias) is written.
    fn add(&mut self, node: Node, weight: usize, at: At, merge: bool) -> Result<(), Problem> {
        self.total = self.total.saturating_add(weight);
        if self.total > MAX_NODES {
            return Err(Problem::new(&at, "", format!("more than {MAX_NODES} values")));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.weight = frame.weight.saturating_add(weight);
        match &mut frame.kind {
            Kind::List(items) => items.push(node),
            Kind::Map { map, key, merges } => match key.take() {
                None => match node.value {
                    Value::Scalar(text) if merge => *key = Some((text.to_string(), At::Nowhere)),
                    Value::Scalar(text) => *key = Some((text.to_string(), at)),
                    // `null:` and `~:` are keys like others, if odd ones.
                    Value::Null => *key = Some(("null".to_owned(), at)),
                    _ => return Err(Problem::new(&at, "", "a key must be a plain word")),
                },
                // The marker of a merge key is that it has no place of its own.
                Some((_, At::Nowhere)) => merges.push(node),
                Some((name, key_at)) => match map.entry(name) {
                    Slot::Vacant(slot) => {
                        slot.insert(Entry { at: key_at, node });
                    }
                    Slot::Occupied(slot) => {
                        let first = match &slot.get().at {
                            At::Line(line) => format!(", first on line {line}"),
                            _ => String::new(),
                        };
                        let message = format!("the key {} occurs twice{first}", shown(slot.key()));
                        self.problems.push(Problem::new(&key_at, "", message));
                    }
                },
            },
        }
        Ok(())
    }
}

/// The name of a tag of the core schema; others mean something we do not know.
fn core_tag<'a>(tag: &'a Option<std::borrow::Cow<'_, Tag>>, at: &At) -> Result<Option<&'a str>, Problem> {
    match tag {
        None => Ok(None),
        Some(tag) if tag.is_yaml_core_schema() || (tag.handle.is_empty() && tag.suffix == "!") => Ok(Some(&tag.suffix)),
        Some(_) => Err(Problem::new(at, "", "YAML tags (!…) are not supported; quote a value that begins with \"!\"")),
    }
}

/// `<<: *other` or `<<: [*one, *two]`: what is not there yet is taken over, the
/// earlier one winning.
fn merge(into: &mut Map, from: &Node) -> Result<(), Problem> {
    match &from.value {
        Value::Map(map) => {
            for (name, entry) in map.iter() {
                if !into.contains_key(name) {
                    into.insert(name.clone(), entry.clone());
                }
            }
            Ok(())
        }
        Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => {
            items.iter().try_for_each(|item| merge(into, item))
        }
        _ => Err(Problem::new(&from.at, "<<", "must be a mapping, or a list of mappings")),
    }
}

#[cfg(test)]
mod tests;
