//! A door on a port of its own, before the reference store, with one source that GitHub rings.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookgate::{
    clock::{Clock, Mono, Span},
    door::{self, Door, Patience},
    event::{EventId, EventIds, Payload},
    handoff::Gates,
    ingest::Ingest,
    lease::{Claimed, Fate, Fenced, Want},
    metrics::{Metrics, SourceFacts},
    name::{SourceName, TargetName},
    plan::{
        Admin, Dedup, DedupBy, Egress, Guard, Limits, Log, LogFormat, LogWhat, Plan, Retention, Server, Shutdown, Source, StoreSettings,
        Tls, Unrouted,
    },
    provider::{Accepted, Catalogue, Rejected},
    route::Routes,
    secret::Secret,
    store::{
        self, Act, Admission, AuditLine, EventView, Health, Job, ListedDelivery, Listing, ModelStore, NewEvent, Page, Reply, Standing,
        Step, Store, StoreError, Stored, Swept, Tallies, Task,
    },
    verify::{Credential, Verifier},
};
use sha2::Sha256;
use tokio::sync::watch;

pub(crate) const SECRET: &str = "a secret that is long enough";
pub(crate) const PATH: &str = "/hooks/github";

/// How the store behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As the reference store does.
    #[default]
    Well,
    /// It refuses, unrun.
    Busy,
    /// It has no room.
    Full,
    /// It cannot confirm.
    Unknown,
    /// It takes what it is given and never says so.
    Silent,
}

/// The reference store, counting what reaches it.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: ModelStore,
    mood: Mutex<Mood>,
    admits: AtomicUsize,
}

/// A running door.
pub(crate) struct Setting {
    pub(crate) store: Arc<Counted>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) addr: std::net::SocketAddr,
    door: Option<Door>,
}

/// Times short enough to wait for.
pub(crate) const IMPATIENT: Patience = Patience {
    handshake: Duration::from_millis(600),
    head: Duration::from_millis(600),
    keep_alive: Duration::from_millis(600),
    later_head: Duration::from_millis(400),
    linger: Duration::from_millis(400),
};

impl Setting {
    /// A door with the usual times.
    pub(crate) fn start() -> Self {
        Self::start_with(Patience::default(), |_, _| ())
    }

    /// A door of this patience, whose plan and source are `changed` first.
    pub(crate) fn start_with(patience: Patience, changed: impl FnOnce(&mut Plan, &mut Source)) -> Self {
        let plan = Self::plan(changed);
        let source = plan.sources.values().next().expect("one source");
        let metrics = Arc::new(Metrics::new().expect("declared once"));
        let facts = SourceFacts {
            name: &source.name,
            provider: &source.provider,
            verification: "signed",
            secrets: source.verifier.fingerprints(),
            handshakes: source.verifier.handshakes().collect(),
        };
        let clock = Clock::System;
        metrics.configure(&[facts], &[], clock.wall());
        let store = Arc::new(Counted::new(&clock));
        let bound = door::bind(&plan).expect("a free port").with_patience(patience);
        let ids = Arc::new(EventIds::above(0, 0));
        let ingest =
            Ingest::new(Arc::new(plan), Arc::clone(&store) as Arc<dyn Store>, Arc::new(Gates::default()), ids, clock, Arc::clone(&metrics));
        let ingest = Arc::new(ingest);
        let door = bound.serve(Arc::clone(&ingest)).expect("threads");
        Self { store, metrics, ingest, addr: door.addr(), door: Some(door) }
    }

    /// The plan such a door runs.
    pub(crate) fn plan(changed: impl FnOnce(&mut Plan, &mut Source)) -> Plan {
        let (mut plan, mut source) = (plan(), source());
        changed(&mut plan, &mut source);
        let source = Arc::new(source);
        plan.paths = source.paths.iter().map(|path| (path.clone(), Arc::clone(&source))).collect();
        plan.sources = BTreeMap::from([(source.name.clone(), source)]);
        plan
    }

    /// The value of one series, written as a scrape shows it; `None` when there is no such series.
    pub(crate) fn series(&self, series: &str) -> Option<f64> {
        let text = self.metrics.render().expect("rendered");
        let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Refusals of the source for this reason.
    pub(crate) fn rejected(&self, reason: &str) -> f64 {
        self.series(&format!("hookgate_rejected_total{{reason=\"{reason}\",source=\"github\"}}")).expect("a closed list")
    }

    /// Requests of the source with this result.
    pub(crate) fn requests(&self, result: &str) -> f64 {
        self.series(&format!("hookgate_requests_total{{result=\"{result}\",source=\"github\"}}")).expect("a closed list")
    }

    /// Waits until `is` holds; fails after ten seconds.
    pub(crate) fn wait(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let clock = Clock::System;
        let start = clock.mono();
        while !is(self) {
            assert!(clock.mono().since(start) < Duration::from_secs(10), "waited in vain for: {what}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Stops the door and says how many connections it had to cut.
    pub(crate) fn stop(&mut self, grace: Duration) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        self.door.take().map_or(0, |door| runtime.block_on(door.stop(grace)))
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

/// GitHub's signature of a body.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn source() -> Source {
    let catalogue = Catalogue::embedded();
    let github = catalogue.find("github").expect("an embedded provider");
    let credential = Credential { name: "secret".into(), value: Secret::new(SECRET), until: None };
    Source {
        name: SourceName::parse("github").expect("a name"),
        provider: "github".into(),
        paths: vec![PATH.into()],
        endpoint: Some(format!("https://hooks.example.com{PATH}").parse().expect("a URL")),
        guard: Guard::default(),
        methods: Box::default(),
        unproved: false,
        verifier: Verifier::compile(github, &[credential], None, None).expect("compiled"),
        body_limit: 256 * 1024,
        answer_within: Duration::from_millis(2500),
        dedup: Dedup { window: Duration::from_secs(3600), by: DedupBy::Provider, revive: true },
        unrouted: Unrouted::Keep,
        accepted: Accepted { body: Bytes::from_static(b"ok\n"), ..Accepted::default() },
        rejected: Rejected::default(),
        expect_every: None,
        disabled: false,
    }
}

fn plan() -> Plan {
    let day = Duration::from_secs(86_400);
    let local = "127.0.0.1:0".parse().expect("an address");
    let mib = 1024 * 1024;
    Plan {
        generation: 1,
        server: Server {
            listen: local,
            public_url: Some("https://hooks.example.com".parse().expect("a URL")),
            tls: Tls::None,
            trusted_proxies: Vec::new(),
            limits: Limits {
                body: mib,
                body_max: 32 * mib,
                in_flight: 256 * mib,
                in_flight_per_source: 25,
                in_flight_per_ip: 16,
                body_time: Duration::from_secs(10),
                connections: 200,
                answer_within: Duration::from_millis(2500),
            },
            shutdown: Shutdown { delay: Duration::ZERO, deadline: Duration::from_secs(10) },
        },
        monitor: None,
        admin: Admin { listen: local, tokens: Vec::new(), hosts: Vec::new() },
        store: StoreSettings {
            path: PathBuf::new(),
            data_dir: PathBuf::new(),
            durability: None,
            retention: retention(),
            max_bytes: u64::MAX,
            min_free_bytes: 0,
            lock_wait: day,
        },
        log: Log { format: LogFormat::Auto, level: tracing::Level::INFO, requests: LogWhat::All, attempts: LogWhat::Failed },
        egress: Egress { deny_classes: Vec::new(), deny_nets: Vec::new(), allow: Vec::new() },
        alerts: None,
        sources: BTreeMap::new(),
        paths: HashMap::new(),
        targets: BTreeMap::new(),
        routes: Routes::default(),
    }
}

fn retention() -> Retention {
    let day = Duration::from_secs(86_400);
    Retention { delivered: day, unrouted: day, cancelled: day, dead: day, payload: None, rejected: None }
}

impl Counted {
    fn new(clock: &Clock) -> Self {
        Self { inner: ModelStore::new(clock.clone(), retention()), mood: Mutex::default(), admits: AtomicUsize::new(0) }
    }

    pub(crate) fn is_from_now_on(&self, mood: Mood) {
        *self.mood.lock().expect("not poisoned") = mood;
    }

    /// Admits that reached the store.
    pub(crate) fn admits(&self) -> usize {
        self.admits.load(Ordering::SeqCst)
    }

    /// What is stored of an event: its bytes as a target would get them.
    pub(crate) fn payload(&self, id: EventId) -> Option<Payload> {
        now(self.inner.payloads(vec![(id, 0)])).expect("in memory").pop()?.expect("in memory")
    }

    /// What an operator would see of an event.
    pub(crate) fn seen(&self, id: EventId) -> Option<EventView> {
        now(self.inner.event(id)).expect("in memory")
    }
}

/// The reference store answers at once.
fn now<T>(reply: Reply<T>) -> Result<T, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(reply)
}

impl Store for Counted {
    fn admit(&self, event: NewEvent, by: Mono) -> Reply<Admission> {
        self.admits.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.lock().expect("not poisoned");
        match mood {
            Mood::Well => self.inner.admit(event, by),
            Mood::Busy => Box::pin(std::future::ready(Err(StoreError::Busy))),
            Mood::Full => Box::pin(std::future::ready(Err(StoreError::Full))),
            Mood::Unknown => Box::pin(std::future::ready(Err(StoreError::Unknown))),
            Mood::Silent => {
                drop(self.inner.admit(event, by));
                Box::pin(std::future::pending())
            }
        }
    }

    fn claim(&self, wants: Vec<Want>) -> Reply<Vec<Claimed>> {
        self.inner.claim(wants)
    }

    fn settle(&self, fenced: Vec<Fenced>) -> Reply<Vec<Fate>> {
        self.inner.settle(fenced)
    }

    fn payloads(&self, of: Vec<(EventId, u8)>) -> Reply<Vec<Stored>> {
        self.inner.payloads(of)
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

    fn count(&self, task: Task, plan: Arc<Plan>, from: EventId) -> Reply<store::Counted> {
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
