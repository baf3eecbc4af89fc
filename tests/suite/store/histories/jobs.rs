//! Jobs in the histories: what operators ask for, in both stores at once.

use std::sync::Arc;

use hookgate::{
    delivery::{DeliveryId, State},
    event::EventId,
    name::{RouteName, SourceName},
    plan::{Egress, Plan},
    route::{Routes, Rule},
    store::{Act, Filter, FilterId, JobId, Store, Task, Verb, Work},
};
use proptest::prelude::*;

use super::{Pair, TARGETS, name, wait};
use crate::deliver::rig::{plan, target};

/// What a job is to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Cancel { target: usize },
    Replay { target: usize, to: Option<usize> },
    ReplayEvent { which: usize },
    ReplayOne { which: usize, slot: u8 },
    Unrouted,
    Move { to: usize },
}

/// Some order.
pub(super) fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        3 => (0..3_usize).prop_map(|target| Order::Cancel { target }),
        3 => (0..3_usize, prop::option::weighted(0.3, 0..3_usize)).prop_map(|(target, to)| Order::Replay { target, to }),
        1 => (0..40_usize).prop_map(|which| Order::ReplayEvent { which }),
        1 => (0..40_usize, 0..3_u8).prop_map(|(which, slot)| Order::ReplayOne { which, slot }),
        1 => Just(Order::Unrouted),
        1 => (0..2_usize).prop_map(|to| Order::Move { to }),
    ]
}

impl Pair {
    pub(super) fn operate(&self, verb: &Verb) {
        let act = || Act { by: "ops".into(), verb: verb.clone() };
        let expected = wait(self.model.operate(act())).expect("the model does it");
        assert_eq!(wait(self.store().operate(act())).expect("the store does it"), expected);
    }

    pub(super) fn begin(&mut self, id: JobId, order: Order, limit: Option<u64>) {
        let event = |which: usize| self.rings.get(which % self.rings.len().max(1)).map(|rung| rung.ring.id);
        let of = |target: usize| Filter { targets: vec![name(TARGETS[target])], ..Filter::default() };
        let named = |id: Option<FilterId>| Filter { ids: id.into_iter().collect(), ..Filter::default() };
        let replay = |to: Option<usize>| Work::Replay { to: to.map(|to| name(TARGETS[to])) };
        let (work, filter) = match order {
            Order::Cancel { target } => (Work::Cancel, of(target)),
            Order::Replay { target, to } => (replay(to), Filter { states: vec![State::Dead, State::Cancelled], ..of(target) }),
            Order::ReplayEvent { which } => (replay(None), named(event(which).map(FilterId::Event))),
            Order::ReplayOne { which, slot } => {
                (replay(None), named(event(which).map(|event| FilterId::Delivery(DeliveryId { event, slot }))))
            }
            Order::Unrouted => (replay(None), Filter { unrouted: true, ..Filter::default() }),
            Order::Move { to } => (Work::Move { to: name(TARGETS[to]) }, Filter::default()),
        };
        let task = Task { work, filter: Filter { limit, ..filter } };
        let counted = |store: &dyn Store| wait(store.count(task.clone(), Arc::clone(&self.plan), EventId::LEAST)).expect("it counts");
        assert_eq!(counted(self.store()), counted(&self.model));
        self.operate(&Verb::Begin { id, task, rate: None, expected: limit });
        self.jobs.push(id);
    }
}

/// The plan of today: one target of three is gone, and what no route wanted goes to another.
pub(super) fn today() -> Plan {
    let targets = TARGETS[..2].iter().map(|name| target(name, "http://127.0.0.1:1/")).collect();
    let mut plan = plan(targets, Egress { deny_classes: vec![], deny_nets: vec![], allow: vec![] });
    let (from, to) = (vec![SourceName::parse("github").expect("a name")], vec![name(TARGETS[1])]);
    plan.routes = Routes::compile(&[Rule { name: RouteName::parse("today").expect("a name"), from, types: Vec::new(), to }]);
    plan
}
