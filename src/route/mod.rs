//! Who gets what: rules from sources and types to targets.
//!
//! Every rule that matches applies, in the order of the file, and a target gets an event once: by the first rule that names it. The rules
//! are sorted by source when they are compiled, so an event only looks at those of its source, and at no target that an earlier rule
//! takes in any case.

mod types;

use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;

pub use types::TypePattern;

use crate::{
    event::EventTypes,
    name::{RouteName, SourceName, TargetName},
};

/// One rule, with its names resolved.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: RouteName,
    /// The sources it is for.
    pub from: Vec<SourceName>,
    /// Types of which one must match; none are every event.
    pub types: Vec<TypePattern>,
    /// The targets.
    pub to: Vec<TargetName>,
}

/// All rules, in the order of the file.
#[derive(Debug, Default)]
pub struct Routes {
    by_source: HashMap<SourceName, Vec<Branch>>,
}

/// What one rule means for one source.
#[derive(Debug)]
struct Branch {
    route: RouteName,
    types: Vec<TypePattern>,
    to: Vec<TargetName>,
}

/// One target an event is owed to, and the rule that said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// To whom.
    pub target: TargetName,
    /// By which rule: the first that names the target; later ones are shadowed.
    pub route: RouteName,
}

/// A rule that never decides anything: whenever it matches, earlier ones have taken all of its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// Which, counted from 0.
    pub rule: usize,
    /// The first of those that take its targets.
    pub by: usize,
}

impl Routes {
    /// Sorts the rules by source. Those that are switched off are not among them.
    #[must_use]
    pub fn compile(rules: &[Rule]) -> Self {
        let mut by_source: HashMap<SourceName, Vec<Branch>> = HashMap::new();
        // What rules without a condition have taken: no later rule decides about it.
        let mut taken: HashMap<&SourceName, HashSet<&TargetName>> = HashMap::new();
        for rule in rules {
            let types = if rule.types.iter().any(TypePattern::is_any) { Vec::new() } else { rule.types.clone() };
            for source in &rule.from {
                let taken = taken.entry(source).or_default();
                let mut to: Vec<TargetName> = Vec::new();
                for target in &rule.to {
                    if !taken.contains(target) && !to.contains(target) {
                        to.push(target.clone());
                    }
                }
                if types.is_empty() {
                    taken.extend(&rule.to);
                }
                if !to.is_empty() {
                    by_source.entry(source.clone()).or_default().push(Branch { route: rule.name.clone(), types: types.clone(), to });
                }
            }
        }
        Self { by_source }
    }

    /// The targets of an event: every matching rule applies, each target once.
    #[must_use]
    pub fn fan_out(&self, source: &SourceName, types: &EventTypes) -> SmallVec<[Hit; 4]> {
        let mut hits: SmallVec<[Hit; 4]> = SmallVec::new();
        for branch in self.by_source.get(source).map(Vec::as_slice).unwrap_or_default() {
            if !TypePattern::any_matches(&branch.types, types) {
                continue;
            }
            for target in &branch.to {
                if hits.iter().all(|hit| hit.target != *target) {
                    hits.push(Hit { target: target.clone(), route: branch.route.clone() });
                }
            }
        }
        hits
    }
}

/// The sources whose events may be owed to more targets than `most`.
#[must_use]
pub fn too_far(rules: &[Rule], most: usize) -> HashSet<&SourceName> {
    let mut reach: HashMap<&SourceName, HashSet<&TargetName>> = HashMap::new();
    for rule in rules {
        for source in &rule.from {
            let reach = reach.entry(source).or_default();
            if reach.len() <= most {
                reach.extend(&rule.to);
            }
        }
    }
    reach.into_iter().filter(|(_, reach)| reach.len() > most).map(|(source, _)| source).collect()
}

/// Rules that never decide anything. Only what is certain is said: an earlier rule takes a target from a later one when it has no
/// condition, or all patterns of the later one among its own.
#[must_use]
pub fn shadowed(rules: &[Rule]) -> Vec<Shadowed> {
    let covers = |earlier: &Rule, later: &Rule| {
        let wide = earlier.types.is_empty() || earlier.types.iter().any(TypePattern::is_any);
        wide || (!later.types.is_empty() && later.types.iter().all(|pattern| earlier.types.contains(pattern)))
    };
    let sources: Vec<HashSet<&SourceName>> = rules.iter().map(|rule| rule.from.iter().collect()).collect();
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        // Looked for once for all sources of the rule: most rules cover no other.
        let earlier = rules.iter().zip(&sources).enumerate().take(index);
        let earlier: Vec<(usize, (&Rule, &HashSet<&SourceName>))> = earlier.filter(|(_, (other, _))| covers(other, rule)).collect();
        let taker = |source: &SourceName, target: &TargetName| {
            earlier.iter().find(|(_, (other, from))| other.to.contains(target) && from.contains(source)).map(|(index, _)| *index)
        };
        let pairs = rule.from.iter().flat_map(|source| rule.to.iter().map(move |target| (source, target)));
        let takers: Option<Vec<usize>> = pairs.map(|(source, target)| taker(source, target)).collect();
        if let Some(by) = takers.and_then(|takers| takers.into_iter().min()) {
            found.push(Shadowed { rule: index, by });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, from: &[&str], types: &[&str], to: &[&str]) -> Rule {
        Rule {
            name: RouteName::parse(name).expect("a name"),
            from: from.iter().map(|name| SourceName::parse(name).expect("a name")).collect(),
            types: types.iter().map(|pattern| TypePattern::new(pattern)).collect(),
            to: to.iter().map(|name| TargetName::parse(name).expect("a name")).collect(),
        }
    }

    fn owed(rules: &[Rule], source: &str, types: &[&str]) -> Vec<String> {
        let types = EventTypes::new(types.iter().map(|kind| Box::from(*kind)));
        let hits = Routes::compile(rules).fan_out(&SourceName::parse(source).expect("a name"), &types);
        hits.iter().map(|hit| format!("{} by {}", hit.target, hit.route)).collect()
    }

    #[test]
    fn every_matching_rule_applies_in_order_and_a_target_is_owed_once() {
        let rules = [
            rule("paid", &["shop"], &["order.paid"], &["crm", "mail"]),
            rule("all", &["shop", "git"], &[], &["log", "crm"]),
            rule("late", &["shop"], &["order.*"], &["log", "ship", "ship"]),
        ];
        assert_eq!(owed(&rules, "shop", &["order.paid"]), ["crm by paid", "mail by paid", "log by all", "ship by late"]);
        assert_eq!(owed(&rules, "shop", &["order.new"]), ["log by all", "crm by all", "ship by late"]);
        assert_eq!(owed(&rules, "git", &["push"]), ["log by all", "crm by all"]);
        assert_eq!(owed(&rules, "other", &["push"]), Vec::<String>::new());
    }

    #[test]
    fn one_type_of_the_set_is_enough_and_none_meets_only_rules_without_condition() {
        let rules = [rule("a", &["s"], &["x.*"], &["t"]), rule("b", &["s"], &["*"], &["u"])];
        assert_eq!(owed(&rules, "s", &["y", "x.1"]), ["t by a", "u by b"]);
        assert_eq!(owed(&rules, "s", &[]), ["u by b"]);
    }

    #[test]
    fn only_rules_that_can_never_decide_are_shadowed() {
        let rules = [
            rule("first", &["a", "b"], &[], &["t", "u"]),
            rule("narrower", &["a"], &["x"], &["t"]),
            rule("further-source", &["a", "c"], &[], &["t"]),
            rule("further-target", &["a"], &[], &["t", "v"]),
            rule("typed", &["c"], &["x", "y"], &["w"]),
            rule("same-type", &["c"], &["y"], &["w"]),
            rule("other-type", &["c"], &["z"], &["w"]),
            rule("no-type", &["c"], &[], &["w"]),
            rule("by-two", &["a"], &[], &["u", "v"]),
        ];
        let by = |rule, by| Shadowed { rule, by };
        assert_eq!(shadowed(&rules), [by(1, 0), by(5, 4), by(8, 0)]);
    }

    #[test]
    fn too_far_is_who_may_be_owed_to_more_targets_than_that() {
        let rules = [rule("a", &["s", "u"], &["x"], &["t", "u"]), rule("b", &["s"], &["y"], &["u", "v"])];
        let (s, none) = (SourceName::parse("s").expect("a name"), HashSet::new());
        assert_eq!((too_far(&rules, 2), too_far(&rules, 3)), (HashSet::from([&s]), none));
    }
}
