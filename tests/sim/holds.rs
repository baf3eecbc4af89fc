//! Long outages in simulated time: nobody dies of the time in which nobody could have tried.

use std::time::Duration;

use hookgate::plan::{BreakerPolicy, RampPolicy};

use super::{
    made,
    rules::Counts,
    script::{Act, MS, Rates, Rung, SECOND, Script, Scripted, Way},
    world::World,
};

const HOUR: u64 = 3_600 * SECOND;
/// Deliveries of a run.
const COUNT: u64 = 40;

/// A target that is away for so many hours, of 72 that its deliveries have; forty events come in the first hour.
fn away(hours: u64, breaker: Option<BreakerPolicy>, acts: Vec<(u64, Act)>) -> (Counts, usize) {
    let mut target = made::target("alpha");
    target.breaker = breaker;
    target.retry.give_up_after = Some(Duration::from_secs(72 * 3_600));
    let events = (0..COUNT).map(|ring| Rung { at: ring * HOUR / COUNT, owed: vec![0], key: None, repeats: Vec::new() });
    let calm_at = hours * HOUR;
    let script = Script {
        seed: 1,
        targets: vec![Scripted { target, way: Way::DownUntil(calm_at), latency_ms: 20..21, is_ordered: false }],
        events: events.collect(),
        calm_at,
        rates: Rates::default(),
        acts,
        orders: Vec::new(),
        revive: false,
        poison: None,
        budget_bytes: 1 << 20,
    };
    let mut world = World::new(script, None, false);
    let (counts, violation) = world.run();
    assert!(violation.is_none(), "{}", violation.expect("checked"));
    (counts, world.books.delivered.len())
}

/// The contract's default.
fn breaker() -> BreakerPolicy {
    BreakerPolicy {
        consecutive: 10,
        failure_percent: 50,
        window: Duration::from_secs(30),
        min_attempts: 20,
        open_for: Duration::from_secs(5),
        open_for_max: Duration::from_secs(60),
        ramp: Some(RampPolicy { per_second: 10, double_every: Duration::from_secs(5) }),
    }
}

#[test]
fn a_target_away_for_70_hours_of_72_gets_everything() {
    for breaker in [None, Some(breaker())] {
        let (counts, delivered) = away(70, breaker, Vec::new());
        assert_eq!((delivered as u64, counts.dead), (COUNT, 0));
    }
}

#[test]
fn a_breaker_open_for_100_hours_of_72_kills_nothing() {
    let (counts, delivered) = away(100, Some(breaker()), Vec::new());
    assert_eq!((delivered as u64, counts.dead), (COUNT, 0));
    let (counts, delivered) = away(100, None, Vec::new());
    assert_eq!((delivered, counts.dead), (0, COUNT), "without one each was tried for 72 hours");
}

#[test]
fn restarts_in_between_make_nobody_older() {
    let crashes = (1..10).map(|tenth| (tenth * 10 * HOUR, Act::Crash(500 * MS))).collect();
    let (counts, delivered) = away(100, Some(breaker()), crashes);
    assert_eq!((delivered as u64, counts.dead), (COUNT, 0));
}

#[test]
fn a_target_that_is_switched_off_makes_nobody_older() {
    let off = |at, disabled| (at, Act::Swap(vec![Some((16, disabled))]));
    let (counts, delivered) = away(100, None, vec![off(2 * HOUR, true), off(98 * HOUR, false)]);
    assert_eq!((delivered as u64, counts.dead), (COUNT, 0));
}
