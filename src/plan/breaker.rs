//! How many attempts a target gets in a time, and when none.

use std::time::Duration;

/// So many in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// When a target is left alone, for how long, and how its backlog comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row.
    pub consecutive: u32,
    /// Or so many of 100 attempts of a window, ...
    pub failure_percent: u32,
    /// ... which is so long, ...
    pub window: Duration,
    /// ... and says nothing before so many.
    pub min_attempts: u32,
    /// How long before the first probe; twice as long before each further one, ...
    pub open_for: Duration,
    /// ... and at most this.
    pub open_for_max: Duration,
    /// How its backlog comes back; `None` at once.
    pub ramp: Option<RampPolicy>,
}

/// A rate that doubles again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RampPolicy {
    /// Attempts a second at first, at least 1.
    pub per_second: u32,
    /// How long until it is twice as many.
    pub double_every: Duration,
}
