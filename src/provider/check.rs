//! The `verify` part of a provider file: which scheme, where the signatures stand and how they are spelled, what was signed, with which
//! key, and how old it may be. The file fixes all of it; a request can only match.

use std::time::Duration;

use super::{
    atom::{Atom, Filter},
    measure,
    read::{choice, template},
    template::Template,
};
use crate::yaml::{Fields, Node, Problems, Value, as_list, as_text, off};

/// One proof a request must give.
#[derive(Clone, Debug)]
pub struct Check {
    /// How the signature is made.
    pub scheme: Scheme,
    /// Where the signatures stand, and their spelling.
    pub signature: SignatureRule,
    /// What was signed.
    pub message: Template,
    /// With what.
    pub key: KeyRule,
    /// When, if it is said.
    pub timestamp: Option<TimestampRule>,
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC (RFC 2104) with SHA-1.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// Where the signatures stand, and how they are spelled.
#[derive(Clone, Debug)]
pub struct SignatureRule {
    /// The places looked at, in order.
    pub at: Vec<Atom>,
    /// What separates several candidates in one value; the first that fits at a place is taken.
    pub split: Vec<Box<str>>,
    /// A candidate is `k=v` pairs.
    pub pairs: Option<Pairs>,
    /// What a signature begins with: one of these, or the candidate is passed over. Empty: nothing is taken off.
    pub strip: Vec<Box<str>>,
    /// Its one spelling.
    pub encoding: Encoding,
}

/// A candidate that is `k=v` pairs.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// What stands between two pairs.
    pub separator: Box<str>,
    /// The key whose value is the signature. It may repeat; no other may.
    pub value: Box<str>,
}

/// How bytes are spelled. Each has one spelling, so that a signature cannot be dressed up as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Lower-case hex.
    Hex,
    /// Standard base64 (RFC 4648, section 4) with padding and zero trailing bits.
    Base64,
    /// URL-safe base64 (RFC 4648, section 5) without padding, with zero trailing bits.
    Base64Url,
}

/// Which credentials hold the key, and how it is written in them.
#[derive(Clone, Debug)]
pub struct KeyRule {
    /// The credentials, in order.
    pub from: Vec<Box<str>>,
    /// How the key is written.
    pub form: KeyForm,
    /// A beginning that is not part of the key; a credential without it is taken whole.
    pub strip: Option<Box<str>>,
}

/// How a key is written in its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// The text's own bytes.
    Text,
    /// Hex.
    Hex,
    /// Standard base64.
    Base64,
    /// URL-safe base64.
    Base64Url,
}

/// When a request was signed, and how far that may lie from now.
#[derive(Clone, Debug)]
pub struct TimestampRule {
    /// Where it stands.
    pub at: Atom,
    /// What it counts.
    pub unit: TimeUnit,
    /// How far it may lie from now, in both directions; `None` for any distance.
    pub tolerance: Option<Duration>,
}

/// What a timestamp counts since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl Scheme {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// Bytes of a signature.
    #[must_use]
    pub fn signature_bytes(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
            Self::HmacSha512 => 64,
        }
    }
}

impl Encoding {
    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Hex => "lower-case hex",
            Self::Base64 => "base64 with padding",
            Self::Base64Url => "URL-safe base64 without padding",
        }
    }
}

const SCHEMES: [(&str, Scheme); 3] =
    [("hmac-sha1", Scheme::HmacSha1), ("hmac-sha256", Scheme::HmacSha256), ("hmac-sha512", Scheme::HmacSha512)];
const PLANNED_SCHEMES: [&str; 13] = [
    "hash-sha256",
    "ed25519",
    "ecdsa-p256-sha1",
    "ecdsa-p256-sha256",
    "rsa-sha1",
    "rsa-sha256",
    "rsa-sha512",
    "jws-hs256",
    "jws-rs256",
    "jws-rs512",
    "jws-es256",
    "token",
    "basic",
];
const ENCODINGS: [(&str, Encoding); 3] = [("hex", Encoding::Hex), ("base64", Encoding::Base64), ("base64url", Encoding::Base64Url)];
const KEY_FORMS: [(&str, KeyForm); 4] =
    [("text", KeyForm::Text), ("hex", KeyForm::Hex), ("base64", KeyForm::Base64), ("base64url", KeyForm::Base64Url)];
const PLANNED_KEY_FORMS: [&str; 3] = ["pem", "spki", "jwks"];
const UNITS: [(&str, TimeUnit); 2] = [("s", TimeUnit::Seconds), ("ms", TimeUnit::Milliseconds)];
const PLANNED_UNITS: [&str; 3] = ["s-or-ms", "rfc3339", "http-date"];

/// Reads `verify`: one check, or a list of them.
pub(super) fn checks(node: &Node, problems: &mut Problems) -> Vec<Check> {
    let items = as_list(node);
    if items.is_empty() {
        problems.error(&node.at, "`verify` has at least one check");
    }
    items.iter().filter_map(|item| check(item, problems)).collect()
}

fn check(node: &Node, problems: &mut Problems) -> Option<Check> {
    let mut fields = Fields::of(node, "a check", problems);
    let scheme = fields.need("scheme", node, problems).and_then(|node| scheme(node, problems));
    let signature = fields.need("signature", node, problems).and_then(|node| signature(node, problems));
    let message = fields.need("message", node, problems).and_then(|node| template(node, "the message", problems));
    let key = fields.take("key").map_or_else(|| Some(KeyRule::default()), |node| key(node, problems));
    let timestamp = fields.take("timestamp").map_or(Some(None), |node| timestamp(node, problems).map(Some));
    for planned in ["each", "url", "require"] {
        fields.plan(planned);
    }
    fields.finish(problems);
    let check = Check { scheme: scheme?, signature: signature?, message: message?, key: key?, timestamp: timestamp? };
    consistent(&check, node, problems).then_some(check)
}

fn scheme(node: &Node, problems: &mut Problems) -> Option<Scheme> {
    if matches!(node.value, Value::Map(_)) {
        problems.error(&node.at, "a scheme chosen by the request (`by:`) is planned and not built yet");
        return None;
    }
    if matches!(&node.value, Value::Scalar { text, .. } if text == "none") {
        problems.error(&node.at, "the scheme `none` is planned and not built yet");
        return None;
    }
    choice(node, "the scheme", &SCHEMES, &PLANNED_SCHEMES, problems)
}

fn signature(node: &Node, problems: &mut Problems) -> Option<SignatureRule> {
    let mut fields = Fields::of(node, "a signature", problems);
    let at = fields.need("at", node, problems).map(|node| atoms(node, problems)).unwrap_or_default();
    let split = fields.take("split").map(|node| texts(node, "`split`", false, problems)).unwrap_or_default();
    let separator = fields.take("pairs").and_then(|node| as_text(node, "`pairs`", problems));
    let value = fields.take("value").and_then(|node| as_text(node, "`value`", problems));
    let strip = fields.take("strip").map(|node| texts(node, "`strip`", true, problems)).unwrap_or_default();
    let encoding = fields.need("encoding", node, problems).and_then(|node| choice(node, "the encoding", &ENCODINGS, &[], problems));
    for planned in ["unpack", "columns", "by", "where", "detached"] {
        fields.plan(planned);
    }
    fields.finish(problems);
    let pairs = match (separator, value) {
        (Some(separator), Some(value)) if !separator.is_empty() && !value.is_empty() => {
            Some(Pairs { separator: separator.into(), value: value.into() })
        }
        (None, None) => None,
        _ => {
            problems.error(&node.at, "`pairs` and `value` stand together: what separates the pairs, and the key of the signature");
            return None;
        }
    };
    if at.iter().any(|atom| matches!(atom, Atom::Field(_) | Atom::Credential(_) | Atom::Body)) {
        problems.error(&node.at, "a signature stands in a header, a query parameter or the JSON document");
        return None;
    }
    (!at.is_empty()).then_some(())?;
    Some(SignatureRule { at, split, pairs, strip, encoding: encoding? })
}

fn key(node: &Node, problems: &mut Problems) -> Option<KeyRule> {
    let mut fields = Fields::of(node, "a key", problems);
    let from = fields.take("from").map(|node| texts(node, "`from`", false, problems));
    let form = fields.take("form").map(|node| choice(node, "the key's form", &KEY_FORMS, &PLANNED_KEY_FORMS, problems));
    let strip = fields.take("strip").and_then(|node| as_text(node, "`strip`", problems));
    for planned in ["derive", "source"] {
        fields.plan(planned);
    }
    fields.finish(problems);
    let KeyRule { from: usual_from, form: usual_form, .. } = KeyRule::default();
    Some(KeyRule { from: from.unwrap_or(usual_from), form: form.unwrap_or(Some(usual_form))?, strip: strip.map(Box::from) })
}

fn timestamp(node: &Node, problems: &mut Problems) -> Option<TimestampRule> {
    let mut fields = Fields::of(node, "a timestamp", problems);
    let at = fields.need("at", node, problems).and_then(|node| atom(node, problems));
    let unit = fields.need("unit", node, problems).and_then(|node| choice(node, "the unit", &UNITS, &PLANNED_UNITS, problems));
    let tolerance = fields
        .need("tolerance", node, problems)
        .and_then(|node| if off(node) { Some(None) } else { measure::duration(node, "the tolerance", problems).map(Some) });
    fields.finish(problems);
    Some(TimestampRule { at: at?, unit: unit?, tolerance: tolerance? })
}

/// What no single key can say wrong, and several together can.
fn consistent(check: &Check, node: &Node, problems: &mut Problems) -> bool {
    let names_fields = |atom: &Atom| matches!(atom, Atom::Field(_));
    let of_message = check.message.values().map(|value| &value.atom);
    let of_time = check.timestamp.iter().map(|rule| &rule.at);
    let mut fine = true;
    if check.signature.pairs.is_none() && of_message.chain(of_time).any(names_fields) {
        problems.error(&node.at, "`sig:` names a field of a candidate, and without `pairs` a candidate has none");
        fine = false;
    }
    if check.message.values().next().is_none() {
        problems.error(&node.at, "the message has no value of the request in it, so one signature would do for every request");
        fine = false;
    }
    let many = |atom: &Atom| matches!(atom, Atom::Json(pointer) if pointer.many());
    let of_message = check.message.values().map(|value| &value.atom);
    if of_message.chain(&check.signature.at).chain(check.timestamp.iter().map(|rule| &rule.at)).any(many) {
        problems.error(&node.at, "`*` in a JSON pointer is for the event's id and type; a check names one value");
        fine = false;
    }
    if let Some(rule) = &check.timestamp
        && !covers(&check.message, &rule.at)
    {
        problems.warning(&node.at, "the timestamp is not in the message, so anyone can renew it");
    }
    fine
}

/// Whether a signature over `message` covers the value at `atom`: it stands in the message, as it is or hashed, or it is part of the body
/// and the body does. CRC-32 covers nothing: anyone can find another body with the same one.
pub(super) fn covers(message: &Template, atom: &Atom) -> bool {
    let kept = |filters: &[Filter]| !filters.contains(&Filter::Crc32);
    let has = |wanted: &Atom| message.values().any(|value| kept(&value.filters) && same_place(&value.atom, wanted));
    match atom {
        Atom::Json(_) => has(atom) || has(&Atom::Body),
        Atom::Parameter(_) => has(atom) || has(&Atom::Query),
        Atom::Credential(_) => true,
        Atom::Body | Atom::Method | Atom::Path | Atom::Query | Atom::Header(_) | Atom::Field(_) => has(atom),
    }
}

fn same_place(one: &Atom, other: &Atom) -> bool {
    match (one, other) {
        (Atom::Header(one), Atom::Header(other)) => one.eq_ignore_ascii_case(other),
        _ => one == other,
    }
}

fn atom(node: &Node, problems: &mut Problems) -> Option<Atom> {
    let text = as_text(node, "a place", problems)?;
    match Atom::parse(text) {
        Ok(atom) => Some(atom),
        Err(what) => {
            problems.error(&node.at, what);
            None
        }
    }
}

fn atoms(node: &Node, problems: &mut Problems) -> Vec<Atom> {
    as_list(node).iter().filter_map(|item| atom(item, problems)).collect()
}

/// One text or a list of them.
fn texts(node: &Node, what: &str, empty_fits: bool, problems: &mut Problems) -> Vec<Box<str>> {
    let mut texts = Vec::new();
    for item in as_list(node) {
        match as_text(item, what, problems) {
            Some("") if !empty_fits => problems.error(&item.at, format!("{what} is not empty")),
            Some(text) => texts.push(text.into()),
            None => {}
        }
    }
    texts
}

impl Default for KeyRule {
    /// The credential `secret`, as text.
    fn default() -> Self {
        Self { from: vec!["secret".into()], form: KeyForm::Text, strip: None }
    }
}
