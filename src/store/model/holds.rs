//! When lanes were held, in the reference store: one bounded list a target, durable as soon as it is written.

use std::collections::BTreeMap;

use crate::{clock::Span, name::TargetName};

use super::Model;

impl Model {
    /// Keeps when a target's lane was held; see [`crate::store::Store::keep_holds`].
    pub fn keep_holds(&mut self, target: TargetName, spans: Vec<Span>) {
        self.holds.insert(target, spans);
    }

    /// When lanes were held; see [`crate::store::Store::holds`].
    #[must_use]
    pub fn holds(&self) -> BTreeMap<TargetName, Vec<Span>> {
        self.holds.clone()
    }
}
