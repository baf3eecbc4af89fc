//! Provider files: what a vendor's webhooks look like, as data. One YAML file says how a vendor signs, names and counts its events; no Rust
//! is written for it.
//!
//! The grammar is closed. A file is read whole into a [`Provider`], or refused with everything that is wrong, each with file, line and
//! column: unknown keys, atoms and filters are errors, and the parts of the grammar that are not built yet are refused as planned, never
//! parsed and ignored. What follows from what is written is derived here and cannot be written: which parts of the identity the signature
//! covers, and whether the public URL is signed.
//!
//! In the order of a file: [`read`] takes the file apart ([`like`] fills it up from another first), [`check`] its `verify` part with
//! [`scheme`], [`signature`], [`key`] (with [`key_source`]) and [`condition`], [`event`] what a request is, [`handshake`] and [`reply`]
//! what is answered; [`template`] and [`atom`] are what stands in all of them, [`covers`] what follows from it, [`vector`] the known
//! answers that prove it. Nothing here knows the configuration, a key, or a request; files of the user's own are given to the
//! [`catalogue`] as text, and what a source says of its provider itself as the tree that [`inline`] makes a file of.

mod atom;
mod catalogue;
mod check;
mod condition;
mod covers;
mod event;
mod handshake;
mod inline;
mod key;
mod key_source;
mod like;
mod measure;
mod read;
mod reply;
mod scheme;
mod signature;
mod template;
mod vector;
mod words;

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;

pub use atom::{Atom, Filter, HeaderList, Pointer, Step};
pub use catalogue::Catalogue;
pub use check::{Check, TimeUnit, TimestampRule, UrlSpelling};
pub use condition::{Condition, Demand, Want};
pub use event::{DedupKey, dedup_key, order};
pub use handshake::{After, Computation, Compute, Effect, HANDSHAKES_MAX, Handshake};
pub use inline::{INLINE, inline};
pub use key::{Derivation, KeyForm, KeyRule};
pub use key_source::{CLIENT_ID, CLIENT_SECRET, HostPattern, Issuer, KeySource, KeyVendor, SourceKind, is_region};
pub use read::{Others, read, read_inline};
pub use reply::{JsonRule, ReplyBody, ReplyRule};
pub use scheme::{Family, Scheme, SchemeRule};
pub use signature::{Encoding, Shape, SignatureRule};
pub use template::{Part, Template, Value};
pub use vector::{Edit, Example, Expected, Reject, Vector};

/// A provider: how one kind of sender signs, names and repeats.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name in configuration files, which is its file's name.
    pub slug: Box<str>,
    /// Its name for people.
    pub title: Box<str>,
    /// Where the vendor documents it.
    pub docs: Vec<Box<str>>,
    /// How sure the file's author was.
    pub confidence: Confidence,
    /// What the operator has to bring.
    pub credentials: Vec<CredentialRule>,
    /// What proves a request; every check must hold.
    pub checks: Vec<Check>,
    /// Where the JSON document is: the first of these places that is there.
    pub document: Vec<DocumentPlace>,
    /// What a request is.
    pub event: EventRule,
    /// What is answered and is no event.
    pub handshakes: Vec<Handshake>,
    /// The answer to an accepted event.
    pub accepted: Accepted,
    /// The answer to a request that is not proved.
    pub rejected: Rejected,
    /// The largest body the vendor sends, in bytes; `None` when it does not say.
    pub body_limit: Option<u64>,
    /// How long the vendor waits for the answer; `None` when it does not say.
    pub answer_timeout: Option<Duration>,
    /// How long the vendor repeats what was not answered well.
    pub retries: Retries,
    /// What the vendor takes for a good answer.
    pub success: Success,
    /// Whether the signature covers the public URL, so that it must be known. Derived.
    pub needs_public_url: bool,
    /// Where the vendor sends a secret as it is: these places are never forwarded. Derived.
    pub credential_places: Vec<Atom>,
    /// Steps for the operator; `{endpoint}` stands for the URL to paste.
    pub setup: Vec<Box<str>>,
    /// Known answers. They prove the file and are never part of what runs.
    pub vectors: Vec<Vector>,
}

/// How sure the file's author was of the signing scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// Checked against the vendor's SDK or documentation.
    High,
    /// Put together from good sources, not run against the vendor.
    Medium,
    /// Likely.
    Low,
}

/// What the operator has to bring, in the vendor's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRule {
    /// The name in configuration files; `secret` is the one that a source's `secret:` fills.
    pub name: Box<str>,
    /// What the vendor calls it.
    pub label: Box<str>,
    /// Where the vendor shows it.
    pub place: Option<Box<str>>,
    /// What it usually begins with; a different beginning is worth a warning, since people often paste the wrong thing.
    pub prefix: Option<Box<str>>,
    /// Whether a source must have it.
    pub required: bool,
    /// What the operator should know before he relies on it, or does without it.
    pub warn: Option<Box<str>>,
}

/// A place where a request's JSON document can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentPlace {
    /// The body, unless it is a form.
    Body,
    /// This field of a form.
    Form(Box<str>),
}

/// What a request is: alternatives, of which the first that is complete holds.
#[derive(Clone, Debug, Default)]
pub struct EventRule {
    /// The vendor's id of the event.
    pub id: Vec<Template>,
    /// Its types. An alternative with a `*` gives a set.
    pub types: Vec<Template>,
    /// Whether the signed text itself is good for one event only, whatever id stands beside it.
    pub once: bool,
    /// Whether a request without an id is an event of its own; else the body stands for the id. Some vendors say the same again when
    /// something else has happened.
    pub always_new: bool,
    /// Whether the signature covers the id. Derived.
    pub id_signed: bool,
    /// Whether the signature covers the types. Derived.
    pub types_signed: bool,
    /// Whether the signature covers the body as it stands, and no check reads a form in it: what the event is made of is then read off the
    /// body's bytes, because its type is not signed. Derived.
    pub body_signed: bool,
    /// What the source knows the event by, instead of what the provider does. No file says it.
    pub key: Option<Template>,
}

impl EventRule {
    /// Every atom in it.
    pub fn atoms(&self) -> impl Iterator<Item = &Atom> {
        self.id.iter().chain(&self.types).chain(&self.key).flat_map(Template::values).map(|value| &value.atom)
    }
}

/// The answer to an accepted event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// A 2xx status.
    pub status: u16,
    /// Its content type.
    pub content_type: Cow<'static, str>,
    /// Further headers.
    pub headers: Arc<[(Box<str>, Box<str>)]>,
    /// Its body.
    pub body: Bytes,
}

/// The answer to a request that is not proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// A 4xx status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

impl Default for Accepted {
    /// 200 with nothing in it: what every vendor takes.
    fn default() -> Self {
        Self { status: 200, content_type: Cow::Borrowed(reply::TEXT), headers: Arc::default(), body: Bytes::new() }
    }
}

impl Default for Rejected {
    /// 401.
    fn default() -> Self {
        Self { status: 401, headers: Vec::new() }
    }
}

/// How long the vendor repeats what was not answered well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// For so long after the first try.
    For(Duration),
    /// Never by itself: what is refused is lost unless someone asks for it again.
    None,
    /// It is not documented.
    Unknown,
}

/// What the vendor takes for a good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// Any 2xx.
    Any2xx,
    /// This status alone.
    Exactly(u16),
}

impl Provider {
    /// The rule for a credential.
    #[must_use]
    pub fn credential(&self, name: &str) -> Option<&CredentialRule> {
        self.credentials.iter().find(|rule| &*rule.name == name)
    }

    /// Whether the key of its first check may be handed over in a handshake, so that a source can begin without.
    #[must_use]
    pub fn hands_over(&self) -> bool {
        self.handshakes.iter().any(|handshake| matches!(handshake.effect, Some(Effect::ShowSecret { .. })))
    }

    /// Whether a credential is a secret. The others say who is meant (an account, an audience, a client): they are only held against what a
    /// signature proves, or are part of what it covers, so they may be short and stand in two sources.
    #[must_use]
    pub fn is_secret(&self, name: &str) -> bool {
        let names_it = |atom: &Atom| matches!(atom, Atom::Credential(own) if **own == *name);
        let signs = |check: &&Check| !matches!(check.scheme.family(), Family::Hash | Family::Token | Family::Basic | Family::None);
        let (signed, bare): (Vec<&Check>, Vec<&Check>) = self.checks.iter().partition(signs);
        let is_key = self.checks.iter().any(|check| check.key.from.iter().any(|key| **key == *name));
        let is_proof =
            bare.iter().any(|check| check.atoms().any(names_it)) || self.handshakes.iter().flat_map(Handshake::atoms).any(names_it);
        is_key || is_proof || !(name == CLIENT_ID || signed.iter().any(|check| check.atoms().any(names_it)))
    }

    /// The schemes of its checks as they are written (`hmac-sha256`), joined with `+`.
    #[must_use]
    pub fn scheme(&self) -> String {
        self.checks.iter().map(|check| check.scheme.words()).collect::<Vec<_>>().join("+")
    }
}

impl Confidence {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}
