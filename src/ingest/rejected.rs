//! The way into the rejected ring, and the way back out of it.
//!
//! In: what `verify` refuses is kept whole, and what the head alone shows to be wrong is kept without a body, because it was never read.
//! Only where it is a matter of time is the body read all the same: whoever writes a good time has it read anyway. What is refused before
//! it comes to a proof (path, method, size, address, URL token, client certificate) is not kept, and neither are handshakes.
//!
//! No secret goes in. A place that is proved by the secret itself is struck out, as it is for the store, and so is every field whose name
//! says that it holds one and that the provider does not look at. So a request that only such a place proves cannot be proved again.
//!
//! Out: the same checks as at the door, by the plan of today, at the time the request had come: what was too old then is too old now. Then
//! the same way into the store, with deduplication, routes and a durable write before the yes.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Ingest,
    address::Client,
    checks::{self, Rung},
    head::{self, Head, Secrets},
    refusal::Refusal,
};
use crate::{
    clock::UnixMs,
    event::EventId,
    metrics::RequestResult,
    plan::Source,
    rejection::Rejection,
    request::{Headers, HeadersBuilder, RawRequest},
    store::rejected::{NewRejected, REMOVED, RejectedRequest},
    verify::{Identified, Unproved, Verified},
};

/// Parts of names of header fields that hold secrets.
const SECRET_NAMES: [&str; 8] = ["authorization", "cookie", "token", "secret", "password", "credential", "api-key", "apikey"];

/// What a request came to that may become an event.
pub(super) enum Proven {
    /// It is proved.
    Verified(Verified),
    /// It is not, and its source only observes.
    Observed(Identified),
}

/// Fields that said where the body ends.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// A rejected request that was taken in after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readmitted {
    /// The event; for a duplicate, the first one.
    pub event: EventId,
    /// Whether it was known already.
    pub duplicate: bool,
}

/// Why a rejected request was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReadmitted {
    /// Its source is no longer there.
    #[error("its source is not in the configuration, or is disabled")]
    NoSource,
    /// It was refused before its body was read.
    #[error("it was refused by its head alone, before its body was read: there is nothing to admit")]
    NoBody,
    /// It is a question of the provider's, not an event.
    #[error("it is a handshake: it is answered at the door and is no event")]
    Handshake,
    /// It is refused as it was, or for another reason.
    #[error("it is still rejected: {reason}")]
    Rejected {
        /// The reason, as metrics and logs show it.
        reason: &'static str,
    },
    /// It is refused, and what would prove it is a secret that is not kept.
    #[error(
        "it is still rejected: {reason}; its source is proved by a secret that is sent as it is, and that is never kept: let the provider \
         send it once more"
    )]
    Unprovable {
        /// The reason, as metrics and logs show it.
        reason: &'static str,
    },
    /// The store did not take it, or its key could not be fetched: the same again is right.
    #[error("it could not be taken in now ({reason}): try again")]
    Unavailable {
        /// Why, as logs show it.
        reason: &'static str,
    },
}

impl Ingest {
    /// Proves a whole request that the guards let in and the head alone spoke for (`early` is `Ok`), or that it shows to be out of its
    /// time. One that is refused is taken unproved where its source only observes, and else kept.
    pub(super) fn prove(
        &self,
        rung: &Rung<'_>,
        client: Client,
        request: RawRequest,
        early: Result<(), Rejection>,
    ) -> Result<Proven, Refusal> {
        let (verifier, now) = (&rung.source.verifier, request.received_at);
        let (request, reason) = match (verifier.verify_or_return(request, now), rung.let_by.or(early.err())) {
            (Ok(verified), None) => return Ok(Proven::Verified(verified)),
            (Ok(verified), Some(reason)) => (verified.into_request(), reason),
            (Err(unproved), _) => (unproved.request, rung.let_by.unwrap_or(unproved.reason)),
        };
        verifier.observe(Box::new(Unproved { request, reason }), now).map(Proven::Observed).map_err(|refused| match rung.let_by {
            // A guard's word is the last: what it refuses is not kept.
            Some(reason) => reason.into(),
            None => self.refused(rung, client, &refused.request, true, refused.reason),
        })
    }

    /// The refusal of a request that is not proved, which is kept if the ring takes it.
    pub(super) fn refused(&self, rung: &Rung<'_>, client: Client, request: &RawRequest, body_is_read: bool, reason: Rejection) -> Refusal {
        let source = rung.source;
        if source.verifier.hands_over(request, request.received_at) {
            return reason.into();
        }
        let bytes = request.headers.block().len() + request.query.as_ref().map_or(0, |query| query.len()) + request.body.len();
        let secrets = Secrets { source, token: head::url_token(request, rung.path) };
        let counted_as = client.is_its_own.then(|| client.counted_as());
        self.ring.offer(&source.name, counted_as, u64::try_from(bytes).unwrap_or(u64::MAX), || NewRejected {
            at: request.received_at,
            source: source.name.clone(),
            provider: Arc::clone(&source.provider),
            reason,
            client_ip: client.ip,
            client: counted_as,
            method: request.method.clone(),
            path: rung.path.into(),
            query: request.query.as_deref().and_then(|query| secrets.less_query(query)).map(String::into_boxed_str),
            headers: kept_fields(request, rung, &secrets).block().clone(),
            // A copy, made only of what the ring takes: a body that came in one piece is a part of the buffer its connection reads
            // into, and the ring's bounds would not count the rest of that.
            body: body_is_read.then(|| Bytes::copy_from_slice(&request.body)),
        });
        reason.into()
    }

    /// Verifies a kept request again and takes it in, as the door would have. `Ok` follows the durable commit.
    ///
    /// # Errors
    /// Why it is no event yet, or never will be.
    pub async fn readmit(&self, kept: RejectedRequest) -> Result<Readmitted, NotReadmitted> {
        let plan = self.plan.load_full();
        let id = kept.summary.id;
        let source = plan.sources.get(&kept.summary.source).filter(|source| !source.disabled).ok_or(NotReadmitted::NoSource)?;
        let rung_at = &*kept.summary.path;
        let path = source.paths.iter().find(|path| &***path == rung_at).or(source.paths.first()).ok_or(NotReadmitted::NoSource)?;
        // The URL token and the certificate that were shown are not kept. A signature stands without them; where there is none, nothing is
        // left to stand on.
        let proves = source.verifier.verification() != "none";
        let shows_token = proves || source.guard.url_tokens.is_empty();
        let shows_certificate = proves || source.guard.client_names.is_none();
        let rung = Rung { source, path, shows_token, shows_certificate, let_by: None };
        let identified = source.verifier.identified(self.prove_again(&rung, kept).await?);
        let (now, proof) = (self.clock.now(), identified.proof());
        let end = match self.compose(&plan, rung, identified, now) {
            Ok(event) => self.admit(source, event, now.mono).await,
            Err(refusal) => Err(refusal),
        };
        let taken = end.map_err(|refusal| NotReadmitted::of(&refusal, source))?;
        self.metrics.source(&source.name).matched(proof.secret(), now.wall);
        let duplicate = taken.result == RequestResult::Duplicate;
        tracing::info!(
            event = "request",
            source = source.name.as_str(),
            result = taken.result.as_str(),
            event_id = %taken.event,
            rejected_id = %id,
            "a rejected request was admitted"
        );
        Ok(Readmitted { event: taken.event, duplicate })
    }

    /// The checks of the door once more, in their order, at the time the request came.
    async fn prove_again(&self, rung: &Rung<'_>, kept: RejectedRequest) -> Result<Verified, NotReadmitted> {
        let verifier = &rung.source.verifier;
        let body = kept.body.ok_or(NotReadmitted::NoBody)?;
        let at: UnixMs = kept.summary.at;
        let ip = kept.summary.client_ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let head =
            Head { method: kept.summary.method, path: rung.path.into(), query: kept.query, headers: kept.headers, peer: ip, names: None };
        let refused = |refusal: Refusal| NotReadmitted::of(&refusal, rung.source);
        checks::guard(rung, ip).map_err(|reason| refused(reason.into()))?;
        checks::check(rung.source, &head).map_err(refused)?;
        let mut request = head.into_request(ip, at);
        verifier.precheck(&request).map_err(|reason| refused(reason.into()))?;
        if u64::try_from(body.len()).unwrap_or(u64::MAX) > rung.source.body_limit {
            return Err(refused(Rejection::TooLarge.into()));
        }
        request.body = body;
        if verifier.greet(&request, at).is_some() {
            return Err(NotReadmitted::Handshake);
        }
        self.bring_keys(rung.source, &request, self.clock.mono()).await.map_err(refused)?;
        let verified = verifier.verify(request, at).map_err(|reason| refused(reason.into()))?;
        if verifier.greet_verified(&verified).is_some() {
            return Err(NotReadmitted::Handshake);
        }
        if !rung.source.takes(&verified.request().method) {
            return Err(refused(Rejection::Method.into()));
        }
        Ok(verified)
    }
}

impl NotReadmitted {
    /// The reason, as metrics and logs show it, where it was the checks that refused it.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Rejected { reason } | Self::Unprovable { reason } | Self::Unavailable { reason } => Some(reason),
            Self::NoSource | Self::NoBody | Self::Handshake => None,
        }
    }

    fn of(refusal: &Refusal, source: &Source) -> Self {
        let reason = refusal.reason();
        let by_secret = !source.verifier.credential_places().is_empty() || *refusal == Refusal::Rejected(Rejection::UrlToken);
        match refusal.result() {
            RequestResult::Rejected if by_secret => Self::Unprovable { reason },
            RequestResult::Rejected => Self::Rejected { reason },
            _ => Self::Unavailable { reason },
        }
    }
}

/// The fields of a request as they are kept: all of them, as they came, but for the secrets in them and the framing, which is over.
fn kept_fields(request: &RawRequest, rung: &Rung<'_>, secrets: &Secrets<'_>) -> Headers {
    let mut kept = HeadersBuilder::new();
    for (name, value) in request.headers.iter().filter(|(name, _)| !FRAMING.iter().any(|own| own.eq_ignore_ascii_case(name))) {
        let names_one = is_secret_name(name) && !rung.source.verifier.proves_by_header(name);
        let value = if names_one || secrets.stand_in(name, value) { REMOVED.as_bytes() } else { value };
        kept.push(name, value);
    }
    kept.build()
}

/// Whether a name says that a secret stands behind it.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_by_their_parts() {
        for name in ["Authorization", "Proxy-Authorization", "Cookie", "X-Gitlab-Token", "X-Api-Key", "apikey", "X-Shared-Secret"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["X-Hub-Signature-256", "Content-Type", "webhook-id", "X-GitHub-Event", "User-Agent"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
