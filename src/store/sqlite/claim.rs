//! Leasing what is due: one walk of the index per wanted target, from either end, and when the target's next delivery is due.

use rusqlite::{Connection, OptionalExtension, Result, Statement, params};

use crate::{
    clock::UnixMs,
    delivery::{DeliveryId, State},
    event::EventId,
    lease::{Claimed, Lease, PayloadRef, Want},
    limits::{CLAIM_MAX, LEASE_LOCAL_MARGIN},
};

use super::memory::{Turn, state_of};

/// The statements.
pub(super) struct Sql<'c> {
    oldest: Statement<'c>,
    newest: Statement<'c>,
    lease: Statement<'c>,
    next_due: Statement<'c>,
    /// Rows found and not yet leased, kept from want to want.
    found: Vec<Row>,
}

/// A due delivery as it stands before it is leased.
#[derive(Debug)]
struct Row {
    id: DeliveryId,
    state: State,
    variant: u8,
    attempt: u32,
    failures: u32,
    crashes: u32,
    trials: u32,
    first_at: UnixMs,
    replay_of: Option<u8>,
}

/// Due deliveries of a target in the order of the index, and up to a horizon (4) those that wait for a later try and were not leased
/// under a later token (5); the walk touches what it returns, and what it passes over up to the horizon.
pub(super) const OLDEST: &str = "SELECT event, slot, state, v, attempt, failures, crashes, first_at, replay_of, trials
    FROM delivery INDEXED BY delivery_due WHERE target=?1 AND due<=?4
        AND (due<=?2 OR state=0 AND (token IS NULL OR token<=?5)) ORDER BY due, event, slot LIMIT ?3";
/// The same from the other end.
pub(super) const NEWEST: &str = "SELECT event, slot, state, v, attempt, failures, crashes, first_at, replay_of, trials
    FROM delivery INDEXED BY delivery_due WHERE target=?1 AND due<=?2 ORDER BY due DESC, event DESC, slot DESC LIMIT ?3";
/// When the target's next delivery is due or its lease runs out: one seek.
pub(super) const NEXT_DUE: &str =
    "SELECT due FROM delivery INDEXED BY delivery_due WHERE target=?1 AND due IS NOT NULL ORDER BY due LIMIT 1";

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            oldest: conn.prepare(OLDEST)?,
            newest: conn.prepare(NEWEST)?,
            lease: conn.prepare("UPDATE delivery SET state=1, attempt=?3, crashes=?4, token=?5, due=?6 WHERE event=?1 AND slot=?2")?,
            next_due: conn.prepare(NEXT_DUE)?,
            found: Vec::with_capacity(CLAIM_MAX),
        })
    }
}

/// Leases what is wanted and due.
pub(super) fn claim(turn: &mut Turn<'_, '_>, wants: &[Want]) -> Result<Vec<Claimed>> {
    let mut left = CLAIM_MAX;
    let mut claimed = Vec::with_capacity(wants.len());
    for want in wants {
        let mut answer = Claimed { target: want.target.clone(), leases: Vec::new(), next_due: None };
        if let Some(target) = turn.memory.names.known_target(&want.target) {
            let now = turn.now.wall.0;
            let horizon = if want.ahead.is_some() { i64::MAX } else { now };
            let before = want.ahead.map_or(0, |token| token.0);
            let oldest = params![target, now, limit(want.oldest.min(left)), horizon, before];
            find(&mut turn.sql.claim.oldest, &mut turn.sql.claim.found, oldest)?;
            left -= lease_found(turn, target, want, &mut answer)?;
            // What was just leased is due later by now, so the same row is not found from both ends.
            find(&mut turn.sql.claim.newest, &mut turn.sql.claim.found, params![target, now, limit(want.fresh.min(left))])?;
            left -= lease_found(turn, target, want, &mut answer)?;
            answer.next_due = turn.sql.claim.next_due.query_row([target], |row| row.get(0).map(UnixMs)).optional()?;
        }
        claimed.push(answer);
    }
    Ok(claimed)
}

fn limit(at_most: usize) -> i64 {
    i64::try_from(at_most).unwrap_or(i64::MAX)
}

fn find(walk: &mut Statement<'_>, found: &mut Vec<Row>, bounds: &[&dyn rusqlite::ToSql]) -> Result<()> {
    found.clear();
    let mut rows = walk.query(bounds)?;
    while let Some(row) = rows.next()? {
        let event: i64 = row.get(0)?;
        let event = EventId::from_i64(event).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, event))?;
        found.push(Row {
            id: DeliveryId { event, slot: row.get(1)? },
            state: state_of(row, 2)?,
            variant: row.get(3)?,
            attempt: row.get(4)?,
            failures: row.get(5)?,
            crashes: row.get(6)?,
            first_at: UnixMs(row.get(7)?),
            replay_of: row.get(8)?,
            trials: row.get(9)?,
        });
    }
    Ok(())
}

fn lease_found(turn: &mut Turn<'_, '_>, target: i64, want: &Want, answer: &mut Claimed) -> Result<usize> {
    let Turn { sql, staged, now, .. } = turn;
    let until = now.wall.after(want.lease);
    let sql = &mut sql.claim;
    let before = answer.leases.len();
    for row in sql.found.drain(..) {
        let token = staged.token();
        let attempt = row.attempt.saturating_add(1);
        // A due row that is leased is a lease that ran out: its holder crashed or hung.
        let crashes = row.crashes.saturating_add(u32::from(row.state == State::InFlight));
        sql.lease.execute(params![row.id.event.to_i64(), row.id.slot, attempt, crashes, token.0, until.0])?;
        staged.recount(target, row.first_at, row.state, State::InFlight);
        answer.leases.push(Lease {
            id: row.id,
            target: want.target.clone(),
            token,
            attempt,
            failures: row.failures,
            crashes,
            trials: row.trials,
            first_at: row.first_at,
            replay_of: row.replay_of,
            until: now.mono + want.lease.saturating_sub(LEASE_LOCAL_MARGIN),
            payload: PayloadRef::InStore(row.variant),
        });
    }
    Ok(answer.leases.len() - before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{open, order, schema};

    /// Behind two million due deliveries of a dead target a sort or a scan is the end of all others.
    #[test]
    fn every_walk_is_a_seek_in_the_targets_own_part_of_the_index() {
        let conn = Connection::open_in_memory().expect("memory");
        schema::migrate(&conn).expect("the schema");
        let by_due = "delivery_due (target=?";
        let by_key = "delivery_ord (target=? AND ord=?)";
        let walks = [OLDEST, NEWEST, NEXT_DUE, open::VOID, open::CLAMP].map(|sql| (sql, by_due));
        for (sql, index) in walks.into_iter().chain([(order::IS_OPEN, by_key), (order::UNBLOCK, by_key)]) {
            let plan = schema::plan(&conn, sql).expect("a plan");
            assert!(plan.contains(index), "{sql}: {plan}");
            assert!(!plan.contains("SCAN delivery") && !plan.contains("B-TREE FOR ORDER"), "{sql}: {plan}");
        }
    }
}
