//! What a seed stands for: the targets and how they behave, the events, and which faults come how often and when.

use std::{ops::Range, time::Duration};

use hookgate::plan::{BreakerPolicy, RampPolicy, Rate, StatusPattern, Target};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::made;

/// Everything that is fixed before a simulated run begins.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) targets: Vec<Scripted>,
    pub(crate) events: Vec<Rung>,
    /// When faults stop and every target is well, in nanoseconds from the start.
    pub(crate) calm_at: u64,
    pub(crate) rates: Rates,
    pub(crate) acts: Vec<(u64, Act)>,
    pub(crate) orders: Vec<(u64, Order)>,
    /// Whether repeats revive dead deliveries.
    pub(crate) revive: bool,
    /// The event and the target whose attempts end the process.
    pub(crate) poison: Option<(usize, usize)>,
    /// Bytes of payloads deliveries may hold.
    pub(crate) budget_bytes: usize,
}

/// A target and its ways.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) target: Target,
    pub(crate) way: Way,
    pub(crate) latency_ms: Range<u64>,
    /// Whether its deliveries are ordered by their events' keys.
    pub(crate) is_ordered: bool,
}

/// How a target answers until the calm.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Fine,
    /// 500 this often.
    Flaky(f64),
    /// Beyond the timeout this often.
    Slow(f64),
    /// No connection until then.
    DownUntil(u64),
    /// 429 or 503 this often, with a Retry-After of up to so many seconds, or none.
    Limiting(f64, u64),
    /// 410 this often; that does not end with the calm.
    Refusing(f64),
    /// 404 this often, which is tried again.
    Unwilling(f64),
}

/// An event a provider rings for, and to whom it is owed.
#[derive(Debug)]
pub(crate) struct Rung {
    pub(crate) at: u64,
    pub(crate) owed: Vec<usize>,
    /// What it is ordered by, where it is.
    pub(crate) key: Option<u64>,
    /// When it is rung again although it was acknowledged.
    pub(crate) repeats: Vec<u64>,
}

/// How often what goes wrong, 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) slow_commit: f64,
    pub(crate) commit_lost: f64,
    pub(crate) commit_unseen: f64,
    pub(crate) busy: f64,
    pub(crate) ack_lost: f64,
    pub(crate) claim_lost: f64,
    pub(crate) settle_lost: f64,
}

/// Something that happens to the gateway at a time.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// The process dies, and starts again after so many nanoseconds.
    Crash(u64),
    /// It is told to stop, cuts after the first, and starts again after the second.
    Stop(u64, u64),
    /// It stands still for so long.
    Freeze(u64),
    /// The wall clock is set by so many milliseconds.
    StepWall(i64),
    /// There is a new plan: of each target its concurrency, or nothing, and whether it is disabled.
    Swap(Vec<Option<(u32, bool)>>),
    /// The store purges.
    Sweep,
}

/// What an operator asks for; targets by their place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Hold this target, for so many seconds or until somebody says so.
    Pause(usize, Option<i64>),
    Resume(usize),
    /// Cancel what waits for this target.
    Cancel(usize),
    /// Replay what this target missed, to itself or to another one.
    Replay(usize, Option<usize>),
    /// Replay three settled deliveries by their ids, from this one on.
    ReplayNamed(usize),
    /// Route what no route wanted.
    Unrouted,
    /// Give what waits for the first to the second, while the first is out of the plan.
    Move(usize, usize),
}

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

impl Script {
    /// The script of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut chance = SmallRng::seed_from_u64(seed);
        let calm_at = chance.random_range(10..90) * SECOND;
        let count = chance.random_range(1..=4);
        let targets = (0..count).map(|index| Scripted::any(index, calm_at, &mut chance)).collect::<Vec<_>>();
        let is_burst = chance.random_bool(0.3);
        let most = chance.random_range(2..=60);
        let events = (0..most).map(|_| Rung::any(count, calm_at, is_burst, &mut chance)).collect();
        let acts = acts(count, calm_at, &mut chance);
        let poison = chance.random_bool(0.1).then(|| (chance.random_range(0..most), chance.random_range(0..count)));
        Self {
            seed,
            targets,
            events,
            calm_at,
            rates: Rates::any(&mut chance),
            acts,
            revive: chance.random_bool(0.5),
            poison,
            budget_bytes: if chance.random_bool(0.5) { 1 << 20 } else { 64 },
            orders: orders(count, calm_at, &mut chance),
        }
    }

    /// The longest a target may make a delivery wait between attempts.
    pub(crate) fn backoff_max(&self) -> Duration {
        let longest = |scripted: &Scripted| {
            let open = scripted.target.breaker.map_or(Duration::ZERO, |breaker| breaker.open_for_max);
            scripted.target.retry.max.max(scripted.target.retry.retry_after_max) + open
        };
        self.targets.iter().map(longest).max().unwrap_or_default()
    }
}

impl Script {
    /// What it may take besides, in nanoseconds: the deliveries of one key go one after the other, suspects too, and who poisons the
    /// process does so again and again.
    pub(crate) fn in_line(&self) -> u64 {
        let events = u64::try_from(self.events.len()).unwrap_or(u64::MAX);
        events * SECOND + if self.poison.is_some() { 240 * SECOND } else { 0 }
    }
}

impl Scripted {
    fn any(index: usize, calm_at: u64, chance: &mut SmallRng) -> Self {
        let mut target = made::target(["alpha", "beta", "gamma", "delta"][index]);
        target.concurrency = if chance.random_bool(0.4) { 1 } else { chance.random_range(2..=8) };
        target.timeout = Duration::from_secs([1, 3, 10, 40][chance.random_range(0..4)]);
        target.retry.first = Duration::from_millis(chance.random_range(50..2_000));
        target.retry.factor = chance.random_range(1.0..3.0);
        target.retry.max = Duration::from_secs(chance.random_range(2..30));
        target.retry.retry_after_max = Duration::from_secs(chance.random_range(1..20));
        target.retry.attempts = chance.random_bool(0.2).then(|| chance.random_range(1..8));
        target.retry.give_up_after = chance.random_bool(0.3).then(|| Duration::from_secs(chance.random_range(1..120)));
        target.breaker = chance.random_bool(0.7).then(|| breaker(chance));
        target.rate_limit = chance.random_bool(0.2).then(|| Rate { count: chance.random_range(1..50), per: Duration::from_secs(1) });
        let often = chance.random_range(0.05..0.9);
        let way = match chance.random_range(0..9) {
            0 => Way::Flaky(often),
            1 => Way::Slow(often),
            2 | 3 => Way::DownUntil(chance.random_range(0..calm_at)),
            4 => Way::Limiting(often, chance.random_range(0..30)),
            5 => Way::Refusing(often),
            6 => Way::Unwilling(often),
            _ => Way::Fine,
        };
        if matches!(way, Way::Refusing(_)) {
            target.retry.dead_on = vec![StatusPattern::Exact(410)];
        }
        let fastest = chance.random_range(0..50);
        let latency_ms = fastest..fastest + chance.random_range(1..500);
        Self { target, way, latency_ms, is_ordered: chance.random_bool(0.4) }
    }
}

fn breaker(chance: &mut SmallRng) -> BreakerPolicy {
    let open_for = Duration::from_secs(chance.random_range(1..5));
    BreakerPolicy {
        consecutive: chance.random_range(1..8),
        failure_percent: chance.random_range(20..=100),
        window: Duration::from_secs(chance.random_range(2..30)),
        min_attempts: chance.random_range(2..20),
        open_for,
        open_for_max: open_for * chance.random_range(1..6),
        ramp: chance
            .random_bool(0.7)
            .then(|| RampPolicy { per_second: chance.random_range(1..20), double_every: Duration::from_secs(chance.random_range(1..6)) }),
    }
}

impl Rung {
    fn any(targets: usize, calm_at: u64, is_burst: bool, chance: &mut SmallRng) -> Self {
        let at = if is_burst { chance.random_range(0..SECOND) } else { chance.random_range(0..calm_at) };
        let mut owed = (0..targets).filter(|_| chance.random_bool(0.6)).collect::<Vec<_>>();
        if chance.random_bool(0.9) && owed.is_empty() {
            owed.push(chance.random_range(0..targets));
        }
        let repeats = if chance.random_bool(0.2) { chance.random_range(1..=3) } else { 0 };
        let repeats = (0..repeats).map(|_| chance.random_range(at..at + 60 * SECOND)).collect();
        let key = chance.random_bool(0.9).then(|| chance.random_range(0..4));
        Self { at, owed, key, repeats }
    }
}

impl Rates {
    fn any(chance: &mut SmallRng) -> Self {
        let mut rate = || if chance.random_bool(0.4) { chance.random_range(0.0..0.2) } else { 0.0 };
        Self {
            slow_commit: rate(),
            commit_lost: rate(),
            commit_unseen: rate(),
            busy: rate(),
            ack_lost: rate(),
            claim_lost: rate(),
            settle_lost: rate(),
        }
    }
}

fn acts(targets: usize, calm_at: u64, chance: &mut SmallRng) -> Vec<(u64, Act)> {
    let mut acts = Vec::new();
    let mut some = |chance: &mut SmallRng, most: usize, make: &dyn Fn(&mut SmallRng) -> Act| {
        let count = if chance.random_bool(0.4) { chance.random_range(1..=most) } else { 0 };
        for _ in 0..count {
            let at = chance.random_range(0..calm_at);
            acts.push((at, make(chance)));
        }
    };
    let pause = |chance: &mut SmallRng| chance.random_range(50 * MS..8 * SECOND);
    some(chance, 4, &|chance| Act::Crash(pause(chance)));
    some(chance, 2, &|chance| Act::Stop(pause(chance), pause(chance)));
    some(chance, 2, &|chance| Act::Freeze(chance.random_range(SECOND..80 * SECOND)));
    some(chance, 3, &|chance| {
        let seconds = chance.random_range(1..3_600);
        Act::StepWall(if chance.random_bool(0.5) { seconds * 1_000 } else { -seconds * 1_000 })
    });
    some(chance, 4, &|chance| {
        let one = |chance: &mut SmallRng| chance.random_bool(0.7).then(|| (chance.random_range(1..=8), chance.random_bool(0.15)));
        Act::Swap((0..targets).map(|_| one(chance)).collect())
    });
    some(chance, 3, &|_| Act::Sweep);
    acts
}

fn orders(targets: usize, calm_at: u64, chance: &mut SmallRng) -> Vec<(u64, Order)> {
    let count = if chance.random_bool(0.5) { chance.random_range(1..=12) } else { 0 };
    let mut one = || {
        let (target, other) = (chance.random_range(0..targets), chance.random_range(0..targets));
        let order = match chance.random_range(0..12) {
            0..=2 => Order::Pause(target, chance.random_bool(0.6).then(|| chance.random_range(1..60))),
            3 | 4 => Order::Resume(target),
            5 | 6 => Order::Cancel(target),
            7 | 8 => Order::Replay(target, chance.random_bool(0.3).then_some(other)),
            9 => Order::ReplayNamed(chance.random_range(0..40)),
            10 => Order::Unrouted,
            _ => Order::Move(target, other),
        };
        (chance.random_range(0..calm_at), order)
    };
    (0..count).map(|_| one()).collect()
}
