//! Short stories of the lanes: one thing happens, and this is what they say to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hookgate::{
    clock::{Mono, Now, UnixMs},
    delivery::{Attempt, AttemptResult},
    lease::{Claimed, Fate, Fenced, Lease, Want, Why},
    limits::{CLAIM_MAX, IN_FLIGHT_MAX, PREFETCH_PER_PLACE, SETTLE_MAX},
    plan::Target,
    queue::{Action, Dice, Input, Lanes},
};

use super::{
    made,
    shard::{Shard, claims, done, ended, gates, nothing, settles, sleep, started},
};

#[test]
fn a_new_lane_looks_first_and_opens_its_gate_when_nothing_waits() {
    let mut lanes = Lanes::new(BTreeMap::new());
    let now = Now { wall: UnixMs(1_760_000_000_000), mono: Mono(1_000_000_000) };
    let mut out = Vec::new();
    lanes.step(now, Input::Plan(&made::plan_of([made::target("app")])), &mut Dice::seeded(1), &mut out);
    assert_eq!(gates(&out), [0]);
    let wants = claims(&out);
    assert_eq!((wants.len(), wants[0].fresh), (1, 0));
    assert!(wants[0].oldest >= 16);
    out.clear();
    lanes.step(now, Input::Claimed(wants.iter().map(nothing).collect()), &mut Dice::seeded(1), &mut out);
    assert!(matches!(gates(&out)[..], [open] if open >= 16), "at least its places");
    assert_eq!(sleep(&out), Mono::NEVER, "an idle lane has no timer");
    assert!(lanes.is_idle());
}

#[test]
fn a_handed_delivery_starts_at_once_and_takes_its_place_from_the_gate() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let lease = shard.lease("app", 1);
    let reference = lease.reference();
    let open = shard.gate("app");
    let actions = shard.feed(Input::Handed(lease));
    assert_eq!((started(&actions), gates(&actions)), (vec![reference], vec![open - 1]));
    let actions = shard.feed(Input::Finished(reference, ended(AttemptResult::Delivered)));
    assert!(matches!(gates(&actions)[..], [again] if again >= open), "the place is free before the write is down");
    let written = settles(&actions);
    assert!(matches!(written[..], [Fenced::Delivered(lease, _)] if lease == reference));
    assert!(!shard.lanes.is_idle());
    let actions = shard.feed(Input::Fates(done(&written)));
    assert_eq!(sleep(&actions), Mono::NEVER);
    assert!(shard.lanes.is_idle());
}

#[test]
fn a_backlog_closes_the_gate_until_it_is_claimed() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let open = shard.gate("app");
    let actions = shard.feed(Input::Waiting(made::name("app")));
    assert_eq!((gates(&actions), claims(&actions).len()), (vec![0], 1));
    let actions = shard.feed(Input::Waiting(made::name("app")));
    assert!(claims(&actions).is_empty(), "one claim is out");
    let lease = shard.lease("app", 1);
    let answer = Claimed { target: made::name("app"), leases: vec![lease], next_due: Some(shard.now.wall.after(Duration::from_secs(30))) };
    let actions = shard.feed(Input::Claimed(vec![answer]));
    assert_eq!(started(&actions).len(), 1);
    assert_eq!(claims(&actions).len(), 1, "what was heard while the claim was out may not be in its answer");
    assert!(gates(&actions).is_empty(), "and so the gate stays closed");
    let actions = shard.feed(Input::Claimed(vec![nothing(&claims(&actions)[0])]));
    assert_eq!(gates(&actions), [open - 1]);
}

#[test]
fn a_retry_leaves_the_gate_open_and_wakes_the_lane_when_it_is_due() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let reference = shard.hand("app", 1..2)[0];
    let actions = shard.feed(Input::Finished(reference, ended(AttemptResult::Connect)));
    let written = settles(&actions);
    let [Fenced::Retry { due, failures: 1, .. }] = written[..] else { panic!("{written:?}") };
    let actions = shard.feed(Input::Fates(done(&written)));
    let wait = Duration::from_millis(due.ms_since(shard.now.wall));
    assert_eq!(sleep(&actions), shard.now.mono + wait);
    assert!(gates(&actions).is_empty(), "16 was said when the attempt ended");
    let actions = shard.pass(wait);
    assert_eq!((gates(&actions), claims(&actions).len()), (vec![0], 1), "the gate closes before the claim");
}

#[test]
fn writes_that_come_up_while_a_settle_is_out_go_together() {
    let mut target = made::target("app");
    target.concurrency = 200;
    let mut shard = Shard::at_rest([target]);
    let all = shard.hand("app", 0..150);
    let first = settles(&shard.feed(Input::Finished(all[0], ended(AttemptResult::Delivered))));
    assert_eq!(first.len(), 1);
    for lease in &all[1..] {
        assert!(settles(&shard.feed(Input::Finished(*lease, ended(AttemptResult::Delivered)))).is_empty());
    }
    let second = settles(&shard.feed(Input::Fates(done(&first))));
    assert_eq!(second.len(), SETTLE_MAX);
    let actions = shard.feed(Input::SettleFailed(second.clone()));
    assert!(settles(&actions).is_empty(), "not at once");
    let again = settles(&shard.pass(Duration::from_millis(100)));
    assert_eq!(again, second, "the same writes, first");
    let third = settles(&shard.feed(Input::Fates(done(&again))));
    assert_eq!(third.len(), 149 - SETTLE_MAX);
    shard.feed(Input::Fates(done(&third)));
    assert!(shard.lanes.is_idle());
}

#[test]
fn a_store_that_does_not_answer_stops_the_lane_before_memory_fills() {
    let mut target = made::target("app");
    target.concurrency = 2;
    let mut shard = Shard::at_rest([target]);
    let mut count = 0;
    for event in 0..100 {
        let lease = shard.lease("app", event);
        for reference in started(&shard.feed(Input::Handed(lease))) {
            count += 1;
            shard.feed(Input::Finished(reference, ended(AttemptResult::Delivered)));
        }
    }
    assert_eq!(count, 8, "four writes for each place");
}

#[test]
fn a_failed_claim_is_tried_again_later_and_later() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let mut wants = claims(&shard.feed(Input::Waiting(made::name("app"))));
    let mut last = Duration::ZERO;
    for _ in 0..5 {
        let actions = shard.feed(Input::ClaimFailed(vec![wants[0].target.clone()]));
        assert!(claims(&actions).is_empty());
        let wait = sleep(&actions).since(shard.now.mono);
        assert!(wait > Duration::ZERO && wait < Duration::from_secs(3));
        wants = claims(&shard.pass(wait));
        assert_eq!(wants.len(), 1);
        last = last.max(wait);
    }
    assert!(last >= Duration::from_millis(400), "{last:?}");
}

#[test]
fn a_lease_without_enough_time_is_given_back_unused() {
    let mut target = made::target("app");
    target.concurrency = 1;
    let mut shard = Shard::at_rest([target]);
    let running = shard.hand("app", 1..3);
    assert_eq!(running.len(), 1, "the second one waits");
    let actions = shard.pass(Duration::from_secs(17));
    let written = settles(&actions);
    assert!(matches!(written[..], [Fenced::Released(_, Why::NoTime)]), "{written:?}");
    assert_eq!(shard.lanes.lease_counts().unused, 1);
}

#[test]
fn a_lease_that_comes_back_while_its_attempt_runs_is_not_started_again() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let old = shard.hand("app", 1..2)[0];
    let again = Lease { attempt: 2, crashes: 1, ..shard.lease("app", 1) };
    let new = again.reference();
    let actions = shard.feed(Input::Claimed(vec![Claimed { target: made::name("app"), leases: vec![again], next_due: None }]));
    assert!(started(&actions).is_empty());
    let written = settles(&shard.feed(Input::Finished(old, ended(AttemptResult::Delivered))));
    assert!(matches!(written[..], [Fenced::Delivered(lease, _)] if lease == new), "written under the token that holds: {written:?}");
    let yet_again = Lease { attempt: 3, crashes: 2, ..shard.lease("app", 1) };
    let newest = yet_again.reference();
    let actions = shard.feed(Input::Claimed(vec![Claimed { target: made::name("app"), leases: vec![yet_again], next_due: None }]));
    assert!(started(&actions).is_empty(), "the target has it: only the write is missing");
    let written = settles(&shard.feed(Input::Fates(vec![(new, Fate::Stale)])));
    assert!(matches!(written[..], [Fenced::Delivered(lease, _)] if lease == newest), "{written:?}");
    shard.feed(Input::Fates(done(&written)));
    assert!(shard.lanes.is_idle());
}

#[test]
fn a_lease_that_comes_by_the_gate_behind_the_claim_that_replaced_it_is_void() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let late = shard.lease("app", 1);
    let again = Lease { attempt: 2, crashes: 1, ..shard.lease("app", 1) };
    let new = again.reference();
    let claimed = Input::Claimed(vec![Claimed { target: made::name("app"), leases: vec![again], next_due: None }]);
    assert_eq!(started(&shard.feed(claimed)), [new]);
    assert!(started(&shard.feed(Input::Handed(late))).is_empty());
    let written = settles(&shard.feed(Input::Finished(new, ended(AttemptResult::Delivered))));
    assert!(matches!(written[..], [Fenced::Delivered(lease, _)] if lease == new), "the store knows this one alone: {written:?}");
    shard.feed(Input::Fates(done(&written)));
    assert!(shard.lanes.is_idle());
}

#[test]
fn a_lease_that_follows_a_write_whose_answer_was_lost_is_a_new_attempt() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let first = shard.hand("app", 1..2)[0];
    let written = settles(&shard.feed(Input::Finished(first, ended(AttemptResult::Connect))));
    shard.feed(Input::SettleFailed(written));
    // It was written down all the same: the row was waiting when it was leased, so no crash was counted.
    let next = Lease { attempt: 2, failures: 1, ..shard.lease("app", 1) };
    let reference = next.reference();
    let actions = shard.feed(Input::Claimed(vec![Claimed { target: made::name("app"), leases: vec![next], next_due: None }]));
    assert_eq!(started(&actions), [reference]);
    let written = settles(&shard.feed(Input::Finished(reference, ended(AttemptResult::Connect))));
    let written = if written.is_empty() { settles(&shard.pass(Duration::from_millis(100))) } else { written };
    assert!(matches!(written[..], [Fenced::Retry { lease, failures: 2, .. }] if lease == reference), "{written:?}");
    shard.feed(Input::Fates(done(&written)));
    assert!(shard.lanes.is_idle());
}

#[test]
fn a_claim_is_bounded_and_passes_nobody_over() {
    let names = (0..40).map(|index| format!("t{index}")).collect::<Vec<_>>();
    let mut lanes = Lanes::new(BTreeMap::new());
    let now = Now { wall: UnixMs(1_760_000_000_000), mono: Mono(1_000_000_000) };
    let mut dice = Dice::seeded(1);
    let mut out = Vec::new();
    lanes.step(now, Input::Plan(&made::plan_of(names.iter().map(|name| made::target(name)))), &mut dice, &mut out);
    let mut asked = BTreeSet::new();
    while asked.len() < names.len() {
        let wants = claims(&out);
        let leases = wants.iter().map(|want| want.oldest + want.fresh).sum::<usize>();
        assert!(leases > 0 && leases <= CLAIM_MAX, "{leases} leases at once");
        // Each has more due when it is asked again; still the others come first.
        let more = |want: &Want| Claimed { target: want.target.clone(), leases: Vec::new(), next_due: Some(UnixMs(now.wall.0 - 1)) };
        assert!(wants.iter().all(|want| asked.insert(want.target.clone())), "one was asked for twice before all were asked for once");
        out.clear();
        lanes.step(now, Input::Claimed(wants.iter().map(more).collect()), &mut dice, &mut out);
    }
}

#[test]
fn a_stop_gives_back_what_waits_and_cuts_what_runs_at_its_time() {
    let mut target = made::target("app");
    target.concurrency = 1;
    let mut shard = Shard::at_rest([target]);
    let running = shard.hand("app", 1..3)[0];
    let cut_at = shard.now.mono + Duration::from_secs(5);
    let actions = shard.feed(Input::Stop(cut_at));
    let written = settles(&actions);
    assert!(matches!(written[..], [Fenced::Released(_, Why::Stopping)]), "{written:?}");
    assert_eq!(sleep(&actions), cut_at);
    shard.feed(Input::Fates(done(&written)));
    assert!(claims(&shard.feed(Input::Waiting(made::name("app")))).is_empty());
    let actions = shard.pass(Duration::from_secs(5));
    assert!(actions.iter().any(|action| matches!(action, Action::Cut(lease) if *lease == running)));
    let written = settles(&actions);
    assert!(matches!(written[..], [Fenced::Released(lease, Why::Cut)] if lease == running), "{written:?}");
    let actions = shard.feed(Input::Fates(done(&written)));
    assert!(shard.lanes.is_idle() && shard.lanes.running() == 0);
    assert_eq!(sleep(&actions), Mono::NEVER);
}

#[test]
fn a_target_that_leaves_the_plan_finishes_what_runs_and_claims_no_more() {
    let mut shard = Shard::at_rest([made::target("app"), made::target("crm")]);
    let running = shard.hand("app", 1..2)[0];
    let actions = shard.feed(Input::Plan(&made::plan_of([made::target("crm")])));
    assert!(actions.iter().any(|action| matches!(action, Action::Gate(name, 0) if name.as_str() == "app")));
    let late = shard.lease("app", 2);
    let actions = shard.feed(Input::Handed(late));
    assert!(started(&actions).is_empty());
    let released = settles(&actions);
    assert!(matches!(released[..], [Fenced::Released(_, Why::Stopping)]));
    shard.feed(Input::Fates(done(&released)));
    let written = settles(&shard.feed(Input::Finished(running, ended(AttemptResult::Delivered))));
    shard.feed(Input::Fates(done(&written)));
    assert_eq!(shard.lanes.numbers().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["crm"]);
    let actions = shard.feed(Input::Plan(&made::plan_of([made::target("app"), made::target("crm")])));
    assert_eq!(claims(&actions).iter().map(|want| want.target.as_str()).collect::<Vec<_>>(), ["app"], "it looks again when it is back");
}

#[test]
fn a_disabled_target_waits() {
    let off = Target { disabled: true, ..made::target("app") };
    let mut shard = Shard::at_rest([off]);
    let actions = shard.feed(Input::Waiting(made::name("app")));
    assert!(claims(&actions).is_empty() && sleep(&actions) == Mono::NEVER);
    let actions = shard.feed(Input::Plan(&made::plan_of([made::target("app")])));
    assert_eq!(claims(&actions).len(), 1);
}

#[test]
fn a_quarter_of_a_claim_is_of_the_newest_while_the_oldest_has_waited_long() {
    let mut shard = Shard::at_rest([made::target("app")]);
    let wants = claims(&shard.feed(Input::Waiting(made::name("app"))));
    assert_eq!(wants[0].fresh, 0);
    let long_due = UnixMs(shard.now.wall.0 - 61_000);
    let answer = Claimed { target: made::name("app"), leases: Vec::new(), next_due: Some(long_due) };
    let wants = claims(&shard.feed(Input::Claimed(vec![answer])));
    let all = wants[0].oldest + wants[0].fresh;
    assert_eq!(wants[0].fresh, all / 4);
    assert!(all >= 16);
}

#[test]
fn a_clock_set_back_makes_nobody_run_in_circles() {
    let mut shard = Shard::at_rest([made::target("app"), made::target("crm")]);
    let wants = claims(&shard.feed(Input::Waiting(made::name("app"))));
    shard.feed(Input::Waiting(made::name("crm")));
    shard.now.wall = UnixMs(shard.now.wall.0 - 3_600_000);
    let actions = shard.feed(Input::Claimed(vec![nothing(&wants[0])]));
    assert!(claims(&actions).is_empty());
    assert!(sleep(&actions) > shard.now.mono, "it comes back when the clock has got there, or in a minute");
}

#[test]
fn lanes_share_the_places_of_the_shard() {
    let names = (0..40).map(|index| format!("t{index}")).collect::<Vec<_>>();
    let mut shard = Shard::at_rest(names.iter().map(|name| made::target(name)));
    let mut running = Vec::new();
    for (index, name) in (0..).zip(&names) {
        running.extend(shard.hand(name, index * 100..index * 100 + 16));
    }
    assert_eq!(running.len(), IN_FLIGHT_MAX);
    assert!(shard.lanes.numbers().all(|(_, numbers)| numbers.running >= 2), "each has what it is sure of");
    let waiting = shard.lanes.numbers().map(|(_, numbers)| numbers.ready).sum::<usize>();
    assert_eq!(waiting, 40 * 16 - IN_FLIGHT_MAX);
    let actions = shard.feed(Input::Finished(running[0], ended(AttemptResult::Delivered)));
    assert_eq!(started(&actions).len(), 1, "a free place goes to a lane that waits for one");
}

#[test]
fn a_fast_target_is_handed_a_burst_beyond_its_places_and_a_slow_one_is_not() {
    let finish = |took: Duration| {
        let mut shard = Shard::at_rest([made::target("app")]);
        for event in 1..=100 {
            for lease in shard.hand("app", event..event + 1) {
                let attempt = Attempt { took, ..ended(AttemptResult::Delivered) };
                let written = settles(&shard.feed(Input::Finished(lease, attempt)));
                shard.feed(Input::Fates(done(&written)));
            }
        }
        usize::try_from(shard.gate("app")).expect("small")
    };
    assert_eq!(finish(Duration::from_millis(1)), 16 * (1 + PREFETCH_PER_PLACE));
    assert!(finish(made::target("app").timeout) < 16 * 2, "what waits must start long before its lease lapses");
}
