//! The `verify` part of a provider file: which scheme, where the signatures stand, what was signed, with which key, how old it may be, and
//! what must hold besides. The file fixes all of it; a request can only match.

use std::time::Duration;

use super::{
    atom::{Atom, Pointer},
    condition::{Condition, condition},
    covers,
    key::{KeyRule, key},
    key_source::{KeySource, SourceKind},
    measure,
    scheme::{Family, SchemeRule, scheme},
    signature::{Encoding, Shape, SignatureRule, signature},
    template::Template,
    words::{atom, choice, template},
};
use crate::yaml::{Fields, Node, Problems, as_list, off};

/// One proof a request must give.
#[derive(Clone, Debug)]
pub struct Check {
    /// How the signature is made.
    pub scheme: SchemeRule,
    /// The array for each of whose elements the check must hold.
    pub each: Option<Pointer>,
    /// Where the signatures stand, and their spelling.
    pub signature: SignatureRule,
    /// What was signed; empty for schemes without a message.
    pub message: Template,
    /// Whether its SHA-256 was signed in its place, so that it is hashed twice (Bridge does that).
    pub digested: bool,
    /// The spellings of the public URL that are tried.
    pub urls: Vec<UrlSpelling>,
    /// With what.
    pub key: KeyRule,
    /// When, if it is said.
    pub timestamp: Option<TimestampRule>,
    /// What must hold once the signature does.
    pub require: Condition,
}

/// How the public URL is written in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlSpelling {
    /// As registered, with the query as received.
    Exact,
    /// With the port that its scheme implies.
    DefaultPort,
    /// With some percent-encoded characters decoded, as HubSpot documents it.
    Decoded,
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

/// How a timestamp is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// Seconds or milliseconds since 1970, told apart by their size.
    SecondsOrMilliseconds,
    /// RFC 3339: `2026-01-31T12:00:00Z`.
    Rfc3339,
    /// The date of HTTP headers: `Sun, 06 Nov 1994 08:49:37 GMT`.
    HttpDate,
}

const UNITS: [(&str, TimeUnit); 5] = [
    ("s", TimeUnit::Seconds),
    ("ms", TimeUnit::Milliseconds),
    ("s-or-ms", TimeUnit::SecondsOrMilliseconds),
    ("rfc3339", TimeUnit::Rfc3339),
    ("http-date", TimeUnit::HttpDate),
];
const SPELLINGS: [(&str, UrlSpelling); 3] =
    [("exact", UrlSpelling::Exact), ("default-port", UrlSpelling::DefaultPort), ("decoded", UrlSpelling::Decoded)];

impl Check {
    /// Every atom that the proof rests on: those of the scheme's choice, the places, the message, the time and the conditions.
    pub fn atoms(&self) -> impl Iterator<Item = &Atom> {
        let of_scheme = self.scheme.chosen_at().into_iter();
        let time = self.timestamp.iter().map(|timestamp| &timestamp.at);
        let conditions = self.require.atoms().chain(self.signature.fitting.atoms());
        let of_key = self.key.source.iter().flat_map(KeySource::atoms);
        let of_message = self.message.values().map(|value| &value.atom);
        of_scheme.chain(&self.signature.at).chain(of_message).chain(time).chain(conditions).chain(of_key)
    }

    /// Whether its keys are given out against credentials of their own.
    #[must_use]
    pub fn asks_for_keys(&self) -> bool {
        self.key.source.as_ref().is_some_and(KeySource::takes_credentials)
    }

    /// The values that the proof covers: whoever changes one of them breaks it. Derived; a part of a value in it (a JSON value, where the
    /// body is in it) is covered and not named again, and one value may be named twice.
    #[must_use]
    pub fn covered(&self) -> Vec<Atom> {
        covers::all(self)
    }
}

/// Reads `verify`: one check, or a list of them.
pub(super) fn checks(node: &Node, problems: &mut Problems) -> Vec<Check> {
    let items = as_list(node);
    if items.is_empty() {
        problems.error(&node.at, "`verify` has at least one check");
    }
    let checks: Vec<Check> = items.iter().filter_map(|item| check(item, problems)).collect();
    if checks.iter().filter(|check| check.key.source.is_some()).count() > 1 {
        problems.error(&node.at, "one check at most fetches its keys: a request is not to send us to several places");
    }
    checks
}

fn check(node: &Node, problems: &mut Problems) -> Option<Check> {
    let mut fields = Fields::of(node, "a check", problems);
    let scheme = fields.need("scheme", node, problems).and_then(|node| scheme(node, problems));
    let each = fields.take("each").map(|node| each(node, problems));
    let place = fields.take("signature");
    let rule = place.map(|node| signature(node, problems));
    let written = fields.take("message");
    let template = written.map_or_else(|| Some(Template::default()), |node| template(node, "the message", problems));
    let digest = fields.take("digest").map(|node| choice(node, "`digest`", &[("none", false), ("sha256", true)], problems));
    let urls = fields.take("url").map(|node| as_list(node).iter().map(|item| choice(item, "the URL", &SPELLINGS, problems)).collect());
    let key_node = fields.take("key");
    let key = key_node.map_or_else(|| Some(KeyRule::default()), |node| key(node, problems));
    let timestamp = fields.take("timestamp").map_or(Some(None), |node| timestamp(node, problems).map(Some));
    let require =
        fields.take("require").map_or_else(|| Some(Condition::default()), |node| condition(node, "`require`", &|_| Ok(()), problems));
    fields.finish(problems);
    let scheme = scheme?;
    let family = scheme.family();
    let signature = match rule {
        Some(rule) => rule?,
        None if matches!(family, Family::Basic | Family::None) => SignatureRule::plain(Atom::Header("Authorization".into())),
        None => {
            problems.error(&node.at, "a check needs `signature`");
            return None;
        }
    };
    let each = each.map_or(Some(None), |each| each.map(Some))?;
    let spelled: Option<Vec<UrlSpelling>> = urls.unwrap_or_else(|| Some(vec![UrlSpelling::Exact]));
    let digested = digest.unwrap_or(Some(false))?;
    let (message, urls, key, timestamp, require) = (template?, spelled?, key?, timestamp?, require?);
    let check = Check { scheme, each, signature, message, digested, urls, key, timestamp, require };
    let mut faults = Faults { node, problems, fine: true };
    of_family(&check, place, written, key_node, &mut faults);
    consistent(&check, &mut faults);
    of_source(&check, &mut faults);
    faults.fine.then_some(check)
}

fn each(node: &Node, problems: &mut Problems) -> Option<Pointer> {
    match atom(node, problems)? {
        Atom::Json(pointer) if !pointer.many() => Some(pointer),
        _ => {
            problems.error(&node.at, "`each` is an array of the JSON document: `json:/items`");
            None
        }
    }
}

fn timestamp(node: &Node, problems: &mut Problems) -> Option<TimestampRule> {
    let mut fields = Fields::of(node, "a timestamp", problems);
    let at = fields.need("at", node, problems).and_then(|node| atom(node, problems));
    let unit = fields.need("unit", node, problems).and_then(|node| choice(node, "the unit", &UNITS, problems));
    let tolerance = fields
        .need("tolerance", node, problems)
        .and_then(|node| if off(node) { Some(None) } else { measure::duration(node, "the tolerance", problems).map(Some) });
    fields.finish(problems);
    Some(TimestampRule { at: at?, unit: unit?, tolerance: tolerance? })
}

/// Errors of one check, at its place.
struct Faults<'a> {
    node: &'a Node,
    problems: &'a mut Problems,
    fine: bool,
}

impl Faults<'_> {
    fn when(&mut self, wrong: bool, what: &str) {
        if wrong {
            self.problems.error(&self.node.at, what);
            self.fine = false;
        }
    }
}

/// What goes with a scheme and what does not.
fn of_family(check: &Check, place: Option<&Node>, message: Option<&Node>, key: Option<&Node>, faults: &mut Faults<'_>) {
    let family = check.scheme.family();
    let plain = check.signature.encoding == Encoding::Plain;
    let names_key = check.message.values().any(|value| value.atom == Atom::Key);
    let detached = check.signature.detached;
    let text_only = check.key.form != super::KeyForm::Text || check.key.derive.is_some();
    let keyed = matches!(family, Family::Hmac | Family::Ed25519 | Family::Ecdsa | Family::Rsa);
    faults.when(check.digested && !keyed, "`digest` is for codes and signatures over a `message`");
    match family {
        Family::Hmac | Family::Hash | Family::Ed25519 | Family::Ecdsa | Family::Rsa => {
            faults.when(plain, "a signature needs `encoding`");
            faults.when(message.is_none(), "a check needs `message`");
            faults.when(detached, "`detached` is for JSON Web Signatures");
        }
        Family::Jws => {
            faults.when(!plain, "a JSON Web Signature has a spelling of its own, without `encoding`");
            faults.when(check.signature.shape != Shape::Whole, "a JSON Web Signature is taken whole, without pairs or columns");
            faults.when(detached && message.is_none(), "a detached JSON Web Signature needs `message`, which is its payload");
            faults.when(!detached && message.is_some(), "a JSON Web Signature brings its own message, unless it is `detached`");
        }
        Family::Token => {
            faults.when(!plain || detached, "a token is taken as it is, without `encoding` and `detached`");
            faults.when(message.is_some(), "a token signs nothing, so there is no `message`");
            faults.when(check.timestamp.is_some(), "a token signs nothing, so a `timestamp` beside it proves nothing");
            faults.when(text_only, "a token is compared as text, without `form` and `derive`");
        }
        Family::Basic => {
            let known = check.signature.strip.is_empty() && check.signature.shape == Shape::Whole && plain && !detached;
            faults.when(!known, "of basic authentication only `at` can be said: the rest is RFC 7617");
            faults.when(message.is_some() || check.timestamp.is_some(), "basic authentication signs nothing: no `message`, no `timestamp`");
            faults.when(text_only, "basic authentication is compared as text: `user:password`");
        }
        Family::None => {
            let bare = place.is_none() && message.is_none() && key.is_none() && check.timestamp.is_none() && check.each.is_none();
            faults.when(!bare, "with `scheme: none` nothing but `require` has a meaning");
        }
    }
    faults.when(names_key && family != Family::Hash, "`{key}` is for hashes only: elsewhere the scheme itself takes the key");
    faults.when(!names_key && family == Family::Hash, "a hash without `{key}` in its message proves nothing: anyone can make it");
    let public = check.scheme.first().is_asymmetric();
    let of_public_keys = matches!(check.key.form, super::KeyForm::Pem | super::KeyForm::Spki | super::KeyForm::Jwks);
    faults.when(
        of_public_keys && !public && family != Family::Jws,
        "`pem`, `spki` and `jwks` are forms of public keys, and this scheme has none",
    );
    faults.when(public && check.key.form == super::KeyForm::Text, "a public key has a form: `pem`, `spki`, `jwks`, `hex` or `base64`");
}

/// What goes with keys that are fetched and what does not.
fn of_source(check: &Check, faults: &mut Faults<'_>) {
    let Some(source) = &check.key.source else {
        return;
    };
    let is_jws = check.scheme.family() == Family::Jws;
    let public = check.scheme.all().all(|(_, scheme)| scheme.is_asymmetric());
    faults.when(!public, "only public keys are fetched: whoever could fetch the key of this scheme could sign with it");
    faults.when(check.each.is_some(), "keys are fetched for one signature of a request, not for `each` of several");
    match &source.kind {
        SourceKind::Jwks { kid, .. } | SourceKind::Asked { kid, .. } => {
            let named = kid.as_ref().is_some_and(|kid| {
                matches!(kid, Atom::Header(_) | Atom::Json(_) | Atom::Form(_) | Atom::Parameter(_) | Atom::Field(_)) && !kid.many()
            });
            faults.when(is_jws && kid.is_some(), "a JSON Web Signature names its key in its own header, so there is no `kid`");
            faults.when(!is_jws && !named, "`kid` says where the request names the key of the set: a header, a JSON value, a field");
        }
        SourceKind::X509 { .. } => {
            let fits = matches!(check.scheme.family(), Family::Rsa | Family::Ecdsa);
            faults.when(!fits, "a certificate that a request points at is for RSA and ECDSA signatures");
        }
    }
}

/// What no single key can say wrong, and several together can.
fn consistent(check: &Check, faults: &mut Faults<'_>) {
    let of_message = || check.message.values().map(|value| &value.atom);
    let of_time = || check.timestamp.iter().map(|rule| &rule.at);
    let signed = check.message.text() != "";
    faults.when(
        check.signature.shape == Shape::Whole && check.atoms().any(|atom| matches!(atom, Atom::Field(_))),
        "`sig:` names a field of a candidate, and without `pairs`, `columns` or `unpack` a candidate has none",
    );
    faults.when(
        signed && !of_message().any(|atom| !matches!(atom, Atom::Key | Atom::Credential(_) | Atom::Endpoint)),
        "the message has no value of the request in it, so one signature would do for every request",
    );
    faults.when(
        of_message().chain(of_time()).chain(&check.signature.at).any(Atom::many),
        "`*` in a JSON pointer is for the event's id and type and for conditions; a message names one value",
    );
    faults.when(
        check.atoms().any(|atom| matches!(atom, Atom::Item(_))) && check.each.is_none(),
        "`item:` is a value of one element, and without `each` there are none",
    );
    let has_claims = check.scheme.family() == Family::Jws && !check.signature.detached;
    faults.when(
        check.atoms().any(|atom| matches!(atom, Atom::Claim(_))) && !has_claims,
        "`claim:` is a value of a JSON Web Signature that brings its payload, and this check has none",
    );
    let stray =
        |atom: &Atom| matches!(atom, Atom::Computed | Atom::Headers(_)) || (*atom == Atom::Key && !of_message().any(|own| own == atom));
    let elsewhere = of_message().chain(of_time()).chain(check.require.atoms());
    faults.when(elsewhere.into_iter().any(stray), "`computed`, `key` and families of headers have no meaning there");
    faults.when(
        check.urls != [UrlSpelling::Exact] && !of_message().any(|atom| *atom == Atom::Url),
        "`url` says how `{url}` is spelled in the message, and there is no `{url}` in it",
    );
    faults.when(check.urls.is_empty(), "`url` has at least one spelling");
    if let Some(rule) = &check.timestamp
        && !covers::by_check(check, &rule.at)
    {
        faults.problems.warning(&faults.node.at, "the timestamp is not in the message, so anyone can renew it");
    }
}
