//! `targets.<name>.headers` as it is written: what every delivery carries besides.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::{
    placed::{Guarded, Named},
    values,
};
use crate::{
    secret::Secret,
    yaml::{At, Key, Node, Problems, Value, off},
};

/// A header's value. Listings show it only when it stands in the file and its name does not sound like a credential.
#[derive(Clone, Debug)]
pub struct HeaderText {
    /// Where it stands.
    pub at: At,
    /// The value.
    pub value: Secret,
    /// Whether a listing may show it.
    pub open: bool,
}

impl Serialize for HeaderText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.open {
            // The value is no credential, so a listing may show it.
            to.serialize_str(&String::from_utf8_lossy(self.value.reveal()))
        } else {
            Guarded(self.value.clone()).serialize(to)
        }
    }
}

impl JsonSchema for HeaderText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HeaderText".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Reads the mapping.
pub(super) fn headers(node: &Node, problems: &mut Problems) -> Named<HeaderText> {
    if off(node) || node.value == Value::Nothing {
        return Named::default();
    }
    let Value::Map(entries) = &node.value else {
        problems.error(&node.at, format!("`headers` is a mapping of names to values, and this is {}", node.kind()));
        return Named::default();
    };
    let read = |(key, node): &(Key, Node)| {
        let text = values::text(node, &format!("the header `{}`", key.text), problems)?;
        let open = !node.hidden && !sounds_secret(&key.text);
        Some((key.clone(), HeaderText { at: node.at.clone(), value: Secret::new(text), open }))
    };
    Named(entries.iter().filter_map(read).collect())
}

fn sounds_secret(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "password", "cookie", "credential", "signature"].iter().any(|word| header.contains(word))
}
