//! The embedded store: one SQLite file, one process, one writing thread.
//!
//! ```text
//!  door, shards --> queue --> store-writer: batch, COMMIT, memory, answers, slots --> lanes
//!                                 |  between batches: checkpoint, merge of dedup keys, room, purge
//!  deliveries ---> store-read-a: payloads          operators ---> store-read-b: views
//! ```
//!
//! Durable at level `embedded`: a commit is in the write-ahead log and flushed before anybody is answered. Everything a crash can leave is
//! a state it starts from. Dropping the store without [`Store::close`] leaves the file as a crash would.

mod acts;
mod admit;
mod backup;
mod check;
mod checkpoint;
mod claim;
mod fatal;
mod holds;
mod jobs;
mod lists;
mod memory;
mod names;
mod open;
mod order;
mod readers;
mod room;
mod schema;
mod seen;
mod settle;
mod status;
mod sweep;
mod thread;
mod views;
mod work;
mod writer;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::{oneshot, watch};

pub use check::{Report, back_up_offline, check};
pub use open::OpenError;

use crate::{
    clock::{Clock, Mono, Span},
    event::{EventId, Payload},
    lease::{Claimed, Fate, Fenced, Want},
    limits::{CLAIM_MAX, SETTLE_MAX},
    metrics::Metrics,
    name::TargetName,
    plan::{Plan, StoreSettings},
    store::{
        Act, Admission, AuditLine, Counted, EventView, Health, Job, ListedDelivery, Listing, NewEvent, Page, Reply, Standing, Step, Store,
        StoreError, Stored, Swept, Tallies, Task, Verb, acts::STEP_DELIVERIES_MAX, queue::Refused,
    },
};

use readers::{Questions, Read, ReadGate};
use status::Status;
use work::{Admit, Asker, Call, Chore, Queue, Urgent};

/// The embedded store. It is closed by [`Store::close`]; dropped without, it leaves its file as a crash would.
#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    payloads: Questions,
    views: Questions,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the store's threads share.
#[derive(Debug)]
struct Shared {
    settings: StoreSettings,
    clock: Clock,
    metrics: Arc<Metrics>,
    queue: Queue,
    tallies: Arc<Tallies>,
    /// When lanes were held, as it was when the file was opened.
    holds: BTreeMap<TargetName, Vec<Span>>,
    standing: watch::Sender<Arc<Standing>>,
    status: Status,
    gate: Arc<ReadGate>,
    merge_at: usize,
}

impl SqliteStore {
    /// Opens the file, creating it when it is not there, and starts the store's threads. `lease_max` is the longest lease any target can
    /// have: leases of the process before are looked for within it.
    ///
    /// # Errors
    /// Why the file cannot be the store, with the exit code that says so.
    pub fn open(settings: &StoreSettings, lease_max: Duration, clock: Clock, metrics: Arc<Metrics>) -> Result<Arc<Self>, OpenError> {
        Self::open_with(settings, lease_max, clock, metrics, seen::MERGE_AT)
    }

    /// The same with another number of dedup keys at which a merge begins; a small one makes tests meet merges.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(
        settings: &StoreSettings,
        lease_max: Duration,
        clock: Clock,
        metrics: Arc<Metrics>,
        merge_at: usize,
    ) -> Result<Arc<Self>, OpenError> {
        let mut opened = open::open(settings, lease_max, &clock, merge_at)?;
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            status: Status::new(opened.level, opened.highest_event_id, clock.mono()),
            clock,
            metrics,
            queue: Queue::default(),
            tallies: Arc::default(),
            holds: std::mem::take(&mut opened.holds),
            standing: watch::Sender::default(),
            gate: Arc::default(),
            merge_at,
        });
        let started = thread::start(&shared, opened)?;
        Ok(Arc::new(Self { shared, payloads: started.payloads, views: started.views, writer: Mutex::new(Some(started.writer)) }))
    }

    fn view<T: Send + 'static>(&self, question: impl FnOnce(Asker<T>) -> Read) -> Reply<T> {
        let (asker, reply) = oneshot::channel();
        answer(self.views.ask(question(asker)), reply)
    }

    fn urgent<T: Send + 'static>(&self, weight: usize, call: impl FnOnce(Asker<T>) -> Call) -> Reply<T> {
        let (asker, reply) = oneshot::channel();
        let urgent = Urgent { call: call(asker), since: self.shared.clock.mono() };
        answer(self.shared.queue.push_urgent(urgent, weight), reply)
    }
}

impl Store for SqliteStore {
    fn admit(&self, event: NewEvent, by: Mono) -> Reply<Admission> {
        let now = self.shared.clock.mono();
        if !self.shared.status.is_accepting() {
            return Box::pin(std::future::ready(Err(StoreError::Full)));
        }
        // Checksums are made here, on the asker's thread: the writer's time is everybody's.
        let crcs = event.payloads.iter().map(Payload::crc).collect();
        let bytes = event.bytes();
        let (asker, reply) = oneshot::channel();
        let queued = self.shared.queue.push_admit(Admit { event, crcs, since: now, by, asker: Some(asker) }, bytes, by, now);
        answer(queued, reply)
    }

    fn claim(&self, wants: Vec<Want>) -> Reply<Vec<Claimed>> {
        let weight = wants.iter().map(|want| want.oldest + want.fresh).sum::<usize>().min(CLAIM_MAX);
        self.urgent(weight, |asker| Call::Claim(wants, asker))
    }

    fn settle(&self, fenced: Vec<Fenced>) -> Reply<Vec<Fate>> {
        let weight = fenced.len().min(SETTLE_MAX);
        self.urgent(weight, |asker| Call::Settle(fenced, asker))
    }

    fn payloads(&self, of: Vec<(EventId, u8)>) -> Reply<Vec<Stored>> {
        let (asker, reply) = oneshot::channel();
        answer(self.payloads.ask(Read::Payloads(of, asker)), reply)
    }

    fn sweep(&self, budget: Duration) -> Reply<Swept> {
        let (asker, reply) = oneshot::channel();
        answer(self.shared.queue.push_chore(Chore::Sweep(budget, asker), self.shared.clock.mono()), reply)
    }

    fn event(&self, id: EventId) -> Reply<Option<EventView>> {
        self.view(|asker| Read::Event(id, asker))
    }

    fn events(&self, listing: Listing) -> Reply<Page<EventView>> {
        self.view(|asker| Read::Events(Box::new(listing), asker))
    }

    fn deliveries(&self, listing: Listing) -> Reply<Page<ListedDelivery>> {
        self.view(|asker| Read::Deliveries(Box::new(listing), asker))
    }

    fn operate(&self, act: Act) -> Reply<Step> {
        let weight = if matches!(act.verb, Verb::Go { .. }) { STEP_DELIVERIES_MAX } else { 1 };
        self.urgent(weight, |asker| Call::Operate(Box::new(act), asker))
    }

    fn count(&self, task: Task, plan: Arc<Plan>, from: EventId) -> Reply<Counted> {
        self.view(|asker| Read::Count(Box::new((task, plan, from)), asker))
    }

    fn jobs(&self) -> Reply<Vec<Job>> {
        self.view(Read::Jobs)
    }

    fn audit(&self, at_most: usize) -> Reply<Vec<AuditLine>> {
        self.view(|asker| Read::Audit(at_most, asker))
    }

    fn standing(&self) -> watch::Receiver<Arc<Standing>> {
        self.shared.standing.subscribe()
    }

    fn keep_holds(&self, target: TargetName, spans: Vec<Span>) -> Reply<()> {
        let (asker, reply) = oneshot::channel();
        answer(self.shared.queue.push_chore(Chore::KeepHolds(target, spans, asker), self.shared.clock.mono()), reply)
    }

    fn holds(&self) -> BTreeMap<TargetName, Vec<Span>> {
        self.shared.holds.clone()
    }

    fn tallies(&self) -> Arc<Tallies> {
        Arc::clone(&self.shared.tallies)
    }

    fn health(&self) -> Health {
        self.shared.status.health(self.shared.queue.age(self.shared.clock.mono()))
    }

    fn highest_event_id(&self) -> i64 {
        self.shared.status.highest_event_id()
    }

    fn close(&self, by: Mono) -> Reply<()> {
        let (asker, reply) = oneshot::channel();
        answer(self.shared.queue.close(Chore::Close(by, asker), self.shared.clock.mono()), reply)
    }
}

impl Drop for SqliteStore {
    /// Ends the threads without writing what is queued. After a close there is nothing left to end.
    fn drop(&mut self) {
        self.shared.queue.abandon();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A writer that panicked has aborted the process.
            let _ = writer.join();
        }
    }
}

/// The answer to come, or why there will be none. An asker the store forgot (it stopped as a crash would) must think the write may be
/// there.
fn answer<T: Send + 'static>(queued: Result<(), Refused>, reply: oneshot::Receiver<Result<T, StoreError>>) -> Reply<T> {
    match queued {
        Ok(()) => Box::pin(async move { reply.await.unwrap_or(Err(StoreError::Unknown)) }),
        Err(Refused::Busy) => Box::pin(std::future::ready(Err(StoreError::Busy))),
        Err(Refused::Closed) => Box::pin(std::future::ready(Err(StoreError::Away))),
    }
}
