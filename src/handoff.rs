//! The short way from admit to attempt: a slot of a lane, taken before the event is admitted, filled after the commit.
//!
//! A delivery is born leased only against such a slot, so memory is bounded by the lanes' room, order by acceptance holds while there is no
//! backlog, and a backlog never starves: a lane with one closes its gate, and everything then goes through the store.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use tokio::sync::{Semaphore, mpsc};

use crate::{
    event::Payload,
    faults::{Fault, planted},
    lease::{Lease, PayloadRef},
    name::TargetName,
};

/// What comes through a gate, in the order of the commits.
#[derive(Debug)]
pub enum Handoff {
    /// A filled slot: a delivery born leased.
    Leased(Lease),
    /// A delivery of this target was born waiting: there is a backlog now. Said once until the lane has heard it.
    Waiting(TargetName),
}

/// The door's side of one lane. Only the lane moves the limit; only slots move the count of places taken.
#[derive(Debug)]
pub struct LaneGate {
    target: TargetName,
    /// High half: the limit the lane has published. Low half: slots taken and not yet given back.
    places: AtomicU64,
    /// Whether a backlog was announced that the lane has not heard of yet.
    announced: AtomicBool,
    to: mpsc::UnboundedSender<Handoff>,
    budget: Arc<Semaphore>,
}

/// The right to hand one freshly admitted delivery to its lane. Dropped unfilled, it gives its place back.
#[derive(Debug)]
pub struct Slot {
    gate: Arc<LaneGate>,
    filled: bool,
}

impl LaneGate {
    /// A closed gate. Filled slots go to `to`; payloads they carry take their bytes from `budget`.
    #[must_use]
    pub fn new(target: TargetName, to: mpsc::UnboundedSender<Handoff>, budget: Arc<Semaphore>) -> Arc<Self> {
        Arc::new(Self { target, places: AtomicU64::new(0), announced: AtomicBool::new(false), to, budget })
    }

    /// Says that a delivery was born waiting; called by the store's own thread after the commit. The lane then claims.
    pub fn announce(&self) {
        if !self.announced.swap(true, Ordering::AcqRel) {
            // Without a lane (the gateway is stopping) the next start finds the delivery.
            let _ = self.to.send(Handoff::Waiting(self.target.clone()));
        }
    }

    /// The announcement was heard; called before the lane claims, so that whatever is committed later is announced again.
    pub fn heard(&self) {
        self.announced.store(false, Ordering::Release);
    }

    /// Takes a slot when the gate has room.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Slot> {
        let taken = self.places.fetch_update(Ordering::AcqRel, Ordering::Acquire, |places| {
            let (limit, taken) = halves(places);
            (taken < limit || planted(Fault::LeaseWithoutSlot)).then_some(places + 1)
        });
        taken.is_ok().then(|| Slot { gate: Arc::clone(self), filled: false })
    }

    /// Publishes how many slots may be out at once; 0 closes the gate. Slots already out stay good.
    pub fn publish(&self, limit: u32) {
        let set = |places: u64| Some((u64::from(limit) << 32) | u64::from(halves(places).1));
        // An update that always has a value cannot fail.
        let _ = self.places.fetch_update(Ordering::AcqRel, Ordering::Acquire, set);
    }

    /// Slots that are out: taken, and not dropped or counted by the lane.
    #[must_use]
    pub fn out(&self) -> u32 {
        halves(self.places.load(Ordering::Acquire)).1
    }

    /// Gives one place back: the lane has counted a filled slot's lease, and has lowered its limit first.
    pub fn counted(&self) {
        self.places.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The gates of all lanes, as the door sees them; replaced whole with each plan.
#[derive(Debug, Default)]
pub struct Gates(ArcSwap<HashMap<TargetName, Arc<LaneGate>>>);

impl Gates {
    /// The gate of a target's lane; `None` when it has none (the target is not in the plan).
    #[must_use]
    pub fn get(&self, target: &TargetName) -> Option<Arc<LaneGate>> {
        self.0.load().get(target).cloned()
    }

    /// Puts the gates of a new plan in place.
    pub fn replace(&self, gates: HashMap<TargetName, Arc<LaneGate>>) {
        self.0.store(Arc::new(gates));
    }

    /// Tells every lane to look: deliveries may have been born waiting that nobody was told of.
    pub fn announce_all(&self) {
        self.0.load().values().for_each(|gate| gate.announce());
    }

    /// Closes every gate: what is admitted from now on is born waiting.
    pub fn close_all(&self) {
        self.0.load().values().for_each(|gate| gate.publish(0));
    }
}

impl Slot {
    /// Hands the lease over; called by the store's own thread after the commit. The bytes go along when the delivery budget has room, else
    /// they are read back from the store when the attempt starts. The place stays taken until the lane has counted the lease.
    pub fn fill(mut self, mut lease: Lease, payload: Payload, variant: u8) {
        let bytes = u32::try_from(payload.bytes()).unwrap_or(u32::MAX);
        lease.payload = match Arc::clone(&self.gate.budget).try_acquire_many_owned(bytes) {
            Ok(permit) => PayloadRef::Here(payload, Some(permit)),
            Err(_) => PayloadRef::InStore(variant),
        };
        self.filled = self.gate.to.send(Handoff::Leased(lease)).is_ok();
        // Without a lane (the gateway is stopping) the lease runs out or is voided at the next start.
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.filled {
            self.gate.counted();
        }
    }
}

fn halves(places: u64) -> (u32, u32) {
    (u32::try_from(places >> 32).unwrap_or(u32::MAX), u32::try_from(places & u64::from(u32::MAX)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_slots_out_than_published_and_none_is_lost() {
        let (to, _from) = mpsc::unbounded_channel();
        let gate = LaneGate::new(TargetName::parse("app").expect("a name"), to, Arc::new(Semaphore::new(0)));
        assert!(gate.take().is_none(), "closed from the start");
        gate.publish(2);
        let first = gate.take().expect("room");
        let second = gate.take().expect("room");
        assert!(gate.take().is_none());
        gate.publish(1);
        drop(first);
        assert!(gate.take().is_none(), "the limit sank under what is out");
        drop(second);
        assert!(gate.take().is_some());
        assert_eq!(gate.out(), 0);
    }
}
