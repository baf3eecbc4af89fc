//! Lists for operators: a bounded walk back through events or deliveries, by their key, never near a body.
//!
//! A walk ends when its page is full, when it has looked at so many rows, or when it has taken so long; then the page says where it stood.
//! Dead letters have an index of their own, because they are asked for most and are few among many.

use std::time::Duration;

use rusqlite::{Connection, Result, Row, Rows, Statement, params};

use crate::{
    clock::{Clock, Mono},
    delivery::{DeliveryId, State},
    event::EventId,
    store::{EventView, Filter, ListedDelivery, Listing, Page, listing::Cursor},
};

use super::views::{attempt_of, delivery_of, event_of};

/// How long a walk may take; a reader's statement is interrupted at three times that.
const WALK_TIME_MAX: Duration = Duration::from_millis(80);
/// Rows between two looks at the clock.
const ROWS_BETWEEN_LOOKS: usize = 64;

const EVENTS: &str = "SELECT s.name, e.types, e.provider_id, e.at, e.id FROM event e CROSS JOIN name s ON s.id=e.source
    WHERE e.id>=?1 AND e.id<=?2 ORDER BY e.id DESC";
const OF_EVENT: &str = "SELECT NULL, NULL, NULL, NULL, d.slot, t.name, d.state, d.due, d.attempt, d.failures, d.crashes, d.replay_of,
        d.first_at, d.done_at, d.status, d.dead
    FROM delivery d CROSS JOIN name t ON t.id=d.target WHERE d.event=?1 ORDER BY d.slot";
/// Between its parts come the index it walks and what that index is of. One bound on each side of the event: with two on one side it is
/// SQLite's choice which of them the walk begins at. The event of the cursor is looked at again, for the slots before it.
const DELIVERIES: [&str; 3] = [
    "SELECT s.name, e.types, e.provider_id, e.at, d.slot, t.name, d.state, d.due, d.attempt, d.failures, d.crashes, d.replay_of,
        d.first_at, d.done_at, d.status, d.dead, d.event
    FROM delivery d ",
    " CROSS JOIN event e ON e.id=d.event CROSS JOIN name s ON s.id=e.source CROSS JOIN name t ON t.id=d.target
    WHERE d.event>=?1 AND d.event<=?2 AND (d.event<?3 OR d.slot<?4) ",
    " ORDER BY d.event DESC, d.slot DESC",
];
const LAST_ATTEMPT: &str = "SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    n, at, ms, result, status, excerpt FROM attempt WHERE event=?1 AND slot=?2 ORDER BY n DESC LIMIT 1";

/// The walk over deliveries of any state, or over the dead ones.
pub(super) fn deliveries_sql(dead_only: bool) -> String {
    let [what, from, order] = DELIVERIES;
    let (index, only) = if dead_only { ("INDEXED BY delivery_dead", "AND d.state=4") } else { ("", "") };
    format!("{what}{index}{from}{only}{order}")
}

/// The statements of lists.
pub(super) struct Sql<'c> {
    events: Statement<'c>,
    of_event: Statement<'c>,
    deliveries: Statement<'c>,
    dead: Statement<'c>,
    last_attempt: Statement<'c>,
}

/// What a walk has left, and since when it runs.
struct Budget<'a> {
    rows: usize,
    since: Mono,
    clock: &'a Clock,
}

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            events: conn.prepare(EVENTS)?,
            of_event: conn.prepare(OF_EVENT)?,
            deliveries: conn.prepare(&deliveries_sql(false))?,
            dead: conn.prepare(&deliveries_sql(true))?,
            last_attempt: conn.prepare(LAST_ATTEMPT)?,
        })
    }

    /// A page of events.
    pub(super) fn events(&mut self, listing: &Listing, clock: &Clock) -> Result<Page<EventView>> {
        let Self { events, of_event, .. } = self;
        let last = listing.before.map_or(i64::MAX, |before| before.event.to_i64() - 1);
        walk(listing, clock, |from, upto, budget, page| {
            walk_events(events.query([from, upto.min(last)])?, of_event, &listing.filter, listing.items_max, budget, page)
        })
    }

    /// A page of deliveries.
    pub(super) fn deliveries(&mut self, listing: &Listing, clock: &Clock) -> Result<Page<ListedDelivery>> {
        let dead_only = listing.filter.states == [State::Dead];
        let Self { deliveries, dead, last_attempt, .. } = self;
        let statement = if dead_only { dead } else { deliveries };
        // No slot is 256: without a cursor all of them are before it.
        let (event, slot) = listing.before.map_or((i64::MAX, 256), |before| (before.event.to_i64(), i64::from(before.slot)));
        walk(listing, clock, |from, upto, budget, page| {
            let rows = statement.query([from, upto.min(event), event, slot])?;
            walk_deliveries(rows, last_attempt, &listing.filter, listing.items_max, budget, page)
        })
    }
}

impl Budget<'_> {
    /// Takes one row, if there is one left and time for it.
    fn take(&mut self) -> bool {
        let is_late = || self.clock.mono().since(self.since) > WALK_TIME_MAX;
        if self.rows == 0 || (self.rows.is_multiple_of(ROWS_BETWEEN_LOOKS) && is_late()) {
            return false;
        }
        self.rows -= 1;
        true
    }
}

/// Walks once through where the filter can have anything, or once for each event it names, the newest first. `step` walks a range of
/// events and answers whether to go on.
fn walk<T>(
    listing: &Listing,
    clock: &Clock,
    mut step: impl FnMut(i64, i64, &mut Budget<'_>, &mut Page<T>) -> Result<bool>,
) -> Result<Page<T>> {
    let mut budget = Budget { rows: listing.rows_max, since: clock.mono(), clock };
    let mut page = Page::empty();
    let (least, greatest) = listing.filter.event_range();
    let ranges = match listing.filter.named_events() {
        Some(named) => named.into_iter().rev().filter(|event| *event >= least).map(|event| (event, event)).collect(),
        None => vec![(least, greatest)],
    };
    for (from, upto) in ranges {
        if !step(from.to_i64(), upto.to_i64(), &mut budget, &mut page)? {
            return Ok(page);
        }
    }
    page.next = None;
    Ok(page)
}

fn walk_events(
    mut rows: Rows<'_>,
    of_event: &mut Statement<'_>,
    filter: &Filter,
    items_max: usize,
    budget: &mut Budget<'_>,
    page: &mut Page<EventView>,
) -> Result<bool> {
    while let Some(row) = rows.next()? {
        if is_over(page, items_max, budget) {
            return Ok(false);
        }
        let id = event_id(row, 4)?;
        page.next = Some(Cursor::of_event(id));
        let mut event = event_of(row, id)?;
        if !filter.wants_event(id, &event.source, &event.types, event.received_at) {
            continue;
        }
        let mut deliveries = of_event.query([id.to_i64()])?;
        while let Some(row) = deliveries.next()? {
            budget.rows = budget.rows.saturating_sub(1);
            event.deliveries.push(delivery_of(row, DeliveryId { event: id, slot: row.get(4)? })?);
        }
        let is_unrouted = event.deliveries.is_empty();
        let mut own = event.deliveries.iter();
        let about_one = !filter.is_about_deliveries() || own.any(|one| filter.wants_delivery(one.id, &one.target, one.state));
        if about_one && (is_unrouted || !filter.unrouted) {
            page.items.push(event);
        }
    }
    Ok(true)
}

fn walk_deliveries(
    mut rows: Rows<'_>,
    last_attempt: &mut Statement<'_>,
    filter: &Filter,
    items_max: usize,
    budget: &mut Budget<'_>,
    page: &mut Page<ListedDelivery>,
) -> Result<bool> {
    while let Some(row) = rows.next()? {
        if is_over(page, items_max, budget) {
            return Ok(false);
        }
        let id = DeliveryId { event: event_id(row, 16)?, slot: row.get(4)? };
        page.next = Some(Cursor::of_delivery(id));
        let mut delivery = delivery_of(row, id)?;
        if !filter.wants_delivery(id, &delivery.target, delivery.state) {
            continue;
        }
        let event = event_of(row, id.event)?;
        if !filter.wants_event(id.event, &event.source, &event.types, event.received_at) {
            continue;
        }
        let mut attempts = last_attempt.query(params![id.event.to_i64(), id.slot])?;
        if let Some(row) = attempts.next()? {
            delivery.attempts.extend(attempt_of(row)?);
        }
        page.items.push(ListedDelivery { source: event.source, types: event.types, received_at: event.received_at, delivery });
    }
    Ok(true)
}

/// Whether the page ends before the row that has come. The first one is always looked at: whoever follows the cursors comes to an end.
fn is_over<T>(page: &Page<T>, items_max: usize, budget: &mut Budget<'_>) -> bool {
    let has_room = budget.take();
    page.next.is_some() && (page.items.len() >= items_max || !has_room)
}

fn event_id(row: &Row<'_>, column: usize) -> Result<EventId> {
    let stored: i64 = row.get(column)?;
    EventId::from_i64(stored).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, stored))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    /// A page of a list among ten million costs what it shows and what it passes over, wherever it begins.
    #[test]
    fn every_walk_begins_at_its_place_and_sorts_nothing() {
        let conn = Connection::open_in_memory().expect("memory");
        schema::migrate(&conn).expect("the schema");
        let walks = [
            (EVENTS.to_owned(), "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
            (deliveries_sql(false), "SEARCH d USING PRIMARY KEY (event>? AND event<?)"),
            (deliveries_sql(true), "SEARCH d USING INDEX delivery_dead (event>? AND event<?)"),
            (OF_EVENT.to_owned(), "SEARCH d USING PRIMARY KEY (event=?)"),
            (LAST_ATTEMPT.to_owned(), "SEARCH attempt USING PRIMARY KEY (event=? AND slot=?)"),
        ];
        for (sql, first) in walks {
            let plan = schema::plan(&conn, &sql).expect("a plan");
            assert!(plan.starts_with(first) && !plan.contains("SCAN") && !plan.contains("B-TREE"), "{sql}: {plan}");
        }
    }
}
