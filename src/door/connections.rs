//! Every open connection, watched: one that is not being answered has a time by which it must have finished a request, and is cut when it
//! has not.
//!
//! actix times the first head of a connection only. A client that trickles a later head, or never reads on, would be held for ever; so each
//! connection leaves a second handle of its socket here, and shutting that down ends the first. The guard lives with actix's side of the
//! connection and takes the handle with it, so a descriptor is never used after its number has been given to another.

use std::{
    collections::HashMap,
    fmt,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::{Patience, course::Course};
use crate::{
    clock::{Clock, Mono},
    limits::REQUESTS_PER_CONNECTION_MAX,
    metrics::{HttpError, Metrics},
};

/// A connection with this for its due time is being answered: `ingest` has the deadlines then.
const BEING_ANSWERED: u64 = u64::MAX;

/// All open connections.
pub(super) struct Connections {
    open: Mutex<HashMap<u64, Weak<Connection>>>,
    next: AtomicU64,
    gone: Notify,
    clock: Clock,
    metrics: Arc<Metrics>,
    patience: Patience,
}

/// One open connection. Dropped with actix's side of it.
pub(super) struct Guard {
    connection: Arc<Connection>,
    all: Arc<Connections>,
    number: u64,
}

struct Connection {
    /// The second handle; `None` when there was no descriptor left for it.
    socket: Option<TcpStream>,
    /// When it must have finished a request, in monotonic nanoseconds.
    due: AtomicU64,
    requests: AtomicU32,
    /// Where it stands, for whoever reads it.
    course: Arc<Course>,
}

/// A request being answered on a connection.
pub(super) struct Answering<'a> {
    guard: &'a Guard,
    finished: bool,
}

impl Connections {
    pub(super) fn new(clock: Clock, metrics: Arc<Metrics>, patience: Patience) -> Self {
        Self { open: Mutex::default(), next: AtomicU64::new(0), gone: Notify::new(), clock, metrics, patience }
    }

    /// Watches a new connection; `course` is told where it stands.
    pub(super) fn open(self: &Arc<Self>, socket: &impl AsFd, course: Arc<Course>) -> Guard {
        let socket = socket.as_fd().try_clone_to_owned().ok().map(TcpStream::from);
        let due = AtomicU64::new(self.idle_until().0);
        let connection = Arc::new(Connection { socket, due, requests: AtomicU32::new(0), course });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::downgrade(&connection));
        self.metrics.connections.inc();
        Guard { connection, all: Arc::clone(self), number }
    }

    /// Cuts every connection that is past its time.
    pub(super) fn cut_overdue(&self) {
        let now = self.clock.mono().0;
        for connection in self.connections() {
            if connection.due.load(Ordering::Acquire) < now && connection.cut() {
                self.metrics.http_error(HttpError::Cut);
                // Once is enough; actix drops its side when it next looks.
                connection.due.store(BEING_ANSWERED, Ordering::Release);
            }
        }
    }

    /// Cuts every connection and says how many there were.
    pub(super) fn cut_all(&self) -> usize {
        self.connections().iter().filter(|connection| connection.cut()).count()
    }

    /// Ends when no connection is open.
    pub(super) async fn all_gone(&self) {
        // The last one to go leaves a permit, so it may go between the look and the wait.
        while !self.open.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            self.gone.notified().await;
        }
    }

    fn connections(&self) -> Vec<Arc<Connection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect()
    }

    fn idle_until(&self) -> Mono {
        self.clock.mono() + self.patience.keep_alive + self.patience.later_head
    }
}

impl Connection {
    fn cut(&self) -> bool {
        // A socket that is closed already has nothing left to cut.
        self.socket.as_ref().is_some_and(|socket| socket.shutdown(Shutdown::Both).is_ok())
    }
}

impl Guard {
    /// A request begins to be answered.
    pub(super) fn answering(&self) -> Answering<'_> {
        self.connection.due.store(BEING_ANSWERED, Ordering::Release);
        self.connection.course.begin();
        Answering { guard: self, finished: false }
    }

    /// Whether the last answer of this connection has been made: what came behind its request is not to be looked at.
    pub(super) fn has_ended(&self) -> bool {
        self.connection.course.has_ended()
    }

    /// The status to refuse the request with whose head was too long to be read.
    pub(super) fn refusal(&self) -> Option<u16> {
        self.connection.course.refusal()
    }

    /// Ends the connection now.
    pub(super) fn cut(&self) {
        self.connection.cut();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.all.metrics.connections.dec();
        let mut open = self.all.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.number);
        if open.is_empty() {
            self.all.gone.notify_one();
        }
    }
}

impl Answering<'_> {
    /// The answer is made; `close` says that it should be the last one. Says whether the connection may go on.
    pub(super) fn finish(mut self, close: bool) -> bool {
        self.finished = true;
        let connection = &self.guard.connection;
        let requests = connection.requests.fetch_add(1, Ordering::Relaxed) + 1;
        // A connection that cannot be cut is not kept.
        let goes_on = !close && requests < REQUESTS_PER_CONNECTION_MAX && connection.socket.is_some();
        let all = &self.guard.all;
        let due = if goes_on { all.idle_until() } else { all.clock.mono() + all.patience.linger };
        connection.due.store(due.0, Ordering::Release);
        connection.course.finish(goes_on);
        goes_on
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        // The client is gone, and its request with it; an admit under way is finished by the store.
        if !self.finished {
            self.guard.all.metrics.http_error(HttpError::Abandoned);
            self.guard.connection.due.store(0, Ordering::Release);
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connections({})", self.metrics.connections.get())
    }
}
