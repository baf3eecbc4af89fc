//! What can be switched off as a whole, where leaving it out means something else.

use std::{borrow::Cow, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::section::Section;
use crate::yaml::{Node, Problems};

/// What is written of a mapping that can be switched off.
pub(super) enum Switch<'a> {
    /// Nothing, so its defaults hold.
    LeftOut,
    /// `none`, or another word for it.
    Off,
    /// What it is.
    On(&'a Node),
}

/// A mapping, or `none`, which is how a listing shows it: left out it would be its default.
#[derive(Clone, Debug)]
pub struct OrNone<T>(pub Option<T>);

impl<T> OrNone<T> {
    pub(super) fn read(section: &mut Section<'_, '_>, key: &'static str, read: fn(&Node, &mut Problems) -> T) -> Self {
        Self(match section.switch(key) {
            Switch::Off => None,
            Switch::On(node) => Some(read(node, section.problems)),
            Switch::LeftOut => Some(read(&section.nothing(), section.problems)),
        })
    }
}

impl<T> Deref for OrNone<T> {
    type Target = Option<T>;

    fn deref(&self) -> &Option<T> {
        &self.0
    }
}

impl<T: Serialize> Serialize for OrNone<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(mapping) => mapping.serialize(to),
            None => to.serialize_str("none"),
        }
    }
}

impl<T: JsonSchema> JsonSchema for OrNone<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
