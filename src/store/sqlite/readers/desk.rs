//! How a reader answers: one statement at a time through the gate, again when it was interrupted, and for nobody who is gone.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Error, ErrorCode, ffi};

use crate::{
    clock::{Clock, Mono},
    event::EventId,
    store::{StoreError, Stored},
};

use super::{super::views, Asker, Read, ReadGate, tell};

/// How often an interrupted read is tried again before it is given up.
const READ_TRIES: usize = 4;

/// Where a reader's questions are answered.
pub(super) struct Desk<'d, 'c> {
    pub(super) sql: &'d mut views::Sql<'c>,
    pub(super) gate: &'d ReadGate,
    pub(super) clock: &'d Clock,
    pub(super) started: &'d AtomicU64,
}

/// Why a statement has no answer.
enum Failed {
    /// It was interrupted each time.
    Late,
    Sqlite(Error),
}

impl<'c> Desk<'_, 'c> {
    /// Answers one question.
    pub(super) fn answer(&mut self, read: Read) {
        match read {
            Read::Payloads(of, reply) => {
                let stored = self.payloads(of, &reply);
                tell(reply, || Ok(stored));
            }
            Read::Event(id, reply) => tell(reply, || self.ask(|sql| sql.event(id))),
            Read::Events(listing, reply) => tell(reply, || {
                let clock = self.clock;
                self.ask(|sql| sql.lists.events(&listing, clock))
            }),
            Read::Deliveries(listing, reply) => tell(reply, || {
                let clock = self.clock;
                self.ask(|sql| sql.lists.deliveries(&listing, clock))
            }),
            Read::Jobs(reply) => tell(reply, || self.ask(|sql| sql.acts.jobs())),
            Read::Audit(at_most, reply) => tell(reply, || self.ask(|sql| sql.acts.audit(at_most))),
            Read::Count(of, reply) => tell(reply, || {
                let (task, plan, from) = *of;
                self.ask(|sql| sql.acts.count(&task, &plan, from))
            }),
            Read::Wake => {}
        }
    }

    /// Each by itself: one that cannot be read takes no other with it. Only where one comes too late those behind it are not waited for
    /// as long again.
    fn payloads(&mut self, of: Vec<(EventId, u8)>, reply: &Asker<Vec<Stored>>) -> Vec<Stored> {
        let mut is_late = false;
        let mut read = |(event, variant)| {
            if is_late || reply.is_closed() {
                return Err(StoreError::Busy);
            }
            match self.run(|sql| sql.payload(event, variant)) {
                Err(Failed::Sqlite(error)) if is_damage(&error) => {
                    tracing::error!(event = "store", event_id = %event, reason = %error, "stored bytes cannot be read: they are lost");
                    Ok(None)
                }
                Err(failed) => {
                    is_late = matches!(failed, Failed::Late);
                    Err(failed.into_answer())
                }
                Ok(found) => Ok(found),
            }
        };
        of.into_iter().map(&mut read).collect()
    }

    fn ask<T>(&mut self, question: impl FnMut(&mut views::Sql<'c>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.run(question).map_err(Failed::into_answer)
    }

    fn run<T>(&mut self, mut question: impl FnMut(&mut views::Sql<'c>) -> rusqlite::Result<T>) -> Result<T, Failed> {
        for _ in 0..READ_TRIES {
            let result = self.gate.inside(|| {
                self.started.store(self.clock.mono().0, Ordering::Release);
                let result = question(self.sql);
                self.started.store(Mono::NEVER.0, Ordering::Release);
                result
            });
            match result {
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {}
                result => return result.map_err(Failed::Sqlite),
            }
        }
        Err(Failed::Late)
    }
}

impl Failed {
    fn into_answer(self) -> StoreError {
        match self {
            Self::Late => StoreError::Busy,
            Self::Sqlite(error) => StoreError::Broken(error.to_string().into()),
        }
    }
}

/// Whether it is the stored bytes that cannot be read, and not this moment: then they will not be read the next time either.
fn is_damage(error: &Error) -> bool {
    const UNREADABLE: [i32; 4] =
        [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_CORRUPTFS, ffi::SQLITE_IOERR_DATA];
    match error {
        Error::SqliteFailure(of, _) => {
            matches!(of.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) || UNREADABLE.contains(&of.extended_code)
        }
        Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_from_a_bad_moment() {
        let of = |code| is_damage(&Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_CORRUPT_INDEX, ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ] {
            assert!(of(code), "{code}");
        }
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_INTERRUPT, ffi::SQLITE_NOMEM, ffi::SQLITE_IOERR_NOMEM, ffi::SQLITE_IOERR_LOCK] {
            assert!(!of(code), "{code}");
        }
        assert!(is_damage(&Error::IntegralValueOutOfRange(2, -1)) && !is_damage(&Error::QueryReturnedNoRows));
    }
}
