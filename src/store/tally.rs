//! Deliveries counted by target and state, kept in memory by the store and written with each batch, so that neither a scrape nor a restart
//! ever scans.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{clock::UnixMs, delivery::State, name::TargetName};

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
}

impl Tallies {
    /// Adds `change` to a count; rows that come to zero go away. Delivered deliveries are not kept.
    pub fn add(&self, target: &TargetName, state: State, first_at: UnixMs, change: i64) {
        if state == State::Delivered || change == 0 {
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
}

impl TargetTally {
    fn of(counts: &Counts) -> Self {
        let sum = |wanted: State| {
            let of_state = counts.iter().filter(|((state, _), _)| *state == wanted);
            u64::try_from(of_state.map(|(_, count)| *count).sum::<i64>()).unwrap_or(0)
        };
        let oldest = counts.iter().filter(|((state, _), count)| state.is_open() && **count > 0).map(|((_, minute), _)| *minute).min();
        Self {
            pending: sum(State::Pending),
            in_flight: sum(State::InFlight),
            dead: sum(State::Dead),
            oldest_open: oldest.map(|minute| UnixMs(minute * MINUTE_MS)),
        }
    }
}
