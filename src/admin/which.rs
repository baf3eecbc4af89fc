//! The filter of an act, as a body has it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{answer::Problem, parameter};
use crate::store::{FILTER_LIMIT_MAX, FILTER_VALUES_MAX};

/// Which deliveries are meant: everything that is given must hold, and of several values of one kind any may. At least one thing besides
/// `limit` must be given.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Filter", transform = say_something)]
pub(super) struct Which {
    /// Events of one of these sources.
    #[serde(deserialize_with = "parameter::texts")]
    #[schemars(schema_with = "sources")]
    source: Vec<String>,
    /// Deliveries to one of these targets.
    #[serde(deserialize_with = "parameter::texts")]
    #[schemars(schema_with = "names")]
    target: Vec<String>,
    /// Events with a type that fits one of these; `*` is any text.
    #[serde(deserialize_with = "parameter::texts")]
    #[schemars(schema_with = "patterns")]
    r#type: Vec<String>,
    /// Deliveries in one of these states; `paused` and `parked` go alone.
    #[serde(deserialize_with = "parameter::texts")]
    #[schemars(schema_with = "states")]
    state: Vec<String>,
    /// Events received at this time or later; an age counts back from now.
    #[schemars(schema_with = "time")]
    since: Option<String>,
    /// Events received before this time.
    #[schemars(schema_with = "time")]
    until: Option<String>,
    /// These events and deliveries.
    #[serde(deserialize_with = "parameter::texts")]
    #[schemars(schema_with = "ids")]
    id: Vec<String>,
    /// Events that no route wanted.
    unrouted: bool,
    /// So many deliveries at most, those of the oldest events.
    #[serde(deserialize_with = "parameter::whole")]
    #[schemars(range(min = 1, max = FILTER_LIMIT_MAX))]
    limit: Option<u64>,
}

impl Which {
    /// As the parameters of a query. A filter that says nothing is refused: programs leave out a field whose value they do not know, and
    /// everything there is must be asked for in words.
    ///
    /// # Errors
    /// It says nothing, or too much.
    pub(super) fn pairs(self) -> Result<Vec<(&'static str, String)>, Problem> {
        let lists = [("source", self.source), ("target", self.target), ("type", self.r#type), ("state", self.state), ("id", self.id)];
        if lists.iter().any(|(_, values)| values.len() > FILTER_VALUES_MAX) {
            return Err(Problem::bad(format!("a filter takes at most {FILTER_VALUES_MAX} values of one kind")));
        }
        let mut pairs: Vec<(&'static str, String)> = Vec::new();
        for (name, values) in lists {
            pairs.extend(values.into_iter().map(|value| (name, value)));
        }
        pairs.extend([("since", self.since), ("until", self.until)].into_iter().filter_map(|(name, value)| Some((name, value?))));
        if self.unrouted {
            pairs.push(("unrouted", "true".to_owned()));
        }
        if pairs.is_empty() {
            let why = "`filter` says which deliveries, by at least one of `source`, `target`, `type`, `state`, `since`, `until`, `id` and \
                       `unrouted` (everything is `since: 1970-01-01T00:00:00Z`)";
            return Err(Problem::bad(why));
        }
        pairs.extend(self.limit.map(|limit| ("limit", limit.to_string())));
        Ok(pairs)
    }
}

/// What [`Which::pairs`] refuses, said in the schema: one of the fields stands there with a value.
fn say_something(schema: &mut Schema) {
    let said = |name: &str, value: Value| json!({ "required": [name], "properties": { name: value } });
    let lists = ["source", "target", "type", "state", "id"].map(|name| said(name, json!({ "not": { "const": [] } })));
    let times = ["since", "until"].map(|name| said(name, json!({ "type": "string" })));
    let unrouted = said("unrouted", json!({ "const": true }));
    schema.insert("anyOf".to_owned(), lists.into_iter().chain(times).chain([unrouted]).collect());
}

fn sources(_: &mut SchemaGenerator) -> Schema {
    parameter::shaped(parameter::one_or_many(&parameter::source()))
}

fn names(_: &mut SchemaGenerator) -> Schema {
    parameter::shaped(parameter::one_or_many(&parameter::name()))
}

fn patterns(_: &mut SchemaGenerator) -> Schema {
    parameter::shaped(parameter::one_or_many(&parameter::pattern()))
}

fn states(_: &mut SchemaGenerator) -> Schema {
    parameter::shaped(parameter::state_or_states())
}

fn ids(_: &mut SchemaGenerator) -> Schema {
    parameter::shaped(parameter::one_or_many(&parameter::id()))
}

fn time(_: &mut SchemaGenerator) -> Schema {
    parameter::or_nothing(&parameter::time())
}
