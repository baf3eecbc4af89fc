//! From a provider and the credentials of a source to what verifies: keys decoded and taken up, places gathered, nothing left to do per
//! request that could be done here. Every message is for the operator and shows no value.

use std::time::Duration;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use super::{Credential, Tolerance, Verifier, mac::Mac};
use crate::{
    clock::UnixMs,
    limits::ACTIVE_SECRETS_MAX,
    provider::{Atom, Check, KeyForm, KeyRule, Pointer, Provider, Template},
    secret::{Fingerprint, Secret},
};

/// A check with its keys.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) rule: Check,
    /// How far the timestamp may lie from now.
    pub(super) tolerance: Option<Duration>,
    pub(super) keys: Vec<Key>,
    /// Whether every signature stands in the head.
    pub(super) in_head: bool,
}

/// A key, taken up.
pub(super) struct Key {
    pub(super) mac: Mac,
    pub(super) fingerprint: Fingerprint,
    pub(super) until: Option<UnixMs>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.fingerprint)
    }
}

/// Compiles; see [`Verifier::compile`].
pub(super) fn compile(
    provider: &Provider,
    credentials: &[Credential],
    endpoint: Option<&url::Url>,
    tolerance: Option<Tolerance>,
) -> Result<Verifier, Vec<String>> {
    let mut problems = declared(provider, credentials);
    if provider.needs_public_url && endpoint.is_none() {
        problems.push(format!("{} signs the public URL, and none is known for this source", provider.slug));
    }
    if tolerance.is_some() && provider.checks.iter().all(|check| check.timestamp.is_none()) {
        problems.push(format!("{} signs no timestamp, so a tolerance has no meaning", provider.slug));
    }
    let mut checks = Vec::with_capacity(provider.checks.len());
    for (index, rule) in provider.checks.iter().enumerate() {
        let keys = keys(rule, credentials, &mut problems);
        let optional = |name: &str| provider.credential(name).is_some_and(|rule| !rule.required);
        if keys.is_empty() && rule.key.from.iter().all(|name| optional(name)) {
            // A further check whose credential nobody set is left out; without the first, anyone could ring.
            if index == 0 {
                problems.push(format!("{} needs {}: nothing would be verified without", provider.slug, quoted(&rule.key.from)));
            }
            continue;
        }
        checks.push(Prepared {
            tolerance: match tolerance {
                Some(Tolerance::Within(within)) => Some(within),
                Some(Tolerance::None) => None,
                None => rule.timestamp.as_ref().and_then(|timestamp| timestamp.tolerance),
            },
            keys,
            in_head: rule.signature.at.iter().all(Atom::in_head),
            rule: rule.clone(),
        });
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Verifier {
        singles: singles(provider),
        check_pointers: pointers(provider.checks.iter().flat_map(check_atoms)),
        event_pointers: pointers(event_templates(provider).flat_map(atoms)),
        named: named(provider, credentials),
        event: provider.event.clone(),
        checks,
    })
}

/// What is wrong with the names and numbers of the credentials.
fn declared(provider: &Provider, credentials: &[Credential]) -> Vec<String> {
    let known = || provider.credentials.iter().map(|rule| &*rule.name).collect::<Vec<_>>().join(", ");
    let mut problems = Vec::new();
    for credential in credentials {
        if provider.credential(&credential.name).is_none() {
            problems.push(format!("{} has no credential `{}`; it has: {}", provider.slug, credential.name, known()));
        }
    }
    for rule in &provider.credentials {
        let count = credentials.iter().filter(|credential| credential.name == rule.name).count();
        if count == 0 && rule.required {
            problems.push(format!("{} needs `{}` ({})", provider.slug, rule.name, rule.label));
        }
        if count > ACTIVE_SECRETS_MAX {
            problems.push(format!("`{}` has {count} values, and {ACTIVE_SECRETS_MAX} is the most", rule.name));
        }
        let in_message = provider.checks.iter().flat_map(check_atoms).any(|atom| *atom == Atom::Credential(rule.name.clone()));
        if count > 1 && in_message {
            problems.push(format!("`{}` is part of what {} signs, so it has one value", rule.name, provider.slug));
        }
    }
    problems
}

fn keys(rule: &Check, credentials: &[Credential], problems: &mut Vec<String>) -> Vec<Key> {
    let mut keys = Vec::new();
    for name in &rule.key.from {
        for credential in credentials.iter().filter(|credential| credential.name == *name) {
            match key(rule, credential) {
                Ok(key) => keys.push(key),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if keys.len() > ACTIVE_SECRETS_MAX {
        problems.push(format!("there are {} keys for one signature, and {ACTIVE_SECRETS_MAX} is the most", keys.len()));
    }
    keys
}

fn quoted(names: &[Box<str>]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

pub(super) fn key(rule: &Check, credential: &Credential) -> Result<Key, String> {
    let bytes = decoded(&rule.key, &credential.value).map_err(|wrong| format!("`{}` {wrong}", credential.name))?;
    let mac = Mac::new(rule.scheme, &bytes).filter(|_| !bytes.is_empty());
    let mac = mac.ok_or_else(|| format!("`{}` is empty: anyone could sign with it", credential.name))?;
    Ok(Key { mac, fingerprint: credential.value.fingerprint(), until: credential.until })
}

/// The key's bytes. People paste keys with and without padding, and its spelling proves nothing, so base64 is read leniently here.
fn decoded(rule: &KeyRule, value: &Secret) -> Result<Zeroizing<Vec<u8>>, String> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
    // Revealed to be decoded into the key that the checks hold; it goes nowhere else.
    let whole = value.reveal();
    let text = rule.strip.as_deref().and_then(|prefix| whole.strip_prefix(prefix.as_bytes())).unwrap_or(whole);
    let after = rule.strip.as_deref().map(|prefix| format!(" after its `{prefix}`")).unwrap_or_default();
    let bytes = match rule.form {
        KeyForm::Text => return Ok(Zeroizing::new(text.to_vec())),
        KeyForm::Hex => hex::decode(text).ok(),
        KeyForm::Base64 => GeneralPurpose::new(&alphabet::STANDARD, LENIENT).decode(text).ok(),
        KeyForm::Base64Url => GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT).decode(text).ok(),
    };
    let form = match rule.form {
        KeyForm::Text => "text",
        KeyForm::Hex => "hex",
        KeyForm::Base64 => "base64",
        KeyForm::Base64Url => "URL-safe base64",
    };
    bytes.map(Zeroizing::new).ok_or_else(|| format!("is not {form}{after}; copy it again, whole and without blanks"))
}

/// Credentials that look like something else: worth a warning, since a vendor may change a prefix and people may choose their own.
pub(super) fn doubts(provider: &Provider, credentials: &[Credential]) -> Vec<String> {
    let mut doubts = Vec::new();
    for credential in credentials {
        let prefix = provider.credential(&credential.name).and_then(|rule| rule.prefix.as_deref());
        // Revealed to be compared with the beginning that the vendor documents.
        if let Some(prefix) = prefix.filter(|prefix| !credential.value.reveal().starts_with(prefix.as_bytes())) {
            doubts.push(format!("`{}` of {} usually begins with `{prefix}`, and this one does not", credential.name, provider.title));
        }
    }
    doubts
}

/// The headers that must not occur twice: signature, id, type and time, and all else that was signed.
fn singles(provider: &Provider) -> Vec<Box<str>> {
    let mut names: Vec<Box<str>> = Vec::new();
    for atom in provider.checks.iter().flat_map(check_atoms).chain(event_templates(provider).flat_map(atoms)) {
        if let Atom::Header(name) = atom
            && !names.iter().any(|other| other.eq_ignore_ascii_case(name))
        {
            names.push(name.clone());
        }
    }
    names
}

/// Each JSON pointer among the atoms, once.
fn pointers<'a>(atoms: impl Iterator<Item = &'a Atom>) -> Vec<Pointer> {
    let mut pointers = Vec::new();
    for atom in atoms {
        if let Atom::Json(pointer) = atom
            && !pointers.contains(pointer)
        {
            pointers.push(pointer.clone());
        }
    }
    pointers
}

/// The credentials whose values stand in a message.
fn named(provider: &Provider, credentials: &[Credential]) -> Vec<Credential> {
    let in_message =
        |name: &str| provider.checks.iter().flat_map(check_atoms).any(|atom| matches!(atom, Atom::Credential(n) if **n == *name));
    credentials.iter().filter(|credential| in_message(&credential.name)).cloned().collect()
}

fn check_atoms(check: &Check) -> impl Iterator<Item = &Atom> {
    let time = check.timestamp.iter().map(|timestamp| &timestamp.at);
    check.signature.at.iter().chain(atoms(&check.message)).chain(time)
}

fn event_templates(provider: &Provider) -> impl Iterator<Item = &Template> {
    provider.event.id.iter().chain(&provider.event.types)
}

fn atoms(template: &Template) -> impl Iterator<Item = &Atom> {
    template.values().map(|value| &value.atom)
}
