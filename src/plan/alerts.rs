//! Who is told of what, without having asked.

use std::collections::BTreeSet;

use crate::{alert::Kind, name::TargetName};

/// Who is told of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// The targets that get alerts, each once, at most [`crate::limits::FAN_OUT_MAX`].
    pub to: Vec<TargetName>,
    /// What they are told of.
    pub kinds: BTreeSet<Kind>,
}
