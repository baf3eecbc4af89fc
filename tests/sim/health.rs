//! Targets as their neighbours see them: who was asked again although it could not work, asked for time, or has had its share.

use hookgate::{
    delivery::{Attempt, AttemptResult, DeliveryId},
    name::TargetName,
    plan::{BreakerPolicy, Target},
};

use super::{
    rules::{Health, Rule},
    script::{MS, SECOND},
    world::World,
};

/// What may start at once beyond an even spread, as the configuration's documentation says.
const BURST: u64 = 100 * MS;

impl World {
    /// An attempt starts only when the target is not to be left alone.
    pub(crate) fn check_left_alone(&mut self, id: DeliveryId, target: &TargetName) {
        let Some((breaker, rate_limit)) = self.scripted(target).map(|target| (target.breaker, target.rate_limit)) else { return };
        let (at, is_calm_clock) = (self.at, self.at > self.frozen_until);
        let health = self.books.health.entry(target.clone()).or_default();
        let mut broken = None;
        if at < health.asked_until {
            broken = Some((Rule::LeftAlone, format!("{id} starts, and {target} asked for time until {}", health.asked_until)));
        }
        if let Some(breaker) = breaker.filter(|breaker| health.ill >= breaker.consecutive) {
            if !health.probing.is_empty() {
                broken = Some((Rule::LeftAlone, format!("{id} starts beside {:?}, and {target} keeps failing", health.probing)));
            } else if let Some(failed) = health.probe_failed.filter(|failed| at < failed + shortest(&breaker, health.probes_failed)) {
                let times = health.probes_failed;
                broken = Some((Rule::LeftAlone, format!("{id} starts at {at}, and {target} did not work {times} times, last at {failed}")));
            }
            health.probing.insert(id);
        }
        health.starts.push_back(at);
        if let Some(rate) = rate_limit {
            let per = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX);
            while health.starts.front().is_some_and(|first| first + per <= at) {
                health.starts.pop_front();
            }
            let most = u64::from(rate.count) + BURST * u64::from(rate.count) / per + 1;
            if health.starts.len() as u64 > most {
                broken = Some((Rule::WithinRate, format!("{} attempts of {target} in {per} ns: {rate:?}", health.starts.len())));
            }
        }
        if let Some((rule, what)) = broken.filter(|_| is_calm_clock) {
            self.broke(rule, what);
        }
    }

    fn scripted(&self, target: &TargetName) -> Option<&Target> {
        self.script.targets.iter().map(|scripted| &scripted.target).find(|scripted| scripted.name == *target)
    }

    /// An attempt ended, and the neighbours saw how.
    pub(crate) fn note_health(&mut self, id: DeliveryId, target: &TargetName, attempt: &Attempt) {
        let at = self.at;
        if self.gateway.as_ref().is_none_or(|gateway| !gateway.plan.targets.contains_key(target)) {
            return;
        }
        let Some(retry_after_max) = self.scripted(target).map(|target| target.retry.retry_after_max) else { return };
        let health = self.books.health.entry(target.clone()).or_default();
        let asked = attempt.retry_after.filter(|_| matches!(attempt.status, Some(429 | 503)));
        let was_probe = health.probing.remove(&id);
        if let Some(asked) = asked {
            let until = at + u64::try_from(asked.min(retry_after_max).as_nanos()).unwrap_or(u64::MAX);
            health.asked_until = health.asked_until.max(until);
            // Who is asked to come later has not found the target working either.
            if was_probe {
                health.no_probe_did(at);
            }
        } else if is_ill(attempt.result) {
            let began = at - u64::try_from(attempt.took.as_nanos()).unwrap_or(u64::MAX).min(at);
            health.ill += u32::from(began >= health.well_at);
            // What was under way before says nothing about when to try again.
            if was_probe {
                health.no_probe_did(at);
            }
        } else {
            (health.ill, health.well_at, health.probe_failed, health.probes_failed) = (0, at, None, 0);
            health.probing.clear();
        }
    }
}

impl Health {
    fn no_probe_did(&mut self, at: u64) {
        self.probe_failed = Some(at);
        self.probes_failed = self.probes_failed.saturating_add(1);
    }
}

/// The least time until the next probe, in nanoseconds, after so many in a row that found nobody who works: the dice take half of it away.
fn shortest(breaker: &BreakerPolicy, failed: u32) -> u64 {
    let longest = breaker.open_for.saturating_mul(1 << failed.min(20)).min(breaker.open_for_max);
    u64::try_from((longest / 2).as_nanos()).unwrap_or(u64::MAX).max(SECOND)
}

fn is_ill(result: AttemptResult) -> bool {
    matches!(result, AttemptResult::Http429 | AttemptResult::Http5xx | AttemptResult::Timeout | AttemptResult::Connect)
}
