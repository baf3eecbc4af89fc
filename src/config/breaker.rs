//! `targets.<name>.breaker` and `rate_limit` as they are written: how many attempts a target gets, and when none.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::{
    placed::{Period, Placed, Share},
    section::Section,
    values,
};
use crate::yaml::{Node, Problems, off};

/// Most that a rate may name: beyond it there is none.
const RATE_MAX: u32 = 1_000_000;

/// When a target is left alone, for how long, and how its backlog comes back. `none` never leaves it alone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Breaker {
    /// Failures in a row that open it: no connection, no answer in time, 5xx.
    pub consecutive: Placed<u32>,
    /// Or this share of the attempts of a window, ...
    pub failure_rate: Placed<Share>,
    /// ... which is so long, ...
    pub window: Placed<Period>,
    /// ... once there were so many.
    pub min_attempts: Placed<u32>,
    /// How long nothing is tried before one attempt finds out; twice as long after each that fails, ...
    pub open_for: Placed<Period>,
    /// ... and at most this.
    pub open_for_max: Placed<Period>,
    /// How its backlog comes back. `none` lets all of it come at once.
    pub ramp: Option<Ramp>,
}

/// The rate at which a backlog comes back, as it rises.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ramp {
    /// Attempts at first.
    pub from: Placed<Rate>,
    /// How long until it is twice as many.
    pub double_every: Placed<Period>,
}

/// So many in a time: `100/s`, `600/m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    unit: char,
}

/// A rate, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RateLimit {
    /// As many as there are.
    None,
    /// So many.
    #[serde(untagged)]
    AtMost(Rate),
}

impl Rate {
    /// The time it is counted in.
    #[must_use]
    pub fn per(self) -> Duration {
        let seconds = UNITS.iter().find(|(unit, _)| *unit == self.unit).map_or(1, |(_, seconds)| *seconds);
        Duration::from_secs(seconds)
    }
}

const UNITS: [(char, u64); 3] = [('s', 1), ('m', 60), ('h', 3600)];

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[0-9]+ */ *[smh]$|\$\{", "examples": ["100/s", "600/m"] })
    }
}

/// A rate.
fn rate(node: &Node, what: &str, problems: &mut Problems) -> Option<Rate> {
    let text = values::text(node, what, problems)?;
    let read = || {
        let (count, unit) = text.split_once('/')?;
        let mut unit = unit.trim().chars();
        let rate = Rate { count: count.trim().parse().ok()?, unit: unit.next()? };
        let known = UNITS.iter().any(|(unit, _)| *unit == rate.unit) && unit.next().is_none();
        (known && (1..=RATE_MAX).contains(&rate.count)).then_some(rate)
    };
    let rate = read();
    if rate.is_none() {
        let wanted = format!("{what} is a number of attempts in a time, such as `100/s`, `600/m` or `1000/h`");
        problems.error(&node.at, format!("{wanted}, and this is {}", values::shown(node, text)));
    }
    rate
}

/// A rate, or `none`.
pub(super) fn rate_limit(node: &Node, what: &str, problems: &mut Problems) -> Option<RateLimit> {
    if off(node) { Some(RateLimit::None) } else { rate(node, what, problems).map(RateLimit::AtMost) }
}

impl Breaker {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`breaker`", problems);
        let read = Self {
            consecutive: section.value("consecutive", 10, |node, what, problems| values::count(node, what, 1, 10_000, problems)),
            failure_rate: section.value("failure_rate", Share(50), values::share),
            window: section.value("window", Period::secs(30), values::lasting),
            min_attempts: section.value("min_attempts", 20, |node, what, problems| values::count(node, what, 1, 10_000, problems)),
            open_for: section.value("open_for", Period::secs(5), values::lasting),
            open_for_max: section.value("open_for_max", Period::secs(60), values::lasting),
            ramp: match section.node("ramp") {
                Some(node) if off(node) => None,
                Some(node) => Some(Ramp::read(node, section.problems)),
                None => Some(Ramp::read(&section.part("ramp"), section.problems)),
            },
        };
        if *read.open_for > *read.open_for_max {
            let said = format!("`open_for` ({}) is longer than `open_for_max` ({})", *read.open_for, *read.open_for_max);
            section.problems.error(&read.open_for.at, said);
        }
        section.finish();
        read
    }
}

impl Ramp {
    fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`ramp`", problems);
        let read = Self {
            from: section.value("from", Rate { count: 10, unit: 's' }, rate),
            double_every: section.value("double_every", Period::secs(5), values::lasting),
        };
        if read.from.unit != 's' {
            section.problems.error(&read.from.at, "`from` is a number of attempts a second, such as `10/s`");
        }
        section.finish();
        read
    }
}
