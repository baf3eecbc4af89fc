//! The one filter set of every command that is about events and deliveries, as it is written and as the API takes it.

use serde_json::{Map, Value, json};

use crate::{app::Exit, clock::Clock, store::time_or_age};

/// Which events and deliveries are meant: everything that is given must hold; of what is given several times any may.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Events of this source
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
    /// Deliveries to this target
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Events with a type that fits: `*` is any text
    #[arg(long = "type", value_name = "GLOB")]
    types: Vec<String>,
    /// Deliveries in this state: pending, in_flight, blocked, delivered, dead, cancelled, or paused or parked, which go alone
    #[arg(long, value_name = "STATE")]
    state: Vec<String>,
    /// Events received at this time or later (2026-01-31T12:00:00Z), or not older than this (90m, 12h, 3d)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Events received before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// This event or delivery
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Events that no route wanted
    #[arg(long)]
    unrouted: bool,
    /// Planned: an expression over the payload
    #[arg(long = "match", value_name = "EXPR", hide = true)]
    expression: Option<String>,
}

impl Which {
    /// As the parameters of the API. Ages become times here, so that what is counted and what is then done are the same.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn pairs(&self) -> Result<Vec<(&'static str, String)>, (Exit, String)> {
        if self.expression.is_some() {
            let why = "`--match` is planned: this version cannot look into payloads; choose by source, type or time";
            return Err((Exit::Usage, why.to_owned()));
        }
        let mut pairs = Vec::new();
        let lists = [("source", &self.source), ("target", &self.target), ("type", &self.types), ("state", &self.state), ("id", &self.id)];
        for (name, values) in lists {
            pairs.extend(values.iter().map(|value| (name, value.clone())));
        }
        for (name, value) in [("since", &self.since), ("until", &self.until)] {
            let Some(value) = value else { continue };
            let time = time_or_age(value, Clock::System.wall());
            let time =
                time.ok_or_else(|| (Exit::Usage, format!("`--{name}` is a time (2026-01-31T12:00:00Z) or an age (90m, 12h, 3d)")))?;
            pairs.push((name, time.to_string()));
        }
        if self.unrouted {
            pairs.push(("unrouted", "true".to_owned()));
        }
        Ok(pairs)
    }

    /// As the body of an act, with `limit`. One that says nothing is refused: everything there is must be asked for in words.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn body(&self, limit: Option<u64>) -> Result<Value, (Exit, String)> {
        let pairs = self.pairs()?;
        if pairs.is_empty() {
            let why = "say which: --source, --target, --type, --state, --since, --until, --id or --unrouted \
                       (everything is --since 1970-01-01T00:00:00Z)";
            return Err((Exit::Usage, why.to_owned()));
        }
        let mut body = Map::new();
        for (name, value) in pairs {
            match name {
                "since" | "until" => drop(body.insert(name.to_owned(), value.into())),
                "unrouted" => drop(body.insert(name.to_owned(), true.into())),
                _ => match body.entry(name).or_insert_with(|| json!([])) {
                    Value::Array(values) => values.push(value.into()),
                    other => *other = json!([value]),
                },
            }
        }
        body.extend(limit.map(|limit| ("limit".to_owned(), limit.into())));
        Ok(body.into())
    }
}
