//! Why a request was refused, in a sentence that says what to do: for the command line, never for a running gateway.
//!
//! The mistakes people make with webhooks are few: another secret, a secret spelled in another way, a body that was read and written anew,
//! another URL, another clock, another vendor. Each is undone on a copy, and the copy is verified like any request, by the same code: what
//! verifies then names the mistake. The number of tries is bounded by [`TRIES_MAX`], the bytes that they read by [`TRIED_BYTES_MAX`].
//!
//! Whoever runs this holds the secrets. Still no text of it shows one, nor a URL, a body, or a signature that would have been right: only
//! names, fingerprints, and at most [`SHOWN_SIGNATURE_BYTES_MAX`] characters of a signature that was received.
//!
//! [`secret`], [`neighbour`], [`address`], [`body`] (with [`json`]), [`vendor`] and [`clock`] each undo one kind of mistake with the help
//! of a [`trial`]; [`found`] says what is true when none of them was it.

mod address;
mod body;
mod clock;
mod found;
mod json;
mod neighbour;
mod secret;
mod trial;
mod vendor;

pub use found::SHOWN_SIGNATURE_BYTES_MAX;
pub use trial::{TRIED_BYTES_MAX, TRIES_MAX};

use super::{Credential, Tolerance, Verifier};
use crate::{
    clock::UnixMs,
    provider::{Catalogue, Check, Provider},
    rejection::Rejection,
    request::RawRequest,
};
use trial::Trial;

/// What requests are verified with, before it is compiled: so that it can be compiled with one thing changed.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Who signs.
    pub provider: &'a Provider,
    /// What with.
    pub credentials: Vec<Credential>,
    /// Credentials that are past their `until`: nothing is verified with them, and one of them may be what was signed with.
    pub retired: Vec<Credential>,
    /// The public URL as the provider has it.
    pub endpoint: Option<url::Url>,
    /// How old a signature may be, where it is not the provider file that says it.
    pub tolerance: Option<Tolerance>,
}

/// Another source of the same configuration.
#[derive(Clone, Debug)]
pub struct Neighbour<'a> {
    /// Its name.
    pub name: Box<str>,
    /// What its requests are verified with.
    pub setting: Setting<'a>,
}

/// A request that was refused, and all that is known around it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The request as it was verified.
    pub request: &'a RawRequest,
    /// The query of its own request line, when another URL was given for it.
    pub line_query: Option<&'a str>,
    /// When it was verified.
    pub now: UnixMs,
    /// Why it was refused.
    pub rejection: Rejection,
    /// What it was verified with.
    pub setting: &'a Setting<'a>,
    /// The other sources of the configuration; none without one.
    pub neighbours: &'a [Neighbour<'a>],
    /// The providers that it might be of instead.
    pub catalogue: &'a Catalogue,
}

/// What there is to say of a refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// For people: with a mistake found, one sentence that names it and what to do; else what was looked for, and what was tried. Where
    /// the signature is too old besides, a second sentence says so.
    pub text: String,
    /// Whether undoing one mistake makes the request verify.
    pub found: bool,
    /// How many ways were tried.
    pub tries: usize,
}

impl Setting<'_> {
    /// Compiles it.
    ///
    /// # Errors
    /// As [`Verifier::compile`].
    pub fn compile(&self) -> Result<Verifier, Vec<String>> {
        Verifier::compile(self.provider, &self.credentials, self.endpoint.as_ref(), self.tolerance)
    }

    /// The same with another value for one credential, and no other value of that name.
    fn with(&self, credential: Credential) -> Self {
        let mut credentials = self.credentials.clone();
        credentials.retain(|other| other.name != credential.name);
        credentials.push(credential);
        Self { credentials, ..self.clone() }
    }

    /// The names of the credentials that a signature is made with.
    fn key_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.provider.checks.iter().flat_map(|check| &check.key.from).map(|name| &**name).collect();
        names.dedup();
        names
    }

    /// The credentials that a signature is made with.
    fn keys(&self) -> impl Iterator<Item = &Credential> {
        let names = self.key_names();
        self.credentials.iter().filter(move |credential| names.contains(&&*credential.name))
    }

    fn has_time(&self) -> bool {
        self.provider.checks.iter().any(|check| check.timestamp.is_some())
    }
}

/// The provider without its known answers, to be changed and compiled.
fn changed(provider: &Provider, change: impl Fn(&mut Check)) -> Provider {
    let mut changed = Provider { vectors: Vec::new(), ..provider.clone() };
    changed.checks.iter_mut().for_each(change);
    changed
}

/// Says why the request was refused, and which mistake, if undone, would have it accepted.
#[must_use]
pub fn explain(case: &Case<'_>) -> Explanation {
    let mut trial = Trial::at(case.now);
    let found = match case.rejection {
        Rejection::DuplicateHeader => found::doubled(case),
        Rejection::Stale | Rejection::Future => clock::away(case),
        Rejection::MissingSignature | Rejection::BadSignature | Rejection::Malformed | Rejection::Requirement => mistake(case, &mut trial),
        _ => None,
    };
    let tries = trial.tries();
    match found {
        Some(text) => Explanation { text, found: true, tries },
        None => Explanation { text: found::nothing(case, &trial), found: false, tries },
    }
}

/// The first mistake that explains the refusal: the likeliest are tried first.
fn mistake(case: &Case<'_>, trial: &mut Trial) -> Option<String> {
    secret::another(case, trial)
        .or_else(|| neighbour::another(case, trial))
        .or_else(|| secret::spelled(case, trial))
        .or_else(|| address::another(case, trial))
        .or_else(|| body::another(case, trial))
        .or_else(|| vendor::another(case, trial))
}

#[cfg(test)]
mod tests;
