//! Deliveries counted by target and state, kept in memory by the store and written with each batch, so that neither a scrape nor a restart
//! ever scans.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{clock::UnixMs, delivery::State, limits::PURGE_ANNOUNCED_AHEAD, name::TargetName, plan::Retention};

/// Milliseconds in the unit ages are kept in.
pub(super) const MINUTE_MS: i64 = 60_000;

/// Counts that the store keeps current: changed after each commit, read by metrics and status.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<BTreeMap<TargetName, Counts>>);

/// Counts of one target by state and by the minute a delivery was born in.
type Counts = BTreeMap<(State, i64), i64>;

/// One target's deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetTally {
    /// Waiting.
    pub pending: u64,
    /// Leased.
    pub in_flight: u64,
    /// Dead letters.
    pub dead: u64,
    /// The minute in which the oldest open delivery was born.
    pub oldest_open: Option<UnixMs>,
    /// The minute in which the oldest dead letter was born.
    pub oldest_dead: Option<UnixMs>,
}

/// Dead letters of one target that are soon purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Whose they are.
    pub target: TargetName,
    /// All dead letters of the target, of which the oldest go first.
    pub dead: u64,
    /// No dead letter is purged before.
    pub from: UnixMs,
}

impl std::fmt::Display for Leaving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { target, dead, from } = self;
        write!(
            f,
            "dead letters of `{target}` ({dead} now) are purged from {from} on, oldest first; a longer `store.retention.dead` keeps them"
        )
    }
}

impl Tallies {
    /// Adds `change` to a count; rows that come to zero go away. States that are not counted are not kept.
    pub fn add(&self, target: &TargetName, state: State, first_at: UnixMs, change: i64) {
        if !state.is_counted() || change == 0 {
            return;
        }
        let minute = first_at.0.div_euclid(MINUTE_MS);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(target) {
            all.insert(target.clone(), Counts::new());
        }
        let Some(counts) = all.get_mut(target) else { return };
        let count = counts.entry((state, minute)).or_insert(0);
        *count += change;
        if *count == 0 {
            counts.remove(&(state, minute));
        }
    }

    /// Every target the store knows, with its counts.
    #[must_use]
    pub fn read(&self) -> BTreeMap<TargetName, TargetTally> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(target, counts)| (target.clone(), TargetTally::of(counts))).collect()
    }

    /// The targets of which dead letters are about to be purged: nobody should find out by looking for them.
    #[must_use]
    pub fn leaving(&self, retention: &Retention, now: UnixMs) -> Vec<Leaving> {
        let kept = retention.dead;
        let ahead = PURGE_ANNOUNCED_AHEAD.min(kept / 2);
        let leaving = |(target, tally): (TargetName, TargetTally)| {
            // A delivery is kept from its end on, which is not before its birth.
            let from = tally.oldest_dead?.after(kept);
            (from <= now.after(ahead)).then_some(Leaving { target, dead: tally.dead, from })
        };
        self.read().into_iter().filter_map(leaving).collect()
    }
}

impl TargetTally {
    fn of(counts: &Counts) -> Self {
        let sum = |wanted: State| {
            let of_state = counts.iter().filter(|((state, _), _)| *state == wanted);
            u64::try_from(of_state.map(|(_, count)| *count).sum::<i64>()).unwrap_or(0)
        };
        let oldest = |wanted: fn(State) -> bool| {
            let of_states = counts.iter().filter(|((state, _), count)| wanted(*state) && **count > 0);
            of_states.map(|((_, minute), _)| UnixMs(minute * MINUTE_MS)).min()
        };
        Self {
            pending: sum(State::Pending),
            in_flight: sum(State::InFlight),
            dead: sum(State::Dead),
            oldest_open: oldest(State::is_open),
            oldest_dead: oldest(|state| state == State::Dead),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn dead_letters_are_announced_before_they_can_be_purged() {
        let tallies = Tallies::default();
        let (shop, other) = (TargetName::parse("shop").expect("a name"), TargetName::parse("other").expect("a name"));
        let birth = UnixMs(1_700_000_000_000);
        for (target, state) in [(&shop, State::Dead), (&shop, State::Pending), (&other, State::Pending)] {
            tallies.add(target, state, birth, 1);
        }
        tallies.add(&shop, State::Dead, birth.after(80 * DAY), 2);
        let retention = |dead: Duration| Retention { delivered: DAY, unrouted: DAY, cancelled: DAY, dead, payload: None, rejected: None };
        let leaving = |dead, after| tallies.leaving(&retention(dead), birth.after(after));
        assert_eq!(leaving(90 * DAY, 82 * DAY), [], "it is not said while there is time");
        let said = leaving(90 * DAY, 84 * DAY);
        assert_eq!(said.iter().map(|one| (one.target.clone(), one.dead)).collect::<Vec<_>>(), [(shop.clone(), 3)]);
        assert!(said[0].from <= birth.after(90 * DAY), "no later than the oldest may go");
        assert!(said[0].from > birth.after(89 * DAY));
        assert_eq!((leaving(2 * DAY, DAY / 2).len(), leaving(2 * DAY, DAY).len()), (0, 1), "half of a short retention is ahead enough");
        tallies.add(&shop, State::Dead, birth, -1);
        assert_eq!(leaving(90 * DAY, 84 * DAY), [], "the oldest is gone");
    }
}
