//! How the plain types are read from the YAML tree.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::WebrtcEngine;
use super::schema::{Cx, FromNode, Shape};
use super::units::{parse_duration, parse_size};
use super::yaml::{Node, Value};
use crate::redact::Secret;

impl FromNode for bool {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        // YAML 1.1's words, as MediaMTX accepts them.
        cx.parsed(node, "yes or no", |text| match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(true),
            "no" | "false" | "off" => Ok(false),
            _ => Err("is neither yes nor no".into()),
        })
    }
}

impl FromNode for String {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        cx.text(node, "a text").map(str::to_owned)
    }
}

impl FromNode for Secret {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        cx.text(node, "a text").map(Secret::from)
    }
}

impl FromNode for Duration {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        cx.parsed(node, "a duration like 10s", parse_duration)
    }
}

impl FromNode for usize {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        // u32, so that it means the same on every machine.
        cx.parsed(node, "a whole number", |text| {
            text.parse::<u32>().map(|n| n as usize).map_err(|_| "is not a whole number from 0 on".into())
        })
    }
}

/// A number of bytes (`64K`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub usize);

impl FromNode for Size {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        cx.parsed(node, "a size like 64K", |text| parse_size(text).map(Size))
    }
}

impl FromNode for IpNet {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        cx.parsed(node, "an IP address or network", |text| {
            if let Ok(ip) = text.parse::<IpAddr>() {
                return Ok(IpNet::from(ip));
            }
            text.parse::<IpNet>()
                .map(|net| net.trunc())
                .map_err(|_| "is neither an IP address nor a network like 10.0.0.0/8".into())
        })
    }
}

impl FromNode for Option<WebrtcEngine> {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        // Empty unsets what pathDefaults says.
        match &node.value {
            Value::Scalar(text) if text.is_empty() => Some(None),
            _ => WebrtcEngine::read(node, cx).map(Some),
        }
    }
}

impl FromNode for Option<PathBuf> {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        cx.parsed(node, "a file name", |text| {
            if text.contains('\0') {
                return Err("is no file name".into());
            }
            // Empty unsets what pathDefaults says.
            Ok((!text.is_empty()).then(|| PathBuf::from(text)))
        })
    }
}

impl<T: FromNode> FromNode for Vec<T> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);

    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        let Value::List(items) = &node.value else {
            cx.problem(&node.at, format!("must be a list, not {}", node.kind()));
            return None;
        };
        let mut values = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let value = cx.within(&format!("[{i}]"), |cx| match item.value {
                Value::Null => {
                    cx.problem(&item.at, "an entry without a value");
                    None
                }
                _ => T::read(item, cx),
            });
            values.extend(value);
        }
        (values.len() == items.len()).then_some(values)
    }

    /// A list whose entries are all commented out is empty. Falling back to the
    /// default would let everybody in where `authInternalUsers:` was emptied.
    fn null() -> Option<Self> {
        Some(Vec::new())
    }
}

/// The ports that WebRTC may use: `30000-30100` or `[30000, 30100]`.
pub type PortRange = Option<(u16, u16)>;

impl FromNode for PortRange {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        const WANTED: &str = "a range of ports like 30000-30100";
        let joined;
        let node = match &node.value {
            Value::List(items) => match items.as_slice() {
                [Node { value: Value::Scalar(a), .. }, Node { value: Value::Scalar(b), .. }] => {
                    joined = Node::scalar(node.at.clone(), &format!("{a}-{b}"));
                    &joined
                }
                _ => {
                    cx.problem(&node.at, format!("must be {WANTED}, or a list of two ports"));
                    return None;
                }
            },
            _ => node,
        };
        cx.parsed(node, WANTED, |text| {
            if text.trim().is_empty() {
                return Ok(None);
            }
            let port = |part: &str| part.trim().parse::<u16>().ok().filter(|port| *port > 0);
            let (low, high) = text
                .split_once('-')
                .and_then(|(a, b)| Some((port(a)?, port(b)?)))
                .ok_or_else(|| format!("is not {WANTED}"))?;
            if low > high {
                return Err("ends before it begins".into());
            }
            Ok(Some((low, high)))
        })
    }
}

/// The SHA-256 fingerprint of a certificate: 64 hexadecimal digits, lower case.
/// Colons may separate them; empty unsets it.
impl FromNode for Option<String> {
    fn read(node: &Node, cx: &mut Cx) -> Option<Self> {
        cx.parsed(node, "a fingerprint", |text| {
            let hex: String = text.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
            if hex.is_empty() {
                return Ok(None);
            }
            if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err("is no SHA-256 fingerprint: 64 hexadecimal digits, with or without colons".into());
            }
            Ok(Some(hex))
        })
    }
}

/// Refuses zero, for timeouts that would end everything at once.
pub(crate) fn positive(value: &Duration) -> Result<(), String> {
    if value.is_zero() { Err("must be greater than zero".into()) } else { Ok(()) }
}

/// Refuses zero, for limits that would refuse everything.
pub(crate) fn at_least_one(value: &usize) -> Result<(), String> {
    if *value == 0 { Err("must be at least 1".into()) } else { Ok(()) }
}
