//! The account of one request: what is noted on its way, and at its end counted once and logged once.
//!
//! Never a body, a query, a header's value or a secret; and of a request that was refused nothing but its address, its size and the reason.

use std::{net::IpAddr, sync::Arc};

use super::{answer::Taken, refusal::Refusal};
use crate::{
    clock::{Mono, Now},
    event::EventTypes,
    metrics::{Metrics, RequestResult, UNMATCHED},
    plan::{LogWhat, Source},
    rejection::Rejection,
    store::NewEvent,
    verify::Proof,
};

/// What is known of a request so far.
#[derive(Debug)]
pub(super) struct Account {
    start: Mono,
    client_ip: IpAddr,
    source: Option<Arc<Source>>,
    body_bytes: Option<usize>,
    proof: Option<Proof>,
    provider_event_id: Option<Box<str>>,
    types: Option<EventTypes>,
}

impl Account {
    pub(super) fn open(start: Mono, client_ip: IpAddr) -> Self {
        Self { start, client_ip, source: None, body_bytes: None, proof: None, provider_event_id: None, types: None }
    }

    pub(super) fn belongs_to(&mut self, source: &Arc<Source>) {
        self.source = Some(Arc::clone(source));
    }

    pub(super) fn source(&self) -> Option<&Source> {
        self.source.as_deref()
    }

    pub(super) fn body_read(&mut self, bytes: usize) {
        self.body_bytes = Some(bytes);
    }

    pub(super) fn body_is_read(&self) -> bool {
        self.body_bytes.is_some()
    }

    pub(super) fn proved(&mut self, proof: Proof) {
        self.proof = Some(proof);
    }

    pub(super) fn identified(&mut self, event: &NewEvent) {
        self.provider_event_id.clone_from(&event.provider_event_id);
        self.types = Some(event.types.clone());
    }

    /// Why it would have been refused, had its source not only observed.
    fn observed(&self) -> Option<Rejection> {
        self.proof.and_then(|proof| proof.observed())
    }

    /// Counts and logs the request.
    pub(super) fn close(self, metrics: &Metrics, log: LogWhat, now: Now, end: &Result<Taken, Refusal>, status: u16) {
        let of_source = self.source.as_ref().map_or_else(|| Arc::clone(&metrics.unmatched), |source| metrics.source(&source.name));
        let took = now.mono.since(self.start);
        if let Some(proof) = &self.proof {
            of_source.matched(proof.secret(), now.wall);
            if let Some(skew_ms) = proof.skew_ms() {
                of_source.skew_seconds.observe(seconds(skew_ms));
            }
        }
        match end {
            Ok(taken) => {
                of_source.request(taken.result());
                if let Some(reason) = self.observed() {
                    of_source.observe(reason);
                }
                if let Taken::Handshake(name, _) = taken {
                    of_source.handshake(name, true);
                }
                of_source.ack_seconds.observe(took.as_secs_f64());
            }
            Err(refusal) => refusal.count(&of_source),
        }
        if log == LogWhat::All || (log == LogWhat::Failed && (end.is_err() || self.observed().is_some())) {
            self.log(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), end, status);
        }
    }

    fn log(&self, duration_ms: u64, end: &Result<Taken, Refusal>, status: u16) {
        let source = self.source.as_ref().map_or(UNMATCHED, |source| source.name.as_str());
        let (result, reason, event_id): (RequestResult, _, _) = match end {
            Ok(Taken::Event(acknowledged)) => (acknowledged.result, self.observed().map(Rejection::code), Some(acknowledged.event)),
            Ok(handshake) => (handshake.result(), None, None),
            Err(refusal) => (refusal.result(), Some(refusal.reason()), None),
        };
        tracing::info!(
            event = "request",
            source,
            result = result.as_str(),
            reason,
            status,
            duration_ms,
            bytes = self.body_bytes,
            client_ip = %self.client_ip,
            event_id = event_id.map(display),
            provider_event_id = self.provider_event_id.as_deref(),
            "type" = self.types.as_ref().filter(|types| types.iter().next().is_some()).map(display),
            "request"
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "a skew of more than 2^53 ms is not told apart from one of 2^53 ms")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
