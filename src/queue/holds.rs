//! The times in which a lane was held: its target was left alone by the breaker, paused, or switched off. They do not count to a
//! delivery's age, because nobody could have tried.
//!
//! They are kept in wall time, as births are: a wait goes on while the gateway is down, and a clock that is set moves both alike. There is
//! a bounded number of them. When there are too many, the two with the least between them become one, which errs on the side of the
//! delivery; and the oldest go when whatever is older than they are has had its whole time since.

use std::{collections::VecDeque, time::Duration};

use crate::clock::{Span, UnixMs};

/// Spans that are kept of one lane.
const SPANS_MAX: usize = 64;

/// Why a lane is held. It is held for as long as there is any reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldBy {
    /// Its breaker is not closed.
    Breaker = 1,
    /// Its target is switched off.
    Off = 2,
    /// An operator paused it.
    Pause = 4,
}

/// When a lane was held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holds {
    /// In order, without overlaps; only the last one may go on.
    spans: VecDeque<Span>,
    /// The reasons that hold it now, one bit each.
    reasons: u8,
    /// Whether the spans differ from what was last told.
    is_news: bool,
}

impl Holds {
    /// What was kept of a lane that was there before. A hold that went on when it went has lasted until now: nobody could have tried.
    pub(super) fn kept(spans: impl IntoIterator<Item = Span>, now: UnixMs) -> Self {
        let over = |span: Span| Span { to: Some(span.to.unwrap_or(now).max(span.from)), ..span };
        Self { spans: spans.into_iter().map(over).collect(), ..Self::default() }
    }

    /// A hold begins for this reason, or goes on.
    pub(super) fn begins(&mut self, by: HeldBy, now: UnixMs) {
        let was_held = self.reasons != 0;
        self.reasons |= by as u8;
        if !was_held {
            // A clock that was set back must not put a span before the last one.
            let from = self.spans.back().and_then(|last| last.to).map_or(now, |end| end.max(now));
            self.spans.push_back(Span { from, to: None });
            self.merge();
            self.is_news = true;
        }
    }

    /// A hold ends for this reason; it goes on while there is another.
    pub(super) fn ends(&mut self, by: HeldBy, now: UnixMs) {
        let was_held = self.reasons != 0;
        self.reasons &= !(by as u8);
        if was_held && self.reasons == 0 {
            if let Some(last) = self.spans.back_mut() {
                last.to = Some(now.max(last.from));
            }
            self.is_news = true;
        }
    }

    /// The same of either, as it is.
    pub(super) fn set(&mut self, by: HeldBy, is_held: bool, now: UnixMs) {
        if is_held { self.begins(by, now) } else { self.ends(by, now) }
    }

    /// How long a delivery that was born then could have been tried.
    pub(super) fn age(&self, first_at: UnixMs, now: UnixMs) -> Duration {
        let held = self.spans.iter().map(|span| span.to.unwrap_or(now).min(now).ms_since(span.from.max(first_at))).sum::<u64>();
        Duration::from_millis(now.ms_since(first_at).saturating_sub(held))
    }

    /// The spans, when they are not as they were last told; what can matter to nobody any more is gone from them.
    pub(super) fn news(&mut self, give_up_after: Option<Duration>, now: UnixMs) -> Option<Vec<Span>> {
        if !std::mem::take(&mut self.is_news) {
            return None;
        }
        if let Some(give_up_after) = give_up_after {
            self.forget(give_up_after, now);
        }
        Some(self.spans())
    }

    /// The spans as they are kept.
    pub(super) fn spans(&self) -> Vec<Span> {
        self.spans.iter().copied().collect()
    }

    /// Forgets what can matter to nobody: whoever was born before has had all of `give_up_after` since.
    fn forget(&mut self, give_up_after: Duration, now: UnixMs) {
        while let Some(end) = self.spans.front().and_then(|span| span.to)
            && self.age(end, now) >= give_up_after
        {
            self.spans.pop_front();
        }
    }

    fn merge(&mut self) {
        if self.spans.len() <= SPANS_MAX {
            return;
        }
        let between = |place: usize| Some(self.spans.get(place + 1)?.from.ms_since(self.spans.get(place)?.to?));
        let nearest = (0..self.spans.len() - 1).min_by_key(|place| between(*place).unwrap_or(u64::MAX));
        if let Some(later) = nearest.and_then(|place| self.spans.remove(place + 1))
            && let Some(earlier) = nearest.and_then(|place| self.spans.get_mut(place))
        {
            earlier.to = later.to;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> UnixMs {
        UnixMs(1_000_000 + ms)
    }

    fn held(spans: &[(i64, i64)]) -> Holds {
        let mut holds = Holds::default();
        for (from, to) in spans {
            holds.begins(HeldBy::Breaker, at(*from));
            holds.ends(HeldBy::Breaker, at(*to));
        }
        holds
    }

    fn ms(age: Duration) -> u128 {
        age.as_millis()
    }

    #[test]
    fn only_the_time_in_which_somebody_could_have_tried_counts() {
        let mut holds = held(&[(10, 20), (30, 40)]);
        assert_eq!(ms(holds.age(at(0), at(100))), 80);
        assert_eq!(ms(holds.age(at(15), at(35))), 10, "cut at both ends");
        assert_eq!(ms(holds.age(at(50), at(60))), 10);
        holds.begins(HeldBy::Breaker, at(60));
        holds.begins(HeldBy::Off, at(70));
        holds.ends(HeldBy::Breaker, at(80));
        assert_eq!(ms(holds.age(at(50), at(90))), 10, "it goes on for the other reason");
        holds.ends(HeldBy::Off, at(95));
        assert_eq!(ms(holds.age(at(50), at(100))), 15);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_older_than_they_are() {
        let mut holds = held(&[(10, 50)]);
        holds.begins(HeldBy::Breaker, at(20));
        holds.ends(HeldBy::Breaker, at(30));
        assert_eq!(ms(holds.age(at(0), at(100))), 60, "no span counts twice");
        assert_eq!(ms(holds.age(at(90), at(80))), 0);
    }

    #[test]
    fn the_oldest_are_forgotten_when_everybody_before_them_has_had_his_time() {
        let mut holds = held(&[(0, 10), (20, 90), (95, 96)]);
        holds.forget(Duration::from_millis(20), at(100));
        assert_eq!(holds.spans.len(), 3, "since 10 there were 19 ms");
        holds.forget(Duration::from_millis(20), at(101));
        assert_eq!(holds.spans.len(), 2);
        holds.forget(Duration::from_millis(10), at(101));
        assert_eq!(holds.spans.len(), 1, "since 90 there were 10");
    }

    #[test]
    fn what_changed_is_told_once() {
        let mut holds = held(&[(0, 10)]);
        assert_eq!(holds.news(None, at(20)), Some(vec![Span { from: at(0), to: Some(at(10)) }]));
        assert_eq!(holds.news(None, at(20)), None);
        holds.ends(HeldBy::Off, at(20));
        assert_eq!(holds.news(None, at(20)), None, "nothing began or ended");
        assert_eq!(Holds::kept([Span { from: at(0), to: Some(at(10)) }], at(99)), holds);
        let cut_off = Holds::kept([Span { from: at(0), to: None }], at(99));
        assert_eq!(ms(cut_off.age(at(0), at(100))), 1, "while nobody was there nobody could have tried");
    }

    proptest! {
        #[test]
        fn they_stay_few_and_in_order_and_what_is_merged_counts_as_held(steps in prop::collection::vec((1..50_i64, 1..50_i64), 1..200)) {
            let (mut holds, mut now, mut held_ms) = (Holds::default(), 0, 0);
            for (gap, length) in steps {
                holds.begins(HeldBy::Breaker, at(now + gap));
                holds.ends(HeldBy::Breaker, at(now + gap + length));
                now += gap + length;
                held_ms += length;
            }
            prop_assert!(holds.spans.len() <= SPANS_MAX);
            prop_assert!(holds.spans.iter().zip(holds.spans.iter().skip(1)).all(|(one, next)| one.to.is_some_and(|to| to <= next.from)));
            prop_assert!(ms(holds.age(at(0), at(now))) <= u128::from((now - held_ms).unsigned_abs()));
        }
    }
}
