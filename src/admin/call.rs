//! One call of the API, as its handler gets it: what stood in the path, the query and the body, and who calls.

use std::{borrow::Cow, sync::Arc, time::Duration};

use actix_web::{
    HttpRequest,
    http::{StatusCode, header},
    web,
};
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Gateway, answer::Problem, once::Once, rejected::Desk};
use crate::store::StoreError;

/// Bytes of a request's body: the largest filter there can be has a quarter of that.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long it may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(5);
/// Bytes of an idempotency key.
pub(super) const KEY_BYTES_MAX: usize = 128;
/// How long the store may take to answer us.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// One call.
pub(super) struct Call {
    pub(super) gateway: Arc<Gateway>,
    /// Where rejected requests are admitted, one at a time.
    pub(super) desk: Arc<Desk>,
    /// What stood where the path has braces, in order.
    pub(super) path: Vec<String>,
    /// Parameters of the query, in order; each of them is in the table.
    pub(super) query: Vec<(String, String)>,
    /// Chosen by the caller, so that asking again is safe.
    pub(super) key: Option<String>,
    /// The `operationId` of what is called.
    pub(super) operation: &'static str,
    /// The name of the token that was shown.
    pub(super) by: Arc<str>,
    /// The body; empty where there was none.
    pub(super) body: web::Bytes,
}

impl Call {
    /// What stood in the place of the path's first braces.
    pub(super) fn named(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    /// The first value of a parameter.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The parameters but for these, as a filter reads them.
    pub(super) fn others<'a>(&'a self, than: &'a [&str]) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        let others = self.query.iter().filter(|(name, _)| !than.contains(&name.as_str()));
        others.map(|(name, value)| (Cow::from(name.as_str()), Cow::from(value.as_str())))
    }

    /// The body as what the endpoint takes; an empty one is an object without fields.
    pub(super) fn read<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Problem> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        let wrong = |what: &str, error: &serde_json::Error| {
            // What serde says may repeat what was sent; the place does not.
            Problem::bad(format!("{what} (line {}, column {})", error.line(), error.column()))
        };
        serde_json::from_slice::<Once>(body).map_err(|error| {
            wrong(if error.is_data() { "a field stands twice in the body" } else { "the body is no JSON object" }, &error)
        })?;
        // Read again as an object, because what is derived would take a list of its fields for an object, too.
        let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|error| wrong("the body is no JSON object", &error))?;
        T::deserialize(Value::Object(fields)).map_err(|_| Problem::bad(misread(schemars::schema_for!(T).as_value())))
    }
}

/// What may be said of a body that is not of this schema. What serde says may repeat what was sent.
fn misread(schema: &Value) -> String {
    let fields = |of: &Value| {
        let names: Vec<&str> = of["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        if names.is_empty() { "no field".to_owned() } else { names.join(", ") }
    };
    let within = schema["$defs"].as_object().into_iter().flatten().filter(|(_, of)| of["properties"].is_object());
    let within: String = within.map(|(name, of)| format!("; {} has {}", name.to_lowercase(), fields(of))).collect();
    format!("a field is missing, unknown, or of another kind than /api/openapi.json says: the body has {}{within}", fields(schema))
}

/// What the store answers, or why it does not.
pub(super) async fn in_time<T>(reply: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
    within(ANSWER_TIME, reply).await
}

/// The same for what is allowed another time.
pub(super) async fn within<T>(time: Duration, reply: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
    match tokio::time::timeout(time, reply).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(Problem::unavailable(format!("{error}: try again"))),
        Err(_) => Err(Problem::unavailable("the store did not answer in time: try again")),
    }
}

/// Reads the body of a request that may have one, all of it or nothing.
pub(super) async fn body(request: &HttpRequest, payload: &mut web::Payload) -> Result<web::Bytes, Problem> {
    let too_large = || {
        let detail = format!("a body has at most {} KiB here", BODY_BYTES_MAX / 1024);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    let whole = async {
        let mut body = web::BytesMut::new();
        while let Some(piece) = payload.next().await {
            let piece = piece.map_err(|_| Problem::bad("the body did not arrive whole"))?;
            if body.len() + piece.len() > BODY_BYTES_MAX {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    };
    let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive");
    tokio::time::timeout(BODY_TIME, whole).await.map_err(late)?
}

/// Refuses a body that does not say it is JSON: no page of another site can send one without asking first.
pub(super) fn is_json(request: &HttpRequest, body: &web::Bytes) -> Result<(), Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let says_json =
        kind.is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")));
    if says_json || (body.is_empty() && kind.is_none()) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a body is JSON here: say `Content-Type: application/json`"))
}

/// The idempotency key, where one was sent.
pub(super) fn key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut all = request.headers().get_all("idempotency-key");
    let (Some(key), rest) = (all.next(), all.next()) else { return Ok(None) };
    let key = key.as_bytes();
    if rest.is_some() || key.is_empty() || key.len() > KEY_BYTES_MAX || !key.iter().all(u8::is_ascii_graphic) {
        return Err(Problem::bad(format!("`Idempotency-Key` is one text of 1 to {KEY_BYTES_MAX} visible characters")));
    }
    Ok(Some(String::from_utf8_lossy(key).into_owned()))
}
