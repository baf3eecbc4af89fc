//! What the hot path holds: the counters of one source or one target, resolved once per plan.

use std::{collections::HashMap, time::Duration};

use prometheus::{Gauge, Histogram, IntCounter};

use super::{RequestResult, seconds_of};
use crate::{clock::UnixMs, delivery::AttemptResult, rejection::Rejection, secret::Fingerprint};

/// The handles of one source.
#[derive(Debug)]
pub struct SourceMetrics {
    pub(super) requests: [IntCounter; RequestResult::ALL.len()],
    pub(super) rejected: [IntCounter; Rejection::ALL.len()],
    /// From the first byte of the request to the answer's, in seconds.
    pub ack_seconds: Histogram,
    /// How far signed timestamps lie behind our clock, in seconds.
    pub skew_seconds: Histogram,
    pub(super) last_event: Gauge,
    pub(super) secrets: HashMap<Fingerprint, (IntCounter, Gauge)>,
    /// By handshake: answered, refused.
    pub(super) handshakes: Vec<(Box<str>, [IntCounter; 2])>,
}

impl SourceMetrics {
    /// Counts a request.
    pub fn request(&self, result: RequestResult) {
        self.requests[result as usize].inc();
    }

    /// Counts a refused request, under its reason and under `rejected`.
    pub fn reject(&self, reason: Rejection) {
        self.rejected[reason as usize].inc();
        self.request(RequestResult::Rejected);
    }

    /// Counts a request that was accepted, and would have been refused for this reason had its source not only observed.
    pub fn observe(&self, reason: Rejection) {
        self.rejected[reason as usize].inc();
    }

    /// Counts a handshake that was answered, or refused.
    pub fn handshake(&self, name: &str, answered: bool) {
        if let Some((_, [of_answered, of_refused])) = self.handshakes.iter().find(|(other, _)| **other == *name) {
            if answered { of_answered.inc() } else { of_refused.inc() }
        }
    }

    /// Requests with this result since the start.
    #[must_use]
    pub fn requests_so_far(&self, result: RequestResult) -> u64 {
        self.requests[result as usize].get()
    }

    /// Requests refused for this reason since the start.
    #[must_use]
    pub fn rejected_so_far(&self, reason: Rejection) -> u64 {
        self.rejected[reason as usize].get()
    }

    /// When the last event came in; `None` when there was none since the start.
    #[must_use]
    pub fn last_event(&self) -> Option<UnixMs> {
        time_of(&self.last_event)
    }

    /// Requests a secret has proved since the start, and when it last did.
    #[must_use]
    pub fn matches_so_far(&self, secret: Fingerprint) -> (u64, Option<UnixMs>) {
        self.secrets.get(&secret).map_or((0, None), |(matches, last)| (matches.get(), time_of(last)))
    }

    /// Notes which secret matched, and that there was an event.
    pub fn matched(&self, secret: Option<Fingerprint>, now: UnixMs) {
        let seconds = seconds_of(now);
        self.last_event.set(seconds);
        if let Some((matches, last)) = secret.and_then(|secret| self.secrets.get(&secret)) {
            matches.inc();
            last.set(seconds);
        }
    }
}

/// The time a gauge was set to; `None` when it never was.
#[expect(clippy::cast_possible_truncation, reason = "it was set from a time in milliseconds, exactly")]
fn time_of(gauge: &Gauge) -> Option<UnixMs> {
    let seconds = gauge.get();
    (seconds > 0.0).then(|| UnixMs((seconds * 1000.0).round() as i64))
}

/// The handles of one target.
#[derive(Debug)]
pub struct TargetMetrics {
    /// Deliveries born.
    pub created: IntCounter,
    /// Deliveries that arrived.
    pub delivered: IntCounter,
    /// Deliveries that became dead letters.
    pub dead: IntCounter,
    /// Deliveries that an operator cancelled.
    pub cancelled: IntCounter,
    pub(super) attempts: [IntCounter; AttemptResult::ALL.len()],
    /// How long attempts take.
    pub attempt_seconds: Histogram,
    /// From a delivery's birth to its success.
    pub lag_seconds: Histogram,
    /// 1 while it is left alone, 0.5 while one attempt finds out whether it is back.
    pub breaker_open: Gauge,
    pub(super) asked_until: Gauge,
}

impl TargetMetrics {
    /// Counts an attempt.
    pub fn attempt(&self, result: AttemptResult, took: Duration) {
        self.attempts[result as usize].inc();
        self.attempt_seconds.observe(took.as_secs_f64());
    }

    /// How its breaker stands, as the gauge says.
    pub fn breaker(&self) -> &'static str {
        match self.breaker_open.get() {
            open if open >= 1.0 => "open",
            half if half > 0.0 => "half_open",
            _ => "closed",
        }
    }

    /// The target asked to be left alone until then.
    pub fn asked(&self, until: UnixMs) {
        self.asked_until.set(seconds_of(until));
    }

    /// Until when the target last asked to be left alone; `None` when it never did.
    pub fn asked_until(&self) -> Option<UnixMs> {
        time_of(&self.asked_until)
    }

    /// Counts an attempt whose lease was lost before its result was written.
    pub fn lease_lost(&self) {
        self.attempts[AttemptResult::LeaseLost as usize].inc();
    }
}
