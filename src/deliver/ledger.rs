//! Who is under way: the leases whose attempts were started, until their result is written down; and what is counted and logged of them.
//!
//! Deliveries are counted when their fate is known, not when it is asked for: a metric never runs ahead of the store.

use std::{collections::HashMap, sync::Arc};

use tokio::task::AbortHandle;

use crate::{
    clock::UnixMs,
    deliver::{Seen, request::Facts},
    delivery::{Attempt, AttemptResult, DeadReason, DeliveryId},
    lease::{Fate, Fenced, LeaseRef, Token},
    metrics::TargetMetrics,
    name::TargetName,
    plan::LogWhat,
    queue::Phase,
};

/// The leases under way.
#[derive(Debug)]
pub(super) struct Ledger {
    entries: HashMap<DeliveryId, Entry>,
    seen: Seen,
    log: LogWhat,
}

#[derive(Debug)]
struct Entry {
    target: TargetName,
    /// The fence the attempt was started under. The lease may have been renewed under another since.
    started: Token,
    facts: Facts,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Its bytes are being read.
    Reading,
    /// It is on its way.
    Sending(AbortHandle),
    /// Its attempt ended or was cut; its result is not written down yet.
    Over,
}

impl Ledger {
    /// An empty one.
    pub(super) fn new(seen: Seen, log: LogWhat) -> Self {
        Self { entries: HashMap::new(), seen, log }
    }

    /// A lease is put to use: its bytes are looked for.
    pub(super) fn open(&mut self, lease: LeaseRef, target: TargetName, facts: Facts) {
        self.entries.insert(lease.id, Entry { target, started: lease.token, facts, stage: Stage::Reading });
    }

    /// Whether the lease still waits for its bytes: it may have been cut meanwhile.
    pub(super) fn awaits_bytes(&self, lease: LeaseRef) -> bool {
        let entry = self.entries.get(&lease.id).filter(|entry| entry.started == lease.token);
        entry.is_some_and(|entry| matches!(entry.stage, Stage::Reading))
    }

    /// Its attempt runs as this task.
    pub(super) fn sent(&mut self, lease: LeaseRef, task: AbortHandle) {
        if let Some(entry) = self.started(lease) {
            entry.stage = Stage::Sending(task);
        }
    }

    /// Its attempt ended. `false` when it was cut before: then nobody wants to know.
    pub(super) fn ended(&mut self, lease: LeaseRef, attempt: &Attempt) -> bool {
        let (metrics, log) = (Arc::clone(&self.seen.metrics), self.log);
        let Some(entry) = self.started(lease).filter(|entry| !matches!(entry.stage, Stage::Over)) else {
            return false;
        };
        entry.stage = Stage::Over;
        if let Some(metrics) = metrics.target(&entry.target) {
            metrics.attempt(attempt.result, attempt.took);
        }
        let failed = attempt.result != AttemptResult::Delivered;
        match log {
            LogWhat::All | LogWhat::Failed if failed => log_failure(entry, attempt),
            LogWhat::All => log_success(entry, attempt),
            LogWhat::Failed | LogWhat::None => {}
        }
        true
    }

    /// Cuts its attempt short. `true` when there was one to cut.
    pub(super) fn cut(&mut self, lease: LeaseRef) -> bool {
        let Some(entry) = self.started(lease) else { return false };
        match std::mem::replace(&mut entry.stage, Stage::Over) {
            Stage::Sending(task) => {
                task.abort();
                true
            }
            Stage::Reading | Stage::Over => false,
        }
    }

    /// How a target's breaker stands from now on.
    pub(super) fn breaker(&self, target: &TargetName, phase: Phase) {
        if let Some(of) = self.seen.metrics.target(target) {
            of.breaker_open.set(match phase {
                Phase::Closed => 0.0,
                Phase::HalfOpen => 0.5,
                Phase::Open => 1.0,
            });
        }
        match phase {
            Phase::Open => self.seen.notes.left_alone(target),
            Phase::Closed => self.seen.notes.is_back(target),
            Phase::HalfOpen => {}
        }
        match phase {
            Phase::Open => tracing::warn!(event = "breaker", %target, result = "open", "too many attempts fail: the target is left alone"),
            Phase::HalfOpen => tracing::info!(event = "breaker", %target, result = "half_open", "one attempt finds out whether it is back"),
            Phase::Closed => tracing::info!(event = "breaker", %target, result = "closed", "the target is back: its deliveries go on"),
        }
    }

    /// A target asked to be left alone until then.
    pub(super) fn left_alone(&self, target: &TargetName, until: UnixMs) {
        if let Some(of) = self.seen.metrics.target(target) {
            of.asked(until);
        }
        tracing::info!(event = "breaker", %target, result = "retry_after", "the target asked to be left alone until {until}");
    }

    /// What became of a write: counted, logged, and the lease is over.
    pub(super) fn settled(&mut self, fenced: &Fenced, fate: Fate, now: UnixMs) {
        let id = fenced.lease().id;
        match (fenced, fate) {
            (Fenced::Trial(_), _) => return,
            (Fenced::Quarantined(_, target), Fate::Done | Fate::Unblocked | Fate::Again) => return self.quarantined(id, target),
            _ => {}
        }
        let Some(entry) = self.entries.get(&id) else { return };
        let metrics = self.seen.metrics.target(&entry.target);
        let count = |count: fn(&TargetMetrics)| metrics.as_deref().map(count);
        match (fate, fenced) {
            (Fate::Stale, _) => {
                count(TargetMetrics::lease_lost);
                log_lost(entry);
            }
            (_, Fenced::Delivered(..)) => {
                count(|of| of.delivered.inc());
                if let Some(of) = &metrics {
                    of.lag_seconds.observe(std::time::Duration::from_millis(now.ms_since(entry.facts.first_at)).as_secs_f64());
                }
            }
            (_, Fenced::Dead(_, attempt, reason)) => {
                count(|of| of.dead.inc());
                self.seen.notes.dead(&entry.target, id, *reason);
                log_dead(entry, attempt, *reason);
            }
            (_, Fenced::Retry { .. } | Fenced::Released(..) | Fenced::Trial(_) | Fenced::Quarantined(..)) => {}
        }
        // Otherwise it was leased again meanwhile, and the entry is the next attempt's.
        if matches!(entry.stage, Stage::Over) {
            self.entries.remove(&id);
        }
    }

    /// Put away without an attempt.
    fn quarantined(&self, id: DeliveryId, target: &TargetName) {
        if let Some(of) = self.seen.metrics.target(target) {
            of.dead.inc();
        }
        self.seen.notes.dead(target, id, DeadReason::Quarantined);
        tracing::error!(
            event = "delivery_dead",
            %target,
            event_id = %id.event,
            delivery_id = %id,
            reason = DeadReason::Quarantined.code(),
            "dead letter: the process ended each time this delivery alone was under suspicion; please report it. A replay tries it again"
        );
    }

    fn started(&mut self, lease: LeaseRef) -> Option<&mut Entry> {
        self.entries.get_mut(&lease.id).filter(|entry| entry.started == lease.token)
    }

    /// Leases whose result is not known to be written down.
    pub(super) fn open_count(&self) -> usize {
        self.entries.len()
    }
}

fn duration_ms(attempt: &Attempt) -> u64 {
    u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX)
}

fn log_success(entry: &Entry, attempt: &Attempt) {
    tracing::info!(
        event = "attempt",
        target = %entry.target,
        event_id = %entry.facts.id.event,
        delivery_id = %entry.facts.id,
        attempt = entry.facts.attempt,
        result = attempt.result.code(),
        status = attempt.status,
        duration_ms = duration_ms(attempt),
        "delivered"
    );
}

fn log_failure(entry: &Entry, attempt: &Attempt) {
    // With a status the excerpt is the target's own text, and no body is ever logged; without one it is our account of the cause.
    let cause = attempt.excerpt.as_deref().filter(|_| attempt.status.is_none());
    tracing::warn!(
        event = "attempt",
        target = %entry.target,
        event_id = %entry.facts.id.event,
        delivery_id = %entry.facts.id,
        attempt = entry.facts.attempt,
        result = attempt.result.code(),
        reason = cause,
        status = attempt.status,
        duration_ms = duration_ms(attempt),
        "attempt failed"
    );
}

fn log_dead(entry: &Entry, attempt: &Attempt, reason: DeadReason) {
    tracing::error!(
        event = "delivery_dead",
        target = %entry.target,
        event_id = %entry.facts.id.event,
        delivery_id = %entry.facts.id,
        attempt = entry.facts.attempt,
        result = attempt.result.code(),
        reason = reason.code(),
        status = attempt.status,
        "dead letter: it will not be retried by itself"
    );
}

fn log_lost(entry: &Entry) {
    tracing::warn!(
        event = "attempt",
        target = %entry.target,
        event_id = %entry.facts.id.event,
        delivery_id = %entry.facts.id,
        attempt = entry.facts.attempt,
        result = AttemptResult::LeaseLost.code(),
        "the lease ran out before the result could be written down; the delivery is another's by now"
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{alert::Notes, event::EventId, lease::Why, metrics::Metrics};

    fn ledger() -> (Ledger, Arc<Metrics>, TargetName) {
        let metrics = Arc::new(Metrics::new().expect("declared once"));
        let target = TargetName::parse("app").expect("a name");
        metrics.configure(&[], &[&target], UnixMs(0));
        let seen = Seen { metrics: Arc::clone(&metrics), notes: Arc::new(Notes::default()) };
        (Ledger::new(seen, LogWhat::All), metrics, target)
    }

    fn lease(slot: u8) -> LeaseRef {
        LeaseRef { id: DeliveryId { event: EventId::from_i64(9).expect("valid"), slot }, token: Token(i64::from(slot)) }
    }

    fn facts(lease: LeaseRef) -> Facts {
        Facts { id: lease.id, attempt: 1, replay_of: None, first_at: UnixMs(1_000), left: Duration::from_secs(1) }
    }

    fn attempt(result: AttemptResult) -> Attempt {
        Attempt { at: UnixMs(0), took: Duration::from_millis(5), result, status: None, retry_after: None, excerpt: None }
    }

    #[test]
    fn a_delivery_counts_when_its_fate_is_known() {
        let (mut ledger, metrics, target) = ledger();
        let of = metrics.target(&target).expect("configured");
        ledger.open(lease(0), target.clone(), facts(lease(0)));
        assert!(ledger.awaits_bytes(lease(0)));
        assert!(ledger.ended(lease(0), &attempt(AttemptResult::Delivered)));
        assert_eq!(of.delivered.get(), 0);
        ledger.settled(&Fenced::Delivered(lease(0), attempt(AttemptResult::Delivered)), Fate::Again, UnixMs(3_000));
        assert_eq!((of.delivered.get(), of.lag_seconds.get_sample_count()), (1, 1));
        assert!((of.lag_seconds.get_sample_sum() - 2.0).abs() < 1e-9);
        assert_eq!(ledger.open_count(), 0);
    }

    #[test]
    fn a_lost_lease_counts_as_lost_and_as_nothing_else() {
        let (mut ledger, metrics, target) = ledger();
        let of = metrics.target(&target).expect("configured");
        ledger.open(lease(1), target.clone(), facts(lease(1)));
        assert!(ledger.ended(lease(1), &attempt(AttemptResult::Delivered)));
        ledger.settled(&Fenced::Delivered(lease(1), attempt(AttemptResult::Delivered)), Fate::Stale, UnixMs(3_000));
        assert_eq!(of.delivered.get(), 0);
        let text = metrics.render().expect("rendered");
        assert!(text.contains("hookgate_attempts_total{result=\"lease_lost\",target=\"app\"} 1"), "{text}");
    }

    #[test]
    fn what_was_cut_is_not_heard_of_again() {
        let (mut ledger, metrics, target) = ledger();
        ledger.open(lease(2), target.clone(), facts(lease(2)));
        assert!(!ledger.cut(lease(2)), "its bytes were still being read: the target has nothing");
        assert!(!ledger.awaits_bytes(lease(2)));
        assert!(!ledger.ended(lease(2), &attempt(AttemptResult::Delivered)));
        ledger.settled(&Fenced::Released(lease(2), Why::Cut), Fate::Done, UnixMs(0));
        assert_eq!(ledger.open_count(), 0);
        assert_eq!(metrics.target(&target).expect("configured").attempt_seconds.get_sample_count(), 0);
    }
}
