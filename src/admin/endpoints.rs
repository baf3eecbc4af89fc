//! The table of endpoints: all of the API on one page.
//!
//! Looks are for every role, acts for `operate` and `admin`, unless it says otherwise here. No path is also one that names something: what
//! takes one method would seem to take the other's too.

use super::{
    answer::Problem,
    call::Call,
    events, handed, jobs, openapi, parameter, rejected, status,
    table::{Endpoint, Verb},
    targets,
};
use crate::plan::Role;

/// Every endpoint there is.
pub(super) fn table() -> Vec<Endpoint> {
    let mut table = looks();
    table.extend(acts());
    table
}

fn looks() -> Vec<Endpoint> {
    vec![
        Endpoint::look("/api/v1/status", "status", "How the gateway stands.", status::page),
        Endpoint::look("/api/v1/sources", "listSources", "The sources, and what came in by them.", targets::sources),
        Endpoint::look("/api/v1/targets", "listTargets", "The targets, and how their deliveries stand.", targets::targets),
        Endpoint::look("/api/v1/secrets", "listSecrets", "The secrets by fingerprint, and when each last matched.", targets::secrets),
        Endpoint::look("/api/v1/events", "listEvents", "Events, the newest first.", events::list).with(parameter::LIST),
        Endpoint::look("/api/v1/events/{id}", "readEvent", "An event with its deliveries and their failed attempts.", events::one),
        Endpoint::look("/api/v1/deliveries", "listDeliveries", "Deliveries, those of the newest event first.", events::deliveries)
            .with(parameter::LIST),
        Endpoint::look("/api/v1/jobs", "listJobs", "The jobs that run, and the last that ended.", jobs::list),
        Endpoint::look("/api/v1/jobs/{id}", "readJob", "A job, as far as it has come.", jobs::one),
        Endpoint::look("/api/v1/rejected", "listRejected", "What was not proved and is kept, the newest first.", rejected::list)
            .with(parameter::REJECTED),
        Endpoint::look("/api/v1/rejected/{id}", "readRejected", "A rejected request with its query and fields.", rejected::one),
        Endpoint::message("/api/v1/rejected/{id}/request", "readRejectedRequest", "A rejected request as it came.", rejected::request),
        Endpoint::look("/api/openapi.json", "readOpenApi", "This document.", document),
        Endpoint::planned(Verb::Look, "/", "dashboard", "The same for people."),
        Endpoint::planned(Verb::Look, "/api/v1/tail", "tail", "What happens, as it happens."),
    ]
}

fn acts() -> Vec<Endpoint> {
    vec![
        Endpoint::act_on("/api/v1/replay", "replay", "Give what a filter means a new delivery.", jobs::replay).once_a_key(),
        Endpoint::act_on("/api/v1/cancel", "cancel", "Settle what a filter means and waits, unattempted.", jobs::cancel).once_a_key(),
        Endpoint::act_on("/api/v1/move", "move", "Give what waits for a target that is gone to another one.", jobs::relocate).once_a_key(),
        Endpoint::act_on("/api/v1/deliveries/{id}/replay", "replayDelivery", "Give one delivery a new one.", jobs::replay_one).once_a_key(),
        Endpoint::act("/api/v1/jobs/{id}/cancel", "stopJob", "End a job where it is; what it did stays done.", jobs::stop),
        Endpoint::act_on("/api/v1/targets/{name}/pause", "pauseTarget", "Hold a target: what comes for it waits.", targets::pause),
        Endpoint::act("/api/v1/targets/{name}/resume", "resumeTarget", "Let a target go on.", targets::resume),
        Endpoint::act("/api/v1/secrets/{source}/take", "takeSecrets", "Show once what a vendor handed over to a source.", handed::take)
            .needing(Role::Admin),
        Endpoint::act_on("/api/v1/admit", "admitRejected", "Verify all that a filter means again, and admit it.", rejected::admit_many),
        Endpoint::act("/api/v1/rejected/{id}/admit", "admitOneRejected", "Verify one again, and admit it.", rejected::admit),
        Endpoint::planned(Verb::Act, "/api/v1/reload", "reload", "Take a changed configuration.").needing(Role::Admin),
    ]
}

async fn document(_call: Call) -> Result<serde_json::Value, Problem> {
    Ok(openapi::document(&table()))
}
