//! `verify` of a source: its provider, written where it is used. What it means is the provider grammar's to say; here are its keys for
//! editors, its place in a listing, and the rule that nothing is inserted in it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap as _, SerializeSeq as _},
};
use serde_json::{Map, Value as Json, json, value::RawValue};

use crate::{
    provider,
    yaml::{Node, Problems, Value, is_literal},
};

/// What each key says, in the words of the provider files.
const KEYS: [(&str, &str); 18] = [
    ("scheme", "How a request is signed: `hmac-sha256`, `ed25519`, `token`, `basic` and so on, as in a provider file."),
    ("each", "The array of the JSON document for each of whose elements the check must hold: `json:/items`."),
    ("signature", "Where the signature stands and how it is written: `{ at: header:X-Signature, encoding: hex }`."),
    ("message", "What was signed, as a template: `\"{header:X-Time}.{body}\"`."),
    ("digest", "`sha256` when the hash of the message was signed in its place."),
    ("url", "The spellings of the public URL that are tried: `exact`, `default-port`, `decoded`."),
    ("key", "Which credential is the key, and how it is written: `{ from: secret, form: text }`."),
    ("timestamp", "When it was signed: `{ at: header:X-Time, unit: s, tolerance: 5m }`."),
    ("require", "What must hold once the signature does: a mapping from places to what they must be."),
    ("like", "A provider all of whose keys hold that are not written here."),
    ("credentials", "What the source has to bring, by name; left out: what the checks and handshakes name, all of it required."),
    ("document", "Where the JSON document is: `body`, or a field of a form such as `form:payload`."),
    ("verify", "The checks, when they are several: all must hold. Instead of the keys of one."),
    (
        "event",
        "What a request is: `{ id: \"{json:/id}\", type: \"{json:/type}\" }`; without `id` the body stands for it, or, with `repeats: \
         none`, each request is an event of its own.",
    ),
    ("handshakes", "What the sender asks an endpoint before it trusts it, and the answers."),
    ("replies", "The answers: `accepted` and `rejected`."),
    ("limits", "The largest body: `{ body: 1MiB }`."),
    ("delivery", "How the sender delivers: `{ timeout: 10s, retries: 3d, success: 2xx }`."),
];

/// A provider that is written in a source, in the form of a provider file.
#[derive(Debug)]
pub struct Inline {
    /// The tree of that file.
    pub(super) tree: Node,
}

impl Inline {
    /// Reads its outline: its keys are looked at here, their values when the providers are read.
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        if problems.blames(&node.at) {
            return None;
        }
        provider::inline(node, problems).map(|tree| Self { tree })
    }
}

impl Serialize for Inline {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Shown(&self.tree).serialize(to)
    }
}

/// A tree as a listing shows it. Nothing in it came from outside the file, so nothing of it is hidden.
struct Shown<'a>(&'a Node);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0.value {
            Value::Nothing | Value::Null => to.serialize_none(),
            Value::Scalar { text, quoted } => match RawValue::from_string(text.clone()) {
                // In quotes these mean something else: in a condition, and in a JSON answer. A number keeps its spelling.
                Ok(literal) if !quoted && is_literal(text) => literal.serialize(to),
                _ => to.serialize_str(text),
            },
            Value::List(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Shown(item))?;
                }
                list.end()
            }
            Value::Map(entries) => {
                let mut map = to.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&key.text, &Shown(value))?;
                }
                map.end()
            }
        }
    }
}

impl JsonSchema for Inline {
    fn schema_name() -> Cow<'static, str> {
        "Inline".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let properties: Map<String, Json> = KEYS.iter().map(|(key, what)| ((*key).to_owned(), json!({ "description": what }))).collect();
        json_schema!({ "anyOf": [{ "type": "object", "properties": properties }, { "type": "array", "items": { "type": "object" } }] })
    }
}
