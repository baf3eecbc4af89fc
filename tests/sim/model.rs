//! The model store's own tests: what the trait promises, with commits that fail and processes that die.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hookgate::{
    clock::{Mono, Now, UnixMs},
    delivery::{Attempt, AttemptResult, DeadReason, DeliveryId, State},
    event::{DedupKey, EventId, EventTypes, Payload},
    handoff::{Handoff, LaneGate},
    lease::{Fate, Fenced, Lease, LeaseRef, PayloadRef, Token, Want, Why},
    name::SourceName,
    store::{Admission, Model, NewEvent, Owed, Start},
};
use tokio::sync::{Semaphore, mpsc};

use super::made;

const LEASE: Duration = Duration::from_secs(30);

pub(super) fn at(ms: i64) -> Now {
    Now { wall: UnixMs(1_000_000 + ms), mono: Mono(1_000_000_000 + u64::try_from(ms).expect("not before the start") * 1_000_000) }
}

pub(super) fn event(id: i64, key: u8, owed: impl IntoIterator<Item = Owed>) -> NewEvent {
    NewEvent {
        id: EventId::from_i64(id).expect("not negative"),
        source: SourceName::parse("shop").expect("a name"),
        types: EventTypes::default(),
        provider_event_id: None,
        received_at: at(0).wall,
        key: DedupKey([key; 16]),
        window: Duration::from_secs(60),
        revive: true,
        payloads: [Payload { head: Bytes::new(), body: Bytes::from_static(b"body") }].into_iter().collect(),
        owed: owed.into_iter().collect(),
        proof: made::proof(),
    }
}

fn owed(target: &str, start: Start, gate: Option<Arc<LaneGate>>) -> Owed {
    Owed { target: made::name(target), variant: 0, start, order: None, gate }
}

fn waiting(target: &str) -> Owed {
    owed(target, Start::Waiting, None)
}

pub(super) fn id(event: i64, slot: u8) -> DeliveryId {
    DeliveryId { event: EventId::from_i64(event).expect("not negative"), slot }
}

pub(super) fn want(target: &str, oldest: usize, fresh: usize) -> Want {
    Want { target: made::name(target), oldest, fresh, ahead: None, lease: LEASE }
}

pub(super) fn attempt(result: AttemptResult) -> Attempt {
    Attempt { at: at(0).wall, took: Duration::from_millis(3), result, status: None, retry_after: None, excerpt: None }
}

pub(super) fn claim_one(model: &mut Model, target: &str, now: Now) -> Lease {
    let mut claimed = model.claim(&[want(target, 1, 0)], now);
    model.commit();
    claimed.remove(0).leases.remove(0)
}

pub(super) fn settle(model: &mut Model, write: Fenced, now: Now) -> Fate {
    let fates = model.settle(&[write], now.wall);
    model.commit();
    model.check().expect("tallies equal rows");
    fates[0]
}

/// A gate of one lane with so many places, and its other end.
pub(super) fn gate(target: &str, limit: u32) -> (Arc<LaneGate>, mpsc::UnboundedReceiver<Handoff>) {
    let (to, from) = mpsc::unbounded_channel();
    let gate = LaneGate::new(made::name(target), to, Arc::new(Semaphore::new(1024)));
    gate.publish(limit);
    (gate, from)
}

#[test]
fn a_repeat_is_a_duplicate_for_its_window_and_while_a_delivery_is_open() {
    let mut model = Model::new(made::retention());
    let first = EventId::from_i64(1).expect("valid");
    assert_eq!(model.admit(event(1, 7, [waiting("app")]), at(0)), Admission::Accepted);
    assert_eq!(model.admit(event(1, 7, [waiting("app")]), at(1)), Admission::Accepted, "the same event again");
    assert_eq!(model.admit(event(2, 7, [waiting("app")]), at(2)), Admission::Duplicate { first, revived: 0 });
    assert_eq!(model.deliveries().count(), 1);
    model.commit();
    assert_eq!(model.admit(event(3, 7, []), at(3_600_000)), Admission::Duplicate { first, revived: 0 }, "it is still open");
    let lease = claim_one(&mut model, "app", at(3_600_000));
    settle(&mut model, Fenced::Delivered(lease.reference(), attempt(AttemptResult::Delivered)), at(3_600_001));
    assert_eq!(model.admit(event(4, 7, []), at(3_600_002)), Admission::Accepted, "the window is over and nothing is open");
}

#[test]
fn ahead_of_time_only_what_had_no_later_lease_is_claimed() {
    let mut model = Model::new(made::retention());
    for event_id in 1..=3 {
        model.admit(event(event_id, u8::try_from(event_id).expect("few"), [waiting("app")]), at(0));
    }
    model.commit();
    let again = |model: &mut Model, lease: &Lease| {
        let write =
            Fenced::Retry { lease: lease.reference(), attempt: attempt(AttemptResult::Connect), due: at(3_600_000).wall, failures: 1 };
        settle(model, write, at(1));
    };
    let leases = [claim_one(&mut model, "app", at(0)), claim_one(&mut model, "app", at(0)), claim_one(&mut model, "app", at(0))];
    leases.iter().for_each(|lease| again(&mut model, lease));
    assert!(model.claim(&[want("app", 9, 0)], at(2)).remove(0).leases.is_empty(), "an hour is an hour");
    let ahead = |model: &mut Model| {
        let wanted = Want { ahead: Some(leases[1].token), ..want("app", 9, 9) };
        model.claim(&[wanted], at(3)).remove(0).leases.iter().map(|lease| lease.id).collect::<Vec<_>>()
    };
    assert_eq!(ahead(&mut model), [leases[0].id, leases[1].id], "the third was tried since");
    assert_eq!(ahead(&mut model), [], "and what runs is not taken");
}

#[test]
fn what_was_not_committed_is_gone_with_the_process() {
    let mut model = Model::new(made::retention());
    model.admit(event(1, 1, [waiting("app")]), at(0));
    model.commit();
    let lease = claim_one(&mut model, "app", at(0));
    model.admit(event(2, 2, [waiting("app")]), at(1));
    model.settle(&[Fenced::Delivered(lease.reference(), attempt(AttemptResult::Delivered))], at(1).wall);
    model.boot(at(5).wall);
    assert!(!model.knows(EventId::from_i64(2).expect("valid")));
    assert_eq!(model.admit(event(3, 2, []), at(6)), Admission::Accepted, "its key is not known either");
    let row = model.delivery(id(1, 0)).expect("committed");
    assert_eq!((row.state, row.due, row.crashes), (State::Pending, Some(at(5).wall), 1), "its lease is void and it is due at once");
    let again = claim_one(&mut model, "app", at(6));
    assert!(again.token != lease.token && again.attempt == 2 && again.crashes == 1);
    let late = Fenced::Delivered(lease.reference(), attempt(AttemptResult::Delivered));
    assert_eq!(settle(&mut model, late, at(7)), Fate::Stale, "the process before writes nothing");
}

#[test]
fn slots_are_filled_by_the_commit_and_given_back_when_it_fails() {
    let (gate, mut from) = gate("app", 2);
    let mut model = Model::new(made::retention());
    let leased = |gate: &Arc<LaneGate>| owed("app", Start::Leased(gate.take().expect("room"), LEASE), Some(Arc::clone(gate)));
    model.admit(event(1, 1, [leased(&gate)]), at(0));
    assert!(from.try_recv().is_err(), "nothing before the commit");
    model.commit();
    let Ok(Handoff::Leased(lease)) = from.try_recv() else { panic!("a filled slot") };
    assert_eq!((lease.id, lease.attempt), (id(1, 0), 1));
    assert!(matches!(lease.payload, PayloadRef::Here(..)));
    assert_eq!(gate.out(), 1, "the lane counts it");
    gate.counted();

    model.admit(event(2, 2, [leased(&gate)]), at(1));
    model.roll_back();
    assert_eq!(gate.out(), 0);
    assert!(!model.knows(EventId::from_i64(2).expect("valid")));
    assert!(matches!(from.try_recv(), Ok(Handoff::Waiting(_))), "nobody knows how it ended, so somebody looks");
    gate.heard();

    model.admit(event(3, 3, [leased(&gate)]), at(2));
    model.commit_unseen();
    assert_eq!((gate.out(), model.knows(EventId::from_i64(3).expect("valid"))), (0, true));
    assert!(matches!(from.try_recv(), Ok(Handoff::Waiting(_))));
    let claimed = model.claim(&[want("app", 9, 0)], at(3));
    assert_eq!(claimed[0].leases.len(), 0);
    assert_eq!(claimed[0].next_due, Some(at(0).wall.after(LEASE)), "whoever looks learns when to come back");
    gate.heard();

    assert_eq!(model.admit(event(3, 3, [leased(&gate)]), at(4)), Admission::Accepted, "the door runs it again");
    model.commit();
    assert_eq!(gate.out(), 0, "what was born leased is not handed over twice");
    assert!(matches!(from.try_recv(), Ok(Handoff::Waiting(_))), "but looked for");
}

#[test]
fn a_claim_takes_the_oldest_and_the_newest_and_says_what_comes_next() {
    let mut model = Model::new(made::retention());
    for (index, ms) in [(1, 0), (2, 10), (3, 20), (4, 30)] {
        model.admit(event(i64::from(index), index, [waiting("app"), waiting("other")]), at(ms));
    }
    let claimed = model.claim(&[want("app", 1, 1)], at(100));
    let ids = claimed[0].leases.iter().map(|lease| lease.id).collect::<Vec<_>>();
    assert_eq!(ids, [id(1, 0), id(4, 0)]);
    assert_eq!(claimed[0].next_due, Some(at(10).wall), "more is due now");
    let claimed = model.claim(&[want("app", 9, 0), want("nobody", 9, 0)], at(100));
    assert_eq!(claimed[0].leases.len(), 2);
    assert_eq!(claimed[0].next_due, Some(at(100).wall.after(LEASE)), "the first lease that may run out");
    assert_eq!((claimed[1].leases.len(), claimed[1].next_due), (0, None));
    model.commit();
    let expired = at(100 + 30_000);
    let again = model.claim(&[want("app", 1, 0)], expired);
    assert_eq!((again[0].leases[0].attempt, again[0].leases[0].crashes), (2, 1), "a lease that ran out is due again");
}

#[test]
fn each_fenced_write_does_what_it_says_once() {
    let mut model = Model::new(made::retention());
    model.admit(event(1, 1, [waiting("app")]), at(0));
    model.commit();
    let lease = claim_one(&mut model, "app", at(0)).reference();
    let due = at(9_000).wall;
    let retry = Fenced::Retry { lease, attempt: attempt(AttemptResult::Timeout), due, failures: 1 };
    assert_eq!(settle(&mut model, retry.clone(), at(1)), Fate::Done);
    assert_eq!(settle(&mut model, retry.clone(), at(2)), Fate::Again);
    assert_eq!(model.claim(&[want("app", 1, 0)], at(8_999))[0].leases.len(), 0, "not before it is due");
    let next = claim_one(&mut model, "app", at(9_000));
    assert_eq!((next.attempt, next.failures, next.crashes), (2, 1, 0));
    assert_eq!(settle(&mut model, retry, at(9_001)), Fate::Stale, "another holds it now");
    assert_eq!(settle(&mut model, Fenced::Released(next.reference(), Why::NoTime), at(9_002)), Fate::Done);
    let last = claim_one(&mut model, "app", at(9_003));
    assert_eq!((last.attempt, last.failures), (3, 1));
    let dead = Fenced::Dead(last.reference(), attempt(AttemptResult::Connect), DeadReason::Attempts);
    assert_eq!(settle(&mut model, dead, at(9_005)), Fate::Done);
    let view = model.event(EventId::from_i64(1).expect("valid")).expect("kept");
    let delivery = &view.deliveries[0];
    assert_eq!((delivery.state, delivery.dead, delivery.due), (State::Dead, Some(DeadReason::Attempts), None));
    assert_eq!(delivery.attempts.iter().map(|one| one.attempt).collect::<Vec<_>>(), [1, 3], "failed attempts are kept");
    let unknown = LeaseRef { id: id(9, 0), token: Token(1) };
    assert_eq!(settle(&mut model, Fenced::Released(unknown, Why::Stopping), at(9_006)), Fate::Stale);
}

#[test]
fn a_repeat_revives_what_is_dead_as_a_new_delivery() {
    let mut model = Model::new(made::retention());
    model.admit(event(1, 1, [waiting("app"), waiting("crm")]), at(0));
    model.commit();
    let lease = claim_one(&mut model, "app", at(0));
    settle(&mut model, Fenced::Dead(lease.reference(), attempt(AttemptResult::Http4xx), DeadReason::Status), at(1));
    let before = model.delivery(id(1, 0)).cloned();
    let first = EventId::from_i64(1).expect("valid");
    assert_eq!(model.admit(event(2, 1, [waiting("app"), waiting("crm")]), at(2)), Admission::Duplicate { first, revived: 1 });
    assert_eq!(model.admit(event(3, 1, [waiting("app")]), at(3)), Admission::Duplicate { first, revived: 0 }, "it is open again");
    model.commit();
    model.check().expect("tallies equal rows");
    assert_eq!(model.delivery(id(1, 0)).cloned(), before, "the old row is never changed");
    let revived = model.delivery(id(1, 2)).expect("a new slot");
    assert_eq!((revived.state, revived.replay_of, revived.attempt, revived.first_at), (State::Pending, Some(0), 0, at(2).wall));
}

#[test]
fn retention_purges_what_is_settled_and_nothing_else() {
    let day = 86_400_000;
    let mut model = Model::new(made::retention());
    model.admit(event(1, 1, [waiting("app")]), at(0));
    model.admit(event(2, 2, [waiting("app")]), at(0));
    model.admit(event(3, 3, [waiting("later")]), at(0));
    model.admit(event(4, 4, []), at(0));
    model.commit();
    let lease = claim_one(&mut model, "app", at(0));
    settle(&mut model, Fenced::Delivered(lease.reference(), attempt(AttemptResult::Delivered)), at(0));
    let lease = claim_one(&mut model, "app", at(0));
    settle(&mut model, Fenced::Dead(lease.reference(), attempt(AttemptResult::Http5xx), DeadReason::Age), at(0));
    let left = |model: &Model| (1..=4).filter(|id| model.knows(EventId::from_i64(*id).expect("valid"))).collect::<Vec<_>>();
    let mut sweep = |ms: i64| {
        let swept = model.sweep(at(ms).wall);
        model.commit();
        model.check().expect("tallies equal rows");
        (swept.events, left(&model))
    };
    assert_eq!(sweep(3 * day - 1), (0, vec![1, 2, 3, 4]));
    assert_eq!(sweep(3 * day), (1, vec![2, 3, 4]), "delivered");
    assert_eq!(sweep(30 * day), (1, vec![2, 3]), "unrouted");
    assert_eq!(sweep(90 * day), (1, vec![3]), "dead; what is open stays");
}
