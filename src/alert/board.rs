//! What was told of each subject, and when more may be: the first news at once, what follows gathered and told at most once in [`WINDOW`].
//! That something is over is told at once, to those who were told that it is so: so a window has two alerts at most.

use std::{collections::BTreeMap, time::Duration};

use super::{About, Alert, News, Signal, State};
use crate::clock::{Mono, Now, UnixMs};

/// How long after an alert the next one of the same kind and subject has to wait.
pub const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Kinds and subjects that are remembered at once. Subjects come from the configuration; beyond this many in trouble at the same time a
/// further one changes nothing for who reads alerts.
pub const SUBJECTS_MAX: usize = 1024;

/// The memory of what was told. It is of this process: after a restart, what is so is told anew.
#[derive(Debug, Default)]
pub struct Board {
    entries: BTreeMap<About, Entry>,
    unheard: u64,
}

#[derive(Debug, Default)]
struct Entry {
    /// What was not told yet.
    news: News,
    /// When that began, or what was told last.
    since: UnixMs,
    /// Until then further news are gathered.
    quiet_until: Mono,
    /// Something was told of it before.
    is_further: bool,
    /// It is so now: of what has an end.
    is_on: bool,
    /// Who was told last was told that it is so.
    told_on: bool,
}

impl Board {
    /// Takes in what was noticed.
    pub fn notice(&mut self, signal: Signal, now: Now) {
        let (about, news) = match signal {
            Signal::Noticed(about, news) => (about, news),
            Signal::Over(about) => {
                if let Some(entry) = self.entries.get_mut(&about) {
                    entry.is_on = false;
                }
                return;
            }
        };
        if !self.entries.contains_key(&about) && self.entries.len() >= SUBJECTS_MAX {
            self.unheard = self.unheard.saturating_add(news.count);
            return;
        }
        let entry = self.entries.entry(about).or_default();
        if entry.news.count == 0 {
            entry.since = news.since.unwrap_or(now.wall);
        }
        entry.is_on = true;
        entry.news.join(news);
    }

    /// The alerts to send now, at most `room`; what finds no room is gathered on.
    #[must_use]
    pub fn due(&mut self, now: Now, room: usize) -> Vec<Alert> {
        let mut alerts = Vec::new();
        self.entries.retain(|about, entry| {
            if alerts.len() < room {
                alerts.extend(entry.due(about, now));
            }
            !entry.is_forgotten(about, now.mono)
        });
        alerts
    }

    /// What happened and was not taken in, because too many other subjects were remembered; counted anew from now on.
    #[must_use]
    pub fn unheard(&mut self) -> u64 {
        std::mem::take(&mut self.unheard)
    }
}

impl Entry {
    fn due(&mut self, about: &About, now: Now) -> Option<Alert> {
        let may_tell = self.news.count > 0 && self.quiet_until <= now.mono;
        let state = match (about.has_end() && !self.is_on, self.told_on) {
            // Over: told at once to who was told that it is so; what came and went in a quiet time is told behind it.
            (true, told_on) if told_on || may_tell => State::Resolved,
            (false, false) if may_tell => State::Raised,
            _ => return None,
        };
        if may_tell {
            self.quiet_until = now.mono + WINDOW;
        }
        self.told_on = about.has_end() && state == State::Raised;
        let is_further = std::mem::replace(&mut self.is_further, true);
        let news = std::mem::take(&mut self.news);
        Some(Alert { about: about.clone(), state, at: now.wall, since: self.since, is_further, news })
    }

    fn is_forgotten(&self, about: &About, now: Mono) -> bool {
        let goes_on = about.has_end() && (self.is_on || self.told_on);
        !goes_on && self.news.count == 0 && self.quiet_until <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        alert::DELIVERIES_NAMED_MAX,
        delivery::DeliveryId,
        event::EventId,
        name::{SourceName, TargetName},
    };

    fn app() -> TargetName {
        TargetName::parse("app").expect("a name")
    }

    fn at(secs: u64) -> Now {
        let wall = UnixMs(1_760_000_000_000).after(Duration::from_secs(secs));
        Now { wall, mono: Mono(1_000_000_000) + Duration::from_secs(secs) }
    }

    fn dead(count: u64) -> Signal {
        let id = |event: u64| DeliveryId { event: EventId::from_i64(event.cast_signed()).expect("an id"), slot: 0 };
        let deliveries = (0..count).map(id).collect();
        Signal::Noticed(About::DeadLetters(app()), News { deliveries, ..News::of(count) })
    }

    /// What is told at this time: its state, how many, and in words.
    fn told(board: &mut Board, secs: u64) -> Vec<(State, u64, String)> {
        board.due(at(secs), 100).iter().map(|alert| (alert.state(), alert.count(), alert.text())).collect()
    }

    fn states(board: &mut Board, secs: u64) -> Vec<(State, u64)> {
        told(board, secs).into_iter().map(|(state, count, _)| (state, count)).collect()
    }

    #[test]
    fn the_first_is_told_at_once_and_what_follows_once_in_a_window_with_its_count() {
        let mut board = Board::default();
        board.notice(dead(3), at(0));
        let first = told(&mut board, 0);
        let text = "3 deliveries are dead letters since 2025-10-09T08:53:20.000Z: `app` did not take them, and they are not tried again by \
                    themselves";
        assert_eq!(first, [(State::Raised, 3, text.to_owned())]);
        for secs in 1..300 {
            board.notice(dead(2), at(secs));
            assert_eq!(told(&mut board, secs), [], "{secs} s");
        }
        let further = told(&mut board, 300);
        assert_eq!(further.iter().map(|(state, count, _)| (*state, *count)).collect::<Vec<_>>(), [(State::Raised, 598)]);
        assert!(further[0].2.starts_with("598 more deliveries are dead letters since 2025-10-09T08:53:21.000Z"), "{further:?}");
        assert_eq!(told(&mut board, 600), []);
        board.notice(dead(1), at(601));
        assert!(told(&mut board, 601)[0].2.starts_with("1 delivery is a dead letter since"), "it was forgotten, so nothing is `more`");
    }

    #[test]
    fn what_opens_and_closes_is_told_both_ways_and_a_flapping_one_in_one_word() {
        let (mut board, about) = (Board::default(), About::Breaker(app()));
        let opens = |board: &mut Board, secs| board.notice(Signal::Noticed(about.clone(), News::of(1)), at(secs));
        let closes = |board: &mut Board, secs| board.notice(Signal::Over(about.clone()), at(secs));
        opens(&mut board, 0);
        assert_eq!(states(&mut board, 0), [(State::Raised, 1)]);
        assert_eq!(states(&mut board, 3_000), [], "it is told once, however long it lasts");
        closes(&mut board, 3_001);
        assert_eq!(states(&mut board, 3_001), [(State::Resolved, 0)]);
        assert_eq!(states(&mut board, 3_002), []);
        opens(&mut board, 4_000);
        assert_eq!(states(&mut board, 4_000), [(State::Raised, 1)]);
        for secs in 4_001..4_020 {
            closes(&mut board, secs);
            opens(&mut board, secs);
            assert_eq!(states(&mut board, secs), [], "between two looks nothing has changed");
        }
        closes(&mut board, 4_020);
        assert_eq!(states(&mut board, 4_020), [(State::Resolved, 19)]);
        opens(&mut board, 4_030);
        opens(&mut board, 4_031);
        closes(&mut board, 4_032);
        assert_eq!(states(&mut board, 4_299), []);
        let told = told(&mut board, 4_300);
        assert_eq!(told[0].2, "`app` is back; it was left alone 2 times more since 2025-10-09T10:00:30.000Z");
        assert_eq!((told.len(), told[0].0, told[0].1), (1, State::Resolved, 2));
    }

    #[test]
    fn an_end_that_nobody_was_told_the_beginning_of_is_no_news() {
        let mut board = Board::default();
        board.notice(Signal::Over(About::Silence(SourceName::parse("git").expect("a name"))), at(0));
        assert_eq!(states(&mut board, 0), []);
    }

    #[test]
    fn what_finds_no_room_is_gathered_on() {
        let mut board = Board::default();
        board.notice(dead(1), at(0));
        assert_eq!(board.due(at(0), 0), []);
        board.notice(dead(1), at(60));
        assert_eq!(states(&mut board, 60), [(State::Raised, 2)]);
    }

    #[test]
    fn so_many_subjects_are_remembered_and_each_names_so_many_deliveries() {
        let mut board = Board::default();
        for number in 0..SUBJECTS_MAX + 5 {
            let target = TargetName::parse(&format!("t{number}")).expect("a name");
            board.notice(Signal::Noticed(About::DeadLetters(target), News::of(2)), at(0));
        }
        assert_eq!(board.due(at(0), usize::MAX).len(), SUBJECTS_MAX);
        assert_eq!((board.unheard(), board.unheard()), (10, 0));
        assert_eq!(board.due(at(300), usize::MAX), []);
        board.notice(dead(9), at(301));
        let alerts = board.due(at(301), usize::MAX);
        assert_eq!((alerts[0].count(), alerts[0].news.deliveries.len()), (9, DELIVERIES_NAMED_MAX), "what is over made room");
    }

    #[test]
    fn a_document_says_who_what_and_when_and_nobody_hears_of_his_own_breaker() {
        let mut board = Board::default();
        let reasons = [("age", 1), ("attempts", 1)].into();
        let Signal::Noticed(about, news) = dead(2) else { panic!("noticed") };
        board.notice(Signal::Noticed(about, News { reasons, ..news }), at(0));
        board.notice(Signal::Noticed(About::Breaker(app()), News::of(1)), at(0));
        let alerts = board.due(at(1), 2);
        let document: serde_json::Value = serde_json::from_slice(&alerts[0].json()).expect("JSON");
        let expected = serde_json::json!({
            "alert": "dead_letter", "state": "raised", "text": alerts[0].text(), "at": "2025-10-09T08:53:21.000Z",
            "since": "2025-10-09T08:53:20.000Z", "target": "app", "count": 2, "reasons": { "age": 1, "attempts": 1 },
            "deliveries": ["dlv_0000000000000-0", "dlv_0000000000001-0"],
        });
        assert_eq!(document, expected);
        let to = [app(), TargetName::parse("ops").expect("a name")];
        assert_eq!(alerts[0].recipients(&to).count(), 2);
        assert_eq!(alerts[1].recipients(&to).map(TargetName::as_str).collect::<Vec<_>>(), ["ops"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_window_holds_more_than_two(steps in prop::collection::vec((0..120_u64, 0..4_u64, any::<bool>()), 1..80)) {
            let mut board = Board::default();
            let (mut secs, mut happened, mut counted, mut times) = (0, 0, 0, Vec::new());
            let about = About::Breaker(app());
            for (later, count, over) in steps {
                secs += later;
                if count > 0 {
                    board.notice(Signal::Noticed(about.clone(), News::of(count)), at(secs));
                    happened += count;
                }
                if over {
                    board.notice(Signal::Over(about.clone()), at(secs));
                }
                for alert in board.due(at(secs), 100) {
                    counted += alert.count();
                    times.push((secs, alert.state()));
                }
            }
            board.notice(Signal::Over(about.clone()), at(secs));
            for later in [0, 300, 600] {
                for alert in board.due(at(secs + later), 100) {
                    counted += alert.count();
                    times.push((secs + later, alert.state()));
                }
            }
            prop_assert_eq!(counted, happened);
            prop_assert!(times.last().is_none_or(|(_, state)| *state == State::Resolved), "the last word is the truth: {:?}", times);
            prop_assert!(board.entries.is_empty());
            for (place, (begin, _)) in times.iter().enumerate() {
                let inside = times[place..].iter().take_while(|(secs, _)| *secs < begin + WINDOW.as_secs()).count();
                prop_assert!(inside <= 3, "{:?}", times);
            }
        }
    }
}
