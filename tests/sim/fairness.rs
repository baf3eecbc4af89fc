//! A lane that gets more than it can carry: nothing that is older starves, and what is new is not forgotten either.

use std::io::Write;

use hookgate::event::EventId;

use super::{
    made,
    script::{Act, MS, Rates, Rung, SECOND, Script, Scripted, Way},
    world::{WALL_START_MS, World},
};

/// One target that carries ten a second, and what rings when.
fn one_lane(rings: impl Iterator<Item = u64>, acts: Vec<(u64, Act)>, calm_at: u64) -> Script {
    let mut target = made::target("alpha");
    target.concurrency = 2;
    let events = rings.map(|at| Rung { at, owed: vec![0], key: None, repeats: Vec::new() }).collect();
    Script {
        seed: 1,
        targets: vec![Scripted { target, way: Way::Fine, latency_ms: 200..201, is_ordered: false }],
        events,
        calm_at,
        rates: Rates::default(),
        acts,
        orders: Vec::new(),
        revive: false,
        poison: None,
        budget_bytes: 1 << 20,
    }
}

/// The run's deliveries: when each was born and how long it took to its 2xx, both in milliseconds.
fn ages(script: Script) -> Vec<(i64, u64)> {
    let count = script.events.len();
    let mut world = World::new(script, None, false);
    let (_, violation) = world.run();
    assert!(violation.is_none(), "{}", violation.expect("checked"));
    let delivered = &world.books.delivered;
    assert_eq!(delivered.len(), count, "every one arrived");
    let born = |event: EventId| event.made_at().0 - WALL_START_MS;
    delivered.iter().map(|(id, (age_ms, _))| (born(id.event), *age_ms)).collect()
}

#[test]
fn at_twice_the_lanes_rate_nothing_older_starves() {
    let seconds = 60;
    let ages = ages(one_lane((0..seconds * 20).map(|ring| ring * 50 * MS), Vec::new(), seconds * SECOND));
    let oldest = ages.iter().map(|(_, age)| *age).max().expect("some");
    let last = ages.iter().map(|(born, age)| u64::try_from(*born).expect("after the start") + age).max().expect("some");
    let _ = writeln!(std::io::stdout(), "twice the rate for {seconds} s: oldest at delivery {oldest} ms, all delivered after {last} ms");
    // First come, first served would be 60 s and 120 s: nobody waits much longer, and no place was left empty.
    assert!(oldest <= 70_000, "one waited {oldest} ms");
    assert!(last <= 126_000, "the last arrived after {last} ms");
}

#[test]
fn an_old_backlog_does_not_hide_what_is_new() {
    // Off for two minutes at five a second: 600 wait. Then five a second more come to a lane that carries ten.
    let off = Act::Swap(vec![Some((2, true))]);
    let on = Act::Swap(vec![Some((2, false))]);
    let acts = vec![(MS, off), (120 * SECOND, on)];
    let ages = ages(one_lane((1..900).map(|ring| ring * 200 * MS), acts, 180 * SECOND));
    let (old, new): (Vec<_>, Vec<_>) = ages.into_iter().partition(|(born, _)| *born < 120_000);
    let mut new = new.into_iter().map(|(_, age)| age).collect::<Vec<_>>();
    new.sort_unstable();
    let soon = new.iter().filter(|age| **age < 10_000).count();
    let done = old.iter().map(|(born, age)| u64::try_from(*born).expect("after the start") + age).max().expect("some");
    let _ = writeln!(std::io::stdout(), "{soon} of {} new ones within 10 s; the old ones were done after {done} ms", new.len());
    assert!(soon * 5 >= new.len(), "{soon} of {} new ones came within 10 s", new.len());
    // At three quarters of the rate or more, 600 take 80 s; the newest of the old ones may have to wait for new ones once.
    assert!(done <= 240_000, "the old ones were done after {done} ms");
}
