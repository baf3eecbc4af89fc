//! Targets that had other names before: what waits for an old name is carried over to the new one, and so is a pause.

use crate::{
    plan::Plan,
    store::{Act, Filter, JobId, Step, Store, StoreError, Task, Verb, Work},
};

/// Whose name it is done under.
const BY: &str = "configuration";

/// Begins what carries deliveries over, where some wait and nothing does it yet; the jobs go on by themselves.
///
/// # Errors
/// The store's.
pub(super) async fn carry_over(plan: &Plan, store: &dyn Store) -> Result<(), StoreError> {
    let pairs = || plan.targets.values().flat_map(|target| target.formerly.iter().map(move |old| (old, &target.name)));
    let pauses = store.standing().borrow().pauses.clone();
    for (old, new) in pairs() {
        if let Some(pause) = pauses.0.get(old) {
            // Where this was cut off between the two, the new one is held already and the old one still.
            if !pauses.0.contains_key(new) {
                let (by, target, until) = (pause.by.clone(), new.clone(), pause.until);
                store.operate(Act { by, verb: Verb::Pause { target, until } }).await?;
            }
            store.operate(Act { by: BY.into(), verb: Verb::Resume { target: old.clone() } }).await?;
        }
    }
    let tallies = store.tallies().read();
    let jobs = store.jobs().await?;
    for (old, new) in pairs() {
        let waiting = tallies.get(old).map_or(0, |tally| tally.pending);
        let task = Task { work: Work::Move { to: new.clone() }, filter: Filter { targets: vec![old.clone()], ..Filter::default() } };
        if waiting == 0 || jobs.iter().any(|job| job.runs() && job.task == task) {
            continue;
        }
        let verb = Verb::Begin { id: JobId::random(), task, rate: None, expected: Some(waiting) };
        match store.operate(Act { by: BY.into(), verb }).await? {
            Step::Refused(why) => tracing::warn!(event = "start", target = %new, reason = %why, "what waits for `{old}` stays parked"),
            Step::Held(..) | Step::Job(_) => {
                tracing::info!(event = "start", target = %new, waiting, "what waits for `{old}` is carried over to `{new}`");
            }
        }
    }
    Ok(())
}
