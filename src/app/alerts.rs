//! Tells whoever wants to know: looks once a second at what the back half noted and what the counters of the sources say, and has the
//! alerts that are due written down as events. What the store does not take now waits, a bounded number of it; the rest is gathered on.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use crate::{
    admin::Gateway,
    alert::{Alert, Board, Notes, Reading, Signal, State, Watch},
    event::{EventId, EventIds, OWN_NODE},
    metrics::RequestResult,
    plan::Alerts,
    rejection::Rejection,
};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Alerts that wait for the store.
const WAITING_MAX: usize = 64;

/// Tells, for as long as the gateway runs.
pub(super) async fn tell(gateway: &Gateway, notes: &Notes) -> Infallible {
    let Some(alerts) = &gateway.plan.alerts else { return std::future::pending().await };
    let mut teller = Teller::new(gateway, notes, alerts);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        teller.turn().await;
    }
}

struct Teller<'a> {
    gateway: &'a Gateway,
    notes: &'a Notes,
    alerts: &'a Alerts,
    watches: Vec<Watch>,
    board: Board,
    ids: EventIds,
    /// What is due and not written down yet. The id stays, so that a try whose end is unknown may be run again.
    waiting: VecDeque<(EventId, Alert)>,
    /// That it has to wait was said.
    is_held_up: bool,
}

impl<'a> Teller<'a> {
    fn new(gateway: &'a Gateway, notes: &'a Notes, alerts: &'a Alerts) -> Self {
        let now = gateway.clock.now();
        let enabled = gateway.plan.sources.values().filter(|source| !source.disabled);
        Self {
            gateway,
            notes,
            alerts,
            watches: enabled.map(|source| Watch::new(source.name.clone(), source.expect_every, now)).collect(),
            board: Board::default(),
            ids: EventIds::above(gateway.store.highest_event_id(), OWN_NODE),
            waiting: VecDeque::new(),
            is_held_up: false,
        }
    }

    async fn turn(&mut self) {
        let now = self.gateway.clock.now();
        let noted = self.notes.take();
        let watched = self.watches.iter_mut().flat_map(|watch| {
            let reading = reading(self.gateway, watch);
            watch.look(&reading, now)
        });
        let is_wanted = |signal: &Signal| self.alerts.kinds.contains(&signal.about().kind());
        for signal in noted.into_iter().chain(watched).filter(is_wanted) {
            self.board.notice(signal, now);
        }
        for alert in self.board.due(now, WAITING_MAX - self.waiting.len()) {
            say(&alert);
            if alert.recipients(&self.alerts.to).next().is_some() {
                self.waiting.push_back((self.ids.next(now.wall), alert));
            }
        }
        let unheard = self.board.unheard();
        if unheard > 0 {
            tracing::warn!(event = "alert", count = unheard, "too much is wrong at once: so many things are in no alert");
        }
        self.write_down().await;
    }

    /// Has what waits written down, in order.
    async fn write_down(&mut self) {
        while let Some((id, alert)) = self.waiting.front() {
            let to = alert.recipients(&self.alerts.to);
            if let Err(error) = self.gateway.ingest.admit_alert(alert, *id, to).await {
                if !std::mem::replace(&mut self.is_held_up, true) {
                    tracing::warn!(event = "alert", reason = %error, "alerts cannot be written down: they wait");
                }
                return;
            }
            self.is_held_up = false;
            self.waiting.pop_front();
        }
    }
}

fn reading(gateway: &Gateway, watch: &Watch) -> Reading {
    let of = gateway.metrics.source(watch.source());
    let taken = [RequestResult::Accepted, RequestResult::Duplicate, RequestResult::Unrouted];
    Reading {
        last_event: of.last_event(),
        taken: taken.map(|result| of.requests_so_far(result)).iter().sum(),
        rejected: Rejection::ALL.map(|reason| of.rejected_so_far(reason)),
    }
}

/// In the log it stands whoever else is told.
fn say(alert: &Alert) {
    let (about, text) = (alert.about(), alert.text());
    let (target, source) = (about.target().map(tracing::field::display), about.source().map(tracing::field::display));
    let (reason, result) = (about.kind().code(), alert.state().as_str());
    match alert.state() {
        State::Raised => tracing::warn!(event = "alert", target, source, reason, result, count = alert.count(), "{text}"),
        State::Resolved => tracing::info!(event = "alert", target, source, reason, result, count = alert.count(), "{text}"),
    }
}
