//! Who steps the jobs of operators: one at a time, each at its rate, and together at most half of the time of the store's writer.
//!
//! What a step did stands in the store together with where the next one begins, so this keeps nothing that a restart would lose: the jobs
//! it finds at the start go on.

use std::{collections::BTreeMap, convert::Infallible, future::pending, sync::Arc, time::Duration};

use tokio::{select, time::sleep};

use crate::{
    clock::{Clock, Mono},
    handoff::Gates,
    plan::Plan,
    store::{Act, JobId, Step, Stepped, Store, StoreError, Verb, acts::STEP_DELIVERIES_MAX},
};

/// How long a job waits at least between two steps: whatever else waits for the store goes first.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// And after a step that failed.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// Whose name steps are done under; what is audited of a job bears the name of who began it.
const BY: &str = "hookgate";

/// What steps jobs.
#[derive(Debug)]
pub struct Jobs {
    /// The store they are in.
    pub store: Arc<dyn Store>,
    /// What runs, by which they go.
    pub plan: Arc<Plan>,
    /// The lanes that are told of new deliveries.
    pub gates: Arc<Gates>,
    /// The time.
    pub clock: Clock,
}

impl Jobs {
    /// Steps whatever jobs there are, for as long as the store can; it never ends by itself.
    pub async fn run(self) -> Infallible {
        let mut standing = self.store.standing();
        let mut due = BTreeMap::<JobId, Mono>::new();
        loop {
            let now = self.clock.mono();
            let running = standing.borrow_and_update().jobs.clone();
            due.retain(|id, _| running.contains(id));
            for id in running {
                due.entry(id).or_insert(now);
            }
            let next = due.iter().min_by_key(|(_, at)| **at).map(|(id, at)| (*id, *at));
            let rest = next.map_or(Duration::MAX, |(_, at)| at.since(now));
            select! {
                told = standing.changed() => if told.is_err() { return pending().await },
                () = sleep(rest) => {
                    if let Some((id, _)) = next {
                        let pause = self.step(id, &mut due).await;
                        due.entry(id).and_modify(|at| *at = self.clock.mono() + pause);
                    }
                }
            }
        }
    }

    /// One step; how long the job must rest after it.
    async fn step(&self, id: JobId, due: &mut BTreeMap<JobId, Mono>) -> Duration {
        let began = self.clock.mono();
        let verb = Verb::Go { id, at_most: STEP_DELIVERIES_MAX, plan: Arc::clone(&self.plan) };
        match self.store.operate(Act { by: BY.into(), verb }).await {
            Ok(Step::Job(stepped)) => {
                let took = self.clock.mono().since(began);
                self.tell(&stepped);
                rest(&stepped, took)
            }
            Ok(Step::Held(..) | Step::Refused(_)) => {
                // It was forgotten: there is nothing more to do of it.
                due.remove(&id);
                PAUSE_MIN
            }
            Err(error) => {
                if error == StoreError::Unknown {
                    self.gates.announce_all();
                }
                tracing::warn!(event = "store", reason = %error, "a step of {id} has to wait");
                RETRY_AFTER
            }
        }
    }

    fn tell(&self, Stepped { job, waiting, .. }: &Stepped) {
        waiting.iter().filter_map(|target| self.gates.get(target)).for_each(|gate| gate.announce());
        if let Some((end, _)) = job.end {
            let (done, in_flight) = (job.progress.done, job.progress.in_flight);
            tracing::info!(event = "store", result = end.as_str(), done, in_flight, "{}: {}", job.id, job.task);
        }
    }
}

/// How long a job rests after a step: as long as its rate says, and no shorter than the step took.
fn rest(Stepped { job, done, .. }: &Stepped, took: Duration) -> Duration {
    let by_rate = job.rate.map_or(Duration::ZERO, |rate| {
        Duration::from_secs_f64(1.0 / f64::from(rate.get())).saturating_mul(u32::try_from(*done).unwrap_or(u32::MAX))
    });
    by_rate.saturating_sub(took).max(took).max(PAUSE_MIN)
}
