//! The process: the real `Lanes`, real gates and slots, and a shell that carries out what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hookgate::{
    clock::Mono,
    delivery::{Attempt, AttemptResult, DeliveryId},
    handoff::{Handoff, LaneGate},
    lease::{Fate, Lease, LeaseRef},
    limits::{PREFETCH_PER_PLACE, SUSPECTS_PER_PLACE},
    name::TargetName,
    plan::{Plan, Target},
    queue::{Action, Dice, Input, LaneNumbers, Lanes, Phase},
};
use tokio::sync::{Semaphore, mpsc};

use super::{
    desk::{Answer, Call},
    made,
    rules::{Kind, Rule},
    script::MS,
    world::{Happening, World},
};

/// How many leases may be held for each place of a lane: running, claimed ahead, through slots, and writes under way.
const HELD_PER_PLACE_MAX: usize = 2 * (1 + PREFETCH_PER_PLACE) + 4 + SUSPECTS_PER_PLACE;

/// One life of the process.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) lanes: Lanes,
    dice: Dice,
    /// Gates live as long as the process: a slot may outlive its target's place in the plan.
    gates: BTreeMap<TargetName, Arc<LaneGate>>,
    pub(crate) plan: Plan,
    from: mpsc::UnboundedReceiver<Handoff>,
    to: mpsc::UnboundedSender<Handoff>,
    budget: Arc<Semaphore>,
    wake: Mono,
    is_pump_due: bool,
    pub(crate) is_stopping: bool,
    running: BTreeMap<DeliveryId, Running>,
    /// The most places each lane has had.
    caps: BTreeMap<TargetName, usize>,
}

/// An attempt under way; the lease keeps its share of the delivery budget.
#[derive(Debug)]
struct Running {
    lease: Lease,
    attempt: Attempt,
}

impl Gateway {
    /// Attempts that may run at once, for this target. While a plan is being taken it is not yet in its place.
    pub(crate) fn cap_of(&self, target: &TargetName) -> usize {
        self.plan.targets.get(target).map_or(self.caps[target], |target| target.concurrency as usize)
    }

    /// The gate the door sees. It outlives its target's place in the plan: a delivery that is committed while the target comes back must be
    /// announced to somebody.
    pub(crate) fn gate(&self, target: &TargetName) -> Option<Arc<LaneGate>> {
        self.gates.get(target).cloned()
    }

    /// Whether the lanes are at rest: nothing held, every gate open, no timer.
    pub(crate) fn unrest(&self) -> Option<String> {
        if !self.lanes.is_idle() || self.lanes.held() > 0 || self.lanes.running() > 0 {
            return Some(format!("{} leases are held", self.lanes.held()));
        }
        if let Some((name, gate)) = self.gates.iter().find(|(_, gate)| gate.out() > 0) {
            return Some(format!("{} slots of {name} are out", gate.out()));
        }
        let is_open = |name: &TargetName, gate: u32| self.plan.targets.get(name).is_some_and(|target| target.concurrency <= gate);
        // A breaker that nobody rang for since it opened stays half open: the next delivery finds out, by way of the store.
        let is_closed = |numbers: &LaneNumbers| numbers.breaker == Phase::Closed;
        if let Some((name, numbers)) = self.lanes.numbers().find(|(name, of)| is_closed(of) && !is_open(name, of.gate)) {
            return Some(format!("the lane of {name} is {numbers:?}"));
        }
        (self.wake != Mono::NEVER).then(|| format!("a timer is set for {:?}", self.wake))
    }

    fn adopt(&mut self, targets: impl IntoIterator<Item = Target>) {
        self.plan = made::plan_of(targets);
        for (name, target) in &self.plan.targets {
            let make = || LaneGate::new(name.clone(), self.to.clone(), Arc::clone(&self.budget));
            self.gates.entry(name.clone()).or_insert_with(make);
            let cap = self.caps.entry(name.clone()).or_default();
            *cap = (*cap).max(usize::try_from(target.concurrency).unwrap_or(usize::MAX));
        }
    }
}

impl World {
    /// A new life begins.
    pub(crate) fn open_gateway(&mut self) {
        let (to, from) = mpsc::unbounded_channel();
        let mut gateway = Gateway {
            lanes: Lanes::new(self.desk.model.holds()),
            dice: Dice::seeded(self.script.seed ^ self.at),
            gates: BTreeMap::new(),
            plan: made::plan_of([]),
            from,
            to,
            budget: Arc::new(Semaphore::new(self.script.budget_bytes)),
            wake: Mono::NEVER,
            is_pump_due: false,
            is_stopping: false,
            running: BTreeMap::new(),
            caps: BTreeMap::new(),
        };
        gateway.adopt(self.script.targets.iter().map(|scripted| scripted.target.clone()));
        self.gateway = Some(gateway);
        self.hear_pauses();
        self.take_plan();
    }

    /// A new plan: of each target its concurrency and whether it is disabled, or nothing.
    pub(crate) fn swap(&mut self, targets: &[Option<(u32, bool)>]) {
        let scripted = self.script.targets.iter().zip(targets);
        let targets = scripted.filter_map(|(scripted, change)| {
            let (concurrency, disabled) = (*change)?;
            Some(Target { concurrency, disabled, ..scripted.target.clone() })
        });
        let targets = targets.collect::<Vec<_>>();
        // Who left the plan is a stranger when it comes back.
        self.books.health.retain(|name, _| targets.iter().any(|target| target.name == *name));
        // What its lane did while it was gone, the lane that it comes back to may know nothing of.
        let was_there = |name: &TargetName| self.gateway.as_ref().is_some_and(|gateway| gateway.plan.targets.contains_key(name));
        let strangers = self.script.targets.iter().map(|scripted| scripted.target.name.clone());
        let strangers = strangers.filter(|name| !was_there(name) || targets.iter().all(|target| target.name != *name)).collect::<Vec<_>>();
        strangers.iter().for_each(|name| self.note_left_alone(name, false));
        if let Some(gateway) = &mut self.gateway {
            gateway.adopt(targets);
        }
        self.take_plan();
    }

    /// The plan of the script again, with every target.
    pub(crate) fn swap_to_full(&mut self) {
        let all = self.script.targets.iter().map(|scripted| Some((scripted.target.concurrency, false))).collect::<Vec<_>>();
        self.swap(&all);
    }

    fn take_plan(&mut self) {
        let Some(gateway) = &mut self.gateway else { return };
        let plan = std::mem::replace(&mut gateway.plan, made::plan_of([]));
        self.feed(Input::Plan(&plan));
        if let Some(gateway) = &mut self.gateway {
            gateway.plan = plan;
        }
    }

    /// The process is told to stop.
    pub(crate) fn stop(&mut self, cut_after: u64) {
        if let Some(gateway) = &mut self.gateway {
            gateway.is_stopping = true;
        }
        self.feed(Input::Stop(Mono(self.at + cut_after)));
    }

    /// The stopping process ends when everything is settled, or at its deadline.
    pub(crate) fn may_exit(&mut self, deadline: u64) {
        let Some(gateway) = &self.gateway else { return };
        let is_done = gateway.lanes.is_idle() && self.desk.is_idle() && gateway.gates.values().all(|gate| gate.out() == 0);
        if !is_done && self.at < deadline {
            self.soon(50 * MS, Happening::MayExit(deadline));
            return;
        }
        if is_done && let Some(what) = self.lease_of_holder() {
            self.broke(Rule::CleanStop, what);
        }
        self.end_process();
        let pause = self.pause(50 * MS, 5_000 * MS);
        self.later(self.at + pause, Happening::Start);
    }

    /// Gives the lanes one input and carries out what they say.
    pub(crate) fn feed(&mut self, input: Input<'_>) {
        let now = self.now();
        let Some(gateway) = &mut self.gateway else { return };
        let mut actions = Vec::new();
        gateway.lanes.step(now, input, &mut gateway.dice, &mut actions);
        for action in actions {
            self.carry_out(action);
        }
        self.check_caps();
    }

    fn carry_out(&mut self, action: Action) {
        if !matches!(action, Action::Sleep(_)) {
            self.say(|| format!("  {action:?}"));
        }
        match action {
            Action::Start(lease) => self.start_attempt(lease),
            Action::Claim(wants) => {
                self.desk.calls.push_back(Call::Claim(wants));
                self.wake_store();
            }
            Action::Settle(fenced) => {
                self.desk.calls.push_back(Call::Settle(fenced));
                self.wake_store();
            }
            Action::Gate(target, limit) => {
                if let Some(gate) = self.gateway.as_ref().and_then(|gateway| gateway.gates.get(&target)) {
                    gate.publish(limit);
                }
            }
            Action::Cut(lease) => {
                self.count(Kind::Cut);
                if let Some(gateway) = &mut self.gateway {
                    gateway.running.remove(&lease.id);
                }
            }
            Action::AskTrial => {
                let pause = self.pause(0, 2 * MS);
                self.soon(pause, Happening::Granted);
            }
            Action::EndTrial | Action::LeftAlone(..) => {}
            Action::Held(target, spans) => self.desk.model.keep_holds(target, spans),
            Action::Breaker(target, phase) => {
                self.counts.opened += u64::from(phase == Phase::Open);
                self.note_left_alone(&target, phase != Phase::Closed);
            }
            Action::Sleep(until) => self.sleep(until),
        }
    }

    fn sleep(&mut self, until: Mono) {
        let Some(gateway) = &mut self.gateway else { return };
        if std::mem::replace(&mut gateway.wake, until) != until && until != Mono::NEVER {
            self.soon(until.0.saturating_sub(self.at), Happening::Wake);
        }
    }

    /// The shell's timer; an older one was replaced.
    pub(crate) fn wake(&mut self) {
        let Some(gateway) = self.gateway.as_mut().filter(|gateway| gateway.wake.0 <= self.at) else { return };
        gateway.wake = Mono::NEVER;
        self.feed(Input::Tick);
    }

    fn start_attempt(&mut self, lease: Lease) {
        self.counts.attempts += 1;
        self.check_start(&lease);
        let started_at = self.now().wall;
        let Some(index) = self.script.targets.iter().position(|scripted| scripted.target.name == lease.target) else { return };
        let attempt = self.target_answers(index, started_at);
        let took = u64::try_from(attempt.took.as_nanos()).unwrap_or(u64::MAX);
        let reference = lease.reference();
        self.asleep.remove(&lease.target);
        let Some(gateway) = &mut self.gateway else { return };
        if gateway.running.insert(lease.id, Running { lease, attempt }).is_some() {
            self.broke(Rule::OneAttemptAtOnce, format!("{reference:?}"));
        }
        let end = if self.is_poison(reference.id.event, index) { Happening::Poisons } else { Happening::AttemptEnds };
        self.soon(took, end(reference));
    }

    /// Every attempt under way.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &Lease> {
        self.gateway.iter().flat_map(|gateway| gateway.running.values()).map(|running| &running.lease)
    }

    pub(crate) fn attempt_ends(&mut self, reference: LeaseRef) {
        let now = self.now().wall;
        let Some(gateway) = &mut self.gateway else { return };
        let Some(running) = gateway.running.remove(&reference.id) else { return };
        if running.attempt.result == AttemptResult::Delivered {
            self.books.answered.insert(reference.id);
            let age_ms = now.ms_since(running.lease.first_at);
            self.books.delivered.entry(reference.id).or_insert((age_ms, now));
        }
        self.asleep.remove(&running.lease.target);
        self.books.ended.insert(reference.id, now);
        self.note_health(reference.id, &running.lease.target, &running.attempt);
        self.feed(Input::Finished(reference, running.attempt));
    }

    /// The shell hears from the store.
    pub(crate) fn answered(&mut self, answer: Answer) {
        self.say(|| format!("heard {answer:?}"));
        match answer {
            Answer::Claimed(claimed) => self.feed(Input::Claimed(claimed)),
            Answer::ClaimFailed(targets) => self.feed(Input::ClaimFailed(targets)),
            Answer::SettleFailed(fenced) => self.feed(Input::SettleFailed(fenced)),
            Answer::Fates(fates) => {
                // A lease that was lost together with the answer that renewed it may lead to a repeat: that is what "at least once" says.
                for (lease, _) in fates.iter().filter(|(_, fate)| *fate == Fate::Stale) {
                    self.counts.repeats += u64::from(self.books.answered.remove(&lease.id));
                }
                self.feed(Input::Fates(fates));
            }
        }
    }

    /// The shell will look what came through the gates.
    pub(crate) fn pump_later(&mut self) {
        let Some(gateway) = &mut self.gateway else { return };
        if !std::mem::replace(&mut gateway.is_pump_due, true) {
            let pause = self.pause(0, 4 * MS);
            self.soon(pause, Happening::Pump);
        }
    }

    /// What came through the gates goes to the lanes, each place counted after the step that took its lease.
    pub(crate) fn pump(&mut self) {
        if let Some(gateway) = &mut self.gateway {
            gateway.is_pump_due = false;
        }
        while let Some(handoff) = self.gateway.as_mut().and_then(|gateway| gateway.from.try_recv().ok()) {
            self.say(|| format!("heard {handoff:?}"));
            match handoff {
                Handoff::Leased(lease) => {
                    let gate = self.gateway.as_ref().and_then(|gateway| gateway.gates.get(&lease.target).cloned());
                    self.counts.handed += 1;
                    self.feed(Input::Handed(lease));
                    gate.iter().for_each(|gate| gate.counted());
                }
                Handoff::Waiting(target) => {
                    self.gateway.iter().filter_map(|gateway| gateway.gates.get(&target)).for_each(|gate| gate.heard());
                    self.feed(Input::Waiting(target));
                }
            }
        }
    }

    fn check_caps(&mut self) {
        let Some(gateway) = &self.gateway else { return };
        let places = gateway.caps.values().sum::<usize>();
        if gateway.lanes.held() > places * HELD_PER_PLACE_MAX {
            let what = format!("{} leases are held for {places} places", gateway.lanes.held());
            self.broke(Rule::WithinCaps, what);
            return;
        }
        let slots_max = |name: &TargetName| gateway.caps[name] * (1 + PREFETCH_PER_PLACE);
        let too_many = gateway.gates.iter().find(|(name, gate)| usize::try_from(gate.out()).unwrap_or(usize::MAX) > slots_max(name));
        if let Some((name, gate)) = too_many {
            let what = format!("{} slots of {name} are out", gate.out());
            self.broke(Rule::WithinCaps, what);
        }
    }

    /// What the lanes counted, before they are gone.
    pub(crate) fn note_leases(&mut self) {
        if let Some(gateway) = &self.gateway {
            let counts = gateway.lanes.lease_counts();
            self.counts.stale += counts.stale;
            self.counts.lost += counts.lost;
            self.counts.unused += counts.unused;
        }
    }

    /// The targets whose lanes should be at work.
    pub(crate) fn open_targets(&self) -> BTreeSet<TargetName> {
        let Some(gateway) = self.gateway.as_ref().filter(|gateway| !gateway.is_stopping) else { return BTreeSet::new() };
        gateway.plan.targets.values().filter(|target| !target.disabled).map(|target| target.name.clone()).collect()
    }
}
