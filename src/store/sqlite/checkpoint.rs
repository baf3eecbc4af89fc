//! When the write-ahead log is moved into the file: in a quiet moment if there is one, and otherwise often enough that each time is short;
//! between batches, and never by a reader's leave.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, Result};

use crate::{clock::Mono, metrics::StoreOperation};

use super::{Shared, schema::PAGE_BYTES, writer::MEASURE_EVERY};

/// Pages in the log at which it is moved: what this costs is what an ack may have to wait.
const PAGES: u32 = 1_000;
/// The same when nothing is asked for: then nobody waits, and the next time that somebody would have to is further away.
const PAGES_WHILE_QUIET: u32 = 250;
/// How long nothing must have been asked for.
pub(super) const QUIET: Duration = Duration::from_millis(2);
/// The same while the queue stays long: then throughput is the problem, not latency.
const PAGES_UNDER_LOAD: u32 = 8_000;
/// Admits waiting that count as load.
const LOAD: usize = 256;
/// Bytes of log at which readers are kept out, so that it starts over.
const RESTART_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of log at which admits are refused.
const HUGE_BYTES: u64 = 1024 * 1024 * 1024;
/// How long readers that are inside are waited for.
const READERS_WAIT: Duration = Duration::from_millis(20);

/// Where the log stands.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// Pages in the log, as SQLite reports them: after the last commit, or after the last checkpoint.
    pages: Arc<AtomicU32>,
    /// Pages at the last checkpoint that could not start the log over: the next one waits for as many more.
    floor: u32,
    /// When the last checkpoint was tried.
    tried: Mono,
}

impl Checkpoints {
    pub(super) fn new(pages: Arc<AtomicU32>) -> Self {
        Self { pages, floor: 0, tried: Mono::default() }
    }

    /// Whether the log is so large that nothing more should come in.
    pub(super) fn is_log_huge(&self) -> bool {
        bytes(self.pages.load(Ordering::Relaxed)) > HUGE_BYTES
    }

    /// Whether a quiet moment would be used.
    pub(super) fn wait_for_quiet(&self) -> bool {
        self.is_due(PAGES_WHILE_QUIET)
    }

    /// Moves the log when it is time; earlier when it is quiet.
    pub(super) fn turn(&mut self, conn: &Connection, shared: &Shared, is_quiet: bool) -> Result<()> {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.floor {
            self.floor = 0;
        }
        let due = match pages >= PAGES && shared.queue.admits_waiting() > LOAD {
            true => PAGES_UNDER_LOAD,
            false if is_quiet => PAGES_WHILE_QUIET,
            false => PAGES,
        };
        let began = shared.clock.mono();
        if !self.is_due(due) && !self.is_huge_for_long(began) {
            return Ok(());
        }
        self.tried = began;
        let left = match bytes(pages) >= RESTART_BYTES {
            true => shared.gate.closed_for(READERS_WAIT, || restart(conn))?,
            false => run(conn, "PRAGMA wal_checkpoint(PASSIVE)")?.pages,
        };
        let left = left.unwrap_or(pages);
        self.pages.store(left, Ordering::Relaxed);
        self.floor = left;
        shared.metrics.store_operation(StoreOperation::Checkpoint, shared.clock.mono().since(began));
        Ok(())
    }

    /// Whether what has held the log may be gone: hardly anything is written while it is that large, so it is tried by time.
    fn is_huge_for_long(&self, now: Mono) -> bool {
        self.is_log_huge() && now.since(self.tried) >= MEASURE_EVERY
    }

    fn is_due(&self, pages: u32) -> bool {
        self.pages.load(Ordering::Relaxed) >= self.floor.saturating_add(pages)
    }
}

/// Moves all of the log into the file and empties it: for the end, when nobody reads any more.
pub(super) fn finish(conn: &Connection) -> Result<()> {
    run(conn, "PRAGMA wal_checkpoint(TRUNCATE)").map(|_| ())
}

/// Moves the log with the readers outside; the pages that are left in it. Without anybody in the way that is none: the next write starts
/// the log over.
fn restart(conn: &Connection) -> Result<Option<u32>> {
    let moved = run(conn, "PRAGMA wal_checkpoint(RESTART)")?;
    Ok(if moved.is_hindered { moved.pages } else { Some(0) })
}

/// What a checkpoint says.
struct Moved {
    /// A reader was in the way: the rest is moved the next time.
    is_hindered: bool,
    /// Pages in the log, moved or not; `None` where it did not come to counting.
    pages: Option<u32>,
}

fn run(conn: &Connection, pragma: &str) -> Result<Moved> {
    conn.query_row(pragma, [], |row| {
        // SQLite says -1 where it did not count.
        Ok(Moved { is_hindered: row.get(0)?, pages: u32::try_from(row.get::<_, i64>(1)?).ok() })
    })
}

fn bytes(pages: u32) -> u64 {
    u64::from(pages) * u64::from(PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_log_is_tried_again_by_time_and_not_by_what_is_written() {
        let now = Mono(5_000_000_000);
        let of = |pages| Checkpoints { pages: Arc::new(AtomicU32::new(pages)), floor: pages, tried: now };
        let huge = of(u32::try_from(HUGE_BYTES / u64::from(PAGE_BYTES)).expect("few") + 1);
        assert!(huge.is_log_huge() && !huge.is_due(PAGES_WHILE_QUIET), "it waits for frames that nobody may write");
        assert!(!huge.is_huge_for_long(now) && huge.is_huge_for_long(now + MEASURE_EVERY));
        assert!(!of(PAGES).is_huge_for_long(now + MEASURE_EVERY));
    }

    #[test]
    fn what_is_left_in_the_log_is_what_a_reader_holds() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || Connection::open(directory.path().join("a.db")).expect("a file");
        let (writer, reader) = (open(), open());
        let set_up = "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a); INSERT INTO t VALUES(1)";
        writer.execute_batch(set_up).expect("a table");
        writer.busy_timeout(Duration::ZERO).expect("set");
        reader.execute_batch("BEGIN; SELECT * FROM t").expect("inside");
        writer.execute_batch("INSERT INTO t VALUES(2)").expect("written");
        assert!(restart(&writer).expect("tried").is_some_and(|left| left > 0), "a reader is inside");
        reader.execute_batch("COMMIT").expect("outside");
        assert_eq!(restart(&writer).expect("moved"), Some(0));
    }
}
