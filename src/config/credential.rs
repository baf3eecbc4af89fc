//! Credentials as they are written: what is plainly none is refused, and no message shows one.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{
    placed::{Guarded, OneOrMany, Placed, Text},
    section::Section,
    values,
};
use crate::{
    clock::UnixMs,
    secret::Secret,
    yaml::{At, Node, Problems, Value, as_list, off},
};

/// Bytes below which a secret can be guessed.
const SHORT_BYTES: usize = 16;
/// What people write where a secret will go, less everything but letters and digits.
const PLACEHOLDERS: [&str; 24] = [
    "changeme",
    "changethis",
    "changeit",
    "yoursecret",
    "yoursecrethere",
    "yourwebhooksecret",
    "yoursigningsecret",
    "yourtoken",
    "yourtokenhere",
    "secret",
    "mysecret",
    "thesecret",
    "secrethere",
    "password",
    "placeholder",
    "replaceme",
    "insertsecrethere",
    "todo",
    "fixme",
    "tbd",
    "none",
    "null",
    "undefined",
    "",
];

/// A credential: its value, and until when it is good.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The value.
    pub value: Placed<Guarded>,
    /// The first moment it is no longer good.
    pub until: Option<Placed<Text<UnixMs>>>,
}

impl Serialize for Credential {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Some(until) = &self.until else { return self.value.serialize(to) };
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("until", until)?;
        map.end()
    }
}

/// The long form, for editors.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it describes what is written, and is never made")]
#[schemars(extend("x-required" = ["value"]))]
struct LongForm {
    /// The value.
    value: Guarded,
    /// Until when it is good: a date (its first moment, UTC) or an RFC 3339 time.
    #[schemars(extend("x-off" = true))]
    until: Text<UnixMs>,
}

impl JsonSchema for Credential {
    fn schema_name() -> Cow<'static, str> {
        "Credential".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (short, long) = (generator.subschema_for::<Guarded>(), generator.subschema_for::<LongForm>());
        json_schema!({ "anyOf": [short, long] })
    }
}

/// All values of one credential; several while rotating. A value that cannot be used is dropped, and reported.
pub(super) fn credentials(node: &Node, what: &str, problems: &mut Problems) -> OneOrMany<Credential> {
    let items = as_list(node);
    if items.is_empty() && !problems.blames(&node.at) {
        problems.error(&node.at, format!("{what} is empty"));
    }
    OneOrMany(items.iter().filter_map(|item| credential(item, what, problems)).collect())
}

/// The same of a credential that is a secret: one that may be guessed is worth a warning.
pub(super) fn secrets(node: &Node, what: &str, problems: &mut Problems) -> OneOrMany<Credential> {
    let found = credentials(node, what, problems);
    found.iter().for_each(|credential| warn_if_short(&credential.value.0, &credential.value.at, what, problems));
    found
}

/// Warns of a secret that may be guessed. Whether a named credential is one, the provider says.
pub(crate) fn warn_if_short(secret: &Secret, at: &At, what: &str, problems: &mut Problems) {
    if secret.byte_len() < SHORT_BYTES {
        problems.warning(at, format!("{what} is shorter than {SHORT_BYTES} bytes and may be guessed"));
    }
}

fn credential(node: &Node, what: &str, problems: &mut Problems) -> Option<Credential> {
    if !matches!(node.value, Value::Map(_)) {
        let value = Placed { at: node.at.clone(), written: true, hidden: node.hidden, value: spelled(node, what, problems)? };
        return Some(Credential { value, until: None });
    }
    let mut section = Section::of(node, what, problems);
    let value = section.needed("value", spelled);
    let until = section.unless_off("until", values::moment);
    section.finish();
    Some(Credential { value: value?, until })
}

/// A secret, refused when it is plainly none; a short one is worth a warning.
pub(super) fn guarded(node: &Node, what: &str, problems: &mut Problems) -> Option<Guarded> {
    let guarded = spelled(node, what, problems)?;
    warn_if_short(&guarded.0, &node.at, what, problems);
    Some(guarded)
}

/// A credential, refused when it is plainly none.
fn spelled(node: &Node, what: &str, problems: &mut Problems) -> Option<Guarded> {
    if problems.blames(&node.at) {
        return None;
    }
    let text = match &node.value {
        Value::Scalar { text, .. } => text,
        Value::Nothing | Value::Null => {
            problems.error(&node.at, format!("{what} is empty"));
            return None;
        }
        Value::List(_) | Value::Map(_) => {
            problems.error(&node.at, format!("{what} is one value, and this is {}", node.kind()));
            return None;
        }
    };
    let fault = match text.trim() {
        "" if text.is_empty() => Some("is empty"),
        "" => Some("is blank"),
        trimmed if trimmed.contains("${") => Some("still contains `${`"),
        trimmed if off(node) || is_placeholder(trimmed) => Some("is a placeholder, not a credential"),
        _ => None,
    };
    if let Some(fault) = fault {
        problems.error_hint(&node.at, format!("{what} {fault}"), "write it as `\"${NAME}\"` or `\"${file:PATH}\"` and set that");
        return None;
    }
    if text.trim().len() < text.len() {
        problems.warning(&node.at, format!("{what} begins or ends with white space, which is part of it"));
    }
    Some(Guarded(Secret::new(text.as_bytes())))
}

fn is_placeholder(text: &str) -> bool {
    let letters: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let crosses = letters.len() >= 3 && letters.bytes().all(|byte| byte == b'x');
    crosses || PLACEHOLDERS.contains(&&*letters) || (text.starts_with('<') && text.ends_with('>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_known_and_secrets_are_not_taken_for_them() {
        for none in ["changeme", "CHANGE-ME", "change_me!", "xxx", "XXXXXXXX", "your-secret-here", "<secret>", "***", "Todo", "null"] {
            assert!(is_placeholder(none), "{none}");
        }
        for some in ["x", "whsec_changeme", "s3cret", "correct horse battery staple", "xxy", "0123456789abcdef"] {
            assert!(!is_placeholder(some), "{some}");
        }
    }
}
