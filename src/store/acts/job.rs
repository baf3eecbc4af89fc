//! A job: its identity, how far it has come, and how it ended.

use std::{fmt, num::NonZeroU32};

use serde::{Deserialize, Serialize};

use crate::{clock::UnixMs, event::EventId};

use super::{Step, Stepped, Task, Walked};

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
    /// Left alone: its target has left the configuration, and no other one was named.
    #[serde(default)]
    pub target_gone: u64,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything it was to do is done.
    Done,
    /// Somebody stopped it.
    Stopped,
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
    pub(in crate::store) fn begin(
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
    pub(in crate::store) fn unchanged(self) -> Step {
        Step::Job(Box::new(Stepped { job: self, done: 0, waiting: Vec::new() }))
    }

    /// How much a step may do, and how much may be done in all.
    pub(in crate::store) fn bounds(&self, at_most: usize) -> (usize, Option<u64>) {
        let rate = self.rate.map_or(usize::MAX, |rate| usize::try_from(rate.get()).unwrap_or(usize::MAX));
        (at_most.min(rate), self.left())
    }

    /// How much it may still do, where its filter has a limit.
    fn left(&self) -> Option<u64> {
        self.task.filter.limit.map(|limit| limit.saturating_sub(self.progress.done))
    }

    /// Takes in what a step did, in the same write.
    pub(in crate::store) fn advance(&mut self, walked: &Walked, now: UnixMs) {
        self.progress.add(&walked.progress);
        match walked.next.filter(|next| *next <= self.upto) {
            Some(next) => self.cursor = next,
            None => self.end = Some((End::Done, now)),
        }
    }

    /// What the audit says of it when it ended by itself.
    pub(in crate::store) fn said_at_end(&self) -> String {
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
        self.target_gone += other.target_gone;
    }
}
