//! /api/v1/status: what runs, how the store is, where each source and target stands. All of it from memory.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Gateway, Step, answer::Problem, call::Call, probe};
use crate::{
    clock::UnixMs,
    limits::RING_BYTES_MAX,
    metrics::RequestResult,
    pause::Pause,
    plan::{Source, Target, Tls},
    rejection::Rejection,
    store::TargetTally,
};

/// How the gateway stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status {
    version: &'static str,
    phase: &'static str,
    uptime_s: u64,
    generation: u64,
    listen: String,
    tls: &'static str,
    store: Store,
    /// The rejected ring; nothing when it is off.
    rejected: Option<Ring>,
    sources: Vec<SourceStatus>,
    targets: Vec<TargetStatus>,
    /// Targets that have left the configuration and still have deliveries that wait or are dead.
    removed: Vec<RemovedStatus>,
    /// Deliveries that wait for those.
    parked: u64,
    log_lines_dropped: usize,
    warnings: Vec<String>,
}

/// How the store is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StoreStatus")]
struct Store {
    durability: &'static str,
    accepting: bool,
    queue_age_ms: u64,
    bytes: u64,
    max_bytes: u64,
    free_bytes: u64,
    last_error: Option<String>,
}

/// How the rejected ring is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RejectedStatus")]
struct Ring {
    requests: u64,
    bytes: u64,
    max_bytes: u64,
    last_error: Option<String>,
}

/// A source, and what came in by it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SourceStatus {
    name: String,
    provider: String,
    verification: &'static str,
    /// What is not looked at, because an optional credential is unset.
    skipped: Vec<String>,
    paths: Vec<String>,
    endpoint: Option<String>,
    disabled: bool,
    /// Secrets that its vendor has handed over and that nobody has been shown.
    handed: usize,
    last_event: Option<String>,
    /// Requests since the start, by what became of them.
    requests: BTreeMap<&'static str, u64>,
    /// Refused requests since the start, by reason; reasons that never occurred are left out.
    rejected: BTreeMap<&'static str, u64>,
}

/// How a target is held.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Paused {
    since: String,
    /// When it goes on by itself; nothing when somebody has to resume it.
    until: Option<String>,
    /// The name of the token that held it.
    by: String,
}

/// A target, and how its deliveries stand.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TargetStatus {
    name: String,
    /// Scheme, host and port: the rest of a URL may be a secret.
    origin: String,
    disabled: bool,
    /// Nothing while nobody holds it.
    paused: Option<Paused>,
    /// `closed`, `half_open` or `open`.
    breaker: &'static str,
    /// Until when it is left alone because it asked for that (`Retry-After`).
    left_alone_until: Option<String>,
    pending: u64,
    in_flight: u64,
    dead: u64,
    oldest_open: Option<String>,
    delivered: u64,
}

/// A target that has left the configuration, and what it left behind.
#[derive(Debug, Serialize, JsonSchema)]
struct RemovedStatus {
    name: String,
    parked: u64,
    dead: u64,
    oldest_open: Option<String>,
}

impl Paused {
    /// A pause as it is shown.
    pub(super) fn of(pause: &Pause) -> Self {
        Self { since: pause.since.to_string(), until: pause.until.map(|until| until.to_string()), by: pause.by.to_string() }
    }
}

/// How the gateway stands now.
pub(super) async fn page(call: Call) -> Result<Status, Problem> {
    Ok(of(&call.gateway))
}

/// Every source of the configuration.
pub(super) fn sources(gateway: &Gateway) -> Vec<SourceStatus> {
    gateway.plan.sources.values().map(|one| source(gateway, one)).collect()
}

/// Every target of the configuration.
pub(super) fn targets(gateway: &Gateway) -> Vec<TargetStatus> {
    let (tallies, nothing) = (gateway.store.tallies().read(), TargetTally::default());
    gateway.plan.targets.values().map(|one| target(gateway, one, tallies.get(&one.name).unwrap_or(&nothing))).collect()
}

fn of(gateway: &Gateway) -> Status {
    let plan = &gateway.plan;
    let removed = removed(gateway);
    let parked = removed.iter().map(|target| target.parked).sum();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        phase: match gateway.phase.step() {
            Step::Starting => "starting",
            Step::Running => "running",
            Step::Stopping => "stopping",
        },
        uptime_s: gateway.clock.mono().since(gateway.started).as_secs(),
        generation: plan.generation,
        listen: plan.server.listen.to_string(),
        tls: match plan.server.tls {
            Tls::None => "none",
            Tls::Upstream => "upstream",
            Tls::Own { .. } => "own",
        },
        store: store(gateway),
        rejected: ring(gateway),
        sources: sources(gateway),
        targets: targets(gateway),
        removed,
        parked,
        log_lines_dropped: (gateway.log_dropped)(),
        warnings: warnings(gateway, parked),
    }
}

fn store(gateway: &Gateway) -> Store {
    let health = gateway.store.health();
    Store {
        durability: health.level.as_str(),
        accepting: health.accepting,
        queue_age_ms: u64::try_from(health.queue_age.as_millis()).unwrap_or(u64::MAX),
        bytes: health.bytes,
        max_bytes: gateway.plan.store.max_bytes,
        free_bytes: health.free_bytes,
        last_error: health.last_error.as_deref().map(str::to_owned),
    }
}

fn ring(gateway: &Gateway) -> Option<Ring> {
    let health = gateway.ingest.rejected().health()?;
    Some(Ring {
        requests: health.requests,
        bytes: health.bytes,
        max_bytes: RING_BYTES_MAX,
        last_error: health.last_error.as_deref().map(str::to_owned),
    })
}

fn source(gateway: &Gateway, source: &Source) -> SourceStatus {
    let counted = gateway.metrics.source(&source.name);
    let rejected = Rejection::ALL.into_iter().map(|reason| (reason.code(), counted.rejected_so_far(reason)));
    SourceStatus {
        name: source.name.to_string(),
        provider: source.provider.to_string(),
        verification: source.verification(gateway.clock.wall()),
        skipped: source.verifier.skipped().to_vec(),
        paths: source.paths.iter().map(ToString::to_string).collect(),
        endpoint: source.endpoint.as_ref().map(|url| without_query(url.clone())),
        disabled: source.disabled,
        handed: gateway.ingest.handed_waiting(&source.name),
        last_event: counted.last_event().map(|at| at.to_string()),
        requests: RequestResult::ALL.into_iter().map(|result| (result.as_str(), counted.requests_so_far(result))).collect(),
        rejected: rejected.filter(|(_, count)| *count > 0).collect(),
    }
}

fn removed(gateway: &Gateway) -> Vec<RemovedStatus> {
    let tallies = gateway.store.tallies().read();
    let gone = tallies.into_iter().filter(|(name, tally)| !gateway.plan.targets.contains_key(name) && tally.pending + tally.dead > 0);
    gone.map(|(name, tally)| RemovedStatus {
        name: name.to_string(),
        parked: tally.pending,
        dead: tally.dead,
        oldest_open: tally.oldest_open.map(|at| at.to_string()),
    })
    .collect()
}

fn target(gateway: &Gateway, target: &Target, tally: &TargetTally) -> TargetStatus {
    let (counted, now) = (gateway.metrics.target(&target.name), gateway.clock.wall());
    TargetStatus {
        name: target.name.to_string(),
        origin: target.url.origin().ascii_serialization(),
        disabled: target.disabled,
        paused: gateway.store.standing().borrow().pauses.of(&target.name, now).map(Paused::of),
        breaker: counted.as_ref().map_or("closed", |counted| counted.breaker()),
        left_alone_until: counted.as_ref().and_then(|counted| counted.asked_until()).filter(|until| *until > now).map(|at| at.to_string()),
        pending: tally.pending,
        in_flight: tally.in_flight,
        dead: tally.dead,
        oldest_open: tally.oldest_open.map(|at: UnixMs| at.to_string()),
        delivered: counted.map_or(0, |counted| counted.delivered.get()),
    }
}

/// A URL without what may be a credential.
fn without_query(mut url: url::Url) -> String {
    url.set_query(None);
    // A URL that cannot have a user has none to remove.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.into()
}

fn warnings(gateway: &Gateway, parked: u64) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    warnings.extend(probe::stuck(gateway).into_iter().map(str::to_owned));
    if gateway.phase.step() == Step::Running {
        warnings.extend(probe::unready(gateway).into_iter().map(str::to_owned));
    }
    if !gateway.store.health().accepting {
        warnings.push("the store takes no new events: `store.max_size` or `store.min_free` is reached, or the disk is full".into());
    }
    let now = gateway.clock.wall();
    for source in gateway.plan.sources.values().filter(|source| source.verifier.observes(now)) {
        warnings
            .push(format!("`{}` only observes: it accepts what nothing proves, and counts it in `hookgate_rejected_total`", source.name));
    }
    for source in gateway.plan.sources.values() {
        let waiting = gateway.ingest.handed_waiting(&source.name);
        if waiting > 0 {
            warnings.push(format!(
                "`{0}` was handed {waiting} secrets, which wait an hour: `hookgate secrets {0}` shows them once",
                source.name
            ));
        }
    }
    if parked > 0 {
        warnings.push(format!(
            "{parked} deliveries wait for targets that are not in the configuration: `hookgate move` gives them to another one"
        ));
    }
    let leaving = gateway.store.tallies().leaving(&gateway.plan.store.retention, gateway.clock.wall());
    warnings.extend(leaving.iter().map(ToString::to_string));
    if gateway.store.health().level == crate::plan::Level::Ephemeral {
        warnings.push("the store is on a file system that is thrown away: a restart of the machine loses everything".into());
    }
    warnings
}
