//! The model store's stories about order: who waits behind whom, and who lets the next one go.

use std::{sync::Arc, time::Duration};

use hookgate::{
    delivery::{AttemptResult, DeadReason, DeliveryId, State},
    handoff::Handoff,
    lease::{Fate, Fenced, Want, Why},
    store::{Admission, Model, NewEvent, Owed, Start},
};

use super::{
    made,
    model::{at, attempt, claim_one, event, gate, id, settle, want},
};

/// An event owed to `app`, ordered by this key.
fn ordered(event_id: i64, order: Option<u64>) -> NewEvent {
    let owed = Owed { target: made::name("app"), variant: 0, start: Start::Waiting, order, gate: None };
    event(event_id, u8::try_from(event_id).expect("few"), [owed])
}

fn admit(model: &mut Model, events: impl IntoIterator<Item = NewEvent>) {
    for event in events {
        assert_eq!(model.admit(event, at(0)), Admission::Accepted);
    }
    model.commit();
    model.check().expect("index and tallies equal the rows");
}

fn state(model: &Model, id: DeliveryId) -> State {
    model.delivery(id).expect("there").state
}

fn claimed(model: &mut Model, wanted: Want, ms: i64) -> Vec<DeliveryId> {
    let mut claimed = model.claim(&[wanted], at(ms));
    model.commit();
    claimed.remove(0).leases.iter().map(|lease| lease.id).collect()
}

#[test]
fn one_of_a_key_goes_at_a_time_and_other_keys_flow_on() {
    let mut model = Model::new(made::retention());
    admit(&mut model, [(1, Some(7)), (2, Some(7)), (3, Some(8)), (4, None), (5, Some(7))].map(|(id, order)| ordered(id, order)));
    assert_eq!([1, 2, 3, 4, 5].map(|event| state(&model, id(event, 0)) == State::Blocked), [false, true, false, false, true]);
    assert_eq!(model.tallies().read()[&made::name("app")].pending, 5, "to wait for another one is to wait");
    let ahead = Want { ahead: Some(hookgate::lease::Token(i64::MAX)), ..want("app", 9, 9) };
    assert_eq!(claimed(&mut model, ahead, 0), [id(1, 0), id(3, 0), id(4, 0)], "neither from the front, nor the end, nor ahead of time");
    assert!(claimed(&mut model, want("app", 9, 9), 1).is_empty());
}

#[test]
fn only_what_settles_a_delivery_for_good_lets_the_next_one_go() {
    let mut model = Model::new(made::retention());
    admit(&mut model, (1..=3).map(|event| ordered(event, Some(7))));
    let lease = claim_one(&mut model, "app", at(0)).reference();
    assert_eq!(settle(&mut model, Fenced::Released(lease, Why::NoTime), at(1)), Fate::Done);
    let lease = claim_one(&mut model, "app", at(1)).reference();
    let retry = Fenced::Retry { lease, attempt: attempt(AttemptResult::Timeout), due: at(5_000).wall, failures: 1 };
    assert_eq!(settle(&mut model, retry, at(2)), Fate::Done);
    assert_eq!(state(&model, id(2, 0)), State::Blocked);
    assert!(claimed(&mut model, want("app", 9, 9), 4_999).is_empty(), "who fails holds up his key");
    let lease = claim_one(&mut model, "app", at(5_000)).reference();
    let dead = Fenced::Dead(lease, attempt(AttemptResult::Http4xx), DeadReason::Status);
    assert_eq!(settle(&mut model, dead.clone(), at(5_001)), Fate::Unblocked, "and who is dead does not");
    assert_eq!(settle(&mut model, dead, at(5_002)), Fate::Again);
    assert_eq!((state(&model, id(2, 0)), state(&model, id(3, 0))), (State::Pending, State::Blocked));
    let lease = claim_one(&mut model, "app", at(5_002)).reference();
    assert_eq!(settle(&mut model, Fenced::Delivered(lease, attempt(AttemptResult::Delivered)), at(5_003)), Fate::Unblocked);
    let lease = claim_one(&mut model, "app", at(5_003));
    assert_eq!(lease.id, id(3, 0));
    let put_away = Fenced::Quarantined(lease.reference(), made::name("app"));
    assert_eq!(settle(&mut model, put_away, at(5_004)), Fate::Done, "there is nobody behind it");
    let row = model.delivery(id(3, 0)).expect("kept");
    assert_eq!((row.state, row.dead, row.failures), (State::Dead, Some(DeadReason::Quarantined), 0));
}

#[test]
fn a_slot_is_no_way_past_an_open_one() {
    let (gate, mut from) = gate("app", 3);
    let mut model = Model::new(made::retention());
    for event_id in 1..=2 {
        let start = Start::Leased(gate.take().expect("room"), Duration::from_secs(30));
        let owed = Owed { target: made::name("app"), variant: 0, start, order: Some(7), gate: Some(Arc::clone(&gate)) };
        admit(&mut model, [event(event_id, u8::try_from(event_id).expect("few"), [owed])]);
    }
    let Ok(Handoff::Leased(first)) = from.try_recv() else { panic!("the first is handed over") };
    assert!(from.try_recv().is_err(), "of the second nobody hears");
    assert_eq!(gate.out(), 1, "and its slot went back");
    assert_eq!(settle(&mut model, Fenced::Delivered(first.reference(), attempt(AttemptResult::Delivered)), at(1)), Fate::Unblocked);
    assert_eq!(claimed(&mut model, want("app", 9, 0), 2), [id(2, 0)]);
}

#[test]
fn a_revival_comes_last_in_its_key() {
    let mut model = Model::new(made::retention());
    admit(&mut model, (1..=3).map(|event| ordered(event, Some(7))));
    let lease = claim_one(&mut model, "app", at(0)).reference();
    settle(&mut model, Fenced::Dead(lease, attempt(AttemptResult::Http4xx), DeadReason::Status), at(1));
    let again = NewEvent { id: id(9, 0).event, ..ordered(1, Some(7)) };
    assert_eq!(model.admit(again, at(2)), Admission::Duplicate { first: id(1, 0).event, revived: 1 });
    model.commit();
    let mut order = Vec::new();
    while let Some(lease) = model.claim(&[want("app", 1, 0)], at(5)).remove(0).leases.pop() {
        model.commit();
        order.push(lease.id);
        settle(&mut model, Fenced::Delivered(lease.reference(), attempt(AttemptResult::Delivered)), at(4));
    }
    assert_eq!(order, [id(2, 0), id(3, 0), id(1, 1)]);
}

#[test]
fn order_outlives_the_process() {
    let mut model = Model::new(made::retention());
    admit(&mut model, (1..=2).map(|event| ordered(event, Some(7))));
    claim_one(&mut model, "app", at(0));
    model.boot(at(5).wall);
    admit(&mut model, [ordered(3, Some(7))]);
    assert_eq!(claimed(&mut model, want("app", 9, 9), 6), [id(1, 0)]);
    assert_eq!((state(&model, id(2, 0)), state(&model, id(3, 0))), (State::Blocked, State::Blocked));
}
