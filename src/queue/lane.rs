//! One target's lane: what it holds, what it may start, what its gate may promise, and what it asks the store for.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crate::{
    clock::{Mono, Now, UnixMs},
    faults::{Fault, planted},
    lease::{Lease, Want, Why},
    limits::{LEASE_LOCAL_MARGIN, LEASE_START_MARGIN, PREFETCH_PER_PLACE},
    pause::Pause,
    plan::Target,
};

use super::{
    backlog::Backlog,
    brakes::Brakes,
    breaker::Phase,
    holds::{HeldBy, Holds},
    share::Share,
};

/// Writes without a fate, in multiples of the lane's concurrency, at which it starts nothing more: the store must keep up.
const UNSETTLED_PER_PLACE: usize = 4;
/// One claimed lease in so many is of the newest while the oldest has waited long.
const FRESH_ONE_IN: usize = 4;
/// How long the oldest must have been due for that, in milliseconds.
const FRESH_FROM_MS: u64 = 60_000;
/// The longest sleep of a lane with work to come: the wall clock may have been set, or the machine may have slept.
const WAKE_WITHIN: Duration = Duration::from_secs(60);
/// The weight of what was known against one more attempt in the average of what attempts take.
const LATENCY_WEIGHT: u32 = 7;

/// One target's lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) target: Arc<Target>,
    /// The target has left the plan; what runs may finish.
    pub(super) is_gone: bool,
    /// Leases that wait for a place.
    pub(super) ready: VecDeque<Lease>,
    /// Leases of suspects, which wait for their turn besides.
    pub(super) suspects: VecDeque<Lease>,
    pub(super) running: usize,
    /// Writes whose fate is not known.
    pub(super) unsettled: usize,
    pub(super) backlog: Backlog,
    /// What holds attempts back besides the places.
    pub(super) brakes: Brakes,
    /// When it was held: no delivery grows old then.
    pub(super) holds: Holds,
    /// An operator's word that it is to be held.
    pub(super) pause: Option<Pause>,
    /// Whether that held in its last turn.
    is_paused: bool,
    /// The breaker's phase as it was last told.
    pub(super) told: Phase,
    /// What it asked for itself, as it was last told.
    pub(super) told_asked: Mono,
    /// What the gate was last told; `None` when it must be told again.
    pub(super) gate: Option<u32>,
    /// Whether it waits in the share's queue.
    pub(super) is_asking: bool,
    /// Its entry in the list of timers.
    pub(super) wake: Option<Mono>,
    latency: Duration,
    /// Leases that the claim which is out asked for beyond what is due; `None` when it asked for due ones only.
    pulling: Option<usize>,
    /// Leases claimed since one of the newest was.
    since_fresh: usize,
}

/// A lane as status and metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneNumbers {
    /// Attempts under way.
    pub running: usize,
    /// Leases that wait for a place.
    pub ready: usize,
    /// Leases of suspects, which wait for their turn besides.
    pub suspects: usize,
    /// Writes whose fate is not known.
    pub unsettled: usize,
    /// Slots its gate may have out.
    pub gate: u32,
    /// How its breaker stands.
    pub breaker: Phase,
    /// Whether an operator holds it.
    pub is_paused: bool,
}

impl Lane {
    /// A lane that has to look what there is, and was held before so.
    pub(super) fn new(target: Arc<Target>, holds: Holds) -> Self {
        Self {
            latency: target.timeout,
            target,
            is_gone: false,
            ready: VecDeque::new(),
            suspects: VecDeque::new(),
            running: 0,
            unsettled: 0,
            backlog: Backlog::unknown(),
            brakes: Brakes::off(),
            holds,
            pause: None,
            is_paused: false,
            told: Phase::Closed,
            told_asked: Mono::default(),
            gate: None,
            is_asking: false,
            wake: None,
            pulling: None,
            since_fresh: 0,
        }
    }

    /// The target as the new plan has it.
    pub(super) fn replan(&mut self, target: Arc<Target>) {
        if self.is_gone || self.target.disabled != target.disabled {
            self.backlog.doubt();
        }
        if self.target.url != target.url {
            // Somebody else is there now, and nothing is known of them.
            self.brakes = Brakes::off();
        } else if target.breaker.is_none() {
            self.brakes.close_breaker();
        }
        if self.target.rate_limit != target.rate_limit {
            self.brakes.forget_pace();
        }
        self.latency = self.latency.min(target.timeout);
        self.target = target;
        self.is_gone = false;
        self.gate = None;
    }

    /// Attempts that may run at once.
    pub(super) fn cap(&self) -> usize {
        usize::try_from(self.target.concurrency).unwrap_or(usize::MAX)
    }

    /// Whether it may hold leases at all.
    pub(super) fn is_open(&self, stopping: bool) -> bool {
        !self.is_gone && !self.target.disabled && !stopping
    }

    /// Whether nothing of it is left.
    pub(super) fn is_empty(&self) -> bool {
        self.running == 0 && self.waiting().next().is_none() && self.unsettled == 0 && !self.backlog.is_claiming()
    }

    /// Every lease that waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Lease> {
        self.ready.iter().chain(&self.suspects)
    }

    /// Attempts that may start now.
    pub(super) fn room(&self, share: &Share, now: Mono) -> usize {
        if self.is_paused || self.is_behind() { 0 } else { share.room(self.running, self.cap()).min(self.brakes.room(&self.target, now)) }
    }

    /// Whether it has work for a place it did not get.
    pub(super) fn lacks_share(&self, share: &Share, now: Now) -> bool {
        let may_start = self.running < self.cap() && !self.is_paused && !self.is_behind() && self.brakes.room(&self.target, now.mono) > 0;
        may_start && self.has_work(now) && share.room(self.running, self.cap()) == 0
    }

    /// Whether something waits that could start, as far as time goes.
    fn has_work(&self, now: Now) -> bool {
        self.waiting().next().is_some() || self.is_due(now)
    }

    /// Whether there is, or may be, something to claim. After an outage that is whatever waits.
    fn is_due(&self, now: Now) -> bool {
        self.backlog.is_due(now.wall) || self.brakes.pulls().is_some() && self.backlog.due().is_some()
    }

    /// What the gate may promise: nothing while there is something due, or may be. A delivery that is due later does not close it: it has
    /// had its attempt, so no order is broken, and when its time comes the gate closes before the claim.
    ///
    /// Besides its places it promises what it would prefetch: events are committed many at a time, and those of one commit that find no
    /// place would be written as waiting, claimed and read back, at twice the price of being handed over. Once places are scarce it does
    /// not.
    pub(super) fn promise(&self, share: &Share, now: Now) -> u32 {
        if self.is_paused || self.backlog.is_due(now.wall) || self.is_behind() || !self.brakes.is_off(now.mono) {
            return 0;
        }
        let places = share.promise(self.running, self.cap());
        let ahead = if share.is_scarce() { 0 } else { self.prefetch(self.running + places) };
        let paced = self.brakes.room(&self.target, now.mono).saturating_add(self.brakes.ahead(&self.target, self.window()));
        u32::try_from((places + ahead).min(paced).saturating_sub(self.ready.len())).unwrap_or(u32::MAX)
    }

    /// What to ask the store for, if anything.
    pub(super) fn want(&self, share: &Share, now: Now) -> Option<usize> {
        if self.is_paused || self.is_behind() || self.backlog.is_claiming() || !self.is_due(now) || self.brakes.is_shut(now.mono) {
            return None;
        }
        let room = self.room(share, now.mono);
        let prefetch = self.prefetch(self.running + room);
        let wanted = (room + prefetch).checked_sub(self.ready.len()).filter(|wanted| *wanted > 0)?;
        let runs_low = self.ready.is_empty() && room > 0 || self.ready.len() * 2 < prefetch;
        runs_low.then_some(wanted)
    }

    /// Makes the want, and marks the claim as sent.
    pub(super) fn claim(&mut self, count: usize, now: Now) -> Want {
        let has_waited_ms = self.backlog.due().map_or(0, |due| now.wall.ms_since(due));
        let mut fresh = 0;
        if has_waited_ms >= FRESH_FROM_MS {
            self.since_fresh += count;
            fresh = (self.since_fresh / FRESH_ONE_IN).min(count);
            self.since_fresh %= FRESH_ONE_IN;
        }
        self.backlog.claim_sent();
        let ahead = self.brakes.pulls();
        self.pulling = ahead.map(|_| count - fresh);
        Want { target: self.target.name.clone(), oldest: count - fresh, fresh, ahead, lease: self.target.lease() }
    }

    /// A claim gave so many leases.
    pub(super) fn claimed(&mut self, leases: usize) {
        if self.pulling.take().is_some_and(|wanted| leases < wanted) {
            self.brakes.pulled_all();
        }
    }

    /// Time passes for the brakes and for a pause.
    pub(super) fn turn_brakes(&mut self, now: Now) {
        self.is_paused = self.pause.as_ref().is_some_and(|pause| pause.holds(now.wall));
        if self.backlog.is_empty() && !self.backlog.is_claiming() {
            self.brakes.pulled_all();
        }
        let caught_up = !self.has_work(now) && !self.backlog.is_claiming();
        self.brakes.turn(&self.target, caught_up, now.mono);
        self.holds.set(HeldBy::Breaker, self.brakes.phase() != Phase::Closed, now.wall);
        self.holds.set(HeldBy::Off, self.target.disabled, now.wall);
        self.holds.set(HeldBy::Pause, self.is_paused, now.wall);
    }

    /// How long a delivery that was born then could have been tried.
    pub(super) fn age(&self, first_at: UnixMs, now: UnixMs) -> Duration {
        if planted(Fault::HeldTimeCounts) { Duration::from_millis(now.ms_since(first_at)) } else { self.holds.age(first_at, now) }
    }

    /// Why leases must not wait here for a place; `None` when they may.
    pub(super) fn closed_by(&self, stopping: bool, now: Mono) -> Option<Why> {
        match (self.is_open(stopping), self.is_paused, self.brakes.is_shut(now)) {
            (false, ..) => Some(Why::Stopping),
            (true, true, _) => Some(Why::Paused),
            (true, false, true) => Some(Why::LeftAlone),
            (true, false, false) => None,
        }
    }

    /// Whether this lease has enough left for an attempt.
    pub(super) fn can_start(&self, lease: &Lease, now: Mono) -> bool {
        now < self.lapse(lease)
    }

    /// When the lane must have its turn again, if nothing happens before.
    pub(super) fn next_wake(&self, now: Now) -> Option<Mono> {
        if self.is_paused {
            let end = self.pause.as_ref().and_then(|pause| pause.until);
            return end.map(|end| now.mono + Duration::from_millis(end.ms_since(now.wall)).min(WAKE_WITHIN));
        }
        let brakes = self.brakes.wake(&self.target, self.has_work(now), now.mono);
        if self.brakes.is_shut(now.mono) {
            return brakes;
        }
        let lapse = self.waiting().map(|lease| self.lapse(lease)).min();
        let due = self.backlog.due().filter(|due| *due > now.wall);
        let due = due.map(|due| now.mono + Duration::from_millis(due.ms_since(now.wall)).min(WAKE_WITHIN));
        [lapse, due, brakes].into_iter().flatten().min()
    }

    /// An attempt took this long.
    pub(super) fn note_latency(&mut self, took: Duration) {
        self.latency = (self.latency * LATENCY_WEIGHT + took.min(self.target.timeout)) / (LATENCY_WEIGHT + 1);
    }

    /// The lane in numbers.
    pub(super) fn numbers(&self) -> LaneNumbers {
        LaneNumbers {
            running: self.running,
            ready: self.ready.len(),
            suspects: self.suspects.len(),
            unsettled: self.unsettled,
            gate: self.gate.unwrap_or_default(),
            breaker: self.brakes.phase(),
            is_paused: self.is_paused,
        }
    }

    /// Whether the store is so far behind with this lane's writes that it must wait.
    pub(super) fn is_behind(&self) -> bool {
        self.unsettled >= self.cap() * UNSETTLED_PER_PLACE
    }

    /// When too little is left of a lease.
    fn lapse(&self, lease: &Lease) -> Mono {
        Mono(lease.until.0.saturating_sub(nanos(self.target.timeout + LEASE_START_MARGIN)))
    }

    /// Leases worth holding beyond the places: what recent attempts say will start well before it lapses.
    fn prefetch(&self, places: usize) -> usize {
        let window = self.window();
        let started = places as u128 * window.as_micros() / self.latency.as_micros().max(1);
        let ahead = places.saturating_mul(PREFETCH_PER_PLACE).min(self.brakes.ahead(&self.target, window));
        usize::try_from(started).unwrap_or(usize::MAX).min(ahead)
    }

    /// How long a lease may wait for its place.
    fn window(&self) -> Duration {
        let lease = self.target.lease();
        let slack = lease.saturating_sub(LEASE_LOCAL_MARGIN + LEASE_START_MARGIN + self.target.timeout);
        (lease / 3).min(slack / 2)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
