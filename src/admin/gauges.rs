//! Gauges that are read off something else, set anew before each scrape: the queue, the store, the workers, what sources rest on. From
//! memory, never a scan.

use std::collections::BTreeMap;

use super::Gateway;
use crate::{
    clock::UnixMs,
    metrics::{Metrics, REMOVED},
    name::TargetName,
    pause::Pauses,
    plan::{Level, Plan},
    store::TargetTally,
};

/// The states of `queue_deliveries`, in the order of [`Counts`].
const STATES: [&str; 5] = ["pending", "in_flight", "paused", "parked", "dead"];

/// One target's deliveries by [`STATES`].
type Counts = [u64; STATES.len()];

/// Sets every gauge that follows something else.
pub(super) fn refresh(gateway: &Gateway) {
    let (metrics, now) = (&gateway.metrics, gateway.clock.wall());
    queue(metrics, &gateway.plan, &gateway.store.tallies().read(), &gateway.store.standing().borrow().pauses, now);
    // A source stops to only observe by itself.
    for source in gateway.plan.sources.values().filter(|source| source.verifier.observe_until().is_some()) {
        metrics.source_is(&source.name, &source.provider, source.verification(now));
    }
    let health = gateway.store.health();
    metrics.store_bytes.set(signed(health.bytes));
    metrics.store_free_bytes.set(signed(health.free_bytes));
    metrics.store_max_bytes.set(signed(gateway.plan.store.max_bytes));
    for level in [Level::Ephemeral, Level::Embedded] {
        metrics.store_durability_info.with_label_values(&[level.as_str()]).set(i64::from(level == health.level));
    }
    // Who starts threads counts them; that they are gone, only somebody else can say.
    let shards_gone = !(gateway.workers)().alive;
    let store_stuck = gateway.clock.mono().since(health.last_turn) > super::probe::STUCK_AFTER;
    metrics.workers.with_label_values(&["shard", "gone"]).set(i64::from(shards_gone));
    metrics.workers.with_label_values(&["store", "stuck"]).set(i64::from(store_stuck));
    metrics.workers.with_label_values(&["store", "running"]).set(1);
}

/// The counts as metrics show them: each configured target, and all others together as `_removed`, whose waiting deliveries are parked.
fn queue(metrics: &Metrics, plan: &Plan, tallies: &BTreeMap<TargetName, TargetTally>, pauses: &Pauses, now: UnixMs) {
    let mut removed: (Counts, Option<UnixMs>) = ([0; STATES.len()], None);
    for (_, tally) in tallies.iter().filter(|(name, _)| !plan.targets.contains_key(*name)) {
        let [_, in_flight, _, parked, dead] = &mut removed.0;
        *in_flight += tally.in_flight;
        *parked += tally.pending;
        *dead += tally.dead;
        removed.1 = [removed.1, tally.oldest_open].into_iter().flatten().min();
    }
    set(metrics, REMOVED, removed.0, removed.1, now);
    for name in plan.targets.keys() {
        let tally = tallies.get(name).cloned().unwrap_or_default();
        // What waits for a target that an operator holds is paused, and nothing else.
        let (pending, paused) = if pauses.of(name, now).is_some() { (0, tally.pending) } else { (tally.pending, 0) };
        set(metrics, name.as_str(), [pending, tally.in_flight, paused, 0, tally.dead], tally.oldest_open, now);
    }
}

#[expect(clippy::cast_precision_loss, reason = "an age in milliseconds fits a double exactly for the next 285,000 years")]
fn set(metrics: &Metrics, target: &str, counts: Counts, oldest: Option<UnixMs>, now: UnixMs) {
    for (state, count) in STATES.into_iter().zip(counts) {
        metrics.queue_deliveries.with_label_values(&[target, state]).set(signed(count));
    }
    let age_ms = oldest.map_or(0, |oldest| now.ms_since(oldest));
    metrics.queue_oldest_age_seconds.with_label_values(&[target]).set(age_ms as f64 / 1000.0);
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
