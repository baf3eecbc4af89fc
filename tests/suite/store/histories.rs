//! Random histories over the reference store and the embedded one at once: after each step every event, tally and payload is the same in
//! both, whatever was committed, repeated, leased, lost, swept or cut off by a crash.

mod jobs;
mod lists;

use std::{sync::Arc, time::Duration};

use hookgate::{
    clock::{Mono, Span, UnixMs},
    delivery::{Attempt, AttemptResult, DeadReason},
    event::EventId,
    handoff::Handoff,
    lease::{Claimed, Fenced, Lease, LeaseRef, Want, Why},
    plan::Plan,
    store::{JobId, ModelStore, NewEvent, Owed, SqliteStore, Start, Store, Swept, TargetTally, Verb},
};
use proptest::prelude::*;
use smallvec::SmallVec;

use super::rig::{Lane, Rig, Ring, close, name, wait};
use jobs::Order;
use lists::FILTERS;

const TARGETS: [&str; 3] = ["app", "crm", "slow"];

/// One thing that happens to both stores.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ring { key: u8, long: bool, revive: bool, order: Option<u64>, starts: [Option<Birth>; 3] },
    RingAgain { which: usize },
    Claim { target: usize, oldest: usize, fresh: usize, ahead: Option<usize>, seconds: u64 },
    Settle { which: usize, how: How },
    Hold { target: usize, spans: usize },
    Pause { target: usize, seconds: Option<i64> },
    Resume { target: usize },
    Begin { id: i64, order: Order, limit: Option<u64> },
    Go { which: usize, at_most: usize },
    Stop { which: usize },
    Wait { ms: u64 },
    Sweep,
    Crash,
    Reopen,
    List { filter: usize, items_max: usize, rows_max: usize },
}

#[derive(Clone, Copy, Debug)]
enum Birth {
    Leased,
    Waiting,
    Dead,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Delivered,
    Retry { ms: i64, failures: u32 },
    Dead(DeadReason),
    Released(Why),
    Trial,
    Quarantined,
}

fn step() -> impl Strategy<Value = Step> {
    let birth = prop_oneof![4 => Just(Birth::Leased), 3 => Just(Birth::Waiting), 1 => Just(Birth::Dead)];
    let starts = prop::array::uniform3(prop::option::weighted(0.6, birth));
    let how = prop_oneof![
        3 => Just(How::Delivered),
        3 => (0..60_000_i64, 0..9_u32).prop_map(|(ms, failures)| How::Retry { ms, failures }),
        1 => Just(How::Retry { ms: 200_000_000, failures: 1 }),
        2 => prop_oneof![Just(DeadReason::Attempts), Just(DeadReason::PayloadLost)].prop_map(How::Dead),
        2 => prop_oneof![Just(Why::NoTime), Just(Why::Suspect)].prop_map(How::Released),
        2 => Just(How::Trial),
        1 => Just(How::Quarantined),
    ];
    prop_oneof![
        8 => (0..6_u8, any::<bool>(), prop::bool::weighted(0.7), prop::option::weighted(0.7, 0..2_u64), starts)
            .prop_map(|(key, long, revive, order, starts)| Step::Ring { key, long, revive, order, starts }),
        1 => (0..3_usize, 0..4_usize).prop_map(|(target, spans)| Step::Hold { target, spans }),
        1 => (0..3_usize, prop::option::of(0..90_i64)).prop_map(|(target, seconds)| Step::Pause { target, seconds }),
        1 => (0..3_usize).prop_map(|target| Step::Resume { target }),
        3 => (0..30_i64, jobs::order(), prop::option::weighted(0.2, 1..4_u64))
            .prop_map(|(id, order, limit)| Step::Begin { id, order, limit }),
        5 => (0..9_usize, 1..5_usize).prop_map(|(which, at_most)| Step::Go { which, at_most }),
        1 => (0..9_usize).prop_map(|which| Step::Stop { which }),
        1 => (0..40_usize).prop_map(|which| Step::RingAgain { which }),
        6 => (0..3_usize, 0..4_usize, 0..3_usize, prop::option::weighted(0.3, 0..60_usize), 5..60_u64)
            .prop_map(|(target, oldest, fresh, ahead, seconds)| Step::Claim { target, oldest, fresh, ahead, seconds }),
        10 => (0..60_usize, how).prop_map(|(which, how)| Step::Settle { which, how }),
        4 => prop_oneof![0..2_000_u64, 0..60_000_u64].prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Sweep),
        1 => Just(Step::Crash),
        1 => Just(Step::Reopen),
        4 => (0..FILTERS.len(), 1..9_usize, prop_oneof![1..5_usize, Just(20_000)])
            .prop_map(|(filter, items_max, rows_max)| Step::List { filter, items_max, rows_max }),
    ]
}

/// Both stores side by side, each with lanes of its own.
struct Pair {
    rig: Rig,
    model: ModelStore,
    store: Option<Arc<SqliteStore>>,
    model_lanes: Vec<Lane>,
    store_lanes: Vec<Lane>,
    rings: Vec<Rung>,
    /// Every lease ever given, in both stores: stale ones are tried too.
    leases: Vec<(LeaseRef, LeaseRef)>,
    jobs: Vec<JobId>,
    plan: Arc<Plan>,
}

/// An event that was rung, to be rung again.
#[derive(Clone, Debug)]
struct Rung {
    ring: Ring,
    order: Option<u64>,
    starts: [Option<Birth>; 3],
    received_at: UnixMs,
}

impl Pair {
    fn new() -> Self {
        let rig = Rig::merging_at(4);
        let model = ModelStore::new(rig.time.clock(), rig.settings.retention.clone());
        let lanes = || TARGETS.iter().map(|target| Lane::open(target)).collect::<Vec<_>>();
        let store = Some(rig.open());
        let (rings, leases, jobs) = (Vec::new(), Vec::new(), Vec::new());
        Self { rig, model, store, model_lanes: lanes(), store_lanes: lanes(), rings, leases, jobs, plan: Arc::new(jobs::today()) }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_deref().expect("open")
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Ring { key, long, revive, order, starts } => {
                let window = Duration::from_secs(if long { 600 } else { 5 });
                let ring = Ring { id: self.rig.next_id(), key, window, revive };
                self.rings.push(Rung { ring, order, starts, received_at: self.rig.time.now().wall });
                self.admit(self.rings.len() - 1);
            }
            Step::RingAgain { which } if which < self.rings.len() => self.admit(which),
            Step::RingAgain { .. } => {}
            Step::Claim { target, oldest, fresh, ahead, seconds } => {
                let since = ahead.and_then(|which| self.leases.get(which));
                let want = |ahead| {
                    let lease = Duration::from_secs(seconds);
                    vec![Want { target: name(TARGETS[target]), oldest, fresh, ahead, lease }]
                };
                let expected = wait(self.model.claim(want(since.map(|of| of.0.token)))).expect("the model claims");
                let found = wait(self.store().claim(want(since.map(|of| of.1.token)))).expect("the store claims");
                self.compare_claims(expected, found);
            }
            Step::Settle { which, how } if which < self.leases.len() => {
                let (of_model, of_store) = self.leases[which];
                let now = self.rig.time.now().wall;
                let expected = wait(self.model.settle(vec![fenced(of_model, how, now)])).expect("the model settles");
                let found = wait(self.store().settle(vec![fenced(of_store, how, now)])).expect("the store settles");
                assert_eq!(found, expected);
            }
            Step::Settle { .. } => {}
            Step::Hold { target, spans } => {
                let spans = spans_of(spans, self.rig.time.now().wall);
                wait(self.model.keep_holds(name(TARGETS[target]), spans.clone())).expect("the model keeps them");
                wait(self.store().keep_holds(name(TARGETS[target]), spans)).expect("the store keeps them");
            }
            Step::Pause { target, seconds } => {
                let until = seconds.map(|seconds| UnixMs(self.rig.time.now().wall.0 + seconds * 1000));
                self.operate(&Verb::Pause { target: name(TARGETS[target]), until });
            }
            Step::Resume { target } => self.operate(&Verb::Resume { target: name(TARGETS[target]) }),
            Step::Begin { id, order, limit } => self.begin(JobId::from_i64(id).expect("not negative"), order, limit),
            Step::Go { which, at_most } if !self.jobs.is_empty() => {
                let id = self.jobs[which % self.jobs.len()];
                self.operate(&Verb::Go { id, at_most, plan: Arc::clone(&self.plan) });
            }
            Step::Stop { which } if !self.jobs.is_empty() => self.operate(&Verb::Stop { id: self.jobs[which % self.jobs.len()] }),
            Step::Go { .. } | Step::Stop { .. } => {}
            Step::Wait { ms } => self.rig.time.pass(Duration::from_millis(ms)),
            Step::Sweep => {
                let expected = wait(self.model.sweep(Duration::MAX)).expect("the model sweeps");
                let found = sweep_all(self.store());
                assert_eq!((found.events, found.payloads), (expected.events, expected.payloads));
            }
            Step::Crash => self.open_again(),
            Step::Reopen => {
                close(self.store());
                self.open_again();
            }
            Step::List { filter, items_max, rows_max } => self.compare_lists(filter, items_max, rows_max),
        }
    }

    fn open_again(&mut self) {
        self.store = None;
        self.model.restart();
        self.store = Some(self.rig.open());
        let mut held = self.model.holds();
        held.retain(|_, spans| !spans.is_empty());
        assert_eq!(self.store().holds(), held);
    }

    fn admit(&mut self, which: usize) {
        let rung = self.rings[which].clone();
        let of_model = event(&rung, &self.model_lanes);
        let of_store = event(&rung, &self.store_lanes);
        let expected = wait(self.model.admit(of_model, Mono::NEVER)).expect("the model admits");
        let found = wait(self.store().admit(of_store, Mono::NEVER)).expect("the store admits");
        assert_eq!(found, expected);
        for (of_model, of_store) in self.model_lanes.iter_mut().zip(&mut self.store_lanes) {
            let (expected, found) = (of_model.hear(), of_store.hear());
            assert_eq!(found.len(), expected.len(), "as many hand-overs");
            for (expected, found) in expected.into_iter().zip(found) {
                match (expected, found) {
                    (Handoff::Leased(expected), Handoff::Leased(found)) => {
                        self.leases.push((expected.reference(), found.reference()));
                        assert_eq!(facts(&found), facts(&expected));
                    }
                    (Handoff::Waiting(expected), Handoff::Waiting(found)) => assert_eq!(found, expected),
                    (expected, found) => panic!("{found:?} instead of {expected:?}"),
                }
            }
        }
    }

    fn compare_claims(&mut self, expected: Vec<Claimed>, found: Vec<Claimed>) {
        assert_eq!(found.len(), expected.len());
        for (expected, found) in expected.into_iter().zip(found) {
            assert_eq!((&found.target, found.next_due), (&expected.target, expected.next_due));
            assert_eq!(found.leases.iter().map(facts).collect::<Vec<_>>(), expected.leases.iter().map(facts).collect::<Vec<_>>());
            let both = expected.leases.iter().zip(&found.leases);
            self.leases.extend(both.map(|(expected, found)| (expected.reference(), found.reference())));
        }
    }

    fn compare(&self) {
        self.model.check().expect("the model is sound");
        for Rung { ring, .. } in &self.rings {
            let expected = wait(self.model.event(ring.id)).expect("the model answers");
            let found = wait(self.store().event(ring.id)).expect("the store answers");
            assert_eq!(found, expected);
        }
        let of: Vec<(EventId, u8)> = self.rings.iter().map(|rung| (rung.ring.id, 0)).collect();
        let expected = wait(self.model.payloads(of.clone())).expect("the model answers");
        assert_eq!(wait(self.store().payloads(of)).expect("the store answers"), expected);
        let standing = |store: &dyn Store| store.standing().borrow().clone();
        assert_eq!(standing(self.store()), standing(&self.model));
        assert_eq!(wait(self.store().jobs()).expect("the store answers"), wait(self.model.jobs()).expect("the model answers"));
        assert_eq!(wait(self.store().audit(500)).expect("the store answers"), wait(self.model.audit(500)).expect("the model answers"));
        let counted = |store: &dyn Store| {
            let mut all = store.tallies().read();
            all.retain(|_, tally| *tally != TargetTally::default());
            all
        };
        assert_eq!(counted(self.store()), counted(&self.model));
    }
}

fn event(rung: &Rung, lanes: &[Lane]) -> NewEvent {
    let owed: SmallVec<[Owed; 4]> = rung
        .starts
        .iter()
        .zip(lanes)
        .filter_map(|(start, lane)| {
            let owed = match (*start)? {
                Birth::Leased => lane.owed_now(),
                Birth::Waiting => lane.owed(Start::Waiting),
                Birth::Dead => lane.owed(Start::Dead(DeadReason::Status)),
            };
            Some(Owed { order: rung.order, ..owed })
        })
        .collect();
    rung.ring.event(rung.received_at, owed)
}

/// So many spans, of which the last goes on.
fn spans_of(count: usize, now: UnixMs) -> Vec<Span> {
    let of = |place: usize| {
        let from = now.after(Duration::from_secs(place as u64 * 10));
        Span { from, to: (place + 1 < count).then(|| from.after(Duration::from_secs(5))) }
    };
    (0..count).map(of).collect()
}

fn fenced(lease: LeaseRef, how: How, now: UnixMs) -> Fenced {
    let attempt = Attempt {
        at: now,
        took: Duration::from_millis(7),
        result: AttemptResult::Http5xx,
        status: Some(503),
        retry_after: None,
        excerpt: Some("not today".into()),
    };
    match how {
        How::Delivered => Fenced::Delivered(lease, Attempt { result: AttemptResult::Delivered, status: Some(204), ..attempt }),
        How::Retry { ms, failures } => Fenced::Retry { lease, attempt, due: UnixMs(now.0 + ms), failures },
        How::Dead(reason) => {
            Fenced::Dead(lease, Attempt { result: AttemptResult::Timeout, status: None, excerpt: None, ..attempt }, reason)
        }
        How::Released(why) => Fenced::Released(lease, why),
        How::Trial => Fenced::Trial(lease),
        How::Quarantined => Fenced::Quarantined(lease, name("app")),
    }
}

/// What two stores must agree on; tokens and local times are each store's own.
fn facts(lease: &Lease) -> impl PartialEq + std::fmt::Debug + use<> {
    let counters = (lease.attempt, lease.failures, lease.crashes, lease.trials);
    (lease.id, lease.target.clone(), counters, lease.first_at, lease.replay_of, lease.until, format!("{:?}", lease.payload))
}

fn sweep_all(store: &SqliteStore) -> Swept {
    let mut all = Swept::default();
    for _ in 0..10_000 {
        let step = wait(store.sweep(Duration::from_secs(1))).expect("the store sweeps");
        all.events += step.events;
        all.payloads += step.payloads;
        if !step.more {
            return all;
        }
    }
    panic!("the sweep comes to no end");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_say_the_same_after_every_step(steps in prop::collection::vec(step(), 1..70)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.run(step);
            pair.compare();
        }
    }
}
