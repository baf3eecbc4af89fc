//! What the back half notes as it goes: dead letters and breakers, put together by target. Noting is a moment under a lock that nobody
//! holds for long, and nothing is lost however much there is: what is kept of a target is a count and a few ids.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{About, DELIVERIES_NAMED_MAX, News, Signal};
use crate::{
    delivery::{DeadReason, DeliveryId},
    name::TargetName,
};

/// The notes; filled by every shard, taken by whoever tells.
#[derive(Debug, Default)]
pub struct Notes(Mutex<BTreeMap<TargetName, Note>>);

/// What was noted of one target. There are as many as targets that were ever in trouble.
#[derive(Debug, Default)]
struct Note {
    dead: News,
    /// Its breaker is open, or was when it was last heard of.
    is_left_alone: bool,
    /// How often that began since the notes were taken.
    left_alone: u64,
    /// Whether it ended since then.
    is_back: bool,
}

impl Notes {
    /// A delivery became a dead letter, and that is written down. Of alerts themselves nothing is noted: they would be told of without end.
    pub fn dead(&self, target: &TargetName, delivery: DeliveryId, reason: DeadReason) {
        if delivery.event.is_own() {
            return;
        }
        self.of(target, |note| {
            note.dead.count = note.dead.count.saturating_add(1);
            *note.dead.reasons.entry(reason.code()).or_default() += 1;
            if note.dead.deliveries.len() < DELIVERIES_NAMED_MAX {
                note.dead.deliveries.push(delivery);
            }
        });
    }

    /// A breaker opened, for the first time or again after a probe that failed.
    pub fn left_alone(&self, target: &TargetName) {
        self.of(target, |note| {
            note.left_alone += u64::from(!note.is_left_alone);
            note.is_left_alone = true;
        });
    }

    /// A breaker closed.
    pub fn is_back(&self, target: &TargetName) {
        self.of(target, |note| (note.is_left_alone, note.is_back) = (false, true));
    }

    /// What was noted since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Signal> {
        let mut signals = Vec::new();
        for (target, note) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            let dead = std::mem::take(&mut note.dead);
            if dead.count > 0 {
                signals.push(Signal::Noticed(About::DeadLetters(target.clone()), dead));
            }
            let (left_alone, is_back) = (std::mem::take(&mut note.left_alone), std::mem::take(&mut note.is_back));
            if left_alone > 0 {
                signals.push(Signal::Noticed(About::Breaker(target.clone()), News::of(left_alone)));
            }
            if is_back && !note.is_left_alone {
                signals.push(Signal::Over(About::Breaker(target.clone())));
            }
        }
        signals
    }

    fn of(&self, target: &TargetName, change: impl FnOnce(&mut Note)) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match notes.get_mut(target) {
            Some(note) => change(note),
            None => change(notes.entry(target.clone()).or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::UnixMs,
        event::{EventIds, OWN_NODE},
    };

    fn app() -> TargetName {
        TargetName::parse("app").expect("a name")
    }

    #[test]
    fn dead_letters_are_counted_whatever_their_number_and_alerts_are_not() {
        let (notes, ids, own) = (Notes::default(), EventIds::above(0, 0), EventIds::above(0, OWN_NODE));
        for number in 0..1_000 {
            let reason = if number % 4 == 0 { DeadReason::Age } else { DeadReason::Attempts };
            notes.dead(&app(), DeliveryId { event: ids.next(UnixMs(9)), slot: 0 }, reason);
            notes.dead(&app(), DeliveryId { event: own.next(UnixMs(9)), slot: 0 }, reason);
        }
        let taken = notes.take();
        let [Signal::Noticed(About::DeadLetters(target), news)] = &*taken else { panic!("{taken:?}") };
        assert_eq!((target, news.count, news.deliveries.len()), (&app(), 1_000, DELIVERIES_NAMED_MAX));
        assert_eq!(news.reasons, [("age", 250), ("attempts", 750)].into());
        assert_eq!(notes.take(), []);
    }

    #[test]
    fn a_breaker_that_fails_its_probes_opened_once() {
        let notes = Notes::default();
        let (opened, over) = (|times| Signal::Noticed(About::Breaker(app()), News::of(times)), Signal::Over(About::Breaker(app())));
        notes.left_alone(&app());
        notes.left_alone(&app());
        assert_eq!(notes.take(), [opened(1)]);
        notes.left_alone(&app());
        assert_eq!(notes.take(), []);
        notes.is_back(&app());
        assert_eq!(notes.take(), std::slice::from_ref(&over));
        notes.left_alone(&app());
        notes.is_back(&app());
        assert_eq!(notes.take(), [opened(1), over], "what came and went between two looks is told");
        notes.left_alone(&app());
        notes.is_back(&app());
        notes.left_alone(&app());
        assert_eq!(notes.take(), [opened(2)]);
    }
}
