//! Stories behind other queues' bugs, named after their reports, as tests of this store.

use std::time::Duration;

use hookgate::{
    clock::Mono,
    delivery::{Attempt, AttemptResult, DeadReason, State},
    event::{DedupKey, EventId, EventIds},
    lease::{Fate, Fenced, Lease, LeaseRef, Want},
    limits::{FAN_OUT_MAX, PULL_LOOKS_MAX, SETTLE_MAX},
    store::{Admission, ModelStore, Start, Store},
};
use smallvec::smallvec;

use super::rig::{Lane, Rig, close, name, wait};

fn want(oldest: usize) -> Vec<Want> {
    vec![Want { target: name("app"), oldest, fresh: 0, ahead: None, lease: Duration::from_secs(30) }]
}

fn failed(rig: &Rig) -> Attempt {
    Attempt {
        at: rig.time.now().wall,
        took: Duration::from_millis(3),
        result: AttemptResult::Connect,
        status: None,
        retry_after: None,
        excerpt: Some("refused".into()),
    }
}

/// A task was active with its lease gone, so nothing ever looked at it again. Here leased and waiting share one index.
#[test]
fn asynq_1144_active_without_lease() {
    let mut rig = Rig::new();
    let lane = Lane::open("app");
    let store = rig.open();
    for key in 0..3 {
        wait(store.admit(rig.ring(key).event(rig.time.now().wall, smallvec![lane.owed_now()]), Mono::NEVER)).expect("admitted");
    }
    let claimed = wait(store.claim(want(9))).expect("claimed");
    assert!(claimed[0].leases.is_empty(), "all are held");
    let expiry = claimed[0].next_due.expect("held ones are in the index too");
    assert_eq!(expiry, rig.time.now().wall.after(Duration::from_secs(30)));
    rig.time.pass(Duration::from_secs(30));
    let claimed = wait(store.claim(want(9))).expect("claimed");
    assert_eq!(claimed[0].leases.len(), 3, "whoever held them is gone");
    assert!(claimed[0].leases.iter().all(|lease| (lease.attempt, lease.crashes) == (2, 1)));
}

/// Jobs stuck in `running` after their workers had died. Here the states add up after every crash, and all open work is claimed.
#[test]
fn river_1258_stuck_running() {
    let mut rig = Rig::new();
    let lane = Lane::open("app");
    let mut admitted = 0;
    for round in 0..4_u8 {
        let store = rig.open();
        for key in 0..10 {
            wait(store.admit(rig.ring(round * 10 + key).event(rig.time.now().wall, smallvec![lane.owed_now()]), Mono::NEVER))
                .expect("admitted");
            admitted += 1;
        }
        // The process is gone for longer than its leases: they ran out while nobody looked.
        drop(store);
        rig.time.pass(Duration::from_secs(if round % 2 == 0 { 1 } else { 600 }));
    }
    let store = rig.open();
    let tally = store.tallies().read().remove(&name("app")).expect("the target is known");
    assert_eq!((tally.pending, tally.in_flight, tally.dead), (admitted, 0, 0));
    let claimed = wait(store.claim(want(256))).expect("claimed");
    assert_eq!(u64::try_from(claimed[0].leases.len()), Ok(admitted));
}

/// An event was stored and the job for it was not. Here they are one write, and a repeat of the event finds both.
#[test]
fn breeze_4095_row_without_job() {
    let rig = Rig::new();
    let lane = Lane::open("app");
    let store = rig.open();
    let ring = rig.ring(7);
    let reply = store.admit(ring.event(rig.time.now().wall, smallvec![lane.owed_now()]), Mono::NEVER);
    // The caller hangs up at once and the process dies: all of it is there, or nothing.
    drop(reply);
    drop(store);
    let store = rig.open();
    let again = rig.ring(7);
    let admission = wait(store.admit(again.event(rig.time.now().wall, smallvec![lane.owed_now()]), Mono::NEVER)).expect("admitted");
    let first = match admission {
        Admission::Accepted => again.id,
        Admission::Duplicate { first, .. } => first,
    };
    let view = wait(store.event(first)).expect("the store answers").expect("an acknowledged event is there");
    assert_eq!(view.deliveries.len(), 1);
    assert!(view.deliveries[0].state.is_open());
}

/// The dedup record was written, the work then failed, and the repeat was swallowed. Here a repeat revives what is dead.
#[test]
fn postel_129_dedup_then_fail() {
    let rig = Rig::new();
    let mut lane = Lane::open("app");
    let store = rig.open();
    let ring = rig.ring(1);
    wait(store.admit(ring.event(rig.time.now().wall, smallvec![lane.owed_now()]), Mono::NEVER)).expect("admitted");
    let lease = lane.leases().pop().expect("a lease");
    let dead = Fenced::Dead(lease.reference(), failed(&rig), DeadReason::Attempts);
    assert_eq!(wait(store.settle(vec![dead])), Ok(vec![Fate::Done]));

    let repeat = rig.ring(1).event(rig.time.now().wall, smallvec![lane.owed_now()]);
    let admission = wait(store.admit(repeat, Mono::NEVER));
    assert_eq!(admission, Ok(Admission::Duplicate { first: ring.id, revived: 1 }));
    assert_eq!(lane.hear().len(), 1, "the lane is told of it");
    let claimed = wait(store.claim(want(1))).expect("claimed");
    let revived = &claimed[0].leases[0];
    assert_eq!((revived.id.event, revived.id.slot, revived.replay_of, revived.attempt), (ring.id, 1, Some(0), 1));
    let view = wait(store.event(ring.id)).expect("the store answers").expect("it is there");
    assert_eq!(view.deliveries[0].state, State::Dead, "what happened stays written");
    let repeat = rig.ring(1).event(rig.time.now().wall, smallvec![lane.owed_now()]);
    let admission = wait(store.admit(repeat, Mono::NEVER));
    assert_eq!(admission, Ok(Admission::Duplicate { first: ring.id, revived: 0 }), "it has a new try already");
}

/// Record ids wrapped at their maximum and the reader stopped. Here ids and slots at the end of their range are written, read and revived
/// as far as they go.
#[test]
fn vector_19759_id_wrap() {
    let mut rig = Rig::new();
    rig.ids = EventIds::above(i64::MAX - 3, 0);
    let mut lane = Lane::open("app");
    let store = rig.open();
    let last = EventId::from_i64(i64::MAX).expect("positive");
    let mut ring = rig.ring(1);
    ring.id = last;
    wait(store.admit(ring.event(rig.time.now().wall, smallvec![lane.owed_now()]), Mono::NEVER)).expect("admitted");
    for round in 0..260_u32 {
        let dead = match lane.leases().pop() {
            Some(lease) => Some(lease.reference()),
            None => wait(store.claim(want(1))).expect("claimed")[0].leases.first().map(Lease::reference),
        };
        let Some(dead) = dead else {
            assert_eq!(round, 256, "one byte of slots");
            break;
        };
        let dead = Fenced::Dead(dead, failed(&rig), DeadReason::Status);
        assert_eq!(wait(store.settle(vec![dead])), Ok(vec![Fate::Done]));
        let mut repeat = rig.ring(1);
        repeat.id = EventId::from_i64(i64::from(round) + 1).expect("positive");
        let owed = smallvec![lane.owed(Start::Waiting)];
        let admission = wait(store.admit(repeat.event(rig.time.now().wall, owed), Mono::NEVER));
        assert_eq!(admission, Ok(Admission::Duplicate { first: last, revived: u32::from(round < 255) }));
    }
    assert_eq!(store.highest_event_id(), i64::MAX);
    assert_eq!(wait(store.event(last)).expect("the store answers").expect("it is there").deliveries.len(), 256);
    close(&store);
    drop(store);
    assert_eq!(rig.open().highest_event_id(), i64::MAX);
}

/// A target is back and fails anew: what was tried since is due before what still waits, and walking past all of that would hold up
/// everybody's one writer.
#[test]
fn a_claim_for_a_target_that_is_back_looks_at_so_many_and_no_more() {
    let rig = Rig::new();
    let lane = Lane::open("app");
    let (store, model) = (rig.open(), ModelStore::new(rig.time.clock(), rig.settings.retention.clone()));
    for store in [&*store as &dyn Store, &model] {
        let waiting = tried(&rig, &lane, store, 2, 120);
        let back_since = waiting.last().expect("two").token;
        let pull = || {
            let want = Want { target: name("app"), oldest: 1, fresh: 0, ahead: Some(back_since), lease: Duration::from_secs(30) };
            wait(store.claim(vec![want])).expect("claimed").remove(0).leases.pop()
        };
        tried(&rig, &lane, store, PULL_LOOKS_MAX - 1, 60);
        let pulled = pull().expect("it is the last that is looked at").reference();
        assert_eq!(pulled.id, waiting[0].id);
        let delivered = Fenced::Delivered(pulled, Attempt { result: AttemptResult::Delivered, status: Some(204), ..failed(&rig) });
        assert_eq!(wait(store.settle(vec![delivered])), Ok(vec![Fate::Done]));
        tried(&rig, &lane, store, 1, 60);
        assert!(pull().is_none(), "it is one too far");
    }
}

/// So many deliveries that have failed once and are due in so many seconds.
fn tried(rig: &Rig, lane: &Lane, store: &dyn Store, count: usize, seconds: u64) -> Vec<LeaseRef> {
    for from in (0..count).step_by(FAN_OUT_MAX) {
        let owed = (from..count.min(from + FAN_OUT_MAX)).map(|_| lane.owed(Start::Waiting)).collect();
        let ring = rig.ring(0);
        let mut event = ring.event(rig.time.now().wall, owed);
        event.key = DedupKey(u128::from(ring.id.to_i64().unsigned_abs()).to_le_bytes());
        assert_eq!(wait(store.admit(event, Mono::NEVER)), Ok(Admission::Accepted));
    }
    let due = rig.time.now().wall.after(Duration::from_secs(seconds));
    let mut all = Vec::new();
    while all.len() < count {
        let leases = wait(store.claim(want(SETTLE_MAX))).expect("claimed").remove(0).leases;
        let leases: Vec<_> = leases.iter().map(Lease::reference).collect();
        let retries = leases.iter().map(|lease| Fenced::Retry { lease: *lease, attempt: failed(rig), due, failures: 1 }).collect();
        assert!(!leases.is_empty() && wait(store.settle(retries)).expect("settled").iter().all(|fate| *fate == Fate::Done));
        all.extend(leases);
    }
    all
}

/// A clock that had run ahead wrote due times years away, and a start under the right clock waited for them.
#[test]
fn due_times_of_a_clock_that_ran_ahead_are_due_at_once() {
    let mut rig = Rig::new();
    let mut lane = Lane::open("app");
    let year_ms = 365 * 86_400_000;
    rig.time.step_wall(year_ms);
    let store = rig.open();
    for key in 0..2 {
        wait(store.admit(rig.ring(key).event(rig.time.now().wall, smallvec![lane.owed_now()]), Mono::NEVER)).expect("admitted");
    }
    let lease = lane.leases().pop().expect("a lease").reference();
    let due = rig.time.now().wall.after(Duration::from_secs(60));
    wait(store.settle(vec![Fenced::Retry { lease, attempt: failed(&rig), due, failures: 1 }])).expect("settled");
    drop(store);
    rig.time.step_wall(-year_ms);
    let store = rig.open();
    let claimed = wait(store.claim(want(9))).expect("claimed");
    assert_eq!(claimed[0].leases.len(), 2, "the waiting one and the leased one");
}
