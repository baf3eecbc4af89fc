//! `alerts` as it is written: who is told of what, without having asked.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    placed::{OneOrMany, Placed},
    section::Section,
    values,
};
use crate::{
    alert::Kind,
    yaml::{At, Node, Problems, Value},
};

/// Who is told of what, without having asked. Each alert is a small JSON document, delivered as any event is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(extend("x-required" = ["to"]))]
pub struct Alerts {
    /// Where it begins.
    #[serde(skip)]
    #[schemars(skip)]
    pub at: At,
    /// The targets that get them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Placed<OneOrMany<Placed<String>>>>,
    /// What they are told of; left out, of all of it.
    pub events: Placed<OneOrMany<Placed<Kind>>>,
}

impl Alerts {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`alerts`", problems);
        let (at, to) = (section.at.clone(), section.several("to", values::string));
        let events = section.several_or("events", Kind::ALL, kind);
        let is_mapping = matches!(node.value, Value::Map(_) | Value::Nothing);
        if is_mapping && node.get("to").is_none() {
            section.problems.error_hint(&at, "`alerts` needs `to`", "name one target, or a list of them");
        }
        section.finish();
        Self { at, to, events }
    }
}

fn kind(node: &Node, what: &str, problems: &mut Problems) -> Option<Kind> {
    if matches!(&node.value, Value::Scalar { text, .. } if text == "reload_failed") {
        problems.error(&node.at, "the alert `reload_failed` is planned and not built yet");
        return None;
    }
    values::choice(&Kind::ALL, node, what, problems)
}
