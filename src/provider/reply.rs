//! Answers that a provider file gives: a status, a text or JSON, a few headers.

use std::{borrow::Cow, fmt::Write as _};

use bytes::Bytes;

use super::{
    Accepted, Rejected,
    template::Template,
    words::{literal, status, template},
};
use crate::{
    request::is_token,
    yaml::{Fields, Node, Problems, Value, as_text},
};

/// What a file's text is sent as, unless it says so itself.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// What its JSON is sent as.
pub(super) const JSON: &str = "application/json";

/// An answer that is made for one request.
#[derive(Clone, Debug)]
pub struct ReplyRule {
    /// A 2xx status.
    pub status: u16,
    /// Its body.
    pub body: ReplyBody,
    /// Its content type.
    pub content_type: Cow<'static, str>,
    /// Further headers.
    pub headers: Vec<(Box<str>, Template)>,
}

/// The body of an answer.
#[derive(Clone, Debug)]
pub enum ReplyBody {
    /// The text of a template.
    Text(Template),
    /// JSON with templates for its texts.
    Json(JsonRule),
}

/// JSON as a file writes it, its members in the order written.
#[derive(Clone, Debug)]
pub enum JsonRule {
    /// A number, a word, or null: its source text.
    Plain(Box<str>),
    /// A text.
    Text(Template),
    /// An array.
    List(Vec<JsonRule>),
    /// An object.
    Object(Vec<(Box<str>, JsonRule)>),
}

/// Headers that an answer may not have: the connection's, and what would send the vendor elsewhere.
const FORBIDDEN: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "keep-alive",
    "location",
    "retry-after",
    "set-cookie",
    "transfer-encoding",
    "upgrade",
    "x-content-type-options",
];

impl ReplyRule {
    /// Every template in it.
    #[must_use]
    pub fn templates(&self) -> Vec<&Template> {
        let mut templates: Vec<&Template> = self.headers.iter().map(|(_, template)| template).collect();
        match &self.body {
            ReplyBody::Text(template) => templates.push(template),
            ReplyBody::Json(json) => json.collect(&mut templates),
        }
        templates
    }
}

impl JsonRule {
    fn collect<'a>(&'a self, templates: &mut Vec<&'a Template>) {
        match self {
            Self::Plain(_) => {}
            Self::Text(template) => templates.push(template),
            Self::List(items) => items.iter().for_each(|item| item.collect(templates)),
            Self::Object(members) => members.iter().for_each(|(_, member)| member.collect(templates)),
        }
    }

    /// Writes it; `text` gives the text of a template.
    ///
    /// # Errors
    /// What `text` could not give.
    pub fn write<E>(&self, out: &mut String, text: &mut dyn FnMut(&Template) -> Result<String, E>) -> Result<(), E> {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match self {
            Self::Plain(plain) => out.push_str(plain),
            Self::Text(template) => out.push_str(&quoted(&text(template)?)),
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    out.push(if index == 0 { '[' } else { ',' });
                    item.write(out, text)?;
                }
                out.push_str(if items.is_empty() { "[]" } else { "]" });
            }
            Self::Object(members) => {
                for (index, (name, member)) in members.iter().enumerate() {
                    // Writing to a String does not fail.
                    let _ = write!(out, "{}{}:", if index == 0 { '{' } else { ',' }, quoted(name));
                    member.write(out, text)?;
                }
                out.push_str(if members.is_empty() { "{}" } else { "}" });
            }
        }
        Ok(())
    }
}

/// Reads the parts that every answer has; `what` names it in messages.
pub(super) fn reply(node: &Node, what: &str, problems: &mut Problems) -> Option<ReplyRule> {
    let mut fields = Fields::of(node, what, problems);
    let why = "the status of an accepted event is 200 to 299: anything else asks the vendor to try again";
    let status = fields.take("status").map_or(Some(200), |node| status(node, 200..=299, why, problems));
    let text = fields.take("text").map(|node| template(node, "the answer", problems));
    let json = fields.take("json").map(|node| json(node, problems));
    let written = fields.take("type").and_then(|node| media_type(node, problems));
    let headers = fields.take("headers").map(|node| headers(node, problems)).unwrap_or_default();
    fields.finish(problems);
    if text.is_some() && json.is_some() {
        problems.error(&node.at, "an answer is `text` or `json`, not both");
        return None;
    }
    let (usual, body) = match (text, json) {
        (_, Some(json)) => (JSON, ReplyBody::Json(json?)),
        (Some(text), None) => (TEXT, ReplyBody::Text(text?)),
        (None, None) => (TEXT, ReplyBody::Text(Template::default())),
    };
    Some(ReplyRule { status: status?, body, content_type: written.map_or(Cow::Borrowed(usual), Cow::Owned), headers })
}

/// Reads `replies`.
pub(super) fn replies(node: &Node, problems: &mut Problems) -> (Accepted, Rejected) {
    let mut fields = Fields::of(node, "`replies`", problems);
    let accepted = fields.take("accepted").and_then(|node| accepted(node, problems)).unwrap_or_default();
    let rejected = fields.take("rejected").and_then(|node| rejected(node, problems)).unwrap_or_default();
    fields.finish(problems);
    (accepted, rejected)
}

/// The answer to accepted events is one constant: there is nothing of the request in it.
fn accepted(node: &Node, problems: &mut Problems) -> Option<Accepted> {
    let reply = reply(node, "the answer to an accepted event", problems)?;
    let mut constant = |template: &Template| {
        let text = template.literal();
        if text.is_none() {
            problems.error(&node.at, "the answer to an accepted event is the same for all: no value of the request stands in it");
        }
        text.ok_or(())
    };
    let body = match &reply.body {
        ReplyBody::Text(template) => constant(template).ok()?,
        ReplyBody::Json(json) => {
            let mut text = String::new();
            json.write(&mut text, &mut constant).ok()?;
            text
        }
    };
    let headers = reply.headers.iter().map(|(name, value)| Some((name.clone(), constant(value).ok()?.into()))).collect::<Option<_>>()?;
    Some(Accepted { status: reply.status, content_type: reply.content_type, headers, body: Bytes::from(body) })
}

fn rejected(node: &Node, problems: &mut Problems) -> Option<Rejected> {
    let mut fields = Fields::of(node, "the answer to a rejected request", problems);
    let why = "the status of a rejected request is 400 to 499, and not 406 or 410, which end a subscription";
    let status = fields.take("status").map_or(Some(401), |node| status(node, 400..=499, why, problems));
    let mut constants = Vec::new();
    for (name, template) in fields.take("headers").map(|node| headers(node, problems)).unwrap_or_default() {
        match template.literal() {
            Some(value) => constants.push((name, value.into())),
            None => problems.error(&node.at, "the answer to a rejected request is the same for all: no value of the request stands in it"),
        }
    }
    fields.finish(problems);
    Some(Rejected { status: status?, headers: constants })
}

fn headers(node: &Node, problems: &mut Problems) -> Vec<(Box<str>, Template)> {
    let Value::Map(entries) = &node.value else {
        problems.error(&node.at, format!("`headers` is a mapping, and this is {}", node.kind()));
        return Vec::new();
    };
    let mut headers = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        let name = key.text.to_ascii_lowercase();
        if !is_token(&name) || FORBIDDEN.contains(&&*name) || name.starts_with("hookgate-") {
            problems.error(&key.at, format!("an answer cannot have the header `{}`", key.text.escape_debug()));
        }
        headers.extend(template(node, "a header", problems).map(|template| (key.text.as_str().into(), template)));
    }
    headers
}

fn media_type(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = literal(node, "the type", problems)?;
    let fits = text.split_once('/').is_some() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !fits {
        problems.error(&node.at, "`type` is a media type such as `application/xml`");
    }
    fits.then_some(text)
}

/// JSON as YAML writes it.
fn json(node: &Node, problems: &mut Problems) -> Option<JsonRule> {
    Some(match &node.value {
        Value::Nothing | Value::Null => JsonRule::Plain("null".into()),
        Value::Scalar { text, quoted: false } if serde_json::from_str::<serde_json::Value>(text).is_ok_and(|v| !v.is_string()) => {
            JsonRule::Plain(as_text(node, "a value", problems)?.into())
        }
        Value::Scalar { .. } => JsonRule::Text(template(node, "the answer", problems)?),
        Value::List(items) => JsonRule::List(items.iter().map(|item| json(item, problems)).collect::<Option<_>>()?),
        Value::Map(entries) => {
            let members = entries.iter().map(|(key, node)| Some((key.text.as_str().into(), json(node, problems)?)));
            JsonRule::Object(members.collect::<Option<_>>()?)
        }
    })
}
