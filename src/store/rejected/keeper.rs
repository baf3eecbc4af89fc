//! The ring's thread: it writes what waits in batches, answers operators between them, and forgets what is too old. Whatever goes wrong
//! with its file is counted, told in the log once, and tried again later; nobody who rings ever waits for it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, TryRecvError},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    Shared,
    entry::{NewRejected, RejectedFilter, RejectedId, RejectedPage, RejectedRequest},
    file::{self, File, Trouble},
};
use crate::{
    clock::{Mono, UnixMs},
    event::EventId,
    limits::RING_BYTES_MAX,
    metrics::RingResult,
    store::StoreError,
};

/// Requests in one commit.
const BATCH_MAX: usize = 64;
/// How often what is too old is looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(30);
/// The pause between two tries to open a file that could not be used.
const OPEN_EVERY: Duration = Duration::from_secs(30);

/// Who waits for an answer, and the place that the question takes among those that wait.
#[derive(Debug)]
pub(super) struct Asker<T> {
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
    pub(super) _place: OwnedSemaphorePermit,
}

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    Keep(Box<NewRejected>),
    List(RejectedFilter, Asker<RejectedPage>),
    Read(RejectedId, Asker<Option<RejectedRequest>>),
    Mark(RejectedId, EventId, Asker<()>),
    Close(mpsc::Sender<()>),
}

/// The thread's own.
pub(super) struct Keeper {
    path: PathBuf,
    keep_for: Duration,
    shared: Arc<Shared>,
    file: Option<File>,
    /// When the file is tried again.
    open_at: Mono,
    expire_at: Mono,
}

impl Keeper {
    pub(super) fn new(path: PathBuf, keep_for: Duration, shared: Arc<Shared>) -> Self {
        Self { path, keep_for, shared, file: None, open_at: Mono(0), expire_at: Mono(0) }
    }

    /// Works until it is closed, or nobody is left who could ask.
    pub(super) fn run(mut self, asked: &mpsc::Receiver<Work>) {
        loop {
            self.open();
            self.expire();
            let mut batch = Vec::new();
            let mut work = match asked.recv_timeout(EXPIRE_EVERY) {
                Ok(work) => Some(work),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            while let Some(Work::Keep(new)) = work {
                batch.push(*new);
                let next = if batch.len() < BATCH_MAX { asked.try_recv() } else { Err(TryRecvError::Empty) };
                work = next.ok();
            }
            self.write(&batch);
            match work {
                Some(Work::Close(done)) => {
                    self.file = None;
                    let _ = done.send(());
                    return;
                }
                Some(work) => self.answer(work),
                None => {}
            }
        }
    }

    fn write(&mut self, batch: &[NewRejected]) {
        if batch.is_empty() {
            return;
        }
        let now = self.shared.clock.wall();
        let written = self.file.as_mut().map(|file| file.write(batch, now));
        let result = if matches!(written, Some(Ok(()))) { RingResult::Kept } else { RingResult::Failed };
        self.shared.metrics.ring(result, batch.len());
        self.shared.waiting.leave(batch.len() as u64, batch.iter().map(NewRejected::bytes).sum());
        if let Some(Err(trouble)) = written {
            self.fail(&trouble);
        }
        self.note_held();
    }

    /// What has come before this is over.
    fn cut(&self) -> UnixMs {
        let keep_ms = i64::try_from(self.keep_for.as_millis()).unwrap_or(i64::MAX);
        UnixMs(self.shared.clock.wall().0.saturating_sub(keep_ms))
    }

    fn expire(&mut self) {
        let (now, cut) = (self.shared.clock.mono(), self.cut());
        if now < self.expire_at {
            return;
        }
        self.expire_at = now + EXPIRE_EVERY;
        if let Some(Err(trouble)) = self.file.as_mut().map(|file| file.expire(cut)) {
            self.fail(&trouble);
        }
        self.note_held();
    }

    fn answer(&mut self, work: Work) {
        let cut = self.cut();
        let file = self.file.as_ref();
        let trouble = match work {
            // Nobody waits for it any more.
            Work::List(_, Asker { reply, .. }) if reply.is_closed() => None,
            Work::Read(_, Asker { reply, .. }) if reply.is_closed() => None,
            Work::List(mut filter, asker) => {
                // What is over and not yet removed is over all the same.
                filter.since = filter.since.max(Some(cut));
                reply(asker, file.map(|file| file.list(&filter)))
            }
            Work::Read(id, asker) => {
                let is_current = |found: &RejectedRequest| found.summary.at >= cut;
                reply(asker, file.map(|file| file.read(id).map(|found| found.filter(is_current))))
            }
            Work::Mark(id, event, asker) => reply(asker, file.map(|file| file.mark(id, event))),
            Work::Keep(_) | Work::Close(_) => None,
        };
        if let Some(trouble) = trouble {
            self.fail(&trouble);
        }
    }

    /// Opens the file when it is not open and its time has come; one that is damaged is thrown away for a new one.
    fn open(&mut self) {
        let now = self.shared.clock.mono();
        if self.file.is_some() || now < self.open_at {
            return;
        }
        self.open_at = now + OPEN_EVERY;
        let opened = match File::open(&self.path, RING_BYTES_MAX) {
            Err(trouble) if trouble.is_damage() => {
                tracing::warn!(event = "store", reason = %trouble, "the file of rejected requests is damaged: a new one is made");
                file::remove(&self.path).map_err(Trouble::from).and_then(|()| File::open(&self.path, RING_BYTES_MAX))
            }
            opened => opened,
        };
        match opened {
            Ok(file) => {
                self.file = Some(file);
                if self.shared.say(None) {
                    tracing::info!(event = "store", "rejected requests are kept again");
                }
                self.note_held();
            }
            Err(trouble) => self.fail(&trouble),
        }
    }

    /// Lets go of the file until the next try, and says so when it is news. What was damaged shows when it is opened again.
    fn fail(&mut self, trouble: &Trouble) {
        self.file = None;
        if trouble.is_damage() && file::remove(&self.path).is_ok() {
            // A new one can be had at once.
            self.open_at = self.shared.clock.mono();
        }
        if self.shared.say(Some(trouble.to_string().into())) {
            tracing::warn!(event = "store", reason = %trouble, "rejected requests are not kept: {} cannot be used", self.path.display());
        }
    }

    fn note_held(&self) {
        let (bytes, requests) = self.file.as_ref().map_or((0, 0), File::held);
        self.shared.note_held(bytes, requests);
    }
}

/// Answers, and gives back what went wrong with the file.
fn reply<T>(asker: Asker<T>, result: Option<Result<T, Trouble>>) -> Option<Trouble> {
    let (answer, trouble) = match result {
        Some(Ok(found)) => (Ok(found), None),
        Some(Err(trouble)) => (Err(StoreError::Away), Some(trouble)),
        None => (Err(StoreError::Away), None),
    };
    // Nobody may wait for it any more.
    let _ = asker.reply.send(answer);
    trouble
}
