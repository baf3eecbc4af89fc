//! Every metric of the gateway, declared once: name, labels, buckets, help.
//!
//! Labels come from the configuration or from closed lists, never from a request, so the number of series is known at start. Each series of
//! a configured source, target and reason exists at 0 from the start, so that `rate()` sees the first increment. The hot path holds
//! [`SourceMetrics`] and [`TargetMetrics`]: handles resolved once per plan, no lookup by label per event.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::{
    clock::UnixMs,
    delivery::AttemptResult,
    name::{SourceName, TargetName},
    rejection::Rejection,
    secret::Fingerprint,
};

/// The label of requests that belong to no source.
pub const UNMATCHED: &str = "_unmatched";
/// The label of targets that the store knows and the plan does not.
pub const REMOVED: &str = "_removed";

const ACK_BUCKETS_S: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
const ATTEMPT_BUCKETS_S: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const LAG_BUCKETS_S: &[f64] =
    &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 172_800.0, 259_200.0];
const STORE_BUCKETS_S: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
const SKEW_BUCKETS_S: &[f64] = &[-300.0, -60.0, -10.0, -1.0, 0.0, 1.0, 10.0, 60.0, 300.0, 900.0, 3_600.0];

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestResult {
    /// A new event, owed to somebody.
    Accepted,
    /// Seen within the window.
    Duplicate,
    /// A new event no route wants.
    Unrouted,
    /// A provider's question, answered.
    Handshake,
    /// Refused for what it was.
    Rejected,
    /// Refused for how much there was.
    Throttled,
    /// Refused for trouble of our own.
    Unavailable,
}

impl RequestResult {
    /// Every result.
    pub const ALL: [Self; 7] =
        [Self::Accepted, Self::Duplicate, Self::Unrouted, Self::Handshake, Self::Rejected, Self::Throttled, Self::Unavailable];

    /// The result as metrics and logs show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Unrouted => "unrouted",
            Self::Handshake => "handshake",
            Self::Rejected => "rejected",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What went wrong with a connection before or beside its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// Bytes that are no HTTP request: answered 400 and closed.
    Parse,
    /// A head beyond what is read: answered 431 and closed.
    HeadTooLarge,
    /// The connection broke.
    Io,
    /// It did not close in time.
    CloseTimeout,
    /// The client left while its request was being answered.
    Abandoned,
    /// It idled or trickled, and the watchdog cut it.
    Cut,
}

impl HttpError {
    /// Every error.
    pub const ALL: [Self; 6] = [Self::Parse, Self::HeadTooLarge, Self::Io, Self::CloseTimeout, Self::Abandoned, Self::Cut];

    fn as_str(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::HeadTooLarge => "head_too_large",
            Self::Io => "io",
            Self::CloseTimeout => "close_timeout",
            Self::Abandoned => "abandoned",
            Self::Cut => "cut",
        }
    }
}

/// An operation of the store, timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    /// From the queue to the reply, commit included.
    Admit,
    /// Leases asked for.
    Claim,
    /// Fenced writes.
    Settle,
    /// One whole commit.
    Commit,
    /// One checkpoint.
    Checkpoint,
    /// One sweep.
    Sweep,
}

impl StoreOperation {
    /// Every operation.
    pub const ALL: [Self; 6] = [Self::Admit, Self::Claim, Self::Settle, Self::Commit, Self::Checkpoint, Self::Sweep];

    fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Claim => "claim",
            Self::Settle => "settle",
            Self::Commit => "commit",
            Self::Checkpoint => "checkpoint",
            Self::Sweep => "sweep",
        }
    }
}

/// The handles of one source.
#[derive(Debug)]
pub struct SourceMetrics {
    requests: [IntCounter; RequestResult::ALL.len()],
    rejected: [IntCounter; Rejection::ALL.len()],
    /// From the first byte of the request to the answer's, in seconds.
    pub ack_seconds: Histogram,
    /// How far signed timestamps lie behind our clock, in seconds.
    pub skew_seconds: Histogram,
    last_event: Gauge,
    secrets: HashMap<Fingerprint, (IntCounter, Gauge)>,
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
    #[expect(clippy::cast_possible_truncation, reason = "it was set from a time in milliseconds, exactly")]
    pub fn last_event(&self) -> Option<UnixMs> {
        let seconds = self.last_event.get();
        (seconds > 0.0).then(|| UnixMs((seconds * 1000.0).round() as i64))
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

/// The handles of one target.
#[derive(Debug)]
pub struct TargetMetrics {
    /// Deliveries born.
    pub created: IntCounter,
    /// Deliveries that arrived.
    pub delivered: IntCounter,
    /// Deliveries that became dead letters.
    pub dead: IntCounter,
    attempts: [IntCounter; AttemptResult::ALL.len()],
    /// How long attempts take.
    pub attempt_seconds: Histogram,
    /// From a delivery's birth to its success.
    pub lag_seconds: Histogram,
}

impl TargetMetrics {
    /// Counts an attempt.
    pub fn attempt(&self, result: AttemptResult, took: Duration) {
        self.attempts[result as usize].inc();
        self.attempt_seconds.observe(took.as_secs_f64());
    }

    /// Counts an attempt whose lease was lost before its result was written.
    pub fn lease_lost(&self) {
        self.attempts[AttemptResult::LeaseLost as usize].inc();
    }
}

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
    source_info: IntGaugeVec,
    created: IntCounterVec,
    deliveries: IntCounterVec,
    attempts: IntCounterVec,
    attempt_seconds: HistogramVec,
    lag: HistogramVec,
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
    /// When certificates expire, by name.
    pub tls_cert_expiry: GaugeVec,
    config_reload_successful: IntGauge,
    config_reload_success_at: Gauge,
    sources: ArcSwap<BTreeMap<SourceName, Arc<SourceMetrics>>>,
    targets: ArcSwap<BTreeMap<TargetName, Arc<TargetMetrics>>>,
    /// The handles of requests that belong to no source.
    pub unmatched: Arc<SourceMetrics>,
}

/// What metrics need to know of a source.
#[derive(Debug)]
pub struct SourceFacts<'a> {
    /// Its name.
    pub name: &'a SourceName,
    /// Its provider's slug.
    pub provider: &'a str,
    /// `signed`, `token`, `url_token`, `none` or `unproved`.
    pub verification: &'a str,
    /// The secrets that may match.
    pub secrets: Vec<Fingerprint>,
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
        let http_errors = declare.counters("http_errors_total", "Connections that went wrong, by reason.", &["reason"])?;
        let unmatched = SourceMetrics {
            requests: RequestResult::ALL.map(|result| requests.with_label_values(&[UNMATCHED, result.as_str()])),
            rejected: Rejection::ALL.map(|reason| rejected.with_label_values(&[UNMATCHED, reason.code()])),
            ack_seconds: ack.with_label_values(&[UNMATCHED]),
            skew_seconds: skew.with_label_values(&[UNMATCHED]),
            last_event: source_last.with_label_values(&[UNMATCHED]),
            secrets: HashMap::new(),
        };
        let build = declare.int_gauges("build_info", "1, with the version that runs.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            store_operation: StoreOperation::ALL.map(|operation| operations.with_label_values(&[operation.as_str()])),
            source_info: declare.int_gauges("source_info", "1, with what a source is.", &["source", "provider", "verification"])?,
            created: declare.counters("deliveries_created_total", "Deliveries born.", &["target"])?,
            deliveries: declare.counters("deliveries_total", "Settled deliveries by outcome.", &["target", "outcome"])?,
            attempts: declare.counters("attempts_total", "Attempts by result.", &["target", "result"])?,
            attempt_seconds: declare.histograms("attempt_seconds", "How long attempts take.", &["target"], ATTEMPT_BUCKETS_S)?,
            lag: declare.histograms("delivery_lag_seconds", "From a delivery's birth to its success.", &["target"], LAG_BUCKETS_S)?,
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
            store_durability_info: declare.int_gauges("store_durability_info", "1 at the durability level in force.", &["level"])?,
            inflight_bytes: declare.int_gauge("inflight_bytes", "Bytes received and not yet answered.")?,
            connections: declare.int_gauge("connections", "Open connections at the door.")?,
            tls_handshake_failures: declare.counter("tls_handshake_failures_total", "TLS handshakes that failed.")?,
            http_errors: HttpError::ALL.map(|error| http_errors.with_label_values(&[error.as_str()])),
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
        self.source_info.with_label_values(&[name, facts.provider, facts.verification]).set(1);
        let of_secret = |secret: &Fingerprint| {
            let labels = [name, &secret.to_string()];
            (*secret, (self.secret_matches.with_label_values(&labels), self.secret_last.with_label_values(&labels)))
        };
        SourceMetrics {
            requests: RequestResult::ALL.map(|result| self.requests.with_label_values(&[name, result.as_str()])),
            rejected: Rejection::ALL.map(|reason| self.rejected.with_label_values(&[name, reason.code()])),
            ack_seconds: self.ack.with_label_values(&[name]),
            skew_seconds: self.skew.with_label_values(&[name]),
            last_event: self.source_last.with_label_values(&[name]),
            secrets: facts.secrets.iter().map(of_secret).collect(),
        }
    }

    fn target_handles(&self, name: &TargetName) -> TargetMetrics {
        let name = name.as_str();
        TargetMetrics {
            created: self.created.with_label_values(&[name]),
            delivered: self.deliveries.with_label_values(&[name, "delivered"]),
            dead: self.deliveries.with_label_values(&[name, "dead"]),
            attempts: AttemptResult::ALL.map(|result| self.attempts.with_label_values(&[name, result.code()])),
            attempt_seconds: self.attempt_seconds.with_label_values(&[name]),
            lag_seconds: self.lag.with_label_values(&[name]),
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
            for outcome in ["delivered", "dead"] {
                let _ = self.deliveries.remove_label_values(&[name.as_str(), outcome]);
            }
            for result in AttemptResult::ALL {
                let _ = self.attempts.remove_label_values(&[name.as_str(), result.code()]);
            }
            let _ = self.created.remove_label_values(&[name.as_str()]);
            let _ = self.attempt_seconds.remove_label_values(&[name.as_str()]);
            let _ = self.lag.remove_label_values(&[name.as_str()]);
        }
    }
}

/// Declares a family and registers it, in one line each.
struct Declare(Registry);

impl Declare {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        let family = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let metric = IntCounter::with_opts(Opts::new(name, help))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        let family = GaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        let metric = Gauge::with_opts(Opts::new(name, help))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn int_gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn int_gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let metric = IntGauge::with_opts(Opts::new(name, help))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets_s: &[f64]) -> prometheus::Result<HistogramVec> {
        let family = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets_s.to_vec()), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }
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
        let facts = SourceFacts { name: &source, provider: "stripe", verification: "signed", secrets: vec![] };
        metrics.configure(&[facts], &[&target], UnixMs(0));
        let text = metrics.render().expect("rendered");
        for reason in Rejection::ALL {
            assert!(text.contains(&format!("hookgate_rejected_total{{reason=\"{}\",source=\"stripe\"}} 0", reason.code())));
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
