//! `targets.<name>.retry` as it is written: when to try again, and when no more.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::{
    placed::{OneOrMany, Period, Placed},
    section::Section,
    switch::Switch,
    values,
};
use crate::yaml::{Node, Problems, Value, off};

/// When to try again, and when no more.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Retry {
    /// The first delay.
    pub first: Placed<Period>,
    /// What each further one is multiplied by.
    pub factor: Placed<f64>,
    /// The longest delay, at most 24 h.
    pub max: Placed<Period>,
    /// How delays are spread: `equal` waits between half of the delay and all of it.
    pub jitter: Placed<Jitter>,
    /// The age after which a failed attempt is the last; `none` never.
    pub give_up_after: Placed<GiveUp>,
    /// Failures after which a delivery is dead; `unlimited` leaves it to the age.
    #[schemars(extend("x-off" = true))]
    pub attempts: Placed<Attempts>,
    /// The most a `Retry-After` is heeded.
    pub retry_after_max: Placed<Period>,
    /// Statuses that are final: `410`, or a class such as `4xx`.
    #[schemars(extend("x-off" = true))]
    pub dead_on: Placed<OneOrMany<Placed<Status>>>,
}

/// How delays are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// Between half of the delay and all of it.
    Equal,
}

/// The age after which a failed attempt is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GiveUp {
    /// Never.
    None,
    /// So old.
    #[serde(untagged)]
    After(Period),
}

/// Failures after which a delivery is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Attempts {
    /// As many as fit into the age.
    Unlimited,
    /// So many.
    #[serde(untagged)]
    AtMost(u32),
}

/// A status, or all of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// One status.
    Exact(u16),
    /// A class by its first digit.
    Class(u16),
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exact(status) => to.serialize_u16(*status),
            Self::Class(digit) => to.collect_str(&format_args!("{digit}xx")),
        }
    }
}

impl JsonSchema for Status {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Status".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "pattern": r"^[1345]([0-9]{2}|xx)$|\$\{" })
    }
}

impl Retry {
    pub(super) fn read(target: &mut Section<'_, '_>) -> Self {
        // `retry: none` is one attempt.
        let (written, nothing) = (target.switch("retry"), target.nothing());
        let once = matches!(written, Switch::Off);
        let node = if let Switch::On(node) = written { node } else { &nothing };
        let mut section = Section::of(node, "`retry`", target.problems);
        let read = Self {
            first: section.value("first", Period::secs(1), values::lasting),
            factor: section.value("factor", 2.0, |node, what, problems| values::number(node, what, 1.0, 100.0, problems)),
            max: section.value("max", Period::secs(60 * 60), values::lasting),
            jitter: section.value("jitter", Jitter::Equal, |node, what, problems| values::choice(&[Jitter::Equal], node, what, problems)),
            give_up_after: section.value("give_up_after", GiveUp::After(Period::secs(3 * 24 * 60 * 60)), |node, what, problems| {
                if off(node) { Some(GiveUp::None) } else { values::lasting(node, what, problems).map(GiveUp::After) }
            }),
            attempts: section.value("attempts", if once { Attempts::AtMost(1) } else { Attempts::Unlimited }, attempts),
            retry_after_max: section.value("retry_after_max", Period::secs(60 * 60), values::period),
            dead_on: section.many_or("dead_on", [], status),
        };
        section.finish();
        read
    }
}

fn attempts(node: &Node, what: &str, problems: &mut Problems) -> Option<Attempts> {
    match &node.value {
        Value::Scalar { text, .. } if text == "unlimited" => Some(Attempts::Unlimited),
        _ if off(node) => Some(Attempts::Unlimited),
        _ => values::count(node, what, 1, 1_000_000, problems).map(Attempts::AtMost),
    }
}

fn status(node: &Node, what: &str, problems: &mut Problems) -> Option<Status> {
    let text = values::text(node, what, problems)?;
    let read = match text.strip_suffix("xx") {
        Some(digit) => digit.parse().ok().filter(|digit| matches!(digit, 1 | 3..=5)).map(Status::Class),
        None => text.parse().ok().filter(|status| matches!(status, 100..=199 | 300..=599)).map(Status::Exact),
    };
    if read.is_none() {
        let wanted = "are statuses other than 2xx, such as `410` or `4xx`";
        problems.error(&node.at, format!("{what} {wanted}, and this is {}", values::shown(node, text)));
    }
    read
}
