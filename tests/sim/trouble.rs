//! Stories of one lane in trouble: its target fails, asks for time, has a rate, comes back.

use std::time::Duration;

use hookgate::{
    clock::Mono,
    delivery::{Attempt, AttemptResult},
    lease::{Claimed, Fenced, Lease, LeaseRef, Want, Why},
    plan::{BreakerPolicy, RampPolicy, Rate, Target},
    queue::{Action, Input, Phase},
};

use super::{
    made,
    shard::{Shard, claims, done, ended, settles, sleep, started},
};

const OPEN_FOR: Duration = Duration::from_secs(4);
const TICK: Duration = Duration::from_millis(5);

fn watched(ramp: Option<RampPolicy>) -> Target {
    let breaker = BreakerPolicy {
        consecutive: 3,
        failure_percent: 50,
        window: Duration::from_secs(30),
        min_attempts: 20,
        open_for: OPEN_FOR,
        open_for_max: Duration::from_secs(60),
        ramp,
    };
    Target { breaker: Some(breaker), ..made::target("app") }
}

fn phases(actions: &[Action]) -> Vec<Phase> {
    actions.iter().filter_map(|action| if let Action::Breaker(_, phase) = action { Some(*phase) } else { None }).collect()
}

/// The attempts end so, and what they wrote is written down.
fn end(shard: &mut Shard, leases: &[LeaseRef], attempt: &Attempt) -> Vec<Action> {
    let mut all = Vec::new();
    for lease in leases {
        all.extend(shard.feed(Input::Finished(*lease, attempt.clone())));
    }
    write_down(shard, all)
}

/// Answers every settle in these actions, and in those that follow.
fn write_down(shard: &mut Shard, mut all: Vec<Action>) -> Vec<Action> {
    let mut written = settles(&all);
    while !written.is_empty() {
        let more = shard.feed(Input::Fates(done(&written)));
        written = settles(&more);
        all.extend(more);
    }
    all
}

/// Three failures: the breaker is open, and what was ready has been given back.
fn open(shard: &mut Shard) -> Vec<Action> {
    let running = shard.hand("app", 1..4);
    let actions = end(shard, &running, &ended(AttemptResult::Connect));
    assert_eq!(phases(&actions), [Phase::Open]);
    assert_eq!(shard.gate("app"), 0, "nothing comes straight to the lane");
    actions
}

/// A store with so many waiting deliveries, all due, that answers every claim at once and settles at once; targets answer after `latency`.
struct Drain {
    shard: Shard,
    waiting: i64,
    running: Vec<(Mono, LeaseRef)>,
    starts: Vec<Mono>,
    wants: Vec<Want>,
}

impl Drain {
    fn claim(&mut self, actions: &[Action]) -> Vec<Action> {
        let wants = claims(actions);
        if wants.is_empty() {
            return Vec::new();
        }
        let answer = wants.iter().map(|want| {
            let count = i64::try_from(want.oldest + want.fresh).expect("few").min(self.waiting);
            self.waiting -= count;
            let leases: Vec<Lease> = (0..count).map(|n| self.shard.lease("app", 1_000_000 + self.waiting + n)).collect();
            let next_due = (self.waiting > 0).then_some(self.shard.now.wall);
            Claimed { target: want.target.clone(), leases, next_due }
        });
        let answer = answer.collect();
        self.wants.extend(wants);
        self.shard.feed(Input::Claimed(answer))
    }

    /// Carries out what was said, until nothing more is.
    fn carry_out(&mut self, actions: Vec<Action>, latency: Duration) {
        let mut next = actions;
        while !next.is_empty() {
            let now = self.shard.now.mono;
            for lease in started(&next) {
                self.starts.push(now);
                self.running.push((now + latency, lease));
            }
            let written = settles(&next);
            let mut more = self.claim(&next);
            if !written.is_empty() {
                more.extend(self.shard.feed(Input::Fates(done(&written))));
            }
            next = more;
        }
    }

    /// Lets this much time pass; attempts end well, and timers ring when they said.
    fn pass(&mut self, time: Duration, latency: Duration) {
        let end = self.shard.now.mono + time;
        while self.shard.now.mono < end {
            let actions = self.shard.pass(TICK);
            self.carry_out(actions, latency);
            let now = self.shard.now.mono;
            let (over, running) = self.running.iter().partition(|(until, _)| *until <= now);
            self.running = running;
            let over: Vec<(Mono, LeaseRef)> = over;
            for (_, lease) in over {
                let actions = self.shard.feed(Input::Finished(lease, ended(AttemptResult::Delivered)));
                self.carry_out(actions, latency);
            }
        }
    }

    fn started_in(&self, from: Mono, seconds: std::ops::Range<u64>) -> usize {
        self.starts.iter().filter(|at| seconds.contains(&at.since(from).as_secs())).count()
    }
}

#[test]
fn a_target_that_fails_is_left_alone_and_then_asked_once() {
    let mut shard = Shard::at_rest([watched(None)]);
    let actions = open(&mut shard);
    assert!(claims(&actions).is_empty() && started(&actions).is_empty());
    let wake = sleep(&actions).since(shard.now.mono);
    assert!(wake >= OPEN_FOR / 2 - TICK && wake <= OPEN_FOR, "{wake:?}");
    let actions = shard.pass(Duration::from_secs(1));
    assert!(claims(&actions).is_empty(), "retries are due by now, and nobody asks for them");
    let actions = shard.pass(OPEN_FOR);
    assert_eq!(phases(&actions), [Phase::HalfOpen]);
    let wants = claims(&actions);
    assert!(matches!(wants[..], [Want { oldest: 1, fresh: 0, ahead: None, .. }]), "{wants:?}");
    let leases = vec![shard.lease("app", 1)];
    let actions = shard.feed(Input::Claimed(vec![Claimed { target: made::name("app"), leases, next_due: Some(shard.now.wall) }]));
    let probe = started(&actions);
    assert!(probe.len() == 1 && claims(&actions).is_empty(), "one at a time");
    let actions = end(&mut shard, &probe, &ended(AttemptResult::Timeout));
    assert_eq!(phases(&actions), [Phase::Open]);
    let wake = sleep(&actions).since(shard.now.mono);
    assert!(wake >= OPEN_FOR - TICK && wake <= OPEN_FOR * 2, "twice as long: {wake:?}");
}

#[test]
fn what_was_ready_when_the_breaker_opens_is_given_back() {
    let mut shard = Shard::at_rest([Target { concurrency: 3, ..watched(None) }]);
    let running = shard.hand("app", 1..9);
    assert_eq!(running.len(), 3);
    let failed = ended(AttemptResult::Connect);
    // The other five take the places one by one, until the third failure.
    let mut actions = end(&mut shard, &running[..2], &failed);
    actions.extend(end(&mut shard, &running[2..], &failed));
    assert_eq!(phases(&actions), [Phase::Open]);
    let written = settles(&actions);
    let back = written.iter().filter(|write| matches!(write, Fenced::Released(_, Why::LeftAlone))).count();
    assert_eq!((back, started(&actions).len()), (3, 2), "{written:?}");
    assert_eq!(shard.lanes.lease_counts().unused, 0, "nobody was slow");
}

#[test]
fn a_target_that_is_back_gets_what_waits_for_a_later_try_too() {
    let mut shard = Shard::at_rest([watched(None)]);
    open(&mut shard);
    let actions = shard.pass(OPEN_FOR);
    assert_eq!(claims(&actions).len(), 1);
    let hour = Duration::from_secs(3_600);
    let leases = vec![shard.lease("app", 1)];
    let next_due = Some(shard.now.wall.after(hour));
    let probe = started(&shard.feed(Input::Claimed(vec![Claimed { target: made::name("app"), leases, next_due }])));
    let actions = end(&mut shard, &probe, &ended(AttemptResult::Delivered));
    assert_eq!(phases(&actions), [Phase::Closed]);
    let wants = claims(&actions);
    assert!(matches!(wants[..], [Want { ahead: Some(_), .. }]), "{wants:?}");
    assert_eq!(shard.gate("app"), 0, "older ones come first");
    let leases = vec![shard.lease("app", 2), shard.lease("app", 3)];
    let next_due = Some(shard.now.wall.after(hour));
    let actions = shard.feed(Input::Claimed(vec![Claimed { target: made::name("app"), leases, next_due }]));
    assert_eq!((started(&actions).len(), claims(&actions).len()), (2, 0), "that was all: the hour is another delivery's lease");
    assert!(shard.gate("app") > 0);
}

#[test]
fn what_fails_again_when_the_target_is_back_has_its_own_time() {
    let mut shard = Shard::at_rest([watched(None)]);
    open(&mut shard);
    let actions = shard.pass(OPEN_FOR);
    assert_eq!(claims(&actions).len(), 1);
    let lease = shard.lease("app", 1);
    let token = lease.token;
    let answer = Claimed { target: made::name("app"), leases: vec![lease], next_due: Some(shard.now.wall) };
    let probe = started(&shard.feed(Input::Claimed(vec![answer])));
    let refused = Attempt { status: Some(404), ..ended(AttemptResult::Http4xx) };
    let actions = end(&mut shard, &probe, &refused);
    assert_eq!(phases(&actions), [Phase::Closed], "somebody is there");
    for _ in 0..3 {
        let wants = claims(&shard.pass(Duration::from_secs(2)));
        // Whatever has had a lease since the target came back is not asked for before its time.
        assert!(wants.iter().all(|want| want.ahead.is_none_or(|last| last == token)), "{wants:?}");
        let leases: Vec<Lease> = wants.iter().flat_map(|want| 0..want.oldest).map(|n| shard.lease("app", 2 + n as i64)).collect();
        if leases.is_empty() {
            continue;
        }
        let answer = Claimed { target: made::name("app"), leases, next_due: Some(shard.now.wall) };
        let running = started(&shard.feed(Input::Claimed(vec![answer])));
        end(&mut shard, &running, &refused);
    }
}

#[test]
fn a_backlog_comes_back_at_the_rate_that_was_configured_and_no_breaker_opens_again() {
    let ramp = RampPolicy { per_second: 10, double_every: Duration::from_secs(5) };
    let mut shard = Shard::at_rest([watched(Some(ramp))]);
    open(&mut shard);
    shard.feed(Input::Waiting(made::name("app")));
    let mut drain = Drain { shard, waiting: 3_000, running: Vec::new(), starts: Vec::new(), wants: Vec::new() };
    let latency = Duration::from_millis(20);
    while drain.starts.is_empty() {
        drain.pass(TICK, latency);
    }
    drain.pass(latency * 2, latency);
    let closed = *drain.starts.first().expect("the probe") + latency;
    drain.pass(Duration::from_secs(40), latency);
    // The integral of 10/s doubling every 5 s is 72 over the first five, and twice as many over each five after.
    let got = [
        drain.started_in(closed, 0..5),
        drain.started_in(closed, 5..10),
        drain.started_in(closed, 10..15),
        drain.started_in(closed, 15..20),
    ];
    for (got, expected) in got.into_iter().zip([72_usize, 144, 288, 577]) {
        assert!(got.abs_diff(expected) <= expected / 20 + 2, "{got} of {expected} in five seconds");
    }
    // Ideal: 2,999 starts after 5 s x log2(1 + 2999 / 72.13) = 27.0 s.
    let took = drain.starts.last().expect("the last").since(closed);
    assert!(drain.starts.len() == 3_000 && took <= Duration::from_secs(27) * 13 / 10, "{} in {took:?}", drain.starts.len());
    assert!(drain.shard.lanes.numbers().all(|(_, numbers)| numbers.breaker == Phase::Closed && numbers.gate > 0));
    assert_eq!(drain.shard.lanes.lease_counts().unused, 0, "nothing was claimed long before its time");
}

#[test]
fn a_target_that_asks_for_time_gets_it_to_the_second_and_fails_nothing() {
    let mut shard = Shard::at_rest([watched(None)]);
    let running = shard.hand("app", 1..5);
    let asked = Attempt { status: Some(429), retry_after: Some(Duration::from_secs(30)), ..ended(AttemptResult::Http429) };
    let actions = end(&mut shard, &running, &asked);
    let failures: Vec<u32> = settles(&actions)
        .iter()
        .filter_map(|write| if let Fenced::Retry { failures, .. } = write { Some(*failures) } else { None })
        .collect();
    assert_eq!((failures, phases(&actions)), (vec![0; 4], vec![]));
    assert_eq!(shard.gate("app"), 0, "nor does anything new");
    let actions = shard.pass(Duration::from_millis(29_990));
    assert!(claims(&actions).is_empty());
    assert_eq!(sleep(&actions).since(shard.now.mono), Duration::from_millis(10));
    let actions = shard.pass(Duration::from_millis(10));
    assert_eq!(claims(&actions).len(), 1);
}

#[test]
fn a_target_that_is_half_back_and_asks_for_a_second_each_time_is_asked_ever_less_often() {
    let mut shard = Shard::at_rest([watched(None)]);
    open(&mut shard);
    let asked = Attempt { status: Some(503), retry_after: Some(Duration::from_secs(1)), ..ended(AttemptResult::Http5xx) };
    let (begin, mut probes) = (shard.now.mono, Vec::new());
    while shard.now.mono.since(begin) < Duration::from_secs(600) {
        let wants = claims(&shard.pass(Duration::from_millis(500)));
        let leases: Vec<Lease> = wants.iter().flat_map(|want| 0..want.oldest).map(|_| shard.lease("app", 1)).collect();
        if leases.is_empty() {
            continue;
        }
        let answer = Claimed { target: made::name("app"), leases, next_due: Some(shard.now.wall) };
        let running = started(&shard.feed(Input::Claimed(vec![answer])));
        probes.extend(running.iter().map(|_| shard.now.mono));
        let actions = end(&mut shard, &running, &asked);
        assert_eq!(phases(&actions), [Phase::Open]);
        let failures = settles(&actions).iter().map(|write| matches!(write, Fenced::Retry { failures: 0, .. })).collect::<Vec<_>>();
        assert_eq!(failures, [true], "it spends nobody's budget");
    }
    let longest = probes.windows(2).map(|two| two[1].since(two[0])).max().expect("several");
    assert!((10..=24).contains(&probes.len()) && longest <= Duration::from_secs(61), "{} probes, {longest:?} apart", probes.len());
}

#[test]
fn a_rate_limit_spreads_a_backlog_evenly() {
    let rate_limit = Some(Rate { count: 50, per: Duration::from_secs(1) });
    let mut shard = Shard::at_rest([Target { rate_limit, ..made::target("app") }]);
    let begin = shard.now.mono;
    let actions = shard.feed(Input::Waiting(made::name("app")));
    let mut drain = Drain { shard, waiting: 400, running: Vec::new(), starts: Vec::new(), wants: Vec::new() };
    let latency = Duration::from_millis(20);
    drain.carry_out(actions, latency);
    drain.pass(Duration::from_secs(10), latency);
    for second in 0..7 {
        let got = drain.started_in(begin, second..second + 1);
        assert!((48..=56).contains(&got), "{got} in second {second}");
    }
    assert_eq!(drain.starts.len(), 400);
    assert!(drain.wants.len() <= 100, "{} claims for 400 deliveries", drain.wants.len());
    assert_eq!(drain.shard.lanes.lease_counts().unused, 0);
}
