//! /api/v1/events and /api/v1/deliveries: events, their deliveries and their failed attempts. No body, no header value.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    answer::Problem,
    call::{Call, in_time},
    lists::{Listed, listing, unless_unknown},
};
use crate::{
    delivery::State,
    event::{EventId, EventTypes},
    plan::Plan,
    store::{AttemptView, DeliveryView, EventView, ListedDelivery as Listing},
};

/// An event, with what became of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Event {
    #[serde(flatten)]
    head: EventHead,
    /// By slot.
    deliveries: Vec<Delivery>,
}

/// An event in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ListedEvent {
    #[serde(flatten)]
    head: EventHead,
    /// By slot; none when no route wanted it.
    deliveries: Vec<Whither>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EventHead {
    id: String,
    source: String,
    types: Vec<String>,
    provider_event_id: Option<String>,
    received_at: String,
}

/// One of an event's deliveries in a list.
#[derive(Debug, Serialize, JsonSchema)]
struct Whither {
    id: String,
    target: String,
    state: &'static str,
}

/// A delivery in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ListedDelivery {
    event_id: String,
    source: String,
    types: Vec<String>,
    received_at: String,
    /// Of its failed attempts only the latest.
    #[serde(flatten)]
    delivery: Delivery,
}

/// A delivery.
#[derive(Debug, Serialize, JsonSchema)]
struct Delivery {
    id: String,
    target: String,
    state: &'static str,
    /// When the next attempt is due, or its lease ends.
    due: Option<String>,
    /// The number of the last attempt.
    attempt: u32,
    /// Failures judged against the target.
    failures: u32,
    crashes: u32,
    /// The slot of the delivery it is a replay of.
    replay_of: Option<u8>,
    first_at: String,
    done_at: Option<String>,
    /// The last HTTP status.
    status: Option<u16>,
    dead_reason: Option<&'static str>,
    /// Those that failed, in order.
    attempts: Vec<Attempt>,
}

/// An attempt that failed.
#[derive(Debug, Serialize, JsonSchema)]
struct Attempt {
    attempt: u32,
    at: String,
    duration_ms: u64,
    result: &'static str,
    status: Option<u16>,
    /// A cause, or the first bytes of the answer.
    excerpt: Option<String>,
}

/// A page of events.
pub(super) async fn list(call: Call) -> Result<Listed<ListedEvent>, Problem> {
    let Some(listing) = listing(&call)? else { return Ok(Listed::all(Vec::new())) };
    let filter = listing.filter.clone();
    let page = in_time(call.gateway.store.events(listing)).await?;
    if page.items.is_empty() && page.next.is_none() {
        unless_unknown(&filter, &call.gateway)?;
    }
    let whither =
        |one: &DeliveryView| Whither { id: one.id.to_string(), target: one.target.to_string(), state: state(one, &call.gateway.plan) };
    Ok(Listed::page(&page, |event| ListedEvent { head: head(event), deliveries: event.deliveries.iter().map(whither).collect() }))
}

/// One event.
pub(super) async fn one(call: Call) -> Result<Event, Problem> {
    let id = EventId::parse(call.named()).ok_or_else(|| Problem::bad("an event id is `evt_` and 13 digits"))?;
    let event = in_time(call.gateway.store.event(id)).await?;
    let event = event.ok_or_else(|| Problem::missing("no such event: it was never here, or its retention is over"))?;
    let deliveries = event.deliveries.iter().map(|one| delivery(one, &call.gateway.plan)).collect();
    Ok(Event { head: head(&event), deliveries })
}

/// A page of deliveries.
pub(super) async fn deliveries(call: Call) -> Result<Listed<ListedDelivery>, Problem> {
    let Some(listing) = listing(&call)? else { return Ok(Listed::all(Vec::new())) };
    let filter = listing.filter.clone();
    let page = in_time(call.gateway.store.deliveries(listing)).await?;
    if page.items.is_empty() && page.next.is_none() {
        unless_unknown(&filter, &call.gateway)?;
    }
    Ok(Listed::page(&page, |listed: &Listing| ListedDelivery {
        event_id: listed.delivery.id.event.to_string(),
        source: listed.source.to_string(),
        types: types(&listed.types),
        received_at: listed.received_at.to_string(),
        delivery: delivery(&listed.delivery, &call.gateway.plan),
    }))
}

fn head(event: &EventView) -> EventHead {
    EventHead {
        id: event.id.to_string(),
        source: event.source.to_string(),
        types: types(&event.types),
        provider_event_id: event.provider_event_id.as_deref().map(str::to_owned),
        received_at: event.received_at.to_string(),
    }
}

fn types(types: &EventTypes) -> Vec<String> {
    types.iter().map(str::to_owned).collect()
}

/// Parked is a view: waiting, and nobody in the plan to wait for.
fn state(delivery: &DeliveryView, plan: &Plan) -> &'static str {
    let is_parked = matches!(delivery.state, State::Pending | State::Blocked) && !plan.targets.contains_key(&delivery.target);
    if is_parked { "parked" } else { delivery.state.as_str() }
}

fn delivery(delivery: &DeliveryView, plan: &Plan) -> Delivery {
    Delivery {
        id: delivery.id.to_string(),
        target: delivery.target.to_string(),
        state: state(delivery, plan),
        due: delivery.due.map(|at| at.to_string()),
        attempt: delivery.attempt,
        failures: delivery.failures,
        crashes: delivery.crashes,
        replay_of: delivery.replay_of,
        first_at: delivery.first_at.to_string(),
        done_at: delivery.done_at.map(|at| at.to_string()),
        status: delivery.status,
        dead_reason: delivery.dead.map(crate::delivery::DeadReason::code),
        attempts: delivery.attempts.iter().map(attempt).collect(),
    }
}

fn attempt(attempt: &AttemptView) -> Attempt {
    Attempt {
        attempt: attempt.attempt,
        at: attempt.at.to_string(),
        duration_ms: attempt.took_ms,
        result: attempt.result.code(),
        status: attempt.status,
        excerpt: attempt.excerpt.as_deref().map(str::to_owned),
    }
}
