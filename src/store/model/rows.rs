//! The reference store's tables: what was there before each write is noted, so that everything since the last commit can be taken back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{acts::ActTables, order::Queues};
use crate::{
    clock::{Now, UnixMs},
    delivery::{DeadReason, DeliveryId, State},
    event::{DedupKey, EventId, EventTypes, Payload},
    lease::{Lease, PayloadRef, Token},
    limits::{LEASE_LOCAL_MARGIN, PULL_LOOKS_MAX},
    name::{SourceName, TargetName},
    store::{AttemptView, DeliveryView, EventView, Tallies, TargetTally, tally::MINUTE_MS},
};

/// A change of a tally: target, state, when the delivery was born, by how much.
pub(super) type TallyChange = (TargetName, State, UnixMs, i64);

/// All tables and the tail's undo log.
#[derive(Debug, Default)]
pub(super) struct Rows {
    events: BTreeMap<EventId, EventRow>,
    deliveries: BTreeMap<DeliveryId, DeliveryRow>,
    attempts: BTreeMap<(DeliveryId, u32), AttemptView>,
    seen: BTreeMap<DedupKey, Seen>,
    /// Open deliveries by target, then by due time: the one index that claims read.
    due: BTreeMap<TargetName, BTreeSet<(UnixMs, DeliveryId)>>,
    pub(super) queues: Queues,
    acts: ActTables,
    undo: Vec<Undo>,
    tally_changes: Vec<TallyChange>,
}

/// A dedup record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) event: EventId,
    pub(super) expires: UnixMs,
}

/// An event's row.
#[derive(Clone, Debug)]
pub(super) struct EventRow {
    pub(super) source: SourceName,
    pub(super) types: EventTypes,
    pub(super) provider_event_id: Option<Box<str>>,
    pub(super) received_at: UnixMs,
    /// By variant; empty once purged.
    pub(super) payloads: Vec<Payload>,
}

/// A delivery's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// To whom.
    pub target: TargetName,
    /// Where it stands.
    pub state: State,
    /// When it is due, or its lease ends; `None` when settled.
    pub due: Option<UnixMs>,
    /// The number of the last lease.
    pub attempt: u32,
    /// Failures judged against the target.
    pub failures: u32,
    /// Leases that ended with a crash or ran out.
    pub crashes: u32,
    /// The fence of the last lease, kept when it is settled.
    pub token: Option<Token>,
    /// Which payload it sends.
    pub variant: u8,
    /// When it was born.
    pub first_at: UnixMs,
    /// When it was settled.
    pub done_at: Option<UnixMs>,
    /// The last HTTP status.
    pub status: Option<u16>,
    /// Why it is dead, if it is.
    pub dead: Option<DeadReason>,
    /// The slot it replays, if it does.
    pub replay_of: Option<u8>,
    /// What it is ordered by.
    pub order: Option<u64>,
    /// Its place among those of its order; it only rises.
    pub rank: i64,
    /// How often the process ended while it was the one suspect under way, since it last came back.
    pub trials: u32,
    /// The lease under which it last was that.
    pub tried: Option<Token>,
}

/// What was there before a write.
#[derive(Debug)]
enum Undo {
    Event(EventId, Option<EventRow>),
    Delivery(DeliveryId, Option<DeliveryRow>),
    Attempt((DeliveryId, u32), Option<AttemptView>),
    Seen(DedupKey, Option<Seen>),
    Acts(Box<ActTables>),
}

impl DeliveryRow {
    /// A delivery that is due at once and has never been attempted.
    pub(super) fn waiting(target: TargetName, variant: u8, now: UnixMs) -> Self {
        Self {
            target,
            state: State::Pending,
            due: Some(now),
            attempt: 0,
            failures: 0,
            crashes: 0,
            token: None,
            variant,
            first_at: now,
            done_at: None,
            status: None,
            dead: None,
            replay_of: None,
            order: None,
            rank: 0,
            trials: 0,
            tried: None,
        }
    }

    /// The lease this row now is, as its holder gets it; locally it ends a margin early.
    pub(super) fn lease(&self, id: DeliveryId, token: Token, lease: Duration, now: Now) -> Lease {
        Lease {
            id,
            target: self.target.clone(),
            token,
            attempt: self.attempt,
            failures: self.failures,
            crashes: self.crashes,
            trials: self.trials,
            first_at: self.first_at,
            replay_of: self.replay_of,
            until: now.mono + lease.saturating_sub(LEASE_LOCAL_MARGIN),
            payload: PayloadRef::InStore(self.variant),
        }
    }
}

impl Rows {
    pub(super) fn event(&self, id: EventId) -> Option<&EventRow> {
        self.events.get(&id)
    }

    pub(super) fn event_ids(&self) -> Vec<EventId> {
        self.events.keys().copied().collect()
    }

    pub(super) fn delivery(&self, id: DeliveryId) -> Option<&DeliveryRow> {
        self.deliveries.get(&id)
    }

    pub(super) fn deliveries(&self) -> impl Iterator<Item = (&DeliveryId, &DeliveryRow)> {
        self.deliveries.iter()
    }

    /// The event's deliveries, by slot.
    pub(super) fn of_event(&self, event: EventId) -> impl DoubleEndedIterator<Item = (&DeliveryId, &DeliveryRow)> {
        self.deliveries.range(DeliveryId { event, slot: 0 }..=DeliveryId { event, slot: u8::MAX })
    }

    pub(super) fn attempts(&self, id: DeliveryId) -> impl Iterator<Item = &AttemptView> {
        self.attempts.range((id, 0)..=(id, u32::MAX)).map(|(_, attempt)| attempt)
    }

    pub(super) fn seen(&self, key: DedupKey) -> Option<Seen> {
        self.seen.get(&key).copied()
    }

    pub(super) fn all_seen(&self) -> Vec<(DedupKey, Seen)> {
        self.seen.iter().map(|(key, seen)| (*key, *seen)).collect()
    }

    /// Deliveries of a target that are due, the longest due first.
    pub(super) fn due(&self, target: &TargetName, now: UnixMs) -> impl DoubleEndedIterator<Item = DeliveryId> {
        let first = DeliveryId { event: EventId::first_at(UnixMs(0)), slot: 0 };
        let due = self.due.get(target).into_iter();
        due.flat_map(move |due| due.range((UnixMs(i64::MIN), first)..(UnixMs(now.0.saturating_add(1)), first))).map(|(_, id)| *id)
    }

    /// The same and, `ahead` of their time, those that wait for a later try and had no lease after that one; of the first few only.
    pub(super) fn claimable(&self, target: &TargetName, now: UnixMs, ahead: Option<Token>) -> impl Iterator<Item = DeliveryId> {
        let waits = move |id: &DeliveryId| {
            let row = self.delivery(*id).filter(|row| row.state == State::Pending);
            ahead.zip(row).is_some_and(|(last, row)| row.token.is_none_or(|token| token <= last))
        };
        let later = self.due.get(target).into_iter().flatten().skip_while(move |(due, _)| *due <= now).map(|(_, id)| *id);
        self.due(target, now).chain(later.take(PULL_LOOKS_MAX).filter(waits))
    }

    /// The least due time of a target's open deliveries.
    pub(super) fn next_due(&self, target: &TargetName) -> Option<UnixMs> {
        self.due.get(target).and_then(BTreeSet::first).map(|(due, _)| *due)
    }

    /// What operators have said.
    pub(super) fn acts(&self) -> &ActTables {
        &self.acts
    }

    /// The same, to be changed.
    pub(super) fn acts_mut(&mut self) -> &mut ActTables {
        self.undo.push(Undo::Acts(Box::new(self.acts.clone())));
        &mut self.acts
    }

    /// Events from one on, in the order of their ids.
    pub(super) fn events_from(&self, from: EventId) -> impl Iterator<Item = (EventId, &EventRow)> {
        self.events.range(from..).map(|(id, row)| (*id, row))
    }

    pub(super) fn put_event(&mut self, id: EventId, row: Option<EventRow>) {
        let before = replace(&mut self.events, id, row);
        self.undo.push(Undo::Event(id, before));
    }

    pub(super) fn put_delivery(&mut self, id: DeliveryId, row: Option<DeliveryRow>) {
        if let Some(after) = &row {
            self.tally_changes.push((after.target.clone(), after.state, after.first_at, 1));
        }
        let before = self.place(id, row);
        if let Some(before) = &before {
            self.tally_changes.push((before.target.clone(), before.state, before.first_at, -1));
        }
        self.undo.push(Undo::Delivery(id, before));
    }

    pub(super) fn put_attempt(&mut self, id: DeliveryId, number: u32, row: Option<AttemptView>) {
        let before = replace(&mut self.attempts, (id, number), row);
        self.undo.push(Undo::Attempt((id, number), before));
    }

    pub(super) fn put_seen(&mut self, key: DedupKey, row: Option<Seen>) {
        let before = replace(&mut self.seen, key, row);
        self.undo.push(Undo::Seen(key, before));
    }

    /// Takes an event away with all that belongs to it, but not its dedup record.
    pub(super) fn purge(&mut self, event: EventId) {
        for id in self.of_event(event).map(|(id, _)| *id).collect::<Vec<_>>() {
            for number in self.attempts(id).map(|attempt| attempt.attempt).collect::<Vec<_>>() {
                self.put_attempt(id, number, None);
            }
            self.put_delivery(id, None);
        }
        self.put_event(event, None);
    }

    /// Forgets how to undo the tail, and says how the tallies change with it.
    pub(super) fn commit(&mut self) -> Vec<TallyChange> {
        self.undo.clear();
        std::mem::take(&mut self.tally_changes)
    }

    /// Takes the tail back; with `keep_seen` (a planted bug) its dedup records stay.
    pub(super) fn roll_back(&mut self, keep_seen: bool) {
        self.tally_changes.clear();
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Event(id, row) => drop(replace(&mut self.events, id, row)),
                Undo::Delivery(id, row) => drop(self.place(id, row)),
                Undo::Attempt(key, row) => drop(replace(&mut self.attempts, key, row)),
                Undo::Seen(key, row) if !keep_seen => drop(replace(&mut self.seen, key, row)),
                Undo::Seen(..) => {}
                Undo::Acts(acts) => self.acts = *acts,
            }
        }
    }

    /// One event as an operator sees it.
    pub(super) fn view(&self, id: EventId) -> Option<EventView> {
        let row = self.events.get(&id)?;
        Some(EventView {
            id,
            source: row.source.clone(),
            types: row.types.clone(),
            provider_event_id: row.provider_event_id.clone(),
            received_at: row.received_at,
            deliveries: self.of_event(id).map(|(id, row)| self.view_delivery(*id, row)).collect(),
        })
    }

    /// Whether index and tallies agree with the rows; the tallies only without a tail.
    pub(super) fn check(&self, tallies: &Tallies) -> Result<(), String> {
        let mut counted = BTreeMap::<&TargetName, TargetTally>::new();
        let mut open = 0;
        for (id, row) in &self.deliveries {
            if matches!(row.state, State::Pending | State::InFlight) != row.due.is_some() {
                return Err(format!("{id} has a due time and is settled or blocked, or has none and is neither"));
            }
            let is_indexed = |due| self.due.get(&row.target).is_some_and(|index| index.contains(&(due, *id)));
            if row.due.is_some_and(|due| !is_indexed(due)) {
                return Err(format!("{id} is not in the due index"));
            }
            open += usize::from(row.due.is_some());
            counted.entry(&row.target).or_default().count(row.state, row.first_at);
        }
        self.queues.check(&self.deliveries)?;
        if self.due.values().map(BTreeSet::len).sum::<usize>() != open {
            return Err("the due index has more than the open rows".to_owned());
        }
        if !self.undo.is_empty() {
            return Ok(());
        }
        let none = TargetTally::default();
        let kept = tallies.read();
        let differs = |(target, tally): (&TargetName, &TargetTally)| tally != counted.get(target).unwrap_or(&none);
        let is_missing = |(target, tally): (&&TargetName, &TargetTally)| *tally != none && !kept.contains_key(*target);
        if kept.iter().any(differs) || counted.iter().any(is_missing) {
            return Err(format!("tallies say {kept:?}, the rows {counted:?}"));
        }
        Ok(())
    }

    fn place(&mut self, id: DeliveryId, row: Option<DeliveryRow>) -> Option<DeliveryRow> {
        self.unindex(id);
        if let Some((target, due)) = row.as_ref().and_then(|row| Some((row.target.clone(), row.due?))) {
            self.due.entry(target).or_default().insert((due, id));
        }
        if let Some(row) = &row {
            self.queues.put(id, row, true);
        }
        replace(&mut self.deliveries, id, row)
    }

    fn unindex(&mut self, id: DeliveryId) {
        if let Some(row) = self.deliveries.get(&id) {
            self.queues.put(id, row, false);
        }
        let Some((target, due)) = self.deliveries.get(&id).and_then(|row| Some((&row.target, row.due?))) else { return };
        if let Some(index) = self.due.get_mut(target) {
            index.remove(&(due, id));
        }
    }

    fn view_delivery(&self, id: DeliveryId, row: &DeliveryRow) -> DeliveryView {
        DeliveryView {
            id,
            target: row.target.clone(),
            state: row.state,
            due: row.due,
            attempt: row.attempt,
            failures: row.failures,
            crashes: row.crashes,
            replay_of: row.replay_of,
            first_at: row.first_at,
            done_at: row.done_at,
            status: row.status,
            dead: row.dead,
            attempts: self.attempts(id).cloned().collect(),
        }
    }
}

impl TargetTally {
    /// Counts one delivery the slow way.
    fn count(&mut self, state: State, first_at: UnixMs) {
        match state {
            State::Pending | State::Blocked => self.pending += 1,
            State::InFlight => self.in_flight += 1,
            State::Dead => self.dead += 1,
            State::Delivered | State::Cancelled => {}
        }
        let minute = UnixMs(first_at.0.div_euclid(MINUTE_MS) * MINUTE_MS);
        let oldest = match state {
            State::Pending | State::InFlight | State::Blocked => &mut self.oldest_open,
            State::Dead => &mut self.oldest_dead,
            State::Delivered | State::Cancelled => return,
        };
        *oldest = Some(oldest.map_or(minute, |oldest| oldest.min(minute)));
    }
}

/// Puts a row in place, or takes it away, and gives back what was there.
fn replace<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, row: Option<V>) -> Option<V> {
    match row {
        Some(row) => table.insert(key, row),
        None => table.remove(&key),
    }
}
