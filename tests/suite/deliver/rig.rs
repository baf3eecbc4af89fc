//! The back half between a model store and scripted targets: what ingest would do is done by hand.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hookgate::{
    clock::{Clock, Mono, Span},
    deliver::{Seen, Shards, Stopped},
    delivery::State,
    event::{DedupKey, EventId, EventIds, EventTypes, Payload},
    handoff::{Gates, LaneGate},
    lease::{Claimed, Fate, Fenced, Want},
    metrics::Metrics,
    name::{SourceName, TargetName},
    plan::{
        Admin, ClientTls, Egress, Limits, Log, LogFormat, LogWhat, Plan, Retention, RetryPolicy, Server, Shutdown, StoreSettings, Target,
        Tls,
    },
    request::HeadersBuilder,
    route::Routes,
    store::{
        Act, Admission, AuditLine, Counted, DeliveryView, EventView, Health, Job, ListedDelivery, Listing, ModelStore, NewEvent, Owed,
        Page, Reply, Standing, Start, Step, Store, StoreError, Stored, Swept, Tallies, Task, Verb,
    },
};
use smallvec::smallvec;
use tokio::sync::watch;

use crate::support::proof;

const PATIENCE: Duration = Duration::from_secs(20);

/// The parts of a gateway that deliver.
pub(crate) struct Rig {
    pub(crate) store: Arc<Unreliable>,
    pub(crate) metrics: Arc<Metrics>,
    plan: Arc<Plan>,
    gates: Arc<Gates>,
    shards: Option<Shards>,
    ids: EventIds,
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    /// Delivering to these targets, wherever they are.
    pub(crate) fn to(targets: Vec<Target>) -> Self {
        Self::guarded(targets, Egress { deny_classes: vec![], deny_nets: vec![], allow: vec![] })
    }

    /// Delivering to these targets under an egress policy.
    pub(crate) fn guarded(targets: Vec<Target>, egress: Egress) -> Self {
        let mut rig = Self::stopped(targets, egress);
        rig.start();
        rig
    }

    /// Not delivering yet.
    pub(crate) fn stopped(targets: Vec<Target>, egress: Egress) -> Self {
        let plan = Arc::new(plan(targets, egress));
        let metrics = Arc::new(Metrics::new().expect("declared once"));
        let names: Vec<&TargetName> = plan.targets.keys().collect();
        metrics.configure(&[], &names, Clock::System.wall());
        let inner = ModelStore::new(Clock::System, plan.store.retention.clone());
        Self {
            store: Arc::new(Unreliable { inner, reads_failing: AtomicUsize::new(0), settles_failing: AtomicUsize::new(0) }),
            metrics,
            plan,
            gates: Arc::default(),
            shards: None,
            ids: EventIds::above(0, 0),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
        }
    }

    /// Starts delivering.
    pub(crate) fn start(&mut self) {
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let seen = Seen { metrics: Arc::clone(&self.metrics), notes: Arc::default() };
        let started = Shards::start(&self.plan, store, Arc::clone(&self.gates), Clock::System, seen);
        self.shards = Some(started.expect("the targets can be prepared"));
    }

    /// Stops delivering; what runs is cut after `patience`.
    pub(crate) fn stop(&mut self, patience: Duration) -> Stopped {
        let shards = self.shards.take().expect("it runs");
        let stopped = self.runtime.block_on(shards.stop(Clock::System.mono() + patience));
        wait_until("the end of its threads", || !shards.alive());
        stopped
    }

    /// The running shards.
    pub(crate) fn shards(&self) -> &Shards {
        self.shards.as_ref().expect("it runs")
    }

    /// Writes an event down that is owed to every target, as ingest would.
    pub(crate) fn admit(&self, fields: &[(&str, &[u8])], body: &[u8]) -> EventId {
        let now = Clock::System.now();
        let id = self.ids.next(now.wall);
        let mut head = HeadersBuilder::new();
        for (name, value) in fields {
            assert!(head.push(name, value), "{name}");
        }
        let owed = self.plan.targets.values().map(|target| {
            let gate = self.gates.get(&target.name);
            let slot = gate.as_ref().and_then(LaneGate::take);
            let start = slot.map_or(Start::Waiting, |slot| Start::Leased(slot, target.lease()));
            Owed { target: target.name.clone(), variant: 0, start, order: None, gate }
        });
        let event = NewEvent {
            id,
            source: SourceName::parse("test").expect("a name"),
            types: EventTypes::default(),
            provider_event_id: None,
            received_at: now.wall,
            key: DedupKey(u128::from(id.to_i64().unsigned_abs()).to_le_bytes()),
            window: Duration::from_secs(3600),
            revive: false,
            payloads: smallvec![Payload { head: head.build().block().clone(), body: Bytes::copy_from_slice(body) }],
            owed: owed.collect(),
            proof: proof::of_a_request(),
        };
        let admitted = self.runtime.block_on(self.store.admit(event, Mono::NEVER));
        assert_eq!(admitted, Ok(Admission::Accepted));
        id
    }

    /// The event as the store shows it.
    pub(crate) fn view(&self, id: EventId) -> EventView {
        self.runtime.block_on(self.store.event(id)).expect("the model answers").expect("it is there")
    }

    /// Asks for something as an operator would.
    pub(crate) fn operate(&self, verb: Verb) -> Step {
        self.runtime.block_on(self.store.operate(Act { by: "ops".into(), verb })).expect("the model does it")
    }

    /// Whether a lane would take a delivery from memory.
    pub(crate) fn has_room(&self, target: &str) -> bool {
        let target = TargetName::parse(target).expect("a name");
        self.gates.get(&target).and_then(|gate| gate.take()).is_some()
    }

    /// Waits until the event's first delivery is in this state.
    pub(crate) fn wait_for(&self, id: EventId, state: State) -> DeliveryView {
        let first = || self.view(id).deliveries.into_iter().next().expect("a delivery");
        wait_until(&format!("{state:?}"), || first().state == state);
        first()
    }

    /// Waits until the text of the metrics has this line.
    pub(crate) fn wait_for_metric(&self, line: &str) {
        wait_until(line, || self.metrics.render().expect("rendered").lines().any(|other| other == line));
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.shards.is_some() && !std::thread::panicking() {
            self.stop(Duration::ZERO);
            self.store.inner.check().expect("the store's own books agree");
        }
    }
}

/// Looks again and again, for a bounded time.
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let end = Clock::System.mono() + PATIENCE;
    while !holds() {
        assert!(Clock::System.mono() < end, "waited in vain for {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A target with short delays.
pub(crate) fn target(name: &str, url: &str) -> Target {
    Target {
        name: TargetName::parse(name).expect("a name"),
        url: url.parse().expect("a url"),
        method: http::Method::POST,
        headers: vec![],
        auth: None,
        tls: ClientTls::default(),
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(3),
        concurrency: 4,
        rate_limit: None,
        breaker: None,
        formerly: Vec::new(),
        retry: RetryPolicy {
            first: Duration::from_millis(20),
            factor: 1.0,
            max: Duration::from_millis(20),
            give_up_after: None,
            attempts: None,
            retry_after_max: Duration::from_secs(60),
            dead_on: vec![],
        },
        order_by: None,
        disabled: false,
    }
}

/// A plan of these targets and no routes; nothing else of it matters to delivery.
pub(crate) fn plan(targets: Vec<Target>, egress: Egress) -> Plan {
    let day = Duration::from_secs(86_400);
    let loopback = "127.0.0.1:0".parse().expect("an address");
    Plan {
        generation: 1,
        server: Server {
            listen: loopback,
            public_url: None,
            tls: Tls::None,
            trusted_proxies: vec![],
            limits: Limits {
                body: 1 << 20,
                body_max: 32 << 20,
                in_flight: 256 << 20,
                in_flight_per_source: 25,
                in_flight_per_ip: 16,
                body_time: Duration::from_secs(10),
                connections: 100,
                answer_within: Duration::from_millis(2500),
            },
            shutdown: Shutdown { delay: Duration::ZERO, deadline: Duration::from_secs(10) },
        },
        monitor: None,
        admin: Admin { listen: loopback, tokens: vec![], hosts: vec![] },
        store: StoreSettings {
            path: "unused.db".into(),
            data_dir: ".".into(),
            durability: None,
            retention: Retention { delivered: day, unrouted: day, cancelled: day, dead: day, payload: None, rejected: None },
            max_bytes: 1 << 30,
            min_free_bytes: 0,
            lock_wait: Duration::ZERO,
        },
        log: Log { format: LogFormat::Json, level: tracing::Level::INFO, requests: LogWhat::None, attempts: LogWhat::All },
        egress,
        alerts: None,
        sources: BTreeMap::new(),
        paths: HashMap::new(),
        targets: targets.into_iter().map(|target| (target.name.clone(), Arc::new(target))).collect(),
        routes: Routes::default(),
    }
}

/// The model store, failing when told to.
#[derive(Debug)]
pub(crate) struct Unreliable {
    inner: ModelStore,
    /// So many reads of payloads fail; `usize::MAX` finds them lost instead.
    pub(crate) reads_failing: AtomicUsize,
    /// So many settles are written, and their answers lost.
    pub(crate) settles_failing: AtomicUsize,
}

fn takes_one(of: &AtomicUsize) -> bool {
    of.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Store for Unreliable {
    fn payloads(&self, of: Vec<(EventId, u8)>) -> Reply<Vec<Stored>> {
        if self.reads_failing.load(Ordering::SeqCst) == usize::MAX {
            return Box::pin(std::future::ready(Ok(vec![Ok(None); of.len()])));
        }
        if takes_one(&self.reads_failing) {
            return Box::pin(std::future::ready(Err(StoreError::Busy)));
        }
        self.inner.payloads(of)
    }

    fn settle(&self, fenced: Vec<Fenced>) -> Reply<Vec<Fate>> {
        let settled = self.inner.settle(fenced);
        if takes_one(&self.settles_failing) {
            return Box::pin(std::future::ready(Err(StoreError::Unknown)));
        }
        settled
    }

    fn admit(&self, event: NewEvent, by: Mono) -> Reply<Admission> {
        self.inner.admit(event, by)
    }

    fn claim(&self, wants: Vec<Want>) -> Reply<Vec<Claimed>> {
        self.inner.claim(wants)
    }

    fn sweep(&self, budget: Duration) -> Reply<Swept> {
        self.inner.sweep(budget)
    }

    fn event(&self, id: EventId) -> Reply<Option<EventView>> {
        self.inner.event(id)
    }

    fn keep_holds(&self, target: TargetName, spans: Vec<Span>) -> Reply<()> {
        self.inner.keep_holds(target, spans)
    }

    fn holds(&self) -> BTreeMap<TargetName, Vec<Span>> {
        self.inner.holds()
    }

    fn events(&self, listing: Listing) -> Reply<Page<EventView>> {
        self.inner.events(listing)
    }

    fn deliveries(&self, listing: Listing) -> Reply<Page<ListedDelivery>> {
        self.inner.deliveries(listing)
    }

    fn operate(&self, act: Act) -> Reply<Step> {
        self.inner.operate(act)
    }

    fn count(&self, task: Task, plan: Arc<Plan>, from: EventId) -> Reply<Counted> {
        self.inner.count(task, plan, from)
    }

    fn jobs(&self) -> Reply<Vec<Job>> {
        self.inner.jobs()
    }

    fn audit(&self, at_most: usize) -> Reply<Vec<AuditLine>> {
        self.inner.audit(at_most)
    }

    fn standing(&self) -> watch::Receiver<Arc<Standing>> {
        self.inner.standing()
    }

    fn tallies(&self) -> Arc<Tallies> {
        self.inner.tallies()
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn highest_event_id(&self) -> i64 {
        self.inner.highest_event_id()
    }

    fn close(&self, by: Mono) -> Reply<()> {
        self.inner.close(by)
    }
}
