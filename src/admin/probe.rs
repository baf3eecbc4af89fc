//! /livez and /readyz: two questions with two answers that must not be mixed up.
//!
//! Alive asks whether a restart would help: the loops and the store's writer make progress. Ready asks whether to send requests here. A
//! dead target, a full queue or a slow disk changes neither: restarting or hiding a gateway for them would only lose more.

use std::time::Duration;

use super::{Gateway, Step};

/// A loop that has not turned for so long is stuck; each turns at least once a second.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Why a restart would help; empty when the process is alive.
#[must_use]
pub(super) fn stuck(gateway: &Gateway) -> Vec<&'static str> {
    let now = gateway.clock.mono();
    let is_late = |turn| now.since(turn) > STUCK_AFTER;
    // While it stops, the loops end one after the other: the stop has a deadline and a watchdog of its own.
    if gateway.phase.step() == Step::Stopping {
        return Vec::new();
    }
    let mut why = Vec::new();
    if is_late(gateway.store.health().last_turn) {
        why.push("the store's writer does not turn");
    }
    if is_late(gateway.phase.main_turn()) {
        why.push("the main loop does not turn");
    }
    if gateway.phase.step() == Step::Running && is_late((gateway.workers)().last_turn) {
        why.push("a delivery worker does not turn");
    }
    why
}

/// Why no request should be sent here; empty when it is ready.
#[must_use]
pub(super) fn unready(gateway: &Gateway) -> Vec<&'static str> {
    let mut why = Vec::new();
    match gateway.phase.step() {
        Step::Starting => return vec!["starting"],
        Step::Stopping => why.push("stopping"),
        Step::Running => {}
    }
    if !(gateway.workers)().alive {
        why.push("the delivery workers are gone");
    }
    // A quota that is reached is no reason: requests are refused with a Retry-After, and deliveries make room.
    if !gateway.store.health().writable {
        why.push("the store cannot be written");
    }
    why
}
