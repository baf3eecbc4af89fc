//! Purging what is past its retention: a walk over the events from a cursor, a bounded step at a time. What is open is never touched.

use std::time::Duration;

use rusqlite::{Connection, Result, Statement, params};

use crate::{
    clock::{Clock, UnixMs},
    delivery::State,
    event::EventId,
    plan::{Outcomes, Retention},
    store::Swept,
};

use super::memory::Turn;

/// Events looked at in one step.
const STEP_EVENTS: i64 = 200;
/// How long one step may keep the writer from its batches.
pub(super) const STEP_TIME: Duration = Duration::from_millis(5);
/// Ids carry the time they were made; one made in a burst may lie a little ahead of the clock.
const ID_SLACK: Duration = Duration::from_secs(60);

/// Where the walks stand. Losing it costs a walk from the start, so it is not stored.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    by_age: i64,
    early: i64,
}

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What is past its retention.
    Age,
    /// Room: delivered events before their time, oldest first.
    Room,
}

/// The statements.
pub(super) struct Sql<'c> {
    walk: Statement<'c>,
    dead: Statement<'c>,
    payload: Statement<'c>,
    attempt: Statement<'c>,
    delivery: Statement<'c>,
    event: Statement<'c>,
    found: Vec<Candidate>,
}

/// An event as the walk sees it.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: i64,
    at: UnixMs,
    open: bool,
    outcomes: Outcomes,
    settled_at: Option<UnixMs>,
}

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            walk: conn.prepare(
                "SELECT id, at,
                     EXISTS(SELECT 1 FROM delivery WHERE event=id AND state IN (0, 1, 5)),
                     EXISTS(SELECT 1 FROM delivery WHERE event=id AND state=2),
                     EXISTS(SELECT 1 FROM delivery WHERE event=id AND state=3),
                     EXISTS(SELECT 1 FROM delivery WHERE event=id AND state=4),
                     (SELECT max(done_at) FROM delivery WHERE event=id)
                 FROM event WHERE id>=?1 AND id<=?2 ORDER BY id LIMIT ?3",
            )?,
            dead: conn.prepare("SELECT target, first_at FROM delivery WHERE event=?1 AND state=4")?,
            payload: conn.prepare("DELETE FROM payload WHERE event=?1")?,
            attempt: conn.prepare("DELETE FROM attempt WHERE event=?1")?,
            delivery: conn.prepare("DELETE FROM delivery WHERE event=?1")?,
            event: conn.prepare("DELETE FROM event WHERE id=?1")?,
            found: Vec::new(),
        })
    }

    fn find(&mut self, from: i64, upto: EventId) -> Result<()> {
        self.found.clear();
        let mut rows = self.walk.query(params![from, upto.to_i64(), STEP_EVENTS])?;
        while let Some(row) = rows.next()? {
            self.found.push(Candidate {
                id: row.get(0)?,
                at: UnixMs(row.get(1)?),
                open: row.get(2)?,
                outcomes: Outcomes { delivered: row.get(3)?, cancelled: row.get(4)?, dead: row.get(5)? },
                settled_at: row.get::<_, Option<i64>>(6)?.map(UnixMs),
            });
        }
        Ok(())
    }
}

/// One step of a walk, in the transaction under way. The budget is for what is done with what was found, and at least one event is looked
/// at: however slow the file is, the walk comes to its end.
pub(super) fn step(
    turn: &mut Turn<'_, '_>,
    cursors: &mut Cursors,
    purpose: Purpose,
    retention: &Retention,
    (clock, budget): (&Clock, Duration),
) -> Result<Swept> {
    let now = turn.now.wall;
    let cursor = match purpose {
        Purpose::Age => &mut cursors.by_age,
        Purpose::Room => &mut cursors.early,
    };
    turn.sql.sweep.find(*cursor, horizon(now, purpose, retention))?;
    let found = std::mem::take(&mut turn.sql.sweep.found);
    let until = clock.mono() + budget;
    let mut swept = Swept { more: i64::try_from(found.len()).is_ok_and(|looked| looked == STEP_EVENTS), ..Swept::default() };
    for (place, candidate) in found.iter().enumerate() {
        if place > 0 && clock.mono() > until {
            swept.more = true;
            break;
        }
        purge_if_due(turn, *candidate, purpose, retention, &mut swept)?;
        *cursor = candidate.id.saturating_add(1);
    }
    if !swept.more {
        *cursor = 0;
    }
    turn.sql.sweep.found = found;
    Ok(swept)
}

/// The last event that could be due: nothing younger than the shortest retention is even looked at.
fn horizon(now: UnixMs, purpose: Purpose, retention: &Retention) -> EventId {
    let shortest = if purpose == Purpose::Room { Duration::ZERO } else { retention.shortest() };
    let kept_ms = i64::try_from(shortest.as_millis()).unwrap_or(i64::MAX);
    EventId::first_at(UnixMs(now.0.saturating_sub(kept_ms)).after(ID_SLACK))
}

fn purge_if_due(turn: &mut Turn<'_, '_>, candidate: Candidate, purpose: Purpose, retention: &Retention, swept: &mut Swept) -> Result<()> {
    let now = turn.now.wall;
    let delivered = candidate.outcomes.all_delivered();
    if candidate.open || (purpose == Purpose::Room && !delivered) {
        return Ok(());
    }
    let kept = if purpose == Purpose::Room { Duration::ZERO } else { retention.kept(candidate.outcomes) };
    let since = candidate.settled_at.unwrap_or(candidate.at);
    if since.after(kept) <= now {
        purge(turn, candidate)?;
        swept.events += 1;
    } else if retention.payload.is_some_and(|kept| delivered && since.after(kept) <= now) {
        swept.payloads += u64::try_from(turn.sql.sweep.payload.execute([candidate.id])?).unwrap_or(u64::MAX);
    }
    Ok(())
}

/// Takes an event away with all that belongs to it; its dedup record stays for its own time.
fn purge(turn: &mut Turn<'_, '_>, candidate: Candidate) -> Result<()> {
    let sql = &mut turn.sql.sweep;
    if candidate.outcomes.dead {
        let mut rows = sql.dead.query([candidate.id])?;
        while let Some(row) = rows.next()? {
            turn.staged.count(row.get(0)?, State::Dead, UnixMs(row.get(1)?), -1);
        }
    }
    for delete in [&mut sql.payload, &mut sql.attempt, &mut sql.delivery, &mut sql.event] {
        delete.execute([candidate.id])?;
    }
    Ok(())
}
