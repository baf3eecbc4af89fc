//! The rising rate at which a backlog comes back after an outage.

use std::time::Duration;

use crate::{clock::Mono, plan::RampPolicy};

/// Starts a second at which a ramp is over: no lane starts as many.
const OVER_PER_S: f64 = 10_000.0;

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
        f64::from(policy.per_second) * doublings.exp2() >= OVER_PER_S
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
    use super::*;
    use crate::queue::pace::tests::starts;

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
