//! /api/v1/rejected: what was not proved, and the way in for it once it can be. Lists show no header, no query and no body; secrets were
//! never kept. What is admitted is verified again, as of when it came.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use super::{
    Gateway,
    answer::Problem,
    call::Call,
    lists::{Listed, unknown},
    parameter,
};
use crate::{
    clock::UnixMs,
    event::EventId,
    ingest::NotReadmitted,
    name::SourceName,
    store::{
        StoreError,
        rejected::{RejectedFilter, RejectedId, RejectedRequest, RejectedSummary},
        time_or_age,
    },
};

/// Items of a page when nobody says how many.
const PAGE: usize = 50;
/// Items of a page at most.
pub(super) const PAGE_MAX: usize = 500;
/// How long the ring may take to answer.
const READ_TIME: Duration = Duration::from_secs(5);
/// How long one request may go on admitting: whoever asked goes on from its cursor.
const ADMIT_TIME: Duration = Duration::from_secs(2);

/// One admission at a time: two of one request must not both find that nobody has admitted it.
#[derive(Debug, Default)]
pub(super) struct Desk(Mutex<()>);

impl Desk {
    /// The turn to admit, given back when it is dropped.
    async fn turn(&self) -> Result<MutexGuard<'_, ()>, Problem> {
        let turn = tokio::time::timeout(ADMIT_TIME + READ_TIME, self.0.lock()).await;
        turn.map_err(|_| Problem::unavailable("others are being admitted: try again"))
    }
}

/// A rejected request.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Item {
    id: String,
    received_at: String,
    source: String,
    provider: String,
    reason: String,
    client_ip: String,
    method: String,
    path: String,
    /// Bytes of the body; nothing when it was refused before it was read.
    body_bytes: Option<u64>,
    /// The event it was admitted as.
    admitted: Option<String>,
}

/// A rejected request with its query and its fields.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Whole {
    #[serde(flatten)]
    item: Item,
    query: Option<String>,
    headers: Vec<Field>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Field {
    name: String,
    value: String,
}

/// What a rejected request was admitted as.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Admitted {
    id: String,
    /// `accepted`, or `duplicate` when the event was there already.
    result: &'static str,
    event_id: String,
}

/// Which rejected requests to admit, the oldest first.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Which {
    /// Those that rang at this source.
    #[schemars(schema_with = "source")]
    source: Option<String>,
    /// Those that came at this time or later; an age counts back from now.
    #[schemars(schema_with = "time")]
    since: Option<String>,
    /// Where to go on: `next` of the answer before.
    #[schemars(schema_with = "cursor")]
    cursor: Option<String>,
    /// So many at most.
    #[serde(deserialize_with = "parameter::whole")]
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u64>,
}

/// What became of them.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Many {
    accepted: u64,
    /// The event was there already.
    duplicates: u64,
    /// Those that are rejected still.
    refused: Vec<Refused>,
    /// Where to go on; nothing at the end.
    next: Option<String>,
}

/// A request that is rejected still.
#[derive(Debug, Serialize, JsonSchema)]
struct Refused {
    id: String,
    detail: String,
    reason: Option<&'static str>,
}

/// A page of them, newest first.
pub(super) async fn list(call: Call) -> Result<Listed<Item>, Problem> {
    is_on(&call.gateway)?;
    let filter = filter(&call)?;
    let asked = filter.source.clone();
    let page = in_time(call.gateway.ingest.rejected().list(filter)).await?;
    if page.items.is_empty() {
        unless_unknown(asked.as_ref(), &call.gateway)?;
    }
    Ok(Listed { next: page.next.map(|next| next.to_string()), ..Listed::all(page.items.iter().map(item).collect()) })
}

/// One of them.
pub(super) async fn one(call: Call) -> Result<Whole, Problem> {
    found(named(&call)?, &call.gateway).await.map(|kept| whole(&kept))
}

/// One of them as an HTTP message, with its body.
pub(super) async fn request(call: Call) -> Result<Vec<u8>, Problem> {
    found(named(&call)?, &call.gateway).await.map(|kept| message(&kept))
}

/// Verifies one again and admits it.
pub(super) async fn admit(call: Call) -> Result<Admitted, Problem> {
    let id = named(&call)?;
    // Held over the reading too: whether it was admitted already stands in what is read.
    let _one_at_a_time = call.desk.turn().await?;
    let (result, event) = take_in(found(id, &call.gateway).await?, &call.gateway).await.map_err(|why| match why {
        NotReadmitted::Unavailable { .. } => Problem::unavailable(why.to_string()),
        why => Problem::conflict(why.to_string()).because(why.reason()),
    })?;
    Ok(Admitted { id: id.to_string(), result, event_id: event.to_string() })
}

/// Verifies those that are left again, the oldest first, and admits what holds: as many as there is time for.
pub(super) async fn admit_many(call: Call, which: Which) -> Result<Many, Problem> {
    let gateway = &call.gateway;
    is_on(gateway)?;
    let filter = which.filter(gateway.clock.wall())?;
    let source = filter.source.clone();
    let began = gateway.clock.mono();
    let _one_at_a_time = call.desk.turn().await?;
    let page = in_time(gateway.ingest.rejected().list(filter)).await?;
    if page.items.is_empty() {
        unless_unknown(source.as_ref(), gateway)?;
    }
    let mut many = Many::default();
    let mut last: Option<RejectedId> = None;
    for summary in &page.items {
        let is_late = gateway.clock.mono().since(began) > ADMIT_TIME;
        if let Some(done) = last.filter(|_| is_late) {
            return Ok(Many { next: Some(done.to_string()), ..many });
        }
        // What was done is told; whoever asked tries this one again next.
        let told = |why: Problem, many: Many| last.map_or(Err(why), |done| Ok(Many { next: Some(done.to_string()), ..many }));
        let kept = match in_time(gateway.ingest.rejected().read(summary.id)).await {
            Ok(Some(kept)) => kept,
            Ok(None) => continue,
            Err(why) => return told(why, many),
        };
        match take_in(kept, gateway).await {
            Ok(("duplicate", _)) => many.duplicates += 1,
            Ok(_) => many.accepted += 1,
            Err(why @ NotReadmitted::Unavailable { .. }) => return told(Problem::unavailable(why.to_string()), many),
            Err(why) => many.refused.push(Refused { id: summary.id.to_string(), detail: why.to_string(), reason: why.reason() }),
        }
        last = Some(summary.id);
    }
    Ok(Many { next: page.next.map(|next| next.to_string()), ..many })
}

fn is_on(gateway: &Gateway) -> Result<(), Problem> {
    if gateway.ingest.rejected().is_on() {
        return Ok(());
    }
    Err(Problem::missing("no rejected request is kept: `store.retention.rejected` is `none`"))
}

/// The id in the path.
fn named(call: &Call) -> Result<RejectedId, Problem> {
    is_on(&call.gateway)?;
    RejectedId::parse(call.named()).ok_or_else(|| Problem::bad("the id of a rejected request is `rej_` and 13 digits"))
}

fn unless_unknown(source: Option<&SourceName>, gateway: &Gateway) -> Result<(), Problem> {
    let sources = &gateway.plan.sources;
    match source.filter(|source| !sources.contains_key(*source)) {
        Some(source) => Err(unknown("source", source.as_str(), sources.keys().map(ToString::to_string))),
        None => Ok(()),
    }
}

fn filter(call: &Call) -> Result<RejectedFilter, Problem> {
    let limit = call.value("limit").map(|limit| limit.parse().map_err(|_| limits())).transpose()?;
    read(call.value("source"), call.value("since"), call.value("cursor"), limit, call.gateway.clock.wall())
}

fn read(
    source: Option<&str>,
    since: Option<&str>,
    cursor: Option<&str>,
    limit: Option<usize>,
    now: UnixMs,
) -> Result<RejectedFilter, Problem> {
    let source = source.map(|source| SourceName::parse(source).ok_or_else(|| Problem::bad("`source` is the name of a source")));
    let a_time = || Problem::bad("`since` is a time (2026-01-31T12:00:00Z) or an age (90m, 12h)");
    let since = since.map(|since| time_or_age(since, now).ok_or_else(a_time));
    let a_cursor = || Problem::bad("`cursor` is what `next` of the page before says");
    let beyond = cursor.map(|cursor| RejectedId::parse(cursor).ok_or_else(a_cursor));
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(limits());
    }
    Ok(RejectedFilter { source: source.transpose()?, since: since.transpose()?, beyond: beyond.transpose()?, limit, ..Default::default() })
}

fn limits() -> Problem {
    Problem::bad(format!("`limit` is a number from 1 to {PAGE_MAX}"))
}

impl Which {
    fn filter(&self, now: UnixMs) -> Result<RejectedFilter, Problem> {
        let Self { source, since, cursor, limit } = self;
        let limit = limit.map_or(PAGE_MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let read = read(source.as_deref(), since.as_deref(), cursor.as_deref(), Some(limit), now)?;
        Ok(RejectedFilter { left: true, rising: true, ..read })
    }
}

async fn found(id: RejectedId, gateway: &Gateway) -> Result<RejectedRequest, Problem> {
    let found = in_time(gateway.ingest.rejected().read(id)).await?;
    found.ok_or_else(|| Problem::missing("no such rejected request: it was never here, its time is over, or newer ones took its room"))
}

/// Admits one; what became of it, and the event it is.
async fn take_in(kept: RejectedRequest, gateway: &Gateway) -> Result<(&'static str, EventId), NotReadmitted> {
    let id = kept.summary.id;
    if let Some(event) = kept.summary.admitted {
        return Ok(("duplicate", event));
    }
    let taken = gateway.ingest.readmit(kept).await?;
    // Where it fails, a second try is known by the event's own key, as any repeat is.
    let marked = tokio::time::timeout(READ_TIME, gateway.ingest.rejected().mark(id, taken.event)).await;
    if let Err(error) = marked.unwrap_or(Err(StoreError::Busy)) {
        tracing::warn!(event = "store", reason = %error, rejected_id = %id, "what was admitted could not be noted");
    }
    Ok((if taken.duplicate { "duplicate" } else { "accepted" }, taken.event))
}

/// What the ring answers, or why it does not.
async fn in_time<T>(reply: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
    match tokio::time::timeout(READ_TIME, reply).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(_)) => {
            let why = "the file of rejected requests cannot be used now; `hookgate status --json` and the log say why";
            Err(Problem::unavailable(why))
        }
        Err(_) => Err(Problem::unavailable("the file of rejected requests did not answer in time")),
    }
}

fn item(kept: &RejectedSummary) -> Item {
    Item {
        id: kept.id.to_string(),
        received_at: kept.at.to_string(),
        source: kept.source.to_string(),
        provider: kept.provider.to_string(),
        reason: kept.reason.to_string(),
        client_ip: kept.client_ip.to_string(),
        method: kept.method.to_string(),
        path: kept.path.to_string(),
        body_bytes: kept.body_bytes,
        admitted: kept.admitted.map(|event| event.to_string()),
    }
}

fn whole(kept: &RejectedRequest) -> Whole {
    let field = |(name, value): (&str, &[u8])| Field { name: name.to_owned(), value: String::from_utf8_lossy(value).into_owned() };
    Whole { item: item(&kept.summary), query: kept.query.as_deref().map(str::to_owned), headers: kept.headers.iter().map(field).collect() }
}

/// The request as it could be sent again, less its secrets. The framing is ours: the fields that said it were not kept.
fn message(kept: &RejectedRequest) -> Vec<u8> {
    let body = kept.body.as_deref().unwrap_or_default();
    let query = kept.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut message = format!("{} {}{query} HTTP/1.1\r\n", kept.summary.method, kept.summary.path).into_bytes();
    message.extend_from_slice(kept.headers.block());
    message.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    message.extend_from_slice(body);
    message
}

fn source(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    parameter::or_nothing(&parameter::name())
}

fn time(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    parameter::or_nothing(&parameter::time())
}

fn cursor(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    parameter::or_nothing(&parameter::coded("rej_", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_filtered_by_what_is_understood_and_nothing_else() {
        let now = UnixMs(1_760_000_000_000);
        let one = read(Some("github"), Some("2h"), None, Some(7), now).expect("fine");
        assert_eq!(
            (one.source.map(|name| name.to_string()), one.since, one.limit),
            (Some("github".into()), Some(UnixMs(now.0 - 7_200_000)), 7)
        );
        assert_eq!(read(None, Some("2025-10-09T08:53:20Z"), None, None, now).expect("fine").since, Some(now));
        for (source, since, cursor, limit) in [
            (Some("A"), None, None, None),
            (None, Some("yesterday"), None, None),
            (None, None, Some("evt_0000000000001"), None),
            (None, None, None, Some(0)),
            (None, None, None, Some(501)),
        ] {
            assert!(read(source, since, cursor, limit, now).is_err(), "{source:?} {since:?} {cursor:?} {limit:?}");
        }
    }
}
