//! To whom an event is owed, and how each delivery is born.

use smallvec::SmallVec;

use crate::{
    event::EventTypes,
    handoff::{Gates, LaneGate},
    limits::FAN_OUT_MAX,
    name::SourceName,
    plan::Plan,
    store::{Owed, Start},
};

/// Each target once, in the order of the routes. A delivery is born leased against a slot of its lane that is taken here, before the event is
/// admitted; where there is none (a backlog, a pause, a target that is switched off) it is born waiting. Dropping what is returned gives the
/// slots back.
#[must_use]
pub(super) fn owed(plan: &Plan, gates: &Gates, source: &SourceName, types: &EventTypes) -> SmallVec<[Owed; 4]> {
    let hits = plan.routes.fan_out(source, types);
    let owed = hits.into_iter().take(FAN_OUT_MAX).map(|hit| {
        let gate = gates.get(&hit.target);
        let lease = plan.targets.get(&hit.target).filter(|target| !target.disabled).map(|target| target.lease());
        let slot = gate.as_ref().and_then(LaneGate::take);
        let start = match (slot, lease) {
            (Some(slot), Some(lease)) => Start::Leased(slot, lease),
            _ => Start::Waiting,
        };
        Owed { target: hit.target, variant: 0, start, gate }
    });
    owed.collect()
}
