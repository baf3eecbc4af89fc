//! The one filter of lists, replays and cancels: which events and deliveries are meant, and what that means.
//!
//! Everything that is given must hold; of several values of one kind any may. Its text (`source=github&state=dead&since=...`) is the query
//! of the API and what a job keeps of it. Times are when an event was received. A delivery is meant when its event is and it is itself;
//! an event, when it is and, where something is said about deliveries, one of its own is.

use std::{borrow::Cow, fmt, time::Duration};

use url::form_urlencoded;

use crate::{
    clock::UnixMs,
    delivery::{DeliveryId, State},
    event::{EventId, EventTypes},
    name::{SourceName, TargetName},
    route::TypePattern,
};

/// Values a filter may have of one kind.
pub const FILTER_VALUES_MAX: usize = 64;
/// Bytes of one value as it is written.
pub const FILTER_VALUE_BYTES_MAX: usize = 256;
/// Bytes of an age as it is written.
pub const AGE_BYTES_MAX: usize = 40;
/// The greatest limit that can be asked for.
pub const FILTER_LIMIT_MAX: u64 = 1_000_000_000;
/// How much later than its id was made an event can say it was received: a clock may be set back between the two. An event that was
/// rejected first has a later id.
const RECEIVED_AHEAD_MAX: Duration = Duration::from_secs(60);

/// Which events and deliveries are meant. The empty one means all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Events of one of these sources.
    pub sources: Vec<SourceName>,
    /// Deliveries to one of these targets.
    pub targets: Vec<TargetName>,
    /// Events with a type that fits one of these.
    pub types: Vec<TypePattern>,
    /// Deliveries in one of these states.
    pub states: Vec<State>,
    /// Events received at this time or later.
    pub since: Option<UnixMs>,
    /// Events received before this time.
    pub until: Option<UnixMs>,
    /// These events and deliveries; an event stands for all of its deliveries.
    pub ids: Vec<FilterId>,
    /// Events that no route wanted: they have no delivery at all.
    pub unrouted: bool,
    /// So many at most.
    pub limit: Option<u64>,
}

/// An event or one of its deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilterId {
    /// The event, and all of its deliveries.
    Event(EventId),
    /// The one delivery, and its event.
    Delivery(DeliveryId),
}

/// What is wrong with a filter; it never repeats what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There is no such parameter.
    #[error("the filter has source, target, type, state, since, until, id, unrouted and limit, and nothing else")]
    Unknown,
    /// Expressions are not built yet.
    #[error("`match` is planned: this version cannot look into payloads; filter by source, type or time")]
    Match,
    /// One value is longer, or one kind has more values, than any use of it needs.
    #[error("a filter takes at most {FILTER_VALUES_MAX} values of one kind, each of at most {FILTER_VALUE_BYTES_MAX} bytes")]
    TooMuch,
    /// Only one time, number or yes fits.
    #[error("`{0}` can be given once")]
    Twice(&'static str),
    /// No name.
    #[error("`source` is the name of a source: a-z, 0-9 and `-`, a letter first")]
    Source,
    /// No name.
    #[error("`target` is the name of a target: a-z, 0-9 and `-`, a letter first")]
    Target,
    /// No pattern.
    #[error("`type` is a pattern like `invoice.*`, and not empty")]
    Type,
    /// No state.
    #[error("`state` is one of {}", StateNames)]
    State,
    /// No time.
    #[error("`{0}` is a time (2026-01-31T12:00:00Z) or an age (90m, 12h, 3d)")]
    Time(&'static str),
    /// The times leave nothing between them.
    #[error("`since` is not before `until`: nothing can be between them")]
    NothingBetween,
    /// No id.
    #[error("`id` is the id of an event (`evt_` and 13 digits) or of a delivery (`dlv_`, 13 digits, `-` and a number)")]
    Id,
    /// Neither yes nor no.
    #[error("`unrouted` is `true` or `false`")]
    Unrouted,
    /// What no route wanted has no deliveries to say anything about.
    #[error("`unrouted` events have no deliveries: `target`, `state` and delivery ids say nothing about them")]
    UnroutedDelivery,
    /// No number.
    #[error("`limit` is a number from 1 to {FILTER_LIMIT_MAX}")]
    Limit,
}

/// The states there are, as a list for people.
#[derive(Debug)]
struct StateNames;

impl fmt::Display for StateNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&State::ALL.map(State::as_str).join(", "))
    }
}

impl Filter {
    /// Reads a filter from its parameters. Ages are counted back from `now`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>, now: UnixMs) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for (name, value) in pairs {
            filter.take(&name, &value, now)?;
        }
        if filter.unrouted && filter.is_about_deliveries() {
            return Err(FilterError::UnroutedDelivery);
        }
        if filter.since.zip(filter.until).is_some_and(|(since, until)| since >= until) {
            return Err(FilterError::NothingBetween);
        }
        Ok(filter)
    }

    /// Reads a filter from the text that [`fmt::Display`] writes.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        // What it writes has times, no ages.
        Self::read(form_urlencoded::parse(text.as_bytes()), UnixMs(0))
    }

    fn take(&mut self, name: &str, value: &str, now: UnixMs) -> Result<(), FilterError> {
        if value.len() > FILTER_VALUE_BYTES_MAX {
            return Err(FilterError::TooMuch);
        }
        match name {
            "source" => add(&mut self.sources, SourceName::known(value).ok_or(FilterError::Source)?),
            "target" => add(&mut self.targets, TargetName::parse(value).ok_or(FilterError::Target)?),
            "type" if value.is_empty() => Err(FilterError::Type),
            "type" => add(&mut self.types, TypePattern::new(value)),
            "state" => {
                let state = State::ALL.into_iter().find(|state| state.as_str() == value);
                add(&mut self.states, state.ok_or(FilterError::State)?)
            }
            "since" => once(&mut self.since, "since", time_or_age(value, now).ok_or(FilterError::Time("since"))?),
            "until" => once(&mut self.until, "until", time_or_age(value, now).ok_or(FilterError::Time("until"))?),
            "id" => add(&mut self.ids, FilterId::parse(value).ok_or(FilterError::Id)?),
            "unrouted" => {
                self.unrouted = value.parse().map_err(|_| FilterError::Unrouted)?;
                Ok(())
            }
            "limit" => once(
                &mut self.limit,
                "limit",
                value.parse().ok().filter(|limit| (1..=FILTER_LIMIT_MAX).contains(limit)).ok_or(FilterError::Limit)?,
            ),
            "match" => Err(FilterError::Match),
            _ => Err(FilterError::Unknown),
        }
    }

    /// Whether this event is meant, whatever became of it.
    #[must_use]
    pub fn wants_event(&self, id: EventId, source: &SourceName, types: &EventTypes, received_at: UnixMs) -> bool {
        (self.ids.is_empty() || self.ids.iter().any(|one| one.event() == id))
            && (self.sources.is_empty() || self.sources.contains(source))
            && self.since.is_none_or(|since| received_at >= since)
            && self.until.is_none_or(|until| received_at < until)
            && TypePattern::any_matches(&self.types, types)
    }

    /// Whether this delivery is meant, if its event is.
    #[must_use]
    pub fn wants_delivery(&self, id: DeliveryId, target: &TargetName, state: State) -> bool {
        !self.unrouted
            && (self.ids.is_empty() || self.ids.iter().any(|one| one.covers(id)))
            && (self.targets.is_empty() || self.targets.contains(target))
            && (self.states.is_empty() || self.states.contains(&state))
    }

    /// Whether this very delivery is named, and not only its event.
    #[must_use]
    pub fn names_delivery(&self, id: DeliveryId) -> bool {
        self.ids.contains(&FilterId::Delivery(id))
    }

    /// Whether it says anything that only a delivery can fulfil: an event without one is then not meant.
    #[must_use]
    pub fn is_about_deliveries(&self) -> bool {
        let names_one = |id: &FilterId| matches!(id, FilterId::Delivery(_));
        !self.targets.is_empty() || !self.states.is_empty() || self.ids.iter().any(names_one)
    }

    /// The least and the greatest id an event that is meant can have: where to look.
    #[must_use]
    pub fn event_range(&self) -> (EventId, EventId) {
        let ids = || self.ids.iter().map(|id| id.event());
        let since = self
            .since
            .map_or(UnixMs(0), |since| UnixMs(since.0.saturating_sub(i64::try_from(RECEIVED_AHEAD_MAX.as_millis()).unwrap_or(0))));
        // Nothing bounds it from above by time: what was rejected first is older than its id.
        (ids().min().unwrap_or(EventId::LEAST).max(EventId::first_at(since)), ids().max().unwrap_or(EventId::GREATEST))
    }

    /// The events that `ids` names, each once, in order; `None` when it names none.
    #[must_use]
    pub fn named_events(&self) -> Option<Vec<EventId>> {
        let mut events: Vec<EventId> = self.ids.iter().map(|id| id.event()).collect();
        events.sort_unstable();
        events.dedup();
        (!events.is_empty()).then_some(events)
    }
}

impl fmt::Display for Filter {
    /// The filter as the parameters that [`Filter::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = form_urlencoded::Serializer::new(String::new());
        let mut put = |name: &str, value: &dyn fmt::Display| {
            text.append_pair(name, &value.to_string());
        };
        self.sources.iter().for_each(|source| put("source", source));
        self.targets.iter().for_each(|target| put("target", target));
        self.types.iter().for_each(|pattern| put("type", pattern));
        self.states.iter().for_each(|state| put("state", &state.as_str()));
        self.since.iter().for_each(|since| put("since", since));
        self.until.iter().for_each(|until| put("until", until));
        self.ids.iter().for_each(|id| put("id", id));
        if self.unrouted {
            put("unrouted", &true);
        }
        self.limit.iter().for_each(|limit| put("limit", limit));
        f.write_str(&text.finish())
    }
}

impl FilterId {
    /// Reads `evt_...` or `dlv_...`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        EventId::parse(text).map(Self::Event).or_else(|| DeliveryId::parse(text).map(Self::Delivery))
    }

    /// The event it is, or is about.
    #[must_use]
    pub fn event(self) -> EventId {
        match self {
            Self::Event(id) => id,
            Self::Delivery(id) => id.event,
        }
    }

    fn covers(self, delivery: DeliveryId) -> bool {
        match self {
            Self::Event(id) => id == delivery.event,
            Self::Delivery(id) => id == delivery,
        }
    }
}

impl fmt::Display for FilterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(id) => id.fmt(f),
            Self::Delivery(id) => id.fmt(f),
        }
    }
}

/// A time as people write one: RFC 3339, or an age such as `90m` or `1d12h`, counted back from `now`. Nothing is older than 1970.
#[must_use]
pub fn time_or_age(text: &str, now: UnixMs) -> Option<UnixMs> {
    let at = match age(text) {
        Some(age) => now.0.saturating_sub(i64::try_from(age.as_millis()).ok()?),
        None => text.parse::<jiff::Timestamp>().ok()?.as_millisecond(),
    };
    Some(UnixMs(at.max(0)))
}

/// A time span as people write one: numbers of at most six digits, each with its unit. humantime reads more, and some of it is easily
/// mistaken: a number alone, months that look like minutes.
#[must_use]
pub fn age(text: &str) -> Option<Duration> {
    const UNITS: [&str; 6] = ["ms", "s", "m", "h", "d", "w"];
    let mut rest = text;
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, behind) = behind.split_at(behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len()));
        if !(1..=6).contains(&number.len()) || !UNITS.contains(&unit) {
            return None;
        }
        rest = behind;
    }
    humantime::parse_duration(text).ok().filter(|_| text.len() <= AGE_BYTES_MAX)
}

fn add<T: PartialEq>(values: &mut Vec<T>, value: T) -> Result<(), FilterError> {
    if values.contains(&value) {
        return Ok(());
    }
    if values.len() >= FILTER_VALUES_MAX {
        return Err(FilterError::TooMuch);
    }
    values.push(value);
    Ok(())
}

fn once<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), FilterError> {
    if place.replace(value).is_some() { Err(FilterError::Twice(name)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_760_000_000_000);

    fn read(text: &str) -> Result<Filter, FilterError> {
        Filter::read(form_urlencoded::parse(text.as_bytes()), NOW)
    }

    fn event(number: i64) -> EventId {
        EventId::from_i64(number).expect("not negative")
    }

    #[test]
    fn its_text_reads_back_as_itself() {
        let all = "source=github&source=shop&target=app&type=invoice.*&type=a%26b&state=dead&state=pending&since=2h&until=5m\
                   &id=evt_0000000000001&id=dlv_0000000000001-2&limit=7";
        for text in [all, "", "unrouted=true&source=github&since=2025-10-09T08:00:00Z", "unrouted=false", "type=%C3%A9*"] {
            let filter = read(text).expect(text);
            assert_eq!(Filter::parse(&filter.to_string()), Ok(filter), "{text}");
        }
        assert_eq!(read("since=2h").expect("an age").since, Some(UnixMs(NOW.0 - 7_200_000)));
        assert_eq!(read("since=2025-10-09T08:53:20Z").expect("a time").since, Some(NOW));
        assert_eq!(read("since=999999w").expect("an age").since, Some(UnixMs(0)), "it reads back whatever it is");
    }

    #[test]
    fn what_is_not_understood_is_refused_and_told() {
        let many: String = (0..=FILTER_VALUES_MAX).map(|n| format!("source=s{n}&")).collect();
        let long = format!("type={}", "x".repeat(FILTER_VALUE_BYTES_MAX + 1));
        for (wrong, why) in [
            ("match=payload.x", FilterError::Match),
            ("text=x", FilterError::Unknown),
            ("source=A", FilterError::Source),
            ("target=", FilterError::Target),
            ("type=", FilterError::Type),
            ("state=lost", FilterError::State),
            ("since=yesterday", FilterError::Time("since")),
            ("until=", FilterError::Time("until")),
            ("until=2months", FilterError::Time("until")),
            ("until=1 h", FilterError::Time("until")),
            ("until=0", FilterError::Time("until")),
            ("until=1h30", FilterError::Time("until")),
            ("until=1000000s", FilterError::Time("until")),
            ("since=1h&since=2h", FilterError::Twice("since")),
            ("since=1h&until=2h", FilterError::NothingBetween),
            ("id=rej_0000000000001", FilterError::Id),
            ("id=dlv_0000000000001-256", FilterError::Id),
            ("unrouted=1", FilterError::Unrouted),
            ("unrouted=true&state=dead", FilterError::UnroutedDelivery),
            ("unrouted=true&id=dlv_0000000000001-0", FilterError::UnroutedDelivery),
            ("limit=0", FilterError::Limit),
            ("limit=-1", FilterError::Limit),
            ("limit=1000000001", FilterError::Limit),
            (&many, FilterError::TooMuch),
            (&long, FilterError::TooMuch),
        ] {
            assert_eq!(read(wrong), Err(why), "{wrong}");
        }
        assert!(FilterError::State.to_string().contains("pending"), "it says what there is");
    }

    #[test]
    fn everything_given_must_hold_and_of_one_kind_any_may() {
        let (github, shop) = (SourceName::parse("github").expect("a name"), SourceName::parse("shop").expect("a name"));
        let types = EventTypes::new(["invoice.paid".into()]);
        let wants = |text: &str| read(text).expect(text).wants_event(event(7), &github, &types, NOW);
        for text in
            ["", "source=github", "source=shop&source=github", "type=invoice.*", "since=1h", "id=evt_0000000000007", "unrouted=true"]
        {
            assert!(wants(text), "{text}");
        }
        assert!(read("since=2025-10-09T08:53:20Z").expect("fine").wants_event(event(7), &shop, &types, NOW), "the time itself is in");
        for text in ["source=shop", "source=github&type=push", "until=2025-10-09T08:53:20Z", "id=evt_0000000000008"] {
            assert!(!wants(text), "{text}");
        }
        let app = TargetName::parse("app").expect("a name");
        let one = DeliveryId { event: event(7), slot: 1 };
        let wants = |text: &str| read(text).expect(text).wants_delivery(one, &app, State::Dead);
        for text in ["", "target=app", "state=dead&state=pending", "id=evt_0000000000007", "id=dlv_0000000000007-1&state=dead"] {
            assert!(wants(text), "{text}");
        }
        for text in ["target=other", "state=pending", "id=dlv_0000000000007-0", "id=evt_0000000000008", "unrouted=true"] {
            assert!(!wants(text), "{text}");
        }
    }

    #[test]
    fn where_to_look_holds_every_event_that_is_meant() {
        let filter = read("since=2025-10-09T08:53:20Z").expect("fine");
        let (least, greatest) = filter.event_range();
        assert!(least <= EventId::first_at(NOW) && least > EventId::first_at(UnixMs(NOW.0 - 120_000)));
        assert_eq!(greatest, EventId::GREATEST);
        let named = read("id=evt_0000000000009&id=dlv_0000000000003-1&id=evt_0000000000003").expect("fine");
        assert_eq!(named.event_range(), (event(3), event(9)));
        assert_eq!(named.named_events(), Some(vec![event(3), event(9)]));
        assert_eq!(read("").expect("fine").named_events(), None);
    }
}
