//! Which requests have been seen: flat in cost however many there are.
//!
//! One random B-tree insert per event would be half of the store's work. So a key is appended to the table `seen` and held in memory; when
//! the newest generation is large enough it is sorted and merged, in key order and a few keys per batch, into the table `dedup`, where
//! neighbours share a page. The merge is the purge as well: expired records next to merged keys go with it.
//!
//! Promises: memory changes only after a commit; a crash at any point leaves a key in at least one place, and the newest record of it wins;
//! a record counts as dead only when it has expired *and* its event has no open delivery.

use std::{
    collections::HashMap,
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, OptionalExtension, Result, Statement, params};

use crate::{
    clock::UnixMs,
    event::{DedupKey, EventId},
};

/// Keys in the newest generation at which its merge begins; a second one fills meanwhile, so memory holds about twice as many.
pub(super) const MERGE_AT: usize = 1 << 17;
/// Keys merged in one step. SQLite walks its whole page cache at the commit of a transaction that split pages out of order, as inserts of
/// random keys do (`balance_nonroot` borrows a page number beyond the end of the file), so a step in every small batch costs more than all
/// of its keys; what a step costs is also what the acks of its batch wait for.
pub(super) const MERGE_CHUNK: usize = 512;
/// Steps made while a generation fills. Half of them merge the one before and an eighth clear it, so the merge cannot fall behind.
const STEPS_PER_GENERATION: usize = MERGE_AT / MERGE_CHUNK * 2;
/// Records looked at for the purge beside each merged key, so that it costs the same however many there are. One in so many of the records
/// may be an expired one that is not gone yet.
const PURGE_LOOKS_PER_KEY: usize = 4;
/// Rows of `seen` cleared in one batch after a merge; they lie side by side.
const CLEAR_ROWS: i64 = 2048;

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The event that was first.
    pub(super) event: EventId,
    /// Until when a repeat is known.
    pub(super) expires: UnixMs,
}

/// A record as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The event that was first.
    pub(super) event: EventId,
    /// Whether it still makes a repeat.
    pub(super) live: bool,
}

/// The keys that are not merged yet.
#[derive(Debug)]
pub(super) struct Tail {
    fresh: HashMap<DedupKey, Record>,
    /// The generation that is being merged.
    old: HashMap<DedupKey, Record>,
    merge: Merge,
    merge_at: usize,
    /// Keys that came since the last step of the merge.
    since_step: usize,
}

#[derive(Debug)]
enum Merge {
    None,
    Sorting { cut: i64, sorting: JoinHandle<Vec<(DedupKey, Record)>> },
    Merging { cut: i64, sorted: Vec<(DedupKey, Record)>, done: usize },
    Clearing { cut: i64 },
}

/// What the transaction under way did; applied after its commit.
#[derive(Debug, Default)]
pub(super) struct NewlySeen {
    keys: HashMap<DedupKey, Record>,
    merged: usize,
    cleared: bool,
    /// A step of the merge was made.
    stepped: bool,
}

/// The statements.
pub(super) struct Sql<'c> {
    append: Statement<'c>,
    find: Statement<'c>,
    open: Statement<'c>,
    merge: Statement<'c>,
    purge: Statement<'c>,
    clear: Statement<'c>,
    least: Statement<'c>,
    greatest: Statement<'c>,
}

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            append: conn.prepare("INSERT INTO seen(key, event, expires) VALUES(?1, ?2, ?3)")?,
            find: conn.prepare("SELECT event, expires FROM dedup WHERE key=?1")?,
            open: conn.prepare("SELECT EXISTS(SELECT 1 FROM delivery WHERE event=?1 AND state IN (0, 1, 5))")?,
            merge: conn.prepare(
                "INSERT INTO dedup(key, event, expires) VALUES(?1, ?2, ?3)
                 ON CONFLICT(key) DO UPDATE SET event=excluded.event, expires=excluded.expires",
            )?,
            purge: conn.prepare(
                "DELETE FROM dedup WHERE key IN (
                     SELECT key FROM (SELECT key, event, expires FROM dedup WHERE key>=?1 AND key<=?2 LIMIT ?4) AS near
                     WHERE near.expires<=?3
                       AND NOT EXISTS(SELECT 1 FROM delivery WHERE delivery.event=near.event AND delivery.state IN (0, 1, 5)))",
            )?,
            clear: conn.prepare("DELETE FROM seen WHERE n<=?1")?,
            least: conn.prepare("SELECT min(n) FROM seen")?,
            greatest: conn.prepare("SELECT max(n) FROM seen")?,
        })
    }
}

impl Tail {
    /// Reads the unmerged keys: one sequential scan of what is at most about two generations.
    pub(super) fn load(conn: &Connection, merge_at: usize) -> Result<Self> {
        let mut fresh = HashMap::new();
        let mut all = conn.prepare("SELECT key, event, expires FROM seen ORDER BY n")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            // A later row of the same key is a later event: it wins.
            fresh.insert(DedupKey(row.get(0)?), Record { event: event_of(row, 1)?, expires: UnixMs(row.get(2)?) });
        }
        Ok(Self { fresh, old: HashMap::new(), merge: Merge::None, merge_at, since_step: 0 })
    }

    /// What is known of a key; within one batch the staged keys decide.
    pub(super) fn find(&self, new: &NewlySeen, sql: &mut Sql<'_>, key: DedupKey, now: UnixMs) -> Result<Option<Found>> {
        let in_memory = new.keys.get(&key).or_else(|| self.fresh.get(&key)).or_else(|| self.old.get(&key)).copied();
        let record = match in_memory {
            Some(record) => record,
            None => {
                let stored = sql.find.query_row([&key.0[..]], |row| Ok(Record { event: event_of(row, 0)?, expires: UnixMs(row.get(1)?) }));
                let Some(record) = stored.optional()? else { return Ok(None) };
                record
            }
        };
        let live = record.expires > now || sql.open.query_row([record.event.to_i64()], |row| row.get(0))?;
        Ok(Some(Found { event: record.event, live }))
    }

    /// Whether a merge is under way that has work for a batch.
    pub(super) fn has_work(&self) -> bool {
        matches!(self.merge, Merge::Merging { .. } | Merge::Clearing { .. })
    }

    /// How many keys to merge with this batch: none until enough new ones came, then twice as many as came.
    pub(super) fn step_due(&self, new: &NewlySeen) -> Option<usize> {
        let came = self.since_step + new.keys.len();
        let due = self.has_work() && came >= (self.merge_at / STEPS_PER_GENERATION).max(1);
        due.then(|| came.saturating_mul(2).max(MERGE_CHUNK.min(self.merge_at / 4)))
    }

    /// Moves a step of the merge into the transaction under way.
    pub(super) fn merge(&self, new: &mut NewlySeen, sql: &mut Sql<'_>, keys: usize, now: UnixMs) -> Result<()> {
        new.stepped = true;
        match &self.merge {
            Merge::None | Merge::Sorting { .. } => Ok(()),
            Merge::Merging { sorted, done, .. } => {
                let chunk = &sorted[*done..sorted.len().min(done + keys)];
                for (key, record) in chunk {
                    sql.merge.execute(params![&key.0[..], record.event.to_i64(), record.expires.0])?;
                }
                // The purge goes from the end of the chunk before towards the end of this one, over pages that the merge touches anyway.
                // Where there are more records than it may look at, other chunks of later merges begin elsewhere.
                let from = done.checked_sub(1).and_then(|last| sorted.get(last)).map_or([0; 16], |(key, _)| key.0);
                let to = if done + chunk.len() == sorted.len() { [0xff; 16] } else { chunk.last().map_or(from, |(key, _)| key.0) };
                let looks = i64::try_from(chunk.len().saturating_mul(PURGE_LOOKS_PER_KEY)).unwrap_or(i64::MAX);
                sql.purge.execute(params![&from[..], &to[..], now.0, looks])?;
                new.merged = chunk.len();
                Ok(())
            }
            Merge::Clearing { cut } => {
                let least: Option<i64> = sql.least.query_row([], |row| row.get(0))?;
                let upto = least.map_or(*cut, |least| least.saturating_add(CLEAR_ROWS - 1).min(*cut));
                sql.clear.execute([upto])?;
                new.cleared = upto == *cut;
                Ok(())
            }
        }
    }

    /// After the commit: what was staged is durable.
    pub(super) fn apply(&mut self, new: &mut NewlySeen) {
        self.since_step = if new.stepped { 0 } else { self.since_step + new.keys.len() };
        self.fresh.extend(new.keys.drain());
        if let Merge::Merging { cut, sorted, done } = &mut self.merge {
            *done += new.merged;
            if *done == sorted.len() {
                self.merge = Merge::Clearing { cut: *cut };
            }
        } else if new.cleared {
            self.merge = Merge::None;
            self.old = HashMap::new();
        }
        new.clear();
    }

    /// Between batches: begins a merge when the newest generation is large enough, and takes over what the sorting thread has finished.
    pub(super) fn turn(&mut self, sql: &mut Sql<'_>) -> Result<()> {
        match std::mem::replace(&mut self.merge, Merge::None) {
            Merge::None if self.fresh.len() >= self.merge_at => {
                // Every row there is now belongs to this generation; rows to come have higher numbers.
                let cut: Option<i64> = sql.greatest.query_row([], |row| row.get(0))?;
                self.old = std::mem::take(&mut self.fresh);
                let mut unsorted: Vec<(DedupKey, Record)> = self.old.iter().map(|(key, record)| (*key, *record)).collect();
                let sort = move || {
                    unsorted.sort_unstable_by_key(|(key, _)| *key);
                    unsorted
                };
                // Not by a name of the store's own threads: a panic of those ends the process, and one of this does no harm.
                match thread::Builder::new().name("dedup-sort".into()).spawn(sort) {
                    Ok(sorting) => self.merge = Merge::Sorting { cut: cut.unwrap_or(0), sorting },
                    // No thread to be had: the generation goes on filling, and the next turn tries again.
                    Err(_) => self.fresh = std::mem::take(&mut self.old),
                }
            }
            Merge::Sorting { cut, sorting } if sorting.is_finished() => {
                match sorting.join() {
                    Ok(sorted) => self.merge = Merge::Merging { cut, sorted, done: 0 },
                    // A sort that panicked changed nothing: the generation is whole, and what came meanwhile is newer.
                    Err(_) => {
                        let newer = std::mem::replace(&mut self.fresh, std::mem::take(&mut self.old));
                        self.fresh.extend(newer);
                    }
                }
            }
            other => self.merge = other,
        }
        Ok(())
    }
}

impl NewlySeen {
    /// Appends a key in the transaction under way.
    pub(super) fn append(&mut self, sql: &mut Sql<'_>, key: DedupKey, record: Record) -> Result<()> {
        sql.append.execute(params![&key.0[..], record.event.to_i64(), record.expires.0])?;
        self.keys.insert(key, record);
        Ok(())
    }

    /// After a rollback: nothing of it was written.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.merged = 0;
        self.cleared = false;
        self.stepped = false;
    }
}

fn event_of(row: &rusqlite::Row<'_>, column: usize) -> Result<EventId> {
    let stored: i64 = row.get(column)?;
    EventId::from_i64(stored).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, stored))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::sqlite::schema;

    /// What happens to the index; keys and events are few, so that they meet.
    #[derive(Clone, Debug)]
    enum Step {
        /// A batch of requests (key, window in ms, whether a delivery stays open), merged with so many keys, then committed or rolled back.
        Batch {
            rings: Vec<(u8, i64, bool)>,
            merge: usize,
            commit: bool,
        },
        /// All open deliveries up to this one are settled.
        SettleUpTo(i64),
        Wait(i64),
        Crash,
    }

    fn step() -> impl Strategy<Value = Step> {
        let rings = prop::collection::vec((0..24_u8, prop_oneof![Just(5_i64), Just(1_000_000)], any::<bool>()), 0..6);
        prop_oneof![
            8 => (rings, 1..8_usize, prop::bool::weighted(0.8)).prop_map(|(rings, merge, commit)| Step::Batch { rings, merge, commit }),
            1 => (0..100_i64).prop_map(Step::SettleUpTo),
            2 => (0..10_i64).prop_map(Step::Wait),
            1 => Just(Step::Crash),
        ]
    }

    /// The truth: the newest record of each key, and which events have an open delivery.
    #[derive(Clone, Default)]
    struct Truth {
        records: HashMap<DedupKey, Record>,
        open: Vec<EventId>,
    }

    impl Truth {
        fn find(&self, key: DedupKey, now: UnixMs) -> Option<EventId> {
            let live = |record: &&Record| record.expires > now || self.open.contains(&record.event);
            self.records.get(&key).filter(live).map(|record| record.event)
        }
    }

    fn ring(conn: &Connection, truth: &mut Truth, event: EventId, open: bool) {
        let insert =
            "INSERT INTO delivery(event, slot, target, state, attempt, failures, crashes, v, first_at) VALUES(?1, 0, 1, ?2, 0, 0, 0, 0, 0)";
        conn.execute(insert, params![event.to_i64(), if open { 0 } else { 2 }]).expect("a delivery");
        if open {
            truth.open.push(event);
        }
    }

    fn run(steps: Vec<Step>) {
        let conn = Connection::open_in_memory().expect("memory");
        schema::migrate(&conn).expect("the schema");
        let mut sql = Sql::prepare(&conn).expect("statements");
        let mut tail = Tail::load(&conn, 6).expect("empty");
        let mut new = NewlySeen::default();
        let (mut truth, mut now, mut last) = (Truth::default(), UnixMs(0), 0_i64);
        for step in steps {
            match step {
                Step::Batch { rings, merge, commit } => {
                    let before = truth.clone();
                    conn.execute_batch("BEGIN").expect("begin");
                    for (key, window, open) in rings {
                        let key = DedupKey([key; 16]);
                        let found = tail.find(&new, &mut sql, key, now).expect("a look-up");
                        let live = found.filter(|found| found.live).map(|found| found.event);
                        assert_eq!(live, truth.find(key, now), "{key:?} at {now:?}");
                        if live.is_none() {
                            last += 1;
                            let event = EventId::from_i64(last).expect("positive");
                            let record = Record { event, expires: UnixMs(now.0 + window) };
                            new.append(&mut sql, key, record).expect("an append");
                            truth.records.insert(key, record);
                            ring(&conn, &mut truth, event, open);
                        }
                    }
                    tail.merge(&mut new, &mut sql, merge, now).expect("a merge");
                    if commit {
                        conn.execute_batch("COMMIT").expect("commit");
                        tail.apply(&mut new);
                    } else {
                        conn.execute_batch("ROLLBACK").expect("rollback");
                        new.clear();
                        truth = before;
                    }
                    turn_to_the_end_of_a_sort(&mut tail, &mut sql);
                }
                Step::SettleUpTo(event) => {
                    conn.execute("UPDATE delivery SET state=2 WHERE event<=?1", [event]).expect("settled");
                    truth.open.retain(|open| open.to_i64() > event);
                }
                Step::Wait(ms) => now = UnixMs(now.0 + ms),
                Step::Crash => tail = Tail::load(&conn, 6).expect("the tail"),
            }
        }
    }

    fn turn_to_the_end_of_a_sort(tail: &mut Tail, sql: &mut Sql<'_>) {
        tail.turn(sql).expect("a turn");
        while matches!(tail.merge, Merge::Sorting { .. }) {
            thread::yield_now();
            tail.turn(sql).expect("a turn");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn knows_what_a_map_would_know_through_merges_rollbacks_and_crashes(steps in prop::collection::vec(step(), 1..60)) {
            run(steps);
        }
    }

    #[test]
    fn merging_moves_all_keys_and_purges_the_expired_ones() {
        let conn = Connection::open_in_memory().expect("memory");
        schema::migrate(&conn).expect("the schema");
        let mut sql = Sql::prepare(&conn).expect("statements");
        let mut tail = Tail::load(&conn, 100).expect("empty");
        let mut new = NewlySeen::default();
        for generation in 0..3_u8 {
            for n in 0..100_u8 {
                let event = EventId::from_i64(i64::from(generation) * 100 + i64::from(n)).expect("positive");
                let key = DedupKey([n.wrapping_mul(37).wrapping_add(generation); 16]);
                let expires = if generation == 0 { UnixMs(5) } else { UnixMs(1000) };
                new.append(&mut sql, key, Record { event, expires }).expect("an append");
            }
            tail.apply(&mut new);
            turn_to_the_end_of_a_sort(&mut tail, &mut sql);
            let now = UnixMs(if generation == 0 { 0 } else { 10 });
            while tail.has_work() {
                tail.merge(&mut new, &mut sql, 16, now).expect("a merge");
                tail.apply(&mut new);
            }
            let left: i64 = conn.query_row("SELECT count(*) FROM seen", [], |row| row.get(0)).expect("a count");
            assert_eq!((left, tail.old.len(), tail.fresh.len()), (0, 0, 0));
        }
        let expired: i64 = conn.query_row("SELECT count(*) FROM dedup WHERE expires<=10", [], |row| row.get(0)).expect("a count");
        assert_eq!(expired, 0, "the merge is the purge");
    }
}
