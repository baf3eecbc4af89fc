//! Leasing what is due: one walk of the index per wanted target, from either end, and when the target's next delivery is due.

use rusqlite::{Connection, OptionalExtension, Result, Statement, params};

use crate::{
    clock::UnixMs,
    delivery::{DeliveryId, State},
    event::EventId,
    lease::{Claimed, Lease, PayloadRef, Token, Want},
    limits::{CLAIM_MAX, LEASE_LOCAL_MARGIN, PULL_LOOKS_MAX},
};

use super::memory::{Turn, state_of};

/// The statements.
pub(super) struct Sql<'c> {
    oldest: Statement<'c>,
    later: Statement<'c>,
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

/// Due deliveries of a target in the order of the index: the walk touches what it returns.
pub(super) const OLDEST: &str = "SELECT event, slot, state, v, attempt, failures, crashes, first_at, replay_of, trials
    FROM delivery INDEXED BY delivery_due WHERE target=?1 AND due<=?2 ORDER BY due, event, slot LIMIT ?3";
/// What is due later, each with the token of its last lease: the claim picks what it may take of it, and looks at so many.
pub(super) const LATER: &str = "SELECT event, slot, state, v, attempt, failures, crashes, first_at, replay_of, trials, token
    FROM delivery INDEXED BY delivery_due WHERE target=?1 AND due>?2 ORDER BY due, event, slot LIMIT ?3";
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
            later: conn.prepare(LATER)?,
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
            let sql = &mut turn.sql.claim;
            let oldest = want.oldest.min(left);
            find(&mut sql.oldest, &mut sql.found, params![target, now, limit(oldest)])?;
            if let Some(back_since) = want.ahead {
                let missing = oldest - sql.found.len();
                find_later(&mut sql.later, &mut sql.found, (target, now), back_since, missing)?;
            }
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
        found.push(read(row)?);
    }
    Ok(())
}

/// Adds so many at most of those that wait for a later try and had no lease after this one. A target that is back and fails anew has ever
/// more of the others before them, so there is a bound to what is passed over.
fn find_later(walk: &mut Statement<'_>, found: &mut Vec<Row>, (target, now): (i64, i64), back_since: Token, at_most: usize) -> Result<()> {
    let enough = found.len() + at_most;
    let mut rows = walk.query(params![target, now, limit(PULL_LOOKS_MAX)])?;
    while found.len() < enough {
        let Some(row) = rows.next()? else { break };
        let token: Option<i64> = row.get(10)?;
        if state_of(row, 2)? == State::Pending && token.is_none_or(|token| token <= back_since.0) {
            found.push(read(row)?);
        }
    }
    Ok(())
}

fn read(row: &rusqlite::Row<'_>) -> Result<Row> {
    let event: i64 = row.get(0)?;
    let event = EventId::from_i64(event).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, event))?;
    Ok(Row {
        id: DeliveryId { event, slot: row.get(1)? },
        state: state_of(row, 2)?,
        variant: row.get(3)?,
        attempt: row.get(4)?,
        failures: row.get(5)?,
        crashes: row.get(6)?,
        first_at: UnixMs(row.get(7)?),
        replay_of: row.get(8)?,
        trials: row.get(9)?,
    })
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
        let walks = [OLDEST, LATER, NEWEST, NEXT_DUE, open::VOID, open::CLAMP].map(|sql| (sql, by_due));
        for (sql, index) in walks.into_iter().chain([(order::IS_OPEN, by_key), (order::UNBLOCK, by_key)]) {
            let plan = schema::plan(&conn, sql).expect("a plan");
            assert!(plan.contains(index), "{sql}: {plan}");
            assert!(!plan.contains("SCAN delivery") && !plan.contains("B-TREE FOR ORDER"), "{sql}: {plan}");
        }
    }
}
