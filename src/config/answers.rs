//! `respond` and `on_reject`: how a source answers, as it is written.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{placed::Placed, section::Section, values};
use crate::{
    secret::Secret,
    yaml::{Node, Problems, Value, as_text, is_literal, off},
};

/// The longest answer, in bytes of its body.
const BODY_BYTES_MAX: usize = 8 * 1024;

/// The answer to accepted events: the same for all of them, with nothing of the request in it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Respond {
    /// Its status, 200 to 299.
    pub status: Placed<u16>,
    /// Its body, as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Placed<Body>>,
    /// Its body, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub json: Option<Placed<Body>>,
    /// The media type of the body: `text/plain; charset=utf-8` or `application/json` when left out.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<Placed<String>>,
}

/// The body of an answer. A listing shows its fingerprint when any of it came from outside the file.
#[derive(Clone)]
pub struct Body {
    /// As it is sent.
    pub text: String,
    json: bool,
    hidden: bool,
}

/// The status of the answer to requests that are not proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnReject {
    /// As the provider file says.
    Provider,
    /// 403, for senders that show nothing else to their users.
    Forbidden,
    /// 503, so that the provider comes again: for the time of a rotation.
    Unavailable,
}

impl Respond {
    /// Reads it; `None` when it is switched off, or when it cannot be read.
    pub(super) fn read(node: &Node, what: &str, problems: &mut Problems) -> Option<Self> {
        if off(node) {
            return None;
        }
        let mut section = Section::of(node, what, problems);
        let read = Self {
            status: section.value("status", 200, |node, what, problems| {
                let status = values::count(node, what, 200, 299, problems)?;
                u16::try_from(status).ok()
            }),
            text: section.optional("text", text),
            json: section.optional("json", json),
            media_type: section.optional("type", media_type),
        };
        let at = section.at.clone();
        section.finish();
        if read.text.is_some() && read.json.is_some() {
            problems.error(&at, "an answer is `text` or `json`, not both");
        }
        let body = read.body();
        if let Some(kind) = read.media_type.as_ref().filter(|_| body.is_none()) {
            problems.error_hint(&kind.at, "`type` says nothing of an answer without a body", "write `text` or `json` beside it");
        }
        if let Some(body) = body.filter(|body| !body.text.is_empty() && matches!(*read.status, 204 | 205)) {
            problems.error(&body.at, format!("an answer with status {} has no body", *read.status));
        }
        Some(read)
    }

    /// Its body, when it has one.
    #[must_use]
    pub fn body(&self) -> Option<&Placed<Body>> {
        self.text.as_ref().or(self.json.as_ref())
    }
}

fn text(node: &Node, what: &str, problems: &mut Problems) -> Option<Body> {
    if problems.blames(&node.at) {
        return None;
    }
    let text = as_text(node, what, problems)?.to_owned();
    bounded(Body { text, json: false, hidden: node.hidden }, node, what, problems)
}

fn json(node: &Node, what: &str, problems: &mut Problems) -> Option<Body> {
    let mut body = Body { text: String::new(), json: true, hidden: false };
    write(node, &mut body);
    bounded(body, node, what, problems)
}

fn bounded(body: Body, node: &Node, what: &str, problems: &mut Problems) -> Option<Body> {
    if body.text.len() > BODY_BYTES_MAX {
        problems.error(&node.at, format!("{what} is at most {BODY_BYTES_MAX} bytes long"));
        return None;
    }
    Some(body)
}

/// Writes YAML as JSON, members in their order. What is no number, `true`, `false` or null is a text, and so is whatever stands in quotes.
fn write(node: &Node, body: &mut Body) {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match &node.value {
        Value::Nothing | Value::Null => body.text.push_str("null"),
        Value::Scalar { text, quoted: in_quotes } => {
            body.hidden |= node.hidden;
            if !in_quotes && is_literal(text) { body.text.push_str(text) } else { body.text.push_str(&quoted(text)) }
        }
        Value::List(items) => {
            body.text.push('[');
            for (index, item) in items.iter().enumerate() {
                body.text.push_str(if index == 0 { "" } else { "," });
                write(item, body);
            }
            body.text.push(']');
        }
        Value::Map(entries) => {
            body.text.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                body.text.push_str(if index == 0 { "" } else { "," });
                body.text.push_str(&quoted(&key.text));
                body.text.push(':');
                write(item, body);
            }
            body.text.push('}');
        }
    }
}

/// A media type, as a header carries it.
fn media_type(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    let text = values::text(node, what, problems)?;
    if text.contains('/') && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Some(text.to_owned());
    }
    problems.error(&node.at, format!("{what} is a media type such as `application/xml`, and this is {}", values::shown(node, text)));
    None
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.hidden {
            return to.collect_str(self);
        }
        // What was written here is JSON by construction; a text would only be shown differently.
        match RawValue::from_string(self.text.clone()) {
            Ok(raw) if self.json => raw.serialize(to),
            _ => to.serialize_str(&self.text),
        }
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hidden { write!(f, "<{}>", Secret::new(self.text.as_bytes()).fingerprint()) } else { f.write_str(&self.text) }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl JsonSchema for Body {
    fn schema_name() -> Cow<'static, str> {
        "Body".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl OnReject {
    /// Reads it.
    pub(super) fn read(node: &Node, what: &str, problems: &mut Problems) -> Option<Self> {
        match values::text(node, what, problems)? {
            "provider" => Some(Self::Provider),
            "403" => Some(Self::Forbidden),
            "503" => Some(Self::Unavailable),
            text => {
                problems.error(&node.at, format!("{what} is one of provider, 403, 503, and this is {}", values::shown(node, text)));
                None
            }
        }
    }
}

impl Serialize for OnReject {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Provider => to.serialize_str("provider"),
            Self::Forbidden => to.serialize_u16(403),
            Self::Unavailable => to.serialize_u16(503),
        }
    }
}

impl JsonSchema for OnReject {
    fn schema_name() -> Cow<'static, str> {
        "OnReject".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["provider", 403, 503] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(text: &str) -> (Option<Respond>, Vec<String>) {
        let mut problems = Problems::new();
        let tree = yaml::parse(&"f.yaml".into(), text, &mut problems).expect("YAML");
        let read = Respond::read(&tree, "`respond`", &mut problems);
        (read, problems.into_sorted().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn json_is_written_in_its_order_and_words_in_quotes_stay_words() {
        let (respond, said) = read("json: { ok: true, n: 5, z: \"5\", a: [null, ja, -1.5e3, 007], \"q\\\"\": {} }");
        assert_eq!(said, Vec::<String>::new());
        let respond = respond.expect("read");
        let body = respond.body().expect("a body");
        assert_eq!(body.text, r#"{"ok":true,"n":5,"z":"5","a":[null,"ja",-1.5e3,"007"],"q\"":{}}"#);
        assert_eq!(serde_json::to_string(body).expect("JSON"), body.text);
    }

    #[test]
    fn what_cannot_be_answered_is_told() {
        let cases = [
            ("status: 302", "f.yaml:1:9: `status` is a whole number from 200 to 299, and this is `302`"),
            ("{ text: a, json: b }", "f.yaml:1:1: an answer is `text` or `json`, not both"),
            ("{ status: 204, text: a }", "f.yaml:1:22: an answer with status 204 has no body"),
            ("type: text/xml", "f.yaml:1:7: `type` says nothing of an answer without a body; write `text` or `json` beside it"),
            ("{ text: a, type: xml }", "f.yaml:1:18: `type` is a media type such as `application/xml`, and this is `xml`"),
            ("txt: a", "f.yaml:1:1: `respond` has no `txt`; did you mean `text`?"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).1, [expected]);
        }
        let long = read(&format!("text: {}", "x".repeat(BODY_BYTES_MAX + 1))).1;
        assert_eq!(long, ["f.yaml:1:7: `text` is at most 8192 bytes long"]);
        assert!(matches!(read("none"), (None, said) if said.is_empty()));
        assert!(matches!(read("{ status: 204, text: \"\" }"), (Some(_), said) if said.is_empty()));
    }
}
