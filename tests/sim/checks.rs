//! The checks over rows, promises and time.

use std::collections::BTreeMap;

use hookgate::{
    delivery::{DeliveryId, State},
    event::EventId,
    lease::Lease,
    limits::LEASE_START_MARGIN,
    name::TargetName,
    queue::{LaneNumbers, Phase},
    store::DeliveryRow,
};

use super::{rules::Rule, world::World};

/// Probes a lane may sleep through with due work and room.
const PROBES_ASLEEP_MAX: u32 = 10;

impl World {
    /// An attempt starts only when every rule about it holds.
    pub(crate) fn check_start(&mut self, lease: &Lease) {
        let now = self.now();
        let row = self.desk.model.delivery(lease.id);
        let is_cancelled = row.is_some_and(|row| row.state == State::Cancelled);
        let is_ours = row.is_some_and(|row| row.token == Some(lease.token));
        if !is_ours && self.at > self.clock_doubtful_until {
            self.broke(Rule::AttemptHasLease, format!("{lease:?} starts on {row:?}"));
        }
        let Some(scripted) = self.script.targets.iter().find(|scripted| scripted.target.name == lease.target) else { return };
        if now.mono + scripted.target.timeout + LEASE_START_MARGIN > lease.until {
            self.broke(Rule::AttemptHasLease, format!("{lease:?} has too little left at {now:?}"));
        }
        if is_cancelled {
            self.broke(Rule::CancelledIsNotAttempted, format!("{lease:?}"));
        }
        if let Some(pause) = self.books.heard.of(&lease.target, now.wall) {
            self.broke(Rule::PausedStartsNothing, format!("{lease:?} starts under {pause:?}"));
        }
        let before = self.books.numbers.insert(lease.id, lease.attempt);
        if before.is_some_and(|before| before >= lease.attempt) {
            self.broke(Rule::AttemptsRise, format!("{lease:?} after attempt {before:?}"));
        }
        if self.books.answered.contains(&lease.id) {
            self.broke(Rule::AnsweredIsNotSentAgain, format!("{lease:?}"));
        }
        if self.books.handed.contains(&lease.token) {
            let order = self.books.order.get(&lease.id).copied().unwrap_or_default();
            let before = self.books.last_started.insert(lease.target.clone(), order);
            if before.is_some_and(|before| before > order) {
                self.broke(Rule::HandedInOrder, format!("{lease:?} is number {order}, after {before:?}"));
            }
        }
        self.check_left_alone(lease.id, &lease.target);
        self.check_order(lease);
        self.check_suspect(lease);
        let Some(cap) = self.gateway.as_ref().map(|gateway| gateway.cap_of(&lease.target)) else { return };
        let running = self.under_way().filter(|running| running.target == lease.target).count();
        if running >= cap {
            self.broke(Rule::WithinCaps, format!("{running} of {cap} run already: {lease:?}"));
        }
    }

    /// After every commit, roll-back and start: index and tallies agree with the rows, and every lease is somebody's.
    pub(crate) fn check_rows(&mut self) {
        if let Err(what) = self.desk.model.check() {
            self.broke(Rule::TalliesEqualRows, what);
        }
        self.check_queues();
        let is_known = |token| self.books.holders.contains(&token) || self.books.lost.contains(&token);
        let leased = |row: &DeliveryRow| row.state == State::InFlight && !row.token.is_some_and(is_known);
        let nobodys = self.desk.model.deliveries().find(|(_, row)| leased(row)).map(|(id, row)| format!("nobody holds {id}: {row:?}"));
        if let Some(what) = nobodys {
            self.broke(Rule::LeasesHaveHolders, what);
        }
    }

    /// A lease that the process still holds in the store, if there is one.
    pub(crate) fn lease_of_holder(&self) -> Option<String> {
        let mut leased = self.desk.model.deliveries().filter(|(_, row)| row.state == State::InFlight);
        let held = leased.find(|(_, row)| row.token.is_some_and(|token| !self.books.lost.contains(&token)));
        held.map(|(id, row)| format!("{id} is left leased: {row:?}"))
    }

    /// Everything that was promised is there.
    pub(crate) fn check_promises(&mut self) {
        for id in self.books.promised.values().copied().collect::<Vec<_>>() {
            self.check_promise(id);
        }
    }

    /// This event is there, with every delivery it owes; or it was settled, and is past its retention.
    pub(crate) fn check_promise(&mut self, event: EventId) {
        if self.books.purged.contains(&event) {
            return;
        }
        let Some((index, owed)) = self.books.made.get(&event) else {
            self.broke(Rule::AcknowledgedIsDurable, format!("{event} was never made"));
            return;
        };
        let has = |(slot, target): (u8, &TargetName)| {
            self.desk
                .model
                .delivery(DeliveryId { event, slot })
                .is_some_and(|row| row.target == *target || self.books.moved.contains(&DeliveryId { event, slot }))
        };
        if !self.desk.model.knows(event) || !(0..=u8::MAX).zip(owed).all(has) {
            let what = format!("{event} for event {index} owes {owed:?}");
            self.broke(Rule::AcknowledgedIsDurable, what);
        }
    }

    /// Every second: no lane with room sleeps past due work.
    pub(crate) fn probe(&mut self) {
        let faults = self.counts.faults.iter().sum();
        if std::mem::replace(&mut self.faults_seen, faults) != faults || self.at <= self.clock_doubtful_until.max(self.frozen_until) {
            self.asleep.clear();
            return;
        }
        let now = self.now().wall;
        let is_held = |token| self.books.holders.contains(&token);
        let is_with_lanes = |row: &DeliveryRow| row.state == State::InFlight && row.token.is_some_and(is_held);
        let waits = |row: &DeliveryRow| row.due.is_some_and(|due| due <= now) && !is_with_lanes(row);
        let waiting = self.desk.model.deliveries().filter(|(_, row)| waits(row));
        let waiting = waiting.map(|(id, row)| (row.target.clone(), *id)).collect::<BTreeMap<_, _>>();
        self.asleep.retain(|target, _| waiting.contains_key(target));
        for (target, id) in self.open_targets().into_iter().filter_map(|target| waiting.get_key_value(&target)) {
            let Some(gateway) = &self.gateway else { return };
            let numbers = gateway.lanes.numbers().find(|(name, _)| *name == target).map(|(_, numbers)| numbers);
            let cap = gateway.plan.targets.get(target).map_or(0, |target| target.concurrency as usize);
            let asked_until = self.books.health.get(target).map_or(0, |health| health.asked_until);
            let is_held_back = |numbers: LaneNumbers| match numbers.breaker {
                Phase::Closed => false,
                Phase::HalfOpen => numbers.running > 0,
                Phase::Open => true,
            };
            let is_left_alone = numbers.is_some_and(|numbers| numbers.is_paused || is_held_back(numbers)) || self.at < asked_until;
            if is_left_alone {
                self.asleep.remove(target);
            } else if numbers.is_none_or(|numbers| numbers.running < cap) {
                let probes = self.asleep.entry(target.clone()).or_default();
                *probes += 1;
                if *probes > PROBES_ASLEEP_MAX {
                    self.broke(Rule::NobodyOversleeps, format!("{id} of {target} is due, and the lane is {numbers:?}"));
                    return;
                }
            }
        }
    }

    /// Whether the run has come to its end, well or not.
    pub(crate) fn is_over(&mut self) -> bool {
        if !self.is_calm || self.violation.is_some() {
            return false;
        }
        match self.unsettled() {
            None => true,
            Some((rule, what)) => {
                if self.at > self.deadline {
                    self.broke(rule, what);
                }
                false
            }
        }
    }

    /// What is not yet as it must be in the end.
    pub(crate) fn unsettled(&mut self) -> Option<(Rule, String)> {
        let Some(gateway) = &self.gateway else {
            return Some((Rule::EverythingSettles, "the process is not there".to_owned()));
        };
        if self.rings_to_come > 0 || self.books.promised.len() < self.script.events.len() || !self.retrying.is_empty() {
            return Some((Rule::EverythingSettles, "not every event was accepted".to_owned()));
        }
        if let Some((id, row)) = self.desk.model.deliveries().find(|(_, row)| row.state.is_open()) {
            return Some((Rule::EverythingSettles, format!("{id} is open: {row:?}")));
        }
        if let Some(what) = self.unpunished() {
            return Some((Rule::QuarantineIsDeserved, what));
        }
        if let Some(job) = self.desk.model.standing().jobs.first() {
            return Some((Rule::EverythingSettles, format!("{job} runs")));
        }
        if !self.desk.is_idle() {
            return Some((Rule::AtRestInTheEnd, "the store has work".to_owned()));
        }
        if let Some(what) = gateway.unrest() {
            return Some((Rule::AtRestInTheEnd, what));
        }
        self.check_promises();
        self.note_leases();
        None
    }
}
