//! The reading threads and the gate they go through: `store-read-a` reads payloads for deliveries, `store-read-b` views for operators, so
//! that no operator's question holds up an attempt.
//!
//! A reader inside its statement keeps the write-ahead log from starting over. So each read is one statement, is interrupted when it takes
//! long, and waits outside while the writer has the gate closed.

mod desk;

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, TrySendError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    clock::{Clock, Mono},
    event::EventId,
    plan::Plan,
    store::{AuditLine, Counted, EventView, Job, ListedDelivery, Listing, Page, StoreError, Stored, Task, queue::Refused},
};
use rusqlite::{Connection, OpenFlags};

use super::{
    fatal::AbortOnPanic,
    views,
    work::{Asker, tell},
};
use desk::Desk;

/// How long one statement of a reader may take.
const READ_TIME_MAX: Duration = Duration::from_millis(250);
/// Questions that wait for one reader: far above what the lanes can have out, so reaching it means that it stands still.
const READ_WAITING_MAX: usize = 2048;
/// Steps of SQLite's machine between two looks at the clock and the gate.
const STEPS_BETWEEN_LOOKS: i32 = 1000;

/// A question to a reader.
#[derive(Debug)]
pub(super) enum Read {
    Payloads(Vec<(EventId, u8)>, Asker<Vec<Stored>>),
    Event(EventId, Asker<Option<EventView>>),
    Events(Box<Listing>, Asker<Page<EventView>>),
    Deliveries(Box<Listing>, Asker<Page<ListedDelivery>>),
    Jobs(Asker<Vec<Job>>),
    Audit(usize, Asker<Vec<AuditLine>>),
    Count(Box<(Task, Arc<Plan>, EventId)>, Asker<Counted>),
    /// Nothing: whoever waits for a question looks up.
    Wake,
}

/// Lets readers in one statement at a time, and keeps them out while the writer needs the log to itself.
#[derive(Debug, Default)]
pub(super) struct ReadGate {
    state: Mutex<Inside>,
    changed: Condvar,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Inside {
    readers: usize,
}

/// Where a reader is asked.
#[derive(Clone, Debug)]
pub(super) struct Questions(mpsc::SyncSender<Read>);

/// A reading thread.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) questions: Questions,
    /// Whether it has to end, whoever waits.
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Read {
    /// Says that nothing can be answered, and why.
    fn refuse(self, error: &rusqlite::Error) {
        let broken = StoreError::Broken(error.to_string().into());
        match self {
            Self::Payloads(_, reply) => drop(reply.send(Err(broken))),
            Self::Event(_, reply) => drop(reply.send(Err(broken))),
            Self::Events(_, reply) => drop(reply.send(Err(broken))),
            Self::Deliveries(_, reply) => drop(reply.send(Err(broken))),
            Self::Jobs(reply) => drop(reply.send(Err(broken))),
            Self::Audit(_, reply) => drop(reply.send(Err(broken))),
            Self::Count(_, reply) => drop(reply.send(Err(broken))),
            Self::Wake => {}
        }
    }
}

impl ReadGate {
    /// Runs `work` with the readers outside: those inside are interrupted and waited for, for so long at most.
    pub(super) fn closed_for<T>(&self, at_most: Duration, work: impl FnOnce() -> T) -> T {
        self.closed.store(true, Ordering::Release);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, at_most, |state| state.readers > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        let result = work();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(false, Ordering::Release);
        drop(state);
        self.changed.notify_all();
        result
    }

    fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = |_: &mut Inside| self.closed.load(Ordering::Acquire);
        let mut state = self.changed.wait_while(state, closed).unwrap_or_else(PoisonError::into_inner);
        state.readers += 1;
        drop(state);
        let result = work();
        self.state.lock().unwrap_or_else(PoisonError::into_inner).readers -= 1;
        self.changed.notify_all();
        result
    }
}

impl Questions {
    /// Asks, and waits for nothing.
    pub(super) fn ask(&self, read: Read) -> Result<(), Refused> {
        self.0.try_send(read).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Busy,
            TrySendError::Disconnected(_) => Refused::Closed,
        })
    }
}

impl Reader {
    /// Starts a reading thread on the file.
    pub(super) fn start(name: &str, path: &Path, clock: &Clock, gate: &Arc<ReadGate>) -> Result<Self, StartError> {
        let mut conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.execute_batch("PRAGMA query_only=ON; PRAGMA mmap_size=0; PRAGMA cache_size=-8192; PRAGMA trusted_schema=OFF;")?;
        let started = Arc::new(AtomicU64::new(Mono::NEVER.0));
        let interrupted = {
            let (gate, clock, started) = (Arc::clone(gate), clock.clone(), Arc::clone(&started));
            move || {
                let since = Mono(started.load(Ordering::Acquire));
                gate.closed.load(Ordering::Acquire) || clock.mono().since(since) > READ_TIME_MAX
            }
        };
        conn.progress_handler(STEPS_BETWEEN_LOOKS, Some(interrupted))?;
        let (questions, asked) = mpsc::sync_channel(READ_WAITING_MAX);
        let (gate, clock) = (Arc::clone(gate), clock.clone());
        let is_over = Arc::new(AtomicBool::new(false));
        let is_told = Arc::clone(&is_over);
        let body = move || {
            let _guard = AbortOnPanic;
            // The statements were tried when the schema was; a failure here is answered question by question.
            let mut sql = views::Sql::prepare(&conn);
            for read in asked {
                if is_told.load(Ordering::Acquire) {
                    break;
                }
                match (read, &mut sql) {
                    (read, Ok(sql)) => Desk { sql, gate: &gate, clock: &clock, started: &started }.answer(read),
                    (read, Err(error)) => read.refuse(error),
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Self { questions: Questions(questions), is_over, thread })
    }

    /// Ends the thread after the question it is at. Those that wait get no answer.
    pub(super) fn stop(self) {
        self.is_over.store(true, Ordering::Release);
        // Only to wake it: where there is no room for it, there is something else that does; and a thread that is gone hears nothing.
        let _ = self.questions.0.try_send(Read::Wake);
        let _ = self.thread.join();
    }
}

/// Why a reader did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::store::sqlite::schema;

    type Answer = oneshot::Receiver<Result<Vec<Job>, StoreError>>;

    /// A reader with as many questions as it may have, which it cannot answer before this returns; and what to do then.
    fn full(then: impl FnOnce(&Reader)) -> (Reader, Vec<Answer>) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.db");
        let conn = Connection::open(&path).expect("a file");
        schema::migrate(&conn).expect("the schema");
        let gate = Arc::new(ReadGate::default());
        let reader = Reader::start("a reader", &path, &Clock::System, &gate).expect("it starts");
        let mut replies = Vec::new();
        gate.closed_for(Duration::ZERO, || {
            loop {
                let (asker, reply) = oneshot::channel();
                match reader.questions.ask(Read::Jobs(asker)) {
                    Ok(()) => replies.push(reply),
                    Err(refused) => break assert_eq!(refused, Refused::Busy),
                }
            }
            // One more is in the reader's hands, outside the gate.
            assert!((READ_WAITING_MAX..=READ_WAITING_MAX + 1).contains(&replies.len()), "{}", replies.len());
            then(&reader);
        });
        (reader, replies)
    }

    #[test]
    fn questions_are_bounded() {
        let (reader, replies) = full(|_| {});
        replies.into_iter().for_each(|reply| assert_eq!(reply.blocking_recv().expect("an answer"), Ok(Vec::new())));
        reader.stop();
    }

    #[test]
    fn an_end_does_not_wait_for_all_who_ask() {
        let (reader, replies) = full(|reader| reader.is_over.store(true, Ordering::Release));
        reader.stop();
        let answered = replies.into_iter().filter_map(|reply| reply.blocking_recv().ok()).count();
        assert!(answered <= 1, "{answered}");
    }
}
