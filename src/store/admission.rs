//! What goes in: an event with its fan-out, frozen before the store sees it.

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;

use crate::{
    clock::UnixMs,
    delivery::DeadReason,
    event::{DedupKey, EventId, EventTypes, Payload},
    handoff::{LaneGate, Slot},
    name::{SourceName, TargetName},
    verify::Proof,
};

/// A request with everything decided: its identity, its bytes, and to whom it is owed.
///
/// It needs a [`Proof`], which only `verify` can make: what is not verified cannot be stored, save what a source takes while it only
/// observes, and then the proof says so.
#[derive(Debug)]
pub struct NewEvent {
    /// Made at ingest, before any store: "exists, and it is mine" means accepted.
    pub id: EventId,
    /// Where it came in.
    pub source: SourceName,
    /// What it is about.
    pub types: EventTypes,
    /// The provider's own id, cut to [`crate::limits::PROVIDER_EVENT_ID_BYTES_MAX`].
    pub provider_event_id: Option<Box<str>>,
    /// When its last byte arrived.
    pub received_at: UnixMs,
    /// What makes a repeat of it.
    pub key: DedupKey,
    /// How long a repeat is known. The record also lives as long as a delivery is open.
    pub window: Duration,
    /// Whether a repeat gives dead deliveries of the first event a new try: to each of the targets in `owed` whose latest delivery is dead.
    pub revive: bool,
    /// Variant 0 is the event as rung; further ones are shaped.
    pub payloads: SmallVec<[Payload; 1]>,
    /// To whom it is owed; empty for an event no route wants. At most [`crate::limits::FAN_OUT_MAX`].
    pub owed: SmallVec<[Owed; 4]>,
    /// What it rests on.
    pub proof: Proof,
}

impl NewEvent {
    /// Bytes it brings to the store.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.payloads.iter().map(Payload::bytes).sum()
    }
}

/// One target's share of a new event.
#[derive(Debug)]
pub struct Owed {
    /// To whom.
    pub target: TargetName,
    /// Which variant of the payload.
    pub variant: u8,
    /// How the delivery is born.
    pub start: Start,
    /// What it is ordered by, hashed: it waits for earlier ones of the same target and number. `None` for no order.
    pub order: Option<u64>,
    /// The gate of its lane, to announce a delivery that is born waiting.
    pub gate: Option<Arc<LaneGate>>,
}

/// How a delivery is born.
#[derive(Debug)]
pub enum Start {
    /// Leased for this long, and handed to its lane after the commit.
    Leased(Slot, Duration),
    /// Waiting, due at once.
    Waiting,
    /// Dead: it could not be shaped.
    Dead(DeadReason),
}

/// What admit found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is new (or it is this very event, admitted before), and it is durable.
    Accepted,
    /// Its key was seen within the window; the first event is durable.
    Duplicate {
        /// The event that was first.
        first: EventId,
        /// Dead deliveries of it that got a new try.
        revived: u32,
    },
}
