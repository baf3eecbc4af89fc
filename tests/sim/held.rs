//! Stories of a target that an operator holds, as its lane tells them.

use std::time::Duration;

use hookgate::{
    clock::{Mono, UnixMs},
    delivery::AttemptResult,
    lease::{Claimed, Fenced, Why},
    pause::{Pause, Pauses},
    plan::Target,
    queue::Input,
};

use super::{
    made,
    shard::{Shard, claims, done, ended, settles, sleep, started},
};

#[test]
fn a_target_that_is_held_finishes_what_runs_gives_back_what_waits_and_claims_nothing() {
    let mut shard = Shard::at_rest([Target { concurrency: 1, ..made::target("app") }]);
    let running = shard.hand("app", 1..2)[0];
    shard.hand("app", 2..4);
    let pause = |until| Input::Pauses(Pauses([(made::name("app"), Pause { since: UnixMs(0), until, by: "ops".into() })].into()));
    let actions = shard.feed(pause(None));
    assert_eq!(shard.gate("app"), 0);
    let written = settles(&actions);
    assert!(matches!(written[..], [Fenced::Released(_, Why::Paused), Fenced::Released(_, Why::Paused)]), "{written:?}");
    shard.feed(Input::Fates(done(&written)));
    let late = shard.lease("app", 9);
    let actions = shard.feed(Input::Handed(late));
    assert!(started(&actions).is_empty(), "it came through a slot that was out");
    let written = settles(&actions);
    shard.feed(Input::Fates(done(&written)));
    assert!(claims(&shard.feed(Input::Waiting(made::name("app")))).is_empty());
    let written = settles(&shard.feed(Input::Finished(running, ended(AttemptResult::Delivered))));
    assert!(matches!(written[..], [Fenced::Delivered(..)]), "what ran has its end: {written:?}");
    assert_eq!(sleep(&shard.feed(Input::Fates(done(&written)))), Mono::NEVER, "nothing wakes it");
    // It is to end by itself now, and does.
    let actions = shard.feed(pause(Some(shard.now.wall.after(Duration::from_secs(45)))));
    assert_eq!(sleep(&actions), shard.now.mono + Duration::from_secs(45));
    assert!(claims(&shard.pass(Duration::from_secs(44))).is_empty());
    assert_eq!(claims(&shard.pass(Duration::from_secs(1))).len(), 1);
}

#[test]
fn a_target_that_is_held_before_it_has_a_lane_is_held_from_the_start() {
    let mut shard = Shard::at_rest([]);
    let pause = Pause { since: UnixMs(0), until: None, by: "ops".into() };
    shard.feed(Input::Pauses(Pauses([(made::name("app"), pause)].into())));
    let actions = shard.feed(Input::Plan(&made::plan_of([made::target("app"), made::target("crm")])));
    let asked: Vec<_> = claims(&actions).into_iter().map(|want| want.target).collect();
    assert_eq!(asked, [made::name("crm")]);
    let answer = Input::Claimed(vec![Claimed { target: made::name("crm"), leases: Vec::new(), next_due: None }]);
    assert!(claims(&shard.feed(answer)).is_empty());
    assert_eq!(claims(&shard.feed(Input::Pauses(Pauses::default()))).len(), 1, "let go, it looks what there is");
}
