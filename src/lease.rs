//! The time-limited right to attempt a delivery, and everything that may be done with it.
//!
//! A lease is made by the store (at admit against a lane slot, or by a claim) and consumed by one fenced write. Its token is the fence: a
//! holder whose lease was given to someone else writes nothing and is told [`Fate::Stale`].

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use crate::{
    clock::{Mono, UnixMs},
    delivery::{Attempt, DeadReason, DeliveryId},
    event::Payload,
    limits::{SUSPECT_CRASHES_MIN, SUSPECT_PAUSE},
    name::TargetName,
};

/// The fence of one lease; never used twice by a store, whatever restarts in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub i64);

/// The right to attempt one delivery until `until`.
#[derive(Debug)]
pub struct Lease {
    /// The delivery.
    pub id: DeliveryId,
    /// Whose lane it belongs to.
    pub target: TargetName,
    /// The fence.
    pub token: Token,
    /// The number of this attempt, from 1; rising, with gaps when a lease was not used.
    pub attempt: u32,
    /// Failures judged against the target so far.
    pub failures: u32,
    /// Times a lease of this delivery ended with a crash or ran out.
    pub crashes: u32,
    /// How often the process ended while it was the one suspect under way, since it last came back.
    pub trials: u32,
    /// When the delivery was born: its age counts from here.
    pub first_at: UnixMs,
    /// The slot this delivery replays, if it does.
    pub replay_of: Option<u8>,
    /// When the right ends, by the local monotonic clock and with a margin.
    pub until: Mono,
    /// The bytes, or where they are.
    pub payload: PayloadRef,
}

impl Lease {
    /// Whether it must not be attempted together with any other suspect.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.crashes >= SUSPECT_CRASHES_MIN
    }

    /// What names this lease in a fenced write.
    #[must_use]
    pub fn reference(&self) -> LeaseRef {
        LeaseRef { id: self.id, token: self.token }
    }
}

/// Where the bytes of a delivery are.
#[derive(Debug)]
pub enum PayloadRef {
    /// In memory, handed over at admit; the permit is their share of the delivery budget.
    Here(Payload, Option<OwnedSemaphorePermit>),
    /// In the store, as this variant of the event's payload.
    InStore(u8),
}

/// A delivery and the token it is held with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseRef {
    /// The delivery.
    pub id: DeliveryId,
    /// The fence.
    pub token: Token,
}

/// A write that needs a lease. Each is atomic; each gets one [`Fate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// The target has it.
    Delivered(LeaseRef, Attempt),
    /// Again when due.
    Retry {
        /// The lease given up.
        lease: LeaseRef,
        /// What came back.
        attempt: Attempt,
        /// When it is due again.
        due: UnixMs,
        /// Failures so far, as judged.
        failures: u32,
    },
    /// Not again by itself.
    Dead(LeaseRef, Attempt, DeadReason),
    /// It is about to be attempted as the one suspect: if the process ends before it comes back, that counts against it.
    Trial(LeaseRef),
    /// Not again by itself, and without an attempt: the process ended too often while it was the one suspect under way.
    Quarantined(LeaseRef, TargetName),
    /// The lease was not used, or its attempt was cut: due at once, or after [`Why::pause`].
    Released(LeaseRef, Why),
}

impl Fenced {
    /// The lease it needs.
    #[must_use]
    pub fn lease(&self) -> LeaseRef {
        match self {
            Self::Delivered(lease, _)
            | Self::Retry { lease, .. }
            | Self::Dead(lease, ..)
            | Self::Trial(lease)
            | Self::Quarantined(lease, _)
            | Self::Released(lease, _) => *lease,
        }
    }
}

/// Why a lease was given back unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Too little of it was left to start an attempt.
    NoTime,
    /// The target is being left alone: its breaker is open, or it asked for time.
    LeftAlone,
    /// It is a suspect, and so many wait for their turn that this one need not be held.
    Suspect,
    /// An operator holds the target.
    Paused,
    /// The gateway is stopping, or the target left the plan.
    Stopping,
    /// The running attempt was cut at the stop's deadline: the target may have it.
    Cut,
}

impl Why {
    /// How long it need not be looked for.
    #[must_use]
    pub fn pause(self) -> Duration {
        match self {
            Self::Suspect => SUSPECT_PAUSE,
            Self::NoTime | Self::LeftAlone | Self::Paused | Self::Stopping | Self::Cut => Duration::ZERO,
        }
    }
}

/// What became of a fenced write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Written.
    Done,
    /// Written, and with it the next delivery of its key is due.
    Unblocked,
    /// Written before, by this very token: a re-run.
    Again,
    /// The lease is another's by now: nothing was written.
    Stale,
}

impl Fate {
    /// Whether it was written now.
    #[must_use]
    pub fn is_written(self) -> bool {
        matches!(self, Self::Done | Self::Unblocked)
    }
}

/// What a lane asks the store for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Whose deliveries.
    pub target: TargetName,
    /// How many, oldest due first.
    pub oldest: usize,
    /// How many more, newest due first: under a backlog new events are not starved either.
    pub fresh: usize,
    /// The oldest may also be such as wait for a later try, if their last lease was this one or an older: the target is back since, and
    /// they need not wait on. What has been tried since then has its own time. Of those that are not due yet, the first
    /// [`crate::limits::PULL_LOOKS_MAX`] are looked at.
    pub ahead: Option<Token>,
    /// How long the leases shall last.
    pub lease: Duration,
}

/// What a claim gave one target.
#[derive(Debug)]
pub struct Claimed {
    /// Whose.
    pub target: TargetName,
    /// The leases; fewer than wanted when no more was due.
    pub leases: Vec<Lease>,
    /// When this target's next delivery is due, in the past when more is due now; `None` when nothing waits.
    pub next_due: Option<UnixMs>,
}
