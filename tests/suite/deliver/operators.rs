//! What operators ask, over sockets: what is held waits and the rest goes on; a replay reaches its target under new ids, once each, however
//! often the gateway is cut off meanwhile.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use hookgate::{
    clock::{Clock, Mono},
    deliver::{Jobs, Seen, Shards, Stopped},
    delivery::{DeadReason, State},
    event::{DedupKey, EventIds, EventTypes, Payload},
    handoff::Gates,
    limits::lease_for,
    metrics::Metrics,
    name::{SourceName, TargetName},
    plan::{Egress, Plan, StoreSettings, Target},
    store::{Act, Filter, JobId, NewEvent, Owed, SqliteStore, Start, Step, Store, Task, Verb, Work},
};
use smallvec::smallvec;
use tokio::sync::oneshot;

use super::{
    rig::{self, Rig, target, wait_until},
    target::{ScriptedTarget, answer},
};
use crate::support::proof;

/// Dead letters of the replay that is cut off, when nobody says otherwise.
const DEAD_LETTERS: usize = 600;
/// Times the gateway is cut off while it replays them.
const CUTS: usize = 4;

fn name(text: &str) -> TargetName {
    TargetName::parse(text).expect("a name")
}

#[test]
fn a_target_that_is_held_gets_nothing_until_it_is_let_go() {
    let (held, other) = (ScriptedTarget::answering(200), ScriptedTarget::answering(200));
    let mut rig = Rig::to(vec![target("held", &held.url()), target("other", &other.url())]);
    rig.operate(Verb::Pause { target: name("held"), until: None });
    wait_until("the lane to hear of it", || !rig.has_room("held"));
    let state_of = |rig: &Rig, id, to: &str| {
        let view = rig.view(id);
        view.deliveries.iter().find(|one| one.target.as_str() == to).expect("owed to both").state
    };
    let events: Vec<_> = (0..20).map(|_| rig.admit(&[], b"{}")).collect();
    wait_until("the others", || events.iter().all(|id| state_of(&rig, *id, "other") == State::Delivered));
    assert!(events.iter().all(|id| state_of(&rig, *id, "held") == State::Pending) && held.seen().is_empty(), "accepted, and not attempted");
    // Another process finds it held before it starts anything.
    rig.stop(Duration::from_secs(1));
    rig.start();
    for _ in 0..20 {
        rig.admit(&[], b"{}");
    }
    wait_until("the others again", || other.seen().len() == 40);
    assert!(held.seen().is_empty());
    rig.operate(Verb::Resume { target: name("held") });
    held.wait_for(40);
    wait_until("room again", || rig.has_room("held"));
    assert_eq!(held.seen().len(), 40, "each once");
}

#[test]
fn a_pause_ends_by_itself() {
    let scripted = ScriptedTarget::answering(200);
    let rig = Rig::to(vec![target("app", &scripted.url())]);
    let until = Clock::System.wall().after(Duration::from_millis(1500));
    rig.operate(Verb::Pause { target: name("app"), until: Some(until) });
    wait_until("the lane to hear of it", || !rig.has_room("app"));
    let id = rig.admit(&[], b"{}");
    rig.wait_for(id, State::Delivered);
    assert!(Clock::System.wall() >= until, "and no sooner");
}

/// One life of a gateway's back half over a file.
struct Life {
    store: Arc<SqliteStore>,
    shards: Shards,
    runner: thread::JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Life {
    fn begin(plan: &Arc<Plan>, settings: &StoreSettings) -> Self {
        let metrics = Arc::new(Metrics::new().expect("declared once"));
        metrics.configure(&[], &plan.targets.keys().collect::<Vec<_>>(), Clock::System.wall());
        let lease_max = lease_for(Duration::from_secs(10));
        let store = SqliteStore::open(settings, lease_max, Clock::System, Arc::clone(&metrics)).expect("the store opens");
        let gates = Arc::<Gates>::default();
        let of_shards = Arc::clone(&store) as Arc<dyn Store>;
        let seen = Seen { metrics, notes: Arc::default() };
        let shards = Shards::start(plan, Arc::clone(&of_shards), Arc::clone(&gates), Clock::System, seen).expect("it starts");
        let jobs = Jobs { store: of_shards, plan: Arc::clone(plan), gates, clock: Clock::System };
        let (stop, told) = oneshot::channel();
        let runner = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    never = jobs.run() => match never {},
                    _ = told => {}
                }
            });
        });
        Self { store, shards, runner, stop }
    }

    /// Cut off in the middle: what was under way is counted, and the file is left as a crash would leave it.
    fn end(self) -> Stopped {
        drop(self.stop);
        self.runner.join().expect("it ends");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let stopped = runtime.block_on(self.shards.stop(Clock::System.mono()));
        wait_until("the end of its threads", || !self.shards.alive());
        stopped
    }

    fn ask(&self, verb: Verb) -> Step {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(self.store.operate(Act { by: "ops".into(), verb })).expect("the store does it")
    }

    /// Writes so many dead letters down.
    fn bury(&self, count: usize, ids: &EventIds) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let now = Clock::System.wall();
        for from in (0..count).step_by(256) {
            let replies: Vec<_> = (from..count.min(from + 256))
                .map(|_| {
                    let id = ids.next(now);
                    let event = NewEvent {
                        id,
                        source: SourceName::parse("test").expect("a name"),
                        types: EventTypes::default(),
                        provider_event_id: None,
                        received_at: now,
                        key: DedupKey(u128::from(id.to_i64().unsigned_abs()).to_le_bytes()),
                        window: Duration::from_secs(3600),
                        revive: false,
                        payloads: smallvec![Payload { head: Bytes::new(), body: Bytes::from_static(b"{}") }],
                        owed: smallvec![Owed {
                            target: name("app"),
                            variant: 0,
                            order: None,
                            start: Start::Dead(DeadReason::Attempts),
                            gate: None
                        }],
                        proof: proof::of_a_request(),
                    };
                    self.store.admit(event, Mono::NEVER)
                })
                .collect();
            for reply in replies {
                runtime.block_on(reply).expect("admitted");
            }
        }
    }
}

#[test]
fn a_replay_that_is_cut_off_reaches_its_target_once_for_each_dead_letter() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let scripted = ScriptedTarget::playing(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        answer(200)
    });
    let letters = dead_letters();
    let plan = rig::plan(vec![Target { concurrency: 8, ..target("app", &scripted.url()) }], open());
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(&plan, directory.path());
    let (plan, ids) = (Arc::new(plan), EventIds::above(0, 0));
    let mut life = Life::begin(&plan, &settings);
    life.bury(letters, &ids);
    let id = JobId::random();
    let filter = Filter::parse("target=app&state=dead&state=cancelled").expect("a filter");
    let task = Task { work: Work::Replay { to: None }, filter };
    let expected = Some(u64::try_from(letters).expect("few"));
    assert!(matches!(life.ask(Verb::Begin { id, task, rate: None, expected }), Step::Job(_)));
    let mut in_flight = 0;
    for cut in 1..=CUTS {
        wait_long(|| requests.load(Ordering::Relaxed) >= letters * cut / (CUTS + 1));
        let stopped = life.end();
        in_flight += stopped.cut + stopped.unsettled;
        life = Life::begin(&plan, &settings);
    }
    let is_over = |life: &Life| {
        let open = life.store.tallies().read().get(&name("app")).map_or(0, |tally| tally.pending + tally.in_flight);
        life.store.standing().borrow().jobs.is_empty() && open == 0
    };
    wait_long(|| is_over(&life));
    let mut times = BTreeMap::<String, usize>::new();
    for seen in scripted.seen() {
        let (delivery, replays) = (seen.one("hookgate-delivery-id"), seen.one("hookgate-replay"));
        assert!(delivery.ends_with("-1") && replays.ends_with("-0") && delivery[..18] == replays[..18], "{delivery} replays {replays}");
        *times.entry(delivery).or_default() += 1;
    }
    assert_eq!(times.len(), letters, "every dead letter, under one new id");
    let repeats = times.values().map(|times| times - 1).sum::<usize>();
    assert!(repeats <= in_flight, "{repeats} came again, and {in_flight} were in flight when it was cut off");
    let Step::Job(stepped) = life.ask(Verb::Stop { id }) else { panic!("it is remembered") };
    assert_eq!(stepped.job.progress.done, u64::try_from(letters).expect("few"));
    life.end();
}

fn open() -> Egress {
    Egress { deny_classes: vec![], deny_nets: vec![], allow: vec![] }
}

fn settings(plan: &Plan, directory: &Path) -> StoreSettings {
    StoreSettings { path: directory.join("hookgate.db"), data_dir: directory.to_owned(), ..plan.store.clone() }
}

/// A large campaign may take its time.
fn wait_long(holds: impl Fn() -> bool) {
    let end = Clock::System.mono() + Duration::from_secs(600);
    while !holds() {
        assert!(Clock::System.mono() < end, "waited in vain");
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "the size of this campaign")]
fn dead_letters() -> usize {
    std::env::var("REPLAY_DEAD_LETTERS").ok().map_or(DEAD_LETTERS, |count| count.parse().expect("a number"))
}
