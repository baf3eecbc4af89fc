//! The `key` of a check: which credentials hold it, and how it is written in them.

use super::{
    key_source::{KeySource, key_source},
    words::{choice, texts},
};
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
    /// Where keys are fetched when no credential holds one.
    pub source: Option<KeySource>,
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
        Self { from: vec!["secret".into()], form: KeyForm::Text, strip: None, derive: None, source: None }
    }
}

/// Reads `key`.
pub(super) fn key(node: &Node, problems: &mut Problems) -> Option<KeyRule> {
    let mut fields = Fields::of(node, "a key", problems);
    let from = fields.take("from").map(|node| texts(node, "`from`", false, problems));
    let form = fields.take("form").map(|node| choice(node, "the key's form", &FORMS, problems));
    let strip = fields.take("strip").and_then(|node| as_text(node, "`strip`", problems));
    let derive = fields.take("derive").map(|node| choice(node, "what is derived", &DERIVATIONS, problems));
    let source = fields.take("source").map_or(Some(None), |node| key_source(node, problems).map(Some));
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
    Some(KeyRule { from: from.unwrap_or(usual_from), form, strip: strip.map(Box::from), derive, source: source? })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        provider::{Provider, SourceKind, read},
        yaml::Problems,
    };

    const JWKS: &str = "provider: t
verify:
  scheme: jws-rs256
  signature: { at: header:Authorization }
  key: { form: jwks, source: { kind: jwks, url: https://keys.example.com/jwks } }
";
    const X509: &str = "provider: t
verify:
  scheme: rsa-sha256
  signature: { at: header:S, encoding: base64 }
  message: '{body}'
  key: { form: pem, source: { kind: x509, url: '{header:C}', hosts: [a.example.com], suffix: .pem, names: [b.example.com] } }
";

    fn load(text: &str) -> Result<Provider, String> {
        let mut problems = Problems::new();
        read(&Arc::from("t.yaml"), text, &|_| None, &mut problems)
            .ok_or_else(|| problems.into_sorted().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_source_reads_and_needs_no_secret() {
        for (file, is_set) in [(JWKS, true), (X509, false)] {
            let provider = load(file).expect("reads");
            let source = provider.checks[0].key.source.as_ref().expect("a source");
            assert_eq!(matches!(source.kind, SourceKind::Jwks { .. }), is_set);
            assert!(!provider.credentials[0].required, "a key may be pinned, and need not be");
        }
    }

    #[test]
    fn what_is_wrong_with_a_source_is_said_at_its_place() {
        let cases = [
            (JWKS, "kind: jwks", "kind: jkws", "5:38: the kind of source cannot be `jkws`; did you mean `jwks`?"),
            (JWKS, "kind: jwks", "kind: plaid", "`credentials` has no `client_id`"),
            (JWKS, "kind: jwks, url: https:", "kind: ebay, url: http:", "the URL of a key set is `https` at a named host"),
            (JWKS, "https:", "http:", "the URL of a key set is `https` at a named host"),
            (JWKS, "keys.example.com", "127.0.0.1", "the URL of a key set is `https` at a named host"),
            (JWKS, "example.com/jwks", "example.com/jwks, hosts: [other.example.com]", "the URL of a key set is `https` at a named host"),
            (JWKS, "https://keys.example.com/jwks", "'{header:U}'", "the URL of a key set has no value of the request in it"),
            (JWKS, "example.com/jwks", "example.com/jwks, kid: header:K", "a JSON Web Signature names its key in its own header"),
            (JWKS, "example.com/jwks", "example.com/jwks, names: [a.b]", "`names` and `issuer` are of certificates"),
            (JWKS, "example.com/jwks", "example.com/jwks, hots: [a.b]", "a key's source has no `hots`; did you mean `hosts`?"),
            (JWKS, "jws-rs256", "jws-hs256", "only public keys are fetched"),
            (X509, "hosts: [a.example.com], ", "", "needs `hosts`: without them anyone could bring his own"),
            (X509, "hosts: [a.example.com]", "hosts: []", "`hosts` names 1 to 64 hosts"),
            (X509, "a.example.com", "'*.com'", "`*.com` is no host"),
            (X509, "a.example.com", "A.example.com", "`A.example.com` is no host"),
            (X509, "b.example.com", "'*.example.com'", "`*.example.com` cannot be a certificate's name"),
            (X509, "'{header:C}'", "https://a.example.com/a.pem", "a key that is always the same one is pinned"),
            (X509, "'{header:C}'", "'https://{path}'", "the URL of a certificate cannot be made of the path"),
            (X509, "suffix: .pem", "kid: header:K", "a certificate is known by its URL, without `kid`"),
            (X509, "suffix: .pem", "issuer: rots", "the issuer cannot be `rots`; did you mean `roots`?"),
            (
                X509,
                "kind: x509, url: '{header:C}'",
                "kind: jwks, url: https://a.example.com/a.pem",
                "`names` and `issuer` are of certificates",
            ),
        ];
        let mut wrong = Vec::new();
        for (file, old, new, expected) in cases {
            assert!(file.contains(old), "{old}");
            let found = load(&file.replacen(old, new, 1)).map(|_| ()).err().unwrap_or_default();
            if !found.contains(expected) {
                wrong.push(format!("{new}: {found}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        let twice = X509.replacen("verify:\n  scheme", "verify:\n- scheme", 1);
        let check = twice.split_once("verify:\n").expect("checks").1.to_owned();
        assert!(load(&format!("{twice}{check}")).expect_err("two").contains("one check at most fetches its keys"));
    }
}
