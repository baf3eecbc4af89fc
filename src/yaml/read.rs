//! The collecting reader: takes a mapping apart key by key; what is left at the end is unknown and is reported with the nearest known key.

use super::{Key, Node, Problems, Value};

/// A mapping being read. Every key asked for is known; [`Fields::finish`] reports the others.
#[derive(Debug)]
pub struct Fields<'a> {
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
    planned: Vec<&'static str>,
    what: String,
}

impl<'a> Fields<'a> {
    /// Starts reading `node`, which should be a mapping; anything else is reported and reads as an empty one. `what` names it in
    /// messages ("a source").
    pub fn of(node: &'a Node, what: impl Into<String>, problems: &mut Problems) -> Self {
        let what = what.into();
        let entries: &[(Key, Node)] = match &node.value {
            Value::Map(entries) => entries,
            Value::Nothing => &[],
            Value::Null | Value::Scalar { .. } | Value::List(_) => {
                problems.error(&node.at, format!("{what} is a mapping, and this is {}", node.kind()));
                &[]
            }
        };
        Self { entries, known: Vec::new(), planned: Vec::new(), what }
    }

    /// The value of an optional key.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.entries.iter().find(|(other, _)| other.text == key).map(|(_, node)| node)
    }

    /// The value of a key, without making it known.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(other, _)| other.text == key).map(|(_, node)| node)
    }

    /// The value of a key that must be there; its absence is reported at `node`.
    pub fn need(&mut self, key: &'static str, node: &Node, problems: &mut Problems) -> Option<&'a Node> {
        let found = self.take(key);
        if found.is_none() {
            problems.error(&node.at, format!("{} needs `{key}`", self.what));
        }
        found
    }

    /// A key of the contract that is not built yet: refused as planned, never parsed and ignored.
    pub fn plan(&mut self, key: &'static str) {
        self.planned.push(key);
    }

    /// Reports every key nobody asked for.
    pub fn finish(self, problems: &mut Problems) {
        for (key, _) in self.entries {
            if self.known.contains(&key.text.as_str()) {
                continue;
            }
            if self.planned.contains(&key.text.as_str()) {
                problems.error(&key.at, format!("`{}` is planned and not built yet", key.text.escape_debug()));
                continue;
            }
            let what = format!("{} has no `{}`", self.what, key.text.escape_debug());
            match problems.nearest(&key.text, self.known.iter().chain(&self.planned).copied()) {
                Some(meant) => problems.error_hint(&key.at, what, format!("did you mean `{meant}`?")),
                None => problems.error_hint(&key.at, what, format!("known here: {}", self.known.join(", "))),
            }
        }
    }
}

/// Whether the value switches a thing off: `none`, `off`, `false`, `null`. Nothing written does not: it may have been forgotten.
#[must_use]
pub fn off(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Scalar { text, quoted: false } => matches!(text.as_str(), "none" | "off" | "false" | "null" | "~"),
        Value::Nothing | Value::Scalar { .. } | Value::List(_) | Value::Map(_) => false,
    }
}

/// The text of a scalar; anything else is reported.
pub fn as_text<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<&'a str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        Value::Nothing | Value::Null | Value::List(_) | Value::Map(_) => {
            problems.error(&node.at, format!("{what} is one value, and this is {}", node.kind()));
            None
        }
    }
}

/// `true` or `false`; anything else is reported.
pub fn as_bool(node: &Node, what: &str, problems: &mut Problems) -> Option<bool> {
    match &node.value {
        Value::Scalar { text, quoted: false } if text == "true" => Some(true),
        _ if off(node) => Some(false),
        _ => {
            problems.error(&node.at, format!("{what} is true or false"));
            None
        }
    }
}

/// The items of a list; a single value is a list of one, nothing is an empty one.
#[must_use]
pub fn as_list(node: &Node) -> &[Node] {
    match &node.value {
        Value::Nothing => &[],
        Value::List(items) => items,
        Value::Null | Value::Scalar { .. } | Value::Map(_) => std::slice::from_ref(node),
    }
}
