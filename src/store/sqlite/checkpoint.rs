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

use crate::metrics::StoreOperation;

use super::{Shared, schema::PAGE_BYTES};

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
    /// Pages in the log after the last commit, as SQLite reports them.
    pages: Arc<AtomicU32>,
    /// Pages at the last checkpoint that could not start the log over: the next one waits for as many more.
    floor: u32,
}

impl Checkpoints {
    pub(super) fn new(pages: Arc<AtomicU32>) -> Self {
        Self { pages, floor: 0 }
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
        if !self.is_due(due) {
            return Ok(());
        }
        let began = shared.clock.mono();
        if bytes(pages) >= RESTART_BYTES {
            shared.gate.closed_for(READERS_WAIT, || run(conn, "PRAGMA wal_checkpoint(RESTART)"))?;
        } else {
            run(conn, "PRAGMA wal_checkpoint(PASSIVE)")?;
        }
        self.floor = pages;
        shared.metrics.store_operation(StoreOperation::Checkpoint, shared.clock.mono().since(began));
        Ok(())
    }

    fn is_due(&self, pages: u32) -> bool {
        self.pages.load(Ordering::Relaxed) >= self.floor.saturating_add(pages)
    }
}

/// Moves all of the log into the file and empties it: for the end, when nobody reads any more.
pub(super) fn finish(conn: &Connection) -> Result<()> {
    run(conn, "PRAGMA wal_checkpoint(TRUNCATE)")
}

fn run(conn: &Connection, pragma: &str) -> Result<()> {
    // The answer says whether a reader was in the way: then the rest is moved the next time.
    conn.query_row(pragma, [], |_| Ok(()))
}

fn bytes(pages: u32) -> u64 {
    u64::from(pages) * u64::from(PAGE_BYTES)
}
