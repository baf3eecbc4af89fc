//! /api/v1/sources, targets and secrets, and what holds a target or lets it go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Gateway,
    answer::Problem,
    call::{Call, in_time},
    lists::{Listed, unknown},
    status::{self, Paused, SourceStatus, TargetStatus},
};
use crate::{
    name::TargetName,
    store::{Act, Step, Verb, age},
};

/// A secret of a source, by its fingerprint.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SecretView {
    source: String,
    /// Four hexadecimal digits of a hash; the same as in the metrics.
    secret: String,
    /// Requests it has proved since the start.
    matches: u64,
    last_match: Option<String>,
}

/// How long a target is held.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PauseFor {
    /// Such as `45m`; until it is resumed when it is not said.
    #[schemars(schema_with = "span")]
    r#for: Option<String>,
}

/// How a target is held, or not.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Hold {
    target: String,
    /// Nothing when nobody holds it.
    paused: Option<Paused>,
}

/// The sources, as the status has them.
pub(super) async fn sources(call: Call) -> Result<Listed<SourceStatus>, Problem> {
    Ok(Listed::all(status::sources(&call.gateway)))
}

/// The targets, as the status has them.
pub(super) async fn targets(call: Call) -> Result<Listed<TargetStatus>, Problem> {
    Ok(Listed::all(status::targets(&call.gateway)))
}

/// Every secret that may match.
pub(super) async fn secrets(call: Call) -> Result<Listed<SecretView>, Problem> {
    let mut all = Vec::new();
    for source in call.gateway.plan.sources.values() {
        let counted = call.gateway.metrics.source(&source.name);
        all.extend(source.verifier.fingerprints().into_iter().map(|secret| {
            let (matches, last) = counted.matches_so_far(secret);
            let last_match = last.map(|at| at.to_string());
            SecretView { source: source.name.to_string(), secret: secret.to_string(), matches, last_match }
        }));
    }
    Ok(Listed::all(all))
}

/// Holds a target: what comes for it waits.
pub(super) async fn pause(call: Call, asked: PauseFor) -> Result<Hold, Problem> {
    let target = named(&call)?;
    let now = call.gateway.clock.wall();
    let until = match asked.r#for.as_deref() {
        None => None,
        Some(text) => {
            // One number of three digits and one unit: what the schema says, and nothing of a hold that is forgotten.
            let is_plain = text.len() <= 4 && !text.starts_with('0') && text.ends_with(['s', 'm', 'h', 'd']) && !text.ends_with("ms");
            let span = age(text).filter(|_| is_plain);
            let span = span.ok_or_else(|| Problem::bad("`for` is a time span such as 90s, 45m, 2h or 3d"))?;
            Some(now.after(span))
        }
    };
    hold(&call, Verb::Pause { target, until }).await
}

/// Lets a target go on.
pub(super) async fn resume(call: Call) -> Result<Hold, Problem> {
    let target = named(&call)?;
    hold(&call, Verb::Resume { target }).await
}

async fn hold(call: &Call, verb: Verb) -> Result<Hold, Problem> {
    let step = in_time(call.gateway.store.operate(Act { by: (&*call.by).into(), verb })).await?;
    let Step::Held(target, pause) = step else { return Err(Problem::unavailable("the store answered something else: try again")) };
    Ok(Hold { target: target.to_string(), paused: pause.as_ref().map(Paused::of) })
}

/// The target in the path: one of the configuration, or one that is held still.
fn named(call: &Call) -> Result<TargetName, Problem> {
    let name = call.named();
    let target = TargetName::parse(name).ok_or_else(|| Problem::bad("the name of a target has a-z, 0-9 and `-`, a letter first"))?;
    let gateway: &Gateway = &call.gateway;
    if gateway.plan.targets.contains_key(&target) || gateway.store.standing().borrow().pauses.0.contains_key(&target) {
        return Ok(target);
    }
    Err(unknown("target", name, gateway.plan.targets.keys().map(ToString::to_string)))
}

fn span(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "anyOf": [{ "type": "string", "pattern": "^[1-9][0-9]{0,2}(s|m|h|d)$" }, { "type": "null" }] })
}
