//! The one thread that writes: a batch, a commit, then memory, then answers, in this order and never another.
//!
//! What it may believe after an error: when an operation fails, the batch is rolled back and each operation is run alone, once. When the
//! commit fails, its outcome is unknown: everybody is told so, duplicates too, and memory is read anew from the file. When the device
//! fails, nothing is answered and the process ends. When the disk is full, admits are refused and delivery goes on.

mod upkeep;

use std::{
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};

use crate::{
    clock::Mono,
    faults::{self, Fault, planted},
    limits::BATCH_ADMITS_MAX,
    metrics::StoreOperation,
    store::{StoreError, queue::Next},
};

use super::{
    Shared, acts,
    admit::{self, Admitted},
    checkpoint::{Checkpoints, QUIET},
    claim, fatal,
    memory::{Memory, Sql, Staged, Turn},
    room::{Room, Verdict},
    settle,
    sweep::{self, Cursors, Purpose},
    work::{Asker, Batch, Call, Chore, Found, Urgent},
};

/// The longest time between two turns, so that its heart can be heard beating.
const TURN_MAX: Duration = Duration::from_millis(500);
/// How often room is measured.
pub(super) const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// The writer's state; it lives on its thread.
pub(super) struct Writer<'c> {
    conn: &'c Connection,
    shared: &'c Shared,
    sql: Sql<'c>,
    memory: Memory,
    staged: Staged,
    batch: Batch,
    found: Vec<Result<Found, StoreError>>,
    admitted: Vec<Result<Admitted, StoreError>>,
    checkpoints: Checkpoints,
    room: Room,
    verdict: Verdict,
    /// SQLite said that the disk is full; until the ballast stands again.
    disk_full: bool,
    measured: Mono,
    cursors: Cursors,
    closing: Option<(Mono, Asker<()>)>,
}

/// How the writer's life ended.
#[derive(Debug)]
pub(super) enum End {
    /// Everything queued is written; who asked for it wants to know.
    Closed(Option<Asker<()>>),
    /// Left as a crash would leave it.
    Abandoned,
}

/// Why a transaction did not come to its end.
enum Failed {
    /// An operation failed: nothing is written.
    Operation(rusqlite::Error),
    /// The commit failed: it may be written.
    Commit,
}

impl<'c> Writer<'c> {
    pub(super) fn new(
        conn: &'c Connection,
        shared: &'c Shared,
        memory: Memory,
        (boots, disk_full): (i64, bool),
        log_pages: Arc<AtomicU32>,
    ) -> rusqlite::Result<Self> {
        memory.publish(shared);
        let mut writer = Self {
            conn,
            shared,
            sql: Sql::prepare(conn)?,
            memory,
            staged: Staged::new(boots),
            batch: Batch::default(),
            found: Vec::with_capacity(BATCH_ADMITS_MAX),
            admitted: Vec::with_capacity(BATCH_ADMITS_MAX),
            checkpoints: Checkpoints::new(log_pages),
            room: Room::new(&shared.settings),
            verdict: Verdict::Room,
            disk_full,
            measured: shared.clock.mono(),
            cursors: Cursors::default(),
            closing: None,
        };
        writer.measure();
        Ok(writer)
    }

    /// Writes until it is told to stop.
    pub(super) fn run(mut self) -> End {
        loop {
            let at_most = if self.checkpoints.wait_for_quiet() { QUIET } else { TURN_MAX };
            match self.turn(at_most) {
                Next::Work | Next::Idle => {}
                Next::Drained => return End::Closed(self.closing.take().map(|(_, asker)| asker)),
                Next::Abandoned => return End::Abandoned,
            }
        }
    }

    /// One turn: waits for work for so long at most, does it, and looks after the file.
    fn turn(&mut self, at_most: Duration) -> Next {
        let next = self.shared.queue.next(&mut self.batch, &self.shared.clock, at_most);
        if next == Next::Work {
            self.work();
        }
        if matches!(next, Next::Work | Next::Idle) {
            self.look_after(next == Next::Idle && at_most >= QUIET);
        }
        self.shared.status.beat(self.shared.clock.mono());
        next
    }

    fn work(&mut self) {
        self.batch.late.drain(..).for_each(|late| late.refuse(StoreError::Busy));
        let too_late = self.closing.as_ref().is_some_and(|(by, _)| self.shared.clock.mono() > *by);
        if !self.shared.status.is_accepting() {
            self.batch.admits.drain(..).for_each(|admit| admit.refuse(StoreError::Full));
        } else if too_late {
            self.batch.admits.drain(..).for_each(|admit| admit.refuse(StoreError::Busy));
        }
        if !(self.batch.urgent.is_empty() && self.batch.admits.is_empty()) {
            self.write_batch();
        }
        match self.batch.chore.take() {
            Some(Chore::Sweep(budget, asker)) => {
                let swept = self.sweep(Purpose::Age, budget.min(sweep::STEP_TIME));
                let _ = asker.send(swept);
            }
            Some(Chore::KeepHolds(target, spans, asker)) => {
                let kept = self.keep_holds(&target, &spans);
                let _ = asker.send(kept);
            }
            Some(Chore::Close(by, asker)) => self.closing = Some((by, asker)),
            None => {}
        }
    }

    fn write_batch(&mut self) {
        let run = |writer: &mut Self, turn_now| {
            let Self { sql, memory, staged, batch, found, admitted, .. } = writer;
            let mut turn = Turn { sql, memory, staged, now: turn_now };
            for urgent in &batch.urgent {
                found.push(Ok(run_urgent(&mut turn, urgent)?));
            }
            for admit in &batch.admits {
                admitted.push(Ok(admit::admit(&mut turn, &admit.event, &admit.crcs)?));
            }
            if let Some(keys) = turn.memory.tail.step_due(&turn.staged.seen) {
                turn.memory.tail.merge(&mut turn.staged.seen, &mut turn.sql.seen, keys, turn_now.wall)?;
            }
            if planted(Fault::AckBeforeCommit) {
                acknowledge_early(batch, admitted);
            }
            Ok(())
        };
        match self.transaction(run) {
            Ok(()) => {}
            Err(Failed::Commit) => self.fill_answers(&StoreError::Unknown),
            Err(Failed::Operation(error)) if is_busy(&error) => self.fill_answers(&StoreError::Busy),
            Err(Failed::Operation(_)) => self.run_each_alone(),
        }
        self.answer();
    }

    /// Everything in the batch once more, each in a transaction of its own: one that fails takes no other with it. That takes its time, so
    /// the deadlines of admits are looked at again.
    fn run_each_alone(&mut self) {
        let mut found = Vec::with_capacity(self.batch.urgent.len());
        for place in 0..self.batch.urgent.len() {
            let mut one = None;
            let result = self.transaction(|writer, now| {
                let Self { sql, memory, staged, batch, .. } = writer;
                one = batch.urgent.get(place).map(|urgent| run_urgent(&mut Turn { sql, memory, staged, now }, urgent)).transpose()?;
                Ok(())
            });
            found.push(alone(result, one));
        }
        let mut admitted = Vec::with_capacity(self.batch.admits.len());
        for place in 0..self.batch.admits.len() {
            if self.disk_full {
                admitted.push(Err(StoreError::Full));
                continue;
            }
            if self.batch.admits.get(place).is_some_and(|admit| admit.by < self.shared.clock.mono()) {
                admitted.push(Err(StoreError::Busy));
                continue;
            }
            let mut one = None;
            let result = self.transaction(|writer, now| {
                let Self { sql, memory, staged, batch, .. } = writer;
                let Some(admit) = batch.admits.get(place) else { return Ok(()) };
                one = Some(admit::admit(&mut Turn { sql, memory, staged, now }, &admit.event, &admit.crcs)?);
                Ok(())
            });
            admitted.push(alone(result, one));
        }
        self.found = found;
        self.admitted = admitted;
    }

    /// Runs `work` as one transaction: what it staged is in memory if and only if it is durable.
    fn transaction(&mut self, work: impl FnOnce(&mut Self, crate::clock::Now) -> rusqlite::Result<()>) -> Result<(), Failed> {
        let now = self.shared.clock.now();
        self.found.clear();
        self.admitted.clear();
        let run = |writer: &mut Self| {
            writer.sql.begin()?;
            work(writer, now)?;
            let Self { sql, memory, staged, .. } = writer;
            Turn { sql, memory, staged, now }.write_counts()
        };
        if let Err(error) = run(self) {
            self.roll_back();
            self.note(&error);
            return Err(Failed::Operation(error));
        }
        let began = self.shared.clock.mono();
        let committed = commit(&mut self.sql);
        self.shared.metrics.store_operation(StoreOperation::Commit, self.shared.clock.mono().since(began));
        if let Err(error) = committed {
            self.roll_back();
            self.note(&error);
            self.remember_anew();
            return Err(Failed::Commit);
        }
        self.memory.apply(&mut self.staged, self.shared);
        Ok(())
    }

    fn roll_back(&mut self) {
        // SQLite may have rolled back by itself; then there is nothing left to do.
        if !self.conn.is_autocommit() && self.conn.execute_batch("ROLLBACK").is_err() {
            fatal::give_up(&"a transaction could not be rolled back");
        }
        if planted(Fault::StagedMemoryKept) {
            self.memory.tail.apply(&mut self.staged.seen);
        }
        self.staged.clear();
    }

    /// After a commit of unknown outcome: what is in the file is what is true.
    fn remember_anew(&mut self) {
        match Memory::load(self.conn, self.shared.merge_at) {
            Ok(memory) if !planted(Fault::StagedMemoryKept) => {
                memory.republish(&self.memory, self.shared);
                self.memory = memory;
            }
            Ok(_) => {}
            Err(error) => fatal::give_up(&error),
        }
    }

    /// Notes an error, ends the process if the device failed, and goes over to draining if the disk is full.
    fn note(&mut self, error: &rusqlite::Error) {
        match error.sqlite_error_code() {
            Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => fatal::give_up(error),
            Some(ErrorCode::DiskFull) => {
                self.disk_full = true;
                self.room.drop_ballast();
            }
            _ => {}
        }
        tracing::warn!(event = "store", reason = %error, "a write failed");
        self.shared.status.note(error);
        self.publish_accepting();
    }

    fn fill_answers(&mut self, error: &StoreError) {
        self.found.clear();
        self.found.extend(self.batch.urgent.iter().map(|_| Err(error.clone())));
        self.admitted.clear();
        self.admitted.extend(self.batch.admits.iter().map(|_| Err(error.clone())));
    }

    fn answer(&mut self) {
        let now = self.shared.clock.mono();
        let metrics = &self.shared.metrics;
        for (urgent, found) in self.batch.urgent.drain(..).zip(self.found.drain(..)) {
            urgent.answer(found, now, metrics);
        }
        for (admit, admitted) in self.batch.admits.drain(..).zip(self.admitted.drain(..)) {
            match admitted {
                Ok(admitted) => {
                    self.shared.status.saw(admit.event.id);
                    admit.accept(admitted, now, metrics);
                }
                Err(error) => admit.refuse(error),
            }
        }
    }
}

impl Failed {
    fn as_answer(&self) -> StoreError {
        match self {
            Self::Commit => StoreError::Unknown,
            Self::Operation(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => StoreError::Full,
            Self::Operation(error) if is_busy(error) => StoreError::Busy,
            // Rolled back: not written, and not the asker's fault alone; it may be run again.
            Self::Operation(_) => StoreError::Unknown,
        }
    }
}

fn run_urgent(turn: &mut Turn<'_, '_>, urgent: &Urgent) -> rusqlite::Result<Found> {
    match &urgent.call {
        Call::Claim(wants, _) => claim::claim(turn, wants).map(Found::Claimed),
        Call::Settle(fenced, _) => settle::settle(turn, fenced).map(Found::Fates),
        Call::Operate(act, _) => acts::operate(turn, act).map(Found::Operated),
    }
}

fn alone<T>(result: Result<(), Failed>, one: Option<T>) -> Result<T, StoreError> {
    result.map_err(|failed| failed.as_answer()).and_then(|()| one.ok_or(StoreError::Unknown))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// The planted bug that the barrier audit must see.
fn acknowledge_early(batch: &mut Batch, admitted: &[Result<Admitted, StoreError>]) {
    for (admit, admitted) in batch.admits.iter_mut().zip(admitted) {
        if let (Some(asker), Ok(admitted)) = (admit.asker.take(), admitted) {
            let _ = asker.send(Ok(admitted.admission));
        }
    }
}

fn commit(sql: &mut Sql<'_>) -> rusqlite::Result<()> {
    if !planted(Fault::CommitFails) || rand::random::<f64>() >= faults::rate(Fault::CommitFails) {
        return sql.commit();
    }
    if rand::random::<bool>() {
        sql.commit()?;
    }
    Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_PROTOCOL), Some("planted".to_owned())))
}
