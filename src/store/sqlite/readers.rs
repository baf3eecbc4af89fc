//! The reading threads and the gate they go through: `store-read-a` reads payloads for deliveries, `store-read-b` views for operators, so
//! that no operator's question holds up an attempt.
//!
//! A reader inside its statement keeps the write-ahead log from starting over. So each read is one statement, is interrupted when it takes
//! long, and waits outside while the writer has the gate closed.

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::oneshot;

use crate::{
    clock::{Clock, Mono},
    event::{EventId, Payload},
    plan::Plan,
    store::{AuditLine, Counted, EventView, Job, ListedDelivery, Listing, Page, StoreError, Task},
};

use super::{fatal::AbortOnPanic, views};

/// How long one statement of a reader may take.
const READ_TIME_MAX: Duration = Duration::from_millis(250);
/// How often an interrupted read is tried again before it is given up.
const READ_TRIES: usize = 4;
/// Steps of SQLite's machine between two looks at the clock and the gate.
const STEPS_BETWEEN_LOOKS: i32 = 1000;

/// A question to a reader.
#[derive(Debug)]
pub(super) enum Read {
    Payloads(Vec<(EventId, u8)>, oneshot::Sender<Result<Vec<Option<Payload>>, StoreError>>),
    Event(EventId, oneshot::Sender<Result<Option<EventView>, StoreError>>),
    Events(Box<Listing>, oneshot::Sender<Result<Page<EventView>, StoreError>>),
    Deliveries(Box<Listing>, oneshot::Sender<Result<Page<ListedDelivery>, StoreError>>),
    Jobs(oneshot::Sender<Result<Vec<Job>, StoreError>>),
    Audit(usize, oneshot::Sender<Result<Vec<AuditLine>, StoreError>>),
    Count(Box<(Task, Arc<Plan>, EventId)>, oneshot::Sender<Result<Counted, StoreError>>),
    Stop,
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

/// A reading thread.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) questions: mpsc::Sender<Read>,
    thread: JoinHandle<()>,
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
        let (questions, asked) = mpsc::channel();
        let (gate, clock) = (Arc::clone(gate), clock.clone());
        let body = move || {
            let _guard = AbortOnPanic;
            // The statements were tried when the schema was; a failure here is answered question by question.
            let mut sql = views::Sql::prepare(&conn);
            for read in asked {
                match (read, &mut sql) {
                    (Read::Stop, _) => break,
                    (read, Ok(sql)) => answer(read, sql, &gate, &clock, &started),
                    (read, Err(error)) => refuse(read, error),
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Self { questions, thread })
    }

    /// Ends the thread after the question it is at.
    pub(super) fn stop(self) {
        // A thread that is gone has nothing left to hear, or to wait for.
        let _ = self.questions.send(Read::Stop);
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

fn answer(read: Read, sql: &mut views::Sql<'_>, gate: &ReadGate, clock: &Clock, started: &AtomicU64) {
    let mut ask = |question: &mut dyn FnMut(&mut views::Sql<'_>) -> rusqlite::Result<()>| {
        for _ in 0..READ_TRIES {
            let result = gate.inside(|| {
                started.store(clock.mono().0, Ordering::Release);
                let result = question(sql);
                started.store(Mono::NEVER.0, Ordering::Release);
                result
            });
            match result {
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {}
                Err(error) => return Err(StoreError::Broken(error.to_string().into())),
                Ok(()) => return Ok(()),
            }
        }
        Err(StoreError::Busy)
    };
    // An asker who is gone needs no answer.
    match read {
        Read::Payloads(of, reply) => {
            let mut found = Vec::with_capacity(of.len());
            let mut result = Ok(());
            for (event, variant) in of {
                let mut payload = None;
                result = ask(&mut |sql| sql.payload(event, variant).map(|read| payload = read));
                if result.is_err() {
                    break;
                }
                found.push(payload);
            }
            let _ = reply.send(result.map(|()| found));
        }
        Read::Event(id, reply) => {
            let mut view = None;
            let result = ask(&mut |sql| sql.event(id).map(|read| view = read));
            let _ = reply.send(result.map(|()| view));
        }
        Read::Events(listing, reply) => {
            let mut page = Page::empty();
            let result = ask(&mut |sql| sql.lists.events(&listing, clock).map(|read| page = read));
            let _ = reply.send(result.map(|()| page));
        }
        Read::Deliveries(listing, reply) => {
            let mut page = Page::empty();
            let result = ask(&mut |sql| sql.lists.deliveries(&listing, clock).map(|read| page = read));
            let _ = reply.send(result.map(|()| page));
        }
        Read::Jobs(reply) => {
            let mut jobs = Vec::new();
            let result = ask(&mut |sql| sql.acts.jobs().map(|read| jobs = read));
            let _ = reply.send(result.map(|()| jobs));
        }
        Read::Audit(at_most, reply) => {
            let mut lines = Vec::new();
            let result = ask(&mut |sql| sql.acts.audit(at_most).map(|read| lines = read));
            let _ = reply.send(result.map(|()| lines));
        }
        Read::Count(of, reply) => {
            let (task, plan, from) = *of;
            let mut counted = Counted::default();
            let result = ask(&mut |sql| sql.acts.count(&task, &plan, from).map(|read| counted = read));
            let _ = reply.send(result.map(|()| counted));
        }
        Read::Stop => {}
    }
}

fn refuse(read: Read, error: &rusqlite::Error) {
    let broken = StoreError::Broken(error.to_string().into());
    match read {
        Read::Payloads(_, reply) => drop(reply.send(Err(broken))),
        Read::Event(_, reply) => drop(reply.send(Err(broken))),
        Read::Events(_, reply) => drop(reply.send(Err(broken))),
        Read::Deliveries(_, reply) => drop(reply.send(Err(broken))),
        Read::Jobs(reply) => drop(reply.send(Err(broken))),
        Read::Audit(_, reply) => drop(reply.send(Err(broken))),
        Read::Count(_, reply) => drop(reply.send(Err(broken))),
        Read::Stop => {}
    }
}
