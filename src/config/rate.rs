//! So many in a time, as it is written: `targets.<name>.rate_limit`, and where a ramp begins.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::values;
use crate::yaml::{Node, Problems, off};

/// Most that a rate may name: beyond it there is none.
const RATE_MAX: u32 = 1_000_000;

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
    /// So many a second.
    pub(super) const fn per_second(count: u32) -> Self {
        Self { count, unit: 's' }
    }

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
pub(super) fn rate(node: &Node, what: &str, problems: &mut Problems) -> Option<Rate> {
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
