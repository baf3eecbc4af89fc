//! What an answer is worth: an accepted event is there after a crash, a duplicate's first event is there, and a commit that failed is said
//! to be unknown. These hold without a fault; planted bugs and failing commits are put under them by `planted`.

use std::{collections::HashSet, time::Duration};

use hookgate::{
    clock::Mono,
    delivery::{Attempt, AttemptResult, State},
    event::EventId,
    lease::{Fate, Fenced, Want},
    store::{Admission, Reply, Store, StoreError},
};
use smallvec::smallvec;

use super::rig::{Lane, Rig, close, name, wait};

#[test]
fn what_is_accepted_is_there_and_what_is_a_duplicate_has_a_first() {
    let rig = Rig::merging_at(8);
    let mut lane = Lane::open("app");
    let mut accepted = HashSet::new();
    let mut firsts = HashSet::new();
    for round in 0..12 {
        let store = rig.open();
        // Many at once, so that batches form and duplicates meet their first in one; then the same keys again, which meet what the batch
        // before has left behind.
        for _ in 0..4 {
            let rings: Vec<_> = (0..30_u8).map(|n| rig.ring(round * 20 + n % 20)).collect();
            let replies: Vec<(EventId, Reply<Admission>)> = rings
                .iter()
                .map(|ring| (ring.id, store.admit(ring.event(rig.time.now().wall, smallvec![lane.owed_now()]), Mono::NEVER)))
                .collect();
            for (id, reply) in replies {
                match wait(reply) {
                    Ok(Admission::Accepted) => drop(accepted.insert(id)),
                    Ok(Admission::Duplicate { first, .. }) => drop(firsts.insert(first)),
                    Err(StoreError::Unknown) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
        lane.leases();
        drop(store);
    }
    let store = rig.open();
    for id in accepted.iter().chain(&firsts) {
        let view = wait(store.event(*id)).expect("the store answers");
        let view = view.unwrap_or_else(|| panic!("{id} was acknowledged and is not there"));
        assert_eq!(view.deliveries.len(), 1, "{id} has its whole fan-out");
    }
    assert!(!accepted.is_empty());
    close(&store);
}

#[test]
fn each_key_has_one_fan_out_however_often_it_is_rung_again() {
    let rig = Rig::merging_at(8);
    let lane = Lane::open("app");
    let store = rig.open();
    let mut rung = Vec::new();
    for key in 0..20 {
        // The provider rings until it hears a 2xx, each time a new event to us.
        for _ in 0..100 {
            let ring = rig.ring(key);
            rung.push(ring.id);
            match wait(store.admit(ring.event(rig.time.now().wall, smallvec![lane.owed_now()]), Mono::NEVER)) {
                Ok(_) => break,
                Err(StoreError::Unknown) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    let there = rung.iter().filter(|id| wait(store.event(**id)).expect("the store answers").is_some()).count();
    assert_eq!(there, 20, "one event for each key");
    drop(store);
}

#[test]
fn the_same_admit_run_again_is_accepted_and_writes_nothing() {
    let rig = Rig::new();
    let mut lane = Lane::open("app");
    let store = rig.open();
    let ring = rig.ring(1);
    let now = rig.time.now().wall;
    assert_eq!(wait(store.admit(ring.event(now, smallvec![lane.owed_now()]), Mono::NEVER)), Ok(Admission::Accepted));
    assert_eq!(lane.leases().len(), 1);
    let before = wait(store.event(ring.id)).expect("the store answers");
    assert_eq!(wait(store.admit(ring.event(now, smallvec![lane.owed_now()]), Mono::NEVER)), Ok(Admission::Accepted));
    assert_eq!(lane.leases().len(), 0, "two holders of one lease would both send");
    assert_eq!(lane.gate.out(), 1, "the slot of the re-run went back");
    assert_eq!(wait(store.event(ring.id)).expect("the store answers"), before);
}

#[test]
fn a_stale_holder_writes_nothing() {
    let mut rig = Rig::new();
    let mut lane = Lane::open("app");
    let store = rig.open();
    let ring = rig.ring(1);
    wait(store.admit(ring.event(rig.time.now().wall, smallvec![lane.owed_now()]), Mono::NEVER)).expect("admitted");
    let first = lane.leases().pop().expect("a lease");
    rig.time.pass(Duration::from_secs(31));
    let want = Want { target: name("app"), oldest: 1, fresh: 0, ahead: None, lease: Duration::from_secs(30) };
    let claimed = wait(store.claim(vec![want])).expect("claimed");
    let second = claimed.first().and_then(|claimed| claimed.leases.first()).expect("the lease ran out");
    assert_eq!((second.attempt, second.crashes), (2, 1));
    let before = wait(store.event(ring.id)).expect("the store answers");
    let delivered = |lease| Fenced::Delivered(lease, attempt(&rig));
    assert_eq!(wait(store.settle(vec![delivered(first.reference())])), Ok(vec![Fate::Stale]));
    assert_eq!(wait(store.event(ring.id)).expect("the store answers"), before, "the second holder still has it");
    assert_eq!(wait(store.settle(vec![delivered(second.reference())])), Ok(vec![Fate::Done]));
    assert_eq!(wait(store.settle(vec![delivered(second.reference())])), Ok(vec![Fate::Again]));
}

#[test]
fn a_crash_voids_every_lease() {
    let rig = Rig::new();
    let lane = Lane::open("app");
    let store = rig.open();
    let rings: Vec<_> = (0..5).map(|key| rig.ring(key)).collect();
    for ring in &rings {
        wait(store.admit(ring.event(rig.time.now().wall, smallvec![lane.owed_now()]), Mono::NEVER)).expect("admitted");
    }
    drop(store);
    let store = rig.open();
    for ring in &rings {
        let view = wait(store.event(ring.id)).expect("the store answers").expect("it is there");
        let delivery = view.deliveries.first().expect("one");
        assert_eq!((delivery.state, delivery.due, delivery.crashes), (State::Pending, Some(rig.time.now().wall), 1));
    }
    let want = Want { target: name("app"), oldest: 9, fresh: 0, ahead: None, lease: Duration::from_secs(30) };
    let claimed = wait(store.claim(vec![want])).expect("claimed");
    assert_eq!(claimed.first().map(|claimed| claimed.leases.len()), Some(5), "all are due at once");
}

#[test]
fn an_admit_past_its_deadline_is_not_run() {
    let rig = Rig::new();
    let store = rig.open();
    let ring = rig.ring(1);
    let event = ring.event(rig.time.now().wall, smallvec![]);
    let late = Mono(rig.time.now().mono.0 - 1);
    assert_eq!(wait(store.admit(event, late)), Err(StoreError::Busy));
    assert_eq!(wait(store.event(ring.id)), Ok(None));
}

fn attempt(rig: &Rig) -> Attempt {
    Attempt {
        at: rig.time.now().wall,
        took: Duration::from_millis(3),
        result: AttemptResult::Delivered,
        status: Some(200),
        retry_after: None,
        excerpt: None,
    }
}
