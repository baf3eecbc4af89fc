//! The reference store behind the [`Store`] trait: every call is a batch of its own, committed before it is answered.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    clock::{Clock, Mono, Span},
    event::EventId,
    lease::{Claimed, Fate, Fenced, Want},
    name::TargetName,
    plan::{Level, Plan, Retention},
    store::{
        Act, Admission, AuditLine, Counted, EventView, Health, Job, ListedDelivery, Listing, NewEvent, Page, Reply, Standing, Step, Store,
        StoreError, Stored, Swept, Tallies, Task,
    },
};

use super::Model;

/// The reference store, for the conformance suite.
#[derive(Debug)]
pub struct ModelStore {
    model: Mutex<Model>,
    clock: Clock,
}

impl ModelStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Clock, retention: Retention) -> Self {
        Self { model: Mutex::new(Model::new(retention)), clock }
    }

    /// What a process that is killed and started again finds: everything answered, and no lease.
    pub fn restart(&self) {
        let now = self.clock.wall();
        self.lock().boot(now);
    }

    /// Whether index and tallies agree with the rows.
    ///
    /// # Errors
    /// What differs, for people.
    pub fn check(&self) -> Result<(), String> {
        self.lock().check()
    }

    fn lock(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for ModelStore {
    fn admit(&self, event: NewEvent, by: Mono) -> Reply<Admission> {
        let now = self.clock.now();
        if now.mono > by {
            return answer(Err(StoreError::Busy));
        }
        let mut model = self.lock();
        let admission = model.admit(event, now);
        model.commit();
        answer(Ok(admission))
    }

    fn claim(&self, wants: Vec<Want>) -> Reply<Vec<Claimed>> {
        let mut model = self.lock();
        let claimed = model.claim(&wants, self.clock.now());
        model.commit();
        answer(Ok(claimed))
    }

    fn settle(&self, fenced: Vec<Fenced>) -> Reply<Vec<Fate>> {
        let mut model = self.lock();
        let fates = model.settle(&fenced, self.clock.wall());
        model.commit();
        answer(Ok(fates))
    }

    fn payloads(&self, of: Vec<(EventId, u8)>) -> Reply<Vec<Stored>> {
        let model = self.lock();
        answer(Ok(of.into_iter().map(|(event, variant)| Ok(model.payload(event, variant))).collect()))
    }

    fn operate(&self, act: Act) -> Reply<Step> {
        let mut model = self.lock();
        let step = model.operate(&act, self.clock.wall());
        model.commit();
        answer(Ok(step))
    }

    fn count(&self, task: Task, plan: Arc<Plan>, from: EventId) -> Reply<Counted> {
        answer(Ok(self.lock().count(&task, &plan, from)))
    }

    fn jobs(&self) -> Reply<Vec<Job>> {
        answer(Ok(self.lock().jobs()))
    }

    fn audit(&self, at_most: usize) -> Reply<Vec<AuditLine>> {
        answer(Ok(self.lock().audit(at_most)))
    }

    fn standing(&self) -> watch::Receiver<Arc<Standing>> {
        self.lock().hear_standing()
    }

    fn sweep(&self, _budget: Duration) -> Reply<Swept> {
        let mut model = self.lock();
        let swept = model.sweep(self.clock.wall());
        model.commit();
        answer(Ok(swept))
    }

    fn event(&self, id: EventId) -> Reply<Option<EventView>> {
        answer(Ok(self.lock().event(id)))
    }

    fn keep_holds(&self, target: TargetName, spans: Vec<Span>) -> Reply<()> {
        self.lock().keep_holds(target, spans);
        answer(Ok(()))
    }

    fn holds(&self) -> BTreeMap<TargetName, Vec<Span>> {
        self.lock().holds()
    }

    fn events(&self, listing: Listing) -> Reply<Page<EventView>> {
        answer(Ok(self.lock().events(&listing)))
    }

    fn deliveries(&self, listing: Listing) -> Reply<Page<ListedDelivery>> {
        answer(Ok(self.lock().listed_deliveries(&listing)))
    }

    fn tallies(&self) -> Arc<Tallies> {
        self.lock().tallies()
    }

    fn health(&self) -> Health {
        Health {
            level: Level::Ephemeral,
            accepting: true,
            writable: true,
            last_turn: self.clock.mono(),
            queue_age: Duration::ZERO,
            bytes: 0,
            free_bytes: u64::MAX,
            last_error: None,
        }
    }

    fn highest_event_id(&self) -> i64 {
        self.lock().highest_event_id()
    }

    fn close(&self, _by: Mono) -> Reply<()> {
        answer(Ok(()))
    }
}

fn answer<T: Send + 'static>(value: Result<T, StoreError>) -> Reply<T> {
    Box::pin(std::future::ready(value))
}
