//! Waiting for conditions, each with a deadline; nothing here waits for a length of time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a condition may take that is expected to hold soon: generous, because the machine may be busy with other tests.
pub const SOON: Duration = Duration::from_secs(20);

/// How long nothing may move while it goes to its end: longer than the lease of a killed process's delivery.
const STANDS_STILL: Duration = Duration::from_secs(45);

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// The monotonic clock of the tests themselves.
#[expect(clippy::disallowed_methods, reason = "tests time the gateway from outside, by a clock that is not its own")]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for signatures.
#[expect(clippy::disallowed_methods, reason = "a sender signs with the machine's clock, as providers do")]
pub fn unix_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is set");
    i64::try_from(since.as_secs()).expect("a time before the year 292 billion")
}

/// Whether the condition held before the deadline passed.
pub fn holds_within(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = now() + deadline;
    loop {
        if condition() {
            return true;
        }
        if now() >= end {
            return false;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// Waits until the condition holds; fails the test, saying what was awaited, when it does not hold soon.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(SOON, condition), "waited {SOON:?} in vain until {what}");
}

/// Waits until it is done, for as long as the count grows.
#[track_caller]
pub fn wait_while_it_grows(what: &str, mut count: impl FnMut() -> u64, mut is_done: impl FnMut() -> bool) {
    let mut before = count();
    while !holds_within(STANDS_STILL, &mut is_done) {
        let there = count();
        assert!(there > before, "{what}: {there}, and nothing moves");
        before = there;
    }
}
