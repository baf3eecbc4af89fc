//! `sources`: configured intakes as they are written.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    answers::{OnReject, Respond},
    credential::{Credential, credentials, secrets},
    dedup::Dedup,
    inline::Inline,
    method::{self, EventMethod},
    placed::{Link, Named, OneOrMany, Period, Placed, Size, Text},
    section::Section,
    switch::Switch,
    values::{self, plain},
};
use crate::{
    clock::UnixMs,
    subject::SubjectName,
    yaml::{At, Node, Problems, Value, off},
};

/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// The longest URL token, in bytes: providers cut long URLs.
const URL_TOKEN_BYTES_MAX: usize = 256;

/// A configured intake: a path, a provider, its credentials, its limits.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(extend("oneOf" = [{ "x-required": ["provider"] }, { "x-required": ["verify"] }]))]
pub struct Source {
    /// Where it begins.
    #[serde(skip)]
    #[schemars(skip)]
    pub at: At,
    /// The kind of sender: a name from `hookgate providers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Placed<String>>,
    /// Instead of `provider`: what the sender signs and sends, in the grammar of the provider files. One check by its keys, with what else
    /// such a file says beside them, or a list of checks. `{...}` are templates here, and nothing is inserted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Placed<Inline>>,
    /// The exact path, `/hooks/<name>` when left out; a list while migrating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Placed<OneOrMany<Placed<String>>>>,
    /// The full URL as given to the provider, when it is not `server.public_url` and the path; without the `url_token`, which is put behind
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub public_url: Option<Placed<Link>>,
    /// One more segment of the path, which only the provider knows; a list while rotating, of which any may match. At most 4 are active.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub url_token: Option<Placed<OneOrMany<Credential>>>,
    /// The signing secret; a list while rotating, of which any may match. At most 4 are active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Placed<OneOrMany<Credential>>>,
    /// Further credentials, in the provider's own words.
    #[serde(skip_serializing_if = "nothing_named")]
    #[schemars(extend("x-off" = true))]
    pub credentials: Named<OneOrMany<Credential>>,
    /// Networks the provider rings from, or addresses: others are refused before their body is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub allow_ips: Option<Placed<OneOrMany<Placed<Text<IpNet>>>>>,
    /// The certificate that the provider shows as a client: connections without it are refused before a body is read. It is asked for by
    /// `server.tls.client_ca`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub client_cert: Option<Placed<ClientCert>>,
    /// Methods besides POST, which is always taken, whose requests are events too: proved, stored and delivered like any. A target is asked
    /// with its own `method` all the same. HEAD and OPTIONS are taken as events like the others when they are named, and like them reach a
    /// source in no other way but a handshake of its provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub allow_methods: Option<Placed<OneOrMany<Placed<EventMethod>>>>,
    /// Takes what nothing proves: for a provider that signs nothing, when none of `url_token`, `allow_ips` and `client_cert` guards the
    /// source.
    pub allow_unsigned: Placed<bool>,
    /// How far a signed timestamp may lie from now: `provider` for what its file says, a duration, or `none`.
    pub tolerance: Placed<Tolerance>,
    /// Bytes of a body: `provider` for what its file says, else `server.limits.body`.
    pub body_limit: Placed<BodyLimit>,
    /// How repeats are known.
    #[schemars(extend("x-off" = true))]
    pub dedup: Dedup,
    /// Until this moment, at most 30 days ahead, what nothing proves and what a guard refuses is accepted, delivered as not verified, and
    /// counted as what it would be rejected for. Then the source enforces by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub observe_until: Option<Placed<Text<UnixMs>>>,
    /// What becomes of events no route wants. Written out, no route need name this source.
    pub unrouted: Placed<Unrouted>,
    /// The answer to accepted events, instead of the provider file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub respond: Option<Placed<Respond>>,
    /// The status of the answer to requests that are not proved: `provider` for what its file says (401), 403 or 503.
    pub on_reject: Placed<OnReject>,
    /// How long it may be silent before that is told, where `alerts` asks for `source_silent`; `none` for as long as it likes.
    pub expect_every: Placed<Expected>,
    /// Switched off: its paths answer 404.
    pub disabled: Placed<bool>,
}

/// What a client certificate must say.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(extend("x-required" = ["san"]))]
pub struct ClientCert {
    /// A subject alternative name: a host name, a URI, an e-mail address or an IP address, compared exactly; or a list, of which any may
    /// stand in the certificate.
    pub san: Placed<OneOrMany<Placed<Text<SubjectName>>>>,
}

fn nothing_named<T>(named: &Named<T>) -> bool {
    named.0.is_empty()
}

/// How far a signed timestamp may lie from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tolerance {
    /// As the provider file says.
    Provider,
    /// Any age is taken.
    None,
    /// So far, either way.
    #[serde(untagged)]
    Within(Period),
}

/// How long a source may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// As long as it likes.
    None,
    /// So long.
    #[serde(untagged)]
    Every(Period),
}

/// Bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BodyLimit {
    /// As the provider file says.
    Provider,
    /// So many.
    #[serde(untagged)]
    Bytes(Size),
}

/// What becomes of events no route wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unrouted {
    /// Stored, listed, replayable.
    Keep,
    /// Answered and forgotten.
    Drop,
}

impl Source {
    /// The URL tokens that are good at this time, in the order written.
    pub fn active_url_tokens(&self, now: UnixMs) -> impl Iterator<Item = &Credential> {
        let all = self.url_token.iter().flat_map(|tokens| tokens.iter());
        all.filter(move |token| token.until.as_ref().is_none_or(|until| now < until.0))
    }

    /// Where it is said what its provider is.
    #[must_use]
    pub fn provider_at(&self) -> &At {
        let inline = || self.verify.as_ref().map(|verify| &verify.at);
        self.provider.as_ref().map(|provider| &provider.at).or_else(inline).unwrap_or(&self.at)
    }

    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        let is_mapping = matches!(node.value, Value::Map(_) | Value::Nothing);
        match (node.get("provider"), node.get("verify")) {
            (None, None) if is_mapping => {
                problems.error_hint(&node.at, "a source needs `provider` or `verify`", "`hookgate providers` lists the providers");
            }
            (Some(provider), Some(verify)) => {
                let said = format!("`verify` says what `provider` at {} names", provider.at);
                problems.error_hint(&verify.at, said, "a source has one of the two");
            }
            _ => {}
        }
        Self::read_part(node, problems)
    }

    /// The same of a mapping that need not be complete.
    pub(super) fn read_part(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "a source", problems);
        let read = Self {
            at: node.at.clone(),
            provider: section.optional("provider", values::string),
            verify: section.optional("verify", |node, _, problems| Inline::read(node, problems)),
            path: section.several("path", path),
            public_url: section.unless_off("public_url", values::link),
            url_token: section.unless_off("url_token", |node, what, problems| Some(url_tokens(node, what, problems))),
            secret: section.optional("secret", |node, what, problems| Some(secrets(node, what, problems))),
            credentials: named_credentials(&section.part("credentials"), section.problems),
            allow_ips: section.several_unless_off("allow_ips", values::network),
            client_cert: section.unless_off("client_cert", ClientCert::read),
            allow_methods: method::methods(&mut section),
            allow_unsigned: section.value("allow_unsigned", false, values::flag),
            tolerance: section.value("tolerance", Tolerance::Provider, |node, what, problems| match plain(node) {
                Some("provider") => Some(Tolerance::Provider),
                _ if off(node) => Some(Tolerance::None),
                _ => values::lasting(node, what, problems).map(Tolerance::Within),
            }),
            body_limit: section.value("body_limit", BodyLimit::Provider, |node, what, problems| match plain(node) {
                Some("provider") => Some(BodyLimit::Provider),
                _ => values::size(node, what, problems).map(BodyLimit::Bytes),
            }),
            dedup: Dedup::read(&mut section),
            observe_until: section.unless_off("observe_until", values::moment),
            unrouted: section.value("unrouted", Unrouted::Keep, |node, what, problems| {
                values::choice(&[Unrouted::Keep, Unrouted::Drop], node, what, problems)
            }),
            respond: respond(&mut section),
            on_reject: section.value("on_reject", OnReject::Provider, OnReject::read),
            expect_every: section.value("expect_every", Expected::None, |node, what, problems| {
                if off(node) { Some(Expected::None) } else { values::lasting(node, what, problems).map(Expected::Every) }
            }),
            disabled: section.value("disabled", false, values::flag),
        };
        section.planned(&["redact", "reply_from", "formerly"]);
        section.finish();
        read
    }
}

/// A path as it stands in a request line: compared byte for byte, so only what can arrive there is taken.
fn path(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    let text = values::text(node, what, problems)?;
    let fault = if !text.starts_with('/') {
        "begins with `/`"
    } else if text.contains(['?', '#']) {
        "ends before any `?` or `#`"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "is printable ASCII, with everything else percent-encoded"
    } else if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        "has no `.` and `..`, which clients take out before they send it"
    } else if text.len() > PATH_BYTES_MAX {
        "is at most 1024 bytes long"
    } else {
        return Some(text.to_owned());
    };
    problems.error(&node.at, format!("{what} {fault}, and this is {}", values::shown(node, text)));
    None
}

/// URL tokens, each of characters that nobody on the way encodes: there is one spelling of it.
fn url_tokens(node: &Node, what: &str, problems: &mut Problems) -> OneOrMany<Credential> {
    let mut found = secrets(node, what, problems);
    found.0.retain(|credential| {
        let bytes = credential.value.0.reveal(); // only its length and its alphabet are looked at
        let plain = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'));
        let fault = if !plain {
            "is a segment of a path: letters, digits, `-`, `_`, `~` and `.` only"
        } else if bytes.len() > URL_TOKEN_BYTES_MAX {
            "is at most 256 bytes long"
        } else {
            return true;
        };
        problems.error_hint(&credential.value.at, format!("{what} {fault}"), "make one with `openssl rand -hex 32`");
        false
    });
    found
}

fn named_credentials(node: &Node, problems: &mut Problems) -> Named<OneOrMany<Credential>> {
    match &node.value {
        _ if off(node) => Named::default(),
        Value::Map(entries) => {
            let read = |(key, value): &(crate::yaml::Key, Node)| {
                (key.clone(), credentials(value, &format!("the credential `{}`", key.text), problems))
            };
            Named(entries.iter().map(read).collect())
        }
        Value::Nothing => Named::default(),
        Value::Null | Value::Scalar { .. } | Value::List(_) => {
            problems.error(&node.at, format!("`credentials` is a mapping of names to values, and this is {}", node.kind()));
            Named::default()
        }
    }
}

impl ClientCert {
    fn read(node: &Node, what: &str, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::of(node, what, problems);
        let san = section.several("san", values::subject_name);
        if san.is_none() && !section.problems.blames(&section.at) {
            section.problems.error_hint(&section.at, format!("{what} needs `san`"), "write the name in the client's certificate");
        }
        section.finish();
        Some(Self { san: san? })
    }
}

fn respond(source: &mut Section<'_, '_>) -> Option<Placed<Respond>> {
    // A key with nothing behind it would be an answer of our own without a body.
    let Switch::On(node) = source.switch("respond") else { return None };
    let value = Respond::read(node, "`respond`", source.problems)?;
    Some(Placed { at: node.at.clone(), written: true, hidden: node.hidden, value })
}
