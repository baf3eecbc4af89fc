//! A target that an operator holds: events are accepted for it as ever, and none is attempted.

use std::collections::BTreeMap;

use crate::{clock::UnixMs, name::TargetName};

/// A target held by an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: UnixMs,
    /// When it ends by itself; `None` when somebody has to end it.
    pub until: Option<UnixMs>,
    /// Who asked for it: the name of a token.
    pub by: Box<str>,
}

/// All pauses, those that are over by now included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses(pub BTreeMap<TargetName, Pause>);

impl Pause {
    /// Whether it holds at this time.
    #[must_use]
    pub fn holds(&self, now: UnixMs) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Pauses {
    /// The pause that holds a target at this time, if one does.
    #[must_use]
    pub fn of(&self, target: &TargetName, now: UnixMs) -> Option<&Pause> {
        self.0.get(target).filter(|pause| pause.holds(now))
    }
}
