//! Order, suspicion and age, as they look from outside: who went before whom, who was under way when the process ended, and who died young.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hookgate::{
    delivery::{DeadReason, DeliveryId, State},
    event::EventId,
    lease::{Lease, LeaseRef},
    limits::TRIALS_MAX,
    name::TargetName,
    store::DeliveryRow,
};

use super::{
    rules::Rule,
    script::{Act, SECOND},
    world::World,
};

/// How far two accounts of a held time may lie apart: ours is told when the lanes are.
const AGE_SLACK: Duration = Duration::from_millis(50);

impl World {
    /// Of each key the first open delivery may go, and all behind it are blocked.
    pub(crate) fn check_queues(&mut self) {
        let mut firsts = BTreeMap::<(&TargetName, u64), (i64, DeliveryId)>::new();
        let ordered = || self.desk.model.deliveries().filter(|(_, row)| row.state.is_open());
        for (id, row) in ordered() {
            let Some(order) = row.order else { continue };
            let first = firsts.entry((&row.target, order)).or_insert((row.rank, *id));
            *first = (*first).min((row.rank, *id));
        }
        let is_first = |id: &DeliveryId, row: &DeliveryRow| {
            row.order.is_none_or(|order| firsts.get(&(&row.target, order)).is_some_and(|(_, first)| first == id))
        };
        let wrong = ordered().find(|(id, row)| is_first(id, row) != (row.state != State::Blocked));
        if let Some(what) = wrong.map(|(id, row)| format!("{id} is {:?}: {row:?}", row.state)) {
            self.broke(Rule::OrderPerKey, what);
        }
    }

    /// Whoever starts has nobody of its key before it.
    pub(crate) fn check_order(&mut self, lease: &Lease) {
        let Some(mine) = self.desk.model.delivery(lease.id) else { return };
        let is_before = |row: &DeliveryRow| row.target == mine.target && row.order == mine.order && row.rank < mine.rank;
        let open = self.desk.model.deliveries().filter(|(_, row)| row.state.is_open());
        let before = open.filter(|(_, row)| mine.order.is_some() && is_before(row)).map(|(id, _)| *id).next();
        if let Some(before) = before {
            let what = format!("{} starts before {before}", lease.id);
            self.broke(Rule::OrderPerKey, what);
        }
    }

    /// A suspect starts only when no other runs.
    pub(crate) fn check_suspect(&mut self, lease: &Lease) {
        if !lease.is_suspect() {
            return;
        }
        self.counts.suspects += 1;
        let other = self.under_way().find(|other| other.is_suspect()).map(|other| other.id);
        if let Some(other) = other {
            self.broke(Rule::OneSuspectAtOnce, format!("{} starts beside {other}", lease.id));
        }
    }

    /// Whether this event's attempts at this target end the process.
    pub(crate) fn is_poison(&self, event: EventId, target: usize) -> bool {
        let of = self.books.made.get(&event).map(|(index, _)| (*index, target));
        of.is_some() && of == self.script.poison
    }

    /// An attempt ends the process, unless it was cut.
    pub(crate) fn poisons(&mut self, lease: LeaseRef) {
        if self.under_way().any(|other| other.reference() == lease) {
            self.counts.poisoned += 1;
            self.act(Act::Crash(2 * SECOND));
        }
    }

    /// Who is under way on suspicion.
    pub(crate) fn suspects_under_way(&self) -> BTreeSet<DeliveryId> {
        self.under_way().filter(|lease| lease.is_suspect()).map(|lease| lease.id).collect()
    }

    /// The process has ended, and whoever was the one suspect under way is noted; also whose trial is written and not how it ended: it was
    /// only about to start, or was let go in a commit that never came to be, and no row can tell these apart.
    pub(crate) fn note_trials(&mut self, mut on_trial: BTreeSet<DeliveryId>) {
        let is_tried = |row: &DeliveryRow| row.state == State::InFlight && row.tried.is_some() && row.tried == row.token;
        on_trial.extend(self.desk.model.deliveries().filter(|(_, row)| is_tried(row)).map(|(id, _)| *id));
        for id in on_trial {
            *self.books.trials.entry(id).or_default() += 1;
        }
    }

    /// Put away is only who was alone under suspicion often enough.
    pub(crate) fn check_quarantine(&mut self, id: DeliveryId) {
        self.counts.quarantined += 1;
        let trials = self.books.trials.get(&id).copied().unwrap_or_default();
        if trials < TRIALS_MAX {
            self.broke(Rule::QuarantineIsDeserved, format!("{id} is put away after {trials} trials"));
        }
    }

    /// What ended the process each time, and was neither put away in the end nor withdrawn before.
    pub(crate) fn unpunished(&self) -> Option<String> {
        let (_, target) = self.script.poison?;
        let name = &self.script.targets[target].target.name;
        let poison = |id: &DeliveryId, row: &DeliveryRow| row.target == *name && self.is_poison(id.event, target);
        let is_put_away = |row: &DeliveryRow| row.dead == Some(DeadReason::Quarantined) || row.state == State::Cancelled;
        let free = self.desk.model.deliveries().find(|(id, row)| poison(id, row) && !is_put_away(row));
        free.map(|(id, row)| format!("{id} is poison: {row:?}"))
    }

    /// A target is left alone from now on, or is not.
    pub(crate) fn note_left_alone(&mut self, target: &TargetName, is_left_alone: bool) {
        let now = self.now().wall;
        let spans = self.books.left_alone.entry(target.clone()).or_default();
        match spans.last_mut() {
            Some((_, to @ None)) if !is_left_alone => *to = Some(now),
            Some((_, None)) => {}
            _ if is_left_alone => spans.push((now, None)),
            _ => {}
        }
    }

    /// Who dies of age has had all of his time, besides that in which nobody could have tried.
    pub(crate) fn check_age(&mut self, id: DeliveryId, row: &DeliveryRow) {
        let scripted = self.script.targets.iter().find(|scripted| scripted.target.name == row.target);
        let limit = scripted.and_then(|scripted| scripted.target.retry.give_up_after);
        // Times of a clock that was set back overlap, and no sum of them means anything.
        let Some(limit) = limit.filter(|_| self.stepped_back_ms == 0) else { return };
        let Some(ended) = self.books.ended.get(&id).copied() else { return };
        let spans = self.books.left_alone.get(&row.target).into_iter().flatten();
        let held_ms = spans.map(|(from, to)| to.unwrap_or(ended).min(ended).ms_since((*from).max(row.first_at))).sum::<u64>();
        let age = Duration::from_millis(ended.ms_since(row.first_at).saturating_sub(held_ms));
        if age + AGE_SLACK < limit {
            self.broke(Rule::HeldTimeIsFree, format!("of {age:?} in which somebody could have tried, with {limit:?} to have: {row:?}"));
        }
    }
}
