//! `routes`: rules from sources to targets as they are written.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    placed::{OneOrMany, Placed},
    section::Section,
    values,
};
use crate::yaml::{At, Node, Problems};

/// A rule: from sources, for types, to targets. Every rule that matches applies, in the order of the file; each target gets an event once.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(extend("x-required" = ["to"]))]
pub struct Route {
    /// Where it begins.
    #[serde(skip)]
    #[schemars(skip)]
    pub at: At,
    /// Its name in listings; `route-1`, `route-2`, ... by its place when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Placed<String>>,
    /// The sources; left out, every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Placed<OneOrMany<Placed<String>>>>,
    /// Types of which one must match, with `*` for any text, dots included; left out, every event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<Placed<OneOrMany<Placed<String>>>>,
    /// The targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Placed<OneOrMany<Placed<String>>>>,
    /// Switched off.
    pub disabled: Placed<bool>,
}

impl Route {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "a route", problems);
        let read = Self {
            at: node.at.clone(),
            name: section.optional("name", values::string),
            from: section.several("from", values::string),
            types: section.several("types", glob),
            to: section.several("to", values::string),
            disabled: section.value("disabled", false, values::flag),
        };
        if node.get("to").is_none() && node.get("drop").is_none() {
            section.problems.error_hint(&node.at, "a route needs `to`", "name one target, or a list of them");
        }
        section.planned(&["when", "keep", "drop", "transform"]);
        section.finish();
        read
    }
}

fn glob(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    let instead = "leave it out for every event; a type of this name is written in quotes";
    if values::stays_on(node, what, instead, problems) { None } else { values::string(node, what, problems) }
}
