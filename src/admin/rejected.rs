//! /api/v1/rejected: what was not proved, and the way in for it once it can be.
//!
//! ```text
//!  GET  /api/v1/rejected                  a page of them, newest first: no header, no query, no body       read
//!  GET  /api/v1/rejected/{id}             one, with its query and fields; secrets were never kept          read
//!  GET  /api/v1/rejected/{id}/request     the same as an HTTP/1.1 message, with its body                   operate
//!  POST /api/v1/rejected/{id}/admit       verified again, as of when it came, and admitted if it holds     operate
//! ```

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode, header},
};
use serde::Serialize;
use tokio::sync::Mutex;

use super::{Gateway, answer};
use crate::{
    clock::UnixMs,
    ingest::NotReadmitted,
    name::SourceName,
    plan::Role,
    store::{
        StoreError,
        rejected::{RejectedFilter, RejectedId, RejectedRequest, RejectedSummary},
    },
    yaml::nearest,
};

/// Items of a page when nobody says how many.
const PAGE: usize = 50;
/// Items of a page at most.
const PAGE_MAX: usize = 500;

/// What a path of this part of the API asks for; `None` in place of an id that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    List,
    One(Option<RejectedId>),
    Request(Option<RejectedId>),
    Admit(Option<RejectedId>),
}

/// One admission at a time: two of one request must not both find that nobody has admitted it.
#[derive(Debug, Default)]
pub(super) struct Desk(Mutex<()>);

#[derive(Debug, Serialize)]
struct Page {
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Item {
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

#[derive(Debug, Serialize)]
struct Whole {
    #[serde(flatten)]
    item: Item,
    query: Option<String>,
    headers: Vec<Field>,
}

#[derive(Debug, Serialize)]
struct Field {
    name: String,
    value: String,
}

#[derive(Debug, Serialize)]
struct Admitted {
    id: String,
    result: &'static str,
    event_id: String,
}

impl Asked {
    /// What the path asks for; `None` when it belongs to another part.
    pub(super) fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/api/v1/rejected")?;
        match *rest.split('/').collect::<Vec<_>>() {
            [""] => Some(Self::List),
            ["", id] => Some(Self::One(RejectedId::parse(id))),
            ["", id, "request"] => Some(Self::Request(RejectedId::parse(id))),
            ["", id, "admit"] => Some(Self::Admit(RejectedId::parse(id))),
            _ => None,
        }
    }

    fn method_fits(self, method: &Method) -> bool {
        if matches!(self, Self::Admit(_)) { *method == Method::POST } else { [Method::GET, Method::HEAD].contains(method) }
    }

    fn least_role(self) -> Role {
        if matches!(self, Self::Request(_) | Self::Admit(_)) { Role::Operate } else { Role::Read }
    }
}

impl Desk {
    /// Answers whoever shows a token of this role.
    pub(super) async fn answer(&self, asked: Asked, role: Role, request: &HttpRequest, gateway: &Gateway) -> HttpResponse {
        if !asked.method_fits(request.method()) {
            return wrong_method(asked);
        }
        if role < asked.least_role() {
            return answer::problem(StatusCode::FORBIDDEN, "this token may only look: this needs one of role `operate` or `admin`");
        }
        if !gateway.ingest.rejected().is_on() {
            let why = "no rejected request is kept: `store.retention.rejected` is `none`";
            return answer::problem(StatusCode::NOT_FOUND, why);
        }
        let id = match asked {
            Asked::List => return list(request.query_string(), gateway).await,
            Asked::One(id) | Asked::Request(id) | Asked::Admit(id) => id,
        };
        let Some(id) = id else {
            return answer::problem(StatusCode::BAD_REQUEST, "the id of a rejected request is `rej_` and 13 digits");
        };
        // Held over the reading too: whether it was admitted already stands in what is read.
        let _one_at_a_time = if matches!(asked, Asked::Admit(_)) { Some(self.0.lock().await) } else { None };
        match found(id, gateway).await {
            Err(problem) => problem,
            Ok(kept) if matches!(asked, Asked::Admit(_)) => admit(kept, gateway).await,
            Ok(kept) if matches!(asked, Asked::Request(_)) => answer::message(message(&kept)),
            Ok(kept) => answer::json(StatusCode::OK, &whole(&kept)),
        }
    }
}

fn wrong_method(asked: Asked) -> HttpResponse {
    let (detail, allow) = match asked {
        Asked::Admit(_) => ("this is done with POST", "POST"),
        _ => ("this can only be read", "GET, HEAD"),
    };
    let mut refusal = answer::problem(StatusCode::METHOD_NOT_ALLOWED, detail);
    refusal.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
    refusal
}

async fn list(query: &str, gateway: &Gateway) -> HttpResponse {
    let filter = match filter(query, gateway.clock.wall()) {
        Ok(filter) => filter,
        Err(detail) => return answer::problem(StatusCode::BAD_REQUEST, &detail),
    };
    let asked = filter.source.clone();
    match in_time(gateway.ingest.rejected().list(filter)).await {
        // A source that is not configured any more is listed for as long as something of it is kept.
        Ok(page) if page.items.is_empty() && asked.as_ref().is_some_and(|source| !gateway.plan.sources.contains_key(source)) => {
            answer::problem(StatusCode::BAD_REQUEST, &unknown(asked, gateway))
        }
        Ok(page) => {
            let items = page.items.iter().map(item).collect();
            answer::json(StatusCode::OK, &Page { items, next: page.next.map(|next| next.to_string()) })
        }
        Err(problem) => problem,
    }
}

/// What to say of a source that there is not.
fn unknown(source: Option<SourceName>, gateway: &Gateway) -> String {
    let source = source.map(|source| source.to_string()).unwrap_or_default();
    let names: Vec<String> = gateway.plan.sources.keys().map(ToString::to_string).collect();
    match nearest(&source, names.iter().map(String::as_str)) {
        Some(near) => format!("there is no source `{source}`; did you mean `{near}`?"),
        None => format!("there is no source `{source}`; the configuration has {}", names.join(", ")),
    }
}

/// Reads the parameters of a list; what is wrong with them, without repeating it.
fn filter(query: &str, now: UnixMs) -> Result<RejectedFilter, String> {
    let mut filter = RejectedFilter { limit: PAGE, ..RejectedFilter::default() };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "source" => filter.source = Some(SourceName::parse(&value).ok_or("`source` is the name of a source")?),
            "since" => filter.since = Some(since(&value, now).ok_or("`since` is a time (2026-01-31T12:00:00Z) or an age (90m, 12h)")?),
            "cursor" => filter.beyond = Some(RejectedId::parse(&value).ok_or("`cursor` is what `next` of the page before says")?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                filter.limit = limit.ok_or_else(|| format!("`limit` is a number from 1 to {PAGE_MAX}"))?;
            }
            _ => return Err("the parameters are `source`, `since`, `limit` and `cursor`".to_owned()),
        }
    }
    Ok(filter)
}

fn since(text: &str, now: UnixMs) -> Option<UnixMs> {
    if let Ok(age) = humantime::parse_duration(text) {
        return Some(UnixMs(now.0.saturating_sub(i64::try_from(age.as_millis()).ok()?)));
    }
    text.parse::<jiff::Timestamp>().ok().map(|at| UnixMs(at.as_millisecond()))
}

async fn found(id: RejectedId, gateway: &Gateway) -> Result<RejectedRequest, HttpResponse> {
    let found = in_time(gateway.ingest.rejected().read(id)).await?;
    let gone = "no such rejected request: it was never here, its time is over, or newer ones took its room";
    found.ok_or_else(|| answer::problem(StatusCode::NOT_FOUND, gone))
}

async fn admit(kept: RejectedRequest, gateway: &Gateway) -> HttpResponse {
    let id = kept.summary.id;
    let admitted = |result, event: crate::event::EventId| {
        answer::json(StatusCode::OK, &Admitted { id: id.to_string(), result, event_id: event.to_string() })
    };
    if let Some(event) = kept.summary.admitted {
        return admitted("duplicate", event);
    }
    match gateway.ingest.readmit(kept).await {
        Ok(taken) => {
            // Where it fails, a second try is known by the event's own key, as any repeat is.
            if let Err(error) = gateway.ingest.rejected().mark(id, taken.event).await {
                tracing::warn!(event = "store", reason = %error, rejected_id = %id, "what was admitted could not be noted");
            }
            admitted(if taken.duplicate { "duplicate" } else { "accepted" }, taken.event)
        }
        Err(why @ NotReadmitted::Unavailable { .. }) => answer::problem(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
        Err(why) => answer::refusal(StatusCode::CONFLICT, &why.to_string(), why.reason()),
    }
}

/// What the ring answers, or why it does not.
async fn in_time<T>(reply: impl Future<Output = Result<T, StoreError>>) -> Result<T, HttpResponse> {
    match tokio::time::timeout(super::serve::READ_TIME, reply).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(_)) => {
            let why = "the file of rejected requests cannot be used now; `hookgate status --json` and the log say why";
            Err(answer::problem(StatusCode::SERVICE_UNAVAILABLE, why))
        }
        Err(_) => Err(answer::problem(StatusCode::SERVICE_UNAVAILABLE, "the file of rejected requests did not answer in time")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_asks_for_one_thing_with_one_method() {
        let id = RejectedId::from_i64(7);
        let path = format!("/api/v1/rejected/{}", id.expect("a number"));
        assert_eq!(Asked::of("/api/v1/rejected"), Some(Asked::List));
        assert_eq!(Asked::of(&path), Some(Asked::One(id)));
        assert_eq!(Asked::of(&format!("{path}/request")), Some(Asked::Request(id)));
        assert_eq!(Asked::of(&format!("{path}/admit")), Some(Asked::Admit(id)));
        assert_eq!(Asked::of("/api/v1/rejected/7/admit"), Some(Asked::Admit(None)));
        for other in ["/api/v1/rejecteds", "/api/v1/rejected/7/delete", "/api/v1/status", "/api/v1/rejected/7/admit/"] {
            assert_eq!(Asked::of(other), None, "{other}");
        }
        assert!(Asked::Admit(id).method_fits(&Method::POST) && !Asked::Admit(id).method_fits(&Method::GET));
        assert!(Asked::List.method_fits(&Method::GET) && !Asked::List.method_fits(&Method::POST));
    }

    #[test]
    fn a_list_is_filtered_by_what_is_understood_and_nothing_else() {
        let now = UnixMs(1_760_000_000_000);
        let read = filter("source=github&since=2h&limit=7", now).expect("fine");
        assert_eq!(
            (read.source.map(|name| name.to_string()), read.since, read.limit),
            (Some("github".into()), Some(UnixMs(now.0 - 7_200_000)), 7)
        );
        assert_eq!(filter("since=2025-10-09T08:53:20Z", now).expect("fine").since, Some(now));
        for wrong in ["source=A", "since=yesterday", "limit=0", "limit=501", "cursor=evt_0000000000001", "state=dead"] {
            assert!(filter(wrong, now).is_err(), "{wrong}");
        }
    }
}
