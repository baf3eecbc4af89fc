//! Order within a key in the reference store: who waits behind whom, and who is next.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    clock::UnixMs,
    delivery::{DeliveryId, State},
    faults::Fault,
    name::TargetName,
};

use super::{DeliveryRow, Model};

/// Open deliveries that are ordered: by target and order, in their ranks.
#[derive(Debug, Default)]
pub(super) struct Queues(BTreeMap<(TargetName, u64), BTreeSet<(i64, DeliveryId)>>);

impl Model {
    /// A delivery at its birth, ordered so: at the end of the queue of its key, and blocked when that is not empty.
    pub(super) fn in_order(&mut self, row: DeliveryRow, order: Option<u64>) -> DeliveryRow {
        let Some(key) = order else { return row };
        let row = DeliveryRow { order, rank: self.next_token().0, ..row };
        if self.rows.queues.of(&row.target, key).next().is_none() || self.is_planted(Fault::OpenRowUnseen) {
            return row;
        }
        DeliveryRow { state: State::Blocked, due: None, ..row }
    }

    /// The delivery before it is settled for good: the next of its key is due. Whether there is one.
    pub(super) fn unblock_next(&mut self, target: &TargetName, order: u64, now: UnixMs) -> bool {
        let ahead = usize::from(self.is_planted(Fault::NextBeforeSettled));
        let next = self.rows.queues.of(target, order).take(1 + ahead).find_map(|id| {
            let row = self.rows.delivery(id).filter(|row| row.state == State::Blocked)?;
            Some((id, row.clone()))
        });
        let Some((next, row)) = next else { return false };
        self.rows.put_delivery(next, Some(DeliveryRow { state: State::Pending, due: Some(now), ..row }));
        true
    }
}

impl Queues {
    /// The open deliveries of a key, in their ranks.
    pub(super) fn of(&self, target: &TargetName, order: u64) -> impl Iterator<Item = DeliveryId> {
        self.0.get(&(target.clone(), order)).into_iter().flatten().map(|(_, id)| *id)
    }

    /// A row is in its place, or is about to leave it.
    pub(super) fn put(&mut self, id: DeliveryId, row: &DeliveryRow, is_there: bool) {
        let Some(order) = row.order.filter(|_| row.state.is_open()) else { return };
        let queue = self.0.entry((row.target.clone(), order)).or_default();
        if is_there {
            queue.insert((row.rank, id));
        } else {
            queue.remove(&(row.rank, id));
        }
        if queue.is_empty() {
            self.0.remove(&(row.target.clone(), order));
        }
    }

    /// Whether every open delivery that is ordered stands in its queue, and none besides.
    ///
    /// # Errors
    /// What differs, for people.
    pub(super) fn check(&self, rows: &BTreeMap<DeliveryId, DeliveryRow>) -> Result<(), String> {
        let queued = self.0.values().map(BTreeSet::len).sum::<usize>();
        let mut open = 0;
        for (id, row) in rows.iter().filter(|(_, row)| row.state.is_open()) {
            let queue = row.order.and_then(|order| self.0.get(&(row.target.clone(), order)));
            open += usize::from(row.order.is_some());
            let is_queued = queue.is_some_and(|queue| queue.contains(&(row.rank, *id)));
            if is_queued != row.order.is_some() || row.state == State::Blocked && !is_queued {
                return Err(format!("{id} is ordered and in no queue: {row:?}"));
            }
        }
        if queued == open { Ok(()) } else { Err(format!("{queued} deliveries stand in queues, and {open} should")) }
    }
}
