//! What may become an event, and on what grounds: it is proved, or its source only observes for now and takes what nothing proves.
//!
//! Observing is the one exception to "what is not proved is not stored". It is bounded by a time that the configuration sets and the clock
//! is asked about for each request; it stays with the event as its [`Proof`], so that it is kept apart from what is proved wherever that
//! matters; and it answers no handshake, because an answer may be made with a secret.

use super::{Identity, Unproved, Verified, Verifier};
use crate::{alert::Alert, clock::UnixMs, rejection::Rejection, request::RawRequest, secret::Fingerprint};

/// What an event rests on. Only this module's parent can make one, but for an [`Alert`], which only [`crate::alert`] can make.
#[derive(Clone, Copy, Debug)]
pub struct Proof(Grounds);

#[derive(Clone, Copy, Debug)]
enum Grounds {
    /// Every check holds.
    Verified { secret: Option<Fingerprint>, skew_ms: Option<i64> },
    /// It would have been rejected for this.
    Observed(Rejection),
    /// Nobody rang: it is an alert of our own.
    Own,
}

/// A request that may become an event: what it says that it is, and what that rests on. Only this module can make one.
#[derive(Debug)]
pub struct Identified {
    request: RawRequest,
    identity: Identity,
    proof: Proof,
}

impl Proof {
    /// Of a request whose checks all hold.
    pub(super) fn verified(secret: Option<Fingerprint>, skew_ms: Option<i64>) -> Self {
        Self(Grounds::Verified { secret, skew_ms })
    }

    /// Of an alert, which needs none: there is not a byte of a request in it.
    #[must_use]
    pub fn of_own(_: &Alert) -> Self {
        Self(Grounds::Own)
    }

    /// The secret that matched; `None` for a scheme without one, and where nothing is proved.
    #[must_use]
    pub fn secret(&self) -> Option<Fingerprint> {
        match self.0 {
            Grounds::Verified { secret, .. } => secret,
            Grounds::Observed(_) | Grounds::Own => None,
        }
    }

    /// How far the signed timestamp lay behind our clock, in milliseconds; negative when ahead.
    #[must_use]
    pub fn skew_ms(&self) -> Option<i64> {
        match self.0 {
            Grounds::Verified { skew_ms, .. } => skew_ms,
            Grounds::Observed(_) | Grounds::Own => None,
        }
    }

    /// Why it would have been rejected, had its source not only observed; `None` for what is proved.
    #[must_use]
    pub fn observed(&self) -> Option<Rejection> {
        match self.0 {
            Grounds::Verified { .. } | Grounds::Own => None,
            Grounds::Observed(reason) => Some(reason),
        }
    }
}

impl Identified {
    /// The request, as received.
    #[must_use]
    pub fn request(&self) -> &RawRequest {
        &self.request
    }

    /// What it rests on.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// All of it, given up.
    #[must_use]
    pub fn into_parts(self) -> (RawRequest, Identity, Proof) {
        (self.request, self.identity, self.proof)
    }
}

impl Verifier {
    /// The same, of a source that only observes until this time.
    #[must_use]
    pub fn observing_until(self, observe_until: Option<UnixMs>) -> Self {
        Self { observe_until, ..self }
    }

    /// When its source stops to only observe, if it ever did; that may be over.
    #[must_use]
    pub fn observe_until(&self) -> Option<UnixMs> {
        self.observe_until
    }

    /// Whether its source only observes at this time.
    #[must_use]
    pub fn observes(&self, now: UnixMs) -> bool {
        self.observe_until.is_some_and(|until| now < until)
    }

    /// What a verified request is, and that it is verified.
    #[must_use]
    pub fn identified(&self, verified: Verified) -> Identified {
        let identity = self.identify(&verified);
        Identified { identity, proof: verified.proof, request: verified.request }
    }

    /// Takes a request that is refused, as one that nothing proves. Its id and its types are what it says; of a token's claims nothing is
    /// believed.
    ///
    /// # Errors
    /// The request as it was: its source does not observe at `now`, the reason is not a matter of proof, or it is a handshake.
    pub fn observe(&self, refused: Box<Unproved>, now: UnixMs) -> Result<Identified, Box<Unproved>> {
        if !self.observes(now) || !refused.reason.is_of_proof() || self.is_handshake(&refused.request, now) {
            return Err(refused);
        }
        let Unproved { request, reason } = *refused;
        let identity = self.identity(&request, &[], None);
        Ok(Identified { request, identity, proof: Proof(Grounds::Observed(reason)) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::{
        provider::{self, Catalogue},
        request::HeadersBuilder,
        secret::Secret,
        verify::Credential,
        yaml::Problems,
    };

    const NOW: UnixMs = UnixMs(1_760_000_000_000);
    const UNTIL: UnixMs = UnixMs(1_760_000_000_001);

    fn refused(reason: Rejection, method: &str, headers: &[(&str, &str)], body: &str) -> Box<Unproved> {
        let mut block = HeadersBuilder::new();
        headers.iter().for_each(|(name, value)| assert!(block.push(name, value.as_bytes())));
        let request = RawRequest {
            method: method.into(),
            path: "/hooks/a".into(),
            query: None,
            headers: block.build(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            client_ip: [127, 0, 0, 1].into(),
            received_at: NOW,
        };
        Box::new(Unproved { request, reason })
    }

    fn github() -> Verifier {
        let secret = Credential { name: "secret".into(), value: Secret::new("0123456789abcdef"), until: None };
        Verifier::compile(Catalogue::embedded().find("github").expect("embedded"), &[secret], None, None).expect("compiles")
    }

    #[test]
    fn what_is_refused_for_its_proof_is_taken_until_the_time_and_says_so() {
        let verifier = github().observing_until(Some(UNTIL));
        let ring = |reason| refused(reason, "POST", &[("X-GitHub-Delivery", "d-1"), ("X-GitHub-Event", "push")], "{}");
        let observed = verifier.observe(ring(Rejection::BadSignature), NOW).expect("taken");
        assert_eq!((observed.proof().observed(), observed.proof().secret()), (Some(Rejection::BadSignature), None));
        let (_, identity, _) = observed.into_parts();
        assert_eq!((identity.id.as_deref(), identity.types.to_string(), identity.signed), (Some(&b"d-1"[..]), "push".to_owned(), None));
        assert!(verifier.observe(ring(Rejection::BadSignature), UNTIL).is_err(), "it is over");
        assert!(github().observe(ring(Rejection::BadSignature), NOW).is_err(), "it never was");
        let taken = Rejection::ALL.into_iter().filter(|reason| verifier.observe(ring(*reason), NOW).is_ok()).map(Rejection::code);
        let expected =
            ["missing_signature", "bad_signature", "stale", "future", "malformed", "requirement", "ip", "url_token", "client_cert"];
        assert_eq!(taken.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_handshake_is_taken_for_an_event() {
        let mut problems = Problems::new();
        let text = "provider: t\nverify: { scheme: hmac-sha256, signature: { at: header:S, encoding: hex }, message: '{body}' }\n\
                    handshakes:\n\
                    \x20 - { name: ask, after: none, when: { method: GET, query:c: true }, reply: { text: '{query:c}' } }\n\
                    \x20 - { name: ping, after: verify, when: { json:/type: ping }, reply: { text: pong } }\n";
        let provider = provider::read(&Arc::from("t.yaml"), text, &|_| None, &mut problems);
        let provider = provider.unwrap_or_else(|| panic!("{:?}", problems.into_sorted()));
        let secret = Credential { name: "secret".into(), value: Secret::new("0123456789abcdef"), until: None };
        let verifier = Verifier::compile(&provider, &[secret], None, None).expect("compiles").observing_until(Some(UNTIL));
        let observed = |method: &str, query: Option<&str>, body: &str| {
            let mut refused = refused(Rejection::BadSignature, method, &[], body);
            refused.request.query = query.map(Box::from);
            verifier.observe(refused, NOW).is_ok()
        };
        assert!(!observed("POST", None, r#"{"type":"ping"}"#) && !observed("GET", Some("c=1"), ""));
        assert!(observed("POST", None, r#"{"type":"pong"}"#) && observed("POST", Some("c=1"), ""));
    }
}
