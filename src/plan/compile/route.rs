//! Rules: names resolved, rules that cannot decide pointed out, and no source forgotten.

use std::collections::HashSet;

use crate::{
    config::{self, Config, Placed},
    limits::FAN_OUT_MAX,
    name::{RouteName, SourceName, TargetName},
    route::{Routes, Rule, TypePattern, shadowed, too_far},
    yaml::{At, Problems},
};

/// The names that rules may name.
struct Known<'a> {
    sources: HashSet<&'a str>,
    targets: HashSet<&'a str>,
}

/// All rules that are switched on.
pub(super) fn routes(config: &Config, problems: &mut Problems) -> Routes {
    let names = names(config, problems);
    let known = Known { sources: config.sources.names().collect(), targets: config.targets.names().collect() };
    let mut forgiven = HashSet::new();
    let mut rules: Vec<(Rule, &At)> = Vec::new();
    let mut named: HashSet<SourceName> = HashSet::new();
    for (route, name) in config.routes.iter().zip(names) {
        let from = sources(&known, config, route, &mut forgiven, problems);
        let to = targets(&known, config, route, problems);
        named.extend(from.iter().cloned());
        if let Some(name) = name.filter(|_| !*route.disabled) {
            rules.push((Rule { name, from, types: types(route), to }, &route.at));
        }
    }
    forgotten(config, &named, &forgiven, problems);
    let (rules, places): (Vec<Rule>, Vec<&At>) = rules.into_iter().unzip();
    let far = too_far(&rules, FAN_OUT_MAX);
    for (key, _) in &config.sources.0 {
        if SourceName::parse(&key.text).is_some_and(|name| far.contains(&name)) {
            problems.error(&key.at, format!("events of `{}` may go to more than {FAN_OUT_MAX} targets, which is the most", key.text));
        }
    }
    if !far.is_empty() {
        return Routes::default();
    }
    for found in shadowed(&rules) {
        if let (Some(rule), Some(at), Some(by)) = (rules.get(found.rule), places.get(found.rule), rules.get(found.by)) {
            problems.warning(at, format!("`{}` never decides: `{}` takes its targets before it", rule.name, by.name));
        }
    }
    Routes::compile(&rules)
}

/// The name of each rule, its own or by its place; `None` where it cannot have it.
fn names(config: &Config, problems: &mut Problems) -> Vec<Option<RouteName>> {
    let mut taken: HashSet<&str> = HashSet::new();
    for name in config.routes.iter().filter_map(|route| route.name.as_ref()) {
        if !taken.insert(name) {
            problems.error(&name.at, format!("there are two routes of the name {}", name.shown()));
        } else if RouteName::parse(name).is_none() {
            let hint = "a name begins with a-z, goes on with a-z, 0-9 and `-`, and has at most 63 characters";
            problems.error_hint(&name.at, format!("{} cannot be a name", name.shown()), hint);
        }
    }
    let by_place = |index: usize| {
        let name = format!("route-{}", index + 1);
        // Someone may have called another rule so; then this one is told apart by a letter.
        RouteName::parse(&if taken.contains(name.as_str()) { format!("{name}-x") } else { name })
    };
    let name = |(index, route): (usize, &config::Route)| match &route.name {
        Some(name) => RouteName::parse(name),
        None => by_place(index),
    };
    config.routes.iter().enumerate().map(name).collect()
}

/// The sources of a rule; left out, every one. A name that is nobody's is reported, and the source it was meant for is not called
/// forgotten on top.
fn sources<'a>(
    known: &Known<'_>,
    config: &'a Config,
    route: &config::Route,
    forgiven: &mut HashSet<&'a str>,
    problems: &mut Problems,
) -> Vec<SourceName> {
    let Some(from) = &route.from else { return config.sources.names().filter_map(SourceName::parse).collect() };
    twice(from.iter().map(|name| (name, name.shown())), "from", problems);
    let mut found = Vec::new();
    for name in from.iter() {
        if resolve(name, "source", &known.sources, config.sources.names(), problems) {
            found.extend(SourceName::parse(name));
        } else {
            forgiven.extend(problems.nearest(name, config.sources.names()));
        }
    }
    found
}

fn targets(known: &Known<'_>, config: &Config, route: &config::Route, problems: &mut Problems) -> Vec<TargetName> {
    let Some(to) = &route.to else { return Vec::new() };
    twice(to.iter().map(|name| (name, name.shown())), "to", problems);
    let mut is_one = |name: &Placed<String>| resolve(name, "target", &known.targets, config.targets.names(), problems);
    to.iter().filter(|name| is_one(name)).filter_map(|name| TargetName::parse(name)).collect()
}

/// Reports what a list names twice.
pub(super) fn twice<'a, T: PartialEq + 'a>(items: impl Iterator<Item = (&'a Placed<T>, String)>, key: &str, problems: &mut Problems) {
    let mut seen: Vec<&T> = Vec::new();
    for (item, shown) in items {
        if seen.contains(&&item.value) {
            problems.error(&item.at, format!("`{key}` names {shown} twice"));
        }
        seen.push(&item.value);
    }
}

/// Whether a name is one of those known; if not, it is reported with the nearest of them, the first as they are written.
pub(super) fn resolve<'a>(
    name: &Placed<String>,
    what: &str,
    known: &HashSet<&str>,
    written: impl Iterator<Item = &'a str>,
    problems: &mut Problems,
) -> bool {
    if known.contains(name.as_str()) {
        return true;
    }
    let said = format!("there is no {what} {}", name.shown());
    match problems.nearest(name, written) {
        Some(meant) => problems.error_hint(&name.at, said, format!("did you mean `{meant}`?")),
        None => problems.error(&name.at, said),
    }
    false
}

fn types(route: &config::Route) -> Vec<TypePattern> {
    route.types.iter().flat_map(|types| types.iter()).map(|pattern| TypePattern::new(pattern)).collect()
}

/// Reports sources whose events would go nowhere without anyone having said that they should.
fn forgotten(config: &Config, named: &HashSet<SourceName>, forgiven: &HashSet<&str>, problems: &mut Problems) {
    for (key, source) in &config.sources.0 {
        let kept = source.unrouted.written && *source.unrouted == config::Unrouted::Keep;
        let is_named = SourceName::parse(&key.text).is_none_or(|name| named.contains(&name));
        if !is_named && !kept && !*source.disabled && !forgiven.contains(key.text.as_str()) {
            let hint = "name it in `routes`, or write `unrouted: keep` to collect its events";
            problems.error_hint(&key.at, format!("no route names the source `{}`", key.text), hint);
        }
    }
}
