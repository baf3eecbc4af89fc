//! The tables of the embedded store, on one page, and how a file gets from any known version to this one.
//!
//! `user_version` counts migrations; a file of a later version is refused before anything in it is touched. Only what is used is here:
//! a later need is a later migration.

use rusqlite::{Connection, Result};

/// `HGKT`: what kind of file it is, in the header of the file.
pub(super) const APPLICATION_ID: i64 = 0x484B_4754;
/// Bytes of a page: one page of the dedup index costs one write of this size, and 8 KiB halves the checkpoints' worst case against 4 KiB.
pub(super) const PAGE_BYTES: u32 = 8192;

/// KiB of pages held in memory. More is not faster: the kernel holds the same pages, and SQLite walks all of its own at some commits
/// (`seen.rs`).
const CACHE_KIB: u32 = 8192;

/// Each entry brings a file from the version of its index to the next. Never change one that was released.
const MIGRATIONS: &[&str] = &[FIRST, VIEWS, ORDER, ACTS];

/// Version 1. What is written only once is apart from what changes; nothing has a second index that is not read.
const FIRST: &str = "
    -- How often the file was opened (`boots`: the high part of every lease's token).
    CREATE TABLE meta(k TEXT PRIMARY KEY, v INTEGER NOT NULL) STRICT, WITHOUT ROWID;

    -- Names of sources (kind 0) and targets (kind 1): rows carry the number.
    CREATE TABLE name(id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE(kind, name)) STRICT;

    -- One verified request. Narrow, so that lists never read a body. `types` is a JSON array of text.
    CREATE TABLE event(id INTEGER PRIMARY KEY, source INTEGER NOT NULL, types TEXT NOT NULL, provider_id TEXT, at INTEGER NOT NULL) STRICT;

    -- The bytes, once per event and shape (`v` 0 is the event as rung), with their checksum.
    CREATE TABLE payload(event INTEGER NOT NULL, v INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL,
        UNIQUE(event, v)) STRICT;

    -- One event owed to one target. `due` is the time of the next attempt while it waits, the end of the lease while it is leased, and
    -- NULL once it is settled. `token` stays after a settle, so that a re-run of it is known.
    CREATE TABLE delivery(event INTEGER NOT NULL, slot INTEGER NOT NULL, target INTEGER NOT NULL, state INTEGER NOT NULL, due INTEGER,
        attempt INTEGER NOT NULL, failures INTEGER NOT NULL, crashes INTEGER NOT NULL, token INTEGER, v INTEGER NOT NULL,
        first_at INTEGER NOT NULL, done_at INTEGER, status INTEGER, dead TEXT, replay_of INTEGER,
        PRIMARY KEY(event, slot)) STRICT, WITHOUT ROWID;

    -- The one index of everything that is due, led by the target: a claim costs the same behind any backlog of others.
    CREATE INDEX delivery_due ON delivery(target, due) WHERE due IS NOT NULL;

    -- Attempts that failed, and those of replays; a first-try success lives in its delivery.
    CREATE TABLE attempt(event INTEGER NOT NULL, slot INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, ms INTEGER NOT NULL,
        result TEXT NOT NULL, status INTEGER, excerpt TEXT, PRIMARY KEY(event, slot, n)) STRICT, WITHOUT ROWID;

    -- Which requests have been seen: the newest, appended in order and held in memory too, ...
    CREATE TABLE seen(n INTEGER PRIMARY KEY, key BLOB NOT NULL, event INTEGER NOT NULL, expires INTEGER NOT NULL) STRICT;
    -- ... and all others, merged in key order in small steps.
    CREATE TABLE dedup(key BLOB PRIMARY KEY, event INTEGER NOT NULL, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;

    -- Deliveries by target, state and minute of birth; delivered ones are not counted.
    CREATE TABLE tally(target INTEGER NOT NULL, state INTEGER NOT NULL, minute INTEGER NOT NULL, n INTEGER NOT NULL,
        PRIMARY KEY(target, state, minute)) STRICT, WITHOUT ROWID;
";

/// Dead letters are few among many and asked for most: they cost an index, and only they.
const VIEWS: &str = "
    CREATE INDEX delivery_dead ON delivery(event) WHERE state=4;
";

/// Order within a key, suspicion after a crash, and when lanes were held.
const ORDER: &str = "
    -- `ord` is the hash of what a delivery is ordered by, and `rank` its place among those of its key: a number that only rises. Of the
    -- open ones of a key the first is due as any other; those behind it are blocked (state 5), and `due` is NULL.
    ALTER TABLE delivery ADD COLUMN ord INTEGER;
    ALTER TABLE delivery ADD COLUMN rank INTEGER;
    CREATE INDEX delivery_ord ON delivery(target, ord, rank) WHERE ord IS NOT NULL AND done_at IS NULL;

    -- How often the process ended while this was the one suspect under way, and the token of the lease it last was that under.
    ALTER TABLE delivery ADD COLUMN trials INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE delivery ADD COLUMN tried INTEGER;

    -- When a target's lane was held (`to_at` is NULL while it is): that does not count to the age of its deliveries.
    CREATE TABLE hold(target INTEGER NOT NULL, from_at INTEGER NOT NULL, to_at INTEGER, PRIMARY KEY(target, from_at))
        STRICT, WITHOUT ROWID;
";

/// What operators asked for: which targets are held, which jobs there are, and who did what.
const ACTS: &str = "
    CREATE TABLE control(target INTEGER PRIMARY KEY, since INTEGER NOT NULL, until INTEGER, who TEXT NOT NULL) STRICT;

    -- `cursor` is the next event a job looks at and `upto` the last, both moved with the deliveries of each step. `filter` is the text of
    -- a filter, `progress` JSON.
    CREATE TABLE job(id INTEGER PRIMARY KEY, work TEXT NOT NULL, target TEXT, filter TEXT NOT NULL, rate INTEGER, expected INTEGER,
        who TEXT NOT NULL, begun_at INTEGER NOT NULL, cursor INTEGER NOT NULL, upto INTEGER NOT NULL, progress TEXT NOT NULL,
        ended TEXT, ended_at INTEGER) STRICT;

    CREATE TABLE audit(n INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL) STRICT;
";

/// What a file is, read before anything in it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An empty file.
    New,
    /// A hookgate store of this version or an earlier one.
    Ours,
    /// A hookgate store of a later version.
    Newer(i64),
    /// Some other program's database.
    Foreign,
}

/// The version this program writes.
pub(super) fn version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The version of the file; 0 of one that is empty.
pub(super) fn found(conn: &Connection) -> Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Looks at the header of the file.
pub(super) fn kind(conn: &Connection) -> Result<Kind> {
    let application: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let found = found(conn)?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, found) {
        (APPLICATION_ID, found) if found > version() => Kind::Newer(found),
        (APPLICATION_ID, _) => Kind::Ours,
        (0, 0) if tables == 0 => Kind::New,
        _ => Kind::Foreign,
    })
}

/// Sets what a writing connection needs and reads back what a promise hangs on; `Err` in the inner result names what did not take.
pub(super) fn configure(conn: &Connection) -> Result<std::result::Result<(), &'static str>> {
    // The page size has an effect only on a file without pages, so it comes before the journal mode writes the first one.
    conn.execute_batch(&format!("PRAGMA page_size={PAGE_BYTES};"))?;
    let journal: String = conn.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
    conn.execute_batch(&format!(
        "PRAGMA synchronous=FULL; PRAGMA cache_size=-{CACHE_KIB}; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;
         PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA journal_size_limit=67108864;"
    ))?;
    let checkpoint: i64 = conn.query_row("PRAGMA wal_autocheckpoint=0", [], |row| row.get(0))?;
    let synchronous: i64 = conn.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    Ok(match (journal.as_str(), synchronous, checkpoint) {
        ("wal", 2, 0) => Ok(()),
        ("wal", 2, _) => Err("wal_autocheckpoint=0"),
        ("wal", ..) => Err("synchronous=FULL"),
        _ => Err("journal_mode=WAL"),
    })
}

/// Brings a file to this version in one transaction: all of it or nothing.
pub(super) fn migrate(conn: &Connection) -> Result<()> {
    let found = found(conn)?;
    let done = usize::try_from(found).unwrap_or(0);
    let Some(missing) = MIGRATIONS.get(done..).filter(|missing| !missing.is_empty()) else { return Ok(()) };
    let steps = missing.concat();
    let version = version();
    let all = format!("BEGIN IMMEDIATE; {steps} PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={version}; COMMIT;");
    conn.execute_batch(&all).inspect_err(|_| {
        // The error that matters is the first one.
        let _ = conn.execute_batch("ROLLBACK");
    })
}

/// How SQLite would run a statement, for the tests that say how it must.
#[cfg(test)]
pub(super) fn plan(conn: &Connection, sql: &str) -> Result<String> {
    let mut explained = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let parameters = vec![1_i64; explained.parameter_count()];
    let lines = explained.query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(3))?;
    Ok(lines.collect::<Result<Vec<_>>>()?.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_becomes_ours_and_stays_so() {
        let conn = Connection::open_in_memory().expect("memory");
        assert_eq!(kind(&conn), Ok(Kind::New));
        migrate(&conn).expect("the schema");
        assert_eq!(kind(&conn), Ok(Kind::Ours));
        migrate(&conn).expect("nothing to do");
        conn.execute_batch("PRAGMA user_version=99").expect("pragma");
        assert_eq!(kind(&conn), Ok(Kind::Newer(99)));
    }

    #[test]
    fn a_file_of_each_earlier_version_becomes_one_of_this() {
        for done in 1..MIGRATIONS.len() {
            let conn = Connection::open_in_memory().expect("memory");
            conn.execute_batch(&MIGRATIONS[..done].concat()).expect("an earlier version");
            conn.execute_batch(&format!("PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={done}")).expect("pragma");
            migrate(&conn).expect("the rest");
            let found: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version");
            assert_eq!((kind(&conn), found), (Ok(Kind::Ours), version()));
        }
    }

    #[test]
    fn a_strangers_file_is_known_as_one() {
        let conn = Connection::open_in_memory().expect("memory");
        conn.execute_batch("CREATE TABLE theirs(a)").expect("a table");
        assert_eq!(kind(&conn), Ok(Kind::Foreign));
    }
}
