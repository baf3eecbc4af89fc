//! `targets.<name>.breaker` as it is written: when a target is left alone, and how its backlog comes back.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    placed::{Period, Placed, Share},
    rate::{Rate, rate},
    section::Section,
    switch::OrNone,
    values,
};
use crate::yaml::{Node, Problems};

/// When a target is left alone, for how long, and how its backlog comes back. `none` never leaves it alone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Breaker {
    /// Failures in a row that open it: no connection, no answer in time, 5xx.
    pub consecutive: Placed<u32>,
    /// Or this share of the attempts of a window, ...
    pub failure_rate: Placed<Share>,
    /// ... which is so long, ...
    pub window: Placed<Period>,
    /// ... once there were so many.
    pub min_attempts: Placed<u32>,
    /// How long nothing is tried before one attempt finds out; twice as long after each that fails, ...
    pub open_for: Placed<Period>,
    /// ... and at most this.
    pub open_for_max: Placed<Period>,
    /// How its backlog comes back. `none` lets all of it come at once.
    #[schemars(extend("x-off" = true))]
    pub ramp: OrNone<Ramp>,
}

/// The rate at which a backlog comes back, as it rises.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ramp {
    /// Attempts at first.
    pub from: Placed<Rate>,
    /// How long until it is twice as many.
    pub double_every: Placed<Period>,
}

impl Breaker {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`breaker`", problems);
        let read = Self {
            consecutive: section.value("consecutive", 10, |node, what, problems| values::count(node, what, 1, 10_000, problems)),
            failure_rate: section.value("failure_rate", Share(50), values::share),
            window: section.value("window", Period::secs(30), values::lasting),
            min_attempts: section.value("min_attempts", 20, |node, what, problems| values::count(node, what, 1, 10_000, problems)),
            open_for: section.value("open_for", Period::secs(5), values::lasting),
            open_for_max: section.value("open_for_max", Period::secs(60), values::lasting),
            ramp: OrNone::read(&mut section, "ramp", Ramp::read),
        };
        if *read.open_for > *read.open_for_max {
            let said = format!("`open_for` ({}) is longer than `open_for_max` ({})", *read.open_for, *read.open_for_max);
            section.problems.error(&read.open_for.at, said);
        }
        section.finish();
        read
    }
}

impl Ramp {
    fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`ramp`", problems);
        let read = Self {
            from: section.value("from", Rate::per_second(10), rate),
            double_every: section.value("double_every", Period::secs(5), values::lasting),
        };
        if read.from.per() != Duration::from_secs(1) {
            section.problems.error(&read.from.at, "`from` is a number of attempts a second, such as `10/s`");
        }
        section.finish();
        read
    }
}
