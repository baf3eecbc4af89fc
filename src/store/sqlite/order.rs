//! Order within a key: who waits behind whom, and who is next. One seek in an index of the open ordered deliveries each.

use rusqlite::{Connection, OptionalExtension, Result, Statement, params};

use crate::{
    clock::UnixMs,
    delivery::State,
    faults::{Fault, planted},
};

use super::memory::Turn;

/// Whether an ordered delivery is open.
pub(super) const IS_OPEN: &str =
    "SELECT EXISTS(SELECT 1 FROM delivery INDEXED BY delivery_ord WHERE target=?1 AND ord=?2 AND done_at IS NULL)";
/// The first open one of a key is due, if it was blocked.
pub(super) const UNBLOCK: &str = "UPDATE delivery SET state=0, due=?3 WHERE state=5 AND (event, slot)=(
    SELECT event, slot FROM delivery INDEXED BY delivery_ord WHERE target=?1 AND ord=?2 AND done_at IS NULL ORDER BY rank LIMIT 1)
    RETURNING first_at";

/// The statements.
pub(super) struct Sql<'c> {
    is_open: Statement<'c>,
    unblock: Statement<'c>,
}

/// Where a delivery stands at its birth among those of its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) ord: i64,
    pub(super) rank: i64,
    pub(super) is_blocked: bool,
}

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        let early = UNBLOCK.replace("ORDER BY", "AND state=5 ORDER BY");
        let unblock = if planted(Fault::NextBeforeSettled) { &early } else { UNBLOCK };
        Ok(Self { is_open: conn.prepare(IS_OPEN)?, unblock: conn.prepare(unblock)? })
    }
}

/// The end of the queue of a key; blocked when that is not empty.
pub(super) fn join(turn: &mut Turn<'_, '_>, target: i64, ord: i64) -> Result<Place> {
    let is_open: bool = turn.sql.order.is_open.query_row([target, ord], |row| row.get(0))?;
    // Tokens rise over every restart, so later is always behind.
    Ok(Place { ord, rank: turn.staged.token().0, is_blocked: is_open && !planted(Fault::OpenRowUnseen) })
}

/// How a delivery with such a place waits: due now, or blocked.
pub(super) fn born_at(place: Option<Place>, now: UnixMs) -> (State, Option<UnixMs>) {
    if place.is_some_and(|place| place.is_blocked) { (State::Blocked, None) } else { (State::Pending, Some(now)) }
}

/// The delivery before it is settled for good, by a write of this transaction: the next of its key is due. Whether there is one.
pub(super) fn unblock_next(turn: &mut Turn<'_, '_>, target: i64, ord: i64) -> Result<bool> {
    let next = turn.sql.order.unblock.query_row(params![target, ord, turn.now.wall.0], |row| row.get(0).map(UnixMs)).optional()?;
    if let Some(first_at) = next {
        turn.staged.recount(target, first_at, State::Blocked, State::Pending);
    }
    Ok(next.is_some())
}
