//! Operators: they hold targets, cancel, replay and move, and whoever steps their jobs goes on whatever happens to the process.

use std::{collections::BTreeMap, sync::Arc};

use hookgate::{
    clock::UnixMs,
    delivery::{DeliveryId, State},
    event::EventId,
    name::{RouteName, SourceName, TargetName},
    pause::Pause,
    queue::Input,
    route::{Routes, Rule as Route},
    store::{Act, DeliveryRow, Filter, FilterId, JobId, Step, Task, Verb, Work},
};
use rand::RngExt;

use super::{
    desk::{Batch, Call},
    made,
    rules::Rule,
    script::{MS, Order, SECOND},
    world::{Happening, World},
};

/// What an act did in the batch under way, for the books once it is durable.
#[derive(Debug, Default)]
pub(crate) struct Operated {
    at: UnixMs,
    replayed: Vec<(Replayed, DeliveryId)>,
    cancelled: u64,
    moved: Vec<DeliveryId>,
    held: Option<(TargetName, Option<Pause>)>,
}

/// What a job selected: one of these may be born of it once.
pub(crate) type Replayed = (JobId, EventId, Option<u8>, TargetName);

impl World {
    /// An operator wants something. Of a process that is not there he asks it later, and in the calm nothing new.
    pub(crate) fn order(&mut self, order: Order) {
        if self.is_calm {
            return;
        }
        if self.gateway.is_none() || self.is_frozen() {
            self.later(self.at + SECOND, Happening::Order(order));
            return;
        }
        self.say(|| format!("{order:?}"));
        self.counts.orders += 1;
        let verb = self.verb(&order);
        self.operate(Act { by: "ops".into(), verb });
    }

    fn verb(&mut self, order: &Order) -> Verb {
        let name = |index: usize| self.script.targets[index].target.name.clone();
        let of = |target: usize| Filter { targets: vec![name(target)], ..Filter::default() };
        let (work, filter) = match *order {
            Order::Pause(target, seconds) => {
                let until = seconds.map(|seconds| UnixMs(self.now().wall.0 + seconds * 1000));
                return Verb::Pause { target: name(target), until };
            }
            Order::Resume(target) => return Verb::Resume { target: name(target) },
            Order::Cancel(target) => (Work::Cancel, of(target)),
            Order::Replay(target, to) => {
                let states = vec![State::Dead, State::Cancelled];
                (Work::Replay { to: to.map(name) }, Filter { states, ..of(target) })
            }
            Order::ReplayNamed(from) => {
                let settled = self.desk.model.deliveries().filter(|(_, row)| !row.state.is_open()).map(|(id, _)| FilterId::Delivery(*id));
                let ids = settled.skip(from).take(3).collect::<Vec<_>>();
                (Work::Replay { to: None }, Filter { unrouted: ids.is_empty(), ids, ..Filter::default() })
            }
            Order::Unrouted => (Work::Replay { to: None }, Filter { unrouted: true, ..Filter::default() }),
            Order::Move(target, to) => (Work::Move { to: name(to) }, of(target)),
        };
        let id = JobId::from_i64(self.chance.random_range(0..i64::MAX)).expect("not negative");
        Verb::Begin { id, task: Task { work, filter }, rate: None, expected: None }
    }

    /// Somebody asks the store. Who wants something asks again, under the same name, until he is answered.
    pub(crate) fn operate(&mut self, act: Act) {
        if self.gateway.is_some() && !self.is_frozen() {
            self.desk.calls.push_back(Call::Operate(Box::new(act)));
            self.wake_store();
        } else if !matches!(act.verb, Verb::Go { .. }) {
            self.later(self.at + SECOND, Happening::Operate(Box::new(act)));
        }
    }

    /// The store does it, in the batch under way.
    pub(crate) fn operate_now(&mut self, act: Act, batch: &mut Batch) {
        let now = self.now().wall;
        let before = self.desk.model.deliveries().map(|(id, row)| (*id, row.clone())).collect::<BTreeMap<_, _>>();
        let step = self.desk.model.operate(&act, now);
        self.say(|| format!("{act:?} -> {step:?}"));
        let mut operated = Operated { at: now, ..Operated::default() };
        match &step {
            Step::Held(target, pause) => operated.held = Some((target.clone(), pause.clone())),
            Step::Job(stepped) => self.compare(&before, stepped.job.id, &stepped.job.task.work, &mut operated),
            Step::Refused(_) => {}
        }
        batch.operated.push(operated);
        batch.operate(act, step);
    }

    /// A step changed what it may change, and nothing else.
    fn compare(&mut self, before: &BTreeMap<DeliveryId, DeliveryRow>, job: JobId, work: &Work, operated: &mut Operated) {
        let waits = |row: &DeliveryRow| matches!(row.state, State::Pending | State::Blocked);
        // Whoever was behind one that is settled, or another target's now, is let go in the same write. The rule of order says if rightly.
        let is_let_go = |old: &DeliveryRow, row: &DeliveryRow| {
            old.state == State::Blocked && DeliveryRow { state: old.state, due: old.due, ..row.clone() } == *old
        };
        let mut broken = None;
        for (id, row) in self.desk.model.deliveries() {
            match (before.get(id), work) {
                (Some(old), _) if old == row => {}
                (None, Work::Replay { .. }) if waits(row) && row.attempt == 0 => {
                    operated.replayed.push(((job, id.event, row.replay_of, row.target.clone()), *id));
                }
                (Some(old), Work::Cancel) if waits(old) && row.state == State::Cancelled => operated.cancelled += 1,
                (Some(old), Work::Move { to }) if waits(old) && row.target == *to => operated.moved.push(*id),
                (Some(old), Work::Cancel | Work::Move { .. }) if row.state == State::Pending && is_let_go(old, row) => {}
                (old, _) => broken = Some(format!("{work:?} made {row:?} of {old:?} ({id})")),
            }
        }
        if let Some(what) = broken {
            self.broke(Rule::ActsTouchOnlyTheirOwn, what);
        }
    }

    /// What was asked is durable, whether or not anybody is told.
    pub(crate) fn note_operated(&mut self, all: Vec<Operated>) {
        for Operated { at, replayed, cancelled, moved, held } in all {
            for (selected, born) in replayed {
                self.counts.replayed += 1;
                let before = self.books.replayed.insert(selected.clone(), born);
                if before.is_some_and(|before| before != born) {
                    self.broke(Rule::ReplayedOnce, format!("{selected:?} gave {before:?} and {born}"));
                }
            }
            self.counts.cancelled += cancelled;
            self.counts.moved += u64::try_from(moved.len()).unwrap_or(u64::MAX);
            self.books.moved.extend(moved);
            if let Some((target, pause)) = held {
                self.books.held.0.retain(|_, pause| pause.holds(at));
                match pause {
                    Some(pause) => drop(self.books.held.0.insert(target, pause)),
                    None => drop(self.books.held.0.remove(&target)),
                }
            }
        }
        self.hear_pauses_later();
    }

    /// Whoever asked is answered: lanes are told of what waits, and jobs go on.
    pub(crate) fn operated(&mut self, act: &Act, step: &Step) {
        if let Step::Job(stepped) = step {
            let gates = stepped.waiting.iter().filter_map(|target| self.gateway.as_ref()?.gate(target));
            gates.collect::<Vec<_>>().iter().for_each(|gate| gate.announce());
        }
        self.stepped(act);
    }

    /// Nobody knows what became of it: lanes look for what may wait, and it is asked again.
    pub(crate) fn operate_failed(&mut self, act: Act) {
        let targets = self.script.targets.iter().map(|scripted| &scripted.target.name);
        targets.filter_map(|target| self.gateway.as_ref()?.gate(target)).for_each(|gate| gate.announce());
        self.stepped(&act);
        if !matches!(act.verb, Verb::Go { .. }) {
            let pause = self.pause(SECOND / 10, 3 * SECOND);
            self.later(self.at + pause, Happening::Operate(Box::new(act)));
        }
    }

    fn stepped(&mut self, act: &Act) {
        if matches!(act.verb, Verb::Go { .. }) {
            self.desk.is_stepping = false;
        }
        self.step_jobs_later();
    }

    /// The jobs there are go on, one step at a time.
    pub(crate) fn step_jobs_later(&mut self) {
        if !self.desk.model.standing().jobs.is_empty() && !std::mem::replace(&mut self.desk.is_stepping, true) {
            let pause = self.pause(MS, 300 * MS);
            self.soon(pause, Happening::JobStep);
        }
    }

    pub(crate) fn step_job(&mut self) {
        let jobs = self.desk.standing.borrow().jobs.clone();
        let Some(gateway) = self.gateway.as_ref().filter(|_| !jobs.is_empty()) else {
            self.desk.is_stepping = false;
            return;
        };
        let mut plan = made::plan_of(gateway.plan.targets.values().map(|target| (**target).clone()));
        plan.routes = self.routes();
        let (id, at_most) = (jobs[self.chance.random_range(0..jobs.len())], self.chance.random_range(1..6));
        self.operate(Act { by: "hookgate".into(), verb: Verb::Go { id, at_most, plan: Arc::new(plan) } });
    }

    /// What no route wanted goes to the first target by the routes of today.
    fn routes(&self) -> Routes {
        let to = vec![self.script.targets[0].target.name.clone()];
        let from = vec![SourceName::parse("sim").expect("a name")];
        Routes::compile(&[Route { name: RouteName::parse("today").expect("a name"), from, types: Vec::new(), to }])
    }

    fn hear_pauses_later(&mut self) {
        if self.desk.standing.has_changed().unwrap_or_default() {
            let pause = self.pause(0, 4 * MS);
            self.soon(pause, Happening::Pauses);
        }
    }

    /// The lanes hear which targets are held.
    pub(crate) fn hear_pauses(&mut self) {
        let pauses = self.desk.standing.borrow_and_update().pauses.clone();
        self.books.heard = self.books.held.clone();
        self.feed(Input::Pauses(pauses));
        self.step_jobs_later();
    }

    /// In the calm every target is let go, however often it takes.
    pub(crate) fn let_all_go_in_the_end(&mut self) {
        if !self.is_calm || self.is_frozen() || self.gateway.is_none() {
            return;
        }
        for target in self.desk.model.standing().pauses.0.into_keys() {
            self.operate(Act { by: "ops".into(), verb: Verb::Resume { target } });
        }
    }
}
