//! Every metric of the gateway, declared once: name, labels, buckets, help.
//!
//! Labels come from the configuration or from closed lists, never from a request, so the number of series is known at start. Each series of
//! a configured source, target and reason exists at 0 from the start, so that `rate()` sees the first increment. The hot path holds
//! [`SourceMetrics`] and [`TargetMetrics`]: handles resolved once per plan, no lookup by label per event.

mod declare;
mod handles;
mod labels;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use prometheus::{Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use declare::Declare;
pub use handles::{SourceMetrics, TargetMetrics};
pub use labels::{HttpError, RequestResult, RingResult, StoreOperation};

use crate::{
    clock::UnixMs,
    delivery::AttemptResult,
    name::{SourceName, TargetName},
    rejection::Rejection,
    secret::Fingerprint,
};

/// The label of requests that belong to no source.
pub const UNMATCHED: &str = "_unmatched";
/// What becomes of a handshake.
const HANDSHAKE_RESULTS: [&str; 2] = ["answered", "refused"];
/// The label of targets that the store knows and the plan does not.
pub const REMOVED: &str = "_removed";

const ACK_BUCKETS_S: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
const ATTEMPT_BUCKETS_S: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const LAG_BUCKETS_S: &[f64] =
    &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 172_800.0, 259_200.0];
const STORE_BUCKETS_S: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
const SKEW_BUCKETS_S: &[f64] = &[-300.0, -60.0, -10.0, -1.0, 0.0, 1.0, 10.0, 60.0, 300.0, 900.0, 3_600.0];

/// The registry and every family in it.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    rejected: IntCounterVec,
    ack: HistogramVec,
    skew: HistogramVec,
    secret_matches: IntCounterVec,
    secret_last: GaugeVec,
    source_last: GaugeVec,
    handshakes: IntCounterVec,
    source_info: IntGaugeVec,
    created: IntCounterVec,
    deliveries: IntCounterVec,
    attempts: IntCounterVec,
    attempt_seconds: HistogramVec,
    lag: HistogramVec,
    breaker: GaugeVec,
    asked_until: GaugeVec,
    /// Waiting, leased, parked and dead deliveries, by target and state.
    pub queue_deliveries: IntGaugeVec,
    /// Age of the oldest open delivery, by target.
    pub queue_oldest_age_seconds: GaugeVec,
    /// Workers by kind and state.
    pub workers: IntGaugeVec,
    store_operation: [Histogram; StoreOperation::ALL.len()],
    /// Bytes the store takes.
    pub store_bytes: IntGauge,
    /// Bytes the store may take.
    pub store_max_bytes: IntGauge,
    /// Bytes free on its file system.
    pub store_free_bytes: IntGauge,
    /// 1 at the durability level in force.
    pub store_durability_info: IntGaugeVec,
    /// Bytes received and not yet answered.
    pub inflight_bytes: IntGauge,
    /// Open connections at the door.
    pub connections: IntGauge,
    /// TLS handshakes that failed.
    pub tls_handshake_failures: IntCounter,
    http_errors: [IntCounter; HttpError::ALL.len()],
    ring: [IntCounter; RingResult::ALL.len()],
    /// When certificates expire, by name.
    pub tls_cert_expiry: GaugeVec,
    config_reload_successful: IntGauge,
    config_reload_success_at: Gauge,
    sources: ArcSwap<BTreeMap<SourceName, Arc<SourceMetrics>>>,
    targets: ArcSwap<BTreeMap<TargetName, Arc<TargetMetrics>>>,
    /// The handles of requests that belong to no source.
    pub unmatched: Arc<SourceMetrics>,
}

/// What an event may rest on.
pub const VERIFICATIONS: [&str; 5] = ["signed", "token", "url_token", "none", "unproved"];

/// What metrics need to know of a source.
#[derive(Debug)]
pub struct SourceFacts<'a> {
    /// Its name.
    pub name: &'a SourceName,
    /// Its provider's slug.
    pub provider: &'a str,
    /// One of [`VERIFICATIONS`].
    pub verification: &'a str,
    /// The secrets that may match.
    pub secrets: Vec<Fingerprint>,
    /// The names of its provider's handshakes.
    pub handshakes: Vec<&'a str>,
}

impl Metrics {
    /// Declares everything.
    ///
    /// # Errors
    /// A name that is declared twice or not a metric's: a mistake in this file.
    pub fn new() -> prometheus::Result<Self> {
        let declare = Declare(Registry::new_custom(Some("hookgate".into()), None)?);
        let requests = declare.counters("requests_total", "Requests by what became of them.", &["source", "result"])?;
        let rejected = declare.counters("rejected_total", "Refused requests by reason.", &["source", "reason"])?;
        let ack = declare.histograms("ack_seconds", "From a request's head to its answer.", &["source"], ACK_BUCKETS_S)?;
        let skew =
            declare.histograms("signature_skew_seconds", "How far signed timestamps lie behind our clock.", &["source"], SKEW_BUCKETS_S)?;
        let secret_matches =
            declare.counters("secret_matches_total", "Verified requests by the secret that matched.", &["source", "secret"])?;
        let secret_last =
            declare.gauges("secret_last_match_timestamp_seconds", "When a secret last matched, 0 for never.", &["source", "secret"])?;
        let source_last =
            declare.gauges("source_last_event_timestamp_seconds", "When the last event came in, 0 for never.", &["source"])?;
        let operations = declare.histograms("store_operation_seconds", "How long the store takes.", &["operation"], STORE_BUCKETS_S)?;
        let unmatched = unmatched((&requests, &rejected), &ack, &skew, &source_last);
        let build = declare.int_gauges("build_info", "1, with the version that runs.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            store_operation: StoreOperation::ALL.map(|operation| operations.with_label_values(&[operation.as_str()])),
            handshakes: declare.counters("handshakes_total", "Handshakes by what became of them.", &["source", "handshake", "result"])?,
            source_info: declare.int_gauges("source_info", "1, with what a source is.", &["source", "provider", "verification"])?,
            created: declare.counters("deliveries_created_total", "Deliveries born.", &["target"])?,
            deliveries: declare.counters("deliveries_total", "Settled deliveries by outcome.", &["target", "outcome"])?,
            attempts: declare.counters("attempts_total", "Attempts by result.", &["target", "result"])?,
            attempt_seconds: declare.histograms("attempt_seconds", "How long attempts take.", &["target"], ATTEMPT_BUCKETS_S)?,
            lag: declare.histograms("delivery_lag_seconds", "From a delivery's birth to its success.", &["target"], LAG_BUCKETS_S)?,
            breaker: declare.gauges("target_breaker_open", "1 while a target is left alone, 0.5 while one attempt asks.", &["target"])?,
            asked_until: declare.gauges("target_retry_after_timestamp_seconds", "Until when it asked to be left alone.", &["target"])?,
            queue_deliveries: declare.int_gauges(
                "queue_deliveries",
                "Deliveries in the shared store; aggregate gateways with max.",
                &["target", "state"],
            )?,
            queue_oldest_age_seconds: declare.gauges(
                "queue_oldest_age_seconds",
                "Age of the oldest open delivery in the shared store, to the minute; aggregate gateways with max.",
                &["target"],
            )?,
            workers: declare.int_gauges("workers", "Threads by kind and state.", &["kind", "state"])?,
            store_bytes: declare.int_gauge("store_bytes", "Bytes the shared store takes; aggregate gateways with max.")?,
            store_max_bytes: declare.int_gauge("store_max_bytes", "Bytes the shared store may take; aggregate gateways with max.")?,
            store_free_bytes: declare
                .int_gauge("store_free_bytes", "Bytes free on the store's file system; aggregate gateways with max.")?,
            store_durability_info: declare.int_gauges(
                "store_durability_info",
                "1 at the durability level in force; aggregate with max.",
                &["level"],
            )?,
            inflight_bytes: declare.int_gauge("inflight_bytes", "Bytes received and not yet answered.")?,
            connections: declare.int_gauge("connections", "Open connections at the door.")?,
            tls_handshake_failures: declare.counter("tls_handshake_failures_total", "TLS handshakes that failed.")?,
            http_errors: http_errors(&declare)?,
            ring: ring(&declare)?,
            tls_cert_expiry: declare.gauges("tls_cert_expiry_timestamp_seconds", "When a certificate expires.", &["name"])?,
            config_reload_successful: declare.int_gauge("config_last_reload_successful", "1 when the last configuration was taken.")?,
            config_reload_success_at: declare
                .gauge("config_last_reload_success_timestamp_seconds", "When a configuration was last taken.")?,
            sources: ArcSwap::default(),
            targets: ArcSwap::default(),
            unmatched: Arc::new(unmatched),
            registry: declare.0,
            requests,
            rejected,
            ack,
            skew,
            secret_matches,
            secret_last,
            source_last,
        })
    }

    /// Makes the series of a plan's sources and targets, and removes those of names that are gone.
    pub fn configure(&self, sources: &[SourceFacts<'_>], targets: &[&TargetName], now: UnixMs) {
        self.remove_gone(sources, targets);
        self.source_info.reset();
        let sources = sources.iter().map(|facts| (facts.name.clone(), Arc::new(self.source_handles(facts)))).collect();
        let targets = targets.iter().map(|name| ((*name).clone(), Arc::new(self.target_handles(name)))).collect();
        self.sources.store(Arc::new(sources));
        self.targets.store(Arc::new(targets));
        self.config_reload_successful.set(1);
        self.config_reload_success_at.set(seconds_of(now));
    }

    /// Says what the events of a source rest on: one of [`VERIFICATIONS`], and from now on no other.
    pub fn source_is(&self, name: &SourceName, provider: &str, verification: &str) {
        for other in VERIFICATIONS.into_iter().filter(|other| *other != verification) {
            // Removing a series that is not there is an error of the library's that means nothing here.
            let _ = self.source_info.remove_label_values(&[name.as_str(), provider, other]);
        }
        self.source_info.with_label_values(&[name.as_str(), provider, verification]).set(1);
    }

    /// The handles of a source; those of no source when it is not configured.
    #[must_use]
    pub fn source(&self, name: &SourceName) -> Arc<SourceMetrics> {
        self.sources.load().get(name).cloned().unwrap_or_else(|| Arc::clone(&self.unmatched))
    }

    /// The handles of a configured target.
    #[must_use]
    pub fn target(&self, name: &TargetName) -> Option<Arc<TargetMetrics>> {
        self.targets.load().get(name).cloned()
    }

    /// Notes how long an operation of the store took.
    pub fn store_operation(&self, operation: StoreOperation, took: Duration) {
        self.store_operation[operation as usize].observe(took.as_secs_f64());
    }

    /// Counts what became of so many rejected requests.
    pub fn ring(&self, result: RingResult, requests: usize) {
        self.ring[result as usize].inc_by(u64::try_from(requests).unwrap_or(u64::MAX));
    }

    /// Counts what went wrong with a connection.
    pub fn http_error(&self, error: HttpError) {
        self.http_errors[error as usize].inc();
    }

    /// The text a scrape gets.
    ///
    /// # Errors
    /// A family that cannot be written: a mistake in this file.
    pub fn render(&self) -> prometheus::Result<String> {
        let mut families = self.registry.gather();
        families.extend(prometheus::gather());
        TextEncoder::new().encode_to_string(&families)
    }

    fn source_handles(&self, facts: &SourceFacts<'_>) -> SourceMetrics {
        let name = facts.name.as_str();
        self.source_is(facts.name, facts.provider, facts.verification);
        let of_secret = |secret: &Fingerprint| {
            let labels = [name, &secret.to_string()];
            (*secret, (self.secret_matches.with_label_values(&labels), self.secret_last.with_label_values(&labels)))
        };
        let of_handshake = |handshake: &&str| {
            let count = |result| self.handshakes.with_label_values(&[name, handshake, result]);
            (Box::from(*handshake), HANDSHAKE_RESULTS.map(count))
        };
        SourceMetrics {
            requests: RequestResult::ALL.map(|result| self.requests.with_label_values(&[name, result.as_str()])),
            rejected: Rejection::ALL.map(|reason| self.rejected.with_label_values(&[name, reason.code()])),
            ack_seconds: self.ack.with_label_values(&[name]),
            skew_seconds: self.skew.with_label_values(&[name]),
            last_event: self.source_last.with_label_values(&[name]),
            secrets: facts.secrets.iter().map(of_secret).collect(),
            handshakes: facts.handshakes.iter().map(of_handshake).collect(),
        }
    }

    fn target_handles(&self, name: &TargetName) -> TargetMetrics {
        let name = name.as_str();
        TargetMetrics {
            created: self.created.with_label_values(&[name]),
            delivered: self.deliveries.with_label_values(&[name, "delivered"]),
            dead: self.deliveries.with_label_values(&[name, "dead"]),
            cancelled: self.deliveries.with_label_values(&[name, "cancelled"]),
            attempts: AttemptResult::ALL.map(|result| self.attempts.with_label_values(&[name, result.code()])),
            attempt_seconds: self.attempt_seconds.with_label_values(&[name]),
            lag_seconds: self.lag.with_label_values(&[name]),
            breaker_open: self.breaker.with_label_values(&[name]),
            asked_until: self.asked_until.with_label_values(&[name]),
        }
    }

    fn remove_gone(&self, sources: &[SourceFacts<'_>], targets: &[&TargetName]) {
        // Removing a series that is not there is an error of the library's that means nothing here.
        for (name, handles) in self.sources.load().iter() {
            for secret in handles.secrets.keys() {
                let kept = sources.iter().any(|facts| facts.name == name && facts.secrets.contains(secret));
                if !kept {
                    let _ = self.secret_matches.remove_label_values(&[name.as_str(), &secret.to_string()]);
                    let _ = self.secret_last.remove_label_values(&[name.as_str(), &secret.to_string()]);
                }
            }
            for (handshake, _) in &handles.handshakes {
                let kept = sources.iter().any(|facts| facts.name == name && facts.handshakes.contains(&&**handshake));
                for result in HANDSHAKE_RESULTS.iter().filter(|_| !kept) {
                    let _ = self.handshakes.remove_label_values(&[name.as_str(), handshake, result]);
                }
            }
            if sources.iter().any(|facts| facts.name == name) {
                continue;
            }
            for result in RequestResult::ALL {
                let _ = self.requests.remove_label_values(&[name.as_str(), result.as_str()]);
            }
            for reason in Rejection::ALL {
                let _ = self.rejected.remove_label_values(&[name.as_str(), reason.code()]);
            }
            let _ = self.ack.remove_label_values(&[name.as_str()]);
            let _ = self.skew.remove_label_values(&[name.as_str()]);
            let _ = self.source_last.remove_label_values(&[name.as_str()]);
        }
        for name in self.targets.load().keys().filter(|name| !targets.contains(name)) {
            for outcome in ["delivered", "dead", "cancelled"] {
                let _ = self.deliveries.remove_label_values(&[name.as_str(), outcome]);
            }
            for result in AttemptResult::ALL {
                let _ = self.attempts.remove_label_values(&[name.as_str(), result.code()]);
            }
            let _ = self.created.remove_label_values(&[name.as_str()]);
            let _ = self.attempt_seconds.remove_label_values(&[name.as_str()]);
            let _ = self.lag.remove_label_values(&[name.as_str()]);
            let _ = self.breaker.remove_label_values(&[name.as_str()]);
            let _ = self.asked_until.remove_label_values(&[name.as_str()]);
        }
    }
}

/// The handles of requests that belong to no source.
fn unmatched(
    (requests, rejected): (&IntCounterVec, &IntCounterVec),
    ack: &HistogramVec,
    skew: &HistogramVec,
    source_last: &GaugeVec,
) -> SourceMetrics {
    SourceMetrics {
        requests: RequestResult::ALL.map(|result| requests.with_label_values(&[UNMATCHED, result.as_str()])),
        rejected: Rejection::ALL.map(|reason| rejected.with_label_values(&[UNMATCHED, reason.code()])),
        ack_seconds: ack.with_label_values(&[UNMATCHED]),
        skew_seconds: skew.with_label_values(&[UNMATCHED]),
        last_event: source_last.with_label_values(&[UNMATCHED]),
        secrets: HashMap::new(),
        handshakes: Vec::new(),
    }
}

fn http_errors(declare: &Declare) -> prometheus::Result<[IntCounter; HttpError::ALL.len()]> {
    let family = declare.counters("http_errors_total", "Connections that went wrong, by reason.", &["reason"])?;
    Ok(HttpError::ALL.map(|error| family.with_label_values(&[error.as_str()])))
}

fn ring(declare: &Declare) -> prometheus::Result<[IntCounter; RingResult::ALL.len()]> {
    let family = declare.counters("rejected_ring_total", "Rejected requests by what the ring made of them.", &["result"])?;
    Ok(RingResult::ALL.map(|result| family.with_label_values(&[result.as_str()])))
}

#[expect(clippy::cast_precision_loss, reason = "a timestamp in milliseconds fits a double exactly for the next 285,000 years")]
fn seconds_of(at: UnixMs) -> f64 {
    at.0 as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_of_a_configured_name_exists_at_zero_and_goes_with_it() {
        let metrics = Metrics::new().expect("declared once");
        let source = SourceName::parse("stripe").expect("a name");
        let target = TargetName::parse("app").expect("a name");
        let facts =
            SourceFacts { name: &source, provider: "stripe", verification: "signed", secrets: vec![], handshakes: vec!["url-check"] };
        metrics.configure(&[facts], &[&target], UnixMs(0));
        let text = metrics.render().expect("rendered");
        for reason in Rejection::ALL {
            assert!(text.contains(&format!("hookgate_rejected_total{{reason=\"{}\",source=\"stripe\"}} 0", reason.code())));
        }
        for result in HANDSHAKE_RESULTS {
            let series = format!("hookgate_handshakes_total{{handshake=\"url-check\",result=\"{result}\",source=\"stripe\"}} 0");
            assert!(text.contains(&series), "{text}");
        }
        for result in AttemptResult::ALL {
            assert!(text.contains(&format!("hookgate_attempts_total{{result=\"{}\",target=\"app\"}} 0", result.code())));
        }
        assert!(text.contains("hookgate_ack_seconds_bucket{source=\"stripe\""));
        metrics.configure(&[], &[], UnixMs(0));
        let text = metrics.render().expect("rendered");
        assert!(!text.contains("\"stripe\"") && !text.contains("\"app\""), "{text}");
    }
}
