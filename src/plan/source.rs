//! A configured intake.

use std::{sync::Arc, time::Duration};

use super::Guard;
use crate::{
    clock::UnixMs,
    name::SourceName,
    provider::{Accepted, Rejected},
    verify::Verifier,
};

/// A configured intake: a path, a provider with its credentials, its limits.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: SourceName,
    /// The provider's slug.
    pub provider: Arc<str>,
    /// Exact paths; several while migrating.
    pub paths: Vec<Box<str>>,
    /// The public URL as given to the provider, of the first path and without a URL token; `None` when no public URL is known.
    pub endpoint: Option<url::Url>,
    /// Who may come to its door at all.
    pub guard: Guard,
    /// Methods besides `POST` whose requests are events.
    pub methods: Box<[&'static str]>,
    /// Whether no known answer proves the file of its provider.
    pub unproved: bool,
    /// How its requests are proved.
    pub verifier: Verifier,
    /// Bytes of a body.
    pub body_limit: u64,
    /// From the last byte of the body to the answer.
    pub answer_within: Duration,
    /// How repeats are known.
    pub dedup: Dedup,
    /// What becomes of events no route wants.
    pub unrouted: Unrouted,
    /// The answer to accepted and repeated events.
    pub accepted: Accepted,
    /// The answer to requests that are not proved.
    pub rejected: Rejected,
    /// How long it may be silent before that is told; `None` as long as it likes.
    pub expect_every: Option<Duration>,
    /// Switched off: its paths answer 404.
    pub disabled: bool,
}

impl Source {
    /// What an event of it rests on, as metrics and status name it: `signed`, `token`, `url_token`, `none`, or `unproved` where a file
    /// without known answers says how it is signed, and while the source only observes.
    #[must_use]
    pub fn verification(&self, now: UnixMs) -> &'static str {
        if self.verifier.observes(now) { "unproved" } else { self.enforced() }
    }

    /// Whether a request of this method is an event, once it is proved and is no handshake.
    #[must_use]
    pub fn takes(&self, method: &str) -> bool {
        method == "POST" || self.methods.contains(&method)
    }

    /// All methods it may be rung with, each once: those of its events, then those that only handshakes come with.
    #[must_use]
    pub fn allowed(&self) -> Vec<&str> {
        let of_handshakes = self.verifier.methods().iter().map(|method| &**method).filter(|method| !self.takes(method));
        let mut allowed: Vec<&str> = std::iter::once("POST").chain(self.methods.iter().copied()).collect();
        for method in of_handshakes {
            if !allowed.contains(&method) {
                allowed.push(method);
            }
        }
        allowed
    }

    /// Whether a request that is let in is proved, by a signature or by a token.
    #[must_use]
    pub fn proves(&self) -> bool {
        self.enforced() != "none"
    }

    fn enforced(&self) -> &'static str {
        match self.verifier.verification() {
            "none" if !self.guard.url_tokens.is_empty() => "url_token",
            "none" => "none",
            _ if self.unproved => "unproved",
            proved => proved,
        }
    }
}

/// How repeats are known.
#[derive(Clone, Debug)]
pub struct Dedup {
    /// How long.
    pub window: Duration,
    /// By what.
    pub by: DedupBy,
    /// Whether a repeat gives dead deliveries a new try.
    pub revive: bool,
}

/// What makes two requests the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DedupBy {
    /// The provider's event id, or, when there is none, what its file says: the body, or nothing.
    Provider,
    /// The body.
    Body,
    /// Nothing: every request is new.
    None,
    /// A template of the source's, or as with `Provider` where it is incomplete. The verifier has it.
    Template,
}

/// What becomes of events no route wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrouted {
    /// Stored, listed, replayable.
    Keep,
    /// Answered and forgotten.
    Drop,
}
