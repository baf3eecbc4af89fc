//! What operators ask of the store, and what one bounded step of it came to.
//!
//! A pause is one write. Everything that is about many deliveries is a job: a row with a filter, a cursor and what was done so far. Each
//! [`Verb::Go`] does one step of at most [`STEP_DELIVERIES_MAX`] deliveries and moves the cursor in the same write, so that a job goes on
//! after a crash where it was, and does nothing twice. A step takes events whole, in the order of their ids, up to the last one there was
//! when the job began.
//!
//! - *Replay* gives a settled delivery a new one: the next slot of its event, under a new id; the old row is never changed. Of several
//!   deliveries of an event to one target only the last counts, unless the filter names the one that is meant.
//! - *Cancel* settles what waits. What is under way is left alone, and counted.
//! - *Move* gives what waits for a target that has left the configuration to another one, as if it had been born for that one now.

mod choose;
mod task;

use std::{fmt, num::NonZeroU32, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    clock::UnixMs,
    event::EventId,
    name::TargetName,
    pause::{Pause, Pauses},
    plan::Plan,
};

use super::{Store, StoreError};

pub use task::{Task, TaskError, Work};

pub(super) use choose::{Deed, EventFacts, Facts, Page, Today, Walked, walk};

/// Deliveries one step may write.
pub const STEP_DELIVERIES_MAX: usize = 500;
/// Rows one step may look at: how long it may keep the store's writer from everybody else.
pub const STEP_ROWS_MAX: usize = 1_000;
/// Jobs that may run at once.
pub const JOBS_RUNNING_MAX: usize = 4;
/// Jobs that are remembered once they have ended: the latest.
pub const JOBS_KEPT_MAX: usize = 100;
/// Lines of the audit that are kept: the latest.
pub const AUDIT_LINES_MAX: usize = 10_000;

/// Something an operator wants, and who it is: the name of a token.
#[derive(Clone, Debug)]
pub struct Act {
    /// Who.
    pub by: Box<str>,
    /// What.
    pub verb: Verb,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub enum Verb {
    /// Hold a target, until somebody resumes it or until then. A target that is held already is held by the new terms.
    Pause {
        /// Which.
        target: TargetName,
        /// When it ends by itself.
        until: Option<UnixMs>,
    },
    /// Let a target go on.
    Resume {
        /// Which.
        target: TargetName,
    },
    /// Begin a job. It does nothing before its first step; the same id again is the same job.
    Begin {
        /// Made by who asks, so that asking again is safe.
        id: JobId,
        /// What it is to do.
        task: Task,
        /// Deliveries a second; `None` is as many as the store can.
        rate: Option<NonZeroU32>,
        /// How many deliveries it is expected to do, as counted before.
        expected: Option<u64>,
    },
    /// Do one step of a job.
    Go {
        /// Which.
        id: JobId,
        /// So many deliveries at most, and no more than its rate allows in a second; one event is always taken whole.
        at_most: usize,
        /// Where events go today, and which targets there are.
        plan: Arc<Plan>,
    },
    /// End a job where it is. What it did stays done.
    Stop {
        /// Which.
        id: JobId,
    },
}

/// The identity of a job. Printed as `job_` and 13 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(EventId);

/// A job, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its identity.
    pub id: JobId,
    /// What it does.
    pub task: Task,
    /// Deliveries a second.
    pub rate: Option<NonZeroU32>,
    /// Who began it.
    pub by: Box<str>,
    /// When.
    pub begun_at: UnixMs,
    /// How many deliveries it was expected to do.
    pub expected: Option<u64>,
    /// The next event it looks at.
    pub cursor: EventId,
    /// The last one.
    pub upto: EventId,
    /// What it did.
    pub progress: Progress,
    /// How and when it ended; `None` while it runs.
    pub end: Option<(End, UnixMs)>,
}

/// What a job did, and what it left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Events looked at.
    pub events: u64,
    /// Deliveries replayed, cancelled or moved.
    pub done: u64,
    /// Left alone: an attempt is under way.
    pub in_flight: u64,
    /// Left alone: it waits for its next attempt, so there is nothing to replay.
    pub waiting: u64,
    /// Left alone: a later delivery of the event to the same target counts.
    pub superseded: u64,
    /// Left alone: its bytes are past their retention.
    pub bytes_gone: u64,
    /// Left alone: the event has had as many deliveries as an event can have.
    pub slots_gone: u64,
    /// Left alone: no route of today wants the event.
    pub unrouted: u64,
    /// Left alone: its target is in the configuration, so it is not parked.
    pub not_parked: u64,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything it was to do is done.
    Done,
    /// Somebody stopped it.
    Stopped,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The target is held so, or not at all.
    Held(TargetName, Option<Pause>),
    /// A job began, went on or ended.
    Job(Box<Stepped>),
    /// Nothing was written.
    Refused(Refusal),
}

/// A job after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// How it stands.
    pub job: Job,
    /// Deliveries this step did.
    pub done: u64,
    /// Targets that have deliveries waiting since: their lanes must be told.
    pub waiting: Vec<TargetName>,
}

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many jobs run.
    #[error("{JOBS_RUNNING_MAX} jobs run already, which is as many as may: wait for one to end, or stop one")]
    TooManyJobs,
    /// There is no such job.
    #[error("there is no such job; the last {JOBS_KEPT_MAX} that ended are remembered")]
    NoSuchJob,
}

/// What stands until somebody changes it: for the lanes, and for whoever steps jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The targets that are held.
    pub pauses: Pauses,
    /// The jobs that run.
    pub jobs: Vec<JobId>,
}

/// What a step of a count found: what a job would do, and where the next step begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// What a job would do and leave alone.
    pub progress: Progress,
    /// `None` when everything is counted.
    pub next: Option<EventId>,
}

/// Who did what when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// When.
    pub at: UnixMs,
    /// Who: the name of a token, or `configuration`.
    pub by: Box<str>,
    /// What, for people.
    pub what: Box<str>,
}

impl JobId {
    /// An id that nobody has had.
    #[must_use]
    pub fn random() -> Self {
        Self(EventId::from_i64(rand::random::<i64>() & i64::MAX).unwrap_or(EventId::LEAST))
    }

    /// The number as it is stored.
    #[must_use]
    pub fn to_i64(self) -> i64 {
        self.0.to_i64()
    }

    /// A stored number; negative ones are none.
    #[must_use]
    pub fn from_i64(stored: i64) -> Option<Self> {
        EventId::from_i64(stored).map(Self)
    }

    /// Reads `job_...`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        EventId::parse(&format!("evt_{}", text.strip_prefix("job_")?)).map(Self)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        write!(f, "job_{}", digits.strip_prefix("evt_").unwrap_or(&digits))
    }
}

impl Job {
    /// A job that has done nothing yet; `highest` is the last event there is.
    pub(super) fn begin(
        (id, by): (JobId, &str),
        task: Task,
        (rate, expected): (Option<NonZeroU32>, Option<u64>),
        highest: EventId,
        now: UnixMs,
    ) -> Self {
        let (cursor, upto) = task.filter.event_range();
        Self {
            id,
            task,
            rate,
            by: by.into(),
            begun_at: now,
            expected,
            cursor,
            upto: upto.min(highest),
            progress: Progress::default(),
            end: None,
        }
    }

    /// The job as a step that did nothing leaves it.
    pub(super) fn unchanged(self) -> Step {
        Step::Job(Box::new(Stepped { job: self, done: 0, waiting: Vec::new() }))
    }

    /// How much a step may do, and how much may be done in all.
    pub(super) fn bounds(&self, at_most: usize) -> (usize, Option<u64>) {
        let rate = self.rate.map_or(usize::MAX, |rate| usize::try_from(rate.get()).unwrap_or(usize::MAX));
        (at_most.min(rate), self.left())
    }

    /// How much it may still do, where its filter has a limit.
    fn left(&self) -> Option<u64> {
        self.task.filter.limit.map(|limit| limit.saturating_sub(self.progress.done))
    }

    /// Takes in what a step did, in the same write.
    pub(super) fn advance(&mut self, walked: &Walked, now: UnixMs) {
        self.progress.add(&walked.progress);
        match walked.next.filter(|next| *next <= self.upto) {
            Some(next) => self.cursor = next,
            None => self.end = Some((End::Done, now)),
        }
    }

    /// What the audit says of it when it ended by itself.
    pub(super) fn said_at_end(&self) -> String {
        let Progress { done, in_flight, .. } = self.progress;
        format!("{} did {done} deliveries and left {in_flight} in flight alone", self.id)
    }

    /// Whether it runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.end.is_none()
    }
}

impl End {
    /// The end as it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stopped => "stopped",
        }
    }

    /// Reads back what [`Self::as_str`] says.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        [Self::Done, Self::Stopped].into_iter().find(|end| end.as_str() == text)
    }
}

impl Progress {
    /// Adds what another step did.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.done += other.done;
        self.in_flight += other.in_flight;
        self.waiting += other.waiting;
        self.superseded += other.superseded;
        self.bytes_gone += other.bytes_gone;
        self.slots_gone += other.slots_gone;
        self.unrouted += other.unrouted;
        self.not_parked += other.not_parked;
    }
}

impl Verb {
    /// What the audit says of it; `None` for the steps of a job, which is audited when it begins and ends.
    pub(super) fn audited(&self) -> Option<String> {
        match self {
            Self::Pause { target, until: None } => Some(format!("paused {target}")),
            Self::Pause { target, until: Some(until) } => Some(format!("paused {target} until {until}")),
            Self::Resume { target } => Some(format!("resumed {target}")),
            Self::Begin { id, task, .. } => Some(format!("began {id}: {task}")),
            Self::Stop { id } => Some(format!("stopped {id}")),
            Self::Go { .. } => None,
        }
    }
}

/// Counts what a task would do now, a bounded step at a time: the dry run.
///
/// # Errors
/// The store's.
pub async fn count(store: &dyn Store, task: &Task, plan: &Arc<Plan>) -> Result<Progress, StoreError> {
    let mut all = Progress::default();
    let mut from = EventId::LEAST;
    loop {
        let counted = store.count(task.clone(), Arc::clone(plan), from).await?;
        all.add(&counted.progress);
        match counted.next {
            Some(next) => from = next,
            None => {
                all.done = task.filter.limit.map_or(all.done, |limit| all.done.min(limit));
                return Ok(all);
            }
        }
    }
}
