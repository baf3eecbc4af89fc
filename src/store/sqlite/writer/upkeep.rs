//! What the writer does between batches: the log, the merge, the room, and the chores it was given.

use std::time::Duration;

use crate::{
    clock::Span,
    metrics::StoreOperation,
    name::TargetName,
    store::{StoreError, Swept},
};

use super::super::{
    holds,
    memory::Turn,
    room::Verdict,
    seen::MERGE_CHUNK,
    sweep::{self, Purpose},
};
use super::{MEASURE_EVERY, Writer};

impl Writer<'_> {
    /// Between batches: the log, the merge, the room.
    pub(super) fn look_after(&mut self, is_quiet: bool) {
        if let Err(error) = self.memory.tail.turn(&mut self.sql.seen) {
            self.note(&error);
        }
        let Self { checkpoints, conn, shared, .. } = self;
        if let Err(error) = checkpoints.turn(conn, shared, is_quiet) {
            self.note(&error);
        }
        if self.shared.clock.mono().since(self.measured) >= MEASURE_EVERY {
            self.measure();
        }
        if self.verdict != Verdict::Room && self.sweep(Purpose::Room, sweep::STEP_TIME).is_ok_and(|swept| swept.events > 0) {
            self.measure();
        }
    }

    pub(super) fn measure(&mut self) {
        self.measured = self.shared.clock.mono();
        let pragma = |name: &str| self.conn.query_row(name, [], |row| row.get::<_, i64>(0)).map(|n| u64::try_from(n).unwrap_or(0));
        let measured = pragma("PRAGMA page_count")
            .and_then(|pages| Ok((pages, pragma("PRAGMA freelist_count")?, pragma("PRAGMA page_size")?)))
            .map(|(pages, free, page)| self.room.measure(pages, free, page));
        match measured {
            Ok(measure) => {
                self.disk_full = !self.room.take_ballast(measure.free) && self.disk_full;
                self.verdict = self.room.judge(measure);
                self.shared.status.measured(measure);
            }
            Err(error) => self.note(&error),
        }
        self.publish_accepting();
    }

    pub(super) fn publish_accepting(&self) {
        let accepting = !self.disk_full && self.verdict != Verdict::None && !self.checkpoints.is_log_huge();
        self.shared.status.accept(accepting, !self.disk_full);
    }

    pub(super) fn sweep(&mut self, purpose: Purpose, budget: Duration) -> Result<Swept, StoreError> {
        let began = self.shared.clock.mono();
        let mut swept = Swept::default();
        let result = self.transaction(|writer, now| {
            let Self { sql, memory, staged, cursors, shared, .. } = writer;
            let mut turn = Turn { sql, memory, staged, now };
            let retention = &shared.settings.retention;
            swept = sweep::step(&mut turn, cursors, purpose, retention, (&shared.clock, budget))?;
            if turn.memory.tail.has_work() {
                turn.memory.tail.merge(&mut turn.staged.seen, &mut turn.sql.seen, MERGE_CHUNK, now.wall)?;
            }
            Ok(())
        });
        self.shared.metrics.store_operation(StoreOperation::Sweep, self.shared.clock.mono().since(began));
        result.map(|()| swept).map_err(|failed| failed.as_answer())
    }

    pub(super) fn keep_holds(&mut self, target: &TargetName, spans: &[Span]) -> Result<(), StoreError> {
        let result = self.transaction(|writer, now| {
            let Self { sql, memory, staged, .. } = writer;
            holds::keep(&mut Turn { sql, memory, staged, now }, target, spans)
        });
        result.map_err(|failed| failed.as_answer())
    }
}
