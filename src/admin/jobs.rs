//! /api/v1/replay, cancel, move and jobs: what is done to many deliveries, counted first, then as a job that goes on by itself.
//!
//! A job's id is made from the key that the caller chose, so that a request that is sent again after a lost answer is answered with the
//! job there is. Without a key each request is a job of its own.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    answer::Problem,
    call::{Call, in_time, within},
    lists::{Listed, filter, unless_unknown},
    parameter,
    which::Which,
};
use crate::{
    clock::UnixMs,
    delivery::DeliveryId,
    name::TargetName,
    store::{Act, Filter, FilterId, Job, JobId, Progress, Step, Task, TaskError, Verb, Work, acts},
};

/// How long it may take to count what is meant; it is done in small steps.
const COUNT_TIME: Duration = Duration::from_secs(30);
/// Deliveries a second that a rate may name: more than any store does.
const RATE_MAX: u64 = 1_000_000;

/// What to replay, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Replay {
    #[serde(deserialize_with = "parameter::object")]
    filter: Which,
    /// To this target, and not to the one it was for.
    #[serde(default)]
    #[schemars(schema_with = "name")]
    to: Option<String>,
    /// Deliveries a second; as many as the store can when it is not said.
    #[serde(default, deserialize_with = "parameter::whole")]
    #[schemars(range(min = 1, max = RATE_MAX))]
    rate: Option<u64>,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
}

/// What to cancel, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    #[serde(deserialize_with = "parameter::object")]
    filter: Which,
    /// Deliveries a second; as many as the store can when it is not said.
    #[serde(default, deserialize_with = "parameter::whole")]
    #[schemars(range(min = 1, max = RATE_MAX))]
    rate: Option<u64>,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
}

/// What to move, and to whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Move {
    #[serde(deserialize_with = "parameter::object")]
    filter: Which,
    /// The target that gets what waits for another one, which has left the configuration.
    #[schemars(schema_with = "required_name")]
    to: String,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
}

/// How to replay one delivery.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReplayOne {
    /// To this target, and not to the one it was for.
    #[schemars(schema_with = "name")]
    to: Option<String>,
}

/// What would be done, or is being done.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Begun {
    /// As counted before anything was done.
    count: Counts,
    /// The job; nothing when it was only counted.
    job: Option<JobView>,
}

/// A job, as far as it has come.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct JobView {
    id: String,
    /// `replay`, `cancel` or `move`.
    work: &'static str,
    to: Option<String>,
    /// Which deliveries, as the query of a list has it.
    filter: String,
    rate: Option<u32>,
    /// The name of the token that began it.
    by: String,
    begun_at: String,
    /// `running`, `done` or `stopped`.
    state: &'static str,
    ended_at: Option<String>,
    /// How many deliveries it was expected to do, as counted before.
    expected: Option<u64>,
    progress: Counts,
}

/// Deliveries, by what is or would be done with them.
#[derive(Debug, Serialize, JsonSchema)]
struct Counts {
    /// Events looked at.
    events: u64,
    /// Replayed, cancelled or moved.
    done: u64,
    /// Left alone, by why; what never occurred is left out.
    left: BTreeMap<&'static str, u64>,
}

/// Replays what a filter means.
pub(super) async fn replay(call: Call, asked: Replay) -> Result<Begun, Problem> {
    let to = asked.to.as_deref().map(|to| target(to, &call)).transpose()?;
    begin(&call, Work::Replay { to }, asked.filter, asked.rate, asked.dry_run).await
}

/// Settles what waits, unattempted.
pub(super) async fn cancel(call: Call, asked: Cancel) -> Result<Begun, Problem> {
    begin(&call, Work::Cancel, asked.filter, asked.rate, asked.dry_run).await
}

/// Gives what waits for a target that is gone to another one.
pub(super) async fn relocate(call: Call, asked: Move) -> Result<Begun, Problem> {
    let to = target(&asked.to, &call)?;
    begin(&call, Work::Move { to }, asked.filter, None, asked.dry_run).await
}

/// Replays one delivery.
pub(super) async fn replay_one(call: Call, asked: ReplayOne) -> Result<Begun, Problem> {
    let id = DeliveryId::parse(call.named()).ok_or_else(|| Problem::bad("a delivery id is `dlv_`, 13 digits, `-` and a number"))?;
    let event = in_time(call.gateway.store.event(id.event)).await?;
    let Some(delivery) = event.iter().flat_map(|event| &event.deliveries).find(|delivery| delivery.id == id) else {
        return Err(Problem::missing("no such delivery: it was never here, or its retention is over"));
    };
    if delivery.state.is_open() {
        return Err(Problem::conflict("it is not settled: its next attempt comes by itself, so there is nothing to replay"));
    }
    let to = asked.to.as_deref().map(|to| target(to, &call)).transpose()?;
    let filter = Filter { ids: vec![FilterId::Delivery(id)], ..Filter::default() };
    run(&call, Task { work: Work::Replay { to }, filter }, None, false).await
}

/// The jobs that run, and the last that ended.
pub(super) async fn list(call: Call) -> Result<Listed<JobView>, Problem> {
    let jobs = in_time(call.gateway.store.jobs()).await?;
    Ok(Listed::all(jobs.iter().map(shown).collect()))
}

/// One job.
pub(super) async fn one(call: Call) -> Result<JobView, Problem> {
    let id = id(&call)?;
    let jobs = in_time(call.gateway.store.jobs()).await?;
    jobs.iter().find(|job| job.id == id).map(shown).ok_or_else(|| Problem::missing(acts::Refusal::NoSuchJob.to_string()))
}

/// Ends a job where it is.
pub(super) async fn stop(call: Call) -> Result<JobView, Problem> {
    let id = id(&call)?;
    job_of(in_time(call.gateway.store.operate(Act { by: (&*call.by).into(), verb: Verb::Stop { id } })).await?)
}

fn id(call: &Call) -> Result<JobId, Problem> {
    JobId::parse(call.named()).ok_or_else(|| Problem::bad("a job id is `job_` and 13 digits"))
}

/// Reads what is meant, counts it, and begins the job.
async fn begin(call: &Call, work: Work, which: Which, rate: Option<u64>, dry_run: bool) -> Result<Begun, Problem> {
    let rate = match rate {
        None => None,
        Some(rate) => {
            let rate = (rate <= RATE_MAX).then(|| u32::try_from(rate).ok().and_then(NonZeroU32::new));
            Some(rate.flatten().ok_or_else(|| Problem::bad(format!("`rate` is a number of deliveries a second, from 1 to {RATE_MAX}")))?)
        }
    };
    let pairs = which.pairs()?;
    let pairs = pairs.iter().map(|(name, value)| ((*name).into(), value.as_str().into()));
    let Some(filter) = filter(pairs, &call.gateway)? else {
        return Ok(Begun { count: counts(&Progress::default()), job: None });
    };
    run(call, Task { work, filter }, rate, dry_run).await
}

async fn run(call: &Call, task: Task, rate: Option<NonZeroU32>, dry_run: bool) -> Result<Begun, Problem> {
    let gateway = &call.gateway;
    task.check(&gateway.plan).map_err(|error| match error {
        TaskError::NoTarget(_) => Problem::missing(error.to_string()).because(Some("unknown_name")),
        TaskError::NotParked(_) | TaskError::Unrouted => Problem::conflict(error.to_string()),
    })?;
    unless_unknown(&task.filter, gateway)?;
    let id = call.key.as_deref().map_or_else(JobId::random, |key| of_key(&call.by, call.operation, key));
    if call.key.is_some()
        && let Some(begun) = in_time(gateway.store.jobs()).await?.iter().find(|job| job.id == id)
    {
        if !is_the_same(begun, &task, rate) {
            return Err(Problem::conflict(format!("this `Idempotency-Key` began {id}, which does something else: take another key")));
        }
        // It was begun by the same request: counting again would count what it has done.
        return Ok(Begun { count: counts(&begun.progress), job: Some(shown(begun)) });
    }
    let count = within(COUNT_TIME, acts::count(gateway.store.as_ref(), &task, &gateway.plan)).await?;
    if dry_run || count.done == 0 {
        return Ok(Begun { count: counts(&count), job: None });
    }
    let verb = Verb::Begin { id, task, rate, expected: Some(count.done) };
    let job = job_of(in_time(gateway.store.operate(Act { by: (&*call.by).into(), verb })).await?)?;
    Ok(Begun { count: counts(&count), job: Some(job) })
}

/// Whether what is asked for is what a job does. An age is another time by now, so of times it counts only that there are any.
fn is_the_same(job: &Job, task: &Task, rate: Option<NonZeroU32>) -> bool {
    let timeless = |task: &Task| {
        let mut task = task.clone();
        for time in [&mut task.filter.since, &mut task.filter.until] {
            *time = time.map(|_| UnixMs(0));
        }
        task
    };
    job.rate == rate && timeless(&job.task) == timeless(task)
}

fn job_of(step: Step) -> Result<JobView, Problem> {
    match step {
        Step::Job(stepped) => Ok(shown(&stepped.job)),
        Step::Refused(why @ acts::Refusal::NoSuchJob) => Err(Problem::missing(why.to_string())),
        Step::Refused(why) => Err(Problem::conflict(why.to_string())),
        Step::Held(..) => Err(Problem::unavailable("the store answered something else: try again")),
    }
}

/// The job of a key: whoever asks again for the same with it means the same one. Keys of different tokens have nothing to do with each
/// other, nor have keys for different things.
fn of_key(by: &str, operation: &str, key: &str) -> JobId {
    let hash = Sha256::new().chain_update(by).chain_update([0]).chain_update(operation).chain_update([0]).chain_update(key).finalize();
    let digits: [u8; 8] = std::array::from_fn(|index| hash[index]);
    JobId::from_i64(i64::from_be_bytes(digits) & i64::MAX).unwrap_or_else(JobId::random)
}

/// The target that a request names.
fn target(name: &str, call: &Call) -> Result<TargetName, Problem> {
    let target = TargetName::parse(name).ok_or_else(|| Problem::bad("`to` is the name of a target"))?;
    if call.gateway.plan.targets.contains_key(&target) {
        return Ok(target);
    }
    Err(super::lists::unknown("target", name, call.gateway.plan.targets.keys().map(ToString::to_string)))
}

fn shown(job: &Job) -> JobView {
    JobView {
        id: job.id.to_string(),
        work: job.task.work.as_str(),
        to: job.task.work.to().map(ToString::to_string),
        filter: job.task.filter.to_string(),
        rate: job.rate.map(NonZeroU32::get),
        by: job.by.to_string(),
        begun_at: job.begun_at.to_string(),
        state: job.end.map_or("running", |(end, _)| end.as_str()),
        ended_at: job.end.map(|(_, at)| at.to_string()),
        expected: job.expected,
        progress: counts(&job.progress),
    }
}

fn counts(progress: &Progress) -> Counts {
    let Progress { events, done, in_flight, waiting, superseded, bytes_gone, slots_gone, unrouted, not_parked, target_gone } = *progress;
    let left = [
        ("in_flight", in_flight),
        ("waiting", waiting),
        ("superseded", superseded),
        ("bytes_gone", bytes_gone),
        ("slots_gone", slots_gone),
        ("unrouted", unrouted),
        ("not_parked", not_parked),
        ("target_gone", target_gone),
    ];
    Counts { events, done, left: left.into_iter().filter(|(_, count)| *count > 0).collect() }
}

fn name(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    parameter::or_nothing(&parameter::name())
}

fn required_name(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    parameter::shaped(parameter::name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_job_of_one_token() {
        assert_eq!(of_key("ops", "replay", "k"), of_key("ops", "replay", "k"));
        assert_ne!(of_key("ops", "replay", "k"), of_key("eye", "replay", "k"));
        assert_ne!(of_key("ops", "replay", "k"), of_key("ops", "cancel", "k"));
        assert_ne!(of_key("ops", "replay", "k"), of_key("ops", "replay", "l"));
        assert_ne!(of_key("a", "replay", "bc"), of_key("ab", "replay", "c"), "what is whose stays apart");
    }
}
