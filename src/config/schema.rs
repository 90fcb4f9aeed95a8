//! From the YAML tree to typed values: one table per mapping says its keys, their
//! types, defaults and checks. Reading, the environment, "did you mean", the diff
//! and the test of the reference file all follow from that table.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::{At, Problem, nearest, shown};
use super::yaml::{Node, Value};

/// What the environment needs to know about a key's type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// One value.
    Scalar,
    /// A list of such.
    List(&'static Shape),
    /// A mapping with these keys.
    Fields(&'static [Field]),
    /// The mapping of paths: any name, and below it these keys.
    Paths(&'static [Field]),
}

/// A key of a mapping.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub name: &'static str,
    pub shape: Shape,
}

/// What is carried along while reading: where we are, and what was found wrong.
#[derive(Debug, Default)]
pub(crate) struct Cx {
    key: String,
    pub problems: Vec<Problem>,
    /// MediaMTX's keys that camgate does not have yet, for the one warning.
    pub not_yet: BTreeSet<String>,
    /// Old names of MediaMTX's keys, and the new ones, for a warning of their own.
    pub old_names: BTreeMap<String, &'static str>,
}

impl Cx {
    /// Reports a problem with the present key.
    pub(crate) fn problem(&mut self, at: &At, message: impl Into<String>) {
        let problem = Problem::new(at, &self.key, message);
        self.problems.push(problem);
    }

    /// Notes that the present key is an old name of MediaMTX's for `new`.
    pub(crate) fn old_name(&mut self, new: &'static str) {
        self.old_names.insert(general(&self.key), new);
    }

    /// Runs `f` one key deeper (`.name` or `[0]`).
    pub(crate) fn within<R>(&mut self, part: &str, f: impl FnOnce(&mut Self) -> R) -> R {
        let len = self.key.len();
        if !self.key.is_empty() && !part.starts_with('[') {
            self.key.push('.');
        }
        self.key.push_str(part);
        let result = f(self);
        self.key.truncate(len);
        result
    }

    /// The text of a scalar; otherwise reports that `wanted` is.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, wanted: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar(text) => Some(text),
            _ => {
                self.problem(&node.at, format!("must be {wanted}, not {}", node.kind()));
                None
            }
        }
    }

    /// Reads a scalar with `parse`, whose error continues "VALUE …".
    pub(crate) fn parsed<T>(
        &mut self,
        node: &Node,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(node, wanted)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(&node.at, format!("{} {message}", shown(text)));
                None
            }
        }
    }
}

/// A type that can be read from a node.
pub(crate) trait FromNode: Sized {
    const SHAPE: Shape = Shape::Scalar;

    /// The value, or None after having reported what is wrong. Never called with Null.
    fn read(node: &Node, cx: &mut Cx) -> Option<Self>;

    /// What a key without a value means; None leaves the default.
    fn null() -> Option<Self> {
        None
    }
}

/// A mapping with a table of keys.
pub(crate) trait Mapping {
    const FIELDS: &'static [Field];

    /// Reads one key into its place. False if there is no such key.
    fn set(&mut self, key: &str, node: &Node, cx: &mut Cx) -> bool;

    /// Whether MediaMTX has this key and camgate does not yet.
    fn not_yet(_key: &str) -> bool {
        false
    }

    /// What is wrong with the whole: key and message. `given` says whether a key
    /// was there with a value.
    fn verify(&self, _given: &dyn Fn(&str) -> bool) -> Result<(), (&'static str, String)> {
        Ok(())
    }
}

/// Reads `node` over what `into` holds, key by key.
pub(crate) fn read_into<T: Mapping>(into: &mut T, node: &Node, cx: &mut Cx) {
    let map = match &node.value {
        Value::Map(map) => map,
        Value::Null => return,
        _ => return cx.problem(&node.at, format!("must be a mapping, not {}", node.kind())),
    };
    for (key, entry) in map.iter() {
        cx.within(key, |cx| {
            if into.set(key, &entry.node, cx) {
                return;
            }
            if T::not_yet(key) {
                let name = cx.key.clone();
                cx.not_yet.insert(general(&name));
                return;
            }
            let message = match nearest(key, T::FIELDS.iter().map(|f| f.name)) {
                Some(name) => format!("unknown key, did you mean {name:?}?"),
                None => "unknown key".to_owned(),
            };
            cx.problem(&entry.at, message);
        });
    }
}

/// `paths.cam1.record` is one key for the warning, however many paths have it.
fn general(key: &str) -> String {
    match key.strip_prefix("paths.").and_then(|rest| rest.rsplit_once('.')) {
        Some((_, last)) => format!("paths.*.{last}"),
        None => key.to_owned(),
    }
}

/// What is wrong with a value of the right type.
pub(crate) type Check<T> = fn(&T) -> Result<(), String>;

/// Reads one key of a mapping, with its check, into its place.
pub(crate) fn read_value<T: FromNode>(place: &mut T, node: &Node, cx: &mut Cx, check: Option<Check<T>>) {
    let value = match node.value {
        Value::Null => T::null(),
        _ => T::read(node, cx),
    };
    let Some(value) = value else { return };
    match check.map_or(Ok(()), |check| check(&value)) {
        Ok(()) => *place = value,
        Err(message) => cx.problem(&node.at, message),
    }
}

/// Declares a mapping: `"key" => field: Type = default [, check];`.
macro_rules! mapping {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$fmeta:meta])* $key:literal => $field:ident : $ty:ty = $default:expr $(, $check:expr)? ; )*
            $( extra { $( $(#[$emeta:meta])* $efield:ident : $ety:ty = $edefault:expr ; )* } )?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[$fmeta])* pub $field: $ty, )*
            $( $( $(#[$emeta])* pub $efield: $ety, )* )?
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $( $field: $default, )* $( $( $efield: $edefault, )* )? }
            }
        }

        impl $name {
            pub(crate) const KEYS: &'static [$crate::config::schema::Field] = &[
                $( $crate::config::schema::Field {
                    name: $key,
                    shape: <$ty as $crate::config::schema::FromNode>::SHAPE,
                }, )*
            ];

            fn set_key(&mut self, key: &str, node: &$crate::config::yaml::Node, cx: &mut $crate::config::schema::Cx) -> bool {
                match key {
                    $( $key => {
                        #[allow(unused_mut, unused_assignments)]
                        let mut check: Option<$crate::config::schema::Check<$ty>> = None;
                        $( check = Some(|value| $check(value)); )?
                        $crate::config::schema::read_value(&mut self.$field, node, cx, check);
                    } )*
                    _ => return false,
                }
                true
            }

            /// The keys whose values differ.
            #[allow(dead_code)]
            pub(crate) fn changed_keys(&self, other: &Self) -> Vec<&'static str> {
                let mut changed = Vec::new();
                $( if self.$field != other.$field { changed.push($key); } )*
                changed
            }
        }
    };
}

/// Declares an enum of words.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$vmeta:meta])* $variant:ident = $word:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[$vmeta])* $variant, )* }

        impl $name {
            /// All words, in order.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word as it is written in the configuration.
            pub fn word(self) -> &'static str {
                match self { $( $name::$variant => $word, )* }
            }
        }

        impl $crate::config::schema::FromNode for $name {
            fn read(node: &$crate::config::yaml::Node, cx: &mut $crate::config::schema::Cx) -> Option<Self> {
                let all = Self::WORDS.join(", ");
                cx.parsed(node, &format!("one of {all}"), |text| match text {
                    $( $word => Ok($name::$variant), )*
                    _ => Err(format!("is not one of {all}")),
                })
            }
        }
    };
}

/// Reads a mapping that stands alone (a list's item, or a key's value).
macro_rules! readable {
    ($name:ident) => {
        impl $crate::config::schema::FromNode for $name {
            const SHAPE: $crate::config::schema::Shape = $crate::config::schema::Shape::Fields($name::KEYS);

            fn read(node: &$crate::config::yaml::Node, cx: &mut $crate::config::schema::Cx) -> Option<Self> {
                use $crate::config::schema::Mapping as _;
                let before = cx.problems.len();
                let mut value = $name::default();
                $crate::config::schema::read_into(&mut value, node, cx);
                let given = |key: &str| node.given(key);
                if cx.problems.len() == before
                    && let Err((key, message)) = value.verify(&given)
                {
                    cx.within(key, |cx| cx.problem(&node.at, message));
                }
                (cx.problems.len() == before).then_some(value)
            }
        }
    };
}

pub(crate) use {mapping, readable, words};
