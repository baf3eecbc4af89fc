//! What operators ask of the embedded store: it stands over crashes, it is done once, and it touches nothing else. Planted bugs are put
//! under these by `planted`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use hookgate::{
    clock::{Mono, UnixMs},
    delivery::{DeadReason, DeliveryId, State},
    event::{DedupKey, EventId},
    lease::Want,
    name::{RouteName, SourceName},
    plan::{Egress, Plan},
    route::{Routes, Rule},
    store::{
        Act, DeliveryView, Filter, FilterId, Job, JobId, NewEvent, Owed, Refusal, SqliteStore, Start, Step, Store, Task, Verb, Work, acts,
    },
};
use rusqlite::Connection;
use smallvec::{SmallVec, smallvec};

use super::rig::{Lane, Rig, close, name, wait};
use crate::deliver::rig::{plan, target};

/// Dead letters of the replay that is cut off, when nobody says otherwise.
const DEAD_LETTERS: usize = 1_500;
/// Events that are admitted together.
const BURST: usize = 250;
/// Deliveries of one of its steps, and how often it is cut off at most.
const STEP: usize = 97;
const CUTS: usize = 20;

fn today() -> Arc<Plan> {
    let targets = vec![target("app", "http://127.0.0.1:1/"), target("crm", "http://127.0.0.1:1/")];
    let mut plan = plan(targets, Egress { deny_classes: vec![], deny_nets: vec![], allow: vec![] });
    let (from, to) = (vec![SourceName::parse("github").expect("a name")], vec![name("crm")]);
    plan.routes = Routes::compile(&[Rule { name: RouteName::parse("today").expect("a name"), from, types: Vec::new(), to }]);
    Arc::new(plan)
}

fn operate(store: &SqliteStore, verb: Verb) -> Step {
    wait(store.operate(Act { by: "ops".into(), verb })).expect("the store does it")
}

fn begin(store: &SqliteStore, work: Work, filter: &str) -> JobId {
    let (id, task) = (JobId::random(), Task { work, filter: Filter::parse(filter).expect("a filter") });
    task.check(&today()).expect("it can be done");
    assert!(matches!(operate(store, Verb::Begin { id, task, rate: None, expected: None }), Step::Job(_)));
    id
}

fn step(store: &SqliteStore, id: JobId, at_most: usize) -> Job {
    match operate(store, Verb::Go { id, at_most, plan: today() }) {
        Step::Job(stepped) => stepped.job,
        other => panic!("{other:?}"),
    }
}

/// Steps a job to its end.
fn finish(store: &SqliteStore, id: JobId) -> Job {
    for _ in 0..100_000 {
        let job = step(store, id, acts::STEP_DELIVERIES_MAX);
        if !job.runs() {
            return job;
        }
    }
    panic!("the job comes to no end");
}

/// An event of its own.
fn event(rig: &Rig, owed: SmallVec<[Owed; 4]>) -> (EventId, NewEvent) {
    let ring = rig.ring(0);
    let mut event = ring.event(rig.time.now().wall, owed);
    event.key = DedupKey(u128::from(ring.id.to_i64().unsigned_abs()).to_le_bytes());
    (ring.id, event)
}

fn admit(rig: &Rig, store: &SqliteStore, owed: SmallVec<[Owed; 4]>) -> EventId {
    let (id, event) = event(rig, owed);
    wait(store.admit(event, Mono::NEVER)).expect("admitted");
    id
}

fn deliveries(store: &SqliteStore, event: EventId) -> Vec<DeliveryView> {
    wait(store.event(event)).expect("the store answers").expect("it is there").deliveries
}

fn states(store: &SqliteStore, event: EventId) -> Vec<State> {
    deliveries(store, event).iter().map(|row| row.state).collect()
}

fn dead(lane: &Lane) -> Owed {
    lane.owed(Start::Dead(DeadReason::Attempts))
}

#[test]
fn a_pause_stands_over_a_crash_and_ends_when_it_said() {
    let mut rig = Rig::new();
    let store = rig.open();
    let until = Some(UnixMs(rig.time.now().wall.0 + 45 * 60_000));
    operate(&store, Verb::Pause { target: name("app"), until });
    operate(&store, Verb::Pause { target: name("crm"), until: None });
    drop(store);
    let store = rig.open();
    let pauses = store.standing().borrow().pauses.clone();
    let of = |target| pauses.of(&name(target), rig.time.now().wall).cloned();
    let app = of("app").expect("it stands");
    assert_eq!((&*app.by, app.since, app.until), ("ops", rig.time.now().wall, until));
    assert!(of("crm").is_some() && of("slow").is_none());
    rig.time.pass(Duration::from_secs(45 * 60));
    assert!(pauses.of(&name("app"), rig.time.now().wall).is_none(), "it is over by itself");
    operate(&store, Verb::Resume { target: name("crm") });
    assert_eq!(store.standing().borrow().pauses.0.len(), 0, "and what is over is forgotten");
    let said: Vec<_> = wait(store.audit(9)).expect("lines").into_iter().map(|line| line.what.to_string()).collect();
    assert_eq!(said.len(), 3);
    assert!(said[0] == "resumed crm" && said[1] == "paused crm" && said[2].starts_with("paused app until 2025-"), "{said:?}");
    close(&store);
}

#[test]
fn a_cancel_takes_what_waits_and_leaves_what_runs_alone() {
    let rig = Rig::new();
    let (app, crm) = (Lane::open("app"), Lane::open("crm"));
    let store = rig.open();
    let running = admit(&rig, &store, smallvec![app.owed_now(), crm.owed(Start::Waiting)]);
    let waiting = admit(&rig, &store, smallvec![app.owed(Start::Waiting), crm.owed(Start::Waiting)]);
    let counted = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let task = Task { work: Work::Cancel, filter: Filter::parse("target=app").expect("a filter") };
        runtime.block_on(acts::count(store.as_ref(), &task, &today())).expect("counted")
    };
    let id = begin(&store, Work::Cancel, "target=app");
    let job = finish(&store, id);
    assert_eq!((job.progress.done, job.progress.in_flight, job.progress), (1, 1, counted), "as was counted before");
    assert_eq!(states(&store, running), [State::InFlight, State::Pending]);
    assert_eq!(states(&store, waiting), [State::Cancelled, State::Pending]);
    let want = Want { target: name("app"), oldest: 9, fresh: 0, ahead: None, lease: Duration::from_secs(30) };
    let claimed = wait(store.claim(vec![want])).expect("claimed");
    assert!(claimed[0].leases.is_empty(), "what is cancelled is not leased: {claimed:?}");
    let tally = store.tallies().read()[&name("app")].clone();
    assert_eq!((tally.pending, tally.in_flight), (0, 1));
    let said = wait(store.audit(1)).expect("a line").remove(0);
    assert!(said.what.contains("did 1 deliveries and left 1 in flight alone"), "{said:?}");
    close(&store);
    assert!(hookgate::store::check(&rig.path(), Duration::ZERO).expect("it can be read").is_sound());
}

#[test]
fn what_was_cancelled_is_kept_for_its_own_time() {
    let mut rig = Rig::new();
    let crm = Lane::open("crm");
    let store = rig.open();
    let event = admit(&rig, &store, smallvec![crm.owed(Start::Waiting)]);
    let id = begin(&store, Work::Cancel, "");
    finish(&store, id);
    rig.time.pass(Duration::from_secs(45));
    assert_eq!(wait(store.sweep(Duration::from_secs(1))).expect("swept").events, 0, "longer than delivered ones, in this store");
    assert!(matches!(wait(store.payloads(vec![(event, 0)])).expect("read")[0], Ok(Some(_))), "it can be replayed for as long");
    rig.time.pass(Duration::from_secs(6));
    assert_eq!(wait(store.sweep(Duration::from_secs(1))).expect("swept").events, 1);
    close(&store);
}

#[test]
fn a_replay_is_a_new_delivery_and_the_old_row_stays_as_it_was() {
    let mut rig = Rig::new();
    let (app, crm) = (Lane::open("app"), Lane::open("crm"));
    let store = rig.open();
    let event = admit(&rig, &store, smallvec![dead(&app), dead(&crm)]);
    let before = deliveries(&store, event);
    rig.time.pass(Duration::from_secs(1));
    let id = begin(&store, Work::Replay { to: None }, "target=app&state=dead");
    assert_eq!(finish(&store, id).progress.done, 1);
    let after = deliveries(&store, event);
    assert_eq!(after[..2], before[..]);
    let new = &after[2];
    assert_eq!((new.state, new.replay_of, new.attempt, &new.target), (State::Pending, Some(0), 0, &name("app")));
    let again = begin(&store, Work::Replay { to: None }, "target=app&state=dead");
    let job = finish(&store, again);
    assert_eq!((job.progress.done, job.progress.superseded), (0, 1), "a later delivery counts now");
    let other = begin(&store, Work::Replay { to: Some(name("crm")) }, &format!("id={}", DeliveryId { event, slot: 0 }));
    assert_eq!(finish(&store, other).progress.done, 1, "one that is named is replayed in any case");
    assert_eq!(deliveries(&store, event)[3].target, name("crm"));
    close(&store);
}

#[test]
fn an_event_whose_slots_are_used_up_is_counted_and_left() {
    let rig = Rig::new();
    let app = Lane::open("app");
    let store = rig.open();
    let event = admit(&rig, &store, smallvec![dead(&app)]);
    let named = format!("id={}", DeliveryId { event, slot: 0 });
    for _ in 0..255 {
        let id = begin(&store, Work::Replay { to: None }, &named);
        finish(&store, id);
    }
    assert_eq!(deliveries(&store, event).len(), 256);
    let id = begin(&store, Work::Replay { to: None }, &named);
    let job = finish(&store, id);
    assert_eq!((job.progress.done, job.progress.slots_gone), (0, 1));
    assert_eq!(wait(store.jobs()).expect("jobs").len(), acts::JOBS_KEPT_MAX, "the last that ended are remembered");
    close(&store);
}

#[test]
fn what_no_route_wanted_goes_by_the_routes_of_today() {
    let rig = Rig::new();
    let app = Lane::open("app");
    let store = rig.open();
    let unrouted = admit(&rig, &store, smallvec![]);
    let routed = admit(&rig, &store, smallvec![dead(&app)]);
    let id = begin(&store, Work::Replay { to: None }, "unrouted=true");
    assert_eq!(finish(&store, id).progress.done, 1);
    let rows = deliveries(&store, unrouted);
    assert_eq!((rows.len(), &rows[0].target, rows[0].replay_of), (1, &name("crm"), None));
    assert_eq!(states(&store, routed), [State::Dead]);
    let id = begin(&store, Work::Replay { to: None }, "unrouted=true");
    assert_eq!(finish(&store, id).progress.done, 0, "it has a delivery now");
    close(&store);
}

#[test]
fn what_is_parked_goes_to_another_target_and_nothing_else_does() {
    let mut rig = Rig::new();
    let (gone, app) = (Lane::open("gone"), Lane::open("app"));
    let store = rig.open();
    let event = admit(&rig, &store, smallvec![gone.owed(Start::Waiting), app.owed(Start::Waiting), dead(&gone)]);
    rig.time.pass(Duration::from_secs(5));
    let id = begin(&store, Work::Move { to: name("crm") }, "");
    let job = finish(&store, id);
    assert_eq!((job.progress.done, job.progress.not_parked), (1, 1));
    let rows = deliveries(&store, event);
    let targets: Vec<_> = rows.iter().map(|row| row.target.as_str()).collect();
    assert_eq!(targets, ["crm", "app", "gone"]);
    assert_eq!((rows[0].due, rows[0].first_at), (Some(rig.time.now().wall), rig.time.now().wall), "as if born for it now");
    let tallies = store.tallies().read();
    assert_eq!((tallies[&name("gone")].pending, tallies[&name("crm")].pending, tallies[&name("app")].pending), (0, 1, 1));
    let refused = Task { work: Work::Move { to: name("crm") }, filter: Filter::parse("target=app").expect("a filter") };
    assert!(refused.check(&today()).is_err(), "what has a target is not parked");
    close(&store);
    assert!(hookgate::store::check(&rig.path(), Duration::ZERO).expect("it can be read").is_sound());
}

#[test]
fn as_many_jobs_run_as_may_and_asking_again_begins_nothing_new() {
    let rig = Rig::new();
    let store = rig.open();
    let task = Task { work: Work::Cancel, filter: Filter::default() };
    let ids: Vec<_> = (0..acts::JOBS_RUNNING_MAX).map(|_| begin(&store, Work::Cancel, "")).collect();
    let another = |id| operate(&store, Verb::Begin { id, task: task.clone(), rate: None, expected: None });
    assert_eq!(another(JobId::random()), Step::Refused(Refusal::TooManyJobs));
    assert!(matches!(another(ids[0]), Step::Job(_)), "that one is there");
    assert!(matches!(operate(&store, Verb::Stop { id: ids[0] }), Step::Job(stepped) if !stepped.job.runs()));
    assert!(matches!(another(JobId::random()), Step::Job(_)));
    let unknown = Verb::Go { id: JobId::random(), at_most: 1, plan: today() };
    assert_eq!(operate(&store, unknown), Step::Refused(Refusal::NoSuchJob));
    assert_eq!(store.standing().borrow().jobs.len(), acts::JOBS_RUNNING_MAX);
    close(&store);
}

#[test]
fn the_audit_keeps_the_latest_lines_only() {
    let rig = Rig::new();
    close(&rig.open());
    let far = i64::try_from(acts::AUDIT_LINES_MAX).expect("few") * 2;
    let file = Connection::open(rig.path()).expect("the file");
    file.execute_batch(&format!("INSERT INTO audit VALUES(1, 0, 'ops', 'old'); INSERT INTO audit VALUES({far}, 0, 'ops', 'late')"))
        .expect("two lines");
    drop(file);
    let store = rig.open();
    operate(&store, Verb::Resume { target: name("app") });
    let said: Vec<_> = wait(store.audit(9)).expect("lines").into_iter().map(|line| line.what.to_string()).collect();
    assert_eq!(said, ["resumed app", "late"]);
    close(&store);
}

/// The process dies between the steps of a replay, again and again; in the end there is one new delivery of each dead letter.
#[test]
fn a_replay_that_is_cut_off_goes_on_where_it_was_and_repeats_nothing() {
    let rig = Rig::new();
    let app = Lane::open("app");
    let mut store = rig.open();
    let letters = dead_letters();
    for _ in 0..letters.div_ceil(BURST) {
        let replies: Vec<_> = (0..BURST).map(|_| store.admit(event(&rig, smallvec![dead(&app)]).1, Mono::NEVER)).collect();
        for reply in replies {
            wait(reply).expect("admitted");
        }
    }
    let letters = letters.next_multiple_of(BURST);
    let id = begin(&store, Work::Replay { to: None }, "target=app&state=dead");
    let (mut steps, mut job) = (0_usize, None::<Job>);
    while job.as_ref().is_none_or(Job::runs) {
        job = Some(step(&store, id, STEP));
        steps += 1;
        if steps.is_multiple_of((letters / STEP / CUTS).max(3)) {
            // Left as a crash would leave it; and a step may be under way.
            drop(store.operate(Act { by: "hookgate".into(), verb: Verb::Go { id, at_most: STEP, plan: today() } }));
            drop(store);
            store = rig.open();
            assert_eq!(store.standing().borrow().jobs.len(), usize::from(wait(store.jobs()).expect("jobs")[0].runs()));
        }
    }
    let job = job.expect("it ended");
    assert_eq!(usize::try_from(job.progress.done), Ok(letters));
    let tally = store.tallies().read()[&name("app")].clone();
    assert_eq!((usize::try_from(tally.pending), usize::try_from(tally.dead)), (Ok(letters), Ok(letters)));
    let mut of_each = BTreeMap::<EventId, BTreeSet<u8>>::new();
    let want = || Want { target: name("app"), oldest: 256, fresh: 0, ahead: None, lease: Duration::from_secs(30) };
    loop {
        let leases = wait(store.claim(vec![want()])).expect("claimed").remove(0).leases;
        if leases.is_empty() {
            break;
        }
        for lease in leases {
            assert_eq!(lease.replay_of, Some(0));
            assert!(of_each.entry(lease.id.event).or_default().insert(lease.id.slot), "{} twice", lease.id);
        }
    }
    assert_eq!(of_each.len(), letters);
    assert!(of_each.values().all(|slots| slots.len() == 1), "one each");
    close(&store);
}

#[test]
fn a_named_delivery_is_replayed_once_by_one_job() {
    let rig = Rig::new();
    let app = Lane::open("app");
    let store = rig.open();
    let event = admit(&rig, &store, smallvec![dead(&app)]);
    let filter = Filter { ids: vec![FilterId::Delivery(DeliveryId { event, slot: 0 })], ..Filter::default() };
    let id = begin(&store, Work::Replay { to: None }, &filter.to_string());
    finish(&store, id);
    assert_eq!(states(&store, event), [State::Dead, State::Pending]);
    close(&store);
}

#[expect(clippy::disallowed_methods, reason = "the size of this campaign")]
fn dead_letters() -> usize {
    std::env::var("REPLAY_DEAD_LETTERS").ok().map_or(DEAD_LETTERS, |count| count.parse().expect("a number"))
}
