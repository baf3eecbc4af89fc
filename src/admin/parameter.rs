//! What the query of an endpoint may have, and the shapes of what is written in paths, queries and filters: what a schema promises is what
//! the readers take, and a test holds the two together.

use schemars::Schema;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Number, Value, json};

use super::rejected::PAGE_MAX as REJECTED_PAGE_MAX;
use crate::{
    delivery::State,
    limits::LIST_ITEMS_MAX,
    store::{AGE_BYTES_MAX, FILTER_VALUE_BYTES_MAX, FILTER_VALUES_MAX},
};

/// A parameter of a query.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Whether several may be given.
    pub(super) repeats: bool,
    pub(super) schema: fn() -> Value,
}

/// States that lists know besides those that are stored, each the waiting deliveries of some targets.
pub(super) const VIEWED_STATES: [&str; 2] = ["paused", "parked"];

/// What every list of events and deliveries can be asked for.
pub(super) const LIST: &[Parameter] = &[
    Parameter { name: "source", about: "Events of one of these sources.", repeats: true, schema: || many(&source()) },
    Parameter { name: "target", about: "Deliveries to one of these targets.", repeats: true, schema: || many(&name()) },
    Parameter {
        name: "type",
        about: "Events with a type that fits one of these; `*` is any text.",
        repeats: true,
        schema: || many(&pattern()),
    },
    Parameter {
        name: "state",
        about: "Deliveries in one of these states. `paused` and `parked` go alone: what waits for a target that is held, or that has left \
                the configuration.",
        repeats: true,
        schema: states,
    },
    Parameter { name: "since", about: "Events received at this time or later; an age counts back from now.", repeats: false, schema: time },
    Parameter { name: "until", about: "Events received before this time.", repeats: false, schema: time },
    Parameter { name: "id", about: "These events and deliveries.", repeats: true, schema: || many(&id()) },
    Parameter { name: "unrouted", about: "Events that no route wanted.", repeats: false, schema: || json!({ "type": "boolean" }) },
    Parameter { name: "limit", about: "Items of a page, at most.", repeats: false, schema: || count(LIST_ITEMS_MAX) },
    Parameter { name: "cursor", about: "Where to go on: `next` of the page before.", repeats: false, schema: cursor },
];

/// What the list of rejected requests can be asked for.
pub(super) const REJECTED: &[Parameter] = &[
    Parameter { name: "source", about: "Those that rang at this source.", repeats: false, schema: name },
    Parameter { name: "since", about: "Those that came at this time or later; an age counts back from now.", repeats: false, schema: time },
    Parameter { name: "limit", about: "Items of a page, at most.", repeats: false, schema: || count(REJECTED_PAGE_MAX) },
    Parameter { name: "cursor", about: "Where to go on: `next` of the page before.", repeats: false, schema: || coded("rej_", "") },
];

/// Several of them, each once.
pub(super) fn many(of: &Value) -> Value {
    json!({ "type": "array", "items": of, "maxItems": FILTER_VALUES_MAX })
}

/// One of them, or several.
pub(super) fn one_or_many(of: &Value) -> Value {
    json!({ "anyOf": [of, many(of)] })
}

/// A source whose events are looked for: one that can be configured, or that of alerts.
pub(super) fn source() -> Value {
    json!({ "type": "string", "pattern": "^(_alerts|[a-z][a-z0-9-]{0,62})$" })
}

/// The name of a source or a target that can be configured.
pub(super) fn name() -> Value {
    json!({ "type": "string", "pattern": "^[a-z][a-z0-9-]{0,62}$" })
}

/// A pattern on types. ASCII, so that characters are bytes.
pub(super) fn pattern() -> Value {
    json!({ "type": "string", "pattern": format!("^[ -~]{{1,{FILTER_VALUE_BYTES_MAX}}}$") })
}

/// Stored states, any of them, or one that is only seen.
pub(super) fn states() -> Value {
    let stored = State::ALL.map(State::as_str);
    json!({ "anyOf": [
        { "type": "array", "items": { "enum": stored }, "maxItems": FILTER_VALUES_MAX },
        { "type": "array", "items": { "enum": VIEWED_STATES }, "maxItems": 1 },
    ] })
}

/// The same, or one state by itself.
pub(super) fn state_or_states() -> Value {
    let all = State::ALL.map(State::as_str).into_iter().chain(VIEWED_STATES).collect::<Vec<_>>();
    json!({ "anyOf": [{ "enum": all }, states()] })
}

/// A time or an age.
pub(super) fn time() -> Value {
    let date = "(19[7-9][0-9]|20[0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])";
    let clock = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])";
    // Days from the 29th on are taken too, where the month has them; a pattern cannot say that.
    let age = json!({ "pattern": "^([0-9]{1,6}(ms|s|m|h|d|w))+$", "maxLength": AGE_BYTES_MAX });
    json!({ "type": "string", "anyOf": [age, { "pattern": format!("^{date}T{clock}$") }] })
}

/// The id of an event or a delivery.
pub(super) fn id() -> Value {
    json!({ "anyOf": [coded("evt_", ""), delivery_id()] })
}

/// The id of a delivery.
pub(super) fn delivery_id() -> Value {
    coded("dlv_", "-([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])")
}

/// Thirteen digits of an id between its beginning and its end. The first one stands for three bits.
pub(super) fn coded(begin: &str, end: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{begin}[0-7][0-9abcdefghjkmnpqrstvwxyz]{{12}}{end}$") })
}

fn count(max: usize) -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": max })
}

fn cursor() -> Value {
    json!({ "type": "string", "pattern": "^[0-7][0-9a-f]{17}$" })
}

/// Reads a whole number as JSON Schema knows one: 5.0 is 5.
///
/// # Errors
/// It is none, or beyond what any limit here allows.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is cast is whole, not negative, and below 2^53")]
pub(super) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    const EXACT_MAX: f64 = 9_007_199_254_740_991.0;
    let is_whole = |float: &f64| float.fract() == 0.0 && (0.0..=EXACT_MAX).contains(float);
    let Some(number) = Option::<Number>::deserialize(from)? else { return Ok(None) };
    let whole = number.as_u64().or_else(|| number.as_f64().filter(is_whole).map(|float| float as u64));
    whole.map(Some).ok_or_else(|| D::Error::custom("not a whole number"))
}

/// Reads a text by itself or a list of them.
///
/// # Errors
/// It is neither.
pub(super) fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Texts::deserialize(from)? {
        Texts::One(text) => vec![text],
        Texts::Many(texts) => texts,
    })
}

/// Reads an object and nothing else: what serde derives takes a list of its fields too.
///
/// # Errors
/// It is none, or not one of this kind.
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<T, D::Error> {
    let fields = Map::deserialize(from)?;
    T::deserialize(Value::Object(fields)).map_err(D::Error::custom)
}

/// A shape as the schema of a field.
pub(super) fn shaped(shape: Value) -> Schema {
    Schema::try_from(shape).unwrap_or_default()
}

/// The same for a field that may be left out.
pub(super) fn or_nothing(shape: &Value) -> Schema {
    shaped(json!({ "anyOf": [shape, { "type": "null" }] }))
}
