//! The seam between the two halves: what is durable, what is atomic, what may be run again.
//!
//! `ingest` writes here and `deliver` reads here; they meet nowhere else. [`Store`] is the one trait of the project, with two
//! implementations that the same random histories are run against: `model` (a plain value, which the simulator drives) and `sqlite`.
//!
//! Rules every implementation keeps:
//! - A reply of `Ok` follows the durable commit, for duplicates too. Memory changes only after the commit.
//! - An error in a commit is [`StoreError::Unknown`]: the write may or may not be there. Running the same call again is always right.
//! - The dedup record and the deliveries of an event are one atomic write, and the record outlives the work it stands for.
//! - Fenced writes are taken before admits; an admit past its deadline is answered [`StoreError::Busy`], unrun.

pub mod acts;
mod admission;
mod filter;
mod listing;
mod model;
mod queue;
pub mod rejected;
mod sqlite;
mod tally;

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::sync::watch;

pub use acts::{Act, AuditLine, Counted, End, Job, JobId, Progress, Refusal, Standing, Step, Stepped, Task, TaskError, Verb, Work};
pub use admission::{Admission, NewEvent, Owed, Start};
pub use filter::{
    AGE_BYTES_MAX, FILTER_LIMIT_MAX, FILTER_VALUE_BYTES_MAX, FILTER_VALUES_MAX, Filter, FilterError, FilterId, age, time_or_age,
};
pub use listing::{Cursor, ListedDelivery, Listing, Page};
pub use model::{DeliveryRow, Model, ModelStore};
pub use sqlite::{OpenError, Report, SqliteStore, back_up_offline, check};
pub use tally::{Tallies, TargetTally};

use crate::{
    clock::{Mono, Span, UnixMs},
    delivery::{AttemptResult, DeadReason, DeliveryId, State},
    event::{EventId, EventTypes, Payload},
    lease::{Claimed, Fate, Fenced, Want},
    name::{SourceName, TargetName},
    plan::{Level, Plan},
};

/// An answer to come. It may be dropped: the store finishes the work all the same.
pub type Reply<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'static>>;

/// The bytes of a delivery: `None` where they are gone, fail their checksum or cannot be read any more; an error where they could not be
/// read now, which says nothing of the others.
pub type Stored = Result<Option<Payload>, StoreError>;

/// The store of a gateway: events, their deliveries, and which requests have been seen.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Writes the event, its dedup record and its deliveries in one step. `Ok` means durable at the named level, and every slot filled. The
    /// same id again gives the same `Ok`; the same key gives `Duplicate` with the first id, itself durable. Not run at all after `by`.
    fn admit(&self, event: NewEvent, by: Mono) -> Reply<Admission>;

    /// Leases due deliveries: for each want the oldest (and `fresh` newest), at most [`crate::limits::CLAIM_MAX`] in all, and when that
    /// target's next one is due. A lease that ran out is due again.
    fn claim(&self, wants: Vec<Want>) -> Reply<Vec<Claimed>>;

    /// Every write that needs a lease: at most [`crate::limits::SETTLE_MAX`], each atomic, one fate each, in order.
    fn settle(&self, fenced: Vec<Fenced>) -> Reply<Vec<Fate>>;

    /// The bytes of deliveries, by event and variant, each with an answer of its own.
    fn payloads(&self, of: Vec<(EventId, u8)>) -> Reply<Vec<Stored>>;

    /// What an operator wants: one bounded step, written whole or not at all. Asking again after [`StoreError::Unknown`] is always right.
    fn operate(&self, act: Act) -> Reply<Step>;

    /// What a task would do to the events from `from` on, a bounded step at a time; [`acts::count`] goes all the way.
    fn count(&self, task: Task, plan: Arc<Plan>, from: EventId) -> Reply<Counted>;

    /// The jobs that run and the last that ended, the newest first.
    fn jobs(&self) -> Reply<Vec<Job>>;

    /// The last lines of the audit, the newest first.
    fn audit(&self, at_most: usize) -> Reply<Vec<AuditLine>>;

    /// What stands until an operator changes it, and word of each change, after its commit.
    fn standing(&self) -> watch::Receiver<Arc<Standing>>;

    /// Purges what is past its retention, for at most about `budget` of the writer's time. Says what it did, so that a full sweep runs
    /// again.
    fn sweep(&self, budget: Duration) -> Reply<Swept>;

    /// One event with its deliveries and failed attempts.
    fn event(&self, id: EventId) -> Reply<Option<EventView>>;

    /// Keeps when a target's lane was held, in place of what was kept of it before. What is lost of that makes deliveries a little older or
    /// younger, and is no reason to try again: the next hold writes all of it.
    fn keep_holds(&self, target: TargetName, spans: Vec<Span>) -> Reply<()>;

    /// When lanes were held, as the process before this one kept it; from memory.
    fn holds(&self) -> BTreeMap<TargetName, Vec<Span>>;
    /// Events of a listing, the newest first, with their deliveries but no attempts.
    fn events(&self, listing: Listing) -> Reply<Page<EventView>>;

    /// Deliveries of a listing, those of the newest event first, each with its latest failed attempt.
    fn deliveries(&self, listing: Listing) -> Reply<Page<ListedDelivery>>;

    /// Deliveries by target and state, from memory: exact as of the last commit, never a scan.
    fn tallies(&self) -> Arc<Tallies>;

    /// How the store is, from memory.
    fn health(&self) -> Health;

    /// The highest event id there is, so that new ids start above it; 0 when empty.
    fn highest_event_id(&self) -> i64;

    /// Commits what is queued, makes the store ready for the next process, and lets go of it.
    fn close(&self, by: Mono) -> Reply<()>;
}

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting, or the deadline passed: nothing was run.
    #[error("the store is busy")]
    Busy,
    /// The store cannot be reached: nothing was run.
    #[error("the store is away")]
    Away,
    /// There is no room: nothing was written.
    #[error("the store is full")]
    Full,
    /// The commit failed on its way: it may have been written. Run it again.
    #[error("the store could not confirm")]
    Unknown,
    /// The store cannot go on; the process should end and start again.
    #[error("the store is broken: {0}")]
    Broken(Arc<str>),
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Events purged with all that belonged to them.
    pub events: u64,
    /// Payloads purged from events that stay listed.
    pub payloads: u64,
    /// Whether there is more to purge now.
    pub more: bool,
}

/// How the store is.
#[derive(Clone, Debug)]
pub struct Health {
    /// The durability level in force.
    pub level: Level,
    /// Whether admits are taken; `false` while the disk or the quota is full.
    pub accepting: bool,
    /// Whether the file can be written at all; `false` while the disk is full, so that nothing can be settled either.
    pub writable: bool,
    /// When the store's own thread last finished a turn; it takes one at least every second.
    pub last_turn: Mono,
    /// How long the oldest waiting admit has waited.
    pub queue_age: Duration,
    /// Bytes of the store's files.
    pub bytes: u64,
    /// Bytes free on its file system.
    pub free_bytes: u64,
    /// The last error, for people.
    pub last_error: Option<Arc<str>>,
}

/// An event as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventView {
    /// Its identity.
    pub id: EventId,
    /// Where it came in.
    pub source: SourceName,
    /// What it is about.
    pub types: EventTypes,
    /// The provider's own id, when it has one.
    pub provider_event_id: Option<Box<str>>,
    /// When it was received.
    pub received_at: UnixMs,
    /// Its deliveries, by slot.
    pub deliveries: Vec<DeliveryView>,
}

/// A delivery as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryView {
    /// Its identity.
    pub id: DeliveryId,
    /// To whom.
    pub target: TargetName,
    /// Where it stands.
    pub state: State,
    /// When it is due, or its lease ends; `None` when settled.
    pub due: Option<UnixMs>,
    /// The number of the last attempt.
    pub attempt: u32,
    /// Failures judged against the target.
    pub failures: u32,
    /// Leases that ended with a crash or ran out.
    pub crashes: u32,
    /// The slot it replays.
    pub replay_of: Option<u8>,
    /// When it was born.
    pub first_at: UnixMs,
    /// When it was settled.
    pub done_at: Option<UnixMs>,
    /// The last HTTP status.
    pub status: Option<u16>,
    /// Why it is dead, if it is.
    pub dead: Option<DeadReason>,
    /// Its failed attempts, in order, at most 50.
    pub attempts: Vec<AttemptView>,
}

/// A failed attempt as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptView {
    /// Its number.
    pub attempt: u32,
    /// When it started.
    pub at: UnixMs,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How it ended.
    pub result: AttemptResult,
    /// The status, when there was one.
    pub status: Option<u16>,
    /// A cause, or the first bytes of the answer.
    pub excerpt: Option<Box<str>>,
}
