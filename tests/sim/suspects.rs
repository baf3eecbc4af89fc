//! Stories of suspects: who was under way when the process ended runs alone, and is put away when that ends the process again and again.

use std::time::Duration;

use hookgate::{
    delivery::{AttemptResult, DeliveryId, State},
    event::EventId,
    lease::{Claimed, Fate, Fenced, Lease, LeaseRef, Why},
    limits::{SUSPECT_CRASHES_MIN, SUSPECTS_PER_PLACE, TRIAL_AGAIN_AFTER, TRIALS_MAX},
    queue::{Action, Input},
    store::{Model, Owed, Start},
};

use super::{
    made,
    model::{at, attempt, claim_one, event, id, settle},
    shard::{Shard, claims, done, ended, settles, sleep, started},
};

fn suspect(shard: &mut Shard, target: &str, event: i64) -> Lease {
    Lease { crashes: SUSPECT_CRASHES_MIN, ..shard.lease(target, event) }
}

/// A claim comes back with these.
fn claimed(shard: &mut Shard, target: &str, leases: Vec<Lease>) -> Vec<Action> {
    let wants = claims(&shard.feed(Input::Waiting(made::name(target))));
    assert_eq!(wants.len(), 1);
    shard.feed(Input::Claimed(vec![Claimed { target: made::name(target), leases, next_due: None }]))
}

fn asks(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::AskTrial)).count()
}

fn ends(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::EndTrial)).count()
}

/// The turn is granted, and that a trial begins is written down: who starts.
fn try_one(shard: &mut Shard) -> LeaseRef {
    let written = settles(&shard.feed(Input::TrialGranted));
    let [Fenced::Trial(lease)] = written[..] else { panic!("{written:?}") };
    let begun = started(&shard.feed(Input::Fates(done(&written))));
    assert_eq!(begun, [lease], "it starts when that is down, and not before");
    lease
}

#[test]
fn suspects_go_one_at_a_time_and_hold_up_nobody_else() {
    let mut shard = Shard::at_rest([made::target("app"), made::target("crm")]);
    let leases = vec![suspect(&mut shard, "app", 1), suspect(&mut shard, "app", 2), shard.lease("app", 3)];
    let innocent = leases[2].reference();
    let actions = claimed(&mut shard, "app", leases);
    assert_eq!((started(&actions), asks(&actions)), (vec![innocent], 1), "{actions:?}");
    let leases = vec![suspect(&mut shard, "crm", 4)];
    let actions = claimed(&mut shard, "crm", leases);
    assert_eq!((started(&actions).len(), asks(&actions)), (0, 0), "asked once is enough");
    let mut order = Vec::new();
    for last in [false, false, true] {
        let lease = try_one(&mut shard);
        order.push(lease.id.event.to_i64());
        let actions = shard.feed(Input::Finished(lease, ended(AttemptResult::Delivered)));
        let written = settles(&actions);
        assert_eq!((ends(&actions), started(&actions).len()), (0, 0), "its turn is over when its result is down");
        let actions = shard.feed(Input::Fates(done(&written)));
        assert_eq!((ends(&actions), asks(&actions)), (1, usize::from(!last)));
    }
    assert_eq!(order, [1, 4, 2], "lane by lane");
}

#[test]
fn whoever_was_the_one_suspect_often_enough_is_put_away_unattempted() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let poison = Lease { trials: TRIALS_MAX, ..suspect(&mut shard, "app", 1) };
    let almost = Lease { trials: TRIALS_MAX - 1, crashes: 9, ..shard.lease("app", 2) };
    let reference = poison.reference();
    let actions = claimed(&mut shard, "app", vec![poison, almost]);
    let written = settles(&actions);
    assert!(matches!(&written[..], [Fenced::Quarantined(lease, _)] if *lease == reference), "{written:?}");
    assert!(started(&actions).is_empty());
    shard.feed(Input::Fates(done(&written)));
    shard.pass(TRIAL_AGAIN_AFTER);
    assert_eq!(try_one(&mut shard).id, DeliveryId { event: EventId::from_i64(2).expect("valid"), slot: 0 });
}

#[test]
fn whoever_was_on_trial_is_tried_again_when_the_process_has_gone_on_for_a_while() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let tried = Lease { trials: 1, ..suspect(&mut shard, "app", 1) };
    let actions = claimed(&mut shard, "app", vec![tried]);
    assert_eq!((started(&actions).len(), asks(&actions)), (0, 0), "{actions:?}");
    assert_eq!(sleep(&actions), shard.now.mono + TRIAL_AGAIN_AFTER);
    let fresh = suspect(&mut shard, "app", 2);
    let actions = claimed(&mut shard, "app", vec![fresh]);
    assert_eq!(asks(&actions), 1, "others need not wait for that");
    let second = try_one(&mut shard);
    assert_eq!(second.id.event.to_i64(), 2);
    let written = settles(&shard.feed(Input::Finished(second, ended(AttemptResult::Delivered))));
    let actions = shard.feed(Input::Fates(done(&written)));
    assert_eq!((ends(&actions), asks(&actions)), (1, 0));
    assert_eq!(asks(&shard.pass(TRIAL_AGAIN_AFTER)), 1);
    assert_eq!(try_one(&mut shard).id.event.to_i64(), 1);
}

#[test]
fn a_trial_that_cannot_be_written_is_not_begun() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let leases = vec![suspect(&mut shard, "app", 1), suspect(&mut shard, "app", 2)];
    claimed(&mut shard, "app", leases);
    let written = settles(&shard.feed(Input::TrialGranted));
    let actions = shard.feed(Input::SettleFailed(written.clone()));
    assert!(started(&actions).is_empty());
    let again = settles(&shard.pass(Duration::from_millis(100)));
    assert_eq!(again, written, "the same write again");
    let actions = shard.feed(Input::Fates(vec![(again[0].lease(), Fate::Stale)]));
    assert_eq!((started(&actions).len(), ends(&actions), asks(&actions)), (0, 1, 1), "it is another's; the next one may");
    assert_eq!(shard.lanes.running(), 0);
}

#[test]
fn a_turn_that_comes_too_late_is_given_on() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let leases = vec![suspect(&mut shard, "app", 1)];
    claimed(&mut shard, "app", leases);
    let written = settles(&shard.pass(Duration::from_secs(17)));
    assert!(matches!(written[..], [Fenced::Released(_, Why::NoTime)]), "{written:?}");
    assert_eq!(ends(&shard.feed(Input::TrialGranted)), 1);
}

#[test]
fn a_busy_lane_keeps_its_next_place_for_the_suspect() {
    let mut target = made::target("app");
    target.concurrency = 1;
    let mut shard = Shard::at_rest([target]);
    let leases = vec![shard.lease("app", 1), suspect(&mut shard, "app", 9), shard.lease("app", 2)];
    let actions = claimed(&mut shard, "app", leases);
    let running = started(&actions);
    assert_eq!((running.len(), asks(&actions)), (1, 1));
    assert!(settles(&shard.feed(Input::TrialGranted)).is_empty(), "there is no place yet");
    let actions = shard.feed(Input::Finished(running[0], ended(AttemptResult::Delivered)));
    assert!(started(&actions).is_empty(), "the free place is not for those that wait");
    let written = settles(&actions);
    assert!(written.iter().any(|write| matches!(write, Fenced::Trial(_))), "{written:?}");
}

#[test]
fn more_suspects_than_a_lane_holds_wait_in_the_store_and_for_a_while() {
    let mut target = made::target("app");
    target.concurrency = 1;
    let mut shard = Shard::at_rest([target]);
    let leases = (0..10).map(|event| suspect(&mut shard, "app", event)).collect::<Vec<_>>();
    let actions = claimed(&mut shard, "app", leases);
    let back = settles(&actions);
    assert_eq!(back.len(), 10 - SUSPECTS_PER_PLACE);
    assert!(back.iter().all(|write| matches!(write, Fenced::Released(_, Why::Suspect))));
    let actions = shard.feed(Input::Fates(done(&back)));
    assert!(claims(&actions).is_empty(), "they are not asked for at once");
}

#[test]
fn a_crash_counts_against_the_one_on_trial_and_a_retry_takes_all_suspicion_away() {
    let mut model = Model::new(made::retention());
    let waiting = |target| Owed { target: made::name(target), variant: 0, start: Start::Waiting, order: None, gate: None };
    model.admit(event(1, 1, [waiting("app"), waiting("crm")]), at(0));
    model.commit();
    let counts = |model: &Model, slot| model.delivery(id(1, slot)).map(|row| (row.state, row.crashes, row.trials)).expect("there");
    for crash in 1..=3_u32 {
        let lease = claim_one(&mut model, "app", at(2));
        assert_eq!((lease.crashes, lease.trials), (crash - 1, (crash - 1).saturating_sub(1)));
        claim_one(&mut model, "crm", at(2));
        if crash > 1 {
            assert_eq!(settle(&mut model, Fenced::Trial(lease.reference()), at(1)), Fate::Done);
            assert_eq!(settle(&mut model, Fenced::Trial(lease.reference()), at(1)), Fate::Done, "twice is once");
        }
        model.boot(at(2).wall);
    }
    assert_eq!(counts(&model, 0), (State::Pending, 3, 2), "the first crash was anybody's");
    assert_eq!(counts(&model, 1), (State::Pending, 3, 0), "who was not on trial was only near");
    let lease = claim_one(&mut model, "app", at(3));
    let lapsed = lease.reference();
    assert_eq!(settle(&mut model, Fenced::Released(lapsed, Why::NoTime), at(4)), Fate::Done);
    assert_eq!(counts(&model, 0), (State::Pending, 3, 2), "who was given back has not come back");
    let lease = claim_one(&mut model, "app", at(5)).reference();
    settle(&mut model, Fenced::Trial(lease), at(6));
    let retry = Fenced::Retry { lease, attempt: attempt(AttemptResult::Connect), due: at(7).wall, failures: 1 };
    assert_eq!(settle(&mut model, retry, at(7)), Fate::Done);
    assert_eq!(counts(&model, 0), (State::Pending, 0, 0));
    let lease = claim_one(&mut model, "app", at(8));
    model.boot(at(9).wall);
    assert_eq!((lease.crashes, counts(&model, 0)), (0, (State::Pending, 1, 0)), "the trial was another lease's");
}
