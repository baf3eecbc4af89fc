//! `sources.<name>.dedup` as it is written: what makes two requests the same event, and for how long.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    placed::{Period, Placed},
    section::Section,
    switch::Switch,
    values::{self, plain},
};
use crate::yaml::{Node, Problems};

/// How repeats are known.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Dedup {
    /// For how long: `auto` is the longer of 7 days and the provider's retries and 24 hours.
    pub window: Placed<Window>,
    /// By what.
    pub by: Placed<DedupBy>,
    /// What a repeat does to dead deliveries of the event: `revive` gives them a new try.
    pub on_repeat: Placed<OnRepeat>,
}

/// For how long repeats are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// The longer of 7 days and the provider's retries and 24 hours.
    Auto,
    /// For so long.
    #[serde(untagged)]
    For(Period),
}

/// What makes two requests the same event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DedupBy {
    /// The provider's event id, or, when there is none, what its file says: the body, or nothing.
    Provider,
    /// The body.
    Body,
    /// Nothing: every request is new.
    None,
    /// A template of the provider's grammar: `{json:/order/id}:{header:X-Attempt}`. Where it is incomplete it is as with `provider`.
    #[serde(untagged)]
    Template(String),
}

/// What a repeat does to dead deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnRepeat {
    /// Gives them a new try.
    Revive,
    /// Nothing.
    None,
}

impl Dedup {
    pub(super) fn read(source: &mut Section<'_, '_>) -> Self {
        // `dedup: none` is short for `by: none`.
        let (written, nothing) = (source.switch("dedup"), source.nothing());
        let by = if matches!(written, Switch::Off) { DedupBy::None } else { DedupBy::Provider };
        let node = if let Switch::On(node) = written { node } else { &nothing };
        let mut section = Section::of(node, "`dedup`", source.problems);
        let read = Self {
            window: section.value("window", Window::Auto, |node, what, problems| match plain(node) {
                Some("auto") => Some(Window::Auto),
                _ => values::lasting(node, what, problems).map(Window::For),
            }),
            by: section.value("by", by, dedup_by),
            on_repeat: section.value("on_repeat", OnRepeat::Revive, |node, what, problems| {
                values::choice(&[OnRepeat::Revive, OnRepeat::None], node, what, problems)
            }),
        };
        section.finish();
        read
    }
}

fn dedup_by(node: &Node, what: &str, problems: &mut Problems) -> Option<DedupBy> {
    if plain(node).is_some_and(|text| text.contains('{')) {
        if node.hidden {
            problems.error(&node.at, "nothing is inserted into a template, whose braces are values of the request");
            return None;
        }
        return plain(node).map(|text| DedupBy::Template(text.to_owned()));
    }
    values::choice(&[DedupBy::Provider, DedupBy::Body, DedupBy::None], node, what, problems)
}
