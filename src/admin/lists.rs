//! What lists have in common: how one is asked for, and the page it is answered with.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Gateway, answer::Problem, call::Call, parameter::VIEWED_STATES};
use crate::{
    delivery::State,
    limits::{LIST_ITEMS_MAX, LIST_ROWS_MAX},
    name::TargetName,
    store::{Cursor, Filter, FilterError, Listing, Page},
    yaml::nearest,
};

/// Items of a page when nobody says how many.
const ITEMS: usize = 50;

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Listed<T> {
    /// The newest first.
    pub(super) items: Vec<T>,
    /// Where to go on: `cursor` of the next page; nothing at the end.
    pub(super) next: Option<String>,
    /// How far back this page has looked, where there is more: a page may end before it is full, and even be empty, when what is asked for
    /// is rare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) searched_back_to: Option<String>,
}

impl<T> Listed<T> {
    /// All there is.
    pub(super) fn all(items: Vec<T>) -> Self {
        Self { items, next: None, searched_back_to: None }
    }

    /// A page of the store's, each item as it is shown.
    pub(super) fn page<R>(page: &Page<R>, shown: impl Fn(&R) -> T) -> Self {
        Self {
            items: page.items.iter().map(shown).collect(),
            next: page.next.map(|next| next.to_string()),
            searched_back_to: page.next.map(|next| next.made_at().to_string()),
        }
    }
}

/// Reads what is asked for; `None` when nothing can be meant by it.
pub(super) fn listing(call: &Call) -> Result<Option<Listing>, Problem> {
    let items_max = match call.value("limit") {
        None => ITEMS,
        Some(limit) => {
            let limit = limit.parse().ok().filter(|limit| (1..=LIST_ITEMS_MAX).contains(limit));
            limit.ok_or_else(|| Problem::bad(format!("`limit` is a number from 1 to {LIST_ITEMS_MAX}")))?
        }
    };
    let before = match call.value("cursor") {
        None => None,
        Some(cursor) => Some(Cursor::parse(cursor).ok_or_else(|| Problem::bad("`cursor` is what `next` of the page before says"))?),
    };
    let filter = filter(call.others(&["limit", "cursor"]), &call.gateway)?;
    Ok(filter.map(|filter| Listing { filter, before, items_max, rows_max: LIST_ROWS_MAX }))
}

/// Reads a filter, states that are only seen included; `None` when nothing can be meant by it.
pub(super) fn filter<'a>(
    pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
    gateway: &Gateway,
) -> Result<Option<Filter>, Problem> {
    let is_viewed = |(name, value): &(_, _)| *name == "state" && VIEWED_STATES.iter().any(|state| *value == *state);
    let (viewed, stored): (Vec<_>, Vec<_>) = pairs.partition(is_viewed);
    let filter = Filter::read(stored, gateway.clock.wall()).map_err(|error| refused(&error))?;
    let Some((_, state)) = viewed.first() else { return Ok(Some(filter)) };
    if !filter.states.is_empty() || viewed.len() > 1 {
        return Err(Problem::conflict("`paused` and `parked` go alone: each is what waits for some of the targets"));
    }
    if filter.unrouted {
        return Err(refused(&FilterError::UnroutedDelivery));
    }
    let meant = if state == "paused" { paused(gateway) } else { parked(gateway) };
    let asked = |target: &TargetName| filter.targets.is_empty() || filter.targets.contains(target);
    let targets: Vec<TargetName> = meant.into_iter().filter(asked).collect();
    // No target at all would mean every one of them.
    Ok((!targets.is_empty()).then(|| Filter { states: vec![State::Pending, State::Blocked], targets, ..filter }))
}

/// What is wrong with a filter: with a part of it, or only with all of it together.
fn refused(error: &FilterError) -> Problem {
    match error {
        FilterError::NothingBetween | FilterError::UnroutedDelivery => Problem::conflict(error.to_string()),
        _ => Problem::bad(error.to_string()),
    }
}

/// Targets that have deliveries and are not in the configuration.
pub(super) fn parked(gateway: &Gateway) -> Vec<TargetName> {
    let known = gateway.store.tallies().read().into_keys();
    known.filter(|target| !gateway.plan.targets.contains_key(target)).collect()
}

/// Targets that an operator holds.
pub(super) fn paused(gateway: &Gateway) -> Vec<TargetName> {
    let standing = gateway.store.standing();
    let standing = standing.borrow();
    let now = gateway.clock.wall();
    standing.pauses.0.iter().filter(|(_, pause)| pause.holds(now)).map(|(target, _)| target.clone()).collect()
}

/// Says that there is no source or target of a name that was asked for, where nothing was found under it. What is not configured any more
/// is listed for as long as something of it is kept.
pub(super) fn unless_unknown(filter: &Filter, gateway: &Gateway) -> Result<(), Problem> {
    let (plan, tallies) = (&gateway.plan, gateway.store.tallies().read());
    if let Some(source) = filter.sources.iter().find(|source| !plan.sources.contains_key(*source)) {
        return Err(unknown("source", source.as_str(), plan.sources.keys().map(ToString::to_string)));
    }
    match filter.targets.iter().find(|target| !plan.targets.contains_key(*target) && !tallies.contains_key(*target)) {
        Some(target) => Err(unknown("target", target.as_str(), plan.targets.keys().map(ToString::to_string))),
        None => Ok(()),
    }
}

/// What to say of a name that there is not.
pub(super) fn unknown(kind: &str, name: &str, names: impl Iterator<Item = String>) -> Problem {
    let names: Vec<String> = names.collect();
    let detail = match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("there is no {kind} `{name}`; did you mean `{near}`?"),
        None => format!("there is no {kind} `{name}`; the configuration has {}", names.join(", ")),
    };
    Problem::missing(detail).because(Some("unknown_name"))
}
