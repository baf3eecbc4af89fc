//! How many attempts a target's rate limit lets start by now.
//!
//! It is asked before anything is taken ("how many, and when the next?"), which is why it is written here: a rate limiter from a library
//! takes a cell or refuses it, and has no way to look first.

use std::time::Duration;

use crate::{clock::Mono, plan::Rate};

/// What may start at once beyond the even spread: a timer wakes no more often than this is worth.
const BURST: Duration = Duration::from_millis(100);

/// A rate limit, evenly spread: the generic cell rate algorithm (ITU-T I.371, annex A), in its virtual scheduling form.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// When the next start would be due if all came evenly.
    next: Mono,
}

impl Pace {
    /// Starts that the rate allows now.
    pub(super) fn room(&self, rate: Rate, now: Mono) -> usize {
        let ahead = self.next.since(now);
        let Some(left) = BURST.checked_sub(ahead) else { return 0 };
        let more = left.as_nanos() / interval(rate).as_nanos().max(1);
        usize::try_from(more).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// An attempt starts.
    pub(super) fn started(&mut self, rate: Rate, now: Mono) {
        self.next = self.next.max(now) + interval(rate);
    }

    /// When the next start is allowed.
    pub(super) fn wake(&self) -> Mono {
        Mono(self.next.0.saturating_sub(u64::try_from(BURST.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Starts that a rate allows in `time`.
pub(super) fn within(rate: Rate, time: Duration) -> usize {
    usize::try_from(time.as_nanos() / interval(rate).as_nanos().max(1)).unwrap_or(usize::MAX)
}

fn interval(rate: Rate) -> Duration {
    rate.per / rate.count.max(1)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Starts whatever may start, waking when told; the times of all starts within `time`.
    pub(in crate::queue) fn starts(
        time: Duration,
        mut room: impl FnMut(Mono) -> usize,
        mut step: impl FnMut(Mono) -> Mono,
    ) -> Vec<Duration> {
        let begin = Mono(5_000_000_000);
        let (mut now, mut times) = (begin, Vec::new());
        for _ in 0..1_000_000 {
            if now.since(begin) > time {
                return times;
            }
            if room(now) > 0 {
                times.push(now.since(begin));
                let wake = step(now);
                now = if room(now) > 0 { now } else { wake.max(now) };
                assert!(room(now) > 0, "it is woken when something may start, at {:?}", now.since(begin));
            }
        }
        panic!("it never ends");
    }

    fn paced(rate: Rate, time: Duration) -> Vec<Duration> {
        let pace = std::cell::Cell::new(Pace::default());
        starts(
            time,
            |now| pace.get().room(rate, now),
            |now| {
                let mut moved = pace.get();
                moved.started(rate, now);
                pace.set(moved);
                moved.wake()
            },
        )
    }

    proptest! {
        #[test]
        fn a_rate_is_never_passed_by_more_than_a_tenth_of_a_second_of_it(count in 1..2_000_u32, per_s in 1..60_u64) {
            let rate = Rate { count, per: Duration::from_secs(per_s) };
            let times = paced(rate, rate.per * 2);
            let burst = within(rate, BURST) + 1;
            for (place, begin) in times.iter().enumerate() {
                let inside = times[place..].iter().take_while(|time| **time < *begin + rate.per).count();
                prop_assert!(inside <= count as usize + burst, "{inside} in one period of {count}");
            }
            prop_assert!(times.len() + 2 >= 2 * count as usize, "{} of {}: and all of it is used", times.len(), 2 * count);
        }
    }

    #[test]
    fn a_slow_rate_lets_one_start_at_a_time() {
        let rate = Rate { count: 2, per: Duration::from_secs(60) };
        let times = paced(rate, Duration::from_secs(120));
        assert_eq!(times.len(), 5);
        for (earlier, later) in times.iter().zip(&times[1..]) {
            assert!(*later - *earlier >= Duration::from_secs(30) - BURST, "{earlier:?} and {later:?}");
        }
    }
}
