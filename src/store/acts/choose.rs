//! What a step of a job does to the events it looks at: pure, and the same for every store.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    clock::UnixMs,
    delivery::{DeliveryId, State},
    event::{EventId, EventTypes},
    name::{SourceName, TargetName},
    plan::{Plan, Target},
    route::Routes,
};

use super::{Progress, STEP_DELIVERIES_MAX, Task, Work};

/// What of the configuration a step goes by.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Today<'p> {
    routes: &'p Routes,
    targets: &'p BTreeMap<TargetName, Arc<Target>>,
}

/// Events as a store found them, from a cursor on, each with all of its deliveries.
#[derive(Debug)]
pub(in crate::store) struct Page {
    pub(in crate::store) events: Vec<EventFacts>,
    /// Nothing is behind them.
    pub(in crate::store) is_last: bool,
}

/// What is looked at of an event.
#[derive(Debug)]
pub(in crate::store) struct EventFacts {
    pub(in crate::store) id: EventId,
    pub(in crate::store) source: SourceName,
    pub(in crate::store) types: EventTypes,
    pub(in crate::store) received_at: UnixMs,
    /// By slot.
    pub(in crate::store) deliveries: Vec<Facts>,
}

/// What is looked at of a delivery.
#[derive(Debug)]
pub(in crate::store) struct Facts {
    pub(in crate::store) slot: u8,
    pub(in crate::store) target: TargetName,
    pub(in crate::store) state: State,
    pub(in crate::store) variant: u8,
}

/// One write of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Deed {
    /// A new delivery, waiting.
    Replay { id: DeliveryId, target: TargetName, variant: u8, replay_of: Option<u8> },
    /// This one is cancelled.
    Cancel(DeliveryId),
    /// This one is another target's from now on.
    Move(DeliveryId, TargetName),
}

/// What a step does.
#[derive(Debug, Default)]
pub(in crate::store) struct Walked {
    pub(in crate::store) deeds: Vec<Deed>,
    pub(in crate::store) progress: Progress,
    /// Where the next step begins; `None` when this was the last.
    pub(in crate::store) next: Option<EventId>,
}

impl<'p> Today<'p> {
    pub(in crate::store) fn of(plan: &'p Plan) -> Self {
        Self { routes: &plan.routes, targets: &plan.targets }
    }
}

/// Goes over a page: takes events whole until there is enough to do. `left` is how much may be done in all. Whether the bytes of an event
/// are there is asked for what would be replayed only.
pub(in crate::store) fn walk<E>(
    task: &Task,
    today: Today<'_>,
    page: &Page,
    (at_most, left): (usize, Option<u64>),
    has_bytes: &mut dyn FnMut(EventId, u8) -> Result<bool, E>,
) -> Result<Walked, E> {
    let at_most = at_most.clamp(1, STEP_DELIVERIES_MAX);
    let left = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
    let mut walked = Walked::default();
    let mut of_event = Vec::new();
    for event in &page.events {
        let mut progress = Progress { events: 1, ..Progress::default() };
        if task.filter.wants_event(event.id, &event.source, &event.types, event.received_at) {
            choose(task, today, event, (&mut of_event, &mut progress), has_bytes)?;
        }
        if !walked.deeds.is_empty() && walked.deeds.len() + of_event.len() > at_most {
            walked.next = Some(event.id);
            return Ok(walked);
        }
        walked.progress.add(&progress);
        walked.deeds.append(&mut of_event);
        if walked.deeds.len() >= left {
            walked.deeds.truncate(left);
            walked.progress.done = u64::try_from(left).unwrap_or(u64::MAX);
            return Ok(walked);
        }
    }
    let last = page.events.last().filter(|_| !page.is_last);
    walked.next = last.and_then(|event| event.id.next());
    Ok(walked)
}

/// What is done to one event that is meant.
fn choose<E>(
    task: &Task,
    today: Today<'_>,
    event: &EventFacts,
    (deeds, progress): (&mut Vec<Deed>, &mut Progress),
    has_bytes: &mut dyn FnMut(EventId, u8) -> Result<bool, E>,
) -> Result<(), E> {
    if task.filter.unrouted {
        if event.deliveries.is_empty() && has_bytes(event.id, 0)? {
            route(task, today, event, deeds, progress);
        }
        return Ok(());
    }
    for row in &event.deliveries {
        let id = DeliveryId { event: event.id, slot: row.slot };
        if !task.filter.wants_delivery(id, &row.target, row.state) {
            continue;
        }
        match (&task.work, row.state) {
            (Work::Replay { to: None }, _) if !today.targets.contains_key(&row.target) => progress.target_gone += 1,
            (Work::Replay { to }, state) if to.is_some() || !state.is_open() => {
                replay(task, event, row, (deeds, progress), has_bytes)?;
            }
            (_, State::InFlight) => progress.in_flight += 1,
            (Work::Replay { .. }, _) => progress.waiting += 1,
            (Work::Cancel | Work::Move { .. }, state) if !state.is_open() => {}
            (Work::Move { .. }, _) if today.targets.contains_key(&row.target) => progress.not_parked += 1,
            (Work::Cancel, _) => {
                deeds.push(Deed::Cancel(id));
                progress.done += 1;
            }
            (Work::Move { to }, _) => {
                deeds.push(Deed::Move(id, to.clone()));
                progress.done += 1;
            }
        }
    }
    Ok(())
}

/// An event that no route wanted when it came gets its deliveries by the routes of today.
fn route(task: &Task, today: Today<'_>, event: &EventFacts, deeds: &mut Vec<Deed>, progress: &mut Progress) {
    let targets: Vec<TargetName> = match task.work.to() {
        Some(to) => vec![to.clone()],
        None => today.routes.fan_out(&event.source, &event.types).into_iter().map(|hit| hit.target).collect(),
    };
    progress.unrouted += u64::from(targets.is_empty());
    for (slot, target) in (0..=u8::MAX).zip(targets) {
        let id = DeliveryId { event: event.id, slot };
        deeds.push(Deed::Replay { id, target, variant: 0, replay_of: None });
        progress.done += 1;
    }
}

fn replay<E>(
    task: &Task,
    event: &EventFacts,
    row: &Facts,
    (deeds, progress): (&mut Vec<Deed>, &mut Progress),
    has_bytes: &mut dyn FnMut(EventId, u8) -> Result<bool, E>,
) -> Result<(), E> {
    let target = task.work.to().unwrap_or(&row.target);
    let is_later = |other: &Facts| other.slot > row.slot && other.target == row.target;
    let is_named = task.filter.names_delivery(DeliveryId { event: event.id, slot: row.slot });
    let is_same = |deed: &Deed| matches!(deed, Deed::Replay { target: other, variant, .. } if other == target && *variant == row.variant);
    let born = deeds.len();
    let last = event.deliveries.last().map_or(0, |last| usize::from(last.slot));
    if !is_named && event.deliveries.iter().any(is_later) || deeds.iter().any(is_same) {
        progress.superseded += 1;
    } else if !has_bytes(event.id, row.variant)? {
        progress.bytes_gone += 1;
    } else if let Ok(slot) = u8::try_from(last + 1 + born) {
        let id = DeliveryId { event: event.id, slot };
        deeds.push(Deed::Replay { id, target: target.clone(), variant: row.variant, replay_of: Some(row.slot) });
        progress.done += 1;
    } else {
        progress.slots_gone += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::{plan::testing, store::Filter};

    fn name(text: &str) -> TargetName {
        TargetName::parse(text).expect("a name")
    }

    fn event(id: i64, deliveries: &[(&str, State)]) -> EventFacts {
        let facts = |(slot, (target, state)): (usize, &(&str, State))| Facts {
            slot: u8::try_from(slot).expect("few"),
            target: name(target),
            state: *state,
            variant: 0,
        };
        EventFacts {
            id: EventId::from_i64(id).expect("not negative"),
            source: SourceName::parse("shop").expect("a name"),
            types: EventTypes::default(),
            received_at: UnixMs(0),
            deliveries: deliveries.iter().enumerate().map(facts).collect(),
        }
    }

    fn task(work: Work, filter: &str) -> Task {
        Task { work, filter: Filter::parse(filter).expect("a filter") }
    }

    fn walk_all(task: &Task, events: Vec<EventFacts>, at_most: usize) -> Walked {
        let page = Page { events, is_last: true };
        let left = task.filter.limit;
        let known = ["app", "crm", "log"].map(|text| (name(text), Arc::new(testing::target(text, "http://127.0.0.1:9/"))));
        let (routes, targets) = (Routes::default(), BTreeMap::from(known));
        let today = Today { routes: &routes, targets: &targets };
        walk(task, today, &page, (at_most, left), &mut |_, _| Ok::<_, Infallible>(true)).expect("infallible")
    }

    fn replayed(walked: &Walked) -> Vec<(u8, Option<u8>)> {
        let of = |deed: &Deed| match deed {
            Deed::Replay { id, replay_of, .. } => (id.slot, *replay_of),
            other => panic!("{other:?}"),
        };
        walked.deeds.iter().map(of).collect()
    }

    #[test]
    fn of_several_deliveries_to_a_target_the_last_is_replayed_unless_one_is_named() {
        let rows = [("app", State::Dead), ("crm", State::Dead), ("app", State::Dead)];
        let walked = walk_all(&task(Work::Replay { to: None }, "state=dead"), vec![event(1, &rows)], 500);
        assert_eq!(replayed(&walked), [(3, Some(1)), (4, Some(2))]);
        assert_eq!((walked.progress.done, walked.progress.superseded), (2, 1));
        let walked = walk_all(&task(Work::Replay { to: None }, "id=dlv_0000000000001-0"), vec![event(1, &rows)], 500);
        assert_eq!(replayed(&walked), [(3, Some(0))]);
        let walked = walk_all(&task(Work::Replay { to: Some(name("new")) }, ""), vec![event(1, &rows)], 500);
        assert_eq!(replayed(&walked), [(3, Some(1))], "one event gives another target one delivery");
    }

    #[test]
    fn what_waits_or_runs_is_left_alone_and_counted() {
        let rows = [("app", State::Pending), ("crm", State::InFlight), ("log", State::Delivered)];
        let walked = walk_all(&task(Work::Replay { to: None }, ""), vec![event(1, &rows)], 500);
        assert_eq!((walked.progress.done, walked.progress.waiting, walked.progress.in_flight), (1, 1, 1));
        let walked = walk_all(&task(Work::Cancel, ""), vec![event(1, &rows)], 500);
        assert_eq!(walked.deeds, [Deed::Cancel(DeliveryId { event: EventId::from_i64(1).expect("valid"), slot: 0 })]);
        assert_eq!((walked.progress.done, walked.progress.in_flight), (1, 1));
    }

    #[test]
    fn an_event_without_a_free_slot_says_so() {
        let rows = vec![("app", State::Dead); 256];
        let walked = walk_all(&task(Work::Replay { to: None }, ""), vec![event(1, &rows)], 500);
        assert_eq!((walked.deeds.len(), walked.progress.slots_gone, walked.progress.superseded), (0, 1, 255));
    }

    #[test]
    fn a_step_takes_events_whole_and_says_where_the_next_begins() {
        let three = || (1..=3).map(|id| event(id, &[("app", State::Dead), ("crm", State::Dead)])).collect::<Vec<_>>();
        let all = task(Work::Replay { to: None }, "");
        let walked = walk_all(&all, three(), 3);
        assert_eq!((walked.deeds.len(), walked.next, walked.progress.events), (2, EventId::from_i64(2), 1));
        let walked = walk_all(&all, three(), 1);
        assert_eq!((walked.deeds.len(), walked.next), (2, EventId::from_i64(2)), "one event whole, however small the step");
        let walked = walk_all(&all, three(), 500);
        assert_eq!((walked.deeds.len(), walked.next), (6, None));
        let walked = walk_all(&task(Work::Replay { to: None }, "limit=3"), three(), 500);
        assert_eq!((walked.deeds.len(), walked.next, walked.progress.done), (3, None, 3), "the limit holds within an event");
    }
}
