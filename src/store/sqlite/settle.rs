//! Every write that needs a lease: fenced by the token, atomic, and safe to run again.

use rusqlite::{Connection, OptionalExtension, Result, Statement, ToSql, params};

use crate::{
    clock::UnixMs,
    delivery::{Attempt, DeadReason, DeliveryId, State},
    faults::{Fault, planted},
    lease::{Fate, Fenced, LeaseRef, Token},
};

use super::{memory::Turn, order};

/// Failed attempts that are kept of one delivery: the latest.
const ATTEMPTS_KEPT_MAX: u32 = 50;

/// The statements.
pub(super) struct Sql<'c> {
    delivered: Statement<'c>,
    retry: Statement<'c>,
    dead: Statement<'c>,
    released: Statement<'c>,
    trial: Statement<'c>,
    quarantined: Statement<'c>,
    token: Statement<'c>,
    attempt: Statement<'c>,
    forget: Statement<'c>,
}

/// What the tallies and the attempt need to know of a row that was written.
struct Written {
    target: i64,
    first_at: UnixMs,
    attempt: u32,
    ord: Option<i64>,
}

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        let fence = if planted(Fault::SettleWithoutFence) { "?3 IS NOT NULL" } else { "token=?3 AND state=1" };
        let update = |set: &str| {
            conn.prepare(&format!(
                "UPDATE delivery SET {set} WHERE event=?1 AND slot=?2 AND {fence} RETURNING target, first_at, attempt, ord"
            ))
        };
        Ok(Self {
            delivered: update("state=2, due=NULL, done_at=?4, status=?5")?,
            // It came back, so it is not what made the process end.
            retry: update("state=0, due=?4, failures=?5, status=?6, crashes=0, trials=0")?,
            dead: update("state=4, due=NULL, done_at=?4, status=?5, dead=?6, failures=failures+?7")?,
            released: update("state=0, due=?4")?,
            trial: update("tried=?3")?,
            quarantined: update("state=4, due=NULL, done_at=?4, dead=?5")?,
            token: conn.prepare("SELECT token FROM delivery WHERE event=?1 AND slot=?2")?,
            attempt: conn.prepare(
                "INSERT OR REPLACE INTO attempt(event, slot, n, at, ms, result, status, excerpt) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?,
            forget: conn.prepare(
                "DELETE FROM attempt WHERE event=?1 AND slot=?2 AND n=(SELECT min(n) FROM attempt WHERE event=?1 AND slot=?2)
                     AND ?3<(SELECT count(*) FROM attempt WHERE event=?1 AND slot=?2)",
            )?,
        })
    }

    fn note_failure(&mut self, id: DeliveryId, number: u32, attempt: &Attempt) -> Result<()> {
        let (event, slot) = (id.event.to_i64(), id.slot);
        let took_ms = i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX);
        let excerpt = attempt.excerpt.as_deref();
        self.attempt.execute(params![event, slot, number, attempt.at.0, took_ms, attempt.result.code(), attempt.status, excerpt])?;
        if number > ATTEMPTS_KEPT_MAX {
            self.forget.execute(params![event, slot, ATTEMPTS_KEPT_MAX])?;
        }
        Ok(())
    }
}

/// Writes each under its fence and says what became of it.
pub(super) fn settle(turn: &mut Turn<'_, '_>, fenced: &[Fenced]) -> Result<Vec<Fate>> {
    fenced.iter().map(|write| settle_one(turn, write)).collect()
}

fn settle_one(turn: &mut Turn<'_, '_>, write: &Fenced) -> Result<Fate> {
    let lease = write.lease();
    let Some(written) = update(turn, lease, write)? else { return fate_of_unwritten(&mut turn.sql.settle, lease) };
    let after = match write {
        Fenced::Delivered(..) => State::Delivered,
        Fenced::Retry { attempt, .. } => {
            turn.sql.settle.note_failure(lease.id, written.attempt, attempt)?;
            State::Pending
        }
        Fenced::Dead(_, attempt, _) => {
            turn.sql.settle.note_failure(lease.id, written.attempt, attempt)?;
            State::Dead
        }
        Fenced::Quarantined(..) => State::Dead,
        Fenced::Released(..) => State::Pending,
        Fenced::Trial(..) => State::InFlight,
    };
    turn.staged.recount(written.target, written.first_at, State::InFlight, after);
    let ord = written.ord.filter(|_| !after.is_open() || planted(Fault::NextBeforeSettled));
    let is_followed = ord.map(|ord| order::unblock_next(turn, written.target, ord)).transpose()?.unwrap_or(false);
    Ok(if is_followed { Fate::Unblocked } else { Fate::Done })
}

fn update(turn: &mut Turn<'_, '_>, lease: LeaseRef, write: &Fenced) -> Result<Option<Written>> {
    let now = turn.now.wall;
    let sql = &mut turn.sql.settle;
    let LeaseRef { id, token: Token(token) } = lease;
    let (event, slot) = (id.event.to_i64(), id.slot);
    match write {
        Fenced::Delivered(_, attempt) => one(&mut sql.delivered, params![event, slot, token, now.0, attempt.status]),
        Fenced::Retry { attempt, due, failures, .. } => one(&mut sql.retry, params![event, slot, token, due.0, failures, attempt.status]),
        Fenced::Dead(_, attempt, reason) => {
            // Lost bytes are our failure, not the target's.
            let judged = *reason != DeadReason::PayloadLost;
            one(&mut sql.dead, params![event, slot, token, now.0, attempt.status, reason.code(), judged])
        }
        Fenced::Trial(_) => one(&mut sql.trial, params![event, slot, token]),
        Fenced::Quarantined(..) => one(&mut sql.quarantined, params![event, slot, token, now.0, DeadReason::Quarantined.code()]),
        Fenced::Released(_, why) => one(&mut sql.released, params![event, slot, token, now.after(why.pause()).0]),
    }
}

fn one(statement: &mut Statement<'_>, params: &[&dyn ToSql]) -> Result<Option<Written>> {
    let mut rows = statement.query(params)?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let written = Written { target: row.get(0)?, first_at: UnixMs(row.get(1)?), attempt: row.get(2)?, ord: row.get(3)? };
    // The statement is run to its end, which is where SQLite counts it as done.
    rows.next()?;
    Ok(Some(written))
}

fn fate_of_unwritten(sql: &mut Sql<'_>, lease: LeaseRef) -> Result<Fate> {
    let stored = sql.token.query_row(params![lease.id.event.to_i64(), lease.id.slot], |row| row.get::<_, Option<i64>>(0));
    let same = stored.optional()?.flatten() == Some(lease.token.0);
    Ok(if same { Fate::Again } else { Fate::Stale })
}
