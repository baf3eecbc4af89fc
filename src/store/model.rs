//! The reference store: plain maps, one writer, no disk. It is what the words on [`super::Store`] mean, as code.
//!
//! The conformance suite runs the same random histories against it and against the real stores; the simulator drives it directly. Writes
//! stand in the maps at once and are durable only after [`Model::commit`]: what came after the last commit is the tail, which
//! [`Model::roll_back`] and a crash ([`Model::boot`]) take away again. Slots are filled and waiting deliveries announced by the commit.
//!
//! Fine points that every store shares:
//! - A dedup record lives until admit time + window, and longer while a delivery of its event is open. Purging the event leaves it.
//! - An admit run again under its own id is `Accepted`, writes nothing, gives its slots back and announces its gates.
//! - A commit whose outcome is unknown announces the gates of all its events: what may be there must be looked for.
//! - A claim takes due rows by (due, id), lease expiries included; `next_due` is the least due left, this claim's own expiries included.
//! - A row keeps the token of its last lease: the same token on a settled or waiting row is `Again`, any other is `Stale`.
//! - A revival copies variant, target and order of the dead row into the next slot, waiting, with counters at zero and its own `first_at`.
//! - A delivery with an order is born blocked behind any open one of the same target and order, and unblocked by the write that settles the
//!   last one before it for good. Its place in that queue is when it was born, not its event's id: a revival comes last.
//! - A retry takes all suspicion away. A void lease counts a crash; and a trial, when its holder wrote that it began one.

mod acts;
mod holds;
mod looks;
mod order;
mod rows;
mod suspects;
mod sweep;
mod views;
mod wrapper;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    clock::{Now, Span, UnixMs},
    delivery::{Attempt, DeadReason, DeliveryId, State},
    event::{EventId, Payload},
    faults::{self, Fault},
    handoff::{LaneGate, Slot},
    lease::{Claimed, Fate, Fenced, Lease, LeaseRef, Token, Want},
    limits::{BACKOFF_MAX, CLAIM_MAX},
    name::TargetName,
    plan::Retention,
};

use super::{Admission, AttemptView, NewEvent, Owed, Standing, Start, Tallies};

pub use rows::DeliveryRow;
use rows::{EventRow, Rows, Seen};
pub use wrapper::ModelStore;

/// Failed attempts that are kept of one delivery: the latest.
const ATTEMPTS_KEPT_MAX: usize = 50;

/// The reference store.
#[derive(Debug)]
pub struct Model {
    rows: Rows,
    /// What the next commit makes visible outside.
    effects: Vec<Effect>,
    /// Gates of the events since the last commit, for the case that its outcome is unknown.
    gates: Vec<Arc<LaneGate>>,
    tallies: Arc<Tallies>,
    /// What stands by operators' word, as of the last commit.
    told: watch::Sender<Arc<Standing>>,
    retention: Retention,
    holds: BTreeMap<TargetName, Vec<Span>>,
    /// High part of every token, one more with each start; with the count below it, no token is made twice.
    boots: i64,
    tokens: i64,
    planted: Option<Fault>,
}

/// Something that may be seen outside only once it is durable.
#[derive(Debug)]
enum Effect {
    Fill(Box<Fill>),
    Announce(Arc<LaneGate>),
}

/// A slot, and what goes through it.
#[derive(Debug)]
struct Fill {
    slot: Slot,
    lease: Lease,
    payload: Payload,
    variant: u8,
}

impl Model {
    /// An empty store.
    #[must_use]
    pub fn new(retention: Retention) -> Self {
        Self {
            rows: Rows::default(),
            effects: Vec::new(),
            gates: Vec::new(),
            tallies: Arc::default(),
            told: watch::Sender::default(),
            retention,
            holds: BTreeMap::new(),
            boots: 1,
            tokens: 0,
            planted: None,
        }
    }

    /// Plants a bug, for the tests that must catch it.
    #[must_use]
    pub fn with_fault(mut self, fault: Option<Fault>) -> Self {
        self.planted = fault;
        self
    }

    /// Writes the event, its dedup record and its deliveries; see [`super::Store::admit`].
    pub fn admit(&mut self, event: NewEvent, now: Now) -> Admission {
        self.gates.extend(event.owed.iter().filter_map(|owed| owed.gate.clone()));
        let seen = self.rows.seen(event.key);
        if self.rows.event(event.id).is_some() || seen.is_some_and(|seen| seen.event == event.id) {
            self.effects.extend(event.owed.into_iter().filter_map(|owed| owed.gate).map(Effect::Announce));
            return Admission::Accepted;
        }
        if let Some(first) = seen.filter(|seen| self.is_known(*seen, now.wall)).map(|seen| seen.event) {
            let revived = if event.revive { self.revive(first, event.owed.into_vec(), now.wall) } else { 0 };
            return Admission::Duplicate { first, revived };
        }
        self.rows.put_seen(event.key, Some(Seen { event: event.id, expires: now.wall.after(event.window) }));
        let payloads = event.payloads;
        for (slot, owed) in (0..=u8::MAX).zip(event.owed) {
            let payload = payloads.get(usize::from(owed.variant)).cloned();
            self.give_birth(DeliveryId { event: event.id, slot }, owed, payload, now);
        }
        let row = EventRow {
            source: event.source,
            types: event.types,
            provider_event_id: event.provider_event_id,
            received_at: event.received_at,
            payloads: payloads.into_vec(),
        };
        self.rows.put_event(event.id, Some(row));
        Admission::Accepted
    }

    /// Leases due deliveries; see [`super::Store::claim`].
    pub fn claim(&mut self, wants: &[Want], now: Now) -> Vec<Claimed> {
        let mut left = CLAIM_MAX;
        let mut answer = Vec::with_capacity(wants.len());
        for want in wants {
            let oldest = self.rows.claimable(&want.target, now.wall, want.ahead).take(want.oldest.min(left)).collect::<Vec<_>>();
            left -= oldest.len();
            let newest_first = self.rows.due(&want.target, now.wall).rev().filter(|id| !oldest.contains(id));
            let fresh = newest_first.take(want.fresh.min(left)).collect::<Vec<_>>();
            left -= fresh.len();
            let leases = oldest.into_iter().chain(fresh).filter_map(|id| self.lease(id, want.lease, now)).collect();
            answer.push(Claimed { target: want.target.clone(), leases, next_due: self.rows.next_due(&want.target) });
        }
        answer
    }

    /// Every write that needs a lease; see [`super::Store::settle`].
    pub fn settle(&mut self, fenced: &[Fenced], now: UnixMs) -> Vec<Fate> {
        fenced.iter().map(|write| self.settle_one(write, now)).collect()
    }

    /// What stands, as of the last commit, and word of each change; see [`super::Store::standing`].
    #[must_use]
    pub fn hear_standing(&self) -> watch::Receiver<Arc<Standing>> {
        self.told.subscribe()
    }

    /// Makes the tail durable, then fills slots and announces, in the order of the writes.
    pub fn commit(&mut self) {
        self.settle_tail();
        self.gates.clear();
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Fill(fill) => fill.slot.fill(fill.lease, fill.payload, fill.variant),
                Effect::Announce(gate) => gate.announce(),
            }
        }
    }

    /// The commit failed after it took effect: the tail is durable and nobody was told. Slots go back, and every gate is announced, because
    /// what was born leased has to be found when its lease runs out.
    pub fn commit_unseen(&mut self) {
        self.settle_tail();
        self.announce_unknown();
    }

    /// The commit failed before it took effect: the tail is gone. A store cannot tell it from [`Self::commit_unseen`]: it announces too.
    pub fn roll_back(&mut self) {
        let keep_seen = self.is_planted(Fault::StagedMemoryKept);
        self.rows.roll_back(keep_seen);
        self.announce_unknown();
    }

    /// The process is gone, and with it the tail and whoever was to be told.
    pub fn crash(&mut self) {
        self.effects.clear();
        self.gates.clear();
        self.rows.roll_back(false);
    }

    /// A new process takes the store over: the tail is gone, every lease is void and due at once, and times that only a clock that had run
    /// ahead could have written are due at once too.
    pub fn boot(&mut self, now: UnixMs) {
        self.crash();
        self.boots += 1;
        self.tokens = 0;
        if self.is_planted(Fault::PauseForgotten) {
            self.rows.acts_mut().forget_pauses();
        }
        let ahead = now.after(BACKOFF_MAX);
        for (id, row) in self.rows.deliveries().map(|(id, row)| (*id, row.clone())).collect::<Vec<_>>() {
            if row.state == State::InFlight && !self.is_planted(Fault::BootWithoutVoiding) {
                self.rows.put_delivery(id, Some(self.void(row, now)));
            } else if row.due.is_some_and(|due| due > ahead) {
                self.rows.put_delivery(id, Some(DeliveryRow { due: Some(now), ..row }));
            }
        }
        self.commit();
    }

    fn settle_tail(&mut self) {
        for (target, state, first_at, change) in self.rows.commit() {
            self.tallies.add(&target, state, first_at, change);
        }
        let standing = self.standing();
        self.told.send_if_modified(|told| {
            let is_new = **told != standing;
            *told = Arc::new(standing);
            is_new
        });
    }

    fn announce_unknown(&mut self) {
        self.effects.clear();
        self.gates.drain(..).for_each(|gate| gate.announce());
    }

    fn is_planted(&self, fault: Fault) -> bool {
        self.planted == Some(fault) || faults::planted(fault)
    }

    fn is_known(&self, seen: Seen, now: UnixMs) -> bool {
        seen.expires > now || self.rows.of_event(seen.event).any(|(_, row)| row.state.is_open())
    }

    fn next_token(&mut self) -> Token {
        self.tokens += 1;
        Token((self.boots << 40) | self.tokens)
    }

    fn give_birth(&mut self, id: DeliveryId, owed: Owed, payload: Option<Payload>, now: Now) {
        let mut row = self.in_order(DeliveryRow::waiting(owed.target, owed.variant, now.wall), owed.order);
        match (owed.start, payload) {
            (Start::Leased(..) | Start::Waiting, _) if row.state == State::Blocked => {}
            (Start::Leased(slot, lease), Some(payload)) => {
                let token = self.next_token();
                row = DeliveryRow { state: State::InFlight, due: Some(now.wall.after(lease)), token: Some(token), attempt: 1, ..row };
                let lease = row.lease(id, token, lease, now);
                self.effects.push(Effect::Fill(Box::new(Fill { slot, lease, payload, variant: row.variant })));
            }
            (Start::Dead(reason), _) => {
                row = DeliveryRow { state: State::Dead, due: None, done_at: Some(now.wall), dead: Some(reason), ..row };
            }
            (Start::Waiting, _) if self.is_planted(Fault::LeaseWithoutSlot) => {
                let token = self.next_token();
                let due = Some(now.wall.after(crate::limits::LEASE_MIN));
                row = DeliveryRow { state: State::InFlight, due, token: Some(token), attempt: 1, ..row };
            }
            (Start::Waiting | Start::Leased(..), _) => self.effects.extend(owed.gate.map(Effect::Announce)),
        }
        self.rows.put_delivery(id, Some(row));
    }

    fn revive(&mut self, first: EventId, owed: Vec<Owed>, now: UnixMs) -> u32 {
        let mut revived = 0;
        for one in owed {
            let latest = self.rows.of_event(first).rfind(|(_, row)| row.target == one.target);
            let Some((dead, row)) = latest.filter(|(_, row)| row.state == State::Dead) else { continue };
            let next_slot = self.rows.of_event(first).next_back().and_then(|(id, _)| id.slot.checked_add(1));
            let Some(slot) = next_slot else { continue };
            let (replay_of, order) = (Some(dead.slot), row.order);
            let row = DeliveryRow { replay_of, ..DeliveryRow::waiting(one.target, row.variant, now) };
            let row = self.in_order(row, order);
            self.rows.put_delivery(DeliveryId { event: first, slot }, Some(row));
            self.effects.extend(one.gate.map(Effect::Announce));
            revived += 1;
        }
        revived
    }

    fn lease(&mut self, id: DeliveryId, lease: Duration, now: Now) -> Option<Lease> {
        let row = self.rows.delivery(id)?.clone();
        let token = self.next_token();
        let row = DeliveryRow {
            crashes: row.crashes + u32::from(row.state == State::InFlight),
            state: State::InFlight,
            due: Some(now.wall.after(lease)),
            attempt: row.attempt + 1,
            token: Some(token),
            ..row
        };
        let made = row.lease(id, token, lease, now);
        self.rows.put_delivery(id, Some(row));
        Some(made)
    }

    fn settle_one(&mut self, write: &Fenced, now: UnixMs) -> Fate {
        let LeaseRef { id, token } = write.lease();
        let Some(row) = self.rows.delivery(id).cloned() else { return Fate::Stale };
        if row.token != Some(token) && !self.is_planted(Fault::SettleWithoutFence) {
            return Fate::Stale;
        }
        if row.state != State::InFlight {
            return Fate::Again;
        }
        let row = self.settled(id, row, write, now);
        let is_over = !row.state.is_open() || self.is_planted(Fault::NextBeforeSettled);
        let key = row.order.filter(|_| is_over).map(|order| (row.target.clone(), order));
        self.rows.put_delivery(id, Some(row));
        if key.is_some_and(|(target, order)| self.unblock_next(&target, order, now)) { Fate::Unblocked } else { Fate::Done }
    }

    fn settled(&mut self, id: DeliveryId, row: DeliveryRow, write: &Fenced, now: UnixMs) -> DeliveryRow {
        match write {
            Fenced::Delivered(_, attempt) => {
                DeliveryRow { state: State::Delivered, due: None, done_at: Some(now), status: attempt.status, ..row }
            }
            Fenced::Retry { attempt, due, failures, .. } => {
                self.note_failure(id, row.attempt, attempt);
                // It came back, so it is not what made the process end.
                let innocent = DeliveryRow { crashes: 0, trials: 0, ..row };
                DeliveryRow { state: State::Pending, due: Some(*due), failures: *failures, status: attempt.status, ..innocent }
            }
            Fenced::Dead(_, attempt, reason) => {
                self.note_failure(id, row.attempt, attempt);
                let failures = row.failures + u32::from(*reason != DeadReason::PayloadLost);
                let dead = Some(*reason);
                DeliveryRow { state: State::Dead, due: None, done_at: Some(now), failures, dead, status: attempt.status, ..row }
            }
            Fenced::Trial(lease) => DeliveryRow { tried: Some(lease.token), ..row },
            Fenced::Quarantined(..) => {
                DeliveryRow { state: State::Dead, due: None, done_at: Some(now), dead: Some(DeadReason::Quarantined), ..row }
            }
            Fenced::Released(_, why) => DeliveryRow { state: State::Pending, due: Some(now.after(why.pause())), ..row },
        }
    }

    fn note_failure(&mut self, id: DeliveryId, number: u32, attempt: &Attempt) {
        let view = AttemptView {
            attempt: number,
            at: attempt.at,
            took_ms: u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX),
            result: attempt.result,
            status: attempt.status,
            excerpt: attempt.excerpt.clone(),
        };
        self.rows.put_attempt(id, number, Some(view));
        let kept = self.rows.attempts(id).map(|attempt| attempt.attempt).collect::<Vec<_>>();
        if let Some(oldest) = kept.first().filter(|_| kept.len() > ATTEMPTS_KEPT_MAX) {
            self.rows.put_attempt(id, *oldest, None);
        }
    }
}
