//! What the writer holds in memory beside the file, and what the transaction under way will change in it.
//!
//! The rule that a false "duplicate" cannot happen: a transaction reads [`Memory`] and writes [`Staged`]; only a commit that succeeded
//! moves the one into the other. After a rollback the staged part is dropped; after a commit of unknown outcome memory is read anew.

use std::collections::HashMap;

use rusqlite::{Connection, Result, Statement, params};

use crate::{
    clock::{Now, UnixMs},
    delivery::State,
    lease::Token,
    store::{Tallies, tally::MINUTE_MS},
};

use super::{
    admit, claim, holds,
    names::{self, Names, NewNames},
    order,
    seen::{self, NewlySeen, Tail},
    settle, sweep,
};

/// Low bits of a token that count within one start of the store; the high bits count the starts.
const TOKEN_COUNT_BITS: u32 = 40;

/// What is durable, as memory has it.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) names: Names,
    pub(super) tail: Tail,
    counts: HashMap<Counted, i64>,
}

/// What the transaction under way has changed.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) names: NewNames,
    pub(super) seen: NewlySeen,
    counts: HashMap<Counted, i64>,
    /// Not staged in truth: a token that was burnt by a rollback is not made again.
    tokens: Tokens,
}

/// One transaction's view: what it may read, what it may change, and when it runs.
pub(super) struct Turn<'t, 'c> {
    pub(super) sql: &'t mut Sql<'c>,
    pub(super) memory: &'t Memory,
    pub(super) staged: &'t mut Staged,
    pub(super) now: Now,
}

/// Every statement of the writer, prepared once.
pub(super) struct Sql<'c> {
    pub(super) admit: admit::Sql<'c>,
    pub(super) claim: claim::Sql<'c>,
    pub(super) settle: settle::Sql<'c>,
    pub(super) order: order::Sql<'c>,
    pub(super) sweep: sweep::Sql<'c>,
    pub(super) holds: holds::Sql<'c>,
    pub(super) names: names::Sql<'c>,
    pub(super) seen: seen::Sql<'c>,
    count: Statement<'c>,
    uncount: Statement<'c>,
    begin: Statement<'c>,
    commit: Statement<'c>,
}

/// Deliveries are counted by target, state and minute of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Counted {
    target: i64,
    state: State,
    minute: i64,
}

/// Makes the fences of leases.
#[derive(Debug)]
struct Tokens {
    last: i64,
}

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            admit: admit::Sql::prepare(conn)?,
            claim: claim::Sql::prepare(conn)?,
            settle: settle::Sql::prepare(conn)?,
            order: order::Sql::prepare(conn)?,
            sweep: sweep::Sql::prepare(conn)?,
            holds: holds::Sql::prepare(conn)?,
            names: names::Sql::prepare(conn)?,
            seen: seen::Sql::prepare(conn)?,
            count: conn.prepare("INSERT OR REPLACE INTO tally(target, state, minute, n) VALUES(?1, ?2, ?3, ?4)")?,
            uncount: conn.prepare("DELETE FROM tally WHERE target=?1 AND state=?2 AND minute=?3")?,
            begin: conn.prepare("BEGIN IMMEDIATE")?,
            commit: conn.prepare("COMMIT")?,
        })
    }
}

impl Sql<'_> {
    /// Begins a transaction that writes.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.begin.execute([]).map(drop)
    }

    /// Ends it: when this returns `Ok`, all of it is on the disk.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.commit.execute([]).map(drop)
    }
}

impl Memory {
    /// Reads what is held in memory: names, unmerged keys and tallies, never a delivery or a payload.
    pub(super) fn load(conn: &Connection, merge_at: usize) -> Result<Self> {
        let mut counts = HashMap::new();
        let mut all = conn.prepare("SELECT target, state, minute, n FROM tally")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            counts.insert(Counted { target: row.get(0)?, state: state_of(row, 1)?, minute: row.get(2)? }, row.get(3)?);
        }
        Ok(Self { names: Names::load(conn)?, tail: Tail::load(conn, merge_at)?, counts })
    }

    /// Tells the shared tallies everything that is counted.
    pub(super) fn publish(&self, tallies: &Tallies) {
        for (counted, n) in &self.counts {
            self.tell(tallies, *counted, *n);
        }
    }

    /// Corrects the shared tallies from what was believed before to this.
    pub(super) fn republish(&self, before: &Self, tallies: &Tallies) {
        for (counted, n) in &before.counts {
            before.tell(tallies, *counted, -n);
        }
        self.publish(tallies);
    }

    /// How many deliveries of a target are leased, as counted.
    pub(super) fn in_flight(&self, target: i64) -> i64 {
        let leased = self.counts.iter().filter(|(counted, _)| counted.target == target && counted.state == State::InFlight);
        leased.map(|(_, n)| n).sum()
    }

    /// After the commit: what was staged is durable.
    pub(super) fn apply(&mut self, staged: &mut Staged, tallies: &Tallies) {
        self.names.apply(&mut staged.names);
        self.tail.apply(&mut staged.seen);
        for (counted, change) in staged.counts.drain().filter(|(_, change)| *change != 0) {
            let n = self.counts.entry(counted).or_insert(0);
            *n += change;
            if *n == 0 {
                self.counts.remove(&counted);
            }
            self.tell(tallies, counted, change);
        }
    }

    fn tell(&self, tallies: &Tallies, counted: Counted, change: i64) {
        if let Some(target) = self.names.target_name(counted.target) {
            tallies.add(target, counted.state, UnixMs(counted.minute * MINUTE_MS), change);
        }
    }
}

impl Staged {
    /// Nothing staged, in the given start of the store.
    pub(super) fn new(boots: i64) -> Self {
        // The high bits wrap after eight million starts; by then no lease of the first ones is held.
        let last = (boots & ((1 << (62 - TOKEN_COUNT_BITS)) - 1)) << TOKEN_COUNT_BITS;
        Self { names: NewNames::default(), seen: NewlySeen::default(), counts: HashMap::new(), tokens: Tokens { last } }
    }

    /// A fence nobody has had.
    pub(super) fn token(&mut self) -> Token {
        self.tokens.last += 1;
        Token(self.tokens.last)
    }

    /// Counts a delivery into a state (+1) or out of it (-1).
    pub(super) fn count(&mut self, target: i64, state: State, first_at: UnixMs, change: i64) {
        if state != State::Delivered {
            *self.counts.entry(Counted { target, state, minute: first_at.0.div_euclid(MINUTE_MS) }).or_insert(0) += change;
        }
    }

    /// Counts a delivery from one state into another.
    pub(super) fn recount(&mut self, target: i64, first_at: UnixMs, from: State, to: State) {
        if from != to {
            self.count(target, from, first_at, -1);
            self.count(target, to, first_at, 1);
        }
    }

    /// After a rollback: nothing of it happened.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.seen.clear();
        self.counts.clear();
    }
}

impl Turn<'_, '_> {
    /// Writes the counts that changed, once per batch, as the last thing before its commit.
    pub(super) fn write_counts(&mut self) -> Result<()> {
        for (counted, change) in self.staged.counts.iter().filter(|(_, change)| **change != 0) {
            let key = (counted.target, counted.state as i64, counted.minute);
            let n = self.memory.counts.get(counted).copied().unwrap_or(0) + change;
            if n == 0 {
                self.sql.uncount.execute(key)?;
            } else {
                self.sql.count.execute(params![key.0, key.1, key.2, n])?;
            }
        }
        Ok(())
    }
}

/// Reads a stored state.
pub(super) fn state_of(row: &rusqlite::Row<'_>, column: usize) -> Result<State> {
    let stored: i64 = row.get(column)?;
    State::from_i64(stored).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, stored))
}
