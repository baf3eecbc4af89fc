//! Who gets what: rules from sources and types to targets. PLACEHOLDER for its owner; the public names are fixed.

use smallvec::SmallVec;

use crate::{
    event::EventTypes,
    name::{RouteName, SourceName, TargetName},
};

/// All rules, in the order of the file.
#[derive(Debug, Default)]
pub struct Routes {}

/// One target an event is owed to, and the rule that said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// To whom.
    pub target: TargetName,
    /// By which rule: the first that names the target; later ones are shadowed.
    pub route: RouteName,
}

impl Routes {
    /// The targets of an event: every matching rule applies, each target once.
    #[must_use]
    pub fn fan_out(&self, _source: &SourceName, _types: &EventTypes) -> SmallVec<[Hit; 4]> {
        SmallVec::new()
    }
}
