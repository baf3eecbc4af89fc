//! An event, its deliveries and their failed attempts, as the API writes them. No body, no header value.

use serde::Serialize;

use crate::{
    delivery::State,
    plan::Plan,
    store::{AttemptView, DeliveryView, EventView},
};

#[derive(Debug, Serialize)]
pub(super) struct Event {
    id: String,
    source: String,
    types: Vec<String>,
    provider_event_id: Option<String>,
    received_at: String,
    deliveries: Vec<Delivery>,
}

#[derive(Debug, Serialize)]
struct Delivery {
    id: String,
    target: String,
    state: &'static str,
    due: Option<String>,
    attempt: u32,
    failures: u32,
    crashes: u32,
    replay_of: Option<u8>,
    first_at: String,
    done_at: Option<String>,
    status: Option<u16>,
    dead_reason: Option<&'static str>,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Serialize)]
struct Attempt {
    attempt: u32,
    at: String,
    duration_ms: u64,
    result: &'static str,
    status: Option<u16>,
    excerpt: Option<String>,
}

/// The event as the API shows it under this plan.
pub(super) fn event(event: &EventView, plan: &Plan) -> Event {
    Event {
        id: event.id.to_string(),
        source: event.source.to_string(),
        types: event.types.iter().map(str::to_owned).collect(),
        provider_event_id: event.provider_event_id.as_deref().map(str::to_owned),
        received_at: event.received_at.to_string(),
        deliveries: event.deliveries.iter().map(|one| delivery(one, plan)).collect(),
    }
}

fn delivery(delivery: &DeliveryView, plan: &Plan) -> Delivery {
    // Parked is a view: waiting, and nobody in the plan to wait for.
    let is_parked = matches!(delivery.state, State::Pending | State::Blocked) && !plan.targets.contains_key(&delivery.target);
    Delivery {
        id: delivery.id.to_string(),
        target: delivery.target.to_string(),
        state: if is_parked { "parked" } else { delivery.state.as_str() },
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
