//! A clock that is off, or a request that is looked at long after it came: the signature is right, and its time is not.

use std::time::Duration;

use super::{Case, Setting};
use crate::{rejection::Rejection, verify::Tolerance};

/// By how much the clock is off.
pub(super) fn away(case: &Case<'_>) -> Option<String> {
    let ageless = Setting { tolerance: case.setting.has_time().then_some(Tolerance::None), ..case.setting.clone() };
    let skew_ms = match ageless.compile().ok()?.verify(case.request.clone(), case.now) {
        Ok(verified) => verified.proof().skew_ms(),
        Err(Rejection::Stale | Rejection::Future) => None,
        // A further check does not hold, so the clock is not all that is wrong.
        Err(_) => return None,
    };
    let Some(skew_ms) = skew_ms else {
        // A token says itself until when and from when on it is good, and no tolerance changes that.
        let (side, verb) = if case.rejection == Rejection::Stale { ("`exp`", "past") } else { ("`nbf`", "before") };
        return Some(format!(
            "The signature is right, and the time it was verified at is {verb} the token's {side}: verify a kept request as of when it \
             came with `--at`, and for one that has just come set this machine's clock."
        ));
    };
    let signed_s = case.now.0.saturating_sub(skew_ms).div_euclid(1000);
    let away_s = skew_ms.unsigned_abs() / 1000;
    let (side, ahead) = if skew_ms > 0 { ("before", "ahead") } else { ("after", "behind") };
    let allowed = humantime::format_duration(allowed(case.setting));
    Some(format!(
        "The signature is right, but it was made {away_s} s {side} the time it was verified at, and {allowed} is the most: verify a kept \
         request as of when it was signed with `--at {signed_s}`; if it has just come, the clock here is {away_s} s {ahead} of the \
         sender's, so set it."
    ))
}

/// The narrowest tolerance in force.
fn allowed(setting: &Setting<'_>) -> Duration {
    let of_file = || setting.provider.checks.iter().filter_map(|check| check.timestamp.as_ref()?.tolerance).min();
    match setting.tolerance {
        Some(Tolerance::Within(within)) => within,
        Some(Tolerance::None) | None => of_file().unwrap_or_default(),
    }
}
