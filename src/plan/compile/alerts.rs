//! Who is told of what: names resolved, and what would never be told pointed out.

use std::collections::{BTreeSet, HashSet};

use super::route::{resolve, twice};
use crate::{
    alert::Kind,
    config::{self, Config, Expected, Placed},
    limits::FAN_OUT_MAX,
    name::TargetName,
    plan::Alerts,
    yaml::Problems,
};

/// Who is told of what; `None` nobody.
pub(super) fn alerts(config: &Config, problems: &mut Problems) -> Option<Alerts> {
    let expected = config.sources.0.iter().filter(|(_, source)| !*source.disabled && *source.expect_every != Expected::None);
    let expected: Vec<&Placed<Expected>> = expected.map(|(_, source)| &source.expect_every).collect();
    let Some(written) = &config.alerts else {
        unheeded(&expected, "there are no `alerts`", problems);
        return None;
    };
    let kinds: BTreeSet<Kind> = written.events.iter().map(|kind| kind.value).collect();
    match written.events.iter().find(|kind| kind.value == Kind::SourceSilent) {
        None => unheeded(&expected, "`alerts.events` has no `source_silent`", problems),
        Some(asked) if asked.written && expected.is_empty() => {
            problems.warning(&asked.at, "no source has an `expect_every`, so none is ever `source_silent`");
        }
        Some(_) => {}
    }
    twice(written.events.iter().map(|kind| (kind, format!("`{}`", kind.code()))), "events", problems);
    Some(Alerts { to: targets(config, written, problems), kinds })
}

fn targets(config: &Config, written: &config::Alerts, problems: &mut Problems) -> Vec<TargetName> {
    let Some(to) = &written.to else { return Vec::new() };
    let known: HashSet<&str> = config.targets.names().collect();
    twice(to.iter().map(|name| (name, name.shown())), "to", problems);
    if to.len() > FAN_OUT_MAX {
        problems.error(&to.at, format!("alerts may go to {FAN_OUT_MAX} targets, and `to` names {}", to.len()));
    }
    let mut is_one = |name: &Placed<String>| resolve(name, "target", &known, config.targets.names(), problems);
    to.iter().filter(|name| is_one(name)).filter_map(|name| TargetName::parse(name)).collect()
}

fn unheeded(expected: &[&Placed<Expected>], why: &str, problems: &mut Problems) {
    // Written among the defaults, one place stands for many sources.
    let mut places = HashSet::new();
    for one in expected.iter().filter(|one| one.written && places.insert(&one.at)) {
        problems.warning(&one.at, format!("`expect_every` changes nothing: {why}"));
    }
}
