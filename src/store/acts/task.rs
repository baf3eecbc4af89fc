//! What a job is to do: the kind of work, to which deliveries, and whether it can be done under a plan.

use std::fmt;

use crate::{name::TargetName, plan::Plan, store::Filter};

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
    /// Give it a new delivery, to another target if one is named. With [`Filter::unrouted`], give events their deliveries by the routes of
    /// today.
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
