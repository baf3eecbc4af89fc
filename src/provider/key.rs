//! The `key` of a check: which credentials hold it, and how it is written in them.

use super::words::{choice, texts};
use crate::yaml::{Fields, Node, Problems, as_text};

/// Which credentials hold the key, and how it is written in them.
#[derive(Clone, Debug)]
pub struct KeyRule {
    /// The credentials, in order.
    pub from: Vec<Box<str>>,
    /// How the key is written.
    pub form: KeyForm,
    /// A beginning that is not part of the key; a credential without it is taken whole.
    pub strip: Option<Box<str>>,
    /// What is made of the bytes before they are the key.
    pub derive: Option<Derivation>,
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
    /// PEM (RFC 7468): a public key, or a certificate that holds one.
    Pem,
    /// A SubjectPublicKeyInfo (RFC 5280) in base64: a PEM without its first and last line.
    Spki,
    /// A JSON Web Key or a set of them (RFC 7517).
    Jwks,
}

/// What is made of a credential's bytes before they are the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivation {
    /// Their SHA-1.
    Sha1,
    /// Their text in Unicode normalisation form KD.
    Nfkd,
}

const FORMS: [(&str, KeyForm); 7] = [
    ("text", KeyForm::Text),
    ("hex", KeyForm::Hex),
    ("base64", KeyForm::Base64),
    ("base64url", KeyForm::Base64Url),
    ("pem", KeyForm::Pem),
    ("spki", KeyForm::Spki),
    ("jwks", KeyForm::Jwks),
];
const DERIVATIONS: [(&str, Derivation); 2] = [("sha1", Derivation::Sha1), ("nfkd", Derivation::Nfkd)];

impl KeyForm {
    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "URL-safe base64",
            Self::Pem => "PEM (`-----BEGIN PUBLIC KEY-----`)",
            Self::Spki => "a public key in base64",
            Self::Jwks => "a JSON Web Key or a set of them",
        }
    }
}

impl Default for KeyRule {
    /// The credential `secret`, as text.
    fn default() -> Self {
        Self { from: vec!["secret".into()], form: KeyForm::Text, strip: None, derive: None }
    }
}

/// Reads `key`.
pub(super) fn key(node: &Node, problems: &mut Problems) -> Option<KeyRule> {
    let mut fields = Fields::of(node, "a key", problems);
    let from = fields.take("from").map(|node| texts(node, "`from`", false, problems));
    let form = fields.take("form").map(|node| choice(node, "the key's form", &FORMS, problems));
    let strip = fields.take("strip").and_then(|node| as_text(node, "`strip`", problems));
    let derive = fields.take("derive").map(|node| choice(node, "what is derived", &DERIVATIONS, problems));
    fields.plan("source");
    fields.finish(problems);
    let KeyRule { from: usual_from, form: usual_form, .. } = KeyRule::default();
    let derive = match derive {
        None => None,
        Some(derive) => Some(derive?),
    };
    let form = form.unwrap_or(Some(usual_form))?;
    if derive.is_some() && matches!(form, KeyForm::Pem | KeyForm::Spki | KeyForm::Jwks) {
        problems.error(&node.at, "nothing is derived from a public key");
        return None;
    }
    Some(KeyRule { from: from.unwrap_or(usual_from), form, strip: strip.map(Box::from), derive })
}
