//! How many attempts may start by now: a target's rate limit, and the rising rate at which a backlog comes back after an outage.
//!
//! Both are asked before anything is taken ("how many, and when the next?"), which is why they are written here: a rate limiter from a
//! library takes a cell or refuses it, and has no way to look first.

use std::time::Duration;

use crate::{
    clock::Mono,
    plan::{RampPolicy, Rate},
};

/// What may start at once beyond the even spread: a timer wakes no more often than this is worth.
const BURST: Duration = Duration::from_millis(100);
/// Starts a second at which a ramp is over: no lane starts as many.
const RAMP_OVER_PER_S: f64 = 10_000.0;

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

/// A rate that doubles again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    since: Mono,
    started: u32,
}

impl Ramp {
    /// It begins.
    pub(super) fn begin(now: Mono) -> Self {
        Self { since: now, started: 0 }
    }

    /// Starts that it allows now.
    pub(super) fn room(&self, policy: RampPolicy, now: Mono) -> usize {
        let allowed = allowed(policy, now.since(self.since));
        // Rounded down, and never below nothing: what is counted are whole starts.
        (allowed - f64::from(self.started)).max(0.0) as usize
    }

    /// An attempt starts.
    pub(super) fn started(&mut self) {
        self.started = self.started.saturating_add(1);
    }

    /// When the next start is allowed.
    pub(super) fn wake(&self, policy: RampPolicy) -> Mono {
        let doublings = (1.0 + f64::from(self.started) / growth(policy)).log2();
        let after = Duration::try_from_secs_f64(policy.double_every.as_secs_f64() * doublings).unwrap_or(Duration::MAX);
        // A little later than the exact moment, or rounding would wake us again and again just before it.
        self.since + after.saturating_add(Duration::from_micros(100))
    }

    /// Whether it no longer holds anything up.
    pub(super) fn is_over(&self, policy: RampPolicy, now: Mono) -> bool {
        let doublings = now.since(self.since).as_secs_f64() / policy.double_every.as_secs_f64().max(f64::MIN_POSITIVE);
        f64::from(policy.per_second) * doublings.exp2() >= RAMP_OVER_PER_S
    }
}

/// Starts allowed after so long: one at once, and the integral of the rate.
fn allowed(policy: RampPolicy, elapsed: Duration) -> f64 {
    let doublings = elapsed.as_secs_f64() / policy.double_every.as_secs_f64().max(f64::MIN_POSITIVE);
    1.0 + growth(policy) * (doublings.exp2() - 1.0)
}

/// Starts in the time in which the rate grows e-fold.
fn growth(policy: RampPolicy) -> f64 {
    f64::from(policy.per_second) * policy.double_every.as_secs_f64() / std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Starts whatever may start, waking when told; the times of all starts within `time`.
    fn starts(time: Duration, mut room: impl FnMut(Mono) -> usize, mut step: impl FnMut(Mono) -> Mono) -> Vec<Duration> {
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

    #[test]
    fn a_ramp_doubles_and_is_over_in_the_end() {
        let policy = RampPolicy { per_second: 10, double_every: Duration::from_secs(5) };
        let ramp = std::cell::Cell::new(Ramp::begin(Mono(5_000_000_000)));
        let times = starts(
            Duration::from_secs(20),
            |now| ramp.get().room(policy, now),
            |_| {
                let mut moved = ramp.get();
                moved.started();
                ramp.set(moved);
                moved.wake(policy)
            },
        );
        let in_five = |from: u64| times.iter().filter(|time| (from..from + 5).contains(&time.as_secs())).count();
        let counts = [in_five(0), in_five(5), in_five(10), in_five(15)];
        // The integral over the first five seconds is 10 * 5 / ln 2 = 72, and twice as many in each five after.
        for (count, expected) in counts.into_iter().zip([72_usize, 144, 288, 577]) {
            assert!(count.abs_diff(expected) <= 2, "{counts:?}");
        }
        assert!(!ramp.get().is_over(policy, Mono(5_000_000_000) + Duration::from_secs(49)));
        assert!(ramp.get().is_over(policy, Mono(5_000_000_000) + Duration::from_secs(50)));
    }
}
