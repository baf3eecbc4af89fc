//! Reading what people write: a YAML file becomes a tree in which every key and value knows its place, and a collecting reader takes it
//! apart without stopping at the first mistake.
//!
//! serde stops at the first unknown field and forgets where a value stood; people want every error at once, each with file, line, column
//! and what was probably meant. So the parser's events become [`Node`]s here, and [`Fields`] reads them. Promises: duplicate keys, anchors,
//! aliases and tags are errors; a scalar keeps the spelling it was written with (`0123` stays `0123`); a file is at most 1 MiB and 64 deep.

mod parse;
mod problem;
mod read;
mod write;

pub use parse::{DEPTH_MAX, FILE_BYTES_MAX, parse, parse_own};
pub use problem::{Problem, Problems, Severity, nearest};
pub use read::{Fields, as_bool, as_list, as_text, off};
pub use write::{is_literal, write};

use std::{fmt, sync::Arc};

/// A place in a file: 1-based line and column. A value that was given outside of any file has the name of its variable and no line.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct At {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl At {
    /// The place of a value that an environment variable gives.
    #[must_use]
    pub fn variable(name: &str) -> Self {
        Self { file: name.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return f.write_str(&self.file);
        }
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub at: At,
    /// What it is.
    pub value: Value,
    /// Whether its text came from outside the file (the environment, a file of secrets): no message and no listing may show it.
    pub hidden: bool,
}

/// What a node holds.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Nothing was written: a key with nothing behind it, a file with nothing in it.
    Nothing,
    /// `null` or `~`, which switches a thing off.
    Null,
    /// Any scalar, as spelled. `quoted` tells `"true"` from `true`.
    Scalar {
        /// The text after YAML's own unescaping.
        text: String,
        /// Whether it stood in quotes or in a block.
        quoted: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order written; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Where it starts.
    pub at: At,
    /// The key.
    pub text: String,
}

impl Node {
    /// A node as a file shows it.
    #[must_use]
    pub fn new(at: At, value: Value) -> Self {
        Self { at, value, hidden: false }
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Nothing => "nothing",
            Value::Null => "null",
            Value::Scalar { .. } => "a value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The value under `key` of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(other, _)| other.text == key).map(|(_, node)| node),
            _ => None,
        }
    }
}

impl fmt::Debug for Value {
    /// Shapes only: a scalar may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Null => f.write_str("null"),
            Self::Scalar { text, .. } => write!(f, "<{} bytes>", text.len()),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Map(entries) => f.debug_map().entries(entries.iter().map(|(key, node)| (&key.text, node))).finish(),
        }
    }
}
