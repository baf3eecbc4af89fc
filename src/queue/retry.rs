//! From an attempt to its judgement: delivered, again at a time, or dead. A pure function of a policy, and the only way to dead.
//!
//! Delays grow from failure to failure with equal jitter: half is certain, so a struggling target gets its rest, and half is chance, so
//! that what failed together does not come back together. What the target asks for itself (`Retry-After`) is heeded and does not use up the
//! budget.

use std::time::Duration;

use crate::{
    clock::UnixMs,
    delivery::{Attempt, AttemptResult, DeadReason, Outcome},
    limits::BACKOFF_MAX,
    plan::RetryPolicy,
};

use super::Dice;

/// Judges an attempt of a delivery that has `failures` behind it and for so long (`age`) could have been tried: the time in which its lane
/// was held is not in it. Age is looked at only here, after an attempt: however long a delivery had to wait, it gets one.
#[must_use]
pub fn judge(policy: &RetryPolicy, attempt: &Attempt, failures: u32, age: Duration, now: UnixMs, dice: &mut Dice) -> Outcome {
    match attempt.result {
        AttemptResult::Delivered => return Outcome::Delivered,
        AttemptResult::Body => return Outcome::Dead(DeadReason::PayloadLost),
        _ => {}
    }
    if attempt.status.is_some_and(|status| policy.dead_on.iter().any(|pattern| pattern.matches(status))) {
        return Outcome::Dead(DeadReason::Status);
    }
    let asked = asked_for(policy, attempt);
    let counts = asked.is_none() && attempt.result != AttemptResult::LeaseLost;
    let failures = failures.saturating_add(u32::from(counts));
    if counts && policy.attempts.is_some_and(|attempts| failures >= attempts) {
        return Outcome::Dead(DeadReason::Attempts);
    }
    // Where nothing was sent it has not had the attempt that age is looked at after.
    if attempt.result != AttemptResult::LeaseLost && policy.give_up_after.is_some_and(|limit| age >= limit) {
        return Outcome::Dead(DeadReason::Age);
    }
    let delay = match asked {
        // "Retry-After: 0" must not become a loop without a pause.
        Some(asked) => asked.max(dice.jitter(backoff(policy, 1))),
        None => dice.jitter(backoff(policy, failures.max(1))),
    };
    Outcome::Retry { due: now.after(delay), failures }
}

/// The delay before jitter after so many failures, from 1.
fn backoff(policy: &RetryPolicy, failures: u32) -> Duration {
    let most = policy.max.min(BACKOFF_MAX);
    let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = policy.first.as_secs_f64() * policy.factor.max(1.0).powi(exponent);
    Duration::try_from_secs_f64(seconds).map_or(most, |delay| delay.min(most))
}

/// The pause the target asked for, where that means something (RFC 9110, section 10.2.3; RFC 6585, section 4).
pub(super) fn asked_for(policy: &RetryPolicy, attempt: &Attempt) -> Option<Duration> {
    let asked = attempt.retry_after.filter(|_| matches!(attempt.status, Some(429 | 503)))?;
    Some(asked.min(policy.retry_after_max).min(BACKOFF_MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::StatusPattern;

    const BORN: UnixMs = UnixMs(1_000_000);

    fn policy() -> RetryPolicy {
        RetryPolicy {
            first: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(3600),
            give_up_after: Some(Duration::from_secs(3 * 86_400)),
            attempts: None,
            retry_after_max: Duration::from_secs(3600),
            dead_on: Vec::new(),
        }
    }

    fn answered(status: u16, retry_after: Option<u64>) -> Attempt {
        Attempt {
            at: BORN,
            took: Duration::from_millis(5),
            result: AttemptResult::of_status(status),
            status: Some(status),
            retry_after: retry_after.map(Duration::from_secs),
            excerpt: None,
        }
    }

    fn broken(result: AttemptResult) -> Attempt {
        Attempt { result, status: None, ..answered(500, None) }
    }

    fn judged(policy: &RetryPolicy, attempt: &Attempt, failures: u32, age: Duration) -> Outcome {
        judge(policy, attempt, failures, age, BORN.after(age), &mut Dice::seeded(7))
    }

    /// What a case of the table expects: dead for this reason, or a retry with so many failures within so many milliseconds.
    enum Expect {
        Delivered,
        Dead(DeadReason),
        Retry(u32, std::ops::RangeInclusive<u64>),
    }

    #[test]
    fn each_kind_of_attempt_is_judged_by_the_table() {
        use Expect::{Dead, Delivered, Retry};
        let young = Duration::from_secs(60);
        let old = Duration::from_secs(3 * 86_400);
        let few = RetryPolicy { attempts: Some(3), ..policy() };
        let strict = RetryPolicy { dead_on: vec![StatusPattern::Exact(410), StatusPattern::Class(4)], ..policy() };
        let table = [
            (policy(), answered(204, None), 0, old, Delivered),
            (policy(), answered(500, None), 0, young, Retry(1, 500..=1000)),
            (policy(), answered(500, None), 4, young, Retry(5, 8_000..=16_000)),
            (policy(), answered(500, None), 40, young, Retry(41, 1_800_000..=3_600_000)),
            (policy(), answered(301, None), 0, young, Retry(1, 500..=1000)),
            (policy(), broken(AttemptResult::Timeout), 1, young, Retry(2, 1_000..=2_000)),
            (policy(), answered(429, Some(30)), 5, young, Retry(5, 30_000..=30_000)),
            (policy(), answered(503, Some(86_400)), 5, young, Retry(5, 3_600_000..=3_600_000)),
            (policy(), answered(429, Some(0)), 5, young, Retry(5, 500..=1000)),
            (policy(), answered(429, None), 0, young, Retry(1, 500..=1000)),
            (policy(), answered(500, Some(30)), 0, young, Retry(1, 500..=1000)),
            (policy(), broken(AttemptResult::LeaseLost), 3, young, Retry(3, 2_000..=4_000)),
            (policy(), broken(AttemptResult::LeaseLost), 3, old, Retry(3, 2_000..=4_000)),
            (policy(), answered(500, None), 0, old, Dead(DeadReason::Age)),
            (policy(), answered(429, Some(30)), 0, old, Dead(DeadReason::Age)),
            (RetryPolicy { give_up_after: None, ..policy() }, answered(500, None), 0, old, Retry(1, 500..=1000)),
            (few.clone(), answered(500, None), 1, young, Retry(2, 1_000..=2_000)),
            (few.clone(), answered(500, None), 2, young, Dead(DeadReason::Attempts)),
            (few.clone(), answered(429, Some(1)), 2, young, Retry(2, 1_000..=1_000)),
            (few, answered(500, None), 2, old, Dead(DeadReason::Attempts)),
            (strict.clone(), answered(410, None), 0, young, Dead(DeadReason::Status)),
            (strict.clone(), answered(429, Some(1)), 0, young, Dead(DeadReason::Status)),
            (strict, answered(500, None), 0, young, Retry(1, 500..=1000)),
            (policy(), broken(AttemptResult::Body), 0, young, Dead(DeadReason::PayloadLost)),
        ];
        for (row, (policy, attempt, failures, age, expected)) in table.into_iter().enumerate() {
            let outcome = judged(&policy, &attempt, failures, age);
            match (outcome, expected) {
                (Outcome::Delivered, Delivered) => {}
                (Outcome::Dead(reason), Dead(expected)) => assert_eq!(reason, expected, "row {row}"),
                (Outcome::Retry { due, failures }, Retry(expected, delay)) => {
                    assert_eq!(failures, expected, "row {row}");
                    assert!(delay.contains(&due.ms_since(BORN.after(age))), "row {row}: {due}");
                }
                (outcome, _) => panic!("row {row}: {outcome:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn a_retry_is_never_at_once_and_never_beyond_the_longest_delay(
            first_ms in 0..10_000_u64, factor in 1.0..10.0_f64, max_s in 0..100_000_u64, failures in 0..u32::MAX, seed: u64,
        ) {
            let policy = RetryPolicy {
                first: Duration::from_millis(first_ms), factor, max: Duration::from_secs(max_s), give_up_after: None, ..policy()
            };
            let outcome = judge(&policy, &answered(500, None), failures, Duration::ZERO, BORN, &mut Dice::seeded(seed));
            let Outcome::Retry { due, failures: counted } = outcome else { panic!("{outcome:?}") };
            prop_assert!(due > BORN);
            prop_assert!(Duration::from_millis(due.ms_since(BORN)) <= policy.max.min(BACKOFF_MAX).max(Duration::from_millis(1)));
            prop_assert_eq!(counted, failures.saturating_add(1));
        }

        #[test]
        fn delays_grow_with_failures(first_ms in 1..10_000_u64, factor in 1.0..10.0_f64, failures in 1..64_u32) {
            let policy = RetryPolicy { first: Duration::from_millis(first_ms), factor, ..policy() };
            prop_assert!(backoff(&policy, failures) <= backoff(&policy, failures + 1));
        }

        #[test]
        fn what_the_target_asks_for_never_uses_up_the_budget(asked in 0..100_000_u64, failures: u32, too_many: bool, attempts in 1..5_u32) {
            let policy = RetryPolicy { attempts: Some(attempts), ..policy() };
            let attempt = answered(if too_many { 429 } else { 503 }, Some(asked));
            let outcome = judged(&policy, &attempt, failures, Duration::ZERO);
            let Outcome::Retry { due, failures: counted } = outcome else { panic!("{outcome:?}") };
            prop_assert_eq!(counted, failures);
            prop_assert!(Duration::from_millis(due.ms_since(BORN)) <= policy.retry_after_max);
        }
    }
}
