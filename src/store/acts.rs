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
mod job;

use std::{fmt, num::NonZeroU32, sync::Arc};

use crate::{
    clock::UnixMs,
    event::EventId,
    name::TargetName,
    pause::{Pause, Pauses},
    plan::Plan,
};

use super::{Filter, Store, StoreError};

pub use job::{End, Job, JobId, Progress};

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

/// What a job does, and to which deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What.
    pub work: Work,
    /// To which.
    pub filter: Filter,
}

/// What is done to each delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Give it a new delivery, to another target if one is named. With [`Filter::unrouted`], give events deliveries by the routes of today.
    Replay {
        /// To whom, when not to the one it was for.
        to: Option<TargetName>,
    },
    /// Settle it unattempted.
    Cancel,
    /// Give it to another target; its own has left the configuration.
    Move {
        /// To whom.
        to: TargetName,
    },
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

/// What is wrong with a task under a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// Nobody to deliver to.
    #[error("there is no target `{0}` in the configuration to deliver to")]
    NoTarget(TargetName),
    /// Only what is parked is moved.
    #[error("`{0}` is in the configuration: only what waits for a target that has left it can be moved; replay `--to` another one instead")]
    NotParked(TargetName),
    /// Events without deliveries have nothing to cancel or to move.
    #[error("`unrouted` events have no deliveries: they can be replayed, and nothing else")]
    Unrouted,
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

impl Task {
    /// Whether this can be done under a plan.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn check(&self, plan: &Plan) -> Result<(), TaskError> {
        let is_there = |target: &TargetName| plan.targets.contains_key(target);
        let to = match &self.work {
            Work::Replay { to } => to.as_ref(),
            Work::Move { to } => Some(to),
            Work::Cancel => None,
        };
        if let Some(to) = to.filter(|to| !is_there(to)) {
            return Err(TaskError::NoTarget(to.clone()));
        }
        if self.filter.unrouted && !matches!(self.work, Work::Replay { .. }) {
            return Err(TaskError::Unrouted);
        }
        match (&self.work, self.filter.targets.iter().find(|target| is_there(target))) {
            (Work::Move { .. }, Some(target)) => Err(TaskError::NotParked(target.clone())),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.work {
            Work::Replay { to: None } => f.write_str("replay")?,
            Work::Replay { to: Some(to) } => write!(f, "replay to {to}")?,
            Work::Cancel => f.write_str("cancel")?,
            Work::Move { to } => write!(f, "move to {to}")?,
        }
        write!(f, " where {}", self.filter)
    }
}

impl Work {
    /// Its name as it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Replay { .. } => "replay",
            Self::Cancel => "cancel",
            Self::Move { .. } => "move",
        }
    }

    /// To whom, when that is said.
    #[must_use]
    pub fn to(&self) -> Option<&TargetName> {
        match self {
            Self::Replay { to } => to.as_ref(),
            Self::Move { to } => Some(to),
            Self::Cancel => None,
        }
    }

    /// Reads back what [`Self::as_str`] and [`Self::to`] say.
    #[must_use]
    pub fn read(name: &str, to: Option<TargetName>) -> Option<Self> {
        match (name, to) {
            ("replay", to) => Some(Self::Replay { to }),
            ("cancel", None) => Some(Self::Cancel),
            ("move", Some(to)) => Some(Self::Move { to }),
            _ => None,
        }
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
