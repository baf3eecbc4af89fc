//! A provider file, taken apart key by key. Everything that is wrong with it is found in one reading.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Accepted, Confidence, CredentialRule, EventRule, Provider, Retries, Success,
    atom::Atom,
    check::{self, Check},
    measure,
    template::Template,
    vector,
};
use crate::{
    name::NAME_BYTES_MAX,
    yaml::{Fields, Node, Problems, Value, as_bool, as_list, as_text, nearest, parse},
};

const CONFIDENCES: [(&str, Confidence); 3] = [("high", Confidence::High), ("medium", Confidence::Medium), ("low", Confidence::Low)];
/// Keys of the grammar that are not built yet.
const PLANNED_KEYS: [&str; 3] = ["like", "document", "handshakes"];

/// Reads a provider file. `None` when anything in it is wrong; `problems` then says all of it. `file` is the name shown in messages, and its
/// last part must be the provider's own.
pub fn read(file: &Arc<str>, text: &str, problems: &mut Problems) -> Option<Provider> {
    let root = parse(file, text, problems)?;
    let mut found = Problems::new();
    let provider = provider(file, &root, &mut found);
    let broken = found.has_errors();
    problems.extend(found);
    provider.filter(|_| !broken)
}

fn provider(file: &str, root: &Node, problems: &mut Problems) -> Option<Provider> {
    let mut fields = Fields::of(root, "a provider file", problems);
    let slug = fields.need("provider", root, problems).and_then(|node| slug(file, node, problems));
    let title = fields.take("title").and_then(|node| as_text(node, "the title", problems));
    let docs = fields.take("docs").map(|node| texts(node, "a link", problems)).unwrap_or_default();
    let confidence = fields.take("confidence").and_then(|node| choice(node, "the confidence", &CONFIDENCES, &[], problems));
    let credentials = fields.take("credentials").map_or_else(|| vec![usual_credential()], |node| credentials(node, problems));
    let verify = fields.need("verify", root, problems);
    let checks = verify.map(|node| check::checks(node, problems)).unwrap_or_default();
    let event = fields.take("event").map(|node| event(node, &checks, problems)).unwrap_or_default();
    let accepted = fields.take("replies").and_then(|node| replies(node, problems)).unwrap_or_default();
    let body_limit = fields.take("limits").and_then(|node| limits(node, problems));
    let (answer_timeout, retries, success) = fields.take("delivery").map_or_else(no_delivery, |node| delivery(node, problems));
    let setup = fields.take("setup").map(|node| texts(node, "a step", problems)).unwrap_or_default();
    let vectors = fields.take("vectors").map(|node| vector::vectors(node, problems)).unwrap_or_default();
    for planned in PLANNED_KEYS {
        fields.plan(planned);
    }
    fields.finish(problems);
    if let Some(node) = verify {
        declared(&checks, &credentials, node, problems);
    }
    let slug: Box<str> = slug?.into();
    Some(Provider {
        title: title.map_or_else(|| slug.clone(), Box::from),
        slug,
        docs,
        confidence: confidence.unwrap_or(Confidence::Low),
        credentials,
        checks,
        event,
        accepted,
        body_limit,
        answer_timeout,
        retries,
        success,
        // No atom that names the public URL is built, so no file that loads can need it.
        needs_public_url: false,
        setup,
        vectors,
    })
}

fn slug<'a>(file: &str, node: &'a Node, problems: &mut Problems) -> Option<&'a str> {
    let slug = as_text(node, "the provider's name", problems)?;
    let fits =
        slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') && (1..=NAME_BYTES_MAX).contains(&slug.len());
    if !fits {
        problems.error(&node.at, format!("the provider's name is 1 to {NAME_BYTES_MAX} of a-z, 0-9 and `-`"));
        return None;
    }
    let stem = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".yaml");
    if stem != slug {
        problems.error(&node.at, format!("the provider is named `{slug}` and its file `{stem}`; the two are the same"));
    }
    Some(slug)
}

/// What a file without `credentials` needs: one secret.
fn usual_credential() -> CredentialRule {
    CredentialRule { name: "secret".into(), label: "Signing secret".into(), place: None, prefix: None, required: true }
}

fn credentials(node: &Node, problems: &mut Problems) -> Vec<CredentialRule> {
    let Value::Map(entries) = &node.value else {
        problems.error(&node.at, format!("`credentials` is a mapping from names, and this is {}", node.kind()));
        return Vec::new();
    };
    let mut rules = Vec::new();
    for (key, node) in entries {
        let mut fields = Fields::of(node, "a credential", problems);
        let label = fields.need("label", node, problems).and_then(|node| as_text(node, "the label", problems));
        let place = fields.take("where").and_then(|node| as_text(node, "`where`", problems));
        let prefix = fields.take("prefix").and_then(|node| as_text(node, "the prefix", problems));
        let required = fields.take("required").and_then(|node| as_bool(node, "`required`", problems));
        fields.plan("warn");
        fields.finish(problems);
        rules.push(CredentialRule {
            name: key.text.as_str().into(),
            label: label.unwrap_or_default().into(),
            place: place.map(Box::from),
            prefix: prefix.map(Box::from),
            required: required.unwrap_or(true),
        });
    }
    rules
}

/// Every credential that a check names is declared.
fn declared(checks: &[Check], credentials: &[CredentialRule], node: &Node, problems: &mut Problems) {
    let known: Vec<&str> = credentials.iter().map(|rule| &*rule.name).collect();
    for check in checks {
        let in_message = check.message.values().filter_map(|value| match &value.atom {
            Atom::Credential(name) => Some(name),
            _ => None,
        });
        for name in check.key.from.iter().chain(in_message) {
            if !known.contains(&&**name) {
                problems.error_hint(&node.at, format!("`credentials` has no `{name}`"), format!("declared: {}", known.join(", ")));
            }
        }
    }
}

fn event(node: &Node, checks: &[Check], problems: &mut Problems) -> EventRule {
    let mut fields = Fields::of(node, "an event", problems);
    let id = fields.take("id").map(|node| templates(node, "the event's id", problems)).unwrap_or_default();
    let types = fields.take("type").map(|node| templates(node, "the event's type", problems)).unwrap_or_default();
    fields.plan("once");
    fields.finish(problems);
    for template in &types {
        let many = template.values().filter(|value| matches!(&value.atom, Atom::Json(pointer) if pointer.many())).count();
        if many > 1 {
            problems.error(&node.at, "a type has at most one `*` value in it: with two nobody can say which belongs to which");
        }
    }
    let signed = |templates: &[Template]| {
        let covered = |atom: &Atom| checks.iter().any(|check| check::covers(&check.message, atom));
        !templates.is_empty() && templates.iter().flat_map(Template::values).all(|value| covered(&value.atom))
    };
    EventRule { id_signed: signed(&id), types_signed: signed(&types), id, types }
}

fn replies(node: &Node, problems: &mut Problems) -> Option<Accepted> {
    let mut fields = Fields::of(node, "`replies`", problems);
    let accepted = fields.take("accepted").and_then(|node| accepted(node, problems));
    fields.plan("rejected");
    fields.finish(problems);
    accepted
}

fn accepted(node: &Node, problems: &mut Problems) -> Option<Accepted> {
    let mut fields = Fields::of(node, "the answer to an accepted event", problems);
    let status = fields.take("status").and_then(|node| match as_text(node, "the status", problems)?.parse::<u16>() {
        Ok(status @ 200..=299) => Some(status),
        _ => {
            problems.error(&node.at, "the status of an accepted event is 200 to 299: anything else asks the vendor to try again");
            None
        }
    });
    let text = fields.take("text").and_then(|node| literal(node, problems));
    let json = fields.take("json").and_then(|node| json(node, problems));
    for planned in ["type", "headers"] {
        fields.plan(planned);
    }
    fields.finish(problems);
    let usual = Accepted::default();
    let (content_type, body) = match (text, json) {
        (Some(_), Some(_)) => {
            problems.error(&node.at, "an answer is `text` or `json`, not both");
            return None;
        }
        (Some(text), None) => (usual.content_type, Bytes::from(text)),
        (None, Some(json)) => ("application/json", Bytes::from(json.to_string())),
        (None, None) => (usual.content_type, usual.body),
    };
    Some(Accepted { status: status.unwrap_or(usual.status), content_type, body })
}

/// A template without a value in it. Values in the answer to an accepted event are not built yet.
fn literal(node: &Node, problems: &mut Problems) -> Option<String> {
    let parsed = template(node, "the answer", problems)?;
    if parsed.values().next().is_some() {
        problems.error(&node.at, "a value of the request in the answer to an accepted event is planned and not built yet");
        return None;
    }
    let bytes = parsed.parts().iter().flat_map(|part| match part {
        super::Part::Text(text) => text.to_vec(),
        super::Part::Value(_) | super::Part::Optional(_) => Vec::new(),
    });
    String::from_utf8(bytes.collect()).ok()
}

/// A JSON value as YAML writes it.
fn json(node: &Node, problems: &mut Problems) -> Option<serde_json::Value> {
    Some(match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Scalar { text, quoted: false } if serde_json::from_str::<serde_json::Value>(text).is_ok_and(|v| !v.is_string()) => {
            serde_json::from_str(text).ok()?
        }
        Value::Scalar { .. } => serde_json::Value::String(literal(node, problems)?),
        Value::List(items) => serde_json::Value::Array(items.iter().map(|item| json(item, problems)).collect::<Option<_>>()?),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, node)| Some((key.text.clone(), json(node, problems)?)));
            serde_json::Value::Object(entries.collect::<Option<_>>()?)
        }
    })
}

fn limits(node: &Node, problems: &mut Problems) -> Option<u64> {
    let mut fields = Fields::of(node, "`limits`", problems);
    let body = fields.take("body").and_then(|node| measure::size(node, "the body's limit", problems));
    fields.plan("content_encoding");
    fields.finish(problems);
    body
}

/// What holds for a vendor that documents nothing.
fn no_delivery() -> (Option<std::time::Duration>, Retries, Success) {
    (None, Retries::Unknown, Success::Any2xx)
}

fn delivery(node: &Node, problems: &mut Problems) -> (Option<std::time::Duration>, Retries, Success) {
    let mut fields = Fields::of(node, "`delivery`", problems);
    let timeout = fields.take("timeout").and_then(|node| measure::duration(node, "the vendor's timeout", problems));
    let retries = fields.take("retries").map_or(Retries::Unknown, |node| match &node.value {
        Value::Scalar { text, .. } if text == "none" => Retries::None,
        Value::Scalar { text, .. } if text == "unknown" => Retries::Unknown,
        _ => measure::duration(node, "`retries` (or `none`, or `unknown`)", problems).map_or(Retries::Unknown, Retries::For),
    });
    let success = fields.take("success").map_or(Success::Any2xx, |node| success(node, problems));
    fields.finish(problems);
    (timeout, retries, success)
}

fn success(node: &Node, problems: &mut Problems) -> Success {
    match as_text(node, "`success`", problems) {
        None | Some("2xx") => Success::Any2xx,
        Some(text) => match text.parse() {
            Ok(status @ 200..=299) => Success::Exactly(status),
            _ => {
                problems.error(&node.at, "`success` is `2xx` or one status from 200 to 299");
                Success::Any2xx
            }
        },
    }
}

/// One of the words of a closed list. Words of `planned` are in the grammar and not built yet.
pub(super) fn choice<T: Copy>(node: &Node, what: &str, words: &[(&str, T)], planned: &[&str], problems: &mut Problems) -> Option<T> {
    let text = as_text(node, what, problems)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let known = || words.iter().map(|(word, _)| *word);
    if planned.contains(&text) {
        problems.error(&node.at, format!("{what} `{text}` is planned and not built yet"));
    } else if let Some(meant) = nearest(text, known()) {
        problems.error_hint(&node.at, format!("{what} cannot be `{text}`"), format!("did you mean `{meant}`?"));
    } else {
        problems.error_hint(
            &node.at,
            format!("{what} cannot be `{text}`"),
            format!("it is one of {}", known().collect::<Vec<_>>().join(", ")),
        );
    }
    None
}

/// A template.
pub(super) fn template(node: &Node, what: &str, problems: &mut Problems) -> Option<Template> {
    let text = as_text(node, what, problems)?;
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(wrong) => {
            problems.error(&node.at, format!("{what}: {wrong}"));
            None
        }
    }
}

/// The alternatives of an event rule. A field of a signature belongs to one candidate and says nothing about the event.
fn templates(node: &Node, what: &str, problems: &mut Problems) -> Vec<Template> {
    let mut templates = Vec::new();
    for item in as_list(node) {
        let Some(template) = template(item, what, problems) else {
            continue;
        };
        let atoms = || template.values().map(|value| &value.atom);
        if atoms().next().is_none() {
            problems.error(&item.at, format!("{what} has no value of the request in it, so all events would be the same"));
        } else if atoms().any(|atom| matches!(atom, Atom::Field(_) | Atom::Credential(_))) {
            problems.error(&item.at, format!("{what} is made of the request; `sig:` and `credential:` are not part of it"));
        } else {
            templates.push(template);
        }
    }
    templates
}

fn texts(node: &Node, what: &str, problems: &mut Problems) -> Vec<Box<str>> {
    as_list(node).iter().filter_map(|item| as_text(item, what, problems)).map(Box::from).collect()
}
