//! All lanes of a shard as one value: an input goes in, the lanes it touches have their turn, actions come out.
//!
//! One claim and one settle are out at a time, for all lanes together: what comes up meanwhile goes with the next one, so batches grow with
//! the load by themselves. A lane that knows of nothing has no timer.

mod claims;
mod trials;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    clock::{Mono, Now, Span},
    delivery::{Attempt, Outcome},
    lease::{Fate, Fenced, Lease, LeaseRef, Why},
    name::TargetName,
    pause::Pauses,
    plan::{Plan, Target},
};

use super::{
    Action, Dice, Input,
    held::{Leases, Taken, due_after},
    holds::Holds,
    lane::{Lane, LaneNumbers},
    retry::judge,
    share::Share,
};

use claims::Claims;
use trials::Trials;

/// All lanes of a shard.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: BTreeMap<TargetName, Lane>,
    leases: Leases,
    share: Share,
    claims: Claims,
    trials: Trials,
    /// When lanes that are not here (yet, or any more) were held.
    kept: BTreeMap<TargetName, Vec<Span>>,
    pauses: Pauses,
    counts: LeaseCounts,
    /// Since when the gateway stops, and when running attempts are cut.
    cut_at: Option<Mono>,
    /// When which lane must have its turn again.
    wakes: BTreeSet<(Mono, TargetName)>,
    /// Lanes whose turn it is in this step.
    touched: BTreeSet<TargetName>,
}

/// What happened to leases that should not, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseCounts {
    /// Writes refused because the lease was another's by then.
    pub stale: u64,
    /// Leases that ran out while we held them, and were given to us again.
    pub lost: u64,
    /// Leases given back because too little was left of them.
    pub unused: u64,
}

impl Lanes {
    /// No lanes yet: they come with the first plan, and were held before as `kept` says.
    #[must_use]
    pub fn new(kept: BTreeMap<TargetName, Vec<Span>>) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Takes one input and says what is to be done. The last action is always a `Sleep`.
    pub fn step(&mut self, now: Now, input: Input<'_>, dice: &mut Dice, out: &mut Vec<Action>) {
        match input {
            Input::Handed(lease) => self.take(lease),
            Input::Claimed(claimed) => self.claimed(claimed),
            Input::ClaimFailed(targets) => self.claim_failed(&targets, now, dice),
            Input::Finished(lease, attempt) => self.finished(lease, attempt, now, dice),
            Input::Fates(fates) => self.fates(&fates, now, out),
            Input::SettleFailed(writes) => self.leases.failed(&writes, now.mono, dice),
            Input::Plan(plan) => self.plan(plan, now),
            Input::TrialGranted => self.trial_granted(now, out),
            Input::Pauses(pauses) => self.pauses(pauses),
            Input::Waiting(target) => self.touch(&target, |lane| lane.backlog.learn(now.wall)),
            Input::Stop(cut_at) => {
                self.cut_at = Some(self.cut_at.map_or(cut_at, |earlier| earlier.min(cut_at)));
                self.touch_all();
            }
            Input::Tick => {}
        }
        self.cut_when_time(now, out);
        // A place that is free is a suspect's first, if it is its turn; and what the turns came to may let one go.
        for _ in 0..2 {
            self.hold_trials(now, out);
            self.take_turns(now, out);
        }
        self.claim(now, out);
        if let Some(writes) = self.leases.batch(now.mono) {
            out.push(Action::Settle(writes));
        }
        out.push(Action::Sleep(self.sleep_until()));
    }

    /// Attempts under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.lanes.values().map(|lane| lane.running).sum()
    }

    /// Leases held, from hand-over or claim until their last write is known to be down.
    #[must_use]
    pub fn held(&self) -> usize {
        self.leases.count()
    }

    /// Whether everything that was started is settled, and nothing is awaited from the store.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.leases.is_idle() && self.claims.asked.is_empty()
    }

    /// What happened to leases that should not.
    #[must_use]
    pub fn lease_counts(&self) -> LeaseCounts {
        self.counts
    }

    /// Every lane in numbers, those of targets that left the plan and still have attempts under way included.
    pub fn numbers(&self) -> impl Iterator<Item = (&TargetName, LaneNumbers)> {
        self.lanes.iter().map(|(name, lane)| (name, lane.numbers()))
    }

    fn touch(&mut self, target: &TargetName, change: impl FnOnce(&mut Lane)) {
        if let Some(lane) = self.lanes.get_mut(target) {
            change(lane);
            self.touched.insert(target.clone());
        }
    }

    fn touch_all(&mut self) {
        self.touched.extend(self.lanes.keys().cloned());
    }

    fn plan(&mut self, plan: &Plan, now: Now) {
        for (name, lane) in &mut self.lanes {
            if !plan.targets.contains_key(name) {
                (lane.is_gone, lane.gate) = (true, None);
            }
        }
        for (name, target) in &plan.targets {
            self.plan_target(name, target, now);
        }
        self.share.recount(self.lanes.values().map(|lane| (lane.running, lane.cap())));
        self.touch_all();
    }

    fn pauses(&mut self, pauses: Pauses) {
        for (name, lane) in &mut self.lanes {
            let pause = pauses.0.get(name).cloned();
            if lane.pause != pause {
                lane.pause = pause;
                self.touched.insert(name.clone());
            }
        }
        self.pauses = pauses;
    }

    fn plan_target(&mut self, name: &TargetName, target: &Arc<Target>, now: Now) {
        if let Some(lane) = self.lanes.get_mut(name) {
            return lane.replan(Arc::clone(target));
        }
        let holds = Holds::kept(self.kept.remove(name).unwrap_or_default(), now.wall);
        let mut lane = Lane::new(Arc::clone(target), holds);
        lane.pause = self.pauses.0.get(name).cloned();
        self.lanes.insert(name.clone(), lane);
    }

    fn take(&mut self, lease: Lease) {
        let target = lease.target.clone();
        let taken = self.leases.take(lease);
        let Some(lane) = self.lanes.get_mut(&target) else {
            // A slot taken before the target left the plan: its delivery waits in the store.
            if let Taken::New(lease) | Taken::Renewed(lease) | Taken::Next(lease) = taken {
                self.leases.write(Fenced::Released(lease.reference(), Why::Stopping));
            }
            return;
        };
        match taken {
            Taken::New(lease) => self.enqueue(lease),
            Taken::Next(lease) => {
                lane.unsettled = lane.unsettled.saturating_sub(1);
                self.withdraw_trial(lease.id);
                self.enqueue(lease);
            }
            Taken::Renewed(lease) => {
                lane.ready.retain(|other| other.id != lease.id);
                lane.suspects.retain(|other| other.id != lease.id);
                self.counts.lost += 1;
                self.enqueue(lease);
            }
            Taken::Kept => self.counts.lost += 1,
        }
        self.touched.insert(target);
    }

    fn finished(&mut self, started: LeaseRef, attempt: Attempt, now: Now, dice: &mut Dice) {
        let Some(held) = self.leases.running(started) else { return };
        let lease = LeaseRef { id: started.id, token: held.token };
        let (target, failures, first_at) = (held.target.clone(), held.failures, held.first_at);
        let Some(lane) = self.lanes.get_mut(&target) else { return };
        lane.note_latency(attempt.took);
        lane.brakes.ended(&lane.target, lease, &attempt, now.mono, dice);
        let age = lane.age(first_at, now.wall);
        let write = match judge(&lane.target.retry, &attempt, failures, age, now.wall, dice) {
            Outcome::Delivered => Fenced::Delivered(lease, attempt),
            Outcome::Retry { due, failures } => Fenced::Retry { lease, attempt, due, failures },
            Outcome::Dead(reason) => Fenced::Dead(lease, attempt, reason),
        };
        self.ended(&target);
        self.write(&target, write);
    }

    fn fates(&mut self, fates: &[(LeaseRef, Fate)], now: Now, out: &mut Vec<Action>) {
        self.leases.answered();
        for (lease, fate) in fates {
            self.counts.stale += u64::from(*fate == Fate::Stale);
            if self.trial_written(*lease, *fate, now, out) {
                continue;
            }
            let Some((target, write)) = self.leases.close(*lease) else { continue };
            self.touch(&target, |lane| {
                lane.unsettled = lane.unsettled.saturating_sub(1);
                match due_after(&write, *fate, now.wall) {
                    Some(due) => lane.backlog.learn(due),
                    // What a write brought whose first answer was lost, such as the next one of a key, nobody has heard of.
                    None if matches!(fate, Fate::Stale | Fate::Again) => lane.backlog.doubt(),
                    None => {}
                }
            });
        }
    }

    /// An attempt of this lane is no longer under way.
    fn ended(&mut self, target: &TargetName) {
        if let Some(lane) = self.lanes.get_mut(target) {
            self.share.moved(lane.running, lane.running.saturating_sub(1), lane.cap());
            lane.running = lane.running.saturating_sub(1);
        }
        self.touched.insert(target.clone());
    }

    fn write(&mut self, target: &TargetName, write: Fenced) {
        self.leases.write(write);
        self.touch(target, |lane| lane.unsettled += 1);
    }

    fn cut_when_time(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.cut_at.is_none_or(|cut_at| now.mono < cut_at) {
            return;
        }
        for started in self.leases.all_running() {
            out.push(Action::Cut(started));
            let Some(target) = self.leases.running(started).map(|held| held.target.clone()) else { continue };
            let Some(current) = self.leases.current(started.id) else { continue };
            self.ended(&target);
            self.touch(&target, |lane| lane.brakes.cut(started.id));
            self.write(&target, Fenced::Released(current, Why::Cut));
        }
    }

    fn take_turns(&mut self, now: Now, out: &mut Vec<Action>) {
        let was_scarce = self.share.is_scarce();
        while let Some((_, target)) = self.wakes.first().filter(|(wake, _)| *wake <= now.mono).cloned() {
            self.clear_wake(&target);
            self.touched.insert(target);
        }
        loop {
            while let Some(target) = self.touched.pop_first() {
                self.turn(&target, now, out);
            }
            let Some(next) = self.share.next_asking() else { break };
            self.touch(&next, |lane| lane.is_asking = false);
        }
        if was_scarce != self.share.is_scarce() {
            // Every gate promises by another rule now.
            self.touch_all();
            while let Some(target) = self.touched.pop_first() {
                self.turn(&target, now, out);
            }
        }
    }

    /// One lane's turn: give back, start, ask, publish, and see when the next turn is.
    fn turn(&mut self, target: &TargetName, now: Now, out: &mut Vec<Action>) {
        self.turn_brakes(target, now, out);
        self.release_unusable(target, now);
        self.start(target, now, out);
        self.clear_wake(target);
        let Some(lane) = self.lanes.get_mut(target) else { return };
        let is_open = lane.is_open(self.cut_at.is_some());
        if is_open && !lane.is_asking && lane.lacks_share(&self.share, now) {
            lane.is_asking = true;
            self.share.ask(target.clone());
        }
        if is_open && lane.want(&self.share, now).is_some() {
            self.claims.wanting.insert(target.clone());
        } else {
            self.claims.wanting.remove(target);
        }
        let promise = if is_open { lane.promise(&self.share, now) } else { 0 };
        if lane.gate != Some(promise) {
            lane.gate = Some(promise);
            out.push(Action::Gate(target.clone(), promise));
        }
        if lane.is_gone && lane.is_empty() {
            self.kept.insert(target.clone(), lane.holds.spans());
            self.lanes.remove(target);
            self.share.recount(self.lanes.values().map(|lane| (lane.running, lane.cap())));
            return;
        }
        if let Some(wake) = lane.next_wake(now).filter(|_| is_open) {
            lane.wake = Some(wake);
            self.wakes.insert((wake, target.clone()));
        }
    }

    /// Lets time pass for the brakes, and tells how they stand when that is new.
    fn turn_brakes(&mut self, target: &TargetName, now: Now, out: &mut Vec<Action>) {
        let Some(lane) = self.lanes.get_mut(target) else { return };
        lane.turn_brakes(now);
        let phase = lane.brakes.phase();
        if std::mem::replace(&mut lane.told, phase) != phase {
            out.push(Action::Breaker(target.clone(), phase));
        }
        let asked = lane.brakes.asked_until();
        if std::mem::replace(&mut lane.told_asked, asked) < asked {
            out.push(Action::LeftAlone(target.clone(), now.wall.after(asked.since(now.mono))));
        }
        if let Some(spans) = lane.holds.news(lane.target.retry.give_up_after, now.wall) {
            out.push(Action::Held(target.clone(), spans));
        }
    }

    fn clear_wake(&mut self, target: &TargetName) {
        if let Some(wake) = self.lanes.get_mut(target).and_then(|lane| lane.wake.take()) {
            self.wakes.remove(&(wake, target.clone()));
        }
    }

    /// Gives back what this lane may not or cannot start in time.
    fn release_unusable(&mut self, target: &TargetName, now: Now) {
        let stopping = self.cut_at.is_some();
        let Some(lane) = self.lanes.get_mut(target).filter(|lane| lane.waiting().next().is_some()) else { return };
        let closed_by = lane.closed_by(stopping, now.mono);
        let may_start = closed_by.is_none();
        let ready = std::mem::take(&mut lane.ready).into_iter();
        let (ready, mut back): (VecDeque<Lease>, VecDeque<Lease>) = ready.partition(|lease| may_start && lane.can_start(lease, now.mono));
        let suspects = std::mem::take(&mut lane.suspects).into_iter();
        let (suspects, late): (VecDeque<Lease>, VecDeque<Lease>) = suspects.partition(|lease| may_start && lane.can_start(lease, now.mono));
        back.extend(late);
        (lane.ready, lane.suspects) = (ready, suspects);
        let why = closed_by.unwrap_or(Why::NoTime);
        for lease in back {
            self.counts.unused += u64::from(why == Why::NoTime);
            self.write(target, Fenced::Released(lease.reference(), why));
        }
        // `write` touches the lane whose turn this is.
        self.touched.remove(target);
    }

    fn start(&mut self, target: &TargetName, now: Now, out: &mut Vec<Action>) {
        let Some(lane) = self.lanes.get_mut(target).filter(|lane| !self.trials.goes_first(&lane.target)) else { return };
        while lane.room(&self.share, now.mono) > 0
            && let Some(lease) = lane.ready.pop_front()
        {
            lane.brakes.reserve(lease.id);
            lane.brakes.started(&lane.target, now.mono);
            self.share.moved(lane.running, lane.running + 1, lane.cap());
            lane.running += 1;
            self.leases.start(lease.reference());
            out.push(Action::Start(lease));
        }
    }

    fn sleep_until(&self) -> Mono {
        let lane = self.wakes.first().map(|(wake, _)| *wake);
        let claim = (self.claims.asked.is_empty() && !self.claims.wanting.is_empty()).then_some(self.claims.pause.until);
        let cut = self.cut_at.filter(|_| self.running() > self.trials.about_to_start());
        [lane, claim, self.leases.wake(), self.trials.wake(), cut].into_iter().flatten().min().unwrap_or(Mono::NEVER)
    }
}
