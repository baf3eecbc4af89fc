//! Known answers: requests that the vendor's own code signed, and edits of them that must be refused. A rejected vector is an edit of an
//! accepted one, so it differs in exactly what it says.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::words::map;
use crate::yaml::{Fields, Node, Problems, as_list, as_text};

/// A request that must be accepted, and edits of it that must not.
#[derive(Clone, Debug)]
pub struct Vector {
    /// What it shows.
    pub name: Box<str>,
    /// Who signed it: `sdk NAME VERSION`, `docs`, or `computed`.
    pub source: Box<str>,
    /// When it is verified, in seconds since 1970.
    pub at: i64,
    /// The credentials it is verified with; several values of one name are several active secrets.
    pub credentials: Vec<(Box<str>, Vec<Box<str>>)>,
    /// Its method.
    pub method: Box<str>,
    /// The public URL it was sent to, with its query; `None` when the signature has nothing to do with it.
    pub url: Option<url::Url>,
    /// Its headers, in order.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Its exact body.
    pub body: Bytes,
    /// What it is.
    pub event: Expected,
    /// What must be refused.
    pub rejects: Vec<Reject>,
}

/// What the event of a vector is; what is `None` is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Its id.
    pub id: Option<Box<str>>,
    /// Its types, joined with commas.
    pub types: Option<Box<str>>,
}

/// A handshake that must be answered, and how.
#[derive(Clone, Debug)]
pub struct Example {
    /// The request, as a vector without edits.
    pub request: Vector,
    /// Whether the request is signed before it is tried: examples of vendors that sign carry no signature of their own.
    pub sign: bool,
    /// The status of the answer.
    pub status: u16,
    /// Its body; `None` when it is not looked at.
    pub body: Option<Box<str>>,
    /// Its content type; `None` when it is not looked at.
    pub content_type: Option<Box<str>>,
    /// Headers it must have.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

/// A vector that must be refused.
#[derive(Clone, Debug)]
pub struct Reject {
    /// What is wrong with it.
    pub why: Box<str>,
    /// How it differs from the accepted one.
    pub edits: Vec<Edit>,
}

/// One difference.
#[derive(Clone, Debug)]
pub enum Edit {
    /// The only occurrence of some bytes of the body becomes others.
    Body(Box<str>, Box<str>),
    /// A header becomes this; several values are a header that occurs several times.
    Header(Box<str>, Vec<Box<str>>),
    /// A header is left out.
    Drop(Box<str>),
    /// It is verified at another time.
    At(i64),
    /// It was sent to another URL.
    Url(url::Url),
    /// It is verified with another credential.
    Credential(Box<str>, Vec<Box<str>>),
}

impl Vector {
    /// The vector with the edits of one rejection.
    #[must_use]
    pub fn edited(&self, reject: &Reject) -> Self {
        let mut edited = Self { rejects: Vec::new(), ..self.clone() };
        for edit in &reject.edits {
            edited.apply(edit);
        }
        edited
    }

    fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::Body(old, new) => {
                if let Some(at) = only_place(&self.body, old.as_bytes()) {
                    self.body = [&self.body[..at], new.as_bytes(), &self.body[at + old.len()..]].concat().into();
                }
            }
            Edit::Header(name, values) => {
                self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
                self.headers.extend(values.iter().map(|value| (name.clone(), value.clone())));
            }
            Edit::Drop(name) => self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name)),
            Edit::At(at) => self.at = *at,
            Edit::Url(url) => self.url = Some(url.clone()),
            Edit::Credential(name, values) => {
                self.credentials.retain(|(other, _)| other != name);
                self.credentials.push((name.clone(), values.clone()));
            }
        }
    }
}

/// Where `part` stands in `whole`, when it stands there once.
fn only_place(whole: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return None;
    }
    let mut places = whole.windows(part.len()).enumerate().filter(|(_, window)| *window == part).map(|(at, _)| at);
    places.next().filter(|_| places.next().is_none())
}

/// Reads `vectors`.
pub(super) fn vectors(node: &Node, problems: &mut Problems) -> Vec<Vector> {
    as_list(node).iter().filter_map(|item| vector(item, problems)).collect()
}

fn vector(node: &Node, problems: &mut Problems) -> Option<Vector> {
    let mut fields = Fields::of(node, "a vector", problems);
    let name = fields.need("name", node, problems).and_then(|node| as_text(node, "the name", problems));
    let source = fields.need("source", node, problems).and_then(|node| as_text(node, "the source", problems));
    let at = fields.need("at", node, problems).and_then(|node| seconds(node, problems));
    let credentials = fields.need("credentials", node, problems).map(|node| map(node, "`credentials`", problems)).unwrap_or_default();
    let method = fields.take("method").and_then(|node| as_text(node, "the method", problems)).unwrap_or("POST");
    let url = fields.take("url").and_then(|node| url(node, problems));
    let headers = fields.take("headers").map(|node| map(node, "`headers`", problems)).unwrap_or_default();
    let text = fields.take("body").and_then(|node| as_text(node, "the body", problems));
    let base64 = fields.take("body_base64").and_then(|node| base64(node, problems));
    let event = fields.take("event").map(|node| expected(node, problems)).unwrap_or_default();
    let rejects = fields.take("rejects");
    fields.finish(problems);
    if text.is_some() == base64.is_some() {
        problems.error(&node.at, "a vector has `body` or `body_base64`");
    }
    let mut vector = Vector {
        name: name?.into(),
        source: source?.into(),
        at: at?,
        credentials,
        method: method.into(),
        url,
        headers: each_value(headers),
        body: base64.unwrap_or_else(|| Bytes::copy_from_slice(text.unwrap_or_default().as_bytes())),
        event,
        rejects: Vec::new(),
    };
    let items = rejects.map(as_list).unwrap_or_default();
    vector.rejects = items.iter().filter_map(|item| reject(item, &vector, problems)).collect();
    Some(vector)
}

/// Reads `example`.
pub(super) fn example(node: &Node, problems: &mut Problems) -> Option<Example> {
    let mut fields = Fields::of(node, "an example", problems);
    let credentials = fields.take("credentials").map(|node| map(node, "`credentials`", problems)).unwrap_or_default();
    let at = fields.take("at").map(|node| seconds(node, problems));
    let sign_at = fields.take("sign_at").map(|node| seconds(node, problems));
    let asked = fields.need("request", node, problems).and_then(|node| asked(node, problems));
    let expect = fields.need("expect", node, problems);
    fields.finish(problems);
    let expect = expect?;
    let mut fields = Fields::of(expect, "`expect`", problems);
    let status = fields.need("status", expect, problems).and_then(|node| super::words::status(node, 200..=499, "no such status", problems));
    let body = fields.take("body").and_then(|node| as_text(node, "the body", problems)).map(Box::from);
    let content_type = fields.take("type").and_then(|node| as_text(node, "the type", problems)).map(Box::from);
    let headers = fields.take("headers").map(|node| map(node, "`headers`", problems)).unwrap_or_default();
    fields.finish(problems);
    let sign = sign_at.is_some();
    let at = sign_at.or(at).unwrap_or(Some(0))?;
    Some(Example { request: Vector { credentials, at, ..asked? }, sign, status: status?, body, content_type, headers: each_value(headers) })
}

/// The request of an example.
fn asked(node: &Node, problems: &mut Problems) -> Option<Vector> {
    let mut fields = Fields::of(node, "the request of an example", problems);
    let method = fields.take("method").and_then(|node| as_text(node, "the method", problems)).unwrap_or("POST");
    let link = fields.take("url").map(|node| url(node, problems));
    let headers = fields.take("headers").map(|node| map(node, "`headers`", problems)).unwrap_or_default();
    let body = fields.take("body").map(|node| as_text(node, "the body", problems));
    fields.finish(problems);
    Some(Vector {
        name: "example".into(),
        source: "example".into(),
        at: 0,
        credentials: Vec::new(),
        method: method.into(),
        url: link.map_or(Some(None), |link| link.map(Some))?,
        headers: each_value(headers),
        body: Bytes::copy_from_slice(body.unwrap_or(Some(""))?.as_bytes()),
        event: Expected::default(),
        rejects: Vec::new(),
    })
}

fn each_value(headers: Vec<(Box<str>, Vec<Box<str>>)>) -> Vec<(Box<str>, Box<str>)> {
    headers.into_iter().flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value))).collect()
}

fn expected(node: &Node, problems: &mut Problems) -> Expected {
    let mut fields = Fields::of(node, "the event of a vector", problems);
    let id = fields.take("id").and_then(|node| as_text(node, "the id", problems)).map(Box::from);
    let types = fields.take("type").and_then(|node| as_text(node, "the type", problems)).map(Box::from);
    fields.finish(problems);
    Expected { id, types }
}

fn reject(node: &Node, of: &Vector, problems: &mut Problems) -> Option<Reject> {
    let mut fields = Fields::of(node, "a rejection", problems);
    let why = fields.need("why", node, problems).and_then(|node| as_text(node, "`why`", problems));
    let mut edits = Vec::new();
    if let Some(node) = fields.take("body") {
        edits.extend(body_edit(node, of, problems));
    }
    if let Some(node) = fields.take("header") {
        edits.extend(map(node, "`header`", problems).into_iter().map(|(name, values)| Edit::Header(name, values)));
    }
    if let Some(node) = fields.take("drop") {
        for item in as_list(node) {
            edits.extend(as_text(item, "`drop`", problems).map(|name| Edit::Drop(name.into())));
        }
    }
    edits.extend(fields.take("at").and_then(|node| seconds(node, problems)).map(Edit::At));
    edits.extend(fields.take("url").and_then(|node| url(node, problems)).map(Edit::Url));
    if let Some(node) = fields.take("credentials") {
        edits.extend(map(node, "`credentials`", problems).into_iter().map(|(name, values)| Edit::Credential(name, values)));
    }
    fields.finish(problems);
    if edits.is_empty() {
        // One of these that gave no edit is wrong, which was said.
        if ["body", "at", "url"].iter().any(|key| node.get(key).is_some()) {
            return None;
        }
        problems.error(&node.at, "a rejection differs from its vector in something");
    }
    Some(Reject { why: why?.into(), edits })
}

fn body_edit(node: &Node, of: &Vector, problems: &mut Problems) -> Option<Edit> {
    let [old, new] = as_list(node) else {
        problems.error(&node.at, "`body` is two texts: what stands there, and what it becomes");
        return None;
    };
    let old = as_text(old, "what stands there", problems)?;
    let new = as_text(new, "what it becomes", problems)?;
    if only_place(&of.body, old.as_bytes()).is_none() {
        problems.error(&node.at, format!("`{old}` does not occur in the body exactly once"));
        return None;
    }
    Some(Edit::Body(old.into(), new.into()))
}

fn seconds(node: &Node, problems: &mut Problems) -> Option<i64> {
    let seconds = as_text(node, "`at`", problems)?.parse().ok().filter(|seconds| *seconds >= 0);
    if seconds.is_none() {
        problems.error(&node.at, "`at` is a number of seconds since 1970");
    }
    seconds
}

fn url(node: &Node, problems: &mut Problems) -> Option<url::Url> {
    let url = url::Url::parse(as_text(node, "the URL", problems)?).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    if url.is_none() {
        problems.error(&node.at, "the URL is a whole one, with `http://` or `https://`");
    }
    url
}

fn base64(node: &Node, problems: &mut Problems) -> Option<Bytes> {
    let bytes = STANDARD.decode(as_text(node, "`body_base64`", problems)?).ok().map(Bytes::from);
    if bytes.is_none() {
        problems.error(&node.at, "`body_base64` is not base64");
    }
    bytes
}
